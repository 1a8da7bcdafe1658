/* The API over HTTP: one call a request, on a thread that may block; answers go back to the request's loop. */
#include "api/api.h"
#include "api/bulk.h"
#include "api/live.h"
#include "api/principal.h"
#include "api/problem.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/task.h"
#include "issue/house.h"
#include "issue/issue.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 64 << 20, ANSWER_MAX = 256 << 20, STREAM_CHUNK = 64 << 10, STREAM_AHEAD = 1 << 20 };

/* A streaming answer: the worker writes, the loop sends. `ahead` bounds what lies between them. */
struct stream {
    pthread_mutex_t lock;
    pthread_cond_t drained;
    size_t ahead;
    bool begun, gone;
};

struct exchange {
    struct http_request *request;
    struct api_call call;
    struct task work, answer;
    struct buf pending; /* of a streaming answer, not handed to the loop yet */
    struct stream stream;
};

struct chunk {
    struct task task;
    struct exchange *x;
    int status; /* of the answer, for the first chunk to begin it with */
    const char *type;
    size_t n;
    uint8_t data[];
};

/* ---- streaming answers ---- */

static void on_drain(struct http_request *r)
{
    struct exchange *x = r->handler_data;
    pthread_mutex_lock(&x->stream.lock);
    x->stream.ahead = http_reply_pending(r);
    pthread_cond_signal(&x->stream.drained);
    pthread_mutex_unlock(&x->stream.lock);
}

static void begin_on_loop(struct exchange *x, const struct chunk *first)
{
    if (x->stream.begun)
        return;
    x->stream.begun = true;
    http_reply_begin(x->request, first->status, first->type, NULL);
    http_reply_on_drain(x->request, on_drain);
}

static void send_chunk(struct task *t)
{
    struct chunk *c = TM_CONTAINER(t, struct chunk, task);
    struct exchange *x = c->x;
    begin_on_loop(x, c);
    http_reply_chunk(x->request, slice_of(c->data, c->n));
    pthread_mutex_lock(&x->stream.lock);
    x->stream.gone = http_request_aborted(x->request);
    x->stream.ahead = x->stream.gone ? 0 : http_reply_pending(x->request);
    pthread_cond_signal(&x->stream.drained);
    pthread_mutex_unlock(&x->stream.lock);
    free(c);
}

static tm_err flush_pending(struct exchange *x)
{
    if (x->pending.n == 0)
        return TM_OK;
    struct chunk *c = malloc(sizeof *c + x->pending.n);
    if (!c)
        return TM_ENOMEM;
    *c = (struct chunk){
        .task.run = send_chunk, .x = x, .status = 200, .type = x->call.answer_type, .n = x->pending.n};
    memcpy(c->data, x->pending.p, x->pending.n);
    buf_reset(&x->pending);
    pthread_mutex_lock(&x->stream.lock);
    while (x->stream.ahead > STREAM_AHEAD && !x->stream.gone)
        pthread_cond_wait(&x->stream.drained, &x->stream.lock);
    x->stream.ahead += c->n;
    bool gone = x->stream.gone;
    pthread_mutex_unlock(&x->stream.lock);
    if (gone) {
        free(c);
        return TM_ETIMEOUT;
    }
    executor_post(http_request_executor(x->request), &c->task);
    return TM_OK;
}

static tm_err stream_write(struct api_call *c, struct slice data)
{
    struct exchange *x = c->write_arg;
    buf_put_slice(&x->pending, data);
    TM_TRY(buf_err(&x->pending));
    return x->pending.n < STREAM_CHUNK ? TM_OK : flush_pending(x);
}

/* ---- one call ---- */

/* All that the exchange holds but for the answer's body: it lives in the request's arena, which ends with the reply. */
static void let_go(struct exchange *x)
{
    buf_done(&x->pending);
    catalog_unref(x->call.catalog);
    pthread_cond_destroy(&x->stream.drained);
    pthread_mutex_destroy(&x->stream.lock);
}

