/* JSON text, bound to a schema that has one field of every kind. What is accepted must come through writing and reading
 * again unchanged, and what is bound as plain text must be what its document says.
 * Parser: base/json.c base/json_plain.c */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/json_plain.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct inner {
    int64_t duration, time, weight;
    bool on;
};
struct outer {
    const char *string;
    int64_t number;
    bool flag, flag_seen;
    int choice;
    unsigned set;
    struct json_strings strings, words;
    struct inner object;
    struct json_objects objects;
    json_t *any;
};

static const char *const names[] = {"first", "second", "third", NULL};

static const struct json_field inner_schema[] = {
    JSON_FIELD(struct inner, duration, JSON_K_DURATION, .min = 1, .max = 1000000, .def = "1d"),
    JSON_FIELD(struct inner, time, JSON_K_TIME, .required = true),
    JSON_FIELD(struct inner, weight, JSON_K_INT, .def = "3"),
    JSON_FIELD(struct inner, on, JSON_K_BOOL, .def = "true"),
    {0},
};
static const struct json_field outer_schema[] = {
    JSON_FIELD(struct outer, string, JSON_K_STRING, .min = 2, .max = 20),
    JSON_FIELD(struct outer, number, JSON_K_INT, .min = -9, .max = 99),
    JSON_FIELD(struct outer, flag, JSON_K_BOOL, .seen_offset = offsetof(struct outer, flag_seen) + 1),
    JSON_FIELD(struct outer, choice, JSON_K_ENUM, .names = names, .def = "second"),
    JSON_FIELD(struct outer, set, JSON_K_ENUMS, .names = names, .def = "first,third"),
    JSON_FIELD(struct outer, strings, JSON_K_STRINGS, .min = 2, .max = 4),
    JSON_FIELD(struct outer, words, JSON_K_STRINGS, .min = 1, .def = "one, two"),
    JSON_FIELD(struct outer, object, JSON_K_OBJECT, .sub = inner_schema),
    JSON_FIELD(struct outer, objects, JSON_K_OBJECTS, .sub = inner_schema, .size = sizeof(struct inner)),
    JSON_FIELD(struct outer, any, JSON_K_ANY),
    {0},
};

struct plain_inner {
    const char *text;
    int64_t weight;
};
struct plain {
    const char *string;
    int64_t number;
    bool flag;
    int choice;
    struct json_strings strings;
    struct plain_inner object;
    struct json_objects objects;
};
static const struct json_field plain_inner_schema[] = {
    JSON_FIELD(struct plain_inner, text, JSON_K_STRING, .required = true),
    JSON_FIELD(struct plain_inner, weight, JSON_K_INT, .def = "3"),
    {0},
};
static const struct json_field plain_schema[] = {
    JSON_FIELD(struct plain, string, JSON_K_STRING, .required = true, .min = 2, .max = 20),
    JSON_FIELD(struct plain, number, JSON_K_INT, .min = -9, .max = 99),
    JSON_FIELD(struct plain, flag, JSON_K_BOOL),
    JSON_FIELD(struct plain, choice, JSON_K_ENUM, .names = names),
    JSON_FIELD(struct plain, strings, JSON_K_STRINGS, .min = 1, .max = 4),
    JSON_FIELD(struct plain, object, JSON_K_OBJECT, .sub = plain_inner_schema),
    JSON_FIELD(struct plain, objects, JSON_K_OBJECTS, .sub = plain_inner_schema,
               .size = sizeof(struct plain_inner)),
    {0},
};

static bool inner_same(const struct plain_inner *a, const struct plain_inner *b)
{
    return a->weight == b->weight && (a->text == b->text || slice_eq(slice_str(a->text), slice_str(b->text)));
}

static bool plain_same(const struct plain *a, const struct plain *b)
{
    const struct plain_inner *v = a->objects.v, *w = b->objects.v;
    bool same = slice_eq(slice_str(a->string), slice_str(b->string)) && a->number == b->number &&
                a->flag == b->flag && a->choice == b->choice && a->strings.n == b->strings.n &&
                a->objects.n == b->objects.n && inner_same(&a->object, &b->object);
    for (size_t i = 0; same && i < a->strings.n; i++)
        same = slice_eq(slice_str(a->strings.v[i]), slice_str(b->strings.v[i]));
    for (size_t i = 0; same && i < a->objects.n; i++)
        same = inner_same(&v[i], &w[i]);
    return same;
}

static void bind_both(struct slice text)
{
    struct arena *a = arena_new(0);
    struct plain x = {0}, y = {0};
    json_t *doc = NULL;
    if (a && json_bind_plain(&x, plain_schema, text, a)) {
        tm_err e = json_parse(&doc, text, 2048, NULL);
        if (e == TM_OK)
            e = json_bind(&y, plain_schema, doc, "", a, NULL);
        if (e != TM_ENOMEM && (e != TM_OK || !plain_same(&x, &y)))
            abort();
    }
    json_decref(doc);
    arena_free(a);
}

static void rewrite(const json_t *v)
{
    struct buf b;
    json_t *again = NULL;
    buf_init(&b, 1 << 20);
    buf_put_json(&b, v, false);
    if (buf_err(&b) == TM_OK &&
        (json_parse(&again, buf_slice(&b), 1 << 20, NULL) != TM_OK || !json_equal(v, again)))
        abort();
    json_decref(again);
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *v = NULL;
    struct diag diag = {0};
    if (size <= 2048)
        bind_both(slice_of(data, size));
    if (json_parse(&v, slice_of(data, size), 2048, &diag) != TM_OK)
        return 0;
    /* The small arenas run out on the way. */
    static const size_t room[] = {0, 16, 64, 128};
    for (size_t i = 0; i < sizeof room / sizeof room[0]; i++) {
        struct arena *a = arena_new(room[i]);
        struct outer out = {0};
        if (a)
            TM_IGNORE(json_bind(&out, outer_schema, v, i ? "/spec" : "", a, &diag));
        arena_free(a);
    }
    rewrite(v);
    json_decref(v);
    return 0;
}
