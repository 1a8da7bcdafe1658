/* What SCEP clients send: messages of a GET, attributes, and what is asked for inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "enroll/scep/message.h"
#include "x509/cms/signed.h"

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
    /* One octet less, and none of it. */
    assert_int_not_equal(scep_attributes_read(&m, slice_sub(buf_slice(&set), 0, set.n - 1), NULL), TM_OK);
    buf_done(&set);
    buf_done(&attributes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scep_get_decode__forms_of_base64),
        cmocka_unit_test(test_scep_reply_attributes__come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
