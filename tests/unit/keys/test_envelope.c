#include "der/builder.h"
#include "keys/envelope.h"
#include "keys/internal.h"
#include "keys_test.h"

static struct slice test_spki;

static int setup(void **state)
{
    struct key *k;
    if (test_setup(state) != 0 || key_generate(&k, KEY_ALG_EC_P256, 0, NULL) != TM_OK ||
        arena_copy(&test_spki, test_arena, key_spki(k)) != TM_OK)
        return -1;
    key_free(k);
    return 0;
}

/* ---- the JSON form ---- */

static void test_envelope_to_json__is_canonical_and_comes_back(void **state)
{
    (void)state;
    const char *ekus[] = {"1.3.6.1.5.5.7.3.1", "none"}, *dns[] = {"example.org", "a-b.test"};
    struct envelope e = test_envelope("issuing.2026"), back;
    struct buf text, again;
    e.ekus = ekus;
    e.n_ekus = 2;
    e.permit_dns = dns;
    e.n_permit_dns = 2;
    buf_init(&text, ENVELOPE_JSON_MAX);
    buf_init(&again, ENVELOPE_JSON_MAX);
    assert_ok(envelope_to_json(&text, &e));
    assert_ok(envelope_from_json(&back, test_arena, buf_slice(&text), NULL));
    assert_ok(envelope_to_json(&again, &back));
    assert_string_equal(buf_str(&text), buf_str(&again));
    assert_int_equal(back.n_ekus, 2);
    assert_string_equal(back.permit_dns[1], "a-b.test");
    assert_int_equal(back.not_after_max, TM_TIME_NEVER);
    assert_true(slice_eq(back.issuer, e.issuer));
    buf_done(&text);
    buf_done(&again);
}

#define GOOD_TAIL                                                                                                           \
    "\"issuer\":\"\",\"key_id\":\"k\",\"max_ca_seconds\":0,\"max_leaf_seconds\":1,\"max_path_len\":-1,\"not_after_max\":1," \
    "\"origin\":\"\",\"permit_dns\":[]}"

#define HASH_OF(digit) "\"" digit digit digit digit digit digit digit digit "\""
#define HASH_0         HASH_OF("00000000")
#define HASH_1         HASH_OF("0123cdef")

