/* identity/device_grant.h - logins of the command line, confirmed by a person in a browser (RFC 8628).
 *
 * Layer 5, blocking, thread-safe. The device code is a secret of which the store has a hash; the user code is short, for people to type, and is worth
 * nothing without somebody who has signed in. */
#pragma once
#include "base/err.h"
#include "store/store.h"
#include <stdbool.h>
struct arena;
struct house;

enum {
    GRANT_SECONDS = 600,
    GRANT_INTERVAL = 5, /* seconds between two questions of the client */
    GRANT_PENDING_MAX = 500,
    GRANT_CODE_TEXT = 10, /* "BCDF-GHJK" */
    GRANT_DEVICE_TEXT = 44,
    GRANT_TTL_MAX = 30 * 86400,
};
enum grant_status { GRANT_PENDING = 1, GRANT_APPROVED, GRANT_DENIED, GRANT_USED };

struct grant {
    tenant_id tenant;
    const char *id, *user_code;
    enum grant_status status;
    const char *client, *peer;  /* what the client calls itself, and where it asked from */
    const char *roles, *scopes; /* what it wants: with commas; "" all */
    int64_t ttl;                /* of the token */
    int64_t created_at, expires_at, version;
    /* once approved */
    const char *principal, *only_tenant;
    int64_t home; /* the principal's tenant */
    /* of somebody whom a provider vouches for, and who is no principal: `roles` are all that the token gives. "" a principal */
    const char *provider, *issuer, *owner_of;
    bool all_tenants;
    int64_t ends_at; /* unix seconds: when the token ends at the latest; 0: after its ttl */
};
/* Begin one: client, peer, roles, scopes, ttl, tenant are set. TM_EQUOTA where too many wait. */
tm_err grant_begin(struct grant *g, char ret_device_code[GRANT_DEVICE_TEXT], struct arena *a, struct house *h,
                   struct diag *diag);
/* By what a person types: in upper or lower case, with or without the hyphen. TM_ENOTFOUND also where it is over. */
tm_err grant_by_user_code(struct grant *ret, struct arena *a, struct house *h, tenant_id tenant,
                          const char *code, struct diag *diag);
tm_err grant_by_device_code(struct grant *ret, struct arena *a, struct house *h, tenant_id tenant,
                            const char *code, struct diag *diag);
/* Decide or use one: TM_ECONFLICT where somebody else was quicker. Recorded as login.approved or login.denied. */
tm_err grant_change(struct grant *g, enum grant_status status, const char *by, struct arena *a,
                    struct house *h, struct diag *diag);
