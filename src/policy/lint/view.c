#include "policy/lint/view.h"
#include "base/clock.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static uint64_t purpose_of(struct slice oid)
{
    switch (oid_find(oid)) {
    case OID_EKU_ANY:
        return PURPOSE_ANY;
    case OID_EKU_SERVER_AUTH:
        return PURPOSE_SERVER_AUTH;
    case OID_EKU_CLIENT_AUTH:
        return PURPOSE_CLIENT_AUTH;
    case OID_EKU_CODE_SIGNING:
        return PURPOSE_CODE_SIGNING;
    case OID_EKU_EMAIL:
        return PURPOSE_EMAIL;
    case OID_EKU_TIME_STAMPING:
        return PURPOSE_TIME_STAMPING;
    case OID_EKU_OCSP_SIGNING:
        return PURPOSE_OCSP_SIGNING;
    default:
        return PURPOSE_OTHER;
    }
}

static void ext_place(struct lint_view *v, const struct ext *x)
{
    switch (x->id) {
    case OID_EXT_BASIC_CONSTRAINTS:
        v->basic_constraints = x;
        break;
    case OID_EXT_KEY_USAGE:
        v->key_usage = x;
        break;
    case OID_EXT_EKU:
        v->eku = x;
        break;
    case OID_EXT_SKI:
        v->ski = x;
        break;
    case OID_EXT_AKID:
        v->akid = x;
        break;
    case OID_EXT_SAN:
        v->san = x;
        break;
    case OID_EXT_POLICIES:
        v->policies = x;
        break;
    case OID_EXT_CDP:
        v->cdp = x;
        break;
    case OID_EXT_AIA:
        v->aia = x;
        break;
    case OID_EXT_NO_REV_AVAIL:
        v->no_rev_avail = x;
        break;
    case OID_EXT_FRESHEST_CRL:
        v->freshest_crl = x;
        break;
    case OID_EXT_NAME_CONSTRAINTS:
        v->name_constraints = x;
        break;
    case OID_EXT_OCSP_NOCHECK:
        v->ocsp_nocheck = x;
        break;
    default:
        break;
    }
}

static void note(struct lint_view *v, tm_err err, const char *what)
{
    if (err != TM_OK && !v->malformed)
        v->malformed = what;
}

void lint_view_make(struct lint_view *ret, const struct lint_subject *s)
{
    const struct cert *c = s->cert;
    struct lint_view *v = ret;
    struct slice key_id;
    /* The lists are counted; only what stands for absence is zeroed. */
    memset(v, 0, sizeof *v);
    note(v, name_parse(&v->subject, c->subject, NULL), "subject");
    note(v, name_parse(&v->issuer, c->issuer, NULL), "issuer");
    for (size_t i = 0; i < c->exts.n; i++)
        ext_place(v, &c->exts.v[i]);
    if (v->basic_constraints)
        note(v, ext_decode_basic_constraints(&v->constraints, v->basic_constraints->value, NULL),
             "basicConstraints");
    if (v->key_usage)
        note(v, ext_decode_key_usage(&v->usage, v->key_usage->value, NULL), "keyUsage");
    if (v->eku)
        note(v, ext_decode_eku(&v->purposes, v->eku->value, NULL), "extKeyUsage");
    for (size_t i = 0; i < v->purposes.n; i++)
        v->purpose_set |= purpose_of(v->purposes.oid[i]);
    if (v->ski)
        note(v, ext_decode_ski(&key_id, v->ski->value, NULL), "subjectKeyIdentifier");
    if (v->akid)
        note(v, ext_decode_akid(&key_id, v->akid->value, NULL), "authorityKeyIdentifier");
    if (v->san)
        note(v, general_names_parse(&v->names, s->arena, v->san->value, NULL), "subjectAltName");
    if (v->cdp)
        note(v, ext_decode_cdp(v->cdp_uris, 4, &v->n_cdp, v->cdp->value, NULL), "cRLDistributionPoints");
    if (v->aia) {
        note(v, ext_decode_aia(v->ocsp_uris, 4, &v->n_ocsp, OID_AD_OCSP, v->aia->value, NULL),
             "authorityInfoAccess");
        note(v, ext_decode_aia(v->issuer_uris, 4, &v->n_issuer, OID_AD_CA_ISSUERS, v->aia->value, NULL),
             "authorityInfoAccess");
    }
}

bool lint_say(char detail[160], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, 160, fmt, ap);
    va_end(ap);
    for (char *c = detail; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
    return true;
}

const struct name_attr *lint_subject_attr(const struct lint_subject *s, enum oid type)
{
    for (size_t i = 0; i < s->view->subject.n; i++)
        if (s->view->subject.attrs[i].type == type)
            return &s->view->subject.attrs[i];
    return NULL;
}

bool lint_is_never(const struct lint_subject *s)
{
    return s->cert->not_after >= TM_TIME_NEVER;
}

bool lint_is_http(struct slice uri)
{
    return slice_caseeq(slice_sub(uri, 0, 7), SLICE_LIT("http://")) && uri.n > 7;
}
