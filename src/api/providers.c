/* Signing in through an OpenID Connect provider: there, back, and what an administrator sets up for it. */
#include "api/groups.h"
#include "api/place.h"
#include "api/principal.h"
#include "api/schemas.h"
#include "api/signin.h"
#include "base/arena.h"
#include "base/clock.h"
#include "identity/provider.h"
#include "identity/ticket.h"
#include <stdlib.h>
#include <string.h>

enum { FLOW_SECONDS = 600, RETURN_MAX = 300, CODE_MAX = 4096, LOCATION_MAX = 2048 };

#define FLOW_COOKIE "__Host-touchmark-oidc"
/* Lax: the provider sends the browser back from its own pages. It holds nothing that opens anything by itself. */
static const char flow_rules[] = "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600";
static const char flow_over[] = FLOW_COOKIE "=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";
static const char callback_path[] = "/api/v1/session/oidc/callback";

struct oidc_doc {
    const char *provider, *return_to, *secret;
};
const struct json_field oidc_schema[] = {
    JSON_FIELD(struct oidc_doc, provider, JSON_K_STRING, .required = true, .max = 63,
               .doc = "name of an IdentityProvider, the tenant's before the house's"),
    JSON_FIELD(struct oidc_doc, return_to, JSON_K_STRING, .max = RETURN_MAX, .def = "/",
               .doc = "path of this house that the browser comes back to"),
    {0},
};
const struct json_field provider_secret_schema[] = {
    JSON_FIELD(struct oidc_doc, secret, JSON_K_STRING, .required = true, .max = PROVIDER_SECRET_MAX,
               .doc = "the client secret that the provider gave"),
    {0},
};

/* ---- there ---- */

/* A place of this house and of no other: no scheme, no host, nothing that a browser reads as one. */
static bool is_path(const char *s)
{
    for (const char *p = s; *p; p++)
        if (*p <= ' ' || *p > '~' || *p == '\\' || *p == ';')
            return false;
    return s[0] == '/' && s[1] != '/';
}

static const char *purpose(struct arena *a, tenant_id tenant, const char *provider, const char *return_to)
{
    return arena_printf(a, "oidc/%u/%s/%s", (unsigned)tenant, provider, return_to);
}

static tm_err find_provider(struct provider *ret, struct api_call *c, const char *name, struct diag *diag)
{
    tm_err e = provider_read(ret, c->arena, c->house, c->tenant->id, name, diag);
    return e == TM_ENOTFOUND ? provider_read(ret, c->arena, c->house, TENANT_HOUSE, name, diag) : e;
}

static tm_err redirect_uri(const char **ret, const char **ret_origin, const struct api_call *c,
                           struct diag *diag)
{
    struct webauthn_place here;
    TM_TRY(api_place(&here, c, diag));
    *ret = arena_printf(c->arena, "%s%s", here.origin, callback_path);
    *ret_origin = here.origin;
    return *ret ? TM_OK : TM_ENOMEM;
}

static tm_err begin(struct api_call *c, struct diag *diag)
{
    struct oidc_doc d = {0};
    struct provider p;
    json_t *doc = NULL;
    char state[TICKET_TEXT];
    const char *back, *origin, *url;
    TM_TRY(api_same_origin(c, diag));
    TM_TRY(signin_try_address(c, diag));
    signin_address_good(c);
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, oidc_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    if (!is_path(d.return_to))
        return diag_fail(diag, TM_EINVAL, NULL, "/return_to", "it has to be a path of this house");
    TM_TRY(find_provider(&p, c, d.provider, diag));
    TM_TRY(redirect_uri(&back, &origin, c, diag));
    const char *what = purpose(c->arena, p.tenant, p.doc.name, d.return_to);
    if (!what)
        return TM_ENOMEM;
    TM_TRY(ticket_make(state, what, FLOW_SECONDS));
    TM_TRY(oidc_begin(&url, c->arena, &p, state, back, diag));
    c->set_cookie[0] = arena_printf(c->arena, "%s=%u.%s.%s.%s%s", FLOW_COOKIE, (unsigned)p.tenant, p.doc.name,
                                    state, d.return_to, flow_rules);
    buf_puts(&c->out, "{\"url\":");
    buf_put_json_string(&c->out, slice_str(url));
    buf_puts(&c->out, "}\n");
    return c->set_cookie[0] ? TM_OK : TM_ENOMEM;
}

