#include "store/sqlite/read_cert.h"
#include "base/arena.h"
#include "base/clock.h"
#include "store/sqlite/internal.h"
#include <stdlib.h>
#include <string.h>

enum {
    SCAN_MAX = 50000,        /* rows that a filter may pass over in one read */
    CANDIDATES_MAX = 100000, /* certificates of one device that a filtered page looks at */
};

/* ---- rows ---- */

/* A row of before it was written down: what its DER says. */
static tm_err describe(struct cert_row *row, struct query *q, struct arena *a)
{
    struct cert c;
    if (row->key_alg[0] || cert_parse(&c, column_slice(q, CERT_AT_DER), NULL) != TM_OK)
        return TM_OK;
    return cert_row_describe(row, a, &c);
}

static tm_err cert_from_row(struct cert_row *ret, struct query *q, struct arena *a, bool with_der)
{
    tm_err err = TM_OK;
    struct cert_row row = {
        .arrival = (uint64_t)column_int(q, CERT_AT_SEQ),
        .source = (enum cert_source)column_int(q, CERT_AT_SOURCE),
        .serial = column_blob(q, CERT_AT_SERIAL, a, &err),
        .authority = column_text(q, CERT_AT_AUTHORITY, a, &err),
        .profile = column_text(q, CERT_AT_PROFILE, a, &err),
        .profile_version = column_int(q, CERT_AT_PROFILE_VERSION),
        .subject = column_text(q, CERT_AT_SUBJECT, a, &err),
        .device = column_text(q, CERT_AT_DEVICE, a, &err),
        .endpoint = column_text(q, CERT_AT_ENDPOINT, a, &err),
        .door = (int)column_int(q, CERT_AT_DOOR),
        .issued_at = column_int(q, CERT_AT_ISSUED_AT),
        .not_before = column_int(q, CERT_AT_NOT_BEFORE),
        .not_after = column_int(q, CERT_AT_NOT_AFTER),
        .retention = (int)column_int(q, CERT_AT_RETENTION),
        .keep_until = column_int(q, CERT_AT_KEEP_UNTIL),
        .revoked_at = column_int(q, CERT_AT_REVOKED_AT),
        .reason = (int)column_int(q, CERT_AT_REASON),
        .invalid_since = column_int(q, CERT_AT_INVALID_SINCE),
        .key_alg = column_text(q, CERT_AT_KEY_ALG, a, &err),
        .sig_alg = column_text(q, CERT_AT_SIG_ALG, a, &err),
        .flags = (unsigned)column_int(q, CERT_AT_FLAGS),
    };
    if (err == TM_OK)
        err = describe(&row, q, a);
    column_octets(q, CERT_AT_ID, row.id, sizeof row.id);
    column_octets(q, CERT_AT_FINGERPRINT, row.fingerprint, sizeof row.fingerprint);
    column_octets(q, CERT_AT_SPKI_HASH, row.spki_hash, sizeof row.spki_hash);
    if (row.serial.n == 0)
        row.serial = column_blob(q, CERT_AT_ID, a, &err);
    if (with_der)
        row.der = column_blob(q, CERT_AT_DER, a, &err);
    if (err == TM_OK)
        *ret = row;
    return err;
}

tm_err cert_append(struct store_read *r, size_t *cap, struct query *q)
{
    TM_TRY(array_grow(&r->certs, r->n, cap, sizeof *r->certs, r->arena));
    TM_TRY(cert_from_row(&r->certs[r->n], q, r->arena, r->with_der));
    r->n++;
    return TM_OK;
}

/* The same without what has to be copied. */
static tm_err state_append(struct store_read *r, size_t *cap, struct query *q)
{
    TM_TRY(array_grow(&r->certs, r->n, cap, sizeof *r->certs, r->arena));
    struct cert_row *row = &r->certs[r->n];
    tm_err err = TM_OK;
    *row = (struct cert_row){.arrival = (uint64_t)column_int(q, CERT_AT_SEQ),
                             .source = (enum cert_source)column_int(q, CERT_AT_SOURCE),
                             .authority = "",
                             .profile = "",
                             .subject = "",
                             .device = "",
                             .endpoint = "",
                             .key_alg = "",
                             .sig_alg = "",
                             .issued_at = column_int(q, CERT_AT_ISSUED_AT),
                             .not_before = column_int(q, CERT_AT_NOT_BEFORE),
                             .not_after = column_int(q, CERT_AT_NOT_AFTER),
                             .revoked_at = column_int(q, CERT_AT_REVOKED_AT),
                             .reason = (int)column_int(q, CERT_AT_REASON)};
    column_octets(q, CERT_AT_ID, row->id, sizeof row->id);
    row->serial =
        column_blob(q, column_slice(q, CERT_AT_SERIAL).n ? CERT_AT_SERIAL : CERT_AT_ID, r->arena, &err);
    r->n += err == TM_OK;
    return err;
}

