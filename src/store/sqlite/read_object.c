#include "base/arena.h"
#include "store/sqlite/internal.h"
#include <stdlib.h>
#include <string.h>

/* Of how many owners a full page has something, and how many are looked at for it. */
enum { DUE_OWNERS = 128, DUE_LOOKS = 4096 };

static tm_err append(struct store_read *r, size_t *cap, struct query *q)
{
    TM_TRY(array_grow(&r->objects, r->n, cap, sizeof *r->objects, r->arena));
    tm_err err = TM_OK;
    r->objects[r->n] = (struct object_row){
        .tenant = (tenant_id)column_int(q, 0),
        .kind = (enum object_kind)column_int(q, 1),
        .id = column_text(q, 2, r->arena, &err),
        .owner = column_text(q, 3, r->arena, &err),
        .key = column_text(q, 4, r->arena, &err),
        .ref = column_text(q, 5, r->arena, &err),
        .status = (int)column_int(q, 6),
        .due_at = column_int(q, 7),
        .created_at = column_int(q, 8),
        .keep_until = column_int(q, 9),
        .version = column_int(q, 10),
        .state = column_blob(q, 11, r->arena, &err),
    };
    r->n += err == TM_OK;
    return err;
}

/* All rows of a query that was given one more than it needs, to know whether there is more. */
static tm_err rows(struct store_read *r, struct query *q, size_t limit)
{
    size_t cap = 0;
    tm_err err = TM_OK;
    while (err == TM_OK && r->n <= limit && query_row(q))
        err = append(r, &cap, q);
    TM_TRY(query_leave(q, err, &r->diag));
    r->more = r->n > limit;
    r->n -= r->more;
    return TM_OK;
}

static tm_err by_ref(struct reader *c, struct store_read *r, size_t limit)
{
    char *after = arena_strndup(r->arena, r->after.n ? (const char *)r->after.p : "", r->after.n);
    struct query q;
    if (!after)
        return TM_ENOMEM;
    query_begin(&q, &c->db, SQL_OBJECT_BY_REF);
    query_int(&q, r->tenant);
    query_int(&q, r->object_kind);
    query_text(&q, r->text);
    query_text(&q, after);
    query_int(&q, (int64_t)limit + 1);
    TM_TRY(rows(r, &q, limit));
    if (r->n)
        r->page_next = slice_str(r->objects[r->n - 1].id);
    return TM_OK;
}

static tm_err by_name(struct reader *c, struct store_read *r, size_t limit)
{
    struct query q;
    query_begin(&q, &c->db, r->name ? SQL_OBJECT_GET : SQL_OBJECT_BY_KEY);
    query_int(&q, r->tenant);
    query_int(&q, r->object_kind);
    query_text(&q, r->name ? r->name : r->name2);
    if (!r->name)
        query_int(&q, (int64_t)limit);
    return rows(r, &q, limit);
}

tm_err read_object(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    size_t limit = r->limit ? read_limit(r) : 1;
    TM_TRY(r->name || r->name2 ? by_name(c, r, limit) : by_ref(c, r, limit));
    return r->n ? TM_OK : diag_fail(&r->diag, TM_ENOTFOUND, "store", "object", "there is no such object");
}

/* One page in the order of ids. */
static tm_err page(struct reader *c, struct store_read *r, int sql, const char *owner)
{
    size_t limit = read_limit(r);
    char *after = arena_strndup(r->arena, r->after.n ? (const char *)r->after.p : "", r->after.n);
    if (!after)
        return TM_ENOMEM;
    struct query q;
    query_begin(&q, &c->db, sql);
    query_int(&q, r->tenant);
    query_int(&q, r->object_kind);
    if (owner)
        query_text(&q, owner);
    if (sql == SQL_OBJECTS_BY_STATUS)
        query_int(&q, r->object_status);
    query_text(&q, after);
    query_int(&q, (int64_t)limit + 1);
    TM_TRY(rows(r, &q, limit));
    if (r->n)
        r->page_next = slice_str(r->objects[r->n - 1].id);
    return TM_OK;
}

