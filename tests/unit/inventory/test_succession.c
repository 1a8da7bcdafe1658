/* Which certificate took another's place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "inventory/succession.h"
#include "x509/crl.h"
#include <cmocka.h>
#include <string.h>

enum { DAY = 86400, NOW = 1000 * DAY };

static struct cert_row row_of(uint8_t id, int64_t issued, int64_t end)
{
    return (struct cert_row){.id = {id},
                             .subject = "CN=a",
                             .profile = "p",
                             .device = "",
                             .issued_at = issued * 1000,
                             .not_after = end};
}

static void test_succession_follows__the_later_that_lives_longer(void **state)
{
    (void)state;
    struct cert_row old = row_of(1, NOW - 80 * DAY, NOW + 10 * DAY), next = row_of(2, NOW, NOW + 90 * DAY);
    assert_true(succession_follows(&next, &old, NOW));
    assert_false(succession_follows(&old, &next, NOW));
    assert_false(succession_follows(&old, &old, NOW));
    assert_false(succession_follows(&next, &old, NOW + 91 * DAY)); /* it has ended, too */
    next.not_after = old.not_after;
    assert_false(succession_follows(&next, &old, NOW));
}

static void test_succession_follows__not_what_was_taken_back(void **state)
{
    (void)state;
    struct cert_row old = row_of(1, NOW - 80 * DAY, NOW + 10 * DAY), next = row_of(2, NOW, NOW + 90 * DAY);
    next.revoked_at = NOW;
    next.reason = CRL_SUPERSEDED;
    assert_false(succession_follows(&next, &old, NOW));
}

static void test_succession_follows__for_the_same(void **state)
{
    (void)state;
    struct cert_row old = row_of(1, NOW - 80 * DAY, NOW + 10 * DAY), next = row_of(2, NOW, NOW + 90 * DAY);
    next.subject = "CN=b";
    assert_true(succession_follows(&next, &old, NOW)); /* the profile says so */
    next.profile = "q";
    assert_false(succession_follows(&next, &old, NOW));
    old.profile = ""; /* issued elsewhere: who has it is all that is known */
    assert_true(succession_follows(&next, &old, NOW));
    old.profile = "p";
    next.subject = "CN=a";
    assert_true(succession_follows(&next, &old, NOW));
}

static void test_succession_key__by_device_then_name(void **state)
{
    (void)state;
    struct cert_key key;
    struct arena *a = arena_new(0);
    struct cert_row row = row_of(1, NOW, NOW + DAY);
    assert_non_null(a);
    row.device = "SN-1";
    assert_int_equal(succession_key(&key, a, NULL, &row), TM_OK);
    assert_int_equal(key.kind, CERT_KEY_DEVICE);
    assert_true(slice_eq(key.value, SLICE_LIT("SN-1")));
    row.device = "";
    assert_int_equal(succession_key(&key, a, NULL, &row), TM_OK);
    assert_int_equal(key.kind, CERT_KEY_SUBJECT);
    assert_true(slice_eq(key.value, SLICE_LIT("CN=a")));
    row.subject = "";
    assert_int_equal(succession_key(&key, a, NULL, &row), TM_OK);
    assert_int_equal(key.value.n, 0);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_succession_follows__the_later_that_lives_longer),
        cmocka_unit_test(test_succession_follows__not_what_was_taken_back),
        cmocka_unit_test(test_succession_follows__for_the_same),
        cmocka_unit_test(test_succession_key__by_device_then_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
