#include "status/reach.h"
#include "base/arena.h"
#include "base/clock.h"
#include "http/metrics.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "policy/profile.h"
#include "status/crl_impl.h"
#include "status/filter.h"
#include "status/ocsp.h"
#include "status/revocation.h"
#include "status/scope.h"
#include "x509/ocsp.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WAITING_MAX = 4096,
    SAID_MAX = 512,
    SAID_TIMES = 16,
    ASK_MAX = 32,
    TOGETHER_MS = 20,
    NAME_MAX_LEN = 64
};

const char *const reach_model_names[REACH_MODELS] = {"crl", "shard", "delta", "ocsp", "filter", "expiry"};

/* From a hundredth of a second, which a list of some entries takes, to the year that a certificate may still have. */
static const uint64_t bounds_ms[] = {5,       10,      25,       50,       100,        250,         500,
                                     1000,    2500,    5000,     10000,    30000,      60000,       300000,
                                     1800000, 3600000, 21600000, 86400000, 604800000u, 2592000000u, 0};
static struct metric effect_seconds = {
    .name = "revocation_effect_seconds",
    .help = "Time from a revocation until what is published says so, by model.",
    .kind = METRIC_HISTOGRAM,
    .labels = {"model"},
    .bounds = bounds_ms,
    .per_unit = 1000,
};
static struct metric *const reach_metrics[] = {&effect_seconds, NULL};

/* Revocations that something published does not say yet: of one authority, by one list or filter. */
struct waiting {
    tenant_id tenant;
    enum reach_model model;
    char authority[NAME_MAX_LEN], scope[CRL_LIST_NAME_MAX]; /* scope: name of the list, or of the filter */
    int64_t first_ms;                                       /* when the first of them began */
    int64_t last_ms;                                        /* when the last of them was durable */
    int64_t issued;                                         /* the newest certificate's, unix seconds */
    uint8_t cert[CERT_SERIAL_LEN];                          /* the last */
    uint64_t n;
};

/* When some were said, the last few times. */
struct said {
    tenant_id tenant;
    enum reach_model model;
    char authority[NAME_MAX_LEN];
    int64_t ms[SAID_TIMES];
    int64_t took[SAID_TIMES];
    size_t n;
};

struct reach {
    pthread_mutex_t lock;
    struct waiting v[WAITING_MAX];
    size_t n;
    struct said said[SAID_MAX];
    size_t n_said;
};

/* ---- the tables; the lock is held ---- */

static bool same_target(const struct waiting *a, const struct waiting *b)
{
    return a->tenant == b->tenant && a->model == b->model && strcmp(a->scope, b->scope) == 0 &&
           strcmp(a->authority, b->authority) == 0;
}

/* What comes together waits together; where there is no room, with the newest that waits for the same, and longer. */
static void add(struct reach *r, const struct waiting *w)
{
    for (size_t i = r->n; i-- > 0;) {
        struct waiting *old = &r->v[i];
        if (!same_target(old, w))
            continue;
        if (w->last_ms - old->first_ms > TOGETHER_MS && r->n < WAITING_MAX)
            break;
        old->last_ms = w->last_ms > old->last_ms ? w->last_ms : old->last_ms;
        old->issued = w->issued > old->issued ? w->issued : old->issued;
        old->n += w->n;
        memcpy(old->cert, w->cert, sizeof old->cert);
        return;
    }
    if (r->n < WAITING_MAX)
        r->v[r->n++] = *w;
}

static void note_said(struct reach *r, const struct waiting *w, int64_t now)
{
    struct said *s = NULL;
    for (size_t i = 0; i < r->n_said && !s; i++)
        if (r->said[i].tenant == w->tenant && r->said[i].model == w->model &&
            strcmp(r->said[i].authority, w->authority) == 0)
            s = &r->said[i];
    if (!s && r->n_said < SAID_MAX) {
        s = &r->said[r->n_said++];
        *s = (struct said){.tenant = w->tenant, .model = w->model};
        memcpy(s->authority, w->authority, sizeof s->authority);
    }
    if (s) {
        s->took[s->n % SAID_TIMES] = now > w->first_ms ? now - w->first_ms : 0;
        s->ms[s->n++ % SAID_TIMES] = now;
    }
}

static void drop(struct reach *r, size_t i)
{
    memmove(&r->v[i], &r->v[i + 1], (--r->n - i) * sizeof *r->v);
}

static void settle(struct reach *r, size_t i, int64_t now)
{
    const struct waiting *w = &r->v[i];
    int64_t took = now > w->first_ms ? now - w->first_ms : 0;
    for (uint64_t k = 0; k < w->n; k++)
        metric_observe(&effect_seconds, METRIC_LABELS(reach_model_names[w->model]), (uint64_t)took);
    note_said(r, w, now);
    drop(r, i);
}

