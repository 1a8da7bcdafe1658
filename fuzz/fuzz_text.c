/* Text forms: hex, base64, PEM, UTF-8, JSON strings, names, times and durations. What decodes must encode to something
 * that decodes to the same. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include <stdlib.h>

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
    check(text && hex_decode(&again, a, slice_str(text)) == TM_OK && slice_eq(bytes, again));
}

static void fuzz_base64(struct arena *a, struct slice s, enum base64_alphabet alphabet)
{
    struct slice bytes, again = {0};
    if (base64_decode(&bytes, a, s, alphabet) != TM_OK)
        return;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_put_base64(&b, bytes, alphabet, 64);
    check(buf_err(&b) == TM_OK && base64_decode(&again, a, buf_slice(&b), alphabet) == TM_OK);
    check(slice_eq(bytes, again));
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
        check(buf_err(&b) == TM_OK && pem_next(&again, &label_again, a, &text, NULL) == TM_OK);
        check(slice_eq(der, again) && slice_eq_str(slice_str(label), label_again));
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = slice_of(data, size);
    struct arena *a = size <= 64 << 10 ? arena_new(0) : NULL;
    if (!a)
        return 0;
    fuzz_hex(a, s);
    fuzz_base64(a, s, BASE64_STD);
    fuzz_base64(a, s, BASE64_URL);
    fuzz_pem(a, s, NULL);
    fuzz_pem(a, s, "A");
    fuzz_times(s);
    fuzz_json_string(s);
    check(!name_valid(slice_trim(s)) || utf8_valid(slice_trim(s)));
    arena_free(a);
    return 0;
}
