#include "base/clock.h"
#include "store/sqlite/internal.h"
#include <string.h>

static const uint8_t unbound[32];

/* ---- tokens ---- */

static tm_err token_known(bool *ret, struct sqlite_store *s, const struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_TOKEN_GET);
    query_int(&q, e->tenant);
    query_text(&q, e->u.token.row.id);
    *ret = query_row(&q);
    return query_end(&q, diag);
}

static tm_err token_add_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    bool known;
    TM_TRY(token_known(&known, s, e, diag));
    return known ? diag_fail(diag, TM_ECONFLICT, "store", "token.id", "a token with this id exists already")
                 : TM_OK;
}

static tm_err token_add(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    const struct token_row *row = &e->u.token.row;
    struct query q;
    query_begin(&q, &s->w.db, SQL_TOKEN_ADD);
    query_int(&q, e->tenant);
    query_text(&q, row->id);
    query_blob(&q, SLICE_ARR(row->secret_hash));
    query_text(&q, row->claims);
    query_int(&q, row->expires_at);
    query_int(&q, row->max_uses);
    query_int(&q, row->uses);
    query_blob(&q, SLICE_ARR(row->bound_spki));
    query_blob(&q, SLICE_ARR(row->bound_cert));
    query_int(&q, row->bound_at);
    query_text(&q, row->created_by);
    query_int(&q, row->created_at);
    query_int(&q, row->revoked);
    query_blob(&q, row->sealed);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_token_add = {
    .family = FAMILY_TOKEN, .check = token_add_check, .apply = token_add};

/* What stands in the way of one more use of the token in the current row. */
static tm_err token_refusal(struct query *q, const struct effect *e, struct diag *diag)
{
    int64_t expires_at = column_int(q, 3), max_uses = column_int(q, 4), uses = column_int(q, 5);
    uint8_t bound[32];
    column_octets(q, 6, bound, sizeof bound);
    if (column_int(q, 11))
        return diag_fail(diag, TM_EFORBIDDEN, "token", "token.revoked", "the token has been revoked");
    if (expires_at && e->u.token.now >= expires_at)
        return diag_fail(diag, TM_EEXPIRED, "token", "token.expires_at", "the token has expired");
    if (max_uses == 1 && memcmp(bound, unbound, 32) != 0 && memcmp(bound, e->u.token.row.bound_spki, 32) != 0)
        return diag_fail(diag, TM_EFORBIDDEN, "token", "token.bound_spki",
                         "the token is bound to another key");
    if (uses >= max_uses)
        return diag_fail(diag, TM_EQUOTA, "token", "token.uses", "the token is used up");
    return TM_OK;
}

static tm_err token_use_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_TOKEN_GET);
    query_int(&q, e->tenant);
    query_text(&q, e->u.token.row.id);
    bool known = query_row(&q);
    tm_err refused = known ? token_refusal(&q, e, diag) : TM_OK;
    struct diag lost;
    tm_err err = query_end(&q, &lost);
    if (err != TM_OK) {
        if (diag)
            *diag = lost;
        return err;
    }
    return known ? refused : diag_fail(diag, TM_ENOTFOUND, "token", "token.id", "no such token");
}

static tm_err token_use(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_TOKEN_USE);
    query_blob(&q, SLICE_ARR(e->u.token.row.bound_spki));
    query_blob(&q, SLICE_ARR(e->u.token.row.bound_cert));
    query_int(&q, e->u.token.now);
    query_int(&q, e->tenant);
    query_text(&q, e->u.token.row.id);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_token_use = {
    .family = FAMILY_TOKEN, .check = token_use_check, .apply = token_use};

static tm_err token_known_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    bool known;
    TM_TRY(token_known(&known, s, e, diag));
    return known ? TM_OK : diag_fail(diag, TM_ENOTFOUND, "token", "token.id", "no such token");
}

static tm_err token_revoke(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_TOKEN_REVOKE);
    query_int(&q, e->tenant);
    query_text(&q, e->u.token.row.id);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_token_revoke = {
    .family = FAMILY_TOKEN, .check = token_known_check, .apply = token_revoke};

static tm_err token_seal(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_TOKEN_SEAL);
    query_blob(&q, e->u.token.row.sealed);
    query_int(&q, e->tenant);
    query_text(&q, e->u.token.row.id);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_token_seal = {
    .family = FAMILY_TOKEN, .check = token_known_check, .apply = token_seal};

/* ---- quotas ---- */

static tm_err quota_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_QUOTA_GET);
    query_int(&q, e->tenant);
    query_text(&q, e->u.quota.name);
    query_int(&q, e->u.quota.window_start);
    uint64_t taken = query_row(&q) ? (uint64_t)column_int(&q, 0) : 0;
    TM_TRY(query_end(&q, diag));
    if (e->u.quota.take > e->u.quota.max || taken > e->u.quota.max - e->u.quota.take)
        return diag_fail(diag, TM_EQUOTA, "quota", e->u.quota.name, "the quota of %llu is used up",
                         (unsigned long long)e->u.quota.max);
    return TM_OK;
}

static tm_err quota_take(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_QUOTA_TAKE);
    query_int(&q, e->tenant);
    query_text(&q, e->u.quota.name);
    query_int(&q, e->u.quota.window_start);
    query_int(&q, (int64_t)e->u.quota.take);
    query_int(&q, e->u.quota.window_end ? e->u.quota.window_end : TM_TIME_NEVER);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_quota_take = {
    .family = FAMILY_QUOTA, .check = quota_check, .apply = quota_take};

/* ---- idempotency keys ---- */

static tm_err idem_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_IDEM_GET);
    query_int(&q, e->tenant);
    query_text(&q, e->u.idem.key);
    bool taken = query_row(&q) && column_int(&q, 2) > clock_now();
    TM_TRY(query_end(&q, diag));
    return taken ? diag_fail(diag, TM_ECONFLICT, "idempotency-key", "key",
                             "the idempotency key was used before")
                 : TM_OK;
}

static tm_err idem_put(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_IDEM_PUT);
    query_int(&q, e->tenant);
    query_text(&q, e->u.idem.key);
    query_blob(&q, SLICE_ARR(e->u.idem.request_hash));
    query_blob(&q, SLICE_ARR(e->u.idem.cert));
    query_int(&q, e->u.idem.expires_at);
    query_row(&q);
    return query_end(&q, diag);
}

const struct effect_ops effect_idempotency = {.family = FAMILY_IDEM, .check = idem_check, .apply = idem_put};
