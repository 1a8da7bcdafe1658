#include "base/clock.h"
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static void test_clock_fix__freezes(void **state)
{
    clock_fix(1000000000);
    assert_int_equal(clock_now(), 1000000000);
    assert_true(clock_now_ms() == INT64_C(1000000000000));
    clock_fix(0);
    assert_true(clock_now() - (int64_t)time(NULL) <= 1);
    assert_true(clock_now_ms() / 1000 - (int64_t)time(NULL) <= 1);
}

static void test_clock_mono_ns__goes_on(void **state)
{
    uint64_t before = clock_mono_ns();
    assert_true(clock_mono_ns() >= before);
}

/* Every 9 hours and some over all the years, against the C library. */
static void test_civil_from_unix__as_gmtime(void **state)
{
    for (int64_t t = INT64_C(-62167219200); t <= TM_TIME_NEVER; t += 86400 * 13 + 32771) {
        time_t seconds = (time_t)t;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        struct civil_time c = civil_from_unix(t);
        if (c.year != tm.tm_year + 1900 || c.month != tm.tm_mon + 1 || c.day != tm.tm_mday ||
            c.hour != tm.tm_hour || c.minute != tm.tm_min || c.second != tm.tm_sec)
            fail_msg("%lld", (long long)t);
        int64_t back = 0;
        assert_int_equal(civil_to_unix(&back, &c), TM_OK);
        if (back != t)
            fail_msg("%lld comes back as %lld", (long long)t, (long long)back);
    }
}

static void test_civil_to_unix__no_such_date(void **state)
{
    static const struct civil_time bad[] = {
        {2026, 0, 1, 0, 0, 0},  {2026, 13, 1, 0, 0, 0}, {2026, 1, 0, 0, 0, 0},  {2026, 4, 31, 0, 0, 0},
        {2026, 2, 29, 0, 0, 0}, {2100, 2, 29, 0, 0, 0}, {2026, 1, 1, 24, 0, 0}, {2026, 1, 1, 0, 60, 0},
        {2026, 1, 1, 0, 0, 60}, {10000, 1, 1, 0, 0, 0}, {-1, 1, 1, 0, 0, 0},    {2026, 1, 1, -1, 0, 0},
    };
    int64_t t = 42;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(civil_to_unix(&t, &bad[i]), TM_EINVAL);
    assert_int_equal(t, 42);
    assert_int_equal(civil_to_unix(&t, &(struct civil_time){2000, 2, 29, 0, 0, 0}), TM_OK);
}

