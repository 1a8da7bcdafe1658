#include "discover/hello.h"
#include <string.h>

static void put16(struct buf *out, size_t v)
{
    buf_putc(out, (uint8_t)(v >> 8));
    buf_putc(out, (uint8_t)v);
}

static void put24(struct buf *out, size_t v)
{
    buf_putc(out, (uint8_t)(v >> 16));
    put16(out, v);
}

/* A length of two octets that is known once what it counts has been written. */
static size_t begin16(struct buf *out)
{
    put16(out, 0);
    return out->n;
}

static void end16(struct buf *out, size_t from)
{
    if (buf_err(out) != TM_OK)
        return;
    size_t n = out->n - from;
    out->p[from - 2] = (uint8_t)(n >> 8);
    out->p[from - 1] = (uint8_t)n;
}

static size_t begin_ext(struct buf *out, enum tls_extension type)
{
    put16(out, type);
    return begin16(out);
}

/* ---- extensions ---- */

/* RFC 6066 3: a DNS name, never an address. */
static void put_server_name(struct buf *out, const char *name)
{
    size_t ext = begin_ext(out, TLS_EXT_SERVER_NAME), list = begin16(out);
    buf_putc(out, 0);
    size_t host = begin16(out);
    buf_puts(out, name);
    end16(out, host);
    end16(out, list);
    end16(out, ext);
}

static void put_groups(struct buf *out, const struct tls_offer *o)
{
    /* Curves that TLS 1.3 has given up, for servers that know nothing else. */
    static const uint16_t old[] = {0x001a, 0x001b, 0x001c, 0x0016, 0x0015};
    size_t ext = begin_ext(out, TLS_EXT_SUPPORTED_GROUPS), list = begin16(out);
    if (o->only_group)
        put16(out, o->only_group);
    for (size_t i = 0; !o->only_group && share_groups[i]; i++)
        put16(out, share_groups[i]);
    for (size_t i = 0; !o->only_group && i < sizeof old / sizeof *old; i++)
        put16(out, old[i]);
    end16(out, list);
    end16(out, ext);
}

/* Everything that a certificate may be signed with, SHA-1 and MD5 among it: what a server has to show is to be seen, not to be trusted. */
static void put_signature_algorithms(struct buf *out)
{
    static const uint16_t algorithms[] = {
        0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a,
        0x080b, 0x0904, 0x0905, 0x0906, 0x081a, 0x081b, 0x081c, 0x0401, 0x0501, 0x0601,
        0x0303, 0x0301, 0x0402, 0x0502, 0x0602, 0x0203, 0x0201, 0x0202, 0x0101,
    };
    size_t ext = begin_ext(out, TLS_EXT_SIGNATURE_ALGORITHMS), list = begin16(out);
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        put16(out, algorithms[i]);
    end16(out, list);
    end16(out, ext);
}

static void put_alpn(struct buf *out, const char *const *protocols)
{
    size_t ext = begin_ext(out, TLS_EXT_ALPN), list = begin16(out);
    for (; *protocols; protocols++) {
        buf_putc(out, (uint8_t)strlen(*protocols));
        buf_puts(out, *protocols);
    }
    end16(out, list);
    end16(out, ext);
}

static void put_versions(struct buf *out, const struct tls_offer *o)
{
    size_t ext = begin_ext(out, TLS_EXT_SUPPORTED_VERSIONS);
    buf_putc(out, (uint8_t)(2 * (o->most - o->least + 1)));
    for (uint16_t v = o->most; v >= o->least; v--)
        put16(out, v);
    end16(out, ext);
}

static void put_shares(struct buf *out, const struct tls_hello *h)
{
    size_t ext = begin_ext(out, TLS_EXT_KEY_SHARE), list = begin16(out);
    for (size_t i = 0; i < h->n_shares; i++) {
        put16(out, share_group(h->shares[i]));
        size_t key = begin16(out);
        buf_put_slice(out, share_public(h->shares[i]));
        end16(out, key);
    }
    end16(out, list);
    end16(out, ext);
}

