#include "filter/gf2.h"
#include <string.h>

static bool bit(const uint64_t *row, unsigned i)
{
    return row[i / 64] >> (i % 64) & 1;
}

static void add(uint64_t *to, const uint64_t *from, unsigned first, unsigned words)
{
    for (unsigned i = first; i < words; i++)
        to[i] ^= from[i];
}

static void swap(uint64_t *a, uint64_t *b, unsigned words)
{
    for (unsigned i = 0; i < words; i++) {
        uint64_t t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

bool gf2_invert(struct gf2 *inverse, struct gf2 *a, unsigned m)
{
    unsigned words = (m + 63) / 64;
    for (unsigned i = 0; i < m; i++) {
        memset(inverse->row[i], 0, words * sizeof(uint64_t));
        inverse->row[i][i / 64] = (uint64_t)1 << (i % 64);
    }
    for (unsigned c = 0; c < m; c++) {
        unsigned pivot = c;
        while (pivot < m && !bit(a->row[pivot], c))
            pivot++;
        if (pivot == m)
            return false;
        if (pivot != c) {
            swap(a->row[pivot], a->row[c], words);
            swap(inverse->row[pivot], inverse->row[c], words);
        }
        for (unsigned i = 0; i < m; i++)
            if (i != c && bit(a->row[i], c)) {
                add(a->row[i], a->row[c], c / 64, words);
                add(inverse->row[i], inverse->row[c], 0, words);
            }
    }
    return true;
}

bool gf2_solve(uint64_t *x, struct gf2 *a, unsigned m)
{
    unsigned words = m / 64 + 1, rank = 0;
    unsigned column[GF2_MAX]; /* of each row's pivot */
    for (unsigned c = 0; c < m && rank < m; c++) {
        unsigned pivot = rank;
        while (pivot < m && !bit(a->row[pivot], c))
            pivot++;
        if (pivot == m)
            continue;
        if (pivot != rank)
            swap(a->row[pivot], a->row[rank], words);
        for (unsigned i = pivot + 1; i < m; i++)
            if (bit(a->row[i], c))
                add(a->row[i], a->row[rank], c / 64, words);
        column[rank++] = c;
    }
    for (unsigned i = rank; i < m; i++)
        if (bit(a->row[i], m))
            return false;
    /* Backwards: what was not a pivot stays 0. Bit m is taken for the right side, so it must not be in the product. */
    memset(x, 0, words * sizeof *x);
    for (unsigned i = rank; i-- > 0;)
        if (bit(a->row[i], m) != gf2_product(a->row[i], x, words))
            x[column[i] / 64] |= (uint64_t)1 << (column[i] % 64);
    return true;
}
