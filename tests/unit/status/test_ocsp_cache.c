/* Signed answers in memory: bounded, dropped by revocations, and never the older for the newer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "status/ocsp_cache.h"
#include <string.h>

static struct ocsp_answer *an_answer(uint8_t key, uint8_t cert, size_t n)
{
    static const uint8_t octets[4096];
    struct ocsp_answer *a = ocsp_answer_new(slice_of(octets, n));
    assert_non_null(a);
    a->key[5] = key;
    a->tenant = 1;
    a->cert[CERT_SERIAL_LEN - 1] = cert;
    a->this_update = 100;
    return a;
}

static void put(struct ocsp_cache *c, uint8_t key, uint8_t cert, size_t n)
{
    struct ocsp_answer *a = an_answer(key, cert, n);
    ocsp_cache_put(c, a, ocsp_cache_stamp(c, a->cert));
    ocsp_answer_unref(a);
}

static bool has(struct ocsp_cache *c, uint8_t key)
{
    uint8_t k[OCSP_CACHE_KEY] = {[5] = key};
    struct ocsp_answer *a = ocsp_cache_find(c, k);
    ocsp_answer_unref(a);
    return a != NULL;
}

static void test_ocsp_cache_put__the_oldest_goes(void **state)
{
    (void)state;
    struct ocsp_cache *c = ocsp_cache_new(10000);
    struct ocsp_cache_stats st;
    for (uint8_t i = 0; i < 20; i++) {
        put(c, i, i, 1500);
        assert_true(has(c, 0)); /* used each time: it stays */
    }
    assert_false(has(c, 1));
    assert_true(has(c, 19));
    ocsp_cache_stats(c, &st);
    assert_true(st.octets <= 10000 && st.entries >= 5 && st.evicted == 20 - st.entries);
    put(c, 99, 99, 4096);
    assert_true(has(c, 99));
    ocsp_cache_free(c);
}

static void test_ocsp_cache_forget(void **state)
{
    (void)state;
    struct ocsp_cache *c = ocsp_cache_new(100000);
    uint8_t cert[CERT_SERIAL_LEN] = {[CERT_SERIAL_LEN - 1] = 7};
    put(c, 1, 7, 100);
    put(c, 2, 7, 100); /* the other CertID of the same certificate */
    put(c, 3, 8, 100);
    /* Read before the revocation, signed after it. */
    struct ocsp_answer *late = an_answer(4, 7, 100);
    uint64_t stamp = ocsp_cache_stamp(c, cert);
    ocsp_cache_forget(c, 2, cert); /* another tenant's: nothing of this one goes */
    assert_true(has(c, 1));
    ocsp_cache_forget(c, 1, cert);
    assert_false(has(c, 1) || has(c, 2));
    assert_true(has(c, 3));
    ocsp_cache_put(c, late, stamp);
    assert_false(has(c, 4));
    ocsp_answer_unref(late);
    ocsp_cache_free(c);
}

static void test_ocsp_cache_put__newer_stays(void **state)
{
    (void)state;
    struct ocsp_cache *c = ocsp_cache_new(100000);
    struct ocsp_answer *newer = an_answer(1, 1, 100), *older = an_answer(1, 1, 200);
    newer->this_update = 200;
    ocsp_cache_put(c, newer, ocsp_cache_stamp(c, newer->cert));
    ocsp_cache_put(c, older, ocsp_cache_stamp(c, older->cert));
    struct ocsp_answer *kept = ocsp_cache_find(c, newer->key);
    assert_ptr_equal(kept, newer);
    ocsp_answer_unref(kept);
    ocsp_answer_unref(older);
    ocsp_cache_free(c);
    assert_int_equal(newer->n, 100); /* whoever holds it still has it */
    ocsp_answer_unref(newer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ocsp_cache_put__the_oldest_goes),
        cmocka_unit_test(test_ocsp_cache_forget),
        cmocka_unit_test(test_ocsp_cache_put__newer_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
