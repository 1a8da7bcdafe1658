/* New authorities: a root out of its bundle, CAs with their keys in this house. */
#include "authority/ceremony.h"
#include "authority/anchors.h"
#include "authority/enter.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "issue/house.h"
#include "keys/key.h"
#include "keys/signer.h"
#include "status/crl.h"
#include <string.h>

enum { CHAIN_MAX = 16, SERIES_MAX = 64 << 20 };

static tm_err ceremony_add_root(struct ca_result *ret, struct arena *a, const struct ceremony *c,
                                const struct ca_spec *spec, const struct offline_bundle *b, struct diag *diag)
{
    TM_TRY(ceremony_check(c, spec, true, diag));
    struct entry x = {.c = c,
                      .spec = spec,
                      .what = "create-root",
                      .key_id = "",
                      .der = offline_bundle_cert(b)->der,
                      .root = true};
    TM_TRY(authority_enter(ret, a, &x, diag));
    return house_reload(c->house, diag);
}

static tm_err first_series(const struct ceremony *c, struct arena *a, struct offline_bundle *b,
                           const struct ca_spec *spec, const struct offline_crls *crls, struct diag *diag)
{
    struct buf pem;
    buf_init(&pem, SERIES_MAX);
    struct catalog *cat = house_catalog(c->house);
    const struct authority *x = catalog_authority(cat, spec->tenant, spec->name);
    struct crl_series series;
    tm_err e = x ? offline_bundle_crls(&pem, b, crls, diag) : TM_EINTERNAL;
    if (e == TM_OK)
        e = crl_series_import(&series, c->house, x, buf_slice(&pem), c->by, diag);
    catalog_unref(cat);
    buf_done(&pem);
    return e;
}

tm_err ceremony_create_root(struct ca_result *ret, struct arena *a, const struct ceremony *c,
                            const struct ca_spec *spec, const char *path,
                            const struct secret *bundle_passphrase, const struct offline_crls *crls,
                            struct offline_bundle **ret_bundle, struct diag *diag)
{
    TM_TRY(ceremony_check(c, spec, true, diag));
    /* The bundle has to know where its CRLs will be: it signs on a machine that knows nothing else. */
    struct ca_spec s = *spec;
    const char *base = c->house->public_base;
    if (base[0] && !(s.crl_url && s.crl_url[0]))
        s.crl_url = arena_printf(a, "%s/crl/{ski}/full.crl", base);
    if (base[0] && !(s.ca_url && s.ca_url[0]))
        s.ca_url = arena_printf(a, "%s/ca/{ski}.cer", base);
    struct offline_bundle *b = NULL;
    TM_TRY(offline_bundle_create(&b, path, bundle_passphrase, &s, diag));
    tm_err e = ceremony_add_root(ret, a, c, spec, b, diag);
    if (e == TM_OK)
        e = anchors_follow(a, c, spec->tenant, spec->name, diag);
    if (e == TM_OK)
        e = first_series(c, a, b, spec, crls ? crls : &(struct offline_crls){0}, diag);
    if (e == TM_OK && ret_bundle)
        *ret_bundle = b;
    else
        offline_bundle_close(b);
    return e;
}

/* ---- a CA below another ---- */

struct making {
    struct arena *a;
    const struct ceremony *c;
    const struct ca_spec *spec;
    struct catalog *cat;
    const struct authority *parent;
    struct offline_bundle *bundle;
    const char *key_id, *dir;
    struct key *key;
    struct slice subject;
    struct ca_signed signature;
    bool stored;
};

static tm_err find_parent(struct making *m, const char *name, struct diag *diag)
{
    if (!name || !name[0])
        return TM_OK;
    m->parent = catalog_authority(m->cat, m->spec->tenant, name);
    if (!m->parent)
        m->parent = catalog_authority(m->cat, TENANT_DEFAULT, name);
    if (!m->parent)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "/parent", "there is no authority \"%s\"", name);
    if (m->bundle && !slice_eq(offline_bundle_cert(m->bundle)->der, m->parent->der))
        return diag_fail(diag, TM_EINVAL, NULL, "/bundle",
                         "the bundle is of \"%s\", not of \"%s\" as it is known here",
                         offline_bundle_name(m->bundle), name);
    if (m->parent->offline && !m->bundle)
        return diag_fail(diag, TM_EUNAVAIL, NULL, "/parent",
                         "the key of \"%s\" is not in this house: give its bundle, or make a request for it",
                         name);
    if (m->parent->cert.not_after <= clock_now())
        return diag_fail(diag, TM_EEXPIRED, NULL, "/parent", "\"%s\" has expired", name);
    return TM_OK;
}

static tm_err make_key(struct making *m, bool self_signed, int64_t not_after, struct diag *diag)
{
    enum key_alg alg;
    unsigned bits;
    TM_TRY(ca_spec_key(&alg, &bits, m->spec, false, diag));
    TM_TRY(key_generate(&m->key, alg, bits, diag));
    struct envelope env;
    TM_TRY(ca_envelope(&env, m->a, m->spec, false, m->subject, not_after, diag));
    env.key_id = m->key_id;
    /* It signs its own certificate first; narrowed at once after that. */
    if (self_signed && !m->spec->issues_cas) {
        env.allow |= 1u << SIGN_CA;
        env.max_ca_seconds = TM_TIME_NEVER;
    }
    if (self_signed)
        env.max_path_len = -1;
    TM_TRY(key_store(m->dir, m->key, &env, m->c->passphrase, diag));
    m->stored = true;
    return TM_OK;
}