/* ---- what is published about a certificate ---- */

/* The names of the scheduled filters that are about this authority's certificates. */
struct filters {
    struct arena *a;
    struct filter_def *v;
    size_t n;
};

static tm_err filters_of(struct filters *f, struct house *h, tenant_id tenant, struct diag *diag)
{
    *f = (struct filters){.a = arena_new(0)};
    return f->a ? filter_def_list(&f->v, &f->n, f->a, h, tenant, diag) : TM_ENOMEM;
}

static bool is_about(const struct filter_def *d, const char *authority)
{
    for (size_t i = 0; i < d->n_authorities; i++)
        if (strcmp(d->authorities[i], authority) == 0)
            return true;
    return false;
}

/* Does the list of its profile that it names have a delta? */
static bool own_delta(const struct authority *x, const struct cert_row *row)
{
    unsigned count, k;
    const struct authority_list *l = authority_own_list(&count, &k, x, row->profile, crl_issued_at(row->id));
    return l && count == 1 && l->delta;
}

static unsigned models_of(const struct catalog *cat, const struct filters *f, tenant_id tenant,
                          const struct cert_row *row)
{
    const struct authority *x = catalog_authority(cat, tenant, row->authority);
    const struct profile *p = catalog_profile(cat, tenant, row->profile);
    unsigned models = 0;
    char list[CRL_LIST_NAME_MAX];
    if (p && !profile_tells_of_revocation(p))
        models |= 1u << REACH_EXPIRY;
    if (!x)
        return models;
    models |= 1u << REACH_CRL;
    authority_list_name(list, x, row->profile, crl_issued_at(row->id));
    if (strcmp(list, "full") != 0)
        models |= 1u << REACH_SHARD;
    if ((x->crl_delta && !x->offline) || own_delta(x, row))
        models |= 1u << REACH_DELTA;
    if (x->ocsp.key[0] && x->ocsp.cert.der.n)
        models |= 1u << REACH_OCSP;
    for (size_t i = 0; i < f->n; i++)
        if (is_about(&f->v[i], row->authority))
            models |= 1u << REACH_FILTER;
    return models;
}

tm_err reach_models(unsigned *ret, struct house *h, tenant_id tenant, const struct cert_row *const *rows,
                    size_t n, struct diag *diag)
{
    struct filters f;
    tm_err e = filters_of(&f, h, tenant, diag);
    if (e == TM_OK) {
        struct catalog *cat = house_catalog(h);
        for (size_t i = 0; i < n; i++)
            ret[i] = models_of(cat, &f, tenant, rows[i]);
        catalog_unref(cat);
    }
    arena_free(f.a);
    return e;
}

/* ---- revoked ---- */

static void add_if(struct reach *r, struct waiting *w, unsigned models, enum reach_model model,
                   const char *scope)
{
    w->model = model;
    snprintf(w->scope, sizeof w->scope, "%s", scope);
    if (models & 1u << model)
        add(r, w);
}

static void wait_for(struct reach *r, const struct catalog *cat, const struct filters *f, tenant_id tenant,
                     const struct cert_row *row, unsigned models, int64_t at, int64_t now)
{
    struct waiting w = {
        .tenant = tenant, .first_ms = at, .last_ms = now, .n = 1, .issued = crl_issued_at(row->id)};
    snprintf(w.authority, sizeof w.authority, "%s", row->authority);
    memcpy(w.cert, row->id, sizeof w.cert);
    if (models & 1u << REACH_EXPIRY) {
        int64_t left = row->not_after * 1000 - at;
        metric_observe(&effect_seconds, METRIC_LABELS(reach_model_names[REACH_EXPIRY]),
                       left > 0 ? (uint64_t)left : 0);
    }
    add_if(r, &w, models, REACH_OCSP, "");
    add_if(r, &w, models, REACH_CRL, "full");
    const struct authority *x = catalog_authority(cat, tenant, row->authority);
    if (x) {
        char list[CRL_LIST_NAME_MAX];
        authority_list_name(list, x, row->profile, w.issued);
        add_if(r, &w, models, REACH_SHARD, list);
        if (x->crl_delta)
            add_if(r, &w, models, REACH_DELTA, "delta");
        if (own_delta(x, row)) {
            char delta[CRL_LIST_NAME_MAX];
            snprintf(delta, sizeof delta, "profile-%.63s.delta", row->profile);
            add_if(r, &w, models, REACH_DELTA, delta);
        }
    }
    w.model = REACH_FILTER;
    for (size_t i = 0; i < f->n && models & 1u << REACH_FILTER; i++)
        if (is_about(&f->v[i], row->authority)) {
            snprintf(w.scope, sizeof w.scope, "%s", f->v[i].name);
            add(r, &w);
        }
}

