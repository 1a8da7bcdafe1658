/* Full CMC (RFC 7030 4.3): a PKIData of some requests, signed by who asks, answered by a PKIResponse that the RA of the authority signs.
 *
 * Who asks is known by the TLS client certificate or token as with the simple requests, and by nothing else but one thing: a message that is
 * signed with a certificate which this endpoint takes, and says that it was signed just now. A message signed with the very key to be
 * certified proves possession of that and no more (RFC 5272 4.2). Requests pass through the pipeline one by one. */
#include "x509/cmc.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "enroll/endpoint.h"
#include "enroll/est/est.h"
#include "issue/message.h"
#include "keys/cms.h"
#include <pthread.h>
#include <string.h>

enum { NONCE = 16, FRESH_SECONDS = 3600, CHAIN_MAX = 16, RESPONSE_MAX = 64 << 10, RETRY_SECONDS = 30 };

struct est_cmc {
    struct est_exchange *x;
    struct signed_data cms;
    struct pki_data data;
    const struct authority *authority; /* whose RA signs the answer */
    bool known;                        /* who asks is known */
    const char *
        once; /* names this message where its signature alone says who asks; NULL: TLS or a token says it too */
    int fail;                  /* enum cmc_fail_info of a failure of the whole; -1: by its error */
    struct issue_request base; /* what all requests have in common */
    size_t at;                 /* the request under way */
    struct cmc_status status[CMC_REQUESTS_MAX];
    size_t n_status;
    struct slice certs[CMC_REQUESTS_MAX + CHAIN_MAX];
    size_t n_issued;
    unsigned pending, retry_after;
    tm_err first; /* failure of a request */
    struct slice answer;
    int http_status;
    struct task answered;
};

static void next_request(struct est_cmc *m);

/* ---- nonces ---- */

/* What we send as senderNonce can be recognised when it comes back, with nothing kept but a key for the life of the process: half of it is
 * random, half a MAC over that and the transaction. */
static uint8_t nonce_key[SHA256_LEN];
static bool nonce_key_made;
static pthread_once_t nonce_once = PTHREAD_ONCE_INIT;

static void make_nonce_key(void)
{
    nonce_key_made = random_bytes(nonce_key, sizeof nonce_key) == TM_OK;
}

static tm_err nonce_mac(uint8_t out[SHA256_LEN], const struct est_cmc *m, const uint8_t random[NONCE / 2])
{
    uint8_t text[NONCE / 2 + CMC_NONCE_MAX];
    struct slice id = m->data.transaction_id;
    pthread_once(&nonce_once, make_nonce_key);
    if (!nonce_key_made)
        return TM_ECRYPTO;
    memcpy(text, random, NONCE / 2);
    if (id.n)
        memcpy(text + NONCE / 2, id.p, id.n);
    return hmac_sha256(out, SLICE_ARR(nonce_key), slice_of(text, NONCE / 2 + id.n));
}

static tm_err nonce_make(uint8_t out[NONCE], const struct est_cmc *m)
{
    uint8_t mac[SHA256_LEN];
    TM_TRY(random_bytes(out, NONCE / 2));
    TM_TRY(nonce_mac(mac, m, out));
    memcpy(out + NONCE / 2, mac, NONCE / 2);
    return TM_OK;
}

/* RFC 5272 6.6: a recipientNonce is the senderNonce of the answer before. */
static tm_err nonce_check(struct est_cmc *m, struct diag *diag)
{
    struct slice n = m->data.recipient_nonce;
    uint8_t mac[SHA256_LEN];
    if (n.n == 0)
        return TM_OK;
    if (n.n == NONCE) {
        TM_TRY(nonce_mac(mac, m, n.p));
        if (slice_ct_eq(slice_of(mac, NONCE / 2), slice_sub(n, NONCE / 2, NONCE)))
            return TM_OK;
    }
    m->fail = CMC_BAD_MESSAGE_CHECK;
    return diag_fail(diag, TM_EINVAL, "RFC 5272 6.6", "recipientNonce",
                     "the nonce is not of an answer that is remembered here; begin a new transaction");
}

/* ---- who signed ---- */

