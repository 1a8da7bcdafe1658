#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "identity/id_token.h"
#include "keys/key.h"
#include "x509/spki.h"
#include <cmocka.h>
#include <string.h>

static const struct id_token_wanted wanted = {.issuer = "https://idp.example.org",
                                              .client_id = "touchmark",
                                              .nonce = "n-1",
                                              .now = 1795000000,
                                              .skew = 60};
#define CLAIMS(more)                                                                                         \
    "{\"iss\":\"https://idp.example.org\",\"sub\":\"s\",\"aud\":\"touchmark\",\"nonce\":\"n-1\","            \
    "\"iat\":1794999990,\"exp\":1795000300" more "}"

static struct key *key;

static int setup(void **state)
{
    (void)state;
    return key_generate(&key, KEY_ALG_ED25519, 0, NULL) == TM_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    key_free(key);
    return 0;
}

static void make(struct buf *out, const char *header, const char *claims)
{
    struct buf signature;
    buf_init(out, 1 << 16);
    buf_put_base64(out, slice_str(header), BASE64_URL, 0);
    buf_putc(out, '.');
    buf_put_base64(out, slice_str(claims), BASE64_URL, 0);
    buf_init(&signature, 1024);
    assert_int_equal(key_sign(&signature, key, SIG_ED25519, buf_slice(out), NULL), TM_OK);
    buf_putc(out, '.');
    buf_put_base64(out, buf_slice(&signature), BASE64_URL, 0);
    buf_done(&signature);
}

static json_t *keys(const char *kid, const char *use)
{
    struct spki spki;
    struct buf x;
    assert_int_equal(spki_parse(&spki, key_spki(key), NULL), TM_OK);
    buf_init(&x, 128);
    buf_put_base64(&x, spki.key, BASE64_URL, 0);
    json_t *doc = json_pack("{s:[{s:s,s:s},{s:s,s:s,s:s,s:s,s:s}]}", "keys", "kty", "oct", "k", "AAAA", "kty",
                            "OKP", "crv", "Ed25519", "x", buf_str(&x), "kid", kid, "use", use);
    buf_done(&x);
    assert_non_null(doc);
    return doc;
}

static tm_err parsed(const char *header, const char *claims)
{
    struct arena *a = arena_new(0);
    struct id_token t = {0};
    struct buf text;
    struct diag diag = {0};
    make(&text, header, claims);
    tm_err e = id_token_parse(&t, a, buf_slice(&text), &diag);
    id_token_done(&t);
    buf_done(&text);
    arena_free(a);
    return e;
}

