/* Records and handshake messages: how the octets of a connection or of a datagram are cut (RFC 8446 5, RFC 6347 4.1 and 4.2.2). */
#include "discover/talk_impl.h"
#include <string.h>

enum { HEADER = 5, DTLS_HEADER = 13, DTLS_MESSAGE_HEADER = 12 };

struct wire wire_of(struct slice s)
{
    return (struct wire){.p = s.p, .end = s.n ? s.p + s.n : s.p};
}

struct slice wire_octets(struct wire *w, size_t n)
{
    if (w->bad || n > (size_t)(w->end - w->p)) {
        w->bad = true;
        return (struct slice){0};
    }
    struct slice s = slice_of(w->p, n);
    w->p += n;
    return s;
}

unsigned wire_number(struct wire *w, unsigned octets)
{
    struct slice s = wire_octets(w, octets);
    unsigned v = 0;
    for (size_t i = 0; i < s.n; i++)
        v = v << 8 | s.p[i];
    return v;
}

struct slice wire_vector(struct wire *w, unsigned length_octets)
{
    size_t n = wire_number(w, length_octets);
    return wire_octets(w, n);
}

/* ---- messages ---- */

static size_t message_length(const uint8_t *p)
{
    return (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

/* Those that are complete, one after the other; says how much they take. */
static size_t take_messages(struct talk *t, struct slice s, struct buf *out)
{
    size_t at = 0;
    while (!t->over && s.n - at >= 4) {
        size_t n = message_length(s.p + at);
        if (n > TLS_MESSAGE_MAX) {
            talk_fail(t, TLS_FAIL_TOO_BIG, "a handshake message beyond 64 KiB");
            break;
        }
        if (s.n - at - 4 < n)
            break;
        talk_message(t, s.p[at], slice_of(s.p + at, 4 + n), slice_of(s.p + at + 4, n), out);
        at += 4 + n;
    }
    return at;
}

static void take_handshake(struct talk *t, struct slice s, struct buf *out)
{
    if (t->messages.n == 0) {
        size_t used = take_messages(t, s, out);
        s = slice_of(s.p + used, s.n - used);
    }
    if (t->over || s.n == 0)
        return;
    buf_put_slice(&t->messages, s);
    if (buf_err(&t->messages) != TM_OK) {
        talk_fail(t, TLS_FAIL_LOCAL, NULL);
        return;
    }
    buf_consume(&t->messages, take_messages(t, buf_slice(&t->messages), out));
}

/* ---- records ---- */

/* What a service that has no idea of TLS tends to begin with. */
static const char *foreign_hint(struct slice s)
{
    static const struct {
        const char *begins, *hint;
    } known[] = {{"HTTP/", "HTTP"}, {"<", "HTTP, or XML"}, {"SSH-", "SSH"},           {"220", "SMTP or FTP"},
                 {"* OK", "IMAP"},  {"+OK", "POP3"},       {"-ERR", "POP3 or Redis"}, {"RFB ", "VNC"},
                 {"AMQP", "AMQP"},  {"554", "SMTP"},       {"@RSYNCD", "rsync"},      {0}};
    for (size_t i = 0; known[i].begins; i++) {
        size_t n = strlen(known[i].begins);
        if (s.n >= n && memcmp(s.p, known[i].begins, n) == 0)
            return known[i].hint;
    }
    return NULL;
}

static void take_sealed(struct talk *t, const uint8_t *header, struct slice sealed, struct buf *out)
{
    uint8_t plain[TLS_RECORD_MAX], type;
    size_t n;
    if (tls13_open(plain, &n, &type, t->kit, t->keys, header, sealed) != TM_OK)
        talk_fail(t, TLS_FAIL_UNDECRYPTABLE, "a record that can't be opened");
    else if (type == TLS_HANDSHAKE)
        take_handshake(t, slice_of(plain, n), out);
    else if (type == TLS_ALERT)
        talk_alert(t, slice_of(plain, n));
    else
        talk_fail(t, TLS_FAIL_MALFORMED, "application data before the handshake's end");
}

static void take_record(struct talk *t, const uint8_t *header, struct slice payload, struct buf *out)
{
    switch (header[0]) {
    case TLS_CHANGE_CIPHER_SPEC: /* RFC 8446 D.4: without meaning; before that, the handshake is past its certificates */
        if (!t->encrypted && t->facts.version && !t->retried)
            talk_fail(t, TLS_FAIL_NO_CERTIFICATE, "the server resumes a session that there never was");
        return;
    case TLS_ALERT:
        talk_alert(t, payload);
        return;
    case TLS_HANDSHAKE:
        if (t->encrypted)
            talk_fail(t, TLS_FAIL_MALFORMED, "a message in clear after the keys");
        else
            take_handshake(t, payload, out);
        return;
    default:
        if (t->encrypted)
            take_sealed(t, header, payload, out);
        else
            talk_fail(t, TLS_FAIL_MALFORMED, "application data before the keys");
    }
}

size_t talk_records(struct talk *t, struct slice s, struct buf *out)
{
    size_t at = 0;
    while (!t->over && at < s.n) {
        const uint8_t *p = s.p + at;
        size_t left = s.n - at;
        if (p[0] < TLS_CHANGE_CIPHER_SPEC || p[0] > TLS_APPLICATION_DATA || (left > 1 && p[1] != 3)) {
            bool first = !t->facts.version && t->octets == s.n;
            talk_fail(t, first || !t->facts.version ? TLS_FAIL_NOT_TLS : TLS_FAIL_MALFORMED,
                      first ? foreign_hint(s) : NULL);
            break;
        }
        if (left < HEADER)
            break;
        size_t n = (size_t)p[3] << 8 | p[4];
        if (n > TLS_RECORD_MAX) {
            talk_fail(t, TLS_FAIL_TOO_BIG, "a record beyond 18 KiB");
            break;
        }
        if (left - HEADER < n)
            break;
        take_record(t, p, slice_of(p + HEADER, n), out);
        at += HEADER + n;
    }
    return at;
}

/* ---- datagrams ---- */

/* Fragments are taken in order, as networks deliver them but for rare cases; the others come again when the server's timer runs out. */
static void take_fragment(struct talk *t, struct wire *w, struct buf *out)
{
    unsigned type = wire_number(w, 1), length = wire_number(w, 3), sequence = wire_number(w, 2),
             offset = wire_number(w, 3);
    struct slice part = wire_vector(w, 3);
    if (w->bad || offset > length || part.n > length - offset) {
        w->bad = true;
        return;
    }
    if (length > TLS_MESSAGE_MAX) {
        talk_fail(t, TLS_FAIL_TOO_BIG, "a handshake message beyond 64 KiB");
        return;
    }
    if (sequence != t->message_seq || offset > t->message_have || offset + part.n < t->message_have)
        return;
    if (t->message_have == 0 && part.n == length) {
        t->message_seq++;
        talk_message(t, (uint8_t)type, part, part, out);
        return;
    }
    buf_put(&t->messages, part.p + (t->message_have - offset), part.n - (t->message_have - offset));
    if (buf_err(&t->messages) != TM_OK) {
        talk_fail(t, TLS_FAIL_LOCAL, NULL);
        return;
    }
    t->message_have = (uint32_t)t->messages.n;
    if (t->message_have < length)
        return;
    /* Another fragment may have told another length: what is there is what counts. */
    struct slice body = slice_of(t->messages.p, length);
    t->message_seq++;
    t->message_have = 0;
    talk_message(t, (uint8_t)type, body, body, out);
    buf_reset(&t->messages);
}

void talk_datagram(struct talk *t, struct slice s, struct buf *out)
{
    struct wire w = wire_of(s);
    while (!t->over && w.p < w.end) {
        unsigned type = wire_number(&w, 1), version = wire_number(&w, 2), epoch = wire_number(&w, 2);
        (void)wire_octets(&w, 6);
        struct slice payload = wire_vector(&w, 2);
        if (w.bad || type < TLS_CHANGE_CIPHER_SPEC || type > TLS_APPLICATION_DATA || version >> 8 != 0xfe) {
            talk_fail(t, t->facts.version ? TLS_FAIL_MALFORMED : TLS_FAIL_NOT_TLS, NULL);
            return;
        }
        if (epoch != 0)
            continue;
        struct wire in = wire_of(payload);
        if (type == TLS_ALERT)
            talk_alert(t, payload);
        while (type == TLS_HANDSHAKE && !t->over && !in.bad && in.p < in.end)
            take_fragment(t, &in, out);
        if (in.bad)
            talk_fail(t, TLS_FAIL_MALFORMED, "a fragment beyond its message");
    }
}