/* The certificate that the signer names: the TLS client's, or one that came along. */
static bool find_certificate(struct cert *ret, const struct est_cmc *m, const struct signed_signer *s)
{
    if (m->x->who.shown.n && cert_parse(ret, m->x->who.shown, NULL) == TM_OK && signed_signer_is(s, ret))
        return true;
    for (size_t i = 0; i < m->cms.n_certs; i++)
        if (cert_parse(ret, m->cms.certs[i], NULL) == TM_OK && signed_signer_is(s, ret))
            return true;
    return false;
}

static tm_err parse_request(struct csr *ret, struct arena *a, const struct cmc_request *q, struct diag *diag)
{
    return q->crmf ? csr_parse_crmf(ret, a, q->der, diag) : csr_parse_pkcs10(ret, q->der, diag);
}

/* Signed by the key to be certified, named by the request's subjectKeyIdentifier or the hash that makes one (RFC 5272 4.2). */
static tm_err verify_by_request(struct est_cmc *m, const struct signed_signer *s, struct diag *diag)
{
    struct est_exchange *x = m->x;
    for (size_t i = 0; i < m->data.n_requests && s->key_id.n; i++) {
        uint8_t sha1_id[20], sha256_id[20];
        struct slice named;
        if (parse_request(&x->csr, x->request->arena, &m->data.requests[i], NULL) != TM_OK ||
            x->csr.spki.der.n == 0)
            continue;
        TM_TRY(spki_key_id_sha1(sha1_id, &x->csr.spki));
        TM_TRY(spki_key_id(sha256_id, &x->csr.spki));
        const struct ext *ski = exts_find(&x->csr.exts, OID_EXT_SKI);
        bool is_named =
            ski && ext_decode_ski(&named, ski->value, NULL) == TM_OK && slice_eq(named, s->key_id);
        if (is_named || slice_eq(s->key_id, SLICE_ARR(sha1_id)) || slice_eq(s->key_id, SLICE_ARR(sha256_id)))
            return cms_signer_verify(&m->cms, s, &x->csr.spki, diag);
    }
    return diag_fail(diag, TM_EBADSIG, "RFC 5272 4.2", "signerInfos",
                     "the signer is neither a certificate that came along nor the key of a request");
}

/* A message that needs no channel of its sender's can be sent again by whoever saw it. So each request in it is done once in a tenant:
 * again at the same endpoint, for a lost answer, it gets the certificate that it got, where that is kept; at another it is refused. Named by
 * what is signed and by whom, since there may be a second signature over the same. The store remembers it with the certificate
 * (EFFECT_IDEMPOTENCY), for longer than the signature is fresh, so a restart forgets nothing. What waits for approval is not done yet, and
 * may be sent again. */
static tm_err name_message(struct est_cmc *m, const struct signed_signer *s, const struct cert *by)
{
    uint8_t hash[SHA256_LEN];
    const struct slice parts[] = {by->der, s->attrs};
    TM_TRY(sha256_many(hash, parts, sizeof parts / sizeof *parts));
    m->once = arena_hex(m->x->request->arena, SLICE_ARR(hash));
    return m->once ? TM_OK : TM_ENOMEM;
}

/* The signature alone says who asks only while it is fresh: who saw the message later can't use it. */
static tm_err check_fresh(struct est_cmc *m, const struct signed_signer *s, struct diag *diag)
{
    int64_t now = clock_now();
    if (s->signing_time >= now - FRESH_SECONDS && s->signing_time <= now + FRESH_SECONDS)
        return TM_OK;
    m->fail = CMC_BAD_TIME;
    return diag_fail(diag, TM_EAUTH, "RFC 5652 11.3", "signingTime",
                     "a message whose certificate is not shown to TLS must have been signed within the hour");
}

