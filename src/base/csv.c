#include "base/csv.h"
#include "base/arena.h"
#include <string.h>

/* A quoted cell; *ret_end is behind its closing quote. Two quotes stand for one. */
static tm_err quoted(struct slice *ret, size_t *ret_end, struct slice s, struct arena *a, uint64_t *line,
                     size_t max, struct diag *diag)
{
    size_t end = 1, n = 0;
    while (end < s.n && end <= max && (s.p[end] != '"' || (end + 1 < s.n && s.p[end + 1] == '"')))
        end += s.p[end] == '"' ? 2 : 1;
    if (end >= s.n || end > max)
        return diag_fail(diag, TM_EMALFORMED, "RFC 4180 2", "line", "a quoted cell has no end");
    char *text = arena_alloc(a, end);
    if (!text)
        return TM_ENOMEM;
    for (size_t i = 1; i < end; i++) {
        i += s.p[i] == '"';
        *line += s.p[i] == '\n';
        text[n++] = (char)s.p[i];
    }
    *ret = slice_of(text, n);
    *ret_end = end + 1;
    return TM_OK;
}

tm_err csv_cell(struct slice *ret, struct slice *s, struct arena *a, bool *ret_last, uint64_t *line,
                size_t max, struct diag *diag)
{
    size_t i = 0;
    if (s->n && s->p[0] == '"') {
        TM_TRY(quoted(ret, &i, *s, a, line, max, diag));
    } else {
        while (i < s->n && s->p[i] != ',' && s->p[i] != '\n')
            i++;
        size_t n = i;
        if (n && s->p[n - 1] == '\r')
            n--;
        *ret = slice_trim(slice_sub(*s, 0, n));
    }
    if (i < s->n && s->p[i] == '\r')
        i++;
    *ret_last = i == s->n || s->p[i] == '\n';
    if (i < s->n && s->p[i] != ',' && s->p[i] != '\n')
        return diag_fail(diag, TM_EMALFORMED, "RFC 4180 2", "line",
                         "text behind the closing quote of a cell");
    if (i < s->n && s->p[i] == '\n')
        ++*line;
    *s = slice_sub(*s, i + (i < s->n), s->n);
    return TM_OK;
}

void csv_skip_line(struct slice *s)
{
    const uint8_t *end = s->n ? memchr(s->p, '\n', s->n) : NULL;
    *s = end ? slice_sub(*s, (size_t)(end - s->p) + 1, s->n) : (struct slice){0};
}
