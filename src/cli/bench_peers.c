/* The peers that apt can install, on the same core with the same requests: `cfssl serve` without and with its SQLite store, and `openssl ca`, one
 * process a request as scripts run it. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS = 4, START_MS = 10000 };

static const char cfssl_config[] =
    "{\"signing\":{\"default\":{\"expiry\":\"8760h\",\"usages\":[\"signing\",\"server auth\"]}}}\n";
/* The tables of cfssl's own migrations. */
static const char cfssl_schema[] =
    "CREATE TABLE certificates (serial_number blob NOT NULL, authority_key_identifier blob NOT NULL, ca_label blob,"
    " status blob NOT NULL, reason int, expiry timestamp, revoked_at timestamp, pem blob NOT NULL,"
    " PRIMARY KEY(serial_number, authority_key_identifier));"
    "CREATE TABLE ocsp_responses (serial_number blob NOT NULL, authority_key_identifier blob NOT NULL, body blob NOT NULL,"
    " expiry timestamp, PRIMARY KEY(serial_number, authority_key_identifier));";
static const char ca_config[] =
    "[ca]\ndefault_ca=c\n[c]\ndir=.\ndatabase=./index.txt\nnew_certs_dir=./new\nserial=./serial\n"
    "certificate=./ca.pem\nprivate_key=./ca.key\ndefault_md=sha256\ndefault_days=365\npolicy=p\n"
    "unique_subject=no\ncopy_extensions=copy\n[p]\ncommonName=supplied\n";

/* ---- running things ---- */

