#include "store/sqlite/internal.h"

/* -1: any; 0: must not exist; n: must be n. */
static tm_err version_check(int64_t expected, int64_t found, bool exists, const char *field,
                            struct diag *diag)
{
    if (expected < 0 || (expected == 0 && !exists) || (expected > 0 && exists && expected == found))
        return TM_OK;
    if (expected == 0)
        return diag_fail(diag, TM_ECONFLICT, "store", field, "it exists already (version %lld)",
                         (long long)found);
    return exists ? diag_fail(diag, TM_ECONFLICT, "store", field,
                              "it has changed meanwhile: version %lld, expected %lld", (long long)found,
                              (long long)expected)
                  : diag_fail(diag, TM_ECONFLICT, "store", field, "it does not exist any more");
}

/* ---- resources ---- */

static tm_err resource_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct resource_row *row = &e->u.resource;
    struct query q;
    query_begin(&q, &s->w.db, SQL_RESOURCE_VERSION);
    query_int(&q, e->tenant);
    query_text(&q, row->kind);
    query_text(&q, row->name);
    int64_t version = 0;
    bool exists = false;
    if (query_row(&q)) {
        version = column_int(&q, 0);
        exists = !column_int(&q, 1);
    }
    TM_TRY(query_end(&q, diag));
    if (e->kind == EFFECT_RESOURCE_DELETE && !exists)
        return diag_fail(diag, TM_ENOTFOUND, "store", "resource", "no %s \"%s\"", row->kind, row->name);
    TM_TRY(version_check(e->expected_version, version, exists, "resource", diag));
    row->version = version + 1;
    row->deleted = e->kind == EFFECT_RESOURCE_DELETE;
    return TM_OK;
}

static tm_err resource_write(struct sqlite_store *s, enum sql id, const struct effect *e, struct diag *diag)
{
    const struct resource_row *row = &e->u.resource;
    struct query q;
    query_begin(&q, &s->w.db, id);
    query_int(&q, e->tenant);
    query_text(&q, row->kind);
    query_text(&q, row->name);
    query_int(&q, row->version);
    query_int(&q, row->deleted);
    query_blob(&q, row->json);
    query_int(&q, row->updated_at);
    query_text(&q, row->updated_by);
    query_row(&q);
    return query_end(&q, diag);
}

static tm_err resource_put(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    TM_TRY(resource_write(s, SQL_RESOURCE_PUT, e, diag));
    return resource_write(s, SQL_RESOURCE_HISTORY_ADD, e, diag);
}

const struct effect_ops effect_resource_put = {
    .family = FAMILY_RESOURCE, .check = resource_check, .apply = resource_put};
const struct effect_ops effect_resource_delete = {
    .family = FAMILY_RESOURCE, .check = resource_check, .apply = resource_put};

/* ---- devices ---- */

/* What devices and continuations have in common: found by one text, with a version and the time of the first one. */
static tm_err versioned_check(struct sqlite_store *s, enum sql sql, const struct effect *e, const char *id,
                              const char *field, int64_t *created_at, int64_t *ret_version, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, sql);
    query_int(&q, e->tenant);
    query_text(&q, id);
    int64_t version = 0;
    bool exists = query_row(&q);
    if (exists) {
        version = column_int(&q, 0);
        *created_at = column_int(&q, 1);
    }
    TM_TRY(query_end(&q, diag));
    TM_TRY(version_check(e->expected_version, version, exists, field, diag));
    *ret_version = version + 1;
    return TM_OK;
}

static tm_err device_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct device_row *row = &e->u.device;
    return versioned_check(s, SQL_DEVICE_VERSION, e, row->id, "device", &row->created_at, &row->version,
                           diag);
}

static tm_err device_put(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    const struct device_row *row = &e->u.device;
    struct query q;
    query_begin(&q, &s->w.db, SQL_DEVICE_PUT);
    query_int(&q, e->tenant);
    query_text(&q, row->id);
    query_text(&q, row->serial);
    query_text(&q, row->model);
    query_text(&q, row->vendor);
    query_text(&q, row->owner);
    query_text(&q, row->place);
    query_text(&q, row->batch);
    query_int(&q, row->state);
    query_text(&q, row->identifiers);
    query_text(&q, row->tags);
    query_int(&q, row->created_at);
    query_int(&q, row->updated_at);
    query_int(&q, row->version);
    query_row(&q);
    TM_TRY(query_end(&q, diag));
    return row->version == 1 ? writer_bump(&s->w, e->tenant, BUCKET_DEVICES, 1, TM_TIME_NEVER) : TM_OK;
}

const struct effect_ops effect_device_put = {
    .family = FAMILY_DEVICE, .check = device_check, .apply = device_put};

/* ---- continuations ---- */

static tm_err continuation_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct continuation_row *row = &e->u.continuation;
    return versioned_check(s, SQL_CONTINUATION_VERSION, e, row->id, "continuation", &row->created_at,
                           &row->version, diag);
}

static tm_err continuation_put(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    const struct continuation_row *row = &e->u.continuation;
    struct query q;
    query_begin(&q, &s->w.db, SQL_CONTINUATION_PUT);
    query_int(&q, e->tenant);
    query_text(&q, row->id);
    query_text(&q, row->kind);
    query_text(&q, row->key);
    query_blob(&q, row->state);
    query_text(&q, row->status);
    query_int(&q, row->created_at);
    query_int(&q, row->expires_at);
    query_int(&q, row->version);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_continuation_put = {
    .family = FAMILY_CONTINUATION, .check = continuation_check, .apply = continuation_put};
