/* cli/bench.h - the parts of `touchmark bench`: what is measured, and how the product's own server is driven for it. Layer 6.
 *
 * Limits and paths take turns within one run: a noisy neighbour hits both. The server is a process of its own (with its signer's) on one core, the
 * load comes from this process on another. Times are wall-clock and, beside them, the CPU time of the processes: the second is what counts on
 * a machine that is shared. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "http/parser_lib.h"
#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct arena;
struct cli;
struct key;

enum { BENCH_CSR_MAX = 640, BENCH_ROUNDS_MAX = 64 };

/* ---- numbers (bench_floor.c) ---- */

struct bench_sample {
    double v[BENCH_ROUNDS_MAX];
    size_t n;
};
void bench_add(struct bench_sample *s, double v);
/* 0 of nothing. */
double bench_median(const struct bench_sample *s);
double bench_quantile(double *v, size_t n, double q);
/* CPU time of this thread. */
double bench_thread_us(void);

/* One line of a table: a figure, and beside it the goal and whether it is met (-1: there is none). */
void bench_line(const char *what, double value, const char *unit, const char *goal, int met);

/* ---- requests (bench_floor.c): PKCS#10, each with a key of its own: a key met again costs look-ups ---- */

struct bench_csr {
    uint16_t n;
    uint8_t der[BENCH_CSR_MAX];
};
struct bench_csrs {
    struct bench_csr *v;
    size_t n, next; /* `next`: the first that nobody has used yet */
};
/* Until `n` of them are unused. They are named bench-<number>.example.net. */
tm_err bench_csrs_reserve(struct bench_csrs *c, size_t n, struct diag *diag);
/* One for a given DNS name. */
tm_err bench_csrs_named(struct bench_csrs *c, const char *name, struct diag *diag);
void bench_csrs_done(struct bench_csrs *c);

/* ---- floor and library path (bench_floor.c): this thread, on whatever core it is pinned to ---- */

struct bench_floor {
    struct bench_sample sign, verify, library; /* us of CPU time */
    struct key *ca;
};
tm_err bench_floor_open(struct bench_floor *f, struct diag *diag);
/* One more round of the two primitives, on the core given (-1: any). */
tm_err bench_floor_round(struct bench_floor *f, const struct bench_csrs *c, int core, struct diag *diag);
/* One more round of both and of the library path. */
tm_err bench_library_round(struct bench_floor *f, const struct bench_csrs *c, int core, struct diag *diag);
double bench_floor_us(const struct bench_floor *f);
void bench_floor_close(struct bench_floor *f);

/* ---- processes (bench_process.c) ---- */

/* The cores for server and load: the first and last that this process may use; both -1 where there is one only. */
void bench_cores(int *ret_server, int *ret_load);
void bench_pin(int core);
/* Start a program on a core, its output to a file. argv[0] is searched in PATH. Returns the pid, or -1. */
pid_t bench_spawn(char *const argv[], const char *dir, const char *log, int core);
/* TERM, then KILL after ten seconds. */
void bench_stop(pid_t pid);
/* CPU time of a process and of all that descend from it, in us. */
double bench_cpu_us(pid_t pid);
/* Proportional set size of a process and of all that descend from it, in KiB; 0 when it can't be read. */
long bench_pss_kib(pid_t pid);

/* ---- a house and its server (bench_process.c) ---- */

struct bench_server {
    const char *home, *token;     /* the administrator's */
    int enrollment, plain, admin; /* ports */
    pid_t pid;
    double ready_s; /* from exec to "ready" */
};
/* Make a house in `home` unless there is one. */
tm_err bench_home(struct cli *c, const char *home, struct diag *diag);
tm_err bench_server_start(struct bench_server *s, struct cli *c, const char *home, int core,
                          struct diag *diag);
void bench_server_stop(struct bench_server *s);
/* Take the limit of requests an address may make a second out of the house's settings: it is for servers, not for measurements. */
tm_err bench_unlimit(struct cli *c, const char *home, struct diag *diag);

