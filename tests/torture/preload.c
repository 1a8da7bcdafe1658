/* The forgetting VFS under a program that knows nothing of it: LD_PRELOAD this and set TM_TORTURE_VFS (vfs_shim.h). */
#include "torture/vfs_shim.h"

/* A constructor, because there is no line in the program that could call it. */
[[gnu::constructor]] static void preload(void)
{
    vfs_shim_install_env();
}
