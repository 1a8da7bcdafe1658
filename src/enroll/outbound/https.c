#include "enroll/outbound/https.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "enroll/outbound/lookup.h"
#include "enroll/outbound/reach.h"
#include "enroll/outbound/response.h"
#include "http/answer.h"
#include "http/tls_peer.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { HTTPS_PORT = 443, HEAD_MAX = 32 << 10, REQUEST_MAX = 64 << 10, CHUNK = 16 << 10 };

struct exchange {
    struct arena *a;
    const struct https_request *q;
    struct https_answer *ret;
    struct reach reach;
    struct target to;
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
    struct diag *diag;
};

static tm_err unavailable(struct exchange *x, const char *why)
{
    ERR_clear_error();
    return diag_fail(x->diag, TM_EUNAVAIL, "https", NULL, "%s", why);
}

/* ---- getting there ---- */

static tm_err addresses(struct exchange *x, struct address *v, size_t *ret_n)
{
    size_t n = 0, allowed = 0;
    switch (lookup_addresses(v, REACH_ADDRESSES_MAX, &n, x->to.host, &x->reach)) {
    case TM_OK:
        break;
    case TM_ENOMEM:
        return TM_ENOMEM;
    case TM_ETIMEOUT:
        return unavailable(x, "its name does not resolve in time");
    case TM_EUNAVAIL:
        return unavailable(x, "names are not resolved here any more; the machine's resolver hangs");
    default:
        return unavailable(x, "its name does not resolve");
    }
    for (size_t i = 0; i < n; i++)
        if (x->q->anywhere || reach_allowed(x->reach.networks, &v[i]))
            v[allowed++] = v[i];
    *ret_n = allowed;
    return allowed ? TM_OK
                   : unavailable(x, "it is at an address that is not public and in no network that is named");
}

/* True: try again, the descriptor is ready. */
static bool wait_for(struct exchange *x, int rc)
{
    int why = SSL_get_error(x->ssl, rc);
    if (why == SSL_ERROR_WANT_READ)
        return reach_wait(&x->reach, x->fd, POLLIN);
    if (why == SSL_ERROR_WANT_WRITE)
        return reach_wait(&x->reach, x->fd, POLLOUT);
    return false;
}

