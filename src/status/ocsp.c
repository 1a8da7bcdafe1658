#include "status/ocsp.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "issue/chain.h"
#include "issue/house.h"
#include "register/register.h"
#include "status/crl_impl.h"
#include "status/ocsp_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DATA_MAX = 64 << 10, CLOCK_BACK_MAX = 86000 };

const char *const ocsp_count_names[OCSP_COUNT] = {"cache",   "fresh",        "stale",     "presigned", "own",
                                                  "unknown", "unauthorized", "malformed", "try-later"};

void ocsp_count(struct ocsp *o, enum ocsp_count what)
{
    if (o)
        atomic_fetch_add_explicit(&o->counts[what], 1, memory_order_relaxed);
}

void ocsp_state(struct house *h, struct ocsp_state *ret)
{
    *ret = (struct ocsp_state){0};
    if (!h->ocsp)
        return;
    for (size_t i = 0; i < OCSP_COUNT; i++)
        ret->counts[i] = atomic_load(&h->ocsp->counts[i]);
    ocsp_cache_stats(h->ocsp->cache, &ret->cache);
}

/* ---- opening and closing ---- */

static void on_status(struct house *h, tenant_id tenant, const char *authority, const char *list,
                      const uint8_t id[CERT_SERIAL_LEN])
{
    status_dirty_put(h, tenant, authority, list, id);
    ocsp_cache_forget(h->ocsp->cache, tenant, id);
}

/* The newest checkpoint was signed after every answer but the last second's: after a start with a clock that has been set back, answers go on from
 * there. */
static int64_t signed_last(struct house *h)
{
    struct arena *a = arena_new(0);
    struct store_read r = {.kind = READ_CHECKPOINT, .tenant = TENANT_HOUSE, .arena = a};
    int64_t last = 0;
    if (a && store_read_now(h->store, &r) == TM_OK && r.n)
        last = r.checkpoints[0].time / 1000;
    arena_free(a);
    return last;
}

tm_err ocsp_start(struct house *h, size_t cache_octets)
{
    struct ocsp *o = calloc(1, sizeof *o);
    if (!o)
        return TM_ENOMEM;
    o->cache = ocsp_cache_new(cache_octets ? cache_octets : OCSP_CACHE_DEFAULT);
    if (!o->cache) {
        free(o);
        return TM_ENOMEM;
    }
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->idle, NULL);
    atomic_init(&o->last_now, signed_last(h));
    h->ocsp = o;
    h->on_status = on_status;
    return TM_OK;
}

/* ---- entries of the signer's chain ---- */

static tm_err record(struct house *h, const struct ocsp_entry *e, struct diag *diag)
{
    char about[128];
    snprintf(about, sizeof about, "authority/%s", e->authority);
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(e->authority)},
        {.key = "chain", .kind = EVENT_INT, .i = (int64_t)e->seq},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(e->key)},
        {.key = "kind", .kind = EVENT_STR, .s = SLICE_LIT("ocsp")},
        {.key = "tbs", .kind = EVENT_HEX, .s = SLICE_ARR(e->tbs_hash)},
        {0},
    };
    TM_TRY(house_event(h, e->tenant, "ocsp.signed", about, fields, diag));
    chain_recorded(h->chain, e->seq);
    return TM_OK;
}

/* In the order they came; what can't be written waits for the next turn. One thread at a time: the job's, then the last act of closing. */
static tm_err record_all(struct house *h, struct diag *diag)
{
    struct ocsp *o = h->ocsp;
    for (;;) {
        pthread_mutex_lock(&o->lock);
        bool any = o->n_entries > 0;
        struct ocsp_entry e = o->entries[0];
        pthread_mutex_unlock(&o->lock);
        if (!any)
            return TM_OK;
        TM_TRY(record(h, &e, diag));
        pthread_mutex_lock(&o->lock);
        memmove(o->entries, o->entries + 1, --o->n_entries * sizeof *o->entries);
        pthread_mutex_unlock(&o->lock);
        house_signing_end(h);
    }
}

