/* touchmark bench finding: how long the rules of findings take over all certificates, and over those that are new. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "finding/pass.h"
#include "issue/house.h"
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { ARRIVALS = 10000, GOAL_S = 600 };

struct bench_finding {
    struct cli *c;
    const char *home;
    uint64_t rows, had, looked;
    struct {
        double wall_s, cpu_s;
    } deep, again, news;
};

static void step(const struct bench_finding *b, const char *what)
{
    if (!b->c->quiet)
        fprintf(stderr, "bench: %s\n", what);
}

static double process_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static tm_err looked(struct bench_finding *b, struct house *h, struct diag *diag)
{
    struct finding_progress at;
    TM_TRY(finding_progress_read(&at, b->c->arena, h, TENANT_DEFAULT, diag));
    b->looked = at.last_looked;
    return TM_OK;
}

static tm_err full(struct bench_finding *b, struct house *h, bool deep, struct diag *diag)
{
    uint64_t begun = clock_mono_ns();
    double cpu = process_s();
    TM_TRY(finding_pass_request(h, TENANT_DEFAULT, deep, diag));
    double wall_s = (double)(clock_mono_ns() - begun) / 1e9, cpu_s = process_s() - cpu;
    if (deep)
        b->deep.wall_s = wall_s, b->deep.cpu_s = cpu_s;
    else
        b->again.wall_s = wall_s, b->again.cpu_s = cpu_s;
    return looked(b, h, diag);
}

/* What came since the last pass: slices until there is nothing more, without a pass over everything. */
static tm_err arrivals(struct bench_finding *b, struct house *h, struct diag *diag)
{
    struct passing *p;
    uint64_t begun = clock_mono_ns();
    double cpu = process_s();
    tm_err e = passing_new(&p, h, TENANT_DEFAULT, NULL);
    for (bool more = e == TM_OK; more && e == TM_OK;)
        e = passing_step(p, &more, diag);
    b->news.wall_s = (double)(clock_mono_ns() - begun) / 1e9;
    b->news.cpu_s = process_s() - cpu;
    passing_free(p);
    return e;
}

static tm_err with_house(struct bench_finding *b,
                         tm_err (*run)(struct bench_finding *b, struct house *h, struct diag *diag),
                         struct diag *diag)
{
    struct house *h = NULL;
    TM_TRY(bench_house_open(&h, b->c, b->home, diag));
    tm_err e = run(b, h, diag);
    house_close(h);
    return e;
}

static tm_err passes(struct bench_finding *b, struct house *h, struct diag *diag)
{
    step(b, "every octet of every certificate");
    TM_TRY(full(b, h, true, diag));
    step(b, "every certificate again");
    return full(b, h, false, diag);
}

static tm_err measure(struct bench_finding *b, struct diag *diag)
{
    double per_s;
    TM_TRY(bench_home(b->c, b->home, diag));
    TM_TRY(bench_fill(b->c, b->home, b->rows, &b->had, &per_s, diag));
    if (b->had > b->rows)
        b->rows = b->had;
    TM_TRY(with_house(b, passes, diag));
    uint64_t had;
    TM_TRY(bench_fill(b->c, b->home, b->rows + ARRIVALS, &had, &per_s, diag));
    return with_house(b, arrivals, diag);
}

static void line(const char *what, double wall_s, double cpu_s, uint64_t n, bool judged)
{
    printf("  %-44s %9.1f s %9.1f s %9.1f us   %s\n", what, wall_s, cpu_s, wall_s * 1e6 / (double)(n ? n : 1),
           !judged            ? ""
           : wall_s <= GOAL_S ? "<= 600 s  met"
                              : "<= 600 s  NOT MET");
}

static void show(const struct bench_finding *b)
{
    if (b->c->output == OUTPUT_JSON) {
        printf("{\"rows\":%" PRIu64 ",\"looked\":%" PRIu64
               ",\"deep_s\":%.3f,\"deep_cpu_s\":%.3f,\"again_s\":%.3f,"
               "\"again_cpu_s\":%.3f,\"arrivals\":%d,\"arrivals_s\":%.3f,\"arrivals_cpu_s\":%.3f}\n",
               b->rows, b->looked, b->deep.wall_s, b->deep.cpu_s, b->again.wall_s, b->again.cpu_s, ARRIVALS,
               b->news.wall_s, b->news.cpu_s);
        return;
    }
    bool judged = b->rows >= 10000000;
    printf("all rules over %" PRIu64 " certificates, of which the last pass looked at %" PRIu64 "\n\n",
           b->rows, b->looked);
    printf("  %-44s %11s %11s %12s\n", "what", "clock", "processors", "each");
    line("the first pass, at every octet", b->deep.wall_s, b->deep.cpu_s, b->looked, judged);
    line("a daily pass", b->again.wall_s, b->again.cpu_s, b->looked, judged);
    line("certificates that are new (10,000)", b->news.wall_s, b->news.cpu_s, ARRIVALS, false);
}

static int bench_finding(struct cli *c)
{
    struct bench_finding b = {.c = c};
    struct diag diag = {0};
    int64_t rows;
    if (!cli_get_number(c, "rows", 100000, 1000, 1000000000, &rows))
        return 2;
    b.rows = (uint64_t)rows;
    const char *keep = cli_get(c, "keep"), *dir = keep ? NULL : bench_directory(c);
    if (!keep && !dir)
        return 1;
    b.home = keep ? keep : arena_printf(c->arena, "%s/house", dir);
    if (!b.home)
        return cli_fail(c, "out of memory");
    log_configure(LOG_ERROR, LOG_AUTO);
    tm_err e = measure(&b, &diag);
    if (e == TM_OK)
        show(&b);
    if (dir)
        file_remove_tree(dir, true);
    return e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, NULL);
}

static const struct cli_option finding_options[] = {
    {"rows", 0, "N", "certificates (100000)", false},
    {"keep", 0, "DIR", "use the house in DIR, and leave it there: it is filled once", false},
    {"dir", 0, "DIR", "where a house is made and removed again without --keep (/tmp)", false},
    {0},
};

const struct command bench_finding_commands[] = {
    {
        .noun = "bench",
        .verb = "finding",
        .summary = "measure how long the rules of findings take over all certificates",
        .arguments = "",
        .description =
            "Fills a house of its own with certificates of one profile, each with a device of its own, and looks at all of them twice: at\n"
            "every octet, as after an upgrade, and as it is done once a day. Then at those that came since.",
        .example = "touchmark bench finding --rows 10000000 --keep var/bench-10000000",
        .options = finding_options,
        .run = bench_finding,
    },
    {0},
};
