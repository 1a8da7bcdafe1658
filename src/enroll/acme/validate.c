#include "enroll/acme/validate.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "enroll/acme/metrics.h"
#include "enroll/acme/resolvers.h"
#include "enroll/endpoint.h"
#include "register/register.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    THREADS = 32,       /* attempts at a time: they wait, mostly */
    WAITING_MAX = 2048, /* known here; the rest stands in the store */
    /* Of one account, so that its silent hosts hold up nobody else. */
    RUNNING_OWNER_MAX = THREADS / 4,
    WAITING_OWNER_MAX = WAITING_MAX / 8,
    BACKOFF_MS = 1000,
    BACKOFF_MS_MAX = 60000,
    CONFLICTS_MAX = 3,
};
#define ATTEMPT_NS ((uint64_t)10000000000)

const struct challenge *const challenges[ACME_CHALLENGE_TYPES] = {
    [ACME_HTTP_01] = &challenge_http_01,
    [ACME_DNS_01] = &challenge_dns_01,
    [ACME_TLS_ALPN_01] = &challenge_tls_alpn_01,
    [ACME_DNS_ACCOUNT_01] = &challenge_dns_account_01,
    [ACME_DNS_PERSIST_01] = &challenge_dns_persist_01,
};

/* One authorization that is being looked at, or an errand, or what waits for its turn. */
struct look {
    struct task task;
    struct validator *v;
    tenant_id tenant;
    char id[ACME_ID_MAX + 1], owner[ACME_ID_MAX + 1];
    struct errand *errand; /* NULL: an authorization */
    struct look *next;
};
/* In the order in which they came. */
struct look_list {
    struct look *first, **end;
    size_t n;
};

struct validator {
    struct house *house;
    struct pool *pool;
    pthread_mutex_t lock;
    bool stopping;
    struct look_list waiting, running;
    struct resolvers *resolvers;
    char turn[80]; /* the sweep's: whose validations come next where there are too many */
};

/* ---- one attempt ---- */

static tm_err key_authorization(const char **ret, struct arena *a, const struct acme_authz *z,
                                const char *token)
{
    *ret = arena_printf(a, "%s.%s", token, z->thumbprint);
    return *ret ? TM_OK : TM_ENOMEM;
}

static tm_err attempt_run(struct attempt *t, struct validator *v, const struct acme_authz *z,
                          const struct acme_challenge_state *c, const struct acme_settings *s,
                          struct arena *a)
{
    struct diag diag = {0};
    *t = (struct attempt){
        .settings = s,
        .arena = a,
        .identifier = &z->identifier,
        .token = c->token,
        .account_url = z->account_url,
        .wildcard = z->wildcard || z->subdomains,
        .reach = {.networks = &s->validation.networks, .deadline_ns = clock_mono_ns() + ATTEMPT_NS}};
    TM_TRY(key_authorization(&t->key_authorization, a, z, c->token));
    if (resolvers_take(&t->resolver, v->resolvers, s, &diag) != TM_OK)
        return attempt_failed(t, ACME_P_SERVER_INTERNAL, "%s", diag.message);
    tm_err e = challenges[c->type]->run(t);
    resolvers_give(v->resolvers, t->resolver);
    return e;
}

/* ---- what it means ---- */

static const char *problem_text(struct arena *a, enum acme_problem p, const char *detail)
{
    struct buf b;
    buf_init(&b, 8192);
    acme_put_problem(&b, p, 0, detail, (struct slice){0});
    const char *s = buf_err(&b) == TM_OK ? arena_strdup(a, buf_str(&b)) : NULL;
    buf_done(&b);
    return s;
}

static void proven(struct acme_authz *z, struct acme_challenge_state *c, const struct acme_settings *s)
{
    int64_t now = clock_now();
    c->status = ACME_VALID;
    c->validated = now;
    c->error = "";
    z->row.status = ACME_VALID;
    z->row.due_at = 0;
    z->expires = now + s->authorization_lifetime;
    z->row.keep_until = z->expires + s->retention;
}

