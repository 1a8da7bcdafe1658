#include "store/sqlite/row_cache.h"
#include "suite.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static int setup(void **state)
{
    *state = arena_new(64 << 20);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static struct object_row order(const char *id, int64_t version, const char *text)
{
    return (struct object_row){.kind = OBJECT_ACME_ORDER,
                               .id = id,
                               .owner = "owner",
                               .key = "",
                               .ref = NULL,
                               .created_at = 5,
                               .version = version,
                               .state = slice_str(text)};
}

static void committed(struct row_cache *c, enum effect_kind kind, const struct object_row *row, tm_err err)
{
    struct effect e = {.kind = kind, .tenant = 1};
    e.u.object.row = *row;
    struct store_txn t = {.effects = &e, .n = 1, .err = err};
    row_cache_committed(c, &t);
}

static void token_committed(struct row_cache *c, enum effect_kind kind, const char *id)
{
    struct effect e = {.kind = kind, .tenant = 1};
    e.u.token.row.id = id;
    struct store_txn t = {.effects = &e, .n = 1};
    row_cache_committed(c, &t);
}

static void test_row_cache__what_was_committed_last(void **state)
{
    struct row_cache c;
    row_cache_init(&c);
    struct object_row one = order("o1", 1, "{}"), two = order("o1", 2, "{\"a\":1}");
    assert_null(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o1"));
    committed(&c, EFFECT_OBJECT_PUT, &one, TM_OK);
    struct object_row *r = row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o1");
    assert_non_null(r);
    assert_string_equal(r->id, "o1");
    assert_string_equal(r->owner, "owner");
    assert_string_equal(r->ref, "");
    assert_int_equal(r->tenant, 1);
    assert_true(slice_eq_str(r->state, "{}"));
    /* Neither another tenant's nor another kind of the same name. */
    assert_null(row_cache_object(&c, *state, 2, OBJECT_ACME_ORDER, "o1"));
    assert_null(row_cache_object(&c, *state, 1, OBJECT_ACME_AUTHZ, "o1"));
    assert_null(row_cache_token(&c, *state, 1, "o1"));
    /* What was refused has changed nothing. */
    committed(&c, EFFECT_OBJECT_PUT, &two, TM_ECONFLICT);
    assert_int_equal(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o1")->version, 1);
    /* Owner and time of a row stay. */
    two.owner = "another";
    two.created_at = 6;
    committed(&c, EFFECT_OBJECT_PUT, &two, TM_OK);
    r = row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o1");
    assert_int_equal(r->version, 2);
    assert_string_equal(r->owner, "owner");
    assert_int_equal(r->created_at, 5);
    assert_true(slice_eq_str(r->state, "{\"a\":1}"));
    committed(&c, EFFECT_OBJECT_DROP, &two, TM_OK);
    assert_null(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o1"));
    /* A change of what is not here: the file has what it was before. */
    committed(&c, EFFECT_OBJECT_PUT, &two, TM_OK);
    assert_null(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o1"));
    row_cache_done(&c);
}

static void test_row_cache__what_was_read_meanwhile(void **state)
{
    struct row_cache c;
    row_cache_init(&c);
    struct object_row old = order("o1", 1, "old"), new = order("o1", 2, "new"), other = order("o2", 1, "");
    uint64_t mark = row_cache_mark(&c);
    row_cache_enter_object(&c, mark, 1, &old);
    assert_non_null(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o1"));
    /* A reader that began before the commit comes too late. */
    committed(&c, EFFECT_OBJECT_PUT, &new, TM_OK);
    row_cache_enter_object(&c, mark, 1, &old);
    assert_int_equal(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o1")->version, 2);
    row_cache_enter_object(&c, mark, 1, &other);
    assert_null(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o2"));
    row_cache_enter_object(&c, row_cache_mark(&c), 1, &other);
    assert_non_null(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o2"));
    mark = row_cache_mark(&c);
    row_cache_clear(&c);
    assert_null(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o1"));
    row_cache_enter_object(&c, mark, 1, &other);
    assert_null(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o2"));
    row_cache_done(&c);
}

static void test_row_cache__tokens(void **state)
{
    static const enum effect_kind changes[] = {EFFECT_TOKEN_ADD, EFFECT_TOKEN_USE, EFFECT_TOKEN_REVOKE,
                                               EFFECT_TOKEN_SEAL};
    struct row_cache c;
    row_cache_init(&c);
    struct token_row t = {.id = "t1", .claims = "{}", .created_by = NULL, .uses = 3, .secret_hash = {1}};
    char sealed[] = "sealed";
    t.sealed = slice_str(sealed);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        memcpy(sealed, "sealed", sizeof sealed);
        row_cache_enter_token(&c, row_cache_mark(&c), 1, &t);
        memset(sealed, 'x', sizeof sealed - 1); /* the row goes with its arena */
        struct token_row *r = row_cache_token(&c, *state, 1, "t1");
        assert_non_null(r);
        assert_string_equal(r->claims, "{}");
        assert_string_equal(r->created_by, "");
        assert_int_equal(r->uses, 3);
        assert_int_equal(r->secret_hash[0], 1);
        assert_true(slice_eq_str(r->sealed, "sealed"));
        uint64_t mark = row_cache_mark(&c);
        token_committed(&c, changes[i], "t1");
        assert_null(row_cache_token(&c, *state, 1, "t1"));
        row_cache_enter_token(&c, mark, 1, &t);
        assert_null(row_cache_token(&c, *state, 1, "t1"));
    }
    row_cache_done(&c);
}

static void test_row_cache__bounded(void **state)
{
    enum { ROWS = 3000 };
    struct row_cache c;
    static char text[1001];
    memset(text, 'x', sizeof text - 1);
    row_cache_init(&c);
    char id[16];
    for (int i = 0; i < ROWS; i++) {
        snprintf(id, sizeof id, "o%d", i);
        struct object_row row = order(id, 1, text);
        committed(&c, EFFECT_OBJECT_PUT, &row, TM_OK);
        /* The first is in use all the time. */
        assert_non_null(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o0"));
        assert_true(c.octets <= ROW_CACHE_OCTETS);
    }
    assert_null(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, "o1"));
    assert_non_null(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, id));
    /* What is large is not kept, and what it was before neither. */
    static char large[ROW_CACHE_ROW_MAX + 1];
    memset(large, 'x', sizeof large - 1);
    struct object_row grown = order(id, 2, large);
    committed(&c, EFFECT_OBJECT_PUT, &grown, TM_OK);
    assert_null(row_cache_object(&c, *state, 1, OBJECT_ACME_ORDER, id));
    row_cache_done(&c);
}

struct race {
    struct row_cache c;
    _Atomic int64_t file, answered;
    _Atomic bool over;
    bool wrong;
};

/* Readers never see a version before one that had been answered for when they began. */
static void *reader(void *arg)
{
    struct race *x = arg;
    struct arena *a = arena_new(0);
    while (!atomic_load(&x->over)) {
        int64_t least = atomic_load(&x->answered);
        uint64_t mark = row_cache_mark(&x->c);
        struct object_row *r = row_cache_object(&x->c, a, 1, OBJECT_ACME_ORDER, "o");
        if (r && r->version < least)
            x->wrong = true;
        struct object_row from_file = order("o", atomic_load(&x->file), "");
        if (!r)
            row_cache_enter_object(&x->c, mark, 1, &from_file);
        arena_reset(a);
    }
    arena_free(a);
    return NULL;
}

static void test_row_cache__readers_and_committer(void **state)
{
    (void)state;
    static struct race x;
    pthread_t t[2];
    row_cache_init(&x.c);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, reader, &x), 0);
    for (int64_t v = 1; v <= 20000; v++) {
        struct object_row row = order("o", v, "");
        atomic_store(&x.file, v);
        committed(&x.c, v % 64 ? EFFECT_OBJECT_PUT : EFFECT_OBJECT_DROP, &row, TM_OK);
        atomic_store(&x.answered, v);
    }
    atomic_store(&x.over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    assert_false(x.wrong);
    row_cache_done(&x.c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_row_cache__what_was_committed_last, setup, teardown),
        cmocka_unit_test_setup_teardown(test_row_cache__what_was_read_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_row_cache__tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_row_cache__bounded, setup, teardown),
        cmocka_unit_test(test_row_cache__readers_and_committer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
