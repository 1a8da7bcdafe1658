#include "base/arena.h"
#include "base/clock.h"
#include "der/reader.h"
#include "keys/internal.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include "x509/name.h"
#include <stdarg.h>
#include <stdio.h>

enum { DAY = 86400, BACKDATE_MAX = 370 * DAY, CLOCK_SLACK = DAY, CHECK_ARENA_MAX = 1 << 20 };

/* Whoever holds one of these speaks for the CA, so "any" does not cover them. */
static const enum oid special_ekus[] = {OID_EKU_OCSP_SIGNING, OID_EKU_CMC_CA, OID_EKU_CMC_RA,
                                        OID_EKU_CMC_ARCHIVE,  OID_EKU_CM_KGA, OID_EKU_ANY};

[[gnu::format(printf, 4, 5)]] static tm_err deny(struct diag *diag, const char *rule, const char *field,
                                                 const char *fmt, ...);

static tm_err deny(struct diag *diag, const char *rule, const char *field, const char *fmt, ...)
{
    char text[sizeof diag->message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return diag_fail(diag, TM_EDENIED, rule, field, "%s", text);
}

tm_err envelope_check_allowed(const struct envelope *e, enum sign_kind kind, struct diag *diag)
{
    if (e->allow & (1u << kind))
        return TM_OK;
    return deny(diag, "envelope.allow", NULL, "key %s may not sign for \"%s\"", e->key_id,
                sign_kind_names[kind]);
}

static tm_err check_issuer(const struct envelope *e, struct slice issuer, struct diag *diag)
{
    if (e->issuer.n == 0 || slice_eq(e->issuer, issuer))
        return TM_OK;
    return deny(diag, "envelope.issuer", "issuer", "the issuer is not the one that key %s signs for",
                e->key_id);
}

/* ---- serial: 2 octets of expiry month, 4 of issue time, 10 that are the signer's ---- */

static unsigned expiry_month(int64_t not_after)
{
    struct civil_time c = civil_from_unix(not_after);
    int month = (c.year - 2000) * 12 + c.month - 1;
    return month < 0 ? 0 : month > 0x7fff ? 0x7fff : (unsigned)month;
}

static tm_err check_serial(const struct cert *c, int64_t now, struct diag *diag)
{
    static const uint8_t zero[10];
    const uint8_t *p = c->serial.p;
    if (c->serial.n != CERT_SERIAL_LEN || (p[0] & 0x80))
        return deny(diag, "envelope.serial", "serialNumber",
                    "the serial has not 16 octets with the top bit clear");
    if (memcmp(p + 6, zero, sizeof zero) != 0)
        return deny(diag, "envelope.serial", "serialNumber",
                    "the random part of a serial is the signer's to fill");
    unsigned month = (unsigned)p[0] << 8 | p[1];
    if (month != expiry_month(c->not_after))
        return deny(diag, "envelope.serial", "serialNumber",
                    "the serial does not begin with the month of expiry");
    int64_t issued = (int64_t)((uint32_t)p[2] << 24 | (uint32_t)p[3] << 16 | (uint32_t)p[4] << 8 | p[5]);
    int64_t off = issued - (int64_t)(uint32_t)now;
    if (off > CLOCK_SLACK || off < -CLOCK_SLACK)
        return deny(diag, "envelope.serial", "serialNumber", "the serial's issue time is not today");
    return TM_OK;
}

/* ---- validity ---- */

static tm_err check_validity(const struct envelope *e, const struct cert *c, int64_t longest, int64_t now,
                             struct diag *diag)
{
    if (c->not_after < c->not_before)
        return deny(diag, "envelope.lifetime", "validity", "the certificate ends before it begins");
    if (c->not_after > e->not_after_max)
        return deny(diag, "envelope.not_after_max", "validity.notAfter",
                    "the certificate would outlive its CA");
    if (longest != TM_TIME_NEVER && c->not_after - c->not_before > longest)
        return deny(diag, "envelope.lifetime", "validity",
                    "%lld seconds is longer than the %lld that key %s may give",
                    (long long)(c->not_after - c->not_before), (long long)longest, e->key_id);
    if (c->not_before < now - BACKDATE_MAX || c->not_before > now + BACKDATE_MAX)
        return deny(diag, "envelope.backdate", "validity.notBefore",
                    "notBefore is more than 370 days from now");
    return TM_OK;
}

/* ---- extended key usage ---- */

static bool listed(const struct envelope *e, const char *word)
{
    for (size_t i = 0; i < e->n_ekus; i++)
        if (strcmp(e->ekus[i], word) == 0)
            return true;
    return false;
}

static bool is_special(enum oid id)
{
    for (size_t i = 0; i < sizeof special_ekus / sizeof special_ekus[0]; i++)
        if (special_ekus[i] == id)
            return true;
    return false;
}

static tm_err check_ekus(const struct envelope *e, struct arena *a, bool leaf, const struct cert *c,
                         struct diag *diag)
{
    const struct ext *ext = exts_find(&c->exts, OID_EXT_EKU);
    struct eku eku;
    if (!ext) {
        if (!leaf || listed(e, "none") || listed(e, "any"))
            return TM_OK;
        return deny(diag, "envelope.ekus", "extKeyUsage", "a leaf of key %s needs an extended key usage",
                    e->key_id);
    }
    if (ext_decode_eku(&eku, ext->value, NULL) != TM_OK)
        return deny(diag, "RFC 5280 4.2.1.12", "extKeyUsage", "malformed");
    for (size_t i = 0; i < eku.n; i++) {
        enum oid id = oid_find(eku.oid[i]);
        const char *dotted = id != OID_UNKNOWN ? oid_dotted(id) : oid_to_dotted(a, eku.oid[i]);
        if (!dotted)
            return TM_ENOMEM;
        /* Below a CA the EKUs only narrow, but for those that make it a responder or an RA. */
        bool open = !leaf || listed(e, "any");
        if (!(open && !is_special(id)) && !listed(e, dotted))
            return deny(diag, "envelope.ekus", "extKeyUsage", "key %s may not give the extended key usage %s",
                        e->key_id, dotted);
    }
    return TM_OK;
}

/* ---- names ---- */

/* Does `host` (perhaps "*.…") lie under the suffix? */
static bool dns_under(struct slice host, const char *suffix)
{
    struct slice want = slice_str(suffix);
    if (host.n > 2 && host.p[0] == '*' && host.p[1] == '.')
        host = slice_sub(host, 2, host.n);
    if (host.n < want.n || !slice_caseeq(slice_sub(host, host.n - want.n, want.n), want))
        return false;
    return host.n == want.n || host.p[host.n - want.n - 1] == '.';
}

static tm_err check_dns(const struct envelope *e, struct slice host, const char *field, struct diag *diag)
{
    for (size_t i = 0; i < e->n_permit_dns; i++)
        if (dns_under(host, e->permit_dns[i]))
            return TM_OK;
    return deny(diag, "envelope.permit_dns", field, "\"%.*s\" lies under no DNS name that key %s may certify",
                (int)host.n, (const char *)host.p, e->key_id);
}

static bool looks_like_host(struct slice s)
{
    bool dot = false;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                    c == '_' || c == '*';
        if (!word && c != '.')
            return false;
        dot |= c == '.' && i > 0;
    }
    return dot;
}