/* The newest ids are not in cert_id yet. A store that is open for reading alone knows them from its opening; a writer beside it may
 * have gone on. */
static tm_err ids_refresh(struct sqlite_store *s, struct reader *c, struct diag *diag)
{
    if (!s->config.read_only)
        return TM_OK;
    struct ids *ids = &s->ids;
    pthread_mutex_lock(&ids->refresh);
    tm_err err = ids_load(ids, &c->db, diag);
    pthread_mutex_unlock(&ids->refresh);
    return err;
}

static tm_err cert_by_id(struct sqlite_store *s, struct reader *c, struct store_read *r, bool pending)
{
    struct query q;
    size_t cap = 0;
    uint64_t seq;
    bool found = pending && ids_find(&s->ids, r->tenant, r->id, &seq);
    if (pending && !found)
        return TM_OK;
    query_begin(&q, &c->db, found ? SQL_CERT_BY_SEQ : SQL_CERT_BY_ID);
    if (found) {
        query_int(&q, (int64_t)seq);
    } else {
        query_int(&q, r->tenant);
        query_blob(&q, SLICE_ARR(r->id));
    }
    tm_err err = query_row(&q) ? cert_append(r, &cap, &q) : TM_OK;
    return query_leave(&q, err, &r->diag);
}

tm_err read_cert(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    r->with_der = true;
    TM_TRY(ids_refresh(s, c, &r->diag));
    TM_TRY(cert_by_id(s, c, r, true));
    if (r->n == 0)
        TM_TRY(cert_by_id(s, c, r, false));
    return r->n ? TM_OK : diag_fail(&r->diag, TM_ENOTFOUND, "store", "cert.id", "no such certificate");
}

/* ---- by key ---- */

bool cert_row_has_key(struct sqlite_store *s, struct query *q, tenant_id tenant, const struct cert_key *key)
{
    struct cert_key_columns columns = {
        .subject = column_slice(q, CERT_AT_SUBJECT),
        .device = column_slice(q, CERT_AT_DEVICE),
        .serial = column_slice(q, CERT_AT_SERIAL),
        .fingerprint = column_slice(q, CERT_AT_FINGERPRINT),
        .spki_hash = column_slice(q, CERT_AT_SPKI_HASH),
    };
    if (columns.serial.n == 0)
        columns.serial = column_slice(q, CERT_AT_ID);
    return (tenant_id)column_int(q, CERT_AT_TENANT) == tenant &&
           cert_keys_match(&s->hash_key, tenant, &columns, column_slice(q, CERT_AT_KEYS), key);
}

static bool row_matches(struct sqlite_store *s, struct query *q, const struct store_read *r)
{
    return cert_row_has_key(s, q, r->tenant, &r->key);
}

static tm_err seq_of(uint64_t *ret, struct sqlite_store *s, struct reader *c, const struct store_read *r,
                     struct diag *diag)
{
    struct query q;
    TM_TRY(ids_refresh(s, c, diag));
    if (r->after.n == CERT_SERIAL_LEN && ids_find(&s->ids, r->tenant, r->after.p, ret))
        return TM_OK;
    query_begin(&q, &c->db, SQL_CERT_SEQ);
    query_int(&q, r->tenant);
    query_blob(&q, r->after);
    bool found = query_row(&q);
    if (found)
        *ret = (uint64_t)column_int(&q, 0);
    TM_TRY(query_end(&q, diag));
    return found ? TM_OK
                 : diag_fail(diag, TM_ENOTFOUND, "store", "after",
                             "the page's certificate is gone; begin anew");
}

/* Candidates that hold, in the order of `seqs`, until limit + 1 are there. */
static tm_err take_candidates(struct sqlite_store *s, struct reader *c, struct store_read *r,
                              const uint64_t *seqs, size_t n, size_t limit, size_t *cap)
{
    for (size_t i = 0; i < n && !r->more; i++) {
        struct query q;
        query_begin(&q, &c->db, SQL_CERT_BY_SEQ);
        query_int(&q, (int64_t)seqs[i]);
        tm_err err = TM_OK;
        if (query_row(&q) && row_matches(s, &q, r)) {
            if (r->n == limit)
                r->more = true;
            else
                err = cert_append(r, cap, &q);
        }
        TM_TRY(query_leave(&q, err, &r->diag));
    }
    return TM_OK;
}

