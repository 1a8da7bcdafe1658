/* What SCEP clients send: messages of a GET, attributes, and what is asked for inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "enroll/scep/message.h"
#include "x509/cms/signed.h"
#include "x509/csr.h"

static void test_scep_get_decode__forms_of_base64(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    static const char *const same[] = {"+/+/AQ==", " / /AQ==", "-_-_AQ", "+/+/\r\nAQ=="};
    static const uint8_t octets[] = {0xfb, 0xff, 0xbf, 0x01};
    struct slice out;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(scep_get_decode(&out, a, same[i], NULL), TM_OK);
        assert_true(slice_eq(out, SLICE_ARR(octets)));
    }
    static const char *const bad[] = {"", "\r\n", "!!!!", "A"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(scep_get_decode(&out, a, bad[i], NULL), TM_EMALFORMED);
    arena_free(a);
}

static void test_scep_reply_attributes__come_back(void **state)
{
    (void)state;
    static const uint8_t nonce[16] = {1}, type[] = {0x2a}, digest[32];
    struct scep_reply r = {.status = SCEP_FAILURE,
                           .fail = SCEP_BAD_TIME,
                           .text = "too late",
                           .transaction_id = SLICE_LIT("4711"),
                           .recipient_nonce = SLICE_ARR(nonce),
                           .nonce = {2}};
    struct scep_message m = {0};
    struct buf attributes, set;
    buf_init(&attributes, 4096);
    buf_init(&set, 4096);
    assert_int_equal(scep_reply_attributes(&attributes, &r), TM_OK);
    assert_int_equal(
        signed_attrs_build_with(&set, SLICE_ARR(type), SLICE_ARR(digest), 1, buf_slice(&attributes)), TM_OK);
    assert_int_equal(scep_attributes_read(&m, buf_slice(&set), NULL), TM_OK);
    assert_int_equal(m.type, SCEP_CERT_REP);
    assert_true(slice_eq_str(m.transaction_id, "4711"));
    assert_true(slice_eq(m.sender_nonce, SLICE_ARR(r.nonce)));
    struct scep_outcome o = {0};
    assert_int_equal(scep_outcome_read(&o, buf_slice(&set), NULL), TM_OK);
    assert_true(o.has_status && o.has_fail);
    assert_int_equal(o.status, SCEP_FAILURE);
    assert_int_equal(o.fail, SCEP_BAD_TIME);
    assert_true(slice_eq_str(o.text, "too late"));
    assert_true(slice_eq(o.recipient_nonce, SLICE_ARR(nonce)));
    assert_int_not_equal(scep_outcome_read(&o, slice_sub(buf_slice(&set), 0, set.n - 1), NULL), TM_OK);
    /* One octet less, and none of it. */
    assert_int_not_equal(scep_attributes_read(&m, slice_sub(buf_slice(&set), 0, set.n - 1), NULL), TM_OK);
    buf_done(&set);
    buf_done(&attributes);
}

/* Its self-signed certificate is none by RFC 5280, and says nothing but its key. */
static void test_scep_message_parse__certmonger(void **state)
{
    (void)state;
    static const char path[] = "tests/data/scep/good/certmonger-serial-of-33-octets.der";
    struct scep_message m = {0};
    uint8_t bytes[4096];
    struct arena *a = arena_new(0);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    struct slice der = slice_of(bytes, fread(bytes, 1, sizeof bytes, f));
    fclose(f);
    assert_int_equal(scep_message_parse(&m, a, der, NULL), TM_OK);
    assert_int_equal(m.type, SCEP_PKCS_REQ);
    assert_true(slice_eq(m.by.issuer, m.by.subject));
    assert_int_equal(m.by.serial.n, 33);
    assert_int_equal(m.by.spki.alg.id, OID_RSA);
    /* With another issuer's name in it, it would be somebody's word, and has to be a certificate. */
    for (size_t i = 0, met = 0; i + 10 < der.n && met < 1; i++)
        if (memcmp(bytes + i, "certmonger", 10) == 0) {
            bytes[i] = 'C';
            met++;
        }
    assert_int_equal(scep_message_parse(&m, a, der, NULL), TM_EMALFORMED);
    arena_free(a);
}

static void test_scep_outcome_read__nothing_of_scep_s(void **state)
{
    (void)state;
    static const uint8_t empty[] = {0x31, 0x00};
    struct scep_outcome o = {0};
    assert_int_equal(scep_outcome_read(&o, SLICE_ARR(empty), NULL), TM_OK);
    assert_false(o.has_status || o.has_fail || o.text.n || o.recipient_nonce.n);
}

/* What is recorded is the request, but for the secret. */
static void test_scep_request_blank__challenge(void **state)
{
    (void)state;
    static const uint8_t der[] = "....secret....";
    struct csr csr = {.challenge_password = {der + 4, 6}};
    struct slice blank;
    struct arena *a = arena_new(0);
    assert_int_equal(scep_request_blank(&blank, a, &csr, slice_of(der, sizeof der - 1)), TM_OK);
    assert_true(slice_eq_str(blank, "....******...."));
    csr.challenge_password = (struct slice){0};
    assert_int_equal(scep_request_blank(&blank, a, &csr, slice_of(der, sizeof der - 1)), TM_OK);
    assert_true(slice_eq_str(blank, (const char *)der));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scep_get_decode__forms_of_base64),
        cmocka_unit_test(test_scep_reply_attributes__come_back),
        cmocka_unit_test(test_scep_message_parse__certmonger),
        cmocka_unit_test(test_scep_outcome_read__nothing_of_scep_s),
        cmocka_unit_test(test_scep_request_blank__challenge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
