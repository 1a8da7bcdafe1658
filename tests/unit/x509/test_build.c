/* Certificates, requests, CRLs and PKCS#7 built from fixed values: the same bytes as ever (golden), and OpenSSL takes them signed. */
#include "base/clock.h"
#include "base/text.h"
#include "der/builder.h"
#include "unit/x509/sample.h"
#include "x509/cert.h"
#include "x509/cms/certs_only.h"
#include "x509/crl.h"
#include "x509/csr.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* A P-256 key of the tests' own, and the matching SPKI: fixed, so that what is built is too. */
static const char key_hex[] =
    "307702010104200102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20a00a06082a8648ce3d0301"
    "07a14403420004515c3d6eb9e396b904d3feca7f54fdcd0cc1e997bf375dca515ad0a6c3b4035f4536be3a50f318fbf9a5"
    "475902a221502bef0d57e08c53b2cc0a56f17d9f9354";

static EVP_PKEY *key_load(struct arena *a, struct slice *ret_spki)
{
    struct slice der;
    unsigned char *spki = NULL;
    assert_int_equal(hex_decode(&der, a, slice_str(key_hex)), TM_OK);
    const unsigned char *p = der.p;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, (long)der.n);
    assert_non_null(key);
    int n = i2d_PUBKEY(key, &spki);
    assert_int_equal(arena_copy(ret_spki, a, slice_of(spki, (size_t)n)), TM_OK);
    OPENSSL_free(spki);
    return key;
}

static const uint8_t ecdsa_sha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};

/* tbs -> signed object, in `out`. */
static void sign(struct buf *out, EVP_PKEY *key, struct slice tbs)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t sig[128];
    size_t n = sizeof sig;
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, sig, &n, tbs.p, tbs.n), 1);
    EVP_MD_CTX_free(ctx);
    assert_int_equal(signed_assemble(out, tbs, SLICE_ARR(ecdsa_sha256), slice_of(sig, n)), TM_OK);
}

static struct slice name(struct arena *a, const char *text)
{
    struct slice tlv;
    assert_int_equal(name_from_text(&tlv, a, slice_str(text), NULL), TM_OK);
    return tlv;
}

static int64_t at(const char *text)
{
    int64_t t;
    assert_int_equal(clock_parse_rfc3339(&t, slice_str(text)), TM_OK);
    return t;
}

static size_t leaf_extensions(struct ext *v, struct arena *a)
{
    static const char *const cdp[] = {"http://pki.example.org/crl/1.crl"};
    struct general_name san[3];
    struct slice ekus[] = {oid_contents(OID_EKU_CLIENT_AUTH), oid_contents(OID_EKU_SERVER_AUTH)},
                 policies[] = {oid_contents(OID_POLICY_BR_DV)};
    struct basic_constraints bc = {0};
    uint8_t id[20];
    memset(id, 0x11, sizeof id);
    assert_int_equal(general_name_from_text(&san[0], a, SLICE_LIT("gw-1.example.org"), NULL), TM_OK);
    assert_int_equal(general_name_from_text(&san[1], a, SLICE_LIT("192.0.2.1"), NULL), TM_OK);
    assert_int_equal(general_name_hw_module(&san[2], a, oid_contents(OID_MATTER_VID), SLICE_LIT("SN-1")),
                     TM_OK);
    v[0] = (struct ext){.id = OID_EXT_BASIC_CONSTRAINTS, .critical = true};
    v[1] = (struct ext){.id = OID_EXT_KEY_USAGE, .critical = true};
    v[2] = (struct ext){.id = OID_EXT_EKU};
    v[3] = (struct ext){.id = OID_EXT_SKI};
    v[4] = (struct ext){.id = OID_EXT_AKID};
    v[5] = (struct ext){.id = OID_EXT_SAN};
    v[6] = (struct ext){.id = OID_EXT_CDP};
    v[7] = (struct ext){.id = OID_EXT_AIA};
    v[8] = (struct ext){.id = OID_EXT_POLICIES};
    assert_int_equal(ext_encode_basic_constraints(&v[0].value, a, &bc), TM_OK);
    assert_int_equal(ext_encode_key_usage(&v[1].value, a, KU_DIGITAL_SIGNATURE), TM_OK);
    assert_int_equal(ext_encode_eku(&v[2].value, a, ekus, 2), TM_OK);
    assert_int_equal(ext_encode_ski(&v[3].value, a, SLICE_ARR(id)), TM_OK);
    assert_int_equal(ext_encode_akid(&v[4].value, a, SLICE_ARR(id)), TM_OK);
    assert_int_equal(ext_encode_san(&v[5].value, a, san, 3), TM_OK);
    assert_int_equal(ext_encode_cdp(&v[6].value, a, cdp, 1), TM_OK);
    assert_int_equal(
        ext_encode_aia(&v[7].value, a, "http://pki.example.org/ocsp", "http://pki.example.org/ca.cer"),
        TM_OK);
    assert_int_equal(ext_encode_policies(&v[8].value, a, policies, 1), TM_OK);
    for (size_t i = 0; i < 9; i++)
        v[i].oid = oid_contents(v[i].id);
    return 9;
}

