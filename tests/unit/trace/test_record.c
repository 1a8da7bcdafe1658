#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "trace/record.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static char id[TRACE_ID_LEN + 1];
static struct buf out;

static int setup(void **state)
{
    (void)state;
    struct diag diag = {0};
    clock_fix(1795259166);
    buf_init(&out, 4 * TRACE_RECORDING_OCTETS);
    return trace_record_start(id, 1, trace_protocol_by_name("acme"), "acme", 60, &diag) == TM_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    buf_done(&out);
    trace_record_close();
    clock_fix(0);
    return 0;
}

static struct trace_recording look(size_t after)
{
    struct trace_recording g;
    buf_reset(&out);
    assert_int_equal(trace_record_read(&g, &out, 1, id, after, TRACE_RECORDING_OCTETS), TM_OK);
    return g;
}

static void test_trace_record__nobody_else_s(void **state)
{
    (void)state;
    struct trace_recording g;
    assert_int_equal(trace_record_read(&g, &out, 2, id, 0, 1), TM_ENOTFOUND);
    assert_int_equal(trace_record_stop(&g, 2, id), TM_ENOTFOUND);
    assert_int_equal(trace_record_read(&g, &out, 1, id, 1, 1), TM_EINVAL);
    assert_int_equal(trace_record_stop(&g, 1, id), TM_OK);
    assert_int_equal(trace_record_stop(&g, 1, id), TM_ENOTFOUND);
}

static void test_trace_record__ends_by_time(void **state)
{
    (void)state;
    struct trace_recording g = look(0);
    assert_true(g.running);
    clock_fix(1795259166 + 61);
    g = look(0);
    assert_false(g.running);
    assert_string_equal(g.ended_by, "time");
    clock_fix(1795259166 + 61 + TRACE_RECORDING_KEPT_S);
    assert_int_equal(trace_record_read(&g, &out, 1, id, 0, 1), TM_ENOTFOUND);
}

static void test_trace_record_start__only_so_many(void **state)
{
    (void)state;
    char other[TRACE_ID_LEN + 1];
    struct diag diag = {0};
    for (int i = 1; i < TRACE_RECORDINGS_MAX; i++)
        assert_int_equal(trace_record_start(other, 1, trace_protocol_by_name("est"), "x", 60, &diag), TM_OK);
    assert_int_equal(trace_record_start(other, 1, trace_protocol_by_name("est"), "x", 60, &diag), TM_EQUOTA);
    clock_fix(1795259166 + 60 + TRACE_RECORDING_KEPT_S);
    assert_int_equal(trace_record_start(other, 1, trace_protocol_by_name("est"), "x", 60, &diag), TM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_trace_record__nobody_else_s, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trace_record__ends_by_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trace_record_start__only_so_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
