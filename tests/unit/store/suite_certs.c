#include "suite.h"
#include <string.h>

static void add_certs(struct suite *s, unsigned from, unsigned to, int64_t not_after)
{
    for (unsigned i = from; i < to; i++) {
        struct effect e = suite_cert(s, TENANT_DEFAULT, i, not_after);
        assert_ok(commit1(s, &e));
    }
}

static void test_cert_add__read_by_id(void **state)
{
    struct suite *s = *state;
    struct effect e = suite_cert(s, TENANT_DEFAULT, 7, SUITE_NOW + SUITE_YEAR);
    assert_ok(commit1(s, &e));
    struct store_read r = {.kind = READ_CERT, .tenant = TENANT_DEFAULT};
    memcpy(r.id, e.u.cert.row.id, sizeof r.id);
    assert_ok(look(s, &r));
    const struct cert_row *row = &r.certs[0];
    assert_int_equal(r.n, 1);
    assert_memory_equal(row->id, e.u.cert.row.id, CERT_SERIAL_LEN);
    assert_true(slice_eq(row->serial, SLICE_ARR(row->id)));
    assert_string_equal(row->authority, "issuing");
    assert_string_equal(row->profile, "odd");
    assert_int_equal(row->profile_version, 3);
    assert_string_equal(row->subject, "CN=Device 7,O=Example");
    assert_string_equal(row->device, "dev-0");
    assert_string_equal(row->endpoint, "factory");
    assert_int_equal(row->door, 1);
    assert_int_equal(row->issued_at, SUITE_NOW * 1000);
    assert_int_equal(row->not_before, SUITE_NOW);
    assert_int_equal(row->not_after, SUITE_NOW + SUITE_YEAR);
    assert_int_equal(row->keep_until, SUITE_NOW + SUITE_YEAR + 86400);
    assert_memory_equal(row->fingerprint, e.u.cert.row.fingerprint, 32);
    assert_memory_equal(row->spki_hash, e.u.cert.row.spki_hash, 32);
    assert_true(slice_eq(row->der, e.u.cert.row.der));
    assert_int_equal(row->revoked_at, 0);
}

static void test_cert_add__id_twice(void **state)
{
    struct suite *s = *state;
    struct effect e[2] = {suite_cert(s, TENANT_DEFAULT, 7, SUITE_NOW),
                          suite_event(TENANT_DEFAULT, "t", "s", 1)};
    assert_ok(commit(s, e, 2));
    struct store_txn t = {.effects = e, .n = 2};
    assert_err(TM_ECONFLICT, store_commit(s->store, &t));
    assert_int_equal(t.failed, 0);
    /* The event did not come either. */
    struct store_read r = {.kind = READ_LOG_SIZE, .tenant = TENANT_DEFAULT};
    assert_ok(look(s, &r));
    assert_int_equal(r.count, 1);
    /* Another tenant has ids of its own. */
    struct effect other = suite_cert(s, 5, 7, SUITE_NOW);
    assert_ok(commit1(s, &other));
}

static void test_cert_add__event_first_and_id_taken(void **state)
{
    struct suite *s = *state;
    struct effect e[2] = {suite_event(TENANT_DEFAULT, "t", "s", 1),
                          suite_cert(s, TENANT_DEFAULT, 7, SUITE_NOW)};
    assert_ok(commit(s, e, 2));
    struct store_txn t = {.effects = e, .n = 2};
    assert_err(TM_ECONFLICT, store_commit(s->store, &t));
    assert_int_equal(t.failed, 1);
    struct store_read r = {.kind = READ_EVENTS, .tenant = TENANT_DEFAULT};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 1);
}

