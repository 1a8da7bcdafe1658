#include "device/import.h"
#include "base/arena.h"
#include "base/csv.h"
#include "base/text.h"
#include <string.h>

static const char *const columns[] = {"id", "serial", "model", "vendor", "owner", "place", "batch", NULL};

/* How bad it is without it: kept as the tag of that name. */
static const char criticality[] = "criticality";

static const char **field_of(struct device_fields *f, struct slice name)
{
    const char **fields[] = {&f->id, &f->serial, &f->model, &f->vendor, &f->owner, &f->place, &f->batch};
    for (size_t i = 0; columns[i]; i++)
        if (slice_eq_str(name, columns[i]))
            return fields[i];
    return NULL;
}

static bool begins(struct slice s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n > n && memcmp(s.p, prefix, n) == 0;
}

/* ---- CSV ---- */

static void skip_line(struct device_import *im)
{
    csv_skip_line(&im->rest);
    im->next_line++;
}

static tm_err csv_header(struct device_import *im, struct diag *diag)
{
    struct device_fields none = {0};
    bool last = false, named = false;
    const uint8_t *end = im->rest.n ? memchr(im->rest.p, '\n', im->rest.n) : NULL;
    size_t n = end ? (size_t)(end - im->rest.p) : im->rest.n;
    struct slice header = slice_sub(im->rest, 0, n);
    if (header.n > IMPORT_ROW_MAX || (header.n && memchr(header.p, '"', header.n)))
        return diag_fail(diag, TM_EMALFORMED, NULL, "line",
                         "the header must be plain names with commas between them");
    while (!last) {
        struct slice name;
        if (im->n_columns == IMPORT_COLUMNS_MAX)
            return diag_fail(diag, TM_ETOOBIG, NULL, "line", "at most %d columns", IMPORT_COLUMNS_MAX);
        TM_TRY(csv_cell(&name, &header, NULL, &last, &im->next_line, IMPORT_ROW_MAX, diag));
        if (!field_of(&none, name) && !begins(name, "tag.") && !begins(name, "identifier.") &&
            !slice_eq_str(name, criticality))
            return diag_fail(
                diag, TM_EINVAL, NULL, "line",
                "column %zu is none of id, serial, model, vendor, owner, place, batch, criticality, "
                "identifier.<name> and tag.<name>",
                im->n_columns + 1);
        named |= slice_eq_str(name, "id") || slice_eq_str(name, "serial");
        im->columns[im->n_columns++] = name;
    }
    if (!named)
        return diag_fail(diag, TM_EINVAL, NULL, "line", "the header has neither id nor serial");
    skip_line(im);
    return TM_OK;
}

static tm_err csv_set(struct device_fields *f, json_t *identifiers, json_t *tags, struct arena *a,
                      struct slice column, struct slice cell, struct diag *diag)
{
    if (cell.n == 0)
        return TM_OK;
    if (!utf8_valid(cell))
        return diag_fail(diag, TM_EMALFORMED, "RFC 3629", "line", "not UTF-8");
    const char **field = field_of(f, column);
    char *value = arena_strndup(a, (const char *)cell.p, cell.n);
    if (!value)
        return TM_ENOMEM;
    if (field) {
        *field = value;
        return TM_OK;
    }
    bool plain = slice_eq_str(column, criticality), tag = plain || begins(column, "tag.");
    size_t skip = plain ? 0 : tag ? sizeof "tag." - 1 : sizeof "identifier." - 1;
    char *key = arena_strndup(a, (const char *)column.p + skip, column.n - skip);
    if (!key)
        return TM_ENOMEM;
    if (!utf8_valid(slice_str(key)))
        return diag_fail(diag, TM_EMALFORMED, "RFC 3629", "line", "the column's name is not UTF-8");
    return json_object_set_new(tag ? tags : identifiers, key, json_string(value)) ? TM_ENOMEM : TM_OK;
}

static tm_err csv_row(struct device_import *im, struct device_fields *ret, struct arena *a,
                      json_t *identifiers, json_t *tags, struct diag *diag)
{
    struct slice row = im->rest;
    uint64_t line = im->next_line;
    bool last = false;
    tm_err e = TM_OK;
    size_t n = 0;
    for (; !last && e == TM_OK && n < im->n_columns; n++) {
        struct slice cell;
        e = csv_cell(&cell, &row, a, &last, &line, IMPORT_ROW_MAX, diag);
        if (e == TM_OK)
            e = csv_set(ret, identifiers, tags, a, im->columns[n], cell, diag);
    }
    if (e == TM_OK && !last)
        e = diag_fail(diag, TM_EMALFORMED, "RFC 4180 2", "line", "more cells than the header has columns");
    if (e != TM_OK) {
        skip_line(im);
        return e;
    }
    im->rest = row;
    im->next_line = line > im->next_line ? line : im->next_line + 1;
    if (json_object_size(identifiers))
        TM_TRY(device_object(&ret->identifiers, a, identifiers, "identifiers", diag));
    return json_object_size(tags) ? device_object(&ret->tags, a, tags, "tags", diag) : TM_OK;
}

