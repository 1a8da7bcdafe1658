#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "keys/jwk.h"
#include "keys/key.h"
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

static tm_err parse(struct jwk *ret, struct arena *a, const char *text)
{
    json_t *doc = json_loads(text, 0, NULL);
    assert_non_null(doc);
    tm_err e = jwk_parse(ret, a, doc, NULL);
    json_decref(doc);
    return e;
}

static const char rfc7638_n[] =
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
    "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n9"
    "1CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

/* RFC 7638 3.1 */
static void test_jwk_parse__thumbprint_of_rfc7638(void **state)
{
    struct jwk k;
    const char *text = arena_printf(
        *state, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}",
        rfc7638_n);
    assert_int_equal(parse(&k, *state, text), TM_OK);
    assert_int_equal(k.key.alg, KEY_ALG_RSA);
    assert_int_equal(k.key.bits, 2048);
    struct slice wanted;
    assert_int_equal(
        base64url_strict(&wanted, *state, SLICE_LIT("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")), TM_OK);
    assert_memory_equal(k.thumbprint, wanted.p, sizeof k.thumbprint);
}

/* RFC 8037 A.2, A.3 */
static void test_jwk_parse__thumbprint_of_rfc8037(void **state)
{
    struct jwk k;
    assert_int_equal(
        parse(&k, *state,
              "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"),
        TM_OK);
    struct slice wanted;
    assert_int_equal(
        base64url_strict(&wanted, *state, SLICE_LIT("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")), TM_OK);
    assert_memory_equal(k.thumbprint, wanted.p, sizeof k.thumbprint);
    /* A.4 */
    struct slice signature;
    assert_int_equal(
        base64url_strict(
            &signature, *state,
            SLICE_LIT(
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")),
        TM_OK);
    struct slice input = SLICE_LIT("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
    assert_int_equal(jws_signature_verify(&k.spki, "EdDSA", input, signature, NULL), TM_OK);
    assert_int_equal(jws_signature_verify(&k.spki, "Ed25519", input, signature, NULL), TM_OK);
    assert_int_equal(jws_signature_verify(&k.spki, "Ed448", input, signature, NULL), TM_EINVAL);
    assert_int_equal(jws_signature_verify(&k.spki, "none", input, signature, NULL), TM_EUNSUPPORTED);
    input.n--;
    assert_int_equal(jws_signature_verify(&k.spki, "EdDSA", input, signature, NULL), TM_EBADSIG);
}

/* The SPKI of a raw key's JWK is the one that the key itself has. */
static void test_jwk_parse__ml_dsa(void **state)
{
    static const struct {
        enum key_alg alg;
        const char *name;
    } algs[] = {
        {KEY_ALG_ML_DSA_44, "ML-DSA-44"}, {KEY_ALG_ML_DSA_65, "ML-DSA-65"}, {KEY_ALG_ML_DSA_87, "ML-DSA-87"}};
    for (size_t i = 0; i < sizeof algs / sizeof *algs; i++) {
        struct key *key = NULL;
        struct spki s;
        struct jwk k;
        struct buf b;
        assert_int_equal(key_generate(&key, algs[i].alg, 0, NULL), TM_OK);
        assert_int_equal(spki_parse(&s, key_spki(key), NULL), TM_OK);
        buf_init(&b, 1 << 16);
        buf_printf(&b, "{\"kty\":\"AKP\",\"alg\":\"%s\",\"pub\":\"", algs[i].name);
        buf_put_base64(&b, s.key, BASE64_URL, 0);
        buf_puts(&b, "\"}");
        assert_int_equal(parse(&k, *state, buf_str(&b)), TM_OK);
        assert_true(slice_eq(k.spki.der, key_spki(key)));
        buf_done(&b);
        key_free(key);
    }
}

static void test_jwk_parse__refused(void **state)
{
    static const struct {
        const char *text;
        tm_err err;
    } bad[] = {
        {"[]", TM_EINVAL},
        {"{}", TM_EINVAL},
        {"{\"kty\":\"oct\",\"k\":\"AAAA\"}", TM_EINVAL},
        {"{\"kty\":\"oct\"}", TM_EUNSUPPORTED},
        {"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}", TM_EUNSUPPORTED},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}", TM_EINVAL},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}",
         TM_EINVAL},
        /* not on the curve */
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
         "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}",
         TM_EINVAL},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
         "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\",\"d\":\"AA\"}",
         TM_EINVAL},
        {"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", TM_EUNSUPPORTED},
        {"{\"kty\":\"RSA\",\"n\":\"AAEAAQ\",\"e\":\"AQAB\"}", TM_EINVAL}, /* leading zero */
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
         TM_EUNSUPPORTED},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", TM_EINVAL},
        {"{\"kty\":\"AKP\",\"pub\":\"AAAA\"}", TM_EUNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct jwk k;
        tm_err e = parse(&k, *state, bad[i].text);
        if (e != bad[i].err)
            fail_msg("%s: %s", bad[i].text, tm_err_name(e));
    }
}

static void test_base64url_strict__one_text_a_value(void **state)
{
    static const char *const bad[] = {"A", "AA==", "AB", "AAB", "AA A", "AA\n", "A+", "A/", "AAAA="};
    struct slice s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(base64url_strict(&s, *state, slice_str(bad[i])), TM_EMALFORMED);
    assert_int_equal(base64url_strict(&s, *state, SLICE_LIT("")), TM_OK);
    assert_int_equal(s.n, 0);
    assert_int_equal(base64url_strict(&s, *state, SLICE_LIT("-_8")), TM_OK);
    assert_int_equal(s.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_jwk_parse__thumbprint_of_rfc7638, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jwk_parse__thumbprint_of_rfc8037, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jwk_parse__ml_dsa, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jwk_parse__refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base64url_strict__one_text_a_value, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
