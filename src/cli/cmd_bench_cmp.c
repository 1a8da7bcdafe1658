/* touchmark bench cmp: devices of a vendor enroll with their birth certificates over CMP, against the floor of the signatures in that. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CLIENTS = 32,
    DEVICES = 512,
    PEER_SHARE = 4, /* the peer gets a part of the messages of a round */
    START_MS = 10000,
    SIGNS = 2,   /* the certificate and the answer */
    VERIFIES = 3 /* the message, the birth certificate, and possession of the new key */
};

#define ENDPOINT "bench-cmp"
#define TARGET   "/.well-known/cmp/p/" ENDPOINT "/initialization"

/* A server on the plain listener, and what was measured of it. */
struct side {
    const char *name, *target;
    int port;
    pid_t pid;
    size_t clients;
    bool closes; /* after each message */
    struct bench_sample per_s, cpu_us;
};

struct client {
    pthread_t thread;
    const struct side *side;
    struct bench_conn *conn;
    const struct bench_cmp_message *v;
    size_t n, first, step;
    int core;
    tm_err err;
    struct diag diag;
};

struct run {
    struct cli *c;
    unsigned rounds, certificates;
    const char *openssl, *dir;
    int server_core, load_core;
    struct bench_floor floor;
    struct bench_csrs any; /* for the floor */
    struct bench_cmp_fleet *fleet;
    size_t asked; /* messages that were made so far */
    struct bench_server house;
    struct side ours, peer;
};

static void step(const struct run *r, const char *what)
{
    if (!r->c->quiet)
        fprintf(stderr, "bench: %s\n", what);
}

/* ---- our own ---- */

static tm_err put_resources(struct run *r, struct diag *diag)
{
    static const char endpoint[] =
        "{\"kind\":\"Endpoint\",\"name\":\"" ENDPOINT
        "\",\"protocol\":\"cmp\",\"profiles\":[\"device-ldevid-1y\"],\"authority\":\"issuing-ca\","
        "\"authentication\":{\"trust-sets\":[\"bench-vendor\"]}}";
    struct buf pem, doc, out;
    buf_init(&pem, 64 << 10);
    buf_init(&doc, 64 << 10);
    buf_init(&out, 1 << 20);
    buf_put_pem(&pem, "CERTIFICATE", bench_cmp_fleet_root(r->fleet));
    buf_puts(
        &doc,
        "{\"kind\":\"TrustSet\",\"name\":\"bench-vendor\",\"device-id\":\"cn\",\"auto-register\":true,\"anchors\":[");
    buf_put_json_string(&doc, buf_slice(&pem));
    buf_puts(&doc, "]}");
    tm_err e = buf_err(&doc);
    if (e == TM_OK)
        e = bench_api(&r->house, "PUT", "/api/v1/resources/trust-sets/bench-vendor", buf_str(&doc), 201, &out,
                      diag);
    buf_reset(&out);
    if (e == TM_OK)
        e = bench_api(&r->house, "PUT", "/api/v1/resources/endpoints/" ENDPOINT, endpoint, 201, &out, diag);
    buf_done(&pem);
    buf_done(&doc);
    buf_done(&out);
    return e;
}

static tm_err house_start(struct run *r, struct diag *diag)
{
    const char *home = arena_printf(r->c->arena, "%s/house", r->dir);
    if (!home)
        return TM_ENOMEM;
    TM_TRY(bench_home(r->c, home, diag));
    TM_TRY(bench_unlimit(r->c, home, diag));
    TM_TRY(bench_server_start(&r->house, r->c, home, r->server_core, diag));
    r->ours = (struct side){.name = "touchmark",
                            .target = TARGET,
                            .port = r->house.plain,
                            .pid = r->house.pid,
                            .clients = CLIENTS};
    return put_resources(r, diag);
}

/* ---- openssl cmp as a mock server: it verifies and signs what it says, and gives everybody the same certificate ---- */

static char *in_dir(const struct run *r, const char *name)
{
    return arena_printf(r->c->arena, "%s/%s", r->dir, name);
}

static tm_err peer_files(struct run *r, char *program, char *key, char *cert, char *root, char *log,
                         struct diag *diag)
{
    struct buf pem;
    int status = -1;
    buf_init(&pem, 64 << 10);
    buf_put_pem(&pem, "CERTIFICATE", bench_cmp_fleet_root(r->fleet));
    bool written = buf_err(&pem) == TM_OK && cli_write_file(r->c, root, buf_slice(&pem), 0600);
    buf_done(&pem);
    if (!written)
        return diag_fail(diag, TM_EIO, NULL, NULL, "%s can't be written", root);
    char *argv[] = {program,
                    (char[]){"req"},
                    (char[]){"-x509"},
                    (char[]){"-newkey"},
                    (char[]){"ec"},
                    (char[]){"-pkeyopt"},
                    (char[]){"ec_paramgen_curve:P-256"},
                    (char[]){"-nodes"},
                    (char[]){"-subj"},
                    (char[]){"/CN=Bench Mock"},
                    (char[]){"-days"},
                    (char[]){"100"},
                    (char[]){"-keyout"},
                    key,
                    (char[]){"-out"},
                    cert,
                    NULL};
    pid_t pid = bench_spawn(argv, r->dir, log, -1);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? TM_OK
               : diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%s req failed; see %s", program, log);
}

