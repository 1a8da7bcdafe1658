/* status/filter_impl.h - shared by the files that make filters. Layer 4, private to status/. */
#pragma once
#include "filter/writer.h"
#include "status/filter.h"
struct authority;

/* Certificates issued before this second, and only they, are certainly in the store by now. */
int64_t filter_settled(struct house *h, int64_t now);
/* Has filter_stop() been called? */
bool filter_stopped(void);
/* SHA-256 of the authority's SubjectPublicKeyInfo. */
tm_err filter_issuer_id(uint8_t ret[TMF_ISSUER_LEN], const struct authority *x);
/* Hand every certificate of the authority that had not expired at `now_ms` to the writer, as it was then. `base` (may be NULL): the full
 * filter whose delta is being made. */
tm_err filter_members(struct filter_writer *w, struct house *h, const struct authority *x,
                      const struct tmf_filter *base, int64_t covered_until, int64_t now_ms,
                      struct diag *diag);
