#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static void test_slice_cmp__order(void **state)
{
    assert_true(slice_cmp(SLICE_LIT("a"), SLICE_LIT("b")) < 0);
    assert_true(slice_cmp(SLICE_LIT("b"), SLICE_LIT("abc")) > 0);
    assert_true(slice_cmp(SLICE_LIT("ab"), SLICE_LIT("abc")) < 0);
    assert_true(slice_cmp(SLICE_LIT("\xff"), SLICE_LIT("\x01")) > 0);
    assert_int_equal(slice_cmp(slice_of(NULL, 0), SLICE_LIT("")), 0);
    assert_true(slice_cmp(slice_of(NULL, 0), SLICE_LIT("a")) < 0);
}

static void test_slice_caseeq__ascii_only(void **state)
{
    assert_true(slice_caseeq(SLICE_LIT("Example.COM"), SLICE_LIT("eXAMPLE.com")));
    assert_false(slice_caseeq(SLICE_LIT("a"), SLICE_LIT("ab")));
    assert_false(slice_caseeq(SLICE_LIT("["), SLICE_LIT("{")));
    assert_false(slice_caseeq(SLICE_LIT("\xc4"), SLICE_LIT("\xe4")));
}

static void test_slice_ct_eq__cases(void **state)
{
    assert_true(slice_ct_eq(SLICE_LIT("token"), SLICE_LIT("token")));
    assert_false(slice_ct_eq(SLICE_LIT("token"), SLICE_LIT("tokem")));
    assert_false(slice_ct_eq(SLICE_LIT("token"), SLICE_LIT("toke")));
    assert_true(slice_ct_eq(slice_of(NULL, 0), SLICE_LIT("")));
}

static void test_slice_sub__clamps(void **state)
{
    struct slice s = SLICE_LIT("abcdef");
    assert_true(slice_eq_str(slice_sub(s, 2, 3), "cde"));
    assert_true(slice_eq_str(slice_sub(s, 4, SIZE_MAX), "ef"));
    assert_int_equal(slice_sub(s, 6, 1).n, 0);
    assert_int_equal(slice_sub(s, SIZE_MAX, SIZE_MAX).n, 0);
    assert_int_equal(slice_sub(slice_of(NULL, 0), 0, 1).n, 0);
}

static void test_slice_trim__white_space(void **state)
{
    assert_true(slice_eq_str(slice_trim(SLICE_LIT(" \t\r\n a b \v\f")), "a b"));
    assert_int_equal(slice_trim(SLICE_LIT("  \n")).n, 0);
    assert_int_equal(slice_trim(slice_of(NULL, 0)).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice_cmp__order),        cmocka_unit_test(test_slice_caseeq__ascii_only),
        cmocka_unit_test(test_slice_ct_eq__cases),      cmocka_unit_test(test_slice_sub__clamps),
        cmocka_unit_test(test_slice_trim__white_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
