/* Signing in and out: by a passkey, a password with a one-time code, or an API token; and the sessions that there are. */
#include "api/groups.h"
#include "api/place.h"
#include "api/principal.h"
#include "api/schemas.h"
#include "api/signin.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "identity/attempts.h"
#include "identity/password.h"
#include "identity/rows.h"
#include "identity/ticket.h"
#include "issue/issue.h"
#include "issue/resources.h"
#include "register/register.h"
#include <stdio.h>
#include <string.h>

enum { CHALLENGE_MS = 300000, SIGNATURE_MAX = 1024, PAGE_MAX = 1000 };
static const char signin_purpose[] = "passkey-signin";

static const char *const method_names[] = {"passkey", "password", "token", NULL};
enum { METHOD_PASSKEY, METHOD_PASSWORD, METHOD_TOKEN };

struct signin_doc {
    int method;
    const char *token, *name, *password, *code;
    json_t *credential;
};
const struct json_field signin_schema[] = {
    JSON_FIELD(struct signin_doc, method, JSON_K_ENUM, .required = true, .names = method_names, .doc = "how"),
    JSON_FIELD(struct signin_doc, credential, JSON_K_ANY,
               .doc = "passkey: what navigator.credentials.get() gave, as toJSON() writes it"),
    JSON_FIELD(struct signin_doc, name, JSON_K_STRING, .max = USER_NAME_MAX, .def = "",
               .doc = "password: the user"),
    JSON_FIELD(struct signin_doc, password, JSON_K_STRING, .max = PASSWORD_MAX, .def = ""),
    JSON_FIELD(
        struct signin_doc, code, JSON_K_STRING, .max = 40, .def = "",
        .doc =
            "password, and token where the user has one-time codes: six digits of the app, or a recovery code"),
    JSON_FIELD(struct signin_doc, token, JSON_K_STRING, .max = 200, .def = "",
               .doc = "token: an API token; the session may do what it may"),
    {0},
};

/* Who wants to sign in, once that is known. */
struct signing_in {
    struct user user;
    struct session session;
    struct effect effects[2];
    size_t n;
};

static tm_err wrong(struct diag *diag)
{
    return diag_fail(diag, TM_EAUTH, "session.credentials", NULL, "name, password or code do not fit");
}

static tm_err keep_user(struct signing_in *x, struct api_call *c)
{
    char address[64];
    attempts_address(address, c->peer);
    TM_TRY(user_signed_in(&x->user, c->arena, address));
    return x->user.version ? user_effect(&x->effects[x->n++], c->arena, &x->user) : TM_OK;
}

/* ---- passkeys ---- */

static tm_err find_passkey(struct passkey *ret, struct api_call *c, struct slice id, struct diag *diag)
{
    tenant_id homes[SIGNIN_HOMES];
    tm_err e = TM_ENOTFOUND;
    signin_homes(homes, c);
    for (size_t i = 0; i < SIGNIN_HOMES && e == TM_ENOTFOUND; i++)
        e = passkey_by_credential(ret, c->arena, c->house, homes[i], id, diag);
    return e == TM_ENOTFOUND
               ? diag_fail(diag, TM_EAUTH, "passkey.unknown", NULL, "this passkey is not known here")
               : e;
}

/* WebAuthn 6.1.1: a counter that does not go on is that of a copy. */
static tm_err check_count(struct api_call *c, const struct passkey *k, uint32_t count, struct diag *diag)
{
    if ((count == 0 && k->count == 0) || count > k->count)
        return TM_OK;
    struct event_field fields[] = {{.key = "count", .kind = EVENT_INT, .i = count},
                                   {.key = "known", .kind = EVENT_INT, .i = k->count},
                                   {.key = "passkey", .kind = EVENT_STR, .s = slice_str(k->id)},
                                   {0}};
    TM_TRY(house_event(c->house, k->tenant, "passkey.copied",
                       arena_printf(c->arena, "principal/%s", k->owner), fields, diag));
    return diag_fail(
        diag, TM_EAUTH, "passkey.copied", NULL,
        "the passkey's counter goes backwards: there may be a copy of it; use another, and remove this one");
}

