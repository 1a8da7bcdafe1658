#include "enroll/acme/jws.h"
#include "base/arena.h"
#include "base/digest.h"
#include "base/json_plain.h"
#include "base/text.h"
#include <string.h>

enum { TEXT_MAX = 2048 };

/* ---- the envelope ---- */

/* The texts of the envelope's members. */
struct envelope {
    const char *protected, *payload, *signature;
};
static const struct json_field envelope_schema[] = {
    JSON_FIELD(struct envelope, protected, JSON_K_STRING, .required = true, .max = JWS_MAX),
    JSON_FIELD(struct envelope, payload, JSON_K_STRING, .required = true, .max = JWS_MAX),
    JSON_FIELD(struct envelope, signature, JSON_K_STRING, .required = true, .max = JWS_MAX),
    {0},
};

static tm_err part(const char **ret, struct arena *a, const json_t *doc, const char *name, struct diag *diag)
{
    const json_t *v = json_object_get(doc, name);
    if (!json_is_string(v))
        return diag_fail(diag, TM_EMALFORMED, "RFC 7515 7.2.2", name, "the JWS lacks \"%s\"", name);
    /* A NUL inside ends the text here and is not base64url: jansson refuses it. */
    *ret = arena_strdup(a, json_string_value(v));
    return *ret ? TM_OK : TM_ENOMEM;
}

static tm_err decode(struct slice *ret_text, struct slice *ret, struct arena *a, const char *text,
                     const char *name, struct diag *diag)
{
    *ret_text = slice_str(text);
    tm_err e = base64url_strict(ret, a, *ret_text);
    return e == TM_EMALFORMED ? diag_fail(diag, e, "RFC 7515 2", name, "\"%s\" is not base64url", name) : e;
}

/* RFC 8555 6.2: one signature, no unprotected header; and nothing that we do not know. */
static tm_err check_envelope(const json_t *doc, struct diag *diag)
{
    const char *key;
    json_t *value;
    if (!json_is_object(doc))
        return diag_fail(diag, TM_EMALFORMED, "RFC 7515 7.2.2", "", "a JWS is an object");
    json_object_foreach((json_t *)(uintptr_t)doc, key, value)
    {
        if (strcmp(key, "protected") != 0 && strcmp(key, "payload") != 0 && strcmp(key, "signature") != 0)
            return diag_fail(diag, TM_EMALFORMED, "RFC 8555 6.2", "",
                             "a request is a flattened JWS with protected, payload and signature alone");
    }
    return TM_OK;
}

/* ---- the protected header ---- */

static tm_err text(const char **ret, struct arena *a, const json_t *header, const char *name,
                   struct diag *diag)
{
    const json_t *v = json_object_get(header, name);
    if (!v)
        return TM_OK;
    if (!json_is_string(v) || json_string_length(v) > TEXT_MAX ||
        strlen(json_string_value(v)) != json_string_length(v))
        return diag_fail(diag, TM_EMALFORMED, "RFC 8555 6.2", name, "\"%s\" is not a text of fitting length",
                         name);
    *ret = arena_strdup(a, json_string_value(v));
    return *ret ? TM_OK : TM_ENOMEM;
}

static tm_err check_members(const struct jws *j, enum jws_rule rule, struct diag *diag)
{
    if (!j->alg || !j->url)
        return diag_fail(diag, TM_EMALFORMED, "RFC 8555 6.2", j->alg ? "url" : "alg",
                         "the protected header lacks \"%s\"", j->alg ? "url" : "alg");
    /* RFC 8555 6.2: jwk and kid exclude each other */
    if (j->has_jwk == (j->kid != NULL))
        return diag_fail(diag, TM_EMALFORMED, "RFC 8555 6.2", "jwk",
                         "the protected header must have one of \"jwk\" and \"kid\"");
    if (rule == JWS_INNER && !j->has_jwk)
        return diag_fail(diag, TM_EMALFORMED, "RFC 8555 7.3.5", "jwk",
                         "the inner JWS of a key change carries the new key as \"jwk\"");
    if (rule == JWS_BINDING && !j->kid)
        return diag_fail(diag, TM_EMALFORMED, "RFC 8555 7.3.4", "kid",
                         "an external account binding names its key by \"kid\"");
    if (rule == JWS_OUTER ? !j->nonce : j->nonce != NULL)
        return rule == JWS_OUTER
                   ? diag_fail(diag, TM_EMALFORMED, "RFC 8555 6.5.2", "nonce",
                               "the protected header lacks \"nonce\"")
                   : diag_fail(diag, TM_EMALFORMED, "RFC 8555 7.3", "nonce", "an inner JWS has no \"nonce\"");
    bool mac = strcmp(j->alg, "HS256") == 0;
    if (rule == JWS_BINDING ? !mac : !jws_alg_known(j->alg))
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 8555 6.2", "alg",
                         rule == JWS_BINDING ? "external account bindings are by HS256"
                                             : "this signature algorithm is not taken");
    return TM_OK;
}