/* RFC 8555 8.2: tried again, at growing distances, and with a limit. */
static tm_err not_proven(struct acme_authz *z, struct acme_challenge_state *c, const struct attempt *t,
                         struct arena *a)
{
    c->error = problem_text(a, t->problem, t->detail);
    z->attempts++;
    if (t->final || z->attempts >= t->settings->validation.attempts) {
        c->status = ACME_INVALID;
        z->row.status = ACME_INVALID;
        z->row.due_at = 0;
    } else {
        int64_t pause = BACKOFF_MS << (z->attempts < 7 ? z->attempts - 1 : 6);
        z->row.due_at = clock_now_ms() + (pause < BACKOFF_MS_MAX ? pause : BACKOFF_MS_MAX);
    }
    return c->error ? TM_OK : TM_ENOMEM;
}

/* What is proven is in the register with how, what is not with why. */
static tm_err put_event(struct effect *ret, struct arena *a, tenant_id tenant, const struct acme_authz *z,
                        const struct acme_challenge_state *c, const struct attempt *t)
{
    bool good = z->row.status == ACME_VALID;
    struct event_field fields[] = {
        {.key = "account", .kind = EVENT_STR, .s = slice_str(z->row.owner)},
        {.key = "authorization", .kind = EVENT_STR, .s = slice_str(z->id)},
        {.key = "how", .kind = EVENT_STR, .s = slice_str(acme_challenge_names[c->type])},
        {.key = "name",
         .kind = EVENT_STR,
         .s = slice_str(acme_identifier_text(a, &z->identifier, z->wildcard))},
        {.key = good ? NULL : "problem", .kind = EVENT_STR, .s = slice_str(acme_problem_name(t->problem))},
        {.key = "why", .kind = EVENT_STR, .s = slice_str(t->detail)},
        {0},
    };
    struct slice body;
    const char *about = arena_printf(a, "acme-account/%s", z->row.owner);
    TM_TRY(about ? register_event_body(&body, a, fields) : TM_ENOMEM);
    return register_event_effect(ret, a, tenant, good ? "acme.name-authorized" : "acme.name-refused", about,
                                 body, clock_now_ms());
}

static tm_err store_verdict(struct validator *v, tenant_id tenant, struct acme_authz *z,
                            const struct acme_challenge_state *c, const struct attempt *t, struct arena *a,
                            struct diag *diag)
{
    struct effect effects[2] = {{.kind = EFFECT_OBJECT_PUT, .tenant = tenant}};
    size_t n = 1;
    TM_TRY(acme_authz_write(z, a));
    effects[0].expected_version = z->row.version;
    effects[0].u.object.row = z->row;
    if (z->row.due_at == 0)
        TM_TRY(put_event(&effects[n++], a, tenant, z, c, t));
    return house_commit(v->house, effects, n, diag);
}

