/* What is kept of recorded traffic, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "discover/capture.h"
#include "discover/hellos.h"
#include "discover/streams.h"
#include <cmocka.h>
#include <string.h>

enum { SYN = 2, ACK = 16, PIECE = 1400, HEADERS = 40 };

static void on_certs(void *arg, const struct stream_certs *c)
{
    (void)c;
    ++*(size_t *)arg;
}

/* One segment from 192.0.2.1 port `port` to 192.0.2.2 port 443, or back. */
static void packet(struct streams *s, unsigned port, bool back, uint32_t seq, unsigned flags,
                   struct slice data)
{
    uint8_t p[HEADERS + PIECE] = {0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2};
    size_t n = HEADERS + data.n;
    assert_true(data.n <= PIECE);
    p[2] = (uint8_t)(n >> 8);
    p[3] = (uint8_t)n;
    p[back ? 19 : 15] = 1;
    p[back ? 15 : 19] = 2;
    uint8_t *tcp = p + 20, *from = tcp + (back ? 2 : 0), *to = tcp + (back ? 0 : 2);
    from[0] = (uint8_t)(port >> 8);
    from[1] = (uint8_t)port;
    to[0] = 443 >> 8;
    to[1] = 443 & 255;
    for (int i = 0; i < 4; i++)
        tcp[4 + i] = (uint8_t)(seq >> (24 - 8 * i));
    tcp[12] = 0x50;
    tcp[13] = (uint8_t)flags;
    if (data.n)
        memcpy(p + HEADERS, data.p, data.n);
    streams_packet(s, LINK_RAW, 1, slice_of(p, n));
}

/* Connections that have begun are filled with what came before its turn: also without a new one, no more than the bound is kept. */
static void test_streams__octets_that_are_kept(void **state)
{
    (void)state;
    enum { MANY = 1500, EACH = 60 };
    static const uint8_t zeros[PIECE];
    struct streams *s;
    struct streams_counts c;
    size_t certs = 0, most = 0;
    assert_int_equal(streams_new(&s, on_certs, &certs), TM_OK);
    for (unsigned port = 1; port <= MANY; port++)
        packet(s, port, false, 0, SYN, (struct slice){0});
    for (unsigned i = 1; i <= EACH; i++)
        for (unsigned port = 1; port <= MANY; port++) {
            packet(s, port, false, 1000000 + i * PIECE, ACK, SLICE_ARR(zeros));
            streams_counts_get(s, &c);
            assert_true(c.kept <= STREAMS_OCTETS);
            most = c.kept > most ? c.kept : most;
        }
    assert_true(most > STREAMS_OCTETS - 2 * 64 * PIECE);
    streams_free(s);
}

/* TLS records of alerts, as many as there may be: they are not looked at for ever. */
static void test_streams__octets_that_are_looked_at(void **state)
{
    (void)state;
    static const uint8_t hello[] = {22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3};
    static const uint8_t alert[] = {21, 3, 3, 0, 2, 1, 0};
    static const uint8_t cert[] = {22, 3, 3, 0, 12, 11, 0, 0, 8, 0, 0, 5, 0, 0, 2, 0x30, 0};
    uint8_t first[47] = {0}, alerts[PIECE / 7 * 7];
    memcpy(first, hello, sizeof hello);
    for (size_t i = 0; i < sizeof alerts; i += sizeof alert)
        memcpy(alerts + i, alert, sizeof alert);
    for (unsigned long_one = 0; long_one < 2; long_one++) {
        struct streams *s;
        size_t certs = 0;
        uint32_t seq = 1;
        assert_int_equal(streams_new(&s, on_certs, &certs), TM_OK);
        packet(s, 1, true, 0, SYN, (struct slice){0});
        packet(s, 1, true, seq, ACK, SLICE_ARR(first));
        seq += sizeof first;
        for (size_t i = 0; i < (long_one ? STREAM_OCTETS : STREAM_OCTETS / 2);
             i += sizeof alerts, seq += sizeof alerts)
            packet(s, 1, true, seq, ACK, SLICE_ARR(alerts));
        packet(s, 1, true, seq, ACK, SLICE_ARR(cert));
        assert_int_equal(certs, !long_one);
        streams_free(s);
    }
}

static void on_packet(void *arg, int link, int64_t at, struct slice data)
{
    assert_int_equal(link, LINK_RAW);
    assert_int_equal(data.n, 4);
    *(int64_t *)arg = at;
}

/* A time that can't be is none: it does not make the packet one that nobody takes. */
static void test_capture_feed__time_that_can_not_be(void **state)
{
    (void)state;
    uint8_t file[] =
        {
            0x0a, 0x0d, 0x0d, 0x0a, 0,    0,    0,    28,   0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, /* section */
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,    0,    0,    28,   0, 0, 0, 1, 0, 0,
            0,    28,   0,    101,  0,    0,    0,    0,    0,    0,    0,    9,    0, 1, 0, 0, 0, 0,
            0,    0,    0,    28, /* interface: seconds */
            0,    0,    0,    6,    0,    0,    0,    36,   0,    0,    0,    0,    0, 0, 0, 0, 0, 0,
            0,    77,   0,    0,    0,    4,    0,    0,    0,    4,    1,    2,    3, 4, 0, 0, 0, 36,
        };
    struct capture c;
    int64_t at = -1;
    capture_init(&c, on_packet, &at);
    assert_int_equal(capture_feed(&c, SLICE_ARR(file), NULL), TM_OK);
    assert_int_equal(at, 77000);
    capture_done(&c);
    memset(file + 28 + 28 + 12, 0xff, 4);
    capture_init(&c, on_packet, &at);
    assert_int_equal(capture_feed(&c, SLICE_ARR(file), NULL), TM_OK);
    assert_int_equal(at, 0);
    capture_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams__octets_that_are_kept),
        cmocka_unit_test(test_streams__octets_that_are_looked_at),
        cmocka_unit_test(test_capture_feed__time_that_can_not_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
