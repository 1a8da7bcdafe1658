/* touchmark bench: what this machine issues, against the floor that its own signature primitives set (DESIGN 10). */
#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINES_MAX = 40,
    IDLE_S = 8,
    SETTLE_S = 600,
    REST_S = 12, /* nobody asks anything, not even for numbers */
    WARM_UP = 4000,
    LONE_REQUESTS = 2000,
    PEER_REQUESTS = 2000
};

/* One line of the table: a value, and whether it is where it should be. */
struct line {
    char what[96], value[48], goal[24];
    enum { TOLD, MET, MISSED } verdict;
};

struct bench {
    struct cli *c;
    uint64_t rows, filled;
    unsigned rounds, certificates;
    int server_core, load_core;
    struct bench_csrs csrs;
    struct bench_floor floor;
    struct bench_server server;
    struct bench_sample per_s, cpu_us; /* of the bulk rounds */
    bool with_peers;
    struct bench_peers peers;
    struct line lines[LINES_MAX];
    size_t n_lines;
};

/* ---- the table ---- */

static struct line *add(struct bench *b, const char *what, const char *goal)
{
    static struct line none;
    struct line *l = b->n_lines < LINES_MAX ? &b->lines[b->n_lines++] : &none;
    snprintf(l->what, sizeof l->what, "%s", what);
    snprintf(l->goal, sizeof l->goal, "%s", goal);
    return l;
}

/* A figure that is told and not judged. */
[[gnu::format(printf, 3, 4)]] static void tell(struct bench *b, const char *what, const char *fmt, ...)
{
    struct line *l = add(b, what, "");
    va_list args;
    va_start(args, fmt);
    vsnprintf(l->value, sizeof l->value, fmt, args);
    va_end(args);
}

static void at_least(struct bench *b, const char *what, double value, double goal, const char *unit)
{
    struct line *l = add(b, what, "");
    int digits = strcmp(unit, "%") == 0 ? 0 : 1;
    snprintf(l->value, sizeof l->value, "%.*f%s", digits, value, unit);
    snprintf(l->goal, sizeof l->goal, ">= %.0f%s", goal, unit);
    l->verdict = value >= goal ? MET : MISSED;
}

static void at_most(struct bench *b, const char *what, double value, double goal, const char *unit)
{
    struct line *l = add(b, what, "");
    snprintf(l->value, sizeof l->value, "%.2f%s", value, unit);
    snprintf(l->goal, sizeof l->goal, "<= %.0f%s", goal, unit);
    l->verdict = value <= goal ? MET : MISSED;
}

static void show_table(const struct bench *b)
{
    static const char *const verdicts[] = {"", "met", "NOT MET"};
    printf(
        "P-256, OpenSSL's own signing and verifying: %.1f + %.1f us, the floor of a certificate is %.1f us\n",
        bench_median(&b->floor.sign), bench_median(&b->floor.verify), bench_floor_us(&b->floor));
    if (b->server_core >= 0)
        printf("the server and its signer on core %d, the load on core %d; medians of %u rounds\n\n",
               b->server_core, b->load_core, b->rounds);
    else
        printf("one core only: the load takes its part of it; medians of %u rounds\n\n", b->rounds);
    printf("  %-72s %14s  %-10s %s\n", "what", "measured", "goal", "");
    for (size_t i = 0; i < b->n_lines; i++)
        printf("  %-72s %14s  %-10s %s\n", b->lines[i].what, b->lines[i].value, b->lines[i].goal,
               verdicts[b->lines[i].verdict]);
}

static void show_json(const struct bench *b)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    buf_printf(
        &out, "{\"sign_us\":%.2f,\"verify_us\":%.2f,\"floor_us\":%.2f,\"rows\":%" PRIu64 ",\"lines\":[",
        bench_median(&b->floor.sign), bench_median(&b->floor.verify), bench_floor_us(&b->floor), b->rows);
    for (size_t i = 0; i < b->n_lines; i++) {
        const struct line *l = &b->lines[i];
        buf_printf(&out, "%s{\"what\":\"%s\",\"value\":\"%s\",\"goal\":\"%s\",\"met\":%s}", i ? "," : "",
                   l->what, l->value, l->goal,
                   l->verdict == TOLD  ? "null"
                   : l->verdict == MET ? "true"
                                       : "false");
    }
    buf_puts(&out, "]}\n");
    fwrite(out.p, 1, out.n, stdout);
    buf_done(&out);
}

static void step(const struct bench *b, const char *what)
{
    if (!b->c->quiet)
        fprintf(stderr, "bench: %s\n", what);
}

/* ---- the measurements ---- */

static void sleep_s(time_t s)
{
    struct timespec t = {.tv_sec = s};
    nanosleep(&t, NULL);
}

