/* Recordings from outside: our own lines, or a HAR file. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "trace/trace.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TARGET_MAX = 8192, VALUE_MAX = 16 << 10 };

const char *trace_header(const struct trace_message *m, const char *name)
{
    for (size_t i = 0; i < m->n_headers; i++)
        if (strcasecmp(m->headers[i].name, name) == 0)
            return m->headers[i].value;
    return NULL;
}

static tm_err text(const char **ret, struct arena *a, const json_t *v, size_t max, const char *what,
                   struct diag *diag)
{
    const char *s = json_string_value(v);
    if (!s || strlen(s) > max)
        return diag_fail(diag, TM_EMALFORMED, NULL, what, "%s is missing, not a text or too long", what);
    *ret = arena_strdup(a, s);
    return *ret ? TM_OK : TM_ENOMEM;
}

/* A pair [name, value], or HAR's {"name": …, "value": …}. */
static tm_err header(struct trace_header *ret, struct arena *a, const json_t *v, struct diag *diag)
{
    bool pair = json_is_array(v) && json_array_size(v) == 2;
    TM_TRY(text(&ret->name, a, pair ? json_array_get(v, 0) : json_object_get(v, "name"), VALUE_MAX,
                "a header's name", diag));
    return text(&ret->value, a, pair ? json_array_get(v, 1) : json_object_get(v, "value"), VALUE_MAX,
                "a header's value", diag);
}

static tm_err headers(struct trace_message *ret, struct arena *a, const json_t *list, struct diag *diag)
{
    size_t n = json_array_size(list);
    if (n > TRACE_HEADERS_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "headers", "more than %d headers", TRACE_HEADERS_MAX);
    struct trace_header *v = n ? arena_calloc(a, n, sizeof *v) : NULL;
    if (n && !v)
        return TM_ENOMEM;
    for (size_t i = 0; i < n; i++)
        TM_TRY(header(&v[i], a, json_array_get(list, i), diag));
    ret->headers = v;
    ret->n_headers = n;
    return TM_OK;
}

static tm_err body(struct slice *ret, struct arena *a, const json_t *v, bool base64, struct diag *diag)
{
    if (!v || json_is_null(v))
        return TM_OK;
    if (!json_is_string(v))
        return diag_fail(diag, TM_EMALFORMED, NULL, "body", "a body is not a text");
    struct slice s = slice_of(json_string_value(v), json_string_length(v));
    if (!base64)
        return arena_copy(ret, a, s);
    if (base64_decode(ret, a, s, BASE64_STD) != TM_OK)
        return diag_fail(diag, TM_EMALFORMED, NULL, "body", "a body is not base64");
    return TM_OK;
}

/* "https://name/path?query" or "/path?query": the path on its own, and both. */
static tm_err target(struct trace_exchange *x, struct arena *a, const char *url)
{
    const char *s = url;
    if (strncmp(s, "https://", 8) == 0 || strncmp(s, "http://", 7) == 0) {
        s = strchr(s + 8, '/');
        s = s ? s : "/";
    }
    x->target = s;
    x->path = arena_strndup(a, s, strcspn(s, "?#"));
    return x->path ? TM_OK : TM_ENOMEM;
}

/* ---- our own ---- */

static tm_err message(struct trace_message *ret, struct arena *a, const json_t *v, struct diag *diag)
{
    if (!json_is_object(v))
        return diag_fail(diag, TM_EMALFORMED, NULL, "request", "request and response are objects");
    TM_TRY(headers(ret, a, json_object_get(v, "headers"), diag));
    TM_TRY(body(&ret->body, a, json_object_get(v, "body"), true, diag));
    TM_TRY(body(&ret->inside, a, json_object_get(v, "inside"), true, diag));
    const json_t *why = json_object_get(v, "omitted");
    return why ? text(&ret->omitted, a, why, VALUE_MAX, "omitted", diag) : TM_OK;
}

static tm_err read_exchange(struct trace_exchange *x, struct arena *a, const json_t *v, struct diag *diag)
{
    const char *url;
    const json_t *status = json_object_get(v, "status");
    x->at_ms = json_integer_value(json_object_get(v, "at"));
    TM_TRY(text(&x->method, a, json_object_get(v, "method"), 16, "method", diag));
    TM_TRY(text(&url, a, json_object_get(v, "target"), TARGET_MAX, "target", diag));
    TM_TRY(target(x, a, url));
    if (!json_is_integer(status) || json_integer_value(status) < 0 || json_integer_value(status) > 999)
        return diag_fail(diag, TM_EMALFORMED, NULL, "status", "status is not a number of HTTP's");
    x->status = (int)json_integer_value(status);
    TM_TRY(message(&x->request, a, json_object_get(v, "request"), diag));
    return message(&x->response, a, json_object_get(v, "response"), diag);
}

struct reading {
    struct trace_exchange *v;
    size_t n, cap;
    struct arena *arena;
};

static struct trace_exchange *next(struct reading *r, struct diag *diag)
{
    if (r->n == TRACE_EXCHANGES_MAX) {
        TM_IGNORE(diag_fail(diag, TM_ETOOBIG, NULL, NULL, "more than %d exchanges", TRACE_EXCHANGES_MAX));
        return NULL;
    }
    if (r->n == r->cap) {
        size_t cap = r->cap ? 4 * r->cap : 32;
        struct trace_exchange *v = arena_calloc(r->arena, cap, sizeof *v);
        if (!v) {
            TM_IGNORE(diag_fail(diag, TM_ENOMEM, NULL, NULL, "out of memory"));
            return NULL;
        }
        if (r->n)
            memcpy(v, r->v, r->n * sizeof *v);
        r->v = v;
        r->cap = cap;
    }
    struct trace_exchange *x = &r->v[r->n++];
    x->number = (unsigned)r->n;
    return x;
}

