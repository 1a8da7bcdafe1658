#include "base/text.h"
#include "base/arena.h"
#include <stdlib.h>
#include <string.h>

/* ---- hex ---- */

static void hex_put(char *out, struct slice s)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < s.n; i++) {
        out[2 * i] = digits[s.p[i] >> 4];
        out[2 * i + 1] = digits[s.p[i] & 0xf];
    }
}

void hex_encode(char *out, struct slice s)
{
    hex_put(out, s);
    out[2 * s.n] = '\0';
}

void buf_put_hex(struct buf *b, struct slice s)
{
    if (s.n > SIZE_MAX / 2) {
        b->err = b->err != TM_OK ? b->err : TM_ETOOBIG;
        return;
    }
    char *out = (char *)buf_extend(b, 2 * s.n);
    if (out)
        hex_put(out, s);
}

char *arena_hex(struct arena *a, struct slice s)
{
    char *out = s.n < SIZE_MAX / 2 ? arena_alloc(a, 2 * s.n + 1) : NULL;
    if (out)
        hex_encode(out, s);
    return out;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

tm_err hex_decode(struct slice *ret, struct arena *a, struct slice hex)
{
    uint8_t *out = arena_alloc(a, hex.n / 2 + 1);
    if (!out)
        return arena_err(a);
    size_t n = 0, at = 0;
    while (at < hex.n) {
        if (n > 0 && hex.p[at] == ':')
            at++;
        if (hex.n - at < 2)
            return TM_EMALFORMED;
        int high = hex_digit(hex.p[at]), low = hex_digit(hex.p[at + 1]);
        if (high < 0 || low < 0)
            return TM_EMALFORMED;
        out[n++] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    *ret = slice_of(out, n);
    return TM_OK;
}

/* ---- base64 (RFC 4648) ---- */

static const char alphabets[2][65] = {
    [BASE64_STD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    [BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

/* Writes the characters of up to three bytes; returns how many. */
static size_t base64_group(char out[4], const uint8_t *p, size_t n, enum base64_alphabet alphabet)
{
    const char *digits = alphabets[alphabet];
    uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
    out[0] = digits[v >> 18];
    out[1] = digits[v >> 12 & 0x3f];
    out[2] = n > 1 ? digits[v >> 6 & 0x3f] : '=';
    out[3] = n > 2 ? digits[v & 0x3f] : '=';
    return alphabet == BASE64_STD ? 4 : n + 1;
}

void buf_put_base64(struct buf *b, struct slice s, enum base64_alphabet alphabet, unsigned wrap)
{
    if (s.n > SIZE_MAX / 4) {
        b->err = b->err != TM_OK ? b->err : TM_ETOOBIG;
        return;
    }
    size_t rest = s.n % 3;
    size_t chars = s.n / 3 * 4 + (rest == 0 ? 0 : alphabet == BASE64_STD ? 4 : rest + 1);
    size_t breaks = wrap && chars ? (chars - 1) / wrap : 0;
    char *out = (char *)buf_extend(b, chars + breaks);
    if (!out)
        return;
    unsigned column = 0;
    for (size_t at = 0; at < s.n; at += 3) {
        char group[4];
        size_t n = base64_group(group, s.p + at, s.n - at < 3 ? s.n - at : 3, alphabet);
        for (size_t i = 0; i < n; i++) {
            if (wrap && column == wrap) {
                *out++ = '\n';
                column = 0;
            }
            *out++ = group[i];
            column++;
        }
    }
}

static int base64_digit(uint8_t c, enum base64_alphabet alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (uint8_t)alphabets[alphabet][62])
        return 62;
    return c == (uint8_t)alphabets[alphabet][63] ? 63 : -1;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

tm_err base64_decode(struct slice *ret, struct arena *a, struct slice text, enum base64_alphabet alphabet)
{
    uint8_t *out = arena_alloc(a, text.n / 4 * 3 + 4);
    if (!out)
        return arena_err(a);
    size_t n = 0, digits = 0, pads = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (is_space(c))
            continue;
        if (c == '=') {
            pads++;
            continue;
        }
        int digit = base64_digit(c, alphabet);
        if (digit < 0 || pads > 0)
            return TM_EMALFORMED;
        bits = bits << 6 | (uint32_t)digit;
        if (++digits % 4 == 0) {
            out[n++] = (uint8_t)(bits >> 16);
            out[n++] = (uint8_t)(bits >> 8);
            out[n++] = (uint8_t)bits;
            bits = 0;
        }
    }
    size_t rest = digits % 4;
    if (rest == 1 || pads > (4 - rest) % 4)
        return TM_EMALFORMED;
    /* RFC 4648 3.5: the bits that are left over are zero, else one value would have several texts. */
    if ((rest == 2 && (bits & 0xf)) || (rest == 3 && (bits & 0x3)))
        return TM_EMALFORMED;
    if (rest == 2) {
        out[n++] = (uint8_t)(bits >> 4);
    } else if (rest == 3) {
        out[n++] = (uint8_t)(bits >> 10);
        out[n++] = (uint8_t)(bits >> 2);
    }
    *ret = slice_of(out, n);
    return TM_OK;
}

/* ---- PEM (RFC 7468) ---- */

#define PEM_BEGIN  "-----BEGIN "
#define PEM_END    "-----END "
#define PEM_DASHES "-----"
enum { PEM_LABEL_MAX = 64, PEM_COLUMNS = 64 };

void buf_put_pem(struct buf *b, const char *label, struct slice der)
{
    buf_printf(b, PEM_BEGIN "%s" PEM_DASHES "\n", label);
    buf_put_base64(b, der, BASE64_STD, PEM_COLUMNS);
    if (der.n > 0)
        buf_putc(b, '\n');
    buf_printf(b, PEM_END "%s" PEM_DASHES "\n", label);
}

/* The index of `what` in s at or after `from`; s.n when it is not there. */
static size_t find(struct slice s, size_t from, struct slice what)
{
    if (from >= s.n)
        return s.n;
    const uint8_t *at = memmem(s.p + from, s.n - from, what.p, what.n);
    return at ? (size_t)(at - s.p) : s.n;
}

/* The label that starts at `from` and ends in dashes: the printable characters of RFC 7468 section 3, may be empty. */
static bool pem_label(struct slice *ret, struct slice text, size_t from)
{
    size_t end = from;
    while (end < text.n && end - from <= PEM_LABEL_MAX && text.p[end] >= 0x20 && text.p[end] < 0x7f) {
        if (slice_eq(slice_sub(text, end, 5), SLICE_LIT(PEM_DASHES))) {
            *ret = slice_sub(text, from, end - from);
            return true;
        }
        end++;
    }
    return false;
}

struct pem_block {
    struct slice label, base64, after;
};

/* The first block in `text`, whatever its label. Text around blocks is explanatory (RFC 7468 section 5.2). */
static tm_err pem_find(struct pem_block *ret, struct slice text)
{
    size_t begin = find(text, 0, SLICE_LIT(PEM_BEGIN));
    while (begin > 0 && begin < text.n && !is_space(text.p[begin - 1]))
        begin = find(text, begin + 1, SLICE_LIT(PEM_BEGIN));
    if (begin == text.n)
        return TM_ENOTFOUND;
    struct pem_block block;
    if (!pem_label(&block.label, text, begin + sizeof PEM_BEGIN - 1))
        return TM_EMALFORMED;
    size_t body = (size_t)(block.label.p - text.p) + block.label.n + sizeof PEM_DASHES - 1;
    size_t end = find(text, body, SLICE_LIT(PEM_DASHES));
    size_t tail = end + sizeof PEM_END - 1;
    struct slice end_label;
    if (!slice_eq(slice_sub(text, end, sizeof PEM_END - 1), SLICE_LIT(PEM_END)) ||
        !pem_label(&end_label, text, tail) || !slice_eq(end_label, block.label))
        return TM_EMALFORMED;
    block.base64 = slice_sub(text, body, end - body);
    block.after = slice_sub(text, tail + end_label.n + sizeof PEM_DASHES - 1, text.n);
    *ret = block;
    return TM_OK;
}

tm_err pem_next(struct slice *ret_der, char **ret_label, struct arena *a, struct slice *text,
                const char *label)
{
    struct pem_block block = {.after = *text};
    do
        TM_TRY(pem_find(&block, block.after));
    while (label && !slice_eq_str(block.label, label));
    struct slice der;
    TM_TRY(base64_decode(&der, a, block.base64, BASE64_STD));
    if (ret_label) {
        struct slice copy;
        TM_TRY(arena_copy(&copy, a, block.label));
        *ret_label = (char *)(uintptr_t)copy.p;
    }
    *ret_der = der;
    *text = block.after;
    return TM_OK;
}

/* ---- UTF-8 (RFC 3629 section 4) ---- */

size_t utf8_step(struct slice s)
{
    if (s.n == 0)
        return 0;
    uint8_t first = s.p[0];
    if (first < 0x80)
        return 1;
    /* The second byte's range excludes overlongs, surrogates and what lies beyond U+10FFFF. */
    size_t n = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0xc2 || first > 0xf4 || s.n < n || s.p[1] < low || s.p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s.p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool utf8_valid(struct slice s)
{
    size_t at = 0;
    while (at < s.n) {
        size_t step = utf8_step(slice_of(s.p + at, s.n - at));
        if (step == 0 || s.p[at] == '\0')
            return false;
        at += step;
    }
    return true;
}

/* ---- names ---- */

static bool is_name_alnum(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool name_valid(struct slice s)
{
    if (s.n < 1 || s.n > 63 || !is_name_alnum(s.p[0]) || !is_name_alnum(s.p[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_name_alnum(s.p[i]) && s.p[i] != '-')
            return false;
    return true;
}
