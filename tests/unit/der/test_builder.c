#include "base/clock.h"
#include "der/builder.h"
#include "der/oid.h"
#include "der/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static struct buf out;
static struct der_builder b;

static int setup(void **state)
{
    buf_init(&out, 1 << 20);
    der_builder_init(&b, &out);
    return 0;
}

static int teardown(void **state)
{
    buf_done(&out);
    return 0;
}

static void built(struct slice wanted)
{
    assert_int_equal(der_builder_finish(&b), TM_OK);
    assert_int_equal(out.n, wanted.n);
    assert_memory_equal(out.p, wanted.p, wanted.n);
    buf_reset(&out);
    der_builder_init(&b, &out);
}

static void test_der_put__primitives(void **state)
{
    der_put_bool(&b, true);
    built(SLICE_LIT("\x01\x01\xff"));
    der_put_bool(&b, false);
    built(SLICE_LIT("\x01\x01\x00"));
    der_put_uint(&b, 0);
    built(SLICE_LIT("\x02\x01\x00"));
    der_put_uint(&b, 127);
    built(SLICE_LIT("\x02\x01\x7f"));
    der_put_uint(&b, 128);
    built(SLICE_LIT("\x02\x02\x00\x80"));
    der_put_uint(&b, UINT64_MAX);
    built(SLICE_LIT("\x02\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff"));
    der_put_unsigned(&b, SLICE_LIT("\x00\x00\x01\x02"));
    built(SLICE_LIT("\x02\x02\x01\x02"));
    der_put_unsigned(&b, (struct slice){0});
    built(SLICE_LIT("\x02\x01\x00"));
    der_put_null(&b);
    built(SLICE_LIT("\x05\x00"));
    der_put_oid(&b, oid_contents(OID_CN));
    built(SLICE_LIT("\x06\x03\x55\x04\x03"));
    der_put_bits(&b, SLICE_LIT("\xaa"));
    built(SLICE_LIT("\x03\x02\x00\xaa"));
    der_put(&b, DER_CONTEXT(2), SLICE_LIT("a"));
    built(SLICE_LIT("\x82\x01"
                    "a"));
}

static void test_der_put_named_bits__no_trailing_zeros(void **state)
{
    der_put_named_bits(&b, DER_BIT_STRING, 0);
    built(SLICE_LIT("\x03\x01\x00"));
    der_put_named_bits(&b, DER_BIT_STRING, 1);
    built(SLICE_LIT("\x03\x02\x07\x80"));
    der_put_named_bits(&b, DER_CONTEXT(1), 1 << 8 | 1 << 5);
    built(SLICE_LIT("\x81\x03\x07\x04\x80"));
    der_put_named_bits(&b, DER_BIT_STRING, UINT32_MAX);
    built(SLICE_LIT("\x03\x05\x00\xff\xff\xff\xff"));
}

static void test_der_put_time__utc_through_2049(void **state)
{
    der_put_time(&b, 0);
    built(SLICE_LIT("\x17\x0d"
                    "700101000000Z"));
    der_put_time(&b, 2524607999);
    built(SLICE_LIT("\x17\x0d"
                    "491231235959Z"));
    der_put_time(&b, 2524608000);
    built(SLICE_LIT("\x18\x0f"
                    "20500101000000Z"));
    der_put_time(&b, -631152000);
    built(SLICE_LIT("\x17\x0d"
                    "500101000000Z"));
    der_put_time(&b, -631152001);
    built(SLICE_LIT("\x18\x0f"
                    "19491231235959Z"));
    der_put_time(&b, TM_TIME_NEVER);
    built(SLICE_LIT("\x18\x0f"
                    "99991231235959Z"));
    der_put_generalized_time(&b, 0);
    built(SLICE_LIT("\x18\x0f"
                    "19700101000000Z"));
}

static void test_der_put_time__after_9999_is_refused(void **state)
{
    der_put_time(&b, TM_TIME_NEVER + 1);
    assert_int_equal(der_builder_finish(&b), TM_EINVAL);
    der_builder_init(&b, &out);
    der_put_time(&b, INT64_MIN);
    assert_int_equal(der_builder_finish(&b), TM_EINVAL);
}

