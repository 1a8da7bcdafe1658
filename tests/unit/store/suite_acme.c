#include "suite.h"
#include <stdio.h>

static struct effect row(enum acme_kind kind, const char *id, const char *owner, const char *key,
                         int64_t expected)
{
    struct effect e = {.kind = EFFECT_ACME_PUT, .tenant = 1, .expected_version = expected};
    e.u.acme.row = (struct acme_row){.kind = kind,
                                     .id = id,
                                     .owner = owner,
                                     .key = key,
                                     .ref = "",
                                     .status = 1,
                                     .created_at = SUITE_NOW,
                                     .state = SLICE_LIT("{}")};
    return e;
}

static void test_acme_put__versions(void **state)
{
    struct suite *s = *state;
    struct effect e = row(ACME_ORDER, "o1", "a1", "", 0);
    assert_ok(commit1(s, &e));
    assert_int_equal(e.u.acme.row.version, 1);
    assert_err(TM_ECONFLICT, commit1(s, &e));
    e.expected_version = 1;
    e.u.acme.row.status = 7;
    e.u.acme.row.ref = "serial";
    assert_ok(commit1(s, &e));
    assert_err(TM_ECONFLICT, commit1(s, &e));
    struct store_read r = {.kind = READ_ACME, .tenant = 1, .acme_kind = ACME_ORDER, .text = "serial"};
    assert_ok(look(s, &r));
    assert_string_equal(r.acme[0].id, "o1");
    assert_int_equal(r.acme[0].version, 2);
    assert_int_equal(r.acme[0].status, 7);
    assert_int_equal(r.acme[0].created_at, SUITE_NOW);
    struct store_read other = {.kind = READ_ACME, .tenant = 2, .acme_kind = ACME_ORDER, .name = "o1"};
    assert_err(TM_ENOTFOUND, look(s, &other));
}

static void test_acme_put__unique(void **state)
{
    struct suite *s = *state;
    struct effect first = row(ACME_ACCOUNT, "a1", "", "k", 0), second = row(ACME_ACCOUNT, "a2", "", "k", 0);
    first.u.acme.unique = second.u.acme.unique = true;
    assert_ok(commit1(s, &first));
    assert_err(TM_ECONFLICT, commit1(s, &second));
    second.tenant = 2;
    assert_ok(commit1(s, &second));
    /* No key is nobody's rival. */
    struct effect none = row(ACME_ACCOUNT, "a3", "", "", 0), nobody = row(ACME_ACCOUNT, "a4", "", "", 0);
    none.u.acme.unique = nobody.u.acme.unique = true;
    assert_ok(commit1(s, &none));
    assert_ok(commit1(s, &nobody));
    struct store_read r = {.kind = READ_ACME, .tenant = 1, .acme_kind = ACME_ACCOUNT, .name2 = "k"};
    assert_ok(look(s, &r));
    assert_string_equal(r.acme[0].id, "a1");
    struct store_read empty = {.kind = READ_ACME, .tenant = 1, .acme_kind = ACME_ACCOUNT, .name2 = ""};
    assert_err(TM_ENOTFOUND, look(s, &empty));
}

static void test_acme_owned__pages(void **state)
{
    struct suite *s = *state;
    static const char *const ids[] = {"o1", "o2", "o3"};
    for (size_t i = 0; i < 3; i++) {
        struct effect e = row(ACME_ORDER, ids[i], "a1", "", 0);
        assert_ok(commit1(s, &e));
    }
    struct effect foreign = row(ACME_ORDER, "o4", "a2", "", 0);
    assert_ok(commit1(s, &foreign));
    struct store_read r = {
        .kind = READ_ACME_OWNED, .tenant = 1, .acme_kind = ACME_ORDER, .name = "a1", .limit = 2};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 2);
    assert_true(r.more);
    r.after = r.page_next;
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 1);
    assert_false(r.more);
    assert_string_equal(r.acme[0].id, "o3");
}

static void test_acme_due_and_old__by_time(void **state)
{
    struct suite *s = *state;
    struct effect late = row(ACME_AUTHZ, "z1", "a1", "", 0), early = row(ACME_AUTHZ, "z2", "a1", "", 0);
    late.u.acme.row.due_at = 2000;
    late.u.acme.row.keep_until = 30;
    early.u.acme.row.due_at = 1000;
    early.tenant = 5;
    assert_ok(commit1(s, &late));
    assert_ok(commit1(s, &early));
    struct store_read due = {.kind = READ_ACME_DUE, .acme_kind = ACME_AUTHZ, .window_start = 2000};
    assert_ok(look(s, &due));
    assert_int_equal(due.n, 2);
    assert_string_equal(due.acme[0].id, "z2");
    assert_int_equal(due.acme[0].tenant, 5);
    due.window_start = 1999;
    assert_ok(look(s, &due));
    assert_int_equal(due.n, 1);
    struct store_read old = {.kind = READ_ACME_OLD, .window_start = 30};
    assert_ok(look(s, &old));
    assert_int_equal(old.n, 1);
    struct effect drop = {.kind = EFFECT_ACME_DROP, .tenant = 1, .expected_version = 7};
    drop.u.acme.row = old.acme[0];
    assert_err(TM_ECONFLICT, commit1(s, &drop));
    drop.expected_version = 1;
    assert_ok(commit1(s, &drop));
    assert_ok(commit1(s, &drop));
    assert_ok(look(s, &old));
    assert_int_equal(old.n, 0);
}

/* One owner's many rows stand before nobody else's, and everybody's turn comes. */
static void test_acme_due__in_turn(void **state)
{
    struct suite *s = *state;
    enum { MANY = 40, FEW = 6 };
    char id[MANY + FEW][8], owner[FEW][8];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(id[i], sizeof id[i], "m%02u", i);
        struct effect e = row(ACME_AUTHZ, id[i], "many", "", 0);
        e.u.acme.row.due_at = 1 + i;
        assert_ok(commit1(s, &e));
    }
    for (unsigned i = 0; i < FEW; i++) {
        snprintf(id[MANY + i], sizeof id[0], "f%u", i);
        snprintf(owner[i], sizeof owner[i], "%s%u", i % 2 ? "few" : "own", i);
        struct effect e = row(ACME_AUTHZ, id[MANY + i], owner[i], "", 0);
        e.tenant = 1 + i / 4;
        e.u.acme.row.due_at = 1000 + i;
        assert_ok(commit1(s, &e));
    }
    struct effect order = row(ACME_ORDER, "o", "many", "", 0);
    order.u.acme.row.due_at = 1;
    assert_ok(commit1(s, &order));
    struct store_read due = {
        .kind = READ_ACME_DUE, .acme_kind = ACME_AUTHZ, .window_start = 1005, .limit = 4};
    unsigned seen = 0, of_many = 0;
    for (unsigned round = 0; round < 2; round++) {
        assert_ok(look(s, &due));
        assert_int_equal(due.n, 4);
        assert_true(due.more);
        for (size_t i = 0; i < due.n; i++) {
            seen |= due.acme[i].id[0] == 'f' ? 1u << (due.acme[i].id[1] - '0') : 0;
            of_many += due.acme[i].id[0] == 'm';
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

const struct CMUnitTest suite_acme[] = {
    SUITE_TEST(test_acme_put__versions), SUITE_TEST(test_acme_put__unique),
    SUITE_TEST(test_acme_owned__pages),  SUITE_TEST(test_acme_due_and_old__by_time),
    SUITE_TEST(test_acme_due__in_turn),
};
SUITE_END(suite_acme);
