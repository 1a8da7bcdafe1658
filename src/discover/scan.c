#include "discover/scan.h"
#include "base/task.h"
#include "discover/order.h"
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Targets under way are a part of these: what is further behind counts as done when a scan goes on after a stop. */
enum { WINDOW = 1 << 18, RESOLVERS = 8 };

struct resolved {
    struct task task;
    struct scan_runner *runner;
    const char *host;
    struct address v[SCAN_HOST_ADDRESSES];
    unsigned n;
};

struct scan_runner {
    const struct scan *s;
    struct order order;
    uint64_t place, low;    /* the next one, and the first that is not done */
    uint8_t *done;          /* bits of the places from `low` on, in a ring */
    struct resolved *hosts; /* by item */
    struct waiter *waiter;
    struct task counted;
    size_t unresolved;
    bool all_resolved;
    const struct starttls *protocols[SCAN_PROTOCOLS];
};

/* ---- host names ---- */

static void one_resolved(struct task *t)
{
    struct resolved *x = TM_CONTAINER(t, struct resolved, task);
    if (--x->runner->unresolved == 0)
        x->runner->all_resolved = true;
}

static void resolve(struct task *t)
{
    struct resolved *x = TM_CONTAINER(t, struct resolved, task);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    bool over = x->runner->s->over && atomic_load(x->runner->s->over);
    if (!over && getaddrinfo(x->host, NULL, &hints, &list) == 0) {
        for (struct addrinfo *i = list; i && x->n < SCAN_HOST_ADDRESSES; i = i->ai_next) {
            struct address a = address_from_sockaddr(i->ai_addr);
            bool twice = false;
            for (unsigned k = 0; k < x->n; k++)
                twice |= x->v[k].family == a.family && memcmp(x->v[k].ip, a.ip, sizeof a.ip) == 0;
            if (!twice)
                x->v[x->n++] = a;
        }
        freeaddrinfo(list);
    }
    t->run = one_resolved;
    executor_post(waiter_executor(x->runner->waiter), t);
}

/* All before the first connection: a scan's numbers say which address of a name they mean. */
static tm_err resolve_all(struct scan_runner *r)
{
    const struct scan_plan *p = r->s->plan;
    struct pool *pool;
    for (size_t i = 0; i < p->n; i++)
        r->unresolved += p->items[i].host != NULL;
    r->all_resolved = r->unresolved == 0;
    if (r->all_resolved)
        return TM_OK;
    r->waiter = waiter_new();
    if (!r->waiter)
        return TM_ENOMEM;
    TM_TRY(pool_new(&pool, "resolve", RESOLVERS));
    for (size_t i = 0; i < p->n; i++) {
        struct resolved *x = &r->hosts[i];
        *x = (struct resolved){.runner = r, .host = p->items[i].host, .task.run = resolve};
        if (x->host)
            executor_post(pool_executor(pool), &x->task);
    }
    waiter_run(r->waiter, &r->all_resolved);
    pool_free(pool);
    return TM_OK;
}

/* ---- places ---- */

static void place_done(struct scan_runner *r, uint64_t place)
{
    if (place < r->low)
        return;
    r->done[place % WINDOW / 8] |= (uint8_t)(1 << place % 8);
    while (r->low < r->place && r->done[r->low % WINDOW / 8] & 1 << r->low % 8) {
        r->done[r->low % WINDOW / 8] &= (uint8_t)~(1 << r->low % 8);
        r->low++;
    }
}

static void tell(struct scan_runner *r, const struct scan_spot *spot, const struct address *a,
                 enum tls_failure why)
{
    static const struct address none;
    const struct tls_facts facts = {.failure = why};
    const struct scan_result x = {.spot = spot, .address = a ? a : &none, .facts = &facts, .pq = -1};
    r->s->result(r->s->arg, &x);
}

/* The address to go to; false: there is nothing to do at this place, and where something is to be said of it, it was. */
static bool address_of(struct scan_runner *r, const struct scan_spot *spot, struct address *ret)
{
    const struct scan_plan *p = r->s->plan;
    if (spot->item->host) {
        const struct resolved *x = &r->hosts[spot->item - p->items];
        if (x->n == 0 && spot->slot == 0)
            tell(r, spot, NULL, TLS_FAIL_NAME);
        if (spot->slot >= x->n)
            return false;
        *ret = x->v[spot->slot];
        if (!scan_plan_excludes(p, ret) && !scan_plan_allows(p, ret)) {
            tell(r, spot, ret, TLS_FAIL_NOT_ALLOWED);
            return false;
        }
    } else {
        *ret = spot->address;
    }
    return scan_plan_allows(p, ret);
}

