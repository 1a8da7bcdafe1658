/* discover/talk.h - one conversation with a server up to its certificates: octets in, octets out, and what they have shown.
 *
 * Layer 5, pure but for random octets; one thread each. STARTTLS first where the protocol has it, then TLS or DTLS. It ends by itself as soon as there
 * is nothing more to learn, and never goes beyond the bounds of discover/tls.h. */
#pragma once
#include "base/buf.h"
#include "discover/hello.h"
#include "discover/kit.h"
#include "discover/starttls.h"
#include "discover/tls.h"

struct talk {
    struct kit *kit;
    const struct tls_offer *offer;
    const struct starttls *starttls; /* NULL once TLS has begun */
    const char *name;                /* for server_name; borrowed; NULL: none */
    uint8_t random[TLS_RANDOM_LEN];
    struct share *shares[HELLO_SHARES_MAX];
    size_t n_shares;
    uint8_t *cookie; /* what the server wants to see again */
    uint8_t cookie_n;
    bool over, encrypted, retried, cookie_seen;
    uint8_t step;          /* of STARTTLS */
    uint16_t message_seq;  /* DTLS: the message that comes next */
    uint32_t message_have; /* DTLS: octets of it that have come */
    uint8_t record_seq;    /* DTLS: of what we send */
    size_t octets;         /* that have come */
    struct buf in;         /* of a record, or of the service, that isn't all there */
    struct buf messages;   /* of a handshake message that isn't all there */
    struct buf certificates;
    struct transcript *transcript;
    struct tls13_keys *keys; /* once `encrypted` */
    struct tls_facts facts;
};

/* `offer` and `name` are borrowed as long as it lives. TM_ECRYPTO, TM_ENOMEM. */
tm_err talk_init(struct talk *t, struct kit *kit, const struct tls_offer *offer,
                 const struct starttls *starttls, const char *name);
void talk_done(struct talk *t);
/* What is to be sent first, appended; with DTLS also what is sent again when no answer came. */
void talk_begin(struct talk *t, struct buf *out);
/* Take what came, a piece of any size (DTLS: a datagram); what is to be sent is appended. False: it is over, and `facts` are what they are. */
bool talk_take(struct talk *t, struct slice octets, struct buf *out);
/* It ended from outside: no more octets come. Certificates that were seen remain, and then it is no failure. */
void talk_end(struct talk *t, enum tls_failure why);
