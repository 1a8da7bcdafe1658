#include "store/sqlite/ids.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS = 1 << 14,
    PORTION = 4096, /* what a group takes along: some milliseconds */
    MANY = 65536,   /* more are not kept, even if their second is not over */
};

static const char meta_name[] = "store.ids";

void ids_init(struct ids *ids)
{
    pthread_mutex_init(&ids->lock, NULL);
    pthread_mutex_init(&ids->refresh, NULL);
}

void ids_done(struct ids *ids)
{
    free(ids->v);
    free(ids->heads);
    ids->v = NULL;
    ids->heads = NULL;
    ids->n = ids->cap = ids->committed = 0;
    pthread_mutex_destroy(&ids->lock);
    pthread_mutex_destroy(&ids->refresh);
}

/* When it was given: CERT_SERIAL_LEN octets begin with two of expiry and four of time. */
static uint32_t time_of(const uint8_t id[CERT_SERIAL_LEN])
{
    return (uint32_t)id[2] << 24 | (uint32_t)id[3] << 16 | (uint32_t)id[4] << 8 | id[5];
}

/* An id's last octets are random. */
static uint32_t *bucket_of(const struct ids *ids, const uint8_t id[CERT_SERIAL_LEN])
{
    uint32_t x;
    memcpy(&x, id + CERT_SERIAL_LEN - sizeof x, sizeof x);
    return &ids->heads[x * 0x9e3779b1u >> 18];
}

static const struct id_entry *entry_of(const struct ids *ids, tenant_id tenant,
                                       const uint8_t id[CERT_SERIAL_LEN])
{
    if (!ids->heads)
        return NULL;
    for (uint32_t at = *bucket_of(ids, id); at; at = ids->v[at - 1].next) {
        const struct id_entry *e = &ids->v[at - 1];
        if (e->tenant == tenant && memcmp(e->id, id, CERT_SERIAL_LEN) == 0)
            return e;
    }
    return NULL;
}

/* ---- the committer ---- */

bool ids_may_be_there(const struct ids *ids, const uint8_t id[CERT_SERIAL_LEN])
{
    return time_of(id) <= ids->newest_there;
}

bool ids_has(const struct ids *ids, tenant_id tenant, const uint8_t id[CERT_SERIAL_LEN], uint64_t *ret_seq)
{
    const struct id_entry *e = entry_of(ids, tenant, id);
    if (e)
        *ret_seq = e->seq;
    return e != NULL;
}

/* Lock held. */
static tm_err make_room(struct ids *ids)
{
    if (!ids->heads)
        ids->heads = calloc(BUCKETS, sizeof *ids->heads);
    if (!ids->heads)
        return TM_ENOMEM;
    if (ids->n < ids->cap)
        return TM_OK;
    size_t cap = ids->cap ? ids->cap * 2 : 256;
    struct id_entry *v = realloc(ids->v, cap * sizeof *v);
    if (!v)
        return TM_ENOMEM;
    ids->v = v;
    ids->cap = cap;
    return TM_OK;
}

tm_err ids_add(struct ids *ids, tenant_id tenant, const uint8_t id[CERT_SERIAL_LEN], uint64_t seq)
{
    pthread_mutex_lock(&ids->lock);
    tm_err err = make_room(ids);
    if (err == TM_OK) {
        uint32_t *head = bucket_of(ids, id);
        struct id_entry *e = &ids->v[ids->n++];
        *e = (struct id_entry){.seq = seq, .tenant = tenant, .next = *head};
        memcpy(e->id, id, CERT_SERIAL_LEN);
        *head = (uint32_t)ids->n;
        ids->newest = time_of(id) > ids->newest ? time_of(id) : ids->newest;
    }
    pthread_mutex_unlock(&ids->lock);
    return err;
}

void ids_undo(struct ids *ids, size_t n)
{
    if (ids->n == n)
        return;
    pthread_mutex_lock(&ids->lock);
    /* The last one added is always the first of its chain. */
    for (; ids->n > n; ids->n--)
        *bucket_of(ids, ids->v[ids->n - 1].id) = ids->v[ids->n - 1].next;
    pthread_mutex_unlock(&ids->lock);
}

static int entry_order(const void *a, const void *b)
{
    const struct id_entry *x = a, *y = b;
    if (x->tenant != y->tenant)
        return x->tenant < y->tenant ? -1 : 1;
    return memcmp(x->id, y->id, CERT_SERIAL_LEN);
}

/* Those that pass, ascending, as a copy. Lock held, or the committer. */
static tm_err sorted_copy(const struct ids *ids, size_t n, tenant_id tenant, const uint8_t *after,
                          const uint8_t *before, struct id_entry **ret, size_t *ret_n)
{
    struct id_entry *v = n ? malloc(n * sizeof *v) : NULL;
    size_t k = 0;
    *ret = v;
    *ret_n = 0;
    if (!v)
        return n ? TM_ENOMEM : TM_OK;
    for (size_t i = 0; i < n; i++) {
        const struct id_entry *e = &ids->v[i];
        if (!after || (e->tenant == tenant && memcmp(e->id, after, CERT_SERIAL_LEN) > 0 &&
                       memcmp(e->id, before, CERT_SERIAL_LEN) < 0))
            v[k++] = *e;
    }
    qsort(v, k, sizeof *v, entry_order);
    *ret_n = k;
    return TM_OK;
}

