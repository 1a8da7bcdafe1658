/* x509/cms/certs_only.h - degenerate SignedData: certificates (and CRLs) without a signer (RFC 5652, RFC 8951 3).
 * Layer 2, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
struct buf;

enum { CERTS_ONLY_MAX = 256 };

/* Append ContentInfo{SignedData v1, id-data, certificates[0], crls[1]}. */
tm_err certs_only_build(struct buf *out, const struct slice *certs, size_t n, const struct slice *crls,
                        size_t n_crls);
/* Certificates inside (whole TLVs, borrowed from `der`; DER or already normalised BER); at most `max`. */
tm_err certs_only_parse(struct slice *ret_certs, size_t max, size_t *ret_n, struct slice der,
                        struct diag *diag);
