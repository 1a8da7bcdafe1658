/* register_verify(): a house in order passes; whatever is changed in its database is found and named. */
#include "house.h"

static void fill(struct house *h)
{
    house_issue(h, 1, 5);
    house_sequence(h);
    house_events(h, 1, 600);
    house_events(h, 2, 3);
    house_issue(h, 2, 2);
    house_sequence(h);
    house_issue(h, 1, 3);
    house_events(h, 0, 10);
    house_sequence(h);
    house_sequence(h);
}

static void test_verify__in_order(void **state)
{
    struct house *h = *state;
    struct register_report r = house_verify(h, 0);
    assert_int_equal(r.events, 0);
    fill(h);
    r = house_verify(h, 1);
    assert_int_equal(r.events, 608);
    assert_int_equal(r.certificates, 8);
    assert_int_equal(r.checkpoints, 3);
    assert_int_equal(r.erased, 0);
    r = house_verify(h, 0);
    assert_int_equal(r.chain_gaps, 0);
    assert_true(r.chain_seq > 8);
    house_events(h, 1, 4);
    assert_int_equal(house_verify(h, 1).waiting, 4);
}

static void count_percent(void *arg, int percent)
{
    int *last = arg;
    assert_true(percent > *last && percent <= 100);
    *last = percent;
}

static void test_verify__progress(void **state)
{
    struct house *h = *state;
    struct register_report r;
    int last = -1;
    house_events(h, 1, 5000);
    assert_ok(register_verify(&r, h->reg, 1, count_percent, &last, NULL));
    assert_int_equal(last, 100);
}

static void test_verify__erased(void **state)
{
    struct house *h = *state;
    fill(h);
    house_erase(h, 1, 300);
    struct register_report r = house_verify(h, 1);
    assert_int_equal(r.erased, 1);
    assert_int_equal(r.events, 609);
}

/* key of event `pos` in the log of a tenant: tenant << 40 | pos */
#define KEY1 "1099511627776"
#define KEY2 "2199023255552"

static const struct {
    const char *sql;
    int tenant;
    const char *field, *says; /* what the report has to name */
} changes[] = {
    {"UPDATE event SET body = replace(body, '\"n\":7', '\"n\":8') WHERE key = " KEY1 " + 12", 1, "event",
     "event 12 "},
    {"UPDATE event SET salt = x'00112233445566778899aabbccddeeff' WHERE key = " KEY1 " + 200", 1, "event",
     "event 200 "},
    {"UPDATE event SET leaf = zeroblob(32) WHERE key = " KEY1 " + 0", 1, "event", "event 0 "},
    {"UPDATE event SET type = 'test.denied' WHERE key = " KEY1 " + 12", 1, "event", "event 12 "},
    {"UPDATE event SET subject = 'thing/2' WHERE key = " KEY1 " + 12", 1, "event", "event 12 "},
    {"UPDATE event SET time = time + 1 WHERE key = " KEY1 " + 12", 1, "event", "event 12 "},
    {"UPDATE event SET salt = x'' WHERE key = " KEY1 " + 12", 1, "event", "event 12 "},
    {"UPDATE event SET salt = x'', body = '{\"chain\":1}' WHERE key = " KEY1 " + 12", 1, "event",
     "event 12 "},
    {"UPDATE event SET body = x'' WHERE key = " KEY1 " + 12", 1, "event", "event 12 "},
    /* Erased behind everybody's back; one of the register itself, which stays. */
    {"UPDATE event SET salt = x'', body = x'' WHERE key = " KEY1 " + 33", 1, "event", "event 33 "},
    {"UPDATE event SET salt = x'', body = x'', type = 'register.other' WHERE key = " KEY1 " + 33", 1, "event",
     "event 33 "},
    {"DELETE FROM event WHERE key = " KEY1 " + 100", 1, "event", "event 100 "},
    {"DELETE FROM event WHERE key = " KEY1 " + 607", 1, "event", "event 607 "},
    {"DELETE FROM event WHERE key >= " KEY1 " AND key < " KEY2, 1, "event", "event 0 "},
    /* Two events in each other's place: each is whole, the tile is not. */
    {"UPDATE event SET key = 0x70000000000 WHERE key = " KEY1 " + 20; UPDATE event SET key = " KEY1
     " + 20 WHERE key = " KEY1 " + 30; UPDATE event SET key = " KEY1 " + 30 WHERE key = 0x70000000000",
     1, "tile", "at event 20"},
    /* The same where no tile is full yet: only the checkpoints know. */
    {"UPDATE event SET key = 0x70000000000 WHERE key = " KEY1 " + 550; UPDATE event SET key = " KEY1
     " + 550 WHERE key = " KEY1 " + 551; UPDATE event SET key = " KEY1 " + 551 WHERE key = 0x70000000000",
     1, "checkpoint", "between event 5 and event 604"},
    /* An event erased as if by right, with another leaf. */
    {"UPDATE event SET salt = x'', body = x'', leaf = zeroblob(32) WHERE key = " KEY1 " + 33", 1, "tile",
     "at event 33"},
    {"UPDATE tile SET hashes = zeroblob(8192) WHERE key = 8796093022208", 1, "tile", "tile 0/0 "},
    {"UPDATE tile SET hashes = substr(hashes, 1, 8160) WHERE key = 8796093022208", 1, "tile", "tile 0/0 "},
    {"DELETE FROM tile WHERE key = 8796093022209", 1, "tile", "tile 0/1 "},
    {"UPDATE checkpoint SET root = zeroblob(32) WHERE tenant = 1 AND size = 5", 1, "checkpoint", "size 5 "},
    {"UPDATE checkpoint SET size = 6 WHERE tenant = 1 AND size = 5", 1, "checkpoint", "size 6 "},
    {"UPDATE checkpoint SET note = replace(note, 'touchmark/1' || char(10), 'touchmark/3' || char(10)) WHERE tenant = 1 AND size = 5",
     1, "checkpoint", "size 5"},
    {"UPDATE checkpoint SET note = substr(note, 1, length(note) - 6) || 'AAAA=' || char(10) WHERE tenant = 1 AND size = 605",
     1, "checkpoint", "size 605 "},
    /* A tenant's checkpoint that the house's log anchors is gone. */
    {"DELETE FROM checkpoint WHERE tenant = 1 AND size = 605", 0, "checkpoint", "size 605 "},
    /* Certificates. */
    {"DELETE FROM cert WHERE tenant = 1 AND seq = (SELECT min(seq) FROM cert WHERE tenant = 1)", 1,
     "certificate", "event 0 records "},
    {"UPDATE cert_id SET tenant = 2 WHERE tenant = 1 AND seq = (SELECT min(seq) FROM cert)", 2, "certificate",
     "ends in 000000000001 has no"},
    {"UPDATE cert SET fingerprint = zeroblob(32) WHERE seq = (SELECT min(seq) FROM cert)", 1, "certificate",
     "000000000001"},
    {"UPDATE cert SET der = cast('another' as blob) WHERE seq = (SELECT min(seq) FROM cert)", 1,
     "certificate", "000000000001"},
};

