/* EnvelopedData by the library: it has all the key transport and agreement schemes, and nothing here is on the issuing path. */
#include "base/arena.h"
#include "base/buf.h"
#include "der/oid.h"
#include "der/reader.h"
#include "keys/cms.h"
#include <limits.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

static tm_err failed(struct diag *diag)
{
    ERR_clear_error();
    return diag_fail(diag, TM_EUNSUPPORTED, "RFC 5652 6", "recipient",
                     "the message can't be encrypted to this certificate's key");
}

static bool add_recipient(CMS_ContentInfo *cms, X509 *cert, bool oaep)
{
    CMS_RecipientInfo *ri = CMS_add1_recipient_cert(cms, cert, CMS_KEY_PARAM);
    if (!ri)
        return false;
    EVP_PKEY_CTX *ctx = CMS_RecipientInfo_get0_pkey_ctx(ri);
    if (!oaep || !ctx || CMS_RecipientInfo_type(ri) != CMS_RECIPINFO_TRANS)
        return true;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, "SHA2-256", NULL) > 0;
}

static bool encode(struct buf *out, CMS_ContentInfo *cms)
{
    int n = i2d_CMS_ContentInfo(cms, NULL);
    uint8_t *p = n > 0 ? buf_extend(out, (size_t)n) : NULL;
    return p && i2d_CMS_ContentInfo(cms, &p) == n;
}

static const struct {
    enum oid id;
    const char *name;
    size_t key, iv;
    bool legacy;
} ciphers[] = {
    {OID_AES128_CBC, "AES-128-CBC", 16, 16, false},
    {OID_AES192_CBC, "AES-192-CBC", 24, 16, false},
    {OID_AES256_CBC, "AES-256-CBC", 32, 16, false},
    {OID_DES_EDE3_CBC, "DES-EDE3-CBC", 24, 8, true},
};
enum { CIPHERS = sizeof ciphers / sizeof *ciphers };

static size_t cipher_index(enum oid id)
{
    size_t i = 0;
    while (i < CIPHERS && ciphers[i].id != id)
        i++;
    return i;
}

size_t cms_cipher_key(enum oid cipher, bool *ret_legacy)
{
    size_t i = cipher_index(cipher);
    *ret_legacy = i < CIPHERS && ciphers[i].legacy;
    return i < CIPHERS ? ciphers[i].key : 0;
}

/* CBCParameter ::= IV, an OCTET STRING (RFC 3565 2.3, RFC 3370 5.1) */
tm_err cms_open(struct slice *ret, struct arena *a, const struct algid *cipher, struct slice key,
                struct slice encrypted)
{
    struct der_reader r;
    struct slice iv;
    size_t i = cipher_index(cipher->id);
    der_reader_init(&r, cipher->params, NULL);
    if (i == CIPHERS || key.n != ciphers[i].key || der_read(&r, DER_OCTET_STRING, &iv) != TM_OK ||
        iv.n != ciphers[i].iv || encrypted.n == 0 || encrypted.n > INT_MAX || encrypted.n % iv.n != 0)
        return TM_EBADSIG;
    uint8_t *out = arena_alloc(a, encrypted.n + EVP_MAX_BLOCK_LENGTH);
    EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, ciphers[i].name, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, last = 0;
    bool good = out && c && ctx && EVP_DecryptInit_ex2(ctx, c, key.p, iv.p, NULL) == 1 &&
                EVP_DecryptUpdate(ctx, out, &n, encrypted.p, (int)encrypted.n) == 1 &&
                EVP_DecryptFinal_ex(ctx, out + n, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(c);
    ERR_clear_error();
    if (!out)
        return TM_ENOMEM;
    *ret = slice_of(out, good ? (size_t)(n + last) : 0);
    return good ? TM_OK : TM_EBADSIG;
}

static bool add_password(CMS_ContentInfo *cms, struct slice password)
{
    enum { ITERATIONS = 100000 };
    /* The library takes the password over. */
    unsigned char *copy = password.n ? OPENSSL_memdup(password.p, password.n) : NULL;
    if (!copy)
        return false;
    return CMS_add0_recipient_password(cms, ITERATIONS, NID_id_alg_PWRI_KEK, NID_id_pbkdf2, copy,
                                       (ossl_ssize_t)password.n, EVP_aes_256_cbc()) != NULL;
}

/* For the holder of `recipient`, or where that is empty for who knows `password`. */
static tm_err seal(struct buf *out, struct slice recipient, struct slice password, enum oid cipher, bool oaep,
                   enum oid content_type, struct slice content, struct diag *diag)
{
    const uint8_t *p = recipient.p;
    size_t i = cipher_index(cipher);
    X509 *cert = recipient.n ? d2i_X509(NULL, &p, (long)recipient.n) : NULL;
    EVP_CIPHER *c = i < CIPHERS ? EVP_CIPHER_fetch(NULL, ciphers[i].name, NULL) : NULL;
    BIO *in = BIO_new_mem_buf(content.p, (int)content.n);
    CMS_ContentInfo *cms = c ? CMS_encrypt(NULL, NULL, c, CMS_PARTIAL | CMS_BINARY) : NULL;
    ASN1_OBJECT *type = OBJ_txt2obj(oid_dotted(content_type), 1);
    bool good = in && cms && type && CMS_set1_eContentType(cms, type) == 1 &&
                (recipient.n ? cert && add_recipient(cms, cert, oaep) : add_password(cms, password)) &&
                CMS_final(cms, in, NULL, CMS_BINARY) == 1 && encode(out, cms);
    ASN1_OBJECT_free(type);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    EVP_CIPHER_free(c);
    X509_free(cert);
    return good ? TM_OK : failed(diag);
}

tm_err cms_seal(struct buf *out, struct slice recipient, enum oid cipher, bool oaep, enum oid content_type,
                struct slice content, struct diag *diag)
{
    return recipient.n ? seal(out, recipient, (struct slice){0}, cipher, oaep, content_type, content, diag)
                       : failed(diag);
}

tm_err cms_seal_password(struct buf *out, struct slice password, enum oid cipher, enum oid content_type,
                         struct slice content, struct diag *diag)
{
    return seal(out, (struct slice){0}, password, cipher, false, content_type, content, diag);
}
