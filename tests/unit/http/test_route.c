#include "base/arena.h"
#include "http/route.h"
#include "http/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static void handler(struct http_request *r) {}

enum { ANY = HTTP_LISTENER_ANY };
static const struct http_route routes[] = {
    {HTTP_M_GET, "/", handler, ANY, .metric = "root"},
    {HTTP_M_GET, "/a", handler, ANY, .metric = "a"},
    {HTTP_M_GET, "/a/", handler, ANY, .metric = "a/"},
    {HTTP_M_GET, "/a/{x}", handler, ANY, .metric = "a/x"},
    {HTTP_M_GET, "/a/b", handler, ANY, .metric = "a/b"},
    {HTTP_M_POST, "/a/b/c", handler, ANY, .metric = "a/b/c"},
    {HTTP_M_GET, "/a/{x}/c", handler, ANY, .metric = "a/x/c"},
    {HTTP_M_GET, "/a/{y}/{z}/d", handler, ANY, .metric = "a/y/z/d"},
    {HTTP_M_GET, "/r/{rest...}", handler, ANY, .metric = "rest"},
    {HTTP_M_GET, "/r/special", handler, HTTP_LISTENER_ADMIN, .metric = "special"},
    {HTTP_M_GET, "/only", handler, HTTP_LISTENER_ADMIN, .metric = "only admin"},
    {HTTP_M_GET, "/both", handler, HTTP_LISTENER_ADMIN, .metric = "both admin"},
    {HTTP_M_GET, "/both", handler, HTTP_LISTENER_PLAIN, .metric = "both plain"},
    {HTTP_M_DELETE, "/both", handler, ANY, .metric = "both delete"},
    {0},
};
static const struct http_route *const all[] = {routes, NULL};

static struct arena *arena;
static struct route_table *table;

static int up(void **state)
{
    arena = arena_new(0);
    return route_table_new(&table, all, NULL) != TM_OK;
}

static int down(void **state)
{
    route_table_free(table);
    arena_free(arena);
    return 0;
}

static const char *find(unsigned method, const char *path, unsigned kind, unsigned *methods,
                        const struct http_param **params)
{
    struct target t;
    struct route_match m = {0};
    const char *detail;
    assert_int_equal(target_parse(&t, arena, slice_str(path), &detail), TM_OK);
    tm_err err = route_find(&m, methods, table, arena, &t, (enum http_method)method, kind);
    if (err == TM_ENOTFOUND)
        return "404";
    if (err == TM_EUNSUPPORTED)
        return "405";
    assert_int_equal(err, TM_OK);
    *params = m.params;
    return m.route->metric;
}

