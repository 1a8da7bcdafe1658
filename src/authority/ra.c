#include "authority/ra.h"
#include "authority/enter.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "issue/chain.h"
#include "issue/house.h"
#include "keys/key.h"
#include "keys/signer.h"
#include "policy/profile.h"
#include "register/register.h"
#include "x509/name.h"
#include <string.h>

enum { SUBJECT_MAX = 16 << 10, RESOURCE_MAX = 1 << 20, RA_KEYS_MAX = 100 };

struct making {
    struct arena *a;
    const struct ceremony *c;
    struct catalog *cat;
    const struct authority *x;
    const char *dir, *key_id;
    struct key *key;
    struct slice subject;
    struct ca_signed signature;
    bool stored; /* the key's files are this ceremony's, and nothing refers to them yet */
};

/* ---- the key ---- */

/* "<the CA's key>-ra", and a number behind it for those that come after. */
static tm_err choose_key_id(struct making *m, struct diag *diag)
{
    for (int i = 1; i < RA_KEYS_MAX; i++) {
        m->key_id = i == 1 ? arena_printf(m->a, "%s-ra", m->x->key_ref)
                           : arena_printf(m->a, "%s-ra%d", m->x->key_ref, i);
        if (!m->key_id)
            return TM_ENOMEM;
        if (strlen(m->key_id) > 63)
            return diag_fail(diag, TM_EINVAL, NULL, "/name", "the authority's name is too long for an RA's");
        if (!signer_key_find(m->c->house->signer, m->key_id))
            return TM_OK;
    }
    return diag_fail(diag, TM_ETOOBIG, NULL, "/name", "this authority had %d RAs already", RA_KEYS_MAX);
}

static tm_err make_key(struct making *m, const char *type, struct diag *diag)
{
    enum key_alg alg = KEY_ALG_EC_P256;
    unsigned bits = 0;
    if (type && type[0] &&
        (key_alg_from_name(&alg, &bits, slice_str(type)) != TM_OK || (alg == KEY_ALG_RSA && bits == 0)))
        return diag_fail(diag, TM_EINVAL, NULL, "/key", "\"%s\" is not a key type", type);
    /* RFC 8419 3.1 wants SHAKE256 beside it, which is not done here. */
    if (alg == KEY_ALG_ED448)
        return diag_fail(diag, TM_EUNSUPPORTED, NULL, "/key", "Ed448 does not sign messages here");
    TM_TRY(key_generate(&m->key, alg, bits, diag));
    struct envelope env = {.key_id = m->key_id, .origin = "", .allow = 1u << SIGN_CMS, .max_path_len = -1};
    TM_TRY(key_store(m->dir, m->key, &env, m->c->passphrase, diag));
    m->stored = true;
    return TM_OK;
}

/* ---- the certificate ---- */

/* Below the CA's own name: CN=RA,CN=Example Issuing CA,O=Example. */
static tm_err make_subject(struct making *m, struct diag *diag)
{
    struct buf text;
    buf_init(&text, SUBJECT_MAX);
    buf_puts(&text, "CN=RA,");
    name_print_der(&text, m->x->cert.subject);
    tm_err e = buf_err(&text);
    if (e == TM_OK)
        e = name_from_text(&m->subject, m->a, buf_slice(&text), diag);
    buf_done(&text);
    return e;
}

/* A CA's envelope never lets it certify an RA, for that would be the way for a taken-over server to become one: the signer does it in a
 * ceremony only, where it runs in this process and has the passphrase. */
static tm_err certify(struct making *m, struct diag *diag)
{
    const struct authority *x = m->x;
    const char *crl, *ca;
    int64_t from = clock_now() - CA_BACKDATE;
    TM_TRY(house_authority_urls(&crl, &ca, m->a, m->c->house, x));
    TM_TRY(make_subject(m, diag));
    struct ca_plan p = {
        .issuer = x->cert.subject,
        .subject = m->subject,
        .spki = key_spki(m->key),
        .issuer_key_id = x->key_id,
        .not_before = from > x->cert.not_before ? from : x->cert.not_before,
        .not_after = x->cert.not_after,
        .path_len = -1,
        .crl_url = crl,
        .ca_url = ca,
        .ocsp_url = x->ocsp_url,
        .sig_alg = x->sig_alg,
        .ra = true,
    };
    return ca_plan_sign(&m->signature, m->a, m->c->house->signer, x->key_ref, &p, x->cert.spki.der, diag);
}

/* ---- the record ---- */

static tm_err add_event(struct effect *ret, struct making *m, const char *type, const char *about,
                        const struct event_field *fields)
{
    struct slice body;
    TM_TRY(about ? register_event_body(&body, m->a, fields) : TM_ENOMEM);
    return register_event_effect(ret, m->a, m->x->tenant, type, about, body, clock_now_ms());
}

