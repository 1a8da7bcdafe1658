#include "der/builder.h"
#include "unit/x509/sample.h"
#include "x509/ext.h"

static void test_ext_basic_constraints__there_and_back(void **state)
{
    static const struct basic_constraints cases[] = {{0},
                                                     {.ca = true},
                                                     {.ca = true, .has_path_len = true},
                                                     {.ca = true, .has_path_len = true, .path_len = 3}};
    static const char *const hex[] = {"\x30\x00", "\x30\x03\x01\x01\xff", "\x30\x06\x01\x01\xff\x02\x01",
                                      "\x30\x06\x01\x01\xff\x02\x01\x03"};
    for (size_t i = 0; i < 4; i++) {
        struct basic_constraints bc;
        struct slice v;
        assert_int_equal(ext_encode_basic_constraints(&v, *state, &cases[i]), TM_OK);
        assert_memory_equal(v.p, hex[i], v.n);
        assert_int_equal(ext_decode_basic_constraints(&bc, v, NULL), TM_OK);
        assert_int_equal(bc.ca, cases[i].ca);
        assert_int_equal(bc.has_path_len, cases[i].has_path_len);
        assert_int_equal(bc.path_len, cases[i].path_len);
    }
    struct slice v;
    struct basic_constraints wrong = {.has_path_len = true}, bc;
    assert_int_equal(ext_encode_basic_constraints(&v, *state, &wrong), TM_EINVAL);
    assert_int_equal(ext_decode_basic_constraints(&bc, SLICE_LIT("\x30\x03\x01\x01\x00"), NULL),
                     TM_OK); /* met in the wild */
    assert_false(bc.ca);
}

static void test_ext_key_usage__every_set(void **state)
{
    for (uint32_t ku = 1; ku < 1 << 9; ku++) {
        struct slice v;
        uint32_t back;
        assert_int_equal(ext_encode_key_usage(&v, *state, ku), TM_OK);
        assert_int_equal(ext_decode_key_usage(&back, v, NULL), TM_OK);
        assert_int_equal(back, ku);
    }
    struct slice v;
    assert_int_equal(ext_encode_key_usage(&v, *state, 0), TM_EINVAL);
    assert_int_equal(ext_encode_key_usage(&v, *state, 1 << 9), TM_EINVAL);
    assert_string_equal(key_usage_names[5], "keyCertSign");
    assert_null(key_usage_names[9]);
}

static void test_ext_lists__there_and_back(void **state)
{
    struct arena *a = *state;
    struct slice oids[3] = {oid_contents(OID_EKU_CLIENT_AUTH), oid_contents(OID_EKU_ANY),
                            oid_contents(OID_CN)},
                 v, uris[4], back[4];
    static const char *const cdp[] = {"http://a/1", "ldap://b/2"};
    struct eku eku;
    size_t n;
    assert_int_equal(ext_encode_eku(&v, a, oids, 3), TM_OK);
    assert_int_equal(ext_decode_eku(&eku, v, NULL), TM_OK);
    assert_int_equal(eku.n, 3);
    assert_true(slice_eq(eku.oid[1], oids[1]));
    assert_int_equal(ext_encode_policies(&v, a, oids, 3), TM_OK);
    assert_int_equal(ext_decode_policies(back, 4, &n, v, NULL), TM_OK);
    assert_int_equal(n, 3);
    assert_int_equal(ext_encode_cdp(&v, a, cdp, 2), TM_OK);
    assert_int_equal(ext_decode_cdp(uris, 4, &n, v, NULL), TM_OK);
    assert_int_equal(n, 2);
    assert_true(slice_eq_str(uris[1], "ldap://b/2"));
    assert_int_equal(ext_decode_cdp(uris, 1, &n, v, NULL), TM_OK);
    assert_int_equal(n, 1);
    assert_int_equal(ext_encode_aia(&v, a, NULL, "http://ca"), TM_OK);
    assert_int_equal(ext_decode_aia(uris, 4, &n, OID_AD_OCSP, v, NULL), TM_OK);
    assert_int_equal(n, 0);
    assert_int_equal(ext_decode_aia(uris, 4, &n, OID_AD_CA_ISSUERS, v, NULL), TM_OK);
    assert_true(n == 1 && slice_eq_str(uris[0], "http://ca"));
    assert_int_equal(ext_encode_eku(&v, a, NULL, 0), TM_EINVAL);
    assert_int_equal(ext_encode_policies(&v, a, NULL, 0), TM_EINVAL);
    assert_int_equal(ext_encode_cdp(&v, a, NULL, 0), TM_EINVAL);
    assert_int_equal(ext_encode_aia(&v, a, NULL, NULL), TM_EINVAL);
    assert_int_equal(ext_encode_san(&v, a, NULL, 0), TM_EINVAL);
    assert_int_equal(ext_encode_ski(&v, a, (struct slice){0}), TM_EINVAL);
    assert_int_equal(ext_encode_akid(&v, a, (struct slice){0}), TM_EINVAL);
}

