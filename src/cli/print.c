/* How commands print: tables and progress. */
#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS_MAX = 16, GAP = 2, NARROWEST = 20, BAR = 30, PERCENT = 100 };
static const uint64_t ns_s = 1000000000U, redraw_ns = 100000000U;

/* Characters, which is columns for all but wide scripts. */
static size_t text_width(const char *s)
{
    size_t n = 0;
    for (struct slice left = slice_str(s); left.n; n++) {
        size_t step = utf8_step(left);
        left = slice_sub(left, step ? step : 1, SIZE_MAX);
    }
    return n;
}

/* What came from a certificate must neither steer the terminal nor turn what stands beside it. Of what is wider than `width` the beginning. */
static void put_cell(const char *s, size_t width)
{
    bool cut = text_width(s) > width;
    size_t room = cut ? width - 1 : width;
    for (struct slice left = slice_str(s); left.n && room; room--) {
        size_t n = utf8_step(left);
        if (n == 0 || utf8_invisible(utf8_code(left, n)))
            putchar('?');
        else
            fwrite(left.p, 1, n, stdout);
        left = slice_sub(left, n ? n : 1, SIZE_MAX);
    }
    if (cut)
        fputs("…", stdout);
}

/* Of a terminal; elsewhere, where programs read, nothing is cut. */
static size_t line_width(void)
{
    struct winsize w;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col
                                                                                          : SIZE_MAX;
}

/* The widest columns give way until a row fits its line, or none can give more (an instant stays whole); not the first, which has what a row is called by. */
static void fit(size_t *width, size_t n, size_t line)
{
    size_t total = GAP * (n - 1);
    for (size_t i = 0; i < n; i++)
        total += width[i];
    while (total > line) {
        size_t widest = 0;
        for (size_t i = 1; i < n; i++)
            if (!widest || width[i] > width[widest])
                widest = i;
        if (!widest || width[widest] <= NARROWEST)
            return;
        width[widest]--;
        total--;
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
    if (n)
        fit(width, n, line_width());
    for (size_t r = 0; r <= rows; r++) {
        for (size_t i = 0; i < n; i++) {
            const char *s = r == 0 ? columns[i] : cells[(r - 1) * n + i];
            if (!s)
                s = "";
            put_cell(s, width[i]);
            size_t w = text_width(s);
            if (i + 1 < n)
                printf("%*s", (int)(width[i] - (w < width[i] ? w : width[i]) + GAP), "");
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