static tm_err verify(struct est_cmc *m, struct diag *diag)
{
    struct est_exchange *x = m->x;
    struct cert by;
    if (m->cms.n_signers != 1)
        return diag_fail(diag, TM_EMALFORMED, "RFC 5272 3.2", "signerInfos", "one signer is wanted");
    const struct signed_signer *s = &m->cms.signers[0];
    if (!find_certificate(&by, m, s))
        return verify_by_request(m, s, diag);
    TM_TRY(cms_signer_verify(&m->cms, s, &by.spki, diag));
    if (x->who.shown.n && !slice_eq(x->who.shown, by.der)) {
        m->fail = CMC_BAD_IDENTITY;
        return diag_fail(diag, TM_EDENIED, "RFC 5272 3.2", "signerInfos",
                         "the message is signed by somebody else than the TLS client");
    }
    if (x->who.shown.n)
        return TM_OK;
    TM_TRY(check_fresh(m, s, diag));
    TM_TRY(name_message(m, s, &by));
    TM_TRY(arena_copy(&x->who.shown, x->request->arena, by.der));
    x->who.chain = m->cms.certs;
    x->who.n_chain = m->cms.n_certs;
    return TM_OK;
}

/* ---- the message ---- */

static tm_err open_message(struct est_cmc *m, struct diag *diag)
{
    struct est_exchange *x = m->x;
    struct arena *a = x->request->arena;
    struct slice body;
    m->authority = endpoint_authority(x->catalog, x->endpoint, NULL);
    if (!m->authority || !m->authority->ra_key[0])
        return diag_fail(diag, TM_EUNAVAIL, "authority.ra", NULL,
                         "the authority has nobody who signs messages for it; touchmark ca ra makes that");
    TM_TRY(est_body_decode(&body, a, x->request->body, diag));
    TM_TRY(signed_data_parse(&m->cms, a, body, diag));
    if (oid_find(m->cms.content_type) != OID_CT_PKI_DATA)
        return diag_fail(diag, TM_EMALFORMED, "RFC 5272 3.2.1", "eContentType", "the content is not PKIData");
    return TM_OK;
}

static tm_err authenticate(struct est_cmc *m, struct diag *diag)
{
    TM_TRY(est_authenticate(m->x, diag));
    m->known = true;
    return TM_OK;
}

static tm_err begin(struct est_cmc *m, struct diag *diag)
{
    struct est_exchange *x = m->x;
    TM_TRY(open_message(m, diag));
    tm_err parsed = pki_data_parse(&m->data, x->request->arena, m->cms.content, diag);
    if (parsed != TM_OK) {
        /* Who is known otherwise gets a signed answer to this too. */
        struct diag ignored = {0};
        TM_IGNORE(authenticate(m, &ignored));
        return parsed;
    }
    tm_err verified = verify(m, diag);
    if (verified == TM_EBADSIG)
        m->fail = CMC_BAD_MESSAGE_CHECK;
    TM_TRY(verified);
    TM_TRY(authenticate(m, diag));
    TM_TRY(nonce_check(m, diag));
    if (m->data.n_requests == 0)
        return diag_fail(diag, TM_EMALFORMED, "RFC 5272 3.2.1", "reqSequence", "nothing is asked for");
    return TM_OK;
}

/* ---- what came of it ---- */

static enum cmc_fail_info fail_of(tm_err e, const char *rule)
{
    if (strcmp(rule, "key.reuse") == 0)
        return CMC_NO_KEY_REUSE;
    if (strncmp(rule, "key.", 4) == 0 && e == TM_EUNSUPPORTED)
        return CMC_BAD_ALG;
    if (strcmp(rule, "key.possession") == 0)
        return CMC_POP_REQUIRED;
    if (e == TM_EBADSIG)
        return CMC_POP_FAILED;
    if (e == TM_EAUTH || e == TM_EEXPIRED)
        return CMC_BAD_IDENTITY;
    if (e == TM_EQUOTA || tm_err_class(e) == TM_CLASS_UNAVAILABLE)
        return CMC_TRY_LATER;
    return tm_err_class(e) == TM_CLASS_INTERNAL ? CMC_INTERNAL_CA_ERROR : CMC_BAD_REQUEST;
}

static void add_failure(struct est_cmc *m, uint32_t part, tm_err e, const struct diag *diag)
{
    struct cmc_status *s = &m->status[m->n_status++];
    bool internal = tm_err_class(e) == TM_CLASS_INTERNAL;
    *s = (struct cmc_status){.body_part = part, .code = CMC_FAILED, .fail = fail_of(e, diag->rule)};
    s->text = internal        ? "something went wrong here; the log has the reason"
              : diag->rule[0] ? arena_printf(m->x->request->arena, "%s: %s", diag->rule, diag->message)
                              : arena_strdup(m->x->request->arena, diag->message);
    if (m->first == TM_OK)
        m->first = e;
}

