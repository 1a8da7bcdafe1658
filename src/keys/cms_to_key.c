/* EnvelopedData for a key that has no certificate yet, with the content-encryption key at hand: who has to know what is inside of a message can
 * be shown it (docs/adr/0008). The library's CMS does neither. */
#include "base/buf.h"
#include "base/digest.h"
#include "der/builder.h"
#include "der/oid.h"
#include "der/reader.h"
#include "keys/cms.h"
#include "keys/pubkey.h"
#include <limits.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

enum {
    IV_LEN = 16,
    KEK_LEN = 32,
    WRAPPED_LEN = CMS_KEY_LEN + 8,
    RSA_MAX = 1024,
    POINT_MAX = 133,
    SHARED_INFO_MAX = 64
};

struct recipient {
    EVP_PKEY *key;
    bool rsa;
    struct slice issuer_serial; /* IssuerAndSerialNumber TLV; empty: by key_id */
    uint8_t key_id[20];
    uint8_t encrypted[RSA_MAX]; /* the content-encryption key */
    size_t encrypted_n;
    uint8_t point[POINT_MAX]; /* the ephemeral key's, EC only */
    size_t point_n;
};

static tm_err failed(struct diag *diag)
{
    ERR_clear_error();
    return diag_fail(diag, TM_ECRYPTO, "RFC 5652 6", "recipient", "nothing could be encrypted to this key");
}

tm_err cms_key_takes(const struct spki *key, bool *ret_rsa, struct diag *diag)
{
    struct pubkey_info info;
    TM_TRY(pubkey_info(&info, key, diag));
    *ret_rsa = info.alg == KEY_ALG_RSA;
    if (*ret_rsa || (info.alg >= KEY_ALG_EC_P256 && info.alg <= KEY_ALG_EC_P521))
        return TM_OK;
    return diag_fail(diag, TM_EUNSUPPORTED, "RFC 5652 6", "subjectPublicKey",
                     "nothing can be encrypted to a key of this kind; RSA and ECDH are done here");
}

/* ---- the content-encryption key, to the recipient ---- */

static EVP_PKEY *load(const struct spki *key)
{
    const uint8_t *p = key->der.p;
    return key->der.n <= LONG_MAX ? d2i_PUBKEY(NULL, &p, (long)key->der.n) : NULL;
}

static bool rsa_encrypt(uint8_t *out, size_t *n, EVP_PKEY *key, bool oaep, struct slice in)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool good = ctx && EVP_PKEY_encrypt_init(ctx) > 0 &&
                EVP_PKEY_CTX_set_rsa_padding(ctx, oaep ? RSA_PKCS1_OAEP_PADDING : RSA_PKCS1_PADDING) > 0 &&
                (!oaep || (EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, "SHA2-256", NULL) > 0 &&
                           EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, "SHA2-256", NULL) > 0)) &&
                EVP_PKEY_encrypt(ctx, out, n, in.p, in.n) > 0;
    EVP_PKEY_CTX_free(ctx);
    return good;
}

/* KeyWrapAlgorithm: AES-256 (RFC 3394, RFC 3565 2.3.2), without parameters. */
static void put_wrap_alg(struct der_builder *b)
{
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid_contents(OID_AES256_WRAP));
    der_close(b);
}

/* ECC-CMS-SharedInfo ::= SEQUENCE { keyInfo AlgorithmIdentifier, entityUInfo [0] EXPLICIT OCTET STRING OPTIONAL,
 *                                   suppPubInfo [2] EXPLICIT OCTET STRING } (RFC 5753 7.2): the length of the wrapping key in bits */
static tm_err shared_info(struct buf *out)
{
    static const uint8_t bits[] = {0, 0, KEK_LEN * 8 >> 8, KEK_LEN * 8 & 0xff};
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    put_wrap_alg(&b);
    der_open(&b, DER_CONTEXT_CONS(2));
    der_put(&b, DER_OCTET_STRING, SLICE_ARR(bits));
    der_close(&b);
    der_close(&b);
    return der_builder_finish(&b);
}

/* Standard ECDH with an ephemeral key, the X9.63 key derivation with SHA-256 (RFC 5753 3.1). */
static bool agree(uint8_t kek[KEK_LEN], EVP_PKEY *ephemeral, EVP_PKEY *peer, struct slice info)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ephemeral, NULL);
    EVP_MD *md = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    /* The library takes the octets over. */
    unsigned char *ukm = OPENSSL_memdup(info.p, info.n);
    size_t n = KEK_LEN;
    bool good = ctx && md && ukm && EVP_PKEY_derive_init(ctx) > 0 &&
                EVP_PKEY_CTX_set_ecdh_kdf_type(ctx, EVP_PKEY_ECDH_KDF_X9_63) > 0 &&
                EVP_PKEY_CTX_set_ecdh_kdf_md(ctx, md) > 0 &&
                EVP_PKEY_CTX_set_ecdh_kdf_outlen(ctx, KEK_LEN) > 0;
    if (good && EVP_PKEY_CTX_set0_ecdh_kdf_ukm(ctx, ukm, (int)info.n) > 0)
        ukm = NULL;
    good = good && !ukm && EVP_PKEY_derive_set_peer(ctx, peer) > 0 && EVP_PKEY_derive(ctx, kek, &n) > 0 &&
           n == KEK_LEN;
    OPENSSL_free(ukm);
    EVP_MD_free(md);
    EVP_PKEY_CTX_free(ctx);
    return good;
}

