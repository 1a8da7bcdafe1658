/* The thread that looks for what somebody has to be told, and sends it. */
#include "alert/impl.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/task.h"
#include "finding/pass.h"
#include "http/metrics.h"
#include "issue/house.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    IDLE_MS = 1000,
    RETRY_MS = 5000,
    LOOK_EVERY_MS = 60000,
    LOOK_SHARE = 20 /* of its time one part is for looking */
};

struct alerts {
    struct house *h;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    atomic_bool stop;
    uint64_t generation, looked_ns, look_again_ns;
    uint64_t commits; /* before which deliveries were looked for last */
    bool failing, waiting;
};

extern struct metric *const delivery_metrics[];
static struct metric open_now = {.name = "alerts_open",
                                 .help = "Alerts that are open or acknowledged, by severity.",
                                 .kind = METRIC_GAUGE,
                                 .labels = {"severity"}};
static struct metric *const table[] = {&open_now, NULL};

static void count_status(uint64_t n[FINDING_SEVERITIES], struct house *h, tenant_id tenant,
                         enum alert_status status)
{
    struct arena *a = arena_new(64 << 20);
    char after[FINDING_ID_LEN + 1] = "";
    for (bool more = a != NULL; more;) {
        struct alert *v;
        const char *next = "";
        size_t k = 0;
        struct diag diag = {0};
        arena_reset(a);
        if (alert_list(&v, &k, &next, a, h, tenant, status, after, 1000, &diag) != TM_OK)
            break;
        for (size_t i = 0; i < k; i++)
            n[v[i].severity]++;
        more = next[0] && strlen(next) < sizeof after;
        if (more)
            memcpy(after, next, strlen(next) + 1);
    }
    arena_free(a);
}

/* One tenant that can't be looked at keeps no other from being told: the first error is what is said. */
static tm_err each_tenant(struct alerts *x, struct diag *diag)
{
    struct catalog *c = house_catalog(x->h);
    const struct tenant *tenants;
    size_t n = catalog_tenants(c, &tenants);
    uint64_t open[FINDING_SEVERITIES] = {0};
    tm_err e = TM_OK;
    for (size_t i = 0; i < n && !atomic_load(&x->stop); i++) {
        struct diag why = {0};
        if (tenants[i].disabled || tenants[i].id == TENANT_HOUSE)
            continue;
        tm_err one = alert_look(x->h, tenants[i].id, NULL, &why);
        if (one == TM_OK)
            one = alert_digests(x->h, tenants[i].id, &why);
        if (one != TM_OK && e == TM_OK) {
            e = one;
            *diag = why;
        }
        count_status(open, x->h, tenants[i].id, ALERT_OPEN);
        count_status(open, x->h, tenants[i].id, ALERT_ACKED);
    }
    catalog_unref(c);
    for (unsigned s = 0; s < FINDING_SEVERITIES; s++)
        metric_set(&open_now, METRIC_LABELS(finding_severity_names[s]), (int64_t)open[s]);
    return e;
}

/* While findings come by the thousand, all of them are not read for each page of them. */
static tm_err look_at_causes(struct alerts *x, struct diag *diag)
{
    uint64_t generation = finding_generation(x->h), now = clock_mono_ns();
    bool due = !x->looked_ns || now - x->looked_ns > LOOK_EVERY_MS * UINT64_C(1000000);
    if (!due && (generation == x->generation || now < x->look_again_ns))
        return TM_OK;
    tm_err e = each_tenant(x, diag);
    if (e == TM_OK) {
        x->generation = generation;
        x->looked_ns = now;
        x->look_again_ns = now + LOOK_SHARE * (clock_mono_ns() - now);
    }
    return e;
}

/* Reads nothing where nothing was written since and nothing is due later: a house at rest gives its memory back. */
static tm_err send_what_waits(struct alerts *x, bool *ret_more, struct diag *diag)
{
    struct store_stats stats;
    store_stats(x->h->store, &stats);
    if (stats.commits == x->commits && !x->waiting)
        return TM_OK;
    tm_err e = alert_send_due(x->h, ret_more, &x->waiting, diag);
    if (e == TM_OK)
        x->commits = stats.commits;
    return e;
}

static int64_t work(struct alerts *x)
{
    struct diag diag = {0}, unsent = {0};
    bool more = false;
    tm_err e = look_at_causes(x, &diag);
    /* What is made goes out, whether or not more could be. */
    tm_err sent = send_what_waits(x, &more, &unsent);
    if (e == TM_OK && sent != TM_OK) {
        e = sent;
        diag = unsent;
    }
    if (e != TM_OK && e != TM_ECONFLICT && !x->failing && !atomic_load(&x->stop))
        log_error(NULL, "alert.failed", LOG_S("error", tm_err_name(e)), LOG_S("why", diag.message));
    x->failing = e != TM_OK && e != TM_ECONFLICT;
    return x->failing ? RETRY_MS : more ? 1 : IDLE_MS;
}

static void *run(void *arg)
{
    struct alerts *x = arg;
    thread_give_way();
    pthread_mutex_lock(&x->lock);
    while (!atomic_load(&x->stop)) {
        pthread_mutex_unlock(&x->lock);
        int64_t ms = work(x);
        pthread_mutex_lock(&x->lock);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        int64_t ns = until.tv_nsec + ms % 1000 * 1000000;
        until.tv_sec += ms / 1000 + ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        int late = 0;
        while (!atomic_load(&x->stop) && late == 0)
            late = pthread_cond_timedwait(&x->cond, &x->lock, &until);
    }
    pthread_mutex_unlock(&x->lock);
    return NULL;
}

tm_err alert_open(struct house *h)
{
    struct alerts *x = calloc(1, sizeof *x);
    pthread_condattr_t attr;
    if (!x)
        return TM_ENOMEM;
    x->h = h;
    x->waiting = true; /* until it is known */
    metrics_register(table);
    metrics_register(delivery_metrics);
    pthread_mutex_init(&x->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&x->cond, &attr);
    pthread_condattr_destroy(&attr);
    h->alerts = x;
    if (pthread_create(&x->thread, NULL, run, x) != 0) {
        h->alerts = NULL;
        free(x);
        return TM_ENOMEM;
    }
    pthread_setname_np(x->thread, "alerts");
    return TM_OK;
}

void alert_stop(struct house *h)
{
    struct alerts *x = h->alerts;
    if (!x)
        return;
    pthread_mutex_lock(&x->lock);
    atomic_store(&x->stop, true);
    pthread_cond_signal(&x->cond);
    pthread_mutex_unlock(&x->lock);
    pthread_join(x->thread, NULL);
}

void alerts_free(struct alerts *x)
{
    if (!x)
        return;
    pthread_cond_destroy(&x->cond);
    pthread_mutex_destroy(&x->lock);
    free(x);
}
