#include "der/reader.h"
#include "policy_test.h"

static void test_profile_snapshot__ready_set(void **state)
{
    for (const struct ready_profile *r = ready_profiles; r->name; r++) {
        struct bench b;
        struct buf out;
        char path[128];
        bench_open(&b, r->name);
        buf_init(&out, 1 << 20);
        assert_int_equal(profile_snapshot(&out, b.p), TM_OK);
        snprintf(path, sizeof path, "tests/golden/policy/%s.txt", r->name);
        compare_golden(path, buf_slice(&out));
        buf_done(&out);
        bench_close(&b);
    }
}

static void test_profile_reference__is_current(void **state)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    profile_reference(&out);
    assert_int_equal(buf_err(&out), TM_OK);
    compare_golden("docs/profile-reference.md", buf_slice(&out));
    buf_done(&out);
}

static void test_ready_profiles__names_and_grants(void **state)
{
    static const char *const names[] = {"enterprise-tls-47d", "device-idevid-20y", "device-idevid-never",
                                        "device-ldevid-1y",   "wifi-8021x",        "vpn",
                                        "code-signing",       "gateway",           "ocsp-responder",
                                        "opcua-application",  "workload-short",    "matter-dac",
                                        "server-internal-1y"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct bench b;
        bench_open(&b, names[i]);
        assert_string_equal(profile_name(b.p), names[i]);
        bool device = strncmp(names[i], "device-", 7) == 0 || strncmp(names[i], "matter", 6) == 0;
        assert_string_equal(profile_authority(b.p), device ? "device-ca" : "issuing-ca");
        expect_issue(&b);
        bench_close(&b);
    }
}

/* ---- errors name their place ---- */

