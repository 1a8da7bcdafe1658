/* Pages and counts by tests over many certificates: what they say is what a look at each row would. */
#include "suite.h"
#include <stdlib.h>
#include <string.h>

enum { MANY = 600 };

static const struct cert_test *leaf(struct suite *s, struct cert_test t)
{
    struct cert_test *p = arena_alloc(s->arena, sizeof *p);
    assert_non_null(p);
    *p = t;
    return p;
}

static struct cert_test range(enum cert_column column, int64_t from, int64_t to)
{
    return (struct cert_test){.kind = CERT_TEST_RANGE, .column = column, .from = from, .to = to};
}

static struct cert_test text(enum cert_column column, const char *value, bool stars)
{
    return (struct cert_test){.kind = CERT_TEST_TEXT, .column = column, .text = value, .stars = stars};
}

static struct cert_test both(struct suite *s, struct cert_test a, struct cert_test b)
{
    struct cert_test *v = arena_calloc(s->arena, 2, sizeof *v);
    v[0] = a;
    v[1] = b;
    return (struct cert_test){.kind = CERT_TEST_ALL, .parts = v, .n = 2};
}

static struct cert_test not(struct suite * s, struct cert_test a)
{
    return (struct cert_test){.kind = CERT_TEST_NOT, .parts = leaf(s, a), .n = 1};
}

/* Row i: expires in i days, of one of five authorities and three keys. */
static void add_some(struct suite *s, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        struct effect e = suite_cert(s, TENANT_DEFAULT, i, SUITE_NOW + (int64_t)i * 86400);
        e.u.cert.row.authority = arena_printf(s->arena, "ca-%u", i % 5);
        e.u.cert.row.key_alg = (const char *[]){"rsa2048", "p256", "ml-dsa-65"}[i % 3];
        e.u.cert.row.sig_alg = "rsa-sha256";
        e.u.cert.row.flags = i == 7 ? CERT_FLAG_CA : 0;
        e.u.cert.row.source = i % 10 == 0 ? CERT_IMPORTED : CERT_ISSUED;
        e.u.cert.row.keep_until = TM_TIME_NEVER;
        assert_ok(commit1(s, &e));
    }
}

static size_t count(struct suite *s, const struct cert_test *where)
{
    struct store_read r = {.kind = READ_CERTS_COUNTED, .tenant = TENANT_DEFAULT, .where = where};
    assert_ok(look(s, &r));
    return r.count;
}

/* All pages; each row is checked against the order. */
static size_t pages(struct suite *s, const struct cert_test *where, enum cert_order order, size_t limit)
{
    struct store_read r = {.kind = READ_CERTS_WHERE,
                           .tenant = TENANT_DEFAULT,
                           .where = where,
                           .order = order,
                           .limit = limit,
                           .more = true};
    size_t n = 0;
    uint64_t last = order == CERT_NEWEST_FIRST ? UINT64_MAX : 0;
    int64_t expires = INT64_MIN;
    for (bool more = true; more; more = r.more) {
        assert_ok(look(s, &r));
        for (size_t i = 0; i < r.n; i++, n++) {
            const struct cert_row *row = &r.certs[i];
            if (order == CERT_NEWEST_FIRST)
                assert_true(row->arrival < last);
            else if (order == CERT_OLDEST_FIRST)
                assert_true(row->arrival > last);
            else
                assert_true(row->not_after >= expires);
            last = row->arrival;
            expires = row->not_after;
        }
        r.after = r.page_next;
    }
    return n;
}

