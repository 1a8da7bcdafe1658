/* Logins of the command line, which a person confirms in the console (RFC 8628). The client gets an API token, limited and ending. */
#include "api/groups.h"
#include "api/place.h"
#include "api/principal.h"
#include "api/schemas.h"
#include "api/signin.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "identity/attempts.h"
#include "identity/device_grant.h"
#include "issue/issue.h"
#include <stdio.h>
#include <string.h>

enum { BEGIN_PER_MINUTE = 30, POLL_PER_MINUTE = 60 / GRANT_INTERVAL + 3, CLIENT_MAX = 100, SCOPES_MAX = 32 };

struct login_doc {
    const char *client, *device_code, *token;
    int64_t ttl;
    struct json_strings roles, scopes;
};
const struct json_field login_schema[] = {
    JSON_FIELD(struct login_doc, client, JSON_K_STRING, .max = CLIENT_MAX, .def = "",
               .doc = "what the person sees of who asks: a program and its machine"),
    JSON_FIELD(struct login_doc, ttl, JSON_K_DURATION, .min = 60, .max = GRANT_TTL_MAX, .def = "12h",
               .doc = "how long the token lives"),
    JSON_FIELD(struct login_doc, roles, JSON_K_STRINGS, .max = 4, .doc = "only these of the person's roles"),
    JSON_FIELD(struct login_doc, scopes, JSON_K_STRINGS, .max = SCOPES_MAX,
               .doc = "only these parts of the API, as of tokens"),
    {0},
};
const struct json_field login_code_schema[] = {
    JSON_FIELD(struct login_doc, device_code, JSON_K_STRING, .required = true, .max = GRANT_DEVICE_TEXT,
               .doc = "as the beginning gave it"),
    {0},
};
const struct json_field logout_schema[] = {
    JSON_FIELD(struct login_doc, token, JSON_K_STRING, .required = true, .max = 200,
               .doc = "the token itself"),
    {0},
};

static tm_err read_doc(struct login_doc *ret, struct api_call *c, const struct json_field *schema,
                       struct diag *diag)
{
    json_t *doc = NULL;
    *ret = (struct login_doc){0};
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(ret, schema, doc, "", c->arena, diag);
    json_decref(doc);
    return e;
}

static tm_err rate(struct api_call *c, const char *what, unsigned per_minute, const char *rule,
                   struct diag *diag)
{
    int64_t wait = 0;
    const char *key = arena_printf(c->arena, "rate/%s", what);
    if (!key)
        return TM_ENOMEM;
    tm_err e = attempts_rate(key, per_minute, &wait, diag);
    c->retry_after = e == TM_EQUOTA ? wait : 0;
    return e == TM_EQUOTA
               ? diag_fail(diag, e, rule, NULL, "too often; go on in %lld seconds", (long long)wait)
               : e;
}

/* ---- the client ---- */

static tm_err texts(const char **ret, struct api_call *c, const struct json_strings *v, struct diag *diag)
{
    struct buf b;
    buf_init(&b, 1024);
    for (size_t i = 0; i < v->n; i++) {
        size_t k = 0;
        while (api_role_names[k] && strcmp(api_role_names[k], v->v[i]) != 0)
            k++;
        if (!api_role_names[k]) {
            buf_done(&b);
            return diag_fail(diag, TM_EINVAL, NULL, "/roles", "\"%s\" is not a role", v->v[i]);
        }
        buf_printf(&b, "%s%s", i ? "," : "", v->v[i]);
    }
    *ret = arena_strdup(c->arena, buf_str(&b));
    buf_done(&b);
    return *ret ? TM_OK : TM_ENOMEM;
}

