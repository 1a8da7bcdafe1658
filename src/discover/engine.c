#include "discover/engine.h"
#include "base/clock.h"
#include "discover/pace.h"
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SCRATCH = 64 << 10,
    TICK_US = 10000,
    TURN_MS = 100,
    DATAGRAM_MS = 1000,
    DATAGRAM_TRIES = 3,
    WAITING_TIMES = 4, /* targets that wait for their host's turn, for each connection at once */
    OUT_MAX = 16 << 10,
};

/* What one connection is for, in the order in which they follow. */
enum purpose {
    FOR_CERTIFICATE,
    FOR_CERTIFICATE_NO_ALPN, /* the server took none of the protocols (RFC 7301 3.2) */
    FOR_CERTIFICATE_PLAIN, /* it could not make anything of a ClientHello of today: one without extensions */
    FOR_CERTIFICATE_OLD,   /* nor of that: one of TLS 1.0 */
    FOR_VERSIONS,          /* from here on each asks for one */
    PURPOSES = FOR_VERSIONS + 6,
};

enum queue { QUEUE_CONNECT, QUEUE_TALK, QUEUE_DATAGRAM, QUEUES };

struct engine;
struct errand {
    struct engine_target target;
    struct engine *engine;
    struct errand *next, *before; /* in its queue */
    struct event event;
    struct talk talk;   /* that is to bring the certificates */
    struct talk *probe; /* that asks for a version */
    uint64_t due_ms;    /* deadline; of one that waits for its host: when it goes on */
    uint8_t *rest;      /* that could not be written at once */
    uint32_t rest_n;
    int fd;
    uint8_t purpose, queue, tries;
    uint8_t connections;
    uint8_t versions;
    int8_t pq;
    bool queued, connected, talks;
    /* What the first ClientHello led to: told when the others lead nowhere. */
    struct {
        uint8_t failure, alert;
        const char *hint;
    } first;
};

struct list {
    struct errand *first, *last;
};

struct engine {
    const struct engine_config *c;
    struct event_base *base;
    struct event *tick;
    struct kit *kit;
    struct pace pace;
    struct list queues[QUEUES];
    struct errand **waiting; /* a heap: the one that goes on first stands first */
    size_t n_waiting, waiting_max;
    struct tls_offer offers[PURPOSES];
    struct tls_offer without_alpn, dtls; /* for STARTTLS and for datagrams */
    uint64_t now_ms, turned_ms;
    uint64_t limit_ms[QUEUES];
    unsigned parallel, open;
    size_t alive;
    bool no_more;
    struct engine_stats stats;
    struct buf out;
    uint8_t *scratch;
};

static void connection_over(struct errand *x);

/* ---- queues: in each the time given is the same, so that the first is due first ---- */

static void unqueue(struct errand *x)
{
    struct list *q = &x->engine->queues[x->queue];
    if (!x->queued)
        return;
    *(x->before ? &x->before->next : &q->first) = x->next;
    *(x->next ? &x->next->before : &q->last) = x->before;
    x->queued = false;
}

static void enqueue(struct errand *x, enum queue which)
{
    struct list *q = &x->engine->queues[which];
    unqueue(x);
    x->queue = (uint8_t)which;
    x->due_ms = x->engine->now_ms + x->engine->limit_ms[which];
    x->next = NULL;
    x->before = q->last;
    *(q->last ? &q->last->next : &q->first) = x;
    q->last = x;
    x->queued = true;
}

/* ---- those that wait for their host's turn ---- */

static void heap_put(struct engine *e, struct errand *x)
{
    size_t i = e->n_waiting++;
    for (; i && e->waiting[(i - 1) / 2]->due_ms > x->due_ms; i = (i - 1) / 2)
        e->waiting[i] = e->waiting[(i - 1) / 2];
    e->waiting[i] = x;
}

static struct errand *heap_take(struct engine *e)
{
    struct errand *first = e->waiting[0], *x = e->waiting[--e->n_waiting];
    size_t i = 0;
    for (;;) {
        size_t k = 2 * i + 1;
        if (k + 1 < e->n_waiting && e->waiting[k + 1]->due_ms < e->waiting[k]->due_ms)
            k++;
        if (k >= e->n_waiting || e->waiting[k]->due_ms >= x->due_ms)
            break;
        e->waiting[i] = e->waiting[k];
        i = k;
    }
    e->waiting[i] = x;
    return first;
}

