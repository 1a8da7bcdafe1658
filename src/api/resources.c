/* Resources: list, read, write, delete, history - the same five for every kind - and apply. */
#include "api/resources.h"
#include "alert/alert.h"
#include "api/groups.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "identity/provider.h"
#include "identity/user.h"
#include "inventory/owner.h"
#include "issue/house.h"
#include <stdlib.h>
#include <string.h>

enum { RESOURCE_BODY_MAX = 1 << 20 };

static const struct resource_kind *kind_of(const struct api_call *c)
{
    return resource_kind_find(api_param(c, "kind"));
}

static tm_err kind_wanted(const struct resource_kind **ret, tenant_id *ret_tenant, const struct api_call *c,
                          struct diag *diag)
{
    *ret = kind_of(c);
    if (!*ret)
        return diag_fail(
            diag, TM_ENOTFOUND, NULL, "kind",
            "there is no such kind of resource; there are tenants, authorities, profiles, endpoints, trust-sets, principals, filters, identity-providers");
    *ret_tenant = (*ret)->house_wide ? TENANT_HOUSE : c->tenant->id;
    if (!api_query(c, "house"))
        return TM_OK;
    if (strcmp((*ret)->kind, "Principal") != 0 && strcmp((*ret)->kind, "IdentityProvider") != 0)
        return diag_fail(diag, TM_EINVAL, NULL, "house",
                         "only principals and identity providers are the house's or a tenant's");
    if (!(c->roles & ROLE_HOUSE_ADMIN))
        return diag_fail(diag, TM_EFORBIDDEN, "role", "house",
                         "only an administrator of the house may see or change what is the house's");
    *ret_tenant = TENANT_HOUSE;
    return TM_OK;
}

/* A tenant's people see of what belongs to the house only what is about their tenant. */
static bool may_see(const struct api_call *c, const struct resource_kind *k, const char *name)
{
    return !k->house_wide || api_sees_tenants(c) || strcmp(name, c->tenant->name) == 0;
}

static tm_err unknown(const struct resource_kind *k, const char *name, struct diag *diag)
{
    return diag_fail(diag, TM_ENOTFOUND, NULL, "name", "there is no %s \"%s\"", k->kind, name);
}

/* {"kind", "name", …, "metadata": {"version", "updated_at", "updated_by"}} */
static tm_err put_row(struct buf *out, const struct resource_row *row, struct diag *diag)
{
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, row->json, RESOURCE_BODY_MAX, diag));
    char time[21];
    clock_format_rfc3339(time, row->updated_at / 1000);
    json_t *meta = json_pack("{s:I,s:s,s:s}", "version", (json_int_t)row->version, "updated_at", time,
                             "updated_by", row->updated_by);
    int bad = !meta || json_object_set_new(doc, "metadata", meta);
    if (!bad)
        buf_put_json(out, doc, false);
    json_decref(doc);
    return bad ? TM_ENOMEM : buf_err(out);
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    const struct resource_kind *k;
    tenant_id tenant;
    TM_TRY(kind_wanted(&k, &tenant, c, diag));
    int64_t limit;
    TM_TRY(api_query_int(&limit, c, "limit", 1000, 10000, diag));
    const char *after = api_query(c, "after");
    struct store_read q = {.kind = READ_RESOURCES,
                           .tenant = tenant,
                           .arena = c->arena,
                           .name = k->kind,
                           .limit = (size_t)limit,
                           .after = slice_str(after ? after : "")};
    tm_err e = store_read_now(c->house->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0, shown = 0; i < q.n; i++) {
        if (!may_see(c, k, q.resources[i].name))
            continue;
        buf_puts(&c->out, shown++ ? "," : "");
        TM_TRY(put_row(&c->out, &q.resources[i], diag));
    }
    buf_puts(&c->out, "]");
    if (q.more) {
        buf_puts(&c->out, ",\"next\":");
        buf_put_json_string(&c->out, q.page_next);
    }
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    const struct resource_kind *k;
    tenant_id tenant;
    TM_TRY(kind_wanted(&k, &tenant, c, diag));
    int64_t version;
    if (!may_see(c, k, api_param(c, "name")))
        return unknown(k, api_param(c, "name"), diag);
    TM_TRY(api_query_int(&version, c, "version", 0, INT64_MAX / 2, diag));
    struct store_read q = {.kind = READ_RESOURCE,
                           .tenant = tenant,
                           .arena = c->arena,
                           .name = k->kind,
                           .name2 = api_param(c, "name"),
                           .version = version};
    tm_err e = store_read_now(c->house->store, &q);
    if (e == TM_ENOTFOUND)
        return unknown(k, api_param(c, "name"), diag);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    c->etag = q.resources[0].version;
    TM_TRY(put_row(&c->out, &q.resources[0], diag));
    buf_putc(&c->out, '\n');
    return TM_OK;
}

