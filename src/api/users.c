/* Users: the principals, how each signs in, and what an administrator does about it. */
#include "api/groups.h"
#include "api/principal.h"
#include "api/schemas.h"
#include "api/signin.h"
#include "base/arena.h"
#include "base/clock.h"
#include "identity/attempts.h"
#include "issue/house.h"
#include "issue/resources.h"
#include <string.h>

enum { PAGE = 100, PAGE_MAX = 1000, SESSIONS = 200 };

struct user_doc {
    int64_t ttl;
    bool disabled;
};
const struct json_field invite_schema[] = {
    JSON_FIELD(struct user_doc, ttl, JSON_K_DURATION, .min = 60, .max = USER_INVITE_TTL_MAX, .def = "2d",
               .doc = "how long the link is good"),
    {0},
};
const struct json_field user_state_schema[] = {
    JSON_FIELD(struct user_doc, disabled, JSON_K_BOOL, .required = true,
               .doc = "true: nothing that the user has is good any more, sessions and tokens alike"),
    {0},
};

/* ---- reading ---- */

static tm_err put_user(struct api_call *c, tenant_id tenant, const struct principal_doc *p, struct diag *diag)
{
    struct buf *out = &c->out;
    struct user u;
    struct session *s;
    struct invite i;
    size_t n;
    const char *next;
    const struct tenant *t = catalog_tenant_by_id(c->catalog, tenant);
    TM_TRY(user_read(&u, c->arena, c->house, tenant, p->name, diag));
    TM_TRY(sessions_list(&s, &n, &next, c->arena, c->house, tenant, p->name, NULL, SESSIONS, diag));
    tm_err e = invite_of(&i, c->arena, c->house, tenant, p->name, diag);
    if (e != TM_OK && e != TM_ENOTFOUND)
        return e;
    buf_puts(out, "{\"name\":");
    buf_put_json_string(out, slice_str(p->name));
    api_put_text(out, "title", p->title);
    api_put_text(out, "tenant", t ? t->name : "");
    buf_puts(out, ",\"roles\":[");
    for (size_t k = 0; k < p->roles.n; k++)
        buf_printf(out, "%s\"%s\"", k ? "," : "", p->roles.v[k]);
    buf_puts(out, "]");
    api_put_bool(out, "all_tenants", p->all_tenants && tenant == TENANT_HOUSE);
    api_put_bool(out, "disabled", p->disabled);
    api_put_bool(out, "certificate", p->certificate_fingerprint[0] != '\0');
    buf_puts(out, ",\"credentials\":");
    TM_TRY(put_credentials(out, c, tenant, p->name, diag));
    api_put_int(out, "sessions", (int64_t)n);
    api_put_time(out, "signed_in_at", u.signed_in_at);
    api_put_time(out, "invited_until", e == TM_OK ? i.expires_at : 0);
    buf_putc(out, '}');
    return TM_OK;
}

static tm_err put_row(struct api_call *c, tenant_id tenant, const struct resource_row *row, struct diag *diag)
{
    json_t *doc = NULL;
    struct principal_doc d = {0};
    TM_TRY(json_parse(&doc, row->json, 1 << 20, diag));
    tm_err e = json_bind(&d, principal_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    return put_user(c, tenant, &d, diag);
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    size_t limit;
    const char *after = api_query(c, "after");
    TM_TRY(api_limit(&limit, c, PAGE, PAGE_MAX, diag));
    struct store_read q = {.kind = READ_RESOURCES,
                           .tenant = c->tenant->id,
                           .arena = c->arena,
                           .name = "Principal",
                           .limit = limit,
                           .after = slice_str(after ? after : "")};
    if (api_query(c, "house")) {
        if (!(c->roles & ROLE_HOUSE_ADMIN))
            return diag_fail(diag, TM_EFORBIDDEN, "role", "house",
                             "only an administrator of the house may see its users");
        q.tenant = TENANT_HOUSE;
    }
    tm_err e = store_read_now(c->house->store, &q);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; e == TM_OK && i < q.n; i++) {
        buf_puts(&c->out, i ? "," : "");
        TM_TRY(put_row(c, q.tenant, &q.resources[i], diag));
    }
    api_put_next(&c->out, &q, false);
    return TM_OK;
}

/* The principal that the path names. */
static tm_err named(const struct principal **ret, const struct api_call *c, struct diag *diag)
{
    const char *name = api_param(c, "name");
    *ret = api_principal_named(c, name);
    return *ret ? TM_OK
                : diag_fail(diag, TM_ENOTFOUND, NULL, "name",
                            "there is no user \"%s\" in tenant \"%s\"; make a principal first", name,
                            c->tenant->name);
}

static tm_err read_named(struct store_read *q, const struct principal *p, struct api_call *c,
                         struct diag *diag)
{
    *q = (struct store_read){
        .kind = READ_RESOURCE, .tenant = p->tenant, .arena = c->arena, .name = "Principal", .name2 = p->name};
    tm_err e = store_read_now(c->house->store, q);
    if (e != TM_OK)
        *diag = q->diag;
    return e;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    const struct principal *p;
    struct store_read q;
    TM_TRY(named(&p, c, diag));
    TM_TRY(read_named(&q, p, c, diag));
    TM_TRY(put_row(c, p->tenant, &q.resources[0], diag));
    buf_putc(&c->out, '\n');
    return TM_OK;
}

