/* What we read in certificates, requests and CRLs is what OpenSSL reads, for every good sample; and what is printed is in the
 * golden files. */
#include "base/text.h"
#include "unit/x509/sample.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include "x509/csr.h"
#include "x509/print.h"
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

static int64_t unix_of(const ASN1_TIME *t)
{
    struct tm tm;
    assert_int_equal(ASN1_TIME_to_tm(t, &tm), 1);
    return (int64_t)timegm(&tm);
}

static struct slice encoded_name(const X509_NAME *name)
{
    const unsigned char *p;
    size_t n;
    assert_int_equal(X509_NAME_get0_der(name, &p, &n), 1);
    return slice_of(p, n);
}

/* OpenSSL's RFC 2253 text has short names where RFC 4514 has none, so the tests keep to attributes whose keys agree. */
static void same_text(const X509_NAME *name, struct slice tlv)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct buf text;
    char *p;
    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    long n = BIO_get_mem_data(bio, &p);
    buf_init(&text, 4096);
    name_print_der(&text, tlv);
    if (!memmem(p, (size_t)n, "emailAddress", 12) && !memmem(p, (size_t)n, "serialNumber", 12))
        assert_true(slice_eq(buf_slice(&text), slice_of(p, (size_t)n)));
    buf_done(&text);
    BIO_free(bio);
}

static void same_extensions(const struct exts *ours, const STACK_OF(X509_EXTENSION) * theirs)
{
    assert_int_equal(ours->n, theirs ? X509v3_get_ext_count(theirs) : 0);
    for (size_t i = 0; i < ours->n; i++) {
        X509_EXTENSION *e = X509v3_get_ext(theirs, (int)i);
        const ASN1_OBJECT *o = X509_EXTENSION_get_object(e);
        const ASN1_OCTET_STRING *v = X509_EXTENSION_get_data(e);
        assert_true(slice_eq(ours->v[i].oid, slice_of(OBJ_get0_data(o), OBJ_length(o))));
        assert_int_equal(ours->v[i].critical, X509_EXTENSION_get_critical(e) > 0);
        assert_true(slice_eq(ours->v[i].value, slice_of(v->data, (size_t)v->length)));
    }
}

static void cert_agrees(const struct cert *c)
{
    const unsigned char *p = c->der.p;
    X509 *x = d2i_X509(NULL, &p, (long)c->der.n);
    assert_non_null(x);
    assert_int_equal(c->version, X509_get_version(x) + 1);
    BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
    uint8_t magnitude[20];
    int n = BN_bn2binpad(serial, magnitude, (int)c->serial.n);
    assert_int_equal(n, c->serial.n);
    assert_true(slice_eq(c->serial, slice_of(magnitude, (size_t)n)));
    BN_free(serial);
    assert_true(slice_eq(c->subject, encoded_name(X509_get_subject_name(x))));
    assert_true(slice_eq(c->issuer, encoded_name(X509_get_issuer_name(x))));
    same_text(X509_get_subject_name(x), c->subject);
    assert_int_equal(c->not_before, unix_of(X509_get0_notBefore(x)));
    assert_int_equal(c->not_after, unix_of(X509_get0_notAfter(x)));
    assert_int_equal(cert_is_ca(c), X509_check_ca(x) == 1);
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(x);
    assert_true(slice_eq(cert_ski(c), id ? slice_of(id->data, (size_t)id->length) : (struct slice){0}));
    id = X509_get0_authority_key_id(x);
    assert_true(slice_eq(cert_akid(c), id ? slice_of(id->data, (size_t)id->length) : (struct slice){0}));
    same_extensions(&c->exts, X509_get0_extensions(x));
    const ASN1_BIT_STRING *key = X509_get0_pubkey_bitstr(x);
    assert_true(slice_eq(c->spki.key, slice_of(key->data, (size_t)key->length)));
    /* Samples are self-signed: the bytes that we take for signed part and signature are those that verify. */
    EVP_PKEY *pkey = X509_get_pubkey(x);
    assert_int_equal(X509_verify(x, pkey), 1);
    EVP_PKEY_free(pkey);
    X509_free(x);
}

static void san_agrees(struct arena *a, const struct cert *c)
{
    const unsigned char *p = c->der.p;
    X509 *x = d2i_X509(NULL, &p, (long)c->der.n);
    STACK_OF(GENERAL_NAME) *theirs = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    struct general_names ours;
    assert_int_equal(cert_san(&ours, a, c, NULL), TM_OK);
    assert_int_equal(ours.n, theirs ? sk_GENERAL_NAME_num(theirs) : 0);
    for (size_t i = 0; i < ours.n; i++) {
        const GENERAL_NAME *gn = sk_GENERAL_NAME_value(theirs, (int)i);
        assert_int_equal(ours.v[i].type, gn->type);
        if (gn->type == GEN_DNS || gn->type == GEN_URI || gn->type == GEN_EMAIL)
            assert_true(slice_eq(ours.v[i].value, slice_of(gn->d.ia5->data, (size_t)gn->d.ia5->length)));
        if (gn->type == GEN_IPADD)
            assert_true(slice_eq(ours.v[i].value, slice_of(gn->d.ip->data, (size_t)gn->d.ip->length)));
        if (gn->type == GEN_DIRNAME)
            assert_true(slice_eq(ours.v[i].value, encoded_name(gn->d.directoryName)));
    }
    GENERAL_NAMES_free(theirs);
    X509_free(x);
}

