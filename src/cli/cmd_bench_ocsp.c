/* touchmark bench ocsp: signed answers against the raw signature, kept ones against nginx with the same octets, both against other people's responders. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "x509/ocsp.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PER_TXN = 2000,
    FRESH = 4000,
    KEPT = 20000,
    PACED = 3000,
    CONNECTIONS = 32,
    DAY = 86400,
    ONCE = 200,
    START_MS = 15000
};
static const char authority_name[] = "issuing-ca";

struct bench_ocsp {
    struct cli *c;
    const char *dir, *home, *log;
    uint64_t rows;
    unsigned rounds;
    bool with_peers, with_openssl;
    int server_core, load_core;
    struct arena *a;
    struct bench_server server;
    struct bench_floor floor;
    struct bench_csrs csrs;
    struct slice *fresh, *kept, *once; /* whole HTTP requests */
    struct slice first_by_post;        /* whole HTTP requests */
    size_t n;
    struct slice answer; /* to the first kept one */
    struct bench_sample fresh_per_s, fresh_cpu, signer_cpu, kept_per_s, kept_cpu, nginx_per_s, nginx_cpu,
        openssl_per_s, cfssl_per_s, ours_once;
    double p99_ms, half_per_s;
    pid_t nginx, openssl, cfssl;
    int nginx_port, openssl_port, cfssl_port;
};

static void step(const struct bench_ocsp *b, const char *what)
{
    if (!b->c->quiet)
        fprintf(stderr, "bench: %s\n", what);
}

/* ---- a house with certificates to ask about ---- */

static tm_err fill(struct house *h, uint64_t n, struct diag *diag)
{
    struct effect *v = calloc(PER_TXN, sizeof *v);
    int64_t now = clock_now();
    tm_err e = v ? TM_OK : TM_ENOMEM;
    for (uint64_t done = 0; done < n && e == TM_OK; done += PER_TXN) {
        for (size_t i = 0; i < PER_TXN && e == TM_OK; i++) {
            v[i] = (struct effect){.kind = EFFECT_CERT_ADD, .tenant = TENANT_DEFAULT};
            struct cert_row *row = &v[i].u.cert.row;
            serial_prefix(row->id, now + 300 * DAY, now);
            e = random_bytes(row->id + 6, CERT_SERIAL_LEN - 6);
            row->source = CERT_ISSUED;
            row->serial = SLICE_ARR(row->id);
            row->authority = authority_name;
            row->profile = "server-internal-1y";
            row->device = row->endpoint = row->subject = "";
            row->not_before = now;
            row->not_after = row->keep_until = now + 300 * DAY;
            row->retention = 2;
        }
        if (e == TM_OK)
            e = house_commit(h, v, PER_TXN, diag);
    }
    free(v);
    return e;
}

static tm_err want_nonces(struct house *h, struct arena *a, struct diag *diag)
{
    struct store_read q = {.kind = READ_RESOURCE,
                           .tenant = TENANT_DEFAULT,
                           .arena = a,
                           .name = "Authority",
                           .name2 = authority_name};
    json_t *doc = NULL;
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_OK)
        e = json_parse(&doc, q.resources[0].json, 1 << 20, diag);
    if (e == TM_OK) {
        json_object_set_new(json_object_get(doc, "ocsp"), "nonce", json_true());
        e = house_resource_put(h, TENANT_DEFAULT, "Authority", doc, -1, "bench", NULL, diag);
    }
    json_decref(doc);
    return e;
}

static tm_err put_http(struct slice *ret, struct arena *a, const char *method, struct slice der,
                       bool close_after)
{
    struct buf b;
    buf_init(&b, 8192);
    const char *end = close_after ? "Connection: close\r\n" : "";
    if (strcmp(method, "GET") == 0) {
        struct buf text;
        buf_init(&text, 4096);
        buf_put_base64(&text, der, BASE64_STD, 0);
        buf_puts(&b, "GET /ocsp/");
        for (size_t i = 0; i < text.n; i++)
            if (strchr("+/=", text.p[i]))
                buf_printf(&b, "%%%02X", text.p[i]);
            else
                buf_putc(&b, text.p[i]);
        buf_printf(&b, " HTTP/1.1\r\nHost: localhost\r\n%s\r\n", end);
        buf_done(&text);
    } else {
        buf_printf(
            &b,
            "POST /ocsp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/ocsp-request\r\n%sContent-Length: %zu\r\n\r\n",
            end, der.n);
        buf_put_slice(&b, der);
    }
    tm_err e = arena_copy(ret, a, buf_slice(&b));
    buf_done(&b);
    return e;
}

