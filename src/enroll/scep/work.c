/* A message: verified, opened, and sorted by its type.
 *
 * Who sends messages may have recorded somebody else's and send their envelope under a signature of his own. So from the moment something is
 * decrypted until the request in it is found to be the signer's, every failure is one and the same answer. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "enroll/endpoint.h"
#include "enroll/scep/hook.h"
#include "enroll/scep/scep.h"
#include "issue/message.h"
#include "keys/cms.h"
#include "keys/pubkey.h"
#include "policy/profile.h"
#include <string.h>
#include <time.h>

tm_err scep_fail(struct scep_exchange *x, enum scep_fail fail, tm_err e, const char *rule, const char *field,
                 const char *message)
{
    x->fail = fail;
    x->fail_set = true;
    return diag_fail(&x->diag, e, rule, field, "%s", message);
}

/* ---- signature ---- */

static tm_err verify(struct scep_exchange *x)
{
    struct scep_message *m = x->m;
    const struct scep_settings *s = x->endpoint->scep;
    tm_err e = cms_signer_verify_legacy(&m->cms, m->signer, &m->by.spki, s->legacy.sha1, &x->diag);
    if (e != TM_OK) {
        x->fail = e == TM_EUNSUPPORTED ? SCEP_BAD_ALG : SCEP_BAD_MESSAGE_CHECK;
        x->fail_set = true;
        return e;
    }
    x->verified = true;
    int64_t off = m->signer->signing_time - clock_now();
    if (s->clock_tolerance && m->signer->signing_time &&
        (off > s->clock_tolerance || off < -s->clock_tolerance))
        return scep_fail(x, SCEP_BAD_TIME, TM_EDENIED, "RFC 8894 3.2.1.4.5", "signingTime",
                         "the message was not signed just now, by the clock here");
    return TM_OK;
}

/* ---- envelope ---- */

tm_err scep_not_opened(struct scep_exchange *x)
{
    x->unsound = true;
    return scep_fail(x, SCEP_BAD_MESSAGE_CHECK, TM_EBADSIG, "scep.envelope", "pkcsPKIEnvelope",
                     "the message could not be opened, or is not what it says");
}

static const struct enveloped_recipient *find_recipient(const struct enveloped_data *d,
                                                        const struct authority *a)
{
    for (size_t i = 0; i < d->n_recipients; i++)
        if (enveloped_recipient_is(&d->recipients[i], &a->ra_cert))
            return &d->recipients[i];
    return NULL;
}

static tm_err open_envelope(struct scep_exchange *x)
{
    struct arena *a = x->request->arena;
    struct enveloped_data *d = arena_calloc(a, 1, sizeof *d);
    bool legacy;
    if (!d)
        return TM_ENOMEM;
    TM_TRY(enveloped_data_parse(d, a, x->m->cms.content, &x->diag));
    const struct enveloped_recipient *r = find_recipient(d, x->authority);
    if (!r)
        return scep_fail(
            x, SCEP_BAD_CERT_ID, TM_EDENIED, "RFC 8894 3.2.2", "recipientInfos",
            "the message is not encrypted to this endpoint's RA certificate; fetch it by GetCACert");
    size_t n = cms_cipher_key(d->cipher.id, &legacy);
    if (n == 0 || (legacy && !x->endpoint->scep->legacy.des3))
        return scep_fail(x, SCEP_BAD_ALG, TM_EUNSUPPORTED, "scep.cipher", "contentEncryptionAlgorithm",
                         "the content must be under AES; other ciphers are not taken here");
    x->cipher = d->cipher.id;
    x->oaep = r->key_alg.id == OID_RSA_OAEP;
    if (x->m->type == SCEP_CERT_POLL) /* what is inside says nothing that the transaction does not */
        return TM_OK;
    uint8_t key[MESSAGE_KEY_MAX];
    tm_err e = message_open_key(key, a, x->house, x->endpoint->tenant, x->authority, n, r->key_alg.der,
                                r->encrypted_key, &x->diag);
    x->opened_at = clock_mono_ns();
    if (e == TM_EUNSUPPORTED) {
        x->fail = SCEP_BAD_ALG;
        x->fail_set = true;
        return e;
    }
    if (e != TM_OK)
        return tm_err_class(e) == TM_CLASS_CALLER ? scep_not_opened(x) : e;
    e = cms_open(&x->plain, a, &d->cipher, slice_of(key, n), d->encrypted);
    explicit_bzero(key, sizeof key);
    /* What does not decrypt goes on as an empty request does, and is refused where that is. */
    return e == TM_EBADSIG ? TM_OK : e;
}

