#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "discover/order.h"
#include <cmocka.h>
#include <stdlib.h>

static void test_order_at__each_once(void **state)
{
    (void)state;
    static const uint64_t totals[] = {1, 2, 3, 4, 5, 255, 256, 257, 1000, 65536, 65537};
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        struct order o = order_of(totals[i], 12345 + i);
        uint8_t *seen = calloc(totals[i], 1);
        assert_non_null(seen);
        for (uint64_t place = 0; place < totals[i]; place++) {
            uint64_t v = order_at(&o, place);
            assert_true(v < totals[i]);
            assert_int_equal(seen[v]++, 0);
        }
        free(seen);
    }
}

static void test_order_at__seeds_and_neighbours(void **state)
{
    (void)state;
    struct order a = order_of(1 << 16, 1), b = order_of(1 << 16, 2), again = order_of(1 << 16, 1);
    unsigned same = 0, neighbours = 0;
    for (uint64_t i = 0; i < 1 << 16; i++) {
        same += order_at(&a, i) == order_at(&b, i);
        assert_int_equal(order_at(&a, i), order_at(&again, i));
        neighbours += i && order_at(&a, i) == order_at(&a, i - 1) + 1;
    }
    assert_in_range(same, 0, 50);
    assert_in_range(neighbours, 0, 50);
    struct order big = order_of(UINT64_C(1) << 32, 7);
    assert_true(order_at(&big, UINT32_MAX) < UINT64_C(1) << 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_at__each_once),
        cmocka_unit_test(test_order_at__seeds_and_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
