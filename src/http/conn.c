/* A connection's life: PROXY header, TLS handshake, requests one after another, a last flush, a linger.
 *
 * Every event does its own part and then conn_settle(), which brings the connection to rest: finishes answered requests, takes
 * up pipelined bytes, closes what is to be closed, and sets interest and deadline from the state alone. */
#include "base/clock.h"
#include "http/internal.h"
#include "http/proxy.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- deadlines ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A phase may take its seconds without any progress, and as long as it keeps up the least rate in all. */
static uint64_t progress_deadline(uint64_t began_ms, uint64_t moved_ms, uint64_t octets, unsigned seconds)
{
    uint64_t ms = (uint64_t)seconds * 1000;
    return least(moved_ms + ms, began_ms + ms + octets * 1000 / LEAST_RATE);
}

static uint64_t deadline_of(const struct conn *c)
{
    const struct http_limits *limits = &c->loop->server->limits;
    const struct request *q = c->request;
    uint64_t d = UINT64_MAX / 2;
    if (c->state == CONN_PROXY || c->state == CONN_HANDSHAKE)
        return c->phase_ms + limits->handshake_s * 1000ULL;
    if (c->state == CONN_LINGER)
        return c->phase_ms + LINGER_MS;
    if (io_queued(c) > 0)
        d = progress_deadline(c->out_ms, c->out_moved_ms, c->out_sent, limits->reply_s);
    if (c->state == CONN_FLUSH)
        return d;
    if (!q)
        return least(d, c->phase_ms + limits->idle_s * 1000ULL);
    if (!q->headed)
        return c->phase_ms + limits->header_s * 1000ULL;
    if (!q->complete && !q->paused)
        return least(d, progress_deadline(c->phase_ms, c->moved_ms, q->body_octets, limits->body_s));
    if (io_queued(c) == 0)
        d = c->moved_ms + limits->reply_s * 1000ULL;
    return d;
}

/* ---- the end ---- */

void conn_free(struct conn *c)
{
    struct loop *l = c->loop;
    io_close(c);
    event_del(&c->read_ev);
    event_del(&c->write_ev);
    wheel_remove(&l->wheel, c);
    limits_leave(l->server->peers, c->limit, c->counted);
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        l->conns = c->next;
    if (c->request)
        request_discard(l, c->request);
    free(c);
    loop_conn_gone(l);
}

void conn_kick(struct conn *c)
{
    if (c->busy || c->kicked)
        return;
    c->kicked = true;
    event_active(&c->write_ev, EV_WRITE, 1);
}

void conn_abort(struct conn *c)
{
    if (c->state == CONN_GONE)
        return;
    io_close(c);
    c->state = CONN_GONE;
    if (c->request)
        c->request->aborted = true;
    conn_kick(c);
}

/* Closing a socket that has unread input resets it, and the reset can overtake the answer: so stop sending, and read on until
 * the peer has seen the end. */
static void start_linger(struct conn *c)
{
    c->state = CONN_LINGER;
    c->phase_ms = c->loop->now_ms;
    if (c->ssl && !c->broken) {
        ERR_clear_error();
        SSL_shutdown(c->ssl);
    }
    if (c->fd < 0 || shutdown(c->fd, SHUT_WR) != 0)
        conn_abort(c);
}

/* The server ends the conversation while the handler may still owe an answer, which then goes nowhere. */
static void cut(struct conn *c, int status)
{
    struct request *q = c->request;
    if (q->status == 0 && c->fd >= 0)
        reply_canned(c, status);
    q->aborted = true;
    c->close_after = c->linger_after = true;
    if (c->state == CONN_OPEN)
        c->state = CONN_FLUSH;
}

/* ---- input ---- */

static bool takes_input(const struct conn *c)
{
    const struct request *q = c->request;
    switch (c->state) {
    case CONN_PROXY:
    case CONN_HANDSHAKE:
    case CONN_LINGER:
        return true;
    case CONN_OPEN:
        if (c->read_closed)
            return false;
        if (q && !q->complete)
            return !q->paused && !q->replied;
        /* While a request runs, bytes of further ones are taken up to a limit, so that the end of the peer is seen. What it
         * does not read must not pile up: no request begins before the answers to earlier ones are on their way. */
        return c->pipelined.n < PIPELINED_MAX && (q || io_queued(c) == 0);
    case CONN_FLUSH:
    case CONN_GONE:
        break;
    }
    return false;
}