/* Rows that came at once are looked at, at the lowest priority, for some time: until the house has written nothing for a while. */
static tm_err settle(struct bench *b, struct diag *diag)
{
    double before = -1, now;
    step(b, "until the house is at rest");
    for (int quiet = 0, s = 0; quiet < IDLE_S && s < SETTLE_S; s++) {
        sleep_s(1);
        TM_TRY(bench_metric(&b->server, "touchmark_store_commits_total", &now, diag));
        quiet = now == before ? quiet + 1 : 0;
        before = now;
    }
    return TM_OK;
}

/* Before any load: how soon it is there, and what it holds when nobody asks for anything. */
static tm_err at_rest(struct bench *b, const char *home, struct diag *diag)
{
    char what[96];
    TM_TRY(bench_server_start(&b->server, b->c, home, b->server_core, diag));
    snprintf(what, sizeof what, "ready after start, with %" PRIu64 " certificates", b->filled);
    at_most(b, what, b->server.ready_s, 1, " s");
    TM_TRY(settle(b, diag));
    sleep_s(REST_S);
    long kib = bench_pss_kib(b->server.pid);
    if (kib > 0)
        at_most(b, "idle, server and signer together (PSS)", (double)kib / 1024, 16, " MiB");
    else
        tell(b, "idle, server and signer together (PSS)", "unknown");
    return TM_OK;
}

static tm_err bulk(struct bench *b, size_t n, bool counts, struct diag *diag)
{
    double seconds, cpu;
    TM_TRY(bench_csrs_reserve(&b->csrs, n, diag));
    bench_pin(b->load_core);
    cpu = bench_cpu_us(b->server.pid);
    TM_TRY(bench_bulk(&b->server, b->csrs.v + b->csrs.next, n, &seconds, NULL, diag));
    cpu = bench_cpu_us(b->server.pid) - cpu;
    b->csrs.next += n;
    if (counts) {
        bench_add(&b->per_s, (double)n / seconds);
        bench_add(&b->cpu_us, cpu / (double)n);
    }
    return TM_OK;
}

/* How many times as many certificates as others on the same core; by CPU time beside it. */
static void against_peers(struct bench *b)
{
    static const double goals[BENCH_PEERS] = {2, 8, 50};
    char what[96];
    for (size_t i = 0; i < BENCH_PEERS; i++) {
        const struct bench_peer *p = &b->peers.v[i];
        double rate = bench_median(&p->per_s);
        snprintf(what, sizeof what, "certificates, times %s (%.0f/s)", p->name, rate);
        at_least(b, what, bench_median(&b->per_s) / rate, goals[i], "x");
        tell(b, "  the same by CPU time", "%.1fx", bench_median(&p->cpu_us) / bench_median(&b->cpu_us));
    }
}

static tm_err rounds(struct bench *b, struct diag *diag)
{
    char what[96];
    step(b, "issuing");
    TM_TRY(bulk(b, WARM_UP, false, diag));
    for (unsigned i = 0; i < b->rounds; i++) {
        TM_TRY(bench_library_round(&b->floor, &b->csrs, b->server_core, diag));
        const struct bench_csr *used = b->csrs.v + b->csrs.next;
        TM_TRY(bulk(b, b->certificates, true, diag));
        size_t n = b->certificates < PEER_REQUESTS ? b->certificates : PEER_REQUESTS;
        if (b->with_peers)
            TM_TRY(bench_peers_round(&b->peers, used, n, diag));
    }
    double floor = bench_floor_us(&b->floor), us = bench_median(&b->cpu_us);
    at_least(b, "library: request to certificate, of the floor",
             100 * floor / bench_median(&b->floor.library), 85, "%");
    snprintf(what, sizeof what, "durable, REST bulk, %" PRIu64 " stored, of the floor", b->filled);
    at_least(b, what, bench_median(&b->per_s) * floor / 1e4, 70, "%");
    tell(b, "  the same by CPU time of server and signer", "%.0f%%", 100 * floor / us);
    tell(b, "  certificates a second", "%.0f", bench_median(&b->per_s));
    tell(b, "  CPU time a certificate", "%.1f us", us);
    if (b->with_peers)
        against_peers(b);
    return TM_OK;
}

