#include "api/live.h"
#include "base/buf.h"
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static struct event_row event(const char *type, const char *subject, const char *body)
{
    return (struct event_row){
        .pos = 41, .time = 1795000000123, .type = type, .subject = subject, .body = slice_str(body)};
}

static void test_live_put_event__one_line_of_data(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    struct event_row v = event("device.registered", "device/a\nb\"\r\n\r\nid: 9", "{\"model\":\"Pump\"}");
    live_put_event(&b, &v);
    assert_string_equal(
        buf_str(&b),
        "id: 41\ndata: {\"pos\":41,\"time\":\"2026-11-18T11:06:40Z\",\"type\":\"device.registered\","
        "\"subject\":\"device/a\\nb\\\"\\r\\n\\r\\nid: 9\",\"body\":{\"model\":\"Pump\"}}\n\n");
    buf_reset(&b);
    v.body = (struct slice){0}; /* erased */
    live_put_event(&b, &v);
    assert_non_null(strstr(buf_str(&b), "\"body\":null}\n\n"));
    buf_done(&b);
}

static bool owns(void *arg, const char *device)
{
    return strcmp(arg, device) == 0;
}

static bool concerns(const char *subject, const char *body)
{
    char mine[] = "PUMP-7";
    struct event_row v = event("x.y", subject, body);
    return live_concerns(&v, "anna", owns, mine);
}

static void test_live_concerns__owner(void **state)
{
    (void)state;
    assert_true(concerns("device/PUMP-7", "{}"));
    assert_false(concerns("device/PUMP-70", "{}"));
    assert_true(concerns("certificate/00", "{\"device\":\"PUMP-7\"}"));
    assert_true(concerns("certificate/00", "{\"caller\":\"anna\"}"));
    assert_true(concerns("request/00", "{\"asked_by\":\"anna\",\"by\":\"otto\"}"));
    assert_false(concerns("certificate/00", "{\"caller\":\"hanna\",\"device\":\"\"}"));
    assert_false(concerns("certificate/00", "{\"subject\":\"\\\"caller\\\":\\\"anna\\\"\"}"));
    assert_false(concerns("certificate/00", "{\"nested\":{\"caller\":\"anna\"}}"));
    assert_false(concerns("certificate/00", "{\"caller\":[\"anna\"]}"));
    assert_false(concerns("certificate/00", ""));
    assert_false(concerns("certificate/00", "{\"caller\":\"anna"));
}

/* Nobody's name is nobody's. */
static void test_live_concerns__nameless(void **state)
{
    (void)state;
    char mine[] = "";
    struct event_row v = event("x.y", "endpoint/x", "{\"caller\":\"\",\"device\":\"\"}");
    assert_false(live_concerns(&v, "", owns, mine));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_put_event__one_line_of_data),
        cmocka_unit_test(test_live_concerns__owner),
        cmocka_unit_test(test_live_concerns__nameless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
