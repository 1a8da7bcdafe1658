/* genm: what a client wants to know before or beside its certificates (RFC 9810 5.3.19, RFC 9483 4.3). */
#include "base/arena.h"
#include "der/builder.h"
#include "enroll/ca_bundle.h"
#include "enroll/cmp/cmp.h"
#include "enroll/endpoint.h"
#include "keys/pubkey.h"
#include "policy/profile.h"
#include "status/crl_file.h"
#include "x509/crl.h"
#include <string.h>

enum { CRLS_MAX = 8, VALUE_MAX = 400 << 10, SIGNED_MAX = SIGN_INLINE_MAX - (16 << 10) };

static tm_err value_of(struct slice *ret, struct cmp_exchange *x, struct buf *b)
{
    tm_err e = buf_err(b);
    if (e == TM_OK)
        e = arena_copy(ret, x->a, buf_slice(b));
    buf_done(b);
    return e;
}

/* CaCertsValue ::= SEQUENCE SIZE (1..MAX) OF CMPCertificate; nothing where there are none */
static tm_err ca_certs(struct cmp_info *ret, struct cmp_exchange *x, const struct cmp_info *asked)
{
    struct slice v[CA_BUNDLE_MAX];
    size_t n = ca_bundle(v, x->catalog, x->endpoint);
    struct buf b;
    (void)asked;
    if (n == 0)
        return TM_OK;
    buf_init(&b, VALUE_MAX);
    cmp_list_build(&b, v, n);
    return value_of(&ret->value, x, &b);
}

static bool is_newer(const struct authority *a, const struct cert *old)
{
    return slice_eq(a->cert.subject, old->subject) && a->cert.not_before > old->not_before &&
           !slice_eq(a->cert.spki.der, old->spki.der);
}

/* What follows the root that the client has: its successor, as its authority here says, else a later root of the same name. */
static const struct authority *newer_root(struct cmp_exchange *x, const struct cert *old)
{
    const struct authority *const *v, *best = NULL;
    size_t n = catalog_authorities(x->catalog, &v);
    for (size_t i = 0; i < n; i++) {
        const struct authority *a = v[i];
        if (a->tenant != x->endpoint->tenant || !a->is_root)
            continue;
        const struct authority *next =
            slice_eq(a->der, old->der) ? catalog_authority(x->catalog, a->tenant, a->successor) : NULL;
        if (next && next->is_root && !next->disabled && !next->revoked)
            return next;
        if (!a->disabled && !a->revoked && is_newer(a, old) &&
            (!best || a->cert.not_before > best->cert.not_before))
            best = a;
    }
    return best;
}

/* The link certificate for one of the two keys, signed by the other (RFC 9810 4.4); empty: there is none. */
static struct slice link_of(const struct authority *root, const struct spki *key, const struct spki *by)
{
    for (size_t i = 0; i < root->n_links; i++) {
        struct cert c;
        if (cert_parse(&c, root->links[i], NULL) == TM_OK && slice_eq(c.spki.der, key->der) &&
            cert_verify_signature(&c, by, NULL) == TM_OK)
            return root->links[i];
    }
    return (struct slice){0};
}

/* RootCaCertValue ::= CMPCertificate; answered by RootCaKeyUpdateValue ::= SEQUENCE { newWithNew CMPCertificate, newWithOld [0]
 *     CMPCertificate OPTIONAL, oldWithNew [1] CMPCertificate OPTIONAL }, absent where there is no later one (RFC 9483 4.3.2) */
