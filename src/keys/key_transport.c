#include "keys/key_transport.h"
#include "base/buf.h"
#include "base/digest.h"
#include "der/builder.h"
#include "der/oid.h"
#include "der/reader.h"
#include "keys/internal.h"
#include "keys/key.h"
#include "x509/spki.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

enum { MODULUS_MAX = 1024 };

tm_err key_transport_request(struct buf *out, size_t key_length, struct slice algid,
                             struct slice encrypted_key)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put_uint(&b, key_length);
    der_put_tlv(&b, algid);
    der_put(&b, DER_OCTET_STRING, encrypted_key);
    der_close(&b);
    return der_builder_finish(&b);
}

struct request {
    uint64_t key_length;
    struct algid alg;
    struct slice encrypted;
    const char *oaep_hash, *mgf_hash; /* NULL: PKCS #1 v1.5 */
};

static const char *hash_name(const struct algid *a)
{
    static const struct {
        enum oid id;
        const char *name;
    } hashes[] = {
        {OID_SHA1, "SHA1"}, {OID_SHA256, "SHA2-256"}, {OID_SHA384, "SHA2-384"}, {OID_SHA512, "SHA2-512"}};
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        if (hashes[i].id == a->id)
            return hashes[i].name;
    return NULL;
}

/* RSAES-OAEP-params ::= SEQUENCE { hashFunc [0] AlgorithmIdentifier DEFAULT sha1, maskGenFunc [1] AlgorithmIdentifier DEFAULT mgf1SHA1,
 *                                  pSourceFunc [2] AlgorithmIdentifier DEFAULT pSpecifiedEmpty } (RFC 4055 4.1)
 * SHA-1 is the default and no weakness here: nothing rests on collisions. */
static tm_err oaep_params(struct request *q, struct diag *diag)
{
    struct der_reader r, params, part;
    struct algid hash, mgf, mgf_hash;
    bool present;
    q->oaep_hash = q->mgf_hash = "SHA1";
    if (q->alg.params.n == 0)
        return TM_OK;
    der_reader_init(&r, q->alg.params, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &params));
    TM_TRY(der_enter_optional(&params, DER_CONTEXT_CONS(0), &part, &present));
    if (present) {
        TM_TRY(algid_read(&hash, &part));
        TM_TRY(der_end(&part));
        q->oaep_hash = hash_name(&hash);
    }
    TM_TRY(der_enter_optional(&params, DER_CONTEXT_CONS(1), &part, &present));
    if (present) {
        TM_TRY(algid_read(&mgf, &part));
        TM_TRY(der_end(&part));
        TM_TRY(algid_parse(&mgf_hash, mgf.params, diag));
        q->mgf_hash = mgf.id == OID_MGF1 ? hash_name(&mgf_hash) : NULL;
    }
    if (!der_at_end(&params) || !q->oaep_hash || !q->mgf_hash)
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 4055 4.1", "keyEncryptionAlgorithm",
                         "OAEP with a label, or with other functions than MGF1 and SHA-1 to SHA-512");
    return der_end(&r);
}

static tm_err request_read(struct request *q, struct slice der, struct diag *diag)
{
    struct der_reader r, seq;
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_read_uint(&seq, &q->key_length));
    TM_TRY(algid_read(&q->alg, &seq));
    TM_TRY(der_read(&seq, DER_OCTET_STRING, &q->encrypted));
    TM_TRY(der_end(&seq));
    TM_TRY(der_end(&r));
    if (q->key_length < TRANSPORT_KEY_MIN || q->key_length > TRANSPORT_KEY_MAX)
        return diag_fail(diag, TM_EINVAL, "RFC 5652 6.2.1", "encryptedKey", "no key is so long");
    if (q->alg.id == OID_RSA)
        return TM_OK;
    if (q->alg.id == OID_RSA_OAEP)
        return oaep_params(q, diag);
    return diag_fail(diag, TM_EUNSUPPORTED, "RFC 5652 6.2.1", "keyEncryptionAlgorithm",
                     "keys come by RSA with PKCS #1 v1.5 or OAEP");
}

static EVP_PKEY_CTX *context(const struct key *k, const struct request *q)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key_evp(k), NULL);
    bool good = ctx && EVP_PKEY_decrypt_init(ctx) == 1;
    if (good && q->oaep_hash)
        good = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, q->oaep_hash, NULL) == 1 &&
               EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, q->mgf_hash, NULL) == 1;
    else if (good) /* implicit rejection is what OpenSSL does from 3.2 on unless it is told otherwise */
        good = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    if (good)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

tm_err key_transport_open(uint8_t out[TRANSPORT_KEY_MAX], size_t *ret_n, const struct key *k,
                          struct slice request, struct diag *diag)
{
    struct request q = {0};
    TM_TRY(request_read(&q, request, diag));
    if (key_alg(k) != KEY_ALG_RSA || q.encrypted.n != (key_bits(k) + 7) / 8 || q.encrypted.n > MODULUS_MAX)
        return diag_fail(diag, TM_EINVAL, "RFC 8017 7", "encryptedKey", "not encrypted to this key");
    uint8_t plain[MODULUS_MAX], otherwise[TRANSPORT_KEY_MAX];
    size_t n = sizeof plain;
    TM_TRY(random_bytes(otherwise, sizeof otherwise));
    memset(plain, 0, sizeof plain);
    EVP_PKEY_CTX *ctx = context(k, &q);
    if (!ctx)
        return diag_fail(diag, TM_ECRYPTO, NULL, NULL, "the key cannot be set up for decryption");
    int good = EVP_PKEY_decrypt(ctx, plain, &n, q.encrypted.p, q.encrypted.n) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    /* Which of the two it is depends on no branch. */
    uint8_t mask = (uint8_t)(0 - (uint8_t)(good & (n == q.key_length)));
    for (size_t i = 0; i < q.key_length; i++)
        out[i] = (uint8_t)((plain[i] & mask) | (otherwise[i] & (uint8_t)~mask));
    *ret_n = (size_t)q.key_length;
    explicit_bzero(plain, sizeof plain);
    explicit_bzero(otherwise, sizeof otherwise);
    return TM_OK;
}
