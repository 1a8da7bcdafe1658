#include "base/clock.h"
#include "der/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static struct der_reader reader(struct slice s, struct diag *d)
{
    struct der_reader r;
    der_reader_init(&r, s, d);
    return r;
}

/* Reads with `call` (which uses `r`) must fail by this rule. */
#define REFUSED(bytes, wanted_rule, call)                                                                    \
    do {                                                                                                     \
        struct diag d = {0};                                                                                 \
        struct der_reader r = reader(SLICE_LIT(bytes), &d);                                                  \
        assert_int_equal((call), TM_EMALFORMED);                                                             \
        assert_string_equal(d.rule, wanted_rule);                                                            \
        assert_int_equal(r.err, TM_EMALFORMED);                                                              \
        assert_true(der_at_end(&r));                                                                         \
    } while (0)

static void test_der_read_any__headers(void **state)
{
    REFUSED("", "X.690 8.1", der_read_any(&r, NULL, NULL, NULL));
    REFUSED("\x04", "X.690 8.1.3", der_read_any(&r, NULL, NULL, NULL));
    REFUSED("\x04\x01", "X.690 8.1.3", der_read_any(&r, NULL, NULL, NULL));
    REFUSED("\x04\x81", "X.690 8.1.3", der_read_any(&r, NULL, NULL, NULL));
    REFUSED("\x30\x80\x00\x00", "X.690 10.1", der_read_any(&r, NULL, NULL, NULL));
    REFUSED("\x04\x81\x01z", "X.690 10.1", der_read_any(&r, NULL, NULL, NULL));
    REFUSED("\x04\x82\x00\x80", "X.690 10.1", der_read_any(&r, NULL, NULL, NULL));
    REFUSED("\x04\x85\x01\x00\x00\x00\x00", "X.690 8.1.3.5", der_read_any(&r, NULL, NULL, NULL));
    REFUSED("\x04\x84\xff\xff\xff\xff", "X.690 8.1.3", der_read_any(&r, NULL, NULL, NULL));
    REFUSED("\x1f\x01\x00", "X.690 8.1.2.4", der_read_any(&r, NULL, NULL, NULL));
    REFUSED("\x00\x00", "X.690 10.2", der_read_any(&r, NULL, NULL, NULL));
    REFUSED("\x24\x00", "X.690 10.2", der_read_any(&r, NULL, NULL, NULL));
    REFUSED("\x10\x00", "X.690 10.2", der_read_any(&r, NULL, NULL, NULL));
}

static void test_der_read_any__long_form(void **state)
{
    uint8_t bytes[4 + 300] = {0x04, 0x82, 0x01, 0x2c};
    struct der_reader r = reader(SLICE_ARR(bytes), NULL);
    struct slice c, tlv;
    unsigned tag;
    assert_int_equal(der_read_any(&r, &tag, &c, &tlv), TM_OK);
    assert_int_equal(tag, DER_OCTET_STRING);
    assert_int_equal(c.n, 300);
    assert_int_equal(tlv.n, 304);
    assert_int_equal(der_end(&r), TM_OK);
}

static void test_der_read__error_is_sticky_and_outputs_stay(void **state)
{
    struct diag d = {0};
    struct slice c = SLICE_LIT("kept");
    struct der_reader r = reader(SLICE_LIT("\x02\x01\x05\x04\x00"), &d), inner;
    uint64_t v = 7;
    assert_int_equal(der_read(&r, DER_OCTET_STRING, &c), TM_EMALFORMED);
    assert_true(slice_eq_str(c, "kept"));
    assert_string_equal(d.message, "expected tag 0x04, found 0x02");
    assert_int_equal(d.offset, 0);
    assert_int_equal(der_read_uint(&r, &v), TM_EMALFORMED);
    assert_int_equal(v, 7);
    assert_int_equal(der_enter(&r, DER_SEQUENCE, &inner), TM_EMALFORMED);
    assert_int_equal(der_read_uint(&inner, &v), TM_EMALFORMED);
    assert_int_equal(der_end(&r), TM_EMALFORMED);
    assert_int_equal(der_peek(&r), 0);
    assert_int_equal(der_reject(&r, TM_EINVAL, "rule", NULL, "later"), TM_EMALFORMED);
    assert_string_equal(d.message, "expected tag 0x04, found 0x02");
}

static void test_der_enter__offsets_count_from_the_outermost_byte(void **state)
{
    struct diag d = {0};
    struct der_reader r = reader(SLICE_LIT("\x30\x05\x30\x03\x02\x01\x05"), &d), a, b;
    bool v;
    assert_int_equal(der_enter(&r, DER_SEQUENCE, &a), TM_OK);
    assert_int_equal(der_enter(&a, DER_SEQUENCE, &b), TM_OK);
    assert_int_equal(der_read_bool(&b, &v), TM_EMALFORMED);
    assert_int_equal(d.offset, 4);
    assert_int_equal(der_end(&r), TM_OK); /* each reader has its own error */
}

