#include "status/filter.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "issue/house.h"
#include "issue/message.h"
#include "register/register.h"
#include "status/crl_impl.h"
#include "status/filter_impl.h"
#include "status/reach.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_MAX = 2 * FILTER_FILE_MAX, SIGNATURE_MAX = 64 << 10, NEVER_SCHEDULED = 7 * 86400 };

/* ---- which filters there are ---- */

static tm_err def_from_json(struct filter_def *ret, struct arena *a, tenant_id tenant, struct slice json,
                            struct diag *diag)
{
    json_t *doc;
    struct filter_doc d = {0};
    TM_TRY(json_parse(&doc, json, 1 << 20, diag));
    tm_err e = json_bind(&d, filter_schema, doc, "", a, diag);
    json_decref(doc);
    TM_TRY(e);
    *ret = (struct filter_def){.tenant = tenant,
                               .name = d.name,
                               .authorities = d.authorities.v,
                               .n_authorities = d.authorities.n,
                               .every = d.every,
                               .delta_every = d.delta_every,
                               .scheduled = true};
    return TM_OK;
}

static tm_err def_of_authority(struct filter_def *ret, struct arena *a, struct house *h, tenant_id tenant,
                               const char *name, struct diag *diag)
{
    struct catalog *cat = house_catalog(h);
    bool is = catalog_authority(cat, tenant, name) != NULL;
    catalog_unref(cat);
    if (!is)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "name",
                         "there is neither a filter nor an authority \"%s\"", name);
    const char **one = arena_calloc(a, 1, sizeof *one);
    char *copy = arena_strdup(a, name);
    if (!one || !copy)
        return TM_ENOMEM;
    one[0] = copy;
    *ret = (struct filter_def){.tenant = tenant,
                               .name = copy,
                               .authorities = one,
                               .n_authorities = 1,
                               .every = NEVER_SCHEDULED,
                               .delta_every = NEVER_SCHEDULED};
    return TM_OK;
}

tm_err filter_def_find(struct filter_def *ret, struct arena *a, struct house *h, tenant_id tenant,
                       const char *name, struct diag *diag)
{
    struct store_read r = {
        .kind = READ_RESOURCE, .tenant = tenant, .arena = a, .name = "Filter", .name2 = name};
    tm_err e = store_read_now(h->store, &r);
    if (e == TM_OK)
        return def_from_json(ret, a, tenant, r.resources[0].json, diag);
    if (e != TM_ENOTFOUND) {
        *diag = r.diag;
        return e;
    }
    return def_of_authority(ret, a, h, tenant, name, diag);
}

tm_err filter_def_list(struct filter_def **ret, size_t *ret_n, struct arena *a, struct house *h,
                       tenant_id tenant, struct diag *diag)
{
    struct store_read r = {
        .kind = READ_RESOURCES, .tenant = tenant, .arena = a, .name = "Filter", .limit = 1000};
    tm_err e = store_read_now(h->store, &r);
    if (e != TM_OK) {
        *diag = r.diag;
        return e;
    }
    struct filter_def *v = arena_calloc(a, r.n + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < r.n; i++)
        TM_TRY(def_from_json(&v[i], a, tenant, r.resources[i].json, diag));
    *ret = v;
    *ret_n = r.n;
    return TM_OK;
}

/* ---- what is published ---- */

/* Filters lie beside the CRLs, under names that no authority has. */
static const char *stored_as(char out[80], const char *name)
{
    snprintf(out, 80, "filter:%s", name);
    return out;
}

static const char *shard_of(enum tmf_kind kind)
{
    return kind == TMF_FULL ? "full" : "delta";
}

tm_err filter_current(struct crl_row *ret, struct tmf_filter *f, struct arena *a, struct house *h,
                      tenant_id tenant, const char *name, enum tmf_kind kind)
{
    char authority[80];
    struct tmf_filter opened;
    struct store_read r = {.kind = READ_CRL,
                           .tenant = tenant,
                           .arena = a,
                           .name = stored_as(authority, name),
                           .name2 = shard_of(kind)};
    TM_TRY(store_read_now(h->store, &r));
    if (tmf_open(f ? f : &opened, r.crl.der.p, r.crl.der.n) != 0)
        return TM_ECORRUPT;
    *ret = r.crl;
    return TM_OK;
}

