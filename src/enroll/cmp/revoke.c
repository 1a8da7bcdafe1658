/* rr: certificates are revoked, put on hold and released by who holds them, and by registration authorities (RFC 9483 4.2). */
#include "base/arena.h"
#include "base/text.h"
#include "enroll/cmp/cmp.h"
#include "enroll/endpoint.h"
#include "enroll/issued.h"
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
    if (v->issuer.n == 0 || v->serial.n == 0)
        return cmp_refuse(x, CMP_ADD_INFO_NOT_AVAILABLE, TM_EINVAL, "RFC 9483 4.2",
                          "issuer and serialNumber have to say which certificate");
    tm_err e = issued_find(ret, x->a, x->house, x->catalog, x->endpoint->tenant, v->issuer, v->serial, false,
                           &x->diag);
    return e == TM_ENOTFOUND ? bad_cert_id(x) : e;
}

/* By the certificate itself, or another one of the same device; by the secret that got it; by a RA, of what its endpoint issues. */
static bool may_revoke(struct cmp_exchange *x, const struct cert_row *row)
{
    const struct caller *c = &x->who.caller;
    if (x->ra)
        return row->profile && endpoint_offers(x->endpoint, slice_str(row->profile));
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

/* A hold that a holder asked for stands in a row, with its time, until it is released or the certificate's time is over. Holds of others, the
 * operator's above all, are not for holders to take off: who has the device may be the thief. */
static tm_err hold_row(struct object_row *ret, struct cmp_exchange *x, const struct cert_row *row)
{
    *ret = (struct object_row){.kind = OBJECT_CMP_HOLD,
                               .id = arena_hex(x->a, SLICE_ARR(row->id)),
                               .owner = "",
                               .key = "",
                               .keep_until = row->not_after};
    return ret->id ? TM_OK : TM_ENOMEM;
}

static const char *hold_time(struct cmp_exchange *x, int64_t since)
{
    return arena_printf(x->a, "%lld", (long long)since);
}

static tm_err held_by_holder(bool *ret, struct cmp_exchange *x, const struct cert_row *row)
{
    struct object_row hold;
    *ret = false;
    TM_TRY(hold_row(&hold, x, row));
    const char *at = hold_time(x, row->revoked_at);
    struct store_read q = {.kind = READ_OBJECT,
                           .object_kind = hold.kind,
                           .tenant = x->endpoint->tenant,
                           .arena = x->a,
                           .name = hold.id};
    tm_err e = at ? store_read_now(x->house->store, &q) : TM_ENOMEM;
    if (e == TM_ENOTFOUND)
        return TM_OK;
    if (e != TM_OK) {
        x->diag = q.diag;
        return e;
    }
    *ret = strcmp(q.objects[0].ref, at) == 0;
    return TM_OK;
}

/* `since` 0: it is over. */
static tm_err note_hold(struct cmp_exchange *x, const struct cert_row *row, int64_t since)
{
    struct effect *e = &x->effects[x->n_effects];
    *e = (struct effect){.kind = since ? EFFECT_OBJECT_PUT : EFFECT_OBJECT_DROP,
                         .tenant = x->endpoint->tenant,
                         .expected_version = -1};
    TM_TRY(hold_row(&e->u.object.row, x, row));
    e->u.object.row.ref = hold_time(x, since);
    if (!e->u.object.row.ref)
        return TM_ENOMEM;
    x->n_effects++;
    return TM_OK;
}

/* ---- one revocation ---- */

/* Whoever has recorded the message must not have it done again: it says its time and is remembered for as long as that is near enough.
 * Devices without a clock can't say it: what is put on hold or released then is remembered for as long as there is a certificate. */
static tm_err check_fresh(struct cmp_exchange *x)
{
    int64_t skew = x->endpoint->cmp->clock_skew;
    if (skew && !x->m.time)
        return cmp_refuse(x, CMP_MISSING_TIME_STAMP, TM_EINVAL, "RFC 9810 5.1.1",
                          "a revocation has to say when it is asked for: messageTime is missing");
    if (skew)
        x->t.remember = x->m.time + skew;
    return TM_OK;
}

/* What is revoked for good stays so, however often that is asked for. */
static bool is_for_good(int reason)
{
    return reason != CRL_CERTIFICATE_HOLD && reason != CRL_REMOVE_FROM_CRL;
}

static void remember(struct cmp_exchange *x, const struct cert_row *row, int reason)
{
    if (!is_for_good(reason) && !x->endpoint->cmp->clock_skew)
        x->t.remember = row->not_after;
}

static tm_err check(struct cmp_exchange *x, const struct cert_row *row, int reason)
{
    const struct profile *p = catalog_profile(x->catalog, x->endpoint->tenant, row->profile);
    enum crl_reason wanted = reason == CRL_REMOVE_FROM_CRL ? CRL_CERTIFICATE_HOLD
                             : reason < 0                  ? CRL_UNSPECIFIED
                                                           : (enum crl_reason)reason;
    if (!may_revoke(x, row))
        return cmp_refuse(x, CMP_NOT_AUTHORIZED, TM_EFORBIDDEN, "cmp.revocation",
                          "who protected the request may not revoke this certificate");
    remember(x, row, reason);
    /* Who takes off hold may put on hold. */
    if (p && !x->ra && !profile_allows_reason(p, wanted))
        return cmp_refuse(x, CMP_NOT_AUTHORIZED, TM_EDENIED, "profile.revocation",
                          "the profile does not let holders revoke with this reason");
    bool on_hold = row->revoked_at && row->reason == CRL_CERTIFICATE_HOLD, by_holder = true;
    if (reason == CRL_REMOVE_FROM_CRL && on_hold && !x->ra)
        TM_TRY(held_by_holder(&by_holder, x, row));
    if (!by_holder)
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
    /* Policy may have a grace for renewals. That a certificate's time is over may be all that is known of a key that was thrown away. */
    if (x->who.caller.cert_expired)
        return cmp_refuse(x, CMP_SIGNER_NOT_TRUSTED, TM_EAUTH, "certificate.expired",
                          "the certificate that signed the request has expired");
    TM_TRY(check_fresh(x));
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
    /* Another copy of the message may have done it, whose answer is the transaction's. */
    x->keep = e != TM_ECONFLICT || !is_for_good(v[0].reason);
    return cmp_answer_list(x, CMP_RP, build, &s);
}
