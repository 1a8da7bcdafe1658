/* status/revocation.h - revocation as an action: which certificates, why and when; a job that is done page by page and lasts.
 *
 * Layer 4, blocking. A job is a row of the store: each page of certificates is revoked in one transaction with the job's new state, so that it goes
 * on exactly where it was after any end of the process, on any node, and none is counted twice. Of certificates only those that were issued before the
 * job was made. Above a number that the tenant's document names, another principal than the one who asked has to approve it. With a
 * deadline holders are asked to renew first (RFC 9773 windows); who has renewed by then is revoked as superseded. After the last page the
 * job waits until what is published says so, model by model (status/reach.h). Events: revocation.started, .approved, .canceled, .done (all are
 * revoked), .reached. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "status/reach.h"
#include "store/store.h"
struct arena;
struct house;
struct revocations;

enum revocation_status {
    REVOCATION_WAITS,   /* for approval */
    REVOCATION_ASKS,    /* holders to renew: windows are being moved */
    REVOCATION_PLANNED, /* until its deadline */
    REVOCATION_RUNS,
    REVOCATION_SPREADS, /* all are revoked; not everything published says so */
    REVOCATION_DONE,
    REVOCATION_CANCELED,
    REVOCATION_STATUSES
};
extern const char *const revocation_status_names[REVOCATION_STATUSES + 1];

enum {
    REVOCATION_SERIALS_MAX = 100000,
    REVOCATION_APPROVAL_LIFE = 7 * 86400, /* after which nobody can approve it any more */
    REVOCATION_KEEP = 90 * 86400,         /* a job that has ended is forgotten then; the register is not */
    REVOCATION_AFTER_MIN = 1,
    REVOCATION_AFTER_DEFAULT = 7 * 86400, /* replace-first without a deadline */
};

/* Which certificates. Texts are "" and times 0 where they choose nothing; all that is said must hold. */
struct revocation_set {
    const char *authority, *profile, *device, *owner;
    int64_t issued_after, issued_before, expires_after, expires_before; /* unix seconds */
    int64_t listed;                                                     /* or these serials alone: so many */
};

/* What came of it in one authority's certificates. */
struct revocation_effect {
    const char *authority;
    int64_t n, first_ms, last_ms;
    int64_t until;    /* unix seconds: the last of those ends that nobody is told of; 0: there are none */
    const char *last; /* serial of the last, hex */
    int64_t models;   /* bits of enum reach_model */
    int64_t took[REACH_MODELS]; /* ms from the last revocation until it was said; -1: not yet */
};
enum { REVOCATION_EFFECTS_MAX = 64 };

struct revocation {
    tenant_id tenant;
    const char *id;
    int64_t version;
    int status; /* enum revocation_status */
    struct revocation_set set;
    int reason; /* enum crl_reason */
    const char *comment, *by, *explanation;
    const char *key;     /* what the row is found by when the same is asked again; "" nothing */
    const char *request; /* hash of what was asked */
    int64_t created_ms;
    int64_t after, deadline; /* seconds of notice; unix seconds once it has begun; 0: none */
    bool replace_first;      /* whoever has renewed is revoked without waiting for the deadline */
    bool approval;           /* somebody else must approve, or did */
    const char *approved_by, *canceled_by;
    int64_t approved_ms, begun_ms, revoked_ms, ended_ms;
    int64_t matched; /* counted when it was made */
    /* progress */
    const char *at; /* where the walk goes on; "" at its beginning */
    int64_t looked, revoked, superseded, before, asked;
    int64_t early;   /* of the superseded, how many before the deadline */
    int64_t next_ms; /* when there is something to do again */
    const char *why; /* why it does not go on; "" all is well */
    struct json_objects effects;
    int64_t seen_by; /* the process that waits for it to be said: revocation_process() */
};

/* ---- looking ---- */

struct revocation_tally {
    const char *name;
    uint64_t n;
};
enum { REVOCATION_TALLY_MAX = 50, REVOCATION_DEVICES_MAX = 100000, REVOCATION_SAMPLE = 10 };
struct revocation_touched {
    uint64_t matched, before; /* before: of the serials, how many are revoked already */
    struct revocation_tally profiles[REVOCATION_TALLY_MAX], owners[REVOCATION_TALLY_MAX];
    size_t n_profiles, n_owners;
    uint64_t devices;
    bool more; /* there are more profiles, owners or devices than were told apart */
    struct cert_row sample[REVOCATION_SAMPLE];
    size_t n_sample;
};

/* What is asked for. */
struct revocation_order {
    tenant_id tenant;
    struct revocation_set set;
    const char *const *serials; /* hex, as people write them */
    size_t n_serials;
    int reason;
    const char *comment, *by, *explanation;
    const char *key; /* asked twice with the same one it is done once; "" none */
    int64_t after;
    bool replace_first, expects;
    int64_t expect;
};

/* Count, and say whom it would touch. `a` holds the names. TM_EINVAL, TM_ENOTFOUND, TM_EFORBIDDEN for serials that can't be revoked here. */
tm_err revocation_look(struct revocation_touched *ret, struct arena *a, struct house *h,
                       const struct revocation_order *o, struct diag *diag);

/* ---- acting ---- */

/* Make the job, durably; a thread does it. Where nothing is served it is done before this returns, as far as it goes now. *ret is its state. The same
 * key again gives the job that there is; with another order TM_ECONFLICT. TM_ECONFLICT also where others are there than expected. */
tm_err revocation_start(struct revocation *ret, struct arena *a, struct house *h,
                        const struct revocation_order *o, struct diag *diag);
tm_err revocation_get(struct revocation *ret, struct arena *a, struct house *h, tenant_id tenant,
                      const char *id, struct diag *diag);
/* A page in the order in which they were made, behind `after` (an id, "" the first). *ret_more: there are further ones. */
tm_err revocation_list(struct revocation **ret, size_t *ret_n, bool *ret_more, struct arena *a,
                       struct house *h, tenant_id tenant, const char *after, size_t limit, struct diag *diag);
/* TM_EFORBIDDEN with rule "approval.four-eyes" for whoever asked for it; TM_ECONFLICT when it waits for nobody, TM_EEXPIRED. */
tm_err revocation_approve(struct house *h, tenant_id tenant, const char *id, const char *by,
                          const char *comment, struct diag *diag);
/* What is revoked stays revoked; windows that it moved go back. TM_ECONFLICT once all are revoked. */
tm_err revocation_cancel(struct house *h, tenant_id tenant, const char *id, const char *by,
                         const char *comment, struct diag *diag);
/* Until it needs time or a person to go on, at most so long. *ret is its state then. */
tm_err revocation_await(struct revocation *ret, struct arena *a, struct house *h, tenant_id tenant,
                        const char *id, int64_t ms, struct diag *diag);

/* The set in one line: "profile=tls issued-before=2026-11-01T00:00:00Z". In `a`. */
tm_err revocation_set_text(const char **ret, struct arena *a, const struct revocation_set *s);

/* ---- the thread ---- */

/* After reach_open() and ocsp_start(); stopped before ocsp_stop(). Pools may still wake it until the house is closed: freed after that. */
tm_err revocation_open(struct house *h);
void revocation_stop(struct house *h);
void revocation_free(struct revocations *r);
/* There may be something to do. From any thread. */
void revocation_wake(struct house *h);
/* The same: something that was revoked is said by what is published now. */
void revocation_said(struct house *h);
