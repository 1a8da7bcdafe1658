/* tests/torture/vfs_shim.h - an SQLite VFS that forgets what was not synced.
 *
 * Writes stay in memory until the file is synced, so the death of the process is a power cut: the file system has what was synced and
 * nothing else, or, with `torn`, a random half of the other sectors of 4096 octets as well. The cut comes at a given operation
 * (write, truncate, sync). A closed file keeps its unsynced writes in memory as long as the process lives, as a page cache does, and gets
 * them all when the process ends in good order.
 *
 * Operations can also be made to fail, as on a full or broken disk. Thread-safe: one lock over everything. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct vfs_shim_plan {
    uint64_t cut_at; /* kill the process at this operation, counted from 1; 0: never */
    uint64_t seed;
    bool torn;
};

/* Make the shim the default VFS of this process; before the first connection. */
void vfs_shim_install(const struct vfs_shim_plan *plan);
/* The plan from TM_TORTURE_VFS="cut=<n>,seed=<n>,torn=<0|1>"; nothing happens where it is not set. */
void vfs_shim_install_env(void);

uint64_t vfs_shim_operations(void);
/* From now on every write and sync fails with this SQLite result code (SQLITE_FULL, SQLITE_IOERR_WRITE …); 0: no more. */
void vfs_shim_fail(int rc);
