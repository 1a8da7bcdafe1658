#include "base/buf.h"
#include "http/chunked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

/* Feeds `in` in steps of `step` octets; the data goes to *out. Returns what chunked_feed() did, *ret_used how far it came. */
static tm_err decode(struct buf *out, const char *in, size_t step, size_t *ret_used, bool *ret_done)
{
    struct chunked c;
    size_t n = strlen(in), at = 0;
    chunked_init(&c, 64);
    buf_reset(out);
    while (at < n && !c.done) {
        struct slice piece;
        size_t used;
        tm_err err = chunked_feed(&c, slice_of(in + at, step < n - at ? step : n - at), &used, &piece);
        if (err != TM_OK)
            return err;
        assert_true(used > 0);
        buf_put_slice(out, piece);
        at += used;
    }
    *ret_used = at;
    *ret_done = c.done;
    return TM_OK;
}

static void test_chunked_feed__whole(void **state)
{
    static const struct {
        const char *in, *out;
        size_t left;
    } cases[] = {
        {"0\r\n\r\n", "", 0},
        {"5\r\nhello\r\n0\r\n\r\n", "hello", 0},
        {"5\r\nhello\r\n0\r\n\r\nGET", "hello", 3},
        {"00005\r\nhello\r\nA\r\n0123456789\r\n000\r\n\r\n", "hello0123456789", 0},
        {"2;a=b;c=\"d e\"\r\nhi\r\n0;x\r\n\r\n", "hi", 0},
        {"2 \r\nhi\r\n0\t\r\n\r\n", "hi", 0},
        {"2\r\n\r\n\r\n0\r\nTrailer: x\r\nOther:\r\n\r\n", "\r\n", 0},
    };
    struct buf b;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t step = 1; step < 40; step++) {
            size_t used;
            bool done;
            assert_int_equal(decode(&b, cases[i].in, step, &used, &done), TM_OK);
            assert_true(done);
            assert_string_equal(buf_str(&b), cases[i].out);
            assert_int_equal(used, strlen(cases[i].in) - cases[i].left);
        }
    }
    buf_done(&b);
}

static void test_chunked_feed__malformed(void **state)
{
    static const char *const cases[] = {
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\nx\r\n",
        "0x1\r\nx\r\n",
        " 1\r\nx\r\n",
        ";a\r\n",
        "1\nx\n0\n\n",
        "1\rXx\r\n",
        "1\r\nxy\r\n",
        "1\r\nx\n0\r\n\r\n",
        "1\r\nx\rX0\r\n\r\n",
        "1\r\nx0\r\n\r\n",
        "1;a\nb\r\nx\r\n",
        "1;a\x01\r\nx\r\n",
        "1 2\n",
        "10000000000000000\r\n",
        "ffffffffffffffff\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\n: x\r\n\r\n",
        "0\r\na\nb\r\n\r\n",
        "0\r\na\rb\r\n\r\n",
        "0\r\n\rX",
    };
    struct buf b;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t used;
        bool done;
        assert_int_equal(decode(&b, cases[i], 1, &used, &done), TM_EMALFORMED);
        assert_int_equal(decode(&b, cases[i], 100, &used, &done), TM_EMALFORMED);
    }
    buf_done(&b);
}

static void test_chunked_feed__limits(void **state)
{
    char text[CHUNKED_LINE_MAX + 100];
    struct buf b;
    size_t used;
    bool done;
    buf_init(&b, 1000);
    memset(text, 'a', sizeof text);
    memcpy(text, "0\r\n", 3);
    text[sizeof text - 1] = '\0';
    assert_int_equal(decode(&b, text, 7, &used, &done), TM_ETOOBIG);
    memcpy(text, "1;a", 3);
    assert_int_equal(decode(&b, text, 7, &used, &done), TM_EMALFORMED);
    memset(text, '0', sizeof text - 1);
    assert_int_equal(decode(&b, text, 7, &used, &done), TM_EMALFORMED);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunked_feed__whole),
        cmocka_unit_test(test_chunked_feed__malformed),
        cmocka_unit_test(test_chunked_feed__limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
