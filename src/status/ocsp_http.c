/* OCSP over HTTP (RFC 6960 A.1, RFC 9919 6): from the request's octets over cache, store and signer to the reply. */
#include "base/arena.h"
#include "base/text.h"
#include "issue/house.h"
#include "status/conditional.h"
#include "status/ocsp_impl.h"
#include <stdio.h>
#include <string.h>

enum { MAX_AGE = 3600 };

/* One request; lives in its arena, on its loop but for reading the store. */
struct exchange {
    struct task task;
    struct http_request *r;
    struct house *h;
    struct ocsp_request request;
    struct ocsp_query q;
    struct ocsp_answer *kept; /* one that is due to be made anew, and still holds */
    struct diag diag;
    tm_err err;
    bool signing;
};

/* ---- replies ---- */

static void reply_outcome(struct http_request *r, enum ocsp_outcome o)
{
    static const struct http_header headers[] = {{"Cache-Control", "no-store"}, {0}};
    uint8_t der[OCSP_ERROR_LEN];
    ocsp_error_build(der, o);
    http_reply(r, 200, "application/ocsp-response", SLICE_ARR(der), headers);
}

/* RFC 9919 6.2: a cache may keep it until the responder has a newer one, not for its whole life: a revocation has to get through. */
static void reply_answer(struct http_request *r, const struct ocsp_answer *a, bool may_cache, int64_t now)
{
    char cache[96];
    int64_t age = a->refresh_at > now ? a->refresh_at - now : 60, left = a->next_update - now;
    age = age < MAX_AGE ? age : MAX_AGE;
    age = age < left ? age : left;
    if (may_cache && age > 0)
        snprintf(cache, sizeof cache, "max-age=%d, public, no-transform, must-revalidate", (int)age);
    else
        snprintf(cache, sizeof cache, "no-store");
    struct slice body = slice_of(a->der, a->n);
    if (r->method == HTTP_M_POST) {
        const struct http_header headers[] = {{"Cache-Control", cache}, {0}};
        http_reply(r, 200, "application/ocsp-response", body, headers);
        return;
    }
    struct representation v = {.type = "application/ocsp-response",
                               .body = body,
                               .etag = a->etag,
                               .modified = a->this_update,
                               .expires = may_cache ? a->next_update : 0,
                               .cache_control = cache};
    representation_reply(r, &v);
}

/* Neither store nor signer may be there: what was signed before and still holds is as true as it was. */
static void reply_failed(struct exchange *x)
{
    struct ocsp *o = x->h->ocsp;
    if (x->err == TM_ENOTFOUND) {
        ocsp_count(o, OCSP_UNKNOWN_SERIAL);
        reply_outcome(x->r, OCSP_UNAUTHORIZED);
    } else if (x->kept) {
        ocsp_count(o, OCSP_STALE);
        reply_answer(x->r, x->kept, true, x->q.now);
    } else {
        ocsp_count(o, OCSP_LATER);
        reply_outcome(x->r, OCSP_TRY_LATER);
    }
}

static void end(struct exchange *x)
{
    struct house *h = x->h;
    struct ocsp_answer *kept = x->kept, *fresh = NULL;
    if (x->err == TM_OK)
        x->err = ocsp_query_finish(&fresh, &x->q);
    if (x->signing)
        house_signing_end(h);
    /* The request's arena, and `x` in it, may be gone after the reply. */
    struct catalog *cat = x->q.catalog;
    if (x->err == TM_OK) {
        ocsp_count(h->ocsp, x->q.known ? OCSP_FRESH : OCSP_UNKNOWN_SERIAL);
        reply_answer(x->r, fresh, x->q.known && ocsp_query_cached(&x->q), x->q.now);
    } else {
        reply_failed(x);
    }
    catalog_unref(cat);
    ocsp_answer_unref(kept);
    ocsp_answer_unref(fresh);
    ocsp_leave(h->ocsp);
}

/* ---- on the way ---- */

static void signed_run(struct task *t)
{
    struct exchange *x = TM_CONTAINER(t, struct exchange, q.op.done);
    x->err = x->q.op.err;
    end(x);
}

static void failed_run(struct task *t)
{
    end(TM_CONTAINER(t, struct exchange, task));
}