/* ---- errands ---- */

static struct talk *talk_of(struct errand *x)
{
    return x->probe ? x->probe : &x->talk;
}

static void hang_up(struct errand *x)
{
    unqueue(x);
    if (x->fd >= 0) {
        event_del(&x->event);
        close(x->fd);
        x->fd = -1;
        x->engine->open--;
    }
    free(x->rest);
    x->rest = NULL;
    x->rest_n = 0;
}

static void errand_free(struct errand *x)
{
    hang_up(x);
    if (x->talks)
        talk_done(&x->talk);
    if (x->probe)
        talk_done(x->probe);
    free(x->probe);
    x->engine->alive--;
    free(x);
}

static void report(struct errand *x)
{
    struct engine *e = x->engine;
    struct engine_result r = {.target = &x->target,
                              .facts = &x->talk.facts,
                              .versions = x->versions,
                              .pq = x->pq,
                              .connections = x->connections};
    e->stats.targets++;
    e->c->result(e->c->arg, &r);
    errand_free(x);
}

static enum tls_failure failure_of(int err)
{
    switch (err) {
    case ECONNREFUSED:
        return TLS_FAIL_REFUSED;
    case ETIMEDOUT:
        return TLS_FAIL_SILENT;
    case ECONNRESET:
    case EPIPE:
        return TLS_FAIL_RESET;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EACCES:
    case EPERM:
    case ENOPROTOOPT:
        return TLS_FAIL_UNREACHABLE;
    default:
        return TLS_FAIL_LOCAL;
    }
}

static void fail(struct errand *x, enum tls_failure why)
{
    talk_end(talk_of(x), why);
    connection_over(x);
}

/* What can't be written at once goes with the next event. */
static bool keep_rest(struct errand *x, struct slice s)
{
    uint8_t *rest = realloc(x->rest, x->rest_n + s.n);
    if (!rest) {
        fail(x, TLS_FAIL_LOCAL);
        return false;
    }
    memcpy(rest + x->rest_n, s.p, s.n);
    x->rest = rest;
    x->rest_n += (uint32_t)s.n;
    return true;
}

/* False: the connection is over, and the errand perhaps with it. */
static bool send_out(struct errand *x, struct slice s)
{
    if (s.n == 0)
        return true;
    if (x->rest_n)
        return keep_rest(x, s);
    ssize_t n = send(x->fd, s.p, s.n, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        fail(x, failure_of(errno));
        return false;
    }
    size_t sent = n > 0 ? (size_t)n : 0;
    return sent == s.n || x->target.dtls || keep_rest(x, slice_of(s.p + sent, s.n - sent));
}

static bool send_rest(struct errand *x)
{
    uint8_t *rest = x->rest;
    size_t n = x->rest_n;
    x->rest = NULL;
    x->rest_n = 0;
    bool ok = send_out(x, slice_of(rest, n));
    free(rest);
    return ok;
}

static void read_some(struct errand *x)
{
    struct engine *e = x->engine;
    for (;;) {
        ssize_t n = recv(x->fd, e->scratch, SCRATCH, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            fail(x, failure_of(errno));
            return;
        }
        if (n == 0 && !x->target.dtls) {
            fail(x, TLS_FAIL_CLOSED);
            return;
        }
        buf_reset(&e->out);
        bool goes_on = talk_take(talk_of(x), slice_of(e->scratch, (size_t)n), &e->out);
        if (!goes_on) {
            connection_over(x);
            return;
        }
        if (!send_out(x, buf_slice(&e->out)))
            return;
        /* A stream that gave less than there was room for is empty; events tell of what comes later. */
        if (!x->target.dtls && (size_t)n < SCRATCH)
            return;
    }
}

/* False as above. */
static bool begin_talk(struct errand *x)
{
    struct engine *e = x->engine;
    x->connected = true;
    enqueue(x, x->target.dtls ? QUEUE_DATAGRAM : QUEUE_TALK);
    buf_reset(&e->out);
    talk_begin(talk_of(x), &e->out);
    if (!talk_of(x)->over)
        return send_out(x, buf_slice(&e->out));
    connection_over(x);
    return false;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct errand *x = arg;
    /* Whether it is connected is told by the first send() or recv(). */
    bool lives = x->connected ? !(what & EV_WRITE) || send_rest(x) : begin_talk(x);
    if (lives && what & EV_READ)
        read_some(x);
}

