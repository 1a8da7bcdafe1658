#include "http/tls.h"
#include "base/digest.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

/* What OpenSSL said last, as our error. Leaves its queue empty. */
static tm_err fail(struct diag *diag, tm_err err, const char *field, const char *what)
{
    char text[160] = "unknown reason";
    unsigned long e = ERR_peek_last_error();
    if (e)
        ERR_error_string_n(e, text, sizeof text);
    ERR_clear_error();
    return diag_fail(diag, err, NULL, field, "%s: %s", what, text);
}

/* ---- certificate and key ---- */

static bool is_pem(struct slice s)
{
    return s.n > 0 && s.p[0] != 0x30;
}

/* The next certificate of the chain; NULL at the end or on error. */
static X509 *next_cert(BIO *bio, struct slice *der)
{
    if (bio)
        return PEM_read_bio_X509(bio, NULL, NULL, NULL);
    const unsigned char *at = der->p;
    X509 *x = der->n ? d2i_X509(NULL, &at, (long)der->n) : NULL;
    if (x)
        *der = slice_sub(*der, (size_t)(at - der->p), der->n);
    return x;
}

/* PEM ends with "no start line"; anything else that stopped it is an error. */
static bool ended_well(const BIO *bio, struct slice der)
{
    if (!bio)
        return der.n == 0;
    unsigned long e = ERR_peek_last_error();
    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static tm_err use_chain(SSL_CTX *ctx, struct slice chain, struct diag *diag)
{
    static const char field[] = "tls.chain";
    BIO *bio = is_pem(chain) ? BIO_new_mem_buf(chain.p, (int)chain.n) : NULL;
    if (chain.n == 0 || chain.n > 1 << 20 || (is_pem(chain) && !bio))
        return diag_fail(diag, TM_EMALFORMED, NULL, field, "the server's certificate is missing");
    tm_err err = TM_OK;
    X509 *x;
    size_t n = 0;
    ERR_clear_error();
    for (; err == TM_OK && (x = next_cert(bio, &chain)); n++) {
        int ok = n == 0 ? SSL_CTX_use_certificate(ctx, x) : SSL_CTX_add1_chain_cert(ctx, x);
        X509_free(x);
        if (ok != 1)
            err = fail(diag, TM_EUNSUPPORTED, field, "OpenSSL does not take the certificate");
    }
    if (err == TM_OK && (n == 0 || !ended_well(bio, chain)))
        err = fail(diag, TM_EMALFORMED, field, "the certificate chain does not parse");
    ERR_clear_error();
    BIO_free(bio);
    return err;
}

static tm_err load_key(EVP_PKEY **ret, const struct http_tls_options *o, struct diag *diag)
{
    if (o->key) {
        if (EVP_PKEY_up_ref(o->key) != 1)
            return TM_ECRYPTO;
        *ret = o->key;
        return TM_OK;
    }
    BIO *bio =
        o->key_pem.n && o->key_pem.n < 1 << 20 ? BIO_new_mem_buf(o->key_pem.p, (int)o->key_pem.n) : NULL;
    if (!bio)
        return diag_fail(diag, TM_EMALFORMED, NULL, "tls.key", "the server's private key is missing");
    /* An empty passphrase instead of OpenSSL's prompt on the terminal. */
    EVP_PKEY *key = is_pem(o->key_pem) ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t)"")
                                       : d2i_PrivateKey_bio(bio, NULL);
    BIO_free(bio);
    if (!key)
        return fail(diag, TM_EMALFORMED, "tls.key", "the private key does not parse");
    *ret = key;
    return TM_OK;
}

