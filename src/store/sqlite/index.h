/* store/sqlite/index.h - the secondary index of certificates: derived from touchmark.db, kept in index.db and in memory.
 *
 * Layer 3. Entries are (hash, seq): the hash of cert_keys.h and the row that has the key. The newest entries are the tail: chunks in
 * memory, filled by the committer after each commit. A full chunk is sorted and written as one segment of index.db, four neighbouring
 * segments of a level are merged into one of the next, all by the index thread in slices. A look-up asks the tail, then every segment,
 * and verifies what it found against the row: dropped rows and colliding hashes fall out there.
 *
 *   block.id = segment << 48 | the upper 48 bits of its last hash (or the id before it + 1)
 *   block.data = entries of 12 octets: hash, then seq - segment.first_seq, big-endian, ascending
 *
 * Invariants: every row with seq <= covered is in a segment; every row with seq > tail_from is in a chunk or in a segment. While
 * covered < tail_from (the first minutes after index.db was lost) look-ups answer TM_EUNAVAIL and the thread catches up from the rows.
 * index.db is never repaired: missing, torn or of another database, it is thrown away. */
#pragma once
#include "store/sqlite/db.h"
#include <pthread.h>
#include <stdint.h>

struct reader;
struct sqlite_store;
struct index_merge;

struct index_entry {
    uint64_t hash, seq;
};

enum {
    INDEX_FAN_IN = 4,
    INDEX_CHUNK_CERTS = 8192,
    INDEX_CHUNK_ENTRIES = 65536,
    INDEX_SEGMENTS_MAX = 128,
    INDEX_ENTRY_LEN = 12,
    INDEX_BLOCK_ENTRIES = 338, /* one block a leaf page of 4096 octets */
    INDEX_BLOCK_LEN = INDEX_BLOCK_ENTRIES * INDEX_ENTRY_LEN,
    INDEX_PAGE_SIZE = 4096,
};

struct index_segment {
    unsigned id; /* 1..32767 */
    unsigned level;
    uint64_t first_seq, last_seq, entries;
};

struct tail_chunk;

struct index {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_rwlock_t files; /* held for reading by look-ups, for writing while index.db is replaced */
    pthread_t thread;
    bool started, stopping;
    struct db db; /* the thread's */

    /* Under `lock`. */
    struct tail_chunk *oldest, *newest;
    size_t n_chunks;
    uint64_t last_seq;  /* the newest row that the tail has */
    uint64_t covered;   /* all rows up to here are in segments */
    uint64_t tail_from; /* all rows after this are in chunks or segments */
    bool broken;        /* index.db turned out damaged */
    bool trim;          /* retention has dropped rows */
    size_t n_segments_seen;

    /* The thread's. */
    struct index_segment segments[INDEX_SEGMENTS_MAX]; /* oldest rows first */
    size_t n_segments;
    unsigned last_id;
    uint64_t reach; /* of the segments of the file when it was opened */
    struct index_merge *merge;
    bool garbage; /* blocks without a segment may exist */
};

/* index.c. `last_seq`: the newest row of touchmark.db. */
tm_err index_open(struct sqlite_store *s, uint64_t last_seq, struct diag *diag);
void index_close(struct sqlite_store *s);
/* The committer's, after a commit: `last_seq` is the newest row now. */
void index_append(struct sqlite_store *s, const struct index_entry *entries, size_t n, uint64_t last_seq);
static inline uint64_t index_last_seq(const struct index *ix)
{
    return ix->last_seq;
}
/* Retention has dropped rows. */
void index_trim(struct sqlite_store *s);

/* index_lookup.c: rows that may have a key, newest first: at most `max`, below `before_seq`. The caller verifies them.
 * TM_EUNAVAIL while the index is being rebuilt. `seqs` has room for `max`. */
tm_err index_lookup(struct sqlite_store *s, struct reader *r, uint64_t hash, uint64_t before_seq,
                    uint64_t *seqs, size_t max, size_t *ret_n, struct diag *diag);

/* index_tail.c; callers hold ix->lock. */
struct tail_chunk {
    struct tail_chunk *next;
    uint64_t first_seq, last_seq; /* entries' seqs are first_seq + rel */
    size_t certs, n, cap;
    struct tail_entry {
        uint64_t hash;
        uint32_t rel, next; /* next: index + 1 in the chain of its bucket */
    } *entries;
    uint32_t *heads;
    bool frozen;
};
/* False when there is no memory; the tail is as it was but for a part of this certificate. */
bool tail_add(struct index *ix, const struct index_entry *entries, size_t n, uint64_t seq);
void tail_drop_oldest(struct index *ix);
void tail_drop_all(struct index *ix);
/* Append the rows that the tail knows a hash of, in no promised order. */
tm_err tail_find(const struct index *ix, uint64_t hash, uint64_t before_seq, uint64_t **seqs, size_t *n,
                 size_t *cap);

/* index_segment.c: writing and reading segments. */
struct segment_writer {
    struct db *db;
    unsigned id;
    uint64_t base; /* first_seq */
    uint64_t total, blocks;
    int64_t last_block;
    size_t n;
    uint8_t block[INDEX_BLOCK_LEN];
};
void segment_writer_init(struct segment_writer *w, struct db *db, unsigned id, uint64_t base);
tm_err segment_writer_add(struct segment_writer *w, uint64_t hash, uint64_t seq, struct diag *diag);
tm_err segment_writer_end(struct segment_writer *w, struct diag *diag);
void block_entry(uint64_t *ret_hash, uint32_t *ret_rel, const uint8_t *block, size_t i);
tm_err segment_register(struct db *db, const struct index_segment *seg, struct diag *diag);
/* Oldest rows first; *n: in: room, out: how many. */
tm_err segment_list(struct index_segment *list, size_t *n, struct db *db, struct diag *diag);
/* Up to `max` seqs below before_seq that have the hash, the newest of the segment, descending. `ring` has room for `max`. */
tm_err segment_find(struct db *db, const struct index_segment *seg, uint64_t hash, uint64_t before_seq,
                    uint64_t *ring, uint64_t *out, size_t max, size_t *ret_n, struct diag *diag);
/* A segment number that no segment and no block has. */
tm_err segment_free_id(unsigned *ret, struct index *ix, struct diag *diag);

/* index_merge.c: one slice of merging; *again while there is more to do. */
tm_err index_merge_slice(struct index *ix, bool *again, struct diag *diag);
void index_merge_abandon(struct index *ix);
/* One slice of dropping blocks that belong to no segment. */
tm_err index_garbage_slice(struct index *ix, struct diag *diag);