/* ---- NDJSON ---- */

static tm_err json_row(struct device_fields *ret, struct arena *a, struct slice text, struct diag *diag)
{
    struct row {
        const char *id, *serial, *model, *vendor, *owner, *place, *batch, *criticality;
        json_t *identifiers, *tags;
    } row = {0};
    static const struct json_field schema[] = {
        JSON_FIELD(struct row, id, JSON_K_STRING, .max = DEVICE_ID_MAX),
        JSON_FIELD(struct row, serial, JSON_K_STRING, .max = DEVICE_FIELD_MAX),
        JSON_FIELD(struct row, model, JSON_K_STRING, .max = DEVICE_FIELD_MAX),
        JSON_FIELD(struct row, vendor, JSON_K_STRING, .max = DEVICE_FIELD_MAX),
        JSON_FIELD(struct row, owner, JSON_K_STRING, .max = DEVICE_FIELD_MAX),
        JSON_FIELD(struct row, place, JSON_K_STRING, .max = DEVICE_FIELD_MAX),
        JSON_FIELD(struct row, batch, JSON_K_STRING, .max = DEVICE_FIELD_MAX),
        JSON_FIELD(struct row, criticality, JSON_K_STRING, .max = DEVICE_FIELD_MAX),
        JSON_FIELD(struct row, identifiers, JSON_K_ANY),
        JSON_FIELD(struct row, tags, JSON_K_ANY),
        {0},
    };
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, text, IMPORT_ROW_MAX, diag));
    tm_err e = json_is_object(doc) ? json_bind(&row, schema, doc, "", a, diag)
                                   : diag_fail(diag, TM_EMALFORMED, NULL, "line", "not a JSON object");
    if (e == TM_OK)
        *ret = (struct device_fields){.id = row.id,
                                      .serial = row.serial,
                                      .model = row.model,
                                      .vendor = row.vendor,
                                      .owner = row.owner,
                                      .place = row.place,
                                      .batch = row.batch};
    if (e == TM_OK)
        e = device_object(&ret->identifiers, a, row.identifiers, "/identifiers", diag);
    json_t *tags = row.tags ? json_deep_copy(row.tags) : row.criticality ? json_object() : NULL;
    if (e == TM_OK && row.criticality &&
        json_object_set_new(tags, criticality, json_string(row.criticality)) != 0)
        e = json_is_object(tags) ? TM_ENOMEM : diag_fail(diag, TM_EINVAL, NULL, "/tags", "must be an object");
    if (e == TM_OK)
        e = device_object(&ret->tags, a, tags, "/tags", diag);
    json_decref(tags);
    json_decref(doc);
    return e;
}

/* ---- rows ---- */

tm_err device_import_begin(struct device_import *ret, struct slice text, bool csv, struct diag *diag)
{
    /* Spreadsheets put a byte order mark in front. */
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        text = slice_sub(text, 3, text.n);
    *ret = (struct device_import){.rest = text, .csv = csv, .next_line = 1};
    return csv ? csv_header(ret, diag) : TM_OK;
}

/* The line at the front, without its end. */
static struct slice front_line(const struct device_import *im)
{
    const uint8_t *end = im->rest.n ? memchr(im->rest.p, '\n', im->rest.n) : NULL;
    return slice_trim(slice_sub(im->rest, 0, end ? (size_t)(end - im->rest.p) : im->rest.n));
}

static tm_err read_row(struct device_import *im, struct device_fields *ret, struct arena *a,
                       struct diag *diag)
{
    if (!im->csv) {
        struct slice line = front_line(im);
        skip_line(im);
        return json_row(ret, a, line, diag);
    }
    json_t *identifiers = json_object(), *tags = json_object();
    tm_err e = identifiers && tags ? csv_row(im, ret, a, identifiers, tags, diag) : TM_ENOMEM;
    json_decref(identifiers);
    json_decref(tags);
    return e;
}

tm_err device_import_next(struct device_import *im, struct device_fields *ret, struct arena *a,
                          struct diag *diag)
{
    *ret = (struct device_fields){0};
    while (im->rest.n && front_line(im).n == 0)
        skip_line(im);
    if (im->rest.n == 0)
        return TM_ENOTFOUND;
    im->line = im->next_line;
    TM_TRY(read_row(im, ret, a, diag));
    if (!ret->id || !ret->id[0])
        ret->id = ret->serial;
    return device_fields_check(ret, diag);
}
