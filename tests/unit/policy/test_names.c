#include "policy/names.h"
#include "policy_test.h"

static void test_dns_name_check__accepted(void **state)
{
    static const char *const good[] = {
        "example.org",           "a.b.c.d.example.org", "localhost",       "xn--bcher-kva.example",
        "XN--BCHER-KVA.example", "1.example.org",       "a-b.example.org", "*.example.org",
        "xn--e1afmkfd.xn--p1ai", "xn--fiqs8s",          "3com.com",        "xn--wgv71a119e.jp",
        "in-addr.arpa"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const char *why = dns_name_check(slice_str(good[i]), true);
        if (why)
            fail_msg("%s %s", good[i], why);
    }
}

static void test_dns_name_check__refused(void **state)
{
    static const char *const bad[] = {
        "",
        ".",
        "example.org.",
        ".example.org",
        "a..b",
        "a_b.org",
        "-a.org",
        "a-.org",
        "ab--c.org",
        "*.org",
        "*",
        "a.*.org",
        "*a.org",
        "f*.example.org",
        "*.*.org",
        "exa mple.org",
        "192.0.2.1",
        "example.123",
        "b\xc3\xbc"
        "cher.example",
        "a.org\n",
        "xn--.org",
        "xn---.org",
        "xn--a.org",
        "xn--99999999999.org",
        "xn--bcher.org",
        "xn--pple-43d.com",  /* Cyrillic a in apple */
        "xn--gogle-kye.com", /* an astral or foreign letter in google */
        "example.org:443",
        "https://example.org",
        "xn--bcher-kv!.example",
        "0123456789012345678901234567890123456789012345678901234567890123.org",
        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e.f.g.h.i.j."
        "k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t."
        "u.v.w.x.y.z.org"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!dns_name_check(slice_str(bad[i]), true))
            fail_msg("%s is taken", bad[i]);
    assert_non_null(dns_name_check(SLICE_LIT("a\0b.org"), true));
    assert_non_null(dns_name_check(SLICE_LIT("*.example.org"), false));
}

static void test_dns_name_under__boundaries(void **state)
{
    assert_true(dns_name_under(SLICE_LIT("example.org"), SLICE_LIT("example.org")));
    assert_true(dns_name_under(SLICE_LIT("a.EXAMPLE.org"), SLICE_LIT("example.ORG")));
    assert_true(dns_name_under(SLICE_LIT("*.example.org"), SLICE_LIT(".example.org")));
    assert_false(dns_name_under(SLICE_LIT("badexample.org"), SLICE_LIT("example.org")));
    assert_false(dns_name_under(SLICE_LIT("example.org.evil.com"), SLICE_LIT("example.org")));
    assert_false(dns_name_under(SLICE_LIT("org"), SLICE_LIT("example.org")));
    assert_false(dns_name_under(SLICE_LIT("example.org"), SLICE_LIT("")));
}

static void test_dns_name_is_internal__zones(void **state)
{
    assert_true(dns_name_is_internal(SLICE_LIT("printer")));
    assert_true(dns_name_is_internal(SLICE_LIT("a.LOCAL")));
    assert_true(dns_name_is_internal(SLICE_LIT("a.home.arpa")));
    assert_false(dns_name_is_internal(SLICE_LIT("a.arpa.org")));
    assert_false(dns_name_is_internal(SLICE_LIT("notlocal.org")));
}

