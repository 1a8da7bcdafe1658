/* tests/torture/journal_shim.h - the signer's journal under the same power cut as the store.
 *
 * The journal is a plain file: where the program opens it, this library's openat, pread, pwrite, ftruncate, fsync, fdatasync and close come
 * before libc's and hand over to the forgetting file of vfs_shim.h. Other files go on to libc as they are. */
#pragma once
#include <stdbool.h>

/* In a process with one thread. Unless `on` everything goes on to libc. `deaf`: a flush does nothing, which the torture has to notice. */
void journal_shim_install(bool on, bool deaf);