tm_err read_objects(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    if (r->object_status && r->object_kind < OBJECT_INDEXED_BY_STATUS)
        return diag_fail(&r->diag, TM_EINVAL, "store", "object.status", "these are not found by status");
    return page(c, r, r->object_status ? SQL_OBJECTS_BY_STATUS : SQL_OBJECTS, NULL);
}

tm_err read_objects_owned(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    return page(c, r, SQL_OBJECTS_OWNED, r->name);
}

/* Whose turn it is. */
struct turn {
    tenant_id tenant;
    char owner[64];
};

/* The next owner of something with a time; *ret_found false behind the last. */
static tm_err next_owner(struct turn *t, bool *ret_found, struct reader *c, struct store_read *r)
{
    struct query q;
    tm_err err = TM_OK;
    query_begin(&q, &c->db, SQL_OBJECTS_DUE_OWNER);
    query_int(&q, r->object_kind);
    query_int(&q, t->tenant);
    query_text(&q, t->owner);
    *ret_found = query_row(&q);
    if (*ret_found) {
        const char *owner = column_text(&q, 1, r->arena, &err);
        t->tenant = (tenant_id)column_int(&q, 0);
        if (err == TM_OK && strlen(owner) < sizeof t->owner)
            memcpy(t->owner, owner, strlen(owner) + 1);
        else if (err == TM_OK)
            err = TM_ECORRUPT;
    }
    return query_leave(&q, err, &r->diag);
}

static tm_err due_of(struct store_read *r, size_t *cap, struct reader *c, const struct turn *t, size_t share)
{
    struct query q;
    tm_err err = TM_OK;
    query_begin(&q, &c->db, SQL_OBJECTS_DUE_OF);
    query_int(&q, r->object_kind);
    query_int(&q, t->tenant);
    query_text(&q, t->owner);
    query_int(&q, r->window_start);
    query_int(&q, (int64_t)share);
    while (err == TM_OK && query_row(&q))
        err = append(r, cap, &q);
    return query_leave(&q, err, &r->diag);
}

/* A few of each owner, from the one after `after` around to it again, as many as fit and as far as one look may go. */
static tm_err in_turn(struct reader *c, struct store_read *r, size_t limit)
{
    size_t cap = 0, share = limit / DUE_OWNERS ? limit / DUE_OWNERS : 1;
    const char *slash = r->after.n ? memchr(r->after.p, '/', r->after.n) : NULL;
    struct turn t = {.tenant = 0}, first = {.tenant = 0};
    bool found = true, around = false, begun = false;
    if (slash) {
        t.tenant = (tenant_id)strtoul((const char *)r->after.p, NULL, 10);
        size_t n = r->after.n - (size_t)(slash + 1 - (const char *)r->after.p);
        memcpy(t.owner, slash + 1, n < sizeof t.owner ? n : sizeof t.owner - 1);
    }
    r->n = 0;
    r->objects = NULL;
    for (size_t looks = 0; r->n + share <= limit && looks < DUE_LOOKS; looks++) {
        TM_TRY(next_owner(&t, &found, c, r));
        if (!found && around)
            break;
        if (!found) {
            around = true;
            t = (struct turn){.tenant = 0};
            continue;
        }
        bool again = begun && t.tenant == first.tenant && strcmp(t.owner, first.owner) == 0;
        if (again)
            break;
        first = begun ? first : t;
        begun = true;
        TM_TRY(due_of(r, &cap, c, &t, share));
    }
    r->more = true;
    char *next = arena_printf(r->arena, "%u/%s", (unsigned)t.tenant, t.owner);
    if (!next)
        return TM_ENOMEM;
    r->page_next = slice_str(next);
    return TM_OK;
}

tm_err read_objects_due(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    size_t limit = read_limit(r);
    struct query q;
    query_begin(&q, &c->db, SQL_OBJECTS_DUE);
    query_int(&q, r->object_kind);
    query_int(&q, r->window_start);
    query_int(&q, (int64_t)limit + 1);
    TM_TRY(rows(r, &q, limit));
    return r->more ? in_turn(c, r, limit) : TM_OK;
}

tm_err read_objects_old(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    size_t limit = read_limit(r);
    struct query q;
    query_begin(&q, &c->db, SQL_OBJECTS_OLD);
    query_int(&q, r->window_start);
    query_int(&q, (int64_t)limit + 1);
    return rows(r, &q, limit);
}