static bool next(void *arg, struct engine_target *ret)
{
    struct scan_runner *r = arg;
    while (r->place < r->s->plan->total) {
        uint64_t place = r->place++;
        if (r->place - r->low >= WINDOW)
            place_done(r, r->low);
        struct scan_spot spot = scan_plan_at(r->s->plan, order_at(&r->order, place));
        struct address a;
        if (!address_of(r, &spot, &a)) {
            place_done(r, place);
            continue;
        }
        *ret = (struct engine_target){.address = a,
                                      .port = spot.port.port,
                                      .dtls = spot.port.protocol == SCAN_DTLS,
                                      .starttls = r->protocols[spot.port.protocol],
                                      .name = spot.name,
                                      .tag = place};
        return true;
    }
    return false;
}

static void result(void *arg, const struct engine_result *e)
{
    struct scan_runner *r = arg;
    struct scan_spot spot = scan_plan_at(r->s->plan, order_at(&r->order, e->target->tag));
    const struct scan_result x = {.spot = &spot,
                                  .address = &e->target->address,
                                  .facts = e->facts,
                                  .versions = e->versions,
                                  .asked_versions = r->s->settings->versions,
                                  .connections = e->connections,
                                  .pq = e->pq};
    r->s->result(r->s->arg, &x);
    place_done(r, e->target->tag);
}

static void turn(void *arg)
{
    struct scan_runner *r = arg;
    if (r->s->turn)
        r->s->turn(r->s->arg, r->low);
}

/* ---- the scan ---- */

/* NULL-terminated; [none] is none at all. */
static const char *const *alpn_of(const struct scan_settings *s, const char **room)
{
    static const char *const usual[] = {"h2", "http/1.1", NULL};
    if (s->alpn.n == 0)
        return usual;
    if (s->alpn.n == 1 && strcmp(s->alpn.v[0], "none") == 0)
        return NULL;
    memcpy(room, s->alpn.v, s->alpn.n * sizeof *room);
    room[s->alpn.n] = NULL;
    return room;
}

/* Sockets are files of the whole process, which has others to serve: a quarter of what it may have. */
static unsigned parallel_of(const struct scan_settings *s)
{
    struct rlimit files;
    uint64_t wanted = (uint64_t)s->parallel, room = wanted;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
        room = files.rlim_cur / 4 ? files.rlim_cur / 4 : 1;
    return (unsigned)(wanted < room ? wanted : room);
}

static tm_err run(struct scan_runner *r, struct engine_stats *stats, struct diag *diag)
{
    const struct scan_settings *s = r->s->settings;
    const char **room = calloc(s->alpn.n + 1, sizeof *room);
    if (!room)
        return TM_ENOMEM;
    const struct engine_config c = {
        .parallel = parallel_of(s),
        .per_second = (unsigned)s->rate,
        .per_host_second = (unsigned)s->rate_per_host,
        .connect_ms = (unsigned)s->connect_timeout * 1000,
        .talk_ms = (unsigned)s->timeout * 1000,
        .versions = s->versions,
        .alpn = alpn_of(s, room),
        .over = r->s->over,
        .next = next,
        .result = result,
        .turn = turn,
        .arg = r,
    };
    tm_err e = engine_run(&c, stats, diag);
    free(room);
    return e;
}

tm_err scan_run(const struct scan *s, uint64_t *ret_place, struct engine_stats *stats, struct diag *diag)
{
    struct scan_runner r = {
        .s = s, .order = order_of(s->plan->total, s->seed), .place = s->from, .low = s->from};
    for (int i = SCAN_SMTP; i < SCAN_PROTOCOLS; i++)
        r.protocols[i] = starttls_find(scan_protocol_names[i]);
    r.done = calloc(WINDOW / 8, 1);
    r.hosts = calloc(s->plan->n, sizeof *r.hosts);
    tm_err e = r.done && r.hosts ? resolve_all(&r) : TM_ENOMEM;
    if (e == TM_OK)
        e = run(&r, stats, diag);
    *ret_place = r.low;
    waiter_free(r.waiter);
    free(r.hosts);
    free(r.done);
    return e;
}