static void test_read_certs_where__numbers_texts_and_orders(void **state)
{
    struct suite *s = *state;
    add_some(s, 0, MANY);
    struct effect foreign = suite_cert(s, TENANT_DEFAULT + 1, 9999, SUITE_NOW);
    assert_ok(commit1(s, &foreign));
    struct cert_test soon = range(CERT_COLUMN_EXPIRES, SUITE_NOW, SUITE_NOW + 29 * 86400);
    struct cert_test rsa = text(CERT_COLUMN_KEY, "RSA2048", false),
                     any_rsa = text(CERT_COLUMN_KEY, "rsa*", true);
    struct cert_test soon_rsa = both(s, soon, any_rsa), not_soon = not(s, soon);
    assert_int_equal(count(s, NULL), MANY);
    assert_int_equal(count(s, &soon), 30);
    assert_int_equal(count(s, &not_soon), MANY - 30);
    assert_int_equal(count(s, &rsa), 200);
    assert_int_equal(count(s, &soon_rsa), 10);
    assert_int_equal(count(s, leaf(s, (struct cert_test){.kind = CERT_TEST_FLAGS, .flags = CERT_FLAG_CA})),
                     1);
    assert_int_equal(count(s, leaf(s, range(CERT_COLUMN_SOURCE, CERT_IMPORTED, CERT_IMPORTED))), 60);
    assert_int_equal(count(s, leaf(s, range(CERT_COLUMN_DEVICE, 1, 1))), MANY);
    assert_int_equal(count(s, leaf(s, range(CERT_COLUMN_DEVICE, 0, 0))), 0);
    assert_int_equal(count(s, leaf(s, (struct cert_test){.kind = CERT_TEST_ANY})), 0);
    for (enum cert_order o = CERT_NEWEST_FIRST; o <= CERT_EXPIRY_FIRST; o++) {
        assert_int_equal(pages(s, NULL, o, 100), MANY);
        assert_int_equal(pages(s, &soon_rsa, o, 3), 10);
        assert_int_equal(pages(s, &not_soon, o, 7), MANY - 30);
    }
}

static void test_read_certs_where__keys_and_names(void **state)
{
    struct suite *s = *state;
    add_some(s, 0, 100);
    struct cert_test dns = {.kind = CERT_TEST_KEY, .key = {CERT_KEY_SAN, SLICE_LIT("dns:D12.example.org")}};
    struct cert_test device = {.kind = CERT_TEST_KEY, .key = {CERT_KEY_DEVICE, SLICE_LIT("dev-3")}};
    struct cert_test subject = {.kind = CERT_TEST_NAME,
                                .key = {.kind = CERT_KEY_SUBJECT},
                                .text = "cn=device 1*,o=example",
                                .stars = true};
    struct cert_test rsa = text(CERT_COLUMN_KEY, "rsa2048", false);
    struct cert_test narrow = both(s, subject, rsa), other = not(s, subject), no_dns = not(s, dns);
    assert_int_equal(count(s, &dns), 1);
    assert_int_equal(count(s, &no_dns), 99);
    assert_int_equal(count(s, &device), 10);
    assert_int_equal(count(s, &subject), 11); /* 1, 10..19 */
    assert_int_equal(count(s, &other), 89);
    assert_int_equal(count(s, &narrow), 3); /* 12, 15, 18 */
    for (enum cert_order o = CERT_NEWEST_FIRST; o <= CERT_EXPIRY_FIRST; o++) {
        assert_int_equal(pages(s, &dns, o, 10), 1);
        assert_int_equal(pages(s, &device, o, 4), 10);
        assert_int_equal(pages(s, &subject, o, 4), 11);
        assert_int_equal(pages(s, &narrow, o, 2), 3);
    }
}

static void test_read_certs_where__rows(void **state)
{
    struct suite *s = *state;
    static const uint64_t some[] = {1, 7, 40, 41, 99, 100, 5000};
    add_some(s, 0, 100);
    struct cert_test rows = {.kind = CERT_TEST_ROWS, .arrivals = some, .n = 7},
                     none = {.kind = CERT_TEST_ROWS};
    struct cert_test others = not(s, rows), narrow = both(s, rows, text(CERT_COLUMN_KEY, "rsa2048", false));
    assert_int_equal(count(s, &rows), 6);
    assert_int_equal(count(s, &none), 0);
    assert_int_equal(count(s, &others), 94);
    assert_int_equal(count(s, &narrow), 4); /* numbers 0, 6, 39, 99 */
    assert_int_equal(pages(s, &rows, CERT_OLDEST_FIRST, 4), 6);
}

