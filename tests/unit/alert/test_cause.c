/* What alerts are about beside findings: refused enrollments, CAs, responders and lists that end; and whose they are. */
#include "alert/alert.h"
#include "authority/responder.h"
#include "inventory/owner.h"
#include "issue/refusal.h"
#include "unit/finding/finding_test.h"

static int each_begin(void **state)
{
    t0 = clock_now() + F_DAY; /* what was before is over */
    clock_fix(t0);
    return still_each_begin(state);
}

static void put(const char *kind, const char *text)
{
    json_t *doc = json_loads(text, 0, NULL);
    struct diag diag = {0};
    assert_non_null(doc);
    CHECK_OK(house_resource_put(house, TENANT_DEFAULT, kind, doc, -1, "tester", NULL, &diag), diag);
    json_decref(doc);
}

static size_t looked(void)
{
    size_t opened = 0;
    struct diag diag = {0};
    CHECK_OK(alert_look(house, TENANT_DEFAULT, &opened, &diag), diag);
    return opened;
}

/* Those of a cause about a subject (NULL: any); *ret is the last. */
static size_t alerts(enum alert_status status, const char *cause, const char *subject, struct alert *ret)
{
    const char *next = "";
    size_t n = 0;
    do {
        struct alert *v;
        size_t k;
        struct diag diag = {0};
        CHECK_OK(alert_list(&v, &k, &next, arena, house, TENANT_DEFAULT, status, next, 500, &diag), diag);
        for (size_t i = 0; i < k; i++)
            if (strcmp(v[i].cause, cause) == 0 && (!subject || strcmp(v[i].subject, subject) == 0)) {
                n++;
                if (ret)
                    *ret = v[i];
            }
    } while (next[0]);
    return n;
}

static size_t deliveries(const char *text)
{
    struct store_read q = {.kind = READ_OBJECTS,
                           .tenant = TENANT_DEFAULT,
                           .arena = arena,
                           .object_kind = OBJECT_ALERT_DELIVERY,
                           .limit = 1000};
    size_t n = 0;
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    for (size_t i = 0; i < q.n; i++)
        n += memmem(q.objects[i].state.p, q.objects[i].state.n, text, strlen(text)) != NULL;
    return n;
}

static size_t events_of(const char *type)
{
    struct store_read q = {
        .kind = READ_EVENTS, .tenant = TENANT_DEFAULT, .arena = arena, .name = type, .limit = 1000};
    tm_err e = store_read_now(house->store, &q);
    assert_true(e == TM_OK || e == TM_ENOTFOUND);
    return e == TM_OK ? q.n : 0;
}

/* ---- enrollments ---- */

static void refuse(const char *endpoint, int times)
{
    struct diag diag = {0};
    for (int i = 0; i < times; i++)
        refusal_note(house, TENANT_DEFAULT, DOOR_EST, endpoint, "192.0.2.1", "token.secret", "no");
    CHECK_OK(refusals_flush(house, &diag), diag);
}

static void deny(const char *endpoint)
{
    struct diag diag = {0};
    struct event_field fields[] = {{.key = "endpoint", .kind = EVENT_STR, .s = slice_str(endpoint)},
                                   {.key = "rule", .kind = EVENT_STR, .s = SLICE_LIT("names.allowed")},
                                   {0}};
    CHECK_OK(house_event(house, TENANT_DEFAULT, "enrollment.denied", "device/x", fields, &diag), diag);
}

static void test_alert_look__enrollments_fail(void **state)
{
    (void)state;
    struct alert x;
    struct diag diag = {0};
    put("Notification",
        "{\"kind\":\"Notification\",\"name\":\"log\",\"channel\":\"syslog\",\"syslog\":{\"over\":\"unix\",\"path\":\"/nowhere\"},"
        "\"filter\":{\"causes\":[\"enrollment-failing\"]}}");
    looked();
    /* Some are refused everywhere; windows count as many as were in them. */
    refuse("servers", 12);
    refuse("servers", 6);
    deny("servers");
    refuse("devices", 19);
    assert_int_equal(looked(), 0);
    deny("servers");
    assert_int_equal(looked(), 1);
    assert_int_equal(alerts(ALERT_OPEN, "enrollment-failing", "endpoint/servers", &x), 1);
    assert_int_equal(x.severity, FINDING_HIGH);
    assert_non_null(strstr(x.text, "20 requests were refused in the last hour"));
    assert_int_equal(deliveries("endpoint servers refuses its clients"), 1);
    /* Told once, however many more; another endpoint is another alert. */
    refuse("servers", 100);
    assert_int_equal(looked(), 0);
    refuse("devices", 1);
    assert_int_equal(looked(), 1);
    assert_int_equal(deliveries("refuses its clients"), 2);
    CHECK_OK(alert_acknowledge(house, TENANT_DEFAULT, x.id, "we know", "me", &diag), diag);
    refuse("servers", 100);
    assert_int_equal(looked(), 0);
    assert_int_equal(alerts(ALERT_ACKED, "enrollment-failing", NULL, NULL), 1);
    /* An hour without: over. Then anew. */
    clock_fix(t0 + 3601);
    assert_int_equal(looked(), 0);
    assert_int_equal(alerts(ALERT_RESOLVED, "enrollment-failing", NULL, NULL), 2);
    refuse("servers", 20);
    assert_int_equal(looked(), 1);
    assert_int_equal(alerts(ALERT_OPEN, "enrollment-failing", NULL, NULL), 1);
    assert_int_equal(deliveries("endpoint servers refuses its clients"), 2);
    clock_fix(t0 + 2 * 3601);
    looked();
}

