/* The committer: takes whatever has been submitted and commits it as one durable group. */
#include "base/clock.h"
#include "base/task.h"
#include "store/sqlite/internal.h"
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum {
    GROUP_MAX = 4096,
    GROUP_NS = 20000000, /* statement time of one group, so that no commit comes near 50 ms */
    IDLE_S = 5,          /* after which caches are given back */
    FEW_READS = 100,     /* in that time: what jobs ask who find nothing to do */
    PAUSE_NS = 100000,   /* a member of the last group; about what making another certificate takes */
    PAUSE_NS_MAX = 2000000,
    PAUSE_SHARE = 8,        /* a group's own processor time: more than so much of a core it takes seldom */
    PAUSE_FEW = 4,          /* clients in turns: a group of all of them is whole */
    PAUSE_ENOUGH = 64,      /* waiting: a group worth its commit */
    PATIENCE_NS = 10000000, /* of a transaction that nobody's request waits for */
};

/* ---- state that belongs to the open group ---- */

static tm_err grow(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return TM_OK;
    size_t wanted = *cap ? *cap * 2 : 256;
    void *p = realloc(*(void **)array, wanted * size);
    if (!p)
        return TM_ENOMEM;
    *(void **)array = p;
    *cap = wanted;
    return TM_OK;
}

struct writer_mark writer_mark(const struct sqlite_store *s)
{
    const struct writer *w = &s->w;
    return (struct writer_mark){w->next_seq, w->n_entries, w->n_bumps, w->n_states, w->n_events, s->ids.n};
}

void writer_undo(struct sqlite_store *s, struct writer_mark mark)
{
    struct writer *w = &s->w;
    ids_undo(&s->ids, mark.n_ids);
    while (w->n_events > mark.n_events)
        w->next_pos[w->events[--w->n_events]]--;
    w->next_seq = mark.next_seq;
    w->n_entries = mark.n_entries;
    w->n_bumps = mark.n_bumps;
    w->n_states = mark.n_states;
}

tm_err writer_nomem(struct writer *w)
{
    w->db.failed = true;
    return TM_ENOMEM;
}

tm_err writer_bump(struct writer *w, tenant_id tenant, int bucket, int64_t n, int64_t keep_min)
{
    if (grow(&w->bumps, w->n_bumps, &w->cap_bumps, sizeof *w->bumps) != TM_OK)
        return writer_nomem(w);
    w->bumps[w->n_bumps++] = (struct bump){tenant, bucket, n, keep_min};
    return TM_OK;
}

tm_err writer_state(struct writer *w, uint64_t seq, uint8_t status)
{
    if (grow(&w->states, w->n_states, &w->cap_states, sizeof *w->states) != TM_OK)
        return writer_nomem(w);
    w->states[w->n_states++] = (struct status_change){.seq = seq, .status = status};
    return TM_OK;
}

tm_err writer_position(struct writer *w, tenant_id tenant, uint64_t *ret)
{
    if (tenant >= w->n_tenants) {
        size_t n = w->n_tenants ? w->n_tenants : 16;
        while (n <= tenant)
            n *= 2;
        uint64_t *p = realloc(w->next_pos, n * sizeof *p);
        if (!p)
            return writer_nomem(w);
        memset(p + w->n_tenants, 0, (n - w->n_tenants) * sizeof *p);
        w->next_pos = p;
        w->n_tenants = n;
    }
    if (grow(&w->events, w->n_events, &w->cap_events, sizeof *w->events) != TM_OK)
        return writer_nomem(w);
    w->events[w->n_events++] = tenant;
    *ret = w->next_pos[tenant]++;
    return TM_OK;
}

tm_err writer_entries(struct writer *w, uint64_t seq, const uint64_t *hashes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (grow(&w->entries, w->n_entries, &w->cap_entries, sizeof *w->entries) != TM_OK)
            return writer_nomem(w);
        w->entries[w->n_entries++] = (struct index_entry){.hash = hashes[i], .seq = seq};
    }
    return TM_OK;
}

/* ---- begin, commit, roll back ---- */

