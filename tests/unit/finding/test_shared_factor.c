#include "finding/shared_factor.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <stdlib.h>
#include <string.h>

enum { PRIME_BITS = 160, MANY = SHARED_BLOCK + 700 };

/* Primes need not be large to be different: these are found quickly. */
/* What is made here is freed at the end. */
enum { KEPT_MAX = 512 };
static BIGNUM *kept_numbers[KEPT_MAX];
static uint8_t *kept_octets[KEPT_MAX];
static size_t n_numbers, n_octets;

static int drop_kept(void **state)
{
    (void)state;
    while (n_numbers)
        BN_free(kept_numbers[--n_numbers]);
    while (n_octets)
        free(kept_octets[--n_octets]);
    return 0;
}

static BIGNUM *prime(void)
{
    BIGNUM *p = BN_new();
    assert_true(n_numbers < KEPT_MAX);
    kept_numbers[n_numbers++] = p;
    assert_int_equal(BN_generate_prime_ex(p, PRIME_BITS, 0, NULL, NULL, NULL), 1);
    return p;
}

static struct slice product(const BIGNUM *p, const BIGNUM *q)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *n = BN_new();
    BN_mul(n, p, q, ctx);
    uint8_t *octets = malloc((size_t)BN_num_bytes(n));
    assert_true(n_octets < KEPT_MAX);
    kept_octets[n_octets++] = octets;
    size_t k = (size_t)BN_bn2bin(n, octets);
    BN_free(n);
    BN_CTX_free(ctx);
    return slice_of(octets, k);
}

struct seen {
    const struct shared_modulus *v;
    struct slice of[64][2];
    size_t n;
};

static tm_err note(void *arg, size_t one, size_t other)
{
    struct seen *s = arg;
    assert_true(s->n < 64);
    s->of[s->n][0] = s->v[one].n;
    s->of[s->n++][1] = s->v[other].n;
    return TM_OK;
}

static bool has(const struct seen *s, struct slice a, struct slice b)
{
    for (size_t i = 0; i < s->n; i++)
        if ((slice_eq(s->of[i][0], a) && slice_eq(s->of[i][1], b)) ||
            (slice_eq(s->of[i][0], b) && slice_eq(s->of[i][1], a)))
            return true;
    return false;
}

static void test_shared_factors__few(void **state)
{
    (void)state;
    BIGNUM *p[7];
    for (int i = 0; i < 7; i++)
        p[i] = prime();
    /* 0-1 and 1-2 share, so that 1's primes are both known; 3 and 4 share one; 5 shares none. */
    struct slice a = product(p[0], p[1]), b = product(p[1], p[2]), c = product(p[2], p[0]),
                 d = product(p[3], p[4]), e = product(p[3], p[5]), f = product(p[6], p[6]);
    struct shared_modulus v[] = {{a, true}, {b, true}, {c, true}, {d, false}, {e, true}, {f, true}};
    struct seen s = {.v = v};
    assert_int_equal(shared_factors(v, 6, NULL, note, &s), TM_OK);
    assert_true(has(&s, a, b) && has(&s, b, c) && has(&s, a, c) && has(&s, d, e));
    assert_false(has(&s, a, d) || has(&s, f, a) || has(&s, f, d));
    /* Those that were compared before are not told of again. */
    for (size_t i = 0; i < 6; i++)
        v[i].fresh = false;
    s.n = 0;
    assert_int_equal(shared_factors(v, 6, NULL, note, &s), TM_OK);
    assert_int_equal(s.n, 0);
    assert_int_equal(shared_factors(v, 1, NULL, note, &s), TM_OK);
}

/* More than one block: odd numbers that are no products of two primes do as well, where they are coprime to what is looked for. */
static void test_shared_factors__across_blocks(void **state)
{
    (void)state;
    BIGNUM *shared = prime(), *x = prime(), *y = prime();
    struct slice one = product(shared, x), other = product(shared, y);
    struct shared_modulus *v = calloc(MANY, sizeof *v);
    uint8_t *room = malloc((size_t)MANY * 16);
    /* Small primes, each once: pairwise coprime and told apart. */
    uint32_t candidate = 1000003;
    for (size_t i = 0; i < MANY - 2; candidate += 2) {
        bool is_prime = true;
        for (uint32_t k = 3; k * k <= candidate && is_prime; k += 2)
            is_prime = candidate % k != 0;
        if (!is_prime)
            continue;
        uint8_t *at = room + i * 16;
        at[0] = (uint8_t)(candidate >> 24);
        at[1] = (uint8_t)(candidate >> 16);
        at[2] = (uint8_t)(candidate >> 8);
        at[3] = (uint8_t)candidate;
        v[i++] = (struct shared_modulus){slice_of(at, 4), false};
    }
    v[MANY - 2] = (struct shared_modulus){one, false};
    v[MANY - 1] = (struct shared_modulus){other, true};
    struct seen s = {.v = v};
    assert_int_equal(shared_factors(v, MANY, NULL, note, &s), TM_OK);
    assert_int_equal(s.n, 1);
    assert_true(has(&s, one, other));
    atomic_bool stop = true;
    v[0].fresh = true;
    assert_int_equal(shared_factors(v, MANY, &stop, note, &s), TM_EUNAVAIL);
    free(room);
    free(v);
}

/* Large ones, whose products are divided by reciprocals. */
static void test_shared_factors__large(void **state)
{
    (void)state;
    enum { N = 150 };
    struct shared_modulus v[N];
    BIGNUM *shared = prime(), *p = BN_new();
    BN_CTX *ctx = BN_CTX_new();
    for (size_t i = 0; i < N; i++) {
        BIGNUM *q = prime();
        BN_rand(p, 900, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD);
        /* Random numbers share small factors now and then; squares of a prime of their own don't. */
        BN_sqr(p, q, ctx);
        v[i] = (struct shared_modulus){product(i == 17 || i == 140 ? shared : p, q), true};
    }
    BN_free(p);
    BN_CTX_free(ctx);
    struct slice one = v[17].n, other = v[140].n;
    struct seen s = {.v = v};
    assert_int_equal(shared_factors(v, N, NULL, note, &s), TM_OK);
    assert_true(has(&s, one, other));
    for (size_t i = 0; i < s.n; i++)
        assert_true((slice_eq(s.of[i][0], one) || slice_eq(s.of[i][0], other)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_factors__few),
        cmocka_unit_test(test_shared_factors__across_blocks),
        cmocka_unit_test(test_shared_factors__large),
    };
    return cmocka_run_group_tests(tests, NULL, drop_kept);
}
