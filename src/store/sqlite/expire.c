/* Retention: rows whose time is over are dropped in small transactions between the committer's groups.
 *
 * The counters know for each bucket (tenant and expiry month) how many rows it holds and the earliest instant at which one of them may
 * go, so that a pass looks at nothing that has to stay. */
#include "base/clock.h"
#include "store/sqlite/internal.h"
#include <stdio.h>
#include <string.h>

enum { SLICE_ROWS = 256 };

struct expired_row {
    uint8_t id[CERT_SERIAL_LEN];
    int64_t seq, keep_until;
};

struct expiry {
    int64_t now;
    uint64_t removed;
    bool in_bucket, buckets_done, old_done;
    tenant_id tenant;
    int64_t bucket;
    uint8_t after[CERT_SERIAL_LEN];
    int64_t keep_min; /* of the rows that stay in the bucket */
    tenant_id idem_tenant;
    char idem_after[512];
};

/* ---- certificates ---- */

/* The first bucket after the current one in which something may go. */
static tm_err next_bucket(struct sqlite_store *s, struct expiry *x, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_COUNTER_EXPIRED);
    query_int(&q, x->now);
    query_int(&q, cert_id_month(x->now));
    query_int(&q, x->tenant);
    query_int(&q, x->tenant);
    query_int(&q, x->bucket);
    if (query_row(&q)) {
        x->tenant = (tenant_id)column_int(&q, 0);
        x->bucket = column_int(&q, 1);
        x->in_bucket = true;
        x->keep_min = TM_TIME_NEVER;
        memset(x->after, 0, sizeof x->after);
        x->after[0] = (uint8_t)(x->bucket >> 8);
        x->after[1] = (uint8_t)x->bucket;
        s->w.watch.on = true;
        s->w.watch.tenant = x->tenant;
        s->w.watch.bucket = (int)x->bucket;
        s->w.watch.keep_min = TM_TIME_NEVER;
    } else {
        x->buckets_done = true;
    }
    return query_end(&q, diag);
}

static tm_err bucket_rows(struct sqlite_store *s, struct expiry *x, struct expired_row *rows, size_t *n,
                          struct diag *diag)
{
    uint8_t before[CERT_SERIAL_LEN];
    memset(before, 0xff, sizeof before);
    before[0] = (uint8_t)(x->bucket >> 8);
    before[1] = (uint8_t)x->bucket;
    struct query q;
    query_begin(&q, &s->w.db, SQL_CERT_EXPIRED);
    query_int(&q, x->tenant);
    query_blob(&q, SLICE_ARR(x->after));
    query_blob(&q, SLICE_ARR(before));
    query_int(&q, SLICE_ROWS);
    for (*n = 0; *n < SLICE_ROWS && query_row(&q); ++*n) {
        column_octets(&q, 0, rows[*n].id, sizeof rows[*n].id);
        rows[*n].seq = column_int(&q, 1);
        rows[*n].keep_until = column_int(&q, 2);
    }
    return query_end(&q, diag);
}

static tm_err run_int(struct db *db, enum sql id, int64_t v, struct diag *diag)
{
    struct query q;
    query_begin(&q, db, id);
    query_int(&q, v);
    query_row(&q);
    return query_end(&q, diag);
}

static tm_err drop_by_id(struct sqlite_store *s, enum sql sql, tenant_id tenant, const uint8_t *id,
                         int *ret_changes, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, sql);
    query_int(&q, tenant);
    query_blob(&q, slice_of(id, CERT_SERIAL_LEN));
    query_row(&q);
    *ret_changes = sqlite3_changes(s->w.db.h);
    return query_end(&q, diag);
}

static tm_err drop_row(struct sqlite_store *s, struct expiry *x, const struct expired_row *row,
                       struct diag *diag)
{
    int changes;
    TM_TRY(run_int(&s->w.db, SQL_CERT_DROP, row->seq, diag));
    TM_TRY(writer_state(&s->w, (uint64_t)row->seq, STATUS_GONE));
    TM_TRY(drop_by_id(s, SQL_CERT_ID_DROP, x->tenant, row->id, &changes, diag));
    TM_TRY(drop_by_id(s, SQL_STATUS_DROP, x->tenant, row->id, &changes, diag));
    if (changes > 0)
        TM_TRY(writer_bump(&s->w, x->tenant, BUCKET_REVOKED, -1, TM_TIME_NEVER));
    return writer_bump(&s->w, x->tenant, (int)x->bucket, -1, TM_TIME_NEVER);
}

/* Numbers of dropped rows are not given again, even if the newest row went. */
static tm_err keep_seq(struct sqlite_store *s, struct diag *diag)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)s->w.next_seq - 1);
    struct query q;
    query_begin(&q, &s->w.db, SQL_META_PUT);
    query_int(&q, TENANT_HOUSE);
    query_text(&q, "store.seq");
    query_blob(&q, slice_of(text, (size_t)n));
    query_row(&q);
    return query_end(&q, diag);
}

