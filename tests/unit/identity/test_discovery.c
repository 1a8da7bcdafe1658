#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "identity/discovery.h"
#include <cmocka.h>
#include <string.h>

static tm_err reads(struct provider_config *ret, struct arena *a, json_t *doc, struct diag *diag)
{
    assert_non_null(doc);
    *diag = (struct diag){0};
    tm_err e = discovery_read(ret, a, "https://idp.example.org", doc, diag);
    json_decref(doc);
    return e;
}

static json_t *document(const char *issuer, const char *token, const char *logout)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "issuer", issuer, "authorization_endpoint",
                     "https://idp.example.org/a?x=1", "token_endpoint", token, "jwks_uri",
                     "https://keys.example.org/k", "end_session_endpoint", logout);
}

static void test_discovery_read__addresses(void **state)
{
    static const char *const bad[] = {"http://idp.example.org/t",      "https://idp.example.org/t\r\nX: y",
                                      "https://idp.example.org/t u",   "https://idp.example.org/t\x01",
                                      "https://idp.example.org/t\x7f", "https://idp.example.org/\xc3\xa9",
                                      "https://idp.example.org/#t",    "javascript:https://x",
                                      "https://idp.example.org/{t}",   ""};
    struct arena *a = arena_new(0);
    struct provider_config c;
    struct diag diag;
    (void)state;
    assert_int_equal(reads(&c, a,
                           document("https://idp.example.org", "https://idp.example.org/t", "https://x/out"),
                           &diag),
                     TM_OK);
    assert_string_equal(c.authorization, "https://idp.example.org/a?x=1");
    assert_string_equal(c.token, "https://idp.example.org/t");
    assert_string_equal(c.jwks, "https://keys.example.org/k");
    assert_string_equal(c.logout, "https://x/out");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(reads(&c, a, document("https://idp.example.org", bad[i], "https://x/out"), &diag),
                         TM_EUNAVAIL);
        /* that of logging out is of use, no more */
        assert_int_equal(
            reads(&c, a, document("https://idp.example.org", "https://idp.example.org/t", bad[i]), &diag),
            TM_OK);
        assert_string_equal(c.logout, "");
    }
    arena_free(a);
}

static void test_discovery_read__another_issuer(void **state)
{
    struct arena *a = arena_new(0);
    struct provider_config c;
    struct diag diag;
    (void)state;
    assert_int_equal(reads(&c, a, document("https://idp.example.org/", "https://x/t", "https://x/"), &diag),
                     TM_EUNAVAIL);
    assert_non_null(strstr(diag.message, "another name"));
    assert_int_equal(reads(&c, a, json_object(), &diag), TM_EUNAVAIL);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discovery_read__addresses),
        cmocka_unit_test(test_discovery_read__another_issuer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
