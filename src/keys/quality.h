/* keys/quality.h - is this public key any good? ROCA, close primes, small or even exponents, known-weak block-lists.
 * Layer 3, pure (the block-list is loaded once and then read-only). */
#pragma once
#include "base/err.h"
#include "keys/pubkey.h"

struct key_blocklist; /* sorted 16-octet prefixes of SHA-256(SPKI) */
tm_err key_blocklist_load(struct key_blocklist **ret, const char *path, struct diag *diag);
void key_blocklist_free(struct key_blocklist *b);

struct key_quality {
    const char *
        rule; /* NULL: nothing wrong; else "key.roca", "key.close-primes", "key.exponent", "key.small-factor", "key.blocklisted" */
    const char *why; /* one sentence */
};
/* `blocklist` may be NULL. Costs nothing for non-RSA keys but the block-list look-up; RSA about 50 µs. */
tm_err key_quality_check(struct key_quality *ret, const struct pubkey_info *info, const struct spki *spki,
                         const struct key_blocklist *blocklist);