/* A fresh directory under --dir or /tmp, in the arena; NULL: it was told why not. */
const char *bench_directory(struct cli *c);

/* ---- the wire (bench_wire.c) ---- */

/* One keep-alive HTTP/1.1 connection, over TLS or not. */
struct bench_conn;
tm_err bench_connect(struct bench_conn **ret, int port, bool tls, struct diag *diag);
void bench_conn_free(struct bench_conn *c);
/* One exchange; *ret_status and, where `out` is given, the body. `headers` are whole lines. TM_EIO. */
tm_err bench_exchange(struct bench_conn *c, const char *method, const char *target, const char *headers,
                      struct slice body, int *ret_status, struct buf *out, struct diag *diag);
/* One call of the REST API on a connection of its own; any other status than `wanted` is TM_EINTERNAL. */
tm_err bench_api(const struct bench_server *s, const char *method, const char *path, const char *doc,
                 int wanted, struct buf *out, struct diag *diag);
/* A header field of the last answer, until the next exchange; NULL. */
const char *bench_field(const struct bench_conn *c, const char *name);
/* Stream `n` requests as NDJSON through the REST bulk door; every one has to come back issued. *ret_s is the time taken. Where `results` is
 * given, the answer is kept there. */
tm_err bench_bulk(const struct bench_server *s, const struct bench_csr *v, size_t n, double *ret_s,
                  struct buf *results, struct diag *diag);

/* ---- many connections, plain HTTP (bench_load.c) ---- */

struct bench_load {
    int port;
    size_t connections;
    const struct slice *requests;     /* whole HTTP messages, taken in turn */
    size_t n_requests, n;             /* of those `n` are sent in all */
    double per_s;                     /* at this pace; 0: as fast as they are answered */
    bool once;                        /* a connection each */
    bool (*check)(struct slice body); /* of an answer 200; may be NULL */
};
struct bench_load_result {
    double per_s, median_us, p99_us; /* at a pace: counted from when it was due */
};
/* Any other answer than 200 ends it. */
tm_err bench_load_run(const struct bench_load *what, struct bench_load_result *ret, struct diag *diag);

/* ---- one client at a time (bench_serve.c) ---- */

/* One enrollment after the other over EST on one connection, the server idle between them. */
tm_err bench_lone(const struct bench_server *s, const struct bench_csr *v, size_t n, double *ret_median_ms,
                  double *ret_p99_ms, struct diag *diag);

enum { BENCH_SEARCHES = 5 };
struct bench_search {
    const char *by;
    double median_ms, p99_ms, longest_ms;
};
/* Searches for rows that bench_fill() made, over REST. */
tm_err bench_searches(const struct bench_server *s, uint64_t rows, struct bench_search ret[BENCH_SEARCHES],
                      struct diag *diag);
/* A value of the server's /metrics. */
tm_err bench_metric(const struct bench_server *s, const char *name, double *ret, struct diag *diag);

/* ---- others (bench_peers.c) ---- */

enum { BENCH_CFSSL, BENCH_CFSSL_STORE, BENCH_OPENSSL_CA, BENCH_PEERS };
struct bench_peer {
    const char *name;
    pid_t pid;
    int port;
    struct bench_sample per_s, cpu_us;
};
struct bench_peers {
    struct cli *cli;
    struct arena *arena;
    const char *dir, *log;
    int core, load_core;
    struct bench_peer v[BENCH_PEERS];
};
/* A port of loopback that nobody has at the moment. */
int bench_free_port(void);
/* Start them in a fresh directory on the core given. TM_ENOTFOUND when they are not installed. */
tm_err bench_peers_open(struct bench_peers *p, struct cli *c, const char *dir, int core, int load_core,
                        struct diag *diag);
/* One more round with these requests: all of them, a quarter, a hundredth. */
tm_err bench_peers_round(struct bench_peers *p, const struct bench_csr *v, size_t n, struct diag *diag);
void bench_peers_close(struct bench_peers *p);