static void test_cert_add__many_in_one_all_or_nothing(void **state)
{
    struct suite *s = *state;
    struct effect first = suite_cert(s, TENANT_DEFAULT, 3, SUITE_NOW);
    assert_ok(commit1(s, &first));
    struct effect e[5];
    for (unsigned i = 0; i < 5; i++)
        e[i] = suite_cert(s, TENANT_DEFAULT, i, SUITE_NOW);
    struct store_txn t = {.effects = e, .n = 5};
    assert_err(TM_ECONFLICT, store_commit(s->store, &t));
    assert_int_equal(t.failed, 3);
    struct store_read r = {.kind = READ_COUNTS, .tenant = TENANT_DEFAULT};
    assert_ok(look(s, &r));
    assert_int_equal(r.counts.certs, 1);
    struct store_read k = suite_by_key(TENANT_DEFAULT, CERT_KEY_CN, "device 1");
    assert_ok(look(s, &k));
    assert_int_equal(k.n, 0);
}

static void test_read_cert__unknown(void **state)
{
    struct suite *s = *state;
    struct store_read r = {.kind = READ_CERT, .tenant = TENANT_DEFAULT};
    assert_err(TM_ENOTFOUND, look(s, &r));
}

static void test_read_certs_by_key__each_kind(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 30, SUITE_NOW + SUITE_YEAR);
    struct effect like = suite_cert(s, TENANT_DEFAULT, 17, SUITE_NOW + SUITE_YEAR);
    for (size_t i = 0; i < 5; i++) {
        struct store_read r = {
            .kind = READ_CERTS_BY_KEY, .tenant = TENANT_DEFAULT, .key = like.u.cert.keys[i]};
        assert_ok(look(s, &r));
        assert_int_equal(r.n, 1);
        assert_memory_equal(r.certs[0].id, like.u.cert.row.id, CERT_SERIAL_LEN);
        assert_int_equal(r.certs[0].der.n, 0);
    }
    struct store_read r = suite_by_key(TENANT_DEFAULT, CERT_KEY_SUBJECT, "cn=DEVICE 17,o=example");
    r.with_der = true;
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 1);
    assert_true(slice_eq(r.certs[0].der, like.u.cert.row.der));
    r = suite_by_key(2, CERT_KEY_SUBJECT, "cn=DEVICE 17,o=example");
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 0);
    r = suite_by_key(TENANT_DEFAULT, CERT_KEY_SAN, "Device 17");
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 0);
}

static void test_read_certs_by_key__newest_first_and_paged(void **state)
{
    struct suite *s = *state;
    add_certs(s, 20, 30, SUITE_NOW + SUITE_YEAR);
    struct store_read r = suite_by_key(TENANT_DEFAULT, CERT_KEY_DEVICE, "dev-2");
    unsigned expected = 30;
    bool more = true;
    while (more) {
        r.limit = 4;
        assert_ok(look(s, &r));
        for (size_t i = 0; i < r.n; i++)
            assert_int_equal(r.certs[i].id[15], --expected);
        more = r.more;
        r.after = r.page_next;
    }
    assert_int_equal(expected, 20);
}

static void test_read_certs_by_key__after_reopen(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 10, SUITE_NOW + SUITE_YEAR);
    suite_reopen(s);
    add_certs(s, 10, 12, SUITE_NOW + SUITE_YEAR);
    for (unsigned i = 0; i < 12; i++) {
        struct store_read r =
            suite_by_key(TENANT_DEFAULT, CERT_KEY_SAN, arena_printf(s->arena, "DNS:d%u.example.org", i));
        assert_ok(look(s, &r));
        assert_int_equal(r.n, 1);
        assert_int_equal(r.certs[0].id[15], i);
    }
}

static void test_read_certs_by_key__foreign_serial(void **state)
{
    struct suite *s = *state;
    struct effect e = suite_cert(s, TENANT_DEFAULT, 1, SUITE_NOW);
    struct cert_key keys[2] = {{CERT_KEY_FOREIGN_SERIAL, SLICE_LIT("\x01\x02\x03")},
                               {CERT_KEY_CN, SLICE_LIT("x")}};
    e.u.cert.row.id[0] |= 0x80;
    e.u.cert.row.source = CERT_IMPORTED;
    e.u.cert.row.serial = keys[0].value;
    e.u.cert.keys = keys;
    e.u.cert.n_keys = 2;
    assert_ok(commit1(s, &e));
    suite_reopen(s);
    struct store_read r = {.kind = READ_CERTS_BY_KEY, .tenant = TENANT_DEFAULT, .key = keys[0]};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 1);
    assert_true(slice_eq(r.certs[0].serial, keys[0].value));
}