static tm_err read_line(struct reading *r, struct slice line, struct diag *diag)
{
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, line, TRACE_LINE_MAX, diag));
    tm_err e = TM_OK;
    const json_t *version = json_object_get(doc, "version");
    if (json_object_get(doc, "touchmark")) {
        if (json_integer_value(version) != 1)
            e = diag_fail(diag, TM_EUNSUPPORTED, NULL, "version",
                          "this recording is of a version that this program does not know");
    } else {
        struct trace_exchange *x = next(r, diag);
        e = x ? read_exchange(x, r->arena, doc, diag) : r->n == TRACE_EXCHANGES_MAX ? TM_ETOOBIG : TM_ENOMEM;
    }
    json_decref(doc);
    return e;
}

static tm_err read_lines(struct reading *r, struct slice file, struct diag *diag)
{
    for (size_t number = 1; file.n; number++) {
        const uint8_t *end = memchr(file.p, '\n', file.n);
        struct slice line = slice_of(file.p, end ? (size_t)(end - file.p) : file.n);
        file = end ? slice_of(end + 1, file.n - line.n - 1) : slice_of(NULL, 0);
        if (line.n == 0 || (line.n == 1 && line.p[0] == '\r'))
            continue;
        struct diag inner = {0};
        tm_err e = read_line(r, line, &inner);
        if (e != TM_OK)
            return diag_fail(diag, e, NULL, inner.field, "line %zu: %s", number,
                             inner.message[0] ? inner.message : tm_err_name(e));
    }
    return TM_OK;
}

/* ---- HAR 1.2 ---- */

/* "2026-11-21T10:42:07.113Z": the fraction apart. 0 where it is none. */
static int64_t har_time(const char *s)
{
    char whole[32];
    int64_t t;
    int ms = 0;
    const char *dot = s ? strchr(s, '.') : NULL;
    if (!s)
        return 0;
    const char *zone = dot ? dot + 1 + strspn(dot + 1, "0123456789") : "";
    int n = dot ? snprintf(whole, sizeof whole, "%.*s%s", (int)(dot - s < 24 ? dot - s : 24), s, zone)
                : snprintf(whole, sizeof whole, "%s", s);
    if (n < 0 || (size_t)n >= sizeof whole || clock_parse_rfc3339(&t, slice_str(whole)) != TM_OK)
        return 0;
    for (int i = 1, unit = 100; dot && i <= 3 && dot[i] >= '0' && dot[i] <= '9'; i++, unit /= 10)
        ms += (dot[i] - '0') * unit;
    return t * 1000 + ms;
}

static tm_err har_entry(struct trace_exchange *x, struct arena *a, const json_t *v, struct diag *diag)
{
    const char *url;
    const json_t *request = json_object_get(v, "request"), *response = json_object_get(v, "response");
    const json_t *content = json_object_get(response, "content");
    const char *encoding = json_string_value(json_object_get(content, "encoding"));
    x->at_ms = har_time(json_string_value(json_object_get(v, "startedDateTime")));
    TM_TRY(text(&x->method, a, json_object_get(request, "method"), 16, "method", diag));
    TM_TRY(text(&url, a, json_object_get(request, "url"), TARGET_MAX, "url", diag));
    TM_TRY(target(x, a, url));
    int64_t status = json_integer_value(json_object_get(response, "status"));
    x->status = status > 0 && status < 1000 ? (int)status : 0;
    TM_TRY(headers(&x->request, a, json_object_get(request, "headers"), diag));
    TM_TRY(headers(&x->response, a, json_object_get(response, "headers"), diag));
    TM_TRY(body(&x->request.body, a, json_object_get(json_object_get(request, "postData"), "text"), false,
                diag));
    return body(&x->response.body, a, json_object_get(content, "text"),
                encoding && strcmp(encoding, "base64") == 0, diag);
}

static tm_err read_har(struct reading *r, const json_t *log, struct diag *diag)
{
    const json_t *entries = json_object_get(log, "entries");
    if (!json_is_array(entries))
        return diag_fail(diag, TM_EMALFORMED, NULL, "log.entries", "a HAR file has a list log.entries");
    for (size_t i = 0; i < json_array_size(entries); i++) {
        struct trace_exchange *x = next(r, diag);
        if (!x)
            return r->n == TRACE_EXCHANGES_MAX ? TM_ETOOBIG : TM_ENOMEM;
        TM_TRY(har_entry(x, r->arena, json_array_get(entries, i), diag));
    }
    return TM_OK;
}

/* A HAR file is one object whose first member is "log". */
static bool looks_like_har(struct slice file)
{
    static const char key[] = "\"log\"";
    size_t i = 0;
    while (i < file.n && strchr(" \t\r\n{\xef\xbb\xbf", file.p[i]) && file.p[i])
        i++;
    return file.n - i >= sizeof key - 1 && memcmp(file.p + i, key, sizeof key - 1) == 0;
}

tm_err trace_read(struct trace *ret, struct arena *a, struct slice file, struct diag *diag)
{
    struct reading r = {.arena = a};
    if (file.n > TRACE_FILE_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, NULL, "a recording has at most %d MiB",
                         TRACE_FILE_MAX >> 20);
    if (looks_like_har(file)) {
        json_t *doc = NULL;
        TM_TRY(json_parse(&doc, file, TRACE_FILE_MAX, diag));
        tm_err e = read_har(&r, json_object_get(doc, "log"), diag);
        json_decref(doc);
        TM_TRY(e);
    } else {
        TM_TRY(read_lines(&r, file, diag));
    }
    *ret = (struct trace){.v = r.v, .n = r.n};
    return TM_OK;
}
