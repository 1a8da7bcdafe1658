/* Lists of profiles: what their certificates name, by which clock they are made, and what stays when the profile changes its mind; and all lists of an
 * authority looked at in one walk. */
#include "status/crl_impl.h"
#include "status/publish.h"
#include "status/scope.h"
#include "unit/authority/home_test.h"

#define PROFILE "server-internal-1y"
#define OWN     "profile-" PROFILE

static struct house *house;
static struct arena *arena;
static struct catalog *catalog;
static const struct authority *ca;

static void look_again(void)
{
    catalog_unref(catalog);
    catalog = house_catalog(house);
    ca = authority_of(catalog, "issuing-ca");
}

static int begin(void **state)
{
    (void)state;
    test_dir_make();
    make_home_with(&(struct init_config){.root_crls = 3});
    arena = arena_new(64 << 20);
    house = open_home();
    look_again();
    return 0;
}

static int end(void **state)
{
    (void)state;
    clock_fix(0);
    catalog_unref(catalog);
    catalog = NULL;
    struct status *status = status_stop(house);
    house_close(house);
    status_free(status);
    arena_free(arena);
    free_home();
    test_dir_remove();
    return 0;
}

static void change(const char *kind, const char *name, const char *object, const char *key, json_t *value)
{
    struct diag diag = {0};
    json_t *doc;
    struct store_read q = {
        .kind = READ_RESOURCE, .tenant = TENANT_DEFAULT, .arena = arena, .name = kind, .name2 = name};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    CHECK_OK(json_parse(&doc, q.resources[0].json, 1 << 20, &diag), diag);
    if (!json_object_get(doc, object))
        json_object_set_new(doc, object, json_object());
    if (value)
        json_object_set_new(json_object_get(doc, object), key, value);
    else
        json_object_del(json_object_get(doc, object), key);
    CHECK_OK(house_resource_put(house, TENANT_DEFAULT, kind, doc, -1, "tester", NULL, &diag), diag);
    json_decref(doc);
    CHECK_OK(crl_shards_follow(house, &diag), diag);
    CHECK_OK(crl_lists_follow(house, &diag), diag);
    look_again();
}

/* "crl" of the profile as JSON; NULL: it goes. */
static void set_own(const char *json)
{
    change("Profile", PROFILE, "revocation", "crl", json ? json_loads(json, 0, NULL) : NULL);
}

static bool publish(enum crl_when when)
{
    bool published = false;
    struct diag diag = {0};
    CHECK_OK(crl_publish(house, ca, when, &published, &diag), diag);
    return published;
}

static struct crl_row row_of(const char *scope)
{
    struct crl_row row;
    assert_int_equal(crl_current_of(&row, arena, house, ca, scope), TM_OK);
    return row;
}

static struct crl list_of(const char *scope)
{
    struct crl_row row = row_of(scope);
    struct crl c;
    assert_int_equal(crl_parse(&c, row.der, NULL), TM_OK);
    return c;
}

static bool is_on(const char *scope, const struct issue_request *r)
{
    struct crl c = list_of(scope);
    struct crl_iter it;
    struct crl_entry e;
    crl_iter_init(&it, &c, NULL);
    while (crl_next(&it, &e) == TM_OK)
        if (slice_eq(e.serial, SLICE_ARR(r->serial)))
            return true;
    return false;
}

static void revoke_it(const struct issue_request *r, int reason)
{
    struct diag diag = {0};
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, r->serial, reason, "tester", "", NULL, &diag), diag);
}

/* What stands in the certificate's address before ".crl", in the arena. */
static const char *named_by(const struct issue_request *r)
{
    struct cert c;
    struct slice uri;
    size_t n;
    assert_int_equal(cert_parse(&c, r->cert, NULL), TM_OK);
    assert_int_equal(ext_decode_cdp(&uri, 1, &n, exts_find(&c.exts, OID_EXT_CDP)->value, NULL), TM_OK);
    const char *url = arena_strndup(arena, (const char *)uri.p, uri.n), *file = strrchr(url, '/') + 1;
    return arena_strndup(arena, file, strlen(file) - 4);
}

static struct issue_request *leaf_at(int64_t t, const char *dns)
{
    clock_fix(t);
    return issue_leaf(arena, house, dns);
}

