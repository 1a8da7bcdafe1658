#include "status/publish.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "issue/house.h"
#include "register/register.h"
#include "status/conditional.h"
#include "status/crl.h"
#include "status/crl_file.h"
#include "status/crl_impl.h"
#include "status/scope.h"
#include "status/status_impl.h"
#include "status/tile_path.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CRL_MAX_AGE = 3600, READ_ARENA = 512 << 20 };

static void blob_unref(struct blob *b)
{
    if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
        return;
    if (b->fd >= 0)
        close(b->fd);
    free(b);
}

/* ---- the cache; the lock is held ---- */

static void drop_entry(struct status *s, size_t i)
{
    s->octets -= s->entries[i]->n;
    blob_unref(s->entries[i]);
    s->entries[i] = s->entries[--s->n];
}

static struct blob *find_entry(struct status *s, const char *ski, const char *scope)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->entries[i]->ski, ski) == 0 && strcmp(s->entries[i]->scope, scope) == 0) {
            s->entries[i]->used = ++s->clock;
            return s->entries[i];
        }
    return NULL;
}

static void add_entry(struct status *s, struct blob *b)
{
    if (b->n > STATUS_ENTRY_MAX || find_entry(s, b->ski, b->scope))
        return;
    while (s->n && (s->n == ENTRIES_MAX || s->octets + b->n > STATUS_CACHE_MAX)) {
        size_t oldest = 0;
        for (size_t i = 1; i < s->n; i++)
            if (s->entries[i]->used < s->entries[oldest]->used)
                oldest = i;
        drop_entry(s, oldest);
    }
    b->used = ++s->clock;
    atomic_fetch_add(&b->refs, 1);
    s->entries[s->n++] = b;
    s->octets += b->n;
}

/* A new CRL is durable: what was cached of this authority is old now. */
void status_forget(struct house *h, const struct authority *x)
{
    struct status *s = h->status;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->generation++;
    for (size_t i = s->n; i-- > 0;)
        if (s->entries[i]->tenant == x->tenant && strcmp(s->entries[i]->authority, x->name) == 0)
            drop_entry(s, i);
    pthread_mutex_unlock(&s->lock);
}

tm_err status_open(struct house *h)
{
    struct status *s = calloc(1, sizeof *s);
    if (!s)
        return TM_ENOMEM;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->making, NULL);
    pthread_cond_init(&s->idle, NULL);
    s->dirty.all = true; /* what was revoked while nobody served */
    h->status = s;
    crl_files_sweep(h);
    return TM_OK;
}

struct status *status_stop(struct house *h)
{
    struct status *s = h->status;
    if (!s)
        return NULL;
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    while (s->in_flight)
        pthread_cond_wait(&s->idle, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return s;
}

void status_free(struct status *s)
{
    if (!s)
        return;
    while (s->n)
        drop_entry(s, s->n - 1);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->making);
    pthread_mutex_destroy(&s->lock);
    free(s->dirty.v);
    free(s);
}

/* ---- work that reads the store, off the loop ---- */

struct work {
    struct task task;
    struct http_request *r;
    struct house *h;
    void (*read)(struct work *w);  /* in the pool */
    void (*reply)(struct work *w); /* on the loop, when err is TM_OK */
    tm_err err;
    /* CRLs */
    struct blob *blob;
    uint64_t generation;
    char scope[CRL_LIST_NAME_MAX];
    /* the register */
    tenant_id tenant;
    unsigned level, width;
    uint64_t index;
    struct arena *arena;
    struct slice body;
};

static bool work_enter(struct status *s)
{
    pthread_mutex_lock(&s->lock);
    bool open = !s->closing;
    s->in_flight += open;
    pthread_mutex_unlock(&s->lock);
    return open;
}

static void work_leave(struct status *s)
{
    pthread_mutex_lock(&s->lock);
    if (--s->in_flight == 0)
        pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
}

static void reply_error(struct http_request *r, tm_err e)
{
    int status = e == TM_ENOTFOUND || e == TM_EINVAL                         ? 404
                 : e == TM_ENOMEM || tm_err_class(e) == TM_CLASS_UNAVAILABLE ? 503
                                                                             : 500;
    http_reply(r, status, "text/plain", slice_str(status == 404 ? "not found\n" : "not available\n"), NULL);
}

