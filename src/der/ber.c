#include "der/ber.h"
#include "base/arena.h"
#include "base/buf.h"
#include "der/builder.h"
#include "der/reader.h"

enum { DEPTH_MAX = 32 };

struct ber {
    const uint8_t *start, *p, *end;
    struct diag *diag;
    struct buf *out; /* NULL: only look whether anything has to change */
    bool changed;
};

/* One header as read: *n is the length of the contents, SIZE_MAX for an indefinite one. */
struct head {
    unsigned tag;
    size_t n;
};

static tm_err malformed(struct ber *b, const uint8_t *at, const char *rule, const char *message)
{
    if (b->diag)
        b->diag->offset = (size_t)(at - b->start);
    return diag_fail(b->diag, TM_EMALFORMED, rule, NULL, "%s", message);
}

static tm_err head_read(struct ber *b, const uint8_t *end, struct head *ret)
{
    const uint8_t *at = b->p;
    if (end - b->p < 2)
        return malformed(b, at, "X.690 8.1", "ends inside an element's header");
    ret->tag = *b->p++;
    if ((ret->tag & 0x1f) == 0x1f)
        return malformed(b, at, "X.690 8.1.2.4", "tag number above 30");
    size_t n = *b->p++;
    if (n == 0x80) {
        if (!(ret->tag & 0x20))
            return malformed(b, at, "X.690 8.1.3.2", "indefinite length of a primitive element");
        b->changed = true;
        ret->n = SIZE_MAX;
        return TM_OK;
    }
    if (n > 0x80) {
        size_t octets = n & 0x7f;
        if (octets == 0x7f || (size_t)(end - b->p) < octets)
            return malformed(b, at, "X.690 8.1.3.5", "ends inside an element's length");
        b->changed |= b->p[0] == 0;
        n = 0;
        for (size_t i = 0; i < octets; i++) {
            if (n > (SIZE_MAX >> 9))
                return malformed(b, at, "X.690 8.1.3", "an element is longer than what holds it");
            n = n << 8 | *b->p++;
        }
        b->changed |= n < 0x80;
    }
    if (n > (size_t)(end - b->p))
        return malformed(b, at, "X.690 8.1.3", "an element is longer than what holds it");
    ret->n = n;
    return TM_OK;
}

/* True and consumed when the end-of-contents octets (X.690 8.1.5) stand here. */
static bool end_of_contents(struct ber *b, const uint8_t *end)
{
    if (end - b->p < 2 || b->p[0] != 0 || b->p[1] != 0)
        return false;
    b->p += 2;
    return true;
}

/* Where the elements inside `h` stop: at the end of a definite length, else somewhere before `end`. */
static const uint8_t *inner_end(const struct ber *b, const struct head *h, const uint8_t *end)
{
    return h->n == SIZE_MAX ? end : b->p + h->n;
}

/* More elements inside `h`? Consumes the end-of-contents octets of an indefinite one. */
static tm_err more(struct ber *b, const struct head *h, const uint8_t *end, bool *ret)
{
    if (h->n != SIZE_MAX) {
        *ret = b->p < end;
        return TM_OK;
    }
    if (b->p == end)
        return malformed(b, b->p, "X.690 8.1.5", "end-of-contents octets are missing");
    *ret = !end_of_contents(b, end);
    return TM_OK;
}

/* The universal string types, which BER may cut into segments (X.690 8.6.4, 8.7.3, 8.23). */
static bool is_string(unsigned tag)
{
    static const uint32_t strings = 1u << 3 | 1u << 4 | 1u << 12 | 1u << 18 | 1u << 19 | 1u << 20 | 1u << 21 |
                                    1u << 22 | 1u << 23 | 1u << 24 | 1u << 25 | 1u << 26 | 1u << 27 |
                                    1u << 28 | 1u << 30;
    return (tag & 0xc0) == 0 && strings >> (tag & 0x1f) & 1;
}

static void emit(struct ber *b, const uint8_t *p, size_t n)
{
    if (b->out)
        buf_put(b->out, p, n);
}

/* Segments of a constructed string, written one after another. For a BIT STRING only the last segment may have unused bits
 * (X.690 8.6.4); their count goes to *unused. */