static void test_uri_check__cases(void **state)
{
    static const char *const good[] = {"urn:x:y",
                                       "spiffe://td.example/ns/a",
                                       "https://example.org",
                                       "https://example.org/a/b?x=../y#z",
                                       "urn:dev:mac:0024befffe804ff1",
                                       "opc.tcp://host:4840/ua"};
    static const char *const bad[] = {"",
                                      "a",
                                      ":x",
                                      "1a:b",
                                      "urn:",
                                      "http:///x",
                                      "https://user@example.org/",
                                      "https://example.org:x@evil.com",
                                      "spiffe://td/a/../b",
                                      "spiffe://td/a/./b",
                                      "spiffe://td/a/..",
                                      "spiffe://td/%2e%2E/b",
                                      "https://exa mple",
                                      "https://a/%zz",
                                      "https://a/%2",
                                      "urn:\x7f",
                                      "urn:\xc3\xbc",
                                      "urn:<x>"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (uri_check(slice_str(good[i])))
            fail_msg("%s %s", good[i], uri_check(slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!uri_check(slice_str(bad[i])))
            fail_msg("%s is taken", bad[i]);
}

static void test_uri_has_prefix__boundaries(void **state)
{
    assert_true(uri_has_prefix(SLICE_LIT("spiffe://td/a"), SLICE_LIT("spiffe://td")));
    assert_true(uri_has_prefix(SLICE_LIT("spiffe://td/a"), SLICE_LIT("spiffe://td/")));
    assert_true(uri_has_prefix(SLICE_LIT("spiffe://td"), SLICE_LIT("spiffe://td")));
    assert_false(uri_has_prefix(SLICE_LIT("spiffe://td.evil/a"), SLICE_LIT("spiffe://td")));
    assert_false(uri_has_prefix(SLICE_LIT("spiffe://t"), SLICE_LIT("spiffe://td")));
    assert_true(uri_has_prefix(SLICE_LIT("urn:x"), SLICE_LIT("urn:")));
}

static void test_email_check__cases(void **state)
{
    assert_null(email_check(SLICE_LIT("a.b+c@example.org")));
    static const char *const bad[] = {
        "",         "a",          "@b.org",    "a@",          "a@@b.org",  "a@b@c.org", ".a@b.org",
        "a.@b.org", "a..b@c.org", "a b@c.org", "\"a\"@b.org", "a@b_c.org", "a@b.org."};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!email_check(slice_str(bad[i])))
            fail_msg("%s is taken", bad[i]);
    assert_true(slice_eq_str(email_domain(SLICE_LIT("a@b.org")), "b.org"));
}

static void test_hardware_names__forms(void **state)
{
    assert_null(hardware_module_name_check(SLICE_LIT("\x30\x07\x06\x02\x2a\x03\x04\x01"
                                                     "A")));
    assert_non_null(hardware_module_name_check(SLICE_LIT("\x30\x06\x06\x02\x2a\x03\x04\x00")));
    assert_non_null(hardware_module_name_check(SLICE_LIT("\x30\x04\x06\x02\x2a\x03")));
    assert_non_null(hardware_module_name_check(SLICE_LIT("\x05\x00")));
    assert_non_null(hardware_module_name_check((struct slice){0}));
    assert_null(permanent_identifier_check(SLICE_LIT("\x30\x03\x0c\x01"
                                                     "A")));
    assert_null(permanent_identifier_check(SLICE_LIT("\x30\x07\x0c\x01"
                                                     "A\x06\x02\x2a\x03")));
    assert_non_null(permanent_identifier_check(SLICE_LIT("\x30\x04\x06\x02\x2a\x03")));
    assert_non_null(permanent_identifier_check(SLICE_LIT("\x30\x05\x0c\x01"
                                                         "A\x05\x00")));
    assert_non_null(permanent_identifier_check(SLICE_LIT("\x30\x02\x0c\x00")));
    assert_non_null(permanent_identifier_check(SLICE_LIT("\x30\x03\x0c\x01\x07")));
}

static void test_text_check__cases(void **state)
{
    static const char *const good[] = {"a", "M\xc3\xbcller & S\xc3\xb6hne", "\xe6\x9d\xb1\xe4\xba\xac",
                                       "a b"};
    static const char *const bad[] = {"",
                                      " a",
                                      "a ",
                                      "a\tb",
                                      "a\nb",
                                      "a\x7f",
                                      "a\xc2\x85"
                                      "b",
                                      "a\xe2\x80\xae"
                                      "b",
                                      "a\xe2\x80\x8b"
                                      "b",
                                      "\xef\xbb\xbf"
                                      "a",
                                      "\xff",
                                      "\xc0\x80",
                                      "\xed\xa0\x80",
                                      "a\xc3"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_null(text_check(slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!text_check(slice_str(bad[i])))
            fail_msg("bad text %zu is taken", i);
    assert_non_null(text_check(SLICE_LIT("a\0b")));
    assert_int_equal(text_length(SLICE_LIT("M\xc3\xbcller")), 6);
}

static void test_glob_match__cases(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        {"*", "", true},
        {"*", "anything", true},
        {"a*c", "abbbc", true},
        {"a*c", "abbbd", false},
        {"?", "", false},
        {"?", "x", true},
        {"[a-c]x", "bx", true},
        {"[a-c]x", "dx", false},
        {"a*b*c", "a1b2b3c", true},
        {"*.example.org", "a.example.org", true},
        {"*.example.org", "example.org", false},
        {"", "", true},
        {"", "a", false},
        {"[-a]", "-", true},
        {"dev-[0-9][0-9]", "dev-42", true},
        {"dev-[0-9][0-9]", "dev-4", false},
        {"a**b", "ab", true},
        {"*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (glob_match(slice_str(cases[i].pattern), slice_str(cases[i].text)) != cases[i].match)
            fail_msg("%s on %s", cases[i].pattern, cases[i].text);
    assert_null(glob_check(SLICE_LIT("a[b-c]*?")));
    assert_non_null(glob_check(SLICE_LIT("a[")));
    assert_non_null(glob_check(SLICE_LIT("a]")));
    assert_non_null(glob_check(SLICE_LIT("[]")));
}

static void test_cidr__cases(void **state)
{
    struct cidr c;
    assert_true(cidr_parse(&c, "10.0.0.0/8"));
    assert_true(cidr_contains(&c, SLICE_LIT("\x0a\xff\x01\x02")));
    assert_false(cidr_contains(&c, SLICE_LIT("\x0b\x00\x00\x00")));
    assert_false(cidr_contains(&c, SLICE_LIT("\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x00\x00\x01")));
    assert_true(cidr_parse(&c, "192.0.2.1"));
    assert_true(cidr_contains(&c, SLICE_LIT("\xc0\x00\x02\x01")));
    assert_true(cidr_parse(&c, "::/0"));
    assert_true(cidr_contains(&c, SLICE_LIT("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01")));
    static const char *const bad[] = {"",           "10.0.0.0/33", "10.0.0.0/",  "10.0.0.0/-1", "10.0.0.0/8x",
                                      "10.0.0.1/8", "10/8",        "fd00::/129", "fe80::1/10"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(cidr_parse(&c, bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dns_name_check__accepted),
        cmocka_unit_test(test_dns_name_check__refused),
        cmocka_unit_test(test_dns_name_under__boundaries),
        cmocka_unit_test(test_dns_name_is_internal__zones),
        cmocka_unit_test(test_uri_check__cases),
        cmocka_unit_test(test_uri_has_prefix__boundaries),
        cmocka_unit_test(test_email_check__cases),
        cmocka_unit_test(test_text_check__cases),
        cmocka_unit_test(test_hardware_names__forms),
        cmocka_unit_test(test_glob_match__cases),
        cmocka_unit_test(test_cidr__cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
