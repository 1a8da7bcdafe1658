/* Proofs between two sizes of a tree: those that the tree gives hold, and one that is changed does not.
 * Input: the older size, the size, an index, a read that fails; then what is laid over the proof, octet by octet; or, from size 128 on, the proof itself.
 * Parser: register/merkle.c */
#include "base/arena.h"
#include "register/merkle.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LEAVES = 128, HEAD = 4, BUILT_MAX = 16 * MERKLE_HASH };

/* A tree whose leaves are the hashes of their places; *ctx counts down to a read that fails. */
static tm_err subtree(void *ctx, unsigned level, uint64_t index, uint8_t out[32])
{
    unsigned *left_over = ctx;
    if (*left_over == 1)
        return TM_EIO;
    if (*left_over > 1)
        --*left_over;
    if (level == 0)
        return merkle_leaf(out, slice_of((const uint8_t *)&index, 1));
    uint8_t left[32], right[32];
    TM_TRY(subtree(ctx, level - 1, 2 * index, left));
    TM_TRY(subtree(ctx, level - 1, 2 * index + 1, right));
    return merkle_node(out, left, right);
}

static unsigned reads;
static const struct merkle_source tree = {.subtree = subtree, .ctx = &reads};

/* The proof with `over` laid on it; is it another one then? */
static bool lay_over(struct slice *proof, uint8_t room[BUILT_MAX], struct slice over)
{
    bool changed = false;
    if (proof->n > BUILT_MAX)
        abort();
    memcpy(room, proof->p, proof->n);
    for (size_t i = 0; i < proof->n && i < over.n; i++) {
        room[i] ^= over.p[i];
        changed = changed || over.p[i];
    }
    *proof = slice_of(room, proof->n);
    return changed;
}

static void built(struct arena *a, uint64_t old_size, uint64_t size, uint64_t index, struct slice over)
{
    uint8_t root[32], old_root[32], leaf[32], room[BUILT_MAX];
    struct slice proof;
    /* With a read that fails, only the error is looked at. */
    if (reads) {
        for (unsigned n = reads, k = 0; k < 4; k++, reads = n) {
            tm_err e = k == 0   ? merkle_root(root, &tree, size)
                       : k == 1 ? merkle_root(old_root, &tree, old_size)
                       : k == 2 ? merkle_prove_inclusion(&proof, a, &tree, index, size)
                                : merkle_prove_consistency(&proof, a, &tree, old_size, size);
            if (e != TM_OK && e != TM_EIO && e != TM_EINVAL && e != TM_ENOMEM)
                abort();
        }
        reads = 0;
        return;
    }
    if (merkle_root(root, &tree, size) != TM_OK || merkle_root(old_root, &tree, old_size) != TM_OK ||
        merkle_leaf(leaf, slice_of((const uint8_t *)&index, 1)) != TM_OK)
        abort();
    tm_err e = merkle_prove_inclusion(&proof, a, &tree, index, size);
    if (e == TM_OK) {
        bool changed = lay_over(&proof, room, over);
        if (merkle_verify_inclusion(leaf, index, size, proof, root) != (changed ? TM_EBADSIG : TM_OK))
            abort();
        TM_IGNORE(merkle_verify_inclusion(leaf, index, size + 1 + over.n % 8, proof, root));
    } else if (index < size) {
        abort();
    }
    e = merkle_prove_consistency(&proof, a, &tree, old_size, size);
    if (e == TM_OK) {
        bool changed = lay_over(&proof, room, over);
        if (merkle_verify_consistency(old_size, old_root, size, root, proof) !=
            (changed ? TM_EBADSIG : TM_OK))
            abort();
        /* The same proof for other sizes. */
        TM_IGNORE(merkle_verify_consistency(old_size, old_root, size + 1 + over.n % 8, root, proof));
        TM_IGNORE(merkle_verify_consistency(old_size / 2, old_root, size, root, proof));
    } else if (old_size <= size) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t zero[32];
    if (size < HEAD)
        return 0;
    struct arena *a = arena_new(0);
    struct slice rest = slice_of(data + HEAD, size - HEAD);
    uint64_t far = data[3] & 0x80 ? (uint64_t)data[3] << 56 : 0;
    if (!a)
        return 0;
    reads = far ? 0 : data[3];
    if (data[1] < LEAVES && !far) {
        built(a, data[0], data[1], data[2], rest);
    } else {
        TM_IGNORE(merkle_verify_inclusion(zero, data[2], data[1] | far, rest, zero));
        TM_IGNORE(merkle_verify_consistency(data[0], zero, data[1] | far, zero, rest));
        struct slice proof;
        if (far && (merkle_prove_inclusion(&proof, a, &tree, data[2], far) == TM_OK ||
                    merkle_prove_consistency(&proof, a, &tree, data[0], far) == TM_OK))
            abort();
    }
    arena_free(a);
    return 0;
}