static tm_err peer_start(struct run *r, struct diag *diag)
{
    char port[16];
    struct side *x = &r->peer;
    char *program = arena_strdup(r->c->arena, r->openssl), *key = in_dir(r, "mock.key"),
         *cert = in_dir(r, "mock.pem"), *root = in_dir(r, "vendor.pem"), *log = in_dir(r, "mock.log");
    if (!program || !key || !cert || !root || !log)
        return TM_ENOMEM;
    TM_TRY(peer_files(r, program, key, cert, root, log, diag));
    *x = (struct side){
        .name = "openssl cmp", .target = "/", .port = bench_free_port(), .clients = 1, .closes = true};
    snprintf(port, sizeof port, "%d", x->port);
    char *argv[] = {program,
                    (char[]){"cmp"},
                    (char[]){"-config"},
                    (char[]){""},
                    (char[]){"-port"},
                    port,
                    (char[]){"-srv_cert"},
                    cert,
                    (char[]){"-srv_key"},
                    key,
                    (char[]){"-srv_trusted"},
                    root,
                    (char[]){"-rsp_cert"},
                    cert,
                    (char[]){"-grant_implicitconf"},
                    (char[]){"-verbosity"},
                    (char[]){"3"},
                    (char[]){"-batch"},
                    NULL};
    x->pid = bench_spawn(argv, r->dir, log, r->server_core);
    uint64_t until = clock_mono_ns() + START_MS * 1000000ull;
    while (x->pid > 0 && clock_mono_ns() < until) {
        struct bench_conn *conn;
        struct diag ignored = {0};
        if (bench_connect(&conn, x->port, false, &ignored) == TM_OK) {
            bench_conn_free(conn);
            return TM_OK;
        }
        usleep(20000);
    }
    return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%s cmp does not listen; see %s", r->openssl, log);
}

/* ---- a round ---- */

static void *client_run(void *arg)
{
    struct client *k = arg;
    struct buf out;
    bench_pin(k->core);
    buf_init(&out, 1 << 20);
    for (size_t i = k->first; i < k->n && k->err == TM_OK; i += k->step) {
        if (!k->conn)
            k->err = bench_connect(&k->conn, k->side->port, false, &k->diag);
        if (k->err == TM_OK)
            k->err = bench_cmp_ask(k->conn, k->side->target, &k->v[i], &out, &k->diag);
        if (k->side->closes) {
            bench_conn_free(k->conn);
            k->conn = NULL;
        }
    }
    bench_conn_free(k->conn);
    buf_done(&out);
    return NULL;
}

static tm_err all_clients(struct run *r, const struct side *x, const struct bench_cmp_message *v, size_t n,
                          struct diag *diag)
{
    struct client clients[CLIENTS] = {0};
    size_t started = 0;
    for (; started < x->clients; started++) {
        struct client *k = &clients[started];
        *k = (struct client){
            .side = x, .v = v, .n = n, .first = started, .step = x->clients, .core = r->load_core};
        if (pthread_create(&k->thread, NULL, client_run, k) != 0)
            break;
    }
    tm_err e =
        started == x->clients ? TM_OK : diag_fail(diag, TM_ENOMEM, NULL, NULL, "no thread for a client");
    for (size_t i = 0; i < started; i++) {
        pthread_join(clients[i].thread, NULL);
        if (e == TM_OK && clients[i].err != TM_OK) {
            e = clients[i].err;
            *diag = clients[i].diag;
        }
    }
    return e;
}

static tm_err round_of(struct run *r, struct side *x, size_t n, bool counts, struct diag *diag)
{
    struct bench_cmp_message *v = calloc(n, sizeof *v);
    tm_err e = v ? bench_cmp_messages(v, n, r->fleet, r->asked, diag) : TM_ENOMEM;
    r->asked += n;
    double cpu = bench_cpu_us(x->pid);
    uint64_t begun = clock_mono_ns();
    if (e == TM_OK)
        e = all_clients(r, x, v, n, diag);
    double seconds = (double)(clock_mono_ns() - begun) / 1e9;
    if (e == TM_OK && counts) {
        bench_add(&x->per_s, (double)n / seconds);
        bench_add(&x->cpu_us, (bench_cpu_us(x->pid) - cpu) / (double)n);
    }
    free(v);
    return e;
}

