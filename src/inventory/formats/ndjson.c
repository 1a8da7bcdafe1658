/* One JSON object a line, with the certificate in one of its members and perhaps what it is called in another. */
#include "base/arena.h"
#include "base/csv.h"
#include "base/json.h"
#include "inventory/formats/formats.h"
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_OCTETS = 512 << 10, LINES_MAX = 1000000 };

static struct slice front_line(struct slice text)
{
    const uint8_t *end = text.n ? memchr(text.p, '\n', text.n) : NULL;
    return slice_trim(slice_sub(text, 0, end ? (size_t)(end - text.p) : text.n));
}

static const json_t *member(const json_t *object, bool (*is)(struct slice name))
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        if (is(slice_str(key)) && json_is_string(v))
            return v;
    }
    return NULL;
}

static bool looks(struct slice bytes)
{
    json_t *doc = NULL;
    struct slice line = front_line(slice_trim(bytes));
    if (line.n == 0 || line.p[0] != '{' || json_parse(&doc, line, LINE_MAX_OCTETS, NULL) != TM_OK)
        return false;
    bool found = member(doc, container_is_cert_column) != NULL;
    json_decref(doc);
    return found;
}

static tm_err take_line(struct container_out *o, struct slice line, uint64_t number)
{
    struct arena *a = container_arena(o);
    struct diag why = {0};
    json_t *doc = NULL;
    char at[32];
    snprintf(at, sizeof at, "line %llu", (unsigned long long)number);
    tm_err e = json_parse(&doc, line, LINE_MAX_OCTETS, &why);
    if (e == TM_ENOMEM)
        return e;
    if (e != TM_OK) {
        container_refuse(o, at, "%s", why.message);
        return TM_OK;
    }
    const json_t *cert = member(doc, container_is_cert_column), *name = member(doc, container_is_name_column);
    struct slice text = {0};
    const char *alias = arena_strdup(a, name && json_string_length(name) ? json_string_value(name) : at);
    e = alias ? TM_OK : arena_err(a);
    if (e == TM_OK && cert)
        e = arena_copy(&text, a, slice_of(json_string_value(cert), json_string_length(cert)));
    json_decref(doc);
    return e == TM_OK && text.n ? container_text(o, alias, text) : e;
}

static tm_err read(struct container_out *o, const struct container_input *in, struct diag *diag)
{
    struct slice rest = in->bytes;
    uint64_t number = 1;
    for (; rest.n && number <= LINES_MAX; number++, csv_skip_line(&rest)) {
        struct slice line = front_line(rest);
        if (line.n)
            TM_TRY(take_line(o, line, number));
    }
    if (rest.n)
        return diag_fail(diag, TM_ETOOBIG, NULL, "body", "more than %d lines", LINES_MAX);
    return TM_OK;
}

const struct cert_format ndjson_format = {"ndjson", "one JSON object a line", looks, read};
