/* keys/cmp_mac.h - protection of CMP messages by a shared secret: password-based MAC and PBMAC1 (RFC 9481 6.1, RFC 4211 4.4, RFC 8018 7.1).
 *
 * Layer 3, thread-safe. Iteration counts are bounded on both sides: few help who guesses the secret, many are work that a stranger asks for. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "x509/spki.h"
struct arena;

enum {
    CMP_MAC_MAX = 64,
    CMP_MAC_SALT_MIN = 8,
    CMP_MAC_SALT_MAX = 128,
    CMP_PBM_ITERATIONS_MIN = 100,     /* RFC 4211 4.4 */
    CMP_PBMAC1_ITERATIONS_MIN = 1000, /* RFC 8018 4.2 */
    CMP_MAC_ITERATIONS_MAX = 100000,
};

struct cmp_mac {
    bool pbmac1;
    enum oid digest;                  /* PBM: the one-way function; PBMAC1: the PRF as an HMAC */
    enum oid mac;                     /* an HMAC */
    struct slice digest_alg, mac_alg; /* as they were written, for the answer */
    struct slice salt;
    uint64_t iterations;
    uint64_t key_length; /* PBMAC1; 0: that of the MAC */
};

/* Is it one of the two at all? */
bool cmp_mac_is(const struct algid *alg);
/* TM_EMALFORMED; TM_EUNSUPPORTED for digests and MACs that are not done here; TM_EDENIED for parameters out of bounds. Borrows `alg`. */
tm_err cmp_mac_parse(struct cmp_mac *ret, const struct algid *alg, struct diag *diag);
/* How much work it is: so many times a hash is computed, in all. */
uint64_t cmp_mac_work(const struct cmp_mac *m);
/* AlgorithmIdentifier TLV of the same with a salt of its own, which *m then has. */
tm_err cmp_mac_renew(struct slice *ret_algid, struct arena *a, struct cmp_mac *m);
tm_err cmp_mac_compute(uint8_t ret[CMP_MAC_MAX], size_t *ret_n, const struct cmp_mac *m, struct slice secret,
                       struct slice message);
