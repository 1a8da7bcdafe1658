/* What servers say to the scanner: STARTTLS dialects, records, datagrams, handshake messages. However it is cut, it means the same.
 * The first octet says how it is read, the second into what pieces it is cut.
 * Parser: discover/talk.c -talk_put_hello -talk_hello_message discover/talk_records.c discover/talk_messages.c discover/starttls_ldap.c discover/starttls_lines.c discover/starttls_mysql.c discover/starttls_postgres.c discover/starttls_xmpp.c */
#include "discover/talk_impl.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TODAY, PLAIN, PROBE, DATAGRAMS, SEALED, STARTTLS_FIRST, MODES = STARTTLS_FIRST + 7 };

static const struct tls_offer offers[] = {
    [TODAY] = {.least = TLS_1_0, .most = TLS_1_3},
    [PLAIN] = {.least = SSL_3_0, .most = TLS_1_2, .plain = true},
    [PROBE] = {.least = TLS_1_3, .most = TLS_1_3, .probe = true, .only_group = TLS_GROUP_X25519_MLKEM768},
    [DATAGRAMS] = {.least = TLS_1_2, .most = TLS_1_2, .dtls = true},
};

/* Each has its length in front. */
static void take_datagrams(struct talk *t, struct slice s, struct buf *out)
{
    struct wire w = wire_of(s);
    bool goes_on = true;
    while (goes_on && w.p < w.end && !w.bad)
        goes_on = talk_take(t, wire_vector(&w, 2), out);
}

/* What would come out of sealed records, had they been opened. */
static void take_sealed(struct talk *t, struct slice s, struct buf *out)
{
    struct wire w = wire_of(s);
    t->encrypted = true;
    t->facts.version = TLS_1_3;
    while (!t->over && w.p < w.end) {
        struct slice whole = {.p = w.p};
        unsigned type = wire_number(&w, 1);
        struct slice body = wire_vector(&w, 3);
        whole.n = (size_t)(w.p - whole.p);
        if (w.bad)
            return;
        talk_message(t, (uint8_t)type, whole, body, out);
    }
}

static bool listen(struct talk *t, struct kit *kit, unsigned mode, struct slice s, size_t piece)
{
    const struct starttls *starttls =
        mode >= STARTTLS_FIRST ? starttls_protocols[mode - STARTTLS_FIRST] : NULL;
    struct buf out;
    if (talk_init(t, kit, &offers[mode < SEALED ? mode : TODAY], starttls, "www.example.org") != TM_OK)
        return false;
    buf_init(&out, 1 << 20);
    talk_begin(t, &out);
    if (mode == DATAGRAMS)
        take_datagrams(t, s, &out);
    else if (mode == SEALED)
        take_sealed(t, s, &out);
    else
        for (size_t at = 0; at < s.n && talk_take(t, slice_sub(s, at, piece), &out); at += piece)
            buf_reset(&out);
    talk_end(t, TLS_FAIL_CLOSED);
    buf_done(&out);
    return true;
}

static void same(const struct tls_facts *a, const struct tls_facts *b)
{
    if (a->failure != b->failure || a->version != b->version || a->suite != b->suite ||
        a->group != b->group || a->alert != b->alert || a->n_chain != b->n_chain || a->n_sent != b->n_sent ||
        strcmp(a->alpn, b->alpn) != 0)
        abort();
    for (size_t i = 0; i < a->n_chain; i++)
        if (!slice_eq(a->chain[i], b->chain[i]))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kit *kit;
    struct talk whole, cut;
    if (size < 2 || kit_new(&kit) != TM_OK)
        return 0;
    unsigned mode = data[0] % MODES;
    struct slice s = slice_of(data + 2, size - 2);
    if (listen(&whole, kit, mode, s, s.n + 1)) {
        const struct tls_facts *f = &whole.facts;
        if (f->n_chain > TLS_CHAIN_MAX || f->n_sent < f->n_chain ||
            (f->n_chain && f->failure != TLS_FAIL_NONE) ||
            (!f->n_chain && f->failure == TLS_FAIL_NONE && !f->version))
            abort();
        if (listen(&cut, kit, mode, s, data[1] % 64 + 1)) {
            same(f, &cut.facts);
            talk_done(&cut);
        }
        talk_done(&whole);
    }
    kit_free(kit);
    return 0;
}
