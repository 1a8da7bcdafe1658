#include "http/answer.h"
#include <string.h>
#include <strings.h>

enum { NO_BODY = 1 }; /* what on_headers() says to the parser */

/* ---- callbacks of the parser; what is not 0 ends it, but of on_headers() ---- */

static int stop(struct http_answer *x, tm_err e)
{
    x->err = e;
    return -1;
}

static int count_head(struct http_answer *x, size_t n)
{
    x->head += n;
    return x->head > x->head_max ? stop(x, TM_ETOOBIG) : 0;
}

static int on_field(http_parser *p, const char *at, size_t n)
{
    struct http_answer *x = p->data;
    if (x->in_value)
        x->name_n = 0;
    x->in_value = false;
    for (size_t i = 0; i < n && x->name_n + 1 < sizeof x->name; i++)
        x->name[x->name_n++] = at[i];
    x->name[x->name_n] = '\0';
    return count_head(x, n);
}

static void keep(char *to, size_t size, bool goes_on, const char *at, size_t n)
{
    size_t have = goes_on ? strlen(to) : 0;
    if (n > size - 1 - have)
        n = size - 1 - have;
    memcpy(to + have, at, n);
    to[have + n] = '\0';
}

/* RFC 9110 5.5; the library lets one pass that comes first. */
static bool has_controls(const char *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)at[i] < 0x20 && at[i] != '\t') || at[i] == 0x7f)
            return true;
    return false;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    struct http_answer *x = p->data;
    struct {
        const char *name;
        char *to;
        size_t size;
    } kept[] = {{"Content-Type", x->type, sizeof x->type},
                {"ETag", x->etag, sizeof x->etag},
                {"Last-Modified", x->modified, sizeof x->modified}};
    bool goes_on = x->in_value;
    x->in_value = true;
    if (has_controls(at, n))
        return stop(x, TM_EMALFORMED);
    /* The last of a name counts; RFC 9110 6.5.1: a trailer is not taken for a field of the head. */
    for (size_t i = 0; i < sizeof kept / sizeof *kept && x->status == 0; i++)
        if (strcasecmp(x->name, kept[i].name) == 0)
            keep(kept[i].to, kept[i].size, goes_on, at, n);
    return count_head(x, n);
}

static void drop_if_full(char *text, size_t size)
{
    if (strlen(text) + 1 == size)
        text[0] = '\0'; /* it was cut: not what the server said */
}

static int on_headers(http_parser *p)
{
    struct http_answer *x = p->data;
    unsigned status = p->status_code;
    if (status < 200) {
        x->type[0] = x->etag[0] = x->modified[0] = '\0';
        return ++x->before > HTTP_ANSWERS_BEFORE_MAX ? stop(x, TM_EMALFORMED) : NO_BODY;
    }
    x->status = (int)status;
    drop_if_full(x->etag, sizeof x->etag);
    drop_if_full(x->modified, sizeof x->modified);
    /* RFC 9112 6.3: these end with their head, also where a field tells how long the body is that is not sent. */
    return x->to_head || status == 204 || status == 304 ? NO_BODY : 0;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
    struct http_answer *x = p->data;
    if (x->write && x->status < 400)
        return x->write(x->write_arg, slice_of(at, n)) ? 0 : stop(x, TM_EIO);
    buf_put(&x->body, at, n);
    return buf_err(&x->body) == TM_OK ? 0 : stop(x, buf_err(&x->body));
}

/* What stands behind the answer is not read. */
static int on_complete(http_parser *p)
{
    struct http_answer *x = p->data;
    x->complete = x->status != 0;
    return x->complete;
}

/* ---- the whole ---- */

void http_answer_begin(struct http_answer *x)
{
    buf_init(&x->body, x->body_max);
    http_parser_settings_init(&x->settings);
    x->settings.on_header_field = on_field;
    x->settings.on_header_value = on_value;
    x->settings.on_headers_complete = on_headers;
    x->settings.on_body = on_body;
    x->settings.on_message_complete = on_complete;
    http_parser_init(&x->lib, HTTP_RESPONSE);
    x->lib.data = x;
}

static tm_err no_http(struct diag *diag)
{
    return diag_fail(diag, TM_EMALFORMED, "RFC 9112", NULL, "the server's answer is not HTTP");
}

static tm_err stopped(const struct http_answer *x, struct diag *diag)
{
    if (x->err == TM_ETOOBIG && buf_err(&x->body) == TM_OK)
        return diag_fail(diag, TM_ETOOBIG, NULL, NULL, "the answer's head is larger than %zu bytes",
                         x->head_max);
    if (x->err == TM_ETOOBIG)
        return diag_fail(diag, TM_ETOOBIG, NULL, NULL, "the answer is larger than %zu bytes", x->body_max);
    if (x->err == TM_EIO)
        return diag_fail(diag, TM_EIO, NULL, NULL, "the answer could not be written");
    if (x->err == TM_EMALFORMED && x->before > HTTP_ANSWERS_BEFORE_MAX)
        return diag_fail(diag, TM_EMALFORMED, "RFC 9110 15.2", NULL,
                         "the server announces an answer again and again");
    return x->err == TM_EMALFORMED ? no_http(diag) : x->err;
}

tm_err http_answer_take(struct http_answer *x, struct slice octets, struct diag *diag)
{
    if (x->complete)
        return TM_OK;
    size_t taken = http_parser_execute(&x->lib, &x->settings, (const char *)octets.p, octets.n);
    if (x->complete)
        return TM_OK;
    if (x->err != TM_OK)
        return stopped(x, diag);
    if (octets.n == 0)
        return diag_fail(diag, TM_EIO, NULL, NULL,
                         x->status ? "the answer was cut short: what came is not the whole"
                                   : "the server closed the connection without an answer");
    if (taken != octets.n || HTTP_PARSER_ERRNO(&x->lib) != HPE_OK)
        return no_http(diag);
    return TM_OK;
}