/* ---- ends ---- */

static const struct authority *authority_named(struct catalog *c, const char *name)
{
    const struct authority *x = catalog_authority(c, TENANT_DEFAULT, name);
    assert_non_null(x);
    return x;
}

/* The document of an authority with another member. */
static void change_authority(const char *name, const char *key, json_t *value)
{
    struct diag diag = {0};
    json_t *doc = NULL;
    struct store_read q = {
        .kind = READ_RESOURCE, .tenant = TENANT_DEFAULT, .arena = arena, .name = "Authority", .name2 = name};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    CHECK_OK(json_parse(&doc, q.resources[0].json, 1 << 20, &diag), diag);
    json_object_set_new(doc, key, value);
    CHECK_OK(house_resource_put(house, TENANT_DEFAULT, "Authority", doc, -1, "tester", NULL, &diag), diag);
    json_decref(doc);
}

static void test_alert_look__a_ca_ends(void **state)
{
    (void)state;
    struct alert x;
    struct catalog *c = house_catalog(house);
    int64_t ends = authority_named(c, "issuing-ca")->cert.not_after;
    assert_true(authority_named(c, "device-ca")->cert.not_after >= TM_TIME_NEVER);
    catalog_unref(c);
    clock_fix(ends - 181 * (int64_t)F_DAY);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "ca-ending", NULL, NULL), 0);
    clock_fix(ends - 179 * (int64_t)F_DAY);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "ca-ending", NULL, &x), 1);
    assert_string_equal(x.subject, "authority/issuing-ca");
    assert_int_equal(x.severity, FINDING_HIGH);
    assert_int_equal(x.stage, 1);
    assert_non_null(strstr(x.title, "the CA certificate of authority issuing-ca ends on 20"));
    int64_t opened = x.opened_ms;
    clock_fix(ends - 100 * (int64_t)F_DAY);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "ca-ending", NULL, &x), 1);
    assert_int_equal(x.stage, 1);
    /* Once more in the last month, and the same alert. */
    clock_fix(ends - 29 * (int64_t)F_DAY);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "ca-ending", NULL, &x), 1);
    assert_int_equal(x.stage, 2);
    assert_int_equal(x.severity, FINDING_CRITICAL);
    assert_int_equal(x.opened_ms, opened);
    /* With a successor, or out of use, nobody need do anything. */
    change_authority("issuing-ca", "disabled", json_true());
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "ca-ending", NULL, NULL), 0);
    assert_int_equal(alerts(ALERT_RESOLVED, "ca-ending", NULL, NULL), 1);
    change_authority("issuing-ca", "disabled", json_false());
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "ca-ending", NULL, NULL), 1);
    change_authority("issuing-ca", "successor", json_string("device-ca"));
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "ca-ending", NULL, NULL), 0);
    change_authority("issuing-ca", "successor", json_string(""));
}

static void test_alert_look__a_responder_ends(void **state)
{
    (void)state;
    struct alert x;
    struct diag diag = {0};
    CHECK_OK(responder_job.run(house, &diag), diag);
    struct catalog *c = house_catalog(house);
    int64_t ends = authority_named(c, "issuing-ca")->ocsp.cert.not_after;
    catalog_unref(c);
    assert_int_equal(ends, t0 + RESPONDER_LIFE);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "ocsp-ending", NULL, NULL), 0);
    clock_fix(ends - 4 * (int64_t)F_DAY);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "ocsp-ending", NULL, NULL), 0);
    clock_fix(ends - 2 * (int64_t)F_DAY);
    looked();
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "ocsp-ending", "authority/issuing-ca", &x), 1);
    assert_int_equal(x.severity, FINDING_CRITICAL);
    assert_non_null(strstr(x.title, "the OCSP responder's certificate of authority issuing-ca ends on"));
    clock_fix(ends + F_DAY);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "ocsp-ending", "authority/issuing-ca", NULL), 1);
    /* What the job renews is over. */
    CHECK_OK(responder_job.run(house, &diag), diag);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "ocsp-ending", NULL, NULL), 0);
    assert_true(alerts(ALERT_RESOLVED, "ocsp-ending", "authority/issuing-ca", NULL) == 1);
}

