#include "api/live.h"
#include "api/groups.h"
#include "api/principal.h"
#include "api/problem.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/task.h"
#include "register/register.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAYLOAD_MAX = 4 << 20, DEVICE_MAX = 200, SCRATCH_MAX = 64 << 20 };
enum { STREAM_ROLES = API_READERS | ROLE_OWNER };

/* Octets on their way to one or many streams. */
struct payload {
    atomic_uint refs;
    size_t n;
    uint8_t data[];
};

/* Threads: `request` and `closed` are the loop's; what stands under them is the hub thread's from the moment the stream is listed; the list
 * and `unlisted` are under live->lock. */
struct stream {
    struct live *live;
    struct stream *prev, *next;
    bool listed;
    atomic_uint refs;
    struct http_request *request;
    struct executor *loop;
    bool closed;

    tenant_id tenant;
    char *tenant_name, *principal, *owner_of;
    unsigned roles;
    char *authorization, *cookie, *local; /* to be asked again; wiped with the stream */
    uint8_t *client_cert;
    size_t client_cert_n;
    uint64_t pos; /* the next event to tell */
    int64_t beat_at, check_at;
    bool over; /* its end is under way */
};

struct live {
    struct house *house;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool stopping;
    struct stream *first;
    atomic_size_t n;
};

/* What the loop is handed: octets for one stream, and perhaps its end. */
struct parcel {
    struct task task;
    struct stream *s;
    struct payload *p;
    bool end;
};

static int64_t now_ms(void)
{
    return (int64_t)(clock_mono_ns() / 1000000);
}

/* ---- payloads and streams ---- */

static struct payload *payload_new(struct slice s)
{
    struct payload *p = malloc(sizeof *p + s.n);
    if (!p)
        return NULL;
    atomic_init(&p->refs, 1);
    p->n = s.n;
    if (s.n)
        memcpy(p->data, s.p, s.n);
    return p;
}

static void payload_unref(struct payload *p)
{
    if (p && atomic_fetch_sub(&p->refs, 1) == 1)
        free(p);
}

