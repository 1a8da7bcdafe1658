/* Device lists as CSV and NDJSON: rows, line numbers, and what goes on after a bad one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "device/import.h"
#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static tm_err next(struct device_import *im, struct device_fields *f)
{
    struct diag diag = {0};
    return device_import_next(im, f, arena, &diag);
}

static void test_device_import_next__csv(void **state)
{
    (void)state;
    struct device_import im;
    struct device_fields f;
    assert_int_equal(device_import_begin(&im,
                                         SLICE_LIT("\xef\xbb\xbf"
                                                   "id,serial,model,tag.line,identifier.mac\r\n"
                                                   "d1,S1,\"gate, big \"\"X\"\"\",a,02:01\r\n"
                                                   "\r\n"
                                                   ",S2,,,\n"),
                                         true, NULL),
                     TM_OK);
    assert_int_equal(next(&im, &f), TM_OK);
    assert_string_equal(f.id, "d1");
    assert_string_equal(f.model, "gate, big \"X\"");
    assert_string_equal(f.tags, "{\"line\":\"a\"}");
    assert_string_equal(f.identifiers, "{\"mac\":\"02:01\"}");
    assert_int_equal(im.line, 2);
    assert_int_equal(next(&im, &f), TM_OK);
    assert_string_equal(f.id, "S2");
    assert_null(f.model);
    assert_int_equal(im.line, 4);
    assert_int_equal(next(&im, &f), TM_ENOTFOUND);
}

static void test_device_import_next__csv_goes_on_after_bad_rows(void **state)
{
    (void)state;
    struct device_import im;
    struct device_fields f;
    assert_int_equal(
        device_import_begin(&im, SLICE_LIT("id,model\na,b,c\n\"x\"y,z\nok,m\n/,m\nlast,\"open"), true, NULL),
        TM_OK);
    assert_int_equal(next(&im, &f), TM_EMALFORMED);
    assert_int_equal(im.line, 2);
    assert_int_equal(next(&im, &f), TM_EMALFORMED);
    assert_int_equal(im.line, 3);
    assert_int_equal(next(&im, &f), TM_OK);
    assert_string_equal(f.id, "ok");
    assert_int_equal(next(&im, &f), TM_EINVAL);
    assert_int_equal(im.line, 5);
    assert_int_equal(next(&im, &f), TM_EMALFORMED);
    assert_int_equal(next(&im, &f), TM_ENOTFOUND);
}

static void test_device_import_begin__refuses_unknown_columns(void **state)
{
    (void)state;
    struct device_import im;
    assert_int_equal(device_import_begin(&im, SLICE_LIT("id,colour\n"), true, NULL), TM_EINVAL);
    assert_int_equal(device_import_begin(&im, SLICE_LIT("model\n"), true, NULL), TM_EINVAL);
    assert_int_equal(device_import_begin(&im, SLICE_LIT(""), true, NULL), TM_EINVAL);
}

static void test_device_import_next__ndjson(void **state)
{
    (void)state;
    struct device_import im;
    struct device_fields f;
    assert_int_equal(device_import_begin(&im,
                                         SLICE_LIT("{\"id\":\"a\",\"tags\":{\"k\":\"v\"}}\n"
                                                   "\n"
                                                   "{\"id\":\"b\",\"colour\":1}\n"
                                                   "[]\n"
                                                   "not json\n"
                                                   "{\"serial\":\"c\"}"),
                                         false, NULL),
                     TM_OK);
    assert_int_equal(next(&im, &f), TM_OK);
    assert_string_equal(f.id, "a");
    assert_string_equal(f.tags, "{\"k\":\"v\"}");
    assert_int_not_equal(next(&im, &f), TM_OK);
    assert_int_equal(im.line, 3);
    assert_int_equal(next(&im, &f), TM_EMALFORMED);
    assert_int_not_equal(next(&im, &f), TM_OK);
    assert_int_equal(next(&im, &f), TM_OK);
    assert_string_equal(f.id, "c");
    assert_int_equal(im.line, 6);
    assert_int_equal(next(&im, &f), TM_ENOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_device_import_next__csv, setup, teardown),
        cmocka_unit_test_setup_teardown(test_device_import_next__csv_goes_on_after_bad_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_device_import_begin__refuses_unknown_columns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_device_import_next__ndjson, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
