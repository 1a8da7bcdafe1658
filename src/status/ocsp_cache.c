#include "status/ocsp_cache.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1 << 16, STAMPS = 1 << 12, OVERHEAD = 64 };

/* Two hash tables over the same answers, and a list by last use. Keys are hashes and serials end in random octets, so that buckets are
 * their own octets. */
struct ocsp_cache {
    pthread_mutex_t lock;
    struct ocsp_answer *keys[BUCKETS], *certs[BUCKETS];
    struct ocsp_answer *newest, *oldest;
    uint64_t stamps[STAMPS];
    struct ocsp_cache_stats stats;
};

struct ocsp_answer *ocsp_answer_new(struct slice der)
{
    struct ocsp_answer *a = calloc(1, sizeof *a + der.n);
    if (!a)
        return NULL;
    atomic_init(&a->refs, 1);
    a->n = der.n;
    memcpy(a->der, der.p, der.n);
    return a;
}

void ocsp_answer_unref(struct ocsp_answer *a)
{
    if (a && atomic_fetch_sub(&a->refs, 1) == 1)
        free(a);
}

struct ocsp_cache *ocsp_cache_new(size_t octets_max)
{
    struct ocsp_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    c->stats.octets_max = octets_max;
    return c;
}

static size_t key_bucket(const uint8_t *key)
{
    return (size_t)(key[0] << 8 | key[1]);
}

static size_t cert_bucket(const uint8_t *cert)
{
    return (size_t)(cert[CERT_SERIAL_LEN - 2] << 8 | cert[CERT_SERIAL_LEN - 1]);
}

static size_t stamp_slot(const uint8_t *cert)
{
    return cert_bucket(cert) % STAMPS;
}

static size_t weight(const struct ocsp_answer *a)
{
    return sizeof *a + a->n + OVERHEAD;
}

static void unlink_use(struct ocsp_cache *c, struct ocsp_answer *a)
{
    *(a->newer ? &a->newer->older : &c->newest) = a->older;
    *(a->older ? &a->older->newer : &c->oldest) = a->newer;
}

static void link_use(struct ocsp_cache *c, struct ocsp_answer *a)
{
    a->newer = NULL;
    a->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = a;
    c->newest = a;
}

static void drop(struct ocsp_cache *c, struct ocsp_answer *a)
{
    struct ocsp_answer **p = &c->keys[key_bucket(a->key)];
    while (*p != a)
        p = &(*p)->by_key;
    *p = a->by_key;
    p = &c->certs[cert_bucket(a->cert)];
    while (*p != a)
        p = &(*p)->by_cert;
    *p = a->by_cert;
    unlink_use(c, a);
    c->stats.entries--;
    c->stats.octets -= weight(a);
    ocsp_answer_unref(a);
}

static struct ocsp_answer *find(struct ocsp_cache *c, const uint8_t *key)
{
    struct ocsp_answer *a = c->keys[key_bucket(key)];
    while (a && memcmp(a->key, key, OCSP_CACHE_KEY) != 0)
        a = a->by_key;
    return a;
}

void ocsp_cache_free(struct ocsp_cache *c)
{
    if (!c)
        return;
    while (c->oldest)
        drop(c, c->oldest);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

struct ocsp_answer *ocsp_cache_find(struct ocsp_cache *c, const uint8_t key[OCSP_CACHE_KEY])
{
    pthread_mutex_lock(&c->lock);
    struct ocsp_answer *a = find(c, key);
    if (a) {
        atomic_fetch_add(&a->refs, 1);
        unlink_use(c, a);
        link_use(c, a);
    }
    pthread_mutex_unlock(&c->lock);
    return a;
}

uint64_t ocsp_cache_stamp(struct ocsp_cache *c, const uint8_t cert[CERT_SERIAL_LEN])
{
    pthread_mutex_lock(&c->lock);
    uint64_t stamp = c->stamps[stamp_slot(cert)];
    pthread_mutex_unlock(&c->lock);
    return stamp;
}

void ocsp_cache_put(struct ocsp_cache *c, struct ocsp_answer *a, uint64_t stamp)
{
    pthread_mutex_lock(&c->lock);
    struct ocsp_answer *before = find(c, a->key);
    /* Two were signed at the same time: the one that says more about now stays. */
    bool late = before && before->this_update > a->this_update;
    if (c->stamps[stamp_slot(a->cert)] == stamp && !late && weight(a) <= c->stats.octets_max) {
        if (before)
            drop(c, before);
        while (c->oldest && c->stats.octets + weight(a) > c->stats.octets_max) {
            drop(c, c->oldest);
            c->stats.evicted++;
        }
        atomic_fetch_add(&a->refs, 1);
        a->by_key = c->keys[key_bucket(a->key)];
        c->keys[key_bucket(a->key)] = a;
        a->by_cert = c->certs[cert_bucket(a->cert)];
        c->certs[cert_bucket(a->cert)] = a;
        link_use(c, a);
        c->stats.entries++;
        c->stats.octets += weight(a);
    }
    pthread_mutex_unlock(&c->lock);
}

void ocsp_cache_forget(struct ocsp_cache *c, tenant_id tenant, const uint8_t cert[CERT_SERIAL_LEN])
{
    pthread_mutex_lock(&c->lock);
    c->stamps[stamp_slot(cert)]++;
    for (struct ocsp_answer *a = c->certs[cert_bucket(cert)], *next; a; a = next) {
        next = a->by_cert;
        if (a->tenant == tenant && memcmp(a->cert, cert, CERT_SERIAL_LEN) == 0) {
            drop(c, a);
            c->stats.forgotten++;
        }
    }
    pthread_mutex_unlock(&c->lock);
}

void ocsp_cache_stats(struct ocsp_cache *c, struct ocsp_cache_stats *ret)
{
    pthread_mutex_lock(&c->lock);
    *ret = c->stats;
    pthread_mutex_unlock(&c->lock);
}
