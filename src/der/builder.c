#include "der/builder.h"
#include "base/clock.h"
#include "der/reader.h"
#include <stdlib.h>

void der_builder_init(struct der_builder *b, struct buf *out)
{
    *b = (struct der_builder){.out = out};
}

static void misuse(struct der_builder *b, tm_err e)
{
    if (b->err == TM_OK)
        b->err = e;
}

/* Octets that the length `n` takes: X.690 10.1, the shortest form. */
static size_t length_octets(size_t n)
{
    return n < 0x80 ? 1 : n <= 0xff ? 2 : n <= 0xffff ? 3 : n <= 0xffffff ? 4 : 5;
}

static void length_write(uint8_t *p, size_t n)
{
    size_t octets = length_octets(n);
    if (octets == 1) {
        *p = (uint8_t)n;
        return;
    }
    *p = (uint8_t)(0x80 | (octets - 1));
    for (size_t i = octets - 1; i > 0; i--, n >>= 8)
        p[i] = (uint8_t)n;
}

/* Tag and length of an element whose `n` content octets are counted into the buffer at once; NULL on failure. */
static uint8_t *element(struct der_builder *b, unsigned tag, size_t n)
{
    if (b->err != TM_OK)
        return NULL;
    if (n > UINT32_MAX) {
        misuse(b, TM_ETOOBIG);
        return NULL;
    }
    size_t head = 1 + length_octets(n);
    uint8_t *p = buf_extend(b->out, head + n);
    if (!p)
        return NULL;
    p[0] = (uint8_t)tag;
    length_write(p + 1, n);
    return p + head;
}

void der_open(struct der_builder *b, unsigned tag)
{
    if (b->err != TM_OK)
        return;
    if (b->depth == DER_BUILDER_DEPTH) {
        misuse(b, TM_EINTERNAL);
        return;
    }
    /* One octet for the length; der_close() makes room where that is too little. */
    uint8_t *p = buf_extend(b->out, 2);
    if (!p)
        return;
    p[0] = (uint8_t)tag;
    b->open[b->depth++] = b->out->n;
}

void der_close(struct der_builder *b)
{
    if (b->err != TM_OK || buf_err(b->out) != TM_OK)
        return;
    if (b->depth == 0) {
        misuse(b, TM_EINTERNAL);
        return;
    }
    size_t at = b->open[--b->depth], n = b->out->n - at, more = length_octets(n) - 1;
    if (n > UINT32_MAX) {
        misuse(b, TM_ETOOBIG);
        return;
    }
    if (more) {
        if (!buf_extend(b->out, more))
            return;
        memmove(b->out->p + at + more, b->out->p + at, n);
    }
    length_write(b->out->p + at - 1, n);
}

void der_put(struct der_builder *b, unsigned tag, struct slice contents)
{
    uint8_t *p = element(b, tag, contents.n);
    if (p && contents.n)
        memcpy(p, contents.p, contents.n);
}

void der_put_tlv(struct der_builder *b, struct slice tlv)
{
    if (b->err == TM_OK)
        buf_put_slice(b->out, tlv);
}

void der_put_bool(struct der_builder *b, bool v)
{
    der_put(b, DER_BOOLEAN, v ? SLICE_LIT("\xff") : SLICE_LIT("\x00"));
}

void der_put_uint(struct der_builder *b, uint64_t v)
{
    uint8_t be[8];
    for (size_t i = sizeof be; i-- > 0; v >>= 8)
        be[i] = (uint8_t)v;
    der_put_unsigned(b, SLICE_ARR(be));
}

/* X.690 8.3.2: no leading zero octet but the one that keeps the number from reading as negative. */
void der_put_unsigned(struct der_builder *b, struct slice magnitude)
{
    size_t skip = 0;
    while (skip < magnitude.n && magnitude.p[skip] == 0)
        skip++;
    size_t n = magnitude.n - skip;
    size_t pad = n == 0 || magnitude.p[skip] & 0x80 ? 1 : 0;
    uint8_t *p = element(b, DER_INTEGER, pad + n);
    if (!p)
        return;
    if (pad)
        *p++ = 0;
    if (n)
        memcpy(p, magnitude.p + skip, n);
}

void der_put_null(struct der_builder *b)
{
    der_put(b, DER_NULL, (struct slice){0});
}

void der_put_oid(struct der_builder *b, struct slice oid_contents)
{
    if (oid_contents.n == 0)
        misuse(b, TM_EINVAL);
    der_put(b, DER_OID, oid_contents);
}

void der_put_bits(struct der_builder *b, struct slice octets)
{
    uint8_t *p = element(b, DER_BIT_STRING, octets.n + 1);
    if (!p)
        return;
    p[0] = 0;
    if (octets.n)
        memcpy(p + 1, octets.p, octets.n);
}