static void test_envelope_from_json__bad_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tm_err want;
    } cases[] = {
        {"{\"allow\":[\"leaf\"],\"ekus\":[]," GOOD_TAIL, TM_OK},
        {"{\"allow\":[],\"anchors\":[" HASH_0 "," HASH_1 "],\"ekus\":[]," GOOD_TAIL, TM_OK},
        {"{\"allow\":[],\"anchors\":[" HASH_1 "," HASH_0 "],\"ekus\":[]," GOOD_TAIL, TM_EINVAL},
        {"{\"allow\":[],\"anchors\":[" HASH_0 "," HASH_0 "],\"ekus\":[]," GOOD_TAIL, TM_EINVAL},
        {"{\"allow\":[],\"anchors\":[\"00\"],\"ekus\":[]," GOOD_TAIL, TM_EINVAL},
        {"{\"allow\":[],\"anchors\":[],\"ekus\":[]," GOOD_TAIL, TM_EMALFORMED}, /* none is left out */
        {"{\"allow\": [\"leaf\"],\"ekus\":[]," GOOD_TAIL, TM_EMALFORMED},       /* a space: not canonical */
        {"{\"ekus\":[],\"allow\":[\"leaf\"]," GOOD_TAIL, TM_EMALFORMED},        /* order */
        {"{\"allow\":[\"ca\",\"leaf\"],\"ekus\":[]," GOOD_TAIL, TM_EMALFORMED},
        {"{\"allow\":[\"everything\"],\"ekus\":[]," GOOD_TAIL, TM_EINVAL},
        {"{\"allow\":[],\"ekus\":[\"serverAuth\"]," GOOD_TAIL, TM_EINVAL},
        {"{\"allow\":[],\"more\":1,\"ekus\":[]," GOOD_TAIL, TM_EINVAL},
        {"{\"ekus\":[]," GOOD_TAIL, TM_EINVAL},
        {"{", TM_EMALFORMED},
        {"[]", TM_EINVAL},
        {"", TM_EMALFORMED},
        {"{\"allow\":[],\"ekus\":[],\"issuer\":\"AAAA\",\"key_id\":\"k\",\"max_ca_seconds\":0,\"max_leaf_seconds\":1,"
         "\"max_path_len\":-1,\"not_after_max\":1,\"origin\":\"\",\"permit_dns\":[]}",
         TM_EINVAL},
        {"{\"allow\":[],\"ekus\":[],\"issuer\":\"\",\"key_id\":\"../k\",\"max_ca_seconds\":0,\"max_leaf_seconds\":1,"
         "\"max_path_len\":-1,\"not_after_max\":1,\"origin\":\"\",\"permit_dns\":[]}",
         TM_EINVAL},
        {"{\"allow\":[],\"ekus\":[],\"issuer\":\"\",\"key_id\":\"k\",\"max_ca_seconds\":0,\"max_leaf_seconds\":1,"
         "\"max_path_len\":-1,\"not_after_max\":1,\"origin\":\"a b\",\"permit_dns\":[]}",
         TM_EINVAL},
        {"{\"allow\":[],\"ekus\":[],\"issuer\":\"\",\"key_id\":\"k\",\"max_ca_seconds\":0,\"max_leaf_seconds\":1,"
         "\"max_path_len\":-1,\"not_after_max\":1,\"origin\":\"\",\"permit_dns\":[\".example.org\"]}",
         TM_EINVAL},
        {"{\"allow\":[],\"ekus\":[],\"issuer\":\"\",\"key_id\":\"k\",\"max_ca_seconds\":0,\"max_leaf_seconds\":1,"
         "\"max_path_len\":-1,\"not_after_max\":1,\"origin\":\"\",\"permit_dns\":[\"Example.org\"]}",
         TM_EINVAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct envelope e;
        tm_err err = envelope_from_json(&e, test_arena, slice_str(cases[i].text), NULL);
        if (err != cases[i].want)
            print_error("case %zu: %s\n", i, tm_err_name(err));
        assert_int_equal(err, cases[i].want);
    }
}

/* ---- certificates ---- */

struct rule {
    struct test_cert cert;
    const char *rule; /* NULL: may be signed */
};

static void check_with(const struct envelope *e, const struct test_cert *t, const char *rule)
{
    struct diag diag = {0};
    size_t offset;
    tm_err err = envelope_check_tbs_cert(e, test_tbs(t, test_spki, &offset), clock_now(), &diag);
    if (!rule && err != TM_OK)
        print_error("refused: %s: %s\n", diag.rule, diag.message);
    assert_int_equal(err, rule ? TM_EDENIED : TM_OK);
    if (rule)
        assert_string_equal(diag.rule, rule);
}

static void check_all(const struct envelope *e, const struct rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_with(e, &rules[i].cert, rules[i].rule);
}
#define CHECK_ALL(e, rules) check_all((e), (rules), sizeof(rules) / sizeof((rules)[0]))

static void test_envelope_check_tbs_cert__a_leaf_key(void **state)
{
    (void)state;
    struct envelope e = test_envelope("leaf-only");
    e.not_after_max = clock_now() + 500 * 86400;
    static const struct rule rules[] = {
        {{0}, NULL},
        {{.no_bc = true}, NULL},
        {{.ca = true}, "envelope.allow"},
        {{.ku = KU_KEY_CERT_SIGN}, "RFC 5280 4.2.1.3"},
        {{.ku = KU_DIGITAL_SIGNATURE | KU_CRL_SIGN}, "RFC 5280 4.2.1.3"},
        {{.no_bc = true, .ku = KU_KEY_CERT_SIGN}, "RFC 5280 4.2.1.3"},
        {{.issuer = "CN=Other CA,O=Example"}, "envelope.issuer"},
        {{.issuer = "CN=test ca,O=Example"}, "envelope.issuer"}, /* exact octets */
        {{.subject = "CN=Test CA,O=Example"}, "envelope.subject"},
        {{.not_after = 401 * 86400}, "envelope.lifetime"},
        {{.not_before = -100 * 86400, .not_after = 320 * 86400}, "envelope.lifetime"},
        {{.not_before = 200 * 86400, .not_after = 501 * 86400}, "envelope.not_after_max"},
        {{.absolute_not_after = TM_TIME_NEVER}, "envelope.not_after_max"},
        {{.not_before = -371 * 86400, .not_after = 1}, "envelope.backdate"},
        {{.not_before = -369 * 86400, .not_after = 1}, NULL},
        {{.not_before = 10, .not_after = 5}, "envelope.lifetime"},
    };
    CHECK_ALL(&e, rules);
}

