/* CRLs of the house's own authorities: when they are made, what they list, and what openssl says of a revoked certificate. */
#include "policy/decide.h"
#include "unit/authority/home_test.h"

enum { DAY = 86400 };
static struct house *house;
static struct arena *arena;
static struct catalog *catalog;
static const struct authority *ca;

static int begin(void **state)
{
    (void)state;
    arena = arena_new(0);
    house = open_home();
    catalog = house_catalog(house);
    ca = authority_of(catalog, "issuing-ca");
    return 0;
}

static int end(void **state)
{
    (void)state;
    clock_fix(0);
    catalog_unref(catalog);
    house_close(house);
    arena_free(arena);
    return 0;
}

static bool publish(enum crl_when when)
{
    bool published = false;
    struct diag diag = {0};
    CHECK_OK(crl_publish(house, ca, when, &published, &diag), diag);
    return published;
}

static struct crl current(void)
{
    struct crl_row row;
    struct crl c;
    assert_int_equal(crl_current(&row, arena, house, ca), TM_OK);
    assert_int_equal(crl_parse(&c, row.der, NULL), TM_OK);
    return c;
}

static int reason_on(const struct crl *c, const uint8_t serial[CERT_SERIAL_LEN])
{
    struct crl_iter it;
    struct crl_entry e;
    crl_iter_init(&it, c, NULL);
    while (crl_next(&it, &e) == TM_OK)
        if (slice_eq(e.serial, slice_of(serial, CERT_SERIAL_LEN)))
            return e.reason;
    return -1;
}

static void revoke_it(const struct issue_request *r, int reason)
{
    struct diag diag = {0};
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, r->serial, reason, "tester", "", NULL, &diag), diag);
}

static void test_crl_publish__shape(void **state)
{
    (void)state;
    struct crl c = current();
    struct diag diag = {0};
    struct slice akid;
    CHECK_OK(ext_decode_akid(&akid, exts_find(&c.exts, OID_EXT_AKID)->value, &diag), diag);
    assert_true(slice_eq(akid, ca->key_id));
    assert_true(slice_eq(c.issuer, ca->cert.subject));
    assert_int_equal(c.next_update - c.this_update, ca->crl_lifetime);
    assert_true(crl_number(&c).n > 0 && crl_number(&c).n <= 20);
}

static void test_crl_publish__when_due(void **state)
{
    (void)state;
    assert_true(publish(CRL_NOW));
    assert_false(publish(CRL_WHEN_DUE));
    assert_false(publish(CRL_WHEN_CHANGED));
    struct crl before = current();
    clock_fix(clock_now() + ca->crl_every);
    assert_true(publish(CRL_WHEN_DUE));
    struct crl after = current();
    assert_true(after.this_update > before.this_update);
    assert_true(slice_cmp(crl_number(&after), crl_number(&before)) > 0);
    /* A clock that goes back: the number still grows. */
    clock_fix(before.this_update - DAY);
    assert_true(publish(CRL_NOW));
    struct crl back = current();
    assert_true(slice_cmp(crl_number(&back), crl_number(&after)) > 0);
}

static void test_crl_publish__revocation(void **state)
{
    (void)state;
    publish(CRL_NOW);
    struct issue_request *bad = issue_leaf(arena, house, "bad.example.org"),
                         *good = issue_leaf(arena, house, "good.example.org");
    assert_false(publish(CRL_WHEN_CHANGED));
    revoke_it(bad, CRL_KEY_COMPROMISE);
    assert_false(publish(CRL_WHEN_DUE));
    assert_true(publish(CRL_WHEN_CHANGED));
    assert_false(publish(CRL_WHEN_CHANGED));
    struct crl c = current();
    assert_int_equal(reason_on(&c, bad->serial), CRL_KEY_COMPROMISE);
    assert_int_equal(reason_on(&c, good->serial), -1);

    write_pem("root.pem", "CERTIFICATE", authority_of(catalog, "root")->der);
    write_pem("ca.pem", "CERTIFICATE", ca->der);
    write_pem("bad.pem", "CERTIFICATE", bad->cert);
    write_pem("good.pem", "CERTIFICATE", good->cert);
    write_pem("ca.crl", "X509 CRL", c.der);
    write_test_file("ca.crl.der", c.der);
    if (have_tool("openssl")) {
        RUN_OK("openssl verify -crl_check -CRLfile ca.crl -CAfile root.pem -untrusted ca.pem good.pem");
        assert_int_not_equal(
            run("openssl verify -crl_check -CRLfile ca.crl -CAfile root.pem -untrusted ca.pem bad.pem"), 0);
        RUN_OK(
            "grep -q 'certificate revoked' tool.log || openssl verify -crl_check -CRLfile ca.crl -CAfile root.pem -untrusted ca.pem bad.pem "
            "2>&1 | grep -q 'certificate revoked'");
    }
    if (have_tool("certtool"))
        RUN_OK("certtool --verify-crl --load-ca-certificate ca.pem --infile ca.crl");
}