static void stash(struct conn *c, struct slice data)
{
    buf_put_slice(&c->pipelined, data);
    if (buf_err(&c->pipelined) != TM_OK)
        conn_abort(c);
}

/* The message broke off: refused by the parser, or by the head's or body's callback. */
static void refuse(struct conn *c, struct request *q)
{
    if (q->handed) {
        cut(c, q->parse.status);
        return;
    }
    c->close_after = c->linger_after = true;
    reply_error(q, q->parse.status, q->parse.detail);
}

static struct slice skip_empty_lines(struct slice data)
{
    while (data.n > 0 && (data.p[0] == '\r' || data.p[0] == '\n')) /* RFC 9112 section 2.2 */
        data = slice_sub(data, 1, data.n);
    return data;
}

/* Bytes for the parser, until they are used up or a request waits for its handler. */
static void feed(struct conn *c, struct slice data)
{
    while (data.n > 0 && c->state == CONN_OPEN) {
        struct request *q = c->request;
        if (q ? q->complete : io_queued(c) > 0) {
            stash(c, data);
            return;
        }
        if (!q) {
            data = skip_empty_lines(data);
            if (data.n == 0)
                return;
            c->request = q = request_new(c);
            if (!q) {
                conn_abort(c);
                return;
            }
            c->phase_ms = c->loop->now_ms;
        }
        size_t used = parse_feed(&q->parse, data);
        data = slice_sub(data, used, data.n);
        if (q->aborted)
            return;
        if (q->parse.status && !q->replied) {
            refuse(c, q);
            return;
        }
        if (q->parse.done && !q->complete) {
            q->complete = true;
            c->moved_ms = c->loop->now_ms;
            if (!q->replied)
                request_complete(q);
        }
        if (q->replied && !q->complete)
            return; /* answered early: nothing after this is looked at */
    }
}

static void read_open(struct conn *c)
{
    uint8_t *chunk = c->loop->chunk;
    c->read_left = false;
    for (int i = 0; i < 4 && takes_input(c) && c->state == CONN_OPEN; i++) {
        size_t n;
        switch (io_read(c, chunk, IO_CHUNK, &n)) {
        case IO_OK:
            feed(c, slice_of(chunk, n));
            if (c->ssl ? !io_pending(c) : n < IO_CHUNK)
                return;
            break;
        case IO_AGAIN:
            return;
        case IO_CLOSED:
            c->read_closed = true;
            return;
        case IO_FAILED:
            conn_abort(c);
            return;
        }
    }
    c->read_left = c->fd >= 0 && io_pending(c);
}

static void read_linger(struct conn *c)
{
    size_t n;
    for (int i = 0; i < 4; i++) {
        ssize_t got = recv(c->fd, c->loop->chunk, IO_CHUNK, MSG_DONTWAIT);
        n = got > 0 ? (size_t)got : 0;
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        c->linger_octets += n;
        if (n == 0 || c->linger_octets > LINGER_OCTETS) {
            conn_abort(c);
            return;
        }
    }
}

/* ---- beginnings ---- */

static void start_open(struct conn *c)
{
    c->state = CONN_OPEN;
    c->phase_ms = c->loop->now_ms;
}

static void read_handshake(struct conn *c)
{
    switch (io_handshake(c)) {
    case IO_OK:
        start_open(c);
        read_open(c);
        return;
    case IO_AGAIN:
        return;
    case IO_CLOSED:
    case IO_FAILED:
        atomic_fetch_add_explicit(&c->loop->tls_failed, 1, memory_order_relaxed);
        conn_abort(c);
        return;
    }
}

/* The peer is known: count it, then TLS or HTTP begins. */
static void start_peer(struct conn *c)
{
    struct http_server *s = c->loop->server;
    bool exempt = c->behind_proxy;
    c->counted = !exempt && !address_is_loopback(&c->peer);
    if (!exempt && !limits_enter(s->peers, &c->limit, &c->peer, c->counted, c->loop->now_ms)) {
        atomic_fetch_add_explicit(&c->loop->refused, 1, memory_order_relaxed);
        conn_abort(c);
        return;
    }
    c->counted = c->counted && c->limit;
    if (!s->listeners[c->listener].config.tls) {
        start_open(c);
        return;
    }
    c->state = CONN_HANDSHAKE;
    if (io_start_tls(c) != TM_OK) {
        atomic_fetch_add_explicit(&c->loop->tls_failed, 1, memory_order_relaxed);
        conn_abort(c);
    }
}

