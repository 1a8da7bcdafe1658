/* base/json.h - JSON documents bound to structs by a table.
 *
 * Layer 0, over jansson. A schema is an array of `struct json_field` that ends with a zero key. Binding refuses unknown keys,
 * wrong types, values out of range and duplicate keys, and names the place by a JSON pointer in diag->field ("/lifetime/max").
 * Strings and lists live in the arena. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <jansson.h>
#include <stdbool.h>

struct arena;
struct buf;

enum json_kind {
    JSON_K_STRING,   /* const char *;  min/max: length in bytes (max 0: 4096) */
    JSON_K_INT,      /* int64_t;       min/max (both 0: any) */
    JSON_K_BOOL,     /* bool */
    JSON_K_ENUM,     /* int;           names: NULL-terminated array; value = index */
    JSON_K_DURATION, /* int64_t seconds, text form of base/clock.h; min/max in seconds (both 0: any) */
    JSON_K_TIME,     /* int64_t unix seconds, RFC 3339 */
    JSON_K_STRINGS,  /* struct json_strings; max: most members (0: 256) */
    JSON_K_ENUMS,    /* unsigned bit set;    names as for JSON_K_ENUM; list of names */
    JSON_K_OBJECT,   /* a struct in place;   sub: its schema; an absent object leaves zeroes and defaults */
    JSON_K_OBJECTS,  /* struct json_objects; sub: schema, size: sizeof element; max: most members (0: 256) */
    JSON_K_ANY,      /* json_t * borrowed from the document */
};

struct json_strings {
    const char **v;
    size_t n;
};
struct json_objects {
    void *v; /* array of n elements of the declared size */
    size_t n;
};

struct json_field {
    const char *key;
    enum json_kind kind;
    size_t offset;
    bool required;
    int64_t min, max;
    const char *const *names;
    const struct json_field *sub;
    size_t size;
    const char *doc; /* one line for help and OpenAPI */
    /* Default where absent: text in the form JSON would have it without quotes ("47d", "true", "3"); NULL: leave zero. */
    const char *def;
    size_t seen_offset; /* offset+1 of a bool to set when the key is present; 0: none */
};
#define JSON_FIELD(type, member, k, ...)                                                                     \
    {.key = #member, .kind = (k), .offset = offsetof(type, member), __VA_ARGS__}

/* Parse text: at most `max` bytes, depth 32, duplicate keys refused. The caller json_decref()s. */
tm_err json_parse(json_t **ret, struct slice text, size_t max, struct diag *diag);

/* Fill *out (of the schema's struct type) from an object. `path` is the pointer prefix, "" at the top. */
tm_err json_bind(void *out, const struct json_field *schema, const json_t *object, const char *path,
                 struct arena *a, struct diag *diag);

/* The texts of a list, in the arena; a member that is none is "". NULL or no list: none. */
tm_err json_texts(const char *const **ret, size_t *ret_n, struct arena *a, const json_t *list);

/* Append the compact or indented text with sorted keys. */
void buf_put_json(struct buf *b, const json_t *v, bool pretty);
