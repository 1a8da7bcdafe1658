#include "der/builder.h"
#include "der/reader.h"
#include "unit/x509/sample.h"
#include "x509/name.h"

static const char *printed(struct arena *a, struct slice tlv)
{
    struct buf out;
    buf_init(&out, 4096);
    name_print_der(&out, tlv);
    const char *s = arena_strdup(a, buf_str(&out));
    buf_done(&out);
    return s;
}

static struct slice from_text(struct arena *a, const char *text)
{
    struct slice tlv = {0};
    struct diag d = {0};
    if (name_from_text(&tlv, a, slice_str(text), &d) != TM_OK)
        fail_msg("%s: %s", text, d.message);
    return tlv;
}

static void test_name_from_text__there_and_back(void **state)
{
    static const char *const same[] = {
        "",
        "CN=gw-1,O=Example AG,C=DE",
        "CN=a+OU=b,O=c",
        "CN=a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h",
        "CN=\\ leading and trailing\\ ",
        "CN=\\#hash",
        "CN=b\303\274cher",
        "UID=1,DC=example,DC=org",
        "serialNumber=SN 1,dnQualifier=q",
        "surname=x,givenName=y,title=z,emailAddress=a@b.c",
        "STREET=s,L=l,ST=st",
        "1.3.6.1.4.1.32473.1=#0c0161",
        "CN=a\\0Ab", /* a line feed */
        "matterVendorId=FFF1",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_string_equal(printed(*state, from_text(*state, same[i])), same[i]);
}

static void test_name_from_text__spellings(void **state)
{
    static const char *const pairs[][2] = {
        {" cn = gw-1 , o = Example ", "CN=gw-1,O=Example"},
        {"CN=\"quoted, + yes\",C=DE", "CN=quoted\\, \\+ yes,C=DE"},
        {"SN=x,GN=y,E=a@b.c,S=z,T=t,DNQ=q",
         "surname=x,givenName=y,emailAddress=a@b.c,ST=z,title=t,dnQualifier=q"},
        {"2.5.4.3=x", "CN=x"},
        {"commonName=x", "CN=x"},
        {"CN=b\\C3\\BC", "CN=b\xc3\xbc"},
        {"CN=#0c0178", "CN=x"},
        {"OU=b+CN=a", "CN=a+OU=b"}, /* DER sorts the set */
        {"1.2.3=plain", "1.2.3=#0c05706c61696e"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_string_equal(printed(*state, from_text(*state, pairs[i][0])), pairs[i][1]);
}

static void test_name_from_text__refuses(void **state)
{
    static const char *const bad[] = {
        "CN",
        "=x",
        "XX=y",
        "CN=a,",
        "CN=a,,O=b",
        "CN=",
        "CN=\"a",
        "CN=\"a\"b",
        "CN=a\\",
        "CN=a\\x",
        "CN=a\\4",
        "CN=a\\00b",
        "CN=#0c",
        "CN=#0c0161ff",
        "CN=#zz",
        "CN=a;b",
        "CN=a<b",
        "C=DEU",
        "C=D",
        "C=D*",
        "1..2=a",
        "serialNumber=a_b",
        "emailAddress=b\xc3\xbc@x",
        "DC=\xc3\xbc",
        "CN=\xff",
        "CN=a\\C3",
        "CN=#1303612a62",
        "CN=12345678901234567890123456789012345678901234567890123456789012345",
        ("O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,O=a,"
         "O=a,O=a,O=a,O=a"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct slice tlv;
        struct diag d = {0};
        if (name_from_text(&tlv, *state, slice_str(bad[i]), &d) == TM_OK)
            fail_msg("%s was taken", bad[i]);
        assert_true(d.message[0] != '\0');
    }
}

static void test_name_build_attr__string_types(void **state)
{
    struct der_builder b;
    struct buf out;
    struct name n;
    buf_init(&out, 1024);
    der_builder_init(&b, &out);
    der_open(&b, DER_SEQUENCE);
    name_build_attr(&b, OID_C, SLICE_LIT("DE"));
    name_build_attr(&b, OID_O, SLICE_LIT("Example"));
    name_build_attr(&b, OID_SERIAL_NUMBER, SLICE_LIT("1"));
    name_build_attr(&b, OID_DN_QUALIFIER, SLICE_LIT("q"));
    name_build_attr(&b, OID_EMAIL, SLICE_LIT("a@b"));
    name_build_attr(&b, OID_DC, SLICE_LIT("org"));
    der_close(&b);
    assert_int_equal(der_builder_finish(&b), TM_OK);
    assert_int_equal(name_parse(&n, buf_slice(&out), NULL), TM_OK);
    static const unsigned tags[] = {DER_PRINTABLE_STRING, DER_UTF8_STRING, DER_PRINTABLE_STRING,
                                    DER_PRINTABLE_STRING, DER_IA5_STRING,  DER_IA5_STRING};
    assert_int_equal(n.n, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(n.attrs[i].tag, tags[i]);
        assert_int_equal(n.attrs[i].rdn, i);
    }
    buf_reset(&out);
    der_builder_init(&b, &out);
    name_build_attr(&b, OID_UNKNOWN, SLICE_LIT("x"));
    assert_int_equal(der_builder_finish(&b), TM_EINVAL);
    buf_done(&out);
}

/* A name of one attribute with any string type. */
static struct slice one(struct arena *a, enum oid id, unsigned tag, struct slice value)
{
    struct der_builder b;
    struct buf out;
    struct slice tlv;
    buf_init(&out, 4096);
    der_builder_init(&b, &out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SET);
    der_open(&b, DER_SEQUENCE);
    der_put_oid(&b, oid_contents(id));
    der_put(&b, tag, value);
    der_close(&b);
    der_close(&b);
    der_close(&b);
    assert_int_equal(der_builder_finish(&b), TM_OK);
    assert_int_equal(arena_copy(&tlv, a, buf_slice(&out)), TM_OK);
    buf_done(&out);
    return tlv;
}

static void test_name_get__converts_to_utf8(void **state)
{
    struct arena *a = *state;
    struct name n;
    struct slice text;
    assert_int_equal(name_parse(&n, one(a, OID_CN, DER_BMP_STRING, SLICE_LIT("\0b\0\xfc\x20\xac")), NULL),
                     TM_OK);
    assert_int_equal(name_get(&text, a, &n, OID_CN), TM_OK);
    assert_true(slice_eq_str(text, "b\xc3\xbc\xe2\x82\xac"));
    assert_int_equal(name_parse(&n, one(a, OID_CN, DER_UNIVERSAL_STRING, SLICE_LIT("\0\x01\xf6\x00")), NULL),
                     TM_OK);
    assert_int_equal(name_get(&text, a, &n, OID_CN), TM_OK);
    assert_true(slice_eq_str(text, "\xf0\x9f\x98\x80"));
    assert_int_equal(name_parse(&n, one(a, OID_CN, DER_T61_STRING, SLICE_LIT("b\xfc")), NULL), TM_OK);
    assert_int_equal(name_get(&text, a, &n, OID_CN), TM_OK);
    assert_true(slice_eq_str(text, "b\xc3\xbc"));
    assert_int_equal(name_get(&text, a, &n, OID_O), TM_ENOTFOUND);
    assert_int_equal(name_parse(&n, one(a, OID_UNIQUE_IDENTIFIER, DER_BIT_STRING, SLICE_LIT("\0x")), NULL),
                     TM_OK);
    assert_int_equal(name_get(&text, a, &n, OID_UNIQUE_IDENTIFIER), TM_EINVAL);
    assert_string_equal(printed(a, n.der), "x500UniqueIdentifier=#03020078");
}

static bool matches(struct arena *a, struct slice x, struct slice y)
{
    struct name n, m;
    assert_int_equal(name_parse(&n, x, NULL), TM_OK);
    assert_int_equal(name_parse(&m, y, NULL), TM_OK);
    assert_int_equal(name_matches(&n, &m), name_matches(&m, &n));
    return name_matches(&n, &m);
}

static void test_name_matches__rfc5280_7_1(void **state)
{
    struct arena *a = *state;
    assert_true(matches(a, from_text(a, "CN=Gw One,O=EX"), from_text(a, "CN=\\ gw   one\\ ,O=ex")));
    assert_true(matches(a, one(a, OID_CN, DER_BMP_STRING, SLICE_LIT("\0A\0 \0 \0b")),
                        one(a, OID_CN, DER_PRINTABLE_STRING, SLICE_LIT("a B"))));
    assert_false(matches(a, from_text(a, "CN=ab"), from_text(a, "CN=a b")));
    assert_false(matches(a, from_text(a, "CN=a"), from_text(a, "O=a")));
    assert_false(matches(a, from_text(a, "CN=a,O=b"), from_text(a, "O=b,CN=a")));
    assert_false(matches(a, from_text(a, "CN=a+O=b"), from_text(a, "CN=a,O=b")));
    assert_false(matches(a, from_text(a, "CN=a"), from_text(a, "CN=a,O=b")));
    assert_false(matches(a, from_text(a, "CN=a+CN=b"), from_text(a, "CN=b+CN=c")));
    assert_true(matches(a, from_text(a, "CN=A+CN=b"), from_text(a, "CN=B+CN=a")));
    assert_true(matches(a, from_text(a, ""), from_text(a, "")));
}

static void test_name_starts_with__whole_rdns(void **state)
{
    struct arena *a = *state;
    struct name n, prefix;
    static const struct {
        const char *prefix;
        bool starts;
    } cases[] = {{"", true},
                 {"C=DE", true},
                 {"O=ex,C=DE", true},
                 {"O=Other,C=DE", false},
                 {"O=Ex", false},
                 {"CN=a+OU=b,O=Ex,C=DE", true},
                 {"CN=a,O=Ex,C=DE", false},
                 {"CN=x,CN=a+OU=b,O=Ex,C=DE", false}};
    assert_int_equal(name_parse(&n, from_text(a, "CN=a+OU=b,O=Ex,C=DE"), NULL), TM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(name_parse(&prefix, from_text(a, cases[i].prefix), NULL), TM_OK);
        assert_int_equal(name_starts_with(&n, &prefix), cases[i].starts);
    }
}

static void test_name_print_der__what_does_not_parse_is_hex(void **state)
{
    assert_string_equal(printed(*state, SLICE_LIT("\x30\x01")), "#3001");
    assert_string_equal(printed(*state, SLICE_LIT("\x30\x00")), "");
    assert_string_equal(printed(*state, (struct slice){0}), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(test_name_from_text__there_and_back),
        SAMPLE_TEST(test_name_from_text__spellings),
        SAMPLE_TEST(test_name_from_text__refuses),
        SAMPLE_TEST(test_name_build_attr__string_types),
        SAMPLE_TEST(test_name_get__converts_to_utf8),
        SAMPLE_TEST(test_name_matches__rfc5280_7_1),
        SAMPLE_TEST(test_name_starts_with__whole_rdns),
        SAMPLE_TEST(test_name_print_der__what_does_not_parse_is_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
