#include "cli/yaml.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum {
    DEPTH_MAX = 32,
    NODES_MAX = 100000,
    DOCS_MAX = 10000,
    DOC_MARKS_FIRST = 64,
    LINE_MAX_PLAIN = 200,
    KEY_PLAIN_MAX = 150
};

struct loader {
    yaml_parser_t parser;
    yaml_event_t event;
    struct arena *a;
    struct diag *diag;
    size_t nodes;
    struct yaml_doc *doc; /* being read */
    size_t cap;           /* of doc->marks */
};

static tm_err refuse(struct loader *l, const yaml_mark_t *at, const char *what)
{
    char where[48];
    snprintf(where, sizeof where, "%zu:%zu", at->line + 1, at->column + 1);
    return diag_fail(l->diag, TM_EMALFORMED, "YAML", where, "%s", what);
}

static tm_err next(struct loader *l)
{
    yaml_event_delete(&l->event);
    if (yaml_parser_parse(&l->parser, &l->event))
        return TM_OK;
    if (l->parser.error == YAML_MEMORY_ERROR)
        return TM_ENOMEM;
    const yaml_mark_t *at = l->parser.error == YAML_READER_ERROR ? &l->parser.mark : &l->parser.problem_mark;
    return refuse(l, at, l->parser.problem ? l->parser.problem : "is not YAML");
}

static tm_err mark(struct loader *l, const char *pointer)
{
    struct yaml_doc *d = l->doc;
    if (++l->nodes > NODES_MAX)
        return refuse(l, &l->event.start_mark, "has too many nodes");
    if (d->n_marks == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : DOC_MARKS_FIRST;
        struct yaml_mark *m = arena_calloc(l->a, cap, sizeof *m);
        if (!m)
            return TM_ENOMEM;
        if (d->n_marks)
            memcpy(m, d->marks, d->n_marks * sizeof *m);
        d->marks = m;
        l->cap = cap;
    }
    const yaml_mark_t *at = &l->event.start_mark;
    d->marks[d->n_marks++] = (struct yaml_mark){pointer, (unsigned)at->line + 1, (unsigned)at->column + 1};
    return TM_OK;
}

/* "/a~1b/0": RFC 6901 3. */
static const char *pointer_add(struct arena *a, const char *base, const char *key)
{
    struct buf b;
    buf_init(&b, YAML_TEXT_MAX);
    buf_puts(&b, base);
    buf_putc(&b, '/');
    for (const char *p = key; *p; p++) {
        if (*p == '~')
            buf_puts(&b, "~0");
        else if (*p == '/')
            buf_puts(&b, "~1");
        else
            buf_putc(&b, (uint8_t)*p);
    }
    const char *r = buf_err(&b) == TM_OK ? arena_strdup(a, buf_str(&b)) : NULL;
    buf_done(&b);
    return r;
}

/* ---- scalars: the core schema of YAML 1.2, 10.3.2 ---- */

static bool one_of(const char *s, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(s, *names) == 0)
            return true;
    return false;
}

static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const true_words[] = {"true", "True", "TRUE", NULL};
static const char *const false_words[] = {"false", "False", "FALSE", NULL};

enum number { NUMBER_NOT, NUMBER_INT, NUMBER_REAL };

static enum number number_kind(const char *s)
{
    if (*s == '-' || *s == '+')
        s++;
    size_t digits = strspn(s, "0123456789");
    s += digits;
    if (digits && *s == '\0')
        return NUMBER_INT;
    if (*s == '.') {
        size_t after = strspn(++s, "0123456789");
        digits += after;
        s += after;
    }
    if (digits && (*s == 'e' || *s == 'E')) {
        s++;
        if (*s == '-' || *s == '+')
            s++;
        if (*s < '0' || *s > '9')
            return NUMBER_NOT;
        s += strspn(s, "0123456789");
    }
    return digits && *s == '\0' ? NUMBER_REAL : NUMBER_NOT;
}

static tm_err plain(struct loader *l, const char *s, json_t **ret)
{
    if (one_of(s, null_words))
        *ret = json_null();
    else if (one_of(s, true_words))
        *ret = json_true();
    else if (one_of(s, false_words))
        *ret = json_false();
    else if (number_kind(s) == NUMBER_INT) {
        errno = 0;
        long long v = strtoll(s, NULL, 10);
        if (errno)
            return refuse(l, &l->event.start_mark,
                          "is too large a number; put it in quotes to make it a string");
        *ret = json_integer(v);
    } else if (number_kind(s) == NUMBER_REAL) {
        double v = strtod(s, NULL);
        if (!isfinite(v))
            return refuse(l, &l->event.start_mark,
                          "is too large a number; put it in quotes to make it a string");
        *ret = json_real(v);
    } else {
        *ret = json_string(s);
    }
    return *ret ? TM_OK : TM_ENOMEM;
}

