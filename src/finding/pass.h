/* finding/pass.h - when what is looked at: certificates as they arrive, places as they change, what time brings about, and now and then everything.
 *
 * Layer 5. While the house serves, a thread does it in slices of a page; otherwise whoever asks for a pass does it. Where it is stands in the store
 * (a meta value a tenant), so that it goes on after a restart. A full pass looks at every place and every certificate, and at RSA moduli that share
 * a prime; it begins once a day, when somebody asks, when the rules are others than those of the last one, and when rules of kind Ownership change. */
#pragma once
#include "base/err.h"
#include "store/store.h"
#include <stdatomic.h>
#include <stdbool.h>
struct arena;
struct findings;
struct house;

enum finding_phase { PHASE_NONE, PHASE_PLACES, PHASE_CERTS, PHASE_ABSENT, PHASE_SHARED };
extern const char *const finding_phase_names[]; /* "none", "places", "certificates", "gone", "moduli" */

/* As it is stored. */
struct finding_progress {
    uint64_t arrived, events; /* cursors: of arrivals, of the register */
    int64_t timed_ms;         /* when the last look at what time brings began */
    bool begun;               /* the cursors stand somewhere */
    bool deep;                /* the full pass under way looks at all octets */
    const char *rules;        /* of which rules the last deep one was */
    int phase;                /* enum finding_phase: of the full pass under way */
    const char *after; /* where it is: the id of the last certificate or place that was looked at, hex */
    int64_t full_begun_ms;
    uint64_t looked; /* certificates and places by it */
    int64_t last_begun_ms, last_ended_ms;
    uint64_t last_looked;
    uint64_t moduli, moduli_left; /* RSA moduli compared by the last one; those beyond the limit */
};
tm_err finding_progress_read(struct finding_progress *ret, struct arena *a, struct house *h, tenant_id tenant,
                             struct diag *diag);

/* Ask for a full pass; `deep`: at all octets again. Where nobody serves it is done before this returns. */
tm_err finding_pass_request(struct house *h, tenant_id tenant, bool deep, struct diag *diag);

/* One tenant's, kept in memory between slices. */
struct passing;
tm_err passing_new(struct passing **ret, struct house *h, tenant_id tenant, const atomic_bool *stop);
void passing_free(struct passing *p);
/* A slice of work: *ret_more, there is more at once. */
tm_err passing_step(struct passing *p, bool *ret_more, struct diag *diag);
/* There is nothing to do for a while: gives its memory back. */
void passing_rest(struct passing *p);
/* Has any finding been opened, closed or changed since this was asked last? */
bool passing_news(struct passing *p);

/* The thread. finding_stop() ends it, findings_free() comes once nobody asks any more. */
tm_err finding_open(struct house *h);
void finding_stop(struct house *h);
void findings_free(struct findings *f);
/* Look at once. */
void finding_wake(struct house *h);
/* Grows with every change of findings: for those who act on them. 0 where nobody serves. */
uint64_t finding_generation(const struct house *h);
/* Somebody has decided about one. */
void finding_changed(struct house *h);
