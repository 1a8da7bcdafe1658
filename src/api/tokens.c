/* Enrollment tokens and API tokens: made, listed, revoked. The secret is in the answer that makes one and nowhere else. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "base/clock.h"
#include "identity/token_use.h"
#include "issue/issue.h"
#include "issue/resources.h"
#include "x509/general_name.h"
#include <string.h>

enum { SCOPES_MAX = 32, TOKEN_BODY = 64 << 10, NAMES_MAX = 100, TTL_MAX = 400 * 86400 };

struct token_doc {
    const char *type, *door, *endpoint, *profile, *device, *principal;
    const char *only_tenant;
    struct json_strings names, roles, scopes;
    int64_t ttl, uses;
    int64_t count, first; /* of a batch */
};
#define TOKEN_FIELDS                                                                                                                                              \
    JSON_FIELD(                                                                                                                                                   \
        struct token_doc, type, JSON_K_STRING, .max = 20, .def = "enrollment",                                                                                    \
        .doc =                                                                                                                                                    \
            "\"enrollment\", \"external\" (the key of an external account, for ACME), \"mac\" (reference and secret for MACs, for CMP) or \"api\""),              \
        {.key = "for",                                                                                                                                            \
         .kind = JSON_K_STRING,                                                                                                                                   \
         .offset = offsetof(struct token_doc, door),                                                                                                              \
         .max = 20,                                                                                                                                               \
         .def = "",                                                                                                                                               \
         .doc =                                                                                                                                                   \
             "the protocol that it is for: \"scep\" and the like; then `endpoint` may be left out where there is one of it, and \"cmp\" makes the type \"mac\""}, \
        JSON_FIELD(struct token_doc, endpoint, JSON_K_STRING, .max = 127, .def = "",                                                                              \
                   .doc = "where it may be used; \"\" any"),                                                                                                      \
        JSON_FIELD(struct token_doc, profile, JSON_K_STRING, .max = 63, .def = "",                                                                                \
                   .doc = "what it may get; \"\" the endpoint's"),                                                                                                \
        JSON_FIELD(struct token_doc, device, JSON_K_STRING, .max = 200, .def = "",                                                                                \
                   .doc = "device it is for; \"\" any"),                                                                                                          \
        JSON_FIELD(struct token_doc, names, JSON_K_STRINGS, .max = NAMES_MAX,                                                                                     \
                   .doc = "names it may ask for: \"DNS:…\", \"IP:…\", \"CN=…\""),                                                                                 \
        JSON_FIELD(struct token_doc, ttl, JSON_K_DURATION, .min = 1, .max = TTL_MAX, .def = "1d",                                                                 \
                   .doc = "how long it lives"),                                                                                                                   \
        JSON_FIELD(struct token_doc, uses, JSON_K_INT, .min = 1, .max = 1000000, .def = "1",                                                                      \
                   .doc = "how often it may be used")
const struct json_field token_schema[] = {
    TOKEN_FIELDS,
    JSON_FIELD(struct token_doc, principal, JSON_K_STRING, .max = 63, .def = "",
               .doc = "api: who it acts as"),
    JSON_FIELD(struct token_doc, roles, JSON_K_STRINGS, .max = 5,
               .doc = "api: only these of the principal's roles"),
    JSON_FIELD(struct token_doc, scopes, JSON_K_STRINGS, .max = SCOPES_MAX,
               .doc = "api: only these parts of the API, by the tags of its document: \"certificates:read\", "
                      "\"devices:write\", \"*:read\"; writing takes reading with it"),
    {.key = "tenant",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct token_doc, only_tenant),
     .max = 63,
     .def = "",
     .doc = "api: only in this tenant"},
    {0},
};
const struct json_field token_batch_schema[] = {
    TOKEN_FIELDS,
    JSON_FIELD(struct token_doc, count, JSON_K_INT, .required = true, .min = 1, .max = TOKEN_BATCH_MAX,
               .doc = "how many"),
    JSON_FIELD(struct token_doc, first, JSON_K_INT, .min = 0, .max = INT32_MAX, .def = "1",
               .doc = "number of the first: \"{n}\" in names and device becomes the token's number"),
    {0},
};

