/* status/filter_verify.h - is a filter's signature good? Layer 4, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "filter/reader/touchmark_filter.h"
#include "x509/cert.h"

/* The message at the end has to be signed by an RA (extended key usage id-kp-cmcRA) that one of these CAs certified, valid at `now`, over the
 * body's SHA-256, which *ret_digest (may be NULL) gets. TM_EBADSIG, TM_EEXPIRED, TM_EMALFORMED. */
tm_err filter_verify(const struct tmf_filter *f, const struct cert *cas, size_t n_cas, int64_t now,
                     uint8_t ret_digest[TMF_DIGEST_LEN], struct diag *diag);
