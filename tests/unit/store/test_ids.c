/* Ids that cert_id does not have yet: a certificate is found, paged, revoked and refused as a double the same before and after they are
 * written there, and after a stop at any moment. */
#include "suite.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static tm_err wipe(struct suite_place *p)
{
    suite_directory_remove(p->config.path);
    return TM_OK;
}

static struct suite_place place = {.config = {.driver = "sqlite", .create = true}, .wipe = wipe};

static int group_setup(void **state)
{
    *state = &place;
    return 0;
}

enum { MANY = 20000, LEFT = 100 }; /* more than are kept at once; some that are kept */

/* The i-th: numbers rise and fall, so that rows are not in the order of their ids; a second has 700. */
static void id_of(uint8_t id[CERT_SERIAL_LEN], unsigned i)
{
    unsigned second = i / 700;
    suite_cert_id(id, i % 2 ? 2 * MANY - i : i, SUITE_NOW + SUITE_YEAR);
    id[4] = (uint8_t)(second >> 8);
    id[5] = (uint8_t)second;
}

static tenant_id tenant_of(unsigned i)
{
    return i % 4 == 3 ? 2 : 1;
}

static struct effect cert_of(struct suite *s, unsigned i)
{
    struct effect e = suite_cert(s, tenant_of(i), i, SUITE_NOW + SUITE_YEAR);
    id_of(e.u.cert.row.id, i);
    assert_ok(arena_copy(&e.u.cert.row.serial, s->arena, SLICE_ARR(e.u.cert.row.id)));
    return e;
}

static void add_certs(struct suite *s, unsigned from, unsigned to)
{
    enum { BATCH = 200 };
    struct arena *mine = s->arena;
    s->arena = arena_new(64 << 20);
    for (unsigned i = from; i < to;) {
        struct effect e[BATCH];
        unsigned n = 0;
        arena_reset(s->arena);
        for (; n < BATCH && i < to; i++)
            e[n++] = cert_of(s, i);
        assert_ok(commit(s, e, n));
    }
    arena_free(s->arena);
    s->arena = mine;
}

static tm_err by_id(struct suite *s, tenant_id tenant, unsigned i)
{
    struct arena *mine = s->arena;
    s->arena = arena_new(0);
    struct store_read r = {.kind = READ_CERT, .tenant = tenant};
    id_of(r.id, i);
    tm_err err = look(s, &r);
    if (err == TM_OK) {
        assert_int_equal(r.n, 1);
        assert_memory_equal(r.certs[0].id, r.id, sizeof r.id);
        assert_string_equal(r.certs[0].subject, arena_printf(s->arena, "CN=Device %u,O=Example", i));
    }
    arena_free(s->arena);
    s->arena = mine;
    return err;
}

/* Every one is found, none twice, in order. */
static void assert_complete(struct suite *s, unsigned n)
{
    unsigned seen[3] = {0};
    struct arena *mine = s->arena;
    for (unsigned i = 0; i < n; i += 61) {
        assert_ok(by_id(s, tenant_of(i), i));
        assert_err(TM_ENOTFOUND, by_id(s, 3 - tenant_of(i), i));
    }
    s->arena = arena_new(0);
    for (tenant_id tenant = 1; tenant <= 2; tenant++) {
        uint8_t last[CERT_SERIAL_LEN] = {0};
        struct store_read r = {.kind = READ_CERTS, .tenant = tenant, .limit = 777};
        r.filter.revoked = r.filter.source = -1;
        for (bool more = true; more; more = r.more) {
            r.after = SLICE_ARR(last);
            arena_reset(s->arena);
            assert_ok(look(s, &r));
            for (size_t i = 0; i < r.n; i++) {
                assert_true(memcmp(r.certs[i].id, last, sizeof last) > 0);
                memcpy(last, r.certs[i].id, sizeof last);
            }
            seen[tenant] += (unsigned)r.n;
        }
    }
    arena_free(s->arena);
    s->arena = mine;
    assert_int_equal(seen[1], n - n / 4);
    assert_int_equal(seen[2], n / 4);
}

static void test_ids__before_and_after(void **state)
{
    struct suite *s = *state;
    for (unsigned n = 0; n < MANY; n += 4000) {
        add_certs(s, n, n + 4000);
        assert_complete(s, n + 4000);
    }
    suite_reopen(s);
    assert_complete(s, MANY);
    add_certs(s, MANY, MANY + LEFT);
    assert_complete(s, MANY + LEFT);
}

