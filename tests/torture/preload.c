/* The power cut under a program that knows nothing of it: LD_PRELOAD this and set TM_TORTURE_VFS and TM_TORTURE_CLOCK (vfs_shim.h).
 * TM_TORTURE_DEAF=journal makes the flush of the signer's journal do nothing, for the proof that this is noticed. */
#include "torture/journal_shim.h"
#include "torture/vfs_shim.h"
#include <stdlib.h>
#include <string.h>

/* A constructor, because there is no line in the program that could call it. */
[[gnu::constructor]] static void preload(void)
{
    const char *deaf = getenv("TM_TORTURE_DEAF");
    journal_shim_install(vfs_shim_install_env(), deaf && strcmp(deaf, "journal") == 0);
}
