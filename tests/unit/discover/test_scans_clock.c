/* Scans that the clock starts: each when its time has come and once, over restarts, whatever becomes of the others. */
#include "discover/scans.h"
#include "unit/authority/still_house.h"
#include <time.h>

enum { EVERY = 300, DAY = 86400, RUNS_MAX = 16, LOOKS_MAX = 6000 };

static int begin(void **state)
{
    struct diag diag = {0};
    if (still_begin(state) != 0)
        return -1;
    CHECK_OK(scans_start(house), diag);
    return 0;
}

static int end(void **state)
{
    scans_stop(house);
    return still_end(state);
}

static int each_begin(void **state)
{
    t0 += DAY;
    clock_fix(t0);
    return still_each_begin(state);
}

/* Replaced where it is there already. */
static void put_scan(json_t *doc)
{
    struct diag diag = {0};
    assert_non_null(doc);
    CHECK_OK(house_resource_put(house, TENANT_DEFAULT, "Scan", doc, -1, "tester", NULL, &diag), diag);
    json_decref(doc);
}

/* Nobody listens on port 1. */
static void put_quick(const char *name, const char *every, bool disabled)
{
    put_scan(json_pack("{s:s,s:s,s:[s],s:s,s:b}", "kind", "Scan", "name", name, "targets", "127.0.0.1:1",
                       "every", every, "disabled", disabled));
}

static tm_err tick(struct diag *diag)
{
    return scans_job.run(house, diag);
}

static void tick_ok(void)
{
    struct diag diag = {0};
    CHECK_OK(tick(&diag), diag);
}

/* How many runs there are of it; the newest is *ret. */
static size_t runs(const char *name, struct run *ret)
{
    struct diag diag = {0};
    struct run *v;
    size_t n;
    bool more;
    CHECK_OK(run_list(&v, &n, &more, arena, house, TENANT_DEFAULT, name, 0, "", RUNS_MAX, &diag), diag);
    assert_false(more);
    if (n)
        *ret = v[0];
    return n;
}

/* Once it is so; a guard against waiting for ever is all that LOOKS_MAX is. */
static struct run until(const char *name, int status, int64_t done)
{
    static const struct timespec some = {.tv_nsec = 10000000};
    struct run r = {0};
    for (int i = 0; i < LOOKS_MAX; i++) {
        assert_true(runs(name, &r) > 0);
        scans_look(house, &r);
        if (r.status == status && r.done >= done)
            return r;
        nanosleep(&some, NULL);
    }
    fail_msg("the run of %s is %s, %d of %d done: %s", name, run_status_names[r.status], (int)r.done,
             (int)r.total, r.why);
    return r;
}

static void test_scans_job__each_time_once(void **state)
{
    (void)state;
    struct run first, second;
    put_quick("often", "5m", false);
    put_quick("never", "0s", false);
    put_quick("not-now", "5m", true);
    tick_ok();
    tick_ok();
    first = until("often", RUN_DONE, 1);
    assert_string_equal(first.by, "house");
    assert_int_equal(first.total, 1);
    clock_fix(t0 + EVERY - 1);
    tick_ok();
    assert_int_equal(runs("often", &second), 1);
    clock_fix(t0 + EVERY);
    tick_ok();
    second = until("often", RUN_DONE, 1);
    assert_string_not_equal(first.id, second.id);
    assert_int_equal(runs("often", &first), 2);
    assert_int_equal(runs("never", &first), 0);
    assert_int_equal(runs("not-now", &first), 0);
    put_quick("not-now", "5m", false);
    tick_ok();
    (void)until("not-now", RUN_DONE, 1);
    put_quick("often", "0s", false);
    put_quick("not-now", "0s", false);
}

/* What is under way when the house closes goes on with the next one, and isn't begun beside itself, however late it is. */
static void test_scans_job__over_a_restart(void **state)
{
    struct diag diag = {0};
    struct run r, again;
    (void)state;
    put_scan(json_pack("{s:s,s:s,s:[s],s:[s],s:s,s:i}", "kind", "Scan", "name", "long", "targets",
                       "127.0.0.0/24", "ports", "1", "every", "5m", "rate", 20));
    tick_ok();
    r = until("long", RUN_RUNNING, 10);
    scans_stop(house);
    house_close(house);
    house = open_home();
    clock_fix(t0 + DAY);
    assert_int_equal(runs("long", &again), 1);
    assert_int_equal(again.status, RUN_RUNNING);
    int64_t had = again.done;
    assert_true(had >= 10);
    CHECK_OK(scans_start(house), diag);
    tick_ok();
    again = until("long", RUN_RUNNING, had + 1);
    assert_string_equal(again.id, r.id);
    assert_int_equal(runs("long", &r), 1);
    CHECK_OK(scans_cancel(house, TENANT_DEFAULT, again.id, "tester", &diag), diag);
    (void)until("long", RUN_CANCELED, 0);
    tick_ok();
    assert_int_equal(runs("long", &r), 2);
    CHECK_OK(scans_cancel(house, TENANT_DEFAULT, r.id, "tester", &diag), diag);
    (void)until("long", RUN_CANCELED, 0);
    put_quick("long", "0s", false);
}

/* One whose targets are more than a run can tell of: it is named, and the others are begun. */
static void test_scans_job__one_that_cannot_begin(void **state)
{
    enum { TARGETS = 4000, LABEL = 60 };
    struct diag diag = {0};
    struct run r;
    char host[3 * LABEL + 16];
    json_t *targets = json_array();
    (void)state;
    for (int i = 0; i < TARGETS; i++) {
        snprintf(host, sizeof host, "%0*d.%0*d.%0*d.invalid", LABEL, i, LABEL, i, LABEL, i);
        json_array_append_new(targets, json_string(host));
    }
    put_scan(json_pack("{s:s,s:s,s:o,s:s}", "kind", "Scan", "name", "a-big-one", "targets", targets, "every",
                       "5m"));
    put_quick("small", "5m", false);
    assert_int_equal(tick(&diag), TM_ETOOBIG);
    assert_non_null(strstr(diag.message, "a-big-one"));
    (void)until("small", RUN_DONE, 1);
    assert_int_equal(runs("a-big-one", &r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scans_job__each_time_once, each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_scans_job__over_a_restart, each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_scans_job__one_that_cannot_begin, each_begin, still_each_end),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