static void read_run(struct task *t)
{
    struct exchange *x = TM_CONTAINER(t, struct exchange, task);
    struct executor *loop = http_request_executor(x->r);
    x->err = ocsp_query_read(&x->q, &x->diag);
    if (x->err == TM_OK)
        x->err = house_signing_begin(x->h, &x->diag);
    if (x->err != TM_OK) {
        x->task.run = failed_run;
        executor_post(loop, &x->task);
        return;
    }
    x->signing = true;
    x->q.op.done.run = signed_run;
    x->q.op.reply_to = loop;
    signer_submit(x->h->signer, &x->q.op);
}

/* From memory, if there is one that is young enough; else `kept` is what there is. */
static bool reply_cached(struct exchange *x)
{
    if (!ocsp_query_cached(&x->q))
        return false;
    struct ocsp_answer *a = ocsp_cache_find(x->h->ocsp->cache, x->q.key);
    if (!a)
        return false;
    if (x->q.now < a->refresh_at) {
        ocsp_count(x->h->ocsp, OCSP_FROM_CACHE);
        int64_t now = x->q.now;
        ocsp_query_done(&x->q);
        reply_answer(x->r, a, true, now);
        ocsp_answer_unref(a);
        return true;
    }
    if (x->q.now < a->next_update)
        x->kept = a;
    else
        ocsp_answer_unref(a);
    return false;
}

static void refuse(struct exchange *x, enum ocsp_count what, enum ocsp_outcome o)
{
    struct ocsp_answer *kept = x->kept;
    ocsp_count(x->h->ocsp, what);
    ocsp_query_done(&x->q);
    reply_outcome(x->r, o);
    ocsp_answer_unref(kept);
}

static void ask(struct http_request *r, struct slice der)
{
    struct house *h = r->app;
    struct exchange *x = arena_calloc(r->arena, 1, sizeof *x);
    if (!x || !h->ocsp || !h->signer) {
        reply_outcome(r, OCSP_TRY_LATER);
        return;
    }
    x->r = r;
    x->h = h;
    x->q.arena = r->arena;
    if (ocsp_request_parse(&x->request, der, &x->diag) != TM_OK) {
        refuse(x, OCSP_MALFORMED, OCSP_MALFORMED_REQUEST);
    } else if (!ocsp_query_begin(&x->q, h, &x->request)) {
        refuse(x, OCSP_NOT_OURS, OCSP_UNAUTHORIZED);
    } else if (!reply_cached(x)) {
        if (!ocsp_enter(h->ocsp)) {
            refuse(x, OCSP_LATER, OCSP_TRY_LATER);
            return;
        }
        x->task.run = read_run;
        executor_post(pool_executor(h->blocking), &x->task);
    }
}

static void post_ocsp(struct http_request *r)
{
    ask(r, r->body);
}

/* GET {url}/{url-encoding of base64 of the DER}; the path is decoded already, and base64 may bring slashes of its own. */
static void get_ocsp(struct http_request *r)
{
    static const char prefix[] = "/ocsp/";
    struct slice der;
    if (base64_decode(&der, r->arena, slice_str(r->path + sizeof prefix - 1), BASE64_STD) != TM_OK)
        der = (struct slice){0};
    ask(r, der);
}

enum { PUBLIC = HTTP_LISTENER_PUBLIC_TLS | HTTP_LISTENER_PLAIN | HTTP_LISTENER_CONSOLE };
const struct http_route ocsp_routes[] = {
    {.methods = HTTP_M_GET,
     .pattern = "/ocsp/{rest...}",
     .handler = get_ocsp,
     .listeners = PUBLIC,
     .metric = "status.ocsp"},
    {.methods = HTTP_M_POST,
     .pattern = "/ocsp",
     .handler = post_ocsp,
     .listeners = PUBLIC,
     .body_max = OCSP_REQUEST_MAX,
     .metric = "status.ocsp"},
    {.methods = HTTP_M_POST,
     .pattern = "/ocsp/",
     .handler = post_ocsp,
     .listeners = PUBLIC,
     .body_max = OCSP_REQUEST_MAX,
     .metric = "status.ocsp"},
    {0},
};
