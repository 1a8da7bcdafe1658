/* rr: certificates are revoked, put on hold and released by who holds them, and by registration authorities (RFC 9483 4.2). */
#include "base/arena.h"
#include "base/text.h"
#include "enroll/cmp/cmp.h"
#include "issue/cmp_settings.h"
#include "policy/profile.h"
#include "x509/crl.h"
#include <string.h>

static tm_err bad_cert_id(struct cmp_exchange *x)
{
    return cmp_refuse(x, CMP_BAD_CERT_ID, TM_ENOTFOUND, "RFC 9483 4.2",
                      "there is no certificate of this issuer and serial here");
}

/* The certificate of the request, issued here under this issuer's name. */
static tm_err find(struct cert_row *ret, struct cmp_exchange *x, const struct cmp_revocation *v)
{
    struct store_read q = {.kind = READ_CERT, .tenant = x->endpoint->tenant, .arena = x->a};
    if (v->issuer.n == 0 || v->serial.n == 0)
        return cmp_refuse(x, CMP_ADD_INFO_NOT_AVAILABLE, TM_EINVAL, "RFC 9483 4.2",
                          "issuer and serialNumber have to say which certificate");
    if (v->serial.n != CERT_SERIAL_LEN)
        return bad_cert_id(x);
    memcpy(q.id, v->serial.p, CERT_SERIAL_LEN);
    tm_err e = store_read_now(x->house->store, &q);
    if (e == TM_ENOTFOUND)
        return bad_cert_id(x);
    if (e != TM_OK) {
        x->diag = q.diag;
        return e;
    }
    const struct authority *a = catalog_authority(x->catalog, x->endpoint->tenant, q.certs[0].authority);
    if (!a || !slice_eq(a->cert.subject, v->issuer))
        return bad_cert_id(x);
    *ret = q.certs[0];
    return TM_OK;
}

static bool endpoint_offers(const struct endpoint *ep, const char *profile)
{
    for (size_t i = 0; i < ep->n_profiles; i++)
        if (strcmp(ep->profiles[i], profile) == 0)
            return true;
    return false;
}

/* By the certificate itself, or another one of the same device; by the secret that got it; by a RA, of what its endpoint issues. */
static bool may_revoke(struct cmp_exchange *x, const struct cert_row *row)
{
    const struct caller *c = &x->who.caller;
    if (x->ra)
        return row->profile && endpoint_offers(x->endpoint, row->profile);
    if (x->by == CMP_BY_MAC) {
        struct store_read q = {
            .kind = READ_TOKEN, .tenant = x->endpoint->tenant, .arena = x->a, .name = c->id};
        return store_read_now(x->house->store, &q) == TM_OK &&
               memcmp(q.tokens[0].bound_cert, row->id, CERT_SERIAL_LEN) == 0;
    }
    bool same = slice_eq(x->who.peer.serial, SLICE_ARR(row->id)) && !x->who.birth;
    return same || (c->device_id && c->device_id[0] && row->device && strcmp(c->device_id, row->device) == 0);
}

/* ---- holds ---- */

/* Beside a hold that a holder asked for stands its time. Holds of others, the operator's above all, are not for holders to take off: who has
 * the device may be the thief. */
static const char *hold_name(struct arena *a, const uint8_t id[CERT_SERIAL_LEN])
{
    const char *hex = arena_hex(a, slice_of(id, CERT_SERIAL_LEN));
    return hex ? arena_printf(a, "cmp.hold/%s", hex) : NULL;
}

static bool held_by_holder(struct cmp_exchange *x, const struct cert_row *row)
{
    struct store_read q = {
        .kind = READ_META, .tenant = x->endpoint->tenant, .arena = x->a, .name = hold_name(x->a, row->id)};
    const char *at = arena_printf(x->a, "%lld", (long long)row->revoked_at);
    return q.name && at && store_read_now(x->house->store, &q) == TM_OK && slice_eq_str(q.value, at);
}

/* `since` 0: it is over. */
static tm_err note_hold(struct cmp_exchange *x, const struct cert_row *row, int64_t since)
{
    struct effect *e = &x->effects[x->n_effects];
    const char *name = hold_name(x->a, row->id), *at = arena_printf(x->a, "%lld", (long long)since);
    if (!name || !at)
        return TM_ENOMEM;
    *e = (struct effect){.kind = EFFECT_META_PUT, .tenant = x->endpoint->tenant};
    e->u.meta.name = name;
    e->u.meta.value = slice_str(at);
    x->n_effects++;
    return TM_OK;
}

