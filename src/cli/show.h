/* cli/show.h - answers of the API for people: tables of rows, and one object as "key  value" lines. Layer 6.
 *
 * With -o json or yaml the same values are printed whole. Everything returns an exit status. */
#pragma once
#include "cli/cli.h"
#include <jansson.h>

struct show_column {
    const char *heading, *key; /* "a", or "a.b" of an object in it; the list ends with a NULL heading */
    const char *otherwise;     /* what stands there where that is empty; NULL: nothing */
};

/* One value. As a table: objects become "a.b  value" lines, lists of objects tables below them. Borrows `v`. */
int show_value(struct cli *c, const json_t *v);
/* Rows: an array of objects. Borrows `items`. */
int show_items(struct cli *c, const json_t *items, const struct show_column *columns);
/* Every page of a list ({"items", "next"}) up to `max` rows (0: all), then show_items(). `path` may have a query; `after` is the query's key
 * that takes "next". */
int show_list(struct cli *c, const char *path, const char *after, const struct show_column *columns,
              size_t max);
/* Text from elsewhere on standard output: control characters, and those that turn the direction of a terminal's text, as question marks. */
void show_plain(const char *text);
/* `s` with all but unreserved characters as %XX, for paths and queries (RFC 3986 2.3). In the arena. */
const char *show_escape(struct cli *c, const char *s);
