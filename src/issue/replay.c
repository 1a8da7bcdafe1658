/* Answers given again: a lost reply costs no second certificate. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/continuation.h"
#include "issue/house.h"
#include "issue/run.h"
#include "policy/profile.h"
#include <string.h>

/* ---- certificates that their profile does not keep ---- */

tm_err run_keep_answer(struct run *run, struct effect *ret, size_t *ret_n)
{
    const struct issue_request *r = run->r;
    /* CMP's transactions keep their answers themselves. */
    bool keyed = r->e.idempotency_key && r->e.door != DOOR_CMP;
    *ret_n = 0;
    if (profile_retention(run->profile) == RETAIN_FULL || (!run->one_time && !keyed))
        return TM_OK;
    const char *id = arena_hex(r->arena, SLICE_ARR(r->serial));
    int64_t life = run->one_time ? TOKEN_REPLAY_WINDOW : IDEMPOTENCY_LIFE;
    *ret = (struct effect){.kind = EFFECT_OBJECT_PUT, .tenant = r->tenant};
    ret->u.object.row = (struct object_row){.kind = OBJECT_ANSWER,
                                            .id = id,
                                            .owner = "",
                                            .key = "",
                                            .ref = "",
                                            .created_at = run->facts.now,
                                            .keep_until = run->facts.now + life,
                                            .state = r->cert};
    *ret_n = 1;
    return id ? TM_OK : TM_ENOMEM;
}

static tm_err find_answer(struct slice *ret, const struct issue_request *r,
                          const uint8_t serial[CERT_SERIAL_LEN])
{
    struct store_read q = {.kind = READ_OBJECT,
                           .object_kind = OBJECT_ANSWER,
                           .tenant = r->tenant,
                           .arena = r->arena,
                           .name = arena_hex(r->arena, slice_of(serial, CERT_SERIAL_LEN))};
    tm_err e = q.name ? store_read_now(r->house->store, &q) : TM_ENOMEM;
    if (e == TM_OK)
        *ret = q.objects[0].state;
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* ---- answers given again ---- */

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
        TM_TRY(find_answer(&q.certs[0].der, r, serial));
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
    run->one_time = t->max_uses == 1;
    if (memcmp(t->bound_spki, none, sizeof none) == 0 || !run->one_time)
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
    run->waited = row->id;
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
