#include "enroll/acme/resolve.h"
#include "base/arena.h"
#include "base/clock.h"
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>

enum { PUMP_MS = 200, CLASS_IN = 1, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3 };

/* The root's keys (IANA root-anchors.xml): KSK-2017 and KSK-2024. */
static const char *const root_keys[] = {
    ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
    ". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
};

static const char *const own_zones[] = {"test.", "home.arpa."};

struct resolver {
    struct ub_ctx *ctx;
    pthread_t pump; /* hands out answers */
    bool pumping;
    atomic_bool stopping;
};

/* Questions that are waited for together. Callbacks run on the pump's thread, the wait on the asker's. */
struct batch {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    size_t open; /* asked, and neither answered nor cancelled */
};
struct lookup {
    struct batch *batch;
    int id;
    bool asked, done;
    int err;
    struct ub_result *result;
};

/* ---- the context ---- */

static int configure(struct ub_ctx *ctx, const struct acme_settings *s)
{
    static const char *const options[][2] = {
        /* A name is looked at again when its owner has changed something: nothing is remembered for long. */
        {"cache-max-ttl:", "5"},
        {"cache-max-negative-ttl:", "1"},
        /* A server that hangs for one name is asked for others all the same. */
        {"infra-keep-probing:", "yes"},
        {"infra-host-ttl:", "10"},
        {"edns-buffer-size:", "1232"},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof options / sizeof *options && rc == 0; i++)
        rc = ub_ctx_set_option(ctx, options[i][0], options[i][1]);
    /* The machine's own resolver often is on loopback; what may be connected to is another question (reach.c). */
    if (rc == 0)
        rc = ub_ctx_set_option(ctx, "do-not-query-localhost:", "no");
    for (size_t i = 0; i < s->validation.resolvers.n && rc == 0; i++)
        rc = ub_ctx_set_fwd(ctx, s->validation.resolvers.v[i]);
    if (rc == 0 && s->validation.resolvers.n == 0)
        rc = ub_ctx_resolvconf(ctx, NULL);
    for (size_t i = 0; s->validation.dnssec && i < sizeof root_keys / sizeof *root_keys && rc == 0; i++)
        rc = ub_ctx_add_ta(ctx, root_keys[i]);
    for (size_t i = 0; i < s->validation.insecure.n && rc == 0; i++)
        rc = ub_ctx_set_option(ctx, "domain-insecure:", s->validation.insecure.v[i]);
    if (rc == 0)
        rc = ub_ctx_set_option(ctx, "unblock-lan-zones:", "yes");
    if (rc == 0)
        rc = ub_ctx_async(ctx, 1);
    /* Names of private networks that the library would answer for by itself (RFC 6303, RFC 6761, RFC 8375): whoever points us to servers
     * of their own has them asked. No option can be set after this. */
    for (size_t i = 0; s->validation.resolvers.n > 0 && i < sizeof own_zones / sizeof *own_zones && rc == 0;
         i++)
        rc = ub_ctx_zone_remove(ctx, own_zones[i]);
    return rc;
}

static void *pump_run(void *arg)
{
    struct resolver *r = arg;
    struct pollfd p = {.fd = ub_fd(r->ctx), .events = POLLIN};
    while (!atomic_load(&r->stopping))
        if (poll(&p, 1, PUMP_MS) > 0)
            ub_process(r->ctx);
    return NULL;
}

tm_err resolver_new(struct resolver **ret, const struct acme_settings *s, struct diag *diag)
{
    struct resolver *r = calloc(1, sizeof *r);
    if (!r)
        return TM_ENOMEM;
    r->ctx = ub_ctx_create();
    int rc = r->ctx ? configure(r->ctx, s) : UB_NOMEM;
    if (rc == 0 && pthread_create(&r->pump, NULL, pump_run, r) == 0)
        r->pumping = true;
    if (!r->pumping) {
        resolver_free(r);
        return diag_fail(diag, TM_EUNAVAIL, NULL, "validation", "the DNS resolver can't be set up: %s",
                         rc ? ub_strerror(rc) : "no thread");
    }
    *ret = r;
    return TM_OK;
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    atomic_store(&r->stopping, true);
    if (r->pumping)
        pthread_join(r->pump, NULL);
    if (r->ctx)
        ub_ctx_delete(r->ctx);
    free(r);
}

/* ---- questions ---- */

static void batch_init(struct batch *b)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->answered, &attr);
    pthread_condattr_destroy(&attr);
    b->open = 0;
}

static void batch_done(struct batch *b)
{
    pthread_cond_destroy(&b->answered);
    pthread_mutex_destroy(&b->lock);
}

static void answered(void *arg, int err, struct ub_result *result)
{
    struct lookup *l = arg;
    pthread_mutex_lock(&l->batch->lock);
    l->err = err;
    l->result = result;
    l->done = true;
    l->batch->open--;
    pthread_cond_signal(&l->batch->answered);
    pthread_mutex_unlock(&l->batch->lock);
}

/* False when the deadline came first. */
static bool wait_for(struct batch *b, uint64_t deadline_ns)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                             .tv_nsec = (long)(deadline_ns % 1000000000)};
    pthread_mutex_lock(&b->lock);
    while (b->open > 0 && pthread_cond_timedwait(&b->answered, &b->lock, &until) == 0)
        ;
    bool done = b->open == 0;
    pthread_mutex_unlock(&b->lock);
    return done;
}

