/* touchmark bench acme: certificates over ACME on keep-alive connections, names proven beforehand, against the floor of their signatures. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CLIENTS = 32,
    NAME_LEN = 48,
    LONE = 300,
    PEER_SHARE = 4, /* the peer gets a part of the certificates a round */
    START_MS = 10000,
    VERIFIES = 4 /* order, finalize, fetch, and the request's own */
};

#define ENDPOINT "bench-acme"

struct client {
    struct bench_acme_client *acme;
    char name[NAME_LEN];
    const struct bench_csr *csrs;
    size_t n;
    int core;
    tm_err err;
    struct diag diag;
};

/* A server, and clients that have their accounts and names there. */
struct side {
    struct bench_acme_server s;
    struct bench_server house; /* of ours */
    struct client clients[CLIENTS];
};

struct run {
    struct cli *c;
    unsigned rounds, certificates;
    uint64_t accounts, orders;
    const char *pebble, *dir;
    int server_core, load_core;
    struct bench_floor floor;
    struct bench_csrs any; /* for the floor */
    struct side ours, full, peer;
};

static void step(const struct run *r, const char *what)
{
    if (!r->c->quiet)
        fprintf(stderr, "bench: %s\n", what);
}

/* ---- servers ---- */

static tm_err house_start(struct run *r, struct side *x, const char *name, bool filled, struct diag *diag)
{
    static const char endpoint[] =
        "{\"kind\":\"Endpoint\",\"name\":\"" ENDPOINT
        "\",\"protocol\":\"acme\",\"profiles\":[\"server-internal-1y\"],"
        "\"acme\":{\"external-account\":\"required\",\"limits\":{\"orders-per-hour\":0}}}";
    struct buf out;
    const char *home = arena_printf(r->c->arena, "%s/%s", r->dir, name);
    if (!home)
        return TM_ENOMEM;
    TM_TRY(bench_home(r->c, home, diag));
    TM_TRY(bench_unlimit(r->c, home, diag));
    if (filled)
        TM_TRY(bench_acme_fill(r->c, home, ENDPOINT, r->accounts, r->orders, diag));
    TM_TRY(bench_server_start(&x->house, r->c, home, r->server_core, diag));
    buf_init(&out, 1 << 20);
    tm_err e =
        bench_api(&x->house, "PUT", "/api/v1/resources/endpoints/" ENDPOINT, endpoint, 201, &out, diag);
    buf_done(&out);
    x->s = (struct bench_acme_server){.name = name,
                                      .port = x->house.enrollment,
                                      .directory = "/acme/" ENDPOINT "/directory",
                                      .pid = x->house.pid};
    return e;
}

/* Pebble with what its manual names for speed: no sleeps, validations that always succeed, no nonces refused at will, authorizations
 * used again, keys of its CA as quick as ours. It keeps everything in memory. */
static tm_err pebble_start(struct run *r, struct diag *diag)
{
    static const char *const settings[][2] = {{"PEBBLE_VA_NOSLEEP", "1"},
                                              {"PEBBLE_VA_ALWAYS_VALID", "1"},
                                              {"PEBBLE_WFE_NONCEREJECT", "0"},
                                              {"PEBBLE_AUTHZREUSE", "100"},
                                              {"PEBBLE_CHAIN_LENGTH", "1"}};
    struct side *x = &r->peer;
    char *config = arena_printf(r->c->arena, "%s/pebble.json", r->dir);
    char *log = arena_printf(r->c->arena, "%s/pebble.log", r->dir);
    char *program = arena_strdup(r->c->arena, r->pebble);
    int port = bench_free_port();
    char *text = arena_printf(
        r->c->arena,
        "{\"pebble\":{\"listenAddress\":\"127.0.0.1:%d\",\"managementListenAddress\":\"\",\"certificate\":\"%s/tls/server.pem\","
        "\"privateKey\":\"%s/tls/server.pem\",\"httpPort\":5002,\"tlsPort\":5001,\"ocspResponderURL\":\"\","
        "\"externalAccountBindingRequired\":false,\"keyAlgorithm\":\"ecdsa\"}}",
        port, r->ours.house.home, r->ours.house.home);
    if (!config || !log || !program || !text)
        return TM_ENOMEM;
    if (!cli_write_file(r->c, config, slice_str(text), 0600))
        return diag_fail(diag, TM_EIO, NULL, NULL, "%s can't be written", config);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        setenv(settings[i][0], settings[i][1], 1);
    char *argv[] = {program, (char[]){"-config"}, config, NULL};
    x->s = (struct bench_acme_server){.name = "pebble", .port = port, .directory = "/dir"};
    x->s.pid = bench_spawn(argv, r->dir, log, r->server_core);
    uint64_t until = clock_mono_ns() + START_MS * 1000000ull;
    while (x->s.pid > 0 && clock_mono_ns() < until) {
        struct bench_conn *conn;
        struct diag ignored = {0};
        if (bench_connect(&conn, port, true, &ignored) == TM_OK) {
            bench_conn_free(conn);
            return TM_OK;
        }
        usleep(20000);
    }
    return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%s does not listen; see %s", r->pebble, log);
}

