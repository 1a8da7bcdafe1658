/* CRLs signed ahead by an offline root: checked, published by date, missed before they run out. */
#include "unit/authority/home_test.h"

enum { DAY = 86400 };
static struct house *house;
static struct arena *arena;
static struct catalog *catalog;
static const struct authority *root;

static int begin(void **state)
{
    (void)state;
    test_dir_make();
    make_home_with(&(struct init_config){.root_crls = 6});
    arena = arena_new(0);
    house = open_home();
    catalog = house_catalog(house);
    root = authority_of(catalog, "root");
    return 0;
}

static int end(void **state)
{
    (void)state;
    clock_fix(0);
    catalog_unref(catalog);
    house_close(house);
    arena_free(arena);
    free_home();
    test_dir_remove();
    return 0;
}

static struct offline_bundle *open_bundle(void)
{
    struct offline_bundle *b = NULL;
    struct diag diag = {0};
    CHECK_OK(offline_bundle_open(&b, home.root_bundle, &root_passphrase, &diag), diag);
    return b;
}

static struct slice series(struct offline_bundle *b, unsigned count, int64_t every)
{
    struct buf pem;
    struct diag diag = {0};
    struct slice s;
    buf_init(&pem, 1 << 20);
    CHECK_OK(offline_bundle_crls(&pem, b, &(struct offline_crls){.count = count, .every = every}, &diag),
             diag);
    CHECK_OK(arena_copy(&s, arena, buf_slice(&pem)), diag);
    buf_done(&pem);
    return s;
}

static size_t events(const char *type)
{
    struct store_read q = {
        .kind = READ_EVENTS, .tenant = TENANT_DEFAULT, .arena = arena, .name = type, .limit = 1000};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    return q.n;
}

static const struct job *job(const char *name)
{
    for (size_t i = 0; status_jobs[i]; i++)
        if (strcmp(status_jobs[i]->name, name) == 0)
            return status_jobs[i];
    fail();
    abort(); /* fail() does not return, but the compiler can't know */
}

static void test_crl_series_publish__by_date(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct crl_row first, later;
    bool published;
    CHECK_OK(crl_current(&first, arena, house, root), diag);
    CHECK_OK(crl_publish(house, root, CRL_WHEN_DUE, &published, &diag), diag);
    assert_false(published);
    clock_fix(first.this_update + 65 * DAY);
    CHECK_OK(crl_publish(house, root, CRL_WHEN_DUE, &published, &diag), diag);
    assert_true(published);
    CHECK_OK(crl_current(&later, arena, house, root), diag);
    assert_int_equal(later.this_update, first.this_update + 60 * DAY);
    CHECK_OK(crl_publish(house, root, CRL_NOW, &published, &diag), diag);
    assert_false(published);
}

static void test_crl_series_import__revoked_sub_ca(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct crl_series s;
    const struct authority *ca = authority_of(catalog, "issuing-ca");
    struct offline_bundle *b = open_bundle();
    CHECK_OK(
        issue_revoke(house, TENANT_DEFAULT, ca->cert.serial.p, CRL_CA_COMPROMISE, "tester", "", NULL, &diag),
        diag);
    CHECK_OK(crl_series_state(&s, house, root, &diag), diag);
    assert_int_equal(s.missing, 1);
    assert_int_equal(job("crl.series")->run(house, &diag), TM_EEXPIRED);
    assert_int_equal(events("crl.series-outdated"), 1);
    assert_int_equal(job("crl.series")->run(house, &diag), TM_EEXPIRED);
    assert_int_equal(events("crl.series-outdated"), 1); /* one a day */

    CHECK_OK(offline_bundle_revoke(b, ca->cert.serial, CRL_CA_COMPROMISE, 0, false, &diag), diag);
    CHECK_OK(crl_series_import(&s, house, root, series(b, 24, 0), "tester", &diag), diag);
    offline_bundle_close(b);
    assert_int_equal(s.missing, 0);
    assert_int_equal(s.count, 24);
    CHECK_OK(job("crl.series")->run(house, &diag), diag);
    struct crl_row row;
    CHECK_OK(crl_current(&row, arena, house, root), diag);
    write_pem("root.pem", "CERTIFICATE", root->der);
    write_pem("ca.pem", "CERTIFICATE", ca->der);
    write_pem("root.crl", "X509 CRL", row.der);
    if (have_tool("openssl")) {
        assert_int_not_equal(run("openssl verify -crl_check -CRLfile root.crl -CAfile root.pem ca.pem"), 0);
        RUN_OK(
            "openssl verify -crl_check -CRLfile root.crl -CAfile root.pem ca.pem 2>&1 | grep -q 'certificate revoked'");
    }
}

static void test_crl_series_import__refused(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct crl_series s;
    struct offline_bundle *b = open_bundle(), *other = NULL;
    struct ca_spec spec;
    struct slice old = series(b, 2, 0);
    CHECK_OK(crl_series_import(&s, house, root, series(b, 3, 0), "tester", &diag), diag);
    assert_int_equal(crl_series_import(&s, house, root, SLICE_LIT("nothing"), "tester", &diag),
                     TM_EMALFORMED);
    assert_int_equal(crl_series_import(&s, house, authority_of(catalog, "issuing-ca"), old, "tester", &diag),
                     TM_EINVAL);

    /* Another CA of the same name. */
    ca_spec_init(&spec);
    spec.name = "root";
    spec.subject = "CN=Touchmark Root CA,O=Touchmark";
    CHECK_OK(offline_bundle_create(&other, in_test("other.bundle"), &root_passphrase, &spec, &diag), diag);
    assert_true(slice_eq(offline_bundle_cert(other)->subject, root->cert.subject));
    assert_int_equal(crl_series_import(&s, house, root, series(other, 2, 0), "tester", &diag), TM_EINVAL);
    offline_bundle_close(other);

    /* One with an altered signature. */
    struct slice der, pem = series(b, 1, 0);
    assert_int_equal(pem_next(&der, NULL, arena, &pem, "X509 CRL"), TM_OK);
    ((uint8_t *)(uintptr_t)der.p)[der.n - 1] ^= 1;
    assert_int_not_equal(crl_series_import(&s, house, root, der, "tester", &diag), TM_OK);
    offline_bundle_close(b);
}

static void test_crl_series__alarm(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct crl_series s;
    CHECK_OK(crl_series_state(&s, house, root, &diag), diag);
    assert_int_equal(s.count, 6);
    CHECK_OK(job("crl.series")->run(house, &diag), diag);
    assert_int_equal(events("crl.series-ending"), 0);
    clock_fix(s.ends - CRL_SERIES_WARN + 1);
    CHECK_OK(job("crl.series")->run(house, &diag), diag);
    CHECK_OK(job("crl.series")->run(house, &diag), diag);
    assert_int_equal(events("crl.series-ending"), 1);
    clock_fix(s.ends + 1);
    assert_int_equal(job("crl.series")->run(house, &diag), TM_EEXPIRED);
    assert_int_equal(events("crl.series-over"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_crl_series_publish__by_date, begin, end),
        cmocka_unit_test_setup_teardown(test_crl_series_import__revoked_sub_ca, begin, end),
        cmocka_unit_test_setup_teardown(test_crl_series_import__refused, begin, end),
        cmocka_unit_test_setup_teardown(test_crl_series__alarm, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
