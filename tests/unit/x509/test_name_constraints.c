#include "unit/x509/sample.h"
#include "x509/ext.h"

static struct general_name base(struct arena *a, enum general_name_type type, const char *text)
{
    struct general_name gn = {.type = type, .value = slice_str(text)};
    if (type == GN_DIRECTORY)
        assert_int_equal(general_name_from_text(&gn, a, slice_str(arena_printf(a, "dirName:%s", text)), NULL),
                         TM_OK);
    return gn;
}

static bool allowed(struct arena *a, const struct name_constraints *nc, const char *name)
{
    struct general_name gn;
    struct diag d = {0};
    assert_int_equal(general_name_from_text(&gn, a, slice_str(name), NULL), TM_OK);
    tm_err e = name_constraints_check(nc, &gn, &d);
    if (e != TM_OK) {
        assert_int_equal(e, TM_EDENIED);
        assert_string_equal(d.rule, "RFC 5280 4.2.1.10");
    }
    return e == TM_OK;
}

static const struct {
    enum general_name_type type;
    const char *base, *name;
    bool within;
} table[] = {
    {GN_DNS, "example.org", "example.org", true},
    {GN_DNS, "example.org", "a.b.EXAMPLE.org", true},
    {GN_DNS, "example.org", "badexample.org", false},
    {GN_DNS, "example.org", "org", false},
    {GN_DNS, "", "anything", true},
    {GN_DNS, ".example.org", "example.org", false},
    {GN_DNS, ".example.org", "a.example.org", true},
    {GN_DNS, "example.org", "*.example.org", true},
    {GN_EMAIL, "example.org", "email:a@example.org", true},
    {GN_EMAIL, "example.org", "email:a@host.example.org", false},
    {GN_EMAIL, ".example.org", "email:a@host.example.org", true},
    {GN_EMAIL, ".example.org", "email:a@example.org", false},
    {GN_EMAIL, "a@example.org", "email:a@EXAMPLE.org", true},
    {GN_EMAIL, "a@example.org", "email:A@example.org", false},
    {GN_EMAIL, "", "email:a@b", true},
    {GN_URI, "example.org", "URI:https://example.org/a", true},
    {GN_URI, "example.org", "URI:https://user@example.org:8443/a?b#c", true},
    {GN_URI, "example.org", "URI:https://a.example.org/", false},
    {GN_URI, ".example.org", "URI:https://a.example.org", true},
    {GN_URI, "example.org", "URI:https://evil.example/@example.org", false},
    {GN_DIRECTORY, "O=Ex,C=DE", "dirName:CN=a,O=EX,C=DE", true},
    {GN_DIRECTORY, "O=Ex,C=DE", "dirName:CN=a,C=DE", false},
};

static void test_name_constraints_check__permitted_and_excluded(void **state)
{
    struct arena *a = *state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct general_name gn = base(a, table[i].type, table[i].base);
        struct name_constraints permitted = {.permitted = {&gn, 1}}, excluded = {.excluded = {&gn, 1}};
        if (allowed(a, &permitted, table[i].name) != table[i].within)
            fail_msg("permitted %s: %s", table[i].base, table[i].name);
        if (allowed(a, &excluded, table[i].name) == table[i].within)
            fail_msg("excluded %s: %s", table[i].base, table[i].name);
    }
}

static void test_name_constraints_check__ip_by_mask(void **state)
{
    struct arena *a = *state;
    struct general_name v4 = {.type = GN_IP, .value = SLICE_LIT("\x0a\x01\0\0\xff\xff\0\0")};
    struct name_constraints nc = {.permitted = {&v4, 1}};
    assert_true(allowed(a, &nc, "IP:10.1.2.3"));
    assert_false(allowed(a, &nc, "IP:10.2.2.3"));
    assert_false(allowed(a, &nc, "IP:::1"));  /* the other family is limited too */
    assert_true(allowed(a, &nc, "DNS:free")); /* other forms are not */
}

static void test_name_constraints_check__several_subtrees(void **state)
{
    struct arena *a = *state;
    struct general_name p[] = {base(a, GN_DNS, "a.example"), base(a, GN_DNS, "b.example")},
                        x = base(a, GN_DNS, "secret.a.example");
    struct name_constraints nc = {.permitted = {p, 2}, .excluded = {&x, 1}};
    assert_true(allowed(a, &nc, "DNS:gw.a.example"));
    assert_true(allowed(a, &nc, "DNS:b.example"));
    assert_false(allowed(a, &nc, "DNS:c.example"));
    assert_false(allowed(a, &nc, "DNS:x.secret.a.example"));
    assert_false(allowed(a, &nc, "DNS:*.a.example")); /* would be secret.a.example too */
    assert_true(allowed(a, &nc, "DNS:*.b.example"));
}

static void test_name_constraints_check__what_cannot_be_judged_is_denied(void **state)
{
    struct arena *a = *state;
    struct general_name upn, uri = base(a, GN_URI, "example.org");
    assert_int_equal(general_name_from_text(&upn, a, SLICE_LIT("UPN:x"), NULL), TM_OK);
    struct name_constraints permitted = {.permitted = {&upn, 1}}, excluded = {.excluded = {&upn, 1}},
                            hosts = {.excluded = {&uri, 1}};
    assert_false(allowed(a, &permitted, "UPN:x"));
    assert_false(allowed(a, &excluded, "UPN:y"));
    assert_false(allowed(a, &hosts, "URI:urn:dev:1"));
    assert_false(allowed(a, &hosts, "URI:https://[::1]/"));
}

static void test_ext_name_constraints__there_and_back(void **state)
{
    struct arena *a = *state;
    struct general_name p[] = {base(a, GN_DNS, ""), base(a, GN_EMAIL, ".example"),
                               base(a, GN_DIRECTORY, "O=x")},
                        x[] = {{.type = GN_IP, .value = SLICE_LIT("\0\0\0\0\0\0\0\0")},
                               base(a, GN_URI, ".bad")};
    struct name_constraints nc = {.permitted = {p, 3}, .excluded = {x, 2}}, back;
    struct slice value;
    assert_int_equal(ext_encode_name_constraints(&value, a, &nc), TM_OK);
    assert_int_equal(ext_decode_name_constraints(&back, a, value, NULL), TM_OK);
    assert_int_equal(back.permitted.n, 3);
    assert_int_equal(back.excluded.n, 2);
    for (size_t i = 0; i < 3; i++)
        assert_true(general_name_eq(&p[i], &back.permitted.v[i]));
    nc = (struct name_constraints){0};
    assert_int_equal(ext_encode_name_constraints(&value, a, &nc), TM_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(test_name_constraints_check__permitted_and_excluded),
        SAMPLE_TEST(test_name_constraints_check__ip_by_mask),
        SAMPLE_TEST(test_name_constraints_check__several_subtrees),
        SAMPLE_TEST(test_name_constraints_check__what_cannot_be_judged_is_denied),
        SAMPLE_TEST(test_ext_name_constraints__there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