void der_put_named_bits(struct der_builder *b, unsigned tag, uint32_t bits)
{
    uint8_t c[5] = {0};
    size_t n = 0; /* bits used: up to the last that is set (X.690 11.2.2) */
    for (size_t i = 0; i < 32; i++) {
        if (bits & ((uint32_t)1 << i)) {
            c[1 + i / 8] |= (uint8_t)(0x80 >> i % 8);
            n = i + 1;
        }
    }
    size_t octets = (n + 7) / 8;
    c[0] = (uint8_t)(octets * 8 - n);
    der_put(b, tag, slice_of(c, octets + 1));
}

static void two_digits(uint8_t *p, int v)
{
    p[0] = (uint8_t)('0' + v / 10);
    p[1] = (uint8_t)('0' + v % 10);
}

static void put_time(struct der_builder *b, int64_t t, bool generalized)
{
    static const int64_t year_0 = -62167219200; /* four digits of year: X.680 46 */
    struct civil_time c = civil_from_unix(t);
    uint8_t text[15];
    if (t < year_0 || t > TM_TIME_NEVER) {
        misuse(b, TM_EINVAL);
        return;
    }
    two_digits(text, c.year / 100);
    two_digits(text + 2, c.year % 100);
    two_digits(text + 4, c.month);
    two_digits(text + 6, c.day);
    two_digits(text + 8, c.hour);
    two_digits(text + 10, c.minute);
    two_digits(text + 12, c.second);
    text[14] = 'Z';
    if (generalized || c.year < 1950 || c.year > 2049)
        der_put(b, DER_GENERALIZED_TIME, SLICE_ARR(text));
    else
        der_put(b, DER_UTC_TIME, slice_of(text + 2, 13));
}

void der_put_time(struct der_builder *b, int64_t t)
{
    put_time(b, t, false);
}

void der_put_generalized_time(struct der_builder *b, int64_t t)
{
    put_time(b, t, true);
}

void der_open_octets(struct der_builder *b)
{
    der_open(b, DER_OCTET_STRING);
}

void der_open_bits(struct der_builder *b)
{
    der_open(b, DER_BIT_STRING);
    if (b->err == TM_OK)
        buf_putc(b->out, 0);
}

static int member_cmp(const void *x, const void *y)
{
    const struct slice *a = x, *b = y;
    return slice_cmp(*a, *b);
}

/* Split the open element's contents into members. False when they are sorted already or do not parse (b->err says which). */
static bool members_unsorted(struct der_builder *b, struct slice contents, size_t *ret_n)
{
    struct der_reader r;
    struct slice last = {0}, tlv;
    bool unsorted = false;
    size_t n = 0;
    der_reader_init(&r, contents, NULL);
    while (!der_at_end(&r)) {
        if (der_read_any(&r, NULL, NULL, &tlv) != TM_OK) {
            misuse(b, TM_EINVAL);
            return false;
        }
        unsorted |= n > 0 && slice_cmp(last, tlv) > 0;
        last = tlv;
        n++;
    }
    *ret_n = n;
    return unsorted;
}

/* X.690 11.6: the encodings of a SET OF's members ascend. Sorted input, the usual case, costs no memory. */
void der_close_set_of(struct der_builder *b)
{
    if (b->err != TM_OK || buf_err(b->out) != TM_OK)
        return;
    if (b->depth == 0) {
        misuse(b, TM_EINTERNAL);
        return;
    }
    size_t at = b->open[b->depth - 1], len = b->out->n - at, n = 0;
    if (members_unsorted(b, slice_of(b->out->p + at, len), &n)) {
        struct slice *members = calloc(n, sizeof *members);
        uint8_t *copy = malloc(len);
        if (members && copy) {
            struct der_reader r;
            memcpy(copy, b->out->p + at, len);
            der_reader_init(&r, slice_of(copy, len), NULL);
            for (size_t i = 0; i < n; i++)
                if (der_read_any(&r, NULL, NULL, &members[i]) != TM_OK)
                    misuse(b, TM_EINTERNAL); /* it parsed a moment ago */
            qsort(members, n, sizeof *members, member_cmp);
            uint8_t *p = b->out->p + at;
            for (size_t i = 0; i < n; i++) {
                memcpy(p, members[i].p, members[i].n);
                p += members[i].n;
            }
        } else {
            misuse(b, TM_ENOMEM);
        }
        free(members);
        free(copy);
    }
    der_close(b);
}

tm_err der_builder_finish(struct der_builder *b)
{
    if (b->err != TM_OK)
        return b->err;
    if (buf_err(b->out) != TM_OK)
        return buf_err(b->out);
    return b->depth == 0 ? TM_OK : TM_EINTERNAL;
}
