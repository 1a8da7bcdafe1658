#include "store/sqlite/columns.h"
#include "base/arena.h"
#include "base/clock.h"
#include "store/sqlite/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    CHUNK_ROWS = 2048,     /* read for the columns at once, for which scans wait */
    HELP_ROWS = 400000,    /* so many who asks may read himself */
    HELP_MS = 2000,        /* and for so long */
    RETRY_S = 5,           /* after an error of the files: a full disk, say */
    NICE = 10,             /* the thread gives way to whoever makes certificates */
    WAITING_MAX = 1 << 20, /* changes of states while their file is being made */
    SPAN_MAX = INT32_MAX,
};

/* The order of SQL_CERT_FOR_COLUMNS. */
enum {
    C_SEQ,
    C_TENANT,
    C_SOURCE,
    C_AUTHORITY,
    C_PROFILE,
    C_DEVICE,
    C_ISSUED_AT,
    C_NOT_BEFORE,
    C_NOT_AFTER,
    C_KEEP,
    C_KEY,
    C_SIG,
    C_FLAGS,
    C_DER
};

/* ---- the tail ---- */

static void tail_reset(struct tail *t, uint64_t number)
{
    t->number = number;
    t->n = t->rows = 0;
    t->keep_min = TM_TIME_NEVER;
    for (int i = 0; i < COLUMNS; i++)
        t->zone[i] = (struct column_zone){.least = INT64_MAX, .most = INT64_MIN};
}

static void tail_free(struct tail *t)
{
    for (int i = 0; i < COLUMNS; i++) {
        free(t->v[i]);
        t->v[i] = NULL;
    }
    t->cap = 0;
}

static tm_err tail_room(struct tail *t, size_t n)
{
    if (n <= t->cap)
        return TM_OK;
    size_t cap = t->cap ? t->cap : 256;
    while (cap < n)
        cap *= 2;
    for (int i = 0; i < COLUMNS; i++) {
        uint8_t *p = realloc(t->v[i], cap * column_width[i]);
        if (!p)
            return TM_ENOMEM;
        t->v[i] = p;
        memset(p + t->cap * column_width[i], 0, (cap - t->cap) * column_width[i]);
    }
    t->cap = cap;
    return TM_OK;
}

static void tail_set(struct tail *t, size_t at, enum column column, int64_t v)
{
    switch (column_width[column]) {
    case 8:
        ((int64_t *)t->v[column])[at] = v;
        break;
    case 4:
        ((uint32_t *)t->v[column])[at] = (uint32_t)v;
        break;
    case 2:
        ((uint16_t *)t->v[column])[at] = (uint16_t)v;
        break;
    default:
        ((uint8_t *)t->v[column])[at] = (uint8_t)v;
    }
    struct column_zone *z = &t->zone[column];
    z->least = v < z->least ? v : z->least;
    z->most = v > z->most ? v : z->most;
}

/* Empty places up to `n`; what they held before is overwritten. */
static tm_err tail_fill(struct tail *t, size_t n)
{
    TM_TRY(tail_room(t, n));
    for (; t->n < n; t->n++) {
        for (int i = 0; i < COLUMNS; i++)
            memset((uint8_t *)t->v[i] + t->n * column_width[i], 0, column_width[i]);
        ((uint32_t *)t->v[COLUMN_TENANT])[t->n] = TENANT_NONE;
    }
    return TM_OK;
}

/* ---- a row ---- */

struct described {
    struct slice key, sig;
    unsigned flags;
};

/* Rows of before these were written down are told from their DER, where it is there. */
static tm_err describe(struct described *ret, struct query *q, struct arena *scratch)
{
    *ret = (struct described){.key = column_slice(q, C_KEY),
                              .sig = column_slice(q, C_SIG),
                              .flags = (unsigned)column_int(q, C_FLAGS)};
    struct cert cert;
    struct cert_row row;
    struct slice der = column_slice(q, C_DER);
    if (ret->key.n || der.n == 0 || cert_parse(&cert, der, NULL) != TM_OK)
        return TM_OK;
    arena_reset(scratch);
    TM_TRY(cert_row_describe(&row, scratch, &cert));
    *ret =
        (struct described){.key = slice_str(row.key_alg), .sig = slice_str(row.sig_alg), .flags = row.flags};
    return TM_OK;
}

