/* touchmark bench scan: what the scanner takes for a target, against the least that it has to do, and sslscan beside it. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/bench.h"
#include "cli/bench_scan.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "discover/engine.h"
#include <malloc.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
    PARALLEL = 64,
    IN_FLIGHT = 2000,
    SHARES = 400,
    PEER_RUNS = 3,
    HELLO = 1800,
    FLIGHT = 1100,
    GOAL = 70,
    PEER_GOAL = 10
};

/* A kind of server, and what was measured with it. */
struct kind {
    const char *title;
    int version;
    const char *groups;
    bool share, hybrid;
    struct bench_scan_server server;
    struct bench_sample ours, peer, floor, with_wire; /* us of CPU time a target */
};

struct run {
    struct cli *c;
    unsigned rounds, targets;
    const char *peer_program, *dir;
    int server_core, load_core;
    struct kind kinds[3];
    struct bench_scan_server octets, silent;
    struct bench_sample wire;
    double in_flight; /* octets a target */
};

/* ---- the scanner ---- */

struct scanning {
    int port;
    size_t left, certificates;
    size_t memory, waiting; /* in flight, at their most */
    uint64_t until_ns;      /* in flight: how long it is looked at */
    atomic_bool over;
};

static bool next(void *arg, struct engine_target *ret)
{
    struct scanning *s = arg;
    if (s->left == 0)
        return false;
    s->left--;
    *ret = (struct engine_target){.address = address_from_v4((const uint8_t[]){127, 0, 0, 1}),
                                  .port = (uint16_t)s->port};
    return true;
}

static void result(void *arg, const struct engine_result *r)
{
    struct scanning *s = arg;
    s->certificates += r->facts->n_chain == 2;
}

static tm_err scan(const struct run *r, int port, double *ret_us, struct diag *diag)
{
    static const char *const alpn[] = {"h2", "http/1.1", NULL};
    struct scanning s = {.port = port, .left = r->targets};
    const struct engine_config config = {
        .parallel = PARALLEL, .alpn = alpn, .next = next, .result = result, .arg = &s};
    double begun = bench_thread_us();
    TM_TRY(engine_run(&config, NULL, diag));
    *ret_us = (bench_thread_us() - begun) / r->targets;
    if (s.certificates != r->targets)
        return diag_fail(diag, TM_EINTERNAL, NULL, NULL, "%zu of %u targets gave their certificates",
                         s.certificates, r->targets);
    return TM_OK;
}

/* Connections are made by the kernel; nobody answers a ClientHello. */
static void look_at_memory(void *arg)
{
    struct scanning *s = arg;
    size_t now = mallinfo2().uordblks;
    s->memory = now > s->memory ? now : s->memory;
    if (clock_mono_ns() >= s->until_ns)
        atomic_store(&s->over, true);
}

static tm_err memory(struct run *r, struct diag *diag)
{
    struct scanning none = {.port = r->silent.port, .left = 1, .until_ns = clock_mono_ns() + 300000000},
                    many = {
                        .port = r->silent.port, .left = IN_FLIGHT, .until_ns = clock_mono_ns() + 1500000000};
    struct engine_config config = {.parallel = IN_FLIGHT,
                                   .next = next,
                                   .result = result,
                                   .turn = look_at_memory,
                                   .over = &none.over,
                                   .arg = &none};
    struct engine_stats stats = {0};
    TM_TRY(engine_run(&config, NULL, diag));
    config.over = &many.over;
    config.arg = &many;
    TM_TRY(engine_run(&config, &stats, diag));
    if (stats.in_flight_max > 1 && many.memory > none.memory)
        r->in_flight = (double)(many.memory - none.memory) / (stats.in_flight_max - 1);
    return TM_OK;
}

/* ---- sslscan: one run a target, as it is used; told to do no more than the certificate needs ---- */

