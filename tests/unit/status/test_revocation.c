/* Mass revocation without a server: which ones, once, stopped, planned; and what is waited for until it is said. */
#include "issue/issue.h"
#include "status/reach.h"
#include "status/revocation_impl.h"
#include "unit/authority/still_house.h"
#include "unit/status/filter_test.h"

static const char *serial_of(const struct member *m)
{
    return arena_hex(arena, SLICE_ARR(m->id));
}

/* n new certificates of the issuing CA, as hex. */
static const char *const *some(size_t n)
{
    const char **v = arena_calloc(arena, n, sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = serial_of(member_add(house, "issuing-ca", 80, false));
    return v;
}

static struct revocation_order order_of(const char *const *serials, size_t n)
{
    return (struct revocation_order){.tenant = TENANT_DEFAULT,
                                     .set = {.authority = "", .profile = "", .device = "", .owner = ""},
                                     .serials = serials,
                                     .n_serials = n,
                                     .reason = CRL_SUPERSEDED,
                                     .comment = "",
                                     .by = "tester",
                                     .explanation = "",
                                     .key = ""};
}

static struct revocation started(const struct revocation_order *o)
{
    struct revocation j;
    struct diag diag = {0};
    CHECK_OK(revocation_start(&j, arena, house, o, &diag), diag);
    return j;
}

static struct cert_row row_of(const char *hex)
{
    struct slice id;
    struct store_read q = {.kind = READ_CERT, .tenant = TENANT_DEFAULT, .arena = arena};
    assert_int_equal(hex_decode(&id, arena, slice_str(hex)), TM_OK);
    memcpy(q.id, id.p, sizeof q.id);
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    return q.certs[0];
}

static void test_revocation_start__several_pages_each_once(void **state)
{
    (void)state;
    enum { N = 2 * REVOCATION_PAGE + REVOCATION_CHUNK + 7 };
    const char *const *v = some(N);
    const char **twice = arena_calloc(arena, N + 1, sizeof *twice);
    assert_non_null(twice);
    memcpy(twice, v, N * sizeof *twice);
    twice[N] = v[0];
    struct revocation_order o = order_of(twice, N + 1);
    struct revocation j = started(&o);
    assert_int_equal(j.status, REVOCATION_SPREADS);
    assert_int_equal(j.matched, N);
    assert_int_equal(j.revoked, N);
    assert_int_equal(j.before, 0);
    assert_int_equal(row_of(v[N - 1]).reason, CRL_SUPERSEDED);
    struct revocation again = started(&o);
    assert_int_equal(again.revoked, 0);
    assert_int_equal(again.before, N);
}

static void test_revocation_start__a_key_is_one_job(void **state)
{
    (void)state;
    struct revocation_order o = order_of(some(2), 2), other = order_of(some(1), 1);
    struct revocation j;
    struct diag diag = {0};
    o.key = other.key = "ticket";
    struct revocation first = started(&o), second = started(&o);
    assert_string_equal(first.id, second.id);
    assert_int_equal(revocation_start(&j, arena, house, &other, &diag), TM_ECONFLICT);
    other.by = "somebody else";
    assert_string_not_equal(started(&other).id, first.id);
}

static void test_revocation_look__query(void **state)
{
    (void)state;
    struct revocation_touched *t = arena_calloc(arena, 1, sizeof *t);
    struct revocation_order o = order_of(NULL, 0);
    struct diag diag = {0};
    assert_non_null(t);
    clock_fix(t0 + 1000);
    const char *const *v = some(3);
    o.set.issued_after = t0 + 1000;
    CHECK_OK(revocation_look(t, arena, house, &o, &diag), diag);
    assert_int_equal(t->matched, 3);
    assert_int_equal(t->n_profiles, 1);
    assert_string_equal(t->profiles[0].name, "server-internal-1y");
    /* On hold is to be revoked too, but is not put on hold once more. */
    struct issue_reasons why = {.by = "tester"};
    struct cert_row held = row_of(v[0]);
    CHECK_OK(issue_revoke_set(house, TENANT_DEFAULT,
                              &(struct issue_revocation){.row = &held, .reason = CRL_CERTIFICATE_HOLD}, 1,
                              &why, NULL, 0, &diag),
             diag);
    CHECK_OK(revocation_look(t, arena, house, &o, &diag), diag);
    assert_int_equal(t->matched, 3);
    o.reason = CRL_CERTIFICATE_HOLD;
    CHECK_OK(revocation_look(t, arena, house, &o, &diag), diag);
    assert_int_equal(t->matched, 2);
    /* What comes later is in no job of before. */
    o.reason = CRL_SUPERSEDED;
    o.expects = true;
    o.expect = 2;
    struct revocation j;
    assert_int_equal(revocation_start(&j, arena, house, &o, &diag), TM_ECONFLICT);
    o.expect = 3;
    assert_int_equal(started(&o).revoked, 3);
}

static void test_revocation_step__planned_then_canceled(void **state)
{
    (void)state;
    const char *const *v = some(2);
    struct revocation_order o = order_of(v, 2);
    struct store_read w = {.kind = READ_OBJECT,
                           .tenant = TENANT_DEFAULT,
                           .arena = arena,
                           .object_kind = OBJECT_RENEWAL_WINDOW,
                           .name = v[0]};
    struct diag diag = {0};
    o.after = 1000;
    struct revocation j = started(&o);
    assert_int_equal(j.status, REVOCATION_PLANNED);
    assert_int_equal(j.asked, 2);
    assert_int_equal(store_read_now(house->store, &w), TM_OK);
    CHECK_OK(revocation_cancel(house, TENANT_DEFAULT, j.id, "tester", "", &diag), diag);
    assert_int_equal(store_read_now(house->store, &w), TM_ENOTFOUND);
    assert_int_equal(row_of(v[0]).revoked_at, 0);
    assert_int_equal(revocation_cancel(house, TENANT_DEFAULT, j.id, "tester", "", &diag), TM_ECONFLICT);
    assert_int_equal(revocation_approve(house, TENANT_DEFAULT, j.id, "other", "", &diag), TM_ECONFLICT);
}

static void test_revocation_step__at_the_deadline(void **state)
{
    (void)state;
    const char *const *v = some(1);
    struct revocation_order o = order_of(v, 1);
    struct diag diag = {0};
    int64_t now = clock_now();
    bool more;
    o.after = 1000;
    struct revocation j = started(&o);
    CHECK_OK(revocation_step(&more, arena, house, &j, &diag), diag);
    assert_false(more);
    assert_int_equal(j.status, REVOCATION_PLANNED);
    clock_fix(now + 1001);
    for (more = true; more;)
        CHECK_OK(revocation_step(&more, arena, house, &j, &diag), diag);
    assert_int_equal(j.status, REVOCATION_SPREADS);
    assert_int_equal(row_of(v[0]).reason, CRL_SUPERSEDED);
    /* An old state of the job changes nothing any more. */
    j.version--;
    j.status = REVOCATION_RUNS;
    assert_int_equal(revocation_step(&more, arena, house, &j, &diag), TM_ECONFLICT);
}

static void test_reach__until_a_list_says_so(void **state)
{
    (void)state;
    struct catalog *cat = house_catalog(house);
    const struct authority *ca = authority_of(cat, "issuing-ca");
    struct diag diag = {0};
    int64_t ms;
    CHECK_OK(reach_open(house), diag);
    clock_fix(clock_now() + 10);
    struct cert_row row = row_of(some(1)[0]);
    int64_t at = clock_now_ms();
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, row.id, CRL_SUPERSEDED, "tester", "", NULL, &diag), diag);
    assert_false(reach_done(house, TENANT_DEFAULT, "issuing-ca", REACH_CRL, at, &ms));
    assert_true(reach_done(house, TENANT_DEFAULT, "issuing-ca", REACH_FILTER, at, &ms));
    /* A list made from what was known before says nothing of it. */
    reach_list(house, ca, "full", at - 1);
    assert_false(reach_done(house, TENANT_DEFAULT, "issuing-ca", REACH_CRL, at, &ms));
    clock_fix(clock_now() + 3);
    CHECK_OK(crl_publish(house, ca, CRL_NOW, NULL, &diag), diag);
    assert_true(reach_done(house, TENANT_DEFAULT, "issuing-ca", REACH_CRL, at, &ms));
    assert_int_equal(ms, at + 3000);
    struct reach *r = house->reach;
    house->reach = NULL;
    house->on_revoked = NULL;
    reach_free(r);
    catalog_unref(cat);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, still_each_begin, still_each_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_revocation_start__several_pages_each_once),
        EACH(test_revocation_start__a_key_is_one_job),
        EACH(test_revocation_look__query),
        EACH(test_revocation_step__planned_then_canceled),
        EACH(test_revocation_step__at_the_deadline),
        EACH(test_reach__until_a_list_says_so),
    };
    return cmocka_run_group_tests(tests, still_begin, still_end);
}