static tm_err root_update(struct cmp_info *ret, struct cmp_exchange *x, const struct cmp_info *asked)
{
    struct cert old;
    struct buf b;
    ret->type = OID_IT_ROOT_CA_KEY_UPDATE;
    ret->oid = oid_contents(OID_IT_ROOT_CA_KEY_UPDATE);
    if (asked->value.n == 0)
        return cmp_refuse(x, CMP_BAD_DATA_FORMAT, TM_EMALFORMED, "RFC 9483 4.3.2",
                          "rootCaCert has to hold the root that is there");
    if (cert_parse(&old, asked->value, &x->diag) != TM_OK) {
        x->fail = CMP_BAD_DATA_FORMAT;
        return TM_EMALFORMED;
    }
    const struct authority *a = newer_root(x, &old);
    if (!a)
        return TM_OK;
    buf_init(&b, VALUE_MAX);
    cmp_root_update_build(&b, a->der, link_of(a, &a->cert.spki, &old.spki),
                          link_of(a, &old.spki, &a->cert.spki));
    return value_of(&ret->value, x, &b);
}

static tm_err asked_profile(const struct profile **ret, struct cmp_exchange *x)
{
    const struct endpoint *ep = x->endpoint;
    const struct cmp_info *header = cmp_info_find(&x->m, OID_IT_CERT_PROFILE);
    struct slice names[CMP_PROFILES_MAX];
    const char *name = ep->profiles[0];
    size_t n = 0;
    if (header) {
        TM_TRY(cmp_profiles_read(names, &n, header->value, &x->diag));
        name = endpoint_offers(ep, names[0]);
    }
    *ret = name ? catalog_profile(x->catalog, ep->tenant, name) : NULL;
    if (*ret)
        return TM_OK;
    return cmp_refuse(x, CMP_BAD_REQUEST, TM_EDENIED, "endpoint.profiles",
                      "endpoint \"%s\" does not offer the profile of certProfile", ep->name);
}

static tm_err template(struct cmp_info *ret, struct cmp_exchange *x, const struct cmp_info *asked)
{
    const struct profile *p;
    struct buf b;
    (void)asked;
    TM_TRY(asked_profile(&p, x));
    buf_init(&b, VALUE_MAX);
    tm_err e = profile_cert_template(&b, p);
    if (e != TM_OK) {
        buf_done(&b);
        return e;
    }
    return value_of(&ret->value, x, &b);
}

/* ---- CRLs ---- */

/* Whose CRL: the endpoint's authorities are those of its chains. */
static const struct authority *authority_of(struct cmp_exchange *x, const struct cmp_crl_status *s)
{
    const struct authority *const *v;
    size_t n = catalog_authorities(x->catalog, &v);
    for (size_t i = 0; i < n; i++) {
        const char *crl, *ca;
        if (v[i]->tenant != x->endpoint->tenant)
            continue;
        if (s->issuer.n && slice_eq(v[i]->cert.subject, s->issuer))
            return v[i];
        if (s->uri.n && house_authority_urls(&crl, &ca, x->a, x->house, v[i]) == TM_OK &&
            slice_eq_str(s->uri, crl))
            return v[i];
    }
    return NULL;
}

static tm_err read_crl(struct slice *ret, struct cmp_exchange *x, const struct authority *a, int64_t after)
{
    struct store_read q = {
        .kind = READ_CRL, .tenant = a->tenant, .arena = x->a, .name = a->name, .name2 = "full"};
    tm_err e = store_read_now(x->house->store, &q);
    if (e == TM_ENOTFOUND || (e == TM_OK && after && q.crl.this_update <= after))
        return TM_ENOTFOUND;
    if (e != TM_OK) {
        x->diag = q.diag;
        return e;
    }
    if (crl_row_is_file(&q.crl)) /* far beyond a message; its distribution point has it */
        return TM_ENOTFOUND;
    *ret = q.crl.der;
    return TM_OK;
}

/* CRLStatusListValue, answered by CRLsValue ::= SEQUENCE SIZE (1..MAX) OF CertificateList: those that are newer (RFC 9483 4.3.4) */
static tm_err crls(struct cmp_info *ret, struct cmp_exchange *x, const struct cmp_info *asked)
{
    struct cmp_crl_status wanted[CRLS_MAX];
    struct slice v[CRLS_MAX];
    size_t n, found = 0;
    struct buf b;
    ret->type = OID_IT_CRLS;
    ret->oid = oid_contents(OID_IT_CRLS);
    TM_TRY(cmp_crl_statuses_read(wanted, CRLS_MAX, &n, asked->value, &x->diag));
    for (size_t i = 0; i < n; i++) {
        const struct authority *a = authority_of(x, &wanted[i]);
        tm_err e = a ? read_crl(&v[found], x, a, wanted[i].this_update) : TM_ENOTFOUND;
        if (e == TM_OK)
            found++;
        else if (e != TM_ENOTFOUND)
            return e;
    }
    if (found == 0)
        return TM_OK;
    buf_init(&b, VALUE_MAX);
    cmp_list_build(&b, v, found);
    return value_of(&ret->value, x, &b);
}

