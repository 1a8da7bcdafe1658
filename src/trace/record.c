#include "trace/record.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LABEL_MAX = 128, LINE_MAX_OCTETS = 512 << 10 };

struct recording {
    char id[TRACE_ID_LEN + 1]; /* "": this place is free */
    tenant_id tenant;
    const struct trace_protocol *protocol;
    char label[LABEL_MAX];
    int64_t until_ms;
    const char *ended_by; /* NULL while it runs */
    size_t exchanges;
    struct buf lines; /* each with its newline */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct recording all[TRACE_RECORDINGS_MAX];
static atomic_uint under_way; /* how many of them are not free */

/* ---- life; with the lock ---- */

static void forget(struct recording *g)
{
    buf_done(&g->lines);
    *g = (struct recording){0};
    atomic_fetch_sub(&under_way, 1);
}

static void look_at_the_clock(void)
{
    int64_t now = clock_now_ms();
    for (size_t i = 0; i < TRACE_RECORDINGS_MAX; i++) {
        if (!all[i].id[0])
            continue;
        if (!all[i].ended_by && now >= all[i].until_ms)
            all[i].ended_by = "time";
        if (now >= all[i].until_ms + TRACE_RECORDING_KEPT_S * 1000LL)
            forget(&all[i]);
    }
}

static struct recording *find(tenant_id tenant, const char *id)
{
    look_at_the_clock();
    for (size_t i = 0; i < TRACE_RECORDINGS_MAX; i++)
        if (all[i].id[0] && all[i].tenant == tenant && strcmp(all[i].id, id) == 0)
            return &all[i];
    return NULL;
}

static void describe(struct trace_recording *ret, const struct recording *g)
{
    *ret = (struct trace_recording){.running = !g->ended_by,
                                    .ended_by = g->ended_by ? g->ended_by : "",
                                    .exchanges = g->exchanges,
                                    .next = g->lines.n};
    memcpy(ret->id, g->id, sizeof ret->id);
}

tm_err trace_record_start(char ret_id[TRACE_ID_LEN + 1], tenant_id tenant, const struct trace_protocol *p,
                          const char *label, int64_t seconds, struct diag *diag)
{
    uint8_t id[TRACE_ID_LEN / 2];
    struct recording *place = NULL;
    if (strlen(label) >= LABEL_MAX)
        return diag_fail(diag, TM_EINVAL, NULL, "/endpoint", "the endpoint's name is too long");
    TM_TRY(random_bytes(id, sizeof id));
    pthread_mutex_lock(&lock);
    look_at_the_clock();
    for (size_t i = 0; i < TRACE_RECORDINGS_MAX && !place; i++)
        place = all[i].id[0] ? NULL : &all[i];
    if (place) {
        *place =
            (struct recording){.tenant = tenant, .protocol = p, .until_ms = clock_now_ms() + seconds * 1000};
        hex_encode(place->id, SLICE_ARR(id));
        snprintf(place->label, sizeof place->label, "%s", label);
        buf_init(&place->lines, TRACE_RECORDING_OCTETS);
        atomic_fetch_add(&under_way, 1);
        memcpy(ret_id, place->id, sizeof place->id);
    }
    pthread_mutex_unlock(&lock);
    return place ? TM_OK
                 : diag_fail(diag, TM_EQUOTA, "trace.recordings", NULL,
                             "%d recordings are under way or wait to be fetched; stop one, or wait",
                             TRACE_RECORDINGS_MAX);
}

tm_err trace_record_read(struct trace_recording *ret, struct buf *out, tenant_id tenant, const char *id,
                         size_t after, size_t most)
{
    tm_err e = TM_ENOTFOUND;
    pthread_mutex_lock(&lock);
    struct recording *g = find(tenant, id);
    if (g && (after > g->lines.n || (after > 0 && g->lines.p[after - 1] != '\n'))) {
        e = TM_EINVAL;
    } else if (g) {
        size_t at = after;
        describe(ret, g);
        while (at < g->lines.n) {
            const uint8_t *end = memchr(g->lines.p + at, '\n', g->lines.n - at);
            size_t n = end ? (size_t)(end - g->lines.p) - at : g->lines.n - at;
            if (at > after && at + n - after > most)
                break;
            buf_puts(out, at > after ? "," : "");
            buf_put(out, g->lines.p + at, n);
            at += n + 1;
        }
        ret->next = at;
        e = buf_err(out);
    }
    pthread_mutex_unlock(&lock);
    return e;
}

tm_err trace_record_stop(struct trace_recording *ret, tenant_id tenant, const char *id)
{
    pthread_mutex_lock(&lock);
    struct recording *g = find(tenant, id);
    if (g) {
        describe(ret, g);
        forget(g);
    }
    pthread_mutex_unlock(&lock);
    return g ? TM_OK : TM_ENOTFOUND;
}

void trace_record_close(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < TRACE_RECORDINGS_MAX; i++)
        if (all[i].id[0])
            forget(&all[i]);
    pthread_mutex_unlock(&lock);
}

/* ---- one exchange ---- */

/* The headers that say something to a decoder; credentials by their scheme only. */
static const char *const told_headers[] = {
    "Host", "Content-Type", "Content-Transfer-Encoding", "Accept", "User-Agent", "Prefer", "If-None-Match"};

