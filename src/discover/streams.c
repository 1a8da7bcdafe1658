#include "discover/streams.h"
#include "base/buf.h"
#include "discover/capture.h"
#include "discover/hellos.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS = 8192,
    LATER_MAX = 64,           /* segments that came before their turn, of a direction ... */
    LATER_OCTETS = 128 << 10, /* ... and their octets */
    TCP_HEADER = 20,
    PROTOCOL_TCP = 6,
    FLAG_FIN = 1,
    FLAG_SYN = 2,
    FLAG_RST = 4
};

/* One that came before its turn. */
struct segment {
    struct segment *next;
    uint32_t seq;
    size_t n;
    uint8_t octets[];
};

struct direction {
    bool begun, done, ended;
    uint32_t next; /* sequence number */
    struct segment *later;
    size_t n_later, later_octets;
    struct hellos tls;
};

struct endpoint {
    uint8_t address[16];
    uint8_t n; /* octets of the address */
    uint16_t port;
};

struct connection {
    struct endpoint ends[2]; /* the smaller first */
    struct direction from[2];
    int server; /* which of them; -1 not known yet */
    bool starttls, counted;
    int version;
    char name[STREAM_NAME_MAX + 1];
    int64_t at;
    struct connection *in_bucket, *older, *newer;
};

struct streams {
    void (*certs)(void *arg, const struct stream_certs *c);
    void *arg;
    struct connection *buckets[BUCKETS], *oldest, *newest;
    size_t n, octets;
    struct streams_counts counts;
};

tm_err streams_new(struct streams **ret, void (*certs)(void *arg, const struct stream_certs *c), void *arg)
{
    struct streams *s = calloc(1, sizeof *s);
    if (!s)
        return TM_ENOMEM;
    s->certs = certs;
    s->arg = arg;
    *ret = s;
    return TM_OK;
}

void streams_counts_get(const struct streams *s, struct streams_counts *ret)
{
    *ret = s->counts;
    ret->kept = s->octets;
}

/* ---- connections ---- */

static size_t bucket_of(const struct endpoint ends[2])
{
    uint64_t h = 14695981039346656037u;
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < sizeof ends[i].address; k++)
            h = (h ^ ends[i].address[k]) * 1099511628211u;
        h = (h ^ ends[i].port) * 1099511628211u;
    }
    return (h ^ h >> 32) % BUCKETS;
}

static bool same_end(const struct endpoint *a, const struct endpoint *b)
{
    return a->n == b->n && a->port == b->port && memcmp(a->address, b->address, sizeof a->address) == 0;
}

static void direction_done(struct streams *s, struct direction *d)
{
    while (d->later) {
        struct segment *next = d->later->next;
        free(d->later);
        d->later = next;
    }
    s->octets -= d->later_octets + hellos_octets(&d->tls);
    d->n_later = d->later_octets = 0;
    hellos_done(&d->tls);
    d->done = true;
}

static void unlink_age(struct streams *s, struct connection *c)
{
    *(c->older ? &c->older->newer : &s->oldest) = c->newer;
    *(c->newer ? &c->newer->older : &s->newest) = c->older;
    c->older = c->newer = NULL;
}

static void link_newest(struct streams *s, struct connection *c)
{
    c->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = c;
    s->newest = c;
}

static void forget(struct streams *s, struct connection *c)
{
    struct connection **p = &s->buckets[bucket_of(c->ends)];
    while (*p && *p != c)
        p = &(*p)->in_bucket;
    if (*p)
        *p = c->in_bucket;
    unlink_age(s, c);
    direction_done(s, &c->from[0]);
    direction_done(s, &c->from[1]);
    s->n--;
    free(c);
}

void streams_free(struct streams *s)
{
    while (s && s->oldest)
        forget(s, s->oldest);
    free(s);
}

/* NULL: no memory. *ret_fresh: it was not known before. */
static struct connection *find(struct streams *s, const struct endpoint ends[2], bool *ret_fresh)
{
    *ret_fresh = false;
    size_t b = bucket_of(ends);
    for (struct connection *c = s->buckets[b]; c; c = c->in_bucket)
        if (same_end(&c->ends[0], &ends[0]) && same_end(&c->ends[1], &ends[1])) {
            unlink_age(s, c);
            link_newest(s, c);
            return c;
        }
    while (s->oldest && s->n >= STREAMS_MAX)
        forget(s, s->oldest);
    struct connection *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->ends[0] = ends[0];
    c->ends[1] = ends[1];
    c->server = -1;
    hellos_init(&c->from[0].tls);
    hellos_init(&c->from[1].tls);
    c->in_bucket = s->buckets[b];
    s->buckets[b] = c;
    link_newest(s, c);
    s->n++;
    s->counts.connections++;
    *ret_fresh = true;
    return c;
}

/* ---- what is said in them ---- */