static bool wrap(uint8_t out[WRAPPED_LEN], const uint8_t kek[KEK_LEN], const uint8_t key[CMS_KEY_LEN])
{
    EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, "AES-256-WRAP", NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0;
    if (ctx)
        EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    bool good = c && ctx && EVP_EncryptInit_ex2(ctx, c, kek, NULL, NULL) == 1 &&
                EVP_EncryptUpdate(ctx, out, &n, key, CMS_KEY_LEN) == 1 && n == WRAPPED_LEN;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(c);
    return good;
}

static EVP_PKEY *ephemeral_for(EVP_PKEY *peer)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, peer, NULL);
    if (!ctx || EVP_PKEY_keygen_init(ctx) <= 0 || EVP_PKEY_keygen(ctx, &key) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static bool ec_encrypt(struct recipient *r, const uint8_t key[CMS_KEY_LEN])
{
    uint8_t kek[KEK_LEN];
    unsigned char *point = NULL;
    struct buf info;
    buf_init(&info, SHARED_INFO_MAX);
    EVP_PKEY *mine = ephemeral_for(r->key);
    r->point_n = mine ? EVP_PKEY_get1_encoded_public_key(mine, &point) : 0;
    bool good = r->point_n > 0 && r->point_n <= POINT_MAX && shared_info(&info) == TM_OK &&
                agree(kek, mine, r->key, buf_slice(&info)) && wrap(r->encrypted, kek, key);
    if (good)
        memcpy(r->point, point, r->point_n);
    r->encrypted_n = WRAPPED_LEN;
    OPENSSL_cleanse(kek, sizeof kek);
    OPENSSL_free(point);
    EVP_PKEY_free(mine);
    buf_done(&info);
    return good;
}

static bool encrypt_key(struct recipient *r, const uint8_t key[CMS_KEY_LEN])
{
    r->encrypted_n = sizeof r->encrypted;
    return r->rsa ? rsa_encrypt(r->encrypted, &r->encrypted_n, r->key, true, slice_of(key, CMS_KEY_LEN))
                  : ec_encrypt(r, key);
}

/* ---- structures ---- */

static void put_hash_alg(struct der_builder *b)
{
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid_contents(OID_SHA256));
    der_put_null(b); /* RFC 4055 2.1 */
    der_close(b);
}

/* RSAES-OAEP-params ::= SEQUENCE { hashFunc [0] AlgorithmIdentifier, maskGenFunc [1] AlgorithmIdentifier, pSourceFunc [2] … DEFAULT } */
static void put_oaep(struct der_builder *b)
{
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid_contents(OID_RSA_OAEP));
    der_open(b, DER_SEQUENCE);
    der_open(b, DER_CONTEXT_CONS(0));
    put_hash_alg(b);
    der_close(b);
    der_open(b, DER_CONTEXT_CONS(1));
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid_contents(OID_MGF1));
    put_hash_alg(b);
    der_close(b);
    der_close(b);
    der_close(b);
    der_close(b);
}

/* KeyTransRecipientInfo ::= SEQUENCE { version, rid CHOICE { issuerAndSerialNumber, subjectKeyIdentifier [0] }, keyEncryptionAlgorithm,
 *                                      encryptedKey OCTET STRING } (RFC 5652 6.2.1) */
static void put_transport(struct der_builder *b, const struct recipient *r)
{
    der_open(b, DER_SEQUENCE);
    der_put_uint(b, r->issuer_serial.n ? 0 : 2);
    if (r->issuer_serial.n)
        der_put_tlv(b, r->issuer_serial);
    else
        der_put(b, DER_CONTEXT(0), SLICE_ARR(r->key_id));
    put_oaep(b);
    der_put(b, DER_OCTET_STRING, slice_of(r->encrypted, r->encrypted_n));
    der_close(b);
}

/* RecipientEncryptedKey ::= SEQUENCE { rid CHOICE { issuerAndSerialNumber, rKeyId [0] RecipientKeyIdentifier }, encryptedKey } */
static void put_encrypted_key(struct der_builder *b, const struct recipient *r)
{
    der_open(b, DER_SEQUENCE);
    if (r->issuer_serial.n) {
        der_put_tlv(b, r->issuer_serial);
    } else {
        der_open(b, DER_CONTEXT_CONS(0));
        der_put(b, DER_OCTET_STRING, SLICE_ARR(r->key_id));
        der_close(b);
    }
    der_put(b, DER_OCTET_STRING, slice_of(r->encrypted, r->encrypted_n));
    der_close(b);
}

