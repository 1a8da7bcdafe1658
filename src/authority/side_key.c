#include "authority/side_key.h"
#include "authority/enter.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "issue/house.h"
#include "keys/key.h"
#include "keys/signer.h"
#include "policy/profile.h"
#include "register/register.h"
#include "x509/name.h"
#include <string.h>

enum { SUBJECT_MAX = 16 << 10, RESOURCE_MAX = 1 << 20, SIDE_KEYS_MAX = 100 };

tm_err side_key_begin(struct side_key *k, tenant_id tenant, const char *authority, struct diag *diag)
{
    k->cat = house_catalog(k->c->house);
    if (k->c->house->mode != HOUSE_OFFLINE)
        return diag_fail(
            diag, TM_EUNAVAIL, "ceremony.offline", NULL,
            "a running server can't make or change CAs; stop it, run the command again, start it");
    k->x = catalog_authority(k->cat, tenant, authority);
    if (!k->x)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "/name", "there is no authority \"%s\"", authority);
    if (k->x->offline)
        return diag_fail(diag, TM_EUNAVAIL, NULL, "/name", "the key of \"%s\" is not in this house",
                         authority);
    if (k->x->cert.not_after <= clock_now())
        return diag_fail(diag, TM_EEXPIRED, NULL, "/name", "\"%s\" has expired", authority);
    return TM_OK;
}

static tm_err choose_key_id(struct side_key *k, const char *suffix, struct diag *diag)
{
    for (int i = 1; i < SIDE_KEYS_MAX; i++) {
        k->key_id = i == 1 ? arena_printf(k->a, "%s-%s", k->x->key_ref, suffix)
                           : arena_printf(k->a, "%s-%s%d", k->x->key_ref, suffix, i);
        if (!k->key_id)
            return TM_ENOMEM;
        if (strlen(k->key_id) > 63)
            return diag_fail(diag, TM_EINVAL, NULL, "/name",
                             "the authority's name is too long for another key's beside it");
        if (!signer_key_find(k->c->house->signer, k->key_id))
            return TM_OK;
    }
    return diag_fail(diag, TM_ETOOBIG, NULL, "/name", "this authority had %d of them already", SIDE_KEYS_MAX);
}

tm_err side_key_make(struct side_key *k, const char *suffix, const char *type, const struct envelope *env,
                     struct diag *diag)
{
    enum key_alg alg = KEY_ALG_EC_P256;
    unsigned bits = 0;
    k->dir = ceremony_key_dir(k->a, k->c);
    if (!k->dir)
        return TM_ENOMEM;
    TM_TRY(choose_key_id(k, suffix, diag));
    if (type && type[0] &&
        (key_alg_from_name(&alg, &bits, slice_str(type)) != TM_OK || (alg == KEY_ALG_RSA && bits == 0)))
        return diag_fail(diag, TM_EINVAL, NULL, "/key", "\"%s\" is not a key type", type);
    /* RFC 8419 3.1 wants SHAKE256 beside it, which is not done here. */
    if (alg == KEY_ALG_ED448)
        return diag_fail(diag, TM_EUNSUPPORTED, NULL, "/key", "Ed448 does not sign messages here");
    TM_TRY(key_generate(&k->key, alg, bits, diag));
    struct envelope sealed = *env;
    sealed.key_id = k->key_id;
    TM_TRY(key_store(k->dir, k->key, &sealed, k->c->passphrase, diag));
    k->stored = true;
    return signer_reload(k->c->house->signer, diag);
}

tm_err side_key_subject(struct slice *ret, struct arena *a, const struct authority *x, const char *cn,
                        struct diag *diag)
{
    struct buf text;
    buf_init(&text, SUBJECT_MAX);
    buf_printf(&text, "CN=%s,", cn);
    name_print_der(&text, x->cert.subject);
    tm_err e = buf_err(&text);
    if (e == TM_OK)
        e = name_from_text(ret, a, buf_slice(&text), diag);
    buf_done(&text);
    return e;
}

static tm_err put_event(struct effect *ret, struct arena *a, tenant_id tenant, const char *type,
                        const char *about, const struct event_field *fields)
{
    struct slice body;
    TM_TRY(about ? register_event_body(&body, a, fields) : TM_ENOMEM);
    return register_event_effect(ret, a, tenant, type, about, body, clock_now_ms());
}

