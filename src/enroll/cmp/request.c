/* ir, cr, kur and p10cr: what is asked for, through the pipeline, and what came of it; pollReq asks again for what waits. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "enroll/cmp/cmp.h"
#include "enroll/endpoint.h"
#include "enroll/issued.h"
#include "issue/cmp_settings.h"
#include "keys/key.h"
#include "policy/profile.h"
#include <string.h>

/* ---- what is asked for ---- */

static tm_err parse(struct cmp_exchange *x, unsigned body, struct slice content)
{
    struct slice message[2];
    size_t n;
    tm_err e;
    if (body == CMP_P10CR) {
        e = csr_parse_pkcs10(&x->csr, content, &x->diag);
        x->t.request_id = -1; /* RFC 9810 5.3.4 */
    } else {
        e = crmf_messages_read(message, 2, &n, content, &x->diag);
        if (e == TM_ETOOBIG || (e == TM_OK && n != 1))
            return cmp_refuse(x, CMP_BAD_REQUEST, TM_EUNSUPPORTED, "RFC 9483 4.1.1",
                              "one certificate is asked for in a message");
        if (e == TM_OK)
            e = csr_parse_crmf(&x->csr, x->a, message[0], &x->diag);
        x->t.request_id = (int64_t)x->csr.crmf_request_id;
    }
    if (e == TM_EMALFORMED)
        x->fail = strcmp(x->diag.rule, "RFC 4211 5") == 0 ? CMP_BAD_CERT_TEMPLATE : CMP_BAD_DATA_FORMAT;
    return e;
}

static tm_err check_pop(struct cmp_exchange *x)
{
    switch (x->csr.pop) {
    case CSR_POP_SIGNATURE:
        return TM_OK; /* the pipeline verifies it */
    case CSR_POP_RA_VERIFIED:
        if (!x->ra)
            return cmp_refuse(x, CMP_BAD_POP, TM_EDENIED, "pop.ra-verified",
                              "only registration authorities that the endpoint lists say raVerified");
        x->issue.e.pop_verified = true;
        return TM_OK;
    case CSR_POP_NONE:
        if (x->csr.spki.der.n == 0)
            return cmp_seal_check(x);
        return cmp_refuse(x, CMP_BAD_POP, TM_EDENIED, "pop.missing", "possession of the key is not proven");
    default:
        return cmp_possession_check(x);
    }
}

/* ---- of what it is a renewal ---- */

/* A certificate that a RA names by issuer and serial. Where the inventory keeps no DER the RA may send it along. */
static tm_err read_certificate(struct cmp_exchange *x, struct slice issuer, struct slice serial)
{
    struct cert_row row;
    uint8_t hash[SHA256_LEN];
    TM_TRY(
        issued_find(&row, x->a, x->house, x->catalog, x->endpoint->tenant, issuer, serial, true, &x->diag));
    x->who.predecessor = row.der;
    x->who.predecessor_profile = row.profile;
    for (size_t i = 0; i < x->m.n_extra && x->who.predecessor.n == 0; i++) {
        TM_TRY(sha256(hash, x->m.extra[i]));
        if (memcmp(hash, row.fingerprint, sizeof hash) == 0)
            x->who.predecessor = x->m.extra[i];
    }
    return x->who.predecessor.n ? TM_OK : TM_EUNSUPPORTED;
}

static tm_err bad_cert_id(struct cmp_exchange *x, const char *why)
{
    return cmp_refuse(x, CMP_BAD_CERT_ID, TM_EINVAL, "RFC 9483 4.1.3", "%s", why);
}

/* RFC 9483 4.1.3: signed with the certificate to be updated, which oldCertID may name; a RA has to name it. */
static tm_err find_predecessor(struct cmp_exchange *x)
{
    const struct csr_attr *old = csr_attr_find(&x->csr, OID_REG_CTRL_OLD_CERT_ID);
    struct slice issuer = {0}, serial = {0};
    if (old)
        TM_TRY(cmp_cert_id_read(&issuer, &serial, old->values, &x->diag));
    if (x->ra) {
        tm_err e = old ? read_certificate(x, issuer, serial) : TM_ENOTFOUND;
        if (e == TM_ENOTFOUND)
            return bad_cert_id(x, "oldCertID has to name a certificate that is known here");
        if (e == TM_EUNSUPPORTED)
            return bad_cert_id(
                x, "the certificate that oldCertID names is not kept here; send it in extraCerts");
        TM_TRY(e);
    } else if (x->by != CMP_BY_SIGNATURE || x->who.predecessor.n == 0) {
        return cmp_refuse(x, CMP_WRONG_INTEGRITY, TM_EAUTH, "RFC 9483 4.1.3",
                          "an update is signed with the certificate that is to be updated");
    } else if (old && (!slice_eq(issuer, x->who.peer.issuer) || !slice_eq(serial, x->who.peer.serial))) {
        return bad_cert_id(x, "oldCertID is not the certificate that signed the request");
    }
    x->issue.e.kind = ENROLL_RENEW;
    x->issue.predecessor = x->who.predecessor;
    return TM_OK;
}

