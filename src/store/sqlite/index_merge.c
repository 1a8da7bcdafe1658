/* Merging segments, a slice at a time, in the manner of a log-structured tree: sixteen neighbours of one size become one. */
#include "store/sqlite/index.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SLICE_PAGES = 64,
    STREAM_PAGES = 16,
    LEVEL_ENTRIES = INDEX_CHUNK_ENTRIES * 4, /* from here on a segment is not of the smallest size */
};

struct merge_stream {
    const struct segment *seg;
    uint64_t page;  /* of the segment: the first that is not in `pages` */
    size_t in, at;  /* entries in `pages`; the current one */
    uint64_t hash;  /* of it */
    uint64_t order; /* tells equal hashes apart: older segments first, those that have ended last */
    struct segment_page pages[STREAM_PAGES];
};

struct index_merge {
    struct segment_writer *out;
    /* The order of the streams' current entries as a tournament: node k has the winner of nodes 2k and 2k+1, leaf FAN_IN + i is stream i. */
    unsigned winner[2 * INDEX_FAN_IN];
    struct merge_stream in[INDEX_FAN_IN];
};

/* ---- streams ---- */

static tm_err stream_fill(struct merge_stream *m)
{
    uint64_t left = m->seg->at.pages - m->page;
    size_t n = left < STREAM_PAGES ? (size_t)left : STREAM_PAGES;
    m->in = m->at = 0;
    if (n == 0) {
        m->hash = UINT64_MAX;
        m->order += INDEX_FAN_IN;
        return TM_OK;
    }
    TM_TRY(segment_read(m->seg, m->page, n, m->pages));
    m->page += n;
    segment_ahead(m->seg, m->page, STREAM_PAGES);
    m->in = (n - 1) * SEGMENT_PAGE_ENTRIES + segment_page_entries(m->seg, m->page - 1);
    m->hash = m->pages[0].hash[0];
    return TM_OK;
}

static inline tm_err stream_next(struct merge_stream *m)
{
    if (++m->at == m->in)
        return stream_fill(m);
    m->hash = m->pages[m->at / SEGMENT_PAGE_ENTRIES].hash[m->at % SEGMENT_PAGE_ENTRIES];
    return TM_OK;
}

static inline uint64_t stream_seq(const struct merge_stream *m)
{
    return m->seg->h.first_seq + m->pages[m->at / SEGMENT_PAGE_ENTRIES].row[m->at % SEGMENT_PAGE_ENTRIES];
}

/* ---- the tournament ---- */

static inline unsigned better(const struct index_merge *m, unsigned a, unsigned b)
{
    const struct merge_stream *x = &m->in[a], *y = &m->in[b];
    return x->hash < y->hash || (x->hash == y->hash && x->order < y->order) ? a : b;
}

static void replay(struct index_merge *m, unsigned stream)
{
    for (unsigned node = (INDEX_FAN_IN + stream) / 2; node > 0; node /= 2)
        m->winner[node] = better(m, m->winner[2 * node], m->winner[2 * node + 1]);
}

static tm_err merge_begin(struct index *ix, size_t at)
{
    struct index_merge *m = calloc(1, sizeof *m);
    if (!m)
        return TM_ENOMEM;
    ix->merge = m;
    struct segment_header h = ix->segments[at]->h;
    h.last_seq = ix->segments[at + INDEX_FAN_IN - 1]->h.last_seq;
    h.entries = 0;
    memset(h.kind_entries, 0, sizeof h.kind_entries);
    for (unsigned i = 0; i < INDEX_FAN_IN; i++) {
        const struct segment *seg = ix->segments[at + i];
        m->in[i].seg = seg;
        m->in[i].order = i;
        m->winner[INDEX_FAN_IN + i] = i;
        h.entries += seg->h.entries;
        for (int kind = 0; kind < SEGMENT_KINDS; kind++)
            h.kind_entries[kind] += seg->h.kind_entries[kind];
        TM_TRY(stream_fill(&m->in[i]));
    }
    for (unsigned node = INDEX_FAN_IN - 1; node > 0; node--)
        m->winner[node] = better(m, m->winner[2 * node], m->winner[2 * node + 1]);
    return segment_writer_new(&m->out, ix->dir, &h);
}

