#include "issue/jobs.h"
#include "base/clock.h"
#include "base/log.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { JOBS_MAX = 64 };

struct slot {
    const struct job *job;
    uint64_t due_ns;
    struct job_state state;
};

struct jobs {
    struct house *house;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct slot slots[JOBS_MAX];
    size_t n;
    bool stop;
};

static void run_one(struct jobs *j, struct slot *s)
{
    struct diag diag = {0};
    uint64_t begun = clock_mono_ns();
    tm_err e = s->job->run(j->house, &diag);
    uint64_t ended = clock_mono_ns();

    pthread_mutex_lock(&j->lock);
    struct job_state *st = &s->state;
    bool news = (e != TM_OK) != st->failing || (e != TM_OK && strcmp(st->why, diag.message) != 0);
    st->runs++;
    st->failures += e != TM_OK;
    st->failing = e != TM_OK;
    st->last_ms = (int64_t)((ended - begun) / 1000000);
    memcpy(st->why, diag.message, sizeof st->why);
    pthread_mutex_unlock(&j->lock);

    /* A job that fails every second says so once, and once more when it is well again. */
    if (news && e != TM_OK)
        log_error(NULL, "job.failed", LOG_S("job", s->job->name), LOG_S("error", tm_err_name(e)),
                  LOG_S("why", diag.message));
    else if (news)
        log_info(NULL, "job.recovered", LOG_S("job", s->job->name));
}

static void *run(void *arg)
{
    struct jobs *j = arg;
    /* Its steps begin when a commit ends, and so does the answer to whoever was in it: waking up, it takes the processor from nobody. */
    pthread_setschedparam(pthread_self(), SCHED_BATCH, &(struct sched_param){0});
    pthread_mutex_lock(&j->lock);
    while (!j->stop) {
        uint64_t now = clock_mono_ns();
        struct slot *next = NULL;
        for (size_t i = 0; i < j->n; i++)
            if (!next || j->slots[i].due_ns < next->due_ns)
                next = &j->slots[i];
        if (next && next->due_ns <= now) {
            next->due_ns = now + (uint64_t)next->job->period_ms * 1000000;
            pthread_mutex_unlock(&j->lock);
            run_one(j, next);
            pthread_mutex_lock(&j->lock);
            continue;
        }
        uint64_t until = next ? next->due_ns : now + 1000000000;
        struct timespec ts = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};
        pthread_cond_timedwait(&j->wake, &j->lock, &ts);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

tm_err jobs_add(struct jobs *j, const struct job *job)
{
    tm_err e = TM_OK;
    pthread_mutex_lock(&j->lock);
    if (j->n == JOBS_MAX) {
        e = TM_ETOOBIG;
    } else {
        struct slot *s = &j->slots[j->n++];
        *s = (struct slot){.job = job, .due_ns = clock_mono_ns() + (uint64_t)job->period_ms * 1000000};
        s->state.name = job->name;
        pthread_cond_signal(&j->wake);
    }
    pthread_mutex_unlock(&j->lock);
    return e;
}

tm_err jobs_start(struct jobs **ret, struct house *h)
{
    struct jobs *j = calloc(1, sizeof *j);
    if (!j)
        return TM_ENOMEM;
    j->house = h;
    pthread_mutex_init(&j->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&j->wake, &attr);
    pthread_condattr_destroy(&attr);
    tm_err e = TM_OK;
    for (size_t i = 0; house_jobs[i] && e == TM_OK; i++)
        e = jobs_add(j, house_jobs[i]);
    if (e == TM_OK && pthread_create(&j->thread, NULL, run, j) != 0)
        e = TM_ENOMEM;
    if (e != TM_OK) {
        pthread_cond_destroy(&j->wake);
        pthread_mutex_destroy(&j->lock);
        free(j);
        return e;
    }
    pthread_setname_np(j->thread, "jobs");
    *ret = j;
    return TM_OK;
}

void jobs_kick(struct jobs *j, const char *name)
{
    if (!j)
        return;
    uint64_t now = clock_mono_ns();
    pthread_mutex_lock(&j->lock);
    /* Not before all others: one that is kicked without end would be the only one to run. */
    for (size_t i = 0; i < j->n; i++)
        if (strcmp(j->slots[i].job->name, name) == 0 && j->slots[i].due_ns > now)
            j->slots[i].due_ns = now;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
}

void jobs_stop(struct jobs *j)
{
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    j->stop = true;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
}

void jobs_free(struct jobs *j)
{
    if (!j)
        return;
    pthread_cond_destroy(&j->wake);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

size_t jobs_state(struct jobs *j, struct job_state *ret, size_t max)
{
    pthread_mutex_lock(&j->lock);
    size_t n = j->n < max ? j->n : max;
    for (size_t i = 0; i < n; i++)
        ret[i] = j->slots[i].state;
    pthread_mutex_unlock(&j->lock);
    return n;
}
