/* touchmark bench scep: enrollments over SCEP, durable, against the floor of their RSA and ECDSA operations. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CLIENTS = 32,
    RSA_BITS = 2048,
    LOOPS = 200,
    PEER_SHARE = 4, /* the peer gets a part of the enrollments a round */
    START_MS = 10000,
    VERIFIES = 2, /* the message, and the request in it */
    ANSWER_MAX = 1 << 20
};

#define AUTHORITY "device-ca"
#define CHALLENGE "bench"

/* A server that speaks SCEP, ours or another's. */
struct side {
    const char *name, *path;
    int port;
    pid_t pid;
    struct slice recipient;
    struct bench_sample per_s, cpu_us;
};

struct client {
    const struct side *side;
    struct bench_scep_message *v;
    size_t n;
    int core;
    tm_err err;
    struct diag diag;
};

struct run {
    struct cli *c;
    unsigned rounds, enrollments;
    const char *peer_program, *dir;
    int server_core, load_core;
    struct bench_floor floor;
    struct bench_csrs any;
    struct bench_sample decrypt, sign, verify; /* us of CPU time */
    struct bench_server house;
    struct side ours, peer;
    struct bench_scep_keys *keys;
    size_t named; /* devices so far */
};

static void step(const struct run *r, const char *what)
{
    if (!r->c->quiet)
        fprintf(stderr, "bench: %s\n", what);
}

/* ---- the floor: what OpenSSL takes for one enrollment's operations, on the server's core ---- */

static double primitive(EVP_PKEY_CTX *ctx,
                        int (*op)(EVP_PKEY_CTX *, uint8_t *, size_t *, const uint8_t *, size_t),
                        const uint8_t *in, size_t n, bool *ok)
{
    uint8_t out[RSA_BITS / 8];
    double begun = bench_thread_us();
    for (unsigned i = 0; i < LOOPS && *ok; i++) {
        size_t room = sizeof out;
        *ok = op(ctx, out, &room, in, n) == 1;
    }
    return (bench_thread_us() - begun) / LOOPS;
}

static int verify_op(EVP_PKEY_CTX *ctx, uint8_t *out, size_t *n, const uint8_t *signature, size_t signature_n)
{
    static const uint8_t digest[32];
    (void)out;
    (void)n;
    return EVP_PKEY_verify(ctx, signature, signature_n, digest, sizeof digest);
}

/* PKCS #1 v1.5 in all three, as clients have it. */
static bool rsa_round(struct run *r, EVP_PKEY *key)
{
    static const uint8_t digest[32], content_key[16];
    uint8_t encrypted[RSA_BITS / 8], signature[RSA_BITS / 8];
    size_t encrypted_n = sizeof encrypted, signature_n = sizeof signature;
    EVP_PKEY_CTX *e = EVP_PKEY_CTX_new(key, NULL), *d = EVP_PKEY_CTX_new(key, NULL),
                 *s = EVP_PKEY_CTX_new(key, NULL), *v = EVP_PKEY_CTX_new(key, NULL);
    bool ok = e && d && s && v && EVP_PKEY_encrypt_init(e) == 1 &&
              EVP_PKEY_encrypt(e, encrypted, &encrypted_n, content_key, sizeof content_key) == 1 &&
              EVP_PKEY_decrypt_init(d) == 1 && EVP_PKEY_sign_init(s) == 1 &&
              EVP_PKEY_CTX_set_signature_md(s, EVP_sha256()) == 1 &&
              EVP_PKEY_sign(s, signature, &signature_n, digest, sizeof digest) == 1 &&
              EVP_PKEY_verify_init(v) == 1 && EVP_PKEY_CTX_set_signature_md(v, EVP_sha256()) == 1;
    bench_add(&r->decrypt, primitive(d, EVP_PKEY_decrypt, encrypted, encrypted_n, &ok));
    bench_add(&r->sign, primitive(s, EVP_PKEY_sign, digest, sizeof digest, &ok));
    bench_add(&r->verify, primitive(v, verify_op, signature, signature_n, &ok));
    EVP_PKEY_CTX_free(e);
    EVP_PKEY_CTX_free(d);
    EVP_PKEY_CTX_free(s);
    EVP_PKEY_CTX_free(v);
    return ok;
}