static tm_err meta_write(struct db *db, uint64_t seq, uint32_t newest, struct diag *diag)
{
    char text[40];
    int n = snprintf(text, sizeof text, "%llu %lu", (unsigned long long)seq, (unsigned long)newest);
    struct query q;
    query_begin(&q, db, SQL_META_PUT);
    query_int(&q, TENANT_HOUSE);
    query_text(&q, meta_name);
    query_blob(&q, slice_of(text, (size_t)n));
    query_row(&q);
    return query_end(&q, diag);
}

/* How many of the first to write: a portion whose second is over, if there is one. */
static size_t portion(const struct ids *ids)
{
    if (ids->n >= MANY)
        return PORTION;
    if (ids->n < PORTION)
        return 0;
    for (size_t i = 0; i < PORTION; i++)
        if (time_of(ids->v[i].id) >= ids->newest)
            return 0;
    return PORTION;
}

tm_err ids_write(struct ids *ids, struct db *db, bool all, struct diag *diag)
{
    struct id_entry *v;
    size_t n = all ? ids->n : portion(ids);
    if (n <= ids->written)
        return TM_OK;
    TM_TRY(sorted_copy(ids, n, 0, NULL, NULL, &v, &n));
    tm_err err = TM_OK;
    uint32_t newest = ids->newest_there;
    for (size_t i = 0; i < n && err == TM_OK; i++) {
        struct query q;
        newest = time_of(v[i].id) > newest ? time_of(v[i].id) : newest;
        query_begin(&q, db, SQL_CERT_ID_ADD);
        query_int(&q, v[i].tenant);
        query_blob(&q, SLICE_ARR(v[i].id));
        query_int(&q, (int64_t)v[i].seq);
        query_row(&q);
        err = query_end(&q, diag);
    }
    free(v);
    TM_TRY(err);
    TM_TRY(meta_write(db, ids->v[n - 1].seq, newest, diag));
    ids->written = n;
    ids->newest_after = newest;
    return TM_OK;
}

/* The first ones are gone; those that stay are numbered anew. Lock held. */
static void drop_written(struct ids *ids)
{
    ids->n -= ids->written;
    memmove(ids->v, ids->v + ids->written, ids->n * sizeof *ids->v);
    memset(ids->heads, 0, BUCKETS * sizeof *ids->heads);
    for (size_t i = 0; i < ids->n; i++) {
        uint32_t *head = bucket_of(ids, ids->v[i].id);
        ids->v[i].next = *head;
        *head = (uint32_t)i + 1;
    }
    ids->written = 0;
    ids->newest_there = ids->newest_after;
}

void ids_committed(struct ids *ids)
{
    pthread_mutex_lock(&ids->lock);
    if (ids->written)
        drop_written(ids);
    ids->committed = ids->n;
    pthread_mutex_unlock(&ids->lock);
}

void ids_rolled_back(struct ids *ids)
{
    ids->written = 0;
    ids_undo(ids, ids->committed);
}

void ids_release_memory(struct ids *ids)
{
    pthread_mutex_lock(&ids->lock);
    if (ids->n == 0) {
        free(ids->v);
        free(ids->heads);
        ids->v = NULL;
        ids->heads = NULL;
        ids->cap = 0;
    }
    pthread_mutex_unlock(&ids->lock);
}

/* ---- opening ---- */

static tm_err meta_read(uint64_t *ret_seq, uint32_t *ret_newest, struct db *db, struct diag *diag)
{
    struct query q;
    query_begin(&q, db, SQL_META_GET);
    query_int(&q, TENANT_HOUSE);
    query_text(&q, meta_name);
    *ret_seq = 0;
    *ret_newest = 0;
    if (query_row(&q)) {
        char *end;
        *ret_seq = strtoull((const char *)sqlite3_column_text(q.st, 0), &end, 10);
        *ret_newest = (uint32_t)strtoul(end, NULL, 10);
    }
    return query_end(&q, diag);
}

tm_err ids_load(struct ids *ids, struct db *db, struct diag *diag)
{
    uint64_t complete;
    TM_TRY(meta_read(&complete, &ids->newest_there, db, diag));
    ids_undo(ids, 0);
    struct query q;
    query_begin(&q, db, SQL_CERT_IDS);
    query_int(&q, (int64_t)complete);
    tm_err err = TM_OK;
    while (err == TM_OK && query_row(&q)) {
        uint8_t id[CERT_SERIAL_LEN];
        column_octets(&q, 2, id, sizeof id);
        err = ids_add(ids, (tenant_id)column_int(&q, 1), id, (uint64_t)column_int(&q, 0));
    }
    TM_TRY(query_leave(&q, err, diag));
    ids_committed(ids);
    return TM_OK;
}

/* ---- readers ---- */

bool ids_find(struct ids *ids, tenant_id tenant, const uint8_t id[CERT_SERIAL_LEN], uint64_t *ret_seq)
{
    pthread_mutex_lock(&ids->lock);
    const struct id_entry *e = entry_of(ids, tenant, id);
    bool found = e && (size_t)(e - ids->v) < ids->committed;
    if (found)
        *ret_seq = e->seq;
    pthread_mutex_unlock(&ids->lock);
    return found;
}

tm_err ids_range(struct ids *ids, tenant_id tenant, const uint8_t after[CERT_SERIAL_LEN],
                 const uint8_t before[CERT_SERIAL_LEN], struct id_entry **ret, size_t *ret_n)
{
    pthread_mutex_lock(&ids->lock);
    tm_err err = sorted_copy(ids, ids->committed, tenant, after, before, ret, ret_n);
    pthread_mutex_unlock(&ids->lock);
    return err;
}
