#include "base/arena.h"
#include "store/sqlite/internal.h"
#include <string.h>

enum { SCAN_MAX = 200000 /* events that a filter may pass over in one read */ };

/* ---- events ---- */

static bool event_passes(struct query *q, const struct store_read *r)
{
    struct slice type = column_slice(q, 2);
    size_t n = r->name ? strlen(r->name) : 0;
    return (n == 0 || (type.n >= n && memcmp(type.p, r->name, n) == 0)) &&
           (!r->text || !r->text[0] || slice_eq_str(column_slice(q, 3), r->text));
}

static tm_err event_append(struct store_read *r, size_t *cap, struct query *q, uint64_t pos)
{
    TM_TRY(array_grow(&r->events, r->n, cap, sizeof *r->events, r->arena));
    tm_err err = TM_OK;
    struct event_row *row = &r->events[r->n];
    *row = (struct event_row){
        .pos = pos,
        .time = column_int(q, 1),
        .type = column_text(q, 2, r->arena, &err),
        .subject = column_text(q, 3, r->arena, &err),
        .salt = column_blob(q, 4, r->arena, &err),
        .body = column_blob(q, 5, r->arena, &err),
    };
    column_octets(q, 6, row->leaf, sizeof row->leaf);
    r->n += err == TM_OK;
    return err;
}

tm_err read_events(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    size_t limit = read_limit(r), cap = 0;
    r->pos_next = r->pos_from;
    if (r->pos_from >= STORE_POS_MAX)
        return TM_OK;
    struct query q;
    query_begin(&q, &c->db, SQL_EVENT_RANGE);
    query_int(&q, event_key(r->tenant, r->pos_from));
    query_int(&q, event_key(r->tenant + 1, 0));
    query_int(&q, SCAN_MAX + 1);
    tm_err err = TM_OK;
    for (size_t seen = 0; err == TM_OK && query_row(&q); seen++) {
        if (r->n == limit || seen == SCAN_MAX) {
            r->more = true;
            break;
        }
        uint64_t pos = (uint64_t)column_int(&q, 0) & (STORE_POS_MAX - 1);
        if (event_passes(&q, r))
            err = event_append(r, &cap, &q, pos);
        r->pos_next = pos + 1;
    }
    return query_leave(&q, err, &r->diag);
}

tm_err read_leaves(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    size_t limit = read_limit(r);
    if (r->pos_from >= STORE_POS_MAX)
        return TM_OK;
    r->leaves = arena_calloc(r->arena, limit, 32);
    if (!r->leaves)
        return arena_err(r->arena);
    struct query q;
    query_begin(&q, &c->db, SQL_EVENT_LEAVES);
    query_int(&q, event_key(r->tenant, r->pos_from));
    query_int(&q, event_key(r->tenant + 1, 0));
    query_int(&q, (int64_t)limit);
    while (r->n < limit && query_row(&q))
        column_octets(&q, 0, r->leaves + 32 * r->n++, 32);
    return query_end(&q, &r->diag);
}

tm_err read_log_size(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct query q;
    query_begin(&q, &c->db, SQL_EVENT_LAST);
    query_int(&q, event_key(r->tenant, 0));
    query_int(&q, event_key(r->tenant + 1, 0));
    bool any = query_row(&q) && sqlite3_column_type(q.st, 0) != SQLITE_NULL;
    r->count = any ? ((uint64_t)column_int(&q, 0) & (STORE_POS_MAX - 1)) + 1 : 0;
    return query_end(&q, &r->diag);
}

/* ---- checkpoints and tiles ---- */

