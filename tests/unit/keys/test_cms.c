/* SignedData made here and read again, signatures over it, and what goes into envelopes. */
#include "base/digest.h"
#include "der/builder.h"
#include "der/reader.h"
#include "keys/cms.h"
#include "keys/internal.h"
#include "keys_test.h"

/* The library has macros of the same names with other values. */
enum {
    FOR_MESSAGES = KU_DIGITAL_SIGNATURE,
    FOR_ENVELOPES = KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT,
    FOR_KEYS = KU_KEY_ENCIPHERMENT,
    FOR_CRLS = KU_CRL_SIGN
};
#include <openssl/cms.h>

static const enum key_alg algs[] = {KEY_ALG_EC_P256, KEY_ALG_EC_P384, KEY_ALG_EC_P521,
                                    KEY_ALG_RSA,     KEY_ALG_ED25519, KEY_ALG_ML_DSA_65};

/* A signed message over `content` by a fresh key, its certificate's names made up. */
static void make_message(struct buf *out, struct slice *ret_spki, struct key **ret_key, enum key_alg alg,
                         struct slice content)
{
    static const uint8_t serial[] = {0x05};
    uint8_t digest[CMS_DIGEST_MAX];
    size_t n;
    struct buf attrs, signature;
    enum sig_alg sig = sig_alg_default(alg);
    assert_ok(key_generate(ret_key, alg, alg == KEY_ALG_RSA ? 2048 : 0, NULL));
    *ret_spki = key_spki(*ret_key);
    struct signed_message m = {.content_type = oid_contents(OID_CT_PKI_RESPONSE),
                               .content = content,
                               .issuer = test_name("CN=Test CA,O=Example"),
                               .serial = SLICE_ARR(serial),
                               .sig_alg = sig_alg_info(sig)->algid};
    buf_init(&attrs, 4096);
    buf_init(&signature, 16 << 10);
    assert_ok(cms_digest(&m.digest_alg, digest, &n, sig, content));
    assert_ok(signed_attrs_build(&attrs, m.content_type, slice_of(digest, n), clock_now()));
    assert_ok(key_sign(&signature, *ret_key, sig, buf_slice(&attrs), NULL));
    m.attrs = buf_slice(&attrs);
    m.signature = buf_slice(&signature);
    buf_init(out, SIGNED_DATA_MAX);
    assert_ok(signed_data_build(out, &m));
    buf_done(&signature);
    buf_done(&attrs);
}

static void test_cms_signer_verify__what_was_signed(void **state)
{
    (void)state;
    struct slice content = SLICE_LIT("an answer");
    for (size_t i = 0; i < sizeof algs / sizeof *algs; i++) {
        struct buf der;
        struct slice key_tlv;
        struct key *k;
        struct spki spki;
        static struct signed_data d;
        make_message(&der, &key_tlv, &k, algs[i], content);
        assert_ok(spki_parse(&spki, key_tlv, NULL));
        assert_ok(signed_data_parse(&d, test_arena, buf_slice(&der), NULL));
        assert_int_equal(d.n_signers, 1);
        assert_true(slice_eq(d.content, content));
        assert_true(d.signers[0].signing_time >= clock_now() - 5);
        assert_ok(cms_signer_verify(&d, &d.signers[0], &spki, NULL));
        /* Its attributes are what the signer lets through. */
        struct envelope e = test_envelope("ra");
        e.allow = 1u << SIGN_CMS;
        struct diag diag = {0};
        assert_int_equal(envelope_check_cms(&e, NULL, d.signers[0].attrs, content, clock_now(), &diag),
                         TM_EDENIED);
        assert_string_equal(diag.rule, "RFC 5272 3.2.2"); /* but for what they are of */
        buf_done(&der);
        key_free(k);
    }
}