/* ---- clients ---- */

/* The key of an external account to which a name is granted. */
static tm_err external(struct run *r, const struct side *x, const char *name, const char **ret_id,
                       const char **ret_key, struct diag *diag)
{
    char doc[256];
    struct buf out;
    buf_init(&out, 64 << 10);
    snprintf(doc, sizeof doc, "{\"type\":\"external\",\"endpoint\":\"" ENDPOINT "\",\"names\":[\"DNS:%s\"]}",
             name);
    tm_err e = bench_api(&x->house, "POST", "/api/v1/tokens", doc, 201, &out, diag);
    json_t *v = e == TM_OK ? json_loadb((const char *)out.p, out.n, 0, NULL) : NULL;
    const char *id = json_string_value(json_object_get(v, "id")),
               *key = json_string_value(json_object_get(v, "secret"));
    *ret_id = id ? arena_strdup(r->c->arena, id) : NULL;
    *ret_key = key ? arena_strdup(r->c->arena, key) : NULL;
    json_decref(v);
    buf_done(&out);
    return e != TM_OK || (*ret_id && *ret_key)
               ? e
               : diag_fail(diag, TM_EINTERNAL, NULL, NULL, "the answer has no key");
}

static tm_err clients_open(struct run *r, struct side *x, size_t n, struct diag *diag)
{
    for (size_t i = 0; i < n; i++) {
        struct client *k = &x->clients[i];
        const char *id = NULL, *key = NULL;
        snprintf(k->name, sizeof k->name, "acme-%zu.bench.example.net", i);
        k->core = r->load_core;
        if (x->house.pid)
            TM_TRY(external(r, x, k->name, &id, &key, diag));
        TM_TRY(bench_acme_open(&k->acme, &x->s, k->name, id, key, diag));
    }
    return TM_OK;
}

static void side_close(struct side *x)
{
    for (size_t i = 0; i < CLIENTS; i++)
        bench_acme_free(x->clients[i].acme);
    if (x->house.pid)
        bench_server_stop(&x->house);
    else
        bench_stop(x->s.pid);
}

static void *client_run(void *arg)
{
    struct client *k = arg;
    bench_pin(k->core);
    for (size_t i = 0; i < k->n && k->err == TM_OK; i++)
        k->err = bench_acme_certificate(k->acme, &k->csrs[i], k->name, &k->diag);
    return NULL;
}

/* ---- measurements ---- */

/* Requests for each of the clients' names, a fresh key each. */
static tm_err requests(struct bench_csr **ret, size_t each, struct diag *diag)
{
    struct bench_csr *v = calloc(CLIENTS * each, sizeof *v);
    tm_err e = v ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; e == TM_OK && i < CLIENTS * each; i++) {
        struct bench_csrs one = {0};
        char name[NAME_LEN];
        snprintf(name, sizeof name, "acme-%zu.bench.example.net", i / each);
        e = bench_csrs_named(&one, name, diag);
        if (e == TM_OK)
            v[i] = one.v[0];
        bench_csrs_done(&one);
    }
    if (e != TM_OK)
        free(v);
    else
        *ret = v;
    return e;
}

/* Every client gets `each` certificates, all at once. */
static tm_err round_of(struct run *r, struct side *x, size_t each, bool counts, struct diag *diag)
{
    struct bench_csr *v = NULL;
    pthread_t threads[CLIENTS];
    TM_TRY(requests(&v, each, diag));
    double cpu = bench_cpu_us(x->s.pid);
    uint64_t begun = clock_mono_ns();
    size_t started = 0;
    for (; started < CLIENTS; started++) {
        struct client *k = &x->clients[started];
        k->csrs = v + started * each;
        k->n = each;
        if (pthread_create(&threads[started], NULL, client_run, k) != 0)
            break;
    }
    tm_err e = started == CLIENTS ? TM_OK : diag_fail(diag, TM_ENOMEM, NULL, NULL, "no thread for a client");
    for (size_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        if (e == TM_OK && x->clients[i].err != TM_OK) {
            e = x->clients[i].err;
            *diag = x->clients[i].diag;
        }
    }
    double seconds = (double)(clock_mono_ns() - begun) / 1e9, n = (double)(CLIENTS * each);
    if (counts) {
        bench_add(&x->s.per_s, n / seconds);
        bench_add(&x->s.cpu_us, (bench_cpu_us(x->s.pid) - cpu) / n);
    }
    free(v);
    return e;
}

