#include "cli/show.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/call.h"
#include "cli/yaml.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOW_MAX = 1 << 30, SHOW_PAGE = 1000, KEY_MAX = 256, ROWS_COLUMNS = 10 };

static int put_document(struct cli *c, const json_t *v)
{
    struct buf b;
    buf_init(&b, SHOW_MAX);
    if (c->output == OUTPUT_YAML)
        yaml_dump(&b, v);
    else
        buf_put_json(&b, v, true);
    if (b.n && b.p[b.n - 1] != '\n')
        buf_putc(&b, '\n');
    bool ok = buf_err(&b) == TM_OK && fwrite(b.p, 1, b.n, stdout) == b.n;
    buf_done(&b);
    return ok ? 0 : cli_fail(c, "the answer could not be printed");
}

/* One cell. Numbers and texts as they are, lists of texts with commas. */
static const char *cell(struct cli *c, const json_t *v)
{
    if (!v || json_is_null(v))
        return "";
    /* RFC 5280 4.1.2.5 has a date for what has no end; people have a word. */
    if (json_is_string(v))
        return strcmp(json_string_value(v), "9999-12-31T23:59:59Z") == 0 ? "never" : json_string_value(v);
    if (json_is_boolean(v))
        return json_is_true(v) ? "yes" : "no";
    if (json_is_integer(v))
        return arena_printf(c->arena, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    if (json_is_real(v)) /* as it was written: a double has no more than 15 digits that are right */
        return arena_printf(c->arena, "%.15g", json_real_value(v));
    struct buf b;
    buf_init(&b, 1 << 20);
    size_t i;
    const json_t *x;
    bool texts = json_is_array(v);
    json_array_foreach(v, i, x) texts = texts && json_is_string(x);
    if (texts) {
        json_array_foreach(v, i, x)
        {
            buf_puts(&b, i ? ", " : "");
            buf_puts(&b, json_string_value(x));
        }
    } else {
        buf_put_json(&b, v, false);
    }
    const char *s = arena_strdup(c->arena, buf_str(&b));
    buf_done(&b);
    return s ? s : "";
}

void show_plain(const char *text)
{
    for (struct slice s = slice_str(text); s.n > 0;) {
        size_t step = utf8_step(s);
        bool shown = step > 0 && !utf8_invisible(utf8_code(s, step));
        if (shown)
            fwrite(s.p, 1, step, stdout);
        else
            putchar('?');
        s = slice_sub(s, step ? step : 1, SIZE_MAX);
    }
}

/* A list that is shown as a table of its own. */
static bool is_rows(const json_t *v)
{
    return json_is_array(v) && json_is_object(json_array_get(v, 0));
}

static size_t widest(const json_t *v, size_t prefix)
{
    size_t w = 0;
    const char *key;
    const json_t *x;
    json_object_foreach((json_t *)(uintptr_t)v, key, x)
    {
        size_t n = is_rows(x) ? 0 : prefix + strlen(key);
        if (json_is_object(x))
            n = widest(x, n + 1);
        w = n > w ? n : w;
    }
    return w;
}

static void put_object(struct cli *c, const json_t *v, const char *prefix, size_t width)
{
    const char *key;
    const json_t *x;
    json_object_foreach((json_t *)(uintptr_t)v, key, x)
    {
        char name[KEY_MAX];
        snprintf(name, sizeof name, "%s%s%s", prefix, prefix[0] ? "." : "", key);
        if (json_is_object(x)) {
            put_object(c, x, name, width);
            continue;
        }
        if (is_rows(x))
            continue;
        const char *text = cell(c, x);
        printf("%-*s  ", (int)width, name);
        if (strchr(text, '\n')) { /* PEM and the like: below, as it is */
            printf("\n%s", text);
            continue;
        }
        show_plain(text);
        putchar('\n');
    }
}

static bool put_rows(struct cli *c, const char *title, const json_t *rows)
{
    struct show_column columns[ROWS_COLUMNS + 1] = {0};
    size_t n = 0;
    const char *key;
    const json_t *x;
    json_object_foreach(json_array_get(rows, 0), key, x)
    {
        if (json_is_object(x) || json_is_array(x) || n == ROWS_COLUMNS)
            continue;
        char *heading = arena_strdup(c->arena, key);
        for (char *p = heading; p && *p; p++)
            *p = (char)(*p == '_' ? ' ' : toupper((unsigned char)*p));
        columns[n++] = (struct show_column){heading, key};
    }
    printf("\n%s\n", title);
    return show_items(c, rows, columns) == 0;
}

int show_value(struct cli *c, const json_t *v)
{
    if (c->output != OUTPUT_TABLE || !json_is_object(v))
        return put_document(c, v);
    put_object(c, v, "", widest(v, 0));
    const char *key;
    const json_t *x;
    json_object_foreach((json_t *)(uintptr_t)v, key, x) if (is_rows(x) && !put_rows(c, key, x)) return 1;
    return 0;
}

/* "a" or "a.b" of a row. */
static const json_t *member_of(struct cli *c, const json_t *row, const char *key)
{
    size_t n = strcspn(key, ".");
    const char *first = key[n] ? arena_strndup(c->arena, key, n) : key;
    const json_t *v = first ? json_object_get(row, first) : NULL;
    return key[n] ? json_object_get(v, key + n + 1) : v;
}

int show_items(struct cli *c, const json_t *items, const struct show_column *columns)
{
    if (c->output != OUTPUT_TABLE)
        return put_document(c, items);
    size_t n_columns = 0;
    while (columns[n_columns].heading)
        n_columns++;
    size_t rows = json_array_size(items);
    const char **headings = arena_calloc(c->arena, n_columns + 1, sizeof *headings);
    const char **cells = arena_calloc(c->arena, n_columns * rows + 1, sizeof *cells);
    if (!headings || !cells)
        return cli_fail(c, "too many rows for a table; use -o json or --limit");
    for (size_t k = 0; k < n_columns; k++)
        headings[k] = columns[k].heading;
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < n_columns; k++) {
            const json_t *item = json_array_get(items, i);
            const char **to = &cells[i * n_columns + k];
            *to = cell(c, member_of(c, item, columns[k].key));
            if (!(*to)[0] && columns[k].otherwise)
                *to = cell(c, json_object_get(item, columns[k].otherwise));
        }
    cli_table(headings, cells, rows);
    if (rows == 0 && !c->quiet)
        fprintf(stderr, "There is none.\n");
    return 0;
}