/* ---- changes ---- */

/* Nobody opens a door for somebody who may go further than they may themselves. */
static tm_err may_change(const struct principal *p, const struct api_call *c, struct diag *diag)
{
    if ((p->all_tenants || p->tenant == TENANT_HOUSE) && !(c->roles & ROLE_HOUSE_ADMIN))
        return diag_fail(diag, TM_EFORBIDDEN, "role", NULL,
                         "only an administrator of the house may do this for this user");
    return TM_OK;
}

static tm_err read_doc(struct user_doc *ret, struct api_call *c, const struct json_field *schema,
                       struct diag *diag)
{
    json_t *doc = NULL;
    *ret = (struct user_doc){0};
    if (c->body.n == 0)
        doc = json_object();
    else
        TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(ret, schema, doc, "", c->arena, diag);
    json_decref(doc);
    return e;
}

/* Who is invited may try again at once, from wherever that is. */
static void let_try(const struct api_call *c, const struct user *u)
{
    const char *keys[2 + USER_PLACES] = {signin_user_key(c, u->tenant, u->name, ""),
                                         signin_token_key(c, u->tenant, u->name)};
    for (size_t i = 0; i < u->places.n && i < USER_PLACES; i++)
        keys[2 + i] = signin_user_key(c, u->tenant, u->name, u->places.v[i]);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i])
            attempts_forget(keys[i]);
}

static tm_err invite(struct api_call *c, struct diag *diag)
{
    const struct principal *p;
    struct user_doc d;
    struct user u;
    char text[USER_INVITE_TEXT];
    int64_t until;
    TM_TRY(read_doc(&d, c, invite_schema, diag));
    TM_TRY(named(&p, c, diag));
    TM_TRY(may_change(p, c, diag));
    if (p->disabled)
        return diag_fail(diag, TM_ECONFLICT, "principal.disabled", "name",
                         "this user is disabled; enable the user first");
    TM_TRY(user_ensure(&u, c->arena, c->house, p->tenant, p->name, diag));
    TM_TRY(invite_make(text, c->arena, c->house, p->tenant, p->name, d.ttl, c->principal, &until, diag));
    let_try(c, &u);
    c->status = 201;
    buf_puts(&c->out, "{\"principal\":");
    buf_put_json_string(&c->out, slice_str(p->name));
    api_put_text(&c->out, "invite", text);
    buf_printf(&c->out, ",\"path\":\"/#/welcome?invite=%s\"", text);
    api_put_text(&c->out, "origin", c->house->console_origin);
    api_put_time(&c->out, "expires_at", until);
    buf_puts(&c->out, "}\n");
    explicit_bzero(text, sizeof text);
    return TM_OK;
}

static tm_err withdraw(struct api_call *c, struct diag *diag)
{
    const struct principal *p;
    TM_TRY(named(&p, c, diag));
    TM_TRY(may_change(p, c, diag));
    TM_TRY(invite_withdraw(c->house, p->tenant, p->name, c->principal, diag));
    c->status = 204;
    return TM_OK;
}

static tm_err remove_passkey(struct api_call *c, struct diag *diag)
{
    const struct principal *p;
    TM_TRY(named(&p, c, diag));
    TM_TRY(may_change(p, c, diag));
    TM_TRY(passkey_remove(c->house, p->tenant, p->name, api_param(c, "id"), c->principal, diag));
    c->status = 204;
    return TM_OK;
}

static tm_err remove_password(struct api_call *c, struct diag *diag)
{
    const struct principal *p;
    TM_TRY(named(&p, c, diag));
    TM_TRY(may_change(p, c, diag));
    TM_TRY(user_clear_password(c->house, p->tenant, p->name, c->principal, diag));
    c->status = 204;
    return TM_OK;
}

static tm_err end_sessions(struct api_call *c, struct diag *diag)
{
    const struct principal *p;
    size_t n;
    TM_TRY(named(&p, c, diag));
    TM_TRY(may_change(p, c, diag));
    TM_TRY(sessions_end(&n, c->house, p->tenant, p->name, NULL, c->principal, "ended", diag));
    buf_printf(&c->out, "{\"ended\":%zu}\n", n);
    return TM_OK;
}

static tm_err put_state(struct api_call *c, const struct principal *p, bool disabled, struct diag *diag)
{
    struct store_read q;
    json_t *doc = NULL;
    TM_TRY(read_named(&q, p, c, diag));
    TM_TRY(json_parse(&doc, q.resources[0].json, 1 << 20, diag));
    tm_err e = json_object_set_new(doc, "disabled", json_boolean(disabled)) == 0
                   ? house_resource_put(c->house, p->tenant, "Principal", doc, q.resources[0].version,
                                        c->principal, NULL, diag)
                   : TM_ENOMEM;
    json_decref(doc);
    return e;
}

