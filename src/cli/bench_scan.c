#include "cli/bench_scan.h"
#include "cli/bench.h"
#include <errno.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, EVENTS = 64, WAIT_MS = 10000 };

/* ---- certificates ---- */

static X509 *certificate(EVP_PKEY *key, const char *cn, EVP_PKEY *by, const char *issuer)
{
    X509 *x = X509_new();
    X509_NAME *from = X509_NAME_new();
    bool ok = x && from && X509_set_version(x, X509_VERSION_3) == 1 &&
              ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(x), 0) && X509_gmtime_adj(X509_getm_notAfter(x), 86400) &&
              X509_set_pubkey(x, key) == 1 &&
              X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const uint8_t *)cn,
                                         -1, -1, 0) == 1 &&
              X509_NAME_add_entry_by_txt(from, "CN", MBSTRING_ASC, (const uint8_t *)issuer, -1, -1, 0) == 1 &&
              X509_set_issuer_name(x, from) == 1 && X509_sign(x, by, EVP_sha256()) > 0;
    X509_NAME_free(from);
    if (ok)
        return x;
    X509_free(x);
    return NULL;
}

SSL_CTX *bench_scan_context(int version, const char *groups)
{
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *ca = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *above = ca ? certificate(ca, "Bench CA", ca, "Bench CA") : NULL,
         *own = key && ca ? certificate(key, "bench.example.net", ca, "Bench CA") : NULL;
    bool ok = c && above && own && SSL_CTX_use_certificate(c, own) == 1 &&
              SSL_CTX_use_PrivateKey(c, key) == 1 && SSL_CTX_set_min_proto_version(c, version) == 1 &&
              SSL_CTX_set_max_proto_version(c, version) == 1 && SSL_CTX_set1_groups_list(c, groups) == 1;
    if (ok && SSL_CTX_add_extra_chain_cert(c, above) == 1)
        above = NULL; /* the context's now */
    else
        ok = false;
    X509_free(above);
    X509_free(own);
    EVP_PKEY_free(ca);
    EVP_PKEY_free(key);
    if (ok)
        return c;
    SSL_CTX_free(c);
    return NULL;
}

/* ---- servers ---- */

static void serve_tls(int fd, SSL_CTX *ctx)
{
    SSL *ssl = SSL_new(ctx);
    if (ssl && SSL_set_fd(ssl, fd) == 1)
        (void)SSL_accept(ssl); /* the client leaves when it has seen enough */
    SSL_free(ssl);
}

static void serve_octets(int fd, size_t n)
{
    char in[4096], out[16384] = {0};
    if (recv(fd, in, sizeof in, 0) > 0)
        (void)!send(fd, out, n < sizeof out ? n : sizeof out, MSG_NOSIGNAL);
}

static void serve(const struct bench_scan_server *s)
{
    for (;;) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        if (s->kind == BENCH_SCAN_TLS)
            serve_tls(fd, s->tls);
        else
            serve_octets(fd, s->octets);
        close(fd);
    }
}

tm_err bench_scan_serve(struct bench_scan_server *s, int core, struct diag *diag)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&sa, n) != 0 || listen(s->fd, BACKLOG) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&sa, &n) != 0)
        return diag_fail(diag, TM_EIO, NULL, NULL, "no port of loopback is to be had: %s", strerror(errno));
    s->port = ntohs(sa.sin_port);
    if (s->kind == BENCH_SCAN_SILENT)
        return TM_OK;
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        bench_pin(core);
        serve(s);
    }
    return s->pid > 0 ? TM_OK : diag_fail(diag, TM_EIO, NULL, NULL, "no process: %s", strerror(errno));
}

void bench_scan_end(struct bench_scan_server *s)
{
    bench_stop(s->pid);
    s->pid = 0;
    if (s->fd > 0)
        close(s->fd);
    s->fd = 0;
    SSL_CTX_free(s->tls);
    s->tls = NULL;
}

/* ---- the least: the wire ---- */

struct wire {
    int epoll, port;
    size_t out, in, begun, done, n;
    bool failed;
};
struct one {
    int fd;
    bool sent;
    size_t got;
};

