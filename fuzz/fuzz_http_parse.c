/* Whole request messages: however the bytes are cut, the outcome is the same.
 * Parser: http/parse.c http/chunked.c */
#include "base/buf.h"
#include "http/parse.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

struct outcome {
    struct parse parse; /* first: on_head() and on_body() find the rest behind it */
    struct buf body;
    size_t used;
    unsigned heads;
};

static int on_head(struct parse *ps)
{
    struct outcome *o = (struct outcome *)ps;
    o->heads++;
    return ps->content_length > 1 << 20 ? 413 : 0;
}

static int on_body(struct parse *ps, struct slice data)
{
    struct outcome *o = (struct outcome *)ps;
    check(o->heads == 1 && data.n > 0);
    buf_put_slice(&o->body, data);
    return 0;
}

static const struct parse_ops ops = {.head = on_head, .body = on_body};
static const struct parse_limits limits = {.octets = 512, .target = 128, .fields = 8};

/* Cuts of `step` octets, the first of `first`. */
static bool run(struct outcome *o, struct slice in, size_t first, size_t step)
{
    *o = (struct outcome){0};
    buf_init(&o->body, 1 << 20);
    if (parse_init(&o->parse, &ops, &limits) != TM_OK)
        return false;
    while (o->used < in.n && !o->parse.done && !o->parse.status) {
        struct slice piece = slice_sub(in, o->used, o->used < first ? first - o->used : step);
        size_t n = parse_feed(&o->parse, piece);
        check(n <= piece.n && (n == piece.n || o->parse.done || o->parse.status));
        o->used += n;
    }
    return true;
}

static void outcome_done(struct outcome *o)
{
    parse_done(&o->parse);
    buf_done(&o->body);
}

static void check_head(const struct outcome *o)
{
    const struct parse *ps = &o->parse;
    check(o->heads <= 1 && ps->n_fields <= limits.fields && ps->target_n <= limits.target);
    if (o->heads == 0)
        return;
    for (unsigned i = 0; i < ps->n_fields; i++) {
        const struct parse_field *f = &ps->fields[i];
        check(f->name + f->name_n < ps->text.n && ps->text.p[f->name + f->name_n] == '\0');
        check(f->value + f->value_n < ps->text.n && ps->text.p[f->value + f->value_n] == '\0');
        check(!memchr(ps->text.p + f->value, '\n', f->value_n) &&
              !memchr(ps->text.p + f->value, '\0', f->value_n));
    }
    check(ps->host || ps->http10);
    check(!(ps->is_chunked && parse_field(ps, "content-length")));
    check(!ps->done || ps->is_chunked || ps->status || o->body.n == ps->content_length);
}

static void compare(const struct outcome *a, const struct outcome *b)
{
    /* With two faults in it, the one that is named may be another. */
    check(a->parse.done == b->parse.done && !a->parse.status == !b->parse.status && a->heads == b->heads);
    if (a->parse.status == 0)
        check(a->used == b->used && slice_eq(buf_slice(&a->body), buf_slice(&b->body)));
    if (a->heads) {
        check(slice_eq(buf_slice(&a->parse.text), buf_slice(&b->parse.text)));
        check(a->parse.is_chunked == b->parse.is_chunked && a->parse.keep_alive == b->parse.keep_alive);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    struct outcome whole, cut;
    if (size > 4096 || !run(&whole, in, 0, size))
        return 0;
    check_head(&whole);
    for (size_t i = 0; i < 4; i++) {
        size_t first = i == 0 ? 0 : size * i / 4;
        if (!run(&cut, in, first, i == 0 ? 1 : size))
            break;
        check_head(&cut);
        compare(&whole, &cut);
        outcome_done(&cut);
    }
    outcome_done(&whole);
    return 0;
}