const char *filter_path(struct arena *a, struct house *h, tenant_id tenant, const char *name,
                        enum tmf_kind kind)
{
    struct catalog *cat = house_catalog(h);
    const struct tenant *t = catalog_tenant_by_id(cat, tenant);
    const char *dot = tenant == TENANT_DEFAULT || !t ? "" : ".",
               *path = arena_printf(a, "/filter/%s%s%s%s.tmf", *dot ? t->name : "", dot, name,
                                    kind == TMF_FULL ? "" : ".delta");
    catalog_unref(cat);
    return path;
}

/* ---- making one ---- */

struct making {
    struct house *h;
    const struct filter_def *d;
    struct filter_head head;
    struct tmf_filter base; /* deltas */
    int64_t now_ms;
    int64_t covered; /* certificates issued until then are in it */
    struct arena *a;
    struct buf file;
};

static tm_err load_base(struct making *m, struct diag *diag)
{
    struct crl_row row;
    tm_err e = filter_current(&row, &m->base, m->a, m->h, m->d->tenant, m->d->name, TMF_FULL);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, NULL, "there is no full filter \"%s\" yet: touchmark filter build %s",
                         m->d->name, m->d->name);
    TM_TRY(e);
    m->head.base_number = m->base.number;
    return sha256(m->head.base_digest, slice_of(m->base.p, m->base.body));
}

static tm_err choose_number(struct making *m)
{
    struct crl_row row;
    struct tmf_filter last;
    tm_err e = filter_current(&row, &last, m->a, m->h, m->d->tenant, m->d->name, m->head.kind);
    m->head.number = (uint64_t)m->now_ms;
    /* After a clock that was set back the number still grows, and neither date goes back. */
    if (e == TM_OK && last.number >= m->head.number)
        m->head.number = last.number + 1;
    if (e == TM_OK && row.this_update > (int64_t)m->head.this_update) {
        m->head.next_update += row.this_update - m->head.this_update;
        m->head.this_update = row.this_update;
    }
    return e == TM_ENOTFOUND ? TM_OK : e;
}

static tm_err write_body(struct making *m, const struct catalog *cat, struct diag *diag)
{
    struct filter_writer *w;
    m->covered = filter_settled(m->h, m->now_ms / 1000);
    tm_err e = filter_writer_new(&w, &m->head);
    TM_TRY(e);
    for (size_t i = 0; i < m->d->n_authorities && e == TM_OK; i++) {
        const struct authority *x = catalog_authority(cat, m->d->tenant, m->d->authorities[i]);
        if (!x)
            e = diag_fail(diag, TM_ENOTFOUND, NULL, "authorities", "there is no authority \"%s\"",
                          m->d->authorities[i]);
        else
            e = filter_members(w, m->h, x, m->head.kind == TMF_DELTA ? &m->base : NULL, m->covered, m->now_ms,
                               diag);
    }
    if (e == TM_OK)
        e = filter_writer_end(w, &m->file);
    filter_writer_free(w);
    return e;
}

/* Each authority's own RA: nobody speaks for another one's certificates (docs/adr/0010). */
static tm_err sign_for(struct making *m, const struct authority *x, const uint8_t digest[SHA256_LEN],
                       struct diag *diag)
{
    if (!x->ra_key[0])
        return diag_fail(diag, TM_EUNAVAIL, "authority.ra", "authorities",
                         "%s has no RA to sign the filter: touchmark ca ra %s", x->name, x->name);
    const struct message message = {.tenant = m->d->tenant,
                                    .authority = x,
                                    .endpoint = m->d->name,
                                    .content_type = OID_CT_TOUCHMARK_FILTER,
                                    .content = slice_of(digest, SHA256_LEN)};
    struct slice signature;
    TM_TRY(message_sign(&signature, m->a, m->h, &message, diag));
    buf_put_slice(&m->file, signature);
    return buf_err(&m->file);
}