static tm_err peer(const struct run *r, struct kind *k, struct diag *diag)
{
    struct rusage before, after;
    char *target = arena_printf(r->c->arena, "127.0.0.1:%d", k->server.port),
         *log = arena_printf(r->c->arena, "%s/sslscan.log", r->dir),
         *program = arena_strdup(r->c->arena, r->peer_program);
    if (!target || !log || !program)
        return TM_ENOMEM;
    char *argv[] = {program,
                    (char[]){"--no-ciphersuites"},
                    (char[]){"--no-fallback"},
                    (char[]){"--no-renegotiation"},
                    (char[]){"--no-compression"},
                    (char[]){"--no-heartbleed"},
                    (char[]){"--no-groups"},
                    target,
                    NULL};
    getrusage(RUSAGE_CHILDREN, &before);
    for (unsigned i = 0; i < PEER_RUNS; i++) {
        int status = -1;
        pid_t pid = bench_spawn(argv, r->dir, log, r->load_core);
        if (pid > 0)
            waitpid(pid, &status, 0);
        if (status != 0)
            return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%s failed; see %s", r->peer_program, log);
    }
    getrusage(RUSAGE_CHILDREN, &after);
    double us = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec -
                         before.ru_stime.tv_sec) *
                    1e6 +
                (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec -
                         before.ru_stime.tv_usec);
    bench_add(&k->peer, us / PEER_RUNS);
    return TM_OK;
}

/* ---- rounds ---- */

static tm_err start(struct run *r, struct diag *diag)
{
    for (size_t i = 0; i < 3; i++) {
        struct kind *k = &r->kinds[i];
        k->server = (struct bench_scan_server){.kind = BENCH_SCAN_TLS,
                                               .tls = bench_scan_context(k->version, k->groups)};
        if (!k->server.tls)
            return diag_fail(diag, TM_ECRYPTO, NULL, NULL, "no TLS server for %s", k->title);
        TM_TRY(bench_scan_serve(&k->server, r->server_core, diag));
    }
    r->octets = (struct bench_scan_server){.kind = BENCH_SCAN_OCTETS, .octets = FLIGHT};
    TM_TRY(bench_scan_serve(&r->octets, r->server_core, diag));
    r->silent = (struct bench_scan_server){.kind = BENCH_SCAN_SILENT};
    return bench_scan_serve(&r->silent, r->server_core, diag);
}

static tm_err round_of(struct run *r, struct diag *diag)
{
    double wire = bench_scan_wire(r->octets.port, r->targets, PARALLEL, HELLO, FLIGHT);
    if (wire < 0)
        return diag_fail(diag, TM_EIO, NULL, NULL, "connections alone could not be measured");
    bench_add(&r->wire, wire);
    for (size_t i = 0; i < 3; i++) {
        struct kind *k = &r->kinds[i];
        double us = 0, share = k->share ? bench_scan_share(SHARES, k->hybrid) : 0;
        if (share < 0)
            return diag_fail(diag, TM_ECRYPTO, NULL, NULL, "%s: the key exchange could not be measured",
                             k->title);
        TM_TRY(scan(r, k->server.port, &us, diag));
        bench_add(&k->ours, us);
        bench_add(&k->floor, share);
        bench_add(&k->with_wire, share + wire);
        if (r->peer_program)
            TM_TRY(peer(r, k, diag));
    }
    return TM_OK;
}

static tm_err measure(struct run *r, struct diag *diag)
{
    TM_TRY(start(r, diag));
    bench_pin(r->load_core);
    TM_TRY(memory(r, diag));
    for (unsigned i = 0; i < r->rounds; i++)
        TM_TRY(round_of(r, diag));
    return TM_OK;
}

/* ---- the table ---- */

static double of(const struct bench_sample *a, const struct bench_sample *b)
{
    return bench_median(b) > 0 ? bench_median(a) / bench_median(b) : 0;
}

static void show_json(const struct run *r)
{
    printf("{\"wire_us\":%.1f,\"in_flight_octets\":%.0f", bench_median(&r->wire), r->in_flight);
    for (size_t i = 0; i < 3; i++) {
        const struct kind *k = &r->kinds[i];
        printf(
            ",\"%s\":{\"cpu_us\":%.1f,\"share_us\":%.1f,\"of_floor\":%.1f,\"of_share\":%.1f,\"times_sslscan\":%.1f}",
            k->title, bench_median(&k->ours), bench_median(&k->floor), 100 * of(&k->with_wire, &k->ours),
            100 * of(&k->floor, &k->ours), of(&k->peer, &k->ours));
    }
    printf("}\n");
}

