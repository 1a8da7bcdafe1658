#include "register/merkle.h"
#include "base/arena.h"
#include "base/digest.h"

tm_err merkle_leaf(uint8_t out[32], struct slice entry)
{
    static const uint8_t prefix = 0x00; /* RFC 9162 2.1.1 */
    struct slice parts[] = {slice_of(&prefix, 1), entry};
    return sha256_many(out, parts, 2);
}

tm_err merkle_node(uint8_t out[32], const uint8_t left[32], const uint8_t right[32])
{
    uint8_t text[1 + 2 * MERKLE_HASH];
    text[0] = 0x01; /* RFC 9162 2.1.1 */
    memcpy(text + 1, left, MERKLE_HASH);
    memcpy(text + 1 + MERKLE_HASH, right, MERKLE_HASH);
    return sha256(out, SLICE_ARR(text));
}

tm_err merkle_empty_root(uint8_t out[32])
{
    return sha256(out, slice_of(NULL, 0));
}

/* The largest power of two below n, as its exponent; n > 1. */
static unsigned split_level(uint64_t n)
{
    return 63u - (unsigned)__builtin_clzll(n - 1);
}

/* MTH of the leaves [lo, hi), where lo is a multiple of a power of two that is not smaller than hi - lo: as every range is
 * that RFC 9162 2.1.1 splits a tree into. Its complete subtrees stand from the largest to the smallest, and are joined from the
 * right. */
static tm_err range_hash(uint8_t out[32], const struct merkle_source *s, uint64_t lo, uint64_t hi)
{
    bool first = true;
    uint8_t acc[MERKLE_HASH], sub[MERKLE_HASH];
    uint64_t end = hi;
    while (end > lo) {
        unsigned level = (unsigned)__builtin_ctzll(end - lo);
        uint64_t start = end - ((uint64_t)1 << level);
        TM_TRY(s->subtree(s->ctx, level, start >> level, sub));
        if (first)
            memcpy(acc, sub, MERKLE_HASH);
        else
            TM_TRY(merkle_node(acc, sub, acc));
        first = false;
        end = start;
    }
    memcpy(out, acc, MERKLE_HASH);
    return TM_OK;
}

tm_err merkle_root(uint8_t out[32], const struct merkle_source *s, uint64_t size)
{
    return size ? range_hash(out, s, 0, size) : merkle_empty_root(out);
}

/* Hashes collected from the root downwards; a proof lists them from the leaf upwards. */
struct path {
    uint8_t hash[MERKLE_PROOF_MAX + 1][MERKLE_HASH];
    size_t n;
};

static tm_err path_push(struct path *p, const struct merkle_source *s, uint64_t lo, uint64_t hi)
{
    if (p->n > MERKLE_PROOF_MAX)
        return TM_EINTERNAL;
    return range_hash(p->hash[p->n++], s, lo, hi);
}

static tm_err path_take(struct slice *ret, struct arena *a, const struct path *p)
{
    uint8_t *out = arena_calloc(a, p->n ? p->n : 1, MERKLE_HASH);
    if (!out)
        return TM_ENOMEM;
    for (size_t i = 0; i < p->n; i++)
        memcpy(out + i * MERKLE_HASH, p->hash[p->n - 1 - i], MERKLE_HASH);
    *ret = slice_of(out, p->n * MERKLE_HASH);
    return TM_OK;
}

/* RFC 9162 2.1.3.1, with the recursion unrolled. */
tm_err merkle_prove_inclusion(struct slice *ret_proof, struct arena *a, const struct merkle_source *s,
                              uint64_t index, uint64_t size)
{
    if (index >= size || size > INT64_MAX)
        return TM_EINVAL;
    struct path p = {.n = 0};
    uint64_t lo = 0, hi = size;
    while (hi - lo > 1) {
        uint64_t mid = lo + ((uint64_t)1 << split_level(hi - lo));
        if (index < mid) {
            TM_TRY(path_push(&p, s, mid, hi));
            hi = mid;
        } else {
            TM_TRY(path_push(&p, s, lo, mid));
            lo = mid;
        }
    }
    return path_take(ret_proof, a, &p);
}

