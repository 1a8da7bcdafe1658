#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/date.h"
#include "status/conditional.h"
#include "status/tile_path.h"
#include <cmocka.h>

static void test_http_date__both_ways(void **state)
{
    (void)state;
    char text[30];
    int64_t t;
    http_date_format(text, 784111777);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_int_equal(http_date_parse(&t, text), TM_OK);
    assert_int_equal(t, 784111777);
    http_date_format(text, 0);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_int_equal(http_date_parse(&t, "Sunday, 06-Nov-94 08:49:37 GMT"), TM_EMALFORMED);
    assert_int_equal(http_date_parse(&t, "Sun, 31 Feb 1994 08:49:37 GMT"), TM_EMALFORMED);
    assert_int_equal(http_date_parse(&t, "Sun, 06 Nov 1994 08:49:37 GMT;"), TM_EMALFORMED);
    assert_int_equal(http_date_parse(&t, ""), TM_EMALFORMED);
}

static void test_etag_listed__lists(void **state)
{
    (void)state;
    assert_true(etag_listed("\"a\"", "\"a\""));
    assert_true(etag_listed("\"b\", W/\"a\"", "\"a\""));
    assert_true(etag_listed(" * ", "\"a\""));
    assert_false(etag_listed("\"ab\"", "\"a\""));
    assert_false(etag_listed("\"b,\\\"a\\\"\"", "\"a\""));
    assert_false(etag_listed("a", "\"a\""));
    assert_false(etag_listed("\"unfinished", "\"a\""));
    assert_false(etag_listed("", "\"a\""));
}

static void test_tile_path_parse__good(void **state)
{
    (void)state;
    unsigned level, width;
    uint64_t index;
    assert_int_equal(tile_path_parse(&level, &index, &width, "0/x001/x234/067"), TM_OK);
    assert_true(level == 0 && index == 1234067 && width == 256);
    assert_int_equal(tile_path_parse(&level, &index, &width, "1/000.p/8"), TM_OK);
    assert_true(level == 1 && index == 0 && width == 8);
    assert_int_equal(tile_path_parse(&level, &index, &width, "63/x010/001.p/255"), TM_OK);
    assert_true(level == 63 && index == 10001 && width == 255);
}

static void test_tile_path_parse__bad(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "0",         "0/",          "/000",       "00/000",
        "64/000",  "0/00",      "0/0000",      "0/x000/001", "0/x001",
        "0/x001/", "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/",
        "0/000/",  "0/000x",    "entries/000", "-1/000",     "0/x001/x001/x001/x001/x001/x001/001"};
    unsigned level, width;
    uint64_t index;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (tile_path_parse(&level, &index, &width, bad[i]) != TM_EINVAL)
            fail_msg("taken: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_date__both_ways),
        cmocka_unit_test(test_etag_listed__lists),
        cmocka_unit_test(test_tile_path_parse__good),
        cmocka_unit_test(test_tile_path_parse__bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
