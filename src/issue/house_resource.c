#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "issue/house.h"
#include "issue/resources.h"
#include "register/register.h"
#include <pthread.h>
#include <string.h>

enum { TENANTS_MAX = 100000, RESOURCE_MAX = 1 << 20 };

/* References to other resources must lead somewhere. */
static tm_err check_references(struct house *h, tenant_id tenant, const char *kind, const json_t *doc,
                               struct arena *a, struct diag *diag)
{
    struct catalog *c = house_catalog(h);
    tm_err e = TM_OK;
    if (strcmp(kind, "Endpoint") == 0) {
        struct endpoint_doc d = {0};
        e = json_bind(&d, endpoint_schema, doc, "", a, diag);
        for (size_t i = 0; i < d.profiles.n && e == TM_OK; i++)
            if (!catalog_profile(c, tenant, d.profiles.v[i]))
                e = diag_fail(diag, TM_EINVAL, NULL, "/profiles", "there is no profile \"%s\" in this tenant",
                              d.profiles.v[i]);
        for (size_t i = 0; i < d.authentication.trust_sets.n && e == TM_OK; i++)
            if (!catalog_trust_set(c, tenant, d.authentication.trust_sets.v[i]))
                e = diag_fail(diag, TM_EINVAL, NULL, "/authentication/trust-sets",
                              "there is no trust set \"%s\" in this tenant",
                              d.authentication.trust_sets.v[i]);
        if (e == TM_OK && d.authority[0] && !catalog_authority(c, tenant, d.authority))
            e = diag_fail(diag, TM_EINVAL, NULL, "/authority", "there is no authority \"%s\" in this tenant",
                          d.authority);
    } else if (strcmp(kind, "Authority") == 0) {
        const char *next = json_string_value(json_object_get(doc, "successor"));
        if (next && next[0] && !catalog_authority(c, tenant, next))
            e = diag_fail(diag, TM_EINVAL, NULL, "/successor", "there is no authority \"%s\" in this tenant",
                          next);
        const char *issuer = json_string_value(json_object_get(json_object_get(doc, "crl"), "issuer"));
        if (e == TM_OK && issuer && issuer[0] && !catalog_authority(c, tenant, issuer))
            e = diag_fail(diag, TM_EINVAL, NULL, "/crl/issuer", "there is no authority \"%s\" in this tenant",
                          issuer);
    } else if (strcmp(kind, "Profile") == 0) {
        const char *authority = json_string_value(json_object_get(doc, "authority"));
        if (authority && authority[0] && !catalog_authority(c, tenant, authority))
            e = diag_fail(diag, TM_EINVAL, NULL, "/authority", "there is no authority \"%s\" in this tenant",
                          authority);
    }
    catalog_unref(c);
    return e;
}

/* A tenant keeps its number; a new one gets the next. */
static tm_err number_tenant(struct house *h, json_t *doc, struct diag *diag)
{
    const char *name = json_string_value(json_object_get(doc, "name"));
    struct catalog *c = house_catalog(h);
    const struct tenant *known = name ? catalog_tenant(c, name) : NULL;
    json_int_t number = known ? (json_int_t)known->id : 0;
    if (!known) {
        const struct tenant *v;
        size_t n = catalog_tenants(c, &v);
        for (size_t i = 0; i < n; i++)
            if ((json_int_t)v[i].id > number)
                number = v[i].id;
        number++;
        if (n >= TENANTS_MAX) {
            catalog_unref(c);
            return diag_fail(diag, TM_EQUOTA, NULL, "/name", "this house has %d tenants already",
                             TENANTS_MAX);
        }
    }
    /* The two that every house begins with have fixed numbers. */
    if (name && strcmp(name, "house") == 0)
        number = TENANT_HOUSE;
    else if (name && strcmp(name, "default") == 0)
        number = TENANT_DEFAULT;
    else if (!known && number <= TENANT_DEFAULT)
        number = TENANT_DEFAULT + 1;
    catalog_unref(c);
    return json_object_set_new(doc, "number", json_integer(number)) == 0 ? TM_OK : TM_ENOMEM;
}

