/* Merging segments, a slice at a time, in the manner of a log-structured tree: four neighbours of one level become one of the next. */
#include "store/sqlite/index.h"
#include <stdlib.h>
#include <string.h>

enum { SLICE_BLOCKS = 128, GARBAGE_BLOCKS = 512 };

struct merge_stream {
    struct index_segment seg;
    int64_t last_block;
    size_t n, at;
    uint64_t hash, seq; /* the current entry */
    bool end;
    uint8_t block[INDEX_BLOCK_LEN];
};

struct index_merge {
    struct merge_stream in[INDEX_FAN_IN];
    struct segment_writer out;
};

/* The next entry of a stream; blocks are copied, so that no read stays open between slices. */
static tm_err stream_next(struct merge_stream *m, struct db *db, struct diag *diag)
{
    if (m->at == m->n) {
        struct query q;
        query_begin(&q, db, SQL_BLOCK_AFTER);
        query_int(&q, m->last_block);
        m->end = !query_row(&q) || column_int(&q, 0) >> 48 != m->seg.id;
        if (!m->end) {
            struct slice block = column_slice(&q, 1);
            m->last_block = column_int(&q, 0);
            m->at = 0;
            m->n = block.n / INDEX_ENTRY_LEN;
            if (m->n == 0 || block.n > sizeof m->block) {
                TM_IGNORE(query_end(&q, NULL));
                return db_fail(db, SQLITE_CORRUPT, diag);
            }
            memcpy(m->block, block.p, block.n);
        }
        TM_TRY(query_end(&q, diag));
        if (m->end)
            return TM_OK;
    }
    uint32_t rel;
    block_entry(&m->hash, &rel, m->block, m->at++);
    m->seq = m->seg.first_seq + rel;
    return TM_OK;
}

/* The oldest run of four of the lowest level that has one; its index in ix->segments. False: nothing to merge. */
static bool merge_candidate(const struct index *ix, size_t *ret)
{
    bool found = false;
    unsigned lowest = 0;
    for (size_t i = 0; i + INDEX_FAN_IN <= ix->n_segments; i++) {
        unsigned level = ix->segments[i].level;
        bool run = true;
        for (size_t k = 1; k < INDEX_FAN_IN; k++)
            run &= ix->segments[i + k].level == level;
        const struct index_segment *last = &ix->segments[i + INDEX_FAN_IN - 1];
        run &= last->last_seq - ix->segments[i].first_seq < UINT32_MAX;
        if (run && (!found || level < lowest)) {
            found = true;
            lowest = level;
            *ret = i;
        }
    }
    return found;
}

static tm_err merge_begin(struct index *ix, size_t at, struct diag *diag)
{
    struct index_merge *m = calloc(1, sizeof *m);
    if (!m)
        return TM_ENOMEM;
    ix->merge = m;
    unsigned id;
    TM_TRY(segment_free_id(&id, ix, diag));
    segment_writer_init(&m->out, &ix->db, id, ix->segments[at].first_seq);
    for (size_t k = 0; k < INDEX_FAN_IN; k++) {
        m->in[k].seg = ix->segments[at + k];
        m->in[k].last_block = ((int64_t)m->in[k].seg.id << 48) - 1;
        TM_TRY(stream_next(&m->in[k], &ix->db, diag));
    }
    return TM_OK;
}

/* The stream with the smallest entry; equal hashes come in the order of their rows, as the streams do. */
static struct merge_stream *merge_least(struct index_merge *m)
{
    struct merge_stream *least = NULL;
    for (size_t k = 0; k < INDEX_FAN_IN; k++)
        if (!m->in[k].end && (!least || m->in[k].hash < least->hash))
            least = &m->in[k];
    return least;
}

static tm_err merge_finish(struct index *ix, struct index_segment *seg, struct diag *diag)
{
    struct index_merge *m = ix->merge;
    TM_TRY(segment_writer_end(&m->out, diag));
    for (size_t k = 0; k < INDEX_FAN_IN; k++) {
        struct query q;
        query_begin(&q, &ix->db, SQL_SEGMENT_DROP);
        query_int(&q, m->in[k].seg.id);
        query_row(&q);
        TM_TRY(query_end(&q, diag));
    }
    *seg = (struct index_segment){.id = m->out.id,
                                  .level = m->in[0].seg.level + 1,
                                  .first_seq = m->in[0].seg.first_seq,
                                  .last_seq = m->in[INDEX_FAN_IN - 1].seg.last_seq,
                                  .entries = m->out.total};
    return segment_register(&ix->db, seg, diag);
}

