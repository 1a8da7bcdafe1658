/* http/server.h - HTTP/1.1 server over libevent and libhttp-parser: listeners, TLS, limits, deadlines, routing.
 *
 * Layer 2 (over base only). One event loop a thread, each with its own SO_REUSEPORT listeners; a connection and its requests
 * live on one loop. Handlers run on the loop and must not block: they hand work to pools and answer later, on the same loop
 * (http_request_executor()). Everything is bounded: header and body sizes, header count, request line, connections per peer
 * and in all, pipelining depth (1), and every phase has a deadline (handshake, headers, body with a least rate, response).
 *
 * A body or an answer may stand still for its phase's seconds, and must keep up 1 KiB/s on average beyond them. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/task.h"
#include <openssl/types.h>
#include <stdbool.h>
#include <sys/types.h>

struct arena;
struct http_request;
struct http_server;

/* ---- requests ---- */

enum http_method {
    HTTP_M_GET = 1,
    HTTP_M_HEAD = 2,
    HTTP_M_POST = 4,
    HTTP_M_PUT = 8,
    HTTP_M_DELETE = 16,
    HTTP_M_PATCH = 32,
    HTTP_M_OPTIONS = 64,
};

struct http_param {
    const char *name;
    const char *value;
};

/* What a handler sees. Strings live in the request's arena until the reply has been handed over. */
struct http_request {
    struct http_server *server;
    /* From a trusted proxy's X-Request-Id where valid, else random; echoed as X-Request-Id. */
    const char *id;
    enum http_method method;
    /* Percent-decoded once; no NUL, no control characters, UTF-8, no "." or ".." segments; starts with '/'. Empty segments
     * ("//") stay. Routes match segments that are decoded one by one, so that "%2F" can stand inside a parameter. */
    const char *path;
    const char *raw_target;
    const struct http_param *query;  /* decoded, '+' is a space; ended by a NULL name */
    const struct http_param *params; /* values of {name} segments of the route; ended by a NULL name */
    struct slice body;               /* whole, for buffered routes */
    const char *peer;                /* address without port, after PROXY v2; "unix:<uid>" on unix sockets */
    bool tls;
    unsigned listener; /* index in the configuration */
    unsigned loop;     /* which loop it lives on */
    /* DER leaf, PROVEN BUT NOT VERIFIED (see http/tls.h); empty: none. On a connection from a trusted proxy without PROXY v2 it
     * is the Client-Cert field (RFC 9440) and nothing else: the proxy's own certificate must not become its clients'. On all
     * others it is what the TLS client proved, and those fields mean nothing. */
    struct slice client_cert;
    const struct slice *client_chain; /* further certificates, as sent */
    size_t n_client_chain;
    /* What a handler has found inside an encrypted body, and what it has encrypted into its answer, for on_exchange, which sees but octets
     * otherwise: without anybody's secret. Borrowed until the reply; empty: nothing. */
    struct slice opened, sealed;
    struct arena *arena;
    void *app;          /* the server's application pointer */
    void *handler_data; /* the handler's own */
};

/* First value of a header (case-insensitive name), NULL when absent. */
const char *http_request_header(const struct http_request *r, const char *name);
const char *http_request_param(const struct http_request *r, const char *name);
const char *http_request_query(const struct http_request *r, const char *name);
/* Tasks posted here run on the request's loop. */
struct executor *http_request_executor(const struct http_request *r);
/* True when the peer has gone; a reply is then dropped silently (but must still be given). */
bool http_request_aborted(const struct http_request *r);
/* RFC 5929 tls-unique (TLS <= 1.2) or RFC 9266 tls-exporter (1.3) of the connection, in the request's arena; *ret_type is
 * static. TM_EUNSUPPORTED on plain or proxied ones. */
tm_err http_request_channel_binding(const struct http_request *r, struct slice *ret, const char **ret_type);

/* ---- replies: exactly one a request, on its loop (asserted); nothing of the request may be used afterwards ---- */

struct http_header {
    const char *name, *value;
};
/* Whole reply; body and headers are copied. `content_type` may be NULL with an empty body. `headers` ends with a NULL name or
 * is NULL. Date, Content-Length, X-Request-Id and Connection are the server's own; control characters become spaces. */
void http_reply(struct http_request *r, int status, const char *content_type, struct slice body,
                const struct http_header *headers);
/* Streaming reply: chunked (HTTP/1.1), ended by the end of the connection (1.0). */
void http_reply_begin(struct http_request *r, int status, const char *content_type,
                      const struct http_header *headers);
/* The same where the length is known: no chunks, and the connection can go on. Exactly `length` octets have to follow, or http_reply_abort(). */
void http_reply_begin_sized(struct http_request *r, int status, const char *content_type, uint64_t length,
                            const struct http_header *headers);
void http_reply_chunk(struct http_request *r, struct slice data);
/* Octets not yet sent: pause above 1 MiB. */
size_t http_reply_pending(const struct http_request *r);
/* `on_drain` (may be NULL) runs on the loop each time the output has drained below 256 KiB after being above it, and once when
 * the peer has gone. It may end the reply. */