/* RFC 9525 no longer looks at the common name, but clients that still do must not be led outside. */
static tm_err check_common_names(const struct envelope *e, struct arena *a, const struct cert *c,
                                 struct diag *diag)
{
    struct name subject;
    if (name_parse(&subject, c->subject, NULL) != TM_OK)
        return deny(diag, "RFC 5280 4.1.2.6", "subject", "malformed");
    for (size_t i = 0; i < subject.n; i++) {
        struct slice text;
        if (subject.attrs[i].type != OID_CN)
            continue;
        TM_TRY(name_attr_text(&text, a, &subject.attrs[i]));
        if (looks_like_host(text))
            TM_TRY(check_dns(e, text, "subject.commonName", diag));
    }
    return TM_OK;
}

static tm_err check_names(const struct envelope *e, struct arena *a, const struct cert *c, struct diag *diag)
{
    if (e->n_permit_dns == 0)
        return TM_OK;
    struct general_names san;
    if (cert_san(&san, a, c, NULL) != TM_OK)
        return deny(diag, "RFC 5280 4.2.1.6", "subjectAltName", "malformed");
    for (size_t i = 0; i < san.n; i++)
        if (san.v[i].type == GN_DNS)
            TM_TRY(check_dns(e, san.v[i].value, "subjectAltName.dNSName", diag));
    return check_common_names(e, a, c, diag);
}

