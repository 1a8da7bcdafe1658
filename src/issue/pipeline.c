/* The way of one request. Each stage runs where its work belongs:
 *
 *   prepare    crypto pool   catalog, proof of possession, replays, facts, decision, TBS, lint
 *   sign       signer        one operation in its queue
 *   write      crypto pool   assemble, compare with the plan, inventory row and event
 *   commit     committer     one transaction with everything that the issue consumes
 *   answer     requester     on its own executor, after the commit
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "issue/chain.h"
#include "issue/continuation.h"
#include "issue/facts.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "issue/key_use.h"
#include "issue/orphan.h"
#include "issue/record.h"
#include "issue/run.h"
#include "keys/pubkey.h"
#include "keys/signer.h"
#include "policy/lint.h"
#include "policy/profile.h"
#include <string.h>

enum {
    TBS_MAX = 64 << 10,
    TBS_USUAL = 1000,
    CERT_AROUND = 64,
};

/* ---- the end ---- */

static void release(struct run *run)
{
    struct house *h = run->r->house;
    buf_done(&run->tbs);
    buf_done(&run->cert);
    catalog_unref(run->catalog);
    if (run->in_flight)
        house_signing_end(h);
}

static void answer(struct run *run)
{
    struct issue_request *r = run->r;
    release(run);
    executor_post(r->reply_to, &r->done);
}

static void fail(struct run *run, tm_err e)
{
    run->r->outcome = ISSUE_FAILED;
    run->r->err = e;
    answer(run);
}

void run_deny(struct run *run, tm_err e, const char *rule, const char *reason)
{
    struct decision *d = &run->r->decision;
    d->verdict = VERDICT_DENY;
    d->err = e;
    d->rule = rule;
    d->reason = reason;
}