static const uint8_t serial[CERT_SERIAL_LEN] = {0x01, 0x38, 0x65, 0x43, 0x21, 0x00, 1, 2,
                                                3,    4,    5,    6,    7,    8,    9, 10};

static void test_tbs_cert_build__golden_and_taken_by_openssl(void **state)
{
    struct arena *a = *state;
    struct slice spki;
    EVP_PKEY *key = key_load(a, &spki);
    struct ext exts[9];
    struct tbs_cert t = {.serial = SLICE_ARR(serial),
                         .sigalg = SLICE_ARR(ecdsa_sha256),
                         .issuer = name(a, "CN=Test CA,O=Example AG,C=DE"),
                         .subject = name(a, "CN=gw-1,serialNumber=SN-1,O=Example AG"),
                         .spki = spki,
                         .not_before = at("2026-11-21T00:00:00Z"),
                         .not_after = TM_TIME_NEVER,
                         .exts = exts,
                         .n_exts = leaf_extensions(exts, a)};
    struct buf tbs, der;
    size_t offset;
    buf_init(&tbs, 4096);
    buf_init(&der, 4096);
    buf_puts(&tbs, "xx"); /* building appends: the offset is the TLV's own */
    assert_int_equal(tbs_cert_build(&tbs, &t, &offset), TM_OK);
    buf_consume(&tbs, 2);
    assert_memory_equal(tbs.p + offset, serial, sizeof serial);
    golden(a, "tbs-cert.der", buf_slice(&tbs));
    sign(&der, key, buf_slice(&tbs));

    static struct cert c;
    assert_int_equal(cert_parse(&c, buf_slice(&der), NULL), TM_OK);
    assert_true(slice_eq(c.serial, t.serial));
    assert_int_equal(c.not_after, TM_TIME_NEVER);
    assert_int_equal(c.exts.n, 9);
    const unsigned char *p = der.p;
    X509 *x = d2i_X509(NULL, &p, (long)der.n);
    assert_non_null(x);
    assert_int_equal(X509_verify(x, key), 1);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(X509_print(bio, x), 1);
    char *text;
    size_t n = (size_t)BIO_get_mem_data(bio, &text);
    assert_non_null(memmem(text, n, "DNS:gw-1.example.org, IP Address:192.0.2.1, othername:", 54));
    BIO_free(bio);
    X509_free(x);
    EVP_PKEY_free(key);
    buf_done(&tbs);
    buf_done(&der);
}