static void test_ext_key_ids__there_and_back(void **state)
{
    struct slice v, id;
    assert_int_equal(ext_encode_ski(&v, *state, SLICE_LIT("id")), TM_OK);
    assert_int_equal(ext_decode_ski(&id, v, NULL), TM_OK);
    assert_true(slice_eq_str(id, "id"));
    assert_int_equal(ext_encode_akid(&v, *state, SLICE_LIT("id")), TM_OK);
    assert_int_equal(ext_decode_akid(&id, v, NULL), TM_OK);
    assert_true(slice_eq_str(id, "id"));
    assert_int_equal(ext_decode_akid(&id, SLICE_LIT("\x30\x00"), NULL), TM_OK);
    assert_int_equal(id.n, 0);
}

static void test_ext_decode_cdp__names_that_are_no_uri(void **state)
{
    struct slice uris[2];
    size_t n;
    /* relative name with reasons and cRLIssuer; then a directory name before a URI */
    assert_int_equal(
        ext_decode_cdp(uris, 2, &n,
                       SLICE_LIT("\x30\x0e\x30\x0c\xa0\x02\xa1\x00\x81\x02\x06\x40\xa2\x02\xa4\x00"), NULL),
        TM_OK);
    assert_int_equal(n, 0);
    assert_int_equal(
        ext_decode_cdp(uris, 2, &n,
                       SLICE_LIT("\x30\x15\x30\x13\xa0\x11\xa0\x0f\xa4\x02\x30\x00\x86\x09http://x/"), NULL),
        TM_OK);
    assert_true(n == 1 && slice_eq_str(uris[0], "http://x/"));
}

static void test_exts__build_parse_find(void **state)
{
    struct ext v[EXT_MAX + 1];
    uint8_t oids[EXT_MAX + 1][3];
    static struct exts e;
    for (size_t n = 1; n <= EXT_MAX + 1; n++) {
        struct der_builder b;
        struct buf out;
        buf_init(&out, 4096);
        der_builder_init(&b, &out);
        for (size_t i = 0; i < n; i++) {
            memcpy(oids[i], (uint8_t[]){0x2a, 0x03, (uint8_t)i}, 3);
            v[i] = (struct ext){.oid = SLICE_ARR(oids[i]), .critical = i % 2, .value = SLICE_ARR(oids[i])};
        }
        exts_build(&b, v, n);
        assert_int_equal(der_builder_finish(&b), TM_OK);
        struct diag d = {0};
        assert_int_equal(exts_parse(&e, buf_slice(&out), &d), n <= EXT_MAX ? TM_OK : TM_ETOOBIG);
        for (size_t i = 0; n <= EXT_MAX && i < n; i++) {
            assert_true(slice_eq(e.v[i].oid, v[i].oid) && slice_eq(e.v[i].value, v[i].value));
            assert_int_equal(e.v[i].critical, v[i].critical);
        }
        buf_done(&out);
    }
    assert_null(exts_find(&e, OID_EXT_SAN));
    assert_null(exts_find(&e, OID_UNKNOWN)); /* the table's "not known" finds nothing */
    struct der_builder b;
    struct buf out;
    buf_init(&out, 4096);
    der_builder_init(&b, &out);
    exts_build(&b, v, 0);
    assert_int_equal(out.n, 0);
    v[0] =
        (struct ext){.id = OID_EXT_NO_REV_AVAIL, .value = SLICE_LIT("\x05\x00")}; /* the id alone will do */
    exts_build(&b, v, 1);
    assert_int_equal(exts_parse(&e, buf_slice(&out), NULL), TM_OK);
    assert_non_null(exts_find(&e, OID_EXT_NO_REV_AVAIL));
    buf_done(&out);
}

static void test_ext_encode__out_of_memory_is_an_error(void **state)
{
    struct arena *tiny = arena_new(64);
    struct general_name gn = {.type = GN_DNS, .value = SLICE_LIT("a")};
    struct slice v, oid = oid_contents(OID_CN);
    const char *uri = "http://x/";
    struct name_constraints nc = {.permitted = {&gn, 1}};
    struct basic_constraints bc = {0};
    while (arena_alloc(tiny, 8))
        ;
    assert_int_not_equal(ext_encode_basic_constraints(&v, tiny, &bc), TM_OK);
    assert_int_not_equal(ext_encode_key_usage(&v, tiny, 1), TM_OK);
    assert_int_not_equal(ext_encode_eku(&v, tiny, &oid, 1), TM_OK);
    assert_int_not_equal(ext_encode_ski(&v, tiny, oid), TM_OK);
    assert_int_not_equal(ext_encode_akid(&v, tiny, oid), TM_OK);
    assert_int_not_equal(ext_encode_san(&v, tiny, &gn, 1), TM_OK);
    assert_int_not_equal(ext_encode_cdp(&v, tiny, &uri, 1), TM_OK);
    assert_int_not_equal(ext_encode_aia(&v, tiny, uri, NULL), TM_OK);
    assert_int_not_equal(ext_encode_policies(&v, tiny, &oid, 1), TM_OK);
    assert_int_not_equal(ext_encode_name_constraints(&v, tiny, &nc), TM_OK);
    arena_free(tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(test_ext_basic_constraints__there_and_back),
        SAMPLE_TEST(test_ext_key_usage__every_set),
        SAMPLE_TEST(test_ext_lists__there_and_back),
        SAMPLE_TEST(test_ext_key_ids__there_and_back),
        SAMPLE_TEST(test_ext_decode_cdp__names_that_are_no_uri),
        SAMPLE_TEST(test_exts__build_parse_find),
        SAMPLE_TEST(test_ext_encode__out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
