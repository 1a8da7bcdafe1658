/* Answers: the head, whole bodies, chunks. */
#include "base/clock.h"
#include "http/date.h"
#include "http/internal.h"
#include <assert.h>
#include <stdio.h>
#include <sys/socket.h>

const char *http_status_text(int status)
{
    switch (status) {
#define XX(num, name, string)                                                                                \
    case num:                                                                                                \
        return #string;
        HTTP_STATUS_MAP(XX)
#undef XX
    default:
        return "Unknown";
    }
}

/* RFC 9110 section 6.6.1; made once a second. */
static const char *date_line(struct loop *l)
{
    int64_t now = clock_now();
    if (now == l->date_at)
        return l->date;
    http_date_format(l->date, now);
    l->date_at = now;
    return l->date;
}

/* Names and values come from handlers, their parts perhaps from outside: nothing in them may end the line. */
static void put_field(struct buf *b, const char *name, const char *value)
{
    size_t from = b->n;
    buf_puts(b, name);
    buf_put_slice(b, SLICE_LIT(": "));
    buf_puts(b, value);
    for (size_t i = from; i < b->n; i++)
        if (b->p[i] < 0x20 || b->p[i] == 0x7f)
            b->p[i] = ' ';
    buf_put_slice(b, SLICE_LIT("\r\n"));
}

static void put_number(struct buf *b, uint64_t n)
{
    char text[24], *at = text + sizeof text;
    do
        *--at = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    buf_put(b, at, (size_t)(text + sizeof text - at));
}

static void put_allow(struct buf *b, unsigned methods)
{
    static const struct {
        unsigned method;
        const char *name;
    } names[] = {{HTTP_M_GET, "GET"},        {HTTP_M_HEAD, "HEAD"},     {HTTP_M_POST, "POST"},
                 {HTTP_M_PUT, "PUT"},        {HTTP_M_DELETE, "DELETE"}, {HTTP_M_PATCH, "PATCH"},
                 {HTTP_M_OPTIONS, "OPTIONS"}};
    const char *between = "Allow: ";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(methods & names[i].method))
            continue;
        buf_puts(b, between);
        buf_puts(b, names[i].name);
        between = ", ";
    }
    buf_put_slice(b, SLICE_LIT("\r\n"));
}

/* May the connection go on after this answer? Decided once, so that what the head says is what happens. */
static void decide_keep(struct request *q, bool needs_close)
{
    struct conn *c = q->conn;
    bool whole = q->complete || q->begun ||
                 (q->headed && !q->parse.is_chunked && q->parse.content_length == q->body_octets);
    if (needs_close || !q->parse.keep_alive || !whole || q->loop->stopping)
        c->close_after = true;
}

static bool bodiless(int status)
{
    return status == 204 || status == 304 || (status >= 100 && status < 200);
}

/* The head up to and with the empty line, in loop->head. `length` counts unless the answer is chunked or has no body. */
static void put_head(struct request *q, int status, const char *content_type, bool sized, uint64_t length,
                     const struct http_header *headers)
{
    struct buf *b = &q->loop->head;
    buf_reset(b);
    /* HTTP/1.1 to HTTP/1.0 clients too (RFC 9110 section 6.2): some of those refuse a 1.0 status line. */
    buf_put_slice(b, SLICE_LIT("HTTP/1.1 "));
    put_number(b, (uint64_t)status);
    buf_putc(b, ' ');
    buf_puts(b, http_status_text(status));
    buf_put_slice(b, SLICE_LIT("\r\nDate: "));
    buf_puts(b, date_line(q->loop));
    buf_put_slice(b, SLICE_LIT("\r\n"));
    if (content_type)
        put_field(b, "Content-Type", content_type);
    if (sized) {
        buf_put_slice(b, SLICE_LIT("Content-Length: "));
        put_number(b, length);
        buf_put_slice(b, SLICE_LIT("\r\n"));
    }
    if (q->chunked_out)
        buf_put_slice(b, SLICE_LIT("Transfer-Encoding: chunked\r\n"));
    buf_put_slice(b, SLICE_LIT("X-Request-Id: "));
    buf_puts(b, q->pub.id);
    buf_put_slice(b, SLICE_LIT("\r\n"));
    if (q->conn->close_after)
        buf_put_slice(b, SLICE_LIT("Connection: close\r\n"));
    else if (q->parse.http10)
        buf_put_slice(b, SLICE_LIT("Connection: keep-alive\r\n"));
    if (status == 405 && q->allow)
        put_allow(b, q->allow);
    if (status == 429 && q->retry_s)
        buf_printf(b, "Retry-After: %u\r\n", q->retry_s);
    for (; headers && headers->name; headers++)
        put_field(b, headers->name, headers->value);
    buf_put_slice(b, SLICE_LIT("\r\n"));
}

/* An answer whose own head does not fit is the handler's fault; the client gets an end rather than half a head. */
static bool head_whole(struct request *q)
{
    if (buf_err(&q->loop->head) == TM_OK)
        return true;
    conn_abort(q->conn);
    return false;
}