static tm_err floor_round(struct run *r, struct diag *diag)
{
    TM_TRY(bench_floor_round(&r->floor, &r->any, r->server_core, diag));
    EVP_PKEY *key = EVP_RSA_gen(RSA_BITS);
    bool ok = key && rsa_round(r, key);
    EVP_PKEY_free(key);
    bench_pin(r->load_core);
    return ok ? TM_OK : diag_fail(diag, TM_ECRYPTO, NULL, NULL, "RSA could not be measured");
}

static double floor_us(const struct run *r)
{
    return bench_median(&r->decrypt) + bench_median(&r->sign) + VERIFIES * bench_median(&r->verify) +
           bench_median(&r->floor.sign);
}

/* ---- servers ---- */

static tm_err recipient(struct side *s, struct arena *a, struct diag *diag)
{
    struct bench_conn *conn;
    struct buf out;
    char target[128];
    int status = 0;
    TM_TRY(bench_connect(&conn, s->port, false, diag));
    buf_init(&out, ANSWER_MAX);
    snprintf(target, sizeof target, "%s?operation=GetCACert", s->path);
    tm_err e = bench_exchange(conn, "GET", target, "", (struct slice){0}, &status, &out, diag);
    bench_conn_free(conn);
    if (e == TM_OK)
        e = status == 200 ? bench_scep_recipient(&s->recipient, a, buf_slice(&out), diag)
                          : diag_fail(diag, TM_EINTERNAL, NULL, NULL, "GetCACert: status %d", status);
    buf_done(&out);
    return e;
}

static tm_err run_to_end(struct run *r, char *const argv[], const char *log, struct diag *diag)
{
    int status = -1;
    pid_t pid = bench_spawn(argv, r->dir, log, -1);
    if (pid > 0)
        waitpid(pid, &status, 0);
    return pid > 0 && status == 0
               ? TM_OK
               : diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%s failed; see %s", argv[0], log);
}

/* The floor is that of RSA-2048: an RA of that size, where init makes one of 3,072 bits. */
static tm_err small_ra(struct run *r, const char *home, struct diag *diag)
{
    char self[4096];
    char *log = arena_printf(r->c->arena, "%s/ra.log", r->dir), *home_arg = arena_strdup(r->c->arena, home);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (!log || !home_arg || n <= 0)
        return TM_ENOMEM;
    self[n] = '\0';
    char *argv[] = {self,
                    (char[]){"ca"},
                    (char[]){"ra"},
                    (char[]){AUTHORITY},
                    (char[]){"--key"},
                    (char[]){"rsa-2048"},
                    (char[]){"--home"},
                    home_arg,
                    NULL};
    return run_to_end(r, argv, log, diag);
}

static tm_err house_start(struct run *r, struct diag *diag)
{
    const char *home = arena_printf(r->c->arena, "%s/house", r->dir);
    if (!home)
        return TM_ENOMEM;
    TM_TRY(bench_home(r->c, home, diag));
    TM_TRY(bench_unlimit(r->c, home, diag));
    TM_TRY(small_ra(r, home, diag));
    TM_TRY(bench_server_start(&r->house, r->c, home, r->server_core, diag));
    r->ours =
        (struct side){.name = "touchmark", .path = "/scep/scep", .port = r->house.plain, .pid = r->house.pid};
    return recipient(&r->ours, r->c->arena, diag);
}

