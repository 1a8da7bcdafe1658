/* The answer: header, protection, record, then out. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "enroll/cmp/cmp.h"
#include "issue/chain.h"
#include "issue/message.h"
#include "issue/orphan.h"
#include <string.h>

/* ---- errors ---- */

/* The first row that fits: a rule, or the beginning of one; then errors; then classes. */
static const struct {
    const char *rule;
    unsigned err;
    enum cmp_fail fail;
} fails[] = {
    {"pop.", 0, CMP_BAD_POP},
    {"key.possession", 0, CMP_BAD_POP},
    {"key.", TM_EUNSUPPORTED, CMP_BAD_ALG},
    {"key.algorithm", 0, CMP_BAD_ALG},
    {"idempotency-key", 0, CMP_TRANSACTION_ID_IN_USE},
    {"renewal.revoked", 0, CMP_CERT_REVOKED},
    {"extension", 0, CMP_UNACCEPTED_EXTENSION},
    {"profile.unknown", 0, CMP_BAD_REQUEST},
    {"key.", 0, CMP_BAD_CERT_TEMPLATE},
    {"subject", 0, CMP_BAD_CERT_TEMPLATE},
    {"san", 0, CMP_BAD_CERT_TEMPLATE},
    {"names", 0, CMP_BAD_CERT_TEMPLATE},
    {"lifetime", 0, CMP_BAD_CERT_TEMPLATE},
    {"renewal.same-names", 0, CMP_BAD_CERT_TEMPLATE},
    {NULL, TM_EBADSIG, CMP_BAD_POP},
    {NULL, TM_EMALFORMED, CMP_BAD_DATA_FORMAT},
    {NULL, TM_EUNSUPPORTED, CMP_BAD_ALG},
    {NULL, TM_EQUOTA, CMP_NOT_AUTHORIZED},
    {NULL, TM_CLASS_CALLER, CMP_BAD_REQUEST},
    {NULL, TM_CLASS_DENIED, CMP_NOT_AUTHORIZED},
    {NULL, TM_CLASS_UNAVAILABLE, CMP_SYSTEM_UNAVAIL},
};

enum cmp_fail cmp_fail_of(tm_err e, const char *rule)
{
    for (size_t i = 0; i < sizeof fails / sizeof *fails; i++) {
        bool rule_fits = !fails[i].rule || strncmp(rule, fails[i].rule, strlen(fails[i].rule)) == 0;
        bool err_fits = !fails[i].err || fails[i].err == (unsigned)e || fails[i].err == tm_err_class(e);
        if (rule_fits && err_fits)
            return fails[i].fail;
    }
    return CMP_SYSTEM_FAILURE;
}

const char *cmp_reason(struct arena *a, tm_err e, const struct diag *diag)
{
    const char *text = NULL;
    if (tm_err_class(e) != TM_CLASS_INTERNAL && diag->message[0])
        text = diag->rule[0] ? arena_printf(a, "%s: %s", diag->rule, diag->message)
                             : arena_strdup(a, diag->message);
    return text ? text : "something went wrong here; the log has the reason";
}

static tm_err finish_content(struct cmp_exchange *x, struct buf *b, unsigned body)
{
    tm_err e = buf_err(b);
    if (e == TM_OK)
        e = arena_copy(&x->content, x->a, buf_slice(b));
    buf_done(b);
    x->body = body;
    return e;
}

tm_err cmp_answer_list(struct cmp_exchange *x, unsigned body, void (*build)(struct buf *out, const void *arg),
                       const void *arg)
{
    struct buf b;
    buf_init(&b, CMP_MESSAGE_MAX);
    build(&b, arg);
    return finish_content(x, &b, body);
}

static void build_error(struct buf *out, const void *arg)
{
    cmp_error_build(out, arg);
}

void cmp_send_error(struct cmp_exchange *x)
{
    struct cmp_status s = {
        .code = CMP_REJECTION,
        .text = x->stranger ? "cmp.mac: the message is not protected by a secret that is good here"
                            : cmp_reason(x->a, x->err, &x->diag),
        .fail = x->fail != CMP_FAIL_NONE ? x->fail : cmp_fail_of(x->err, x->diag.rule),
    };
    cmp_note_refusal(x);
    x->keep = false;
    x->n_effects = x->n_certs = 0;
    x->implicit_confirm = x->enveloped = false;
    x->opening = (struct slice){0};
    x->confirm_wait = 0;
    if (cmp_answer_list(x, CMP_ERROR, build_error, &s) == TM_OK) {
        cmp_send(x);
        return;
    }
    x->reply = (struct slice){0};
    cmp_finished(x);
}

/* ---- the message ---- */

static const uint8_t null_name[] = {0x30, 0x00};
static const uint8_t null_recipient[] = {0xa4, 0x02, 0x30, 0x00};

/* The RA where it signs, else the authority; nobody, where there is none. */
struct slice cmp_sender(const struct cmp_exchange *x)
{
    if (!x->authority)
        return SLICE_ARR(null_name);
    return x->known && x->by == CMP_BY_SIGNATURE ? x->authority->ra_cert.subject : x->authority->cert.subject;
}

