#include "store/sqlite/internal.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    bool broken = ix->broken;
    tm_err err = tail_find(ix, hash, before_seq, ret, &n, &cap);
    pthread_mutex_unlock(&ix->lock);
    TM_TRY(err);
    if (broken || covered < wanted)
        return diag_fail(diag, TM_EUNAVAIL, "store.index", index_dir,
                         "the index of certificates is being rebuilt (%d%%); try again later",
                         broken ? 0 : (int)(covered * 100 / wanted));
    if (n)
        qsort(*ret, n, sizeof **ret, seq_descending);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || (*ret)[i] != (*ret)[i - 1])
            (*ret)[kept++] = (*ret)[i];
    *ret_n = kept;
    return TM_OK;
}

static tm_err files_lookup(struct index *ix, uint64_t hash, uint64_t before_seq, uint64_t *seqs, size_t max,
                           size_t *ret_n, struct diag *diag)
{
    uint64_t *tail = NULL;
    size_t n = 0;
    tm_err err = tail_lookup(ix, hash, before_seq, &tail, &n, diag);
    n = n < max ? n : max;
    if (err == TM_OK && n)
        memcpy(seqs, tail, n * sizeof *seqs);
    free(tail);
    for (size_t i = 0; i < ix->n_segments && err == TM_OK && n < max; i++)
        segment_expect(ix->segments[i], hash);
    for (size_t i = ix->n_segments; i-- > 0 && err == TM_OK && n < max;) {
        size_t k = 0;
        err = segment_find(ix->segments[i], hash, before_seq, seqs + n, max - n, &k, &ix->memory);
        n += k;
    }
    *ret_n = n;
    return err;
}

tm_err index_lookup(struct index *ix, uint64_t hash, uint64_t before_seq, uint64_t *seqs, size_t max,
                    size_t *ret_n, struct diag *diag)
{
    /* What leaves the tail becomes a segment while nobody is in here. */
    pthread_rwlock_rdlock(&ix->files);
    tm_err err = files_lookup(ix, hash, before_seq, seqs, max, ret_n, diag);
    pthread_rwlock_unlock(&ix->files);
    if (err != TM_ECORRUPT && err != TM_EIO)
        return err;
    index_broken(ix);
    return diag_fail(diag, TM_EUNAVAIL, "store.index", index_dir, "%s is damaged; it is being rebuilt",
                     index_dir);
}

tm_err index_check(struct index *ix)
{
    struct segment *copies[INDEX_SEGMENTS_MAX];
    size_t n = 0;
    tm_err err = TM_OK;
    /* On descriptors of its own: a file that is merged away meanwhile can still be read. */
    pthread_rwlock_rdlock(&ix->files);
    for (; n < ix->n_segments && err == TM_OK; n++) {
        copies[n] = calloc(1, sizeof *copies[n]);
        err = copies[n] ? TM_OK : TM_ENOMEM;
        if (err != TM_OK)
            break;
        copies[n]->h = ix->segments[n]->h;
        copies[n]->at = ix->segments[n]->at;
        copies[n]->fd = fcntl(ix->segments[n]->fd, F_DUPFD_CLOEXEC, 0);
    }
    pthread_rwlock_unlock(&ix->files);
    for (size_t i = 0; i < n; i++) {
        if (err == TM_OK)
            err = copies[i]->fd < 0 ? TM_EUNAVAIL : segment_check(copies[i]);
        segment_free(copies[i]);
    }
    return err;
}

void index_release_memory(struct index *ix)
{
    pthread_rwlock_wrlock(&ix->files);
    for (size_t i = 0; i < ix->n_segments; i++)
        segment_forget(ix->segments[i], &ix->memory);
    pthread_rwlock_unlock(&ix->files);
}