static tm_err measure(struct run *r, struct diag *diag)
{
    step(r, "devices and a house");
    TM_TRY(bench_cmp_fleet_open(&r->fleet, DEVICES, diag));
    TM_TRY(house_start(r, diag));
    if (r->openssl)
        TM_TRY(peer_start(r, diag));
    TM_TRY(bench_csrs_reserve(&r->any, 1, diag));
    TM_TRY(bench_floor_open(&r->floor, diag));
    size_t share = r->certificates / PEER_SHARE + 1;
    step(r, "certificates");
    TM_TRY(round_of(r, &r->ours, share > DEVICES ? share : DEVICES, false,
                    diag)); /* all devices are known then */
    if (r->openssl)
        TM_TRY(round_of(r, &r->peer, 64, false, diag));
    for (unsigned i = 0; i < r->rounds; i++) {
        TM_TRY(bench_floor_round(&r->floor, &r->any, r->server_core, diag));
        TM_TRY(round_of(r, &r->ours, r->certificates, true, diag));
        if (r->openssl)
            TM_TRY(round_of(r, &r->peer, share, true, diag));
    }
    return TM_OK;
}

/* ---- the table ---- */

static void show(const struct run *r)
{
    double floor = SIGNS * bench_median(&r->floor.sign) + VERIFIES * bench_median(&r->floor.verify);
    double rate = bench_median(&r->ours.per_s), cpu = bench_median(&r->ours.cpu_us);
    double share = rate * floor / 1e4, of_cpu = 100 * floor / cpu;
    double peer_rate = bench_median(&r->peer.per_s), peer_cpu = bench_median(&r->peer.cpu_us);
    if (r->c->output == OUTPUT_JSON) {
        printf("{\"floor_us\":%.1f,\"per_s\":%.0f,\"cpu_us\":%.1f,\"of_floor\":%.1f,\"of_floor_by_cpu\":%.1f,"
               "\"times_openssl\":%.2f,\"times_openssl_by_cpu\":%.2f}\n",
               floor, rate, cpu, share, of_cpu, r->openssl ? rate / peer_rate : 0,
               r->openssl ? peer_cpu / cpu : 0);
        return;
    }
    printf(
        "the floor of a certificate: message, birth certificate and possession verified, certificate and answer "
        "signed: %.1f us\n\n",
        floor);
    bench_line("signed ir with implicitConfirm, durable, of the floor", share, "%", ">= 60%", share >= 60);
    bench_line("  the same by CPU time of server and signer", of_cpu, "%", "", -1);
    bench_line("  certificates a second", rate, "/s", "", -1);
    bench_line("  CPU time a certificate", cpu, "us", "", -1);
    if (!r->openssl)
        return;
    bench_line("times openssl cmp as a mock server, which signs and stores no certificates", rate / peer_rate,
               "x", "", -1);
    bench_line("  the same by CPU time", peer_cpu / cpu, "x", "", -1);
}

/* ---- the command ---- */

static int bench_cmp(struct cli *c)
{
    struct run r = {.c = c, .openssl = cli_get(c, "openssl")};
    struct diag diag = {0};
    int64_t rounds_given, certificates;
    if (!cli_get_number(c, "rounds", 7, 1, BENCH_ROUNDS_MAX, &rounds_given) ||
        !cli_get_number(c, "certificates", 8000, 1, 1000000, &certificates))
        return 2;
    r.rounds = (unsigned)rounds_given;
    r.certificates = (unsigned)certificates;
    r.dir = bench_directory(c);
    if (!r.dir)
        return 1;
    log_configure(LOG_ERROR, LOG_AUTO);
    bench_cores(&r.server_core, &r.load_core);
    tm_err e = measure(&r, &diag);
    bench_server_stop(&r.house);
    bench_stop(r.peer.pid);
    if (e == TM_OK)
        show(&r);
    if (e == TM_OK) /* else the logs tell more */
        file_remove_tree(r.dir, true);
    bench_cmp_fleet_free(r.fleet);
    bench_floor_close(&r.floor);
    bench_csrs_done(&r.any);
    return e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, NULL);
}

static const struct cli_option options[] = {
    {"openssl", 0, "PROGRAM", "also openssl cmp as a mock server (3.0 or later), in turns", false},
    {"rounds", 'r', "N", "floor, server and peer take turns so many times (7)", false},
    {"certificates", 'n', "N", "in one round (8000)", false},
    {"dir", 0, "DIR", "where a house is made and removed again (/tmp)", false},
    {0},
};

const struct command bench_cmp_commands[] = {
    {
        .noun = "bench",
        .verb = "cmp",
        .summary = "measure enrollment over CMP on this machine against its floor",
        .arguments = "",
        .description =
            "Devices with birth certificates of one vendor ask for certificates over thirty-two keep-alive connections: an ir each, signed by\n"
            "the device, for a new key, confirmed implicitly. The floor is what OpenSSL takes for the same signatures on the server's core: the\n"
            "message, the birth certificate and the proof of possession verified, the certificate and the answer signed.",
        .example = "touchmark bench cmp --openssl /usr/bin/openssl",
        .options = options,
        .run = bench_cmp,
    },
    {0},
};
