#include "store/sqlite/index.h"
#include "base/clock.h"
#include "store/sqlite/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    CHUNKS_MAX = 32,            /* in memory; beyond that they are dropped and read again from the rows */
    PRELOAD_ROWS = 16384,       /* read at the opening, so that look-ups work at once */
    CATCH_UP_ROWS = 65536,      /* in one slice, for which a reader's snapshot stays open */
    CATCH_UP_ENTRIES = 1 << 19, /* a slice ends with the row that brings them to this */
    RETRY_S = 5,                /* after an error of the files: a full disk, say */
    MEMORY = 8 << 20,           /* of the filters of a kind: those of 5 million certificates */
    MEMORY_SPKI = 64 << 20,     /* of the one that every issuance asks: 40 million */
    NICE = 10,                  /* the thread gives way to whoever makes certificates */
};

/* ---- the tail ---- */

static uint64_t row_hashes(struct query *q, const struct cert_hash_key *hk, struct index_entry *entries,
                           size_t *ret_n)
{
    struct cert_key_columns c = {
        .subject = column_slice(q, 4),
        .device = column_slice(q, 5),
        .serial = column_slice(q, 3),
        .fingerprint = column_slice(q, 6),
        .spki_hash = column_slice(q, 7),
    };
    if (c.serial.n == 0)
        c.serial = column_slice(q, 2);
    uint64_t hashes[CERT_KEYS_MAX], seq = (uint64_t)column_int(q, 0);
    *ret_n = cert_keys_unpack(hashes, hk, (tenant_id)column_int(q, 1), &c, column_slice(q, 8));
    for (size_t i = 0; i < *ret_n; i++)
        entries[i] = (struct index_entry){.hash = hashes[i], .seq = seq};
    return seq;
}

/* Lock held. */
static void tail_give_up(struct index *ix)
{
    tail_drop_all(ix);
    ix->tail_from = ix->last_seq;
    pthread_cond_signal(&ix->wake);
}

void index_append(struct sqlite_store *s, const struct index_entry *entries, size_t n, uint64_t last_seq)
{
    struct index *ix = &s->index;
    if (last_seq == ix->last_seq)
        return;
    pthread_mutex_lock(&ix->lock);
    ix->last_seq = last_seq;
    bool good = ix->n_chunks <= CHUNKS_MAX;
    for (size_t i = 0, k; i < n && good; i = k) {
        for (k = i + 1; k < n && entries[k].seq == entries[i].seq;)
            k++;
        good = tail_add(ix, &entries[i], k - i, entries[i].seq);
    }
    if (!good)
        tail_give_up(ix);
    pthread_mutex_unlock(&ix->lock);
}

/* Rows that no segment has, straight into the tail. */
static tm_err tail_preload(struct sqlite_store *s, struct db *db, uint64_t last_seq, struct diag *diag)
{
    struct index *ix = &s->index;
    struct query q;
    query_begin(&q, db, SQL_CERT_FOR_INDEX);
    query_int(&q, (int64_t)ix->covered);
    query_int(&q, (int64_t)last_seq);
    query_int(&q, PRELOAD_ROWS);
    bool good = true;
    while (good && query_row(&q)) {
        struct index_entry entries[CERT_KEYS_MAX];
        size_t n;
        uint64_t seq = row_hashes(&q, &s->hash_key, entries, &n);
        good = n == 0 || tail_add(ix, entries, n, seq);
    }
    tm_err err = query_end(&q, diag);
    return err == TM_OK && !good ? TM_ENOMEM : err;
}

/* ---- flush and catch up ---- */

/* One more segment, with rows up to `last_seq`: what the tail has of them goes in the same moment. */
static void segment_publish(struct index *ix, struct segment *seg, uint64_t last_seq, bool from_tail)
{
    pthread_rwlock_wrlock(&ix->files);
    ix->segments[ix->n_segments++] = seg;
    pthread_mutex_lock(&ix->lock);
    ix->covered = last_seq;
    /* Unless the tail has been given up meanwhile. */
    if (from_tail && ix->oldest && ix->oldest->last_seq == last_seq)
        tail_drop_oldest(ix);
    pthread_mutex_unlock(&ix->lock);
    pthread_rwlock_unlock(&ix->files);
}

static tm_err flush_entries(struct sqlite_store *s, struct index_entry *entries, struct index_entry *room,
                            size_t n, uint64_t last_seq, bool from_tail, struct diag *diag)
{
    struct index *ix = &s->index;
    struct segment *seg;
    if (ix->n_segments == INDEX_SEGMENTS_MAX)
        return diag_fail(diag, TM_EINTERNAL, "store.index", index_dir, "too many segments");
    TM_TRY(index_file_write(&seg, s, entries, room, n, ix->covered + 1, last_seq, diag));
    segment_publish(ix, seg, last_seq, from_tail);
    return TM_OK;
}