static void test_verify__every_change_is_found(void **state)
{
    struct house *h = *state;
    size_t n = sizeof changes / sizeof changes[0];
    for (size_t i = 0; i < n; i++) {
        struct register_report report;
        struct diag diag = {0};
        fill(h);
        house_verify(h, 1);
        house_verify(h, 0);
        house_sql(h, changes[i].sql);
        tm_err err = register_verify(&report, h->reg, (tenant_id)changes[i].tenant, NULL, NULL, &diag);
        if (err != TM_ECORRUPT || strcmp(diag.field, changes[i].field) != 0 ||
            !strstr(diag.message, changes[i].says))
            fail_msg("%s: %d, %s: %s", changes[i].sql, (int)err, diag.field, diag.message);
        if (i + 1 < n) { /* a fresh house for the next */
            void *s = h;
            house_teardown(&s);
            assert_int_equal(house_setup(&s), 0);
            *state = h = s;
        }
    }
}

/* Any single bit of an event's salt, body, leaf, or of a tile or note. */
static void test_verify__any_bit(void **state)
{
    static const struct {
        const char *table, *column, *where;
        int step;
    } places[] = {
        {"event", "body", "key = " KEY1 " + 1", 13},
        {"event", "salt", "key = " KEY1 " + 1", 1},
        {"event", "leaf", "key = " KEY1 " + 1", 3},
        {"tile", "hashes", "key = 8796093022208", 401},
        {"checkpoint", "note", "tenant = 1 AND size = 5", 7},
        {"checkpoint", "root", "tenant = 1 AND size = 5", 5},
    };
    struct house *h = *state;
    fill(h);
    for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
        house_down(h);
        sqlite3 *db;
        sqlite3_stmt *get;
        assert_int_equal(sqlite3_open(arena_printf(test_arena, "%s/touchmark.db", h->dir), &db), SQLITE_OK);
        const char *sql = arena_printf(test_arena, "SELECT %s FROM %s WHERE %s", places[p].column,
                                       places[p].table, places[p].where);
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &get, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(get), SQLITE_ROW);
        struct slice was;
        assert_ok(arena_copy(&was, test_arena,
                             slice_of(sqlite3_column_blob(get, 0), (size_t)sqlite3_column_bytes(get, 0))));
        sqlite3_finalize(get);
        sqlite3_close(db);
        house_up(h);
        for (size_t at = 0; at < was.n; at += (size_t)places[p].step) {
            char *hex = arena_hex(test_arena, was);
            hex[2 * at] = hex[2 * at] == '0' ? '1' : '0';
            house_sql(h, arena_printf(test_arena, "UPDATE %s SET %s = x'%s' WHERE %s", places[p].table,
                                      places[p].column, hex, places[p].where));
            struct register_report report;
            struct diag diag = {0};
            if (register_verify(&report, h->reg, 1, NULL, NULL, &diag) != TM_ECORRUPT)
                fail_msg("%s.%s[%zu] changed unseen", places[p].table, places[p].column, at);
            house_sql(h, arena_printf(test_arena, "UPDATE %s SET %s = x'%s' WHERE %s", places[p].table,
                                      places[p].column, arena_hex(test_arena, was), places[p].where));
        }
        house_verify(h, 1);
    }
}

