#include "discover/talk.h"
#include "base/digest.h"
#include "discover/talk_impl.h"
#include <stdlib.h>
#include <string.h>

enum { DATAGRAM_HEADERS = 28 };

/* ---- begin and end ---- */

static tm_err take_shares(struct talk *t)
{
    static const uint16_t usual[] = {TLS_GROUP_X25519_MLKEM768, TLS_GROUP_X25519};
    if (t->offer->plain || t->offer->dtls || t->offer->most < TLS_1_3 || t->offer->only_group ||
        t->offer->probe)
        return TM_OK;
    for (size_t i = 0; i < HELLO_SHARES_MAX; i++) {
        TM_TRY(share_take(&t->shares[i], t->kit, usual[i]));
        t->n_shares++;
    }
    return TM_OK;
}

tm_err talk_init(struct talk *t, struct kit *kit, const struct tls_offer *offer,
                 const struct starttls *starttls, const char *name)
{
    *t = (struct talk){.kit = kit, .offer = offer, .starttls = starttls, .name = name};
    buf_init(&t->in, TLS_RECORD_MAX + 5 > STARTTLS_OCTETS_MAX ? TLS_RECORD_MAX + 5 : STARTTLS_OCTETS_MAX);
    buf_init(&t->messages, TLS_MESSAGE_MAX + TLS_RECORD_MAX);
    buf_init(&t->certificates, TLS_MESSAGE_MAX);
    tm_err e = random_bytes(t->random, sizeof t->random);
    if (e == TM_OK)
        e = take_shares(t);
    if (e != TM_OK)
        talk_done(t);
    return e;
}

void talk_done(struct talk *t)
{
    for (size_t i = 0; i < t->n_shares; i++)
        share_drop(t->shares[i]);
    t->n_shares = 0;
    transcript_free(t->transcript);
    t->transcript = NULL;
    free(t->keys);
    t->keys = NULL;
    free(t->cookie);
    t->cookie = NULL;
    buf_done(&t->in);
    buf_done(&t->messages);
    buf_done(&t->certificates);
}

void talk_fail(struct talk *t, enum tls_failure why, const char *hint)
{
    if (!t->over && t->facts.n_chain == 0 && !(t->offer->probe && t->facts.version)) {
        t->facts.failure = why;
        t->facts.hint = hint;
    }
    t->over = true;
}

void talk_end(struct talk *t, enum tls_failure why)
{
    talk_fail(t, why, NULL);
}

void talk_alert(struct talk *t, struct slice s)
{
    enum { WARNING = 1, CLOSE_NOTIFY = 0, USER_CANCELED = 90 };
    if (s.n < 2) {
        talk_fail(t, TLS_FAIL_MALFORMED, "an alert of one octet");
        return;
    }
    /* Before TLS 1.3 a warning lets the handshake go on: "I don't know this name", and then the certificate of another. */
    if (s.p[0] == WARNING && s.p[1] != CLOSE_NOTIFY && s.p[1] != USER_CANCELED && !t->encrypted)
        return;
    t->facts.alert = s.p[1];
    talk_fail(t, s.p[1] == CLOSE_NOTIFY ? TLS_FAIL_CLOSED : TLS_FAIL_ALERT, NULL);
}

/* ---- what we say ---- */

void talk_hello_message(const struct talk *t, struct buf *out)
{
    const struct tls_hello h = {.offer = t->offer,
                                .random = t->random,
                                .name = t->name,
                                .shares = t->shares,
                                .n_shares = t->n_shares,
                                .cookie = slice_of(t->cookie, t->cookie_n)};
    hello_put(out, &h, t->cookie_seen);
}

