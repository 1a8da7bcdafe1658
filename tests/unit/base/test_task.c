#include "base/task.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

enum { PRODUCERS = 4, EACH = 2000 };

struct numbered {
    struct task task;
    int producer, number;
};

static struct numbered items[PRODUCERS][EACH];

static void test_task_queue__in_order(void **state)
{
    struct task_queue q = {0};
    struct task t[3] = {0};
    assert_null(task_queue_take(&q));
    assert_true(task_queue_push(&q, &t[0]));
    assert_false(task_queue_push(&q, &t[1]));
    assert_false(task_queue_push(&q, &t[2]));
    struct task *first = task_queue_take(&q);
    assert_ptr_equal(first, &t[0]);
    assert_ptr_equal(first->next, &t[1]);
    assert_ptr_equal(first->next->next, &t[2]);
    assert_null(first->next->next->next);
    assert_null(task_queue_take(&q));
    assert_true(task_queue_push(&q, &t[0]));
}

struct producer {
    struct task_queue *queue;
    int index;
};

static void *produce(void *arg)
{
    const struct producer *p = arg;
    for (int i = 0; i < EACH; i++) {
        items[p->index][i] = (struct numbered){.producer = p->index, .number = i};
        task_queue_push(p->queue, &items[p->index][i].task);
    }
    return NULL;
}

static void test_task_queue__many_producers(void **state)
{
    static struct task_queue q;
    pthread_t threads[PRODUCERS];
    struct producer producers[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){&q, i};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    int next[PRODUCERS] = {0}, taken = 0;
    while (taken < PRODUCERS * EACH) {
        struct task *t = task_queue_take(&q);
        if (!t)
            usleep(100);
        for (struct task *after; t; t = after, taken++) {
            after = t->next;
            const struct numbered *n = TM_CONTAINER(t, struct numbered, task);
            assert_int_equal(n->number, next[n->producer]++);
        }
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    assert_null(task_queue_take(&q));
}

/* ---- pool ---- */

struct counted {
    struct task task;
    _Atomic int *count;
    struct executor *again; /* posted once more from within */
};

static void count(struct task *t)
{
    struct counted *c = TM_CONTAINER(t, struct counted, task);
    struct executor *again = c->again;
    c->again = NULL;
    atomic_fetch_add(c->count, 1);
    if (again)
        executor_post(again, t);
}

static void test_pool__finishes_what_is_queued(void **state)
{
    static struct counted tasks[1000];
    _Atomic int ran = 0;
    struct pool *p;
    assert_int_equal(pool_new(&p, "test", 3), TM_OK);
    for (int i = 0; i < 1000; i++) {
        tasks[i] = (struct counted){.task.run = count, .count = &ran, .again = pool_executor(p)};
        executor_post(pool_executor(p), &tasks[i].task);
    }
    pool_free(p);
    assert_int_equal(ran, 2000);
    pool_free(NULL);
}

struct observed {
    struct task task;
    char name[16];
    bool blocked;
    struct executor *reply;
    bool done;
};

static void observe_done(struct task *t)
{
    TM_CONTAINER(t, struct observed, task)->done = true;
}

static void observe(struct task *t)
{
    struct observed *o = TM_CONTAINER(t, struct observed, task);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    o->blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGHUP) == 1;
    pthread_getname_np(pthread_self(), o->name, sizeof o->name);
    t->run = observe_done;
    executor_post(o->reply, t);
}

static void test_pool__thread_and_waiter(void **state)
{
    struct pool *p;
    struct waiter *w = waiter_new();
    assert_int_equal(pool_new(&p, "a-rather-long-name", 1), TM_OK);
    struct observed o = {.task.run = observe, .reply = waiter_executor(w)};
    executor_post(pool_executor(p), &o.task);
    waiter_run(w, &o.done);
    assert_true(o.done);
    assert_true(o.blocked);
    assert_string_equal(o.name, "a-rather-lo-0");
    assert_int_equal(pool_queued(p), 0);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGTERM), 0);
    waiter_run(w, &o.done); /* done already: doesn't wait */
    waiter_free(w);
    waiter_free(NULL);
    pool_free(p);
}

static void test_waiter__freed_as_soon_as_done(void **state)
{
    struct pool *p;
    assert_int_equal(pool_new(&p, "test", 2), TM_OK);
    for (int i = 0; i < 500; i++) {
        struct waiter *w = waiter_new();
        struct observed o = {.task.run = observe, .reply = waiter_executor(w)};
        executor_post(pool_executor(p), &o.task);
        waiter_run(w, &o.done);
        waiter_free(w);
    }
    pool_free(p);
}

static void test_pool_new__refused(void **state)
{
    struct pool *p = NULL;
    assert_int_equal(pool_new(&p, "test", 0), TM_EINVAL);
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_queue__in_order),
        cmocka_unit_test(test_task_queue__many_producers),
        cmocka_unit_test(test_pool__finishes_what_is_queued),
        cmocka_unit_test(test_pool__thread_and_waiter),
        cmocka_unit_test(test_waiter__freed_as_soon_as_done),
        cmocka_unit_test(test_pool_new__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