static tm_err segments(struct ber *b, const struct head *h, const uint8_t *end, unsigned depth,
                       unsigned *unused)
{
    if (depth >= DEPTH_MAX)
        return malformed(b, b->p, "X.690 8.7", "nested too deeply");
    end = inner_end(b, h, end);
    for (;;) {
        bool again = false;
        struct head seg = {0};
        TM_TRY(more(b, h, end, &again));
        if (!again)
            return TM_OK;
        const uint8_t *at = b->p;
        TM_TRY(head_read(b, end, &seg));
        /* Segments of the other string types are OCTET STRINGs (X.690 8.23.6), which some senders tag as the string itself. */
        bool bits = (h->tag & 0x1f) == DER_BIT_STRING;
        unsigned number = seg.tag & 0xdf;
        if (number != (h->tag & 0x1f) && (bits || number != DER_OCTET_STRING))
            return malformed(b, at, "X.690 8.7.3", "a segment of another type");
        if (seg.tag & 0x20) {
            struct head nested = {.tag = h->tag, .n = seg.n};
            TM_TRY(segments(b, &nested, end, depth + 1, unused));
            continue;
        }
        const uint8_t *p = b->p;
        b->p += seg.n;
        if (bits) {
            if (seg.n == 0 || p[0] > 7 || *unused)
                return malformed(b, at, "X.690 8.6.4", "unused bits before the last segment");
            *unused = p[0];
            p++;
            seg.n--;
        }
        emit(b, p, seg.n);
    }
}

/* Contents stand in the buffer from `at`, after one octet for the length: make it what it has to be (X.690 10.1). */
static tm_err fix_length(struct ber *b, size_t at)
{
    if (!b->out)
        return TM_OK;
    TM_TRY(buf_err(b->out));
    size_t n = b->out->n - at, octets = n < 0x80        ? 1
                                        : n <= 0xff     ? 2
                                        : n <= 0xffff   ? 3
                                        : n <= 0xffffff ? 4
                                                        : 5;
    if (octets > 1) {
        if (!buf_extend(b->out, octets - 1))
            return buf_err(b->out);
        memmove(b->out->p + at + octets - 1, b->out->p + at, n);
    }
    uint8_t *p = b->out->p + at - 1;
    p[0] = (uint8_t)(octets == 1 ? n : 0x80 | (octets - 1));
    for (size_t i = octets - 1; i > 0; i--, n >>= 8)
        p[i] = (uint8_t)n;
    return TM_OK;
}

/* Opens an element in the output; what fix_length() wants. */
static size_t open_element(struct ber *b, unsigned tag)
{
    uint8_t head[2] = {(uint8_t)tag, 0};
    emit(b, head, sizeof head);
    return b->out ? b->out->n : 0;
}

static tm_err element(struct ber *b, const uint8_t *end, unsigned depth)
{
    struct head h = {0};
    const uint8_t *at = b->p;
    if (depth >= DEPTH_MAX)
        return malformed(b, at, "X.690 8.1", "nested too deeply");
    TM_TRY(head_read(b, end, &h));
    if (h.tag == 0)
        return malformed(b, at, "X.690 8.1.5", "end-of-contents octets out of place");
    size_t out_at = open_element(b, h.tag & 0x20 && is_string(h.tag) ? h.tag & ~0x20u : h.tag);
    if (!(h.tag & 0x20)) {
        emit(b, b->p, h.n);
        b->p += h.n;
    } else if (is_string(h.tag)) {
        unsigned unused = 0;
        bool bits = (h.tag & 0x1f) == DER_BIT_STRING;
        b->changed = true;
        if (bits)
            emit(b, (const uint8_t[]){0}, 1);
        TM_TRY(segments(b, &h, end, depth, &unused));
        if (bits && b->out && buf_err(b->out) == TM_OK)
            b->out->p[out_at] = (uint8_t)unused;
    } else {
        end = inner_end(b, &h, end);
        for (bool again = false;;) {
            TM_TRY(more(b, &h, end, &again));
            if (!again)
                break;
            TM_TRY(element(b, end, depth + 1));
        }
    }
    return fix_length(b, out_at);
}

static tm_err pass(struct ber *b, struct slice ber)
{
    b->start = b->p = ber.p;
    b->end = ber.n ? ber.p + ber.n : ber.p;
    TM_TRY(element(b, b->end, 0));
    return b->p == b->end ? TM_OK : malformed(b, b->p, "X.690 8.1", "bytes left over");
}

tm_err ber_normalize(struct slice *ret, struct arena *a, struct slice ber, size_t max, struct diag *diag)
{
    struct ber b = {.diag = diag};
    struct buf out;
    TM_TRY(pass(&b, ber));
    if (!b.changed) {
        if (ber.n > max)
            return diag_fail(diag, TM_ETOOBIG, NULL, NULL, "more than %zu bytes", max);
        *ret = ber;
        return TM_OK;
    }
    buf_init(&out, max);
    b.out = &out;
    tm_err e = pass(&b, ber);
    if (e == TM_OK)
        e = buf_err(&out);
    if (e == TM_OK)
        e = arena_copy(ret, a, buf_slice(&out));
    buf_done(&out);
    return e;
}
