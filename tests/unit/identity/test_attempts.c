#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "identity/attempts.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void test_attempts_begin__locks_and_waits_longer(void **state)
{
    struct diag diag = {0};
    int64_t wait = 0;
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(attempts_begin("user/1/a", 5, &wait, &diag), TM_OK);
    assert_int_equal(attempts_begin("user/1/a", 5, &wait, &diag), TM_EQUOTA);
    assert_true(wait > 0 && wait <= 5);
    assert_string_equal(diag.rule, "session.locked");
    /* Others are not held up. */
    assert_int_equal(attempts_begin("user/1/b", 5, &wait, &diag), TM_OK);
    attempts_good("user/1/a");
    assert_int_equal(attempts_begin("user/1/a", 5, &wait, &diag), TM_OK);
}

static void test_attempts_undo__is_not_forgetting(void **state)
{
    struct diag diag = {0};
    int64_t wait;
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(attempts_begin("user/2/a", 5, &wait, &diag), TM_OK);
    for (int i = 0; i < 10; i++) { /* good ones of others at the same address */
        assert_int_equal(attempts_begin("user/2/a", 5, &wait, &diag), TM_OK);
        attempts_undo("user/2/a");
    }
    assert_int_equal(attempts_begin("user/2/a", 5, &wait, &diag), TM_OK);
    assert_int_equal(attempts_begin("user/2/a", 5, &wait, &diag), TM_EQUOTA);
}

static void test_attempts_rate(void **state)
{
    struct diag diag = {0};
    int64_t wait = 0;
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(attempts_rate("rate/x", 3, &wait, &diag), TM_OK);
    assert_int_equal(attempts_rate("rate/x", 3, &wait, &diag), TM_EQUOTA);
    assert_true(wait > 0 && wait <= 60);
}

static void test_attempts__a_flood_of_keys(void **state)
{
    struct diag diag = {0};
    int64_t wait;
    char key[32];
    (void)state;
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "address/%d", i);
        assert_int_equal(attempts_begin(key, 5, &wait, &diag), TM_OK);
    }
}

/* Names that nobody has, and addresses that cost nothing, open no lock again. */
static void test_attempts__a_flood_opens_no_lock(void **state)
{
    struct diag diag = {0};
    int64_t wait;
    char key[32];
    (void)state;
    for (int i = 0; i < 10; i++)
        (void)attempts_begin("user/3/locked", 5, &wait, &diag);
    assert_int_equal(attempts_begin("user/3/locked", 5, &wait, &diag), TM_EQUOTA);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "user/3/nobody-%d", i);
        assert_int_equal(attempts_begin(key, 5, &wait, &diag), TM_OK);
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "address/198.51.%d.%d", i / 200, i % 200);
        for (int k = 0; k < 8; k++)
            (void)attempts_begin(key, 20, &wait, &diag);
    }
    assert_int_equal(attempts_begin("user/3/locked", 5, &wait, &diag), TM_EQUOTA);
}

static void test_attempts_address(void **state)
{
    char out[64];
    (void)state;
    attempts_address(out, "192.0.2.1");
    assert_string_equal(out, "address/192.0.2.1");
    attempts_address(out, "2001:db8:1:2:3:4:5:6");
    assert_string_equal(out, "address/2001:db8:1:2::");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attempts_begin__locks_and_waits_longer),
        cmocka_unit_test(test_attempts_undo__is_not_forgetting),
        cmocka_unit_test(test_attempts_rate),
        cmocka_unit_test(test_attempts__a_flood_of_keys),
        cmocka_unit_test(test_attempts__a_flood_opens_no_lock),
        cmocka_unit_test(test_attempts_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