static unsigned count_pages(struct suite *s, struct store_read *r)
{
    unsigned n = 0;
    bool more = true;
    uint8_t last[CERT_SERIAL_LEN] = {0};
    while (more) {
        assert_ok(look(s, r));
        for (size_t i = 0; i < r->n; i++) {
            assert_true(memcmp(r->certs[i].id, last, sizeof last) > 0);
            memcpy(last, r->certs[i].id, sizeof last);
        }
        n += (unsigned)r->n;
        more = r->more;
        r->after = r->page_next;
    }
    return n;
}

static void test_read_certs__filters(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 40, SUITE_NOW + SUITE_YEAR);
    add_certs(s, 40, 50, SUITE_NOW + 2 * SUITE_YEAR);
    struct effect imported = suite_cert(s, TENANT_DEFAULT, 50, SUITE_NOW + SUITE_YEAR);
    imported.u.cert.row.id[0] |= 0x80;
    imported.u.cert.row.source = CERT_IMPORTED;
    assert_ok(commit1(s, &imported));
    struct effect revoke = suite_cert(s, TENANT_DEFAULT, 3, SUITE_NOW + SUITE_YEAR);
    revoke.kind = EFFECT_CERT_REVOKE;
    revoke.u.cert.row.revoked_at = SUITE_NOW * 1000;
    revoke.u.cert.row.reason = 1;
    assert_ok(commit1(s, &revoke));
    static const struct {
        struct cert_filter filter;
        unsigned n;
    } cases[] = {
        {{.revoked = -1, .source = -1}, 51},
        {{.revoked = -1, .source = -1, .authority = "issuing"}, 51},
        {{.revoked = -1, .source = -1, .authority = "another"}, 0},
        {{.revoked = -1, .source = -1, .profile = "odd"}, 25},
        {{.revoked = -1, .source = -1, .device = "dev-1"}, 10},
        {{.revoked = 1, .source = -1}, 1},
        {{.revoked = 0, .source = -1}, 50},
        {{.revoked = 1, .source = -1, .profile = "even"}, 0},
        {{.revoked = -1, .source = CERT_IMPORTED}, 1},
        {{.revoked = -1, .source = -1, .not_after_from = SUITE_NOW + SUITE_YEAR + 1}, 10},
        {{.revoked = -1, .source = -1, .not_after_to = SUITE_NOW + SUITE_YEAR}, 41},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct store_read r = {
            .kind = READ_CERTS, .tenant = TENANT_DEFAULT, .filter = cases[i].filter, .limit = 7};
        assert_int_equal(count_pages(s, &r), cases[i].n);
        r.states_only = true;
        r.after = (struct slice){0};
        assert_int_equal(count_pages(s, &r), cases[i].n);
    }
}

/* What a filter or a list is made of comes also where nothing else is asked for. */
static void test_read_certs__states_only(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 5, SUITE_NOW + SUITE_YEAR);
    struct effect revoke = suite_cert(s, TENANT_DEFAULT, 3, SUITE_NOW + SUITE_YEAR);
    revoke.kind = EFFECT_CERT_REVOKE;
    revoke.u.cert.row.revoked_at = SUITE_NOW * 1000;
    revoke.u.cert.row.reason = 4;
    assert_ok(commit1(s, &revoke));
    struct store_read whole = {
        .kind = READ_CERTS, .tenant = TENANT_DEFAULT, .filter = {.revoked = -1, .source = -1}};
    struct store_read states = whole;
    states.states_only = true;
    assert_ok(look(s, &whole));
    assert_ok(look(s, &states));
    assert_int_equal(states.n, 5);
    for (size_t i = 0; i < 5; i++) {
        const struct cert_row *a = &whole.certs[i], *b = &states.certs[i];
        assert_memory_equal(a->id, b->id, sizeof a->id);
        assert_true(slice_eq(a->serial, b->serial));
        assert_int_equal(a->source, b->source);
        assert_int_equal(a->not_after, b->not_after);
        assert_int_equal(a->issued_at, b->issued_at);
        assert_int_equal(a->revoked_at, b->revoked_at);
        assert_int_equal(a->reason, b->reason);
        assert_non_null(b->authority);
    }
}

