#include "api/bulk.h"
#include "api/api.h"
#include "api/bulk_line.h"
#include "api/enroll.h"
#include "api/problem.h"
#include "base/arena.h"
#include "issue/house.h"
#include "issue/issue.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BULK_WINDOW = 2048, /* requests under way for one stream */
    BULK_BATCH = 64,    /* lines handed to a worker at once */
    BULK_LINE_MAX = 128 << 10,
    BULK_ITEM_ARENA = 1 << 20,
    BULK_ITEM_USUAL = 14 << 10, /* what almost every request takes, with all that is made for it */
    BULK_SPARE = 512,           /* arenas kept for the next lines */
    BULK_FLUSH = 32 << 10,      /* results collected before they are sent, within one turn of the loop */
    BULK_OUT_MAX = 64 << 20,
};

/* One stream. Everything but parsing and issuing happens on the request's loop, so that nothing here needs a lock. */
struct bulk {
    struct http_request *request;
    struct api_call call;
    struct task open, opened, flush;
    struct diag diag;
    tm_err err;
    struct buf lines; /* octets that are no whole line yet */
    struct buf out;   /* results of this turn */
    uint64_t line;    /* number of the last line read, from 1 */
    size_t under_way;
    bool authorized, ended, flushing, paused;
    bool starved; /* lines wait for memory */
    struct arena *spare[BULK_SPARE];
    size_t n_spare;
};

struct item {
    struct issue_request r;
    struct bulk *b;
    uint64_t line;
    const char *id;
    bool unread; /* the line itself was bad: r.diag says why */
};

/* Lines on their way to a worker. */
struct batch {
    struct task task;
    struct bulk *b;
    size_t n;
    struct {
        uint64_t line;
        size_t at, n;
        struct arena *arena;
    } v[BULK_BATCH];
    char text[];
};

static void take_lines(struct bulk *b);

/* ---- results, on the loop ---- */

static void finish_if_over(struct bulk *b)
{
    if (!b->ended || b->under_way > 0 || b->flushing)
        return;
    struct http_request *r = b->request;
    http_reply_on_drain(r, NULL);
    http_reply_end(r);
    buf_done(&b->lines);
    buf_done(&b->out);
    for (size_t i = 0; i < b->n_spare; i++)
        arena_free(b->spare[i]);
    catalog_unref(b->call.catalog);
    free(b);
}

static void flush(struct task *t)
{
    struct bulk *b = TM_CONTAINER(t, struct bulk, flush);
    b->flushing = false;
    http_reply_chunk(b->request, buf_slice(&b->out));
    buf_reset(&b->out);
    take_lines(b);
    finish_if_over(b);
}

static void flush_later(struct bulk *b)
{
    if (b->flushing)
        return;
    b->flushing = true;
    b->flush.run = flush;
    executor_post(http_request_executor(b->request), &b->flush);
}

static void put_unread(struct buf *out, const struct item *x)
{
    buf_printf(out,
               "{\"id\":\"\",\"line\":%llu,\"status\":\"failed\",\"error\":", (unsigned long long)x->line);
    buf_put_json_string(out, slice_str(tm_err_name(x->r.err)));
    buf_puts(out, ",\"field\":");
    buf_put_json_string(out, slice_str(x->r.diag.field));
    buf_puts(out, ",\"detail\":");
    buf_put_json_string(out, slice_str(x->r.diag.message));
    buf_puts(out, "}");
}

static void item_done(struct task *t)
{
    struct item *x = TM_CONTAINER(TM_CONTAINER(t, struct issue_request, done), struct item, r);
    struct bulk *b = x->b;
    if (x->unread)
        put_unread(&b->out, x);
    else
        enroll_result(&b->out, &x->r, x->id, true);
    buf_putc(&b->out, '\n');
    b->under_way--;
    struct arena *a = x->r.arena;
    if (b->n_spare < BULK_SPARE) {
        arena_reset(a);
        b->spare[b->n_spare++] = a;
    } else {
        arena_free(a);
    }
    if (b->out.n >= BULK_FLUSH) {
        http_reply_chunk(b->request, buf_slice(&b->out));
        buf_reset(&b->out);
    }
    flush_later(b);
}

/* ---- parsing, on a worker ---- */

/* As a JSON document may have it: any form, and what is wrong with it said. */
static tm_err item_parse_json(struct item *x, struct arena *a, const struct bulk *b, struct slice line,
                              const char *request_id, struct issue_request *ret, struct diag *diag)
{
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, line, BULK_LINE_MAX, diag));
    const char *given = json_string_value(json_object_get(doc, "id"));
    x->id = arena_strdup(a, given ? given : "");
    tm_err e = x->id ? TM_OK : TM_ENOMEM;
    if (e == TM_OK && json_object_get(doc, "proposed"))
        e = diag_fail(diag, TM_EINVAL, NULL, "/proposed", "a profile is tried with one request at a time");
    if (e == TM_OK)
        e = enroll_fill(ret, a, &b->call, doc, request_id, diag);
    json_decref(doc);
    return e;
}

