/* register/merkle.h - RFC 6962 Merkle trees: hashes, roots, proofs, verification. Layer 3, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>
struct arena;

enum { MERKLE_HASH = 32, MERKLE_PROOF_MAX = 64, MERKLE_TILE_HEIGHT = 8, MERKLE_TILE_WIDTH = 256 };

tm_err merkle_leaf(uint8_t out[32], struct slice entry); /* SHA-256(0x00 || entry) */
tm_err merkle_node(uint8_t out[32], const uint8_t left[32],
                   const uint8_t right[32]); /* SHA-256(0x01 || l || r) */
tm_err merkle_empty_root(uint8_t out[32]);

/* Access to stored subtree hashes: the hash of the complete subtree of 2^level leaves that starts at leaf index << level. */
struct merkle_source {
    tm_err (*subtree)(void *ctx, unsigned level, uint64_t index, uint8_t out[32]);
    void *ctx;
};
tm_err merkle_root(uint8_t out[32], const struct merkle_source *s, uint64_t size);
/* *ret_proof: n hashes of 32 octets in `a`. */
tm_err merkle_prove_inclusion(struct slice *ret_proof, struct arena *a, const struct merkle_source *s,
                              uint64_t index, uint64_t size);
tm_err merkle_prove_consistency(struct slice *ret_proof, struct arena *a, const struct merkle_source *s,
                                uint64_t old_size, uint64_t size);

/* TM_OK or TM_EBADSIG; TM_EINVAL for impossible sizes. RFC 9162 2.1.3.2, 2.1.4.2. */
tm_err merkle_verify_inclusion(const uint8_t leaf[32], uint64_t index, uint64_t size, struct slice proof,
                               const uint8_t root[32]);
tm_err merkle_verify_consistency(uint64_t old_size, const uint8_t old_root[32], uint64_t size,
                                 const uint8_t root[32], struct slice proof);
