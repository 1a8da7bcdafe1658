/* The authorization code flow, and from claims to somebody who may do something here. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "enroll/outbound/https.h"
#include "identity/id_token.h"
#include "identity/provider.h"
#include "identity/session.h"
#include "identity/ticket.h"
#include "identity/userinfo.h"
#include "issue/resources.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

enum { URL_MAX = 8192, FORM_MAX = 16 << 10, TOKENS_MAX = 256 << 10, NAME_MAX_TEXT = 100, CLAIM_MAX = 500 };

/* ---- texts ---- */

/* RFC 3986 2.3, for queries and forms. */
static void put_escaped(struct buf *b, const char *s)
{
    for (; *s; s++) {
        bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
                     strchr("-._~", *s);
        if (plain)
            buf_putc(b, (uint8_t)*s);
        else
            buf_printf(b, "%%%02X", (unsigned)(uint8_t)*s);
    }
}

static void put_pair(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, "%s%s=", b->n && b->p[b->n - 1] != '?' && b->p[b->n - 1] != '&' ? "&" : "", name);
    put_escaped(b, value);
}

static tm_err taken(const char **ret, struct arena *a, struct buf *b)
{
    tm_err e = buf_err(b);
    if (e == TM_OK) {
        *ret = arena_strdup(a, buf_str(b));
        e = *ret ? TM_OK : TM_ENOMEM;
    }
    if (b->p)
        OPENSSL_cleanse(b->p, b->n);
    buf_done(b);
    return e;
}

static tm_err base64url(const char **ret, struct arena *a, struct slice octets)
{
    struct buf b;
    buf_init(&b, 128);
    buf_put_base64(&b, octets, BASE64_URL, 0);
    return taken(ret, a, &b);
}

/* Nonce and PKCE verifier need not be kept: they follow from the state, for nobody but this process. */
static tm_err derived(const char **ret, struct arena *a, const char *label, const char *state)
{
    uint8_t secret[TICKET_SECRET];
    TM_TRY(ticket_secret(secret, label, state));
    tm_err e = base64url(ret, a, SLICE_ARR(secret));
    OPENSSL_cleanse(secret, sizeof secret);
    return e;
}

/* ---- there ---- */

static void put_scopes(struct buf *b, const struct provider *p)
{
    buf_puts(b, "&scope=openid");
    for (size_t i = 0; i < p->doc.scopes.n; i++) {
        if (strcmp(p->doc.scopes.v[i], "openid") == 0)
            continue;
        buf_puts(b, "%20");
        put_escaped(b, p->doc.scopes.v[i]);
    }
}

tm_err oidc_begin(const char **ret_url, struct arena *a, const struct provider *p, const char *state,
                  const char *redirect_uri, struct diag *diag)
{
    struct provider_config c;
    const char *nonce, *verifier, *challenge;
    uint8_t hash[SHA256_LEN];
    struct buf b;
    TM_TRY(provider_config(&c, a, p, diag));
    TM_TRY(derived(&nonce, a, "oidc-nonce", state));
    TM_TRY(derived(&verifier, a, "oidc-pkce", state));
    TM_TRY(sha256(hash, slice_str(verifier)));
    TM_TRY(base64url(&challenge, a, SLICE_ARR(hash))); /* RFC 7636 4.2: S256 */
    buf_init(&b, URL_MAX);
    buf_printf(&b, "%s%c", c.authorization, strchr(c.authorization, '?') ? '&' : '?');
    put_pair(&b, "response_type", "code");
    put_pair(&b, "client_id", p->doc.client_id);
    put_pair(&b, "redirect_uri", redirect_uri);
    put_scopes(&b, p);
    put_pair(&b, "state", state);
    put_pair(&b, "nonce", nonce);
    put_pair(&b, "code_challenge", challenge);
    put_pair(&b, "code_challenge_method", "S256");
    return taken(ret_url, a, &b);
}

/* ---- and back ---- */

