#include "enroll/outbound/https.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "enroll/outbound/lookup.h"
#include "enroll/outbound/reach.h"
#include "enroll/outbound/response.h"
#include "http/parser_lib.h"
#include "http/tls_peer.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
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
    /* the answer */
    struct buf body;
    size_t head;
    char field[16];
    size_t field_n;
    bool in_value, complete, over;
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

static int on_field(http_parser *p, const char *at, size_t n)
{
    struct exchange *x = p->data;
    if (x->in_value)
        x->field_n = 0;
    x->in_value = false;
    x->head += n;
    for (size_t i = 0; i < n; i++, x->field_n++)
        if (x->field_n < sizeof x->field)
            x->field[x->field_n] = at[i];
    return x->head > HEAD_MAX;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    struct exchange *x = p->data;
    size_t have = strlen(x->ret->type), room = sizeof x->ret->type - 1 - have;
    x->in_value = true;
    x->head += n;
    if (!x->complete && x->field_n == 12 && strncasecmp(x->field, "Content-Type", 12) == 0) {
        memcpy(x->ret->type + have, at, n < room ? n : room);
        x->ret->type[have + (n < room ? n : room)] = '\0';
    }
    return x->head > HEAD_MAX;
}

static int on_headers(http_parser *p)
{
    struct exchange *x = p->data;
    if (p->status_code < 200) /* 1xx come before the answer */
        x->ret->type[0] = '\0';
    else if (!x->complete)
        x->ret->status = (int)p->status_code;
    return strcmp(x->q->method, "HEAD") == 0;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
    struct exchange *x = p->data;
    size_t room = x->q->max - x->body.n;
    if (x->complete)
        return 0;
    buf_put(&x->body, at, n < room ? n : room);
    x->over = n > room;
    return x->over;
}

static int on_complete(http_parser *p)
{
    struct exchange *x = p->data;
    x->complete |= p->status_code >= 200;
    return 0;
}

static tm_err take(struct exchange *x, http_parser *p, const http_parser_settings *s, struct slice octets)
{
    size_t done = http_parser_execute(p, s, (const char *)octets.p, octets.n);
    if (x->complete)
        return TM_OK;
    if (x->over)
        return diag_fail(x->diag, TM_ETOOBIG, "https", NULL, "its answer is larger than %zu octets",
                         x->q->max);
    if (done != octets.n || HTTP_PARSER_ERRNO(p) != HPE_OK)
        return unavailable(x, "its answer is not HTTP");
    return TM_OK;
}

static tm_err read_answer(struct exchange *x)
{
    uint8_t octets[CHUNK];
    http_parser p;
    http_parser_settings s;
    http_parser_init(&p, HTTP_RESPONSE);
    http_parser_settings_init(&s);
    p.data = x;
    s.on_header_field = on_field;
    s.on_header_value = on_value;
    s.on_headers_complete = on_headers;
    s.on_body = on_body;
    s.on_message_complete = on_complete;
    for (bool ended = false; !x->complete && !ended;) {
        size_t n = 0;
        int rc = SSL_read_ex(x->ssl, octets, sizeof octets, &n);
        ended = rc != 1 && SSL_get_error(x->ssl, rc) == SSL_ERROR_ZERO_RETURN;
        if (rc != 1 && !ended) {
            if (!wait_for(x, rc))
                return unavailable(x, "it does not answer in time");
            continue;
        }
        TM_TRY(take(x, &p, &s, slice_of(octets, n)));
    }
    TM_TRY(buf_err(&x->body));
    return x->complete ? arena_copy(&x->ret->body, x->a, buf_slice(&x->body))
                       : unavailable(x, "it ends without a whole answer");
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
    buf_init(&x.body, q->max + 1);
    tm_err e = connect_tls(&x);
    if (e == TM_OK)
        e = send_request(&x);
    if (e == TM_OK)
        e = read_answer(&x);
    buf_done(&x.body);
    SSL_free(x.ssl);
    SSL_CTX_free(x.ctx);
    if (x.fd >= 0)
        close(x.fd);
    if (e == TM_OK)
        *ret = answer;
    return e;
}