static void check(const struct request *q)
{
    assert(loop_is_here(q->loop));
    assert(!q->replied);
    loop_now(q->loop);
}

void http_reply(struct http_request *r, int status, const char *content_type, struct slice body,
                const struct http_header *headers)
{
    enum { ONE_PIECE = 8 << 10 }; /* small answers go out as one TLS record */
    struct request *q = request_of(r);
    struct conn *c = q->conn;
    check(q);
    assert(!q->begun);
    q->replied = true;
    q->status = status;
    if (r->server->on_exchange)
        r->server->on_exchange(r->server->app, r, status, content_type, body, headers);
    if (!q->aborted) {
        decide_keep(q, false);
        put_head(q, status, content_type, !bodiless(status), body.n, headers);
        struct buf *b = &q->loop->head;
        if (r->method == HTTP_M_HEAD || bodiless(status))
            body = slice_of(NULL, 0);
        if (c->ssl && body.n <= ONE_PIECE) {
            buf_put_slice(b, body);
            body = slice_of(NULL, 0);
        }
        if (head_whole(q)) {
            q->octets_out = b->n + body.n;
            io_send(c, buf_slice(b), body);
        }
    }
    conn_kick(c);
}

static void begin(struct http_request *r, int status, const char *content_type, bool sized, uint64_t length,
                  const struct http_header *headers)
{
    struct request *q = request_of(r);
    check(q);
    assert(!q->begun);
    q->begun = true;
    q->status = status;
    if (q->aborted)
        return;
    bool body = r->method != HTTP_M_HEAD && !bodiless(status);
    q->chunked_out = body && !sized && !q->parse.http10;
    /* Without a length the end of the connection is the end of the body there. */
    decide_keep(q, body && !sized && q->parse.http10);
    put_head(q, status, content_type, sized, length, headers);
    if (!head_whole(q))
        return;
    q->octets_out += q->loop->head.n;
    io_queue(q->conn, buf_slice(&q->loop->head));
}

void http_reply_begin(struct http_request *r, int status, const char *content_type,
                      const struct http_header *headers)
{
    begin(r, status, content_type, false, 0, headers);
}

void http_reply_begin_sized(struct http_request *r, int status, const char *content_type, uint64_t length,
                            const struct http_header *headers)
{
    begin(r, status, content_type, true, length, headers);
}

void http_reply_chunk(struct http_request *r, struct slice data)
{
    struct request *q = request_of(r);
    struct conn *c = q->conn;
    char size[20];
    check(q);
    assert(q->begun);
    if (q->aborted || data.n == 0 || r->method == HTTP_M_HEAD || bodiless(q->status))
        return;
    c->moved_ms = q->loop->now_ms;
    if (q->chunked_out)
        io_queue(c, slice_of(size, (size_t)snprintf(size, sizeof size, "%zx\r\n", data.n)));
    io_queue(c, data);
    if (q->chunked_out)
        io_queue(c, SLICE_LIT("\r\n"));
    q->octets_out += data.n;
    if (io_queued(c) >= OUTPUT_FLUSH)
        io_flush(c);
    if (io_queued(c) >= OUTPUT_LOW)
        q->draining = true;
}

size_t http_reply_pending(const struct http_request *r)
{
    return io_queued(request_of(r)->conn);
}

void http_reply_on_drain(struct http_request *r, void (*on_drain)(struct http_request *r))
{
    request_of(r)->on_drain = on_drain;
}

void http_reply_end(struct http_request *r)
{
    struct request *q = request_of(r);
    check(q);
    assert(q->begun);
    q->replied = true;
    if (!q->aborted && q->chunked_out)
        io_queue(q->conn, SLICE_LIT("0\r\n\r\n"));
    conn_kick(q->conn);
}

void http_reply_abort(struct http_request *r)
{
    struct request *q = request_of(r);
    struct conn *c = q->conn;
    check(q);
    assert(q->begun);
    q->replied = true;
    q->status = 500;
    if (!q->aborted && io_flush(c) && c->fd >= 0) {
        c->broken = true; /* no close_notify: TLS clients see a truncation too (RFC 8446 section 6.1) */
        const struct linger reset = {.l_onoff = 1};
        if (!q->chunked_out && setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0)
            c->close_after = true; /* a unix socket: its end is all that can be said */
        conn_abort(c);
    }
    conn_kick(c);
}

/* ---- the server's own ---- */

void reply_error(struct request *q, int status, const char *detail)
{
    struct http_server *s = q->loop->server;
    if (!detail)
        detail = http_status_text(status);
    if (s->on_error) {
        s->on_error(s->app, &q->pub, status, detail);
        if (q->replied)
            return;
    }
    struct buf text;
    buf_init(&text, 1024);
    buf_printf(&text, "%d %s: %s\n", status, http_status_text(status), detail);
    http_reply(&q->pub, status, "text/plain; charset=utf-8", buf_slice(&text), NULL);
    buf_done(&text);
}

void reply_canned(struct conn *c, int status)
{
    char text[128];
    int n = snprintf(text, sizeof text, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                     status, http_status_text(status));
    io_send(c, slice_of(text, (size_t)n), slice_of(NULL, 0));
}