static void test_ids__no_id_twice(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, MANY + LEFT);
    for (int reopened = 0; reopened < 2; reopened++) {
        static const unsigned ones[] = {0, 2, 8000, 8200, MANY - 2, MANY, MANY + LEFT - 2};
        for (size_t i = 0; i < sizeof ones / sizeof ones[0]; i++) {
            struct effect e = cert_of(s, ones[i]);
            assert_err(TM_ECONFLICT, commit1(s, &e));
        }
        /* Nor in one group, nor in one transaction. */
        unsigned fresh = 3 * MANY + 4 * (unsigned)reopened;
        struct effect e[2] = {cert_of(s, fresh), cert_of(s, fresh)};
        assert_err(TM_ECONFLICT, commit(s, e, 2));
        assert_err(TM_ENOTFOUND, by_id(s, 1, fresh));
        assert_ok(commit1(s, &e[0]));
        assert_err(TM_ECONFLICT, commit1(s, &e[1]));
        /* One that was refused for another reason leaves its id free. */
        struct effect refused[2] = {cert_of(s, fresh + 1),
                                    {.kind = EFFECT_EVENT_ERASE, .tenant = 1, .u.event.pos = 99}};
        assert_err(TM_ENOTFOUND, commit(s, refused, 2));
        assert_err(TM_ENOTFOUND, by_id(s, 1, fresh + 1));
        assert_ok(commit1(s, &refused[0]));
        suite_reopen(s);
    }
}

static void revoke_one(struct suite *s, unsigned i, tm_err wanted)
{
    struct effect e = {.kind = EFFECT_CERT_REVOKE, .tenant = 1};
    id_of(e.u.cert.row.id, i);
    e.u.cert.row.revoked_at = SUITE_NOW * 1000;
    assert_err(wanted, commit1(s, &e));
}

static void test_ids__revoked(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, MANY + LEFT);
    revoke_one(s, MANY, TM_OK);
    revoke_one(s, 0, TM_OK);
    revoke_one(s, 3 * MANY, TM_ENOTFOUND);
    for (int reopened = 0; reopened < 2; reopened++) {
        struct store_read r = {.kind = READ_CERTS, .tenant = 1};
        r.filter.source = -1;
        r.filter.revoked = 1;
        assert_ok(look(s, &r));
        assert_int_equal(r.n, 2);
        assert_true(r.certs[0].revoked_at && r.certs[1].revoked_at);
        revoke_one(s, MANY, TM_ECONFLICT);
        suite_reopen(s);
    }
}

static void copy_file(struct suite *s, const char *to, const char *name)
{
    static char buffer[1 << 16];
    int in = open(arena_printf(s->arena, "%s/%s", s->place->config.path, name), O_RDONLY);
    int out = open(arena_printf(s->arena, "%s/%s", to, name), O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(in >= 0 && out >= 0);
    for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;)
        assert_int_equal(write(out, buffer, (size_t)n), n);
    close(in);
    close(out);
}

/* The files as they lie when the power goes: what cert_id lacks comes from the rows. */
static void test_ids__after_a_cut(void **state)
{
    struct suite *s = *state;
    char *other = arena_printf(s->arena, "%s.cut", s->place->config.path);
    for (unsigned n = 0; n < MANY; n += 5000) {
        add_certs(s, n, n + 5000);
        struct suite cut = {.place = s->place, .arena = arena_new(0)};
        assert_int_equal(mkdir(other, 0700), 0);
        copy_file(s, other, "touchmark.db");
        copy_file(s, other, "touchmark.db-wal");
        struct store_config c = s->place->config;
        c.path = other;
        assert_ok(store_open(&cut.store, &c, NULL));
        assert_complete(&cut, n + 5000);
        add_certs(&cut, n + 5000, n + 5000 + LEFT);
        assert_complete(&cut, n + 5000 + LEFT);
        store_close(cut.store);
        arena_free(cut.arena);
        suite_directory_remove(other);
        other = arena_printf(s->arena, "%s.cut", s->place->config.path);
    }
}

/* A store that is open for reading alone sees what a writer beside it adds. */
static void test_ids__beside_the_writer(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 100);
    struct store_config c = s->place->config;
    c.read_only = true;
    struct suite reader = {.place = s->place, .arena = arena_new(0)};
    assert_ok(store_open(&reader.store, &c, NULL));
    assert_complete(&reader, 100);
    for (unsigned n = 100; n < MANY; n += 4900) {
        add_certs(s, n, n + 4900);
        assert_complete(&reader, n + 4900);
    }
    store_close(reader.store);
    arena_free(reader.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SUITE_TEST(test_ids__before_and_after),  SUITE_TEST(test_ids__no_id_twice),
        SUITE_TEST(test_ids__revoked),           SUITE_TEST(test_ids__after_a_cut),
        SUITE_TEST(test_ids__beside_the_writer),
    };
    char *path = suite_directory();
    place.config.path = path;
    int failed = cmocka_run_group_tests(tests, group_setup, NULL);
    suite_directory_remove(path);
    free(path);
    return failed;
}