/* ---- the profile ---- */

/* The secret's; else that of the header's certProfile (RFC 9483 3.1); else the predecessor's; else the endpoint's first. */
static tm_err choose_profile(struct cmp_exchange *x)
{
    const struct endpoint *ep = x->endpoint;
    const struct cmp_info *asked = cmp_info_find(&x->m, OID_IT_CERT_PROFILE);
    struct slice names[CMP_PROFILES_MAX] = {0};
    size_t n = 0;
    if (x->t.profile && x->t.profile[0]) { /* asked again */
        x->issue.e.profile = x->t.profile;
        return TM_OK;
    }
    if (asked)
        TM_TRY(cmp_profiles_read(names, &n, asked->value, &x->diag));
    if (n > 1)
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "RFC 9483 3.1", "more profiles than requests");
    const char *by_header = n ? endpoint_offers(ep, names[0]) : NULL;
    if (n && !by_header)
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EDENIED, "endpoint.profiles",
                          "endpoint \"%s\" does not offer the profile of certProfile", ep->name);
    const char *by_token = x->token_profile && x->token_profile[0] ? x->token_profile : NULL;
    if (by_token && !endpoint_offers(ep, slice_str(by_token)))
        return cmp_refuse(x, CMP_NOT_AUTHORIZED, TM_EDENIED, "endpoint.profiles",
                          "endpoint \"%s\" does not offer the secret's profile", ep->name);
    if (by_token && by_header && strcmp(by_token, by_header) != 0)
        return cmp_refuse(x, CMP_NOT_AUTHORIZED, TM_EDENIED, "token.profile",
                          "the secret is for another profile");
    const char *old = x->issue.e.kind == ENROLL_RENEW && x->who.predecessor_profile
                          ? endpoint_offers(ep, slice_str(x->who.predecessor_profile))
                          : NULL;
    x->issue.e.profile = by_token ? by_token : by_header ? by_header : old ? old : ep->profiles[0];
    x->t.profile = x->issue.e.profile;
    return TM_OK;
}

/* ---- into the pipeline ---- */

static tm_err begin_issue(struct cmp_exchange *x)
{
    const struct endpoint *ep = x->endpoint;
    const struct tenant *tenant = catalog_tenant_by_id(x->catalog, ep->tenant);
    uint8_t hash[SHA256_LEN];
    x->issue = (struct issue_request){
        .house = x->house,
        .arena = x->a,
        .tenant = ep->tenant,
        .authority = ep->authority[0] ? ep->authority : NULL,
        .e = {.request_id = x->http->id,
              .tenant = tenant ? tenant->name : "",
              .endpoint = ep->name,
              .door = DOOR_CMP,
              .caller = x->who.caller},
    };
    if (x->by == CMP_BY_MAC)
        x->issue.token_id = x->who.caller.id;
    x->issue.device_id = x->ra ? NULL : x->who.caller.device_id;
    /* A reply that was lost before it was stored costs no second certificate. */
    TM_TRY(sha256(hash, x->m.transaction_id));
    const char *hex = arena_hex(x->a, SLICE_ARR(hash));
    x->issue.e.idempotency_key = hex ? arena_printf(x->a, "cmp/%s/%s", ep->name, hex) : NULL;
    return x->issue.e.idempotency_key ? TM_OK : TM_ENOMEM;
}

/* A RA says by the subject's serialNumber, else its common name, for which device it asks; policy holds the names to that. */
static tm_err name_device(struct cmp_exchange *x)
{
    static const enum oid types[] = {OID_SERIAL_NUMBER, OID_CN};
    struct name n;
    struct slice text;
    if (!x->ra || x->csr.subject.n == 0 || name_parse(&n, x->csr.subject, NULL) != TM_OK)
        return TM_OK;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (name_get(&text, x->a, &n, types[i]) != TM_OK || text.n == 0)
            continue;
        const char *id = arena_strndup(x->a, (const char *)text.p, text.n);
        struct store_read q = {.kind = READ_DEVICE, .tenant = x->endpoint->tenant, .arena = x->a, .name = id};
        tm_err e = id ? store_read_now(x->house->store, &q) : TM_ENOMEM;
        if (e == TM_OK)
            x->issue.device_id = id;
        if (e != TM_ENOTFOUND)
            return e;
    }
    return TM_OK;
}