static void test_tbs_cert_build__serials(void **state)
{
    struct arena *a = *state;
    struct slice spki;
    EVP_PKEY_free(key_load(a, &spki));
    static const struct {
        const char *hex;
        tm_err e;
    } cases[] = {
        {"01", TM_OK},
        {"7f", TM_OK},
        {"0080", TM_OK},
        {"", TM_EINVAL},
        {"00", TM_EINVAL},
        {"80", TM_EINVAL},
        {"007f", TM_EINVAL},
        {"0000000000000000000000000000000000000000", TM_EINVAL},
        {"7f00000000000000000000000000000000000000", TM_OK},
        {"010000000000000000000000000000000000000000", TM_EINVAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tbs_cert t = {.sigalg = SLICE_ARR(ecdsa_sha256),
                             .issuer = name(a, "CN=a"),
                             .subject = name(a, ""),
                             .spki = spki,
                             .not_after = 1};
        struct buf out;
        size_t offset;
        buf_init(&out, 1024);
        assert_int_equal(hex_decode(&t.serial, a, slice_str(cases[i].hex)), TM_OK);
        assert_int_equal(tbs_cert_build(&out, &t, &offset), cases[i].e);
        if (cases[i].e == TM_OK)
            assert_memory_equal(out.p + offset, t.serial.p, t.serial.n);
        else
            assert_int_equal(out.n, 0);
        buf_done(&out);
    }
}

/* A large key moves everything after the serial; the offset has to follow the outer length's growth and nothing else. */
static void test_tbs_cert_build__offset_at_every_size(void **state)
{
    struct arena *a = *state;
    static uint8_t big[70000];
    for (size_t n = 0; n < sizeof big; n += n < 300 ? 1 : 9973) {
        struct slice pad = slice_of(big, n);
        struct tbs_cert t = {.serial = SLICE_ARR(serial),
                             .sigalg = SLICE_ARR(ecdsa_sha256),
                             .issuer = name(a, "CN=a"),
                             .subject = name(a, ""),
                             .spki = pad,
                             .not_after = 1};
        struct buf out;
        size_t offset;
        buf_init(&out, 1 << 20);
        assert_int_equal(tbs_cert_build(&out, &t, &offset), TM_OK);
        assert_memory_equal(out.p + offset, serial, sizeof serial);
        buf_done(&out);
        if (n % 50 == 0)
            arena_reset(a);
    }
}

static void test_csr_build_info__golden_and_taken_by_openssl(void **state)
{
    struct arena *a = *state;
    struct slice spki;
    EVP_PKEY *key = key_load(a, &spki);
    struct ext exts[9];
    size_t n = leaf_extensions(exts, a);
    for (int with = 0; with < 2; with++) {
        static struct csr c;
        struct buf info, der;
        buf_init(&info, 4096);
        buf_init(&der, 4096);
        assert_int_equal(
            csr_build_info(&info, with ? name(a, "CN=gw-1") : (struct slice){0}, spki, exts, with ? n : 0),
            TM_OK);
        golden(a, with ? "csr-info.der" : "csr-info-bare.der", buf_slice(&info));
        sign(&der, key, buf_slice(&info));
        assert_int_equal(csr_parse_pkcs10(&c, buf_slice(&der), NULL), TM_OK);
        assert_int_equal(c.exts.n, with ? n : 0);
        const unsigned char *p = der.p;
        X509_REQ *x = d2i_X509_REQ(NULL, &p, (long)der.n);
        assert_non_null(x);
        assert_int_equal(X509_REQ_verify(x, key), 1);
        X509_REQ_free(x);
        buf_done(&info);
        buf_done(&der);
    }
    EVP_PKEY_free(key);
}

static void crl_of(struct buf *out, struct arena *a, size_t entries)
{
    static const uint8_t akid[20] = {1, 2, 3};
    struct tbs_crl t = {.sigalg = SLICE_ARR(ecdsa_sha256),
                        .issuer = name(a, "CN=Test CA"),
                        .this_update = at("2026-11-21T00:00:00Z"),
                        .next_update = at("2026-11-28T00:00:00Z"),
                        .akid = SLICE_ARR(akid),
                        .number = SLICE_LIT("\xff\x01")};
    struct crl_builder b;
    crl_build_begin(&b, out, &t);
    for (size_t i = 0; i < entries; i++) {
        uint8_t s[3] = {(uint8_t)(1 + (i >> 16)), (uint8_t)(i >> 8), (uint8_t)i};
        struct crl_entry e = {.serial = SLICE_ARR(s),
                              .revoked_at = at("2026-11-01T00:00:00Z") + (int64_t)i,
                              .reason = (int)(i % 6),
                              .invalid_since = i % 2 ? at("2026-10-01T00:00:00Z") : 0};
        crl_build_entry(&b, &e);
    }
    assert_int_equal(crl_build_end(&b), TM_OK);
}

static void test_crl_build__golden_and_taken_by_openssl(void **state)
{
    struct arena *a = *state;
    static const size_t sizes[] = {0, 1, 2, 8, 3000};
    struct slice spki;
    EVP_PKEY *key = key_load(a, &spki);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        static struct crl c;
        struct crl_iter it;
        struct crl_entry e;
        struct buf tbs, der;
        size_t n = 0;
        buf_init(&tbs, 1 << 20);
        buf_init(&der, 1 << 20);
        crl_of(&tbs, a, sizes[i]);
        if (sizes[i] < 100)
            golden(a, arena_printf(a, "tbs-crl-%zu.der", sizes[i]), buf_slice(&tbs));
        sign(&der, key, buf_slice(&tbs));
        assert_int_equal(crl_parse(&c, buf_slice(&der), NULL), TM_OK);
        assert_true(slice_eq(crl_number(&c), SLICE_LIT("\x00\xff\x01")));
        crl_iter_init(&it, &c, NULL);
        for (; crl_next(&it, &e) == TM_OK; n++) {
            assert_int_equal(e.reason, n % 6);
            assert_int_equal(e.invalid_since != 0, n % 2);
        }
        assert_int_equal(n, sizes[i]);
        const unsigned char *p = der.p;
        X509_CRL *x = d2i_X509_CRL(NULL, &p, (long)der.n);
        assert_non_null(x);
        assert_int_equal(X509_CRL_verify(x, key), 1);
        assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(x)), sizes[i] ? (int)sizes[i] : -1);
        X509_CRL_free(x);
        buf_done(&tbs);
        buf_done(&der);
    }
    EVP_PKEY_free(key);
}

