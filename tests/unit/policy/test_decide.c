#include "policy_test.h"

enum { DAY = 86400 };

/* ---- who ---- */

static void test_policy_decide__door(void **state)
{
    struct bench b;
    open_subject_any(&b, "\"doors\":[\"est\",\"cmp\"]");
    b.s.e.door = DOOR_EST;
    expect_issue(&b);
    b.s.e.door = DOOR_REST;
    expect_deny(&b, "profile.doors");
    b.s.e.door = DOOR_COUNT;
    expect_deny(&b, "profile.doors");
    bench_close(&b);
}

static void test_policy_decide__caller(void **state)
{
    struct bench b;
    open_subject_any(&b, "\"roles\":[\"owner\"]");
    b.s.e.caller.kind = CALLER_ANONYMOUS;
    expect_deny(&b, "profile.callers");
    assert_int_equal(b.d->err, TM_EAUTH);
    b.s.e.caller.kind = CALLER_PRINCIPAL;
    b.s.e.caller.roles = "admin,operator";
    expect_deny(&b, "profile.roles");
    b.s.e.caller.roles = NULL;
    expect_deny(&b, "profile.roles");
    b.s.e.caller.roles = "admin, owner";
    expect_issue(&b);
    b.s.e.caller.kind = CALLER_TOKEN;
    expect_issue(&b);
    b.s.e.caller.kind = CALLER_COUNT;
    expect_deny(&b, "profile.callers");
    b.s.e.caller.kind = CALLER_DEVICE;
    b.s.e.caller.cert_expired = true;
    expect_deny(&b, "caller.expired");
    assert_int_equal(b.d->err, TM_EEXPIRED);
    bench_close(&b);
}

static void test_policy_decide__authority(void **state)
{
    struct bench b;
    open_subject_any(&b, ANY_DNS);
    struct facts f = b.s.f;
    b.s.f.authority.disabled = true;
    expect_deny(&b, "authority.disabled");
    assert_int_equal(b.d->err, TM_EUNAVAIL);
    b.s.f = f;
    b.s.f.authority.not_after = f.now;
    expect_deny(&b, "authority.expired");
    b.s.f = f;
    b.s.f.authority.not_before = f.now + 1;
    expect_deny(&b, "authority.not-yet-valid");
    b.s.f = f;
    b.s.f.authority.name = NULL;
    expect_deny(&b, "authority.missing");
    b.s.f = f;
    b.s.f.authority.sig_alg = SIG_RSA_SHA256; /* with a P-256 key */
    expect_deny(&b, "signature.algorithm");
    bench_close(&b);
}

static void test_policy_decide__device(void **state)
{
    struct bench b;
    open_subject_any(&b, "\"device\":{\"required\":true,\"states\":[\"onboarded\"]}");
    expect_deny(&b, "device.required");
    b.s.f.device.known = true;
    b.s.f.device.state = DEVICE_MADE;
    expect_deny(&b, "device.state");
    b.s.f.device.state = DEVICE_ONBOARDED;
    expect_issue(&b);
    assert_string_equal(b.d->plan.device_id, "sn-0001");
    b.s.e.caller.device_id = "sn-0002";
    expect_deny(&b, "device.binding");
    b.s.e.caller.device_id = "sn-0001";
    expect_issue(&b);
    bench_close(&b);

    open_subject_any(&b, ANY_DNS);
    b.s.e.caller.device_id = "sn-0002";
    expect_deny(&b, "device.binding");
    b.s.e.caller.device_id = "";
    b.s.f.device.known = true;
    b.s.f.device.state = DEVICE_RETIRED;
    expect_deny(&b, "device.state");
    bench_close(&b);
}

/* ---- key ---- */