static tm_err scalar(struct loader *l, json_t **ret)
{
    const char *s = (const char *)l->event.data.scalar.value;
    size_t n = l->event.data.scalar.length;
    if (l->event.data.scalar.anchor)
        return refuse(l, &l->event.start_mark, "anchors are not taken; write the value out");
    if (l->event.data.scalar.tag)
        return refuse(l, &l->event.start_mark, "tags are not taken");
    if (memchr(s, '\0', n))
        return refuse(l, &l->event.start_mark, "holds a NUL character");
    if (l->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return plain(l, s, ret);
    *ret = json_stringn(s, n);
    return *ret ? TM_OK : TM_ENOMEM;
}

/* ---- nodes ---- */

static tm_err node(struct loader *l, const char *pointer, unsigned depth, json_t **ret);

static tm_err member(struct loader *l, const char *pointer, unsigned depth, json_t *object)
{
    if (l->event.type != YAML_SCALAR_EVENT)
        return refuse(l, &l->event.start_mark, "a key must be plain text");
    json_t *key = NULL;
    TM_TRY(scalar(l, &key)); /* checks anchors and tags; keys are text whatever they look like */
    json_decref(key);
    const char *name = arena_strdup(l->a, (const char *)l->event.data.scalar.value);
    const char *at = name ? pointer_add(l->a, pointer, name) : NULL;
    if (!at)
        return TM_ENOMEM;
    if (l->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(name, "<<") == 0)
        return refuse(l, &l->event.start_mark, "merge keys are not taken");
    if (json_object_get(object, name))
        return refuse(l, &l->event.start_mark, "this key stands twice");
    TM_TRY(next(l));
    json_t *value = NULL;
    TM_TRY(node(l, at, depth, &value));
    return json_object_set_new(object, name, value) == 0 ? TM_OK : TM_ENOMEM;
}

static tm_err members(struct loader *l, const char *pointer, unsigned depth, json_t *object)
{
    for (;;) {
        TM_TRY(next(l));
        if (l->event.type == YAML_MAPPING_END_EVENT)
            return TM_OK;
        TM_TRY(member(l, pointer, depth, object));
    }
}

static tm_err elements(struct loader *l, const char *pointer, unsigned depth, json_t *array)
{
    for (size_t i = 0;; i++) {
        TM_TRY(next(l));
        if (l->event.type == YAML_SEQUENCE_END_EVENT)
            return TM_OK;
        const char *at = arena_printf(l->a, "%s/%zu", pointer, i);
        if (!at)
            return TM_ENOMEM;
        json_t *value = NULL;
        TM_TRY(node(l, at, depth, &value));
        if (json_array_append_new(array, value) != 0)
            return TM_ENOMEM;
    }
}

/* The event at hand begins the node. */
static tm_err node(struct loader *l, const char *pointer, unsigned depth, json_t **ret)
{
    const yaml_event_t *e = &l->event;
    TM_TRY(mark(l, pointer));
    if (e->type == YAML_ALIAS_EVENT)
        return refuse(l, &e->start_mark, "aliases are not taken; write the value out");
    if (e->type == YAML_SCALAR_EVENT)
        return scalar(l, ret);
    bool map = e->type == YAML_MAPPING_START_EVENT;
    if (!map && e->type != YAML_SEQUENCE_START_EVENT)
        return refuse(l, &e->start_mark, "a value is missing here");
    if (map ? e->data.mapping_start.anchor != NULL : e->data.sequence_start.anchor != NULL)
        return refuse(l, &e->start_mark, "anchors are not taken; write the value out");
    if (map ? e->data.mapping_start.tag != NULL : e->data.sequence_start.tag != NULL)
        return refuse(l, &e->start_mark, "tags are not taken");
    if (depth == DEPTH_MAX)
        return refuse(l, &e->start_mark, "is nested too deeply");
    json_t *v = map ? json_object() : json_array();
    if (!v)
        return TM_ENOMEM;
    tm_err err = map ? members(l, pointer, depth + 1, v) : elements(l, pointer, depth + 1, v);
    if (err != TM_OK) {
        json_decref(v);
        return err;
    }
    *ret = v;
    return TM_OK;
}

static tm_err documents(struct loader *l, struct yaml_doc **ret, size_t *ret_n)
{
    size_t cap = 0;
    for (;;) {
        TM_TRY(next(l));
        if (l->event.type == YAML_STREAM_END_EVENT)
            return TM_OK;
        if (l->event.type != YAML_DOCUMENT_START_EVENT)
            continue;
        if (*ret_n == DOCS_MAX)
            return refuse(l, &l->event.start_mark, "has too many documents");
        if (*ret_n == cap) {
            cap = cap ? 2 * cap : 8;
            struct yaml_doc *more = arena_calloc(l->a, cap, sizeof *more);
            if (!more)
                return TM_ENOMEM;
            if (*ret_n)
                memcpy(more, *ret, *ret_n * sizeof *more);
            *ret = more;
        }
        TM_TRY(next(l));
        l->doc = &(*ret)[*ret_n];
        *l->doc = (struct yaml_doc){0};
        l->cap = 0;
        json_t *value = NULL;
        TM_TRY(node(l, "", 0, &value));
        if (json_is_null(value))
            continue;
        l->doc->value = value;
        (*ret_n)++;
    }
}

tm_err yaml_load(struct yaml_doc **ret, size_t *ret_n, struct arena *a, struct slice text, struct diag *diag)
{
    *ret = NULL;
    *ret_n = 0;
    if (text.n > YAML_TEXT_MAX)
        return diag_fail(diag, TM_ETOOBIG, "YAML", "1:1", "is larger than %d bytes", YAML_TEXT_MAX);
    struct loader l = {.a = a, .diag = diag};
    if (!yaml_parser_initialize(&l.parser))
        return TM_ENOMEM;
    yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&l.parser, text.p ? text.p : (const uint8_t *)"", text.n);
    tm_err e = documents(&l, ret, ret_n);
    yaml_event_delete(&l.event);
    yaml_parser_delete(&l.parser);
    if (e != TM_OK) {
        for (size_t i = 0; i < *ret_n; i++)
            json_decref((*ret)[i].value);
        *ret = NULL;
        *ret_n = 0;
    }
    return e;
}

