/* A list that streams by is read as one in memory is, and made in parts it has the same octets. */
#include "base/arena.h"
#include "base/buf.h"
#include "keys/alg.h"
#include "unit/x509/sample.h"
#include "x509/cert.h"
#include "x509/crl_stream.h"
#include <string.h>

static const struct slice issuer = SLICE_LIT("\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04List");
static const struct slice other = SLICE_LIT("\x30\x10\x31\x0e\x30\x0c\x06\x03\x55\x04\x03\x0c\x05Other");

static struct tbs_crl list_head(void)
{
    return (struct tbs_crl){.sigalg = sig_alg_info(SIG_ECDSA_SHA256)->algid,
                            .issuer = issuer,
                            .this_update = 1700000000,
                            .next_update = 1700600000,
                            .akid = SLICE_LIT("key"),
                            .number = SLICE_LIT("\x01\x02")};
}

static struct crl_entry entry_of(uint8_t serial[8], size_t i)
{
    for (int k = 0; k < 8; k++)
        serial[k] = (uint8_t)((i + 1) >> (56 - 8 * k));
    serial[0] = 1;
    struct crl_entry e = {.serial = slice_of(serial, 8),
                          .revoked_at = 1690000000 + (int64_t)i / 3,
                          .reason =
                              i % 3 ? (i % 3 == 1 ? CRL_KEY_COMPROMISE : CRL_SUPERSEDED) : CRL_UNSPECIFIED};
    if (i % 50 == 7)
        e.invalid_since = 1680000000;
    if (i % 50 == 9)
        e.issuer = other;
    if (i % 50 == 11)
        e.revoked_at = INT64_C(2600000000); /* beyond 2050: GeneralizedTime */
    return e;
}

static void build(struct buf *out, size_t n)
{
    struct tbs_crl t = list_head();
    struct crl_builder b;
    uint8_t serial[8];
    buf_init(out, CRL_DER_MAX);
    crl_build_begin(&b, out, &t);
    for (size_t i = 0; i < n; i++) {
        struct crl_entry e = entry_of(serial, i);
        crl_build_entry(&b, &e);
    }
    assert_int_equal(crl_build_end(&b), TM_OK);
}

struct reading {
    struct slice rest;
    size_t most; /* octets asked for at a time */
};

static tm_err give(void *arg, uint8_t *out, size_t n)
{
    struct reading *r = arg;
    assert_true(n <= r->rest.n);
    memcpy(out, r->rest.p, n);
    r->rest = slice_sub(r->rest, n, r->rest.n);
    r->most = n > r->most ? n : r->most;
    return TM_OK;
}

static tm_err read_all(struct slice der, bool tbs_only, size_t *ret_n, struct diag *diag)
{
    struct reading r = {.rest = der};
    struct crl_source src = {.read = give, .arg = &r};
    struct crl_stream *s = NULL;
    struct crl_entry e;
    tm_err err = crl_stream_open(&s, &src, der.n, tbs_only, diag);
    for (*ret_n = 0; err == TM_OK; *ret_n += err == TM_OK)
        err = crl_stream_next(s, &e);
    if (err == TM_ENOTFOUND)
        err = crl_stream_end(s);
    if (err == TM_OK) {
        assert_true(crl_number(crl_stream_head(s)).n == 2);
        assert_true(slice_eq(crl_stream_head(s)->issuer, issuer));
        assert_int_equal(crl_stream_head(s)->next_update, 1700600000);
    }
    assert_true(r.most <= 256 << 10);
    crl_stream_free(s);
    return err;
}

static void test_crl_stream__as_from_memory(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 100, 5000, 200000};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct buf tbs, der;
        struct diag diag = {0};
        size_t n;
        build(&tbs, sizes[k]);
        assert_int_equal(read_all(buf_slice(&tbs), true, &n, &diag), TM_OK);
        assert_int_equal(n, sizes[k]);
        buf_init(&der, CRL_DER_MAX);
        assert_int_equal(signed_assemble(&der, buf_slice(&tbs), sig_alg_info(SIG_ECDSA_SHA256)->algid,
                                         SLICE_LIT("signature")),
                         TM_OK);
        assert_int_equal(read_all(buf_slice(&der), false, &n, &diag), TM_OK);
        assert_int_equal(n, sizes[k]);
        assert_int_not_equal(read_all(buf_slice(&der), true, &n, &diag), TM_OK);
        buf_done(&tbs);
        buf_done(&der);
    }
}