static void test_policy_decide__key(void **state)
{
    struct bench b;
    open_subject_any(
        &b, "\"key\":{\"algorithms\":[\"ec-p256\",\"rsa-3072+\"],\"origins\":[\"tpm\",\"secure-element\"]}");
    b.s.e.key_origin = KEY_ORIGIN_SOFTWARE;
    expect_deny(&b, "key.origin");
    b.s.e.key_origin = KEY_ORIGIN_UNKNOWN;
    expect_deny(&b, "key.origin");
    b.s.e.key_origin = KEY_ORIGIN_SERVER;
    expect_deny(&b, "key.server-generated");
    b.s.e.key_origin = KEY_ORIGIN_TPM;
    expect_issue(&b);
    b.s.e.key.alg = KEY_ALG_RSA;
    b.s.e.key.bits = 2048;
    expect_deny(&b, "key.algorithm");
    b.s.e.key.bits = 3072;
    expect_issue(&b);
    b.s.e.key.bits = 8192;
    expect_issue(&b);
    b.s.e.key.alg = KEY_ALG_EC_P384;
    expect_deny(&b, "key.algorithm");
    b.s.e.key.alg = KEY_ALG_COUNT;
    expect_deny(&b, "key.algorithm");
    b.s.e.key.alg = KEY_ALG_EC_P256;
    b.s.e.pop_verified = false;
    expect_deny(&b, "key.possession");
    assert_int_equal(b.d->err, TM_EBADSIG);
    /* Who can decrypt has a key for that, and nothing else is shown. */
    b.s.e.pop_by_decryption = true;
    expect_deny(&b, "key.possession");
    assert_int_equal(b.d->err, TM_EDENIED);
    b.s.e.pop_verified = true;
    expect_deny(&b, "key.possession");
    b.s.e.pop_by_decryption = false;
    b.s.f.quality = (struct key_quality){"key.roca", "the modulus has the ROCA fingerprint"};
    expect_deny(&b, "key.roca");
    b.s.f.quality.rule = NULL;
    b.s.f.key_used_elsewhere = true;
    b.s.f.key_used_by = "CN=other";
    expect_deny(&b, "key.reuse");
    bench_close(&b);

    open_subject_any(&b, "\"usage\":{\"key-usage\":[\"keyAgreement\",\"keyEncipherment\"]}");
    b.s.e.pop_by_decryption = true;
    for (int proven = 0; proven < 2; proven++) {
        b.s.e.pop_verified = proven == 1;
        b.s.e.key.alg = KEY_ALG_EC_P256;
        expect_issue(&b);
    }
    bench_close(&b);

    open_subject_any(&b, "\"key\":{\"quality\":false,\"reuse\":\"any\"}");
    b.s.f.quality = (struct key_quality){"key.roca", "the modulus has the ROCA fingerprint"};
    b.s.f.key_used_elsewhere = true;
    expect_issue(&b);
    b.s.f.key_compromised = true;
    expect_deny(&b, "key.compromised");
    bench_close(&b);
}