static void wipe(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

static void stream_unref(struct stream *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    wipe(s->authorization);
    wipe(s->cookie);
    free(s->tenant_name);
    free(s->principal);
    free(s->owner_of);
    free(s->local);
    free(s->client_cert);
    free(s);
}

static void unlist(struct stream *s)
{
    struct live *l = s->live;
    pthread_mutex_lock(&l->lock);
    bool was = s->listed;
    if (was) {
        if (s->next)
            s->next->prev = s->prev;
        if (s->prev)
            s->prev->next = s->next;
        else
            l->first = s->next;
        s->listed = false;
        atomic_fetch_sub(&l->n, 1);
    }
    pthread_mutex_unlock(&l->lock);
    if (was)
        stream_unref(s);
}

/* On the loop: the answer is over, and with it all that is the request's. */
static void finish(struct stream *s)
{
    if (s->closed)
        return;
    s->closed = true;
    struct http_request *r = s->request;
    s->request = NULL;
    http_reply_on_drain(r, NULL);
    r->handler_data = NULL;
    http_reply_end(r);
    unlist(s);
}

static void deliver(struct task *t)
{
    struct parcel *c = TM_CONTAINER(t, struct parcel, task);
    struct stream *s = c->s;
    if (!s->closed) {
        bool gone = http_request_aborted(s->request);
        if (!gone && c->p && c->p->n)
            http_reply_chunk(s->request, slice_of(c->p->data, c->p->n));
        if (gone || c->end || http_reply_pending(s->request) > LIVE_BEHIND_MAX)
            finish(s);
    }
    payload_unref(c->p);
    stream_unref(s); // NOLINT(clang-analyzer-unix.Malloc): references are not counted by the analyzer
    free(c);
}

/* A parcel that there is no memory for ends the stream's part in this turn: it is told again by the next, from the same position. */
static bool hand_over(struct stream *s, struct payload *p, bool end)
{
    struct parcel *c = malloc(sizeof *c);
    if (!c)
        return false;
    *c = (struct parcel){.task.run = deliver, .s = s, .p = p, .end = end};
    if (p)
        atomic_fetch_add(&p->refs, 1);
    atomic_fetch_add(&s->refs, 1);
    executor_post(s->loop, &c->task);
    return true;
}

static void drained(struct http_request *r)
{
    if (http_request_aborted(r))
        finish(r->handler_data);
}

/* ---- what is sent ---- */

void live_put_event(struct buf *out, const struct event_row *v)
{
    buf_printf(out, "id: %llu\ndata: {\"pos\":%llu", (unsigned long long)v->pos, (unsigned long long)v->pos);
    api_put_time(out, "time", v->time / 1000);
    api_put_text(out, "type", v->type);
    api_put_text(out, "subject", v->subject);
    buf_puts(out, ",\"body\":");
    if (v->body.n)
        buf_put_slice(out, v->body);
    else
        buf_puts(out, "null");
    buf_puts(out, "}\n\n");
}

static void put_skipped(struct buf *out, uint64_t from, uint64_t to)
{
    buf_printf(out, "id: %llu\nevent: skipped\ndata: {\"from\":%llu,\"to\":%llu}\n\n",
               (unsigned long long)(to - 1), (unsigned long long)from, (unsigned long long)(to - 1));
}

/* The text of a member, without its quotes; ids and names that need escapes are nobody's device. */
static bool member(char *ret, size_t size, struct slice body, const char *key)
{
    struct slice v;
    if (!register_event_find(&v, body, key) || v.n < 3 || v.p[0] != '"' || v.n - 2 >= size)
        return false;
    memcpy(ret, v.p + 1, v.n - 2);
    ret[v.n - 2] = '\0';
    return strchr(ret, '\\') == NULL;
}

bool live_concerns(const struct event_row *v, const char *principal,
                   bool (*owns)(void *arg, const char *device), void *arg)
{
    char text[DEVICE_MAX + 1];
    if (strncmp(v->subject, "device/", 7) == 0 && owns(arg, v->subject + 7))
        return true;
    if (v->body.n == 0)
        return false;
    if (member(text, sizeof text, v->body, "device") && owns(arg, text))
        return true;
    static const char *const askers[] = {"caller", "by", "asked_by"};
    for (size_t i = 0; i < sizeof askers / sizeof *askers; i++)
        if (principal[0] && member(text, sizeof text, v->body, askers[i]) && strcmp(text, principal) == 0)
            return true;
    return false;
}

/* ---- the thread ---- */

/* One look: what was read for one stream serves all that stand at the same place. */
struct look {
    struct live *live;
    struct arena *arena;
    struct told {
        tenant_id tenant;
        uint64_t from, to;
        const char *principal, *owner_of; /* NULL: for readers */
        struct payload *p;
        bool rights; /* who may read can have changed */
    } *told;
    size_t n_told, cap_told;
    struct {
        tenant_id tenant;
        uint64_t size;
    } sizes[64];
    size_t n_sizes;
};

static bool log_size(uint64_t *ret, struct look *k, tenant_id tenant)
{
    for (size_t i = 0; i < k->n_sizes; i++)
        if (k->sizes[i].tenant == tenant) {
            *ret = k->sizes[i].size;
            return true;
        }
    struct store_read q = {.kind = READ_LOG_SIZE, .tenant = tenant, .arena = k->arena};
    if (store_read_now(k->live->house->store, &q) != TM_OK)
        return false;
    if (k->n_sizes < sizeof k->sizes / sizeof *k->sizes) {
        k->sizes[k->n_sizes].tenant = tenant;
        k->sizes[k->n_sizes++].size = q.count;
    }
    *ret = q.count;
    return true;
}

struct owned {
    struct look *k;
    const struct stream *s;
};

static bool owns_device(void *arg, const char *device)
{
    const struct owned *o = arg;
    struct store_read q = {.kind = READ_DEVICE, .tenant = o->s->tenant, .arena = o->k->arena, .name = device};
    return o->s->owner_of[0] && store_read_now(o->k->live->house->store, &q) == TM_OK &&
           strcmp(q.devices[0].owner, o->s->owner_of) == 0;
}

/* After these a caller's rights are looked at again at once; the house's own log is not read here, so that its principals have LIVE_CHECK_MS. */
static bool changes_rights(const char *type)
{
    return strcmp(type, "token.revoked") == 0 || strncmp(type, "resource.", 9) == 0;
}

/* One that is too large to be told among others is skipped: it would be what ends the stream, each time that it comes back for it. */
static void put_one(struct buf *out, const struct event_row *v)
{
    struct buf one;
    buf_init(&one, LIVE_EVENT_MAX);
    live_put_event(&one, v);
    if (buf_err(&one) == TM_OK)
        buf_put_slice(out, buf_slice(&one));
    else
        put_skipped(out, v->pos, v->pos + 1);
    buf_done(&one);
}

static tm_err put_events(struct buf *out, struct told *t, struct look *k, const struct stream *s,
                         uint64_t size)
{
    uint64_t *to = &t->to;
    bool reader = (s->roles & (API_READERS | ROLE_HOUSE_ADMIN)) != 0;
    uint64_t from = s->pos;
    struct owned o = {k, s};
    if (size - from > LIVE_BATCH) {
        put_skipped(out, from, size);
        *to = size;
        return TM_OK;
    }
    struct store_read q = {
        .kind = READ_EVENTS, .tenant = s->tenant, .arena = k->arena, .pos_from = from, .limit = LIVE_BATCH};
    TM_TRY(store_read_now(k->live->house->store, &q));
    for (size_t i = 0; i < q.n; i++)
        t->rights |= changes_rights(q.events[i].type);
    for (size_t i = 0; i < q.n; i++) {
        if (reader || live_concerns(&q.events[i], s->principal, owns_device, &o))
            put_one(out, &q.events[i]);
        if (out->n > LIVE_TURN &&
            i + 1 < q.n) { /* the rest in the next turn, when the client has had time to read this */
            *to = q.events[i].pos + 1;
            return buf_err(out);
        }
    }
    /* What came while this was read is told with it. */
    uint64_t last = q.n ? q.events[q.n - 1].pos + 1 : size;
    *to = q.more ? q.pos_next : last > size ? last : size;
    if (buf_err(out) == TM_OK)
        return TM_OK;
    buf_reset(out);
    put_skipped(out, from, *to);
    return buf_err(out);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* What a stream that stands at s->pos has to be told; NULL: nothing to be had now. Borrowed from the look. */
static struct told *tell(struct look *k, const struct stream *s, uint64_t size)
{
    bool reader = (s->roles & (API_READERS | ROLE_HOUSE_ADMIN)) != 0;
    const char *principal = reader ? NULL : s->principal, *owner_of = reader ? NULL : s->owner_of;
    for (size_t i = 0; i < k->n_told; i++) {
        struct told *t = &k->told[i];
        if (t->tenant == s->tenant && t->from == s->pos && same_text(t->principal, principal) &&
            same_text(t->owner_of, owner_of))
            return t;
    }
    if (k->n_told == k->cap_told) {
        size_t cap = k->cap_told ? 2 * k->cap_told : 16;
        struct told *v = realloc(k->told, cap * sizeof *v);
        if (!v)
            return NULL;
        k->told = v;
        k->cap_told = cap;
    }
    struct told t = {.tenant = s->tenant, .from = s->pos, .principal = principal, .owner_of = owner_of};
    struct buf out;
    buf_init(&out, PAYLOAD_MAX);
    if (put_events(&out, &t, k, s, size) == TM_OK)
        t.p = payload_new(buf_slice(&out));
    buf_done(&out);
    if (!t.p)
        return NULL;
    k->told[k->n_told] = t;
    return &k->told[k->n_told++];
}

/* Is the caller still who it was, and may it still read? Its roles may have changed; who answers for other devices now begins again. */
static bool still_may(struct look *k, struct stream *s)
{
    struct api_call c = {
        .house = k->live->house, .arena = k->arena, .request_id = "", .method = HTTP_M_GET, .peer = ""};
    struct diag diag = {0};
    const struct api_credentials who = {.local = s->local,
                                        .authorization = s->authorization,
                                        .cookie = s->cookie,
                                        .looking = true,
                                        .client_cert = slice_of(s->client_cert, s->client_cert_n)};
    c.catalog = house_catalog(k->live->house);
    c.tenant = catalog_tenant(c.catalog, s->tenant_name);
    tm_err e = c.tenant && !c.tenant->disabled ? api_authenticate(&c, &who, &diag) : TM_EAUTH;
    bool may = e == TM_OK && c.principal && strcmp(c.principal, s->principal) == 0 &&
               strcmp(c.owner_of ? c.owner_of : "", s->owner_of) == 0 &&
               (c.roles & (STREAM_ROLES | ROLE_HOUSE_ADMIN));
    /* A store that can't be read now says nothing about anybody's rights. */
    if (tm_err_class(e) == TM_CLASS_UNAVAILABLE)
        may = true;
    else if (may)
        s->roles = c.roles;
    catalog_unref(c.catalog);
    return may;
}

static void serve_stream(struct look *k, struct stream *s, struct payload *beat)
{
    int64_t now = now_ms();
    uint64_t size;
    if (s->over)
        return;
    if (now >= s->check_at) {
        s->check_at = now + LIVE_CHECK_MS;
        if (!still_may(k, s)) {
            s->over = hand_over(s, NULL, true);
            return;
        }
    }
    if (log_size(&size, k, s->tenant) && size > s->pos) {
        const struct told *t = tell(k, s, size);
        if (t && (t->p->n == 0 || hand_over(s, t->p, false))) {
            s->pos = t->to;
            if (t->rights)
                s->check_at = now;
            if (t->p->n)
                s->beat_at = now + LIVE_BEAT_MS;
        }
    }
    if (now >= s->beat_at && hand_over(s, beat, false))
        s->beat_at = now + LIVE_BEAT_MS;
}

static size_t listed_now(struct live *l, struct stream **v, size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&l->lock);
    for (struct stream *s = l->first; s && n < max; s = s->next) {
        atomic_fetch_add(&s->refs, 1);
        v[n++] = s;
    }
    pthread_mutex_unlock(&l->lock);
    return n;
}

static void look_once(struct live *l, struct look *k, struct stream **v, struct payload *beat)
{
    size_t n = listed_now(l, v, LIVE_MAX);
    for (size_t i = 0; i < n; i++)
        serve_stream(k, v[i], beat);
    for (size_t i = 0; i < k->n_told; i++)
        payload_unref(k->told[i].p);
    for (size_t i = 0; i < n; i++)
        stream_unref(v[i]);
    k->n_told = k->n_sizes = 0;
    arena_reset(k->arena);
}

/* Sleeps while nobody listens. False: it is time to end. */
static bool wait_a_look(struct live *l)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LIVE_LOOK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&l->lock);
    int late = 0;
    while (!l->stopping && (!l->first || late == 0))
        late = l->first ? pthread_cond_timedwait(&l->cond, &l->lock, &until)
                        : pthread_cond_wait(&l->cond, &l->lock);
    bool go_on = !l->stopping;
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct live *l = arg;
    struct look k = {.live = l, .arena = arena_new(SCRATCH_MAX)};
    struct stream **v = calloc(LIVE_MAX, sizeof *v);
    struct payload *beat = payload_new(SLICE_LIT(":\n\n"));
    if (!k.arena || !v || !beat)
        log_error(NULL, "live.start", LOG_S("why", "out of memory: no event streams"));
    while (wait_a_look(l))
        if (k.arena && v && beat)
            look_once(l, &k, v, beat);
    size_t n = v ? listed_now(l, v, LIVE_MAX) : 0;
    for (size_t i = 0; i < n; i++) {
        hand_over(v[i], NULL, true);
        stream_unref(v[i]);
    }
    payload_unref(beat);
    free(v);
    free(k.told);
    arena_free(k.arena);
    return NULL;
}

