/* keys/signer_nursery.h - a small process, forked before there are threads, that forks signers when asked.
 *
 * Layer 3. It keeps no key and no passphrase: the first signer gets the one it was started with, later ones read the file again. It ends
 * with its parent. */
#pragma once
#include "base/err.h"
#include "keys/signer.h"

struct nursery {
    int fd;    /* to it; -1 */
    pid_t pid; /* 0 */
};
/* Fork it, and have it execute c->program where there is one; there must be no other threads. */
tm_err nursery_start(struct nursery *ret, const struct signer_config *c, struct diag *diag);
/* A new signer: its pid and the client's end of its socketpair. Blocking; waits for an earlier one to be gone. TM_EUNAVAIL. */
tm_err nursery_spawn(struct nursery *n, pid_t *ret_pid, int *ret_fd, struct diag *diag);
/* False once it has gone: then no further signer can be had from it. */
bool nursery_alive(const struct nursery *n);
/* Waits until the nursery and its signer have ended; their sockets must be closed. */
void nursery_stop(struct nursery *n);