static void fill_sender(struct cmp_header *h, const struct cmp_exchange *x)
{
    h->sender = cmp_sender(x);
    if (!x->authority || !x->known)
        return;
    if (x->by == CMP_BY_SIGNATURE) {
        h->sender_kid = cert_ski(&x->authority->ra_cert);
    } else {
        h->sender_kid = x->m.sender_kid; /* RFC 9483 3.1: the reference of the secret */
    }
}

static tm_err copy(struct slice *ret, struct cmp_exchange *x, struct buf *b)
{
    tm_err e = buf_err(b);
    if (e == TM_OK)
        e = arena_copy(ret, x->a, buf_slice(b));
    buf_done(b);
    return e;
}

static tm_err build_part(struct cmp_exchange *x)
{
    struct cmp_header h = {.pvno = x->m.pvno == 3 || x->enveloped ? 3 : 2, /* RFC 9810 7 */
                           .recipient = x->m.sender.n ? x->m.sender : SLICE_ARR(null_recipient),
                           .time = clock_now(),
                           .transaction_id = x->m.transaction_id,
                           .recip_nonce = x->m.sender_nonce,
                           .implicit_confirm = x->implicit_confirm,
                           .confirm_wait = x->confirm_wait};
    uint8_t nonce[CMP_NONCE];
    struct buf b;
    TM_TRY(random_bytes(nonce, sizeof nonce));
    TM_TRY(arena_copy(&x->t.nonce, x->a, SLICE_ARR(nonce)));
    h.sender_nonce = x->t.nonce;
    fill_sender(&h, x);
    TM_TRY(cmp_protection_alg(&h.protection_alg, x));
    buf_init(&b, CMP_MESSAGE_MAX);
    cmp_header_build(&b, &h);
    TM_TRY(copy(&x->header, x, &b));
    buf_init(&b, CMP_MESSAGE_MAX);
    cmp_body_build(&b, x->body, x->content);
    TM_TRY(copy(&x->body_tlv, x, &b));
    return cmp_protected_part(&x->part, x->a, x->header, x->body_tlv);
}

static void add_certificate(struct slice *v, size_t *n, size_t max, struct slice der)
{
    for (size_t i = 0; i < *n; i++)
        if (slice_eq(v[i], der))
            return;
    if (*n < max && der.n)
        v[(*n)++] = der;
}

/* RFC 9483 3.3: the RA's certificate first, then what leads from it, and from what was issued, up to the root, which stays out. */
static size_t extra_certs(struct slice *v, size_t max, const struct cmp_exchange *x)
{
    size_t n = 0;
    if (x->known && x->by == CMP_BY_SIGNATURE) {
        add_certificate(v, &n, max, x->authority->ra_cert.der);
        if (!x->authority->is_root)
            add_certificate(v, &n, max, x->authority->der);
        for (size_t i = 0; i + 1 < x->authority->n_chain; i++)
            add_certificate(v, &n, max, x->authority->chain[i]);
    }
    for (size_t i = 0; i < x->n_certs; i++)
        add_certificate(v, &n, max, x->certs[i]);
    return n;
}

static tm_err assemble(struct slice *ret, struct cmp_exchange *x, const struct slice *extra, size_t n)
{
    struct buf b;
    buf_init(&b, 2 * CMP_MESSAGE_MAX);
    tm_err e = cmp_message_build(&b, x->header, x->body_tlv, x->protection, extra, n);
    if (e != TM_OK) {
        buf_done(&b);
        return e;
    }
    return copy(ret, x, &b);
}

static tm_err whole(struct cmp_exchange *x)
{
    struct slice extra[2 * CMP_CHAIN_MAX + 2];
    return assemble(&x->reply, x, extra, extra_certs(extra, sizeof extra / sizeof *extra, x));
}

/* Who issued a certificate, and what leads from there to the root. */
static void add_chain_of(struct cmp_exchange *x, struct slice der)
{
    struct cert c;
    if (der.n == 0 || cert_parse(&c, der, NULL) != TM_OK)
        return;
    const struct authority *a = catalog_authority_by_key_id(x->catalog, cert_akid(&c));
    for (size_t i = 0; a && i < a->n_chain && x->n_certs < CMP_CHAIN_MAX; i++)
        x->certs[x->n_certs++] = i == 0 ? a->der : a->chain[i - 1];
}

tm_err cmp_answer_again(struct cmp_exchange *x)
{
    struct cmp_message *m = arena_alloc(x->a, sizeof *m);
    struct cmp_outcome o = {0};
    size_t n;
    TM_TRY(m ? cmp_message_parse(m, x->t.reply, &x->diag) : TM_ENOMEM);
    x->header = m->header;
    x->body_tlv = m->body_tlv;
    x->protection = m->protection;
    if (cmp_outcomes_read(&o, 1, &n, m->body, m->content, NULL) == TM_OK)
        add_chain_of(x, o.encrypted_cert ? x->t.cert : o.cert);
    x->opening = x->t.opening;
    return whole(x);
}