static void add_outcome(struct est_cmc *m)
{
    const struct issue_request *i = &m->x->issue;
    uint32_t part = m->data.requests[m->at].id;
    if (i->outcome == ISSUE_ISSUED) {
        m->status[m->n_status++] = (struct cmc_status){.body_part = part, .code = CMC_SUCCESS};
        m->certs[m->n_issued++] = i->cert;
    } else if (i->outcome == ISSUE_PENDING) {
        unsigned wait = i->retry_after ? i->retry_after : RETRY_SECONDS;
        const char *token = arena_strdup(i->arena, i->pending_id);
        m->pending++;
        m->retry_after = wait > m->retry_after ? wait : m->retry_after;
        m->status[m->n_status++] =
            (struct cmc_status){.body_part = part,
                                .code = CMC_PENDING,
                                .text = "the request waits for approval; send it again later",
                                .pend_token = slice_str(token ? token : ""),
                                .pend_time = clock_now() + wait};
    } else {
        add_failure(m, part, i->err == TM_OK ? TM_EINTERNAL : i->err, &i->diag);
    }
}

/* ---- the answer ---- */

static void answered(struct task *t)
{
    struct est_cmc *m = TM_CONTAINER(t, struct est_cmc, answered);
    struct catalog *c = m->x->catalog;
    if (m->answer.n)
        est_reply_cmc(m->x->request, m->http_status, m->retry_after, m->answer);
    else
        est_reply_error(m->x->request, m->x->err, m->x->diag.rule, m->x->diag.message);
    catalog_unref(c);
}

/* What leads from the issued certificates, and the RA's, to the root, which the client has. */
static size_t add_chain(struct est_cmc *m)
{
    const struct authority *x = m->authority;
    size_t n = m->n_issued;
    m->certs[n++] = x->der;
    for (size_t i = 0; i + 1 < x->n_chain && n < CMC_REQUESTS_MAX + CHAIN_MAX; i++)
        m->certs[n++] = x->chain[i];
    return n;
}

static tm_err build_content(struct slice *ret, struct est_cmc *m)
{
    uint8_t nonce[NONCE];
    struct buf out;
    TM_TRY(nonce_make(nonce, m));
    struct pki_response r = {
        .transaction_id = m->data.transaction_id,
        .sender_nonce = SLICE_ARR(nonce),
        .recipient_nonce = m->data.sender_nonce,
        .data_return = m->data.data_return,
        .status = m->status,
        .n_status = m->n_status,
    };
    buf_init(&out, RESPONSE_MAX);
    tm_err e = pki_response_build(&out, &r);
    if (e == TM_OK)
        e = arena_copy(ret, m->x->request->arena, buf_slice(&out));
    buf_done(&out);
    return e;
}

static tm_err build_answer(struct est_cmc *m, struct diag *diag)
{
    struct est_exchange *x = m->x;
    struct arena *a = x->request->arena;
    struct message msg = {
        .tenant = x->endpoint->tenant,
        .authority = m->authority,
        .request_id = x->request->id,
        .endpoint = x->endpoint->name,
        .content_type = OID_CT_PKI_RESPONSE,
        .certs = m->certs,
    };
    TM_TRY(build_content(&msg.content, m));
    if (m->known)
        msg.n_certs = add_chain(m);
    /* Strangers' mistakes are answered without the RA's hand: each signature is work and a record. */
    return m->known ? message_sign(&m->answer, a, x->house, &msg, diag)
                    : message_unsigned(&m->answer, a, &msg);
}

/* RFC 7030 4.3.2: 200 where something was issued, 202 where it has to wait, else an error with a CMC body. */
static void finish(struct est_cmc *m)
{
    struct diag diag = {0};
    m->http_status = m->n_issued ? 200 : m->pending ? 202 : est_status_of(m->first);
    tm_err e = build_answer(m, &diag);
    if (e != TM_OK) {
        m->answer = (struct slice){0};
        m->x->err = e;
        m->x->diag = diag;
    }
    m->answered.run = answered;
    executor_post(http_request_executor(m->x->request), &m->answered);
}

