/* The client of unix sockets: both ways at once, and its patience. */
#include "http/client.h"
#include "http_test.h"
#include <signal.h>
#include <sys/un.h>
#include <sys/wait.h>

static char path[64];

static int up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/test_client.%d.sock", (int)getpid());
    const struct http_listener l = {.address = path, .kind = HTTP_LISTENER_UNIX};
    server_up(&l, 1, (struct http_server_config){0});
    return 0;
}

static int down(void **state)
{
    (void)state;
    server_down();
    return 0;
}

static void test_http_unix_exchange__get(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct http_exchange x = {.method = "GET", .target = "/hello", .max = 100};
    assert_int_equal(http_unix_exchange(&x, path, &diag), TM_OK);
    assert_int_equal(x.status, 200);
    assert_string_equal(buf_str(&x.out), "hello\n");
    buf_done(&x.out);
}

static bool count(void *arg, struct slice data)
{
    *(size_t *)arg += data.n;
    return true;
}

/* What is sent comes back while it is sent: more than all buffers on the way hold. */
static void test_http_unix_exchange__both_ways(void **state)
{
    (void)state;
    enum { BIG = 16 << 20 };
    struct diag diag = {0};
    size_t back = 0;
    uint8_t *body = calloc(1, BIG);
    assert_non_null(body);
    struct http_exchange x = {.method = "POST",
                              .target = "/pipe",
                              .content_type = "application/octet-stream",
                              .body = slice_of(body, BIG),
                              .write = count,
                              .write_arg = &back,
                              .max = 100,
                              .idle_s = 20};
    tm_err e = http_unix_exchange(&x, path, &diag);
    if (e != TM_OK)
        print_error("%s\n", diag.message);
    assert_int_equal(e, TM_OK);
    assert_int_equal(back, BIG);
    buf_done(&x.out);
    free(body);
}

static void test_http_unix_exchange__cut_short(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct http_exchange x = {.method = "GET", .target = "/cut", .max = 100};
    assert_int_equal(http_unix_exchange(&x, path, &diag), TM_EIO);
    assert_non_null(strstr(diag.message, "cut short"));
    buf_done(&x.out);
}

static void test_http_unix_exchange__too_big(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct http_exchange x = {.method = "GET", .target = "/flood?n=100000", .max = 1000};
    assert_int_equal(http_unix_exchange(&x, path, &diag), TM_ETOOBIG);
    buf_done(&x.out);
}

/* Somebody who listens, and does `react` with the first connection. */
static tm_err against(struct http_exchange *x, void (*react)(int fd), struct diag *diag)
{
    char mute[80];
    snprintf(mute, sizeof mute, "%s.mute", path);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, mute, strlen(mute) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 1), 0);
    pid_t child = fork();
    if (child == 0) {
        int peer = accept(fd, NULL, NULL);
        react(peer);
        _exit(0);
    }
    tm_err e = http_unix_exchange(x, mute, diag);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(fd);
    unlink(mute);
    return e;
}

static void stay_mute(int fd)
{
    char chunk[4096];
    while (read(fd, chunk, sizeof chunk) > 0)
        continue;
}

static void read_nothing(int fd)
{
    (void)fd;
    pause();
}