static tm_err read_header(struct jws *ret, struct arena *a, const json_t *header, enum jws_rule rule,
                          struct diag *diag)
{
    if (!json_is_object(header))
        return diag_fail(diag, TM_EMALFORMED, "RFC 7515 4", "protected", "the protected header is an object");
    /* RFC 7515 4.1.11: what is critical and not understood; RFC 7797's b64 is no exception (RFC 8555 6.1) */
    if (json_object_get(header, "crit") || json_object_get(header, "b64"))
        return diag_fail(diag, TM_EMALFORMED, "RFC 8555 6.1", "crit",
                         "critical extensions of JWS are not taken");
    TM_TRY(text(&ret->alg, a, header, "alg", diag));
    TM_TRY(text(&ret->nonce, a, header, "nonce", diag));
    TM_TRY(text(&ret->url, a, header, "url", diag));
    TM_TRY(text(&ret->kid, a, header, "kid", diag));
    const json_t *jwk = json_object_get(header, "jwk");
    ret->has_jwk = jwk != NULL;
    TM_TRY(check_members(ret, rule, diag));
    return jwk ? jwk_parse(&ret->jwk, a, jwk, diag) : TM_OK;
}

struct header {
    const char *alg, *nonce, *url, *kid;
};
static const struct json_field header_schema[] = {
    JSON_FIELD(struct header, alg, JSON_K_STRING, .max = TEXT_MAX),
    JSON_FIELD(struct header, nonce, JSON_K_STRING, .max = TEXT_MAX),
    JSON_FIELD(struct header, url, JSON_K_STRING, .max = TEXT_MAX),
    JSON_FIELD(struct header, kid, JSON_K_STRING, .max = TEXT_MAX),
    {0},
};

/* The header of almost every request has no more than these; what has is looked at member by member. */
static tm_err parse_header(struct jws *ret, struct arena *a, struct slice text, enum jws_rule rule,
                           struct diag *diag)
{
    struct header h = {0};
    if (text.n <= JWS_HEADER_MAX && json_bind_plain(&h, header_schema, text, a)) {
        ret->alg = h.alg;
        ret->nonce = h.nonce;
        ret->url = h.url;
        ret->kid = h.kid;
        return check_members(ret, rule, diag);
    }
    json_t *header = NULL;
    TM_TRY(json_parse(&header, text, JWS_HEADER_MAX, diag));
    tm_err e = read_header(ret, a, header, rule, diag);
    json_decref(header);
    return e;
}

static tm_err read_envelope(struct jws *ret, struct arena *a, const struct envelope *v, enum jws_rule rule,
                            struct diag *diag)
{
    struct jws j = {0};
    struct slice header, unused;
    TM_TRY(decode(&j.protected_text, &header, a, v->protected, "protected", diag));
    TM_TRY(decode(&j.payload_text, &j.payload, a, v->payload, "payload", diag));
    TM_TRY(decode(&unused, &j.signature, a, v->signature, "signature", diag));
    TM_TRY(parse_header(&j, a, header, rule, diag));
    *ret = j;
    return TM_OK;
}

tm_err jws_read(struct jws *ret, struct arena *a, const json_t *doc, enum jws_rule rule, struct diag *diag)
{
    struct envelope v;
    TM_TRY(check_envelope(doc, diag));
    TM_TRY(part(&v.protected, a, doc, "protected", diag));
    TM_TRY(part(&v.payload, a, doc, "payload", diag));
    TM_TRY(part(&v.signature, a, doc, "signature", diag));
    return read_envelope(ret, a, &v, rule, diag);
}

tm_err jws_parse(struct jws *ret, struct arena *a, struct slice text_, enum jws_rule rule, struct diag *diag)
{
    struct envelope v = {0};
    if (text_.n <= JWS_MAX && json_bind_plain(&v, envelope_schema, text_, a))
        return read_envelope(ret, a, &v, rule, diag);
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, text_, JWS_MAX, diag));
    tm_err e = jws_read(ret, a, doc, rule, diag);
    json_decref(doc);
    return e;
}

/* ---- signatures ---- */

/* RFC 7515 5.1: BASE64URL(header) || '.' || BASE64URL(payload) */
static tm_err signing_input(struct slice *ret, struct arena *a, const struct jws *j)
{
    size_t n = j->protected_text.n + 1 + j->payload_text.n;
    uint8_t *p = arena_alloc(a, n);
    if (!p)
        return TM_ENOMEM;
    memcpy(p, j->protected_text.p, j->protected_text.n);
    p[j->protected_text.n] = '.';
    if (j->payload_text.n)
        memcpy(p + j->protected_text.n + 1, j->payload_text.p, j->payload_text.n);
    *ret = slice_of(p, n);
    return TM_OK;
}

tm_err jws_verify(const struct jws *j, struct arena *a, const struct spki *key, struct diag *diag)
{
    struct slice input;
    TM_TRY(signing_input(&input, a, j));
    return jws_signature_verify(key, j->alg, input, j->signature, diag);
}

tm_err jws_verify_mac(const struct jws *j, struct arena *a, struct slice key, struct diag *diag)
{
    struct slice input;
    uint8_t mac[SHA256_LEN];
    TM_TRY(signing_input(&input, a, j));
    TM_TRY(hmac_sha256(mac, key, input));
    if (!slice_ct_eq(SLICE_ARR(mac), j->signature))
        return diag_fail(diag, TM_EBADSIG, "RFC 8555 7.3.4", "signature", "the MAC does not verify");
    return TM_OK;
}
