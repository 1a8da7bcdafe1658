#include "base/arena.h"
#include <stdalign.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static void test_arena_alloc__zeroed_aligned_apart(void **state)
{
    struct arena *a = arena_new(0);
    uint8_t *kept[400];
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < 400; i++) {
            size_t n = i * 7 % 900;
            kept[i] = arena_alloc(a, n);
            assert_non_null(kept[i]);
            assert_int_equal((uintptr_t)kept[i] % alignof(max_align_t), 0);
            assert_true(all_zero(kept[i], n));
            memset(kept[i], (int)(i % 255) + 1, n);
        }
        for (size_t i = 0; i < 400; i++)
            for (size_t j = 0; j < i * 7 % 900; j++)
                assert_int_equal(kept[i][j], i % 255 + 1);
        arena_reset(a); /* the second round must find zeroes in memory that was used */
        assert_int_equal(arena_used(a), 0);
    }
    arena_free(a);
}

static void test_arena_alloc__nothing_is_something(void **state)
{
    struct arena *a = arena_new(64);
    void *p = arena_alloc(a, 0), *q = arena_alloc(a, 0);
    assert_non_null(p);
    assert_non_null(q);
    assert_ptr_not_equal(p, q);
    arena_free(a);
}

static void test_arena_alloc__big_ones(void **state)
{
    struct arena *a = arena_new(8 << 20);
    uint8_t *small = arena_alloc(a, 16);
    uint8_t *big = arena_alloc(a, 1 << 20);
    assert_non_null(big);
    big[0] = big[(1 << 20) - 1] = 1;
    uint8_t *next = arena_alloc(a, 16);
    /* The room in the first block was not given up for the big one. */
    assert_true(next > small && next < small + 4096);
    arena_free(a);
}

static void test_arena_alloc__maximum(void **state)
{
    volatile size_t huge = SIZE_MAX; /* volatile: the compiler objects to it as a constant */
    struct arena *a = arena_new(1024);
    assert_non_null(arena_alloc(a, 1000));
    assert_int_equal(arena_err(a), TM_OK);
    assert_null(arena_alloc(a, 32));
    assert_int_equal(arena_err(a), TM_ETOOBIG);
    assert_null(arena_alloc(a, huge));
    assert_null(arena_calloc(a, huge / 2, 3));
    assert_null(arena_strdup(a, "0123456789012345678901234567890123456789"));
    struct slice s = SLICE_LIT("kept");
    assert_int_equal(arena_copy(&s, a, slice_of("x", SIZE_MAX)), TM_ETOOBIG);
    assert_true(slice_eq_str(s, "kept"));
    arena_reset(a);
    assert_int_equal(arena_err(a), TM_OK);
    assert_non_null(arena_alloc(a, 1024));
    arena_free(a);
    arena_free(NULL);
}

static void test_arena_strings__copies(void **state)
{
    struct arena *a = arena_new(0);
    assert_string_equal(arena_strdup(a, "hello"), "hello");
    assert_string_equal(arena_strndup(a, "hello", 2), "he");
    assert_string_equal(arena_strndup(a, "he", 20), "he");
    assert_string_equal(arena_strndup(a, NULL, 0), "");
    assert_string_equal(arena_printf(a, "%s-%d", "a", 5), "a-5");
    char *wide = arena_printf(a, "%0500d|%s", 7, "end");
    assert_int_equal(strlen(wide), 504);
    assert_string_equal(wide + 499, "7|end");
    struct slice s;
    assert_int_equal(arena_copy(&s, a, SLICE_LIT("text")), TM_OK);
    assert_string_equal((const char *)s.p, "text");
    assert_int_equal(arena_copy(&s, a, slice_of(NULL, 0)), TM_OK);
    assert_int_equal(s.n, 0);
    assert_string_equal((const char *)s.p, "");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_alloc__zeroed_aligned_apart),
        cmocka_unit_test(test_arena_alloc__nothing_is_something),
        cmocka_unit_test(test_arena_alloc__big_ones),
        cmocka_unit_test(test_arena_alloc__maximum),
        cmocka_unit_test(test_arena_strings__copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