static void test_der_optional__absent_leaves_the_reader(void **state)
{
    struct der_reader r = reader(SLICE_LIT("\x80\x01x\xa1\x00"), NULL), inner;
    struct slice c;
    bool present = true;
    assert_int_equal(der_read_optional(&r, DER_CONTEXT(1), &c, &present), TM_OK);
    assert_false(present);
    assert_int_equal(c.n, 0);
    assert_int_equal(der_read_optional(&r, DER_CONTEXT(0), &c, &present), TM_OK);
    assert_true(present && slice_eq_str(c, "x"));
    assert_int_equal(der_enter_optional(&r, DER_CONTEXT_CONS(0), &inner, &present), TM_OK);
    assert_false(present);
    assert_int_equal(der_end(&inner), TM_OK);
    assert_int_equal(der_enter_optional(&r, DER_CONTEXT_CONS(1), &inner, &present), TM_OK);
    assert_true(present);
    assert_int_equal(der_read_optional(&r, DER_CONTEXT(1), &c, &present), TM_OK);
    assert_false(present);
    assert_int_equal(der_end(&r), TM_OK);
}

static void test_der_end__bytes_left_over(void **state)
{
    REFUSED("\x05\x00", "X.690 8.1", der_end(&r));
}

static void test_der_read_bool__values(void **state)
{
    bool v;
    struct der_reader yes = reader(SLICE_LIT("\x01\x01\xff"), NULL),
                      no = reader(SLICE_LIT("\x01\x01\x00"), NULL);
    assert_int_equal(der_read_bool(&yes, &v), TM_OK);
    assert_true(v);
    assert_int_equal(der_read_bool(&no, &v), TM_OK);
    assert_false(v);
    REFUSED("\x01\x01\x01", "X.690 11.1", der_read_bool(&r, &v));
    REFUSED("\x01\x00", "X.690 8.2.1", der_read_bool(&r, &v));
    REFUSED("\x01\x02\xff\xff", "X.690 8.2.1", der_read_bool(&r, &v));
}

static void test_der_read_uint__range(void **state)
{
    uint64_t v;
    struct der_reader most = reader(SLICE_LIT("\x02\x08\x7f\xff\xff\xff\xff\xff\xff\xff"), NULL);
    assert_int_equal(der_read_uint(&most, &v), TM_OK);
    assert_true(v == INT64_MAX);
    struct der_reader padded = reader(SLICE_LIT("\x02\x02\x00\x80"), NULL);
    assert_int_equal(der_read_uint(&padded, &v), TM_OK);
    assert_int_equal(v, 128);
    REFUSED("\x02\x00", "X.690 8.3.1", der_read_uint(&r, &v));
    REFUSED("\x02\x02\x00\x7f", "X.690 8.3.2", der_read_uint(&r, &v));
    REFUSED("\x02\x02\xff\x80", "X.690 8.3.2", der_read_uint(&r, &v));
    REFUSED("\x02\x01\xff", "X.690 8.3", der_read_uint(&r, &v));
    REFUSED("\x02\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00", "X.690 8.3", der_read_uint(&r, &v));
}

static void test_der_read_integer__any_sign_and_size(void **state)
{
    struct slice c;
    struct der_reader r = reader(SLICE_LIT("\x02\x02\xff\x7f"), NULL);
    assert_int_equal(der_read_integer(&r, &c), TM_OK);
    assert_int_equal(c.n, 2);
}

static void test_der_read_bits__octets_only(void **state)
{
    struct slice c;
    struct der_reader good = reader(SLICE_LIT("\x03\x02\x00\xff"), NULL),
                      none = reader(SLICE_LIT("\x03\x01\x00"), NULL);
    assert_int_equal(der_read_bits(&good, &c), TM_OK);
    assert_true(slice_eq(c, SLICE_LIT("\xff")));
    assert_int_equal(der_read_bits(&none, &c), TM_OK);
    assert_int_equal(c.n, 0);
    REFUSED("\x03\x00", "X.690 8.6.2", der_read_bits(&r, &c));
    REFUSED("\x03\x01\x01", "X.690 8.6.2", der_read_bits(&r, &c));
    REFUSED("\x03\x02\x08\x00", "X.690 8.6.2", der_read_bits(&r, &c));
    REFUSED("\x03\x02\x01\xfe", "X.690 8.6.2", der_read_bits(&r, &c));
    REFUSED("\x03\x02\x01\x01", "X.690 11.2.1", der_read_bits(&r, &c));
}

static void test_der_read_named_bits__first_bit_is_bit_0(void **state)
{
    uint32_t v;
    struct der_reader one = reader(SLICE_LIT("\x03\x02\x07\x80"), NULL),
                      nine = reader(SLICE_LIT("\x03\x03\x07\x00\x80"), NULL),
                      all = reader(SLICE_LIT("\x03\x05\x00\xff\xff\xff\xff"), NULL),
                      none = reader(SLICE_LIT("\x81\x01\x00"), NULL);
    assert_int_equal(der_read_named_bits(&one, DER_BIT_STRING, &v), TM_OK);
    assert_int_equal(v, 1);
    assert_int_equal(der_read_named_bits(&nine, DER_BIT_STRING, &v), TM_OK);
    assert_int_equal(v, 1 << 8);
    assert_int_equal(der_read_named_bits(&all, DER_BIT_STRING, &v), TM_OK);
    assert_true(v == UINT32_MAX);
    assert_int_equal(der_read_named_bits(&none, DER_CONTEXT(1), &v), TM_OK);
    assert_int_equal(v, 0);
    REFUSED("\x03\x02\x06\x80", "X.690 11.2.2", der_read_named_bits(&r, DER_BIT_STRING, &v));
    REFUSED("\x03\x06\x07\x80\x80\x80\x80\x80", "X.690 8.6", der_read_named_bits(&r, DER_BIT_STRING, &v));
}

