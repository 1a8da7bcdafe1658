#include "policy/lint.h"
#include "policy_test.h"

/* A certificate that breaks no rule, whose parsed form the cases then spoil. */
struct lab {
    struct bench b;
    struct cert cert, issuer;
    bool with_issuer;
    int64_t now;
};

static const char public_tls[] =
    "{\"kind\":\"Profile\",\"name\":\"public\",\"lifetime\":{\"default\":\"47d\",\"calendar\":\"public-tls\"},"
    "\"subject\":{\"empty\":\"allow\"},\"san\":{\"allow\":{\"dns\":{\"wildcards\":true},\"ip\":{},\"uri\":{},\"email\":{}},\"cn\":\"copy\"},"
    "\"usage\":{\"eku\":[\"serverAuth\"]},\"extensions\":{\"policies\":[\"2.23.140.1.2.1\"]}}";

static void lab_open(struct lab *l, bool device)
{
    memset(l, 0, sizeof *l);
    if (device) {
        bench_open(&l->b, "device-idevid-20y");
    } else {
        bench_open_json(&l->b, public_tls);
        bench_subject(&l->b, "CN=www.touchmark-test.com");
        NAMES(&l->b, "DNS:www.touchmark-test.com", "DNS:*.touchmark-test.com", "IP:9.9.9.9");
    }
    expect_issue(&l->b);
    l->now = l->b.s.f.now;
    struct diag diag = {0};
    if (cert_parse(&l->cert, bench_certificate(&l->b), &diag) != TM_OK)
        fail_msg("%s %s", diag.field, diag.message);
}

static struct slice hex(struct lab *l, const char *text)
{
    struct slice out;
    assert_int_equal(hex_decode(&out, l->b.a, slice_str(text)), TM_OK);
    return out;
}

static void drop(struct lab *l, enum oid id)
{
    size_t n = 0;
    for (size_t i = 0; i < l->cert.exts.n; i++)
        if (l->cert.exts.v[i].id != id)
            l->cert.exts.v[n++] = l->cert.exts.v[i];
    l->cert.exts.n = n;
}

static struct ext *ext_of(struct lab *l, enum oid id)
{
    for (size_t i = 0; i < l->cert.exts.n; i++)
        if (l->cert.exts.v[i].id == id)
            return &l->cert.exts.v[i];
    l->cert.exts.v[l->cert.exts.n] = (struct ext){.id = id, .oid = oid_contents(id)};
    return &l->cert.exts.v[l->cert.exts.n++];
}

static void set_usage(struct lab *l, uint32_t usage)
{
    assert_int_equal(ext_encode_key_usage(&ext_of(l, OID_EXT_KEY_USAGE)->value, l->b.a, usage), TM_OK);
}

static void set_eku(struct lab *l, enum oid first, enum oid second)
{
    const struct slice v[2] = {oid_contents(first), oid_contents(second)};
    assert_int_equal(ext_encode_eku(&ext_of(l, OID_EXT_EKU)->value, l->b.a, v, second == OID_UNKNOWN ? 1 : 2),
                     TM_OK);
}

static void set_san(struct lab *l, enum general_name_type type, const char *value)
{
    const struct general_name gn = {.type = type, .value = slice_str(value)};
    assert_int_equal(ext_encode_san(&ext_of(l, OID_EXT_SAN)->value, l->b.a, &gn, 1), TM_OK);
}

static void set_subject(struct lab *l, const char *text)
{
    assert_int_equal(name_from_text(&l->cert.subject, l->b.a, slice_str(text), NULL), TM_OK);
}

static void set_ca(struct lab *l)
{
    ext_of(l, OID_EXT_BASIC_CONSTRAINTS)->value = hex(l, "30030101ff");
}

static void own_issuer(struct lab *l)
{
    l->issuer = l->cert;
    l->issuer.subject = l->cert.issuer;
    l->with_issuer = true;
}

/* ---- the breaks ---- */

