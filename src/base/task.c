#include "base/task.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

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

/* ---- pool ---- */

struct pool {
    struct executor executor;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct task_list queue;
    bool stopping;
    _Atomic size_t queued;
    char name[16]; /* what Linux keeps of a thread's name */
    unsigned started;
    pthread_t threads[];
};

static void pool_post(struct executor *e, struct task *t)
{
    struct pool *p = TM_CONTAINER(e, struct pool, executor);
    pthread_mutex_lock(&p->mutex);
    task_list_add(&p->queue, t);
    atomic_fetch_add_explicit(&p->queued, 1, memory_order_relaxed);
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->mutex);
}

static void *pool_thread(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        while (!p->queue.first && !p->stopping)
            pthread_cond_wait(&p->wake, &p->mutex);
        if (!p->queue.first)
            break;
        struct task *t = task_list_pop(&p->queue);
        atomic_fetch_sub_explicit(&p->queued, 1, memory_order_relaxed);
        pthread_mutex_unlock(&p->mutex);
        t->run(t);
        pthread_mutex_lock(&p->mutex);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

/* Signals belong to the loops: a pool thread starts with all of them blocked, which it inherits. */
static tm_err pool_start(struct pool *p, unsigned threads)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return TM_EINTERNAL;
    tm_err err = TM_OK;
    while (err == TM_OK && p->started < threads) {
        if (pthread_create(&p->threads[p->started], NULL, pool_thread, p) != 0) {
            err = TM_EUNAVAIL;
            break;
        }
        char name[32];
        snprintf(name, sizeof name, "%.11s-%u", p->name, p->started);
        name[15] = '\0';
        pthread_setname_np(p->threads[p->started], name);
        p->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

tm_err pool_new(struct pool **ret, const char *name, unsigned threads)
{
    if (threads == 0 || threads > 1024)
        return TM_EINVAL;
    struct pool *p = calloc(1, sizeof *p + threads * sizeof p->threads[0]);
    if (!p)
        return TM_ENOMEM;
    p->executor.post = pool_post;
    p->queue.end = &p->queue.first;
    snprintf(p->name, sizeof p->name, "%s", name);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    tm_err err = pool_start(p, threads);
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

struct executor *pool_executor(struct pool *p)
{
    return &p->executor;
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
    while (!*done) {
        pthread_mutex_lock(&w->mutex);
        while (!w->queue.first)
            pthread_cond_wait(&w->wake, &w->mutex);
        struct task *t = task_list_pop(&w->queue);
        pthread_mutex_unlock(&w->mutex);
        t->run(t);
    }
}
