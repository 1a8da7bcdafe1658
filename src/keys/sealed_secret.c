#include "keys/sealed_secret.h"
#include "base/buf.h"
#include "base/digest.h"
#include "der/builder.h"
#include "der/reader.h"
#include "keys/internal.h"
#include "keys/key.h"
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

enum { VERSION = 1, NONCE = 12, TAG = 16, KEY = 32, AT_NONCE = 1, AT_TEXT = AT_NONCE + NONCE };

tm_err sealed_secret_request(struct buf *out, struct slice record, bool open, struct slice secret)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put(&b, DER_OCTET_STRING, record);
    der_put(&b, DER_CONTEXT(open ? 1 : 0), secret);
    der_close(&b);
    return der_builder_finish(&b);
}

static tm_err request_read(struct slice *ret_record, struct slice *ret_secret, bool *ret_open,
                           struct slice request, struct diag *diag)
{
    struct der_reader r, seq;
    der_reader_init(&r, request, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_end(&r));
    TM_TRY(der_read(&seq, DER_OCTET_STRING, ret_record));
    *ret_open = der_peek(&seq) == DER_CONTEXT(1);
    TM_TRY(der_read(&seq, *ret_open ? DER_CONTEXT(1) : DER_CONTEXT(0), ret_secret));
    TM_TRY(der_end(&seq));
    size_t least = *ret_open ? AT_TEXT + TAG + 1 : 1, most = *ret_open ? SEALED_MAX : SECRET_MAX;
    if (ret_record->n == 0 || ret_record->n > SECRET_RECORD_MAX || ret_secret->n < least ||
        ret_secret->n > most)
        return diag_fail(diag, TM_EMALFORMED, "signer.secret", NULL, "no secret of a record");
    return TM_OK;
}

static tm_err key_of(uint8_t ret[KEY], const struct key *k, struct diag *diag)
{
    uint8_t raw[KEY];
    size_t n = sizeof raw;
    if (key_alg(k) != KEY_ALG_ED25519)
        return diag_fail(diag, TM_EINVAL, "signer.secret", NULL, "a key for secrets is an Ed25519 one");
    tm_err e = EVP_PKEY_get_raw_private_key(key_evp(k), raw, &n) == 1 && n == KEY ? TM_OK : TM_ECRYPTO;
    if (e == TM_OK)
        e = hmac_sha256(ret, SLICE_ARR(raw), SLICE_LIT("touchmark-secrets-v1"));
    OPENSSL_cleanse(raw, sizeof raw);
    return e;
}

static bool begin(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *c, bool open, const uint8_t *key,
                  const uint8_t *nonce, struct slice record)
{
    static const char label[] = "touchmark-secret-v1"; /* with its NUL */
    int n;
    return EVP_CipherInit_ex2(ctx, c, key, nonce, !open, NULL) == 1 &&
           EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)label, sizeof label) == 1 &&
           EVP_CipherUpdate(ctx, NULL, &n, record.p, (int)record.n) == 1;
}

static bool seal(uint8_t *out, size_t *ret_n, EVP_CIPHER_CTX *ctx, const EVP_CIPHER *c, const uint8_t *key,
                 struct slice record, struct slice plain)
{
    int n = 0, last = 0;
    out[0] = VERSION;
    bool good = random_bytes(out + AT_NONCE, NONCE) == TM_OK &&
                begin(ctx, c, false, key, out + AT_NONCE, record) &&
                EVP_CipherUpdate(ctx, out + AT_TEXT, &n, plain.p, (int)plain.n) == 1 &&
                EVP_CipherFinal_ex(ctx, out + AT_TEXT + n, &last) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, out + AT_TEXT + plain.n) == 1;
    *ret_n = AT_TEXT + plain.n + TAG;
    return good;
}

static bool unseal(uint8_t *out, size_t *ret_n, EVP_CIPHER_CTX *ctx, const EVP_CIPHER *c, const uint8_t *key,
                   struct slice record, struct slice sealed)
{
    size_t text = sealed.n - AT_TEXT - TAG;
    uint8_t tag[TAG];
    int n = 0, last = 0;
    memcpy(tag, sealed.p + AT_TEXT + text, TAG);
    *ret_n = text;
    return sealed.p[0] == VERSION && begin(ctx, c, true, key, sealed.p + AT_NONCE, record) &&
           EVP_CipherUpdate(ctx, out, &n, sealed.p + AT_TEXT, (int)text) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1 &&
           EVP_CipherFinal_ex(ctx, out + n, &last) == 1;
}

tm_err sealed_secret_answer(uint8_t out[SEALED_MAX], size_t *ret_n, bool *ret_open, const struct key *k,
                            struct slice request, struct diag *diag)
{
    struct slice record, secret;
    uint8_t key[KEY];
    TM_TRY(request_read(&record, &secret, ret_open, request, diag));
    TM_TRY(key_of(key, k, diag));
    EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    size_t n = 0;
    bool good = c && ctx &&
                (*ret_open ? unseal(out, &n, ctx, c, key, record, secret)
                           : seal(out, &n, ctx, c, key, record, secret));
    bool ready = c && ctx;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(c);
    OPENSSL_cleanse(key, sizeof key);
    if (good) {
        *ret_n = n;
        return TM_OK;
    }
    OPENSSL_cleanse(out, SEALED_MAX);
    ERR_clear_error();
    if (!ready || !*ret_open)
        return TM_ECRYPTO;
    return diag_fail(diag, TM_EDENIED, "signer.secret", NULL,
                     "sealed by another key than this house's, or for another record");
}
