#include "der/builder.h"
#include "der/reader.h"
#include "unit/x509/sample.h"
#include "x509/ext.h"
#include "x509/general_name.h"

static struct general_name from_text(struct arena *a, const char *text)
{
    struct general_name gn = {0};
    struct diag d = {0};
    if (general_name_from_text(&gn, a, slice_str(text), &d) != TM_OK)
        fail_msg("%s: %s", text, d.message);
    return gn;
}

static const char *printed(struct arena *a, const struct general_name *gn)
{
    struct buf out;
    buf_init(&out, 4096);
    general_name_print(&out, gn);
    const char *s = arena_strdup(a, buf_str(&out));
    buf_done(&out);
    return s;
}

/* Text -> value -> DER -> value -> text. */
static void test_general_name__text_der_and_back(void **state)
{
    struct arena *a = *state;
    static const char *const same[] = {
        "DNS:gw.example.org",
        "DNS:*.example.org",
        "DNS:_acme.example",
        "IP:192.0.2.1",
        "IP:2001:db8::1",
        "URI:urn:dev:ops:32473-gw",
        "URI:spiffe://example.org/gw",
        "email:ops@example.org",
        "dirName:CN=a\\,b,O=c",
        "RID:1.2.3.4",
        "UPN:gw@example.org",
        "hardwareModuleName:1.3.6.1.4.1.32473.1:SN-1",
        "hardwareModuleName:1.3.6.1.4.1.32473.1:#00ff",
        "permanentIdentifier:1.3.6.1.4.1.32473.2:SN-1",
        "permanentIdentifier::SN-1",
        "permanentIdentifier:1.2.3:#23313233", /* "#123" */
        "otherName:1.2.3:0500",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct general_name gn = from_text(a, same[i]);
        struct general_names names;
        struct slice san;
        assert_int_equal(ext_encode_san(&san, a, &gn, 1), TM_OK);
        assert_int_equal(general_names_parse(&names, a, san, NULL), TM_OK);
        assert_int_equal(names.n, 1);
        assert_true(general_name_eq(&names.v[0], &gn));
        assert_string_equal(printed(a, &names.v[0]), same[i]);
    }
}

static void test_general_name_from_text__bare_values_and_case(void **state)
{
    struct arena *a = *state;
    struct general_name gn = from_text(a, "192.0.2.1");
    assert_string_equal(printed(a, &gn), "IP:192.0.2.1");
    gn = from_text(a, " ::1 ");
    assert_string_equal(printed(a, &gn), "IP:::1");
    gn = from_text(a, "gw.example.org");
    assert_string_equal(printed(a, &gn), "DNS:gw.example.org");
    gn = from_text(a, "dns:gw");
    assert_string_equal(printed(a, &gn), "DNS:gw");
}

static void test_general_name_from_text__refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "DNS:",
        "DNS:a b",
        "DNS:a..b",
        "DNS:.a",
        "DNS:a.",
        "DNS:-a",
        "DNS:a-.b",
        "DNS:a*b",
        "DNS:*",
        "DNS:*.",
        "DNS:a.*.b",
        "DNS:b\303\274cher",
        "IP:1.2.3",
        "IP:1.2.3.4.5",
        "IP:gw",
        "URI:",
        "URI:/relative",
        "URI:no-scheme",
        "URI:1x:y",
        "URI:x:",
        "email:",
        "email:ops",
        "email:@x",
        "email:ops@",
        "dirName:nope",
        "RID:x",
        "RID:",
        "UPN:",
        "hardwareModuleName:1.2.3",
        "hardwareModuleName:1.2.3:",
        "hardwareModuleName::x",
        "hardwareModuleName:1.2.3:#0",
        "permanentIdentifier:x",
        "otherName:1.2.3",
        "otherName::0500",
        "otherName:1.2.3:05",
        "otherName:1.2.3:05000500",
        "a/b",
        "DNS:1234567890123456789012345678901234567890123456789012345678901234.x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct general_name gn;
        struct diag d = {0};
        if (general_name_from_text(&gn, *state, slice_str(bad[i]), &d) != TM_EINVAL)
            fail_msg("%s was taken", bad[i]);
        assert_true(d.message[0] != '\0');
    }
}

