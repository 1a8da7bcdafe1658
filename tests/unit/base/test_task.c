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

/* An executor that only notes how it was asked. */
struct noting {
    struct executor executor;
    int posts, lists, tasks;
    struct task *first;
};

static void note_post(struct executor *e, struct task *t)
{
    struct noting *n = TM_CONTAINER(e, struct noting, executor);
    (void)t;
    n->posts++;
    n->tasks++;
}

static void note_list(struct executor *e, struct task *first)
{
    struct noting *n = TM_CONTAINER(e, struct noting, executor);
    n->lists++;
    n->first = first;
    for (struct task *t = first; t; t = t->next)
        n->tasks++;
}

static int calls;
static struct noting *called_about;

static void note_call(void)
{
    calls++;
    assert_int_equal(called_about->tasks, 0); /* before anything is let go of */
}

static void test_task_cork__lists_in_order(void **state)
{
    struct noting a = {.executor = {.post = note_post, .post_list = note_list}},
                  b = {.executor.post = note_post};
    struct task t[5] = {0};
    calls = 0;
    called_about = &a;
    assert_false(task_at_flush(note_call));
    executor_post(&a.executor, &t[0]);
    assert_int_equal(a.posts, 1);
    a = (struct noting){.executor = a.executor};
    task_cork();
    executor_post(&a.executor, &t[0]);
    executor_post(&b.executor, &t[1]);
    executor_post(&a.executor, &t[2]);
    executor_post(&b.executor, &t[3]);
    assert_true(task_at_flush(note_call));
    assert_true(task_at_flush(note_call));
    assert_int_equal(a.tasks + b.tasks, 0);
    task_flush();
    assert_int_equal(calls, 1);
    assert_int_equal(a.lists, 1);
    assert_ptr_equal(a.first, &t[0]);
    assert_ptr_equal(t[0].next, &t[2]);
    assert_null(t[2].next);
    assert_int_equal(b.posts, 2); /* has no lists */
    executor_post(&a.executor, &t[4]);
    assert_int_equal(a.lists, 1);
    task_uncork();
    assert_int_equal(a.lists, 2);
    assert_int_equal(a.tasks, 3);
    task_uncork();
    executor_post(&a.executor, &t[4]);
    assert_int_equal(a.posts, 1);
}

static void test_task_cork__more_executors_than_are_kept(void **state)
{
    enum { MANY = 20 };
    struct noting n[MANY] = {0};
    struct task t[MANY] = {0};
    task_cork();
    for (int i = 0; i < MANY; i++) {
        n[i].executor = (struct executor){.post = note_post, .post_list = note_list};
        executor_post(&n[i].executor, &t[i]);
    }
    task_uncork();
    for (int i = 0; i < MANY; i++)
        assert_int_equal(n[i].tasks, 1);
}

struct chained {
    struct task task;
    struct executor *self, *reply;
    int left;
    bool done;
};

static void chained_done(struct task *t)
{
    TM_CONTAINER(t, struct chained, task)->done = true;
}

static void chained_run(struct task *t)
{
    struct chained *c = TM_CONTAINER(t, struct chained, task);
    if (c->left-- > 0) {
        executor_post(c->self, t);
        return;
    }
    t->run = chained_done;
    executor_post(c->reply, t);
}

/* A thread that is held until all have been posted, then what ran when. */
struct noted {
    struct task task;
    char what;
    char *order;
    _Atomic size_t *n;
    pthread_mutex_t *held;
};

static void note_run(struct task *t)
{
    struct noted *x = TM_CONTAINER(t, struct noted, task);
    if (x->held) {
        pthread_mutex_lock(x->held);
        pthread_mutex_unlock(x->held);
        return;
    }
    x->order[atomic_fetch_add(x->n, 1)] = x->what;
}

static void test_pool_behind__others_go_first(void **state)
{
    (void)state;
    enum { MANY = 100, FEW = 3 };
    struct pool *p;
    pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
    struct noted hold = {.task.run = note_run, .held = &held}, v[2 * MANY];
    char order[2 * MANY + 1] = "";
    _Atomic size_t n = 0;
    assert_int_equal(pool_new(&p, "test", 1), TM_OK);
    pthread_mutex_lock(&held);
    executor_post(pool_executor(p), &hold.task);
    for (int i = 0; i < MANY + FEW; i++) {
        v[i] = (struct noted){.task.run = note_run, .what = i < MANY ? 'b' : 'a', .order = order, .n = &n};
        executor_post(i < MANY ? pool_behind(p) : pool_executor(p), &v[i].task);
    }
    pthread_mutex_unlock(&held);
    pool_free(p);
    assert_int_equal(n, MANY + FEW);
    assert_memory_equal(order, "aaabbb", 6);
}