static void test_own__named_and_by_its_own_clock(void **state)
{
    (void)state;
    int64_t now = clock_now();
    set_own("{\"every\":\"1h\",\"lifetime\":\"2d\",\"on-revocation\":false}");
    assert_int_equal(ca->n_lists, 1);
    assert_int_equal(ca->lists[0].n_shards, 1);
    struct issue_request *before = leaf_at(now + 1, "own-before.example.org"),
                         *mine = leaf_at(now + 120, "own.example.org"),
                         *other =
                             issue_leaf_from(arena, house, "enterprise-tls-47d", NULL, "other.example.org");
    assert_string_equal(named_by(before), "full");
    assert_string_equal(named_by(mine), OWN);
    if (other->outcome == ISSUE_ISSUED)
        assert_string_equal(named_by(other), "full");
    assert_true(publish(CRL_WHEN_DUE));
    struct crl_row first = row_of(OWN);
    assert_int_equal(first.next_update - first.this_update, 2 * 86400);
    struct crl c = list_of(OWN);
    assert_true(exts_find(&c.exts, OID_EXT_IDP)->critical);

    /* By the clock alone; the complete one follows. */
    revoke_it(mine, CRL_KEY_COMPROMISE);
    revoke_it(before, CRL_SUPERSEDED);
    assert_true(publish(CRL_WHEN_CHANGED));
    assert_false(is_on(OWN, mine));
    assert_true(is_on("full", mine));
    clock_fix(now + 120 + 3600);
    assert_true(publish(CRL_WHEN_DUE));
    assert_true(is_on(OWN, mine));
    assert_false(is_on(OWN, before));

    /* It changes its mind: those that name it are found there as before. */
    struct issue_request *late = leaf_at(now + 4000, "own-late.example.org");
    set_own(NULL);
    struct issue_request *after = leaf_at(now + 4200, "own-after.example.org");
    assert_string_equal(named_by(late), OWN);
    assert_string_equal(named_by(after), "full");
    revoke_it(late, CRL_SUPERSEDED);
    revoke_it(after, CRL_SUPERSEDED);
    assert_true(publish(CRL_WHEN_CHANGED));
    assert_true(is_on(OWN, late));
    assert_false(is_on(OWN, after));
    assert_true(is_on("full", after));
    /* And the store says it to a house that is opened anew. */
    struct diag diag = {0};
    CHECK_OK(house_reload(house, &diag), diag);
    look_again();
    assert_int_equal(ca->n_lists, 1);
    assert_int_equal(ca->lists[0].n_shards, 2);
}

static void test_own__openssl(void **state)
{
    (void)state;
    int64_t now = clock_now();
    if (!have_tool("openssl"))
        skip();
    set_own("{\"delta\":\"1h\"}");
    struct issue_request *held = leaf_at(now + 120, "held.example.org"),
                         *bad = leaf_at(now + 121, "bad.example.org"),
                         *good = leaf_at(now + 122, "good.example.org");
    revoke_it(held, CRL_CERTIFICATE_HOLD);
    assert_true(publish(CRL_NOW));
    assert_true(is_on(OWN, held));
    revoke_it(bad, CRL_KEY_COMPROMISE);
    assert_true(publish(CRL_WHEN_CHANGED));
    struct crl full = list_of(OWN), delta = list_of(OWN ".delta");
    assert_non_null(exts_find(&full.exts, OID_EXT_FRESHEST_CRL));
    assert_false(is_on(OWN, bad)); /* by its own clock: the delta has it */
    assert_true(is_on(OWN ".delta", bad));
    assert_true(
        slice_eq(exts_find(&full.exts, OID_EXT_IDP)->value, exts_find(&delta.exts, OID_EXT_IDP)->value));
    write_pem("root.pem", "CERTIFICATE", authority_of(catalog, "root")->der);
    write_pem("ca.pem", "CERTIFICATE", ca->der);
    write_pem("full.crl", "X509 CRL", full.der);
    write_pem("delta.crl", "X509 CRL", delta.der);
    const struct issue_request *all[] = {held, bad, good};
    for (size_t i = 0; i < 3; i++) {
        write_pem("leaf.pem", "CERTIFICATE", all[i]->cert);
        int failed =
            run("cat full.crl delta.crl >both.crl; openssl verify -no_check_time -crl_check "
                "-extended_crl -use_deltas -CRLfile both.crl -CAfile root.pem -untrusted ca.pem leaf.pem");
        assert_int_equal(failed != 0, i < 2);
    }
}

