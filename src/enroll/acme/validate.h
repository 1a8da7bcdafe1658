/* enroll/acme/validate.h - finding out whether an account controls a name (RFC 8555 section 8).
 *
 * Layer 5, thread-safe. Whatever is to be looked at stands in the store (a row with due_at): a validation that a crash interrupts begins
 * again. Attempts run on a bounded pool; what does not fit there waits in the store. Each kind of challenge is one file with one
 * descriptor (challenges[]). */
#pragma once
#include "base/buf.h"
#include "enroll/acme/acme.h"
#include "enroll/acme/errand.h"
#include "enroll/outbound/reach.h"

struct resolver;
struct resolvers;
struct validator;

tm_err validator_new(struct validator **ret, struct house *h);
/* Ends the threads; nothing is looked at afterwards. */
void validator_stop(struct validator *v);
void validator_free(struct validator *v);
/* Look at this authorization of an account soon. One account has a share of the threads and of the places to wait, no more. */
void validator_look(struct validator *v, tenant_id tenant, const char *authz, const char *owner);
/* Run an errand. TM_EBUSY: the owner, or everybody, has no place to wait; TM_ECONFLICT: there is one with this id; TM_EUNAVAIL: it ends. */
tm_err validator_errand(struct validator *v, tenant_id tenant, const char *id, const char *owner,
                        struct errand *e);
struct resolvers *validator_resolvers(struct validator *v);
/* Take up what is due in the store: the job. */
tm_err validator_sweep(struct validator *v, struct diag *diag);

/* ---- one attempt ---- */

struct attempt {
    const struct acme_settings *settings;
    struct resolver *resolver;
    struct arena *arena;
    const struct acme_identifier *identifier;
    const char *token;
    const char *key_authorization; /* token "." thumbprint */
    const char *account_url;
    bool wildcard; /* more than the name itself is to be proven */
    struct reach reach;
    /* the verdict, where it is not good */
    enum acme_problem problem;
    char detail[512];
    bool final; /* another attempt would be the same */
};

struct challenge {
    enum acme_challenge_type type;
    const char *name;
    bool wildcard;  /* proves wildcards */
    bool addresses; /* proves addresses */
    bool tokenless; /* needs no token */
    /* TM_OK: proven; else `problem` and `detail`. Blocking. */
    tm_err (*run)(struct attempt *t);
};
extern const struct challenge *const challenges[ACME_CHALLENGE_TYPES];
extern const struct challenge challenge_http_01, challenge_dns_01, challenge_tls_alpn_01,
    challenge_dns_account_01, challenge_dns_persist_01;

/* Set the verdict; returns TM_EDENIED. */
[[gnu::format(printf, 3, 4)]] tm_err attempt_failed(struct attempt *t, enum acme_problem p, const char *fmt,
                                                    ...);

/* dns_01.c: does TXT RDATA hold exactly this text, in however many strings? */
bool txt_rdata_is(struct slice rdata, struct slice wanted);
/* The digest of the key authorization (RFC 8555 8.4) stands in a TXT record at `name`. */
tm_err dns_digest_at(struct attempt *t, const char *name);

/* dns_persist_01.c: does a record's text, an issue-value (RFC 8659 4.2), let this account have the name at `now`? */
struct persist_wanted {
    const struct json_strings *issuers;
    const char *account_url;
    bool wildcard;
    int64_t now;
};
bool persist_accepts(struct slice text, const struct persist_wanted *w);

/* addresses.c: a connection to one of the addresses of a host (a name or an address) that may be connected to; none is a failure. *ret_fd
 * non-blocking. */
tm_err attempt_connect(int *ret_fd, struct attempt *t, const char *host, int port);
