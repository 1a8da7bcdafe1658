#include "suite.h"
#include <string.h>

static void add_events(struct suite *s, tenant_id tenant, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct effect e =
            suite_event(tenant, i % 3 ? "certificate.issued" : "device.registered", i % 2 ? "a" : "b", i);
        assert_ok(commit1(s, &e));
    }
}

static void test_event__positions_of_each_tenant(void **state)
{
    struct suite *s = *state;
    struct effect e[4] = {suite_event(1, "t", "s", 0), suite_event(2, "t", "s", 0),
                          suite_event(1, "t", "s", 1), suite_event(0, "t", "s", 0)};
    assert_ok(commit(s, e, 4));
    assert_int_equal(e[0].u.event.pos, 0);
    assert_int_equal(e[1].u.event.pos, 0);
    assert_int_equal(e[2].u.event.pos, 1);
    assert_int_equal(e[3].u.event.pos, 0);
    suite_reopen(s);
    assert_ok(commit(s, e, 4));
    assert_int_equal(e[0].u.event.pos, 2);
    assert_int_equal(e[1].u.event.pos, 1);
    assert_int_equal(e[2].u.event.pos, 3);
    assert_int_equal(e[3].u.event.pos, 1);
    struct store_read r = {.kind = READ_LOG_SIZE, .tenant = 1};
    assert_ok(look(s, &r));
    assert_int_equal(r.count, 4);
    r.tenant = 3;
    assert_ok(look(s, &r));
    assert_int_equal(r.count, 0);
}

static void test_event__refused_member_leaves_no_gap(void **state)
{
    struct suite *s = *state;
    struct effect e[3] = {
        suite_event(1, "t", "s", 0), {.kind = EFFECT_QUOTA_TAKE, .tenant = 1}, suite_event(1, "t", "s", 0)};
    e[1].u.quota.name = "q";
    e[1].u.quota.take = 1;
    assert_err(TM_EQUOTA, commit(s, e, 3));
    e[1].u.quota.max = 1;
    assert_ok(commit(s, e, 3));
    assert_int_equal(e[0].u.event.pos, 0);
    assert_int_equal(e[2].u.event.pos, 1);
}

static void test_read_events__pages_and_filters(void **state)
{
    struct suite *s = *state;
    add_events(s, 1, 30);
    add_events(s, 2, 5);
    struct store_read r = {.kind = READ_EVENTS, .tenant = 1, .limit = 8};
    unsigned n = 0;
    bool more = true;
    while (more) {
        assert_ok(look(s, &r));
        for (size_t i = 0; i < r.n; i++)
            assert_int_equal(r.events[i].pos, n++);
        more = r.more;
        r.pos_from = r.pos_next;
    }
    assert_int_equal(n, 30);
    r = (struct store_read){.kind = READ_EVENTS, .tenant = 1, .name = "device.", .text = "b"};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 5);
    assert_string_equal(r.events[1].type, "device.registered");
    assert_int_equal(r.events[1].pos, 6);
    assert_string_equal(r.events[1].subject, "b");
    assert_true(slice_eq_str(r.events[1].salt, "0123456789abcdef"));
    assert_true(slice_eq_str(r.events[1].body, "{\"a\":1}"));
    assert_int_equal(r.events[1].leaf[31], 6);
}

static void test_read_leaves__range(void **state)
{
    struct suite *s = *state;
    add_events(s, 1, 10);
    struct store_read r = {.kind = READ_LEAVES, .tenant = 1, .pos_from = 4, .limit = 3};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(r.leaves[32 * i], 4 + i);
    r.limit = 100;
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 6);
}

static void test_event_erase__leaf_stays(void **state)
{
    struct suite *s = *state;
    add_events(s, 1, 3);
    struct effect e = {.kind = EFFECT_EVENT_ERASE, .tenant = 1};
    e.u.event.pos = 3;
    assert_err(TM_ENOTFOUND, commit1(s, &e));
    e.u.event.pos = 1;
    assert_ok(commit1(s, &e));
    struct store_read r = {.kind = READ_EVENTS, .tenant = 1, .pos_from = 1, .limit = 1};
    assert_ok(look(s, &r));
    assert_int_equal(r.events[0].body.n, 0);
    assert_int_equal(r.events[0].salt.n, 0);
    assert_int_equal(r.events[0].leaf[0], 1);
}

static struct effect checkpoint(uint64_t size, const char *note)
{
    struct effect e = {.kind = EFFECT_CHECKPOINT_PUT, .tenant = 1};
    e.u.checkpoint =
        (struct checkpoint_row){.size = size, .note = slice_str(note), .time = 5, .chain_seq = size * 10};
    memset(e.u.checkpoint.root, (int)size, 32);
    return e;
}