static tm_err state(struct api_call *c, struct diag *diag)
{
    const struct principal *p;
    struct user_doc d;
    size_t n;
    TM_TRY(read_doc(&d, c, user_state_schema, diag));
    TM_TRY(named(&p, c, diag));
    TM_TRY(may_change(p, c, diag));
    if (d.disabled && c->session && c->session->tenant == p->tenant &&
        strcmp(c->session->principal, p->name) == 0)
        return diag_fail(diag, TM_ECONFLICT, "user.self", "/disabled",
                         "one does not shut oneself out; another administrator can do it");
    TM_TRY(put_state(c, p, d.disabled, diag));
    if (d.disabled)
        TM_TRY(sessions_end(&n, c->house, p->tenant, p->name, NULL, c->principal, "disabled", diag));
    return get(c, diag);
}

/* ---- what the document says ---- */

static const struct api_field user_fields[] = {
    {"name", "string", NULL, "alice"},
    {"title", "string", NULL, "Alice"},
    {"tenant", "string", NULL, "default"},
    {"roles", "[]auditor|operator|owner|admin", NULL, NULL},
    {"all_tenants", "boolean", "the roles hold in every tenant", "false"},
    {"disabled", "boolean", NULL, "false"},
    {"certificate", "boolean", "comes with a client certificate as well", "false"},
    {"credentials", "Credentials", NULL, NULL},
    {"sessions", "integer", "open now", "1"},
    {"signed_in_at", "time?", "last", NULL},
    {"invited_until", "time?", "an invitation waits until then", NULL},
    {0},
};
static const struct api_field user_list_fields[] = {
    {"items", "[]User", NULL, NULL},
    {"next?", "string", "what `after` is for the next page", "alice"},
    {0},
};
static const struct api_field invite_fields[] = {
    {"principal", "string", NULL, "alice"},
    {"invite", "string", "shown this once", "1.019aa7c3.Vr0nCSMZ"},
    {"path", "string", "of the console's page that takes it", "/#/welcome?invite=1.019aa7c3.Vr0nCSMZ"},
    {"origin", "string", "what goes before the path, where touchmark.yaml says it (console-origin)", ""},
    {"expires_at", "time?", NULL, NULL},
    {0},
};
static const struct api_field ended_fields[] = {{"ended", "integer", "how many", "2"}, {0}};
const struct api_schema user_api_schemas[] = {
    {"User", "a principal, and how it signs in", user_fields, NULL, NULL},
    {"UserList", NULL, user_list_fields, NULL, NULL},
    {"Invite", NULL, invite_fields, NULL, NULL},
    {"SessionsEnded", NULL, ended_fields, NULL, NULL},
    {"InviteRequest", NULL, NULL, invite_schema, "{\"ttl\":\"2d\"}"},
    {"UserState", NULL, NULL, user_state_schema, "{\"disabled\":true}"},
    {0},
};
static const struct api_content invited_forms[] = {{201, "application/json", "Invite", "made"}, {0}};
static const struct api_content removed_forms[] = {{204, NULL, NULL, "removed"}, {0}};
static const struct api_field list_query[] = {
    {"house", "string", "\"1\": the house's users; for administrators of the house", "1"},
    {0},
};

const struct api_route user_api_routes[] = {
    {HTTP_M_GET, "/api/v1/users", API_READERS, list, 0, "listUsers", "List the users", "users", NULL,
     "UserList", API_PAGED, list_query},
    {HTTP_M_GET, "/api/v1/users/{name}", API_READERS, get, 0, "getUser", "One user", "users", NULL, "User"},
    {HTTP_M_POST, "/api/v1/users/{name}/invite", ROLE_ADMIN, invite, SIGNIN_BODY, "inviteUser",
     "Make a link with which the user sets up how to sign in; it is good once", "users", "InviteRequest",
     NULL, API_BODY_OPTIONAL, .gives = invited_forms},
    {HTTP_M_DELETE, "/api/v1/users/{name}/invite", ROLE_ADMIN, withdraw, 0, "withdrawInvite",
     "Make the link worthless", "users", NULL, NULL, .gives = removed_forms},
    {HTTP_M_POST, "/api/v1/users/{name}/state", ROLE_ADMIN, state, SIGNIN_BODY, "setUserState",
     "Disable or enable a user", "users", "UserState", "User"},
    {HTTP_M_DELETE, "/api/v1/users/{name}/passkeys/{id}", ROLE_ADMIN, remove_passkey, 0, "removeUsersPasskey",
     "Remove a user's passkey", "users", NULL, NULL, .gives = removed_forms},
    {HTTP_M_DELETE, "/api/v1/users/{name}/password", ROLE_ADMIN, remove_password, 0, "removeUsersPassword",
     "Remove a user's password and codes", "users", NULL, NULL, .gives = removed_forms},
    {HTTP_M_DELETE, "/api/v1/users/{name}/sessions", ROLE_ADMIN, end_sessions, 0, "endUsersSessions",
     "End all sessions of a user", "users", NULL, "SessionsEnded"},
    {0},
};
