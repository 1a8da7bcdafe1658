/* A quiet week: an inventory that renews itself raises no alert, and each fault that is planted in it raises one, with the right owner. Then how
 * alerts are sent, once each, again after failures, not in maintenance. */
#include "alert/alert.h"
#include "unit/finding/finding_test.h"
#include <sys/socket.h>
#include <sys/un.h>

enum { HOUSEKEEPING = 6 * 3600, STEPS = 28, BATCH = 200, FAULTS = 40, ORDINARY = 1200, MOST = 200000 };

static int64_t t0;
static size_t many;

static int begin(void **state)
{
    (void)state;
    const char *n = getenv("TOUCHMARK_QUIET_WEEK");
    many = n ? strtoul(n, NULL, 10) : ORDINARY;
    assert_true(many >= FAULTS && many <= MOST);
    test_dir_make();
    make_home_with(&(struct init_config){0});
    house = open_home();
    t0 = clock_now();
    clock_fix(t0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    clock_fix(0);
    house_close(house);
    free_home();
    test_dir_remove();
    return 0;
}

static int each_begin(void **state)
{
    (void)state;
    arena = arena_new(1024 << 20);
    return arena ? 0 : -1;
}

static int each_end(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void notification(const char *text)
{
    json_t *doc = json_loads(text, 0, NULL);
    struct diag diag = {0};
    assert_non_null(doc);
    CHECK_OK(house_resource_put(house, TENANT_DEFAULT, "Notification", doc, -1, "tester", NULL, &diag), diag);
    json_decref(doc);
}

static size_t alerts(enum alert_status status, const char *cause, const char *owner, struct alert *ret)
{
    const char *next = "";
    size_t n = 0;
    do {
        struct alert *v;
        size_t k;
        struct diag diag = {0};
        CHECK_OK(alert_list(&v, &k, &next, arena, house, TENANT_DEFAULT, status, next, 500, &diag), diag);
        for (size_t i = 0; i < k; i++)
            if ((!cause || strcmp(v[i].cause, cause) == 0) && (!owner || strcmp(v[i].owner, owner) == 0)) {
                n++;
                if (ret)
                    *ret = v[i];
            }
    } while (next[0]);
    return n;
}

static size_t deliveries(int status, const char *text)
{
    struct store_read q = {.kind = READ_OBJECTS,
                           .tenant = TENANT_DEFAULT,
                           .arena = arena,
                           .object_kind = OBJECT_ALERT_DELIVERY,
                           .object_status = status,
                           .limit = 1000};
    size_t n = 0;
    do {
        assert_int_equal(store_read_now(house->store, &q), TM_OK);
        for (size_t i = 0; i < q.n; i++)
            n += !text || memmem(q.objects[i].state.p, q.objects[i].state.n, text, strlen(text));
        q.after = q.page_next;
    } while (q.more);
    return n;
}

static size_t tell(void)
{
    size_t opened = 0;
    struct diag diag = {0};
    look(false);
    CHECK_OK(alert_look(house, TENANT_DEFAULT, &opened, &diag), diag);
    return opened;
}

/* ---- the inventory ---- */

struct host {
    char name[24], subject[32];
    int door;
    int64_t issued, life, patience; /* patience: how far into its window it renews */
    bool stuck;
};

/* Devices, certificates: what is gathered is committed a batch at a time. */
static struct {
    struct effect effects[BATCH];
    uint8_t ids[BATCH][CERT_SERIAL_LEN];
    struct cert_key keys[BATCH][3];
    size_t n;
} batch;

static void flush(void)
{
    struct diag diag = {0};
    if (batch.n)
        CHECK_OK(house_commit(house, batch.effects, batch.n, &diag), diag);
    batch.n = 0;
}

static void add_cert(const struct host *h, int64_t at)
{
    if (batch.n == BATCH)
        flush();
    issued_effect(
        &batch.effects[batch.n], batch.ids[batch.n], batch.keys[batch.n],
        &(struct row_made){
            .subject = h->subject, .device = h->name, .door = h->door, .issued = at, .to = at + h->life});
    batch.n++;
}

static void add_device(const char *id, const char *owner)
{
    if (batch.n == BATCH)
        flush();
    struct effect *e = &batch.effects[batch.n++];
    *e = (struct effect){.kind = EFFECT_DEVICE_PUT, .tenant = TENANT_DEFAULT, .expected_version = -1};
    e->u.device = (struct device_row){.id = id,
                                      .serial = id,
                                      .model = "m",
                                      .vendor = "v",
                                      .owner = owner,
                                      .place = "",
                                      .batch = "",
                                      .state = DEVICE_OPERATING,
                                      .identifiers = "{}",
                                      .tags = "{}",
                                      .created_at = clock_now_ms(),
                                      .updated_at = clock_now_ms()};
}

static void renew_those_due(struct host *v, size_t n, int64_t now)
{
    enum { BEFORE = 30 * F_DAY };
    for (size_t i = 0; i < n; i++) {
        struct host *h = &v[i];
        int64_t end_at = h->issued + h->life, from = end_at - BEFORE;
        if (h->stuck || now < from + h->patience)
            continue;
        h->issued = now;
        add_cert(h, now);
    }
    flush();
}

static void test_alerts__a_quiet_week(void **state)
{
    (void)state;
    static const int doors[] = {DOOR_ACME, DOOR_EST, DOOR_SCEP, DOOR_CMP};
    static const char *const teams[] = {"web", "plant", "it", "lab"};
    struct host *v = calloc(many, sizeof *v);
    assert_non_null(v);
    notification(
        "{\"kind\":\"Notification\",\"name\":\"log\",\"channel\":\"syslog\",\"syslog\":{\"over\":\"unix\",\"path\":\"/nowhere/at/all\"}}");
    for (size_t i = 0; i < many; i++) {
        struct host *h = &v[i];
        snprintf(h->name, sizeof h->name, "host-%zu", i);
        snprintf(h->subject, sizeof h->subject, "CN=host-%zu", i);
        h->door = doors[i % 4];
        h->life = (i % 2 ? 365 : 45) * (int64_t)F_DAY;
        /* Somewhere before the time at which it renews, which is at latest when its window ends. */
        h->patience = (int64_t)(i * 7919 % (10 * F_DAY));
        h->issued = t0 - (int64_t)(i * 104729 % (size_t)(h->life - 30 * (int64_t)F_DAY + h->patience));
        add_device(h->name, teams[i % 4]);
    }
    flush();
    for (size_t i = 0; i < many; i++)
        add_cert(&v[i], v[i].issued);
    flush();
    for (int step = 0; step < STEPS; step++) {
        int64_t now = t0 + step * (int64_t)HOUSEKEEPING;
        clock_fix(now);
        renew_those_due(v, many, now);
        if (step % 4 == 0) { /* as the job of a server does */
            struct diag diag = {0};
            CHECK_OK(crl_publish_all(house, CRL_WHEN_DUE, &diag), diag);
        }
        size_t opened = tell();
        if (opened) {
            struct alert x;
            alerts(ALERT_OPEN, NULL, NULL, &x);
            fail_msg("step %d: %zu alerts, such as %s: %s (%s)", step, opened, x.cause, x.title, x.text);
        }
    }
    assert_int_equal(alerts(0, NULL, NULL, NULL), 0);
    assert_int_equal(found("expired", NULL, NULL) + found("expiring.unrenewed", NULL, NULL) +
                         found("renewal.overdue", NULL, NULL),
                     0);

    /* Forty faults, each somebody's. */
    int64_t now = clock_now();
    static char owners[FAULTS][24];
    for (int i = 0; i < FAULTS; i++) {
        char id[24], subject[40];
        snprintf(owners[i], sizeof owners[i], "fault-owner-%d", i);
        snprintf(id, sizeof id, "fault-%d", i);
        snprintf(subject, sizeof subject, "CN=fault-%d", i);
        device_add(id, owners[i]);
        struct row_made m = {.subject = subject,
                             .device = id,
                             .issued = now - 350 * (int64_t)F_DAY,
                             .to = now + 5 * (int64_t)F_DAY};
        if (i < 14) { /* ends, and nothing renews it */
            issued_row(&m);
        } else if (i < 27) { /* its client has stopped */
            m.door = doors[i % 4];
            m.to = now + 12 * (int64_t)F_DAY;
            issued_row(&m);
        } else { /* a clone */
            char copy[24], other[40];
            m.door = DOOR_EST;
            m.issued = now - 10 * (int64_t)F_DAY;
            m.to = now + 300 * (int64_t)F_DAY;
            m.key = (uint8_t)(100 + i);
            issued_row(&m);
            snprintf(copy, sizeof copy, "copy-%d", i);
            snprintf(other, sizeof other, "CN=copy-%d", i);
            device_add(copy, "web");
            m.device = copy;
            m.subject = other;
            m.issued++;
            issued_row(&m);
        }
    }
    assert_int_equal(tell(), FAULTS);
    assert_int_equal(alerts(ALERT_OPEN, NULL, NULL, NULL), FAULTS);
    for (int i = 0; i < FAULTS; i++) {
        struct alert x;
        assert_int_equal(alerts(ALERT_OPEN, NULL, owners[i], &x), 1);
        assert_string_equal(x.cause, i < 14 ? "expiring" : i < 27 ? "renewal-overdue" : "finding:key.reuse");
    }
    assert_int_equal(deliveries(1, NULL), FAULTS);
    /* Nothing more of it, however often it is looked at. */
    assert_int_equal(tell(), 0);
    assert_int_equal(deliveries(0, NULL), FAULTS);
    free(v);
}

static void test_alert_look__worse_and_over(void **state)
{
    (void)state;
    struct alert x;
    struct diag diag = {0};
    int64_t now = clock_now() + 200 * (int64_t)F_DAY; /* the others are history */
    clock_fix(now);
    notification(
        "{\"kind\":\"Notification\",\"name\":\"log\",\"channel\":\"syslog\",\"disabled\":true,\"syslog\":{\"over\":\"unix\"}}");
    tell();
    notification(
        "{\"kind\":\"Notification\",\"name\":\"log\",\"channel\":\"syslog\",\"syslog\":{\"over\":\"unix\",\"path\":\"/nowhere\"},"
        "\"filter\":{\"owners\":[\"stages\"]}}");
    size_t before = deliveries(0, "CN=stages");
    device_add("stages", "stages");
    issued_row(&(struct row_made){.subject = "CN=stages",
                                  .device = "stages",
                                  .issued = now - 300 * (int64_t)F_DAY,
                                  .to = now + 29 * (int64_t)F_DAY});
    static const int days[] = {0, 10, 15, 20, 23, 28};
    static const int stages[] = {1, 1, 2, 2, 3, 4};
    size_t sent[] = {1, 1, 2, 2, 3, 4};
    for (int i = 0; i < 6; i++) {
        clock_fix(now + days[i] * (int64_t)F_DAY + 60);
        tell();
        assert_int_equal(alerts(ALERT_OPEN, "expiring", "stages", &x), 1);
        assert_int_equal(x.stage, stages[i]);
        assert_int_equal(deliveries(0, "CN=stages") - before, sent[i]);
        if (i == 2) { /* acknowledged: not told of again until it is worse */
            CHECK_OK(alert_acknowledge(house, TENANT_DEFAULT, x.id, "ticket", "me", &diag), diag);
            tell();
            assert_int_equal(alerts(ALERT_ACKED, "expiring", "stages", &x), 1);
            assert_string_equal(x.by, "me");
            clock_fix(now + 23 * (int64_t)F_DAY + 30);
            tell();
            assert_int_equal(alerts(ALERT_OPEN, "expiring", "stages", NULL), 1);
            sent[3] = 3;
            sent[4] = 3;
            i = 3;
        }
    }
    issued_row(&(struct row_made){.subject = "CN=stages",
                                  .device = "stages",
                                  .issued = clock_now(),
                                  .to = clock_now() + 300 * (int64_t)F_DAY});
    tell();
    assert_int_equal(alerts(ALERT_OPEN, "expiring", "stages", NULL), 0);
    assert_int_equal(alerts(ALERT_RESOLVED, "expiring", "stages", &x), 1);
    assert_int_equal(alert_acknowledge(house, TENANT_DEFAULT, x.id, "", "me", &diag), TM_EUSAGE);
}

static void send_all(void)
{
    struct diag diag = {0};
    bool wait;
    for (bool more = true; more;)
        CHECK_OK(alert_send_due(house, &more, &wait, &diag), diag);
}

static void test_alert_send_due__retries_and_maintenance(void **state)
{
    (void)state;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char doc[600], octets[4096];
    struct diag diag = {0};
    int64_t now = clock_now() + 100 * (int64_t)F_DAY;
    clock_fix(now);
    tell();
    snprintf(at.sun_path, sizeof at.sun_path, "%s/log", test_dir);
    snprintf(
        doc, sizeof doc,
        "{\"kind\":\"Notification\",\"name\":\"later\",\"channel\":\"syslog\",\"syslog\":{\"over\":\"unix\",\"path\":\"%s\"},"
        "\"filter\":{\"owners\":[\"send\"]}}",
        at.sun_path);
    notification(doc);
    device_add("send", "send");
    issued_row(&(struct row_made){.subject = "CN=send",
                                  .device = "send",
                                  .issued = now - 300 * (int64_t)F_DAY,
                                  .to = now + 5 * (int64_t)F_DAY});
    tell();
    assert_int_equal(deliveries(1, "CN=send"), 1);
    send_all();
    assert_int_equal(deliveries(1, "CN=send"), 1); /* nobody listens */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    clock_fix(now + 10);
    send_all();
    assert_int_equal(recv(fd, octets, sizeof octets, 0), -1); /* not yet */
    clock_fix(now + 31);
    send_all();
    ssize_t n = recv(fd, octets, sizeof octets - 1, 0);
    assert_true(n > 0);
    octets[n] = '\0';
    assert_non_null(strstr(octets, "touchmark@32473"));
    assert_non_null(strstr(octets, "CN=send ends in 5 days"));
    assert_int_equal(strncmp(octets, "<107>1 ", 7), 0); /* facility 13, error */
    assert_int_equal(deliveries(2, "CN=send"), 1);
    clock_fix(now + 3600);
    send_all();
    assert_int_equal(recv(fd, octets, sizeof octets, 0), -1); /* and no second time */
    /* What happens in maintenance is sent when that is over. */
    char from[21], until[21];
    clock_format_rfc3339(from, now + 3 * F_DAY);
    clock_format_rfc3339(until, now + 5 * F_DAY);
    snprintf(
        doc, sizeof doc,
        "{\"kind\":\"Notification\",\"name\":\"later\",\"channel\":\"syslog\",\"syslog\":{\"over\":\"unix\",\"path\":\"%s\"},"
        "\"filter\":{\"owners\":[\"send\"]},\"maintenance\":[{\"from\":\"%s\",\"until\":\"%s\"}]}",
        at.sun_path, from, until);
    notification(doc);
    clock_fix(now + 4 * (int64_t)F_DAY + 3600);
    tell();
    send_all();
    assert_int_equal(recv(fd, octets, sizeof octets, 0), -1);
    clock_fix(now + 5 * F_DAY + 1);
    send_all();
    assert_true(recv(fd, octets, sizeof octets, 0) > 0);
    CHECK_OK(alert_test(house, TENANT_DEFAULT, "later", "me", &diag), diag);
    assert_true(recv(fd, octets, sizeof octets, 0) > 0);
    assert_int_equal(alert_test(house, TENANT_DEFAULT, "nothing", "me", &diag), TM_ENOTFOUND);
    close(fd);
}

static void test_alert_digests__one_an_owner(void **state)
{
    (void)state;
    struct diag diag = {0};
    int64_t now = (clock_now() / F_DAY + 100) * F_DAY + 3600;
    clock_fix(now);
    tell();
    notification(
        "{\"kind\":\"Notification\",\"name\":\"later\",\"channel\":\"syslog\",\"disabled\":true,\"syslog\":{\"over\":\"unix\"}}");
    notification(
        "{\"kind\":\"Notification\",\"name\":\"digest\",\"channel\":\"mail\",\"when\":\"daily\",\"hour\":6,"
        "\"mail\":{\"server\":\"mail.example.org\",\"from\":\"pki@example.org\",\"to\":[\"all@example.org\"]},"
        "\"filter\":{\"owners\":[\"d-one\",\"d-two\"]},\"owners\":[{\"owner\":\"d-two\",\"to\":[\"two@example.org\"]}]}");
    CHECK_OK(alert_digests(house, TENANT_DEFAULT, &diag), diag);
    for (int i = 0; i < 3; i++) {
        char id[16], subject[24];
        snprintf(id, sizeof id, "d-%d", i);
        snprintf(subject, sizeof subject, "CN=digest-%d", i);
        device_add(id, i < 2 ? "d-one" : "d-two");
        issued_row(&(struct row_made){.subject = subject,
                                      .device = id,
                                      .issued = now - 300 * (int64_t)F_DAY,
                                      .to = now + 20 * (int64_t)F_DAY});
    }
    tell();
    CHECK_OK(alert_digests(house, TENANT_DEFAULT, &diag), diag);
    assert_int_equal(deliveries(0, "CN=digest-"), 0); /* its hour has not come */
    clock_fix(now + 6 * 3600);
    CHECK_OK(alert_digests(house, TENANT_DEFAULT, &diag), diag);
    CHECK_OK(alert_digests(house, TENANT_DEFAULT, &diag), diag);
    assert_int_equal(deliveries(1, "CN=digest-"), 2);
    assert_int_equal(deliveries(1, "2 alerts for d-one"), 1);
    assert_int_equal(deliveries(1, "\"to\":[\"two@example.org\"]"), 1);
    clock_fix(now + F_DAY + 6 * 3600);
    CHECK_OK(alert_digests(house, TENANT_DEFAULT, &diag), diag);
    assert_int_equal(deliveries(1, "CN=digest-"), 4);
}

static void test_notification_check__refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"kind\":\"Notification\",\"name\":\"x\",\"channel\":\"mail\"}",
        "{\"kind\":\"Notification\",\"name\":\"x\",\"channel\":\"mail\",\"mail\":{\"server\":\"m\",\"from\":\"a@b.example\"}}",
        "{\"kind\":\"Notification\",\"name\":\"x\",\"channel\":\"mail\",\"mail\":{\"server\":\"m\",\"from\":\"a@b.example\",\"to\":[\"no address\"]}}",
        "{\"kind\":\"Notification\",\"name\":\"x\",\"channel\":\"mail\",\"mail\":{\"server\":\"m\",\"from\":\"a@b.example\",\"to\":[\"c@d.example\"],\"tls\":"
        "\"none\",\"user\":\"u\"}}",
        "{\"kind\":\"Notification\",\"name\":\"x\",\"channel\":\"mail\",\"mail\":{\"server\":\"m\",\"from\":\"a@b.example\",\"to\":[\"c@d.example\\r\\nRSET\"]}}",
        "{\"kind\":\"Notification\",\"name\":\"x\",\"channel\":\"webhook\",\"webhook\":{\"url\":\"ftp://x\"}}",
        "{\"kind\":\"Notification\",\"name\":\"x\",\"channel\":\"syslog\"}",
        "{\"kind\":\"Notification\",\"name\":\"x\",\"channel\":\"pigeon\"}",
        "{\"kind\":\"Notification\",\"name\":\"X y\",\"channel\":\"syslog\",\"syslog\":{\"over\":\"unix\"}}",
        "{\"kind\":\"Notification\",\"name\":\"x\",\"channel\":\"syslog\",\"syslog\":{\"over\":\"unix\"},\"networks\":[\"everything\"]}",
        "{\"kind\":\"Notification\",\"name\":\"x\",\"channel\":\"syslog\",\"syslog\":{\"over\":\"unix\"},\"maintenance\":[{\"from\":\"2027-01-02\",\"until\":"
        "\"2027-01-01\"}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *doc = json_loads(bad[i], 0, NULL);
        struct diag diag = {0};
        assert_non_null(doc);
        if (house_resource_check(house, TENANT_DEFAULT, "Notification", doc, &(struct resource_put){0},
                                 &diag) != TM_EINVAL)
            fail_msg("taken: %s", bad[i]);
        assert_true(diag.message[0] != '\0');
        json_decref(doc);
    }
}