/* RFC 9162 2.1.4.1: SUBPROOF(m, D[n], true), with the recursion unrolled. `whole` says that the old tree is this very
 * subtree, whose hash the verifier then has already. */
tm_err merkle_prove_consistency(struct slice *ret_proof, struct arena *a, const struct merkle_source *s,
                                uint64_t old_size, uint64_t size)
{
    if (old_size > size || size > INT64_MAX)
        return TM_EINVAL;
    struct path p = {.n = 0};
    if (old_size == 0 || old_size == size)
        return path_take(ret_proof, a, &p);
    uint64_t lo = 0, hi = size;
    bool whole = true;
    while (old_size < hi) {
        uint64_t mid = lo + ((uint64_t)1 << split_level(hi - lo));
        if (old_size <= mid) {
            TM_TRY(path_push(&p, s, mid, hi));
            hi = mid;
        } else {
            TM_TRY(path_push(&p, s, lo, mid));
            lo = mid;
            whole = false;
        }
    }
    if (!whole)
        TM_TRY(path_push(&p, s, lo, hi));
    return path_take(ret_proof, a, &p);
}

static bool proof_shaped(struct slice proof)
{
    return proof.n % MERKLE_HASH == 0 && proof.n / MERKLE_HASH <= MERKLE_PROOF_MAX;
}

/* RFC 9162 2.1.3.2 */
tm_err merkle_verify_inclusion(const uint8_t leaf[32], uint64_t index, uint64_t size, struct slice proof,
                               const uint8_t root[32])
{
    if (index >= size || size > INT64_MAX || !proof_shaped(proof))
        return TM_EINVAL;
    uint64_t fn = index, sn = size - 1;
    uint8_t r[MERKLE_HASH];
    memcpy(r, leaf, sizeof r);
    for (size_t i = 0; i < proof.n; i += MERKLE_HASH) {
        const uint8_t *p = proof.p + i;
        if (sn == 0)
            return TM_EBADSIG;
        if ((fn & 1) || fn == sn) {
            TM_TRY(merkle_node(r, p, r));
            while (!(fn & 1) && fn) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            TM_TRY(merkle_node(r, r, p));
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(r, root, sizeof r) == 0 ? TM_OK : TM_EBADSIG;
}

/* RFC 9162 2.1.4.2 */
tm_err merkle_verify_consistency(uint64_t old_size, const uint8_t old_root[32], uint64_t size,
                                 const uint8_t root[32], struct slice proof)
{
    if (old_size > size || size > INT64_MAX || !proof_shaped(proof))
        return TM_EINVAL;
    if (old_size == 0) {
        /* Every tree extends the empty one; its root is the only one it can have. */
        uint8_t empty[MERKLE_HASH];
        TM_TRY(merkle_empty_root(empty));
        return proof.n == 0 && memcmp(old_root, empty, sizeof empty) == 0 ? TM_OK : TM_EBADSIG;
    }
    if (old_size == size)
        return proof.n == 0 && memcmp(old_root, root, MERKLE_HASH) == 0 ? TM_OK : TM_EBADSIG;

    uint64_t fn = old_size - 1, sn = size - 1;
    while (fn & 1) {
        fn >>= 1;
        sn >>= 1;
    }
    uint8_t fr[MERKLE_HASH], sr[MERKLE_HASH];
    size_t at = 0;
    if ((old_size & (old_size - 1)) == 0) {
        memcpy(fr, old_root, sizeof fr);
    } else {
        if (proof.n == 0)
            return TM_EBADSIG;
        memcpy(fr, proof.p, sizeof fr);
        at = MERKLE_HASH;
    }
    memcpy(sr, fr, sizeof sr);
    for (; at < proof.n; at += MERKLE_HASH) {
        const uint8_t *c = proof.p + at;
        if (sn == 0)
            return TM_EBADSIG;
        if ((fn & 1) || fn == sn) {
            TM_TRY(merkle_node(fr, c, fr));
            TM_TRY(merkle_node(sr, c, sr));
            while (!(fn & 1) && fn) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            TM_TRY(merkle_node(sr, sr, c));
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(fr, old_root, sizeof fr) == 0 && memcmp(sr, root, sizeof sr) == 0 ? TM_OK
                                                                                               : TM_EBADSIG;
}