/* KeyAgreeRecipientInfo ::= [1] SEQUENCE { version (3), originator [0] EXPLICIT CHOICE { …, originatorKey [1] OriginatorPublicKey },
 *     ukm [1] … OPTIONAL, keyEncryptionAlgorithm, recipientEncryptedKeys SEQUENCE OF } (RFC 5652 6.2.2, RFC 5753 3.1.1) */
static void put_agreement(struct der_builder *b, const struct recipient *r)
{
    der_open(b, DER_CONTEXT_CONS(1));
    der_put_uint(b, 3);
    der_open(b, DER_CONTEXT_CONS(0));
    der_open(b, DER_CONTEXT_CONS(1));
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid_contents(OID_EC_PUBLIC_KEY));
    der_close(b);
    der_put_bits(b, slice_of(r->point, r->point_n));
    der_close(b);
    der_close(b);
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid_contents(OID_STD_DH_SHA256_KDF));
    put_wrap_alg(b);
    der_close(b);
    der_open(b, DER_SEQUENCE);
    put_encrypted_key(b, r);
    der_close(b);
    der_close(b);
}

/* EncryptedContentInfo ::= SEQUENCE { contentType, contentEncryptionAlgorithm, encryptedContent [0] IMPLICIT OCTET STRING } */
static tm_err put_content(struct der_builder *b, const uint8_t key[CMS_KEY_LEN], struct slice content)
{
    uint8_t iv[IV_LEN];
    struct buf out;
    TM_TRY(random_bytes(iv, sizeof iv));
    buf_init(&out, content.n + EVP_MAX_BLOCK_LENGTH);
    uint8_t *p = content.n < INT_MAX ? buf_extend(&out, content.n + EVP_MAX_BLOCK_LENGTH) : NULL;
    EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, last = 0;
    bool good = p && c && ctx && EVP_EncryptInit_ex2(ctx, c, key, iv, NULL) == 1 &&
                EVP_EncryptUpdate(ctx, p, &n, content.p, (int)content.n) == 1 &&
                EVP_EncryptFinal_ex(ctx, p + n, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(c);
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid_contents(OID_DATA));
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid_contents(OID_AES256_CBC));
    der_put(b, DER_OCTET_STRING, SLICE_ARR(iv));
    der_close(b);
    der_put(b, DER_CONTEXT(0), slice_of(p, good ? (size_t)(n + last) : 0));
    der_close(b);
    buf_done(&out);
    return good ? TM_OK : TM_ECRYPTO;
}

/* EnvelopedData ::= SEQUENCE { version, recipientInfos SET OF, encryptedContentInfo } (RFC 5652 6.1) */
static tm_err put_enveloped(struct buf *out, const struct recipient *r, const uint8_t key[CMS_KEY_LEN],
                            struct slice content)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put_uint(&b, r->rsa && r->issuer_serial.n ? 0 : 2);
    der_open(&b, DER_SET);
    if (r->rsa)
        put_transport(&b, r);
    else
        put_agreement(&b, r);
    der_close(&b);
    TM_TRY(put_content(&b, key, content));
    der_close(&b);
    return der_builder_finish(&b);
}

tm_err cms_seal_to_key(struct buf *out, uint8_t ret_key[CMS_KEY_LEN], const struct spki *to,
                       struct slice issuer_serial, struct slice content, struct diag *diag)
{
    struct recipient r = {.issuer_serial = issuer_serial};
    TM_TRY(cms_key_takes(to, &r.rsa, diag));
    TM_TRY(spki_key_id(r.key_id, to));
    TM_TRY(random_bytes(ret_key, CMS_KEY_LEN));
    r.key = load(to);
    bool good = r.key && encrypt_key(&r, ret_key);
    tm_err e = good ? put_enveloped(out, &r, ret_key, content) : TM_ECRYPTO;
    EVP_PKEY_free(r.key);
    return e == TM_ECRYPTO ? failed(diag) : e;
}

tm_err cms_encrypt_to_key(struct buf *out, const struct spki *to, struct slice content, struct diag *diag)
{
    enum { PADDING_MIN = 11 }; /* RFC 8017 7.2.1 */
    bool rsa = false;
    TM_TRY(cms_key_takes(to, &rsa, diag));
    EVP_PKEY *key = rsa ? load(to) : NULL;
    size_t n = key ? (size_t)EVP_PKEY_get_size(key) : 0;
    tm_err e = !rsa ? TM_EUNSUPPORTED : !key ? TM_ECRYPTO : content.n + PADDING_MIN > n ? TM_ETOOBIG : TM_OK;
    uint8_t *p = e == TM_OK ? buf_extend(out, n) : NULL;
    if (e == TM_OK)
        e = !p ? buf_err(out) : rsa_encrypt(p, &n, key, false, content) ? TM_OK : TM_ECRYPTO;
    EVP_PKEY_free(key);
    return e == TM_ECRYPTO ? failed(diag) : e;
}