static void test_envelope_check_tbs_cert__never(void **state)
{
    (void)state;
    struct envelope e = test_envelope("devices");
    struct test_cert never = {.absolute_not_after = TM_TIME_NEVER};
    check_with(&e, &never, "envelope.lifetime");
    e.max_leaf_seconds = TM_TIME_NEVER;
    check_with(&e, &never, NULL);
}

static void test_envelope_check_tbs_cert__ekus(void **state)
{
    (void)state;
    struct envelope e = test_envelope("k");
    static const struct rule any[] = {
        {{0}, NULL},
        {{.ekus = {OID_EKU_SERVER_AUTH, OID_EKU_CLIENT_AUTH}}, NULL},
        {{.ekus = {OID_EKU_OCSP_SIGNING}}, "envelope.ekus"},
        {{.ekus = {OID_EKU_CLIENT_AUTH, OID_EKU_CMC_CA}}, "envelope.ekus"},
        {{.ekus = {OID_EKU_CMC_RA}}, "envelope.ekus"},
        {{.ekus = {OID_EKU_CM_KGA}}, "envelope.ekus"},
        {{.ekus = {OID_EKU_CMC_ARCHIVE}}, "envelope.ekus"},
        {{.ekus = {OID_EKU_ANY}}, "envelope.ekus"},
    };
    CHECK_ALL(&e, any);
    const char *listed[] = {"1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.9"};
    e.ekus = listed;
    e.n_ekus = 2;
    static const struct rule list[] = {
        {{0}, "envelope.ekus"},
        {{.ekus = {OID_EKU_CLIENT_AUTH}}, NULL},
        {{.ekus = {OID_EKU_SERVER_AUTH}}, "envelope.ekus"},
        {{.ekus = {OID_EKU_OCSP_SIGNING}}, NULL},
    };
    CHECK_ALL(&e, list);
    const char *none[] = {"none"};
    e.ekus = none;
    e.n_ekus = 1;
    static const struct rule without[] = {{{0}, NULL}, {{.ekus = {OID_EKU_CLIENT_AUTH}}, "envelope.ekus"}};
    CHECK_ALL(&e, without);
    e.n_ekus = 0;
    static const struct rule nothing[] = {{{0}, "envelope.ekus"},
                                          {{.ekus = {OID_EKU_CLIENT_AUTH}}, "envelope.ekus"}};
    CHECK_ALL(&e, nothing);
}

static void test_envelope_check_tbs_cert__names(void **state)
{
    (void)state;
    struct envelope e = test_envelope("k");
    const char *dns[] = {"example.org", "plant.test"};
    e.permit_dns = dns;
    e.n_permit_dns = 2;
    static const struct rule rules[] = {
        {{0}, NULL},
        {{.dns = "example.org"}, NULL},
        {{.dns = "a.b.Example.ORG"}, NULL},
        {{.dns = "*.plant.test"}, NULL},
        {{.dns = "badexample.org"}, "envelope.permit_dns"},
        {{.dns = "example.org.evil.test"}, "envelope.permit_dns"},
        {{.dns = "*.org"}, "envelope.permit_dns"},
        {{.dns = "org"}, "envelope.permit_dns"},
        {{.subject = "CN=www.bank.test", .dns = "example.org"}, "envelope.permit_dns"},
        {{.subject = "CN=www.example.org"}, NULL},
        {{.subject = "CN=gateway 17"}, NULL},
    };
    CHECK_ALL(&e, rules);
}

