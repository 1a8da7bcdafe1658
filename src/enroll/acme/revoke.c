/* Revocation (RFC 8555 7.6): by the account that ordered the certificate, by one that has proven all its names, or by its own key. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "enroll/acme/star.h"
#include "policy/profile.h"
#include <string.h>

/* The certificate is one of ours, octet for octet. */
static tm_err find_certificate(struct cert_row *ret, struct acme_exchange *x, const struct cert *c,
                               struct diag *diag)
{
    struct store_read q = {.kind = READ_CERT, .tenant = x->endpoint->tenant, .arena = x->arena};
    uint8_t fingerprint[SHA256_LEN];
    tm_err e = TM_ENOTFOUND;
    if (c->serial.n == CERT_SERIAL_LEN) {
        memcpy(q.id, c->serial.p, CERT_SERIAL_LEN);
        e = store_read_now(x->house->store, &q);
    }
    TM_TRY(sha256(fingerprint, c->der));
    if (e == TM_ENOTFOUND || (e == TM_OK && memcmp(fingerprint, q.certs[0].fingerprint, SHA256_LEN) != 0)) {
        x->status = 404;
        return diag_fail(diag, TM_ENOTFOUND, "certificate.unknown", NULL,
                         "the certificate is not one that was issued here");
    }
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    *ret = q.certs[0];
    return TM_OK;
}

/* Did the account order it? RFC 8739 3.1.2: what renews itself is ended, not revoked; neither its present certificate nor one before. */
static tm_err ordered_by(bool *ret, struct acme_exchange *x, const struct cert_row *row, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->endpoint->tenant,
                           .arena = x->arena,
                           .object_kind = OBJECT_ACME_ORDER,
                           .text = arena_hex(x->arena, SLICE_ARR(row->id))};
    tm_err e = q.text ? store_read_now(x->house->store, &q) : TM_ENOMEM;
    struct acme_order o = {.star.end = 0};
    bool star = false;
    *ret = e == TM_OK && x->account && strcmp(q.objects[0].owner, x->account->id) == 0;
    if (e == TM_OK) {
        TM_TRY(acme_order_read(&o, x->arena, &q.objects[0]));
        star = star_is(&o);
    } else if (e == TM_ENOTFOUND) {
        TM_TRY(star_marked(&star, x, q.text, diag));
    } else {
        *diag = q.diag;
        return e;
    }
    if (!star)
        return TM_OK;
    return acme_refuse(x, ACME_P_AUTO_RENEWAL_REVOCATION_NOT_SUPPORTED, TM_EDENIED, "RFC 8739 3.1.2",
                       "the order renews itself: cancel it, and its last certificate soon ends");
}

/* Has the account a valid authorization for the name? One for the wildcard is one for the wildcard. */
static tm_err proven(bool *ret, struct acme_exchange *x, const struct general_name *gn, struct diag *diag)
{
    struct acme_identifier id;
    bool wildcard;
    struct acme_authz z;
    struct buf b;
    *ret = false;
    if (gn->type != GN_DNS && gn->type != GN_IP)
        return TM_OK;
    buf_init(&b, 1024);
    general_name_print(&b, gn);
    tm_err e = acme_identifier_from_text(&id, &wildcard, x->arena, buf_str(&b));
    buf_done(&b);
    if (e == TM_ECORRUPT)
        return TM_OK;
    TM_TRY(e);
    e = acme_authz_reuse(&z, x, &id, wildcard, diag);
    *ret = e == TM_OK && z.row.status == ACME_VALID;
    return e == TM_ENOTFOUND ? TM_OK : e;
}

static tm_err check_account(struct acme_exchange *x, const struct cert *c, struct diag *diag)
{
    bool may;
    const struct ext *san = exts_find(&c->exts, OID_EXT_SAN);
    struct general_names names = {0};
    if (san)
        TM_TRY(general_names_parse(&names, x->arena, san->value, diag));
    may = names.n > 0;
    for (size_t i = 0; i < names.n && may; i++)
        TM_TRY(proven(&may, x, &names.v[i], diag));
    if (may)
        return TM_OK;
    return acme_refuse(x, ACME_P_UNAUTHORIZED, TM_EFORBIDDEN, "RFC 8555 7.6",
                       "the account neither ordered this certificate nor has proven all of its names");
}

static tm_err check_reason(int *ret, struct acme_exchange *x, const struct cert_row *row, const json_t *p)
{
    const json_t *v = json_object_get(p, "reason");
    const struct profile *profile = catalog_profile(x->catalog, x->endpoint->tenant, row->profile);
    json_int_t reason = v ? json_integer_value(v) : 0;
    *ret = (int)reason;
    bool known = (!v || json_is_integer(v)) && reason >= 0 && reason <= CRL_AA_COMPROMISE &&
                 crl_reason_names[reason] && reason != CRL_REMOVE_FROM_CRL;
    if (known && (!profile || profile_allows_reason(profile, (enum crl_reason)reason)))
        return TM_OK;
    return acme_refuse(x, ACME_P_BAD_REVOCATION_REASON, TM_EINVAL, "RFC 8555 7.6",
                       "this reason can't be given for this certificate");
}

static tm_err revoke_with(struct acme_exchange *x, const json_t *p, struct diag *diag)
{
    const json_t *v = json_object_get(p, "certificate");
    struct slice der;
    struct cert c;
    struct cert_row row;
    int reason;
    int64_t before = 0;
    if (!json_is_string(v) ||
        base64url_strict(&der, x->arena, slice_of(json_string_value(v), json_string_length(v))) != TM_OK)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EMALFORMED, "RFC 8555 7.6",
                           "\"certificate\" is not a certificate in base64url");
    TM_TRY(cert_parse(&c, der, diag));
    /* Who is nobody here learns nothing of what is: the key is looked at first. */
    if (!x->account && !slice_eq(x->jws.jwk.spki.der, c.spki.der))
        return acme_refuse(x, ACME_P_UNAUTHORIZED, TM_EFORBIDDEN, "RFC 8555 7.6",
                           "the request is signed neither by an account nor by the certificate's key");
    TM_TRY(find_certificate(&row, x, &c, diag));
    bool ordered;
    TM_TRY(ordered_by(&ordered, x, &row, diag));
    if (x->account && !ordered)
        TM_TRY(check_account(x, &c, diag));
    TM_TRY(check_reason(&reason, x, &row, p));
    const char *by =
        x->account ? arena_printf(x->arena, "acme-account/%s", x->account->id) : "the certificate's key";
    if (!by)
        return TM_ENOMEM;
    tm_err e = issue_revoke(x->house, x->endpoint->tenant, row.id, reason, by, "", &before, diag);
    if (e == TM_ECONFLICT)
        return acme_refuse(x, ACME_P_ALREADY_REVOKED, e, "RFC 8555 7.6",
                           "the certificate is revoked already");
    return e;
}

static tm_err revoke(struct acme_exchange *x, struct diag *diag)
{
    json_t *p = NULL;
    TM_TRY(acme_payload(&p, x, diag));
    tm_err e = revoke_with(x, p, diag);
    json_decref(p);
    return e;
}

const struct acme_operation acme_revoke = {.auth = ACME_BY_KID_OR_JWK, .run = revoke, .waits = true};
