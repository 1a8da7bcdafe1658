#include "discover/hellos.h"
#include <string.h>

/* TLSPlaintext ::= type, version, length, fragment (RFC 8446 5.1, RFC 5246 6.2.1); Handshake ::= type, uint24 length, body. */
enum {
    RECORD_HEADER = 5,
    RECORD_MAX = (1 << 14) + 2048,
    RECORD_HANDSHAKE = 22,
    RECORD_ALERT = 21,
    MESSAGE_HEADER = 4,
    CLIENT_HELLO = 1,
    SERVER_HELLO = 2,
    CERTIFICATE = 11,
    SERVER_HELLO_DONE = 14,
    EXT_SERVER_NAME = 0,
    EXT_VERSIONS = 43,
    HELLO_LEAST = 38,
    TLS13 = 0x0304,
    CLEAR_MAX = 64 << 10 /* what is said before STARTTLS */
};

/* A sticky cursor: after the first read beyond the end all are empty. */
struct cursor {
    struct slice s;
    bool bad;
};

static size_t number(struct cursor *c, size_t octets)
{
    size_t v = 0;
    if (c->bad || c->s.n < octets) {
        c->bad = true;
        return 0;
    }
    for (size_t i = 0; i < octets; i++)
        v = v << 8 | c->s.p[i];
    c->s = slice_sub(c->s, octets, c->s.n);
    return v;
}

static struct slice some(struct cursor *c, size_t n)
{
    if (c->bad || c->s.n < n) {
        c->bad = true;
        return (struct slice){0};
    }
    struct slice out = slice_sub(c->s, 0, n);
    c->s = slice_sub(c->s, n, c->s.n);
    return out;
}

void hellos_init(struct hellos *h)
{
    *h = (struct hellos){0};
    buf_init(&h->in, HELLOS_OCTETS);
    buf_init(&h->messages, HELLOS_OCTETS);
}

void hellos_done(struct hellos *h)
{
    buf_done(&h->in);
    buf_done(&h->messages);
}

size_t hellos_octets(const struct hellos *h)
{
    return h->in.cap + h->messages.cap;
}

/* ---- messages ---- */

/* ServerNameList (RFC 6066 3): the host name, where it is one that can stand in a place's name. */
static void read_name(struct hello *out, struct slice ext)
{
    struct cursor c = {.s = ext};
    number(&c, 2);
    size_t type = number(&c, 1);
    struct slice name = some(&c, number(&c, 2));
    if (c.bad || type != 0 || name.n == 0 || name.n > HELLOS_NAME_MAX)
        return;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t b = name.p[i];
        bool plain = (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || b == '.' ||
                     b == '-' || b == '_';
        if (!plain)
            return;
    }
    memcpy(out->name, name.p, name.n);
}

static void read_extensions(struct hello *out, struct cursor *c)
{
    struct cursor exts = {.s = some(c, number(c, 2))};
    while (!exts.bad && exts.s.n) {
        size_t type = number(&exts, 2);
        struct slice body = some(&exts, number(&exts, 2));
        if (exts.bad)
            return;
        if (type == EXT_SERVER_NAME && !out->of_server)
            read_name(out, body);
        if (type == EXT_VERSIONS && out->of_server && body.n == 2)
            out->version = body.p[0] << 8 | body.p[1];
    }
}

static void read_hello(struct hellos *h, struct slice body, bool of_server,
                       const struct hellos_events *events)
{
    struct hello out = {.of_server = of_server};
    struct cursor c = {.s = body};
    out.version = (int)number(&c, 2);
    some(&c, 32);
    some(&c, number(&c, 1));
    if (of_server) {
        number(&c, 3); /* cipher suite, compression */
    } else {
        some(&c, number(&c, 2));
        some(&c, number(&c, 1));
    }
    if (c.bad)
        return;
    if (c.s.n)
        read_extensions(&out, &c);
    h->of_server = of_server;
    out.behind = h->passed > 0;
    events->hello(events->arg, &out);
}

