#include "x509/pkcs12.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/secret.h"
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

static void pkey_free(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static void x509_free(X509 **p)
{
    X509_free(*p);
}

static void stack_free(STACK_OF(X509) * *p)
{
    sk_X509_pop_free(*p, X509_free);
}

static void pfx_free(PKCS12 **p)
{
    PKCS12_free(*p);
}

/* An encrypted key must not make OpenSSL ask on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
    return -1;
}

static EVP_PKEY *key_read(struct slice key)
{
    const unsigned char *p = key.p;
    EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, (long)key.n);
    if (pkey)
        return pkey;
    BIO *bio = BIO_new_mem_buf(key.p, (int)key.n);
    if (!bio)
        return NULL;
    pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    return pkey;
}

static X509 *cert_read(struct slice der)
{
    const unsigned char *p = der.p;
    X509 *x = der.n <= LONG_MAX ? d2i_X509(NULL, &p, (long)der.n) : NULL;
    if (x && p != der.p + der.n) {
        X509_free(x);
        return NULL;
    }
    return x;
}

static tm_err chain_read(X509 **ret_leaf, STACK_OF(X509) * ret_rest, const struct slice *chain, size_t n,
                         struct diag *diag)
{
    for (size_t i = 0; i < n; i++) {
        X509 *x = cert_read(chain[i]);
        if (!x)
            return diag_fail(diag, TM_EMALFORMED, NULL, "chain",
                             "certificate %zu of the chain does not parse", i + 1);
        if (i == 0) {
            *ret_leaf = x;
        } else if (!sk_X509_push(ret_rest, x)) {
            X509_free(x);
            return TM_ENOMEM;
        }
    }
    return TM_OK;
}

static tm_err append(struct buf *out, PKCS12 *pfx)
{
    int n = i2d_PKCS12(pfx, NULL);
    if (n <= 0)
        return TM_ECRYPTO;
    unsigned char *p = buf_extend(out, (size_t)n);
    if (!p)
        return buf_err(out);
    return i2d_PKCS12(pfx, &p) == n ? TM_OK : TM_ECRYPTO;
}

static tm_err build(struct buf *out, struct slice key, const struct slice *chain, size_t n,
                    const char *passphrase, const char *name, struct diag *diag)
{
    TM_CLEANUP(pkey_free) EVP_PKEY *pkey = key_read(key);
    TM_CLEANUP(x509_free) X509 *leaf = NULL;
    TM_CLEANUP(stack_free) STACK_OF(X509) *rest = sk_X509_new_null();
    if (!pkey)
        return diag_fail(diag, TM_EMALFORMED, "RFC 5958", "key", "the private key does not parse");
    if (!rest)
        return TM_ENOMEM;
    TM_TRY(chain_read(&leaf, rest, chain, n, diag));
    if (X509_check_private_key(leaf, pkey) != 1)
        return diag_fail(diag, TM_EINVAL, "RFC 7292", "key",
                         "the private key does not belong to the first certificate");
    /* A cipher for a PBE means PBES2 with PBKDF2 and HMAC-SHA256 to OpenSSL; the MAC's hash is SHA-256 by default. */
    TM_CLEANUP(pfx_free)
    PKCS12 *pfx = PKCS12_create(passphrase, name, pkey, leaf, rest, NID_aes_256_cbc, NID_aes_256_cbc,
                                PKCS12_ITERATIONS, PKCS12_ITERATIONS, 0);
    if (!pfx)
        return diag_fail(diag, TM_ECRYPTO, NULL, NULL, "OpenSSL could not build the PKCS#12 file");
    return append(out, pfx);
}

tm_err pkcs12_build(struct buf *out, struct slice key, const struct slice *chain, size_t n,
                    struct slice passphrase, const char *name, struct diag *diag)
{
    struct secret z;
    if (n == 0 || n > PKCS12_CHAIN_MAX)
        return diag_fail(diag, TM_EINVAL, NULL, "chain", "1 to %d certificates are wanted", PKCS12_CHAIN_MAX);
    if (key.n == 0 || key.n > INT_MAX)
        return diag_fail(diag, TM_EMALFORMED, NULL, "key", "no private key");
    if (passphrase.n == 0 || memchr(passphrase.p, 0, passphrase.n))
        return diag_fail(diag, TM_EINVAL, NULL, "passphrase", "the passphrase is empty or has a NUL");
    TM_TRY(secret_copy(&z, passphrase));
    tm_err e = build(out, key, chain, n, (const char *)z.p, name, diag);
    secret_done(&z);
    ERR_clear_error();
    return e;
}