/* ---- one revocation ---- */

static tm_err check(struct cmp_exchange *x, const struct cert_row *row, int reason)
{
    const struct profile *p = catalog_profile(x->catalog, x->endpoint->tenant, row->profile);
    enum crl_reason wanted = reason == CRL_REMOVE_FROM_CRL ? CRL_CERTIFICATE_HOLD
                             : reason < 0                  ? CRL_UNSPECIFIED
                                                           : (enum crl_reason)reason;
    if (!may_revoke(x, row))
        return cmp_refuse(x, CMP_NOT_AUTHORIZED, TM_EFORBIDDEN, "cmp.revocation",
                          "who protected the request may not revoke this certificate");
    /* Who takes off hold may put on hold. */
    if (p && !x->ra && !profile_allows_reason(p, wanted))
        return cmp_refuse(x, CMP_NOT_AUTHORIZED, TM_EDENIED, "profile.revocation",
                          "the profile does not let holders revoke with this reason");
    bool on_hold = row->revoked_at && row->reason == CRL_CERTIFICATE_HOLD;
    if (reason == CRL_REMOVE_FROM_CRL && on_hold && !x->ra && !held_by_holder(x, row))
        return cmp_refuse(x, CMP_NOT_AUTHORIZED, TM_EFORBIDDEN, "cmp.hold",
                          "the certificate was put on hold by others than its holder");
    return TM_OK;
}

static tm_err revoke_one(struct cmp_exchange *x, const struct cmp_revocation *v)
{
    struct cert_row row = {0};
    int64_t since = 0;
    tm_err e;
    TM_TRY(find(&row, x, v));
    TM_TRY(check(x, &row, v->reason));
    if (v->reason == CRL_REMOVE_FROM_CRL) {
        e = issue_unrevoke(x->house, x->endpoint->tenant, row.id, x->who.caller.id, &x->diag);
        if (e == TM_OK && !x->ra)
            return note_hold(x, &row, 0);
        return e == TM_ECONFLICT ? cmp_refuse(x, CMP_BAD_REQUEST, e, "RFC 5280 5.3.1",
                                              "only a certificate on hold can be released")
                                 : e;
    }
    e = issue_revoke(x->house, x->endpoint->tenant, row.id, v->reason < 0 ? CRL_UNSPECIFIED : v->reason,
                     x->who.caller.id, "by CMP", &since, &x->diag);
    if (e == TM_OK && v->reason == CRL_CERTIFICATE_HOLD && !x->ra)
        e = note_hold(x, &row, since);
    if (e == TM_ECONFLICT)
        return cmp_refuse(x, CMP_CERT_REVOKED, e, "RFC 9810 5.2.3", "the certificate is revoked already");
    return e;
}

static void build(struct buf *out, const void *arg)
{
    cmp_revocation_response_build(out, arg, 1);
}

tm_err cmp_revoke(struct cmp_exchange *x)
{
    struct cmp_revocation v[2];
    size_t n;
    struct cmp_status s = {.code = CMP_ACCEPTED, .fail = CMP_FAIL_NONE};
    if (!x->endpoint->cmp->revocation)
        return cmp_refuse(x, CMP_NOT_AUTHORIZED, TM_EFORBIDDEN, "endpoint.revocation",
                          "nothing is revoked through this endpoint");
    TM_TRY(cmp_revocations_read(v, 2, &n, x->m.content, &x->diag));
    if (n != 1)
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EUNSUPPORTED, "RFC 9483 4.2",
                          "one certificate is revoked in a message");
    tm_err e = revoke_one(x, &v[0]);
    if (tm_err_class(e) == TM_CLASS_CALLER || tm_err_class(e) == TM_CLASS_DENIED) {
        x->err = e;
        cmp_note_refusal(x);
        s = (struct cmp_status){.code = CMP_REJECTION,
                                .text = cmp_reason(x->a, e, &x->diag),
                                .fail = x->fail != CMP_FAIL_NONE ? (int)x->fail
                                                                 : (int)cmp_fail_of(e, x->diag.rule)};
    } else {
        TM_TRY(e);
    }
    x->err = TM_OK;
    x->t.state = CMP_T_DONE;
    x->t.body = CMP_RR;
    x->keep = true;
    return cmp_answer_list(x, CMP_RP, build, &s);
}
