/* Sightings in a house: one row a certificate, places, what is written and what is not, whose they are. */
#include "base/digest.h"
#include "inventory/place.h"
#include "inventory/sighting.h"
#include "issue/issuer.h"
#include "unit/inventory/foreign_test.h"

static struct sightings_taken take(const char *place, const char *via, int64_t at, const struct slice *chain,
                                   size_t n)
{
    struct diag diag = {0};
    struct sightings_taken t;
    struct sighting s = {.place = place, .via = via, .run = "", .at = at, .chain = chain, .n_chain = n};
    CHECK_OK(sightings_take(house, TENANT_DEFAULT, "tester", &s, 1, &t, &diag), diag);
    return t;
}

static uint64_t log_size(struct arena *a)
{
    struct store_read q = {.kind = READ_LOG_SIZE, .tenant = TENANT_DEFAULT, .arena = a};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    return q.count;
}

static struct place place_of(struct arena *a, const char *name)
{
    struct place p;
    char id[PLACE_ID_LEN + 1];
    assert_int_equal(place_id(id, name), TM_OK);
    struct store_read q = {
        .kind = READ_OBJECT, .tenant = TENANT_DEFAULT, .arena = a, .object_kind = OBJECT_PLACE, .name = id};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    assert_int_equal(place_from_row(&p, a, &q.objects[0]), TM_OK);
    return p;
}

static void test_sightings_take__one_row_and_no_event_for_what_is_known(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct key *ca = new_key(KEY_ALG_EC_P256, 0), *k = new_key(KEY_ALG_EC_P256, 0);
    struct slice chain[] = {foreign_cert(a, k, "a.example", ca, "Some CA", false),
                            foreign_cert(a, ca, "Some CA", ca, "Some CA", true)};
    int64_t now = clock_now_ms();
    struct sightings_taken t = take("tls:192.0.2.1:443", "scan", now - 5000, chain, 2);
    assert_int_equal(t.added, 2);
    assert_int_equal(t.new_places, 1);
    struct store_read rows = rows_of(a, chain[0]);
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.certs[0].source, CERT_DISCOVERED);
    assert_true(slice_eq(rows.certs[0].der, chain[0]));
    uint64_t events = log_size(a);
    t = take("tls:192.0.2.1:443", "scan", now - 4000, chain, 2);
    assert_int_equal(t.known, 2);
    assert_int_equal(t.same, 1);
    assert_int_equal(log_size(a), events);
    assert_int_equal(rows_of(a, chain[0]).n, 1);
    /* A known certificate at another place is news, another at the same place too. */
    t = take("tls:192.0.2.2:443", "scan", now - 3000, chain, 2);
    assert_int_equal(t.new_places, 1);
    assert_int_equal(log_size(a), events + 1);
    struct slice other = foreign_cert(a, k, "a.example", ca, "Some CA", false);
    t = take("tls:192.0.2.1:443", "scan", now - 2000, &other, 1);
    assert_int_equal(t.changed, 1);
    assert_int_equal(t.added, 1);
    assert_int_equal(log_size(a), events + 3);
    struct place p = place_of(a, "tls:192.0.2.1:443");
    assert_int_equal(p.n_before, 1);
    assert_string_equal(p.cert, arena_hex(a, SLICE_ARR(rows_of(a, other).certs[0].id)));
    t = take("tls:192.0.2.1:443", "scan", now - 1000, NULL, 0);
    assert_int_equal(t.gone, 1);
    t = take("tls:192.0.2.1:443", "scan", now, NULL, 0);
    assert_int_equal(t.same, 1);
    assert_int_equal(place_of(a, "tls:192.0.2.1:443").status, PLACE_GONE);
    key_free(ca);
    key_free(k);
    arena_free(a);
}

static void test_sightings_take__repeats_within_one_batch(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    struct key *k = new_key(KEY_ALG_EC_P256, 0);
    struct slice one = foreign_cert(a, k, "twin", k, "twin", false),
                 two = foreign_cert(a, k, "other name", k, "other name", false);
    struct sighting s[600];
    struct sightings_taken t;
    for (size_t i = 0; i < 600; i++)
        s[i] = (struct sighting){.place = arena_printf(a, "file:h/%zu", i % 300),
                                 .via = "files",
                                 .chain = i % 2 ? &one : &two,
                                 .n_chain = 1};
    CHECK_OK(sightings_take(house, TENANT_DEFAULT, "tester", s, 600, &t, &diag), diag);
    assert_int_equal(t.added, 2);
    assert_int_equal(t.known, 598);
    assert_int_equal(t.new_places, 300);
    assert_int_equal(t.same + t.changed, 300);
    assert_int_equal(rows_of(a, one).n, 1);
    assert_int_equal(rows_of(a, two).n, 1);
    key_free(k);
    arena_free(a);
}

