/* Many connections on one thread, each with one request at a time: as fast as they go, or at a pace of their own. */
#include "base/buf.h"
#include "base/clock.h"
#include "cli/bench.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = 16 << 10, QUIET_MS = 30000, EVENTS = 64 };

struct line {
    int fd;
    bool busy;
    size_t request, sent, got, wanted; /* wanted 0: the head is not whole yet */
    uint64_t begun_ns;
    char answer[ANSWER_MAX + 1];
};

struct load {
    const struct bench_load *what;
    struct line *lines;
    int epoll;
    size_t next, done; /* requests */
    uint64_t started_ns;
    double *latency_us;
    struct diag *diag;
};

static tm_err broken(struct load *l, const char *why)
{
    return diag_fail(l->diag, TM_EIO, NULL, NULL, "the server on port %d: %s", l->what->port, why);
}

static tm_err line_open(struct load *l, struct line *x)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)l->what->port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    x->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (x->fd < 0 || connect(x->fd, (struct sockaddr *)&sa, sizeof sa) != 0)
        return broken(l, "connect failed");
    setsockopt(x->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = x};
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, x->fd, &e) == 0 ? TM_OK : broken(l, "epoll");
}

static uint64_t due_ns(const struct load *l, size_t i)
{
    return l->what->per_s > 0 ? l->started_ns + (uint64_t)((double)i * 1e9 / l->what->per_s) : 0;
}

/* Requests are smaller than what a socket takes at once. */
static tm_err line_ask(struct load *l, struct line *x)
{
    if (x->fd < 0)
        TM_TRY(line_open(l, x));
    struct slice r = l->what->requests[l->next % l->what->n_requests];
    uint64_t due = due_ns(l, l->next);
    x->request = l->next++;
    x->busy = true;
    x->got = x->wanted = 0;
    x->begun_ns = due ? due : clock_mono_ns(); /* a wait for a free connection counts */
    return send(x->fd, r.p, r.n, MSG_NOSIGNAL) == (ssize_t)r.n ? TM_OK : broken(l, "send failed");
}

static void line_close(struct line *x)
{
    close(x->fd);
    x->fd = -1;
}

/* Content-Length, or the end of the connection. */
static void head_look(struct line *x)
{
    x->answer[x->got] = '\0';
    const char *end = strstr(x->answer, "\r\n\r\n"), *length = strcasestr(x->answer, "\r\ncontent-length:");
    if (end && length && length < end)
        x->wanted = (size_t)(end + 4 - x->answer) + strtoul(length + 17, NULL, 10);
}

static tm_err line_done(struct load *l, struct line *x)
{
    const char *body = strstr(x->answer, "\r\n\r\n");
    struct slice got = body ? slice_of(body + 4, x->got - (size_t)(body + 4 - x->answer)) : (struct slice){0};
    if (strncmp(x->answer, "HTTP/1.", 7) != 0 || strncmp(x->answer + 9, "200", 3) != 0 ||
        (l->what->check && !l->what->check(got)))
        return diag_fail(l->diag, TM_EIO, NULL, NULL,
                         "the server on port %d: an answer that is none, \"%.*s\"", l->what->port,
                         (int)strcspn(x->answer, "\r"), x->answer);
    l->latency_us[x->request] = (double)(clock_mono_ns() - x->begun_ns) / 1e3;
    l->done++;
    x->busy = false;
    if (l->what->once)
        line_close(x);
    return TM_OK;
}

static tm_err line_read(struct load *l, struct line *x)
{
    ssize_t n = recv(x->fd, x->answer + x->got, ANSWER_MAX - x->got, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? TM_OK : broken(l, "recv failed");
    x->got += (size_t)n;
    if (x->wanted == 0)
        head_look(x);
    if (n == 0 && x->busy && x->wanted == 0 && x->got)
        x->wanted = x->got;
    if (x->busy && x->wanted && x->got >= x->wanted)
        return line_done(l, x);
    if (n > 0)
        return TM_OK;
    bool busy = x->busy;
    line_close(x); /* an idle connection that the server is tired of */
    return busy ? broken(l, "it hung up") : TM_OK;
}

static tm_err run(struct load *l)
{
    size_t n = l->what->n;
    while (l->done < n) {
        uint64_t now = clock_mono_ns();
        for (size_t i = 0; i < l->what->connections && l->next < n && due_ns(l, l->next) <= now; i++)
            if (!l->lines[i].busy)
                TM_TRY(line_ask(l, &l->lines[i]));
        struct epoll_event v[EVENTS];
        /* At a pace: awake in time for the next one. */
        int wait = l->what->per_s > 0 && l->next < n ? 0 : QUIET_MS;
        int ready = epoll_wait(l->epoll, v, EVENTS, wait);
        if (ready == 0 && wait)
            return broken(l, "it says nothing");
        for (int i = 0; i < ready; i++)
            TM_TRY(line_read(l, v[i].data.ptr));
    }
    return TM_OK;
}

tm_err bench_load_run(const struct bench_load *what, struct bench_load_result *ret, struct diag *diag)
{
    struct load l = {.what = what, .diag = diag, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    l.lines = calloc(what->connections, sizeof *l.lines);
    l.latency_us = calloc(what->n, sizeof *l.latency_us);
    tm_err e = l.lines && l.latency_us && l.epoll >= 0 ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; l.lines && i < what->connections; i++)
        l.lines[i].fd = -1;
    l.started_ns = clock_mono_ns();
    if (e == TM_OK)
        e = run(&l);
    double s = (double)(clock_mono_ns() - l.started_ns) / 1e9;
    if (e == TM_OK)
        *ret = (struct bench_load_result){.per_s = (double)what->n / s,
                                          .median_us = bench_quantile(l.latency_us, what->n, 0.5),
                                          .p99_us = bench_quantile(l.latency_us, what->n, 0.99)};
    for (size_t i = 0; l.lines && i < what->connections; i++)
        if (l.lines[i].fd >= 0)
            close(l.lines[i].fd);
    if (l.epoll >= 0)
        close(l.epoll);
    free(l.lines);
    free(l.latency_us);
    return e;
}