static void test_envelope_check_tbs_cert__ca_certificates(void **state)
{
    (void)state;
    struct envelope e = test_envelope("root");
    e.allow = 1u << SIGN_CA;
    e.max_path_len = 1;
    static const struct rule rules[] = {
        {{0}, "envelope.allow"},
        {{.ca = true}, "envelope.max_path_len"},
        {{.ca = true, .has_path_len = true, .path_len = 2}, "envelope.max_path_len"},
        {{.ca = true, .has_path_len = true, .path_len = 1}, NULL},
        {{.ca = true, .has_path_len = true, .not_after = 3651LL * 86400}, "envelope.lifetime"},
        {{.ca = true, .has_path_len = true, .ku = KU_CRL_SIGN}, "RFC 5280 4.2.1.3"},
        {{.ca = true, .has_path_len = true, .ekus = {OID_EKU_SERVER_AUTH}}, NULL},
        {{.ca = true, .has_path_len = true, .ekus = {OID_EKU_OCSP_SIGNING}}, "envelope.ekus"},
        {{.ca = true, .has_path_len = true, .issuer = "CN=Else"}, "envelope.issuer"},
    };
    CHECK_ALL(&e, rules);
    e.max_path_len = -1;
    e.issuer = (struct slice){0};
    static const struct rule open[] = {{{.ca = true}, NULL}, {{.ca = true, .issuer = "CN=Anything"}, NULL}};
    CHECK_ALL(&e, open);
}

static void test_envelope_check_tbs_cert__serials(void **state)
{
    (void)state;
    struct envelope e = test_envelope("k");
    int64_t now = clock_now(), end = now + 90 * 86400;
    uint8_t good[17];
    struct test_cert t = {.serial = good, .serial_n = 16};
    test_serial(good, now, end);
    check_with(&e, &t, NULL);
    for (int i = 6; i < 16; i++) {
        good[i] = 1;
        check_with(&e, &t, "envelope.serial");
        good[i] = 0;
    }
    good[1] ^= 1; /* another month */
    check_with(&e, &t, "envelope.serial");
    test_serial(good, now - 3 * 86400, end);
    check_with(&e, &t, "envelope.serial");
    test_serial(good, now + 3 * 86400, end);
    check_with(&e, &t, "envelope.serial");
    t.serial_n = 15;
    check_with(&e, &t, "envelope.serial");
    good[16] = 0;
    t.serial_n = 17;
    check_with(&e, &t, "envelope.serial");
}

static void test_envelope_check_tbs_cert__every_truncation_and_flip(void **state)
{
    (void)state;
    struct envelope e = test_envelope("k");
    struct test_cert t = {.dns = "example.org", .ekus = {OID_EKU_CLIENT_AUTH}};
    size_t offset;
    struct slice tbs = test_tbs(&t, test_spki, &offset);
    int64_t now = clock_now();
    for (size_t n = 0; n < tbs.n; n++)
        assert_int_equal(envelope_check_tbs_cert(&e, slice_sub(tbs, 0, n), now, NULL), TM_EDENIED);
    uint8_t copy[2048];
    assert_true(tbs.n < sizeof copy);
    for (size_t i = 0; i < 8 * tbs.n; i++) {
        memcpy(copy, tbs.p, tbs.n);
        copy[i / 8] ^= (uint8_t)(1 << (i % 8));
        tm_err err = envelope_check_tbs_cert(&e, slice_of(copy, tbs.n), now, NULL);
        assert_true(err == TM_OK || err == TM_EDENIED);
    }
}

/* ---- other kinds ---- */

