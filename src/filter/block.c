#include "filter/block.h"
#include "filter/gf2.h"
#include <stdlib.h>
#include <string.h>

enum {
    ROW_SEEDS = 64,
    EXACT_SEEDS = 64,
    /* Each try lets another number of others pass; the best of so many is a good tenth below the average. More gain less than the longer
     * seed takes. */
    TARGET_SEEDS = 256,
    KEYS_MAX = 512,
    KEY_WORDS = KEYS_MAX / 64,
};

/* Another member that passes the fixed columns. */
struct candidate {
    uint64_t row[KEY_WORDS];
    struct block_member member;
};

struct block_work {
    struct gf2 a, inverse;
    struct candidate *candidates;
    size_t n_candidates, cap;
    struct block_member *passing;
    size_t cap_passing;
    uint64_t column[TMF_COLUMNS_MAX][KEY_WORDS], best[TMF_COLUMNS_MAX][KEY_WORDS];
};

/* ---- bits ---- */

void bit_writer_init(struct bit_writer *b, size_t max)
{
    memset(b, 0, sizeof *b);
    buf_init(&b->out, max);
}

void bit_writer_done(struct bit_writer *b)
{
    buf_done(&b->out);
}

static void put_octets(struct bit_writer *b)
{
    for (; b->n_last >= 8; b->n_last -= 8) {
        buf_putc(&b->out, (uint8_t)b->last);
        b->last >>= 8;
    }
}

void bit_writer_put(struct bit_writer *b, uint64_t value, unsigned bits)
{
    while (bits) {
        unsigned now = bits < 32 ? bits : 32; /* with up to 7 bits left over */
        b->last |= (value & (((uint64_t)1 << now) - 1)) << b->n_last;
        b->n_last += now;
        b->n += now;
        put_octets(b);
        value >>= now;
        bits -= now;
    }
}

void bit_writer_pad(struct bit_writer *b)
{
    if (b->n_last)
        bit_writer_put(b, 0, 8 - b->n_last);
}

static void put_words(struct bit_writer *out, const uint64_t *words, size_t bits)
{
    for (size_t i = 0; i < bits; i += 64)
        bit_writer_put(out, words[i / 64], (unsigned)(bits - i < 64 ? bits - i : 64));
}

/* ---- the approximate system ---- */

tm_err block_work_new(struct block_work **ret)
{
    *ret = calloc(1, sizeof **ret);
    return *ret ? TM_OK : TM_ENOMEM;
}

void block_work_free(struct block_work *w)
{
    if (!w)
        return;
    free(w->candidates);
    free(w->passing);
    free(w);
}

/* Words of a row of `m` coefficients; what is beyond them is zero. */
static void make_row(uint64_t *row, uint64_t hash, unsigned domain, unsigned seed, unsigned m)
{
    unsigned words = (m + 63) / 64;
    for (unsigned i = 0; i < words; i++)
        row[i] = tmf_row_word(hash, domain, seed, i);
    if (m % 64)
        row[words - 1] &= ((uint64_t)1 << (m % 64)) - 1;
}

static bool find_rows(struct block_work *w, const struct block_member *keys, unsigned m, unsigned *ret_seed)
{
    for (unsigned seed = 0; seed < ROW_SEEDS; seed++) {
        for (unsigned i = 0; i < m; i++)
            make_row(w->a.row[i], keys[i].hash[0], TMF_APPROXIMATE, seed, m);
        if (gf2_invert(&w->inverse, &w->a, m)) {
            *ret_seed = seed;
            return true;
        }
    }
    return false;
}

/* Column j such that every key's row gives its target under this seed. */
static void solve_column(struct block_work *w, unsigned j, unsigned seed, const struct block_member *keys,
                         unsigned m)
{
    uint64_t target[KEY_WORDS] = {0};
    unsigned words = (m + 63) / 64;
    for (unsigned i = 0; i < m; i++)
        target[i / 64] |= (uint64_t)(tmf_target(keys[i].hash, seed) >> j & 1) << (i % 64);
    memset(w->column[j], 0, sizeof w->column[j]);
    for (unsigned i = 0; i < m; i++)
        w->column[j][i / 64] |= (uint64_t)gf2_product(w->inverse.row[i], target, words) << (i % 64);
}

static bool passes(const struct block_work *w, const uint64_t *row, uint32_t target, unsigned from,
                   unsigned to, unsigned words)
{
    for (unsigned j = from; j < to; j++)
        if (gf2_product(row, w->column[j], words) != (target >> j & 1))
            return false;
    return true;
}

