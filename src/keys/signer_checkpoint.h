/* keys/signer_checkpoint.h - the one thing the signer remembers from signature to signature: how large each log was.
 * Layer 3; the signer's only. */
#pragma once
#include "keys/internal.h"
#include "keys/key.h"
#include "keys/signer_journal.h"
#include "keys/signer_proto.h"

/* Check that the checkpoint's log is the envelope's, or one below it ("<origin>/<number>"), of any epoch ("…#epoch-<number>"), that it extends the
 * last one signed (RFC 9162 2.1.4), and that a signer-chain line names a position of this chain. Then sign, and make entry and state durable before
 * the signature is handed out. `e` is filled but for its seq. TM_EDENIED. */
tm_err checkpoint_sign(struct journal *j, struct key *key, enum sig_alg alg, const struct envelope *env,
                       struct arena *a, const struct proto_op *op, struct signer_entry *e, uint8_t *signature,
                       size_t *ret_n, uint8_t ret_chain[32], struct diag *diag);
