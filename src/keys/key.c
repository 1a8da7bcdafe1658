#include "keys/key.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "keys/internal.h"
#include "keys/pubkey.h"
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>

/* A context set up for one signature algorithm; used by one thread at a time. */
struct sign_ctx {
    struct sign_ctx *next;
    EVP_PKEY_CTX *ctx;
};

struct key {
    EVP_PKEY *pkey;
    enum key_alg alg;
    unsigned bits;
    uint8_t *spki;
    size_t spki_n;
    pthread_mutex_t mutex;
    struct sign_ctx *idle[SIG_ALG_COUNT]; /* contexts that nobody uses just now */
};

static tm_err crypto_fail(struct diag *diag, const char *what)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    ERR_clear_error();
    return diag_fail(diag, TM_ECRYPTO, NULL, NULL, "%s: %s", what,
                     reason ? reason : "the crypto library failed");
}

/* ---- making and releasing ---- */

static tm_err key_from_evp(struct key **ret, EVP_PKEY *pkey, struct diag *diag)
{
    struct key *k = calloc(1, sizeof *k);
    if (!k) {
        EVP_PKEY_free(pkey);
        return TM_ENOMEM;
    }
    pthread_mutex_init(&k->mutex, NULL);
    k->pkey = pkey;
    int n = i2d_PUBKEY(pkey, &k->spki);
    if (n <= 0) {
        key_free(k);
        return crypto_fail(diag, "the public key cannot be encoded");
    }
    k->spki_n = (size_t)n;
    struct spki spki;
    struct pubkey_info info;
    tm_err err = spki_parse(&spki, key_spki(k), diag);
    if (err == TM_OK)
        err = pubkey_info(&info, &spki, diag);
    if (err != TM_OK) {
        key_free(k);
        return err;
    }
    k->alg = info.alg;
    k->bits = info.bits;
    *ret = k;
    return TM_OK;
}

tm_err key_generate(struct key **ret, enum key_alg alg, unsigned bits, struct diag *diag)
{
    const struct key_alg_info *info = key_alg_info(alg);
    bool size_good = alg == KEY_ALG_RSA ? bits == 2048 || bits == 3072 || bits == 4096
                                        : info && (bits == 0 || bits == info->bits);
    if (!info || !size_good)
        return diag_fail(diag, TM_EUNSUPPORTED, NULL, NULL, "there is no %s key of %u bits",
                         info ? info->name : "such", bits);
    EVP_PKEY *pkey;
    if (alg == KEY_ALG_RSA)
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);
    else if (info->openssl_group)
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", info->openssl_group);
    else
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, info->openssl_name);
    if (!pkey)
        return crypto_fail(diag, "the key cannot be generated");
    return key_from_evp(ret, pkey, diag);
}

void key_free(struct key *k)
{
    if (!k)
        return;
    for (unsigned i = 0; i < SIG_ALG_COUNT; i++) {
        while (k->idle[i]) {
            struct sign_ctx *c = k->idle[i];
            k->idle[i] = c->next;
            EVP_PKEY_CTX_free(c->ctx);
            free(c);
        }
    }
    pthread_mutex_destroy(&k->mutex);
    EVP_PKEY_free(k->pkey);
    OPENSSL_free(k->spki);
    free(k);
}

enum key_alg key_alg(const struct key *k)
{
    return k->alg;
}

unsigned key_bits(const struct key *k)
{
    return k->bits;
}

struct slice key_spki(const struct key *k)
{
    return slice_of(k->spki, k->spki_n);
}

EVP_PKEY *key_evp(const struct key *k)
{
    return k->pkey;
}

/* ---- signing ---- */

