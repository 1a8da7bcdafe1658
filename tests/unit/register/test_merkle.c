/* Merkle trees against vectors that Python computed from the RFC's recursive definitions, and every proof up to 300 leaves. */
#include "register_test.h"

static struct slice hashes_of(const json_t *list)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < json_array_size(list); i++)
        buf_put_slice(&b, test_hex(json_string_value(json_array_get(list, i))));
    struct slice copy;
    assert_ok(arena_copy(&copy, test_arena, buf_slice(&b)));
    buf_done(&b);
    return copy;
}

static struct test_leaves vector_leaves(const json_t *v)
{
    json_t *entries = json_object_get(v, "entries");
    size_t n = json_array_size(entries);
    struct test_leaves l = {.hashes = arena_calloc(test_arena, n, 32), .n = n};
    for (size_t i = 0; i < n; i++)
        assert_ok(merkle_leaf(l.hashes + 32 * i, test_hex(json_string_value(json_array_get(entries, i)))));
    return l;
}

static void test_merkle_root__vectors(void **state)
{
    json_t *v = test_vectors("merkle"), *roots = json_object_get(v, "roots");
    struct test_leaves l = vector_leaves(v);
    struct merkle_source s = {.subtree = test_subtree, .ctx = &l};
    assert_int_equal(json_array_size(roots), l.n + 1);
    for (size_t n = 0; n <= l.n; n++) {
        uint8_t root[32];
        assert_ok(merkle_root(root, &s, n));
        assert_bytes(SLICE_ARR(root), test_hex(json_string_value(json_array_get(roots, n))));
    }
    json_decref(v);
}

static void test_merkle_prove__vectors(void **state)
{
    json_t *v = test_vectors("merkle"), *item;
    struct test_leaves l = vector_leaves(v);
    struct merkle_source s = {.subtree = test_subtree, .ctx = &l};
    struct slice proof;
    size_t i;
    json_array_foreach(json_object_get(v, "inclusion"), i, item)
    {
        assert_ok(
            merkle_prove_inclusion(&proof, test_arena, &s, test_num(item, "index"), test_num(item, "size")));
        assert_bytes(proof, hashes_of(json_object_get(item, "proof")));
    }
    json_array_foreach(json_object_get(v, "consistency"), i, item)
    {
        assert_ok(
            merkle_prove_consistency(&proof, test_arena, &s, test_num(item, "old"), test_num(item, "size")));
        assert_bytes(proof, hashes_of(json_object_get(item, "proof")));
    }
    json_decref(v);
}

struct roots {
    uint8_t hash[301][32];
};

static struct roots *all_roots(struct merkle_source *s, uint64_t top)
{
    struct roots *r = arena_alloc(test_arena, sizeof *r);
    for (uint64_t n = 0; n <= top; n++)
        assert_ok(merkle_root(r->hash[n], s, n));
    return r;
}

/* Every root and proof up to 300 leaves, as one digest. */
static void test_merkle_prove__every_size(void **state)
{
    json_t *v = test_vectors("merkle"), *all = json_object_get(v, "all");
    uint64_t top = test_num(all, "size");
    struct test_leaves l = test_numbered(top);
    struct merkle_source s = {.subtree = test_subtree, .ctx = &l};
    struct buf b;
    buf_init(&b, 512 << 20);
    struct roots *roots = all_roots(&s, top);
    buf_put(&b, roots->hash, (top + 1) * 32);
    struct arena *a = arena_new(0);
    for (uint64_t n = 1; n <= top; n++) {
        struct slice proof;
        for (uint64_t m = 0; m < n; m++) {
            assert_ok(merkle_prove_inclusion(&proof, a, &s, m, n));
            assert_ok(merkle_verify_inclusion(l.hashes + 32 * m, m, n, proof, roots->hash[n]));
            buf_put_slice(&b, proof);
        }
        for (uint64_t m = 1; m <= n; m++) {
            assert_ok(merkle_prove_consistency(&proof, a, &s, m, n));
            assert_ok(merkle_verify_consistency(m, roots->hash[m], n, roots->hash[n], proof));
            buf_put_slice(&b, proof);
        }
        arena_reset(a);
    }
    arena_free(a);
    uint8_t digest[32];
    assert_ok(buf_err(&b));
    assert_ok(sha256(digest, buf_slice(&b)));
    assert_bytes(SLICE_ARR(digest), test_hex(test_str(all, "sha256")));
    buf_done(&b);
    json_decref(v);
}

