/* Filters for anyone: GET /filter/{file}. The octets come from the store each time somebody lacks them; who has them gets 304. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/task.h"
#include "issue/house.h"
#include "status/conditional.h"
#include "status/filter.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_AGE = 300 };

struct fetch {
    struct task task;
    struct http_request *r;
    struct arena *arena;
    tm_err err;
    struct crl_row row;
    char etag[40], cache[48];
};

static const char *strip(struct arena *a, const char *file, const char *suffix)
{
    size_t n = strlen(file), k = strlen(suffix);
    return n > k && strcmp(file + n - k, suffix) == 0 ? arena_printf(a, "%.*s", (int)(n - k), file) : NULL;
}

/* "<name>", "<tenant>.<name>", each with ".tmf" or ".delta.tmf". */
static tm_err read_file(struct fetch *f)
{
    struct house *h = f->r->app;
    const char *file = http_request_param(f->r, "file"), *name = strip(f->arena, file, ".delta.tmf");
    enum tmf_kind kind = name ? TMF_DELTA : TMF_FULL;
    struct tmf_filter opened;
    tenant_id tenant = TENANT_DEFAULT;
    if (!name)
        name = strip(f->arena, file, ".tmf");
    if (!name)
        return TM_ENOTFOUND;
    const char *dot = strchr(name, '.');
    if (dot) {
        struct catalog *cat = house_catalog(h);
        const char *text = arena_printf(f->arena, "%.*s", (int)(dot - name), name);
        const struct tenant *t = text ? catalog_tenant(cat, text) : NULL;
        tenant = t ? t->id : TENANT_HOUSE;
        catalog_unref(cat);
        if (!t)
            return TM_ENOTFOUND;
        name = dot + 1;
    }
    if (strlen(name) > TMF_NAME_MAX)
        return TM_ENOTFOUND;
    TM_TRY(filter_current(&f->row, &opened, f->arena, h, tenant, name, kind));
    int64_t left = f->row.next_update - clock_now();
    snprintf(f->etag, sizeof f->etag, "\"%" PRIx64 "\"", opened.number);
    snprintf(f->cache, sizeof f->cache, "public, max-age=%d",
             left <= 0        ? 0
             : left < MAX_AGE ? (int)left
                              : MAX_AGE);
    return TM_OK;
}

static void fetch_done(struct task *t)
{
    struct fetch *f = TM_CONTAINER(t, struct fetch, task);
    struct arena *a = f->arena;
    if (f->err == TM_OK) {
        struct representation v = {.type = "application/vnd.touchmark.filter",
                                   .body = f->row.der,
                                   .etag = f->etag,
                                   .modified = f->row.this_update,
                                   .cache_control = f->cache};
        representation_reply(f->r, &v);
    } else {
        bool absent = f->err == TM_ENOTFOUND;
        http_reply(f->r, absent ? 404 : 503, "text/plain",
                   slice_str(absent ? "not found\n" : "not available\n"), NULL);
    }
    arena_free(a);
}

static void fetch_run(struct task *t)
{
    struct fetch *f = TM_CONTAINER(t, struct fetch, task);
    f->err = read_file(f);
    f->task.run = fetch_done;
    executor_post(http_request_executor(f->r), &f->task);
}

static void serve_filter(struct http_request *r)
{
    struct house *h = r->app;
    struct arena *a = arena_new(FILTER_FILE_MAX + (1 << 20));
    struct fetch *f = a ? arena_calloc(a, 1, sizeof *f) : NULL;
    if (!f) {
        arena_free(a);
        http_reply(r, 503, "text/plain", SLICE_LIT("not available\n"), NULL);
        return;
    }
    f->r = r;
    f->arena = a;
    f->task.run = fetch_run;
    executor_post(pool_executor(h->blocking), &f->task);
}

const struct http_route filter_routes[] = {
    {HTTP_M_GET, "/filter/{file}", serve_filter, HTTP_LISTENER_PLAIN | HTTP_LISTENER_PUBLIC_TLS, 0,
     .metric = "status.filter"},
    {0},
};