/* ---- and back ---- */

/* "<tenant>.<provider>.<state>.<return_to>", as begin() wrote it: a name has no dot, nor has a ticket. */
struct flow {
    tenant_id tenant;
    char *provider, *state, *return_to;
};

static bool read_flow(struct flow *ret, const struct api_call *c)
{
    struct slice value;
    char *rest;
    if (!cookie_value(&value, c->cookie, FLOW_COOKIE))
        return false;
    char *text = arena_strndup(c->arena, (const char *)value.p, value.n);
    if (!text)
        return false;
    unsigned long tenant = strtoul(text, &rest, 10);
    char **parts[] = {&ret->provider, &ret->state, &ret->return_to};
    ret->tenant = (tenant_id)tenant;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (*rest != '.' || tenant > INT32_MAX)
            return false;
        *rest++ = '\0';
        *parts[i] = rest;
        rest += strcspn(rest, ".");
    }
    return is_path(ret->return_to); /* which may have dots of its own */
}

static tm_err check_answer(const struct api_call *c, const struct flow *f, const char *what,
                           struct diag *diag)
{
    const char *state = api_query(c, "state"), *error = api_query(c, "error"),
               *text = api_query(c, "error_description");
    if (!state || !slice_ct_eq(slice_str(state), slice_str(f->state)))
        return diag_fail(diag, TM_EAUTH, "RFC 6749 10.12", "state",
                         "this answer belongs to another sign-in; begin again");
    TM_TRY(ticket_check(what, state, diag));
    if (error)
        return diag_fail(diag, TM_EAUTH, "RFC 6749 4.1.2.1", "error", "the provider says: %.60s%s%.120s",
                         error, text ? ": " : "", text ? text : "");
    return TM_OK;
}

static tm_err sign_in(struct api_call *c, const struct flow *f, struct diag *diag)
{
    struct provider p;
    struct provider_config config;
    const char *back, *origin, *code = api_query(c, "code"), *iss = api_query(c, "iss"),
                               *what = purpose(c->arena, f->tenant, f->provider, f->return_to);
    json_t *claims = NULL;
    if (!what)
        return TM_ENOMEM;
    TM_TRY(check_answer(c, f, what, diag));
    TM_TRY(provider_read(&p, c->arena, c->house, f->tenant, f->provider, diag));
    if (iss && strcmp(iss, p.doc.issuer) != 0)
        return diag_fail(diag, TM_EAUTH, "RFC 9207 2.4", "iss", "this answer is of another provider");
    if (!code || !code[0] || strlen(code) > CODE_MAX)
        return diag_fail(diag, TM_EAUTH, "RFC 6749 4.1.2", "code", "the provider gave no code");
    TM_TRY(redirect_uri(&back, &origin, c, diag));
    struct session *s = arena_calloc(c->arena, 1, sizeof *s);
    if (!s)
        return TM_ENOMEM;
    TM_TRY(oidc_redeem(&claims, c->arena, c->house, &p, f->state, back, code, diag));
    /* Spent once the provider has vouched for somebody: anybody can begin, and must not fill the list of those that are. */
    tm_err e = ticket_spend(what, f->state, diag);
    if (e == TM_OK)
        e = oidc_identify(s, c->arena, &p, claims, diag);
    json_decref(claims);
    TM_TRY(e);
    const struct principal *known =
        s->external ? NULL : catalog_principal(c->catalog, s->tenant, s->principal);
    if (!s->external && (!known || known->disabled))
        return diag_fail(diag, TM_EFORBIDDEN, "principal.disabled", NULL,
                         "the principal \"%s\" that a rule names is gone or disabled", s->principal);
    TM_TRY(provider_config(&config, c->arena, &p, diag));
    TM_TRY(oidc_logout(&s->logout, c->arena, &p, &config, arena_printf(c->arena, "%s/", origin)));
    return signin_open(c, s, NULL, 0, diag);
}

