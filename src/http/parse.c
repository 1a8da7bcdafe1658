#include "http/parse.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct parse *of(http_parser *lib)
{
    return lib->data;
}

static int refuse(struct parse *ps, int status, const char *detail)
{
    if (!ps->status) {
        ps->status = status;
        ps->detail = detail;
    }
    return -1;
}

/* ---- pieces of the head ---- */

static int append(struct parse *ps, const char *at, size_t n, int too_long)
{
    buf_put(&ps->text, at, n);
    if (buf_err(&ps->text) == TM_ETOOBIG)
        return refuse(ps, too_long, "the head of the request is too long");
    if (buf_err(&ps->text) != TM_OK)
        return refuse(ps, 503, "out of memory");
    return 0;
}

static int on_target(http_parser *lib, const char *at, size_t n)
{
    struct parse *ps = of(lib);
    if (ps->text.n + n > ps->limits->target)
        return refuse(ps, 414, "the request target is too long");
    return append(ps, at, n, 414);
}

static int end_piece(struct parse *ps)
{
    if (ps->at == PARSE_IN_TARGET) {
        ps->target_n = ps->text.n;
    } else if (ps->at == PARSE_IN_VALUE) {
        /* OWS behind the value is no part of it (RFC 9112 section 5.1). */
        struct parse_field *f = &ps->fields[ps->n_fields - 1];
        while (ps->text.n > f->value &&
               (ps->text.p[ps->text.n - 1] == ' ' || ps->text.p[ps->text.n - 1] == '\t'))
            ps->text.n--;
        f->value_n = (uint32_t)ps->text.n - f->value;
    }
    return append(ps, "", 1, 431);
}

static int on_name(http_parser *lib, const char *at, size_t n)
{
    struct parse *ps = of(lib);
    if (ps->at != PARSE_IN_NAME) {
        if (end_piece(ps) != 0)
            return -1;
        if (ps->n_fields == ps->limits->fields)
            return refuse(ps, 431, "the request has too many header fields");
        ps->fields[ps->n_fields++] = (struct parse_field){.name = (uint32_t)ps->text.n};
        ps->at = PARSE_IN_NAME;
        ps->gap_has_lf = false;
    }
    ps->gap = at + n;
    ps->fields[ps->n_fields - 1].name_n += (uint32_t)n;
    return append(ps, at, n, 431);
}

static bool has_lf(const char *from, const char *to)
{
    return from < to && memchr(from, '\n', (size_t)(to - from)) != NULL;
}

/* The library joins folded lines silently. RFC 9112 section 5.2 has a server refuse them: a value's pieces must follow each
 * other without a gap, and no line end may stand between a name and its value unless that is empty. */
static int on_value(http_parser *lib, const char *at, size_t n)
{
    struct parse *ps = of(lib);
    static const char folded[] = "a header field is folded over several lines";
    if (ps->at == PARSE_IN_NAME) {
        if (n > 0 && (ps->gap_has_lf || has_lf(ps->gap, at)))
            return refuse(ps, 400, folded);
        if (end_piece(ps) != 0)
            return -1;
        ps->fields[ps->n_fields - 1].value = (uint32_t)ps->text.n;
        ps->at = PARSE_IN_VALUE;
    } else if (n > 0 && !(ps->piece_open && at == ps->begin)) {
        return refuse(ps, 400, folded);
    }
    ps->piece_open = at + n == ps->end;
    return append(ps, at, n, 431);
}

/* ---- what the head means ---- */

const char *parse_field_next(const struct parse *ps, const char *name, unsigned *i)
{
    size_t n = strlen(name);
    while (*i < ps->n_fields) {
        const struct parse_field *f = &ps->fields[(*i)++];
        if (f->name_n == n && strncasecmp((const char *)ps->text.p + f->name, name, n) == 0)
            return (const char *)ps->text.p + f->value;
    }
    return NULL;
}

const char *parse_field(const struct parse *ps, const char *name)
{
    unsigned i = 0;
    return parse_field_next(ps, name, &i);
}

