/* authority/file.h - whole files, read with a limit and written so that a power cut leaves the old one or the new one.
 *
 * Layer 4, private to authority/. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>
#include <sys/types.h>
struct arena;

/* In `a`. TM_ENOTFOUND, TM_ETOOBIG, TM_EIO. */
tm_err file_read(struct slice *ret, struct arena *a, const char *path, size_t max, struct diag *diag);
/* `replace` false: TM_ECONFLICT where something stands already. TM_EFULL, TM_EIO. */
tm_err file_write(const char *path, struct slice contents, mode_t mode, bool replace, struct diag *diag);
