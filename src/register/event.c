#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/text.h"
#include "register/internal.h"
#include "register/register.h"
#include <inttypes.h>
#include <stdio.h>

enum { SALT = 16, FIELDS_MAX = 64, STUB_MAX = 256 };

/* ---- bodies ---- */

static bool key_good(const char *key)
{
    if (*key < 'a' || *key > 'z')
        return false;
    for (; *key; key++) {
        bool letter = (*key >= 'a' && *key <= 'z') || (*key >= 'A' && *key <= 'Z');
        bool other = (*key >= '0' && *key <= '9') || *key == '_' || *key == '.' || *key == '-';
        if (!letter && !other)
            return false;
    }
    return true;
}

static bool json_plain(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return true;
}

/* Almost every string is plain ASCII: then it is copied between quotes, else base/buf.h escapes it. */
static void put_string(struct buf *b, struct slice s)
{
    if (!json_plain(s)) {
        buf_put_json_string(b, s);
        return;
    }
    uint8_t *p = buf_extend(b, s.n + 2);
    if (!p)
        return;
    p[0] = '"';
    if (s.n)
        memcpy(p + 1, s.p, s.n);
    p[s.n + 1] = '"';
}

static void put_int(struct buf *b, int64_t i)
{
    char text[20], *p = text + sizeof text;
    uint64_t n = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    if (i < 0)
        *--p = '-';
    buf_put(b, p, (size_t)(text + sizeof text - p));
}

/* Room at once for what is usual, so that a body costs one allocation. */
static void body_begin(struct buf *b, size_t room)
{
    buf_init(b, EVENT_BODY_MAX);
    (void)buf_extend(b, room);
    buf_reset(b);
}

static void put_field(struct buf *b, const struct event_field *f)
{
    put_string(b, slice_str(f->key));
    buf_putc(b, ':');
    switch (f->kind) {
    case EVENT_STR:
        put_string(b, f->s);
        break;
    case EVENT_INT:
        put_int(b, f->i);
        break;
    case EVENT_HEX:
        buf_putc(b, '"');
        buf_put_hex(b, f->s);
        buf_putc(b, '"');
        break;
    case EVENT_RAW:
        buf_put_slice(b, f->s);
        break;
    }
}

tm_err register_event_body(struct slice *ret, struct arena *a, const struct event_field *fields)
{
    const struct event_field *sorted[FIELDS_MAX];
    size_t n = 0;
    for (const struct event_field *f = fields; f->key; f++) {
        if (n == FIELDS_MAX || !key_good(f->key) || (f->kind == EVENT_RAW && f->s.n == 0))
            return TM_EINVAL;
        size_t at = n++;
        for (; at > 0; at--) {
            int order = strcmp(sorted[at - 1]->key, f->key);
            if (order == 0)
                return TM_EINVAL;
            if (order < 0)
                break;
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = f;
    }

    struct buf b;
    body_begin(&b, 1000);
    buf_putc(&b, '{');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(&b, ',');
        put_field(&b, sorted[i]);
    }
    buf_putc(&b, '}');
    tm_err err = buf_err(&b);
    if (err == TM_OK)
        err = arena_copy(ret, a, buf_slice(&b));
    buf_done(&b);
    return err;
}

/* ---- reading them back ---- */

/* Step over one JSON value that begins at s[at]: strings whole, brackets by depth. Returns where it ends, or 0 when the text does. */
static size_t value_skip(struct slice s, size_t at)
{
    size_t depth = 0;
    for (; at < s.n; at++) {
        uint8_t c = s.p[at];
        if (c == '"') {
            for (at++; at < s.n && s.p[at] != '"'; at++)
                if (s.p[at] == '\\')
                    at++;
            if (at >= s.n)
                return 0;
            if (depth == 0)
                return at + 1;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return at; /* the end of the object that a number or word stands in */
            if (--depth == 0)
                return at + 1;
        } else if (c == ',' && depth == 0) {
            return at;
        }
    }
    return 0;
}

bool register_event_find(struct slice *ret, struct slice body, const char *key)
{
    size_t key_n = strlen(key), at = 1;
    if (body.n < 2 || body.p[0] != '{')
        return false;
    while (at < body.n && body.p[at] == '"') {
        size_t key_end = value_skip(body, at);
        if (!key_end || key_end >= body.n || body.p[key_end] != ':')
            return false;
        size_t end = value_skip(body, key_end + 1);
        if (!end || end == key_end + 1)
            return false;
        if (key_end - at - 2 == key_n && memcmp(body.p + at + 1, key, key_n) == 0) {
            *ret = slice_sub(body, key_end + 1, end - key_end - 1);
            return true;
        }
        if (end >= body.n || body.p[end] != ',')
            return false;
        at = end + 1;
    }
    return false;
}

bool event_find_string(struct slice *ret, struct slice body, const char *key)
{
    struct slice v;
    if (!register_event_find(&v, body, key) || v.n < 2 || v.p[0] != '"')
        return false;
    *ret = slice_sub(v, 1, v.n - 2);
    return true;
}