static tm_err put_effects(struct effect effects[2], struct arena *a, tenant_id tenant,
                          const struct resource_row *row, int64_t expected, bool deleted)
{
    uint8_t hash[SHA256_LEN];
    TM_TRY(sha256(hash, row->json));
    effects[0] = (struct effect){.kind = deleted ? EFFECT_RESOURCE_DELETE : EFFECT_RESOURCE_PUT,
                                 .tenant = tenant,
                                 .expected_version = expected,
                                 .u.resource = *row};
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(row->updated_by)},
        {.key = "kind", .kind = EVENT_STR, .s = slice_str(row->kind)},
        {.key = "name", .kind = EVENT_STR, .s = slice_str(row->name)},
        {.key = deleted ? NULL : "sha256", .kind = EVENT_HEX, .s = SLICE_ARR(hash)},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    char *subject = arena_printf(a, "resource/%s/%s", row->kind, row->name);
    if (!subject)
        return TM_ENOMEM;
    return register_event_effect(&effects[1], a, tenant, deleted ? "resource.deleted" : "resource.put",
                                 subject, body, clock_now_ms());
}

/* The document as it is kept; json_decref() it. What it refers to may be put a moment later where it is only looked at. */
static tm_err complete(json_t **ret, struct house *h, tenant_id tenant, const struct resource_kind *k,
                       const json_t *given, bool look_only, struct arena *a, struct diag *diag)
{
    const char *kind = json_string_value(json_object_get(given, "kind"));
    const char *name = json_string_value(json_object_get(given, "name"));
    if (!kind || strcmp(kind, k->kind) != 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/kind", "must be \"%s\"", k->kind);
    if (!name || !name_valid(slice_str(name)))
        return diag_fail(diag, TM_EINVAL, NULL, "/name",
                         "a name has 1 to 63 of a-z, 0-9 and -, and begins and ends with a letter or digit");
    TM_TRY(k->check(a, given, diag));
    if (!look_only)
        TM_TRY(check_references(h, tenant, k->kind, given, a, diag));
    json_t *doc = json_copy((json_t *)given);
    if (!doc)
        return TM_ENOMEM;
    tm_err e = strcmp(k->kind, "Tenant") == 0 ? number_tenant(h, doc, diag) : TM_OK;
    if (e != TM_OK) {
        json_decref(doc);
        return e;
    }
    *ret = doc;
    return TM_OK;
}

/* Is it just this document that stands there? The version that stands there, 0 for none, is told in any case. */
static tm_err compare(struct resource_put *ret, struct house *h, tenant_id tenant, const char *kind,
                      const json_t *doc, struct arena *a, struct diag *diag)
{
    struct store_read q = {.kind = READ_RESOURCE,
                           .tenant = tenant,
                           .arena = a,
                           .name = kind,
                           .name2 = json_string_value(json_object_get(doc, "name"))};
    *ret = (struct resource_put){0};
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    json_t *stands = NULL;
    TM_TRY(json_parse(&stands, q.resources[0].json, RESOURCE_MAX, diag));
    *ret = (struct resource_put){.version = q.resources[0].version, .unchanged = json_equal(stands, doc)};
    json_decref(stands);
    return TM_OK;
}

static tm_err write_resource(struct house *h, tenant_id tenant, const struct resource_kind *k,
                             const json_t *doc, int64_t expected, const char *by, int64_t *ret_version,
                             struct arena *a, struct diag *diag)
{
    struct buf text;
    buf_init(&text, RESOURCE_MAX);
    buf_put_json(&text, doc, false);
    tm_err e = buf_err(&text);
    struct effect effects[2] = {0};
    struct resource_row row = {.kind = k->kind,
                               .name = json_string_value(json_object_get(doc, "name")),
                               .json = buf_slice(&text),
                               .updated_at = clock_now_ms(),
                               .updated_by = by ? by : ""};
    if (e == TM_OK)
        e = put_effects(effects, a, tenant, &row, expected, false);
    if (e == TM_OK)
        e = house_commit(h, effects, 2, diag);
    if (e == TM_OK)
        *ret_version = effects[0].u.resource.version;
    buf_done(&text);
    return e;
}