static bool ctx_setup_rsa(EVP_PKEY_CTX *ctx, const struct sig_alg_info *info)
{
    if (EVP_PKEY_sign_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(ctx, info->pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) != 1)
        return false;
    char digest[16];
    strncpy(digest, info->digest, sizeof digest - 1);
    digest[sizeof digest - 1] = '\0';
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_PKEY_CTX_set_params(ctx, params) == 1 &&
           (!info->pss || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

/* For algorithms that hash by themselves. */
static bool ctx_setup_whole(EVP_PKEY_CTX *ctx, enum key_alg alg)
{
    EVP_SIGNATURE *method = EVP_SIGNATURE_fetch(NULL, key_alg_info(alg)->openssl_name, NULL);
    bool good = method && EVP_PKEY_sign_message_init(ctx, method, NULL) == 1;
    EVP_SIGNATURE_free(method);
    return good;
}

static struct sign_ctx *ctx_take(struct key *k, enum sig_alg alg)
{
    pthread_mutex_lock(&k->mutex);
    struct sign_ctx *c = k->idle[alg];
    if (c)
        k->idle[alg] = c->next;
    pthread_mutex_unlock(&k->mutex);
    if (c)
        return c;

    const struct sig_alg_info *info = sig_alg_info(alg);
    c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    bool good = c->ctx && (!info->digest           ? ctx_setup_whole(c->ctx, k->alg)
                           : k->alg == KEY_ALG_RSA ? ctx_setup_rsa(c->ctx, info)
                                                   : EVP_PKEY_sign_init(c->ctx) == 1);
    if (!good) {
        EVP_PKEY_CTX_free(c->ctx);
        free(c);
        return NULL;
    }
    return c;
}

static void ctx_give_back(struct key *k, enum sig_alg alg, struct sign_ctx *c)
{
    pthread_mutex_lock(&k->mutex);
    c->next = k->idle[alg];
    k->idle[alg] = c;
    pthread_mutex_unlock(&k->mutex);
}

/* Contexts go back for the next signature; one that failed does not. */
static tm_err sign_with_ctx(uint8_t *out, size_t *ret_n, struct key *k, enum sig_alg alg, struct slice input,
                            struct diag *diag)
{
    struct sign_ctx *c = ctx_take(k, alg);
    if (!c)
        return crypto_fail(diag, "the key cannot be set up for signing");
    /* Never asked for the size first: that is a full signature for ML-DSA. */
    size_t n = KEY_SIGNATURE_MAX;
    if (EVP_PKEY_sign(c->ctx, out, &n, input.p, input.n) != 1) {
        EVP_PKEY_CTX_free(c->ctx);
        free(c);
        return crypto_fail(diag, "signing failed");
    }
    ctx_give_back(k, alg, c);
    *ret_n = n;
    return TM_OK;
}

/* ML-DSA of a message that somebody else has reduced to mu. Rare, so nothing is kept for it. */
static tm_err sign_mu(uint8_t *out, size_t *ret_n, const struct key *k, struct slice mu, struct diag *diag)
{
    int yes = 1;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_MU, &yes),
                           OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    EVP_SIGNATURE *method = EVP_SIGNATURE_fetch(NULL, key_alg_info(k->alg)->openssl_name, NULL);
    size_t n = KEY_SIGNATURE_MAX;
    bool good = ctx && method && EVP_PKEY_sign_message_init(ctx, method, params) == 1 &&
                EVP_PKEY_sign(ctx, out, &n, mu.p, mu.n) == 1;
    EVP_SIGNATURE_free(method);
    EVP_PKEY_CTX_free(ctx);
    *ret_n = n;
    return good ? TM_OK : crypto_fail(diag, "signing failed");
}

tm_err key_sign_digest(uint8_t *out, size_t *ret_n, struct key *k, enum sig_alg alg, struct slice digest,
                       struct diag *diag)
{
    const struct sig_alg_info *info = sig_alg_info(alg);
    if (!info || !sig_alg_fits(alg, k->alg) || k->alg == KEY_ALG_ED25519 || k->alg == KEY_ALG_ED448)
        return diag_fail(diag, TM_EUNSUPPORTED, NULL, NULL, "an %s key cannot sign a digest",
                         key_alg_info(k->alg)->title);
    return info->digest ? sign_with_ctx(out, ret_n, k, alg, digest, diag)
                        : sign_mu(out, ret_n, k, digest, diag);
}

tm_err key_sign_raw(uint8_t *out, size_t *ret_n, struct key *k, enum sig_alg alg, struct slice message,
                    const uint8_t *sha256, struct diag *diag)
{
    const struct sig_alg_info *info = sig_alg_info(alg);
    if (!info || !sig_alg_fits(alg, k->alg))
        return diag_fail(diag, TM_EUNSUPPORTED, NULL, NULL, "an %s key cannot sign with %s",
                         key_alg_info(k->alg)->title, info ? info->name : "that algorithm");
    uint8_t digest[KEY_DIGEST_MAX];
    struct slice input = message;
    if (info->digest && sha256 && strcmp(info->digest, "SHA2-256") == 0) {
        input = slice_of(sha256, SHA256_LEN);
    } else if (info->digest) {
        size_t n;
        TM_TRY(keys_digest(digest, &n, info->digest, message));
        input = slice_of(digest, n);
    }
    return sign_with_ctx(out, ret_n, k, alg, input, diag);
}

tm_err key_sign(struct buf *out, struct key *k, enum sig_alg alg, struct slice message, struct diag *diag)
{
    uint8_t signature[KEY_SIGNATURE_MAX];
    size_t n = 0;
    TM_TRY(key_sign_raw(signature, &n, k, alg == SIG_ALG_NONE ? sig_alg_default(k->alg) : alg, message, NULL,
                        diag));
    buf_put(out, signature, n);
    return buf_err(out);
}

/* ---- in and out ---- */

tm_err key_export_pkcs8(struct secret *ret, const struct key *k)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(k->pkey);
    int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
    tm_err err = TM_ECRYPTO;
    if (n > 0)
        err = secret_init(ret, (size_t)n);
    if (err == TM_OK) {
        uint8_t *p = ret->p;
        if (i2d_PKCS8_PRIV_KEY_INFO(info, &p) != n) {
            secret_done(ret);
            err = TM_ECRYPTO;
        }
    }
    PKCS8_PRIV_KEY_INFO_free(info);
    ERR_clear_error();
    return err;
}

