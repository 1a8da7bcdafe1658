/* http/tls.h - the server's TLS context. Layer 2; made on any thread, used by all loops.
 *
 * TLS 1.2 and 1.3. Client certificates are asked for, and any is taken at this level as long as the client proves its key:
 * devices come with expired or foreign IDevIDs, and which trust set counts is the endpoint's to say. So the certificates in
 * http_request are PROVEN BUT NOT VERIFIED: whoever uses them checks the chain. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <openssl/types.h>
#include <stdbool.h>

struct http_tls_options {
    struct slice chain;   /* the server's certificate, then intermediates: PEM, or DER one after another */
    EVP_PKEY *key;        /* a reference is taken; NULL: key_pem */
    struct slice key_pem; /* PKCS#8 or traditional PEM, or PKCS#8 DER, unencrypted */
    /* DER certificates whose subject names are sent as hints of what is wanted; n 0: none, which lets clients send any. */
    const struct slice *client_cas;
    size_t n_client_cas;
    bool tls13_only;
};

/* The caller owns *ret (SSL_CTX_free). TM_EMALFORMED, TM_EINVAL when certificate and key do not belong together, TM_EUNSUPPORTED
 * when OpenSSL does not take the key for TLS, TM_ENOMEM, TM_ECRYPTO. */
tm_err http_tls_context_new(SSL_CTX **ret, const struct http_tls_options *o, struct diag *diag);
