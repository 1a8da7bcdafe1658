#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "identity/totp.h"
#include <cmocka.h>
#include <string.h>

/* RFC 6238 appendix B, the last six of its eight digits. */
static void test_totp_code__rfc6238(void **state)
{
    static const struct {
        int64_t time;
        const char *code;
    } rows[] = {{59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
                {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}};
    char code[TOTP_DIGITS + 1];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(totp_code(code, SLICE_LIT("12345678901234567890"), rows[i].time / TOTP_STEP), TM_OK);
        assert_string_equal(code, rows[i].code);
    }
}

static void test_totp_check__window_and_once(void **state)
{
    const struct slice secret = SLICE_LIT("12345678901234567890");
    struct diag diag = {0};
    char code[TOTP_DIGITS + 1];
    int64_t now = 1111111111, step = now / TOTP_STEP, used = 0;
    (void)state;
    for (int64_t d = -2; d <= 2; d++) {
        assert_int_equal(totp_code(code, secret, step + d), TM_OK);
        tm_err wanted = d >= -1 && d <= 1 ? TM_OK : TM_EAUTH;
        assert_int_equal(totp_check(&used, secret, code, 0, now, &diag), wanted);
    }
    assert_int_equal(totp_code(code, secret, step), TM_OK);
    assert_int_equal(totp_check(&used, secret, code, step - 1, now, &diag), TM_OK);
    assert_int_equal(used, step);
    assert_int_equal(totp_check(&used, secret, code, used, now, &diag), TM_EAUTH);
    assert_int_equal(totp_check(&used, secret, "12345", 0, now, &diag), TM_EAUTH);
    assert_int_equal(totp_check(&used, secret, "", 0, now, &diag), TM_EAUTH);
}

/* RFC 4648 10, without its padding. */
static void test_buf_put_base32(void **state)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "MY"},
                                          {"fo", "MZXQ"},
                                          {"foo", "MZXW6"},
                                          {"foob", "MZXW6YQ"},
                                          {"fooba", "MZXW6YTB"},
                                          {"foobar", "MZXW6YTBOI"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b;
        buf_init(&b, 64);
        buf_put_base32(&b, slice_str(rows[i][0]));
        assert_string_equal(buf_str(&b), rows[i][1]);
        buf_done(&b);
    }
}

static void test_totp_put_uri__escapes(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 256);
    totp_put_uri(&b, "Touch mark", "a&b", SLICE_LIT("foo"));
    assert_string_equal(buf_str(&b), "otpauth://totp/Touch%20mark:a%26b?secret=MZXW6&issuer=Touch%20mark");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_totp_code__rfc6238),
        cmocka_unit_test(test_totp_check__window_and_once),
        cmocka_unit_test(test_buf_put_base32),
        cmocka_unit_test(test_totp_put_uri__escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
