/* keys/signer_core.h - the signer itself: answers the protocol on one descriptor with the keys of one directory.
 *
 * Layer 3. Runs as a process of its own (signer_nursery.c) or on a thread of the caller's (in_process). */
#pragma once
#include "base/err.h"
#include "base/secret.h"
#include <stdbool.h>

struct core;

/* Unlock every key in `dir`, open the journal. Takes `dir` over, also on failure; `passphrase` is copied. `in_process`: adopted serials are
 * allowed. TM_ELOCKED, TM_ECORRUPT, TM_EBUSY. */
tm_err core_open(struct core **ret, int dir, const struct secret *passphrase, bool in_process,
                 struct diag *diag);
/* Say HELLO and answer until the other side closes. */
void core_serve(struct core *c, int fd);
void core_close(struct core *c);
/* For whoever could not open: HELLO with the reason. */
void core_refuse(int fd, tm_err err, const struct diag *diag);
