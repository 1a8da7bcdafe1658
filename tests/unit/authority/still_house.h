/* A house of its own for all tests of a file, without a server, under a clock that stands still; and an arena for each test. */
#pragma once
#include "unit/authority/home_test.h"

static struct house *house;
static struct arena *arena;
[[maybe_unused]] static int64_t t0; /* where the clock stood first */

[[maybe_unused]] static int still_begin(void **state)
{
    (void)state;
    test_dir_make();
    make_home_with(&(struct init_config){0});
    house = open_home();
    t0 = clock_now();
    clock_fix(t0);
    return 0;
}

[[maybe_unused]] static int still_end(void **state)
{
    (void)state;
    clock_fix(0);
    house_close(house);
    free_home();
    test_dir_remove();
    return 0;
}

[[maybe_unused]] static int still_each_begin(void **state)
{
    (void)state;
    arena = arena_new(1024 << 20);
    return arena ? 0 : -1;
}

[[maybe_unused]] static int still_each_end(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}
