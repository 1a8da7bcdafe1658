/* The admin listener: is it alive, may it take requests, and its numbers. Nothing here waits for a lock that is held for long. */
#include "cli/admin.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "http/metrics.h"
#include "issue/chain.h"
#include "issue/house.h"
#include "issue/jobs.h"
#include "keys/signer.h"
#include "status/ocsp.h"
#include <stdatomic.h>
#include <stdio.h>

enum { METRICS_MAX = 8 << 20, JOBS_MAX = 64 };

static _Atomic(struct http_server *) watched;

static struct metric replies = {
    .name = "http_requests_total",
    .help = "Replies by route and status.",
    .kind = METRIC_COUNTER,
    .labels = {"route", "status"},
};
static struct metric times = {
    .name = "http_request_seconds",
    .help = "Time from the end of a request's headers to its reply, by route.",
    .kind = METRIC_HISTOGRAM,
    .labels = {"route"},
    .bounds = metric_bounds_micros,
    .per_unit = 1000000,
};
static struct metric *const admin_table[] = {&replies, &times, NULL};

void admin_count(const char *route, int status, uint64_t micros)
{
    char code[12];
    snprintf(code, sizeof code, "%d", status);
    metric_add(&replies, METRIC_LABELS(route, code), 1);
    metric_observe(&times, METRIC_LABELS(route), micros);
}

void admin_watch(struct http_server *s)
{
    metrics_register(admin_table);
    atomic_store(&watched, s);
}

/* Why no request would succeed now; NULL when all is well. */
static const char *not_ready(struct house *h)
{
    if (atomic_load(&h->read_only)) {
        const char *why = atomic_load(&h->read_only_reason);
        return why ? why : "the house only reads";
    }
    if (!h->store)
        return "the store is not open";
    if (!h->signer || !signer_alive(h->signer))
        return "the signer is not running";
    return NULL;
}

static void answer_text(struct http_request *r, int status, const char *text)
{
    static const struct http_header headers[] = {{"Cache-Control", "no-store"}, {0}};
    http_reply(r, status, "text/plain; charset=utf-8", slice_str(text), headers);
}

static void healthz(struct http_request *r)
{
    answer_text(r, 200, "ok\n");
}

static void readyz(struct http_request *r)
{
    const char *why = not_ready(r->app);
    const char *text = why ? arena_printf(r->arena, "not ready: %s\n", why) : "ready\n";
    answer_text(r, why ? 503 : 200, text ? text : "not ready\n");
}

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP touchmark_%s %s\n# TYPE touchmark_%s %s\n", name, help, name, type);
}

static void number(struct buf *out, const char *name, const char *type, const char *help, uint64_t v)
{
    head(out, name, type, help);
    buf_printf(out, "touchmark_%s %llu\n", name, (unsigned long long)v);
}

/* Microseconds as seconds. */
static void seconds(struct buf *out, const char *name, const char *type, const char *help, uint64_t us)
{
    head(out, name, type, help);
    buf_printf(out, "touchmark_%s %llu.%06llu\n", name, (unsigned long long)(us / 1000000),
               (unsigned long long)(us % 1000000));
}

static void put_http(struct buf *out)
{
    struct http_server *s = atomic_load(&watched);
    if (!s)
        return;
    struct http_stats st;
    http_server_stats(s, &st);
    number(out, "http_connections_accepted_total", "counter", "Connections accepted.", st.accepted);
    number(out, "http_connections_open", "gauge", "Connections open now.", st.open);
    number(out, "http_server_requests_total", "counter", "Requests read.", st.requests);
    number(out, "http_tls_failed_total", "counter", "TLS handshakes that failed.", st.tls_failed);
    number(out, "http_refused_limit_total", "counter", "Connections and requests refused by a limit.",
           st.refused_limit);
    number(out, "http_timeouts_total", "counter", "Connections that a deadline ended.", st.timeouts);
}

static void put_store(struct buf *out, struct house *h)
{
    if (!h->store)
        return;
    struct store_stats st = {0};
    store_stats(h->store, &st);
    number(out, "store_commits_total", "counter", "Durable group commits.", st.commits);
    number(out, "store_transactions_total", "counter", "Transactions in them.", st.txns);
    number(out, "store_failed_total", "counter", "Transactions that were refused or failed.", st.failed);
    number(out, "store_queue", "gauge", "Transactions that wait for the committer.", st.queue);
    seconds(out, "store_commit_seconds_total", "counter", "Time spent in commits.", st.commit_us_total);
    seconds(out, "store_commit_seconds_max", "gauge", "The longest commit.", st.commit_us_max);
    number(out, "store_index_segments", "gauge", "Segments of the secondary index.", st.index_segments);
    number(out, "store_index_tail", "gauge", "Keys that no segment holds yet.", st.index_tail);
}

