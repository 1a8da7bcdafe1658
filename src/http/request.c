/* A request: from the parsed head to its handler, and what handlers ask of it. */
#include "base/clock.h"
#include "http/client_cert.h"
#include "http/internal.h"
#include "http/target.h"
#include <stdlib.h>

/* ---- identity ---- */

static bool id_valid(const char *id)
{
    static const char fits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strlen(id);
    return n >= 1 && n <= 64 && strspn(id, fits) == n;
}

/* Unique rather than secret: a counter behind a permutation (splitmix64) with a random start a loop. */
static void id_make(struct request *q)
{
    uint64_t x = q->loop->ids += 0x9e3779b97f4a7c15U;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27) * 0x94d049bb133111ebU;
    x ^= x >> 31;
    for (int i = 15; i >= 0; i--, x >>= 4)
        q->id[i] = "0123456789abcdef"[x & 15];
    q->id[16] = '\0';
}

static tm_err add_cert(struct slice *ret, struct arena *a, const X509 *x)
{
    int n = i2d_X509(x, NULL);
    if (n <= 0)
        return TM_ECRYPTO;
    uint8_t *der = arena_alloc(a, (size_t)n), *at = der;
    if (!der)
        return TM_ENOMEM;
    if (i2d_X509(x, &at) != n)
        return TM_ECRYPTO;
    *ret = slice_of(der, (size_t)n);
    return TM_OK;
}

/* What the client proved in this connection's own handshake. */
static tm_err certs_from_tls(struct request *q)
{
    SSL *ssl = q->conn->ssl;
    const X509 *leaf = ssl ? SSL_get0_peer_certificate(ssl) : NULL;
    if (!leaf)
        return TM_OK;
    TM_TRY(add_cert(&q->pub.client_cert, q->pub.arena, leaf));
    const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl); /* without the leaf on a server */
    int n = chain ? sk_X509_num(chain) : 0;
    if (n > CLIENT_CERT_CHAIN_MAX)
        n = CLIENT_CERT_CHAIN_MAX;
    if (n <= 0)
        return TM_OK;
    struct slice *further = arena_calloc(q->pub.arena, (size_t)n, sizeof *further);
    if (!further)
        return TM_ENOMEM;
    for (int i = 0; i < n; i++)
        TM_TRY(add_cert(&further[i], q->pub.arena, sk_X509_value(chain, i)));
    q->pub.client_chain = further;
    q->pub.n_client_chain = (size_t)n;
    return TM_OK;
}

/* What a trusted proxy says that the client proved to it. A Client-Cert-Chain without Client-Cert means nothing (RFC 9440
 * section 2.3), a repeated Client-Cert is refused. */
static tm_err certs_from_proxy(struct request *q)
{
    unsigned i = 0;
    const char *field = parse_field_next(&q->parse, "Client-Cert", &i);
    if (!field)
        return TM_OK;
    if (parse_field_next(&q->parse, "Client-Cert", &i))
        return TM_EMALFORMED;
    TM_TRY(client_cert_parse(&q->pub.client_cert, q->pub.arena, slice_str(field)));
    struct slice *further = arena_calloc(q->pub.arena, CLIENT_CERT_CHAIN_MAX, sizeof *further);
    if (!further)
        return TM_ENOMEM;
    q->pub.client_chain = further;
    for (i = 0; (field = parse_field_next(&q->parse, "Client-Cert-Chain", &i));)
        TM_TRY(client_cert_chain_parse(further, &q->pub.n_client_chain, q->pub.arena, slice_str(field)));
    return TM_OK;
}

static tm_err identify(struct request *q)
{
    const char *id = parse_field(&q->parse, "X-Request-Id");
    if (!q->conn->behind_proxy)
        return certs_from_tls(q);
    if (id && id_valid(id))
        q->pub.id = id;
    return certs_from_proxy(q);
}

/* ---- the head ---- */

static unsigned method_of(const struct parse *ps)
{
    switch (ps->lib.method) {
    case HTTP_GET:
        return HTTP_M_GET;
    case HTTP_HEAD:
        return HTTP_M_HEAD;
    case HTTP_POST:
        return HTTP_M_POST;
    case HTTP_PUT:
        return HTTP_M_PUT;
    case HTTP_DELETE:
        return HTTP_M_DELETE;
    case HTTP_PATCH:
        return HTTP_M_PATCH;
    case HTTP_OPTIONS:
        return HTTP_M_OPTIONS;
    default:
        return 0;
    }
}

static bool has_body(const struct request *q)
{
    return q->parse.is_chunked || q->parse.content_length > 0;
}

/* Without a body the message ends here and the connection can go on: answer when it is complete. With one, break off. */
static int refuse_head(struct request *q, int status, const char *detail)
{
    q->parse.detail = detail;
    if (has_body(q))
        return status;
    q->refusal = status;
    q->detail = detail;
    return 0;
}