static tm_err end_bucket(struct sqlite_store *s, struct expiry *x, struct diag *diag)
{
    int64_t keep_min = x->keep_min < s->w.watch.keep_min ? x->keep_min : s->w.watch.keep_min;
    x->in_bucket = false;
    s->w.watch.on = false;
    struct query q;
    query_begin(&q, &s->w.db, SQL_COUNTER_KEEP);
    query_int(&q, keep_min);
    query_int(&q, x->tenant);
    query_int(&q, x->bucket);
    query_row(&q);
    return query_end(&q, diag);
}

static tm_err cert_slice(struct sqlite_store *s, struct expiry *x, struct diag *diag)
{
    if (!x->in_bucket) {
        TM_TRY(next_bucket(s, x, diag));
        if (x->buckets_done)
            return TM_OK;
    }
    struct expired_row rows[SLICE_ROWS];
    size_t n;
    uint64_t dropped = 0;
    TM_TRY(bucket_rows(s, x, rows, &n, diag));
    for (size_t i = 0; i < n; i++) {
        memcpy(x->after, rows[i].id, sizeof x->after);
        if (rows[i].keep_until > x->now) {
            x->keep_min = rows[i].keep_until < x->keep_min ? rows[i].keep_until : x->keep_min;
            continue;
        }
        TM_TRY(drop_row(s, x, &rows[i], diag));
        dropped++;
    }
    if (dropped)
        TM_TRY(keep_seq(s, diag));
    x->removed += dropped;
    return n < SLICE_ROWS ? end_bucket(s, x, diag) : TM_OK;
}

/* ---- what else gets old ---- */

static tm_err idem_slice(struct sqlite_store *s, struct expiry *x, bool *ret_done, struct diag *diag)
{
    struct query q, drop;
    size_t n = 0;
    query_begin(&q, &s->w.db, SQL_IDEM_RANGE);
    query_int(&q, x->idem_tenant);
    query_text(&q, x->idem_after);
    query_int(&q, SLICE_ROWS);
    char after[sizeof x->idem_after];
    snprintf(after, sizeof after, "%s", x->idem_after);
    tm_err err = TM_OK;
    tenant_id tenant = x->idem_tenant;
    for (; err == TM_OK && query_row(&q); n++) {
        const char *key = (const char *)sqlite3_column_text(q.st, 1);
        tenant = (tenant_id)column_int(&q, 0);
        snprintf(after, sizeof after, "%s", key);
        if (column_int(&q, 2) > x->now)
            continue;
        query_begin(&drop, &s->w.db, SQL_IDEM_DROP);
        query_int(&drop, tenant);
        query_text(&drop, after);
        query_row(&drop);
        err = query_end(&drop, diag);
        x->removed++;
    }
    TM_TRY(query_leave(&q, err, diag));
    x->idem_tenant = tenant;
    memcpy(x->idem_after, after, sizeof after);
    *ret_done = n < SLICE_ROWS;
    return TM_OK;
}

static tm_err old_slice(struct sqlite_store *s, struct expiry *x, struct diag *diag)
{
    TM_TRY(idem_slice(s, x, &x->old_done, diag));
    if (!x->old_done)
        return TM_OK;
    /* Small tables: windows and continuations that are over. */
    TM_TRY(run_int(&s->w.db, SQL_QUOTA_OLD, x->now, diag));
    TM_TRY(run_int(&s->w.db, SQL_CONTINUATION_OLD, x->now, diag));
    return query_run(&s->w.db, SQL_COUNTER_TRIM, diag);
}

static tm_err expire_slice(struct sqlite_store *s, void *arg, bool *again, struct diag *diag)
{
    struct expiry *x = arg;
    TM_TRY(writer_begin(s, diag));
    /* Rows are found by their ids. */
    tm_err err = ids_write(&s->ids, &s->w.db, true, diag);
    if (err == TM_OK)
        err = x->buckets_done ? old_slice(s, x, diag) : cert_slice(s, x, diag);
    if (err == TM_OK)
        err = writer_commit(s, diag);
    else
        writer_rollback(s);
    *again = err == TM_OK && !x->old_done;
    if (!*again)
        s->w.watch.on = false;
    return err;
}

tm_err sqlite_expire(struct store *base, int64_t now, uint64_t *ret_removed, struct diag *diag)
{
    struct sqlite_store *s = sqlite_store_of(base);
    if (s->config.read_only)
        return diag_fail(diag, TM_EUNAVAIL, "store", store_file, "the store was opened for reading");
    struct expiry x = {.now = now, .bucket = -1};
    struct commit_job job = {.run = expire_slice, .arg = &x};
    tm_err err = committer_job(s, &job, diag);
    if (x.removed) {
        index_trim(s);
        columns_trim(s);
    }
    if (err == TM_OK && ret_removed)
        *ret_removed = x.removed;
    return err;
}