static tm_err tail_put(struct columns *c, struct query *q, uint64_t seq, struct arena *scratch)
{
    struct tail *t = &c->tail;
    struct described d;
    TM_TRY(describe(&d, q, scratch));
    size_t at = (size_t)((seq - 1) % COLUMN_ROWS);
    TM_TRY(tail_fill(t, at));
    TM_TRY(tail_room(t, at + 1));
    int64_t begins = column_int(q, C_NOT_BEFORE), ends = column_int(q, C_NOT_AFTER),
            keep = column_int(q, C_KEEP);
    int64_t added = column_int(q, C_ISSUED_AT) / 1000, span = ends - begins;
    tail_set(t, at, COLUMN_EXPIRES, ends);
    tail_set(t, at, COLUMN_ISSUED, column_int(q, C_SOURCE) == CERT_ISSUED ? added : begins);
    tail_set(t, at, COLUMN_ADDED, added < 0 ? 0 : added > UINT32_MAX ? UINT32_MAX : added);
    tail_set(t, at, COLUMN_LIFETIME, span < 0 ? 0 : span > UINT32_MAX ? UINT32_MAX : span);
    tail_set(t, at, COLUMN_TENANT, column_int(q, C_TENANT));
    tail_set(t, at, COLUMN_AUTHORITY, names_number(&c->names, NAMES_AUTHORITY, column_slice(q, C_AUTHORITY)));
    tail_set(t, at, COLUMN_PROFILE, names_number(&c->names, NAMES_PROFILE, column_slice(q, C_PROFILE)));
    tail_set(t, at, COLUMN_KEY, names_number(&c->names, NAMES_KEY, d.key));
    tail_set(t, at, COLUMN_SIGNATURE, names_number(&c->names, NAMES_SIGNATURE, d.sig));
    tail_set(t, at, COLUMN_SOURCE, column_int(q, C_SOURCE));
    tail_set(t, at, COLUMN_FLAGS, (int64_t)(d.flags & 0x7f) | (column_int(q, C_DEVICE) ? FLAG_DEVICE : 0));
    t->keep_min = keep < t->keep_min ? keep : t->keep_min;
    t->n = at + 1;
    t->rows++;
    return TM_OK;
}

/* ---- catching up; c->lock held ---- */

/* The block that the tail has become. Nobody else changes the tail, and scans only read it. */
static tm_err seal(struct sqlite_store *s, struct diag *diag)
{
    struct columns *c = &s->columns;
    struct block b;
    pthread_rwlock_wrlock(&c->use);
    tm_err err = tail_fill(&c->tail, COLUMN_ROWS);
    if (err == TM_OK)
        err = column_file_prepare(c, c->tail.number, diag);
    pthread_rwlock_unlock(&c->use);
    TM_TRY(err);
    err = names_save(c, s->identity);
    if (err != TM_OK)
        return diag_fail(diag, err, "store.columns", "names", "the names of the columns can't be written: %s",
                         strerror(errno));
    TM_TRY(column_block_write(s, &c->tail, &b, diag));
    pthread_rwlock_wrlock(&c->use);
    err = column_block_add(c, c->tail.number, &b);
    if (err == TM_OK)
        tail_reset(&c->tail, c->tail.number + 1);
    pthread_rwlock_unlock(&c->use);
    return err;
}

/* Rows after `covered`, as far as the tail's block and a portion reach. *ret: up to where they are known now. */
static tm_err chunk_take(struct columns *c, struct db *db, uint64_t to, struct arena *scratch, uint64_t *ret,
                         struct diag *diag)
{
    uint64_t from = atomic_load(&c->covered), end = (c->tail.number + 1) * COLUMN_ROWS;
    to = to < end ? to : end;
    struct query q;
    query_begin(&q, db, SQL_CERT_FOR_COLUMNS);
    query_int(&q, (int64_t)from);
    query_int(&q, (int64_t)to);
    query_int(&q, CHUNK_ROWS);
    size_t n = 0;
    tm_err err = TM_OK;
    uint64_t last = from;
    for (; err == TM_OK && query_row(&q); n++) {
        last = (uint64_t)column_int(&q, C_SEQ);
        err = tail_put(c, &q, last, scratch);
    }
    TM_TRY(query_leave(&q, err, diag));
    *ret = n < CHUNK_ROWS ? to : last;
    return TM_OK;
}

