/* What the server's handshake messages say (RFC 8446 4, RFC 5246 7.4, RFC 6347 4.2). */
#include "discover/talk_impl.h"
#include <stdlib.h>
#include <string.h>

/* RFC 8446 4.1.3: the random of a ServerHello that is a HelloRetryRequest, SHA-256 of that word. */
static const uint8_t retry_random[TLS_RANDOM_LEN] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

struct server_hello {
    uint16_t version, suite;
    struct slice random, share, cookie;
    uint16_t group;
};

static void malformed(struct talk *t, const char *hint)
{
    talk_fail(t, TLS_FAIL_MALFORMED, hint);
}

/* ---- extensions ---- */

static void take_alpn(struct talk *t, struct slice s)
{
    struct wire w = wire_of(s), list = wire_of(wire_vector(&w, 2));
    struct slice name = wire_vector(&list, 1);
    if (list.bad || name.n >= TLS_ALPN_MAX)
        return;
    /* Somebody else's octets: what does not print is not kept. */
    for (size_t i = 0; i < name.n; i++)
        t->facts.alpn[i] = name.p[i] > ' ' && name.p[i] < 0x7f ? (char)name.p[i] : '?';
    t->facts.alpn[name.n] = '\0';
}

static void hello_extension(struct talk *t, struct server_hello *h, unsigned type, struct slice s)
{
    struct wire w = wire_of(s);
    switch (type) {
    case TLS_EXT_SUPPORTED_VERSIONS:
        h->version = (uint16_t)wire_number(&w, 2);
        break;
    case TLS_EXT_KEY_SHARE:
        h->group = (uint16_t)wire_number(&w, 2);
        if (w.p < w.end)
            h->share = wire_vector(&w, 2);
        break;
    case TLS_EXT_COOKIE:
        h->cookie = wire_vector(&w, 2);
        break;
    case TLS_EXT_ALPN:
        take_alpn(t, s);
        break;
    case TLS_EXT_EXTENDED_MASTER_SECRET:
        t->facts.extended_master_secret = true;
        break;
    case TLS_EXT_RENEGOTIATION_INFO:
        t->facts.secure_renego = true;
        break;
    default:
        break;
    }
}

/* Every extension of a list; false: it is none. */
static bool each_extension(struct talk *t, struct server_hello *h, struct wire *w)
{
    struct wire list = wire_of(wire_vector(w, 2));
    while (!list.bad && list.p < list.end) {
        unsigned type = wire_number(&list, 2);
        struct slice s = wire_vector(&list, 2);
        if (!list.bad)
            hello_extension(t, h, type, s);
    }
    return !w->bad && !list.bad;
}

/* ---- ServerHello and HelloRetryRequest ---- */

static bool read_hello(struct talk *t, struct server_hello *h, struct slice body)
{
    struct wire w = wire_of(body);
    *h = (struct server_hello){.version = (uint16_t)wire_number(&w, 2)};
    h->random = wire_octets(&w, TLS_RANDOM_LEN);
    (void)wire_vector(&w, 1);
    h->suite = (uint16_t)wire_number(&w, 2);
    (void)wire_number(&w, 1);
    return !w.bad && (w.p == w.end || each_extension(t, h, &w));
}

static bool version_offered(const struct tls_offer *o, uint16_t version)
{
    return o->dtls ? version == DTLS_1_2 || version == DTLS_1_0 : version >= SSL_3_0 && version <= o->most;
}

