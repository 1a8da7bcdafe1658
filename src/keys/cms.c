#include "keys/cms.h"
#include "der/oid.h"
#include "keys/internal.h"
#include "keys/pubkey.h"
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
    if (!slice_eq(s->content_type, d->content_type))
        return bad(diag, "RFC 5652 11.1", "the signed content type is not the content's");
    if (!slice_eq(s->message_digest, slice_of(hash, n)))
        return bad(diag, "RFC 5652 11.2", "the signed digest is not the content's");
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
