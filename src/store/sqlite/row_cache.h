/* store/sqlite/row_cache.h - rows of doors and tokens as they were committed last, for those who read them again soon.
 *
 * Layer 3, thread-safe. After each commit a reading connection begins with an empty page cache: a row costs it a lock on the log, its
 * removal, and every page from the root down. An order is read twice within milliseconds of being written, its account with every
 * request. This process alone writes, so what the committer enters after a commit, before anybody is told of it, is what the file has.
 * Bounded; given back when the store is idle. Not for a store that is open for reading beside a writer. */
#pragma once
#include "store/store.h"
#include <pthread.h>
#include <stdatomic.h>

struct arena;
struct row_entry;

enum { ROW_CACHE_BUCKETS = 4096, ROW_CACHE_OCTETS = 2 << 20, ROW_CACHE_ROW_MAX = 8 << 10 };

struct row_cache {
    pthread_mutex_t lock;
    struct row_entry *buckets[ROW_CACHE_BUCKETS];
    struct row_entry *newest, *oldest; /* by their last use */
    size_t octets;
    _Atomic uint64_t changes; /* commits that touched such rows */
};

void row_cache_init(struct row_cache *c);
void row_cache_done(struct row_cache *c);
/* Forget everything; what is being read from the file now is not entered. */
void row_cache_clear(struct row_cache *c);

/* An object by id, or a token, copied into `a`. NULL: not there, or no memory. */
struct object_row *row_cache_object(struct row_cache *c, struct arena *a, tenant_id tenant,
                                    enum object_kind kind, const char *id);
struct token_row *row_cache_token(struct row_cache *c, struct arena *a, tenant_id tenant, const char *id);

/* Taken before a row is read from the file: it is entered only where nothing was committed since. */
uint64_t row_cache_mark(const struct row_cache *c);
void row_cache_enter_object(struct row_cache *c, uint64_t mark, tenant_id tenant,
                            const struct object_row *row);
void row_cache_enter_token(struct row_cache *c, uint64_t mark, tenant_id tenant, const struct token_row *row);

/* What these transactions have changed, those of them that succeeded; linked by ->next, after their commit and before their answers. */
void row_cache_committed(struct row_cache *c, const struct store_txn *group);