/* What a row in hand passes is what the store finds. */
static void test_cert_test_passes__as_the_store_finds(void **state)
{
    struct suite *s = *state;
    static const uint64_t some[] = {2, 3, 50};
    add_some(s, 0, 100);
    const struct cert_test tests[] = {
        range(CERT_COLUMN_EXPIRES, SUITE_NOW + 86400, SUITE_NOW + 9 * 86400),
        range(CERT_COLUMN_ISSUED, SUITE_NOW, SUITE_NOW),
        range(CERT_COLUMN_LIFETIME, 0, 40 * 86400),
        range(CERT_COLUMN_SOURCE, CERT_IMPORTED, CERT_IMPORTED),
        range(CERT_COLUMN_REASON, -1, -1),
        range(CERT_COLUMN_DEVICE, 1, 1),
        range(CERT_COLUMN_ARRIVAL, 5, 9),
        text(CERT_COLUMN_AUTHORITY, "CA-3", false),
        text(CERT_COLUMN_PROFILE, "e*", true),
        text(CERT_COLUMN_SIGNATURE, "rsa-sha256", false),
        {.kind = CERT_TEST_FLAGS, .flags = CERT_FLAG_CA},
        {.kind = CERT_TEST_ROWS, .arrivals = some, .n = 3},
        {.kind = CERT_TEST_KEY, .key = {CERT_KEY_DEVICE, SLICE_LIT("DEV-3")}},
        {.kind = CERT_TEST_KEY, .key = {CERT_KEY_SUBJECT, SLICE_LIT("cn=device 7,O=Example")}},
        {.kind = CERT_TEST_NAME, .key = {.kind = CERT_KEY_SUBJECT}, .text = "cn=device 1*", .stars = true},
        {.kind = CERT_TEST_KEY, .key = {CERT_KEY_SAN, SLICE_LIT("dns:D12.example.org")}},
        {.kind = CERT_TEST_KEY, .key = {CERT_KEY_CN, SLICE_LIT("device 12")}},
    };
    struct store_read all = {.kind = READ_CERTS_WHERE, .tenant = TENANT_DEFAULT, .limit = 200};
    assert_ok(look(s, &all));
    assert_int_equal(all.n, 100);
    for (size_t i = 0; i < 2 * sizeof tests / sizeof *tests; i++) {
        struct cert_test t = i % 2 ? not(s, tests[i / 2]) : tests[i / 2];
        size_t passing = 0;
        for (size_t k = 0; k < all.n; k++) {
            unsigned number = (unsigned)all.certs[k].arrival - 1;
            struct effect e = suite_cert(s, TENANT_DEFAULT, number, SUITE_NOW);
            passing += cert_test_passes(&t, &all.certs[k], e.u.cert.keys, e.u.cert.n_keys);
        }
        assert_int_equal(passing, count(s, &t));
        assert_true(i % 2 || passing > 0);
        assert_int_equal(cert_test_asks_octets(&t), i / 2 >= sizeof tests / sizeof *tests - 2);
    }
}

static uint64_t group_of(const struct store_read *r, const char *name, int64_t value)
{
    for (size_t i = 0; i < r->n; i++)
        if (name ? strcmp(r->counted[i].text, name) == 0 : r->counted[i].value == value)
            return r->counted[i].n;
    return 0;
}

