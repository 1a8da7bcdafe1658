/* http/parse.h - one HTTP/1.x request message from bytes, stricter where RFC 9112 lets messages be misunderstood (request
 * smuggling). Layer 2.
 *
 * libhttp-parser reads the head. Debian builds it without its strict mode, so names and values are checked here again; obs-fold, missing
 * or repeated Host, ambiguous framing and codings other than plain "chunked" are refused here. The body is ours: a count, or
 * chunked.c. Trailers are read and thrown away. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "http/chunked.h"
#include "http/parser_lib.h"
#include <stdbool.h>

struct parse;

struct parse_limits {
    size_t octets; /* target and fields together; trailers once more */
    size_t target;
    unsigned fields;
};

struct parse_ops {
    /* The head is whole. 0, or the status to refuse the request with (`ps->detail` may then say why). */
    int (*head)(struct parse *ps);
    int (*body)(struct parse *ps, struct slice data);
};

struct parse_field {
    uint32_t name, value, name_n, value_n; /* offsets into text, where both end with a NUL */
};

struct parse {
    http_parser lib;
    const struct parse_ops *ops;
    const struct parse_limits *limits;
    struct buf text;
    struct parse_field *fields; /* limits->fields of them */
    unsigned n_fields;
    size_t target_n;
    enum { PARSE_IN_TARGET, PARSE_IN_NAME, PARSE_IN_VALUE, PARSE_IN_BODY } at;
    bool piece_open; /* the value so far ended with the bytes at hand: the next piece goes on without a gap */
    bool gap_has_lf; /* a line end stood between a name and its value: only an empty value may follow */
    const char *gap; /* where that gap begins in the bytes at hand */
    const char *begin, *end; /* the bytes at hand */
    int status;              /* refused with; 0: not */
    const char *detail;
    bool done;
    /* What the head said. */
    bool keep_alive, is_chunked, expect_continue, http10;
    uint64_t content_length; /* 0 where none or chunked */
    const char *host;
    struct chunked chunked;
    uint64_t left; /* of a counted body */
};

tm_err parse_init(struct parse *ps, const struct parse_ops *ops, const struct parse_limits *limits);
/* For the next message; keeps the memory. */
void parse_reset(struct parse *ps);
void parse_done(struct parse *ps);

/* Takes bytes up to the end of the message at most; returns how many. Afterwards ps->done, ps->status != 0, or it wants more. */
size_t parse_feed(struct parse *ps, struct slice data);

/* First value, NULL when absent. After the head. */
const char *parse_field(const struct parse *ps, const char *name);
/* The next value of a repeated field: *i is 0 at first and moves on. */
const char *parse_field_next(const struct parse *ps, const char *name, unsigned *i);
