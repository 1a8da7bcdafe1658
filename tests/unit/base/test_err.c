#include "base/err.h"
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static void test_tm_err_name__class_and_name(void **state)
{
    assert_string_equal(tm_err_name(TM_OK), "ok");
    assert_string_equal(tm_err_name(TM_EMALFORMED), "malformed");
    assert_string_equal(tm_err_name(TM_EINTERNAL), "internal");
    assert_int_equal(tm_err_class(TM_EUSAGE), TM_CLASS_CALLER);
    assert_int_equal(tm_err_class(TM_EQUOTA), TM_CLASS_DENIED);
    assert_int_equal(tm_err_class(TM_EPENDING), TM_CLASS_UNAVAILABLE);
    assert_int_equal(tm_err_class(TM_ENOMEM), TM_CLASS_INTERNAL);
}

static void test_diag_fail__fills_and_returns(void **state)
{
    struct diag d = {.offset = 7};
    assert_int_equal(diag_fail(&d, TM_EINVAL, "RFC 1", "/a", "is %d", 3), TM_EINVAL);
    assert_string_equal(d.rule, "RFC 1");
    assert_string_equal(d.field, "/a");
    assert_string_equal(d.message, "is 3");
    assert_int_equal(d.offset, 7);
    assert_int_equal(diag_fail(&d, TM_EIO, NULL, NULL, "b"), TM_EIO);
    assert_string_equal(d.rule, "");
    assert_string_equal(d.field, "");
    diag_clear(&d);
    assert_string_equal(d.message, "");
    assert_int_equal(d.offset, 0);
}

static void test_diag_fail__no_diag(void **state)
{
    assert_int_equal(diag_fail(NULL, TM_EIO, "r", "f", "%s", "m"), TM_EIO);
}

static void test_diag_fail__arguments_from_itself(void **state)
{
    struct diag d = {.field = "/inner", .message = "too long"};
    assert_int_equal(diag_fail(&d, TM_EINVAL, d.rule, d.field, "line 3: %s", d.message), TM_EINVAL);
    assert_string_equal(d.field, "/inner");
    assert_string_equal(d.message, "line 3: too long");
}

static void test_diag_fail__unprintable(void **state)
{
    struct diag d = {0};
    assert_int_equal(diag_fail(&d, TM_EINVAL, "a\nb", "x\x1b[2J\x7f", "\xff \xc2\x9b \xc3\xa4 \xed\xa0\x80."),
                     TM_EINVAL);
    assert_string_equal(d.rule, "a?b");
    assert_string_equal(d.field, "x?[2J?");
    assert_string_equal(d.message, "? ?? \xc3\xa4 ???.");
}

static void test_diag_fail__cut_at_a_character(void **state)
{
    char field[200];
    memset(field, 'a', sizeof field);
    memcpy(field + 94, "\xc3\xa4", 2);
    field[199] = '\0';
    struct diag d;
    diag_clear(&d);
    assert_int_equal(diag_fail(&d, TM_EINVAL, NULL, field, "m"), TM_EINVAL);
    assert_int_equal(strlen(d.field), 94);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tm_err_name__class_and_name),
        cmocka_unit_test(test_diag_fail__fills_and_returns),
        cmocka_unit_test(test_diag_fail__no_diag),
        cmocka_unit_test(test_diag_fail__arguments_from_itself),
        cmocka_unit_test(test_diag_fail__unprintable),
        cmocka_unit_test(test_diag_fail__cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