void talk_put_hello(struct talk *t, struct buf *out)
{
    struct buf message;
    buf_init(&message, TLS_HELLO_MAX + 2 * SHARE_SECRET_MAX);
    talk_hello_message(t, &message);
    if (buf_err(&message) != TM_OK) {
        talk_fail(t, TLS_FAIL_LOCAL, NULL);
    } else if (t->offer->dtls) {
        /* RFC 6347 4.1: epoch 0, and a number that no other record of ours has. */
        const uint8_t header[] = {
            TLS_HANDSHAKE,     0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, t->record_seq++, (uint8_t)(message.n >> 8),
            (uint8_t)message.n};
        buf_put(out, header, sizeof header);
    } else {
        /* RFC 8446 5.1: 0x0301 for the sake of old servers; a server of SSL 3.0 wants its own. */
        const uint8_t header[] = {TLS_HANDSHAKE, 3, t->offer->most == SSL_3_0 ? 0 : 1,
                                  (uint8_t)(message.n >> 8), (uint8_t)message.n};
        buf_put(out, header, sizeof header);
    }
    buf_put_slice(out, buf_slice(&message));
    buf_done(&message);
}

/* One step of it. True: there was one, and there may be another, for a service may say more than it was asked. */
static bool starttls_step(struct talk *t, struct buf *out)
{
    size_t used = 0;
    enum starttls_state state =
        t->starttls->step(t->step, buf_slice(&t->in), &used, t->name, out, &t->facts.hint);
    const char *hint = t->facts.hint;
    t->facts.hint = NULL;
    buf_consume(&t->in, used);
    switch (state) {
    case STARTTLS_MORE:
        if (t->in.n >= STARTTLS_OCTETS_MAX)
            talk_fail(t, TLS_FAIL_TOO_BIG, NULL);
        return false;
    case STARTTLS_SENT:
        t->step++;
        return t->in.n > 0;
    case STARTTLS_READY:
        t->starttls = NULL;
        talk_put_hello(t, out);
        return false;
    case STARTTLS_REFUSED:
        talk_fail(t, TLS_FAIL_NO_STARTTLS, hint);
        return false;
    case STARTTLS_FOREIGN:
        talk_fail(t, TLS_FAIL_NOT_TLS, hint);
        return false;
    }
    return false;
}

void talk_begin(struct talk *t, struct buf *out)
{
    if (!t->starttls)
        talk_put_hello(t, out);
    else if (!t->starttls->speaks_first)
        (void)starttls_step(t, out);
}

/* ---- what we are told ---- */

bool talk_take(struct talk *t, struct slice octets, struct buf *out)
{
    if (t->over)
        return false;
    /* A datagram costs its headers, too: empty ones have an end as well. */
    t->octets += octets.n + (t->offer->dtls ? DATAGRAM_HEADERS : 0);
    if (t->octets > TLS_OCTETS_MAX) {
        talk_fail(t, TLS_FAIL_TOO_BIG, NULL);
        return false;
    }
    if (t->offer->dtls) {
        talk_datagram(t, octets, out);
        return !t->over;
    }
    /* Records are read where they came, as a rule; only what is not complete is kept. */
    if (!t->starttls && t->in.n == 0) {
        size_t used = talk_records(t, octets, out);
        octets = slice_of(octets.p + used, octets.n - used);
    }
    /* By pieces: the buffer holds one record. */
    while (!t->over && octets.n) {
        size_t most = t->starttls ? (size_t)STARTTLS_OCTETS_MAX : t->in.max;
        size_t room = most > t->in.n ? most - t->in.n : 0, n = octets.n < room ? octets.n : room, used = 0;
        buf_put(&t->in, octets.p, n);
        octets = slice_of(octets.p + n, octets.n - n);
        if (buf_err(&t->in) != TM_OK) {
            talk_fail(t, TLS_FAIL_LOCAL, NULL);
        } else if (t->starttls) {
            while (starttls_step(t, out))
                ;
        }
        if (!t->over && !t->starttls) {
            used = talk_records(t, buf_slice(&t->in), out);
            buf_consume(&t->in, used);
        }
        if (n == 0 && used == 0)
            talk_fail(t, TLS_FAIL_TOO_BIG, NULL);
    }
    if (buf_err(out) != TM_OK)
        talk_fail(t, TLS_FAIL_LOCAL, NULL);
    return !t->over;
}