static tm_err put_client(struct buf *form, struct buf *headers, struct arena *a, struct house *h,
                         const struct provider *p, struct diag *diag)
{
    char secret[PROVIDER_SECRET_MAX + 1];
    put_pair(form, "client_id", p->doc.client_id);
    if (p->doc.client_auth == PROVIDER_AUTH_NONE)
        return TM_OK;
    TM_TRY(provider_secret(secret, a, h, p, diag));
    if (p->doc.client_auth == PROVIDER_AUTH_POST) {
        put_pair(form, "client_secret", secret);
    } else { /* RFC 6749 2.3.1: each escaped as in a form */
        struct buf pair;
        buf_init(&pair, 4096);
        put_escaped(&pair, p->doc.client_id);
        buf_putc(&pair, ':');
        put_escaped(&pair, secret);
        buf_puts(headers, "Authorization: Basic ");
        buf_put_base64(headers, buf_slice(&pair), BASE64_STD, 0);
        buf_puts(headers, "\r\n");
        if (pair.p)
            OPENSSL_cleanse(pair.p, pair.n);
        buf_done(&pair);
    }
    OPENSSL_cleanse(secret, sizeof secret);
    return buf_err(headers);
}

static tm_err refused(const struct provider *p, const struct https_answer *answer, struct diag *diag)
{
    json_t *doc = NULL;
    struct diag unread = {0};
    const char *error = NULL;
    if (json_parse(&doc, answer->body, TOKENS_MAX, &unread) == TM_OK)
        error = json_string_value(json_object_get(doc, "error"));
    tm_err e = diag_fail(diag, answer->status >= 500 ? TM_EUNAVAIL : TM_EDENIED, "RFC 6749 5.2", "provider",
                         "identity provider \"%s\" gave no token: status %d%s%.60s", p->doc.name,
                         answer->status, error ? ", " : "", error ? error : "");
    json_decref(doc);
    return e;
}

/* RFC 6749 4.1.3 */
static tm_err ask_token(struct slice *ret, struct arena *a, struct house *h, const struct provider *p,
                        const char *state, const char *redirect_uri, const char *code, struct diag *diag)
{
    struct provider_config c;
    struct https_answer answer = {0};
    struct buf form, headers;
    const char *verifier, *body = "", *lines = "";
    TM_TRY(provider_config(&c, a, p, diag));
    TM_TRY(derived(&verifier, a, "oidc-pkce", state));
    buf_init(&form, FORM_MAX);
    buf_init(&headers, FORM_MAX);
    put_pair(&form, "grant_type", "authorization_code");
    put_pair(&form, "code", code);
    put_pair(&form, "redirect_uri", redirect_uri);
    put_pair(&form, "code_verifier", verifier);
    tm_err e = put_client(&form, &headers, a, h, p, diag), other = taken(&body, a, &form);
    e = e == TM_OK ? other : e;
    other = taken(&lines, a, &headers);
    TM_TRY(e == TM_OK ? other : e);
    const struct https_request q = {.method = "POST",
                                    .url = c.token,
                                    .content_type = "application/x-www-form-urlencoded",
                                    .accept = "application/json",
                                    .headers = lines,
                                    .body = slice_str(body),
                                    .ca = p->doc.ca,
                                    .networks = &p->doc.networks,
                                    .timeout_s = (unsigned)p->doc.timeout,
                                    .max = TOKENS_MAX};
    TM_TRY(provider_ask(&answer, a, p, &q, diag));
    if (answer.status != 200)
        return refused(p, &answer, diag);
    *ret = answer.body;
    return TM_OK;
}

/* Keys change: a token that none of those known fits is looked at again with those of now. */
static tm_err verify(const struct id_token *t, struct arena *a, const struct provider *p, struct diag *diag)
{
    tm_err e = TM_ENOTFOUND;
    for (int fresh = 0; fresh < 2 && (e == TM_ENOTFOUND || e == TM_EBADSIG); fresh++) {
        json_t *keys = NULL;
        TM_TRY(provider_keys(&keys, a, p, fresh, diag));
        e = id_token_verify(t, a, keys, diag);
        json_decref(keys);
    }
    return e == TM_OK || tm_err_class(e) == TM_CLASS_INTERNAL
               ? e
               : diag_fail(diag, TM_EDENIED, "OpenID Connect Core 3.1.3.7", "id_token",
                           "the provider's ID token is signed by no key of the provider's");
}

