/* The API over a house in this process: routes, roles, problems, and the resources one after the other. */
#include "../authority/home_test.h"
#include "api/api.h"
#include "api/problem.h"

static struct house *house;

static int setup(void **state)
{
    (void)state;
    test_dir_make();
    make_home_with(&(struct init_config){0});
    house = open_home();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    house_close(house);
    free_home();
    test_dir_remove();
    return 0;
}

/* One call; the answer as JSON (or NULL) that the caller gives back, its status in *ret_status. */
static json_t *call(int *ret_status, unsigned roles, enum http_method method, const char *path,
                    const struct http_param *query, const char *content_type, const char *body)
{
    struct api_call c = {
        .house = house,
        .catalog = house_catalog(house),
        .arena = arena_new(64 << 20),
        .request_id = "test",
        .principal = roles ? "local:tester" : NULL,
        .roles = roles,
        .method = method,
        .path = path,
        .query = query,
        .content_type = content_type,
        .body = slice_str(body),
        .peer = "unix:0",
    };
    buf_init(&c.out, 64 << 20);
    c.tenant = catalog_tenant(c.catalog, "default");
    assert_non_null(c.tenant);
    api_dispatch(&c);
    *ret_status = c.status;
    json_t *doc = NULL;
    if (c.out.n && strstr(c.answer_type, "json"))
        assert_int_equal(json_parse(&doc, buf_slice(&c.out), 64 << 20, NULL), TM_OK);
    buf_done(&c.out);
    catalog_unref(c.catalog);
    arena_free(c.arena);
    return doc;
}

static void expect(int status, unsigned roles, enum http_method method, const char *path, const char *body)
{
    int got;
    json_t *doc = call(&got, roles, method, path, NULL, "application/json", body);
    if (got != status)
        fail_msg("%s: %d, not %d: %s", path, got, status, json_string_value(json_object_get(doc, "detail")));
    json_decref(doc);
}

static json_t *good(unsigned roles, enum http_method method, const char *path, const struct http_param *query,
                    const char *type, const char *body)
{
    int got;
    json_t *doc = call(&got, roles, method, path, query, type, body);
    if (got >= 300)
        fail_msg("%s: %d: %s", path, got, json_string_value(json_object_get(doc, "detail")));
    return doc;
}

static void test_api_dispatch__problems(void **state)
{
    (void)state;
    expect(404, ROLE_ADMIN, HTTP_M_GET, "/api/v1/nothing", "");
    expect(405, ROLE_ADMIN, HTTP_M_DELETE, "/api/v1/certificates", "");
    expect(401, 0, HTTP_M_GET, "/api/v1/certificates", "");
    expect(403, ROLE_AUDITOR, HTTP_M_POST, "/api/v1/tokens", "{}");
    expect(404, ROLE_AUDITOR, HTTP_M_GET, "/api/v1/certificates/00112233445566778899aabbccddeeff", "");
    expect(422, ROLE_AUDITOR, HTTP_M_GET, "/api/v1/certificates/xyz", "");
    int status;
    json_t *doc = call(&status, ROLE_ADMIN, HTTP_M_PUT, "/api/v1/devices/x", NULL, NULL, "{\"colour\":1}");
    assert_int_equal(status, 422);
    assert_int_equal(json_integer_value(json_object_get(doc, "status")), 422);
    assert_string_equal(json_string_value(json_object_get(doc, "field")), "/colour");
    assert_string_equal(json_string_value(json_object_get(doc, "request_id")), "test");
    json_decref(doc);
}