static void put_token(struct api_call *c, const struct token_row *t)
{
    struct buf *out = &c->out;
    const char *peer;
    int64_t now = clock_now(), used_at;
    buf_puts(out, "{\"id\":");
    buf_put_json_string(out, slice_str(t->id));
    api_put_text(out, "status",
                 t->revoked               ? "revoked"
                 : t->expires_at < now    ? "expired"
                 : t->uses >= t->max_uses ? "used"
                                          : "open");
    buf_puts(out, ",\"claims\":");
    buf_puts(out, t->claims && t->claims[0] ? t->claims : "{}");
    api_put_time(out, "expires_at", t->expires_at);
    if (t->max_uses < INT64_MAX) {
        api_put_int(out, "uses", t->uses);
        api_put_int(out, "max_uses", t->max_uses);
    }
    api_put_time(out, "created_at", t->created_at);
    api_put_text(out, "created_by", t->created_by);
    if (t->max_uses == INT64_MAX &&
        token_last_use(&used_at, &peer, c->arena, c->house, c->tenant->id, t->id) == TM_OK) {
        api_put_time(out, "used_at", used_at);
        api_put_text(out, "used_from", peer);
    }
    buf_putc(out, '}');
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    const char *after = api_query(c, "after");
    struct store_read q = {.kind = READ_TOKENS, .after = slice_str(after ? after : "")};
    TM_TRY(api_limit(&q.limit, c, 100, 1000, diag));
    TM_TRY(api_read(c, &q, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < q.n; i++) {
        buf_puts(&c->out, i ? "," : "");
        put_token(c, &q.tokens[i]);
    }
    api_put_next(&c->out, &q, false);
    return TM_OK;
}

/* "for": the protocol that the token is for, and its only endpoint where none is named. */
static tm_err check_door(struct api_call *c, struct token_doc *d, struct diag *diag)
{
    int door = 0;
    while (door_names[door] && strcmp(door_names[door], d->door) != 0)
        door++;
    if (!door_names[door])
        return diag_fail(diag, TM_EINVAL, NULL, "/for", "\"%s\" is no protocol here", d->door);
    const struct endpoint *only = NULL;
    size_t n = catalog_endpoints_of(&only, c->catalog, c->tenant->id, (enum door)door);
    if (d->endpoint[0]) {
        const char *label = catalog_endpoint_label(c->arena, c->tenant, d->endpoint);
        if (!label)
            return TM_ENOMEM;
        if (!catalog_endpoint(c->catalog, (enum door)door, label))
            return diag_fail(diag, TM_EINVAL, NULL, "/endpoint",
                             "there is no %s endpoint \"%s\" in this tenant", d->door, d->endpoint);
    } else if (n != 1) {
        return diag_fail(diag, TM_EINVAL, NULL, "/endpoint",
                         n ? "there are %zu endpoints of protocol %s; say which it is for"
                           : "there are %zu endpoints of protocol %s in this tenant",
                         n, d->door);
    } else {
        d->endpoint = only->name;
    }
    if (door == DOOR_CMP && strcmp(d->type, "enrollment") == 0)
        d->type = "mac";
    if (door == DOOR_ACME && strcmp(d->type, "enrollment") == 0)
        d->type = "external"; /* RFC 8555 7.3.4: all that an ACME client can be given beforehand */
    return TM_OK;
}

/* What an enrollment token is for must be there: one that nobody can use shows only where a device stands and waits. */
static tm_err check_enrollment(struct api_call *c, const struct token_doc *d, struct diag *diag)
{
    struct store_read q = {.kind = READ_RESOURCE, .name = "Endpoint", .name2 = d->endpoint};
    tm_err e = d->endpoint[0] ? api_read(c, &q, diag) : TM_OK;
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, TM_EINVAL, NULL, "/endpoint", "there is no endpoint \"%s\" in this tenant",
                         d->endpoint);
    TM_TRY(e);
    if (d->profile[0] && !catalog_profile(c->catalog, c->tenant->id, d->profile))
        return diag_fail(diag, TM_EINVAL, NULL, "/profile", "there is no profile \"%s\" in this tenant",
                         d->profile);
    for (size_t i = 0; i < d->names.n; i++) {
        struct general_name gn = {0};
        const char *name;
        TM_TRY(token_numbered(&name, c->arena, d->names.v[i], d->first));
        /* Without its kind a name would be good for alternative names, and not for the common name. */
        bool good = (strncmp(name, "CN=", 3) == 0 && name[3]) ||
                    (general_name_from_text(&gn, c->arena, slice_str(name), NULL) == TM_OK &&
                     (gn.type != GN_DNS || strncmp(name, "DNS:", 4) == 0) &&
                     (gn.type != GN_IP || strncmp(name, "IP:", 3) == 0));
        if (!good)
            return diag_fail(diag, TM_EINVAL, NULL, "/names",
                             "\"%s\" is no name: its kind comes first, as in DNS:server.example.org, "
                             "IP:192.0.2.1 or CN=server",
                             name);
    }
    return TM_OK;
}

