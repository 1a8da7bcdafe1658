/* Whose a finding is: by hand, by rule (query, network, tag), by the device, in that order; the same that questions by owner say; and that it follows when
 * somebody says otherwise. */
#include "finding/facts.h"
#include "inventory/ask.h"
#include "inventory/owner.h"
#include "unit/finding/finding_test.h"

static tm_err try_rule(const char *text)
{
    json_t *doc = json_loads(text, 0, NULL);
    struct diag diag = {0};
    assert_non_null(doc);
    tm_err e = house_resource_put(house, TENANT_DEFAULT, "Ownership", doc, -1, "tester", NULL, &diag);
    json_decref(doc);
    return e;
}

static void rule(const char *text)
{
    assert_int_equal(try_rule(text), TM_OK);
}

static const struct cert_row *row_of(const char *id)
{
    struct slice octets;
    struct store_read *q = arena_calloc(arena, 1, sizeof *q);
    *q = (struct store_read){.kind = READ_CERT, .tenant = TENANT_DEFAULT, .arena = arena};
    assert_int_equal(hex_decode(&octets, arena, slice_str(id)), TM_OK);
    memcpy(q->id, octets.p, CERT_SERIAL_LEN);
    assert_int_equal(store_read_now(house->store, q), TM_OK);
    return &q->certs[0];
}

static void note(const char *id, const char *owner, const char *tag)
{
    struct diag diag = {0};
    struct cert_note n = {.text = {owner, "", "", "", ""}, .comment = "", .by = "tester"};
    if (tag)
        n.tags[n.n_tags++] = tag;
    CHECK_OK(cert_note_write(house, arena, TENANT_DEFAULT, row_of(id), &n, -1, &diag), diag);
}

/* What a new one is judged by: its digest is weak. */
static const char *weak(const char *cn, const char *san, const char *place)
{
    struct made m = {.cn = cn, .san = san, .issuer = "Nobody", .md = EVP_sha1(), .server = true};
    struct slice der = make_cert(&m);
    const char *id = import_der(der);
    if (place)
        see(place, &der, 1);
    return id;
}

static void owned(const char *id, const char *owner)
{
    struct finding f = {.owner = "?"};
    struct cert_owner o;
    struct diag diag = {0};
    if (found("hash.weak", id, &f) != 1)
        fail_msg("%s: no finding", id);
    assert_string_equal(f.owner, owner);
    CHECK_OK(cert_owner_find(&o, arena, house, TENANT_DEFAULT, row_of(id), &diag), diag);
    assert_string_equal(o.text[OWNED_OWNER], owner);
    assert_int_equal(found("unowned", id, NULL), owner[0] ? 0 : 1);
}

/* Questions by owner say the same. */
static size_t asked(const char *query, const char *id)
{
    struct cert_test where;
    struct diag diag = {0};
    CHECK_OK(inventory_ask(&where, arena, house, TENANT_DEFAULT, slice_str(query), &diag), diag);
    struct store_read q = {
        .kind = READ_CERTS_WHERE, .tenant = TENANT_DEFAULT, .arena = arena, .where = &where, .limit = 100};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    bool there = false;
    for (size_t i = 0; i < q.n; i++)
        there |= strcmp(arena_hex(arena, SLICE_ARR(q.certs[i].id)), id) == 0;
    assert_true(there);
    return q.n;
}

/* What came since, without looking at everything. */
static bool step_all(void)
{
    struct passing *p;
    struct diag diag = {0};
    struct finding_progress before, after;
    CHECK_OK(finding_progress_read(&before, arena, house, TENANT_DEFAULT, &diag), diag);
    CHECK_OK(passing_new(&p, house, TENANT_DEFAULT, NULL), diag);
    for (bool more = true; more;)
        CHECK_OK(passing_step(p, &more, &diag), diag);
    passing_free(p);
    CHECK_OK(finding_progress_read(&after, arena, house, TENANT_DEFAULT, &diag), diag);
    return after.last_begun_ms != before.last_begun_ms;
}

static const char *by_hand, *by_query, *by_network, *by_six, *by_tag, *by_all, *nobodys;

