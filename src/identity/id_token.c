#include "identity/id_token.h"
#include "base/arena.h"
#include "keys/jwk.h"
#include <string.h>

enum { HEADER_MAX = 8 << 10, PARTS = 3, TEXT_MAX = 2048 };

/* ---- form ---- */

static const char *text_of(const json_t *doc, const char *name)
{
    const json_t *v = json_object_get(doc, name);
    const char *s = json_string_value(v);
    return s && json_string_length(v) <= TEXT_MAX && strlen(s) == json_string_length(v) ? s : NULL;
}

static tm_err read_header(struct id_token *ret, struct arena *a, const json_t *header, struct diag *diag)
{
    const char *alg = text_of(header, "alg"), *kid = text_of(header, "kid");
    /* RFC 7515 4.1.11: what is critical and not understood */
    if (json_object_get(header, "crit") || json_object_get(header, "b64"))
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 7515 4.1.11", "crit",
                         "critical extensions of JWS are not taken");
    /* Core 3.1.3.7.8; also RFC 8725 3.1: never what the token alone says */
    if (!alg || !jws_alg_known(alg))
        return diag_fail(diag, TM_EUNSUPPORTED, "OpenID Connect Core 3.1.3.7", "alg",
                         "this signature algorithm is not taken");
    ret->alg = arena_strdup(a, alg);
    ret->kid = arena_strdup(a, kid ? kid : "");
    return ret->alg && ret->kid ? TM_OK : TM_ENOMEM;
}

static tm_err object(json_t **ret, struct arena *a, struct slice text, size_t max, struct diag *diag)
{
    struct slice octets;
    if (base64url_strict(&octets, a, text) != TM_OK)
        return diag_fail(diag, TM_EMALFORMED, "RFC 7515 2", NULL, "a part of the token is not base64url");
    TM_TRY(json_parse(ret, octets, max, diag));
    if (json_is_object(*ret))
        return TM_OK;
    json_decref(*ret);
    *ret = NULL;
    return diag_fail(diag, TM_EMALFORMED, "RFC 7519 7.2", NULL, "a part of the token is not an object");
}

/* RFC 7515 7.1: header "." payload "." signature */
static bool split(struct slice ret[PARTS], struct slice text)
{
    for (int i = 0; i < PARTS; i++) {
        const uint8_t *dot = text.n ? memchr(text.p, '.', text.n) : NULL;
        if ((i < PARTS - 1) != (dot != NULL))
            return false;
        size_t n = dot ? (size_t)(dot - text.p) : text.n;
        ret[i] = slice_sub(text, 0, n);
        text = slice_sub(text, n + 1, SIZE_MAX);
    }
    return true;
}

tm_err id_token_parse(struct id_token *ret, struct arena *a, struct slice text, struct diag *diag)
{
    struct slice part[PARTS];
    struct id_token t = {0};
    json_t *header = NULL;
    if (text.n > ID_TOKEN_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "id_token", "at most %d octets", ID_TOKEN_MAX);
    if (!split(part, text))
        return diag_fail(diag, TM_EMALFORMED, "RFC 7515 7.1", "id_token", "it is not a JWS of three parts");
    TM_TRY(object(&header, a, part[0], HEADER_MAX, diag));
    tm_err e = read_header(&t, a, header, diag);
    json_decref(header);
    TM_TRY(e);
    if (base64url_strict(&t.signature, a, part[2]) != TM_OK)
        return diag_fail(diag, TM_EMALFORMED, "RFC 7515 2", "signature", "the signature is not base64url");
    t.input = slice_sub(text, 0, part[0].n + 1 + part[1].n);
    TM_TRY(object(&t.claims, a, part[1], ID_TOKEN_MAX, diag));
    *ret = t;
    return TM_OK;
}

void id_token_done(struct id_token *t)
{
    json_decref(t->claims);
    t->claims = NULL;
}

/* ---- signature ---- */