/* ---- a stream begins ---- */

struct opening {
    struct task ask, asked;
    struct api_call call;
    struct stream *s;
    tm_err err;
    struct diag diag;
};

static void refuse(struct http_request *r, tm_err e, const struct diag *diag)
{
    struct buf out;
    buf_init(&out, 8192);
    api_problem(&out, e, diag, r->id);
    int status = api_status_of(e);
    const struct http_header headers[] = {
        {"Cache-Control", "no-store"},
        {status == 401   ? "WWW-Authenticate"
         : status == 429 ? "Retry-After"
                         : NULL,
         status == 401 ? "Bearer realm=\"touchmark\"" : "30"},
        {0},
    };
    r->handler_data = NULL;
    http_reply(r, status, "application/problem+json", buf_slice(&out), headers);
    buf_done(&out);
}

/* Counted and listed in one step, so that no limit is passed by several at once. */
static tm_err enlist(struct stream *s, struct diag *diag)
{
    struct live *l = s->live;
    tm_err e = TM_OK;
    size_t mine = 0;
    pthread_mutex_lock(&l->lock);
    for (const struct stream *o = l->first; o; o = o->next)
        mine += o->tenant == s->tenant && strcmp(o->principal, s->principal) == 0;
    if (l->stopping) {
        e = diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "the server is stopping");
    } else if (atomic_load(&l->n) >= LIVE_MAX) {
        e = diag_fail(diag, TM_EQUOTA, "events.streams", NULL,
                      "%d streams are open already, as many as there may be", LIVE_MAX);
    } else if (mine >= LIVE_PRINCIPAL_MAX) {
        e = diag_fail(diag, TM_EQUOTA, "events.streams", NULL,
                      "you have %d streams open already, as many as a principal may have",
                      LIVE_PRINCIPAL_MAX);
    } else {
        s->listed = true;
        atomic_fetch_add(&s->refs, 1);
        s->next = l->first;
        if (l->first)
            l->first->prev = s;
        l->first = s;
        atomic_fetch_add(&l->n, 1);
        pthread_cond_signal(&l->cond);
    }
    pthread_mutex_unlock(&l->lock);
    return e;
}