static void test_alert_look__a_list_ends(void **state)
{
    (void)state;
    struct alert x;
    struct crl_row crl;
    struct diag diag = {0};
    CHECK_OK(crl_publish_all(house, CRL_WHEN_DUE, &diag), diag);
    struct catalog *c = house_catalog(house);
    CHECK_OK(crl_current(&crl, arena, house, authority_named(c, "issuing-ca")), diag);
    catalog_unref(c);
    int64_t life = crl.next_update - crl.this_update;
    clock_fix(crl.next_update - life / 9);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "crl-ending", "authority/issuing-ca", NULL), 0);
    clock_fix(crl.next_update - life / 11);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "crl-ending", "authority/issuing-ca", &x), 1);
    assert_int_equal(x.stage, 1);
    clock_fix(crl.next_update + 1);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "crl-ending", "authority/issuing-ca", &x), 1);
    assert_int_equal(x.stage, 2);
    CHECK_OK(crl_publish_all(house, CRL_WHEN_DUE, &diag), diag);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "crl-ending", "authority/issuing-ca", NULL), 0);
}

/* ---- whose ---- */

static void note(const char *id, const char *owner)
{
    struct diag diag = {0};
    struct slice octets;
    struct cert_note n = {.text = {owner, "", "", "", ""}, .comment = "", .by = "tester"};
    struct store_read q = {.kind = READ_CERT, .tenant = TENANT_DEFAULT, .arena = arena};
    assert_int_equal(hex_decode(&octets, arena, slice_str(id)), TM_OK);
    memcpy(q.id, octets.p, CERT_SERIAL_LEN);
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    CHECK_OK(cert_note_write(house, arena, TENANT_DEFAULT, &q.certs[0], &n, -1, &diag), diag);
    look(false);
}

static void test_alert_look__somebody_elses(void **state)
{
    (void)state;
    struct alert x;
    struct diag diag = {0};
    static const char mail[] =
        "{\"kind\":\"Notification\",\"name\":\"%s\",\"channel\":\"mail\",%s"
        "\"mail\":{\"server\":\"mail.example.org\",\"from\":\"pki@example.org\",\"to\":[\"%s@example.org\"]}}";
    put("Notification",
        arena_printf(arena, mail, "all", "\"owners\":[{\"owner\":\"ann\",\"to\":[\"ann@example.org\"]}],",
                     "all"));
    put("Notification", arena_printf(arena, mail, "bobs", "\"filter\":{\"owners\":[\"bob\"]},", "bob"));
    const char *id = issued_row(&(struct row_made){
        .subject = "CN=whose", .issued = t0 - 300 * (int64_t)F_DAY, .to = t0 + 5 * (int64_t)F_DAY});
    look(false);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "expiring", NULL, &x), 1);
    assert_string_equal(x.owner, "");
    assert_int_equal(deliveries("all@example.org"), 1);
    /* Ann has not been told; the others have. */
    clock_fix(t0 + 60);
    note(id, "ann");
    assert_int_equal(looked(), 0);
    assert_int_equal(alerts(ALERT_OPEN, "expiring", NULL, &x), 1);
    assert_string_equal(x.owner, "ann");
    assert_int_equal(deliveries("\"ann@example.org\""), 1);
    assert_int_equal(deliveries("\"all@example.org\""), 1);
    looked();
    assert_int_equal(deliveries("CN=whose"), 2);
    /* What somebody looks after is handed over in silence. */
    CHECK_OK(alert_acknowledge(house, TENANT_DEFAULT, x.id, "ticket", "ann", &diag), diag);
    clock_fix(t0 + 120);
    note(id, "bob");
    looked();
    assert_int_equal(alerts(ALERT_ACKED, "expiring", NULL, &x), 1);
    assert_string_equal(x.owner, "bob");
    assert_string_equal(x.comment, "ticket");
    assert_int_equal(deliveries("CN=whose"), 2);
    /* Worse is told to whose it is by now. */
    clock_fix(t0 + 4 * F_DAY + 3600);
    look(false);
    looked();
    assert_int_equal(alerts(ALERT_OPEN, "expiring", NULL, &x), 1);
    assert_int_equal(x.stage, 4);
    assert_int_equal(deliveries("\"bob@example.org\""), 1);
    assert_int_equal(events_of("alert.reassigned"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alert_look__enrollments_fail, each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_alert_look__somebody_elses, each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_alert_look__a_responder_ends, each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_alert_look__a_list_ends, each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_alert_look__a_ca_ends, each_begin, still_each_end),
    };
    return cmocka_run_group_tests(tests, still_begin, still_end);
}