/* ---- leaf or CA ---- */

static tm_err decode_usage(uint32_t *ret_ku, struct basic_constraints *ret_bc, const struct cert *c,
                           struct diag *diag)
{
    const struct ext *bc = exts_find(&c->exts, OID_EXT_BASIC_CONSTRAINTS);
    const struct ext *ku = exts_find(&c->exts, OID_EXT_KEY_USAGE);
    *ret_bc = (struct basic_constraints){0};
    *ret_ku = 0;
    if (bc && ext_decode_basic_constraints(ret_bc, bc->value, NULL) != TM_OK)
        return deny(diag, "RFC 5280 4.2.1.9", "basicConstraints", "malformed");
    if (ku && ext_decode_key_usage(ret_ku, ku->value, NULL) != TM_OK)
        return deny(diag, "RFC 5280 4.2.1.3", "keyUsage", "malformed");
    return TM_OK;
}

static tm_err check_leaf(const struct envelope *e, struct arena *a, const struct cert *c, uint32_t ku,
                         int64_t now, struct diag *diag)
{
    if (ku & (KU_KEY_CERT_SIGN | KU_CRL_SIGN))
        return deny(diag, "RFC 5280 4.2.1.3", "keyUsage", "a leaf may sign neither certificates nor CRLs");
    /* Without a key usage extension its key could sign CRLs under the CA's own name. */
    if (slice_eq(c->subject, c->issuer))
        return deny(diag, "envelope.subject", "subject", "a leaf may not bear its CA's name");
    TM_TRY(check_validity(e, c, e->max_leaf_seconds, now, diag));
    TM_TRY(check_ekus(e, a, true, c, diag));
    return check_names(e, a, c, diag);
}

/* id-kp-cmcRA, and beside it at most id-kp-cmKGA: who signs keys that are made in the house (RFC 9483 4.1.6). */
static bool ra_uses(const struct eku *eku)
{
    return (eku->n == 1 || (eku->n == 2 && oid_find(eku->oid[1]) == OID_EKU_CM_KGA)) &&
           oid_find(eku->oid[0]) == OID_EKU_CMC_RA;
}

/* The CA's RA (docs/adr/0004): no names, its use, no longer than the CA. Nothing else passes by this way. */
static tm_err check_ra(const struct envelope *e, const struct cert *c, uint32_t ku, int64_t now,
                       struct diag *diag)
{
    const struct ext *ext = exts_find(&c->exts, OID_EXT_EKU);
    struct eku eku;
    if (!(e->allow & (1u << SIGN_LEAF | 1u << SIGN_CA)))
        return deny(diag, "envelope.allow", NULL, "key %s is not a CA's", e->key_id);
    if (!ext || ext_decode_eku(&eku, ext->value, NULL) != TM_OK || !ra_uses(&eku) ||
        (ku & ~(uint32_t)KU_KEY_ENCIPHERMENT) != KU_DIGITAL_SIGNATURE)
        return deny(
            diag, "envelope.ra", "extKeyUsage",
            "an RA's certificate has the extended key usages cmcRA and cmKGA and signs messages only");
    if (exts_find(&c->exts, OID_EXT_SAN) || slice_eq(c->subject, c->issuer))
        return deny(diag, "envelope.ra", "subject", "an RA has a name of its own and no others");
    return check_validity(e, c, TM_TIME_NEVER, now, diag);
}

