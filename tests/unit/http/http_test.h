/* What the tests of the HTTP server share: a server with routes to poke at, and a client of raw bytes. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/task.h"
#include "http/server.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

/* No test file needs all of this. */
#pragma GCC diagnostic ignored "-Wunused-function"

/* ---- handlers ---- */

static _Atomic int seen_aborted, seen_ends_ok, seen_ends_bad, seen_replies, seen_drains, seen_bodies;
static _Atomic long seen_status, seen_octets;
static struct pool *pool;

static void on_hello(struct http_request *r)
{
    http_reply(r, 200, "text/plain", SLICE_LIT("hello\n"), NULL);
}

static void on_echo(struct http_request *r)
{
    const char *type = http_request_header(r, "content-TYPE");
    http_reply(r, 200, type ? type : "application/octet-stream", r->body, NULL);
}

static void on_empty(struct http_request *r)
{
    http_reply(r, 204, NULL, slice_of(NULL, 0), NULL);
}

static void on_split(struct http_request *r)
{
    const struct http_header headers[] = {
        {"X-Value", http_request_query(r, "v")}, {"X-More", "a\r\nX-Evil: 1"}, {0}};
    http_reply(r, 200, "text/plain", SLICE_LIT("x"), headers);
}

static void on_params(struct http_request *r)
{
    const char *text =
        arena_printf(r->arena, "%s|%s|%s|%s", http_request_param(r, "a"), http_request_param(r, "b"),
                     http_request_query(r, "q") ? http_request_query(r, "q") : "-", r->path);
    http_reply(r, 200, "text/plain", slice_str(text), NULL);
}

static void on_rest(struct http_request *r)
{
    http_reply(r, 200, "text/plain", slice_str(http_request_param(r, "rest")), NULL);
}

static void on_who(struct http_request *r)
{
    const char *text = arena_printf(r->arena, "peer=%s tls=%d cert=%zu chain=%zu id=%s", r->peer, r->tls,
                                    r->client_cert.n, r->n_client_chain, r->id);
    http_reply(r, 200, "text/plain", slice_str(text), NULL);
}

static void on_binding(struct http_request *r)
{
    struct slice binding;
    const char *type;
    tm_err err = http_request_channel_binding(r, &binding, &type);
    if (err != TM_OK) {
        http_reply(r, 400, "text/plain", slice_str(tm_err_name(err)), NULL);
        return;
    }
    const struct http_header headers[] = {{"X-Type", type}, {0}};
    http_reply(r, 200, "application/octet-stream", binding, headers);
}

/* Answers from another thread: away to the pool, back through the executor. */
struct later {
    struct task task;
    struct http_request *r;
    long ms;
};

static void later_reply(struct task *t)
{
    struct later *l = TM_CONTAINER(t, struct later, task);
    if (http_request_aborted(l->r))
        seen_aborted++;
    http_reply(l->r, 200, "text/plain", SLICE_LIT("later\n"), NULL);
    free(l);
}

static void later_work(struct task *t)
{
    struct later *l = TM_CONTAINER(t, struct later, task);
    nanosleep(&(struct timespec){.tv_sec = l->ms / 1000, .tv_nsec = l->ms % 1000 * 1000000}, NULL);
    t->run = later_reply;
    executor_post(http_request_executor(l->r), t);
}

static void on_later(struct http_request *r)
{
    struct later *l = calloc(1, sizeof *l);
    const char *ms = http_request_query(r, "ms");
    assert_non_null(l);
    l->r = r;
    l->ms = ms ? atol(ms) : 0;
    l->task.run = later_work;
    executor_post(pool_executor(pool), &l->task);
}

/* Counts a streamed body; "pause=1" stops it after each piece until a pool thread has thought about it. */
struct counting {
    struct task task;
    struct http_request *r;
    size_t n;
    bool slow, done, waiting;
};

static void counting_finish(struct counting *c)
{
    char text[32];
    snprintf(text, sizeof text, "%zu\n", c->n);
    http_reply(c->r, 200, "text/plain", slice_str(text), NULL);
    free(c);
}

