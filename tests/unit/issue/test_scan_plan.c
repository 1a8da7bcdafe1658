#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "issue/scan_plan.h"
#include "issue/scan_settings.h"
#include <cmocka.h>
#include <string.h>

static struct arena *a;
static json_t *doc;

static int setup(void **state)
{
    (void)state;
    a = arena_new(0);
    doc = NULL;
    return a ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(doc);
    arena_free(a);
    return 0;
}

/* The plan of a request in JSON. */
static tm_err plan(struct scan_plan *ret, const char *text, struct diag *diag)
{
    struct scan_request q = {0};
    json_decref(doc);
    doc = json_loads(text, 0, NULL);
    assert_non_null(doc);
    *diag = (struct diag){0};
    TM_TRY(json_bind(&q, scan_request_schema, doc, "", a, diag));
    return scan_plan_make(ret, a, &q.s, diag);
}

static void spot_is(const struct scan_plan *p, uint64_t number, const char *address, unsigned port,
                    int protocol, const char *name)
{
    char text[ADDRESS_TEXT_MAX];
    struct scan_spot s = scan_plan_at(p, number);
    if (address) {
        address_format(text, &s.address);
        assert_string_equal(text, address);
    }
    assert_int_equal(s.port.port, port);
    assert_int_equal(s.port.protocol, protocol);
    if (name)
        assert_string_equal(s.name, name);
    else
        assert_null(s.name);
}

static void test_scan_plan_make__forms(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        uint64_t total;
        const char *last;
        unsigned port;
        int protocol;
        const char *name;
    } cases[] = {
        {"10.0.0.1", 1, "10.0.0.1", 443, SCAN_TLS, NULL},
        {"10.0.0.0/24", 256, "10.0.0.255", 443, SCAN_TLS, NULL},
        {"10.0.0.0/24:25", 256, "10.0.0.255", 25, SCAN_SMTP, NULL},
        {"10.0.0.250-10.0.1.5", 12, "10.0.1.5", 443, SCAN_TLS, NULL},
        {"10.0.0.9-12:8443", 4, "10.0.0.12", 8443, SCAN_TLS, NULL},
        {"fd00::/120", 256, "fd00::ff", 443, SCAN_TLS, NULL},
        {"fd00::1", 1, "fd00::1", 443, SCAN_TLS, NULL},
        {"[fd00::1]:636", 1, "fd00::1", 636, SCAN_TLS, NULL},
        {"smtp://[fd00::1]", 1, "fd00::1", 25, SCAN_SMTP, NULL},
        {"ldap://10.0.0.1:3890/", 1, "10.0.0.1", 3890, SCAN_LDAP, NULL},
        {"dtls://10.0.0.1", 1, "10.0.0.1", 5684, SCAN_DTLS, NULL},
        {"tls://10.0.0.1:25", 1, "10.0.0.1", 25, SCAN_TLS, NULL},
        {"www.example.org", SCAN_HOST_ADDRESSES, NULL, 443, SCAN_TLS, "www.example.org"},
        {"https://www.example.org/", SCAN_HOST_ADDRESSES, NULL, 443, SCAN_TLS, "www.example.org"},
        {"postgres://db", SCAN_HOST_ADDRESSES, NULL, 5432, SCAN_POSTGRES, "db"},
        {"www.example.org:8443-8444", 2 * SCAN_HOST_ADDRESSES, NULL, 8444, SCAN_TLS, "www.example.org"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scan_plan p;
        struct diag diag;
        const char *text = arena_printf(a, "{\"targets\":[\"%s\"]}", cases[i].target);
        assert_int_equal(plan(&p, text, &diag), TM_OK);
        assert_int_equal(p.total, cases[i].total);
        spot_is(&p, p.total - 1, cases[i].last, cases[i].port, cases[i].protocol, cases[i].name);
    }
}

static void test_scan_plan_make__many(void **state)
{
    (void)state;
    struct scan_plan p;
    struct diag diag;
    assert_int_equal(
        plan(&p,
             "{\"targets\":[\"10.0.0.0/30\",\"10.1.0.1:99\"],\"ports\":[\"443\",\"smtp:2525\",\"110\"],"
             "\"names\":[\"a.example\",\"b.example\"]}",
             &diag),
        TM_OK);
    assert_int_equal(p.total, 4 * 3 * 3 + 3);
    spot_is(&p, 0, "10.0.0.0", 443, SCAN_TLS, NULL);
    spot_is(&p, 1, "10.0.0.0", 2525, SCAN_SMTP, NULL);
    spot_is(&p, 2, "10.0.0.0", 110, SCAN_POP3, NULL);
    spot_is(&p, 3, "10.0.0.0", 443, SCAN_TLS, "a.example");
    spot_is(&p, 9, "10.0.0.1", 443, SCAN_TLS, NULL);
    spot_is(&p, 36, "10.1.0.1", 99, SCAN_TLS, NULL);
    spot_is(&p, 38, "10.1.0.1", 99, SCAN_TLS, "b.example");
    assert_int_equal(
        plan(&p, "{\"targets\":[\"10.0.0.1\"],\"ports\":[\"443\",\"9000-9001\"],\"starttls\":\"xmpp\"}",
             &diag),
        TM_OK);
    spot_is(&p, 2, "10.0.0.1", 9001, SCAN_XMPP, NULL);
}

