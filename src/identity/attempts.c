#include "identity/attempts.h"
#include "base/clock.h"
#include "base/digest.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { KINDS = 2, SETS = 512, WAYS = 8, FORGET_S = 3600, FIRST_WAIT_S = 5, MINUTE = 60, SALT = 16 };

struct entry {
    uint8_t key[16];
    unsigned count;
    bool rate;           /* `until` is the end of the minute that is counted in */
    int64_t last, until; /* monotonic seconds; last 0: free */
};
/* Addresses and rates stand apart from users: an address costs an attacker nothing, and many of them must not drive out what is known of a user. */
static struct {
    pthread_mutex_t lock;
    bool salted;
    uint8_t salt[SALT]; /* so that nobody works out which keys share a place */
    struct entry v[KINDS][SETS][WAYS];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Never 0. */
static int64_t now_s(void)
{
    return (int64_t)(clock_mono_ns() / 1000000000u) + 1;
}

static bool forgotten(const struct entry *e, int64_t now)
{
    return now >= e->until && (e->rate || now - e->last > FORGET_S);
}

/* What would be lost with it. */
static unsigned worth(const struct entry *e, int64_t now)
{
    return !e->last || forgotten(e, now) ? 0 : e->rate ? 1 : e->count;
}

/* Its place, new where it has none; under the lock. Whoever failed most often stays longest. */
static struct entry *place(struct entry set[WAYS], const uint8_t hash[SHA256_LEN], int64_t now)
{
    struct entry *leaves = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].last && memcmp(set[i].key, hash, sizeof set[i].key) == 0) {
            if (forgotten(&set[i], now))
                set[i].count = 0;
            return &set[i];
        }
        unsigned mine = worth(&set[i], now), least = worth(leaves, now);
        if (mine < least || (mine == least && set[i].last < leaves->last))
            leaves = &set[i];
    }
    *leaves = (struct entry){.last = now};
    memcpy(leaves->key, hash, sizeof leaves->key);
    return leaves;
}

static struct entry *lock_entry(const char *key, int64_t now)
{
    uint8_t hash[SHA256_LEN] = {0};
    size_t kind = strncmp(key, "address/", 8) == 0 || strncmp(key, "rate/", 5) == 0;
    pthread_mutex_lock(&table.lock);
    if (!table.salted)
        table.salted = random_bytes(table.salt, SALT) == TM_OK;
    const struct slice parts[] = {slice_of(table.salt, SALT), slice_str(key)};
    if (sha256_many(hash, parts, 2) != TM_OK)
        memset(hash, 0, sizeof hash); /* all share a place: the stricter way */
    return place(table.v[kind][((unsigned)hash[16] << 8 | hash[17]) % SETS], hash, now);
}

static int64_t wait_after(unsigned over)
{
    int64_t wait = FIRST_WAIT_S;
    for (unsigned i = 1; i < over && wait < ATTEMPTS_WAIT_MAX; i++)
        wait *= 2;
    return wait < ATTEMPTS_WAIT_MAX ? wait : ATTEMPTS_WAIT_MAX;
}

tm_err attempts_begin(const char *key, unsigned free, int64_t *ret_wait, struct diag *diag)
{
    int64_t now = now_s(), wait;
    struct entry *e = lock_entry(key, now);
    wait = e->until - now;
    if (wait <= 0) {
        e->last = now;
        e->count++;
        if (e->count >= free)
            e->until = now + wait_after(e->count - free + 1);
    }
    pthread_mutex_unlock(&table.lock);
    if (wait <= 0)
        return TM_OK;
    *ret_wait = wait;
    return diag_fail(diag, TM_EQUOTA, "session.locked", NULL,
                     "too many attempts have failed; try again in %lld seconds", (long long)wait);
}

static void change(const char *key, bool forget)
{
    int64_t now = now_s();
    struct entry *e = lock_entry(key, now);
    if (e->count > 0)
        e->count--;
    if (forget)
        e->count = 0;
    e->until = 0;
    pthread_mutex_unlock(&table.lock);
}

void attempts_good(const char *key)
{
    change(key, true);
}

void attempts_undo(const char *key)
{
    change(key, false);
}

void attempts_forget(const char *key)
{
    change(key, true);
}

tm_err attempts_rate(const char *key, unsigned per_minute, int64_t *ret_wait, struct diag *diag)
{
    int64_t now = now_s();
    struct entry *e = lock_entry(key, now);
    e->rate = true;
    if (now >= e->until) {
        e->until = now + MINUTE;
        e->count = 0;
    }
    e->last = now;
    bool over = e->count >= per_minute;
    e->count += !over;
    int64_t wait = e->until - now;
    pthread_mutex_unlock(&table.lock);
    if (!over)
        return TM_OK;
    *ret_wait = wait;
    return diag_fail(diag, TM_EQUOTA, "session.rate", NULL, "too many of these; try again in %lld seconds",
                     (long long)wait);
}

void attempts_address(char out[64], const char *peer)
{
    uint8_t v6[16];
    char text[INET6_ADDRSTRLEN] = "";
    if (inet_pton(AF_INET6, peer, v6) == 1) {
        memset(v6 + 8, 0, 8);
        if (!inet_ntop(AF_INET6, v6, text, sizeof text))
            text[0] = '\0';
        peer = text;
    }
    snprintf(out, 64, "address/%.48s", peer);
}
