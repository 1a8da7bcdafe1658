#include "enroll/acme/authz_hint.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { HINTS = 4096 };

struct hint {
    uint64_t hash; /* of tenant and key; 0: empty */
    char id[ACME_ID_MAX + 1];
};

struct authz_hints {
    pthread_mutex_t lock;
    struct hint v[HINTS];
};

tm_err authz_hints_new(struct authz_hints **ret)
{
    struct authz_hints *h = calloc(1, sizeof *h);
    if (!h)
        return TM_ENOMEM;
    pthread_mutex_init(&h->lock, NULL);
    *ret = h;
    return TM_OK;
}

void authz_hints_free(struct authz_hints *h)
{
    if (!h)
        return;
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* FNV-1a; whoever makes two names fall together gains nothing by it. */
static uint64_t hash_of(tenant_id tenant, const char *key)
{
    uint64_t x = 0xcbf29ce484222325U ^ tenant;
    for (; *key; key++)
        x = (x ^ (uint8_t)*key) * 0x100000001b3U;
    return x ? x : 1;
}

static struct hint *place_of(struct authz_hints *h, uint64_t hash)
{
    return &h->v[(hash ^ hash >> 32) % HINTS];
}

bool authz_hint_get(struct authz_hints *h, char ret_id[ACME_ID_MAX + 1], tenant_id tenant, const char *key)
{
    uint64_t hash = hash_of(tenant, key);
    pthread_mutex_lock(&h->lock);
    const struct hint *x = place_of(h, hash);
    bool known = x->hash == hash;
    if (known)
        memcpy(ret_id, x->id, sizeof x->id);
    pthread_mutex_unlock(&h->lock);
    return known;
}

void authz_hint_put(struct authz_hints *h, tenant_id tenant, const char *key, const char *id)
{
    uint64_t hash = hash_of(tenant, key);
    size_t n = strlen(id);
    if (n > ACME_ID_MAX)
        return;
    pthread_mutex_lock(&h->lock);
    struct hint *x = place_of(h, hash);
    x->hash = hash;
    memcpy(x->id, id, n + 1);
    pthread_mutex_unlock(&h->lock);
}
