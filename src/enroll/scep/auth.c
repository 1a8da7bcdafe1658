/* Who asks: by the certificate that signed the message, or by the challenge in the request (RFC 8894 2.2, 2.5). */
#include "base/arena.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "enroll/endpoint.h"
#include "enroll/scep/hook.h"
#include "enroll/scep/scep.h"
#include <string.h>

bool scep_self_signed(const struct scep_message *m)
{
    return slice_eq(m->by.issuer, m->by.subject);
}

tm_err scep_identify(struct scep_exchange *x, struct identity *ret, struct diag *diag)
{
    *ret = (struct identity){.house = x->house,
                             .catalog = x->catalog,
                             .endpoint = x->endpoint,
                             .arena = x->request->arena,
                             .shown = x->m->by.der,
                             .chain = x->m->cms.certs,
                             .n_chain = x->m->cms.n_certs};
    return identity_certificate(ret, diag);
}

/* ---- challenges ---- */

static bool takes(const struct scep_exchange *x, enum scep_challenge kind)
{
    return x->endpoint->scep->challenges >> kind & 1;
}

/* "<id>.<secret>", bound to names, to the first key that uses it, and by that to its transactions. */
static tm_err by_token(struct scep_exchange *x, struct diag *diag)
{
    struct arena *a = x->request->arena;
    struct issue_request *i = &x->issue;
    const char *dot = strchr(x->challenge, '.');
    char *profile;
    const char *id = dot ? arena_strndup(a, x->challenge, (size_t)(dot - x->challenge)) : NULL;
    if (!dot || dot == x->challenge || !dot[1])
        return diag_fail(diag, TM_EAUTH, "scep.challenge", "challengePassword",
                         "the challenge is not one that is taken here");
    if (!id)
        return TM_ENOMEM;
    const char *peer = i->e.caller.peer;
    TM_TRY(token_authenticate(&i->e.caller, &profile, a, x->house, x->endpoint->tenant, x->endpoint->name, id,
                              slice_str(dot + 1), diag));
    i->e.caller.peer = peer;
    i->e.profile = profile;
    i->token_id = i->e.caller.id;
    return profile[0] && !endpoint_offers(x->endpoint, slice_str(profile))
               ? diag_fail(diag, TM_EDENIED, "endpoint.profiles", "challengePassword",
                           "this endpoint does not offer the token's profile")
               : TM_OK;
}

static tm_err is_static(const struct scep_exchange *x, bool *ret)
{
    uint8_t hash[SHA256_LEN];
    TM_TRY(sha256(hash, slice_str(x->challenge)));
    char *hex = arena_hex(x->request->arena, SLICE_ARR(hash));
    if (!hex)
        return TM_ENOMEM;
    *ret = slice_ct_eq(slice_str(hex), slice_str(x->endpoint->scep->static_sha256));
    return TM_OK;
}

static void shared(struct scep_exchange *x, const char *who)
{
    x->issue.e.caller.kind = CALLER_TOKEN;
    x->issue.e.caller.id = who;
    x->issue.e.caller.device_id = "";
}

static tm_err by_challenge(struct scep_exchange *x, struct diag *diag)
{
    bool is = false;
    if (!x->challenge[0] && takes(x, SCEP_CHALLENGE_NONE)) {
        x->issue.e.caller.kind = CALLER_ANONYMOUS;
        x->issue.e.caller.id = "";
        return TM_OK;
    }
    if (!x->challenge[0])
        return diag_fail(diag, TM_EAUTH, "scep.challenge", "challengePassword",
                         "the request has no challenge password");
    if (takes(x, SCEP_CHALLENGE_STATIC))
        TM_TRY(is_static(x, &is));
    if (is) {
        log_warn(
            x->request->id, "scep.static-challenge", LOG_S("endpoint", x->endpoint->name),
            LOG_S("why", "one challenge for all: whoever learns it enrolls; one-time tokens are better"));
        shared(x, "static challenge");
        return TM_OK;
    }
    /* A token of ours is told apart by its form; what a service gives out may have any. */
    tm_err e = TM_EAUTH;
    if (takes(x, SCEP_CHALLENGE_TOKEN))
        e = by_token(x, diag);
    if (e == TM_EAUTH && takes(x, SCEP_CHALLENGE_WEBHOOK)) {
        shared(x, "web hook");
        e = scep_hook_ask(x, diag);
    } else if (e == TM_EAUTH && !takes(x, SCEP_CHALLENGE_TOKEN)) {
        e = diag_fail(diag, TM_EAUTH, "scep.challenge", "challengePassword",
                      "the challenge is not one that is taken here");
    }
    return e;
}

/* ---- certificates ---- */

static tm_err by_certificate(struct scep_exchange *x, struct diag *diag)
{
    struct identity who;
    struct issue_request *i = &x->issue;
    const char *peer = i->e.caller.peer;
    TM_TRY(scep_identify(x, &who, diag));
    i->e.caller = who.caller;
    i->e.caller.peer = peer;
    /* Clients that know no RenewalReq renew with a PKCSReq that their certificate signs (RFC 8894 2.3). */
    bool ours = who.birth == NULL;
    if (ours || x->m->type == SCEP_RENEWAL_REQ) {
        i->e.kind = ENROLL_RENEW;
        i->predecessor = who.predecessor;
        x->predecessor_profile = who.predecessor_profile;
        return TM_OK;
    }
    return identity_register_device(&who, diag);
}

tm_err scep_authenticate(struct scep_exchange *x, struct diag *diag)
{
    bool self = scep_self_signed(x->m);
    tm_err e;
    if (!self)
        e = by_certificate(x, diag);
    else if (x->m->type == SCEP_RENEWAL_REQ)
        e = diag_fail(diag, TM_EAUTH, "RFC 8894 2.3", "signerInfos",
                      "a renewal is signed with the certificate that is to be renewed");
    else
        e = by_challenge(x, diag);
    if (e == TM_OK || tm_err_class(e) != TM_CLASS_DENIED)
        return e;
    /* RFC 8894 3.2.1.4.5: a request that is well-formed and may not be. */
    x->fail = SCEP_BAD_REQUEST;
    x->fail_set = true;
    return e;
}