/* The answer need not wait for its event: what it says stands in the register already, and the entry is in the signer's journal (docs/adr/0006). One that finds no room here is found in the journal at the next start. */
static void entry_add(struct house *h, const struct authority *x, const struct sign_op *op)
{
    struct ocsp *o = h->ocsp;
    struct ocsp_entry e = {.tenant = x->tenant, .seq = op->chain_seq};
    snprintf(e.authority, sizeof e.authority, "%s", x->name);
    snprintf(e.key, sizeof e.key, "%s", op->key_id);
    memcpy(e.tbs_hash, op->tbs_hash, sizeof e.tbs_hash);
    chain_signed(h->chain, op->chain_seq, op->chain_hash);
    if (!o) {
        TM_IGNORE(record(h, &e, NULL));
        return;
    }
    pthread_mutex_lock(&o->lock);
    bool room = o->n_entries < OCSP_ENTRIES_MAX;
    if (room) {
        /* A signer that died is replaced only once this has ended, or the entry would be recorded twice. */
        house_signing_goes_on(h);
        o->entries[o->n_entries++] = e;
    }
    pthread_mutex_unlock(&o->lock);
    if (h->jobs)
        jobs_kick(h->jobs, "ocsp.record");
}

bool ocsp_enter(struct ocsp *o)
{
    pthread_mutex_lock(&o->lock);
    bool open = !o->closing && atomic_load(&o->under_way) < OCSP_UNDER_WAY_MAX;
    if (open)
        atomic_fetch_add(&o->under_way, 1);
    pthread_mutex_unlock(&o->lock);
    return open;
}

void ocsp_leave(struct ocsp *o)
{
    pthread_mutex_lock(&o->lock);
    if (atomic_fetch_sub(&o->under_way, 1) == 1)
        pthread_cond_broadcast(&o->idle);
    pthread_mutex_unlock(&o->lock);
}

struct ocsp *ocsp_stop(struct house *h)
{
    struct ocsp *o = h->ocsp;
    if (!o)
        return NULL;
    pthread_mutex_lock(&o->lock);
    o->closing = true;
    while (atomic_load(&o->under_way))
        pthread_cond_wait(&o->idle, &o->lock);
    pthread_mutex_unlock(&o->lock);
    TM_IGNORE(record_all(h, NULL));
    for (; o->n_entries; o->n_entries--)
        house_signing_end(h);
    return o;
}