/* ---- connections ---- */

static socklen_t sockaddr_of(struct sockaddr_storage *ret, const struct engine_target *t)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    memset(ret, 0, sizeof *ret);
    if (t->address.family == ADDRESS_V4) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(t->port);
        memcpy(&v4->sin_addr, t->address.ip, 4);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(t->port);
    memcpy(&v6->sin6_addr, t->address.ip, 16);
    return sizeof *v6;
}

static const struct tls_offer *offer_of(const struct errand *x)
{
    if (x->target.dtls)
        return &x->engine->dtls;
    if (x->target.starttls && x->purpose == FOR_CERTIFICATE)
        return &x->engine->without_alpn;
    return &x->engine->offers[x->purpose];
}

/* What speaks on the connection that is to be made. */
static bool make_talk(struct errand *x)
{
    struct engine *e = x->engine;
    struct talk *t = &x->talk;
    if (x->purpose >= FOR_VERSIONS) {
        if (x->probe)
            talk_done(x->probe);
        else
            x->probe = calloc(1, sizeof *x->probe);
        t = x->probe;
    } else if (x->talks) {
        talk_done(&x->talk);
    }
    if (!t)
        return false;
    bool ok = talk_init(t, e->kit, offer_of(x), x->target.starttls, x->target.name) == TM_OK;
    if (t == &x->talk)
        x->talks = ok;
    if (ok && x->purpose >= FOR_CERTIFICATE_PLAIN)
        t->facts.legacy_hello = true;
    return ok;
}