static void test_cms_signer_verify__another(void **state)
{
    (void)state;
    struct buf der;
    struct slice key_tlv;
    struct key *k, *other;
    struct spki spki;
    struct diag diag = {0};
    static struct signed_data d, bad;
    make_message(&der, &key_tlv, &k, KEY_ALG_EC_P256, SLICE_LIT("an answer"));
    assert_ok(spki_parse(&spki, key_tlv, NULL));
    assert_ok(signed_data_parse(&d, test_arena, buf_slice(&der), NULL));
    bad = d;
    bad.content = SLICE_LIT("another one");
    assert_int_equal(cms_signer_verify(&bad, &bad.signers[0], &spki, &diag), TM_EBADSIG);
    assert_string_equal(diag.rule, "RFC 5652 11.2");
    bad = d;
    bad.content_type = oid_contents(OID_DATA);
    assert_int_equal(cms_signer_verify(&bad, &bad.signers[0], &spki, &diag), TM_EBADSIG);
    assert_string_equal(diag.rule, "RFC 5652 11.1");
    bad = d;
    bad.signers[0].digest_alg.id = OID_SHA1;
    assert_int_equal(cms_signer_verify(&bad, &bad.signers[0], &spki, &diag), TM_EUNSUPPORTED);
    bad = d;
    bad.signers[0].signature = slice_sub(bad.signers[0].signature, 0, bad.signers[0].signature.n - 1);
    assert_int_not_equal(cms_signer_verify(&bad, &bad.signers[0], &spki, &diag), TM_OK);
    assert_ok(key_generate(&other, KEY_ALG_EC_P256, 0, NULL));
    assert_ok(spki_parse(&spki, key_spki(other), NULL));
    assert_int_equal(cms_signer_verify(&d, &d.signers[0], &spki, &diag), TM_EBADSIG);
    key_free(other);
    key_free(k);
    buf_done(&der);
}

/* RSA signers name rsaEncryption as often as not (RFC 3370 3.2): it means the digest's own. */
static void test_cms_signer_verify__rsa_encryption(void **state)
{
    (void)state;
    struct buf der;
    struct slice key_tlv;
    struct key *k;
    struct spki spki;
    static struct signed_data d;
    make_message(&der, &key_tlv, &k, KEY_ALG_RSA, SLICE_LIT("an answer"));
    assert_ok(spki_parse(&spki, key_tlv, NULL));
    assert_ok(signed_data_parse(&d, test_arena, buf_slice(&der), NULL));
    d.signers[0].sig_alg.id = OID_RSA;
    assert_ok(cms_signer_verify(&d, &d.signers[0], &spki, NULL));
    d.signers[0].digest_alg.id = OID_SHA512;
    assert_int_equal(cms_signer_verify(&d, &d.signers[0], &spki, NULL), TM_EBADSIG);
    key_free(k);
    buf_done(&der);
}

/* A certificate for the key, good enough for the library. */
static struct slice certificate_for(struct key *k)
{
    struct test_cert t = {.ku = FOR_ENVELOPES};
    size_t at;
    struct slice tbs = test_tbs(&t, key_spki(k), &at), out;
    struct key *ca;
    struct buf signature, der;
    buf_init(&signature, 4096);
    buf_init(&der, 64 << 10);
    assert_ok(key_generate(&ca, KEY_ALG_EC_P256, 0, NULL));
    assert_ok(key_sign(&signature, ca, SIG_ECDSA_SHA256, tbs, NULL));
    assert_ok(signed_assemble(&der, tbs, sig_alg_info(SIG_ECDSA_SHA256)->algid, buf_slice(&signature)));
    assert_ok(arena_copy(&out, test_arena, buf_slice(&der)));
    key_free(ca);
    buf_done(&signature);
    buf_done(&der);
    return out;
}