/* People see this in their browser: they get back to the page, which says what went wrong. */
static tm_err tell(struct api_call *c, tm_err e, const struct diag *diag)
{
    struct buf b;
    if (!api_accepts(c, "text/html") || tm_err_class(e) == TM_CLASS_INTERNAL)
        return e;
    buf_init(&b, LOCATION_MAX);
    buf_puts(&b, "/#/signin?problem=");
    for (const char *s = diag->message; *s; s++)
        buf_printf(&b, "%%%02X", (unsigned)(uint8_t)*s);
    c->location = arena_strdup(c->arena, buf_str(&b));
    buf_done(&b);
    c->status = 303;
    return c->location ? TM_OK : TM_ENOMEM;
}

static tm_err come_back(struct api_call *c, struct diag *diag)
{
    struct flow f = {0};
    c->session =
        NULL; /* the browser comes from elsewhere: whatever session it shows is not what this is about */
    tm_err e = signin_try_address(c, diag);
    if (e != TM_OK)
        return tell(c, e, diag);
    e = read_flow(&f, c) ? sign_in(c, &f, diag)
                         : diag_fail(diag, TM_EAUTH, "oidc.flow", "Cookie",
                                     "no sign-in was begun in this browser, or it took too long");
    if (e == TM_EDENIED || e == TM_EEXPIRED || e == TM_EBADSIG)
        e = TM_EAUTH;
    if (e != TM_EAUTH)
        signin_address_good(c);
    c->set_cookie[1] = flow_over;
    if (e != TM_OK)
        return tell(c, signin_refused(c, e, NULL, 0, diag), diag);
    c->status = 303;
    c->location = f.return_to;
    return TM_OK;
}

/* ---- set up ---- */

/* The tenant's, or with ?house=1 the house's. */
static tm_err whose(tenant_id *ret, const struct api_call *c, struct diag *diag)
{
    *ret = c->tenant->id;
    if (!api_query(c, "house"))
        return TM_OK;
    if (!(c->roles & ROLE_HOUSE_ADMIN))
        return diag_fail(diag, TM_EFORBIDDEN, "role", "house", "only for an administrator of the house");
    *ret = TENANT_HOUSE;
    return TM_OK;
}

static tm_err named(struct provider *ret, struct api_call *c, struct diag *diag)
{
    tenant_id tenant;
    TM_TRY(whose(&tenant, c, diag));
    return provider_read(ret, c->arena, c->house, tenant, api_param(c, "name"), diag);
}

static tm_err put_secret(struct api_call *c, struct diag *diag)
{
    struct oidc_doc d = {0};
    struct provider p;
    json_t *doc = NULL;
    TM_TRY(named(&p, c, diag));
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, provider_secret_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    TM_TRY(provider_set_secret(c->house, &p, slice_str(d.secret), c->principal, diag));
    c->status = 204;
    return TM_OK;
}

static tm_err drop_secret(struct api_call *c, struct diag *diag)
{
    struct provider p;
    TM_TRY(named(&p, c, diag));
    TM_TRY(provider_drop_secret(c->house, p.tenant, p.doc.name, c->principal, diag));
    c->status = 204;
    return TM_OK;
}

