/* store/sqlite/internal.h - the embedded store's parts and who may touch them.
 *
 * Layer 3. touchmark.db is the truth. Its one writing connection belongs to the committer thread; a thread of its own moves the WAL into
 * the file; readers lease connections from a pool. The index of certificates is derived from it: see index.h. */
#pragma once
#include "base/clock.h"
#include "store/sqlite/cert_keys.h"
#include "store/sqlite/columns.h"
#include "store/sqlite/db.h"
#include "store/sqlite/ids.h"
#include "store/sqlite/index.h"
#include "store/sqlite/row_cache.h"
#include "store/store.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum {
    STORE_PAGE_SIZE = 8192,
    STORE_TENANT_MAX = 1 << 20,
    BUCKET_DEVICES = 65536, /* counter.bucket beyond the certificates' months */
    BUCKET_REVOKED = 65537,
};
#define STORE_POS_BITS 40
#define STORE_POS_MAX  ((uint64_t)1 << STORE_POS_BITS)

extern const char store_file[]; /* "touchmark.db" */
extern const char index_dir[];  /* "index" */

/* ---- the writing side: everything here belongs to the committer thread once it runs ---- */

/* A change of a row count, written once a group. */
struct bump {
    tenant_id tenant;
    int bucket;
    int64_t n, keep_min;
};

struct writer {
    struct db db;
    uint64_t next_seq;  /* of `cert` */
    uint64_t *next_pos; /* of each tenant's log, by tenant */
    size_t n_tenants;
    /* What the open group has done so far; undone from the end when it or a member fails. */
    struct index_entry *entries;
    size_t n_entries, cap_entries;
    struct bump *bumps;
    size_t n_bumps, cap_bumps;
    struct status_change *states; /* of rows: revoked, released, gone */
    size_t n_states, cap_states;
    tenant_id *events; /* whose position was taken */
    size_t n_events, cap_events;
    /* From the check of a revocation to its application. */
    bool status_known;
    uint64_t revoke_seq;
    struct { /* the bucket that a retention pass walks: what is added to it meanwhile */
        bool on;
        tenant_id tenant;
        int bucket;
        int64_t keep_min;
    } watch;
};

struct writer_mark {
    uint64_t next_seq;
    size_t n_entries, n_bumps, n_states, n_events, n_ids;
};

struct sqlite_store;

/* Work of the committer between two groups, in slices of a few milliseconds. */
struct commit_job {
    /* One slice; *again unless finished. An error ends the job. */
    tm_err (*run)(struct sqlite_store *s, void *arg, bool *again, struct diag *diag);
    void *arg;
    tm_err err;
    struct diag diag;
    bool done;
    struct commit_job *next;
};

struct committer {
    pthread_t thread;
    bool started;
    sem_t wake;
    struct executor intake; /* takes transactions by their `done` */
    struct task_queue queue;
    _Atomic bool stopping;
    pthread_mutex_t job_lock;
    pthread_cond_t job_done;
    struct commit_job *jobs;
    _Atomic bool has_job;
    uint64_t last_start, last_size, last_cpu; /* of the last group: the thread's */
    _Atomic uint64_t enough; /* while it waits: how many must be waiting for it to go on at once; 0 */
    _Atomic uint64_t commits, txns, failed, us_max, us_total, waiting;
};

/* ---- the WAL ---- */

struct wal {
    pthread_t thread;
    bool started;
    struct db db;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping, wanted;
    uint64_t asked_at;   /* when the thread was woken last; the committer's */
    int longest;         /* frames that the log has had; the thread's */
    _Atomic int moved;   /* frames of the log that are in the file */
    _Atomic bool finish; /* the committer is asked to move the rest, so that the log begins anew */
};

/* ---- the reading side ---- */

struct reader {
    struct db db;
    struct reader *next; /* in the free list */
};

struct readers {
    pthread_mutex_t lock;
    struct reader *free;
    unsigned idle;
    _Atomic unsigned reads; /* since the committer last asked */
};

struct sqlite_store {
    struct store base;
    char *dir;
    struct store_config config;
    int lock_fd;
    struct cert_hash_key hash_key;
    uint8_t identity[16];
    struct writer w;
    struct ids ids;
    struct committer committer;
    struct wal wal;
    struct readers readers;
    struct pool *read_pool;
    struct row_cache rows;
    struct index index;
    struct columns columns;
};

static inline struct sqlite_store *sqlite_store_of(struct store *s)
{
    return (struct sqlite_store *)(void *)s;
}

/* migrate.c: bring the schema up to this binary's. */
tm_err migrate(struct db *db, bool read_only, struct diag *diag);

/* commit.c */
tm_err writer_load(struct sqlite_store *s, struct diag *diag);
void writer_done(struct writer *w);
struct writer_mark writer_mark(const struct sqlite_store *s);
void writer_undo(struct sqlite_store *s, struct writer_mark mark);
tm_err writer_begin(struct sqlite_store *s, struct diag *diag);
/* Counters and COMMIT; the index then knows the new rows. On failure everything is rolled back. */
tm_err writer_commit(struct sqlite_store *s, struct diag *diag);
void writer_rollback(struct sqlite_store *s);
/* Memory that fails in the middle of a group loses the group, as a failing disk does. */
tm_err writer_nomem(struct writer *w);
/* A group that only brings cert_id up to date. */
tm_err writer_settle(struct sqlite_store *s, struct diag *diag);
/* The row of a certificate, as the open transaction sees it. */
tm_err writer_seq(struct sqlite_store *s, tenant_id tenant, const uint8_t id[CERT_SERIAL_LEN], uint64_t *ret,
                  bool *ret_found, struct diag *diag);
