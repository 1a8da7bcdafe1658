/* What the tests of register/ share: cmocka, the vectors, hex. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "register/internal.h"
#include <stdlib.h>

#define assert_ok(expr)     assert_int_equal((expr), TM_OK)
#define assert_err(e, expr) assert_int_equal((expr), (e))

[[maybe_unused]] static struct arena *test_arena;

[[maybe_unused]] static int test_setup(void **state)
{
    (void)state;
    test_arena = arena_new(256 << 20);
    return test_arena ? 0 : -1;
}

[[maybe_unused]] static int test_teardown(void **state)
{
    (void)state;
    arena_free(test_arena);
    return 0;
}

#define REGISTER_TEST(f) cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)

/* One part of tests/data/register/vectors.json; the caller decrefs. */
[[maybe_unused]] static json_t *test_vectors(const char *part)
{
    json_t *all = json_load_file("tests/data/register/vectors.json", 0, NULL);
    assert_non_null(all);
    json_t *v = json_incref(json_object_get(all, part));
    assert_non_null(v);
    json_decref(all);
    return v;
}

[[maybe_unused]] static const char *test_str(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    assert_non_null(s);
    return s;
}

[[maybe_unused]] static uint64_t test_num(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    assert_true(json_is_integer(v));
    return (uint64_t)json_integer_value(v);
}

[[maybe_unused]] static struct slice test_hex(const char *hex)
{
    struct slice v;
    assert_ok(hex_decode(&v, test_arena, slice_str(hex)));
    return v;
}

[[maybe_unused]] static void assert_bytes(struct slice got, struct slice want)
{
    assert_int_equal(got.n, want.n);
    if (want.n)
        assert_memory_equal(got.p, want.p, want.n);
}

/* A tree whose leaves are all in memory. */
struct test_leaves {
    uint8_t *hashes;
    uint64_t n;
};

[[maybe_unused]] static tm_err test_subtree(void *ctx, unsigned level, uint64_t index, uint8_t out[32])
{
    const struct test_leaves *l = ctx;
    if ((index + 1) << level > l->n)
        return TM_EINTERNAL;
    if (level == 0) {
        memcpy(out, l->hashes + 32 * index, 32);
        return TM_OK;
    }
    uint8_t left[32], right[32];
    TM_TRY(test_subtree(ctx, level - 1, 2 * index, left));
    TM_TRY(test_subtree(ctx, level - 1, 2 * index + 1, right));
    return merkle_node(out, left, right);
}

/* Leaf i is the leaf hash of i in decimal. */
[[maybe_unused]] static struct test_leaves test_numbered(uint64_t n)
{
    struct test_leaves l = {.hashes = arena_calloc(test_arena, n ? n : 1, 32), .n = n};
    assert_non_null(l.hashes);
    for (uint64_t i = 0; i < n; i++) {
        char text[24];
        snprintf(text, sizeof text, "%llu", (unsigned long long)i);
        assert_ok(merkle_leaf(l.hashes + 32 * i, slice_str(text)));
    }
    return l;
}
