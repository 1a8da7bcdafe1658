#include "base/json.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH_MAX = 32, JSON_STRING_MAX = 4096, JSON_LIST_MAX = 256 };

/* ---- text to document ---- */

/* Nesting before jansson sees it, which recurses up to 2048 levels deep. Brackets in strings don't count; whether they
 * match is jansson's to say. */
static bool too_deep(struct slice text)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

tm_err json_parse(json_t **ret, struct slice text, size_t max, struct diag *diag)
{
    if (text.n > max)
        return diag_fail(diag, TM_ETOOBIG, "RFC 8259 9", "", "the JSON text is longer than %zu bytes", max);
    if (too_deep(text))
        return diag_fail(diag, TM_ETOOBIG, "RFC 8259 9", "", "the JSON text nests deeper than %d",
                         JSON_DEPTH_MAX);
    json_error_t error = {0};
    json_t *v = json_loadb(text.n ? (const char *)text.p : "", text.n, JSON_REJECT_DUPLICATES, &error);
    if (v) {
        *ret = v;
        return TM_OK;
    }
    /* jansson gives no reason where one of its own allocations fails (but for its lexer, which blames the token). */
    if (error.text[0] == '\0' || json_error_code(&error) == json_error_out_of_memory)
        return diag_fail(diag, TM_ENOMEM, NULL, "", "out of memory while reading JSON");
    if (diag)
        diag->offset = error.position > 0 ? (size_t)error.position : 0;
    return diag_fail(diag, TM_EMALFORMED, "RFC 8259", "", "line %d, column %d: %s", error.line, error.column,
                     error.text);
}

/* ---- binding ---- */

/* Where in the document we are, as a JSON pointer (RFC 6901); what doesn't fit is left off. */
struct pointer {
    char text[96];
    size_t n;
};

struct binder {
    struct arena *arena;
    struct diag *diag;
    struct pointer at;
};

static void pointer_put(struct pointer *p, const char *s)
{
    size_t room = sizeof p->text - 1 - p->n;
    size_t n = strlen(s);
    if (n > room)
        n = room;
    memcpy(p->text + p->n, s, n);
    p->n += n;
    p->text[p->n] = '\0';
}

/* Returns what pointer_pop() takes to come back. */
static size_t pointer_push(struct pointer *p, const char *key)
{
    size_t before = p->n;
    pointer_put(p, "/");
    for (; *key; key++) {
        char c[2] = {*key, '\0'};
        pointer_put(p, *key == '~' ? "~0" : *key == '/' ? "~1" : c);
    }
    return before;
}

static size_t pointer_push_index(struct pointer *p, size_t index)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", index);
    return pointer_push(p, digits);
}

static void pointer_pop(struct pointer *p, size_t before)
{
    p->n = before;
    p->text[before] = '\0';
}

#define BIND_FAIL(b, ...) diag_fail((b)->diag, TM_EINVAL, NULL, (b)->at.text, __VA_ARGS__)

static tm_err bind_nomem(const struct binder *b)
{
    return diag_fail(b->diag, arena_err(b->arena), NULL, b->at.text, "out of memory");
}

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

static tm_err bind_wrong_type(const struct binder *b, const char *wanted, const json_t *v)
{
    return BIND_FAIL(b, "must be %s, not %s", wanted, type_name(v));
}

/* ---- suggestions ---- */

enum { SUGGEST_LEN = 64, SUGGEST_DISTANCE = 2 };

/* Levenshtein's distance, row by row; words too long to be a slip of the finger are far away. */
static unsigned edit_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > SUGGEST_LEN || nb > SUGGEST_LEN)
        return SUGGEST_DISTANCE + 1;
    unsigned row[SUGGEST_LEN + 1];
    for (size_t j = 0; j <= nb; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned replace = diagonal + (a[i - 1] != b[j - 1]);
            unsigned least = row[j] + 1 < row[j - 1] + 1 ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = replace < least ? replace : least;
        }
    }
    return row[nb];
}

struct suggestion {
    const char *best; /* NULL: nothing is near */
    unsigned distance;
};

static void suggest(struct suggestion *s, const char *word, const char *known)
{
    unsigned distance = edit_distance(word, known);
    /* Of a two-letter word, everything of two letters is within two edits. */
    if (distance > SUGGEST_DISTANCE || distance >= strlen(known))
        return;
    if (!s->best || distance < s->distance)
        *s = (struct suggestion){known, distance};
}