/* "certificates,devices,…": what a scope may begin with. */
static const char *tags_text(struct arena *a)
{
    struct buf b;
    buf_init(&b, 1024);
    buf_puts(&b, ",");
    for (const struct api_route *const *group = api_routes; *group; group++)
        for (const struct api_route *r = *group; r->pattern; r++) {
            char tag[64];
            snprintf(tag, sizeof tag, ",%s,", r->tag);
            if (!strstr(buf_str(&b), tag))
                buf_puts(&b, tag + 1);
        }
    char *text = arena_strdup(a, buf_str(&b) + 1);
    buf_done(&b);
    if (text && text[0])
        text[strlen(text) - 1] = '\0';
    return text ? text : "";
}

static bool tag_known(const char *tag, size_t n)
{
    for (const struct api_route *const *group = api_routes; *group; group++)
        for (const struct api_route *r = *group; r->pattern; r++)
            if (strlen(r->tag) == n && memcmp(r->tag, tag, n) == 0)
                return true;
    return n == 1 && *tag == '*';
}

tm_err token_scopes(const char **ret, struct api_call *c, const struct json_strings *scopes,
                    struct diag *diag)
{
    struct buf b;
    buf_init(&b, SCOPES_MAX * 64);
    for (size_t i = 0; i < scopes->n; i++) {
        const char *s = scopes->v[i];
        size_t n = strcspn(s, ":");
        if (!tag_known(s, n) || (strcmp(s + n, ":read") != 0 && strcmp(s + n, ":write") != 0)) {
            buf_done(&b);
            return diag_fail(diag, TM_EINVAL, NULL, "/scopes",
                             "\"%s\" is none of these with :read or :write behind it: %s", s,
                             tags_text(c->arena));
        }
        buf_printf(&b, "%s%s", i ? "," : "", s);
    }
    tm_err e = buf_err(&b);
    if (e == TM_OK) {
        *ret = arena_strdup(c->arena, buf_str(&b));
        e = *ret ? TM_OK : TM_ENOMEM;
    }
    buf_done(&b);
    return e;
}

/* What the token that asks is limited to, the one that it makes is limited to as well. */
static tm_err narrow(struct token_spec *s, struct api_call *c, const struct token_doc *d, struct diag *diag)
{
    bool scoped = c->scopes && c->scopes[0];
    TM_TRY(token_scopes(&s->scopes, c, &d->scopes, diag));
    s->only_tenant = d->only_tenant;
    if (s->only_tenant[0] && !catalog_tenant(c->catalog, s->only_tenant))
        return diag_fail(diag, TM_EINVAL, NULL, "/tenant", "there is no tenant \"%s\"", s->only_tenant);
    if (scoped && s->scopes[0] && strcmp(s->scopes, c->scopes) != 0)
        return diag_fail(diag, TM_EFORBIDDEN, "token.scope", "/scopes",
                         "you are limited to %s yourself, and so is what you make", c->scopes);
    if (scoped)
        s->scopes = c->scopes;
    if (c->only_tenant && c->only_tenant[0])
        s->only_tenant = c->only_tenant;
    return TM_OK;
}

