/* What asks for something that is there: CertPoll, GetCert, GetCRL (RFC 8894 3.3.3, 3.3.4). */
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "enroll/issued.h"
#include "enroll/scep/scep.h"
#include "issue/continuation.h"
#include "status/crl.h"
#include "status/crl_file.h"
#include "x509/cms/certs_only.h"
#include <string.h>

enum { STATE_MAX = 256 << 10, CRL_MAX = 128 << 10 };

static tm_err bad_id(struct scep_exchange *x, const char *rule, const char *message)
{
    TM_IGNORE(scep_fail(x, SCEP_BAD_CERT_ID, TM_ENOTFOUND, rule, "messageData", message));
    return TM_ENOTFOUND;
}

/* ---- a certificate of the inventory ---- */

static tm_err stored_certificate(struct slice *ret, struct scep_exchange *x, const uint8_t *serial,
                                 struct diag *diag)
{
    struct store_read q = {
        .kind = READ_CERT, .tenant = x->endpoint->tenant, .arena = x->request->arena, .with_der = true};
    memcpy(q.id, serial, CERT_SERIAL_LEN);
    tm_err e = store_read_now(x->house->store, &q);
    if (e == TM_ENOTFOUND || (e == TM_OK && q.certs[0].der.n == 0))
        return bad_id(x, "scep.certificate", "no such certificate is kept here");
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    *ret = q.certs[0].der;
    return TM_OK;
}

/* ---- CertPoll ---- */

/* What the approver said, and what the answer is encrypted with where the key can't: the request's challenge. */
static tm_err continuation_read(struct slice *ret_cert, struct scep_exchange *x,
                                const struct continuation_row *row, struct diag *diag)
{
    struct arena *a = x->request->arena;
    json_t *doc = NULL;
    struct slice der = {0};
    uint8_t serial[CERT_SERIAL_LEN];
    TM_TRY(json_parse(&doc, row->state, STATE_MAX, diag));
    const char *csr = json_string_value(json_object_get(doc, "csr"));
    tm_err e = base64_decode(&der, a, slice_str(csr ? csr : ""), BASE64_STD);
    json_decref(doc);
    if (e == TM_OK)
        e = csr_parse_pkcs10(&x->csr, der, diag);
    if (e != TM_OK)
        return e;
    x->challenge =
        arena_strndup(a, x->csr.challenge_password.n ? (const char *)x->csr.challenge_password.p : "",
                      x->csr.challenge_password.n);
    if (!x->challenge)
        return TM_ENOMEM;
    if (strcmp(row->status, "done") != 0)
        return TM_OK;
    TM_TRY(continuation_issued(serial, ret_cert, a, row));
    return ret_cert->n ? TM_OK : stored_certificate(ret_cert, x, serial, diag);
}

static tm_err waiting(struct slice *ret_cert, struct scep_exchange *x, struct diag *diag)
{
    struct store_read q = {.kind = READ_CONTINUATION,
                           .tenant = x->endpoint->tenant,
                           .arena = x->request->arena,
                           .name = x->t.pending};
    tm_err e = store_read_now(x->house->store, &q);
    if (e == TM_ENOTFOUND)
        return bad_id(x, "scep.transaction", "nothing waits in this transaction");
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    const struct continuation_row *row = &q.continuations[0];
    if (strcmp(row->status, "rejected") == 0)
        return scep_fail(x, SCEP_BAD_REQUEST, TM_EDENIED, "approval.rejected", "messageData",
                         "the request was looked at and rejected");
    if (row->expires_at < clock_now())
        return scep_fail(x, SCEP_BAD_REQUEST, TM_EEXPIRED, "approval.expired", "messageData",
                         "nobody looked at the request in time; ask anew");
    TM_TRY(continuation_read(ret_cert, x, row, diag));
    return ret_cert->n ? TM_OK : TM_EPENDING;
}

/* Whose transaction it is says the signature; the IssuerAndSubject inside (RFC 8894 3.3.3) is not even opened. */
static tm_err poll_admit(struct scep_exchange *x)
{
    TM_TRY(scep_transaction_find(x));
    if (!x->t.found)
        return bad_id(x, "scep.transaction", "no such transaction is known here");
    TM_TRY(scep_transaction_check(x));
    x->known = true;
    return TM_OK;
}

