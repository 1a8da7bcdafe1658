/* Wrappings, refusals and hostile values; what the good samples look like is in test_good.c's golden files. */
#include "base/text.h"
#include "der/builder.h"
#include "der/reader.h"
#include "unit/x509/sample.h"
#include "x509/cert.h"
#include "x509/print.h"
#include "x509/print_asn1.h"

static struct buf out;

static int setup(void **state)
{
    buf_init(&out, 1 << 20);
    return sample_setup(state);
}

static int teardown(void **state)
{
    buf_done(&out);
    return sample_teardown(state);
}

static size_t count(const char *what)
{
    size_t n = 0;
    for (const char *p = buf_str(&out); (p = strstr(p, what)); p++)
        n++;
    return n;
}

static void test_x509_print_any__pem_with_several_objects(void **state)
{
    struct arena *a = *state;
    struct buf pem;
    buf_init(&pem, 1 << 16);
    buf_put_pem(&pem, "CERTIFICATE", sample(a, "good/cert-p256.der"));
    buf_put_pem(&pem, "PRIVATE KEY", SLICE_LIT("\x05\x00")); /* passed over */
    buf_put_pem(&pem, "CERTIFICATE REQUEST", sample(a, "good/csr-p256.der"));
    buf_put_pem(&pem, "X509 CRL", sample(a, "good/crl-empty.der"));
    buf_put_pem(&pem, "PKCS7", sample(a, "good/certs-only.der"));
    assert_int_equal(x509_print_any(&out, buf_slice(&pem), NULL), TM_OK);
    assert_int_equal(count("\n\n"), 3);
    assert_int_equal(count("  SHA-256 "), 4);
    buf_reset(&out);
    assert_int_equal(x509_print_any_json(&out, buf_slice(&pem), NULL), TM_OK);
    assert_int_equal(count("\"type\": "), 4);
    buf_reset(&pem);
    buf_put_base64(&pem, sample(a, "good/cert-p256.der"), BASE64_STD, 64);
    buf_reset(&out);
    assert_int_equal(x509_print_any(&out, buf_slice(&pem), NULL), TM_OK);
    buf_done(&pem);
}

static void test_x509_print_any__refuses_and_leaves_the_buffer(void **state)
{
    struct arena *a = *state;
    static const char *const bad[] = {"",
                                      "hello!",
                                      "0",
                                      "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
                                      "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
                                      "-----BEGIN CERTIFICATE-----\n",
                                      "MAA="};
    buf_puts(&out, "before");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct diag d = {0};
        assert_int_equal(x509_print_any(&out, slice_str(bad[i]), &d), TM_EMALFORMED);
        assert_int_equal(x509_print_any_json(&out, slice_str(bad[i]), &d), TM_EMALFORMED);
        assert_string_equal(buf_str(&out), "before");
        assert_true(d.message[0] != '\0');
    }
    /* the complaint is the nearest kind's */
    struct diag d = {0};
    assert_int_equal(x509_print_any(&out, sample(a, "bad/cert/rfc5280-4.2-extension-twice.der"), &d),
                     TM_EMALFORMED);
    assert_string_equal(d.rule, "RFC 5280 4.2");
    assert_int_equal(x509_print_any(&out, sample(a, "bad/csr/rfc2986-4.1-attribute-twice.der"), &d),
                     TM_EMALFORMED);
    assert_string_equal(d.rule, "RFC 2986 4.1");
    assert_int_equal(x509_print_any(&out, sample(a, "bad/crl/rfc5280-5.2.3-negative-number.der"), &d),
                     TM_EMALFORMED);
    assert_string_equal(d.rule, "RFC 5280 5.2.3");
}

/* A certificate with these extensions and this subject; the signature is nobody's. */
static void print_with(struct arena *a, const char *subject, const struct ext *exts, size_t n)
{
    struct buf tbs, der;
    struct slice issuer, name;
    static const uint8_t alg[] = {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70};
    static struct cert good;
    assert_int_equal(cert_parse(&good, sample(a, "good/cert-ed25519.der"), NULL), TM_OK);
    assert_int_equal(name_from_text(&issuer, a, SLICE_LIT("CN=x"), NULL), TM_OK);
    assert_int_equal(name_from_text(&name, a, slice_str(subject), NULL), TM_OK);
    struct tbs_cert t = {.serial = SLICE_LIT("\x01"),
                         .sigalg = SLICE_ARR(alg),
                         .issuer = issuer,
                         .subject = name,
                         .spki = good.spki.der,
                         .not_before = 0,
                         .not_after = 7199,
                         .exts = exts,
                         .n_exts = n};
    buf_init(&tbs, 1 << 16);
    buf_init(&der, 1 << 16);
    assert_int_equal(tbs_cert_build(&tbs, &t, NULL), TM_OK);
    assert_int_equal(signed_assemble(&der, buf_slice(&tbs), SLICE_ARR(alg), SLICE_LIT("sig")), TM_OK);
    buf_reset(&out);
    assert_int_equal(x509_print_any(&out, buf_slice(&der), NULL), TM_OK);
    buf_done(&tbs);
    buf_done(&der);
}

