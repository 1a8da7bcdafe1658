/* issue/chain.h - which of the signer's signatures stand in the register: the watermark that checkpoints carry.
 *
 * Layer 4, thread-safe. The signer numbers everything it signs. A signature becomes `recorded` when the event (or checkpoint row) that names it is
 * durable. The position is the last number below which nothing is missing. What is signed but can never be recorded with its
 * certificate (a commit failed, the process died) is recorded as "signature.orphaned", so that the watermark moves on. */
#pragma once
#include "base/err.h"
#include <stdint.h>
struct chain;
struct house;

/* Read the signer's journal, record what the last process left unrecorded, begin at the signer's position. Blocking. */
tm_err chain_open(struct chain **ret, struct house *h, struct diag *diag);
/* The same after another signer process has taken over, in place: late news from before it do no harm. Nothing may be between the signer
 * and its commit. */
tm_err chain_reopen(struct chain *c, struct diag *diag);
void chain_free(struct chain *c);

/* A signature came back from the signer. Before its record is submitted. */
void chain_signed(struct chain *c, uint64_t seq, const uint8_t hash[32]);
/* Its record is durable. */
void chain_recorded(struct chain *c, uint64_t seq);
/* For struct register_config: the watermark. */
void chain_position(void *chain, uint64_t *ret_seq, uint8_t ret_hash[32]);
/* How many signatures above the watermark wait for their record. */
uint64_t chain_waiting(struct chain *c);
