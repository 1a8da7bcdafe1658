/* discover/run.h - discovery runs: what was looked for, how far it is, and what came of it.
 *
 * Layer 5, blocking. A run is an object (OBJECT_DISCOVERY_RUN): `via` says of which kind it is; what it finds goes into the inventory through
 * inventory/sighting.h with the run's id. Ids begin with the time left until the far future, so that the newest is listed first.
 * Events: discovery.started, .done, .canceled, .failed. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "store/store.h"
struct arena;
struct buf;
struct house;

enum run_status { RUN_WAITING = 1, RUN_RUNNING, RUN_DONE, RUN_CANCELED, RUN_FAILED, RUN_STATUSES };
extern const char *const run_status_names[]; /* by number; [0] is NULL */

enum { RUN_ID_LEN = 22, RUN_STATE_MAX = 1 << 20, RUN_KEEP = 400 * 86400 };

struct run {
    tenant_id tenant;
    const char *id;
    const char *via;  /* "scan" "files" "pcap" "ct" "agent" */
    const char *name; /* of the resource that it belongs to; "" it was asked for by hand */
    const char *by;
    int status; /* enum run_status */
    int64_t created_ms, begun_ms, ended_ms;
    int64_t total, done;           /* targets, files, entries; total 0: not known */
    int64_t answered;              /* of `done`: certificates were seen there */
    int64_t failed;                /* of `done`: something is there, and no certificate was to be had */
    int64_t added, known, refused; /* certificates: new to the inventory, in it before, not taken */
    int64_t new_places, changed, same, gone;
    const char *why;   /* it failed or ended early; "" nothing to say */
    struct slice spec; /* what was asked for: a JSON object of its kind's own; "{}" */
    int64_t seed;      /* of the order of targets */
    int64_t version;
};

/* A new run, to be filled further and put: id, times, status waiting. Texts are borrowed. */
tm_err run_init(struct run *ret, struct arena *a, tenant_id tenant, const char *via, const char *name,
                const char *by);
/* Write it; TM_ECONFLICT when somebody else changed it meanwhile. `event` is the type of an event in the same transaction; NULL: none. */
tm_err run_put(struct house *h, struct arena *a, struct run *r, const char *event, struct diag *diag);
/* TM_ENOTFOUND. */
tm_err run_get(struct run *ret, struct arena *a, struct house *h, tenant_id tenant, const char *id,
               struct diag *diag);
/* Newest first, after the id `after` ("": from the newest); `name` NULL: whoever's, status 0: any (with a name any). */
tm_err run_list(struct run **ret, size_t *ret_n, bool *ret_more, struct arena *a, struct house *h,
                tenant_id tenant, const char *name, int status, const char *after, size_t limit,
                struct diag *diag);
/* It will not change any more. */
bool run_has_ended(const struct run *r);
/* As the API shows it: one object. */
void run_put_json(struct buf *out, const struct run *r);
