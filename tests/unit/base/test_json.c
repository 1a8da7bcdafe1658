#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

struct lifetime {
    int64_t max, renew;
};
struct san {
    const char *type;
    bool critical;
};
struct sample {
    const char *name;
    int64_t count;
    bool enabled, enabled_seen;
    int algorithm;
    unsigned usage;
    struct json_strings tags;
    struct lifetime lifetime;
    struct json_objects sans;
    int64_t since;
    json_t *extra;
};

static const char *const algorithms[] = {"rsa", "ecdsa", "ed25519", NULL};
static const char *const usages[] = {"sign", "encrypt", "agree", NULL};

static const struct json_field lifetime_schema[] = {
    JSON_FIELD(struct lifetime, max, JSON_K_DURATION, .required = true, .min = 60, .max = 86400 * 90),
    JSON_FIELD(struct lifetime, renew, JSON_K_DURATION, .def = "2w"),
    {0},
};
static const struct json_field san_schema[] = {
    JSON_FIELD(struct san, type, JSON_K_STRING, .required = true, .min = 1),
    JSON_FIELD(struct san, critical, JSON_K_BOOL, .def = "true"),
    {0},
};
static const struct json_field sample_schema[] = {
    JSON_FIELD(struct sample, name, JSON_K_STRING, .required = true, .min = 2, .max = 8),
    JSON_FIELD(struct sample, count, JSON_K_INT, .min = -5, .max = 10, .def = "3"),
    JSON_FIELD(struct sample, enabled, JSON_K_BOOL, .seen_offset = offsetof(struct sample, enabled_seen) + 1),
    JSON_FIELD(struct sample, algorithm, JSON_K_ENUM, .names = algorithms, .def = "ecdsa"),
    JSON_FIELD(struct sample, usage, JSON_K_ENUMS, .names = usages, .def = "sign, agree"),
    JSON_FIELD(struct sample, tags, JSON_K_STRINGS, .max = 3, .def = "a,b"),
    JSON_FIELD(struct sample, lifetime, JSON_K_OBJECT, .sub = lifetime_schema),
    JSON_FIELD(struct sample, sans, JSON_K_OBJECTS, .sub = san_schema, .size = sizeof(struct san), .min = 1),
    JSON_FIELD(struct sample, since, JSON_K_TIME, .def = "2026-01-01"),
    JSON_FIELD(struct sample, extra, JSON_K_ANY),
    {0},
};

static tm_err bind(struct sample *out, struct arena *a, const char *text, struct diag *d)
{
    json_t *v = NULL;
    tm_err err = json_parse(&v, slice_str(text), 4096, d);
    if (err == TM_OK)
        err = json_bind(out, sample_schema, v, "", a, d);
    out->extra = NULL; /* borrowed from the document that goes now */
    json_decref(v);
    return err;
}

