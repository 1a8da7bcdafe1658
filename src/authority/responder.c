#include "authority/responder.h"
#include "authority/enter.h"
#include "authority/side_key.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "issue/chain.h"
#include "issue/house.h"
#include "keys/signer.h"
#include "register/register.h"
#include <string.h>

/* ---- the key ---- */

tm_err ceremony_create_responder(const char **ret_key_id, struct arena *a, const struct ceremony *c,
                                 tenant_id tenant, const char *authority, const char *key, struct diag *diag)
{
    struct side_key k = {.a = a, .c = c};
    tm_err e = side_key_begin(&k, tenant, authority, diag);
    if (e == TM_OK) {
        const struct envelope env = {.origin = "",
                                     .allow = 1u << SIGN_OCSP,
                                     .issuer = k.x->cert.subject,
                                     .not_after_max = k.x->cert.not_after,
                                     .max_path_len = -1};
        e = side_key_make(&k, "ocsp", key, &env, diag);
    }
    if (e == TM_OK) {
        struct effect done = {0};
        struct event_field fields[] = {
            {.key = "authority", .kind = EVENT_STR, .s = slice_str(k.x->name)},
            {.key = "by", .kind = EVENT_STR, .s = slice_str(c->by)},
            {.key = "ceremony", .kind = EVENT_STR, .s = SLICE_LIT("create-responder")},
            {.key = "key", .kind = EVENT_STR, .s = slice_str(k.key_id)},
            {0},
        };
        e = side_key_event(&done, a, k.x, "ceremony.completed", fields);
        if (e == TM_OK)
            e = house_commit(c->house, &done, 1, diag);
    }
    if (e == TM_OK)
        e = side_key_enter(&k, "ocsp", json_pack("{s:s}", "key", k.key_id), diag);
    if (e == TM_OK)
        *ret_key_id = k.key_id;
    side_key_done(&k, e);
    return e;
}

/* ---- its certificate ---- */

static tm_err certify(struct ca_signed *ret, struct arena *a, struct house *h, const struct authority *x,
                      const struct signer_key *key, struct diag *diag)
{
    int64_t now = clock_now(), end = now + RESPONDER_LIFE;
    struct slice subject;
    TM_TRY(side_key_subject(&subject, a, x, "OCSP", diag));
    struct ca_plan p = {
        .issuer = x->cert.subject,
        .subject = subject,
        .spki = key->spki,
        .issuer_key_id = x->key_id,
        .not_before = now - CA_BACKDATE > x->cert.not_before ? now - CA_BACKDATE : x->cert.not_before,
        .not_after = end < x->cert.not_after ? end : x->cert.not_after,
        .path_len = -1,
        .sig_alg = x->sig_alg,
        .responder = true,
    };
    return ca_plan_sign(ret, a, h->signer, x->key_ref, &p, x->cert.spki.der, diag);
}

/* The inventory has it, the register says so, and it is the authority's from now on, all in one transaction. */
static tm_err renew(struct house *h, struct arena *a, const struct authority *x, struct diag *diag)
{
    const struct signer_key *key = signer_key_find(h->signer, x->ocsp.key);
    if (!key)
        return diag_fail(diag, TM_ENOTFOUND, NULL, x->name, "the signer has no key \"%s\"", x->ocsp.key);
    struct ca_signed made;
    struct effect v[3] = {0};
    const struct cert *cert;
    TM_TRY(certify(&made, a, h, x, key, diag));
    chain_signed(h->chain, made.chain_seq, made.chain_hash);
    TM_TRY(side_cert_effects(v, &cert, a, x, &made, "house", diag));
    v[0].u.cert.row.keep_until = cert->not_after + RESPONDER_LIFE;
    v[2] = (struct effect){.kind = EFFECT_META_PUT,
                           .tenant = x->tenant,
                           .u.meta = {arena_printf(a, "ocsp-responder/%s", x->name), made.der}};
    if (!v[2].u.meta.name)
        return TM_ENOMEM;
    TM_TRY(house_commit(h, v, 3, diag));
    chain_recorded(h->chain, made.chain_seq);
    log_info(NULL, "ocsp.responder-certified", LOG_S("authority", x->name), LOG_S("key", x->ocsp.key),
             LOG_I("not_after", cert->not_after));
    return TM_OK;
}

static bool is_time(const struct authority *x)
{
    int64_t now = clock_now();
    if (!x->ocsp.key[0] || x->offline || x->cert.not_after <= now)
        return false;
    int64_t end = x->ocsp.cert.not_after;
    /* The last one before the CA's own end lives as long as the CA. */
    return x->ocsp.cert.der.n == 0 || (end < now + RESPONDER_RENEW && end < x->cert.not_after);
}

static tm_err run(struct house *h, struct diag *diag)
{
    struct catalog *cat = house_catalog(h);
    const struct authority *const *v;
    size_t n = catalog_authorities(cat, &v), renewed = 0;
    tm_err first = TM_OK;
    for (size_t i = 0; i < n; i++) {
        if (!is_time(v[i]))
            continue;
        struct diag why = {0};
        struct arena *a = arena_new(0);
        tm_err e = a ? renew(h, a, v[i], &why) : TM_ENOMEM;
        arena_free(a);
        renewed += e == TM_OK;
        if (e != TM_OK && first == TM_OK)
            first = diag_fail(diag, e, why.rule, v[i]->name, "OCSP responder of %s: %s", v[i]->name,
                              why.message[0] ? why.message : tm_err_name(e));
    }
    catalog_unref(cat);
    if (renewed) {
        tm_err e = house_reload(h, diag);
        if (first == TM_OK)
            first = e;
    }
    return first;
}

const struct job responder_job = {.name = "ocsp.responder", .period_ms = 60 * 1000, .run = run};