/* micromdm's scepserver: its CA has RSA-2048 keys, there is no RA; certificates and an index go into files, and nothing is flushed. */
static tm_err peer_start(struct run *r, struct diag *diag)
{
    char *depot = arena_printf(r->c->arena, "%s/depot", r->dir),
         *log = arena_printf(r->c->arena, "%s/peer.log", r->dir),
         *program = arena_strdup(r->c->arena, r->peer_program);
    int port = bench_free_port();
    char *port_arg = arena_printf(r->c->arena, "%d", port);
    if (!depot || !log || !program || !port_arg)
        return TM_ENOMEM;
    char *init[] = {program, (char[]){"ca"},       (char[]){"-init"}, (char[]){"-depot"},
                    depot,   (char[]){"-keySize"}, (char[]){"2048"},  NULL};
    char *serve[] = {program,
                     (char[]){"-depot"},
                     depot,
                     (char[]){"-port"},
                     port_arg,
                     (char[]){"-challenge"},
                     (char[]){CHALLENGE},
                     (char[]){"-allowrenew"},
                     (char[]){"0"},
                     NULL};
    TM_TRY(run_to_end(r, init, log, diag));
    r->peer = (struct side){.name = "scepserver", .path = "/scep", .port = port};
    r->peer.pid = bench_spawn(serve, r->dir, log, r->server_core);
    uint64_t until = clock_mono_ns() + START_MS * 1000000ull;
    while (r->peer.pid > 0 && clock_mono_ns() < until) {
        struct diag ignored = {0};
        if (recipient(&r->peer, r->c->arena, &ignored) == TM_OK)
            return TM_OK;
        usleep(20000);
    }
    return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%s does not answer; see %s", r->peer_program, log);
}

/* ---- messages ---- */

/* One-time challenges of our house for devices from number `first` on: an array of {"token": …}. */
static tm_err challenges(json_t **ret, const struct run *r, size_t first, size_t n, struct diag *diag)
{
    char doc[256];
    struct buf out;
    buf_init(&out, 64 << 20);
    snprintf(
        doc, sizeof doc,
        "{\"for\":\"scep\",\"endpoint\":\"scep\",\"names\":[\"CN=bench-{n}\"],\"count\":%zu,\"first\":%zu,\"ttl\":\"1d\"}",
        n, first);
    tm_err e = bench_api(&r->house, "POST", "/api/v1/tokens/batch", doc, 201, &out, diag);
    json_t *v = e == TM_OK ? json_loadb((const char *)out.p, out.n, 0, NULL) : NULL;
    buf_done(&out);
    if (e == TM_OK && json_array_size(json_object_get(v, "items")) != n)
        e = diag_fail(diag, TM_EINTERNAL, NULL, NULL, "the answer has other than %zu challenges", n);
    if (e == TM_OK)
        *ret = v;
    else
        json_decref(v);
    return e;
}

static void messages_free(struct bench_scep_message *v, size_t n)
{
    for (size_t i = 0; v && i < n; i++)
        bench_scep_message_done(&v[i]);
    free(v);
}

/* PKCSReq of `n` devices that nobody has seen yet, bench-<first> and so on. */
static tm_err messages(struct bench_scep_message **ret, struct run *r, const struct side *s, size_t n,
                       struct diag *diag)
{
    json_t *made = NULL;
    struct bench_scep_message *v = calloc(n, sizeof *v);
    tm_err e = v ? TM_OK : TM_ENOMEM;
    if (e == TM_OK && s == &r->ours)
        e = challenges(&made, r, r->named, n, diag);
    const json_t *items = json_object_get(made, "items");
    for (size_t i = 0; e == TM_OK && i < n; i++) {
        char cn[64];
        const char *challenge = json_string_value(json_object_get(json_array_get(items, i), "token"));
        snprintf(cn, sizeof cn, "bench-%zu", r->named + i);
        e = bench_scep_message(&v[i], r->keys, s->recipient, cn, challenge ? challenge : CHALLENGE, diag);
        buf_init(&v[i].answer, ANSWER_MAX);
    }
    json_decref(made);
    r->named += n;
    if (e != TM_OK)
        messages_free(v, n);
    else
        *ret = v;
    return e;
}

/* ---- rounds ---- */

