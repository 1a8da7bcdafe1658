/* A loop's thread, its executor and its clock. */
#include "base/clock.h"
#include "base/digest.h"
#include "http/internal.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

void loop_now(struct loop *l)
{
    l->now_ms = clock_mono_ns() / 1000000;
}

/* A turn of many events must not hold up those whose requests came first: with every millisecond they go on. */
void loop_step(struct loop *l)
{
    loop_now(l);
    if (l->now_ms == l->flushed_ms)
        return;
    l->flushed_ms = l->now_ms;
    task_flush();
}

static _Thread_local const struct loop *here; /* the loop whose thread this is */

bool loop_is_here(const struct loop *l)
{
    return here == l;
}

/* ---- executor: a queue, and an eventfd that is written once for each batch ---- */

static void wake(struct loop *l)
{
    if (loop_is_here(l)) {
        event_active(l->wake, EV_READ, 1);
        return;
    }
    uint64_t one = 1;
    while (write(l->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static void post(struct executor *e, struct task *t)
{
    struct loop *l = TM_CONTAINER(e, struct loop, executor);
    if (task_queue_push(&l->queue, t))
        wake(l);
}

static void post_list(struct executor *e, struct task *first)
{
    struct loop *l = TM_CONTAINER(e, struct loop, executor);
    if (task_queue_push_list(&l->queue, first))
        wake(l);
}

static void run_queued(struct loop *l)
{
    for (struct task *t = task_queue_take(&l->queue), *next; t; t = next) {
        next = t->next;
        t->run(t);
        loop_step(l);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    uint64_t n;
    while (read(l->wake_fd, &n, sizeof n) < 0 && errno == EINTR)
        ;
    loop_step(l);
    run_queued(l);
}

/* ---- deadlines ---- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    loop_now(l);
    wheel_advance(&l->wheel, l->now_ms, conn_expired);
    if (!l->conns) {
        event_del(l->tick);
        l->ticking = false;
    }
}

/* Only while there are connections: an idle server sleeps. */
void loop_tick_on(struct loop *l)
{
    if (l->ticking)
        return;
    l->ticking = true;
    l->wheel.now = l->now_ms / TICK_MS;
    event_add(l->tick, &(struct timeval){.tv_usec = TICK_MS * 1000});
}

void loop_conn_gone(struct loop *l)
{
    struct http_server *s = l->server;
    l->n_conns--;
    if (l->n_conns == 0 && l->stopping) {
        pthread_mutex_lock(&s->stop_mutex);
        s->n_busy--;
        pthread_cond_broadcast(&s->stop_cond);
        pthread_mutex_unlock(&s->stop_mutex);
    }
}

/* ---- stopping ---- */

static void for_all_conns(struct loop *l, void (*act)(struct conn *c))
{
    for (struct conn *c = l->conns, *next; c; c = next) {
        next = c->next;
        act(c);
    }
}

static void stop_listening(struct task *t)
{
    struct loop *l = TM_CONTAINER(t, struct loop, stop_task);
    struct http_server *s = l->server;
    listen_stop(l);
    l->stopping = true;
    for_all_conns(l, conn_retire);
    pthread_mutex_lock(&s->stop_mutex);
    s->n_unasked--;
    s->n_busy += l->n_conns > 0;
    pthread_cond_broadcast(&s->stop_cond);
    pthread_mutex_unlock(&s->stop_mutex);
}

static void abort_all(struct task *t)
{
    struct loop *l = TM_CONTAINER(t, struct loop, abort_task);
    struct http_server *s = l->server;
    for_all_conns(l, conn_abort);
    pthread_mutex_lock(&s->stop_mutex);
    s->n_unasked--;
    pthread_cond_broadcast(&s->stop_cond);
    pthread_mutex_unlock(&s->stop_mutex);
}

static void end_loop(struct task *t)
{
    struct loop *l = TM_CONTAINER(t, struct loop, end_task);
    event_base_loopbreak(l->base);
}

/* ---- life ---- */

static void *run(void *arg)
{
    struct loop *l = arg;
    here = l;
    /* What the requests of one turn hand to the pools, and what they log, leaves together: a lone request ends its turn alone. */
    task_cork();
    while (event_base_loop(l->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) == 0 &&
           !event_base_got_break(l->base))
        task_flush();
    task_uncork();
    /* Tasks may have come together with the one that ended the loop. */
    run_queued(l);
    listen_stop(l);
    for_all_conns(l, conn_free);
    return NULL;
}

tm_err loop_init(struct loop *l, struct http_server *s, unsigned index)
{
    l->server = s;
    l->index = index;
    l->executor.post = post;
    l->executor.post_list = post_list;
    l->stop_task.run = stop_listening;
    l->abort_task.run = abort_all;
    l->end_task.run = end_loop;
    buf_init(&l->head, 256 << 10);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake_fd < 0)
        return TM_EUNAVAIL;
    TM_TRY(random_bytes(&l->ids, sizeof l->ids));
    struct event_config *config = event_config_new();
    if (!config)
        return TM_ENOMEM;
    /* Between threads go only eventfds, so the base needs no locks. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    l->base = event_base_new_with_config(config);
    event_config_free(config);
    l->chunk = malloc(IO_CHUNK);
    l->listeners = calloc(s->n_listeners, sizeof *l->listeners);
    if (!l->base || !l->chunk || !l->listeners)
        return TM_ENOMEM;
    l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    l->tick = event_new(l->base, -1, EV_PERSIST, on_tick, l);
    if (!l->wake || !l->tick || event_add(l->wake, NULL) != 0)
        return TM_ENOMEM;
    loop_now(l);
    return TM_OK;
}

tm_err loop_start(struct loop *l)
{
    /* Signals are main's; SIGPIPE, which OpenSSL's writes could raise, stays blocked. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    l->started = pthread_create(&l->thread, NULL, run, l) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!l->started)
        return TM_EUNAVAIL;
    char name[16];
    snprintf(name, sizeof name, "http-%u", l->index % 1000);
    pthread_setname_np(l->thread, name);
    return TM_OK;
}

void loop_done(struct loop *l)
{
    if (l->started) {
        executor_post(&l->executor, &l->end_task);
        pthread_join(l->thread, NULL);
    } else if (l->listeners) {
        listen_stop(l);
    }
    request_spare_free(l);
    if (l->wake)
        event_free(l->wake);
    if (l->tick)
        event_free(l->tick);
    if (l->base)
        event_base_free(l->base);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    free(l->listeners);
    free(l->chunk);
    buf_done(&l->head);
}
