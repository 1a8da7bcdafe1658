/* api/bulk_line.h - one line of a bulk stream in the form that almost every line has: an object of plain strings. Layer 5, pure.
 *
 * What is not of that form (escapes, other types, unknown or repeated names, anything malformed or too long) is not refused here: the JSON parser
 * looks at it, and says what is wrong. */
#pragma once
#include "base/slice.h"
#include <stdbool.h>

struct bulk_line {
    const char *id, *csr, *profile, *endpoint, *device, *idempotency_key; /* "" where absent */
};

/* True: *ret points into `text`, in which the strings' closing quotes have become their ends. False: nothing has changed. */
bool bulk_line_read(struct bulk_line *ret, char *text, size_t n);
