/* base/secret.h - bytes that are wiped: passphrases, private keys, tokens. Layer 0. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

struct secret {
    uint8_t *p; /* followed by a NUL byte that is not counted */
    size_t n;
};

/* Room for n bytes, zeroed, excluded from core dumps where the system lets us. */
tm_err secret_init(struct secret *s, size_t n);
tm_err secret_copy(struct secret *s, struct slice from);
/* Wipe and free; zero or already done is fine. */
void secret_done(struct secret *s);

/* Read a passphrase file or descriptor whole (at most 4096 bytes), without one trailing newline.
 * Errors: TM_EIO, TM_ETOOBIG, TM_EINVAL when empty. */
tm_err secret_read_file(struct secret *s, const char *path, struct diag *diag);
tm_err secret_read_fd(struct secret *s, int fd, struct diag *diag);
/* Ask on the controlling terminal without echo. TM_EUNAVAIL without a terminal. */
tm_err secret_prompt(struct secret *s, const char *prompt, struct diag *diag);

static inline struct slice secret_slice(const struct secret *s)
{
    return slice_of(s->p, s->n);
}