static tm_err fill_spec(struct token_spec *ret, struct api_call *c, struct token_doc *d, struct diag *diag)
{
    if (d->door[0])
        TM_TRY(check_door(c, d, diag));
    *ret = (struct token_spec){
        .endpoint = d->endpoint,
        .profile = d->profile,
        .device = d->device,
        .names = (const char *const *)d->names.v,
        .n_names = d->names.n,
        .ttl = d->ttl,
        .max_uses = d->uses,
        .by = c->principal,
    };
    ret->external = strcmp(d->type, "external") == 0;
    if (ret->external && d->device[0])
        return diag_fail(diag, TM_EINVAL, NULL, "/device", "is for enrollment tokens");
    ret->mac = strcmp(d->type, "mac") == 0;
    if (ret->external || ret->mac || strcmp(d->type, "enrollment") == 0)
        return d->principal && d->principal[0]
                   ? diag_fail(diag, TM_EINVAL, NULL, "/principal", "is for tokens of type \"api\"")
                   : check_enrollment(c, d, diag);
    if (strcmp(d->type, "api") != 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/type",
                         "must be \"enrollment\", \"external\", \"mac\" or \"api\"");
    if (!d->principal)
        return diag_fail(diag, TM_EINVAL, NULL, "/type", "API tokens are made one by one");
    if (!(c->roles & (ROLE_ADMIN | ROLE_HOUSE_ADMIN)))
        return diag_fail(diag, TM_EFORBIDDEN, "role", "/type", "only an administrator may make API tokens");
    const struct principal *p = catalog_principal(c->catalog, c->tenant->id, d->principal);
    if (!p || p->disabled)
        return diag_fail(
            diag, TM_ENOTFOUND, NULL, "/principal",
            "there is no principal \"%s\" in tenant \"%s\": apply one of kind Principal, or invite a user",
            d->principal, c->tenant->name);
    /* Nobody makes a token that reaches further than they do. */
    if (p->all_tenants && !(c->roles & ROLE_HOUSE_ADMIN))
        return diag_fail(diag, TM_EFORBIDDEN, "role", "/principal",
                         "only an administrator of the house may make tokens for this principal");
    for (size_t i = 0; i < d->roles.n; i++) {
        size_t k = 0;
        while (principal_role_names[k] && strcmp(principal_role_names[k], d->roles.v[i]) != 0)
            k++;
        if (!principal_role_names[k])
            return diag_fail(diag, TM_EINVAL, NULL, "/roles",
                             "\"%s\" is not a role; there are auditor, operator, owner, admin",
                             d->roles.v[i]);
    }
    struct buf roles;
    buf_init(&roles, 1024);
    for (size_t i = 0; i < d->roles.n; i++)
        buf_printf(&roles, "%s%s", i ? "," : "", d->roles.v[i]);
    TM_TRY(narrow(ret, c, d, diag));
    ret->principal = d->principal;
    ret->roles = arena_strdup(c->arena, buf_str(&roles));
    buf_done(&roles);
    return ret->roles ? TM_OK : TM_ENOMEM;
}

