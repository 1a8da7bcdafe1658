#include "policy_test.h"

enum { DAY = 86400 };

static void open_renewal(struct bench *b, const char *rest)
{
    open_subject_any(b, rest);
    NAMES(b, "DNS:host.example.org");
    expect_issue(b);
    b->s.f.predecessor.known = true;
    b->s.f.predecessor.cert = bench_certificate(b);
    b->s.f.predecessor.profile = "t";
    b->s.f.predecessor.not_before = b->d->plan.not_before;
    b->s.f.predecessor.not_after = b->d->plan.not_after;
    b->s.e.kind = ENROLL_RENEW;
}

static void test_policy_decide__renewal(void **state)
{
    struct bench b;
    open_renewal(&b, "\"renewal\":{\"grace\":\"2d\",\"before\":\"1d\"}," ANY_DNS);
    expect_issue(&b);
    struct sample s = b.s;
    b.s.f.predecessor.known = false;
    expect_deny(&b, "renewal.predecessor");
    b.s = s;
    b.s.f.predecessor.revoked = true;
    expect_deny(&b, "renewal.revoked");
    b.s = s;
    b.s.f.predecessor.profile = "other";
    expect_deny(&b, "renewal.from");
    b.s = s;
    b.s.f.predecessor.not_after = b.s.f.now - DAY;
    expect_issue(&b);
    b.s.e.caller.cert_expired = true;
    expect_issue(&b);
    b.s.f.predecessor.not_after = b.s.f.now - 2 * DAY;
    expect_issue(&b);
    b.s.f.predecessor.not_after--;
    expect_deny(&b, "renewal.grace");
    assert_int_equal(b.d->err, TM_EEXPIRED);
    b.s = s;
    NAMES(&b, "DNS:host.example.org", "DNS:new.example.org");
    expect_deny(&b, "renewal.same-names");
    b.s = s;
    bench_subject(&b, "CN=other.example.org");
    expect_deny(&b, "renewal.same-names");
    /* Without names it means the predecessor's. */
    b.s = s;
    b.s.e.subject = (struct slice){0};
    b.s.e.san.n = 0;
    expect_issue(&b);
    assert_int_equal(b.d->plan.san.n, 1);
    b.s.f.predecessor.cert = (struct slice){0};
    expect_deny(&b, "renewal.same-names");
    b.s.e.caller = (struct caller){.kind = CALLER_CERTIFICATE, .id = "x", .cert = s.f.predecessor.cert};
    expect_issue(&b);
    bench_close(&b);
}

static void test_policy_decide__renewal_trust_set(void **state)
{
    struct bench b;
    open_renewal(&b, "\"renewal\":{\"predecessor\":\"trust-set\",\"from\":[\"old\"]}," ANY_DNS);
    b.s.f.predecessor.known = false;
    expect_deny(&b, "renewal.predecessor");
    b.s.e.caller = (struct caller){
        .kind = CALLER_DEVICE, .id = "x", .cert = b.s.f.predecessor.cert, .trust_set = "idevid"};
    expect_issue(&b);
    b.s.f.predecessor.profile = "old";
    expect_issue(&b);
    bench_close(&b);
}

static void test_policy_decide__rekey(void **state)
{
    struct bench b;
    open_renewal(&b, "\"renewal\":{\"rekey\":\"required\"}," ANY_DNS);
    expect_issue(&b);
    b.s.f.predecessor.same_key = true;
    expect_deny(&b, "renewal.rekey");
    bench_close(&b);
    open_renewal(&b, "\"renewal\":{\"rekey\":\"forbidden\"}," ANY_DNS);
    expect_deny(&b, "renewal.rekey");
    b.s.f.predecessor.same_key = true;
    expect_issue(&b);
    bench_close(&b);
    open_renewal(&b, "\"key\":{\"reuse\":\"never\"}," ANY_DNS);
    b.s.f.predecessor.same_key = true;
    expect_deny(&b, "key.reuse");
    bench_close(&b);
}

/* ---- ways through the house ---- */

/* A device shows a maker's IDevID, gets an LDevID, and renews it with itself; first unregistered, then registered. */
static void test_policy_decide__idevid_to_ldevid(void **state)
{
    struct bench maker, b;
    bench_open(&maker, "device-idevid-20y");
    bench_subject(&maker, "CN=Pump 7 SN-0001,serialNumber=SN-0001,O=Maker");
    maker.s.e.san.n = 0;
    maker.s.f.device.known = false;
    expect_issue(&maker);
    struct slice idevid = bench_certificate(&maker);

    bench_open(&b, "device-ldevid-1y");
    b.s.e.caller =
        (struct caller){.kind = CALLER_DEVICE, .id = "SN-0001", .cert = idevid, .trust_set = "makers"};
    b.s.e.san.n = 0;
    b.s.e.subject = (struct slice){0};
    for (int known = 0; known < 2; known++) {
        b.s.f.device.known = known;
        b.s.e.subject = (struct slice){0};
        expect_issue(&b);
        bench_subject(&b, "CN=Pump 7 SN-0001");
        expect_issue(&b);
        bench_subject(&b, "CN=SN-0001,serialNumber=SN-0001");
        expect_issue(&b);
        bench_subject(&b, "CN=SN-0002");
        expect_deny(&b, "device.bind-names");
        NAMES(&b, "DNS:sn-0002.example.org");
        bench_subject(&b, "CN=SN-0001");
        expect_deny(&b, "device.bind-names");
        NAMES(&b, "DNS:sn-0001.example.org");
        expect_issue(&b);
    }
    struct slice ldevid = bench_certificate(&b);
    b.s.e.kind = ENROLL_RENEW;
    b.s.e.caller =
        (struct caller){.kind = CALLER_CERTIFICATE, .id = "SN-0001", .cert = ldevid, .cert_expired = true};
    b.s.f.predecessor.known = true;
    b.s.f.predecessor.profile = "device-ldevid-1y";
    b.s.f.predecessor.cert = ldevid;
    b.s.f.predecessor.not_after = b.d->plan.not_after;
    b.s.f.now = b.d->plan.not_after + 80 * DAY;
    /* RFC 7030 4.2.2: the request repeats subject and alternative names of the certificate, whole. */
    struct cert old;
    assert_int_equal(cert_parse(&old, ldevid, NULL), TM_OK);
    b.s.e.subject = old.subject;
    assert_int_equal(cert_san(&b.s.e.san, b.a, &old, NULL), TM_OK);
    expect_issue(&b);
    assert_true(slice_eq(b.d->plan.subject, old.subject));
    assert_int_equal(b.d->plan.san.n, b.s.e.san.n);
    b.s.f.now += 20 * DAY;
    expect_deny(&b, "renewal.grace");
    bench_close(&maker);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_decide__renewal),
        cmocka_unit_test(test_policy_decide__renewal_trust_set),
        cmocka_unit_test(test_policy_decide__rekey),
        cmocka_unit_test(test_policy_decide__idevid_to_ldevid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
