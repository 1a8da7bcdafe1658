#include "base/clock.h"
#include "base/log.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

/* What standard error got since: it stands for a file during the tests of this program. */
static char seen[32 << 10];
static int saved_stderr, file;

static int setup(void **state)
{
    char path[] = "/tmp/touchmark-log-XXXXXX";
    file = mkstemp(path);
    unlink(path);
    saved_stderr = dup(STDERR_FILENO);
    clock_fix(1795234063);
    return file < 0;
}

static int teardown(void **state)
{
    clock_fix(0);
    close(saved_stderr);
    close(file);
    return 0;
}

static void capture_start(void)
{
    assert_int_equal(ftruncate(file, 0), 0);
    lseek(file, 0, SEEK_SET);
    dup2(file, STDERR_FILENO);
}

static const char *capture_end(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    ssize_t n = pread(file, seen, sizeof seen - 1, 0);
    seen[n > 0 ? n : 0] = '\0';
    return seen;
}

static void test_log_write__json(void **state)
{
    log_configure(LOG_INFO, LOG_JSON);
    capture_start();
    log_info("r-1", "cert.issued", LOG_S("serial", "0a\"\n"), LOG_I("ms", -3), LOG_S("none", NULL));
    log_error(NULL, "store.failed");
    log_debug(NULL, "not.shown");
    assert_string_equal(
        capture_end(),
        "{\"ts\":\"2026-11-21T04:07:43.000Z\",\"level\":\"info\",\"event\":\"cert.issued\",\"rid\":\"r-1\","
        "\"serial\":\"0a\\\"\\n\",\"ms\":-3,\"none\":null}\n"
        "{\"ts\":\"2026-11-21T04:07:43.000Z\",\"level\":\"error\",\"event\":\"store.failed\"}\n");
}

static void test_log_write__text(void **state)
{
    log_configure(LOG_DEBUG, LOG_TEXT);
    capture_start();
    log_debug("r-1", "a.b", LOG_S("plain", "x"), LOG_S("spaced", "x y=\x1b"), LOG_S("empty", ""),
              LOG_I("n", 5));
    assert_string_equal(
        capture_end(),
        "2026-11-21T04:07:43.000Z debug a.b rid=r-1 plain=x spaced=\"x y=\\u001b\" empty=\"\" n=5\n");
}

static void test_log_write__too_long(void **state)
{
    static char big[20000];
    memset(big, 'x', sizeof big - 1);
    log_configure(LOG_INFO, LOG_JSON);
    capture_start();
    log_warn(NULL, "big.one", LOG_S("body", big));
    assert_string_equal(
        capture_end(),
        "{\"ts\":\"2026-11-21T04:07:43.000Z\",\"level\":\"warn\",\"event\":\"big.one\",\"cut\":true}\n");
    log_configure(LOG_INFO, LOG_TEXT);
    capture_start();
    log_warn(NULL, "big.one", LOG_S("body", big));
    assert_string_equal(capture_end(), "2026-11-21T04:07:43.000Z warn  big.one cut=true\n");
}

static void test_log_configure__auto_on_a_file_is_json(void **state)
{
    capture_start();
    log_configure(LOG_INFO, LOG_AUTO);
    log_info(NULL, "x");
    assert_int_equal(capture_end()[0], '{');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_write__json),
        cmocka_unit_test(test_log_write__text),
        cmocka_unit_test(test_log_write__too_long),
        cmocka_unit_test(test_log_configure__auto_on_a_file_is_json),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