static void test_crl_build__refuses(void **state)
{
    struct arena *a = *state;
    struct tbs_crl t = {.sigalg = SLICE_ARR(ecdsa_sha256), .issuer = name(a, "CN=a"), .next_update = 1};
    struct crl_builder b;
    struct buf out;
    buf_init(&out, 4096);
    crl_build_begin(&b, &out, &t);
    assert_int_equal(crl_build_end(&b), TM_EINVAL); /* no number */
    t.number = SLICE_LIT("\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    crl_build_begin(&b, &out, &t);
    assert_int_equal(crl_build_end(&b), TM_EINVAL);
    t.number = SLICE_LIT("\x01");
    static const struct crl_entry bad[] = {{.reason = 0},
                                           {.serial = {(const uint8_t *)"\x01", 1}, .reason = 7},
                                           {.serial = {(const uint8_t *)"\x01", 1}, .reason = 11}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        crl_build_begin(&b, &out, &t);
        crl_build_entry(&b, &bad[i]);
        assert_int_equal(crl_build_end(&b), TM_EINVAL);
    }
    buf_done(&out);
    buf_init(&out, 60); /* too small a buffer at whatever step */
    crl_build_begin(&b, &out, &t);
    assert_int_equal(crl_build_end(&b), TM_ETOOBIG);
    buf_done(&out);
}

static void test_certs_only_build__taken_by_openssl_in_order(void **state)
{
    struct arena *a = *state;
    struct slice certs[3] = {sample(a, "good/cert-rsa2048.der"), sample(a, "good/cert-p256.der"),
                             sample(a, "good/cert-ed25519.der")},
                 crl = sample(a, "good/crl-empty.der"), back[3];
    struct buf out;
    size_t n;
    buf_init(&out, 1 << 16);
    assert_int_equal(certs_only_build(&out, certs, 3, &crl, 1), TM_OK);
    const unsigned char *p = out.p;
    PKCS7 *p7 = d2i_PKCS7(NULL, &p, (long)out.n);
    assert_non_null(p7);
    assert_int_equal(sk_X509_num(p7->d.sign->cert), 3);
    assert_int_equal(sk_X509_CRL_num(p7->d.sign->crl), 1);
    PKCS7_free(p7);
    assert_int_equal(certs_only_parse(back, 3, &n, buf_slice(&out), NULL), TM_OK);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(slice_eq(certs[i], back[i]));
    assert_int_equal(certs_only_parse(back, 2, &n, buf_slice(&out), NULL), TM_ETOOBIG);
    buf_reset(&out);
    assert_int_equal(certs_only_build(&out, NULL, 0, NULL, 0), TM_OK);
    assert_int_equal(certs_only_parse(back, 3, &n, buf_slice(&out), NULL), TM_OK);
    assert_int_equal(n, 0);
    buf_done(&out);
}

static void test_spki_key_id__both_methods(void **state)
{
    struct arena *a = *state;
    static struct cert c;
    uint8_t id[20];
    assert_int_equal(cert_parse(&c, sample(a, "good/cert-p256.der"), NULL), TM_OK);
    assert_int_equal(spki_key_id_sha1(id, &c.spki), TM_OK);
    assert_true(slice_eq(cert_ski(&c), SLICE_ARR(id))); /* openssl's "hash" is method 1 */
    uint8_t sha[32];
    unsigned n;
    assert_int_equal(spki_key_id(id, &c.spki), TM_OK);
    assert_int_equal(EVP_Digest(c.spki.key.p, c.spki.key.n, sha, &n, EVP_sha256(), NULL), 1);
    assert_memory_equal(id, sha, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(test_tbs_cert_build__golden_and_taken_by_openssl),
        SAMPLE_TEST(test_tbs_cert_build__serials),
        SAMPLE_TEST(test_tbs_cert_build__offset_at_every_size),
        SAMPLE_TEST(test_csr_build_info__golden_and_taken_by_openssl),
        SAMPLE_TEST(test_crl_build__golden_and_taken_by_openssl),
        SAMPLE_TEST(test_crl_build__refuses),
        SAMPLE_TEST(test_certs_only_build__taken_by_openssl_in_order),
        SAMPLE_TEST(test_spki_key_id__both_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
