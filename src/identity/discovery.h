/* identity/discovery.h - what an OpenID Connect provider says of itself (Discovery 1.0 section 4.2), as far as it is used here. Layer 5, pure. */
#pragma once
#include "base/err.h"
#include "base/json.h"
struct arena;

enum { DISCOVERY_ADDRESS_MAX = 2000 };

/* "" where it does not say. */
struct provider_config {
    const char *authorization, *token, *jwks, *userinfo, *logout;
};

/* Out of the document of the provider that the resource calls `issuer`. TM_EUNAVAIL: it is another's, or says too little; TM_ENOMEM. */
tm_err discovery_read(struct provider_config *ret, struct arena *a, const char *issuer, const json_t *doc,
                      struct diag *diag);
