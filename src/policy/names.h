/* policy/names.h - are the names in a request what they claim to be? DNS names, addresses, URIs, mail addresses, text.
 *
 * Layer 3, pure. Every check returns NULL when all is well, else the reason as one clause in the present tense
 * ("has an empty label"), which fits behind the name. */
#pragma once
#include "base/slice.h"
#include <stdbool.h>

/* A host name as certificates carry it (RFC 1034 3.5, RFC 5280 4.2.1.6): letters, digits and hyphens, labels of 1..63, at most
 * 253 octets, no trailing dot, no all-numeric last label; A-labels must decode, be canonical and keep to one script
 * (RFC 5891 4.4, UTS 39 5.2), so that no name can pass for another. With `wildcard` "*." may stand in front of at
 * least two labels (RFC 9525 6.3). */
const char *dns_name_check(struct slice name, bool wildcard);
bool dns_name_is_wildcard(struct slice name);
size_t dns_name_labels(struct slice name);
/* One label, or under a domain that is not delegated (RFC 6761, RFC 6762, RFC 8375 and what is used in practice). */
bool dns_name_is_internal(struct slice name);
/* The name is `suffix` or lies under it; case is ignored, a wildcard counts as a label. */
bool dns_name_under(struct slice name, struct slice suffix);

/* scheme ":" with only the characters of RFC 3986; no userinfo, no dot segments, which would let a prefix rule be walked around. */
const char *uri_check(struct slice uri);
/* `prefix` ends at a component boundary of the URI. */
bool uri_has_prefix(struct slice uri, struct slice prefix);

/* dot-atom "@" DNS name (RFC 5321 4.1.2 without quoted strings and address literals). */
const char *email_check(struct slice mail);
struct slice email_domain(struct slice mail);

/* HardwareModuleName ::= SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING } (RFC 4108 5), serial not empty. */
const char *hardware_module_name_check(struct slice value);
/* PermanentIdentifier ::= SEQUENCE { identifierValue UTF8String OPTIONAL, assigner OBJECT IDENTIFIER OPTIONAL } (RFC 4043 3), with
 * a value. */
const char *permanent_identifier_check(struct slice value);

/* Text for a subject attribute: UTF-8, no controls, no invisible or direction-changing characters, no blanks at the ends. */
const char *text_check(struct slice text);
/* Characters, not octets. */
size_t text_length(struct slice utf8);

/* Glob: * any run, ? one octet, [a-z0-9] one of a set; the rest literally. Linear in text times pattern. */
bool glob_match(struct slice pattern, struct slice text);
/* NULL, or what is wrong with the pattern. */
const char *glob_check(struct slice pattern);

/* An address in 4 or 16 octets lies in the network (same family). */
struct cidr {
    uint8_t addr[16];
    unsigned family_octets; /* 4 or 16 */
    unsigned prefix;
};
bool cidr_parse(struct cidr *ret, const char *text);
bool cidr_contains(const struct cidr *c, struct slice address);
