#include "finding/shared_factor.h"
#include <assert.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* Below so many words the library's own division is as good. */
enum { WORD = 64, PLAIN_WORDS = 96, LEVELS = 13 };
static_assert(1 << (LEVELS - 1) >= SHARED_BLOCK, "a tree has room for a block");

/* A block's product tree: level 0 are the moduli, the last level is their product. */
struct tree {
    BIGNUM **v[LEVELS + 1];
    size_t n[LEVELS + 1];
    unsigned levels;
};

/* ---- arithmetic ---- */

/* The library multiplies quickly only what is about equally long: the longer one is taken in pieces. */
static bool multiply(BIGNUM *r, const BIGNUM *a, const BIGNUM *b, BN_CTX *ctx)
{
    int an = (BN_num_bits(a) + WORD - 1) / WORD, bn = (BN_num_bits(b) + WORD - 1) / WORD;
    if (an < bn) {
        const BIGNUM *t = a;
        int tn = an;
        a = b, b = t;
        an = bn, bn = tn;
    }
    if (bn < PLAIN_WORDS || an - bn <= 1)
        return BN_mul(r, a, b, ctx);
    BN_CTX_start(ctx);
    BIGNUM *rest = BN_CTX_get(ctx), *piece = BN_CTX_get(ctx), *sum = BN_CTX_get(ctx);
    bool good = sum && BN_copy(rest, a);
    if (good)
        BN_zero(sum);
    for (int at = 0; good && !BN_is_zero(rest); at += bn) {
        good = BN_copy(piece, rest) && (BN_num_bits(piece) <= bn * WORD || BN_mask_bits(piece, bn * WORD)) &&
               BN_rshift(rest, rest, bn * WORD) && BN_mul(piece, piece, b, ctx) &&
               BN_lshift(piece, piece, at * WORD) && BN_add(sum, sum, piece);
    }
    good = good && BN_copy(r, sum);
    BN_CTX_end(ctx);
    return good;
}

/* About 2^(2k) / n for n of k bits: a few units may be missing or too many. Newton: x <- 2x - n x^2 / 2^(2k), from the upper half's. */
static bool reciprocal(BIGNUM *x, const BIGNUM *n, BN_CTX *ctx)
{
    int k = BN_num_bits(n);
    if (k <= PLAIN_WORDS * WORD) {
        BN_CTX_start(ctx);
        BIGNUM *one = BN_CTX_get(ctx);
        bool good = one && BN_one(one) && BN_lshift(one, one, 2 * k) && BN_div(x, NULL, one, n, ctx);
        BN_CTX_end(ctx);
        return good;
    }
    int h = k / 2 + WORD; /* of the upper part; a word more, for what is cut off */
    BN_CTX_start(ctx);
    BIGNUM *upper = BN_CTX_get(ctx), *t = BN_CTX_get(ctx), *y = BN_CTX_get(ctx);
    /* y = 2^(2h) / upper has h bits; as an approximation of x it is shifted by k - h. x = 2^(k-h) (2y) - n y^2 / 2^(2h). */
    bool good = y && BN_rshift(upper, n, k - h) && reciprocal(y, upper, ctx) && multiply(t, y, y, ctx) &&
                multiply(t, t, n, ctx) && BN_rshift(t, t, 2 * h) && BN_lshift(x, y, k - h + 1) &&
                BN_sub(x, x, t);
    BN_CTX_end(ctx);
    return good;
}

/* A divisor and its reciprocal, where that pays. */
struct divisor {
    const BIGNUM *n;
    BIGNUM *x; /* NULL: plain division */
};

static bool divisor_init(struct divisor *d, const BIGNUM *n, BN_CTX *ctx)
{
    d->n = n;
    d->x = NULL;
    if (BN_num_bits(n) <= PLAIN_WORDS * WORD)
        return true;
    d->x = BN_new();
    return d->x && reciprocal(d->x, n, ctx);
}

/* r = a mod n, for a below n^2. */
static bool reduce(BIGNUM *r, const BIGNUM *a, const struct divisor *d, BN_CTX *ctx)
{
    if (!d->x || BN_num_bits(a) <= BN_num_bits(d->n) + WORD || BN_num_bits(a) > 2 * BN_num_bits(d->n))
        return BN_mod(r, a, d->n, ctx);
    int k = BN_num_bits(d->n);
    BN_CTX_start(ctx);
    BIGNUM *q = BN_CTX_get(ctx), *t = BN_CTX_get(ctx);
    bool good = t && BN_rshift(q, a, k) && multiply(t, q, d->x, ctx) && BN_rshift(q, t, k) &&
                multiply(t, q, d->n, ctx) && BN_sub(r, a, t);
    /* The quotient may be off by some units: what is left is small, whichever its sign. */
    good = good && BN_nnmod(r, r, d->n, ctx);
    BN_CTX_end(ctx);
    return good;
}

