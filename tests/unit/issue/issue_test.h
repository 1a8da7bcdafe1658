/* A house to issue from: requests of keys of one's own, as a door makes them once the caller is known. */
#pragma once
#include "keys/pubkey.h"
#include "unit/authority/home_test.h"

static struct house *house;

/* The house of home_setup(), opened offline for a group of tests. */
[[maybe_unused]] static int issue_setup(void **state)
{
    if (home_setup(state) != 0)
        return -1;
    house = open_home();
    return 0;
}

[[maybe_unused]] static int issue_teardown(void **state)
{
    house_close(house);
    return home_teardown(state);
}

/* A request for CN=<cn>, DNS:<cn> with this key, whose possession is proven. Not run. */
[[maybe_unused]] static struct issue_request *request_for(struct arena *a, struct slice spki,
                                                          const char *profile, const char *cn)
{
    struct diag diag = {0};
    char *subject = arena_printf(a, "CN=%s", cn), *dns = arena_printf(a, "DNS:%s", cn);
    assert_true(subject && dns);
    struct issue_request *r = arena_calloc(a, 1, sizeof *r);
    struct general_name *san = arena_calloc(a, 1, sizeof *san);
    CHECK_OK(arena_copy(&spki, a, spki), diag);
    r->house = house;
    r->arena = a;
    r->tenant = TENANT_DEFAULT;
    r->e = (struct enrollment){
        .request_id = "test",
        .tenant = "default",
        .endpoint = "test",
        .door = DOOR_REST,
        .profile = profile,
        .pop_verified = true,
        .caller = {.kind = CALLER_PRINCIPAL, .id = "tester", .roles = "admin", .peer = ""}};
    CHECK_OK(spki_parse(&r->e.spki, spki, &diag), diag);
    CHECK_OK(pubkey_info(&r->e.key, &r->e.spki, &diag), diag);
    CHECK_OK(name_from_text(&r->e.subject, a, slice_str(subject), &diag), diag);
    CHECK_OK(general_name_from_text(san, a, slice_str(dns), &diag), diag);
    r->e.san = (struct general_names){.v = san, .n = 1};
    return r;
}

/* The same, run. */
[[maybe_unused]] static struct issue_request *ask(struct arena *a, struct slice spki, const char *profile,
                                                  const char *cn)
{
    struct issue_request *r = request_for(a, spki, profile, cn);
    issue_run(r);
    return r;
}

[[maybe_unused]] static void assert_issued(const struct issue_request *r)
{
    if (r->outcome != ISSUE_ISSUED)
        fail_msg("not issued: %d %s: %s %s", r->outcome, tm_err_name(r->err), r->diag.message,
                 r->decision.reason ? r->decision.reason : "");
}

[[maybe_unused]] static void assert_denied(const struct issue_request *r, const char *rule)
{
    assert_int_equal(r->outcome, ISSUE_DENIED);
    assert_string_equal(r->decision.rule, rule);
}

/* A resource from its JSON text. */
[[maybe_unused]] static void put(const char *kind, const char *json)
{
    struct diag diag = {0};
    json_t *doc = json_loads(json, 0, NULL);
    assert_non_null(doc);
    CHECK_OK(house_resource_put(house, TENANT_DEFAULT, kind, doc, -1, "tester", NULL, &diag), diag);
    json_decref(doc);
}

[[maybe_unused]] static struct key *new_key(enum key_alg alg, unsigned bits)
{
    struct key *k = NULL;
    struct diag diag = {0};
    CHECK_OK(key_generate(&k, alg, bits, &diag), diag);
    return k;
}

/* How many events of a type there are, about anything. */
[[maybe_unused]] static size_t events_of(struct arena *a, tenant_id tenant, const char *type)
{
    struct store_read q = {.kind = READ_EVENTS, .tenant = tenant, .arena = a, .name = type, .limit = 10000};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    return q.n;
}
