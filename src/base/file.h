/* base/file.h - files and directories by path. Layer 0. */
#pragma once
#include <stdbool.h>

/* Remove all that is below a directory, links themselves and not what they point to; `itself`: the directory too. What can't be removed stays. */
void file_remove_tree(const char *path, bool itself);
