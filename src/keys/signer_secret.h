/* keys/signer_secret.h - inside the signer: sealing and opening of secrets, how fast, and what its journal says of it (docs/adr/0009).
 *
 * Layer 3. Whoever has the server and the store can have every secret opened one by one; he can't do it at once, nor unseen. Openings are counted
 * into the chain as decryptions are (keys/signer_decrypt.h), under the label "touchmark-secret-v1\0". Sealing gives nothing away. */
#pragma once
#include "keys/sealed_secret.h"
#include "keys/signer_decrypt.h"

enum { SECRET_OPEN_BURST = 8192, SECRET_OPEN_PER_SECOND = 512 };

/* Of one key; its lane's thread only. */
struct secret_tally {
    struct decrypt_tally opened;
    uint64_t left, at_ns; /* what may be opened yet, as of then */
};
/* TM_EDENIED for a key that may not, TM_EBUSY where too much is opened; else as sealed_secret_answer(). */
tm_err signer_secret(uint8_t out[SEALED_MAX], size_t *ret_n, struct secret_tally *t, bool *ret_enter,
                     uint8_t ret_hash[32], const struct key *k, const struct envelope *e,
                     struct slice request, int64_t now, struct diag *diag);