static tm_err check_token(json_t **ret, struct arena *a, const struct provider *p, const char *state,
                          struct slice text, struct diag *diag)
{
    struct id_token t;
    struct id_token_wanted w = {
        .issuer = p->doc.issuer, .client_id = p->doc.client_id, .now = clock_now(), .skew = p->doc.skew};
    TM_TRY(derived(&w.nonce, a, "oidc-nonce", state));
    TM_TRY(id_token_parse(&t, a, text, diag));
    tm_err e = verify(&t, a, p, diag);
    if (e == TM_OK)
        e = id_token_check(&t, &w, diag);
    if (e == TM_OK)
        *ret = json_incref(t.claims);
    id_token_done(&t);
    return e;
}

tm_err oidc_redeem(json_t **ret_claims, struct arena *a, struct house *h, const struct provider *p,
                   const char *state, const char *redirect_uri, const char *code, struct diag *diag)
{
    struct slice answer;
    struct provider_config c;
    json_t *doc = NULL, *claims = NULL;
    TM_TRY(ask_token(&answer, a, h, p, state, redirect_uri, code, diag));
    if (json_parse(&doc, answer, TOKENS_MAX, diag) != TM_OK)
        return diag_fail(diag, TM_EUNAVAIL, "RFC 6749 5.1", "provider",
                         "identity provider \"%s\": its answer is not JSON", p->doc.name);
    const char *text = json_string_value(json_object_get(doc, "id_token"));
    tm_err e = text ? check_token(&claims, a, p, state, slice_str(text), diag)
                    : diag_fail(diag, TM_EDENIED, "OpenID Connect Core 3.1.3.3", "id_token",
                                "the provider gave no ID token; is the scope openid allowed there?");
    if (e == TM_OK)
        e = provider_config(&c, a, p, diag);
    if (e == TM_OK)
        e = userinfo_complete(claims, a, p, &c, doc, diag);
    json_decref(doc);
    if (e == TM_OK)
        *ret_claims = claims;
    else
        json_decref(claims);
    return e;
}

/* ---- who that is ---- */

/* Core 5.1: an address that the provider says it has not looked at is whatever somebody typed there. */
static const json_t *claim_of(const json_t *claims, const char *name)
{
    const json_t *seen = strcmp(name, "email") == 0 ? json_object_get(claims, "email_verified") : NULL;
    const char *text = json_string_value(seen); /* as some write it */
    return seen && !json_is_true(seen) && !(text && strcmp(text, "true") == 0)
               ? NULL
               : json_object_get(claims, name);
}

static bool has_value(const json_t *claim, const char *value)
{
    const char *text = json_string_value(claim);
    if (strcmp(value, "*") == 0)
        return claim && !json_is_null(claim);
    if (text)
        return strcmp(text, value) == 0;
    if (json_is_boolean(claim))
        return strcmp(value, json_is_true(claim) ? "true" : "false") == 0;
    for (size_t i = 0; i < json_array_size(claim); i++) {
        text = json_string_value(json_array_get(claim, i));
        if (text && strcmp(text, value) == 0)
            return true;
    }
    return false;
}

static bool plain_name(const char *s)
{
    return s && s[0] && strlen(s) <= NAME_MAX_TEXT &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-@") == strlen(s);
}

/* What the register calls them: no name of a principal has an @. What is not plain gives way to the subject, and that to its hash. Whether two
 * people can share a name is up to the provider and the claim that is chosen (Core 5.7). */
static tm_err name_of(const char **ret, struct arena *a, const struct provider *p, const json_t *claims)
{
    const char *name = json_string_value(claim_of(claims, p->doc.name_claim)),
               *sub = json_string_value(json_object_get(claims, "sub"));
    uint8_t hash[SHA256_LEN];
    if (!plain_name(name))
        name = sub;
    if (!plain_name(name)) {
        TM_TRY(sha256(hash, slice_str(sub ? sub : "")));
        name = arena_hex(a, slice_of(hash, 16));
    }
    *ret = name ? arena_printf(a, "%s@%s", name, p->doc.name) : NULL;
    return *ret ? TM_OK : TM_ENOMEM;
}