static void test_policy_decide__key_usage_follows_key(void **state)
{
    struct bench b;
    uint32_t ku = 0;
    open_subject_any(&b, "\"usage\":{\"key-usage\":[\"digitalSignature\",\"keyEncipherment\"]}");
    expect_issue(&b);
    assert_int_equal(b.d->plan.exts[1].id, OID_EXT_KEY_USAGE);
    assert_int_equal(ext_decode_key_usage(&ku, b.d->plan.exts[1].value, NULL), TM_OK);
    assert_int_equal(ku, KU_DIGITAL_SIGNATURE);
    b.s.e.key.alg = KEY_ALG_RSA;
    b.s.e.key.bits = 2048;
    expect_issue(&b);
    assert_int_equal(ext_decode_key_usage(&ku, b.d->plan.exts[1].value, NULL), TM_OK);
    assert_int_equal(ku, KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
    bench_close(&b);

    open_subject_any(&b, "\"usage\":{\"key-usage\":[\"keyEncipherment\"]}");
    expect_deny(&b, "usage.key-usage");
    bench_close(&b);
}

/* ---- names ---- */

static void test_policy_decide__subject_from_request(void **state)
{
    struct bench b;
    open_subject_any(
        &b,
        "\"subject\":{\"allow\":[{\"attr\":\"CN\",\"max\":20,\"patterns\":[\"*.example.org\",\"gw-[0-9]\"]},"
        "{\"attr\":\"OU\"}],\"required\":[\"CN\"]}");
    expect_issue(&b);
    bench_subject(&b, "CN=gw-7,OU=A,OU=B");
    expect_issue(&b);
    bench_subject(&b, "CN=gw-77");
    expect_deny(&b, "subject.patterns");
    bench_subject(&b, "CN=longer-than-20.example.org");
    expect_deny(&b, "subject.value");
    bench_subject(&b, "OU=A");
    expect_deny(&b, "subject.required");
    bench_subject(&b, "CN=gw-7,CN=gw-8");
    expect_deny(&b, "subject.repeated");
    bench_subject(&b, "CN=gw-7,O=Other");
    expect_issue(&b);
    struct name n;
    assert_int_equal(name_parse(&n, b.d->plan.subject, NULL), TM_OK);
    assert_int_equal(n.n, 1);
    b.s.e.subject = SLICE_LIT("\x30\x05\x31");
    expect_deny(&b, "subject.form");
    /* a common name with U+202E */
    b.s.e.subject = SLICE_LIT("\x30\x10\x31\x0e\x30\x0c\x06\x03\x55\x04\x03\x0c\x05\x61\xe2\x80\xae\x62");
    expect_deny(&b, "subject.value");
    b.s.e.subject = (struct slice){0};
    expect_deny(&b, "subject.required");
    bench_close(&b);

    open_subject_any(&b, "\"subject\":{\"other\":\"refuse\"}");
    bench_subject(&b, "CN=gw-7,O=Other");
    expect_deny(&b, "subject.allow");
    b.s.e.subject = SLICE_LIT("\x30\x00");
    expect_deny(&b, "subject.empty");
    bench_close(&b);

    open_subject_any(&b, "\"subject\":{\"empty\":\"allow\"}," ANY_DNS);
    b.s.e.subject = SLICE_LIT("\x30\x00");
    expect_deny(&b, "names.none");
    NAMES(&b, "DNS:a.example.org");
    expect_issue(&b);
    for (size_t i = 0; i < b.d->plan.n_exts; i++)
        if (b.d->plan.exts[i].id == OID_EXT_SAN)
            assert_true(b.d->plan.exts[i].critical); /* RFC 5280 4.2.1.6 */
    bench_close(&b);
}

static void test_policy_decide__subject_template(void **state)
{
    struct bench b;
    open_subject_any(
        &b,
        "\"subject\":{\"template\":[{\"attr\":\"O\",\"value\":\"Fixed\"},{\"attr\":\"CN\",\"value\":\"{device.id|csr.CN}-x\"},"
        "{\"attr\":\"L\",\"value\":\"{device.place}\"}]},"
        "\"san\":{\"template\":[\"DNS:{csr.CN}\",\"URI:urn:dev:{device.serial}\"]}");
    bench_subject(&b, "CN=a.b,O=Mine,L=Mine");
    expect_issue(&b);
    struct buf out;
    buf_init(&out, 1000);
    name_print_der(&out, b.d->plan.subject);
    assert_string_equal(buf_str(&out), "CN=a.b-x,O=Fixed");
    buf_done(&out);
    assert_int_equal(b.d->plan.san.n, 1);
    b.s.f.device.known = true;
    expect_issue(&b);
    assert_int_equal(b.d->plan.san.n, 2);
    bench_subject(&b, "CN=a b");
    expect_deny(&b, "san.template");
    bench_close(&b);
}

static void test_policy_decide__san_types(void **state)
{
    static const struct {
        const char *name, *rule; /* NULL: issued */
    } cases[] = {
        {"DNS:a.example.org", NULL},
        {"DNS:a.b.example.org", "san.dns.max-labels"},
        {"DNS:*.example.org", "san.dns.wildcards"},
        {"DNS:example.com", "san.dns.suffixes"},
        {"DNS:badexample.org", "san.dns.suffixes"},
        {"DNS:a.example.org.", "san.dns.form"},
        {"DNS:a_b.example.org", "san.dns.form"},
        {"DNS:xn--pple-43d.example.org", "san.dns.form"},
        {"IP:10.1.2.3", NULL},
        {"IP:11.1.2.3", "san.ip.cidrs"},
        {"IP:fd00::1", "san.ip.cidrs"},
        {"URI:spiffe://td/a", NULL},
        {"URI:spiffe://td.evil/a", "san.uri.prefixes"},
        {"URI:spiffe://td/../b", "san.uri.form"},
        {"email:a@example.org", NULL},
        {"email:a@sub.example.org", "san.email.domains"},
        {"email:a..b@example.org", "san.email.form"},
    };
    struct bench b;
    open_subject_any(
        &b,
        "\"san\":{\"allow\":{\"dns\":{\"suffixes\":[\"example.org\"],\"max-labels\":3},\"ip\":{\"cidrs\":[\"10.0.0.0/8\"]},"
        "\"uri\":{\"prefixes\":[\"spiffe://td\"]},\"email\":{\"domains\":[\"example.org\"]}}}");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        NAMES(&b, cases[i].name);
        if (cases[i].rule)
            expect_deny(&b, cases[i].rule);
        else
            expect_issue(&b);
    }
    bench_close(&b);

    open_subject_any(&b, "\"san\":{\"allow\":{\"email\":{}},\"max\":2}");
    NAMES(&b, "DNS:a.example.org");
    expect_deny(&b, "san.allow");
    NAMES(&b, "email:a@b.org", "email:c@b.org", "email:d@b.org");
    expect_deny(&b, "san.max");
    struct general_name dir = {.type = GN_DIRECTORY, .value = SLICE_LIT("\x30\x00")};
    b.s.e.san = (struct general_names){&dir, 1};
    expect_deny(&b, "san.allow");
    dir = (struct general_name){.type = GN_OTHER,
                                .other = OID_UPN,
                                .other_oid = oid_contents(OID_UPN),
                                .value = SLICE_LIT("\x0c\x01x")};
    expect_deny(&b, "san.allow");
    bench_close(&b);

    open_subject_any(&b, "\"san\":{\"allow\":{\"dns\":{\"internal-names\":false}},\"min\":1}");
    NAMES(&b, "DNS:printer.local");
    expect_deny(&b, "san.dns.internal-names");
    b.s.e.san.n = 0;
    expect_deny(&b, "san.min");
    /* The same name in another case counts once, in the order asked. */
    NAMES(&b, "DNS:b.org", "DNS:a.org", "DNS:B.org");
    expect_issue(&b);
    assert_int_equal(b.d->plan.san.n, 2);
    assert_true(slice_eq_str(b.d->plan.san.v[0].value, "b.org"));
    bench_close(&b);
}