/* A failure after opening leaves at one and the same time after it, whatever it was that failed and how long that took to see; no failure
 * takes half as long. The signer, which opens one envelope after the other, is slower than all threads together are by this. */
static void wait_out(const struct scep_exchange *x)
{
    enum { FAILURE_NS = 10000000 };
    uint64_t gone = clock_mono_ns() - x->opened_at;
    if (x->opened_at && x->unsound && gone < FAILURE_NS)
        nanosleep(&(struct timespec){.tv_nsec = (long)(FAILURE_NS - gone)}, NULL);
}

/* ---- requests ---- */

static void choose_profile(struct scep_exchange *x)
{
    const struct endpoint *ep = x->endpoint;
    if (x->issue.e.profile && x->issue.e.profile[0])
        return;
    const char *old = x->predecessor_profile ? endpoint_offers(ep, slice_str(x->predecessor_profile)) : NULL;
    x->issue.e.profile = old ? old : ep->profiles[0];
}

static void issue_begin(struct scep_exchange *x)
{
    struct http_request *r = x->request;
    struct issue_request *i = &x->issue;
    const struct endpoint *ep = x->endpoint;
    const struct tenant *tenant = catalog_tenant_by_id(x->catalog, ep->tenant);
    i->done.run = scep_issued;
    i->reply_to = &scep_executor;
    i->house = x->house;
    i->arena = r->arena;
    i->tenant = ep->tenant;
    i->authority = ep->authority[0] ? ep->authority : NULL;
    i->also = scep_transaction_also;
    i->e.request_id = r->id;
    i->e.tenant = tenant ? tenant->name : "";
    i->e.endpoint = ep->name;
    i->e.door = DOOR_SCEP;
    i->e.caller.peer = r->peer;
}

/* The request is whole, and the signer's: its own key, or that of a certificate which is to be judged. Its own signature is looked at here
 * already: blocks of somebody else's envelope can be put together so that they parse, but not so that it verifies. */
static tm_err open_request(struct scep_exchange *x)
{
    bool whole = csr_parse_pkcs10(&x->csr, x->plain, NULL) == TM_OK;
    bool own = !scep_self_signed(x->m) || (whole && slice_eq(x->csr.spki.der, x->m->by.spki.der));
    if (!whole || !own) {
        /* As much work as where there is a request to be looked at. */
        TM_IGNORE(cms_signer_verify_legacy(&x->m->cms, x->m->signer, &x->m->by.spki,
                                           x->endpoint->scep->legacy.sha1, &(struct diag){0}));
        return scep_not_opened(x);
    }
    tm_err e = csr_verify_pop(&x->csr, &(struct diag){0});
    if (e != TM_OK)
        return tm_err_class(e) == TM_CLASS_INTERNAL && e != TM_ECRYPTO ? e : scep_not_opened(x);
    TM_TRY(scep_request_blank(&x->request->opened, x->request->arena, &x->csr, x->plain));
    x->challenge = "";
    if (x->csr.challenge_password.n) {
        x->challenge = arena_strndup(x->request->arena, (const char *)x->csr.challenge_password.p,
                                     x->csr.challenge_password.n);
        if (!x->challenge)
            return TM_ENOMEM;
    }
    return TM_OK;
}

/* *ret_done: the answer is there already. */
static tm_err enroll(struct scep_exchange *x, bool *ret_done)
{
    issue_begin(x);
    TM_TRY(open_request(x));
    TM_TRY(scep_transaction_find(x));
    TM_TRY(scep_transaction_check(x));
    if (x->t.found && x->t.cert.n) {
        *ret_done = true;
        x->known = true;
        return TM_OK;
    }
    TM_TRY(scep_recipient_check(x, &x->diag));
    TM_TRY(issue_from_csr(&x->issue, &x->csr, &x->diag));
    TM_TRY(scep_authenticate(x, &x->diag));
    x->known = true;
    x->issue.device_id = x->issue.e.caller.device_id;
    return TM_OK;
}

/* For the register, where the pipeline has not recorded it; what is not the client's fault is for the log. */
static void note_failure(struct scep_exchange *x, bool recorded)
{
    bool theirs = tm_err_class(x->err) == TM_CLASS_CALLER || tm_err_class(x->err) == TM_CLASS_DENIED;
    if (theirs && !recorded)
        refusal_note(x->house, x->endpoint->tenant, DOOR_SCEP, x->endpoint->name, x->request->peer,
                     x->diag.rule, x->diag.message);
    else if (!theirs)
        log_error(x->request->id, "scep.failed", LOG_S("error", tm_err_name(x->err)),
                  LOG_S("rule", x->diag.rule), LOG_S("why", x->diag.message));
}

