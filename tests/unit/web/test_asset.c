#include "base/buf.h"
#include "web/asset.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_asset_accepts_gzip__reads_the_header(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        bool yes;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"gzip", true},
        {"GZIP", true},
        {"x-gzip", true},
        {"deflate, gzip;q=0.5", true},
        {"br;q=1.0,gzip ; q=0.8", true},
        {"gzip;q=0", false},
        {"gzip;q=0.000, *", false},
        {"gzip; q=0.001", true},
        {"identity", false},
        {"gzipped", false},
        {"*", true},
        {"*;q=0", false},
        {"*, gzip;q=0", false},
        {",,, ;", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(asset_accepts_gzip(cases[i].header), cases[i].yes);
}

static void test_asset_known__compares_weakly(void **state)
{
    (void)state;
    assert_true(asset_known("W/\"a1\"", "W/\"a1\""));
    assert_true(asset_known("\"a1\"", "W/\"a1\""));
    assert_true(asset_known("\"b\", W/\"a1\"", "W/\"a1\""));
    assert_true(asset_known("*", "W/\"a1\""));
    assert_false(asset_known(NULL, "W/\"a1\""));
    assert_false(asset_known("", "W/\"a1\""));
    assert_false(asset_known("\"a12\"", "W/\"a1\""));
    assert_false(asset_known("a1", "W/\"a1\""));
}

static void test_asset_unpack__gives_every_file_back(void **state)
{
    (void)state;
    for (const struct asset *a = assets; a->path; a++) {
        struct buf plain;
        buf_init(&plain, a->plain_n);
        assert_int_equal(asset_unpack(&plain, a), TM_OK);
        assert_int_equal(plain.n, a->plain_n);
        assert_ptr_equal(asset_find(a->path), a);
        buf_done(&plain);
    }
    assert_null(asset_find("/assets/none.js"));
    /* There is a first page, or a reason why not. */
    assert_true((asset_find("/") != NULL) != (assets_missing != NULL));
}

static void test_asset_unpack__refuses_what_is_cut_short(void **state)
{
    (void)state;
    const struct asset *a = asset_find("/");
    if (!a) {
        skip();
        return;
    }
    struct asset cut = *a;
    cut.gzip_n /= 2;
    struct buf plain;
    buf_init(&plain, a->plain_n);
    assert_int_equal(asset_unpack(&plain, &cut), TM_ECORRUPT);
    buf_done(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asset_accepts_gzip__reads_the_header),
        cmocka_unit_test(test_asset_known__compares_weakly),
        cmocka_unit_test(test_asset_unpack__gives_every_file_back),
        cmocka_unit_test(test_asset_unpack__refuses_what_is_cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
