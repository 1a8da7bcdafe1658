/* store/sqlite/segment_format.h - what the reader and the writer of segments share. Layer 3. */
#pragma once
#include "store/sqlite/segment.h"
#include <string.h>

enum {
    BLOCK_WORDS = 8,
    PAGE_BLOCKS = 127,
    BITS_PER_KEY = 12,
};

struct filter_page {
    uint32_t block[PAGE_BLOCKS][BLOCK_WORDS];
    uint64_t unused[3];
    uint64_t sum;
};
_Static_assert(sizeof(struct segment_page) == SEGMENT_PAGE && sizeof(struct filter_page) == SEGMENT_PAGE,
               "pages have one size");

extern const char segment_magic[8];
void segment_layout_make(struct segment_layout *ret, const struct segment_header *h);

static inline uint64_t page_rotl(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

/* Over a page but for its last 8 octets. Every step is a bijection of its lane: one changed word always shows. */
static inline uint64_t segment_page_sum(const void *page, uint64_t first_seq, uint64_t number)
{
    static const uint64_t odd = 0x9e6c63d0876a3f6bu;
    const uint8_t *p = page;
    uint64_t lane[4] = {first_seq, number, ~first_seq, ~number}, word[4];
    for (size_t at = 0; at + 32 < SEGMENT_PAGE; at += 32) {
        memcpy(word, p + at, sizeof word);
        for (int i = 0; i < 4; i++)
            lane[i] = page_rotl(lane[i] ^ word[i], 29) * odd;
    }
    memcpy(word, p + SEGMENT_PAGE - 32, 24);
    for (int i = 0; i < 3; i++)
        lane[i] = page_rotl(lane[i] ^ word[i], 29) * odd;
    uint64_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum = page_rotl((sum ^ lane[i]) * odd, 32);
    return sum;
}

/* Which of n even shares of all hashes has this one. */
static inline uint64_t hash_share(uint64_t hash, uint64_t n)
{
    return (uint64_t)((unsigned __int128)hash * n >> 64);
}

/* The eight bits of a hash in its block. */
static inline void filter_bits(uint32_t bits[BLOCK_WORDS], uint64_t hash)
{
    static const uint32_t odd[BLOCK_WORDS] = {0x8f2a1c35, 0x5bd6e4a9, 0xd1b54a33, 0x3c79ac49,
                                              0xa0761d65, 0x6c8e9cf5, 0xe7037ed1, 0x2545f491};
    uint32_t x = (uint32_t)(hash * 0xd6e8feb86659fd93u >> 32);
    for (int i = 0; i < BLOCK_WORDS; i++)
        bits[i] = (uint32_t)1 << (x * odd[i] >> 27);
}
