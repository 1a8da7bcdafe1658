/* keys/quality.h - is this public key any good? ROCA, close primes, small or even exponents, known-weak block-lists.
 * Layer 3, pure (the block-list is loaded once and then read-only). */
#pragma once
#include "base/err.h"
#include "keys/pubkey.h"

/* Keys that are known to be weak or whose private half is known. Text, one key a line, '#' begins a comment: 20 hexadecimal digits, the end of
 * SHA-1("Modulus=" modulus "\n"), as the openssl-blacklist lists of Debian's weak keys (CVE-2008-0166) have them, or 64, SHA-256 of
 * the SubjectPublicKeyInfo. */
struct key_blocklist;
enum { KEY_BLOCKLIST_BYTES = 256 << 20, KEY_BLOCKLIST_FILES = 256 };
/* `path` is a list or a directory of lists, hidden files left out. TM_ENOTFOUND, TM_ETOOBIG, TM_EMALFORMED (diag: file and line). */
tm_err key_blocklist_load(struct key_blocklist **ret, const char *path, struct diag *diag);
/* The same from memory; `name` is for diag. */
tm_err key_blocklist_parse(struct key_blocklist **ret, struct slice text, const char *name,
                           struct diag *diag);
size_t key_blocklist_size(const struct key_blocklist *b);
void key_blocklist_free(struct key_blocklist *b);

struct key_quality {
    const char *
        rule; /* NULL: nothing wrong; else "key.roca", "key.close-primes", "key.exponent", "key.small-factor", "key.blocklisted" */
    const char *why; /* one sentence */
};
/* `blocklist` may be NULL. Costs nothing for non-RSA keys but the block-list look-up; RSA about 50 µs. */
tm_err key_quality_check(struct key_quality *ret, const struct pubkey_info *info, const struct spki *spki,
                         const struct key_blocklist *blocklist);
