/* enroll/acme/acme.h - the ACME door (RFC 8555; RFC 8738 addresses, RFC 8737 tls-alpn-01, RFC 9773 renewal information).
 *
 * Layer 5. A request begins on its loop, is read and judged on a thread of the crypto pool (its signature is most of the work; a blocking
 * one where it waits for others), and is answered on its loop once what it changed is durable. exchange.c is that way; account.c, order.c,
 * finalize.c, certificate.c, revoke.c and authz.c are what can be asked for, each a function that fills the answer and the effects of one
 * transaction; rows.c turns rows of the store into structs and back; validate.h is about proof. Without a client go star_renew.c (by the
 * clock) and resume.c (by approval). */
#pragma once
#include "base/buf.h"
#include "enroll/acme/errand.h"
#include "enroll/acme/jws.h"
#include "enroll/acme/rows.h"
#include "enroll/door.h"
#include "issue/house.h"
#include "issue/issue.h"

struct authz_hints;
struct caa_order;
struct nonces;
struct profile;
struct validator;

/* What the door keeps while the server runs. */
struct acme {
    struct house *house;
    struct nonces *nonces;
    struct authz_hints *hints;
    struct validator *validator;
    char star_turn[80]; /* the job's: whose renewals come next where there are too many */
};
extern const struct door_descriptor acme_door;

/* ---- problems (RFC 8555 6.7) ---- */

enum acme_problem {
    ACME_P_NONE,
    ACME_P_ACCOUNT_DOES_NOT_EXIST,
    ACME_P_ALREADY_REPLACED,
    ACME_P_ALREADY_REVOKED,
    ACME_P_AUTO_RENEWAL_CANCELED, /* RFC 8739 */
    ACME_P_AUTO_RENEWAL_CANCELLATION_INVALID,
    ACME_P_AUTO_RENEWAL_EXPIRED,
    ACME_P_AUTO_RENEWAL_REVOCATION_NOT_SUPPORTED,
    ACME_P_BAD_CSR,
    ACME_P_BAD_NONCE,
    ACME_P_BAD_PUBLIC_KEY,
    ACME_P_BAD_REVOCATION_REASON,
    ACME_P_BAD_SIGNATURE_ALGORITHM,
    ACME_P_CAA,
    ACME_P_COMPOUND,
    ACME_P_CONNECTION,
    ACME_P_DNS,
    ACME_P_EXTERNAL_ACCOUNT_REQUIRED,
    ACME_P_INCORRECT_RESPONSE,
    ACME_P_INVALID_CONTACT,
    ACME_P_INVALID_PROFILE,
    ACME_P_MALFORMED,
    ACME_P_ORDER_NOT_READY,
    ACME_P_RATE_LIMITED,
    ACME_P_REJECTED_IDENTIFIER,
    ACME_P_SERVER_INTERNAL,
    ACME_P_TLS,
    ACME_P_UNAUTHORIZED,
    ACME_P_UNSUPPORTED_CONTACT,
    ACME_P_UNSUPPORTED_IDENTIFIER,
    ACME_P_USER_ACTION_REQUIRED,
    ACME_P_COUNT
};
int acme_problem_status(enum acme_problem p);
const char *acme_problem_name(enum acme_problem p); /* "malformed" */
/* The one that an error stands for where nobody said more exactly. */
enum acme_problem acme_problem_of(tm_err e);
/* {"type": …, "detail": …, "status": …} with more members (",\"subproblems\":[…]") where `more` is not empty; `status` 0: the problem's
 * usual one. */
void acme_put_problem(struct buf *out, enum acme_problem p, int status, const char *detail,
                      struct slice more);

/* ---- one request ---- */

enum acme_auth {
    ACME_BY_KID,        /* the key of an account that stands */
    ACME_BY_JWK,        /* a key of its own: newAccount */
    ACME_BY_KID_OR_JWK, /* revokeCert */
    ACME_BY_ANYONE,     /* not signed at all */
};

enum { ACME_EFFECTS_MAX = 512, ACME_BODY_MAX = 512 << 10, ACME_QUOTA_WINDOW = 3600 };

/* An order on its way through the pipeline; the request's priv_door. */
struct acme_issuing {
    struct acme_order *order;
    struct acme_order *issued; /* as it is committed with the certificate */
    int64_t retention;         /* the endpoint's, seconds */
    int64_t star_index;        /* which of an order that renews itself */
    bool keep;                 /* the order keeps the certificate, because the inventory will not */
};

struct acme_exchange;
struct acme_operation {
    enum acme_auth auth;
    tm_err (*run)(struct acme_exchange *x, struct diag *diag);
    bool anyone; /* also an account that is deactivated may (so that it learns that) */
    bool waits;  /* it waits for others: for a commit, for an issue */
};