static void work_done(struct task *t)
{
    struct work *w = TM_CONTAINER(t, struct work, task);
    struct blob *b = w->blob;
    struct arena *a = w->arena;
    if (w->err == TM_OK)
        w->reply(w);
    else
        reply_error(w->r, w->err);
    /* The request's arena, and `w` in it, may be gone by now. */
    blob_unref(b);
    arena_free(a);
}

static void work_run(struct task *t)
{
    struct work *w = TM_CONTAINER(t, struct work, task);
    struct status *s = w->h->status;
    w->read(w);
    w->task.run = work_done;
    executor_post(http_request_executor(w->r), &w->task);
    work_leave(s);
}

static void work_start(struct http_request *r, const struct work *proto)
{
    struct house *h = r->app;
    struct work *w = arena_alloc(r->arena, sizeof *w);
    if (!w || !h->status || !work_enter(h->status)) {
        reply_error(r, TM_EUNAVAIL);
        return;
    }
    *w = *proto;
    w->r = r;
    w->h = h;
    w->task.run = work_run;
    executor_post(pool_executor(h->blocking), &w->task);
}

/* ---- CRLs ---- */

/* A list that is a file, on its way to one client: piece by piece, read in the pool, sent on the loop. */
enum { PIECE = 128 << 10, PENDING_MAX = 256 << 10 };
struct sending {
    struct task task;
    struct http_request *r;
    struct house *h;
    struct blob *blob;
    uint64_t at, end;
    size_t n; /* octets of `piece` */
    bool reading, failed;
    uint8_t piece[PIECE];
};

static void send_next(struct sending *x);

static void sent_piece(struct task *t)
{
    struct sending *x = TM_CONTAINER(t, struct sending, task);
    x->reading = false;
    if (!x->failed)
        http_reply_chunk(x->r, slice_of(x->piece, x->n));
    send_next(x);
}

static void read_piece(struct task *t)
{
    struct sending *x = TM_CONTAINER(t, struct sending, task);
    struct status *s = x->h->status;
    size_t want = x->end - x->at < PIECE ? (size_t)(x->end - x->at) : PIECE;
    ssize_t n = pread(x->blob->fd, x->piece, want, (off_t)x->at);
    x->failed = n <= 0;
    x->n = n > 0 ? (size_t)n : 0;
    x->at += x->n;
    x->task.run = sent_piece;
    executor_post(http_request_executor(x->r), &x->task);
    work_leave(s);
}

static void send_next(struct sending *x)
{
    struct http_request *r = x->r;
    bool aborted = http_request_aborted(r), over = x->failed || aborted || x->at == x->end;
    if (x->reading || (!over && http_reply_pending(r) >= PENDING_MAX))
        return; /* on_drain goes on */
    if (!over && work_enter(x->h->status)) {
        x->reading = true;
        x->task.run = read_piece;
        executor_post(pool_executor(x->h->blocking), &x->task);
        return;
    }
    struct blob *b = x->blob;
    http_reply_on_drain(r, NULL);
    if (x->at == x->end || aborted)
        http_reply_end(r);
    else
        http_reply_abort(r);
    blob_unref(b);
}

static void drained(struct http_request *r)
{
    send_next(r->handler_data);
}

static void blob_send(struct http_request *r, void *arg, int status, const char *type, uint64_t from,
                      uint64_t n, const struct http_header *headers)
{
    struct blob *b = arg;
    struct sending *x = arena_alloc(r->arena, sizeof *x);
    if (!x) {
        http_reply(r, 503, "text/plain", SLICE_LIT("not available\n"), NULL);
        return;
    }
    x->r = r;
    x->h = r->app;
    x->blob = b;
    x->at = r->method == HTTP_M_HEAD ? from + n : from;
    x->end = from + n;
    x->reading = x->failed = false;
    atomic_fetch_add(&b->refs, 1);
    r->handler_data = x;
    http_reply_begin_sized(r, status, type, n, headers);
    http_reply_on_drain(r, drained);
    send_next(x);
}

static void blob_reply(struct http_request *r, struct blob *b)
{
    char cache[64];
    int64_t left = b->next_update - clock_now();
    /* Not until nextUpdate: a revocation must get through. Asking again costs a 304. */
    snprintf(cache, sizeof cache, "public, max-age=%d",
             left <= 0            ? 0
             : left < CRL_MAX_AGE ? (int)left
                                  : CRL_MAX_AGE);
    struct representation v = {.type = "application/pkix-crl",
                               .body = slice_of(b->der, b->n),
                               .etag = b->etag,
                               .modified = b->this_update,
                               .cache_control = cache,
                               .ranges = true,
                               .size = b->size,
                               .send = b->fd >= 0 ? blob_send : NULL,
                               .send_arg = b};
    representation_reply(r, &v);
}