static tm_err put_changed(struct house *h, tenant_id tenant, const struct resource_kind *k,
                          const json_t *given, int64_t expected, const char *by, bool look_only,
                          struct resource_put *ret, struct arena *a, struct diag *diag)
{
    json_t *doc = NULL;
    TM_TRY(complete(&doc, h, tenant, k, given, look_only, a, diag));
    tm_err e = compare(ret, h, tenant, k->kind, doc, a, diag);
    /* What the caller expects to be otherwise than it is, is the store's to refuse. */
    ret->unchanged = ret->unchanged && (expected < 0 || expected == ret->version);
    if (e == TM_OK && !ret->unchanged && !look_only)
        e = write_resource(h, tenant, k, doc, expected, by, &ret->version, a, diag);
    json_decref(doc);
    return e;
}

static tm_err put_locked(struct house *h, tenant_id tenant, const char *kind, const json_t *doc,
                         int64_t expected, const char *by, bool look_only, struct resource_put *ret,
                         struct diag *diag)
{
    const struct resource_kind *k = resource_kind_find(kind);
    if (!k)
        return diag_fail(diag, TM_EINVAL, NULL, "/kind", "there is no kind of resource \"%s\"", kind);
    if (k->house_wide && tenant != TENANT_HOUSE)
        tenant = TENANT_HOUSE;
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    pthread_mutex_lock(h->resource_lock);
    tm_err e = put_changed(h, tenant, k, doc, expected, by, look_only, ret, a, diag);
    /* Within the lock: who numbers the next tenant has to know of this one. */
    if (e == TM_OK && !ret->unchanged && !look_only)
        e = house_reload(h, diag);
    pthread_mutex_unlock(h->resource_lock);
    arena_free(a);
    return e;
}

tm_err house_resource_put(struct house *h, tenant_id tenant, const char *kind, const json_t *doc,
                          int64_t expected_version, const char *by, struct resource_put *ret,
                          struct diag *diag)
{
    struct resource_put own;
    return put_locked(h, tenant, kind, doc, expected_version, by, false, ret ? ret : &own, diag);
}

tm_err house_resource_check(struct house *h, tenant_id tenant, const char *kind, const json_t *doc,
                            struct resource_put *ret, struct diag *diag)
{
    return put_locked(h, tenant, kind, doc, -1, NULL, true, ret, diag);
}

tm_err house_resource_delete(struct house *h, tenant_id tenant, const char *kind, const char *name,
                             int64_t expected_version, const char *by, struct diag *diag)
{
    const struct resource_kind *k = resource_kind_find(kind);
    if (!k)
        return diag_fail(diag, TM_EINVAL, NULL, "/kind", "there is no kind of resource \"%s\"", kind);
    if (k->house_wide)
        tenant = TENANT_HOUSE;
    if (strcmp(k->kind, "Tenant") == 0)
        return diag_fail(diag, TM_EFORBIDDEN, NULL, "/name",
                         "a tenant's record must stay; set disabled: true instead");
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct effect effects[2] = {0};
    struct resource_row row = {.kind = k->kind,
                               .name = name,
                               .updated_at = clock_now_ms(),
                               .updated_by = by ? by : "",
                               .deleted = true};
    pthread_mutex_lock(h->resource_lock);
    tm_err e = put_effects(effects, a, tenant, &row, expected_version, true);
    if (e == TM_OK)
        e = house_commit(h, effects, 2, diag);
    pthread_mutex_unlock(h->resource_lock);
    arena_free(a);
    return e == TM_OK ? house_reload(h, diag) : e;
}
