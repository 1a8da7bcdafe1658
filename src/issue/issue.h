/* issue/issue.h - the pipeline: facts -> decision -> TBS -> lint -> signer -> one durable commit (DESIGN 2).
 *
 * Layer 4. Asynchronous: issue_submit() returns at once; `done` is posted to `reply_to` when the outcome is durable. Every door ends here. */
#pragma once
#include "base/err.h"
#include "base/task.h"
#include "policy/decide.h"
#include "policy/enrollment.h"
#include "store/store.h"
#include "x509/csr.h"

struct arena;
struct house;
struct profile;

enum issue_outcome {
    ISSUE_ISSUED,  /* cert is set and durable */
    ISSUE_PENDING, /* pending_id and retry_after are set */
    ISSUE_DENIED,  /* decision.rule and .reason; recorded */
    ISSUE_FAILED,  /* err and diag: nothing was issued */
};

enum { ISSUE_ALSO_MAX = 2 };

struct issue_request {
    struct task done;
    struct executor *reply_to;

    /* request; everything lives in `arena`, which must outlive `done` */
    struct house *house;
    struct arena *arena;
    struct enrollment
        e; /* tenant, endpoint, door, profile, kind, caller, request id; the rest may be filled by issue_from_csr() */
    const struct csr *
        csr; /* its signature, the proof of possession, is verified in the crypto pool; NULL, or proven otherwise: e.pop_verified says it */
    tenant_id tenant;
    const char *authority;    /* endpoint's override, or NULL */
    struct slice predecessor; /* DER of the certificate being renewed (ENROLL_RENEW); empty: none */
    const char *order; /* the door's own, which waits for itself alone; NULL: none, who asks again asks on */
    const char *token_id; /* consumed in the same transaction; NULL: none */
    const char *
        device_id; /* as far as the door knows it; NULL: policy's facts look by caller certificate and CSR serialNumber */
    bool dry_run; /* decide only: nothing is signed or recorded */
    const struct profile
        *proposed; /* with dry_run: decide by this one, which need not be kept; NULL: by e.profile */
    bool bulk;     /* one of many: who asks for one alone goes first */
    bool approved; /* by approval of the continuation */
    const char *approved_by;
    /* What the door writes in the transaction of the certificate: called once `serial` is known, with room for ISSUE_ALSO_MAX effects.
     * Their conditions refuse the whole issue. NULL: nothing. */
    tm_err (*also)(struct issue_request *r, struct effect *ret, size_t *ret_n);
    const char *continuation_id;                 /* the one being finished; NULL: none */
    const struct continuation_row *continuation; /* its row */

    /* answer, in `arena` */
    enum issue_outcome outcome;
    tm_err err;
    struct diag diag;
    struct decision decision;
    struct slice cert;         /* DER */
    const struct slice *chain; /* from the issuing CA up to but without the root, then the root last; DER */
    size_t n_chain;
    uint8_t serial[CERT_SERIAL_LEN];
    bool replayed; /* an earlier answer given again: same token and key, or same idempotency key */
    char pending_id[40];
    unsigned retry_after; /* seconds */

    void *priv;      /* the pipeline's */
    void *priv_door; /* the door's */
};

/* Fill e.spki, key, subject, san, exts from a parsed request. */
tm_err issue_from_csr(struct issue_request *r, const struct csr *csr, struct diag *diag);
void issue_submit(struct issue_request *r);
/* The same from a task of the crypto pool, which goes on with it at once. */
void issue_submit_here(struct issue_request *r);
/* Blocking convenience for pool threads, CLI and tests. */
void issue_run(struct issue_request *r);

/* ---- other actions with the same guarantees: recorded and durable before they return. Blocking. -------------------------- */

/* Revoke by serial. `by` is the principal. TM_ENOTFOUND, TM_ECONFLICT (revoked already; *ret_revoked_at says when). */
tm_err issue_revoke(struct house *h, tenant_id tenant, const uint8_t serial[CERT_SERIAL_LEN], int reason,
                    const char *by, const char *comment, int64_t *ret_revoked_at, struct diag *diag);
/* The same, saying since when it is known or suspected to be bad (RFC 5280 5.3.2); unix seconds, not in the future; 0: not said. */
tm_err issue_revoke_since(struct house *h, tenant_id tenant, const uint8_t serial[CERT_SERIAL_LEN],
                          int reason, int64_t invalid_since, const char *by, const char *comment,
                          int64_t *ret_revoked_at, struct diag *diag);
/* Several at once: rows that were issued here, each with its own reason. */
struct issue_revocation {
    const struct cert_row *row;
    int reason;            /* enum crl_reason */
    int64_t invalid_since; /* RFC 5280 5.3.2, unix seconds; 0: not said */
};
struct issue_reasons {
    const char *by, *comment;
    const char *job; /* the mass revocation that it is part of (status/revocation.h); NULL: none */
    int64_t at_ms;   /* when it began, for measuring; 0: now */
};
/* All in one transaction, and with them `also`. TM_ECONFLICT when one of them has been revoked meanwhile (a hold may be made final), or
 * as the effects of `also` refuse: then nothing has been done. */
tm_err issue_revoke_set(struct house *h, tenant_id tenant, const struct issue_revocation *v, size_t n,
                        const struct issue_reasons *why, const struct effect *also, size_t n_also,
                        struct diag *diag);
tm_err issue_unrevoke(struct house *h, tenant_id tenant, const uint8_t serial[CERT_SERIAL_LEN],
                      const char *by, struct diag *diag);