static void test_devices__life(void **state)
{
    (void)state;
    expect(201, ROLE_OPERATOR, HTTP_M_PUT, "/api/v1/devices/gw-1", "{\"model\":\"M1\",\"owner\":\"plant\"}");
    expect(200, ROLE_OPERATOR, HTTP_M_PUT, "/api/v1/devices/gw-1", "{\"tags\":{\"line\":\"3\"}}");
    json_t *doc = good(ROLE_AUDITOR, HTTP_M_GET, "/api/v1/devices/gw-1", NULL, NULL, "");
    assert_string_equal(json_string_value(json_object_get(doc, "state")), "made");
    assert_string_equal(json_string_value(json_object_get(doc, "model")), "M1");
    assert_int_equal(json_integer_value(json_object_get(doc, "version")), 2);
    json_decref(doc);
    expect(200, ROLE_OPERATOR, HTTP_M_POST, "/api/v1/devices/gw-1/state", "{\"state\":\"operating\"}");
    expect(409, ROLE_OPERATOR, HTTP_M_POST, "/api/v1/devices/gw-1/state", "{\"state\":\"made\"}");
    expect(200, ROLE_OPERATOR, HTTP_M_POST, "/api/v1/devices/gw-1/state",
           "{\"state\":\"retired\",\"why\":\"old\"}");
    expect(404, ROLE_OPERATOR, HTTP_M_POST, "/api/v1/devices/none/state", "{\"state\":\"made\"}");
}

static void count(const char *text, int created, int unchanged, int failures)
{
    json_t *doc = good(ROLE_OPERATOR, HTTP_M_POST, "/api/v1/devices/import", NULL, "text/csv", text);
    assert_int_equal(json_integer_value(json_object_get(doc, "created")), created);
    assert_int_equal(json_integer_value(json_object_get(doc, "unchanged")), unchanged);
    assert_int_equal(json_integer_value(json_object_get(doc, "failures")), failures);
    json_decref(doc);
}

static void test_devices_import__again_changes_nothing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_puts(&b, "id,model,tag.line\n");
    for (int i = 0; i < 1200; i++)
        buf_printf(&b, "imp-%d,M2,7\n", i);
    buf_puts(&b, "a/b,M2,7\n");
    count(buf_str(&b), 1200, 0, 1);
    count(buf_str(&b), 0, 1200, 1);
    buf_done(&b);
}

static void test_tokens__made_listed_revoked(void **state)
{
    (void)state;
    json_t *doc = good(ROLE_OPERATOR, HTTP_M_POST, "/api/v1/tokens", NULL, NULL,
                       "{\"endpoint\":\"servers\",\"names\":[\"DNS:a.example.org\"],\"ttl\":\"1h\"}");
    char path[200];
    snprintf(path, sizeof path, "/api/v1/tokens/%s", json_string_value(json_object_get(doc, "id")));
    assert_non_null(json_object_get(doc, "secret"));
    json_decref(doc);
    expect(403, ROLE_OPERATOR, HTTP_M_POST, "/api/v1/tokens", "{\"type\":\"api\",\"principal\":\"admin\"}");
    doc = good(ROLE_AUDITOR, HTTP_M_GET, "/api/v1/tokens", NULL, NULL, "");
    assert_true(json_array_size(json_object_get(doc, "items")) >= 1);
    json_decref(doc);
    expect(204, ROLE_OPERATOR, HTTP_M_DELETE, path, "");
}

static void test_certificates__found_held_released_revoked(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct issue_request *r = issue_leaf(a, house, "api.example.org");
    char serial[2 * CERT_SERIAL_LEN + 1], path[200];
    hex_encode(serial, SLICE_ARR(r->serial));
    const struct http_param by_cn[] = {{"cn", "API.example.org"}, {0}};
    json_t *doc = good(ROLE_AUDITOR, HTTP_M_GET, "/api/v1/certificates", by_cn, NULL, "");
    json_t *items = json_object_get(doc, "items");
    assert_int_equal(json_array_size(items), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(items, 0), "serial")), serial);
    json_decref(doc);
    snprintf(path, sizeof path, "/api/v1/certificates/%s/revoke", serial);
    expect(403, ROLE_OWNER, HTTP_M_POST, path, "{\"reason\":\"keyCompromise\"}");
    expect(200, ROLE_OPERATOR, HTTP_M_POST, path, "{\"reason\":\"certificateHold\"}");
    snprintf(path, sizeof path, "/api/v1/certificates/%s/release", serial);
    expect(200, ROLE_OPERATOR, HTTP_M_POST, path, "");
    snprintf(path, sizeof path, "/api/v1/certificates/%s/revoke", serial);
    expect(200, ROLE_OPERATOR, HTTP_M_POST, path, "{\"reason\":\"keyCompromise\",\"comment\":\"lost\"}");
    expect(409, ROLE_OPERATOR, HTTP_M_POST, path, "{\"reason\":\"keyCompromise\"}");
    snprintf(path, sizeof path, "/api/v1/register/certificate-proofs/%s", serial);
    struct diag diag = {0};
    CHECK_OK(house_sequence(house, &diag), diag);
    json_decref(good(ROLE_AUDITOR, HTTP_M_GET, path, NULL, NULL, ""));
    arena_free(a);
}