static void opens(struct slice envelope, struct key *k, struct slice certificate, struct slice content)
{
    const uint8_t *p = envelope.p, *c = certificate.p;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)envelope.n);
    X509 *cert = d2i_X509(NULL, &c, (long)certificate.n);
    BIO *out = BIO_new(BIO_s_mem());
    assert_non_null(cms);
    assert_int_equal(CMS_decrypt(cms, key_evp(k), cert, NULL, out, CMS_BINARY), 1);
    char *text;
    long n = BIO_get_mem_data(out, &text);
    assert_true(slice_eq(slice_of(text, (size_t)n), content));
    assert_int_equal(OBJ_obj2nid(CMS_get0_eContentType(cms)), NID_pkcs7_signed);
    BIO_free(out);
    X509_free(cert);
    CMS_ContentInfo_free(cms);
}

static void test_cms_seal__opens_for_its_recipient(void **state)
{
    (void)state;
    static const struct {
        enum key_alg alg;
        enum oid cipher;
        bool oaep;
    } cases[] = {{KEY_ALG_RSA, OID_AES256_CBC, false},
                 {KEY_ALG_RSA, OID_AES128_CBC, true},
                 {KEY_ALG_EC_P256, OID_AES128_CBC, false},
                 {KEY_ALG_EC_P384, OID_AES256_CBC, true}};
    struct slice content = SLICE_LIT("thirty pieces");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct key *k;
        struct buf out;
        assert_ok(key_generate(&k, cases[i].alg, cases[i].alg == KEY_ALG_RSA ? 2048 : 0, NULL));
        struct slice certificate = certificate_for(k);
        buf_init(&out, 64 << 10);
        assert_ok(
            cms_seal(&out, certificate, cases[i].cipher, cases[i].oaep, OID_SIGNED_DATA, content, NULL));
        assert_null(memmem(out.p, out.n, content.p, content.n));
        opens(buf_slice(&out), k, certificate, content);
        buf_done(&out);
        key_free(k);
    }
}

static void test_cms_seal__not_for_every_key(void **state)
{
    (void)state;
    struct key *k;
    struct buf out;
    struct diag diag = {0};
    buf_init(&out, 64 << 10);
    assert_ok(key_generate(&k, KEY_ALG_ED25519, 0, NULL));
    assert_int_equal(
        cms_seal(&out, certificate_for(k), OID_AES256_CBC, false, OID_SIGNED_DATA, SLICE_LIT("x"), &diag),
        TM_EUNSUPPORTED);
    assert_int_equal(cms_seal(&out, SLICE_LIT("no certificate"), OID_AES256_CBC, false, OID_SIGNED_DATA,
                              SLICE_LIT("x"), &diag),
                     TM_EUNSUPPORTED);
    assert_int_equal(out.n, 0);
    key_free(k);
    buf_done(&out);
}

/* ---- for a key alone ---- */

/* As the library reads it: in a ContentInfo, the recipient known by the key. */
static void opens_by_key(struct slice enveloped, struct key *k, struct slice content)
{
    struct buf out;
    struct der_builder b;
    buf_init(&out, 64 << 10);
    der_builder_init(&b, &out);
    der_open(&b, DER_SEQUENCE);
    der_put_oid(&b, SLICE_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"));
    der_open(&b, DER_CONTEXT_CONS(0));
    der_put_tlv(&b, enveloped);
    der_close(&b);
    der_close(&b);
    assert_ok(der_builder_finish(&b));
    const uint8_t *p = out.p;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)out.n);
    BIO *plain = BIO_new(BIO_s_mem());
    char *text;
    assert_non_null(cms);
    assert_int_equal(CMS_decrypt(cms, key_evp(k), NULL, NULL, plain, CMS_BINARY), 1);
    long n = BIO_get_mem_data(plain, &text);
    assert_true(slice_eq(slice_of(text, (size_t)n), content));
    BIO_free(plain);
    CMS_ContentInfo_free(cms);
    buf_done(&out);
}