tm_err side_key_event(struct effect *ret, struct arena *a, const struct authority *x, const char *type,
                      const struct event_field *fields)
{
    return put_event(ret, a, x->tenant, type, arena_printf(a, "authority/%s", x->name), fields);
}

tm_err side_cert_effects(struct effect ret[2], const struct cert **ret_cert, struct arena *a,
                         const struct authority *x, const struct ca_signed *c, const char *by,
                         struct diag *diag)
{
    struct cert *cert = arena_calloc(a, 1, sizeof *cert);
    if (!cert)
        return TM_ENOMEM;
    ret[0] = (struct effect){.kind = EFFECT_CERT_ADD, .tenant = x->tenant};
    struct cert_row *row = &ret[0].u.cert.row;
    TM_TRY(cert_parse(cert, c->der, diag));
    TM_TRY(cert_row_from_cert(row, a, cert));
    memcpy(row->id, c->serial, sizeof row->id);
    row->source = CERT_ISSUED;
    row->authority = x->name;
    row->profile = row->device = row->endpoint = "";
    row->door = DOOR_CEREMONY;
    row->issued_at = clock_now_ms();
    row->retention = RETAIN_FULL;
    row->keep_until = TM_TIME_NEVER;
    struct cert_key *keys;
    TM_TRY(cert_keys_collect(&keys, &ret[0].u.cert.n_keys, a, cert, ""));
    ret[0].u.cert.keys = keys;
    char *hex = arena_hex(a, SLICE_ARR(c->serial));
    struct event_field issued[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(x->name)},
        {.key = "caller", .kind = EVENT_STR, .s = slice_str(by)},
        {.key = "chain", .kind = EVENT_INT, .i = (int64_t)c->chain_seq},
        {.key = "door", .kind = EVENT_STR, .s = SLICE_LIT("ceremony")},
        {.key = "fingerprint", .kind = EVENT_HEX, .s = SLICE_ARR(row->fingerprint)},
        {.key = "kind", .kind = EVENT_STR, .s = SLICE_LIT("leaf")},
        {.key = "not_after", .kind = EVENT_INT, .i = cert->not_after},
        {.key = "not_before", .kind = EVENT_INT, .i = cert->not_before},
        {.key = "serial", .kind = EVENT_HEX, .s = SLICE_ARR(c->serial)},
        {.key = "subject", .kind = EVENT_STR, .s = slice_str(row->subject)},
        {.key = "tbs", .kind = EVENT_HEX, .s = SLICE_ARR(c->tbs_hash)},
        {0},
    };
    *ret_cert = cert;
    return put_event(&ret[1], a, x->tenant, "certificate.issued",
                     hex ? arena_printf(a, "certificate/%s", hex) : NULL, issued);
}

static tm_err set_members(json_t *doc, const char *object, const json_t *members)
{
    json_t *o = json_object_get(doc, object);
    if (json_is_object(o))
        return json_object_update(o, (json_t *)(uintptr_t)members) == 0 ? TM_OK : TM_ENOMEM;
    return json_object_set(doc, object, (json_t *)(uintptr_t)members) == 0 ? TM_OK : TM_ENOMEM;
}

tm_err side_key_enter(struct side_key *k, const char *object, json_t *members, struct diag *diag)
{
    struct house *h = k->c->house;
    struct store_read q = {.kind = READ_RESOURCE,
                           .tenant = k->x->tenant,
                           .arena = k->a,
                           .name = "Authority",
                           .name2 = k->x->name};
    json_t *doc = NULL;
    tm_err e = members ? store_read_now(h->store, &q) : TM_ENOMEM;
    if (e != TM_OK && members && diag)
        *diag = q.diag;
    if (e == TM_OK)
        e = json_parse(&doc, q.resources[0].json, RESOURCE_MAX, diag);
    if (e == TM_OK)
        e = set_members(doc, object, members);
    if (e == TM_OK)
        e = house_resource_put(h, k->x->tenant, "Authority", doc, q.resources[0].version, k->c->by, NULL,
                               diag);
    json_decref(doc);
    json_decref(members);
    if (e == TM_OK)
        k->stored = false; /* it belongs to the authority now */
    return e;
}

void side_key_done(struct side_key *k, tm_err e)
{
    if (e != TM_OK && k->stored) {
        ceremony_discard_key(k->c, k->key_id);
        TM_IGNORE(signer_reload(k->c->house->signer, NULL));
    }
    key_free(k->key);
    catalog_unref(k->cat);
}