static void begin(struct stream *s, uint64_t pos)
{
    static const struct http_header headers[] = {
        {"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}, {0}};
    struct http_request *r = s->request;
    char hello[160];
    r->handler_data = s;
    http_reply_begin(r, 200, "text/event-stream", headers);
    http_reply_on_drain(r, drained);
    int n = pos > 0 ? snprintf(hello, sizeof hello,
                               "retry: 3000\nid: %llu\nevent: ready\ndata: {\"pos\":%llu}\n\n",
                               (unsigned long long)(pos - 1), (unsigned long long)pos)
                    : snprintf(hello, sizeof hello, "retry: 3000\nevent: ready\ndata: {\"pos\":0}\n\n");
    http_reply_chunk(r, slice_of(hello, (size_t)n));
}

static void asked(struct task *t)
{
    struct opening *o = TM_CONTAINER(t, struct opening, asked);
    struct stream *s = o->s;
    struct http_request *r = s->request;
    tm_err e = o->err;
    struct diag diag = o->diag;
    catalog_unref(o->call.catalog);
    /* `o` lives in the request's arena: nothing of it after the answer. */
    if (e == TM_OK && r->method == HTTP_M_HEAD) {
        http_reply(r, 200, "text/event-stream", (struct slice){0}, NULL);
    } else {
        /* From here on the thread may know of the stream; what it sends comes by way of this loop, behind the beginning. */
        uint64_t pos = s->pos;
        if (e == TM_OK)
            e = enlist(s, &diag);
        if (e == TM_OK)
            begin(s, pos);
        else
            refuse(r, e, &diag);
        if (e == TM_OK && http_request_aborted(r))
            finish(s);
    }
    stream_unref(s); // NOLINT(clang-analyzer-unix.Malloc): as above
}

/* A position beyond the end is of another log, perhaps of one before a restore: it begins at the end. */
static tm_err place(uint64_t *ret, const struct api_call *c, const struct http_request *r, struct diag *diag)
{
    struct store_read q = {.kind = READ_LOG_SIZE, .tenant = c->tenant->id, .arena = c->arena};
    tm_err e = store_read_now(c->house->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    *ret = q.count;
    const char *last = http_request_header(r, "Last-Event-ID");
    if (!last || !last[0])
        return TM_OK;
    if (strlen(last) > 18 || strspn(last, "0123456789") != strlen(last))
        return diag_fail(diag, TM_EINVAL, NULL, "Last-Event-ID", "must be the position of an event");
    uint64_t next = strtoull(last, NULL, 10) + 1;
    if (next < q.count)
        *ret = next;
    return TM_OK;
}

static bool keep(char **ret, const char *s)
{
    *ret = s ? strdup(s) : NULL;
    return !s || *ret;
}

static tm_err keep_caller(struct stream *s, const struct api_call *c, const struct http_request *r)
{
    s->tenant = c->tenant->id;
    s->roles = c->roles;
    const char *local = strncmp(r->peer, "unix:", 5) == 0 ? c->principal : NULL;
    bool ok = keep(&s->tenant_name, c->tenant->name) && keep(&s->principal, c->principal) &&
              keep(&s->owner_of, c->owner_of ? c->owner_of : "") && keep(&s->local, local) &&
              keep(&s->authorization, http_request_header(r, "Authorization")) &&
              keep(&s->cookie, http_request_header(r, "Cookie"));
    if (ok && r->client_cert.n) {
        s->client_cert = malloc(r->client_cert.n);
        ok = s->client_cert != NULL;
        if (ok)
            memcpy(s->client_cert, r->client_cert.p, s->client_cert_n = r->client_cert.n);
    }
    return ok ? TM_OK : TM_ENOMEM;
}

/* On a thread that may block. */
static void ask(struct task *t)
{
    struct opening *o = TM_CONTAINER(t, struct opening, ask);
    struct stream *s = o->s;
    struct http_request *r = s->request;
    int64_t now = now_ms();
    o->err = api_call_open(&o->call, r, &o->diag);
    if (o->err == TM_OK)
        o->err = api_may(&o->call, STREAM_ROLES, "register", HTTP_M_GET, &o->diag);
    if (o->err == TM_OK && r->query && r->query->name)
        o->err = diag_fail(&o->diag, TM_EINVAL, NULL, "query", "there is no parameter \"%s\" here",
                           r->query->name);
    if (o->err == TM_OK)
        o->err = place(&s->pos, &o->call, r, &o->diag);
    if (o->err == TM_OK)
        o->err = keep_caller(s, &o->call, r);
    s->beat_at = now + LIVE_BEAT_MS;
    s->check_at = now + LIVE_CHECK_MS;
    executor_post(s->loop, &o->asked);
}

void live_begin(struct http_request *r)
{
    struct house *h = r->app;
    struct diag diag = {0};
    if (!h->live) {
        refuse(r, diag_fail(&diag, TM_EUNAVAIL, NULL, NULL, "no event streams here"), &diag);
        return;
    }
    struct opening *o = arena_calloc(r->arena, 1, sizeof *o);
    struct stream *s = o ? calloc(1, sizeof *s) : NULL;
    if (!s) {
        refuse(r, TM_ENOMEM, &diag);
        return;
    }
    atomic_init(&s->refs, 1);
    s->live = h->live;
    s->request = r;
    s->loop = http_request_executor(r);
    o->s = s;
    o->ask.run = ask;
    o->asked.run = asked;
    executor_post(pool_executor(h->blocking), &o->ask);
}

/* ---- begin and end ---- */

tm_err live_start(struct house *h)
{
    struct live *l = calloc(1, sizeof *l);
    if (!l)
        return TM_ENOMEM;
    l->house = h;
    pthread_condattr_t attr;
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->cond, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&l->thread, NULL, run, l) != 0) {
        pthread_cond_destroy(&l->cond);
        pthread_mutex_destroy(&l->lock);
        free(l);
        return TM_ENOMEM;
    }
    pthread_setname_np(l->thread, "live");
    h->live = l;
    return TM_OK;
}

void live_stop(struct house *h)
{
    struct live *l = h->live;
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    bool ends = !l->stopping;
    l->stopping = true;
    pthread_cond_signal(&l->cond);
    pthread_mutex_unlock(&l->lock);
    if (ends)
        pthread_join(l->thread, NULL);
}

void live_free(struct live *l)
{
    if (!l)
        return;
    pthread_cond_destroy(&l->cond);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

size_t live_count(const struct live *l)
{
    return l ? atomic_load(&l->n) : 0;
}

/* ---- what the document says ---- */

/* A stream needs a connection: over HTTP live_begin() serves this path before calls are made of it. */
static tm_err inside(struct api_call *c, struct diag *diag)
{
    (void)c;
    return diag_fail(diag, TM_EUNAVAIL, "events.http", NULL,
                     "event streams are sent over HTTP: this needs a running server");
}

static const struct api_content forms[] = {
    {200, "text/event-stream", NULL,
     "server-sent events: each event of the register as {\"pos\",\"time\",\"type\",\"subject\",\"body\"} with its position as id; "
     "\"ready\" at the beginning, \"skipped\" with \"from\" and \"to\" where there were too many"},
    {0},
};

const struct api_route live_api_routes[] = {
    {HTTP_M_GET, "/api/v1/events/stream", STREAM_ROLES, inside, 0, "streamEvents",
     "What happens, as it happens; goes on behind the position in Last-Event-ID. Owners get what is about theirs",
     "register", NULL, NULL, .gives = forms},
    {0},
};