static tm_err flush_oldest(struct sqlite_store *s, struct diag *diag)
{
    struct index *ix = &s->index;
    pthread_mutex_lock(&ix->lock);
    struct tail_chunk *c = ix->oldest;
    if (!c || !c->frozen) {
        pthread_mutex_unlock(&ix->lock);
        return TM_OK;
    }
    uint64_t last = c->last_seq;
    size_t n = c->n;
    struct index_entry *copy = malloc((2 * n + 1) * sizeof *copy);
    for (size_t i = 0; copy && i < n; i++)
        copy[i] = (struct index_entry){.hash = c->entries[i].hash, .seq = c->first_seq + c->entries[i].rel};
    pthread_mutex_unlock(&ix->lock);
    if (!copy)
        return TM_ENOMEM;
    tm_err err = flush_entries(s, copy, copy + n, n, last, true, diag);
    free(copy);
    return err;
}

static tm_err catch_up_rows(struct sqlite_store *s, struct db *db, uint64_t to, struct index_entry **entries,
                            size_t *n, uint64_t *last, struct diag *diag)
{
    size_t cap = 0, rows = 0;
    struct query q;
    query_begin(&q, db, SQL_CERT_FOR_INDEX);
    query_int(&q, (int64_t)s->index.covered);
    query_int(&q, (int64_t)to);
    query_int(&q, CATCH_UP_ROWS);
    bool full = false;
    while (!full && query_row(&q)) {
        if (*n + CERT_KEYS_MAX > cap) {
            cap = cap ? cap * 2 : 8192;
            struct index_entry *p = realloc(*entries, cap * sizeof *p);
            if (!p) {
                TM_IGNORE(query_end(&q, diag));
                return TM_ENOMEM;
            }
            *entries = p;
        }
        size_t k;
        *last = row_hashes(&q, &s->hash_key, *entries + *n, &k);
        *n += k;
        full = ++rows == CATCH_UP_ROWS || *n >= CATCH_UP_ENTRIES;
    }
    if (!full)
        *last = to;
    return query_end(&q, diag);
}

static tm_err catch_up(struct sqlite_store *s, uint64_t to, struct diag *diag)
{
    struct reader *r;
    TM_TRY(readers_lease(&r, s, diag));
    struct index_entry *entries = NULL;
    size_t n = 0;
    uint64_t last = to;
    tm_err err = catch_up_rows(s, &r->db, to, &entries, &n, &last, diag);
    readers_return(s, r);
    struct index_entry *room = malloc((n + 1) * sizeof *room);
    if (err == TM_OK)
        err = room ? flush_entries(s, entries, room, n, last, false, diag) : TM_ENOMEM;
    free(room);
    free(entries);
    return err;
}

/* ---- throwing away ---- */

static void rebuild(struct sqlite_store *s)
{
    struct index *ix = &s->index;
    index_merge_abandon(ix);
    pthread_rwlock_wrlock(&ix->files);
    index_files_drop(ix);
    pthread_mutex_lock(&ix->lock);
    ix->covered = 0;
    ix->broken = false;
    /* What the chunks have stays there; the rows before them are read again. */
    ix->tail_from = ix->oldest ? ix->oldest->first_seq - 1 : ix->last_seq;
    pthread_mutex_unlock(&ix->lock);
    pthread_rwlock_unlock(&ix->files);
}

void index_broken(struct index *ix)
{
    pthread_mutex_lock(&ix->lock);
    ix->broken = true;
    pthread_cond_signal(&ix->wake);
    pthread_mutex_unlock(&ix->lock);
}

/* The oldest row that there is; UINT64_MAX without rows. */
static tm_err first_row(uint64_t *ret, struct db *db, struct diag *diag)
{
    struct query q;
    query_begin(&q, db, SQL_CERT_SEQ_MIN);
    *ret = query_row(&q) && sqlite3_column_type(q.st, 0) != SQLITE_NULL ? (uint64_t)column_int(&q, 0)
                                                                        : UINT64_MAX;
    return query_end(&q, diag);
}

/* Segments all of whose rows retention has dropped. The newest one stays: it says how far the index reaches. */
static tm_err trim(struct sqlite_store *s, struct diag *diag)
{
    struct index *ix = &s->index;
    struct reader *r;
    TM_TRY(readers_lease(&r, s, diag));
    uint64_t first;
    tm_err err = first_row(&first, &r->db, diag);
    readers_return(s, r);
    while (err == TM_OK && ix->n_segments > 1 && ix->segments[0]->h.last_seq < first) {
        struct segment *old = ix->segments[0];
        index_merge_abandon(ix);
        pthread_rwlock_wrlock(&ix->files);
        ix->n_segments--;
        memmove(&ix->segments[0], &ix->segments[1], ix->n_segments * sizeof ix->segments[0]);
        pthread_rwlock_unlock(&ix->files);
        index_file_remove(ix, old->h.first_seq, old->h.last_seq);
        segment_forget(old, &ix->memory);
        segment_free(old);
    }
    return err;
}

