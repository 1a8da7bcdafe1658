/* x509/crl_stream.h - read a CRL of any length as it streams by, in memory that does not depend on it (RFC 5280 section 5).
 *
 * Layer 2, pure: octets come from a function, each once and in order, so that whoever hashes what that function gives has hashed just what was
 * read here. Head, entries and extensions are held to the same rules as by crl_parse(); an entry, and what stands before or after the list,
 * has at most 64 KiB. */
#pragma once
#include "x509/crl.h"

struct crl_source {
    /* Exactly n octets, or an error. */
    tm_err (*read)(void *arg, uint8_t *out, size_t n);
    void *arg;
};
struct crl_stream;

/* Reads up to the list. `total`: octets of the source. `tbs_only`: a TBSCertList, before it is signed. `diag` is kept, and may be NULL. */
tm_err crl_stream_open(struct crl_stream **ret, const struct crl_source *src, uint64_t total, bool tbs_only,
                       struct diag *diag);
/* Issuer, algorithm and times from the beginning; extensions and, of a whole CRL, the signature after crl_stream_end(). The rest is empty. */
const struct crl *crl_stream_head(const struct crl_stream *s);
/* The next entry, which borrows until the next call. TM_ENOTFOUND at the end of the list. */
tm_err crl_stream_next(struct crl_stream *s, struct crl_entry *ret);
/* What follows the list, whose end has been reached; nothing may be left after it. */
tm_err crl_stream_end(struct crl_stream *s);
void crl_stream_free(struct crl_stream *s);
