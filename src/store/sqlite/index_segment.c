#include "store/sqlite/index.h"
#include <string.h>

enum { SEGMENT_ID_MAX = 32767 };

static void put_be(uint8_t *p, uint64_t v, int n)
{
    while (n-- > 0) {
        p[n] = (uint8_t)v;
        v >>= 8;
    }
}

static uint64_t get_be(const uint8_t *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

void block_entry(uint64_t *ret_hash, uint32_t *ret_rel, const uint8_t *block, size_t i)
{
    const uint8_t *p = block + i * INDEX_ENTRY_LEN;
    *ret_hash = get_be(p, 8);
    *ret_rel = (uint32_t)get_be(p + 8, 4);
}

/* ---- write ---- */

void segment_writer_init(struct segment_writer *w, struct db *db, unsigned id, uint64_t base)
{
    w->db = db;
    w->id = id;
    w->base = base;
    w->total = w->blocks = 0;
    w->last_block = 0;
    w->n = 0;
}

static tm_err write_block(struct segment_writer *w, struct diag *diag)
{
    uint64_t last = get_be(w->block + (w->n - 1) * INDEX_ENTRY_LEN, 8);
    int64_t id = (int64_t)((uint64_t)w->id << 48 | last >> 16);
    if (id <= w->last_block)
        id = w->last_block + 1;
    if ((uint64_t)id >> 48 != w->id)
        return diag_fail(diag, TM_EINTERNAL, "store.index", "block.id", "no room at the end of segment %u",
                         w->id);
    struct query q;
    query_begin(&q, w->db, SQL_BLOCK_ADD);
    query_int(&q, id);
    query_blob(&q, slice_of(w->block, w->n * INDEX_ENTRY_LEN));
    query_row(&q);
    TM_TRY(query_end(&q, diag));
    w->last_block = id;
    w->blocks++;
    w->n = 0;
    return TM_OK;
}

tm_err segment_writer_add(struct segment_writer *w, uint64_t hash, uint64_t seq, struct diag *diag)
{
    uint8_t *p = w->block + w->n * INDEX_ENTRY_LEN;
    put_be(p, hash, 8);
    put_be(p + 8, seq - w->base, 4);
    w->total++;
    return ++w->n == INDEX_BLOCK_ENTRIES ? write_block(w, diag) : TM_OK;
}

tm_err segment_writer_end(struct segment_writer *w, struct diag *diag)
{
    return w->n ? write_block(w, diag) : TM_OK;
}

tm_err segment_register(struct db *db, const struct index_segment *seg, struct diag *diag)
{
    struct query q;
    query_begin(&q, db, SQL_SEGMENT_ADD);
    query_int(&q, seg->id);
    query_int(&q, seg->level);
    query_int(&q, (int64_t)seg->first_seq);
    query_int(&q, (int64_t)seg->last_seq);
    query_int(&q, (int64_t)seg->entries);
    query_row(&q);
    return query_end(&q, diag);
}

tm_err segment_free_id(unsigned *ret, struct index *ix, struct diag *diag)
{
    unsigned id = ix->last_id;
    for (unsigned tries = 0; tries < SEGMENT_ID_MAX; tries++) {
        id = id % SEGMENT_ID_MAX + 1;
        struct query q;
        query_begin(&q, &ix->db, SQL_BLOCK_NEXT_ID);
        query_int(&q, (int64_t)id << 48);
        bool taken = query_row(&q) && column_int(&q, 0) >> 48 == id;
        TM_TRY(query_end(&q, diag));
        for (size_t i = 0; i < ix->n_segments; i++)
            taken |= ix->segments[i].id == id;
        if (!taken) {
            *ret = ix->last_id = id;
            return TM_OK;
        }
    }
    return diag_fail(diag, TM_EINTERNAL, "store.index", "segment", "every segment number is taken");
}

/* ---- read ---- */

tm_err segment_list(struct index_segment *list, size_t *n, struct db *db, struct diag *diag)
{
    size_t room = *n, found = 0;
    struct query q;
    query_begin(&q, db, SQL_SEGMENT_LIST);
    while (found < room && query_row(&q))
        list[found++] = (struct index_segment){
            .id = (unsigned)column_int(&q, 0),
            .level = (unsigned)column_int(&q, 1),
            .first_seq = (uint64_t)column_int(&q, 2),
            .last_seq = (uint64_t)column_int(&q, 3),
            .entries = (uint64_t)column_int(&q, 4),
        };
    TM_TRY(query_end(&q, diag));
    *n = found;
    return TM_OK;
}

/* The first entry of a block that is not below `hash`. */
static size_t block_lower_bound(struct slice block, uint64_t hash)
{
    size_t low = 0, high = block.n / INDEX_ENTRY_LEN;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (get_be(block.p + mid * INDEX_ENTRY_LEN, 8) < hash)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

tm_err segment_find(struct db *db, const struct index_segment *seg, uint64_t hash, uint64_t before_seq,
                    uint64_t *ring, uint64_t *out, size_t max, size_t *ret_n, struct diag *diag)
{
    *ret_n = 0;
    if (seg->entries == 0 || seg->first_seq >= before_seq)
        return TM_OK;
    /* Blocks before this one end below the hash: their ids do. */
    int64_t after = (int64_t)((uint64_t)seg->id << 48 | hash >> 16) - 1;
    struct query q;
    size_t seen = 0;
    for (bool past = false;;) {
        query_begin(&q, db, SQL_BLOCK_AFTER);
        query_int(&q, after);
        if (!query_row(&q) || column_int(&q, 0) >> 48 != seg->id)
            break;
        struct slice block = column_slice(&q, 1);
        after = column_int(&q, 0);
        size_t n = block.n / INDEX_ENTRY_LEN;
        for (size_t i = block_lower_bound(block, hash); i < n && !past; i++) {
            uint64_t h;
            uint32_t rel;
            block_entry(&h, &rel, block.p, i);
            past = h != hash || seg->first_seq + rel >= before_seq;
            if (!past)
                ring[seen++ % max] = seg->first_seq + rel;
        }
        if (past)
            break;
        TM_TRY(query_end(&q, diag));
    }
    TM_TRY(query_end(&q, diag));
    *ret_n = seen < max ? seen : max;
    for (size_t i = 0; i < *ret_n; i++)
        out[i] = ring[(seen - 1 - i) % max];
    return TM_OK;
}
