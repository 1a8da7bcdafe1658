/* status/ocsp_cache.h - signed OCSP answers in memory: bounded in octets, the least recently used go first.
 * Layer 4, private to status/, thread-safe. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "store/store.h"
#include <stdatomic.h>

enum { OCSP_CACHE_KEY = 32 };

/* One answer about one certificate, without a nonce. Shared by the cache and replies under way. */
struct ocsp_answer {
    atomic_uint refs;
    uint8_t key[OCSP_CACHE_KEY]; /* SHA-256 of the CertID as it was asked */
    tenant_id tenant;
    uint8_t cert[CERT_SERIAL_LEN];
    int64_t this_update, next_update;
    int64_t refresh_at;                                   /* from then on a new one is wanted */
    char etag[36];                                        /* with its quotes */
    struct ocsp_answer *by_key, *by_cert, *newer, *older; /* the cache's */
    size_t n;
    uint8_t der[];
};
/* One reference, the caller's; the rest is zero. NULL: no memory. */
struct ocsp_answer *ocsp_answer_new(struct slice der);
void ocsp_answer_unref(struct ocsp_answer *a);

struct ocsp_cache;
struct ocsp_cache *ocsp_cache_new(size_t octets_max);
void ocsp_cache_free(struct ocsp_cache *c);

/* With a reference for the caller; NULL. */
struct ocsp_answer *ocsp_cache_find(struct ocsp_cache *c, const uint8_t key[OCSP_CACHE_KEY]);
/* Before the store is asked: what ocsp_cache_put() compares, so that an answer that was read before a revocation and signed after it
 * does not come in. */
uint64_t ocsp_cache_stamp(struct ocsp_cache *c, const uint8_t cert[CERT_SERIAL_LEN]);
/* Takes the place of one with the same key. The cache takes a reference of its own. */
void ocsp_cache_put(struct ocsp_cache *c, struct ocsp_answer *a, uint64_t stamp);
/* All answers about this certificate. */
void ocsp_cache_forget(struct ocsp_cache *c, tenant_id tenant, const uint8_t cert[CERT_SERIAL_LEN]);

struct ocsp_cache_stats {
    uint64_t entries, octets, octets_max, evicted, forgotten;
};
void ocsp_cache_stats(struct ocsp_cache *c, struct ocsp_cache_stats *ret);