int show_list(struct cli *c, const char *path, const char *after, const struct show_column *columns,
              size_t max)
{
    json_t *all = json_array();
    const char *next = NULL;
    bool more = all != NULL;
    while (more) {
        size_t have = json_array_size(all);
        size_t page = max && max - have < SHOW_PAGE ? max - have : SHOW_PAGE;
        const char *url = arena_printf(c->arena, "%s%slimit=%zu%s%s%s%s", path, strchr(path, '?') ? "&" : "?",
                                       page, next ? "&" : "", next ? after : "", next ? "=" : "",
                                       next ? show_escape(c, next) : "");
        struct cli_reply r;
        if (!url || !cli_call_ok(c, "GET", url, slice_of(NULL, 0), NULL, &r)) {
            json_decref(all);
            return 1;
        }
        json_t *items = json_is_array(r.json) ? r.json : json_object_get(r.json, "items");
        if (json_is_array(items))
            json_array_extend(all, items);
        const char *text = cell(c, json_object_get(r.json, "next"));
        next = text[0] ? arena_strdup(c->arena, text) : NULL;
        more = next && (max == 0 || json_array_size(all) < max);
    }
    int status = show_items(c, all, columns);
    json_decref(all);
    return status;
}

const char *show_escape(struct cli *c, const char *s)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (; *s; s++) {
        if (isalnum((unsigned char)*s) || strchr("-._~", *s))
            buf_putc(&b, (uint8_t)*s);
        else
            buf_printf(&b, "%%%02X", (unsigned char)*s);
    }
    const char *out = arena_strdup(c->arena, buf_str(&b));
    buf_done(&b);
    return out ? out : "";
}
