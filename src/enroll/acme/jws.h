/* enroll/acme/jws.h - requests as ACME signs them: flattened JWS (RFC 7515 section 7.2.2) by the rules of RFC 8555 section 6.2.
 *
 * Layer 5, pure. Parsing checks form only: nonce, url and signature are for the caller to hold against what it knows. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "keys/jwk.h"
struct arena;

/* The largest thing that is signed is a certificate or a request with a hundred names, in base64 twice. */
enum { JWS_MAX = 256 << 10, JWS_HEADER_MAX = 16 << 10 };

enum jws_rule {
    JWS_OUTER,   /* a request: nonce and url, and one of jwk and kid */
    JWS_INNER,   /* the inner part of a key change (RFC 8555 7.3.5): url and jwk, no nonce */
    JWS_BINDING, /* an external account binding (7.3.4): HS256, kid and url, no nonce */
};

struct jws {
    struct slice protected_text; /* base64url, as signed */
    struct slice payload_text;
    struct slice payload;                /* decoded; empty for POST-as-GET */
    struct slice signature;              /* decoded */
    const char *alg, *nonce, *url, *kid; /* NULL where absent */
    bool has_jwk;
    struct jwk jwk;
};

/* Everything in `a`. TM_EMALFORMED, TM_EINVAL, TM_ETOOBIG; TM_EUNSUPPORTED for an algorithm or kind of key that is not taken. */
tm_err jws_parse(struct jws *ret, struct arena *a, struct slice text, enum jws_rule rule, struct diag *diag);
/* The same for a JWS that stands as an object inside a payload. */
tm_err jws_read(struct jws *ret, struct arena *a, const json_t *doc, enum jws_rule rule, struct diag *diag);
/* As jws_signature_verify(). */
tm_err jws_verify(const struct jws *j, struct arena *a, const struct spki *key, struct diag *diag);
/* HS256 of a binding (RFC 7518 3.2). */
tm_err jws_verify_mac(const struct jws *j, struct arena *a, struct slice key, struct diag *diag);