/* ---- the requests, one after the other ---- */

static void request_done(struct task *t)
{
    struct issue_request *i = TM_CONTAINER(t, struct issue_request, done);
    struct est_exchange *x = TM_CONTAINER(i, struct est_exchange, issue);
    struct est_cmc *m = x->cmc;
    /* Somebody else may have sent it again: he gets nothing, not even what the first got. */
    bool again = i->outcome == ISSUE_ISSUED
                     ? i->replayed
                     : i->outcome == ISSUE_FAILED && (strcmp(i->diag.rule, "idempotency-key") == 0 ||
                                                      strcmp(i->diag.rule, "replay") == 0);
    if (m->once && again) {
        i->outcome = ISSUE_FAILED;
        i->err = diag_fail(&i->diag, TM_EDENIED, "cmc.replayed", NULL,
                           "this message was used already; sign a new one");
        est_note_refusal(x, i->err, &i->diag);
    }
    add_outcome(m);
    m->at++;
    next_request(m);
}

/* Who holds a certificate from here and asks for its names again renews it; other names are a new certificate. */
static void choose_kind(struct est_exchange *x)
{
    struct issue_request *i = &x->issue;
    if (i->e.caller.kind != CALLER_CERTIFICATE || x->who.predecessor.n == 0 ||
        !slice_eq(x->csr.subject, x->who.peer.subject))
        return;
    i->e.kind = ENROLL_RENEW;
    i->predecessor = x->who.predecessor;
}

static tm_err prepare_request(struct est_cmc *m, const struct cmc_request *q, struct diag *diag)
{
    struct est_exchange *x = m->x;
    x->issue = m->base;
    if (m->once) {
        x->issue.e.idempotency_key = arena_printf(x->request->arena, "cmc/%s/%zu", m->once, m->at);
        if (!x->issue.e.idempotency_key)
            return TM_ENOMEM;
    }
    TM_TRY(parse_request(&x->csr, x->request->arena, q, diag));
    TM_TRY(est_binding_check(x->csr.challenge_password, x->binding, x->endpoint->require_channel_binding,
                             x->request->arena, diag));
    choose_kind(x);
    TM_TRY(issue_from_csr(&x->issue, &x->csr, diag));
    TM_TRY(est_choose_profile(x, diag));
    return identity_register_device(&x->who, diag);
}

static void next_request(struct est_cmc *m)
{
    while (m->at < m->data.n_requests) {
        struct diag diag = {0};
        tm_err e = prepare_request(m, &m->data.requests[m->at], &diag);
        if (e == TM_OK) {
            issue_submit(&m->x->issue);
            return;
        }
        est_note_refusal(m->x, e, &diag);
        add_failure(m, m->data.requests[m->at].id, e, &diag);
        m->at++;
    }
    finish(m);
}

static void fail_whole(struct est_cmc *m, tm_err e, const struct diag *diag)
{
    est_note_refusal(m->x, e, diag);
    m->n_status = 0;
    add_failure(m, m->data.bad_part, e, diag);
    if (m->fail >= 0)
        m->status[0].fail = (enum cmc_fail_info)m->fail;
    else if (m->data.bad_part && e == TM_EUNSUPPORTED) {
        m->status[0].code = CMC_NO_SUPPORT;
        m->status[0].fail = CMC_BAD_REQUEST;
    }
    finish(m);
}

void est_cmc_work(struct task *t)
{
    struct est_exchange *x = TM_CONTAINER(t, struct est_exchange, work);
    struct est_cmc *m = arena_calloc(x->request->arena, 1, sizeof *m);
    if (!m) {
        x->err = TM_ENOMEM;
        executor_post(http_request_executor(x->request), &x->refused);
        return;
    }
    *m = (struct est_cmc){.x = x, .fail = -1};
    x->cmc = m;
    est_issue_begin(x);
    struct diag diag = {0};
    tm_err e = begin(m, &diag);
    if (e != TM_OK) {
        fail_whole(m, e, &diag);
        return;
    }
    x->issue.device_id = x->issue.e.caller.device_id;
    x->issue.done.run = request_done;
    x->issue.reply_to = pool_executor(x->house->blocking);
    m->base = x->issue;
    next_request(m);
}
