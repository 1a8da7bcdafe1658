/* keys/signer_crl.h - inside the signer: a CRL that is too long for memory, checked and hashed in one pass.
 *
 * Layer 3. The file is somebody else's and may change at any time. So each octet is read once, into memory of the signer's own, and what is
 * parsed there is what goes into the digests: what is signed is what was checked, whatever the file says later. */
#pragma once
#include "keys/signer_lane.h"

struct crl_digests {
    uint8_t sha256[32];
    uint8_t message
        [KEY_DIGEST_MAX]; /* what the algorithm signs: its digest; of ML-DSA the message representative (FIPS 204, mu) */
    size_t n;
};
/* TM_EDENIED with the rule where the envelope forbids it. TM_EUNSUPPORTED for algorithms that need a message twice. */
tm_err signer_crl_read(struct crl_digests *ret, const struct core_job *job, const struct key *key,
                       enum sig_alg alg, const struct envelope *e, int64_t now, struct diag *diag);
