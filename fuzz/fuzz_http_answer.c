/* What servers answer to our own requests: heads, bodies of all lengths, chunks. The first octet says whether HEAD was asked, whether the server ends the
 * connection and whether the body is taken as it comes; the second into what pieces it is cut, which means nothing.
 * Dictionary: http_parse
 * Parser: http/answer.c */
#include "http/answer.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TO_HEAD = 1, ENDS = 2, AS_IT_COMES = 4, TAKE_NO_MORE = 8, HEAD_MAX = 2048, BODY_MAX = 4096 };

/* Octets of one body, and what they add up to; after `left` no more are wanted. */
struct taken {
    size_t n, left;
    uint64_t sum;
};
static struct taken taken;

static bool take(void *arg, struct slice data)
{
    struct taken *t = arg;
    for (size_t i = 0; i < data.n && t->n < t->left; i++, t->n++)
        t->sum = t->sum * 31 + data.p[i];
    return t->n < t->left;
}

static tm_err feed(struct http_answer *x, uint8_t how, struct slice s, size_t piece)
{
    struct diag diag = {0};
    *x = (struct http_answer){.head_max = HEAD_MAX,
                              .body_max = BODY_MAX,
                              .to_head = how & TO_HEAD,
                              .write = how & AS_IT_COMES ? take : NULL,
                              .write_arg = &taken};
    taken = (struct taken){.left = how & TAKE_NO_MORE ? 16 : SIZE_MAX};
    http_answer_begin(x);
    tm_err e = TM_OK;
    for (size_t at = 0; at < s.n && e == TM_OK; at += piece)
        e = http_answer_take(x, slice_sub(s, at, piece), &diag);
    if (e == TM_OK && how & ENDS)
        e = http_answer_take(x, (struct slice){0}, &diag);
    if (e == TM_OK && how & ENDS && !x->complete)
        abort();
    if (e != TM_OK && e != TM_ENOMEM && !diag.message[0])
        abort();
    return e;
}

static void look(const struct http_answer *x)
{
    /* What is told to the server again the next time. */
    if (strpbrk(x->etag, "\r\n") || strpbrk(x->modified, "\r\n") || x->body.n > BODY_MAX)
        abort();
    if (x->complete && (x->status < 200 || (x->to_head && x->body.n)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_answer whole, cut;
    if (size < 2)
        return 0;
    struct slice s = slice_of(data + 2, size - 2);
    tm_err a = feed(&whole, data[0], s, s.n + 1);
    struct taken first = taken;
    tm_err b = feed(&cut, data[0], s, (size_t)data[1] + 1);
    look(&whole);
    if ((a == TM_OK) != (b == TM_OK))
        abort();
    if (a == TM_OK &&
        (whole.status != cut.status || whole.complete != cut.complete || strcmp(whole.type, cut.type) != 0 ||
         strcmp(whole.etag, cut.etag) != 0 || strcmp(whole.modified, cut.modified) != 0 ||
         !slice_eq(buf_slice(&whole.body), buf_slice(&cut.body)) || first.n != taken.n ||
         first.sum != taken.sum))
        abort();
    buf_done(&whole.body);
    buf_done(&cut.body);
    return 0;
}
