#include "base/task.h"
#include "suite.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { WRITERS = 8, EACH = 300 };

struct writer_thread {
    pthread_t thread;
    struct suite suite; /* the store is shared, the arena is the thread's */
    unsigned first;
    int bad;
};

static void *writer_main(void *arg)
{
    struct writer_thread *w = arg;
    for (unsigned i = 0; i < EACH; i++) {
        unsigned number = w->first + i;
        struct effect e[3] = {suite_cert(&w->suite, 1, number, SUITE_NOW + SUITE_YEAR),
                              suite_event(1, "t", "s", number),
                              {.kind = EFFECT_QUOTA_TAKE, .tenant = 1}};
        e[2].u.quota.name = "q";
        e[2].u.quota.max = i % 10 ? UINT64_MAX >> 1 : 0; /* every tenth is refused */
        e[2].u.quota.take = 1;
        tm_err wanted = i % 10 ? TM_OK : TM_EQUOTA;
        w->bad += commit(&w->suite, e, 3) != wanted;
        struct store_read r = suite_by_key(1, CERT_KEY_CN, arena_printf(w->suite.arena, "device %u", number));
        r.arena = w->suite.arena;
        w->bad += store_read_now(w->suite.store, &r) != TM_OK || r.n != (i % 10 != 0);
    }
    return NULL;
}

