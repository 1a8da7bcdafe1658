/* The thread that looks, and what it tells the metrics. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/task.h"
#include "finding/finding.h"
#include "finding/pass.h"
#include "http/metrics.h"
#include "issue/house.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    IDLE_MS = 2000,
    RETRY_MS = 5000,
    QUIET_MS = 60000, /* as long nothing is looked at where nothing was written */
    COUNT_EVERY_MS = 15000,
    COUNT_SHARE = 20, /* of its time one part is for counting */
    TENANTS_MAX = 4096
};

struct findings {
    struct house *h;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool woken;
    atomic_bool stop;
    atomic_ullong generation;
    struct passing **v; /* by their place in the list of tenants */
    tenant_id *tenants;
    size_t n;
    bool failing;
    uint64_t commits, stepped_ns; /* before the last slices that left nothing to do */
    bool count;                   /* there is news since the last count */
    uint64_t counted_ns, count_again_ns;
};

/* ---- what is counted ---- */

static struct metric open_now = {.name = "findings_open",
                                 .help = "Findings that are open, by rule and severity.",
                                 .kind = METRIC_GAUGE,
                                 .labels = {"rule", "severity"}};
static struct metric by_status = {
    .name = "findings", .help = "Findings by status.", .kind = METRIC_GAUGE, .labels = {"status"}};
static struct metric overdue = {
    .name = "renewals_overdue", .help = "Certificates whose renewal is overdue.", .kind = METRIC_GAUGE};
static struct metric certificates = {.name = "certificates",
                                     .help = "Certificates of the inventory by state.",
                                     .kind = METRIC_GAUGE,
                                     .labels = {"state"}};
static struct metric looked = {.name = "finding_pass_looked",
                               .help = "Certificates and places that the last full pass looked at.",
                               .kind = METRIC_GAUGE};
static struct metric took = {.name = "finding_pass_seconds",
                             .help = "How long the last full pass took.",
                             .kind = METRIC_GAUGE,
                             .per_unit = 1000};
static struct metric ended = {.name = "finding_pass_ended_timestamp_seconds",
                              .help = "When the last full pass ended.",
                              .kind = METRIC_GAUGE};
static struct metric *const table[] = {&open_now, &by_status, &overdue, &certificates,
                                       &looked,   &took,      &ended,   NULL};

struct totals {
    struct finding_counts c;
    uint64_t live, revoked, expired, looked;
    int64_t ms, ended;
};

static void add(struct totals *t, const struct finding_counts *c)
{
    for (unsigned r = 0; r < 64; r++)
        for (unsigned s = 0; s < FINDING_SEVERITIES; s++)
            t->c.open[r][s] += c->open[r][s];
    for (unsigned s = 0; s < FINDING_STATUSES; s++)
        t->c.by_status[s] += c->by_status[s];
}

static void add_tenant(struct totals *t, struct house *h, tenant_id tenant)
{
    struct arena *a = arena_new(0);
    struct finding_counts *c = calloc(1, sizeof *c);
    struct finding_progress p;
    struct diag diag = {0};
    struct store_read q = {.kind = READ_COUNTS, .tenant = tenant, .arena = a};
    if (a && c && finding_count(c, h, tenant, &diag) == TM_OK)
        add(t, c);
    if (a && store_read_now(h->store, &q) == TM_OK) {
        uint64_t over = q.counts.revoked + q.counts.expired;
        t->revoked += q.counts.revoked;
        t->expired += q.counts.expired;
        t->live += q.counts.certs > over ? q.counts.certs - over : 0;
    }
    if (a && finding_progress_read(&p, a, h, tenant, &diag) == TM_OK) {
        t->looked += p.last_looked;
        t->ms += p.last_ended_ms - p.last_begun_ms;
        t->ended = p.last_ended_ms / 1000 > t->ended ? p.last_ended_ms / 1000 : t->ended;
    }
    free(c);
    arena_free(a);
}

static void count(struct findings *f)
{
    struct totals *t = calloc(1, sizeof *t);
    if (!t)
        return;
    for (size_t i = 0; i < f->n; i++)
        add_tenant(t, f->h, f->tenants[i]);
    uint64_t late = 0;
    for (unsigned i = 0; finding_rules[i]; i++) {
        const char *rule = finding_rules[i]->id;
        for (unsigned s = 0; s < FINDING_SEVERITIES; s++) {
            metric_set(&open_now, METRIC_LABELS(rule, finding_severity_names[s]), (int64_t)t->c.open[i][s]);
            late += strcmp(rule, "renewal.overdue") == 0 ? t->c.open[i][s] : 0;
        }
    }
    for (unsigned s = FINDING_OPEN; s < FINDING_STATUSES; s++)
        metric_set(&by_status, METRIC_LABELS(finding_status_names[s]), (int64_t)t->c.by_status[s]);
    metric_set(&overdue, NULL, (int64_t)late);
    metric_set(&certificates, METRIC_LABELS("valid"), (int64_t)t->live);
    metric_set(&certificates, METRIC_LABELS("revoked"), (int64_t)t->revoked);
    metric_set(&certificates, METRIC_LABELS("expired"), (int64_t)t->expired);
    metric_set(&looked, NULL, (int64_t)t->looked);
    metric_set(&took, NULL, t->ms);
    metric_set(&ended, NULL, t->ended);
    free(t);
}

/* ---- working ---- */