/* Look at one authorization once. TM_ECONFLICT: it changed meanwhile. */
static tm_err look_at(struct validator *v, tenant_id tenant, const char *id, struct catalog *catalog,
                      struct arena *a, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_OBJECT, .tenant = tenant, .arena = a, .object_kind = OBJECT_ACME_AUTHZ, .name = id};
    struct acme_authz z;
    tm_err e = store_read_now(v->house->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e == TM_ENOTFOUND ? TM_OK : e;
    }
    TM_TRY(acme_authz_read(&z, a, &q.objects[0]));
    struct acme_challenge_state *c = z.challenges.v, *due = NULL;
    for (size_t i = 0; i < z.challenges.n && !due; i++)
        if (c[i].status == ACME_PROCESSING)
            due = &c[i];
    if (!due || z.row.status != ACME_PENDING || z.row.due_at == 0 || z.row.due_at > clock_now_ms())
        return TM_OK;
    const struct endpoint *ep = endpoint_of_tenant(catalog, a, tenant, DOOR_ACME, z.endpoint);
    struct attempt t;
    static const struct acme_settings none = {.validation.attempts = 1};
    if (ep) {
        e = attempt_run(&t, v, &z, due, ep->acme, a);
    } else {
        t = (struct attempt){.settings = &none, .final = true};
        e = attempt_failed(&t, ACME_P_UNAUTHORIZED, "the endpoint is closed");
    }
    if (e == TM_OK && ep)
        proven(&z, due, ep->acme);
    else if (tm_err_class(e) == TM_CLASS_INTERNAL)
        return e;
    else
        TM_TRY(not_proven(&z, due, &t, a));
    acme_count_validation(acme_challenge_names[due->type], z.row.due_at ? "retry"
                                                           : z.row.status == ACME_VALID
                                                               ? "valid"
                                                               : acme_problem_name(t.problem));
    log_info(NULL, "acme.validation", LOG_S("authorization", z.id), LOG_S("name", z.identifier.value),
             LOG_S("challenge", acme_challenge_names[due->type]),
             LOG_S("status", acme_status_names[due->status]), LOG_S("why", t.detail));
    return store_verdict(v, tenant, &z, due, &t, a, diag);
}

/* ---- the pool ---- */

static void list_append(struct look_list *l, struct look *k)
{
    k->next = NULL;
    *l->end = k;
    l->end = &k->next;
    l->n++;
}

/* *at is in the list. */
static struct look *list_take(struct look_list *l, struct look **at)
{
    struct look *k = *at;
    *at = k->next;
    if (!*at)
        l->end = at;
    l->n--;
    return k;
}

static size_t list_count(const struct look_list *l, tenant_id tenant, const char *owner)
{
    size_t n = 0;
    for (const struct look *k = l->first; k; k = k->next)
        n += k->tenant == tenant && strcmp(k->owner, owner) == 0;
    return n;
}

static bool list_has(const struct look_list *l, tenant_id tenant, const char *id)
{
    for (const struct look *k = l->first; k; k = k->next)
        if (k->tenant == tenant && strcmp(k->id, id) == 0)
            return true;
    return false;
}

/* Lock held. Who has waited for longest and whose account does not have its share of the threads yet. */
static void start_next(struct validator *v)
{
    struct look **at = &v->waiting.first;
    while (*at && v->running.n < THREADS) {
        if (list_count(&v->running, (*at)->tenant, (*at)->owner) >= RUNNING_OWNER_MAX) {
            at = &(*at)->next;
            continue;
        }
        struct look *k = list_take(&v->waiting, at);
        list_append(&v->running, k);
        executor_post(pool_executor(v->pool), &k->task);
    }
}

static void finished(struct look *k)
{
    struct validator *v = k->v;
    pthread_mutex_lock(&v->lock);
    struct look **at = &v->running.first;
    while (*at != k)
        at = &(*at)->next;
    list_take(&v->running, at);
    if (!v->stopping)
        start_next(v);
    pthread_mutex_unlock(&v->lock);
    free(k);
}

static void look_run(struct task *task)
{
    struct look *k = TM_CONTAINER(task, struct look, task);
    if (k->errand) {
        k->errand->run(k->errand, TM_OK);
        finished(k);
        return;
    }
    struct catalog *c = house_catalog(k->v->house);
    struct diag diag = {0};
    tm_err e = TM_ECONFLICT;
    for (int i = 0; i < CONFLICTS_MAX && e == TM_ECONFLICT; i++) {
        struct arena *a = arena_new(0);
        e = a ? look_at(k->v, k->tenant, k->id, c, a, &diag) : TM_ENOMEM;
        arena_free(a);
    }
    /* It stays due: the sweep comes back to it. */
    if (e != TM_OK)
        log_error(NULL, "acme.validation-failed", LOG_S("authorization", k->id),
                  LOG_S("error", tm_err_name(e)), LOG_S("why", diag.message));
    catalog_unref(c);
    finished(k);
}