static tm_err history(struct api_call *c, struct diag *diag)
{
    const struct resource_kind *k;
    tenant_id tenant;
    TM_TRY(kind_wanted(&k, &tenant, c, diag));
    if (!may_see(c, k, api_param(c, "name")))
        return unknown(k, api_param(c, "name"), diag);
    struct store_read q = {.kind = READ_RESOURCE_HISTORY,
                           .tenant = tenant,
                           .arena = c->arena,
                           .name = k->kind,
                           .name2 = api_param(c, "name"),
                           .limit = 1000};
    tm_err e = store_read_now(c->house->store, &q);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "name", "there was never a %s \"%s\"", k->kind, api_param(c, "name"));
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < q.n; i++) {
        const struct resource_row *r = &q.resources[i];
        char time[21];
        clock_format_rfc3339(time, r->updated_at / 1000);
        buf_printf(&c->out,
                   "%s{\"version\":%lld,\"deleted\":%s,\"updated_at\":\"%s\",\"updated_by\":", i ? "," : "",
                   (long long)r->version, r->deleted ? "true" : "false", time);
        buf_put_json_string(&c->out, slice_str(r->updated_by));
        buf_puts(&c->out, ",\"resource\":");
        if (r->json.n)
            buf_put_slice(&c->out, r->json);
        else
            buf_puts(&c->out, "null");
        buf_putc(&c->out, '}');
    }
    buf_puts(&c->out, "]}\n");
    return TM_OK;
}

/* Whoever says who may do what makes others of themselves: that takes the whole of a token's `users`, and what is the house's an administrator of it,
 * by whatever path it is reached. */
static tm_err may_change(const struct api_call *c, const struct resource_kind *k, tenant_id tenant,
                         struct diag *diag)
{
    bool who = strcmp(k->kind, "Principal") == 0 || strcmp(k->kind, "IdentityProvider") == 0;
    if ((k->house_wide || (who && tenant == TENANT_HOUSE)) && !(c->roles & ROLE_HOUSE_ADMIN))
        return diag_fail(diag, TM_EFORBIDDEN, "role", NULL,
                         "only an administrator of the house may change %s%s", k->plural,
                         k->house_wide ? "" : " of the house");
    return who ? api_may(c, ROLE_ADMIN, "users", c->method, diag) : TM_OK;
}

/* What the document says of its place must be the place it is put. */
static tm_err check_place(const struct api_call *c, const struct resource_kind *k, tenant_id tenant,
                          const json_t *doc, struct diag *diag)
{
    const char *own = json_string_value(json_object_get(doc, "tenant"));
    if (own && own[0] && !k->house_wide && strcmp(own, c->tenant->name) != 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/tenant",
                         "this is the path of tenant \"%s\"; put it below /api/v1/tenants/%s/",
                         c->tenant->name, own);
    bool all = json_is_true(json_object_get(doc, "all-tenants"));
    if (all && strcmp(k->kind, "Principal") == 0 && tenant != TENANT_HOUSE)
        return diag_fail(diag, TM_EINVAL, NULL, "/all-tenants",
                         "only a principal of the house acts in all tenants: put it with ?house=1");
    /* Otherwise an administrator of a tenant could have the house look around in its own network, or talk to the sockets of its machine. */
    bool goes_out = strcmp(k->kind, "IdentityProvider") == 0 || strcmp(k->kind, "Notification") == 0;
    const char *over = json_string_value(json_object_get(json_object_get(doc, "syslog"), "over"));
    bool inside = json_array_size(json_object_get(doc, "networks")) > 0,
         here = over && strcmp(over, "unix") == 0;
    if (goes_out && (inside || here) && !(c->roles & ROLE_HOUSE_ADMIN))
        return diag_fail(
            diag, TM_EFORBIDDEN, "role", inside ? "/networks" : "/syslog/over",
            inside ? "only an administrator of the house may let it go to networks that are not public"
                   : "only an administrator of the house may let it write to a socket of this machine");
    return TM_OK;
}

