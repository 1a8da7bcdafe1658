/* What rooms keep of their own. A transaction names each row once, so that its effects need not see each other. */
#include "store/sqlite/internal.h"

/* The version in the store; 0: there is no such row. */
static tm_err stored_version(int64_t *ret, struct sqlite_store *s, const struct effect *e, struct diag *diag)
{
    const struct object_row *row = &e->u.object.row;
    struct query q;
    query_begin(&q, &s->w.db, SQL_OBJECT_VERSION);
    query_int(&q, e->tenant);
    query_int(&q, row->kind);
    query_text(&q, row->id);
    *ret = query_row(&q) ? column_int(&q, 0) : 0;
    return query_end(&q, diag);
}

static tm_err check_version(struct sqlite_store *s, struct effect *e, int64_t *ret, struct diag *diag)
{
    TM_TRY(stored_version(ret, s, e, diag));
    if (e->expected_version >= 0 && e->expected_version != *ret)
        return diag_fail(diag, TM_ECONFLICT, "store", "object.version",
                         "somebody else changed this meanwhile");
    return TM_OK;
}

static tm_err object_put_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct object_row *row = &e->u.object.row;
    int64_t version;
    TM_TRY(check_version(s, e, &version, diag));
    row->version = version + 1;
    if (!e->u.object.unique)
        return TM_OK;
    struct query q;
    query_begin(&q, &s->w.db, SQL_OBJECT_RIVAL);
    query_int(&q, e->tenant);
    query_int(&q, row->kind);
    query_text(&q, row->key);
    query_text(&q, row->id);
    bool rival = query_row(&q);
    TM_TRY(query_end(&q, diag));
    return rival ? diag_fail(diag, TM_ECONFLICT, "store", "object.key", "there is such a row already")
                 : TM_OK;
}

static tm_err object_put(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    const struct object_row *row = &e->u.object.row;
    struct query q;
    bool is_new = row->version == 1;
    query_begin(&q, &s->w.db, is_new ? SQL_OBJECT_ADD : SQL_OBJECT_CHANGE);
    query_int(&q, e->tenant);
    query_int(&q, row->kind);
    query_text(&q, row->id);
    if (is_new)
        query_text(&q, row->owner);
    query_text(&q, row->key);
    query_text(&q, row->ref);
    query_int(&q, row->status);
    query_int(&q, row->due_at);
    if (is_new)
        query_int(&q, row->created_at);
    query_int(&q, row->keep_until);
    query_int(&q, row->version);
    query_blob(&q, row->state);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_object_put = {.check = object_put_check, .apply = object_put};

static tm_err object_drop_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    int64_t version;
    TM_TRY(stored_version(&version, s, e, diag));
    /* Gone is what it should be. */
    if (version != 0 && e->expected_version >= 0 && e->expected_version != version)
        return diag_fail(diag, TM_ECONFLICT, "store", "object.version",
                         "somebody else changed this meanwhile");
    return TM_OK;
}

static tm_err object_drop(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_OBJECT_DROP);
    query_int(&q, e->tenant);
    query_int(&q, e->u.object.row.kind);
    query_text(&q, e->u.object.row.id);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_object_drop = {.check = object_drop_check, .apply = object_drop};