#define HEAD "{\"kind\":\"Profile\",\"name\":\"t\""
static const struct {
    const char *json, *field;
} refused[] = {
    {"{\"kind\":\"Profil\",\"name\":\"t\",\"lifetime\":{\"default\":\"1d\"}}", "/kind"},
    {"{\"kind\":\"Profile\",\"name\":\"T!\",\"lifetime\":{\"default\":\"1d\"}}", "/name"},
    {"{\"kind\":\"Profile\",\"lifetime\":{\"default\":\"1d\"}}", "/name"},
    {HEAD "}", "/lifetime"},
    {HEAD ",\"lifetime\":{}}", "/lifetime/default"},
    {HEAD ",\"lifetime\":{\"default\":\"1x\"}}", "/lifetime/default"},
    {HEAD ",\"lifetime\":{\"default\":\"never\"}}", "/lifetime/default"},
    {HEAD ",\"lifetime\":{\"default\":\"200y\"}}", "/lifetime/default"},
    {HEAD ",\"lifetime\":{\"default\":\"2d\",\"max\":\"1d\"}}", "/lifetime/max"},
    {HEAD ",\"lifetime\":{\"default\":\"2d\",\"min\":\"3d\"}}", "/lifetime/min"},
    {HEAD ",\"lifetime\":{\"default\":\"2d\",\"maximum\":\"3d\"}}", "/lifetime/maximum"},
    {HEAD ",\"lifetime\":{\"default\":\"2d\",\"not-after\":\"never\"}}", "/lifetime/not-after"},
    {HEAD ",\"lifetime\":{\"not-after\":\"soon\"}}", "/lifetime/not-after"},
    {HEAD ",\"lifetime\":{\"default\":\"2d\",\"backdate\":\"2y\"}}", "/lifetime/backdate"},
    {HEAD
     ",\"lifetime\":{\"default\":\"2d\",\"limits\":[{\"from\":\"2027-01-01\",\"max\":\"1d\"},{\"from\":\"2026-01-01\",\"max\":\"1d\"}]}}",
     "/lifetime/limits/1/from"},
    {HEAD ",\"lifetime\":{\"default\":\"2d\",\"limits\":[{\"from\":\"2027-02-30\",\"max\":\"1d\"}]}}",
     "/lifetime/limits/0/from"},
#define OK HEAD ",\"lifetime\":{\"default\":\"2d\"},"
    {OK "\"doors\":[\"est\",\"fax\"]}", "/doors/1"},
    {OK "\"callers\":[]}", "/callers"},
    {OK "\"roles\":[]}", "/roles"},
    {OK "\"key\":{\"algorithms\":[\"ec-p256\",\"rsa-1024\"]}}", "/key/algorithms/1"},
    {OK "\"key\":{\"algorithms\":[\"ec-p256+\"]}}", "/key/algorithms/0"},
    {OK "\"key\":{\"algorithms\":[\"ec-p384\"],\"server-generated\":{\"allowed\":true}}}",
     "/key/server-generated/algorithm"},
    {OK "\"key\":{\"origins\":[\"tpm\"],\"server-generated\":{\"allowed\":true}}}",
     "/key/server-generated/allowed"},
    {OK "\"signature\":\"md5\"}", "/signature"},
    {OK "\"subject\":{\"template\":[{\"attr\":\"CN\",\"value\":\"{csr.CM}\"}]}}",
     "/subject/template/0/value"},
    {OK "\"subject\":{\"template\":[{\"attr\":\"CN\",\"value\":\"{csr.CN\"}]}}", "/subject/template/0/value"},
    {OK "\"subject\":{\"template\":[{\"attr\":\"CN\",\"value\":\"x}\"}]}}", "/subject/template/0/value"},
    {OK "\"subject\":{\"template\":[{\"attr\":\"Cn\",\"value\":\"x\"}]}}", "/subject/template/0/attr"},
    {OK "\"subject\":{\"template\":[{\"attr\":\"CN\",\"value\":\"x\"},{\"attr\":\"CN\",\"value\":\"y\"}]}}",
     "/subject/template/1/attr"},
    {OK "\"subject\":{\"allow\":[{\"attr\":\"CN\",\"patterns\":[\"[a-z\"]}]}}", "/subject/allow/0/patterns"},
    {OK "\"subject\":{\"required\":[\"CN\",\"XX\"]}}", "/subject/required/1"},
    {OK "\"san\":{\"template\":[\"FAX:1\"]}}", "/san/template/0"},
    {OK "\"san\":{\"from\":\"template\"}}", "/san/from"},
    {OK "\"san\":{\"from\":\"device\",\"allow\":{\"dns\":{}}}}", "/san/allow"},
    {OK "\"san\":{\"allow\":{\"ip\":{\"cidrs\":[\"10.0.0.1/8\"]}}}}", "/san/allow/ip/cidrs/0"},
    {OK "\"san\":{\"allow\":{\"dns\":{\"suffixes\":[\"exa_mple.org\"]}}}}", "/san/allow/dns/suffixes/0"},
    {OK "\"san\":{\"allow\":{\"uri\":{\"prefixes\":[\"spiffe\"]}}}}", "/san/allow/uri/prefixes/0"},
    {OK "\"san\":{\"min\":3,\"max\":2}}", "/san/min"},
    {OK "\"doors\":[\"est\"],\"caa\":\"required\"}", "/caa"},
    {OK "\"san\":{\"template\":[\"DNS:a.example\"]},\"caa\":\"required\"}", "/caa"},
    {OK "\"usage\":{\"key-usage\":[\"keyCertSign\"]}}", "/usage/key-usage"},
    {OK "\"usage\":{\"eku\":[\"serverAuth\",\"serverauth\"]}}", "/usage/eku/1"},
    {OK "\"usage\":{\"eku\":[\"serverAuth\",\"1.3.6.1.5.5.7.3.1\"]}}", "/usage/eku/1"},
    {OK "\"usage\":{\"eku\":[\"anyExtendedKeyUsage\"],\"critical\":true}}", "/usage/critical"},
    {OK "\"extensions\":{\"custom\":[{\"oid\":\"2.5.29.19\",\"hex\":\"0500\"}]}}",
     "/extensions/custom/0/oid"},
    {OK "\"extensions\":{\"custom\":[{\"oid\":\"1.2.3\",\"hex\":\"0500\",\"utf8\":\"x\"}]}}",
     "/extensions/custom/0"},
    {OK "\"extensions\":{\"custom\":[{\"oid\":\"1.2.3\",\"hex\":\"0501\"}]}}", "/extensions/custom/0"},
    {OK "\"extensions\":{\"allow-requested\":[\"2.5.29.17\"]}}", "/extensions/allow-requested/0"},
    {OK "\"extensions\":{\"no-rev-avail\":true}}", "/extensions/no-rev-avail"},
    {OK "\"extensions\":{\"no-rev-avail\":true,\"cdp\":true},\"revocation\":{\"model\":\"none\"}}",
     "/extensions/cdp"},
    {OK "\"extensions\":{\"must-staple\":true,\"ocsp\":false}}", "/extensions/must-staple"},
    {OK "\"renewal\":{\"before\":\"0%\"}}", "/renewal/before"},
    {OK "\"renewal\":{\"before\":\"100%\"}}", "/renewal/before"},
    {OK "\"renewal\":{\"before\":\"3d\"}}", "/renewal/before"},
    {OK "\"renewal\":{\"rekey\":\"forbidden\"},\"key\":{\"reuse\":\"never\"}}", "/renewal/rekey"},
    {OK "\"device\":{\"states\":[\"retired\"]}}", "/device/states"},
    {OK "\"approval\":{\"required\":true,\"roles\":[]}}", "/approval/roles"},
    {OK "\"quota\":{\"max\":-1}}", "/quota/max"},
    {OK "\"lint\":{\"families\":[\"etsi\"]}}", "/lint/families/0"},
};

