/* PKCS#10, CRMF and SPKAC: what is read out of them, and finding out which it is. */
#include "base/text.h"
#include "der/builder.h"
#include "der/reader.h"
#include "unit/x509/sample.h"
#include "x509/csr.h"
#include <openssl/evp.h>
#include <openssl/x509.h>

static struct csr c;

static void test_csr_parse_pkcs10__attributes(void **state)
{
    struct arena *a = *state;
    struct general_names san;
    assert_int_equal(csr_parse_pkcs10(&c, sample(a, "good/csr-challenge.der"), NULL), TM_OK);
    assert_true(slice_eq_str(c.challenge_password, "s3cret"));
    assert_int_equal(c.n_attrs, 2);
    const struct csr_attr *attr = csr_attr_find(&c, OID_UNSTRUCTURED_NAME);
    assert_non_null(attr);
    assert_true(slice_eq_str(slice_sub(attr->values, 2, attr->values.n), "gw one"));
    assert_null(csr_attr_find(&c, OID_EXTENSION_REQUEST));
    assert_null(csr_attr_find(&c, OID_UNKNOWN));
    assert_int_equal(csr_san(&san, a, &c, NULL), TM_OK);
    assert_int_equal(san.n, 0);
    assert_int_equal(csr_parse_pkcs10(&c, sample(a, "good/csr-p256.der"), NULL), TM_OK);
    assert_int_equal(csr_san(&san, a, &c, NULL), TM_OK);
    assert_int_equal(san.n, 2);
    assert_int_equal(c.challenge_password.n, 0); /* nothing of the request before is left */
    assert_int_equal(csr_parse_pkcs10(&c, sample(a, "good/csr-empty-subject.der"), NULL), TM_OK);
    assert_int_equal(c.subject.n, 2);
}

static void test_csr_parse_pkcs10__microsoft_extension_request(void **state)
{
    struct arena *a = *state;
    struct slice der = sample(a, "good/csr-p256.der"), copy;
    /* The same request with Microsoft's OID in place of PKCS#9's: one octet longer, so it is built by hand. */
    struct der_builder b;
    struct buf out;
    assert_int_equal(csr_parse_pkcs10(&c, der, NULL), TM_OK);
    const struct csr_attr *attr = csr_attr_find(&c, OID_EXTENSION_REQUEST);
    buf_init(&out, 4096);
    der_builder_init(&b, &out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    der_put_uint(&b, 0);
    der_put_tlv(&b, c.subject);
    der_put_tlv(&b, c.spki.der);
    der_open(&b, DER_CONTEXT_CONS(0));
    der_open(&b, DER_SEQUENCE);
    der_put_oid(&b, oid_contents(OID_MS_EXTENSION_REQUEST));
    der_put(&b, DER_SET, attr->values);
    der_close(&b);
    der_close(&b);
    der_close(&b);
    der_put_tlv(&b, c.sigalg.der);
    der_put_bits(&b, c.signature);
    der_close(&b);
    assert_int_equal(der_builder_finish(&b), TM_OK);
    assert_int_equal(arena_copy(&copy, a, buf_slice(&out)), TM_OK);
    buf_done(&out);
    size_t n = c.exts.n;
    assert_int_equal(csr_parse_pkcs10(&c, copy, NULL), TM_OK);
    assert_int_equal(c.exts.n, n);
}

static void test_csr_parse_pkcs10__attributes_left_out(void **state)
{
    struct arena *a = *state;
    struct der_builder b;
    struct buf out;
    assert_int_equal(csr_parse_pkcs10(&c, sample(a, "good/csr-p256.der"), NULL), TM_OK);
    struct csr first = c;
    buf_init(&out, 4096);
    der_builder_init(&b, &out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    der_put_uint(&b, 0);
    der_put_tlv(&b, first.subject);
    der_put_tlv(&b, first.spki.der);
    der_close(&b);
    der_put_tlv(&b, first.sigalg.der);
    der_put_bits(&b, first.signature);
    der_close(&b);
    assert_int_equal(csr_parse_pkcs10(&c, buf_slice(&out), NULL), TM_OK);
    assert_int_equal(c.n_attrs, 0);
    buf_done(&out);
}

static void test_csr_parse__size_is_bounded(void **state)
{
    struct arena *a = *state;
    uint8_t *big = arena_alloc(a, CSR_DER_MAX + 1);
    struct slice s = slice_of(big, CSR_DER_MAX + 1);
    struct diag d = {0};
    assert_int_equal(csr_parse_pkcs10(&c, s, &d), TM_ETOOBIG);
    assert_int_equal(csr_parse_crmf(&c, a, s, &d), TM_ETOOBIG);
    assert_int_equal(csr_parse_spkac(&c, s, &d), TM_ETOOBIG);
    uint8_t *text = arena_alloc(a, 3 * CSR_DER_MAX);
    memset(text, 'A', 3 * CSR_DER_MAX);
    assert_int_equal(csr_parse_any(&c, a, slice_of(text, 3 * CSR_DER_MAX), &d), TM_ETOOBIG);
}

/* The bytes and the signature that were found verify with the key that was found. */
static void verifies(void)
{
    const unsigned char *p = c.spki.der.p;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)c.spki.der.n);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_non_null(key);
    assert_int_equal(c.sigalg.id, OID_ECDSA_SHA256);
    assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(ctx, c.signature.p, c.signature.n, c.signed_part.p, c.signed_part.n),
                     1);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}

