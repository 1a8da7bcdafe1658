#include "filter/gf2.h"
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static uint64_t state = 88172645463325252u;
static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1du; /* xorshift alone is linear over GF(2) */
}

struct work {
    struct gf2 a, kept, inverse;
};

static void fill(struct gf2 *a, unsigned m, bool with_right)
{
    for (unsigned i = 0; i < m; i++) {
        for (unsigned j = 0; j < GF2_WORDS; j++)
            a->row[i][j] = rnd();
        unsigned bits = m + with_right, words = (bits + 63) / 64;
        if (bits % 64)
            a->row[i][words - 1] &= ((uint64_t)1 << (bits % 64)) - 1;
    }
}

static void test_gf2_invert__gives_unit_vectors(void **st)
{
    struct work *w = calloc(1, sizeof *w);
    unsigned found = 0;
    assert_non_null(w);
    for (unsigned m = 1; m <= 200; m += 7) {
        fill(&w->a, m, false);
        w->kept = w->a;
        if (!gf2_invert(&w->inverse, &w->a, m))
            continue;
        found++;
        /* inverse times kept: row i of the inverse picks rows of kept that add up to unit vector i. */
        for (unsigned i = 0; i < m; i++) {
            uint64_t sum[GF2_WORDS] = {0};
            for (unsigned j = 0; j < m; j++)
                if (w->inverse.row[i][j / 64] >> (j % 64) & 1)
                    for (unsigned k = 0; k < (m + 63) / 64; k++)
                        sum[k] ^= w->kept.row[j][k];
            for (unsigned k = 0; k < (m + 63) / 64; k++)
                assert_int_equal(sum[k], k == i / 64 ? (uint64_t)1 << (i % 64) : 0);
        }
    }
    assert_true(found > 2);
    free(w);
}

static void test_gf2_invert__singular(void **st)
{
    struct work *w = calloc(1, sizeof *w);
    assert_non_null(w);
    fill(&w->a, 100, false);
    memcpy(w->a.row[41], w->a.row[7], sizeof w->a.row[7]);
    assert_false(gf2_invert(&w->inverse, &w->a, 100));
    free(w);
}

static void test_gf2_solve__solution_holds(void **st)
{
    struct work *w = calloc(1, sizeof *w);
    unsigned solved = 0;
    assert_non_null(w);
    for (unsigned m = 1; m <= 330; m += 9) {
        fill(&w->a, m, true);
        w->kept = w->a;
        uint64_t x[GF2_WORDS];
        if (!gf2_solve(x, &w->a, m))
            continue;
        solved++;
        for (unsigned i = 0; i < m; i++) {
            uint64_t *row = w->kept.row[i];
            bool right = row[m / 64] >> (m % 64) & 1;
            row[m / 64] &= ~((uint64_t)1 << (m % 64));
            assert_int_equal(gf2_product(row, x, m / 64 + 1), right);
        }
    }
    assert_true(solved > 5);
    free(w);
}

static void test_gf2_solve__contradiction(void **st)
{
    struct work *w = calloc(1, sizeof *w);
    uint64_t x[GF2_WORDS];
    assert_non_null(w);
    fill(&w->a, 64, true);
    memcpy(w->a.row[3], w->a.row[9], sizeof w->a.row[9]);
    w->a.row[3][1] ^= 1; /* bit 64: the right side */
    assert_false(gf2_solve(x, &w->a, 64));
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gf2_invert__gives_unit_vectors),
        cmocka_unit_test(test_gf2_invert__singular),
        cmocka_unit_test(test_gf2_solve__solution_holds),
        cmocka_unit_test(test_gf2_solve__contradiction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