/* Contents of every length around the steps of the length octets, three levels deep, read back. */
static void test_der_close__length_fix_up(void **state)
{
    static const size_t sizes[] = {0,     1,     122,   123,   124,   125,   126,   127,  128,
                                   129,   251,   252,   253,   254,   255,   256,   257,  65530,
                                   65531, 65532, 65533, 65534, 65535, 65536, 65537, 70000};
    static uint8_t bytes[70000];
    memset(bytes, 0xa5, sizeof bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct der_reader r, seq, set;
        struct slice c;
        buf_puts(&out, "before"); /* building appends */
        der_open(&b, DER_SEQUENCE);
        der_open(&b, DER_SET);
        der_open_octets(&b);
        buf_put(&out, bytes, sizes[i]);
        der_close(&b);
        der_close(&b);
        der_put_uint(&b, 5);
        der_close(&b);
        assert_int_equal(der_builder_finish(&b), TM_OK);
        uint64_t v;
        der_reader_init(&r, slice_sub(buf_slice(&out), 6, out.n), NULL);
        assert_int_equal(der_enter(&r, DER_SEQUENCE, &seq), TM_OK);
        assert_int_equal(der_enter(&seq, DER_SET, &set), TM_OK);
        assert_int_equal(der_read(&set, DER_OCTET_STRING, &c), TM_OK);
        assert_true(slice_eq(c, slice_of(bytes, sizes[i])));
        assert_int_equal(der_end(&set), TM_OK);
        assert_int_equal(der_read_uint(&seq, &v), TM_OK);
        assert_int_equal(der_end(&seq), TM_OK);
        assert_int_equal(der_end(&r), TM_OK);
        buf_reset(&out);
        der_builder_init(&b, &out);
    }
}

static void test_der_open_bits__starts_with_unused_bits_octet(void **state)
{
    der_open_bits(&b);
    der_put_null(&b);
    der_close(&b);
    built(SLICE_LIT("\x03\x03\x00\x05\x00"));
}

static void test_der_close_set_of__sorts(void **state)
{
    der_open(&b, DER_SET);
    der_put_uint(&b, 300);
    der_put_uint(&b, 5);
    der_put_bool(&b, true);
    der_put_uint(&b, 4);
    der_close_set_of(&b);
    built(SLICE_LIT("\x31\x0d\x01\x01\xff\x02\x01\x04\x02\x01\x05\x02\x02\x01\x2c"));
    der_open(&b, DER_SET);
    der_close_set_of(&b);
    built(SLICE_LIT("\x31\x00"));
    der_open(&b, DER_SET);
    der_put_uint(&b, 1);
    der_put_uint(&b, 1);
    der_close_set_of(&b);
    built(SLICE_LIT("\x31\x06\x02\x01\x01\x02\x01\x01"));
}

static void test_der_builder_finish__misuse(void **state)
{
    der_open(&b, DER_SEQUENCE);
    assert_int_equal(der_builder_finish(&b), TM_EINTERNAL);
    der_close(&b);
    assert_int_equal(der_builder_finish(&b), TM_OK);
    der_close(&b);
    assert_int_equal(der_builder_finish(&b), TM_EINTERNAL);
    der_builder_init(&b, &out);
    for (int i = 0; i <= DER_BUILDER_DEPTH; i++)
        der_open(&b, DER_SEQUENCE);
    assert_int_equal(der_builder_finish(&b), TM_EINTERNAL);
    der_builder_init(&b, &out);
    der_put_oid(&b, (struct slice){0});
    assert_int_equal(der_builder_finish(&b), TM_EINVAL);
    der_builder_init(&b, &out);
    der_close_set_of(&b);
    assert_int_equal(der_builder_finish(&b), TM_EINTERNAL);
    der_builder_init(&b, &out);
    der_open(&b, DER_SET);
    buf_puts(&out, "\x02\x05");
    der_close_set_of(&b);
    assert_int_equal(der_builder_finish(&b), TM_EINVAL);
}

static void test_der_builder__a_full_buffer_is_an_error_at_every_step(void **state)
{
    for (size_t max = 0; max < 24; max++) {
        struct buf small;
        buf_init(&small, max);
        der_builder_init(&b, &small);
        der_open(&b, DER_SEQUENCE);
        der_put_uint(&b, 1000);
        der_open_bits(&b);
        der_put_oid(&b, oid_contents(OID_CN));
        der_close(&b);
        der_open(&b, DER_SET);
        der_put_uint(&b, 5);
        der_put_uint(&b, 4);
        der_close_set_of(&b);
        der_close(&b);
        assert_int_equal(der_builder_finish(&b), max < 22 ? TM_ETOOBIG : TM_OK);
        assert_true(small.n <= max);
        buf_done(&small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_der_put__primitives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_der_put_named_bits__no_trailing_zeros, setup, teardown),
        cmocka_unit_test_setup_teardown(test_der_put_time__utc_through_2049, setup, teardown),
        cmocka_unit_test_setup_teardown(test_der_put_time__after_9999_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_der_close__length_fix_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_der_open_bits__starts_with_unused_bits_octet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_der_close_set_of__sorts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_der_builder_finish__misuse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_der_builder__a_full_buffer_is_an_error_at_every_step, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