/* The list in memory follows once the transaction is through. */
static void merge_replace(struct index *ix, const struct index_segment *seg)
{
    size_t at = 0;
    while (ix->segments[at].id != ix->merge->in[0].seg.id)
        at++;
    ix->segments[at] = *seg;
    memmove(&ix->segments[at + 1], &ix->segments[at + INDEX_FAN_IN],
            (ix->n_segments - at - INDEX_FAN_IN) * sizeof ix->segments[0]);
    ix->n_segments -= INDEX_FAN_IN - 1;
    index_merge_abandon(ix);
}

static tm_err merge_step(struct index *ix, bool *ret_finished, struct index_segment *seg, struct diag *diag)
{
    struct index_merge *m = ix->merge;
    uint64_t stop = m->out.blocks + SLICE_BLOCKS;
    struct merge_stream *s;
    while (m->out.blocks < stop && (s = merge_least(m)) != NULL) {
        TM_TRY(segment_writer_add(&m->out, s->hash, s->seq, diag));
        TM_TRY(stream_next(s, &ix->db, diag));
    }
    *ret_finished = merge_least(m) == NULL;
    return *ret_finished ? merge_finish(ix, seg, diag) : TM_OK;
}

tm_err index_merge_slice(struct index *ix, bool *again, struct diag *diag)
{
    size_t at;
    *again = false;
    if (!ix->merge && !merge_candidate(ix, &at))
        return TM_OK;
    tm_err err = ix->merge ? TM_OK : merge_begin(ix, at, diag);
    bool finished = false;
    struct index_segment seg;
    if (err == TM_OK)
        err = query_run(&ix->db, SQL_BEGIN, diag);
    if (err == TM_OK)
        err = merge_step(ix, &finished, &seg, diag);
    if (err == TM_OK)
        err = query_run(&ix->db, SQL_COMMIT, diag);
    if (err != TM_OK) {
        if (!sqlite3_get_autocommit(ix->db.h))
            TM_IGNORE(query_run(&ix->db, SQL_ROLLBACK, NULL));
        index_merge_abandon(ix);
        return err;
    }
    if (finished)
        merge_replace(ix, &seg);
    *again = true;
    return TM_OK;
}

void index_merge_abandon(struct index *ix)
{
    if (ix->merge)
        ix->garbage = true;
    free(ix->merge);
    ix->merge = NULL;
}

/* ---- garbage: blocks of segments that were merged away, or of a merge that was cut short ---- */

static bool segment_wanted(const struct index *ix, unsigned id)
{
    if (ix->merge && ix->merge->out.id == id)
        return true;
    for (size_t i = 0; i < ix->n_segments; i++)
        if (ix->segments[i].id == id)
            return true;
    return false;
}

static tm_err first_block(struct index *ix, enum sql id, int64_t from, int64_t to, int64_t offset,
                          int64_t *ret, bool *ret_found, struct diag *diag)
{
    struct query q;
    query_begin(&q, &ix->db, id);
    query_int(&q, from);
    if (id == SQL_BLOCK_NTH_ID) {
        query_int(&q, to);
        query_int(&q, offset);
    }
    *ret_found = query_row(&q);
    if (*ret_found)
        *ret = column_int(&q, 0);
    return query_end(&q, diag);
}

tm_err index_garbage_slice(struct index *ix, struct diag *diag)
{
    int64_t at = 0, end;
    bool found;
    for (;;) {
        TM_TRY(first_block(ix, SQL_BLOCK_NEXT_ID, at, 0, 0, &at, &found, diag));
        if (!found) {
            ix->garbage = false;
            return TM_OK;
        }
        if (!segment_wanted(ix, (unsigned)(at >> 48)))
            break;
        at = ((at >> 48) + 1) << 48;
    }
    int64_t last = (((at >> 48) + 1) << 48) - 1;
    TM_TRY(first_block(ix, SQL_BLOCK_NTH_ID, at, last, GARBAGE_BLOCKS, &end, &found, diag));
    struct query q;
    query_begin(&q, &ix->db, SQL_BLOCK_DROP);
    query_int(&q, at);
    query_int(&q, found ? end : last);
    query_row(&q);
    return query_end(&q, diag);
}
