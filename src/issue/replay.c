/* Answers given again: a lost reply costs no second certificate. */
#include "base/arena.h"
#include "base/clock.h"
#include "issue/continuation.h"
#include "issue/house.h"
#include "issue/run.h"
#include "policy/profile.h"
#include <string.h>

enum { TOKEN_REPLAY_WINDOW = 7 * 86400 };

/* Answer with a certificate issued before; `kept`: its DER, where not the inventory has it. TM_ENOTFOUND when it was not kept. */
static tm_err replay(struct run *run, const uint8_t serial[CERT_SERIAL_LEN], struct slice kept)
{
    struct issue_request *r = run->r;
    struct store_read q = {.kind = READ_CERT, .tenant = r->tenant, .arena = r->arena, .with_der = true};
    memcpy(q.id, serial, sizeof q.id);
    tm_err e = store_read_now(r->house->store, &q);
    if (e != TM_OK) {
        r->diag = q.diag;
        return e;
    }
    if (q.certs[0].der.n == 0)
        q.certs[0].der = kept;
    if (q.certs[0].der.n == 0)
        return diag_fail(&r->diag, TM_ENOTFOUND, "replay", NULL,
                         "the certificate was issued, but its profile does not keep it");
    const struct authority *x = catalog_authority(run->catalog, r->tenant, q.certs[0].authority);
    if (x)
        TM_TRY(run_set_chain(run, x));
    r->cert = q.certs[0].der;
    memcpy(r->serial, serial, sizeof r->serial);
    r->outcome = ISSUE_ISSUED;
    r->replayed = true;
    return TM_OK;
}

static tm_err request_hash(struct run *run)
{
    const struct issue_request *r = run->r;
    const struct slice parts[] = {
        slice_str(r->e.endpoint ? r->e.endpoint : ""),
        SLICE_LIT("\n"),
        slice_str(r->e.profile),
        SLICE_LIT("\n"),
        slice_str(r->e.caller.id ? r->e.caller.id : ""),
        SLICE_LIT("\n"),
        slice_str(r->device_id ? r->device_id : ""),
        SLICE_LIT("\n"),
        r->predecessor,
        r->csr ? r->csr->der : r->e.spki.der,
    };
    return sha256_many(run->request_hash, parts, sizeof parts / sizeof *parts);
}

/* Same idempotency key: the same request is answered again, another is a conflict. *ret_done when the request is answered. */
static tm_err replay_idempotent(struct run *run, bool *ret_done)
{
    struct issue_request *r = run->r;
    if (!r->e.idempotency_key || r->dry_run)
        return TM_OK;
    TM_TRY(request_hash(run));
    struct store_read q = {
        .kind = READ_IDEMPOTENCY, .tenant = r->tenant, .arena = r->arena, .name = r->e.idempotency_key};
    tm_err e = store_read_now(r->house->store, &q);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    if (e != TM_OK) {
        r->diag = q.diag;
        return e;
    }
    if (memcmp(q.idem.request_hash, run->request_hash, SHA256_LEN) != 0)
        return diag_fail(&r->diag, TM_ECONFLICT, "idempotency-key", NULL,
                         "this idempotency key was used for another request");
    *ret_done = true;
    return replay(run, q.idem.cert, (struct slice){0});
}

/* A one-time token that this very key has used already: the lost reply is answered again for a window. */
static tm_err replay_token(struct run *run, bool *ret_done)
{
    struct issue_request *r = run->r;
    if (!r->token_id || r->dry_run)
        return TM_OK;
    struct store_read q = {.kind = READ_TOKEN, .tenant = r->tenant, .arena = r->arena, .name = r->token_id};
    tm_err e = store_read_now(r->house->store, &q);
    if (e != TM_OK) {
        r->diag = q.diag;
        return e;
    }
    const struct token_row *t = &q.tokens[0];
    uint8_t spki[SHA256_LEN];
    static const uint8_t none[SHA256_LEN];
    TM_TRY(sha256(spki, r->e.spki.der));
    if (memcmp(t->bound_spki, none, sizeof none) == 0 || t->max_uses != 1)
        return TM_OK;
    if (memcmp(t->bound_spki, spki, sizeof spki) != 0) {
        run_deny(run, TM_EFORBIDDEN, "token.bound",
                 "this enrollment token was used with another key; ask for a new token");
        return TM_OK;
    }
    if (clock_now() - t->bound_at > TOKEN_REPLAY_WINDOW) {
        run_deny(run, TM_EEXPIRED, "token.used",
                 "this enrollment token was used up some time ago; ask for a new one");
        return TM_OK;
    }
    *ret_done = true;
    return replay(run, t->bound_cert, (struct slice){0});
}

/* A request that waits already, was approved or was rejected. */
static tm_err resume(struct run *run, bool *ret_done)
{
    struct issue_request *r = run->r;
    if (r->approved || r->dry_run || !profile_needs_approval(run->profile))
        return TM_OK;
    const char *key;
    TM_TRY(continuation_key(&key, r));
    struct store_read q = {.kind = READ_CONTINUATION, .tenant = r->tenant, .arena = r->arena, .name2 = key};
    tm_err e = store_read_now(r->house->store, &q);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    if (e != TM_OK) {
        r->diag = q.diag;
        return e;
    }
    const struct continuation_row *row = &q.continuations[0];
    if (row->expires_at < clock_now())
        return TM_OK;
    if (strcmp(row->status, "rejected") == 0) {
        run_deny(run, TM_EDENIED, "approval.rejected", "the request was looked at and rejected");
        return TM_OK;
    }
    *ret_done = true;
    uint8_t serial[CERT_SERIAL_LEN];
    if (strcmp(row->status, "done") == 0) {
        struct slice kept;
        TM_TRY(continuation_issued(serial, &kept, r->arena, row));
        return replay(run, serial, kept);
    }
    r->outcome = ISSUE_PENDING;
    memccpy(r->pending_id, row->id, 0, sizeof r->pending_id - 1);
    r->retry_after = CONTINUATION_RETRY;
    return TM_OK;
}

tm_err run_replay(struct run *run, bool *ret_done)
{
    TM_TRY(replay_idempotent(run, ret_done));
    if (!*ret_done)
        TM_TRY(replay_token(run, ret_done));
    if (!*ret_done && run->r->decision.verdict != VERDICT_DENY)
        TM_TRY(resume(run, ret_done));
    return TM_OK;
}
