#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "discover/pace.h"
#include <cmocka.h>

static void test_pace_may__per_second(void **state)
{
    (void)state;
    struct pace p;
    unsigned made = 0;
    assert_true(pace_init(&p, 100, 0, 1000));
    for (uint64_t now = 1000; now < 3000; now += 10)
        while (pace_may(&p, now)) {
            pace_took(&p);
            made++;
        }
    assert_in_range(made, 199, 202);
    /* What was not used is made up for, but not more than half a second's worth. */
    made = 0;
    while (pace_may(&p, 60000)) {
        pace_took(&p);
        made++;
    }
    assert_in_range(made, 49, 51);
    pace_done(&p);
}

static void test_pace_may__slow_ones_go_on(void **state)
{
    (void)state;
    struct pace p;
    unsigned made = 0;
    assert_true(pace_init(&p, 1, 0, 0));
    for (uint64_t now = 0; now <= 10000; now += 10)
        if (pace_may(&p, now)) {
            pace_took(&p);
            made++;
        }
    assert_in_range(made, 10, 11);
    pace_done(&p);
}

static void test_pace_host__each_its_own(void **state)
{
    (void)state;
    struct pace p;
    struct address a = address_from_v4((const uint8_t[]){192, 0, 2, 1}),
                   b = address_from_v4((const uint8_t[]){192, 0, 2, 2});
    assert_true(pace_init(&p, 0, 10, 0));
    assert_int_equal(pace_host(&p, &a, 5000), 5000);
    assert_int_equal(pace_host(&p, &a, 5000), 5100);
    assert_int_equal(pace_host(&p, &a, 5000), 5200);
    assert_int_equal(pace_host(&p, &b, 5000), 5000);
    assert_int_equal(pace_host(&p, &a, 9000), 9000);
    pace_done(&p);
    assert_true(pace_init(&p, 0, 0, 0));
    assert_int_equal(pace_host(&p, &a, 7), 7);
    assert_int_equal(pace_host(&p, &a, 7), 7);
    pace_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pace_may__per_second),
        cmocka_unit_test(test_pace_may__slow_ones_go_on),
        cmocka_unit_test(test_pace_host__each_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
