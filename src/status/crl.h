/* status/crl.h - certificate revocation lists: made when due or when something was revoked, recorded, stored (RFC 5280 5).
 *
 * Layer 4, blocking. Of each authority the complete list ("full"); where its document says so, a delta to it ("delta"), and shards ("16-3": the fourth
 * of sixteen), each with a critical issuingDistributionPoint that is the very address in its certificates (RFC 5280 5.2.4, 5.2.5). Numbers are milliseconds since 1970, always greater than the last one, so
 * that neither a restore nor a second machine gives one out twice. A CRL counts as published when it and its event "crl.published" are
 * durable; status/publish.h hands out only such. An expired certificate stays on the list for one CRL after its end (RFC 5280 3.3).
 * Authorities whose key is not in the house publish from a pre-signed series, by date. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "issue/jobs.h"
#include "store/store.h"
#include <stdbool.h>
struct arena;
struct authority;
struct house;

enum crl_when {
    CRL_WHEN_DUE,     /* the authority's `every` has passed, or there is none yet */
    CRL_WHEN_CHANGED, /* that, or the revoked set differs from what is published */
    CRL_NOW,
};
/* Publish one authority's CRL if it is time. *ret_published (may be NULL) says whether. */
tm_err crl_publish(struct house *h, const struct authority *x, enum crl_when when, bool *ret_published,
                   struct diag *diag);
/* Publish one of its lists now: "full", "indirect", "16-3" … TM_EINVAL where it has none such. */
tm_err crl_publish_list(struct house *h, const struct authority *x, const char *list, struct diag *diag);
/* Every authority of every tenant; goes on after a failure and returns the first. */
tm_err crl_publish_all(struct house *h, enum crl_when when, struct diag *diag);

/* The published complete CRL in `a`. TM_ENOTFOUND. */
tm_err crl_current(struct crl_row *ret, struct arena *a, struct house *h, const struct authority *x);
/* The same of one scope: "full", "delta", "16-3". */
tm_err crl_current_of(struct crl_row *ret, struct arena *a, struct house *h, const struct authority *x,
                      const char *scope);

/* A CRL number as people read it: a magnitude of up to 7 octets; INT64_MAX for more. */
int64_t crl_number_value(struct slice magnitude);

/* ---- series for authorities whose key is elsewhere ---- */
struct crl_series {
    size_t count;
    int64_t first, last; /* thisUpdate of the first and of the last */
    int64_t ends;        /* nextUpdate of the last: after that nobody can check this CA's certificates */
    size_t missing;      /* revoked here, but not on the newest CRL: the series must be signed again */
};
/* PEM "X509 CRL" blocks or concatenated DER. Each is checked: issuer, AKI, signature, order of dates and numbers, and the first must be newer than
 * what is published. Replaces the authority's series, records "crl.series-imported", publishes what is due. */
tm_err crl_series_import(struct crl_series *ret, struct house *h, const struct authority *x,
                         struct slice bytes, const char *by, struct diag *diag);
/* TM_ENOTFOUND when there is none. */
tm_err crl_series_state(struct crl_series *ret, struct house *h, const struct authority *x,
                        struct diag *diag);
enum { CRL_SERIES_WARN = 60 * 86400 };

/* Jobs for jobs_add(): "crl.due" (5 s), "crl.publish" (kicked by revocations; hourly else), "crl.series" (alarm before a series
 * ends: log crl.series-ending or crl.series-over, and an event a day). NULL-terminated. */
extern const struct job *const status_jobs[];