static tm_err prepare(struct cmp_exchange *x, unsigned body, struct slice content)
{
    TM_TRY(begin_issue(x));
    TM_TRY(parse(x, body, content));
    if (body == CMP_KUR)
        TM_TRY(find_predecessor(x));
    TM_TRY(choose_profile(x));
    TM_TRY(check_pop(x));
    if (x->t.pop == CMP_POP_CHALLENGED)
        return cmp_possession_challenge(x);
    TM_TRY(name_device(x));
    if (!x->key)
        TM_TRY(issue_from_csr(&x->issue, &x->csr, &x->diag));
    return identity_register_device(&x->who, &x->diag);
}

/* ---- what came of it ---- */

static unsigned answer_body(int64_t request)
{
    return request == CMP_IR ? CMP_IP : request == CMP_KUR ? CMP_KUP : CMP_CP;
}

/* RFC 9810 5.2.3: the client is told where the certificate is not quite what it asked for. */
static bool was_modified(const struct cmp_exchange *x)
{
    struct cert c;
    if (cert_parse(&c, x->issue.cert, NULL) != TM_OK)
        return false;
    const struct ext *asked = exts_find(&x->csr.exts, OID_EXT_SAN), *got = exts_find(&c.exts, OID_EXT_SAN);
    return (x->csr.subject.n && !slice_eq(x->csr.subject, c.subject)) ||
           (asked && (!got || !slice_eq(asked->value, got->value)));
}

static void build_response(struct buf *out, const void *arg)
{
    cmp_cert_response_build(out, arg);
}

static void respond(struct cmp_exchange *x, struct cmp_cert_response *r, bool keep)
{
    r->request_id = x->t.request_id;
    x->keep = keep;
    x->err = cmp_answer_list(x, answer_body(x->t.body), build_response, r);
    if (x->err == TM_OK)
        cmp_send(x);
    else
        cmp_send_error(x);
}

static void respond_issued(struct cmp_exchange *x)
{
    struct issue_request *i = &x->issue;
    struct cmp_cert_response r = {.cert = i->cert, .private_key = x->private_key};
    if (x->t.pop == CMP_POP_ENCRYPTED) {
        /* One that was issued before, or while nobody asked, is sealed now. */
        tm_err e = i->replayed || x->encrypted_cert.n == 0 ? cmp_possession_seal(x) : TM_OK;
        if (e != TM_OK) {
            x->err = e;
            cmp_send_error(x);
            return;
        }
        r.cert = (struct slice){0};
        r.encrypted_cert = x->encrypted_cert;
    }
    x->enveloped = x->private_key.n || x->encrypted_cert.n;
    r.status = (struct cmp_status){.code = was_modified(x) ? CMP_GRANTED_WITH_MODS : CMP_ACCEPTED,
                                   .fail = CMP_FAIL_NONE};
    /* RFC 9483 4.1.1: a root for who has only a secret. */
    if (x->t.body == CMP_IR && x->by == CMP_BY_MAC && i->n_chain) {
        r.ca_pubs = &i->chain[i->n_chain - 1];
        r.n_ca_pubs = 1;
    }
    for (size_t k = 0; k + 1 < i->n_chain && x->n_certs < CMP_CHAIN_MAX; k++)
        x->certs[x->n_certs++] = i->chain[k];
    x->t.serial = arena_hex(x->a, SLICE_ARR(i->serial));
    x->t.cert = i->cert;
    x->t.request = (struct slice){0};
    if (x->t.implicit_confirm) {
        x->implicit_confirm = true;
        x->t.state = CMP_T_DONE;
    } else {
        x->t.state = CMP_T_UNCONFIRMED;
        x->t.confirm_by = x->confirm_wait = clock_now() + x->endpoint->cmp->confirm_within;
    }
    respond(x, &r, true);
}

static void build_poll(struct buf *out, const void *arg)
{
    const struct cmp_exchange *x = arg;
    cmp_poll_response_build(out, x->t.request_id, (unsigned)x->endpoint->cmp->poll_after,
                            "the request waits for approval");
}

static void respond_pending(struct cmp_exchange *x)
{
    struct cmp_cert_response r = {
        .status = {.code = CMP_WAITING, .text = "the request waits for approval", .fail = CMP_FAIL_NONE}};
    bool again = x->t.state == CMP_T_WAITING;
    x->t.state = CMP_T_WAITING;
    x->t.pending = x->issue.pending_id;
    if (!again) {
        respond(x, &r, true);
        return;
    }
    x->keep = true;
    x->err = cmp_answer_list(x, CMP_POLLREP, build_poll, x);
    if (x->err == TM_OK)
        cmp_send(x);
    else
        cmp_send_error(x);
}