/* A stream that failed under way must not look whole: its client gets an end of the connection instead of an end of the answer. */
static void end_stream(struct exchange *x)
{
    struct http_request *r = x->request;
    struct api_call *c = &x->call;
    bool cut = c->status >= 400 && !http_request_aborted(r);
    if (cut)
        log_error(r->id, "api.cut-short", LOG_S("path", r->path), LOG_S("why", buf_str(&c->out)));
    http_reply_on_drain(r, NULL);
    buf_done(&c->out);
    let_go(x);
    if (cut)
        http_reply_abort(r);
    else
        http_reply_end(r);
}

static const char *allow_text(struct arena *a, unsigned methods)
{
    return arena_printf(a, "%s%s%s%s", methods & HTTP_M_GET ? ", GET, HEAD" : "",
                        methods & HTTP_M_POST ? ", POST" : "", methods & HTTP_M_PUT ? ", PUT" : "",
                        methods & HTTP_M_DELETE ? ", DELETE" : "");
}

static void answer(struct task *t)
{
    struct exchange *x = TM_CONTAINER(t, struct exchange, answer);
    struct http_request *r = x->request;
    struct api_call *c = &x->call;
    if (x->stream.begun) {
        end_stream(x);
        return;
    }
    char etag[32], retry[24];
    struct http_header headers[10] = {{"Cache-Control", "no-store"}};
    size_t n = 1;
    if (c->location)
        headers[n++] = (struct http_header){"Location", c->location};
    if (c->etag) {
        snprintf(etag, sizeof etag, "\"%lld\"", (long long)c->etag);
        headers[n++] = (struct http_header){"ETag", etag};
    }
    for (size_t i = 0; i < 2; i++)
        if (c->set_cookie[i])
            headers[n++] = (struct http_header){"Set-Cookie", c->set_cookie[i]};
    if (c->retry_after) {
        snprintf(retry, sizeof retry, "%lld", (long long)c->retry_after);
        headers[n++] = (struct http_header){"Retry-After", retry};
    }
    const char *allow = c->status == 405 ? allow_text(r->arena, c->allow) : NULL;
    if (allow && allow[0])
        headers[n++] = (struct http_header){"Allow", allow + sizeof ", " - 1};
    if (c->status == 401)
        headers[n++] = (struct http_header){"WWW-Authenticate", "Bearer realm=\"touchmark\""};
    struct buf out = c->out;
    let_go(x);
    http_reply(r, c->status, out.n ? c->answer_type : NULL, buf_slice(&out), headers);
    buf_done(&out);
}

static void problem(struct exchange *x, tm_err e, const struct diag *diag)
{
    x->call.status = api_status_of(e);
    x->call.answer_type = "application/problem+json";
    buf_reset(&x->call.out);
    api_problem(&x->call.out, e, diag, x->call.request_id);
}

tm_err api_call_open(struct api_call *c, struct http_request *r, struct diag *diag)
{
    c->house = r->app;
    c->catalog = house_catalog(c->house);
    c->arena = r->arena;
    c->request_id = r->id;
    c->method = r->method == HTTP_M_HEAD ? HTTP_M_GET : r->method;
    c->query = r->query;
    c->body = r->body;
    c->content_type = http_request_header(r, "Content-Type");
    c->accept = http_request_header(r, "Accept");
    c->idempotency_key = http_request_header(r, "Idempotency-Key");
    c->if_match = http_request_header(r, "If-Match");
    c->peer = r->peer;
    c->host = http_request_header(r, "Host");
    c->origin = http_request_header(r, "Origin");
    c->agent = http_request_header(r, "User-Agent");
    c->cookie = http_request_header(r, "Cookie");
    TM_TRY(api_tenant_from_path(c, r->path, diag));
    struct api_credentials who = {
        .authorization = http_request_header(r, "Authorization"),
        .client_cert = r->client_cert,
        .cookie = c->cookie,
        .csrf = http_request_header(r, "X-Touchmark-CSRF"),
    };
    if (strncmp(r->peer, "unix:", 5) == 0) {
        who.local = arena_printf(c->arena, "local:%s", r->peer + 5);
        if (!who.local)
            return TM_ENOMEM;
    }
    tm_err e = api_authenticate(c, &who, diag);
    if (e == TM_EAUTH)
        refusal_note(c->house, c->tenant->id, DOOR_REST, "api", r->peer, diag->rule, diag->message);
    return e;
}