static void break_decodes(struct lab *l)
{
    ext_of(l, OID_EXT_KEY_USAGE)->value = hex(l, "0500");
}
static void break_version(struct lab *l)
{
    l->cert.version = 1;
}
static void break_serial_negative(struct lab *l)
{
    l->cert.serial = hex(l, "8001");
}
static void break_serial_zero(struct lab *l)
{
    l->cert.serial = hex(l, "00");
}
static void break_serial_long(struct lab *l)
{
    l->cert.serial = hex(l, "010203040506070809101112131415161718192021");
}
static void break_serial_short(struct lab *l)
{
    l->cert.serial = hex(l, "01020304050607");
}
static void break_serial_month(struct lab *l)
{
    l->cert.not_after += INT64_C(100) * 86400;
}
static void break_issuer_empty(struct lab *l)
{
    l->cert.issuer = hex(l, "3000");
}
static void break_issuer_other(struct lab *l)
{
    own_issuer(l);
    l->issuer.subject = hex(l, "3000");
}
static void break_validity_order(struct lab *l)
{
    l->cert.not_after = l->cert.not_before - 1;
}
static void break_validity_early(struct lab *l)
{
    l->cert.not_before = INT64_C(-700000000);
}
static void break_subject_no_san(struct lab *l)
{
    l->cert.subject = hex(l, "3000");
    drop(l, OID_EXT_SAN);
}
static void break_subject_san_not_critical(struct lab *l)
{
    l->cert.subject = hex(l, "3000");
}
static void break_san_empty(struct lab *l)
{
    ext_of(l, OID_EXT_SAN)->value = hex(l, "3000");
}
static void break_san_dns(struct lab *l)
{
    set_san(l, GN_DNS, "a_b.example.org");
}
static void break_san_uri(struct lab *l)
{
    set_san(l, GN_URI, "https://someone@touchmark-test.com/");
}
static void break_san_email(struct lab *l)
{
    set_san(l, GN_EMAIL, "no..body@example.org");
}
static void break_san_twice(struct lab *l)
{
    const struct general_name gn = {.type = GN_DNS, .value = SLICE_LIT("a.org")};
    const struct general_name v[2] = {gn, gn};
    assert_int_equal(ext_encode_san(&ext_of(l, OID_EXT_SAN)->value, l->b.a, v, 2), TM_OK);
}
static void break_akid_absent(struct lab *l)
{
    drop(l, OID_EXT_AKID);
}
static void break_akid_other(struct lab *l)
{
    own_issuer(l);
}
static void break_ski_absent(struct lab *l)
{
    drop(l, OID_EXT_SKI);
}
static void break_ski_critical(struct lab *l)
{
    ext_of(l, OID_EXT_SKI)->critical = true;
}
static void break_usage_zero(struct lab *l)
{
    ext_of(l, OID_EXT_KEY_USAGE)->value = hex(l, "030100");
}
static void break_usage_not_critical(struct lab *l)
{
    ext_of(l, OID_EXT_KEY_USAGE)->critical = false;
}
static void break_cert_sign(struct lab *l)
{
    set_usage(l, KU_KEY_CERT_SIGN);
}
static void break_ca_without_sign(struct lab *l)
{
    set_ca(l);
}
static void break_usage_encipher(struct lab *l)
{
    set_usage(l, KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
}
static void break_usage_encipher_only(struct lab *l)
{
    set_usage(l, KU_ENCIPHER_ONLY);
}
static void break_ca_not_critical(struct lab *l)
{
    set_ca(l);
    ext_of(l, OID_EXT_BASIC_CONSTRAINTS)->critical = false;
}
static void break_eku_any_critical(struct lab *l)
{
    set_eku(l, OID_EKU_ANY, OID_UNKNOWN);
    ext_of(l, OID_EXT_EKU)->critical = true;
}
static void break_eku_usage(struct lab *l)
{
    set_usage(l, KU_CRL_SIGN);
}
static void break_eku_twice(struct lab *l)
{
    set_eku(l, OID_EKU_SERVER_AUTH, OID_EKU_SERVER_AUTH);
}
static void break_aia_critical(struct lab *l)
{
    ext_of(l, OID_EXT_AIA)->critical = true;
}
static void break_cdp_critical(struct lab *l)
{
    ext_of(l, OID_EXT_CDP)->critical = true;
}
static void break_policies_twice(struct lab *l)
{
    ext_of(l, OID_EXT_POLICIES)->value = hex(l, "30143008060667810c0102013008060667810c010201");
}
static void break_name_constraints(struct lab *l)
{
    ext_of(l, OID_EXT_NAME_CONSTRAINTS)->value = hex(l, "3000");
}
static void break_unknown_critical(struct lab *l)
{
    l->cert.exts.v[l->cert.exts.n++] =
        (struct ext){.oid = SLICE_LIT("\x2a\x03\x04"), .critical = true, .value = hex(l, "0500")};
}
static void break_string_type(struct lab *l)
{
    /* C as UTF8String */
    l->cert.subject = hex(l, "300d310b300906035504060c024445");
}
static void break_string_teletex(struct lab *l)
{
    /* CN as TeletexString */
    l->cert.subject = hex(l, "300d310b3009060355040314024445");
}
static void break_name_long(struct lab *l)
{
    /* CN of 70 characters */
    l->cert.subject = hex(
        l,
        "3051314f304d06035504030c4630313233343536373839303132333435363738393031323334353637383930313233343536373839303132333435363738393031323334353637383930313233343536373839");
}
static void break_invisible(struct lab *l)
{
    /* CN with U+202E, which turns the reading direction */
    l->cert.subject = hex(l, "3010310e300c06035504030c0561e280ae62");
}
static void break_br_no_san(struct lab *l)
{
    drop(l, OID_EXT_SAN);
}
static void break_br_san_type(struct lab *l)
{
    set_san(l, GN_EMAIL, "a@b.org");
}
static void break_br_cn(struct lab *l)
{
    set_subject(l, "CN=other.touchmark-test.com");
}
static void break_br_lifetime_2026(struct lab *l)
{
    l->cert.not_after = l->cert.not_before + INT64_C(200) * 86400;
}
static void break_br_lifetime_2029(struct lab *l)
{
    l->cert.not_before = 1868227200;
    l->cert.not_after = l->cert.not_before + INT64_C(47) * 86400;
}
static void break_br_internal(struct lab *l)
{
    set_san(l, GN_DNS, "printer.local");
}
static void break_br_address(struct lab *l)
{
    const struct general_name gn = {.type = GN_IP, .value = SLICE_LIT("\x0a\x01\x02\x03")};
    assert_int_equal(ext_encode_san(&ext_of(l, OID_EXT_SAN)->value, l->b.a, &gn, 1), TM_OK);
}
static void break_br_eku(struct lab *l)
{
    set_eku(l, OID_EKU_CLIENT_AUTH, OID_UNKNOWN);
}
static void break_br_eku_more(struct lab *l)
{
    set_eku(l, OID_EKU_SERVER_AUTH, OID_EKU_CODE_SIGNING);
}
static void break_br_eku_2027(struct lab *l)
{
    l->cert.not_before = 1805068800;
    set_eku(l, OID_EKU_SERVER_AUTH, OID_EKU_CLIENT_AUTH);
}
static void break_key_ed25519(struct lab *l)
{
    l->cert.spki.alg = (struct algid){.id = OID_ED25519};
}
static void break_key_rsa_1024(struct lab *l)
{
    l->cert.spki.alg = (struct algid){.id = OID_RSA};
    l->cert.spki.key = hex(l, "300702030100010200");
}
static void break_br_policy(struct lab *l)
{
    drop(l, OID_EXT_POLICIES);
}
static void break_aia_absent(struct lab *l)
{
    drop(l, OID_EXT_AIA);
}
static void break_ca(struct lab *l)
{
    set_ca(l);
}
static void break_subject_empty(struct lab *l)
{
    l->cert.subject = hex(l, "3000");
}
static void break_no_serial_number(struct lab *l)
{
    set_subject(l, "CN=x");
}
static void break_no_signature_usage(struct lab *l)
{
    set_usage(l, KU_KEY_AGREEMENT);
}
static void break_hw_name(struct lab *l)
{
    /* hardwareModuleName with an empty serial number */
    const struct general_name gn = {.type = GN_OTHER,
                                    .value = hex(l, "300606022a030400"),
                                    .other_oid = oid_contents(OID_HW_MODULE_NAME),
                                    .other = OID_HW_MODULE_NAME};
    assert_int_equal(ext_encode_san(&ext_of(l, OID_EXT_SAN)->value, l->b.a, &gn, 1), TM_OK);
}
static void break_nra_beside_cdp(struct lab *l)
{
    ext_of(l, OID_EXT_NO_REV_AVAIL)->value = hex(l, "0500");
}
static void break_nra_critical(struct lab *l)
{
    break_nra_beside_cdp(l);
    drop(l, OID_EXT_CDP);
    drop(l, OID_EXT_AIA);
    ext_of(l, OID_EXT_NO_REV_AVAIL)->critical = true;
}
static void break_nra_value(struct lab *l)
{
    drop(l, OID_EXT_CDP);
    drop(l, OID_EXT_AIA);
    ext_of(l, OID_EXT_NO_REV_AVAIL)->value = hex(l, "3000");
}
static void break_nra_ca(struct lab *l)
{
    break_nra_beside_cdp(l);
    drop(l, OID_EXT_CDP);
    set_ca(l);
}
static void break_nra_beside_ocsp(struct lab *l)
{
    break_nra_beside_cdp(l);
    drop(l, OID_EXT_CDP);
}
static void break_cdp_https(struct lab *l)
{
    const char *uri = "https://pki.example/crl/1.crl";
    assert_int_equal(ext_encode_cdp(&ext_of(l, OID_EXT_CDP)->value, l->b.a, &uri, 1), TM_OK);
}
static void break_aia_https(struct lab *l)
{
    assert_int_equal(ext_encode_aia(&ext_of(l, OID_EXT_AIA)->value, l->b.a, "https://pki.example/ocsp", NULL),
                     TM_OK);
}
static void break_never_server(struct lab *l)
{
    l->cert.not_after = TM_TIME_NEVER;
}
static void break_never_ca(struct lab *l)
{
    l->cert.not_after = TM_TIME_NEVER;
    set_ca(l);
}
static void break_status(struct lab *l)
{
    drop(l, OID_EXT_CDP);
    drop(l, OID_EXT_AIA);
}
static void break_ocsp_signing(struct lab *l)
{
    set_eku(l, OID_EKU_OCSP_SIGNING, OID_EKU_SERVER_AUTH);
}
static void break_any(struct lab *l)
{
    set_eku(l, OID_EKU_ANY, OID_UNKNOWN);
}
static void break_size(struct lab *l)
{
    l->cert.der.n = 20000; /* only its length is looked at */
}
static void break_backdate(struct lab *l)
{
    l->cert.not_before = l->now - INT64_C(400) * 86400;
}

static const struct {
    const char *rule;
    void (*spoil)(struct lab *);
    bool device;
} cases[] = {
    {"rfc5280.decodes", break_decodes},
    {"rfc5280.version", break_version},
    {"rfc5280.serial-positive", break_serial_negative},
    {"rfc5280.serial-positive", break_serial_zero},
    {"rfc5280.serial-positive", break_serial_long},
    {"rfc5280.issuer-not-empty", break_issuer_empty},
    {"rfc5280.issuer-matches", break_issuer_other},
    {"rfc5280.validity-order", break_validity_order},
    {"rfc5280.validity-encodable", break_validity_early},
    {"rfc5280.subject-or-san", break_subject_no_san},
    {"rfc5280.subject-or-san", break_subject_san_not_critical},
    {"rfc5280.san-not-empty", break_san_empty},
    {"rfc5280.san-dns-form", break_san_dns},
    {"rfc5280.san-uri-form", break_san_uri},
    {"rfc5280.san-email-form", break_san_email},
    {"rfc5280.san-no-repetition", break_san_twice},
    {"rfc5280.akid-present", break_akid_absent},
    {"rfc5280.akid-matches", break_akid_other},
    {"rfc5280.ski-present", break_ski_absent},
    {"rfc5280.key-ids-not-critical", break_ski_critical},
    {"rfc5280.key-usage-not-zero", break_usage_zero},
    {"rfc5280.key-usage-critical", break_usage_not_critical},
    {"rfc5280.cert-sign-is-ca", break_cert_sign},
    {"rfc5280.cert-sign-is-ca", break_ca_without_sign},
    {"rfc5280.key-usage-fits-key", break_usage_encipher},
    {"rfc5280.key-usage-fits-key", break_usage_encipher_only},
    {"rfc5280.ca-constraints-critical", break_ca_not_critical},
    {"rfc5280.eku-any-not-critical", break_eku_any_critical},
    {"rfc5280.eku-fits-key-usage", break_eku_usage},
    {"rfc5280.eku-no-repetition", break_eku_twice},
    {"rfc5280.aia-not-critical", break_aia_critical},
    {"rfc5280.cdp-not-critical", break_cdp_critical},
    {"rfc5280.policies-no-repetition", break_policies_twice},
    {"rfc5280.name-constraints-is-ca", break_name_constraints},
    {"rfc5280.critical-known", break_unknown_critical},
    {"rfc5280.name-string-types", break_string_type},
    {"rfc5280.name-string-types", break_string_teletex},
    {"rfc5280.name-lengths", break_name_long},
    {"br.san-required", break_br_no_san},
    {"br.san-required", break_br_san_type},
    {"br.cn-in-san", break_br_cn},
    {"br.lifetime", break_br_lifetime_2026},
    {"br.lifetime", break_br_lifetime_2029},
    {"br.no-internal-names", break_br_internal},
    {"br.no-reserved-address", break_br_address},
    {"br.eku-server-auth", break_br_eku},
    {"br.eku-server-auth", break_br_eku_more},
    {"br.eku-server-auth-alone", break_br_eku_2027},
    {"br.key-algorithm", break_key_ed25519},
    {"br.key-algorithm", break_key_rsa_1024},
    {"br.policy", break_br_policy},
    {"br.serial-entropy", break_serial_short},
    {"br.aia-issuers", break_aia_absent},
    {"8021ar.not-ca", break_ca, true},
    {"8021ar.subject", break_subject_empty, true},
    {"8021ar.serial-number", break_no_serial_number, true},
    {"8021ar.key-usage", break_no_signature_usage, true},
    {"8021ar.key-algorithm", break_key_ed25519, true},
    {"8021ar.hardware-module-name", break_hw_name, true},
    {"touchmark.no-rev-avail", break_nra_beside_cdp},
    {"touchmark.no-rev-avail", break_nra_beside_ocsp},
    {"touchmark.no-rev-avail", break_nra_critical},
    {"touchmark.no-rev-avail", break_nra_value},
    {"touchmark.no-rev-avail", break_nra_ca},
    {"touchmark.serial-form", break_serial_month},
    {"touchmark.serial-form", break_serial_long},
    {"touchmark.cdp-form", break_cdp_https},
    {"touchmark.aia-form", break_aia_https},
    {"touchmark.never-expires", break_never_server},
    {"touchmark.never-expires", break_never_ca},
    {"touchmark.status", break_status},
    {"touchmark.ocsp-signing-alone", break_ocsp_signing},
    {"touchmark.any-purpose", break_any},
    {"touchmark.leaf", break_ca},
    {"touchmark.leaf", break_cert_sign},
    {"touchmark.visible-names", break_invisible},
    {"touchmark.size", break_size},
    {"touchmark.backdate", break_backdate},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static bool reported(const struct lint_report *r, const char *rule)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->v[i].rule->id, rule) == 0) {
            assert_int_not_equal(r->v[i].detail[0], '\0');
            return true;
        }
    return false;
}