struct heard {
    struct streams *s;
    struct connection *c;
    int from;
};

static void name_end(char out[64], const struct endpoint *e)
{
    if (!inet_ntop(e->n == 4 ? AF_INET : AF_INET6, e->address, out, 64))
        out[0] = '\0';
}

static void on_hello(void *arg, const struct hello *h)
{
    struct heard *x = arg;
    struct connection *c = x->c;
    if (!c->counted)
        x->s->counts.tls++;
    c->counted = true;
    c->starttls |= h->behind;
    c->server = h->of_server ? x->from : !x->from;
    if (!h->of_server) {
        memcpy(c->name, h->name, sizeof c->name);
        return;
    }
    c->version = h->version;
    if (h->version >= 0x0304)
        x->s->counts.tls13++;
}

static void on_chain(void *arg, const struct slice *chain, size_t n)
{
    struct heard *x = arg;
    const struct connection *c = x->c;
    if (c->server < 0 || n == 0)
        return;
    struct stream_certs out = {.server_port = c->ends[c->server].port,
                               .version = c->version,
                               .starttls = c->starttls,
                               .of_client = x->from != c->server,
                               .at = c->at,
                               .chain = chain,
                               .n_chain = n};
    memcpy(out.name, c->name, sizeof out.name);
    name_end(out.server, &c->ends[c->server]);
    name_end(out.client, &c->ends[!c->server]);
    x->s->counts.chains++;
    x->s->certs(x->s->arg, &out);
}

static void hear(struct streams *s, struct connection *c, int from, struct slice octets)
{
    struct heard x = {.s = s, .c = c, .from = from};
    struct direction *d = &c->from[from];
    const struct hellos_events events = {.hello = on_hello, .chain = on_chain, .arg = &x};
    size_t before = hellos_octets(&d->tls);
    bool more = hellos_feed(&d->tls, octets, &events);
    s->octets += hellos_octets(&d->tls) - before;
    if (!more)
        direction_done(s, d);
    if (c->version >= 0x0304) { /* the rest is encrypted, both ways */
        direction_done(s, &c->from[0]);
        direction_done(s, &c->from[1]);
    }
}

/* ---- segments ---- */

static void keep_for_later(struct streams *s, struct direction *d, uint32_t seq, struct slice octets)
{
    if (d->n_later == LATER_MAX || d->later_octets + octets.n > LATER_OCTETS) {
        direction_done(s, d); /* what is missing was not recorded */
        return;
    }
    struct segment *x = malloc(sizeof *x + octets.n);
    if (!x)
        return;
    *x = (struct segment){.next = d->later, .seq = seq, .n = octets.n};
    memcpy(x->octets, octets.p, octets.n);
    d->later = x;
    d->n_later++;
    d->later_octets += octets.n;
    s->octets += octets.n;
}

/* In order, as far as it is new. True: it was taken. */
static bool take(struct streams *s, struct connection *c, int from, uint32_t seq, struct slice octets)
{
    struct direction *d = &c->from[from];
    int32_t ahead = (int32_t)(seq - d->next);
    if (ahead > 0)
        return false;
    size_t old = (size_t)(-(int64_t)ahead);
    if (old < octets.n) {
        d->next += (uint32_t)(octets.n - old);
        hear(s, c, from, slice_sub(octets, old, octets.n));
    }
    return true;
}

static void take_later(struct streams *s, struct connection *c, int from)
{
    struct direction *d = &c->from[from];
    for (struct segment **p = &d->later; !d->done && *p;) {
        struct segment *x = *p;
        if ((int32_t)(x->seq - d->next) > 0) {
            p = &x->next;
            continue;
        }
        *p = x->next;
        d->n_later--;
        d->later_octets -= x->n;
        s->octets -= x->n;
        take(s, c, from, x->seq, slice_of(x->octets, x->n));
        free(x);
        p = &d->later;
    }
}

static void segment(struct streams *s, struct connection *c, int from, uint32_t seq, unsigned flags,
                    struct slice octets)
{
    struct direction *d = &c->from[from];
    if (flags & FLAG_SYN) {
        d->next = ++seq;
        d->begun = true;
    }
    d->ended |= (flags & FLAG_FIN) != 0;
    if (!d->begun && octets.n) { /* its beginning was not recorded */
        d->next = seq;
        d->begun = true;
    }
    if (d->done || octets.n == 0)
        return;
    if (take(s, c, from, seq, octets))
        take_later(s, c, from);
    else
        keep_for_later(s, d, seq, octets);
}

static int order_of(const struct endpoint *a, const struct endpoint *b)
{
    int order = memcmp(a->address, b->address, sizeof a->address);
    return order ? order : (int)a->port - (int)b->port;
}

