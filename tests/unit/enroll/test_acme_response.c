#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "enroll/acme/validate.h"
#include "enroll/outbound/response.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers ---- */

enum { BODY_MAX = 100 };

static tm_err feed(struct response *out, const char *text, size_t step)
{
    static uint8_t body[BODY_MAX];
    *out = (struct response){.body = body, .body_max = sizeof body};
    struct response_reader *r = malloc(response_reader_size());
    assert_non_null(r);
    response_reader_init(r, out);
    tm_err e = TM_OK;
    size_t n = strlen(text);
    for (size_t at = 0; at < n && e == TM_OK; at += step)
        e = response_read(r, slice_of(text + at, n - at < step ? n - at : step));
    if (e == TM_OK && !out->complete)
        e = response_read(r, (struct slice){0});
    free(r);
    return e;
}

static void test_response_read__in_any_pieces(void **state)
{
    (void)state;
    static const char text[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for (size_t step = 1; step < sizeof text; step++) {
        struct response r;
        assert_int_equal(feed(&r, text, step), TM_OK);
        assert_true(r.complete);
        assert_int_equal(r.status, 200);
        assert_true(slice_eq_str(slice_of(r.body, r.body_n), "abcde"));
    }
}

static void test_response_read__redirect(void **state)
{
    (void)state;
    struct response r;
    for (size_t step = 1; step < 40; step++) {
        assert_int_equal(
            feed(&r, "HTTP/1.1 302 Found\r\nX-Location: no\r\nlocation: /there\r\nContent-Length: 5\r\n\r\n",
                 step),
            TM_OK);
        assert_int_equal(r.status, 302);
        assert_string_equal(r.location, "/there");
        assert_true(r.complete);
    }
}

/* RFC 9110 15.2: neither the status nor fields of what comes before the answer are the answer's, and nothing of it is a body. */
static void test_response_read__what_comes_before(void **state)
{
    (void)state;
    struct response r;
    static const char text[] = "HTTP/1.1 103 Early Hints\r\nLocation: /no\r\nContent-Length: 2\r\n\r\n"
                               "HTTP/1.1 100 Continue\r\n\r\n"
                               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    for (size_t step = 1; step <= sizeof text; step++) {
        assert_int_equal(feed(&r, text, step), TM_OK);
        assert_int_equal(r.status, 200);
        assert_string_equal(r.location, "");
        assert_true(slice_eq_str(slice_of(r.body, r.body_n), "hi"));
    }
    assert_int_equal(feed(&r, "HTTP/1.1 100 Continue\r\n\r\n", 100), TM_OK);
    assert_int_equal(r.status, 0);
    assert_int_equal(feed(&r, "HTTP/1.1 302 x\r\nLocation: /a\r\nLocation: /b\r\n\r\n", 100), TM_OK);
    assert_string_equal(r.location, "/b");
}

/* A second message in the same octets changes nothing of the first. */
static void test_response_read__message_behind(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n"
                               "HTTP/1.1 301 x\r\nLocation: /b\r\n\r\n";
    for (size_t step = 1; step <= sizeof text; step += sizeof text - 1) {
        struct response o;
        assert_int_equal(feed(&o, text, step), TM_OK);
        assert_int_equal(o.status, 302);
        assert_string_equal(o.location, "/a");
    }
}

static void test_response_read__until_the_end(void **state)
{
    (void)state;
    struct response r;
    assert_int_equal(feed(&r, "HTTP/1.0 200 OK\r\n\r\nhello", 7), TM_OK);
    assert_true(slice_eq_str(slice_of(r.body, r.body_n), "hello"));
}

static void test_response_read__longer_than_fits(void **state)
{
    (void)state;
    struct response r;
    char text[BODY_MAX + 100];
    for (int more = 0; more < 2; more++) {
        int n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BODY_MAX + more);
        memset(text + n, 'x', BODY_MAX + 1);
        text[n + BODY_MAX + more] = '\0';
        for (size_t step = 1; step < sizeof text; step += 50) {
            assert_int_equal(feed(&r, text, step), TM_OK);
            assert_true(r.complete && r.cut == (more == 1));
            assert_int_equal(r.body_n, BODY_MAX);
        }
    }
}