static void test_policy_decide__common_name(void **state)
{
    struct bench b;
    open_subject_any(
        &b, "\"san\":{\"allow\":{\"dns\":{\"suffixes\":[\"example.org\"]},\"ip\":{}},\"cn\":\"copy\"}");
    expect_issue(&b);
    assert_int_equal(b.d->plan.san.n, 1);
    bench_subject(&b, "CN=192.0.2.7");
    expect_issue(&b);
    assert_int_equal(b.d->plan.san.v[0].type, GN_IP);
    bench_subject(&b, "CN=host.example.com");
    expect_deny(&b, "san.dns.suffixes");
    bench_subject(&b, "CN=A person");
    expect_issue(&b);
    assert_int_equal(b.d->plan.san.n, 0);
    bench_close(&b);

    open_subject_any(&b, "\"san\":{\"allow\":{\"dns\":{}},\"cn\":\"require\"}");
    expect_deny(&b, "san.cn");
    NAMES(&b, "DNS:HOST.example.org");
    expect_issue(&b);
    bench_close(&b);
}

static void test_policy_decide__device_names(void **state)
{
    struct bench b;
    open_subject_any(
        &b,
        "\"device\":{\"bind-names\":true},\"subject\":{\"allow\":[{\"attr\":\"CN\"},{\"attr\":\"serialNumber\"},{\"attr\":\"O\"}]},"
        "\"san\":{\"hardware-module-name\":true,\"allow\":{\"dns\":{},\"uri\":{},\"ip\":{},\"email\":{}}}");
    expect_issue(&b); /* no device, a principal answers for it */
    b.s.f.device.known = true;
    expect_deny(&b, "device.bind-names");
    bench_subject(&b, "CN=sn-0001.example.org,serialNumber=SN-0001,O=Anything");
    NAMES(&b, "DNS:sn-0001", "DNS:SN-0001.example.org", "URI:urn:dev:sn-0001",
          "URI:https://x.org/devices/sn-0001/status");
    expect_issue(&b);
    assert_int_equal(b.d->plan.san.n, 5); /* and the registered hardwareModuleName */
    NAMES(&b, "DNS:other.example.org");
    expect_deny(&b, "device.bind-names");
    NAMES(&b, "DNS:example.sn-0001");
    expect_deny(&b, "device.bind-names");
    NAMES(&b, "URI:urn:dev:sn-00011");
    expect_deny(&b, "device.bind-names");
    NAMES(&b, "IP:192.0.2.1");
    expect_deny(&b, "device.bind-names");
    NAMES(&b, "email:sn-0001@example.org");
    expect_deny(&b, "device.bind-names");
    b.s.e.san.n = 0;
    bench_subject(&b, "CN=sn-0001,serialNumber=SN-0002");
    expect_deny(&b, "device.bind-names");
    /* A hardware name that is not the device's. */
    bench_subject(&b, "CN=sn-0001");
    struct general_name hw;
    assert_int_equal(general_name_hw_module(&hw, b.a, SLICE_LIT("\x2a\x03\x04"), SLICE_LIT("other")), TM_OK);
    b.s.e.san = (struct general_names){&hw, 1};
    expect_deny(&b, "san.hardware");
    bench_close(&b);
}