static tm_err requests(struct bench_ocsp *b, const struct authority *x, const struct cert_row *rows, size_t n)
{
    b->n = n;
    b->fresh = arena_calloc(b->a, n, sizeof *b->fresh);
    b->kept = arena_calloc(b->a, n, sizeof *b->kept);
    b->once = arena_calloc(b->a, n, sizeof *b->once);
    tm_err e = b->fresh && b->kept && b->once ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; i < n && e == TM_OK; i++) {
        struct ocsp_id id = {.hash = OID_SHA256,
                             .name_hash = SLICE_ARR(x->ocsp.issuer.name_sha256),
                             .key_hash = SLICE_ARR(x->ocsp.issuer.key_sha256),
                             .serial = SLICE_ARR(rows[i].id)};
        uint8_t nonce[32];
        struct buf der;
        buf_init(&der, OCSP_REQUEST_MAX);
        e = random_bytes(nonce, sizeof nonce);
        if (e == TM_OK)
            e = ocsp_request_build(&der, &id, SLICE_ARR(nonce));
        if (e == TM_OK)
            e = put_http(&b->fresh[i], b->a, "POST", buf_slice(&der), false);
        if (e == TM_OK)
            e = put_http(&b->once[i], b->a, "POST", buf_slice(&der), true);
        buf_reset(&der);
        if (e == TM_OK)
            e = ocsp_request_build(&der, &id, (struct slice){0});
        if (e == TM_OK)
            e = put_http(&b->kept[i], b->a, "GET", buf_slice(&der), false);
        if (e == TM_OK && i == 0)
            e = put_http(&b->first_by_post, b->a, "POST", buf_slice(&der), false);
        buf_done(&der);
    }
    return e;
}

static tm_err prepare(struct bench_ocsp *b, struct diag *diag)
{
    struct house *h = NULL;
    struct stat st;
    bool fresh_home = stat(b->home, &st) != 0;
    TM_TRY(bench_home(b->c, b->home, diag));
    if (fresh_home)
        TM_TRY(bench_unlimit(b->c, b->home, diag));
    TM_TRY(bench_house_open(&h, b->c, b->home, diag));
    struct catalog *cat = house_catalog(h);
    const struct authority *x = catalog_authority(cat, TENANT_DEFAULT, authority_name);
    struct store_read q = {.kind = READ_COUNTS, .tenant = TENANT_DEFAULT, .arena = b->a};
    tm_err e = x ? store_read_now(h->store, &q) : TM_ENOTFOUND;
    if (e == TM_OK && q.counts.certs < b->rows)
        e = fill(h, b->rows - q.counts.certs, diag);
    if (e == TM_OK)
        e = want_nonces(h, b->a, diag);
    q = (struct store_read){.kind = READ_CERTS,
                            .tenant = TENANT_DEFAULT,
                            .arena = b->a,
                            .filter = {.authority = authority_name,
                                       .revoked = 0,
                                       .source = CERT_ISSUED,
                                       .not_after_from = clock_now() + 290 * DAY},
                            .states_only = true,
                            .limit = FRESH};
    if (e == TM_OK)
        e = store_read_now(h->store, &q);
    if (e == TM_OK)
        e = q.n ? requests(b, x, q.certs, q.n) : TM_ENOTFOUND;
    catalog_unref(cat);
    house_close(h);
    return e;
}

/* OCSPResponse with responseStatus successful */
static bool is_answer(struct slice body)
{
    return body.n > 100 && body.p[0] == 0x30 && memmem(body.p, 16, "\x0a\x01\x00", 3);
}