static void test_response_read__refused(void **state)
{
    (void)state;
    struct response r;
    assert_int_equal(feed(&r, "SSH-2.0-OpenSSH\r\n", 100), TM_EMALFORMED);
    assert_int_equal(feed(&r, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", 100), TM_EMALFORMED);
    char *text = malloc(RESPONSE_LOCATION_MAX + 200);
    strcpy(text, "HTTP/1.1 302 Found\r\nLocation: /");
    size_t n = strlen(text);
    memset(text + n, 'x', RESPONSE_LOCATION_MAX);
    strcpy(text + n + RESPONSE_LOCATION_MAX, "\r\n\r\n");
    assert_int_equal(feed(&r, text, 64), TM_ETOOBIG);
    free(text);
}

/* ---- redirects ---- */

static void test_target_resolve__forms(void **state)
{
    (void)state;
    static const struct {
        const char *location;
        bool tls;
        const char *host;
        int port;
        const char *path;
    } good[] = {
        {"/a?b#c", false, "www.example.org", 8080, "/a?b"},
        {"//other.example.org/x", false, "other.example.org", 0, "/x"},
        {"http://h", false, "h", 0, "/"},
        {"http://h?q=1", false, "h", 0, "/?q=1"},
        {"HTTPS://h:443/p", true, "h", 443, "/p"},
        {"https://[2001:db8::1]:8443/", true, "2001:db8::1", 8443, "/"},
    };
    const struct target base = {.host = "www.example.org", .port = 8080, .path = "/x"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct target t;
        if (target_resolve(&t, &base, good[i].location) != TM_OK)
            fail_msg("%s", good[i].location);
        assert_int_equal(t.tls, good[i].tls);
        assert_string_equal(t.host, good[i].host);
        assert_int_equal(t.port, good[i].port);
        assert_string_equal(t.path, good[i].path);
    }
    static const char *const bad[] = {
        "relative",
        "",
        "?q",
        "http:/x",
        "http://",
        "http:///x",
        "http://u@h/",
        "http://h:/x/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:123456/",
        "http://[::1/",
        "http://h/ x",
        "http://h/\r\nX: y",
        "http://h\x80/",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct target t;
        if (target_resolve(&t, &base, bad[i]) == TM_OK)
            fail_msg("%s", bad[i]);
    }
    struct target t;
    assert_int_equal(target_resolve(&t, &base, "ftp://h/"), TM_EUNSUPPORTED);
    assert_int_equal(target_resolve(&t, &base, "file:///etc/passwd"), TM_EUNSUPPORTED);
}

/* ---- where a validation may go ---- */

static bool allowed(const char *text, const struct json_strings *networks)
{
    struct address_range r;
    assert_int_equal(address_range_parse(&r, text, NULL), TM_OK);
    struct address a = r.base.family == ADDRESS_V6 ? address_from_v6(r.base.ip) : r.base;
    return reach_allowed(networks, &a);
}

static void test_reach_allowed__public_only(void **state)
{
    (void)state;
    static const char *const special[] = {
        "0.0.0.0",         "10.1.2.3",        "100.64.0.1",  "127.0.0.1",
        "169.254.169.254", "172.31.255.255",  "192.168.0.1", "198.18.0.1",
        "224.0.0.1",       "255.255.255.255", "::",          "::1",
        "::ffff:10.0.0.1", "64:ff9b::a00:1",  "fd00::1",     "fe80::1",
        "ff02::1",         "2002:a00:1::",    "2001:db8::1", "::7f00:1",
        "::ffff:0:a00:1",  "fec0::1",
    };
    static const char *const public[] = {"8.8.8.8", "1.1.1.1", "2606:4700::1111", "100.128.0.1",
                                         "172.32.0.1"};
    const struct json_strings none = {0};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (allowed(special[i], &none))
            fail_msg("%s", special[i]);
    for (size_t i = 0; i < sizeof public / sizeof *public; i++)
        if (!allowed(public[i], &none))
            fail_msg("%s", public[i]);
}

static void test_reach_allowed__named_networks(void **state)
{
    (void)state;
    const char *networks[] = {"10.20.0.0/16", "fd00::/8"};
    const struct json_strings s = {.v = networks, .n = 2};
    assert_true(allowed("10.20.30.40", &s));
    assert_false(allowed("10.21.0.1", &s));
    assert_true(allowed("fd12::1", &s));
    assert_false(allowed("::1", &s));
    assert_true(allowed("9.9.9.9", &s));
}

/* ---- TXT records ---- */

static void test_txt_rdata_is__strings_belong_together(void **state)
{
    (void)state;
    assert_true(txt_rdata_is(SLICE_LIT("\x03"
                                       "abc"),
                             SLICE_LIT("abc")));
    assert_true(txt_rdata_is(SLICE_LIT("\x01"
                                       "a"
                                       "\x00"
                                       "\x02"
                                       "bc"),
                             SLICE_LIT("abc")));
    assert_false(txt_rdata_is(SLICE_LIT("\x03"
                                        "abcx"),
                              SLICE_LIT("abc")));
    assert_false(txt_rdata_is(SLICE_LIT("\x04"
                                        "abc"),
                              SLICE_LIT("abc")));
    assert_false(txt_rdata_is(SLICE_LIT("\x02"
                                        "ab"),
                              SLICE_LIT("abc")));
    assert_false(txt_rdata_is(SLICE_LIT("\x03"
                                        "abd"),
                              SLICE_LIT("abc")));
}

static void test_persist_accepts__records(void **state)
{
    (void)state;
    const char *issuers[] = {"ca.example", "pki.example"};
    const struct json_strings list = {.v = issuers, .n = 2};
    const struct persist_wanted plain = {.issuers = &list, .account_url = "https://a/1", .now = 1000};
    struct persist_wanted wildcard = plain;
    wildcard.wildcard = true;
    static const struct {
        const char *text;
        bool plain, wildcard;
    } records[] = {
        {"ca.example; accounturi=https://a/1", true, false},
        {"PKI.example;accounturi=https://a/1;policy=wildcard", true, true},
        {" ca.example ; AccountURI = https://a/1 ; policy=WILDCARD ; ", true, true},
        {"ca.example; accounturi=https://a/1; persistUntil=1000", true, false},
        {"ca.example; accounturi=https://a/1; unknown=x", true, false},
        {"ca.example; accounturi=https://a/1; policy=other", true, false},
        {"ca.example; accounturi=https://a/1; persistUntil=999", false, false},
        {"ca.example; accounturi=https://a/1; persistUntil=soon", false, false},
        {"ca.example; accounturi=https://a/1; persistUntil=", false, false},
        {"ca.example; accounturi=https://a/2", false, false},
        {"ca.example; accounturi=https://a/1; accounturi=https://a/1", false, false},
        {"ca.example; accounturi", false, false},
        {"ca.example; ; accounturi=https://a/1", false, false},
        {"ca.example", false, false},
        {"other.example; accounturi=https://a/1", false, false},
        {"; accounturi=https://a/1", false, false},
        {"", false, false},
    };
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        if (persist_accepts(slice_str(records[i].text), &plain) != records[i].plain ||
            persist_accepts(slice_str(records[i].text), &wildcard) != records[i].wildcard)
            fail_msg("%s", records[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_response_read__in_any_pieces),
        cmocka_unit_test(test_response_read__redirect),
        cmocka_unit_test(test_response_read__what_comes_before),
        cmocka_unit_test(test_response_read__message_behind),
        cmocka_unit_test(test_response_read__until_the_end),
        cmocka_unit_test(test_response_read__longer_than_fits),
        cmocka_unit_test(test_response_read__refused),
        cmocka_unit_test(test_target_resolve__forms),
        cmocka_unit_test(test_reach_allowed__public_only),
        cmocka_unit_test(test_reach_allowed__named_networks),
        cmocka_unit_test(test_txt_rdata_is__strings_belong_together),
        cmocka_unit_test(test_persist_accepts__records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