static void test_json_parse__refused(void **state)
{
    static const struct {
        struct slice text;
        tm_err err;
    } cases[] = {
        {SLICE_LIT(""), TM_EMALFORMED},
        {{NULL, 0}, TM_EMALFORMED},
        {SLICE_LIT("{"), TM_EMALFORMED},
        {SLICE_LIT("{} x"), TM_EMALFORMED},
        {SLICE_LIT("3"), TM_EMALFORMED},
        {SLICE_LIT("{\"a\":1,\"a\":2}"), TM_EMALFORMED},
        {SLICE_LIT("{\"a\":{\"b\":1,\"b\":2}}"), TM_EMALFORMED},
        {SLICE_LIT("{\"a\":\"\\u0000\"}"), TM_EMALFORMED},
        {SLICE_LIT("{\"a\":\"\xff\"}"), TM_EMALFORMED},
        {SLICE_LIT("{\"a\":99999999999999999999}"), TM_EMALFORMED},
        {SLICE_LIT("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"), TM_ETOOBIG},
        {SLICE_LIT("[\"0123456789012345678901234567890123456789012345678901234567890123456789\"]"),
         TM_ETOOBIG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *v = NULL;
        struct diag d = {0};
        tm_err err = json_parse(&v, cases[i].text, 70, &d);
        if (err != cases[i].err)
            fail_msg("case %zu: %s %s", i, tm_err_name(err), d.message);
        assert_null(v);
        assert_string_not_equal(d.message, "");
    }
    struct diag d = {0};
    json_t *v;
    assert_int_equal(json_parse(&v, SLICE_LIT("{\n\"a\":x}"), 70, &d), TM_EMALFORMED);
    assert_int_equal(d.offset, 7);
    assert_non_null(strstr(d.message, "line 2"));
}

static void test_json_parse__depth_counts_no_strings(void **state)
{
    json_t *v;
    assert_int_equal(
        json_parse(&v, SLICE_LIT("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"]"), 100, NULL), TM_OK);
    json_decref(v);
    assert_int_equal(json_parse(&v,
                                SLICE_LIT("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"),
                                100, NULL),
                     TM_OK);
    json_decref(v);
}

static void test_json_bind__everything(void **state)
{
    struct arena *a = arena_new(0);
    struct sample s = {0};
    struct diag d = {0};
    assert_int_equal(
        bind(&s, a,
             "{\"name\":\"na\xc3\xafve\",\"count\":-5,\"enabled\":true,\"algorithm\":\"ed25519\","
             "\"usage\":[\"encrypt\",\"sign\"],\"tags\":[\"x\",\"\",\"z\"],\"lifetime\":{\"max\":\"90d\"},"
             "\"sans\":[{\"type\":\"dns\"},{\"type\":\"ip\",\"critical\":false}],"
             "\"since\":\"2026-11-21T04:07:43Z\",\"extra\":null}",
             &d),
        TM_OK);
    assert_string_equal(s.name, "na\xc3\xafve");
    assert_int_equal(s.count, -5);
    assert_true(s.enabled && s.enabled_seen);
    assert_int_equal(s.algorithm, 2);
    assert_int_equal(s.usage, 3);
    assert_int_equal(s.tags.n, 3);
    assert_string_equal(s.tags.v[2], "z");
    assert_int_equal(s.lifetime.max, 90 * 86400);
    assert_int_equal(s.lifetime.renew, 14 * 86400);
    assert_int_equal(s.sans.n, 2);
    const struct san *sans = s.sans.v;
    assert_string_equal(sans[1].type, "ip");
    assert_true(sans[0].critical);
    assert_false(sans[1].critical);
    assert_int_equal(s.since, 1795234063);
    arena_free(a);
}

static void test_json_bind__defaults(void **state)
{
    struct arena *a = arena_new(0);
    struct sample s = {0};
    assert_int_equal(bind(&s, a, "{\"name\":\"ab\"}", NULL), TM_OK);
    assert_int_equal(s.count, 3);
    assert_false(s.enabled || s.enabled_seen);
    assert_int_equal(s.algorithm, 1);
    assert_int_equal(s.usage, 5);
    assert_int_equal(s.tags.n, 2);
    assert_string_equal(s.tags.v[1], "b");
    assert_int_equal(s.lifetime.max, 0); /* required of an object that is there, not of an absent one */
    assert_int_equal(s.lifetime.renew, 14 * 86400);
    assert_int_equal(s.sans.n, 0);
    assert_int_equal(s.since, 1767225600);
    arena_free(a);
}

static void test_json_bind__refused(void **state)
{
    static const struct {
        const char *text, *field, *message;
    } cases[] = {
        {"[]", "", "must be an object, not a list"},
        {"{}", "/name", "is required"},
        {"{\"name\":3}", "/name", "must be a string, not a number"},
        {"{\"name\":null}", "/name", "must be a string, not null"},
        {"{\"name\":\"a\"}", "/name", "must be at least 2 bytes"},
        {"{\"name\":\"123456789\"}", "/name", "must not be longer than 8 bytes"},
        {"{\"name\":\"ab\",\"cuont\":3}", "/cuont", "unknown key \"cuont\"; did you mean \"count\"?"},
        {"{\"name\":\"ab\",\"a/b~c\":3}", "/a~1b~0c", "unknown key \"a/b~c\""},
        {"{\"name\":\"ab\",\"\\u001b[2J\":3}", "/?[2J", "unknown key \"?[2J\""},
        {"{\"name\":\"ab\",\"count\":11}", "/count", "must be between -5 and 10"},
        {"{\"name\":\"ab\",\"count\":1.0}", "/count", "must be a whole number, not a number"},
        {"{\"name\":\"ab\",\"enabled\":\"yes\"}", "/enabled", "must be true or false, not a string"},
        {"{\"name\":\"ab\",\"algorithm\":\"ed25518\"}", "/algorithm",
         "\"ed25518\" is not known; did you mean \"ed25519\"?"},
        {"{\"name\":\"ab\",\"algorithm\":\"magic\"}", "/algorithm", "must be one of: rsa, ecdsa, ed25519"},
        {"{\"name\":\"ab\",\"usage\":\"sign\"}", "/usage", "must be a list, not a string"},
        {"{\"name\":\"ab\",\"usage\":[\"sign\",\"sign\"]}", "/usage/1", "\"sign\" is named twice"},
        {"{\"name\":\"ab\",\"usage\":[1]}", "/usage/0", "must be a string, not a number"},
        {"{\"name\":\"ab\",\"tags\":[\"1\",\"2\",\"3\",\"4\"]}", "/tags",
         "must not have more than 3 members"},
        {"{\"name\":\"ab\",\"tags\":[\"1\",true]}", "/tags/1", "must be a string, not a boolean"},
        {"{\"name\":\"ab\",\"lifetime\":{}}", "/lifetime/max", "is required"},
        {"{\"name\":\"ab\",\"lifetime\":{\"max\":\"100d\"}}", "/lifetime/max", "must be between 1m and 90d"},
        {"{\"name\":\"ab\",\"lifetime\":{\"max\":\"never\"}}", "/lifetime/max", "must be between 1m and 90d"},
        {"{\"name\":\"ab\",\"lifetime\":{\"max\":\"soon\"}}", "/lifetime/max",
         "must be a duration such as \"90m\", \"47d\" or \"1y\", or \"never\""},
        {"{\"name\":\"ab\",\"lifetime\":7}", "/lifetime", "must be an object, not a number"},
        {"{\"name\":\"ab\",\"sans\":[]}", "/sans", "must not be empty"},
        {"{\"name\":\"ab\",\"sans\":[{\"type\":\"dns\"},{\"type\":\"\"}]}", "/sans/1/type",
         "must not be empty"},
        {"{\"name\":\"ab\",\"sans\":[{\"typ\":\"dns\"}]}", "/sans/0/typ",
         "unknown key \"typ\"; did you mean \"type\"?"},
        {"{\"name\":\"ab\",\"since\":\"2026-02-30\"}", "/since",
         "must be a time such as \"2026-11-21T04:07:43Z\" or a date that exists"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *a = arena_new(0);
        struct sample s = {0};
        struct diag d = {0};
        tm_err err = bind(&s, a, cases[i].text, &d);
        if (err != TM_EINVAL || strcmp(d.field, cases[i].field) != 0 ||
            strcmp(d.message, cases[i].message) != 0)
            fail_msg("%s: %s %s: %s", cases[i].text, tm_err_name(err), d.field, d.message);
        arena_free(a);
    }
}

static void test_json_bind__prefix_and_long_path(void **state)
{
    struct arena *a = arena_new(0);
    struct sample s = {0};
    struct diag d = {0};
    char key[301];
    memset(key, 'k', 300);
    key[300] = '\0';
    json_t *v = json_pack("{s:s, s:i}", "name", "ab", key, 1);
    assert_int_equal(json_bind(&s, sample_schema, v, "/spec", a, &d), TM_EINVAL);
    assert_int_equal(strlen(d.field), sizeof d.field - 1);
    assert_memory_equal(d.field, "/spec/kkk", 9);
    json_decref(v);
    arena_free(a);
}

static void test_json_bind__arena_too_small(void **state)
{
    struct arena *a = arena_new(16);
    struct sample s = {0};
    struct diag d = {0};
    assert_int_equal(bind(&s, a, "{\"name\":\"ab\"}", &d), TM_ETOOBIG);
    arena_free(a);
}

static void test_json_texts__what_is_none(void **state)
{
    struct arena *a = arena_new(0);
    json_t *v = NULL;
    const char *const *texts = NULL;
    size_t n = 7;
    assert_int_equal(json_parse(&v, SLICE_LIT("[\"a\",3,\"\"]"), 100, NULL), TM_OK);
    assert_int_equal(json_texts(&texts, &n, a, v), TM_OK);
    json_decref(v);
    assert_int_equal(n, 3);
    assert_string_equal(texts[0], "a");
    assert_string_equal(texts[1], "");
    assert_string_equal(texts[2], "");
    assert_int_equal(json_texts(&texts, &n, a, NULL), TM_OK);
    assert_int_equal(n, 0);
    arena_free(a);
}

static void test_buf_put_json__sorted(void **state)
{
    json_t *v;
    struct buf b;
    assert_int_equal(json_parse(&v, SLICE_LIT("{\"b\":[1,2.5,null],\"a\":\"\xc3\xa4\"}"), 100, NULL), TM_OK);
    buf_init(&b, 100);
    buf_put_json(&b, v, false);
    assert_string_equal(buf_str(&b), "{\"a\":\"\xc3\xa4\",\"b\":[1,2.5,null]}");
    buf_reset(&b);
    buf_put_json(&b, json_object_get(v, "b"), true);
    assert_string_equal(buf_str(&b), "[\n  1,\n  2.5,\n  null\n]");
    buf_done(&b);
    buf_init(&b, 8);
    buf_put_json(&b, v, false);
    assert_int_equal(buf_err(&b), TM_ETOOBIG);
    buf_done(&b);
    json_decref(v);
}

/* Every allocation of jansson fails in turn: an error, and nothing is lost. Where jansson's lexer runs out, it takes the token
 * for a wrong one, so that we cannot always say that memory was the reason. */
static int allowed;

static void *scarce_malloc(size_t n)
{
    return allowed-- > 0 ? malloc(n) : NULL;
}

static void test_json__out_of_memory(void **state)
{
    json_set_alloc_funcs(scarce_malloc, free);
    tm_err err = TM_ENOMEM;
    for (int n = 0; n < 200 && err != TM_OK; n++) {
        json_t *v = NULL;
        struct diag d = {0};
        struct buf b;
        buf_init(&b, 1000);
        allowed = n;
        err = json_parse(&v, SLICE_LIT("{\"a\":[\"x\",{\"y\":3.5}],\"b\":17}"), 100, &d);
        if (err == TM_OK) {
            buf_put_json(&b, v, false);
            err = buf_err(&b);
        }
        if (err != TM_OK && err != TM_ENOMEM && err != TM_EMALFORMED)
            fail_msg("%d allocations: %s %s", n, tm_err_name(err), d.message);
        json_decref(v);
        buf_done(&b);
    }
    json_set_alloc_funcs(malloc, free);
    assert_int_equal(err, TM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_parse__refused),
        cmocka_unit_test(test_json_parse__depth_counts_no_strings),
        cmocka_unit_test(test_json_bind__everything),
        cmocka_unit_test(test_json_bind__defaults),
        cmocka_unit_test(test_json_bind__refused),
        cmocka_unit_test(test_json_bind__prefix_and_long_path),
        cmocka_unit_test(test_json_bind__arena_too_small),
        cmocka_unit_test(test_json_texts__what_is_none),
        cmocka_unit_test(test_buf_put_json__sorted),
        cmocka_unit_test(test_json__out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
