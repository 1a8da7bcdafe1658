/* keys/signer_sandbox.h - what the signer process gives up before it answers anybody. Layer 3, Linux.
 *
 * In order: sandbox_begin() while still privileged, then the keys are unlocked, then sandbox_close_in(). Not undoable. */
#pragma once
#include "base/err.h"

/* Close every descriptor but `keep` and standard error, forbid core dumps and tracing, become `user` (as root only; NULL: stay), to whom the key
 * directory and its files are given first. *ret_dir: the key directory, opened. The process dies with its parent from here on. */
tm_err sandbox_begin(int *ret_dir, const char *key_dir, const char *user, int keep, struct diag *diag);
/* No new privileges, few descriptors, no swapping (as far as allowed), no files outside the key directory (Landlock, where the kernel has it), and
 * then only the system calls that signing and reading keys take: any other kills the process. */
tm_err sandbox_close_in(int dir, struct diag *diag);