static void test_policy_decide__token_names(void **state)
{
    static const char *const names[] = {"CN=gw-1", "DNS:gw-1.example.org", "IP:192.0.2.1"};
    struct bench b;
    open_subject_any(&b, "\"san\":{\"allow\":{\"dns\":{},\"ip\":{}}}");
    b.s.e.caller = (struct caller){.kind = CALLER_TOKEN, .id = "t1", .names = names, .n_names = 3};
    bench_subject(&b, "CN=gw-1");
    NAMES(&b, "DNS:GW-1.example.org", "IP:192.0.2.1");
    expect_issue(&b);
    bench_subject(&b, "CN=gw-1.example.org");
    expect_issue(&b);
    bench_subject(&b, "CN=gw-2");
    expect_deny(&b, "token.names");
    bench_subject(&b, "CN=gw-1");
    NAMES(&b, "DNS:gw-2.example.org");
    expect_deny(&b, "token.names");
    NAMES(&b, "IP:192.0.2.2");
    expect_deny(&b, "token.names");
    b.s.e.caller.n_names = 0;
    b.s.e.caller.names = NULL;
    expect_issue(&b);
    bench_close(&b);
}

static void test_policy_decide__caller_certificate(void **state)
{
    struct bench b;
    open_subject_any(&b, ANY_DNS);
    NAMES(&b, "DNS:host.example.org");
    expect_issue(&b);
    struct slice cert = bench_certificate(&b);
    b.s.e.caller = (struct caller){.kind = CALLER_CERTIFICATE, .id = "CN=host.example.org", .cert = cert};
    expect_issue(&b);
    NAMES(&b, "DNS:other.example.org");
    expect_deny(&b, "caller.names");
    b.s.e.san.n = 0;
    bench_subject(&b, "CN=other");
    expect_deny(&b, "caller.names");
    b.s.e.caller.cert = SLICE_LIT("\x30\x00");
    expect_deny(&b, "caller.names");
    bench_close(&b);

    open_subject_any(&b, "\"caller-names\":\"any\"");
    b.s.e.caller = (struct caller){.kind = CALLER_CERTIFICATE, .id = "x", .cert = cert};
    expect_issue(&b);
    bench_close(&b);
}

static void test_policy_decide__caa(void **state)
{
    static const char *const looked_at[] = {"DNS:host.example.org", "DNS:*.example.org"};
    struct bench b;
    open_subject_any(&b, ANY_DNS ",\"caa\":\"required\"");
    NAMES(&b, "DNS:host.example.org");
    b.s.e.caa = (struct caa_finding){.at = 0};
    expect_deny(&b, "caa");
    b.s.e.caa = (struct caa_finding){.at = b.s.f.now - 8 * 3600, .names = looked_at, .n_names = 2};
    expect_issue(&b);
    b.s.e.caa.at--;
    expect_deny(&b, "caa");
    b.s.e.caa.at = b.s.f.now;
    NAMES(&b, "DNS:HOST.example.org");
    expect_issue(&b);
    NAMES(&b, "DNS:other.example.org");
    expect_deny(&b, "caa");
    NAMES(&b, "DNS:host.example.org");
    b.s.e.caa.refused = "host.example.org can't be issued";
    expect_deny(&b, "caa");
    assert_string_equal(b.d->reason, "host.example.org can't be issued");
    bench_close(&b);
}

