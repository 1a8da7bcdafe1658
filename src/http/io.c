#include "http/internal.h"
#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- interest ---- */

void io_want_read(struct conn *c, bool on)
{
    if (on == c->read_on || c->fd < 0)
        return;
    c->read_on = on;
    if (on)
        event_add(&c->read_ev, NULL);
    else
        event_del(&c->read_ev);
}

void io_want_write(struct conn *c, bool on)
{
    if (on == c->write_on || c->fd < 0)
        return;
    c->write_on = on;
    if (!on) {
        event_del(&c->write_ev);
        return;
    }
    /* libevent does not insert an event that is active already (a kick): it would run once and never hear of the socket again. */
    if (c->kicked)
        event_del(&c->write_ev);
    event_add(&c->write_ev, NULL);
    if (c->kicked)
        event_active(&c->write_ev, EV_WRITE, 1);
}

/* ---- reading ---- */

static enum io_status tls_status(struct conn *c, int ret)
{
    switch (SSL_get_error(c->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
        return IO_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        c->read_wants_write = true;
        io_want_write(c, true);
        return IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return IO_CLOSED;
    default:
        c->broken = true;
        return IO_FAILED;
    }
}

tm_err io_start_tls(struct conn *c)
{
    struct http_server *s = c->loop->server;
    pthread_mutex_lock(&s->tls_mutex);
    c->ssl = s->tls ? SSL_new(s->tls) : NULL;
    pthread_mutex_unlock(&s->tls_mutex);
    if (!c->ssl)
        return TM_EUNAVAIL;
    if (SSL_set_fd(c->ssl, c->fd) != 1)
        return TM_ENOMEM;
    if (!s->listeners[c->listener].config.ask_client_cert)
        SSL_set_verify(c->ssl, SSL_VERIFY_NONE, NULL);
    /* Whatever the context says: idle connections hold no buffers, and retried writes may come from the queue. */
    SSL_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                             SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_accept_state(c->ssl);
    return TM_OK;
}

enum io_status io_handshake(struct conn *c)
{
    ERR_clear_error();
    c->read_wants_write = false;
    int ret = SSL_do_handshake(c->ssl);
    return ret == 1 ? IO_OK : tls_status(c, ret);
}

enum io_status io_read(struct conn *c, uint8_t *p, size_t max, size_t *got)
{
    if (c->ssl) {
        ERR_clear_error();
        c->read_wants_write = false;
        int ret = SSL_read_ex(c->ssl, p, max, got);
        return ret == 1 ? IO_OK : tls_status(c, ret);
    }
    ssize_t n;
    do
        n = recv(c->fd, p, max, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *got = (size_t)n;
        return IO_OK;
    }
    if (n == 0)
        return IO_CLOSED;
    return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_FAILED;
}

bool io_pending(const struct conn *c)
{
    return c->ssl && SSL_has_pending(c->ssl);
}

/* ---- writing ---- */

size_t io_queued(const struct conn *c)
{
    return c->out.n - c->out_at;
}

static enum io_status write_some(struct conn *c, struct slice a, struct slice b, size_t *sent)
{
    *sent = 0;
    if (c->ssl) {
        ERR_clear_error();
        struct slice s = a.n ? a : b;
        int ret = SSL_write_ex(c->ssl, s.p, s.n, sent);
        if (ret == 1)
            return IO_OK;
        int e = SSL_get_error(c->ssl, ret);
        if (e == SSL_ERROR_WANT_WRITE || e == SSL_ERROR_WANT_READ)
            return IO_AGAIN;
        c->broken = true;
        return IO_FAILED;
    }
    struct iovec v[2] = {{.iov_base = (void *)(uintptr_t)a.p, .iov_len = a.n},
                         {.iov_base = (void *)(uintptr_t)b.p, .iov_len = b.n}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = b.n ? 2 : 1};
    ssize_t n;
    do
        n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0) {
        *sent = (size_t)n;
        return IO_OK;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_FAILED;
}

static void took(struct conn *c, size_t n)
{
    c->out_sent += n;
    c->out_moved_ms = c->moved_ms = c->loop->now_ms;
}

void io_queue(struct conn *c, struct slice s)
{
    if (c->fd < 0 || s.n == 0)
        return;
    if (io_queued(c) == 0) {
        c->out_ms = c->out_moved_ms = c->loop->now_ms;
        c->out_sent = 0;
    }
    buf_put_slice(&c->out, s);
    if (buf_err(&c->out) != TM_OK) {
        conn_abort(c);
        return;
    }
    if (!c->write_on)
        conn_kick(c);
}

bool io_flush(struct conn *c)
{
    enum io_status st = IO_OK;
    while (c->fd >= 0 && io_queued(c) > 0) {
        size_t sent;
        st = write_some(c, slice_of(c->out.p + c->out_at, io_queued(c)), slice_of(NULL, 0), &sent);
        if (st != IO_OK)
            break;
        c->out_at += sent;
        took(c, sent);
    }
    if (c->fd < 0)
        return false;
    if (st == IO_FAILED) {
        conn_abort(c);
        return false;
    }
    if (io_queued(c) == 0) {
        buf_done(&c->out);
        buf_init(&c->out, OUTPUT_MAX);
        c->out_at = 0;
        if (!c->read_wants_write)
            io_want_write(c, false);
        return true;
    }
    if (c->out_at >= (1 << 20) || c->out_at * 2 > c->out.n) {
        buf_consume(&c->out, c->out_at);
        c->out_at = 0;
    }
    io_want_write(c, true);
    return true;
}

void io_send(struct conn *c, struct slice a, struct slice b)
{
    if (c->fd < 0)
        return;
    if (io_queued(c) == 0) {
        /* TLS writes one record a call: one piece here, what is left from the queue. */
        size_t sent;
        enum io_status st = write_some(c, a, b, &sent);
        if (st == IO_FAILED) {
            conn_abort(c);
            return;
        }
        took(c, sent);
        struct slice rest = slice_sub(a, sent, a.n);
        b = sent > a.n ? slice_sub(b, sent - a.n, b.n) : b;
        a = rest;
        if (a.n == 0 && b.n == 0)
            return;
    }
    io_queue(c, a);
    io_queue(c, b);
    if (c->fd >= 0)
        io_flush(c);
}

void io_close(struct conn *c)
{
    if (c->fd < 0)
        return;
    io_want_read(c, false);
    io_want_write(c, false);
    event_del(&c->read_ev); /* may be active without having been added */
    event_del(&c->write_ev);
    c->kicked = false;
    if (c->ssl) {
        ERR_clear_error();
        if (!c->broken && c->state != CONN_LINGER && SSL_is_init_finished(c->ssl) && io_queued(c) == 0)
            SSL_shutdown(c->ssl); /* close_notify; nobody waits for the peer's */
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
    close(c->fd);
    c->fd = -1;
    atomic_fetch_sub(&c->loop->open, 1);
    atomic_fetch_sub(&c->loop->server->open, 1);
    buf_done(&c->out);
    buf_done(&c->pipelined);
    c->out_at = 0;
}
