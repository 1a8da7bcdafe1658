#include "http/client.h"
#include "base/clock.h"
#include "http/answer.h"
#include "http/client_tls.h"
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    HEAD_MAX = 16 << 10,
    CHUNK = 64 << 10,
    IDLE_S = 60,
    ANSWER_S = 600,
    CONNECT_MS = 5000,
    CANCEL_MS = 200
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

/* ---- both ways at once ---- */

struct talk {
    struct http_exchange *x;
    int fd;
    SSL *tls; /* NULL: plain */
    short send_wants,
        recv_wants;      /* POLLIN or POLLOUT: what must come first; under TLS either may need either */
    struct slice out[2]; /* head and body, as far as they are not sent yet */
    struct http_answer r;
    uint64_t deadline_ns; /* 0: none */
};

static bool unsent(const struct talk *t)
{
    return t->out[0].n + t->out[1].n > 0;
}

static ssize_t put(struct talk *t, struct slice s, struct diag *diag)
{
    t->send_wants = POLLOUT;
    return t->tls ? client_tls_send(t->tls, s.p, s.n, &t->send_wants, diag)
                  : send(t->fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t get(struct talk *t, void *p, size_t n, struct diag *diag)
{
    t->recv_wants = POLLIN;
    return t->tls ? client_tls_recv(t->tls, p, n, &t->recv_wants, diag) : recv(t->fd, p, n, MSG_DONTWAIT);
}

/* What the socket takes now. A server that refuses early closes while the body is under way; its answer says why. */
static tm_err send_some(struct talk *t, struct diag *diag)
{
    for (size_t i = 0; i < 2; i++)
        while (t->out[i].n) {
            ssize_t n = put(t, t->out[i], diag);
            if (n < 0 && errno == EPROTO && SSL_get_verify_result(t->tls) != X509_V_OK)
                return TM_EAUTH;
            if (n > 0 || (n == 0 && !t->tls)) {
                t->out[i] = slice_sub(t->out[i], (size_t)n, SIZE_MAX);
                continue;
            }
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                return TM_OK;
            if (n < 0 && errno != EPIPE && errno != ECONNRESET && errno != EPROTO)
                return diag_fail(diag, TM_EIO, NULL, NULL, "the request: %s", strerror(errno));
            t->out[0] = t->out[1] = slice_of(NULL, 0);
        }
    return TM_OK;
}

static tm_err read_some(struct talk *t, struct diag *diag)
{
    char chunk[CHUNK];
    ssize_t n = get(t, chunk, sizeof chunk, diag);
    if (n < 0 && errno == EPROTO)
        return SSL_get_verify_result(t->tls) != X509_V_OK ? TM_EAUTH : TM_EIO;
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
        return TM_OK;
    if (n < 0 && errno != ECONNRESET)
        return diag_fail(diag, TM_EIO, NULL, NULL, "the server's answer: %s", strerror(errno));
    return http_answer_take(&t->r, slice_of(chunk, n < 0 ? 0 : (size_t)n), diag);
}

static unsigned seconds_left(const struct talk *t)
{
    if (t->deadline_ns == 0)
        return UINT_MAX;
    uint64_t now = clock_mono_ns();
    return now >= t->deadline_ns ? 0 : (unsigned)((t->deadline_ns - now + 999999999) / 1000000000);
}

/* poll(), which gives 0 early where the exchange was cancelled. */
static int wait_for(struct pollfd *p, unsigned seconds, const atomic_bool *cancel)
{
    if (!cancel)
        return poll(p, 1, (int)(seconds < INT_MAX / 1000 ? seconds * 1000 : INT_MAX));
    uint64_t end = clock_mono_ns() + (uint64_t)seconds * 1000000000;
    int n = 0;
    while (n == 0 && !atomic_load(cancel) && clock_mono_ns() < end)
        n = poll(p, 1, CANCEL_MS);
    return n;
}

static tm_err converse(struct talk *t, struct diag *diag)
{
    struct http_exchange *x = t->x;
    unsigned idle = x->idle_s ? x->idle_s : IDLE_S, answer = x->answer_s ? x->answer_s : ANSWER_S;
    while (!t->r.complete) {
        bool working = !unsent(t) && t->r.status == 0;
        unsigned seconds = working ? answer : idle, left = seconds_left(t);
        if (left == 0)
            return diag_fail(diag, TM_ETIMEOUT, NULL, NULL, "not done within %u seconds", x->total_s);
        if (seconds > left)
            seconds = left;
        struct pollfd p = {.fd = t->fd,
                           .events = (short)(POLLIN | t->recv_wants | (unsent(t) ? t->send_wants : 0))};
        int n = wait_for(&p, seconds, x->cancel);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return diag_fail(diag, TM_EIO, NULL, NULL, "poll: %s", strerror(errno));
        if (x->cancel && atomic_load(x->cancel))
            return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "it was not waited for");
        if (n == 0)
            return diag_fail(diag, TM_ETIMEOUT, NULL, NULL,
                             working     ? "no answer for %u seconds; what was asked may still be done"
                             : unsent(t) ? "it has read nothing for %u seconds"
                                         : "its answer has stood still for %u seconds",
                             seconds);
        if (unsent(t) && p.revents & t->send_wants)
            TM_TRY(send_some(t, diag));
        if (p.revents & (t->recv_wants | POLLIN | POLLHUP | POLLERR))
            do
                TM_TRY(read_some(t, diag));
            while (t->tls && !t->r.complete && SSL_pending(t->tls) > 0); /* which poll() does not know of */
    }
    return TM_OK;
}

static tm_err put_head(struct buf *head, const struct http_exchange *x, const char *host)
{
    buf_printf(head, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", x->method, x->target, host);
    if (x->etag_known && x->etag_known[0])
        buf_printf(head, "If-None-Match: %s\r\n", x->etag_known);
    if (x->date_known && x->date_known[0])
        buf_printf(head, "If-Modified-Since: %s\r\n", x->date_known);
    if (x->bearer)
        buf_printf(head, "Authorization: Bearer %s\r\n", x->bearer);
    if (x->accept)
        buf_printf(head, "Accept: %s\r\n", x->accept);
    if (x->content_type)
        buf_printf(head, "Content-Type: %s\r\n", x->content_type);
    if (x->body.n || x->content_type)
        buf_printf(head, "Content-Length: %zu\r\n", x->body.n);
    buf_puts(head, "\r\n");
    return buf_err(head);
}

static void answer_reset(struct http_exchange *x)
{
    x->out = (struct buf){0};
    x->status = 0;
    x->type[0] = x->etag[0] = x->modified[0] = '\0';
}

static void answer_take_over(struct http_exchange *x, const struct http_answer *r)
{
    x->status = r->status;
    memcpy(x->type, r->type, sizeof x->type);
    memcpy(x->etag, r->etag, sizeof x->etag);
    memcpy(x->modified, r->modified, sizeof x->modified);
    x->out = r->body;
}

/* Over a connected socket, which is closed; under `tls`, which is freed, unless it is NULL. */
static tm_err exchange(struct http_exchange *x, int fd, SSL *tls, const char *host, uint64_t deadline_ns,
                       struct diag *diag)
{
    struct buf head;
    buf_init(&head, HEAD_MAX);
    struct talk t = {.x = x,
                     .fd = fd,
                     .tls = tls,
                     .send_wants = POLLOUT,
                     .recv_wants = POLLIN,
                     .r = {.head_max = HEAD_MAX,
                           .body_max = x->max,
                           .to_head = strcmp(x->method, "HEAD") == 0,
                           .write = x->write,
                           .write_arg = x->write_arg},
                     .deadline_ns = deadline_ns};
    http_answer_begin(&t.r);
    tm_err e = put_head(&head, x, host);
    t.out[0] = buf_slice(&head);
    t.out[1] = x->body;
    if (e == TM_OK)
        e = converse(&t, diag);
    answer_take_over(x, &t.r);
    if (head.p)
        explicit_bzero(head.p, head.n); /* a token may be in it */
    buf_done(&head);
    SSL_free(tls);
    close(fd);
    return e;
}

static uint64_t deadline_of(const struct http_exchange *x)
{
    return x->total_s ? clock_mono_ns() + (uint64_t)x->total_s * 1000000000 : 0;
}

tm_err http_unix_exchange(struct http_exchange *x, const char *socket_path, struct diag *diag)
{
    answer_reset(x);
    int fd = connect_unix(socket_path);
    if (fd < 0)
        return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%s: %s", socket_path, strerror(errno));
    return exchange(x, fd, NULL, "localhost", deadline_of(x), diag);
}

/* ---- TCP ---- */

/* One address; -1 with errno. */
static int connect_one(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol), why = 0;
    socklen_t n = sizeof why;
    if (fd < 0)
        return -1;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    why = errno;
    if (why == EINPROGRESS) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        why = ETIMEDOUT;
        if (poll(&p, 1, CONNECT_MS) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &n) != 0)
            why = errno;
        if (why == 0)
            return fd;
    }
    close(fd);
    errno = why;
    return -1;
}