static tm_err bind_unknown_key(struct binder *b, const struct json_field *schema, const char *key)
{
    struct suggestion s = {0};
    for (const struct json_field *f = schema; f->key; f++)
        suggest(&s, key, f->key);
    pointer_push(&b->at, key);
    if (s.best)
        return BIND_FAIL(b, "unknown key \"%.80s\"; did you mean \"%s\"?", key, s.best);
    return BIND_FAIL(b, "unknown key \"%.80s\"", key);
}

static tm_err bind_unknown_name(const struct binder *b, const char *const *names, struct slice word)
{
    char copy[SUGGEST_LEN + 2];
    snprintf(copy, sizeof copy, "%.*s", (int)(word.n <= SUGGEST_LEN ? word.n : SUGGEST_LEN + 1),
             word.n ? (const char *)word.p : "");
    struct suggestion s = {0};
    char list[160] = "";
    size_t n = 0;
    for (const char *const *name = names; *name; name++) {
        suggest(&s, copy, *name);
        if (n < sizeof list)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", *name);
    }
    if (s.best)
        return BIND_FAIL(b, "\"%s\" is not known; did you mean \"%s\"?", copy, s.best);
    return BIND_FAIL(b, "must be one of: %s", n < sizeof list ? list : "(see the documentation)");
}

/* ---- scalars ---- */

static tm_err bind_range(const struct binder *b, const struct json_field *f, int64_t v)
{
    bool any = f->min == 0 && f->max == 0;
    if (any || (v >= f->min && v <= f->max))
        return TM_OK;
    if (f->kind != JSON_K_DURATION)
        return BIND_FAIL(b, "must be between %" PRId64 " and %" PRId64, f->min, f->max);
    char min[24], max[24];
    duration_format(min, f->min);
    duration_format(max, f->max);
    return BIND_FAIL(b, "must be between %s and %s", min, max);
}

static tm_err bind_string(const struct binder *b, const struct json_field *f, struct slice text,
                          const char **ret)
{
    size_t max = f->kind == JSON_K_STRING && f->max > 0 ? (size_t)f->max : JSON_STRING_MAX;
    size_t min = f->kind == JSON_K_STRING && f->min > 0 ? (size_t)f->min : 0;
    if (text.n > max)
        return BIND_FAIL(b, "must not be longer than %zu bytes", max);
    if (text.n < min)
        return min == 1 ? BIND_FAIL(b, "must not be empty") : BIND_FAIL(b, "must be at least %zu bytes", min);
    if (!utf8_valid(text))
        return BIND_FAIL(b, "must be UTF-8 without NUL");
    struct slice copy;
    if (arena_copy(&copy, b->arena, text) != TM_OK)
        return bind_nomem(b);
    *ret = (const char *)copy.p;
    return TM_OK;
}

static tm_err bind_name(const struct binder *b, const struct json_field *f, struct slice text, int *ret)
{
    for (int i = 0; f->names[i]; i++) {
        if (slice_eq_str(text, f->names[i])) {
            *ret = i;
            return TM_OK;
        }
    }
    return bind_unknown_name(b, f->names, text);
}

/* The kinds whose JSON form is a string. */
static tm_err bind_text(const struct binder *b, const struct json_field *f, void *member, struct slice text)
{
    int64_t v = 0;
    switch (f->kind) {
    case JSON_K_STRING:
        return bind_string(b, f, text, member);
    case JSON_K_ENUM:
        return bind_name(b, f, text, member);
    case JSON_K_DURATION:
        if (duration_parse(&v, text) != TM_OK)
            return BIND_FAIL(b, "must be a duration such as \"90m\", \"47d\" or \"1y\", or \"never\"");
        TM_TRY(bind_range(b, f, v));
        break;
    case JSON_K_TIME:
        if (clock_parse_rfc3339(&v, text) != TM_OK)
            return BIND_FAIL(b, "must be a time such as \"2026-11-21T04:07:43Z\" or a date that exists");
        break;
    default:
        return diag_fail(b->diag, TM_EINTERNAL, NULL, b->at.text, "the schema's kind has no text form");
    }
    *(int64_t *)member = v;
    return TM_OK;
}

static struct slice string_slice(const json_t *v)
{
    return slice_of(json_string_value(v), json_string_length(v));
}

/* ---- lists ---- */

static tm_err bind_list_size(const struct binder *b, const struct json_field *f, const json_t *v)
{
    if (!json_is_array(v))
        return bind_wrong_type(b, "a list", v);
    size_t n = json_array_size(v);
    size_t max = f->max > 0 ? (size_t)f->max : JSON_LIST_MAX;
    if (n > max)
        return BIND_FAIL(b, "must not have more than %zu members", max);
    if (f->min > 0 && n < (size_t)f->min)
        return f->min == 1 ? BIND_FAIL(b, "must not be empty")
                           : BIND_FAIL(b, "must have at least %" PRId64 " members", f->min);
    return TM_OK;
}