static tm_err put(struct api_call *c, struct diag *diag)
{
    const struct resource_kind *k;
    tenant_id tenant;
    int64_t expected;
    struct resource_put done = {0};
    TM_TRY(kind_wanted(&k, &tenant, c, diag));
    TM_TRY(may_change(c, k, tenant, diag));
    TM_TRY(api_expected_version(&expected, c, diag));
    json_t *doc = NULL;
    TM_TRY(api_body_json(&doc, c, diag));
    json_object_del(doc, "metadata"); /* what GET added */
    const char *name = json_string_value(json_object_get(doc, "name"));
    tm_err e = TM_OK;
    if (!name || strcmp(name, api_param(c, "name")) != 0)
        e = diag_fail(diag, TM_EINVAL, NULL, "/name", "must be the name in the path, \"%s\"",
                      api_param(c, "name"));
    bool dry = api_query(c, "dry_run") != NULL;
    if (e == TM_OK)
        e = check_place(c, k, tenant, doc, diag);
    const char *match = json_string_value(json_object_get(doc, "match"));
    if (e == TM_OK && strcmp(k->kind, "Ownership") == 0)
        e = owner_rule_check(c->arena, c->house, tenant, name, match ? match : "", diag);
    if (e == TM_OK && dry)
        e = house_resource_check(c->house, tenant, k->kind, doc, &done, diag);
    else if (e == TM_OK)
        e = house_resource_put(c->house, tenant, k->kind, doc, expected, c->principal, &done, diag);
    json_decref(doc);
    if (e != TM_OK)
        return e;
    int64_t version = dry && !done.unchanged ? 0 : done.version;
    c->etag = version;
    c->status = version == 1 && !done.unchanged ? 201 : 200;
    buf_printf(&c->out, "{\"kind\":\"%s\",\"name\":", k->kind);
    buf_put_json_string(&c->out, slice_str(api_param(c, "name")));
    buf_printf(&c->out, ",\"version\":%lld%s%s}\n", (long long)version,
               done.unchanged ? ",\"unchanged\":true" : "", dry ? ",\"dry_run\":true" : "");
    return TM_OK;
}

/* ---- what is still needed stays ---- */

/* Resources of kind `by` name one of kind `kind` here: a text or a list of them, `inside` an object where it says so. */
static const struct reference {
    const char *kind, *by, *inside, *member;
} references[] = {
    {"Authority", "Profile", NULL, "authority"},
    {"Authority", "Endpoint", NULL, "authority"},
    {"Authority", "Authority", NULL, "parent"},
    {"Authority", "Filter", NULL, "authorities"},
    {"Authority", "Filter", NULL, "signer"},
    {"Profile", "Endpoint", NULL, "profiles"},
    {"TrustSet", "Endpoint", "authentication", "trust-sets"},
};