/* In the inventory like any other certificate, so that it can be found and revoked. */
static tm_err record_certificate(struct making *m, struct diag *diag)
{
    struct cert cert;
    struct effect v[3] = {{.kind = EFFECT_CERT_ADD, .tenant = m->x->tenant}};
    struct cert_row *row = &v[0].u.cert.row;
    TM_TRY(cert_parse(&cert, m->signature.der, diag));
    TM_TRY(cert_row_from_cert(row, m->a, &cert));
    memcpy(row->id, m->signature.serial, sizeof row->id);
    row->source = CERT_ISSUED;
    row->authority = m->x->name;
    row->profile = row->device = row->endpoint = "";
    row->door = DOOR_CEREMONY;
    row->issued_at = clock_now_ms();
    row->retention = RETAIN_FULL;
    row->keep_until = TM_TIME_NEVER;
    struct cert_key *keys;
    TM_TRY(cert_keys_collect(&keys, &v[0].u.cert.n_keys, m->a, &cert, ""));
    v[0].u.cert.keys = keys;
    char *hex = arena_hex(m->a, SLICE_ARR(m->signature.serial));
    struct event_field issued[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(m->x->name)},
        {.key = "caller", .kind = EVENT_STR, .s = slice_str(m->c->by)},
        {.key = "chain", .kind = EVENT_INT, .i = (int64_t)m->signature.chain_seq},
        {.key = "door", .kind = EVENT_STR, .s = SLICE_LIT("ceremony")},
        {.key = "fingerprint", .kind = EVENT_HEX, .s = SLICE_ARR(row->fingerprint)},
        {.key = "kind", .kind = EVENT_STR, .s = SLICE_LIT("leaf")},
        {.key = "not_after", .kind = EVENT_INT, .i = cert.not_after},
        {.key = "not_before", .kind = EVENT_INT, .i = cert.not_before},
        {.key = "serial", .kind = EVENT_HEX, .s = SLICE_ARR(m->signature.serial)},
        {.key = "subject", .kind = EVENT_STR, .s = slice_str(row->subject)},
        {.key = "tbs", .kind = EVENT_HEX, .s = SLICE_ARR(m->signature.tbs_hash)},
        {0},
    };
    TM_TRY(add_event(&v[1], m, "certificate.issued", hex ? arena_printf(m->a, "certificate/%s", hex) : NULL,
                     issued));
    struct event_field ceremony[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(m->x->name)},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(m->c->by)},
        {.key = "ceremony", .kind = EVENT_STR, .s = SLICE_LIT("create-ra")},
        {.key = "fingerprint", .kind = EVENT_HEX, .s = SLICE_ARR(row->fingerprint)},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(m->key_id)},
        {0},
    };
    TM_TRY(
        add_event(&v[2], m, "ceremony.completed", arena_printf(m->a, "authority/%s", m->x->name), ceremony));
    TM_TRY(house_commit(m->c->house, v, 3, diag));
    chain_recorded(m->c->house->chain, m->signature.chain_seq);
    return TM_OK;
}

/* The authority's document names its RA from now on. */
static tm_err enter_resource(struct making *m, struct diag *diag)
{
    struct house *h = m->c->house;
    struct store_read q = {.kind = READ_RESOURCE,
                           .tenant = m->x->tenant,
                           .arena = m->a,
                           .name = "Authority",
                           .name2 = m->x->name};
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK) {
        if (diag)
            *diag = q.diag;
        return e;
    }
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, q.resources[0].json, RESOURCE_MAX, diag));
    struct buf pem;
    buf_init(&pem, 2 * CERT_DER_MAX);
    buf_put_pem(&pem, "CERTIFICATE", m->signature.der);
    e = buf_err(&pem);
    if (e == TM_OK &&
        json_object_set_new(doc, "ra",
                            json_pack("{s:s,s:s}", "key", m->key_id, "certificate", buf_str(&pem))) != 0)
        e = TM_ENOMEM;
    buf_done(&pem);
    if (e == TM_OK)
        e = house_resource_put(h, m->x->tenant, "Authority", doc, q.resources[0].version, m->c->by, NULL,
                               diag);
    json_decref(doc);
    return e;
}

/* ---- the ceremony ---- */

static tm_err find_authority(struct making *m, tenant_id tenant, const char *name, struct diag *diag)
{
    if (m->c->house->mode != HOUSE_OFFLINE)
        return diag_fail(
            diag, TM_EUNAVAIL, "ceremony.offline", NULL,
            "a running server can't make or change CAs; stop it, run the command again, start it");
    m->x = catalog_authority(m->cat, tenant, name);
    if (!m->x)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "/name", "there is no authority \"%s\"", name);
    if (m->x->offline)
        return diag_fail(diag, TM_EUNAVAIL, NULL, "/name", "the key of \"%s\" is not in this house", name);
    if (m->x->cert.not_after <= clock_now())
        return diag_fail(diag, TM_EEXPIRED, NULL, "/name", "\"%s\" has expired", name);
    return TM_OK;
}

static tm_err make(struct ca_result *ret, struct making *m, const char *type, struct diag *diag)
{
    m->dir = ceremony_key_dir(m->a, m->c);
    if (!m->dir)
        return TM_ENOMEM;
    TM_TRY(choose_key_id(m, diag));
    TM_TRY(make_key(m, type, diag));
    TM_TRY(signer_reload(m->c->house->signer, diag));
    TM_TRY(certify(m, diag));
    chain_signed(m->c->house->chain, m->signature.chain_seq, m->signature.chain_hash);
    TM_TRY(record_certificate(m, diag));
    TM_TRY(enter_resource(m, diag));
    m->stored = false; /* it belongs to the authority now */
    ca_result_fill(ret, m->a, m->key_id, m->signature.der);
    return TM_OK;
}

tm_err ceremony_create_ra(struct ca_result *ret, struct arena *a, const struct ceremony *c, tenant_id tenant,
                          const char *authority, const char *key, struct diag *diag)
{
    struct making m = {.a = a, .c = c, .cat = house_catalog(c->house)};
    tm_err e = find_authority(&m, tenant, authority, diag);
    if (e == TM_OK)
        e = make(ret, &m, key, diag);
    if (e != TM_OK && m.stored) {
        ceremony_discard_key(c, m.key_id);
        TM_IGNORE(signer_reload(c->house->signer, NULL));
    }
    key_free(m.key);
    catalog_unref(m.cat);
    return e;
}