static void test_csr_parse_crmf__signature_over_the_request(void **state)
{
    struct arena *a = *state;
    struct general_names san;
    assert_int_equal(csr_parse_crmf(&c, a, sample(a, "good/crmf-p256.der"), NULL), TM_OK);
    assert_int_equal(c.pop, CSR_POP_SIGNATURE);
    verifies();
    assert_int_equal(c.crmf_request_id, 0);
    assert_true(c.not_after > c.not_before);
    assert_int_equal(csr_san(&san, a, &c, NULL), TM_OK);
    assert_int_equal(san.n, 1);
    struct buf text;
    buf_init(&text, 256);
    name_print_der(&text, c.subject);
    assert_string_equal(buf_str(&text), "CN=gw-1,O=Example AG");
    buf_done(&text);
    assert_int_equal(csr_parse_crmf(&c, a, sample(a, "good/crmf-ra-verified.der"), NULL), TM_OK);
    assert_int_equal(c.pop, CSR_POP_RA_VERIFIED);
}

/* CertReqMsg with the template's fields and the popo given as ready bytes. */
static struct slice message(struct arena *a, struct slice template, struct slice controls, struct slice popo,
                            struct slice info)
{
    struct der_builder b;
    struct buf out;
    struct slice der;
    buf_init(&out, 8192);
    der_builder_init(&b, &out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    der_put_uint(&b, 9);
    der_put(&b, DER_SEQUENCE, template);
    der_put_tlv(&b, controls);
    der_close(&b);
    der_put_tlv(&b, popo);
    der_put_tlv(&b, info);
    der_close(&b);
    assert_int_equal(der_builder_finish(&b), TM_OK);
    assert_int_equal(arena_copy(&der, a, buf_slice(&out)), TM_OK);
    buf_done(&out);
    return der;
}

static void test_csr_parse_crmf__central_key_generation(void **state)
{
    struct arena *a = *state;
    /* publicKey [6] with an algorithm and an empty key (RFC 9483 4.1.6), no popo */
    struct slice der = message(a, SLICE_LIT("\xa6\x0a\x30\x05\x06\x03\x2b\x65\x70\x03\x01\x00"),
                               (struct slice){0}, (struct slice){0}, (struct slice){0});
    assert_int_equal(csr_parse_crmf(&c, a, der, NULL), TM_OK);
    assert_int_equal(c.spki.der.n, 0);
    assert_int_equal(c.spki.alg.id, OID_ED25519);
    assert_int_equal(c.pop, CSR_POP_NONE);
    assert_int_equal(c.crmf_request_id, 9);
    assert_int_equal(c.subject.n, 0);
    assert_int_equal(csr_parse_any(&c, a, der, NULL), TM_OK);
    assert_int_equal(c.format, CSR_CRMF);
    der = message(a, (struct slice){0}, (struct slice){0}, (struct slice){0}, (struct slice){0});
    assert_int_equal(csr_parse_any(&c, a, der, NULL), TM_OK); /* no template at all: any key, any name */
    assert_int_equal(c.spki.alg.oid.n, 0);
}

static void test_csr_parse_crmf__controls_reg_info_and_other_proofs(void **state)
{
    struct arena *a = *state;
    struct slice controls = SLICE_LIT("\x30\x12\x30\x10\x06\x09\x2b\x06\x01\x05\x05\x07\x05\x01\x01\x0c\x03"
                                      "abc"),
                 info = SLICE_LIT("\x30\x12\x30\x10\x06\x09\x2b\x06\x01\x05\x05\x07\x05\x02\x01\x0c\x03"
                                  "x?y"),
                 encipherment = SLICE_LIT("\xa2\x03\x81\x01\x00"),
                 agreement = SLICE_LIT("\xa3\x03\x81\x01\x01");
    assert_int_equal(csr_parse_crmf(&c, a, message(a, (struct slice){0}, controls, encipherment, info), NULL),
                     TM_OK);
    assert_int_equal(c.pop, CSR_POP_KEY_ENCIPHERMENT);
    assert_true(slice_eq(c.pop_detail, SLICE_LIT("\x81\x01\x00")));
    assert_int_equal(csr_pop_later(&c), CSR_POP_ENCRYPTED_CERT);
    assert_int_equal(c.n_attrs, 2);
    assert_true(slice_eq_str(csr_attr_find(&c, OID_REG_CTRL_REG_TOKEN)->values, "\x0c\x03"
                                                                                "abc"));
    assert_non_null(csr_attr_find(&c, OID_REG_INFO_UTF8_PAIRS));
    assert_int_equal(
        csr_parse_crmf(&c, a, message(a, (struct slice){0}, controls, agreement, (struct slice){0}), NULL),
        TM_OK);
    assert_true(slice_eq(c.pop_detail, SLICE_LIT("\x81\x01\x01")));
    assert_int_equal(csr_pop_later(&c), CSR_POP_CHALLENGE_RESPONSE);
    c.pop_detail = SLICE_LIT("\x81\x01\x02");
    assert_int_equal(csr_pop_later(&c), CSR_POP_OTHERWISE);
}

static void test_csr_parse_crmf__poposk_input(void **state)
{
    struct arena *a = *state;
    struct slice spki, template = {0};
    struct der_builder b;
    struct buf popo;
    assert_int_equal(csr_parse_pkcs10(&c, sample(a, "good/csr-p256.der"), NULL), TM_OK);
    spki = c.spki.der;
    buf_init(&popo, 1024);
    der_builder_init(&b, &popo);
    der_open(&b, DER_CONTEXT_CONS(1));
    der_open(&b, DER_CONTEXT_CONS(0));
    der_put_tlv(&b, SLICE_LIT("\xa0\x04\xa4\x02\x30\x00"));
    der_put_tlv(&b, spki);
    der_close(&b);
    der_put_tlv(&b, SLICE_LIT("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"));
    der_put_bits(&b, SLICE_LIT("sig"));
    der_close(&b);
    assert_int_equal(
        csr_parse_crmf(&c, a, message(a, template, (struct slice){0}, buf_slice(&popo), (struct slice){0}),
                       NULL),
        TM_OK);
    assert_true(slice_eq(c.spki.der, spki));            /* the only key that is named */
    assert_int_equal(c.signed_part.p[0], DER_SEQUENCE); /* the digest is over the type's own tag */
    assert_true(slice_eq_str(c.signature, "sig"));
    buf_done(&popo);
}

static void test_crmf_messages_read__each_message(void **state)
{
    struct arena *a = *state;
    struct slice v[2], der = sample(a, "good/crmf-messages-p256.der");
    size_t n;
    assert_int_equal(crmf_messages_read(v, 2, &n, der, NULL), TM_OK);
    assert_int_equal(n, 1);
    assert_int_equal(crmf_messages_read(v, 0, &n, der, NULL), TM_ETOOBIG);
    assert_int_equal(csr_parse_crmf(&c, a, v[0], NULL), TM_OK);
    verifies();
}

static void test_csr_parse_spkac__challenge_and_signature(void **state)
{
    struct arena *a = *state;
    struct slice text = sample(a, "good/spkac-p256.txt");
    assert_int_equal(csr_parse_any(&c, a, text, NULL), TM_OK);
    assert_int_equal(c.format, CSR_SPKAC);
    assert_true(slice_eq_str(c.challenge_password, "abc"));
    assert_int_equal(c.subject.n, 0);
    verifies();
    /* the same as bare DER */
    struct slice der = c.der;
    assert_int_equal(csr_parse_any(&c, a, der, NULL), TM_OK);
    assert_int_equal(c.format, CSR_SPKAC);
}

static void test_csr_parse_any__wrappings(void **state)
{
    struct arena *a = *state;
    static const char *const labels[] = {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"};
    struct slice der = sample(a, "good/csr-p256.der");
    struct buf text;
    buf_init(&text, 1 << 16);
    assert_int_equal(csr_parse_any(&c, a, der, NULL), TM_OK);
    for (size_t i = 0; i < 2; i++) {
        buf_reset(&text);
        buf_puts(&text, "some text before\n");
        buf_put_pem(&text, "EC PARAMETERS", SLICE_LIT("\x05\x00"));
        buf_put_pem(&text, labels[i], der);
        assert_int_equal(csr_parse_any(&c, a, buf_slice(&text), NULL), TM_OK);
        assert_true(slice_eq(c.der, der));
    }
    buf_reset(&text);
    buf_put_base64(&text, der, BASE64_STD, 64);
    buf_puts(&text, "\r\n");
    assert_int_equal(csr_parse_any(&c, a, buf_slice(&text), NULL), TM_OK);
    assert_int_equal(c.format, CSR_PKCS10);
    buf_done(&text);
    assert_int_equal(csr_parse_any(&c, a, sample(a, "good/crmf-p256.der"), NULL), TM_OK);
    assert_int_equal(c.format, CSR_CRMF);
    assert_int_equal(csr_parse_any(&c, a, sample(a, "good/crmf-messages-p256.der"), NULL), TM_OK);
    assert_int_equal(c.format, CSR_CRMF);
}

static void test_csr_parse_any__refuses(void **state)
{
    struct arena *a = *state;
    static const char *const bad[] = {
        "",
        "0",
        "hello!",
        "SPKAC=",
        "SPKAC=!!!",
        "SPKAC=AAAA",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\n",
        "MAA=",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct diag d = {0};
        if (csr_parse_any(&c, a, slice_str(bad[i]), &d) != TM_EMALFORMED)
            fail_msg("%s", bad[i]);
        assert_true(d.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(test_csr_parse_pkcs10__attributes),
        SAMPLE_TEST(test_csr_parse_pkcs10__microsoft_extension_request),
        SAMPLE_TEST(test_csr_parse_pkcs10__attributes_left_out),
        SAMPLE_TEST(test_csr_parse__size_is_bounded),
        SAMPLE_TEST(test_csr_parse_crmf__signature_over_the_request),
        SAMPLE_TEST(test_csr_parse_crmf__central_key_generation),
        SAMPLE_TEST(test_csr_parse_crmf__controls_reg_info_and_other_proofs),
        SAMPLE_TEST(test_csr_parse_crmf__poposk_input),
        SAMPLE_TEST(test_crmf_messages_read__each_message),
        SAMPLE_TEST(test_csr_parse_spkac__challenge_and_signature),
        SAMPLE_TEST(test_csr_parse_any__wrappings),
        SAMPLE_TEST(test_csr_parse_any__refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