static tm_err self_sign(struct making *m, int64_t now, int64_t not_after, struct diag *diag)
{
    struct signer *s = m->c->house->signer;
    TM_TRY(signer_reload(s, diag));
    struct ca_plan p = {
        .issuer = m->subject,
        .subject = m->subject,
        .spki = key_spki(m->key),
        .not_before = m->spec->not_before ? m->spec->not_before : now - CA_BACKDATE,
        .not_after = not_after,
        .path_len = m->spec->issues_cas ? m->spec->path_len : 0,
        .permit_dns = m->spec->permit_dns,
        .n_permit_dns = m->spec->n_permit_dns,
        .sig_alg = sig_alg_default(key_alg(m->key)),
    };
    if (m->spec->signature && m->spec->signature[0])
        TM_TRY(sig_alg_from_name(&p.sig_alg, slice_str(m->spec->signature)));
    TM_TRY(ca_plan_sign(&m->signature, m->a, s, m->key_id, &p, p.spki, diag));
    struct envelope env;
    TM_TRY(ca_envelope(&env, m->a, m->spec, false, m->subject, not_after, diag));
    env.key_id = m->key_id;
    return key_reseal(m->dir, m->key, &env, diag);
}

static tm_err sign_by_parent(struct making *m, int64_t now, int64_t not_after, struct diag *diag)
{
    const struct authority *x = m->parent;
    const char *crl, *ca;
    TM_TRY(house_authority_urls(&crl, &ca, m->a, m->c->house, x));
    if (m->bundle) {
        struct offline_sign o = {.not_after = not_after, /* to the second what the envelope says */
                                 .path_len = m->spec->path_len,
                                 .issues_cas = m->spec->issues_cas,
                                 .crl_url = crl,
                                 .ca_url = ca,
                                 .permit_dns = m->spec->permit_dns,
                                 .n_permit_dns = m->spec->n_permit_dns};
        return offline_bundle_sign(&m->signature, m->a, m->bundle, m->subject, key_spki(m->key), &o, diag);
    }
    int64_t from = m->spec->not_before ? m->spec->not_before : now - CA_BACKDATE;
    struct ca_plan p = {
        .issuer = x->cert.subject,
        .subject = m->subject,
        .spki = key_spki(m->key),
        .issuer_key_id = x->key_id,
        .not_before = from > x->cert.not_before ? from : x->cert.not_before,
        .not_after = not_after,
        .path_len = m->spec->issues_cas ? m->spec->path_len : 0,
        .crl_url = crl,
        .ca_url = ca,
        .ocsp_url = house_ocsp_url(m->a, m->c->house, x),
        .permit_dns = m->spec->permit_dns,
        .n_permit_dns = m->spec->n_permit_dns,
        .sig_alg = x->sig_alg,
    };
    return ca_plan_sign(&m->signature, m->a, m->c->house->signer, x->key_ref, &p, x->cert.spki.der, diag);
}

static tm_err enter(struct ca_result *ret, struct making *m, struct diag *diag)
{
    struct slice chain[CHAIN_MAX];
    size_t n = 0;
    if (m->parent) {
        if (m->parent->n_chain >= CHAIN_MAX)
            return diag_fail(diag, TM_ETOOBIG, NULL, "/parent", "the hierarchy is more than %d deep",
                             CHAIN_MAX);
        chain[n++] = m->parent->der;
        for (size_t i = 0; i < m->parent->n_chain; i++)
            chain[n++] = m->parent->chain[i];
    }
    struct entry x = {
        .c = m->c,
        .spec = m->spec,
        .what = "create-ca",
        .key_id = m->key_id,
        .key = m->key,
        .der = m->signature.der,
        .chain = chain,
        .n_chain = n,
        .parent = m->parent,
        .root = m->parent == NULL,
        .signature = &m->signature,
        .signed_here = m->bundle == NULL,
    };
    TM_TRY(signer_reload(m->c->house->signer, diag));
    TM_TRY(authority_enter(ret, m->a, &x, diag));
    m->stored = false; /* it belongs to the authority now */
    return house_reload(m->c->house, diag);
}

static tm_err make(struct ca_result *ret, struct making *m, const char *parent, struct diag *diag)
{
    TM_TRY(find_parent(m, parent, diag));
    TM_TRY(authority_key_id(&m->key_id, m->a, m->c->house, m->spec, diag));
    m->dir = ceremony_key_dir(m->a, m->c);
    if (!m->dir)
        return TM_ENOMEM;
    TM_TRY(ca_spec_subject(&m->subject, m->a, m->spec, diag));
    if (m->parent && slice_eq(m->subject, m->parent->cert.subject))
        return diag_fail(diag, TM_EINVAL, "RFC 5280 6.1", "/subject",
                         "a CA can't bear the name of its parent");
    int64_t now = clock_now();
    int64_t end =
        ca_not_after(m->spec->lifetime, false, now, m->parent ? m->parent->cert.not_after : TM_TIME_NEVER);
    TM_TRY(make_key(m, !m->parent, end, diag));
    TM_TRY(m->parent ? sign_by_parent(m, now, end, diag) : self_sign(m, now, end, diag));
    return enter(ret, m, diag);
}

tm_err ceremony_create_ca(struct ca_result *ret, struct arena *a, const struct ceremony *c,
                          const struct ca_spec *spec, const char *parent, struct offline_bundle *bundle,
                          struct diag *diag)
{
    TM_TRY(ceremony_check(c, spec, true, diag));
    struct making m = {.a = a, .c = c, .spec = spec, .bundle = bundle, .cat = house_catalog(c->house)};
    tm_err e = make(ret, &m, parent, diag);
    if (e != TM_OK && m.stored) {
        ceremony_discard_key(c, m.key_id);
        TM_IGNORE(signer_reload(c->house->signer, NULL));
    }
    key_free(m.key);
    catalog_unref(m.cat);
    return e;
}