static tm_err item_parse_plain(struct item *x, struct arena *a, const struct bulk *b,
                               const struct bulk_line *line, const char *request_id,
                               struct issue_request *ret, struct diag *diag)
{
    /* The line's text goes with its batch; certificate requests are decoded from it at once. */
    struct enroll_doc d = {
        .csr = line->csr,
        .profile = line->profile[0] ? arena_strdup(a, line->profile) : "",
        .endpoint = line->endpoint[0] ? arena_strdup(a, line->endpoint) : "",
        .device = line->device[0] ? arena_strdup(a, line->device) : "",
        .idempotency_key = line->idempotency_key[0] ? arena_strdup(a, line->idempotency_key) : "",
        .renews = "",
    };
    x->id = arena_strdup(a, line->id);
    if (!x->id || !d.profile || !d.endpoint || !d.device || !d.idempotency_key)
        return TM_ENOMEM;
    return enroll_fill_from(ret, a, &b->call, &d, request_id, diag);
}

static tm_err item_parse(struct item *x, struct arena *a, const struct bulk *b, char *text, size_t n)
{
    char id[96];
    struct bulk_line line;
    struct diag diag = {0};
    struct issue_request r = {0};
    snprintf(id, sizeof id, "%s-%llu", b->call.request_id, (unsigned long long)x->line);
    const char *request_id = arena_strdup(a, id);
    tm_err e = TM_ENOMEM;
    if (request_id && bulk_line_read(&line, text, n))
        e = item_parse_plain(x, a, b, &line, request_id, &r, &diag);
    else if (request_id)
        e = item_parse_json(x, a, b, slice_of(text, n), request_id, &r, &diag);
    x->r = r;
    x->r.diag = diag;
    return e;
}

static void run_batch(struct task *t)
{
    struct batch *batch = TM_CONTAINER(t, struct batch, task);
    struct bulk *b = batch->b;
    for (size_t i = 0; i < batch->n; i++) {
        struct arena *a = batch->v[i].arena;
        struct item *x = arena_calloc(
            a, 1, sizeof *x); /* the arena's first block has room for it: checked when it was made */
        x->b = b;
        x->line = batch->v[i].line;
        tm_err e = item_parse(x, a, b, batch->text + batch->v[i].at, batch->v[i].n);
        x->r.arena = a;
        x->r.house = b->call.house;
        x->r.bulk = true;
        x->r.reply_to = http_request_executor(b->request);
        x->r.done.run = item_done;
        if (e == TM_OK) {
            issue_submit(&x->r);
            continue;
        }
        x->r.err = e;
        x->r.outcome = ISSUE_FAILED;
        x->unread = !x->id;
        if (!x->unread && tm_err_class(e) == TM_CLASS_DENIED) {
            x->r.outcome = ISSUE_DENIED;
            x->r.decision.rule = x->r.diag.rule;
            x->r.decision.reason = x->r.diag.message;
        }
        executor_post(x->r.reply_to, &x->r.done);
    }
    free(batch);
}

/* ---- lines, on the loop ---- */

static struct arena *take_arena(struct bulk *b)
{
    if (b->n_spare > 0)
        return b->spare[--b->n_spare];
    return arena_new_sized(BULK_ITEM_ARENA, BULK_ITEM_USUAL);
}

/* The stream ends early, and says so: what was taken before is issued and answered all the same. */
static void give_up(struct bulk *b, tm_err e, const char *why)
{
    b->err = e;
    buf_reset(&b->lines);
    buf_printf(
        &b->out,
        "{\"id\":\"\",\"line\":%llu,\"status\":\"failed\",\"error\":\"%s\",\"detail\":\"%s; the rest of the stream was "
        "not read\"}\n",
        (unsigned long long)b->line + 1, tm_err_name(e), why);
    flush_later(b);
}

/* An empty batch for `n` lines of `octets` in all, each with its arena; fewer where memory is short, NULL where there is none. */
static struct batch *batch_new(struct bulk *b, size_t n, size_t octets)
{
    struct batch *batch = malloc(sizeof *batch + octets);
    if (!batch)
        return NULL;
    batch->b = b;
    batch->task.run = run_batch;
    batch->n = 0;
    while (batch->n < n && (batch->v[batch->n].arena = take_arena(b)))
        batch->n++;
    if (batch->n > 0)
        return batch;
    free(batch);
    return NULL;
}