static void refused(struct scep_exchange *x)
{
    note_failure(x, false);
    wait_out(x);
    scep_answer(x, (struct slice){0});
}

static const char *type_name(unsigned type)
{
    switch (type) {
    case SCEP_PKCS_REQ:
        return "PKCSReq";
    case SCEP_RENEWAL_REQ:
        return "RenewalReq";
    case SCEP_CERT_POLL:
        return "CertPoll";
    case SCEP_GET_CERT:
        return "GetCert";
    case SCEP_GET_CRL:
        return "GetCRL";
    default:
        return "other";
    }
}

static const char *outcome(const struct scep_exchange *x)
{
    return x->err == TM_OK ? "success" : x->err == TM_EPENDING ? "pending" : "failure";
}

void scep_work(struct task *t)
{
    struct scep_exchange *x = TM_CONTAINER(t, struct scep_exchange, work);
    struct slice content = {0};
    bool done = false;
    x->m = arena_calloc(x->request->arena, 1, sizeof *x->m);
    x->err = x->m ? scep_message_parse(x->m, x->request->arena, x->body, &x->diag) : TM_ENOMEM;
    if (x->err == TM_OK)
        x->err = verify(x);
    bool request = x->err == TM_OK && (x->m->type == SCEP_PKCS_REQ || x->m->type == SCEP_RENEWAL_REQ);
    if (x->err == TM_OK && !request && x->m->type != SCEP_CERT_POLL && x->m->type != SCEP_GET_CERT &&
        x->m->type != SCEP_GET_CRL)
        x->err = scep_fail(x, SCEP_BAD_REQUEST, TM_EUNSUPPORTED, "RFC 8894 3.2.1.2", "messageType",
                           "not a message that clients send");
    if (x->err == TM_OK && !request)
        x->err = scep_query_admit(x, &x->diag);
    if (x->err == TM_OK)
        x->err = open_envelope(x);
    if (x->err == TM_OK && request)
        x->err = enroll(x, &done);
    if (x->err == TM_OK && request && !done) {
        choose_profile(x);
        issue_submit(&x->issue);
        return;
    }
    if (x->err == TM_OK)
        x->err = done ? scep_certs(&content, x, x->t.cert) : scep_query(&content, x, &x->diag);
    scep_count(x->endpoint->name, x->m ? type_name(x->m->type) : "other", outcome(x));
    if (x->err != TM_OK && x->err != TM_EPENDING)
        refused(x);
    else
        scep_answer(x, content);
}

/* ---- after the pipeline ---- */

/* The same request may have come twice at once, and the other copy's answer is this one's too; else all stays as it was. */
static void answered_meanwhile(struct scep_exchange *x, struct slice *content)
{
    const tm_err err = x->err;
    const struct diag diag = x->diag;
    const enum scep_fail fail = x->fail;
    const bool fail_set = x->fail_set;
    bool found = scep_transaction_find(x) == TM_OK && x->t.found && scep_transaction_check(x) == TM_OK;
    if (found && x->t.cert.n) {
        x->err = scep_certs(content, x, x->t.cert);
        return;
    }
    if (found && x->t.pending[0] && x->issue.outcome == ISSUE_PENDING) {
        x->err = TM_EPENDING;
        return;
    }
    x->err = err;
    x->diag = diag;
    x->fail = fail;
    x->fail_set = fail_set;
}

void scep_issued(struct task *t)
{
    struct issue_request *i = TM_CONTAINER(t, struct issue_request, done);
    struct scep_exchange *x = TM_CONTAINER(i, struct scep_exchange, issue);
    struct slice content = {0};
    bool again = false;
    x->diag = i->diag;
    switch (i->outcome) {
    case ISSUE_ISSUED:
        x->err = scep_certs(&content, x, i->cert);
        break;
    case ISSUE_PENDING:
        x->err = scep_transaction_pending(x, i->pending_id);
        again = x->err == TM_ECONFLICT;
        if (x->err == TM_OK)
            x->err = TM_EPENDING;
        break;
    default:
        x->err = i->err == TM_OK ? TM_EINTERNAL : i->err;
        again = true;
    }
    if (again)
        answered_meanwhile(x, &content);
    if (x->err != TM_OK && x->err != TM_EPENDING)
        note_failure(x, i->outcome == ISSUE_DENIED);
    scep_count(x->endpoint->name, type_name(x->m->type), outcome(x));
    if (x->hooked)
        scep_hook_tell(x);
    scep_answer(x, content);
}
