#include "store/sqlite/internal.h"

static const struct effect_ops *const effect_table[] = {
    [EFFECT_CERT_ADD] = &effect_cert_add,
    [EFFECT_CERT_REVOKE] = &effect_cert_revoke,
    [EFFECT_CERT_UNREVOKE] = &effect_cert_unrevoke,
    [EFFECT_EVENT] = &effect_event,
    [EFFECT_RESOURCE_PUT] = &effect_resource_put,
    [EFFECT_RESOURCE_DELETE] = &effect_resource_delete,
    [EFFECT_DEVICE_PUT] = &effect_device_put,
    [EFFECT_TOKEN_ADD] = &effect_token_add,
    [EFFECT_TOKEN_USE] = &effect_token_use,
    [EFFECT_TOKEN_REVOKE] = &effect_token_revoke,
    [EFFECT_TOKEN_SEAL] = &effect_token_seal,
    [EFFECT_QUOTA_TAKE] = &effect_quota_take,
    [EFFECT_IDEMPOTENCY] = &effect_idempotency,
    [EFFECT_CONTINUATION_PUT] = &effect_continuation_put,
    [EFFECT_CRL_PUT] = &effect_crl_put,
    [EFFECT_CHECKPOINT_PUT] = &effect_checkpoint_put,
    [EFFECT_TILE_PUT] = &effect_tile_put,
    [EFFECT_META_PUT] = &effect_meta_put,
    [EFFECT_EVENT_ERASE] = &effect_event_erase,
    [EFFECT_OBJECT_PUT] = &effect_object_put,
    [EFFECT_OBJECT_DROP] = &effect_object_drop,
};

static bool effect_known(const struct effect *e)
{
    size_t kind = (size_t)e->kind;
    return kind < sizeof effect_table / sizeof effect_table[0] && effect_table[kind];
}

/* Of a known effect. */
[[gnu::returns_nonnull]] static const struct effect_ops *ops_of(const struct effect *e)
{
    return effect_table[e->kind];
}

/* One effect after the other inside a savepoint: for transactions whose effects see each other. */
static tm_err run_guarded(struct sqlite_store *s, struct store_txn *t)
{
    TM_TRY(query_run(&s->w.db, SQL_SAVEPOINT, &t->diag));
    tm_err err = TM_OK;
    for (size_t i = 0; i < t->n && err == TM_OK; i++) {
        const struct effect_ops *ops = ops_of(&t->effects[i]);
        t->failed = i;
        if (ops->check)
            err = ops->check(s, &t->effects[i], &t->diag);
        if (err == TM_OK)
            err = ops->apply(s, &t->effects[i], &t->diag);
    }
    if (s->w.db.failed)
        return err;
    struct diag lost;
    if (err != TM_OK) {
        tm_err undone = query_run(&s->w.db, SQL_ROLLBACK_TO, &lost);
        if (undone != TM_OK) {
            t->diag = lost;
            return undone;
        }
    }
    tm_err released = query_run(&s->w.db, SQL_RELEASE, &lost);
    if (released != TM_OK) {
        t->diag = lost;
        return released;
    }
    return err;
}

/* Every condition first, then the writes. An added certificate comes before other writes: its id is checked by the insertion. */
static tm_err run_checked(struct sqlite_store *s, struct store_txn *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct effect_ops *ops = ops_of(&t->effects[i]);
        t->failed = i;
        if (ops->check)
            TM_TRY(ops->check(s, &t->effects[i], &t->diag));
    }
    for (size_t i = 0; i < t->n; i++) {
        t->failed = i;
        if (t->effects[i].kind == EFFECT_CERT_ADD)
            TM_TRY(effect_cert_add.apply(s, &t->effects[i], &t->diag));
    }
    for (size_t i = 0; i < t->n; i++) {
        t->failed = i;
        if (t->effects[i].kind != EFFECT_CERT_ADD)
            TM_TRY(ops_of(&t->effects[i])->apply(s, &t->effects[i], &t->diag));
    }
    return TM_OK;
}

tm_err effects_run(struct sqlite_store *s, struct store_txn *t)
{
    unsigned seen = 0;
    bool guarded = false;
    for (size_t i = 0; i < t->n; i++) {
        t->failed = i;
        if (!effect_known(&t->effects[i]) || t->effects[i].tenant >= STORE_TENANT_MAX)
            return diag_fail(&t->diag, TM_EINVAL, "store", "effect", "unknown effect or tenant");
        const struct effect_ops *ops = ops_of(&t->effects[i]);
        guarded |= (seen & ops->family) != 0;
        seen |= ops->family;
    }
    struct writer_mark mark = writer_mark(s);
    tm_err err = guarded ? run_guarded(s, t) : run_checked(s, t);
    if (err != TM_OK)
        writer_undo(s, mark);
    else
        t->failed = 0;
    return err;
}