static tm_err sign(struct making *m, const struct catalog *cat, uint8_t digest[SHA256_LEN], struct diag *diag)
{
    TM_TRY(sha256(digest, buf_slice(&m->file)));
    for (size_t i = 0; i < m->d->n_authorities; i++) {
        const struct authority *x = catalog_authority(cat, m->d->tenant, m->d->authorities[i]);
        if (!x)
            return diag_fail(diag, TM_ENOTFOUND, NULL, "authorities", "there is no authority \"%s\"",
                             m->d->authorities[i]);
        TM_TRY(sign_for(m, x, digest, diag));
    }
    return TM_OK;
}

static tm_err put(struct making *m, const uint8_t digest[SHA256_LEN], struct diag *diag)
{
    char authority[80], about[128];
    uint8_t number[8];
    struct tmf_filter f;
    struct tmf_issuer x;
    uint64_t members = 0, revoked = 0;
    if (tmf_open(&f, m->file.p, m->file.n) != 0)
        return TM_EINTERNAL;
    for (uint32_t i = 0; tmf_issuer_at(&f, i, &x) == 0; i++) {
        members += x.members;
        revoked += x.revoked;
    }
    for (int i = 0; i < 8; i++)
        number[i] = (uint8_t)(m->head.number >> (56 - 8 * i));
    struct slice magnitude = serial_magnitude(SLICE_ARR(number));
    snprintf(about, sizeof about, "filter/%s", m->d->name);
    struct event_field fields[] = {
        {.key = "digest", .kind = EVENT_HEX, .s = slice_of(digest, SHA256_LEN)},
        {.key = "filter", .kind = EVENT_STR, .s = slice_str(m->d->name)},
        {.key = "members", .kind = EVENT_INT, .i = (int64_t)members},
        {.key = "number", .kind = EVENT_INT, .i = (int64_t)m->head.number},
        {.key = "octets", .kind = EVENT_INT, .i = (int64_t)m->file.n},
        {.key = "revoked", .kind = EVENT_INT, .i = (int64_t)revoked},
        {.key = "shard", .kind = EVENT_STR, .s = slice_str(shard_of(m->head.kind))},
        {0},
    };
    struct effect effects[2] = {{.kind = EFFECT_CRL_PUT, .tenant = m->d->tenant}};
    effects[0].u.crl = (struct crl_row){.authority = stored_as(authority, m->d->name),
                                        .shard = shard_of(m->head.kind),
                                        .number = magnitude,
                                        .this_update = m->head.this_update,
                                        .next_update = m->head.next_update,
                                        .der = buf_slice(&m->file),
                                        .entries = -1};
    struct slice body;
    TM_TRY(register_event_body(&body, m->a, fields));
    TM_TRY(register_event_effect(&effects[1], m->a, m->d->tenant, "filter.published", about, body,
                                 clock_now_ms()));
    return house_commit(m->h, effects, 2, diag);
}

static tm_err make(struct making *m, struct diag *diag)
{
    uint8_t digest[SHA256_LEN];
    struct catalog *cat = house_catalog(m->h);
    uint64_t begun = clock_mono_ns();
    tm_err e = m->head.kind == TMF_DELTA ? load_base(m, diag) : TM_OK;
    if (e == TM_OK)
        e = choose_number(m);
    if (e == TM_OK)
        e = write_body(m, cat, diag);
    if (e == TM_OK)
        e = sign(m, cat, digest, diag);
    if (e == TM_OK)
        e = put(m, digest, diag);
    catalog_unref(cat);
    if (e == TM_OK && m->d->scheduled)
        reach_filter(m->h, m->d->tenant, m->d->name, m->now_ms, m->covered);
    if (e == TM_OK)
        log_info(NULL, "filter.published", LOG_S("filter", m->d->name), LOG_S("kind", shard_of(m->head.kind)),
                 LOG_I("octets", (int64_t)m->file.n),
                 LOG_I("ms", (int64_t)((clock_mono_ns() - begun) / 1000000)));
    return e;
}