tm_err writer_begin(struct sqlite_store *s, struct diag *diag)
{
    s->w.db.failed = false;
    return query_run(&s->w.db, SQL_BEGIN, diag);
}

void writer_rollback(struct sqlite_store *s)
{
    ids_rolled_back(&s->ids);
    writer_undo(s, (struct writer_mark){.next_seq = index_last_seq(&s->index) + 1, .n_ids = s->ids.n});
    if (!sqlite3_get_autocommit(s->w.db.h))
        TM_IGNORE(query_run(&s->w.db, SQL_ROLLBACK, NULL));
}

static tm_err write_counters(struct sqlite_store *s, struct diag *diag)
{
    struct writer *w = &s->w;
    for (size_t i = 0; i < w->n_bumps; i++) {
        struct bump *b = &w->bumps[i];
        if (b->bucket < 0)
            continue;
        /* Fold the later ones of the same counter into this one; there are few different ones in a group. */
        for (size_t k = i + 1; k < w->n_bumps; k++) {
            struct bump *o = &w->bumps[k];
            if (o->tenant != b->tenant || o->bucket != b->bucket)
                continue;
            b->n += o->n;
            b->keep_min = o->keep_min < b->keep_min ? o->keep_min : b->keep_min;
            o->bucket = -1;
        }
        if (w->watch.on && w->watch.tenant == b->tenant && w->watch.bucket == b->bucket &&
            b->keep_min < w->watch.keep_min)
            w->watch.keep_min = b->keep_min;
        struct query q;
        query_begin(&q, &w->db, SQL_COUNTER_ADD);
        query_int(&q, b->tenant);
        query_int(&q, b->bucket);
        query_int(&q, b->n);
        query_int(&q, b->keep_min);
        query_row(&q);
        TM_TRY(query_end(&q, diag));
    }
    return TM_OK;
}

tm_err writer_commit(struct sqlite_store *s, struct diag *diag)
{
    struct writer *w = &s->w;
    tm_err err = write_counters(s, diag);
    if (err == TM_OK && s->ids.written == 0)
        err = ids_write(&s->ids, &w->db, false, diag);
    if (err == TM_OK)
        err = query_run(&w->db, SQL_COMMIT, diag);
    if (err != TM_OK) {
        writer_rollback(s);
        return err;
    }
    ids_committed(&s->ids);
    index_append(s, w->entries, w->n_entries, w->next_seq - 1);
    columns_committed(s, w->states, w->n_states, w->next_seq - 1);
    w->n_entries = w->n_bumps = w->n_states = w->n_events = 0;
    return TM_OK;
}

tm_err writer_settle(struct sqlite_store *s, struct diag *diag)
{
    if (s->ids.n == 0)
        return TM_OK;
    TM_TRY(writer_begin(s, diag));
    tm_err err = ids_write(&s->ids, &s->w.db, true, diag);
    if (err == TM_OK)
        return writer_commit(s, diag);
    writer_rollback(s);
    return err;
}

tm_err writer_seq(struct sqlite_store *s, tenant_id tenant, const uint8_t id[CERT_SERIAL_LEN], uint64_t *ret,
                  bool *ret_found, struct diag *diag)
{
    *ret_found = ids_has(&s->ids, tenant, id, ret);
    if (*ret_found || !ids_may_be_there(&s->ids, id))
        return TM_OK;
    struct query q;
    query_begin(&q, &s->w.db, SQL_CERT_SEQ);
    query_int(&q, tenant);
    query_blob(&q, slice_of(id, CERT_SERIAL_LEN));
    *ret_found = query_row(&q);
    if (*ret_found)
        *ret = (uint64_t)column_int(&q, 0);
    return query_end(&q, diag);
}

/* ---- groups ---- */

struct txn_list {
    struct store_txn *first, **end;
};

static void txn_list_init(struct txn_list *l)
{
    l->first = NULL;
    l->end = &l->first;
}

static void txn_list_add(struct txn_list *l, struct store_txn *t)
{
    t->next = NULL;
    *l->end = t;
    l->end = &t->next;
}

