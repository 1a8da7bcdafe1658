/* keys/signer_decrypt.h - inside the signer: decryptions, and what its journal says of them (docs/adr/0007).
 *
 * Layer 3. A decryption certifies nothing, and anybody may cause one by sending a message: so it does not get an entry of its own, or a stranger
 * would fill the register. Of each key the first decryption, and from then on the first of each minute and every 1024th, goes into the
 * chain with how many there were since the start and a hash over all of them:
 *   r(0) = 32 zero octets; r(n) = SHA-256(r(n-1) || SHA-256(request n)); entry = SHA-256("touchmark-decrypt-v1\0" || r(n) || n as 8 octets). */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "keys/envelope.h"
#include <stdbool.h>
#include <stdint.h>
struct key;

enum { DECRYPT_ENTRY_SECONDS = 60, DECRYPT_ENTRY_COUNT = 1024 };

/* Of one key; its lane's thread only. */
struct decrypt_tally {
    uint64_t count, entered; /* since the start; in the chain */
    int64_t entered_at;
    uint8_t running[32];
};
/* One more of them: *ret_enter says whether it goes into the chain, as `ret_hash`. */
tm_err signer_count(struct decrypt_tally *t, struct slice label, struct slice request, int64_t now,
                    bool *ret_enter, uint8_t ret_hash[32]);
/* One decryption (keys/key_transport.h). *ret_enter: it goes into the chain, as `ret_hash`. TM_EDENIED for a key that may not. */
tm_err signer_decrypt(uint8_t *out, size_t *ret_n, struct decrypt_tally *t, bool *ret_enter,
                      uint8_t ret_hash[32], const struct key *k, const struct envelope *e,
                      struct slice request, int64_t now, struct diag *diag);
