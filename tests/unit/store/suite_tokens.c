#include "suite.h"
#include <string.h>

static struct effect token(enum effect_kind kind, const char *id, int64_t max_uses, uint8_t key)
{
    struct effect e = {.kind = kind, .tenant = 1};
    e.u.token.row = (struct token_row){.id = id,
                                       .claims = "{}",
                                       .expires_at = SUITE_NOW + 100,
                                       .max_uses = max_uses,
                                       .created_by = "admin",
                                       .created_at = SUITE_NOW};
    e.u.token.now = SUITE_NOW;
    if (kind == EFFECT_TOKEN_USE) {
        memset(e.u.token.row.bound_spki, key, 32);
        memset(e.u.token.row.bound_cert, key, CERT_SERIAL_LEN);
    } else {
        memset(e.u.token.row.secret_hash, 0xaa, 32);
    }
    return e;
}

static void test_token_use__one_time(void **state)
{
    struct suite *s = *state;
    struct effect add = token(EFFECT_TOKEN_ADD, "t1", 1, 0), use = token(EFFECT_TOKEN_USE, "t1", 0, 5);
    assert_err(TM_ENOTFOUND, commit1(s, &use));
    assert_ok(commit1(s, &add));
    assert_err(TM_ECONFLICT, commit1(s, &add));
    struct effect late = use;
    late.u.token.now = SUITE_NOW + 100;
    assert_err(TM_EEXPIRED, commit1(s, &late));
    assert_ok(commit1(s, &use));
    assert_err(TM_EQUOTA, commit1(s, &use)); /* the same key: the door answers with what it got */
    struct effect thief = token(EFFECT_TOKEN_USE, "t1", 0, 6);
    assert_err(TM_EFORBIDDEN, commit1(s, &thief));
    struct store_read r = {.kind = READ_TOKEN, .tenant = 1, .name = "t1"};
    assert_ok(look(s, &r));
    assert_int_equal(r.tokens[0].uses, 1);
    assert_int_equal(r.tokens[0].bound_spki[0], 5);
    assert_int_equal(r.tokens[0].bound_cert[15], 5);
    assert_int_equal(r.tokens[0].bound_at, SUITE_NOW);
    assert_int_equal(r.tokens[0].secret_hash[31], 0xaa);
    assert_false(r.tokens[0].revoked);
}

static void test_token_use__several_keys(void **state)
{
    struct suite *s = *state;
    struct effect add = token(EFFECT_TOKEN_ADD, "t1", 2, 0);
    assert_ok(commit1(s, &add));
    for (uint8_t key = 1; key < 4; key++) {
        struct effect use = token(EFFECT_TOKEN_USE, "t1", 0, key);
        assert_err(key < 3 ? TM_OK : TM_EQUOTA, commit1(s, &use));
    }
}

static void test_token_use__refused_leaves_nothing(void **state)
{
    struct suite *s = *state;
    struct effect add = token(EFFECT_TOKEN_ADD, "t1", 1, 0);
    assert_ok(commit1(s, &add));
    struct effect e[4] = {suite_cert(s, 1, 1, SUITE_NOW + SUITE_YEAR),
                          suite_event(1, "certificate.issued", "x", 1),
                          token(EFFECT_TOKEN_USE, "t1", 0, 1),
                          {.kind = EFFECT_QUOTA_TAKE, .tenant = 1}};
    e[3].u.quota.name = "q";
    e[3].u.quota.take = 1;
    struct store_txn t = {.effects = e, .n = 4};
    assert_err(TM_EQUOTA, store_commit(s->store, &t));
    assert_int_equal(t.failed, 3);
    struct store_read r = {.kind = READ_TOKEN, .tenant = 1, .name = "t1"};
    assert_ok(look(s, &r));
    assert_int_equal(r.tokens[0].uses, 0);
    struct store_read counts = {.kind = READ_COUNTS, .tenant = 1};
    assert_ok(look(s, &counts));
    assert_int_equal(counts.counts.certs, 0);
    assert_int_equal(counts.counts.events, 0);
}

static void test_token_revoke__and_list(void **state)
{
    struct suite *s = *state;
    for (unsigned i = 0; i < 10; i++) {
        struct effect add = token(EFFECT_TOKEN_ADD, arena_printf(s->arena, "t%u", i), 1, 0);
        assert_ok(commit1(s, &add));
    }
    struct effect revoke = token(EFFECT_TOKEN_REVOKE, "t3", 0, 0), use = token(EFFECT_TOKEN_USE, "t3", 0, 1);
    assert_ok(commit1(s, &revoke));
    assert_err(TM_EFORBIDDEN, commit1(s, &use));
    revoke.u.token.row.id = "none";
    assert_err(TM_ENOTFOUND, commit1(s, &revoke));
    struct store_read r = {.kind = READ_TOKENS, .tenant = 1, .limit = 4};
    unsigned n = 0;
    bool more = true;
    while (more) {
        assert_ok(look(s, &r));
        for (size_t i = 0; i < r.n; i++, n++)
            assert_int_equal(r.tokens[i].revoked, n == 3);
        more = r.more;
        r.after = r.page_next;
    }
    assert_int_equal(n, 10);
}