static tm_err poll_certificate(struct slice *ret, struct scep_exchange *x, struct diag *diag)
{
    struct slice cert = x->t.cert;
    if (!cert.n)
        TM_TRY(waiting(&cert, x, diag));
    TM_TRY(scep_recipient_check(x, diag));
    return scep_certs(ret, x, cert);
}

/* ---- GetCert, GetCRL ---- */

/* Only for those whom the house knows: each answer is signed and recorded. */
static tm_err identify(struct scep_exchange *x, struct diag *diag)
{
    struct identity who;
    tm_err e = scep_identify(x, &who, diag);
    if (e == TM_OK &&
        who.caller.cert_expired) /* policy may have a grace for renewals, and for nothing else */
        e = diag_fail(diag, TM_EAUTH, "certificate.expired", "certificates",
                      "the certificate that signed the message has expired");
    if (e != TM_OK && tm_err_class(e) == TM_CLASS_DENIED) {
        x->fail = SCEP_BAD_MESSAGE_CHECK;
        x->fail_set = true;
    }
    x->known = e == TM_OK;
    if (e == TM_OK)
        e = scep_recipient_check(x, diag);
    return e;
}

static const struct authority *named(const struct scep_exchange *x, struct slice issuer)
{
    const struct authority *const *v;
    size_t n = catalog_authorities(x->catalog, &v);
    for (size_t i = 0; i < n; i++)
        if (v[i]->tenant == x->endpoint->tenant && slice_eq(v[i]->cert.subject, issuer))
            return v[i];
    return NULL;
}

static tm_err find(const struct authority **ret, struct slice *ret_serial, struct scep_exchange *x)
{
    struct slice issuer;
    *ret = NULL;
    /* What is in somebody else's envelope, changed a little, may be anything, but bears no CA's name in this place. */
    if (scep_issuer_serial_parse(&issuer, ret_serial, x->plain, NULL) == TM_OK)
        *ret = named(x, issuer);
    if (*ret) {
        x->request->opened = x->plain;
        return TM_OK;
    }
    TM_IGNORE(scep_not_opened(x));
    return TM_EBADSIG;
}

static tm_err get_certificate(struct slice *ret, struct scep_exchange *x, struct diag *diag)
{
    const struct authority *of;
    struct slice serial = {0};
    struct cert_row row = {0};
    TM_TRY(find(&of, &serial, x));
    tm_err e = issued_find(&row, x->request->arena, x->house, x->catalog, x->endpoint->tenant,
                           of->cert.subject, serial, true, diag);
    if (e == TM_ENOTFOUND || (e == TM_OK && row.der.n == 0))
        return bad_id(x, "scep.certificate", "no such certificate is kept here");
    return e == TM_OK ? scep_certs(ret, x, row.der) : e;
}

static tm_err get_crl(struct slice *ret, struct scep_exchange *x, struct diag *diag)
{
    const struct authority *of;
    struct slice serial;
    struct crl_row crl;
    struct buf der;
    TM_TRY(find(&of, &serial, x));
    tm_err e = crl_current(&crl, x->request->arena, x->house, of);
    if (e == TM_ENOTFOUND)
        return bad_id(x, "scep.crl", "this authority has no CRL yet");
    TM_TRY(e);
    if (crl.der.n > CRL_MAX || crl_row_is_file(&crl))
        return bad_id(x, "scep.crl",
                      "the CRL is too large for a message; fetch it from its distribution point");
    buf_init(&der, SIGNED_DATA_MAX);
    e = certs_only_build(&der, NULL, 0, &crl.der, 1);
    if (e == TM_OK)
        e = arena_copy(ret, x->request->arena, buf_slice(&der));
    buf_done(&der);
    return e;
}

tm_err scep_query_admit(struct scep_exchange *x, struct diag *diag)
{
    return x->m->type == SCEP_CERT_POLL ? poll_admit(x) : identify(x, diag);
}

tm_err scep_query(struct slice *ret, struct scep_exchange *x, struct diag *diag)
{
    switch (x->m->type) {
    case SCEP_CERT_POLL:
        return poll_certificate(ret, x, diag);
    case SCEP_GET_CERT:
        return get_certificate(ret, x, diag);
    default:
        return get_crl(ret, x, diag);
    }
}