struct yaml_mark yaml_mark_find(const struct yaml_doc *d, const char *pointer)
{
    struct yaml_mark best = {"", 1, 1};
    size_t longest = 0;
    for (size_t i = 0; i < d->n_marks; i++) {
        size_t n = strlen(d->marks[i].pointer);
        if (n < longest || strncmp(d->marks[i].pointer, pointer, n) != 0 ||
            (pointer[n] != '\0' && pointer[n] != '/'))
            continue;
        best = d->marks[i];
        longest = n;
    }
    return best;
}

/* ---- writing ---- */

/* Characters that YAML has no room for outside escapes, and line ends of other scripts (YAML 1.2, 5.1 and 5.4). */
static bool awkward(unsigned u)
{
    return u < 0x20 || (u >= 0x7f && u < 0xa0) || u == 0x2028 || u == 0x2029 || u == 0xfeff || u == 0xfffe ||
           u == 0xffff;
}

static unsigned decode(const uint8_t *p, size_t n)
{
    if (n < 2)
        return p[0];
    unsigned u = p[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++)
        u = u << 6 | (p[i] & 0x3f);
    return u;
}

/* Nothing awkward but, where they are welcome, line ends. */
static bool tame(struct slice s, bool line_ends)
{
    while (s.n) {
        size_t n = utf8_step(s);
        unsigned u = n ? decode(s.p, n) : 0;
        if (awkward(u) && !(line_ends && u == '\n'))
            return false;
        s = slice_sub(s, n, SIZE_MAX);
    }
    return true;
}

static void put_quoted(struct buf *out, struct slice s)
{
    buf_putc(out, '"');
    while (s.n) {
        size_t n = utf8_step(s);
        unsigned u = n ? decode(s.p, n) : 0xfffd;
        if (u == '"' || u == '\\')
            buf_printf(out, "\\%c", (int)u);
        else if (u == '\n')
            buf_puts(out, "\\n");
        else if (awkward(u) || n == 0)
            buf_printf(out, "\\u%04x", u);
        else
            buf_put(out, s.p, n);
        s = slice_sub(s, n ? n : 1, SIZE_MAX);
    }
    buf_putc(out, '"');
}