static tm_err checkpoint_append(struct store_read *r, size_t *cap, struct query *q)
{
    TM_TRY(array_grow(&r->checkpoints, r->n, cap, sizeof *r->checkpoints, r->arena));
    tm_err err = TM_OK;
    struct checkpoint_row *row = &r->checkpoints[r->n];
    *row = (struct checkpoint_row){
        .size = (uint64_t)column_int(q, 0),
        .note = column_blob(q, 2, r->arena, &err),
        .time = column_int(q, 3),
        .chain_seq = (uint64_t)column_int(q, 4),
    };
    column_octets(q, 1, row->root, sizeof row->root);
    r->n += err == TM_OK;
    return err;
}

tm_err read_checkpoint(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct query q;
    size_t cap = 0;
    query_begin(&q, &c->db, r->pos_from ? SQL_CHECKPOINT_GET : SQL_CHECKPOINT_NEWEST);
    query_int(&q, r->tenant);
    if (r->pos_from)
        query_int(&q, (int64_t)r->pos_from);
    tm_err err = query_row(&q) ? checkpoint_append(r, &cap, &q) : TM_OK;
    TM_TRY(query_leave(&q, err, &r->diag));
    return r->n ? TM_OK : diag_fail(&r->diag, TM_ENOTFOUND, "store", "checkpoint", "no such checkpoint");
}

tm_err read_checkpoints(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    size_t limit = read_limit(r), cap = 0;
    struct query q;
    query_begin(&q, &c->db, SQL_CHECKPOINT_RANGE);
    query_int(&q, r->tenant);
    query_int(&q, (int64_t)r->pos_from);
    query_int(&q, (int64_t)limit + 1);
    tm_err err = TM_OK;
    while (err == TM_OK && !r->more && query_row(&q)) {
        r->more = r->n == limit;
        if (!r->more)
            err = checkpoint_append(r, &cap, &q);
    }
    if (r->n)
        r->pos_next = r->checkpoints[r->n - 1].size + 1;
    return query_leave(&q, err, &r->diag);
}

/* A single value, or TM_ENOTFOUND. */
static tm_err value_of(struct query *q, struct store_read *r, const char *field)
{
    tm_err err = TM_OK;
    bool found = query_row(q);
    if (found)
        r->value = column_blob(q, 0, r->arena, &err);
    TM_TRY(query_leave(q, err, &r->diag));
    r->n = found;
    return found ? TM_OK : diag_fail(&r->diag, TM_ENOTFOUND, "store", field, "not stored");
}

tm_err read_tile(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    if (!tile_valid(r->level, r->pos_from))
        return diag_fail(&r->diag, TM_ENOTFOUND, "store", "tile", "no log is that large");
    struct query q;
    query_begin(&q, &c->db, SQL_TILE_GET);
    query_int(&q, tile_key(r->tenant, r->level, r->pos_from));
    return value_of(&q, r, "tile");
}

tm_err read_meta(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct query q;
    query_begin(&q, &c->db, SQL_META_GET);
    query_int(&q, r->tenant);
    query_text(&q, r->name);
    return value_of(&q, r, r->name);
}

/* ---- CRLs ---- */

tm_err read_crl(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct query q;
    query_begin(&q, &c->db, SQL_CRL_GET);
    query_int(&q, r->tenant);
    query_text(&q, r->name);
    query_text(&q, r->name2);
    tm_err err = TM_OK;
    bool found = query_row(&q);
    if (found)
        r->crl = (struct crl_row){
            .authority = column_text(&q, 0, r->arena, &err),
            .shard = column_text(&q, 1, r->arena, &err),
            .number = column_blob(&q, 2, r->arena, &err),
            .this_update = column_int(&q, 3),
            .next_update = column_int(&q, 4),
            .der = column_blob(&q, 5, r->arena, &err),
            .file = column_text(&q, 6, r->arena, &err),
            .size = (uint64_t)column_int(&q, 7),
            .entries = column_int(&q, 8),
        };
    TM_TRY(query_leave(&q, err, &r->diag));
    r->n = found;
    return found ? TM_OK : diag_fail(&r->diag, TM_ENOTFOUND, "store", "crl", "no CRL is stored");
}