static void test_profile_from_json__refusals_name_the_place(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct profile *p = NULL;
        struct diag diag = {0};
        tm_err err = profile_from_json(&p, slice_str(refused[i].json), 1, &diag);
        if (err == TM_OK || strcmp(diag.field, refused[i].field) != 0)
            fail_msg("%s\n gave %s at %s (%s)", refused[i].json, tm_err_name(err), diag.field, diag.message);
        assert_null(p);
        assert_int_not_equal(diag.message[0], '\0');
    }
}

static void test_profile_from_json__shortest_profile(void **state)
{
    struct bench b;
    bench_open_json(&b, "{\"kind\":\"Profile\",\"name\":\"short\",\"lifetime\":{\"default\":\"90d\"}}");
    bench_subject(&b, "CN=someone");
    b.s.e.san.n = 0;
    expect_issue(&b);
    assert_int_equal(b.d->plan.not_after, b.s.f.now + 90 * 86400 - 1);
    assert_int_equal(profile_renew_before(b.p, 0, 100), 100 - 33);
    assert_int_equal(profile_lint_families(b.p), 1 | 8);
    assert_true(profile_lint_fails(b.p));
    bench_close(&b);
}

static void test_profile_accessors__idevid_never(void **state)
{
    struct bench b;
    bench_open(&b, "device-idevid-never");
    assert_false(profile_server_keygen(b.p));
    assert_int_equal(profile_renew_before(b.p, 0, TM_TIME_NEVER), TM_TIME_NEVER);
    assert_int_equal(profile_quota_window(b.p), 0);
    assert_true(profile_allows_reason(b.p, CRL_KEY_COMPROMISE));
    assert_false(profile_allows_reason(b.p, CRL_REMOVE_FROM_CRL));
    assert_true(profile_may_approve(b.p, "auditor, operator", NULL, 0));
    assert_false(profile_may_approve(b.p, "operators", NULL, 0));
    assert_false(profile_may_approve(b.p, NULL, NULL, 0));
    assert_true(profile_source(b.p).n > 100);
    bench_close(&b);
}

static void test_profile_csrattrs__parses(void **state)
{
    for (const struct ready_profile *r = ready_profiles; r->name; r++) {
        struct bench b;
        struct buf out;
        bench_open(&b, r->name);
        buf_init(&out, 1 << 16);
        assert_int_equal(profile_csrattrs(&out, b.p, false), TM_OK);
        struct der_reader rd, seq;
        struct slice first;
        der_reader_init(&rd, buf_slice(&out), NULL);
        assert_int_equal(der_enter(&rd, DER_SEQUENCE, &seq), TM_OK);
        assert_int_equal(der_read_tlv(&seq, DER_SEQUENCE, &first), TM_OK);
        assert_int_equal(der_end(&rd), TM_OK);
        buf_done(&out);
        bench_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profile_snapshot__ready_set),
        cmocka_unit_test(test_profile_reference__is_current),
        cmocka_unit_test(test_ready_profiles__names_and_grants),
        cmocka_unit_test(test_profile_from_json__refusals_name_the_place),
        cmocka_unit_test(test_profile_from_json__shortest_profile),
        cmocka_unit_test(test_profile_accessors__idevid_never),
        cmocka_unit_test(test_profile_csrattrs__parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
