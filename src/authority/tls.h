/* authority/tls.h - the listeners' own certificate: issued by the house to itself, renewed by itself.
 *
 * Layer 4. <home>/tls/server.pem (0600): key (PKCS#8), certificate, chain without the root, in one file that is replaced whole, so that
 * key and certificate always fit. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "issue/jobs.h"
#include <openssl/types.h>
struct house;

/* A fresh P-256 key and certificate under profile "server-internal-1y" through the pipeline (door "ceremony"). Names are DNS names or IP
 * addresses; none given: those of the present certificate. Blocking. */
tm_err tls_server_issue(struct house *h, const char *const *names, size_t n, const char *by,
                        struct diag *diag);

/* An SSL_CTX over the present file: TLS 1.2 and 1.3, the server's choice of ciphers; any client certificate is taken, for the doors judge it. */
tm_err tls_server_context(SSL_CTX **ret, const struct house *h, struct diag *diag);

/* The same over files of one's own (PEM, certificate first, chain behind it; key unencrypted). */
tm_err tls_context_load(SSL_CTX **ret, const char *certificate, const char *key, struct diag *diag);

/* Called (from the job thread) after a renewal, so that the server can load the new file; one a process. */
void tls_server_on_renewal(void (*renewed)(void *arg), void *arg);

/* "tls.renew": hourly; renews when the profile's time has come. NULL-terminated. Added by `serve` with jobs_add(). */
extern const struct job *const authority_jobs[];