static void test_checkpoint__grows(void **state)
{
    struct suite *s = *state;
    struct store_read r = {.kind = READ_CHECKPOINT, .tenant = 1};
    assert_err(TM_ENOTFOUND, look(s, &r));
    for (uint64_t size = 1; size < 6; size++) {
        struct effect e = checkpoint(size, "a note");
        assert_ok(commit1(s, &e));
    }
    struct effect smaller = checkpoint(4, "a note");
    assert_err(TM_ECONFLICT, commit1(s, &smaller));
    struct effect again = checkpoint(5, "another note");
    assert_ok(commit1(s, &again));
    assert_ok(look(s, &r));
    assert_int_equal(r.checkpoints[0].size, 5);
    assert_int_equal(r.checkpoints[0].chain_seq, 50);
    assert_true(slice_eq_str(r.checkpoints[0].note, "another note"));
    assert_int_equal(r.checkpoints[0].root[31], 5);
    r.pos_from = 3;
    assert_ok(look(s, &r));
    assert_int_equal(r.checkpoints[0].size, 3);
    struct store_read list = {.kind = READ_CHECKPOINTS, .tenant = 1, .pos_from = 2, .limit = 2};
    assert_ok(look(s, &list));
    assert_int_equal(list.n, 2);
    assert_true(list.more);
    assert_int_equal(list.pos_next, 4);
}

static void test_tile__put_and_read(void **state)
{
    struct suite *s = *state;
    static uint8_t hashes[8192];
    memset(hashes, 7, sizeof hashes);
    struct effect e = {.kind = EFFECT_TILE_PUT, .tenant = 1};
    e.u.tile.level = 2;
    e.u.tile.index = 77;
    e.u.tile.hashes = SLICE_ARR(hashes);
    assert_ok(commit1(s, &e));
    assert_ok(commit1(s, &e)); /* the same again is harmless */
    struct store_read r = {.kind = READ_TILE, .tenant = 1, .level = 2, .pos_from = 77};
    assert_ok(look(s, &r));
    assert_true(slice_eq(r.value, SLICE_ARR(hashes)));
    r.level = 1;
    assert_err(TM_ENOTFOUND, look(s, &r));
    /* However it is asked for, another tenant's tile is not there. */
    for (unsigned shift = 30; shift < 64; shift++) {
        r = (struct store_read){
            .kind = READ_TILE, .tenant = 0, .level = 2, .pos_from = 77 + ((uint64_t)1 << shift)};
        assert_err(TM_ENOTFOUND, look(s, &r));
        r = (struct store_read){
            .kind = READ_TILE, .tenant = 0, .level = 2 + (1u << (shift % 31)), .pos_from = 77};
        assert_err(TM_ENOTFOUND, look(s, &r));
    }
    e.u.tile.index = (uint64_t)1 << 37;
    assert_err(TM_EINVAL, commit1(s, &e));
}

static void test_meta__put_and_read(void **state)
{
    struct suite *s = *state;
    struct store_read r = {.kind = READ_META, .tenant = 0, .name = "epoch"};
    assert_err(TM_ENOTFOUND, look(s, &r));
    struct effect e = {.kind = EFFECT_META_PUT};
    e.u.meta.name = "epoch";
    e.u.meta.value = SLICE_LIT("1");
    assert_ok(commit1(s, &e));
    e.u.meta.value = SLICE_LIT("2");
    assert_ok(commit1(s, &e));
    assert_ok(look(s, &r));
    assert_true(slice_eq_str(r.value, "2"));
}

static void test_crl__number_must_grow(void **state)
{
    struct suite *s = *state;
    struct effect e = {.kind = EFFECT_CRL_PUT, .tenant = 1};
    e.u.crl = (struct crl_row){.authority = "issuing",
                               .shard = "full",
                               .number = SLICE_LIT("\xff"),
                               .this_update = 1,
                               .next_update = 2,
                               .der = SLICE_LIT("crl one")};
    assert_ok(commit1(s, &e));
    assert_err(TM_ECONFLICT, commit1(s, &e));
    e.u.crl.number = SLICE_LIT("\x00\xfe");
    assert_err(TM_ECONFLICT, commit1(s, &e));
    e.u.crl.number = SLICE_LIT("\x01\x00");
    e.u.crl.der = SLICE_LIT("crl two");
    assert_ok(commit1(s, &e));
    struct store_read r = {.kind = READ_CRL, .tenant = 1, .name = "issuing", .name2 = "full"};
    assert_ok(look(s, &r));
    assert_true(slice_eq_str(r.crl.der, "crl two"));
    assert_true(slice_eq(r.crl.number, e.u.crl.number));
    assert_int_equal(r.crl.next_update, 2);
    r.name2 = "delta";
    assert_err(TM_ENOTFOUND, look(s, &r));
}

const struct CMUnitTest suite_log[] = {
    SUITE_TEST(test_event__positions_of_each_tenant),
    SUITE_TEST(test_event__refused_member_leaves_no_gap),
    SUITE_TEST(test_read_events__pages_and_filters),
    SUITE_TEST(test_read_leaves__range),
    SUITE_TEST(test_event_erase__leaf_stays),
    SUITE_TEST(test_checkpoint__grows),
    SUITE_TEST(test_tile__put_and_read),
    SUITE_TEST(test_meta__put_and_read),
    SUITE_TEST(test_crl__number_must_grow),
};
SUITE_END(suite_log);
