/* OCSP requests and responses: what is built is read again, and what is wrong is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "x509/crl.h"
#include "x509/ocsp.h"
#include <string.h>

static const uint8_t hash[32] = {1, 2, 3}, serial[3] = {0x00, 0x81, 0x02}, nonce[128] = {9};

static struct ocsp_id an_id(enum oid alg, bool null)
{
    size_t n = alg == OID_SHA1 ? 20 : 32;
    return (struct ocsp_id){.hash = alg,
                            .null = null,
                            .name_hash = slice_of(hash, n),
                            .key_hash = slice_of(hash, n),
                            .serial = SLICE_ARR(serial)};
}

static void test_ocsp_request_parse__round_trip(void **state)
{
    (void)state;
    static const enum oid algs[] = {OID_SHA1, OID_SHA256};
    for (size_t i = 0; i < 8; i++) {
        struct ocsp_id id = an_id(algs[i & 1], i & 2);
        struct slice n = i & 4 ? SLICE_ARR(nonce) : (struct slice){0};
        struct buf b;
        struct ocsp_request r;
        buf_init(&b, 4096);
        assert_int_equal(ocsp_request_build(&b, &id, n), TM_OK);
        assert_int_equal(ocsp_request_parse(&r, buf_slice(&b), NULL), TM_OK);
        assert_int_equal(r.n, 1);
        assert_int_equal(r.ids[0].hash, id.hash);
        assert_int_equal(r.ids[0].null, id.null);
        assert_true(slice_eq(r.ids[0].serial, id.serial));
        assert_true(slice_eq(r.ids[0].name_hash, id.name_hash));
        assert_true(slice_eq(r.nonce, n));
        /* Not one octet more or less. */
        buf_putc(&b, 0);
        assert_int_equal(ocsp_request_parse(&r, buf_slice(&b), NULL), TM_EMALFORMED);
        for (size_t cut = 0; cut + 1 < b.n; cut++)
            assert_int_not_equal(ocsp_request_parse(&r, slice_of(b.p, cut), NULL), TM_OK);
        buf_done(&b);
    }
}

static void test_ocsp_request_parse__nonce_size(void **state)
{
    (void)state;
    static const uint8_t long_nonce[129];
    struct ocsp_id id = an_id(OID_SHA256, false);
    struct buf b;
    struct ocsp_request r;
    struct diag diag = {0};
    buf_init(&b, 4096);
    assert_int_equal(ocsp_request_build(&b, &id, SLICE_ARR(long_nonce)), TM_OK);
    assert_int_equal(ocsp_request_parse(&r, buf_slice(&b), &diag), TM_EMALFORMED);
    assert_string_equal(diag.rule, "RFC 9654 2.1");
    buf_done(&b);
}

static void test_ocsp_request_parse__too_large(void **state)
{
    (void)state;
    static const uint8_t much[OCSP_REQUEST_MAX + 1] = {0x30};
    struct ocsp_request r;
    assert_int_equal(ocsp_request_parse(&r, SLICE_ARR(much), NULL), TM_ETOOBIG);
}

static void test_ocsp_response_parse__round_trip(void **state)
{
    (void)state;
    static const uint8_t key[20] = {5}, algid[] = {0x30, 0x02, 0x05, 0x00}, signature[] = {1, 2, 3},
                         cert[] = {0x30, 0x00};
    static const struct {
        enum ocsp_status status;
        int reason;
    } cases[] = {{OCSP_GOOD, 0},
                 {OCSP_UNKNOWN, 0},
                 {OCSP_REVOKED, CRL_UNSPECIFIED},
                 {OCSP_REVOKED, CRL_CERTIFICATE_HOLD}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ocsp_id id = an_id(OID_SHA1, true);
        struct buf cert_id, data, out;
        struct ocsp_response r;
        buf_init(&cert_id, 4096);
        buf_init(&data, 4096);
        buf_init(&out, 4096);
        assert_int_equal(ocsp_id_build(&cert_id, &id), TM_OK);
        struct ocsp_single s = {.id = buf_slice(&cert_id),
                                .status = cases[i].status,
                                .reason = cases[i].reason,
                                .revoked_at = 1000,
                                .this_update = 2000,
                                .next_update = 3000};
        struct ocsp_data d = {.key_hash = SLICE_ARR(key), .produced_at = 2001, .v = &s, .n = 1};
        assert_int_equal(ocsp_data_build(&data, &d), TM_OK);
        assert_int_equal(ocsp_response_build(&out, buf_slice(&data), SLICE_ARR(algid), SLICE_ARR(signature),
                                             i ? SLICE_ARR(cert) : (struct slice){0}),
                         TM_OK);
        assert_int_equal(ocsp_response_parse(&r, buf_slice(&out), NULL), TM_OK);
        assert_int_equal(r.outcome, OCSP_SUCCESSFUL);
        assert_int_equal(r.status, cases[i].status);
        assert_int_equal(r.reason, cases[i].reason);
        assert_int_equal(r.revoked_at, cases[i].status == OCSP_REVOKED ? 1000 : 0);
        assert_int_equal(r.produced_at, 2001);
        assert_int_equal(r.this_update, 2000);
        assert_int_equal(r.next_update, 3000);
        assert_true(slice_eq(r.data, buf_slice(&data)));
        assert_true(slice_eq(r.signature, SLICE_ARR(signature)));
        assert_int_equal(r.cert.n, i ? sizeof cert : 0);
        buf_done(&cert_id);
        buf_done(&data);
        buf_done(&out);
    }
}

static void test_ocsp_error_build(void **state)
{
    (void)state;
    uint8_t der[OCSP_ERROR_LEN];
    struct ocsp_response r;
    ocsp_error_build(der, OCSP_TRY_LATER);
    assert_int_equal(ocsp_response_parse(&r, SLICE_ARR(der), NULL), TM_OK);
    assert_int_equal(r.outcome, OCSP_TRY_LATER);
    der[4] = 4; /* not used (RFC 6960 4.2.1) */
    assert_int_equal(ocsp_response_parse(&r, SLICE_ARR(der), NULL), TM_EMALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ocsp_request_parse__round_trip),
        cmocka_unit_test(test_ocsp_request_parse__nonce_size),
        cmocka_unit_test(test_ocsp_request_parse__too_large),
        cmocka_unit_test(test_ocsp_response_parse__round_trip),
        cmocka_unit_test(test_ocsp_error_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