tm_err filter_publish(struct house *h, const struct filter_def *d, enum tmf_kind kind, struct diag *diag)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    if (pthread_mutex_trylock(&one) != 0)
        return diag_fail(diag, TM_EBUSY, NULL, NULL, "another filter is being made; ask again in a minute");
    struct making m = {.h = h, .d = d, .now_ms = under_way_as_of(&h->under_way), .a = arena_new(ARENA_MAX)};
    int64_t now = m.now_ms / 1000, every = kind == TMF_FULL ? d->every : d->delta_every;
    buf_init(&m.file, FILTER_FILE_MAX);
    /* Promised with as much again to spare: whoever missed one is in time with the next. */
    m.head = (struct filter_head){
        .kind = kind, .name = d->name, .this_update = now, .next_update = now + 2 * every};
    tm_err e = m.a ? make(&m, diag) : TM_ENOMEM;
    buf_done(&m.file);
    arena_free(m.a);
    pthread_mutex_unlock(&one);
    return e;
}

static atomic_bool stopped;

void filter_stop(void)
{
    atomic_store(&stopped, true);
}

bool filter_stopped(void)
{
    return atomic_load(&stopped);
}

/* ---- by the clock ---- */

static tm_err last_of(struct tmf_filter *f, struct arena *a, struct house *h, const struct filter_def *d,
                      enum tmf_kind kind)
{
    struct crl_row row;
    tm_err e = filter_current(&row, f, a, h, d->tenant, d->name, kind);
    if (e == TM_ENOTFOUND)
        memset(f, 0, sizeof *f);
    return e == TM_ENOTFOUND ? TM_OK : e;
}

static tm_err publish_if_due(struct house *h, const struct filter_def *d, struct diag *diag)
{
    struct tmf_filter full = {0}, delta = {0};
    struct arena *a = arena_new(ARENA_MAX);
    if (!a)
        return TM_ENOMEM;
    int64_t now = clock_now();
    tm_err e = last_of(&full, a, h, d, TMF_FULL);
    if (e == TM_OK)
        e = last_of(&delta, a, h, d, TMF_DELTA);
    int64_t since = full.this_update;
    if (delta.base_number == full.number && delta.this_update > since)
        since = delta.this_update;
    bool make_full = full.number == 0 || now >= full.this_update + d->every,
         make_delta = !make_full && now >= since + d->delta_every;
    arena_free(a);
    TM_TRY(e);
    if (make_full || make_delta)
        return filter_publish(h, d, make_full ? TMF_FULL : TMF_DELTA, diag);
    return TM_OK;
}

static tm_err publish_due_of(struct house *h, tenant_id tenant, struct diag *diag)
{
    struct filter_def *v;
    size_t n;
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    tm_err first = filter_def_list(&v, &n, a, h, tenant, diag);
    for (size_t i = 0; first == TM_OK && i < n; i++) {
        struct diag why = {0};
        tm_err e = publish_if_due(h, &v[i], &why);
        if (e != TM_OK)
            log_error(NULL, "filter.failed", LOG_S("filter", v[i].name),
                      LOG_S("why", why.message[0] ? why.message : tm_err_name(e)));
    }
    arena_free(a);
    return first;
}

/* The job runner has other things to do, so this runs in the pool, one at a time. */
struct due {
    struct task task;
    struct house *h;
};
static atomic_bool due_running;

static void due_run(struct task *t)
{
    struct due *d = TM_CONTAINER(t, struct due, task);
    struct catalog *cat = house_catalog(d->h);
    const struct tenant *tenants;
    size_t n = catalog_tenants(cat, &tenants);
    for (size_t i = 0; i < n; i++) {
        struct diag diag = {0};
        if (!tenants[i].disabled && publish_due_of(d->h, tenants[i].id, &diag) != TM_OK)
            log_error(NULL, "filter.failed", LOG_S("why", diag.message));
    }
    catalog_unref(cat);
    free(d);
    atomic_store(&due_running, false);
}

static tm_err publish_due(struct house *h, struct diag *diag)
{
    (void)diag;
    if (h->mode != HOUSE_SERVE || atomic_exchange(&due_running, true))
        return TM_OK;
    struct due *d = calloc(1, sizeof *d);
    if (!d) {
        atomic_store(&due_running, false);
        return TM_ENOMEM;
    }
    d->h = h;
    d->task.run = due_run;
    executor_post(pool_executor(h->blocking), &d->task);
    return TM_OK;
}

static const struct job due_job = {.name = "filter.due", .period_ms = 60000, .run = publish_due};
const struct job *const filter_jobs[] = {&due_job, NULL};