tm_err read_certs_by_key(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    size_t limit = read_limit(r), batch = limit + 1, cap = 0;
    uint64_t before = UINT64_MAX, hash = cert_key_hash(&s->hash_key, r->tenant, r->key.kind, r->key.value);
    if (r->after.n)
        TM_TRY(seq_of(&before, s, c, r, &r->diag));
    uint64_t *seqs = malloc(batch * sizeof *seqs);
    if (!seqs)
        return TM_ENOMEM;
    tm_err err = TM_OK;
    for (size_t n = batch; err == TM_OK && n == batch && !r->more;) {
        err = index_lookup(&s->index, hash, before, seqs, batch, &n, &r->diag);
        if (err == TM_OK && n)
            before = seqs[n - 1];
        if (err == TM_OK)
            err = take_candidates(s, c, r, seqs, n, limit, &cap);
    }
    free(seqs);
    TM_TRY(err);
    if (r->n)
        r->page_next = slice_of(r->certs[r->n - 1].id, CERT_SERIAL_LEN);
    return TM_OK;
}

/* ---- pages ---- */

static bool text_is(struct query *q, int column, const char *wanted)
{
    return !wanted || slice_eq_str(column_slice(q, column), wanted);
}

static bool row_passes(struct query *q, const struct cert_filter *f)
{
    int64_t not_after = column_int(q, CERT_AT_NOT_AFTER);
    bool revoked = column_int(q, CERT_AT_REVOKED_AT) != 0;
    return text_is(q, CERT_AT_AUTHORITY, f->authority) && text_is(q, CERT_AT_PROFILE, f->profile) &&
           text_is(q, CERT_AT_DEVICE, f->device) && (!f->not_after_from || not_after >= f->not_after_from) &&
           (!f->not_after_to || not_after <= f->not_after_to) &&
           (f->revoked < 0 || revoked == (f->revoked == 1)) &&
           (f->source < 0 || column_int(q, CERT_AT_SOURCE) == f->source);
}

/* Ids begin with the month of expiry, those of imported certificates with the top bit set besides: a filter by expiry is two ranges. */
struct id_range {
    uint8_t after[CERT_SERIAL_LEN], before[CERT_SERIAL_LEN]; /* both exclusive */
};

static void id_range_make(struct id_range *ret, const struct cert_filter *f, bool imported)
{
    uint16_t top = imported ? 0x8000 : 0;
    uint16_t from = f->not_after_from ? cert_id_month(f->not_after_from) : 0;
    uint16_t to = f->not_after_to ? cert_id_month(f->not_after_to) : 0x7fff;
    memset(ret->after, 0, sizeof ret->after);
    memset(ret->before, 0xff, sizeof ret->before);
    ret->after[0] = (uint8_t)((top | from) >> 8);
    ret->after[1] = (uint8_t)from;
    ret->before[0] = (uint8_t)((top | to) >> 8);
    ret->before[1] = (uint8_t)to;
}

/* A page as it fills. */
struct scan {
    struct store_read *r;
    size_t limit, budget, cap;
    uint8_t last[CERT_SERIAL_LEN];
    bool any;
};

static tm_err scan_row(struct scan *x, struct query *q)
{
    bool passes = row_passes(q, &x->r->filter);
    if ((passes && x->r->n == x->limit) || x->budget == 0) {
        x->r->more = true;
        return TM_OK;
    }
    x->budget--;
    column_octets(q, CERT_AT_ID, x->last, sizeof x->last);
    x->any = true;
    if (!passes)
        return TM_OK;
    return x->r->states_only ? state_append(x->r, &x->cap, q) : cert_append(x->r, &x->cap, q);
}

static tm_err scan_seq(struct scan *x, struct reader *c, uint64_t seq)
{
    struct query q;
    query_begin(&q, &c->db, SQL_CERT_BY_SEQ);
    query_int(&q, (int64_t)seq);
    tm_err err = query_row(&q) ? scan_row(x, &q) : TM_OK;
    return query_leave(&q, err, &x->r->diag);
}

