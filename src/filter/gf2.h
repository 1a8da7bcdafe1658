/* filter/gf2.h - small dense systems of linear equations over GF(2). Layer 1, pure. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { GF2_MAX = 1536, GF2_WORDS = GF2_MAX / 64 + 1 };

/* `m` rows of GF2_WORDS words; row i has its coefficients in bits 0..m-1. */
struct gf2 {
    uint64_t row[GF2_MAX][GF2_WORDS];
};

/* Turn the m by m matrix in `a` into its inverse, in `inverse`; false when there is none. `a` is used up. */
bool gf2_invert(struct gf2 *inverse, struct gf2 *a, unsigned m);
/* Solve a x = b, bit m of each row being b, into x[0..(m-1)/64]; false when there is no solution. `a` is used up. */
bool gf2_solve(uint64_t *x, struct gf2 *a, unsigned m);

static inline bool gf2_product(const uint64_t *a, const uint64_t *b, unsigned words)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < words; i++)
        sum ^= a[i] & b[i];
    return __builtin_parityll(sum);
}
