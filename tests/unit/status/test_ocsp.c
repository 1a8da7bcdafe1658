/* The responder when the weather is bad: the database is out, the clock steps back, questions are malformed or about several. */
#include "authority/responder.h"
#include "status/ocsp.h"
#include "unit/authority/home_test.h"
#include "x509/ocsp.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { HOUR = 3600 };

static struct house *house;
static struct arena *arena;
static struct catalog *catalog;
static const struct authority *ca;
static struct http_server *server;

/* The store's driver, with a switch. */
static const struct store_driver *driver;
static struct store_driver broken;
static bool out;

static tm_err read_or_fail(struct store *s, struct store_read *r)
{
    return out ? diag_fail(&r->diag, TM_EIO, "store", NULL, "the disk is gone") : driver->read_now(s, r);
}

static int setup(void **state)
{
    (void)state;
    struct diag diag = {0};
    test_dir_make();
    make_home_with(&(struct init_config){.root_crls = 3});
    arena = arena_new(64 << 20);
    house = open_home();
    CHECK_OK(responder_job.run(house, &diag), diag);
    CHECK_OK(ocsp_start(house, 0), diag);
    catalog = house_catalog(house);
    ca = authority_of(catalog, "issuing-ca");
    assert_true(ca->ocsp.cert.der.n > 0);
    driver = house->store->driver;
    broken = *driver;
    broken.read_now = read_or_fail;
    house->store->driver = &broken;
    struct http_listener listener = {.address = "127.0.0.1", .kind = HTTP_LISTENER_PLAIN};
    const struct http_route *const routes[] = {ocsp_routes, NULL};
    struct http_server_config c = {
        .listeners = &listener, .n_listeners = 1, .routes = routes, .loops = 1, .app = house};
    CHECK_OK(http_server_start(&server, &c, &diag), diag);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    clock_fix(0);
    out = false;
    http_server_stop(server, 1000);
    struct ocsp *o = ocsp_stop(house);
    house->store->driver = driver;
    catalog_unref(catalog);
    house_close(house);
    ocsp_free(o);
    http_server_free(server);
    arena_free(arena);
    free_home();
    test_dir_remove();
    return 0;
}

static struct ocsp_id id_of(const struct authority *x, const uint8_t serial[CERT_SERIAL_LEN])
{
    return (struct ocsp_id){.hash = OID_SHA256,
                            .name_hash = SLICE_ARR(x->ocsp.issuer.name_sha256),
                            .key_hash = SLICE_ARR(x->ocsp.issuer.key_sha256),
                            .serial = slice_of(serial, CERT_SERIAL_LEN)};
}