/* The next place in a tenant's log. */
tm_err writer_position(struct writer *w, tenant_id tenant, uint64_t *ret);
tm_err writer_entries(struct writer *w, uint64_t seq, const uint64_t *hashes, size_t n);
/* A row is revoked, released or gone: STATUS_*. */
tm_err writer_state(struct writer *w, uint64_t seq, uint8_t status);
tm_err writer_bump(struct writer *w, tenant_id tenant, int bucket, int64_t n, int64_t keep_min);
tm_err committer_start(struct sqlite_store *s);
void committer_stop(struct sqlite_store *s);
void committer_submit(struct store *base, struct store_txn *t);
/* Run a job on the committer and wait for its end. */
tm_err committer_job(struct sqlite_store *s, struct commit_job *job, struct diag *diag);

/* effect.c: all effects of one transaction inside the open group; nothing is left of one that fails (unless w->db.failed). */
tm_err effects_run(struct sqlite_store *s, struct store_txn *t);

/* Conditions are checked before anything is written, so that a refusal needs no rollback. `check` may be NULL. */
struct effect_ops {
    unsigned family; /* bit: effects of one family see each other's writes; 0: they do not */
    tm_err (*check)(struct sqlite_store *s, struct effect *e, struct diag *diag);
    tm_err (*apply)(struct sqlite_store *s, struct effect *e, struct diag *diag);
};
extern const struct effect_ops effect_cert_add, effect_cert_revoke, effect_cert_unrevoke; /* effect_cert.c */
extern const struct effect_ops effect_event, effect_event_erase, effect_checkpoint_put,
    effect_tile_put; /* effect_log.c */
extern const struct effect_ops effect_meta_put, effect_crl_put;
extern const struct effect_ops effect_resource_put, effect_resource_delete,
    effect_device_put; /* effect_resource.c */
extern const struct effect_ops effect_continuation_put;
extern const struct effect_ops effect_token_add, effect_token_use, effect_token_revoke,
    effect_token_seal; /* effect_token.c */
extern const struct effect_ops effect_quota_take, effect_idempotency;
extern const struct effect_ops effect_object_put, effect_object_drop; /* effect_object.c */

enum effect_family {
    FAMILY_CERT = 1 << 0,
    FAMILY_RESOURCE = 1 << 1,
    FAMILY_DEVICE = 1 << 2,
    FAMILY_TOKEN = 1 << 3,
    FAMILY_QUOTA = 1 << 4,
    FAMILY_IDEM = 1 << 5,
    FAMILY_CONTINUATION = 1 << 6,
    FAMILY_CRL = 1 << 7,
    FAMILY_CHECKPOINT = 1 << 8,
    FAMILY_EVENT = 1 << 9,
};

/* driver.c: a thread of the store's; signals belong to others. */
bool store_thread(pthread_t *ret, const char *name, void *(*run)(void *arg), void *arg);

/* wal.c */
tm_err wal_start(struct sqlite_store *s, struct diag *diag);
void wal_stop(struct sqlite_store *s);
/* Called by the committer before a group. */
void wal_finish(struct sqlite_store *s);

/* read.c */
tm_err readers_lease(struct reader **ret, struct sqlite_store *s, struct diag *diag);
void readers_return(struct sqlite_store *s, struct reader *r);
void readers_done(struct sqlite_store *s);
/* Give back the page caches of idle connections. */
void readers_release_memory(struct sqlite_store *s);
void sqlite_read(struct store *base, struct store_read *r);
tm_err sqlite_read_now(struct store *base, struct store_read *r);
/* Room for one more element of an array in the arena. */
tm_err array_grow(void *array, size_t n, size_t *cap, size_t size, struct arena *a);
size_t read_limit(const struct store_read *r);

/* One kind of read each. */
tm_err read_cert(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_certs_by_key(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_certs(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_certs_where(struct sqlite_store *s, struct reader *c, struct store_read *r); /* read_where.c */
tm_err read_certs_counted(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_certs_arrived(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_revoked(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_counts(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_resource(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_resources(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_resource_history(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_device(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_devices(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_token(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_tokens(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_continuation(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_continuations(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_events(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_leaves(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_log_size(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_checkpoint(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_checkpoints(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_tile(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_meta(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_crl(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_idempotency(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_quota(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_object(struct sqlite_store *s, struct reader *c, struct store_read *r); /* read_object.c */
tm_err read_objects(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_objects_owned(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_objects_due(struct sqlite_store *s, struct reader *c, struct store_read *r);
tm_err read_objects_old(struct sqlite_store *s, struct reader *c, struct store_read *r);

/* backup.c, expire.c */
tm_err sqlite_backup(struct store *base, const char *path, void (*progress)(void *arg, int percent),
                     void *arg, struct diag *diag);
tm_err sqlite_expire(struct store *base, int64_t now, uint64_t *ret_removed, struct diag *diag);

static inline int64_t event_key(tenant_id tenant, uint64_t pos)
{
    return (int64_t)((uint64_t)tenant << STORE_POS_BITS | pos);
}
/* Beyond these a key would be another tenant's. */
static inline bool tile_valid(unsigned level, uint64_t index)
{
    return level < 64 && index < (uint64_t)1 << 37;
}
/* Of a valid tile. */
static inline int64_t tile_key(tenant_id tenant, unsigned level, uint64_t index)
{
    return (int64_t)((uint64_t)tenant << 43 | (uint64_t)level << 37 | index);
}
