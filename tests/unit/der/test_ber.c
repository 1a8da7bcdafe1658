#include "base/arena.h"
#include "der/ber.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static int setup(void **state)
{
    *state = arena_new(0);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static void becomes(struct arena *a, struct slice ber, struct slice der)
{
    struct slice got;
    assert_int_equal(ber_normalize(&got, a, ber, 1 << 16, NULL), TM_OK);
    assert_int_equal(got.n, der.n);
    assert_memory_equal(got.p, der.p, der.n);
}
#define BECOMES(ber, der) becomes(*state, SLICE_LIT(ber), SLICE_LIT(der))

static void test_ber_normalize__der_is_returned_as_it_is(void **state)
{
    struct slice der = SLICE_LIT("\x30\x06\x02\x01\x05\x04\x01x"), got;
    assert_int_equal(ber_normalize(&got, *state, der, 100, NULL), TM_OK);
    assert_ptr_equal(got.p, der.p);
    assert_int_equal(ber_normalize(&got, *state, der, 7, NULL), TM_ETOOBIG);
}

static void test_ber_normalize__indefinite_and_padded_lengths(void **state)
{
    BECOMES("\x30\x80\x02\x01\x05\x00\x00", "\x30\x03\x02\x01\x05");
    BECOMES("\x30\x80\x30\x80\x00\x00\x00\x00", "\x30\x02\x30\x00");
    BECOMES("\xa0\x80\x02\x81\x01\x05\x00\x00", "\xa0\x03\x02\x01\x05");
    BECOMES("\x02\x84\x00\x00\x00\x01\x05", "\x02\x01\x05");
    BECOMES("\x02\x89\x00\x00\x00\x00\x00\x00\x00\x00\x01\x05", "\x02\x01\x05");
}

static void test_ber_normalize__segmented_strings(void **state)
{
    BECOMES("\x24\x80\x04\x02"
            "ab"
            "\x04\x01"
            "c"
            "\x00\x00",
            "\x04\x03"
            "abc");
    BECOMES("\x24\x08\x24\x03\x04\x01"
            "a"
            "\x04\x01"
            "b",
            "\x04\x02"
            "ab");
    BECOMES("\x24\x80\x00\x00", "\x04\x00");
    BECOMES("\x23\x09\x03\x02\x00\xaa\x03\x03\x04\xbb\xc0", "\x03\x04\x04\xaa\xbb\xc0");
    BECOMES("\x2c\x03\x0c\x01"
            "a",
            "\x0c\x01"
            "a");
    BECOMES("\x2c\x03\x04\x01"
            "a",
            "\x0c\x01"
            "a");
}

static void refused(struct arena *a, struct slice ber, tm_err e, const char *rule)
{
    struct slice got;
    struct diag d = {0};
    assert_int_equal(ber_normalize(&got, a, ber, 64, &d), e);
    if (rule)
        assert_string_equal(d.rule, rule);
}
#define REFUSED(ber, rule) refused(*state, SLICE_LIT(ber), TM_EMALFORMED, rule)

static void test_ber_normalize__refuses(void **state)
{
    REFUSED("", "X.690 8.1");
    REFUSED("\x30", "X.690 8.1");
    REFUSED("\x30\x80", "X.690 8.1.5");
    REFUSED("\x30\x80\x00", "X.690 8.1");
    REFUSED("\x04\x80\x00\x00", "X.690 8.1.3.2");
    REFUSED("\x30\x05\x02\x01\x05", "X.690 8.1.3");
    REFUSED("\x30\x84\x00\x00", "X.690 8.1.3.5");
    REFUSED("\x30\xff\x00\x00", "X.690 8.1.3.5");
    REFUSED("\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff", "X.690 8.1.3");
    REFUSED("\x1f\x01\x00", "X.690 8.1.2.4");
    REFUSED("\x00\x00", "X.690 8.1.5");
    REFUSED("\x05\x00\x05\x00", "X.690 8.1");
    REFUSED("\x24\x03\x02\x01\x05", "X.690 8.7.3");
    REFUSED("\x23\x08\x03\x02\x04\xf0\x03\x02\x00\xaa", "X.690 8.6.4");
    REFUSED("\x23\x02\x03\x00", "X.690 8.6.4");
    REFUSED("\x23\x04\x04\x02\x00\xaa", "X.690 8.7.3");
}

static void test_ber_normalize__depth_is_bounded(void **state)
{
    uint8_t deep[4096], strings[4096];
    for (size_t i = 0; i < sizeof deep; i += 2) {
        memcpy(deep + i, "\x30\x80", 2);
        memcpy(strings + i, "\x24\x80", 2);
    }
    refused(*state, SLICE_ARR(deep), TM_EMALFORMED, "X.690 8.1");
    refused(*state, SLICE_ARR(strings), TM_EMALFORMED, "X.690 8.7");
}

static void test_ber_normalize__size_is_bounded(void **state)
{
    uint8_t big[2 + 78 + 2] = {0x30, 0x80, 0x04, 76};
    refused(*state, SLICE_ARR(big), TM_ETOOBIG, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ber_normalize__der_is_returned_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ber_normalize__indefinite_and_padded_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ber_normalize__segmented_strings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ber_normalize__refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ber_normalize__depth_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ber_normalize__size_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
