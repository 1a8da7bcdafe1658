#include "store/sqlite/index.h"
#include "base/clock.h"
#include "store/sqlite/internal.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CHUNKS_MAX = 32,      /* in memory; beyond that they are dropped and read again from the rows */
    PRELOAD_ROWS = 16384, /* read at the opening, so that look-ups work at once */
    CATCH_UP_ROWS = 8192, /* in one slice */
    RETRY_S = 5,          /* after an error of index.db: a full disk, say */
};

static const char index_schema[] =
    "CREATE TABLE IF NOT EXISTS index_meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS segment (id INTEGER PRIMARY KEY, level INTEGER NOT NULL, first_seq INTEGER NOT NULL,"
    " last_seq INTEGER NOT NULL, entries INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS block (id INTEGER PRIMARY KEY, data BLOB NOT NULL)";

/* ---- the file ---- */

static void index_unlink(struct sqlite_store *s)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char path[4096];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(path, sizeof path, "%s/%s%s", s->dir, index_file, suffixes[i]);
        unlink(path);
    }
}

/* Does the file belong to this touchmark.db? Its own contents are made when it is new. */
static tm_err index_identify(struct sqlite_store *s, bool *ret_mine, struct diag *diag)
{
    struct db *db = &s->index.db;
    struct query q;
    query_begin(&q, db, SQL_INDEX_META_GET);
    query_text(&q, "identity");
    bool found = query_row(&q);
    *ret_mine = found && slice_eq(column_slice(&q, 0), SLICE_ARR(s->identity));
    TM_TRY(query_end(&q, diag));
    if (found)
        return TM_OK;
    query_begin(&q, db, SQL_INDEX_META_PUT);
    query_text(&q, "identity");
    query_blob(&q, SLICE_ARR(s->identity));
    *ret_mine = query_done(&q);
    return query_end(&q, diag);
}

/* The list of segments from the file; false when it cannot be that of this touchmark.db. */
static tm_err index_load(struct sqlite_store *s, uint64_t last_seq, bool *ret_good, struct diag *diag)
{
    struct index *ix = &s->index;
    struct index_segment list[INDEX_SEGMENTS_MAX];
    size_t n = INDEX_SEGMENTS_MAX;
    TM_TRY(segment_list(list, &n, &ix->db, diag));
    ix->n_segments = n;
    for (size_t i = 0; i < n; i++) {
        ix->segments[i] = list[n - 1 - i];
        ix->last_id = list[i].id > ix->last_id ? list[i].id : ix->last_id;
    }
    ix->reach = n ? list[0].last_seq : 0;
    /* Ahead of the rows: the database is an older copy than its index. */
    *ret_good = ix->reach <= last_seq;
    return TM_OK;
}

static tm_err index_connect_writer(struct sqlite_store *s, uint64_t last_seq, bool *ret_good,
                                   struct diag *diag)
{
    struct db_options o = {.mode = s->config.read_only ? DB_READ : DB_CREATE,
                           .cache_kib = 512,
                           .page_size = INDEX_PAGE_SIZE,
                           .relaxed = true};
    bool mine = false;
    *ret_good = false;
    TM_TRY(db_open(&s->index.db, s->dir, index_file, &o, diag));
    if (!s->config.read_only)
        TM_TRY(db_exec(&s->index.db, index_schema, diag));
    TM_TRY(index_identify(s, &mine, diag));
    if (mine)
        TM_TRY(index_load(s, last_seq, ret_good, diag));
    return TM_OK;
}

/* Open index.db, or begin a new one where it is missing, damaged or foreign. */
static tm_err index_attach(struct sqlite_store *s, uint64_t last_seq, struct diag *diag)
{
    struct index *ix = &s->index;
    bool good;
    tm_err err = index_connect_writer(s, last_seq, &good, diag);
    if ((err == TM_OK && good) || (err != TM_OK && err != TM_ECORRUPT && err != TM_EINTERNAL))
        return err;
    db_close(&ix->db);
    ix->n_segments = 0;
    ix->reach = 0;
    index_unlink(s);
    return index_connect_writer(s, last_seq, &good, diag);
}

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