static tm_err printable(const char **ret, struct arena *a, const char *s)
{
    char *t = arena_strdup(a, s);
    for (char *p = t; p && *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    *ret = t;
    return t ? TM_OK : TM_ENOMEM;
}

static tm_err begin(struct api_call *c, struct diag *diag)
{
    struct login_doc d;
    struct webauthn_place here;
    char code[GRANT_DEVICE_TEXT], address[64];
    attempts_address(address, c->peer);
    TM_TRY(rate(c, address, BEGIN_PER_MINUTE, "slow_down", diag));
    TM_TRY(read_doc(&d, c, login_schema, diag));
    TM_TRY(api_place(&here, c, diag));
    struct grant g = {.tenant = c->tenant->id, .peer = c->peer, .ttl = d.ttl};
    TM_TRY(printable(&g.client, c->arena, d.client));
    TM_TRY(texts(&g.roles, c, &d.roles, diag));
    TM_TRY(token_scopes(&g.scopes, c, &d.scopes, diag));
    TM_TRY(grant_begin(&g, code, c->arena, c->house, diag));
    /* The console has the listener to itself; where it is may be configured, else the client knows. */
    const char *origin = c->house->console_origin;
    const char *tenant =
        strcmp(c->tenant->name, "default") == 0 ? "" : arena_printf(c->arena, "?tenant=%s", c->tenant->name);
    c->status = 201;
    buf_printf(&c->out, "{\"device_code\":\"%s\",\"user_code\":\"%s\"", code, g.user_code);
    api_put_text(&c->out, "verification_uri", arena_printf(c->arena, "%s/#/login%s", origin, tenant));
    api_put_text(
        &c->out, "verification_uri_complete",
        arena_printf(c->arena, "%s/#/login%s%scode=%s", origin, tenant, tenant[0] ? "&" : "?", g.user_code));
    api_put_int(&c->out, "expires_in", GRANT_SECONDS);
    api_put_int(&c->out, "interval", GRANT_INTERVAL);
    buf_puts(&c->out, "}\n");
    explicit_bzero(code, sizeof code);
    return TM_OK;
}

/* RFC 8628 3.5, RFC 6749 5.2: as clients of OAuth read it. */
static tm_err refuse(struct api_call *c, const char *error, const char *text)
{
    c->status = 400;
    buf_printf(&c->out, "{\"error\":\"%s\"", error);
    api_put_text(&c->out, "error_description", text);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err give_token(struct api_call *c, struct grant *g, struct diag *diag)
{
    char *id, *secret;
    int64_t left = g->ends_at ? g->ends_at - clock_now() : g->ttl;
    const struct vouched vouched = {
        .provider = g->provider, .issuer = g->issuer, .owner_of = g->owner_of, .all_tenants = g->all_tenants};
    const struct token_spec spec = {.principal = g->principal,
                                    .roles = g->roles,
                                    .scopes = g->scopes,
                                    .only_tenant = g->only_tenant,
                                    .vouched = g->provider[0] ? &vouched : NULL,
                                    .ttl = left < g->ttl ? left : g->ttl,
                                    .by = g->principal};
    if (spec.ttl < 1)
        return refuse(c, "expired_token", "who confirmed it is signed in no longer; begin again");
    /* Used before there is a token: of two that ask at the same time one gets it. */
    TM_TRY(grant_change(g, GRANT_USED, g->principal, c->arena, c->house, diag));
    TM_TRY(token_create(&id, &secret, c->arena, c->house, (tenant_id)g->home, &spec, diag));
    buf_printf(&c->out, "{\"token\":\"%s.%s\"", id, secret);
    api_put_text(&c->out, "principal", g->principal);
    api_put_text(&c->out, "tenant", c->tenant->name);
    api_put_time(&c->out, "expires_at", clock_now() + spec.ttl);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err poll(struct api_call *c, struct diag *diag)
{
    struct login_doc d;
    struct grant g;
    TM_TRY(read_doc(&d, c, login_code_schema, diag));
    tm_err e = grant_by_device_code(&g, c->arena, c->house, c->tenant->id, d.device_code, diag);
    if (e == TM_ENOTFOUND)
        return refuse(c, "expired_token", "this login is over; begin again");
    TM_TRY(e);
    e = rate(c, g.id, POLL_PER_MINUTE, "slow_down", diag);
    if (e == TM_EQUOTA)
        return refuse(c, "slow_down", diag->message);
    TM_TRY(e);
    if (g.status == GRANT_DENIED)
        return refuse(c, "access_denied", "the login was refused in the console");
    if (g.status == GRANT_PENDING)
        return refuse(c, "authorization_pending", "nobody has confirmed the login yet");
    return give_token(c, &g, diag);
}

/* Whoever has the token may end it. */
static tm_err logout(struct api_call *c, struct diag *diag)
{
    struct login_doc d;
    struct token_grant g;
    const struct principal *p;
    tenant_id home;
    const char *id;
    TM_TRY(signin_try_address(c, diag));
    TM_TRY(read_doc(&d, c, logout_schema, diag));
    tm_err e = api_token(&g, &p, &home, &id, c, slice_str(d.token), diag);
    if (e != TM_EAUTH)
        signin_address_good(c);
    TM_TRY(e);
    TM_TRY(token_revoke(c->house, home, id, g.principal, diag));
    c->status = 204;
    return TM_OK;
}

/* ---- the person ---- */

static tm_err named(struct grant *ret, struct api_call *c, struct diag *diag)
{
    TM_TRY(signin_try_address(c, diag));
    tm_err e = grant_by_user_code(ret, c->arena, c->house, c->tenant->id, api_param(c, "code"), diag);
    if (e == TM_OK)
        signin_address_good(c);
    return e;
}

static void put_list(struct buf *out, const char *key, const char *list)
{
    buf_printf(out, ",\"%s\":[", key);
    for (size_t i = 0; *list; i++) {
        size_t n = strcspn(list, ",");
        buf_puts(out, i ? "," : "");
        buf_put_json_string(out, slice_of(list, n));
        list += n + (list[n] == ',');
    }
    buf_puts(out, "]");
}

static tm_err put_grant(struct api_call *c, const struct grant *g)
{
    static const char *const names[] = {"", "pending", "approved", "denied", "used"};
    char ttl[24];
    duration_format(ttl, g->ttl);
    buf_printf(&c->out, "{\"user_code\":\"%s\",\"status\":\"%s\"", g->user_code, names[g->status]);
    api_put_text(&c->out, "client", g->client);
    api_put_text(&c->out, "peer", g->peer);
    put_list(&c->out, "roles", g->roles);
    put_list(&c->out, "scopes", g->scopes);
    api_put_text(&c->out, "ttl", ttl);
    api_put_time(&c->out, "created_at", g->created_at);
    api_put_time(&c->out, "expires_at", g->expires_at);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err show(struct api_call *c, struct diag *diag)
{
    struct grant g;
    TM_TRY(named(&g, c, diag));
    return put_grant(c, &g);
}

static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    while (*list) {
        size_t k = strcspn(list, ",");
        if (k == n && memcmp(list, name, n) == 0)
            return true;
        list += k + (list[k] == ',');
    }
    return false;
}

static bool session_has(const struct session *s, const char *role)
{
    return listed(s->roles, role) ||
           (strcmp(role, "house-admin") == 0 && s->all_tenants && listed(s->roles, "admin"));
}

/* Whom a provider vouches for has what it said at sign-in, and no longer than a session of that has it: the provider is not asked again. */
static tm_err narrow_vouched(struct grant *g, struct api_call *c, struct diag *diag)
{
    const struct session *s = c->session;
    struct buf roles;
    buf_init(&roles, 256);
    for (size_t i = 0; api_role_names[i]; i++)
        if (session_has(s, api_role_names[i]) && (!g->roles[0] || listed(g->roles, api_role_names[i])))
            buf_printf(&roles, "%s%s", roles.n ? "," : "", api_role_names[i]);
    tm_err e = roles.n
                   ? buf_err(&roles)
                   : diag_fail(diag, TM_EFORBIDDEN, "role", NULL, "you have none of the roles %s", g->roles);
    if (e == TM_OK)
        g->roles = arena_strdup(c->arena, buf_str(&roles));
    buf_done(&roles);
    TM_TRY(e);
    g->provider = s->provider;
    g->issuer = s->issuer;
    g->owner_of = s->owner_of;
    g->all_tenants = s->all_tenants;
    g->ends_at = s->expires_at;
    return g->roles ? TM_OK : TM_ENOMEM;
}

/* What the session is limited to, the token is limited to as well. */
static tm_err narrow(struct grant *g, struct api_call *c, struct diag *diag)
{
    const struct session *s = c->session;
    if (s->external)
        TM_TRY(narrow_vouched(g, c, diag));
    else if (s->roles[0] && g->roles[0] && strcmp(s->roles, g->roles) != 0)
        return diag_fail(diag, TM_EFORBIDDEN, "role", NULL, "this session is limited to %s itself", s->roles);
    if (s->scopes[0] && g->scopes[0] && strcmp(s->scopes, g->scopes) != 0)
        return diag_fail(diag, TM_EFORBIDDEN, "token.scope", NULL, "this session is limited to %s itself",
                         s->scopes);
    if (s->roles[0] && !s->external)
        g->roles = s->roles;
    if (s->scopes[0])
        g->scopes = s->scopes;
    g->only_tenant = s->only_tenant;
    g->principal = s->principal;
    g->home = s->tenant;
    return TM_OK;
}

static tm_err decide(struct api_call *c, bool approve, struct diag *diag)
{
    struct grant g;
    TM_TRY(named(&g, c, diag));
    if (g.status != GRANT_PENDING)
        return diag_fail(diag, TM_ECONFLICT, "login.decided", NULL, "this login is decided already");
    if (approve)
        TM_TRY(narrow(&g, c, diag));
    TM_TRY(grant_change(&g, approve ? GRANT_APPROVED : GRANT_DENIED, c->principal, c->arena, c->house, diag));
    return put_grant(c, &g);
}

static tm_err approve(struct api_call *c, struct diag *diag)
{
    return decide(c, true, diag);
}

static tm_err deny(struct api_call *c, struct diag *diag)
{
    return decide(c, false, diag);
}

/* ---- what the document says ---- */

static const struct api_field begun_fields[] = {
    {"device_code", "string", "the client's secret, with which it asks for its token", "Vr0nCSMZ…"},
    {"user_code", "string", "what the person types", "BCDF-GHJK"},
    {"verification_uri", "string",
     "where; without console-origin in touchmark.yaml it lacks the console's address",
     "https://console.example.org/#/login"},
    {"verification_uri_complete", "string", "the same with the code in it",
     "https://console.example.org/#/login?code=BCDF-GHJK"},
    {"expires_in", "integer", "seconds", "600"},
    {"interval", "integer", "seconds between two questions for the token", "5"},
    {0},
};
static const struct api_field login_fields[] = {
    {"user_code", "string", NULL, "BCDF-GHJK"},
    {"status", "pending|approved|denied|used", NULL, "pending"},
    {"client", "string", "what it calls itself", "touchmark on laptop-7"},
    {"peer", "string", "where it asked from", "192.0.2.7"},
    {"roles", "[]string", "that it wants; none: all of the person's", "[]"},
    {"scopes", "[]string", "the same", "[]"},
    {"ttl", "string", "how long its token lives", "12h"},
    {"created_at", "time?", NULL, NULL},
    {"expires_at", "time?", NULL, NULL},
    {0},
};
static const struct api_field token_fields[] = {
    {"token", "string", "shown this once", "3f1c9a.Vr0nCSMZ…"},
    {"principal", "string", "who it acts as", "alice"},
    {"tenant", "string", NULL, "default"},
    {"expires_at", "time?", NULL, NULL},
    {0},
};
static const struct api_field refused_fields[] = {
    {"error", "authorization_pending|slow_down|access_denied|expired_token", "RFC 8628 3.5",
     "authorization_pending"},
    {"error_description", "string", "the same in words", "nobody has confirmed the login yet"},
    {0},
};
const struct api_schema login_api_schemas[] = {
    {"LoginRefused", "as clients of OAuth read it", refused_fields, NULL, NULL},
    {"LoginBegun", NULL, begun_fields, NULL, NULL},
    {"Login", "a login of the command line that waits for a person", login_fields, NULL, NULL},
    {"LoginToken", NULL, token_fields, NULL, NULL},
    {"LoginRequest", NULL, NULL, login_schema, "{\"client\":\"touchmark on laptop-7\",\"ttl\":\"12h\"}"},
    {"LoginCode", NULL, NULL, login_code_schema, "{\"device_code\":\"Vr0nCSMZ\"}"},
    {"Logout", NULL, NULL, logout_schema, "{\"token\":\"3f1c9a.Vr0nCSMZ\"}"},
    {0},
};
static const struct api_content begun_forms[] = {{201, "application/json", "LoginBegun", "begun"}, {0}};
static const struct api_content wait_forms[] = {
    {400, "application/json", "LoginRefused",
     "authorization_pending: ask again after the interval; slow_down: with five seconds more; else it is over"},
    {400, "application/problem+json", "Problem", "the request could not be read"},
    {0}};
static const struct api_content out_forms[] = {{204, NULL, NULL, "the token is revoked"}, {0}};

const struct api_route login_api_routes[] = {
    {HTTP_M_POST, "/api/v1/device-login", 0, begin, SIGNIN_BODY, "beginLogin",
     "Begin a login of a program that has no browser (RFC 8628)", "session", "LoginRequest", NULL,
     .gives = begun_forms},
    {HTTP_M_POST, "/api/v1/device-login/token", 0, poll, SIGNIN_BODY, "getLoginToken",
     "Its token, once a person has confirmed it; until then RFC 8628's errors", "session", "LoginCode",
     "LoginToken", .gives = wait_forms},
    {HTTP_M_POST, "/api/v1/device-login/logout", 0, logout, SIGNIN_BODY, "logout", "Revoke one's own token",
     "session", "Logout", NULL, .gives = out_forms},
    {HTTP_M_GET, "/api/v1/device-login/{code}", API_ANYONE, show, 0, "getLogin",
     "A login that waits, by the code that the person types", "session", NULL, "Login", API_SESSION},
    {HTTP_M_POST, "/api/v1/device-login/{code}/approve", API_ANYONE, approve, SIGNIN_BODY, "approveLogin",
     "Confirm it: the program may act as the person who asks", "session", NULL, "Login", API_SESSION},
    {HTTP_M_POST, "/api/v1/device-login/{code}/deny", API_ANYONE, deny, SIGNIN_BODY, "denyLogin", "Refuse it",
     "session", NULL, "Login", API_SESSION},
    {0},
};