/* ---- the signer's chain ---- */

static void assert_chain_broken(struct house *h, const char *says)
{
    struct register_report report;
    struct diag diag = {0};
    tm_err err = register_verify(&report, h->reg, 0, NULL, NULL, &diag);
    if (err != TM_ECORRUPT || !strstr(diag.message, says))
        fail_msg("%d, %s: %s", (int)err, diag.field, diag.message);
}

/* A signature that was counted as recorded but is in no log: what a taken-over server would have to do. */
static void test_verify_chain__unrecorded_signature(void **state)
{
    struct house *h = *state;
    house_issue(h, 1, 2);
    house_chain_add(&h->signer, SIGN_CA, (const uint8_t[32]){7});
    house_chain_record(&h->signer, h->signer.seq);
    house_issue(h, 1, 2);
    house_sequence(h);
    assert_chain_broken(h, "signature 3 of the signer is recorded nowhere");
}

static void record(struct house *h, tenant_id tenant, uint64_t seq, const char *kind, const uint8_t tbs[32])
{
    struct arena *a = arena_new(0);
    struct effect e;
    struct slice body;
    struct event_field fields[] = {{.key = "chain", .kind = EVENT_INT, .i = (int64_t)seq},
                                   {.key = "kind", .kind = EVENT_STR, .s = slice_str(kind)},
                                   {.key = "tbs", .kind = EVENT_HEX, .s = slice_of(tbs, 32)},
                                   {0}};
    assert_ok(register_event_body(&body, a, fields));
    assert_ok(register_event_effect(&e, a, tenant, "signature.orphaned", "key/x", body, clock_now_ms()));
    house_commit(h, &e, 1);
    arena_free(a);
}

/* Recorded as something else than was signed. */
static void test_verify_chain__other_content(void **state)
{
    struct house *h = *state;
    const uint8_t tbs[32] = {7};
    house_issue(h, 1, 2);
    house_chain_add(&h->signer, SIGN_CA, tbs);
    record(h, 0, 3, "leaf", tbs);
    house_chain_record(&h->signer, 3);
    house_sequence(h);
    assert_chain_broken(h, "between 1 and 3");
}

static void test_verify_chain__two_contents(void **state)
{
    struct house *h = *state;
    const uint8_t tbs[32] = {7}, other[32] = {8};
    house_chain_add(&h->signer, SIGN_CRL, tbs);
    house_chain_add(&h->signer, SIGN_CRL, tbs);
    record(h, 1, 2, "crl", tbs);
    record(h, 0, 2, "crl", other);
    record(h, 0, 1, "crl", tbs);
    house_chain_record(&h->signer, 1);
    house_chain_record(&h->signer, 2);
    house_sequence(h);
    assert_chain_broken(h, "between 1 and 2");
}

/* Recorded twice alike, out of order, late, in any log. */
static void test_verify_chain__order_does_not_matter(void **state)
{
    struct house *h = *state;
    uint8_t tbs[40][32] = {{0}};
    for (unsigned i = 1; i < 40; i++) {
        tbs[i][0] = (uint8_t)i;
        house_chain_add(&h->signer, i % SIGN_KIND_COUNT, tbs[i]);
    }
    for (unsigned i = 1; i < 40; i++) {
        unsigned k = i * 7 % 40 ? i * 7 % 40 : 1;
        record(h, i % 3, k, sign_kind_names[k % SIGN_KIND_COUNT], tbs[k]);
        house_chain_record(&h->signer, k);
        if (i % 9 == 0)
            house_sequence(h);
    }
    for (unsigned i = 1; i < 40; i += 5)
        record(h, 2, i, sign_kind_names[i % SIGN_KIND_COUNT], tbs[i]);
    house_sequence(h);
    house_sequence(h);
    house_issue(h, 1, 1);
    house_sequence(h);
    assert_true(house_verify(h, 0).chain_seq >= 39);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOUSE_TEST(test_verify__in_order),
        HOUSE_TEST(test_verify__progress),
        HOUSE_TEST(test_verify__erased),
        HOUSE_TEST(test_verify__every_change_is_found),
        HOUSE_TEST(test_verify__any_bit),
        HOUSE_TEST(test_verify_chain__unrecorded_signature),
        HOUSE_TEST(test_verify_chain__other_content),
        HOUSE_TEST(test_verify_chain__two_contents),
        HOUSE_TEST(test_verify_chain__order_does_not_matter),
    };
    return cmocka_run_group_tests_name("register/verify", tests, NULL, NULL);
}