static void test_sightings_take__what_is_no_certificate(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    struct key *k = new_key(KEY_ALG_EC_P256, 0);
    struct slice good = foreign_cert(a, k, "good", k, "good", false), cut = slice_sub(good, 0, good.n - 9);
    uint8_t *huge = arena_alloc(a, 1 << 20);
    const struct slice chain[] = {slice_of(huge, 1 << 20), cut, good};
    struct sighting_result r[3];
    struct sightings_taken t;
    struct sighting s = {.place = "tls:198.51.100.7:443", .via = "scan", .chain = chain, .n_chain = 3};
    CHECK_OK(sightings_take_each(house, TENANT_DEFAULT, "tester", &s, 1, r, &t, &diag), diag);
    assert_int_equal(t.refused, 2);
    assert_int_equal(t.added, 1);
    assert_int_equal(t.new_places, 1);
    assert_int_equal(r[0].outcome, SIGHTING_REFUSED);
    assert_non_null(strstr(r[0].why, "bytes"));
    assert_int_equal(r[2].outcome, SIGHTING_ADDED);
    struct place p = place_of(a, "tls:198.51.100.7:443");
    assert_string_equal(p.cert, "");
    assert_string_equal(p.refused, r[0].why);
    assert_int_equal(p.n_chain, 3);
    /* A place whose name would break a terminal is no place. */
    t = take("tls:\033[2J:443", "scan", 0, &good, 1);
    assert_int_equal(t.refused, 1);
    assert_int_equal(t.new_places, 0);
    key_free(k);
    arena_free(a);
}

static void test_sightings_take__names_that_would_break_a_terminal(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct key *k = new_key(KEY_ALG_EC_P256, 0);
    struct slice der = foreign_cert(a, k, "\\1B[2J\\<script\\>\\E2\\80\\AEgpj.exe", k, "x", false);
    assert_int_equal(take(NULL, "import", 0, &der, 1).added, 1);
    struct store_read rows = rows_of(a, der);
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.certs[0].source, CERT_IMPORTED);
    key_free(k);
    arena_free(a);
}

static enum issuer_class class_of(struct arena *a, struct slice der)
{
    struct store_read rows = rows_of(a, der);
    assert_int_equal(rows.n, 1);
    return issuer_class_of_row(&rows.certs[0]);
}

static void put_trust_set(struct arena *a, const char *name, struct slice anchor, const char *issuers)
{
    struct buf pem, doc;
    buf_init(&pem, 64 << 10);
    buf_init(&doc, 64 << 10);
    buf_put_pem(&pem, "CERTIFICATE", anchor);
    buf_printf(&doc, "{\"kind\":\"TrustSet\",\"name\":\"%s\",%s\"anchors\":[", name, issuers);
    buf_put_json_string(&doc, buf_slice(&pem));
    buf_puts(&doc, "]}");
    put("TrustSet", buf_str(&doc));
    buf_done(&pem);
    buf_done(&doc);
    (void)a;
}

static void test_issuer_class_of__by_signatures(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct key *v = new_key(KEY_ALG_EC_P256, 0), *p = new_key(KEY_ALG_EC_P256, 0),
               *i = new_key(KEY_ALG_EC_P256, 0), *k = new_key(KEY_ALG_EC_P256, 0);
    put_trust_set(a, "vendor", foreign_cert(a, v, "Vendor Root", v, "Vendor Root", true), "");
    put_trust_set(a, "public", foreign_cert(a, p, "Public Root", p, "Public Root", true),
                  "\"issuers\":\"public\",");
    struct slice idevid = foreign_cert(a, k, "device", v, "Vendor Root", false),
                 middle = foreign_cert(a, i, "Public Middle", p, "Public Root", true),
                 web = foreign_cert(a, k, "web", i, "Public Middle", false),
                 lost = foreign_cert(a, k, "lost", i, "Public Middle", false),
                 claims = foreign_cert(a, k, "claims", k, "Vendor Root", false),
                 self = foreign_cert(a, k, "self", k, "self", false);
    const struct slice chain[] = {web, middle};
    take(NULL, "import", 0, &idevid, 1);
    take(NULL, "import", 0, &lost, 1);
    take("tls:203.0.113.1:443", "scan", 0, chain, 2);
    take(NULL, "import", 0, &claims, 1);
    take(NULL, "import", 0, &self, 1);
    assert_int_equal(class_of(a, idevid), ISSUER_VENDOR);
    assert_int_equal(class_of(a, web), ISSUER_PUBLIC);
    assert_int_equal(class_of(a, lost), ISSUER_UNKNOWN); /* what is between was not with it */
    assert_int_equal(class_of(a, claims), ISSUER_UNKNOWN);
    assert_int_equal(class_of(a, self), ISSUER_SELF_SIGNED);
    /* What this house issued is its own, wherever it is met. */
    struct key *mine = new_key(KEY_ALG_EC_P256, 0);
    struct issue_request *r = ask(a, key_spki(mine), "server-internal-1y", "own.example.org");
    assert_issued(r);
    struct sightings_taken t = take("tls:203.0.113.2:443", "scan", 0, &r->cert, 1);
    assert_int_equal(t.known, 1);
    assert_int_equal(class_of(a, r->cert), ISSUER_OWN);
    /* Who shows a certificate with another's key in it takes nothing from its owner. */
    struct slice borrowed = foreign_cert(a, mine, "not mine", k, "x", false);
    take("tls:203.0.113.3:443", "scan", 0, &borrowed, 1);
    assert_issued(ask(a, key_spki(mine), "server-internal-1y", "own.example.org"));
    key_free(mine);
    key_free(v);
    key_free(p);
    key_free(i);
    key_free(k);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sightings_take__one_row_and_no_event_for_what_is_known),
        cmocka_unit_test(test_sightings_take__repeats_within_one_batch),
        cmocka_unit_test(test_sightings_take__what_is_no_certificate),
        cmocka_unit_test(test_sightings_take__names_that_would_break_a_terminal),
        cmocka_unit_test(test_issuer_class_of__by_signatures),
    };
    return cmocka_run_group_tests(tests, issue_setup, issue_teardown);
}
