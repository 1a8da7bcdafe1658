#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "identity/password.h"
#include <cmocka.h>
#include <string.h>

static void test_password_acceptable(void **state)
{
    static const struct {
        const char *password, *rule; /* NULL: good */
    } rows[] = {
        {"a lantern in the cellar", NULL},
        {"Tr0ub4dor&3-xyz", NULL},
        {"\xc3\xa4\xc3\xb6\xc3\xbc sind Umlaute", NULL},
        {"elevenchars", "password.length"},
        {"\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc", "password.length"},
        {"abababababababab", "password.simple"},
        {"abcdefghijklmnop", "password.simple"},
        {"987654321098765", "password.simple"},
        {"my name is ALICE ok", "password.name"},
        {"this PassWord is bad", "password.name"},
        {"not \xff utf-8 at all, no", "password.form"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct diag diag = {0};
        tm_err e = password_acceptable(slice_str(rows[i].password), "alice", &diag);
        if (rows[i].rule ? e != TM_EINVAL || strcmp(diag.rule, rows[i].rule) != 0 : e != TM_OK)
            fail_msg("%s: %s %s", rows[i].password, tm_err_name(e), diag.rule);
    }
}

static void test_password_verify(void **state)
{
    char kept[PASSWORD_TEXT], other[PASSWORD_TEXT];
    struct diag diag = {0};
    const struct slice right = SLICE_LIT("a lantern in the cellar");
    (void)state;
    assert_int_equal(password_hash(kept, right, &diag), TM_OK);
    assert_int_equal(strncmp(kept, "$argon2id$v=19$m=65536,t=3,p=4$", 31), 0);
    assert_int_equal(password_hash(other, right, &diag), TM_OK);
    assert_string_not_equal(kept, other);
    assert_int_equal(password_verify(kept, right, &diag), TM_OK);
    assert_int_equal(password_verify(kept, SLICE_LIT("a lantern in the cellaR"), &diag), TM_EAUTH);
    assert_int_equal(password_verify(NULL, right, &diag), TM_EAUTH);
    assert_int_equal(password_verify("$argon2id$v=19$m=65536,t=3,p=4$x", right, &diag), TM_ECORRUPT);
    assert_int_equal(password_verify("$argon2id$v=19$m=99999999,t=3,p=4$YWFh$YWFh", right, &diag),
                     TM_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password_acceptable),
        cmocka_unit_test(test_password_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
