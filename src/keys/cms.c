#include "keys/cms.h"
#include "base/digest.h"
#include "der/oid.h"
#include "keys/internal.h"
#include "keys/pubkey.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

/* AlgorithmIdentifiers without parameters (RFC 5754 2), as they are written. */
static const uint8_t sha256_algid[] = {0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48,
                                       0x01, 0x65, 0x03, 0x04, 0x02, 0x01};
static const uint8_t sha384_algid[] = {0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48,
                                       0x01, 0x65, 0x03, 0x04, 0x02, 0x02};
static const uint8_t sha512_algid[] = {0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48,
                                       0x01, 0x65, 0x03, 0x04, 0x02, 0x03};

static const struct digest {
    enum oid id;
    const char *name;
    struct slice algid;
    enum sig_alg rsa; /* what rsaEncryption as signature algorithm means beside it (RFC 3370 3.2) */
} digests[] = {
    {OID_SHA256, "SHA2-256", {sha256_algid, sizeof sha256_algid}, SIG_RSA_SHA256},
    {OID_SHA384, "SHA2-384", {sha384_algid, sizeof sha384_algid}, SIG_RSA_SHA384},
    {OID_SHA512, "SHA2-512", {sha512_algid, sizeof sha512_algid}, SIG_RSA_SHA512},
};

static tm_err bad(struct diag *diag, const char *rule, const char *message)
{
    return diag_fail(diag, TM_EBADSIG, rule, "signerInfos", "%s", message);
}

/* RFC 5652 11.1, 11.2: the attributes are about this content. */
static tm_err check_attributes(const struct signed_data *d, const struct signed_signer *s,
                               struct slice digest, struct diag *diag)
{
    if (!slice_eq(s->content_type, d->content_type))
        return bad(diag, "RFC 5652 11.1", "the signed content type is not the content's");
    if (!slice_eq(s->message_digest, digest))
        return bad(diag, "RFC 5652 11.2", "the signed digest is not the content's");
    return TM_OK;
}

/* SHA-1 is not among the registry's algorithms, so that nothing else takes it by accident. */
static tm_err verify_sha1(const struct signed_data *d, const struct signed_signer *s, const struct spki *key,
                          struct diag *diag)
{
    uint8_t hash[20];
    struct pubkey_info info;
    TM_TRY(sha1(hash, d->content));
    TM_TRY(check_attributes(d, s, SLICE_ARR(hash), diag));
    TM_TRY(pubkey_info(&info, key, diag));
    bool rsa = info.alg == KEY_ALG_RSA && (s->sig_alg.id == OID_RSA || s->sig_alg.id == OID_SHA1_RSA);
    bool ec = info.alg >= KEY_ALG_EC_P256 && info.alg <= KEY_ALG_EC_P521 && s->sig_alg.id == OID_ECDSA_SHA1;
    if (!rsa && !ec)
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 3370 3", "signatureAlgorithm",
                         "the signature's algorithm does not fit the key");
    const uint8_t *p = key->der.p;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)key->der.n);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int rc = pkey && ctx && EVP_DigestVerifyInit_ex(ctx, NULL, "SHA1", NULL, NULL, pkey, NULL) == 1
                 ? EVP_DigestVerify(ctx, s->signature.p, s->signature.n, s->attrs.p, s->attrs.n)
                 : 0;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return rc == 1 ? TM_OK : bad(diag, "RFC 5652 5.6", "the signature does not verify");
}

tm_err cms_signer_verify_legacy(const struct signed_data *d, const struct signed_signer *s,
                                const struct spki *key, bool sha1, struct diag *diag)
{
    return sha1 && s->digest_alg.id == OID_SHA1 ? verify_sha1(d, s, key, diag)
                                                : cms_signer_verify(d, s, key, diag);
}

tm_err cms_signer_verify(const struct signed_data *d, const struct signed_signer *s, const struct spki *key,
                         struct diag *diag)
{
    const struct digest *g = NULL;
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
        if (digests[i].id == s->digest_alg.id)
            g = &digests[i];
    if (!g)
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 5754 2", "digestAlgorithm",
                         "the digest is not SHA-256, SHA-384 or SHA-512");
    uint8_t hash[KEY_DIGEST_MAX];
    size_t n;
    TM_TRY(keys_digest(hash, &n, g->name, d->content));
    TM_TRY(check_attributes(d, s, slice_of(hash, n), diag));
    struct algid alg = s->sig_alg;
    if (alg.id == OID_RSA)
        TM_TRY(algid_parse(&alg, sig_alg_info(g->rsa)->algid, NULL));
    return pubkey_verify(key, &alg, s->attrs, s->signature, diag);
}

tm_err cms_digest(struct slice *ret_algid, uint8_t ret_digest[CMS_DIGEST_MAX], size_t *ret_n,
                  enum sig_alg alg, struct slice content)
{
    /* Schemes that hash by themselves have SHA-512 beside them: RFC 8419 3.1 (Ed25519), RFC 9882 3.3 (ML-DSA). */
    const char *name = sig_alg_info(alg)->digest;
    const struct digest *g = &digests[2];
    for (size_t i = 0; name && i < sizeof digests / sizeof *digests; i++)
        if (strcmp(digests[i].name, name) == 0)
            g = &digests[i];
    *ret_algid = g->algid;
    return keys_digest(ret_digest, ret_n, g->name, content);
}
