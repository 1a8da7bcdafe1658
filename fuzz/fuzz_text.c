/* Text forms: hex, base64, PEM, UTF-8, JSON strings, names, times and durations. What decodes must encode to something
 * that decodes to the same, where the arena has room for it.
 * Parser: base/text.c base/clock.c -clock_now* -clock_fix -clock_mono* */
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_hex(struct arena *a, struct slice s)
{
    struct slice bytes, again = {0};
    if (hex_decode(&bytes, a, s) != TM_OK)
        return;
    const char *text = arena_hex(a, bytes);
    tm_err err = text ? hex_decode(&again, a, slice_str(text)) : TM_ETOOBIG;
    check(err == TM_ETOOBIG || (err == TM_OK && slice_eq(bytes, again)));
}

static void fuzz_hex_out(struct slice s, size_t room)
{
    struct buf b;
    buf_init(&b, room);
    buf_put_hex(&b, s);
    buf_put_base64(&b, s, BASE64_URL, 7);
    check(buf_err(&b) == TM_OK ? b.n >= 2 * s.n : buf_err(&b) == TM_ETOOBIG);
    buf_done(&b);
}

static void fuzz_base64(struct arena *a, struct slice s, enum base64_alphabet alphabet)
{
    struct slice bytes, again = {0};
    if (base64_decode(&bytes, a, s, alphabet) != TM_OK)
        return;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_put_base64(&b, bytes, alphabet, 64);
    tm_err err = base64_decode(&again, a, buf_slice(&b), alphabet);
    check(buf_err(&b) == TM_OK && (err == TM_ETOOBIG || (err == TM_OK && slice_eq(bytes, again))));
    buf_done(&b);
}

static void fuzz_pem(struct arena *a, struct slice s, const char *wanted)
{
    struct slice der, again = {0};
    char *label = NULL, *label_again = NULL;
    while (pem_next(&der, &label, a, &s, wanted) == TM_OK) {
        struct buf b;
        buf_init(&b, 1 << 20);
        buf_put_pem(&b, label, der);
        struct slice text = buf_slice(&b);
        tm_err err = pem_next(&again, &label_again, a, &text, NULL);
        check(buf_err(&b) == TM_OK && (err == TM_OK || err == TM_ETOOBIG));
        check(err != TM_OK || (slice_eq(der, again) && slice_eq_str(slice_str(label), label_again)));
        buf_done(&b);
    }
}

static void fuzz_times(struct slice s)
{
    int64_t t, again = 0;
    if (clock_parse_rfc3339(&t, s) == TM_OK) {
        char text[21];
        clock_format_rfc3339(text, t);
        check(clock_parse_rfc3339(&again, slice_str(text)) == TM_OK && again == t);
    }
    if (duration_parse(&t, s) == TM_OK) {
        char text[24];
        duration_format(text, t);
        check(duration_parse(&again, slice_str(text)) == TM_OK && again == t);
    }
}

static void fuzz_json_string(struct slice s)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_put_json_string(&b, s);
    check(buf_err(&b) == TM_OK && utf8_valid(buf_slice(&b)));
    buf_done(&b);
}

/* Code points come one after the other, and none beyond the last there is; what is invisible is no letter or digit. */
static void fuzz_characters(struct slice s)
{
    size_t step;
    for (; (step = utf8_step(s)) > 0; s = slice_sub(s, step, s.n)) {
        uint32_t c = utf8_code(s, step);
        check(step <= s.n && c <= 0x10ffff && (c < 0x80) == (step == 1) && !(c >= 0xd800 && c <= 0xdfff));
        check(!utf8_invisible(c) || c < 'A' || c > 'z');
    }
}

/* The first half as a pattern for the second. */
static void fuzz_stars(struct slice s)
{
    struct slice pattern = slice_sub(s, 0, s.n / 2), text = slice_sub(s, s.n / 2, s.n);
    if (s.n > 1024)
        return;
    bool fits = stars_match(text, pattern);
    check(stars_match(text, SLICE_LIT("*")) && stars_match(text, text));
    if (pattern.n == 0 || !memchr(pattern.p, '*', pattern.n))
        check(fits == slice_caseeq(text, pattern));
}

/* With room for everything, and running out on the way. */
static void fuzz_with_room(struct slice s, size_t room)
{
    struct arena *a = arena_new(room);
    if (!a)
        return;
    fuzz_hex(a, s);
    fuzz_base64(a, s, BASE64_STD);
    fuzz_base64(a, s, BASE64_URL);
    fuzz_pem(a, s, NULL);
    fuzz_pem(a, s, "A");
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = slice_of(data, size);
    if (size > 16 << 10)
        return 0;
    fuzz_with_room(s, 0);
    fuzz_with_room(s, 16);
    fuzz_hex_out(s, 1 << 20);
    fuzz_hex_out(s, 16);
    fuzz_times(s);
    fuzz_json_string(s);
    fuzz_characters(s);
    fuzz_stars(s);
    check(!name_valid(slice_trim(s)) || utf8_valid(slice_trim(s)));
    return 0;
}
