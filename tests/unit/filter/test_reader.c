#include "filter/reader/touchmark_filter.h"
#include "vector.h"
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

/* The files in tests/data/filter are the format: a reader elsewhere can be held to them. TOUCHMARK_WRITE_VECTORS=1 writes them anew. */
static void compare(const char *path, const struct buf *made)
{
    if (getenv("TOUCHMARK_WRITE_VECTORS")) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(made->p, 1, made->n, f), made->n);
        assert_int_equal(fclose(f), 0);
    }
    static uint8_t stored[1 << 16];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(stored, 1, sizeof stored, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(n, made->n);
    assert_memory_equal(stored, made->p, n);
}

static void test_tmf_query__vectors(void **st)
{
    struct buf full, delta;
    struct tmf_filter f, d;
    uint8_t id[TMF_ISSUER_LEN], serial[TMF_SERIAL_LEN];
    buf_init(&full, 1 << 20);
    buf_init(&delta, 1 << 20);
    assert_int_equal(vector_full(&full), TM_OK);
    assert_int_equal(vector_delta(&delta, buf_slice(&full)), TM_OK);
    compare("tests/data/filter/vector.tmf", &full);
    compare("tests/data/filter/vector-delta.tmf", &delta);
    assert_int_equal(tmf_open(&f, full.p, full.n), 0);
    assert_int_equal(tmf_open(&d, delta.p, delta.n), 0);
    vector_issuer(id);
    for (uint32_t i = 0; i < VECTOR_DELTA; i++) {
        vector_serial(serial, i);
        assert_int_equal(tmf_query(&f, NULL, id, serial, sizeof serial), i >= VECTOR_FULL    ? TMF_NOT_COVERED
                                                                         : vector_revoked(i) ? TMF_REVOKED
                                                                                             : TMF_GOOD);
        assert_int_equal(tmf_query(&f, &d, id, serial, sizeof serial),
                         vector_revoked_later(i) ? TMF_REVOKED : TMF_GOOD);
    }
    vector_serial(serial, VECTOR_DELTA);
    assert_int_equal(tmf_query(&f, &d, id, serial, sizeof serial), TMF_NOT_COVERED);
    buf_done(&full);
    buf_done(&delta);
}

static void test_tmf_open__fields(void **st)
{
    struct buf full;
    struct tmf_filter f;
    struct tmf_issuer x;
    uint8_t id[TMF_ISSUER_LEN];
    buf_init(&full, 1 << 20);
    assert_int_equal(vector_full(&full), TM_OK);
    size_t body = full.n;
    buf_puts(&full, "signature");
    assert_int_equal(tmf_open(&f, full.p, full.n), 0);
    assert_int_equal(f.kind, TMF_FULL);
    assert_string_equal(f.name, "vector");
    assert_int_equal(f.number, 1);
    assert_int_equal(f.this_update, VECTOR_T0 + 5000);
    assert_int_equal(f.next_update, VECTOR_T0 + 5000 + 86400);
    assert_int_equal(f.body, body);
    assert_int_equal(f.signature_n, 9);
    assert_memory_equal(f.signature, "signature", 9);
    assert_int_equal(tmf_issuer_at(&f, 0, &x), 0);
    vector_issuer(id);
    assert_memory_equal(x.id, id, sizeof id);
    assert_int_equal(x.members, VECTOR_FULL);
    assert_int_equal(x.revoked, VECTOR_FULL / 20);
    assert_int_equal(x.covered_until, VECTOR_T0 + VECTOR_FULL);
    assert_int_equal(tmf_issuer_at(&f, 1, &x), -1);
    buf_done(&full);
}

static void test_tmf_query__serial_forms(void **st)
{
    struct buf full;
    struct tmf_filter f;
    uint8_t id[TMF_ISSUER_LEN], serial[TMF_SERIAL_LEN], longer[24] = {0};
    buf_init(&full, 1 << 20);
    assert_int_equal(vector_full(&full), TM_OK);
    assert_int_equal(tmf_open(&f, full.p, full.n), 0);
    vector_issuer(id);
    vector_serial(serial, 27);
    memcpy(longer + 8, serial, sizeof serial);
    assert_int_equal(tmf_query(&f, NULL, id, longer, sizeof longer), TMF_REVOKED);
    longer[0] = 1;
    assert_int_equal(tmf_query(&f, NULL, id, longer, sizeof longer), TMF_NOT_COVERED);
    (void)tmf_query(&f, NULL, id, NULL, 0);
    id[0] ^= 1;
    assert_int_equal(tmf_query(&f, NULL, id, serial, sizeof serial), TMF_UNKNOWN_ISSUER);
    buf_done(&full);
}

/* Cut short anywhere it is refused; with any octet changed nothing outside of it is read (the sanitizers watch). */
static void test_tmf_open__damaged(void **st)
{
    struct buf full;
    struct tmf_filter f;
    uint8_t id[TMF_ISSUER_LEN], serial[TMF_SERIAL_LEN];
    buf_init(&full, 1 << 20);
    assert_int_equal(vector_full(&full), TM_OK);
    vector_issuer(id);
    uint8_t *copy = malloc(full.n);
    assert_non_null(copy);
    for (size_t n = 0; n < full.n; n++)
        assert_int_equal(tmf_open(&f, full.p, n), -1);
    for (size_t i = 0; i < full.n; i++)
        for (unsigned flip = 1; flip < 256; flip <<= 1) {
            memcpy(copy, full.p, full.n);
            copy[i] ^= (uint8_t)flip;
            if (tmf_open(&f, copy, full.n) != 0)
                continue;
            for (uint32_t j = 0; j < VECTOR_FULL; j += 391) {
                vector_serial(serial, j);
                (void)tmf_query(&f, &f, id, serial, sizeof serial);
            }
        }
    free(copy);
    buf_done(&full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tmf_query__vectors),
        cmocka_unit_test(test_tmf_open__fields),
        cmocka_unit_test(test_tmf_query__serial_forms),
        cmocka_unit_test(test_tmf_open__damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
