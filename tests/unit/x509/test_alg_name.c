#include "x509/alg_name.h"
#include "x509/spki.h"
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static const uint8_t p384[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
/* RSAPublicKey with a modulus of 9 bits and exponent 3. */
static const uint8_t rsa_key[] = {0x30, 0x07, 0x02, 0x02, 0x01, 0x01, 0x02, 0x01, 0x03};

static void expect_key(enum oid id, struct slice params, struct slice key, const char *name)
{
    char out[ALG_NAME_LEN];
    struct spki s = {.alg = {.id = id, .oid = oid_contents(id), .params = params}, .key = key};
    spki_name(out, &s);
    assert_string_equal(out, name);
}

static void test_spki_name__of_each_kind(void **state)
{
    (void)state;
    expect_key(OID_RSA, (struct slice){0}, SLICE_ARR(rsa_key), "rsa9");
    expect_key(OID_RSA_PSS, (struct slice){0}, SLICE_ARR(rsa_key), "rsa-pss9");
    expect_key(OID_RSA, (struct slice){0}, SLICE_LIT("x"), "rsaencryption");
    expect_key(OID_EC_PUBLIC_KEY, SLICE_ARR(p384), SLICE_LIT("x"), "p384");
    expect_key(OID_EC_PUBLIC_KEY, (struct slice){0}, SLICE_LIT("x"), "ecpublickey");
    expect_key(OID_ED25519, (struct slice){0}, SLICE_LIT("x"), "ed25519");
    expect_key(OID_ML_DSA_65, (struct slice){0}, SLICE_LIT("x"), "ml-dsa-65");
    expect_key(OID_SLH_DSA_SHA2_128S, (struct slice){0}, SLICE_LIT("x"), "slh-dsa-sha2-128s");
}

static void test_spki_name__unknown_is_dotted(void **state)
{
    (void)state;
    char out[ALG_NAME_LEN];
    struct spki s = {.alg = {.oid = SLICE_LIT("\x2a\x03\x04")}};
    spki_name(out, &s);
    assert_string_equal(out, "1.2.3.4");
    uint8_t endless[200];
    memset(endless, 0x81, sizeof endless);
    endless[sizeof endless - 1] = 1;
    s.alg.oid = SLICE_ARR(endless);
    spki_name(out, &s);
    assert_true(strlen(out) < ALG_NAME_LEN);
}

static void test_sigalg_name__of_each_kind(void **state)
{
    (void)state;
    char out[ALG_NAME_LEN];
    struct algid a = {.id = OID_ECDSA_SHA384, .oid = oid_contents(OID_ECDSA_SHA384)};
    sigalg_name(out, &a);
    assert_string_equal(out, "ecdsa-sha384");
    a = (struct algid){.id = OID_ED448, .oid = oid_contents(OID_ED448)};
    sigalg_name(out, &a);
    assert_string_equal(out, "ed448");
    /* RFC 4055 3.1: without parameters of its own the hash is SHA-1. */
    a = (struct algid){.id = OID_RSA_PSS, .oid = oid_contents(OID_RSA_PSS), .params = SLICE_LIT("\x30\x00")};
    sigalg_name(out, &a);
    assert_string_equal(out, "rsa-pss-sha1");
    a.params = SLICE_LIT("\x30\x0f\xa0\x0d\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01");
    sigalg_name(out, &a);
    assert_string_equal(out, "rsa-pss-sha256");
    a.params = SLICE_LIT("\x30\x05");
    sigalg_name(out, &a);
    assert_string_equal(out, "rsapss");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spki_name__of_each_kind),
        cmocka_unit_test(test_spki_name__unknown_is_dotted),
        cmocka_unit_test(test_sigalg_name__of_each_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
