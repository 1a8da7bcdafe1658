/* Fetching: one thread that asks upstream for what is due, with jitter, and backs off while nobody answers. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "gateway/impl.h"
#include "http/client.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    BACK_OFF_MIN_S = 5,
    BACK_OFF_MAX_S = 600,
    BACK_OFF_STEPS = 10,
    FETCH_S = 300,
    FETCH_IDLE_S = 20,
    LOOK_MS = 1000
};
#define SECOND 1000000000ull

struct metric gateway_fetches = {.name = "proxy_fetches_total",
                                 .help = "Questions to upstream, by source and outcome.",
                                 .labels = {"source", "outcome"}};

tm_err upstream_exchange(struct gateway *g, struct http_exchange *x, struct diag *diag)
{
    x->total_s = x->total_s ? x->total_s : FETCH_S;
    x->idle_s = x->answer_s = FETCH_IDLE_S;
    x->cancel = &g->stop;
    tm_err e = http_tcp_exchange(x, g->upstream_host, g->upstream_port, diag);
    bool through = e == TM_OK && x->status < 500, was = atomic_exchange(&g->uplink, through);
    if (through)
        atomic_store(&g->last_contact, clock_now());
    if (was != through && through)
        log_info(NULL, "proxy.uplink-up", LOG_S("upstream", g->config.upstream));
    if (was != through && !through)
        log_warn(NULL, "proxy.uplink-down", LOG_S("upstream", g->config.upstream),
                 LOG_S("why", e == TM_OK ? "it answers with an error of its own" : diag->message));
    return e;
}

/* ---- what comes in ---- */

tm_err source_take(struct gateway *g, struct gateway_source *s, struct gateway_object *o, struct diag *diag)
{
    struct gateway_object *old = o;
    tm_err e = TM_OK;
    pthread_mutex_lock(&g->lock);
    const struct gateway_object *now = s->now, *base = s->base ? s->base->now : NULL;
    if (s->kind == SOURCE_DELTA && (!base || !tmf_fits(&o->filter, &base->filter, base->digest)))
        e = diag_fail(diag, TM_EPENDING, NULL, s->name, "its full filter is not here");
    /* Nothing that was known is given up for something older, whoever signed it. */
    else if (now && (o->number < now->number || o->this_update < now->this_update))
        e = diag_fail(diag, TM_ECONFLICT, NULL, s->name, "it is older than the one that is here");
    else {
        old = s->now;
        s->now = o;
    }
    pthread_mutex_unlock(&g->lock);
    object_unref(old);
    return e;
}

static tm_err take_octets(struct gateway *g, struct gateway_source *s, struct slice octets, struct diag *diag)
{
    struct gateway_object *o;
    TM_TRY(object_make(&o, g, s, octets, diag));
    TM_TRY(source_take(g, s, o, diag));
    TM_TRY(state_save(g, s->name, octets, diag));
    if (s->kind != SOURCE_CRL)
        return TM_OK;
    /* The same as PEM, for programs that read CRLs from files (docs/howto-gateway.md). */
    struct buf pem;
    char name[300];
    buf_init(&pem, 2 * GATEWAY_CRL_MAX);
    buf_put_pem(&pem, "X509 CRL", octets);
    snprintf(name, sizeof name, "%s.pem", s->name);
    tm_err e = buf_err(&pem) != TM_OK ? buf_err(&pem) : state_save(g, name, buf_slice(&pem), diag);
    buf_done(&pem);
    return e;
}

/* ---- when ---- */

/* A tenth more or less, so that a thousand gateways do not ask in the same second. */
static uint64_t jittered(uint64_t ns)
{
    uint32_t r = 0;
    TM_IGNORE(random_bytes(&r, sizeof r));
    return ns - ns / 10 + ns / 5 * (r % 1000) / 1000;
}

static void schedule(struct gateway *g, struct gateway_source *s, tm_err e, const struct diag *diag)
{
    uint64_t wait = (uint64_t)g->config.refresh;
    if (e != TM_OK) {
        unsigned step = s->failures < BACK_OFF_STEPS ? s->failures : BACK_OFF_STEPS;
        uint64_t back = (uint64_t)BACK_OFF_MIN_S << step;
        wait = back < BACK_OFF_MAX_S ? back : BACK_OFF_MAX_S;
        if (wait > (uint64_t)g->config.refresh && g->config.refresh >= BACK_OFF_MIN_S)
            wait = (uint64_t)g->config.refresh;
    }
    pthread_mutex_lock(&g->lock);
    s->failures = e == TM_OK ? 0 : s->failures + 1;
    s->due_ns = clock_mono_ns() + jittered(wait * SECOND);
    const char *why = diag->message[0] ? diag->message : tm_err_name(e);
    snprintf(s->why, sizeof s->why, "%s", e == TM_OK ? "" : why);
    if (e == TM_OK)
        s->confirmed = clock_now();
    pthread_mutex_unlock(&g->lock);
}

