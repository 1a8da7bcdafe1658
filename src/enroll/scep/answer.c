/* CertReps (RFC 8894 3.3.2): made and signed on a blocking thread, sent on the loop. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "enroll/renewal_info.h"
#include "enroll/scep/scep.h"
#include "issue/message.h"
#include "keys/cms.h"
#include "keys/pubkey.h"
#include "x509/cms/certs_only.h"
#include <pthread.h>
#include <string.h>

enum { ANSWER_MAX = 512 << 10 };

void scep_reply_text(struct http_request *r, int status, const char *text)
{
    static const struct http_header retry[] = {
        {"Cache-Control", "no-store"}, {"Retry-After", "30"}, {NULL, NULL}};
    struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "%s\n", text);
    http_reply(r, status, "text/plain; charset=utf-8", buf_slice(&b),
               status == 503 || status == 429 ? retry : NULL);
    buf_done(&b);
}

tm_err scep_certs(struct slice *ret, struct scep_exchange *x, struct slice cert)
{
    struct slice v[2] = {cert, x->authority->der};
    struct buf der;
    x->given = cert;
    buf_init(&der, ANSWER_MAX);
    tm_err e = certs_only_build(&der, v, 2, NULL, 0);
    if (e == TM_OK)
        e = arena_copy(ret, x->request->arena, buf_slice(&der));
    buf_done(&der);
    return e;
}

/* ---- to whom ---- */

static tm_err key_kind(bool *ret_rsa, bool *ret_ec, const struct scep_exchange *x)
{
    struct pubkey_info info;
    TM_TRY(pubkey_info(&info, &x->m->by.spki, NULL));
    *ret_rsa = info.alg == KEY_ALG_RSA;
    *ret_ec = info.alg >= KEY_ALG_EC_P256 && info.alg <= KEY_ALG_EC_P521;
    return TM_OK;
}

static bool has_password(const struct scep_exchange *x)
{
    return x->challenge && x->challenge[0];
}

/* RFC 8894 3: a key that can't be encrypted to wants a challenge. EC keys without one are agreed with (RFC 5753), so that they can renew. */
tm_err scep_recipient_check(struct scep_exchange *x, struct diag *diag)
{
    bool rsa, ec;
    TM_TRY(key_kind(&rsa, &ec, x));
    if (rsa || ec || has_password(x))
        return TM_OK;
    return scep_fail(
        x, SCEP_BAD_REQUEST, TM_EUNSUPPORTED, "RFC 8894 3", "certificates",
        "nothing can be encrypted to the signer's key, and there is no challenge password instead");
}

static tm_err seal(struct slice *ret, struct scep_exchange *x, struct slice content)
{
    bool rsa, ec;
    struct buf out;
    TM_TRY(key_kind(&rsa, &ec, x));
    buf_init(&out, ANSWER_MAX);
    tm_err e = !rsa && has_password(x)
                   ? cms_seal_password(&out, slice_str(x->challenge), x->cipher, OID_DATA, content, &x->diag)
                   : cms_seal(&out, x->m->by.der, x->cipher, x->oaep, OID_DATA, content, &x->diag);
    if (e == TM_OK)
        e = arena_copy(ret, x->request->arena, buf_slice(&out));
    buf_done(&out);
    return e;
}

/* ---- what ---- */

static enum scep_fail fail_of(const struct scep_exchange *x)
{
    if (x->fail_set)
        return x->fail;
    if (x->err == TM_EUNSUPPORTED)
        return SCEP_BAD_ALG;
    if (x->err == TM_EBADSIG || x->err == TM_EMALFORMED)
        return SCEP_BAD_MESSAGE_CHECK;
    return SCEP_BAD_REQUEST;
}

static const char *text_of(const struct scep_exchange *x)
{
    if (tm_err_class(x->err) == TM_CLASS_INTERNAL || !x->diag.message[0])
        return "something went wrong here; the log has the reason";
    return x->diag.rule[0] ? arena_printf(x->request->arena, "%s: %s", x->diag.rule, x->diag.message)
                           : x->diag.message;
}

