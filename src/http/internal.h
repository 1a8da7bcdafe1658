/* http/internal.h - what the files of the HTTP server share; nobody outside src/http includes it.
 *
 * Threads: a loop, its connections and their requests belong to one thread. Between threads go tasks (loop.c), counters
 * (atomics), the peer table (limits.c) and the SSL_CTX (under server->tls_mutex).
 *
 * Connections read and write through io.c on plain events, not through bufferevents: those cost seven system calls a request
 * instead of three and two buffers a connection; here an idle connection has no buffer at all. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "http/address.h"
#include "http/limits.h"
#include "http/parse.h"
#include "http/route.h"
#include "http/server.h"
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    IO_CHUNK = 16 << 10,      /* one read, one TLS record */
    PIPELINED_MAX = 16 << 10, /* bytes of further requests that are kept while one runs */
    OUTPUT_MAX = 256 << 20,   /* a handler that never looks at http_reply_pending() ends here */
    OUTPUT_LOW = 256 << 10,   /* on_drain below this */
    OUTPUT_FLUSH = 16 << 10,  /* chunks are gathered up to this within one turn of the loop */
    LEAST_RATE =
        1024, /* octets a second that a peer must send or take on average, after the phase's own seconds */
    LINGER_MS = 2000, /* for the peer to read a last answer that it may not have asked for */
    LINGER_OCTETS = 1 << 20,
    ACCEPT_PAUSE_MS = 100, /* out of descriptors: leave the queue alone for a while */
    TICK_MS = 250,
    SPARE_REQUESTS = 32,
};

/* ---- deadlines (wheel.c) ---- */

enum { WHEEL_SLOTS = 256 };

struct conn;
struct wheel {
    struct conn *slot[WHEEL_SLOTS];
    uint64_t now; /* in ticks */
};
/* Connections sit in the slot of their deadline or earlier: pushing a deadline back, the common case, moves nothing. */
void wheel_set(struct wheel *w, struct conn *c, uint64_t deadline_ms);
void wheel_remove(struct wheel *w, struct conn *c);
void wheel_advance(struct wheel *w, uint64_t now_ms, void (*expired)(struct conn *c));

/* ---- one event loop ---- */

struct loop_listener {
    struct loop *loop;
    unsigned index;
    struct evconnlistener *lev; /* NULL: not on this loop */
    struct event *resume;
};

struct loop {
    struct http_server *server;
    unsigned index;
    pthread_t thread;
    bool started;
    bool stopping; /* no new requests */
    struct event_base *base;
    struct executor executor;
    struct task_queue queue;
    int wake_fd;
    struct event *wake, *tick;
    bool ticking;
    struct wheel wheel;
    struct loop_listener *listeners;
    struct conn *conns; /* all, those whose peer has gone but whose handler has not answered too */
    size_t n_conns;
    struct request *spare;
    unsigned n_spare;
    uint8_t *chunk;  /* IO_CHUNK, for reads */
    struct buf head; /* a reply being written */
    char date[32];
    int64_t date_at;
    uint64_t ids;        /* state of the request ids */
    uint64_t now_ms;     /* monotonic, as of the last event */
    uint64_t flushed_ms; /* when what this turn handed over has left last */
    struct task stop_task, abort_task, end_task;
    _Atomic uint64_t accepted, requests, tls_failed, refused, timeouts;
    _Atomic size_t open;
};

/* ---- one connection ---- */

struct conn {
    struct loop *loop;
    struct conn *prev, *next;             /* in loop->conns */
    struct conn *wheel_prev, *wheel_next; /* in a slot */
    uint16_t wheel_slot;
    bool on_wheel;
    enum { CONN_PROXY, CONN_HANDSHAKE, CONN_OPEN, CONN_FLUSH, CONN_LINGER, CONN_GONE } state;
    bool busy;        /* conn.c is at work on it further up the stack and will see what changed */
    bool read_closed; /* the peer has sent its last octet */
    bool read_on;     /* the read event is there */
    bool write_on;
    bool read_wants_write; /* TLS wants to write before it can read on */
    bool read_left;        /* reading stopped although TLS holds more: no event will tell of it */
    bool kicked;           /* the write event was activated by hand: see conn_kick() */
    bool broken;           /* TLS failed: nothing more may be said over it */
    bool close_after;      /* no request after this one */
    bool linger_after;     /* unread input is or may be there: see CONN_LINGER */
    bool behind_proxy;     /* a trusted proxy speaks HTTP to us: its header fields count */
    bool counted;          /* in the peer's connections */
    uint8_t listener;
    int fd; /* -1 when gone */
    SSL *ssl;
    struct event read_ev, write_ev;
    struct address peer;
    struct limits_peer *limit;
    uint64_t deadline_ms;
    uint64_t phase_ms;             /* when the present phase began */
    uint64_t moved_ms;             /* last progress of the body */
    uint64_t out_ms, out_moved_ms; /* when output began to queue; its last progress */
    uint64_t out_sent;             /* since out_ms */
    uint64_t linger_octets;
    struct buf out; /* not yet taken by the kernel, from out_at on */
    size_t out_at;
    struct buf pipelined;    /* or the PROXY header so far */
    struct request *request; /* NULL between requests */
};

void conn_new(struct loop *l, unsigned listener, int fd, const struct sockaddr *sa);
void conn_expired(struct conn *c);
/* Drop the peer: the socket is closed, the request aborted. Callbacks and memory follow from conn_kick(); what an abandoned
 * handler says is dropped. */