static void counting_resume(struct task *t)
{
    struct counting *c = TM_CONTAINER(t, struct counting, task);
    c->waiting = false;
    if (c->done)
        counting_finish(c);
    else
        http_body_resume(c->r);
}

static void counting_think(struct task *t)
{
    struct counting *c = TM_CONTAINER(t, struct counting, task);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    t->run = counting_resume;
    executor_post(http_request_executor(c->r), t);
}

static void on_count(struct http_request *r)
{
    struct counting *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->r = r;
    c->slow = http_request_query(r, "pause") != NULL;
    r->handler_data = c;
}

static void on_count_body(struct http_request *r, struct slice data)
{
    struct counting *c = r->handler_data;
    seen_bodies++;
    c->n += data.n;
    if (c->slow && !c->waiting) {
        c->waiting = true;
        http_body_pause(r);
        c->task.run = counting_think;
        executor_post(pool_executor(pool), &c->task);
    }
}

static void on_count_end(struct http_request *r, bool ok)
{
    struct counting *c = r->handler_data;
    *(ok ? &seen_ends_ok : &seen_ends_bad) += 1;
    c->done = true;
    if (!c->waiting)
        counting_finish(c);
}

static void on_early(struct http_request *r)
{
    http_reply(r, 401, "text/plain", SLICE_LIT("no\n"), NULL);
}

static void on_early_end(struct http_request *r, bool ok)
{
    seen_ends_bad++;
}

/* Echoes a streamed body as a streamed answer. */
static void on_pipe(struct http_request *r)
{
    http_reply_begin(r, 200, "application/octet-stream", NULL);
}

static void on_pipe_body(struct http_request *r, struct slice data)
{
    http_reply_chunk(r, data);
}

static void on_pipe_end(struct http_request *r, bool ok)
{
    *(ok ? &seen_ends_ok : &seen_ends_bad) += 1;
    http_reply_end(r);
}

/* A long streamed answer that minds http_reply_pending(). */
struct flood {
    size_t left;
};

static void flood_on(struct http_request *r)
{
    static const char piece[4000];
    struct flood *f = r->handler_data;
    seen_drains++;
    while (f->left > 0 && http_reply_pending(r) < 1 << 20 && !http_request_aborted(r)) {
        size_t n = f->left < sizeof piece ? f->left : sizeof piece;
        http_reply_chunk(r, slice_of(piece, n));
        f->left -= n;
    }
    if (http_request_aborted(r)) {
        seen_aborted++;
        f->left = 0;
    }
    if (f->left == 0)
        http_reply_end(r);
}

static void on_flood(struct http_request *r)
{
    struct flood *f = arena_alloc(r->arena, sizeof *f);
    assert_non_null(f);
    f->left = (size_t)atol(http_request_query(r, "n"));
    r->handler_data = f;
    http_reply_begin(r, 200, "application/octet-stream", NULL);
    http_reply_on_drain(r, flood_on);
    flood_on(r);
}

/* A stream that fails under way. */
static void on_cut(struct http_request *r)
{
    http_reply_begin(r, 200, "text/plain", NULL);
    http_reply_chunk(r, SLICE_LIT("half"));
    http_reply_abort(r);
}