/* ---- out ---- */

static void end_signing(struct cmp_exchange *x)
{
    if (x->signing)
        house_signing_end(x->house);
    x->signing = false;
}

/* What could not be protected or stored is answered without either: nothing more can be promised. */
static void fail(struct cmp_exchange *x, tm_err e)
{
    if (x->signing && x->protection.n)
        orphan_record(x->house, &x->sign, tm_err_name(e));
    end_signing(x);
    x->err = e;
    x->fail = CMP_FAIL_NONE;
    x->known = false;
    cmp_send_error(x);
}

/* Another thread has gone on with the transaction meanwhile: look again. The signature of this answer is recorded by itself. */
static void go_again(struct cmp_exchange *x)
{
    struct effect only = x->effects[0];
    struct diag diag = {0};
    if (x->signing && house_commit(x->house, &only, 1, &diag) == TM_OK)
        chain_recorded(x->house->chain, x->sign.chain_seq);
    else if (x->signing)
        orphan_record(x->house, &x->sign, "conflict");
    if (x->secret)
        explicit_bzero(x->secret, strlen(x->secret));
    end_signing(x);
    if (cmp_begin(x, x->parent, x->m.der) != TM_OK)
        fail(x, TM_ENOMEM);
}

static void written(struct task *t)
{
    struct cmp_exchange *x = TM_CONTAINER(t, struct cmp_exchange, txn.done);
    if (x->txn.err == TM_OK) {
        if (x->known && x->by == CMP_BY_SIGNATURE)
            chain_recorded(x->house->chain, x->sign.chain_seq);
        end_signing(x);
        cmp_finished(x);
        return;
    }
    if (x->txn.err == TM_ECONFLICT && x->keep) {
        go_again(x);
        return;
    }
    x->diag = x->txn.diag;
    fail(x, x->txn.err);
}

/* The record of the signature first, then the transaction, then what the answer does besides. */
static tm_err collect(struct cmp_exchange *x, struct effect *v, size_t *ret_n)
{
    size_t n = 0;
    if (x->known && x->by == CMP_BY_SIGNATURE)
        TM_TRY(message_record(&v[n++], x->a, x->endpoint->tenant, x->authority, x->endpoint->name,
                              x->http->id, cmp_body_name(x->body), &x->sign));
    if (x->keep)
        TM_TRY(cmp_transaction_effect(&v[n++], x));
    for (size_t i = 0; i < x->n_effects; i++)
        v[n++] = x->effects[i];
    *ret_n = n;
    return TM_OK;
}

static void commit(struct cmp_exchange *x)
{
    struct effect all[8];
    size_t n = 0;
    tm_err e = whole(x);
    if (e == TM_OK && x->keep)
        e = assemble(&x->t.reply, x, NULL, 0);
    if (e == TM_OK)
        e = collect(x, all, &n);
    if (e != TM_OK) {
        fail(x, e);
        return;
    }
    if (n == 0) {
        cmp_finished(x);
        return;
    }
    memcpy(x->effects, all, n * sizeof *all);
    x->n_effects = n;
    x->txn = (struct store_txn){.effects = x->effects, .n = n, .reply_to = pool_executor(x->house->blocking)};
    x->txn.done.run = written;
    store_submit(x->house->store, &x->txn);
}

static void signed_done(struct task *t)
{
    struct cmp_exchange *x = TM_CONTAINER(t, struct cmp_exchange, sign.done);
    if (x->sign.err != TM_OK) {
        x->diag = x->sign.diag;
        fail(x, x->sign.err);
        return;
    }
    chain_signed(x->house->chain, x->sign.chain_seq, x->sign.chain_hash);
    x->protection = slice_of(x->sign.signature, x->sign.signature_n);
    commit(x);
}

void cmp_send(struct cmp_exchange *x)
{
    x->protection = (struct slice){0};
    if (x->keep) {
        x->t.credential = x->credential;
        x->t.endpoint = x->endpoint->name;
    }
    tm_err e = build_part(x);
    if (e != TM_OK && x->known) {
        fail(x, e);
        return;
    }
    if (e != TM_OK) {
        x->reply = (struct slice){0};
        cmp_finished(x);
        return;
    }
    if (!x->known) {
        commit(x);
    } else if (x->by == CMP_BY_MAC) {
        e = cmp_protect_mac(x);
        if (e == TM_OK)
            commit(x);
        else
            fail(x, e);
    } else if ((e = house_signing_begin(x->house, &x->diag)) != TM_OK) {
        fail(x, e);
    } else {
        x->signing = true;
        x->sign = (struct sign_op){.kind = SIGN_CMP,
                                   .key_id = x->authority->ra_key,
                                   .alg = x->authority->ra_sig_alg,
                                   .tbs = x->part,
                                   .content = x->opening,
                                   .reply_to = pool_executor(x->house->blocking)};
        x->sign.done.run = signed_done;
        signer_submit(x->house->signer, &x->sign);
    }
}
