/* inventory/sighting_line.h - a sighting as one line of JSON, as agents report it.
 *
 *   {"place":"file:host/etc/ssl/a.pem","at":"2026-11-21T17:00:00Z","details":{},"chain":["base64 of DER", …]}
 *
 * Layer 5, pure. `at` may be left out (now) or be unix milliseconds; an empty chain says that nothing is there any more. */
#pragma once
#include "inventory/sighting.h"
struct arena;
struct buf;

enum { SIGHTING_LINE_MAX = 2 << 20 };

/* Everything in `a` but details, which *ret_doc holds: json_decref() it after use. TM_EMALFORMED, TM_EINVAL, TM_ETOOBIG. */
tm_err sighting_line_read(struct sighting *ret, json_t **ret_doc, struct arena *a, struct slice line,
                          struct diag *diag);
/* The same back, with a line end. `details` as text; NULL none. */
void sighting_line_put(struct buf *out, const char *place, int64_t at, const char *details,
                       const struct slice *chain, size_t n_chain);
