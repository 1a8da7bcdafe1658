#include "api/posture_rules.h"
#include "base/arena.h"
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

enum { DAY = 86400 };

/* A house in which all is well. */
static struct posture_facts well(void)
{
    return (struct posture_facts){
        .now = 1795000000,
        .issued = 40,
        .top_rule = "",
        .by_protocol = 40,
        .servers = 10,
        .servers_47d = 10,
        .servers_today = 10,
        .public_max = 200 * DAY,
        .long_profile = "",
        .endpoints = 4,
        .unproven_name = "",
        .keygen_name = "",
        .alone_name = "",
        .authorities = 3,
        .short_name = "",
        .weak_name = "",
        .lists = 3,
        .fresh = 3,
        .stale_name = "",
        .issuers = 2,
        .responders = 2,
        .silent_issuer = "",
        .lone_name = "",
        .roots = 1,
        .roots_offline = 1,
        .online_root = "",
        .series = 1,
        .series_name = "",
        .profiles = 5,
        .untold_name = "",
        .measured = 3,
        .median_ms = 40,
        .worst_ms = 900,
        .failing_job = "",
        .signer_there = true,
        .signer_apart = true,
        .signer_own_user = true,
        .backup_at = 1795000000 - 3600,
        .deciders = 4,
        .mass_four_eyes = true,
        .checkpoint_at = 1795000000 - 2,
    };
}

struct bench {
    struct arena *a;
    struct posture_check v[POSTURE_CHECKS_MAX];
    size_t n;
};

static void look(struct bench *b, const struct posture_facts *f)
{
    b->a = arena_new(0);
    b->n = posture_checks(b->v, b->a, f);
}

static const struct posture_check *check(const struct bench *b, const char *id)
{
    for (size_t i = 0; i < b->n; i++)
        if (strcmp(b->v[i].id, id) == 0)
            return &b->v[i];
    fail_msg("there is no check %s", id);
    return &b->v[0];
}

static void test_posture_checks__all_well(void **state)
{
    (void)state;
    struct posture_facts f = well();
    struct bench b;
    look(&b, &f);
    for (size_t i = 0; i < b.n; i++) {
        assert_int_equal(b.v[i].score, 100);
        assert_string_equal(b.v[i].move, "");
        assert_true(strlen(b.v[i].fact) > 10 && b.v[i].weight > 0);
        assert_int_equal(posture_gain(b.v, b.n, &b.v[i]), 0);
    }
    for (int axis = 0; axis < POSTURE_AXES; axis++)
        assert_int_equal(posture_axis_score(b.v, b.n, (enum posture_axis)axis), 100);
    arena_free(b.a);
}

/* Every check that is not all right says what to do, and what it would bring. */
static void test_posture_checks__all_ill(void **state)
{
    (void)state;
    struct posture_facts f = well();
    f.denied = 60, f.top_rule = "key.strength", f.top_rule_n = 50;
    f.by_protocol = 0, f.by_hand = 40;
    f.waiting = 2, f.oldest_wait = 20 * DAY;
    f.unproven = 4, f.unproven_name = "old-gear";
    f.servers_47d = f.servers_today = 0, f.long_profile = "year", f.long_n = 10;
    f.ending = f.ending_alone = 5, f.alone_name = "CN=x";
    f.short_lived = f.weak = 3, f.short_name = f.weak_name = "a";
    f.fresh = 0, f.stale_name = "a";
    f.responders = 0, f.silent_issuer = "a", f.lone = 2, f.lone_name = "a";
    f.untold = 5, f.untold_name = "p";
    f.worst_ms = (int64_t)DAY * 2000;
    f.failing_job = "crl.due";
    f.signer_there = false;
    f.roots_offline = 0, f.online_root = "root", f.passphrase_beside = true;
    f.keygen = 4, f.keygen_name = "est";
    f.backup_at = 0, f.series_short = 1, f.series_name = "root";
    f.deciders = 0, f.mass_four_eyes = false, f.uncovered = 9, f.checkpoint_at = f.now - 2 * DAY;
    struct bench b;
    look(&b, &f);
    for (size_t i = 0; i < b.n; i++) {
        if (b.v[i].score == 100)
            fail_msg("%s", b.v[i].id);
        assert_true(strlen(b.v[i].move) > 10);
        assert_true(posture_gain(b.v, b.n, &b.v[i]) > 0);
    }
    assert_non_null(strstr(check(&b, "enrollment.success")->move, "key.strength"));
    assert_non_null(strstr(check(&b, "enrollment.waiting")->fact, "2 requests wait, the oldest for 20 days"));
    arena_free(b.a);
}

/* What has nothing to look at counts neither for nor against. */
static void test_posture_axis_score__nothing_to_look_at(void **state)
{
    (void)state;
    struct posture_facts f = well();
    f.issued = f.by_protocol = 0;
    struct bench b;
    look(&b, &f);
    assert_int_equal(check(&b, "enrollment.success")->score, -1);
    assert_int_equal(check(&b, "enrollment.automated")->score, -1);
    assert_int_equal(posture_axis_score(b.v, b.n, POSTURE_ENROLLMENT), 100);
    assert_int_equal(posture_gain(b.v, b.n, check(&b, "enrollment.success")), 0);
    struct posture_check none = {.axis = POSTURE_KEYS, .score = -1, .weight = 10};
    assert_int_equal(posture_axis_score(&none, 1, POSTURE_KEYS), -1);
    arena_free(b.a);
}

static void test_posture_gain__is_what_the_axis_rises_by(void **state)
{
    (void)state;
    struct posture_facts f = well();
    f.backup_at = 0;
    struct bench b;
    look(&b, &f);
    int now = posture_axis_score(b.v, b.n, POSTURE_INCIDENT);
    assert_int_equal(now + posture_gain(b.v, b.n, check(&b, "incident.backup")), 100);
    arena_free(b.a);
}

static void test_posture_public_max__by_the_calendar(void **state)
{
    (void)state;
    assert_int_equal(posture_public_max(1773532799) / DAY, 398);
    assert_int_equal(posture_public_max(1773532800) / DAY, 200); /* 15 March 2026 */
    assert_int_equal(posture_public_max(1805068800) / DAY, 100); /* 15 March 2027 */
    assert_int_equal(posture_public_max(1868227199) / DAY, 100);
    assert_int_equal(posture_public_max(1868227200) / DAY, 47); /* 15 March 2029 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posture_checks__all_well),
        cmocka_unit_test(test_posture_checks__all_ill),
        cmocka_unit_test(test_posture_axis_score__nothing_to_look_at),
        cmocka_unit_test(test_posture_gain__is_what_the_axis_rises_by),
        cmocka_unit_test(test_posture_public_max__by_the_calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
