#include "http/client_tls.h"
#include "http/tls_peer.h"
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/types.h>

static tm_err trust(SSL_CTX *ctx, const char *ca_file, struct diag *diag)
{
    if (!ca_file)
        return tls_peer_trust(ctx, NULL) ? TM_OK : TM_ENOMEM;
    if (SSL_CTX_load_verify_file(ctx, ca_file) != 1)
        return diag_fail(diag, TM_EINVAL, NULL, "ca", "%s: no CA certificates in PEM there", ca_file);
    return TM_OK;
}

tm_err client_tls_new(SSL **ret, int fd, const char *host, const char *ca_file, struct diag *diag)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *tls = NULL;
    tm_err e = ctx ? trust(ctx, ca_file, diag) : TM_ENOMEM;
    if (e == TM_OK) {
        SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        tls = SSL_new(ctx);
        if (!tls || SSL_set_fd(tls, fd) != 1 || !tls_peer_name(tls, host))
            e = TM_ENOMEM;
    }
    SSL_CTX_free(ctx);
    ERR_clear_error();
    if (e == TM_OK) {
        SSL_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_set_connect_state(tls);
        *ret = tls;
    } else {
        SSL_free(tls);
    }
    return e;
}

/* What did not go; 0 for the peer's proper end. */
static ssize_t why_not(SSL *tls, int result, short *ret_wants, struct diag *diag)
{
    int why = SSL_get_error(tls, result);
    long verified = SSL_get_verify_result(tls);
    unsigned long detail = ERR_peek_last_error();
    ERR_clear_error();
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        *ret_wants = why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
        errno = EAGAIN;
        return -1;
    }
    if (why == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (verified != X509_V_OK)
        TM_IGNORE(diag_fail(diag, TM_EAUTH, "RFC 9110 4.3.4", NULL, "the server's certificate: %s",
                            X509_verify_cert_error_string(verified)));
    else
        TM_IGNORE(diag_fail(diag, TM_EIO, NULL, NULL, "TLS: %s",
                            detail ? ERR_reason_error_string(detail) : "the connection was cut"));
    errno = EPROTO;
    return -1;
}

ssize_t client_tls_send(SSL *tls, const void *p, size_t n, short *ret_wants, struct diag *diag)
{
    size_t done = 0;
    ERR_clear_error();
    int r = SSL_write_ex(tls, p, n, &done);
    return r == 1 ? (ssize_t)done : why_not(tls, r, ret_wants, diag);
}

ssize_t client_tls_recv(SSL *tls, void *p, size_t n, short *ret_wants, struct diag *diag)
{
    size_t done = 0;
    ERR_clear_error();
    int r = SSL_read_ex(tls, p, n, &done);
    return r == 1 ? (ssize_t)done : why_not(tls, r, ret_wants, diag);
}
