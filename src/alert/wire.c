/* A connection to a server that somebody configured, with a deadline over all of it. */
#include "alert/impl.h"
#include "base/arena.h"
#include "base/clock.h"
#include "enroll/outbound/lookup.h"
#include "http/tls_peer.h"
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

tm_err wire_open(struct wire *w, const struct notification_doc *d, const char *host, int port,
                 struct diag *diag)
{
    struct address v[REACH_ADDRESSES_MAX], allowed[REACH_ADDRESSES_MAX];
    size_t n = 0, k = 0;
    memset(w, 0, sizeof *w);
    w->fd = -1;
    w->reach = (struct reach){.networks = &d->networks,
                              .deadline_ns = clock_mono_ns() + WIRE_SECONDS * UINT64_C(1000000000)};
    if (reach_literal(&v[0], host))
        n = 1;
    else if (lookup_addresses(v, REACH_ADDRESSES_MAX, &n, host, &w->reach) != TM_OK)
        return diag_fail(diag, TM_EUNAVAIL, NULL, host, "no address of %s could be found", host);
    for (size_t i = 0; i < n; i++)
        if (reach_allowed(&d->networks, &v[i]))
            allowed[k++] = v[i];
    if (k == 0) {
        char text[ADDRESS_TEXT_MAX] = "nowhere";
        if (n)
            address_format(text, &v[0]);
        return diag_fail(diag, TM_EFORBIDDEN, "notification.networks", host,
                         "%s is at %s, which is not public: name that network under networks", host, text);
    }
    tm_err e = reach_connect(&w->fd, &w->reach, allowed, k, port);
    return e == TM_OK ? e : diag_fail(diag, e, NULL, host, "%s", w->reach.why);
}

static tm_err tls_failed(struct wire *w, const char *host, struct diag *diag)
{
    long verified = w->ssl ? SSL_get_verify_result(w->ssl) : X509_V_OK;
    unsigned long code = ERR_peek_last_error();
    const char *why = verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                      : code                ? ERR_reason_error_string(code)
                                            : "the connection ended, or took too long";
    ERR_clear_error();
    return diag_fail(diag, TM_EUNAVAIL, NULL, host, "TLS with %s failed: %s", host,
                     why ? why : "no reason was given");
}

/* Go on with a call that wants the socket first. */
static bool again(struct wire *w, int rc)
{
    int want = SSL_get_error(w->ssl, rc);
    short events = want == SSL_ERROR_WANT_READ ? POLLIN : want == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
    return events && reach_wait(&w->reach, w->fd, events);
}

tm_err wire_tls(struct wire *w, const struct notification_doc *d, const char *host, struct diag *diag)
{
    int rc;
    w->ctx = SSL_CTX_new(TLS_client_method());
    if (!w->ctx || !tls_peer_trust(w->ctx, d->ca) || !SSL_CTX_set_min_proto_version(w->ctx, TLS1_2_VERSION) ||
        !(w->ssl = SSL_new(w->ctx)))
        return tls_failed(w, host, diag);
    SSL_set_verify(w->ssl, SSL_VERIFY_PEER, NULL);
    if (!tls_peer_name(w->ssl, host) || SSL_set_fd(w->ssl, w->fd) != 1)
        return tls_failed(w, host, diag);
    w->in_n = 0; /* what came before TLS is nobody's word */
    do
        rc = SSL_connect(w->ssl);
    while (rc != 1 && again(w, rc));
    return rc == 1 ? TM_OK : tls_failed(w, host, diag);
}

tm_err wire_write(struct wire *w, struct slice s, struct diag *diag)
{
    while (s.n) {
        ssize_t n = w->ssl ? SSL_write(w->ssl, s.p, s.n > 16384 ? 16384 : (int)s.n)
                           : send(w->fd, s.p, s.n, MSG_NOSIGNAL);
        if (n > 0) {
            s = slice_sub(s, (size_t)n, s.n);
            continue;
        }
        bool goes_on = w->ssl ? again(w, (int)n)
                              : (errno == EAGAIN || errno == EINTR) && reach_wait(&w->reach, w->fd, POLLOUT);
        if (!goes_on)
            return diag_fail(diag, TM_EUNAVAIL, NULL, NULL,
                             "the connection ended, or took too long, while sending");
    }
    return TM_OK;
}

tm_err wire_read(struct wire *w, struct slice *ret, struct diag *diag)
{
    for (;;) {
        ssize_t n = w->ssl ? SSL_read(w->ssl, w->in, sizeof w->in) : recv(w->fd, w->in, sizeof w->in, 0);
        if (n >= 0 && (!w->ssl || n > 0)) {
            *ret = slice_of(w->in, (size_t)n);
            return TM_OK;
        }
        if (w->ssl && SSL_get_error(w->ssl, (int)n) == SSL_ERROR_ZERO_RETURN) {
            *ret = slice_of(w->in, 0);
            return TM_OK;
        }
        bool goes_on = w->ssl ? again(w, (int)n)
                              : (errno == EAGAIN || errno == EINTR) && reach_wait(&w->reach, w->fd, POLLIN);
        if (!goes_on)
            return diag_fail(diag, TM_EUNAVAIL, NULL, NULL,
                             "the server ended the connection, or took too long to answer");
    }
}

/* What is behind the line stays in front of `in` for the next one. */
tm_err wire_line(struct wire *w, const char **ret, struct arena *a, struct diag *diag)
{
    char line[WIRE_LINE];
    size_t n = 0;
    for (;;) {
        size_t i = 0;
        for (; i < w->in_n; i++) {
            if (w->in[i] == '\n')
                break;
            if (n + 1 >= sizeof line)
                return diag_fail(diag, TM_EMALFORMED, NULL, NULL, "the server's answer is too long");
            line[n++] = (char)w->in[i];
        }
        bool whole = i < w->in_n;
        size_t used = whole ? i + 1 : i;
        memmove(w->in, w->in + used, w->in_n - used);
        w->in_n -= used;
        if (whole)
            break;
        struct slice more;
        TM_TRY(wire_read(w, &more, diag));
        if (more.n == 0)
            return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "the server ended the connection");
        w->in_n = more.n;
    }
    if (n && line[n - 1] == '\r')
        n--;
    *ret = arena_strndup(a, line, n);
    return *ret ? TM_OK : TM_ENOMEM;
}

void wire_close(struct wire *w)
{
    if (w->ssl) {
        SSL_shutdown(w->ssl);
        SSL_free(w->ssl);
    }
    SSL_CTX_free(w->ctx);
    if (w->fd >= 0)
        close(w->fd);
    ERR_clear_error();
    w->ssl = NULL;
    w->ctx = NULL;
    w->fd = -1;
}