static int open_socket(const struct engine_target *t)
{
    struct sockaddr_storage to;
    socklen_t n = sockaddr_of(&to, t);
    int fd = socket(to.ss_family, (t->dtls ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, n) != 0 && errno != EINPROGRESS) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

static void connect_now(struct errand *x)
{
    struct engine *e = x->engine;
    pace_took(&e->pace);
    e->stats.connections++;
    x->connections++;
    x->connected = false;
    x->tries = 0;
    if (!make_talk(x)) {
        talk_end(talk_of(x), TLS_FAIL_LOCAL);
        report(x);
        return;
    }
    x->fd = open_socket(&x->target);
    if (x->fd < 0) {
        fail(x, failure_of(errno));
        return;
    }
    e->open++;
    if (e->open > e->stats.in_flight_max)
        e->stats.in_flight_max = e->open;
    /* Edge by edge, and never changed: one system call for all that a connection waits for. */
    event_assign(&x->event, e->base, x->fd, EV_READ | EV_WRITE | EV_ET | EV_PERSIST, on_event, x);
    if (event_add(&x->event, NULL) != 0)
        fail(x, TLS_FAIL_LOCAL);
    else if (x->target.dtls)
        begin_talk(x);
    else
        enqueue(x, QUEUE_CONNECT);
}

/* Now, or when it is the host's turn. */
static void connect_in_turn(struct errand *x)
{
    struct engine *e = x->engine;
    x->due_ms = pace_host(&e->pace, &x->target.address, e->now_ms);
    if (x->due_ms <= e->now_ms && e->open < e->parallel)
        connect_now(x);
    else
        heap_put(e, x);
}

/* ---- what follows a connection ---- */

/* Would another ClientHello bring what this one did not? */
static enum purpose another(const struct errand *x)
{
    static const bool not_understood[] = {
        [10] = true, [40] = true, [47] = true, [50] = true, [70] = true, [71] = true, [80] = true};
    const struct tls_facts *f = &x->talk.facts;
    if (x->target.dtls || f->n_chain)
        return x->purpose;
    if (x->purpose == FOR_CERTIFICATE && f->failure == TLS_FAIL_ALERT && f->alert == 120)
        return FOR_CERTIFICATE_NO_ALPN;
    bool said_no =
        f->failure == TLS_FAIL_ALERT && f->alert < sizeof not_understood && not_understood[f->alert];
    bool broke_off = !f->version && x->talk.starttls == NULL && x->connected &&
                     (f->failure == TLS_FAIL_CLOSED || f->failure == TLS_FAIL_RESET);
    if (!said_no && !broke_off)
        return x->purpose;
    return x->purpose < FOR_CERTIFICATE_PLAIN ? FOR_CERTIFICATE_PLAIN : FOR_CERTIFICATE_OLD;
}

/* What one connection has told of a version or of the group. */
static void note_probe(struct errand *x)
{
    static const uint16_t versions[] = {SSL_3_0, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3};
    unsigned i = x->purpose - FOR_VERSIONS;
    const struct tls_facts *f = &x->probe->facts;
    if (i < 5)
        x->versions |= (uint8_t)((f->version == versions[i]) << i);
    else
        x->pq = f->version == TLS_1_3;
}

static void after_certificate(struct errand *x)
{
    const struct tls_facts *f = &x->talk.facts;
    x->pq = f->group == TLS_GROUP_X25519_MLKEM768 ? 1 : f->version && f->version < TLS_1_3 ? 0 : -1;
    if (x->engine->c->versions && f->version && !x->target.dtls)
        x->purpose = FOR_VERSIONS;
    else
        x->purpose = PURPOSES;
}

static void connection_over(struct errand *x)
{
    hang_up(x);
    if (x->purpose < FOR_VERSIONS) {
        enum purpose next = another(x);
        struct tls_facts *f = &x->talk.facts;
        if (x->purpose == FOR_CERTIFICATE) {
            x->first.failure = (uint8_t)f->failure;
            x->first.alert = f->alert;
            x->first.hint = f->hint;
        } else if (f->failure != TLS_FAIL_NONE && next == x->purpose) {
            f->failure = (enum tls_failure)x->first.failure;
            f->alert = x->first.alert;
            f->hint = x->first.hint;
        }
        if (next != x->purpose) {
            x->purpose = (uint8_t)next;
            connect_in_turn(x);
            return;
        }
        after_certificate(x);
    } else {
        note_probe(x);
        x->purpose++;
    }
    if (x->purpose == PURPOSES - 1 && x->pq >= 0)
        x->purpose = PURPOSES; /* that is known already */
    if (x->purpose < PURPOSES)
        connect_in_turn(x);
    else
        report(x);
}

/* ---- the loop ---- */

static bool begin_errand(struct engine *e)
{
    struct errand *x = calloc(1, sizeof *x);
    if (!x || !e->c->next(e->c->arg, &x->target)) {
        e->no_more = true;
        free(x);
        return false;
    }
    x->engine = e;
    x->fd = -1;
    x->pq = -1;
    e->alive++;
    connect_in_turn(x);
    return true;
}

static bool is_over(const struct engine *e)
{
    return e->c->over && atomic_load(e->c->over);
}

static void start_some(struct engine *e)
{
    while (e->open < e->parallel && !is_over(e) && pace_may(&e->pace, e->now_ms)) {
        if (e->n_waiting && e->waiting[0]->due_ms <= e->now_ms)
            connect_now(heap_take(e));
        else if (e->no_more || e->n_waiting + e->open >= e->waiting_max || !begin_errand(e))
            break;
    }
}

static void let_go(struct engine *e)
{
    for (size_t q = 0; q < QUEUES; q++)
        while (e->queues[q].first && e->queues[q].first->due_ms <= e->now_ms) {
            struct errand *x = e->queues[q].first;
            if (q == QUEUE_DATAGRAM && ++x->tries < DATAGRAM_TRIES) {
                begin_talk(x); /* RFC 6347 4.2.4: what is lost is sent again */
                continue;
            }
            fail(x, q == QUEUE_CONNECT || (q == QUEUE_DATAGRAM && talk_of(x)->octets == 0)
                        ? TLS_FAIL_SILENT
                        : TLS_FAIL_STALLED);
        }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct engine *e = arg;
    e->now_ms = clock_mono_ns() / 1000000;
    let_go(e);
    if (e->c->turn && e->now_ms >= e->turned_ms + TURN_MS) {
        e->c->turn(e->c->arg);
        e->now_ms = clock_mono_ns() / 1000000;
        e->turned_ms = e->now_ms;
    }
}

static void offers_init(struct engine *e)
{
    static const uint16_t versions[] = {SSL_3_0, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3};
    const struct tls_offer today = {.least = TLS_1_0, .most = TLS_1_3};
    e->offers[FOR_CERTIFICATE] = today;
    e->offers[FOR_CERTIFICATE].alpn = e->c->alpn;
    e->offers[FOR_CERTIFICATE_NO_ALPN] = e->without_alpn = today;
    e->offers[FOR_CERTIFICATE_PLAIN] = (struct tls_offer){.least = SSL_3_0, .most = TLS_1_2, .plain = true};
    e->offers[FOR_CERTIFICATE_OLD] = (struct tls_offer){.least = SSL_3_0, .most = TLS_1_0, .plain = true};
    for (size_t i = 0; i < 5; i++)
        e->offers[FOR_VERSIONS + i] = (struct tls_offer){
            .least = versions[i], .most = versions[i], .plain = versions[i] == SSL_3_0, .probe = true};
    e->offers[FOR_VERSIONS + 5] = (struct tls_offer){
        .least = TLS_1_3, .most = TLS_1_3, .only_group = TLS_GROUP_X25519_MLKEM768, .probe = true};
    e->dtls = (struct tls_offer){.least = TLS_1_2, .most = TLS_1_2, .dtls = true};
}

static tm_err engine_init(struct engine *e, const struct engine_config *c)
{
    *e = (struct engine){.c = c, .parallel = c->parallel ? c->parallel : ENGINE_PARALLEL};
    e->limit_ms[QUEUE_CONNECT] = c->connect_ms ? c->connect_ms : ENGINE_CONNECT_MS;
    e->limit_ms[QUEUE_TALK] = c->talk_ms ? c->talk_ms : ENGINE_TALK_MS;
    e->limit_ms[QUEUE_DATAGRAM] = DATAGRAM_MS;
    e->now_ms = e->turned_ms = clock_mono_ns() / 1000000;
    e->waiting_max = (size_t)WAITING_TIMES * e->parallel;
    buf_init(&e->out, OUT_MAX);
    offers_init(e);
    e->scratch = malloc(SCRATCH);
    e->waiting = calloc(e->waiting_max + e->parallel + 1, sizeof *e->waiting);
    if (!e->scratch || !e->waiting || !pace_init(&e->pace, c->per_second, c->per_host_second, e->now_ms))
        return TM_ENOMEM;
    TM_TRY(kit_new(&e->kit));
    struct event_config *config = event_config_new();
    if (config) {
        /* Descriptors are closed before the loop turns: their removal costs no system call. None is duplicated. */
        event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        e->base = event_base_new_with_config(config);
        event_config_free(config);
    }
    e->tick = e->base ? event_new(e->base, -1, EV_PERSIST, on_tick, e) : NULL;
    const struct timeval every = {.tv_usec = TICK_US};
    return e->tick && event_add(e->tick, &every) == 0 ? TM_OK : TM_EUNAVAIL;
}

static void engine_done(struct engine *e)
{
    for (size_t q = 0; q < QUEUES; q++)
        for (struct errand *x = e->queues[q].first, *following; x; x = following) {
            following = x->next;
            x->queued = false; /* the whole queue goes */
            errand_free(x);
        }
    for (size_t i = 0; i < e->n_waiting; i++)
        errand_free(e->waiting[i]);
    if (e->tick)
        event_free(e->tick);
    if (e->base)
        event_base_free(e->base);
    kit_free(e->kit);
    pace_done(&e->pace);
    buf_done(&e->out);
    free(e->waiting);
    free(e->scratch);
}

tm_err engine_run(const struct engine_config *c, struct engine_stats *ret, struct diag *diag)
{
    struct engine e;
    tm_err err = engine_init(&e, c);
    if (err != TM_OK)
        err =
            diag_fail(diag, err, NULL, NULL, "the scanner could not begin: no event loop, or out of memory");
    while (err == TM_OK && !is_over(&e)) {
        e.now_ms = clock_mono_ns() / 1000000;
        start_some(&e);
        if (e.no_more && e.alive == 0)
            break;
        if (event_base_loop(e.base, EVLOOP_ONCE) < 0)
            err = diag_fail(diag, TM_EIO, NULL, NULL, "the scanner's event loop failed");
    }
    if (ret && err == TM_OK)
        *ret = e.stats;
    engine_done(&e);
    return err;
}
