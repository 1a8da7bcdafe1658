/* x509/general_name.h - GeneralNames: subject alternative names and friends (RFC 5280 4.2.1.6).
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

enum { GENERAL_NAMES_MAX = 128 };

enum general_name_type {
    GN_OTHER = 0,
    GN_EMAIL = 1,
    GN_DNS = 2,
    GN_X400 = 3,
    GN_DIRECTORY = 4,
    GN_EDI = 5,
    GN_URI = 6,
    GN_IP = 7,
    GN_RID = 8,
};

struct general_name {
    enum general_name_type type;
    struct slice
        value; /* contents: text, IP octets, Name TLV (directory), OID contents (rid), for GN_OTHER the inner value TLV */
    struct slice other_oid; /* GN_OTHER: type-id contents */
    enum oid other;         /* the same, from the table */
};

struct general_names {
    struct general_name *v;
    size_t n;
};

/* Parse a GeneralNames SEQUENCE TLV. DNS/URI/email must be IA5 without control characters; IPs 4 or 16 octets. */
tm_err general_names_parse(struct general_names *ret, struct arena *a, struct slice tlv, struct diag *diag);
/* One GeneralName from a reader (also for AIA, CDP, name constraints; IP may then be 8 or 32 octets). */
tm_err general_name_read(struct general_name *ret, struct der_reader *r);
void general_name_build(struct der_builder *b, const struct general_name *gn);

/* "DNS:example.org", "IP:192.0.2.1", "URI:…", "email:…", "dirName:…", "otherName:<oid>:hex…", hardwareModuleName and
 * permanentIdentifier and UPN readable. Appended. */
void general_name_print(struct buf *out, const struct general_name *gn);
/* The text form back: "DNS:…", "IP:…", "URI:…", "email:…", "dirName:CN=…", "RID:1.2.3", "UPN:user@realm",
 * "hardwareModuleName:<type>:<serial>", "permanentIdentifier:<assigner or nothing>:<id>" (octets that are not text as "#hex"),
 * "otherName:<oid>:<hex of the value>". A bare value is an IP address or a DNS name. TM_EINVAL. */
tm_err general_name_from_text(struct general_name *ret, struct arena *a, struct slice text,
                              struct diag *diag);

bool general_name_eq(const struct general_name *a, const struct general_name *b);

/* HardwareModuleName ::= SEQUENCE { hwType OID, hwSerialNum OCTET STRING } (RFC 4108) as an otherName in `a`. */
tm_err general_name_hw_module(struct general_name *ret, struct arena *a, struct slice hw_type_oid,
                              struct slice serial);
/* PermanentIdentifier ::= SEQUENCE { identifierValue UTF8String OPTIONAL, assigner OID OPTIONAL } (RFC 4043). */
tm_err general_name_permanent_id(struct general_name *ret, struct arena *a, struct slice id,
                                 struct slice assigner_oid);
/* User principal name: UTF8String in an otherName. */
tm_err general_name_upn(struct general_name *ret, struct arena *a, struct slice upn);