/* What somebody says about a request, for those who decide it and for who asked: in its state and in the register. TM_ENOTFOUND, TM_EQUOTA. */
tm_err issue_comment(struct house *h, tenant_id tenant, const char *continuation_id, const char *by,
                     const char *comment, struct diag *diag);
/* Approve or reject what waits; approving issues at once and stores the result in the continuation. */
tm_err issue_approve(struct house *h, tenant_id tenant, const char *continuation_id, bool approve,
                     const char *by, const char *comment, struct diag *diag);

/* Bring a foreign or older certificate into the inventory (H1). *ret_new false when it was known. */
tm_err issue_import(struct house *h, tenant_id tenant, struct slice der, const char *by,
                    uint8_t ret_id[CERT_SERIAL_LEN], bool *ret_new, struct diag *diag);

/* Take the contents of an event out of the tenant's register; an event "register.erased" says that, by whom and why. Of what records a
 * signature its number and hashes stay, which the signer's chain is verified by. TM_ENOTFOUND, TM_ECONFLICT (erased already), TM_EFORBIDDEN
 * for events of the register itself. */
tm_err issue_erase(struct house *h, tenant_id tenant, uint64_t pos, const char *reason, const char *by,
                   struct diag *diag);

/* Enrollment tokens (one-time secrets). The secret is returned once; only its hash is kept. */
/* Who a provider said that somebody is (identity/provider.h), for as long as it stands here under the same issuer. */
struct vouched {
    const char *provider, *issuer; /* "" nobody: a principal of this house */
    const char *owner_of;
    bool all_tenants;
};
struct token_spec {
    const char *endpoint, *profile, *device; /* "" any */
    const char *const *names;                /* "DNS:…", "IP:…", "CN=…"; none: what the profile allows */
    size_t n_names;
    int64_t ttl;      /* seconds */
    int64_t max_uses; /* 1 by default */
    /* An API token instead: who it acts as, and a comma-separated subset of the principal\'s roles ("" all of them). */
    const char *principal, *roles;
    const char *scopes, *only_tenant; /* of an API token: what else it is limited to; NULL or "" nothing */
    /* An API token of somebody whom a provider vouches for, and who is no principal: `roles` are all that it gives. NULL: a principal's. */
    const struct vouched *vouched;
    bool
        external; /* the key of an external account for ACME instead (RFC 8555 7.3.4): the secret is its HMAC key */
    bool
        mac; /* reference and secret of a device that proves itself by MACs (CMP, RFC 9483 1.6): kept sealed, for MACs need it again (docs/adr/0009) */
    const char *by;
};
tm_err token_create(char **ret_id, char **ret_secret, struct arena *a, struct house *h, tenant_id tenant,
                    const struct token_spec *s, struct diag *diag);
/* Many at once, all or none, with one event for them: "{n}" in names and device is the token's number, from `first` on. */
enum { TOKEN_BATCH_MAX = 10000 };
struct token_made {
    char *id, *secret;
    const char *device;
    const char *const *names;
};
tm_err token_create_batch(struct token_made *ret, size_t n, int64_t first, struct arena *a, struct house *h,
                          tenant_id tenant, const struct token_spec *s, struct diag *diag);
/* `text` with the first "{n}" in it replaced; NULL stays. In `a`, or `text` itself. */
tm_err token_numbered(const char **ret, struct arena *a, const char *text, int64_t number);
/* Check a presented "<id>" + secret for an endpoint; fills caller->names, device_id, id. Does not consume. TM_EAUTH, TM_EEXPIRED. */
tm_err token_authenticate(struct caller *ret, char **ret_profile, struct arena *a, struct house *h,
                          tenant_id tenant, const char *endpoint, const char *id, struct slice secret,
                          struct diag *diag);
/* The key of an external account: what it grants (names, id) and for which profile, and its HMAC key. Does not consume. TM_EAUTH, TM_EEXPIRED. */
tm_err token_external(struct caller *ret, char **ret_profile, uint8_t ret_key[32], struct arena *a,
                      struct house *h, tenant_id tenant, const char *endpoint, const char *id,
                      struct diag *diag);
/* The same for a secret that MACs are made with: *ret_secret is its text, wiped by the caller. */
tm_err token_mac(struct caller *ret, char **ret_profile, char **ret_secret, struct arena *a, struct house *h,
                 tenant_id tenant, const char *endpoint, const char *id, struct diag *diag);
/* What an API token gives: who it acts as, and what it is limited to ("" all that the principal has): roles, scopes such as
 * "certificates:read", one tenant. */
struct token_grant {
    const char *principal, *roles, *scopes, *only_tenant;
    struct vouched vouched;
};
/* Check an API token "<id>.<secret>". */
tm_err token_principal(struct token_grant *ret, struct arena *a, struct house *h, tenant_id tenant,
                       const char *id, struct slice secret, struct diag *diag);
tm_err token_revoke(struct house *h, tenant_id tenant, const char *id, const char *by, struct diag *diag);

/* ---- refusals before the pipeline: unauthenticated ones are counted and recorded in windows (DESIGN 2.3) ------------------ */
void refusal_note(struct house *h, tenant_id tenant, enum door door, const char *endpoint, const char *peer,
                  const char *rule, const char *detail);
/* The same under another event's name, a constant: "session.refused". */
void refusal_note_as(struct house *h, const char *type, tenant_id tenant, enum door door,
                     const char *endpoint, const char *peer, const char *rule, const char *detail);
