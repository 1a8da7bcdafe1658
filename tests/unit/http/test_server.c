#include "http_test.h"
#include <errno.h>
#include <sys/stat.h>
#include <sys/un.h>

static const struct http_listener plain = {.address = "127.0.0.1", .kind = HTTP_LISTENER_PLAIN};

static int up(void **state)
{
    server_up(&plain, 1, (struct http_server_config){0});
    return 0;
}

static int down(void **state)
{
    server_down();
    return 0;
}

/* ---- methods and replies ---- */

static void test_server__get(void **state)
{
    const char *a = talk(0, "GET /hello HTTP/1.1\r\n" LAST);
    assert_int_equal(status_in(a), 200);
    assert_string_equal(body_in(a), "hello\n");
    assert_non_null(strstr(a, "\r\nDate: "));
    assert_non_null(strstr(a, "\r\nContent-Length: 6\r\n"));
    assert_non_null(strstr(a, "\r\nX-Request-Id: "));
    assert_non_null(strstr(a, "\r\nConnection: close\r\n"));
    assert_null(strstr(a, "Server:"));
}

static void test_server__head(void **state)
{
    const char *a = talk(0, "HEAD /hello HTTP/1.1\r\n" LAST);
    assert_int_equal(status_in(a), 200);
    assert_non_null(strstr(a, "\r\nContent-Length: 6\r\n"));
    assert_string_equal(body_in(a), "");
}

