/* The pieces that allocate, compiled here against an allocator that fails on demand: out of memory is an error that
 * leaves everything whole, and never an abort. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/task.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static int allowed;

static void *scarce_malloc(size_t n)
{
    return allowed-- > 0 ? malloc(n) : NULL;
}

static void *scarce_calloc(size_t n, size_t size)
{
    return allowed-- > 0 ? calloc(n, size) : NULL;
}

static void *scarce_realloc(void *p, size_t n)
{
    return allowed-- > 0 ? realloc(p, n) : NULL;
}

#define malloc  scarce_malloc
#define calloc  scarce_calloc
#define realloc scarce_realloc
#include "../../../src/base/arena.c"
#include "../../../src/base/buf.c"
#include "../../../src/base/task.c"
#undef malloc
#undef calloc
#undef realloc

static void test_arena__out_of_memory(void **state)
{
    allowed = 0;
    assert_null(arena_new(0));
    for (int n = 1; n < 5; n++) {
        allowed = n;
        struct arena *a = arena_new(0);
        struct slice kept = SLICE_LIT("kept"), got = kept;
        char *text = arena_strdup(a, "written before");
        bool failed = false;
        for (int i = 0; i < 100 && !failed; i++)
            failed = arena_copy(&got, a, slice_of((const char[1500]){0}, 1500)) != TM_OK;
        assert_true(failed);
        assert_int_equal(arena_err(a), TM_ENOMEM);
        assert_null(arena_alloc(a, 1 << 20));
        assert_string_equal(text, "written before");
        allowed = 1;
        assert_non_null(arena_alloc(a, 1 << 20));
        arena_reset(a);
        assert_int_equal(arena_err(a), TM_OK);
        arena_free(a);
    }
}

static void test_buf__out_of_memory(void **state)
{
    for (int n = 0; n < 4; n++) {
        struct buf b;
        buf_init(&b, 1000);
        allowed = n;
        for (int i = 0; i < 1000; i++)
            buf_printf(&b, "%c", 'x');
        assert_int_equal(buf_err(&b), TM_ENOMEM);
        assert_null(buf_extend(&b, 1));
        assert_null(buf_take(&b));
        assert_string_equal(buf_str(&b), "");
        buf_consume(&b, 1);
        buf_put_json_string(&b, SLICE_LIT("\xff"));
        buf_reset(&b);
        allowed = 5;
        buf_puts(&b, "works again");
        assert_string_equal(buf_str(&b), "works again");
        buf_done(&b);
    }
}

static void test_task__out_of_memory(void **state)
{
    allowed = 0;
    struct pool *p = NULL;
    assert_int_equal(pool_new(&p, "test", 1), TM_ENOMEM);
    assert_null(p);
    assert_null(waiter_new());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena__out_of_memory),
        cmocka_unit_test(test_buf__out_of_memory),
        cmocka_unit_test(test_task__out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
