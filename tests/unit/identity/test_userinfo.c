#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "identity/provider.h"
#include "identity/userinfo.h"
#include <cmocka.h>
#include <string.h>

static json_t *object(const char *text)
{
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    return o;
}

static void test_userinfo_wanted__what_rules_ask_for(void **state)
{
    (void)state;
    struct provider_rule rules[] = {
        {.claim = "groups", .value = "x", .principal = "", .tenant = "", .owner_of = "{department}"},
        {.claim = "email", .value = "y", .principal = "p", .tenant = "", .owner_of = ""}};
    struct provider p = {.doc = {.name = "corp", .name_claim = "preferred_username"}};
    struct arena *a = arena_new(0);
    static const struct {
        const char *claims;
        bool wanted;
    } cases[] = {
        {"{\"preferred_username\":\"a\",\"groups\":[],\"email\":\"e\",\"department\":\"d\"}", false},
        {"{\"preferred_username\":\"a\",\"groups\":[],\"email\":\"e\"}", true},
        {"{\"preferred_username\":\"a\",\"groups\":[],\"department\":\"d\"}", true},
        {"{\"groups\":[],\"email\":\"e\",\"department\":\"d\"}", true},
        {"{\"preferred_username\":\"a\",\"groups\":null,\"email\":\"e\",\"department\":\"d\"}", true},
    };
    assert_non_null(a);
    p.doc.rules.v = rules;
    p.doc.rules.n = 2;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *claims = object(cases[i].claims);
        assert_int_equal(userinfo_wanted(a, &p, claims), cases[i].wanted);
        json_decref(claims);
    }
    arena_free(a);
}

static void test_userinfo_merge__adds_what_is_missing(void **state)
{
    (void)state;
    struct diag diag = {0};
    json_t *claims = object("{\"sub\":\"s\",\"email\":\"mine\",\"groups\":null,\"iss\":\"i\"}"),
           *info = object(
               "{\"sub\":\"s\",\"email\":\"theirs\",\"groups\":[\"a\"],\"acr\":\"high\",\"amr\":[\"hwk\"],"
               "\"nonce\":\"n\",\"department\":\"d\"}"),
           *good = object(
               "{\"sub\":\"s\",\"email\":\"mine\",\"groups\":[\"a\"],\"iss\":\"i\",\"department\":\"d\"}");
    assert_int_equal(userinfo_merge(claims, info, &diag), TM_OK);
    assert_true(json_equal(claims, good));
    json_decref(claims);
    json_decref(info);
    json_decref(good);
}

static void test_userinfo_merge__of_somebody_else(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"sub\":\"other\",\"groups\":[\"a\"]}", "{\"groups\":[\"a\"]}",
                                      "{\"sub\":7}", "[]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct diag diag = {0};
        json_t *claims = object("{\"sub\":\"s\"}"), *info = object(bad[i]);
        assert_int_equal(userinfo_merge(claims, info, &diag), TM_EDENIED);
        assert_string_equal(diag.rule, "OpenID Connect Core 5.3.4");
        assert_int_equal(json_object_size(claims), 1);
        json_decref(claims);
        json_decref(info);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_userinfo_wanted__what_rules_ask_for),
        cmocka_unit_test(test_userinfo_merge__adds_what_is_missing),
        cmocka_unit_test(test_userinfo_merge__of_somebody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