static void test_read_certs_counted__groups(void **state)
{
    struct suite *s = *state;
    add_some(s, 0, MANY);
    struct store_read r = {.kind = READ_CERTS_COUNTED,
                           .tenant = TENANT_DEFAULT,
                           .group = CERT_GROUP_AUTHORITY,
                           .now = SUITE_NOW + 1};
    assert_ok(look(s, &r));
    assert_int_equal(r.n, 5);
    assert_int_equal(r.count, MANY);
    assert_int_equal(group_of(&r, "ca-3", 0), MANY / 5);
    r.group = CERT_GROUP_SOURCE;
    assert_ok(look(s, &r));
    assert_int_equal(group_of(&r, NULL, CERT_IMPORTED), 60);
    assert_int_equal(group_of(&r, NULL, CERT_ISSUED), MANY - 60);
    r.group = CERT_GROUP_STATUS;
    assert_ok(look(s, &r));
    assert_int_equal(group_of(&r, NULL, CERT_STATUS_EXPIRED), 1);
    assert_int_equal(group_of(&r, NULL, CERT_STATUS_VALID), MANY - 1);
    r.group = CERT_GROUP_EXPIRY_DAY;
    assert_ok(look(s, &r));
    assert_int_equal(r.n, MANY);
    assert_true(r.counted[0].value < r.counted[1].value);
    r.group = CERT_GROUP_EXPIRY_WEEK;
    assert_ok(look(s, &r));
    uint64_t sum = 0;
    for (size_t i = 0; i < r.n; i++) {
        sum += r.counted[i].n;
        assert_int_equal((r.counted[i].value / 86400 + 3) % 7, 0);
        assert_true(r.counted[i].n <= 7);
    }
    assert_int_equal(sum, MANY);
    r.group = CERT_GROUP_EXPIRY_MONTH;
    assert_ok(look(s, &r));
    assert_true(r.n >= 20 && r.n <= 21);
    assert_int_equal(civil_from_unix(r.counted[3].value).day, 1);
    r.group = CERT_GROUP_LIFETIME;
    assert_ok(look(s, &r));
    assert_int_equal(r.counted[0].value, 0);
    assert_int_equal(r.counted[0].n, 2);
    r.group = CERT_GROUP_CLASS;
    assert_ok(look(s, &r));
    assert_int_equal(group_of(&r, NULL, CERT_CLASS_OWN_CA), 1);
}

/* An issuer's name may be longer than what the list of names takes: such rows are told by a look at them. */
static void test_read_certs_counted__texts_that_have_no_number(void **state)
{
    struct suite *s = *state;
    char name[700];
    add_some(s, 0, 50);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memcpy(name, "CN=", 3);
    struct effect e = suite_cert(s, TENANT_DEFAULT, 5000, SUITE_NOW);
    e.u.cert.row.authority = name;
    assert_ok(commit1(s, &e));
    struct cert_test usual = text(CERT_COLUMN_AUTHORITY, "ca-1", false),
                     whole = text(CERT_COLUMN_AUTHORITY, name, false),
                     part = text(CERT_COLUMN_AUTHORITY, "cn=xxx*", true);
    struct cert_test other = not(s, usual);
    assert_int_equal(count(s, &usual), 10);
    assert_int_equal(count(s, &other), 41);
    assert_int_equal(count(s, &whole), 1);
    assert_int_equal(count(s, &part), 1);
    for (enum cert_order o = CERT_NEWEST_FIRST; o <= CERT_EXPIRY_FIRST; o++) {
        assert_int_equal(pages(s, &usual, o, 3), 10);
        assert_int_equal(pages(s, &other, o, 7), 41);
        assert_int_equal(pages(s, &whole, o, 7), 1);
    }
    struct store_read r = {
        .kind = READ_CERTS_COUNTED, .tenant = TENANT_DEFAULT, .where = &other, .group = CERT_GROUP_AUTHORITY};
    assert_ok(look(s, &r));
    assert_int_equal(r.count, 41);
    assert_int_equal(r.n, 5);
    assert_string_equal(r.counted[4].text, "(others)");
}

static void revoke(struct suite *s, unsigned number, enum effect_kind kind, int reason)
{
    struct effect e = {.kind = kind, .tenant = TENANT_DEFAULT};
    suite_cert_id(e.u.cert.row.id, number, SUITE_NOW + (int64_t)number * 86400);
    e.u.cert.row.revoked_at = SUITE_NOW * 1000;
    e.u.cert.row.reason = reason;
    e.u.cert.row.authority = "ca-0";
    assert_ok(commit1(s, &e));
}