static void test_findings__have_an_owner(void **state)
{
    (void)state;
    rule(
        "{\"kind\":\"Ownership\",\"name\":\"query\",\"match\":\"dns:*.query.example\",\"owner\":\"queried\"}");
    rule(
        "{\"kind\":\"Ownership\",\"name\":\"network\",\"networks\":[\"10.1.0.0/16\",\"2001:db8:7::/48\"],\"owner\":\"plant\"}");
    rule("{\"kind\":\"Ownership\",\"name\":\"tag\",\"tagged\":[\"tier-0\"],\"owner\":\"core\"}");
    rule(
        "{\"kind\":\"Ownership\",\"name\":\"all\",\"match\":\"dns:*.all.example\",\"networks\":[\"10.2.0.0/16\"],\"tagged\":[\"web\"],\"owner\":\"three\"}");
    rule(
        "{\"kind\":\"Ownership\",\"name\":\"later\",\"order\":500,\"match\":\"issuer:Nobody dns:*.query.example\",\"owner\":\"too late\"}");
    rule(
        "{\"kind\":\"Ownership\",\"name\":\"silent\",\"order\":1,\"match\":\"*\",\"service\":\"of the owner this says nothing\"}");
    by_hand = strdup(weak("hand", "DNS:hand.query.example", "tls:10.1.2.3:443/other.example"));
    by_query = strdup(weak("query", "DNS:a.query.example", NULL));
    by_network = strdup(weak("network", "DNS:elsewhere.example", "tls:10.1.2.4:443/elsewhere.example"));
    by_six = strdup(weak("six", "DNS:six.example", "smtp:[2001:db8:7::25]:25"));
    by_tag = strdup(weak("tag", "DNS:tag.example", "tls:10.9.0.1:443"));
    by_all = strdup(weak("three", "DNS:x.all.example", "tls:10.2.0.1:443"));
    nobodys = strdup(weak("nobody", "DNS:nobody.example", "tls:10.3.0.1:443"));
    note(by_hand, "ann", NULL);
    note(by_tag, "", "TIER-0");
    note(by_all, "", "web");
    look(false);
    owned(by_hand, "ann");
    owned(by_query, "queried");
    owned(by_network, "plant");
    owned(by_six, "plant");
    owned(by_tag, "core");
    owned(by_all, "three");
    owned(nobodys, "");
    assert_int_equal(asked("owner:ann", by_hand), 1);
    assert_int_equal(asked("owner:queried", by_query), 1);
    assert_int_equal(asked("owner:plant", by_six), 2);
    assert_int_equal(asked("owner:core", by_tag), 1);
    assert_int_equal(asked("owner:three", by_all), 1);
    assert_int_equal(asked("-owner:* issuer:Nobody", nobodys), 1);
    /* A place's finding is its leaf's owner's. */
    struct finding f;
    assert_int_equal(found("name.mismatch", "10.1.2.3", &f), 1);
    assert_string_equal(f.owner, "ann");
}

/* Those of devices: rules go before the device's owner; what is said of no other field counts. */
static void test_findings__of_devices(void **state)
{
    (void)state;
    device_add("own-1", "workshop");
    device_add("own-2", "workshop");
    rule("{\"kind\":\"Ownership\",\"name\":\"device\",\"match\":\"device:OWN-2\",\"owner\":\"field\"}");
    for (int i = 1; i <= 2; i++)
        issued_row(&(struct row_made){.subject = arena_printf(arena, "CN=own-%d", i),
                                      .device = arena_printf(arena, "own-%d", i),
                                      .issued = t0 - 300 * (int64_t)F_DAY,
                                      .to = t0 + 5 * (int64_t)F_DAY});
    look(false);
    struct finding f;
    assert_int_equal(found("expiring.unrenewed", "own-1", &f), 1);
    assert_string_equal(f.owner, "workshop");
    assert_int_equal(found("expiring.unrenewed", "own-2", &f), 1);
    assert_string_equal(f.owner, "field");
}