/* RFC 7517 4.2, 4.4: a key for encryption, or for another algorithm, is none of ours. */
static bool may_be(const json_t *key, const struct id_token *t)
{
    const char *use = text_of(key, "use"), *alg = text_of(key, "alg"), *kid = text_of(key, "kid");
    return (!use || strcmp(use, "sig") == 0) && (!alg || strcmp(alg, t->alg) == 0) &&
           (!t->kid[0] || (kid && strcmp(kid, t->kid) == 0));
}

tm_err id_token_verify(const struct id_token *t, struct arena *a, const json_t *jwks, struct diag *diag)
{
    const json_t *keys = json_object_get(jwks, "keys");
    tm_err e = diag_fail(diag, TM_ENOTFOUND, "RFC 7517 5", "kid", "the provider has no key \"%s\"", t->kid);
    for (size_t i = 0; i < json_array_size(keys) && i < JWKS_KEYS_MAX; i++) {
        const json_t *key = json_array_get(keys, i);
        struct jwk jwk;
        struct diag why = {0};
        if (!may_be(key, t) || jwk_parse(&jwk, a, key, &why) != TM_OK)
            continue;
        e = jws_signature_verify(&jwk.spki, t->alg, t->input, t->signature, diag);
        if (e == TM_OK || tm_err_class(e) == TM_CLASS_INTERNAL)
            return e;
    }
    return e == TM_EINVAL ? TM_EBADSIG : e;
}

/* ---- claims ---- */

/* Core 2: a text, or a list of which it is one. */
static bool names_us(const json_t *aud, const char *client_id, size_t *ret_n)
{
    *ret_n = json_is_array(aud) ? json_array_size(aud) : 1;
    const char *one = json_string_value(aud);
    if (one)
        return strcmp(one, client_id) == 0;
    for (size_t i = 0; i < json_array_size(aud); i++) {
        one = json_string_value(json_array_get(aud, i));
        if (one && strcmp(one, client_id) == 0)
            return true;
    }
    return false;
}

static bool time_of(int64_t *ret, const json_t *claims, const char *name)
{
    const json_t *v = json_object_get(claims, name);
    double d = json_number_value(v);
    if (!json_is_number(v) || d < 0 || d > 253402300799.0)
        return false;
    *ret = (int64_t)d;
    return true;
}

static tm_err denied(struct diag *diag, const char *field, const char *message)
{
    return diag_fail(diag, TM_EDENIED, "OpenID Connect Core 3.1.3.7", field, "the provider's ID token %s",
                     message);
}

tm_err id_token_check(const struct id_token *t, const struct id_token_wanted *w, struct diag *diag)
{
    const json_t *c = t->claims;
    const char *iss = text_of(c, "iss"), *azp = text_of(c, "azp"), *nonce = text_of(c, "nonce"),
               *sub = text_of(c, "sub");
    size_t audiences;
    int64_t exp, iat, nbf;
    if (!iss || strcmp(iss, w->issuer) != 0)
        return denied(diag, "iss", "is of another issuer");
    if (!names_us(json_object_get(c, "aud"), w->client_id, &audiences))
        return denied(diag, "aud", "is for another client");
    if ((audiences > 1 && !azp) || (azp && strcmp(azp, w->client_id) != 0))
        return denied(diag, "azp", "was given to another client");
    if (!time_of(&exp, c, "exp") || exp + w->skew <= w->now)
        return denied(diag, "exp", "has expired; look at both clocks");
    if (!time_of(&iat, c, "iat") || iat - w->skew > w->now)
        return denied(diag, "iat", "is of the future; look at both clocks");
    if (json_object_get(c, "nbf") && (!time_of(&nbf, c, "nbf") || nbf - w->skew > w->now))
        return denied(diag, "nbf", "is not valid yet; look at both clocks");
    if (!nonce || strcmp(nonce, w->nonce) != 0)
        return denied(diag, "nonce", "was asked for by somebody else");
    if (!sub || !sub[0])
        return denied(diag, "sub", "names nobody");
    return TM_OK;
}