/* Every entry comes back as it went in, by the short way and by the long one. */
static void test_crl_next__what_was_built(void **state)
{
    (void)state;
    struct buf tbs;
    struct crl c;
    struct crl_iter it;
    struct crl_entry e;
    uint8_t serial[8];
    build(&tbs, 200);
    assert_int_equal(crl_parse_tbs(&c, buf_slice(&tbs), NULL), TM_OK);
    crl_iter_init(&it, &c, NULL);
    for (size_t i = 0; i < 200; i++) {
        struct crl_entry was = entry_of(serial, i);
        assert_int_equal(crl_next(&it, &e), TM_OK);
        assert_true(slice_eq(e.serial, was.serial) && slice_eq(e.issuer, was.issuer));
        assert_int_equal(e.revoked_at, was.revoked_at);
        assert_int_equal(e.reason, was.reason);
        assert_int_equal(e.invalid_since, was.invalid_since);
        assert_int_equal(e.unknown_critical, was.issuer.n > 0);
    }
    assert_int_equal(crl_next(&it, &e), TM_ENOTFOUND);
    buf_done(&tbs);
}

static void test_crl_build_end_apart__the_same_octets(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 4, 100, 2000, 400000};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct tbs_crl t = list_head();
        struct crl_builder b;
        struct buf whole, out, entries, head, tail;
        uint8_t serial[8];
        build(&whole, sizes[k]);
        buf_init(&out, 1 << 20);
        buf_init(&entries, CRL_DER_MAX);
        buf_init(&head, 4096);
        buf_init(&tail, 4096);
        crl_build_begin(&b, &out, &t);
        size_t prefix = crl_build_prefix(&b);
        for (size_t i = 0; i < sizes[k]; i++) {
            struct crl_entry e = entry_of(serial, i);
            crl_build_entry(&b, &e);
            buf_put_slice(&entries, slice_sub(buf_slice(&out), prefix, out.n));
            out.n = prefix;
        }
        assert_int_equal(crl_build_end_apart(&b, entries.n, &head, &tail), TM_OK);
        assert_true(head.n <= prefix);
        struct buf all;
        buf_init(&all, CRL_DER_MAX);
        buf_put_slice(&all, buf_slice(&head));
        buf_put_slice(&all, buf_slice(&entries));
        buf_put_slice(&all, buf_slice(&tail));
        assert_true(slice_eq(buf_slice(&all), buf_slice(&whole)));
        buf_done(&whole);
        buf_done(&out);
        buf_done(&entries);
        buf_done(&head);
        buf_done(&tail);
        buf_done(&all);
    }
}

/* Whatever octet changes: both readers say the same of it. */
static void test_crl_stream__the_same_verdict(void **state)
{
    (void)state;
    struct buf tbs;
    build(&tbs, 12);
    size_t refused = 0;
    for (size_t i = 0; i < tbs.n; i++) {
        uint8_t before = tbs.p[i];
        for (int bit = 0; bit < 8; bit++) {
            struct crl c;
            struct crl_iter it;
            struct crl_entry e;
            size_t n = 0, streamed = 0;
            tbs.p[i] = before ^ (uint8_t)(1 << bit);
            tm_err err = crl_parse_tbs(&c, buf_slice(&tbs), NULL);
            if (err == TM_OK) {
                crl_iter_init(&it, &c, NULL);
                while ((err = crl_next(&it, &e)) == TM_OK)
                    n++;
                err = err == TM_ENOTFOUND ? TM_OK : err;
            }
            struct reading r = {.rest = buf_slice(&tbs)};
            struct crl_source src = {.read = give, .arg = &r};
            struct crl_stream *s = NULL;
            tm_err e2 = crl_stream_open(&s, &src, tbs.n, true, NULL);
            while (e2 == TM_OK && (e2 = crl_stream_next(s, &e)) == TM_OK)
                streamed++;
            if (e2 == TM_ENOTFOUND)
                e2 = crl_stream_end(s);
            crl_stream_free(s);
            assert_int_equal(err == TM_OK, e2 == TM_OK);
            if (err == TM_OK)
                assert_int_equal(n, streamed);
            refused += err != TM_OK;
        }
        tbs.p[i] = before;
    }
    assert_true(refused > 100);
    buf_done(&tbs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crl_stream__as_from_memory),
        cmocka_unit_test(test_crl_next__what_was_built),
        cmocka_unit_test(test_crl_build_end_apart__the_same_octets),
        cmocka_unit_test(test_crl_stream__the_same_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
