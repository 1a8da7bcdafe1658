#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "issue/under_way.h"
#include <cmocka.h>

static void test_under_way_as_of__the_oldest(void **state)
{
    (void)state;
    struct under_way u;
    under_way_init(&u);
    clock_fix(1000);
    assert_int_equal(under_way_as_of(&u), 1000000);
    unsigned a = under_way_begin(&u);
    clock_fix(1010);
    unsigned b = under_way_begin(&u);
    assert_int_equal(under_way_as_of(&u), 1000000);
    under_way_end(&u, b);
    assert_int_equal(under_way_as_of(&u), 1000000);
    under_way_end(&u, a);
    assert_int_equal(under_way_as_of(&u), 1010000);
    under_way_done(&u);
}

/* Each begins before the one before it ends: the instant follows all the same. */
static void test_under_way_as_of__a_stream(void **state)
{
    (void)state;
    struct under_way u;
    under_way_init(&u);
    clock_fix(1000);
    unsigned before = under_way_begin(&u);
    for (int i = 1; i <= 100; i++) {
        clock_fix(1000 + i);
        unsigned next = under_way_begin(&u);
        assert_true(under_way_as_of(&u) >= (1000 + i - 2) * 1000);
        assert_true(under_way_as_of(&u) <= (1000 + i) * 1000);
        under_way_end(&u, before);
        before = next;
    }
    under_way_end(&u, before);
    assert_int_equal(under_way_as_of(&u), 1100000);
    under_way_done(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_under_way_as_of__the_oldest),
        cmocka_unit_test(test_under_way_as_of__a_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
