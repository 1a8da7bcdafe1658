#include "keys_test.h"

struct signed_message {
    struct key *key;
    struct spki spki;
    struct algid alg;
    uint8_t message[300];
    struct buf signature;
};

static void make(struct signed_message *m, enum key_alg key, unsigned bits, enum sig_alg alg)
{
    memset(m->message, 0x5a, sizeof m->message);
    buf_init(&m->signature, 8192);
    assert_ok(key_generate(&m->key, key, bits, NULL));
    assert_ok(spki_parse(&m->spki, key_spki(m->key), NULL));
    assert_ok(algid_parse(&m->alg, sig_alg_info(alg)->algid, NULL));
    assert_ok(key_sign(&m->signature, m->key, alg, SLICE_ARR(m->message), NULL));
}

static void done(struct signed_message *m)
{
    buf_done(&m->signature);
    key_free(m->key);
}

static tm_err verify(const struct signed_message *m)
{
    return pubkey_verify(&m->spki, &m->alg, SLICE_ARR(m->message), buf_slice(&m->signature), NULL);
}

static void test_pubkey_verify__every_algorithm(void **state)
{
    (void)state;
    for (unsigned k = 1; k < KEY_ALG_COUNT; k++) {
        for (unsigned s = 1; s < SIG_ALG_COUNT; s++) {
            if (!sig_alg_fits((enum sig_alg)s, (enum key_alg)k))
                continue;
            struct signed_message m;
            make(&m, (enum key_alg)k, k == KEY_ALG_RSA ? 2048 : 0, (enum sig_alg)s);
            assert_ok(pubkey_check(&m.spki, NULL));
            assert_ok(verify(&m));
            m.message[7] ^= 1;
            assert_int_equal(verify(&m), TM_EBADSIG);
            m.message[7] ^= 1;
            assert_ok(verify(&m));
            done(&m);
        }
    }
}

static void test_pubkey_verify__malformed_signatures(void **state)
{
    (void)state;
    static const uint8_t junk[] = {0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01};
    static const enum key_alg algs[] = {KEY_ALG_EC_P256, KEY_ALG_EC_P384, KEY_ALG_RSA, KEY_ALG_ED25519,
                                        KEY_ALG_ML_DSA_44};
    for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++) {
        struct signed_message m;
        make(&m, algs[i], algs[i] == KEY_ALG_RSA ? 2048 : 0, sig_alg_default(algs[i]));
        struct slice good = buf_slice(&m.signature), message = SLICE_ARR(m.message);
        assert_int_equal(pubkey_verify(&m.spki, &m.alg, message, SLICE_ARR(junk), NULL), TM_EBADSIG);
        assert_int_equal(pubkey_verify(&m.spki, &m.alg, message, slice_of(NULL, 0), NULL), TM_EBADSIG);
        assert_int_equal(pubkey_verify(&m.spki, &m.alg, message, slice_sub(good, 0, good.n - 1), NULL),
                         TM_EBADSIG);
        buf_putc(&m.signature, 0);
        assert_int_equal(verify(&m), TM_EBADSIG);
        done(&m);
    }
}

/* The thread's key object is used again for each caller: nothing of an earlier one may be left. */
static void test_pubkey_verify__off_curve_between_good_keys(void **state)
{
    (void)state;
    static const enum key_alg algs[] = {KEY_ALG_EC_P256, KEY_ALG_EC_P384, KEY_ALG_EC_P521};
    for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++) {
        struct signed_message a, b;
        make(&a, algs[i], 0, sig_alg_default(algs[i]));
        make(&b, algs[i], 0, sig_alg_default(algs[i]));
        assert_ok(verify(&a));
        assert_ok(verify(&b));
        struct slice changed;
        assert_ok(arena_copy(&changed, test_arena, a.spki.der));
        ((uint8_t *)(uintptr_t)changed.p)[changed.n - 1] ^= 1;
        struct signed_message off = a;
        assert_ok(spki_parse(&off.spki, changed, NULL));
        for (int round = 0; round < 3; round++) {
            assert_int_equal(verify(&off), TM_EINVAL);
            assert_int_equal(pubkey_check(&off.spki, NULL), TM_EINVAL);
            assert_ok(verify(&b));
            struct signed_message crossed = a;
            crossed.spki = b.spki;
            assert_int_equal(verify(&crossed), TM_EBADSIG);
            assert_ok(verify(&a));
        }
        done(&a);
        done(&b);
    }
}

