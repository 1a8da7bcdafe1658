#include "x509/print_asn1.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "der/oid.h"
#include "der/reader.h"
#include <inttypes.h>

enum { DEPTH_MAX = 16 };

static bool values_print(struct buf *out, struct der_reader *r, unsigned depth);

static void oid_print(struct buf *out, struct slice contents)
{
    enum oid id = oid_find(contents);
    if (id)
        buf_puts(out, oid_name(id));
    else
        oid_print_dotted(out, contents);
}

static void integer_print(struct buf *out, struct slice c)
{
    if (c.n == 0 || c.n > 8) {
        buf_puts(out, "0x");
        buf_put_hex(out, c);
        return;
    }
    int64_t v = c.p[0] & 0x80 ? -1 : 0;
    for (size_t i = 0; i < c.n; i++)
        v = (int64_t)((uint64_t)v << 8 | c.p[i]);
    buf_printf(out, "%" PRId64, v);
}

static void hex_print(struct buf *out, const char *before, struct slice c)
{
    buf_puts(out, before);
    buf_put_hex(out, c);
}

static bool time_print(struct buf *out, struct slice tlv)
{
    struct der_reader r;
    char text[21];
    int64_t t;
    der_reader_init(&r, tlv, NULL);
    if (der_read_time(&r, &t) != TM_OK)
        return false;
    clock_format_rfc3339(text, t);
    buf_puts(out, text);
    return true;
}

/* The strings that are octets of ASCII or UTF-8; wide ones are rare enough for hex. */
static void string_print(struct buf *out, struct slice c)
{
    if (utf8_valid(c)) {
        buf_putc(out, '"');
        buf_put_slice(out, c);
        buf_putc(out, '"');
    } else {
        hex_print(out, "0x", c);
    }
}

static bool constructed_print(struct buf *out, unsigned tag, struct slice c, struct der_reader *r,
                              unsigned depth)
{
    struct der_reader inner = {.start = r->start, .p = c.p, .end = c.p + c.n};
    if (tag != DER_SEQUENCE && tag != DER_SET)
        buf_printf(out, "[%u] ", tag & 0x1f);
    buf_puts(out, "{");
    if (depth >= DEPTH_MAX || !values_print(out, &inner, depth + 1))
        return false;
    buf_puts(out, " }");
    return true;
}

static bool primitive_print(struct buf *out, unsigned tag, struct slice c, struct slice tlv)
{
    switch (tag) {
    case DER_BOOLEAN:
        buf_puts(out, c.n == 1 && c.p[0] ? "true" : "false");
        return true;
    case DER_INTEGER:
    case DER_ENUMERATED:
        integer_print(out, c);
        return true;
    case DER_NULL:
        buf_puts(out, "null");
        return true;
    case DER_OID:
        oid_print(out, c);
        return true;
    case DER_UTF8_STRING:
    case DER_PRINTABLE_STRING:
    case DER_IA5_STRING:
    case DER_NUMERIC_STRING:
    case DER_VISIBLE_STRING:
        string_print(out, c);
        return true;
    case DER_UTC_TIME:
    case DER_GENERALIZED_TIME:
        return time_print(out, tlv);
    case DER_BIT_STRING:
        hex_print(out, "bits 0x", slice_sub(c, 1, c.n));
        return true;
    default:
        if ((tag & 0xc0) == 0x80)
            buf_printf(out, "[%u] ", tag & 0x1f);
        hex_print(out, "0x", c);
        return true;
    }
}

static bool values_print(struct buf *out, struct der_reader *r, unsigned depth)
{
    for (bool first = true; !der_at_end(r); first = false) {
        unsigned tag;
        struct slice c, tlv;
        if (der_read_any(r, &tag, &c, &tlv) != TM_OK)
            return false;
        buf_puts(out, depth == 0 ? (first ? "" : " ") : first ? " " : ", ");
        if (tag & 0x20 ? !constructed_print(out, tag, c, r, depth) : !primitive_print(out, tag, c, tlv))
            return false;
    }
    return true;
}

void asn1_print(struct buf *out, struct slice der)
{
    struct der_reader r;
    struct buf text;
    buf_init(&text, out->max - out->n);
    der_reader_init(&r, der, NULL);
    if (der.n && values_print(&text, &r, 0) && der_end(&r) == TM_OK)
        buf_put_slice(out, buf_slice(&text));
    else
        buf_put_hex(out, der);
    if (out->err == TM_OK)
        out->err = buf_err(&text);
    buf_done(&text);
}