/* Another share or a cookie is asked for: the second ClientHello, and the transcript that goes with it (RFC 8446 4.1.4, 4.4.1). */
static void retry(struct talk *t, const struct server_hello *h, const struct tls_suite *suite,
                  struct slice whole, struct buf *out)
{
    struct share *other = NULL;
    struct buf hello;
    t->facts.hello_retry = true;
    t->facts.group = h->group;
    t->facts.version = h->version;
    if (t->offer->probe || t->offer->only_group) { /* that the server has it was all the question */
        t->over = true;
        return;
    }
    if (t->retried || !suite || suite->kx != TLS_KX_TLS13) {
        malformed(t, "a second HelloRetryRequest");
        return;
    }
    buf_init(&hello, TLS_HELLO_MAX + 2 * SHARE_SECRET_MAX);
    talk_hello_message(t, &hello);
    if (buf_err(&hello) == TM_OK)
        t->transcript = transcript_new(t->kit, suite, buf_slice(&hello), whole);
    if (!t->transcript) {
        talk_fail(t, TLS_FAIL_LOCAL, NULL);
    } else if (h->group && share_take(&other, t->kit, h->group) != TM_OK) {
        talk_fail(t, TLS_FAIL_UNDECRYPTABLE, "a group that was not offered");
    } else {
        if (other) {
            for (size_t i = 0; i < t->n_shares; i++)
                share_drop(t->shares[i]);
            t->shares[0] = other;
            t->n_shares = 1;
        }
        if (h->cookie.n > 0 && h->cookie.n <= TLS_COOKIE_MAX && (t->cookie = malloc(h->cookie.n))) {
            memcpy(t->cookie, h->cookie.p, h->cookie.n);
            t->cookie_n = (uint8_t)h->cookie.n;
        }
        t->retried = true;
        buf_reset(&hello);
        talk_hello_message(t, &hello);
        if (buf_err(&hello) != TM_OK || !transcript_add(t->transcript, buf_slice(&hello)))
            talk_fail(t, TLS_FAIL_LOCAL, NULL);
        else
            talk_put_hello(t, out);
    }
    buf_done(&hello);
}

static void derive(struct talk *t, const struct server_hello *h, const struct tls_suite *suite,
                   struct slice whole)
{
    const struct share *ours = NULL;
    struct buf hello;
    for (size_t i = 0; i < t->n_shares; i++)
        if (share_group(t->shares[i]) == h->group)
            ours = t->shares[i];
    t->keys = ours ? malloc(sizeof *t->keys) : NULL;
    if (!t->keys) {
        talk_fail(t, ours ? TLS_FAIL_LOCAL : TLS_FAIL_UNDECRYPTABLE,
                  ours ? NULL : "a key share for another group");
        return;
    }
    buf_init(&hello, TLS_HELLO_MAX + 2 * SHARE_SECRET_MAX);
    if (!t->transcript)
        talk_hello_message(t, &hello);
    if (buf_err(&hello) != TM_OK)
        talk_fail(t, TLS_FAIL_LOCAL, NULL);
    else if (tls13_keys_derive(t->keys, t->kit, suite, ours, h->share, t->transcript, buf_slice(&hello),
                               whole) != TM_OK)
        talk_fail(t, TLS_FAIL_UNDECRYPTABLE, "a key share that is none");
    t->encrypted = true;
    buf_done(&hello);
}

static void take_hello(struct talk *t, struct slice whole, struct slice body, struct buf *out)
{
    struct server_hello h;
    if (!read_hello(t, &h, body) || (t->facts.version && !t->retried) || t->encrypted) {
        malformed(t, "a ServerHello that breaks its form, or a second one");
        return;
    }
    if (!version_offered(t->offer, h.version)) {
        malformed(t, "a version that was not offered");
        return;
    }
    const struct tls_suite *suite = tls_suite_find(h.suite);
    if (h.version == TLS_1_3 && slice_eq(h.random, SLICE_ARR(retry_random))) {
        retry(t, &h, suite, whole, out);
        return;
    }
    t->facts.version = h.version;
    t->facts.suite = h.suite;
    if (t->offer->probe) {
        t->over = true;
        return;
    }
    if (h.version != TLS_1_3) {
        if (suite && suite->kx == TLS_KX_ANON)
            talk_fail(t, TLS_FAIL_NO_CERTIFICATE, "an anonymous suite");
        return;
    }
    t->facts.group = h.group;
    if (!suite || suite->kx != TLS_KX_TLS13)
        malformed(t, "a suite that is none of TLS 1.3");
    else
        derive(t, &h, suite, whole);
}

/* ---- the rest ---- */

/* struct { ProtocolVersion server_version; opaque cookie<0..2^8-1>; } HelloVerifyRequest (RFC 6347 4.2.1) */
static void take_verify_request(struct talk *t, struct slice body, struct buf *out)
{
    struct wire w = wire_of(body);
    (void)wire_number(&w, 2);
    struct slice cookie = wire_vector(&w, 1);
    if (!t->offer->dtls || t->cookie_seen || w.bad || cookie.n == 0) {
        malformed(t, "a HelloVerifyRequest where there may be none");
        return;
    }
    t->cookie = malloc(cookie.n);
    if (!t->cookie) {
        talk_fail(t, TLS_FAIL_LOCAL, NULL);
        return;
    }
    memcpy(t->cookie, cookie.p, cookie.n);
    t->cookie_n = (uint8_t)cookie.n;
    t->cookie_seen = true;
    talk_put_hello(t, out);
}

