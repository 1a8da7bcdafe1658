#include "identity/attempts.h"
#include "base/clock.h"
#include "base/digest.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { SETS = 512, WAYS = 8, FORGET_S = 3600, FIRST_WAIT_S = 5, MINUTE = 60 };

struct entry {
    uint8_t key[16];
    unsigned count;
    int64_t last, until; /* monotonic seconds; last 0: free */
};
static struct {
    pthread_mutex_t lock;
    struct entry v[SETS][WAYS];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Never 0. */
static int64_t now_s(void)
{
    return (int64_t)(clock_mono_ns() / 1000000000u) + 1;
}

/* Its place, new where it has none; under the lock. */
static struct entry *place(const uint8_t hash[SHA256_LEN], int64_t now, int64_t forget)
{
    struct entry *set = table.v[((unsigned)hash[16] << 8 | hash[17]) % SETS], *oldest = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].last && memcmp(set[i].key, hash, sizeof set[i].key) == 0) {
            if (now - set[i].last > forget && now >= set[i].until)
                set[i].count = 0;
            return &set[i];
        }
        if (set[i].last < oldest->last)
            oldest = &set[i];
    }
    *oldest = (struct entry){.last = now};
    memcpy(oldest->key, hash, sizeof oldest->key);
    return oldest;
}

static struct entry *lock_entry(const char *key, int64_t now, int64_t forget)
{
    uint8_t hash[SHA256_LEN] = {0};
    if (sha256(hash, slice_str(key)) != TM_OK)
        memset(hash, 0, sizeof hash); /* all share a place: the stricter way */
    pthread_mutex_lock(&table.lock);
    return place(hash, now, forget);
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
    struct entry *e = lock_entry(key, now, FORGET_S);
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
    struct entry *e = lock_entry(key, now, FORGET_S);
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
    struct entry *e = lock_entry(key, now, FORGET_S);
    if (now >= e->until) { /* of a rate: the end of the minute that is counted in */
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
