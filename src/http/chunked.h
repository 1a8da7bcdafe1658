/* http/chunked.h - the chunked transfer coding (RFC 9112 section 7.1), strictly. Layer 1, pure.
 *
 * Our own, because Debian builds libhttp-parser without HTTP_PARSER_STRICT, and then it takes any octets for the line ends
 * around chunks: two parties could see different messages in the same bytes. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>

enum { CHUNKED_LINE_MAX = 1024 }; /* size and extensions of one chunk */

struct chunked {
    int state;
    uint64_t left;   /* of the chunk */
    size_t line;     /* octets of the present line */
    size_t trailers; /* octets of all trailers */
    size_t trailers_max;
    bool done;
};

void chunked_init(struct chunked *c, size_t trailers_max);

/* Takes octets up to the end of a piece of data, of the message or of `in`; returns how many through *ret_used and the piece
 * (borrowed from `in`, perhaps empty) through *ret. Extensions and trailers are skipped. TM_EMALFORMED; TM_ETOOBIG when the
 * trailers are. */
tm_err chunked_feed(struct chunked *c, struct slice in, size_t *ret_used, struct slice *ret);
