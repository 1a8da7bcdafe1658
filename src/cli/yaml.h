/* cli/yaml.h - YAML documents to JSON values, with the place of every node for error messages.
 *
 * Layer 6, over libyaml's events. A subset on purpose: mappings with scalar keys, sequences, scalars (core schema: null, booleans, integers, decimals,
 * strings); anchors and aliases, tags, merge keys and duplicate keys are refused. Bounded: 4 MiB, depth 32, 100,000 nodes. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <jansson.h>

struct arena;

/* Line and column (from 1) of the node under each JSON pointer. */
struct yaml_mark {
    const char *pointer;
    unsigned line, column;
};
struct yaml_doc {
    json_t *value;
    struct yaml_mark *marks;
    size_t n_marks;
};

enum { YAML_TEXT_MAX = 4 << 20 };

/* All documents of a stream (--- separated; empty ones are left out). The caller json_decref()s each value; marks live in `a`. On failure diag->field
 * is "line:column" and the message says what is wrong. */
tm_err yaml_load(struct yaml_doc **ret, size_t *ret_n, struct arena *a, struct slice text, struct diag *diag);
/* Where a pointer's node stands; an unknown pointer gives its nearest known ancestor. */
struct yaml_mark yaml_mark_find(const struct yaml_doc *d, const char *pointer);

/* A JSON value as YAML text, keys in their given order, multi-line strings as literal blocks. */
struct buf;
void yaml_dump(struct buf *out, const json_t *v);
