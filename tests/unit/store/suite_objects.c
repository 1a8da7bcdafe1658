#include "suite.h"
#include <stdio.h>

static struct effect row(enum object_kind kind, const char *id, const char *owner, const char *key,
                         int64_t expected)
{
    struct effect e = {.kind = EFFECT_OBJECT_PUT, .tenant = 1, .expected_version = expected};
    e.u.object.row = (struct object_row){.kind = kind,
                                         .id = id,
                                         .owner = owner,
                                         .key = key,
                                         .ref = "",
                                         .status = 1,
                                         .created_at = SUITE_NOW,
                                         .state = SLICE_LIT("{}")};
    return e;
}

static void test_object_put__versions(void **state)
{
    struct suite *s = *state;
    struct effect e = row(OBJECT_ACME_ORDER, "o1", "a1", "", 0);
    assert_ok(commit1(s, &e));
    assert_int_equal(e.u.object.row.version, 1);
    assert_err(TM_ECONFLICT, commit1(s, &e));
    e.expected_version = 1;
    e.u.object.row.status = 7;
    e.u.object.row.ref = "serial";
    assert_ok(commit1(s, &e));
    assert_err(TM_ECONFLICT, commit1(s, &e));
    struct store_read r = {
        .kind = READ_OBJECT, .tenant = 1, .object_kind = OBJECT_ACME_ORDER, .text = "serial"};
    assert_ok(look(s, &r));
    assert_string_equal(r.objects[0].id, "o1");
    assert_int_equal(r.objects[0].version, 2);
    assert_int_equal(r.objects[0].status, 7);
    assert_int_equal(r.objects[0].created_at, SUITE_NOW);
    struct store_read other = {
        .kind = READ_OBJECT, .tenant = 2, .object_kind = OBJECT_ACME_ORDER, .name = "o1"};
    assert_err(TM_ENOTFOUND, look(s, &other));
}

static void test_object_put__unique(void **state)
{
    struct suite *s = *state;
    struct effect first = row(OBJECT_ACME_ACCOUNT, "a1", "", "k", 0),
                  second = row(OBJECT_ACME_ACCOUNT, "a2", "", "k", 0);
    first.u.object.unique = second.u.object.unique = true;
    assert_ok(commit1(s, &first));
    assert_err(TM_ECONFLICT, commit1(s, &second));
    second.tenant = 2;
    assert_ok(commit1(s, &second));
    /* No key is nobody's rival. */
    struct effect none = row(OBJECT_ACME_ACCOUNT, "a3", "", "", 0),
                  nobody = row(OBJECT_ACME_ACCOUNT, "a4", "", "", 0);
    none.u.object.unique = nobody.u.object.unique = true;
    assert_ok(commit1(s, &none));
    assert_ok(commit1(s, &nobody));
    struct store_read r = {
        .kind = READ_OBJECT, .tenant = 1, .object_kind = OBJECT_ACME_ACCOUNT, .name2 = "k"};
    assert_ok(look(s, &r));
    assert_string_equal(r.objects[0].id, "a1");
    struct store_read empty = {
        .kind = READ_OBJECT, .tenant = 1, .object_kind = OBJECT_ACME_ACCOUNT, .name2 = ""};
    assert_err(TM_ENOTFOUND, look(s, &empty));
}

static void test_object_owned__pages(void **state)
{
    struct suite *s = *state;
    static const char *const ids[] = {"o1", "o2", "o3"};
    for (size_t i = 0; i < 3; i++) {
        struct effect e = row(OBJECT_ACME_ORDER, ids[i], "a1", "", 0);
        assert_ok(commit1(s, &e));
    }
    struct effect foreign = row(OBJECT_ACME_ORDER, "o4", "a2", "", 0);
    assert_ok(commit1(s, &foreign));
    struct store_read r = {
        .kind = READ_OBJECTS_OWNED, .tenant = 1, .object_kind = OBJECT_ACME_ORDER, .name = "a1", .limit = 2};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 2);
    assert_true(r.more);
    r.after = r.page_next;
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 1);
    assert_false(r.more);
    assert_string_equal(r.objects[0].id, "o3");
}