static void test_route_find__precedence(void **state)
{
    static const struct {
        unsigned method;
        const char *path;
        unsigned kind;
        const char *metric;
    } cases[] = {
        {HTTP_M_GET, "/", HTTP_LISTENER_PLAIN, "root"},
        {HTTP_M_GET, "/a", HTTP_LISTENER_PLAIN, "a"},
        {HTTP_M_HEAD, "/a", HTTP_LISTENER_PLAIN, "a"},
        {HTTP_M_GET, "/a/", HTTP_LISTENER_PLAIN, "a/"},
        {HTTP_M_GET, "/a/b", HTTP_LISTENER_PLAIN, "a/b"},
        {HTTP_M_GET, "/a/%62", HTTP_LISTENER_PLAIN, "a/b"},
        {HTTP_M_GET, "/a/q", HTTP_LISTENER_PLAIN, "a/x"},
        {HTTP_M_POST, "/a/b/c", HTTP_LISTENER_PLAIN, "a/b/c"},
        {HTTP_M_GET, "/a/b/c", HTTP_LISTENER_PLAIN, "a/x/c"}, /* back from the literal, which has no GET */
        {HTTP_M_GET, "/a/b/c/d", HTTP_LISTENER_PLAIN, "a/y/z/d"},
        {HTTP_M_GET, "/a/b/c/e", HTTP_LISTENER_PLAIN, "404"},
        {HTTP_M_GET, "/a//c", HTTP_LISTENER_PLAIN, "404"},
        {HTTP_M_GET, "/A", HTTP_LISTENER_PLAIN, "404"},
        {HTTP_M_GET, "//a", HTTP_LISTENER_PLAIN, "404"},
        {HTTP_M_GET, "/a%2Fb", HTTP_LISTENER_PLAIN, "404"},
        {HTTP_M_GET, "/r", HTTP_LISTENER_PLAIN, "404"},
        {HTTP_M_GET, "/r/", HTTP_LISTENER_PLAIN, "rest"},
        {HTTP_M_GET, "/r/special", HTTP_LISTENER_ADMIN, "special"},
        {HTTP_M_GET, "/r/special", HTTP_LISTENER_PLAIN, "rest"},
        {HTTP_M_GET, "/r/special/x", HTTP_LISTENER_ADMIN, "rest"},
        {HTTP_M_GET, "/only", HTTP_LISTENER_ADMIN, "only admin"},
        {HTTP_M_GET, "/only", HTTP_LISTENER_PLAIN, "404"},
        {HTTP_M_POST, "/only", HTTP_LISTENER_PLAIN, "404"},
        {HTTP_M_GET, "/both", HTTP_LISTENER_PLAIN, "both plain"},
        {HTTP_M_GET, "/both", HTTP_LISTENER_ADMIN, "both admin"},
        {HTTP_M_DELETE, "/both", HTTP_LISTENER_ADMIN, "both delete"},
        {HTTP_M_GET, "/both", HTTP_LISTENER_UNIX, "405"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned methods;
        const struct http_param *params;
        assert_string_equal(find(cases[i].method, cases[i].path, cases[i].kind, &methods, &params),
                            cases[i].metric);
    }
}

static void test_route_find__methods(void **state)
{
    unsigned methods = 0;
    const struct http_param *params;
    assert_string_equal(find(HTTP_M_PUT, "/a/b/c", HTTP_LISTENER_PLAIN, &methods, &params), "405");
    assert_int_equal(methods, HTTP_M_GET | HTTP_M_HEAD | HTTP_M_POST);
    assert_string_equal(find(HTTP_M_PUT, "/both", HTTP_LISTENER_UNIX, &methods, &params), "405");
    assert_int_equal(methods, HTTP_M_DELETE);
}

static void test_route_find__params(void **state)
{
    unsigned methods;
    const struct http_param *params;
    find(HTTP_M_GET, "/a/1%2F2/3/d", HTTP_LISTENER_PLAIN, &methods, &params);
    assert_string_equal(params[0].name, "y");
    assert_string_equal(params[0].value, "1/2");
    assert_string_equal(params[1].name, "z");
    assert_string_equal(params[1].value, "3");
    assert_null(params[2].name);
    find(HTTP_M_GET, "/r/x/y%2Fz/", HTTP_LISTENER_PLAIN, &methods, &params);
    assert_string_equal(params[0].name, "rest");
    assert_string_equal(params[0].value, "x/y/z/");
    find(HTTP_M_GET, "/a", HTTP_LISTENER_PLAIN, &methods, &params);
    assert_null(params[0].name);
}

static void test_route_table_new__bad(void **state)
{
    static const struct {
        tm_err err;
        struct http_route r;
    } cases[] = {
        {TM_ECONFLICT, {HTTP_M_GET | HTTP_M_PUT, "/a/{other}", handler, HTTP_LISTENER_PLAIN}},
        {TM_ECONFLICT, {HTTP_M_GET, "/r/{all...}", handler, HTTP_LISTENER_PLAIN}},
        {TM_EINVAL, {HTTP_M_GET, "x", handler, ANY}},
        {TM_EINVAL, {HTTP_M_GET, "/n", NULL, ANY}},
        {TM_EINVAL, {0, "/n", handler, ANY}},
        {TM_EINVAL, {HTTP_M_GET, "/{rest...}/x", handler, ANY}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct http_route more[] = {cases[i].r, {0}};
        const struct http_route *const lists[] = {routes, more, NULL};
        struct route_table *t = NULL;
        struct diag d = {0};
        assert_int_equal(route_table_new(&t, lists, &d), cases[i].err);
        assert_null(t);
        assert_true(d.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route_find__precedence),
        cmocka_unit_test(test_route_find__methods),
        cmocka_unit_test(test_route_find__params),
        cmocka_unit_test(test_route_table_new__bad),
    };
    return cmocka_run_group_tests(tests, up, down);
}
