/* Bad weather: slow, broken, oversized and malicious peers. */
#include "http_test.h"
#include <fcntl.h>
#include <sys/resource.h>

enum { PLAIN, PROXIED };
static const struct http_listener listeners[] = {
    {.address = "127.0.0.1", .kind = HTTP_LISTENER_PLAIN},
    {.address = "127.0.0.1", .kind = HTTP_LISTENER_PLAIN, .proxy_protocol = true},
};
static const char *const loopback[] = {"127.0.0.0/8", NULL};

static int up(void **state)
{
    struct http_server_config c = {
        .limits = {
            .handshake_s = 1, .header_s = 1, .idle_s = 2, .body_s = 1, .reply_s = 1, .max_connections = 50}};
    server_up(listeners, 2, c);
    return 0;
}

static int up_trusting(void **state)
{
    struct http_server_config c = {
        .trusted_proxies = loopback,
        .limits = {.handshake_s = 1, .max_connections_peer = 3, .rate_per_peer = 2}};
    server_up(listeners, 2, c);
    return 0;
}

static int down(void **state)
{
    server_down();
    return 0;
}

static struct http_stats stats(void)
{
    struct http_stats st;
    http_server_stats(server, &st);
    return st;
}

/* ---- slow ---- */

static void test_slow__head(void **state)
{
    uint64_t timeouts = stats().timeouts;
    double before = seconds();
    int fd = dial(PLAIN);
    const char *a = "";
    for (int i = 0; i < 100 && !*a; i++) { /* a byte now and then does not help */
        say(fd, i ? "X" : "GET /hello HTTP/1.1\r\nA");
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 100) == 1)
            a = hear(fd, NULL, 3000);
    }
    assert_int_equal(status_in(a), 408);
    assert_true(seconds() - before < 2);
    assert_true(stats().timeouts > timeouts);
    close(fd);
}

static void test_slow__nothing_at_all(void **state)
{
    double before = seconds();
    int fd = dial(PLAIN);
    assert_string_equal(hear(fd, NULL, 5000), "");
    assert_true(seconds() - before > 1.5 && seconds() - before < 3.5);
    close(fd);
}

static void test_slow__idle(void **state)
{
    int fd = dial(PLAIN);
    say(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(status_in(hear(fd, "hello\n", 1000)), 200);
    double before = seconds();
    assert_string_equal(hear(fd, NULL, 5000), "");
    assert_true(seconds() - before > 1.5 && seconds() - before < 3.5);
    close(fd);
}

static const char *dribble(const char *head)
{
    int fd = dial(PLAIN);
    const char *a = "";
    say(fd, head);
    for (int i = 0; i < 100 && !*a; i++) {
        say(fd, "1\r\nx\r\n");
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 100) == 1)
            a = hear(fd, NULL, 3000);
    }
    close(fd);
    return a;
}

static void test_slow__body(void **state)
{
    double before = seconds();
    assert_int_equal(status_in(dribble("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\n")),
                     408);
    assert_true(seconds() - before < 2.5);
    int bad = seen_ends_bad;
    assert_int_equal(status_in(dribble("POST /count HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\n")),
                     408);
    assert_true(comes_to(&seen_ends_bad, bad + 1));
    bad = seen_ends_bad;
    assert_int_equal(status_in(talk(PLAIN, "POST /count HTTP/1.1\r\nContent-Length: 5\r\n" HOST "\r\nabc")),
                     408);
    assert_true(comes_to(&seen_ends_bad, bad + 1));
}

static void test_slow__reader(void **state)
{
    int aborted = seen_aborted;
    int fd = dial(PLAIN);
    say(fd, "GET /flood?n=50000000 HTTP/1.1\r\n" HOST "\r\n");
    assert_true(comes_to(&seen_aborted, aborted + 1)); /* nothing was read */
    close(fd);
}

static void test_slow__handler(void **state)
{
    int aborted = seen_aborted;
    double before = seconds();
    assert_int_equal(status_in(talk(PLAIN, "GET /later?ms=2500 HTTP/1.1\r\n" HOST "\r\n")), 503);
    assert_true(seconds() - before < 2.2);
    assert_true(comes_to(&seen_aborted, aborted + 1));
}

/* ---- malformed: all are refused with a 4xx or 5xx and the end of the connection ---- */