static void on_revoked(struct house *h, tenant_id tenant, const struct issue_revocation *v, size_t n,
                       int64_t at_ms)
{
    struct reach *r = h->reach;
    struct diag diag = {0};
    struct filters f;
    int64_t now = clock_now_ms();
    if (filters_of(&f, h, tenant, &diag) != TM_OK)
        f.n = 0; /* then that model is not measured this time */
    struct catalog *cat = house_catalog(h);
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < n; i++)
        wait_for(r, cat, &f, tenant, v[i].row, models_of(cat, &f, tenant, v[i].row), at_ms, now);
    pthread_mutex_unlock(&r->lock);
    catalog_unref(cat);
    arena_free(f.a);
    revocation_wake(h);
}

void reach_again(struct house *h, tenant_id tenant, const struct cert_row *row, unsigned models,
                 int64_t at_ms)
{
    struct reach *r = h->reach;
    struct diag diag = {0};
    struct filters f;
    if (!r)
        return;
    if (filters_of(&f, h, tenant, &diag) != TM_OK)
        f.n = 0;
    struct catalog *cat = house_catalog(h);
    pthread_mutex_lock(&r->lock);
    wait_for(r, cat, &f, tenant, row, models & ~(1u << REACH_EXPIRY), at_ms, at_ms);
    pthread_mutex_unlock(&r->lock);
    catalog_unref(cat);
    arena_free(f.a);
}

/* ---- published ---- */

static bool is_of_list(const struct waiting *w)
{
    return w->model == REACH_CRL || w->model == REACH_SHARD || w->model == REACH_DELTA;
}

void reach_list(struct house *h, const struct authority *x, const char *scope, int64_t as_of_ms)
{
    struct reach *r = h->reach;
    if (!r)
        return;
    bool any = false;
    int64_t now = clock_now_ms();
    pthread_mutex_lock(&r->lock);
    for (size_t i = r->n; i-- > 0;) {
        const struct waiting *w = &r->v[i];
        if (is_of_list(w) && w->tenant == x->tenant && w->last_ms <= as_of_ms &&
            strcmp(w->authority, x->name) == 0 && strcmp(w->scope, scope) == 0) {
            settle(r, i, now);
            any = true;
        }
    }
    pthread_mutex_unlock(&r->lock);
    if (any)
        revocation_said(h);
}

void reach_lists_looked(struct house *h, int64_t as_of_ms)
{
    struct reach *r = h->reach;
    if (!r)
        return;
    struct catalog *cat = house_catalog(h);
    int64_t now = clock_now_ms();
    bool any = false;
    pthread_mutex_lock(&r->lock);
    for (size_t i = r->n; i-- > 0;) {
        const struct waiting *w = &r->v[i];
        const struct authority *x = catalog_authority(cat, w->tenant, w->authority);
        /* Some lists are made by the clock alone, as the complete one beside a delta, some later; that of an offline CA comes from elsewhere. */
        bool looked = x && !x->offline && is_of_list(w) && crl_list_follows(x, w->scope) &&
                      !status_is_put_off(h, x, w->scope);
        if (looked && w->last_ms <= as_of_ms) {
            settle(r, i, now);
            any = true;
        } else if (!x) {
            drop(r, i); /* the authority is gone, and its lists with it */
        }
    }
    pthread_mutex_unlock(&r->lock);
    catalog_unref(cat);
    if (any)
        revocation_said(h);
}

void reach_filter(struct house *h, tenant_id tenant, const char *name, int64_t as_of_ms, int64_t issued)
{
    struct reach *r = h->reach;
    if (!r)
        return;
    int64_t now = clock_now_ms();
    pthread_mutex_lock(&r->lock);
    for (size_t i = r->n; i-- > 0;) {
        const struct waiting *w = &r->v[i];
        if (w->model == REACH_FILTER && w->tenant == tenant && w->last_ms <= as_of_ms &&
            w->issued <= issued && strcmp(w->scope, name) == 0)
            settle(r, i, now);
    }
    pthread_mutex_unlock(&r->lock);
    revocation_said(h);
}

/* ---- OCSP: an answer is made when somebody asks ---- */

enum asked { ASKED_SAYS_SO, ASKED_NOT_REVOKED, ASKED_NOBODY, ASKED_LATER };