void ocsp_free(struct ocsp *o)
{
    if (!o)
        return;
    ocsp_cache_free(o->cache);
    pthread_cond_destroy(&o->idle);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

/* ---- a question ---- */

/* thisUpdate never goes back, also where the clock does (within what the signer takes for today). */
static int64_t steady_now(struct ocsp *o)
{
    int64_t now = clock_now();
    if (!o)
        return now;
    long long last = atomic_load(&o->last_now);
    while (now > last && !atomic_compare_exchange_weak(&o->last_now, &last, now))
        ;
    return now < last && last - now < CLOCK_BACK_MAX ? last : now;
}

bool ocsp_query_begin(struct ocsp_query *q, struct house *h, const struct ocsp_request *request)
{
    const struct authority *const *v;
    q->house = h;
    q->request = request;
    q->catalog = house_catalog(h);
    size_t n = catalog_authorities(q->catalog, &v);
    for (size_t i = 0; i < n && !q->x; i++)
        if (ocsp_issuer_is(&v[i]->ocsp.issuer, &request->ids[0]))
            q->x = v[i];
    /* One answer has one signer. */
    for (size_t i = 1; i < request->n && q->x; i++)
        if (!ocsp_issuer_is(&q->x->ocsp.issuer, &request->ids[i]))
            return false;
    q->now = steady_now(h->ocsp);
    if (!q->x || !q->x->ocsp.key[0] || sha256(q->key, request->ids[0].der) != TM_OK)
        return false;
    if (!serial_pad(q->cert, sizeof q->cert, request->ids[0].serial))
        memset(q->cert, 0, sizeof q->cert);
    return true;
}

static struct slice nonce_of(const struct ocsp_query *q)
{
    return q->x->ocsp.nonce ? q->request->nonce : (struct slice){0};
}

bool ocsp_query_cached(const struct ocsp_query *q)
{
    return q->house->ocsp && q->request->n == 1 && nonce_of(q).n == 0;
}

static tm_err look_up(struct ocsp_single *ret, struct ocsp_query *q, const struct ocsp_id *id,
                      struct diag *diag)
{
    struct store_read r = {.kind = READ_CERT, .tenant = q->x->tenant, .arena = q->arena};
    *ret = (struct ocsp_single){.id = id->der,
                                .status = OCSP_UNKNOWN,
                                .this_update = q->as_of,
                                .next_update = q->now + q->x->ocsp.lifetime};
    tm_err e = serial_pad(r.id, sizeof r.id, id->serial) ? store_read_now(q->house->store, &r) : TM_ENOTFOUND;
    if (e == TM_ENOTFOUND) {
        q->known = false;
        return TM_OK;
    }
    if (e != TM_OK) {
        *diag = r.diag;
        return e;
    }
    const struct cert_row *row = &r.certs[0];
    if (row->source != CERT_ISSUED || strcmp(row->authority, q->x->name) != 0) {
        q->known = false;
        return TM_OK;
    }
    ret->status = row->revoked_at ? OCSP_REVOKED : OCSP_GOOD;
    ret->revoked_at = row->revoked_at;
    ret->reason = row->reason;
    return TM_OK;
}

tm_err ocsp_query_read(struct ocsp_query *q, struct diag *diag)
{
    const struct authority_ocsp *o = &q->x->ocsp;
    q->known = true;
    /* What is under way may be asked about before it is there: no answer is later than the first of it. */
    q->as_of = q->now - (clock_now() - under_way_as_of(&q->house->under_way) / 1000);
    if (q->as_of > q->now)
        q->as_of = q->now;
    if (q->house->ocsp)
        q->stamp = ocsp_cache_stamp(q->house->ocsp->cache, q->cert);
    for (size_t i = 0; i < q->request->n; i++)
        TM_TRY(look_up(&q->singles[i], q, &q->request->ids[i], diag));
    if (!q->known && o->unauthorized)
        return TM_ENOTFOUND;
    if (o->cert.der.n == 0 || o->cert.not_after <= q->now)
        return diag_fail(diag, TM_EUNAVAIL, "authority.ocsp", NULL, "the responder of %s has no certificate",
                         q->x->name);
    for (size_t i = 0; i < q->request->n; i++) {
        struct ocsp_single *s = &q->singles[i];
        if (s->next_update > o->cert.not_after)
            s->next_update = o->cert.not_after;
        /* A serial that is not there may be there tomorrow, in another house's clock: no promise about it. */
        if (s->status == OCSP_UNKNOWN)
            s->next_update = q->now + 60 < o->cert.not_after ? q->now + 60 : o->cert.not_after;
    }
    struct ocsp_data data = {.key_hash = SLICE_ARR(o->key_hash),
                             .produced_at = q->now,
                             .v = q->singles,
                             .n = q->request->n,
                             .nonce = nonce_of(q)};
    struct buf b;
    buf_init(&b, DATA_MAX);
    tm_err e = ocsp_data_build(&b, &data);
    if (e == TM_OK)
        e = arena_copy(&q->op.tbs, q->arena, buf_slice(&b));
    buf_done(&b);
    q->op.kind = SIGN_OCSP;
    q->op.key_id = o->key;
    q->op.alg = o->sig_alg;
    return e;
}

static tm_err assemble(struct ocsp_answer **ret, const struct ocsp_query *q)
{
    const struct authority_ocsp *o = &q->x->ocsp;
    struct buf b;
    buf_init(&b, DATA_MAX + CERT_DER_MAX);
    tm_err e = ocsp_response_build(&b, q->op.tbs, sig_alg_info(o->sig_alg)->algid,
                                   slice_of(q->op.signature, q->op.signature_n), o->cert.der);
    struct ocsp_answer *a = e == TM_OK ? ocsp_answer_new(buf_slice(&b)) : NULL;
    uint8_t hash[SHA256_LEN];
    if (e == TM_OK)
        e = a ? sha256(hash, buf_slice(&b)) : TM_ENOMEM;
    buf_done(&b);
    if (e != TM_OK) {
        ocsp_answer_unref(a);
        return e;
    }
    a->etag[0] = '"';
    hex_encode(a->etag + 1, slice_of(hash, 16));
    memcpy(a->etag + 33, "\"", 2);
    *ret = a;
    return TM_OK;
}

tm_err ocsp_query_finish(struct ocsp_answer **ret, struct ocsp_query *q)
{
    struct ocsp *o = q->house->ocsp;
    if (q->op.chain_seq)
        entry_add(q->house, q->x, &q->op);
    struct ocsp_answer *a;
    TM_TRY(assemble(&a, q));
    memcpy(a->key, q->key, sizeof a->key);
    memcpy(a->cert, q->cert, sizeof a->cert);
    a->tenant = q->x->tenant;
    a->this_update = q->singles[0].this_update;
    a->next_update = q->singles[0].next_update;
    a->refresh_at = a->this_update + (a->next_update - a->this_update) / 2;
    if (q->known && ocsp_query_cached(q))
        ocsp_cache_put(o->cache, a, q->stamp);
    *ret = a;
    return TM_OK;
}

void ocsp_query_done(struct ocsp_query *q)
{
    catalog_unref(q->catalog);
    q->catalog = NULL;
}

/* ---- an answer for the house itself ---- */

/* A question about one certificate, as libraries write it. */
static tm_err question(struct ocsp_request *ret, struct arena *a, const struct authority *x,
                       const uint8_t cert[CERT_SERIAL_LEN], bool with_sha1)
{
    const struct ocsp_issuer *o = &x->ocsp.issuer;
    uint8_t *serial = arena_calloc(a, 1, CERT_SERIAL_LEN + 1);
    if (!serial)
        return TM_ENOMEM;
    struct slice contents = serial_contents(serial, slice_of(cert, CERT_SERIAL_LEN));
    struct ocsp_id *id = &ret->ids[0];
    *id = (struct ocsp_id){
        .hash = with_sha1 ? OID_SHA1 : OID_SHA256,
        .null = true,
        .name_hash = with_sha1 ? SLICE_ARR(o->name_sha1) : SLICE_ARR(o->name_sha256),
        .key_hash = with_sha1 ? SLICE_ARR(o->key_sha1) : SLICE_ARR(o->key_sha256),
        .serial = contents,
    };
    ret->n = 1;
    struct buf b;
    buf_init(&b, 1024);
    tm_err e = ocsp_id_build(&b, id);
    if (e == TM_OK)
        e = arena_copy(&id->der, a, buf_slice(&b));
    buf_done(&b);
    return e;
}

static tm_err answer(struct ocsp_answer **ret, struct ocsp_query *q, enum ocsp_count as, struct diag *diag)
{
    struct ocsp *o = q->house->ocsp;
    if (ocsp_query_cached(q)) {
        struct ocsp_answer *kept = ocsp_cache_find(o->cache, q->key);
        if (kept && q->now < kept->refresh_at) {
            *ret = kept;
            return TM_OK;
        }
        ocsp_answer_unref(kept);
    }
    TM_TRY(ocsp_query_read(q, diag));
    TM_TRY(house_signing_begin(q->house, diag));
    tm_err e = signer_sign(q->house->signer, &q->op);
    if (e != TM_OK)
        *diag = q->op.diag;
    else
        e = ocsp_query_finish(ret, q);
    house_signing_end(q->house);
    if (e == TM_OK)
        ocsp_count(o, as);
    return e;
}

tm_err ocsp_answer_get(struct ocsp_answer **ret, struct house *h, const struct authority *x,
                       const uint8_t cert[CERT_SERIAL_LEN], bool with_sha1, enum ocsp_count as,
                       struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct ocsp_query *q = a ? arena_calloc(a, 1, sizeof *q) : NULL;
    struct ocsp_request *request = q ? arena_calloc(a, 1, sizeof *request) : NULL;
    tm_err e = request ? question(request, a, x, cert, with_sha1) : TM_ENOMEM;
    if (e == TM_OK) {
        q->arena = a;
        e = ocsp_query_begin(q, h, request) && h->signer
                ? answer(ret, q, as, diag)
                : diag_fail(diag, TM_EUNAVAIL, "authority.ocsp", NULL,
                            "nobody answers OCSP for \"%s\"; \"touchmark ca ocsp %s\" makes a key for it",
                            x->name, x->name);
        ocsp_query_done(q);
    }
    arena_free(a);
    return e;
}

static tm_err record_run(struct house *h, struct diag *diag)
{
    struct ocsp *o = h->ocsp;
    if (!o || !ocsp_enter(o))
        return TM_OK;
    tm_err e = record_all(h, diag);
    ocsp_leave(o);
    return e;
}

static const struct job record_job = {.name = "ocsp.record", .period_ms = 30 * 1000, .run = record_run};
const struct job *const ocsp_jobs[] = {&record_job, &ocsp_presign_job, NULL};
