/* discover/walk.h - files below a directory that could hold certificates, told by their beginning.
 *
 * Layer 5, blocking, one thread. Links are not followed, special files not opened, and what another process does to the tree meanwhile leads nowhere else:
 * every step is relative to an open directory. */
#pragma once
#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WALK_DEPTH_MAX = 64, WALK_PATH_MAX = 4096, WALK_HEAD = 4096 };

struct walk {
    const char *const *exclude; /* patterns of fnmatch(3) for whole paths; NULL-terminated, or NULL: none */
    bool cross;                 /* into other file systems too */
    /* A file that could; `bytes` are its contents until this returns. False ends the walk. */
    bool (*file)(void *arg, const char *path, struct slice bytes);
    /* What could not be looked at. May be NULL. */
    void (*trouble)(void *arg, const char *path, const char *why);
    void *arg;
    /* so far */
    uint64_t files, read, octets, unreadable;
    bool ended; /* `file` said so */
};

/* A directory, or a single file. False: the root itself can't be opened (`trouble` says why). */
bool walk_tree(struct walk *w, const char *root);