/* Who is shown the content's key opens it too. */
static void opens_by_content_key(struct slice enveloped, const uint8_t key[CMS_KEY_LEN], struct slice content)
{
    struct der_reader r, seq, inner;
    struct slice type, encrypted, plain;
    struct algid cipher;
    der_reader_init(&r, enveloped, NULL);
    assert_ok(der_enter(&r, DER_SEQUENCE, &seq));
    assert_ok(der_skip(&seq, DER_INTEGER));
    assert_ok(der_skip(&seq, DER_SET));
    assert_ok(der_enter(&seq, DER_SEQUENCE, &inner));
    assert_ok(der_read_oid(&inner, &type));
    assert_ok(algid_read(&cipher, &inner));
    assert_ok(der_read(&inner, DER_CONTEXT(0), &encrypted));
    assert_ok(cms_open(&plain, test_arena, &cipher, slice_of(key, CMS_KEY_LEN), encrypted));
    assert_true(slice_eq(plain, content));
}

static void test_cms_seal_to_key__opens(void **state)
{
    (void)state;
    static const enum key_alg kinds[] = {KEY_ALG_RSA, KEY_ALG_EC_P256, KEY_ALG_EC_P384, KEY_ALG_EC_P521};
    /* IssuerAndSerialNumber without a name, and none: by the key's identifier. */
    const struct slice ids[] = {SLICE_LIT("\x30\x05\x30\x00\x02\x01\x07"), {0}};
    struct slice content = SLICE_LIT("a certificate");
    for (size_t i = 0; i < 2 * sizeof kinds / sizeof *kinds; i++) {
        uint8_t key[CMS_KEY_LEN];
        struct key *k;
        struct spki spki;
        struct buf out;
        assert_ok(key_generate(&k, kinds[i / 2], kinds[i / 2] == KEY_ALG_RSA ? 2048 : 0, NULL));
        assert_ok(spki_parse(&spki, key_spki(k), NULL));
        buf_init(&out, 64 << 10);
        assert_ok(cms_seal_to_key(&out, key, &spki, ids[i % 2], content, NULL));
        assert_null(memmem(out.p, out.n, content.p, content.n));
        opens_by_key(buf_slice(&out), k, content);
        opens_by_content_key(buf_slice(&out), key, content);
        buf_done(&out);
        key_free(k);
    }
}

static void test_cms_encrypt_to_key__rsa_alone(void **state)
{
    (void)state;
    static const uint8_t octets[256];
    struct key *k;
    struct spki spki;
    struct buf out;
    bool rsa;
    buf_init(&out, 4096);
    assert_ok(key_generate(&k, KEY_ALG_RSA, 2048, NULL));
    assert_ok(spki_parse(&spki, key_spki(k), NULL));
    assert_ok(cms_key_takes(&spki, &rsa, NULL));
    assert_true(rsa);
    assert_int_equal(cms_encrypt_to_key(&out, &spki, slice_of(octets, 246), NULL), TM_ETOOBIG);
    assert_ok(cms_encrypt_to_key(&out, &spki, slice_of(octets, 245), NULL));
    assert_int_equal(out.n, 256);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key_evp(k), NULL);
    uint8_t plain[256];
    size_t n = sizeof plain;
    assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_decrypt(ctx, plain, &n, out.p, out.n), 1);
    assert_true(slice_eq(slice_of(plain, n), slice_of(octets, 245)));
    EVP_PKEY_CTX_free(ctx);
    key_free(k);
    assert_ok(key_generate(&k, KEY_ALG_EC_P256, 0, NULL));
    assert_ok(spki_parse(&spki, key_spki(k), NULL));
    assert_int_equal(cms_encrypt_to_key(&out, &spki, SLICE_LIT("x"), NULL), TM_EUNSUPPORTED);
    key_free(k);
    assert_ok(key_generate(&k, KEY_ALG_ED25519, 0, NULL));
    assert_ok(spki_parse(&spki, key_spki(k), NULL));
    assert_int_equal(cms_key_takes(&spki, &rsa, NULL), TM_EUNSUPPORTED);
    uint8_t key[CMS_KEY_LEN];
    assert_int_equal(cms_seal_to_key(&out, key, &spki, (struct slice){0}, SLICE_LIT("x"), NULL),
                     TM_EUNSUPPORTED);
    key_free(k);
    buf_done(&out);
}