static void add_roles(struct buf *roles, const struct json_strings *v)
{
    for (size_t i = 0; i < v->n; i++)
        buf_printf(roles, "%s%s", roles->n ? "," : "", v->v[i]);
}

static tm_err owner_of(const char **ret, struct arena *a, const struct provider_rule *r, const json_t *claims)
{
    size_t n = strlen(r->owner_of);
    const char *text = r->owner_of;
    if (n > 2 && text[0] == '{' && text[n - 1] == '}') {
        const char *name = arena_strndup(a, text + 1, n - 2);
        text = name ? json_string_value(claim_of(claims, name)) : NULL;
    }
    *ret = arena_strdup(a, text && strlen(text) <= CLAIM_MAX ? text : "");
    return *ret ? TM_OK : TM_ENOMEM;
}

/* Roles hold in one tenant, or in all: what a rule says of another than the first one is left out. */
static tm_err by_roles(struct session *ret, struct buf *roles, struct arena *a, const struct provider *p,
                       const json_t *claims)
{
    const struct provider_rule *rules = p->doc.rules.v;
    const char *tenant = NULL;
    for (size_t i = 0; i < p->doc.rules.n; i++) {
        const struct provider_rule *r = &rules[i];
        if (r->roles.n == 0 || !has_value(claim_of(claims, r->claim), r->value))
            continue;
        if (tenant && strcmp(tenant, r->tenant) != 0)
            continue;
        tenant = r->tenant;
        add_roles(roles, &r->roles);
        if (r->owner_of[0])
            TM_TRY(owner_of(&ret->owner_of, a, r, claims));
    }
    bool house = p->tenant == TENANT_HOUSE && tenant;
    ret->all_tenants = house && strcmp(tenant, "*") == 0;
    ret->only_tenant = house && !ret->all_tenants ? tenant : "";
    return TM_OK;
}

tm_err oidc_identify(struct session *ret, struct arena *a, const struct provider *p, const json_t *claims,
                     struct diag *diag)
{
    const struct provider_rule *rules = p->doc.rules.v;
    struct buf roles;
    *ret = (struct session){.tenant = p->tenant, .owner_of = "", .only_tenant = "", .scopes = ""};
    ret->method = arena_printf(a, "oidc:%s", p->doc.name);
    ret->provider = p->doc.name;
    ret->issuer = p->doc.issuer;
    if (!ret->method)
        return TM_ENOMEM;
    for (size_t i = 0; i < p->doc.rules.n; i++)
        if (rules[i].principal[0] && has_value(claim_of(claims, rules[i].claim), rules[i].value)) {
            ret->principal = rules[i].principal;
            ret->roles = "";
            return TM_OK;
        }
    TM_TRY(name_of(&ret->principal, a, p, claims));
    ret->external = true;
    buf_init(&roles, 4096);
    tm_err e = by_roles(ret, &roles, a, p, claims), other = taken(&ret->roles, a, &roles);
    TM_TRY(e == TM_OK ? other : e);
    return ret->roles[0] ? TM_OK
                         : diag_fail(diag, TM_EFORBIDDEN, "provider.rules", NULL,
                                     "\"%s\" knows you, but no rule here says what you may do", p->doc.name);
}

tm_err oidc_logout(const char **ret, struct arena *a, const struct provider *p,
                   const struct provider_config *c, const char *back_to)
{
    struct buf b;
    *ret = "";
    if (!c->logout[0])
        return TM_OK;
    buf_init(&b, URL_MAX);
    buf_printf(&b, "%s%c", c->logout, strchr(c->logout, '?') ? '&' : '?');
    put_pair(&b, "client_id", p->doc.client_id);
    put_pair(&b, "post_logout_redirect_uri", back_to);
    return taken(ret, a, &b);
}