/* Exactly the header is read: what follows is TLS's or the parser's. */
static void read_proxy(struct conn *c)
{
    for (;;) {
        struct buf *b = &c->pipelined;
        struct proxy_v2 header;
        size_t more = PROXY_V2_HEAD;
        if (b->n >= PROXY_V2_HEAD) {
            if (proxy_v2_body_length(&more, b->p) != TM_OK)
                break;
            more += PROXY_V2_HEAD;
        }
        more -= b->n;
        if (b->n >= PROXY_V2_HEAD && more == 0) {
            if (proxy_v2_parse(&header, buf_slice(b)) != TM_OK)
                break;
            if (header.source.family != ADDRESS_NONE)
                c->peer = header.source;
            /* Behind the header speaks the client itself; only a LOCAL connection is the proxy's own. */
            c->behind_proxy = header.local;
            buf_done(b);
            buf_init(b, PIPELINED_MAX + IO_CHUNK);
            start_peer(c);
            return;
        }
        size_t n;
        enum io_status st = io_read(c, c->loop->chunk, more, &n);
        if (st == IO_AGAIN)
            return;
        if (st != IO_OK)
            break;
        buf_put(b, c->loop->chunk, n);
        if (buf_err(b) != TM_OK)
            break;
    }
    conn_abort(c);
}

/* ---- coming to rest ---- */

static void finish_request(struct conn *c)
{
    struct request *q = c->request;
    bool keep = q->complete && !c->close_after;
    if (!q->complete)
        c->linger_after = true;
    c->request = NULL;
    c->phase_ms = c->loop->now_ms;
    request_finish(q);
    if (!keep && c->state == CONN_OPEN)
        c->state = CONN_FLUSH;
}

static void close_or_linger(struct conn *c)
{
    if ((c->linger_after || c->pipelined.n > 0) && !c->read_closed)
        start_linger(c);
    else
        conn_abort(c);
}

/* One step towards rest; false when there is none left. */
static bool settle_step(struct conn *c)
{
    struct request *q = c->request;
    if (io_queued(c) > 0 && !c->write_on && c->fd >= 0) {
        io_flush(
            c); /* to the end, to a full socket that write_on waits for, or to the end of the connection */
        return true;
    }
    if (q && q->replied) {
        finish_request(c);
        return true;
    }
    if (q && q->aborted && !q->handed) { /* nobody owes an answer */
        c->request = NULL;
        request_discard(c->loop, q);
        return true;
    }
    if (q && q->aborted && !q->told) {
        request_tell_aborted(q);
        return true;
    }
    if (q && q->draining && io_queued(c) < OUTPUT_LOW && c->state == CONN_OPEN) {
        q->draining = false;
        if (q->on_drain)
            q->on_drain(&q->pub);
        return true;
    }
    if (c->state == CONN_OPEN && !q && c->pipelined.n > 0 && io_queued(c) == 0) {
        struct buf b = c->pipelined;
        buf_init(&c->pipelined, PIPELINED_MAX + IO_CHUNK);
        feed(c, buf_slice(&b));
        buf_done(&b);
        return true;
    }
    if (c->state == CONN_OPEN && c->read_closed && q && !q->complete) {
        conn_abort(c);
        return true;
    }
    if (c->state == CONN_OPEN && !q && io_queued(c) == 0 && (c->read_closed || c->loop->stopping)) {
        conn_abort(c);
        return true;
    }
    if (c->state == CONN_FLUSH && io_queued(c) == 0) {
        close_or_linger(c);
        return true;
    }
    return false;
}