/* A proof that is changed anywhere, or used for another leaf, index, size or root, does not verify. */
static void test_merkle_verify__refuses_changes(void **state)
{
    enum { TOP = 70 };
    struct test_leaves l = test_numbered(TOP);
    struct merkle_source s = {.subtree = test_subtree, .ctx = &l};
    struct roots *roots = all_roots(&s, TOP);
    for (uint64_t n = 2; n <= TOP; n += 3) {
        struct slice proof;
        for (uint64_t m = 0; m < n; m++) {
            assert_ok(merkle_prove_inclusion(&proof, test_arena, &s, m, n));
            const uint8_t *leaf = l.hashes + 32 * m, *root = roots->hash[n];
            for (size_t i = 0; i < proof.n; i += 7) {
                ((uint8_t *)(uintptr_t)proof.p)[i] ^= 1;
                assert_err(TM_EBADSIG, merkle_verify_inclusion(leaf, m, n, proof, root));
                ((uint8_t *)(uintptr_t)proof.p)[i] ^= 1;
            }
            assert_err(TM_EBADSIG, merkle_verify_inclusion(l.hashes + 32 * ((m + 1) % n), m, n, proof, root));
            assert_err(TM_EBADSIG, merkle_verify_inclusion(leaf, m, n, proof, roots->hash[n - 1]));
            assert_err(TM_EBADSIG, merkle_verify_inclusion(leaf, m ^ 1, n + (m + 1 == n), proof, root));
            assert_err(TM_EBADSIG,
                       merkle_verify_inclusion(leaf, m, n, slice_sub(proof, 0, proof.n - 32), root));
        }
        for (uint64_t m = 1; m < n; m++) {
            assert_ok(merkle_prove_consistency(&proof, test_arena, &s, m, n));
            for (size_t i = 0; i < proof.n; i += 7) {
                ((uint8_t *)(uintptr_t)proof.p)[i] ^= 1;
                assert_err(TM_EBADSIG,
                           merkle_verify_consistency(m, roots->hash[m], n, roots->hash[n], proof));
                ((uint8_t *)(uintptr_t)proof.p)[i] ^= 1;
            }
            assert_err(TM_EBADSIG,
                       merkle_verify_consistency(m, roots->hash[m - 1], n, roots->hash[n], proof));
            assert_err(TM_EBADSIG,
                       merkle_verify_consistency(m, roots->hash[m], n, roots->hash[n - 1], proof));
        }
    }
}

static void test_merkle_verify__edges(void **state)
{
    struct test_leaves l = test_numbered(4);
    struct merkle_source s = {.subtree = test_subtree, .ctx = &l};
    struct roots *r = all_roots(&s, 4);
    struct slice none = {0}, proof;
    uint8_t long_proof[65 * 32] = {0};
    assert_err(TM_EINVAL, merkle_prove_inclusion(&proof, test_arena, &s, 4, 4));
    assert_err(TM_EINVAL, merkle_prove_consistency(&proof, test_arena, &s, 5, 4));
    assert_err(TM_EINVAL, merkle_verify_inclusion(l.hashes, 4, 4, none, r->hash[4]));
    assert_err(TM_EINVAL, merkle_verify_inclusion(l.hashes, 0, 0, none, r->hash[0]));
    assert_err(TM_EINVAL, merkle_verify_inclusion(l.hashes, 0, UINT64_MAX, none, r->hash[4]));
    assert_err(TM_EINVAL, merkle_verify_inclusion(l.hashes, 0, 4, slice_of(long_proof, 31), r->hash[4]));
    assert_err(TM_EINVAL, merkle_verify_inclusion(l.hashes, 0, 4, SLICE_ARR(long_proof), r->hash[4]));
    assert_ok(merkle_verify_inclusion(l.hashes, 0, 1, none, r->hash[1]));
    assert_err(TM_EINVAL, merkle_verify_consistency(4, r->hash[4], 3, r->hash[3], none));
    assert_ok(merkle_verify_consistency(0, r->hash[0], 3, r->hash[3], none));
    assert_err(TM_EBADSIG, merkle_verify_consistency(0, r->hash[1], 3, r->hash[3], none));
    assert_err(TM_EBADSIG, merkle_verify_consistency(0, r->hash[0], 3, r->hash[3], slice_of(long_proof, 32)));
    assert_ok(merkle_verify_consistency(3, r->hash[3], 3, r->hash[3], none));
    assert_err(TM_EBADSIG, merkle_verify_consistency(3, r->hash[3], 3, r->hash[4], none));
    assert_err(TM_EBADSIG, merkle_verify_consistency(3, r->hash[3], 4, r->hash[4], none));
}

/* ---- the growing edge ---- */

/* Full tiles as a store would keep them. */
struct tiles {
    struct test_leaves leaves;
    uint8_t *level[2]; /* 32 octets a hash */
    uint64_t n[2];     /* full tiles */
};

static tm_err tile_keep(void *ctx, unsigned level, uint64_t index, const uint8_t *hashes)
{
    struct tiles *t = ctx;
    assert_true(level < 2);
    assert_int_equal(index, t->n[level]++);
    memcpy(t->level[level] + index * TREE_TILE_OCTETS, hashes, TREE_TILE_OCTETS);
    return TM_OK;
}

static tm_err tile_give(void *ctx, unsigned level, uint64_t index, uint8_t out[TREE_TILE_OCTETS])
{
    struct tiles *t = ctx;
    if (level >= 2 || index >= t->n[level])
        return TM_ENOTFOUND;
    memcpy(out, t->level[level] + index * TREE_TILE_OCTETS, TREE_TILE_OCTETS);
    return TM_OK;
}