static void test_general_name_eq__by_the_rules_of_each_form(void **state)
{
    static const struct {
        const char *a, *b;
        bool eq;
    } cases[] = {
        {"DNS:GW.example", "DNS:gw.EXAMPLE", true},
        {"DNS:a", "DNS:b", false},
        {"email:Ops@Example.org", "email:Ops@example.ORG", true},
        {"email:ops@example.org", "email:Ops@example.org", false},
        {"dirName:CN=A  b", "dirName:CN=a B", true},
        {"dirName:CN=a", "dirName:O=a", false},
        {"URI:https://x/A", "URI:https://x/a", false},
        {"IP:192.0.2.1", "IP:::ffff:192.0.2.1", false},
        {"UPN:a", "UPN:a", true},
        {"hardwareModuleName:1.2.3:a", "hardwareModuleName:1.2.4:a", false},
        {"DNS:a", "URI:a:a", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct general_name x = from_text(*state, cases[i].a), y = from_text(*state, cases[i].b);
        if (general_name_eq(&x, &y) != cases[i].eq)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
    }
}

static void test_general_names_parse__at_most_128(void **state)
{
    struct arena *a = *state;
    struct general_names names;
    for (size_t n = GENERAL_NAMES_MAX; n <= GENERAL_NAMES_MAX + 1; n++) {
        struct der_builder b;
        struct buf out;
        buf_init(&out, 4096);
        der_builder_init(&b, &out);
        der_open(&b, DER_SEQUENCE);
        for (size_t i = 0; i < n; i++)
            der_put(&b, DER_CONTEXT(GN_DNS), SLICE_LIT("a"));
        der_close(&b);
        assert_int_equal(general_names_parse(&names, a, buf_slice(&out), NULL),
                         n == GENERAL_NAMES_MAX ? TM_OK : TM_ETOOBIG);
        buf_done(&out);
    }
    assert_int_equal(names.n, GENERAL_NAMES_MAX);
}

static void test_general_name_print__forms_without_a_layout(void **state)
{
    struct arena *a = *state;
    struct general_name gn = {.type = GN_X400, .value = SLICE_LIT("\x01")};
    assert_string_equal(printed(a, &gn), "x400Address:01");
    gn = (struct general_name){.type = GN_EDI, .value = SLICE_LIT("\x02")};
    assert_string_equal(printed(a, &gn), "ediPartyName:02");
    gn = (struct general_name){.type = GN_IP, .value = SLICE_LIT("\x0a\0\0\0\xff\0\0\0")};
    assert_string_equal(printed(a, &gn), "IP:10.0.0.0/255.0.0.0");
    gn = (struct general_name){.type = GN_IP, .value = SLICE_LIT("\x0a")};
    assert_string_equal(printed(a, &gn), "IP:0a");
    /* a hardwareModuleName that is none */
    gn = (struct general_name){.type = GN_OTHER,
                               .value = SLICE_LIT("\x05\x00"),
                               .other = OID_HW_MODULE_NAME,
                               .other_oid = oid_contents(OID_HW_MODULE_NAME)};
    assert_string_equal(printed(a, &gn), "otherName:1.3.6.1.5.5.7.8.4:0500");
}

static void test_general_name_hw_module__limits(void **state)
{
    struct general_name gn;
    assert_int_equal(general_name_hw_module(&gn, *state, oid_contents(OID_CN), (struct slice){0}), TM_EINVAL);
    assert_int_equal(general_name_hw_module(&gn, *state, (struct slice){0}, SLICE_LIT("x")), TM_EINVAL);
    assert_int_equal(general_name_permanent_id(&gn, *state, SLICE_LIT("\xff"), (struct slice){0}), TM_EINVAL);
    assert_int_equal(general_name_permanent_id(&gn, *state, (struct slice){0}, (struct slice){0}), TM_OK);
    assert_string_equal(printed(*state, &gn), "permanentIdentifier::");
    assert_int_equal(general_name_upn(&gn, *state, SLICE_LIT("\xff")), TM_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(test_general_name__text_der_and_back),
        SAMPLE_TEST(test_general_name_from_text__bare_values_and_case),
        SAMPLE_TEST(test_general_name_from_text__refuses),
        SAMPLE_TEST(test_general_name_eq__by_the_rules_of_each_form),
        SAMPLE_TEST(test_general_names_parse__at_most_128),
        SAMPLE_TEST(test_general_name_print__forms_without_a_layout),
        SAMPLE_TEST(test_general_name_hw_module__limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