struct ask {
    const struct secret *passphrase;
    bool asked;
};

static int give_passphrase(char *out, size_t size, size_t *ret_n, const OSSL_PARAM params[], void *arg)
{
    struct ask *ask = arg;
    (void)params;
    ask->asked = true;
    if (!ask->passphrase || ask->passphrase->n > size)
        return 0;
    if (ask->passphrase->n)
        memcpy(out, ask->passphrase->p, ask->passphrase->n);
    *ret_n = ask->passphrase->n;
    return 1;
}

enum { KEY_FILE_MAX = 64 << 10 };

tm_err key_import(struct key **ret, struct slice bytes, const struct secret *passphrase, struct diag *diag)
{
    if (bytes.n > KEY_FILE_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, NULL, "a private key file has at most %d bytes",
                         KEY_FILE_MAX);
    EVP_PKEY *pkey = NULL;
    struct ask ask = {.passphrase = passphrase};
    OSSL_DECODER_CTX *ctx =
        OSSL_DECODER_CTX_new_for_pkey(&pkey, NULL, NULL, NULL, OSSL_KEYMGMT_SELECT_PRIVATE_KEY, NULL, NULL);
    const unsigned char *p = bytes.p;
    size_t n = bytes.n;
    bool good = ctx && OSSL_DECODER_CTX_set_passphrase_cb(ctx, give_passphrase, &ask) == 1 && n &&
                OSSL_DECODER_from_data(ctx, &p, &n) == 1 && pkey;
    OSSL_DECODER_CTX_free(ctx);
    ERR_clear_error();
    if (good)
        return key_from_evp(ret, pkey, diag);
    EVP_PKEY_free(pkey);
    if (ask.asked)
        return diag_fail(diag, TM_ELOCKED, NULL, NULL,
                         passphrase ? "the passphrase is wrong" : "the key needs a passphrase");
    return diag_fail(diag, TM_EMALFORMED, NULL, NULL, "not a private key in PKCS#8, SEC1 or PKCS#1 form");
}