static const struct http_route test_routes[] = {
    {HTTP_M_GET, "/hello", on_hello, HTTP_LISTENER_ANY, .metric = "hello"},
    {HTTP_M_GET, "/", on_hello, HTTP_LISTENER_ANY},
    {HTTP_M_GET, "/empty", on_empty, HTTP_LISTENER_ANY},
    {HTTP_M_GET, "/split", on_split, HTTP_LISTENER_ANY},
    {HTTP_M_GET, "/who", on_who, HTTP_LISTENER_ANY},
    {HTTP_M_GET, "/binding", on_binding, HTTP_LISTENER_ANY},
    {HTTP_M_GET, "/later", on_later, HTTP_LISTENER_ANY},
    {HTTP_M_GET, "/flood", on_flood, HTTP_LISTENER_ANY},
    {HTTP_M_GET, "/cut", on_cut, HTTP_LISTENER_ANY},
    {HTTP_M_GET, "/params/{a}/{b}", on_params, HTTP_LISTENER_ANY},
    {HTTP_M_GET, "/rest/{rest...}", on_rest, HTTP_LISTENER_ANY},
    {HTTP_M_GET, "/admin", on_hello, HTTP_LISTENER_ADMIN},
    {HTTP_M_POST | HTTP_M_PUT, "/echo", on_echo, HTTP_LISTENER_ANY, .body_max = 1 << 20},
    {HTTP_M_POST, "/small", on_echo, HTTP_LISTENER_ANY, .body_max = 10},
    {HTTP_M_POST, "/count", on_count, HTTP_LISTENER_ANY, 64 << 20, on_count_body, on_count_end},
    {HTTP_M_POST, "/count-small", on_count, HTTP_LISTENER_ANY, 10, on_count_body, on_count_end},
    {HTTP_M_POST, "/early", on_early, HTTP_LISTENER_ANY, 64 << 20, NULL, on_early_end},
    {HTTP_M_POST, "/pipe", on_pipe, HTTP_LISTENER_ANY, 64 << 20, on_pipe_body, on_pipe_end},
    {0},
};

static void on_reply_seen(void *app, const struct http_request *r, int status, uint64_t micros,
                          uint64_t octets_out, const char *metric)
{
    seen_replies++;
    seen_status = status;
    seen_octets = (long)octets_out;
    assert_non_null(metric);
    assert_non_null(r->id);
}

/* ---- server ---- */

static struct http_server *server;

static void server_up(const struct http_listener *listeners, size_t n, struct http_server_config c)
{
    static const struct http_route *const all[] = {test_routes, NULL};
    struct diag diag = {0};
    c.listeners = listeners;
    c.n_listeners = n;
    c.routes = all;
    c.on_reply = on_reply_seen;
    if (!c.loops)
        c.loops = 2;
    assert_int_equal(pool_new(&pool, "test", 2), TM_OK);
    tm_err err = http_server_start(&server, &c, &diag);
    if (err != TM_OK)
        print_error("%s\n", diag.message);
    assert_int_equal(err, TM_OK);
}

static void server_down(void)
{
    http_server_stop(server, 100);
    pool_free(pool);
    http_server_free(server);
    server = NULL;
    pool = NULL;
}

/* ---- client ---- */

static int dial(size_t listener)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_server_port(server, listener)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static void say_n(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the server may close early, and the answer tells why */
        at += sent;
        n -= (size_t)sent;
    }
}

static void say(int fd, const char *text)
{
    say_n(fd, text, strlen(text));
}

/* What comes until `end` has been seen, the peer closes, or nothing comes for `ms`; as a string. */
static const char *hear(int fd, const char *end, int ms)
{
    static _Thread_local struct buf b;
    buf_done(&b);
    buf_init(&b, 256 << 20);
    char chunk[65536];
    while (!end || b.n < strlen(end) || !strstr(buf_str(&b), end)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, ms) <= 0) {
            buf_puts(&b, "<timeout>");
            break;
        }
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n < 0)
            buf_puts(&b, "<reset>");
        if (n <= 0)
            break;
        buf_put(&b, chunk, (size_t)n);
    }
    return buf_str(&b);
}

/* One exchange on a connection of its own, which is closed by "Connection: close" in the text or by the server. */
static const char *talk(size_t listener, const char *text)
{
    int fd = dial(listener);
    say(fd, text);
    const char *answer = hear(fd, NULL, 5000);
    close(fd);
    return answer;
}

static int status_in(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : -1;
}

static const char *body_in(const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n");
    return body ? body + 4 : "<none>";
}

/* Wait until a counter of the handlers gets there. */
static bool comes_to(const _Atomic int *counter, int value)
{
    for (int i = 0; i < 500 && *counter < value; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    return *counter >= value;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define HOST "Host: t\r\n"
#define LAST "Host: t\r\nConnection: close\r\n\r\n"
