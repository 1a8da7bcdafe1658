#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "trace/trace.h"
#include <cmocka.h>
#include <string.h>

static struct arena *a;

static int setup(void **state)
{
    (void)state;
    a = arena_new(0);
    return a ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(a);
    return 0;
}

static tm_err read_text(struct trace *t, const char *text, struct diag *diag)
{
    return trace_read(t, a, slice_str(text), diag);
}

static void test_trace_read__lines(void **state)
{
    (void)state;
    struct trace t;
    struct diag diag = {0};
    assert_int_equal(
        read_text(
            &t,
            "{\"touchmark\":\"trace\",\"version\":1}\n\n"
            "{\"at\":1500,\"method\":\"POST\",\"target\":\"/acme/x/new-order?a=1\",\"request\":{\"headers\":"
            "[[\"Host\",\"ca\"]],\"body\":\"aGk=\"},\"status\":201,\"response\":{\"headers\":[],\"omitted\":\"large\"}}",
            &diag),
        TM_OK);
    assert_int_equal(t.n, 1);
    assert_int_equal(t.v[0].number, 1);
    assert_int_equal(t.v[0].at_ms, 1500);
    assert_string_equal(t.v[0].path, "/acme/x/new-order");
    assert_string_equal(t.v[0].target, "/acme/x/new-order?a=1");
    assert_string_equal(trace_header(&t.v[0].request, "host"), "ca");
    assert_null(trace_header(&t.v[0].response, "host"));
    assert_true(slice_eq_str(t.v[0].request.body, "hi"));
    assert_string_equal(t.v[0].response.omitted, "large");
    assert_int_equal(t.v[0].status, 201);
}

static void test_trace_read__har(void **state)
{
    (void)state;
    struct trace t;
    struct diag diag = {0};
    assert_int_equal(
        read_text(
            &t,
            " {\"log\":{\"entries\":[{\"startedDateTime\":\"1970-01-01T00:00:02.5Z\",\"request\":{\"method\":\"GET\","
            "\"url\":\"https://ca.example:8443/acme/x/directory\",\"headers\":[{\"name\":\"Accept\",\"value\":\"*/*\"}]},"
            "\"response\":{\"status\":200,\"headers\":[],\"content\":{\"text\":\"aGk=\",\"encoding\":\"base64\"}}}]}}",
            &diag),
        TM_OK);
    assert_int_equal(t.n, 1);
    assert_int_equal(t.v[0].at_ms, 2500);
    assert_string_equal(t.v[0].path, "/acme/x/directory");
    assert_true(slice_eq_str(t.v[0].response.body, "hi"));
}

static void test_trace_read__refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        tm_err e;
    } all[] = {
        {"{\"touchmark\":\"trace\",\"version\":2}", "version", TM_EUNSUPPORTED},
        {"nonsense", "line 1", TM_EMALFORMED},
        {"{\"touchmark\":\"trace\",\"version\":1}\n{}", "line 2", TM_EMALFORMED},
        {"{\"at\":1,\"method\":\"GET\",\"target\":\"/\",\"status\":1000,\"request\":{},\"response\":{}}",
         "status", TM_EMALFORMED},
        {"{\"at\":1,\"method\":\"GET\",\"target\":\"/\",\"status\":200,\"request\":[],\"response\":{}}",
         "objects", TM_EMALFORMED},
        {"{\"at\":1,\"method\":\"GET\",\"target\":\"/\",\"status\":200,\"request\":{\"body\":\"*\"},\"response\":{}}",
         "base64", TM_EMALFORMED},
        {"{\"log\":{}}", "log.entries", TM_EMALFORMED},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct trace t;
        struct diag diag = {0};
        assert_int_equal(read_text(&t, all[i].text, &diag), all[i].e);
        assert_non_null(strstr(diag.message, all[i].message));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_trace_read__lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trace_read__har, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trace_read__refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
