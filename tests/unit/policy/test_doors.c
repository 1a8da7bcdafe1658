/* Policy stands behind the doors: the same request on the same profile gives the same bytes through each of them. */
#include "policy_test.h"

enum { ROUNDS = 300 };

static uint64_t seed;

static uint64_t chance(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 11) % n;
}
static bool coin(void)
{
    return chance(2);
}
#define PICK(v) ((v)[chance(sizeof(v) / sizeof(v)[0])])

static const char *const subjects[] = {"CN=sn-0001",
                                       "CN=gw.example.org,O=Example",
                                       "CN=other,serialNumber=SN-0001",
                                       "O=Only",
                                       "CN=a,OU=b,C=DE",
                                       "CN=192.0.2.9",
                                       "CN=sn-0001,1.3.6.1.4.1.37244.2.1=FFF1,1.3.6.1.4.1.37244.2.2=8000"};
static const char *const names[] = {
    "DNS:sn-0001.example.org", "DNS:*.example.org",   "DNS:bad_name",      "IP:10.1.2.3",
    "IP:2001:db8::1",          "URI:urn:dev:sn-0001", "URI:spiffe://td/x", "email:a@example.org",
    "DNS:gw.example.org"};
static const enum key_alg algs[] = {KEY_ALG_EC_P256, KEY_ALG_EC_P256, KEY_ALG_EC_P256,
                                    KEY_ALG_EC_P384, KEY_ALG_RSA,     KEY_ALG_ED25519};

/* One request and one house, anything that a door could hand over. */
static void make_request(struct bench *b)
{
    struct enrollment *e = &b->s.e;
    struct facts *f = &b->s.f;
    if (coin())
        bench_subject(b, PICK(subjects));
    if (coin()) {
        const char *list[5] = {NULL};
        size_t n = chance(5);
        for (size_t i = 0; i < n; i++)
            list[i] = PICK(names);
        bench_names(b, list);
    }
    e->key.alg = PICK(algs);
    e->key.bits =
        e->key.alg == KEY_ALG_RSA ? 2048 + 1024 * (unsigned)chance(3) : key_alg_info(e->key.alg)->bits;
    e->key_origin = (enum key_origin)chance(KEY_ORIGIN_COUNT);
    e->pop_verified = chance(20);
    e->kind = chance(4) ? ENROLL_NEW : ENROLL_RENEW;
    e->not_before = coin() ? 0 : f->now + (int64_t)chance(100000) - 50000;
    e->not_after = coin() ? 0 : f->now + (int64_t)chance(100000000);
    f->device.known = coin();
    f->device.state = (enum device_state)chance(DEVICE_STATE_COUNT);
    f->predecessor.known = coin();
    f->predecessor.revoked = !chance(8);
    f->predecessor.same_key = coin();
    f->predecessor.not_after = f->now + (int64_t)chance(20000000) - 10000000;
    f->approved = coin();
    f->key_used_elsewhere = !chance(8);
    f->authority.not_after = coin() ? TM_TIME_NEVER : f->now + (int64_t)chance(1000000000);
    f->authority.disabled = !chance(20);
    if (!chance(4))
        f->authority.crl_url = f->authority.ocsp_url = NULL;
    e->caller.kind = (enum caller_kind)chance(CALLER_COUNT);
    e->caller.roles = coin() ? "admin" : "owner";
    if (e->caller.kind == CALLER_DEVICE)
        e->caller.trust_set = "idevid";
}

/* A certificate to renew and to show, from what the profile makes of its sample. */
static void make_predecessor(struct bench *b)
{
    bench_decide(b);
    if (b->d->verdict == VERDICT_DENY)
        return;
    struct slice cert = bench_certificate(b);
    b->s.f.predecessor.cert = cert;
    b->s.e.caller.cert = cert;
}

static void tbs_of(struct buf *out, const struct bench *b, const struct decision *d)
{
    uint8_t serial[CERT_SERIAL_LEN];
    serial_prefix(serial, d->plan.not_after, b->s.f.now);
    assert_int_equal(plan_build_tbs(out, &d->plan, serial, NULL), TM_OK);
}

static void compare_doors(struct bench *b, size_t *issued)
{
    int first = -1;
    struct decision *want = NULL;
    struct buf want_tbs;
    buf_init(&want_tbs, CERT_DER_MAX);
    for (int door = 0; door < DOOR_COUNT; door++) {
        struct decision *d = arena_alloc(b->a, sizeof *d);
        b->s.e.door = (enum door)door;
        assert_int_equal(policy_decide(d, b->a, b->p, &b->s.e, &b->s.f), TM_OK);
        if (!profile_allows_door(b->p, door)) {
            assert_int_equal(d->verdict, VERDICT_DENY);
            assert_string_equal(d->rule, "profile.doors");
            continue;
        }
        if (first < 0) {
            first = door;
            want = d;
            if (d->verdict != VERDICT_DENY)
                tbs_of(&want_tbs, b, d);
            *issued += d->verdict == VERDICT_ISSUE;
            continue;
        }
        assert_int_equal(d->verdict, want->verdict);
        assert_int_equal(d->err, want->err);
        assert_string_equal(d->rule, want->rule);
        assert_string_equal(d->reason, want->reason);
        assert_int_equal(d->n_trace, want->n_trace);
        for (size_t i = 1; i < d->n_trace; i++) { /* the first line names the door */
            assert_string_equal(d->trace[i].rule, want->trace[i].rule);
            assert_string_equal(d->trace[i].detail, want->trace[i].detail);
        }
        if (d->verdict == VERDICT_DENY)
            continue;
        struct buf tbs;
        buf_init(&tbs, CERT_DER_MAX);
        tbs_of(&tbs, b, d);
        assert_true(slice_eq(buf_slice(&tbs), buf_slice(&want_tbs)));
        buf_done(&tbs);
    }
    assert_true(first >= 0);
    buf_done(&want_tbs);
}

static void test_policy_decide__same_through_every_door(void **state)
{
    size_t issued = 0;
    for (const struct ready_profile *r = ready_profiles; r->name; r++) {
        for (uint64_t i = 0; i < ROUNDS; i++) {
            struct bench b;
            seed = 0x9e3779b97f4a7c15 + i * 7919 + (uint64_t)(r - ready_profiles) * 104729;
            bench_open(&b, r->name);
            if (coin())
                make_predecessor(&b);
            if (chance(5))
                make_request(&b);
            compare_doors(&b, &issued);
            bench_close(&b);
        }
    }
    /* The generator must reach the end of the rules often enough to mean something. */
    assert_true(issued > 500);
}

/* The same inputs give the same bytes, whatever was decided before. */
static void test_policy_decide__is_pure(void **state)
{
    struct bench b;
    struct buf one, two;
    bench_open(&b, "device-ldevid-1y");
    buf_init(&one, CERT_DER_MAX);
    buf_init(&two, CERT_DER_MAX);
    expect_issue(&b);
    tbs_of(&one, &b, b.d);
    b.s.f.device.known = false;
    bench_decide(&b);
    b.s.f.device.known = true;
    expect_issue(&b);
    tbs_of(&two, &b, b.d);
    assert_true(slice_eq(buf_slice(&one), buf_slice(&two)));
    buf_done(&one);
    buf_done(&two);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_decide__same_through_every_door),
        cmocka_unit_test(test_policy_decide__is_pure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
