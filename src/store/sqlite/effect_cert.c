#include "base/clock.h"
#include "store/sqlite/internal.h"
#include <string.h>

enum { REASON_HOLD = 6 }; /* certificateHold, RFC 5280 5.3.1 */

/* Octets that are all zero were not given: they take no room. */
static struct slice octets_or_none(const uint8_t p[32])
{
    static const uint8_t none[32];
    return memcmp(p, none, 32) == 0 ? (struct slice){0} : slice_of(p, 32);
}

/* The id decides, before anything is written. */
static tm_err cert_id_add(struct sqlite_store *s, struct effect *e, uint64_t seq, struct diag *diag)
{
    const uint8_t *id = e->u.cert.row.id;
    uint64_t other;
    bool taken;
    TM_TRY(writer_seq(s, e->tenant, id, &other, &taken, diag));
    if (taken)
        return diag_fail(diag, TM_ECONFLICT, "store", "cert.id",
                         "a certificate with this id is stored already");
    return ids_add(&s->ids, e->tenant, id, seq) == TM_OK ? TM_OK : writer_nomem(&s->w);
}

static tm_err cert_add(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct writer *w = &s->w;
    const struct cert_row *row = &e->u.cert.row;
    uint64_t seq = w->next_seq;
    TM_TRY(cert_id_add(s, e, seq, diag));
    w->next_seq++;

    struct cert_key_columns columns = {
        .subject = slice_str(row->subject ? row->subject : ""),
        .device = slice_str(row->device ? row->device : ""),
        .serial = row->serial,
        .fingerprint = octets_or_none(row->fingerprint),
        .spki_hash = octets_or_none(row->spki_hash),
    };
    uint64_t hashes[CERT_KEYS_MAX];
    uint8_t blob[CERT_KEYS_BLOB_MAX];
    size_t blob_n, n = cert_keys_pack(hashes, blob, &blob_n, &s->hash_key, e->tenant, &columns,
                                      e->u.cert.keys, e->u.cert.n_keys);
    bool serial_is_id = slice_eq(row->serial, SLICE_ARR(row->id));
    int64_t keep = row->keep_until ? row->keep_until : TM_TIME_NEVER;

    struct query q;
    query_begin(&q, &w->db, SQL_CERT_ADD);
    query_int(&q, (int64_t)seq);
    query_int(&q, e->tenant);
    query_blob(&q, SLICE_ARR(row->id));
    query_int(&q, row->source);
    query_blob(&q, serial_is_id ? (struct slice){0} : row->serial);
    query_text(&q, row->authority);
    query_text(&q, row->profile);
    query_int(&q, row->profile_version);
    query_text(&q, row->subject);
    query_text(&q, row->device);
    query_text(&q, row->endpoint);
    query_int(&q, row->door);
    query_int(&q, row->issued_at);
    query_int(&q, row->not_before);
    query_int(&q, row->not_after);
    query_blob(&q, columns.fingerprint);
    query_blob(&q, columns.spki_hash);
    query_int(&q, row->retention);
    query_int(&q, keep);
    query_blob(&q, slice_of(blob, blob_n));
    query_blob(&q, row->der);
    query_text(&q, row->key_alg);
    query_text(&q, row->sig_alg);
    query_int(&q, row->flags);
    query_row(&q);
    TM_TRY(query_end(&q, diag));

    TM_TRY(writer_entries(w, seq, hashes, n));
    return writer_bump(w, e->tenant, row->id[0] << 8 | row->id[1], 1, keep);
}

const struct effect_ops effect_cert_add = {.family = FAMILY_CERT, .apply = cert_add};

/* ---- revocation ---- */

/* *ret_reason: -1 when not revoked. */
static tm_err status_get(int *ret_reason, struct sqlite_store *s, const struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_STATUS_GET);
    query_int(&q, e->tenant);
    query_blob(&q, SLICE_ARR(e->u.cert.row.id));
    *ret_reason = query_row(&q) ? (int)column_int(&q, 1) : -1;
    return query_end(&q, diag);
}

static tm_err cert_revoke_check(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    bool known;
    TM_TRY(writer_seq(s, e->tenant, e->u.cert.row.id, &s->w.revoke_seq, &known, diag));
    if (!known)
        return diag_fail(diag, TM_ENOTFOUND, "store", "cert.id", "no such certificate");
    int reason;
    TM_TRY(status_get(&reason, s, e, diag));
    s->w.status_known = reason >= 0;
    if (e->kind == EFFECT_CERT_UNREVOKE)
        return reason == REASON_HOLD
                   ? TM_OK
                   : diag_fail(diag, TM_ECONFLICT, "store", "cert.id", "the certificate is not on hold");
    if (reason >= 0 && (reason != REASON_HOLD || e->u.cert.row.reason == REASON_HOLD))
        return diag_fail(diag, TM_ECONFLICT, "store", "cert.id", "the certificate is revoked already");
    return TM_OK;
}

static tm_err cert_revoke(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query from, q;
    query_begin(&from, &s->w.db, SQL_CERT_FOR_REVOKE);
    query_int(&from, (int64_t)s->w.revoke_seq);
    if (query_row(&from)) {
        query_begin(&q, &s->w.db, SQL_STATUS_PUT);
        query_int(&q, e->tenant);
        query_blob(&q, SLICE_ARR(e->u.cert.row.id));
        query_int(&q, (int64_t)s->w.revoke_seq);
        query_text(&q, (const char *)sqlite3_column_text(from.st, 1));
        query_blob(&q, column_slice(&from, 2));
        query_int(&q, column_int(&from, 0));
        query_int(&q, e->u.cert.row.revoked_at);
        query_int(&q, e->u.cert.row.reason);
        query_int(&q, e->u.cert.row.invalid_since);
        query_text(&q, e->u.cert.row.list ? e->u.cert.row.list : "");
        query_row(&q);
        tm_err err = query_end(&q, diag);
        if (err != TM_OK) {
            TM_IGNORE(query_end(&from, NULL));
            return err;
        }
    }
    TM_TRY(query_end(&from, diag));
    TM_TRY(writer_state(&s->w, s->w.revoke_seq, (uint8_t)(STATUS_REVOKED + e->u.cert.row.reason)));
    return s->w.status_known ? TM_OK : writer_bump(&s->w, e->tenant, BUCKET_REVOKED, 1, TM_TIME_NEVER);
}

static tm_err cert_unrevoke(struct sqlite_store *s, struct effect *e, struct diag *diag)
{
    struct query q;
    query_begin(&q, &s->w.db, SQL_STATUS_DROP);
    query_int(&q, e->tenant);
    query_blob(&q, SLICE_ARR(e->u.cert.row.id));
    query_row(&q);
    TM_TRY(query_end(&q, diag));
    TM_TRY(writer_state(&s->w, s->w.revoke_seq, STATUS_LIVE));
    return writer_bump(&s->w, e->tenant, BUCKET_REVOKED, -1, TM_TIME_NEVER);
}

const struct effect_ops effect_cert_revoke = {
    .family = FAMILY_CERT, .check = cert_revoke_check, .apply = cert_revoke};
const struct effect_ops effect_cert_unrevoke = {
    .family = FAMILY_CERT, .check = cert_revoke_check, .apply = cert_unrevoke};