static void test_id_token_parse(void **state)
{
    struct arena *a = arena_new(0);
    struct id_token t;
    (void)state;
    assert_int_equal(parsed("{\"alg\":\"EdDSA\"}", "{}"), TM_OK);
    assert_int_equal(parsed("{\"alg\":\"none\"}", "{}"), TM_EUNSUPPORTED);
    assert_int_equal(parsed("{\"alg\":\"HS256\"}", "{}"), TM_EUNSUPPORTED);
    assert_int_equal(parsed("{}", "{}"), TM_EUNSUPPORTED);
    assert_int_equal(parsed("{\"alg\":\"EdDSA\",\"crit\":[\"x\"]}", "{}"), TM_EUNSUPPORTED);
    assert_int_not_equal(parsed("{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\"}", "{}"), TM_OK);
    assert_int_equal(parsed("{\"alg\":\"EdDSA\"}", "[]"), TM_EMALFORMED);
    static const char *const bad[] = {"", ".", "..", "a.b", "a.b.c.d", "e30.e30.", "e30=.e30.AA"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_not_equal(id_token_parse(&t, a, slice_str(bad[i]), NULL), TM_OK);
    arena_free(a);
}

static tm_err verified(const char *header, const char *kid, const char *use, bool broken)
{
    struct arena *a = arena_new(0);
    struct id_token t = {0};
    struct buf text;
    struct diag diag = {0};
    make(&text, header, CLAIMS(""));
    assert_int_equal(id_token_parse(&t, a, buf_slice(&text), &diag), TM_OK);
    if (broken)
        t.input = slice_sub(t.input, 0, t.input.n - 1);
    json_t *jwks = keys(kid, use);
    tm_err e = id_token_verify(&t, a, jwks, &diag);
    json_decref(jwks);
    id_token_done(&t);
    buf_done(&text);
    arena_free(a);
    return e;
}

static void test_id_token_verify(void **state)
{
    (void)state;
    assert_int_equal(verified("{\"alg\":\"EdDSA\",\"kid\":\"k\"}", "k", "sig", false), TM_OK);
    assert_int_equal(verified("{\"alg\":\"EdDSA\"}", "k", "sig", false), TM_OK);
    assert_int_equal(verified("{\"alg\":\"EdDSA\",\"kid\":\"other\"}", "k", "sig", false), TM_ENOTFOUND);
    assert_int_equal(verified("{\"alg\":\"EdDSA\",\"kid\":\"k\"}", "k", "enc", false), TM_ENOTFOUND);
    assert_int_equal(verified("{\"alg\":\"EdDSA\",\"kid\":\"k\"}", "k", "sig", true), TM_EBADSIG);
    assert_int_equal(verified("{\"alg\":\"RS256\",\"kid\":\"k\"}", "k", "sig", false), TM_EBADSIG);
}

static void test_id_token_check(void **state)
{
    static const struct {
        const char *claims, *field; /* NULL: good */
    } rows[] = {
        {CLAIMS(""), NULL},
        {CLAIMS(",\"azp\":\"touchmark\""), NULL},
        {CLAIMS(",\"azp\":\"other\""), "azp"},
        {CLAIMS(",\"nbf\":1795000059"), NULL},
        {CLAIMS(",\"nbf\":1795000061"), "nbf"},
        {"{}", "iss"},
        {"{\"iss\":\"https://idp.example.org/\"}", "iss"},
        {"{\"iss\":\"https://idp.example.org\",\"aud\":[\"a\",\"b\"]}", "aud"},
        {"{\"iss\":\"https://idp.example.org\",\"aud\":[\"a\",\"touchmark\"]}", "azp"},
        {"{\"iss\":\"https://idp.example.org\",\"aud\":\"touchmark\",\"exp\":1794999940}", "exp"},
        {"{\"iss\":\"https://idp.example.org\",\"aud\":\"touchmark\",\"exp\":\"1795000300\"}", "exp"},
        {"{\"iss\":\"https://idp.example.org\",\"aud\":\"touchmark\",\"exp\":1795000300,\"iat\":1795000061}",
         "iat"},
        {"{\"iss\":\"https://idp.example.org\",\"aud\":\"touchmark\",\"exp\":1795000300,\"iat\":1e300}",
         "iat"},
        {"{\"iss\":\"https://idp.example.org\",\"aud\":\"touchmark\",\"exp\":1795000300,\"iat\":1,\"nonce\":\"n-2\"}",
         "nonce"},
        {"{\"iss\":\"https://idp.example.org\",\"aud\":\"touchmark\",\"exp\":1795000300,\"iat\":1,\"nonce\":\"n-1\",\"sub\":\"\"}",
         "sub"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct id_token t = {.claims = json_loads(rows[i].claims, 0, NULL)};
        struct diag diag = {0};
        assert_non_null(t.claims);
        tm_err e = id_token_check(&t, &wanted, &diag);
        if (rows[i].field ? e != TM_EDENIED || strcmp(diag.field, rows[i].field) != 0 : e != TM_OK)
            fail_msg("%s: %s %s", rows[i].claims, tm_err_name(e), diag.field);
        id_token_done(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id_token_parse),
        cmocka_unit_test(test_id_token_verify),
        cmocka_unit_test(test_id_token_check),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