static void tcp(struct streams *s, struct endpoint src, struct endpoint dst, int64_t at, struct slice data)
{
    if (data.n < TCP_HEADER)
        return;
    size_t header = (size_t)(data.p[12] >> 4) * 4;
    unsigned flags = data.p[13];
    uint32_t seq =
        (uint32_t)data.p[4] << 24 | (uint32_t)data.p[5] << 16 | (uint32_t)data.p[6] << 8 | data.p[7];
    src.port = (uint16_t)(data.p[0] << 8 | data.p[1]);
    dst.port = (uint16_t)(data.p[2] << 8 | data.p[3]);
    if (header < TCP_HEADER || header > data.n)
        return;
    int from = order_of(&src, &dst) > 0;
    struct endpoint ends[2];
    ends[from] = src;
    ends[!from] = dst;
    bool fresh;
    struct connection *c = find(s, ends, &fresh);
    if (!c)
        return;
    /* The same addresses and ports again: another connection. */
    if (flags & FLAG_SYN && !fresh && c->from[from].begun && seq + 1 != c->from[from].next) {
        forget(s, c);
        c = find(s, ends, &fresh);
        if (!c)
            return;
    }
    c->at = at;
    segment(s, c, from, seq, flags, slice_sub(data, header, data.n));
    bool over = (c->from[0].ended || c->from[0].done) && (c->from[1].ended || c->from[1].done);
    if (flags & FLAG_RST || (over && !c->from[0].later && !c->from[1].later))
        forget(s, c);
    /* Those that there are grow as well: one that begins is not needed for this. */
    while (s->oldest && s->octets > STREAMS_OCTETS)
        forget(s, s->oldest);
}

/* ---- packets ---- */

static bool ipv4(struct streams *s, int64_t at, struct slice data)
{
    if (data.n < 20)
        return false;
    size_t header = (size_t)(data.p[0] & 15) * 4, total = (size_t)data.p[2] << 8 | data.p[3];
    bool fragment = (data.p[6] & 0x3f) || data.p[7]; /* more of them, or not the first */
    if (header < 20 || data.p[9] != PROTOCOL_TCP || fragment)
        return false;
    if (total >= header && total < data.n) /* padding of short frames */
        data = slice_sub(data, 0, total);
    struct endpoint src = {.n = 4}, dst = {.n = 4};
    memcpy(src.address, data.p + 12, 4);
    memcpy(dst.address, data.p + 16, 4);
    if (header > data.n)
        return false;
    tcp(s, src, dst, at, slice_sub(data, header, data.n));
    return true;
}

static bool ipv6(struct streams *s, int64_t at, struct slice data)
{
    if (data.n < 40)
        return false;
    size_t payload = (size_t)data.p[4] << 8 | data.p[5], at_header = 40;
    uint8_t next = data.p[6];
    if (payload && payload + 40 < data.n)
        data = slice_sub(data, 0, payload + 40);
    /* Hop-by-hop options, routing, destination options (RFC 8200 4); fragments are passed over. */
    for (int i = 0; i < 8 && (next == 0 || next == 43 || next == 60); i++) {
        if (at_header + 8 > data.n)
            return false;
        next = data.p[at_header];
        at_header += ((size_t)data.p[at_header + 1] + 1) * 8;
    }
    if (next != PROTOCOL_TCP || at_header > data.n)
        return false;
    struct endpoint src = {.n = 16}, dst = {.n = 16};
    memcpy(src.address, data.p + 8, 16);
    memcpy(dst.address, data.p + 24, 16);
    tcp(s, src, dst, at, slice_sub(data, at_header, data.n));
    return true;
}

static bool ip(struct streams *s, int64_t at, struct slice data)
{
    unsigned version = data.n ? data.p[0] >> 4 : 0;
    return version == 4 ? ipv4(s, at, data) : version == 6 && ipv6(s, at, data);
}

/* Where the IP header stands in a frame; SIZE_MAX: nowhere. */
static size_t payload_of(int link, struct slice data)
{
    size_t n = 14;
    switch (link) {
    case LINK_NULL:
    case LINK_LOOP:
        return 4;
    case LINK_RAW:
    case LINK_RAW_OLD:
    case LINK_IPV4:
    case LINK_IPV6:
        return 0;
    case LINK_COOKED:
        return 16;
    case LINK_COOKED2:
        return 20;
    case LINK_ETHERNET:
        /* Tags of virtual networks stand before the type. */
        for (int i = 0; i < 4 && n <= data.n; i++) {
            unsigned type = (unsigned)data.p[n - 2] << 8 | data.p[n - 1];
            if (type != 0x8100 && type != 0x88a8 && type != 0x9100)
                return n;
            n += 4;
        }
        return SIZE_MAX;
    default:
        return SIZE_MAX;
    }
}

void streams_packet(struct streams *s, int link, int64_t at, struct slice data)
{
    size_t n = payload_of(link, data);
    s->counts.packets++;
    if (n > data.n || !ip(s, at, slice_sub(data, n, data.n)))
        s->counts.not_tcp++;
}