static tm_err catch_up(struct sqlite_store *s, struct db *db, uint64_t to, uint64_t until_ns,
                       struct diag *diag)
{
    struct columns *c = &s->columns;
    struct arena *scratch = arena_new(1 << 20);
    if (!scratch)
        return TM_ENOMEM;
    tm_err err = TM_OK;
    while (err == TM_OK && atomic_load(&c->covered) < to && !atomic_load(&c->stopping) &&
           (!until_ns || clock_mono_ns() < until_ns)) {
        uint64_t reached = 0;
        pthread_rwlock_wrlock(&c->use);
        err = chunk_take(c, db, to, scratch, &reached, diag);
        pthread_rwlock_unlock(&c->use);
        if (err == TM_OK && reached == (c->tail.number + 1) * COLUMN_ROWS)
            err = seal(s, diag);
        if (err == TM_OK)
            atomic_store(&c->covered, reached);
    }
    arena_free(scratch);
    return err;
}

/* ---- who asks ---- */

unsigned columns_percent(const struct columns *c)
{
    uint64_t last = atomic_load(&c->last_seq), covered = atomic_load(&c->covered);
    if (atomic_load(&c->broken))
        return 0;
    return last <= covered + HELP_ROWS ? 100 : (unsigned)(covered * 100 / last);
}

static tm_err being_built(const struct columns *c, struct diag *diag)
{
    uint64_t last = atomic_load(&c->last_seq), covered = atomic_load(&c->covered);
    return diag_fail(diag, TM_EUNAVAIL, "store.columns", "columns",
                     "what certificates are searched by is being built (%d%%); try again soon",
                     atomic_load(&c->broken) || !last ? 0 : (int)(covered * 100 / last));
}

static tm_err wait_for_states(struct columns *c, struct diag *diag)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HELP_MS / 1000;
    pthread_mutex_lock(&c->status_lock);
    int rc = 0;
    while (!c->status_ready && rc == 0)
        rc = pthread_cond_timedwait(&c->status_there, &c->status_lock, &until);
    bool ready = c->status_ready;
    pthread_mutex_unlock(&c->status_lock);
    return ready ? TM_OK : being_built(c, diag);
}

tm_err columns_begin(struct sqlite_store *s, struct db *db, struct diag *diag)
{
    struct columns *c = &s->columns;
    uint64_t to = atomic_load(&c->last_seq);
    if (c->dir < 0)
        return diag_fail(diag, TM_EUNAVAIL, "store.columns", "columns", "the store was opened for reading");
    if (atomic_load(&c->broken))
        return being_built(c, diag);
    TM_TRY(wait_for_states(c, diag));
    if (atomic_load(&c->covered) < to) {
        if (to - atomic_load(&c->covered) > HELP_ROWS)
            return being_built(c, diag);
        pthread_mutex_lock(&c->lock);
        tm_err err = catch_up(s, db, to, clock_mono_ns() + (uint64_t)HELP_MS * 1000000, diag);
        pthread_mutex_unlock(&c->lock);
        TM_TRY(err);
        if (atomic_load(&c->covered) < to)
            return being_built(c, diag);
    }
    pthread_rwlock_rdlock(&c->use);
    return TM_OK;
}

void columns_end(struct sqlite_store *s)
{
    pthread_rwlock_unlock(&s->columns.use);
}

static void wake(struct columns *c)
{
    pthread_mutex_lock(&c->wake_lock);
    c->woken = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->wake_lock);
}

tm_err columns_broken(struct sqlite_store *s, struct diag *diag)
{
    atomic_store(&s->columns.broken, true);
    wake(&s->columns);
    return diag_fail(
        diag, TM_EUNAVAIL, "store.columns", "columns",
        "the directory columns/ of the store is damaged; nothing is lost, it is being built anew");
}

/* ---- states ---- */

