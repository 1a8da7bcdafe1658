#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "enroll/acme/jws.h"
#include <cmocka.h>
#include <string.h>

static int setup(void **state)
{
    *state = arena_new(0);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

/* {"protected": base64url(header), "payload": base64url(payload), "signature": …} */
static const char *make(struct arena *a, const char *header, const char *payload)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_puts(&b, "{\"protected\":\"");
    buf_put_base64(&b, slice_str(header), BASE64_URL, 0);
    buf_puts(&b, "\",\"payload\":\"");
    buf_put_base64(&b, slice_str(payload), BASE64_URL, 0);
    buf_puts(&b, "\",\"signature\":\"AAAA\"}");
    const char *s = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return s;
}

static tm_err parse(struct jws *j, struct arena *a, const char *header, enum jws_rule rule)
{
    struct diag diag;
    return jws_parse(j, a, slice_str(make(a, header, "{}")), rule, &diag);
}

static void test_jws_parse__by_account(void **state)
{
    struct jws j;
    assert_int_equal(
        parse(&j, *state, "{\"alg\":\"ES256\",\"nonce\":\"n\",\"url\":\"u\",\"kid\":\"k\"}", JWS_OUTER),
        TM_OK);
    assert_string_equal(j.alg, "ES256");
    assert_string_equal(j.nonce, "n");
    assert_string_equal(j.url, "u");
    assert_string_equal(j.kid, "k");
    assert_false(j.has_jwk);
    assert_true(slice_eq_str(j.payload, "{}"));
    assert_int_equal(j.signature.n, 3);
}

static void test_jws_parse__headers_refused(void **state)
{
    static const struct {
        const char *header;
        enum jws_rule rule;
        tm_err err;
    } bad[] = {
        {"[]", JWS_OUTER, TM_EMALFORMED},
        {"{}", JWS_OUTER, TM_EMALFORMED},
        {"{\"alg\":\"ES256\",\"url\":\"u\",\"kid\":\"k\"}", JWS_OUTER, TM_EMALFORMED},
        {"{\"alg\":\"ES256\",\"nonce\":\"n\",\"kid\":\"k\"}", JWS_OUTER, TM_EMALFORMED},
        {"{\"alg\":\"ES256\",\"nonce\":\"n\",\"url\":\"u\"}", JWS_OUTER, TM_EMALFORMED},
        {"{\"alg\":\"ES256\",\"nonce\":\"n\",\"url\":\"u\",\"kid\":\"k\",\"jwk\":{}}", JWS_OUTER,
         TM_EMALFORMED},
        {"{\"alg\":\"ES256\",\"alg\":\"none\",\"nonce\":\"n\",\"url\":\"u\",\"kid\":\"k\"}", JWS_OUTER,
         TM_EMALFORMED},
        {"{\"alg\":1,\"nonce\":\"n\",\"url\":\"u\",\"kid\":\"k\"}", JWS_OUTER, TM_EMALFORMED},
        {"{\"alg\":\"none\",\"nonce\":\"n\",\"url\":\"u\",\"kid\":\"k\"}", JWS_OUTER, TM_EUNSUPPORTED},
        {"{\"alg\":\"HS256\",\"nonce\":\"n\",\"url\":\"u\",\"kid\":\"k\"}", JWS_OUTER, TM_EUNSUPPORTED},
        {"{\"alg\":\"ES256\",\"nonce\":\"n\",\"url\":\"u\",\"kid\":\"k\",\"crit\":[]}", JWS_OUTER,
         TM_EMALFORMED},
        {"{\"alg\":\"ES256\",\"nonce\":\"n\\u0000\",\"url\":\"u\",\"kid\":\"k\"}", JWS_OUTER, TM_EMALFORMED},
        {"{\"alg\":\"HS256\",\"url\":\"u\",\"kid\":\"k\",\"nonce\":\"n\"}", JWS_BINDING, TM_EMALFORMED},
        {"{\"alg\":\"ES256\",\"url\":\"u\",\"kid\":\"k\"}", JWS_BINDING, TM_EUNSUPPORTED},
        {"{\"alg\":\"ES256\",\"url\":\"u\",\"kid\":\"k\"}", JWS_INNER, TM_EMALFORMED},
        {"{\"alg\":\"ES256\",\"nonce\":\"n\",\"url\":\"u\",\"jwk\":7}", JWS_OUTER, TM_EINVAL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct jws j;
        if (parse(&j, *state, bad[i].header, bad[i].rule) != bad[i].err)
            fail_msg("%s", bad[i].header);
    }
}

static void test_jws_parse__envelopes_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"protected\":\"e30\",\"payload\":\"\"}",
        "{\"protected\":\"e30\",\"payload\":\"\",\"signature\":\"\",\"header\":{}}",
        "{\"protected\":\"e30\",\"payload\":\"\",\"signatures\":[]}",
        "{\"protected\":\"e30=\",\"payload\":\"\",\"signature\":\"\"}",
        "{\"protected\":\"e30\",\"payload\":\"a b\",\"signature\":\"\"}",
        "{\"protected\":\"e30\",\"payload\":\"A\",\"signature\":\"\"}",
        "{\"protected\":\"e30\",\"payload\":\"AB\",\"signature\":\"\"}", /* stray bits */
        "{\"protected\":\"e30\",\"payload\":\"+/+/\",\"signature\":\"\"}",
        "{\"protected\":{},\"payload\":\"\",\"signature\":\"\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct jws j;
        struct diag diag;
        if (jws_parse(&j, *state, slice_str(bad[i]), JWS_OUTER, &diag) != TM_EMALFORMED)
            fail_msg("%s", bad[i]);
    }
}

/* RFC 7515 A.1 */
static void test_jws_verify_mac__rfc7515(void **state)
{
    static const char key[] =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    struct jws j = {
        .protected_text = SLICE_LIT("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"),
        .payload_text = SLICE_LIT(
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"),
    };
    struct slice k;
    assert_int_equal(base64url_strict(&k, *state, SLICE_LIT(key)), TM_OK);
    assert_int_equal(
        base64url_strict(&j.signature, *state, SLICE_LIT("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")),
        TM_OK);
    assert_int_equal(jws_verify_mac(&j, *state, k, NULL), TM_OK);
    j.payload_text.n--;
    assert_int_equal(jws_verify_mac(&j, *state, k, NULL), TM_EBADSIG);
}

/* RFC 7515 A.3 */
static void test_jws_verify__rfc7515_es256(void **state)
{
    struct jws j = {
        .alg = "ES256",
        .protected_text = SLICE_LIT("eyJhbGciOiJFUzI1NiJ9"),
        .payload_text = SLICE_LIT(
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"),
    };
    json_t *doc =
        json_loads("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                   "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
                   0, NULL);
    struct jwk k;
    assert_int_equal(jwk_parse(&k, *state, doc, NULL), TM_OK);
    assert_int_equal(
        base64url_strict(
            &j.signature, *state,
            SLICE_LIT(
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")),
        TM_OK);
    assert_int_equal(jws_verify(&j, *state, &k.spki, NULL), TM_OK);
    j.alg = "ES384";
    assert_int_equal(jws_verify(&j, *state, &k.spki, NULL), TM_EINVAL);
    j.alg = "ES256";
    j.signature.n--;
    assert_int_equal(jws_verify(&j, *state, &k.spki, NULL), TM_EBADSIG);
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_jws_parse__by_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jws_parse__headers_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jws_parse__envelopes_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jws_verify_mac__rfc7515, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jws_verify__rfc7515_es256, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
