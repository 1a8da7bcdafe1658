/* status/filter.h - revocation filters of the house's authorities: made when due, signed by each one's RA, recorded, stored, published.
 *
 * Layer 4, blocking. What a filter is about says a resource "Filter"; the name of an authority stands for a filter of that authority alone, which
 * is made when somebody asks for it. A full filter and the delta that goes with it are kept, the newest of each. Numbers are milliseconds since
 * 1970 and always grow. The format is docs/filter-format.md's. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "filter/reader/touchmark_filter.h"
#include "http/server.h"
#include "issue/jobs.h"
#include "store/store.h"
struct arena;
struct house;

enum { FILTER_FILE_MAX = 256 << 20 };

struct filter_def {
    tenant_id tenant;
    const char *name;
    const char *const *authorities;
    size_t n_authorities;
    int64_t every, delta_every; /* seconds */
    bool scheduled;             /* there is a resource: the server makes it by itself */
};
/* In `a`. TM_ENOTFOUND: neither a filter nor an authority of that name. */
tm_err filter_def_find(struct filter_def *ret, struct arena *a, struct house *h, tenant_id tenant,
                       const char *name, struct diag *diag);
/* Those that have a resource. */
tm_err filter_def_list(struct filter_def **ret, size_t *ret_n, struct arena *a, struct house *h,
                       tenant_id tenant, struct diag *diag);

/* Make one and publish it. A delta wants a full filter: TM_ENOTFOUND. One is made at a time: TM_EBUSY. */
tm_err filter_publish(struct house *h, const struct filter_def *d, enum tmf_kind kind, struct diag *diag);

/* The file as it is published, in `a`, and opened in *f (may be NULL). TM_ENOTFOUND. */
tm_err filter_current(struct crl_row *ret, struct tmf_filter *f, struct arena *a, struct house *h,
                      tenant_id tenant, const char *name, enum tmf_kind kind);
/* "/filter/<name>.tmf", "/filter/<tenant>.<name>.delta.tmf". In `a`. */
const char *filter_path(struct arena *a, struct house *h, tenant_id tenant, const char *name,
                        enum tmf_kind kind);

/* The process ends: what is being made is given up, for a large filter takes a minute. */
void filter_stop(void);

/* "filter.due": every minute, what has a resource and is due, in the blocking pool. NULL-terminated. */
extern const struct job *const filter_jobs[];
/* GET /filter/{file}, for anyone; http_request.app is the struct house. */
extern const struct http_route filter_routes[];
