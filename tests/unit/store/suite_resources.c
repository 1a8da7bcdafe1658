#include "suite.h"
#include <string.h>

static struct effect resource(const char *kind, const char *name, const char *json, int64_t expected)
{
    struct effect e = {.kind = EFFECT_RESOURCE_PUT, .tenant = 1, .expected_version = expected};
    e.u.resource = (struct resource_row){
        .kind = kind, .name = name, .json = slice_str(json), .updated_at = 9, .updated_by = "admin"};
    return e;
}

static void test_resource_put__versions(void **state)
{
    struct suite *s = *state;
    struct effect e = resource("Profile", "tls", "{\"v\":1}", 0);
    assert_ok(commit1(s, &e));
    assert_int_equal(e.u.resource.version, 1);
    e = resource("Profile", "tls", "{\"v\":2}", 0);
    assert_err(TM_ECONFLICT, commit1(s, &e));
    e = resource("Profile", "tls", "{\"v\":2}", 2);
    assert_err(TM_ECONFLICT, commit1(s, &e));
    e = resource("Profile", "tls", "{\"v\":2}", 1);
    assert_ok(commit1(s, &e));
    assert_int_equal(e.u.resource.version, 2);
    e = resource("Profile", "tls", "{\"v\":3}", -1);
    assert_ok(commit1(s, &e));
    e = resource("Profile", "none", "{}", 1);
    assert_err(TM_ECONFLICT, commit1(s, &e));

    struct store_read r = {.kind = READ_RESOURCE, .tenant = 1, .name = "Profile", .name2 = "tls"};
    assert_ok(look(s, &r));
    assert_int_equal(r.resources[0].version, 3);
    assert_true(slice_eq_str(r.resources[0].json, "{\"v\":3}"));
    assert_string_equal(r.resources[0].updated_by, "admin");
    r.version = 2;
    assert_ok(look(s, &r));
    assert_true(slice_eq_str(r.resources[0].json, "{\"v\":2}"));
    struct store_read h = {.kind = READ_RESOURCE_HISTORY, .tenant = 1, .name = "Profile", .name2 = "tls"};
    assert_ok(look(s, &h));
    assert_int_equal(h.n, 3);
    assert_int_equal(h.resources[2].version, 3);
}

static void test_resource_delete__and_again(void **state)
{
    struct suite *s = *state;
    struct effect e = resource("Profile", "tls", "{}", -1);
    e.kind = EFFECT_RESOURCE_DELETE;
    assert_err(TM_ENOTFOUND, commit1(s, &e));
    e.kind = EFFECT_RESOURCE_PUT;
    assert_ok(commit1(s, &e));
    e.kind = EFFECT_RESOURCE_DELETE;
    assert_ok(commit1(s, &e));
    struct store_read r = {.kind = READ_RESOURCE, .tenant = 1, .name = "Profile", .name2 = "tls"};
    assert_err(TM_ENOTFOUND, look(s, &r));
    struct store_read list = {.kind = READ_RESOURCES, .tenant = 1};
    assert_ok(look(s, &list));
    assert_int_equal(list.n, 0);
    /* What is deleted does not exist; its versions go on. */
    e = resource("Profile", "tls", "{}", 0);
    assert_ok(commit1(s, &e));
    assert_int_equal(e.u.resource.version, 3);
}

static void test_resource_put__twice_in_one_transaction(void **state)
{
    struct suite *s = *state;
    struct effect e[2] = {resource("Profile", "tls", "{}", 0), resource("Profile", "tls", "{}", 1)};
    assert_ok(commit(s, e, 2));
    assert_int_equal(e[1].u.resource.version, 2);
    struct effect f[2] = {resource("Profile", "tls", "{}", 2), resource("Profile", "tls", "{}", 2)};
    assert_err(TM_ECONFLICT, commit(s, f, 2));
    struct store_read r = {.kind = READ_RESOURCE, .tenant = 1, .name = "Profile", .name2 = "tls"};
    assert_ok(look(s, &r));
    assert_int_equal(r.resources[0].version, 2);
}

static void test_read_resources__pages(void **state)
{
    struct suite *s = *state;
    static const char *const kinds[] = {"Authority", "Endpoint", "Profile"};
    for (unsigned i = 0; i < 30; i++) {
        struct effect e = resource(kinds[i % 3], arena_printf(s->arena, "n%02u", i), "{}", 0);
        assert_ok(commit1(s, &e));
    }
    struct store_read r = {.kind = READ_RESOURCES, .tenant = 1, .limit = 7};
    unsigned n = 0;
    bool more = true;
    while (more) {
        assert_ok(look(s, &r));
        n += (unsigned)r.n;
        more = r.more;
        r.after = r.page_next;
    }
    assert_int_equal(n, 30);
    r = (struct store_read){.kind = READ_RESOURCES, .tenant = 1, .name = "Endpoint", .limit = 4};
    for (n = 0, more = true; more;) {
        assert_ok(look(s, &r));
        for (size_t i = 0; i < r.n; i++, n++)
            assert_string_equal(r.resources[i].name, arena_printf(s->arena, "n%02u", 3 * n + 1));
        more = r.more;
        r.after = r.page_next;
    }
    assert_int_equal(n, 10);
}

static struct effect continuation(const char *id, const char *key, const char *status, int64_t expected)
{
    struct effect e = {.kind = EFFECT_CONTINUATION_PUT, .tenant = 1, .expected_version = expected};
    e.u.continuation = (struct continuation_row){.id = id,
                                                 .kind = "enrollment",
                                                 .key = key,
                                                 .state = SLICE_LIT("{}"),
                                                 .status = status,
                                                 .created_at = SUITE_NOW,
                                                 .expires_at = SUITE_NOW + 100};
    return e;
}

static void test_continuation__life(void **state)
{
    struct suite *s = *state;
    struct effect e = continuation("c1", "k1", "pending", 0);
    assert_ok(commit1(s, &e));
    e = continuation("c2", "k2", "pending", 0);
    assert_ok(commit1(s, &e));
    struct store_read r = {.kind = READ_CONTINUATIONS, .tenant = 1, .text = "pending"};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 2);
    e = continuation("c1", "k1", "approved", 1);
    assert_ok(commit1(s, &e));
    assert_int_equal(e.u.continuation.version, 2);
    e = continuation("c1", "k1", "rejected", 1);
    assert_err(TM_ECONFLICT, commit1(s, &e)); /* somebody else was first */
    r = (struct store_read){.kind = READ_CONTINUATION, .tenant = 1, .name2 = "k1"};
    assert_ok(look(s, &r));
    assert_string_equal(r.continuations[0].id, "c1");
    assert_string_equal(r.continuations[0].status, "approved");
    r = (struct store_read){.kind = READ_CONTINUATION, .tenant = 1, .name = "c2"};
    assert_ok(look(s, &r));
    assert_int_equal(r.continuations[0].expires_at, SUITE_NOW + 100);
    r.name = "c3";
    assert_err(TM_ENOTFOUND, look(s, &r));
    r = (struct store_read){.kind = READ_CONTINUATIONS, .tenant = 1};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 2);
}

const struct CMUnitTest suite_resources[] = {
    SUITE_TEST(test_resource_put__versions),
    SUITE_TEST(test_resource_delete__and_again),
    SUITE_TEST(test_resource_put__twice_in_one_transaction),
    SUITE_TEST(test_read_resources__pages),
    SUITE_TEST(test_continuation__life),
};
SUITE_END(suite_resources);
