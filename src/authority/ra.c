#include "authority/ra.h"
#include "authority/anchors.h"
#include "authority/enter.h"
#include "authority/side_key.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "issue/chain.h"
#include "issue/house.h"
#include "keys/key.h"
#include "keys/signer.h"
#include "register/register.h"
#include <string.h>

struct making {
    struct side_key k;
    struct slice subject;
    struct ca_signed signature;
};

/* ---- the certificate ---- */

/* A CA's envelope never lets it certify an RA, for that would be the way for a taken-over server to become one: the signer does it in a
 * ceremony only, where it runs in this process and has the passphrase. */
static tm_err certify(struct making *m, struct diag *diag)
{
    const struct authority *x = m->k.x;
    const char *crl, *ca;
    int64_t from = clock_now() - CA_BACKDATE;
    TM_TRY(house_authority_urls(&crl, &ca, m->k.a, m->k.c->house, x));
    TM_TRY(side_key_subject(&m->subject, m->k.a, x, "RA", diag));
    struct ca_plan p = {
        .issuer = x->cert.subject,
        .subject = m->subject,
        .spki = key_spki(m->k.key),
        .issuer_key_id = x->key_id,
        .not_before = from > x->cert.not_before ? from : x->cert.not_before,
        .not_after = x->cert.not_after,
        .path_len = -1,
        .crl_url = crl,
        .ca_url = ca,
        .ocsp_url = house_ocsp_url(m->k.a, m->k.c->house, x),
        .sig_alg = x->sig_alg,
        .ra = true,
        .ra_decrypts = key_alg(m->k.key) == KEY_ALG_RSA,
    };
    return ca_plan_sign(&m->signature, m->k.a, m->k.c->house->signer, x->key_ref, &p, x->cert.spki.der, diag);
}

/* ---- the record ---- */

static tm_err record_certificate(struct making *m, struct diag *diag)
{
    struct side_key *k = &m->k;
    struct effect v[3] = {0};
    const struct cert *cert;
    TM_TRY(side_cert_effects(v, &cert, k->a, k->x, &m->signature, k->c->by, diag));
    struct event_field ceremony[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(k->x->name)},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(k->c->by)},
        {.key = "ceremony", .kind = EVENT_STR, .s = SLICE_LIT("create-ra")},
        {.key = "fingerprint", .kind = EVENT_HEX, .s = SLICE_ARR(v[0].u.cert.row.fingerprint)},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(k->key_id)},
        {0},
    };
    TM_TRY(side_key_event(&v[2], k->a, k->x, "ceremony.completed", ceremony));
    TM_TRY(house_commit(k->c->house, v, 3, diag));
    chain_recorded(k->c->house->chain, m->signature.chain_seq);
    return TM_OK;
}

/* ---- the ceremony ---- */

/* The authority's document names its RA from now on. */
static tm_err enter_resource(struct making *m, struct diag *diag)
{
    struct buf pem;
    buf_init(&pem, 2 * CERT_DER_MAX);
    buf_put_pem(&pem, "CERTIFICATE", m->signature.der);
    tm_err e = buf_err(&pem);
    if (e == TM_OK)
        e = side_key_enter(&m->k, "ra",
                           json_pack("{s:s,s:s}", "key", m->k.key_id, "certificate", buf_str(&pem)), diag);
    buf_done(&pem);
    return e;
}

static tm_err make(struct ca_result *ret, struct making *m, const char *type, struct diag *diag)
{
    /* SCEP's requests are encrypted to who answers them; an RSA key is made for that. */
    bool rsa = type && strncmp(type, "rsa", 3) == 0;
    const struct envelope env = {.origin = "",
                                 .allow = 1u << SIGN_CMS | 1u << SIGN_CMP | (rsa ? 1u << SIGN_DECRYPT : 0),
                                 .max_path_len = -1};
    TM_TRY(side_key_make(&m->k, "ra", type, &env, diag));
    TM_TRY(certify(m, diag));
    chain_signed(m->k.c->house->chain, m->signature.chain_seq, m->signature.chain_hash);
    TM_TRY(record_certificate(m, diag));
    TM_TRY(enter_resource(m, diag));
    ca_result_fill(ret, m->k.a, m->k.key_id, m->signature.der);
    return TM_OK;
}

tm_err ceremony_create_ra(struct ca_result *ret, struct arena *a, const struct ceremony *c, tenant_id tenant,
                          const char *authority, const char *key, struct diag *diag)
{
    struct making m = {.k = {.a = a, .c = c}};
    tm_err e = side_key_begin(&m.k, tenant, authority, diag);
    if (e == TM_OK)
        e = make(ret, &m, key, diag);
    side_key_done(&m.k, e);
    /* CAs from before there were anchors get theirs with their RA. */
    return e == TM_OK ? anchors_follow(a, c, tenant, authority, diag) : e;
}