/* Answer every member; `err` says how the group as a whole went. Counted first: who has an answer finds itself in the statistics. */
static void group_answer(struct sqlite_store *s, struct txn_list *group, tm_err err, const struct diag *diag)
{
    uint64_t n = 0, failed = 0;
    for (struct store_txn *t = group->first; t; t = t->next) {
        if (err != TM_OK) {
            t->err = err;
            t->failed = t->n;
            t->diag = *diag;
        }
        n++;
        failed += t->err != TM_OK;
    }
    struct committer *c = &s->committer;
    atomic_fetch_add_explicit(&c->txns, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->failed, failed, memory_order_relaxed);
    atomic_fetch_sub_explicit(&c->waiting, n, memory_order_relaxed);
    task_cork();
    for (struct store_txn *t = group->first, *next; t; t = next) {
        next = t->next;
        t->next = NULL;
        executor_post(t->reply_to, &t->done); /* `t` is its owner's from the flush on */
    }
    task_uncork();
}

/* What this thread has used. */
static uint64_t cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void group_time(struct committer *c, uint64_t start)
{
    uint64_t us = (clock_mono_ns() - start) / 1000;
    atomic_fetch_add_explicit(&c->commits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->us_total, us, memory_order_relaxed);
    if (us > atomic_load_explicit(&c->us_max, memory_order_relaxed))
        atomic_store_explicit(&c->us_max, us, memory_order_relaxed);
}

/* A commit costs what the statements of a dozen certificates cost. Under load it therefore begins no sooner after the last one than
 * others need to make as many certificates again, and not so soon that groups are mostly their commits; a lone request waits for nobody,
 * and a few that come again and again wait for each other alone. */
static void group_pause(struct sqlite_store *s)
{
    struct committer *c = &s->committer;
    if (c->last_size < 2)
        return;
    uint64_t pause = c->last_size * PAUSE_NS, share = c->last_cpu * PAUSE_SHARE;
    pause = pause > share ? pause : share;
    uint64_t until = c->last_start + (pause < PAUSE_NS_MAX ? pause : PAUSE_NS_MAX);
    uint64_t enough = c->last_size < PAUSE_FEW ? c->last_size : PAUSE_ENOUGH;
    struct timespec at = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};
    atomic_store(&c->enough, enough);
    while (atomic_load(&c->waiting) < enough && clock_mono_ns() < until && !atomic_load(&c->stopping))
        sem_clockwait(&c->wake, CLOCK_MONOTONIC, &at);
    atomic_store_explicit(&c->enough, 0, memory_order_relaxed);
}

/* Commit as many of `todo` as fit one group; returns the rest. */
static struct store_txn *group_commit(struct sqlite_store *s, struct store_txn *todo)
{
    struct txn_list group;
    txn_list_init(&group);
    struct diag diag = {0};
    size_t max = s->config.group_max ? s->config.group_max : GROUP_MAX, n = 0, good = 0;
    uint64_t start = clock_mono_ns(), cpu = cpu_now();
    tm_err err = writer_begin(s, &diag);
    while (todo && n < max && (n == 0 || clock_mono_ns() - start < GROUP_NS)) {
        struct store_txn *t = todo;
        todo = t->next;
        txn_list_add(&group, t);
        n++;
        if (err != TM_OK)
            continue; /* the file is in trouble: one failing disk answers for all that wait */
        t->err = effects_run(s, t);
        good += t->err == TM_OK;
        if (s->w.db.failed) {
            err = t->err;
            diag = t->diag;
        }
    }
    if (err == TM_OK && good > 0) {
        err = writer_commit(s, &diag);
        if (err == TM_OK)
            row_cache_committed(&s->rows, group.first);
        else
            row_cache_clear(&s->rows); /* who knows what the file has */
    } else {
        writer_rollback(s);
    }
    s->committer.last_start = start;
    s->committer.last_size = n;
    s->committer.last_cpu = cpu_now() - cpu;
    group_time(&s->committer, start);
    group_answer(s, &group, err, &diag);
    return todo;
}

/* ---- jobs between groups ---- */

