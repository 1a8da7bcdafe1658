#include "store/sqlite/driver.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/task.h"
#include "store/sqlite/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const char store_file[] = "touchmark.db";
const char index_dir[] = "index";

enum { WRITER_CACHE_KIB = 8192, READ_THREADS = 2 };

static pthread_once_t sqlite_once = PTHREAD_ONCE_INIT;

/* Every connection has one thread at a time, and nobody asks SQLite for its memory statistics: both cost a lock an allocation. */
static void sqlite_prepare(void)
{
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

bool store_thread(pthread_t *ret, const char *name, void *(*run)(void *arg), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(ret, NULL, run, arg) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_setname_np(*ret, name);
    return started;
}

/* One process writes: the others are told who it is by `touchmark status`, or wait. */
static tm_err take_lock(struct sqlite_store *s, struct diag *diag)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/lock", s->dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return diag_fail(diag, TM_EUNAVAIL, "store", "lock", "%s: %s", path, strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return TM_OK;
    return diag_fail(diag, TM_EBUSY, "store", "lock",
                     "another process has the store in %s open: stop it, or use its admin socket", s->dir);
}

static tm_err check_file(struct sqlite_store *s, struct diag *diag)
{
    char path[4096];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", s->dir, store_file);
    if (n < 0 || (size_t)n >= sizeof path - 16)
        return diag_fail(diag, TM_EINVAL, "store", "path", "the path of the store is too long");
    if (s->config.create && !s->config.read_only) {
        if (mkdir(s->dir, 0700) != 0 && errno != EEXIST)
            return diag_fail(diag, TM_EUNAVAIL, "store", "path", "%s: %s", s->dir, strerror(errno));
        return TM_OK;
    }
    if (stat(path, &st) == 0)
        return TM_OK;
    if (errno == ENOENT)
        return diag_fail(diag, TM_ENOTFOUND, "store", "path", "%s does not exist: run touchmark init first",
                         path);
    return diag_fail(diag, TM_EUNAVAIL, "store", "path", "%s: %s", path, strerror(errno));
}

/* 16 octets of a name, made up at the first opening. */
static tm_err meta_random(struct sqlite_store *s, const char *name, uint8_t out[16], struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_META_GET);
    query_int(&q, TENANT_HOUSE);
    query_text(&q, name);
    bool found = query_row(&q);
    if (found)
        column_octets(&q, 0, out, 16);
    TM_TRY(query_end(&q, diag));
    if (found || s->config.read_only)
        return TM_OK;
    TM_TRY(random_bytes(out, 16));
    query_begin(&q, &s->w.db, SQL_META_PUT);
    query_int(&q, TENANT_HOUSE);
    query_text(&q, name);
    query_blob(&q, slice_of(out, 16));
    query_row(&q);
    return query_end(&q, diag);
}

static tm_err open_writer(struct sqlite_store *s, struct diag *diag)
{
    struct db_options o = {.mode = s->config.read_only ? DB_READ
                                   : s->config.create  ? DB_CREATE
                                                       : DB_WRITE,
                           .cache_kib = WRITER_CACHE_KIB,
                           .page_size = STORE_PAGE_SIZE,
                           .async = s->config.unsafe_async,
                           .no_autocheckpoint = true};
    TM_TRY(db_open(&s->w.db, s->dir, store_file, &o, diag));
    TM_TRY(migrate(&s->w.db, s->config.read_only, diag));
    uint8_t key[16];
    TM_TRY(meta_random(s, "store.identity", s->identity, diag));
    TM_TRY(meta_random(s, "store.hash_key", key, diag));
    memcpy(&s->hash_key, key, sizeof s->hash_key);
    TM_TRY(ids_load(&s->ids, &s->w.db, diag));
    return writer_load(s, diag);
}

static tm_err open_parts(struct sqlite_store *s, struct diag *diag)
{
    TM_TRY(check_file(s, diag));
    if (!s->config.read_only)
        TM_TRY(take_lock(s, diag));
    TM_TRY(open_writer(s, diag));
    TM_TRY(index_open(s, s->w.next_seq - 1, diag));
    TM_TRY(columns_open(s, s->w.next_seq - 1, diag));
    TM_TRY(pool_new(&s->read_pool, "read", s->config.read_threads ? s->config.read_threads : READ_THREADS));
    if (s->config.read_only)
        return TM_OK;
    TM_TRY(wal_start(s, diag));
    return committer_start(s);
}