static void test_findings__owners_change(void **state)
{
    (void)state;
    struct diag diag = {0};
    while (step_all())
        ;
    /* A note: that certificate alone is looked at. */
    note(nobodys, "bob", NULL);
    assert_false(step_all());
    owned(nobodys, "bob");
    note(nobodys, "", NULL);
    assert_false(step_all());
    owned(nobodys, "");
    /* A place: the same. */
    see("tls:10.1.7.7:443", &row_of(nobodys)->der, 0);
    struct store_read q = {.kind = READ_CERT, .tenant = TENANT_DEFAULT, .arena = arena, .with_der = true};
    memcpy(q.id, row_of(nobodys)->id, CERT_SERIAL_LEN);
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    clock_fix(clock_now() + 60);
    see("tls:10.1.7.7:443", &q.certs[0].der, 1);
    assert_false(step_all());
    owned(nobodys, "plant");
    /* A rule: all of them. */
    rule("{\"kind\":\"Ownership\",\"name\":\"query\",\"match\":\"dns:*.query.example\",\"owner\":\"asked\"}");
    assert_true(step_all());
    owned(by_query, "asked");
    owned(by_hand, "ann");
    clock_fix(clock_now() + 60);
    CHECK_OK(house_resource_delete(house, TENANT_DEFAULT, "Ownership", "query", -1, "tester", &diag), diag);
    assert_true(step_all());
    owned(by_query, "too late");
    /* Gone from the network. */
    see("tls:10.1.7.7:443", NULL, 0);
    clock_fix(clock_now() + 60);
    see("tls:10.1.2.4:443/elsewhere.example", NULL, 0);
    look(false);
    owned(nobodys, "");
    owned(by_network, "");
}

static void test_ownership__refused(void **state)
{
    (void)state;
    struct diag diag = {0};
    static const char *const bad[] = {
        "{\"kind\":\"Ownership\",\"name\":\"bad\",\"owner\":\"x\"}",
        "{\"kind\":\"Ownership\",\"name\":\"bad\",\"networks\":[\"10.0.0.0/33\"],\"owner\":\"x\"}",
        "{\"kind\":\"Ownership\",\"name\":\"bad\",\"networks\":[\"everything\"],\"owner\":\"x\"}",
        "{\"kind\":\"Ownership\",\"name\":\"bad\",\"networks\":[\"unix\"],\"owner\":\"x\"}",
        "{\"kind\":\"Ownership\",\"name\":\"bad\",\"networks\":[\"10.0.0.0/8\"]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(try_rule(bad[i]), TM_EINVAL);
    assert_int_equal(owner_rule_check(arena, house, TENANT_DEFAULT, "x", "ownr:x", &diag), TM_EINVAL);
    assert_string_equal(diag.field, "/match");
    assert_int_equal(owner_rule_check(arena, house, TENANT_DEFAULT, "x", "owner:x", &diag), TM_EINVAL);
    /* As many as are looked at, and no more. */
    for (int i = 0; i < RULES_MAX; i++) {
        const char *name = arena_printf(arena, "many-%d", i);
        tm_err e = owner_rule_check(arena, house, TENANT_DEFAULT, name, "*", &diag);
        if (e == TM_EQUOTA)
            break;
        CHECK_OK(e, diag);
        rule(arena_printf(
            arena, "{\"kind\":\"Ownership\",\"name\":\"%s\",\"tagged\":[\"none\"],\"owner\":\"x\"}", name));
    }
    assert_int_equal(owner_rule_check(arena, house, TENANT_DEFAULT, "one-more", "*", &diag), TM_EQUOTA);
    CHECK_OK(owner_rule_check(arena, house, TENANT_DEFAULT, "network", "*", &diag), diag);
    look(false);
    owned(by_six, "plant");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_findings__have_an_owner, still_each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_findings__of_devices, still_each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_findings__owners_change, still_each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_ownership__refused, still_each_begin, still_each_end),
    };
    int rc = cmocka_run_group_tests(tests, still_begin, still_end);
    const char *const *ids[] = {&by_hand, &by_query, &by_network, &by_six, &by_tag, &by_all, &nobodys};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        free((char *)*ids[i]);
    return rc;
}
