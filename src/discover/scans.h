/* discover/scans.h - the scans of a house: asked for by hand or by the clock, each on a thread of its own, and what they find on its way into the
 * inventory.
 *
 * Layer 5. A scan is a run (discover/run.h) with `via` "scan" whose spec is what scan_request_schema binds. How far it is stands in its row: after a
 * restart it goes on there. SCANS_AT_ONCE are done at a time, the others wait. Results that were just found are kept in memory for
 * those who look on: of the last SCANS_KEPT runs, SCANS_RESULTS_MAX octets each. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "discover/run.h"
#include "issue/jobs.h"
#include <jansson.h>
struct scans;

enum {
    SCANS_AT_ONCE = 2,      /* of a tenant: none waits for another's */
    SCANS_ALL = 16,         /* of all tenants */
    SCANS_WAITING_MAX = 64, /* of a tenant */
    SCANS_KEPT = 8,
    SCANS_RESULTS_MAX = 16 << 20
};

/* Once, before the server starts: h->scans, and what was under way goes on. Offline nobody calls it: the first scan does. */
tm_err scans_start(struct house *h);
/* What is under way ends where it is. NULL where none was. */
void scans_stop(struct house *h);
/* Starts what the clock says: resources of kind Scan with `every`. */
extern const struct job scans_job;

/* Begin one: a request as scan_request_schema has it, by hand. *ret lives in `a`. TM_EINVAL, TM_EFORBIDDEN, TM_EQUOTA: SCANS_WAITING_MAX wait. */
tm_err scans_begin(struct run *ret, struct arena *a, struct house *h, tenant_id tenant, const json_t *request,
                   const char *by, struct diag *diag);
/* TM_ECONFLICT: it has ended. */
tm_err scans_cancel(struct house *h, tenant_id tenant, const char *id, const char *by, struct diag *diag);
/* Where it is under way, how far it is this instant. */
void scans_look(struct house *h, struct run *r);
/* Results from octet `from` on, at most `max` octets of whole ones, as members of a JSON array; *ret_next is `from` for the next look. TM_ENOTFOUND:
 * they are no longer kept; the inventory has them. */
tm_err scans_results(struct buf *out, size_t *ret_next, bool *ret_cut, struct house *h, tenant_id tenant,
                     const char *id, size_t from, size_t max);
