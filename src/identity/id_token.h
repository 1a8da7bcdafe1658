/* identity/id_token.h - ID tokens of OpenID Connect (Core 1.0 section 2, 3.1.3.7): a JWS in compact form (RFC 7515 7.1) and its claims.
 *
 * Layer 5, pure. Algorithms are those of keys/jwk.h: by a public key, never "none" and never by a MAC. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
struct arena;

enum { ID_TOKEN_MAX = 64 << 10, JWKS_MAX = 256 << 10, JWKS_KEYS_MAX = 64 };

struct id_token {
    const char *alg, *kid; /* "" without one */
    struct slice input;    /* what is signed */
    struct slice signature;
    json_t *claims; /* an object; id_token_done() it */
};
/* TM_EMALFORMED, TM_ETOOBIG, TM_EUNSUPPORTED for an algorithm that is not taken. */
tm_err id_token_parse(struct id_token *ret, struct arena *a, struct slice text, struct diag *diag);
void id_token_done(struct id_token *t);
/* By one of a JWK Set's keys (RFC 7517 5): of the key id that it names, or where it names none by any. TM_ENOTFOUND: no key fits; TM_EBADSIG. */
tm_err id_token_verify(const struct id_token *t, struct arena *a, const json_t *jwks, struct diag *diag);

struct id_token_wanted {
    const char *issuer, *client_id, *nonce;
    int64_t now, skew;
};
/* Issuer, audience, authorized party, times, nonce. TM_EDENIED. */
tm_err id_token_check(const struct id_token *t, const struct id_token_wanted *w, struct diag *diag);
