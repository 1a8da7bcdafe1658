/* cli/bench_scan.h - servers that are scanned for `bench scan`, and the least that any scanner has to do. Layer 6. */
#pragma once
#include "base/err.h"
#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum bench_scan_kind {
    BENCH_SCAN_TLS,    /* handshakes, until the client goes away */
    BENCH_SCAN_OCTETS, /* so many octets for whatever comes */
    BENCH_SCAN_SILENT, /* connections that nobody takes */
};
struct bench_scan_server {
    enum bench_scan_kind kind;
    SSL_CTX *tls;
    size_t octets;
    int port, fd;
    pid_t pid;
};
/* A context with a P-256 certificate and its CA's, for one version and key exchange. NULL: the library refused. */
SSL_CTX *bench_scan_context(int version, const char *groups);
/* A process on a core that serves a free port of loopback. */
tm_err bench_scan_serve(struct bench_scan_server *s, int core, struct diag *diag);
void bench_scan_end(struct bench_scan_server *s);

/* Connect, send so many octets, read so many, close: `n` times, `parallel` at once. CPU time of this thread for one, in us; negative: it
 * failed. */
double bench_scan_wire(int port, size_t n, size_t parallel, size_t out, size_t in);
/* A key share and what is agreed on with it, `n` times: CPU time of one, in us; negative: it failed. `hybrid`: X25519MLKEM768, else X25519. */
double bench_scan_share(size_t n, bool hybrid);