/* Lock held. A place among those that wait. */
static tm_err append(struct validator *v, tenant_id tenant, const char *id, const char *owner,
                     struct errand *e)
{
    if (strlen(id) > ACME_ID_MAX || strlen(owner) > ACME_ID_MAX)
        return TM_EINVAL;
    if (v->stopping)
        return TM_EUNAVAIL;
    if (list_has(&v->waiting, tenant, id) || list_has(&v->running, tenant, id))
        return TM_ECONFLICT;
    if (v->waiting.n == WAITING_MAX)
        return TM_EBUSY;
    if (list_count(&v->waiting, tenant, owner) >= WAITING_OWNER_MAX)
        return TM_EQUOTA;
    /* The threads come with the first validation: most houses have none. */
    if (!v->pool)
        TM_TRY(pool_new(&v->pool, "acme", THREADS));
    struct look *k = calloc(1, sizeof *k);
    if (!k)
        return TM_ENOMEM;
    k->v = v;
    k->tenant = tenant;
    k->errand = e;
    k->task.run = look_run;
    memcpy(k->id, id, strlen(id) + 1);
    memcpy(k->owner, owner, strlen(owner) + 1);
    list_append(&v->waiting, k);
    start_next(v);
    return TM_OK;
}

tm_err validator_errand(struct validator *v, tenant_id tenant, const char *id, const char *owner,
                        struct errand *e)
{
    pthread_mutex_lock(&v->lock);
    tm_err err = append(v, tenant, id, owner, e);
    pthread_mutex_unlock(&v->lock);
    return err;
}

/* What finds no place stays due: the sweep comes back to it. */
void validator_look(struct validator *v, tenant_id tenant, const char *authz, const char *owner)
{
    TM_IGNORE(validator_errand(v, tenant, authz, owner, NULL));
}

struct resolvers *validator_resolvers(struct validator *v)
{
    return v->resolvers;
}

tm_err validator_sweep(struct validator *v, struct diag *diag)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct store_read q = {.kind = READ_OBJECTS_DUE,
                           .arena = a,
                           .object_kind = OBJECT_ACME_AUTHZ,
                           .window_start = clock_now_ms(),
                           .limit = WAITING_MAX,
                           .after = slice_str(v->turn)};
    tm_err e = store_read_now(v->house->store, &q);
    for (size_t i = 0; e == TM_OK && i < q.n; i++)
        validator_look(v, q.objects[i].tenant, q.objects[i].id, q.objects[i].owner);
    if (e != TM_OK)
        *diag = q.diag;
    else if (q.more && q.page_next.n < sizeof v->turn)
        memcpy(v->turn, q.page_next.p, q.page_next.n + 1); /* a text */
    arena_free(a);
    return e;
}

tm_err validator_new(struct validator **ret, struct house *h)
{
    struct validator *v = calloc(1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    if (resolvers_new(&v->resolvers) != TM_OK) {
        free(v);
        return TM_ENOMEM;
    }
    v->house = h;
    v->waiting.end = &v->waiting.first;
    v->running.end = &v->running.first;
    pthread_mutex_init(&v->lock, NULL);
    *ret = v;
    return TM_OK;
}

void validator_stop(struct validator *v)
{
    if (!v)
        return;
    pthread_mutex_lock(&v->lock);
    v->stopping = true;
    struct look *left = v->waiting.first;
    v->waiting = (struct look_list){.end = &v->waiting.first};
    pthread_mutex_unlock(&v->lock);
    while (left) {
        struct look *k = left;
        left = k->next;
        if (k->errand)
            k->errand->run(k->errand, TM_EUNAVAIL);
        free(k);
    }
    pool_free(v->pool);
    v->pool = NULL;
}

void validator_free(struct validator *v)
{
    if (!v)
        return;
    validator_stop(v);
    resolvers_free(v->resolvers);
    pthread_mutex_destroy(&v->lock);
    free(v);
}
