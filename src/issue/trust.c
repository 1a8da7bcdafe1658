#include "issue/trust.h"
#include "base/arena.h"
#include "base/digest.h"
#include "base/text.h"
#include "der/reader.h"
#include "keys/pubkey.h"
#include <string.h>

enum { PATH_MAX_CERTS = 8, PRESENTED_MAX = 10, ATTEMPTS_MAX = 64 };

struct search {
    const struct trust_set *set;
    struct cert presented[PRESENTED_MAX];
    size_t n_presented;
    int64_t now;
    unsigned attempts; /* signature checks spent: a hostile chain can't make us do many */
    bool expired;      /* some path would have fitted but for a time */
    struct diag *diag;
};

static bool times_fit(const struct cert *c, int64_t now)
{
    return c->not_before <= now && now <= c->not_after;
}

/* RFC 5280 6.1.4 (k)-(n): may `issuer` have signed `child`, with `below` CA certificates between it and the leaf? */
static bool may_issue(struct search *s, const struct cert *issuer, const struct cert *child, unsigned below)
{
    if (!slice_eq(issuer->subject, child->issuer))
        return false;
    struct slice akid = cert_akid(child), ski = cert_ski(issuer);
    if (akid.n && ski.n && !slice_eq(akid, ski))
        return false;
    if (!cert_is_ca(issuer))
        return false;
    const struct ext *ku = exts_find(&issuer->exts, OID_EXT_KEY_USAGE);
    uint32_t bits;
    if (ku && (ext_decode_key_usage(&bits, ku->value, NULL) != TM_OK || !(bits & KU_KEY_CERT_SIGN)))
        return false;
    const struct ext *bc = exts_find(&issuer->exts, OID_EXT_BASIC_CONSTRAINTS);
    struct basic_constraints b;
    if (bc && ext_decode_basic_constraints(&b, bc->value, NULL) == TM_OK && b.has_path_len &&
        below > b.path_len)
        return false;
    if (++s->attempts > ATTEMPTS_MAX)
        return false;
    return cert_verify_signature(child, &issuer->spki, NULL) == TM_OK;
}

static bool is_anchor(const struct search *s, const struct cert *c)
{
    for (size_t i = 0; i < s->set->n_anchors; i++)
        if (slice_eq(s->set->anchors[i].der, c->der))
            return true;
    return false;
}

/* Depth-first from `c` towards an anchor; `below` counts the CA certificates under the next issuer. */
static bool reaches_anchor(struct search *s, const struct cert *c, unsigned below)
{
    for (size_t i = 0; i < s->set->n_anchors; i++) {
        const struct cert *anchor = &s->set->anchors[i];
        if (!may_issue(s, anchor, c, below))
            continue;
        if (times_fit(anchor, s->now) || s->set->accept_expired)
            return true;
        s->expired = true;
    }
    if (below + 1 >= PATH_MAX_CERTS)
        return false;
    const struct cert *pools[2] = {s->set->intermediates, s->presented};
    const size_t counts[2] = {s->set->n_intermediates, s->n_presented};
    for (size_t p = 0; p < 2; p++) {
        for (size_t i = 0; i < counts[p]; i++) {
            const struct cert *up = &pools[p][i];
            if (slice_eq(up->der, c->der) || slice_eq(up->subject, up->issuer) || !may_issue(s, up, c, below))
                continue;
            if (!times_fit(up, s->now) && !s->set->accept_expired) {
                s->expired = true;
                continue;
            }
            if (reaches_anchor(s, up, below + 1))
                return true;
        }
    }
    return false;
}

/* Extensions that we don't process must not be critical (RFC 5280 6.1.4 (o)). */
static bool critical_known(const struct cert *c)
{
    for (size_t i = 0; i < c->exts.n; i++)
        if (c->exts.v[i].critical && c->exts.v[i].id == OID_UNKNOWN)
            return false;
    return true;
}