static void show(const struct run *r)
{
    if (r->c->output == OUTPUT_JSON) {
        show_json(r);
        return;
    }
    printf("connect, send %d octets, read %d, close: %.1f us of CPU time\n\n", HELLO, FLIGHT,
           bench_median(&r->wire));
    for (size_t i = 0; i < 3; i++) {
        const struct kind *k = &r->kinds[i];
        double share = 100 * of(&k->with_wire, &k->ours), times = of(&k->peer, &k->ours);
        char line[96];
        snprintf(line, sizeof line, "%s: of the floor, key exchange and connection", k->title);
        bench_line(line, share, "%", ">= 70%", share >= GOAL);
        if (k->share)
            bench_line("  of the key exchange alone", 100 * of(&k->floor, &k->ours), "%", "", -1);
        bench_line("  CPU time a target", bench_median(&k->ours), "us", "", -1);
        if (k->share)
            bench_line("  CPU time of the key exchange (share and derive)", bench_median(&k->floor), "us", "",
                       -1);
        if (r->peer_program)
            bench_line("  targets a CPU second, times sslscan's", times, "x", ">= 10x", times >= PEER_GOAL);
    }
    bench_line("memory of a target in flight", r->in_flight, "B", "<= 4096", r->in_flight <= 4096);
}

/* ---- the command ---- */

static int bench_scan(struct cli *c)
{
    struct run r = {
        .c = c,
        .peer_program = cli_get(c, "peer"),
        .kinds = {{.title = "TLS 1.3, X25519", .version = TLS1_3_VERSION, .groups = "X25519", .share = true},
                  {.title = "TLS 1.3, X25519MLKEM768",
                   .version = TLS1_3_VERSION,
                   .groups = "X25519MLKEM768",
                   .share = true,
                   .hybrid = true},
                  {.title = "TLS 1.2", .version = TLS1_2_VERSION, .groups = "X25519"}},
    };
    struct diag diag = {0};
    int64_t rounds, targets;
    if (!cli_get_number(c, "rounds", 7, 1, BENCH_ROUNDS_MAX, &rounds) ||
        !cli_get_number(c, "targets", 2000, 10, 20000, &targets))
        return 2;
    r.rounds = (unsigned)rounds;
    r.targets = (unsigned)targets;
    r.dir = bench_directory(c);
    if (!r.dir)
        return 1;
    bench_cores(&r.server_core, &r.load_core);
    tm_err e = measure(&r, &diag);
    for (size_t i = 0; i < 3; i++)
        bench_scan_end(&r.kinds[i].server);
    bench_scan_end(&r.octets);
    bench_scan_end(&r.silent);
    if (e == TM_OK)
        show(&r);
    if (e == TM_OK) /* else the logs tell more */
        file_remove_tree(r.dir, true);
    return e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, NULL);
}

static const struct cli_option options[] = {
    {"peer", 0, "PROGRAM", "also sslscan, in turns", false},
    {"rounds", 'r', "N", "floor, scanner and peer take turns so many times (7)", false},
    {"targets", 'n', "N", "in one round (2000)", false},
    {"dir", 0, "DIR", "where logs are made and removed again (/tmp)", false},
    {0},
};

const struct command bench_scan_commands[] = {
    {
        .noun = "bench",
        .verb = "scan",
        .summary = "measure the TLS scanner on this machine against its floor",
        .arguments = "",
        .description =
            "Servers of OpenSSL's on one core, with a P-256 certificate and its CA's, are scanned from another, 64 at a time. The floor is CPU time for\n"
            "a connection that sends and reads as many octets, and with TLS 1.3 for making one key share and deriving the secret from it.\n"
            "With --peer sslscan is run beside it, a process a target, told to do no more than the certificate needs. Also the memory of\n"
            "a target in flight, over 2,000 of them.",
        .example = "touchmark bench scan --peer /usr/bin/sslscan",
        .options = options,
        .run = bench_scan,
    },
    {0},
};
