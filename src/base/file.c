#include "base/file.h"
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

enum { FDS_MAX = 32 };

static int remove_below(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    if (at->level > 0)
        (void)remove(path);
    return 0;
}

void file_remove_tree(const char *path, bool itself)
{
    (void)nftw(path, remove_below, FDS_MAX, FTW_DEPTH | FTW_PHYS);
    if (itself)
        (void)rmdir(path);
}
