#include "der/oid.h"
#include "base/arena.h"
#include "base/buf.h"

#define X(symbol, dotted, name, ...) static const uint8_t contents_##symbol[] = {__VA_ARGS__};
#include "der/oid_table.h"
#undef X

static const struct row {
    const uint8_t *p;
    size_t n;
    const char *dotted, *name;
} rows[OID_COUNT] = {
#define X(symbol, dotted, name, ...)                                                                         \
    [OID_##symbol] = {contents_##symbol, sizeof contents_##symbol, dotted, name},
#include "der/oid_table.h"
#undef X
};

/* The longest arc we can show: 128 bits, as in 2.25.<UUID>. */
typedef unsigned __int128 arc_t;
enum { ARC_TEXT = 40, DOTTED_MAX = 1024 };

enum oid oid_find(struct slice contents)
{
    unsigned lo = 1, hi = OID_COUNT;
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        size_t n = rows[mid].n < contents.n ? rows[mid].n : contents.n;
        int c = n ? memcmp(contents.p, rows[mid].p, n) : 0;
        if (c == 0 && contents.n == rows[mid].n)
            return (enum oid)mid;
        if (c < 0 || (c == 0 && contents.n < rows[mid].n))
            hi = mid;
        else
            lo = mid + 1;
    }
    return OID_UNKNOWN;
}

enum oid oid_find_name(struct slice name)
{
    for (unsigned i = 1; i < OID_COUNT; i++)
        if (slice_eq_str(name, rows[i].name))
            return (enum oid)i;
    return OID_UNKNOWN;
}

struct slice oid_contents(enum oid id)
{
    return id > OID_UNKNOWN && id < OID_COUNT ? slice_of(rows[id].p, rows[id].n) : (struct slice){0};
}

const char *oid_dotted(enum oid id)
{
    return id > OID_UNKNOWN && id < OID_COUNT ? rows[id].dotted : "";
}

const char *oid_name(enum oid id)
{
    return id > OID_UNKNOWN && id < OID_COUNT ? rows[id].name : "";
}

/* One decimal arc without leading zeros; *text moves past it and a following dot. */
static tm_err arc_parse(arc_t *ret, struct slice *text)
{
    size_t i = 0;
    arc_t v = 0;
    for (; i < text->n && text->p[i] >= '0' && text->p[i] <= '9'; i++) {
        arc_t d = (arc_t)(text->p[i] - '0');
        if (v > (~(arc_t)0 - d) / 10)
            return TM_EINVAL;
        v = v * 10 + d;
    }
    if (i == 0 || (i > 1 && text->p[0] == '0'))
        return TM_EINVAL;
    if (i < text->n) {
        if (text->p[i] != '.' || i + 1 == text->n)
            return TM_EINVAL;
        i++;
    }
    *ret = v;
    *text = slice_sub(*text, i, text->n);
    return TM_OK;
}

/* X.690 8.19.2: base 128, most significant first, no leading 0x80. */
static size_t arc_encode(uint8_t *out, arc_t v)
{
    size_t n = 1;
    for (arc_t rest = v >> 7; rest; rest >>= 7)
        n++;
    for (size_t i = n; i-- > 0; v >>= 7)
        out[i] = (uint8_t)((v & 0x7f) | (i + 1 < n ? 0x80 : 0));
    return n;
}

tm_err oid_from_dotted(struct slice *ret, struct arena *a, struct slice text)
{
    arc_t first, second;
    if (text.n > DOTTED_MAX)
        return TM_EINVAL;
    /* No encoded arc is longer than its text, and the first two arcs share one. */
    uint8_t *out = arena_alloc(a, text.n + 2);
    if (!out)
        return TM_ENOMEM;
    TM_TRY(arc_parse(&first, &text));
    TM_TRY(arc_parse(&second, &text));
    /* X.660: three arcs at the root, 40 children of the first two. */
    if (first > 2 || (first < 2 && second > 39) || second > ~(arc_t)0 - 80)
        return TM_EINVAL;
    size_t n = arc_encode(out, first * 40 + second);
    while (text.n) {
        arc_t v;
        TM_TRY(arc_parse(&v, &text));
        n += arc_encode(out + n, v);
    }
    *ret = slice_of(out, n);
    return TM_OK;
}

/* Decimal text of v, ending before `end`; where it starts. */
static char *arc_text(char *end, arc_t v)
{
    do
        *--end = (char)('0' + (int)(v % 10));
    while (v /= 10);
    return end;
}

void oid_print_dotted(struct buf *out, struct slice contents)
{
    arc_t v = 0;
    bool first = true;
    for (size_t i = 0; i < contents.n; i++) {
        if (v >> 121) { /* longer than der_read_oid() lets through */
            buf_putc(out, '?');
            return;
        }
        v = v << 7 | (contents.p[i] & 0x7f);
        if (contents.p[i] & 0x80)
            continue;
        if (first) { /* X.690 8.19.4: the first two arcs share one */
            int root = v < 40 ? 0 : v < 80 ? 1 : 2;
            buf_putc(out, (uint8_t)('0' + root));
            v -= (arc_t)root * 40;
            first = false;
        }
        char digits[ARC_TEXT], *end = digits + sizeof digits, *start = arc_text(end, v);
        buf_putc(out, '.');
        buf_put(out, start, (size_t)(end - start));
        v = 0;
    }
}

const char *oid_to_dotted(struct arena *a, struct slice contents)
{
    struct buf out;
    buf_init(&out, DOTTED_MAX);
    oid_print_dotted(&out, contents);
    const char *text = buf_err(&out) == TM_OK ? arena_strdup(a, buf_str(&out)) : NULL;
    buf_done(&out);
    return text;
}

const char *oid_to_text(struct arena *a, struct slice contents)
{
    enum oid id = oid_find(contents);
    return id ? oid_name(id) : oid_to_dotted(a, contents);
}
