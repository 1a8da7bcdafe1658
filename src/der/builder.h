/* der/builder.h - forward DER builder with length fix-up.
 *
 * Layer 1, pure. Writes into a struct buf; a constructed element is opened and closed, its length octets are fixed up on close.
 * Errors are sticky in the buf (and in `err` for misuse): check der_builder_finish() once. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum { DER_BUILDER_DEPTH = 24 };

struct der_builder {
    struct buf *out;
    size_t open[DER_BUILDER_DEPTH]; /* offset of the first content octet of each open element */
    unsigned depth;
    tm_err err;
};

void der_builder_init(struct der_builder *b, struct buf *out);

void der_open(struct der_builder *b, unsigned tag);
void der_close(struct der_builder *b);

void der_put(struct der_builder *b, unsigned tag, struct slice contents); /* primitive or ready contents */
void der_put_tlv(struct der_builder *b, struct slice tlv);                /* already encoded */
void der_put_bool(struct der_builder *b, bool v);
void der_put_uint(struct der_builder *b, uint64_t v);
/* Unsigned big-endian magnitude -> minimal non-negative INTEGER. */
void der_put_unsigned(struct der_builder *b, struct slice magnitude);
void der_put_null(struct der_builder *b);
void der_put_oid(struct der_builder *b, struct slice oid_contents);
void der_put_bits(struct der_builder *b, struct slice octets); /* no unused bits */
/* Named-bit list with trailing zeros dropped; `tag` is DER_BIT_STRING or a context tag. */
void der_put_named_bits(struct der_builder *b, unsigned tag, uint32_t bits);
/* UTCTime through 2049, GeneralizedTime after (RFC 5280 4.1.2.5). */
void der_put_time(struct der_builder *b, int64_t t);
void der_put_generalized_time(struct der_builder *b, int64_t t);
/* Open an OCTET STRING / BIT STRING (with its zero unused-bits octet) whose contents are built next. */
void der_open_octets(struct der_builder *b);
void der_open_bits(struct der_builder *b);
/* Close a SET OF (opened with DER_SET) after sorting its members as DER demands. */
void der_close_set_of(struct der_builder *b);

/* The first error of builder or buffer; TM_EINTERNAL when an element is still open. */
tm_err der_builder_finish(struct der_builder *b);