static int refuse_for(struct request *q, tm_err err, int caller_status, const char *detail)
{
    if (err == TM_ENOMEM || tm_err_class(err) == TM_CLASS_INTERNAL)
        return refuse_head(q, 503, "out of memory");
    return refuse_head(q, caller_status, detail);
}

/* 0 when the request may go on; *ret_status is what on_head() returns otherwise. */
static bool find_route(struct request *q, const struct target *target, int *ret_status)
{
    struct http_server *s = q->loop->server;
    struct route_match match;
    unsigned kind = s->listeners[q->conn->listener].config.kind;
    tm_err err = route_find(&match, &q->allow, s->routes, q->pub.arena, target, q->pub.method, kind);
    if (err == TM_ENOTFOUND) {
        *ret_status = refuse_head(q, 404, "there is nothing at this path");
        return false;
    }
    if (err != TM_OK) {
        *ret_status = refuse_for(q, err, 405, "the method is not allowed here");
        return false;
    }
    q->route = match.route;
    q->pub.params = match.params;
    if (q->parse.content_length > match.route->body_max ||
        (q->parse.is_chunked && match.route->body_max == 0)) {
        *ret_status = refuse_head(q, 413, "the body is larger than this resource takes");
        return false;
    }
    return true;
}

static int begin_body(struct request *q)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct conn *c = q->conn;
    if (q->route->on_end) {
        q->streaming = q->handed = true;
        q->route->handler(&q->pub);
    }
    /* RFC 9110 section 10.1.1: not when the answer is there already, as then the body need not come. */
    if (q->parse.expect_continue && has_body(q) && !q->replied && !q->begun)
        io_send(c, SLICE_LIT(go_on), slice_of(NULL, 0));
    return 0;
}

static int on_head(struct parse *ps)
{
    struct request *q = TM_CONTAINER(ps, struct request, parse);
    struct http_server *s = q->loop->server;
    struct conn *c = q->conn;
    struct target target;
    const char *detail = NULL;
    int status = 0;
    q->headed = true;
    q->start_us = clock_mono_ns() / 1000;
    c->phase_ms = c->moved_ms = q->loop->now_ms;
    atomic_fetch_add_explicit(&q->loop->requests, 1, memory_order_relaxed);
    q->pub.raw_target = (const char *)ps->text.p;
    q->pub.method = method_of(ps);
    tm_err err = identify(q);
    if (err != TM_OK)
        return refuse_for(q, err, 400, "Client-Cert or Client-Cert-Chain is malformed");
    q->retry_s = limits_request(s->peers, c->limit, q->loop->now_ms);
    if (q->retry_s)
        return refuse_head(q, 429, "too many requests");
    if (!q->pub.method)
        return refuse_head(q, 501, "the method is not implemented");
    err = target_parse(&target, q->pub.arena, slice_of(ps->text.p, ps->target_n), &detail);
    if (err != TM_OK)
        return refuse_for(q, err, 400, err == TM_ETOOBIG ? "the request target has too many parts" : detail);
    q->pub.path = target.path;
    q->pub.query = target.query;
    return find_route(q, &target, &status) ? begin_body(q) : status;
}

static int on_body(struct parse *ps, struct slice data)
{
    struct request *q = TM_CONTAINER(ps, struct request, parse);
    q->conn->moved_ms = q->loop->now_ms;
    q->body_octets += data.n;
    if (q->replied || q->aborted)
        return 0;
    if (q->body_octets > q->route->body_max) {
        ps->detail = "the body is larger than this resource takes";
        return 413;
    }
    if (q->streaming) {
        if (q->route->on_body)
            q->route->on_body(&q->pub, data);
        return 0;
    }
    buf_put_slice(&q->body, data);
    return buf_err(&q->body) == TM_OK ? 0 : 503;
}

void request_complete(struct request *q)
{
    if (q->refusal) {
        reply_error(q, q->refusal, q->detail);
        return;
    }
    if (q->streaming) {
        q->ended = true;
        q->route->on_end(&q->pub, true);
        return;
    }
    q->pub.body = buf_slice(&q->body);
    q->handed = true;
    q->route->handler(&q->pub);
}

void request_tell_aborted(struct request *q)
{
    q->told = true;
    if (q->streaming && !q->ended) {
        q->ended = true;
        q->route->on_end(&q->pub, false);
    } else if (q->begun && q->on_drain) {
        q->on_drain(&q->pub);
    }
}

/* ---- life ---- */

static const struct parse_ops parse_ops = {.head = on_head, .body = on_body};

static void request_free(struct request *q)
{
    arena_free(q->pub.arena);
    parse_done(&q->parse);
    buf_done(&q->body);
    free(q);
}

static struct request *spare_take(struct loop *l)
{
    struct request *q = l->spare;
    if (q) {
        l->spare = q->next;
        l->n_spare--;
        return q;
    }
    q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->pub.arena = arena_new(0);
    buf_init(&q->body, SIZE_MAX / 2);
    if (!q->pub.arena || parse_init(&q->parse, &parse_ops, &l->server->parse_limits) != TM_OK) {
        request_free(q);
        return NULL;
    }
    return q;
}