static tm_err by_passkey(struct signing_in *x, struct api_call *c, const struct signin_doc *d,
                         struct diag *diag)
{
    const json_t *response = json_object_get(d->credential, "response");
    struct slice id, client_data, auth_data, signature, handle, key;
    struct webauthn_place here;
    struct webauthn_use use;
    struct passkey k;
    struct spki spki;
    const char *challenge;
    TM_TRY(api_passkey_place(&here, c, diag));
    TM_TRY(signin_octets(&id, c, d->credential, "rawId", WEBAUTHN_CREDENTIAL_ID_MAX, diag));
    TM_TRY(signin_octets(&client_data, c, response, "clientDataJSON", WEBAUTHN_CLIENT_DATA_MAX, diag));
    TM_TRY(signin_octets(&auth_data, c, response, "authenticatorData", WEBAUTHN_OBJECT_MAX, diag));
    TM_TRY(signin_octets(&signature, c, response, "signature", SIGNATURE_MAX, diag));
    TM_TRY(signin_octets(&handle, c, response, "userHandle", 64, diag));
    TM_TRY(webauthn_client_data(&challenge, c->arena, client_data, false, &here, diag));
    TM_TRY(ticket_check(signin_purpose, challenge, diag));
    TM_TRY(find_passkey(&k, c, id, diag));
    TM_TRY(user_read(&x->user, c->arena, c->house, k.tenant, k.owner, diag));
    const char *hex = arena_hex(c->arena, handle);
    if (!hex || strcmp(hex, x->user.handle) != 0)
        return hex ? wrong(diag) : TM_ENOMEM;
    TM_TRY(base64_decode(&key, c->arena, slice_str(k.key), BASE64_STD));
    TM_TRY(spki_parse(&spki, key, diag));
    TM_TRY(webauthn_used(&use, &spki, (int)k.alg, auth_data, client_data, signature, &here, diag));
    TM_TRY(check_count(c, &k, use.count, diag));
    TM_TRY(ticket_spend(signin_purpose, challenge, diag));
    k.count = use.count;
    k.backed_up = use.backed_up;
    k.used_at = clock_now();
    TM_TRY(passkey_effect(&x->effects[x->n++], c->arena, &k));
    x->session = (struct session){.tenant = k.tenant, .principal = k.owner, .method = "passkey"};
    return keep_user(x, c);
}

/* ---- a password ---- */

/* The user of this name who has a password, the house's before the tenant's; where there is none, nothing says so. */
static tm_err read_user(struct user *ret, struct api_call *c, const char *name, struct diag *diag)
{
    tenant_id homes[SIGNIN_HOMES];
    signin_homes(homes, c);
    for (size_t i = 0; i < SIGNIN_HOMES; i++) {
        const struct principal *p = catalog_principal(c->catalog, homes[i], name);
        TM_TRY(user_read(ret, c->arena, c->house, homes[i], name, diag));
        if (p && !p->disabled && ret->password[0])
            return TM_OK;
    }
    ret->password = "";
    return TM_OK;
}

static tm_err check_password(struct signing_in *x, bool *ret_recovery, struct api_call *c,
                             const struct signin_doc *d, struct diag *diag)
{
    const char *kept = x->user.password[0] ? x->user.password : NULL;
    TM_TRY(password_verify(kept, slice_str(d->password), diag));
    return user_check_code(&x->user, ret_recovery, c->arena, c->house, d->code, diag);
}

static tm_err by_password(struct signing_in *x, struct api_call *c, const struct signin_doc *d, int64_t *wait,
                          struct diag *diag)
{
    bool recovery = false;
    if (!d->name[0] || !d->password[0] || !d->code[0])
        return diag_fail(diag, TM_EINVAL, NULL, "/code",
                         "a password needs the user's name and a one-time code beside it");
    TM_TRY(read_user(&x->user, c, d->name, diag));
    const char *key, *place;
    char address[64];
    attempts_address(address, c->peer);
    TM_TRY(user_place(&place, c->arena, &x->user, address));
    key = signin_user_key(c, x->user.tenant, d->name, place);
    if (!key)
        return TM_ENOMEM;
    TM_TRY(attempts_begin(key, ATTEMPTS_FREE_USER, wait, diag));
    tm_err e = check_password(x, &recovery, c, d, diag);
    if (e == TM_OK)
        attempts_good(key);
    else if (e != TM_EAUTH)
        attempts_undo(key);
    TM_TRY(e);
    x->session = (struct session){
        .tenant = x->user.tenant, .principal = x->user.name, .method = recovery ? "recovery" : "password"};
    return keep_user(x, c);
}

