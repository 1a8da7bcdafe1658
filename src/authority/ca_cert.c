#include "authority/ca_cert.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "der/builder.h"
#include "der/oid.h"
#include "der/reader.h"
#include "keys/pubkey.h"
#include "keys/signer.h"
#include "policy/decide.h"
#include "x509/cert.h"
#include "x509/name.h"
#include <stdio.h>
#include <string.h>

enum { TBS_MAX = 64 << 10, PATH_LEN_MAX = 16 };

void ca_spec_init(struct ca_spec *s)
{
    *s = (struct ca_spec){.tenant = TENANT_DEFAULT, .path_len = -1};
}

/* ---- what the operator said ---- */

static tm_err check_ekus(const struct ca_spec *s, struct diag *diag)
{
    if (s->n_ekus > CA_EKUS_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "/ekus", "at most %d extended key usages", CA_EKUS_MAX);
    struct arena *a = arena_new(64 << 10);
    if (!a)
        return TM_ENOMEM;
    tm_err e = TM_OK;
    for (size_t i = 0; i < s->n_ekus && e == TM_OK; i++) {
        const char *v = s->ekus[i];
        struct slice oid;
        bool word = strcmp(v, "any") == 0 || strcmp(v, "none") == 0;
        if (!word && oid_find_name(slice_str(v)) == OID_UNKNOWN &&
            oid_from_dotted(&oid, a, slice_str(v)) != TM_OK)
            e = diag_fail(diag, TM_EINVAL, NULL, "/ekus",
                          "\"%s\" is neither a known extended key usage nor an OID", v);
    }
    arena_free(a);
    return e;
}

tm_err ca_spec_check(const struct ca_spec *s, struct diag *diag)
{
    if (!s->name || !name_valid(slice_str(s->name)))
        return diag_fail(diag, TM_EINVAL, NULL, "/name",
                         "a name has 1 to 63 of a-z, 0-9 and -, and begins and ends with a letter or digit");
    enum key_alg k;
    unsigned bits;
    TM_TRY(ca_spec_key(&k, &bits, s, false, diag));
    if (s->signature && s->signature[0]) {
        enum sig_alg g;
        if (sig_alg_from_name(&g, slice_str(s->signature)) != TM_OK || !sig_alg_fits(g, k))
            return diag_fail(diag, TM_EINVAL, NULL, "/signature", "\"%s\" does not fit a key of type %s",
                             s->signature, key_alg_info(k)->name);
    }
    if (s->lifetime < 0 || s->max_leaf < 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/lifetime", "a lifetime can't be negative");
    if (s->path_len < -1 || s->path_len > PATH_LEN_MAX)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 4.2.1.9", "/path-len", "must be between 0 and %d",
                         PATH_LEN_MAX);
    if (s->issues_cas && s->path_len == 0)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 4.2.1.9", "/path-len",
                         "a CA with path length 0 can't have CAs below it");
    if (s->n_permit_dns > CA_NAMES_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "/permit-dns", "at most %d names", CA_NAMES_MAX);
    if (s->crl_lifetime && s->crl_every && s->crl_every >= s->crl_lifetime)
        return diag_fail(diag, TM_EINVAL, NULL, "/crl/every",
                         "a CRL would end before its successor is published");
    return check_ekus(s, diag);
}

tm_err ca_spec_key(enum key_alg *ret, unsigned *ret_bits, const struct ca_spec *s, bool root,
                   struct diag *diag)
{
    const char *name = s->key && s->key[0] ? s->key : root ? "ec-p384" : "ec-p256";
    enum key_alg alg;
    unsigned bits = 0;
    if (key_alg_from_name(&alg, &bits, slice_str(name)) != TM_OK || !key_alg_info(alg)->can_sign)
        return diag_fail(diag, TM_EINVAL, NULL, "/key", "\"%s\" is not a key type that a CA can have", name);
    if (alg == KEY_ALG_RSA && bits == 0)
        bits = 3072;
    *ret = alg;
    *ret_bits = alg == KEY_ALG_RSA ? bits : 0;
    return TM_OK;
}

