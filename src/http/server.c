/* The server as a whole: configuration in, loops up, loops down. */
#include "http/internal.h"
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- configuration ---- */

static unsigned or_default(unsigned v, unsigned d)
{
    return v ? v : d;
}

static struct http_limits limits_with_defaults(struct http_limits c)
{
    if (!c.max_connections)
        c.max_connections = 20000;
    if (!c.max_connections_peer)
        c.max_connections_peer = 1024;
    if (!c.max_header_octets)
        c.max_header_octets = 16384;
    c.max_headers = or_default(c.max_headers, 64);
    c.handshake_s = or_default(c.handshake_s, 10);
    c.header_s = or_default(c.header_s, 10);
    c.idle_s = or_default(c.idle_s, 60);
    c.body_s = or_default(c.body_s, 60);
    c.reply_s = or_default(c.reply_s, 120);
    return c;
}

/* As many as this process may run on at once. */
static unsigned cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

static tm_err copy_trusted(struct http_server *s, const char *const *trusted, struct diag *diag)
{
    size_t n = 0;
    while (trusted && trusted[n])
        n++;
    if (n == 0)
        return TM_OK;
    s->trusted = calloc(n, sizeof *s->trusted);
    if (!s->trusted)
        return TM_ENOMEM;
    for (; s->n_trusted < n; s->n_trusted++)
        TM_TRY(address_range_parse(&s->trusted[s->n_trusted], trusted[s->n_trusted], diag));
    return TM_OK;
}

bool server_trusts(const struct http_server *s, const struct address *a)
{
    for (size_t i = 0; i < s->n_trusted; i++)
        if (address_range_holds(&s->trusted[i], a))
            return true;
    return false;
}

static tm_err copy_listeners(struct http_server *s, const struct http_server_config *c, struct diag *diag)
{
    if (c->n_listeners == 0 || c->n_listeners > 255)
        return diag_fail(diag, TM_EINVAL, NULL, "listeners", "a server has 1 to 255 listeners");
    s->listeners = calloc(c->n_listeners, sizeof *s->listeners);
    if (!s->listeners)
        return TM_ENOMEM;
    for (size_t i = 0; i < c->n_listeners; i++) {
        if (c->listeners[i].tls && !c->tls)
            return diag_fail(diag, TM_EINVAL, NULL, "listeners", "a TLS listener needs a TLS context");
        char *address = strdup(c->listeners[i].address);
        if (!address)
            return TM_ENOMEM;
        s->listeners[i].config = c->listeners[i];
        s->listeners[i].config.address = address;
        s->n_listeners++;
    }
    return TM_OK;
}

static tm_err configure(struct http_server *s, const struct http_server_config *c, struct diag *diag)
{
    s->limits = limits_with_defaults(c->limits);
    s->parse_limits = (struct parse_limits){.octets = s->limits.max_header_octets,
                                            .target = s->limits.max_header_octets / 2,
                                            .fields = s->limits.max_headers};
    s->app = c->app;
    s->on_reply = c->on_reply;
    s->on_exchange = c->on_exchange;
    s->on_error = c->on_error;
    if (c->tls && SSL_CTX_up_ref(c->tls) == 1)
        s->tls = c->tls;
    TM_TRY(copy_listeners(s, c, diag));
    TM_TRY(copy_trusted(s, c->trusted_proxies, diag));
    TM_TRY(route_table_new(&s->routes, c->routes, diag));
    return limits_new(&s->peers, s->limits.max_connections_peer, s->limits.rate_per_peer);
}

/* ---- start ---- */

static tm_err listen_all(struct http_server *s, struct diag *diag)
{
    int *fds = malloc(s->n_loops * sizeof *fds);
    tm_err err = fds ? TM_OK : TM_ENOMEM;
    for (unsigned i = 0; i < s->n_listeners && err == TM_OK; i++) {
        for (unsigned k = 0; k < s->n_loops; k++)
            fds[k] = -1;
        err = listen_open(&s->listeners[i], fds, s->n_loops, diag);
        for (unsigned k = 0; k < s->n_loops; k++) {
            if (fds[k] < 0)
                continue;
            if (err == TM_OK)
                err = listen_attach(&s->loops[k], i, fds[k]);
            else
                close(fds[k]);
        }
    }
    free(fds);
    return err;
}