static tm_err bind_strings(struct binder *b, const struct json_field *f, struct json_strings *ret,
                           const json_t *v)
{
    TM_TRY(bind_list_size(b, f, v));
    struct json_strings made = {.n = json_array_size(v)};
    made.v = arena_calloc(b->arena, made.n, sizeof made.v[0]);
    if (!made.v)
        return bind_nomem(b);
    for (size_t i = 0; i < made.n; i++) {
        size_t up = pointer_push_index(&b->at, i);
        const json_t *member = json_array_get(v, i);
        if (!json_is_string(member))
            return bind_wrong_type(b, "a string", member);
        TM_TRY(bind_string(b, f, string_slice(member), &made.v[i]));
        pointer_pop(&b->at, up);
    }
    *ret = made;
    return TM_OK;
}

static tm_err bind_set(struct binder *b, const struct json_field *f, unsigned *ret, struct slice name)
{
    int i = 0;
    TM_TRY(bind_name(b, f, name, &i));
    unsigned bit = 1u << i;
    if (*ret & bit)
        return BIND_FAIL(b, "\"%s\" is named twice", f->names[i]);
    *ret |= bit;
    return TM_OK;
}

static tm_err bind_enums(struct binder *b, const struct json_field *f, unsigned *ret, const json_t *v)
{
    TM_TRY(bind_list_size(b, f, v));
    unsigned set = 0;
    for (size_t i = 0; i < json_array_size(v); i++) {
        size_t up = pointer_push_index(&b->at, i);
        const json_t *member = json_array_get(v, i);
        if (!json_is_string(member))
            return bind_wrong_type(b, "a string", member);
        TM_TRY(bind_set(b, f, &set, string_slice(member)));
        pointer_pop(&b->at, up);
    }
    *ret = set;
    return TM_OK;
}

static tm_err bind_object(struct binder *b, const struct json_field *schema, void *out, const json_t *object);

static tm_err bind_objects(struct binder *b, const struct json_field *f, struct json_objects *ret,
                           const json_t *v)
{
    TM_TRY(bind_list_size(b, f, v));
    struct json_objects made = {.n = json_array_size(v)};
    made.v = arena_calloc(b->arena, made.n, f->size);
    if (!made.v)
        return bind_nomem(b);
    for (size_t i = 0; i < made.n; i++) {
        size_t up = pointer_push_index(&b->at, i);
        TM_TRY(bind_object(b, f->sub, (char *)made.v + i * f->size, json_array_get(v, i)));
        pointer_pop(&b->at, up);
    }
    *ret = made;
    return TM_OK;
}

/* ---- defaults ---- */

/* The next word of a list that is separated by commas; false at its end. */
static bool next_word(struct slice *word, struct slice *list)
{
    if (list->n == 0)
        return false;
    const uint8_t *comma = memchr(list->p, ',', list->n);
    size_t n = comma ? (size_t)(comma - list->p) : list->n;
    *word = slice_trim(slice_sub(*list, 0, n));
    *list = slice_sub(*list, comma ? n + 1 : n, list->n);
    return true;
}

static tm_err default_strings(struct binder *b, const struct json_field *f, struct json_strings *ret)
{
    size_t n = 0;
    struct slice word, list = slice_str(f->def);
    while (next_word(&word, &list))
        n++;
    struct json_strings made = {.v = arena_calloc(b->arena, n, sizeof made.v[0])};
    if (!made.v)
        return bind_nomem(b);
    list = slice_str(f->def);
    while (next_word(&word, &list))
        TM_TRY(bind_string(b, f, word, &made.v[made.n++]));
    *ret = made;
    return TM_OK;
}

static tm_err bind_defaults(struct binder *b, const struct json_field *schema, void *out);

static tm_err bind_default(struct binder *b, const struct json_field *f, void *member)
{
    if (f->kind == JSON_K_OBJECT)
        return bind_defaults(b, f->sub, member);
    if (!f->def)
        return TM_OK;
    struct slice word, list = slice_str(f->def);
    switch (f->kind) {
    case JSON_K_INT:
        *(int64_t *)member = strtoll(f->def, NULL, 10);
        return TM_OK;
    case JSON_K_BOOL:
        *(bool *)member = slice_eq_str(list, "true");
        return TM_OK;
    case JSON_K_STRINGS:
        return default_strings(b, f, member);
    case JSON_K_ENUMS:
        *(unsigned *)member = 0;
        while (next_word(&word, &list))
            TM_TRY(bind_set(b, f, member, word));
        return TM_OK;
    default:
        return bind_text(b, f, member, list);
    }
}