tm_err ca_spec_subject(struct slice *ret, struct arena *a, const struct ca_spec *s, struct diag *diag)
{
    if (s->subject && s->subject[0])
        return name_from_text(ret, a, slice_str(s->subject), diag);
    /* A title may hold what RFC 4514 would want escaped: build it instead of printing it. */
    const char *cn = s->title && s->title[0] ? s->title : s->name;
    struct buf b;
    struct der_builder d;
    buf_init(&b, 4096);
    der_builder_init(&d, &b);
    der_open(&d, DER_SEQUENCE);
    name_build_attr(&d, OID_CN, slice_str(cn));
    der_close(&d);
    tm_err e = der_builder_finish(&d);
    if (e != TM_OK)
        e = diag_fail(diag, e, "RFC 5280 A.1", "/title",
                      "\"%s\" can't stand in a certificate as a common name", cn);
    else
        e = arena_copy(ret, a, buf_slice(&b));
    buf_done(&b);
    return e;
}

int64_t ca_not_after(int64_t lifetime, bool root, int64_t now, int64_t parent_end)
{
    int64_t life = lifetime ? lifetime : root ? TM_TIME_NEVER : CA_LIFETIME;
    int64_t end = life >= TM_TIME_NEVER - now ? TM_TIME_NEVER : now + life;
    return end < parent_end ? end : parent_end;
}

/* ---- the certificate ---- */

/* Extensions of a CA certificate; their values live in the arena. */
struct ext_list {
    struct arena *a;
    struct ext v[8];
    size_t n;
};

static void add_ext(struct ext_list *l, enum oid id, bool critical, struct slice value)
{
    l->v[l->n++] = (struct ext){.id = id, .oid = oid_contents(id), .critical = critical, .value = value};
}

/* Permitted subtrees of DNS names (RFC 5280 4.2.1.10). Critical: a relying party that can't judge it must not trust the CA. */
static tm_err add_name_constraints(struct ext_list *l, const struct ca_plan *p)
{
    if (p->n_permit_dns == 0)
        return TM_OK;
    struct general_name *v = arena_calloc(l->a, p->n_permit_dns, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < p->n_permit_dns; i++)
        v[i] = (struct general_name){.type = GN_DNS, .value = slice_str(p->permit_dns[i])};
    struct name_constraints nc = {.permitted = {.v = v, .n = p->n_permit_dns}};
    struct slice value;
    TM_TRY(ext_encode_name_constraints(&value, l->a, &nc));
    add_ext(l, OID_EXT_NAME_CONSTRAINTS, true, value);
    return TM_OK;
}

static const char *given(const char *s)
{
    return s && s[0] ? s : NULL;
}

static tm_err add_addresses(struct ext_list *l, const struct ca_plan *p)
{
    struct slice value;
    /* A self-signed certificate has no issuer whose status could be asked (RFC 5280 4.2.1.13, 4.2.2.1 make little sense there). */
    if (p->issuer_key_id.n == 0)
        return TM_OK;
    if (given(p->crl_url)) {
        const char *urls[] = {p->crl_url};
        TM_TRY(ext_encode_cdp(&value, l->a, urls, 1));
        add_ext(l, OID_EXT_CDP, false, value);
    }
    if (given(p->ca_url) || given(p->ocsp_url)) {
        TM_TRY(ext_encode_aia(&value, l->a, given(p->ocsp_url), given(p->ca_url)));
        add_ext(l, OID_EXT_AIA, false, value);
    }
    return TM_OK;
}

