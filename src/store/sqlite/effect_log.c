#include "store/sqlite/internal.h"
#include <string.h>

/* ---- events ---- */

static tm_err event_add(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct event_row *row = &e->u.event;
    TM_TRY(writer_position(&s->w, e->tenant, &row->pos));
    struct query q;
    query_begin(&q, &s->w.db, SQL_EVENT_ADD);
    query_int(&q, event_key(e->tenant, row->pos));
    query_int(&q, row->time);
    query_text(&q, row->type);
    query_text(&q, row->subject);
    query_blob(&q, row->salt);
    query_blob(&q, row->body);
    query_blob(&q, SLICE_ARR(row->leaf));
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_event = {.apply = event_add};

static tm_err event_erase_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    uint64_t pos = e->u.event.pos;
    return e->tenant < s->w.n_tenants && pos < s->w.next_pos[e->tenant]
               ? TM_OK
               : diag_fail(diag, TM_ENOTFOUND, "store", "event.pos", "the log has no such event");
}

static tm_err event_erase(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_EVENT_ERASE);
    query_int(&q, event_key(e->tenant, e->u.event.pos));
    query_blob(&q, e->u.event.body);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_event_erase = {
    .family = FAMILY_EVENT, .check = event_erase_check, .apply = event_erase};

/* ---- tiles and checkpoints ---- */

static tm_err tile_put(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_TILE_PUT);
    query_int(&q, tile_key(e->tenant, e->u.tile.level, e->u.tile.index));
    query_blob(&q, e->u.tile.hashes);
    query_row(&q);
    return query_end(&q, diag);
}

static tm_err tile_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    return tile_valid(e->u.tile.level, e->u.tile.index)
               ? TM_OK
               : diag_fail(diag, TM_EINVAL, "store", "tile", "no log is that large");
}

const struct effect_ops effect_tile_put = {.check = tile_check, .apply = tile_put};

static tm_err checkpoint_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_CHECKPOINT_MAX);
    query_int(&q, e->tenant);
    uint64_t newest = query_row(&q) ? (uint64_t)column_int(&q, 0) : 0;
    TM_TRY(query_end(&q, diag));
    return e->u.checkpoint.size >= newest ? TM_OK
                                          : diag_fail(diag, TM_ECONFLICT, "store", "checkpoint.size",
                                                      "a checkpoint of a larger log is stored");
}

static tm_err checkpoint_put(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    const struct checkpoint_row *row = &e->u.checkpoint;
    struct query q;
    query_begin(&q, &s->w.db, SQL_CHECKPOINT_PUT);
    query_int(&q, e->tenant);
    query_int(&q, (int64_t)row->size);
    query_blob(&q, SLICE_ARR(row->root));
    query_blob(&q, row->note);
    query_int(&q, row->time);
    query_int(&q, (int64_t)row->chain_seq);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_checkpoint_put = {
    .family = FAMILY_CHECKPOINT, .check = checkpoint_check, .apply = checkpoint_put};

/* ---- CRLs ---- */

static struct slice magnitude(struct slice s)
{
    while (s.n && s.p[0] == 0)
        s = slice_sub(s, 1, s.n - 1);
    return s;
}

static bool number_greater(struct slice a, struct slice b)
{
    a = magnitude(a);
    b = magnitude(b);
    return a.n != b.n ? a.n > b.n : slice_cmp(a, b) > 0;
}

static tm_err crl_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_CRL_NUMBER);
    query_int(&q, e->tenant);
    query_text(&q, e->u.crl.authority);
    query_text(&q, e->u.crl.shard);
    bool any = query_row(&q), greater = !any || number_greater(e->u.crl.number, column_slice(&q, 0)),
         later = !any || e->u.crl.this_update >= column_int(&q, 1);
    TM_TRY(query_end(&q, diag));
    if (!greater)
        return diag_fail(diag, TM_ECONFLICT, "RFC 5280 5.2.3", "crl.number",
                         "a CRL with this number or a greater one is stored");
    return later ? TM_OK
                 : diag_fail(diag, TM_ECONFLICT, "store", "crl.this_update",
                             "a CRL with a later thisUpdate is stored");
}

static tm_err crl_put(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    const struct crl_row *row = &e->u.crl;
    struct query q;
    query_begin(&q, &s->w.db, SQL_CRL_PUT);
    query_int(&q, e->tenant);
    query_text(&q, row->authority);
    query_text(&q, row->shard);
    query_blob(&q, row->number);
    query_int(&q, row->this_update);
    query_int(&q, row->next_update);
    query_blob(&q, row->der);
    query_text(&q, row->file ? row->file : "");
    query_int(&q, (int64_t)row->size);
    query_int(&q, row->entries);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_crl_put = {.family = FAMILY_CRL, .check = crl_check, .apply = crl_put};

/* ---- small named values ---- */

static tm_err meta_put(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_META_PUT);
    query_int(&q, e->tenant);
    query_text(&q, e->u.meta.name);
    query_blob(&q, e->u.meta.value);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_meta_put = {.apply = meta_put};