static void test_token_seal__takes_the_place_of_the_hash(void **state)
{
    struct suite *s = *state;
    static const uint8_t zero[32];
    struct effect add = token(EFFECT_TOKEN_ADD, "plain", 1, 0),
                  seal = token(EFFECT_TOKEN_SEAL, "plain", 0, 0);
    seal.u.token.row.sealed = SLICE_LIT("sealed octets");
    assert_err(TM_ENOTFOUND, commit1(s, &seal));
    assert_ok(commit1(s, &add));
    struct store_read r = {.kind = READ_TOKEN, .tenant = 1, .name = "plain"};
    assert_ok(look(s, &r));
    assert_int_equal(r.tokens[0].sealed.n, 0);
    assert_ok(commit1(s, &seal));
    assert_ok(look(s, &r));
    assert_true(slice_eq(r.tokens[0].sealed, seal.u.token.row.sealed));
    assert_memory_equal(r.tokens[0].secret_hash, zero, sizeof zero);
    add.u.token.row.id = "sealed";
    add.u.token.row.sealed = SLICE_LIT("from the beginning");
    assert_ok(commit1(s, &add));
    r.name = "sealed";
    assert_ok(look(s, &r));
    assert_true(slice_eq(r.tokens[0].sealed, add.u.token.row.sealed));
}

static void test_quota_take__window(void **state)
{
    struct suite *s = *state;
    struct effect e = {.kind = EFFECT_QUOTA_TAKE, .tenant = 1};
    e.u.quota.name = "profile/tls";
    e.u.quota.window_start = 1000;
    e.u.quota.max = 3;
    e.u.quota.take = 2;
    assert_ok(commit1(s, &e));
    assert_err(TM_EQUOTA, commit1(s, &e));
    e.u.quota.take = 1;
    assert_ok(commit1(s, &e));
    struct store_read r = {.kind = READ_QUOTA, .tenant = 1, .name = "profile/tls", .window_start = 1000};
    assert_ok(look(s, &r));
    assert_int_equal(r.count, 3);
    e.u.quota.window_start = 2000;
    assert_ok(commit1(s, &e));
    r.window_start = 3000;
    assert_ok(look(s, &r));
    assert_int_equal(r.count, 0);
    /* Two takes in one transaction see each other. */
    struct effect two[2] = {e, e};
    two[0].u.quota.take = two[1].u.quota.take = 2;
    two[0].u.quota.window_start = two[1].u.quota.window_start = 4000;
    assert_err(TM_EQUOTA, commit(s, two, 2));
    r.window_start = 4000;
    assert_ok(look(s, &r));
    assert_int_equal(r.count, 0);
}

static void test_idempotency__until_it_is_over(void **state)
{
    struct suite *s = *state;
    struct effect e = {.kind = EFFECT_IDEMPOTENCY, .tenant = 1};
    e.u.idem.key = "abc";
    e.u.idem.expires_at = SUITE_NOW + 10;
    memset(e.u.idem.cert, 1, CERT_SERIAL_LEN);
    memset(e.u.idem.request_hash, 2, 32);
    assert_ok(commit1(s, &e));
    memset(e.u.idem.cert, 3, CERT_SERIAL_LEN);
    assert_err(TM_ECONFLICT, commit1(s, &e));
    struct store_read r = {.kind = READ_IDEMPOTENCY, .tenant = 1, .name = "abc"};
    assert_ok(look(s, &r));
    assert_int_equal(r.idem.cert[0], 1);
    assert_int_equal(r.idem.request_hash[31], 2);
    clock_fix(SUITE_NOW + 10);
    assert_ok(commit1(s, &e));
    r.name = "xyz";
    assert_err(TM_ENOTFOUND, look(s, &r));
}

const struct CMUnitTest suite_tokens[] = {
    SUITE_TEST(test_token_use__one_time),
    SUITE_TEST(test_token_use__several_keys),
    SUITE_TEST(test_token_use__refused_leaves_nothing),
    SUITE_TEST(test_token_revoke__and_list),
    SUITE_TEST(test_token_seal__takes_the_place_of_the_hash),
    SUITE_TEST(test_quota_take__window),
    SUITE_TEST(test_idempotency__until_it_is_over),
};
SUITE_END(suite_tokens);