static tm_err make_exts(struct ext_list *l, const struct ca_plan *p)
{
    struct spki spki;
    uint8_t key_id[20];
    struct slice value;
    TM_TRY(spki_parse(&spki, p->spki, NULL));
    TM_TRY(spki_key_id(key_id, &spki));

    bool ca = !p->ra && !p->responder;
    struct basic_constraints bc = {.ca = ca,
                                   .has_path_len = ca && p->path_len >= 0,
                                   .path_len = p->path_len < 0 ? 0 : (uint64_t)p->path_len};
    TM_TRY(ext_encode_basic_constraints(&value, l->a, &bc));
    add_ext(l, OID_EXT_BASIC_CONSTRAINTS, true, value);
    uint32_t ee_usage = KU_DIGITAL_SIGNATURE | (p->ra && p->ra_decrypts ? KU_KEY_ENCIPHERMENT : 0);
    TM_TRY(ext_encode_key_usage(&value, l->a, ca ? KU_KEY_CERT_SIGN | KU_CRL_SIGN : ee_usage));
    add_ext(l, OID_EXT_KEY_USAGE, true, value);
    if (!ca) {
        /* Keys that are made here are signed by the RA too, which clients want to see (RFC 9483 4.1.6). */
        struct slice eku[] = {oid_contents(p->ra ? OID_EKU_CMC_RA : OID_EKU_OCSP_SIGNING),
                              oid_contents(OID_EKU_CM_KGA)};
        TM_TRY(ext_encode_eku(&value, l->a, eku, p->ra ? 2 : 1));
        add_ext(l, OID_EXT_EKU, false, value);
    }
    TM_TRY(ext_encode_ski(&value, l->a, SLICE_ARR(key_id)));
    add_ext(l, OID_EXT_SKI, false, value);
    struct slice issuer_id = p->issuer_key_id.n ? p->issuer_key_id : SLICE_ARR(key_id);
    TM_TRY(ext_encode_akid(&value, l->a, issuer_id));
    add_ext(l, OID_EXT_AKID, false, value);
    if (p->responder) /* RFC 6960 4.2.2.2.1: whoever asked about the responder would ask the responder */
        add_ext(l, OID_EXT_OCSP_NOCHECK, false, SLICE_LIT("\x05\x00"));
    TM_TRY(add_name_constraints(l, p));
    return add_addresses(l, p);
}

static tm_err ca_plan_build_tbs(struct buf *out, const struct ca_plan *p, int64_t now,
                                size_t *ret_serial_offset)
{
    struct ext_list l = {.a = arena_new(0)};
    if (!l.a)
        return TM_ENOMEM;
    uint8_t serial[CERT_SERIAL_LEN];
    serial_prefix(serial, p->not_after, now);
    tm_err e = make_exts(&l, p);
    if (e == TM_OK) {
        struct tbs_cert t = {
            .serial = SLICE_ARR(serial),
            .sigalg = sig_alg_info(p->sig_alg)->algid,
            .issuer = p->issuer,
            .subject = p->subject,
            .spki = p->spki,
            .not_before = p->not_before,
            .not_after = p->not_after,
            .exts = l.v,
            .n_exts = l.n,
        };
        e = tbs_cert_build(out, &t, ret_serial_offset);
    }
    arena_free(l.a);
    return e;
}

/* Put signer's answer and TBS together, and look whether it is what was planned. */
static tm_err take_signature(struct ca_signed *ret, struct arena *a, const struct sign_op *op, uint8_t *tbs,
                             size_t n, const struct ca_plan *p, struct slice issuer_spki, struct diag *diag)
{
    memcpy(tbs + op->serial_offset, op->serial, CERT_SERIAL_LEN);
    uint8_t hash[SHA256_LEN];
    TM_TRY(sha256(hash, slice_of(tbs, n)));
    if (memcmp(hash, op->tbs_hash, sizeof hash) != 0)
        return diag_fail(diag, TM_ECRYPTO, NULL, "signature",
                         "the signer signed something else than was planned");
    struct buf der;
    buf_init(&der, CERT_DER_MAX);
    tm_err e = signed_assemble(&der, slice_of(tbs, n), sig_alg_info(p->sig_alg)->algid,
                               slice_of(op->signature, op->signature_n));
    struct slice copy;
    if (e == TM_OK)
        e = arena_copy(&copy, a, buf_slice(&der));
    buf_done(&der);
    struct cert c;
    struct spki issuer;
    if (e == TM_OK)
        e = cert_parse(&c, copy, diag);
    if (e == TM_OK)
        e = spki_parse(&issuer, issuer_spki, diag);
    if (e == TM_OK)
        e = cert_verify_signature(&c, &issuer, diag);
    if (e != TM_OK)
        return e;
    *ret = (struct ca_signed){.der = copy, .chain_seq = op->chain_seq};
    memcpy(ret->serial, op->serial, sizeof ret->serial);
    memcpy(ret->tbs_hash, op->tbs_hash, sizeof ret->tbs_hash);
    memcpy(ret->chain_hash, op->chain_hash, sizeof ret->chain_hash);
    return TM_OK;
}