struct request *request_new(struct conn *c)
{
    static const struct http_param none = {0};
    struct loop *l = c->loop;
    struct http_server *s = l->server;
    struct request *q = spare_take(l);
    if (!q)
        return NULL;
    q->conn = c;
    q->loop = l;
    address_format(q->peer, &c->peer);
    id_make(q);
    q->pub.server = s;
    q->pub.id = q->id;
    q->pub.method = HTTP_M_GET;
    q->pub.path = q->pub.raw_target = "";
    q->pub.query = q->pub.params = &none;
    q->pub.peer = q->peer;
    q->pub.tls = c->ssl != NULL;
    q->pub.listener = c->listener;
    q->pub.loop = l->index;
    q->pub.app = s->app;
    return q;
}

void request_discard(struct loop *l, struct request *q)
{
    enum { KEEP = 8 << 10 };
    if (l->n_spare >= SPARE_REQUESTS) {
        request_free(q);
        return;
    }
    struct request fresh = {.parse = q->parse, .body = q->body, .pub.arena = q->pub.arena};
    if (fresh.body.cap > KEEP) {
        buf_done(&fresh.body);
        buf_init(&fresh.body, SIZE_MAX / 2);
    } else {
        buf_reset(&fresh.body);
    }
    arena_reset(fresh.pub.arena);
    *q = fresh;
    parse_reset(&q->parse);
    q->next = l->spare;
    l->spare = q;
    l->n_spare++;
}

void request_finish(struct request *q)
{
    struct http_server *s = q->loop->server;
    if (s->on_reply && q->status) {
        const char *metric = q->route && q->route->metric ? q->route->metric : "http";
        uint64_t start = q->start_us ? q->start_us : clock_mono_ns() / 1000;
        s->on_reply(s->app, &q->pub, q->status, clock_mono_ns() / 1000 - start, q->octets_out, metric);
    }
    request_discard(q->loop, q);
}

void request_spare_free(struct loop *l)
{
    for (struct request *q = l->spare, *next; q; q = next) {
        next = q->next;
        request_free(q);
    }
    l->spare = NULL;
}

/* ---- what handlers ask ---- */

const char *http_request_header(const struct http_request *r, const char *name)
{
    const struct request *q = request_of(r);
    return q->headed ? parse_field(&q->parse, name) : NULL;
}

static const char *find_param(const struct http_param *p, const char *name)
{
    for (; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->value;
    return NULL;
}

const char *http_request_param(const struct http_request *r, const char *name)
{
    return find_param(r->params, name);
}

const char *http_request_query(const struct http_request *r, const char *name)
{
    return find_param(r->query, name);
}

struct executor *http_request_executor(const struct http_request *r)
{
    return &request_of(r)->loop->executor;
}

bool http_request_aborted(const struct http_request *r)
{
    return request_of(r)->aborted;
}

tm_err http_request_channel_binding(const struct http_request *r, struct slice *ret, const char **ret_type)
{
    static const char label[] = "EXPORTER-Channel-Binding"; /* RFC 9266 section 4.1: no context, 32 octets */
    const struct request *q = request_of(r);
    SSL *ssl = q->conn->ssl;
    size_t n = 32;
    /* A proxy's connection is not the client's. */
    if (!ssl || q->conn->behind_proxy)
        return TM_EUNSUPPORTED;
    uint8_t *out = arena_alloc(r->arena, 64);
    if (!out)
        return TM_ENOMEM;
    if (SSL_version(ssl) >= TLS1_3_VERSION) {
        if (SSL_export_keying_material(ssl, out, n, label, sizeof label - 1, NULL, 0, 0) != 1)
            return TM_ECRYPTO;
        *ret_type = "tls-exporter";
    } else {
        /* RFC 5929 section 3.1: the first Finished message, the client's in a full handshake, the server's in a resumed one.
         * There, without the extended master secret, two connections can have the same (RFC 7627 section 1). */
        bool resumed = SSL_session_reused(ssl);
        if (resumed && !SSL_get_extms_support(ssl))
            return TM_EUNSUPPORTED;
        n = resumed ? SSL_get_finished(ssl, out, 64) : SSL_get_peer_finished(ssl, out, 64);
        if (n == 0 || n > 64)
            return TM_ECRYPTO;
        *ret_type = "tls-unique";
    }
    *ret = slice_of(out, n);
    return TM_OK;
}

void http_body_pause(struct http_request *r)
{
    struct request *q = request_of(r);
    if (q->paused)
        return;
    q->paused = true;
    q->paused_ms = q->conn->moved_ms = q->loop->now_ms;
    conn_kick(q->conn);
}

/* The time that it was paused is not held against the peer. */
void http_body_resume(struct http_request *r)
{
    struct request *q = request_of(r);
    if (!q->paused)
        return;
    loop_now(q->loop);
    q->paused = false;
    q->conn->phase_ms += q->loop->now_ms - q->paused_ms;
    q->conn->moved_ms = q->loop->now_ms;
    conn_kick(q->conn);
}