static void test_envelope_check_tbs_crl__rules(void **state)
{
    (void)state;
    struct envelope e = test_envelope("k");
    struct diag diag = {0};
    struct buf crl;
    int64_t now = clock_now();
    test_crl(&crl, "CN=Test CA,O=Example", SIG_ECDSA_SHA256, 5);
    struct slice tbs = buf_slice(&crl);
    assert_ok(envelope_check_tbs_crl(&e, tbs, now, &diag));
    assert_ok(envelope_check_crl(&e, SIG_ECDSA_SHA256, tbs, now, &diag));
    assert_int_equal(envelope_check_crl(&e, SIG_ECDSA_SHA384, tbs, now, &diag), TM_EDENIED);
    assert_int_equal(envelope_check_tbs_crl(&e, tbs, now + 371 * 86400, &diag), TM_EDENIED);
    assert_string_equal(diag.rule, "envelope.backdate");
    for (size_t n = 0; n < tbs.n; n++)
        assert_int_equal(envelope_check_tbs_crl(&e, slice_sub(tbs, 0, n), now, NULL), TM_EDENIED);
    e.allow = 1u << SIGN_LEAF;
    assert_int_equal(envelope_check_tbs_crl(&e, tbs, now, &diag), TM_EDENIED);
    assert_string_equal(diag.rule, "envelope.allow");
    buf_done(&crl);
    e = test_envelope("k");
    test_crl(&crl, "CN=Other", SIG_ECDSA_SHA256, 0);
    assert_int_equal(envelope_check_tbs_crl(&e, buf_slice(&crl), now, &diag), TM_EDENIED);
    assert_string_equal(diag.rule, "envelope.issuer");
    buf_done(&crl);
}

static void test_envelope_check_typed__nothing_passes_for_another(void **state)
{
    (void)state;
    struct envelope e = test_envelope("k");
    e.allow = ~0u;
    int64_t now = clock_now();
    struct test_cert t = {0};
    size_t offset;
    struct slice tbs = test_tbs(&t, test_spki, &offset);
    struct buf crl;
    test_crl(&crl, "CN=Test CA,O=Example", SIG_ECDSA_SHA256, 1);
    static const uint8_t attributes[] = {0x31, 0x24, 0x30, 0x18, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                         0xf7, 0x0d, 0x01, 0x09, 0x03, 0x31, 0x0b, 0x06, 0x09, 0x2a,
                                         0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01, 0x30, 0x08,
                                         0x06, 0x03, 0x55, 0x04, 0x03, 0x31, 0x01, 0x00};
    assert_int_equal(envelope_check_cms(&e, NULL, SLICE_ARR(attributes), (struct slice){0}, now, NULL),
                     TM_EDENIED); /* no message digest */
    struct slice all[] = {tbs, buf_slice(&crl), SLICE_ARR(attributes), SLICE_LIT("log.example/house\n0\n")};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(envelope_check_ocsp(&e, all[i], now, NULL), TM_EDENIED);
        assert_int_equal(envelope_check_cms(&e, NULL, all[i], (struct slice){0}, now, NULL), TM_EDENIED);
        assert_int_equal(envelope_check_cmp(&e, NULL, all[i], (struct slice){0}, now, NULL), TM_EDENIED);
        if (i != 0)
            assert_int_equal(envelope_check_tbs_cert(&e, all[i], now, NULL), TM_EDENIED);
        if (i != 1)
            assert_int_equal(envelope_check_tbs_crl(&e, all[i], now, NULL), TM_EDENIED);
    }
    buf_done(&crl);
}

static void test_envelope_check_typed__good_ones(void **state)
{
    (void)state;
    struct envelope e = test_envelope("k");
    static const uint8_t cmp[] = {0x30, 0x11, 0x30, 0x0b, 0x02, 0x01, 0x02, 0xa4, 0x02, 0x30,
                                  0x00, 0xa4, 0x02, 0x30, 0x00, 0xb3, 0x02, 0x05, 0x00};
    e.allow = 1u << SIGN_CMS | 1u << SIGN_CMP;
    assert_ok(envelope_check_cmp(&e, NULL, SLICE_ARR(cmp), (struct slice){0}, clock_now(), NULL));
}