tm_err run_set_chain(struct run *run, const struct authority *x)
{
    struct issue_request *r = run->r;
    struct slice *v = arena_calloc(r->arena, x->n_chain + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    TM_TRY(arena_copy(&v[0], r->arena, x->der));
    for (size_t i = 0; i < x->n_chain; i++)
        TM_TRY(arena_copy(&v[i + 1], r->arena, x->chain[i]));
    r->chain = v;
    r->n_chain = x->n_chain + 1;
    return TM_OK;
}

/* ---- refusals ---- */

static void denied_written(struct task *t)
{
    struct run *run = TM_CONTAINER(t, struct run, txn.done);
    /* A refusal that can't be recorded stays a refusal, but the caller learns that the house is unwell. */
    if (run->txn.err != TM_OK) {
        run->r->diag = run->txn.diag;
        fail(run, run->txn.err);
        return;
    }
    answer(run);
}

/* One of many goes behind at each step, so that many go together: what enters and what goes on are one queue, and signer and committer get groups. */
static struct executor *crypto_executor(const struct issue_request *r)
{
    struct pool *crypto = r->house->crypto;
    return r->bulk ? pool_behind(crypto) : pool_executor(crypto);
}

static void commit(struct run *run, void (*done)(struct task *))
{
    run->txn = (struct store_txn){.effects = run->effects, .n = run->n_effects};
    run->txn.done.run = done;
    run->txn.reply_to = crypto_executor(run->r);
    store_submit(run->r->house->store, &run->txn);
}

static void finish_denied(struct run *run)
{
    struct issue_request *r = run->r;
    const struct decision *d = &r->decision;
    r->outcome = ISSUE_DENIED;
    r->err = d->err == TM_OK ? TM_EDENIED : d->err;
    TM_IGNORE(diag_fail(&r->diag, r->err, d->rule, NULL, "%s", d->reason));
    log_info(r->e.request_id, "enrollment.denied", LOG_S("door", door_names[r->e.door]),
             LOG_S("endpoint", r->e.endpoint), LOG_S("profile", r->e.profile), LOG_S("rule", d->rule),
             LOG_S("reason", d->reason));
    if (r->dry_run) {
        answer(run);
        return;
    }
    if (r->e.caller.kind == CALLER_ANONYMOUS) {
        refusal_note(r->house, r->tenant, r->e.door, r->e.endpoint, r->e.caller.peer, d->rule, d->reason);
        answer(run);
        return;
    }
    tm_err e = record_denied(&run->effects[0], r);
    if (e != TM_OK) {
        fail(run, e);
        return;
    }
    run->n_effects = 1;
    commit(run, denied_written);
}

/* ---- the commit of an issue ---- */

/* Of two copies of a request at once the second finds taken what the first has taken: it has the same answer. A verdict DENY, *ret_done, or
 * neither. */
static tm_err answered_meanwhile(struct run *run, bool *ret_done)
{
    switch (run->effects[run->txn.failed].kind) {
    case EFFECT_TOKEN_USE:
    case EFFECT_QUOTA_TAKE:
    case EFFECT_IDEMPOTENCY:
        return run_replay(run, ret_done);
    default:
        return TM_OK;
    }
}

/* It was good when it was looked at; another key's use of it has been told apart already. */
static void token_verdict(struct run *run)
{
    tm_err e = run->txn.err;
    if (e == TM_EEXPIRED)
        run_deny(run, e, "token.expired", "this enrollment token has expired");
    else if (e == TM_EFORBIDDEN)
        run_deny(run, e, "token.secret", "this enrollment token has been revoked");
    else
        run_deny(run, e, "token.used", "this enrollment token is used up");
}

static tm_err conflict_verdict(struct run *run)
{
    struct issue_request *r = run->r;
    switch (run->effects[run->txn.failed].kind) {
    case EFFECT_TOKEN_USE:
        token_verdict(run);
        return TM_OK;
    case EFFECT_QUOTA_TAKE:
        run_deny(run, TM_EQUOTA, "quota.window", "the profile's allowance for this period is used up");
        return TM_OK;
    default:
        r->diag = run->txn.diag;
        return run->txn.err;
    }
}

static void issued_written(struct task *t);

static void not_written(struct run *run)
{
    struct issue_request *r = run->r;
    tm_err e = run->txn.err;
    /* The device's row changed under us: its state is somebody else's news, the certificate is still good. */
    if (e == TM_ECONFLICT && run->txn.failed == run->device_effect) {
        memmove(&run->effects[run->device_effect], &run->effects[run->device_effect + 2],
                (run->n_effects - run->device_effect - 2) * sizeof *run->effects);
        run->n_effects -= 2;
        run->device_effect = EFFECTS_MAX;
        commit(run, issued_written);
        return;
    }
    orphan_record(r->house, &run->sign, tm_err_name(e));
    r->cert = (struct slice){0};
    bool consumable = tm_err_class(e) == TM_CLASS_DENIED || e == TM_ECONFLICT, done = false;
    tm_err again = consumable ? answered_meanwhile(run, &done) : TM_OK;
    if (again == TM_OK && done) {
        r->err = TM_OK;
        answer(run);
        return;
    }
    if (again != TM_OK) /* it has its answer, which can't be given now: no refusal */
        consumable = false;
    if (consumable && (r->decision.verdict == VERDICT_DENY || conflict_verdict(run) == TM_OK)) {
        finish_denied(run);
        return;
    }
    if (again == TM_OK)
        r->diag = run->txn.diag;
    log_error(r->e.request_id, "issue.commit-failed", LOG_S("error", tm_err_name(e)),
              LOG_S("why", r->diag.message));
    fail(run, again == TM_OK ? e : again);
}

static void issued_written(struct task *t)
{
    struct run *run = TM_CONTAINER(t, struct run, txn.done);
    struct issue_request *r = run->r;
    if (run->txn.err != TM_OK) {
        not_written(run);
        return;
    }
    chain_recorded(r->house->chain, run->sign.chain_seq);
    r->outcome = ISSUE_ISSUED;
    r->err = TM_OK;
    char hex[2 * CERT_SERIAL_LEN + 1];
    hex_encode(hex, SLICE_ARR(r->serial));
    log_info(r->e.request_id, "certificate.issued", LOG_S("serial", hex),
             LOG_S("door", door_names[r->e.door]), LOG_S("endpoint", r->e.endpoint),
             LOG_S("profile", r->e.profile), LOG_S("authority", r->decision.plan.authority));
    answer(run);
}

/* made, shipped, transferred -> onboarded with the first certificate from here, with its event (E1). */
static tm_err add_device_effects(struct run *run)
{
    struct issue_request *r = run->r;
    int state = run->device.state;
    if (!run->facts.device.known ||
        (state != DEVICE_MADE && state != DEVICE_SHIPPED && state != DEVICE_TRANSFERRED) ||
        r->e.caller.kind == CALLER_PRINCIPAL)
        return TM_OK;
    run->device_effect = run->n_effects;
    struct effect *e = &run->effects[run->n_effects++];
    *e = (struct effect){.kind = EFFECT_DEVICE_PUT,
                         .tenant = r->tenant,
                         .expected_version = run->device.version,
                         .u.device = run->device};
    e->u.device.state = DEVICE_ONBOARDED;
    e->u.device.updated_at = clock_now_ms();
    return record_device_state(&run->effects[run->n_effects++], r->arena, r->tenant, run->device.id, state,
                               DEVICE_ONBOARDED, "enrollment");
}

static tm_err collect_effects(struct run *run)
{
    struct issue_request *r = run->r;
    const struct profile *p = run->profile;
    run->device_effect = EFFECTS_MAX;
    TM_TRY(record_issued(run->effects, r, run->planned, &run->sign, (int)profile_retention(p),
                         profile_keep_expired(p)));
    run->n_effects = 2;
    if (run->facts.key_used_elsewhere)
        TM_TRY(key_use_mark(&run->effects[0], r->arena, &r->e.spki));
    if (r->token_id) {
        struct effect *e = &run->effects[run->n_effects++];
        *e = (struct effect){.kind = EFFECT_TOKEN_USE, .tenant = r->tenant};
        e->u.token.now = run->facts.now;
        e->u.token.row.id = r->token_id;
        e->u.token.row.bound_at = run->facts.now;
        TM_TRY(sha256(e->u.token.row.bound_spki, r->e.spki.der));
        memcpy(e->u.token.row.bound_cert, run->sign.serial, CERT_SERIAL_LEN);
    }
    int64_t window = profile_quota_window(p);
    if (window > 0 && profile_quota_max(p) > 0) {
        struct effect *e = &run->effects[run->n_effects++];
        *e = (struct effect){.kind = EFFECT_QUOTA_TAKE, .tenant = r->tenant};
        e->u.quota.name = arena_printf(r->arena, "profile/%s", profile_name(p));
        e->u.quota.window_start = run->facts.now - run->facts.now % window;
        e->u.quota.window_end = e->u.quota.window_start + window;
        e->u.quota.max = profile_quota_max(p);
        e->u.quota.take = 1;
        if (!e->u.quota.name)
            return TM_ENOMEM;
    }
    if (r->e.idempotency_key) {
        struct effect *e = &run->effects[run->n_effects++];
        *e = (struct effect){.kind = EFFECT_IDEMPOTENCY, .tenant = r->tenant};
        e->u.idem.key = r->e.idempotency_key;
        e->u.idem.expires_at = run->facts.now + IDEMPOTENCY_LIFE;
        memcpy(e->u.idem.request_hash, run->request_hash, SHA256_LEN);
        memcpy(e->u.idem.cert, run->sign.serial, CERT_SERIAL_LEN);
    }
    if (r->continuation) {
        struct effect *e = &run->effects[run->n_effects++];
        run->continuation = *r->continuation;
        bool kept = profile_retention(p) == RETAIN_FULL;
        TM_TRY(continuation_finish(&run->continuation, r->arena, run->sign.serial,
                                   kept ? (struct slice){0} : r->cert, NULL));
        *e = (struct effect){.kind = EFFECT_CONTINUATION_PUT,
                             .tenant = r->tenant,
                             .expected_version = run->continuation.version,
                             .u.continuation = run->continuation};
    }
    size_t n = 0;
    TM_TRY(run_keep_answer(run, &run->effects[run->n_effects], &n));
    run->n_effects += n;
    n = 0;
    if (r->also)
        TM_TRY(r->also(r, &run->effects[run->n_effects], &n));
    run->n_effects += n;
    return add_device_effects(run);
}

/* ---- after the signer ---- */

/* What was signed must be what was planned, but for the serial's random part. */
static tm_err assemble(struct run *run)
{
    struct issue_request *r = run->r;
    memcpy(run->tbs.p + run->sign.serial_offset, run->sign.serial, CERT_SERIAL_LEN);
    uint8_t hash[SHA256_LEN];
    TM_TRY(sha256(hash, buf_slice(&run->tbs)));
    if (memcmp(hash, run->sign.tbs_hash, sizeof hash) != 0)
        return diag_fail(&r->diag, TM_EINTERNAL, NULL, NULL,
                         "the signer signed something else than was planned");
    buf_init(&run->cert, CERT_DER_MAX);
    (void)buf_extend(&run->cert, run->tbs.n + run->sign.signature_n + CERT_AROUND);
    buf_reset(&run->cert);
    TM_TRY(signed_assemble(&run->cert, buf_slice(&run->tbs), sig_alg_info(r->decision.plan.sig_alg)->algid,
                           slice_of(run->sign.signature, run->sign.signature_n)));
    TM_TRY(arena_copy(&r->cert, r->arena, buf_slice(&run->cert)));
    memcpy(r->serial, run->sign.serial, CERT_SERIAL_LEN);
    /* The signed part is the one that lint had parsed, but for the serial: it need not be parsed again. */
    run->planned->serial = SLICE_ARR(r->serial);
    run->planned->der = r->cert;
    run->planned->tbs = buf_slice(&run->tbs);
    return run_set_chain(run, run->authority);
}

static void signed_done(struct task *t)
{
    struct run *run = TM_CONTAINER(t, struct run, sign.done);
    struct issue_request *r = run->r;
    if (run->sign.err != TM_OK) {
        r->diag = run->sign.diag;
        log_error(r->e.request_id, "issue.sign-failed", LOG_S("key", run->sign.key_id),
                  LOG_S("error", tm_err_name(run->sign.err)), LOG_S("why", run->sign.diag.message));
        /* The envelope's refusal is the caller's answer too: nothing they ask for again will pass. */
        if (tm_err_class(run->sign.err) == TM_CLASS_DENIED) {
            run_deny(run, run->sign.err, "signer.envelope",
                     "the key of this authority may not sign such a certificate");
            finish_denied(run);
            return;
        }
        fail(run, run->sign.err);
        return;
    }
    chain_signed(r->house->chain, run->sign.chain_seq, run->sign.chain_hash);
    tm_err e = assemble(run);
    if (e == TM_OK)
        e = collect_effects(run);
    if (e != TM_OK) {
        orphan_record(r->house, &run->sign, tm_err_name(e));
        r->cert = (struct slice){0};
        fail(run, e);
        return;
    }
    commit(run, issued_written);
}

/* ---- before the signer ---- */

static tm_err lint(struct run *run)
{
    struct issue_request *r = run->r;
    struct lint_report report;
    TM_TRY(lint_plan(&report, &run->planned, r->arena, &r->decision.plan, buf_slice(&run->tbs),
                     profile_lint_families(run->profile), run->facts.now));
    for (size_t i = 0; i < report.n; i++)
        log_warn(r->e.request_id, "lint", LOG_S("rule", report.v[i].rule->id),
                 LOG_S("detail", report.v[i].detail));
    if (!report.failed || !profile_lint_fails(run->profile))
        return TM_OK;
    for (size_t i = 0; i < report.n; i++) {
        if (report.v[i].rule->severity != LINT_FAIL)
            continue;
        const char *rule = arena_printf(r->arena, "lint.%s", report.v[i].rule->id);
        const char *why = arena_printf(r->arena, "%s: %s", report.v[i].rule->title, report.v[i].detail);
        if (!rule || !why)
            return TM_ENOMEM;
        run_deny(run, TM_EDENIED, rule, why);
        break;
    }
    return TM_OK;
}

static void pending_written(struct task *t)
{
    struct run *run = TM_CONTAINER(t, struct run, txn.done);
    struct issue_request *r = run->r;
    bool done = false;
    /* Another copy of the request was quicker: both wait for the same. */
    if (run->txn.err == TM_ECONFLICT && run_replay(run, &done) == TM_OK && done) {
        answer(run);
        return;
    }
    if (run->txn.err != TM_OK) {
        r->diag = run->txn.diag;
        fail(run, run->txn.err);
        return;
    }
    r->outcome = ISSUE_PENDING;
    memccpy(r->pending_id, run->continuation.id, 0, sizeof r->pending_id - 1);
    r->retry_after = CONTINUATION_RETRY;
    log_info(r->e.request_id, "enrollment.pending", LOG_S("id", r->pending_id),
             LOG_S("rule", r->decision.rule));
    answer(run);
}

static void pend(struct run *run)
{
    struct issue_request *r = run->r;
    tm_err e =
        continuation_row_make(&run->continuation, r, profile_approval_deadline(run->profile), run->waited);
    if (e == TM_OK)
        e = record_pending(&run->effects[1], r);
    if (e != TM_OK) {
        fail(run, e);
        return;
    }
    run->effects[0] = (struct effect){.kind = EFFECT_CONTINUATION_PUT,
                                      .tenant = r->tenant,
                                      .expected_version = 0,
                                      .u.continuation = run->continuation};
    run->n_effects = 2;
    commit(run, pending_written);
}

static void sign(struct run *run)
{
    struct issue_request *r = run->r;
    uint8_t serial[CERT_SERIAL_LEN];
    serial_prefix(serial, r->decision.plan.not_after, run->facts.now);
    buf_init(&run->tbs, TBS_MAX);
    (void)buf_extend(&run->tbs, TBS_USUAL); /* one allocation for almost every certificate */
    buf_reset(&run->tbs);
    tm_err e = plan_build_tbs(&run->tbs, &r->decision.plan, serial, &run->sign.serial_offset);
    if (e == TM_OK)
        e = lint(run);
    if (e != TM_OK) {
        fail(run, e);
        return;
    }
    if (r->decision.verdict == VERDICT_DENY) {
        finish_denied(run);
        return;
    }
    if (r->dry_run) {
        /* What would be signed, with the serial's random part still zero. */
        e = arena_copy(&r->cert, r->arena, buf_slice(&run->tbs));
        r->outcome = ISSUE_ISSUED;
        if (e != TM_OK)
            fail(run, e);
        else
            answer(run);
        return;
    }
    e = house_signing_begin(r->house, &r->diag);
    if (e != TM_OK) {
        fail(run, e);
        return;
    }
    run->in_flight = true;
    run->sign.kind = SIGN_LEAF;
    run->sign.key_id = r->decision.plan.key_ref;
    run->sign.alg = r->decision.plan.sig_alg;
    run->sign.tbs = buf_slice(&run->tbs);
    run->sign.reply_to = crypto_executor(r);
    run->sign.done.run = signed_done;
    signer_submit(r->house->signer, &run->sign);
}

/* A key that issue_from_csr() could not make out: refused by name, and recorded, like any that a profile does not take. */
static tm_err admit_key(struct run *run)
{
    struct issue_request *r = run->r;
    struct diag why = {0};
    if (r->e.key.alg != KEY_ALG_NONE || r->e.spki.der.n == 0)
        return TM_OK;
    tm_err e = pubkey_info(&r->e.key, &r->e.spki, &why);
    if (e != TM_EUNSUPPORTED)
        return e;
    const char *reason = arena_strdup(r->arena, why.message);
    if (!reason)
        return TM_ENOMEM;
    run_deny(run, e, strcmp(why.rule, "key.size") == 0 ? "key.size" : "key.algorithm", reason);
    return TM_OK;
}

/* Everything before facts. A verdict DENY in r->decision, *ret_done, or go on. */
static tm_err admit(struct run *run, bool *ret_done)
{
    struct issue_request *r = run->r;
    const struct tenant *t = catalog_tenant_by_id(run->catalog, r->tenant);
    if (!t || t->disabled) {
        run_deny(run, TM_EFORBIDDEN, "tenant.disabled", "this tenant does not exist or is disabled");
        return TM_OK;
    }
    run->profile = r->e.profile ? catalog_profile(run->catalog, r->tenant, r->e.profile) : NULL;
    if (r->proposed && r->dry_run)
        run->profile = r->proposed;
    if (!run->profile) {
        run_deny(run, TM_ENOTFOUND, "profile.unknown", "there is no such profile");
        return TM_OK;
    }
    const char *name = r->authority && r->authority[0] ? r->authority : profile_authority(run->profile);
    run->authority = catalog_authority(run->catalog, r->tenant, name);
    if (!run->authority) {
        run_deny(run, TM_ENOTFOUND, "authority.unknown",
                 "the profile names an authority that does not exist");
        return TM_OK;
    }
    TM_TRY(admit_key(run));
    if (r->decision.verdict == VERDICT_DENY)
        return TM_OK;
    if (r->csr && r->csr->pop == CSR_POP_SIGNATURE && !r->e.pop_verified) {
        tm_err e = csr_verify_pop(r->csr, &r->diag);
        if (tm_err_class(e) == TM_CLASS_CALLER) {
            run_deny(run, e, "pop.signature", "the request's signature does not prove possession of its key");
            return TM_OK;
        }
        TM_TRY(e);
        r->e.pop_verified = true;
    }
    return run_replay(run, ret_done);
}

static tm_err decide(struct run *run)
{
    struct issue_request *r = run->r;
    TM_TRY(facts_gather(&run->facts, r, run->catalog, run->profile, run->authority, &run->device, &r->diag));
    return policy_decide(&r->decision, r->arena, run->profile, &r->e, &run->facts);
}

static void prepare(struct task *t)
{
    struct run *run = TM_CONTAINER(t, struct run, prepare);
    struct issue_request *r = run->r;
    bool done = false;
    r->decision.verdict = VERDICT_ISSUE;
    tm_err e = admit(run, &done);
    if (e == TM_OK && done) {
        answer(run);
        return;
    }
    if (e == TM_OK && r->decision.verdict != VERDICT_DENY)
        e = decide(run);
    if (e != TM_OK) {
        fail(run, e);
        return;
    }
    if (r->decision.verdict == VERDICT_DENY) {
        finish_denied(run);
        return;
    }
    if (!r->dry_run && (e = house_may_sign(r->house, &r->diag)) != TM_OK) {
        fail(run, e);
        return;
    }
    if (r->decision.verdict == VERDICT_PEND) {
        if (r->dry_run) {
            r->outcome = ISSUE_PENDING;
            answer(run);
        } else {
            pend(run);
        }
        return;
    }
    sign(run);
}

/* NULL: there is no memory, and the requester has been told. */
static struct run *run_new(struct issue_request *r)
{
    struct run *run = arena_calloc(r->arena, 1, sizeof *run);
    if (!run) {
        r->outcome = ISSUE_FAILED;
        r->err = TM_ENOMEM;
        executor_post(r->reply_to, &r->done);
        return NULL;
    }
    run->r = r;
    run->catalog = house_catalog(r->house);
    run->device_effect = EFFECTS_MAX;
    run->prepare.run = prepare;
    return run;
}

void issue_submit_here(struct issue_request *r)
{
    struct run *run = run_new(r);
    if (run)
        prepare(&run->prepare);
}

void issue_submit(struct issue_request *r)
{
    struct run *run = run_new(r);
    if (run)
        executor_post(crypto_executor(r), &run->prepare);
}

static void blocking_done(struct task *t)
{
    bool *finished = TM_CONTAINER(t, struct issue_request, done)->priv;
    *finished = true;
}

void issue_run(struct issue_request *r)
{
    struct waiter *w = waiter_new();
    if (!w) {
        r->outcome = ISSUE_FAILED;
        r->err = TM_ENOMEM;
        return;
    }
    bool finished = false;
    r->priv = &finished;
    r->reply_to = waiter_executor(w);
    r->done.run = blocking_done;
    issue_submit(r);
    waiter_run(w, &finished);
    waiter_free(w);
}

tm_err issue_from_csr(struct issue_request *r, const struct csr *csr, struct diag *diag)
{
    struct enrollment *e = &r->e;
    r->csr = csr;
    e->spki = csr->spki;
    e->subject = csr->subject;
    e->exts = csr->exts;
    e->not_before = csr->not_before;
    e->not_after = csr->not_after;
    if (csr->spki.der.n == 0)
        return diag_fail(diag, TM_EINVAL, "RFC 2986 4.1", "subjectPKInfo", "the request has no public key");
    /* A kind or size of key that nobody here takes is for the pipeline to refuse, which names the rule and records it. */
    tm_err err = pubkey_info(&e->key, &csr->spki, diag);
    if (err == TM_EUNSUPPORTED) {
        e->key = (struct pubkey_info){0};
        if (diag)
            diag_clear(diag);
    } else if (err != TM_OK) {
        return err;
    }
    return csr_san(&e->san, r->arena, csr, diag);
}
