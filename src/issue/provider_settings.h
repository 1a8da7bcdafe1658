/* issue/provider_settings.h - the resource IdentityProvider: an OpenID Connect provider that vouches for people, and what they may do here.
 * Layer 4, plain data. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include <stdbool.h>

enum { PROVIDER_RULES_MAX = 64, PROVIDER_SCOPES_MAX = 16, PROVIDER_NETWORKS_MAX = 16 };

enum provider_client_auth { PROVIDER_AUTH_BASIC, PROVIDER_AUTH_POST, PROVIDER_AUTH_NONE };
extern const char *const provider_client_auth_names[]; /* of OpenID Connect Core 9 */

/* Whose claim has the value (a text, or a member of a list; "*": any) is a principal here, or has roles. */
struct provider_rule {
    const char *claim, *value;
    const char *principal; /* "" none */
    struct json_strings roles;
    const char *tenant;   /* of the house's provider: where the roles hold; "*" everywhere */
    const char *owner_of; /* role owner: whose devices; "{claim}" takes a claim's text */
};
struct provider_doc {
    const char *kind, *name, *tenant, *title;
    const char *issuer, *client_id;
    int client_auth; /* enum provider_client_auth */
    struct json_strings scopes;
    const char *name_claim;
    struct json_objects rules; /* struct provider_rule */
    const char *ca;            /* PEM: whom its TLS certificate is under; "" the system's */
    struct json_strings networks;
    int64_t timeout, skew; /* seconds */
    bool disabled;
};
extern const struct json_field provider_schema[];

/* What the schema can't say. TM_EINVAL. */
tm_err provider_check(const struct provider_doc *d, struct diag *diag);