static bool job_slice(struct sqlite_store *s)
{
    struct committer *c = &s->committer;
    pthread_mutex_lock(&c->job_lock);
    struct commit_job *job = c->jobs;
    pthread_mutex_unlock(&c->job_lock);
    if (!job)
        return false;
    bool again = false;
    tm_err err = job->run(s, job->arg, &again, &job->diag);
    if (err == TM_OK && again)
        return true;
    pthread_mutex_lock(&c->job_lock);
    c->jobs = job->next;
    job->err = err;
    job->done = true;
    bool more = c->jobs != NULL;
    atomic_store(&c->has_job, more);
    pthread_cond_broadcast(&c->job_done);
    pthread_mutex_unlock(&c->job_lock);
    return more;
}

tm_err committer_job(struct sqlite_store *s, struct commit_job *job, struct diag *diag)
{
    struct committer *c = &s->committer;
    pthread_mutex_lock(&c->job_lock);
    struct commit_job **end = &c->jobs;
    while (*end)
        end = &(*end)->next;
    *end = job;
    atomic_store(&c->has_job, true);
    sem_post(&c->wake);
    while (!job->done)
        pthread_cond_wait(&c->job_done, &c->job_lock);
    pthread_mutex_unlock(&c->job_lock);
    if (job->err != TM_OK && diag)
        *diag = job->diag;
    return job->err;
}

/* ---- the thread ---- */

static void committer_wait(struct sqlite_store *s)
{
    struct committer *c = &s->committer;
    do {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += IDLE_S;
        if (sem_timedwait(&c->wake, &until) == 0)
            return;
    } while (atomic_exchange(&s->readers.reads, 0) > FEW_READS);
    /* What cannot be written now is with the next group. */
    TM_IGNORE(writer_settle(s, NULL));
    ids_release_memory(&s->ids);
    sqlite3_db_release_memory(s->w.db.h);
    readers_release_memory(s);
    row_cache_clear(&s->rows);
    index_release_memory(&s->index);
    malloc_trim(0);
    while (sem_wait(&c->wake) != 0)
        ;
}

static struct store_txn *committer_take(struct committer *c)
{
    struct txn_list list;
    txn_list_init(&list);
    for (struct task *t = task_queue_take(&c->queue), *next; t; t = next) {
        next = t->next;
        txn_list_add(&list, TM_CONTAINER(t, struct store_txn, done));
    }
    return list.first;
}

static bool all_patient(const struct store_txn *list)
{
    while (list && list->patient)
        list = list->next;
    return !list;
}

/* Transactions that nobody waits for, with whoever comes while they may wait: a flush of their own would be in the way of the next request. */
static struct store_txn *committer_gather(struct sqlite_store *s, struct store_txn *list)
{
    struct committer *c = &s->committer;
    uint64_t due = clock_mono_ns() + PATIENCE_NS;
    struct timespec until = {.tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000)};
    struct store_txn **end = &list;
    while (all_patient(*end) && !atomic_load(&c->stopping) && !atomic_load(&c->has_job)) {
        while (*end)
            end = &(*end)->next;
        bool woken = sem_clockwait(&c->wake, CLOCK_MONOTONIC, &until) == 0;
        *end = committer_take(c);
        if (!woken && errno == ETIMEDOUT)
            break;
    }
    return list;
}

/* What has been submitted; the wake-ups of it are used up first, so that one that comes later still wakes. */
static struct store_txn *committer_next(struct sqlite_store *s)
{
    struct committer *c = &s->committer;
    if (atomic_load_explicit(&c->waiting, memory_order_relaxed) > 0)
        group_pause(s);
    while (sem_trywait(&c->wake) == 0)
        ;
    struct store_txn *list = committer_take(c);
    return list ? committer_gather(s, list) : NULL;
}

static void *committer_thread(void *arg)
{
    struct sqlite_store *s = arg;
    struct committer *c = &s->committer;
    struct store_txn *todo = NULL;
    for (;;) {
        /* Read before the queue: what was submitted before the stop is found. */
        bool stopping = atomic_load(&c->stopping);
        if (!todo)
            todo = committer_next(s);
        bool idle = !todo;
        if (todo) {
            wal_finish(s);
            todo = group_commit(s, todo);
        }
        if (atomic_load(&c->has_job))
            job_slice(s);
        else if (idle && stopping)
            return NULL;
        else if (idle && !atomic_load(&c->stopping))
            committer_wait(s);
    }
}