static void work(struct task *t)
{
    struct exchange *x = TM_CONTAINER(t, struct exchange, work);
    struct api_call *c = &x->call;
    struct diag diag = {0};
    tm_err e = api_call_open(c, x->request, &diag);
    if (e != TM_OK)
        problem(x, e, &diag);
    else
        api_dispatch(c);
    /* What a streaming handler left. When it failed before its first chunk, the problem document is the answer. */
    if (x->pending.n > 0 && c->status < 400)
        TM_IGNORE(flush_pending(x));
    executor_post(http_request_executor(x->request), &x->answer);
}

static void handle(struct http_request *r)
{
    struct house *h = r->app;
    struct exchange *x = arena_calloc(r->arena, 1, sizeof *x);
    if (!x) {
        http_reply(r, 503, "text/plain", SLICE_LIT("out of memory\n"), NULL);
        return;
    }
    r->handler_data = x;
    x->request = r;
    x->work.run = work;
    x->answer.run = answer;
    buf_init(&x->call.out, ANSWER_MAX);
    buf_init(&x->pending, 4 * STREAM_CHUNK);
    pthread_mutex_init(&x->stream.lock, NULL);
    pthread_cond_init(&x->stream.drained, NULL);
    x->call.write = stream_write;
    x->call.write_arg = x;
    executor_post(pool_executor(h->blocking), &x->work);
}

void api_http_error(void *app, struct http_request *r, int status, const char *detail)
{
    (void)app;
    const char *path = r->path[0] ? r->path : r->raw_target;
    if (strncmp(path, "/api/", 5) != 0)
        return;
    struct buf out;
    buf_init(&out, 8192);
    buf_puts(&out, "{\"type\":\"about:blank\",\"title\":");
    buf_put_json_string(&out, slice_str(http_status_text(status)));
    buf_printf(&out, ",\"status\":%d,\"detail\":", status);
    buf_put_json_string(&out, slice_str(detail));
    buf_puts(&out, ",\"request_id\":");
    buf_put_json_string(&out, slice_str(r->id));
    buf_puts(&out, "}\n");
    http_reply(r, status, "application/problem+json", buf_slice(&out), NULL);
    buf_done(&out);
}

enum {
    API_METHODS = HTTP_M_GET | HTTP_M_POST | HTTP_M_PUT | HTTP_M_DELETE,
    API_LISTENERS = HTTP_LISTENER_PUBLIC_TLS | HTTP_LISTENER_CONSOLE | HTTP_LISTENER_UNIX,
};

const struct http_route api_http_routes[] = {
    {.methods = HTTP_M_POST,
     .pattern = "/api/v1/enroll/bulk",
     .handler = bulk_begin,
     .on_body = bulk_body,
     .on_end = bulk_end,
     .listeners = API_LISTENERS,
     .body_max = SIZE_MAX,
     .metric = "api.bulk"},
    {.methods = HTTP_M_POST,
     .pattern = "/api/v1/tenants/{tenant}/enroll/bulk",
     .handler = bulk_begin,
     .on_body = bulk_body,
     .on_end = bulk_end,
     .listeners = API_LISTENERS,
     .body_max = SIZE_MAX,
     .metric = "api.bulk"},
    {.methods = HTTP_M_GET,
     .pattern = "/api/v1/events/stream",
     .handler = live_begin,
     .listeners = API_LISTENERS,
     .metric = "api.events"},
    {.methods = HTTP_M_GET,
     .pattern = "/api/v1/tenants/{tenant}/events/stream",
     .handler = live_begin,
     .listeners = API_LISTENERS,
     .metric = "api.events"},
    {.methods = API_METHODS,
     .pattern = "/api/v1/{rest...}",
     .handler = handle,
     .listeners = API_LISTENERS,
     .body_max = BODY_MAX,
     .metric = "api"},
    {0},
};