static tm_err rounds(struct run *r, struct diag *diag)
{
    size_t each = r->certificates / CLIENTS + 1, share = each / PEER_SHARE + 1;
    step(r, "certificates");
    TM_TRY(round_of(r, &r->ours, share, false, diag));
    if (r->pebble)
        TM_TRY(round_of(r, &r->peer, share, false, diag));
    for (unsigned i = 0; i < r->rounds; i++) {
        TM_TRY(bench_floor_round(&r->floor, &r->any, r->server_core, diag));
        TM_TRY(round_of(r, &r->ours, each, true, diag));
        if (r->pebble)
            TM_TRY(round_of(r, &r->peer, share, true, diag));
    }
    return TM_OK;
}

/* One certificate after the other from an empty house and from a full one, in turns, both idle between them; first the one, then the
 * other goes first. Each connection has been used once before: the full house has answered nobody yet. */
static tm_err lone_times(struct run *r, double *ms, const struct bench_csr *v, size_t each, struct diag *diag)
{
    struct side *sides[] = {&r->ours, &r->full};
    for (size_t i = 0; i < LONE + CLIENTS; i++)
        for (size_t turn = 0; turn < 2; turn++) {
            size_t which = (i + turn) % 2, k = i % CLIENTS;
            struct client *client = &sides[which]->clients[k];
            usleep(2000);
            uint64_t begun = clock_mono_ns();
            TM_TRY(bench_acme_certificate(client->acme, &v[k * each + 2 * (i / CLIENTS) + turn], client->name,
                                          diag));
            if (i >= CLIENTS)
                ms[which * LONE + i - CLIENTS] = (double)(clock_mono_ns() - begun) / 1e6;
        }
    return TM_OK;
}

static tm_err lone(struct run *r, struct diag *diag)
{
    struct bench_csr *v = NULL;
    size_t each = 2 * ((LONE + CLIENTS) / CLIENTS + 1);
    double *ms = calloc(2 * LONE, sizeof *ms);
    step(r, "one certificate at a time, from either house");
    tm_err e = ms ? requests(&v, each, diag) : TM_ENOMEM;
    bench_pin(r->load_core);
    if (e == TM_OK)
        e = lone_times(r, ms, v, each, diag);
    if (e == TM_OK) {
        bench_add(&r->ours.s.order_ms, bench_quantile(ms, LONE, 0.5));
        bench_add(&r->full.s.order_ms, bench_quantile(ms + LONE, LONE, 0.5));
    }
    free(ms);
    free(v);
    return e;
}

static tm_err measure(struct run *r, struct diag *diag)
{
    step(r, "a house");
    TM_TRY(house_start(r, &r->ours, "house", false, diag));
    if (r->accounts)
        TM_TRY(house_start(r, &r->full, "full", true, diag));
    if (r->pebble)
        TM_TRY(pebble_start(r, diag));
    TM_TRY(bench_csrs_reserve(&r->any, 1, diag));
    TM_TRY(bench_floor_open(&r->floor, diag));
    TM_TRY(clients_open(r, &r->ours, CLIENTS, diag));
    if (r->accounts)
        TM_TRY(clients_open(r, &r->full, CLIENTS, diag));
    if (r->pebble)
        TM_TRY(clients_open(r, &r->peer, CLIENTS, diag));
    TM_TRY(rounds(r, diag));
    return r->accounts ? lone(r, diag) : TM_OK;
}

/* ---- the table ---- */