static void test_pubkey_verify__first_key_off_curve(void **state)
{
    (void)state;
    /* cmocka runs tests in one thread: P-521 has been seen, so a curve's first use is shown by the order of main(). */
    static const uint8_t head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
    uint8_t der[sizeof head + 64];
    memset(der, 1, sizeof der);
    memcpy(der, head, sizeof head);
    struct spki spki;
    assert_ok(spki_parse(&spki, SLICE_ARR(der), NULL));
    assert_int_equal(pubkey_check(&spki, NULL), TM_EINVAL);
    memset(der + sizeof head, 0, 64);
    assert_int_equal(pubkey_check(&spki, NULL), TM_EINVAL);
    memset(der + sizeof head, 0xff, 64);
    assert_int_equal(pubkey_check(&spki, NULL), TM_EINVAL);
}

static void test_pubkey_verify__algorithm_must_fit(void **state)
{
    (void)state;
    struct signed_message m;
    make(&m, KEY_ALG_EC_P256, 0, SIG_ECDSA_SHA256);
    assert_ok(algid_parse(&m.alg, sig_alg_info(SIG_RSA_SHA256)->algid, NULL));
    assert_int_equal(verify(&m), TM_EUNSUPPORTED);
    assert_ok(algid_parse(&m.alg, sig_alg_info(SIG_ECDSA_SHA384)->algid, NULL));
    assert_int_equal(verify(&m), TM_EBADSIG);
    done(&m);
}

static tm_err info_of(const char *bytes, size_t n)
{
    struct spki spki;
    struct pubkey_info info;
    assert_ok(spki_parse(&spki, slice_of(bytes, n), NULL));
    return pubkey_info(&info, &spki, NULL);
}
#define INFO_OF(lit) info_of((lit), sizeof(lit) - 1)

static void test_pubkey_info__bad_structures(void **state)
{
    (void)state;
    /* Ed25519 with 31 octets, with parameters */
    assert_int_equal(INFO_OF("\x30\x29\x30\x05\x06\x03\x2b\x65\x70\x03\x20\x00"
                             "0123456789012345678901234567890"),
                     TM_EINVAL);
    assert_int_equal(INFO_OF("\x30\x2c\x30\x07\x06\x03\x2b\x65\x70\x05\x00\x03\x21\x00"
                             "01234567890123456789012345678901"),
                     TM_EINVAL);
    /* X25519 cannot sign */
    assert_int_equal(INFO_OF("\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\x00"
                             "01234567890123456789012345678901"),
                     TM_EUNSUPPORTED);
    /* compressed point, infinity, parameters that are not a curve's name, a curve that we do not do */
    assert_int_equal(
        INFO_OF(
            "\x30\x39\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03"
            "\x22\x00\x02"
            "01234567890123456789012345678901"),
        TM_EINVAL);
    assert_int_equal(
        INFO_OF(
            "\x30\x19\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x02\x00\x00"),
        TM_EINVAL);
    assert_int_equal(INFO_OF("\x30\x11\x30\x0b\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x05\x00\x03\x02\x00\x04"),
                     TM_EINVAL);
    assert_int_equal(
        INFO_OF(
            "\x30\x16\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a\x03\x02\x00\x04"),
        TM_EUNSUPPORTED);
    /* RSA: not a sequence, even modulus, negative modulus, parameters absent */
    assert_int_equal(
        INFO_OF("\x30\x13\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x02\x00\x00"),
        TM_EINVAL);
    assert_int_equal(
        INFO_OF(
            "\x30\x1a\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x09\x00\x30\x06\x02\x01\x22"
            "\x02\x01\x03"),
        TM_EINVAL);
    assert_int_equal(
        INFO_OF(
            "\x30\x1a\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x09\x00\x30\x06\x02\x01\x81"
            "\x02\x01\x03"),
        TM_EINVAL);
    assert_int_equal(
        INFO_OF("\x30\x18\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x03\x09\x00\x30\x06\x02\x01\x23"
                "\x02\x01\x03"),
        TM_EINVAL);
    /* 6 bits of modulus */
    assert_int_equal(
        INFO_OF(
            "\x30\x1a\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x09\x00\x30\x06\x02\x01\x23"
            "\x02\x01\x03"),
        TM_EUNSUPPORTED);
}

static void test_csr_verify_pop__needs_a_signature(void **state)
{
    (void)state;
    struct csr c = {.pop = CSR_POP_NONE};
    assert_int_equal(csr_verify_pop(&c, NULL), TM_EBADSIG);
    c.pop = CSR_POP_RA_VERIFIED;
    assert_int_equal(csr_verify_pop(&c, NULL), TM_EBADSIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pubkey_verify__first_key_off_curve), /* before any good one */
        cmocka_unit_test(test_pubkey_verify__every_algorithm),
        cmocka_unit_test(test_pubkey_verify__malformed_signatures),
        cmocka_unit_test(test_pubkey_verify__off_curve_between_good_keys),
        cmocka_unit_test(test_pubkey_verify__algorithm_must_fit),
        cmocka_unit_test(test_pubkey_info__bad_structures),
        cmocka_unit_test(test_csr_verify_pop__needs_a_signature),
    };
    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
