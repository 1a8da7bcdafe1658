/* The status-proxy without its wire: what it takes from its state directory, from upstream's octets, and what it answers from that. */
#include "gateway/impl.h"
#include "status/filter.h"
#include "unit/status/filter_test.h"

static struct house *house;
static struct arena *arena;
static struct catalog *catalog;
static const struct authority *ca;
static struct gateway *gateway;
static struct gateway_config config;
static struct member *good, *bad, *later;
static int64_t t0;

/* Files as they were published, in their order: full 1, delta 1, full 2. */
static struct slice full1, delta1, full2, crl1;

static struct slice published(enum tmf_kind kind)
{
    struct crl_row row;
    struct diag diag = {0};
    struct filter_def d;
    CHECK_OK(filter_def_find(&d, arena, house, TENANT_DEFAULT, "issuing-ca", &diag), diag);
    CHECK_OK(filter_publish(house, &d, kind, &diag), diag);
    assert_int_equal(filter_current(&row, NULL, arena, house, TENANT_DEFAULT, "issuing-ca", kind), TM_OK);
    return row.der;
}

static void make_files(void)
{
    struct crl_row row;
    struct diag diag = {0};
    t0 = clock_now();
    clock_fix(t0);
    good = member_add(house, "issuing-ca", 80, false);
    bad = member_add(house, "issuing-ca", 80, false);
    later = member_add(house, "issuing-ca", 80, false);
    member_revoke(house, bad, "issuing-ca", false);
    clock_fix(t0 + 10);
    full1 = published(TMF_FULL);
    CHECK_OK(crl_publish(house, ca, CRL_NOW, NULL, &diag), diag);
    assert_int_equal(crl_current(&row, arena, house, ca), TM_OK);
    crl1 = row.der;
    clock_fix(t0 + 20);
    member_revoke(house, later, "issuing-ca", false);
    clock_fix(t0 + 30);
    delta1 = published(TMF_DELTA);
    clock_fix(t0 + 40);
    full2 = published(TMF_FULL);
}