static tm_err one_at_a_time(struct bench *b, struct diag *diag)
{
    double median, p99, longest;
    struct bench_search found[BENCH_SEARCHES];
    char what[96];
    TM_TRY(settle(b, diag));
    step(b, "one request at a time");
    TM_TRY(bench_csrs_reserve(&b->csrs, LONE_REQUESTS, diag));
    bench_pin(b->load_core);
    TM_TRY(bench_lone(&b->server, b->csrs.v + b->csrs.next, LONE_REQUESTS, &median, &p99, diag));
    b->csrs.next += LONE_REQUESTS;
    at_most(b, "a lone EST enrollment on an idle server, p99", p99, 4, " ms");
    tell(b, "  its median", "%.2f ms", median);
    TM_TRY(bench_searches(&b->server, b->rows, found, diag));
    for (size_t i = 0; i < BENCH_SEARCHES; i++) {
        snprintf(what, sizeof what, "search by %s over REST, p99", found[i].by);
        at_most(b, what, found[i].p99_ms, 5, " ms");
    }
    TM_TRY(bench_metric(&b->server, "touchmark_store_commit_seconds_max", &longest, diag));
    at_most(b, "the longest commit since start", longest * 1e3, 50, " ms");
    return TM_OK;
}

static tm_err measure(struct bench *b, const char *home, const char *peers_dir, struct diag *diag)
{
    double fill_per_s;
    uint64_t had;
    step(b, "a house");
    TM_TRY(bench_home(b->c, home, diag));
    TM_TRY(bench_fill(b->c, home, b->rows, &had, &fill_per_s, diag));
    b->filled = had > b->rows ? had : b->rows;
    step(b, "requests");
    TM_TRY(bench_csrs_reserve(&b->csrs, WARM_UP + (size_t)b->rounds * b->certificates, diag));
    TM_TRY(bench_floor_open(&b->floor, diag));
    tm_err e = at_rest(b, home, diag);
    if (e == TM_OK && b->with_peers) {
        step(b, "the peers");
        e = bench_peers_open(&b->peers, b->c, peers_dir, b->server_core, b->load_core, diag);
    }
    if (e == TM_OK)
        e = rounds(b, diag);
    if (e == TM_OK)
        e = one_at_a_time(b, diag);
    bench_peers_close(&b->peers);
    bench_server_stop(&b->server);
    if (e == TM_OK && fill_per_s > 0)
        tell(b, "filling the store, rows a second, all cores", "%.0f", fill_per_s);
    return e;
}

/* ---- the command ---- */

static int bench(struct cli *c)
{
    struct bench b = {.c = c};
    struct diag diag = {0};
    int64_t rows, rounds_given, certificates;
    if (!cli_get_number(c, "rows", 100000, 1, 1000000000, &rows) ||
        !cli_get_number(c, "rounds", 9, 1, BENCH_ROUNDS_MAX, &rounds_given) ||
        !cli_get_number(c, "certificates", 20000, 1, 1000000, &certificates))
        return 2;
    b.rows = (uint64_t)rows;
    b.rounds = (unsigned)rounds_given;
    b.certificates = (unsigned)certificates;
    const char *keep = cli_get(c, "keep"), *dir = bench_directory(c);
    if (!dir)
        return 1;
    char *home = keep ? arena_strdup(c->arena, keep) : arena_printf(c->arena, "%s/house", dir);
    char *peers_dir = arena_printf(c->arena, "%s/peers", dir);
    if (!home || !peers_dir)
        return cli_fail(c, "out of memory");
    b.with_peers = cli_has(c, "peers");
    log_configure(LOG_ERROR, LOG_AUTO);
    bench_cores(&b.server_core, &b.load_core);
    tm_err e = measure(&b, home, peers_dir, &diag);
    if (e == TM_OK)
        c->output == OUTPUT_JSON ? show_json(&b) : show_table(&b);
    if (e == TM_OK || !b.with_peers) /* else the peers' log tells more */
        file_remove_tree(dir, true);
    bench_floor_close(&b.floor);
    bench_csrs_done(&b.csrs);
    return e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, NULL);
}

static const struct cli_option bench_options[] = {
    {"rows", 'N', "N", "certificates in the store before anything is measured (100000)", false},
    {"keep", 0, "DIR", "use the house in DIR, and leave it there: it is filled once", false},
    {"peers", 0, NULL, "also cfssl and openssl ca, in turns with the same requests (./setup --bench)", false},
    {"rounds", 'r', "N", "limit and path take turns so many times (9)", false},
    {"certificates", 'n', "N", "issued in one round (20000)", false},
    {"dir", 0, "DIR", "where a house is made and removed again without --keep (/tmp)", false},
    {0},
};

const struct command bench_commands[] = {
    {
        .noun = "bench",
        .verb = "",
        .summary = "measure issuing on this machine against its own floor",
        .arguments = "",
        .description =
            "Fills a house of its own, starts the server on one core, sends it requests from another, and prints each figure beside its\n"
            "goal. Ratios are the floor (one P-256 signature and one verification) divided by what the path takes; floor and path take\n"
            "turns in one run.",
        .example = "touchmark bench\n  touchmark bench --rows 10000000 --keep /var/tmp/house-10m",
        .options = bench_options,
        .run = bench,
    },
    {0},
};