static void put_jobs(struct buf *out, struct house *h)
{
    struct job_state jobs[JOBS_MAX];
    size_t n = h->jobs ? jobs_state(h->jobs, jobs, JOBS_MAX) : 0;
    static const struct {
        const char *name, *type, *help;
    } shown[] = {
        {"job_runs_total", "counter", "Runs of a job."},
        {"job_failures_total", "counter", "Runs of a job that failed."},
        {"job_failing", "gauge", "1 while a job's last run failed."},
        {"job_last_milliseconds", "gauge", "How long a job's last run took."},
    };
    for (size_t k = 0; n > 0 && k < sizeof shown / sizeof *shown; k++) {
        head(out, shown[k].name, shown[k].type, shown[k].help);
        for (size_t i = 0; i < n; i++) {
            const uint64_t values[] = {jobs[i].runs, jobs[i].failures, jobs[i].failing,
                                       (uint64_t)jobs[i].last_ms};
            buf_printf(out, "touchmark_%s{job=\"%s\"} %llu\n", shown[k].name, jobs[i].name,
                       (unsigned long long)values[k]);
        }
    }
}

static void put_ocsp(struct buf *out, struct house *h)
{
    struct ocsp_state st;
    ocsp_state(h, &st);
    head(out, "ocsp_answers_total", "counter",
         "OCSP answers: from memory, signed anew, from memory though store or signer are out (stale), signed "
         "ahead (presigned), for the house itself (own), and those that say nothing of a certificate.");
    for (size_t i = 0; i < OCSP_COUNT; i++)
        buf_printf(out, "touchmark_ocsp_answers_total{from=\"%s\"} %llu\n", ocsp_count_names[i],
                   (unsigned long long)st.counts[i]);
    number(out, "ocsp_cache_entries", "gauge", "Signed OCSP answers in memory.", st.cache.entries);
    number(out, "ocsp_cache_octets", "gauge", "Memory that they take.", st.cache.octets);
    number(out, "ocsp_cache_octets_max", "gauge", "Memory that they may take.", st.cache.octets_max);
    number(out, "ocsp_cache_evicted_total", "counter", "Answers that made room for others.",
           st.cache.evicted);
    number(out, "ocsp_cache_forgotten_total", "counter", "Answers that a revocation or release dropped.",
           st.cache.forgotten);
    struct catalog *cat = house_catalog(h);
    const struct authority *const *v;
    size_t n = catalog_authorities(cat, &v);
    head(out, "ocsp_responder_expires_seconds", "gauge",
         "When a responder's certificate ends, unix time; 0: it has none.");
    for (size_t i = 0; i < n; i++)
        if (v[i]->ocsp.key[0])
            buf_printf(out, "touchmark_ocsp_responder_expires_seconds{tenant=\"%u\",authority=\"%s\"} %lld\n",
                       v[i]->tenant, v[i]->name, (long long)v[i]->ocsp.cert.not_after);
    catalog_unref(cat);
}

static void admin_metrics(struct buf *out, struct house *h)
{
    metrics_render(out);
    put_http(out);
    put_store(out, h);
    put_jobs(out, h);
    put_ocsp(out, h);
    number(out, "requests_in_flight", "gauge",
           "Signatures between the signer and the commit that records them.", atomic_load(&h->in_flight));
    if (h->chain)
        number(out, "chain_waiting", "gauge", "Signatures that no durable record names yet.",
               chain_waiting(h->chain));
    number(out, "signer_alive", "gauge", "1 while the signer runs.", h->signer && signer_alive(h->signer));
    number(out, "ready", "gauge", "1 while requests are taken.", not_ready(h) == NULL);
    int64_t up = clock_now() - h->started_at;
    number(out, "uptime_seconds", "gauge", "Seconds since the house was opened.", up > 0 ? (uint64_t)up : 0);
}

static void metrics(struct http_request *r)
{
    struct buf out;
    buf_init(&out, METRICS_MAX);
    admin_metrics(&out, r->app);
    if (buf_err(&out) == TM_OK)
        http_reply(r, 200, METRICS_CONTENT_TYPE, buf_slice(&out), NULL);
    else
        answer_text(r, 500, "the numbers do not fit\n");
    buf_done(&out);
}

enum { ADMIN_LISTENERS = HTTP_LISTENER_ADMIN | HTTP_LISTENER_UNIX };

const struct http_route admin_routes[] = {
    {.methods = HTTP_M_GET,
     .pattern = "/healthz",
     .handler = healthz,
     .listeners = ADMIN_LISTENERS,
     .metric = "admin.health"},
    {.methods = HTTP_M_GET,
     .pattern = "/readyz",
     .handler = readyz,
     .listeners = ADMIN_LISTENERS,
     .metric = "admin.ready"},
    {.methods = HTTP_M_GET,
     .pattern = "/metrics",
     .handler = metrics,
     .listeners = ADMIN_LISTENERS,
     .metric = "admin.metrics"},
    {0},
};