static void test_scan_plan_make__refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tm_err e;
        const char *field;
    } cases[] = {
        {"{}", TM_EINVAL, "/targets"},
        {"{\"targets\":[\"8.8.8.8\"]}", TM_EFORBIDDEN, "/targets/0"},
        {"{\"targets\":[\"10.0.0.1\",\"172.0.0.0/8\"]}", TM_EFORBIDDEN, "/targets/1"},
        {"{\"targets\":[\"169.254.169.254\"]}", TM_EFORBIDDEN, "/targets/0"},
        {"{\"targets\":[\"::ffff:10.0.0.1\"]}", TM_EFORBIDDEN, "/targets/0"},
        {"{\"targets\":[\"224.0.0.1\"],\"allow\":[\"0.0.0.0/0\"]}", TM_EINVAL, "/targets/0"},
        {"{\"targets\":[\"0.0.0.0/0\"],\"allow\":[\"0.0.0.0/0\"]}", TM_EINVAL, "/targets/0"},
        {"{\"targets\":[\"fd00::/64\"]}", TM_ETOOBIG, "/targets/0"},
        {"{\"targets\":[\"10.0.0.0/8\"],\"ports\":[\"1-1000\"]}", TM_ETOOBIG, "/targets/0"},
        {"{\"targets\":[\"10.0.0.5/24\"]}", TM_EINVAL, "/targets/0"},
        {"{\"targets\":[\"10.0.0.9-10.0.0.1\"]}", TM_EINVAL, "/targets/0"},
        {"{\"targets\":[\"10.0.0.9-300\"]}", TM_EINVAL, "/targets/0"},
        {"{\"targets\":[\"gopher://10.0.0.1\"]}", TM_EINVAL, "/targets/0"},
        {"{\"targets\":[\"[fd00::1\"]}", TM_EINVAL, "/targets/0"},
        {"{\"targets\":[\"10.0.0.1:99999\"]}", TM_EINVAL, "/targets/0"},
        {"{\"targets\":[\"10.0.0.1:\"]}", TM_OK, NULL},
        {"{\"targets\":[\"a b\"]}", TM_EINVAL, "/targets/0"},
        {"{\"targets\":[\"-x.example\"]}", TM_EINVAL, "/targets/0"},
        {"{\"targets\":[\"10.0.0.1\"],\"ports\":[\"0\"]}", TM_EINVAL, "/ports/0"},
        {"{\"targets\":[\"10.0.0.1\"],\"ports\":[\"ssh:22\"]}", TM_EINVAL, "/ports/0"},
        {"{\"targets\":[\"10.0.0.1\"],\"starttls\":\"ssh\"}", TM_EINVAL, "/starttls"},
        {"{\"targets\":[\"10.0.0.1\"],\"names\":[\"*.x\"]}", TM_EINVAL, "/names/0"},
        {"{\"targets\":[\"10.0.0.1\"],\"exclude\":[\"x\"]}", TM_EINVAL, "/exclude/0"},
        {"{\"targets\":[\"10.0.0.1\"],\"allow\":[\"10\"]}", TM_EINVAL, "/allow/0"},
        {"{\"targets\":[\"10.0.0.1\"],\"rate\":0}", TM_EINVAL, "/rate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scan_plan p;
        struct diag diag;
        tm_err e = plan(&p, cases[i].text, &diag);
        if (e != cases[i].e)
            print_error("%s\n", cases[i].text);
        assert_int_equal(e, cases[i].e);
        if (cases[i].field)
            assert_string_equal(diag.field, cases[i].field);
    }
}

static bool allows(const struct scan_plan *p, const char *text)
{
    struct address_range r;
    assert_int_equal(address_range_parse(&r, text, NULL), TM_OK);
    return scan_plan_allows(p, &r.base);
}

static void test_scan_plan_allows(void **state)
{
    (void)state;
    struct scan_plan p;
    struct diag diag;
    assert_int_equal(plan(&p,
                          "{\"targets\":[\"10.0.0.0/24\"],\"exclude\":[\"10.0.0.7\",\"10.0.0.16/28\"],"
                          "\"allow\":[\"203.0.113.0/24\"]}",
                          &diag),
                     TM_OK);
    assert_true(allows(&p, "10.0.0.6"));
    assert_false(allows(&p, "10.0.0.7"));
    assert_false(allows(&p, "10.0.0.31"));
    assert_true(allows(&p, "10.0.0.32"));
    assert_true(allows(&p, "203.0.113.200"));
    assert_false(allows(&p, "203.0.114.1"));
    assert_true(allows(&p, "127.9.9.9"));
    assert_true(allows(&p, "::1"));
    assert_false(allows(&p, "fe80::1"));
    assert_false(allows(&p, "2001:db8::1"));
}

static void test_scan_check(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tm_err e;
    } cases[] = {
        {"{\"kind\":\"Scan\",\"name\":\"plant\",\"targets\":[\"10.0.0.0/24\"],\"every\":\"1d\"}", TM_OK},
        {"{\"kind\":\"Scan\",\"name\":\"Plant\",\"targets\":[\"10.0.0.0/24\"]}", TM_EINVAL},
        {"{\"kind\":\"Scan\",\"name\":\"plant\",\"targets\":[\"10.0.0.0/24\"],\"every\":\"1m\"}", TM_EINVAL},
        {"{\"kind\":\"Scan\",\"name\":\"plant\"}", TM_EINVAL},
        {"{\"kind\":\"Scan\",\"name\":\"plant\",\"targets\":[\"10.0.0.0/24\"],\"alpn\":[\"\"]}", TM_EINVAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct diag diag = {0};
        json_decref(doc);
        doc = json_loads(cases[i].text, 0, NULL);
        assert_int_equal(scan_check(a, doc, &diag), cases[i].e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scan_plan_make__forms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scan_plan_make__many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scan_plan_make__refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scan_plan_allows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scan_check, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