static void show(const struct run *r)
{
    double floor = bench_median(&r->floor.sign) + VERIFIES * bench_median(&r->floor.verify);
    double rate = bench_median(&r->ours.s.per_s), cpu = bench_median(&r->ours.s.cpu_us);
    double share = rate * floor / 1e4, of_cpu = 100 * floor / cpu;
    if (r->c->output == OUTPUT_JSON) {
        printf(
            "{\"floor_us\":%.1f,\"per_s\":%.0f,\"cpu_us\":%.1f,\"of_floor\":%.1f,\"of_floor_by_cpu\":%.1f,\"times_pebble\":%.2f,"
            "\"times_pebble_by_cpu\":%.2f,\"lone_ms\":%.3f,\"lone_full_ms\":%.3f}\n",
            floor, rate, cpu, share, of_cpu, r->pebble ? rate / bench_median(&r->peer.s.per_s) : 0,
            r->pebble ? bench_median(&r->peer.s.cpu_us) / cpu : 0, bench_median(&r->ours.s.order_ms),
            bench_median(&r->full.s.order_ms));
        return;
    }
    printf(
        "the floor of a certificate: 3 signed requests, the request's own signature, 1 signature: %.1f us\n\n",
        floor);
    bench_line("certificates over ACME, names granted, durable, of the floor", share, "%", ">= 60%",
               share >= 60);
    bench_line("  the same by CPU time of server and signer", of_cpu, "%", "", -1);
    bench_line("  certificates a second", rate, "/s", "", -1);
    bench_line("  CPU time a certificate", cpu, "us", "", -1);
    if (r->pebble) {
        double times = rate / bench_median(&r->peer.s.per_s);
        bench_line("certificates, times pebble that stores nothing", times, "x", ">= 2x", times >= 2);
        bench_line("  the same by CPU time", bench_median(&r->peer.s.cpu_us) / cpu, "x", "", -1);
    }
    if (r->accounts) {
        double empty = bench_median(&r->ours.s.order_ms), full = bench_median(&r->full.s.order_ms);
        char what[96];
        snprintf(what, sizeof what,
                 "a lone certificate with %" PRIu64 " accounts and %" PRIu64 " orders, against none",
                 r->accounts, r->orders);
        bench_line(what, 100 * full / empty, "%", "<= 110%", full <= 1.1 * empty);
        bench_line("  its median without them", empty, "ms", "", -1);
    }
}

/* ---- the command ---- */

static int bench_acme(struct cli *c)
{
    struct run r = {.c = c, .pebble = cli_get(c, "pebble")};
    struct diag diag = {0};
    int64_t rounds_given, certificates, accounts, orders;
    if (!cli_get_number(c, "rounds", 7, 1, BENCH_ROUNDS_MAX, &rounds_given) ||
        !cli_get_number(c, "certificates", 4000, 1, 1000000, &certificates) ||
        !cli_get_number(c, "accounts", 0, 1, 100000000, &accounts) ||
        !cli_get_number(c, "orders", 5 * accounts, 1, 1000000000, &orders))
        return 2;
    r.accounts = (uint64_t)accounts;
    r.orders = (uint64_t)orders;
    r.rounds = (unsigned)rounds_given;
    r.certificates = (unsigned)certificates;
    r.dir = bench_directory(c);
    if (!r.dir)
        return 1;
    log_configure(LOG_ERROR, LOG_AUTO);
    bench_cores(&r.server_core, &r.load_core);
    tm_err e = measure(&r, &diag);
    side_close(&r.ours);
    side_close(&r.full);
    side_close(&r.peer);
    if (e == TM_OK)
        show(&r);
    if (e == TM_OK) /* else the logs tell more */
        file_remove_tree(r.dir, true);
    bench_floor_close(&r.floor);
    bench_csrs_done(&r.any);
    return e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, NULL);
}

static const struct cli_option options[] = {
    {"pebble", 0, "PROGRAM", "also pebble, in turns, at its quickest settings", false},
    {"accounts", 0, "N", "a second house with so many accounts, to compare the time of a lone certificate",
     false},
    {"orders", 0, "N", "and so many past orders there (5 an account)", false},
    {"rounds", 'r', "N", "floor, server and peer take turns so many times (7)", false},
    {"certificates", 'n', "N", "in one round (4000)", false},
    {"dir", 0, "DIR", "where houses are made and removed again (/tmp)", false},
    {0},
};

const struct command bench_acme_commands[] = {
    {
        .noun = "bench",
        .verb = "acme",
        .summary = "measure certificates over ACME on this machine against their floor",
        .arguments = "",
        .description =
            "Thirty-two clients on keep-alive connections, each with an account to which its name is granted, order, finalize and fetch\n"
            "certificates as quickly as the server gives them, each for a key of its own. The floor is what OpenSSL takes for the same\n"
            "signatures on the server's core: three requests and the certificate request verified, the certificate signed. Where other work\n"
            "runs beside it, only the share by CPU time says something.",
        .example =
            "touchmark bench acme --pebble /usr/bin/pebble\n  touchmark bench acme --accounts 1000000 --orders 5000000 --dir /var/tmp",
        .options = options,
        .run = bench_acme,
    },
    {0},
};