static void test_commit__many_writers_read_what_they_wrote(void **state)
{
    struct suite *s = *state;
    static struct writer_thread w[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) {
        w[i] = (struct writer_thread){.suite = *s, .first = i * 1000};
        w[i].suite.arena = arena_new(0);
        assert_int_equal(pthread_create(&w[i].thread, NULL, writer_main, &w[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(w[i].thread, NULL);
        arena_free(w[i].suite.arena);
        assert_int_equal(w[i].bad, 0);
    }
    uint64_t good = WRITERS * EACH * 9 / 10;
    struct store_read r = {.kind = READ_COUNTS, .tenant = 1};
    assert_ok(look(s, &r));
    assert_int_equal(r.counts.certs, good);
    assert_int_equal(r.counts.events, good);
    r = (struct store_read){.kind = READ_QUOTA, .tenant = 1, .name = "q"};
    assert_ok(look(s, &r));
    assert_int_equal(r.count, good);
    struct store_stats stats;
    s->store->driver->stats(s->store, &stats);
    assert_int_equal(stats.txns, WRITERS * EACH);
    assert_int_equal(stats.failed, WRITERS * EACH / 10);
    assert_true(stats.commits <= stats.txns);
    assert_int_equal(stats.queue, 0);
}

/* ---- everything at once, asynchronously ---- */

struct async_op {
    struct store_txn txn;
    struct effect effects[2];
    struct waiter *w;
    size_t *left;
    bool *done;
};

static void async_done(struct task *t)
{
    struct async_op *op = TM_CONTAINER(t, struct async_op, txn.done);
    if (--*op->left == 0)
        *op->done = true;
}

static void test_submit__thousands_in_flight(void **state)
{
    struct suite *s = *state;
    size_t n = 5000, left = n;
    bool done = false;
    struct waiter *w = waiter_new();
    struct async_op *ops = calloc(n, sizeof *ops);
    assert_non_null(ops);
    for (size_t i = 0; i < n; i++) {
        ops[i].effects[0] = suite_cert(s, 1, (unsigned)(i / 2), SUITE_NOW + SUITE_YEAR); /* each id twice */
        ops[i].effects[1] = suite_event(1, "t", "s", (unsigned)i);
        ops[i].left = &left;
        ops[i].done = &done;
        ops[i].txn = (struct store_txn){
            .done = {.run = async_done}, .reply_to = waiter_executor(w), .effects = ops[i].effects, .n = 2};
        store_submit(s->store, &ops[i].txn);
    }
    waiter_run(w, &done);
    uint64_t next = 0;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(ops[i].txn.err, i % 2 ? TM_ECONFLICT : TM_OK);
        if (i % 2 == 0)
            assert_int_equal(ops[i].effects[1].u.event.pos, next++);
    }
    waiter_free(w);
    free(ops);
}

struct async_read {
    struct store_read read;
    bool done;
};

static void read_done(struct task *t)
{
    TM_CONTAINER(t, struct async_read, read.done)->done = true;
}

static void test_read_submit__answers(void **state)
{
    struct suite *s = *state;
    struct effect e = suite_cert(s, 1, 5, SUITE_NOW + SUITE_YEAR);
    assert_ok(commit1(s, &e));
    struct waiter *w = waiter_new();
    struct async_read op = {.read = {.done = {.run = read_done},
                                     .reply_to = waiter_executor(w),
                                     .arena = s->arena,
                                     .kind = READ_CERT,
                                     .tenant = 1}};
    memcpy(op.read.id, e.u.cert.row.id, CERT_SERIAL_LEN);
    store_read_submit(s->store, &op.read);
    waiter_run(w, &op.done);
    assert_ok(op.read.err);
    assert_string_equal(op.read.certs[0].device, "dev-0");
    waiter_free(w);
}

/* Submitted before the close, and so done. */
static void test_close__finishes_what_is_queued(void **state)
{
    struct suite *s = *state;
    size_t n = 500, left = n;
    bool done = false;
    struct waiter *w = waiter_new();
    struct async_op *ops = calloc(n, sizeof *ops);
    assert_non_null(ops);
    for (size_t i = 0; i < n; i++) {
        ops[i].effects[0] = suite_event(1, "t", "s", (unsigned)i);
        ops[i].left = &left;
        ops[i].done = &done;
        ops[i].txn = (struct store_txn){
            .done = {.run = async_done}, .reply_to = waiter_executor(w), .effects = ops[i].effects, .n = 1};
        store_submit(s->store, &ops[i].txn);
    }
    suite_reopen(s);
    waiter_run(w, &done);
    struct store_read r = {.kind = READ_LOG_SIZE, .tenant = 1};
    assert_ok(look(s, &r));
    assert_int_equal(r.count, n);
    waiter_free(w);
    free(ops);
}

/* Alone, with others who wait for nobody, and at the end of all. */
static void test_submit__the_patient_are_served(void **state)
{
    struct suite *s = *state;
    struct effect alone = suite_event(1, "t", "s", 0);
    struct store_txn t = {.effects = &alone, .n = 1, .patient = true};
    assert_ok(store_commit(s->store, &t));
    size_t n = 40, left = n;
    bool done = false;
    struct waiter *w = waiter_new();
    struct async_op *ops = calloc(n, sizeof *ops);
    assert_non_null(ops);
    for (size_t i = 0; i < n; i++) {
        ops[i].effects[0] = suite_event(1, "t", "s", (unsigned)i);
        ops[i].left = &left;
        ops[i].done = &done;
        ops[i].txn = (struct store_txn){.done = {.run = async_done},
                                        .reply_to = waiter_executor(w),
                                        .effects = ops[i].effects,
                                        .n = 1,
                                        .patient = i < 3 || i % 3 == 0};
        store_submit(s->store, &ops[i].txn);
    }
    suite_reopen(s);
    waiter_run(w, &done);
    for (size_t i = 0; i < n; i++)
        assert_ok(ops[i].txn.err);
    struct store_read r = {.kind = READ_LOG_SIZE, .tenant = 1};
    assert_ok(look(s, &r));
    assert_int_equal(r.count, n + 1);
    waiter_free(w);
    free(ops);
}

const struct CMUnitTest suite_concurrency[] = {
    SUITE_TEST(test_commit__many_writers_read_what_they_wrote),
    SUITE_TEST(test_submit__thousands_in_flight),
    SUITE_TEST(test_read_submit__answers),
    SUITE_TEST(test_close__finishes_what_is_queued),
    SUITE_TEST(test_submit__the_patient_are_served),
};
SUITE_END(suite_concurrency);
