#include "base/arena.h"
#include "store/sqlite/internal.h"

static tm_err append(struct store_read *r, size_t *cap, struct query *q)
{
    TM_TRY(array_grow(&r->acme, r->n, cap, sizeof *r->acme, r->arena));
    tm_err err = TM_OK;
    r->acme[r->n] = (struct acme_row){
        .tenant = (tenant_id)column_int(q, 0),
        .kind = (enum acme_kind)column_int(q, 1),
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

tm_err read_acme(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct query q;
    size_t limit = r->limit ? read_limit(r) : 1;
    query_begin(&q, &c->db, r->name ? SQL_ACME_GET : r->name2 ? SQL_ACME_BY_KEY : SQL_ACME_BY_REF);
    query_int(&q, r->tenant);
    query_int(&q, r->acme_kind);
    query_text(&q, r->name ? r->name : r->name2 ? r->name2 : r->text);
    if (!r->name)
        query_int(&q, (int64_t)limit);
    TM_TRY(rows(r, &q, limit));
    return r->n ? TM_OK : diag_fail(&r->diag, TM_ENOTFOUND, "store", "acme", "there is no such object");
}

tm_err read_acme_owned(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    size_t limit = read_limit(r);
    char *after = arena_strndup(r->arena, r->after.n ? (const char *)r->after.p : "", r->after.n);
    if (!after)
        return TM_ENOMEM;
    struct query q;
    query_begin(&q, &c->db, SQL_ACME_OWNED);
    query_int(&q, r->tenant);
    query_int(&q, r->acme_kind);
    query_text(&q, r->name);
    query_text(&q, after);
    query_int(&q, (int64_t)limit + 1);
    TM_TRY(rows(r, &q, limit));
    if (r->n)
        r->page_next = slice_str(r->acme[r->n - 1].id);
    return TM_OK;
}

static tm_err by_time(struct reader *c, struct store_read *r, enum sql sql)
{
    size_t limit = read_limit(r);
    struct query q;
    query_begin(&q, &c->db, sql);
    query_int(&q, r->window_start);
    query_int(&q, (int64_t)limit + 1);
    return rows(r, &q, limit);
}

tm_err read_acme_due(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    return by_time(c, r, SQL_ACME_DUE);
}

tm_err read_acme_old(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    return by_time(c, r, SQL_ACME_OLD);
}