/* Would a reader take the bare word for a string again? */
static bool bare(const char *s, size_t n)
{
    if (n == 0 || n > LINE_MAX_PLAIN || one_of(s, null_words) || one_of(s, true_words) ||
        one_of(s, false_words) || number_kind(s) != NUMBER_NOT)
        return false;
    /* YAML 1.1 readers know more words for the two. */
    static const char *const old[] = {"yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON",
                                      "off", "Off", "OFF", "y",  "Y",  "n",  "N",  NULL};
    if (one_of(s, old))
        return false;
    if (strchr("-?:,[]{}#&*!|>'\"%@` .+<=", s[0]) || (s[0] >= '0' && s[0] <= '9' && strchr(s, ':')))
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)s[i];
        if (ch < 0x20 || ch == 0x7f || (ch == ':' && (i + 1 == n || s[i + 1] == ' ')) ||
            (ch == '#' && s[i - 1] == ' '))
            return false;
    }
    return s[n - 1] != ' ' && tame(slice_of(s, n), false);
}

static bool block_text(const char *s, size_t n)
{
    if (n < 2 || !memchr(s, '\n', n - 1) || s[0] == ' ' || s[0] == '\n' || !tame(slice_of(s, n), true))
        return false;
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)s[i] < 0x20 && s[i] != '\n') || s[i] == 0x7f ||
            (s[i] == ' ' && i + 1 < n && s[i + 1] == '\n'))
            return false;
    return s[n - 1] != '\n' || s[n - 2] != '\n';
}

static void put_string(struct buf *out, const char *s, size_t n, unsigned indent)
{
    if (bare(s, n)) {
        buf_put(out, s, n);
    } else if (indent && block_text(s, n)) {
        buf_puts(out, s[n - 1] == '\n' ? "|" : "|-");
        for (size_t i = 0; i < n;) {
            const char *end = memchr(s + i, '\n', n - i);
            size_t len = end ? (size_t)(end - s) - i : n - i;
            buf_putc(out, '\n');
            if (len)
                buf_printf(out, "%*s", (int)indent, "");
            buf_put(out, s + i, len);
            i += len + 1;
        }
    } else {
        put_quoted(out, slice_of(s, n));
    }
}

/* With a point, so that it stays one. */
static void put_real(struct buf *out, double v)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", v);
    buf_puts(out, text);
    if (!strpbrk(text, ".e"))
        buf_puts(out, ".0");
}

static void put_leaf(struct buf *out, const json_t *v, unsigned indent)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        put_string(out, json_string_value(v), json_string_length(v), indent);
        break;
    case JSON_INTEGER:
        buf_printf(out, "%lld", (long long)json_integer_value(v));
        break;
    case JSON_REAL:
        put_real(out, json_real_value(v));
        break;
    case JSON_TRUE:
        buf_puts(out, "true");
        break;
    case JSON_FALSE:
        buf_puts(out, "false");
        break;
    case JSON_OBJECT:
        buf_puts(out, "{}");
        break;
    case JSON_ARRAY:
        buf_puts(out, "[]");
        break;
    case JSON_NULL:
        buf_puts(out, "null");
        break;
    }
}

static bool is_leaf(const json_t *v)
{
    return !(json_is_object(v) && json_object_size(v)) && !(json_is_array(v) && json_array_size(v));
}

/* `hang`: the line has its indent already ("- "). */
static void put_node(struct buf *out, const json_t *v, unsigned indent, bool hang)
{
    if (is_leaf(v)) {
        put_leaf(out, v, indent);
        buf_putc(out, '\n');
        return;
    }
    if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++) {
            buf_printf(out, "%*s- ", hang ? 0 : (int)indent, "");
            hang = false;
            put_node(out, json_array_get(v, i), indent + 2, true);
        }
        return;
    }
    const char *key;
    json_t *child;
    json_object_foreach((json_t *)v, key, child)
    {
        buf_printf(out, "%*s", hang ? 0 : (int)indent, "");
        hang = false;
        /* A reader looks for the colon of a plain key within 1024 characters. */
        bool lengthy = strlen(key) > KEY_PLAIN_MAX;
        if (lengthy)
            buf_puts(out, "? ");
        if (bare(key, strlen(key)))
            buf_puts(out, key);
        else
            put_quoted(out, slice_str(key));
        if (lengthy)
            buf_printf(out, "\n%*s", (int)indent, "");
        buf_puts(out, is_leaf(child) ? ": " : ":\n");
        put_node(out, child, indent + 2, false);
    }
}

void yaml_dump(struct buf *out, const json_t *v)
{
    put_node(out, v, 0, false);
}