static struct ocsp_response post(struct slice request)
{
    char head[256];
    int n = snprintf(head, sizeof head,
                     "POST /ocsp HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: "
                     "application/ocsp-request\r\nContent-Length: %zu\r\n\r\n",
                     request.n);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_server_port(server, 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(write(fd, head, (size_t)n), n);
    assert_int_equal(write(fd, request.p, request.n), (ssize_t)request.n);
    struct buf b;
    buf_init(&b, 1 << 20);
    char piece[4096];
    ssize_t got;
    while ((got = read(fd, piece, sizeof piece)) > 0)
        buf_put(&b, piece, (size_t)got);
    close(fd);
    struct slice all;
    assert_int_equal(arena_copy(&all, arena, buf_slice(&b)), TM_OK);
    buf_done(&b);
    const uint8_t *end = memmem(all.p, all.n, "\r\n\r\n", 4);
    assert_non_null(end);
    struct ocsp_response r;
    struct diag diag = {0};
    CHECK_OK(ocsp_response_parse(&r, slice_sub(all, (size_t)(end + 4 - all.p), SIZE_MAX), &diag), diag);
    return r;
}

static struct ocsp_response ask(const uint8_t serial[CERT_SERIAL_LEN], struct slice nonce)
{
    struct buf b;
    struct ocsp_id id = id_of(ca, serial);
    buf_init(&b, OCSP_REQUEST_MAX);
    assert_int_equal(ocsp_request_build(&b, &id, nonce), TM_OK);
    struct slice kept;
    assert_int_equal(arena_copy(&kept, arena, buf_slice(&b)), TM_OK);
    buf_done(&b);
    return post(kept);
}

static uint64_t counted(enum ocsp_count what)
{
    struct ocsp_state s;
    ocsp_state(house, &s);
    return s.counts[what];
}

/* What is in memory and still holds is given on, and counted apart; what is not is tryLater. Nobody is told "unknown" by a store that can't be
 * asked. */
static void test_ocsp__database_is_out(void **state)
{
    (void)state;
    struct issue_request *kept = issue_leaf(arena, house, "kept.example.org"),
                         *new = issue_leaf(arena, house, "new.example.org");
    struct ocsp_response first = ask(kept->serial, (struct slice){0});
    assert_int_equal(first.outcome, OCSP_SUCCESSFUL);
    assert_int_equal(first.status, OCSP_GOOD);
    out = true;
    uint64_t stale = counted(OCSP_STALE), later = counted(OCSP_LATER);
    assert_int_equal(ask(kept->serial, (struct slice){0}).status, OCSP_GOOD);
    assert_int_equal(counted(OCSP_STALE), stale); /* young enough to be given anyway */
    assert_int_equal(ask(new->serial, (struct slice){0}).outcome, OCSP_TRY_LATER);
    assert_int_equal(counted(OCSP_LATER), later + 1);
    clock_fix(first.this_update + 20 * HOUR); /* more than half of its life */
    struct ocsp_response old = ask(kept->serial, (struct slice){0});
    assert_int_equal(old.outcome, OCSP_SUCCESSFUL);
    assert_int_equal(old.this_update, first.this_update);
    assert_int_equal(counted(OCSP_STALE), stale + 1);
    clock_fix(first.next_update + 1); /* and now it says nothing any more */
    assert_int_equal(ask(kept->serial, (struct slice){0}).outcome, OCSP_TRY_LATER);
    out = false;
    struct ocsp_response again = ask(kept->serial, (struct slice){0});
    assert_int_equal(again.outcome, OCSP_SUCCESSFUL);
    assert_true(again.this_update > first.this_update);
}

/* The clock steps back: no answer is older than one that was given before. */
static void test_ocsp__clock_steps_back(void **state)
{
    (void)state;
    struct issue_request *one = issue_leaf(arena, house, "clock-one.example.org"),
                         *two = issue_leaf(arena, house, "clock-two.example.org");
    struct ocsp_response before = ask(one->serial, (struct slice){0});
    clock_fix(before.this_update - HOUR);
    struct ocsp_response after = ask(two->serial, (struct slice){0});
    assert_int_equal(after.outcome, OCSP_SUCCESSFUL);
    assert_true(after.this_update >= before.this_update && after.produced_at >= before.produced_at);
    clock_fix(0);
}

/* A responder that begins again knows from the register how late it was. */
static void test_ocsp__clock_steps_back_over_a_restart(void **state)
{
    (void)state;
    struct diag diag = {0};
    clock_fix(0);
    int64_t now = clock_now();
    CHECK_OK(house_event(house, TENANT_DEFAULT, "test.event", "test", (struct event_field[]){{0}}, &diag),
             diag);
    CHECK_OK(house_sequence(house, &diag), diag); /* a checkpoint of now */
    struct issue_request *r = issue_leaf(arena, house, "restart.example.org");
    struct ocsp *before = ocsp_stop(house);
    clock_fix(now - 2 * HOUR);
    house->ocsp = NULL;
    CHECK_OK(ocsp_start(house, 0), diag);
    ocsp_free(before);
    struct ocsp_response after = ask(r->serial, (struct slice){0});
    assert_int_equal(after.outcome, OCSP_SUCCESSFUL);
    assert_true(after.this_update >= now);
    clock_fix(0);
}

static void test_ocsp__malformed(void **state)
{
    (void)state;
    uint64_t before = counted(OCSP_MALFORMED);
    assert_int_equal(post(SLICE_LIT("\x30\x03\x30\x01")).outcome, OCSP_MALFORMED_REQUEST);
    uint8_t nonce[129] = {1}, serial[CERT_SERIAL_LEN] = {1};
    assert_int_equal(ask(serial, SLICE_ARR(nonce)).outcome,
                     OCSP_MALFORMED_REQUEST); /* one more than RFC 9654 allows */
    assert_int_equal(ask(serial, slice_of(nonce, 128)).outcome, OCSP_SUCCESSFUL);
    assert_int_equal(counted(OCSP_MALFORMED), before + 2);
    struct ocsp_id id = id_of(ca, serial);
    static const uint8_t nobody[32];
    id.key_hash = SLICE_ARR(nobody);
    struct buf b;
    buf_init(&b, OCSP_REQUEST_MAX);
    assert_int_equal(ocsp_request_build(&b, &id, (struct slice){0}), TM_OK);
    assert_int_equal(post(buf_slice(&b)).outcome, OCSP_UNAUTHORIZED);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ocsp__malformed),
        cmocka_unit_test(test_ocsp__clock_steps_back),
        cmocka_unit_test(test_ocsp__clock_steps_back_over_a_restart),
        cmocka_unit_test(test_ocsp__database_is_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
