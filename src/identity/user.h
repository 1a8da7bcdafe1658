/* identity/user.h - how a principal signs in: passkeys, a password with one-time codes, recovery codes; and the invitation that lets a person set
 * these up (docs/adr of sessions and passkeys).
 *
 * Layer 5, blocking, thread-safe. A user is a Principal (issue/catalog.h) of a tenant or of the house; what is here belongs to its name. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "identity/webauthn.h"
#include "store/store.h"
#include <stdbool.h>

struct arena;
struct house;

enum {
    USER_PASSKEYS_MAX = 20,
    USER_RECOVERY_CODES = 10,
    USER_RECOVERY_TEXT = 20, /* "abcd-efgh-ijkl-mnop" */
    USER_PLACES = 8,         /* addresses that are remembered */
    USER_NAME_MAX = 63,
    USER_LABEL_MAX = 100,
    USER_INVITE_TTL_MAX = 30 * 86400,
    USER_INVITE_TEXT = 96,
};

struct user {
    tenant_id tenant;
    const char *name;
    /* what is kept */
    const char *handle;           /* hex; what authenticators know the user by: random */
    const char *password;         /* PHC text; "" none */
    const char *totp;             /* the sealed secret, base64; "" none */
    int64_t totp_step;            /* the last that was used */
    struct json_strings recovery; /* hashes */
    struct json_strings
        places;           /* hashes of the addresses that the user signed in from last, the newest first */
    int64_t signed_in_at; /* unix seconds; 0: never */
    int64_t created_at;
    int64_t version; /* 0: nothing is kept yet */
};
/* TM_OK with version 0 where nothing is kept. */
tm_err user_read(struct user *ret, struct arena *a, struct house *h, tenant_id tenant, const char *name,
                 struct diag *diag);
tm_err user_by_handle(struct user *ret, struct arena *a, struct house *h, tenant_id tenant,
                      struct slice handle, struct diag *diag);
/* The same, and the user has a handle from now on. */
tm_err user_ensure(struct user *ret, struct arena *a, struct house *h, tenant_id tenant, const char *name,
                   struct diag *diag);
/* Did the user sign in from there before? *ret_place is what the address is remembered by, "" where it is not. Guesses of others elsewhere do
 * not count against who did. */
tm_err user_place(const char **ret_place, struct arena *a, const struct user *u, const char *address);
/* From now on; for user_effect(). */
tm_err user_signed_in(struct user *u, struct arena *a, const char *address);
/* Keep what has changed: TM_ECONFLICT where somebody else did so meanwhile. */
tm_err user_effect(struct effect *ret, struct arena *a, const struct user *u);

/* Nothing of a principal that is gone stays: passkeys, password, invitation, sessions, API tokens. */
tm_err user_forget(struct house *h, tenant_id tenant, const char *name, const char *by, struct diag *diag);

/* ---- passkeys ---- */

struct passkey {
    tenant_id tenant;
    const char *id;    /* of the row: hex */
    const char *owner; /* user's name */
    const char *label;
    const char *credential; /* base64url of the authenticator's id */
    const char *key;        /* SPKI, base64 */
    int64_t alg;            /* COSE's */
    const char *rp_id;
    const char *aaguid; /* hex */
    int64_t count;
    bool backed_up;
    int64_t used_at; /* unix seconds; 0: never */
    int64_t created_at;
    int64_t version;
};
tm_err passkey_by_credential(struct passkey *ret, struct arena *a, struct house *h, tenant_id tenant,
                             struct slice credential_id, struct diag *diag);
tm_err passkeys_of(struct passkey **ret, size_t *ret_n, struct arena *a, struct house *h, tenant_id tenant,
                   const char *name, struct diag *diag);
/* A new one; TM_ECONFLICT where it is known already, TM_EQUOTA where the user has USER_PASSKEYS_MAX. */
tm_err passkey_new(struct effect *ret, struct passkey *ret_key, struct arena *a, struct house *h,
                   const struct user *u, const struct webauthn_credential *c, const char *rp_id,
                   const char *label, struct diag *diag);
tm_err passkey_effect(struct effect *ret, struct arena *a, const struct passkey *k);
/* TM_ENOTFOUND where it is not this user's. Recorded as passkey.removed. */
tm_err passkey_remove(struct house *h, tenant_id tenant, const char *name, const char *id, const char *by,
                      struct diag *diag);

/* ---- a password with one-time codes ---- */

/* New ones take the place of what was there. *ret_codes are shown once. */
tm_err user_set_password(struct user *u, struct arena *a, struct house *h, struct slice password,
                         const uint8_t totp_secret[32], char ret_codes[][USER_RECOVERY_TEXT],
                         struct diag *diag);
tm_err user_clear_password(struct house *h, tenant_id tenant, const char *name, const char *by,
                           struct diag *diag);
/* Is it a code of the app's, or one of the recovery codes? What it is used up for stands in *u, for user_effect(). TM_EAUTH. */
tm_err user_check_code(struct user *u, bool *ret_recovery, struct arena *a, struct house *h, const char *code,
                       struct diag *diag);

/* ---- invitations ---- */

struct invite {
    tenant_id tenant;
    const char *id, *name, *by;
    int64_t expires_at, version;
    const char *hash;
};
/* "<tenant>.<id>.<secret>" for the user, once; an earlier one is no longer good. Recorded as user.invited. */
tm_err invite_make(char ret[USER_INVITE_TEXT], struct arena *a, struct house *h, tenant_id tenant,
                   const char *name, int64_t ttl, const char *by, int64_t *ret_expires, struct diag *diag);
/* TM_EAUTH, TM_EEXPIRED. */
tm_err invite_find(struct invite *ret, struct arena *a, struct house *h, const char *text, struct diag *diag);
/* What makes it used: TM_ECONFLICT where it was meanwhile. */
tm_err invite_use(struct effect *ret, struct arena *a, const struct invite *i);
/* The one that waits. TM_ENOTFOUND. */
tm_err invite_of(struct invite *ret, struct arena *a, struct house *h, tenant_id tenant, const char *name,
                 struct diag *diag);
tm_err invite_withdraw(struct house *h, tenant_id tenant, const char *name, const char *by,
                       struct diag *diag);