static void begin_only(int fd)
{
    static const char begun[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    (void)!write(fd, begun, sizeof begun - 1);
    pause();
}

static void refuse_early(int fd)
{
    static const char refusal[] = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nbig\n";
    (void)!write(fd, refusal, sizeof refusal - 1);
    shutdown(fd, SHUT_WR);
    stay_mute(fd);
}

static void speak_otherwise(int fd)
{
    (void)!write(fd, "220 mail.example.org\r\n", 22);
    pause();
}

static void test_http_unix_exchange__patience(void **state)
{
    (void)state;
    static uint8_t big[8 << 20];
    static const struct {
        void (*react)(int fd);
        bool body;
        tm_err e;
        const char *says;
    } cases[] = {
        {stay_mute, false, TM_ETIMEOUT, "no answer for 1 seconds"},
        {read_nothing, true, TM_ETIMEOUT, "has read nothing for 1 seconds"},
        {begin_only, false, TM_ETIMEOUT, "stood still for 1 seconds"},
        {speak_otherwise, false, TM_EMALFORMED, "not HTTP"},
        {refuse_early, true, TM_OK, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct diag diag = {0};
        struct http_exchange x = {.method = "POST",
                                  .target = "/x",
                                  .content_type = "text/plain",
                                  .body = cases[i].body ? SLICE_ARR(big) : SLICE_LIT("a"),
                                  .max = 100,
                                  .idle_s = 1,
                                  .answer_s = 1};
        assert_int_equal(against(&x, cases[i].react, &diag), cases[i].e);
        assert_non_null(strstr(diag.message, cases[i].says));
        if (cases[i].e == TM_OK)
            assert_int_equal(x.status, 413);
        buf_done(&x.out);
    }
}

static void test_http_unix_exchange__nobody(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct http_exchange x = {.method = "GET", .target = "/", .max = 100};
    assert_int_equal(http_unix_exchange(&x, "/nowhere/at/all", &diag), TM_EUNAVAIL);
    assert_false(http_unix_listens("/nowhere/at/all"));
    assert_true(http_unix_listens(path));
    buf_done(&x.out);
}

/* ---- over TCP ---- */

/* Like against(), on a port of the loopback. */
static tm_err tcp_against(struct http_exchange *x, void (*react)(int fd), struct diag *diag)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    assert_int_equal(listen(fd, 1), 0);
    pid_t child = fork();
    if (child == 0) {
        react(accept(fd, NULL, NULL));
        _exit(0);
    }
    tm_err e = http_tcp_exchange(x, "127.0.0.1", ntohs(sa.sin_port), diag);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(fd);
    return e;
}

/* 304 where the request has both conditions and names the host, else an answer with tags. */
static void answer_by_condition(int fd)
{
    static const char fresh[] =
        "HTTP/1.1 200 OK\r\nETag: \"first\"\r\nETag: \"abc\"\r\nLast-Modified: Sun, 06 Nov 1994 "
        "08:49:37 GMT\r\nContent-Length: 4\r\n\r\nbody",
                      same[] = "HTTP/1.1 304 Not Modified\r\nETag: \"abc\"\r\n\r\n";
    char request[4096];
    ssize_t n = read(fd, request, sizeof request - 1);
    request[n > 0 ? n : 0] = '\0';
    bool conditional = strstr(request, "If-None-Match: \"abc\"\r\n") &&
                       strstr(request, "If-Modified-Since: Sun") && strstr(request, "Host: 127.0.0.1:");
    (void)!write(fd, conditional ? same : fresh, conditional ? sizeof same - 1 : sizeof fresh - 1);
    stay_mute(fd);
}

static void test_http_tcp_exchange__conditions(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct http_exchange x = {.method = "GET", .target = "/", .max = 100, .total_s = 20};
    assert_int_equal(tcp_against(&x, answer_by_condition, &diag), TM_OK);
    assert_int_equal(x.status, 200);
    assert_string_equal(x.etag, "\"abc\"");
    assert_string_equal(x.modified, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_string_equal(buf_str(&x.out), "body");
    buf_done(&x.out);
    struct http_exchange again = {.method = "GET",
                                  .target = "/",
                                  .max = 100,
                                  .total_s = 20,
                                  .etag_known = x.etag,
                                  .date_known = x.modified};
    assert_int_equal(tcp_against(&again, answer_by_condition, &diag), TM_OK);
    assert_int_equal(again.status, 304);
    assert_int_equal(again.out.n, 0);
    buf_done(&again.out);
}

/* An octet a while keeps the idle clock content, but not the one for the whole. */
static void trickle(int fd)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    (void)!write(fd, head, sizeof head - 1);
    for (;;) {
        (void)!write(fd, "x", 1);
        usleep(20000);
    }
}

static void test_http_tcp_exchange__whole_time(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct http_exchange x = {.method = "GET", .target = "/", .max = 1 << 20, .total_s = 1};
    assert_int_equal(tcp_against(&x, trickle, &diag), TM_ETIMEOUT);
    buf_done(&x.out);
}

static void test_http_tcp_exchange__nobody(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct http_exchange x = {.method = "GET", .target = "/", .max = 100};
    assert_int_equal(http_tcp_exchange(&x, "127.0.0.1", 1, &diag), TM_EUNAVAIL);
    assert_int_equal(http_tcp_exchange(&x, "no such host", 80, &diag), TM_EUNAVAIL);
    buf_done(&x.out);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_unix_exchange__get),
        cmocka_unit_test(test_http_unix_exchange__both_ways),
        cmocka_unit_test(test_http_unix_exchange__cut_short),
        cmocka_unit_test(test_http_unix_exchange__too_big),
        cmocka_unit_test(test_http_unix_exchange__patience),
        cmocka_unit_test(test_http_tcp_exchange__conditions),
        cmocka_unit_test(test_http_tcp_exchange__whole_time),
        cmocka_unit_test(test_http_tcp_exchange__nobody),
        cmocka_unit_test(test_http_unix_exchange__nobody),
    };
    return cmocka_run_group_tests(tests, up, down);
}
