/* A quiet week: an inventory that renews itself raises no alert, and each fault that is planted in it raises one, with the right owner, however that is
 * said. Then how alerts are sent, once each, again after failures, not in maintenance. */
#include "alert/alert.h"
#include "inventory/owner.h"
#include "unit/finding/finding_test.h"
#include <sys/socket.h>
#include <sys/un.h>

enum { HOUSEKEEPING = 6 * 3600, STEPS = 28, LATER = 12, BATCH = 200, ORDINARY = 1200, MOST = 200000 };
enum { EACH = 4, KINDS = 10, FAULTS = EACH * KINDS };

static size_t many;

static int begin(void **state)
{
    const char *n = getenv("TOUCHMARK_QUIET_WEEK");
    many = n ? strtoul(n, NULL, 10) : ORDINARY;
    assert_true(many >= FAULTS && many <= MOST);
    return still_begin(state);
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

/* ---- the faults ---- */

enum { ISSUED_BEFORE = 350, ENDS_IN = 5 }; /* days */

static void add_rule(int i, const char *which)
{
    struct diag diag = {0};
    json_t *doc =
        json_pack("{s:s,s:s+,s:s+}", "kind", "Ownership", "name", "rule-", arena_printf(arena, "%d", i),
                  "owner", "fault-owner-", arena_printf(arena, "%d", i));
    json_t *more = json_loads(which, 0, NULL);
    assert_true(doc && more && json_object_update(doc, more) == 0);
    CHECK_OK(house_resource_put(house, TENANT_DEFAULT, "Ownership", doc, -1, "tester", NULL, &diag), diag);
    json_decref(more);
    json_decref(doc);
}

static void add_note(const char *id, const char *owner, const char *tag)
{
    struct slice octets;
    struct diag diag = {0};
    struct cert_note n = {.text = {owner, "", "", "", ""}, .comment = "", .by = "tester"};
    struct store_read q = {.kind = READ_CERT, .tenant = TENANT_DEFAULT, .arena = arena};
    assert_int_equal(hex_decode(&octets, arena, slice_str(id)), TM_OK);
    memcpy(q.id, octets.p, CERT_SERIAL_LEN);
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    if (tag)
        n.tags[n.n_tags++] = tag;
    CHECK_OK(cert_note_write(house, arena, TENANT_DEFAULT, &q.certs[0], &n, -1, &diag), diag);
}

/* Of somebody else's CA; met at `place`, which may be NULL. */
static const char *foreign(struct made m, const char *place)
{
    m.issuer = "Somebody else";
    struct slice der = make_cert(&m);
    const char *id = import_der(der);
    if (place)
        see(place, &der, 1);
    return id;
}

static void add_clone(int i, const char *id, const char *subject, int64_t now)
{
    const char *copy = arena_printf(arena, "copy-%d", i);
    struct row_made m = {.subject = subject,
                         .device = id,
                         .door = DOOR_EST,
                         .issued = now - 10 * (int64_t)F_DAY,
                         .to = now + 300 * (int64_t)F_DAY,
                         .key = (uint8_t)(100 + i)};
    issued_row(&m);
    device_add(copy, "web");
    m.device = copy;
    m.subject = arena_printf(arena, "CN=copy-%d", i);
    m.issued++;
    issued_row(&m);
}

/* A client of the many stops just before it would have renewed. */
static struct host *stop(struct host *v, int i)
{
    struct host *h = &v[i - 5 * EACH];
    assert_true(h->issued + h->life - 30 * (int64_t)F_DAY + h->patience > clock_now());
    h->stuck = true;
    return h;
}

/* Fault i, of kind i / EACH. Its owner is "fault-owner-<i>", said in the way that the kind is about. The cause of its alert. */
static const char *plant(int i, struct host *v)
{
    int64_t now = clock_now();
    const char *id = arena_printf(arena, "fault-%d", i), *subject = arena_printf(arena, "CN=fault-%d", i),
               *owner = arena_printf(arena, "fault-owner-%d", i),
               *seven = arena_printf(arena, "tls:10.7.%d.9:443", i),
               *network = arena_printf(arena, "{\"networks\":[\"10.7.%d.0/24\"]}", i);
    struct row_made ends = {.subject = subject,
                            .issued = now - ISSUED_BEFORE * (int64_t)F_DAY,
                            .to = now + ENDS_IN * (int64_t)F_DAY};
    struct made others = {.cn = id, .from = ends.issued, .to = ends.to};
    struct host *h;
    switch (i / EACH) {
    case 0: /* ends, and nothing renews it; its device's owner */
        device_add(id, owner);
        ends.device = id;
        issued_row(&ends);
        return "expiring";
    case 1: /* by hand, whatever the device's owner is */
        device_add(id, "web");
        ends.device = id;
        add_note(issued_row(&ends), owner, NULL);
        return "expiring";
    case 2: /* somebody else issued it, a scan met it; by its network */
        foreign(others, seven);
        add_rule(i, network);
        return "expiring";
    case 3: /* by a query */
        foreign(others, NULL);
        add_rule(i, arena_printf(arena, "{\"match\":\"\\\"%s\\\"\"}", subject));
        return "expiring";
    case 4: /* by a tag that it has by hand */
        add_note(foreign(others, NULL), "", arena_printf(arena, "tag-%d", i));
        add_rule(i, arena_printf(arena, "{\"tagged\":[\"tag-%d\"]}", i));
        return "expiring";
    case 5: /* a client of the many stops; its device's owner */
        h = stop(v, i);
        device_add(h->name, owner);
        return "renewal-overdue";
    case 6: /* the same, by a rule that goes before the device's owner */
        h = stop(v, i);
        add_rule(i, arena_printf(arena, "{\"match\":\"device:%s\"}", h->name));
        return "renewal-overdue";
    case 7: /* a device's key on another one */
        device_add(id, owner);
        add_clone(i, id, subject, now);
        return "finding:key.reuse";
    case 8: /* a weak key, by hand */
        others.key = new_rsa(1024);
        others.from = now - F_DAY;
        others.to = now + 200 * (int64_t)F_DAY;
        add_note(foreign(others, seven), owner, NULL);
        EVP_PKEY_free(others.key);
        return "finding:key.weak";
    default: /* a weak signature, by network */
        others.md = EVP_sha1();
        others.from = now - F_DAY;
        others.to = now + 200 * (int64_t)F_DAY;
        foreign(others, seven);
        add_rule(i, network);
        return "finding:hash.weak";
    }
}

/* ---- the week ---- */

static struct host *inventory(void)
{
    static const int doors[] = {DOOR_ACME, DOOR_EST, DOOR_SCEP, DOOR_CMP};
    static const char *const teams[] = {"web", "plant", "it", "lab"};
    struct host *v = calloc(many, sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < many; i++) {
        struct host *h = &v[i];
        snprintf(h->name, sizeof h->name, "host-%zu", i);
        snprintf(h->subject, sizeof h->subject, "CN=host-%zu", i);
        h->door = doors[i % 4];
        h->life = (i % 2 ? 365 : 45) * (int64_t)F_DAY;
        /* Somewhere before the time at which it renews, which is at latest when its window ends. */
        h->patience = (int64_t)(i * 7919 % (10 * F_DAY));
        h->issued = t0 - (int64_t)(i * 104729 % (size_t)(h->life - 30 * (int64_t)F_DAY + h->patience));
        if (i < 2 * EACH) { /* these take all the time they have, and that ends just behind the week */
            h->patience = 10 * F_DAY - 600;
            h->issued = t0 + (STEPS + 1) * (int64_t)HOUSEKEEPING + (int64_t)i * 1800 - h->patience -
                        (h->life - 30 * (int64_t)F_DAY);
        }
        add_device(h->name, teams[i % 4]);
    }
    flush();
    for (size_t i = 0; i < many; i++)
        add_cert(&v[i], v[i].issued);
    flush();
    return v;
}

/* A quarter of a day goes by: clients renew, the server does its jobs, somebody looks. How many alerts opened. */
static size_t step(struct host *v, int n)
{
    int64_t now = t0 + n * (int64_t)HOUSEKEEPING;
    clock_fix(now);
    renew_those_due(v, many, now);
    if (n % 4 == 0) {
        struct diag diag = {0};
        CHECK_OK(crl_publish_all(house, CRL_WHEN_DUE, &diag), diag);
    }
    return tell();
}

static void test_alerts__a_quiet_week(void **state)
{
    (void)state;
    notification(
        "{\"kind\":\"Notification\",\"name\":\"log\",\"channel\":\"syslog\",\"syslog\":{\"over\":\"unix\",\"path\":\"/nowhere/at/all\"}}");
    struct host *v = inventory();
    size_t rows = rows_made, opened = 0;
    struct alert x;
    for (int n = 0; n < STEPS; n++) {
        if (step(v, n) == 0)
            continue;
        alerts(ALERT_OPEN, NULL, NULL, &x);
        fail_msg("step %d: alerts, such as %s: %s (%s)", n, x.cause, x.title, x.text);
    }
    assert_int_equal(alerts(0, NULL, NULL, NULL), 0);
    assert_int_equal(found("expired", NULL, NULL) + found("expiring.unrenewed", NULL, NULL) +
                         found("renewal.overdue", NULL, NULL),
                     0);
    assert_true(rows_made > rows + many / 10); /* and it did renew */

    /* Forty faults, each somebody's; all else goes on. */
    const char *causes[FAULTS];
    for (int i = 0; i < FAULTS; i++)
        causes[i] = plant(i, v);
    for (int n = STEPS; n < STEPS + LATER; n++)
        opened += step(v, n);
    for (int i = 0; i < FAULTS; i++) {
        const char *owner = arena_printf(arena, "fault-owner-%d", i);
        if (alerts(ALERT_OPEN, NULL, owner, &x) != 1)
            fail_msg("fault %d, %s: %zu alerts for %s", i, causes[i], alerts(0, NULL, owner, NULL), owner);
        assert_string_equal(x.cause, causes[i]);
    }
    assert_int_equal(opened, FAULTS);
    assert_int_equal(alerts(0, NULL, NULL, NULL), FAULTS);
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
        cmocka_unit_test_setup_teardown(test_alerts__a_quiet_week, still_each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_alert_look__worse_and_over, still_each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_alert_send_due__retries_and_maintenance, still_each_begin,
                                        still_each_end),
        cmocka_unit_test_setup_teardown(test_alert_digests__one_an_owner, still_each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_notification_check__refused, still_each_begin, still_each_end),
        cmocka_unit_test_setup_teardown(test_alert_secret__sealed, still_each_begin, still_each_end),
    };
    if (getenv("TOUCHMARK_QUIET_WEEK")) /* a long one, alone */
        cmocka_set_test_filter("*quiet_week");
    return cmocka_run_group_tests(tests, begin, still_end);
}
