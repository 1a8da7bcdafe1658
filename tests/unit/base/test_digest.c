#include "base/digest.h"
#include "base/text.h"
#include <pthread.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static void assert_hex(const uint8_t *p, size_t n, const char *hex)
{
    char text[2 * 64 + 1];
    hex_encode(text, slice_of(p, n));
    assert_string_equal(text, hex);
}

/* FIPS 180-2, appendices A to C. */
static void test_digest__known_answers(void **state)
{
    uint8_t out[64];
    for (int round = 0; round < 2; round++) {
        assert_int_equal(sha256(out, SLICE_LIT("abc")), TM_OK);
        assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_int_equal(sha256(out, slice_of(NULL, 0)), TM_OK);
        assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_int_equal(sha1(out, SLICE_LIT("abc")), TM_OK);
        assert_hex(out, 20, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_int_equal(sha512(out, SLICE_LIT("abc")), TM_OK);
        assert_hex(out, 64,
                   "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                   "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    }
}

static void test_sha256_many__as_one(void **state)
{
    uint8_t out[SHA256_LEN];
    const struct slice parts[] = {SLICE_LIT("a"), {NULL, 0}, SLICE_LIT("bc")};
    assert_int_equal(sha256_many(out, parts, 3), TM_OK);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(sha256_many(out, NULL, 0), TM_OK);
    assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* RFC 4231 4.3 and 4.7 (a key longer than a block), and the empty key. */
static void test_hmac_sha256__known_answers(void **state)
{
    uint8_t out[SHA256_LEN];
    assert_int_equal(hmac_sha256(out, SLICE_LIT("Jefe"), SLICE_LIT("what do ya want for nothing?")), TM_OK);
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_int_equal(hmac_sha256(out, slice_of(NULL, 0), slice_of(NULL, 0)), TM_OK);
    assert_hex(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    uint8_t key[131];
    memset(key, 0xaa, sizeof key);
    struct slice text = SLICE_LIT("Test Using Larger Than Block-Size Key - Hash Key First");
    assert_int_equal(hmac_sha256(out, SLICE_ARR(key), text), TM_OK);
    assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_random_bytes__differ(void **state)
{
    uint8_t a[32] = {0}, b[32] = {0};
    assert_int_equal(random_bytes(a, sizeof a), TM_OK);
    assert_int_equal(random_bytes(b, sizeof b), TM_OK);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_equal(random_bytes(a, 0), TM_OK);
}

static void *hash_along(void *wrong)
{
    for (int i = 0; i < 1000; i++) {
        uint8_t out[SHA256_LEN] = {0};
        if (sha256(out, SLICE_LIT("abc")) != TM_OK || out[0] != 0xba || out[31] != 0xad)
            *(bool *)wrong = true;
    }
    return NULL;
}

static void test_sha256__from_many_threads(void **state)
{
    pthread_t threads[4];
    bool wrong[4] = {false};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_along, &wrong[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_false(wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256__from_many_threads), /* first: they race for the fetch */
        cmocka_unit_test(test_digest__known_answers),      cmocka_unit_test(test_sha256_many__as_one),
        cmocka_unit_test(test_hmac_sha256__known_answers), cmocka_unit_test(test_random_bytes__differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
