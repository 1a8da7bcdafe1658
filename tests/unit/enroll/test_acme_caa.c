#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "enroll/acme/caa.h"
#include <cmocka.h>
#include <string.h>

/* "issue ca.example", "!unknown x" with the critical flag; RDATA as in RFC 8659 4.1 */
static struct slice record(uint8_t out[300], const char *text)
{
    size_t tag = strcspn(text + (*text == '!'), " ");
    out[0] = *text == '!' ? 0x80 : 0;
    text += *text == '!';
    out[1] = (uint8_t)tag;
    memcpy(out + 2, text, tag);
    const char *value = text[tag] ? text + tag + 1 : "";
    memcpy(out + 2 + tag, value, strlen(value));
    return slice_of(out, 2 + tag + strlen(value));
}

enum { PLAIN = 1, WILDCARD = 2, BOTH = 3 };

/* RFC 8659 4.2, 4.3 and RFC 8657: what the records let ca.example issue to https://a/1 for a name proven by dns-01 */
static void test_caa_judge__sets(void **state)
{
    (void)state;
    const char *issuers[] = {"ca.example"};
    const struct json_strings list = {.v = issuers, .n = 1};
    static const struct {
        const char *records[3];
        unsigned good;
    } sets[] = {
        {{"issue ca.example"}, BOTH},
        {{"Issue CA.example"}, BOTH},
        {{"issue  ca.example ; "}, BOTH},
        {{"issue other.example"}, 0},
        {{"issue other.example", "issue ca.example"}, BOTH},
        {{"issue"}, 0},
        {{"issue ;"}, 0},
        {{"issue %%%%"}, 0},
        {{"issue ca.example.org"}, 0},
        {{"issuewild ca.example"}, BOTH},
        {{"issuewild other.example"}, PLAIN},
        {{"issuewild ;", "issue ca.example"}, PLAIN},
        {{"issuewild ca.example", "issue ;"}, WILDCARD},
        {{"iodef mailto:x@example.org"}, BOTH},
        {{"issuemail ;"}, BOTH},
        {{"!issuemail ;"}, BOTH},
        {{"unknown x"}, BOTH},
        {{"!unknown x", "issue ca.example"}, 0},
        {{"!issue ca.example"}, BOTH},
        {{"issue ca.example; accounturi=https://a/1"}, BOTH},
        {{"issue ca.example; accounturi=https://a/2"}, 0},
        {{"issue ca.example; accounturi=https://a/2", "issue ca.example; accounturi=https://a/1"}, BOTH},
        {{"issue ca.example; accounturi=https://a/1; accounturi=https://a/1"}, 0},
        {{"issue ca.example; validationmethods=dns-01"}, BOTH},
        {{"issue ca.example; validationmethods=http-01,dns-01"}, BOTH},
        {{"issue ca.example; validationmethods=http-01"}, 0},
        {{"issue ca.example; validationmethods=dns-0"}, 0},
        {{"issue ca.example; validationmethods="}, 0},
        {{"issue ca.example; validationmethods=dns-01; validationmethods=dns-01"}, 0},
        {{"issue ca.example; policy=ev; x=y"}, BOTH},
        {{"issue ca.example; policy"}, 0},
        {{"issue ca.example; policy=a b"}, 0},
        {{"issue ca.example; =x"}, 0},
        {{"iss-ue ca.example"}, 0},
        {{NULL}, BOTH},
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        uint8_t octets[3][300];
        struct slice v[3];
        size_t n = 0;
        for (; n < 3 && sets[i].records[n]; n++)
            v[n] = record(octets[n], sets[i].records[n]);
        for (unsigned wildcard = 0; wildcard < 2; wildcard++) {
            const struct caa_wanted w = {
                .issuers = &list, .account_url = "https://a/1", .method = "dns-01", .wildcard = wildcard};
            const char *why = NULL;
            bool good = caa_judge(v, n, &w, &why);
            if (good != (sets[i].good >> wildcard & 1) || good != (why == NULL))
                fail_msg("%s%s: %s", wildcard ? "wildcard, " : "", sets[i].records[0], why ? why : "let us");
        }
    }
}

static void test_caa_judge__granted_names_have_no_challenge(void **state)
{
    (void)state;
    const char *issuers[] = {"ca.example"}, *why;
    const struct json_strings list = {.v = issuers, .n = 1};
    const struct caa_wanted w = {.issuers = &list, .account_url = "https://a/1", .method = ""};
    uint8_t octets[300];
    struct slice v = record(octets, "issue ca.example; validationmethods=,");
    assert_false(caa_judge(&v, 1, &w, &why));
    v = record(octets, "issue ca.example");
    assert_true(caa_judge(&v, 1, &w, &why));
}

static void test_caa_judge__broken_records(void **state)
{
    (void)state;
    const struct json_strings none = {0};
    const struct caa_wanted w = {.issuers = &none, .account_url = "", .method = ""};
    static const struct slice broken[] = {
        SLICE_LIT(""),
        SLICE_LIT("\x00"),
        SLICE_LIT("\x00\x00"),
        SLICE_LIT("\x00\x00"
                  "x"),
        SLICE_LIT("\x00\x05"
                  "issu"),
        SLICE_LIT("\x00\xff"
                  "issue"),
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        const char *why = NULL;
        assert_false(caa_judge(&broken[i], 1, &w, &why));
        assert_string_equal(why, "can't be read");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_caa_judge__sets),
        cmocka_unit_test(test_caa_judge__granted_names_have_no_challenge),
        cmocka_unit_test(test_caa_judge__broken_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
