#include "status/filter_verify.h"
#include "base/arena.h"
#include "base/digest.h"
#include "der/oid.h"
#include "keys/cms.h"
#include "keys/pubkey.h"
#include "x509/cms/signed.h"
#include "x509/ext.h"
#include <string.h>

static tm_err not_signed(struct diag *diag, const char *why)
{
    return diag_fail(diag, TM_EBADSIG, NULL, "signature", "the filter's signature is not good: %s", why);
}

/* RFC 6402 2.10; nothing else that the CA certified may sign filters. */
static bool is_ra(const struct cert *c)
{
    const struct ext *ext = exts_find(&c->exts, OID_EXT_EKU);
    struct eku eku;
    if (!ext || ext_decode_eku(&eku, ext->value, NULL) != TM_OK)
        return false;
    for (size_t i = 0; i < eku.n; i++)
        if (oid_find(eku.oid[i]) == OID_EKU_CMC_RA)
            return true;
    return false;
}

static bool certified(const struct cert *ra, const struct cert *cas, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(ra->issuer, cas[i].subject) && cert_verify_signature(ra, &cas[i].spki, NULL) == TM_OK)
            return true;
    return false;
}

static tm_err check_signer(const struct signed_data *d, const struct signed_signer *s, const struct cert *cas,
                           size_t n_cas, int64_t now, struct diag *diag)
{
    for (size_t i = 0; i < d->n_certs; i++) {
        struct cert ra;
        if (cert_parse(&ra, d->certs[i], NULL) != TM_OK || !signed_signer_is(s, &ra))
            continue;
        if (!is_ra(&ra))
            return not_signed(diag, "its signer is no RA");
        if (!certified(&ra, cas, n_cas))
            return not_signed(diag, "its signer was not certified by an authority that is trusted here");
        if (now < ra.not_before || now > ra.not_after)
            return diag_fail(diag, TM_EEXPIRED, "RFC 5280 4.1.2.5", "signature",
                             "the certificate of the filter's signer is not valid now");
        return cms_signer_verify(d, s, &ra.spki, diag) == TM_OK
                   ? TM_OK
                   : not_signed(diag, "it does not verify under the key of its signer");
    }
    return not_signed(diag, "its signer's certificate is not in it");
}

tm_err filter_verify(const struct tmf_filter *f, const struct cert *cas, size_t n_cas, int64_t now,
                     uint8_t ret_digest[TMF_DIGEST_LEN], struct diag *diag)
{
    uint8_t digest[SHA256_LEN];
    struct signed_data d;
    if (!f->signature)
        return not_signed(diag, "it has none");
    TM_TRY(sha256(digest, slice_of(f->p, f->body)));
    struct arena *a = arena_new(4 << 20);
    if (!a)
        return TM_ENOMEM;
    tm_err e = signed_data_parse(&d, a, slice_of(f->signature, f->signature_n), diag);
    if (e == TM_OK && (oid_find(d.content_type) != OID_CT_TOUCHMARK_FILTER || d.n_signers != 1))
        e = not_signed(diag, "it is a message of another kind");
    if (e == TM_OK && !slice_eq(d.content, SLICE_ARR(digest)))
        e = not_signed(diag, "it was made for other octets");
    if (e == TM_OK)
        e = check_signer(&d, &d.signers[0], cas, n_cas, now, diag);
    arena_free(a);
    if (e == TM_OK && ret_digest)
        memcpy(ret_digest, digest, sizeof digest);
    return e;
}