static void test_x509_print_any__nothing_acts_on_the_terminal(void **state)
{
    struct ext mud = {.id = OID_EXT_MUD_URL,
                      .value = SLICE_LIT("\x16\x06"
                                         "a\x1b[2Jb")};
    print_with(*state, "CN=a\\1B[31mb\\E2\\80\\AEc\\C2\\9Bd", &mud, 1);
    assert_non_null(strstr(buf_str(&out), "CN=a\\1B[31mb\\xe2\\x80\\xaec\\C2\\9Bd"));
    assert_non_null(strstr(buf_str(&out), "a\\x1b[2Jb"));
    for (size_t i = 0; i < out.n; i++)
        assert_true(out.p[i] >= 0x20 || out.p[i] == '\n');
    assert_non_null(strstr(buf_str(&out), "  120 minutes\n"));
}

static void test_x509_print_any__malformed_and_unknown_extensions(void **state)
{
    struct ext v[] = {
        {.id = OID_EXT_SAN, .value = SLICE_LIT("\x30\x00")},
        {.oid = SLICE_LIT("\x2a\x03\x04"), .critical = true, .value = SLICE_LIT("\x01\x02")},
        {.id = OID_EXT_QC_STATEMENTS, .value = SLICE_LIT("\x30\x05\x06\x03\x55\x04\x03")},
        {.id = OID_EXT_TLS_FEATURE, .value = SLICE_LIT("\x30\x09\x02\x01\x05\x02\x01\x11\x02\x01\x09")},
        {.id = OID_EXT_CT_SCTS, .value = SLICE_LIT("\x04\x03\x00\x09\x00")},
        {.id = OID_EXT_MS_SID,
         .value = SLICE_LIT(
             "\x30\x19\xa0\x17\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x19\x02\x01\xa0\x09\x04\x07S-1-5-1")},
    };
    print_with(*state, "CN=a", v, sizeof v / sizeof *v);
    assert_non_null(strstr(buf_str(&out), "Names              malformed: 3000\n"));
    assert_non_null(strstr(buf_str(&out), "1.2.3.4            0102\n"));
    assert_non_null(strstr(buf_str(&out), "qcStatements       { commonName }\n"));
    assert_non_null(strstr(buf_str(&out), "must-staple (status_request), status_request_v2, 9\n"));
    assert_non_null(strstr(buf_str(&out), "CT                 malformed: 0403000900\n"));
    assert_non_null(strstr(buf_str(&out), "Windows SID        S-1-5-1\n"));
    assert_non_null(strstr(buf_str(&out), "Critical           1.2.3.4\n"));
}

static const char *asn1(struct slice der)
{
    buf_reset(&out);
    asn1_print(&out, der);
    return buf_str(&out);
}

static void test_asn1_print__every_type(void **state)
{
    assert_string_equal(asn1(SLICE_LIT("\x01\x01\xff")), "true");
    assert_string_equal(asn1(SLICE_LIT("\x01\x01\x00")), "false");
    assert_string_equal(asn1(SLICE_LIT("\x02\x01\xff")), "-1");
    assert_string_equal(asn1(SLICE_LIT("\x02\x08\x7f\xff\xff\xff\xff\xff\xff\xff")), "9223372036854775807");
    assert_string_equal(asn1(SLICE_LIT("\x02\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff")),
                        "0x00ffffffffffffffff");
    assert_string_equal(asn1(SLICE_LIT("\x03\x02\x00\xaa")), "bits 0xaa");
    assert_string_equal(asn1(SLICE_LIT("\x04\x02\xaa\xbb")), "0xaabb");
    assert_string_equal(asn1(SLICE_LIT("\x05\x00")), "null");
    assert_string_equal(asn1(SLICE_LIT("\x06\x03\x2a\x03\x04")), "1.2.3.4");
    assert_string_equal(asn1(SLICE_LIT("\x0a\x01\x03")), "3");
    assert_string_equal(asn1(SLICE_LIT("\x0c\x01"
                                       "a")),
                        "\"a\"");
    assert_string_equal(asn1(SLICE_LIT("\x0c\x01\xff")), "0xff");
    assert_string_equal(asn1(SLICE_LIT("\x17\x0d"
                                       "260101000000Z")),
                        "2026-01-01T00:00:00Z");
    assert_string_equal(asn1(SLICE_LIT("\x30\x06\x80\x01\x41\xa1\x01\x05")),
                        "30068001"
                        "41a10105"); /* cut short inside */
    assert_string_equal(asn1(SLICE_LIT("\x30\x07\x80\x01\x41\xa1\x02\x05\x00")),
                        "{ [0] 0x41, [1] { null } }");
    assert_string_equal(asn1(SLICE_LIT("\x31\x00")), "{ }");
    assert_string_equal(asn1((struct slice){0}), "");
}

static void test_asn1_print__depth_is_bounded(void **state)
{
    uint8_t deep[80];
    for (size_t i = 0; i < sizeof deep; i += 2) {
        deep[i] = 0x30;
        deep[i + 1] = (uint8_t)(sizeof deep - i - 2);
    }
    assert_int_equal(strlen(asn1(SLICE_ARR(deep))), 160); /* hex instead */
}

#define PRINT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PRINT_TEST(test_x509_print_any__pem_with_several_objects),
        PRINT_TEST(test_x509_print_any__refuses_and_leaves_the_buffer),
        PRINT_TEST(test_x509_print_any__nothing_acts_on_the_terminal),
        PRINT_TEST(test_x509_print_any__malformed_and_unknown_extensions),
        PRINT_TEST(test_asn1_print__every_type),
        PRINT_TEST(test_asn1_print__depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
