/* api/principal.h - who calls the API: from the connection and the Authorization header to a principal with roles in a tenant.
 * Layer 5. Reads the store: on a thread that may block. */
#pragma once
#include "api/api.h"
#include "issue/issue.h"

/* What a transport knows of its caller. */
struct api_credentials {
    const char *local; /* "local:<uid>" for the admin socket and offline commands: house admin; NULL else */
    const char *authorization; /* header value, or NULL */
    struct slice client_cert;  /* DER, or empty */
    const char *cookie, *csrf; /* header values, or NULL */
    bool looking;              /* the house asks again for itself: that is no use of a session or token */
};

/* Split "/api/v1/tenants/<tenant>/…" into tenant and the bare path; fills c->tenant and c->path. TM_ENOTFOUND for an unknown tenant. */
tm_err api_tenant_from_path(struct api_call *c, const char *path, struct diag *diag);
/* Fill c->principal, roles, owner_of for c->tenant. Without any credential the call stays anonymous (principal NULL, TM_OK); a wrong one is TM_EAUTH. */
tm_err api_authenticate(struct api_call *c, const struct api_credentials *who, struct diag *diag);
/* From now on the call is made by this session, which is open: its principal and roles in c->tenant. TM_EAUTH where the principal is gone or disabled. */
tm_err api_adopt_session(struct api_call *c, const struct session *s, struct diag *diag);
/* Of whom this name is: a principal of the call's tenant or, where the caller may see those, of the house. NULL: nobody's. */
const struct principal *api_principal_named(const struct api_call *c, const char *name);
/* Whose API token "<id>.<secret>" is, in the house or in the call's tenant, and what it gives. *ret_principal is NULL where a provider vouches for
 * who it is (ret->vouched). TM_EAUTH, TM_EEXPIRED. */
tm_err api_token(struct token_grant *ret, const struct principal **ret_principal, tenant_id *ret_home,
                 const char **ret_id, const struct api_call *c, struct slice token, struct diag *diag);