/* ---- time ---- */

static void test_policy_decide__lifetime(void **state)
{
    struct bench b;
    open_subject_any(&b, ANY_DNS);
    expect_issue(&b);
    assert_int_equal(b.d->plan.not_before, b.s.f.now - 3600);
    assert_int_equal(b.d->plan.not_after, b.s.f.now + 10 * DAY - 1);
    b.s.e.not_after = b.s.f.now + DAY; /* ignored unless the profile honours it */
    expect_issue(&b);
    assert_int_equal(b.d->plan.not_after, b.s.f.now + 10 * DAY - 1);
    b.s.f.authority.not_after = b.s.f.now + 3 * DAY;
    expect_issue(&b);
    assert_int_equal(b.d->plan.not_after, b.s.f.authority.not_after);
    b.s.f.authority.not_after = b.s.f.now + 30;
    expect_deny(&b, "lifetime.min");
    b.s.f.authority.not_after = TM_TIME_NEVER;
    b.s.f.authority.not_before = b.s.f.now - 60;
    expect_issue(&b);
    assert_int_equal(b.d->plan.not_before, b.s.f.now - 60);
    bench_close(&b);

    bench_open_json(
        &b,
        "{\"kind\":\"Profile\",\"name\":\"t\",\"lifetime\":{\"default\":\"10d\",\"max\":\"20d\",\"min\":\"1d\",\"requested\":"
        "\"honour\",\"on-outlive\":\"refuse\",\"limits\":[{\"from\":\"2027-01-01\",\"max\":\"5d\"}]}}");
    bench_subject(&b, "CN=x");
    b.s.e.not_after = b.s.f.now + 15 * DAY;
    expect_issue(&b);
    assert_int_equal(b.d->plan.not_after, b.s.f.now + 15 * DAY);
    b.s.e.not_after = b.s.f.now + 40 * DAY;
    expect_issue(&b);
    assert_int_equal(b.d->plan.not_after, b.s.f.now + 20 * DAY - 1);
    b.s.e.not_after = b.s.f.now + 60;
    expect_deny(&b, "lifetime.min");
    b.s.e.not_after = INT64_MIN;
    expect_deny(&b, "lifetime.min");
    b.s.e.not_after = INT64_MAX - 1;
    expect_issue(&b);
    b.s.e.not_after = 0;
    b.s.e.not_before = INT64_MIN;
    expect_issue(&b);
    assert_int_equal(b.d->plan.not_before, b.s.f.now - 300);
    b.s.e.not_before = INT64_MAX;
    expect_issue(&b);
    assert_int_equal(b.d->plan.not_before, b.s.f.now + 90 * DAY);
    b.s.e.not_before = 0;
    b.s.f.now = 1800000000; /* 2027-01-15 */
    expect_issue(&b);
    assert_int_equal(b.d->plan.not_after - b.d->plan.not_before + 1, 5 * DAY);
    b.s.f.authority.not_after = b.s.f.now + DAY;
    expect_deny(&b, "lifetime.on-outlive");
    bench_close(&b);
}

static void test_policy_decide__public_calendar(void **state)
{
    static const struct {
        int64_t now, days;
    } cases[] = {{1773532799, 398}, {1773532800, 200}, {1805068799, 200},
                 {1805068800, 100}, {1868227199, 100}, {1868227200, 47}};
    struct bench b;
    bench_open_json(
        &b,
        "{\"kind\":\"Profile\",\"name\":\"t\",\"lifetime\":{\"default\":\"2y\",\"calendar\":\"public-tls\"}}");
    bench_subject(&b, "CN=x");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        b.s.f.now = cases[i].now;
        expect_issue(&b);
        assert_int_equal(b.d->plan.not_after - b.d->plan.not_before + 1, cases[i].days * DAY);
    }
    bench_close(&b);
}

