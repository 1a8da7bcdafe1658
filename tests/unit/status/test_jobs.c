/* A serving house: the signer in its own process, a revocation that is on the CRL a moment later, the key a CRL's only. */
#include "issue/jobs.h"
#include "status/publish.h"
#include "unit/authority/home_test.h"
#include <stdatomic.h>
#include <time.h>

static bool on_crl(struct house *h, struct arena *a, const struct authority *x,
                   const uint8_t serial[CERT_SERIAL_LEN])
{
    struct crl_row row;
    struct crl c;
    struct crl_iter it;
    struct crl_entry e;
    assert_int_equal(crl_current(&row, a, h, x), TM_OK);
    assert_int_equal(crl_parse(&c, row.der, NULL), TM_OK);
    crl_iter_init(&it, &c, NULL);
    while (crl_next(&it, &e) == TM_OK)
        if (slice_eq(e.serial, slice_of(serial, CERT_SERIAL_LEN)))
            return true;
    return false;
}

static void test_status_jobs__revocation_is_published(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct house *h = NULL;
    struct arena *a = arena_new(0);
    struct house_config c = {.home = in_test("home"),
                             .mode = HOUSE_SERVE,
                             .passphrase = &home_passphrase,
                             .public_base = home.public_base,
                             .origin = home.origin};
    CHECK_OK(house_open(&h, &c, &diag), diag);
    CHECK_OK(status_open(h), diag);
    for (size_t i = 0; status_jobs[i]; i++)
        CHECK_OK(jobs_add(h->jobs, status_jobs[i]), diag);
    struct catalog *cat = house_catalog(h);
    const struct authority *ca = authority_of(cat, "issuing-ca");
    struct issue_request *r = issue_leaf(a, h, "server.example.org");
    assert_false(on_crl(h, a, ca, r->serial));
    CHECK_OK(issue_revoke(h, TENANT_DEFAULT, r->serial, CRL_KEY_COMPROMISE, "tester", "", NULL, &diag), diag);
    bool found = false;
    for (int i = 0; i < 100 && !found; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        found = on_crl(h, a, ca, r->serial);
    }
    assert_true(found);

    /* No ceremony while it serves, and the server's own process has no way to a CA certificate. */
    struct ceremony by = {.house = h, .by = "tester", .passphrase = &home_passphrase};
    struct ca_spec spec;
    struct ca_result made;
    ca_spec_init(&spec);
    spec.name = "sneaky";
    assert_int_equal(ceremony_create_ca(&made, a, &by, &spec, NULL, NULL, &diag), TM_EUNAVAIL);
    struct ca_signed sub;
    struct key *k = NULL;
    CHECK_OK(key_generate(&k, KEY_ALG_EC_P256, 0, &diag), diag);
    struct ca_plan plan = {.issuer = ca->cert.subject,
                           .subject = authority_of(cat, "root")->cert.subject,
                           .spki = key_spki(k),
                           .issuer_key_id = ca->key_id,
                           .not_before = clock_now(),
                           .not_after = clock_now() + 86400,
                           .sig_alg = ca->sig_alg};
    assert_int_equal(ca_plan_sign(&sub, a, h->signer, ca->key_ref, &plan, ca->cert.spki.der, &diag),
                     TM_EDENIED);
    assert_string_equal(diag.rule, "envelope.allow");
    key_free(k);
    catalog_unref(cat);
    struct status *status = status_stop(h);
    house_close(h);
    status_free(status);
    arena_free(a);
}

static atomic_uint busy, other;

static tm_err busy_run(struct house *h, struct diag *diag)
{
    (void)diag;
    atomic_fetch_add(&busy, 1);
    jobs_kick(h->jobs, "test.busy");
    return TM_OK;
}

static tm_err other_run(struct house *h, struct diag *diag)
{
    (void)h;
    (void)diag;
    atomic_fetch_add(&other, 1);
    return TM_OK;
}

/* A job that is kicked without end is not the only one to run, wherever it stands. */
static void test_jobs_kick__in_turn(void **state)
{
    static const struct job first = {.name = "test.busy", .period_ms = 3600000, .run = busy_run},
                            second = {.name = "test.other", .period_ms = 10, .run = other_run};
    struct diag diag = {0};
    struct house *h = NULL;
    struct house_config c = {.home = in_test("home"),
                             .mode = HOUSE_SERVE,
                             .passphrase = &home_passphrase,
                             .public_base = home.public_base,
                             .origin = home.origin};
    (void)state;
    CHECK_OK(house_open(&h, &c, &diag), diag);
    CHECK_OK(jobs_add(h->jobs, &first), diag);
    CHECK_OK(jobs_add(h->jobs, &second), diag);
    jobs_kick(h->jobs, "test.busy");
    for (int i = 0; i < 400 && atomic_load(&other) < 3; i++)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    assert_true(atomic_load(&busy) > 3);
    assert_true(atomic_load(&other) >= 3);
    house_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_jobs__revocation_is_published),
        cmocka_unit_test(test_jobs_kick__in_turn),
    };
    return cmocka_run_group_tests(tests, home_setup, home_teardown);
}