static tm_err blob_make(struct blob **ret, struct house *h, const struct authority *x, const char *scope,
                        const struct crl_row *row)
{
    uint8_t hash[SHA256_LEN];
    struct slice file = slice_str(row->file ? row->file : "");
    TM_TRY(sha256(hash, file.n ? file : row->der)); /* a file's name is a hash already */
    struct blob *b = calloc(1, sizeof *b + row->der.n);
    if (!b)
        return TM_ENOMEM;
    atomic_init(&b->refs, 1);
    b->fd = file.n ? crl_row_open(h, row) : -1;
    b->size = crl_row_size(row);
    if (file.n && b->fd < 0) { /* published anew soon */
        blob_unref(b);
        return TM_EUNAVAIL;
    }
    b->tenant = x->tenant;
    snprintf(b->authority, sizeof b->authority, "%s", x->name);
    snprintf(b->ski, sizeof b->ski, "%s", x->key_id_hex);
    snprintf(b->scope, sizeof b->scope, "%s", scope);
    b->etag[0] = '"';
    hex_encode(b->etag + 1, slice_of(hash, 16));
    memcpy(b->etag + 33, "\"", 2);
    b->this_update = row->this_update;
    b->next_update = row->next_update;
    b->n = row->der.n;
    if (row->der.n)
        memcpy(b->der, row->der.p, row->der.n);
    *ret = b;
    return TM_OK;
}

static const struct authority *authority_by_hex(const struct catalog *c, struct arena *a, const char *hex,
                                                size_t n)
{
    struct slice ski;
    return n && n < 64 && hex_decode(&ski, a, slice_of(hex, n)) == TM_OK ? catalog_authority_by_key_id(c, ski)
                                                                         : NULL;
}

static void crl_read(struct work *w)
{
    struct arena *a = arena_new(READ_ARENA);
    if (!a) {
        w->err = TM_ENOMEM;
        return;
    }
    const char *ski = http_request_param(w->r, "ski");
    struct catalog *c = house_catalog(w->h);
    const struct authority *x = authority_by_hex(c, a, ski, strlen(ski));
    struct crl_row row;
    w->err = x ? crl_current_of(&row, a, w->h, x, w->scope) : TM_ENOTFOUND;
    if (w->err == TM_OK)
        w->err = blob_make(&w->blob, w->h, x, w->scope, &row);
    catalog_unref(c);
    arena_free(a);
    if (w->err != TM_OK)
        return;
    struct status *s = w->h->status;
    pthread_mutex_lock(&s->lock);
    /* Something was published since: what was read may be the one before. */
    if (s->generation == w->generation)
        add_entry(s, w->blob);
    pthread_mutex_unlock(&s->lock);
}

static void crl_reply(struct work *w)
{
    blob_reply(w->r, w->blob);
}

/* "full.crl", "delta.crl", "16-3.crl", "profile-web.crl" */
static bool scope_of(char out[CRL_LIST_NAME_MAX], const char *file)
{
    size_t n = strlen(file);
    if (n < 5 || n - 4 >= CRL_LIST_NAME_MAX || strcmp(file + n - 4, ".crl") != 0)
        return false;
    snprintf(out, CRL_LIST_NAME_MAX, "%.*s", (int)(n - 4), file);
    return crl_scope_name_valid(out);
}

static void get_crl(struct http_request *r)
{
    struct house *h = r->app;
    struct status *s = h->status;
    struct work w = {.read = crl_read, .reply = crl_reply};
    struct blob *b = NULL;
    if (!scope_of(w.scope, http_request_param(r, "file"))) {
        reply_error(r, TM_ENOTFOUND);
        return;
    }
    if (s) {
        pthread_mutex_lock(&s->lock);
        b = find_entry(s, http_request_param(r, "ski"), w.scope);
        if (b)
            atomic_fetch_add(&b->refs, 1);
        w.generation = s->generation;
        pthread_mutex_unlock(&s->lock);
    }
    if (b)
        blob_reply(r, b);
    else
        work_start(r, &w);
    blob_unref(b);
}

/* ---- CA certificates: the catalog has them ---- */

