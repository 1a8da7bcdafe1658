/* store/sqlite/index.h - the secondary index of certificates: derived from touchmark.db, kept in the directory index/ and in memory.
 *
 * Layer 3. Entries are (hash, seq): the hash of cert_keys.h and the row that has the key. The newest entries are the tail: chunks in
 * memory, filled by the committer after each commit. A full chunk is sorted and written as one segment (segment.h); sixteen neighbours
 * of about one size are merged into one, all by the index thread in slices. A look-up asks the tail, then every segment that the filters
 * do not rule out, and verifies what it found against the row: dropped rows and colliding hashes fall out there.
 *
 * Invariants: segments are neighbours without gaps; every row with seq <= covered is in one, but for rows that retention has dropped;
 * every row with seq > tail_from is in a chunk or in a segment. While covered < tail_from (the first minute after the index was lost)
 * look-ups answer TM_EUNAVAIL and the thread catches up from the rows. Nothing is ever repaired: a segment that is torn, damaged or of
 * another database is thrown away, and with it all newer ones. What a merge replaces is still there after a cut: the larger counts. */
#pragma once
#include "store/sqlite/segment.h"
#include <pthread.h>
#include <stdint.h>

struct diag;
struct sqlite_store;
struct index_merge;

struct index_entry {
    uint64_t hash, seq;
};

enum {
    INDEX_FAN_IN = 16,
    INDEX_CHUNK_CERTS = 8192,
    INDEX_CHUNK_ENTRIES = 65536,
    INDEX_SEGMENTS_MAX = 128,
};

struct tail_chunk;

struct index {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Held for reading by look-ups, for writing while the list of segments changes; taken before `lock`. */
    pthread_rwlock_t files;
    pthread_t thread;
    bool started, stopping;
    int dir; /* of the segments; -1: none */

    /* Under `lock`. */
    struct tail_chunk *oldest, *newest;
    size_t n_chunks;
    uint64_t last_seq;  /* the newest row that the tail has */
    uint64_t covered;   /* all rows up to here are in segments */
    uint64_t tail_from; /* all rows after this are in chunks or segments */
    bool broken;        /* a segment turned out damaged */
    bool trim;          /* retention has dropped rows */

    /* Changed by the thread alone, under `files`. */
    struct segment *segments[INDEX_SEGMENTS_MAX]; /* oldest rows first */
    size_t n_segments;
    struct segment_memory memory;

    /* The thread's. */
    struct index_merge *merge;
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
/* A segment turned out damaged: it is all built anew. */
void index_broken(struct index *ix);

/* index_lookup.c: rows that may have a key, newest first: at most `max`, below `before_seq`. The caller verifies them.
 * TM_EUNAVAIL while the index is being rebuilt. `seqs` has room for `max`. */
tm_err index_lookup(struct index *ix, uint64_t hash, uint64_t before_seq, uint64_t *seqs, size_t max,
                    size_t *ret_n, struct diag *diag);
/* Read all segments; look-ups go on. TM_ECORRUPT. */
tm_err index_check(struct index *ix);
/* Give back what look-ups keep in memory. */
void index_release_memory(struct index *ix);

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

/* index_files.c: the directory. */
tm_err index_files_open(struct sqlite_store *s, struct diag *diag);
/* The segments that are there, as far as they go without a gap; what is beyond is removed. */
tm_err index_files_load(struct sqlite_store *s, uint64_t first_row, uint64_t last_seq, struct diag *diag);
/* All of them are closed and removed. */
void index_files_drop(struct index *ix);
void index_file_remove(struct index *ix, uint64_t first_seq, uint64_t last_seq);
/* Write one segment; the entries get sorted. `room` has space for as many. */
tm_err index_file_write(struct segment **ret, struct sqlite_store *s, struct index_entry *entries,
                        struct index_entry *room, size_t n, uint64_t first_seq, uint64_t last_seq,
                        struct diag *diag);
/* What an error of a segment's file means. */
tm_err index_file_fail(tm_err err, struct diag *diag);

/* index_merge.c: one slice of merging; *again while there is more to do. */
tm_err index_merge_slice(struct index *ix, bool *again, struct diag *diag);
void index_merge_abandon(struct index *ix);