/* field-name = token (RFC 9110 section 5.1): above all no white space before the colon (RFC 9112 section 5.1). A value has
 * no control characters but HTAB (RFC 9110 section 5.5); the library lets one pass that comes first. */
static int check_fields(struct parse *ps)
{
    static const char token[] =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (unsigned i = 0; i < ps->n_fields; i++) {
        const struct parse_field *f = &ps->fields[i];
        const uint8_t *value = ps->text.p + f->value;
        if (f->name_n == 0 || strspn((const char *)ps->text.p + f->name, token) != f->name_n)
            return refuse(ps, 400, "a header field has an invalid name");
        for (uint32_t k = 0; k < f->value_n; k++)
            if ((value[k] < 0x20 && value[k] != '\t') || value[k] == 0x7f)
                return refuse(ps, 400, "a header field holds a control character");
    }
    return 0;
}

/* RFC 9112 section 3.2: exactly one Host in HTTP/1.1, at most one in 1.0. */
static int check_host(struct parse *ps)
{
    unsigned i = 0;
    ps->host = parse_field_next(ps, "Host", &i);
    if (!ps->host && !ps->http10)
        return refuse(ps, 400, "the Host header field is missing");
    if (ps->host && parse_field_next(ps, "Host", &i))
        return refuse(ps, 400, "the Host header field is repeated");
    return 0;
}

/* RFC 9112 section 6.1: what is not "chunked" alone is not understood here, and HTTP/1.0 has no such thing. */
static int check_transfer_encoding(struct parse *ps)
{
    unsigned i = 0;
    const char *te = parse_field_next(ps, "Transfer-Encoding", &i);
    if (!te)
        return 0;
    if (ps->http10 || parse_field_next(ps, "Transfer-Encoding", &i) || parse_field(ps, "Content-Length"))
        return refuse(ps, 400, "the framing of the request is ambiguous");
    if (strcasecmp(te, "chunked") != 0)
        return refuse(ps, 501, "only the transfer coding chunked is understood");
    ps->is_chunked = true;
    return 0;
}

/* RFC 9112 section 6.3: one number. The library leaves an empty value alone. */
static int check_content_length(struct parse *ps)
{
    unsigned i = 0;
    const char *length = parse_field_next(ps, "Content-Length", &i);
    if (!length)
        return 0;
    uint64_t n = 0;
    size_t digits = strspn(length, "0123456789");
    if (digits == 0 || digits > 18 || length[digits] || parse_field_next(ps, "Content-Length", &i))
        return refuse(ps, 400, "Content-Length is not one number");
    for (; *length; length++)
        n = n * 10 + (uint64_t)(*length - '0');
    ps->content_length = n;
    return 0;
}

static int check_expect(struct parse *ps)
{
    const char *expect = parse_field(ps, "Expect");
    if (!expect || ps->http10) /* RFC 9110 section 10.1.1: ignored in HTTP/1.0 */
        return 0;
    if (strcasecmp(expect, "100-continue") != 0)
        return refuse(ps, 417, "only the expectation 100-continue can be met");
    ps->expect_continue = true;
    return 0;
}