static enum asked ask(struct house *h, const struct waiting *w)
{
    struct catalog *cat = house_catalog(h);
    const struct authority *x = catalog_authority(cat, w->tenant, w->authority);
    struct ocsp_answer *answer = NULL;
    struct ocsp_response parsed;
    struct diag diag = {0};
    tm_err e = x ? ocsp_answer_get(&answer, h, x, w->cert, false, OCSP_OWN, &diag) : TM_ENOTFOUND;
    enum asked got = ASKED_LATER;
    if (e == TM_OK && ocsp_response_parse(&parsed, slice_of(answer->der, answer->n), NULL) == TM_OK)
        got = parsed.status == OCSP_REVOKED ? ASKED_SAYS_SO : ASKED_NOT_REVOKED;
    else if (!x || strcmp(diag.rule, "authority.ocsp") == 0)
        got = ASKED_NOBODY;
    ocsp_answer_unref(answer);
    catalog_unref(cat);
    return got;
}

static size_t take_to_ask(struct reach *r, struct waiting *ret)
{
    size_t n = 0;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n && n < ASK_MAX; i++)
        if (r->v[i].model == REACH_OCSP)
            ret[n++] = r->v[i];
    pthread_mutex_unlock(&r->lock);
    return n;
}

enum reach_asked reach_ask(struct house *h)
{
    struct reach *r = h->reach;
    struct waiting v[ASK_MAX];
    bool later = false;
    size_t n = r && h->ocsp ? take_to_ask(r, v) : 0, answered = 0;
    for (size_t k = 0; k < n; k++) {
        enum asked got = ask(h, &v[k]);
        int64_t now = clock_now_ms();
        later |= got == ASKED_LATER;
        answered += got != ASKED_LATER;
        pthread_mutex_lock(&r->lock);
        for (size_t i = 0; i < r->n && got != ASKED_LATER; i++) {
            /* One that grew meanwhile is asked about again. */
            if (r->v[i].last_ms != v[k].last_ms || !same_target(&r->v[i], &v[k]))
                continue;
            if (got == ASKED_SAYS_SO)
                settle(r, i, now);
            else
                drop(r, i);
            break;
        }
        pthread_mutex_unlock(&r->lock);
    }
    if (answered)
        revocation_said(h);
    return later ? REACH_ASK_LATER : n == ASK_MAX && answered ? REACH_ASK_MORE : REACH_ASKED;
}

/* ---- what came of it ---- */

bool reach_done(struct house *h, tenant_id tenant, const char *authority, enum reach_model model,
                int64_t upto_ms, int64_t *ret_ms)
{
    struct reach *r = h->reach;
    bool waits = false;
    if (!r)
        return false;
    *ret_ms = clock_now_ms();
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n && !waits; i++)
        waits = r->v[i].tenant == tenant && r->v[i].model == model && r->v[i].first_ms <= upto_ms &&
                strcmp(r->v[i].authority, authority) == 0;
    for (size_t i = 0; i < r->n_said; i++) {
        const struct said *x = &r->said[i];
        if (x->tenant != tenant || x->model != model || strcmp(x->authority, authority) != 0)
            continue;
        for (size_t k = 0; k < x->n && k < SAID_TIMES; k++)
            if (x->ms[k] >= upto_ms && x->ms[k] < *ret_ms)
                *ret_ms = x->ms[k];
    }
    pthread_mutex_unlock(&r->lock);
    return !waits;
}

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

void reach_latency(struct reach_latency ret[REACH_MODELS], struct house *h, tenant_id tenant)
{
    enum { TAKEN_MAX = 1024 };
    int64_t *v = malloc(TAKEN_MAX * sizeof *v);
    struct reach *r = h->reach;
    memset(ret, 0, REACH_MODELS * sizeof *ret);
    for (int m = 0; r && v && m < REACH_MODELS; m++) {
        size_t n = 0;
        pthread_mutex_lock(&r->lock);
        for (size_t i = 0; i < r->n_said; i++)
            for (size_t k = 0; r->said[i].tenant == tenant && (int)r->said[i].model == m &&
                               k < r->said[i].n && k < SAID_TIMES && n < TAKEN_MAX;
                 k++)
                v[n++] = r->said[i].took[k];
        pthread_mutex_unlock(&r->lock);
        if (n == 0)
            continue;
        qsort(v, n, sizeof *v, by_size);
        ret[m] = (struct reach_latency){.n = n, .median_ms = v[n / 2], .worst_ms = v[n - 1]};
    }
    free(v);
}

tm_err reach_open(struct house *h)
{
    struct reach *r = calloc(1, sizeof *r);
    if (!r)
        return TM_ENOMEM;
    pthread_mutex_init(&r->lock, NULL);
    metrics_register(reach_metrics);
    h->reach = r;
    h->on_revoked = on_revoked;
    return TM_OK;
}

void reach_free(struct reach *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}
