#include "status/filter_verify.h"
#include "base/arena.h"
#include "base/digest.h"
#include "der/oid.h"
#include "der/reader.h"
#include "keys/cms.h"
#include "keys/pubkey.h"
#include "x509/cms/signed.h"
#include "x509/ext.h"
#include <stdlib.h>
#include <string.h>

enum { FILTER_SIGNATURES_MAX = 64 };

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

/* What is being looked at. */
struct looking {
    const struct tmf_filter *f;
    const struct filter_trust *t;
    int64_t now;
    uint8_t digest[SHA256_LEN];
    struct vouching {
        uint8_t id[TMF_ISSUER_LEN];
        bool about, vouched;
    } *v; /* one for each CA */
    struct diag *diag;
};

static size_t certifier(const struct looking *l, const struct cert *ra)
{
    size_t i = 0;
    while (i < l->t->n_cas && !(slice_eq(ra->issuer, l->t->cas[i].subject) &&
                                cert_verify_signature(ra, &l->t->cas[i].spki, NULL) == TM_OK))
        i++;
    return i;
}

/* As far as is known, and by the filter's own account. */
static bool revoked(const struct looking *l, size_t ca, const struct cert *ra)
{
    if (l->t->revoked && l->t->revoked(l->t, ca, ra->serial))
        return true;
    return l->f->kind == TMF_FULL &&
           tmf_query(l->f, NULL, l->v[ca].id, ra->serial.p, ra->serial.n) == TMF_REVOKED;
}

/* A CA that was certified anew, or crosswise, has several certificates and one key. */
static void vouch(struct looking *l, size_t ca)
{
    for (size_t i = 0; i < l->t->n_cas; i++)
        l->v[i].vouched |= memcmp(l->v[i].id, l->v[ca].id, sizeof l->v[i].id) == 0;
}

static tm_err check_signer(struct looking *l, const struct signed_data *d, const struct signed_signer *s)
{
    for (size_t i = 0; i < d->n_certs; i++) {
        struct cert ra;
        if (cert_parse(&ra, d->certs[i], NULL) != TM_OK || !signed_signer_is(s, &ra))
            continue;
        if (!is_ra(&ra))
            return not_signed(l->diag, "its signer is no RA");
        size_t ca = certifier(l, &ra);
        if (ca == l->t->n_cas)
            return TM_OK; /* for an authority that nobody asks about here */
        if (l->now < ra.not_before || l->now > ra.not_after)
            return diag_fail(l->diag, TM_EEXPIRED, "RFC 5280 4.1.2.5", "signature",
                             "the certificate of the filter's signer is not valid now");
        if (revoked(l, ca, &ra))
            return not_signed(l->diag, "the certificate of its signer is revoked");
        if (cms_signer_verify(d, s, &ra.spki, l->diag) != TM_OK)
            return not_signed(l->diag, "it does not verify under the key of its signer");
        vouch(l, ca);
        return TM_OK;
    }
    return not_signed(l->diag, "its signer's certificate is not in it");
}

static tm_err check_message(struct looking *l, struct slice der)
{
    struct signed_data d;
    struct arena *a = arena_new(4 << 20);
    if (!a)
        return TM_ENOMEM;
    tm_err e = signed_data_parse(&d, a, der, l->diag);
    if (e == TM_OK && (oid_find(d.content_type) != OID_CT_TOUCHMARK_FILTER || d.n_signers != 1))
        e = not_signed(l->diag, "it is a message of another kind");
    if (e == TM_OK && !slice_eq(d.content, SLICE_ARR(l->digest)))
        e = not_signed(l->diag, "it was made for other octets");
    if (e == TM_OK)
        e = check_signer(l, &d, &d.signers[0]);
    arena_free(a);
    return e;
}

/* Messages one behind the other. */
static tm_err check_messages(struct looking *l)
{
    struct der_reader r;
    size_t n = 0;
    der_reader_init(&r, slice_of(l->f->signature, l->f->signature_n), l->diag);
    while (!der_at_end(&r)) {
        struct slice message;
        if (n++ == FILTER_SIGNATURES_MAX)
            return not_signed(l->diag, "there are too many of them");
        TM_TRY(der_read_tlv(&r, DER_SEQUENCE, &message));
        TM_TRY(check_message(l, message));
    }
    return der_end(&r);
}

static tm_err find_issuers(struct looking *l)
{
    struct tmf_issuer x;
    bool any = false;
    for (size_t i = 0; i < l->t->n_cas; i++)
        TM_TRY(sha256(l->v[i].id, l->t->cas[i].spki.der));
    for (uint32_t row = 0; tmf_issuer_at(l->f, row, &x) == 0; row++)
        for (size_t i = 0; i < l->t->n_cas; i++) {
            l->v[i].about |= memcmp(l->v[i].id, x.id, sizeof x.id) == 0;
            any |= l->v[i].about;
        }
    return any ? TM_OK : not_signed(l->diag, "it is about no authority that is trusted here");
}

static tm_err look(struct looking *l)
{
    TM_TRY(sha256(l->digest, slice_of(l->f->p, l->f->body)));
    TM_TRY(find_issuers(l));
    TM_TRY(check_messages(l));
    for (size_t i = 0; i < l->t->n_cas; i++)
        if (l->v[i].about && !l->v[i].vouched)
            return not_signed(l->diag,
                              "an authority that it is about has not vouched for it by an RA of its own");
    return TM_OK;
}

tm_err filter_verify(const struct tmf_filter *f, const struct filter_trust *t, int64_t now,
                     uint8_t ret_digest[TMF_DIGEST_LEN], struct diag *diag)
{
    if (!f->signature)
        return not_signed(diag, "it has none");
    struct looking l = {.f = f, .t = t, .now = now, .v = calloc(t->n_cas + 1, sizeof *l.v), .diag = diag};
    if (!l.v)
        return TM_ENOMEM;
    tm_err e = look(&l);
    free(l.v);
    if (e == TM_OK && ret_digest)
        memcpy(ret_digest, l.digest, sizeof l.digest);
    return e;
}
