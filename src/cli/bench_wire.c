/* The load generator: HTTP/1.1 over TLS on one thread, and the bulk stream. The server's certificate is not checked: it is our own child's. */
#include "base/clock.h"
#include "base/text.h"
#include "cli/bench.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 64 << 10, WAIT_MS = 60000, FIELDS = 4096 };

struct bench_conn {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
    http_parser parser;
    /* the answer being read */
    int status;
    bool complete;
    struct buf *out;
    /* its fields, "name\0value\0" one after the other; those that don't fit are lost */
    char fields[FIELDS];
    size_t fields_n;
    bool in_value;
    /* of a bulk stream */
    bool counting;
    size_t issued, other, line_n;
    char line[256]; /* its beginning tells how it went */
    struct buf *results;
};

static tm_err broken(struct diag *diag, const char *what)
{
    return diag_fail(diag, TM_EIO, NULL, NULL, "%s failed", what);
}

/* ---- connecting ---- */

static tm_err tls_begin(struct bench_conn *c, struct diag *diag)
{
    c->ctx = SSL_CTX_new(TLS_client_method());
    c->ssl = c->ctx ? SSL_new(c->ctx) : NULL;
    if (!c->ssl)
        return TM_ENOMEM;
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_NONE, NULL);
    SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1)
        return diag_fail(diag, TM_EIO, NULL, NULL, "the TLS handshake with the server failed");
    return TM_OK;
}

tm_err bench_connect(struct bench_conn **ret, int port, bool tls, struct diag *diag)
{
    struct bench_conn *c = calloc(1, sizeof *c);
    if (!c)
        return TM_ENOMEM;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tm_err e = TM_OK;
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&sa, sizeof sa) != 0)
        e = broken(diag, "connect");
    if (e == TM_OK) {
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        e = tls ? tls_begin(c, diag) : TM_OK;
    }
    if (e == TM_OK && fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0)
        e = broken(diag, "fcntl");
    if (e != TM_OK) {
        bench_conn_free(c);
        return e;
    }
    *ret = c;
    return TM_OK;
}