static tm_err fetch(struct gateway *g, struct gateway_source *s, const char **ret_outcome, struct diag *diag)
{
    struct http_exchange x = {.method = "GET",
                              .target = s->target,
                              .etag_known = s->now ? s->etag : NULL,
                              .date_known = s->now ? s->modified : NULL,
                              .max = s->kind == SOURCE_CRL ? GATEWAY_CRL_MAX : GATEWAY_FILTER_MAX};
    *ret_outcome = "failed";
    tm_err e = upstream_exchange(g, &x, diag);
    if (e == TM_OK && x.status == 304 && s->now) {
        *ret_outcome = "unchanged";
    } else if (e == TM_OK && x.status == 404 && s->kind == SOURCE_DELTA) {
        *ret_outcome = "absent"; /* none was made yet */
    } else if (e == TM_OK && x.status != 200) {
        e = diag_fail(diag, TM_EUNAVAIL, NULL, s->name, "upstream answered %d", x.status);
    } else if (e == TM_OK) {
        e = take_octets(g, s, buf_slice(&x.out), diag);
        *ret_outcome = e == TM_OK ? "fresh" : "refused";
        if (e == TM_OK) {
            snprintf(s->etag, sizeof s->etag, "%s", x.etag);
            snprintf(s->modified, sizeof s->modified, "%s", x.modified);
        }
    }
    buf_done(&x.out);
    return e;
}

static void fetch_one(struct gateway *g, struct gateway_source *s)
{
    struct diag diag = {0};
    const char *outcome;
    tm_err e = fetch(g, s, &outcome, &diag);
    /* A delta of the full filter that is about to be fetched, or of the one before: it is not there yet. */
    if (e == TM_EPENDING) {
        outcome = "waits";
        pthread_mutex_lock(&g->lock);
        s->base->due_ns = 0;
        pthread_mutex_unlock(&g->lock);
    }
    metric_add(&gateway_fetches, METRIC_LABELS(s->name, outcome), 1);
    if (strcmp(outcome, "fresh") == 0)
        log_info(NULL, "proxy.fetched", LOG_S("source", s->name), LOG_I("octets", (int64_t)s->now->n));
    else if (e != TM_OK && e != TM_EPENDING && s->failures == 0)
        log_warn(NULL, "proxy.fetch-failed", LOG_S("source", s->name), LOG_S("why", diag.message));
    schedule(g, s, e, &diag);
}

/* ---- the thread ---- */

static struct gateway_source *next_due(struct gateway *g, uint64_t now)
{
    for (size_t i = 0; i < g->n_sources; i++) /* full filters stand before their deltas */
        if (g->sources[i].due_ns <= now)
            return &g->sources[i];
    return NULL;
}

static void *fetcher(void *arg)
{
    struct gateway *g = arg;
    uint64_t save_ns = clock_mono_ns() + (uint64_t)g->config.refresh * SECOND;
    pthread_mutex_lock(&g->lock);
    while (!g->stop) {
        struct gateway_source *s = next_due(g, clock_mono_ns());
        if (!s) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec += LOOK_MS / 1000;
            pthread_cond_timedwait(&g->wake, &g->lock, &until);
        }
        pthread_mutex_unlock(&g->lock);
        if (s)
            fetch_one(g, s);
        if (clock_mono_ns() >= save_ns) {
            ocsp_save(g);
            save_ns = clock_mono_ns() + (uint64_t)g->config.refresh * SECOND;
        }
        pthread_mutex_lock(&g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

tm_err fetch_start(struct gateway *g)
{
    if (pthread_create(&g->fetcher, NULL, fetcher, g) != 0)
        return TM_EUNAVAIL;
    g->fetching = true;
    return TM_OK;
}

void fetch_stop(struct gateway *g)
{
    if (!g->fetching)
        return;
    pthread_mutex_lock(&g->lock);
    g->stop = true;
    pthread_cond_broadcast(&g->wake);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->fetcher, NULL);
    g->fetching = false;
}