/* ---- the certificate of a CA's RA ---- */

static void test_envelope_check_cert__ra_in_a_ceremony(void **state)
{
    (void)state;
    struct key *k;
    struct envelope e = test_envelope("ca");
    struct diag diag = {0};
    int64_t now = clock_now();
    assert_ok(key_generate(&k, KEY_ALG_EC_P256, 0, NULL));
    static const struct {
        struct test_cert cert;
        const char *rule; /* NULL: passes */
    } cases[] = {
        {{.ekus = {OID_EKU_CMC_RA}}, NULL},
        {{.ekus = {OID_EKU_CMC_RA}, .ku = FOR_MESSAGES | FOR_KEYS}, NULL},
        {{0}, "envelope.ra"},
        {{.ekus = {OID_EKU_CMC_CA}}, "envelope.ra"},
        {{.ekus = {OID_EKU_CMC_RA, OID_EKU_SERVER_AUTH}}, "envelope.ra"},
        {{.ekus = {OID_EKU_CMC_RA}, .ku = FOR_MESSAGES | FOR_CRLS}, "envelope.ra"},
        {{.ekus = {OID_EKU_CMC_RA}, .dns = "a.example.org"}, "envelope.ra"},
        {{.ekus = {OID_EKU_CMC_RA}, .subject = "CN=Test CA,O=Example"}, "envelope.ra"},
        {{.ekus = {OID_EKU_CMC_RA}, .issuer = "CN=Another CA"}, "envelope.issuer"},
        {{.ekus = {OID_EKU_CMC_RA}, .ca = true}, "RFC 5280 4.2.1.9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t offset, serial;
        struct slice tbs = test_tbs(&cases[i].cert, key_spki(k), &offset);
        tm_err err = envelope_check_cert(&e, test_arena, SIGN_LEAF, SIG_ECDSA_SHA256, SERIAL_FRESH_RA, tbs,
                                         now, &serial, &diag);
        if (err != (cases[i].rule ? TM_EDENIED : TM_OK))
            fail_msg("case %zu: %s %s", i, diag.rule, diag.message);
        if (cases[i].rule)
            assert_string_equal(diag.rule, cases[i].rule);
        else /* but outside of a ceremony */
            assert_int_equal(envelope_check_cert(&e, test_arena, SIGN_LEAF, SIG_ECDSA_SHA256, SERIAL_FRESH,
                                                 tbs, now, &serial, NULL),
                             TM_EDENIED);
    }
    /* The RA's own key certifies nobody. */
    size_t offset, serial;
    struct test_cert ra = {.ekus = {OID_EKU_CMC_RA}};
    struct slice tbs = test_tbs(&ra, key_spki(k), &offset);
    e.allow = 1u << SIGN_CMS;
    assert_int_equal(envelope_check_cert(&e, test_arena, SIGN_LEAF, SIG_ECDSA_SHA256, SERIAL_FRESH_RA, tbs,
                                         now, &serial, NULL),
                     TM_EDENIED);
    key_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cms_signer_verify__what_was_signed),
        cmocka_unit_test(test_cms_signer_verify__another),
        cmocka_unit_test(test_cms_signer_verify__rsa_encryption),
        cmocka_unit_test(test_cms_seal__opens_for_its_recipient),
        cmocka_unit_test(test_cms_seal__not_for_every_key),
        cmocka_unit_test(test_cms_seal_to_key__opens),
        cmocka_unit_test(test_cms_encrypt_to_key__rsa_alone),
        cmocka_unit_test(test_envelope_check_cert__ra_in_a_ceremony),
    };
    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