static void lab_run(struct lint_report *r, struct lab *l, unsigned families)
{
    const struct lint_subject s = {
        .cert = &l->cert, .issuer = l->with_issuer ? &l->issuer : NULL, .arena = l->b.a, .now = l->now};
    lint_run(r, &s, families);
}

static void test_lint_run__each_rule_broken(void **state)
{
    for (size_t i = 0; i < CASES; i++) {
        struct lab l;
        struct lint_report r;
        const struct lint_rule *rule = lint_rule_find(cases[i].rule);
        if (!rule)
            fail_msg("no rule %s", cases[i].rule);
        lab_open(&l, cases[i].device);
        cases[i].spoil(&l);
        lab_run(&r, &l, rule->family);
        if (!reported(&r, cases[i].rule)) {
            for (size_t j = 0; j < r.n; j++)
                print_error("  %s: %s\n", r.v[j].rule->id, r.v[j].detail);
            fail_msg("case %zu does not break %s", i, cases[i].rule);
        }
        if (rule->severity == LINT_FAIL)
            assert_true(r.failed);
        bench_close(&l.b);
    }
}

static void test_lint_run__fine_certificates(void **state)
{
    for (int device = 0; device < 2; device++) {
        struct lab l;
        struct lint_report r;
        lab_open(&l, device);
        lab_run(&r, &l,
                device ? LINT_RFC5280 | LINT_8021AR | LINT_TOUCHMARK
                       : LINT_RFC5280 | LINT_BR | LINT_TOUCHMARK);
        for (size_t i = 0; i < r.n; i++)
            print_error("%s: %s\n", r.v[i].rule->id, r.v[i].detail);
        assert_int_equal(r.n, 0);
        assert_false(r.failed);
        bench_close(&l.b);
    }
}