static bool state_write(struct columns *c, uint64_t seq, uint8_t status)
{
    return pwrite(c->status_fd, &status, 1, (off_t)(seq - 1)) == 1;
}

/* Lock held: the file is made anew. */
static void states_lost(struct columns *c)
{
    c->status_ready = false;
    c->status_lost = true;
    c->n_waiting = 0;
}

void columns_committed(struct sqlite_store *s, const struct status_change *changes, size_t n,
                       uint64_t last_seq)
{
    struct columns *c = &s->columns;
    if (c->dir < 0)
        return;
    if (n) {
        pthread_mutex_lock(&c->status_lock);
        bool good = true;
        if (c->status_ready) {
            for (size_t i = 0; i < n && good; i++)
                good = state_write(c, changes[i].seq, changes[i].status);
        } else if (c->n_waiting + n > c->cap_waiting) {
            size_t cap = c->cap_waiting ? c->cap_waiting * 2 : 256;
            while (cap < c->n_waiting + n)
                cap *= 2;
            struct status_change *p = cap <= WAITING_MAX ? realloc(c->waiting, cap * sizeof *p) : NULL;
            good = p != NULL;
            c->waiting = p ? p : c->waiting;
            c->cap_waiting = p ? cap : c->cap_waiting;
        }
        if (good && !c->status_ready) {
            memcpy(c->waiting + c->n_waiting, changes, n * sizeof *changes);
            c->n_waiting += n;
        }
        if (!good)
            states_lost(c);
        pthread_mutex_unlock(&c->status_lock);
        if (!good)
            wake(c);
    }
    atomic_store(&c->last_seq, last_seq);
    if (last_seq - atomic_load(&c->covered) >= COLUMN_ROWS && !atomic_exchange(&c->behind, true))
        wake(c);
}

static tm_err states_of_revoked(struct sqlite_store *s, struct db *db, struct diag *diag)
{
    struct query q;
    bool good = true;
    query_begin(&q, db, SQL_STATUS_ALL);
    while (good && query_row(&q))
        good = state_write(&s->columns, (uint64_t)column_int(&q, 0),
                           (uint8_t)(STATUS_REVOKED + column_int(&q, 1)));
    tm_err err = query_end(&q, diag);
    return err == TM_OK && !good ? TM_EIO : err;
}

/* Rows of a block that retention has dropped: those that are not there any more. */
static tm_err states_of_gone(struct sqlite_store *s, struct db *db, uint64_t number, struct diag *diag)
{
    uint64_t first = number * COLUMN_ROWS + 1, last = first + COLUMN_ROWS - 1, expected = first;
    struct query q;
    bool good = true;
    query_begin(&q, db, SQL_CERT_SEQS);
    query_int(&q, (int64_t)first - 1);
    query_int(&q, (int64_t)last);
    while (good && query_row(&q)) {
        uint64_t seq = (uint64_t)column_int(&q, 0);
        for (; expected < seq && good; expected++)
            good = state_write(&s->columns, expected, STATUS_GONE);
        expected = seq + 1;
    }
    for (; expected <= last && good; expected++)
        good = state_write(&s->columns, expected, STATUS_GONE);
    tm_err err = query_end(&q, diag);
    return err == TM_OK && !good ? TM_EIO : err;
}

static tm_err states_make(struct sqlite_store *s, struct db *db, struct diag *diag)
{
    struct columns *c = &s->columns;
    int64_t now = clock_now();
    if (ftruncate(c->status_fd, 0) != 0)
        return TM_EIO;
    TM_TRY(states_of_revoked(s, db, diag));
    for (size_t i = 0;; i++) {
        pthread_rwlock_rdlock(&c->use);
        bool more = i < c->n_blocks, due = more && c->blocks[i].rows && c->blocks[i].keep_min <= now;
        pthread_rwlock_unlock(&c->use);
        if (!more)
            return TM_OK;
        if (due)
            TM_TRY(states_of_gone(s, db, i, diag));
    }
}

