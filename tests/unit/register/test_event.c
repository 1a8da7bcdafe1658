/* Event bodies, their leaves, and reading fields back. */
#include "register_test.h"

static void assert_body(const struct event_field *fields, const char *want)
{
    struct slice body;
    assert_ok(register_event_body(&body, test_arena, fields));
    assert_bytes(body, slice_str(want));
}

static void test_register_event_body__sorts_and_escapes(void **state)
{
    static const uint8_t octets[] = {0, 1, 0xff};
    assert_body((struct event_field[]){{0}}, "{}");
    assert_body(
        (struct event_field[]){{.key = "b", .kind = EVENT_INT, .i = INT64_MIN},
                               {.key = "a", .kind = EVENT_STR, .s = SLICE_LIT("x\"\\\n\x01\u00e9")},
                               {.key = "aB", .kind = EVENT_HEX, .s = SLICE_ARR(octets)},
                               {.key = "a-b", .kind = EVENT_RAW, .s = SLICE_LIT("[1,{\"k\":null}]")},
                               {.key = "e", .kind = EVENT_STR},
                               {0}},
        "{\"a\":\"x\\\"\\\\\\n\\u0001\u00e9\",\"a-b\":[1,{\"k\":null}],\"aB\":\"0001ff\",\"b\":-9223372036854775808,"
        "\"e\":\"\"}");
}

/* Bytes that are no UTF-8 still give text that parses. */
static void test_register_event_body__is_always_json(void **state)
{
    uint8_t all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    struct slice body;
    json_t *v;
    struct event_field fields[] = {{.key = "a", .kind = EVENT_STR, .s = SLICE_ARR(all)}, {0}};
    assert_ok(register_event_body(&body, test_arena, fields));
    v = json_loadb((const char *)body.p, body.n, JSON_ALLOW_NUL, NULL);
    assert_non_null(v);
    json_decref(v);
}

static void test_register_event_body__refuses(void **state)
{
    struct slice body;
    static const char *const keys[] = {"", "A", "1a", "@time", "a b", "a\"", "\u00e9"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct event_field fields[] = {{.key = keys[i], .kind = EVENT_INT}, {0}};
        assert_err(TM_EINVAL, register_event_body(&body, test_arena, fields));
    }
    struct event_field twice[] = {{.key = "a", .kind = EVENT_INT},
                                  {.key = "b", .kind = EVENT_INT},
                                  {.key = "a", .kind = EVENT_STR},
                                  {0}};
    assert_err(TM_EINVAL, register_event_body(&body, test_arena, twice));
    struct event_field raw[] = {{.key = "a", .kind = EVENT_RAW}, {0}};
    assert_err(TM_EINVAL, register_event_body(&body, test_arena, raw));
    struct event_field many[66] = {{0}};
    for (int i = 0; i < 65; i++)
        many[i] = (struct event_field){.key = arena_printf(test_arena, "k%d", i), .kind = EVENT_INT};
    assert_err(TM_EINVAL, register_event_body(&body, test_arena, many));
    static const char big[2 << 20] = {[0] = 'a'};
    struct event_field huge[] = {{.key = "a", .kind = EVENT_STR, .s = SLICE_ARR(big)}, {0}};
    assert_err(TM_ETOOBIG, register_event_body(&body, test_arena, huge));
}