void http_reply_on_drain(struct http_request *r, void (*on_drain)(struct http_request *r));
void http_reply_end(struct http_request *r);
/* The other end of a streaming reply: what follows can't be made. The connection is closed without the last chunk (HTTP/1.1) or
 * by a reset (1.0), so that no client takes what came for the whole; on_reply hears of status 500. The caller logs why. */
void http_reply_abort(struct http_request *r);
const char *http_status_text(int status);

/* ---- routes ---- */

enum {
    HTTP_LISTENER_PUBLIC_TLS = 1,
    HTTP_LISTENER_PLAIN = 2,
    HTTP_LISTENER_CONSOLE = 4,
    HTTP_LISTENER_ADMIN = 8,
    HTTP_LISTENER_UNIX = 16,
    HTTP_LISTENER_ANY = 31,
};

struct http_route {
    unsigned methods; /* bit set of enum http_method; HEAD is served by GET, without its body */
    /* "/.well-known/est/{label}/cacerts"; a last segment "{rest...}" takes the remainder, perhaps empty. Literals go before
     * {name}, that before {rest...}. A {name} is never empty. */
    const char *pattern;
    void (*handler)(struct http_request *r);
    unsigned listeners; /* bit set: which kinds of listener serve it */
    size_t body_max;    /* 0: no body allowed; larger bodies get 413 */
    /* Streaming body, when on_end is set: `handler` runs at the end of the headers, on_body as the body comes in, and on_end
     * after the last octet (ok false: peer gone, deadline passed or body too large; a reply must still be given). None of
     * them is called once the reply is whole; one that comes before the body's end closes the connection. */
    void (*on_body)(struct http_request *r, struct slice data);
    void (*on_end)(struct http_request *r, bool ok);
    const char *metric; /* label for counters: "est.simpleenroll" */
};
/* Back-pressure for streaming bodies. Up to 16 KiB that were read already still come after a pause. */
void http_body_pause(struct http_request *r);
void http_body_resume(struct http_request *r);

/* ---- the server ---- */

struct http_listener {
    const char *address; /* "127.0.0.1", "::" (both families), or a path for unix sockets */
    int port;            /* 0: any free port, see http_server_port() */
    unsigned kind;       /* one of HTTP_LISTENER_* */
    bool tls;
    bool ask_client_cert;
    bool proxy_protocol; /* PROXY v2 header required, from trusted_proxies only */
    mode_t unix_mode;    /* 0: 0600 */
};
struct http_limits {
    size_t max_connections;      /* in all; 0: 20000 */
    size_t max_connections_peer; /* 0: 1024 (loopback and trusted proxies are not counted) */
    size_t max_header_octets;    /* 0: 16384; half of it for the request target */
    unsigned max_headers;        /* 0: 64 */
    unsigned handshake_s, header_s, idle_s, body_s, reply_s; /* 0: 10, 10, 60, 60, 120 */
    /* Requests a second an address (IPv6: a /64), token bucket with burst 4x; 0: none. 429 + Retry-After. Not for trusted
     * proxies that speak for many. */
    unsigned rate_per_peer;
};
struct http_server_config {
    const struct http_listener *listeners;
    size_t n_listeners;
    const struct http_route *const
        *routes; /* arrays, each ended by a NULL pattern; the array of arrays by NULL; borrowed */
    struct http_limits limits;
    unsigned loops; /* 0: one a core */
    SSL_CTX
    *tls; /* of http_tls_context_new(); a reference is taken; may be replaced by http_server_set_tls */
    /* CIDRs, or "unix", whose PROXY v2 and Client-Cert / X-Request-Id headers count; NULL: none. */
    const char *const *trusted_proxies;
    void *app;
    /* Called on the loop after each reply: metrics and access log. `metric` is "http" where no route was found. */
    void (*on_reply)(void *app, const struct http_request *r, int status, uint64_t micros,
                     uint64_t octets_out, const char *metric);
    /* Called before a whole answer is handed over, on the loop, with what http_reply() was given; streamed answers are not shown. NULL:
     * nobody looks. */
    void (*on_exchange)(void *app, const struct http_request *r, int status, const char *type,
                        struct slice body, const struct http_header *headers);
    /* Body of errors that the server itself makes (400, 404, 405, 408, 413, 414, 417, 429, 431, 501, 503, 505), by http_reply()
     * at once; Allow and Retry-After are added by the server. NULL: plain text. */
    void (*on_error)(void *app, struct http_request *r, int status, const char *detail);
};
/* Binds all listeners and starts the loops. TM_EUNAVAIL when an address is taken (diag names it), TM_EINVAL, TM_ECONFLICT when
 * two routes are the same. */
tm_err http_server_start(struct http_server **ret, const struct http_server_config *c, struct diag *diag);
int http_server_port(const struct http_server *s, size_t listener);
void http_server_set_tls(struct http_server *s, SSL_CTX *tls);
/* Graceful: stop accepting, finish what runs (at most `grace_ms`), close. Not from a loop. Afterwards handlers that have not
 * answered yet still may, until http_server_free(): end the pools in between. */
void http_server_stop(struct http_server *s, unsigned grace_ms);
/* Ends the loops. Nothing may be posted to them any more; requests that were never answered are forgotten. */
void http_server_free(struct http_server *s);

struct http_stats {
    uint64_t accepted, open, requests, tls_failed, refused_limit, timeouts;
};
void http_server_stats(const struct http_server *s, struct http_stats *ret);