tm_err ca_plan_sign(struct ca_signed *ret, struct arena *a, struct signer *s, const char *key_id,
                    const struct ca_plan *p, struct slice issuer_spki, struct diag *diag)
{
    if (p->not_after <= p->not_before)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 4.1.2.5", "/lifetime",
                         "the certificate would end before it begins");
    struct sign_op *op = arena_calloc(a, 1, sizeof *op);
    if (!op)
        return TM_ENOMEM;
    struct buf tbs;
    buf_init(&tbs, TBS_MAX);
    tm_err e = ca_plan_build_tbs(&tbs, p, clock_now(), &op->serial_offset);
    if (e == TM_OK) {
        op->kind = p->ra || p->responder ? SIGN_LEAF : SIGN_CA;
        op->ra = p->ra;
        op->responder = p->responder;
        op->key_id = key_id;
        op->alg = p->sig_alg;
        op->tbs = buf_slice(&tbs);
        e = signer_sign(s, op);
        if (e != TM_OK && diag)
            *diag = op->diag;
    }
    if (e == TM_OK)
        e = take_signature(ret, a, op, tbs.p, tbs.n, p, issuer_spki, diag);
    buf_done(&tbs);
    return e;
}

/* ---- the envelope ---- */

static tm_err envelope_ekus(struct envelope *e, struct arena *a, const struct ca_spec *s)
{
    static const char *const any[] = {"any"};
    const char *const *from = s->n_ekus ? s->ekus : any;
    size_t n = s->n_ekus ? s->n_ekus : 1;
    e->ekus = arena_calloc(a, n, sizeof *e->ekus);
    if (!e->ekus)
        return TM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        enum oid known = oid_find_name(slice_str(from[i]));
        e->ekus[i] = arena_strdup(a, known != OID_UNKNOWN ? oid_dotted(known) : from[i]);
        if (!e->ekus[i])
            return TM_ENOMEM;
    }
    e->n_ekus = n;
    return TM_OK;
}

tm_err ca_envelope(struct envelope *ret, struct arena *a, const struct ca_spec *s, bool root,
                   struct slice subject, int64_t not_after, struct diag *diag)
{
    bool tier = root || s->issues_cas;
    struct envelope e = {
        .origin = "",
        .allow = 1u << SIGN_CRL | 1u << (tier ? SIGN_CA : SIGN_LEAF),
        .not_after_max = not_after,
        .max_path_len = -1,
    };
    e.key_id = arena_strdup(a, s->name);
    if (!e.key_id)
        return TM_ENOMEM;
    TM_TRY(arena_copy(&e.issuer, a, subject));
    if (tier) {
        e.max_ca_seconds = TM_TIME_NEVER;
        /* Below a CA with pathLen n there may be n more: a sub-CA gets at most n - 1. A root signs its own certificate as well. */
        if (s->path_len >= 0)
            e.max_path_len = root ? s->path_len : s->path_len - 1;
    } else {
        e.max_leaf_seconds = s->max_leaf ? s->max_leaf : TM_TIME_NEVER;
        TM_TRY(envelope_ekus(&e, a, s));
    }
    if (s->n_permit_dns) {
        e.permit_dns = arena_calloc(a, s->n_permit_dns, sizeof *e.permit_dns);
        if (!e.permit_dns)
            return TM_ENOMEM;
        for (size_t i = 0; i < s->n_permit_dns; i++)
            if (!(e.permit_dns[i] = arena_strdup(a, s->permit_dns[i])))
                return TM_ENOMEM;
        e.n_permit_dns = s->n_permit_dns;
    }
    (void)diag;
    *ret = e;
    return TM_OK;
}
