/* identity/provider.h - OpenID Connect providers (the resource IdentityProvider): their secret, what they say of themselves (Discovery 1.0), their keys,
 * and the authorization code flow (Core 1.0 section 3.1) with PKCE (RFC 7636).
 *
 * Layer 5, blocking, thread-safe. What a provider says of itself is kept for ten minutes; its keys are asked for again when a token names another. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "identity/discovery.h"
#include "issue/provider_settings.h"
#include "store/store.h"
struct arena;
struct house;
struct session;

struct provider {
    tenant_id tenant;
    struct provider_doc doc;
};
/* TM_ENOTFOUND also where it is disabled. */
tm_err provider_read(struct provider *ret, struct arena *a, struct house *h, tenant_id tenant,
                     const char *name, struct diag *diag);

/* Does it stand here as it did when it vouched for somebody: not disabled, under the same issuer? TM_EAUTH where it does not. */
tm_err provider_vouches(struct arena *a, struct house *h, tenant_id tenant, const char *name,
                        const char *issuer, struct diag *diag);

enum { PROVIDER_SECRET_MAX = 512 };
/* Sealed by the signer (docs/adr/0009). Recorded as provider.secret-set. */
tm_err provider_set_secret(struct house *h, const struct provider *p, struct slice secret, const char *by,
                           struct diag *diag);
/* One that is not there is no error. */
tm_err provider_drop_secret(struct house *h, tenant_id tenant, const char *name, const char *by,
                            struct diag *diag);

/* Terminated; wiped by the caller. TM_EUNAVAIL where there is none, or it was given for another issuer. */
tm_err provider_secret(char ret[PROVIDER_SECRET_MAX + 1], struct arena *a, struct house *h,
                       const struct provider *p, struct diag *diag);

tm_err provider_config(struct provider_config *ret, struct arena *a, const struct provider *p,
                       struct diag *diag);
/* One exchange with it. TM_EUNAVAIL, also where it did not answer some seconds ago; TM_EBUSY where enough others wait for providers. */
struct https_request;
struct https_answer;
tm_err provider_ask(struct https_answer *ret, struct arena *a, const struct provider *p,
                    const struct https_request *q, struct diag *diag);
/* Its JWK Set, json_decref() it; `fresh`: asked for now, unless that was done within some seconds. */
tm_err provider_keys(json_t **ret, struct arena *a, const struct provider *p, bool fresh, struct diag *diag);

/* Where the browser goes. `state` is a ticket; nonce and verifier follow from it. */
tm_err oidc_begin(const char **ret_url, struct arena *a, const struct provider *p, const char *state,
                  const char *redirect_uri, struct diag *diag);
/* What the provider gave for the code: the claims of an ID token that is good, with those of its UserInfo endpoint where rules ask for more.
 * json_decref() them. TM_EDENIED, TM_EUNAVAIL, TM_EBADSIG. */
tm_err oidc_redeem(json_t **ret_claims, struct arena *a, struct house *h, const struct provider *p,
                   const char *state, const char *redirect_uri, const char *code, struct diag *diag);
/* Who that is here, by the rules: fills principal, roles, tenants. TM_EFORBIDDEN where no rule fits. `principal` of a rule has to be looked up. */
tm_err oidc_identify(struct session *ret, struct arena *a, const struct provider *p, const json_t *claims,
                     struct diag *diag);
/* Where the provider's own session is ended (RP-Initiated Logout 1.0); "" nowhere. */
tm_err oidc_logout(const char **ret, struct arena *a, const struct provider *p,
                   const struct provider_config *c, const char *back_to);
