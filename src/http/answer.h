/* http/answer.h - the answer to a request that was sent (RFC 9112), read as it comes. Layer 1, pure.
 *
 * Its status, the fields that anybody here asks for, and its body. Answers of the kind 1xx come before it and are passed over; what stands behind it, and
 * what trailers say, means nothing. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "http/parser_lib.h"
#include <stdbool.h>

enum { HTTP_ANSWERS_BEFORE_MAX = 16 }; /* of the kind 1xx */

struct http_answer {
    /* given */
    size_t head_max, body_max; /* octets: of names and values of all fields; of what is kept of the body */
    bool to_head;              /* HEAD was asked: no body comes, whatever the fields say */
    /* Takes the body of an answer below 400 piece by piece instead of `body`; false ends the reading. */
    bool (*write)(void *arg, struct slice data);
    void *write_arg;

    /* read */
    int status; /* 0: its head is not here yet */
    char type[128];
    char etag[128], modified[64]; /* ETag, Last-Modified; longer ones are left out */
    struct buf body;              /* buf_done() it */
    bool complete;

    /* under way */
    char name[32];
    size_t name_n, head, before;
    bool in_value;
    tm_err err;
    http_parser lib;
    http_parser_settings settings;
};

/* With what is given set. It stays where it is until it has been read. */
void http_answer_begin(struct http_answer *x);

/* The next octets; none: the server has ended. TM_EMALFORMED; TM_ETOOBIG (head or body); TM_EIO: it ended early, or `write` has ended it;
 * TM_ENOMEM. */
tm_err http_answer_take(struct http_answer *x, struct slice octets, struct diag *diag);