static void test_read_certs_where__revocation_is_seen_at_once(void **state)
{
    struct suite *s = *state;
    struct cert_test revoked = range(CERT_COLUMN_REASON, 0, 20), held = range(CERT_COLUMN_REASON, 6, 6),
                     live = range(CERT_COLUMN_REASON, -1, -1);
    add_some(s, 0, 50);
    assert_int_equal(count(s, &revoked), 0);
    revoke(s, 3, EFFECT_CERT_REVOKE, 1);
    revoke(s, 4, EFFECT_CERT_REVOKE, 6);
    assert_int_equal(count(s, &revoked), 2);
    assert_int_equal(count(s, &held), 1);
    assert_int_equal(pages(s, &revoked, CERT_NEWEST_FIRST, 10), 2);
    suite_reopen(s);
    assert_int_equal(count(s, &revoked), 2);
    revoke(s, 4, EFFECT_CERT_UNREVOKE, 0);
    assert_int_equal(count(s, &revoked), 1);
    assert_int_equal(count(s, &live), 49);
    struct store_read r = {.kind = READ_CERTS_COUNTED, .tenant = TENANT_DEFAULT, .group = CERT_GROUP_STATUS};
    r.now = SUITE_NOW - 1;
    assert_ok(look(s, &r));
    assert_int_equal(group_of(&r, NULL, CERT_STATUS_REVOKED), 1);
}

static void test_read_certs_where__retention_takes_rows_out(void **state)
{
    struct suite *s = *state;
    add_some(s, 0, 30);
    for (unsigned i = 100; i < 120; i++) {
        struct effect e = suite_cert(s, TENANT_DEFAULT, i, SUITE_NOW - 1000 * 86400);
        assert_ok(commit1(s, &e));
    }
    assert_int_equal(count(s, NULL), 50);
    uint64_t removed;
    struct diag diag;
    assert_ok(s->store->driver->expire(s->store, SUITE_NOW, &removed, &diag));
    assert_int_equal(removed, 20);
    assert_int_equal(count(s, NULL), 30);
    assert_int_equal(pages(s, NULL, CERT_OLDEST_FIRST, 7), 30);
    suite_reopen(s);
    assert_int_equal(count(s, NULL), 30);
    add_some(s, 30, 35);
    assert_int_equal(count(s, NULL), 35);
}

static void test_read_certs_where__refuses_what_is_no_test(void **state)
{
    struct suite *s = *state;
    add_some(s, 0, 1);
    struct cert_test bad[] = {
        {.kind = (enum cert_test_kind)99},
        {.kind = CERT_TEST_RANGE, .column = CERT_COLUMN_AUTHORITY},
        {.kind = CERT_TEST_TEXT, .column = CERT_COLUMN_EXPIRES, .text = "x"},
        {.kind = CERT_TEST_TEXT, .column = CERT_COLUMN_KEY},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct store_read r = {.kind = READ_CERTS_COUNTED, .tenant = TENANT_DEFAULT, .where = &bad[i]};
        assert_int_equal(look(s, &r), TM_EINVAL);
    }
    struct cert_test deep[CERT_TEST_DEPTH + 2];
    for (size_t i = 0; i + 1 < sizeof deep / sizeof *deep; i++)
        deep[i] = (struct cert_test){.kind = CERT_TEST_NOT, .parts = &deep[i + 1], .n = 1};
    deep[CERT_TEST_DEPTH + 1] = range(CERT_COLUMN_EXPIRES, 0, 1);
    struct store_read r = {.kind = READ_CERTS_WHERE, .tenant = TENANT_DEFAULT, .where = deep};
    assert_int_equal(look(s, &r), TM_ETOOBIG);
    r = (struct store_read){.kind = READ_CERTS_WHERE, .tenant = TENANT_DEFAULT, .after = SLICE_LIT("abc")};
    assert_int_equal(look(s, &r), TM_EINVAL);
}

const struct CMUnitTest suite_columns[] = {
    SUITE_TEST(test_read_certs_where__numbers_texts_and_orders),
    SUITE_TEST(test_read_certs_where__keys_and_names),
    SUITE_TEST(test_read_certs_where__rows),
    SUITE_TEST(test_cert_test_passes__as_the_store_finds),
    SUITE_TEST(test_read_certs_counted__groups),
    SUITE_TEST(test_read_certs_counted__texts_that_have_no_number),
    SUITE_TEST(test_read_certs_where__revocation_is_seen_at_once),
    SUITE_TEST(test_read_certs_where__retention_takes_rows_out),
    SUITE_TEST(test_read_certs_where__refuses_what_is_no_test),
};
SUITE_END(suite_columns);