static struct effect revocation(struct suite *s, enum effect_kind kind, unsigned number, int reason)
{
    struct effect e = suite_cert(s, TENANT_DEFAULT, number, SUITE_NOW + SUITE_YEAR);
    e.kind = kind;
    e.u.cert.row.revoked_at = (SUITE_NOW + number) * 1000;
    e.u.cert.row.reason = reason;
    return e;
}

static void test_cert_revoke__conditions(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 3, SUITE_NOW + SUITE_YEAR);
    struct effect unknown = revocation(s, EFFECT_CERT_REVOKE, 9, 1);
    assert_err(TM_ENOTFOUND, commit1(s, &unknown));
    struct effect e = revocation(s, EFFECT_CERT_REVOKE, 1, 6);
    assert_ok(commit1(s, &e));
    assert_err(TM_ECONFLICT, commit1(s, &e)); /* on hold already */
    struct effect back = revocation(s, EFFECT_CERT_UNREVOKE, 1, 0);
    assert_ok(commit1(s, &back));
    assert_err(TM_ECONFLICT, commit1(s, &back));
    assert_ok(commit1(s, &e));
    e = revocation(s, EFFECT_CERT_REVOKE, 1, 1); /* a hold may become final */
    assert_ok(commit1(s, &e));
    assert_err(TM_ECONFLICT, commit1(s, &e));
    assert_err(TM_ECONFLICT, commit1(s, &back));
    struct store_read r = {.kind = READ_CERT, .tenant = TENANT_DEFAULT};
    memcpy(r.id, e.u.cert.row.id, sizeof r.id);
    assert_ok(look(s, &r));
    assert_int_equal(r.certs[0].revoked_at, (SUITE_NOW + 1) * 1000);
    assert_int_equal(r.certs[0].reason, 1);
    struct store_read counts = {.kind = READ_COUNTS, .tenant = TENANT_DEFAULT};
    assert_ok(look(s, &counts));
    assert_int_equal(counts.counts.revoked, 1);
    assert_int_equal(counts.counts.certs, 3);
}

static void test_read_revoked__of_one_authority(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 10, SUITE_NOW + SUITE_YEAR);
    struct effect other = suite_cert(s, TENANT_DEFAULT, 20, SUITE_NOW + SUITE_YEAR);
    other.u.cert.row.authority = "other";
    assert_ok(commit1(s, &other));
    for (unsigned i = 0; i < 10; i += 2) {
        struct effect e = revocation(s, EFFECT_CERT_REVOKE, i, 4);
        assert_ok(commit1(s, &e));
    }
    struct effect e = revocation(s, EFFECT_CERT_REVOKE, 20, 4);
    e.u.cert.row.authority = "other";
    assert_ok(commit1(s, &e));
    struct store_read r = {
        .kind = READ_REVOKED, .tenant = TENANT_DEFAULT, .limit = 3, .filter = {.authority = "issuing"}};
    assert_int_equal(count_pages(s, &r), 5);
    r = (struct store_read){
        .kind = READ_REVOKED, .tenant = TENANT_DEFAULT, .filter = {.authority = "issuing"}};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 5);
    assert_int_equal(r.certs[1].reason, 4);
    assert_int_equal(r.certs[1].revoked_at, (SUITE_NOW + 2) * 1000);
    assert_true(slice_eq(r.certs[1].serial, SLICE_ARR(r.certs[1].id)));
    r.filter.not_after_from = SUITE_NOW + SUITE_YEAR + 1;
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 0);
}

