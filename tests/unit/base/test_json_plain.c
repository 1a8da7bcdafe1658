#include "base/arena.h"
#include "base/json_plain.h"
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

struct inner {
    const char *type;
    int64_t n;
    bool on;
};
struct sample {
    const char *name, *other;
    int64_t count, weight;
    bool flag, flag_seen;
    int state;
    struct json_strings texts;
    struct inner object;
    struct json_objects objects;
};

static const char *const states[] = {"pending", "valid", NULL};
static const struct json_field inner_schema[] = {
    JSON_FIELD(struct inner, type, JSON_K_STRING, .required = true),
    JSON_FIELD(struct inner, n, JSON_K_INT, .def = "7"),
    JSON_FIELD(struct inner, on, JSON_K_BOOL),
    {0},
};
static const struct json_field schema[] = {
    JSON_FIELD(struct sample, name, JSON_K_STRING, .required = true, .min = 1, .max = 8),
    JSON_FIELD(struct sample, other, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct sample, count, JSON_K_INT),
    JSON_FIELD(struct sample, weight, JSON_K_INT, .min = -5, .max = 10),
    JSON_FIELD(struct sample, flag, JSON_K_BOOL, .seen_offset = offsetof(struct sample, flag_seen) + 1),
    JSON_FIELD(struct sample, state, JSON_K_ENUM, .names = states),
    JSON_FIELD(struct sample, texts, JSON_K_STRINGS, .max = 3),
    JSON_FIELD(struct sample, object, JSON_K_OBJECT, .sub = inner_schema),
    JSON_FIELD(struct sample, objects, JSON_K_OBJECTS, .sub = inner_schema, .size = sizeof(struct inner)),
    {0},
};

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

static void assert_inner(const struct inner *a, const struct inner *b)
{
    assert_int_equal(a->type == NULL, b->type == NULL);
    if (a->type)
        assert_string_equal(a->type, b->type);
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->on, b->on);
}

/* As the document's way has it. */
static void assert_same(const struct sample *x, const char *text, struct arena *a)
{
    struct sample y = {0};
    struct diag diag = {0};
    json_t *doc = NULL;
    assert_int_equal(json_parse(&doc, slice_str(text), 4096, &diag), TM_OK);
    assert_int_equal(json_bind(&y, schema, doc, "", a, &diag), TM_OK);
    json_decref(doc);
    assert_string_equal(x->name, y.name);
    assert_string_equal(x->other, y.other);
    assert_int_equal(x->count, y.count);
    assert_int_equal(x->weight, y.weight);
    assert_int_equal(x->flag, y.flag);
    assert_int_equal(x->flag_seen, y.flag_seen);
    assert_int_equal(x->state, y.state);
    assert_int_equal(x->texts.n, y.texts.n);
    for (size_t i = 0; i < y.texts.n; i++)
        assert_string_equal(x->texts.v[i], y.texts.v[i]);
    assert_inner(&x->object, &y.object);
    assert_int_equal(x->objects.n, y.objects.n);
    for (size_t i = 0; i < y.objects.n; i++)
        assert_inner((const struct inner *)x->objects.v + i, (const struct inner *)y.objects.v + i);
}

static void test_json_bind_plain__as_the_document(void **state)
{
    static const char *const good[] = {
        "{\"name\":\"a\"}",
        " { \"count\" : -12 ,\n\"name\"\t:\"x y\" } ",
        "{\"name\":\"a\",\"count\":0,\"weight\":-5,\"flag\":true,\"state\":\"valid\"}",
        "{\"name\":\"a\",\"count\":999999999999999999,\"flag\":false,\"other\":\"\"}",
        "{\"name\":\"a\",\"texts\":[]}",
        "{\"name\":\"a\",\"texts\":[ \"[\" , \"}\",\",\" ]}",
        "{\"name\":\"a\",\"object\":{\"type\":\"t\",\"on\":true}}",
        "{\"objects\":[{\"type\":\"t\"},{\"n\":1,\"type\":\"u\"} , {\"type\":\"]\"}],\"name\":\"a\"}",
        "{\"name\":\"a\",\"objects\":[ ]}",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct sample x = {0};
        if (!json_bind_plain(&x, schema, slice_str(good[i]), *state))
            fail_msg("%s", good[i]);
        assert_same(&x, good[i], *state);
    }
}

static void test_json_bind_plain__left_to_the_document(void **state)
{
    static const char *const left[] = {
        "",
        "{}",
        "[]",
        "{\"name\":\"\"}",
        "{\"name\":\"123456789\"}",
        "{\"name\":\"a\",\"name\":\"a\"}",
        "{\"name\":\"a\",\"unknown\":1}",
        "{\"name\":\"\\u0041\"}",
        "{\"name\":\"\xc3\xa4\"}",
        "{\"name\":\"a\tb\"}",
        "{\"name\":\"a\"} x",
        "{\"name\":\"a\"}{",
        "{\"name\":\"a\",}",
        "{\"name\":\"a\",\"count\":01}",
        "{\"name\":\"a\",\"count\":-0}",
        "{\"name\":\"a\",\"count\":1.0}",
        "{\"name\":\"a\",\"count\":1e3}",
        "{\"name\":\"a\",\"count\":- 1}",
        "{\"name\":\"a\",\"count\":-}",
        "{\"name\":\"a\",\"count\":9999999999999999999}",
        "{\"name\":\"a\",\"count\":\"1\"}",
        "{\"name\":\"a\",\"weight\":11}",
        "{\"name\":\"a\",\"flag\":null}",
        "{\"name\":\"a\",\"flag\":truer}",
        "{\"name\":\"a\",\"state\":\"none\"}",
        "{\"name\":\"a\",\"texts\":[\"1\",\"2\",\"3\",\"4\"]}",
        "{\"name\":\"a\",\"texts\":[\"1\",]}",
        "{\"name\":\"a\",\"texts\":[\"1\" \"2\"]}",
        "{\"name\":\"a\",\"texts\":[\"1\"}",
        "{\"name\":\"a\",\"texts\":[\"1",
        "{\"name\":\"a\",\"texts\":[[\"1\"]]}",
        "{\"name\":\"a\",\"object\":{}}",
        "{\"name\":\"a\",\"objects\":[{\"type\":\"t\"},{}]}",
        "{\"name\":\"a\",\"objects\":[{\"type\":\"t\"}",
    };
    static const struct sample nothing;
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        struct sample x = {0};
        if (json_bind_plain(&x, schema, slice_str(left[i]), *state))
            fail_msg("%s", left[i]);
        if (memcmp(&x, &nothing, sizeof x) != 0)
            fail_msg("%s leaves something", left[i]);
    }
}

static void test_json_bind_plain__no_memory(void **state)
{
    (void)state;
    struct arena *a = arena_new(16);
    struct sample x = {0};
    assert_false(
        json_bind_plain(&x, schema, SLICE_LIT("{\"other\":\"0123456789abcdef\",\"name\":\"a\"}"), a));
    assert_null(x.other);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_json_bind_plain__as_the_document, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_bind_plain__left_to_the_document, setup, teardown),
        cmocka_unit_test(test_json_bind_plain__no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