static int entry_order(const void *a, const void *b)
{
    const struct index_entry *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Write one level-0 segment; the entries get sorted. */
static tm_err flush_entries(struct sqlite_store *s, struct index_entry *entries, size_t n, uint64_t first_seq,
                            uint64_t last_seq, struct diag *diag)
{
    struct index *ix = &s->index;
    if (ix->n_segments == INDEX_SEGMENTS_MAX)
        return diag_fail(diag, TM_EINTERNAL, "store.index", index_file, "too many segments");
    struct index_segment seg = {.first_seq = first_seq, .last_seq = last_seq, .entries = n};
    struct segment_writer w;
    TM_TRY(segment_free_id(&seg.id, ix, diag));
    if (n)
        qsort(entries, n, sizeof *entries, entry_order);
    segment_writer_init(&w, &ix->db, seg.id, first_seq);
    TM_TRY(query_run(&ix->db, SQL_BEGIN, diag));
    tm_err err = TM_OK;
    for (size_t i = 0; i < n && err == TM_OK; i++)
        err = segment_writer_add(&w, entries[i].hash, entries[i].seq, diag);
    if (err == TM_OK)
        err = segment_writer_end(&w, diag);
    if (err == TM_OK)
        err = segment_register(&ix->db, &seg, diag);
    if (err == TM_OK)
        err = query_run(&ix->db, SQL_COMMIT, diag);
    if (err != TM_OK) {
        if (!sqlite3_get_autocommit(ix->db.h))
            TM_IGNORE(query_run(&ix->db, SQL_ROLLBACK, NULL));
        return err;
    }
    ix->segments[ix->n_segments++] = seg;
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
    uint64_t first = ix->covered + 1, last = c->last_seq;
    size_t n = c->n;
    struct index_entry *copy = malloc((n ? n : 1) * sizeof *copy);
    for (size_t i = 0; copy && i < n; i++)
        copy[i] = (struct index_entry){.hash = c->entries[i].hash, .seq = c->first_seq + c->entries[i].rel};
    pthread_mutex_unlock(&ix->lock);
    if (!copy)
        return TM_ENOMEM;
    tm_err err = flush_entries(s, copy, n, first, last, diag);
    free(copy);
    TM_TRY(err);
    pthread_mutex_lock(&ix->lock);
    ix->covered = last;
    /* Unless the tail has been given up meanwhile. */
    if (ix->oldest && ix->oldest->last_seq == last)
        tail_drop_oldest(ix);
    pthread_mutex_unlock(&ix->lock);
    return TM_OK;
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
    while (query_row(&q)) {
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
        rows++;
    }
    if (rows < CATCH_UP_ROWS)
        *last = to;
    return query_end(&q, diag);
}

static tm_err catch_up(struct sqlite_store *s, uint64_t to, struct diag *diag)
{
    struct index *ix = &s->index;
    struct reader *r;
    TM_TRY(readers_lease(&r, s, diag));
    struct index_entry *entries = NULL;
    size_t n = 0;
    uint64_t last = to;
    tm_err err = catch_up_rows(s, &r->db, to, &entries, &n, &last, diag);
    readers_return(s, r);
    if (err == TM_OK)
        err = flush_entries(s, entries, n, ix->covered + 1, last, diag);
    free(entries);
    TM_TRY(err);
    pthread_mutex_lock(&ix->lock);
    ix->covered = last;
    pthread_mutex_unlock(&ix->lock);
    return TM_OK;
}

/* ---- throwing away ---- */

/* A new, empty index.db; no reader is inside it. */
static tm_err rebuild(struct sqlite_store *s, struct diag *diag)
{
    struct index *ix = &s->index;
    pthread_rwlock_wrlock(&ix->files);
    pthread_mutex_lock(&s->readers.lock);
    for (struct reader *r = s->readers.all; r; r = r->next_all)
        db_close(&r->index);
    pthread_mutex_unlock(&s->readers.lock);
    index_merge_abandon(ix);
    db_close(&ix->db);
    index_unlink(s);
    ix->n_segments = 0;
    ix->garbage = false;
    bool good;
    tm_err err = index_connect_writer(s, 0, &good, diag);
    pthread_mutex_lock(&ix->lock);
    ix->covered = 0;
    if (err == TM_OK)
        ix->broken = false;
    /* What the chunks have stays there; the rows before them are read again. */
    ix->tail_from = ix->oldest ? ix->oldest->first_seq - 1 : ix->last_seq;
    pthread_mutex_unlock(&ix->lock);
    pthread_rwlock_unlock(&ix->files);
    return err;
}

/* Segments all of whose rows retention has dropped. The newest one stays: it says how far the index reaches. */
static tm_err trim(struct sqlite_store *s, struct diag *diag)
{
    struct index *ix = &s->index;
    struct reader *r;
    TM_TRY(readers_lease(&r, s, diag));
    struct query q;
    query_begin(&q, &r->db, SQL_CERT_SEQ_MIN);
    uint64_t first = query_row(&q) && sqlite3_column_type(q.st, 0) != SQLITE_NULL
                         ? (uint64_t)column_int(&q, 0)
                         : UINT64_MAX;
    tm_err err = query_end(&q, diag);
    readers_return(s, r);
    while (err == TM_OK && ix->n_segments > 1 && ix->segments[0].last_seq < first) {
        index_merge_abandon(ix);
        query_begin(&q, &ix->db, SQL_SEGMENT_DROP);
        query_int(&q, ix->segments[0].id);
        query_row(&q);
        err = query_end(&q, diag);
        if (err != TM_OK)
            break;
        ix->n_segments--;
        memmove(&ix->segments[0], &ix->segments[1], ix->n_segments * sizeof ix->segments[0]);
        ix->garbage = true;
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

enum index_work { WORK_NONE, WORK_REBUILD, WORK_CATCH_UP, WORK_FLUSH, WORK_TRIM, WORK_MERGE, WORK_GARBAGE };

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
    if (merging)
        return WORK_MERGE;
    return ix->garbage ? WORK_GARBAGE : WORK_NONE;
}

static tm_err do_work(struct sqlite_store *s, enum index_work work, uint64_t to, bool *merging,
                      struct diag *diag)
{
    struct index *ix = &s->index;
    switch (work) {
    case WORK_REBUILD:
        return rebuild(s, diag);
    case WORK_CATCH_UP:
        /* Merge on the way, so that there are never more segments than a few a level. */
        if (*merging && ix->n_segments > INDEX_SEGMENTS_MAX / 2)
            return index_merge_slice(ix, merging, diag);
        *merging = true;
        return catch_up(s, to, diag);
    case WORK_FLUSH:
        if (*merging && ix->n_segments > INDEX_SEGMENTS_MAX / 2)
            return index_merge_slice(ix, merging, diag);
        *merging = true;
        return flush_oldest(s, diag);
    case WORK_TRIM:
        return trim(s, diag);
    case WORK_MERGE:
        return index_merge_slice(ix, merging, diag);
    default:
        return index_garbage_slice(ix, diag);
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
    bool merging = true;
    for (;;) {
        pthread_mutex_lock(&ix->lock);
        enum index_work work;
        bool idle = false;
        while (!ix->stopping && (work = next_work(ix, merging)) == WORK_NONE) {
            if (!idle && ix->db.h)
                sqlite3_db_release_memory(ix->db.h);
            idle = true;
            pthread_cond_wait(&ix->wake, &ix->lock);
        }
        bool stop = ix->stopping;
        uint64_t to = ix->tail_from;
        if (!stop && work == WORK_TRIM)
            ix->trim = false;
        ix->n_segments_seen = ix->n_segments;
        pthread_mutex_unlock(&ix->lock);
        if (stop)
            return NULL;
        struct diag diag = {0};
        ix->db.failed = false;
        tm_err err = do_work(s, work, to, &merging, &diag);
        /* A damaged touchmark.db is no reason to throw the index away. */
        if (err == TM_ECORRUPT && ix->db.failed) {
            pthread_mutex_lock(&ix->lock);
            ix->broken = true;
            pthread_mutex_unlock(&ix->lock);
        } else if (err != TM_OK) {
            wait_to_retry(ix);
        }
    }
}

/* ---- open and close ---- */

tm_err index_open(struct sqlite_store *s, uint64_t last_seq, struct diag *diag)
{
    struct index *ix = &s->index;
    ix->last_seq = ix->tail_from = last_seq;
    ix->garbage = true;
    if (s->config.read_only) {
        bool good;
        if (index_connect_writer(s, last_seq, &good, NULL) != TM_OK || !good)
            ix->reach = 0;
    } else {
        TM_TRY(index_attach(s, last_seq, diag));
    }
    ix->covered = ix->reach;
    if (last_seq - ix->covered <= PRELOAD_ROWS) {
        TM_TRY(tail_preload(s, &s->w.db, last_seq, diag));
        ix->tail_from = ix->covered;
    }
    if (s->config.read_only)
        return TM_OK;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ix->started = pthread_create(&ix->thread, NULL, index_thread, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!ix->started)
        return diag_fail(diag, TM_EUNAVAIL, "store.index", index_file, "no thread for the index");
    pthread_setname_np(ix->thread, "index");
    return TM_OK;
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
    db_close(&ix->db);
}
