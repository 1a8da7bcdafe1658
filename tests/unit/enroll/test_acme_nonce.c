#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "enroll/acme/nonce.h"
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static struct nonces *make(void)
{
    struct nonces *n = NULL;
    assert_int_equal(nonces_new(&n, 3), TM_OK);
    return n;
}

static bool redeem(struct nonces *n, struct slice text)
{
    struct arena *a = arena_new(0);
    bool good = a && nonce_redeem(n, a, text);
    arena_free(a);
    return good;
}

static void test_nonce_redeem__once(void **state)
{
    (void)state;
    struct nonces *n = make();
    char a[NONCE_TEXT + 1], b[NONCE_TEXT + 1];
    assert_int_equal(nonce_issue(n, a), TM_OK);
    assert_int_equal(nonce_issue(n, b), TM_OK);
    assert_int_equal(strlen(a), NONCE_TEXT);
    assert_string_not_equal(a, b);
    assert_true(redeem(n, slice_str(b)));
    assert_false(redeem(n, slice_str(b)));
    assert_true(redeem(n, slice_str(a)));
    assert_false(redeem(n, slice_str(a)));
    nonces_free(n);
}

static void test_nonce_redeem__foreign(void **state)
{
    (void)state;
    struct nonces *n = make(), *other = make(); /* another node, or the same after a restart */
    char a[NONCE_TEXT + 1];
    assert_int_equal(nonce_issue(other, a), TM_OK);
    assert_false(redeem(n, slice_str(a)));
    assert_false(redeem(n, SLICE_LIT("")));
    assert_false(redeem(n, SLICE_LIT("AAAA")));
    /* Every octet of a nonce counts. */
    assert_int_equal(nonce_issue(n, a), TM_OK);
    for (size_t i = 0; i < NONCE_TEXT; i++) {
        char forged[NONCE_TEXT + 1];
        memcpy(forged, a, sizeof forged);
        forged[i] = forged[i] == 'A' ? 'E' : 'A';
        assert_false(redeem(n, slice_str(forged)));
    }
    assert_true(redeem(n, slice_str(a)));
    nonces_free(n);
    nonces_free(other);
}

static void test_nonce_redeem__window(void **state)
{
    (void)state;
    struct nonces *n = make();
    char old[NONCE_TEXT + 1], oldest[NONCE_TEXT + 1], x[NONCE_TEXT + 1];
    assert_int_equal(nonce_issue(n, old), TM_OK);
    assert_int_equal(nonce_issue(n, oldest), TM_OK);
    assert_true(redeem(n, slice_str(old)));
    for (int i = 1; i < NONCE_WINDOW; i++)
        assert_int_equal(nonce_issue(n, x), TM_OK);
    /* `old` has left the window and its bit serves another; `oldest` is the last that may come. */
    assert_false(redeem(n, slice_str(old)));
    assert_true(redeem(n, slice_str(oldest)));
    assert_true(redeem(n, slice_str(x)));
    assert_false(redeem(n, slice_str(x)));
    nonces_free(n);
}

struct race {
    struct nonces *n;
    char v[64][NONCE_TEXT + 1];
    atomic_uint good;
};

static void *racer(void *arg)
{
    struct race *r = arg;
    for (int i = 0; i < 64; i++)
        if (redeem(r->n, slice_str(r->v[i])))
            atomic_fetch_add(&r->good, 1);
    return NULL;
}

static void test_nonce_redeem__one_of_many_threads(void **state)
{
    (void)state;
    struct race r = {.n = make()};
    pthread_t t[4];
    for (int i = 0; i < 64; i++)
        assert_int_equal(nonce_issue(r.n, r.v[i]), TM_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, racer, &r), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(atomic_load(&r.good), 64);
    nonces_free(r.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nonce_redeem__once),
        cmocka_unit_test(test_nonce_redeem__foreign),
        cmocka_unit_test(test_nonce_redeem__window),
        cmocka_unit_test(test_nonce_redeem__one_of_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
