#include "enroll/acme/link.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void link_init(struct link *l, struct attempt *t, int fd)
{
    *l = (struct link){.attempt = t, .fd = fd};
}

void link_done(struct link *l)
{
    SSL_free(l->ssl);
    SSL_CTX_free(l->ctx);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    ERR_clear_error();
}

/* ---- TLS ---- */

/* After a call that did not end: wait for what it wants. False when it failed or the time is over. */
static bool ssl_again(struct link *l, int rc)
{
    switch (SSL_get_error(l->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return reach_wait(&l->attempt->reach, l->fd, POLLIN);
    case SSL_ERROR_WANT_WRITE:
        return reach_wait(&l->attempt->reach, l->fd, POLLOUT);
    default:
        return false;
    }
}

static const char *ssl_reason(void)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    return why ? why : "the peer ended the connection or took too long";
}

tm_err link_tls(struct link *l, const char *sni, struct slice alpn)
{
    l->ctx = SSL_CTX_new(TLS_client_method());
    l->ssl = l->ctx ? SSL_new(l->ctx) : NULL;
    if (!l->ssl || SSL_set_fd(l->ssl, l->fd) != 1 || SSL_set_min_proto_version(l->ssl, TLS1_2_VERSION) != 1)
        return TM_ENOMEM;
    if (sni && SSL_set_tlsext_host_name(l->ssl, sni) != 1)
        return TM_ENOMEM;
    if (alpn.n && SSL_set_alpn_protos(l->ssl, alpn.p, (unsigned)alpn.n) != 0)
        return TM_ENOMEM;
    SSL_set_verify(l->ssl, SSL_VERIFY_NONE, NULL);
    /* A read comes back after each message that is no data, so that a peer that sends tickets without end meets the deadline. */
    SSL_clear_mode(l->ssl, SSL_MODE_AUTO_RETRY);
    ERR_clear_error();
    int rc;
    while ((rc = SSL_connect(l->ssl)) != 1)
        if (!ssl_again(l, rc))
            return attempt_failed(l->attempt, ACME_P_TLS, "the TLS handshake failed: %s", ssl_reason());
    return TM_OK;
}

/* ---- octets ---- */

tm_err link_write(struct link *l, struct slice data)
{
    while (data.n > 0) {
        ssize_t n =
            l->ssl ? SSL_write(l->ssl, data.p, (int)data.n) : send(l->fd, data.p, data.n, MSG_NOSIGNAL);
        if (n > 0) {
            data = slice_sub(data, (size_t)n, data.n);
            continue;
        }
        bool again =
            l->ssl ? ssl_again(l, (int)n)
                   : (errno == EAGAIN || errno == EINTR) && reach_wait(&l->attempt->reach, l->fd, POLLOUT);
        if (!again)
            return attempt_failed(l->attempt, ACME_P_CONNECTION,
                                  "the connection broke while sending the request");
    }
    return TM_OK;
}

tm_err link_read(struct link *l, void *out, size_t max, size_t *ret_n)
{
    for (;;) {
        ssize_t n = l->ssl ? SSL_read(l->ssl, out, (int)max) : recv(l->fd, out, max, 0);
        if (n > 0) {
            *ret_n = (size_t)n;
            return TM_OK;
        }
        /* An end without close_notify is common and harmless here. */
        bool ended = l->ssl ? SSL_get_error(l->ssl, (int)n) == SSL_ERROR_ZERO_RETURN : n == 0;
        if (ended) {
            *ret_n = 0;
            return TM_OK;
        }
        bool again =
            l->ssl ? ssl_again(l, (int)n)
                   : (errno == EAGAIN || errno == EINTR) && reach_wait(&l->attempt->reach, l->fd, POLLIN);
        if (!again)
            return attempt_failed(l->attempt, ACME_P_CONNECTION,
                                  "the answer did not come whole in time, or the connection broke");
    }
}
