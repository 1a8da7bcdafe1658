#include "base/arena.h"
#include "base/buf.h"
#include "cli/yaml.h"
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

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

static json_t *one(struct arena *a, const char *text, struct yaml_doc *ret)
{
    struct yaml_doc *docs;
    size_t n;
    struct diag diag = {0};
    if (yaml_load(&docs, &n, a, slice_str(text), &diag) != TM_OK)
        fail_msg("%s: %s", diag.field, diag.message);
    assert_int_equal(n, 1);
    if (ret)
        *ret = docs[0];
    return docs[0].value;
}

static void refused(struct arena *a, const char *text, const char *where)
{
    struct yaml_doc *docs;
    size_t n;
    struct diag diag = {0};
    assert_int_equal(yaml_load(&docs, &n, a, slice_str(text), &diag), TM_EMALFORMED);
    assert_string_equal(diag.field, where);
    assert_int_equal(n, 0);
}

static void test_yaml_load__core_schema(void **state)
{
    json_t *v = one(
        *state, "a: 1\nb: -7\nc: 1.5\nd: true\ne: ~\nf: yes\ng: \"1\"\nh: 1.2.3\ni: 47d\nj: .5e3\nk: 0o7\n",
        NULL);
    assert_int_equal(json_integer_value(json_object_get(v, "a")), 1);
    assert_int_equal(json_integer_value(json_object_get(v, "b")), -7);
    assert_true(json_is_real(json_object_get(v, "c")));
    assert_true(json_is_true(json_object_get(v, "d")));
    assert_true(json_is_null(json_object_get(v, "e")));
    static const char *const strings[] = {"f", "g", "h", "i", "k"};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        assert_true(json_is_string(json_object_get(v, strings[i])));
    assert_true(json_is_real(json_object_get(v, "j")));
    json_decref(v);
}

static void test_yaml_load__many_documents(void **state)
{
    struct yaml_doc *docs;
    size_t n;
    struct diag diag = {0};
    assert_int_equal(yaml_load(&docs, &n, *state, SLICE_LIT("---\na: 1\n---\n---\n{\"b\": [1, 2]}\n"), &diag),
                     TM_OK);
    assert_int_equal(n, 2);
    assert_int_equal(json_array_size(json_object_get(docs[1].value, "b")), 2);
    for (size_t i = 0; i < n; i++)
        json_decref(docs[i].value);
    assert_int_equal(yaml_load(&docs, &n, *state, SLICE_LIT(""), &diag), TM_OK);
    assert_int_equal(n, 0);
}

static void test_yaml_load__refuses(void **state)
{
    refused(*state, "a: 1\na: 2\n", "2:1");
    refused(*state, "a: &x 1\n", "1:4");
    refused(*state, "a: *x\n", "1:4");
    refused(*state, "a: !!str 1\n", "1:4");
    refused(*state, "<<: {b: 1}\n", "1:1");
    refused(*state, "? [a]\n: 1\n", "1:3");
    refused(*state, "a: 99999999999999999999\n", "1:4");
    refused(*state, "a: \"x\\0y\"\n", "1:4");
    char deep[128];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    refused(*state, deep, "1:33");
}

static void test_yaml_mark_find__places(void **state)
{
    struct yaml_doc d;
    json_t *v = one(*state, "kind: Profile\nlifetime:\n  max: 47x\nlist:\n  - a\n  - b/c: 1\n", &d);
    struct yaml_mark m = yaml_mark_find(&d, "/lifetime/max");
    assert_int_equal(m.line, 3);
    assert_int_equal(m.column, 8);
    m = yaml_mark_find(&d, "/lifetime/absent");
    assert_int_equal(m.line, 3);
    m = yaml_mark_find(&d, "/list/1/b~1c");
    assert_int_equal(m.line, 6);
    assert_int_equal(m.column, 10);
    m = yaml_mark_find(&d, "/nowhere");
    assert_int_equal(m.line, 1);
    json_decref(v);
}

static void test_yaml_dump__reads_back(void **state)
{
    static const char *const words[] = {"",
                                        "plain",
                                        "true",
                                        "yes",
                                        "12",
                                        "1.5",
                                        "a: b",
                                        "a #b",
                                        " lead",
                                        "tail ",
                                        "-",
                                        "- x",
                                        "x:",
                                        "null",
                                        "{a}",
                                        "[b]",
                                        "line\nline\n",
                                        "line\nline",
                                        "\n\n",
                                        "tab\t",
                                        "ä€",
                                        "a\n b",
                                        "'q'",
                                        "\"q\"",
                                        "@x",
                                        "12:30",
                                        "47d",
                                        "x  \ny",
                                        "%a",
                                        "&a",
                                        "*a",
                                        "!a",
                                        "|",
                                        "=",
                                        "<<",
                                        "---",
                                        "...",
                                        "- - -",
                                        "http://x/y",
                                        "a,b",
                                        "#c",
                                        "?",
                                        "? a",
                                        "~",
                                        "0x1f",
                                        "1e5",
                                        ".inf",
                                        "2026-11-21T06:31:50Z"};
    json_t *all = json_object(), *list = json_array();
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        json_array_append_new(list, json_string(words[i]));
        json_t *o = json_pack("{s:s,s:{s:s},s:[[i,s],{}],s:b}", "s", words[i], "deep", "s", words[i], "n", 5,
                              words[i], "t", 1);
        json_array_append_new(list, o);
        if (words[i][0])
            json_object_set_new(all, words[i], json_array());
    }
    json_object_set_new(all, "list", list);
    struct buf b;
    buf_init(&b, 1 << 20);
    yaml_dump(&b, all);
    json_t *back = one(*state, buf_str(&b), NULL);
    assert_true(json_equal(all, back));
    buf_done(&b);
    json_decref(back);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_yaml_load__core_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(test_yaml_load__many_documents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_yaml_load__refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_yaml_mark_find__places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_yaml_dump__reads_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