tm_err trust_set_verify(const struct trust_set *t, const struct cert *leaf, const struct slice *chain,
                        size_t n_chain, int64_t now, struct diag *diag)
{
    struct search s = {.set = t, .now = now, .diag = diag};
    for (size_t i = 0; i < n_chain && s.n_presented < PRESENTED_MAX; i++)
        if (cert_parse(&s.presented[s.n_presented], chain[i], NULL) == TM_OK)
            s.n_presented++;
    if (!critical_known(leaf))
        return diag_fail(diag, TM_EAUTH, "RFC 5280 6.1.4", "certificate",
                         "the certificate has a critical extension that is not known here");
    bool found = is_anchor(&s, leaf) || reaches_anchor(&s, leaf, 0);
    if (!found && s.expired)
        return diag_fail(diag, TM_EEXPIRED, "RFC 5280 6.1.3", "certificate",
                         "a CA certificate on the path to trust set \"%s\" is out of its time", t->name);
    if (!found)
        return diag_fail(diag, TM_EAUTH, "RFC 5280 6.1", "certificate",
                         "the certificate does not chain up to trust set \"%s\"", t->name);
    if (leaf->not_before > now)
        return diag_fail(diag, TM_EEXPIRED, "RFC 5280 4.1.2.5", "certificate",
                         "the certificate is not valid yet");
    if (leaf->not_after < now && !t->accept_expired)
        return diag_fail(diag, TM_EEXPIRED, "RFC 5280 4.1.2.5", "certificate", "the certificate has expired");
    return TM_OK;
}

bool trust_set_reaches(const struct trust_set *t, const struct cert *leaf, const struct slice *chain,
                       size_t n_chain)
{
    struct trust_set any_time = *t;
    any_time.accept_expired = true;
    struct search s = {.set = &any_time, .now = leaf->not_before};
    for (size_t i = 0; i < n_chain && s.n_presented < PRESENTED_MAX; i++)
        if (cert_parse(&s.presented[s.n_presented], chain[i], NULL) == TM_OK)
            s.n_presented++;
    return is_anchor(&s, leaf) || reaches_anchor(&s, leaf, 0);
}

/* hwSerialNum of the first hardwareModuleName (RFC 4108 5) as text, or hex where it isn't text. */
static tm_err hw_serial(const char **ret, struct arena *a, const struct cert *leaf)
{
    struct general_names san;
    TM_TRY(cert_san(&san, a, leaf, NULL));
    for (size_t i = 0; i < san.n; i++) {
        if (san.v[i].type != GN_OTHER || san.v[i].other != OID_HW_MODULE_NAME)
            continue;
        /* HardwareModuleName ::= SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING } */
        struct der_reader r, in;
        struct slice type, serial;
        der_reader_init(&r, san.v[i].value, NULL);
        TM_TRY(der_enter(&r, DER_SEQUENCE, &in));
        TM_TRY(der_read_oid(&in, &type));
        TM_TRY(der_read(&in, DER_OCTET_STRING, &serial));
        TM_TRY(der_end(&in));
        bool text = serial.n > 0 && utf8_valid(serial);
        for (size_t k = 0; k < serial.n; k++)
            text = text && serial.p[k] > 0x20 && serial.p[k] < 0x7f;
        *ret = text ? arena_strndup(a, (const char *)serial.p, serial.n) : arena_hex(a, serial);
        return *ret ? TM_OK : TM_ENOMEM;
    }
    return TM_ENOTFOUND;
}

tm_err trust_set_device_id(const char **ret, struct arena *a, const struct trust_set *t,
                           const struct cert *leaf)
{
    if (t->device_id_from == DEVICE_ID_FINGERPRINT) {
        uint8_t fp[SHA256_LEN];
        TM_TRY(sha256(fp, leaf->der));
        *ret = arena_hex(a, SLICE_ARR(fp));
        return *ret ? TM_OK : TM_ENOMEM;
    }
    if (t->device_id_from == DEVICE_ID_HW_MODULE)
        return hw_serial(ret, a, leaf);
    struct name n;
    TM_TRY(name_parse(&n, leaf->subject, NULL));
    struct slice text;
    TM_TRY(name_get(&text, a, &n, t->device_id_from == DEVICE_ID_CN ? OID_CN : OID_SERIAL_NUMBER));
    if (text.n == 0)
        return TM_ENOTFOUND;
    *ret = arena_strndup(a, (const char *)text.p, text.n);
    return *ret ? TM_OK : TM_ENOMEM;
}

const struct authority *trust_own_issuer(const struct catalog *c, tenant_id tenant, const struct cert *leaf)
{
    const struct authority *const *v;
    size_t n = catalog_authorities(c, &v);
    struct slice akid = cert_akid(leaf);
    for (size_t i = 0; i < n; i++) {
        const struct authority *x = v[i];
        if (x->tenant != tenant || !slice_eq(x->cert.subject, leaf->issuer) ||
            (akid.n && !slice_eq(akid, x->key_id)))
            continue;
        if (cert_verify_signature(leaf, &x->cert.spki, NULL) == TM_OK)
            return x;
    }
    return NULL;
}
