/* der/oid.h - the object identifiers we know, by number, by name and by encoding.
 *
 * Layer 1, pure. The table is der/oid_table.h: X(SYMBOL, "dotted", "name", encoded contents...). OID_UNKNOWN is 0. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
struct arena;
struct buf;

enum oid {
    OID_UNKNOWN = 0,
#define X(symbol, dotted, name, ...) OID_##symbol,
#include "der/oid_table.h"
#undef X
    OID_COUNT
};

enum oid oid_find(struct slice contents);
enum oid oid_find_name(struct slice name); /* "commonName", "serverAuth", … as in the table */
struct slice oid_contents(enum oid id);
const char *oid_dotted(enum oid id);
const char *oid_name(enum oid id);

/* "1.2.840…" -> contents in `a`. TM_EINVAL on malformed text. */
tm_err oid_from_dotted(struct slice *ret, struct arena *a, struct slice text);
/* Name where known, dotted text else; in `a`; NULL when out of memory. */
const char *oid_to_text(struct arena *a, struct slice contents);
/* Dotted text appended, without an arena. */
void oid_print_dotted(struct buf *out, struct slice contents);
/* Dotted text always. */
const char *oid_to_dotted(struct arena *a, struct slice contents);