static void *client_run(void *arg)
{
    struct client *k = arg;
    struct bench_conn *conn = NULL;
    char target[128];
    bench_pin(k->core);
    snprintf(target, sizeof target, "%s?operation=PKIOperation", k->side->path);
    k->err = bench_connect(&conn, k->side->port, false, &k->diag);
    for (size_t i = 0; i < k->n && k->err == TM_OK; i++) {
        int status = 0;
        k->err = bench_exchange(conn, "POST", target, "Content-Type: application/x-pki-message\r\n",
                                slice_of(k->v[i].der, k->v[i].n), &status, &k->v[i].answer, &k->diag);
        if (k->err == TM_OK && status != 200)
            k->err = diag_fail(&k->diag, TM_EINTERNAL, NULL, NULL, "%s: status %d: %.160s", k->side->name,
                               status, buf_str(&k->v[i].answer));
    }
    bench_conn_free(conn);
    return NULL;
}

/* All the messages, dealt out to the clients; how long it took. */
static tm_err deliver(struct run *r, const struct side *s, struct bench_scep_message *v, size_t n,
                      double *ret_s, struct diag *diag)
{
    struct client clients[CLIENTS] = {0};
    pthread_t threads[CLIENTS];
    size_t started = 0;
    uint64_t begun = clock_mono_ns();
    for (; started < CLIENTS; started++) {
        size_t from = started * n / CLIENTS, to = (started + 1) * n / CLIENTS;
        clients[started] = (struct client){.side = s, .v = v + from, .n = to - from, .core = r->load_core};
        if (pthread_create(&threads[started], NULL, client_run, &clients[started]) != 0)
            break;
    }
    tm_err e = started == CLIENTS ? TM_OK : diag_fail(diag, TM_ENOMEM, NULL, NULL, "no thread for a client");
    for (size_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        if (e == TM_OK && clients[i].err != TM_OK) {
            e = clients[i].err;
            *diag = clients[i].diag;
        }
    }
    *ret_s = (double)(clock_mono_ns() - begun) / 1e9;
    return e;
}

static tm_err round_of(struct run *r, struct side *s, size_t n, bool counts, struct diag *diag)
{
    struct bench_scep_message *v = NULL;
    double seconds = 0;
    char cn[64];
    snprintf(cn, sizeof cn, "bench-%zu", r->named);
    TM_TRY(messages(&v, r, s, n, diag));
    double cpu = bench_cpu_us(s->pid);
    tm_err e = deliver(r, s, v, n, &seconds, diag);
    cpu = bench_cpu_us(s->pid) - cpu;
    size_t failed = 0;
    for (size_t i = 0; e == TM_OK && i < n; i++)
        failed += bench_scep_answer(&v[i], diag) != TM_OK;
    /* The peer's depot of files refuses some of those that come at once: they don't count. */
    if (e == TM_OK && failed && (s == &r->ours || failed > n / 2)) {
        struct diag why = *diag;
        e = diag_fail(diag, TM_EINTERNAL, NULL, NULL, "%s: %zu of %zu enrollments failed, the last with %s",
                      s->name, failed, n, why.message);
    }
    if (e == TM_OK && s == &r->ours) /* the peer answers under single DES, which nothing here opens */
        e = bench_scep_open(&v[0], cn, diag);
    if (e == TM_OK && counts) {
        bench_add(&s->per_s, (double)(n - failed) / seconds);
        bench_add(&s->cpu_us, cpu / (double)(n - failed));
    }
    messages_free(v, n);
    return e;
}

static tm_err measure(struct run *r, struct diag *diag)
{
    size_t each = r->enrollments, share = each / PEER_SHARE + CLIENTS, warm_up = each / 4 + CLIENTS;
    step(r, "a house");
    TM_TRY(house_start(r, diag));
    if (r->peer_program)
        TM_TRY(peer_start(r, diag));
    step(r, "keys");
    bench_pin(r->load_core);
    TM_TRY(bench_scep_keys_open(&r->keys, 2 * warm_up + r->rounds * (each + share), diag));
    TM_TRY(bench_csrs_reserve(&r->any, 1, diag));
    TM_TRY(bench_floor_open(&r->floor, diag));
    step(r, "enrollments");
    TM_TRY(round_of(r, &r->ours, warm_up, false, diag));
    if (r->peer_program)
        TM_TRY(round_of(r, &r->peer, warm_up, false, diag));
    for (unsigned i = 0; i < r->rounds; i++) {
        TM_TRY(floor_round(r, diag));
        TM_TRY(round_of(r, &r->ours, each, true, diag));
        if (r->peer_program)
            TM_TRY(round_of(r, &r->peer, share, true, diag));
    }
    return TM_OK;
}