static void get_ca(struct http_request *r)
{
    static const char suffix[] = ".cer";
    const char *file = http_request_param(r, "file");
    size_t n = strlen(file), m = sizeof suffix - 1;
    struct catalog *c = house_catalog(r->app);
    const struct authority *x =
        n > m && strcmp(file + n - m, suffix) == 0 ? authority_by_hex(c, r->arena, file, n - m) : NULL;
    uint8_t hash[SHA256_LEN];
    char etag[40] = "\"";
    if (!x || sha256(hash, x->der) != TM_OK) {
        reply_error(r, TM_ENOTFOUND);
    } else {
        hex_encode(etag + 1, slice_of(hash, 16));
        memcpy(etag + 33, "\"", 2);
        struct representation v = {.type = "application/pkix-cert",
                                   .body = x->der,
                                   .etag = etag,
                                   .modified = x->cert.not_before,
                                   .cache_control = "public, max-age=86400"};
        representation_reply(r, &v);
    }
    catalog_unref(c);
}

/* ---- the register (tlog-tiles) ---- */

static void checkpoint_read(struct work *w)
{
    w->arena = arena_new(0);
    w->err = w->arena ? register_checkpoint(&w->body, w->arena, w->h->reg, w->tenant) : TM_ENOMEM;
}

static void checkpoint_reply(struct work *w)
{
    static const struct http_header headers[] = {{"Cache-Control", "no-cache"}, {0}};
    http_reply(w->r, 200, "text/plain; charset=utf-8", w->body, headers);
}

static void tile_read(struct work *w)
{
    w->arena = arena_new(0);
    w->err = w->arena ? register_tile(&w->body, w->arena, w->h->reg, w->tenant, w->level, w->index, w->width)
                      : TM_ENOMEM;
}

/* What a tile holds never changes, nor do the first hashes of one that is not full yet. */
static void tile_reply(struct work *w)
{
    static const struct http_header headers[] = {{"Cache-Control", "public, max-age=31536000, immutable"},
                                                 {0}};
    http_reply(w->r, 200, "application/octet-stream", w->body, headers);
}

static bool request_tenant(tenant_id *ret, const struct http_request *r)
{
    const char *name = http_request_param(r, "tenant");
    *ret = TENANT_DEFAULT;
    if (!name)
        return true;
    struct catalog *c = house_catalog(r->app);
    const struct tenant *t = catalog_tenant(c, name);
    if (t)
        *ret = t->id;
    catalog_unref(c);
    return t != NULL;
}

static void get_checkpoint(struct http_request *r)
{
    struct work w = {.read = checkpoint_read, .reply = checkpoint_reply};
    if (request_tenant(&w.tenant, r))
        work_start(r, &w);
    else
        reply_error(r, TM_ENOTFOUND);
}

static void get_tile(struct http_request *r)
{
    struct work w = {.read = tile_read, .reply = tile_reply};
    if (request_tenant(&w.tenant, r) &&
        tile_path_parse(&w.level, &w.index, &w.width, http_request_param(r, "rest")) == TM_OK)
        work_start(r, &w);
    else
        reply_error(r, TM_ENOTFOUND);
}

enum { PUBLIC = HTTP_LISTENER_PUBLIC_TLS | HTTP_LISTENER_PLAIN | HTTP_LISTENER_CONSOLE };
const struct http_route status_routes[] = {
    {.methods = HTTP_M_GET,
     .pattern = "/crl/{ski}/{file}",
     .handler = get_crl,
     .listeners = PUBLIC,
     .metric = "status.crl"},
    {.methods = HTTP_M_GET,
     .pattern = "/ca/{file}",
     .handler = get_ca,
     .listeners = PUBLIC,
     .metric = "status.ca"},
    {.methods = HTTP_M_GET,
     .pattern = "/register/checkpoint",
     .handler = get_checkpoint,
     .listeners = PUBLIC,
     .metric = "register.checkpoint"},
    {.methods = HTTP_M_GET,
     .pattern = "/register/tile/{rest...}",
     .handler = get_tile,
     .listeners = PUBLIC,
     .metric = "register.tile"},
    {.methods = HTTP_M_GET,
     .pattern = "/register/t/{tenant}/checkpoint",
     .handler = get_checkpoint,
     .listeners = PUBLIC,
     .metric = "register.checkpoint"},
    {.methods = HTTP_M_GET,
     .pattern = "/register/t/{tenant}/tile/{rest...}",
     .handler = get_tile,
     .listeners = PUBLIC,
     .metric = "register.tile"},
    {0},
};