bool event_find_number(uint64_t *ret, struct slice body, const char *key)
{
    struct slice v;
    if (!register_event_find(&v, body, key) || v.n == 0 || v.n > 19)
        return false;
    uint64_t n = 0;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    }
    *ret = n;
    return true;
}

bool event_find_hash(uint8_t out[32], struct slice body, const char *key)
{
    struct slice v;
    if (!event_find_string(&v, body, key) || v.n != 2 * (size_t)MERKLE_HASH)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (d < 0)
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | d : d << 4);
    }
    return true;
}

/* ---- erasing ---- */

static tm_err stub_build(struct buf *b, struct slice body)
{
    struct slice kind;
    uint64_t chain;
    uint8_t tbs[MERKLE_HASH];
    if (!event_find_number(&chain, body, "chain") || !event_find_string(&kind, body, "kind") ||
        !event_find_hash(tbs, body, "tbs"))
        return TM_OK;
    buf_printf(b, "{\"chain\":%" PRIu64 ",\"kind\":", chain);
    buf_put_json_string(b, kind);
    buf_puts(b, ",\"tbs\":\"");
    buf_put_hex(b, SLICE_ARR(tbs));
    buf_puts(b, "\"}");
    return buf_err(b);
}

tm_err register_event_stub(struct slice *ret, struct arena *a, struct slice body)
{
    struct buf b;
    buf_init(&b, STUB_MAX);
    tm_err err = stub_build(&b, body);
    if (err == TM_OK)
        err = arena_copy(ret, a, buf_slice(&b));
    buf_done(&b);
    return err;
}

bool event_is_stub(struct slice body)
{
    struct buf b;
    buf_init(&b, STUB_MAX);
    bool is = stub_build(&b, body) == TM_OK && b.n && slice_eq(buf_slice(&b), body);
    buf_done(&b);
    return is;
}

/* ---- events ---- */

void event_head_build(struct buf *b, const char *type, const char *subject, int64_t time_ms)
{
    buf_puts(b, "{\"@subject\":");
    put_string(b, slice_str(subject));
    buf_puts(b, ",\"@time\":");
    put_int(b, time_ms);
    buf_puts(b, ",\"@type\":");
    put_string(b, slice_str(type));
}

tm_err event_leaf(uint8_t out[32], struct slice salt, struct slice body)
{
    uint8_t commitment[SHA256_LEN];
    struct slice parts[] = {salt, body};
    TM_TRY(sha256_many(commitment, parts, 2));
    return merkle_leaf(out, SLICE_ARR(commitment));
}

/* One call to the generator for many salts: it costs more to ask than to fill. */
static tm_err salt_draw(uint8_t out[SALT])
{
    enum { SALTS = 64 };
    static _Thread_local struct {
        uint8_t octets[SALTS * SALT];
        size_t left;
    } drawn;
    if (drawn.left == 0) {
        TM_TRY(random_bytes(drawn.octets, sizeof drawn.octets));
        drawn.left = SALTS;
    }
    uint8_t *salt = drawn.octets + --drawn.left * SALT;
    memcpy(out, salt, SALT);
    memset(salt, 0, SALT); /* no salt is used twice, whatever happens to this thread */
    return TM_OK;
}

tm_err register_event_effect(struct effect *ret, struct arena *a, tenant_id tenant, const char *type,
                             const char *subject, struct slice body, int64_t time_ms)
{
    bool empty = slice_eq_str(body, "{}");
    if (!empty && (body.n < 5 || body.p[0] != '{' || body.p[1] != '"' || body.p[2] < 'a' || body.p[2] > 'z' ||
                   body.p[body.n - 1] != '}'))
        return TM_EINVAL;

    struct buf head;
    body_begin(&head, 200);
    event_head_build(&head, type, subject ? subject : "", time_ms);
    if (!empty)
        buf_putc(&head, ',');
    uint8_t *salt = arena_alloc(a, SALT);
    uint8_t *text = arena_alloc(a, head.n + body.n);
    if (buf_err(&head) != TM_OK || !salt || !text) {
        tm_err err = buf_err(&head) != TM_OK ? buf_err(&head) : TM_ENOMEM;
        buf_done(&head);
        return err;
    }
    memcpy(text, head.p, head.n);
    memcpy(text + head.n, body.p + 1, body.n - 1);
    size_t n = head.n + body.n - 1;
    buf_done(&head);
    if (n > EVENT_BODY_MAX)
        return TM_ETOOBIG;

    TM_TRY(salt_draw(salt));
    struct event_row row = {
        .time = time_ms,
        .type = type,
        .subject = subject ? subject : "",
        .salt = slice_of(salt, SALT),
        .body = slice_of(text, n),
    };
    TM_TRY(event_leaf(row.leaf, row.salt, row.body));
    *ret = (struct effect){.kind = EFFECT_EVENT, .tenant = tenant};
    ret->u.event = row;
    return TM_OK;
}