/* Certificate ::= uint24 length, then per certificate uint24 length and its octets (RFC 5246 7.4.2). */
static void read_chain(struct slice body, const struct hellos_events *events)
{
    struct slice chain[HELLOS_CHAIN_MAX];
    struct cursor outer = {.s = body};
    struct cursor c = {.s = some(&outer, number(&outer, 3))};
    size_t n = 0;
    while (!outer.bad && !c.bad && c.s.n && n < HELLOS_CHAIN_MAX) {
        struct slice der = some(&c, number(&c, 3));
        if (!c.bad && der.n)
            chain[n++] = der;
    }
    if (n)
        events->chain(events->arg, chain, n);
}

/* False: nothing further. */
static bool read_messages(struct hellos *h, const struct hellos_events *events)
{
    while (h->messages.n >= MESSAGE_HEADER) {
        const uint8_t *p = h->messages.p;
        size_t n = (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (n > HELLOS_OCTETS - MESSAGE_HEADER)
            return false;
        if (h->messages.n < MESSAGE_HEADER + n)
            return true;
        struct slice body = slice_of(p + MESSAGE_HEADER, n);
        if (p[0] == CLIENT_HELLO || p[0] == SERVER_HELLO)
            read_hello(h, body, p[0] == SERVER_HELLO, events);
        else if (p[0] == CERTIFICATE)
            read_chain(body, events);
        bool last = p[0] == SERVER_HELLO_DONE || (p[0] == CERTIFICATE && !h->of_server);
        buf_consume(&h->messages, MESSAGE_HEADER + n);
        if (last)
            return false;
    }
    return true;
}

/* ---- records ---- */

/* A record that begins with a hello. */
static bool is_hello(const uint8_t *p)
{
    size_t n = (size_t)p[3] << 8 | p[4];
    return p[0] == RECORD_HANDSHAKE && p[1] == 3 && p[2] <= 4 && n >= HELLO_LEAST && n <= RECORD_MAX &&
           (p[5] == CLIENT_HELLO || p[5] == SERVER_HELLO) && p[6] == 0;
}

/* Drop what is said in the clear before it. */
static bool find_hello(struct hellos *h)
{
    enum { NEEDED = RECORD_HEADER + 2 };
    size_t i = 0;
    for (; i + NEEDED <= h->in.n; i++)
        if (is_hello(h->in.p + i)) {
            h->found = true;
            break;
        }
    h->passed += i;
    buf_consume(&h->in, i);
    return h->found || h->passed <= CLEAR_MAX;
}

static bool read_records(struct hellos *h, const struct hellos_events *events)
{
    while (h->in.n >= RECORD_HEADER) {
        const uint8_t *p = h->in.p;
        size_t n = (size_t)p[3] << 8 | p[4];
        if (p[1] != 3 || n > RECORD_MAX)
            return false;
        if (h->in.n < RECORD_HEADER + n)
            return true;
        if (p[0] == RECORD_HANDSHAKE)
            buf_put(&h->messages, p + RECORD_HEADER, n);
        else if (p[0] != RECORD_ALERT)
            return false; /* from here on it is encrypted, or no TLS at all */
        buf_consume(&h->in, RECORD_HEADER + n);
        if (buf_err(&h->messages) != TM_OK || !read_messages(h, events))
            return false;
    }
    return true;
}

bool hellos_feed(struct hellos *h, struct slice octets, const struct hellos_events *events)
{
    octets = slice_sub(octets, 0, HELLOS_OCTETS - h->seen);
    h->seen += octets.n;
    buf_put_slice(&h->in, octets);
    if (buf_err(&h->in) != TM_OK)
        return false;
    if (!h->found && !find_hello(h))
        return false;
    return (!h->found || read_records(h, events)) && h->seen < HELLOS_OCTETS;
}
