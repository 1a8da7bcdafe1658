#include "base/json_plain.h"
#include "base/arena.h"
#include <stdlib.h>
#include <string.h>

/* As base/json.c has them. */
enum { STRING_MAX = 4096, LIST_MAX = 256, FIELDS_MAX = 64, DIGITS_MAX = 18 };

struct cursor {
    const uint8_t *p, *end;
    struct arena *a;
};

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n'))
        c->p++;
}

static bool take(struct cursor *c, uint8_t what)
{
    skip_space(c);
    if (c->p == c->end || *c->p != what)
        return false;
    c->p++;
    return true;
}

static bool plain(uint8_t c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

static bool string(struct cursor *c, struct slice *ret)
{
    if (!take(c, '"'))
        return false;
    const uint8_t *from = c->p;
    while (c->p < c->end && plain(*c->p))
        c->p++;
    if (c->p == c->end || *c->p != '"')
        return false;
    *ret = slice_of(from, (size_t)(c->p++ - from));
    return true;
}

static bool word(struct cursor *c, const char *text)
{
    size_t n = strlen(text);
    skip_space(c);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, text, n) != 0)
        return false;
    c->p += n;
    return true;
}

/* ---- values ---- */

static bool copy_string(struct cursor *c, const char **ret, struct slice text, size_t min, size_t max)
{
    struct slice copy;
    if (text.n < min || text.n > max || arena_copy(&copy, c->a, text) != TM_OK)
        return false;
    *ret = (const char *)copy.p;
    return true;
}

static bool bind_string(struct cursor *c, const struct json_field *f, const char **ret)
{
    struct slice text;
    return string(c, &text) && copy_string(c, ret, text, f->min > 0 ? (size_t)f->min : 0,
                                           f->max > 0 ? (size_t)f->max : STRING_MAX);
}

static bool bind_enum(struct cursor *c, const struct json_field *f, int *ret)
{
    struct slice text;
    if (!string(c, &text))
        return false;
    for (int i = 0; f->names[i]; i++) {
        if (!slice_eq_str(text, f->names[i]))
            continue;
        *ret = i;
        return true;
    }
    return false;
}

/* int = zero / ( digit1-9 *DIGIT ), with a minus in front (RFC 8259 section 6). What follows shows whether it was all of the number. */
static bool bind_int(struct cursor *c, const struct json_field *f, int64_t *ret)
{
    bool minus = take(c, '-');
    int64_t v = 0;
    size_t n = 0;
    for (; n < DIGITS_MAX && c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++, n++)
        v = v * 10 + (*c->p - '0');
    if (n == 0 || (c->p[-(ptrdiff_t)n] == '0' && (n > 1 || minus)))
        return false;
    v = minus ? -v : v;
    if ((f->min || f->max) && (v < f->min || v > f->max))
        return false;
    *ret = v;
    return true;
}

static bool bind_bool(struct cursor *c, bool *ret)
{
    *ret = word(c, "true");
    return *ret || word(c, "false");
}

/* How many members a list has whose "[" was just taken, commas of inner lists and objects left out. Its end is found by who reads it. */
static size_t list_size(const struct cursor *list)
{
    struct cursor c = *list;
    size_t n = 1, depth = 0;
    if (take(&c, ']'))
        return 0;
    for (; c.p < c.end; c.p++) {
        if (*c.p == '"') {
            const uint8_t *end = memchr(c.p + 1, '"', (size_t)(c.end - c.p - 1));
            if (!end)
                break;
            c.p = end;
        } else if (*c.p == '{' || *c.p == '[') {
            depth++;
        } else if (*c.p == '}' || *c.p == ']') {
            if (depth-- == 0)
                break;
        } else if (*c.p == ',' && depth == 0) {
            n++;
        }
    }
    return n;
}

/* "[", and room for what follows; *ret_n members. */
static bool begin_list(struct cursor *c, const struct json_field *f, size_t size, void **ret, size_t *ret_n)
{
    if (!take(c, '['))
        return false;
    size_t n = list_size(c), max = f->max > 0 ? (size_t)f->max : LIST_MAX;
    if (n > max || (f->min > 0 && n < (size_t)f->min))
        return false;
    *ret = arena_calloc(c->a, n, size);
    *ret_n = n;
    return *ret != NULL;
}

static bool bind_strings(struct cursor *c, const struct json_field *f, struct json_strings *ret)
{
    void *v;
    struct json_strings made;
    if (!begin_list(c, f, sizeof *made.v, &v, &made.n))
        return false;
    made.v = v;
    for (size_t i = 0; i < made.n; i++) {
        struct slice text;
        if ((i > 0 && !take(c, ',')) || !string(c, &text) || !copy_string(c, &made.v[i], text, 0, STRING_MAX))
            return false;
    }
    *ret = made;
    return take(c, ']');
}