static tm_err find_candidates(struct block_work *w, unsigned fixed, unsigned row_seed, unsigned m,
                              const struct block_member *others, size_t n)
{
    unsigned words = (m + 63) / 64;
    w->n_candidates = 0;
    for (size_t i = 0; i < n; i++) {
        struct candidate c;
        make_row(c.row, others[i].hash[0], TMF_APPROXIMATE, row_seed, m);
        if (!passes(w, c.row, tmf_target(others[i].hash, TMF_TARGET_FIXED), 0, fixed, words))
            continue;
        c.member = others[i];
        if (w->n_candidates == w->cap) {
            size_t cap = w->cap ? w->cap * 2 : 4096;
            struct candidate *grown = realloc(w->candidates, cap * sizeof *grown);
            if (!grown)
                return TM_ENOMEM;
            w->candidates = grown;
            w->cap = cap;
        }
        w->candidates[w->n_candidates++] = c;
    }
    return TM_OK;
}

/* The seed of the last columns under which the fewest pass; their number. */
static size_t search_targets(struct block_work *w, unsigned fixed, unsigned k,
                             const struct block_member *keys, unsigned m, unsigned *ret_seed)
{
    size_t best = SIZE_MAX;
    unsigned words = (m + 63) / 64;
    for (unsigned seed = 0; seed < (fixed < k ? TARGET_SEEDS : 1); seed++) {
        size_t n = 0;
        for (unsigned j = fixed; j < k; j++)
            solve_column(w, j, seed, keys, m);
        for (size_t i = 0; i < w->n_candidates && n < best; i++) {
            const struct candidate *c = &w->candidates[i];
            n += passes(w, c->row, tmf_target(c->member.hash, seed), fixed, k, words);
        }
        if (n < best) {
            best = n;
            *ret_seed = seed;
            memcpy(w->best, w->column, sizeof w->best);
        }
    }
    memcpy(w->column, w->best, sizeof w->column);
    return best;
}

static tm_err find_passing(struct block_work *w, unsigned fixed, unsigned k, unsigned seed, unsigned m,
                           size_t n)
{
    if (n > w->cap_passing) {
        struct block_member *grown = realloc(w->passing, n * sizeof *grown);
        if (!grown)
            return TM_ENOMEM;
        w->passing = grown;
        w->cap_passing = n;
    }
    size_t at = 0;
    for (size_t i = 0; i < w->n_candidates && at < n; i++) {
        const struct candidate *c = &w->candidates[i];
        if (passes(w, c->row, tmf_target(c->member.hash, seed), fixed, k, (m + 63) / 64))
            w->passing[at++] = c->member;
    }
    return TM_OK;
}

/* ---- the exact system ---- */

static bool solve_exact(struct block_work *w, uint64_t *x, const struct block_member *keys, unsigned n_keys,
                        unsigned n_passing, unsigned *ret_seed)
{
    unsigned m = n_keys + n_passing;
    for (unsigned seed = 0; seed < EXACT_SEEDS; seed++) {
        for (unsigned i = 0; i < m; i++) {
            const struct block_member *member = i < n_keys ? &keys[i] : &w->passing[i - n_keys];
            uint64_t *row = w->a.row[i];
            row[m / 64] = 0;
            make_row(row, member->hash[0], TMF_EXACT, seed, m);
            row[m / 64] |= (uint64_t)(i < n_keys) << (m % 64);
        }
        if (gf2_solve(x, &w->a, m)) {
            *ret_seed = seed;
            return true;
        }
    }
    return false;
}

tm_err block_build(struct block_work *w, struct bit_writer *out, unsigned field[TMF_FIELDS], unsigned k,
                   const struct block_member *keys, size_t n_keys, const struct block_member *others,
                   size_t n_others)
{
    memset(field, 0, TMF_FIELDS * sizeof *field);
    if (n_keys == 0)
        return TM_OK; /* says so, and nothing passes */
    if (n_keys > KEYS_MAX)
        return TM_EBUSY;
    unsigned m = (unsigned)n_keys, fixed = k < TMF_SEARCHED ? 0 : k - TMF_SEARCHED;
    if (!find_rows(w, keys, m, &field[TMF_F_ROW_SEED]))
        return TM_EBUSY;
    for (unsigned j = 0; j < fixed; j++)
        solve_column(w, j, TMF_TARGET_FIXED, keys, m);
    TM_TRY(find_candidates(w, fixed, field[TMF_F_ROW_SEED], m, others, n_others));
    size_t n_passing = search_targets(w, fixed, k, keys, m, &field[TMF_F_TARGET_SEED]);
    if (n_passing + n_keys > TMF_ROWS_MAX)
        return TM_EBUSY;
    TM_TRY(find_passing(w, fixed, k, field[TMF_F_TARGET_SEED], m, n_passing));
    uint64_t x[GF2_WORDS];
    if (!solve_exact(w, x, keys, m, (unsigned)n_passing, &field[TMF_F_EXACT_SEED]))
        return TM_EBUSY;
    field[TMF_F_KEYS] = m;
    field[TMF_F_PASSING] = (unsigned)n_passing;
    for (unsigned j = 0; j < k; j++)
        put_words(out, w->column[j], m);
    put_words(out, x, n_keys + n_passing);
    return buf_err(&out->out);
}
