#include "http/address.h"
#include <arpa/inet.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static struct address address_of(const char *text)
{
    uint8_t raw[16];
    if (inet_pton(AF_INET, text, raw) == 1)
        return address_from_v4(raw);
    assert_int_equal(inet_pton(AF_INET6, text, raw), 1);
    return address_from_v6(raw);
}

static void test_address_format__forms(void **state)
{
    char out[ADDRESS_TEXT_MAX];
    struct address a = address_of("192.0.2.1");
    address_format(out, &a);
    assert_string_equal(out, "192.0.2.1");
    a = address_of("2001:db8::1");
    address_format(out, &a);
    assert_string_equal(out, "2001:db8::1");
    a = address_of("::ffff:192.0.2.1");
    address_format(out, &a);
    assert_string_equal(out, "192.0.2.1");
    a = address_from_uid(1000);
    address_format(out, &a);
    assert_string_equal(out, "unix:1000");
    a = (struct address){0};
    address_format(out, &a);
    assert_string_equal(out, "unknown");
}

static void test_address_is_loopback__kinds(void **state)
{
    static const char *const yes[] = {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"};
    static const char *const no[] = {"128.0.0.1", "::2", "2001:db8::1"};
    for (size_t i = 0; i < 4; i++) {
        struct address a = address_of(yes[i]);
        assert_true(address_is_loopback(&a));
    }
    for (size_t i = 0; i < 3; i++) {
        struct address a = address_of(no[i]);
        assert_false(address_is_loopback(&a));
    }
}

static void test_address_range_holds__edges(void **state)
{
    static const struct {
        const char *range, *address;
        bool holds;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::/0", "2001:db8::1", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address_range r;
        struct address a = address_of(cases[i].address);
        assert_int_equal(address_range_parse(&r, cases[i].range, NULL), TM_OK);
        assert_int_equal(address_range_holds(&r, &a), cases[i].holds);
    }
    struct address_range any_user;
    struct address user = address_from_uid(5), v4 = address_of("192.0.2.1");
    assert_int_equal(address_range_parse(&any_user, "unix", NULL), TM_OK);
    assert_true(address_range_holds(&any_user, &user));
    assert_false(address_range_holds(&any_user, &v4));
}

static void test_address_range_parse__bad(void **state)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "10.0.0.0/33",
                                      "10.0.0.0/",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/8x",
                                      "10.0.0/8",
                                      "::/129",
                                      "10.0.0.0/ 8",
                                      "localhost",
                                      "/8",
                                      "2001:db8:::",
                                      "10.0.0.0/8/8",
                                      "0000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct address_range r;
        struct diag d = {0};
        assert_int_equal(address_range_parse(&r, bad[i], &d), TM_EINVAL);
        assert_true(d.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_format__forms),
        cmocka_unit_test(test_address_is_loopback__kinds),
        cmocka_unit_test(test_address_range_holds__edges),
        cmocka_unit_test(test_address_range_parse__bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