/* The CA's OCSP responder (docs/adr/0006, RFC 6960 4.2.2.2): no names, one use, nobody asks about it, and short. That its key is one of this
 * signer's, which answers for this CA and nothing else, has been looked at before (signer_core.c). */
static tm_err check_responder(const struct envelope *e, const struct cert *c, uint32_t ku, int64_t now,
                              struct diag *diag)
{
    enum { RESPONDER_LIFE_MAX = 100 * DAY };
    const struct ext *ext = exts_find(&c->exts, OID_EXT_EKU);
    struct eku eku;
    if (!(e->allow & (1u << SIGN_LEAF | 1u << SIGN_CA)))
        return deny(diag, "envelope.allow", NULL, "key %s is not a CA's", e->key_id);
    if (!ext || ext_decode_eku(&eku, ext->value, NULL) != TM_OK || eku.n != 1 ||
        oid_find(eku.oid[0]) != OID_EKU_OCSP_SIGNING || ku != KU_DIGITAL_SIGNATURE)
        return deny(
            diag, "envelope.responder", "extKeyUsage",
            "a responder's certificate has the extended key usage OCSPSigning and signs nothing else");
    if (!exts_find(&c->exts, OID_EXT_OCSP_NOCHECK) || exts_find(&c->exts, OID_EXT_SAN) ||
        slice_eq(c->subject, c->issuer))
        return deny(diag, "envelope.responder", "subject",
                    "a responder has a name of its own, no others, and ocspNoCheck");
    return check_validity(e, c, RESPONDER_LIFE_MAX, now, diag);
}

static tm_err check_ca(const struct envelope *e, struct arena *a, const struct cert *c, uint32_t ku,
                       const struct basic_constraints *bc, int64_t now, struct diag *diag)
{
    if (!(ku & KU_KEY_CERT_SIGN))
        return deny(diag, "RFC 5280 4.2.1.3", "keyUsage", "a CA certificate must allow keyCertSign");
    if (e->max_path_len >= 0 && (!bc->has_path_len || bc->path_len > (uint64_t)e->max_path_len))
        return deny(diag, "envelope.max_path_len", "basicConstraints",
                    "pathLenConstraint must be there and at most %d", e->max_path_len);
    TM_TRY(check_validity(e, c, e->max_ca_seconds, now, diag));
    return check_ekus(e, a, false, c, diag);
}

tm_err envelope_check_cert(const struct envelope *e, struct arena *a, enum sign_kind kind, enum sig_alg alg,
                           int serial_form, struct slice tbs, int64_t now, size_t *ret_serial,
                           struct diag *diag)
{
    struct cert c;
    struct basic_constraints bc;
    uint32_t ku;
    if (cert_parse_tbs(&c, tbs, diag) != TM_OK)
        return TM_EDENIED; /* diag has the parser's reason */
    if (c.version != 3)
        return deny(diag, "RFC 5280 4.1.2.1", "version", "only version 3 is signed");
    if (alg != SIG_ALG_NONE && !slice_eq(c.sigalg.der, sig_alg_info(alg)->algid))
        return deny(diag, "RFC 5280 4.1.1.2", "signature",
                    "the algorithm named inside is not the one to sign with");
    TM_TRY(decode_usage(&ku, &bc, &c, diag));
    if (kind != (bc.ca ? SIGN_CA : SIGN_LEAF))
        return deny(diag, "RFC 5280 4.2.1.9", "basicConstraints", "the certificate is %s",
                    bc.ca ? "a CA's" : "not a CA's");
    bool ra = serial_form == SERIAL_FRESH_RA && !bc.ca;
    bool responder = serial_form == SERIAL_FRESH_RESPONDER && !bc.ca;
    if (!ra && !responder)
        TM_TRY(envelope_check_allowed(e, kind, diag));
    TM_TRY(check_issuer(e, c.issuer, diag));
    if (serial_form != SERIAL_ADOPTED)
        TM_TRY(check_serial(&c, now, diag));
    else if (c.serial.n == 0 || (c.serial.p[0] & 0x80) || (c.serial.n == 1 && c.serial.p[0] == 0))
        return deny(diag, "RFC 5280 4.1.2.2", "serialNumber", "the serial is not positive");
    *ret_serial = c.serial.n == CERT_SERIAL_LEN ? (size_t)(c.serial.p - tbs.p) : 0;
    if (ra)
        return check_ra(e, &c, ku, now, diag);
    if (responder)
        return check_responder(e, &c, ku, now, diag);
    return bc.ca ? check_ca(e, a, &c, ku, &bc, now, diag) : check_leaf(e, a, &c, ku, now, diag);
}