static void test_crl_publish__hold_and_release(void **state)
{
    (void)state;
    struct issue_request *r = issue_leaf(arena, house, "held.example.org");
    struct diag diag = {0};
    revoke_it(r, CRL_CERTIFICATE_HOLD);
    assert_true(publish(CRL_WHEN_CHANGED));
    struct crl c = current();
    assert_int_equal(reason_on(&c, r->serial), CRL_CERTIFICATE_HOLD);
    CHECK_OK(issue_unrevoke(house, TENANT_DEFAULT, r->serial, "tester", &diag), diag);
    assert_true(publish(CRL_WHEN_CHANGED));
    c = current();
    assert_int_equal(reason_on(&c, r->serial), -1);
    assert_false(publish(CRL_WHEN_CHANGED));
    /* Held, then revoked for good: the entry changes. */
    revoke_it(r, CRL_CERTIFICATE_HOLD);
    assert_true(publish(CRL_WHEN_CHANGED));
    revoke_it(r, CRL_SUPERSEDED);
    assert_true(publish(CRL_WHEN_CHANGED));
    c = current();
    assert_int_equal(reason_on(&c, r->serial), CRL_SUPERSEDED);
}

/* RFC 5280 3.3: an expired certificate is on one CRL after its end, then on none. */
static void test_crl_publish__expired_leaves_after_one_more(void **state)
{
    (void)state;
    struct issue_request *r = issue_leaf(arena, house, "short.example.org");
    struct cert c;
    assert_int_equal(cert_parse(&c, r->cert, NULL), TM_OK);
    revoke_it(r, CRL_SUPERSEDED);
    clock_fix(c.not_after - 10);
    assert_true(publish(CRL_NOW));
    clock_fix(c.not_after + DAY);
    assert_true(publish(CRL_WHEN_DUE));
    struct crl crl = current();
    assert_int_equal(reason_on(&crl, r->serial), CRL_SUPERSEDED);
    clock_fix(c.not_after + 2 * DAY);
    assert_true(publish(CRL_WHEN_DUE));
    crl = current();
    assert_int_equal(reason_on(&crl, r->serial), -1);
}

static void test_crl_publish__many_pages(void **state)
{
    (void)state;
    enum { N = 2500 };
    struct diag diag = {0};
    struct arena *a = arena_new(1 << 30);
    static struct effect effects[N];
    for (size_t i = 0; i < N; i++) {
        effects[i] = (struct effect){.kind = EFFECT_CERT_ADD, .tenant = TENANT_DEFAULT};
        struct cert_row *row = &effects[i].u.cert.row;
        row->source = CERT_ISSUED;
        serial_prefix(row->id, clock_now() + 300 * DAY, clock_now());
        row->id[14] = (uint8_t)(i >> 8);
        row->id[15] = (uint8_t)i;
        row->id[6] = 1;
        row->serial = SLICE_ARR(row->id);
        row->authority = "device-ca";
        row->profile = row->device = row->endpoint = "";
        row->subject = "CN=x";
        row->not_before = clock_now();
        row->not_after = clock_now() + 300 * DAY;
        row->keep_until = TM_TIME_NEVER;
        for (int k = 0; k < 32; k++)
            row->fingerprint[k] = row->spki_hash[k] = (uint8_t)(i >> (k & 8));
    }
    CHECK_OK(house_commit(house, effects, N, &diag), diag);
    for (size_t i = 0; i < N; i++) {
        effects[i].kind = EFFECT_CERT_REVOKE;
        effects[i].u.cert.row.revoked_at = clock_now();
    }
    CHECK_OK(house_commit(house, effects, N, &diag), diag);
    ca = authority_of(catalog, "device-ca");
    assert_true(publish(CRL_WHEN_CHANGED));
    struct crl c = current();
    struct crl_iter it;
    struct crl_entry e;
    size_t n = 0;
    crl_iter_init(&it, &c, NULL);
    while (crl_next(&it, &e) == TM_OK)
        n++;
    assert_int_equal(n, N);
    assert_false(publish(CRL_WHEN_CHANGED));
    arena_free(a);
}

static void test_crl_publish_all__every_authority(void **state)
{
    (void)state;
    struct diag diag = {0};
    CHECK_OK(crl_publish_all(house, CRL_NOW, &diag), diag);
    for (size_t i = 0; status_jobs[i]; i++)
        CHECK_OK(status_jobs[i]->run(house, &diag), diag);
}

static void test_crl_publish__recorded(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct register_report r;
    struct store_read q = {
        .kind = READ_EVENTS, .tenant = TENANT_DEFAULT, .arena = arena, .name = "crl.published", .limit = 100};
    publish(CRL_NOW);
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    assert_true(q.n > 0);
    CHECK_OK(house_sequence(house, &diag), diag);
    CHECK_OK(register_verify(&r, house->reg, TENANT_HOUSE, NULL, NULL, &diag), diag);
    assert_int_equal(r.chain_gaps, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_crl_publish__shape, begin, end),
        cmocka_unit_test_setup_teardown(test_crl_publish__revocation, begin, end),
        cmocka_unit_test_setup_teardown(test_crl_publish__hold_and_release, begin, end),
        cmocka_unit_test_setup_teardown(test_crl_publish__recorded, begin, end),
        cmocka_unit_test_setup_teardown(test_crl_publish_all__every_authority, begin, end),
        cmocka_unit_test_setup_teardown(test_crl_publish__many_pages, begin, end),
        cmocka_unit_test_setup_teardown(test_crl_publish__when_due, begin, end),
        cmocka_unit_test_setup_teardown(test_crl_publish__expired_leaves_after_one_more, begin, end),
    };
    return cmocka_run_group_tests(tests, home_setup, home_teardown);
}
