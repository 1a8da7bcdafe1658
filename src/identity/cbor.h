/* identity/cbor.h - a bounded reader of CBOR (RFC 8949) as authenticators write it (CTAP 2.1 section 8: canonical, definite lengths).
 *
 * Layer 5, pure. The cursor's error is sticky: after the first one every read gives nothing, and one check at the end is enough. Indefinite
 * lengths, floats, tags and numbers of more than 63 bits are not taken. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

enum { CBOR_DEPTH_MAX = 4, CBOR_MEMBERS_MAX = 64 };

struct cbor {
    const uint8_t *p, *end;
    tm_err err;
};

void cbor_init(struct cbor *c, struct slice octets);
/* An integer, positive or negative. */
int64_t cbor_int(struct cbor *c);
/* The octets of a byte string or of a text string, inside the input. */
struct slice cbor_bytes(struct cbor *c);
struct slice cbor_text(struct cbor *c);
/* How many pairs follow; at most CBOR_MEMBERS_MAX. */
size_t cbor_map(struct cbor *c);
/* Is the next one an integer? For maps whose labels may be of several kinds. */
bool cbor_is_int(const struct cbor *c);
/* Over one item of any kind. Gives the octets that it takes. */
struct slice cbor_skip(struct cbor *c);
/* TM_OK where nothing failed; TM_EMALFORMED also where octets are left. */
tm_err cbor_end(const struct cbor *c);