static tm_err create(struct api_call *c, struct diag *diag)
{
    struct token_doc d = {0};
    json_t *doc = NULL;
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, token_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    struct token_spec s;
    TM_TRY(fill_spec(&s, c, &d, diag));
    char *id, *secret;
    TM_TRY(token_create(&id, &secret, c->arena, c->house, c->tenant->id, &s, diag));
    c->status = 201;
    c->location = arena_printf(c->arena, "/api/v1/tokens/%s", id);
    buf_puts(&c->out, "{\"id\":");
    buf_put_json_string(&c->out, slice_str(id));
    api_put_text(&c->out, "secret", secret);
    buf_printf(&c->out, ",\"token\":\"%s.%s\"", id, secret);
    int64_t now = clock_now();
    api_put_time(&c->out, "expires_at", d.ttl >= TM_TIME_NEVER - now ? TM_TIME_NEVER : now + d.ttl);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static void put_made(struct buf *out, const struct token_made *m)
{
    buf_puts(out, "{\"id\":");
    buf_put_json_string(out, slice_str(m->id));
    api_put_text(out, "secret", m->secret);
    buf_printf(out, ",\"token\":\"%s.%s\"", m->id, m->secret);
    if (m->device[0])
        api_put_text(out, "device", m->device);
    buf_puts(out, ",\"names\":[");
    for (size_t i = 0; m->names[i]; i++) {
        buf_puts(out, i ? "," : "");
        buf_put_json_string(out, slice_str(m->names[i]));
    }
    buf_puts(out, "]}");
}

static tm_err create_batch(struct api_call *c, struct diag *diag)
{
    struct token_doc d = {0};
    json_t *doc = NULL;
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, token_batch_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    struct token_spec s;
    TM_TRY(fill_spec(&s, c, &d, diag));
    struct token_made *made = arena_calloc(c->arena, (size_t)d.count, sizeof *made);
    if (!made)
        return TM_ENOMEM;
    TM_TRY(token_create_batch(made, (size_t)d.count, d.first, c->arena, c->house, c->tenant->id, &s, diag));
    c->status = 201;
    buf_puts(&c->out, "{\"items\":[");
    for (int64_t i = 0; i < d.count; i++) {
        buf_puts(&c->out, i ? "," : "");
        put_made(&c->out, &made[i]);
    }
    buf_putc(&c->out, ']');
    api_put_time(&c->out, "expires_at", clock_now() + d.ttl);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    struct store_read q = {.kind = READ_TOKEN, .name = api_param(c, "id")};
    tm_err e = api_read(c, &q, diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "id", "there is no token \"%s\"", q.name);
    TM_TRY(e);
    put_token(c, &q.tokens[0]);
    buf_putc(&c->out, '\n');
    return TM_OK;
}

static tm_err delete(struct api_call *c, struct diag *diag)
{
    TM_TRY(token_revoke(c->house, c->tenant->id, api_param(c, "id"), c->principal, diag));
    c->status = 204;
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field token_fields[] = {
    {"id", "string", NULL, "3f1c9a"},
    {"status", "open|used|expired|revoked", NULL, "open"},
    {"claims", "object", "what it is for: endpoint, profile, device, names; or principal and roles",
     "{\"endpoint\":\"servers\"}"},
    {"expires_at", "time?", NULL, NULL},
    {"uses?", "integer", "how often it was used", "0"},
    {"max_uses?", "integer", NULL, "1"},
    {"created_at", "time?", NULL, NULL},
    {"created_by", "string", NULL, "admin"},
    {"used_at?", "time", "of an API token: its last use, to some minutes", NULL},
    {"used_from?", "string", "from where", "192.0.2.7"},
    {0},
};
static const struct api_field token_list_fields[] = {
    {"items", "[]Token", NULL, NULL},
    {"next?", "string", "what `after` is for the next page", "3f1c9a"},
    {0},
};
static const struct api_field new_token_fields[] = {
    {"id", "string", NULL, "3f1c9a"},
    {"secret", "string", "shown this once", "Vr0nCSMZ…"},
    {"token", "string", "both, as \"Authorization: Bearer\" and EST's password take it", "3f1c9a.Vr0nCSMZ…"},
    {"expires_at", "time", NULL, NULL},
    {0},
};
static const struct api_field batch_token_fields[] = {
    {"id", "string", NULL, "3f1c9a"},
    {"secret", "string", "shown this once", "Vr0nCSMZ…"},
    {"token", "string", "both: what SCEP's challengePassword and EST's password take", "3f1c9a.Vr0nCSMZ…"},
    {"device?", "string", NULL, "SN-1"},
    {"names", "[]string", NULL, "[\"CN=SN-1\"]"},
    {0},
};
static const struct api_field batch_fields[] = {
    {"items", "[]BatchToken", NULL, NULL},
    {"expires_at", "time", "of all", NULL},
    {0},
};
const struct api_schema token_api_schemas[] = {
    {"Token", "an enrollment token or API token, without its secret", token_fields, NULL, NULL},
    {"TokenList", NULL, token_list_fields, NULL, NULL},
    {"NewToken", NULL, new_token_fields, NULL, NULL},
    {"TokenRequest", NULL, NULL, token_schema,
     "{\"endpoint\":\"servers\",\"names\":[\"DNS:server.example.org\"],\"ttl\":\"1h\"}"},
    {"BatchToken", NULL, batch_token_fields, NULL, NULL},
    {"TokenBatch", NULL, batch_fields, NULL, NULL},
    {"TokenBatchRequest", NULL, NULL, token_batch_schema,
     "{\"for\":\"scep\",\"names\":[\"CN=SN-{n}\"],\"count\":1000,\"ttl\":\"30d\"}"},
    {0},
};
static const struct api_content created_many[] = {{201, "application/json", "TokenBatch", "made"}, {0}};
static const struct api_content created[] = {{201, "application/json", "NewToken", "made"}, {0}};
static const struct api_content gone[] = {{204, NULL, NULL, "revoked"}, {0}};

const struct api_route token_api_routes[] = {
    {HTTP_M_GET, "/api/v1/tokens", API_READERS, list, 0, "listTokens",
     "List tokens; their secrets are not kept", "tokens", NULL, "TokenList", API_PAGED},
    {HTTP_M_POST, "/api/v1/tokens", ROLE_ADMIN | ROLE_OPERATOR, create, TOKEN_BODY, "createToken",
     "Make an enrollment token or an API token; the secret is shown this once", "tokens", "TokenRequest",
     NULL, API_LOCATION, .gives = created},
    {HTTP_M_POST, "/api/v1/tokens/batch", ROLE_ADMIN | ROLE_OPERATOR, create_batch, TOKEN_BODY,
     "createTokens", "Make many enrollment tokens in one transaction; the secrets are shown this once",
     "tokens", "TokenBatchRequest", NULL, 0, .gives = created_many},
    {HTTP_M_GET, "/api/v1/tokens/{id}", API_READERS, get, 0, "getToken", "One token, without its secret",
     "tokens", NULL, "Token"},
    {HTTP_M_DELETE, "/api/v1/tokens/{id}", ROLE_ADMIN | ROLE_OPERATOR, delete, 0, "revokeToken",
     "Revoke a token", "tokens", NULL, NULL, .gives = gone},
    {0},
};