static void ask(struct lookup *l, struct batch *b, struct resolver *r, const char *name, int type)
{
    *l = (struct lookup){.batch = b};
    pthread_mutex_lock(&b->lock);
    b->open++;
    pthread_mutex_unlock(&b->lock);
    l->err = ub_resolve_async(r->ctx, name, type, CLASS_IN, l, answered, &l->id);
    l->asked = l->err == 0;
    if (l->asked)
        return;
    pthread_mutex_lock(&b->lock);
    b->open--;
    pthread_mutex_unlock(&b->lock);
}

/* What was not answered in time. One that can't be cancelled any more is being answered at this moment. */
static void cancel(struct lookup *l, struct resolver *r)
{
    struct batch *b = l->batch;
    pthread_mutex_lock(&b->lock);
    bool late = l->asked && !l->done;
    pthread_mutex_unlock(&b->lock);
    if (!late || ub_cancel(r->ctx, l->id) != 0)
        return;
    pthread_mutex_lock(&b->lock);
    b->open -= !l->done;
    pthread_mutex_unlock(&b->lock);
}

static void wait_or_cancel(struct lookup *v, size_t n, struct batch *b, struct resolver *r,
                           uint64_t deadline_ns)
{
    if (wait_for(b, deadline_ns))
        return;
    for (size_t i = 0; i < n; i++)
        cancel(&v[i], r);
    while (!wait_for(b, clock_mono_ns() + 1000000000))
        ;
}

static tm_err verdict(const struct lookup *l, const char *name, struct diag *diag)
{
    const struct ub_result *u = l->result;
    if (l->asked && !l->done)
        return diag_fail(diag, TM_ETIMEOUT, NULL, "dns", "looking up %.120s took too long", name);
    if (l->err || !u)
        return diag_fail(diag, TM_EUNAVAIL, NULL, "dns", "looking up %.120s failed: %s", name,
                         ub_strerror(l->err));
    if (u->bogus)
        return diag_fail(
            diag, TM_EDENIED, "RFC 4035 5", "dns",
            "DNSSEC of %.80s is broken (a domain that exists inside only belongs into insecure-domains): %s",
            name, u->why_bogus ? u->why_bogus : "the answer does not verify");
    if (u->rcode != 0 && u->rcode != RCODE_NXDOMAIN)
        return diag_fail(diag, TM_EUNAVAIL, NULL, "dns", "looking up %.120s: %s", name,
                         u->rcode == RCODE_SERVFAIL ? "the servers failed (SERVFAIL)"
                                                    : "the servers refused");
    return TM_OK;
}

static tm_err copy_records(struct slice *ret, size_t max, size_t *ret_n, struct arena *a,
                           const struct ub_result *u)
{
    *ret_n = 0;
    for (int i = 0; u->havedata && u->data[i] && *ret_n < max; i++)
        TM_TRY(arena_copy(&ret[(*ret_n)++], a, slice_of(u->data[i], (size_t)u->len[i])));
    return TM_OK;
}

tm_err resolver_lookup(struct slice *ret, size_t max, size_t *ret_n, struct arena *a, struct resolver *r,
                       const char *name, int type, uint64_t deadline_ns, struct diag *diag)
{
    struct batch b;
    struct lookup l;
    batch_init(&b);
    ask(&l, &b, r, name, type);
    wait_or_cancel(&l, 1, &b, r, deadline_ns);
    tm_err e = verdict(&l, name, diag);
    if (e == TM_OK)
        e = copy_records(ret, max, ret_n, a, l.result);
    if (l.result)
        ub_resolve_free(l.result);
    batch_done(&b);
    return e;
}

static tm_err take_answer(struct resolver_question *q, const struct lookup *l, struct arena *a)
{
    struct diag diag = {0};
    size_t n = 0;
    q->why = "";
    q->err = verdict(l, q->name, &diag);
    while (q->err == TM_OK && l->result->havedata && l->result->data[n])
        n++;
    if (n > RESOLVE_RECORDS_MAX)
        q->err = diag_fail(&diag, TM_ETOOBIG, NULL, "dns", "%.120s has more than %d records", q->name,
                           RESOLVE_RECORDS_MAX);
    if (q->err != TM_OK) {
        q->why = arena_strdup(a, diag.message);
        return q->why ? TM_OK : TM_ENOMEM;
    }
    q->records = arena_calloc(a, n + 1, sizeof *q->records);
    return q->records ? copy_records(q->records, n, &q->n, a, l->result) : TM_ENOMEM;
}

tm_err resolver_ask(struct resolver_question *v, size_t n, struct arena *a, struct resolver *r,
                    uint64_t deadline_ns)
{
    struct batch b;
    struct lookup *l = arena_calloc(a, n + 1, sizeof *l);
    if (!l)
        return TM_ENOMEM;
    batch_init(&b);
    for (size_t i = 0; i < n; i++)
        ask(&l[i], &b, r, v[i].name, v[i].type);
    wait_or_cancel(l, n, &b, r, deadline_ns);
    tm_err e = TM_OK;
    for (size_t i = 0; i < n; i++) {
        if (e == TM_OK)
            e = take_answer(&v[i], &l[i], a);
        if (l[i].result)
            ub_resolve_free(l[i].result);
    }
    batch_done(&b);
    return e;
}
