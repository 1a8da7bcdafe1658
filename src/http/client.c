#include "http/client.h"
#include "http/parser_lib.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HEAD_MAX = 16 << 10, CHUNK = 64 << 10 };

struct reading {
    struct http_exchange *x;
    bool done, in_type, stopped;
    size_t head;
    char name[32];
    size_t name_n;
    bool after_value;
};

static int connect_unix(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sa.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0) {
        int e = errno;
        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

bool http_unix_listens(const char *socket_path)
{
    int fd = connect_unix(socket_path);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

/* ---- the answer ---- */

static int on_field(http_parser *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    if (r->after_value) {
        r->name_n = 0;
        r->after_value = false;
    }
    r->head += n;
    for (size_t i = 0; i < n && r->name_n + 1 < sizeof r->name; i++)
        r->name[r->name_n++] = at[i];
    r->name[r->name_n] = '\0';
    return r->head > HEAD_MAX;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    if (!r->after_value && strcasecmp(r->name, "Content-Type") == 0)
        r->x->type[0] = '\0';
    r->after_value = true;
    r->head += n;
    if (strcasecmp(r->name, "Content-Type") == 0) {
        size_t have = strlen(r->x->type), room = sizeof r->x->type - 1 - have;
        size_t take = n < room ? n : room;
        memcpy(r->x->type + have, at, take);
        r->x->type[have + take] = '\0';
    }
    return r->head > HEAD_MAX;
}

static int on_headers(http_parser *p)
{
    struct reading *r = p->data;
    r->x->status = (int)p->status_code;
    return 0;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    if (r->x->write && r->x->status < 400) {
        r->stopped = !r->x->write(r->x->write_arg, slice_of(at, n));
        return r->stopped;
    }
    buf_put(&r->x->out, at, n);
    return buf_err(&r->x->out) != TM_OK;
}

static int on_complete(http_parser *p)
{
    struct reading *r = p->data;
    if (r->x->status >= 200) /* after 1xx another answer comes */
        r->done = true;
    return 0;
}

static tm_err read_answer(struct http_exchange *x, int fd, struct diag *diag)
{
    struct reading r = {.x = x};
    http_parser_settings settings;
    http_parser_settings_init(&settings);
    settings.on_header_field = on_field;
    settings.on_header_value = on_value;
    settings.on_headers_complete = on_headers;
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
    http_parser p;
    http_parser_init(&p, HTTP_RESPONSE);
    p.data = &r;
    while (!r.done) {
        char chunk[CHUNK];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return diag_fail(diag, TM_EIO, NULL, NULL, "the server's answer: %s", strerror(errno));
        size_t taken = http_parser_execute(&p, &settings, chunk, (size_t)n);
        if (r.stopped)
            return diag_fail(diag, TM_EIO, NULL, NULL, "the answer could not be written");
        TM_TRY(buf_err(&x->out));
        if (r.done)
            break;
        if (n == 0)
            return diag_fail(diag, TM_EIO, NULL, NULL,
                             "the server closed the connection before its answer was whole");
        if (taken != (size_t)n)
            return diag_fail(diag, TM_EMALFORMED, "RFC 9112", NULL, "the server's answer is not HTTP");
    }
    return TM_OK;
}

/* ---- the request ---- */

static bool send_all(int fd, struct slice s)
{
    while (s.n) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        s = slice_sub(s, (size_t)n, SIZE_MAX);
    }
    return true;
}

tm_err http_unix_exchange(struct http_exchange *x, const char *socket_path, struct diag *diag)
{
    buf_init(&x->out, x->max);
    x->status = 0;
    x->type[0] = '\0';
    int fd = connect_unix(socket_path);
    if (fd < 0)
        return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%s: %s", socket_path, strerror(errno));
    struct buf head;
    buf_init(&head, HEAD_MAX);
    buf_printf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", x->method, x->target);
    if (x->accept)
        buf_printf(&head, "Accept: %s\r\n", x->accept);
    if (x->content_type)
        buf_printf(&head, "Content-Type: %s\r\n", x->content_type);
    if (x->body.n || x->content_type)
        buf_printf(&head, "Content-Length: %zu\r\n", x->body.n);
    buf_puts(&head, "\r\n");
    tm_err e = buf_err(&head);
    /* A server that refuses early closes while the body is under way; its answer says why. */
    if (e == TM_OK && (!send_all(fd, buf_slice(&head)) || !send_all(fd, x->body)) && errno != EPIPE &&
        errno != ECONNRESET)
        e = diag_fail(diag, TM_EIO, NULL, NULL, "%s: %s", socket_path, strerror(errno));
    if (e == TM_OK)
        e = read_answer(x, fd, diag);
    buf_done(&head);
    close(fd);
    return e;
}
