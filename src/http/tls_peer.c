#include "http/tls_peer.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static bool set(const char *variable)
{
    const char *value = getenv(variable);
    return value && value[0];
}

const char *tls_peer_system_file(void)
{
    return set("SSL_CERT_FILE") ? getenv("SSL_CERT_FILE") : "/etc/ssl/certs/ca-certificates.crt";
}

static bool trust_system(SSL_CTX *ctx)
{
    if (SSL_CTX_set_default_verify_paths(ctx) != 1)
        return false;
    /* Who names a file or a directory means just that. */
    if (!set("SSL_CERT_FILE") && !set("SSL_CERT_DIR") && access(tls_peer_system_file(), R_OK) == 0)
        SSL_CTX_load_verify_file(ctx, tls_peer_system_file());
    ERR_clear_error();
    return true;
}

bool tls_peer_trust(SSL_CTX *ctx, const char *pem)
{
    if (!pem || !pem[0])
        return trust_system(ctx);
    BIO *in = BIO_new_mem_buf(pem, -1);
    bool any = false;
    for (X509 *c; in && (c = PEM_read_bio_X509(in, NULL, NULL, NULL)); X509_free(c))
        any |= X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), c) == 1;
    BIO_free(in);
    ERR_clear_error();
    return any;
}

bool tls_peer_name(SSL *ssl, const char *host)
{
    uint8_t address[16];
    bool literal = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    if (literal)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}