/* What another copy of the message may have taken, whose good answer is still on its way: that must find its place. */
static bool perhaps_answered(const char *rule)
{
    return strcmp(rule, "token.used") == 0 || strcmp(rule, "token.bound") == 0;
}

/* A request that was understood and refused ends its transaction (RFC 9483 4.1.1); what may go better later does not. `recorded`: the pipeline
 * has done so. */
static void respond_refused(struct cmp_exchange *x, tm_err e, const struct diag *why, bool recorded)
{
    bool final = tm_err_class(e) == TM_CLASS_CALLER || tm_err_class(e) == TM_CLASS_DENIED;
    x->err = e;
    if (why != &x->diag)
        x->diag = *why;
    if (!final || strcmp(why->rule, "idempotency-key") == 0) {
        cmp_send_error(x);
        return;
    }
    struct cmp_cert_response r = {
        .status = {.code = CMP_REJECTION,
                   .text = cmp_reason(x->a, e, why),
                   .fail = x->fail != CMP_FAIL_NONE ? (int)x->fail : (int)cmp_fail_of(e, why->rule)}};
    bool keep = !perhaps_answered(why->rule);
    if (!recorded)
        cmp_note_refusal(x);
    if (keep) {
        x->t.state = CMP_T_DONE;
        x->t.request = (struct slice){0};
    }
    respond(x, &r, keep);
}

/* Before the certificate is committed: one that can't be given away, or its key, is not issued, and costs no secret. */
static tm_err seal(struct issue_request *i, struct effect *ret, size_t *ret_n)
{
    struct cmp_exchange *x = TM_CONTAINER(i, struct cmp_exchange, issue);
    (void)ret;
    *ret_n = 0;
    tm_err e = x->key ? cmp_seal_key(x) : cmp_possession_seal(x);
    if (e != TM_OK)
        i->diag = x->diag;
    return e;
}

static void outcome(struct task *t)
{
    struct issue_request *i = TM_CONTAINER(t, struct issue_request, done);
    struct cmp_exchange *x = TM_CONTAINER(i, struct cmp_exchange, issue);
    key_free(x->key);
    x->key = NULL;
    switch (i->outcome) {
    case ISSUE_ISSUED:
        respond_issued(x);
        break;
    case ISSUE_PENDING:
        respond_pending(x);
        break;
    default:
        respond_refused(x, i->err == TM_OK ? TM_EINTERNAL : i->err, &i->diag, i->outcome == ISSUE_DENIED);
    }
}

static void submit(struct cmp_exchange *x, unsigned body, struct slice content)
{
    tm_err e = prepare(x, body, content);
    if (e != TM_OK) {
        key_free(x->key);
        x->key = NULL;
        bool parsed = x->csr.der.n != 0 && x->fail != CMP_BAD_DATA_FORMAT;
        if (!parsed) {
            x->err = e;
            cmp_send_error(x);
            return;
        }
        respond_refused(x, e, &x->diag, false);
        return;
    }
    if (x->t.pop == CMP_POP_CHALLENGED) {
        cmp_send(x);
        return;
    }
    if (x->key || x->t.pop == CMP_POP_ENCRYPTED)
        x->issue.also = seal;
    x->issue.done.run = outcome;
    x->issue.reply_to = pool_executor(x->house->blocking);
    issue_submit(&x->issue);
}

void cmp_request(struct cmp_exchange *x)
{
    const struct cmp_info *implicit = cmp_info_find(&x->m, OID_IT_IMPLICIT_CONFIRM);
    x->t.body = x->m.body;
    x->t.implicit_confirm = implicit && x->endpoint->cmp->implicit_confirm;
    x->t.request = x->m.content;
    submit(x, x->m.body, x->m.content);
}

void cmp_request_again(struct cmp_exchange *x)
{
    submit(x, (unsigned)x->t.body, x->t.request);
}

void cmp_request_refuse(struct cmp_exchange *x, tm_err e)
{
    respond_refused(x, e, &x->diag, false);
}

void cmp_poll(struct cmp_exchange *x)
{
    int64_t id[2];
    size_t n;
    x->err = cmp_polls_read(id, 2, &n, x->m.content, &x->diag);
    if (x->err == TM_OK && x->t.state != CMP_T_WAITING)
        x->err =
            cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "RFC 9483 4.4", "nothing waits in this transaction");
    if (x->err == TM_OK && (n != 1 || id[0] != x->t.request_id))
        x->err =
            cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "RFC 9483 4.4", "certReqId is not that of the request");
    if (x->err != TM_OK) {
        cmp_send_error(x);
        return;
    }
    cmp_request_again(x);
}
