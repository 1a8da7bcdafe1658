/* Secrets that are needed again: sealed in the store, those of before too, and of use to nobody who has the store alone. */
#include "base/text.h"
#include "issue/secrets.h"
#include "issue_test.h"
#include "keys/sealed_secret.h"
#include <string.h>

static struct token_row row_of(struct arena *a, const char *id)
{
    struct store_read q = {.kind = READ_TOKEN, .tenant = TENANT_DEFAULT, .arena = a, .name = id};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    return q.tokens[0];
}

static bool hash_is_zero(const struct token_row *t)
{
    static const uint8_t zero[32];
    return memcmp(t->secret_hash, zero, sizeof zero) == 0;
}

/* The secret as the doors get it. */
static tm_err use(struct arena *a, const char *id, bool mac, const char **ret_text)
{
    struct caller c = {0};
    struct diag diag = {0};
    char *profile;
    uint8_t key[SHARED_SECRET_LEN];
    if (mac)
        return token_mac(&c, &profile, (char **)(uintptr_t)ret_text, a, house, TENANT_DEFAULT, "cmp", id,
                         &diag);
    TM_TRY(token_external(&c, &profile, key, a, house, TENANT_DEFAULT, "cmp", id, &diag));
    struct buf b;
    buf_init(&b, 256);
    buf_put_base64(&b, SLICE_ARR(key), BASE64_URL, 0);
    *ret_text = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return TM_OK;
}

static void test_token_create__seals_what_it_needs_again(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    for (int mac = 0; mac < 2; mac++) {
        struct token_spec s = {
            .endpoint = "cmp", .profile = "", .device = "", .ttl = 3600, .mac = mac, .external = !mac};
        struct diag diag = {0};
        char *id, *secret;
        const char *again = "";
        CHECK_OK(token_create(&id, &secret, a, house, TENANT_DEFAULT, &s, &diag), diag);
        struct token_row t = row_of(a, id);
        struct slice raw;
        assert_int_equal(base64_decode(&raw, a, slice_str(secret), BASE64_URL), TM_OK);
        assert_int_equal(raw.n, SHARED_SECRET_LEN);
        assert_int_equal(t.sealed.n, SHARED_SECRET_LEN + 29);
        assert_true(hash_is_zero(&t));
        assert_null(memmem(t.sealed.p, t.sealed.n, raw.p, 8));
        assert_int_equal(use(a, id, mac, &again), TM_OK);
        assert_string_equal(again, secret);
        assert_int_equal(use(a, id, mac, &again), TM_OK); /* kept in memory */
        assert_int_equal(use(a, id, !mac, &again), TM_EAUTH);
        CHECK_OK(token_revoke(house, TENANT_DEFAULT, id, "tester", &diag), diag);
        assert_int_equal(use(a, id, mac, &again), TM_EAUTH); /* kept or not */
    }
    arena_free(a);
}

/* Somebody with the store gives one token's secret to another. */
static void test_secrets_open__not_for_another_record(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct token_spec s = {.endpoint = "cmp", .profile = "", .device = "", .ttl = 3600, .mac = true};
    struct diag diag = {0};
    char *id[2], *secret;
    const char *text;
    for (int i = 0; i < 2; i++)
        CHECK_OK(token_create(&id[i], &secret, a, house, TENANT_DEFAULT, &s, &diag), diag);
    struct effect e = {.kind = EFFECT_TOKEN_SEAL, .tenant = TENANT_DEFAULT};
    e.u.token.row.id = id[0];
    e.u.token.row.sealed = row_of(a, id[1]).sealed;
    CHECK_OK(house_commit(house, &e, 1, &diag), diag);
    assert_int_equal(use(a, id[0], true, &text), TM_EDENIED);
    assert_int_equal(use(a, id[1], true, &text), TM_OK);
    arena_free(a);
}

enum { PLAIN = 210 }; /* more than a page */

static char plain_id[PLAIN][8];

static void add_plain(void)
{
    static const char *const claims[] = {"{\"type\":\"mac\",\"endpoint\":\"cmp\"}",
                                         "{\"type\":\"external\",\"endpoint\":\"cmp\"}",
                                         "{\"type\":\"enrollment\",\"endpoint\":\"cmp\"}"};
    static struct effect e[PLAIN];
    struct diag diag = {0};
    for (int i = 0; i < PLAIN; i++) {
        snprintf(plain_id[i], sizeof plain_id[i], "old-%03d", i);
        e[i] = (struct effect){.kind = EFFECT_TOKEN_ADD, .tenant = TENANT_DEFAULT};
        e[i].u.token.row = (struct token_row){.id = plain_id[i],
                                              .claims = claims[i % 3],
                                              .expires_at = clock_now() + 3600,
                                              .max_uses = 1,
                                              .created_by = "tester"};
        memset(e[i].u.token.row.secret_hash, i + 1, 32);
    }
    CHECK_OK(house_commit(house, e, PLAIN, &diag), diag);
}

/* A home from before: no key for secrets, and they stand in the store as they are. */
static void test_secrets_migrate__a_home_of_before(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    const char *text = "";
    add_plain();
    struct effect mark = {.kind = EFFECT_META_PUT, .tenant = TENANT_HOUSE};
    mark.u.meta.name = "secrets.sealed";
    mark.u.meta.value = SLICE_LIT("0");
    CHECK_OK(house_commit(house, &mark, 1, &diag), diag);
    house_close(house);
    house = open_home(); /* as any start does */
    for (int i = 0; i < PLAIN; i++) {
        uint8_t plain[32];
        struct slice raw;
        struct token_row t = row_of(a, plain_id[i]);
        memset(plain, i + 1, sizeof plain);
        if (i % 3 == 2) {
            assert_int_equal(t.sealed.n, 0);
            assert_memory_equal(t.secret_hash, plain, sizeof plain);
            continue;
        }
        assert_true(hash_is_zero(&t) && t.sealed.n == SHARED_SECRET_LEN + 29);
        assert_int_equal(use(a, plain_id[i], i % 3 == 0, &text), TM_OK);
        assert_int_equal(base64_decode(&raw, a, slice_str(text), BASE64_URL), TM_OK);
        assert_true(slice_eq(raw, SLICE_ARR(plain)));
    }
    assert_int_equal(events_of(a, TENANT_HOUSE, "secrets.sealed"), 1);
    assert_true(events_of(a, TENANT_HOUSE, "secrets.opened") >= 1);
    arena_free(a);
}

static void test_secrets_key_ensure__makes_it_once(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct secret wrong = {0};
    const char *text;
    struct arena *a = arena_new(0);
    char *dir = arena_printf(a, "%s/keys", house->home);
    char *path = arena_printf(a, "%s/" SECRETS_KEY ".key", dir), *aside = arena_printf(a, "%s.aside", path);
    assert_int_equal(secret_copy(&wrong, SLICE_LIT("not this one")), TM_OK);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(secrets_key_ensure(dir, &wrong, &diag),
                     TM_ELOCKED); /* none under a mistyped passphrase */
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(secrets_key_ensure(dir, &wrong, &diag), TM_OK);
    assert_int_equal(use(a, "old-000", true, &text), TM_OK);
    secret_done(&wrong);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_create__seals_what_it_needs_again),
        cmocka_unit_test(test_secrets_open__not_for_another_record),
        cmocka_unit_test(test_secrets_migrate__a_home_of_before),
        cmocka_unit_test(test_secrets_key_ensure__makes_it_once),
    };
    return cmocka_run_group_tests(tests, issue_setup, issue_teardown);
}
