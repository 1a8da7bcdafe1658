/* Keys that come encrypted: what is right comes out, what is wrong is a random key and nothing else. */
#include "der/builder.h"
#include "keys/internal.h"
#include "keys/key_transport.h"
#include "keys_test.h"
#include <openssl/evp.h>
#include <openssl/rsa.h>

static const uint8_t rsa_algid[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                    0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
static const uint8_t oaep_algid[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                     0xf7, 0x0d, 0x01, 0x01, 0x07, 0x30, 0x00};
static const uint8_t secret_key[16] = "sixteen octets!";

static struct key *rsa_key(void)
{
    struct key *k;
    assert_ok(key_generate(&k, KEY_ALG_RSA, 2048, NULL));
    return k;
}

static size_t encrypt(uint8_t out[256], const struct key *k, int padding, struct slice plain)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key_evp(k), NULL);
    size_t n = 256;
    assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, padding), 1);
    assert_int_equal(EVP_PKEY_encrypt(ctx, out, &n, plain.p, plain.n), 1);
    EVP_PKEY_CTX_free(ctx);
    return n;
}

static tm_err open_key(uint8_t out[TRANSPORT_KEY_MAX], size_t *ret_n, const struct key *k, size_t want,
                       struct slice algid, struct slice encrypted)
{
    struct buf request;
    buf_init(&request, TRANSPORT_REQUEST_MAX);
    assert_ok(key_transport_request(&request, want, algid, encrypted));
    tm_err e = key_transport_open(out, ret_n, k, buf_slice(&request), NULL);
    buf_done(&request);
    return e;
}

static void test_key_transport_open__what_was_encrypted(void **state)
{
    (void)state;
    struct key *k = rsa_key();
    uint8_t encrypted[256], out[TRANSPORT_KEY_MAX];
    size_t n = encrypt(encrypted, k, RSA_PKCS1_PADDING, SLICE_ARR(secret_key)), got;
    assert_ok(open_key(out, &got, k, 16, SLICE_ARR(rsa_algid), slice_of(encrypted, n)));
    assert_int_equal(got, 16);
    assert_memory_equal(out, secret_key, 16);
    n = encrypt(encrypted, k, RSA_PKCS1_OAEP_PADDING, SLICE_ARR(secret_key));
    assert_ok(open_key(out, &got, k, 16, SLICE_ARR(oaep_algid), slice_of(encrypted, n)));
    assert_memory_equal(out, secret_key, 16);
    key_free(k);
}

static void test_key_transport_open__wrong_is_random(void **state)
{
    (void)state;
    struct key *k = rsa_key();
    uint8_t encrypted[256], one[TRANSPORT_KEY_MAX], two[TRANSPORT_KEY_MAX];
    size_t n = encrypt(encrypted, k, RSA_PKCS1_PADDING, SLICE_ARR(secret_key)), got;
    const struct {
        struct slice algid;
        size_t want;
        int spoil; /* this octet, or none */
    } cases[] = {
        {SLICE_ARR(rsa_algid), 16, 255}, {SLICE_ARR(rsa_algid), 32, -1}, {SLICE_ARR(oaep_algid), 16, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bad[256];
        memcpy(bad, encrypted, n);
        if (cases[i].spoil >= 0)
            bad[cases[i].spoil] ^= 1;
        assert_ok(open_key(one, &got, k, cases[i].want, cases[i].algid, slice_of(bad, n)));
        assert_int_equal(got, cases[i].want);
        assert_ok(open_key(two, &got, k, cases[i].want, cases[i].algid, slice_of(bad, n)));
        assert_memory_not_equal(one, secret_key, 16);
        assert_memory_not_equal(one, two, 16);
    }
    key_free(k);
}

static void test_key_transport_open__not_of_this_key(void **state)
{
    (void)state;
    static const uint8_t ec[] = {0x30, 0x09, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01},
                         octets[255];
    struct key *k = rsa_key(), *p256;
    uint8_t out[TRANSPORT_KEY_MAX], whole[256] = {0};
    size_t got;
    assert_ok(key_generate(&p256, KEY_ALG_EC_P256, 0, NULL));
    assert_int_equal(open_key(out, &got, k, 16, SLICE_ARR(rsa_algid), SLICE_ARR(octets)), TM_EINVAL);
    assert_int_equal(open_key(out, &got, p256, 16, SLICE_ARR(rsa_algid), SLICE_ARR(whole)), TM_EINVAL);
    assert_int_equal(open_key(out, &got, k, 16, SLICE_ARR(ec), SLICE_ARR(whole)), TM_EUNSUPPORTED);
    assert_int_equal(open_key(out, &got, k, 7, SLICE_ARR(rsa_algid), SLICE_ARR(whole)), TM_EINVAL);
    assert_int_equal(open_key(out, &got, k, 65, SLICE_ARR(rsa_algid), SLICE_ARR(whole)), TM_EINVAL);
    assert_int_equal(key_transport_open(out, &got, k, SLICE_ARR(octets), NULL), TM_EMALFORMED);
    key_free(p256);
    key_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_transport_open__what_was_encrypted),
        cmocka_unit_test(test_key_transport_open__wrong_is_random),
        cmocka_unit_test(test_key_transport_open__not_of_this_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
