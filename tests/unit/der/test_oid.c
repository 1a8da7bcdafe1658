#include "base/arena.h"
#include "base/buf.h"
#include "der/oid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static void test_oid_table__encodings_are_those_of_the_dotted_text(void **state)
{
    struct arena *a = arena_new(0);
    for (unsigned i = 1; i < OID_COUNT; i++) {
        struct slice c;
        assert_int_equal(oid_from_dotted(&c, a, slice_str(oid_dotted(i))), TM_OK);
        if (!slice_eq(c, oid_contents(i)))
            fail_msg("%s", oid_dotted(i));
        assert_string_equal(oid_to_dotted(a, oid_contents(i)), oid_dotted(i));
    }
    arena_free(a);
}

static void test_oid_table__rows_ascend(void **state)
{
    for (unsigned i = 2; i < OID_COUNT; i++)
        if (slice_cmp(oid_contents(i - 1), oid_contents(i)) >= 0)
            fail_msg("%s is out of place: run src/der/oid_table.py", oid_name(i));
}

static void test_oid_find__every_row_and_nothing_else(void **state)
{
    for (unsigned i = 1; i < OID_COUNT; i++) {
        struct slice c = oid_contents(i);
        uint8_t other[32];
        assert_int_equal(oid_find(c), i);
        assert_int_equal(oid_find_name(slice_str(oid_name(i))), i);
        memcpy(other, c.p, c.n);
        other[c.n] = 0x7f;
        assert_int_equal(oid_find(slice_of(other, c.n + 1)), OID_UNKNOWN);
    }
    assert_int_equal(oid_find((struct slice){0}), OID_UNKNOWN);
    assert_int_equal(oid_find(SLICE_LIT("\xff\xff\x7f")), OID_UNKNOWN);
    assert_int_equal(oid_find_name(SLICE_LIT("commonname")), OID_UNKNOWN);
}

static void test_oid_contents__outside_the_table_is_empty(void **state)
{
    assert_int_equal(oid_contents(OID_UNKNOWN).n, 0);
    assert_int_equal(oid_contents(OID_COUNT).n, 0);
    assert_string_equal(oid_name(OID_UNKNOWN), "");
    assert_string_equal(oid_dotted(OID_COUNT), "");
}

static void test_oid_from_dotted__refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "1",
        "1.",
        ".1",
        "1..2",
        "1.2.",
        "3.1",
        "1.40",
        "0.40",
        "01.2",
        "1.02",
        "1.2.x",
        "1.2 ",
        "-1.2",
        "1.2.340282366920938463463374607431768211456",
        "2.340282366920938463463374607431768211455",
    };
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct slice c = SLICE_LIT("kept");
        if (oid_from_dotted(&c, a, slice_str(bad[i])) != TM_EINVAL)
            fail_msg("%s", bad[i]);
        assert_true(slice_eq_str(c, "kept"));
    }
    arena_free(a);
}

static void test_oid_to_dotted__extremes(void **state)
{
    static const char *const good[] = {
        "0.0",
        "0.39",
        "1.0",
        "1.39",
        "2.0",
        "2.40",
        "2.999.3",
        "1.3.6.1.4.1.32473.1",
        "2.25.340282366920938463463374607431768211455", /* a UUID of all ones */
    };
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct slice c;
        assert_int_equal(oid_from_dotted(&c, a, slice_str(good[i])), TM_OK);
        assert_string_equal(oid_to_dotted(a, c), good[i]);
    }
    assert_string_equal(oid_to_text(a, oid_contents(OID_CN)), "commonName");
    struct slice c;
    assert_int_equal(oid_from_dotted(&c, a, SLICE_LIT("2.999")), TM_OK);
    assert_string_equal(oid_to_text(a, c), "2.999");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oid_table__encodings_are_those_of_the_dotted_text),
        cmocka_unit_test(test_oid_table__rows_ascend),
        cmocka_unit_test(test_oid_find__every_row_and_nothing_else),
        cmocka_unit_test(test_oid_contents__outside_the_table_is_empty),
        cmocka_unit_test(test_oid_from_dotted__refuses),
        cmocka_unit_test(test_oid_to_dotted__extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
