#include "suite.h"
#include <string.h>

static uint64_t expire(struct suite *s, int64_t now)
{
    uint64_t removed = 0;
    struct diag diag = {0};
    assert_ok(s->store->driver->expire(s->store, now, &removed, &diag));
    return removed;
}

static uint64_t stored(struct suite *s)
{
    struct store_read r = {.kind = READ_COUNTS, .tenant = 1};
    assert_ok(look(s, &r));
    return r.counts.certs;
}

static void test_expire__rows_by_their_own_time(void **state)
{
    struct suite *s = *state;
    for (unsigned i = 0; i < 600; i++) {
        struct effect e = suite_cert(s, 1, i, SUITE_NOW - 100);
        e.u.cert.row.keep_until = i % 3 == 0 ? SUITE_NOW - 50 : i % 3 == 1 ? SUITE_NOW + 50 : TM_TIME_NEVER;
        assert_ok(commit1(s, &e));
    }
    struct effect live = suite_cert(s, 1, 1000, SUITE_NOW + SUITE_YEAR);
    assert_ok(commit1(s, &live));
    struct effect revoke = suite_cert(s, 1, 3, SUITE_NOW - 100);
    revoke.kind = EFFECT_CERT_REVOKE;
    revoke.u.cert.row.revoked_at = 1;
    assert_ok(commit1(s, &revoke));
    assert_int_equal(expire(s, SUITE_NOW - 51), 0);
    assert_int_equal(expire(s, SUITE_NOW), 200);
    assert_int_equal(stored(s), 401);
    assert_int_equal(expire(s, SUITE_NOW), 0);
    assert_int_equal(expire(s, SUITE_NOW + 50), 200);
    assert_int_equal(expire(s, SUITE_NOW + 10 * (int64_t)SUITE_YEAR), 1);
    assert_int_equal(stored(s), 200);
    struct store_read counts = {.kind = READ_COUNTS, .tenant = 1};
    assert_ok(look(s, &counts));
    assert_int_equal(counts.counts.revoked, 0);
    struct store_read r = suite_by_key(1, CERT_KEY_CN, "device 3");
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 0);
    r = suite_by_key(1, CERT_KEY_CN, "device 5");
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 1);
}

static void test_expire__newest_row_gone(void **state)
{
    struct suite *s = *state;
    struct effect e = suite_cert(s, 1, 1, SUITE_NOW - 100);
    e.u.cert.row.keep_until = SUITE_NOW;
    assert_ok(commit1(s, &e));
    assert_int_equal(expire(s, SUITE_NOW), 1);
    suite_reopen(s);
    struct effect f = suite_cert(s, 1, 2, SUITE_NOW + SUITE_YEAR);
    assert_ok(commit1(s, &f));
    struct store_read r = suite_by_key(1, CERT_KEY_CN, "device 1");
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 0);
    r = suite_by_key(1, CERT_KEY_CN, "device 2");
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 1);
}

static void test_expire__what_else_gets_old(void **state)
{
    struct suite *s = *state;
    struct effect e[600];
    for (unsigned i = 0; i < 600; i++) {
        e[i] = (struct effect){.kind = EFFECT_IDEMPOTENCY, .tenant = 1};
        e[i].u.idem.key = arena_printf(s->arena, "key-%u", i);
        e[i].u.idem.expires_at = SUITE_NOW + (i % 2 ? 10 : 1000);
    }
    assert_ok(commit(s, e, 600));
    struct effect c = {.kind = EFFECT_CONTINUATION_PUT, .tenant = 1};
    c.u.continuation = (struct continuation_row){
        .id = "c", .kind = "enrollment", .key = "k", .status = "done", .expires_at = SUITE_NOW + 5};
    assert_ok(commit1(s, &c));
    /* Windows of a quota, each the last of its name: one is over, one not yet. */
    struct effect q[2];
    for (unsigned i = 0; i < 2; i++) {
        q[i] = (struct effect){.kind = EFFECT_QUOTA_TAKE, .tenant = 1};
        q[i].u.quota.name = i ? "open" : "over";
        q[i].u.quota.window_start = SUITE_NOW - 100;
        q[i].u.quota.window_end = SUITE_NOW + (i ? 100 : 10);
        q[i].u.quota.max = 5;
        q[i].u.quota.take = 2;
    }
    assert_ok(commit(s, q, 2));
    assert_int_equal(expire(s, SUITE_NOW + 20), 300);
    for (unsigned i = 0; i < 2; i++) {
        struct store_read taken = {
            .kind = READ_QUOTA, .tenant = 1, .name = q[i].u.quota.name, .window_start = SUITE_NOW - 100};
        tm_err e_taken = look(s, &taken);
        assert_true(i ? e_taken == TM_OK && taken.count == 2 : e_taken == TM_ENOTFOUND || taken.count == 0);
    }
    struct store_read r = {.kind = READ_IDEMPOTENCY, .tenant = 1, .name = "key-1"};
    assert_err(TM_ENOTFOUND, look(s, &r));
    r.name = "key-2";
    assert_ok(look(s, &r));
    r = (struct store_read){.kind = READ_CONTINUATION, .tenant = 1, .name = "c"};
    assert_err(TM_ENOTFOUND, look(s, &r));
}

const struct CMUnitTest suite_retention[] = {
    SUITE_TEST(test_expire__rows_by_their_own_time),
    SUITE_TEST(test_expire__newest_row_gone),
    SUITE_TEST(test_expire__what_else_gets_old),
};
SUITE_END(suite_retention);
