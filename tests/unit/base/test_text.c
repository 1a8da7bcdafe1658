#include "base/arena.h"
#include "base/text.h"
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static int setup(void **state)
{
    *state = arena_new(0);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static void test_hex__there_and_back(void **state)
{
    struct arena *a = *state;
    struct slice out;
    assert_string_equal(arena_hex(a, SLICE_LIT("\x00\x7f\xab")), "007fab");
    assert_string_equal(arena_hex(a, slice_of(NULL, 0)), "");
    assert_int_equal(hex_decode(&out, a, SLICE_LIT("007FaB")), TM_OK);
    assert_true(slice_eq(out, SLICE_LIT("\x00\x7f\xab")));
    assert_int_equal(hex_decode(&out, a, SLICE_LIT("00:7f:ab")), TM_OK);
    assert_true(slice_eq(out, SLICE_LIT("\x00\x7f\xab")));
    assert_int_equal(hex_decode(&out, a, SLICE_LIT("")), TM_OK);
    assert_int_equal(out.n, 0);
    struct buf b;
    buf_init(&b, 10);
    buf_put_hex(&b, SLICE_LIT("\x01\x02"));
    assert_string_equal(buf_str(&b), "0102");
    buf_done(&b);
}

static void test_hex_decode__refused(void **state)
{
    static const char *const bad[] = {"0", "0g", "00:", ":00", "00::00", "0:00", "00 00", "\xff\xff", "000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct slice out = SLICE_LIT("kept");
        assert_int_equal(hex_decode(&out, *state, slice_str(bad[i])), TM_EMALFORMED);
        assert_true(slice_eq_str(out, "kept"));
    }
}

/* RFC 4648 section 10, and the two characters in which the alphabets differ. */
static const struct {
    const char *plain, *std, *url;
} base64_cases[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff", "+/8=", "-_8"},
};

static void test_base64__there_and_back(void **state)
{
    for (size_t i = 0; i < sizeof base64_cases / sizeof base64_cases[0]; i++) {
        struct slice plain = slice_str(base64_cases[i].plain), out;
        struct buf b;
        buf_init(&b, 100);
        buf_put_base64(&b, plain, BASE64_STD, 0);
        assert_string_equal(buf_str(&b), base64_cases[i].std);
        assert_int_equal(base64_decode(&out, *state, buf_slice(&b), BASE64_STD), TM_OK);
        assert_true(slice_eq(out, plain));
        buf_reset(&b);
        buf_put_base64(&b, plain, BASE64_URL, 0);
        assert_string_equal(buf_str(&b), base64_cases[i].url);
        assert_int_equal(base64_decode(&out, *state, buf_slice(&b), BASE64_URL), TM_OK);
        assert_true(slice_eq(out, plain));
        buf_done(&b);
        assert_string_equal(arena_base64(*state, plain), base64_cases[i].std);
    }
}

static void test_buf_put_base64__wraps(void **state)
{
    static const struct {
        unsigned wrap;
        const char *text;
    } cases[] = {{4, "Zm9v\nYmFy"}, {8, "Zm9vYmFy"}, {3, "Zm9\nvYm\nFy"}, {1, "Z\nm\n9\nv\nY\nm\nF\ny"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        buf_init(&b, 100);
        buf_put_base64(&b, SLICE_LIT("foobar"), BASE64_STD, cases[i].wrap);
        assert_string_equal(buf_str(&b), cases[i].text);
        buf_done(&b);
    }
}

static void test_base64_decode__tolerant(void **state)
{
    struct slice out;
    assert_int_equal(base64_decode(&out, *state, SLICE_LIT(" Zm9v\r\n\tYmE "), BASE64_STD), TM_OK);
    assert_true(slice_eq_str(out, "fooba"));
    assert_int_equal(base64_decode(&out, *state, SLICE_LIT("Zg="), BASE64_STD), TM_OK);
    assert_true(slice_eq_str(out, "f"));
    assert_int_equal(base64_decode(&out, *state, SLICE_LIT("Zg=\n="), BASE64_STD), TM_OK);
    assert_int_equal(base64_decode(&out, *state, SLICE_LIT("Zg=="), BASE64_URL), TM_OK);
}

static void test_base64_decode__refused(void **state)
{
    static const char *const bad[] = {
        "Z", "Zm9vY", "Zg===", "Zm9v=", "=", "Zg==Zg==", "Zm-_", "Zm9v!", "Zh==", "Zm9=", "Zm\xff="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct slice out = SLICE_LIT("kept");
        if (base64_decode(&out, *state, slice_str(bad[i]), BASE64_STD) != TM_EMALFORMED)
            fail_msg("%s", bad[i]);
        assert_true(slice_eq_str(out, "kept"));
    }
    struct slice nul;
    assert_int_equal(base64_decode(&nul, *state, SLICE_LIT("Zm9v\0"), BASE64_STD), TM_EMALFORMED);
}

static void test_pem__there_and_back(void **state)
{
    uint8_t der[100];
    memset(der, 'U', sizeof der);
    struct buf b;
    buf_init(&b, 4096);
    buf_puts(&b, "subject=CN=x\n");
    buf_put_pem(&b, "CERTIFICATE", SLICE_ARR(der));
    buf_puts(&b, "more text\n");
    buf_put_pem(&b, "X", slice_of(NULL, 0));
    assert_non_null(
        strstr(buf_str(&b), "\nVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV\nVVVV"));
    struct slice text = buf_slice(&b), out;
    char *label;
    assert_int_equal(pem_next(&out, &label, *state, &text, NULL), TM_OK);
    assert_true(slice_eq(out, SLICE_ARR(der)));
    assert_string_equal(label, "CERTIFICATE");
    assert_int_equal(pem_next(&out, NULL, *state, &text, "X"), TM_OK);
    assert_int_equal(out.n, 0);
    assert_int_equal(pem_next(&out, &label, *state, &text, NULL), TM_ENOTFOUND);
    text = buf_slice(&b);
    assert_int_equal(pem_next(&out, &label, *state, &text, "X"), TM_OK);
    assert_string_equal(label, "X");
    assert_int_equal(text.n, 1); /* the last line's end */
    text = buf_slice(&b);
    assert_int_equal(pem_next(&out, &label, *state, &text, "Y"), TM_ENOTFOUND);
    assert_int_equal(text.n, b.n);
    buf_done(&b);
}

static void test_pem_next__lax(void **state)
{
    static const char *const good[] = {
        "-----BEGIN A-----\r\nZm9v\r\n-----END A-----\r\n",
        "-----BEGIN A-----Zm9v-----END A-----",
        "  -----BEGIN A-----\n  Zm\n  9v\n  -----END A-----",
        "x-----BEGIN B----- -----BEGIN A-----\nZm9v\n-----END A-----",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct slice text = slice_str(good[i]), out;
        if (pem_next(&out, NULL, *state, &text, "A") != TM_OK || !slice_eq_str(out, "foo"))
            fail_msg("%s", good[i]);
    }
}

static void test_pem_next__refused(void **state)
{
    static const char *const bad[] = {
        "-----BEGIN A-----",
        "-----BEGIN A",
        "-----BEGIN A\n-----\nZm9v\n-----END A-----",
        "-----BEGIN A-----\nZm9v\n-----END B-----",
        "-----BEGIN A-----\nZm9v\n-----END A----",
        "-----BEGIN A-----\nZm9v\n-----END ",
        "-----BEGIN A-----\nZm9v\n-----BEGIN A-----\nZm9v\n-----END A-----",
        "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nZm9v\n-----END A-----",
        "-----BEGIN AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-----\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct slice text = slice_str(bad[i]), out = SLICE_LIT("kept");
        if (pem_next(&out, NULL, *state, &text, NULL) != TM_EMALFORMED)
            fail_msg("%s", bad[i]);
        assert_true(slice_eq_str(out, "kept"));
        assert_ptr_equal(text.p, bad[i]);
    }
}

static void test_utf8_valid__cases(void **state)
{
    static const struct {
        struct slice s;
        bool valid;
    } cases[] = {
        {{NULL, 0}, true},
        {SLICE_LIT("plain"), true},
        {SLICE_LIT("\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"), true},
        {SLICE_LIT("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), true},
        {SLICE_LIT("a\0b"), false},
        {SLICE_LIT("\x80"), false},
        {SLICE_LIT("\xc0\x80"), false},
        {SLICE_LIT("\xc1\xbf"), false},
        {SLICE_LIT("\xe0\x9f\xbf"), false},
        {SLICE_LIT("\xed\xa0\x80"), false},
        {SLICE_LIT("\xf0\x8f\xbf\xbf"), false},
        {SLICE_LIT("\xf4\x90\x80\x80"), false},
        {SLICE_LIT("\xf5\x80\x80\x80"), false},
        {SLICE_LIT("\xc3"), false},
        {SLICE_LIT("\xe2\x82"), false},
        {SLICE_LIT("\xe2\x82 "), false},
        {SLICE_LIT("\xf0\x90\x80"), false},
        {SLICE_LIT("\xf0\x90\x80\xc0"), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (utf8_valid(cases[i].s) != cases[i].valid)
            fail_msg("case %zu", i);
}

static void test_name_valid__cases(void **state)
{
    assert_true(name_valid(SLICE_LIT("a")));
    assert_true(name_valid(SLICE_LIT("device-ca-2")));
    assert_true(name_valid(SLICE_LIT("012345678901234567890123456789012345678901234567890123456789012")));
    assert_false(name_valid(SLICE_LIT("0123456789012345678901234567890123456789012345678901234567890123")));
    assert_false(name_valid(SLICE_LIT("")));
    assert_false(name_valid(SLICE_LIT("-a")));
    assert_false(name_valid(SLICE_LIT("a-")));
    assert_false(name_valid(SLICE_LIT("A")));
    assert_false(name_valid(SLICE_LIT("a.b")));
    assert_false(name_valid(SLICE_LIT("a/../b")));
}

static void test_stars_match__cases(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pattern;
        bool like;
    } cases[] = {
        {"", "", true},
        {"", "*", true},
        {"a", "", false},
        {"abc", "ABC", true},
        {"abc", "a*c", true},
        {"abc", "a*b", false},
        {"abc", "*", true},
        {"abc", "***", true},
        {"aXbXc", "*x*x*", true},
        {"aXb", "*x*x*", false},
        {"mississippi", "*iss*ip*", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(stars_match(slice_str(cases[i].text), slice_str(cases[i].pattern)), cases[i].like);
}

static void test_utf8_invisible__cases(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool invisible;
    } cases[] = {
        {"a", false},
        {" ", false},
        {"\n", true},
        {"\x7f", true},
        {"\xc2\x85", true},          /* next line */
        {"\xc2\xad", true},          /* soft hyphen */
        {"\xc3\xa9", false},         /* e acute */
        {"\xd8\x9c", true},          /* Arabic letter mark */
        {"\xe2\x80\x8b", true},      /* zero width space */
        {"\xe2\x80\xae", true},      /* right-to-left override */
        {"\xe2\x81\xa6", true},      /* left-to-right isolate */
        {"\xe2\x82\xac", false},     /* euro */
        {"\xef\xbb\xbf", true},      /* byte order mark */
        {"\xf0\x9f\x94\x91", false}, /* key */
        {"\xf3\xa0\x81\x81", true},  /* tag */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice s = slice_str(cases[i].text);
        assert_int_equal(utf8_step(s), s.n);
        assert_int_equal(utf8_invisible(utf8_code(s, s.n)), cases[i].invisible);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex__there_and_back),     cmocka_unit_test(test_hex_decode__refused),
        cmocka_unit_test(test_base64__there_and_back),  cmocka_unit_test(test_buf_put_base64__wraps),
        cmocka_unit_test(test_base64_decode__tolerant), cmocka_unit_test(test_base64_decode__refused),
        cmocka_unit_test(test_pem__there_and_back),     cmocka_unit_test(test_pem_next__lax),
        cmocka_unit_test(test_pem_next__refused),       cmocka_unit_test(test_utf8_valid__cases),
        cmocka_unit_test(test_name_valid__cases),       cmocka_unit_test(test_stars_match__cases),
        cmocka_unit_test(test_utf8_invisible__cases),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