static void sqlite_close(struct store *base)
{
    struct sqlite_store *s = sqlite_store_of(base);
    committer_stop(s);
    pool_free(s->read_pool);
    if (s->w.db.h && !s->config.read_only)
        TM_IGNORE(writer_settle(s, NULL));
    columns_close(s);
    index_close(s);
    wal_stop(s);
    readers_done(s);
    writer_done(&s->w);
    ids_done(&s->ids);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    pthread_mutex_destroy(&s->committer.job_lock);
    pthread_cond_destroy(&s->committer.job_done);
    sem_destroy(&s->committer.wake);
    pthread_mutex_destroy(&s->wal.lock);
    pthread_cond_destroy(&s->wal.wake);
    pthread_mutex_destroy(&s->readers.lock);
    row_cache_done(&s->rows);
    pthread_mutex_destroy(&s->index.lock);
    pthread_cond_destroy(&s->index.wake);
    pthread_rwlock_destroy(&s->index.files);
    columns_done(&s->columns);
    free(s->dir);
    free(s);
}

static tm_err sqlite_open(struct store **ret, const struct store_config *c, struct diag *diag)
{
    pthread_once(&sqlite_once, sqlite_prepare);
    struct sqlite_store *s = calloc(1, sizeof *s);
    char *dir = strdup(c->path);
    if (!s || !dir) {
        free(s);
        free(dir);
        return TM_ENOMEM;
    }
    s->base.driver = &store_sqlite;
    s->dir = dir;
    s->config = *c;
    s->config.path = dir;
    s->config.driver = store_sqlite.name;
    s->lock_fd = -1;
    pthread_mutex_init(&s->committer.job_lock, NULL);
    pthread_cond_init(&s->committer.job_done, NULL);
    sem_init(&s->committer.wake, 0, 0);
    ids_init(&s->ids);
    pthread_mutex_init(&s->wal.lock, NULL);
    pthread_cond_init(&s->wal.wake, NULL);
    pthread_mutex_init(&s->readers.lock, NULL);
    row_cache_init(&s->rows);
    pthread_mutex_init(&s->index.lock, NULL);
    pthread_cond_init(&s->index.wake, NULL);
    /* Look-ups overlap all the time: who changes the list of segments does not wait for the end of them all. */
    pthread_rwlockattr_t fair;
    pthread_rwlockattr_init(&fair);
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->index.files, &fair);
    pthread_rwlockattr_destroy(&fair);
    s->index.dir = -1;
    columns_init(&s->columns);
    tm_err err = open_parts(s, diag);
    if (err != TM_OK) {
        sqlite_close(&s->base);
        return err;
    }
    *ret = &s->base;
    return TM_OK;
}

static void sqlite_stats(struct store *base, struct store_stats *ret)
{
    struct sqlite_store *s = sqlite_store_of(base);
    struct committer *c = &s->committer;
    *ret = (struct store_stats){
        .commits = atomic_load(&c->commits),
        .txns = atomic_load(&c->txns),
        .failed = atomic_load(&c->failed),
        .commit_us_max = atomic_load(&c->us_max),
        .commit_us_total = atomic_load(&c->us_total),
        .queue = atomic_load(&c->waiting),
    };
    pthread_mutex_lock(&s->index.lock);
    const struct index *ix = &s->index;
    ret->index_tail = ix->last_seq - ix->covered;
    ret->index_percent = ix->broken                     ? 0
                         : ix->covered >= ix->tail_from ? 100
                                                        : (unsigned)(ix->covered * 100 / ix->tail_from);
    pthread_mutex_unlock(&s->index.lock);
    pthread_rwlock_rdlock(&s->index.files);
    ret->columns_percent = columns_percent(&s->columns);
    ret->index_segments = s->index.n_segments;
    pthread_rwlock_unlock(&s->index.files);
}

static tm_err quick_check(struct db *db, struct diag *diag)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db->h, "PRAGMA quick_check(1)", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    tm_err err = TM_OK;
    if (rc != SQLITE_ROW) {
        err = db_fail(db, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, diag);
    } else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0) {
        err = db_fail(db, SQLITE_CORRUPT, diag);
    }
    sqlite3_finalize(st);
    return err;
}

static tm_err sqlite_check(struct store *base, struct diag *diag)
{
    struct sqlite_store *s = sqlite_store_of(base);
    struct db db;
    struct db_options o = {.mode = DB_READ, .cache_kib = 4096};
    TM_TRY(db_open(&db, s->dir, store_file, &o, diag));
    tm_err err = quick_check(&db, diag);
    db_close(&db);
    TM_TRY(err);
    err = columns_check(s, diag);
    if (err == TM_ECORRUPT)
        return err;
    err = index_check(&s->index);
    if (err == TM_ECORRUPT && !s->config.read_only) {
        index_broken(&s->index);
        return diag_fail(diag, TM_ECORRUPT, "store.index", index_dir,
                         "%s was damaged; nothing is lost, it is being rebuilt from %s", index_dir,
                         store_file);
    }
    return err;
}

const struct store_driver store_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .submit = committer_submit,
    .read = sqlite_read,
    .read_now = sqlite_read_now,
    .backup = sqlite_backup,
    .expire = sqlite_expire,
    .stats = sqlite_stats,
    .check = sqlite_check,
};
