#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "enroll/outbound/lookup.h"
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

static const uint64_t second = 1000000000;

static struct reach within(uint64_t seconds, const atomic_bool *over)
{
    return (struct reach){.deadline_ns = clock_mono_ns() + seconds * second, .over = over};
}

static void test_lookup_addresses__of_this_machine(void **state)
{
    struct address v[REACH_ADDRESSES_MAX];
    struct reach r = within(60, NULL);
    size_t n;
    (void)state;
    assert_int_equal(lookup_addresses(v, REACH_ADDRESSES_MAX, &n, "localhost", &r), TM_OK);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++)
        assert_true(address_is_loopback(&v[i]));
    assert_int_equal(lookup_addresses(v, 1, &n, "192.0.2.7", &r), TM_OK);
    assert_int_equal(n, 1);
    assert_int_equal(v[0].ip[3], 7);
    assert_int_equal(lookup_addresses(v, 1, &n, "2001:db8::1", &r), TM_OK);
    assert_int_equal(v[0].family, ADDRESS_V6);
}

static void test_lookup_addresses__no_name(void **state)
{
    struct address v[1];
    struct reach r = within(60, NULL);
    char longest[300];
    size_t n;
    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(lookup_addresses(v, 1, &n, longest, &r), TM_ENOTFOUND);
    assert_int_equal(n, 0);
}

/* Whoever asks does not wait when all is over, or the time is up. */
static void test_lookup_addresses__let_go(void **state)
{
    static const atomic_bool over = true;
    struct address v[1];
    struct reach ended = within(60, &over), late = within(0, NULL);
    size_t n;
    (void)state;
    for (int i = 0; i < 50; i++) {
        tm_err e = lookup_addresses(v, 1, &n, "localhost", i % 2 ? &ended : &late);
        assert_true(e == TM_ETIMEOUT || e == TM_OK); /* as quick as that */
    }
}

static void *many(void *arg)
{
    struct address v[REACH_ADDRESSES_MAX];
    size_t n, *found = arg;
    for (int i = 0; i < 20; i++) {
        struct reach r = within(60, NULL);
        *found += lookup_addresses(v, REACH_ADDRESSES_MAX, &n, "localhost", &r) == TM_OK && n > 0;
    }
    return NULL;
}

static void test_lookup_addresses__many_threads(void **state)
{
    enum { N = 12 };
    pthread_t t[N];
    size_t found[N] = {0};
    (void)state;
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&t[i], NULL, many, &found[i]), 0);
    for (int i = 0; i < N; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(found[i], 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup_addresses__of_this_machine),
        cmocka_unit_test(test_lookup_addresses__no_name),
        cmocka_unit_test(test_lookup_addresses__let_go),
        cmocka_unit_test(test_lookup_addresses__many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
