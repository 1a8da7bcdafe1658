/* unit/remove_tree.h - a directory that a test made goes with everything in it. */
#pragma once
#include <ftw.h>
#include <stdio.h>

static inline int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

/* 0, or -1 with errno. */
static inline int remove_tree(const char *path)
{
    return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