static tm_err make(struct scep_exchange *x, struct slice content)
{
    struct arena *a = x->request->arena;
    struct scep_reply r = {.status = x->err == TM_OK         ? SCEP_SUCCESS
                                     : x->err == TM_EPENDING ? SCEP_PENDING
                                                             : SCEP_FAILURE,
                           .fail = fail_of(x),
                           .text = x->err == TM_OK || x->err == TM_EPENDING ? NULL : text_of(x),
                           .transaction_id = x->m->transaction_id,
                           .recipient_nonce = x->m->sender_nonce};
    struct slice envelope = {0};
    struct buf attributes;
    TM_TRY(random_bytes(r.nonce, sizeof r.nonce));
    if (r.status == SCEP_SUCCESS)
        TM_TRY(seal(&envelope, x, content));
    x->request->sealed = content;
    buf_init(&attributes, 4096);
    tm_err e = scep_reply_attributes(&attributes, &r);
    struct message m = {.tenant = x->endpoint->tenant,
                        .authority = x->authority,
                        .request_id = x->request->id,
                        .endpoint = x->endpoint->name,
                        .content_type = OID_DATA,
                        .content = envelope,
                        .rsa_encryption = true,
                        .attributes = buf_slice(&attributes),
                        .sig_alg = x->m->signer->digest_alg.id == OID_SHA512 ? SIG_RSA_SHA512 : SIG_ALG_NONE};
    if (e == TM_OK)
        e = message_sign(&x->reply, a, x->house, &m, &x->diag);
    buf_done(&attributes);
    return e;
}

/* ---- strangers ---- */

/* Every signature stands in the register, so those whom nobody knows get a signed refusal only as long as there are few of them: a hundred at
 * once and two a second from then on, over all. Beyond that they are told to come later. */
static struct {
    pthread_mutex_t mutex;
    double left;
    uint64_t at;
} budget = {.mutex = PTHREAD_MUTEX_INITIALIZER, .left = 100};

bool scep_budget_take(void)
{
    pthread_mutex_lock(&budget.mutex);
    uint64_t now = clock_mono_ns();
    if (budget.at)
        budget.left += (double)(now - budget.at) / 5e8;
    budget.at = now;
    if (budget.left > 100)
        budget.left = 100;
    bool good = budget.left >= 1;
    if (good)
        budget.left -= 1;
    pthread_mutex_unlock(&budget.mutex);
    return good;
}

/* ---- sending ---- */

static void answered(struct task *t)
{
    struct scep_exchange *x = TM_CONTAINER(t, struct scep_exchange, answered);
    struct catalog *c = x->catalog;
    char link[RENEWAL_LINK_MAX];
    bool linked = x->err == TM_OK && renewal_info_link(link, c, x->given);
    const struct http_header headers[] = {{linked ? "Link" : NULL, link}, {NULL, NULL}};
    if (x->http_status == 200)
        http_reply(x->request, 200, "application/x-pki-message", x->reply, headers);
    else
        scep_reply_text(x->request, x->http_status,
                        x->http_status == 500   ? "something went wrong here; the log has the reason"
                        : x->http_status == 429 ? "too many refused messages; come later"
                                                : text_of(x));
    catalog_unref(c);
}

/* RFC 8894 4.3: what is not answered by a CertRep is answered by HTTP. */
void scep_answer(struct scep_exchange *x, struct slice content)
{
    bool failure = x->err != TM_OK && x->err != TM_EPENDING;
    bool ours = failure &&
                (tm_err_class(x->err) == TM_CLASS_INTERNAL || tm_err_class(x->err) == TM_CLASS_UNAVAILABLE);
    if (ours) /* no verdict: the client shall ask again */
        x->http_status = tm_err_class(x->err) == TM_CLASS_INTERNAL ? 500 : 503;
    else if (failure && !x->verified)
        x->http_status = x->err == TM_ETOOBIG ? 413 : 400;
    else if (failure && !x->known && !scep_budget_take())
        x->http_status = 429;
    else
        x->http_status = 200;
    if (x->http_status == 200) {
        tm_err e = make(x, content);
        if (e != TM_OK) {
            log_error(x->request->id, "scep.answer-failed", LOG_S("error", tm_err_name(e)),
                      LOG_S("rule", x->diag.rule), LOG_S("why", x->diag.message));
            x->http_status = tm_err_class(e) == TM_CLASS_UNAVAILABLE ? 503 : 500;
        }
    }
    x->answered.run = answered;
    executor_post(http_request_executor(x->request), &x->answered);
}