static tm_err test(struct api_call *c, struct diag *diag)
{
    struct provider p;
    struct provider_config config;
    char secret[PROVIDER_SECRET_MAX + 1];
    json_t *keys = NULL;
    struct diag why = {0};
    TM_TRY(named(&p, c, diag));
    TM_TRY(provider_config(&config, c->arena, &p, diag));
    TM_TRY(provider_keys(&keys, c->arena, &p, true, diag));
    size_t n = json_array_size(json_object_get(keys, "keys"));
    json_decref(keys);
    bool has = p.doc.client_auth == PROVIDER_AUTH_NONE ||
               provider_secret(secret, c->arena, c->house, &p, &why) == TM_OK;
    explicit_bzero(secret, sizeof secret);
    buf_puts(&c->out, "{\"issuer\":");
    buf_put_json_string(&c->out, slice_str(p.doc.issuer));
    api_put_text(&c->out, "authorization", config.authorization);
    api_put_text(&c->out, "token", config.token);
    api_put_text(&c->out, "logout", config.logout);
    api_put_int(&c->out, "keys", (int64_t)n);
    api_put_bool(&c->out, "secret", has);
    api_put_text(&c->out, "redirect_path", callback_path);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field begun_fields[] = {
    {"url", "string", "where the browser goes", "https://idp.example.org/auth?response_type=code"},
    {0},
};
static const struct api_field tested_fields[] = {
    {"issuer", "string", NULL, "https://idp.example.org"},
    {"authorization", "string", "where people sign in", "https://idp.example.org/auth"},
    {"token", "string", "where codes are redeemed", "https://idp.example.org/token"},
    {"logout", "string", "where its own session ends; empty: nowhere", ""},
    {"keys", "integer", "that it signs with", "2"},
    {"secret", "boolean", "the house has a secret for it, or needs none", "true"},
    {"redirect_path", "string", "what the provider has to know, with the console's address before it",
     "/api/v1/session/oidc/callback"},
    {0},
};
const struct api_schema provider_api_schemas[] = {
    {"OidcBegun", NULL, begun_fields, NULL, NULL},
    {"ProviderTested", NULL, tested_fields, NULL, NULL},
    {"OidcBegin", NULL, NULL, oidc_schema, "{\"provider\":\"corp\",\"return_to\":\"/#/\"}"},
    {"ProviderSecret", NULL, NULL, provider_secret_schema,
     "{\"secret\":\"ZJYCqe3GGRvdrudKyZS0XhGv_Z45DuKhCUk0gBR1vZk\"}"},
    {0},
};
static const struct api_content back_forms[] = {{303, NULL, NULL, "signed in, or the page that says why not"},
                                                {0}};
static const struct api_content changed_forms[] = {{204, NULL, NULL, "done"}, {0}};
static const struct api_field callback_query[] = {
    {"code", "string", NULL, NULL},
    {"state", "string", NULL, NULL},
    {"iss", "string", NULL, NULL},
    {"error", "string", NULL, NULL},
    {"error_description", "string", NULL, NULL},
    {0},
};
static const struct api_field house_query[] = {
    {"house", "string", "\"1\": the house's; for administrators of the house", "1"},
    {0},
};

const struct api_route provider_api_routes[] = {
    {HTTP_M_POST, "/api/v1/session/oidc", 0, begin, SIGNIN_BODY, "beginOidc",
     "Sign in through an identity provider: where the browser has to go", "session", "OidcBegin", "OidcBegun",
     API_COOKIE},
    {HTTP_M_GET, "/api/v1/session/oidc/callback", 0, come_back, 0, "finishOidc",
     "Where the provider sends the browser back to", "session", NULL, NULL,
     API_COOKIE | API_ANY_QUERY | API_LOCATION, callback_query, .gives = back_forms},
    {HTTP_M_PUT, "/api/v1/identity-providers/{name}/secret", ROLE_ADMIN, put_secret, SIGNIN_BODY,
     "setProviderSecret", "Keep the client secret of an identity provider, sealed", "users", "ProviderSecret",
     NULL, 0, house_query, .gives = changed_forms},
    {HTTP_M_DELETE, "/api/v1/identity-providers/{name}/secret", ROLE_ADMIN, drop_secret, 0,
     "removeProviderSecret", "Forget it", "users", NULL, NULL, 0, house_query, .gives = changed_forms},
    {HTTP_M_POST, "/api/v1/identity-providers/{name}/test", ROLE_ADMIN, test, SIGNIN_BODY, "testProvider",
     "Ask an identity provider what it says of itself, and for its keys", "users", NULL, "ProviderTested",
     API_BODY_OPTIONAL, house_query},
    {0},
};
