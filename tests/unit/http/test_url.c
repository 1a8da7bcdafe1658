/* Addresses as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/url.h"
#include <cmocka.h>
#include <string.h>

static void test_http_url_parse__takes_apart(void **state)
{
    static const struct {
        const char *text, *host, *path;
        int port;
        bool tls;
    } cases[] = {
        {"https://house.example", "house.example", "", 443, true},
        {"https://house.example:9443/", "house.example", "", 9443, true},
        {"http://192.0.2.1/log/2026h2", "192.0.2.1", "/log/2026h2", 80, false},
        {"http://[2001:db8::1]:8080/a/b/", "2001:db8::1", "/a/b", 8080, false},
        {"https://[::1]", "::1", "", 443, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_url u;
        assert_int_equal(http_url_parse(&u, cases[i].text, NULL), TM_OK);
        assert_string_equal(u.host, cases[i].host);
        assert_string_equal(u.path, cases[i].path);
        assert_int_equal(u.port, cases[i].port);
        assert_int_equal(u.tls, cases[i].tls);
    }
}

static void test_http_url_parse__refuses(void **state)
{
    static const char *const cases[] = {"",
                                        "house.example",
                                        "ftp://x/",
                                        "https://",
                                        "https:///x",
                                        "https://a b/",
                                        "https://user@x/",
                                        "https://x:0/",
                                        "https://x:70000/",
                                        "https://x:/",
                                        "https://x:-1/",
                                        "https://x:12a/",
                                        "https://[::1/",
                                        "https://[::1]x/",
                                        "https://x?q",
                                        "https://x/\n",
                                        "https://\xc3\xa4/"};
    struct http_url u;
    char longest[1400] = "http://x/";
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (http_url_parse(&u, cases[i], NULL) != TM_EINVAL)
            fail_msg("\"%s\" was taken", cases[i]);
    memset(longest + 9, 'p', sizeof longest - 10);
    assert_int_equal(http_url_parse(&u, longest, NULL), TM_EINVAL);
    memcpy(longest, "http://yyy", 10);
    memset(longest + 10, 'y', 300);
    assert_int_equal(http_url_parse(&u, longest, NULL), TM_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_url_parse__takes_apart),
        cmocka_unit_test(test_http_url_parse__refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
