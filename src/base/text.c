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

/* What an octet stands for: the value of a digit, or one of these. */
enum { B64_PAD = 0xfd, B64_SPACE = 0xfe, B64_NONE = 0xff };

// clang-format off
static const uint8_t base64_values[2][256] = {
    [BASE64_STD] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3e, 0xff, 0xff, 0xff, 0x3f,
        0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0xff, 0xff, 0xff, 0xfd, 0xff, 0xff,
        0xff, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e,
        0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28,
        0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x33, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    },
    [BASE64_URL] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3e, 0xff, 0xff,
        0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0xff, 0xff, 0xff, 0xfd, 0xff, 0xff,
        0xff, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e,
        0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0xff, 0xff, 0xff, 0xff, 0x3f,
        0xff, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28,
        0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x33, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    },
};
// clang-format on

/* All whole groups of three; returns where it stopped writing. */
static char *base64_groups(char *out, const uint8_t *p, size_t n, const char *digits)
{
    for (; n >= 3; p += 3, n -= 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 0x3f];
        *out++ = digits[v >> 6 & 0x3f];
        *out++ = digits[v & 0x3f];
    }
    return out;
}

/* What is left of one or two octets. */
static char *base64_rest(char *out, const uint8_t *p, size_t n, enum base64_alphabet alphabet)
{
    const char *digits = alphabets[alphabet];
    if (n == 0)
        return out;
    uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0);
    *out++ = digits[v >> 18];
    *out++ = digits[v >> 12 & 0x3f];
    if (n > 1)
        *out++ = digits[v >> 6 & 0x3f];
    for (; alphabet == BASE64_STD && n < 3; n++)
        *out++ = '=';
    return out;
}

/* The text stands at the end of its room; move it to the front in lines. */
static void base64_wrap(char *out, const char *text, size_t chars, unsigned wrap)
{
    for (size_t at = 0; at < chars; at += wrap) {
        size_t n = chars - at < wrap ? chars - at : wrap;
        if (at)
            *out++ = '\n';
        memmove(out, text + at, n);
        out += n;
    }
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
    char *text = out + breaks;
    char *end = base64_groups(text, s.p, s.n, alphabets[alphabet]);
    base64_rest(end, s.p + s.n - rest, rest, alphabet);
    if (breaks)
        base64_wrap(out, text, chars, wrap);
}

char *arena_base64(struct arena *a, struct slice s)
{
    struct buf b;
    buf_init(&b, s.n + s.n / 2 + 16);
    buf_put_base64(&b, s, BASE64_STD, 0);
    char *out = buf_err(&b) == TM_OK ? arena_strdup(a, buf_str(&b)) : NULL;
    buf_done(&b);
    return out;
}

tm_err base64_decode(struct slice *ret, struct arena *a, struct slice text, enum base64_alphabet alphabet)
{
    const uint8_t *values = base64_values[alphabet];
    uint8_t *out = arena_alloc(a, text.n / 4 * 3 + 4);
    if (!out)
        return arena_err(a);
    size_t n = 0, digits = 0, pads = 0, i = 0;
    uint32_t bits = 0;
    while (i < text.n) {
        /* Four digits at a time while there is nothing else. */
        while (digits % 4 == 0 && pads == 0 && i + 4 <= text.n) {
            const uint8_t *p = text.p + i;
            uint8_t v0 = values[p[0]], v1 = values[p[1]], v2 = values[p[2]], v3 = values[p[3]];
            if ((v0 | v1 | v2 | v3) > 63)
                break;
            out[n++] = (uint8_t)(v0 << 2 | v1 >> 4);
            out[n++] = (uint8_t)(v1 << 4 | v2 >> 2);
            out[n++] = (uint8_t)(v2 << 6 | v3);
            digits += 4;
            i += 4;
        }
        if (i == text.n)
            break;
        uint8_t digit = values[text.p[i++]];
        if (digit == B64_SPACE)
            continue;
        if (digit == B64_PAD) {
            pads++;
            continue;
        }
        if (digit > 63 || pads > 0)
            return TM_EMALFORMED;
        bits = bits << 6 | digit;
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

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
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

uint32_t utf8_code(struct slice s, size_t step)
{
    static const uint8_t mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = s.p[0] & mask[step];
    for (size_t i = 1; i < step; i++)
        c = c << 6 | (s.p[i] & 0x3f);
    return c;
}

bool utf8_invisible(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff0 && c <= 0xffff) || (c >= 0xe0000 && c <= 0xe0fff);
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

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool stars_match(struct slice text, struct slice pattern)
{
    size_t t = 0, p = 0, star = SIZE_MAX, from = 0;
    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            from = t;
        } else if (p < pattern.n && lower(pattern.p[p]) == lower(text.p[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            /* The last star takes one octet more; earlier ones need not be tried again. */
            p = star + 1;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}