static void test_own__shards(void **state)
{
    (void)state;
    int64_t now = clock_now();
    change("Authority", "issuing-ca", "crl", "shards", json_integer(2));
    set_own("{\"shards\":3}");
    struct issue_request *v[6];
    for (int i = 0; i < 6; i++)
        v[i] = leaf_at(now + 120 + i, "own-shard.example.org");
    const char *mine = named_by(v[0]), *next = named_by(v[1]);
    assert_int_equal(strncmp(mine, OWN ".3-", strlen(OWN ".3-")), 0);
    assert_string_not_equal(mine, next);
    assert_string_equal(mine, named_by(v[3]));
    revoke_it(v[0], CRL_SUPERSEDED);
    assert_true(publish(CRL_NOW));
    assert_true(is_on(mine, v[0]));
    assert_false(is_on(next, v[0]));
    assert_true(is_on("full", v[0]));
    assert_false(is_on("2-0", v[0]) || is_on("2-1", v[0]));
}

/* After a start nobody knows what has changed: one walk finds it, and only the lists that differ are made. */
static void test_look__one_walk(void **state)
{
    (void)state;
    struct diag diag = {0};
    int64_t now = clock_now();
    change("Authority", "issuing-ca", "crl", "shards", json_integer(4));
    struct issue_request *v[8];
    for (int i = 0; i < 8; i++)
        v[i] = leaf_at(now + 120 + i, "look.example.org");
    revoke_it(v[1], CRL_CERTIFICATE_HOLD);
    revoke_it(v[5], CRL_SUPERSEDED);
    assert_true(publish(CRL_NOW));
    clock_fix(now + 200);
    revoke_it(v[2], CRL_KEY_COMPROMISE);
    CHECK_OK(issue_unrevoke(house, TENANT_DEFAULT, v[1]->serial, "tester", &diag), diag);

    CHECK_OK(status_open(house), diag);
    assert_true(status_dirty_waits(house));
    struct crl_scope *scopes = arena_calloc(arena, CRL_SCOPES_MAX, sizeof *scopes);
    size_t n = crl_scopes(scopes, CRL_SCOPES_MAX, ca);
    struct crl_dirty found = {0};
    CHECK_OK(crl_look(&found, house, ca, scopes, n, &diag), diag);
    assert_false(found.all);
    assert_int_equal(found.n, 4); /* two, each on its shard and on the complete list */
    free(found.v);

    struct crl_row quiet = row_of(named_by(v[3])), loud = row_of(named_by(v[2]));
    CHECK_OK(status_jobs[1]->run(house, &diag), diag);
    assert_false(status_dirty_waits(house));
    assert_true(slice_eq(quiet.number, row_of(named_by(v[3])).number));
    assert_false(slice_eq(loud.number, row_of(named_by(v[2])).number));
    assert_true(is_on(named_by(v[2]), v[2]) && is_on("full", v[2]));
    assert_false(is_on(named_by(v[1]), v[1]) || is_on("full", v[1]));
    assert_true(is_on(named_by(v[5]), v[5]) && is_on("full", v[5]));
}

/* What can't be published is tried again, without a look at all. */
static void test_dirty__comes_back(void **state)
{
    (void)state;
    struct diag diag = {0};
    assert_true(publish(CRL_NOW));
    struct issue_request *r = issue_leaf(arena, house, "again.example.org");
    CHECK_OK(status_open(house), diag);
    CHECK_OK(status_jobs[1]->run(house, &diag), diag);
    revoke_it(r, CRL_SUPERSEDED);
    status_dirty_put(house, TENANT_DEFAULT, ca->name, "", r->serial);
    house_read_only(house, "the test says so");
    assert_int_equal(status_jobs[1]->run(house, &diag), TM_EUNAVAIL);
    assert_false(status_dirty_waits(house)); /* not at once */
    house_read_only(house, NULL);
    struct crl_dirty d;
    status_dirty_take(house, &d);
    assert_false(d.all);
    assert_int_equal(d.n, 1);
    status_dirty_back(house, &d);
    free(d.v);
    CHECK_OK(status_jobs[1]->run(house, &diag), diag);
    assert_true(is_on("full", r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_own__named_and_by_its_own_clock, begin, end),
        cmocka_unit_test_setup_teardown(test_own__openssl, begin, end),
        cmocka_unit_test_setup_teardown(test_own__shards, begin, end),
        cmocka_unit_test_setup_teardown(test_look__one_walk, begin, end),
        cmocka_unit_test_setup_teardown(test_dirty__comes_back, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