static void test_lint_rules__each_has_a_case(void **state)
{
    size_t n = 0;
    for (const struct lint_rule *const *r = lint_rules; *r; r++, n++) {
        bool held = false;
        for (size_t i = 0; i < CASES; i++)
            held |= strcmp(cases[i].rule, (*r)->id) == 0;
        if (!held)
            fail_msg("%s has no case", (*r)->id);
        assert_ptr_equal(lint_rule_find((*r)->id), *r);
    }
    assert_true(n >= 25);
    assert_null(lint_rule_find("rfc5280.nothing"));
}

static void test_lint_run__families_are_asked(void **state)
{
    struct lab l;
    struct lint_report r;
    lab_open(&l, false);
    break_br_internal(&l);
    lab_run(&r, &l, LINT_RFC5280 | LINT_TOUCHMARK);
    assert_int_equal(r.n, 0);
    lab_run(&r, &l, LINT_BR);
    assert_true(r.failed);
    bench_close(&l.b);
}

static void test_lint_plan__ready_set(void **state)
{
    for (const struct ready_profile *p = ready_profiles; p->name; p++) {
        struct bench b;
        struct lint_report r;
        struct cert *seen;
        struct buf tbs;
        uint8_t serial[CERT_SERIAL_LEN];
        bench_open(&b, p->name);
        expect_issue(&b);
        buf_init(&tbs, CERT_DER_MAX);
        serial_prefix(serial, b.d->plan.not_after, b.s.f.now);
        assert_int_equal(plan_build_tbs(&tbs, &b.d->plan, serial, NULL), TM_OK);
        assert_int_equal(
            lint_plan(&r, &seen, b.a, &b.d->plan, buf_slice(&tbs), profile_lint_families(b.p), b.s.f.now),
            TM_OK);
        for (size_t i = 0; i < r.n; i++)
            print_error("%s: %s: %s\n", p->name, r.v[i].rule->id, r.v[i].detail);
        assert_int_equal(r.n, 0);
        buf_done(&tbs);
        bench_close(&b);
    }
}

static void test_lint_plan__malformed(void **state)
{
    struct bench b;
    struct lint_report r;
    struct cert *seen;
    bench_open(&b, "vpn");
    expect_issue(&b);
    assert_int_not_equal(
        lint_plan(&r, &seen, b.a, &b.d->plan, SLICE_LIT("\x30\x03\x02\x01\x01"), LINT_RFC5280, 0), TM_OK);
    bench_close(&b);
}

static void test_lint_reference__is_current(void **state)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    lint_reference(&out);
    compare_golden("docs/lint-rules.md", buf_slice(&out));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lint_run__fine_certificates),
        cmocka_unit_test(test_lint_run__each_rule_broken),
        cmocka_unit_test(test_lint_rules__each_has_a_case),
        cmocka_unit_test(test_lint_run__families_are_asked),
        cmocka_unit_test(test_lint_plan__ready_set),
        cmocka_unit_test(test_lint_plan__malformed),
        cmocka_unit_test(test_lint_reference__is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
