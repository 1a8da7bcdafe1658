#include "base/digest.h"
#include "filter/writer.h"
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

/* Random universes with a model beside them: every member right. */

enum { T0 = 1700000000, ISSUERS = 3 };

static uint64_t state = 0x9e3779b97f4a7c15u;
static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

struct universe {
    size_t n, n_base;  /* of each issuer; the first n_base are in the full filter */
    double rate;       /* revoked in the full one */
    uint8_t *was, *is; /* by issuer * n + member */
    uint64_t salt;
};

static void serial_of(uint8_t s[TMF_SERIAL_LEN], const struct universe *u, unsigned issuer, size_t i)
{
    uint8_t digest[SHA256_LEN];
    uint64_t in[3] = {u->salt, issuer, i};
    uint32_t at = (uint32_t)(T0 + i);
    assert_int_equal(sha256(digest, slice_of(in, sizeof in)), TM_OK);
    s[0] = 3;
    s[1] = 16;
    for (int j = 0; j < 4; j++)
        s[2 + j] = (uint8_t)(at >> (24 - 8 * j));
    memcpy(s + 6, digest, 10);
}

static void issuer_id(uint8_t id[TMF_ISSUER_LEN], unsigned issuer)
{
    memset(id, (int)(200 - 50 * issuer), TMF_ISSUER_LEN); /* not in order */
}

static struct universe universe_make(size_t n, size_t n_base, double rate, double change)
{
    struct universe u = {.n = n, .n_base = n_base, .rate = rate, .salt = rnd()};
    u.was = calloc(ISSUERS, n + 1);
    u.is = calloc(ISSUERS, n + 1);
    assert_true(u.was && u.is);
    for (size_t i = 0; i < ISSUERS * n; i++) {
        u.was[i] = i % n < n_base && (double)(rnd() >> 11) * 0x1p-53 < rate;
        u.is[i] = (double)(rnd() >> 11) * 0x1p-53 < change ? !u.was[i] : u.was[i];
    }
    return u;
}

static void universe_done(struct universe *u)
{
    free(u->was);
    free(u->is);
}

static void build(struct buf *out, const struct universe *u, const struct buf *base)
{
    struct filter_head head = {.kind = base ? TMF_DELTA : TMF_FULL,
                               .name = "test",
                               .number = base ? 8 : 7,
                               .base_number = base ? 7 : 0,
                               .this_update = T0 + 100000,
                               .next_update = T0 + 200000};
    struct filter_writer *w;
    buf_init(out, 1 << 26);
    if (base)
        assert_int_equal(sha256(head.base_digest, buf_slice(base)), TM_OK);
    assert_int_equal(filter_writer_new(&w, &head), TM_OK);
    for (unsigned x = 0; x < ISSUERS; x++) {
        uint8_t id[TMF_ISSUER_LEN], serial[TMF_SERIAL_LEN];
        issuer_id(id, x);
        assert_int_equal(filter_writer_issuer(w, id, (int64_t)(T0 + (base ? u->n : u->n_base))), TM_OK);
        for (size_t i = 0; i < (base ? u->n : u->n_base); i++) {
            size_t at = x * u->n + i;
            serial_of(serial, u, x, i);
            enum filter_role role = base && u->was[at] ? FILTER_RELEASED : FILTER_REVOKED;
            bool is = !base ? u->was[at] : role == FILTER_RELEASED ? !u->is[at] : u->is[at];
            assert_int_equal(filter_writer_add(w, role, serial, is), TM_OK);
        }
    }
    assert_int_equal(filter_writer_end(w, out), TM_OK);
    filter_writer_free(w);
}

static void check_all(const struct universe *u, const struct tmf_filter *f, const struct tmf_filter *delta)
{
    for (unsigned x = 0; x < ISSUERS; x++)
        for (size_t i = 0; i < u->n; i++) {
            uint8_t id[TMF_ISSUER_LEN], serial[TMF_SERIAL_LEN];
            const uint8_t *right = delta ? u->is : u->was;
            issuer_id(id, x);
            serial_of(serial, u, x, i);
            enum tmf_answer wanted = !delta && i >= u->n_base ? TMF_NOT_COVERED
                                     : right[x * u->n + i]    ? TMF_REVOKED
                                                              : TMF_GOOD;
            assert_int_equal(tmf_query(f, delta, id, serial, sizeof serial), wanted);
        }
}

