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

/* One question. The callback runs on the pump's thread, the wait on the asker's. */
struct lookup {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool done;
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

/* ---- one question ---- */

static void answered(void *arg, int err, struct ub_result *result)
{
    struct lookup *l = arg;
    pthread_mutex_lock(&l->lock);
    l->err = err;
    l->result = result;
    l->done = true;
    pthread_cond_signal(&l->answered);
    pthread_mutex_unlock(&l->lock);
}

/* False when the deadline came first. */
static bool wait_for(struct lookup *l, uint64_t deadline_ns)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                             .tv_nsec = (long)(deadline_ns % 1000000000)};
    pthread_mutex_lock(&l->lock);
    while (!l->done && pthread_cond_timedwait(&l->answered, &l->lock, &until) == 0)
        ;
    bool done = l->done;
    pthread_mutex_unlock(&l->lock);
    return done;
}

static tm_err verdict(const struct lookup *l, const char *name, struct diag *diag)
{
    const struct ub_result *u = l->result;
    if (l->err || !u)
        return diag_fail(diag, TM_EUNAVAIL, NULL, "dns", "looking up %.120s failed: %s", name,
                         ub_strerror(l->err));
    if (u->bogus)
        return diag_fail(diag, TM_EDENIED, "RFC 4035 5", "dns", "DNSSEC of %.80s is broken: %.150s", name,
                         u->why_bogus ? u->why_bogus : "the answer does not verify");
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
    struct lookup l = {.done = false};
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&l.lock, NULL);
    pthread_cond_init(&l.answered, &attr);
    pthread_condattr_destroy(&attr);
    int id = 0, rc = ub_resolve_async(r->ctx, name, type, CLASS_IN, &l, answered, &id);
    tm_err e = TM_OK;
    if (rc != 0) {
        e = diag_fail(diag, TM_EUNAVAIL, NULL, "dns", "looking up %.120s failed: %s", name, ub_strerror(rc));
    } else if (!wait_for(&l, deadline_ns)) {
        e = diag_fail(diag, TM_ETIMEOUT, NULL, "dns", "looking up %.120s took too long", name);
        /* One that can't be cancelled any more is being answered at this moment. */
        if (ub_cancel(r->ctx, id) != 0)
            while (!wait_for(&l, clock_mono_ns() + 1000000000))
                ;
    } else {
        e = verdict(&l, name, diag);
        if (e == TM_OK)
            e = copy_records(ret, max, ret_n, a, l.result);
    }
    if (l.result)
        ub_resolve_free(l.result);
    pthread_cond_destroy(&l.answered);
    pthread_mutex_destroy(&l.lock);
    return e;
}