/* CurrentCRLValue ::= CertificateList, of the authority that issues here (RFC 9810 5.3.19.6) */
static tm_err current_crl(struct cmp_info *ret, struct cmp_exchange *x, const struct cmp_info *asked)
{
    (void)asked;
    tm_err e = read_crl(&ret->value, x, x->authority, 0);
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* ---- all ---- */

static const struct {
    enum oid type;
    tm_err (*answer)(struct cmp_info *ret, struct cmp_exchange *x, const struct cmp_info *asked);
} kinds[] = {
    {OID_IT_CA_CERTS, ca_certs},    {OID_IT_ROOT_CA_CERT, root_update}, {OID_IT_CERT_REQ_TEMPLATE, template},
    {OID_IT_CRL_STATUS_LIST, crls}, {OID_IT_CURRENT_CRL, current_crl},
};

/* UnsupportedOIDsValue ::= SEQUENCE OF OBJECT IDENTIFIER (RFC 9810 5.3.19.7) */
static tm_err unsupported(struct cmp_info *ret, struct cmp_exchange *x, const struct cmp_info *asked)
{
    struct der_builder d;
    struct buf b;
    ret->type = OID_IT_UNSUPPORTED_OIDS;
    ret->oid = oid_contents(OID_IT_UNSUPPORTED_OIDS);
    buf_init(&b, 256);
    der_builder_init(&d, &b);
    der_open(&d, DER_SEQUENCE);
    der_put_oid(&d, asked->oid);
    der_close(&d);
    TM_IGNORE(der_builder_finish(&d));
    return value_of(&ret->value, x, &b);
}

static tm_err answer_one(struct cmp_info *ret, struct cmp_exchange *x, const struct cmp_info *asked)
{
    *ret = (struct cmp_info){.type = asked->type, .oid = asked->oid};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].type == asked->type)
            return kinds[i].answer(ret, x, asked);
    return unsupported(ret, x, asked);
}

struct answers {
    struct cmp_info v[CMP_INFO_MAX];
    size_t n;
};

static void build(struct buf *out, const void *arg)
{
    const struct answers *a = arg;
    cmp_infos_build(out, a->v, a->n);
}

/* What there is no room for in a message, or in one that the signer signs. */
static tm_err too_big(tm_err e, struct cmp_exchange *x)
{
    if (e != TM_ETOOBIG)
        return e;
    return cmp_refuse(
        x, CMP_ADD_INFO_NOT_AVAILABLE, e, "cmp.answer-size",
        "the answer is too large for a message; ask for less at once, and fetch CRLs from their "
        "distribution points");
}

tm_err cmp_general(struct cmp_exchange *x)
{
    struct cmp_info asked[CMP_INFO_MAX];
    struct answers a = {0};
    tm_err e = cmp_infos_read(asked, CMP_INFO_MAX, &a.n, x->m.content, &x->diag);
    if (e != TM_OK) {
        x->fail = CMP_BAD_DATA_FORMAT;
        return e;
    }
    for (size_t i = 0; i < a.n; i++)
        TM_TRY(too_big(answer_one(&a.v[i], x, &asked[i]), x));
    TM_TRY(too_big(cmp_answer_list(x, CMP_GENP, build, &a), x));
    bool is_signed = x->known && x->by == CMP_BY_SIGNATURE;
    return is_signed && x->content.n > SIGNED_MAX ? too_big(TM_ETOOBIG, x) : TM_OK;
}