void index_trim(struct sqlite_store *s)
{
    pthread_mutex_lock(&s->index.lock);
    s->index.trim = true;
    pthread_cond_signal(&s->index.wake);
    pthread_mutex_unlock(&s->index.lock);
}

/* ---- the thread ---- */

enum index_work { WORK_NONE, WORK_REBUILD, WORK_CATCH_UP, WORK_FLUSH, WORK_TRIM, WORK_MERGE };

/* What is most urgent. Lock held. */
static enum index_work next_work(const struct index *ix, bool merging)
{
    if (ix->broken)
        return WORK_REBUILD;
    if (ix->covered < ix->tail_from)
        return WORK_CATCH_UP;
    if (ix->oldest && ix->oldest->frozen)
        return WORK_FLUSH;
    if (ix->trim)
        return WORK_TRIM;
    return merging ? WORK_MERGE : WORK_NONE;
}

static tm_err do_work(struct sqlite_store *s, enum index_work work, uint64_t to, bool *merging,
                      struct diag *diag)
{
    struct index *ix = &s->index;
    /* Merge on the way, so that there are never more segments than a few of a size. */
    bool crowded = *merging && ix->n_segments > INDEX_SEGMENTS_MAX / 2;
    switch (work) {
    case WORK_REBUILD:
        rebuild(s);
        return TM_OK;
    case WORK_CATCH_UP:
        if (crowded)
            return index_merge_slice(ix, merging, diag);
        *merging = true;
        return catch_up(s, to, diag);
    case WORK_FLUSH:
        if (crowded)
            return index_merge_slice(ix, merging, diag);
        *merging = true;
        return flush_oldest(s, diag);
    case WORK_TRIM:
        return trim(s, diag);
    default:
        return index_merge_slice(ix, merging, diag);
    }
}

static void wait_to_retry(struct index *ix)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RETRY_S;
    pthread_mutex_lock(&ix->lock);
    while (!ix->stopping && pthread_cond_timedwait(&ix->wake, &ix->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&ix->lock);
}

static void *index_thread(void *arg)
{
    struct sqlite_store *s = arg;
    struct index *ix = &s->index;
    bool merging = true, nice = false;
    for (;;) {
        pthread_mutex_lock(&ix->lock);
        enum index_work work;
        while (!ix->stopping && (work = next_work(ix, merging)) == WORK_NONE)
            pthread_cond_wait(&ix->wake, &ix->lock);
        bool stop = ix->stopping;
        uint64_t to = ix->tail_from;
        if (!stop && work == WORK_TRIM)
            ix->trim = false;
        pthread_mutex_unlock(&ix->lock);
        if (stop)
            return NULL;
        /* Not while look-ups, and with them whoever makes certificates, wait for this thread. On Linux it is the thread's alone. */
        if (!nice && work != WORK_REBUILD && work != WORK_CATCH_UP)
            nice = setpriority(PRIO_PROCESS, 0, NICE) == 0;
        struct diag diag = {0};
        tm_err err = do_work(s, work, to, &merging, &diag);
        /* A damaged touchmark.db, from which rows are read to catch up or to trim, is no reason to throw the index away. */
        if (err == TM_ECORRUPT && work == WORK_MERGE)
            index_broken(ix);
        else if (err != TM_OK)
            wait_to_retry(ix);
    }
}

/* ---- open and close ---- */

tm_err index_open(struct sqlite_store *s, uint64_t last_seq, struct diag *diag)
{
    struct index *ix = &s->index;
    uint64_t first;
    ix->last_seq = ix->tail_from = last_seq;
    for (int kind = 0; kind < SEGMENT_KINDS; kind++)
        ix->memory.most[kind] = kind == CERT_KEY_SPKI ? MEMORY_SPKI : MEMORY;
    TM_TRY(first_row(&first, &s->w.db, diag));
    TM_TRY(index_files_open(s, diag));
    TM_TRY(index_files_load(s, first, last_seq, diag));
    if (last_seq - ix->covered <= PRELOAD_ROWS) {
        TM_TRY(tail_preload(s, &s->w.db, last_seq, diag));
        ix->tail_from = ix->covered;
    }
    if (s->config.read_only)
        return TM_OK;
    ix->started = store_thread(&ix->thread, "index", index_thread, s);
    return ix->started ? TM_OK
                       : diag_fail(diag, TM_EUNAVAIL, "store.index", index_dir, "no thread for the index");
}

void index_close(struct sqlite_store *s)
{
    struct index *ix = &s->index;
    if (ix->started) {
        pthread_mutex_lock(&ix->lock);
        ix->stopping = true;
        pthread_cond_signal(&ix->wake);
        pthread_mutex_unlock(&ix->lock);
        pthread_join(ix->thread, NULL);
        ix->started = false;
    }
    index_merge_abandon(ix);
    tail_drop_all(ix);
    for (size_t i = 0; i < ix->n_segments; i++)
        segment_free(ix->segments[i]);
    ix->n_segments = 0;
    if (ix->dir >= 0)
        close(ix->dir);
    ix->dir = -1;
}