/* ---- an ACME client that knows just the way to a certificate (bench_acme_client.c) ---- */

struct bench_acme_server {
    const char *name;
    int port;
    const char *directory; /* path */
    pid_t pid;
    struct bench_sample per_s, cpu_us, order_ms;
};
struct bench_acme_client;
/* An account of its own for one name, with the name proven or granted (`external`: key id and key as base64url). */
tm_err bench_acme_open(struct bench_acme_client **ret, const struct bench_acme_server *s, const char *name,
                       const char *external_id, const char *external_key, struct diag *diag);
/* Order, finalize, fetch: a certificate. */
tm_err bench_acme_certificate(struct bench_acme_client *k, const struct bench_csr *csr, const char *name,
                              struct diag *diag);
void bench_acme_free(struct bench_acme_client *k);
/* Accounts and past orders of an endpoint, straight through the store (bench_acme_fill.c). The house must be closed. */
tm_err bench_acme_fill(struct cli *c, const char *home, const char *endpoint, uint64_t accounts,
                       uint64_t orders, struct diag *diag);

/* ---- SCEP messages, made beforehand (bench_scep_client.c) ---- */

/* RSA keys of clients, as many as were asked for. */
struct bench_scep_keys;
tm_err bench_scep_keys_open(struct bench_scep_keys **ret, size_t keys, struct diag *diag);
void bench_scep_keys_close(struct bench_scep_keys *k);
/* What GetCACert has answered: whom to encrypt to; in `a`. */
tm_err bench_scep_recipient(struct slice *ret, struct arena *a, struct slice answer, struct diag *diag);

struct bench_scep_message {
    EVP_PKEY *key;
    uint8_t *der;
    size_t n;
    struct buf answer; /* its user's */
};
/* PKCSReq for CN=`cn` with the next of the keys. */
tm_err bench_scep_message(struct bench_scep_message *ret, struct bench_scep_keys *keys,
                          struct slice recipient, const char *cn, const char *challenge, struct diag *diag);
void bench_scep_message_done(struct bench_scep_message *m);
/* Its answer says success. */
tm_err bench_scep_answer(const struct bench_scep_message *m, struct diag *diag);
/* And holds, for who has the key, the certificate. */
tm_err bench_scep_open(const struct bench_scep_message *m, const char *cn, struct diag *diag);

/* ---- CMP (bench_cmp_client.c): devices with birth certificates, and an ir each time, made beforehand ---- */

enum { BENCH_CMP_MAX = 2048 };
struct bench_cmp_message {
    uint16_t n;
    uint8_t der[BENCH_CMP_MAX];
};
struct bench_cmp_fleet;
tm_err bench_cmp_fleet_open(struct bench_cmp_fleet **ret, size_t devices, struct diag *diag);
void bench_cmp_fleet_free(struct bench_cmp_fleet *f);
/* The vendor's root, DER; borrowed. */
struct slice bench_cmp_fleet_root(const struct bench_cmp_fleet *f);
/* Messages of the devices from `first` on, each for a new key; after the last the first again. */
tm_err bench_cmp_messages(struct bench_cmp_message *v, size_t n, struct bench_cmp_fleet *f, size_t first,
                          struct diag *diag);
/* A certificate for a message, or an error. */
tm_err bench_cmp_ask(struct bench_conn *c, const char *target, const struct bench_cmp_message *m,
                     struct buf *out, struct diag *diag);

/* ---- rows (bench_fill.c) ---- */

struct house;
/* The house in `home`, opened offline with its generated passphrase. */
tm_err bench_house_open(struct house **ret, struct cli *c, const char *home, struct diag *diag);

/* Certificates are added straight through the store until it holds `rows`, each with its look-up keys and its event in the register. The house must be
 * closed. */
tm_err bench_fill(struct cli *c, const char *home, uint64_t rows, uint64_t *ret_had, double *ret_per_s,
                  struct diag *diag);