static bool names(const json_t *doc, const struct reference *r, const char *name)
{
    const json_t *v = json_object_get(r->inside ? json_object_get(doc, r->inside) : doc, r->member);
    const char *text = json_string_value(v);
    if (text)
        return strcmp(text, name) == 0;
    for (size_t i = 0; i < json_array_size(v); i++) {
        text = json_string_value(json_array_get(v, i));
        if (text && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

static tm_err check_reference(struct api_call *c, tenant_id tenant, const struct reference *r,
                              const char *name, struct diag *diag)
{
    struct store_read q = {.kind = READ_RESOURCES, .arena = c->arena, .name = r->by, .limit = 1000};
    do {
        q.tenant = tenant;
        q.after = q.page_next;
        tm_err e = store_read_now(c->house->store, &q);
        if (e != TM_OK) {
            *diag = q.diag;
            return e;
        }
        for (size_t i = 0; i < q.n; i++) {
            json_t *doc = NULL;
            TM_TRY(json_parse(&doc, q.resources[i].json, RESOURCE_BODY_MAX, diag));
            bool found = names(doc, r, name);
            json_decref(doc);
            if (found && (strcmp(r->kind, r->by) != 0 || strcmp(q.resources[i].name, name) != 0))
                return diag_fail(diag, TM_ECONFLICT, "resource.needed", "name",
                                 "%s \"%s\" needs \"%s\": change or delete that first", r->by,
                                 q.resources[i].name, name);
        }
    } while (q.more);
    return TM_OK;
}

/* The revocation list goes with its authority, and whoever checks a certificate needs it as long as that lives. */
static tm_err check_unneeded(struct api_call *c, tenant_id tenant, const char *kind, const char *name,
                             struct diag *diag)
{
    struct store_read q = {
        .kind = READ_CERTS,
        .limit = 1,
        .filter = {.authority = name, .not_after_from = clock_now(), .revoked = -1, .source = CERT_ISSUED}};
    if (strcmp(kind, "Authority") == 0)
        TM_TRY(api_read(c, &q, diag));
    if (q.n)
        return diag_fail(
            diag, TM_ECONFLICT, "resource.needed", "name",
            "certificates of \"%s\" have not expired, and its revocation list would go with it: set "
            "disabled: true instead",
            name);
    for (size_t i = 0; i < sizeof references / sizeof *references; i++)
        if (strcmp(references[i].kind, kind) == 0)
            TM_TRY(check_reference(c, tenant, &references[i], name, diag));
    return TM_OK;
}

static tm_err delete(struct api_call *c, struct diag *diag)
{
    const struct resource_kind *k;
    tenant_id tenant;
    int64_t expected;
    TM_TRY(kind_wanted(&k, &tenant, c, diag));
    TM_TRY(api_expected_version(&expected, c, diag));
    TM_TRY(may_change(c, k, tenant, diag));
    TM_TRY(check_unneeded(c, tenant, k->kind, api_param(c, "name"), diag));
    TM_TRY(
        house_resource_delete(c->house, tenant, k->kind, api_param(c, "name"), expected, c->principal, diag));
    if (strcmp(k->kind, "Notification") == 0)
        TM_TRY(alert_secret_forget(c->house, tenant, api_param(c, "name"), c->principal, diag));
    if (strcmp(k->kind, "IdentityProvider") == 0)
        TM_TRY(provider_drop_secret(c->house, tenant, api_param(c, "name"), c->principal, diag));
    /* Who gets the name later is somebody else. */
    if (strcmp(k->kind, "Principal") == 0)
        TM_TRY(user_forget(c->house, tenant, api_param(c, "name"), c->principal, diag));
    c->status = 204;
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field metadata_fields[] = {
    {"version", "integer", "as the ETag has it", "3"},
    {"updated_at", "time", NULL, NULL},
    {"updated_by", "string", NULL, "admin"},
    {0},
};
static const struct api_field list_fields[] = {
    {"items", "[]Resource", NULL, NULL},
    {"next?", "string", "what `after` is for the next page", "vpn"},
    {0},
};
static const struct api_field version_fields[] = {
    {"kind", "string", NULL, "Profile"},
    {"name", "string", NULL, "vpn"},
    {"version", "integer", "that stands there now; 0: only checked, and it would be a new one", "3"},
    {"unchanged?", "boolean", "the very same stood there already: nothing was written", "true"},
    {"dry_run?", "boolean", NULL, "true"},
    {0},
};
static const struct api_field history_fields[] = {{"items", "[]ResourceThen", "newest first", NULL}, {0}};
static const struct api_field then_fields[] = {
    {"version", "integer", NULL, "3"},
    {"deleted", "boolean", NULL, "false"},
    {"updated_at", "time", NULL, NULL},
    {"updated_by", "string", NULL, "admin"},
    {"resource", "object?", "as it was then", NULL},
    {0},
};
const struct api_schema resource_api_schemas[] = {
    {"ResourceMetadata", "what the house adds", metadata_fields, NULL, NULL},
    {"ResourceList", NULL, list_fields, NULL, NULL},
    {"ResourceVersion", NULL, version_fields, NULL, NULL},
    {"ResourceHistory", NULL, history_fields, NULL, NULL},
    {"ResourceThen", NULL, then_fields, NULL, NULL},
    {0},
};

#define HOUSE_QUERY {"house", "true|1", "principals of the house instead of the tenant's", "1"}
static const struct api_field house_query[] = {HOUSE_QUERY, {0}};
static const struct api_field get_query[] = {
    {"version", "integer", "as it was then; the present one when left out", "2"}, HOUSE_QUERY, {0}};
static const struct api_field put_query[] = {
    {"dry_run", "true|1", "check, and change nothing", "1"}, HOUSE_QUERY, {0}};
static const struct api_content put_answers[] = {
    {200, "application/json", "ResourceVersion", "replaced, unchanged, or only checked"},
    {201, "application/json", "ResourceVersion", "created"},
    {0},
};
static const struct api_content gone[] = {{204, NULL, NULL, "deleted; its history stays"}, {0}};

enum { READERS = ROLE_AUDITOR | ROLE_OPERATOR | ROLE_ADMIN };

const struct api_route resource_api_routes[] = {
    {HTTP_M_GET, "/api/v1/resources/{kind}", READERS, list, 0, "listResources",
     "List the resources of a kind", "resources", NULL, "ResourceList", API_PAGED, house_query},
    {HTTP_M_GET, "/api/v1/resources/{kind}/{name}", READERS, get, 0, "getResource", "Read one resource",
     "resources", NULL, "Resource", API_ETAG, get_query},
    {HTTP_M_PUT, "/api/v1/resources/{kind}/{name}", ROLE_ADMIN, put, RESOURCE_BODY_MAX, "putResource",
     "Create or replace a resource; If-Match makes it conditional, ?dry_run only checks", "resources",
     "Resource", NULL, API_IF_MATCH | API_ETAG, put_query, .gives = put_answers},
    {HTTP_M_DELETE, "/api/v1/resources/{kind}/{name}", ROLE_ADMIN, delete, 0, "deleteResource",
     "Delete a resource that no other needs", "resources", NULL, NULL, API_IF_MATCH, house_query,
     .gives = gone},
    {HTTP_M_GET, "/api/v1/resources/{kind}/{name}/history", READERS, history, 0, "resourceHistory",
     "Every version of a resource", "resources", NULL, "ResourceHistory", 0, house_query},
    {0},
};