static void test_server__http10(void **state)
{
    const char *a = talk(0, "GET /hello HTTP/1.0\r\n\r\n");
    assert_int_equal(status_in(a), 200); /* with HTTP/1.1 in the status line */
    assert_string_equal(body_in(a), "hello\n");
    a = talk(0, "GET /flood?n=5000 HTTP/1.0\r\n\r\n");
    assert_null(strstr(a, "chunked"));
    assert_non_null(strstr(a, "Connection: close"));

    int fd = dial(0);
    say(fd, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    a = hear(fd, "hello\n", 5000);
    assert_non_null(strstr(a, "Connection: keep-alive"));
    say(fd, "GET /hello HTTP/1.0\r\n\r\n");
    assert_string_equal(body_in(hear(fd, NULL, 5000)), "hello\n");
    close(fd);
}

static void test_server__errors(void **state)
{
    assert_int_equal(status_in(talk(0, "GET /nothing HTTP/1.1\r\n" LAST)), 404);
    assert_int_equal(status_in(talk(0, "GET /admin HTTP/1.1\r\n" LAST)), 404);
    const char *a = talk(0, "POST /hello HTTP/1.1\r\n" LAST);
    assert_int_equal(status_in(a), 405);
    assert_non_null(strstr(a, "\r\nAllow: GET, HEAD\r\n"));
    a = talk(0, "GET /echo HTTP/1.1\r\n" LAST);
    assert_int_equal(status_in(a), 405);
    assert_non_null(strstr(a, "\r\nAllow: POST, PUT\r\n"));
    assert_int_equal(status_in(talk(0, "TRACE /hello HTTP/1.1\r\n" LAST)), 501);
    assert_int_equal(status_in(talk(0, "CONNECT h:1 HTTP/1.1\r\n" LAST)), 501);
    assert_int_equal(status_in(talk(0, "GET /empty HTTP/1.1\r\n" LAST)), 204);
}

static void test_server__errors_keep_alive(void **state)
{
    int fd = dial(0);
    say(fd, "GET /nothing HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(status_in(hear(fd, "path\n", 5000)), 404);
    say(fd, "GET /hello HTTP/1.1\r\n" LAST);
    assert_int_equal(status_in(hear(fd, NULL, 5000)), 200);
    close(fd);
}

static void test_server__header_injection(void **state)
{
    const char *a = talk(0, "GET /split?v=%C3%A4 HTTP/1.1\r\n" LAST);
    assert_int_equal(status_in(a), 200);
    assert_null(strstr(a, "\nX-Evil"));
    assert_int_equal(status_in(talk(0, "GET /split?v=a%0d%0aX-Evil:1 HTTP/1.1\r\n" LAST)), 400);
}

/* ---- paths ---- */

static void test_server__params(void **state)
{
    assert_string_equal(body_in(talk(0, "GET /params/x%2Fy/%C3%A4?q=1+2%2B&q=5 HTTP/1.1\r\n" LAST)),
                        "x/y|ä|1 2+|/params/x/y/ä");
    assert_string_equal(body_in(talk(0, "GET /rest/a/b//c%2Fd HTTP/1.1\r\n" LAST)), "a/b//c/d");
    assert_string_equal(body_in(talk(0, "GET /rest/ HTTP/1.1\r\n" LAST)), "");
    assert_int_equal(status_in(talk(0, "GET /params//b HTTP/1.1\r\n" LAST)), 404);
    assert_string_equal(body_in(talk(0, "GET http://other:80/rest/z HTTP/1.1\r\n" LAST)), "z");
    assert_string_equal(body_in(talk(0, "GET http://other HTTP/1.1\r\n" LAST)), "hello\n");
}

/* ---- bodies ---- */

static void test_server__body(void **state)
{
    const char *a = talk(0, "POST /echo HTTP/1.1\r\nContent-Type: a/b\r\nContent-Length: 5\r\n" LAST "12345");
    assert_string_equal(body_in(a), "12345");
    assert_non_null(strstr(a, "\r\nContent-Type: a/b\r\n"));
    a = talk(0, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" LAST
                "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n");
    assert_string_equal(body_in(a), "abcde");
    assert_string_equal(body_in(talk(0, "POST /echo HTTP/1.1\r\nContent-Length: 0\r\n" LAST)), "");
    assert_string_equal(body_in(talk(0, "POST /echo HTTP/1.1\r\n" LAST)), "");
}

static void test_server__body_split(void **state)
{
    static const char text[] =
        "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Type:\t a/b \r\n" LAST
        "3\r\nabc\r\n0\r\nT: x\r\n\r\n";
    for (size_t i = 1; i < sizeof text - 1; i += 3) {
        int fd = dial(0);
        setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &(int){1}, sizeof(int));
        say_n(fd, text, i);
        sched_yield();
        say(fd, text + i);
        const char *a = hear(fd, NULL, 5000);
        assert_string_equal(body_in(a), "abc");
        assert_non_null(strstr(a, "\r\nContent-Type: a/b\r\n"));
        close(fd);
    }
}

static void test_server__body_too_large(void **state)
{
    assert_int_equal(status_in(talk(0, "POST /small HTTP/1.1\r\nContent-Length: 11\r\n" HOST "\r\n")), 413);
    assert_int_equal(status_in(talk(0, "POST /small HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST
                                       "\r\n6\r\n123456\r\n6\r\n123456\r\n0\r\n\r\n")),
                     413);
    assert_int_equal(status_in(talk(0, "GET /hello HTTP/1.1\r\nContent-Length: 1\r\n" HOST "\r\nx")), 413);
    assert_int_equal(status_in(talk(0, "POST /count-small HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST
                                       "\r\nf\r\n123456789012345\r\n")),
                     413);
    assert_true(comes_to(&seen_ends_bad, 1));
}

static void test_server__expect_continue(void **state)
{
    int fd = dial(0);
    say(fd, "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n" HOST "\r\n");
    assert_string_equal(hear(fd, "\r\n\r\n", 5000), "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "abc");
    assert_string_equal(body_in(hear(fd, "abc", 5000)), "abc");
    close(fd);
    /* Refused without the body. */
    assert_int_equal(
        status_in(
            talk(0, "POST /small HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99\r\n" HOST "\r\n")),
        413);
    assert_int_equal(
        status_in(talk(0, "POST /echo HTTP/1.1\r\nExpect: tea\r\nContent-Length: 9\r\n" HOST "\r\n")), 417);
    fd = dial(0);
    say(fd, "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
    assert_int_equal(status_in(hear(fd, NULL, 5000)), 200);
    close(fd);
}

static void send_zeros(int fd, size_t n)
{
    static const char zeros[65536];
    for (; n > 0; n -= n < sizeof zeros ? n : sizeof zeros)
        say_n(fd, zeros, n < sizeof zeros ? n : sizeof zeros);
}

static void test_server__streamed_body(void **state)
{
    int ends = seen_ends_ok;
    int fd = dial(0);
    say(fd, "POST /count HTTP/1.1\r\nContent-Length: 20000000\r\n" HOST "\r\n");
    send_zeros(fd, 20000000);
    assert_string_equal(body_in(hear(fd, "0\n", 5000)), "20000000\n");
    say(fd, "POST /count HTTP/1.1\r\n" HOST "\r\n"); /* no body at all */
    assert_string_equal(body_in(hear(fd, "0\n", 5000)), "0\n");
    say(fd, "POST /count?pause=1 HTTP/1.1\r\nContent-Length: 1000000\r\n" HOST "\r\n");
    send_zeros(fd, 1000000);
    assert_string_equal(body_in(hear(fd, "0\n", 5000)), "1000000\n");
    close(fd);
    assert_int_equal(seen_ends_ok, ends + 3);
}

static void test_server__early_reply(void **state)
{
    int ends = seen_ends_bad;
    int fd = dial(0);
    say(fd, "POST /early HTTP/1.1\r\nContent-Length: 300000\r\n" HOST "\r\n");
    send_zeros(fd, 300000);
    const char *a = hear(fd, NULL, 5000);
    assert_int_equal(status_in(a), 401);
    assert_non_null(strstr(a, "Connection: close"));
    assert_null(strstr(a, "<reset>"));
    close(fd);
    /* Without a body there is nothing in the way of the next request. */
    fd = dial(0);
    say(fd, "POST /early HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" LAST);
    a = hear(fd, NULL, 5000);
    assert_int_equal(status_in(a), 401);
    assert_non_null(strstr(a, "hello\n"));
    close(fd);
    assert_int_equal(seen_ends_bad, ends);
}

static void test_server__both_ways(void **state)
{
    int fd = dial(0);
    say(fd, "POST /pipe HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\n3\r\none\r\n");
    assert_string_equal(body_in(hear(fd, "one\r\n", 5000)), "3\r\none\r\n");
    say(fd, "3\r\ntwo\r\n0\r\n\r\n");
    assert_string_equal(hear(fd, "0\r\n\r\n", 5000), "3\r\ntwo\r\n0\r\n\r\n");
    say(fd, "GET /hello HTTP/1.1\r\n" LAST);
    assert_int_equal(status_in(hear(fd, NULL, 5000)), 200);
    close(fd);
}

static void test_server__flood(void **state)
{
    int drains = seen_drains;
    int fd = dial(0);
    say(fd, "GET /flood?n=30000000 HTTP/1.1\r\n" HOST "\r\n");
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    size_t got = 0;
    char chunk[65536], tail[6] = "";
    while (strncmp(tail, "0\r\n\r\n", 5) != 0) {
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        assert_true(n > 0);
        got += (size_t)n;
        if (n >= 5)
            memcpy(tail, chunk + n - 5, 5);
    }
    assert_true(got > 30000000 && got < 30200000);
    assert_true(seen_drains > drains + 1);
    say(fd, "HEAD /flood?n=30000000 HTTP/1.1\r\n" LAST);
    assert_string_equal(body_in(hear(fd, NULL, 5000)), "");
    close(fd);
}

/* ---- connections ---- */

static void test_server__pipelined(void **state)
{
    int fd = dial(0);
    for (int i = 0; i < 300; i++)
        say(fd, "\r\nGET /later HTTP/1.1\r\n" HOST "\r\n");
    say(fd, "GET /hello HTTP/1.1\r\n" LAST);
    const char *a = hear(fd, NULL, 5000);
    int n = 0;
    for (const char *at = a; (at = strstr(at, "later\n")); at++)
        n++;
    assert_int_equal(n, 300);
    assert_non_null(strstr(a, "hello\n"));
    close(fd);
}

static void test_server__half_close(void **state)
{
    int fd = dial(0);
    say(fd, "GET /later?ms=50 HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n");
    shutdown(fd, SHUT_WR);
    const char *a = hear(fd, NULL, 5000);
    assert_non_null(strstr(a, "later\n"));
    assert_non_null(strstr(a, "hello\n"));
    close(fd);
}

static void test_server__abort(void **state)
{
    struct linger hard = {.l_onoff = 1};
    int aborted = seen_aborted, bad = seen_ends_bad, replies = seen_replies;
    int fd = dial(0); /* before the reply */
    say(fd, "GET /later?ms=100 HTTP/1.1\r\n" HOST "\r\n");
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
    assert_true(comes_to(&seen_aborted, aborted + 1));
    fd = dial(0); /* in the middle of a streamed body */
    say(fd, "POST /count HTTP/1.1\r\nContent-Length: 100\r\n" HOST "\r\nabc");
    close(fd);
    assert_true(comes_to(&seen_ends_bad, bad + 1));
    fd = dial(0); /* while it is paused */
    say(fd, "POST /count?pause=1 HTTP/1.1\r\nContent-Length: 100\r\n" HOST "\r\nabc");
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
    assert_true(comes_to(&seen_ends_bad, bad + 2));
    fd = dial(0); /* in the middle of a buffered one: nobody hears of it */
    say(fd, "POST /echo HTTP/1.1\r\nContent-Length: 100\r\n" HOST "\r\nabc");
    close(fd);
    fd = dial(0); /* in the middle of a streamed reply */
    say(fd, "GET /flood?n=90000000 HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(status_in(hear(fd, "\r\n\r\n", 5000)), 200);
    close(fd);
    assert_true(comes_to(&seen_aborted, aborted + 2));
    assert_true(comes_to(&seen_replies, replies + 4));
}

static void test_server__upgrade_is_ignored(void **state)
{
    const char *a =
        talk(0, "GET /hello HTTP/1.1\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n" HOST "\r\n");
    assert_int_equal(status_in(a), 200);
    assert_string_equal(body_in(a), "hello\n");
}

static void test_server__many_at_once(void **state)
{
    enum { N = 200 };
    int fds[N];
    for (int i = 0; i < N; i++)
        fds[i] = dial(0);
    for (int i = 0; i < N; i++)
        say(fds[i], "GET /later?ms=1 HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < N; i++) {
        assert_int_equal(status_in(hear(fds[i], "later\n", 5000)), 200);
        close(fds[i]);
    }
    struct http_stats st;
    http_server_stats(server, &st);
    assert_true(st.requests >= N && st.accepted >= N);
}

/* ---- starting and stopping ---- */

static void test_http_server_start__address_taken(void **state)
{
    struct http_listener same = plain;
    struct diag diag = {0};
    struct http_server *second = NULL;
    static const struct http_route *const none[] = {NULL};
    same.port = http_server_port(server, 0);
    struct http_server_config c = {.listeners = &same, .n_listeners = 1, .routes = none, .loops = 2};
    assert_int_equal(http_server_start(&second, &c, &diag), TM_EUNAVAIL);
    assert_non_null(strstr(diag.message, "127.0.0.1"));
    same.address = "nowhere";
    assert_int_equal(http_server_start(&second, &c, &diag), TM_EINVAL);
    same.address = "127.0.0.1";
    same.tls = true;
    assert_int_equal(http_server_start(&second, &c, &diag), TM_EINVAL);
    const char *bad[] = {"10.0.0.0/33", NULL};
    same.tls = false;
    c.trusted_proxies = bad;
    assert_int_equal(http_server_start(&second, &c, &diag), TM_EINVAL);
    assert_null(second);
}

static void test_http_server_stop__graceful(void **state)
{
    server_up(&plain, 1, (struct http_server_config){0});
    int idle = dial(0), running = dial(0), half = dial(0);
    say(idle, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    hear(idle, "hello\n", 5000);
    say(running, "GET /later?ms=300 HTTP/1.1\r\n" HOST "\r\n");
    say(half, "POST /echo HTTP/1.1\r\nContent-Length: 100\r\n" HOST "\r\n");
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    double before = seconds();
    http_server_stop(server, 1000);
    double took = seconds() - before;
    assert_true(took > 0.9 && took < 1.5); /* the half request waits out the grace */
    assert_string_equal(hear(idle, NULL, 100), "");
    const char *a = hear(running, NULL, 100);
    assert_string_equal(body_in(a), "later\n");
    hear(half, NULL, 100);
    close(idle);
    close(running);
    close(half);
    server_down();
}

static void test_http_server_stop__does_not_wait_for_nothing(void **state)
{
    server_up(&plain, 1, (struct http_server_config){0});
    int fd = dial(0);
    say(fd, "GET /later?ms=100 HTTP/1.1\r\n" HOST "\r\n");
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    double before = seconds();
    http_server_stop(server, 20000);
    assert_true(seconds() - before < 5);
    assert_int_equal(status_in(hear(fd, NULL, 100)), 200);
    close(fd);
    server_down();
}

static void test_http_server_stop__handler_outlives_the_grace(void **state)
{
    server_up(&plain, 1, (struct http_server_config){0});
    int aborted = seen_aborted;
    int fd = dial(0);
    say(fd, "GET /later?ms=400 HTTP/1.1\r\n" HOST "\r\n");
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    http_server_stop(server, 50);
    assert_string_equal(hear(fd, NULL, 1000), "");
    close(fd);
    server_down();
    assert_int_equal(seen_aborted, aborted + 1);
}

static void test_server__unix_socket(void **state)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/tm-http-test-%d.sock", (int)getpid());
    struct http_listener l = {.address = path, .kind = HTTP_LISTENER_UNIX, .unix_mode = 0620};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0); /* left behind by a killed server */
    assert_int_equal(bind(stale, (struct sockaddr *)&un, sizeof un), 0);
    close(stale);
    server_up(&l, 1, (struct http_server_config){0});
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0620);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
    say(fd, "GET /who HTTP/1.1\r\n" LAST);
    char want[64];
    snprintf(want, sizeof want, "peer=unix:%d tls=0", (int)getuid());
    assert_non_null(strstr(hear(fd, NULL, 5000), want));
    close(fd);
    struct http_server *second;
    struct http_server_config c = {.listeners = &l, .n_listeners = 1};
    assert_int_equal(http_server_start(&second, &c, NULL), TM_EUNAVAIL);
    server_down();
    assert_int_not_equal(stat(path, &st), 0);
}

static void test_http_reply_abort__no_end(void **state)
{
    (void)state;
    int before = seen_replies;
    const char *a = talk(0, "GET /cut HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(status_in(a), 200);
    assert_non_null(strstr(a, "chunked"));
    assert_string_equal(body_in(a), "4\r\nhalf\r\n");
    assert_true(comes_to(&seen_replies, before + 1));
    assert_int_equal(seen_status, 500);
    /* Where the end of the connection would be the end of the body, it is reset. */
    int fd = dial(0);
    say(fd, "GET /cut HTTP/1.0\r\n\r\n");
    char chunk[4096];
    ssize_t n;
    while ((n = recv(fd, chunk, sizeof chunk, 0)) > 0)
        continue;
    assert_int_equal(n, -1);
    assert_int_equal(errno, ECONNRESET);
    close(fd);
    /* The server goes on. */
    assert_int_equal(status_in(talk(0, "GET /hello HTTP/1.1\r\n" LAST)), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server__get),
        cmocka_unit_test(test_server__head),
        cmocka_unit_test(test_server__http10),
        cmocka_unit_test(test_server__errors),
        cmocka_unit_test(test_server__errors_keep_alive),
        cmocka_unit_test(test_server__header_injection),
        cmocka_unit_test(test_server__params),
        cmocka_unit_test(test_server__body),
        cmocka_unit_test(test_server__body_split),
        cmocka_unit_test(test_server__body_too_large),
        cmocka_unit_test(test_server__expect_continue),
        cmocka_unit_test(test_server__streamed_body),
        cmocka_unit_test(test_server__early_reply),
        cmocka_unit_test(test_server__both_ways),
        cmocka_unit_test(test_server__flood),
        cmocka_unit_test(test_server__pipelined),
        cmocka_unit_test(test_server__half_close),
        cmocka_unit_test(test_server__abort),
        cmocka_unit_test(test_http_reply_abort__no_end),
        cmocka_unit_test(test_server__upgrade_is_ignored),
        cmocka_unit_test(test_server__many_at_once),
        cmocka_unit_test(test_http_server_start__address_taken),
    };
    const struct CMUnitTest lives[] = {
        cmocka_unit_test(test_http_server_stop__graceful),
        cmocka_unit_test(test_http_server_stop__does_not_wait_for_nothing),
        cmocka_unit_test(test_http_server_stop__handler_outlives_the_grace),
        cmocka_unit_test(test_server__unix_socket),
    };
    int failed = cmocka_run_group_tests(tests, up, down);
    return failed + cmocka_run_group_tests(lives, NULL, NULL);
}