static void test_devices__retiring_revokes(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    expect(201, ROLE_OPERATOR, HTTP_M_PUT, "/api/v1/devices/gw-2", "{}");
    const char *const names[] = {"gw-2.example.org"};
    struct buf pem, body;
    buf_init(&pem, 1 << 16);
    buf_init(&body, 1 << 16);
    buf_put_pem(&pem, "CERTIFICATE REQUEST", make_csr(a, "CN=gw-2.example.org", names, 1));
    buf_puts(&body, "{\"device\":\"gw-2\",\"profile\":\"server-internal-1y\",\"csr\":");
    buf_put_json_string(&body, buf_slice(&pem));
    buf_puts(&body, "}");
    json_decref(good(ROLE_ADMIN, HTTP_M_POST, "/api/v1/enroll", NULL, "application/json", buf_str(&body)));
    json_t *doc =
        good(ROLE_OPERATOR, HTTP_M_POST, "/api/v1/devices/gw-2/state", NULL, NULL, "{\"state\":\"retired\"}");
    assert_int_equal(json_integer_value(json_object_get(doc, "revoked")), 1);
    json_decref(doc);
    doc = good(ROLE_AUDITOR, HTTP_M_GET, "/api/v1/devices/gw-2", NULL, NULL, "");
    const json_t *held = json_array_get(json_object_get(doc, "certificates"), 0);
    assert_string_equal(json_string_value(json_object_get(held, "reason")), "cessationOfOperation");
    json_decref(doc);
    buf_done(&pem);
    buf_done(&body);
    arena_free(a);
}

static void test_api__everything_that_reads_answers(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/api/v1/status",       "/api/v1/certificates",    "/api/v1/devices",
        "/api/v1/requests",     "/api/v1/register/events", "/api/v1/register/key",
        "/api/v1/trust-bundle", "/api/v1/openapi.json",    "/api/v1/authorities/issuing-ca/chain"};
    struct diag diag = {0};
    CHECK_OK(house_sequence(house, &diag), diag);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int status;
        json_decref(call(&status, ROLE_ADMIN, HTTP_M_GET, paths[i], NULL, NULL, ""));
        if (status != 200)
            fail_msg("%s: %d", paths[i], status);
    }
    json_t *doc = good(ROLE_AUDITOR, HTTP_M_POST, "/api/v1/register/verify", NULL, NULL, "");
    assert_true(json_is_true(json_object_get(doc, "ok")));
    json_decref(doc);
}

static void test_api_openapi__has_every_route(void **state)
{
    (void)state;
    json_t *doc = good(0, HTTP_M_GET, "/api/v1/openapi.json", NULL, NULL, "");
    const json_t *paths = json_object_get(doc, "paths");
    for (const struct api_route *const *group = api_routes; *group; group++)
        for (const struct api_route *r = *group; r->pattern; r++)
            assert_non_null(json_object_get(paths, r->pattern + strlen("/api/v1")));
    assert_string_equal(json_string_value(json_object_get(doc, "openapi")), "3.1.0");
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_api_dispatch__problems),
        cmocka_unit_test(test_devices__life),
        cmocka_unit_test(test_devices_import__again_changes_nothing),
        cmocka_unit_test(test_tokens__made_listed_revoked),
        cmocka_unit_test(test_certificates__found_held_released_revoked),
        cmocka_unit_test(test_devices__retiring_revokes),
        cmocka_unit_test(test_api__everything_that_reads_answers),
        cmocka_unit_test(test_api_openapi__has_every_route),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