static int begin(void **state)
{
    (void)state;
    test_dir_make();
    make_home_with(&(struct init_config){0});
    arena = arena_new(0);
    house = open_home();
    catalog = house_catalog(house);
    ca = authority_of(catalog, "issuing-ca");
    write_pem("ca.pem", "CERTIFICATE", ca->der);
    make_files();
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

static int gateway_up(void **state)
{
    static const char *authorities[] = {"ca.pem"}, *filters[] = {"issuing-ca"};
    struct diag diag = {0};
    (void)state;
    config = (struct gateway_config){.upstream = "http://[::1]:9/",
                                     .state = "state",
                                     .authorities = {.v = authorities, .n = 1},
                                     .filters = {.v = filters, .n = 1},
                                     .crls = true,
                                     .ocsp = true,
                                     .refresh = 60,
                                     .stale_after = 1000,
                                     .ocsp_entries = 100};
    clock_fix(t0 + 50);
    CHECK_OK(gateway_open(&gateway, &config, test_dir, &diag), diag);
    return 0;
}

static int gateway_down(void **state)
{
    (void)state;
    gateway_free(gateway);
    run("rm -rf state");
    return 0;
}

static struct gateway_source *source(enum gateway_kind kind)
{
    for (size_t i = 0; i < gateway->n_sources; i++)
        if (gateway->sources[i].kind == kind)
            return &gateway->sources[i];
    abort();
}

static tm_err take(enum gateway_kind kind, struct slice octets)
{
    struct gateway_object *o;
    struct diag diag = {0};
    TM_TRY(object_make(&o, gateway, source(kind), octets, &diag));
    return source_take(gateway, source(kind), o, &diag);
}

static struct gateway_answer ask(const struct member *m)
{
    return gateway_ask(gateway, &gateway->authorities[0], SLICE_ARR(m->serial), 0);
}

static void test_gateway_open__upstream(void **state)
{
    (void)state;
    assert_string_equal(gateway->upstream_host, "::1");
    assert_int_equal(gateway->upstream_port, 9);
    static const char *const wrong[] = {"https://x",      "http://",    "http://x:0",
                                        "http://x:99999", "http://x/y", "x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gateway_config c = config;
        struct gateway *g;
        struct diag diag = {0};
        c.upstream = wrong[i];
        assert_int_equal(gateway_open(&g, &c, test_dir, &diag), TM_EINVAL);
        assert_string_equal(diag.field, "/upstream");
    }
}

static void test_gateway_ask__newest_decides(void **state)
{
    (void)state;
    assert_int_equal(ask(good).status, STATUS_UNKNOWN);
    assert_int_equal(take(SOURCE_FILTER, full1), TM_OK);
    assert_int_equal(ask(good).status, STATUS_GOOD);
    assert_int_equal(ask(bad).status, STATUS_REVOKED);
    assert_int_equal(ask(later).status, STATUS_GOOD);
    assert_int_equal(ask(later).as_of, t0 + 10);
    assert_int_equal(take(SOURCE_CRL, crl1), TM_OK);
    assert_int_equal(take(SOURCE_DELTA, delta1), TM_OK);
    struct gateway_answer a = ask(later);
    assert_int_equal(a.status, STATUS_REVOKED);
    assert_string_equal(a.source, "delta");
    assert_int_equal(a.as_of, t0 + 30);
    /* Of one that is younger than all of them nothing is known, and that is said. */
    clock_fix(t0 + 60);
    struct member *young = member_add(house, "issuing-ca", 80, false);
    a = ask(young);
    assert_int_equal(a.status, STATUS_UNKNOWN);
    assert_string_equal(a.source, "delta");
    assert_int_equal(a.as_of, t0 + 30);
    assert_int_equal(a.issued, t0 + 60);
    /* A newer CRL knows it, though no filter does yet. */
    struct crl_row row;
    struct diag diag = {0};
    clock_fix(t0 + 70);
    CHECK_OK(crl_publish(house, ca, CRL_NOW, NULL, &diag), diag);
    assert_int_equal(crl_current(&row, arena, house, ca), TM_OK);
    assert_int_equal(take(SOURCE_CRL, row.der), TM_OK);
    a = ask(young);
    assert_int_equal(a.status, STATUS_GOOD);
    assert_string_equal(a.source, "crl");
}

/* A serial of another kind tells no time: the certificate's own date does. */
static void test_gateway_ask__newer_by_its_date(void **state)
{
    (void)state;
    static const uint8_t foreign[] = {0x42, 0x01};
    const struct gateway_authority *x = &gateway->authorities[0];
    assert_int_equal(take(SOURCE_CRL, crl1), TM_OK);
    assert_int_equal(gateway_ask(gateway, x, SLICE_ARR(foreign), t0 + 11).status, STATUS_UNKNOWN);
    assert_int_equal(gateway_ask(gateway, x, SLICE_ARR(foreign), t0 + 9).status, STATUS_GOOD);
    assert_int_equal(gateway_ask(gateway, x, SLICE_ARR(foreign), 0).status, STATUS_GOOD);
    /* What a list has is revoked, whatever date it shows. */
    assert_int_equal(gateway_ask(gateway, x, SLICE_ARR(bad->serial), t0 + 11).status, STATUS_REVOKED);
}

static void test_gateway_ask__stale(void **state)
{
    (void)state;
    assert_int_equal(take(SOURCE_FILTER, full1), TM_OK);
    clock_fix(t0 + 10 + config.stale_after);
    assert_int_equal(ask(bad).status, STATUS_REVOKED);
    clock_fix(t0 + 11 + config.stale_after);
    assert_int_equal(ask(bad).status, STATUS_STALE);
}

static void test_source_take__never_back(void **state)
{
    (void)state;
    assert_int_equal(take(SOURCE_DELTA, delta1), TM_EPENDING);
    assert_int_equal(take(SOURCE_FILTER, full2), TM_OK);
    assert_int_equal(take(SOURCE_FILTER, full1), TM_ECONFLICT);
    assert_int_equal(take(SOURCE_DELTA, delta1), TM_EPENDING); /* of the full filter before */
    assert_int_equal(take(SOURCE_FILTER, full2), TM_OK);
    assert_int_equal(ask(later).status, STATUS_REVOKED);
    assert_int_equal(ask(later).as_of, t0 + 40);
}

static void test_object_make__refuses(void **state)
{
    (void)state;
    uint8_t *copy = malloc(full1.n);
    assert_non_null(copy);
    memcpy(copy, full1.p, full1.n);
    copy[300] ^= 1;
    assert_int_equal(take(SOURCE_FILTER, slice_of(copy, full1.n)), TM_EBADSIG);
    free(copy);
    assert_int_equal(take(SOURCE_FILTER, delta1), TM_EINVAL);
    assert_int_equal(take(SOURCE_FILTER, crl1), TM_EMALFORMED);
    assert_int_equal(take(SOURCE_CRL, full1), TM_EMALFORMED);
    assert_int_equal(take(SOURCE_FILTER, (struct slice){0}), TM_EMALFORMED);
    /* A good filter in another's place. */
    source(SOURCE_FILTER)->filter = "device-ca";
    assert_int_equal(take(SOURCE_FILTER, full1), TM_EBADSIG);
    source(SOURCE_FILTER)->filter = "other.issuing-ca";
    assert_int_equal(take(SOURCE_FILTER, full1), TM_OK);
    source(SOURCE_FILTER)->filter = "issuing-ca";
    /* A list of another authority. */
    struct crl_row row;
    struct diag diag = {0};
    const struct authority *other = authority_of(catalog, "device-ca");
    CHECK_OK(crl_publish(house, other, CRL_NOW, NULL, &diag), diag);
    assert_int_equal(crl_current(&row, arena, house, other), TM_OK);
    assert_int_equal(take(SOURCE_CRL, row.der), TM_EBADSIG);
}

static void test_state__found_again(void **state)
{
    (void)state;
    struct diag diag = {0};
    CHECK_OK(state_save(gateway, "issuing-ca.tmf", full1, &diag), diag);
    CHECK_OK(state_save(gateway, "issuing-ca.delta.tmf", delta1, &diag), diag);
    gateway_free(gateway);
    CHECK_OK(gateway_open(&gateway, &config, test_dir, &diag), diag);
    assert_int_equal(ask(later).status, STATUS_REVOKED);
    /* What was changed on disk is passed over, and the delta with it. */
    uint8_t octet = 0xff;
    int fd = open(in_test("state/issuing-ca.tmf"), O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, &octet, 1, 400) == 1);
    close(fd);
    gateway_free(gateway);
    CHECK_OK(gateway_open(&gateway, &config, test_dir, &diag), diag);
    assert_int_equal(ask(later).status, STATUS_UNKNOWN);
}

