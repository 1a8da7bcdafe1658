/* identity/session.h - sessions: what a browser has after signing in (docs/adr of sessions and passkeys).
 *
 * Layer 5, blocking, thread-safe. The cookie holds "<tenant>.<id>.<secret>"; the store has a hash of the secret. A session ends when it was not
 * used for a while, and for good some hours after it began. The CSRF token follows from the secret, so that it belongs to this one. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "store/store.h"
#include <stdbool.h>

struct arena;
struct house;

enum {
    SESSION_IDLE = 30 * 60,    /* seconds without use */
    SESSION_LIFE = 12 * 3600,  /* seconds in all */
    SESSION_FRESH = 15 * 60,   /* so long after signing in ways to sign in may be changed */
    SESSION_TOUCH = 60,        /* how exactly the last use is known */
    SESSION_PER_USER_MAX = 50, /* the oldest leaves */
    SESSION_COOKIE_TEXT = 128,
    SESSION_CSRF_TEXT = 44,
};
#define SESSION_COOKIE "__Host-touchmark"

struct session {
    tenant_id tenant; /* where its principal lives */
    const char *id, *principal;
    const char *method; /* "passkey", "password", "recovery", "token", "invite", "oidc:<provider>" */
    const char *peer, *agent;
    const char *token; /* id of the API token that it began with, and with which it ends; "" none */
    /* limits of that token; "" none */
    const char *roles, *scopes, *only_tenant;
    /* of somebody whom another provider vouches for, and who is no principal here */
    bool external, all_tenants;
    const char *owner_of;
    const char *provider, *issuer; /* that they signed in by, also where it names a principal; "" none */
    const char *logout;            /* where the provider ends its own session; "" nowhere */
    int64_t opened_at, last_at, expires_at; /* unix seconds */
    int64_t version;
    const char *hash;
};

/* What is given out. */
struct session_opened {
    char cookie[SESSION_COOKIE_TEXT];
    char csrf[SESSION_CSRF_TEXT];
};
/* Begin one: `s` without id, times, hash. In one transaction with `more`, and recorded as session.opened. */
tm_err session_open(struct session_opened *ret, struct session *s, struct arena *a, struct house *h,
                    const struct effect *more, size_t n_more, struct diag *diag);
/* The one that a Cookie header names, and its CSRF token. With `use` that it was used is kept, now and then. TM_ENOTFOUND: none is named; TM_EAUTH. */
tm_err session_find(struct session *ret, char ret_csrf[SESSION_CSRF_TEXT], struct arena *a, struct house *h,
                    const char *cookie_header, bool use, struct diag *diag);
bool session_over(const struct session *s, int64_t now);
/* Of one principal, or with `principal` NULL of the tenant, newest last; those that are over left out. `after` and *ret_next page. */
tm_err sessions_list(struct session **ret, size_t *ret_n, const char **ret_next, struct arena *a,
                     struct house *h, tenant_id tenant, const char *principal, const char *after,
                     size_t limit, struct diag *diag);
tm_err session_read(struct session *ret, struct arena *a, struct house *h, tenant_id tenant, const char *id,
                    struct diag *diag);
/* End one. Recorded as session.closed; one that is gone is no error. */
tm_err session_end(struct house *h, const struct session *s, const char *by, const char *why,
                   struct diag *diag);
/* All of a principal's but `but` (NULL: all). */
tm_err sessions_end(size_t *ret_n, struct house *h, tenant_id tenant, const char *principal, const char *but,
                    const char *by, const char *why, struct diag *diag);
/* The value of one cookie of a Cookie header; false where it is not there, or twice. */
bool cookie_value(struct slice *ret, const char *header, const char *name);
