#include "suite.h"

static struct effect device(struct suite *s, unsigned number, int state, int64_t expected)
{
    struct effect e = {.kind = EFFECT_DEVICE_PUT, .tenant = 1, .expected_version = expected};
    e.u.device = (struct device_row){.id = arena_printf(s->arena, "sn-%04u", number),
                                     .serial = "s",
                                     .model = "m",
                                     .vendor = "v",
                                     .owner = "o",
                                     .place = "p",
                                     .batch = "b",
                                     .state = state,
                                     .identifiers = "{\"mac\":\"00\"}",
                                     .tags = "{}",
                                     .created_at = 1000 + number,
                                     .updated_at = 2000 + number};
    return e;
}

static void test_device_put__versions(void **state)
{
    struct suite *s = *state;
    struct effect e = device(s, 1, 1, 0);
    assert_ok(commit1(s, &e));
    assert_int_equal(e.u.device.version, 1);
    e = device(s, 1, 2, 0);
    assert_err(TM_ECONFLICT, commit1(s, &e));
    e = device(s, 1, 2, 1);
    e.u.device.created_at = 7;
    assert_ok(commit1(s, &e));
    struct store_read r = {.kind = READ_DEVICE, .tenant = 1, .name = "sn-0001"};
    assert_ok(look(s, &r));
    const struct device_row *d = &r.devices[0];
    assert_int_equal(d->version, 2);
    assert_int_equal(d->state, 2);
    assert_int_equal(d->created_at, 1001); /* when it was first known */
    assert_int_equal(d->updated_at, 2001);
    assert_string_equal(d->identifiers, "{\"mac\":\"00\"}");
    assert_string_equal(d->model, "m");
    assert_string_equal(d->owner, "o");
    r.name = "none";
    assert_err(TM_ENOTFOUND, look(s, &r));
    struct store_read counts = {.kind = READ_COUNTS, .tenant = 1};
    assert_ok(look(s, &counts));
    assert_int_equal(counts.counts.devices, 1);
}

static void test_read_devices__filters_and_pages(void **state)
{
    struct suite *s = *state;
    struct effect e[100];
    for (unsigned i = 0; i < 100; i++)
        e[i] = device(s, i, i % 4 ? 1 : 3, 0);
    assert_ok(commit(s, e, 100));
    struct store_read r = {.kind = READ_DEVICES, .tenant = 1, .device_state = 3, .limit = 4};
    unsigned n = 0;
    bool more = true;
    while (more) {
        assert_ok(look(s, &r));
        for (size_t i = 0; i < r.n; i++, n++)
            assert_string_equal(r.devices[i].id, arena_printf(s->arena, "sn-%04u", 4 * n));
        more = r.more;
        r.after = r.page_next;
    }
    assert_int_equal(n, 25);
    r = (struct store_read){.kind = READ_DEVICES, .tenant = 1, .text = "sn-002"};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 10);
    assert_string_equal(r.devices[0].id, "sn-0020");
}

static void test_read_devices__of_an_owner(void **state)
{
    struct suite *s = *state;
    struct effect e[100];
    for (unsigned i = 0; i < 100; i++) {
        e[i] = device(s, i, i % 2 ? 1 : 3, 0);
        e[i].u.device.owner = i % 10 == 7 ? "plant-7" : i % 10 == 8 ? "" : "plant-1";
    }
    assert_ok(commit(s, e, 100));
    struct store_read r = {.kind = READ_DEVICES, .tenant = 1, .device_owner = "plant-7", .limit = 4};
    unsigned n = 0;
    bool more = true;
    while (more) {
        assert_ok(look(s, &r));
        for (size_t i = 0; i < r.n; i++, n++)
            assert_string_equal(r.devices[i].id, arena_printf(s->arena, "sn-%04u", 10 * n + 7));
        more = r.more;
        r.after = r.page_next;
    }
    assert_int_equal(n, 10);
    r = (struct store_read){
        .kind = READ_DEVICES, .tenant = 1, .device_owner = "plant-1", .text = "sn-002", .device_state = 3};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 4);
    r = (struct store_read){.kind = READ_DEVICES, .tenant = 1, .device_owner = ""};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 0);
}

const struct CMUnitTest suite_devices[] = {
    SUITE_TEST(test_device_put__versions),
    SUITE_TEST(test_read_devices__filters_and_pages),
    SUITE_TEST(test_read_devices__of_an_owner),
};
SUITE_END(suite_devices);