static void test_der_read_oid__arcs(void **state)
{
    struct slice c;
    uint8_t endless[3 + 129] = {0x06, 0x81, 129};
    struct der_reader r129 = reader(SLICE_ARR(endless), NULL);
    memset(endless + 3, 1, 129);
    assert_int_equal(der_read_oid(&r129, &c), TM_EMALFORMED);
    /* 2.25.<128 ones>: the longest arc that is let through */
    struct der_reader uuid = reader(
        SLICE_LIT("\x06\x14\x69\x83\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        NULL);
    assert_int_equal(der_read_oid(&uuid, &c), TM_OK);
    REFUSED("\x06\x14\x69\x84\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            "X.690 8.19.2", der_read_oid(&r, &c));
    REFUSED("\x06\x15\x69\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            "X.690 8.19.2", der_read_oid(&r, &c));
    REFUSED("\x06\x00", "X.690 8.19", der_read_oid(&r, &c));
    REFUSED("\x06\x02\x2a\x86", "X.690 8.19", der_read_oid(&r, &c));
    REFUSED("\x06\x03\x2a\x80\x01", "X.690 8.19.2", der_read_oid(&r, &c));
}

static void test_der_read_time__forms(void **state)
{
    static const struct {
        const char *tlv;
        size_t n;
        const char *text;
    } good[] = {
        {"\x17\x0d"
         "500101000000Z",
         15, "1950-01-01T00:00:00Z"},
        {"\x17\x0d"
         "491231235959Z",
         15, "2049-12-31T23:59:59Z"},
        {"\x17\x0d"
         "000229120000Z",
         15, "2000-02-29T12:00:00Z"},
        {"\x18\x0f"
         "20500101000000Z",
         17, "2050-01-01T00:00:00Z"},
        {"\x18\x0f"
         "99991231235959Z",
         17, "9999-12-31T23:59:59Z"},
        {"\x18\x0f"
         "20260101000000Z",
         17, "2026-01-01T00:00:00Z"},
    };
    int64_t t;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct der_reader r = reader(slice_of(good[i].tlv, good[i].n), NULL);
        char text[21];
        assert_int_equal(der_read_time(&r, &t), TM_OK);
        clock_format_rfc3339(text, t);
        assert_string_equal(text, good[i].text);
    }
    REFUSED("\x17\x0b"
            "2601010000Z",
            "RFC 5280 4.1.2.5.1", der_read_time(&r, &t));
    REFUSED("\x17\x0d"
            "260101000000z",
            "RFC 5280 4.1.2.5.1", der_read_time(&r, &t));
    REFUSED("\x17\x0d"
            "261301000000Z",
            "RFC 5280 4.1.2.5.1", der_read_time(&r, &t));
    REFUSED("\x17\x0d"
            "010229000000Z",
            "RFC 5280 4.1.2.5.1", der_read_time(&r, &t));
    REFUSED("\x17\x0d"
            "260101000060Z",
            "RFC 5280 4.1.2.5.1", der_read_time(&r, &t));
    REFUSED("\x17\x0d"
            "26010100 000Z",
            "RFC 5280 4.1.2.5.1", der_read_time(&r, &t));
    REFUSED("\x18\x11"
            "20510101000000.0Z",
            "RFC 5280 4.1.2.5.2", der_read_time(&r, &t));
    REFUSED("\x04\x00", "X.690 8.1.2", der_read_time(&r, &t));
    REFUSED("\x17\x0d"
            "260101000000Z",
            "X.690 8.1.2", der_read_generalized_time(&r, &t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_der_read_any__headers),
        cmocka_unit_test(test_der_read_any__long_form),
        cmocka_unit_test(test_der_read__error_is_sticky_and_outputs_stay),
        cmocka_unit_test(test_der_enter__offsets_count_from_the_outermost_byte),
        cmocka_unit_test(test_der_optional__absent_leaves_the_reader),
        cmocka_unit_test(test_der_end__bytes_left_over),
        cmocka_unit_test(test_der_read_bool__values),
        cmocka_unit_test(test_der_read_uint__range),
        cmocka_unit_test(test_der_read_integer__any_sign_and_size),
        cmocka_unit_test(test_der_read_bits__octets_only),
        cmocka_unit_test(test_der_read_named_bits__first_bit_is_bit_0),
        cmocka_unit_test(test_der_read_oid__arcs),
        cmocka_unit_test(test_der_read_time__forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
