#include "base/task.h"
#include "base/clock.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* A stack that any number of producers push on; the consumer takes it whole, so that no element is ever popped alone and
 * the ABA problem does not arise. */
bool task_queue_push(struct task_queue *q, struct task *t)
{
    struct task *head = atomic_load_explicit(&q->head, memory_order_relaxed);
    do
        t->next = head;
    while (!atomic_compare_exchange_weak_explicit(&q->head, &head, t, memory_order_release,
                                                  memory_order_relaxed));
    /* From here on `t` belongs to the consumer, it may be gone already. */
    return head == NULL;
}

bool task_queue_push_list(struct task_queue *q, struct task *first)
{
    struct task *newest = NULL, *last = first;
    if (!first)
        return false;
    for (struct task *t = first, *next; t; t = next) {
        next = t->next;
        t->next = newest;
        newest = t;
    }
    struct task *head = atomic_load_explicit(&q->head, memory_order_relaxed);
    do
        last->next = head;
    while (!atomic_compare_exchange_weak_explicit(&q->head, &head, newest, memory_order_release,
                                                  memory_order_relaxed));
    return head == NULL;
}

struct task *task_queue_take(struct task_queue *q)
{
    struct task *newest = atomic_exchange_explicit(&q->head, NULL, memory_order_acquire);
    struct task *in_order = NULL;
    while (newest) {
        struct task *older = newest->next;
        newest->next = in_order;
        in_order = newest;
        newest = older;
    }
    return in_order;
}

/* ---- what pool and waiter share: a queue under a mutex ---- */

struct task_list {
    struct task *first, **end; /* *end == NULL */
};

static void task_list_add(struct task_list *l, struct task *t)
{
    t->next = NULL;
    *l->end = t;
    l->end = &t->next;
}

/* Not for an empty list. */
static struct task *task_list_pop(struct task_list *l)
{
    struct task *t = l->first;
    l->first = t->next;
    if (!l->first)
        l->end = &l->first;
    t->next = NULL;
    return t;
}

/* ---- cork ---- */

enum { OUTBOX_EXECUTORS = 8, OUTBOX_CALLS = 4 };

struct held {
    struct executor *to;
    struct task_list list;
};

/* What this thread holds back, in the order in which the executors came up. */
static _Thread_local struct {
    bool corked;
    size_t n, n_calls;
    struct held v[OUTBOX_EXECUTORS];
    void (*calls[OUTBOX_CALLS])(void);
} outbox;

static void post_list(struct executor *e, struct task *first)
{
    if (e->post_list) {
        e->post_list(e, first);
        return;
    }
    for (struct task *t = first, *next; t; t = next) {
        next = t->next;
        e->post(e, t);
    }
}

void task_flush(void)
{
    /* A call may post, and a post may run into a call: until nothing is left. */
    while (outbox.n > 0 || outbox.n_calls > 0) {
        while (outbox.n_calls > 0)
            outbox.calls[--outbox.n_calls]();
        struct held v[OUTBOX_EXECUTORS];
        size_t n = outbox.n;
        memcpy(v, outbox.v, n * sizeof *v);
        outbox.n = 0;
        for (size_t i = 0; i < n; i++)
            post_list(v[i].to, v[i].list.first);
    }
}

void executor_post(struct executor *e, struct task *t)
{
    if (!outbox.corked) {
        e->post(e, t);
        return;
    }
    size_t i = 0;
    while (i < outbox.n && outbox.v[i].to != e)
        i++;
    if (i == OUTBOX_EXECUTORS) {
        task_flush();
        i = 0;
    }
    if (i == outbox.n) {
        outbox.v[i].to = e;
        outbox.v[i].list.first = NULL;
        outbox.v[i].list.end = &outbox.v[i].list.first;
        outbox.n++;
    }
    task_list_add(&outbox.v[i].list, t);
}

void task_cork(void)
{
    outbox.corked = true;
}

void task_uncork(void)
{
    outbox.corked = false;
    task_flush();
}

bool task_at_flush(void (*f)(void))
{
    if (!outbox.corked)
        return false;
    for (size_t i = 0; i < outbox.n_calls; i++)
        if (outbox.calls[i] == f)
            return true;
    if (outbox.n_calls == OUTBOX_CALLS)
        return false;
    outbox.calls[outbox.n_calls++] = f;
    return true;
}

