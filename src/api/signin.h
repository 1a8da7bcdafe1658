/* api/signin.h - what the handlers of sessions, accounts and users share. Layer 5, private to api/. */
#pragma once
#include "api/groups.h"
#include "identity/session.h"
#include "identity/user.h"
#include <jansson.h>

struct principal;

enum { API_ANYONE = ROLE_AUDITOR | ROLE_OPERATOR | ROLE_OWNER | ROLE_ADMIN, SIGNIN_BODY = 64 << 10 };

/* Begin a session for a principal, after which the call is its own: cookie and c->session are set, the session that the caller had before is over.
 * `s` as session_open() wants it, without peer and agent; `more` goes into the same transaction. */
tm_err signin_open(struct api_call *c, struct session *s, const struct effect *more, size_t n_more,
                   struct diag *diag);
/* {"id":…}; `csrf` only for whose session it is. */
void put_session(struct buf *out, const struct api_call *c, const struct session *s, const char *csrf);
void put_passkey(struct buf *out, const struct passkey *k);
/* {"passkeys":…} of a user. */
tm_err put_credentials(struct buf *out, const struct api_call *c, tenant_id tenant, const char *name,
                       struct diag *diag);
/* Octets of a base64url member of an object of the Web Authentication API, in the call's arena. TM_EINVAL, TM_ETOOBIG. */
tm_err signin_octets(struct slice *ret, const struct api_call *c, const json_t *object, const char *name,
                     size_t max, struct diag *diag);
/* From a refusal to its record, and Retry-After. */
tm_err signin_refused(struct api_call *c, tm_err e, const char *user, int64_t wait, const struct diag *diag);
/* An address may try. TM_EQUOTA, with Retry-After set. */
tm_err signin_try_address(struct api_call *c, struct diag *diag);
void signin_address_good(const struct api_call *c);
/* The keys that attempts on a user are counted under: with a password, from a place that the user signed in from before (user_place()) or "" from all
 * others together; with a token and a code. */
const char *signin_user_key(const struct api_call *c, tenant_id tenant, const char *name, const char *place);
const char *signin_token_key(const struct api_call *c, tenant_id tenant, const char *name);
/* A tenant where the caller's principal may live: the house first. */
enum { SIGNIN_HOMES = 2 };
void signin_homes(tenant_id ret[SIGNIN_HOMES], const struct api_call *c);
