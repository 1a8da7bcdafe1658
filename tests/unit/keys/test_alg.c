#include "keys/alg.h"
#include "keys_test.h"

static void test_sig_alg_info__algids_are_der_and_come_back(void **state)
{
    (void)state;
    assert_null(sig_alg_info(SIG_ALG_NONE));
    assert_null(sig_alg_info(SIG_ALG_COUNT));
    for (unsigned i = 1; i < SIG_ALG_COUNT; i++) {
        const struct sig_alg_info *info = sig_alg_info((enum sig_alg)i);
        struct algid a;
        enum sig_alg back, named;
        assert_int_equal(info->id, i);
        assert_ok(algid_parse(&a, info->algid, NULL));
        assert_ok(sig_alg_from_algid(&back, &a, NULL));
        assert_ok(sig_alg_from_name(&named, slice_str(info->name)));
        assert_int_equal(back, i);
        assert_int_equal(named, i);
    }
    enum sig_alg alg;
    assert_int_equal(sig_alg_from_name(&alg, SLICE_LIT("rsa-md5")), TM_EUNSUPPORTED);
}

static void algid_is(const char *bytes, size_t n, tm_err want, enum sig_alg alg)
{
    struct algid a;
    struct diag diag = {0};
    enum sig_alg got = SIG_ALG_NONE;
    assert_ok(algid_parse(&a, slice_of(bytes, n), NULL));
    assert_int_equal(sig_alg_from_algid(&got, &a, &diag), want);
    if (want == TM_OK)
        assert_int_equal(got, alg);
    else
        assert_string_equal(diag.rule, "RFC 5280 4.1.1.2");
}
#define ALGID_IS(lit, want, alg) algid_is((lit), sizeof(lit) - 1, (want), (alg))

static void test_sig_alg_from_algid__parameters(void **state)
{
    (void)state;
    /* RFC 5758 3.2: ECDSA takes none. */
    ALGID_IS("\x30\x0c\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x05\x00", TM_EUNSUPPORTED, 0);
    /* RFC 4055 5: RSA with absent parameters is accepted. */
    ALGID_IS("\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", TM_OK, SIG_RSA_SHA256);
    /* RFC 8410 3: Ed25519 takes none. */
    ALGID_IS("\x30\x07\x06\x03\x2b\x65\x70\x05\x00", TM_EUNSUPPORTED, 0);
    /* SHA-1 with RSA */
    ALGID_IS("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05\x05\x00", TM_EUNSUPPORTED, 0);
    /* PSS with all defaults is SHA-1 */
    ALGID_IS("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x00", TM_EUNSUPPORTED, 0);
}

static void test_sig_alg_from_algid__pss_salt_must_match(void **state)
{
    (void)state;
    for (unsigned i = SIG_RSA_PSS_SHA256; i <= SIG_RSA_PSS_SHA512; i++) {
        uint8_t bytes[80];
        struct slice good = sig_alg_info((enum sig_alg)i)->algid;
        memcpy(bytes, good.p, good.n);
        bytes[good.n - 1]--;
        algid_is((const char *)bytes, good.n, TM_EUNSUPPORTED, SIG_ALG_NONE);
        memcpy(bytes, good.p, good.n);
        bytes[60] ^= 3; /* another hash in MGF1 than outside */
        algid_is((const char *)bytes, good.n, TM_EUNSUPPORTED, SIG_ALG_NONE);
    }
}

static void test_key_alg_from_name__sizes(void **state)
{
    (void)state;
    enum key_alg alg;
    unsigned bits;
    assert_ok(key_alg_from_name(&alg, &bits, SLICE_LIT("rsa-3072")));
    assert_int_equal(alg, KEY_ALG_RSA);
    assert_int_equal(bits, 3072);
    assert_ok(key_alg_from_name(&alg, NULL, SLICE_LIT("ml-dsa-65")));
    assert_int_equal(alg, KEY_ALG_ML_DSA_65);
    assert_int_equal(key_alg_from_name(&alg, &bits, SLICE_LIT("rsa-1024")), TM_EUNSUPPORTED);
    for (unsigned i = 1; i < KEY_ALG_COUNT; i++) {
        const struct key_alg_info *info = key_alg_info((enum key_alg)i);
        assert_int_equal(info->id, i);
        assert_ok(key_alg_from_name(&alg, &bits, slice_str(info->name)));
        assert_int_equal(alg, i);
        assert_true(sig_alg_fits(sig_alg_default(alg), alg));
    }
    assert_null(key_alg_info(KEY_ALG_COUNT));
    assert_int_equal(sig_alg_default(KEY_ALG_COUNT), SIG_ALG_NONE);
    assert_false(sig_alg_fits(SIG_ED25519, KEY_ALG_ED448));
    assert_false(sig_alg_fits(SIG_RSA_SHA256, KEY_ALG_EC_P256));
    assert_true(sig_alg_fits(SIG_RSA_PSS_SHA512, KEY_ALG_RSA));
    assert_false(sig_alg_fits(SIG_ALG_NONE, KEY_ALG_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sig_alg_info__algids_are_der_and_come_back),
        cmocka_unit_test(test_sig_alg_from_algid__parameters),
        cmocka_unit_test(test_sig_alg_from_algid__pss_salt_must_match),
        cmocka_unit_test(test_key_alg_from_name__sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
