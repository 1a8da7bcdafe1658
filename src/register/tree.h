/* register/tree.h - the growing right edge of one log's Merkle tree, in tiles.
 *
 * Layer 3, internal to the register; not shared between threads. Leaves are appended; what the edge still needs stays in memory: the
 * hashes of every tile that is not full yet, one row a tile level, and the peaks (roots of the complete subtrees that make up the
 * tree), so that a leaf costs one node hash on average and a root as many as the size has bits set. Full tiles leave by a callback. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "register/merkle.h"
#include <stdbool.h>

enum { TREE_ROWS = 7, TREE_TILE_OCTETS = MERKLE_TILE_WIDTH * MERKLE_HASH };

struct tree {
    uint64_t size;
    uint8_t peaks[TREE_ROWS * MERKLE_TILE_HEIGHT]
                 [MERKLE_HASH]; /* peaks[l] is valid where bit l of size is set */
    uint8_t *rows[TREE_ROWS];   /* of level L: (size >> 8L) % 256 hashes are valid; NULL before the first */
};

/* Where full tiles are: fills 256 hashes. */
struct tile_reader {
    tm_err (*tile)(void *ctx, unsigned level, uint64_t index, uint8_t out[TREE_TILE_OCTETS]);
    /* The leaf hashes [from, from + n), n < 256. */
    tm_err (*leaves)(void *ctx, uint64_t from, size_t n, uint8_t *out);
    void *ctx;
};

/* A zeroed tree is the empty one. */
void tree_done(struct tree *t);
/* *ret must be zero or done. */
tm_err tree_clone(struct tree *ret, const struct tree *from);
/* Rebuild the edge of a tree of that size. At most 255 tile reads a level. *ret must be zero or done. */
tm_err tree_load(struct tree *ret, uint64_t size, const struct tile_reader *r);

/* `full` (may be NULL) is called for each tile that this leaf completes, lowest level first; the hashes are valid during the call. */
tm_err tree_append(struct tree *t, const uint8_t leaf[32],
                   tm_err (*full)(void *ctx, unsigned level, uint64_t index, const uint8_t *hashes),
                   void *ctx);
tm_err tree_root(uint8_t out[32], const struct tree *t);

/* The root over 2^level hashes in a row; level <= 8. */
tm_err tree_fold(uint8_t out[32], const uint8_t *hashes, unsigned level);

/* A merkle_source over the edge in memory and the full tiles of the reader, with the last tiles kept. */
struct tree_source {
    const struct tree *tree;
    const struct tile_reader *reader;
    struct {
        bool used;
        uint64_t index;
        uint8_t *hashes;
    } kept[TREE_ROWS];
};
tm_err tree_subtree(void *source, unsigned level, uint64_t index, uint8_t out[32]);
void tree_source_done(struct tree_source *s);