/* ---- trees ---- */

static void tree_done(struct tree *t)
{
    for (unsigned l = 0; l <= LEVELS; l++) {
        for (size_t i = 0; t->v[l] && i < t->n[l]; i++)
            BN_free(t->v[l][i]);
        free(t->v[l]);
    }
    *t = (struct tree){.levels = 0};
}

static bool tree_make(struct tree *t, const struct shared_modulus *v, size_t n, BN_CTX *ctx)
{
    *t = (struct tree){.levels = 0};
    t->v[0] = calloc(n, sizeof *t->v[0]);
    bool good = t->v[0] != NULL;
    for (size_t i = 0; i < n && good; i++, t->n[0] = i)
        good = (t->v[0][i] = BN_bin2bn(v[i].n.p, (int)v[i].n.n, NULL)) != NULL;
    for (unsigned l = 0; good && t->n[l] > 1; l++) {
        size_t half = (t->n[l] + 1) / 2;
        t->v[l + 1] = calloc(half, sizeof *t->v[l + 1]);
        good = t->v[l + 1] != NULL;
        for (size_t i = 0; i < half && good; i++, t->n[l + 1] = i) {
            BIGNUM *p = t->v[l + 1][i] = BN_new();
            bool pair = 2 * i + 1 < t->n[l];
            good = p && (pair ? multiply(p, t->v[l][2 * i], t->v[l][2 * i + 1], ctx)
                              : BN_copy(p, t->v[l][2 * i]) != NULL);
        }
        t->levels = l + 1;
    }
    return good;
}

/* What is at the root goes down, in place: a node's value is its parent's, reduced, times its sibling's product. Last ones first: what is
 * overwritten is a parent whose children have read it. */
static bool tree_descend(const struct tree *t, BIGNUM **at, const atomic_bool *stop, BN_CTX *ctx)
{
    bool good = true;
    for (unsigned l = t->levels; l-- > 0 && good;)
        for (size_t i = t->n[l]; i-- > 0 && good && !(stop && atomic_load(stop));) {
            struct divisor d = {0};
            size_t sibling = i ^ 1;
            BN_CTX_start(ctx);
            BIGNUM *r = BN_CTX_get(ctx), *s = BN_CTX_get(ctx);
            good = s && divisor_init(&d, t->v[l][i], ctx) && reduce(r, at[i / 2], &d, ctx);
            if (good && sibling < t->n[l])
                good =
                    BN_mod(s, t->v[l][sibling], d.n, ctx) && multiply(r, r, s, ctx) && reduce(r, r, &d, ctx);
            good = good && (at[i] || (at[i] = BN_new())) && BN_copy(at[i], r);
            BN_free(d.x);
            BN_CTX_end(ctx);
        }
    return good;
}

/* ---- all of them ---- */

struct search {
    struct shared_modulus *v;
    size_t n, blocks;
    BIGNUM **products; /* of the blocks; made when they are first needed */
    const atomic_bool *stop;
    tm_err (*found)(void *arg, size_t one, size_t other);
    void *arg;
    BN_CTX *ctx;
};

static size_t block_size(const struct search *s, size_t b)
{
    size_t left = s->n - b * SHARED_BLOCK;
    return left < SHARED_BLOCK ? left : SHARED_BLOCK;
}

static bool stopped(const struct search *s)
{
    return s->stop && atomic_load(s->stop);
}

static const BIGNUM *product_of(struct search *s, size_t b)
{
    struct tree t;
    if (s->products[b])
        return s->products[b];
    if (tree_make(&t, s->v + b * SHARED_BLOCK, block_size(s, b), s->ctx))
        s->products[b] = BN_dup(t.v[t.levels][0]);
    tree_done(&t);
    return s->products[b];
}

/* Is there a common divisor? Telling is quicker than computing it, and hardly any has one. */
static bool common_divisor(BIGNUM *g, const BIGNUM *c, const BIGNUM *n, bool *ret, BN_CTX *ctx)
{
    *ret = false;
    if (BN_is_one(n))
        return true;
    if (!BN_is_zero(c)) {
        ERR_set_mark();
        bool coprime = BN_mod_inverse(g, c, n, ctx) != NULL;
        ERR_pop_to_mark();
        if (coprime)
            return true;
    }
    *ret = true;
    return BN_gcd(g, c, n, ctx) && (*ret = !BN_is_one(g), true);
}

