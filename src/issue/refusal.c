#include "issue/refusal.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "register/register.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REFUSAL_GROUPS = 512 };

struct group {
    const char *type; /* of the event */
    tenant_id tenant;
    enum door door;
    char endpoint[64], peer[64], rule[64], detail[160];
    uint64_t count;
    int64_t first, last; /* unix ms */
};

struct refusals {
    pthread_mutex_t lock;
    struct group v[REFUSAL_GROUPS];
    size_t n;
};

tm_err refusals_new(struct refusals **ret)
{
    struct refusals *r = calloc(1, sizeof *r);
    if (!r)
        return TM_ENOMEM;
    pthread_mutex_init(&r->lock, NULL);
    *ret = r;
    return TM_OK;
}

void refusals_free(struct refusals *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static struct group *find(struct refusals *r, const char *type, tenant_id tenant, enum door door,
                          const char *endpoint, const char *peer, const char *rule)
{
    for (size_t i = 0; i < r->n; i++) {
        struct group *g = &r->v[i];
        if (g->tenant == tenant && g->door == door && strcmp(g->type, type) == 0 &&
            strcmp(g->peer, peer) == 0 && strcmp(g->rule, rule) == 0 && strcmp(g->endpoint, endpoint) == 0)
            return g;
    }
    return NULL;
}

/* A group for these five, or the catch-all of the table's last places: peer "*". */
static struct group *group_for(struct refusals *r, const char *type, tenant_id tenant, enum door door,
                               const char *endpoint, const char *peer, const char *rule)
{
    struct group *g = find(r, type, tenant, door, endpoint, peer, rule);
    if (g)
        return g;
    if (r->n >= REFUSAL_GROUPS - 64) {
        peer = "*";
        g = find(r, type, tenant, door, endpoint, peer, rule);
        if (g)
            return g;
        if (r->n == REFUSAL_GROUPS)
            return &r->v[REFUSAL_GROUPS - 1];
    }
    g = &r->v[r->n++];
    *g = (struct group){.type = type, .tenant = tenant, .door = door};
    snprintf(g->endpoint, sizeof g->endpoint, "%s", endpoint);
    snprintf(g->peer, sizeof g->peer, "%s", peer);
    snprintf(g->rule, sizeof g->rule, "%s", rule);
    return g;
}

/* As much of a text as fits, whole characters. */
static void put_cut(char *ret, size_t size, const char *text)
{
    struct slice s = slice_str(text ? text : "");
    size_t n = 0, step;
    while (n < s.n && (step = utf8_step(slice_sub(s, n, s.n))) > 0 && n + step < size)
        n += step;
    memcpy(ret, s.p, n);
    ret[n] = '\0';
}

void refusal_note(struct house *h, tenant_id tenant, enum door door, const char *endpoint, const char *peer,
                  const char *rule, const char *detail)
{
    refusal_note_as(h, "enrollment.refused", tenant, door, endpoint, peer, rule, detail);
}

void refusal_note_as(struct house *h, const char *type, tenant_id tenant, enum door door,
                     const char *endpoint, const char *peer, const char *rule, const char *detail)
{
    char e[64], p[64], u[64];
    snprintf(e, sizeof e, "%s", endpoint ? endpoint : "");
    snprintf(p, sizeof p, "%s", peer ? peer : "");
    snprintf(u, sizeof u, "%s", rule ? rule : "");
    struct refusals *r = h->refusals;
    int64_t now = clock_now_ms();
    pthread_mutex_lock(&r->lock);
    struct group *g = group_for(r, type, tenant, door, e, p, u);
    if (g->count++ == 0)
        g->first = now;
    g->last = now;
    put_cut(g->detail, sizeof g->detail, detail);
    pthread_mutex_unlock(&r->lock);
}

static tm_err record(struct house *h, const struct group *g, struct diag *diag)
{
    log_info(NULL, g->type, LOG_S("door", door_names[g->door]), LOG_S("endpoint", g->endpoint),
             LOG_S("peer", g->peer), LOG_S("rule", g->rule), LOG_I("count", (int64_t)g->count));
    struct event_field fields[] = {
        {.key = "count", .kind = EVENT_INT, .i = (int64_t)g->count},
        {.key = "detail", .kind = EVENT_STR, .s = slice_str(g->detail)},
        {.key = "door", .kind = EVENT_STR, .s = slice_str(door_names[g->door])},
        {.key = "endpoint", .kind = EVENT_STR, .s = slice_str(g->endpoint)},
        {.key = "first", .kind = EVENT_INT, .i = g->first},
        {.key = "last", .kind = EVENT_INT, .i = g->last},
        {.key = "peer", .kind = EVENT_STR, .s = slice_str(g->peer)},
        {.key = "rule", .kind = EVENT_STR, .s = slice_str(g->rule)},
        {0},
    };
    char subject[160];
    snprintf(subject, sizeof subject, "endpoint/%s", g->endpoint);
    return house_event(h, g->tenant, g->type, subject, fields, diag);
}

tm_err refusals_flush(struct house *h, struct diag *diag)
{
    struct refusals *r = h->refusals;
    pthread_mutex_lock(&r->lock);
    size_t n = r->n;
    struct group *v = n ? malloc(n * sizeof *v) : NULL;
    if (v) {
        memcpy(v, r->v, n * sizeof *v);
        r->n = 0;
    }
    pthread_mutex_unlock(&r->lock);
    if (n && !v)
        return TM_ENOMEM;
    tm_err first = TM_OK;
    for (size_t i = 0; i < n; i++) {
        tm_err e = record(h, &v[i], diag);
        if (first == TM_OK)
            first = e;
    }
    free(v);
    return first;
}
