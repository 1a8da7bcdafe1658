/* issue/orphan.h - signatures whose own record can't be written: they are recorded as "signature.orphaned", so that the chain's watermark moves
 * on (issue/chain.h).
 *
 * Layer 4, thread-safe. */
#pragma once
struct house;
struct sign_op;

/* Record that, some time, by itself; within house_signing_begin() and _end(). `why`: the error's name. Should even this fail, the signer's
 * journal still has it and the next start records it. */
void orphan_record(struct house *h, const struct sign_op *sign, const char *why);
