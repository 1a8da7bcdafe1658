#include "enroll/outbound/lookup.h"
#include "base/clock.h"
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 4, WAITING_MAX = 64, HOST_MAX = 256, IDLE_MS = 10000, LOOK_MS = 200 };

/* One that nobody waits for any more belongs to the thread that works on it. */
struct question {
    struct question *next;
    char host[HOST_MAX];
    bool done, abandoned;
    int rc;
    struct address v[REACH_ADDRESSES_MAX];
    size_t n;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t asked, answered;
    struct question *first, *last; /* that no thread has taken yet */
    unsigned n, threads, idle;
    bool ready; /* the conditions are */
} lookups = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct timespec in_ms(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + ms % 1000 * 1000000;
    t.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
    t.tv_nsec = (long)(ns % 1000000000);
    return t;
}

/* ---- the threads ---- */

static bool has(const struct question *q, const struct address *a)
{
    for (size_t i = 0; i < q->n; i++)
        if (q->v[i].family == a->family && memcmp(q->v[i].ip, a->ip, sizeof a->ip) == 0)
            return true;
    return false;
}

static void resolve(struct question *q)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    q->rc = getaddrinfo(q->host, NULL, &hints, &list);
    for (const struct addrinfo *i = q->rc == 0 ? list : NULL; i && q->n < REACH_ADDRESSES_MAX;
         i = i->ai_next) {
        struct address one = address_from_sockaddr(i->ai_addr);
        if ((one.family == ADDRESS_V4 || one.family == ADDRESS_V6) && !has(q, &one))
            q->v[q->n++] = one;
    }
    if (list)
        freeaddrinfo(list);
}

/* The lock is held. NULL: there was nothing to do for so long that the thread may end. */
static struct question *next(void)
{
    struct timespec until = in_ms(IDLE_MS);
    int late = 0;
    lookups.idle++;
    while (!lookups.first && late == 0)
        late = pthread_cond_timedwait(&lookups.asked, &lookups.lock, &until);
    lookups.idle--;
    struct question *q = lookups.first;
    if (!q)
        return NULL;
    lookups.first = q->next;
    if (!lookups.first)
        lookups.last = NULL;
    lookups.n--;
    return q;
}

static void *run(void *arg)
{
    struct question *q;
    (void)arg;
    pthread_mutex_lock(&lookups.lock);
    while ((q = next())) {
        pthread_mutex_unlock(&lookups.lock);
        resolve(q);
        pthread_mutex_lock(&lookups.lock);
        q->done = true;
        if (q->abandoned)
            free(q);
        pthread_cond_broadcast(&lookups.answered);
    }
    lookups.threads--;
    pthread_mutex_unlock(&lookups.lock);
    return NULL;
}

/* Signals are for the threads that wait for them. */
static void thread_start(void)
{
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t t;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&t, &attr, run, NULL) == 0)
        lookups.threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
}

/* ---- asking ---- */

/* The lock is held. */
static bool ask(struct question *q)
{
    if (!lookups.ready) {
        pthread_condattr_t attr;
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        lookups.ready =
            pthread_cond_init(&lookups.asked, &attr) == 0 && pthread_cond_init(&lookups.answered, &attr) == 0;
        pthread_condattr_destroy(&attr);
    }
    if (!lookups.ready || lookups.n == WAITING_MAX)
        return false;
    if (lookups.idle <= lookups.n && lookups.threads < THREADS_MAX)
        thread_start();
    if (lookups.threads == 0)
        return false;
    if (lookups.last)
        lookups.last->next = q;
    else
        lookups.first = q;
    lookups.last = q;
    lookups.n++;
    pthread_cond_signal(&lookups.asked);
    return true;
}

/* The lock is held. True: no thread has taken it, and none will. */
static bool take_back(struct question *q)
{
    struct question *before = NULL;
    for (struct question *i = lookups.first; i; before = i, i = i->next) {
        if (i != q)
            continue;
        if (before)
            before->next = q->next;
        else
            lookups.first = q->next;
        if (lookups.last == q)
            lookups.last = before;
        lookups.n--;
        return true;
    }
    return false;
}

static bool is_over(const struct reach *r)
{
    return (r->over && atomic_load(r->over)) || clock_mono_ns() >= r->deadline_ns;
}

/* False: it is not the caller's any more. */
static bool wait_for(struct question *q, const struct reach *r)
{
    bool mine = true;
    pthread_mutex_lock(&lookups.lock);
    while (!q->done && !is_over(r)) {
        uint64_t left = (r->deadline_ns - clock_mono_ns()) / 1000000;
        struct timespec until = in_ms(left < LOOK_MS ? (int64_t)left + 1 : LOOK_MS);
        pthread_cond_timedwait(&lookups.answered, &lookups.lock, &until);
    }
    if (!q->done && !take_back(q)) {
        q->abandoned = true;
        mine = false;
    }
    pthread_mutex_unlock(&lookups.lock);
    return mine;
}

tm_err lookup_addresses(struct address *ret, size_t max, size_t *ret_n, const char *host,
                        const struct reach *r)
{
    *ret_n = 0;
    if (max && reach_literal(ret, host)) {
        *ret_n = 1;
        return TM_OK;
    }
    if (strlen(host) >= HOST_MAX)
        return TM_ENOTFOUND;
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        return TM_ENOMEM;
    memccpy(q->host, host, 0, sizeof q->host);
    pthread_mutex_lock(&lookups.lock);
    bool asked = ask(q);
    pthread_mutex_unlock(&lookups.lock);
    if (!asked) {
        free(q);
        return TM_EUNAVAIL;
    }
    if (!wait_for(q, r))
        return TM_ETIMEOUT;
    tm_err e = !q->done ? TM_ETIMEOUT : q->rc == 0 ? TM_OK : TM_ENOTFOUND;
    for (size_t i = 0; e == TM_OK && i < q->n && *ret_n < max; i++)
        ret[(*ret_n)++] = q->v[i];
    free(q);
    return e;
}