/* The rows of cert_id and those that it does not have yet, as one ascending list. */
static tm_err scan_merge(struct scan *x, struct reader *c, struct query *q, const struct id_entry *newest,
                         size_t n)
{
    tm_err err = TM_OK;
    size_t at = 0;
    for (bool row = query_row(q); err == TM_OK && !x->r->more && (row || at < n);) {
        struct slice id = row ? column_slice(q, CERT_AT_ID) : (struct slice){0};
        int order = !row ? 1 : at == n ? -1 : slice_cmp(id, SLICE_ARR(newest[at].id));
        if (order > 0) {
            err = scan_seq(x, c, newest[at++].seq);
            continue;
        }
        at += order == 0; /* written there since we asked */
        err = scan_row(x, q);
        if (err == TM_OK && !x->r->more)
            row = query_row(q);
    }
    return query_leave(q, err, &x->r->diag);
}

static tm_err scan_range(struct sqlite_store *s, struct reader *c, struct scan *x,
                         const struct id_range *range)
{
    struct store_read *r = x->r;
    struct slice after = SLICE_ARR(range->after);
    uint8_t from[CERT_SERIAL_LEN] = {0};
    bool revoked = r->filter.revoked == 1; /* found by their status, which no row waits for */
    struct id_entry *newest = NULL;
    size_t n = 0;
    if (slice_cmp(r->after, after) > 0)
        after = r->after;
    memcpy(from, after.p, after.n < sizeof from ? after.n : sizeof from);
    if (!revoked)
        TM_TRY(ids_range(&s->ids, r->tenant, from, range->before, &newest, &n));
    struct query q;
    query_begin(&q, &c->db, revoked ? SQL_CERT_REVOKED_RANGE : SQL_CERT_RANGE);
    query_int(&q, r->tenant);
    query_blob(&q, after);
    query_blob(&q, SLICE_ARR(range->before));
    x->any = false;
    tm_err err = scan_merge(x, c, &q, newest, n);
    free(newest);
    if (err == TM_OK && x->any)
        err = arena_copy(&r->page_next, r->arena, SLICE_ARR(x->last));
    return err;
}

static int cert_id_order(const void *a, const void *b)
{
    const struct cert_row *x = a, *y = b;
    return memcmp(x->id, y->id, CERT_SERIAL_LEN);
}

/* One device's certificates come from the index and are few: all that pass, sorted by id, cut to the page. */
static tm_err certs_of_device(struct sqlite_store *s, struct reader *c, struct store_read *r, size_t limit)
{
    r->key = (struct cert_key){.kind = CERT_KEY_DEVICE, .value = slice_str(r->filter.device)};
    uint64_t *seqs = malloc(CANDIDATES_MAX * sizeof *seqs);
    if (!seqs)
        return TM_ENOMEM;
    size_t n = 0, cap = 0;
    uint64_t hash = cert_key_hash(&s->hash_key, r->tenant, r->key.kind, r->key.value);
    tm_err err = index_lookup(&s->index, hash, UINT64_MAX, seqs, CANDIDATES_MAX, &n, &r->diag);
    for (size_t i = 0; i < n && err == TM_OK; i++) {
        struct query q;
        query_begin(&q, &c->db, SQL_CERT_BY_SEQ);
        query_int(&q, (int64_t)seqs[i]);
        if (query_row(&q) && row_matches(s, &q, r) && row_passes(&q, &r->filter) &&
            slice_cmp(column_slice(&q, CERT_AT_ID), r->after) > 0)
            err = cert_append(r, &cap, &q);
        err = query_leave(&q, err, &r->diag);
    }
    free(seqs);
    TM_TRY(err);
    if (r->n)
        qsort(r->certs, r->n, sizeof *r->certs, cert_id_order);
    r->more = r->n > limit;
    r->n = r->more ? limit : r->n;
    if (r->n)
        r->page_next = slice_of(r->certs[r->n - 1].id, CERT_SERIAL_LEN);
    return TM_OK;
}

tm_err read_certs(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct scan x = {.r = r, .limit = read_limit(r), .budget = SCAN_MAX};
    if (r->filter.device && r->filter.device[0])
        return certs_of_device(s, c, r, x.limit);
    TM_TRY(ids_refresh(s, c, &r->diag));
    for (int imported = 0; imported < 2 && !r->more; imported++) {
        struct id_range range;
        id_range_make(&range, &r->filter, imported);
        TM_TRY(scan_range(s, c, &x, &range));
    }
    return TM_OK;
}

/* ---- in the order of arrival ---- */