static void take_certificates(struct talk *t, struct slice body)
{
    if (t->facts.n_chain || !t->facts.version) {
        malformed(t, "a certificate out of turn");
        return;
    }
    buf_put_slice(&t->certificates, body);
    if (buf_err(&t->certificates) != TM_OK) {
        talk_fail(t, buf_err(&t->certificates) == TM_ETOOBIG ? TLS_FAIL_TOO_BIG : TLS_FAIL_LOCAL, NULL);
        return;
    }
    struct wire w = wire_of(buf_slice(&t->certificates));
    if (t->encrypted)
        (void)wire_vector(&w, 1); /* certificate_request_context */
    struct wire list = wire_of(wire_vector(&w, 3));
    size_t kept = 0, sent = 0;
    while (!list.bad && list.p < list.end) {
        struct slice der = wire_vector(&list, 3);
        if (t->encrypted)
            (void)wire_vector(&list, 2);
        if (list.bad || der.n == 0)
            break;
        sent++;
        if (kept < TLS_CHAIN_MAX)
            t->facts.chain[kept++] = der;
    }
    if (w.bad || list.bad) {
        malformed(t, "a list of certificates that breaks its form");
        return;
    }
    t->facts.n_sent = sent;
    if (kept == 0) {
        talk_fail(t, TLS_FAIL_NO_CERTIFICATE, "an empty list");
        return;
    }
    t->facts.n_chain = kept;
    if (t->encrypted) /* what asks for a client's certificate comes before */
        t->over = true;
}

/* ECDHE: ECCurveType, NamedCurve (RFC 8422 5.4); DHE: dh_p<1..2^16-1> (RFC 5246 7.4.3) */
static void take_key_exchange(struct talk *t, struct slice body)
{
    enum { NAMED_CURVE = 3 };
    struct wire w = wire_of(body);
    const struct tls_suite *suite = tls_suite_find(t->facts.suite);
    if (suite && suite->kx == TLS_KX_ECDHE && wire_number(&w, 1) == NAMED_CURVE) {
        unsigned group = wire_number(&w, 2);
        t->facts.group = w.bad ? 0 : (uint16_t)group;
    } else if (suite && suite->kx == TLS_KX_DHE) {
        struct slice p = wire_vector(&w, 2);
        while (p.n && *p.p == 0)
            p = slice_of(p.p + 1, p.n - 1);
        unsigned bits = (unsigned)p.n * 8;
        for (unsigned top = p.n ? *p.p : 0x80; top < 0x80; top <<= 1)
            bits--;
        t->facts.dh_bits = (uint16_t)(w.bad || bits > UINT16_MAX ? 0 : bits);
    }
}

void talk_message(struct talk *t, uint8_t type, struct slice whole, struct slice body, struct buf *out)
{
    struct wire w = wire_of(body);
    struct server_hello ignored = {0};
    if (!t->facts.version && type != TLS_SERVER_HELLO && type != DTLS_HELLO_VERIFY_REQUEST && type != 0) {
        malformed(t, "a message before the ServerHello");
        return;
    }
    switch (type) {
    case TLS_SERVER_HELLO:
        take_hello(t, whole, body, out);
        break;
    case DTLS_HELLO_VERIFY_REQUEST:
        take_verify_request(t, body, out);
        break;
    case TLS_ENCRYPTED_EXTENSIONS:
        if (!t->encrypted || !each_extension(t, &ignored, &w))
            malformed(t, "extensions that break their form");
        break;
    case TLS_CERTIFICATE_REQUEST:
        t->facts.client_auth = true;
        break;
    case TLS_CERTIFICATE:
        take_certificates(t, body);
        break;
    case TLS_SERVER_KEY_EXCHANGE:
        take_key_exchange(t, body);
        break;
    case TLS_SERVER_HELLO_DONE:
    case TLS_FINISHED:
    case TLS_CERTIFICATE_VERIFY:
        talk_fail(t, TLS_FAIL_NO_CERTIFICATE, "the server went on without one");
        break;
    default: /* HelloRequest, CertificateStatus, what is still to be invented: the bound on octets holds */
        break;
    }
}
