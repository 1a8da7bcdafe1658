#include "store/sqlite/internal.h"
#include <stdlib.h>
#include <string.h>

/* Room for the inner pages of an index of 10 million certificates; given back when idle. */
enum { INDEX_READ_CACHE_KIB = 4096 };

static int seq_descending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? -1 : x < y;
}

/* What the tail has, newest first and each row once. */
static tm_err tail_lookup(struct index *ix, uint64_t hash, uint64_t before_seq, uint64_t **ret, size_t *ret_n,
                          struct diag *diag)
{
    size_t n = 0, cap = 0;
    pthread_mutex_lock(&ix->lock);
    uint64_t covered = ix->covered, wanted = ix->tail_from;
    tm_err err = tail_find(ix, hash, before_seq, ret, &n, &cap);
    pthread_mutex_unlock(&ix->lock);
    TM_TRY(err);
    if (covered < wanted)
        return diag_fail(diag, TM_EUNAVAIL, "store.index", index_file,
                         "the index of certificates is being rebuilt (%d%%); try again later",
                         (int)(covered * 100 / wanted));
    if (n)
        qsort(*ret, n, sizeof **ret, seq_descending);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || (*ret)[i] != (*ret)[i - 1])
            (*ret)[kept++] = (*ret)[i];
    *ret_n = kept;
    return TM_OK;
}

static tm_err index_connect(struct sqlite_store *s, struct reader *r, struct diag *diag)
{
    if (r->index.h)
        return TM_OK;
    return db_open(&r->index, s->dir, index_file,
                   &(struct db_options){.mode = DB_READ, .cache_kib = INDEX_READ_CACHE_KIB}, diag);
}

/* All segments in one snapshot, which is not older than what the tail has let go. */
static tm_err segments_lookup(struct reader *r, uint64_t hash, uint64_t before_seq, uint64_t *seqs,
                              size_t max, size_t *n, uint64_t *ring, uint64_t *found, struct diag *diag)
{
    struct index_segment list[INDEX_SEGMENTS_MAX];
    size_t n_list = INDEX_SEGMENTS_MAX;
    TM_TRY(segment_list(list, &n_list, &r->index, diag));
    for (size_t i = 0; i < n_list && *n < max; i++) {
        size_t k;
        TM_TRY(segment_find(&r->index, &list[i], hash, before_seq, ring, found, max, &k, diag));
        for (size_t j = 0; j < k && *n < max; j++)
            if (*n == 0 || found[j] < seqs[*n - 1]) /* the tail may have had it */
                seqs[(*n)++] = found[j];
    }
    return TM_OK;
}

tm_err index_lookup(struct sqlite_store *s, struct reader *r, uint64_t hash, uint64_t before_seq,
                    uint64_t *seqs, size_t max, size_t *ret_n, struct diag *diag)
{
    uint64_t *tail = NULL;
    size_t n_tail = 0;
    /* The tail first: what leaves it afterwards is in the segments that are read then. */
    tm_err err = tail_lookup(&s->index, hash, before_seq, &tail, &n_tail, diag);
    size_t n = n_tail < max ? n_tail : max;
    if (err == TM_OK && n)
        memcpy(seqs, tail, n * sizeof *seqs);
    free(tail);
    if (err != TM_OK || n == max) {
        *ret_n = n;
        return err;
    }
    uint64_t *ring = malloc(2 * max * sizeof *ring);
    if (!ring)
        return TM_ENOMEM;
    pthread_rwlock_rdlock(&s->index.files);
    err = index_connect(s, r, diag);
    if (err == TM_OK)
        err = query_run(&r->index, SQL_READ_BEGIN, diag);
    if (err == TM_OK) {
        err = segments_lookup(r, hash, before_seq, seqs, max, &n, ring, ring + max, diag);
        TM_IGNORE(query_run(&r->index, SQL_COMMIT, NULL));
    }
    pthread_rwlock_unlock(&s->index.files);
    free(ring);
    if (err == TM_ECORRUPT) {
        pthread_mutex_lock(&s->index.lock);
        s->index.broken = true;
        pthread_cond_signal(&s->index.wake);
        pthread_mutex_unlock(&s->index.lock);
        return diag_fail(diag, TM_EUNAVAIL, "store.index", index_file, "%s is damaged; it is being rebuilt",
                         index_file);
    }
    TM_TRY(err);
    *ret_n = n;
    return TM_OK;
}
