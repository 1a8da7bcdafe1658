/* identity/userinfo.h - what a provider says of somebody beside the ID token: its UserInfo endpoint (OpenID Connect Core 1.0 section 5.3). Claims that
 * a scope asks for need not stand in the ID token of the code flow (section 5.4).
 *
 * Layer 5, blocking. */
#pragma once
#include "base/err.h"
#include "base/json.h"
struct arena;
struct diag;
struct provider;
struct provider_config;

/* Does a rule, or the name, ask for a claim that the ID token has not? */
bool userinfo_wanted(struct arena *a, const struct provider *p, const json_t *claims);
/* Add what `info` says and the ID token's claims do not. TM_EDENIED where it is of somebody else. */
tm_err userinfo_merge(json_t *claims, const json_t *info, struct diag *diag);
/* Ask with the access token of the token endpoint's answer and add to the claims, where that is wanted and the provider has such an endpoint. One that
 * gives nothing for this token (401, 403) adds nothing. TM_EUNAVAIL, TM_EDENIED. */
tm_err userinfo_complete(json_t *claims, struct arena *a, const struct provider *p,
                         const struct provider_config *c, const json_t *answer, struct diag *diag);
