/* x509/print_sink.h - where facts about a certificate go: aligned text for a person, or JSON. Layer 2.
 *
 * An object is a row of facts; a fact has a JSON key, a label and one value or a list of them. Values come from outside: text output
 * escapes what a terminal would act on. */
#pragma once
#include "base/buf.h"
#include "base/slice.h"
#include <stdbool.h>

struct print_sink {
    struct buf *out;
    bool json;
    size_t objects;    /* written so far */
    size_t facts;      /* of the open object */
    size_t items;      /* of the open list */
    const char *label; /* of the open list, until its first item is out */
};

void print_begin(struct print_sink *s);
void print_end(struct print_sink *s);

/* `kind` is the JSON "type", `title` the heading. */
void print_object(struct print_sink *s, const char *kind, const char *title);
void print_object_end(struct print_sink *s);

void print_text(struct print_sink *s, const char *key, const char *label, struct slice value);
void print_str(struct print_sink *s, const char *key, const char *label, const char *value);
void print_hex(struct print_sink *s, const char *key, const char *label, struct slice octets);
void print_time(struct print_sink *s, const char *key, const char *label, int64_t t, const char *remark);
/* A whole number, as text with a unit behind it. */
void print_number(struct print_sink *s, const char *key, const char *label, uint64_t v, const char *unit);
void print_bool(struct print_sink *s, const char *key, const char *label, bool v);

/* An empty list writes nothing as text, [] as JSON. */
void print_list(struct print_sink *s, const char *key, const char *label);
void print_item(struct print_sink *s, struct slice value);
/* JSON output only: an item that is JSON itself. */
void print_item_raw(struct print_sink *s, struct slice json);
void print_list_end(struct print_sink *s);
