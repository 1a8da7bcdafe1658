/* Samples for the x509 tests: files below tests/data/x509, and golden files. The tests run in the project's root. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#define SAMPLES "tests/data/x509/"
#define GOLDEN  "tests/golden/x509/"

static inline bool sample_read(struct slice *ret, struct arena *a, const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *p = arena_alloc(a, 1 << 16);
    if (!f || !p)
        return false;
    *ret = slice_of(p, fread(p, 1, 1 << 16, f));
    fclose(f);
    return true;
}

static inline struct slice sample(struct arena *a, const char *name)
{
    struct slice s = {0};
    if (!sample_read(&s, a, arena_printf(a, SAMPLES "%s", name)))
        fail_msg("cannot read %s%s", SAMPLES, name);
    return s;
}

/* Compare with a golden file; TOUCHMARK_UPDATE_GOLDEN=1 writes it instead. */
static inline void golden(struct arena *a, const char *name, struct slice got)
{
    const char *path = arena_printf(a, GOLDEN "%s", name);
    struct slice want = {0};
    if (getenv("TOUCHMARK_UPDATE_GOLDEN")) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fwrite(got.p, 1, got.n, f);
        fclose(f);
        return;
    }
    if (!sample_read(&want, a, path))
        fail_msg("%s is missing", path);
    if (!slice_eq(got, want))
        fail_msg("%s differs:\n%.*s", path, (int)got.n, (const char *)got.p);
}

static inline int sample_compare(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Names of the files in SAMPLES<dir> that start with `prefix`, sorted. */
static inline size_t sample_list(const char **v, size_t max, struct arena *a, const char *dir,
                                 const char *prefix)
{
    DIR *d = opendir(arena_printf(a, SAMPLES "%s", dir));
    size_t n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) && n < max;)
        if (e->d_name[0] != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0)
            v[n++] = arena_strdup(a, e->d_name);
    closedir(d);
    qsort(v, n, sizeof *v, sample_compare);
    assert_true(n > 0);
    return n;
}

static inline int sample_setup(void **state)
{
    *state = arena_new(0);
    return *state ? 0 : -1;
}

static inline int sample_teardown(void **state)
{
    arena_free(*state);
    return 0;
}

#define SAMPLE_TEST(f) cmocka_unit_test_setup_teardown(f, sample_setup, sample_teardown)