static tm_err start(struct http_server *s, const struct http_server_config *c, struct diag *diag)
{
    TM_TRY(configure(s, c, diag));
    unsigned n = c->loops ? c->loops : cores();
    s->loops = calloc(n, sizeof *s->loops);
    if (!s->loops)
        return TM_ENOMEM;
    for (unsigned i = 0; i < n; i++)
        s->loops[i].wake_fd = -1;
    while (s->n_loops < n) {
        struct loop *l = &s->loops[s->n_loops];
        TM_TRY(loop_init(l, s, s->n_loops++));
    }
    TM_TRY(listen_all(s, diag));
    for (unsigned i = 0; i < n; i++)
        TM_TRY(loop_start(&s->loops[i]));
    return TM_OK;
}

tm_err http_server_start(struct http_server **ret, const struct http_server_config *c, struct diag *diag)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (!s)
        return TM_ENOMEM;
    pthread_mutex_init(&s->tls_mutex, NULL);
    pthread_mutex_init(&s->stop_mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->stop_cond, &attr);
    pthread_condattr_destroy(&attr);
    tm_err err = start(s, c, diag);
    if (err != TM_OK) {
        http_server_free(s);
        return err;
    }
    *ret = s;
    return TM_OK;
}

int http_server_port(const struct http_server *s, size_t listener)
{
    return listener < s->n_listeners ? s->listeners[listener].port : 0;
}

void http_server_set_tls(struct http_server *s, SSL_CTX *tls)
{
    if (SSL_CTX_up_ref(tls) != 1)
        return;
    pthread_mutex_lock(&s->tls_mutex);
    SSL_CTX *old = s->tls;
    s->tls = tls;
    pthread_mutex_unlock(&s->tls_mutex);
    SSL_CTX_free(old); /* connections hold it as long as they need it */
}

/* ---- stop ---- */

void http_server_stop(struct http_server *s, unsigned grace_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += grace_ms / 1000;
    until.tv_nsec += (long)(grace_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&s->stop_mutex);
    if (s->stopped) {
        pthread_mutex_unlock(&s->stop_mutex);
        return;
    }
    s->stopped = true;
    s->n_unasked = s->n_loops;
    for (unsigned i = 0; i < s->n_loops; i++)
        executor_post(&s->loops[i].executor, &s->loops[i].stop_task);
    while (s->n_unasked > 0)
        pthread_cond_wait(&s->stop_cond, &s->stop_mutex);
    int waited = 0;
    while (s->n_busy > 0 && waited == 0)
        waited = pthread_cond_timedwait(&s->stop_cond, &s->stop_mutex, &until);
    s->n_unasked = s->n_loops;
    for (unsigned i = 0; i < s->n_loops; i++)
        executor_post(&s->loops[i].executor, &s->loops[i].abort_task);
    while (s->n_unasked > 0)
        pthread_cond_wait(&s->stop_cond, &s->stop_mutex);
    pthread_mutex_unlock(&s->stop_mutex);
    for (size_t i = 0; i < s->n_listeners; i++)
        listen_close(&s->listeners[i]);
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n_loops; i++)
        loop_done(&s->loops[i]);
    free(s->loops);
    for (size_t i = 0; i < s->n_listeners; i++) {
        listen_close(&s->listeners[i]);
        free((char *)(uintptr_t)s->listeners[i].config.address);
    }
    free(s->listeners);
    free(s->trusted);
    route_table_free(s->routes);
    limits_free(s->peers);
    SSL_CTX_free(s->tls);
    pthread_cond_destroy(&s->stop_cond);
    pthread_mutex_destroy(&s->stop_mutex);
    pthread_mutex_destroy(&s->tls_mutex);
    free(s);
}

void http_server_stats(const struct http_server *s, struct http_stats *ret)
{
    struct http_stats st = {0};
    for (unsigned i = 0; i < s->n_loops; i++) {
        const struct loop *l = &s->loops[i];
        st.accepted += atomic_load_explicit(&l->accepted, memory_order_relaxed);
        st.open += atomic_load_explicit(&l->open, memory_order_relaxed);
        st.requests += atomic_load_explicit(&l->requests, memory_order_relaxed);
        st.tls_failed += atomic_load_explicit(&l->tls_failed, memory_order_relaxed);
        st.refused_limit += atomic_load_explicit(&l->refused, memory_order_relaxed);
        st.timeouts += atomic_load_explicit(&l->timeouts, memory_order_relaxed);
    }
    *ret = st;
}