static tm_err states_load(struct sqlite_store *s, struct diag *diag)
{
    struct columns *c = &s->columns;
    struct reader *r;
    pthread_mutex_lock(&c->status_lock);
    c->status_lost = false;
    c->n_waiting = 0;
    pthread_mutex_unlock(&c->status_lock);
    tm_err err = readers_lease(&r, s, diag);
    if (err == TM_OK) {
        err = states_make(s, &r->db, diag);
        readers_return(s, r);
    }
    pthread_mutex_lock(&c->status_lock);
    if (err != TM_OK)
        c->status_lost = true;
    for (size_t i = 0; i < c->n_waiting && !c->status_lost; i++)
        c->status_lost = !state_write(c, c->waiting[i].seq, c->waiting[i].status);
    if (!c->status_lost) {
        c->status_ready = true;
        free(c->waiting);
        c->waiting = NULL;
        c->n_waiting = c->cap_waiting = 0;
        pthread_cond_broadcast(&c->status_there);
    }
    err = err == TM_OK && c->status_lost ? TM_EIO : err;
    pthread_mutex_unlock(&c->status_lock);
    return err;
}

/* ---- the thread ---- */

static tm_err first_row(uint64_t *ret, struct db *db, uint64_t last_seq, struct diag *diag)
{
    struct query q;
    query_begin(&q, db, SQL_CERT_SEQ_MIN);
    *ret = query_row(&q) && sqlite3_column_type(q.st, 0) != SQLITE_NULL ? (uint64_t)column_int(&q, 0)
                                                                        : last_seq + 1;
    return query_end(&q, diag);
}

static tm_err rebuild(struct sqlite_store *s, struct db *db, struct diag *diag)
{
    struct columns *c = &s->columns;
    uint64_t first, last = atomic_load(&c->last_seq);
    TM_TRY(first_row(&first, db, last, diag));
    pthread_mutex_lock(&c->lock);
    pthread_rwlock_wrlock(&c->use);
    column_files_drop(c);
    names_done(&c->names);
    tail_reset(&c->tail, (first - 1) / COLUMN_ROWS);
    uint64_t from = c->tail.number * COLUMN_ROWS;
    atomic_store(&c->covered, from < last ? from : last);
    pthread_rwlock_unlock(&c->use);
    pthread_mutex_unlock(&c->lock);
    atomic_store(&c->broken, false);
    return TM_OK;
}

static tm_err trim(struct sqlite_store *s, struct db *db, struct diag *diag)
{
    struct columns *c = &s->columns;
    uint64_t first;
    TM_TRY(first_row(&first, db, atomic_load(&c->last_seq), diag));
    pthread_mutex_lock(&c->lock);
    pthread_rwlock_wrlock(&c->use);
    column_files_trim(c, first);
    pthread_rwlock_unlock(&c->use);
    pthread_mutex_unlock(&c->lock);
    return TM_OK;
}

/* Whole blocks only, after a loss as in running: the rest is read by whoever asks. */
static tm_err thread_catch_up(struct sqlite_store *s, struct db *db, struct diag *diag)
{
    struct columns *c = &s->columns;
    atomic_store(&c->behind, false);
    for (;;) {
        uint64_t last = atomic_load(&c->last_seq);
        if (last - atomic_load(&c->covered) < COLUMN_ROWS || atomic_load(&c->stopping))
            return TM_OK;
        /* A block at a time: who asks gets his turn at the lock. */
        pthread_mutex_lock(&c->lock);
        uint64_t end = (c->tail.number + 1) * COLUMN_ROWS;
        tm_err err = catch_up(s, db, end < last ? end : last, 0, diag);
        pthread_mutex_unlock(&c->lock);
        TM_TRY(err);
    }
}

static tm_err thread_work(struct sqlite_store *s, struct diag *diag)
{
    struct columns *c = &s->columns;
    pthread_mutex_lock(&c->status_lock);
    bool lost = c->status_lost;
    pthread_mutex_unlock(&c->status_lock);
    if (lost && !atomic_load(&c->broken))
        TM_TRY(states_load(s, diag));
    struct reader *r;
    TM_TRY(readers_lease(&r, s, diag));
    tm_err err = atomic_load(&c->broken) ? rebuild(s, &r->db, diag) : TM_OK;
    if (err == TM_OK && atomic_exchange(&c->trim, false))
        err = trim(s, &r->db, diag);
    if (err == TM_OK)
        err = thread_catch_up(s, &r->db, diag);
    readers_return(s, r);
    return err;
}