/* One worker's share of the whole lines at hand; false when there is none, no room in the window, or no memory. */
static bool take_batch(struct bulk *b)
{
    const char *text = (const char *)b->lines.p;
    size_t at = 0, last = 0, n = 0;
    uint64_t line = b->line;
    struct {
        size_t at, n;
        uint64_t line;
    } found[BULK_BATCH];
    while (n < BULK_BATCH && b->under_way + n < BULK_WINDOW && at < b->lines.n) {
        const char *nl = memchr(text + at, '\n', b->lines.n - at);
        if (!nl && !b->ended)
            break;
        size_t len = nl ? (size_t)(nl - text) - at : b->lines.n - at;
        line++;
        if (slice_trim(slice_of(text + at, len)).n > 0) {
            found[n].at = at;
            found[n].n = len;
            found[n++].line = line;
        }
        at += len + (nl != NULL);
        last = at;
    }
    if (n == 0) {
        b->line = line;
        buf_consume(&b->lines, last);
        return false;
    }
    struct batch *batch = batch_new(b, n, last);
    if (!batch) {
        /* Those that are under way give their memory back when they are done; then it goes on. */
        b->starved = b->under_way > 0;
        if (!b->starved)
            give_up(b, TM_ENOMEM, "out of memory");
        return false;
    }
    b->starved = false;
    if (batch->n < n) {
        last = found[batch->n].at;
        line = found[batch->n].line - 1;
    }
    for (size_t i = 0; i < batch->n; i++) {
        batch->v[i].line = found[i].line;
        batch->v[i].at = found[i].at;
        batch->v[i].n = found[i].n;
    }
    memcpy(batch->text, text, last);
    b->line = line;
    buf_consume(&b->lines, last);
    b->under_way += batch->n;
    executor_post(pool_behind(b->call.house->crypto), &batch->task);
    return true;
}

static void take_lines(struct bulk *b)
{
    if (!b->authorized)
        return;
    while (take_batch(b))
        continue;
    /* A line that never ends, or a window that is full: the body waits. */
    bool full = b->starved || b->under_way >= BULK_WINDOW || http_reply_pending(b->request) > (4 << 20);
    if (full && !b->paused && !b->ended) {
        b->paused = true;
        http_body_pause(b->request);
    } else if (!full && b->paused) {
        b->paused = false;
        http_body_resume(b->request);
    }
}

void bulk_body(struct http_request *r, struct slice data)
{
    struct bulk *b = r->handler_data;
    if (!b || (b->authorized && b->err != TM_OK))
        return;
    buf_put_slice(&b->lines, data);
    if (buf_err(&b->lines) != TM_OK) {
        give_up(b, TM_ETOOBIG, "a line has at most 131072 octets");
        return;
    }
    take_lines(b);
}

void bulk_end(struct http_request *r, bool ok)
{
    struct bulk *b = r->handler_data;
    (void)ok; /* a peer that has gone: what was read is issued and recorded all the same */
    if (!b)
        return;
    b->ended = true;
    if (!b->authorized)
        return;
    take_lines(b);
    finish_if_over(b);
}

/* ---- begin ---- */

/* The output has drained: the body may go on. */
static void drained(struct http_request *r)
{
    take_lines(r->handler_data);
}

static void opened(struct task *t)
{
    struct bulk *b = TM_CONTAINER(t, struct bulk, opened);
    struct http_request *r = b->request;
    if (b->err != TM_OK) {
        struct buf out;
        buf_init(&out, 8192);
        api_problem(&out, b->err, &b->diag, r->id);
        struct http_header headers[] = {{"Connection", "close"}, {0}};
        r->handler_data = NULL;
        http_reply(r, api_status_of(b->err), "application/problem+json", buf_slice(&out), headers);
        buf_done(&out);
        buf_done(&b->lines);
        buf_done(&b->out);
        catalog_unref(b->call.catalog);
        free(b);
        return;
    }
    b->authorized = true;
    http_reply_begin(r, 200, "application/x-ndjson", NULL);
    http_reply_on_drain(r, drained);
    b->paused = false;
    http_body_resume(r);
    take_lines(b);
    finish_if_over(b);
}

static void open_stream(struct task *t)
{
    struct bulk *b = TM_CONTAINER(t, struct bulk, open);
    b->err = api_call_open(&b->call, b->request, &b->diag);
    if (b->err == TM_OK)
        b->err = api_may(&b->call, ROLE_ADMIN | ROLE_OPERATOR, "certificates", HTTP_M_POST, &b->diag);
    executor_post(http_request_executor(b->request), &b->opened);
}

void bulk_begin(struct http_request *r)
{
    struct house *h = r->app;
    struct bulk *b = calloc(1, sizeof *b);
    if (!b) {
        http_reply(r, 503, "text/plain", SLICE_LIT("out of memory\n"), NULL);
        return;
    }
    r->handler_data = b;
    b->request = r;
    b->open.run = open_stream;
    b->opened.run = opened;
    /* Whole lines leave at once; what stays is one unfinished line, and what one read of the socket brings. */
    buf_init(&b->lines, BULK_LINE_MAX + (1 << 20));
    buf_init(&b->out, BULK_OUT_MAX);
    b->paused = true;
    http_body_pause(r);
    executor_post(pool_executor(h->blocking), &b->open);
}