static void printed(struct arena *a, const char *name, struct slice bytes)
{
    struct buf out;
    struct diag d = {0};
    buf_init(&out, 1 << 20);
    assert_int_equal(x509_print_any(&out, bytes, &d), TM_OK);
    golden(a, arena_printf(a, "%s.txt", name), buf_slice(&out));
    buf_reset(&out);
    assert_int_equal(x509_print_any_json(&out, bytes, &d), TM_OK);
    golden(a, arena_printf(a, "%s.json", name), buf_slice(&out));
    buf_done(&out);
}

static void test_cert_parse__agrees_with_openssl(void **state)
{
    struct arena *a = *state;
    const char *names[64];
    size_t n = sample_list(names, 64, a, "good", "cert-");
    for (size_t i = 0; i < n; i++) {
        static struct cert c;
        struct diag d = {0};
        struct slice der = sample(a, arena_printf(a, "good/%s", names[i]));
        if (cert_parse(&c, der, &d) != TM_OK)
            fail_msg("%s: %s: %s", names[i], d.rule, d.message);
        cert_agrees(&c);
        san_agrees(a, &c);
        printed(a, names[i], der);
    }
}

static void test_csr_parse_pkcs10__agrees_with_openssl(void **state)
{
    struct arena *a = *state;
    const char *names[64];
    size_t n = sample_list(names, 64, a, "good", "csr-");
    for (size_t i = 0; i < n; i++) {
        static struct csr c;
        struct slice der = sample(a, arena_printf(a, "good/%s", names[i]));
        const unsigned char *p = der.p;
        X509_REQ *x = d2i_X509_REQ(NULL, &p, (long)der.n);
        assert_non_null(x);
        assert_int_equal(csr_parse_pkcs10(&c, der, NULL), TM_OK);
        assert_int_equal(c.pop, CSR_POP_SIGNATURE);
        assert_true(slice_eq(c.subject, encoded_name(X509_REQ_get_subject_name(x))));
        STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(x);
        same_extensions(&c.exts, exts);
        sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
        assert_int_equal(c.n_attrs, X509_REQ_get_attr_count(x));
        assert_int_equal(X509_REQ_verify(x, X509_REQ_get0_pubkey(x)), 1);
        const ASN1_BIT_STRING *sig;
        X509_REQ_get0_signature(x, &sig, NULL);
        assert_true(slice_eq(c.signature, slice_of(sig->data, (size_t)sig->length)));
        X509_REQ_free(x);
        printed(a, names[i], der);
    }
}

static void test_crl_parse__agrees_with_openssl(void **state)
{
    struct arena *a = *state;
    const char *names[8];
    size_t n = sample_list(names, 8, a, "good", "crl-");
    for (size_t i = 0; i < n; i++) {
        static struct crl c;
        struct crl_iter it;
        struct crl_entry e;
        struct slice der = sample(a, arena_printf(a, "good/%s", names[i]));
        const unsigned char *p = der.p;
        X509_CRL *x = d2i_X509_CRL(NULL, &p, (long)der.n);
        assert_int_equal(crl_parse(&c, der, NULL), TM_OK);
        assert_true(slice_eq(c.issuer, encoded_name(X509_CRL_get_issuer(x))));
        assert_int_equal(c.this_update, unix_of(X509_CRL_get0_lastUpdate(x)));
        assert_int_equal(c.next_update, unix_of(X509_CRL_get0_nextUpdate(x)));
        same_extensions(&c.exts, X509_CRL_get0_extensions(x));
        STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(x);
        crl_iter_init(&it, &c, NULL);
        for (int k = 0; k < sk_X509_REVOKED_num(revoked); k++) {
            X509_REVOKED *r = sk_X509_REVOKED_value(revoked, k);
            ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
            assert_int_equal(crl_next(&it, &e), TM_OK);
            assert_int_equal(e.revoked_at, unix_of(X509_REVOKED_get0_revocationDate(r)));
            assert_int_equal(e.reason, reason ? ASN1_ENUMERATED_get(reason) : CRL_UNSPECIFIED);
            ASN1_ENUMERATED_free(reason);
        }
        assert_int_equal(crl_next(&it, &e), TM_ENOTFOUND);
        X509_CRL_free(x);
        printed(a, names[i], der);
    }
}

static void test_x509_print_any__other_formats(void **state)
{
    struct arena *a = *state;
    static const char *const names[] = {"certs-only.der",       "certs-only-ber.der",     "crmf-p256.der",
                                        "crmf-ra-verified.der", "crmf-messages-p256.der", "spkac-p256.txt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        printed(a, names[i], sample(a, arena_printf(a, "good/%s", names[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(test_cert_parse__agrees_with_openssl),
        SAMPLE_TEST(test_csr_parse_pkcs10__agrees_with_openssl),
        SAMPLE_TEST(test_crl_parse__agrees_with_openssl),
        SAMPLE_TEST(test_x509_print_any__other_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