static void test_object_due_and_old__by_time(void **state)
{
    struct suite *s = *state;
    struct effect late = row(OBJECT_ACME_AUTHZ, "z1", "a1", "", 0),
                  early = row(OBJECT_ACME_AUTHZ, "z2", "a1", "", 0);
    late.u.object.row.due_at = 2000;
    late.u.object.row.keep_until = 30;
    early.u.object.row.due_at = 1000;
    early.tenant = 5;
    assert_ok(commit1(s, &late));
    assert_ok(commit1(s, &early));
    struct store_read due = {
        .kind = READ_OBJECTS_DUE, .object_kind = OBJECT_ACME_AUTHZ, .window_start = 2000};
    assert_ok(look(s, &due));
    assert_int_equal(due.n, 2);
    assert_string_equal(due.objects[0].id, "z2");
    assert_int_equal(due.objects[0].tenant, 5);
    due.window_start = 1999;
    assert_ok(look(s, &due));
    assert_int_equal(due.n, 1);
    struct store_read old = {.kind = READ_OBJECTS_OLD, .window_start = 30};
    assert_ok(look(s, &old));
    assert_int_equal(old.n, 1);
    struct effect drop = {.kind = EFFECT_OBJECT_DROP, .tenant = 1, .expected_version = 7};
    drop.u.object.row = old.objects[0];
    assert_err(TM_ECONFLICT, commit1(s, &drop));
    drop.expected_version = 1;
    assert_ok(commit1(s, &drop));
    assert_ok(commit1(s, &drop));
    assert_ok(look(s, &old));
    assert_int_equal(old.n, 0);
}

/* One owner's many rows stand before nobody else's, and everybody's turn comes. */
static void test_object_due__in_turn(void **state)
{
    struct suite *s = *state;
    enum { MANY = 40, FEW = 6 };
    char id[MANY + FEW][8], owner[FEW][8];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(id[i], sizeof id[i], "m%02u", i);
        struct effect e = row(OBJECT_ACME_AUTHZ, id[i], "many", "", 0);
        e.u.object.row.due_at = 1 + i;
        assert_ok(commit1(s, &e));
    }
    for (unsigned i = 0; i < FEW; i++) {
        snprintf(id[MANY + i], sizeof id[0], "f%u", i);
        snprintf(owner[i], sizeof owner[i], "%s%u", i % 2 ? "few" : "own", i);
        struct effect e = row(OBJECT_ACME_AUTHZ, id[MANY + i], owner[i], "", 0);
        e.tenant = 1 + i / 4;
        e.u.object.row.due_at = 1000 + i;
        assert_ok(commit1(s, &e));
    }
    struct effect order = row(OBJECT_ACME_ORDER, "o", "many", "", 0);
    order.u.object.row.due_at = 1;
    assert_ok(commit1(s, &order));
    struct store_read due = {
        .kind = READ_OBJECTS_DUE, .object_kind = OBJECT_ACME_AUTHZ, .window_start = 1005, .limit = 4};
    unsigned seen = 0, of_many = 0;
    for (unsigned round = 0; round < 2; round++) {
        assert_ok(look(s, &due));
        assert_int_equal(due.n, 4);
        assert_true(due.more);
        for (size_t i = 0; i < due.n; i++) {
            seen |= due.objects[i].id[0] == 'f' ? 1u << (due.objects[i].id[1] - '0') : 0;
            of_many += due.objects[i].id[0] == 'm';
        }
        due.after = due.page_next;
    }
    assert_int_equal(seen, (1u << FEW) - 1);
    assert_in_range(of_many, 1, 2);
    due.after = (struct slice){0};
    due.limit = 100;
    assert_ok(look(s, &due));
    assert_int_equal(due.n, MANY + FEW);
    assert_false(due.more);
}

static void test_objects__by_status(void **state)
{
    struct suite *s = *state;
    enum { KIND = OBJECT_INDEXED_BY_STATUS };
    static const struct {
        const char *id;
        int status;
    } all[] = {{"a", 1}, {"b", 2}, {"c", 1}, {"d", 1}};
    for (size_t i = 0; i < 4; i++) {
        struct effect e = row((enum object_kind)KIND, all[i].id, "", "", 0);
        e.u.object.row.status = all[i].status;
        assert_ok(commit1(s, &e));
    }
    struct store_read r = {
        .kind = READ_OBJECTS, .tenant = 1, .object_kind = (enum object_kind)KIND, .limit = 3};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 3);
    assert_true(r.more);
    r.after = r.page_next;
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 1);
    assert_string_equal(r.objects[0].id, "d");
    struct store_read ones = {.kind = READ_OBJECTS,
                              .tenant = 1,
                              .object_kind = (enum object_kind)KIND,
                              .object_status = 1,
                              .limit = 2};
    assert_ok(look(s, &ones));
    assert_int_equal(ones.n, 2);
    assert_string_equal(ones.objects[1].id, "c");
    ones.after = ones.page_next;
    assert_ok(look(s, &ones));
    assert_int_equal(ones.n, 1);
    assert_false(ones.more);
    struct store_read orders = {
        .kind = READ_OBJECTS, .tenant = 1, .object_kind = OBJECT_ACME_ORDER, .object_status = 1};
    assert_err(TM_EINVAL, look(s, &orders));
}

const struct CMUnitTest suite_objects[] = {
    SUITE_TEST(test_object_put__versions), SUITE_TEST(test_object_put__unique),
    SUITE_TEST(test_object_owned__pages),  SUITE_TEST(test_object_due_and_old__by_time),
    SUITE_TEST(test_object_due__in_turn),  SUITE_TEST(test_objects__by_status),
};
SUITE_END(suite_objects);
