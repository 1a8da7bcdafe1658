#include "http/target.h"
#include "base/arena.h"
#include "base/text.h"
#include "http/server.h"
#include <strings.h>

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* Percent-decoding (RFC 3986 section 2.1), once. What it yields is text: no NUL, no control characters, UTF-8. */
static tm_err decode(const char **ret, struct arena *a, struct slice s, bool plus_is_space,
                     const char **detail)
{
    char *out = arena_alloc(a, s.n + 1), *at = out;
    if (!out)
        return TM_ENOMEM;
    for (size_t i = 0; i < s.n; i++) {
        int c = s.p[i];
        if (c == '%') {
            int high = i + 2 < s.n ? hex_value(s.p[i + 1]) : -1;
            int low = high >= 0 ? hex_value(s.p[i + 2]) : -1;
            if (low < 0) {
                *detail = "the request target has a broken percent-encoding";
                return TM_EMALFORMED;
            }
            c = high << 4 | low;
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c < 0x20 || c == 0x7f) {
            *detail = "the request target holds a control character";
            return TM_EMALFORMED;
        }
        *at++ = (char)c;
    }
    *at = '\0';
    if (!utf8_valid(slice_of(out, (size_t)(at - out)))) {
        *detail = "the request target is not UTF-8";
        return TM_EMALFORMED;
    }
    *ret = out;
    return TM_OK;
}

/* absolute-form: "http://host:port/path" as sent to proxies; the authority is not ours to judge (RFC 9112 section 3.2.2). */
static struct slice strip_authority(struct slice s)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(schemes[i]);
        if (s.n <= n || strncasecmp((const char *)s.p, schemes[i], n) != 0)
            continue;
        s = slice_sub(s, n, s.n);
        while (s.n > 0 && s.p[0] != '/' && s.p[0] != '?')
            s = slice_sub(s, 1, s.n);
        return s;
    }
    return s;
}

/* Dot segments change their meaning between a proxy and us, in whichever way they are written. */
static bool has_dot_segment(const char *path)
{
    for (const char *p = path; p; p = strchr(p, '/')) {
        p += *p == '/';
        size_t n = strcspn(p, "/");
        if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return true;
    }
    return false;
}

static tm_err parse_path(struct target *t, struct arena *a, struct slice raw, const char **detail)
{
    TM_TRY(decode(&t->path, a, raw, false, detail));
    if (has_dot_segment(t->path)) {
        *detail = "the request target has a dot segment";
        return TM_EMALFORMED;
    }
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++)
        n += raw.p[i] == '/';
    if (n > TARGET_SEGMENTS_MAX)
        return TM_ETOOBIG;
    const char **segment = arena_calloc(a, n, sizeof *segment), **tail = arena_calloc(a, n, sizeof *tail);
    if (!segment || !tail)
        return TM_ENOMEM;
    const char *at = t->path;
    for (size_t i = 0; i < n; i++) {
        raw = slice_sub(raw, 1, raw.n);
        const uint8_t *end = raw.n ? memchr(raw.p, '/', raw.n) : NULL;
        size_t len = end ? (size_t)(end - raw.p) : raw.n;
        TM_TRY(decode(&segment[i], a, slice_sub(raw, 0, len), false, detail));
        tail[i] = ++at;
        at += strlen(segment[i]);
        raw = slice_sub(raw, len, raw.n);
    }
    t->segment = segment;
    t->tail = tail;
    t->n_segments = n;
    return TM_OK;
}

static tm_err parse_query(struct target *t, struct arena *a, struct slice raw, const char **detail)
{
    static const struct http_param none = {0};
    t->query = &none;
    if (raw.n == 0)
        return TM_OK;
    size_t most = 1;
    for (size_t i = 0; i < raw.n; i++)
        most += raw.p[i] == '&';
    if (most > TARGET_QUERY_MAX)
        return TM_ETOOBIG;
    struct http_param *q = arena_calloc(a, most + 1, sizeof *q);
    if (!q)
        return TM_ENOMEM;
    size_t n = 0;
    while (raw.n > 0) {
        const uint8_t *end = memchr(raw.p, '&', raw.n);
        struct slice pair = slice_sub(raw, 0, end ? (size_t)(end - raw.p) : raw.n);
        raw = slice_sub(raw, pair.n + 1, raw.n);
        if (pair.n == 0)
            continue;
        const uint8_t *eq = memchr(pair.p, '=', pair.n);
        size_t name = eq ? (size_t)(eq - pair.p) : pair.n;
        TM_TRY(decode(&q[n].name, a, slice_sub(pair, 0, name), true, detail));
        TM_TRY(decode(&q[n].value, a, slice_sub(pair, name + 1, pair.n), true, detail));
        n++;
    }
    t->query = q;
    return TM_OK;
}

tm_err target_parse(struct target *ret, struct arena *a, struct slice raw, const char **ret_detail)
{
    struct target t = {0};
    *ret_detail = "the request target is malformed";
    for (size_t i = 0; i < raw.n; i++)
        if (raw.p[i] <= 0x20 || raw.p[i] >= 0x7f || raw.p[i] == '#')
            return TM_EMALFORMED;
    if (raw.n == 0)
        return TM_EMALFORMED;
    if (raw.p[0] != '/' && raw.p[0] != '*')
        raw = strip_authority(raw);
    const uint8_t *mark = raw.n ? memchr(raw.p, '?', raw.n) : NULL;
    struct slice path = mark ? slice_of(raw.p, (size_t)(mark - raw.p)) : raw;
    struct slice query = mark ? slice_sub(raw, path.n + 1, raw.n) : slice_of(NULL, 0);
    if (path.n == 0) /* "http://host" and "http://host?q" mean its root (RFC 9112 section 3.2.1) */
        path = SLICE_LIT("/");
    if (path.p[0] != '/')
        return TM_EMALFORMED;
    TM_TRY(parse_path(&t, a, path, ret_detail));
    TM_TRY(parse_query(&t, a, query, ret_detail));
    *ret = t;
    return TM_OK;
}