struct acme_exchange {
    struct http_request *request;
    struct acme *acme;
    struct house *house;
    struct catalog *catalog; /* a reference, until the answer */
    const struct endpoint *endpoint;
    const struct acme_settings *settings;
    struct arena *arena; /* the request's */
    const char *base;    /* "https://name:port/acme/<endpoint>", where all addresses begin */
    const struct acme_operation *operation;
    struct task work, written, answer;
    bool admitted;  /* the request itself was right, its nonce is used up */
    bool may_wait;  /* it is on a thread where it may wait for others */
    bool must_wait; /* said by `run`, which then is called again on such a thread */
    unsigned tries; /* how often another request came in between */

    struct jws jws;
    struct acme_account *account; /* NULL: signed by a key of its own */

    /* the answer */
    int status;
    const char *type; /* NULL: JSON */
    struct buf body;
    const char *location;
    const char *links[8];                         /* values of Link fields but "index"; ended by NULL */
    const char *cert_not_before, *cert_not_after; /* fields of RFC 8739 3.3; NULL: none */
    unsigned retry_after;
    tm_err err;
    struct diag diag;
    enum acme_problem problem; /* what err is to the client; ACME_P_NONE: by its class */
    struct buf subproblems;    /* objects, comma-separated */

    /* what becomes durable before it */
    struct effect *effects;
    size_t n_effects, cap_effects;
    struct store_txn txn;
    const char *validate; /* authorization to look at once it is durable; NULL: none */

    /* finalize: the pipeline answers */
    struct issue_request *issue;
    struct acme_issuing issuing;
    struct caa_order *caa; /* to be looked at before; NULL: nothing */
    struct errand errand;
};

/* Say what is wrong and how the client shall read it; returns `e`. */
[[gnu::format(printf, 5, 6)]] tm_err acme_refuse(struct acme_exchange *x, enum acme_problem p, tm_err e,
                                                 const char *rule, const char *fmt, ...);
/* One more of RFC 8555 6.7.1; `identifier` may be NULL. */
void acme_subproblem(struct acme_exchange *x, enum acme_problem p, const struct acme_identifier *identifier,
                     const char *detail);
/* Room for one more effect, zeroed but for the tenant; NULL: the request is too large. */
struct effect *acme_effect(struct acme_exchange *x);
/* One more of at most `max` (0: any number) in this hour, counted under `name` (NULL: TM_ENOMEM). What is over is rateLimited. */
tm_err acme_take_quota(struct acme_exchange *x, const char *name, int64_t max);
/* The row, as it was changed, as an effect. */
tm_err acme_put_row(struct acme_exchange *x, const struct object_row *row, bool unique);
/* An event about an account or order in the same transaction. `fields` as register_event_body(). */
struct event_field;
tm_err acme_put_event(struct acme_exchange *x, const char *type, const char *subject,
                      const struct event_field *fields);
/* <base>/<fmt…> in the arena; NULL when out of memory. */
[[gnu::format(printf, 2, 3)]] const char *acme_url(struct acme_exchange *x, const char *fmt, ...);
/* The part of an address behind "<base>/<what>/", when it is one of this endpoint's: accounts are known by their address, whatever
 * name of the server stands in it. NULL otherwise. */
const char *acme_url_id(const struct acme_exchange *x, const char *url, const char *what);
/* The payload, an object; json_decref() it. What is not known in it is passed over. */
tm_err acme_payload(json_t **ret, struct acme_exchange *x, struct diag *diag);
/* Is the request POST-as-GET (RFC 8555 6.3)? */
bool acme_is_get(const struct acme_exchange *x);
/* The row named by the path's {id}, if it is the account's; else the problem. */
tm_err acme_own_row(struct object_row *ret, struct acme_exchange *x, enum object_kind kind, const char *id,
                    struct diag *diag);

/* The work of the request goes on at the answer: its task, on the loop. */
void acme_answer(struct acme_exchange *x);
/* The same, from the loop. */
void acme_answer_here(struct acme_exchange *x);
/* Serve a signed request (a handler's whole body). */
void acme_serve(struct http_request *r, const struct acme_operation *op);
/* Which endpoint a path names; NULL (and answered): none that is open. `c` must stay referenced. */
const struct endpoint *acme_endpoint(struct catalog *c, struct http_request *r);
const char *acme_base(struct http_request *r, const struct endpoint *ep, const char *label);
void acme_reply_not_found(struct http_request *r);
/* A fresh nonce and "index" go with every answer. */
void acme_reply(struct http_request *r, int status, const char *type, struct slice body,
                const struct http_header *more, const char *base);

/* ---- what can be asked for ---- */

extern const struct acme_operation acme_new_account, acme_account, acme_orders,
    acme_key_change;                                                               /* account.c */
extern const struct acme_operation acme_new_order, acme_get_order;                 /* order.c */
extern const struct acme_operation acme_new_authz, acme_get_authz, acme_challenge; /* authz.c */
extern const struct acme_operation acme_finalize;                                  /* finalize.c */
extern const struct acme_operation acme_certificate, acme_star_certificate,
    acme_star_certificate_get;                   /* certificate.c */
extern const struct acme_operation acme_revoke;  /* revoke.c */
void acme_get_directory(struct http_request *r); /* directory.c */
void acme_get_nonce(struct http_request *r);
void acme_get_renewal_info(struct http_request *r); /* renewal.c */

