/* Deltas and shards: what each lists, what its certificates name, and what openssl makes of them. */
#include "policy/decide.h"
#include "status/scope.h"
#include "unit/authority/home_test.h"

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
    arena = arena_new(0);
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
    house_close(house);
    arena_free(arena);
    return 0;
}

/* Set a member of "crl" in the authority's document. */
static void set_crl(const char *key, json_t *value)
{
    struct diag diag = {0};
    json_t *doc;
    struct store_read q = {.kind = READ_RESOURCE,
                           .tenant = TENANT_DEFAULT,
                           .arena = arena,
                           .name = "Authority",
                           .name2 = "issuing-ca"};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    CHECK_OK(json_parse(&doc, q.resources[0].json, 1 << 20, &diag), diag);
    json_object_set_new(json_object_get(doc, "crl"), key, value);
    CHECK_OK(house_resource_put(house, TENANT_DEFAULT, "Authority", doc, -1, "tester", NULL, &diag), diag);
    json_decref(doc);
    look_again();
}

static bool publish(enum crl_when when)
{
    bool published = false;
    struct diag diag = {0};
    CHECK_OK(crl_publish(house, ca, when, &published, &diag), diag);
    return published;
}

static struct crl list_of(const char *scope)
{
    struct crl_row row;
    struct crl c;
    assert_int_equal(crl_current_of(&row, arena, house, ca, scope), TM_OK);
    assert_int_equal(crl_parse(&c, row.der, NULL), TM_OK);
    return c;
}

static int reason_on(const char *scope, const struct issue_request *r)
{
    struct crl c = list_of(scope);
    struct crl_iter it;
    struct crl_entry e;
    crl_iter_init(&it, &c, NULL);
    while (crl_next(&it, &e) == TM_OK)
        if (slice_eq(e.serial, SLICE_ARR(r->serial)))
            return e.reason;
    return -1;
}

static void revoke_it(const struct issue_request *r, int reason)
{
    struct diag diag = {0};
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, r->serial, reason, "tester", "", NULL, &diag), diag);
}

static void test_delta__what_changed_since(void **state)
{
    (void)state;
    struct diag diag = {0};
    set_crl("delta", json_string("1h"));
    struct issue_request *before = issue_leaf(arena, house, "delta-before.example.org"),
                         *held = issue_leaf(arena, house, "delta-held.example.org"),
                         *after = issue_leaf(arena, house, "delta-after.example.org"),
                         *good = issue_leaf(arena, house, "delta-good.example.org");
    revoke_it(before, CRL_SUPERSEDED);
    revoke_it(held, CRL_CERTIFICATE_HOLD);
    assert_true(publish(CRL_NOW));
    struct crl full = list_of("full"), delta = list_of("delta");
    assert_non_null(exts_find(&full.exts, OID_EXT_FRESHEST_CRL));
    assert_true(exts_find(&delta.exts, OID_EXT_DELTA_CRL)->critical);
    assert_int_equal(delta.entries.n, 0);
    assert_true(slice_cmp(crl_number(&delta), crl_number(&full)) > 0);

    revoke_it(after, CRL_KEY_COMPROMISE);
    CHECK_OK(issue_unrevoke(house, TENANT_DEFAULT, held->serial, "tester", &diag), diag);
    assert_true(publish(CRL_WHEN_CHANGED));
    assert_false(publish(CRL_WHEN_CHANGED));
    struct crl full2 = list_of("full");
    assert_true(slice_eq(crl_number(&full), crl_number(&full2))); /* only the delta was made */
    assert_int_equal(reason_on("delta", after), CRL_KEY_COMPROMISE);
    assert_int_equal(reason_on("delta", held), CRL_REMOVE_FROM_CRL);
    assert_int_equal(reason_on("delta", before), -1); /* the complete one has it */
    assert_int_equal(reason_on("full", after), -1);

    delta = list_of("delta");
    write_pem("root.pem", "CERTIFICATE", authority_of(catalog, "root")->der);
    write_pem("ca.pem", "CERTIFICATE", ca->der);
    write_pem("full.crl", "X509 CRL", full.der);
    write_pem("delta.crl", "X509 CRL", delta.der);
    const struct issue_request *all[] = {before, held, after, good};
    for (size_t i = 0; have_tool("openssl") && i < 4; i++) {
        write_pem("leaf.pem", "CERTIFICATE", all[i]->cert);
        int with =
            run("cat full.crl delta.crl >both.crl; openssl verify -crl_check -extended_crl -use_deltas "
                "-CRLfile both.crl -CAfile root.pem -untrusted ca.pem leaf.pem");
        int without =
            run("openssl verify -crl_check -CRLfile full.crl -CAfile root.pem -untrusted ca.pem leaf.pem");
        assert_int_equal(with != 0, i == 0 || i == 2);
        assert_int_equal(without != 0, i == 0 || i == 1);
    }
    /* The next complete one takes all of it, and the delta begins anew. */
    clock_fix(clock_now() + ca->crl_every);
    assert_true(publish(CRL_WHEN_DUE));
    assert_int_equal(reason_on("full", after), CRL_KEY_COMPROMISE);
    assert_int_equal(reason_on("full", held), -1);
    delta = list_of("delta");
    full2 = list_of("full");
    assert_int_equal(delta.entries.n, 0);
    assert_true(slice_cmp(crl_number(&delta), crl_number(&full2)) > 0);
}