static tm_err leaves_give(void *ctx, uint64_t from, size_t n, uint8_t *out)
{
    struct tiles *t = ctx;
    memcpy(out, t->leaves.hashes + 32 * from, 32 * n);
    return TM_OK;
}

static struct tiles tiles_new(uint64_t n)
{
    struct tiles t = {.leaves = test_numbered(n)};
    for (int l = 0; l < 2; l++)
        t.level[l] = arena_alloc(test_arena, (n / 256 + 1) * TREE_TILE_OCTETS);
    return t;
}

static void assert_trees_equal(const struct tree *x, const struct tree *y)
{
    assert_int_equal(x->size, y->size);
    for (unsigned l = 0; l < TREE_ROWS; l++) {
        size_t used = (size_t)(x->size >> (8 * l)) & 255;
        if (used)
            assert_memory_equal(x->rows[l], y->rows[l], used * 32);
        for (unsigned bit = 8 * l; bit < 8 * l + 8; bit++)
            if (x->size >> bit & 1)
                assert_memory_equal(x->peaks[bit], y->peaks[bit], 32);
    }
}

/* Roots at sizes around full tiles of two levels, as Python has them; loading the edge anew gives the same. */
static void test_tree__large(void **state)
{
    json_t *v = test_vectors("merkle"), *large = json_object_get(v, "large");
    struct tiles t = tiles_new(70000);
    struct tile_reader reader = {.tile = tile_give, .leaves = leaves_give, .ctx = &t};
    struct tree tree = {0}, again = {0};
    size_t at = 0;
    for (uint64_t i = 0; i < t.leaves.n; i++) {
        assert_ok(tree_append(&tree, t.leaves.hashes + 32 * i, tile_keep, &t));
        json_t *next = json_array_get(large, at);
        if (!next || tree.size != test_num(next, "size"))
            continue;
        uint8_t root[32];
        assert_ok(tree_root(root, &tree));
        assert_bytes(SLICE_ARR(root), test_hex(test_str(next, "root")));
        assert_ok(tree_load(&again, tree.size, &reader));
        assert_trees_equal(&tree, &again);
        tree_done(&again);
        at++;
    }
    assert_int_equal(at, json_array_size(large));
    assert_int_equal(t.n[0], 70000 / 256);
    assert_int_equal(t.n[1], 1);
    json_decref(v);

    /* Proofs out of tiles verify, also for older sizes. */
    struct tree_source source = {.tree = &tree, .reader = &reader};
    struct merkle_source s = {.subtree = tree_subtree, .ctx = &source};
    uint64_t sizes[] = {1, 255, 256, 257, 300, 65535, 65536, 65537, 66000, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t root[32], root_now[32];
        struct slice proof;
        assert_ok(merkle_root(root, &s, sizes[i]));
        assert_ok(tree_root(root_now, &tree));
        assert_ok(merkle_prove_consistency(&proof, test_arena, &s, sizes[i], tree.size));
        assert_ok(merkle_verify_consistency(sizes[i], root, tree.size, root_now, proof));
        for (uint64_t m = 0; m < sizes[i]; m += 1 + sizes[i] / 17) {
            assert_ok(merkle_prove_inclusion(&proof, test_arena, &s, m, sizes[i]));
            assert_ok(merkle_verify_inclusion(t.leaves.hashes + 32 * m, m, sizes[i], proof, root));
        }
    }
    tree_source_done(&source);
    tree_done(&tree);
}

static void test_tree__every_size(void **state)
{
    struct tiles t = tiles_new(600);
    struct merkle_source s = {.subtree = test_subtree, .ctx = &t.leaves};
    struct tile_reader reader = {.tile = tile_give, .leaves = leaves_give, .ctx = &t};
    struct tree tree = {0};
    for (uint64_t n = 0; n <= t.leaves.n; n++) {
        uint8_t root[32], expected[32];
        struct tree loaded = {0}, copy = {0};
        assert_ok(tree_root(root, &tree));
        assert_ok(merkle_root(expected, &s, n));
        assert_memory_equal(root, expected, 32);
        assert_ok(tree_load(&loaded, n, &reader));
        assert_ok(tree_clone(&copy, &loaded));
        assert_trees_equal(&tree, &copy);
        tree_done(&loaded);
        tree_done(&copy);
        if (n < t.leaves.n)
            assert_ok(tree_append(&tree, t.leaves.hashes + 32 * n, tile_keep, &t));
    }
    tree_done(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REGISTER_TEST(test_merkle_root__vectors),     REGISTER_TEST(test_merkle_prove__vectors),
        REGISTER_TEST(test_merkle_prove__every_size), REGISTER_TEST(test_merkle_verify__refuses_changes),
        REGISTER_TEST(test_merkle_verify__edges),     REGISTER_TEST(test_tree__large),
        REGISTER_TEST(test_tree__every_size),
    };
    return cmocka_run_group_tests_name("register/merkle", tests, NULL, NULL);
}