static tm_err load(const struct bench_ocsp *b, int port, const struct slice *v, size_t n, double per_s,
                   bool once, struct bench_load_result *ret, struct diag *diag)
{
    struct bench_load what = {.port = port,
                              .connections = CONNECTIONS,
                              .requests = v,
                              .n_requests = b->n,
                              .n = n,
                              .per_s = per_s,
                              .once = once,
                              .check = is_answer};
    return bench_load_run(&what, ret, diag);
}

/* The responder's certificate is made by a job of the server that has just begun. */
static tm_err wait_for_responder(struct bench_ocsp *b, struct diag *diag)
{
    struct bench_load_result r;
    uint64_t until = clock_mono_ns() + START_MS * 1000000ull;
    for (;;) {
        struct bench_conn *conn;
        int status = 0;
        struct buf body;
        buf_init(&body, 64 << 10);
        TM_TRY(bench_connect(&conn, b->server.plain, false, diag));
        const uint8_t *path = b->kept[0].p + 4;
        char *target = arena_strndup(b->a, (const char *)path,
                                     (size_t)((const uint8_t *)memchr(path, ' ', 2000) - path));
        tm_err e = target ? bench_exchange(conn, "GET", target, "", (struct slice){0}, &status, &body, diag)
                          : TM_ENOMEM;
        bench_conn_free(conn);
        bool good = e == TM_OK && status == 200 && is_answer(buf_slice(&body));
        if (good)
            e = arena_copy(&b->answer, b->a, buf_slice(&body));
        buf_done(&body);
        if (good || e != TM_OK)
            return e == TM_OK ? load(b, b->server.plain, b->kept, b->n, 0, false, &r, diag)
                              : e; /* all are kept now */
        if (clock_mono_ns() > until)
            return diag_fail(diag, TM_EUNAVAIL, NULL, NULL,
                             "the responder has no certificate; see %s/bench.log", b->home);
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
}

/* ---- others ---- */

static char **argv_of(struct arena *a, char *text)
{
    char **v = arena_calloc(a, 40, sizeof *v), *save = NULL;
    size_t n = 0;
    for (char *w = text ? strtok_r(text, " ", &save) : NULL; v && w && n < 39; w = strtok_r(NULL, " ", &save))
        v[n++] = w;
    return v;
}

static tm_err start(struct bench_ocsp *b, pid_t *ret, int port, char *command, struct diag *diag)
{
    char **argv = argv_of(b->a, command);
    if (!argv || !argv[0])
        return TM_ENOMEM;
    *ret = bench_spawn(argv, b->dir, b->log, b->server_core);
    uint64_t until = clock_mono_ns() + START_MS * 1000000ull;
    while (*ret > 0 && clock_mono_ns() < until) {
        struct bench_conn *c;
        struct diag ignored = {0};
        if (bench_connect(&c, port, false, &ignored) == TM_OK) {
            bench_conn_free(c);
            return TM_OK;
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%s does not listen; see %s", argv[0], b->log);
}

static tm_err put_file(struct bench_ocsp *b, const char *name, struct slice text, struct diag *diag)
{
    char *path = arena_printf(b->a, "%s/%s", b->dir, name);
    return path && cli_write_file(b->c, path, text, 0644)
               ? TM_OK
               : diag_fail(diag, TM_EIO, NULL, NULL, "%s can't be written", name);
}

/* The same octets under one name, by one worker. */
static tm_err start_nginx(struct bench_ocsp *b, struct diag *diag)
{
    b->nginx_port = bench_free_port();
    char *config = arena_printf(
        b->a,
        "daemon off; worker_processes 1; pid %s/nginx.pid; error_log %s/nginx.log;\n"
        "events { worker_connections 256; }\n"
        "http { access_log off; default_type application/ocsp-response; keepalive_requests 100000000; open_file_cache max=16; sendfile on;\n"
        "  client_body_temp_path %s/t1; proxy_temp_path %s/t2; fastcgi_temp_path %s/t3; uwsgi_temp_path %s/t4; scgi_temp_path %s/t5;\n"
        "  server { listen 127.0.0.1:%d; root %s/www; location / { try_files /answer =404; } } }\n",
        b->dir, b->dir, b->dir, b->dir, b->dir, b->dir, b->dir, b->nginx_port, b->dir);
    char *www = arena_printf(b->a, "%s/www", b->dir);
    if (!config || !www || (mkdir(www, 0755) != 0 && errno != EEXIST))
        return TM_ENOMEM;
    TM_TRY(put_file(b, "www/answer", b->answer, diag));
    TM_TRY(put_file(b, "nginx.conf", slice_str(config), diag));
    chmod(b->dir, 0755); /* its worker may be nobody */
    return start(b, &b->nginx, b->nginx_port,
                 arena_printf(b->a, "nginx -p %s -c %s/nginx.conf", b->dir, b->dir), diag);
}

static tm_err start_responders(struct bench_ocsp *b, struct diag *diag)
{
    const char *program = getenv("OPENSSL") ? getenv("OPENSSL") : "openssl";
    char *make = arena_printf(
        b->a,
        "cd %s && %s req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -subj /CN=bench "
        "-days 30 -out ca.pem 2>>peers.log",
        b->dir, program);
    if (!make || system(make) != 0)
        return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "openssl can't make a CA in %s", b->dir);
    TM_TRY(put_file(b, "index.txt", SLICE_LIT("V\t360101000000Z\t\t01\tunknown\t/CN=one\n"), diag));
    b->openssl_port = bench_free_port();
    char **argv = argv_of(
        b->a, arena_printf(
                  b->a, "%s ocsp -port %d -index index.txt -CA ca.pem -rsigner ca.pem -rkey ca.key -nmin 60",
                  program, b->openssl_port));
    if (!argv)
        return TM_ENOMEM;
    if (b->with_openssl) {
        /* A connection without a request, as start() would make to see whether it listens, ends it. */
        b->openssl = bench_spawn(argv, b->dir, b->log, b->server_core);
        nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
    }
    /* cfssl's responder gives out what was signed before: base64, one a line. */
    struct buf lines;
    buf_init(&lines, 64 << 10);
    buf_put_base64(&lines, b->answer, BASE64_STD, 0);
    buf_putc(&lines, '\n');
    tm_err e = put_file(b, "responses", buf_slice(&lines), diag);
    buf_done(&lines);
    TM_TRY(e);
    b->cfssl_port = bench_free_port();
    return start(b, &b->cfssl, b->cfssl_port,
                 arena_printf(b->a,
                              "cfssl ocspserve -address 127.0.0.1 -port %d -responses responses -loglevel 4",
                              b->cfssl_port),
                 diag);
}

/* ---- rounds ---- */

static double own_cpu_us(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0;
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static tm_err fresh_round(struct bench_ocsp *b, struct diag *diag)
{
    struct bench_load_result r;
    double all = bench_cpu_us(b->server.pid), own = own_cpu_us(b->server.pid);
    TM_TRY(load(b, b->server.plain, b->fresh, FRESH, 0, false, &r, diag));
    all = bench_cpu_us(b->server.pid) - all;
    own = own_cpu_us(b->server.pid) - own;
    bench_add(&b->fresh_per_s, r.per_s);
    bench_add(&b->fresh_cpu, all / FRESH);
    bench_add(&b->signer_cpu, (all - own) / FRESH);
    return TM_OK;
}

static tm_err kept_round(struct bench_ocsp *b, struct diag *diag)
{
    struct bench_load_result r;
    double cpu = bench_cpu_us(b->server.pid);
    TM_TRY(load(b, b->server.plain, b->kept, KEPT, 0, false, &r, diag));
    bench_add(&b->kept_cpu, (bench_cpu_us(b->server.pid) - cpu) / KEPT);
    bench_add(&b->kept_per_s, r.per_s);
    if (!b->with_peers)
        return TM_OK;
    cpu = bench_cpu_us(b->nginx);
    TM_TRY(load(b, b->nginx_port, b->kept, KEPT, 0, false, &r, diag));
    bench_add(&b->nginx_cpu, (bench_cpu_us(b->nginx) - cpu) / KEPT);
    bench_add(&b->nginx_per_s, r.per_s);
    return TM_OK;
}

/* openssl's has no keep-alive, and takes one connection after the other. */
static tm_err others_round(struct bench_ocsp *b, struct diag *diag)
{
    struct bench_load_result r;
    struct bench_load one = {.port = b->openssl_port,
                             .connections = 1,
                             .requests = b->once,
                             .n_requests = b->n,
                             .n = ONCE,
                             .once = true,
                             .check = is_answer};
    if (b->with_openssl) {
        TM_TRY(bench_load_run(&one, &r, diag));
        bench_add(&b->openssl_per_s, r.per_s);
        one.port = b->server.plain;
        TM_TRY(bench_load_run(&one, &r, diag));
        bench_add(&b->ours_once, r.per_s);
    }
    /* The one request that it has an answer to. */
    struct bench_load cfssl = {.port = b->cfssl_port,
                               .connections = CONNECTIONS,
                               .requests = &b->first_by_post,
                               .n_requests = 1,
                               .n = KEPT / 4,
                               .check = is_answer};
    TM_TRY(bench_load_run(&cfssl, &r, diag));
    bench_add(&b->cfssl_per_s, r.per_s);
    return TM_OK;
}

static tm_err measure(struct bench_ocsp *b, struct diag *diag)
{
    struct bench_load_result r;
    step(b, "a house");
    TM_TRY(prepare(b, diag));
    TM_TRY(bench_floor_open(&b->floor, diag));
    TM_TRY(bench_csrs_reserve(&b->csrs, 64, diag));
    TM_TRY(bench_server_start(&b->server, b->c, b->home, b->server_core, diag));
    bench_pin(b->load_core);
    TM_TRY(wait_for_responder(b, diag));
    if (b->with_peers) {
        TM_TRY(start_nginx(b, diag));
        TM_TRY(start_responders(b, diag));
    }
    step(b, "questions");
    TM_TRY(load(b, b->server.plain, b->fresh, FRESH / 4, 0, false, &r, diag));
    for (unsigned i = 0; i < b->rounds; i++) {
        TM_TRY(bench_floor_round(&b->floor, &b->csrs, b->server_core, diag));
        bench_pin(b->load_core);
        TM_TRY(fresh_round(b, diag));
        TM_TRY(kept_round(b, diag));
        if (b->with_peers)
            TM_TRY(others_round(b, diag));
    }
    b->half_per_s = bench_median(&b->fresh_per_s) / 2;
    TM_TRY(load(b, b->server.plain, b->fresh, PACED, b->half_per_s, false, &r, diag));
    b->p99_ms = r.p99_us / 1e3;
    return TM_OK;
}

/* ---- the command ---- */

static void line(const char *what, double value, const char *unit, const char *goal, bool judged, bool met)
{
    printf("  %-72s %9.1f%-3s %-9s %s\n", what, value, unit, goal, !judged ? "" : met ? "met" : "NOT MET");
}

static void show(const struct bench_ocsp *b)
{
    double sign = bench_median(&b->floor.sign), fresh = bench_median(&b->fresh_per_s) * sign / 1e4;
    double kept = bench_median(&b->kept_per_s), nginx = bench_median(&b->nginx_per_s),
           cfssl = bench_median(&b->cfssl_per_s), openssl = bench_median(&b->openssl_per_s),
           once = bench_median(&b->ours_once);
    double signer = 100 * sign / bench_median(&b->signer_cpu);
    printf("P-256, OpenSSL's own signing: %.1f us; %" PRIu64 " certificates stored; medians of %u rounds\n\n",
           sign, b->rows, b->rounds);
    line("signed for each request (nonce), of the raw signatures", fresh, "%", ">= 60%", true, fresh >= 60);
    line("  the same by CPU time of server and signer", 100 * sign / bench_median(&b->fresh_cpu), "%", "",
         false, false);
    line("  by CPU time of the signer alone, as where it has a core of its own", signer, "%", ">= 85%", true,
         signer >= 85);
    line("  answers a second", bench_median(&b->fresh_per_s), "", "", false, false);
    line("  99th percentile at half of that", b->p99_ms, " ms", "<= 2 ms", true, b->p99_ms <= 2);
    line("kept answers a second", kept, "", "", false, false);
    if (!b->with_peers)
        return;
    line("  of nginx with the same octets", 100 * kept / nginx, "%", ">= 85%", true, kept >= 0.85 * nginx);
    line("  the same by CPU time", 100 * bench_median(&b->nginx_cpu) / bench_median(&b->kept_cpu), "%", "",
         false, false);
    line("  times cfssl ocspserve, which has one answer ready", kept / cfssl, "x", ">= 3x", true,
         kept >= 3 * cfssl);
    if (!b->with_openssl)
        return;
    line("signed, times openssl ocsp -port, a connection each, one at a time", once / openssl, "x", "", false,
         false);
    line("  the same at its best against ours at its best", bench_median(&b->fresh_per_s) / openssl, "x",
         ">= 3x", true, bench_median(&b->fresh_per_s) >= 3 * openssl);
}

static int bench_ocsp(struct cli *c)
{
    struct bench_ocsp b = {.c = c, .a = c->arena};
    struct diag diag = {0};
    int64_t rows, rounds;
    if (!cli_get_number(c, "rows", 100000, 1, 1000000000, &rows) ||
        !cli_get_number(c, "rounds", 5, 1, BENCH_ROUNDS_MAX, &rounds))
        return 2;
    b.rows = (uint64_t)rows;
    b.rounds = (unsigned)rounds;
    b.with_openssl = cli_has(c, "openssl");
    b.with_peers = cli_has(c, "peers") || b.with_openssl;
    const char *parent = cli_get(c, "dir"), *keep = cli_get(c, "keep");
    char *dir = arena_printf(c->arena, "%s/touchmark-bench-XXXXXX", parent ? parent : "/tmp");
    if (!dir || !mkdtemp(dir))
        return cli_fail(c, "can't make a directory under %s", parent ? parent : "/tmp");
    b.dir = dir;
    b.home = keep ? keep : arena_printf(c->arena, "%s/house", dir);
    b.log = arena_printf(c->arena, "%s/peers.log", dir);
    b.a = arena_new(512 << 20);
    if (!b.home || !b.log || !b.a)
        return cli_fail(c, "out of memory");
    log_configure(LOG_ERROR, LOG_AUTO);
    bench_cores(&b.server_core, &b.load_core);
    tm_err e = measure(&b, &diag);
    const pid_t started[] = {b.nginx, b.openssl, b.cfssl};
    for (size_t i = 0; i < sizeof started / sizeof started[0]; i++)
        bench_stop(started[i]);
    bench_server_stop(&b.server);
    if (e == TM_OK)
        show(&b);
    if (e == TM_OK || !b.with_peers) /* else the peers' log tells more */
        file_remove_tree(dir, true);
    bench_floor_close(&b.floor);
    bench_csrs_done(&b.csrs);
    arena_free(b.a);
    return e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, NULL);
}

static const struct cli_option ocsp_options[] = {
    {"rows", 'N', "N", "certificates in the store (100000)", false},
    {"peers", 0, NULL, "also nginx with the same octets and cfssl ocspserve (./setup --bench)", false},
    {"openssl", 0, NULL, "that, and openssl ocsp -port, which listens on all addresses of the machine",
     false},
    {"rounds", 'r', "N", "limit and path take turns so many times (5)", false},
    {"keep", 0, "DIR", "use the house in DIR, and leave it there: it is filled once", false},
    {"dir", 0, "DIR", "where a house is made and removed again without --keep (/tmp)", false},
    {0},
};

const struct command bench_ocsp_commands[] = {
    {
        .noun = "bench",
        .verb = "ocsp",
        .summary = "measure OCSP answers: signed ones against the signature, kept ones against a file server",
        .arguments = "",
        .description =
            "Fills a house of its own, starts the server on one core and asks from another over 32 connections: with nonces, so that each\n"
            "answer is signed, and without, so that answers kept in memory are given. The floor is one P-256 signature by OpenSSL.",
        .example = "touchmark bench ocsp --peers",
        .options = ocsp_options,
        .run = bench_ocsp,
    },
    {0},
};
