/* External account binding (RFC 8555 7.3.4): whoever holds a key that an operator made may have an account, and with it the names that
 * the key was made for. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "enroll/acme/acme.h"
#include <string.h>

/* The binding is of this request and its key. */
static tm_err check_binding(struct acme_exchange *x, const struct jws *b, struct diag *diag)
{
    if (strcmp(b->url, x->jws.url) != 0)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EINVAL, "RFC 8555 7.3.4",
                           "the \"url\" of the binding is not the request's");
    json_t *doc = NULL;
    struct jwk bound = {0};
    TM_TRY(json_parse(&doc, b->payload, JWS_HEADER_MAX, diag));
    tm_err e = jwk_parse(&bound, x->arena, doc, diag);
    json_decref(doc);
    TM_TRY(e);
    if (!slice_eq(bound.spki.der, x->jws.jwk.spki.der))
        return acme_refuse(x, ACME_P_MALFORMED, TM_EINVAL, "RFC 8555 7.3.4",
                           "the binding is for another key than the request's");
    return TM_OK;
}

/* One use, in the transaction of the account. */
static tm_err consume(struct acme_exchange *x, const char *kid)
{
    struct effect *e = acme_effect(x);
    if (!e)
        return TM_ENOMEM;
    e->kind = EFFECT_TOKEN_USE;
    e->u.token.now = clock_now();
    e->u.token.row.id = kid;
    e->u.token.row.bound_at = e->u.token.now;
    return sha256(e->u.token.row.bound_spki, x->jws.jwk.spki.der);
}

static tm_err bind(struct acme_account *ret, struct acme_exchange *x, const json_t *binding,
                   struct diag *diag)
{
    struct jws b;
    struct caller grants = {0};
    char *profile;
    uint8_t key[SHA256_LEN];
    TM_TRY(jws_read(&b, x->arena, binding, JWS_BINDING, diag));
    TM_TRY(check_binding(x, &b, diag));
    tm_err e = token_external(&grants, &profile, key, x->arena, x->house, x->endpoint->tenant,
                              x->endpoint->name, b.kid, diag);
    if (tm_err_class(e) == TM_CLASS_DENIED) {
        x->problem = ACME_P_UNAUTHORIZED;
        return e;
    }
    TM_TRY(e);
    e = jws_verify_mac(&b, x->arena, SLICE_ARR(key), diag);
    explicit_bzero(key, sizeof key);
    if (e == TM_EBADSIG)
        return acme_refuse(x, ACME_P_UNAUTHORIZED, TM_EAUTH, "RFC 8555 7.3.4",
                           "the binding's MAC does not verify");
    TM_TRY(e);
    ret->external = b.kid;
    ret->profile = profile;
    ret->names = (struct json_strings){.v = (const char **)(uintptr_t)grants.names, .n = grants.n_names};
    return consume(x, b.kid);
}

tm_err acme_external_account(struct acme_account *ret, struct acme_exchange *x, const json_t *binding,
                             struct diag *diag)
{
    int rule = x->settings->external;
    if (!binding && rule == ACME_EXTERNAL_REQUIRED)
        return acme_refuse(x, ACME_P_EXTERNAL_ACCOUNT_REQUIRED, TM_EAUTH, "RFC 8555 7.3.4",
                           "an account here needs an external account binding");
    if (!binding)
        return TM_OK;
    if (rule == ACME_EXTERNAL_OFF)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EUNSUPPORTED, "RFC 8555 7.3.4",
                           "external accounts are not bound here");
    return bind(ret, x, binding, diag);
}
