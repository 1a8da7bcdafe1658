#include "store/sqlite/index.h"
#include <stdlib.h>

enum { BUCKETS = 32768 };

static uint32_t *bucket_of(const struct tail_chunk *c, uint64_t hash)
{
    return &c->heads[hash % BUCKETS];
}

static struct tail_chunk *chunk_new(uint64_t first_seq)
{
    struct tail_chunk *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->heads = calloc(BUCKETS, sizeof *c->heads);
    if (!c->heads) {
        free(c);
        return NULL;
    }
    c->first_seq = first_seq;
    return c;
}

static void chunk_free(struct tail_chunk *c)
{
    free(c->entries);
    free(c->heads);
    free(c);
}

/* The chunk that takes the next certificate; a full one is frozen. */
static struct tail_chunk *chunk_for(struct index *ix, uint64_t seq)
{
    struct tail_chunk *c = ix->newest;
    if (c && !c->frozen &&
        (c->certs >= INDEX_CHUNK_CERTS || c->n >= INDEX_CHUNK_ENTRIES || seq - c->first_seq >= UINT32_MAX)) {
        c->frozen = true;
        pthread_cond_signal(&ix->wake);
    }
    if (c && !c->frozen)
        return c;
    struct tail_chunk *fresh = chunk_new(seq);
    if (!fresh)
        return NULL;
    if (c)
        c->next = fresh;
    else
        ix->oldest = fresh;
    ix->newest = fresh;
    ix->n_chunks++;
    return fresh;
}

bool tail_add(struct index *ix, const struct index_entry *entries, size_t n, uint64_t seq)
{
    struct tail_chunk *c = chunk_for(ix, seq);
    if (!c)
        return false;
    if (c->n + n > c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 512;
        while (cap < c->n + n)
            cap *= 2;
        struct tail_entry *p = realloc(c->entries, cap * sizeof *p);
        if (!p)
            return false;
        c->entries = p;
        c->cap = cap;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t *head = bucket_of(c, entries[i].hash);
        c->entries[c->n] = (struct tail_entry){entries[i].hash, (uint32_t)(seq - c->first_seq), *head};
        *head = (uint32_t)++c->n;
    }
    c->last_seq = seq;
    c->certs++;
    return true;
}

void tail_drop_oldest(struct index *ix)
{
    struct tail_chunk *c = ix->oldest;
    ix->oldest = c->next;
    if (!ix->oldest)
        ix->newest = NULL;
    ix->n_chunks--;
    chunk_free(c);
}

void tail_drop_all(struct index *ix)
{
    while (ix->oldest)
        tail_drop_oldest(ix);
}

tm_err tail_find(const struct index *ix, uint64_t hash, uint64_t before_seq, uint64_t **seqs, size_t *n,
                 size_t *cap)
{
    for (const struct tail_chunk *c = ix->oldest; c; c = c->next) {
        for (uint32_t at = *bucket_of(c, hash); at; at = c->entries[at - 1].next) {
            const struct tail_entry *e = &c->entries[at - 1];
            uint64_t seq = c->first_seq + e->rel;
            if (e->hash != hash || seq >= before_seq)
                continue;
            if (*n == *cap) {
                size_t wanted = *cap ? *cap * 2 : 64;
                uint64_t *p = realloc(*seqs, wanted * sizeof *p);
                if (!p)
                    return TM_ENOMEM;
                *seqs = p;
                *cap = wanted;
            }
            (*seqs)[(*n)++] = seq;
        }
    }
    return TM_OK;
}