static bool begin(struct wire *w, struct one *x)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)w->port)};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = x};
    *x = (struct one){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    w->begun++;
    return x->fd >= 0 && (connect(x->fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS) &&
           epoll_ctl(w->epoll, EPOLL_CTL_ADD, x->fd, &ev) == 0;
}

static void step(struct wire *w, struct one *x, unsigned events)
{
    static uint8_t data[64 << 10];
    if (!x->sent && events & EPOLLOUT) {
        x->sent = true;
        w->failed |= send(x->fd, data, w->out, MSG_NOSIGNAL) != (ssize_t)w->out;
    }
    if (!(events & EPOLLIN))
        return;
    ssize_t n = recv(x->fd, data, sizeof data, 0);
    w->failed |= n == 0 || (n < 0 && errno != EAGAIN);
    x->got += n > 0 ? (size_t)n : 0;
    if (x->got < w->in)
        return;
    close(x->fd);
    x->fd = -1;
    w->done++;
    if (w->begun < w->n)
        w->failed |= !begin(w, x);
}

double bench_scan_wire(int port, size_t n, size_t parallel, size_t out, size_t in)
{
    struct wire w = {.epoll = epoll_create1(EPOLL_CLOEXEC), .port = port, .out = out, .in = in, .n = n};
    struct one *v = calloc(parallel, sizeof *v);
    double begun = bench_thread_us();
    w.failed = w.epoll < 0 || !v;
    for (size_t i = 0; i < parallel && i < n && !w.failed; i++)
        w.failed = !begin(&w, &v[i]);
    while (!w.failed && w.done < n) {
        struct epoll_event ev[EVENTS];
        int k = epoll_wait(w.epoll, ev, EVENTS, WAIT_MS);
        w.failed |= k <= 0;
        for (int i = 0; i < k && !w.failed; i++)
            step(&w, ev[i].data.ptr, ev[i].events);
    }
    double us = (bench_thread_us() - begun) / (double)n;
    for (size_t i = 0; v && w.failed && i < parallel; i++)
        if (v[i].fd > 0)
            close(v[i].fd);
    if (w.epoll >= 0)
        close(w.epoll);
    free(v);
    return w.failed ? -1 : us;
}

/* ---- the least: the key exchange ---- */

static bool agree(EVP_PKEY *own, EVP_PKEY *peer)
{
    uint8_t secret[64];
    size_t n = sizeof secret;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    bool ok = ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
              EVP_PKEY_derive(ctx, secret, &n) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* What a server would have made of it is made beforehand, for one share: opening another's takes as long. */
static bool open_sealed(EVP_PKEY *own, const uint8_t *sealed, size_t sealed_n)
{
    uint8_t secret[64];
    size_t n = sizeof secret;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    bool ok = ctx && EVP_PKEY_decapsulate_init(ctx, NULL) == 1 &&
              EVP_PKEY_decapsulate(ctx, secret, &n, sealed, sealed_n) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

double bench_scan_share(size_t n, bool hybrid)
{
    const char *type = hybrid ? "X25519MLKEM768" : "X25519";
    uint8_t sealed[2048], secret[64];
    size_t sealed_n = sizeof sealed, secret_n = sizeof secret;
    EVP_PKEY *peer = EVP_PKEY_Q_keygen(NULL, NULL, type);
    EVP_PKEY_CTX *ctx = peer ? EVP_PKEY_CTX_new(peer, NULL) : NULL;
    bool ok = ctx && (!hybrid || (EVP_PKEY_encapsulate_init(ctx, NULL) == 1 &&
                                  EVP_PKEY_encapsulate(ctx, sealed, &sealed_n, secret, &secret_n) == 1));
    double begun = bench_thread_us();
    for (size_t i = 0; i < n && ok; i++) {
        EVP_PKEY *own = EVP_PKEY_Q_keygen(NULL, NULL, type);
        ok = own && (hybrid ? open_sealed(own, sealed, sealed_n) : agree(own, peer));
        EVP_PKEY_free(own);
    }
    double us = (bench_thread_us() - begun) / (double)n;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(peer);
    return ok ? us : -1;
}
