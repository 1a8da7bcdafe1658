#include "http/limits.h"
#include "base/digest.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SETS = 4096, WAYS = 16, LOCKS = 64, BURST_S = 4 };

/* Free when `held` is 0 and `seen_ms` is 0. `held` keeps the place, `connections` are those that count against the limit. */
struct limits_peer {
    uint8_t key[9];
    uint16_t set;
    uint32_t held, connections;
    uint64_t seen_ms;
    uint64_t tokens_us; /* credit: a request costs 1000000 / rate */
    uint64_t filled_ms;
};

struct limits {
    size_t connections_peer;
    unsigned rate;
    uint64_t k0, k1;
    pthread_mutex_t lock[LOCKS];
    struct limits_peer *peers; /* SETS * WAYS; pages are touched as peers come */
};

tm_err limits_new(struct limits **ret, size_t connections_peer, unsigned rate)
{
    struct limits *l = calloc(1, sizeof *l);
    if (!l)
        return TM_ENOMEM;
    uint64_t keys[2];
    tm_err err = random_bytes(keys, sizeof keys);
    l->peers = calloc((size_t)SETS * WAYS, sizeof *l->peers);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&l->lock[i], NULL);
    if (err == TM_OK && !l->peers)
        err = TM_ENOMEM;
    if (err != TM_OK) {
        limits_free(l);
        return err;
    }
    l->k0 = keys[0];
    l->k1 = keys[1] | 1;
    l->connections_peer = connections_peer;
    l->rate = rate;
    *ret = l;
    return TM_OK;
}

void limits_free(struct limits *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&l->lock[i]);
    free(l->peers);
    free(l);
}

static bool peer_key(uint8_t key[9], const struct address *a)
{
    memset(key, 0, 9);
    key[0] = (uint8_t)a->family;
    switch (a->family) {
    case ADDRESS_V4:
    case ADDRESS_UNIX:
        memcpy(key + 1, a->ip, 4);
        return true;
    case ADDRESS_V6:
        memcpy(key + 1, a->ip, 8);
        return true;
    case ADDRESS_NONE:
        break;
    }
    return false;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static size_t set_of(const struct limits *l, const uint8_t key[9])
{
    uint64_t x;
    memcpy(&x, key + 1, sizeof x);
    return mix(mix(x ^ l->k0, l->k1) ^ key[0], l->k1 ^ 0x9e3779b97f4a7c15U) % SETS;
}

/* The peer's place in its set, a fresh one where it has none; NULL when all places are held by others. */
static struct limits_peer *find_or_add(struct limits *l, size_t set, const uint8_t key[9], uint64_t now_ms)
{
    struct limits_peer *oldest = NULL;
    for (struct limits_peer *p = l->peers + set * WAYS, *end = p + WAYS; p < end; p++) {
        if ((p->held || p->seen_ms) && memcmp(p->key, key, sizeof p->key) == 0)
            return p;
        if (!p->held && (!oldest || p->seen_ms < oldest->seen_ms))
            oldest = p;
    }
    if (oldest) {
        *oldest = (struct limits_peer){
            .set = (uint16_t)set, .tokens_us = BURST_S * 1000000ULL, .filled_ms = now_ms};
        memcpy(oldest->key, key, sizeof oldest->key);
    }
    return oldest;
}

bool limits_enter(struct limits *l, struct limits_peer **ret, const struct address *a, bool count,
                  uint64_t now_ms)
{
    uint8_t key[9];
    bool fits = true;
    *ret = NULL;
    if (!peer_key(key, a))
        return true;
    size_t set = set_of(l, key);
    pthread_mutex_lock(&l->lock[set % LOCKS]);
    struct limits_peer *p = find_or_add(l, set, key, now_ms);
    if (p) {
        fits = !count || p->connections < l->connections_peer;
        p->seen_ms = now_ms ? now_ms : 1;
        if (fits) {
            p->held++;
            p->connections += count;
            *ret = p;
        }
    }
    pthread_mutex_unlock(&l->lock[set % LOCKS]);
    return fits;
}

void limits_leave(struct limits *l, struct limits_peer *p, bool counted)
{
    if (!p)
        return;
    pthread_mutex_t *lock = &l->lock[p->set % LOCKS];
    pthread_mutex_lock(lock);
    p->held--;
    p->connections -= counted;
    pthread_mutex_unlock(lock);
}

unsigned limits_request(struct limits *l, struct limits_peer *p, uint64_t now_ms)
{
    if (!p || l->rate == 0)
        return 0;
    pthread_mutex_t *lock = &l->lock[p->set % LOCKS];
    unsigned wait_s = 0;

    uint64_t cost_us = 1000000 / l->rate, most_us = (uint64_t)BURST_S * 1000000;
    pthread_mutex_lock(lock);
    uint64_t credit = p->tokens_us + (now_ms > p->filled_ms ? (now_ms - p->filled_ms) * 1000 : 0);
    p->filled_ms = now_ms > p->filled_ms ? now_ms : p->filled_ms;
    p->seen_ms = now_ms ? now_ms : 1;
    p->tokens_us = credit < most_us ? credit : most_us;
    if (p->tokens_us >= cost_us)
        p->tokens_us -= cost_us;
    else
        wait_s = 1;
    pthread_mutex_unlock(lock);
    return wait_s;
}