static tm_err merge_step(struct index_merge *m, bool *ret_finished)
{
    uint64_t stop = segment_writer_pages(m->out) + SLICE_PAGES;
    while (segment_writer_pages(m->out) < stop) {
        struct merge_stream *s = &m->in[m->winner[1]];
        *ret_finished = s->order >= INDEX_FAN_IN;
        if (*ret_finished)
            return TM_OK;
        TM_TRY(segment_writer_add(m->out, s->hash, stream_seq(s)));
        TM_TRY(stream_next(s));
        replay(m, m->winner[1]);
    }
    return TM_OK;
}

/* ---- which, and what becomes of them ---- */

static unsigned segment_level(const struct segment *seg)
{
    unsigned level = 0;
    for (uint64_t n = seg->h.entries; n >= LEVEL_ENTRIES; n /= INDEX_FAN_IN)
        level++;
    return level;
}

/* The oldest run of sixteen neighbours of the smallest size that has one; its index in ix->segments. A segment that stands before larger
 * ones (the index was caught up with in a hurry) counts as one of theirs: no others of its own size will ever join it.
 * False: nothing to merge. */
static bool merge_candidate(const struct index *ix, size_t *ret)
{
    bool found = false;
    unsigned level = 0, lowest = 0;
    size_t run = 0;
    for (size_t i = ix->n_segments; i-- > 0;) {
        unsigned own = segment_level(ix->segments[i]);
        run = own > level ? 1 : run + 1;
        level = own > level ? own : level;
        if (run < INDEX_FAN_IN || (found && level > lowest) ||
            ix->segments[i + INDEX_FAN_IN - 1]->h.last_seq - ix->segments[i]->h.first_seq >= UINT32_MAX)
            continue;
        found = true;
        lowest = level;
        *ret = i;
    }
    return found;
}

/* The new one takes their place at once; their files are only garbage once its name is on the disk. */
static tm_err merge_finish(struct index *ix)
{
    struct segment *seg, *old[INDEX_FAN_IN];
    TM_TRY(segment_writer_end(ix->merge->out, &seg));
    size_t at = 0;
    while (ix->segments[at] != ix->merge->in[0].seg)
        at++;
    pthread_rwlock_wrlock(&ix->files);
    memcpy(old, &ix->segments[at], sizeof old);
    ix->segments[at] = seg;
    memmove(&ix->segments[at + 1], &ix->segments[at + INDEX_FAN_IN],
            (ix->n_segments - at - INDEX_FAN_IN) * sizeof ix->segments[0]);
    ix->n_segments -= INDEX_FAN_IN - 1;
    pthread_rwlock_unlock(&ix->files);
    index_merge_abandon(ix);
    bool named = fsync(ix->dir) == 0;
    for (size_t i = 0; i < INDEX_FAN_IN; i++) {
        if (named)
            index_file_remove(ix, old[i]->h.first_seq, old[i]->h.last_seq);
        segment_forget(old[i], &ix->memory);
        segment_free(old[i]);
    }
    return TM_OK;
}

tm_err index_merge_slice(struct index *ix, bool *again, struct diag *diag)
{
    size_t at;
    bool finished = false;
    *again = false;
    if (!ix->merge && !merge_candidate(ix, &at))
        return TM_OK;
    tm_err err = ix->merge ? TM_OK : merge_begin(ix, at);
    if (err == TM_OK)
        err = merge_step(ix->merge, &finished);
    if (err == TM_OK && finished)
        err = merge_finish(ix);
    if (err != TM_OK) {
        index_merge_abandon(ix);
        return index_file_fail(err, diag);
    }
    *again = true;
    return TM_OK;
}

void index_merge_abandon(struct index *ix)
{
    if (ix->merge)
        segment_writer_free(ix->merge->out);
    free(ix->merge);
    ix->merge = NULL;
}
