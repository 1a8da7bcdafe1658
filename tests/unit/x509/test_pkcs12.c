#include "unit/x509/sample.h"
#include "x509/pkcs12.h"
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

static struct slice key_pem, key_der, leaf, other;

static struct slice bio_copy(struct arena *a, BIO *bio)
{
    char *p;
    struct slice s;
    long n = BIO_get_mem_data(bio, &p);
    assert_int_equal(arena_copy(&s, a, slice_of(p, (size_t)n)), TM_OK);
    BIO_free(bio);
    return s;
}

static void make(struct arena *a)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    key_pem = bio_copy(a, bio);
    bio = BIO_new(BIO_s_mem());
    i2d_PrivateKey_bio(bio, key);
    key_der = bio_copy(a, bio);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    bio = BIO_new(BIO_s_mem());
    i2d_X509_bio(bio, x);
    leaf = bio_copy(a, bio);
    X509_free(x);
    EVP_PKEY_free(key);
    other = sample(a, "good/cert-rsa2048.der");
}

static void test_pkcs12_build__opens_with_the_passphrase(void **state)
{
    struct arena *a = *state;
    make(a);
    struct slice chain[] = {leaf, other};
    for (int form = 0; form < 2; form++) {
        struct buf out;
        struct diag d = {0};
        buf_init(&out, 1 << 16);
        assert_int_equal(
            pkcs12_build(&out, form ? key_der : key_pem, chain, 2, SLICE_LIT("pass phrase"), "gw-1", &d),
            TM_OK);
        const unsigned char *p = out.p;
        PKCS12 *pfx = d2i_PKCS12(NULL, &p, (long)out.n);
        EVP_PKEY *key = NULL;
        X509 *x = NULL;
        STACK_OF(X509) *rest = NULL;
        assert_int_equal(PKCS12_verify_mac(pfx, "wrong", -1), 0);
        assert_int_equal(PKCS12_parse(pfx, "pass phrase", &key, &x, &rest), 1);
        assert_int_equal(X509_check_private_key(x, key), 1);
        assert_string_equal((const char *)X509_alias_get0(x, NULL), "gw-1");
        assert_int_equal(sk_X509_num(rest), 1);
        /* AES-256-CBC under PBKDF2 with HMAC-SHA256, and nothing of the old PBEs: 2.16.840.1.101.3.4.1.42, 1.2.840.113549.2.9 */
        assert_non_null(memmem(out.p, out.n, "\x60\x86\x48\x01\x65\x03\x04\x01\x2a", 9));
        assert_non_null(memmem(out.p, out.n, "\x2a\x86\x48\x86\xf7\x0d\x02\x09", 8));
        assert_null(memmem(out.p, out.n, "\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01", 9));
        sk_X509_pop_free(rest, X509_free);
        X509_free(x);
        EVP_PKEY_free(key);
        PKCS12_free(pfx);
        buf_done(&out);
    }
}

static void test_pkcs12_build__refuses(void **state)
{
    struct arena *a = *state;
    make(a);
    struct slice good[] = {leaf}, wrong[] = {other}, broken[] = {SLICE_LIT("\x30\x00")},
                 pass = SLICE_LIT("x");
    struct buf out;
    struct diag d = {0};
    buf_init(&out, 1 << 16);
    assert_int_equal(pkcs12_build(&out, key_pem, good, 0, pass, NULL, &d), TM_EINVAL);
    assert_int_equal(pkcs12_build(&out, key_pem, good, 1, (struct slice){0}, NULL, &d), TM_EINVAL);
    assert_int_equal(pkcs12_build(&out, key_pem, good, 1, SLICE_LIT("a\0b"), NULL, &d), TM_EINVAL);
    assert_int_equal(pkcs12_build(&out, (struct slice){0}, good, 1, pass, NULL, &d), TM_EMALFORMED);
    assert_int_equal(pkcs12_build(&out, SLICE_LIT("not a key"), good, 1, pass, NULL, &d), TM_EMALFORMED);
    assert_int_equal(pkcs12_build(&out, key_pem, broken, 1, pass, NULL, &d), TM_EMALFORMED);
    assert_int_equal(pkcs12_build(&out, key_pem, wrong, 1, pass, NULL, &d), TM_EINVAL);
    assert_int_equal(out.n, 0);
    buf_done(&out);
    buf_init(&out, 100);
    assert_int_equal(pkcs12_build(&out, key_pem, good, 1, pass, NULL, &d), TM_ETOOBIG);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(test_pkcs12_build__opens_with_the_passphrase),
        SAMPLE_TEST(test_pkcs12_build__refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