/* Signed attributes with the content type `type`, a digest of `n` octets, a time (0: none) and, asked for, one more attribute. */
static struct slice cms_attributes(enum oid type, size_t n, int64_t when, bool more)
{
    static const uint8_t digest[80];
    struct buf b;
    struct der_builder d;
    struct slice out;
    buf_init(&b, 4096);
    der_builder_init(&d, &b);
    der_open(&d, DER_SET);
    for (int i = 0; i < 4; i++) {
        static const enum oid types[] = {OID_CONTENT_TYPE, OID_SIGNING_TIME, OID_MESSAGE_DIGEST,
                                         OID_AA_SIGNING_CERTIFICATE};
        if ((i == 1 && !when) || (i == 3 && !more))
            continue;
        der_open(&d, DER_SEQUENCE);
        der_put_oid(&d, oid_contents(types[i]));
        der_open(&d, DER_SET);
        if (i == 0)
            der_put_oid(&d, oid_contents(type));
        else if (i == 1)
            der_put_time(&d, when);
        else
            der_put(&d, DER_OCTET_STRING, slice_of(digest, n));
        der_close(&d);
        der_close(&d);
    }
    der_close_set_of(&d);
    assert_ok(der_builder_finish(&d));
    assert_ok(arena_copy(&out, test_arena, buf_slice(&b)));
    buf_done(&b);
    return out;
}

static void test_envelope_check_cms__what_is_signed(void **state)
{
    (void)state;
    struct envelope e = test_envelope("k");
    struct diag diag = {0};
    const struct slice none = {0};
    int64_t now = clock_now();
    struct slice good = cms_attributes(OID_CT_ASYMMETRIC_KEY_PACKAGE, 32, now, false);
    assert_int_equal(envelope_check_cms(&e, NULL, good, none, now, &diag), TM_EDENIED);
    assert_string_equal(diag.rule, "envelope.allow");
    e.allow = 1u << SIGN_CMS;
    assert_ok(envelope_check_cms(&e, NULL, good, none, now, NULL));
    assert_ok(
        envelope_check_cms(&e, NULL, cms_attributes(OID_CT_TOUCHMARK_FILTER, 64, 0, false), none, now, NULL));
    const struct {
        struct slice attrs;
        const char *rule;
    } bad[] = {
        {cms_attributes(OID_DATA, 32, now, false), "envelope.cms"},
        {cms_attributes(OID_ENVELOPED_DATA, 32, now, false), "envelope.cms"},
        {cms_attributes(OID_CT_ASYMMETRIC_KEY_PACKAGE, 32, now + 7200, false), "envelope.cms"},
        {cms_attributes(OID_CT_ASYMMETRIC_KEY_PACKAGE, 32, now - 7200, false), "envelope.cms"},
        {cms_attributes(OID_CT_ASYMMETRIC_KEY_PACKAGE, 32, now, true), "envelope.cms"},
        {cms_attributes(OID_CT_ASYMMETRIC_KEY_PACKAGE, 20, now, false), "RFC 5652 5.4"},
        {cms_attributes(OID_CT_ASYMMETRIC_KEY_PACKAGE, 65, now, false), "RFC 5652 5.4"},
        {slice_sub(good, 0, good.n - 1), "RFC 5652 5.4"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(envelope_check_cms(&e, NULL, bad[i].attrs, none, now, &diag), TM_EDENIED);
        assert_string_equal(diag.rule, bad[i].rule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_envelope_to_json__is_canonical_and_comes_back),
        cmocka_unit_test(test_envelope_from_json__bad_texts),
        cmocka_unit_test(test_envelope_check_tbs_cert__a_leaf_key),
        cmocka_unit_test(test_envelope_check_tbs_cert__never),
        cmocka_unit_test(test_envelope_check_tbs_cert__ekus),
        cmocka_unit_test(test_envelope_check_tbs_cert__names),
        cmocka_unit_test(test_envelope_check_tbs_cert__ca_certificates),
        cmocka_unit_test(test_envelope_check_tbs_cert__serials),
        cmocka_unit_test(test_envelope_check_tbs_cert__every_truncation_and_flip),
        cmocka_unit_test(test_envelope_check_tbs_crl__rules),
        cmocka_unit_test(test_envelope_check_typed__nothing_passes_for_another),
        cmocka_unit_test(test_envelope_check_typed__good_ones),
        cmocka_unit_test(test_envelope_check_cms__what_is_signed),
    };
    return cmocka_run_group_tests(tests, setup, test_teardown);
}