void conn_abort(struct conn *c);
/* The loop stops: leave now, or as soon as what runs is answered. */
void conn_retire(struct conn *c);
/* Something happened outside of conn.c (a reply, an end of back-pressure): have it looked at in this turn of the loop. Never
 * at once, so that no handler is called back from inside a function that it calls. */
void conn_kick(struct conn *c);
void conn_free(struct conn *c);

/* ---- io.c: bytes through the socket or TLS ---- */

enum io_status { IO_OK, IO_AGAIN, IO_CLOSED, IO_FAILED };
tm_err io_start_tls(struct conn *c);
enum io_status io_handshake(struct conn *c);
enum io_status io_read(struct conn *c, uint8_t *p, size_t max, size_t *got);
/* More bytes are there without waiting for the socket. */
bool io_pending(const struct conn *c);
void io_want_read(struct conn *c, bool on);
void io_want_write(struct conn *c, bool on);
/* Write now what can be, queue the rest; the pieces are copied. On failure the connection is aborted. */
void io_send(struct conn *c, struct slice a, struct slice b);
/* Only queue; the flush comes within this turn of the loop. */
void io_queue(struct conn *c, struct slice s);
/* Write from the queue. False when the connection was aborted. */
bool io_flush(struct conn *c);
size_t io_queued(const struct conn *c);
void io_close(struct conn *c);

/* ---- one request (request.c) ---- */

struct request {
    struct http_request pub;
    struct conn *conn;
    struct loop *loop;
    struct request *next; /* in loop->spare */
    struct parse parse;
    const struct http_route *route; /* NULL until found */
    struct buf body;
    uint64_t body_octets;
    uint64_t start_us;
    uint64_t octets_out;
    int status; /* of the reply; 0: none yet */
    char id[24];
    char peer[ADDRESS_TEXT_MAX];
    bool headed;   /* the head was parsed */
    bool complete; /* the last octet of it came */
    int refusal;   /* status that the server itself answers once it is complete; 0: none */
    const char *detail;
    unsigned allow;   /* methods for 405 */
    unsigned retry_s; /* for 429 */
    bool handed;      /* the handler has been called: an answer is owed */
    bool streaming;   /* the body is handed on as it comes */
    bool ended;       /* on_end was called */
    bool paused;      /* by http_body_pause(), since paused_ms */
    uint64_t paused_ms;
    bool begun; /* http_reply_begin() */
    bool chunked_out;
    bool replied; /* whole reply given */
    bool aborted;
    bool told;     /* of the abort */
    bool draining; /* on_drain is owed */
    void (*on_drain)(struct http_request *r);
};

struct request *request_new(struct conn *c);
/* Tells on_reply, then forgets everything about it. */
void request_finish(struct request *q);
void request_discard(struct loop *l, struct request *q);
/* The message is whole: hand it to its handler, or tell it of the end of the body. */
void request_complete(struct request *q);
/* Tell the handler, once, that the peer has gone. */
void request_tell_aborted(struct request *q);
void request_spare_free(struct loop *l);

/* reply.c: an answer of the server's own, through on_error; a fixed one where the handler still owes its answer. */
void reply_error(struct request *q, int status, const char *detail);
void reply_canned(struct conn *c, int status);

static inline struct request *request_of(const struct http_request *r)
{
    return TM_CONTAINER(r, struct request, pub);
}

/* ---- the server ---- */

struct server_listener {
    struct http_listener config; /* address owned */
    int port;
    bool unix_path; /* a unix socket: one descriptor, on loop 0 */
    bool bound;     /* its file is ours to remove */
};

struct http_server {
    struct http_limits limits;
    struct parse_limits parse_limits;
    struct server_listener *listeners;
    size_t n_listeners;
    struct route_table *routes;
    struct address_range *trusted;
    size_t n_trusted;
    pthread_mutex_t tls_mutex;
    SSL_CTX *tls;
    struct limits *peers;
    void *app;
    void (*on_exchange)(void *app, const struct http_request *r, int status, const char *type,
                        struct slice body, const struct http_header *headers);
    void (*on_reply)(void *app, const struct http_request *r, int status, uint64_t micros,
                     uint64_t octets_out, const char *metric);
    void (*on_error)(void *app, struct http_request *r, int status, const char *detail);
    unsigned n_loops;
    struct loop *loops;
    pthread_mutex_t stop_mutex;
    pthread_cond_t stop_cond; /* one of these has changed: */
    unsigned n_unasked;       /* loops that have not taken the last order yet */
    unsigned n_busy;          /* stopping loops that still have connections */
    bool stopped;
    _Atomic size_t open;
};

bool server_trusts(const struct http_server *s, const struct address *a);

/* loop.c */
tm_err loop_init(struct loop *l, struct http_server *s, unsigned index);
tm_err loop_start(struct loop *l);
void loop_done(struct loop *l); /* ends the thread and frees what is left */
void loop_tick_on(struct loop *l);
void loop_now(struct loop *l);
/* The same where another event or task begins. */
void loop_step(struct loop *l);
bool loop_is_here(const struct loop *l); /* this thread is the loop's */
void loop_conn_gone(struct loop *l);

/* listen.c */
tm_err listen_open(struct server_listener *ln, int *fds, unsigned n_loops, struct diag *diag);
tm_err listen_attach(struct loop *l, unsigned index, int fd);
void listen_stop(struct loop *l);
void listen_close(struct server_listener *ln);
