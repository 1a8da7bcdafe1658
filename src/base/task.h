/* base/task.h - tasks, executors and worker pools: how work moves between threads.
 *
 * Layer 0. A task is intrusive: it lives inside the operation it belongs to, so posting never allocates and never fails.
 * An executor runs posted tasks one after another (a loop) or on several threads (a pool). */
#pragma once
#include "base/err.h"
#include <stdbool.h>

struct task {
    void (*run)(struct task *t);
    struct task *next; /* the executor's, while queued */
};

/* The object that embeds a member: TM_CONTAINER(t, struct my_op, task). */
#define TM_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

struct executor {
    /* Queue `t`; callable from any thread; wakes the executor. The task must not be queued elsewhere. */
    void (*post)(struct executor *e, struct task *t);
    /* The same for a list in order, linked by ->next: one lock, one wake-up. NULL: each is posted alone. */
    void (*post_list)(struct executor *e, struct task *first);
};

/* Post now, or, while the thread is corked, when it is uncorked. */
void executor_post(struct executor *e, struct task *t);

/* What a thread posts between these leaves it at the end, list by list: a hand-over costs more than what is handed over. A task that
 * blocks or works for long while its thread may be corked calls task_flush() first; waiter_run() does. Cork once, uncork once. */
void task_cork(void);
void task_uncork(void);
/* Let go of what is held back; the cork stays. */
void task_flush(void);
/* While corked: `f` is called once, on this thread, with the next flush, and true returned. Else false. */
bool task_at_flush(void (*f)(void));

/* A multi-producer queue: push from anywhere, one consumer takes everything at once in order. Returns true when it was empty
 * before (so that the consumer needs a wake-up). Lock-free. */
struct task_queue {
    _Atomic(struct task *) head;
};
bool task_queue_push(struct task_queue *q, struct task *t);
bool task_queue_push_list(struct task_queue *q, struct task *first);
/* All queued tasks in the order they were pushed, linked by ->next; NULL when none. */
struct task *task_queue_take(struct task_queue *q);

/* A pool of threads with names `<name>-<i>`. pool_executor() may be used until pool_free(), which finishes what is queued. */
struct pool;
tm_err pool_new(struct pool **ret, const char *name, unsigned threads);
void pool_free(struct pool *p);
struct executor *pool_executor(struct pool *p);
/* For what may wait: tasks posted here let all others go first, but for one in a while. */
struct executor *pool_behind(struct pool *p);
/* Its threads are corked while there is work, for at most `tasks` tasks and `us` microseconds at a time. For pools whose tasks don't block;
 * call it before the first post. */
void pool_gather(struct pool *p, unsigned tasks, unsigned us);
/* How many tasks wait. */
size_t pool_queued(const struct pool *p);

/* What this thread does can wait: whenever others want the processor they have it. */
void thread_give_way(void);

/* Wait for one completion from a thread that may block (CLI, pool threads, tests; never a loop). */
struct waiter;
struct waiter *waiter_new(void);
void waiter_free(struct waiter *w);
struct executor *waiter_executor(struct waiter *w); /* runs posted tasks inside waiter_run() */
/* Run posted tasks until `*done` is true. */
void waiter_run(struct waiter *w, const bool *done);

/* How many cores this process may use. */
unsigned task_cores(void);
