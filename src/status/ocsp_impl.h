/* status/ocsp_impl.h - shared by the files of the OCSP responder. Layer 4, private to status/. */
#pragma once
#include "base/task.h"
#include "issue/catalog.h"
#include "keys/signer.h"
#include "status/ocsp.h"
#include <pthread.h>
#include <stdatomic.h>

enum { OCSP_ENTRIES_MAX = 256 };

/* An entry of the signer's chain that counts answers, until its event is durable. */
struct ocsp_entry {
    tenant_id tenant;
    char authority[64], key[64];
    uint64_t seq;
    uint8_t tbs_hash[32];
};

struct ocsp {
    struct ocsp_cache *cache;
    atomic_ullong counts[OCSP_COUNT];
    atomic_uint under_way;
    atomic_llong last_now;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct ocsp_entry entries[OCSP_ENTRIES_MAX];
    size_t n_entries;
    bool closing;
    /* presigning: the job's own */
    struct {
        tenant_id tenant;
        char authority[64];
        size_t profile;
        uint8_t after[CERT_SERIAL_LEN];
        size_t after_n;
        bool running;
        int64_t next;
    } pass;
};
void ocsp_count(struct ocsp *o, enum ocsp_count what);
/* Around whatever uses it beyond one call; false: closing, or too much is under way. */
bool ocsp_enter(struct ocsp *o);
void ocsp_leave(struct ocsp *o);

/* ---- one question on its way to an answer ---- */
struct ocsp_query {
    struct house *house;
    struct arena *arena; /* everything here lives in it */
    struct catalog *catalog;
    const struct authority *x;
    const struct ocsp_request *request;
    struct ocsp_single singles[OCSP_IDS_MAX];
    uint8_t cert[CERT_SERIAL_LEN]; /* of the first */
    uint8_t key[OCSP_CACHE_KEY];
    uint64_t stamp;
    int64_t now;
    int64_t as_of; /* thisUpdate: everything that was revoked until then is known */
    bool known;    /* every one of them was issued here */
    struct sign_op op;
};
/* Whose certificates are asked about; false: nobody's here, or several CAs', or one that nobody answers for. Takes the catalog. */
bool ocsp_query_begin(struct ocsp_query *q, struct house *h, const struct ocsp_request *request);
/* May it come from the cache, and go there? One certificate and no nonce that counts. */
bool ocsp_query_cached(const struct ocsp_query *q);
/* Ask the store, build what is to be signed: q->op is ready to be submitted. Blocking. */
tm_err ocsp_query_read(struct ocsp_query *q, struct diag *diag);
/* After the signature: the answer, kept in the cache where it may be. */
tm_err ocsp_query_finish(struct ocsp_answer **ret, struct ocsp_query *q);
void ocsp_query_done(struct ocsp_query *q);

extern const struct job ocsp_presign_job;