static void test_alert_secret__sealed(void **state)
{
    (void)state;
    struct diag diag = {0};
    static const char secret[] = "correct horse battery";
    assert_int_equal(alert_secret(house, TENANT_DEFAULT, "nothing", secret, "me", &diag), TM_ENOTFOUND);
    CHECK_OK(alert_secret(house, TENANT_DEFAULT, "digest", secret, "me", &diag), diag);
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = TENANT_DEFAULT,
                           .arena = arena,
                           .object_kind = OBJECT_NOTIFICATION_SECRET,
                           .name = "digest"};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    assert_null(memmem(q.objects[0].state.p, q.objects[0].state.n, "horse", 5));
    assert_int_equal(alert_secret(house, TENANT_DEFAULT, "digest", "two\nlines", "me", &diag), TM_EINVAL);
    CHECK_OK(alert_secret(house, TENANT_DEFAULT, "digest", "", "me", &diag), diag);
    assert_int_equal(store_read_now(house->store, &q), TM_ENOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alerts__a_quiet_week, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_alert_look__worse_and_over, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_alert_send_due__retries_and_maintenance, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_alert_digests__one_an_owner, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_notification_check__refused, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_alert_secret__sealed, each_begin, each_end),
    };
    if (getenv("TOUCHMARK_QUIET_WEEK")) /* a long one, alone */
        cmocka_set_test_filter("*quiet_week");
    return cmocka_run_group_tests(tests, begin, end);
}