void bench_conn_free(struct bench_conn *c)
{
    if (!c)
        return;
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

/* ---- octets: how many moved, 0: not now, -1: broken ---- */

static ssize_t moved(struct bench_conn *c, int n)
{
    if (n > 0)
        return n;
    int why = SSL_get_error(c->ssl, n);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static ssize_t put(struct bench_conn *c, struct slice s)
{
    errno = 0;
    if (c->ssl)
        return moved(c, SSL_write(c->ssl, s.p, (int)(s.n < CHUNK ? s.n : CHUNK)));
    ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

static ssize_t get(struct bench_conn *c, char *p, size_t n)
{
    errno = 0;
    if (c->ssl)
        return moved(c, SSL_read(c->ssl, p, (int)n));
    ssize_t got = recv(c->fd, p, n, 0);
    if (got == 0)
        return -1;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : got;
}

/* ---- answers ---- */

static void line_over(struct bench_conn *c)
{
    c->line[c->line_n] = '\0';
    if (strstr(c->line, "\"status\":\"issued\"")) {
        c->issued++;
    } else if (c->line_n) {
        if (c->other++ == 0)
            fprintf(stderr, "touchmark bench: %s\n", c->line);
    }
    c->line_n = 0;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
    struct bench_conn *c = p->data;
    if (c->out)
        buf_put(c->out, at, n);
    while (c->counting && n) {
        const char *nl = memchr(at, '\n', n);
        size_t part = nl ? (size_t)(nl - at) : n, room = sizeof c->line - 1 - c->line_n;
        memcpy(c->line + c->line_n, at, part < room ? part : room);
        c->line_n += part < room ? part : room;
        if (!nl)
            break;
        line_over(c);
        at = nl + 1;
        n -= part + 1;
    }
    return 0;
}

static void field_put(struct bench_conn *c, bool value, const char *at, size_t n)
{
    if (c->in_value != value && c->fields_n < FIELDS)
        c->fields[c->fields_n++] = '\0';
    c->in_value = value;
    size_t room = FIELDS - c->fields_n, part = n < room ? n : room;
    memcpy(c->fields + c->fields_n, at, part);
    c->fields_n += part;
}

static int on_field(http_parser *p, const char *at, size_t n)
{
    field_put(p->data, false, at, n);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    field_put(p->data, true, at, n);
    return 0;
}

const char *bench_field(const struct bench_conn *c, const char *name)
{
    const char *s = c->fields, *end = s + c->fields_n;
    while (s < end) {
        const char *value = s + strnlen(s, (size_t)(end - s)) + 1;
        const char *next = value < end ? value + strnlen(value, (size_t)(end - value)) + 1 : end + 1;
        if (next > end + 1 || value >= end)
            return NULL;
        if (strcasecmp(s, name) == 0)
            return next <= end ? value : NULL;
        s = next;
    }
    return NULL;
}

static int on_headers(http_parser *p)
{
    struct bench_conn *c = p->data;
    c->status = (int)p->status_code;
    if (c->fields_n < FIELDS)
        c->fields[c->fields_n++] = '\0';
    return 0;
}

static int on_complete(http_parser *p)
{
    struct bench_conn *c = p->data;
    c->complete = true;
    return 0;
}

static const http_parser_settings settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

static void answer_begin(struct bench_conn *c, struct buf *out)
{
    http_parser_init(&c->parser, HTTP_RESPONSE);
    c->parser.data = c;
    c->status = 0;
    c->complete = false;
    c->fields_n = 0;
    c->in_value = false;
    c->out = out;
    c->issued = c->other = c->line_n = 0;
}

/* Send all of `head` and `body`, read the whole answer, both as they go. */
static tm_err run(struct bench_conn *c, struct slice head, struct slice body, struct diag *diag)
{
    char chunk[CHUNK];
    while (!c->complete) {
        ssize_t n = 0, sent = 0;
        if (head.n) {
            sent = put(c, head);
            head = slice_sub(head, sent > 0 ? (size_t)sent : 0, SIZE_MAX);
        } else if (body.n) {
            sent = put(c, body);
            body = slice_sub(body, sent > 0 ? (size_t)sent : 0, SIZE_MAX);
        }
        n = get(c, chunk, sizeof chunk);
        if (sent < 0 || n < 0)
            return broken(diag, "the exchange with the server");
        if (n > 0 && http_parser_execute(&c->parser, &settings, chunk, (size_t)n) != (size_t)n)
            return diag_fail(diag, TM_EMALFORMED, "RFC 9112", NULL, "the server's answer is not HTTP");
        if (n > 0 || sent > 0)
            continue;
        bool more = head.n || body.n;
        struct pollfd p = {.fd = c->fd, .events = (short)(POLLIN | (more ? POLLOUT : 0))};
        if (poll(&p, 1, WAIT_MS) == 0)
            return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "the server says nothing");
    }
    return TM_OK;
}

tm_err bench_exchange(struct bench_conn *c, const char *method, const char *target, const char *headers,
                      struct slice body, int *ret_status, struct buf *out, struct diag *diag)
{
    struct buf head;
    buf_init(&head, 16 << 10);
    buf_printf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n", method, target,
               headers, body.n);
    if (body.n < 4096) {
        buf_put_slice(&head, body); /* one segment, as clients do */
        body.n = 0;
    }
    answer_begin(c, out);
    tm_err e = buf_err(&head);
    if (e == TM_OK)
        e = run(c, buf_slice(&head), body, diag);
    if (ret_status)
        *ret_status = c->status;
    buf_done(&head);
    return e;
}

tm_err bench_api(const struct bench_server *s, const char *method, const char *path, const char *doc,
                 int wanted, struct buf *out, struct diag *diag)
{
    struct bench_conn *conn;
    char headers[512];
    int status = 0;
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\nContent-Type: application/json\r\n",
             s->token);
    TM_TRY(bench_connect(&conn, s->enrollment, true, diag));
    tm_err e = bench_exchange(conn, method, path, headers, slice_str(doc), &status, out, diag);
    bench_conn_free(conn);
    if (e == TM_OK && status != wanted)
        e = diag_fail(diag, TM_EINTERNAL, NULL, NULL, "%s: status %d: %.160s", path, status, buf_str(out));
    return e;
}

/* ---- bulk ---- */

tm_err bench_bulk(const struct bench_server *s, const struct bench_csr *v, size_t n, double *ret_s,
                  struct buf *results, struct diag *diag)
{
    struct buf lines;
    struct bench_conn *c = NULL;
    char headers[512];
    buf_init(&lines, SIZE_MAX / 2);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&lines, "{\"id\":\"%zu\",\"csr\":\"", i);
        buf_put_base64(&lines, slice_of(v[i].der, v[i].n), BASE64_STD, 0);
        buf_puts(&lines, "\"}\n");
    }
    tm_err e = buf_err(&lines);
    if (e == TM_OK)
        e = bench_connect(&c, s->enrollment, true, diag);
    if (e == TM_OK) {
        snprintf(headers, sizeof headers,
                 "Authorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\n", s->token);
        c->counting = true;
        int status;
        uint64_t begun = clock_mono_ns();
        e = bench_exchange(c, "POST", "/api/v1/enroll/bulk?endpoint=rest&profile=server-internal-1y", headers,
                           buf_slice(&lines), &status, results, diag);
        *ret_s = (double)(clock_mono_ns() - begun) / 1e9;
        if (e == TM_OK && (status != 200 || c->issued != n))
            e = diag_fail(diag, TM_EINTERNAL, NULL, NULL,
                          "status %d, %zu of %zu certificates came back, %zu others", status, c->issued, n,
                          c->other);
    }
    bench_conn_free(c);
    buf_done(&lines);
    return e;
}
