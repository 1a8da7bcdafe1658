#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/answer.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct http_answer x;

/* In pieces of `step` octets; `ends`: then the server ends. */
static tm_err feed(const char *text, size_t step, bool ends, struct diag *diag)
{
    struct slice s = slice_str(text);
    tm_err e = TM_OK;
    buf_done(&x.body);
    x = (struct http_answer){.head_max = 1000, .body_max = 20, .to_head = x.to_head};
    http_answer_begin(&x);
    for (size_t at = 0; at < s.n && e == TM_OK; at += step)
        e = http_answer_take(&x, slice_sub(s, at, step), diag);
    return e == TM_OK && ends ? http_answer_take(&x, (struct slice){0}, diag) : e;
}

static void reads(const char *text, bool ends, int status, const char *type, const char *body)
{
    static const size_t steps[] = {1, 2, 7, 4096};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct diag diag = {0};
        assert_int_equal(feed(text, steps[i], ends, &diag), TM_OK);
        assert_true(x.complete);
        assert_int_equal(x.status, status);
        assert_string_equal(x.type, type);
        assert_string_equal(buf_str(&x.body), body);
    }
}

static void refuses(const char *text, bool ends, tm_err e, const char *why)
{
    struct diag diag = {0};
    assert_int_equal(feed(text, 4096, ends, &diag), e);
    assert_non_null(strstr(diag.message, why));
    assert_false(x.complete);
}

static void test_http_answer__bodies(void **state)
{
    (void)state;
    reads("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi", false, 200,
          "text/plain", "hi");
    reads("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n", false,
          200, "", "hi");
    reads("HTTP/1.0 404 no\r\n\r\nhi", true, 404, "", "hi");
    reads("HTTP/1.1 204 x\r\nContent-Length: 9\r\n\r\n", false, 204, "", "");
}

/* RFC 9112 6.3: it has none, whatever length is told. */
static void test_http_answer__no_body_where_none_can_be(void **state)
{
    (void)state;
    reads("HTTP/1.1 304 x\r\nETag: \"a\"\r\nContent-Length: 9\r\n\r\n", false, 304, "", "");
    assert_string_equal(x.etag, "\"a\"");
    x.to_head = true;
    reads("HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\n", false, 200, "", "");
    x.to_head = false;
    reads("HTTP/1.1 103 x\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nhi", false,
          200, "", "hi");
}

static void test_http_answer__only_the_answer_itself(void **state)
{
    (void)state;
    /* what comes before it */
    reads(
        "HTTP/1.1 100 x\r\nContent-Type: a\r\n\r\nHTTP/1.1 103 x\r\n\r\nHTTP/1.1 201 x\r\nContent-Length: 0\r\n\r\n",
        false, 201, "", "");
    /* behind it */
    reads("HTTP/1.1 200 x\r\nContent-Type: a\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 500 x\r\nContent-Type: "
          "b\r\n\r\nno",
          false, 200, "a", "hi");
    /* and in its trailers */
    reads(
        "HTTP/1.1 200 x\r\nContent-Type: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Type: b\r\nETag: "
        "\"t\"\r\n\r\n",
        false, 200, "a", "");
    assert_string_equal(x.etag, "");
    /* the last of a name counts */
    reads("HTTP/1.1 200 x\r\nContent-Type: a\r\ncontent-type: b\r\nContent-Length: 0\r\n\r\n", false, 200,
          "b", "");
}

static void test_http_answer__long_fields(void **state)
{
    (void)state;
    char text[1200];
    snprintf(text, sizeof text,
             "HTTP/1.1 200 x\r\nETag: %0200d\r\nLast-Modified: %0100d\r\nContent-Length: 0\r\n\r\n", 1, 1);
    reads(text, false, 200, "", "");
    assert_string_equal(x.etag, "");
    assert_string_equal(x.modified, "");
    snprintf(text, sizeof text, "HTTP/1.1 200 x\r\nX: %01000d\r\nContent-Length: 0\r\n\r\n", 1);
    refuses(text, false, TM_ETOOBIG, "head is larger than 1000");
}

static void test_http_answer__refused(void **state)
{
    (void)state;
    struct buf again;
    refuses("", true, TM_EIO, "without an answer");
    refuses("HTTP/1.1 200 x\r\nContent-Length: 3\r\n\r\nhi", true, TM_EIO, "cut short");
    refuses("SSH-2.0-x\r\n", false, TM_EMALFORMED, "not HTTP");
    refuses("HTTP/1.1 200 x\r\nETag: \x01\"a\"\r\n\r\n", false, TM_EMALFORMED, "not HTTP");
    refuses("HTTP/1.1 200 x\r\nContent-Length: 30\r\n\r\n012345678901234567890123456789", false, TM_ETOOBIG,
            "larger than 20");
    buf_init(&again, 4096);
    for (int i = 0; i <= HTTP_ANSWERS_BEFORE_MAX; i++)
        buf_puts(&again, "HTTP/1.1 100 x\r\n\r\n");
    refuses(buf_str(&again), false, TM_EMALFORMED, "again and again");
    buf_done(&again);
}

static bool take_none(void *arg, struct slice data)
{
    *(size_t *)arg += data.n;
    return false;
}

static void test_http_answer__write(void **state)
{
    (void)state;
    size_t n = 0;
    struct diag diag = {0};
    struct http_answer y = {.head_max = 100, .body_max = 20, .write = take_none, .write_arg = &n};
    http_answer_begin(&y);
    assert_int_equal(http_answer_take(&y, SLICE_LIT("HTTP/1.1 200 x\r\n\r\nhi"), &diag), TM_EIO);
    assert_int_equal(n, 2);
    assert_non_null(strstr(diag.message, "could not be written"));
    buf_done(&y.body);
    /* What went wrong there is told, not written. */
    y = (struct http_answer){.head_max = 100, .body_max = 20, .write = take_none, .write_arg = &n};
    http_answer_begin(&y);
    assert_int_equal(http_answer_take(&y, SLICE_LIT("HTTP/1.1 400 x\r\nContent-Length: 2\r\n\r\nno"), &diag),
                     TM_OK);
    assert_string_equal(buf_str(&y.body), "no");
    buf_done(&y.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_answer__bodies),
        cmocka_unit_test(test_http_answer__no_body_where_none_can_be),
        cmocka_unit_test(test_http_answer__only_the_answer_itself),
        cmocka_unit_test(test_http_answer__long_fields),
        cmocka_unit_test(test_http_answer__refused),
        cmocka_unit_test(test_http_answer__write),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&x.body);
    return failed;
}