/* An object that is absent: what it requires is required only of one that is there. */
static tm_err bind_defaults(struct binder *b, const struct json_field *schema, void *out)
{
    for (const struct json_field *f = schema; f->key; f++) {
        size_t up = pointer_push(&b->at, f->key);
        TM_TRY(bind_default(b, f, (char *)out + f->offset));
        pointer_pop(&b->at, up);
    }
    return TM_OK;
}

/* ---- objects ---- */

static tm_err bind_value(struct binder *b, const struct json_field *f, void *member, json_t *v)
{
    switch (f->kind) {
    case JSON_K_INT:
        if (!json_is_integer(v))
            return bind_wrong_type(b, "a whole number", v);
        TM_TRY(bind_range(b, f, json_integer_value(v)));
        *(int64_t *)member = json_integer_value(v);
        return TM_OK;
    case JSON_K_BOOL:
        if (!json_is_boolean(v))
            return bind_wrong_type(b, "true or false", v);
        *(bool *)member = json_is_true(v);
        return TM_OK;
    case JSON_K_STRINGS:
        return bind_strings(b, f, member, v);
    case JSON_K_ENUMS:
        return bind_enums(b, f, member, v);
    case JSON_K_OBJECT:
        return bind_object(b, f->sub, member, v);
    case JSON_K_OBJECTS:
        return bind_objects(b, f, member, v);
    case JSON_K_ANY:
        *(json_t **)member = v;
        return TM_OK;
    default:
        if (!json_is_string(v))
            return bind_wrong_type(b, "a string", v);
        return bind_text(b, f, member, string_slice(v));
    }
}

static tm_err bind_field(struct binder *b, const struct json_field *f, void *out, const json_t *object)
{
    void *member = (char *)out + f->offset;
    json_t *v = json_object_get(object, f->key);
    if (!v && f->required)
        return BIND_FAIL(b, "is required");
    if (!v)
        return bind_default(b, f, member);
    if (f->seen_offset)
        *(bool *)((char *)out + f->seen_offset - 1) = true;
    return bind_value(b, f, member, v);
}

static bool schema_has(const struct json_field *schema, const char *key)
{
    for (const struct json_field *f = schema; f->key; f++)
        if (strcmp(f->key, key) == 0)
            return true;
    return false;
}

static tm_err bind_object(struct binder *b, const struct json_field *schema, void *out, const json_t *object)
{
    if (!json_is_object(object))
        return bind_wrong_type(b, "an object", object);
    json_t *o = (json_t *)(uintptr_t)object; /* jansson's iterators are not const */
    for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i))
        if (!schema_has(schema, json_object_iter_key(i)))
            return bind_unknown_key(b, schema, json_object_iter_key(i));
    for (const struct json_field *f = schema; f->key; f++) {
        size_t up = pointer_push(&b->at, f->key);
        TM_TRY(bind_field(b, f, out, object));
        pointer_pop(&b->at, up);
    }
    return TM_OK;
}

tm_err json_bind(void *out, const struct json_field *schema, const json_t *object, const char *path,
                 struct arena *a, struct diag *diag)
{
    struct binder b = {.arena = a, .diag = diag};
    pointer_put(&b.at, path ? path : "");
    return bind_object(&b, schema, out, object);
}

/* ---- document to text ---- */

static int append(const char *p, size_t n, void *buf)
{
    struct buf *b = buf;
    buf_put(b, p, n);
    return buf_err(b) == TM_OK ? 0 : -1;
}

void buf_put_json(struct buf *b, const json_t *v, bool pretty)
{
    size_t flags = JSON_SORT_KEYS | JSON_ENCODE_ANY | (pretty ? JSON_INDENT(2) : JSON_COMPACT);
    /* It fails by our own callback or for want of memory. */
    if (json_dump_callback(v, append, b, flags) != 0 && b->err == TM_OK)
        b->err = TM_ENOMEM;
}

tm_err json_texts(const char *const **ret, size_t *ret_n, struct arena *a, const json_t *list)
{
    size_t n = json_array_size(list);
    const char **v = arena_calloc(a, n + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(list, i));
        v[i] = arena_strdup(a, s ? s : "");
        if (!v[i])
            return TM_ENOMEM;
    }
    *ret = v;
    *ret_n = n;
    return TM_OK;
}