/* ---- the table ---- */

static void show(const struct run *r)
{
    double floor = floor_us(r), rate = bench_median(&r->ours.per_s), cpu = bench_median(&r->ours.cpu_us);
    double share = rate * floor / 1e4, of_cpu = 100 * floor / cpu;
    double times = r->peer_program ? rate / bench_median(&r->peer.per_s) : 0;
    double times_cpu = r->peer_program ? bench_median(&r->peer.cpu_us) / cpu : 0;
    if (r->c->output == OUTPUT_JSON) {
        printf(
            "{\"floor_us\":%.1f,\"rsa_decrypt_us\":%.1f,\"rsa_sign_us\":%.1f,\"rsa_verify_us\":%.1f,\"sign_us\":%.1f,"
            "\"per_s\":%.0f,\"cpu_us\":%.1f,\"of_floor\":%.1f,\"of_floor_by_cpu\":%.1f,\"times_peer\":%.2f,"
            "\"times_peer_by_cpu\":%.2f}\n",
            floor, bench_median(&r->decrypt), bench_median(&r->sign), bench_median(&r->verify),
            bench_median(&r->floor.sign), rate, cpu, share, of_cpu, times, times_cpu);
        return;
    }
    printf(
        "RSA-2048 decrypt %.0f, sign %.0f, verify %.1f us, P-256 sign %.1f us: the floor of an enrollment is %.0f us\n\n",
        bench_median(&r->decrypt), bench_median(&r->sign), bench_median(&r->verify),
        bench_median(&r->floor.sign), floor);
    bench_line("enrollments over SCEP, one-time challenges, durable, of the floor", share, "%", ">= 70%",
               share >= 70);
    bench_line("  the same by CPU time of server and signer", of_cpu, "%", "", -1);
    bench_line("  enrollments a second", rate, "/s", "", -1);
    bench_line("  CPU time an enrollment", cpu, "us", "", -1);
    if (r->peer_program) {
        bench_line("enrollments, times micromdm's scepserver, which flushes nothing", times, "x", "", -1);
        bench_line("  the same by CPU time", times_cpu, "x", "", -1);
    }
}

/* ---- the command ---- */

static int bench_scep(struct cli *c)
{
    struct run r = {.c = c, .peer_program = cli_get(c, "peer")};
    struct diag diag = {0};
    int64_t rounds, enrollments;
    if (!cli_get_number(c, "rounds", 7, 1, BENCH_ROUNDS_MAX, &rounds) ||
        !cli_get_number(c, "enrollments", 400, 1, 10000, &enrollments))
        return 2;
    r.rounds = (unsigned)rounds;
    r.enrollments = (unsigned)enrollments;
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
    bench_scep_keys_close(r.keys);
    bench_floor_close(&r.floor);
    bench_csrs_done(&r.any);
    return e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, NULL);
}

static const struct cli_option options[] = {
    {"peer", 0, "PROGRAM", "also micromdm's scepserver, in turns", false},
    {"rounds", 'r', "N", "floor, server and peer take turns so many times (7)", false},
    {"enrollments", 'n', "N", "in one round (400)", false},
    {"dir", 0, "DIR", "where a house is made and removed again (/tmp)", false},
    {0},
};

const struct command bench_scep_commands[] = {
    {
        .noun = "bench",
        .verb = "scep",
        .summary = "measure enrollments over SCEP on this machine against their floor",
        .arguments = "",
        .description =
            "Thirty-two clients on keep-alive connections enroll devices as quickly as the server answers, each with a one-time challenge and an\n"
            "RSA-2048 key of its own, with a P-256 CA and an RSA-2048 RA. The floor is what OpenSSL takes on the server's core to decrypt\n"
            "the message's key, to verify the message and the request, and to sign the certificate and the answer.",
        .example = "touchmark bench scep --peer /usr/bin/scepserver",
        .options = options,
        .run = bench_scep,
    },
    {0},
};
