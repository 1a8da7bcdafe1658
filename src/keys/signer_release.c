#include "keys/signer_release.h"
#include "base/buf.h"
#include "base/clock.h"
#include "keys/signer_lane.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum {
    WAITING_MAX = 64 << 20,
    STACK = 128 << 10,
    PAUSE_NS = 50000, /* an answer of the last flush */
    PAUSE_NS_MAX = 2000000,
    PAUSE_ENOUGH = 64,      /* waiting: worth a flush */
    PATIENCE_NS = 20000000, /* of a frame that nobody's request waits for */
};

struct release {
    struct core_shared *shared;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct buf waiting; /* whole frames whose entries may not be on the disk yet */
    size_t n_waiting;   /* answers in them */
    uint64_t due;       /* when they want their flush: 0 at once */
    bool stopping;
    struct buf sending; /* the thread's own */
    pthread_t thread;
};

/* Those who wait must not wait for ever, and must not get what the disk may not have: the end of the connection tells them. */
static void give_up(struct core_shared *s)
{
    shutdown(s->fd, SHUT_RDWR);
}

static void sync_and_send(struct core_shared *s, struct slice frames)
{
    if (journal_sync(s->journal, NULL) == TM_OK)
        core_send(s, frames);
    else
        give_up(s);
}

/* A flush costs what a few signatures cost. Under load the next one therefore begins no sooner after the last than others need to sign as
 * much again; a lone request waits for nobody. The mutex is held on entry and at the end. */
static void pause_for_more(struct release *r, uint64_t last_start, size_t last_n)
{
    uint64_t pause = (uint64_t)last_n * PAUSE_NS;
    uint64_t until = last_start + (pause < PAUSE_NS_MAX ? pause : PAUSE_NS_MAX);
    if (last_n < 2 || r->n_waiting >= PAUSE_ENOUGH || r->stopping || clock_mono_ns() >= until)
        return;
    pthread_mutex_unlock(&r->mutex);
    struct timespec at = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    pthread_mutex_lock(&r->mutex);
}

/* Until there is something to flush, or all is over. The mutex is held on entry and at the end. */
static void wait_for_due(struct release *r)
{
    while (!r->stopping && r->waiting.n == 0)
        pthread_cond_wait(&r->wake, &r->mutex);
    while (!r->stopping && clock_mono_ns() < r->due) {
        struct timespec at = {.tv_sec = (time_t)(r->due / 1000000000),
                              .tv_nsec = (long)(r->due % 1000000000)};
        pthread_cond_timedwait(&r->wake, &r->mutex, &at);
    }
}

static void *release_run(void *arg)
{
    struct release *r = arg;
    uint64_t last_start = 0;
    size_t last_n = 0;
    TM_IGNORE(journal_sync(r->shared->journal, NULL)); /* makes room before the first one waits for it */
    pthread_mutex_lock(&r->mutex);
    for (;;) {
        wait_for_due(r);
        if (r->waiting.n == 0)
            break;
        pause_for_more(r, last_start, last_n);
        last_start = clock_mono_ns();
        last_n = r->n_waiting;
        r->n_waiting = 0;
        struct buf taken = r->waiting;
        r->waiting = r->sending;
        r->sending = taken;
        pthread_mutex_unlock(&r->mutex);
        sync_and_send(r->shared, buf_slice(&taken));
        buf_reset(&r->sending);
        pthread_mutex_lock(&r->mutex);
    }
    pthread_mutex_unlock(&r->mutex);
    return NULL;
}

static void release_free(struct release *r)
{
    buf_done(&r->waiting);
    buf_done(&r->sending);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}

void release_start(struct core_shared *s)
{
    struct release *r = calloc(1, sizeof *r);
    if (!r)
        return;
    r->shared = s;
    pthread_mutex_init(&r->mutex, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &clock);
    pthread_condattr_destroy(&clock);
    buf_init(&r->waiting, WAITING_MAX);
    buf_init(&r->sending, WAITING_MAX);
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&r->thread, &attr, release_run, r) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (started)
        s->release = r;
    else
        release_free(r);
}

void release_frame(struct core_shared *s, struct slice frame, size_t n, bool patient)
{
    struct release *r = s->release;
    if (!r) {
        sync_and_send(s, frame);
        return;
    }
    pthread_mutex_lock(&r->mutex);
    uint64_t due = patient ? clock_mono_ns() + PATIENCE_NS : 0;
    bool sooner = r->waiting.n == 0 || due < r->due;
    size_t before = r->waiting.n;
    buf_put_slice(&r->waiting, frame);
    bool good = buf_err(&r->waiting) == TM_OK;
    if (!good) {
        r->waiting.n = before;
        give_up(s);
    } else {
        r->n_waiting += n;
        r->due = sooner ? due : r->due;
    }
    if (good && sooner)
        pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->mutex);
}

void release_stop(struct core_shared *s)
{
    struct release *r = s->release;
    if (!r)
        return;
    pthread_mutex_lock(&r->mutex);
    r->stopping = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->mutex);
    pthread_join(r->thread, NULL);
    s->release = NULL;
    release_free(r);
}