/* A CRL that is here says that the filter's signer is revoked. The last test: there is no way back. */
static void test_object_make__revoked_signer(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct crl_row row;
    uint8_t id[CERT_SERIAL_LEN];
    assert_int_equal(take(SOURCE_FILTER, full2), TM_OK);
    clock_fix(t0 + 60);
    struct slice full3 = published(TMF_FULL);
    memcpy(id, ca->ra_cert.serial.p, sizeof id);
    clock_fix(t0 + 70);
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, id, CRL_KEY_COMPROMISE, "test", "", NULL, &diag), diag);
    CHECK_OK(crl_publish(house, ca, CRL_NOW, NULL, &diag), diag);
    assert_int_equal(crl_current(&row, arena, house, ca), TM_OK);
    assert_int_equal(take(SOURCE_CRL, row.der), TM_OK);
    assert_int_equal(take(SOURCE_FILTER, full3), TM_EBADSIG);
    assert_int_equal(ask(good).status, STATUS_GOOD); /* what is here stays */
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, gateway_up, gateway_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_gateway_open__upstream),
        EACH(test_gateway_ask__newest_decides),
        EACH(test_gateway_ask__newer_by_its_date),
        EACH(test_gateway_ask__stale),
        EACH(test_source_take__never_back),
        EACH(test_object_make__refuses),
        EACH(test_state__found_again),
        EACH(test_object_make__revoked_signer),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