/* To its end; its status, -1 when it could not be started. */
static int run(char *const argv[], const char *dir, const char *log, int core)
{
    int status = -1;
    pid_t pid = bench_spawn(argv, dir, log, core);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* "a b c" as an argument vector; `text` is cut up. */
static char **words(struct arena *a, char *text)
{
    char **v = arena_calloc(a, 40, sizeof *v), *save = NULL;
    size_t n = 0;
    for (char *w = strtok_r(text, " ", &save); v && w && n < 39; w = strtok_r(NULL, " ", &save))
        v[n++] = w;
    return v;
}

static tm_err must(struct bench_peers *p, char *command, struct diag *diag)
{
    const char *first = command ? arena_strdup(p->arena, command) : NULL;
    char **argv = first ? words(p->arena, command) : NULL;
    if (!argv)
        return TM_ENOMEM;
    return run(argv, p->dir, p->log, -1) == 0
               ? TM_OK
               : diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%.120s failed; see %s", first, p->log);
}

static tm_err write_text(struct bench_peers *p, const char *name, const char *text, struct diag *diag)
{
    char *path = arena_printf(p->arena, "%s/%s", p->dir, name);
    return path && cli_write_file(p->cli, path, slice_str(text), 0600)
               ? TM_OK
               : diag_fail(diag, TM_EIO, NULL, NULL, "%s/%s can't be written", p->dir, name);
}

int bench_free_port(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&sa, n) == 0 &&
        getsockname(fd, (struct sockaddr *)&sa, &n) == 0)
        port = ntohs(sa.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

/* ---- cfssl ---- */

static tm_err cfssl_start(struct bench_peers *p, struct bench_peer *peer, const char *more, struct diag *diag)
{
    peer->port = bench_free_port();
    char *command =
        arena_printf(p->arena,
                     "cfssl serve -loglevel 4 -address 127.0.0.1 -port %d -ca ca.pem -ca-key ca.key "
                     "-config config.json %s",
                     peer->port, more);
    char **argv = command ? words(p->arena, command) : NULL;
    if (!argv)
        return TM_ENOMEM;
    peer->pid = bench_spawn(argv, p->dir, p->log, p->core);
    uint64_t until = clock_mono_ns() + START_MS * 1000000ull;
    while (peer->pid > 0 && clock_mono_ns() < until) {
        struct bench_conn *c;
        struct diag ignored = {0};
        if (bench_connect(&c, peer->port, false, &ignored) == TM_OK) {
            bench_conn_free(c);
            return TM_OK;
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "cfssl serve does not listen; see %s", p->log);
}

static tm_err cfssl_store(struct bench_peers *p, struct diag *diag)
{
    sqlite3 *db = NULL;
    char *path = arena_printf(p->arena, "%s/certs.db", p->dir);
    int rc = path ? sqlite3_open(path, &db) : SQLITE_NOMEM;
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, cfssl_schema, NULL, NULL, NULL);
    sqlite3_close(db);
    if (rc != SQLITE_OK)
        return diag_fail(diag, TM_EIO, NULL, NULL, "cfssl's store can't be made");
    return write_text(p, "db.json", "{\"driver\":\"sqlite3\",\"data_source\":\"certs.db\"}\n", diag);
}

struct client {
    pthread_t thread;
    bool started;
    const struct bench_peer *peer;
    const struct bench_csr *v;
    size_t n, first;
    int core;
    tm_err err;
    struct diag diag;
};

static void put_request(struct buf *b, const struct bench_csr *csr)
{
    struct buf pem;
    buf_init(&pem, 4096);
    buf_put_pem(&pem, "CERTIFICATE REQUEST", slice_of(csr->der, csr->n));
    buf_reset(b);
    buf_puts(b, "{\"certificate_request\":");
    buf_put_json_string(b, buf_slice(&pem));
    buf_puts(b, "}");
    buf_done(&pem);
}

static void *client_run(void *arg)
{
    struct client *c = arg;
    struct bench_conn *conn = NULL;
    struct buf body, out;
    buf_init(&body, 8192);
    buf_init(&out, 64 << 10);
    bench_pin(c->core);
    c->err = bench_connect(&conn, c->peer->port, false, &c->diag);
    for (size_t i = c->first; i < c->n && c->err == TM_OK; i += CLIENTS) {
        int status = 0;
        put_request(&body, &c->v[i]);
        buf_reset(&out);
        c->err = bench_exchange(conn, "POST", "/api/v1/cfssl/sign", "Content-Type: application/json\r\n",
                                buf_slice(&body), &status, &out, &c->diag);
        if (c->err == TM_OK && status != 200)
            c->err = diag_fail(&c->diag, TM_EINTERNAL, NULL, NULL, "cfssl: status %d: %.100s", status,
                               buf_str(&out));
    }
    bench_conn_free(conn);
    buf_done(&body);
    buf_done(&out);
    return NULL;
}

static tm_err cfssl_round(struct bench_peers *p, struct bench_peer *peer, const struct bench_csr *v, size_t n,
                          struct diag *diag)
{
    struct client clients[CLIENTS] = {0};
    double cpu = bench_cpu_us(peer->pid);
    uint64_t begun = clock_mono_ns();
    tm_err e = TM_OK;
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.peer = peer, .v = v, .n = n, .first = i, .core = p->load_core};
        clients[i].started = pthread_create(&clients[i].thread, NULL, client_run, &clients[i]) == 0;
        if (!clients[i].started)
            e = TM_EUNAVAIL;
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        if (clients[i].started)
            pthread_join(clients[i].thread, NULL);
        if (clients[i].err != TM_OK && e == TM_OK) {
            e = clients[i].err;
            *diag = clients[i].diag;
        }
    }
    bench_add(&peer->per_s, (double)n * 1e9 / (double)(clock_mono_ns() - begun));
    bench_add(&peer->cpu_us, (bench_cpu_us(peer->pid) - cpu) / (double)n);
    return e;
}

/* ---- openssl ca ---- */

static double children_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return ((double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec) * 1e6 + (double)u.ru_utime.tv_usec +
           (double)u.ru_stime.tv_usec;
}