/* ---- a token ---- */

static tm_err second_factor(struct signing_in *x, struct api_call *c, const struct signin_doc *d,
                            int64_t *wait, struct diag *diag)
{
    bool recovery;
    /* Counted by itself: who has no token does not lock out who has one. */
    const char *key = signin_token_key(c, x->user.tenant, x->user.name);
    if (!key)
        return TM_ENOMEM;
    if (!d->code[0])
        return diag_fail(diag, TM_EAUTH, "session.code", "/code",
                         "this user has one-time codes: the token needs one beside it");
    TM_TRY(attempts_begin(key, ATTEMPTS_FREE_USER, wait, diag));
    tm_err e = user_check_code(&x->user, &recovery, c->arena, c->house, d->code, diag);
    if (e == TM_OK)
        attempts_good(key);
    else if (e != TM_EAUTH)
        attempts_undo(key);
    return e;
}

static tm_err by_token(struct signing_in *x, struct api_call *c, const struct signin_doc *d, int64_t *wait,
                       struct diag *diag)
{
    struct token_grant g;
    const struct principal *p;
    tenant_id home;
    const char *id;
    TM_TRY(api_token(&g, &p, &home, &id, c, slice_trim(slice_str(d->token)), diag));
    /* Else sessions and logins could follow from each other, and what was said at sign-in would never end. */
    if (!p)
        return diag_fail(diag, TM_EAUTH, "session.external", "/token",
                         "this token is of somebody whom an identity provider vouches for; sign in there");
    TM_TRY(user_read(&x->user, c->arena, c->house, home, p->name, diag));
    if (x->user.totp[0])
        TM_TRY(second_factor(x, c, d, wait, diag));
    x->session = (struct session){.tenant = home,
                                  .principal = p->name,
                                  .method = "token",
                                  .token = id,
                                  .roles = g.roles,
                                  .scopes = g.scopes,
                                  .only_tenant = g.only_tenant};
    return keep_user(x, c);
}

/* ---- the session ---- */

static tm_err sign_in(struct api_call *c, const struct signin_doc *d, int64_t *wait, struct diag *diag)
{
    struct signing_in x = {0};
    TM_TRY(d->method == METHOD_PASSKEY    ? by_passkey(&x, c, d, diag)
           : d->method == METHOD_PASSWORD ? by_password(&x, c, d, wait, diag)
                                          : by_token(&x, c, d, wait, diag));
    const struct principal *p = catalog_principal(c->catalog, x.session.tenant, x.session.principal);
    if (!p || p->disabled)
        return diag_fail(diag, TM_EAUTH, "principal.disabled", NULL, "this principal is gone or disabled");
    struct session *s = arena_calloc(c->arena, 1, sizeof *s);
    if (!s)
        return TM_ENOMEM;
    *s = x.session;
    TM_TRY(signin_open(c, s, x.effects, x.n, diag));
    return TM_OK;
}

static tm_err open_session(struct api_call *c, struct diag *diag)
{
    struct signin_doc d = {0};
    json_t *doc = NULL;
    int64_t wait = 0;
    TM_TRY(api_same_origin(c, diag));
    TM_TRY(signin_try_address(c, diag));
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, signin_schema, doc, "", c->arena, diag);
    if (e == TM_OK)
        e = sign_in(c, &d, &wait, diag);
    json_decref(doc);
    if (e != TM_EAUTH && e != TM_EBADSIG)
        signin_address_good(c);
    if (e == TM_EBADSIG) {
        e = TM_EAUTH;
    } else if (e == TM_EDENIED || e == TM_EEXPIRED) { /* all of them: who shows this is not known by it */
        e = TM_EAUTH;
    }
    if (e != TM_OK)
        return signin_refused(c, e, d.name, wait, diag);
    c->status = 201;
    c->location = "/api/v1/session";
    put_session(&c->out, c, c->session, c->csrf);
    buf_putc(&c->out, '\n');
    return TM_OK;
}

