/* http/client_tls.h - TLS under an exchange of http/client.h. Layer 2, private to http/. */
#pragma once
#include "base/err.h"
#include <openssl/ssl.h>
#include <stddef.h>

/* Over a non-blocking socket; the handshake is made with the first octets. `host` is who must be there, `ca_file` whose word counts (PEM; NULL:
 * whom the system trusts). */
tm_err client_tls_new(SSL **ret, int fd, const char *host, const char *ca_file, struct diag *diag);
/* As send() and recv(): -1 with EAGAIN, and *ret_wants is POLLIN or POLLOUT, whichever it waits for; -1 with EPROTO, and the diag says why. */
ssize_t client_tls_send(SSL *tls, const void *p, size_t n, short *ret_wants, struct diag *diag);
ssize_t client_tls_recv(SSL *tls, void *p, size_t n, short *ret_wants, struct diag *diag);