static void test_malformed__head(void **state)
{
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        {400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client at the wrong port"},
        {400, "GARBAGE\r\n\r\n"},
        {400, "GET\r\n\r\n"},
        {505, "GET /hello\r\n\r\n"},
        {505, "GET /hello HTTP/2.0\r\n" HOST "\r\n"},
        {505, "GET /hello HTTP/0.9\r\n" HOST "\r\n"},
        {400, "GET /hello HTTP/1.1\r\n\r\n"},
        {400, "GET /hello HTTP/1.1\r\n" HOST HOST "\r\n"},
        {400, "GET /hello HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n"},
        {400, "GET /hello HTTP/1.1\r\n" HOST "A:\r\n\tc\r\n\r\n"},
        {400, "GET /hello HTTP/1.1\r\n Host: t\r\n\r\n"},
        {400, "GET /hello HTTP/1.1\r\n" HOST "A : b\r\n\r\n"},
        {400, "GET /hello HTTP/1.1\r\n" HOST "A b: c\r\n\r\n"},
        {400, "GET /hello HTTP/1.1\r\n" HOST ": c\r\n\r\n"},
        {400, "GET /hello HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n"},
        {400, "GET /hello HTTP/1.1\r\n" HOST "A: b\x01\r\n\r\n"},
        {400, "GET /hello HTTP/1.1\r\n" HOST "A: b\x7f\r\n\r\n"},
        {400, "GET /hello HTTP/1.1\r\n" HOST "A: \x01b\r\n\r\n"},
        {400, "GET /he\x01llo HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /h\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /hello#x HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET hello HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET * HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /../hello HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /rest/%2e%2E/x HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /rest/a%2f..%2fx HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /rest/./x HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /rest/%00 HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /rest/%0a HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /rest/%f HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /rest/%zz HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /rest/%ff HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET /hello?a=%00 HTTP/1.1\r\n" HOST "\r\n"},
        {400, "POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n" HOST "\r\nx"},
        {400, "POST /echo HTTP/1.1\r\nContent-Length: 1, 1\r\n" HOST "\r\nx"},
        {400, "POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" HOST "\r\nx"},
        {400, "POST /echo HTTP/1.1\r\nContent-Length: +1\r\n" HOST "\r\nx"},
        {400, "POST /echo HTTP/1.1\r\nContent-Length: -1\r\n" HOST "\r\nx"},
        {400, "POST /echo HTTP/1.1\r\nContent-Length: 0x1\r\n" HOST "\r\nx"},
        {400, "POST /echo HTTP/1.1\r\nContent-Length:\r\n" HOST "\r\nx"},
        {400, "POST /echo HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n" HOST "\r\nx"},
        {400, "POST /echo HTTP/1.1\r\nContent-Length: 18446744073709551614\r\n" HOST "\r\nx"},
        {413, "POST /echo HTTP/1.1\r\nContent-Length: 999999999999999999\r\n" HOST "\r\nx"},
        {400,
         "POST /echo HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\n0\r\n\r\n"},
        {400,
         "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n" HOST "\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" HOST
              "\r\n0\r\n\r\n"},
        {501, "POST /echo HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n" HOST "\r\n0\r\n\r\n"},
        {501, "POST /echo HTTP/1.1\r\nTransfer-Encoding: gzip\r\n" HOST "\r\n0\r\n\r\n"},
        {501, "POST /echo HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n" HOST "\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\nzz\r\n"},
        {400, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\n-1\r\n"},
        {400, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\nfffffffffffffffff\r\n"},
        {400, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\n1\r\nxx\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\n1\nx\n0\n\n"},
        {400, "POST /echo HTTP/1.1\r\nTransfer-Encoding : chunked\r\n" HOST "\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nContent-Length: 1\r\n" HOST "\r\rx"},
        {400, "POST /count HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\n1\r\nxx\r\n0\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *a = talk(PLAIN, cases[i].text);
        if (status_in(a) != cases[i].status)
            print_error("%s\n-> %s\n", cases[i].text, a);
        assert_int_equal(status_in(a), cases[i].status);
        assert_null(strstr(a, "<timeout>"));
    }
}

static void test_malformed__nul(void **state)
{
    static const char name[] = "GET /hello HTTP/1.1\r\nHost: t\r\nA\0B: c\r\n\r\n";
    static const char value[] = "GET /hello HTTP/1.1\r\nHost: t\r\nA: b\0c\r\n\r\n";
    static const char first[] = "GET /hello HTTP/1.1\r\nHost: t\r\nA: \0c\r\n\r\n";
    static const char target[] = "GET /hel\0lo HTTP/1.1\r\nHost: t\r\n\r\n";
    const struct slice cases[] = {SLICE_LIT(name), SLICE_LIT(value), SLICE_LIT(first), SLICE_LIT(target)};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = dial(PLAIN);
        say_n(fd, cases[i].p, cases[i].n);
        assert_int_equal(status_in(hear(fd, NULL, 3000)), 400);
        close(fd);
    }
}

/* The same bytes one by one: no check may depend on how they were cut. */
static void test_malformed__byte_by_byte(void **state)
{
    static const char *const cases[] = {
        "GET /hello HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n",
        "GET /hello HTTP/1.1\r\n" HOST "A:\r\n\tc\r\n\r\n",
        "GET /hello HTTP/1.1\r\n" HOST "A: \r\n  \r\n c\r\n\r\n",
    };
    for (size_t i = 0; i < 3; i++) {
        for (size_t cut = 1; cut < strlen(cases[i]); cut++) {
            int fd = dial(PLAIN);
            setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &(int){1}, sizeof(int));
            say_n(fd, cases[i], cut);
            nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
            say(fd, cases[i] + cut);
            const char *a = hear(fd, NULL, 3000);
            if (status_in(a) != 400)
                print_error("case %zu cut at %zu: %s\n", i, cut, a);
            assert_int_equal(status_in(a), 400);
            close(fd);
        }
    }
}

static void test_malformed__pipelined_garbage(void **state)
{
    const char *a = talk(PLAIN, "GET /hello HTTP/1.1\r\n" HOST "\r\nGET /later?ms=30 HTTP/1.1\r\n" HOST
                                "\r\n\x80\x81 garbage\r\n\r\n");
    assert_int_equal(status_in(a), 200);
    assert_non_null(strstr(a, "later\n"));
    assert_non_null(strstr(a, "HTTP/1.1 400 "));
    assert_null(strstr(a, "<reset>"));
}

/* ---- too much ---- */

static char *repeated(const char *before, const char *piece, size_t n, const char *after)
{
    struct buf b;
    buf_init(&b, 1 << 24);
    buf_puts(&b, before);
    for (size_t i = 0; i < n; i++)
        buf_puts(&b, piece);
    buf_puts(&b, after);
    assert_int_equal(buf_err(&b), TM_OK);
    return buf_take(&b);
}

static void expect_for(int status, char *text)
{
    const char *a = talk(PLAIN, text);
    assert_int_equal(status_in(a), status);
    assert_null(strstr(a, "<reset>"));
    free(text);
}

static void test_too_much__head(void **state)
{
    expect_for(200, repeated("GET /hello?a=", "0123456789", 800, " HTTP/1.1\r\n" LAST));
    expect_for(414, repeated("GET /hello?a=", "0123456789", 900, " HTTP/1.1\r\n" LAST));
    expect_for(400, repeated("GET /hello?", "a=b&", 100, " HTTP/1.1\r\n" LAST));
    expect_for(400, repeated("GET /rest", "/a", 100, " HTTP/1.1\r\n" LAST));
    expect_for(200, repeated("GET /hello HTTP/1.1\r\n", "A: b\r\n", 61, LAST));
    expect_for(431, repeated("GET /hello HTTP/1.1\r\n", "A: b\r\n", 64, LAST));
    expect_for(431, repeated("GET /hello HTTP/1.1\r\nA: ", "0123456789", 2000, "\r\n" LAST));
    expect_for(431, repeated("GET /hello HTTP/1.1\r\n", "0123456789", 2000, ": x\r\n" LAST));
    expect_for(431, repeated("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" LAST "0\r\n", "A: b\r\n",
                             9000, "\r\n"));
    expect_for(431, repeated("GET /hello HTTP/1.1\r\n", "A: 0123456789012345678901234567890123456789\r\n",
                             100000, LAST));
}

static void test_too_much__connections(void **state)
{
    enum { N = 60 };
    int fds[N], ok = 0;
    uint64_t refused = stats().refused_limit;
    for (int i = 0; i < N; i++)
        fds[i] = dial(PLAIN);
    for (int i = 0; i < N; i++) {
        say(fds[i], "GET /hello HTTP/1.1\r\n" LAST);
        ok += status_in(hear(fds[i], NULL, 3000)) == 200;
        close(fds[i]);
    }
    assert_true(ok >= 40 && ok <= N);
    assert_true(stats().refused_limit > refused);
    assert_int_equal(status_in(talk(PLAIN, "GET /hello HTTP/1.1\r\n" LAST)), 200);
}

/* Out of descriptors the server waits for better times; it must not spin over a queue that it cannot empty. */
static void test_too_much__descriptors(void **state)
{
    enum { N = 5 };
    struct rlimit before, low;
    struct timespec a, b;
    int fds[N];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < N; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    low = before;
    low.rlim_cur =
        (rlim_t)fds[N - 1] + 1; /* all below are taken, but for what earlier connections have left */
    for (rlim_t n = 0; n < low.rlim_cur; n++)
        if (fcntl((int)n, F_GETFD) < 0)
            dup2(fds[N - 1], (int)n);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_server_port(server, PLAIN)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < N; i++) {
        assert_int_equal(connect(fds[i], (struct sockaddr *)&in, sizeof in), 0);
        say(fds[i], "GET /hello HTTP/1.1\r\n" LAST);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    nanosleep(&(struct timespec){.tv_nsec = 400000000}, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 100);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(status_in(hear(fds[i], NULL, 3000)), 200);
        close(fds[i]);
    }
}

/* ---- PROXY v2 and what proxies say ---- */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
static const char v4[] = SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\x7f\x00\x00\x01\x12\x34\x56\x78";
static const char v4_tlv[] =
    SIGNATURE "\x21\x11\x00\x10\xc0\x00\x02\x01\x7f\x00\x00\x01\x12\x34\x56\x78\x04\x00\x01x";
static const char v6[] = SIGNATURE "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x05"
                                   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x06\x12\x34\x56\x78";
static const char local[] = SIGNATURE "\x20\x00\x00\x00";

static const char *proxied(const char *header, size_t n, const char *text)
{
    int fd = dial(PROXIED);
    say_n(fd, header, n);
    say(fd, text);
    const char *a = hear(fd, NULL, 3000);
    close(fd);
    return a;
}

#define WHO "GET /who HTTP/1.1\r\nX-Request-Id: from-proxy\r\nClient-Cert: :MAMCAQE=:\r\n" LAST

static void test_proxy__addresses(void **state)
{
    assert_non_null(strstr(proxied(v4, sizeof v4 - 1, WHO), "peer=192.0.2.1 tls=0 cert=0"));
    assert_non_null(strstr(proxied(v4_tlv, sizeof v4_tlv - 1, WHO), "peer=192.0.2.1"));
    const char *a = proxied(v6, sizeof v6 - 1, WHO);
    assert_non_null(strstr(a, "peer=2001:db8::5"));
    assert_null(strstr(a, "from-proxy"));
    a = proxied(local, sizeof local - 1, WHO);
    assert_non_null(strstr(a, "peer=127.0.0.1 tls=0 cert=5 chain=0 id=from-proxy"));
}

static void test_proxy__byte_by_byte(void **state)
{
    int fd = dial(PROXIED);
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &(int){1}, sizeof(int));
    for (size_t i = 0; i < sizeof v4 - 1; i++) {
        say_n(fd, v4 + i, 1);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    say(fd, WHO);
    assert_non_null(strstr(hear(fd, NULL, 3000), "peer=192.0.2.1"));
    close(fd);
}

static void test_proxy__malformed(void **state)
{
    /* Closed without a word; what was left unread makes it a reset. */
    assert_null(strstr(talk(PROXIED, "GET /hello HTTP/1.1\r\n" LAST), "HTTP"));
    assert_null(
        strstr(talk(PROXIED, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /hello HTTP/1.1\r\n" LAST), "HTTP"));
    char bad[sizeof v4];
    memcpy(bad, v4, sizeof v4);
    bad[13] = 0x12;
    assert_null(strstr(proxied(bad, sizeof v4 - 1, WHO), "HTTP"));
    int fd = dial(PROXIED); /* never ends */
    say_n(fd, v4, 20);
    assert_string_equal(hear(fd, NULL, 3000), "");
    close(fd);
}

static void test_proxy__connections_of_a_peer(void **state)
{
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = dial(PROXIED);
        say_n(fds[i], v6, sizeof v6 - 1);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    assert_string_equal(hear(fds[3], NULL, 3000), "");
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    assert_int_equal(status_in(proxied(v6, sizeof v6 - 1, WHO)), 200);
}

static void test_rate__of_a_peer(void **state)
{
    char other[sizeof v4];
    memcpy(other, v4, sizeof v4);
    other[19] = 77;
    int passed = 0;
    const char *a = "";
    for (int i = 0; i < 12; i++) { /* 2 a second, 8 at once */
        a = proxied(other, sizeof v4 - 1, WHO);
        passed += status_in(a) == 200;
    }
    assert_true(passed >= 8 && passed <= 10);
    assert_int_equal(status_in(a), 429);
    assert_non_null(strstr(a, "\r\nRetry-After: 1\r\n"));
    for (int i = 0; i < 12; i++) /* the proxy itself speaks for many */
        assert_int_equal(status_in(talk(PLAIN, WHO)), 200);
}

static void test_client_cert__from_a_proxy(void **state)
{
    const char *a =
        talk(PLAIN, "GET /who HTTP/1.1\r\nClient-Cert: :MAMCAQE=:\r\nClient-Cert-Chain: :MAMCAQI=:, "
                    ":MAMCAQM=:\r\nClient-Cert-Chain: :MAMCAQQ=:\r\n" LAST);
    assert_non_null(strstr(a, "cert=5 chain=3"));
    a = talk(PLAIN, "GET /who HTTP/1.1\r\nClient-Cert-Chain: :MAMCAQI=:\r\n" LAST);
    assert_non_null(strstr(a, "cert=0 chain=0"));
    assert_int_equal(status_in(talk(PLAIN, "GET /who HTTP/1.1\r\nClient-Cert: MAMCAQE=\r\n" LAST)), 400);
    assert_int_equal(
        status_in(
            talk(PLAIN, "GET /who HTTP/1.1\r\nClient-Cert: :MAMCAQE=:\r\nClient-Cert: :MAMCAQE=:\r\n" LAST)),
        400);
    a = talk(PLAIN, "GET /who HTTP/1.1\r\nX-Request-Id: a b\r\n" LAST);
    assert_null(strstr(a, "id=a b"));
}

static void test_client_cert__from_anybody(void **state)
{
    const char *a = talk(PLAIN, WHO);
    assert_non_null(strstr(a, "cert=0 chain=0"));
    assert_null(strstr(a, "from-proxy"));
    assert_int_equal(status_in(talk(PLAIN, "GET /who HTTP/1.1\r\nClient-Cert: broken\r\n" LAST)), 200);
    assert_null(strstr(proxied(v4, sizeof v4 - 1, WHO), "HTTP")); /* PROXY is for trusted ones */
}

int main(void)
{
    const struct CMUnitTest strangers[] = {
        cmocka_unit_test(test_slow__head),
        cmocka_unit_test(test_slow__nothing_at_all),
        cmocka_unit_test(test_slow__idle),
        cmocka_unit_test(test_slow__body),
        cmocka_unit_test(test_slow__reader),
        cmocka_unit_test(test_slow__handler),
        cmocka_unit_test(test_malformed__head),
        cmocka_unit_test(test_malformed__nul),
        cmocka_unit_test(test_malformed__byte_by_byte),
        cmocka_unit_test(test_malformed__pipelined_garbage),
        cmocka_unit_test(test_too_much__head),
        cmocka_unit_test(test_too_much__connections),
        cmocka_unit_test(test_client_cert__from_anybody),
        cmocka_unit_test(test_too_much__descriptors),
    };
    const struct CMUnitTest proxies[] = {
        cmocka_unit_test(test_proxy__addresses), cmocka_unit_test(test_proxy__byte_by_byte),
        cmocka_unit_test(test_proxy__malformed), cmocka_unit_test(test_proxy__connections_of_a_peer),
        cmocka_unit_test(test_rate__of_a_peer),  cmocka_unit_test(test_client_cert__from_a_proxy),
    };
    int failed = cmocka_run_group_tests(strangers, up, down);
    return failed + cmocka_run_group_tests(proxies, up_trusting, down);
}