static void put_pair(struct buf *b, bool *first, const char *name, const char *value)
{
    buf_puts(b, *first ? "[" : ",[");
    buf_put_json_string(b, slice_str(name));
    buf_putc(b, ',');
    buf_put_json_string(b, slice_str(value));
    buf_putc(b, ']');
    *first = false;
}

static void put_body(struct buf *b, struct slice body, bool secret)
{
    if (secret && body.n) {
        buf_puts(b, ",\"omitted\":\"it may hold a secret\"");
    } else if (body.n > TRACE_BODY_KEPT) {
        buf_printf(b, ",\"omitted\":\"%zu octets\"", body.n);
    } else if (body.n) {
        buf_puts(b, ",\"body\":\"");
        buf_put_base64(b, body, BASE64_STD, 0);
        buf_putc(b, '"');
    }
}

/* What the door has opened or sealed (http/server.h). */
static void put_inside(struct buf *b, struct slice inside)
{
    if (inside.n == 0 || inside.n > TRACE_BODY_KEPT)
        return;
    buf_puts(b, ",\"inside\":\"");
    buf_put_base64(b, inside, BASE64_STD, 0);
    buf_putc(b, '"');
}

static const char *method_name(enum http_method m)
{
    switch (m) {
    case HTTP_M_GET:
        return "GET";
    case HTTP_M_HEAD:
        return "HEAD";
    case HTTP_M_POST:
        return "POST";
    case HTTP_M_PUT:
        return "PUT";
    case HTTP_M_DELETE:
        return "DELETE";
    case HTTP_M_PATCH:
        return "PATCH";
    case HTTP_M_OPTIONS:
        return "OPTIONS";
    }
    return "?";
}

static void put_request(struct buf *b, const struct http_request *r)
{
    bool first = true;
    char scheme[64];
    buf_puts(b, "{\"headers\":[");
    for (size_t i = 0; i < sizeof told_headers / sizeof *told_headers; i++) {
        const char *value = http_request_header(r, told_headers[i]);
        if (value)
            put_pair(b, &first, told_headers[i], value);
    }
    const char *auth = http_request_header(r, "Authorization");
    if (auth) {
        size_t n = strcspn(auth, " ");
        bool told = auth[n] == ' ' && n <= 20; /* else it may be the credential itself */
        snprintf(scheme, sizeof scheme, "%.*s (not recorded)", told ? (int)n : 0, auth);
        put_pair(b, &first, "Authorization", scheme);
    }
    buf_putc(b, ']');
    put_body(b, r->body, false);
    put_inside(b, r->opened);
    buf_putc(b, '}');
}

static void put_response(struct buf *b, const char *type, struct slice body, struct slice inside,
                         const struct http_header *headers, bool secret)
{
    bool first = true;
    buf_puts(b, "{\"headers\":[");
    if (type)
        put_pair(b, &first, "Content-Type", type);
    for (; headers && headers->name; headers++)
        if (strcasecmp(headers->name, "Set-Cookie") != 0)
            put_pair(b, &first, headers->name, headers->value);
    buf_putc(b, ']');
    put_body(b, body, secret);
    if (!secret)
        put_inside(b, inside);
    buf_putc(b, '}');
}

static void put_exchange(struct buf *b, const struct http_request *r, int status, const char *type,
                         struct slice body, const struct http_header *headers, bool secret)
{
    buf_printf(b, "{\"at\":%lld,\"method\":\"%s\",\"target\":", (long long)clock_now_ms(),
               method_name(r->method));
    buf_put_json_string(b, slice_str(r->raw_target));
    buf_puts(b, ",\"peer\":");
    buf_put_json_string(b, slice_str(r->peer ? r->peer : ""));
    buf_puts(b, ",\"request\":");
    put_request(b, r);
    buf_printf(b, ",\"status\":%d,\"response\":", status);
    put_response(b, type, body, r->sealed, headers, secret);
    buf_puts(b, "}\n");
}

static void keep(struct recording *g, const struct buf *line)
{
    if (g->lines.n + line->n > TRACE_RECORDING_OCTETS) {
        g->ended_by = "size";
        g->until_ms = clock_now_ms();
        return;
    }
    buf_put_slice(&g->lines, buf_slice(line));
    if (buf_err(&g->lines) != TM_OK) /* out of memory: what is there stays whole */
        g->ended_by = "size";
    else
        g->exchanges++;
}

void trace_record_exchange(void *app, const struct http_request *r, int status, const char *type,
                           struct slice body, const struct http_header *headers)
{
    (void)app;
    if (atomic_load_explicit(&under_way, memory_order_relaxed) == 0 || !r->path)
        return;
    pthread_mutex_lock(&lock);
    look_at_the_clock();
    for (size_t i = 0; i < TRACE_RECORDINGS_MAX; i++) {
        struct recording *g = &all[i];
        if (!g->id[0] || g->ended_by || !g->protocol->ours(r->path, g->label))
            continue;
        struct buf line;
        buf_init(&line, LINE_MAX_OCTETS);
        put_exchange(&line, r, status, type, body, headers,
                     status == 200 && g->protocol->secret && g->protocol->secret(r->path));
        if (buf_err(&line) == TM_OK)
            keep(g, &line);
        buf_done(&line);
    }
    pthread_mutex_unlock(&lock);
}
