/* What a place remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "http/address.h"
#include "inventory/place.h"
#include <cmocka.h>
#include <string.h>

enum { HOUR = 3600000, DAY = 24 * HOUR };

static struct place_seen seen_at(int64_t at, const char *leaf)
{
    return (struct place_seen){.via = "scan",
                               .run = "r1",
                               .details = "{}",
                               .refused = "",
                               .cert = leaf ? "c1" : "",
                               .at = at,
                               .now = at,
                               .chain = {leaf},
                               .n_chain = leaf ? 1 : 0};
}

static enum place_change meet(struct place *p, int64_t at, const char *leaf)
{
    struct place_seen s = seen_at(at, leaf);
    enum place_change change = place_meet(p, &s, 20 * HOUR);
    if (change != PLACE_SAME)
        p->version++;
    return change;
}

static void test_place_meet__remembers_what_was_there(void **state)
{
    (void)state;
    struct place p = {.id = "i", .name = "tls:192.0.2.1:443", .cert = ""};
    assert_int_equal(meet(&p, 1000, NULL), PLACE_SAME); /* it never had any */
    assert_int_equal(meet(&p, 1000, "aa"), PLACE_NEW);
    assert_int_equal(p.first, 1000);
    assert_int_equal(meet(&p, 1000 + HOUR, "aa"), PLACE_SAME);
    assert_int_equal(p.last, 1000);
    assert_int_equal(meet(&p, 1000 + DAY, "aa"), PLACE_TOUCHED);
    assert_int_equal(p.last, 1000 + DAY);
    assert_int_equal(p.since, 1000);
    assert_int_equal(meet(&p, 1000 + HOUR, "bb"), PLACE_SAME); /* told late */
    assert_int_equal(meet(&p, 1000 + 2 * DAY, "bb"), PLACE_CHANGED);
    assert_int_equal(p.n_before, 1);
    assert_string_equal(p.before[0].leaf, "aa");
    assert_int_equal(p.before[0].last, 1000 + DAY);
    assert_int_equal(meet(&p, 1000 + 3 * DAY, NULL), PLACE_WENT);
    assert_int_equal(p.status, PLACE_GONE);
    assert_int_equal(meet(&p, 1000 + 5 * DAY, NULL), PLACE_SAME);
    assert_int_equal(meet(&p, 1000 + 6 * DAY, "bb"), PLACE_CHANGED);
    assert_int_equal(p.status, PLACE_PRESENT);
    assert_int_equal(p.n_before, 3);
    assert_string_equal(p.before[0].leaf, "");

    struct place_before now;
    assert_null(place_at(&p, &now, 999));
    assert_string_equal(place_at(&p, &now, 1000)->leaf, "aa");
    assert_string_equal(place_at(&p, &now, 1000 + 2 * DAY)->leaf, "bb");
    assert_string_equal(place_at(&p, &now, 1000 + 4 * DAY)->leaf, "");
    assert_string_equal(place_at(&p, &now, 1000 + 7 * DAY)->leaf, "bb");
}

static void test_place_meet__history_is_bounded(void **state)
{
    (void)state;
    struct place p = {.id = "i", .name = "tls:192.0.2.1:443", .cert = ""};
    static const char *const leaves[] = {"aa", "bb"};
    for (int i = 0; i < 100; i++)
        assert_int_equal(meet(&p, 1000 + i, leaves[i % 2]), i ? PLACE_CHANGED : PLACE_NEW);
    assert_int_equal(p.n_before, PLACE_BEFORE_MAX);
    assert_string_equal(p.before[0].leaf, "aa");
    assert_int_equal(p.before[PLACE_BEFORE_MAX - 1].since, 1000 + 99 - PLACE_BEFORE_MAX);
}

static void test_place_meet__new_details_are_written_without_news(void **state)
{
    (void)state;
    struct place p = {.id = "i", .name = "tls:192.0.2.1:443", .cert = ""};
    struct place_seen s = seen_at(5, "aa");
    assert_int_equal(place_meet(&p, &s, HOUR), PLACE_NEW);
    p.version = 1;
    s.details = "{\"protocol\":\"TLSv1.3\"}";
    s.at = 6;
    assert_int_equal(place_meet(&p, &s, HOUR), PLACE_TOUCHED);
    assert_string_equal(p.details, s.details);
    assert_int_equal(p.n_before, 0);
}

static void test_place_effect__is_read_back(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct place p = {.id = "i", .name = "file:host.example/etc/ssl/a.pem#1", .cert = ""}, back;
    struct effect e;
    meet(&p, 1000, "aa");
    p.version = 0; /* as it was when it was read */
    p.refused = "not \"one\"\n";
    assert_int_equal(place_effect(&e, a, 1, &p), TM_OK);
    assert_string_equal(e.u.object.row.owner, "file:host.example");
    assert_int_equal(place_from_row(&back, a, &e.u.object.row), TM_OK);
    assert_string_equal(back.name, p.name);
    assert_string_equal(back.refused, p.refused);
    assert_string_equal(back.chain[0], "aa");
    assert_string_equal(back.found_by, "r1");
    assert_int_equal(back.first, 1000);
    e.u.object.row.state = SLICE_LIT("[");
    assert_int_equal(place_from_row(&back, a, &e.u.object.row), TM_ECORRUPT);
    arena_free(a);
}

static void test_place_name_valid__text_with_a_scheme(void **state)
{
    (void)state;
    char longest[PLACE_NAME_MAX + 2];
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "file:", 5);
    longest[PLACE_NAME_MAX] = '\0';
    assert_true(place_name_valid("tls:192.0.2.1:443/www.example.org"));
    assert_true(place_name_valid(longest));
    longest[PLACE_NAME_MAX] = 'x';
    longest[PLACE_NAME_MAX + 1] = '\0';
    assert_false(place_name_valid(longest));
    assert_false(place_name_valid("tls"));
    assert_false(place_name_valid(":x"));
    assert_false(place_name_valid("tls:\n"));
    assert_false(place_name_valid("tls:\xff"));
}

static void test_place_address__in_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *address;
    } cases[] = {
        {"tls:192.0.2.1:443", "192.0.2.1"},
        {"tls:192.0.2.1:443/www.example.org", "192.0.2.1"},
        {"smtp:[2001:db8::1]:25/mx", "2001:db8::1"},
        {"tls:[::ffff:192.0.2.9]:443", "192.0.2.9"},
        {"agent:192.0.2.7/etc/ssl", "192.0.2.7"},
        {"tls:www.example.org:443", ""},
        {"tls:[2001:db8::1:443", ""},
        {"tls:192.0.2.1/8:443", "192.0.2.1"},
        {"tls:", ""},
        {"tls::443", ""},
        {"x", ""},
        {"file:unix:/x", ""},
        {"ct:log/1", ""},
        {"tls:[192.0.2.1", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address a;
        char text[ADDRESS_TEXT_MAX] = "";
        if (place_address(&a, cases[i].name))
            address_format(text, &a);
        assert_string_equal(text, cases[i].address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_meet__remembers_what_was_there),
        cmocka_unit_test(test_place_meet__history_is_bounded),
        cmocka_unit_test(test_place_meet__new_details_are_written_without_news),
        cmocka_unit_test(test_place_effect__is_read_back),
        cmocka_unit_test(test_place_name_valid__text_with_a_scheme),
        cmocka_unit_test(test_place_address__in_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
