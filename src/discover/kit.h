/* discover/kit.h - what the conversations of one thread share: halves of key exchanges, and the key schedule of TLS 1.3 (RFC 8446 section 7).
 *
 * Layer 5, one thread each. A scanner has nothing to keep secret, for what it is shown is shown to anybody: so one half serves a thousand
 * conversations (SHARE_USES), and making it costs next to nothing. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "discover/tls.h"

enum {
    SHARE_USES = 1000,
    SHARE_SECRET_MAX = 1024,
    TLS_HASH_MAX = 48,
    TLS_GROUP_P256 = 0x0017,
    TLS_GROUP_P384 = 0x0018,
    TLS_GROUP_P521 = 0x0019,
    TLS_GROUP_X25519 = 0x001d,
    TLS_GROUP_X448 = 0x001e,
    TLS_GROUP_X25519_MLKEM768 = 0x11ec,
};

struct kit;
tm_err kit_new(struct kit **ret);
void kit_free(struct kit *k); /* after all shares were dropped */

/* Groups that can be agreed on, most wanted first; ended by 0. */
extern const uint16_t share_groups[];

/* Our half for a group, held until share_drop(). TM_EUNSUPPORTED for groups that share_groups[] lacks. */
struct share;
tm_err share_take(struct share **ret, struct kit *k, uint16_t group);
void share_drop(struct share *s); /* NULL is nothing */
uint16_t share_group(const struct share *s);
struct slice share_public(const struct share *s);

/* A running transcript, for conversations with a HelloRetryRequest. */
struct transcript;
/* Begins as after a HelloRetryRequest: message_hash of the first ClientHello, then that request (RFC 8446 4.4.1). NULL: no memory. */
struct transcript *transcript_new(struct kit *k, const struct tls_suite *suite, struct slice hello,
                                  struct slice retry);
bool transcript_add(struct transcript *t, struct slice message);
void transcript_free(struct transcript *t);

/* How the server's handshake records are opened. */
struct tls13_keys {
    const struct tls_suite *suite;
    uint8_t key[32], iv[12];
    uint64_t sequence;
};
/* From our half and the server's, and the messages up to its ServerHello: `before` where it was told apart from the last one, else `t`.
 * TM_ECRYPTO when the server's half is none of the group's. */
tm_err tls13_keys_derive(struct tls13_keys *ret, struct kit *k, const struct tls_suite *suite,
                         const struct share *ours, struct slice theirs, struct transcript *t,
                         struct slice hello, struct slice server_hello);
/* Open one record: `out` has room for sealed.n octets. *ret_n and *ret_type are those of the inner plaintext, without padding. TM_ECRYPTO. */
tm_err tls13_open(uint8_t *out, size_t *ret_n, uint8_t *ret_type, struct kit *k, struct tls13_keys *keys,
                  const uint8_t header[5], struct slice sealed);