static void *columns_thread(void *arg)
{
    struct sqlite_store *s = arg;
    struct columns *c = &s->columns;
    setpriority(PRIO_PROCESS, 0, NICE); /* on Linux the thread's alone */
    bool again = true;
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += RETRY_S;
        pthread_mutex_lock(&c->wake_lock);
        while (!c->woken && !atomic_load(&c->stopping) && !again)
            pthread_cond_wait(&c->wake, &c->wake_lock);
        c->woken = false;
        pthread_mutex_unlock(&c->wake_lock);
        if (atomic_load(&c->stopping))
            return NULL;
        struct diag diag = {0};
        again = false;
        if (thread_work(s, &diag) == TM_OK)
            continue;
        pthread_mutex_lock(&c->wake_lock);
        while (!atomic_load(&c->stopping) &&
               pthread_cond_timedwait(&c->wake, &c->wake_lock, &until) != ETIMEDOUT)
            ;
        pthread_mutex_unlock(&c->wake_lock);
        again = true;
    }
}

void columns_trim(struct sqlite_store *s)
{
    atomic_store(&s->columns.trim, true);
    wake(&s->columns);
}

/* ---- check, open and close ---- */

tm_err columns_check(struct sqlite_store *s, struct diag *diag)
{
    struct columns *c = &s->columns;
    void *room = c->dir < 0 ? NULL : malloc((size_t)COLUMN_ROWS * 8);
    if (!room)
        return c->dir < 0 ? TM_OK : TM_ENOMEM;
    tm_err err = TM_OK;
    bool more = true;
    for (size_t i = 0; more && err == TM_OK; i++) {
        pthread_rwlock_rdlock(&c->use);
        more = i < c->n_blocks;
        if (more && c->blocks[i].there && c->blocks[i].rows) {
            atomic_store(&c->blocks[i].verified, 0);
            for (int k = 0; k < COLUMNS && err == TM_OK; k++)
                err = column_read(c, i, (enum column)k, room);
        }
        pthread_rwlock_unlock(&c->use);
    }
    free(room);
    if (err == TM_OK)
        return TM_OK;
    TM_IGNORE(columns_broken(s, diag));
    return TM_ECORRUPT;
}

void columns_init(struct columns *c)
{
    c->dir = c->names_fd = c->status_fd = -1;
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->status_lock, NULL);
    pthread_mutex_init(&c->wake_lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    pthread_cond_init(&c->status_there, NULL);
    pthread_rwlockattr_t fair;
    pthread_rwlockattr_init(&fair);
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&c->use, &fair);
    pthread_rwlockattr_destroy(&fair);
    tail_reset(&c->tail, 0);
}

void columns_done(struct columns *c)
{
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->status_lock);
    pthread_mutex_destroy(&c->wake_lock);
    pthread_cond_destroy(&c->wake);
    pthread_cond_destroy(&c->status_there);
    pthread_rwlock_destroy(&c->use);
}

tm_err columns_open(struct sqlite_store *s, uint64_t last_seq, struct diag *diag)
{
    struct columns *c = &s->columns;
    if (s->config.read_only)
        return TM_OK;
    uint64_t first;
    atomic_store(&c->last_seq, last_seq);
    TM_TRY(first_row(&first, &s->w.db, last_seq, diag));
    TM_TRY(column_files_open(s, diag));
    TM_TRY(column_files_load(s, first, last_seq, diag));
    tail_reset(&c->tail, c->tail.number);
    c->status_lost = true;
    c->started = store_thread(&c->thread, "columns", columns_thread, s);
    return c->started ? TM_OK
                      : diag_fail(diag, TM_EUNAVAIL, "store.columns", "columns", "no thread for the columns");
}

void columns_close(struct sqlite_store *s)
{
    struct columns *c = &s->columns;
    if (c->started) {
        atomic_store(&c->stopping, true);
        wake(c);
        pthread_join(c->thread, NULL);
        c->started = false;
    }
    column_files_close(c);
    tail_free(&c->tail);
    names_done(&c->names);
    free(c->blocks);
    free(c->waiting);
    c->blocks = NULL;
    c->waiting = NULL;
}