static void put_empty(struct buf *out, enum tls_extension type)
{
    end16(out, begin_ext(out, type));
}

static void put_extensions(struct buf *out, const struct tls_hello *h)
{
    static const uint8_t uncompressed[] = {0, 11, 0, 2, 1, 0}, no_renegotiation[] = {0xff, 1, 0, 1, 0};
    const struct tls_offer *o = h->offer;
    size_t from = begin16(out);
    if (h->name && o->most > SSL_3_0)
        put_server_name(out, h->name);
    if (!o->plain) {
        put_groups(out, o);
        buf_put(out, uncompressed, sizeof uncompressed);
        put_signature_algorithms(out);
        buf_put(out, no_renegotiation, sizeof no_renegotiation);
        put_empty(out, TLS_EXT_EXTENDED_MASTER_SECRET);
        if (o->alpn)
            put_alpn(out, o->alpn);
    }
    if (!o->plain && !o->dtls && o->most >= TLS_1_3) {
        put_versions(out, o);
        if (h->cookie.n) {
            size_t ext = begin_ext(out, TLS_EXT_COOKIE), cookie = begin16(out);
            buf_put_slice(out, h->cookie);
            end16(out, cookie);
            end16(out, ext);
        }
        put_shares(out, h);
    }
    /* Servers from before extensions may not take an empty list of them. */
    if (out->n == from && buf_err(out) == TM_OK)
        out->n -= 2;
    else
        end16(out, from);
}

/* ---- the message ---- */

static bool offers(const struct tls_offer *o, const struct tls_suite *s)
{
    bool newest = s->kx == TLS_KX_TLS13;
    return newest ? !o->plain && !o->dtls && o->most >= TLS_1_3 : o->dtls || o->least < TLS_1_3;
}

static void put_suites(struct buf *out, const struct tls_offer *o)
{
    size_t list = begin16(out);
    for (const struct tls_suite *s = tls_suites; s->name; s++)
        if (offers(o, s))
            put16(out, s->id);
    end16(out, list);
}

static void put_body(struct buf *out, const struct tls_hello *h)
{
    const struct tls_offer *o = h->offer;
    bool middlebox = !o->plain && !o->dtls && o->most >= TLS_1_3;
    put16(out, o->dtls ? (size_t)DTLS_1_2 : o->most > TLS_1_2 ? (size_t)TLS_1_2 : o->most);
    buf_put(out, h->random, TLS_RANDOM_LEN);
    buf_putc(out, middlebox ? TLS_RANDOM_LEN : 0);
    /* RFC 8446 D.4: any session id lets boxes on the way pass what looks like a session that is resumed. */
    for (size_t i = 0; middlebox && i < TLS_RANDOM_LEN; i++)
        buf_putc(out, (uint8_t)~h->random[i]);
    if (o->dtls) {
        buf_putc(out, (uint8_t)h->cookie.n);
        buf_put_slice(out, h->cookie);
    }
    put_suites(out, o);
    buf_putc(out, 1); /* no compression, and no other offered */
    buf_putc(out, 0);
    put_extensions(out, h);
}

void hello_put(struct buf *out, const struct tls_hello *h, uint16_t sequence)
{
    size_t header = h->offer->dtls ? 12 : 4, from = out->n;
    buf_putc(out, TLS_CLIENT_HELLO);
    put24(out, 0);
    if (h->offer->dtls) {
        put16(out, sequence);
        put24(out, 0);
        put24(out, 0);
    }
    put_body(out, h);
    if (buf_err(out) != TM_OK)
        return;
    size_t n = out->n - from - header;
    for (size_t at = 1; at < header; at += 8) { /* the length, and in DTLS that of the one fragment */
        out->p[from + at] = (uint8_t)(n >> 16);
        out->p[from + at + 1] = (uint8_t)(n >> 8);
        out->p[from + at + 2] = (uint8_t)n;
    }
}