static tm_err get_session(struct api_call *c, struct diag *diag)
{
    (void)diag;
    put_session(&c->out, c, c->session, c->csrf);
    buf_putc(&c->out, '\n');
    return TM_OK;
}

static tm_err close_session(struct api_call *c, struct diag *diag)
{
    TM_TRY(session_end(c->house, c->session, c->session->principal, "signed out", diag));
    c->set_cookie[0] = SESSION_COOKIE "=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0";
    buf_puts(&c->out, "{\"logout\":");
    if (c->session->logout[0])
        buf_put_json_string(&c->out, slice_str(c->session->logout));
    else
        buf_puts(&c->out, "null");
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err put_provider(struct buf *out, const struct api_call *c, const struct resource_row *row,
                           bool house, size_t *shown)
{
    json_t *doc = NULL;
    struct diag why = {0};
    struct provider_doc d = {0};
    TM_TRY(json_parse(&doc, row->json, 1 << 20, &why));
    tm_err e = json_bind(&d, provider_schema, doc, "", c->arena, &why);
    json_decref(doc);
    if (e != TM_OK || d.disabled)
        return e == TM_ENOMEM ? e : TM_OK; /* a document of a newer version: nobody can sign in by it here */
    buf_puts(out, (*shown)++ ? ",{\"name\":" : "{\"name\":");
    buf_put_json_string(out, slice_str(d.name));
    api_put_text(out, "title", d.title[0] ? d.title : d.name);
    api_put_bool(out, "house", house);
    buf_putc(out, '}');
    return TM_OK;
}

/* What the page has to offer before anybody has said who they are. */
static tm_err methods(struct api_call *c, struct diag *diag)
{
    struct webauthn_place here = {0};
    struct diag why = {0};
    bool name = api_passkey_place(&here, c, &why) == TM_OK;
    struct store_read q = {.kind = READ_RESOURCES, .name = "IdentityProvider", .limit = 100};
    buf_puts(&c->out, "{\"methods\":[");
    buf_printf(&c->out, "%s\"password\",\"token\"]", name ? "\"passkey\"," : "");
    if (!name)
        api_put_text(&c->out, "no_passkeys", why.message);
    buf_puts(&c->out, ",\"providers\":[");
    tenant_id homes[SIGNIN_HOMES];
    signin_homes(homes, c);
    for (size_t i = 0, shown = 0; i < SIGNIN_HOMES; i++) {
        if (i && homes[i] == homes[0])
            continue;
        q.tenant = homes[i];
        q.arena = c->arena;
        tm_err e = store_read_now(c->house->store, &q);
        if (e != TM_OK && e != TM_ENOTFOUND) {
            *diag = q.diag;
            return e;
        }
        for (size_t k = 0; e == TM_OK && k < q.n; k++)
            TM_TRY(put_provider(&c->out, c, &q.resources[k], i == 0, &shown));
    }
    buf_puts(&c->out, "]}\n");
    return TM_OK;
}

static tm_err challenge(struct api_call *c, struct diag *diag)
{
    struct webauthn_place here;
    char ticket[TICKET_TEXT];
    TM_TRY(api_same_origin(c, diag));
    TM_TRY(api_passkey_place(&here, c, diag));
    TM_TRY(ticket_make(ticket, signin_purpose, CHALLENGE_MS / 1000));
    buf_printf(&c->out, "{\"challenge\":\"%s\",\"timeout\":%d,\"rpId\":", ticket, CHALLENGE_MS);
    buf_put_json_string(&c->out, slice_str(here.rp_id));
    buf_puts(&c->out, ",\"allowCredentials\":[],\"userVerification\":\"required\"}\n");
    return TM_OK;
}

/* ---- all sessions ---- */

/* Whose sessions are asked for; NULL *ret_name: everybody's. */
static tm_err whose(tenant_id *ret_tenant, const char **ret_name, const struct api_call *c, struct diag *diag)
{
    const char *name = api_query(c, "principal"), *all = api_query(c, "all");
    bool admin = c->roles & (ROLE_ADMIN | ROLE_HOUSE_ADMIN);
    const struct principal *own = api_principal_named(c, c->principal);
    *ret_tenant = c->session ? c->session->tenant : own ? own->tenant : c->tenant->id;
    *ret_name = c->principal;
    if (!name && !all)
        return TM_OK;
    if (!admin)
        return diag_fail(diag, TM_EFORBIDDEN, "role", NULL, "others' sessions are for an administrator");
    *ret_tenant = c->tenant->id;
    *ret_name = name;
    if (name) {
        const struct principal *p = api_principal_named(c, name);
        *ret_tenant = p ? p->tenant : c->tenant->id;
    } else if (api_query(c, "house")) {
        if (!(c->roles & ROLE_HOUSE_ADMIN))
            return diag_fail(diag, TM_EFORBIDDEN, "role", "house", "only for an administrator of the house");
        *ret_tenant = TENANT_HOUSE;
    }
    return TM_OK;
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    tenant_id tenant;
    const char *name, *next;
    struct session *v;
    size_t n, limit;
    TM_TRY(whose(&tenant, &name, c, diag));
    TM_TRY(api_limit(&limit, c, 100, PAGE_MAX, diag));
    TM_TRY(
        sessions_list(&v, &n, &next, c->arena, c->house, tenant, name, api_query(c, "after"), limit, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < n; i++) {
        buf_puts(&c->out, i ? "," : "");
        put_session(&c->out, c, &v[i], NULL);
    }
    buf_puts(&c->out, "]");
    if (next)
        api_put_text(&c->out, "next", next);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

/* One's own, or as an administrator those of the tenant and, of the house, the house's. */
static tm_err find(struct session *ret, const struct api_call *c, const char *id, struct diag *diag)
{
    bool admin = c->roles & (ROLE_ADMIN | ROLE_HOUSE_ADMIN);
    if (c->session && session_read(ret, c->arena, c->house, c->session->tenant, id, diag) == TM_OK &&
        strcmp(ret->principal, c->principal) == 0)
        return TM_OK;
    tm_err e = admin ? session_read(ret, c->arena, c->house, c->tenant->id, id, diag) : TM_ENOTFOUND;
    if (e == TM_ENOTFOUND && (c->roles & ROLE_HOUSE_ADMIN))
        e = session_read(ret, c->arena, c->house, TENANT_HOUSE, id, diag);
    return e == TM_ENOTFOUND ? diag_fail(diag, e, NULL, "id", "there is no session \"%s\"", id) : e;
}

static tm_err end_session(struct api_call *c, struct diag *diag)
{
    struct session s;
    TM_TRY(find(&s, c, api_param(c, "id"), diag));
    TM_TRY(session_end(c->house, &s, c->principal, "ended", diag));
    c->status = 204;
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field session_fields[] = {
    {"id", "string", NULL, "019aa7c3f1200a1b2c3d4e5f6071"},
    {"principal", "string", NULL, "admin"},
    {"tenant", "string", "where the principal lives; \"house\" for those of all tenants", "house"},
    {"method", "string", "passkey, password, recovery, token, or oidc: and the provider's name", "passkey"},
    {"peer", "string", "the address it was opened from", "192.0.2.7"},
    {"agent", "string", "what the browser calls itself", "Mozilla/5.0"},
    {"opened_at", "time?", NULL, NULL},
    {"last_at", "time?", "its last use, to a minute", NULL},
    {"expires_at", "time?", "its end, however much it is used", NULL},
    {"idle_seconds", "integer", "without use it ends after so long", "1800"},
    {"fresh", "boolean", "young enough to change how one signs in", "true"},
    {"current", "boolean", "it is the one that asks", "true"},
    {"roles?", "[]auditor|operator|owner|admin|house-admin", "of the caller's own, in this tenant", NULL},
    {"csrf?", "string", "of the caller's own: goes into X-Touchmark-CSRF of all that changes something",
     "2oWq…"},
    {0},
};
static const struct api_field session_list_fields[] = {
    {"items", "[]Session", NULL, NULL},
    {"next?", "string", "what `after` is for the next page", "019aa7c3f1200a1b2c3d4e5f6071"},
    {0},
};
static const struct api_field closed_fields[] = {
    {"logout", "string?", "where the browser has to go to end the provider's own session", NULL},
    {0},
};
static const struct api_field methods_fields[] = {
    {"methods", "[]passkey|password|token", NULL, NULL},
    {"no_passkeys?", "string", "why there are none at this address", NULL},
    {"providers", "[]ProviderName", "others that vouch for people", NULL},
    {0},
};
static const struct api_field provider_fields[] = {
    {"name", "string", NULL, "corp"},
    {"title", "string", NULL, "Example Corp"},
    {"house", "boolean", "it is the house's, not the tenant's", "false"},
    {0},
};
static const struct api_field challenge_fields[] = {
    {"challenge", "string", "base64url", "AAEC"},
    {"timeout", "integer", "milliseconds", "300000"},
    {"rpId", "string", NULL, "console.example.org"},
    {"allowCredentials", "[]any", "none: the authenticator knows its user", NULL},
    {"userVerification", "string", NULL, "required"},
    {0},
};
const struct api_schema session_api_schemas[] = {
    {"Session", "what a browser has after signing in", session_fields, NULL, NULL},
    {"SessionList", NULL, session_list_fields, NULL, NULL},
    {"SessionClosed", NULL, closed_fields, NULL, NULL},
    {"SignInMethods", NULL, methods_fields, NULL, NULL},
    {"ProviderName", NULL, provider_fields, NULL, NULL},
    {"PasskeyRequestOptions", "as PublicKeyCredential.parseRequestOptionsFromJSON() takes it",
     challenge_fields, NULL, NULL},
    {"SignIn", NULL, NULL, signin_schema, "{\"method\":\"token\",\"token\":\"3f1c9a.Vr0nCSMZ\"}"},
    {0},
};
static const struct api_content opened_forms[] = {{201, "application/json", "Session", "signed in"}, {0}};
static const struct api_content ended_forms[] = {{204, NULL, NULL, "ended"}, {0}};
static const struct api_field list_query[] = {
    {"principal", "string", "of this user; for administrators", NULL},
    {"all", "string", "\"1\": of the whole tenant; for administrators", "1"},
    {"house", "string", "\"1\" with all: of the house's users; for administrators of the house", "1"},
    {0},
};

const struct api_route session_api_routes[] = {
    {HTTP_M_GET, "/api/v1/session/methods", 0, methods, 0, "getSignInMethods",
     "How one may sign in at this address", "session", NULL, "SignInMethods"},
    {HTTP_M_POST, "/api/v1/session/challenge", 0, challenge, SIGNIN_BODY, "createSignInChallenge",
     "A challenge for signing in with a passkey", "session", NULL, "PasskeyRequestOptions"},
    {HTTP_M_POST, "/api/v1/session", 0, open_session, SIGNIN_BODY, "signIn",
     "Sign in: the answer sets a cookie, and says the token that goes with it", "session", "SignIn", NULL,
     API_LOCATION | API_COOKIE, .gives = opened_forms},
    {HTTP_M_GET, "/api/v1/session", API_ANYONE, get_session, 0, "getSession", "The caller's own session",
     "session", NULL, "Session", API_SESSION | API_OWN},
    {HTTP_M_DELETE, "/api/v1/session", API_ANYONE, close_session, 0, "signOut", "Sign out", "session", NULL,
     "SessionClosed", API_SESSION | API_OWN | API_COOKIE},
    {HTTP_M_GET, "/api/v1/sessions", API_ANYONE, list, 0, "listSessions",
     "List one's own sessions, or as an administrator others'", "session", NULL, "SessionList", API_PAGED,
     list_query},
    {HTTP_M_DELETE, "/api/v1/sessions/{id}", API_ANYONE, end_session, 0, "endSession", "End a session",
     "session", NULL, NULL, .gives = ended_forms},
    {0},
};