static tm_err openssl_round(struct bench_peers *p, const struct bench_csr *v, size_t n, struct diag *diag)
{
    struct bench_peer *peer = &p->v[BENCH_OPENSSL_CA];
    struct buf pem;
    buf_init(&pem, 4096);
    double seconds = 0, cpu = children_us();
    for (size_t i = 0; i < n; i++) {
        buf_reset(&pem);
        buf_put_pem(&pem, "CERTIFICATE REQUEST", slice_of(v[i].der, v[i].n));
        TM_TRY(write_text(p, "request.pem", buf_str(&pem), diag));
        char *command =
            arena_strdup(p->arena, "openssl ca -batch -notext -config ca.cnf -in request.pem -out cert.pem");
        char **argv = command ? words(p->arena, command) : NULL;
        if (!argv)
            return TM_ENOMEM;
        uint64_t begun = clock_mono_ns();
        if (run(argv, p->dir, p->log, p->core) != 0)
            return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "openssl ca failed; see %s", p->log);
        seconds += (double)(clock_mono_ns() - begun) / 1e9;
    }
    buf_done(&pem);
    bench_add(&peer->per_s, (double)n / seconds);
    bench_add(&peer->cpu_us, (children_us() - cpu) / (double)n);
    return TM_OK;
}

/* ---- all of them ---- */

static bool installed(const char *name)
{
    const char *path = getenv("PATH");
    char full[4096];
    while (path && *path) {
        size_t n = strcspn(path, ":");
        snprintf(full, sizeof full, "%.*s/%s", (int)n, path, name);
        if (access(full, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

tm_err bench_peers_open(struct bench_peers *p, struct cli *c, const char *dir, int core, int load_core,
                        struct diag *diag)
{
    p->cli = c;
    p->arena = c->arena;
    p->dir = dir;
    p->log = arena_printf(c->arena, "%s/peers.log", dir);
    p->core = core;
    p->load_core = load_core;
    p->v[BENCH_CFSSL].name = "cfssl serve, storing nothing";
    p->v[BENCH_CFSSL_STORE].name = "cfssl serve with its SQLite store";
    p->v[BENCH_OPENSSL_CA].name = "openssl ca";
    if (!installed("cfssl") || !installed("openssl"))
        return diag_fail(diag, TM_ENOTFOUND, NULL, NULL,
                         "cfssl or openssl is not installed: ./setup --bench");
    char *new_certs = arena_printf(c->arena, "%s/new", dir);
    if (!p->log || !new_certs || mkdir(dir, 0700) != 0 || mkdir(new_certs, 0700) != 0)
        return diag_fail(diag, TM_EIO, NULL, NULL, "can't make %s", dir);
    TM_TRY(write_text(p, "config.json", cfssl_config, diag));
    TM_TRY(write_text(p, "ca.cnf", ca_config, diag));
    TM_TRY(write_text(p, "index.txt", "", diag));
    TM_TRY(write_text(p, "serial", "01\n", diag));
    TM_TRY(
        must(p, arena_strdup(c->arena, "openssl ecparam -name prime256v1 -genkey -noout -out ca.key"), diag));
    TM_TRY(must(
        p,
        arena_strdup(c->arena, "openssl req -x509 -new -key ca.key -subj /CN=Bench -days 3650 -out ca.pem"),
        diag));
    TM_TRY(cfssl_store(p, diag));
    TM_TRY(cfssl_start(p, &p->v[BENCH_CFSSL], "", diag));
    return cfssl_start(p, &p->v[BENCH_CFSSL_STORE], "-db-config db.json", diag);
}

tm_err bench_peers_round(struct bench_peers *p, const struct bench_csr *v, size_t n, struct diag *diag)
{
    TM_TRY(cfssl_round(p, &p->v[BENCH_CFSSL], v, n, diag));
    TM_TRY(cfssl_round(p, &p->v[BENCH_CFSSL_STORE], v, n / 4, diag));
    return openssl_round(p, v, n / 100, diag);
}

void bench_peers_close(struct bench_peers *p)
{
    for (size_t i = 0; i < BENCH_PEERS; i++)
        bench_stop(p->v[i].pid);
}