/* One for each tenant that is served. */
static tm_err meet_tenants(struct findings *f)
{
    struct catalog *c = house_catalog(f->h);
    const struct tenant *tenants;
    size_t n = catalog_tenants(c, &tenants);
    tm_err e = TM_OK;
    for (size_t i = 0; i < n && e == TM_OK && f->n < TENANTS_MAX; i++) {
        bool known = tenants[i].disabled || tenants[i].id == TENANT_HOUSE;
        for (size_t k = 0; k < f->n && !known; k++)
            known = f->tenants[k] == tenants[i].id;
        if (known)
            continue;
        struct passing **v = realloc(f->v, (f->n + 1) * sizeof(struct passing *));
        f->v = v ? v : f->v;
        tenant_id *ids = realloc(f->tenants, (f->n + 1) * sizeof *ids);
        f->tenants = ids ? ids : f->tenants;
        e = v && ids ? passing_new(&f->v[f->n], f->h, tenants[i].id, &f->stop) : TM_ENOMEM;
        if (e == TM_OK)
            f->tenants[f->n++] = tenants[i].id;
    }
    catalog_unref(c);
    return e;
}

static void complain(struct findings *f, tm_err e, const struct diag *diag)
{
    if (!f->failing)
        log_error(NULL, "finding.failed", LOG_S("error", tm_err_name(e)), LOG_S("why", diag->message));
    f->failing = true;
}

static tm_err step_all(struct findings *f, bool *ret_more, struct diag *diag)
{
    tm_err e = meet_tenants(f);
    for (size_t i = 0; i < f->n && !atomic_load(&f->stop); i++) {
        bool again = false;
        diag_clear(diag);
        tm_err one = passing_step(f->v[i], &again, diag);
        *ret_more |= again;
        if (passing_news(f->v[i])) {
            atomic_fetch_add(&f->generation, 1);
            f->count = true;
        }
        if (one != TM_OK && one != TM_ECONFLICT && !atomic_load(&f->stop)) {
            complain(f, one, diag);
            e = one;
        }
    }
    return e;
}

static void count_sometimes(struct findings *f, bool more)
{
    struct diag diag = {0};
    uint64_t now = clock_mono_ns(), since = (now - f->counted_ns) / 1000000;
    size_t woken = 0;
    if (f->counted_ns && (now < f->count_again_ns || (since < COUNT_EVERY_MS && (more || !f->count))))
        return;
    if (finding_wake_due(f->h, &woken, &diag) == TM_OK && woken)
        atomic_fetch_add(&f->generation, 1);
    count(f);
    f->count = false;
    f->counted_ns = clock_mono_ns();
    f->count_again_ns = f->counted_ns + COUNT_SHARE * (f->counted_ns - now);
}

/* Slices of all tenants in turn; how long until the next ones. A house at rest is left alone, so that it gives its memory back. */
static int64_t work(struct findings *f)
{
    struct diag diag = {0};
    struct store_stats stats;
    bool more = false;
    uint64_t now = clock_mono_ns();
    store_stats(f->h->store, &stats);
    if (f->stepped_ns && stats.commits == f->commits && !f->count &&
        now - f->stepped_ns < QUIET_MS * UINT64_C(1000000))
        return IDLE_MS;
    tm_err e = step_all(f, &more, &diag);
    count_sometimes(f, more);
    if (e != TM_OK)
        return RETRY_MS;
    f->failing = false;
    if (!more)
        for (size_t i = 0; i < f->n; i++)
            passing_rest(f->v[i]);
    f->stepped_ns = more ? 0 : now;
    f->commits = stats.commits;
    return more ? 0 : IDLE_MS;
}

static void *run(void *arg)
{
    struct findings *f = arg;
    thread_give_way();
    pthread_mutex_lock(&f->lock);
    while (!atomic_load(&f->stop)) {
        f->woken = false;
        pthread_mutex_unlock(&f->lock);
        int64_t ms = work(f);
        pthread_mutex_lock(&f->lock);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += ms / 1000;
        int late = ms ? 0 : 1;
        while (!f->woken && !atomic_load(&f->stop) && late == 0)
            late = pthread_cond_timedwait(&f->cond, &f->lock, &until);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

tm_err finding_open(struct house *h)
{
    struct findings *f = calloc(1, sizeof *f);
    pthread_condattr_t attr;
    if (!f)
        return TM_ENOMEM;
    f->h = h;
    metrics_register(table);
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->cond, &attr);
    pthread_condattr_destroy(&attr);
    atomic_store(&f->generation, 1);
    h->findings = f;
    if (pthread_create(&f->thread, NULL, run, f) != 0) {
        h->findings = NULL;
        free(f);
        return TM_ENOMEM;
    }
    pthread_setname_np(f->thread, "findings");
    return TM_OK;
}

void finding_stop(struct house *h)
{
    struct findings *f = h->findings;
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    atomic_store(&f->stop, true);
    pthread_cond_signal(&f->cond);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    for (size_t i = 0; i < f->n; i++)
        passing_free(f->v[i]);
    f->n = 0;
}

void findings_free(struct findings *f)
{
    if (!f)
        return;
    pthread_cond_destroy(&f->cond);
    pthread_mutex_destroy(&f->lock);
    free(f->v);
    free(f->tenants);
    free(f);
}

void finding_wake(struct house *h)
{
    struct findings *f = h->findings;
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->woken = true;
    pthread_cond_signal(&f->cond);
    pthread_mutex_unlock(&f->lock);
}

void finding_changed(struct house *h)
{
    if (h->findings)
        atomic_fetch_add(&h->findings->generation, 1);
}

uint64_t finding_generation(const struct house *h)
{
    return h->findings ? atomic_load(&h->findings->generation) : 0;
}
