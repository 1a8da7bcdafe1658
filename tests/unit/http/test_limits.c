#include "http/limits.h"
#include <arpa/inet.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static struct address v4_of(uint32_t n)
{
    uint8_t ip[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    return address_from_v4(ip);
}

static void test_limits_enter__counts(void **state)
{
    struct limits *l;
    struct limits_peer *p[4], *other;
    struct address a = v4_of(1), b = v4_of(2);
    assert_int_equal(limits_new(&l, 3, 0), TM_OK);
    for (int i = 0; i < 3; i++)
        assert_true(limits_enter(l, &p[i], &a, true, 1));
    assert_false(limits_enter(l, &p[3], &a, true, 1));
    assert_null(p[3]);
    assert_true(limits_enter(l, &other, &b, true, 1));
    assert_true(limits_enter(l, &p[3], &a, false, 1)); /* not counted */
    limits_leave(l, p[3], false);
    limits_leave(l, p[0], true);
    assert_true(limits_enter(l, &p[0], &a, true, 1));
    assert_false(limits_enter(l, &p[3], &a, true, 1));
    struct address none = {0};
    assert_true(limits_enter(l, &p[3], &none, true, 1));
    assert_null(p[3]);
    limits_leave(l, NULL, true);
    limits_free(l);
    limits_free(NULL);
}

static void test_limits_enter__ipv6_by_64(void **state)
{
    struct limits *l;
    struct limits_peer *p;
    assert_int_equal(limits_new(&l, 1, 0), TM_OK);
    uint8_t ip[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    struct address a = address_from_v6(ip);
    assert_true(limits_enter(l, &p, &a, true, 1));
    ip[15] = 2;
    a = address_from_v6(ip);
    assert_false(limits_enter(l, &p, &a, true, 1));
    ip[7] = 1;
    a = address_from_v6(ip);
    assert_true(limits_enter(l, &p, &a, true, 1));
    limits_free(l);
}

static void test_limits_request__bucket(void **state)
{
    struct limits *l;
    struct limits_peer *p;
    struct address a = v4_of(1);
    assert_int_equal(limits_new(&l, 10, 10), TM_OK);
    assert_true(limits_enter(l, &p, &a, true, 1000));
    for (int i = 0; i < 40; i++)
        assert_int_equal(limits_request(l, p, 1000), 0);
    assert_int_equal(limits_request(l, p, 1000), 1);
    assert_int_equal(limits_request(l, p, 1099), 1);
    assert_int_equal(limits_request(l, p, 1100), 0);
    assert_int_equal(limits_request(l, p, 1100), 1);
    /* A new connection does not bring new credit. */
    limits_leave(l, p, true);
    assert_true(limits_enter(l, &p, &a, true, 1100));
    assert_int_equal(limits_request(l, p, 1100), 1);
    int n = 0;
    while (limits_request(l, p, 1000000) == 0)
        n++;
    assert_int_equal(n, 40);
    assert_int_equal(limits_request(l, NULL, 1), 0);
    limits_free(l);
}

/* More peers than there is room for: the connected ones keep their place, as far as the sets reach. */
static void test_limits_enter__table_full(void **state)
{
    enum { N = 200000 };
    struct limits *l;
    struct limits_peer *keep[100], *p;
    assert_int_equal(limits_new(&l, 1, 0), TM_OK);
    for (uint32_t i = 0; i < 100; i++) {
        struct address a = v4_of(i);
        assert_true(limits_enter(l, &keep[i], &a, true, 1));
        assert_non_null(keep[i]);
    }
    for (uint32_t i = 1000; i < N; i++) {
        struct address a = v4_of(i);
        assert_true(limits_enter(l, &p, &a, true, i));
        limits_leave(l, p, true);
    }
    for (uint32_t i = 0; i < 100; i++) {
        struct address a = v4_of(i);
        assert_false(limits_enter(l, &p, &a, true, N));
    }
    for (uint32_t i = 1000; i < N; i++) { /* all stay: some find no place and pass uncounted */
        struct address a = v4_of(i);
        assert_true(limits_enter(l, &p, &a, true, N));
    }
    limits_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_enter__counts),
        cmocka_unit_test(test_limits_enter__ipv6_by_64),
        cmocka_unit_test(test_limits_request__bucket),
        cmocka_unit_test(test_limits_enter__table_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