tm_err envelope_check_tbs_cert(const struct envelope *e, struct slice tbs, int64_t now, struct diag *diag)
{
    struct cert c;
    struct basic_constraints bc;
    uint32_t ku;
    if (cert_parse_tbs(&c, tbs, diag) != TM_OK)
        return TM_EDENIED;
    TM_TRY(decode_usage(&ku, &bc, &c, diag));
    struct arena *a = arena_new(CHECK_ARENA_MAX);
    if (!a)
        return TM_ENOMEM;
    size_t serial;
    tm_err err = envelope_check_cert(e, a, bc.ca ? SIGN_CA : SIGN_LEAF, SIG_ALG_NONE, SERIAL_FRESH, tbs, now,
                                     &serial, diag);
    arena_free(a);
    return err;
}

/* ---- CRLs ---- */

tm_err envelope_check_crl_head(const struct envelope *e, enum sig_alg alg, const struct crl *c, int64_t now,
                               struct diag *diag)
{
    TM_TRY(envelope_check_allowed(e, SIGN_CRL, diag));
    TM_TRY(check_issuer(e, c->issuer, diag));
    if (alg != SIG_ALG_NONE && !slice_eq(c->sigalg.der, sig_alg_info(alg)->algid))
        return deny(diag, "RFC 5280 5.1.1.2", "signature",
                    "the algorithm named inside is not the one to sign with");
    /* RFC 5280 5.1.2.5: nextUpdate is a must. Series that are signed ahead have thisUpdate in the future. */
    if (c->next_update <= c->this_update)
        return deny(diag, "RFC 5280 5.1.2.5", "nextUpdate", "nextUpdate is not after thisUpdate");
    if (c->this_update < now - BACKDATE_MAX)
        return deny(diag, "envelope.backdate", "thisUpdate", "thisUpdate is more than 370 days ago");
    return TM_OK;
}

tm_err envelope_check_crl_end(const struct crl *c, struct diag *diag)
{
    return crl_number(c).n ? TM_OK : deny(diag, "RFC 5280 5.2.3", "cRLNumber", "a CRL must have a number");
}

tm_err envelope_check_crl(const struct envelope *e, enum sig_alg alg, struct slice tbs, int64_t now,
                          struct diag *diag)
{
    struct crl c;
    struct crl_iter it;
    struct crl_entry entry;
    if (crl_parse_tbs(&c, tbs, diag) != TM_OK)
        return TM_EDENIED;
    TM_TRY(envelope_check_crl_head(e, alg, &c, now, diag));
    TM_TRY(envelope_check_crl_end(&c, diag));
    crl_iter_init(&it, &c, diag);
    tm_err err;
    while ((err = crl_next(&it, &entry)) == TM_OK)
        ;
    return err == TM_ENOTFOUND ? TM_OK : TM_EDENIED;
}

tm_err envelope_check_tbs_crl(const struct envelope *e, struct slice tbs, int64_t now, struct diag *diag)
{
    return envelope_check_crl(e, SIG_ALG_NONE, tbs, now, diag);
}