/* ---- pool ---- */

enum { BEHIND_EVERY = 32 };

struct pool {
    struct executor executor, behind;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct task_list queue, later;
    unsigned passed; /* tasks that went before those of `later` since one of them ran */
    bool stopping;
    _Atomic size_t queued;
    char name[16];                    /* what Linux keeps of a thread's name */
    unsigned gather_tasks, gather_us; /* 0: its threads are never corked */
    unsigned most, started, running;  /* threads: at most, now, at a task */
    pthread_t threads[];
};

static void pool_grow(struct pool *p);

static void pool_add(struct pool *p, struct task_list *queue, struct task *t)
{
    pthread_mutex_lock(&p->mutex);
    task_list_add(queue, t);
    atomic_fetch_add_explicit(&p->queued, 1, memory_order_relaxed);
    pool_grow(p);
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->mutex);
}

static void pool_add_list(struct pool *p, struct task_list *queue, struct task *first)
{
    size_t n = 1;
    struct task *last = first;
    for (; last->next; last = last->next)
        n++;
    pthread_mutex_lock(&p->mutex);
    *queue->end = first;
    queue->end = &last->next;
    atomic_fetch_add_explicit(&p->queued, n, memory_order_relaxed);
    pool_grow(p);
    if (n > 1)
        pthread_cond_broadcast(&p->wake);
    else
        pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->mutex);
}

static void pool_post(struct executor *e, struct task *t)
{
    struct pool *p = TM_CONTAINER(e, struct pool, executor);
    pool_add(p, &p->queue, t);
}

static void pool_post_list(struct executor *e, struct task *first)
{
    struct pool *p = TM_CONTAINER(e, struct pool, executor);
    pool_add_list(p, &p->queue, first);
}

static void behind_post(struct executor *e, struct task *t)
{
    struct pool *p = TM_CONTAINER(e, struct pool, behind);
    pool_add(p, &p->later, t);
}

static void behind_post_list(struct executor *e, struct task *first)
{
    struct pool *p = TM_CONTAINER(e, struct pool, behind);
    pool_add_list(p, &p->later, first);
}

static bool pool_empty(const struct pool *p)
{
    return !p->queue.first && !p->later.first;
}

/* The next task; the mutex is held, and there is one. */
static struct task *pool_take(struct pool *p)
{
    atomic_fetch_sub_explicit(&p->queued, 1, memory_order_relaxed);
    if (p->later.first && (!p->queue.first || ++p->passed > BEHIND_EVERY)) {
        p->passed = 0;
        return task_list_pop(&p->later);
    }
    return task_list_pop(&p->queue);
}

/* A thread's turn of corked tasks. */
struct turn {
    unsigned tasks;
    uint64_t until_ns; /* 0: not corked */
};

static void turn_begin(struct turn *turn, const struct pool *p)
{
    if (p->gather_tasks == 0 || turn->until_ns)
        return;
    turn->tasks = 0;
    turn->until_ns = clock_mono_ns() + (uint64_t)p->gather_us * 1000;
    task_cork();
}

static bool turn_over(struct turn *turn, const struct pool *p)
{
    return turn->until_ns && (++turn->tasks >= p->gather_tasks || clock_mono_ns() >= turn->until_ns);
}

static void turn_end(struct turn *turn)
{
    if (!turn->until_ns)
        return;
    turn->until_ns = 0;
    task_uncork();
}

