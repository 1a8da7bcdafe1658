/* Every element of the input through every reader, and what reads back through the builder to the same bytes.
 * Parser: der/reader.c der/oid.c x509/print_asn1.c */
#include "base/arena.h"
#include "base/buf.h"
#include "der/builder.h"
#include "der/oid.h"
#include "der/reader.h"
#include "x509/print_asn1.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(struct der_builder *b, struct slice tlv)
{
    if (der_builder_finish(b) != TM_OK || !slice_eq(buf_slice(b->out), tlv))
        abort();
    buf_reset(b->out);
    der_builder_init(b, b->out);
}

static void oid_check(struct arena *a, struct slice oid)
{
    struct slice back;
    const char *dotted = oid_to_dotted(a, oid);
    enum oid id = oid_find(oid);
    if (!dotted) {
        abort();
        return;
    }
    if (oid_from_dotted(&back, a, slice_str(dotted)) != TM_OK || !slice_eq(back, oid))
        abort();
    if (id && (oid_find_name(slice_str(oid_name(id))) != id || !slice_eq(oid_contents(id), oid) ||
               strcmp(oid_dotted(id), dotted) != 0))
        abort();
    (void)oid_to_text(a, oid);
}

enum { SIZE_MOST = 4096 }; /* what is larger is only slower */

/* The input as an OID in dotted form, and as a name. */
static void oid_text(struct arena *a, struct slice text)
{
    struct slice oid;
    if (oid_from_dotted(&oid, a, text) == TM_OK)
        oid_check(a, oid);
    enum oid id = oid_find_name(text);
    if (id && !slice_eq_str(text, oid_name(id)))
        abort();
}

static void element(struct arena *a, struct der_builder *b, struct slice tlv)
{
    struct der_reader r, inner;
    struct slice c;
    struct diag d = {0};
    bool v;
    uint64_t n;
    uint32_t bits;
    int64_t t;
#define TRY_AS(call) (der_reader_init(&r, tlv, &d), (call) == TM_OK && der_end(&r) == TM_OK)
    if (TRY_AS(der_read_bool(&r, &v)))
        der_put_bool(b, v), same(b, tlv);
    if (TRY_AS(der_read_uint(&r, &n)))
        der_put_uint(b, n), same(b, tlv);
    if (TRY_AS(der_read_integer(&r, &c)))
        der_put(b, DER_INTEGER, c), same(b, tlv);
    if (TRY_AS(der_read_bits(&r, &c)))
        der_put_bits(b, c), same(b, tlv);
    if (TRY_AS(der_read_named_bits(&r, DER_BIT_STRING, &bits)))
        der_put_named_bits(b, DER_BIT_STRING, bits), same(b, tlv);
    if (TRY_AS(der_read_tlv(&r, DER_SEQUENCE, &c)) || TRY_AS(der_read_tlv(&r, 0, &c)))
        der_put_tlv(b, c), same(b, tlv);
    if (TRY_AS(der_read_optional(&r, DER_CONTEXT(0), &c, &v)) && v)
        der_put(b, DER_CONTEXT(0), c), same(b, tlv);
    if (TRY_AS(der_enter_optional(&r, DER_CONTEXT_CONS(0), &inner, &v)) && v)
        der_put(b, DER_CONTEXT_CONS(0), slice_of(inner.p, (size_t)(inner.end - inner.p))), same(b, tlv);
    if (TRY_AS(der_enter(&r, DER_SEQUENCE, &inner)))
        der_put(b, DER_SEQUENCE, slice_of(inner.p, (size_t)(inner.end - inner.p))), same(b, tlv);
    TM_IGNORE(TRY_AS(der_skip(&r, DER_NULL)) ? TM_OK : der_skip(&r, DER_NULL)); /* and after an error */
    if (TRY_AS(der_read_oid(&r, &c)))
        oid_check(a, c);
    if (TRY_AS(der_read_generalized_time(&r, &t)))
        der_put_generalized_time(b, t), same(b, tlv);
    if (TRY_AS(der_read_time(&r, &t)) && tlv.p[0] == DER_UTC_TIME)
        der_put_time(b, t), same(b, tlv);
#undef TRY_AS
}

/* Breadth is the input's, depth is bounded here as callers bound it. */
static void walk(struct arena *a, struct der_builder *b, struct slice bytes, unsigned depth)
{
    struct der_reader r;
    unsigned tag;
    struct slice c, tlv;
    der_reader_init(&r, bytes, NULL);
    while (!der_at_end(&r)) {
        if (der_read_any(&r, &tag, &c, &tlv) != TM_OK)
            return;
        der_put(b, tag, c);
        same(b, tlv);
        element(a, b, tlv);
        if (tag & 0x20 && depth < 16)
            walk(a, b, c, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct der_builder b;
    struct buf out;
    if (!a || size > SIZE_MOST) {
        arena_free(a);
        return 0;
    }
    oid_text(a, slice_of(data, size));
    buf_init(&out, 1 << 20);
    der_builder_init(&b, &out);
    walk(a, &b, slice_of(data, size), 0);
    buf_reset(&out);
    asn1_print(&out, slice_of(data, size));
    buf_done(&out);
    arena_free(a);
    return 0;
}
