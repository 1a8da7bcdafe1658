/* der/reader.h - a bounded cursor over strict DER (X.690 section 10 restrictions held).
 *
 * Layer 1, pure. A reader borrows its bytes. The error is sticky: after the first failure every read returns it again, so that
 * a decoder may read a whole structure and check once. Refused: indefinite and non-minimal lengths, tag numbers >= 31,
 * non-minimal INTEGER, BOOLEAN other than 00/FF, unused bits set in BIT STRING, trailing bytes (der_end). Depth is the
 * caller's: nothing here recurses. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

enum der_tag {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_ENUMERATED = 0x0a,
    DER_UTF8_STRING = 0x0c,
    DER_NUMERIC_STRING = 0x12,
    DER_PRINTABLE_STRING = 0x13,
    DER_T61_STRING = 0x14,
    DER_IA5_STRING = 0x16,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_VISIBLE_STRING = 0x1a,
    DER_UNIVERSAL_STRING = 0x1c,
    DER_BMP_STRING = 0x1e,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
};
/* Context-specific tags: primitive [n] and constructed [n]. */
#define DER_CONTEXT(n)      (0x80 | (n))
#define DER_CONTEXT_CONS(n) (0xa0 | (n))

struct der_reader {
    const uint8_t *start; /* of the outermost input, for offsets */
    const uint8_t *p, *end;
    tm_err err;
    struct diag *diag; /* may be NULL; gets rule "X.690 …" and the offset on the first failure */
};

void der_reader_init(struct der_reader *r, struct slice der, struct diag *diag);

/* The next tag, 0 at the end or after an error. */
unsigned der_peek(const struct der_reader *r);
static inline bool der_at_end(const struct der_reader *r)
{
    return r->err != TM_OK || r->p == r->end;
}

/* Next element must have `tag`; *ret is its contents. */
tm_err der_read(struct der_reader *r, unsigned tag, struct slice *ret_contents);
/* Next element of any tag; contents, and the whole TLV (either may be NULL). */
tm_err der_read_any(struct der_reader *r, unsigned *ret_tag, struct slice *ret_contents,
                    struct slice *ret_tlv);
/* Whole TLV of the next element, which must have `tag` (0: any). */
tm_err der_read_tlv(struct der_reader *r, unsigned tag, struct slice *ret_tlv);
/* Enter a constructed element: *inner reads its contents and shares diag and start. */
tm_err der_enter(struct der_reader *r, unsigned tag, struct der_reader *inner);
/* If the next element has `tag`, as der_enter and *ret_present = true; else untouched reader and false. */
tm_err der_enter_optional(struct der_reader *r, unsigned tag, struct der_reader *inner, bool *ret_present);
tm_err der_read_optional(struct der_reader *r, unsigned tag, struct slice *ret_contents, bool *ret_present);
tm_err der_skip(struct der_reader *r, unsigned tag);

tm_err der_read_bool(struct der_reader *r, bool *ret);
/* Minimal, two's complement contents, any sign. */
tm_err der_read_integer(struct der_reader *r, struct slice *ret_contents);
/* Non-negative and below 2^63. */
tm_err der_read_uint(struct der_reader *r, uint64_t *ret);
/* Octet-aligned BIT STRING (no unused bits). */
tm_err der_read_bits(struct der_reader *r, struct slice *ret);
/* Named-bit list of at most 32 bits; bit 0 is the first bit, returned as 1<<0. Trailing zero bits are refused (X.690 11.2.2). */
tm_err der_read_named_bits(struct der_reader *r, unsigned tag, uint32_t *ret);
/* OID contents (without tag and length), checked for well-formed arcs. */
tm_err der_read_oid(struct der_reader *r, struct slice *ret);
/* UTCTime or GeneralizedTime in the form of RFC 5280 4.1.2.5 (seconds present, Z), either for any year -> unix seconds. */
tm_err der_read_time(struct der_reader *r, int64_t *ret);
/* A field that is GeneralizedTime whatever the year (invalidityDate, OCSP, CMP), in the same restricted form. */
tm_err der_read_generalized_time(struct der_reader *r, int64_t *ret);

/* Sticky error, or TM_EMALFORMED when bytes are left over. */
tm_err der_end(struct der_reader *r);
/* Fail on purpose at the present position; keeps an earlier error. */
tm_err der_reject(struct der_reader *r, tm_err e, const char *rule, const char *field, const char *message);
