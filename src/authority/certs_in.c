#include "authority/certs_in.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "der/reader.h"
#include "keys/pubkey.h"
#include "x509/cms/certs_only.h"
#include <string.h>

/* ---- reading ---- */

static tm_err add(struct cert *v, size_t *n, struct slice der, struct diag *diag)
{
    if (*n == CERTS_IN_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "/certificates", "more than %d certificates", CERTS_IN_MAX);
    TM_TRY(cert_parse(&v[*n], der, diag));
    ++*n;
    return TM_OK;
}

static tm_err add_pkcs7(struct cert *v, size_t *n, struct slice der, struct diag *diag)
{
    struct slice certs[CERTS_IN_MAX];
    size_t m = 0;
    TM_TRY(certs_only_parse(certs, CERTS_IN_MAX, &m, der, diag));
    for (size_t i = 0; i < m; i++)
        TM_TRY(add(v, n, certs[i], diag));
    return TM_OK;
}

static tm_err read_pem(struct cert *v, size_t *n, struct arena *a, struct slice text, struct diag *diag)
{
    for (;;) {
        struct slice der;
        char *label;
        tm_err e = pem_next(&der, &label, a, &text, NULL);
        if (e == TM_ENOTFOUND)
            return TM_OK;
        if (e != TM_OK)
            return diag_fail(diag, TM_EMALFORMED, "RFC 7468", "/certificates", "not PEM");
        if (strcmp(label, "CERTIFICATE") == 0)
            TM_TRY(add(v, n, der, diag));
        else if (strcmp(label, "PKCS7") == 0 || strcmp(label, "CMS") == 0)
            TM_TRY(add_pkcs7(v, n, der, diag));
    }
}

tm_err certs_in_read(struct cert *ret, size_t *ret_n, struct arena *a, struct slice bytes, struct diag *diag)
{
    size_t n = 0;
    if (bytes.n && bytes.p[0] == DER_SEQUENCE) {
        struct diag why = {0};
        if (add(ret, &n, bytes, &why) != TM_OK && add_pkcs7(ret, &n, bytes, diag) != TM_OK)
            return diag_fail(diag, TM_EMALFORMED, why.rule, "/certificates",
                             "neither a certificate nor certs-only PKCS#7: %s", why.message);
    } else {
        TM_TRY(read_pem(ret, &n, a, bytes, diag));
    }
    if (n == 0)
        return diag_fail(diag, TM_EMALFORMED, NULL, "/certificates",
                         "no certificate in there (PEM, DER or PKCS#7)");
    *ret_n = n;
    return TM_OK;
}

/* ---- the path ---- */

static bool issued(const struct cert *issuer, const struct cert *c)
{
    return cert_is_ca(issuer) && slice_eq(issuer->subject, c->issuer) &&
           cert_verify_signature(c, &issuer->spki, NULL) == TM_OK;
}

static const struct cert *find_issuer(const struct cert *c, const struct cert *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!slice_eq(v[i].der, c->der) && issued(&v[i], c))
            return &v[i];
    return NULL;
}

static const struct authority *find_authority(const struct cert *c, const struct catalog *cat)
{
    const struct authority *const *v = NULL;
    size_t n = cat ? catalog_authorities(cat, &v) : 0;
    for (size_t i = 0; i < n; i++)
        if (!slice_eq(v[i]->der, c->der) && issued(&v[i]->cert, c))
            return v[i];
    return NULL;
}

static tm_err push(struct ca_path *p, struct slice der, struct diag *diag)
{
    if (p->n_chain == CERTS_IN_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "/certificates", "the path is longer than %d", CERTS_IN_MAX);
    p->chain[p->n_chain++] = der;
    return TM_OK;
}

static tm_err check_ca(const struct cert *c, struct diag *diag)
{
    const struct ext *ku = exts_find(&c->exts, OID_EXT_KEY_USAGE);
    uint32_t bits = KU_KEY_CERT_SIGN | KU_CRL_SIGN;
    if (!cert_is_ca(c))
        return diag_fail(diag, TM_EINVAL, "RFC 5280 4.2.1.9", "/certificates", "not a CA certificate");
    if (ku)
        TM_TRY(ext_decode_key_usage(&bits, ku->value, diag));
    if (!(bits & KU_KEY_CERT_SIGN))
        return diag_fail(diag, TM_EINVAL, "RFC 5280 4.2.1.3", "/certificates",
                         "its key usage lacks keyCertSign");
    if (cert_ski(c).n == 0)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 4.2.1.2", "/certificates",
                         "the CA certificate has no subjectKeyIdentifier");
    if (c->not_after <= clock_now())
        return diag_fail(diag, TM_EEXPIRED, "RFC 5280 4.1.2.5", "/certificates",
                         "the CA certificate has expired");
    return TM_OK;
}

tm_err certs_in_path(struct ca_path *ret, struct arena *a, const struct cert *v, size_t n, struct slice spki,
                     const struct catalog *cat, struct diag *diag)
{
    (void)a;
    if (!v)
        n = 0;
    const struct cert *at = spki.n || n == 0 ? NULL : &v[0];
    for (size_t i = 0; i < n && !at; i++)
        if (slice_eq(v[i].spki.der, spki))
            at = &v[i];
    if (!at)
        return diag_fail(diag, TM_EINVAL, NULL, "/certificates", "none of the certificates is of this key");
    TM_TRY(check_ca(at, diag));
    *ret = (struct ca_path){.ca = *at};
    ret->self_signed =
        slice_eq(at->subject, at->issuer) && cert_verify_signature(at, &at->spki, NULL) == TM_OK;
    ret->parent = ret->self_signed ? NULL : find_authority(at, cat);
    while (!(slice_eq(at->subject, at->issuer) && cert_verify_signature(at, &at->spki, NULL) == TM_OK)) {
        const struct authority *known = find_authority(at, cat);
        if (known) {
            TM_TRY(push(ret, known->der, diag));
            for (size_t i = 0; i < known->n_chain; i++)
                TM_TRY(push(ret, known->chain[i], diag));
            break;
        }
        const struct cert *up = find_issuer(at, v, n);
        if (!up)
            break;
        TM_TRY(push(ret, up->der, diag));
        at = up;
    }
    return TM_OK;
}