static void test_cert_revoke__together_with_its_event(void **state)
{
    struct suite *s = *state;
    struct effect e[4] = {suite_cert(s, TENANT_DEFAULT, 1, SUITE_NOW + SUITE_YEAR),
                          suite_event(TENANT_DEFAULT, "certificate.issued", "x", 1),
                          revocation(s, EFFECT_CERT_REVOKE, 1, 1),
                          suite_event(TENANT_DEFAULT, "certificate.revoked", "x", 1)};
    assert_ok(commit(s, e, 4));
    assert_int_equal(e[1].u.event.pos, 0);
    assert_int_equal(e[3].u.event.pos, 1);
}

static void test_read_certs_arrived__each_once_in_pages(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 5, SUITE_NOW + SUITE_YEAR);
    struct effect foreign = suite_cert(s, TENANT_DEFAULT + 1, 90, SUITE_NOW + SUITE_YEAR);
    assert_ok(commit1(s, &foreign));
    add_certs(s, 5, 8, SUITE_NOW);
    struct store_read r = {.kind = READ_CERTS_ARRIVED, .tenant = TENANT_DEFAULT, .limit = 3, .more = true};
    size_t n = 0;
    for (uint64_t before = 0; n == 0 || r.more; r.pos_from = r.pos_next) {
        assert_ok(look(s, &r));
        for (size_t i = 0; i < r.n; i++, n++) {
            assert_string_equal(r.certs[i].subject, arena_printf(s->arena, "CN=Device %zu,O=Example", n));
            assert_true(r.certs[i].arrival > before);
            before = r.certs[i].arrival;
        }
    }
    assert_int_equal(n, 8);
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 0);
    add_certs(s, 8, 9, SUITE_NOW + SUITE_YEAR);
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 1);
    struct store_read end = {
        .kind = READ_CERTS_ARRIVED, .tenant = TENANT_DEFAULT, .limit = 1, .pos_from = UINT64_MAX};
    assert_ok(look(s, &end));
    assert_int_equal(end.n, 0);
    assert_int_equal(end.pos_next, r.pos_next);
}

static void test_read_counts__expired(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 4, SUITE_NOW - SUITE_YEAR);
    add_certs(s, 4, 10, SUITE_NOW + SUITE_YEAR);
    add_certs(s, 10, 11, TM_TIME_NEVER);
    struct store_read r = {.kind = READ_COUNTS, .tenant = TENANT_DEFAULT};
    assert_ok(look(s, &r));
    assert_int_equal(r.counts.certs, 11);
    assert_int_equal(r.counts.expired, 4);
}

const struct CMUnitTest suite_certs[] = {
    SUITE_TEST(test_cert_add__read_by_id),
    SUITE_TEST(test_cert_add__id_twice),
    SUITE_TEST(test_cert_add__event_first_and_id_taken),
    SUITE_TEST(test_cert_add__many_in_one_all_or_nothing),
    SUITE_TEST(test_read_cert__unknown),
    SUITE_TEST(test_read_certs_by_key__each_kind),
    SUITE_TEST(test_read_certs_by_key__newest_first_and_paged),
    SUITE_TEST(test_read_certs_by_key__after_reopen),
    SUITE_TEST(test_read_certs_by_key__foreign_serial),
    SUITE_TEST(test_read_certs__filters),
    SUITE_TEST(test_read_certs__states_only),
    SUITE_TEST(test_cert_revoke__conditions),
    SUITE_TEST(test_cert_revoke__together_with_its_event),
    SUITE_TEST(test_read_revoked__of_one_authority),
    SUITE_TEST(test_read_certs_arrived__each_once_in_pages),
    SUITE_TEST(test_read_counts__expired),
};
SUITE_END(suite_certs);