static tm_err use_key(SSL_CTX *ctx, const struct http_tls_options *o, struct diag *diag)
{
    EVP_PKEY *key = NULL;
    TM_TRY(load_key(&key, o, diag));
    int ok = SSL_CTX_use_PrivateKey(ctx, key);
    EVP_PKEY_free(key);
    if (ok != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return fail(diag, TM_EINVAL, "tls.key", "the private key does not belong to the certificate");
    return TM_OK;
}

/* ---- client certificates ---- */

/* See the head of tls.h. The client's signature over the handshake is checked by OpenSSL whatever this returns. */
static int take_any_chain(X509_STORE_CTX *store, void *arg)
{
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static tm_err add_client_cas(SSL_CTX *ctx, const struct http_tls_options *o, struct diag *diag)
{
    for (size_t i = 0; i < o->n_client_cas; i++) {
        const unsigned char *at = o->client_cas[i].p;
        X509 *x = d2i_X509(NULL, &at, (long)o->client_cas[i].n);
        int ok = x ? SSL_CTX_add_client_CA(ctx, x) : 0;
        X509_free(x);
        if (ok != 1)
            return fail(diag, TM_EMALFORMED, "tls.client_cas", "a client CA does not parse");
    }
    return TM_OK;
}

/* A ticket holds the client's leaf and nothing above it. A client that sent intermediates would lose them on resumption, and
 * with them its way to a trust anchor: its tickets are marked here and not taken below, so that it shakes hands in full. */
static int ticket_made(SSL *ssl, void *arg)
{
    const STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    uint8_t has_chain = chain && sk_X509_num(chain) > 0;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &has_chain, 1);
}

static SSL_TICKET_RETURN ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t n,
                                       SSL_TICKET_STATUS status, void *arg)
{
    void *data;
    size_t len;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 || len != 1 || *(const uint8_t *)data != 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* ---- the rest ---- */

/* HTTP/1.1 is all there is (RFC 7301); a client that offers only others is answered without ALPN and may try its luck. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
                           unsigned in_n, void *arg)
{
    static const char ours[] = "http/1.1";
    for (unsigned i = 0; i < in_n; i += 1U + in[i]) {
        if (in[i] == sizeof ours - 1 && i + 1 + in[i] <= in_n && memcmp(in + i + 1, ours, in[i]) == 0) {
            *out = in + i + 1;
            *out_n = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static tm_err harden(SSL_CTX *ctx, const struct http_tls_options *o, struct diag *diag)
{
    /* Forward secrecy and AEAD only (RFC 9325 section 4.2); the order is the client's, which knows its hardware. */
    static const char tls12[] = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM:DHE+AESGCM:!aNULL:!aPSK";
    uint8_t id[16];
    TM_TRY(random_bytes(id, sizeof id));
    if (SSL_CTX_set_min_proto_version(ctx, o->tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, tls12) != 1 || SSL_CTX_set_session_id_context(ctx, id, sizeof id) != 1)
        return fail(diag, TM_ECRYPTO, "tls", "cannot set up TLS");
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1); /* one system call a record instead of two */
    SSL_CTX_set_dh_auto(ctx, 1);
    /* Tickets only: a cache of sessions in memory would grow with the number of devices. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_max_cert_list(ctx, 100 << 10);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, take_any_chain, NULL);
    if (SSL_CTX_set_session_ticket_cb(ctx, ticket_made, ticket_opened, NULL) != 1)
        return fail(diag, TM_ECRYPTO, "tls", "cannot set up TLS");
    return TM_OK;
}

tm_err http_tls_context_new(SSL_CTX **ret, const struct http_tls_options *o, struct diag *diag)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return fail(diag, TM_ENOMEM, "tls", "cannot set up TLS");
    tm_err err = harden(ctx, o, diag);
    if (err == TM_OK)
        err = use_chain(ctx, o->chain, diag);
    if (err == TM_OK)
        err = use_key(ctx, o, diag);
    if (err == TM_OK)
        err = add_client_cas(ctx, o, diag);
    if (err != TM_OK) {
        SSL_CTX_free(ctx);
        return err;
    }
    *ret = ctx;
    return TM_OK;
}
