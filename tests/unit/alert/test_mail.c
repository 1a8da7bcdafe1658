/* What mail servers say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "alert/impl.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char spoken[8192];

/* The server says all of `says` and ends; what was said to it is in `spoken`. */
static tm_err talk(const char *says, enum notify_tls tls, const char *user, struct diag *diag)
{
    static const char *to[] = {"a@b.example"};
    const struct notification_doc d = {
        .mail = {.server = "localhost", .from = "f@x.example", .user = user, .tls = (int)tls}, .ca = "none"};
    const struct message m = {
        .id = "1", .subject = "s", .text = "t\n", .json = "{}", .severity = FINDING_INFO, .to = {to, 1}};
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(send(ends[1], says, strlen(says), 0), strlen(says));
    shutdown(ends[1], SHUT_WR);
    struct arena *a = arena_new(0);
    struct wire w = {.fd = ends[0], .reach = {.deadline_ns = clock_mono_ns() + UINT64_C(10000000000)}};
    *diag = (struct diag){0};
    tm_err e = mail_talk(&w, a, &d, &m, "secret", diag);
    ssize_t n = recv(ends[1], spoken, sizeof spoken - 1, 0);
    spoken[n > 0 ? n : 0] = '\0';
    wire_close(&w);
    close(ends[1]);
    arena_free(a);
    return e;
}

#define HELLO "220 x ESMTP\r\n250-x\r\n250-SIZE 1000\r\n"
#define REST  "250 ok\r\n250 ok\r\n354 go on\r\n250 taken\r\n"

static void test_mail_talk__whole(void **state)
{
    (void)state;
    struct diag diag;
    assert_int_equal(
        talk(HELLO "250 AUTH LOGIN PLAIN\r\n235 in\r\n" REST "221 bye\r\n", NOTIFY_PLAIN, "u", &diag), TM_OK);
    assert_non_null(strstr(spoken, "\r\nAUTH PLAIN AHUAc2VjcmV0\r\nMAIL FROM:<f@x.example>\r\n"));
    assert_non_null(strstr(spoken, "\r\n.\r\nQUIT\r\n"));
    /* RFC 5321 4.2: nothing has to stand behind the code; nor does anything have to come behind the message. */
    assert_int_equal(talk("220\r\n250\r\n250\n250\r\n354\r\n250\r\n", NOTIFY_PLAIN, "", &diag), TM_OK);
}

static void refuses(const char *says, enum notify_tls tls, tm_err e, const char *why)
{
    struct diag diag;
    assert_int_equal(talk(says, tls, "u", &diag), e);
    assert_non_null(strstr(diag.message, why));
    assert_null(strstr(spoken, "MAIL FROM"));
}

static void test_mail_talk__no_reply(void **state)
{
    (void)state;
    refuses("", NOTIFY_PLAIN, TM_EUNAVAIL, "ended");
    refuses("220 x\r\n250", NOTIFY_PLAIN, TM_EUNAVAIL, "ended");
    refuses("SSH-2.0-x\r\n", NOTIFY_PLAIN, TM_EMALFORMED, "no reply");
    refuses("22\r\n", NOTIFY_PLAIN, TM_EMALFORMED, "no reply");
    refuses("2200 x\r\n", NOTIFY_PLAIN, TM_EMALFORMED, "no reply");
    refuses("620 x\r\n", NOTIFY_PLAIN, TM_EMALFORMED, "no reply");
    /* lines of one reply have one code */
    refuses("220-x\r\n250 x\r\n", NOTIFY_PLAIN, TM_EMALFORMED, "no reply");
    refuses("421 later\r\n", NOTIFY_PLAIN, TM_EUNAVAIL, "421 later");
}

/* The lines behind the bound are not taken for answers to what comes next. */
static void test_mail_talk__without_end(void **state)
{
    (void)state;
    struct buf says;
    buf_init(&says, 1 << 16);
    buf_puts(&says, "220 x\r\n");
    for (int i = 0; i < 101; i++)
        buf_puts(&says, "250-AUTH PLAIN\r\n");
    buf_puts(&says, "250 x\r\n235 in\r\n" REST);
    refuses(buf_str(&says), NOTIFY_PLAIN, TM_EMALFORMED, "more than 100 lines");
    buf_reset(&says);
    for (int i = 0; i < 1100; i++)
        buf_putc(&says, '2');
    refuses(buf_str(&says), NOTIFY_PLAIN, TM_EMALFORMED, "too long");
    buf_done(&says);
}

static void test_mail_talk__extensions(void **state)
{
    (void)state;
    refuses(HELLO "250 OK STARTTLS\r\n", NOTIFY_STARTTLS, TM_EUNSUPPORTED, "STARTTLS");
    refuses(HELLO "250 starttls\r\n220 go\r\n", NOTIFY_STARTTLS, TM_EUNAVAIL, "TLS with localhost failed");
    refuses(HELLO "250 AUTH LOGIN XPLAIN\r\n", NOTIFY_PLAIN, TM_EUNSUPPORTED, "AUTH PLAIN");
    refuses(HELLO "250 AUTH\r\n", NOTIFY_PLAIN, TM_EUNSUPPORTED, "AUTH PLAIN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail_talk__whole),
        cmocka_unit_test(test_mail_talk__no_reply),
        cmocka_unit_test(test_mail_talk__without_end),
        cmocka_unit_test(test_mail_talk__extensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
