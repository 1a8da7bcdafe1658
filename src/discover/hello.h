/* discover/hello.h - the ClientHello (RFC 8446 4.1.2; RFC 5246 7.4.1.2; RFC 6347 4.2.1). Layer 5, pure.
 *
 * It is made anew from the same few values whenever it is needed, once to be sent and once for the transcript, so that nobody keeps two
 * kilobytes for each target. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "discover/kit.h"

enum { TLS_RANDOM_LEN = 32, TLS_COOKIE_MAX = 255, HELLO_SHARES_MAX = 2 };

/* What a conversation asks for; shared by many. */
struct tls_offer {
    uint16_t least, most;    /* versions; TLS only */
    const char *const *alpn; /* protocols, ended by NULL; NULL: not offered */
    uint16_t
        only_group; /* TLS 1.3 with this group and no key share, to be told whether the server has it; 0: all */
    bool plain;     /* as clients of old sent it: no extension but the name, nothing newer than TLS 1.2 */
    bool dtls;      /* DTLS 1.2 */
    bool probe;     /* the version that is agreed on is all that matters */
};

struct tls_hello {
    const struct tls_offer *offer;
    const uint8_t *random; /* TLS_RANDOM_LEN octets */
    const char *name;      /* server_name; NULL: none */
    struct share *const *shares;
    size_t n_shares;
    struct slice cookie; /* of a HelloRetryRequest or HelloVerifyRequest; at most TLS_COOKIE_MAX */
};

/* Append the handshake message; with DTLS its header is that of message `sequence` in one piece. */
void hello_put(struct buf *out, const struct tls_hello *h, uint16_t sequence);
