/* filter/writer.h - make a revocation filter (docs/filter-format.md).
 *
 * Layer 1, not shared between threads. Certificates come in the order of their serials and are worked off in sections of a million, so
 * that memory does not grow with their number. Every section is read back, member by member, before it counts: a filter that
 * left this file answers rightly for all that went into it. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "filter/reader/touchmark_filter.h"
#include <stdbool.h>

enum { FILTER_SECTION = 1 << 20, FILTER_ISSUERS_MAX = 1024 };
enum { FILTER_BODY_MAX = 1 << 30 };

struct filter_head {
    enum tmf_kind kind;
    const char *name;
    uint64_t number, base_number;
    int64_t this_update, next_update;
    uint8_t base_digest[TMF_DIGEST_LEN];
};

struct filter_writer;
tm_err filter_writer_new(struct filter_writer **ret, const struct filter_head *head);
void filter_writer_free(struct filter_writer *w);

/* What follows is of this issuer. TM_ECONFLICT when it was there before. */
tm_err filter_writer_issuer(struct filter_writer *w, const uint8_t id[TMF_ISSUER_LEN], int64_t covered_until);

/* What a certificate is to a filter. */
enum filter_role {
    FILTER_REVOKED,  /* asked for what is not revoked by a base: `is` says whether it is revoked */
    FILTER_RELEASED, /* deltas, for what their base says is revoked: `is` says that it is not any more */
};
/* The next one; serials of a role ascend (TM_EINVAL). */
tm_err filter_writer_add(struct filter_writer *w, enum filter_role role, const uint8_t serial[TMF_SERIAL_LEN],
                         bool is);

/* The body: everything but the signature. Nothing can be added any more. */
tm_err filter_writer_end(struct filter_writer *w, struct buf *out);

/* log2 of the number of ways to choose r of n: no exact description of which r of n certificates are revoked is shorter on average. */
double filter_bound_bits(double n, double r);
/* The same, summed over a filter's issuers and their roles. */
double filter_bound(const struct tmf_filter *f);
