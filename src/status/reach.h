/* status/reach.h - how long it takes from a revocation until what is published says so, by the models in which a relying party may learn of it.
 *
 * Layer 4, thread-safe. Measured in the process that serves, from the commit of the revocation to that of the list or filter that has it, or to a
 * signed OCSP answer. In /metrics as touchmark_revocation_effect_seconds{model}; mass revocations keep theirs (status/revocation.h).
 * What is not known to be said when the process ends is looked for again by the next one. */
#pragma once
#include "base/err.h"
#include "store/store.h"
#include <stdbool.h>
struct authority;
struct house;
struct issue_revocation;
struct reach;

enum reach_model {
    REACH_CRL,    /* the complete list */
    REACH_SHARD,  /* the part that the certificate names */
    REACH_DELTA,  /* the list of what changed */
    REACH_OCSP,   /* a signed answer */
    REACH_FILTER, /* a scheduled filter, or its delta */
    REACH_EXPIRY, /* nobody is told of this certificate: its end is its revocation */
    REACH_MODELS
};
extern const char *const reach_model_names[REACH_MODELS];

/* Before the server starts: h->reach and h->on_revoked. Pools may still look in until the house is closed: freed after that. */
tm_err reach_open(struct house *h);
void reach_free(struct reach *r);

/* The models in which something is published about each of these certificates, as bits. */
tm_err reach_models(unsigned *ret, struct house *h, tenant_id tenant, const struct cert_row *const *rows,
                    size_t n, struct diag *diag);

/* A list of this authority is durable that was made from the state at `as_of_ms`. `scope`: its name (status/scope.h). */
void reach_list(struct house *h, const struct authority *x, const char *scope, int64_t as_of_ms);
/* All lists that follow revocations were looked at since then: those that were not made anew say it already. */
void reach_lists_looked(struct house *h, int64_t as_of_ms);
/* A filter is durable that is about these authorities' certificates issued until `issued` (unix seconds). */
void reach_filter(struct house *h, tenant_id tenant, const char *name, int64_t as_of_ms, int64_t issued);
/* Ask the responder about some of what was revoked and not asked about yet. */
enum reach_asked {
    REACH_ASKED,
    REACH_ASK_MORE,  /* there are others */
    REACH_ASK_LATER, /* some could not be answered */
};
enum reach_asked reach_ask(struct house *h);

/* Is everything said in this model that the authority's revocations until `upto_ms` were? Then *ret_ms is when (unix ms). */
bool reach_done(struct house *h, tenant_id tenant, const char *authority, enum reach_model model,
                int64_t upto_ms, int64_t *ret_ms);
/* How long the last few revocations of each authority took in each model, in this process. */
struct reach_latency {
    uint64_t n; /* 0: none */
    int64_t median_ms, worst_ms;
};
void reach_latency(struct reach_latency ret[REACH_MODELS], struct house *h, tenant_id tenant);

/* A revocation of an earlier process of which it is not known whether it is said. */
void reach_again(struct house *h, tenant_id tenant, const struct cert_row *row, unsigned models,
                 int64_t at_ms);
