/* enroll/acme/nonce.h - anti-replay nonces (RFC 8555 section 6.5) without a table of them.
 *
 * Layer 5, thread-safe. A nonce is node, epoch, a counter and a MAC over these; a bitmap over the last NONCE_WINDOW counters makes each
 * good for one use, in 128 KiB whatever the load. What another node or an earlier run gave out is a stranger here, and so is one that
 * is older than the window: the client is told badNonce, gets a fresh one and tries again (6.5). */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>

enum {
    NONCE_WINDOW = 1 << 20,
    NONCE_OCTETS = 2 + 6 + 8 + 16,           /* node, epoch, counter, MAC */
    NONCE_TEXT = (NONCE_OCTETS * 4 + 2) / 3, /* base64url */
};

struct arena;
struct nonces;

/* `node`: which of several servers this is. Key and epoch are random. */
tm_err nonces_new(struct nonces **ret, unsigned node);
void nonces_free(struct nonces *n);

tm_err nonce_issue(struct nonces *n, char ret[NONCE_TEXT + 1]);
/* True once for each nonce that was issued here and is not too old. `a` is for scratch. */
bool nonce_redeem(struct nonces *n, struct arena *a, struct slice text);
