/* filter/block.h - one block of a filter: an approximate system that all its keys pass and few others, and an exact one that tells
 * the keys from the others that pass. Layer 1, private to filter/. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "filter/reader/format.h"
#include <stddef.h>

/* A member as the block sees it. */
struct block_member {
    uint64_t hash[2];
};

struct block_work; /* matrices and lists, used again for each block */
tm_err block_work_new(struct block_work **ret);
void block_work_free(struct block_work *w);

/* A bit string that grows. */
struct bit_writer {
    struct buf out;
    uint64_t last; /* what is not in `out` yet */
    unsigned n_last;
    uint64_t n;
};
void bit_writer_init(struct bit_writer *b, size_t max);
void bit_writer_put(struct bit_writer *b, uint64_t value, unsigned bits);
void bit_writer_done(struct bit_writer *b);
/* Up to the next octet. */
void bit_writer_pad(struct bit_writer *b);

/* Append the block's bits and fill its line of the directory. TM_EBUSY: not to be done under this section's key; try another. */
tm_err block_build(struct block_work *w, struct bit_writer *out, unsigned field[TMF_FIELDS], unsigned k,
                   const struct block_member *keys, size_t n_keys, const struct block_member *others,
                   size_t n_others);