static void *pool_thread(void *arg)
{
    struct pool *p = arg;
    struct turn turn = {0};
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        if (pool_empty(p) && turn.until_ns) {
            pthread_mutex_unlock(&p->mutex);
            turn_end(&turn);
            pthread_mutex_lock(&p->mutex);
        }
        while (pool_empty(p) && !p->stopping)
            pthread_cond_wait(&p->wake, &p->mutex);
        if (pool_empty(p))
            break;
        struct task *t = pool_take(p);
        p->running++;
        pthread_mutex_unlock(&p->mutex);
        turn_begin(&turn, p);
        t->run(t);
        if (turn_over(&turn, p))
            turn_end(&turn);
        pthread_mutex_lock(&p->mutex);
        p->running--;
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

/* One more thread. Signals belong to the loops: it starts with all of them blocked, which it inherits; the scheduling of who happens to post it does
 * not inherit. */
static tm_err pool_start(struct pool *p)
{
    sigset_t all, before;
    pthread_attr_t attr;
    sigfillset(&all);
    if (pthread_attr_init(&attr) != 0)
        return TM_EUNAVAIL;
    tm_err err = TM_EUNAVAIL;
    if (pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED) == 0 &&
        pthread_sigmask(SIG_SETMASK, &all, &before) == 0) {
        if (pthread_create(&p->threads[p->started], &attr, pool_thread, p) == 0) {
            char name[32];
            snprintf(name, sizeof name, "%.11s-%u", p->name, p->started);
            name[15] = '\0';
            pthread_setname_np(p->threads[p->started], name);
            p->started++;
            err = TM_OK;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attr);
    return err;
}

/* Threads come as they are wanted: most of the pools for slow work stand still most of the time, and a thread is 12 KiB. The mutex is held. Where no
 * more can be had, those there are do the work. */
static void pool_grow(struct pool *p)
{
    size_t wanted = p->running + pool_queued(p);
    while (!p->stopping && p->started < p->most && p->started < wanted)
        if (pool_start(p) != TM_OK)
            break;
}

tm_err pool_new(struct pool **ret, const char *name, unsigned threads)
{
    if (threads == 0 || threads > 1024)
        return TM_EINVAL;
    struct pool *p = calloc(1, sizeof *p + threads * sizeof p->threads[0]);
    if (!p)
        return TM_ENOMEM;
    p->executor.post = pool_post;
    p->executor.post_list = pool_post_list;
    p->behind.post = behind_post;
    p->behind.post_list = behind_post_list;
    p->queue.end = &p->queue.first;
    p->later.end = &p->later.first;
    p->most = threads;
    snprintf(p->name, sizeof p->name, "%s", name);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    tm_err err = pool_start(p);
    if (err != TM_OK) {
        pool_free(p);
        return err;
    }
    *ret = p;
    return TM_OK;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    p->stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

void pool_gather(struct pool *p, unsigned tasks, unsigned us)
{
    pthread_mutex_lock(&p->mutex);
    p->gather_tasks = tasks;
    p->gather_us = us;
    pthread_mutex_unlock(&p->mutex);
}

struct executor *pool_executor(struct pool *p)
{
    return &p->executor;
}

struct executor *pool_behind(struct pool *p)
{
    return &p->behind;
}

size_t pool_queued(const struct pool *p)
{
    return atomic_load_explicit(&p->queued, memory_order_relaxed);
}

/* ---- waiter ---- */

struct waiter {
    struct executor executor;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct task_list queue;
};

static void waiter_post(struct executor *e, struct task *t)
{
    struct waiter *w = TM_CONTAINER(e, struct waiter, executor);
    pthread_mutex_lock(&w->mutex);
    task_list_add(&w->queue, t);
    /* Inside the lock: once it is released, the task may have run and the waiter be gone. */
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
}

struct waiter *waiter_new(void)
{
    struct waiter *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->executor.post = waiter_post;
    w->queue.end = &w->queue.first;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->wake, NULL);
    return w;
}

void waiter_free(struct waiter *w)
{
    if (!w)
        return;
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}

struct executor *waiter_executor(struct waiter *w)
{
    return &w->executor;
}

void waiter_run(struct waiter *w, const bool *done)
{
    task_flush(); /* what is waited for may be held back here */
    while (!*done) {
        pthread_mutex_lock(&w->mutex);
        while (!w->queue.first)
            pthread_cond_wait(&w->wake, &w->mutex);
        struct task *t = task_list_pop(&w->queue);
        pthread_mutex_unlock(&w->mutex);
        t->run(t);
    }
}

/* ---- cores ---- */

unsigned task_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

void thread_give_way(void)
{
    enum { NICE = 19 };
    /* Linux: niceness is a thread's own, and a batch thread that wakes up takes the processor from nobody. */
    setpriority(PRIO_PROCESS, 0, NICE);
    pthread_setschedparam(pthread_self(), SCHED_BATCH, &(struct sched_param){0});
}