static void test_policy_decide__fixed_end(void **state)
{
    struct bench b;
    bench_open_json(&b, "{\"kind\":\"Profile\",\"name\":\"t\",\"lifetime\":{\"not-after\":\"2027-06-30\"}}");
    bench_subject(&b, "CN=x");
    expect_issue(&b);
    assert_int_equal(b.d->plan.not_after, 1814313600);
    b.s.f.now = 1814313600;
    expect_deny(&b, "lifetime.not-after");
    bench_close(&b);

    bench_open(&b, "device-idevid-never");
    expect_issue(&b);
    assert_int_equal(b.d->plan.not_after, TM_TIME_NEVER);
    b.s.f.authority.not_after = b.s.f.now + 3650 * (int64_t)DAY;
    expect_deny(&b, "lifetime.on-outlive");
    bench_close(&b);
}

/* ---- the rest ---- */

static void test_policy_decide__quota(void **state)
{
    struct bench b;
    open_subject_any(&b, "\"quota\":{\"max\":100,\"window\":\"1h\",\"per-subject\":2}");
    b.s.f.quota.issued_in_window = 99;
    b.s.f.quota.live_for_subject = 1;
    expect_issue(&b);
    b.s.f.quota.issued_in_window = 100;
    expect_deny(&b, "quota.max");
    assert_int_equal(b.d->err, TM_EQUOTA);
    b.s.f.quota.issued_in_window = 0;
    b.s.f.quota.live_for_subject = 2;
    expect_deny(&b, "quota.per-subject");
    bench_close(&b);
}

static void test_policy_decide__approval(void **state)
{
    struct bench b;
    open_subject_any(&b, "\"approval\":{\"required\":true}");
    b.s.f.approved = false;
    bench_decide(&b);
    assert_int_equal(b.d->verdict, VERDICT_PEND);
    assert_string_equal(b.d->rule, "approval.required");
    assert_true(b.d->plan.n_exts > 0);
    b.s.f.approved = true;
    expect_issue(&b);
    b.s.f.approved = false;
    b.s.e.pop_verified = false; /* what would be refused is not asked for approval */
    expect_deny(&b, "key.possession");
    bench_close(&b);
}

static void test_policy_decide__extensions(void **state)
{
    struct bench b;
    open_subject_any(
        &b,
        "\"extensions\":{\"aia\":false,\"must-staple\":true,\"policies\":[\"1.2.3\"],\"custom\":[{\"oid\":\"1.2.3.4\",\"critical\":true,"
        "\"utf8\":\"x\"},{\"oid\":\"1.2.3.5\",\"template\":\"{csr.CN}!\"},{\"oid\":\"1.2.3.6\",\"template\":\"{device.id}\"}],"
        "\"allow-requested\":[\"1.2.3.7\"]}," ANY_DNS);
    NAMES(&b, "DNS:a.org");
    b.s.e.exts.n = 2;
    b.s.e.exts.v[0] = (struct ext){.oid = SLICE_LIT("\x2a\x03\x08"), .value = SLICE_LIT("\x05\x00")};
    b.s.e.exts.v[1] = (struct ext){.oid = SLICE_LIT("\x2a\x03\x07"), .value = SLICE_LIT("\x05\x00")};
    expect_issue(&b);
    static const char *const order[] = {"2.5.29.19",          "2.5.29.15", "2.5.29.14", "2.5.29.35",
                                        "2.5.29.17",          "2.5.29.32", "2.5.29.31", "1.3.6.1.5.5.7.1.1",
                                        "1.3.6.1.5.5.7.1.24", "1.2.3.4",   "1.2.3.5",   "1.2.3.7"};
    assert_int_equal(b.d->plan.n_exts, sizeof order / sizeof order[0]);
    for (size_t i = 0; i < b.d->plan.n_exts; i++)
        assert_string_equal(oid_to_dotted(b.a, b.d->plan.exts[i].oid), order[i]);
    b.s.e.exts.v[1].value = SLICE_LIT("\x05\x00\x00");
    expect_deny(&b, "extensions.allow-requested");
    bench_close(&b);
}

