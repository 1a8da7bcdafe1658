/* What is sent, whatever stands in it and beside it: one that can't be read holds up no other, and lines stay lines. */
#include "alert/impl.h"
#include "unit/finding/finding_test.h"
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un at = {.sun_family = AF_UNIX};
static int sink = -1;

static int begin(void **state)
{
    (void)state;
    test_dir_make();
    make_home_with(&(struct init_config){0});
    house = open_home();
    arena = arena_new(64 << 20);
    snprintf(at.sun_path, sizeof at.sun_path, "%s/log", test_dir);
    sink = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    return arena && sink >= 0 && bind(sink, (struct sockaddr *)&at, sizeof at) == 0 ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    close(sink);
    arena_free(arena);
    house_close(house);
    free_home();
    test_dir_remove();
    return 0;
}

static void delivery(const char *id, const char *state)
{
    struct effect e = {.kind = EFFECT_OBJECT_PUT, .tenant = TENANT_DEFAULT, .expected_version = 0};
    struct diag diag = {0};
    e.u.object.row = (struct object_row){.kind = OBJECT_ALERT_DELIVERY,
                                         .id = id,
                                         .owner = "here",
                                         .key = "",
                                         .ref = "",
                                         .status = 1,
                                         .due_at = clock_now_ms() - 1000,
                                         .created_at = clock_now(),
                                         .keep_until = clock_now() + F_DAY,
                                         .state = slice_str(state)};
    CHECK_OK(house_commit(house, &e, 1, &diag), diag);
}

static int status_of(const char *id)
{
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = TENANT_DEFAULT,
                           .arena = arena,
                           .object_kind = OBJECT_ALERT_DELIVERY,
                           .name = id};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    return q.objects[0].status;
}

static void test_alert_send_due__one_that_cannot_be_read(void **state)
{
    (void)state;
    static const char *const bad[] = {"{", "[]", "{\"severity\":\"dreadful\"}", "{\"to\":7}", ""};
    char doc[300], octets[4096], id[8];
    struct diag diag = {0};
    snprintf(
        doc, sizeof doc,
        "{\"kind\":\"Notification\",\"name\":\"here\",\"channel\":\"syslog\",\"syslog\":{\"over\":\"unix\","
        "\"path\":\"%s\"}}",
        at.sun_path);
    json_t *json = json_loads(doc, 0, NULL);
    CHECK_OK(house_resource_put(house, TENANT_DEFAULT, "Notification", json, -1, "tester", NULL, &diag),
             diag);
    json_decref(json);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(id, sizeof id, "a%zu", i); /* before the good one */
        delivery(arena_strdup(arena, id), bad[i]);
    }
    delivery(
        "b",
        "{\"subject\":\"the good one\",\"text\":\"\",\"json\":\"{}\",\"severity\":\"high\",\"tries\":0}");
    bool wait;
    for (bool more = true; more;)
        CHECK_OK(alert_send_due(house, &more, &wait, &diag), diag);
    ssize_t n = recv(sink, octets, sizeof octets - 1, 0);
    assert_true(n > 0);
    octets[n] = '\0';
    assert_non_null(strstr(octets, "the good one"));
    assert_int_equal(status_of("b"), 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(id, sizeof id, "a%zu", i);
        assert_int_equal(status_of(id), 3); /* given up, and said so */
    }
    assert_int_equal(recv(sink, octets, sizeof octets, 0), -1);
}

static void test_syslog_send__one_line(void **state)
{
    (void)state;
    struct notification_doc d = {.channel = NOTIFY_SYSLOG};
    struct diag diag = {0};
    char octets[8192], text[4096];
    d.syslog.over = NOTIFY_UNIX;
    d.syslog.path = at.sun_path;
    d.syslog.facility = 13;
    /* The text is cut in the middle of what would be a character. */
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 3);
    memcpy(text, "x", 1);
    struct message m = {
        .id = "0", .subject = "a\n<0>1 forged\r\t\x7f \xff\xc3", .text = text, .severity = FINDING_HIGH};
    CHECK_OK(syslog_send(arena, &d, &m, &diag), diag);
    ssize_t n = recv(sink, octets, sizeof octets - 1, 0);
    assert_true(n > 0);
    octets[n] = '\0';
    assert_non_null(strstr(octets, "\xef\xbb\xbf"
                                   "a <0>1 forged    ?? | x?"));
    assert_true(utf8_valid(slice_of(octets, (size_t)n)));
    for (ssize_t i = 0; i < n; i++)
        assert_true((unsigned char)octets[i] >= 0x20 && octets[i] != 0x7f);
    /* A subject without end leaves room for the rest. */
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    m.subject = text;
    CHECK_OK(syslog_send(arena, &d, &m, &diag), diag);
    assert_true(recv(sink, octets, sizeof octets, 0) < 4096);
}

/* People get so many mails in an hour, whoever gets them, and one that says that there are more; machines get all. */
static void test_notification_room__a_flood(void **state)
{
    (void)state;
    struct notify_owner owner = {.owner = "plant"};
    struct notification_doc d = {.name = "flood", .channel = NOTIFY_MAIL, .owners = {.v = &owner, .n = 1}};
    int64_t now = 1795000000;
    for (int i = 0; i < NOTIFY_HOURLY; i++)
        assert_int_equal(notification_room(TENANT_DEFAULT, &d, i % 2 ? "one" : "two", now), NOTIFY_TELL);
    assert_int_equal(notification_room(TENANT_DEFAULT, &d, "three", now), NOTIFY_TELL_MANY);
    assert_int_equal(notification_room(TENANT_DEFAULT, &d, "", now), NOTIFY_HUSH);
    assert_int_equal(notification_room(TENANT_DEFAULT, &d, "plant", now),
                     NOTIFY_TELL); /* others read those */
    assert_int_equal(notification_room(TENANT_DEFAULT + 1, &d, "", now), NOTIFY_TELL);
    assert_int_equal(notification_room(TENANT_DEFAULT, &d, "one", now + 3600), NOTIFY_TELL);
    d.channel = NOTIFY_WEBHOOK;
    for (int i = 0; i < 2 * NOTIFY_HOURLY; i++)
        assert_int_equal(notification_room(TENANT_DEFAULT, &d, "", now), NOTIFY_TELL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alert_send_due__one_that_cannot_be_read),
        cmocka_unit_test(test_syslog_send__one_line),
        cmocka_unit_test(test_notification_room__a_flood),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