/* The number of the newest row; 0 without rows. */
static tm_err newest_seq(uint64_t *ret, struct reader *c, struct diag *diag)
{
    struct query q;
    query_begin(&q, &c->db, SQL_CERT_SEQ_MAX);
    *ret = query_row(&q) ? (uint64_t)column_int(&q, 0) : 0;
    return query_end(&q, diag);
}

tm_err read_certs_arrived(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    (void)s;
    size_t limit = read_limit(r), cap = 0;
    uint64_t newest, from = r->pos_from;
    /* Asked before: what comes meanwhile is the next page's. */
    TM_TRY(newest_seq(&newest, c, &r->diag));
    r->pos_next = from == UINT64_MAX ? newest : from;
    if (from >= newest)
        return TM_OK;
    uint64_t to = newest - from > SCAN_MAX ? from + SCAN_MAX : newest;
    struct query q;
    query_begin(&q, &c->db, SQL_CERT_ARRIVED);
    query_int(&q, (int64_t)from);
    query_int(&q, (int64_t)to);
    query_int(&q, r->tenant);
    query_int(&q, (int64_t)limit);
    tm_err err = TM_OK;
    while (err == TM_OK && query_row(&q))
        err = r->states_only ? state_append(r, &cap, &q) : cert_append(r, &cap, &q);
    TM_TRY(query_leave(&q, err, &r->diag));
    r->pos_next = r->n == limit ? r->certs[r->n - 1].arrival : to;
    r->more = r->pos_next < newest;
    return TM_OK;
}

/* ---- revocations of an authority ---- */

tm_err read_revoked(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    size_t limit = read_limit(r), cap = 0;
    struct query q;
    query_begin(&q, &c->db, SQL_STATUS_OF_AUTHORITY);
    query_int(&q, r->tenant);
    query_text(&q, r->filter.authority);
    query_blob(&q, r->after);
    query_int(&q, r->filter.not_after_from);
    query_int(&q, r->keep ? -1 : (int64_t)limit + 1);
    tm_err err = TM_OK;
    while (err == TM_OK && !r->more && query_row(&q)) {
        uint8_t id[CERT_SERIAL_LEN] = {0};
        if (r->keep)
            column_octets(&q, 0, id, sizeof id);
        if (r->keep && !r->keep(r->keep_arg, id, (const char *)sqlite3_column_text(q.st, 6)))
            continue;
        r->more = r->n == limit;
        if (r->more)
            break;
        err = array_grow(&r->certs, r->n, &cap, sizeof *r->certs, r->arena);
        if (err != TM_OK)
            break;
        struct cert_row *row = &r->certs[r->n++];
        *row = (struct cert_row){.authority = r->filter.authority,
                                 .profile = "",
                                 .subject = "",
                                 .device = "",
                                 .endpoint = "",
                                 .key_alg = "",
                                 .sig_alg = "",
                                 .serial = column_blob(&q, 1, r->arena, &err),
                                 .not_after = column_int(&q, 2),
                                 .revoked_at = column_int(&q, 3),
                                 .reason = (int)column_int(&q, 4),
                                 .invalid_since = column_int(&q, 5),
                                 .list = column_text(&q, 6, r->arena, &err)};
        column_octets(&q, 0, row->id, sizeof row->id);
        if (row->serial.n == 0)
            row->serial = column_blob(&q, 0, r->arena, &err);
    }
    TM_TRY(query_leave(&q, err, &r->diag));
    if (r->n)
        r->page_next = slice_of(r->certs[r->n - 1].id, CERT_SERIAL_LEN);
    return TM_OK;
}

/* ---- counts ---- */

tm_err read_counts(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    uint16_t month = cert_id_month(clock_now());
    memset(&r->counts, 0, sizeof r->counts);
    struct query q;
    query_begin(&q, &c->db, SQL_COUNTER_LIST);
    query_int(&q, r->tenant);
    while (query_row(&q)) {
        int64_t bucket = column_int(&q, 0);
        uint64_t n = (uint64_t)column_int(&q, 1);
        if (bucket == BUCKET_DEVICES) {
            r->counts.devices += n;
        } else if (bucket == BUCKET_REVOKED) {
            r->counts.revoked += n;
        } else {
            r->counts.certs += n;
            if ((bucket & 0x7fff) < month)
                r->counts.expired += n;
        }
    }
    TM_TRY(query_end(&q, &r->diag));
    TM_TRY(read_log_size(s, c, r));
    r->counts.events = r->count;
    return TM_OK;
}
