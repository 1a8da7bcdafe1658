/* Sessions in a store: those that are over stand there until they are swept, and hide no other. */
#include "identity/session.h"
#include "unit/authority/home_test.h"

enum { IDLE = SESSION_IDLE + 60, BATCHES = 8, BATCH = 30 };

static struct house *house;
static struct arena *arena;

static int begin(void **state)
{
    (void)state;
    test_dir_make();
    make_home_with(&(struct init_config){0});
    house = open_home();
    arena = arena_new(256 << 20);
    clock_fix(clock_now());
    return arena ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    clock_fix(0);
    arena_free(arena);
    house_close(house);
    free_home();
    test_dir_remove();
    return 0;
}

static const char *open_one(const char *principal)
{
    struct session_opened opened;
    struct diag diag = {0};
    struct session s = {.tenant = TENANT_DEFAULT,
                        .principal = principal,
                        .method = "passkey",
                        .peer = "",
                        .agent = "",
                        .token = "",
                        .roles = "",
                        .scopes = "",
                        .only_tenant = "",
                        .owner_of = "",
                        .provider = "",
                        .issuer = "",
                        .logout = ""};
    CHECK_OK(session_open(&opened, &s, arena, house, NULL, 0, &diag), diag);
    return arena_printf(arena, SESSION_COOKIE "=%s", opened.cookie);
}

static tm_err find(const char *cookie)
{
    char csrf[SESSION_CSRF_TEXT];
    struct session s;
    struct diag diag = {0};
    return session_find(&s, csrf, arena, house, cookie, false, &diag);
}

static void test_sessions_end__behind_many_that_are_over(void **state)
{
    (void)state;
    struct diag diag = {0};
    size_t n;
    for (int i = 0; i < BATCHES; i++) {
        for (int k = 0; k < BATCH; k++)
            open_one("ann");
        clock_fix(clock_now() + IDLE);
    }
    const char *mine = open_one("ann"), *other = open_one("ann"), *another = open_one("bob");
    assert_int_equal(find(mine), TM_OK);
    CHECK_OK(sessions_end(&n, house, TENANT_DEFAULT, "ann", NULL, "admin", "ended", &diag), diag);
    assert_int_equal(n, 2);
    assert_int_equal(find(mine), TM_EAUTH);
    assert_int_equal(find(other), TM_EAUTH);
    assert_int_equal(find(another), TM_OK);
}

static void test_session_open__the_oldest_leaves(void **state)
{
    (void)state;
    const char *first = open_one("ann"), *second = open_one("ann");
    for (int i = 2; i < SESSION_PER_USER_MAX; i++) {
        clock_fix(clock_now() + 1);
        open_one("ann");
    }
    assert_int_equal(find(first), TM_OK);
    clock_fix(clock_now() + 1);
    const char *last = open_one("ann");
    assert_int_equal((find(first) == TM_OK) + (find(second) == TM_OK), 1);
    assert_int_equal(find(last), TM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions_end__behind_many_that_are_over),
        cmocka_unit_test(test_session_open__the_oldest_leaves),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
