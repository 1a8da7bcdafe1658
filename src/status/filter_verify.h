/* status/filter_verify.h - is a filter's signature good? Layer 4, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "filter/reader/touchmark_filter.h"
#include "x509/cert.h"

/* Whose filters are taken. */
struct filter_trust {
    const struct cert *cas;
    size_t n_cas;
    /* Is the certificate with this serial (INTEGER contents), which cas[ca] issued, known to be revoked? NULL: nothing is known. */
    bool (*revoked)(const struct filter_trust *t, size_t ca, struct slice serial);
};

/* Every authority of `t` that the filter is about, and one at least, has to vouch for it itself: among the messages at the end is one that an
 * RA (extended key usage id-kp-cmcRA) certified by that very CA signed, over the body's SHA-256, which *ret_digest (may be NULL) gets. The RA's
 * certificate is valid at `now` and not known to be revoked, nor by the filter itself. TM_EBADSIG, TM_EEXPIRED, TM_EMALFORMED. */
tm_err filter_verify(const struct tmf_filter *f, const struct filter_trust *t, int64_t now,
                     uint8_t ret_digest[TMF_DIGEST_LEN], struct diag *diag);