static tm_err connect_tls(struct exchange *x)
{
    struct address v[REACH_ADDRESSES_MAX];
    size_t n = 0;
    int rc;
    TM_TRY(addresses(x, v, &n));
    if (reach_connect(&x->fd, &x->reach, v, n, x->to.port) != TM_OK)
        return unavailable(x, "it can't be connected to");
    x->ctx = SSL_CTX_new(TLS_client_method());
    if (!x->ctx || SSL_CTX_set_min_proto_version(x->ctx, TLS1_2_VERSION) != 1 ||
        !tls_peer_trust(x->ctx, x->q->ca))
        return unavailable(x, "its CA can't be read");
    SSL_CTX_set_verify(x->ctx, x->q->unverified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    x->ssl = SSL_new(x->ctx);
    if (!x->ssl || SSL_set_fd(x->ssl, x->fd) != 1 || !tls_peer_name(x->ssl, x->to.host))
        return TM_ENOMEM;
    while ((rc = SSL_connect(x->ssl)) != 1)
        if (!wait_for(x, rc))
            return unavailable(x, !x->q->unverified && SSL_get_verify_result(x->ssl) != X509_V_OK
                                      ? "its certificate is not trusted"
                                      : "TLS was not agreed on in time");
    return TM_OK;
}

/* ---- the request ---- */

static tm_err write_all(struct exchange *x, struct slice s)
{
    while (s.n) {
        size_t n = 0;
        int rc = SSL_write_ex(x->ssl, s.p, s.n, &n);
        if (rc != 1 && !wait_for(x, rc))
            return unavailable(x, "it does not take the request");
        s = slice_of(s.p + n, s.n - n);
    }
    return TM_OK;
}

static void put_head(struct buf *out, const struct exchange *x)
{
    const struct https_request *q = x->q;
    bool v6 = strchr(x->to.host, ':') != NULL;
    buf_printf(out, "%s %s HTTP/1.1\r\nHost: %s%s%s", q->method, x->to.path, v6 ? "[" : "", x->to.host,
               v6 ? "]" : "");
    if (x->to.port != HTTPS_PORT)
        buf_printf(out, ":%d", x->to.port);
    buf_puts(out, "\r\nConnection: close\r\n");
    if (q->accept)
        buf_printf(out, "Accept: %s\r\n", q->accept);
    if (q->content_type)
        buf_printf(out, "Content-Type: %s\r\n", q->content_type);
    if (q->body.n || q->content_type)
        buf_printf(out, "Content-Length: %zu\r\n", q->body.n);
    buf_puts(out, q->headers ? q->headers : "");
    buf_puts(out, "\r\n");
}

static tm_err send_request(struct exchange *x)
{
    struct buf head;
    buf_init(&head, REQUEST_MAX);
    put_head(&head, x);
    tm_err e = buf_err(&head);
    if (e == TM_OK)
        e = write_all(x, buf_slice(&head));
    if (head.p)
        explicit_bzero(head.p, head.n); /* it may hold a password or a token */
    buf_done(&head);
    return e == TM_OK ? write_all(x, x->q->body) : e;
}

/* ---- the answer ---- */

/* In words that go on after "it: ". */
static tm_err unread(struct exchange *x, tm_err e)
{
    if (e == TM_ETOOBIG)
        return diag_fail(x->diag, e, "https", NULL, "its answer is larger than %zu octets", x->q->max);
    if (e == TM_ENOMEM)
        return e;
    return unavailable(x, e == TM_EIO ? "it ends without a whole answer" : "its answer is not HTTP");
}

static tm_err read_octets(struct exchange *x, struct http_answer *r)
{
    uint8_t octets[CHUNK];
    while (!r->complete) {
        size_t n = 0;
        struct diag why = {0};
        int rc = SSL_read_ex(x->ssl, octets, sizeof octets, &n);
        bool ended = rc != 1 && SSL_get_error(x->ssl, rc) == SSL_ERROR_ZERO_RETURN;
        if (rc != 1 && !ended) {
            if (!wait_for(x, rc))
                return unavailable(x, "it does not answer in time");
            continue;
        }
        tm_err e = http_answer_take(r, slice_of(octets, n), &why);
        if (e != TM_OK)
            return unread(x, e);
    }
    return TM_OK;
}

static tm_err read_answer(struct exchange *x)
{
    struct http_answer r = {
        .head_max = HEAD_MAX, .body_max = x->q->max, .to_head = strcmp(x->q->method, "HEAD") == 0};
    http_answer_begin(&r);
    tm_err e = read_octets(x, &r);
    if (e == TM_OK)
        e = arena_copy(&x->ret->body, x->a, buf_slice(&r.body));
    x->ret->status = r.status;
    memcpy(x->ret->type, r.type, sizeof r.type);
    if (r.body.p)
        explicit_bzero(r.body.p, r.body.n); /* it may hold a token */
    buf_done(&r.body);
    return e;
}

tm_err https_exchange(struct https_answer *ret, struct arena *a, const struct https_request *q,
                      struct diag *diag)
{
    struct https_answer answer = {0};
    struct exchange x = {.a = a, .q = q, .ret = &answer, .fd = -1, .diag = diag};
    struct target none = {0};
    x.reach = (struct reach){.networks = q->networks,
                             .over = q->over,
                             .deadline_ns = clock_mono_ns() + (uint64_t)q->timeout_s * 1000000000u};
    if (target_resolve(&x.to, &none, q->url) != TM_OK || !x.to.tls)
        return diag_fail(diag, TM_EMALFORMED, "https", NULL, "its address can't be read");
    if (x.to.port == 0)
        x.to.port = HTTPS_PORT;
    tm_err e = connect_tls(&x);
    if (e == TM_OK)
        e = send_request(&x);
    if (e == TM_OK)
        e = read_answer(&x);
    SSL_free(x.ssl);
    SSL_CTX_free(x.ctx);
    if (x.fd >= 0)
        close(x.fd);
    if (e == TM_OK)
        *ret = answer;
    return e;
}
