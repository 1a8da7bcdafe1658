/* authority/tls.h - the listeners' own certificate: issued by the house to itself, renewed by itself.
 *
 * Layer 4. <home>/tls/server.pem (certificate, then its chain without the root) and server.key (PKCS#8, 0600). */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "issue/jobs.h"
#include <openssl/types.h>
struct house;

/* A fresh P-256 key and certificate under profile "server-internal-1y" through the pipeline (door "ceremony"). Names are DNS names or IP
 * addresses; none given: those of the present certificate. Files are replaced together; blocking. */
tm_err tls_server_issue(struct house *h, const char *const *names, size_t n, const char *by,
                        struct diag *diag);

/* An SSL_CTX over the present files: TLS 1.2 and 1.3, the server's choice of ciphers; client certificates are not asked for here. */
tm_err tls_server_context(SSL_CTX **ret, const struct house *h, struct diag *diag);

/* Called (from the job thread) after a renewal, so that the server can load the new files; one a process. */
void tls_server_on_renewal(void (*renewed)(void *arg), void *arg);

/* "tls.renew": hourly; renews when the profile's time has come. NULL-terminated. Added by `serve` with jobs_add(). */
extern const struct job *const authority_jobs[];
