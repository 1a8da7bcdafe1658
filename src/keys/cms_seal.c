/* EnvelopedData by the library: it has all the key transport and agreement schemes, and nothing here is on the issuing path. */
#include "base/buf.h"
#include "der/oid.h"
#include "keys/cms.h"
#include <openssl/cms.h>
#include <openssl/err.h>
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

tm_err cms_seal(struct buf *out, struct slice recipient, enum oid cipher, bool oaep, enum oid content_type,
                struct slice content, struct diag *diag)
{
    const uint8_t *p = recipient.p;
    X509 *cert = d2i_X509(NULL, &p, (long)recipient.n);
    EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, cipher == OID_AES128_CBC ? "AES-128-CBC" : "AES-256-CBC", NULL);
    BIO *in = BIO_new_mem_buf(content.p, (int)content.n);
    CMS_ContentInfo *cms = c ? CMS_encrypt(NULL, NULL, c, CMS_PARTIAL | CMS_BINARY) : NULL;
    ASN1_OBJECT *type = OBJ_txt2obj(oid_dotted(content_type), 1);
    bool good = cert && in && cms && type && CMS_set1_eContentType(cms, type) == 1 &&
                add_recipient(cms, cert, oaep) && CMS_final(cms, in, NULL, CMS_BINARY) == 1 &&
                encode(out, cms);
    ASN1_OBJECT_free(type);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    EVP_CIPHER_free(c);
    X509_free(cert);
    return good ? TM_OK : failed(diag);
}