/* ---- shared by them ---- */

/* finalize.c: send the request that was prepared on its way, with what has to be looked at before. */
void acme_finalize_go(struct acme_exchange *x);
/* The enrollment of an order, but for its request and times. */
void acme_issue_fill(struct issue_request *i, const struct catalog *c, const struct endpoint *ep,
                     struct acme_issuing *issuing, const struct acme_account *account);
/* What becomes of the order in the transaction of its certificate: an issue_request's `also`. */
tm_err acme_order_issued(struct issue_request *i, struct effect *ret, size_t *ret_n);
/* resume.c: what the house asks before a request of this door is issued that had to be approved. */
tm_err acme_resume(struct issue_request *r, struct diag *diag);

/* May a certificate of this profile have the name? The problem is added to the subproblems, and *ret_bad becomes the request's. */
tm_err acme_name_check(struct acme_exchange *x, const struct profile *p, const char *type, const char *value,
                       struct acme_identifier *ret, bool *ret_wildcard, enum acme_problem *ret_bad,
                       struct diag *diag);
/* order.c: the order as an object, with its state as it is now. */
void acme_put_order(struct buf *out, struct acme_exchange *x, const struct acme_order *o,
                    enum acme_status status);
/* What the order's state really is: its own, that of its authorizations, and that of the request that waits for approval; what came of
 * the latter is put into the effects. */
tm_err acme_order_status(enum acme_status *ret, struct acme_exchange *x, struct acme_order *o,
                         struct diag *diag);
/* One more order, or authorization without one, of the account in this hour. */
tm_err acme_take_order(struct acme_exchange *x);
/* Read the order of the path's {id}. */
tm_err acme_own_order(struct acme_order *ret, struct acme_exchange *x, struct diag *diag);
/* authz.c: a new authorization in the making; names that the account was granted are valid at once. */
tm_err acme_authz_make(struct acme_authz *ret, struct acme_exchange *x, const struct acme_identifier *id,
                       bool wildcard, struct diag *diag);
/* One that can serve again: valid (or pending) for this name, or valid for a domain above it (RFC 9444), and not about to end.
 * TM_ENOTFOUND. */
tm_err acme_authz_reuse(struct acme_authz *ret, struct acme_exchange *x, const struct acme_identifier *id,
                        bool wildcard, struct diag *diag);
/* subdomain.c (RFC 9444). May an authorization for a domain and what is below it be had here: is it switched on, and is there a
 * challenge that proves so much? */
bool acme_subdomains_offered(const struct acme_exchange *x);
/* One for a domain and the names below it: one that is there, or a new one. */
tm_err acme_subdomains_authorize(struct acme_authz *ret, struct acme_exchange *x,
                                 const struct acme_identifier *domain, struct diag *diag);
/* A valid one for a domain that is or is above the name. TM_ENOTFOUND. */
tm_err acme_subdomains_cover(struct acme_authz *ret, struct acme_exchange *x,
                             const struct acme_identifier *id, struct diag *diag);
/* The "ancestorDomain" of an order's identifier; *ret without a value where there is none that counts. The problem is set. */
tm_err acme_ancestor_read(struct acme_identifier *ret, struct acme_exchange *x, const json_t *item,
                          const struct acme_identifier *id, bool wildcard);
/* authz.c, for it: as acme_authz_reuse() of exactly this key; as acme_authz_make(), never granted. */
tm_err acme_authz_find(struct acme_authz *ret, struct acme_exchange *x, const struct acme_identifier *id,
                       bool wildcard, bool subdomains, struct diag *diag);
tm_err acme_authz_make_below(struct acme_authz *ret, struct acme_exchange *x,
                             const struct acme_identifier *domain);
/* Was the name granted to the account by its external key? */
tm_err acme_granted(bool *ret, struct acme_exchange *x, const char *text, struct diag *diag);
void acme_put_authz(struct buf *out, struct acme_exchange *x, const struct acme_authz *z);
/* What its state really is: its own, its time's, and that of the external key by which it was granted. */
tm_err acme_authz_status(enum acme_status *ret, struct acme_exchange *x, const struct acme_authz *z,
                         struct diag *diag);
/* authz.c: is an external key, by which names were granted, still good? */
tm_err acme_key_stands(bool *ret, struct house *h, struct arena *a, tenant_id tenant, const char *key,
                       struct diag *diag);
/* eab.c: the key behind an external account binding; TM_EAUTH and others with the problem set. */
tm_err acme_external_account(struct acme_account *ret, struct acme_exchange *x, const json_t *binding,
                             struct diag *diag);
/* renewal.c: an ARI certificate id (RFC 9773 4.1) to a serial of ours. TM_EMALFORMED; TM_ENOTFOUND when no authority of this tenant has
 * that key. */
tm_err acme_cert_id_parse(uint8_t ret[CERT_SERIAL_LEN], struct arena *a, const struct catalog *c,
                          tenant_id tenant, const char *text);