/* A connection to the first address that takes one; `field` is what Host says then. */
static tm_err connect_tcp(int *ret_fd, char field[300], const char *host, int port, int usual,
                          struct diag *diag)
{
    char service[8];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    bool v6 = strchr(host, ':') != NULL;
    snprintf(service, sizeof service, "%d", port);
    snprintf(field, 300, "%s%s%s%s%s", v6 ? "[" : "", host, v6 ? "]" : "", port == usual ? "" : ":",
             port == usual ? "" : service);
    int e = getaddrinfo(host, service, &hints, &list);
    if (e != 0)
        return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%s: %s", host, gai_strerror(e));
    int fd = -1;
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = connect_one(a);
    int why = errno;
    freeaddrinfo(list);
    if (fd < 0)
        return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%s: %s", field, strerror(why));
    *ret_fd = fd;
    return TM_OK;
}

tm_err http_tcp_exchange(struct http_exchange *x, const char *host, int port, struct diag *diag)
{
    char field[300];
    uint64_t deadline = deadline_of(x);
    int fd;
    answer_reset(x);
    TM_TRY(connect_tcp(&fd, field, host, port, 80, diag));
    return exchange(x, fd, NULL, field, deadline, diag);
}

tm_err http_tls_exchange(struct http_exchange *x, const char *host, int port, const char *ca_file,
                         struct diag *diag)
{
    char field[300];
    uint64_t deadline = deadline_of(x);
    SSL *tls;
    int fd;
    answer_reset(x);
    TM_TRY(connect_tcp(&fd, field, host, port, 443, diag));
    tm_err e = client_tls_new(&tls, fd, host, ca_file, diag);
    if (e != TM_OK) {
        close(fd);
        return e;
    }
    return exchange(x, fd, tls, field, deadline, diag);
}
