#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "enroll/acme/star_schedule.h"
#include <cmocka.h>

enum { DAY = 86400 };

/* The example of RFC 8739 3.5.1: ten days from the 10th, four days each, three of them ahead. */
static void test_star_due__example(void **state)
{
    (void)state;
    const int64_t t = 1452384000; /* 2016-01-10T00:00:00Z */
    const struct acme_star s = {
        .start = t, .end = t + 10 * DAY, .lifetime = 4 * DAY, .adjust = 3 * DAY, .first = t};
    assert_int_equal(star_not_after(&s, 0), t + 4 * DAY);
    assert_int_equal(star_due(&s, 1), t + DAY);
    assert_int_equal(star_not_after(&s, 1), t + 8 * DAY);
    assert_int_equal(star_due(&s, 2), t + 5 * DAY);
    assert_int_equal(star_not_after(&s, 2), t + 10 * DAY);
    assert_int_equal(star_due(&s, 3), 0);
}

static void test_star_due__halfway_at_the_latest(void **state)
{
    (void)state;
    struct acme_star s = {.end = 1000, .lifetime = 101, .first = 100};
    assert_int_equal(star_due(&s, 1), 201 - 51);
    s.adjust = 60;
    assert_int_equal(star_due(&s, 1), 201 - 60);
    s.adjust = 5000; /* no more than a lifetime */
    assert_int_equal(star_due(&s, 1), 100);
}

static void test_star_index__after_silence(void **state)
{
    (void)state;
    struct acme_star s = {.end = 10000, .lifetime = 100, .first = 1000, .next = 2};
    assert_int_equal(star_index(&s, 900), 2);
    assert_int_equal(star_index(&s, 1150), 2);
    assert_int_equal(star_index(&s, 1799), 7);
    assert_true(star_not_after(&s, star_index(&s, 1799)) > 1799);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_star_due__example),
        cmocka_unit_test(test_star_due__halfway_at_the_latest),
        cmocka_unit_test(test_star_index__after_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