static void test_clock_format_rfc3339__cases(void **state)
{
    static const struct {
        int64_t t;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {-1, "1969-12-31T23:59:59Z"},
        {951782400, "2000-02-29T00:00:00Z"},
        {1795234063, "2026-11-21T04:07:43Z"},
        {TM_TIME_NEVER, "9999-12-31T23:59:59Z"},
        {INT64_C(-62167219200), "0000-01-01T00:00:00Z"},
        /* There is nothing to show beyond: held at the ends. */
        {INT64_MAX, "9999-12-31T23:59:59Z"},
        {INT64_MIN, "0000-01-01T00:00:00Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[21];
        clock_format_rfc3339(text, cases[i].t);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_clock_parse_rfc3339__cases(void **state)
{
    static const struct {
        const char *text;
        tm_err err;
        int64_t t;
    } cases[] = {
        {"2026-11-21T04:07:43Z", TM_OK, 1795234063},
        {"2026-11-21t04:07:43z", TM_OK, 1795234063},
        {"2026-11-21T04:07:43.987654Z", TM_OK, 1795234063},
        {"2026-11-21T05:37:43+01:30", TM_OK, 1795234063},
        {"2026-11-20T23:07:43.5-05:00", TM_OK, 1795234063},
        {"2026-11-21", TM_OK, 1795219200},
        {"9999-12-31T23:59:59Z", TM_OK, TM_TIME_NEVER},
        {"9999-12-31T23:59:59-00:01", TM_EINVAL, 0},
        {"0000-01-01T00:00:00+00:01", TM_EINVAL, 0},
        {"2026-02-29", TM_EINVAL, 0},
        {"2026-11-21T04:07:60Z", TM_EINVAL, 0},
        {"2026-11-21T04:07:43+24:00", TM_EINVAL, 0},
        {"", TM_EMALFORMED, 0},
        {"2026-11-2", TM_EMALFORMED, 0},
        {"2026-11-21 04:07:43Z", TM_EMALFORMED, 0},
        {"2026-11-21T04:07:43", TM_EMALFORMED, 0},
        {"2026-11-21T04:07Z", TM_EMALFORMED, 0},
        {"2026-11-21T04:07:43.Z", TM_EMALFORMED, 0},
        {"2026-11-21T04:07:43+0130", TM_EMALFORMED, 0},
        {"2026-11-21T04:07:43Zx", TM_EMALFORMED, 0},
        {"+026-11-21", TM_EMALFORMED, 0},
        {"2026-11-21T", TM_EMALFORMED, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t t = 0;
        tm_err err = clock_parse_rfc3339(&t, slice_str(cases[i].text));
        if (err != cases[i].err || t != cases[i].t)
            fail_msg("%s: %s, %lld", cases[i].text, tm_err_name(err), (long long)t);
    }
}

static void test_duration_parse__cases(void **state)
{
    static const struct {
        const char *text;
        tm_err err;
        int64_t seconds;
    } cases[] = {
        {"47d", TM_OK, 47 * 86400},
        {"90m", TM_OK, 5400},
        {"1y", TM_OK, 365 * 86400},
        {"20y", TM_OK, INT64_C(20) * 365 * 86400},
        {"2w", TM_OK, 14 * 86400},
        {"36h", TM_OK, 36 * 3600},
        {"30s", TM_OK, 30},
        {"0s", TM_OK, 0},
        {"never", TM_OK, TM_TIME_NEVER},
        {"", TM_EMALFORMED, 0},
        {"d", TM_EMALFORMED, 0},
        {"47", TM_EMALFORMED, 0},
        {"1y6m", TM_EMALFORMED, 0},
        {"1Y", TM_EMALFORMED, 0},
        {"-1d", TM_EMALFORMED, 0},
        {"1 d", TM_EMALFORMED, 0},
        {"Never", TM_EMALFORMED, 0},
        {"253402300799s", TM_EINVAL, 0},
        {"9999y", TM_EINVAL, 0},
        {"99999999999999999999999999y", TM_EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t seconds = 0;
        tm_err err = duration_parse(&seconds, slice_str(cases[i].text));
        if (err != cases[i].err || seconds != cases[i].seconds)
            fail_msg("%s: %s, %lld", cases[i].text, tm_err_name(err), (long long)seconds);
    }
}

static void test_duration_format__shortest(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        {47 * 86400, "47d"},
        {14 * 86400, "2w"},
        {730 * 86400, "2y"},
        {5400, "90m"},
        {7200, "2h"},
        {61, "61s"},
        {0, "0s"},
        {TM_TIME_NEVER, "never"},
        {INT64_MAX, "never"},
        {-60, "-1m"},
        {INT64_MIN, "-9223372036854775808s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[24];
        duration_format(text, cases[i].seconds);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_fix__freezes),
        cmocka_unit_test(test_clock_mono_ns__goes_on),
        cmocka_unit_test(test_civil_from_unix__as_gmtime),
        cmocka_unit_test(test_civil_to_unix__no_such_date),
        cmocka_unit_test(test_clock_format_rfc3339__cases),
        cmocka_unit_test(test_clock_parse_rfc3339__cases),
        cmocka_unit_test(test_duration_parse__cases),
        cmocka_unit_test(test_duration_format__shortest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