static bool bind_object(struct cursor *c, const struct json_field *schema, void *out);

static bool bind_objects(struct cursor *c, const struct json_field *f, struct json_objects *ret)
{
    struct json_objects made;
    if (!begin_list(c, f, f->size, &made.v, &made.n))
        return false;
    for (size_t i = 0; i < made.n; i++)
        if ((i > 0 && !take(c, ',')) || !bind_object(c, f->sub, (char *)made.v + i * f->size))
            return false;
    *ret = made;
    return take(c, ']');
}

static bool bind_value(struct cursor *c, const struct json_field *f, void *member)
{
    switch (f->kind) {
    case JSON_K_STRING:
        return bind_string(c, f, member);
    case JSON_K_INT:
        return bind_int(c, f, member);
    case JSON_K_BOOL:
        return bind_bool(c, member);
    case JSON_K_ENUM:
        return bind_enum(c, f, member);
    case JSON_K_STRINGS:
        return bind_strings(c, f, member);
    case JSON_K_OBJECT:
        return bind_object(c, f->sub, member);
    case JSON_K_OBJECTS:
        return bind_objects(c, f, member);
    default:
        return false;
    }
}

/* ---- what is absent ---- */

static bool bind_default(const struct json_field *f, void *member)
{
    if (f->kind == JSON_K_OBJECT) {
        for (const struct json_field *sub = f->sub; sub->key; sub++)
            if (!bind_default(sub, (char *)member + sub->offset))
                return false;
        return true;
    }
    if (!f->def)
        return true;
    switch (f->kind) {
    case JSON_K_STRING:
        *(const char **)member = f->def;
        return true;
    case JSON_K_INT:
        *(int64_t *)member = strtoll(f->def, NULL, 10);
        return true;
    case JSON_K_BOOL:
        *(bool *)member = strcmp(f->def, "true") == 0;
        return true;
    default:
        return false;
    }
}

/* ---- objects ---- */

static bool bind_member(struct cursor *c, const struct json_field *schema, void *out, uint64_t *seen)
{
    struct slice name;
    if (!string(c, &name) || !take(c, ':'))
        return false;
    size_t i = 0;
    while (schema[i].key && !slice_eq_str(name, schema[i].key))
        i++;
    if (!schema[i].key || i >= FIELDS_MAX || *seen >> i & 1)
        return false;
    *seen |= (uint64_t)1 << i;
    if (schema[i].seen_offset)
        *(bool *)((char *)out + schema[i].seen_offset - 1) = true;
    return bind_value(c, &schema[i], (char *)out + schema[i].offset);
}

static bool bind_object(struct cursor *c, const struct json_field *schema, void *out)
{
    uint64_t seen = 0;
    if (!take(c, '{'))
        return false;
    if (!take(c, '}')) {
        do
            if (!bind_member(c, schema, out, &seen))
                return false;
        while (take(c, ','));
        if (!take(c, '}'))
            return false;
    }
    for (size_t i = 0; schema[i].key; i++) {
        if (i < FIELDS_MAX && seen >> i & 1)
            continue;
        if (schema[i].required || !bind_default(&schema[i], (char *)out + schema[i].offset))
            return false;
    }
    return true;
}

/* ---- back to nothing ---- */

static void clear(void *out, const struct json_field *schema)
{
    static const size_t sizes[] = {
        [JSON_K_STRING] = sizeof(const char *),
        [JSON_K_INT] = sizeof(int64_t),
        [JSON_K_BOOL] = sizeof(bool),
        [JSON_K_ENUM] = sizeof(int),
        [JSON_K_STRINGS] = sizeof(struct json_strings),
        [JSON_K_OBJECTS] = sizeof(struct json_objects),
    };
    for (const struct json_field *f = schema; f->key; f++) {
        char *member = (char *)out + f->offset;
        if (f->seen_offset)
            *(bool *)((char *)out + f->seen_offset - 1) = false;
        if (f->kind == JSON_K_OBJECT)
            clear(member, f->sub);
        else if ((size_t)f->kind < sizeof sizes / sizeof *sizes)
            memset(member, 0, sizes[f->kind]);
    }
}

bool json_bind_plain(void *out, const struct json_field *schema, struct slice text, struct arena *a)
{
    struct cursor c = {text.p, text.p + text.n, a};
    bool bound = text.n > 0 && bind_object(&c, schema, out);
    if (bound)
        skip_space(&c);
    if (bound && c.p == c.end)
        return true;
    clear(out, schema);
    return false;
}