/* The address in a certificate, in the arena. */
static const char *cdp_of(const struct issue_request *r)
{
    struct cert c;
    struct slice uri;
    size_t n;
    assert_int_equal(cert_parse(&c, r->cert, NULL), TM_OK);
    assert_int_equal(ext_decode_cdp(&uri, 1, &n, exts_find(&c.exts, OID_EXT_CDP)->value, NULL), TM_OK);
    return arena_printf(arena, "%.*s", (int)uri.n, (const char *)uri.p);
}

static const char *scope_in(const char *url)
{
    const char *file = strrchr(url, '/') + 1;
    return arena_printf(arena, "%.*s", (int)(strlen(file) - 4), file);
}

static void test_shards__the_one_that_a_certificate_names(void **state)
{
    (void)state;
    struct diag diag = {0};
    int64_t now = clock_now();
    set_crl("delta", json_string("0s"));
    struct issue_request *old = issue_leaf(arena, house, "shard-old.example.org");
    assert_string_equal(scope_in(cdp_of(old)), "full");
    set_crl("shards", json_integer(4));
    CHECK_OK(crl_shards_follow(house, &diag), diag);
    CHECK_OK(crl_shards_follow(house, &diag), diag); /* no second time */
    look_again();
    assert_int_equal(ca->n_shards, 1);
    struct issue_request *v[8];
    for (int i = 0; i < 8; i++) {
        clock_fix(now + 120 + i);
        v[i] = issue_leaf(arena, house, "shard.example.org");
    }
    const char *mine = scope_in(cdp_of(v[0])), *other = scope_in(cdp_of(v[1]));
    assert_int_equal(strncmp(mine, "4-", 2), 0);
    assert_string_not_equal(mine, other);
    assert_string_equal(mine, scope_in(cdp_of(v[4])));
    revoke_it(v[0], CRL_KEY_COMPROMISE);
    revoke_it(old, CRL_SUPERSEDED);
    assert_true(publish(CRL_WHEN_CHANGED));
    assert_int_equal(reason_on(mine, v[0]), CRL_KEY_COMPROMISE);
    assert_int_equal(reason_on(mine, old), -1);
    assert_int_equal(reason_on(other, v[0]), -1);
    assert_int_equal(reason_on("full", v[0]), CRL_KEY_COMPROMISE);
    assert_int_equal(reason_on("full", old), CRL_SUPERSEDED);

    /* Eight from now on: who names one of the four is found there still. */
    set_crl("shards", json_integer(8));
    CHECK_OK(crl_shards_follow(house, &diag), diag);
    look_again();
    revoke_it(v[4], CRL_SUPERSEDED);
    assert_true(publish(CRL_WHEN_CHANGED));
    assert_int_equal(reason_on(mine, v[4]), CRL_SUPERSEDED);
    clock_fix(now + 600);
    assert_int_equal(strncmp(scope_in(cdp_of(issue_leaf(arena, house, "eight.example.org"))), "8-", 2), 0);

    /* The critical name inside is the one in the certificate: openssl takes the shard for its own certificates only. */
    struct crl shard = list_of(mine), wrong = list_of(other);
    assert_true(exts_find(&shard.exts, OID_EXT_IDP)->critical);
    write_pem("root.pem", "CERTIFICATE", authority_of(catalog, "root")->der);
    write_pem("ca.pem", "CERTIFICATE", ca->der);
    write_pem("shard.crl", "X509 CRL", shard.der);
    write_pem("wrong.crl", "X509 CRL", wrong.der);
    write_pem("bad.pem", "CERTIFICATE", v[0]->cert);
    write_pem("good.pem", "CERTIFICATE", v[1]->cert);
    if (have_tool("openssl")) {
        RUN_OK(
            "openssl verify -no_check_time -crl_check -extended_crl -CRLfile wrong.crl -CAfile root.pem -untrusted ca.pem good.pem");
        assert_int_not_equal(
            run("openssl verify -no_check_time -crl_check -extended_crl -CRLfile shard.crl -CAfile root.pem -untrusted ca.pem bad.pem"),
            0);
        assert_int_not_equal(
            run("openssl verify -no_check_time -crl_check -extended_crl -CRLfile shard.crl -CAfile root.pem -untrusted ca.pem good.pem"),
            0);
    }
}

static void test_crl_scope_name_valid(void **state)
{
    (void)state;
    static const char *const good[] = {"full",
                                       "delta",
                                       "indirect",
                                       "16-0",
                                       "16-15",
                                       "128-127",
                                       "1-0",
                                       "profile-web",
                                       "profile-web-1y.delta",
                                       "profile-web.16-3"},
                             *const bad[] = {"",
                                             "16",
                                             "16-16",
                                             "16-",
                                             "-1",
                                             "016-3",
                                             "16-03",
                                             "129-3",
                                             "1-0x",
                                             "Full",
                                             "+1-0",
                                             "profile-",
                                             "profile-Web",
                                             "profile-web.",
                                             "profile-web.1-0",
                                             "profile-web.full",
                                             "profile-web.2-2",
                                             "profile-.delta",
                                             "profile-a/b",
                                             "web"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!crl_scope_name_valid(good[i]))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (crl_scope_name_valid(bad[i]))
            fail_msg("%s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crl_scope_name_valid),
        cmocka_unit_test_setup_teardown(test_delta__what_changed_since, begin, end),
        cmocka_unit_test_setup_teardown(test_shards__the_one_that_a_certificate_names, begin, end),
    };
    return cmocka_run_group_tests(tests, home_setup, home_teardown);
}
