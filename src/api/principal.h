/* api/principal.h - who calls the API: from the connection and the Authorization header to a principal with roles in a tenant.
 * Layer 5. Reads the store: on a thread that may block. */
#pragma once
#include "api/api.h"

/* What a transport knows of its caller. */
struct api_credentials {
    const char *local; /* "local:<uid>" for the admin socket and offline commands: house admin; NULL else */
    const char *authorization; /* header value, or NULL */
    struct slice client_cert;  /* DER, or empty */
};

/* Split "/api/v1/tenants/<tenant>/…" into tenant and the bare path; fills c->tenant and c->path. TM_ENOTFOUND for an unknown tenant. */
tm_err api_tenant_from_path(struct api_call *c, const char *path, struct diag *diag);
/* Fill c->principal, roles, owner_of for c->tenant. Without any credential the call stays anonymous (principal NULL, TM_OK); a wrong one is TM_EAUTH. */
tm_err api_authenticate(struct api_call *c, const struct api_credentials *who, struct diag *diag);
