#include "identity/cbor.h"

enum { MAJOR_UINT, MAJOR_NINT, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP, MAJOR_TAG, MAJOR_SIMPLE };

void cbor_init(struct cbor *c, struct slice octets)
{
    *c = (struct cbor){.p = octets.p, .end = octets.p + octets.n};
}

static size_t left(const struct cbor *c)
{
    return (size_t)(c->end - c->p);
}

static uint64_t fail(struct cbor *c)
{
    if (c->err == TM_OK)
        c->err = TM_EMALFORMED;
    return 0;
}

/* RFC 8949 3: the initial octet and its argument. */
static uint64_t head(struct cbor *c, unsigned *ret_major)
{
    *ret_major = MAJOR_SIMPLE;
    if (c->err != TM_OK || left(c) == 0)
        return fail(c);
    unsigned first = *c->p++, info = first & 31;
    *ret_major = first >> 5;
    if (info < 24)
        return info;
    size_t n = (size_t)1 << (info - 24);
    if (info > 27 || left(c) < n)
        return fail(c);
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | *c->p++;
    return v > INT64_MAX ? fail(c) : v;
}

int64_t cbor_int(struct cbor *c)
{
    unsigned major;
    uint64_t v = head(c, &major);
    if (major == MAJOR_UINT)
        return (int64_t)v;
    if (major == MAJOR_NINT)
        return -1 - (int64_t)v;
    return (int64_t)fail(c);
}

static struct slice string(struct cbor *c, unsigned wanted)
{
    unsigned major;
    uint64_t n = head(c, &major);
    if (c->err != TM_OK || major != wanted || n > left(c)) {
        fail(c);
        return slice_of(NULL, 0);
    }
    struct slice s = slice_of(c->p, (size_t)n);
    c->p += n;
    return s;
}

struct slice cbor_bytes(struct cbor *c)
{
    return string(c, MAJOR_BYTES);
}

struct slice cbor_text(struct cbor *c)
{
    return string(c, MAJOR_TEXT);
}

size_t cbor_map(struct cbor *c)
{
    unsigned major;
    uint64_t n = head(c, &major);
    if (c->err != TM_OK || major != MAJOR_MAP || n > CBOR_MEMBERS_MAX)
        return (size_t)fail(c);
    return (size_t)n;
}

bool cbor_is_int(const struct cbor *c)
{
    return c->err == TM_OK && left(c) > 0 && *c->p >> 5 <= MAJOR_NINT;
}

static void skip(struct cbor *c, unsigned depth)
{
    unsigned major;
    uint64_t n = head(c, &major);
    if (c->err != TM_OK || depth > CBOR_DEPTH_MAX) {
        fail(c);
        return;
    }
    if (major == MAJOR_BYTES || major == MAJOR_TEXT) {
        if (n > left(c))
            fail(c);
        else
            c->p += n;
    } else if (major == MAJOR_ARRAY || major == MAJOR_MAP) {
        if (n > CBOR_MEMBERS_MAX)
            fail(c);
        for (uint64_t i = 0; i < (major == MAJOR_MAP ? 2 * n : n) && c->err == TM_OK; i++)
            skip(c, depth + 1);
    } else if (major == MAJOR_TAG || (major == MAJOR_SIMPLE && (n < 20 || n > 23))) {
        fail(c); /* of the simple values only false, true, null and undefined */
    }
}

struct slice cbor_skip(struct cbor *c)
{
    const uint8_t *begin = c->p;
    skip(c, 1);
    return c->err == TM_OK ? slice_of(begin, (size_t)(c->p - begin)) : slice_of(NULL, 0);
}

tm_err cbor_end(const struct cbor *c)
{
    return c->err == TM_OK && left(c) > 0 ? TM_EMALFORMED : c->err;
}