/* Pausing makes the library stop at the last octet of the head. */
static int on_head(http_parser *lib)
{
    struct parse *ps = of(lib);
    if (end_piece(ps) != 0)
        return -1;
    ps->at = PARSE_IN_BODY;
    ps->http10 = lib->http_major == 1 && lib->http_minor == 0;
    if (!ps->http10 && !(lib->http_major == 1 && lib->http_minor == 1))
        return refuse(ps, 505, "only HTTP/1.1 and HTTP/1.0 are spoken");
    if (lib->method == HTTP_CONNECT)
        return refuse(ps, 501, "the method is not implemented");
    ps->keep_alive = http_should_keep_alive(lib);
    if (check_fields(ps) || check_host(ps) || check_transfer_encoding(ps) || check_content_length(ps) ||
        check_expect(ps))
        return -1;
    http_parser_pause(lib, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_target,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
};

/* ---- life ---- */

tm_err parse_init(struct parse *ps, const struct parse_ops *ops, const struct parse_limits *limits)
{
    *ps = (struct parse){.ops = ops, .limits = limits};
    ps->fields = calloc(limits->fields, sizeof *ps->fields);
    if (!ps->fields)
        return TM_ENOMEM;
    /* Each field adds two terminators to what was on the wire, where ": " and the line end stood; the target adds one. */
    buf_init(&ps->text, limits->octets + 2);
    parse_reset(ps);
    return TM_OK;
}

void parse_reset(struct parse *ps)
{
    struct parse fresh = {.ops = ps->ops, .limits = ps->limits, .text = ps->text, .fields = ps->fields};
    buf_reset(&fresh.text);
    *ps = fresh;
    http_parser_init(&ps->lib, HTTP_REQUEST);
    ps->lib.data = ps;
}

void parse_done(struct parse *ps)
{
    buf_done(&ps->text);
    free(ps->fields);
    ps->fields = NULL;
}

static int status_of(enum http_errno e)
{
    switch (e) {
    case HPE_HEADER_OVERFLOW:
        return 431;
    case HPE_INVALID_VERSION:
        return 505;
    default:
        return 400;
    }
}

/* How many octets it took; with the head whole, the one that ends it is among them. */
static size_t feed_head(struct parse *ps, struct slice data)
{
    ps->begin = (const char *)data.p;
    ps->end = ps->begin + data.n;
    ps->gap = ps->begin;
    ps->lib.data = ps; /* the message may have moved */
    size_t n = http_parser_execute(&ps->lib, &settings, ps->begin, data.n);
    enum http_errno e = HTTP_PARSER_ERRNO(&ps->lib);
    if (ps->at == PARSE_IN_NAME && has_lf(ps->gap, ps->end))
        ps->gap_has_lf = true;
    if (ps->status)
        return n;
    if (e == HPE_PAUSED) {
        if (n >= data.n || data.p[n] != '\n')
            refuse(ps, 400, "the head does not end with an empty line");
        return n + 1;
    }
    if (e != HPE_OK)
        refuse(ps, status_of(e), http_errno_description(e));
    else if (n != data.n)
        refuse(ps, 400, "the request is malformed");
    return n;
}

static void begin_body(struct parse *ps)
{
    ps->left = ps->content_length;
    if (ps->is_chunked)
        chunked_init(&ps->chunked, ps->limits->octets);
    else
        ps->done = ps->left == 0;
    int status = ps->ops->head(ps);
    if (status)
        refuse(ps, status, ps->detail);
}

static void give_body(struct parse *ps, struct slice data)
{
    int status = data.n ? ps->ops->body(ps, data) : 0;
    if (status)
        refuse(ps, status, ps->detail);
}

static size_t feed_body(struct parse *ps, struct slice data)
{
    struct slice piece;
    size_t used;
    if (!ps->is_chunked) {
        piece = slice_sub(data, 0, ps->left < data.n ? (size_t)ps->left : data.n);
        ps->left -= piece.n;
        ps->done = ps->left == 0;
        give_body(ps, piece);
        return piece.n;
    }
    tm_err err = chunked_feed(&ps->chunked, data, &used, &piece);
    if (err != TM_OK) {
        refuse(ps, err == TM_ETOOBIG ? 431 : 400,
               err == TM_ETOOBIG ? "the trailers are too long" : "a chunk is malformed");
        return data.n;
    }
    ps->done = ps->chunked.done;
    give_body(ps, piece);
    return used;
}

size_t parse_feed(struct parse *ps, struct slice data)
{
    size_t n = 0;
    if (ps->at != PARSE_IN_BODY) {
        n = feed_head(ps, data);
        if (ps->status || ps->at != PARSE_IN_BODY)
            return n;
        begin_body(ps);
    }
    while (n < data.n && !ps->done && !ps->status)
        n += feed_body(ps, slice_sub(data, n, data.n));
    return n;
}
