/* tests/torture/vfs_shim.h - an SQLite VFS that forgets what was not synced.
 *
 * Writes stay in memory until the file is synced, so the death of the process is a power cut: the file system has what was synced and
 * nothing else, or, with `torn`, a random half of the other sectors of 4096 octets as well. The cut comes at a given operation
 * (write, truncate, sync). A closed file keeps its unsynced writes in memory as long as the process lives, as a page cache does, and gets
 * them all when the process ends in good order.
 *
 * Operations can also be made to fail, as on a full or broken disk. Thread-safe: one lock over everything.
 *
 * Several processes die of one cut where they share a clock: after it nothing that any of them does reaches a file any more. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Lies at the beginning of a file that the processes map, and whoever watches them. */
struct vfs_shim_clock {
    _Atomic uint64_t operations; /* done so far */
    _Atomic uint64_t
        cut_at;           /* kill the process at this operation or the next one, counted from 1; 0: never */
    _Atomic uint64_t cut; /* 1 once that has happened */
};

struct vfs_shim_plan {
    uint64_t cut_at; /* as the clock's, for a clock of the process's own */
    uint64_t seed;
    bool torn;
    struct vfs_shim_clock *clock; /* NULL: its own */
};

/* Make the shim the default VFS of this process; before the first connection. */
void vfs_shim_install(const struct vfs_shim_plan *plan);
/* The plan from TM_TORTURE_VFS="cut=<n>,seed=<n>,torn=<0|1>", the clock from the file that TM_TORTURE_CLOCK names; false where the first is
 * not set. */
bool vfs_shim_install_env(void);

/* The same for a file that is not SQLite's: an open one is taken over, its methods forget what was not synced. NULL without memory. */
struct sqlite3_file;
struct sqlite3_file *vfs_shim_wrap(struct sqlite3_file *real);

uint64_t vfs_shim_operations(void);
/* From now on every write and sync fails with this SQLite result code (SQLITE_FULL, SQLITE_IOERR_WRITE …); 0: no more. */
void vfs_shim_fail(int rc);
