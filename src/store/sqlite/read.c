#include "base/arena.h"
#include "base/task.h"
#include "store/sqlite/internal.h"
#include <stdlib.h>
#include <string.h>

enum { READERS_IDLE_MAX = 4, READER_CACHE_KIB = 1024, LIMIT_DEFAULT = 100, LIMIT_MAX = 10000 };

/* ---- connections ---- */

tm_err readers_lease(struct reader **ret, struct sqlite_store *s, struct diag *diag)
{
    struct readers *rs = &s->readers;
    pthread_mutex_lock(&rs->lock);
    struct reader *r = rs->free;
    if (r) {
        rs->free = r->next;
        rs->idle--;
    }
    pthread_mutex_unlock(&rs->lock);
    if (!r) {
        r = calloc(1, sizeof *r);
        if (!r)
            return TM_ENOMEM;
        struct db_options o = {.mode = DB_READ, .cache_kib = READER_CACHE_KIB};
        tm_err err = db_open(&r->db, s->dir, store_file, &o, diag);
        if (err != TM_OK) {
            free(r);
            return err;
        }
    }
    r->db.failed = false;
    *ret = r;
    return TM_OK;
}

void readers_return(struct sqlite_store *s, struct reader *r)
{
    struct readers *rs = &s->readers;
    pthread_mutex_lock(&rs->lock);
    /* One that met a broken file begins anew. */
    bool keep = rs->idle < READERS_IDLE_MAX && !r->db.failed;
    if (keep) {
        r->next = rs->free;
        rs->free = r;
        rs->idle++;
    }
    pthread_mutex_unlock(&rs->lock);
    if (keep)
        return;
    db_close(&r->db);
    free(r);
}

void readers_release_memory(struct sqlite_store *s)
{
    struct readers *rs = &s->readers;
    pthread_mutex_lock(&rs->lock);
    struct reader *list = rs->free;
    rs->free = NULL;
    rs->idle = 0;
    pthread_mutex_unlock(&rs->lock);
    for (struct reader *r = list, *next; r; r = next) {
        next = r->next;
        sqlite3_db_release_memory(r->db.h);
        readers_return(s, r);
    }
}

void readers_done(struct sqlite_store *s)
{
    for (struct reader *r = s->readers.free, *next; r; r = next) {
        next = r->next;
        db_close(&r->db);
        free(r);
    }
    s->readers.free = NULL;
}

/* ---- dispatch ---- */

static tm_err (*const read_table[])(struct sqlite_store *, struct reader *, struct store_read *) = {
    [READ_CERT] = read_cert,
    [READ_CERTS_BY_KEY] = read_certs_by_key,
    [READ_CERTS] = read_certs,
    [READ_CERTS_WHERE] = read_certs_where,
    [READ_CERTS_COUNTED] = read_certs_counted,
    [READ_CERTS_ARRIVED] = read_certs_arrived,
    [READ_REVOKED] = read_revoked,
    [READ_RESOURCE] = read_resource,
    [READ_RESOURCES] = read_resources,
    [READ_RESOURCE_HISTORY] = read_resource_history,
    [READ_DEVICE] = read_device,
    [READ_DEVICES] = read_devices,
    [READ_TOKEN] = read_token,
    [READ_TOKENS] = read_tokens,
    [READ_EVENTS] = read_events,
    [READ_LEAVES] = read_leaves,
    [READ_LOG_SIZE] = read_log_size,
    [READ_IDEMPOTENCY] = read_idempotency,
    [READ_CONTINUATION] = read_continuation,
    [READ_CONTINUATIONS] = read_continuations,
    [READ_CRL] = read_crl,
    [READ_CHECKPOINT] = read_checkpoint,
    [READ_CHECKPOINTS] = read_checkpoints,
    [READ_TILE] = read_tile,
    [READ_META] = read_meta,
    [READ_COUNTS] = read_counts,
    [READ_QUOTA] = read_quota,
    [READ_OBJECT] = read_object,
    [READ_OBJECTS] = read_objects,
    [READ_OBJECTS_OWNED] = read_objects_owned,
    [READ_OBJECTS_DUE] = read_objects_due,
    [READ_OBJECTS_OLD] = read_objects_old,
};

/* ---- rows that need no connection ---- */

static bool read_cached(struct sqlite_store *s, struct store_read *r)
{
    if (s->config.read_only || !r->name)
        return false;
    if (r->kind == READ_OBJECT) {
        r->objects = row_cache_object(&s->rows, r->arena, r->tenant, r->object_kind, r->name);
        r->n = r->objects != NULL;
    } else if (r->kind == READ_TOKEN) {
        r->tokens = row_cache_token(&s->rows, r->arena, r->tenant, r->name);
        r->n = r->tokens != NULL;
    }
    return r->n == 1;
}

static void remember(struct sqlite_store *s, const struct store_read *r, uint64_t mark)
{
    if (s->config.read_only || r->err != TM_OK || !r->name)
        return;
    if (r->kind == READ_OBJECT)
        row_cache_enter_object(&s->rows, mark, r->tenant, &r->objects[0]);
    else if (r->kind == READ_TOKEN)
        row_cache_enter_token(&s->rows, mark, r->tenant, &r->tokens[0]);
}

tm_err sqlite_read_now(struct store *base, struct store_read *r)
{
    struct sqlite_store *s = sqlite_store_of(base);
    r->n = 0;
    r->more = false;
    r->count = 0;
    diag_clear(&r->diag);
    size_t kind = (size_t)r->kind;
    if (kind >= sizeof read_table / sizeof read_table[0] || r->tenant >= STORE_TENANT_MAX)
        return r->err = diag_fail(&r->diag, TM_EINVAL, "store", "read", "unknown kind of read or tenant");
    /* The committer gives caches back when nobody has read for a while. */
    if (atomic_fetch_add_explicit(&s->readers.reads, 1, memory_order_relaxed) == 0)
        sem_post(&s->committer.wake);
    if (read_cached(s, r))
        return r->err = TM_OK;
    struct reader *c;
    uint64_t mark = row_cache_mark(&s->rows);
    r->err = readers_lease(&c, s, &r->diag);
    if (r->err != TM_OK)
        return r->err;
    r->err = read_table[kind](s, c, r);
    readers_return(s, c);
    remember(s, r, mark);
    return r->err;
}

/* A read on a pool thread. `done` is the task that is posted at the end; until then it is the pool's. */
static void read_run(struct task *t)
{
    struct store_read *r = TM_CONTAINER(t, struct store_read, done);
    r->done.run = r->user_run;
    TM_IGNORE(sqlite_read_now(r->store, r));
    executor_post(r->reply_to, &r->done);
}

void sqlite_read(struct store *base, struct store_read *r)
{
    r->store = base;
    r->user_run = r->done.run;
    r->done.run = read_run;
    executor_post(pool_executor(sqlite_store_of(base)->read_pool), &r->done);
}

/* ---- shared by the kinds ---- */

size_t read_limit(const struct store_read *r)
{
    return r->limit == 0 ? LIMIT_DEFAULT : r->limit > LIMIT_MAX ? LIMIT_MAX : r->limit;
}

tm_err array_grow(void *array, size_t n, size_t *cap, size_t size, struct arena *a)
{
    if (n < *cap)
        return TM_OK;
    size_t wanted = *cap ? *cap * 2 : 8;
    void *p = arena_calloc(a, wanted, size);
    if (!p)
        return arena_err(a);
    if (n)
        memcpy(p, *(void **)array, n * size);
    *(void **)array = p;
    *cap = wanted;
    return TM_OK;
}