static void test_register_event_effect__commits_to_everything(void **state)
{
    struct effect e;
    struct arena *a = test_arena;
    assert_ok(register_event_effect(&e, a, 7, "x.y", "thing/\"1\"", SLICE_LIT("{\"k\":1}"), 1795219200123));
    assert_int_equal(e.kind, EFFECT_EVENT);
    assert_int_equal(e.tenant, 7);
    const struct event_row *row = &e.u.event;
    assert_int_equal(row->time, 1795219200123);
    assert_int_equal(row->salt.n, 16);
    assert_bytes(
        row->body,
        slice_str("{\"@subject\":\"thing/\\\"1\\\"\",\"@time\":1795219200123,\"@type\":\"x.y\",\"k\":1}"));
    uint8_t leaf[32];
    assert_ok(event_leaf(leaf, row->salt, row->body));
    assert_memory_equal(leaf, row->leaf, 32);

    assert_ok(register_event_effect(&e, a, 0, "x.y", NULL, SLICE_LIT("{}"), 1));
    assert_bytes(e.u.event.body, slice_str("{\"@subject\":\"\",\"@time\":1,\"@type\":\"x.y\"}"));
    assert_string_equal(e.u.event.subject, "");

    static const char *const bad[] = {"",          "{",        "[]",         "{\"@time\":1}",
                                      "{\"A\":1}", "{\"a\":1", "{ \"a\":1}", "null"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(TM_EINVAL, register_event_effect(&e, a, 0, "x.y", "", slice_str(bad[i]), 1));
}

static int salt_order(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static void test_register_event_effect__salts_differ(void **state)
{
    enum { N = 2000 };
    uint8_t *salts = arena_alloc(test_arena, N * 16);
    for (int i = 0; i < N; i++) {
        struct effect e;
        assert_ok(register_event_effect(&e, test_arena, 0, "x", "", SLICE_LIT("{}"), 1));
        memcpy(salts + (size_t)i * 16, e.u.event.salt.p, 16);
    }
    qsort(salts, N, 16, salt_order);
    for (size_t i = 1; i < N; i++)
        assert_memory_not_equal(salts + (i - 1) * 16, salts + i * 16, 16);
}

static void test_event_leaf__vectors(void **state)
{
    json_t *v = test_vectors("register"), *item;
    size_t i;
    json_array_foreach(json_object_get(v, "events"), i, item)
    {
        uint8_t leaf[32];
        assert_ok(event_leaf(leaf, test_hex(test_str(item, "salt")), slice_str(test_str(item, "body"))));
        assert_bytes(SLICE_ARR(leaf), test_hex(test_str(item, "leaf")));
    }
    json_decref(v);
}

static void assert_found(const char *body, const char *key, const char *want)
{
    struct slice v;
    bool found = register_event_find(&v, slice_str(body), key);
    assert_int_equal(found, want != NULL);
    if (found)
        assert_bytes(v, slice_str(want));
}

static void test_register_event_find__finds(void **state)
{
    static const char body[] =
        "{\"a\":{\"c\":1,\"x\":[\"}\",2]},\"b\":\"q\\\"u,o:te\\\\\",\"c\":-12,\"d\":true,\"e\":[],\"f\":null}";
    assert_found(body, "a", "{\"c\":1,\"x\":[\"}\",2]}");
    assert_found(body, "b", "\"q\\\"u,o:te\\\\\"");
    assert_found(body, "c", "-12");
    assert_found(body, "d", "true");
    assert_found(body, "e", "[]");
    assert_found(body, "f", "null");
    assert_found(body, "x", NULL);
    assert_found(body, "", NULL);
    static const char *const broken[] = {"",
                                         "{",
                                         "{}",
                                         "{\"a",
                                         "{\"a\"",
                                         "{\"a\":",
                                         "{\"a\":}",
                                         "{\"a\":\"x",
                                         "{\"b\":1",
                                         "{\"b\":1]\"a\":2}",
                                         "{\"b\":[,\"a\":2}",
                                         "[\"a\"]",
                                         "{\"b\" :1,\"a\":2}",
                                         "{\"\\"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        assert_found(broken[i], "a", NULL);
}

static void test_event_find__types(void **state)
{
    uint64_t n;
    uint8_t hash[32];
    struct slice s;
    struct slice body = slice_str(
        "{\"h\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"n\":9,\"s\":\"\",\"x\":"
        "\"E3B0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"z\":-1}");
    assert_true(event_find_number(&n, body, "n"));
    assert_int_equal(n, 9);
    assert_false(event_find_number(&n, body, "s"));
    assert_false(event_find_number(&n, body, "z"));
    assert_true(event_find_hash(hash, body, "h"));
    assert_int_equal(hash[0], 0xe3);
    assert_false(event_find_hash(hash, body, "x"));
    assert_false(event_find_hash(hash, body, "s"));
    assert_true(event_find_string(&s, body, "s"));
    assert_int_equal(s.n, 0);
    assert_false(event_find_string(&s, body, "n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REGISTER_TEST(test_register_event_body__sorts_and_escapes),
        REGISTER_TEST(test_register_event_body__is_always_json),
        REGISTER_TEST(test_register_event_body__refuses),
        REGISTER_TEST(test_register_event_effect__commits_to_everything),
        REGISTER_TEST(test_register_event_effect__salts_differ),
        REGISTER_TEST(test_event_leaf__vectors),
        REGISTER_TEST(test_register_event_find__finds),
        REGISTER_TEST(test_event_find__types),
    };
    return cmocka_run_group_tests_name("register/event", tests, NULL, NULL);
}