static void run(size_t n, size_t n_base, double rate, double change)
{
    struct universe u = universe_make(n, n_base, rate, change);
    struct buf full, delta;
    struct tmf_filter f, d;
    uint8_t digest[SHA256_LEN];
    build(&full, &u, NULL);
    build(&delta, &u, &full);
    assert_int_equal(tmf_open(&f, full.p, full.n), 0);
    assert_int_equal(tmf_open(&d, delta.p, delta.n), 0);
    assert_int_equal(sha256(digest, buf_slice(&full)), TM_OK);
    assert_int_equal(tmf_fits(&d, &f, digest), 1);
    digest[0] ^= 1;
    assert_int_equal(tmf_fits(&d, &f, digest), 0);
    check_all(&u, &f, NULL);
    check_all(&u, &f, &d);
    buf_done(&full);
    buf_done(&delta);
    universe_done(&u);
}

static void test_filter__every_member_right(void **st)
{
    static const double rates[] = {0, 0.0005, 0.01, 0.05, 0.3, 0.5, 0.9, 0.999, 1};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        for (size_t n = 1; n < 4000; n = n * 3 + 1)
            run(n + n / 5, n, rates[i], 0.02);
    run(10, 0, 0.5, 0.5);
    run(0, 0, 0, 0);
}

static void test_filter__several_blocks(void **st)
{
    run(40000, 38000, 0.05, 0.01);
    run(9000, 9000, 0.4, 0);
}

static void test_filter__near_the_bound(void **st)
{
    struct universe u = universe_make(120000, 120000, 0.02, 0);
    struct buf full;
    struct tmf_filter f;
    build(&full, &u, NULL);
    assert_int_equal(tmf_open(&f, full.p, full.n), 0);
    assert_true(filter_bound(&f) > 10000);
    assert_true((double)(full.n - 600) * 8 < 1.12 * filter_bound(&f));
    buf_done(&full);
    universe_done(&u);
}

static void test_filter__same_input_same_file(void **st)
{
    struct universe u = universe_make(3000, 3000, 0.03, 0);
    struct buf one, two;
    build(&one, &u, NULL);
    build(&two, &u, NULL);
    assert_int_equal(one.n, two.n);
    assert_memory_equal(one.p, two.p, one.n);
    buf_done(&one);
    buf_done(&two);
    universe_done(&u);
}

static void test_filter_writer_add__order_and_issuers(void **st)
{
    const struct filter_head head = {.kind = TMF_FULL, .name = "x", .number = 1};
    struct filter_head bad = head;
    struct filter_writer *w;
    uint8_t id[TMF_ISSUER_LEN] = {1}, serial[TMF_SERIAL_LEN] = {5};
    bad.name = "";
    assert_int_equal(filter_writer_new(&w, &bad), TM_EINVAL);
    bad.name = "0123456789012345678901234567890123456789012345678901234567890123";
    assert_int_equal(filter_writer_new(&w, &bad), TM_EINVAL);
    assert_int_equal(filter_writer_new(&w, &head), TM_OK);
    assert_int_equal(filter_writer_add(w, FILTER_REVOKED, serial, true), TM_EINVAL);
    assert_int_equal(filter_writer_issuer(w, id, T0), TM_OK);
    assert_int_equal(filter_writer_add(w, FILTER_REVOKED, serial, true), TM_OK);
    assert_int_equal(filter_writer_add(w, FILTER_REVOKED, serial, true), TM_EINVAL);
    serial[0] = 4;
    assert_int_equal(filter_writer_add(w, FILTER_REVOKED, serial, true), TM_EINVAL);
    assert_int_equal(filter_writer_add(w, FILTER_RELEASED, serial, true), TM_OK);
    assert_int_equal(filter_writer_issuer(w, id, T0), TM_ECONFLICT);
    filter_writer_free(w);
    filter_writer_free(NULL);
}

static void test_filter_bound_bits__known(void **st)
{
    /* C(10, 3) = 120 */
    assert_true(filter_bound_bits(10, 3) > 6.9068 && filter_bound_bits(10, 3) < 6.9069);
    assert_true(filter_bound_bits(10, 0) < 1e-9 && filter_bound_bits(10, 10) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter__every_member_right),
        cmocka_unit_test(test_filter__several_blocks),
        cmocka_unit_test(test_filter__near_the_bound),
        cmocka_unit_test(test_filter__same_input_same_file),
        cmocka_unit_test(test_filter_writer_add__order_and_issuers),
        cmocka_unit_test(test_filter_bound_bits__known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
