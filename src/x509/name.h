/* x509/name.h - distinguished names (RFC 5280 4.1.2.4, RFC 4514 text form).
 * Layer 2, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "der/oid.h"
#include <stdbool.h>
struct arena;
struct buf;
struct der_builder;
struct der_reader;

enum { NAME_MAX_ATTRS = 32 };

struct name_attr {
    enum oid type;      /* OID_UNKNOWN for one that the table lacks */
    struct slice oid;   /* contents */
    unsigned tag;       /* string type as encoded */
    struct slice value; /* raw contents */
    unsigned rdn;       /* index of the RDN it belongs to (multi-valued RDNs share one) */
};

/* A parsed name; borrows the DER it was read from. */
struct name {
    struct slice der; /* the whole Name TLV */
    struct name_attr attrs[NAME_MAX_ATTRS];
    size_t n;
};

/* Parse a Name TLV. String types are checked for valid contents; lengths are bounded by RFC 5280's upper bounds times 4. */
tm_err name_parse(struct name *ret, struct slice tlv, struct diag *diag);
/* The same from the reader's next element; offsets of failures count in the reader's input. */
tm_err name_read(struct name *ret, struct der_reader *r);

/* First value of an attribute as UTF-8 text in `a`; TM_ENOTFOUND. */
tm_err name_get(struct slice *ret, struct arena *a, const struct name *n, enum oid type);
/* An attribute value as UTF-8 (T61/BMP/Universal converted), in `a` or borrowed. */
tm_err name_attr_text(struct slice *ret, struct arena *a, const struct name_attr *attr);

/* Compare as RFC 5280 7.1 (case-folded ASCII, white space squeezed for printable/UTF8 strings). */
bool name_matches(const struct name *a, const struct name *b);
/* The RDNs of `prefix` are the first RDNs of `n` (RFC 5280 4.2.1.10, directoryName). */
bool name_starts_with(const struct name *n, const struct name *prefix);

/* "CN=gw-1,O=Example,C=DE" with the most specific first (RFC 4514), appended to `out`. */
void name_print(struct buf *out, const struct name *n);
/* The same from DER; prints "" for an empty name and hex for what does not parse. */
void name_print_der(struct buf *out, struct slice tlv);

/* Build: begin, add attributes from the most general to the most specific, end. PrintableString where the rules
 * demand it (countryName, serialNumber, dnQualifier), UTF8String else, IA5String for emailAddress and domainComponent. */
void name_build_attr(struct der_builder *b, enum oid type, struct slice utf8);
/* The bare AttributeTypeAndValue, for RDNs of several values: der_open(b, DER_SET), members, der_close_set_of(b). Both refuse with
 * TM_EINVAL in the builder what is empty, over RFC 5280's upper bound or not in the attribute's character set. */
void name_build_member(struct der_builder *b, struct slice oid, struct slice utf8);
/* "CN=…,O=…" (RFC 4514) -> Name TLV in `a`. Keys: short names (CN O OU C ST L SN serialNumber DC UID …), names, dotted OIDs. */
tm_err name_from_text(struct slice *ret_tlv, struct arena *a, struct slice text, struct diag *diag);
