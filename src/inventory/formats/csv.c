/* Lists with a heading (RFC 4180): a column with the certificate, as PEM or base64, and perhaps one with what it is called. */
#include "base/csv.h"
#include "base/arena.h"
#include "base/text.h"
#include "inventory/formats/formats.h"
#include <stdio.h>

enum { HEADING_MAX = 8 << 10, COLUMNS_MAX = 256, CELL_MAX = 512 << 10, ROWS_MAX = 1000000 };

struct heading {
    size_t cert, name; /* columns from 1; 0: there is none */
};

static bool read_heading(struct heading *ret, struct slice *text)
{
    struct slice head = slice_sub(*text, 0, HEADING_MAX), cell;
    struct arena *a = arena_new(64 << 10);
    bool last = false, good = a != NULL;
    uint64_t line = 0;
    size_t before = head.n, n = 0;
    *ret = (struct heading){0};
    while (good && !last) {
        good = n < COLUMNS_MAX && csv_cell(&cell, &head, a, &last, &line, HEADING_MAX, NULL) == TM_OK;
        n++;
        if (good && !ret->cert && container_is_cert_column(cell))
            ret->cert = n;
        else if (good && !ret->name && container_is_name_column(cell))
            ret->name = n;
    }
    arena_free(a);
    if (good)
        *text = slice_sub(*text, before - head.n, text->n);
    return good && ret->cert;
}

static struct slice without_mark(struct slice text)
{
    return slice_eq(slice_sub(text, 0, 3), SLICE_LIT("\xef\xbb\xbf")) ? slice_sub(text, 3, text.n) : text;
}

static bool looks(struct slice bytes)
{
    struct heading h;
    struct slice text = without_mark(bytes);
    return read_heading(&h, &text) && text.n;
}

/* *rest is behind the row, also where it can't be read. */
static tm_err take_row(struct container_out *o, const struct heading *h, struct slice *rest, uint64_t *line)
{
    struct arena *a = container_arena(o);
    struct slice row = *rest, cell, cert = {0}, name = {0};
    struct diag why = {0};
    bool last = false;
    char at[32];
    tm_err e = TM_OK;
    snprintf(at, sizeof at, "line %llu", (unsigned long long)*line);
    for (size_t n = 1; !last && e == TM_OK && n <= COLUMNS_MAX; n++) {
        e = csv_cell(&cell, &row, a, &last, line, CELL_MAX, &why);
        if (e == TM_OK && n == h->cert)
            cert = cell;
        if (e == TM_OK && n == h->name)
            name = cell;
    }
    if (e == TM_ENOMEM)
        return e;
    if (e != TM_OK || !last) {
        container_refuse(o, at, "%s", e != TM_OK ? why.message : "too many cells");
        csv_skip_line(rest);
        ++*line;
        return TM_OK;
    }
    *rest = row;
    if (cert.n == 0)
        return TM_OK; /* a device without one, say */
    const char *alias = name.n && utf8_valid(name) ? arena_strndup(a, (const char *)name.p, name.n) : at;
    return alias ? container_text(o, alias, cert) : arena_err(a);
}

static tm_err read(struct container_out *o, const struct container_input *in, struct diag *diag)
{
    struct heading h;
    struct slice rest = without_mark(in->bytes);
    if (!read_heading(&h, &rest))
        return diag_fail(diag, TM_EMALFORMED, "RFC 4180 2", "body",
                         "the heading needs a column \"certificate\" (or cert, pem, der)");
    uint64_t line = 2;
    for (size_t i = 0; rest.n && i < ROWS_MAX; i++)
        TM_TRY(take_row(o, &h, &rest, &line));
    if (rest.n)
        container_refuse(o, "", "more than %d rows", ROWS_MAX);
    return TM_OK;
}

const struct cert_format csv_format = {"csv", "a list with a heading, one certificate a row", looks, read};