static void test_serial_prefix__months(void **state)
{
    uint8_t s[CERT_SERIAL_LEN];
    serial_prefix(s, TM_TIME_NEVER, 0x12345678);
    assert_memory_equal(s, "\x7f\xff\x12\x34\x56\x78\0\0\0\0\0\0\0\0\0\0", 16);
    serial_prefix(s, 0, 1); /* before 2000 */
    assert_memory_equal(s, "\0\1\0\0\0\1", 6);
    serial_prefix(s, 946684800, 1); /* 2000-01 */
    assert_memory_equal(s, "\0\1", 2);
    serial_prefix(s, 1795262400, 1); /* 2026-11 */
    assert_memory_equal(s, "\x01\x42", 2);
}

static void test_decision_json__parses(void **state)
{
    struct bench b;
    struct buf out;
    json_t *doc = NULL;
    bench_open(&b, "gateway");
    buf_init(&out, 1 << 20);
    expect_issue(&b);
    decision_json(&out, b.d);
    assert_int_equal(json_parse(&doc, buf_slice(&out), 1 << 20, NULL), TM_OK);
    assert_string_equal(json_string_value(json_object_get(doc, "verdict")), "issue");
    json_decref(doc);
    buf_reset(&out);
    b.s.e.pop_verified = false;
    expect_deny(&b, "key.possession");
    decision_json(&out, b.d);
    assert_int_equal(json_parse(&doc, buf_slice(&out), 1 << 20, NULL), TM_OK);
    assert_string_equal(json_string_value(json_object_get(doc, "rule")), "key.possession");
    assert_null(json_object_get(doc, "plan"));
    json_decref(doc);
    buf_done(&out);
    bench_close(&b);
}

/* Each allocation that fails gives TM_ENOMEM: too little memory never changes what is decided. */
static void test_policy_decide__no_memory(void **state)
{
    struct bench b;
    bench_open(&b, "device-ldevid-1y");
    size_t refused = 0;
    for (size_t max = 64; max < 16384; max += 64) {
        struct arena *a = arena_new(max);
        struct decision d;
        tm_err err = policy_decide(&d, a, b.p, &b.s.e, &b.s.f);
        refused += err != TM_OK;
        assert_true(err == TM_OK || err == TM_ENOMEM);
        if (err == TM_OK)
            assert_int_equal(d.verdict, VERDICT_ISSUE);
        arena_free(a);
    }
    assert_true(refused > 0);
    bench_close(&b);
}

static void test_policy_decide__tls_without_common_name(void **state)
{
    struct bench b;
    bench_open(&b, "enterprise-tls-47d");
    b.s.e.subject = SLICE_LIT("\x30\x00");
    NAMES(&b, "DNS:a-rather-long-host-name-beyond-sixty-four-characters.department.example.org");
    expect_issue(&b);
    assert_int_equal(b.d->plan.subject.n, 2);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_decide__door),
        cmocka_unit_test(test_policy_decide__caller),
        cmocka_unit_test(test_policy_decide__authority),
        cmocka_unit_test(test_policy_decide__device),
        cmocka_unit_test(test_policy_decide__key),
        cmocka_unit_test(test_policy_decide__key_usage_follows_key),
        cmocka_unit_test(test_policy_decide__subject_from_request),
        cmocka_unit_test(test_policy_decide__subject_template),
        cmocka_unit_test(test_policy_decide__san_types),
        cmocka_unit_test(test_policy_decide__common_name),
        cmocka_unit_test(test_policy_decide__device_names),
        cmocka_unit_test(test_policy_decide__token_names),
        cmocka_unit_test(test_policy_decide__caller_certificate),
        cmocka_unit_test(test_policy_decide__caa),
        cmocka_unit_test(test_policy_decide__lifetime),
        cmocka_unit_test(test_policy_decide__public_calendar),
        cmocka_unit_test(test_policy_decide__fixed_end),
        cmocka_unit_test(test_policy_decide__quota),
        cmocka_unit_test(test_policy_decide__approval),
        cmocka_unit_test(test_policy_decide__extensions),
        cmocka_unit_test(test_policy_decide__no_memory),
        cmocka_unit_test(test_policy_decide__tls_without_common_name),
        cmocka_unit_test(test_serial_prefix__months),
        cmocka_unit_test(test_decision_json__parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