void committer_submit(struct store *base, struct store_txn *t)
{
    struct sqlite_store *s = sqlite_store_of(base);
    struct committer *c = &s->committer;
    t->err = TM_OK;
    t->failed = 0;
    diag_clear(&t->diag);
    if (s->config.read_only) {
        t->err = diag_fail(&t->diag, TM_EUNAVAIL, "store", store_file, "the store was opened for reading");
        executor_post(t->reply_to, &t->done);
        return;
    }
    atomic_fetch_add_explicit(&c->waiting, 1, memory_order_relaxed);
    executor_post(&c->intake, &t->done);
}

/* The first of a queue wakes the committer; where it waits for more, so does the one that makes them enough. */
static void intake_wake(struct committer *c, bool first)
{
    uint64_t enough = atomic_load(&c->enough);
    if (first || (enough && atomic_load(&c->waiting) >= enough))
        sem_post(&c->wake);
}

static void intake_one(struct executor *e, struct task *t)
{
    struct committer *c = TM_CONTAINER(e, struct committer, intake);
    intake_wake(c, task_queue_push(&c->queue, t));
}

static void intake_list(struct executor *e, struct task *first)
{
    struct committer *c = TM_CONTAINER(e, struct committer, intake);
    intake_wake(c, task_queue_push_list(&c->queue, first));
}

tm_err committer_start(struct sqlite_store *s)
{
    struct committer *c = &s->committer;
    c->intake = (struct executor){.post = intake_one, .post_list = intake_list};
    c->started = store_thread(&c->thread, "committer", committer_thread, s);
    return c->started ? TM_OK : TM_EUNAVAIL;
}

void committer_stop(struct sqlite_store *s)
{
    struct committer *c = &s->committer;
    if (!c->started)
        return;
    atomic_store(&c->stopping, true);
    sem_post(&c->wake);
    pthread_join(c->thread, NULL);
    c->started = false;
}

/* ---- what the writer knows by heart ---- */

/* The end of every tenant's log, found from the highest key downwards: one seek a tenant. */
static tm_err load_positions(struct sqlite_store *s, struct diag *diag)
{
    struct writer *w = &s->w;
    for (int64_t below = INT64_MAX;;) {
        struct query q;
        query_begin(&q, &w->db, SQL_EVENT_LAST_BELOW);
        query_int(&q, below);
        bool found = query_row(&q) && sqlite3_column_type(q.st, 0) != SQLITE_NULL;
        int64_t key = found ? column_int(&q, 0) : 0;
        TM_TRY(query_end(&q, diag));
        if (!found)
            break;
        tenant_id tenant = (tenant_id)(key >> STORE_POS_BITS);
        uint64_t unused;
        TM_TRY(writer_position(w, tenant, &unused));
        w->next_pos[tenant] = ((uint64_t)key & (STORE_POS_MAX - 1)) + 1;
        below = event_key(tenant, 0);
    }
    w->n_events = 0;
    return TM_OK;
}

tm_err writer_load(struct sqlite_store *s, struct diag *diag)
{
    struct writer *w = &s->w;
    struct query q;
    query_begin(&q, &w->db, SQL_CERT_SEQ_MAX);
    uint64_t seq = query_row(&q) ? (uint64_t)column_int(&q, 0) : 0;
    TM_TRY(query_end(&q, diag));
    /* Retention may have dropped the newest rows: their numbers are not given again. */
    query_begin(&q, &w->db, SQL_META_GET);
    query_int(&q, TENANT_HOUSE);
    query_text(&q, "store.seq");
    if (query_row(&q)) {
        uint64_t used = strtoull((const char *)sqlite3_column_text(q.st, 0), NULL, 10);
        seq = used > seq ? used : seq;
    }
    TM_TRY(query_end(&q, diag));
    w->next_seq = seq + 1;
    return load_positions(s, diag);
}

void writer_done(struct writer *w)
{
    db_close(&w->db);
    free(w->next_pos);
    free(w->entries);
    free(w->bumps);
    free(w->states);
    free(w->events);
    *w = (struct writer){0};
}