/* With whom: a common divisor that is smaller than the modulus divides the other one too; where both primes are known elsewhere, each is asked. */
static tm_err tell(struct search *s, size_t one, const BIGNUM *n, const BIGNUM *g)
{
    BN_CTX_start(s->ctx);
    BIGNUM *other = BN_CTX_get(s->ctx), *r = BN_CTX_get(s->ctx);
    tm_err e = r ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; i < s->n && e == TM_OK && !stopped(s); i++) {
        bool shares = false;
        if (i == one)
            continue;
        if (!BN_bin2bn(s->v[i].n.p, (int)s->v[i].n.n, other))
            e = TM_ENOMEM;
        else if (BN_cmp(g, n) != 0)
            shares = BN_mod(r, other, g, s->ctx) && BN_is_zero(r);
        else if (!common_divisor(r, other, n, &shares, s->ctx))
            e = TM_ENOMEM;
        if (e == TM_OK && shares)
            e = s->found(s->arg, one, i);
    }
    BN_CTX_end(s->ctx);
    return e;
}

/* All others' product, reduced by this block's. */
static bool others_product(BIGNUM *x, struct search *s, size_t b, const BIGNUM *product)
{
    struct divisor d = {0};
    BIGNUM *r = BN_new();
    bool good = r && divisor_init(&d, product, s->ctx) && BN_one(x);
    for (size_t i = 0; i < s->blocks && good && !stopped(s); i++) {
        if (i == b)
            continue;
        const BIGNUM *p = product_of(s, i);
        good = p && BN_mod(r, p, product, s->ctx) && multiply(x, x, r, s->ctx) && reduce(x, x, &d, s->ctx);
    }
    BN_free(d.x);
    BN_free(r);
    return good;
}

static tm_err block(struct search *s, size_t b)
{
    struct tree t;
    size_t n = block_size(s, b), first = b * SHARED_BLOCK;
    BIGNUM **at = calloc(n, sizeof *at), *g = BN_new();
    tm_err e = TM_ENOMEM;
    bool good = tree_make(&t, s->v + first, n, s->ctx) && at && g && (at[0] = BN_new()) &&
                others_product(at[0], s, b, t.v[t.levels][0]) && tree_descend(&t, at, s->stop, s->ctx);
    if (good)
        e = TM_OK;
    for (size_t i = 0; i < n && e == TM_OK && !stopped(s); i++) {
        bool shares = false;
        if (!common_divisor(g, at[i], t.v[0][i], &shares, s->ctx))
            e = TM_ENOMEM;
        else if (shares)
            e = tell(s, first + i, t.v[0][i], g);
    }
    for (size_t i = 0; at && i < n; i++)
        BN_free(at[i]);
    free(at);
    BN_free(g);
    tree_done(&t);
    return e;
}

static int fresh_first(const void *a, const void *b)
{
    const struct shared_modulus *x = a, *y = b;
    return x->fresh != y->fresh ? (int)y->fresh - (int)x->fresh : slice_cmp(x->n, y->n);
}

tm_err shared_factors(struct shared_modulus *v, size_t n, const atomic_bool *stop,
                      tm_err (*found)(void *arg, size_t one, size_t other), void *arg)
{
    struct search s = {.v = v,
                       .n = n,
                       .stop = stop,
                       .found = found,
                       .arg = arg,
                       .blocks = (n + SHARED_BLOCK - 1) / SHARED_BLOCK};
    size_t fresh = 0;
    if (n < 2)
        return TM_OK;
    qsort(v, n, sizeof *v, fresh_first);
    while (fresh < n && v[fresh].fresh)
        fresh++;
    s.products = calloc(s.blocks, sizeof *s.products);
    s.ctx = BN_CTX_new();
    tm_err e = s.products && s.ctx ? TM_OK : TM_ENOMEM;
    for (size_t b = 0; b * SHARED_BLOCK < fresh && e == TM_OK && !stopped(&s); b++)
        e = block(&s, b);
    for (size_t i = 0; s.products && i < s.blocks; i++)
        BN_free(s.products[i]);
    free(s.products);
    BN_CTX_free(s.ctx);
    return e == TM_OK && stopped(&s) ? TM_EUNAVAIL : e;
}
