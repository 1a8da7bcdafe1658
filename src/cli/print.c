/* How commands print: tables and progress. */
#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS_MAX = 16, BAR = 30, PERCENT = 100 };
static const uint64_t ns_s = 1000000000U, redraw_ns = 100000000U;

/* Characters, which is columns for all but wide scripts. */
static size_t text_width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* What came from a certificate must not steer the terminal. */
static void put_cell(const char *s)
{
    for (struct slice left = slice_str(s); left.n;) {
        size_t n = utf8_step(left);
        bool control = n == 0 || left.p[0] < 0x20 || left.p[0] == 0x7f ||
                       (n == 2 && left.p[0] == 0xc2 && left.p[1] < 0xa0);
        if (control)
            putchar('?');
        else
            fwrite(left.p, 1, n, stdout);
        left = slice_sub(left, n ? n : 1, SIZE_MAX);
    }
}

void cli_table(const char *const *columns, const char *const *cells, size_t rows)
{
    size_t n = 0, width[COLUMNS_MAX] = {0};
    while (n < COLUMNS_MAX && columns[n]) {
        width[n] = text_width(columns[n]);
        n++;
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++) {
            const char *s = cells[r * n + i];
            size_t w = s ? text_width(s) : 0;
            if (w > width[i])
                width[i] = w;
        }
    for (size_t r = 0; r <= rows; r++) {
        for (size_t i = 0; i < n; i++) {
            const char *s = r == 0 ? columns[i] : cells[(r - 1) * n + i];
            if (!s)
                s = "";
            put_cell(s);
            size_t w = text_width(s);
            if (i + 1 < n)
                printf("%*s", (int)(width[i] - (w < width[i] ? w : width[i]) + 2), "");
        }
        putchar('\n');
    }
}

static void draw(struct cli_progress *p)
{
    unsigned filled = p->total ? (unsigned)(p->done * BAR / p->total) : 0;
    if (filled > BAR)
        filled = BAR;
    static const char full[] = "##############################", none[] = "..............................";
    double s = (double)(clock_mono_ns() - p->begun_ns) / (double)ns_s;
    if (p->total)
        fprintf(stderr, "\r%s [%.*s%.*s] %3u%% %.0fs ", p->what, (int)filled, full, (int)(BAR - filled), none,
                (unsigned)(p->done * PERCENT / p->total), s);
    else
        fprintf(stderr, "\r%s %llu %.0fs ", p->what, (unsigned long long)p->done, s);
    fflush(stderr);
}

void cli_progress_begin(struct cli_progress *p, const struct cli *c, const char *what, uint64_t total)
{
    *p = (struct cli_progress){
        .what = what, .total = total, .begun_ns = clock_mono_ns(), .on = !c->quiet && isatty(STDERR_FILENO)};
}

void cli_progress_step(struct cli_progress *p, uint64_t done)
{
    p->done = done;
    if (!p->on)
        return;
    uint64_t now = clock_mono_ns();
    if (now - p->shown_ns < redraw_ns)
        return;
    p->shown_ns = now;
    draw(p);
}

void cli_progress_end(struct cli_progress *p)
{
    if (!p->on)
        return;
    draw(p);
    fputc('\n', stderr);
    p->on = false;
}
