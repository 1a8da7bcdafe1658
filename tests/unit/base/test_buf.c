#include "base/buf.h"
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static void test_buf_put__grows(void **state)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_string_equal(buf_str(&b), "");
    for (int i = 0; i < 10000; i++)
        buf_printf(&b, "%d,", i);
    assert_int_equal(buf_err(&b), TM_OK);
    assert_int_equal(b.n, 48890);
    assert_int_equal(strlen(buf_str(&b)), b.n);
    assert_memory_equal(b.p + b.n - 5, "9999,", 5);
    buf_done(&b);
    buf_done(&b);
}

static void test_buf_put__maximum_is_sticky(void **state)
{
    struct buf b;
    buf_init(&b, 100);
    for (int i = 0; i < 10; i++)
        buf_puts(&b, "0123456789");
    assert_int_equal(buf_err(&b), TM_OK);
    assert_int_equal(b.n, 100);
    buf_putc(&b, 'x');
    assert_int_equal(buf_err(&b), TM_ETOOBIG);
    buf_puts(&b, "");
    buf_printf(&b, "%d", 1);
    assert_null(buf_extend(&b, 0));
    assert_int_equal(b.n, 100);
    assert_string_equal(buf_str(&b), "");
    assert_null(buf_take(&b));
    buf_reset(&b);
    assert_int_equal(buf_err(&b), TM_OK);
    buf_puts(&b, "again");
    assert_string_equal(buf_str(&b), "again");
    buf_done(&b);
}

static void test_buf_printf__over_the_maximum(void **state)
{
    struct buf b;
    buf_init(&b, 80);
    buf_printf(&b, "%080d", 1);
    assert_int_equal(buf_err(&b), TM_OK);
    buf_reset(&b);
    buf_printf(&b, "%081d", 1);
    assert_int_equal(buf_err(&b), TM_ETOOBIG);
    assert_int_equal(b.n, 0);
    buf_done(&b);
}

static void test_buf_extend__counts(void **state)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    assert_null(buf_extend(&b, SIZE_MAX));
    assert_int_equal(buf_err(&b), TM_ETOOBIG);
    buf_reset(&b);
    memset(buf_extend(&b, 200), 'z', 200);
    assert_int_equal(b.n, 200);
    assert_int_equal(strlen(buf_str(&b)), 200);
    buf_done(&b);
}

static void test_buf_consume__front(void **state)
{
    struct buf b;
    buf_init(&b, 100);
    buf_consume(&b, 5);
    buf_puts(&b, "hello world");
    buf_consume(&b, 6);
    assert_string_equal(buf_str(&b), "world");
    buf_consume(&b, 60);
    assert_string_equal(buf_str(&b), "");
    assert_int_equal(b.n, 0);
    buf_done(&b);
}

static void test_buf_put_json_string__escapes(void **state)
{
    static const struct {
        struct slice in;
        const char *out;
    } cases[] = {
        {SLICE_LIT(""), "\"\""},
        {SLICE_LIT("plain"), "\"plain\""},
        {SLICE_LIT("a\"b\\c/"), "\"a\\\"b\\\\c/\""},
        {SLICE_LIT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
        {SLICE_LIT("\0\x1f\x7f"), "\"\\u0000\\u001f\\u007f\""},
        {SLICE_LIT("\xc3\xa4\xf0\x9f\x94\x91"), "\"\xc3\xa4\xf0\x9f\x94\x91\""},
        {SLICE_LIT("x\xffy"), "\"x\xef\xbf\xbdy\""},
        {SLICE_LIT("\xc3"), "\"\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        buf_init(&b, 100);
        buf_put_json_string(&b, cases[i].in);
        assert_string_equal(buf_str(&b), cases[i].out);
        buf_done(&b);
    }
}

static void test_buf_take__hands_over(void **state)
{
    struct buf b;
    buf_init(&b, 100);
    char *empty = buf_take(&b);
    assert_string_equal(empty, "");
    buf_puts(&b, "mine");
    char *mine = buf_take(&b);
    assert_string_equal(mine, "mine");
    assert_int_equal(b.n, 0);
    buf_puts(&b, "still usable");
    assert_string_equal(buf_str(&b), "still usable");
    free(empty);
    free(mine);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_put__grows),
        cmocka_unit_test(test_buf_put__maximum_is_sticky),
        cmocka_unit_test(test_buf_printf__over_the_maximum),
        cmocka_unit_test(test_buf_extend__counts),
        cmocka_unit_test(test_buf_consume__front),
        cmocka_unit_test(test_buf_put_json_string__escapes),
        cmocka_unit_test(test_buf_take__hands_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