/* May free the connection. */
static void settle(struct conn *c)
{
    while (settle_step(c))
        ;
    c->busy = false;
    if (c->state == CONN_GONE) {
        wheel_remove(&c->loop->wheel, c);
        if (!c->request)
            conn_free(c);
        return;
    }
    bool reads = takes_input(c);
    io_want_read(c, reads);
    if (reads && c->read_left)
        event_active(&c->read_ev, EV_READ, 1);
    wheel_set(&c->loop->wheel, c, deadline_of(c));
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    c->busy = true;
    loop_step(c->loop);
    switch (c->state) {
    case CONN_PROXY:
        read_proxy(c);
        break;
    case CONN_HANDSHAKE:
        read_handshake(c);
        break;
    case CONN_OPEN:
        read_open(c);
        break;
    case CONN_LINGER:
        read_linger(c);
        break;
    case CONN_FLUSH:
    case CONN_GONE:
        break;
    }
    settle(c);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    c->busy = true;
    c->kicked = false;
    loop_step(c->loop);
    if (c->read_wants_write) {
        c->read_wants_write = false;
        if (c->state == CONN_HANDSHAKE)
            read_handshake(c);
        else if (c->state == CONN_OPEN)
            read_open(c);
        if (!c->read_wants_write && io_queued(c) == 0)
            io_want_write(c, false);
    }
    if (c->write_on && io_queued(c) > 0)
        io_flush(c);
    settle(c);
}

void conn_retire(struct conn *c)
{
    if (c->state == CONN_PROXY || c->state == CONN_HANDSHAKE)
        conn_abort(c);
    else if (c->state == CONN_OPEN && c->read_on)
        event_active(&c->read_ev, EV_READ, 1); /* what has arrived is still answered; then settle() closes */
    else
        conn_kick(c);
}

void conn_expired(struct conn *c)
{
    struct request *q = c->request;
    c->busy = true;
    bool counts = true;
    switch (c->state) {
    case CONN_OPEN:
        if (q && !q->headed) {
            c->close_after = c->linger_after = true;
            reply_error(q, 408, "the head of the request took too long");
        } else if (q && !q->complete && !q->handed) {
            c->close_after = c->linger_after = true;
            reply_error(q, 408, "the body of the request took too long");
        } else if (q && io_queued(c) == 0) {
            cut(c, q->complete || q->paused ? 503 : 408);
        } else {
            counts = q != NULL;
            conn_abort(c);
        }
        break;
    case CONN_LINGER:
        counts = false;
        conn_abort(c);
        break;
    case CONN_PROXY:
    case CONN_HANDSHAKE:
    case CONN_FLUSH:
    case CONN_GONE:
        conn_abort(c);
        break;
    }
    if (counts)
        atomic_fetch_add_explicit(&c->loop->timeouts, 1, memory_order_relaxed);
    settle(c);
}

static bool has_room(struct loop *l)
{
    struct http_server *s = l->server;
    size_t open = atomic_fetch_add(&s->open, 1);
    if (open < s->limits.max_connections)
        return true;
    atomic_fetch_sub(&s->open, 1);
    return false;
}

static struct address address_of(int fd, const struct sockaddr *sa)
{
    struct ucred cred;
    socklen_t n = sizeof cred;
    if (sa->sa_family == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0)
        return address_from_uid(cred.uid);
    return address_from_sockaddr(sa);
}

void conn_new(struct loop *l, unsigned listener, int fd, const struct sockaddr *sa)
{
    struct http_server *s = l->server;
    const struct http_listener *config = &s->listeners[listener].config;
    struct conn *c = calloc(1, sizeof *c);
    loop_now(l);
    if (!c || !has_room(l)) {
        free(c);
        atomic_fetch_add_explicit(&l->refused, 1, memory_order_relaxed);
        close(fd);
        return;
    }
    c->loop = l;
    c->fd = fd;
    c->listener = (uint8_t)listener;
    c->peer = address_of(fd, sa);
    c->phase_ms = l->now_ms;
    buf_init(&c->out, OUTPUT_MAX);
    buf_init(&c->pipelined, PIPELINED_MAX + IO_CHUNK);
    event_assign(&c->read_ev, l->base, fd, EV_READ | EV_PERSIST, on_read, c);
    event_assign(&c->write_ev, l->base, fd, EV_WRITE | EV_PERSIST, on_write, c);
    c->next = l->conns;
    if (c->next)
        c->next->prev = c;
    l->conns = c;
    l->n_conns++;
    atomic_fetch_add(&l->open, 1);
    atomic_fetch_add_explicit(&l->accepted, 1, memory_order_relaxed);
    loop_tick_on(l);

    c->busy = true;
    if (sa->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    bool trusted = server_trusts(s, &c->peer);
    if (!config->proxy_protocol) {
        c->behind_proxy = trusted;
        start_peer(c);
    } else if (trusted) {
        c->state = CONN_PROXY;
    } else {
        atomic_fetch_add_explicit(&l->refused, 1, memory_order_relaxed);
        conn_abort(c);
    }
    settle(c);
}
