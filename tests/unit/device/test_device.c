/* The steps of a device's life, and what its fields may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "device/device.h"
#include <cmocka.h>

static void test_device_step_legal__goes_forward_only(void **state)
{
    (void)state;
    assert_true(device_step_legal(DEVICE_MADE, DEVICE_SHIPPED));
    assert_true(device_step_legal(DEVICE_SHIPPED, DEVICE_ONBOARDED));
    assert_true(device_step_legal(DEVICE_ONBOARDED, DEVICE_OPERATING));
    assert_true(device_step_legal(DEVICE_OPERATING, DEVICE_TRANSFERRED));
    assert_true(device_step_legal(DEVICE_TRANSFERRED, DEVICE_ONBOARDED));
    assert_false(device_step_legal(DEVICE_OPERATING, DEVICE_MADE));
    assert_false(device_step_legal(DEVICE_OPERATING, DEVICE_NONE));
    assert_false(device_step_legal(DEVICE_MADE, DEVICE_MADE));
}

static void test_device_step_legal__retired_is_the_end(void **state)
{
    (void)state;
    for (int i = DEVICE_NONE; i < DEVICE_STATE_COUNT; i++)
        assert_false(device_step_legal(DEVICE_RETIRED, (enum device_state)i));
    for (int i = DEVICE_MADE; i < DEVICE_RETIRED; i++)
        assert_true(device_step_legal((enum device_state)i, DEVICE_RETIRED));
}

static void test_device_step_legal__no_state_outside_the_table(void **state)
{
    (void)state;
    assert_false(device_step_legal((enum device_state)99, DEVICE_MADE));
    assert_false(device_step_legal(DEVICE_MADE, (enum device_state)99));
}

static void test_device_id_valid__refuses_what_breaks_paths(void **state)
{
    (void)state;
    assert_true(device_id_valid(slice_str("SN-0001")));
    assert_false(device_id_valid(slice_str("")));
    assert_false(device_id_valid(slice_str("a/b")));
    assert_false(device_id_valid(slice_str(" a")));
    assert_false(device_id_valid(slice_str("a\nb")));
    char longest[DEVICE_ID_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_false(device_id_valid(slice_str(longest)));
    longest[DEVICE_ID_MAX] = '\0';
    assert_true(device_id_valid(slice_str(longest)));
}

static void test_device_object__takes_texts_only(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    const char *text;
    json_t *good = json_pack("{s:s,s:s}", "mac", "02:00:00:00:00:01", "imei", "35"),
           *bad = json_pack("{s:i}", "n", 1);
    assert_int_equal(device_object(&text, a, good, "/tags", NULL), TM_OK);
    assert_string_equal(text, "{\"imei\":\"35\",\"mac\":\"02:00:00:00:00:01\"}");
    assert_int_equal(device_object(&text, a, bad, "/tags", NULL), TM_EINVAL);
    assert_int_equal(device_object(&text, a, NULL, "/tags", NULL), TM_OK);
    assert_null(text);
    json_decref(good);
    json_decref(bad);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_step_legal__goes_forward_only),
        cmocka_unit_test(test_device_step_legal__retired_is_the_end),
        cmocka_unit_test(test_device_step_legal__no_state_outside_the_table),
        cmocka_unit_test(test_device_id_valid__refuses_what_breaks_paths),
        cmocka_unit_test(test_device_object__takes_texts_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