/* However many go first, some of the others run too. */
static void test_pool_behind__is_not_forgotten(void **state)
{
    (void)state;
    enum { MANY = 100 };
    struct pool *p;
    pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
    struct noted hold = {.task.run = note_run, .held = &held}, v[2 * MANY];
    char order[2 * MANY + 1] = "";
    _Atomic size_t n = 0;
    assert_int_equal(pool_new(&p, "test", 1), TM_OK);
    pthread_mutex_lock(&held);
    executor_post(pool_executor(p), &hold.task);
    for (int i = 0; i < 2 * MANY; i++) {
        v[i] = (struct noted){.task.run = note_run, .what = i < MANY ? 'b' : 'a', .order = order, .n = &n};
        executor_post(i < MANY ? pool_behind(p) : pool_executor(p), &v[i].task);
    }
    pthread_mutex_unlock(&held);
    pool_free(p);
    assert_int_equal(n, 2 * MANY);
    const char *first = strchr(order, 'b'), *last = strrchr(order, 'a');
    assert_true(first && last && first < last);
}

/* Tasks that post to their own pool and to a waiter: nothing stays behind, neither under load nor with a lone one. */
static void test_pool_gather__nothing_stays(void **state)
{
    enum { CHAINS = 50 };
    struct pool *p;
    struct waiter *w = waiter_new();
    struct chained c[CHAINS] = {0};
    assert_int_equal(pool_new(&p, "test", 2), TM_OK);
    pool_gather(p, 8, 1000);
    for (int i = 0; i < CHAINS; i++) {
        c[i] = (struct chained){
            .task.run = chained_run, .self = pool_executor(p), .reply = waiter_executor(w), .left = 40};
        executor_post(pool_executor(p), &c[i].task);
    }
    for (int i = 0; i < CHAINS; i++)
        waiter_run(w, &c[i].done);
    c[0] = (struct chained){
        .task.run = chained_run, .self = pool_executor(p), .reply = waiter_executor(w), .left = 3};
    executor_post(pool_executor(p), &c[0].task);
    waiter_run(w, &c[0].done);
    waiter_free(w);
    pool_free(p);
}

static void test_task_cores__one_at_least(void **state)
{
    assert_true(task_cores() >= 1);
}

static void test_pool_new__refused(void **state)
{
    struct pool *p = NULL;
    assert_int_equal(pool_new(&p, "test", 0), TM_EINVAL);
    assert_null(p);
}

enum { TOGETHER = 4 };

struct meeting {
    struct task task;
    pthread_barrier_t *all;
    _Atomic int *met;
};

static void meet(struct task *t)
{
    const struct meeting *m = TM_CONTAINER(t, struct meeting, task);
    pthread_barrier_wait(m->all);
    atomic_fetch_add(m->met, 1);
}

/* Threads come as they are wanted: tasks that wait for each other all get one, posted together or one by one. */
static void test_pool__a_thread_for_each_that_blocks(void **state)
{
    struct pool *p;
    pthread_barrier_t all;
    _Atomic int met = 0;
    struct meeting m[2 * TOGETHER];
    assert_int_equal(pthread_barrier_init(&all, NULL, TOGETHER), 0);
    assert_int_equal(pool_new(&p, "test", TOGETHER), TM_OK);
    for (int i = 0; i < 2 * TOGETHER; i++)
        m[i] = (struct meeting){.task.run = meet, .all = &all, .met = &met};
    for (int i = 0; i < TOGETHER; i++)
        executor_post(pool_executor(p), &m[i].task);
    task_cork();
    for (int i = TOGETHER; i < 2 * TOGETHER; i++)
        executor_post(pool_executor(p), &m[i].task);
    task_uncork();
    pool_free(p);
    assert_int_equal(met, 2 * TOGETHER);
    pthread_barrier_destroy(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_queue__in_order),
        cmocka_unit_test(test_task_queue__many_producers),
        cmocka_unit_test(test_pool__finishes_what_is_queued),
        cmocka_unit_test(test_pool__thread_and_waiter),
        cmocka_unit_test(test_pool__a_thread_for_each_that_blocks),
        cmocka_unit_test(test_waiter__freed_as_soon_as_done),
        cmocka_unit_test(test_pool_new__refused),
        cmocka_unit_test(test_task_cork__lists_in_order),
        cmocka_unit_test(test_task_cork__more_executors_than_are_kept),
        cmocka_unit_test(test_pool_behind__others_go_first),
        cmocka_unit_test(test_pool_behind__is_not_forgotten),
        cmocka_unit_test(test_pool_gather__nothing_stays),
        cmocka_unit_test(test_task_cores__one_at_least),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
