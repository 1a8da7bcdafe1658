#include "api/bulk_line.h"
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static bool read_line(struct bulk_line *ret, char *room, const char *text)
{
    strcpy(room, text);
    return bulk_line_read(ret, room, strlen(text));
}

static void test_bulk_line_read__plain(void **state)
{
    char room[512];
    struct bulk_line l;
    (void)state;
    assert_true(read_line(&l, room, "{\"id\":\"7\",\"csr\":\"MIIB+/==\"}"));
    assert_string_equal(l.id, "7");
    assert_string_equal(l.csr, "MIIB+/==");
    assert_string_equal(l.profile, "");
    assert_true(read_line(&l, room,
                          " { \"idempotency_key\" : \"k 1\" ,\t\"device\":\"SN-1\", \"endpoint\":\"rest\","
                          "\"profile\":\"\",\"csr\":\"x\" } \r"));
    assert_string_equal(l.idempotency_key, "k 1");
    assert_string_equal(l.device, "SN-1");
    assert_string_equal(l.endpoint, "rest");
    assert_string_equal(l.profile, "");
    assert_string_equal(l.csr, "x");
    assert_string_equal(l.id, "");
}

/* All of them are for the JSON parser, and come to it as they were. */
static void test_bulk_line_read__left_alone(void **state)
{
    static const char *const lines[] = {
        "",
        "{}",
        "{\"id\":\"7\"}",   /* no request */
        "{\"csr\":\"x\",}", /* malformed */
        "{\"csr\":\"x\"",
        "{\"csr\":\"x\"} x",
        "{\"csr\":\"x\"}{\"csr\":\"x\"}",
        "[{\"csr\":\"x\"}]",
        "{\"csr\":7}", /* another type */
        "{\"csr\":\"x\",\"dry_run\":true}",
        "{\"csr\":\"x\",\"renews\":\"00\"}",   /* a name that is not of the six */
        "{\"csr\":\"x\",\"csr\":\"y\"}",       /* twice */
        "{\"csr\":\"a\\nb\"}",                 /* escapes */
        "{\"id\":\"\xc3\xa4\",\"csr\":\"x\"}", /* beyond ASCII */
        "{\"id\":\"a\tb\",\"csr\":\"x\"}",
        "{\"csr\":\"x\",\"profile\":\"0123456789012345678901234567890123456789012345678901234567890123\"}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char room[512];
        struct bulk_line l;
        if (read_line(&l, room, lines[i]))
            fail_msg("taken: %s", lines[i]);
        assert_string_equal(room, lines[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bulk_line_read__plain),
        cmocka_unit_test(test_bulk_line_read__left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
