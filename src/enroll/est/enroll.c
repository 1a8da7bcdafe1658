/* What is asked for: body, proof of the connection, profile; then into the pipeline. */
#include "base/arena.h"
#include "base/text.h"
#include "enroll/endpoint.h"
#include "enroll/est/est.h"
#include "enroll/server_key.h"
#include "policy/profile.h"
#include <string.h>

/* ---- the body ---- */

tm_err est_body_decode(struct slice *ret_der, struct arena *a, struct slice body, struct diag *diag)
{
    struct slice s = slice_trim(body);
    if (s.n == 0)
        return diag_fail(diag, TM_EMALFORMED, "RFC 7030 4.2.1", "body", "the request has no body");
    /* base64 of a SEQUENCE begins with 'M'; 0x30 is DER. */
    if (body.p[0] == 0x30) {
        *ret_der = body;
        return TM_OK;
    }
    if (s.n > 10 && memcmp(s.p, "-----BEGIN", 10) == 0) {
        char *label;
        if (pem_next(ret_der, &label, a, &s, NULL) != TM_OK ||
            (strcmp(label, "CERTIFICATE REQUEST") != 0 && strcmp(label, "NEW CERTIFICATE REQUEST") != 0))
            return diag_fail(diag, TM_EMALFORMED, "RFC 7468 7", "body",
                             "the body is PEM of something else than a certificate request");
        return TM_OK;
    }
    if (base64_decode(ret_der, a, s, BASE64_STD) != TM_OK)
        return diag_fail(diag, TM_EMALFORMED, "RFC 8951 3", "body", "the body is not base64");
    return TM_OK;
}

tm_err est_binding_check(struct slice challenge, struct slice binding, bool required, struct arena *a,
                         struct diag *diag)
{
    struct slice given = {0};
    bool decodes = challenge.n > 0 && base64_decode(&given, a, challenge, BASE64_STD) == TM_OK;
    bool is_one = decodes && binding.n > 0 && given.n == binding.n;
    if (is_one && slice_ct_eq(given, binding))
        return TM_OK;
    /* Many clients put passwords of their own there: only what has the form of a binding is held to be one. */
    if (!required && !is_one)
        return TM_OK;
    return diag_fail(diag, TM_EDENIED, "RFC 7030 3.5", "challengePassword",
                     challenge.n
                         ? "the request is not bound to this TLS connection"
                         : "the request must carry the TLS connection's binding as challengePassword");
}

/* ---- the profile ---- */

tm_err est_choose_profile(struct est_exchange *x, struct diag *diag)
{
    const struct endpoint *ep = x->endpoint;
    const char *by_token = x->issue.e.profile, *old = x->who.predecessor_profile;
    if (by_token && by_token[0] && !endpoint_offers(ep, slice_str(by_token)))
        return diag_fail(diag, TM_EDENIED, "endpoint.profiles", "Authorization",
                         "endpoint \"%s\" does not offer the token's profile", ep->name);
    if (by_token && by_token[0])
        return TM_OK;
    if (ep->n_profiles == 0)
        return diag_fail(diag, TM_EUNAVAIL, "endpoint.profiles", NULL, "endpoint \"%s\" offers no profile",
                         ep->name);
    bool keep = x->issue.e.kind == ENROLL_RENEW && old && endpoint_offers(ep, slice_str(old));
    x->issue.e.profile = keep ? old : ep->profiles[0];
    return TM_OK;
}

/* ---- keys made here (RFC 7030 4.4) ---- */

static tm_err check_keygen(struct est_exchange *x, struct diag *diag)
{
    const struct profile *p = catalog_profile(x->catalog, x->endpoint->tenant, x->issue.e.profile);
    TM_TRY(server_key_check(p, diag));
    return est_seal_prepare(x, diag);
}

void est_note_refusal(const struct est_exchange *x, tm_err e, const struct diag *diag)
{
    if (tm_err_class(e) == TM_CLASS_CALLER || tm_err_class(e) == TM_CLASS_DENIED)
        refusal_note(x->house, x->endpoint->tenant, DOOR_EST, x->endpoint->name, x->request->peer, diag->rule,
                     diag->message);
}

static void refuse(struct est_exchange *x, tm_err e)
{
    x->err = e;
    est_note_refusal(x, e, &x->diag);
    executor_post(http_request_executor(x->request), &x->refused);
}

static tm_err make_key(struct est_exchange *x, struct diag *diag)
{
    const struct profile *p = catalog_profile(x->catalog, x->endpoint->tenant, x->issue.e.profile);
    TM_TRY(server_key_make(&x->key, &x->issue.e, p, diag));
    if (x->seal.wanted)
        x->issue.also = est_seal;
    /* The request's own key and signature are placeholders (RFC 7030 4.4.1). */
    x->issue.csr = NULL;
    return TM_OK;
}

static void keygen_work(struct task *t)
{
    struct est_exchange *x = TM_CONTAINER(t, struct est_exchange, keygen);
    task_flush(); /* a key may take a second: nobody waits for it but who asked */
    tm_err e = make_key(x, &x->diag);
    if (e != TM_OK) {
        refuse(x, e);
        return;
    }
    issue_submit(&x->issue);
}

/* ---- the work ---- */

void est_issue_begin(struct est_exchange *x)
{
    struct http_request *r = x->request;
    struct issue_request *i = &x->issue;
    const struct endpoint *ep = x->endpoint;
    const struct tenant *tenant = catalog_tenant_by_id(x->catalog, ep->tenant);
    i->house = x->house;
    i->arena = r->arena;
    i->tenant = ep->tenant;
    i->authority = ep->authority[0] ? ep->authority : NULL;
    i->e.request_id = r->id;
    i->e.tenant = tenant ? tenant->name : "";
    i->e.endpoint = ep->name;
    i->e.door = DOOR_EST;
    i->e.caller.peer = r->peer;
}

static tm_err prepare(struct est_exchange *x, struct diag *diag)
{
    struct http_request *r = x->request;
    struct issue_request *i = &x->issue;
    est_issue_begin(x);
    TM_TRY(est_authenticate(x, diag));
    if (x->op == EST_REENROLL) {
        /* RFC 7030 4.2.2: by the certificate that is to be renewed */
        if (x->who.predecessor.n == 0)
            return diag_fail(
                diag, TM_EAUTH, "RFC 7030 4.2.2", "certificate",
                "a renewal is asked for with the certificate to be renewed as TLS client certificate");
        i->e.kind = ENROLL_RENEW;
        i->predecessor = x->who.predecessor;
    }
    i->device_id = i->e.caller.device_id;
    struct slice der;
    TM_TRY(est_body_decode(&der, r->arena, r->body, diag));
    TM_TRY(csr_parse_pkcs10(&x->csr, der, diag));
    TM_TRY(est_binding_check(x->csr.challenge_password, x->binding, x->endpoint->require_channel_binding,
                             r->arena, diag));
    TM_TRY(issue_from_csr(i, &x->csr, diag));
    TM_TRY(est_choose_profile(x, diag));
    if (x->op == EST_KEYGEN)
        TM_TRY(check_keygen(x, diag));
    return identity_register_device(&x->who, diag);
}

void est_enroll_work(struct task *t)
{
    struct est_exchange *x = TM_CONTAINER(t, struct est_exchange, work);
    tm_err e = prepare(x, &x->diag);
    if (e != TM_OK) {
        refuse(x, e);
        return;
    }
    if (x->op == EST_KEYGEN) {
        x->keygen.run = keygen_work;
        executor_post(pool_executor(x->house->crypto), &x->keygen);
        return;
    }
    issue_submit(&x->issue);
}
