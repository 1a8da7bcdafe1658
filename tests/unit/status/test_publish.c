/* What the plain listener hands out: CRLs, CA certificates, the register. */
#include "http/server.h"
#include "status/publish.h"
#include "unit/authority/home_test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct house *house;
static struct arena *arena;
static struct catalog *catalog;
static const struct authority *ca;
static struct http_server *server;

static int setup(void **state)
{
    (void)state;
    struct diag diag = {0};
    test_dir_make();
    make_home_with(&(struct init_config){.root_crls = 3});
    arena = arena_new(64 << 20);
    house = open_home();
    CHECK_OK(status_open(house), diag);
    catalog = house_catalog(house);
    ca = authority_of(catalog, "issuing-ca");
    struct http_listener listener = {.address = "127.0.0.1", .kind = HTTP_LISTENER_PLAIN};
    const struct http_route *const routes[] = {status_routes, NULL};
    struct http_server_config c = {
        .listeners = &listener, .n_listeners = 1, .routes = routes, .loops = 1, .app = house};
    CHECK_OK(http_server_start(&server, &c, &diag), diag);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_server_stop(server, 1000);
    struct status *status = status_stop(house);
    catalog_unref(catalog);
    house_close(house);
    status_free(status);
    http_server_free(server);
    arena_free(arena);
    free_home();
    test_dir_remove();
    return 0;
}

struct reply {
    int status;
    char head[2048];
    struct slice body;
};

[[gnu::format(printf, 2, 3)]] static struct reply get(const char *headers, const char *fmt, ...)
{
    char target[512], request[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(target, sizeof target, fmt, ap);
    va_end(ap);
    int n = snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", target,
                     headers);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_server_port(server, 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(write(fd, request, (size_t)n), n);
    struct buf b;
    buf_init(&b, 1 << 20);
    char chunk[4096];
    ssize_t got;
    while ((got = read(fd, chunk, sizeof chunk)) > 0)
        buf_put(&b, chunk, (size_t)got);
    close(fd);
    struct slice all;
    assert_int_equal(arena_copy(&all, arena, buf_slice(&b)), TM_OK);
    buf_done(&b);
    struct reply r = {0};
    const char *end = memmem(all.p, all.n, "\r\n\r\n", 4);
    assert_non_null(end);
    snprintf(r.head, sizeof r.head, "%.*s\r\n", (int)(end - (const char *)all.p), (const char *)all.p);
    assert_int_equal(sscanf(r.head, "HTTP/1.1 %d", &r.status), 1);
    r.body = slice_sub(all, (size_t)(end + 4 - (const char *)all.p), SIZE_MAX);
    return r;
}

static const char *header(const struct reply *r, const char *name)
{
    static char value[256];
    char line[64];
    snprintf(line, sizeof line, "\r\n%s: ", name);
    const char *at = strcasestr(r->head, line);
    if (!at)
        return NULL;
    at += strlen(line);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

static void test_status_routes__crl(void **state)
{
    (void)state;
    struct crl_row row;
    struct diag diag = {0};
    char conditional[400], etag[80], modified[80];
    for (int again = 0; again < 2; again++) {
        CHECK_OK(crl_current(&row, arena, house, ca), diag);
        struct reply r = get("", "GET /crl/%s/full.crl", ca->key_id_hex);
        assert_int_equal(r.status, 200);
        assert_string_equal(header(&r, "Content-Type"), "application/pkix-crl");
        assert_true(slice_eq(r.body, row.der));
        assert_non_null(strstr(header(&r, "Cache-Control"), "max-age=3600"));
        snprintf(etag, sizeof etag, "%s", header(&r, "ETag"));
        snprintf(modified, sizeof modified, "%s", header(&r, "Last-Modified"));
        snprintf(conditional, sizeof conditional, "If-None-Match: %s\r\n", etag);
        r = get(conditional, "GET /crl/%s/full.crl", ca->key_id_hex);
        assert_int_equal(r.status, 304);
        assert_int_equal(r.body.n, 0);
        snprintf(conditional, sizeof conditional, "If-Modified-Since: %s\r\n", modified);
        r = get(conditional, "GET /crl/%s/full.crl", ca->key_id_hex);
        assert_int_equal(r.status, 304);
        r = get("If-None-Match: \"other\"\r\n", "GET /crl/%s/full.crl", ca->key_id_hex);
        assert_int_equal(r.status, 200);
        /* What is cached is forgotten as soon as there is a newer one. */
        CHECK_OK(crl_publish(house, ca, CRL_NOW, NULL, &diag), diag);
    }
    struct reply head = get("", "HEAD /crl/%s/full.crl", ca->key_id_hex);
    assert_int_equal(head.status, 200);
    assert_int_equal(head.body.n, 0);
    assert_int_equal(get("", "GET /crl/%s/other.crl", ca->key_id_hex).status, 404);
    assert_int_equal(get("", "GET /crl/00112233/full.crl").status, 404);
    assert_int_equal(get("", "GET /crl/zz/full.crl").status, 404);
    assert_int_equal(get("", "POST /crl/%s/full.crl", ca->key_id_hex).status, 405);
}

static void test_status_routes__ca(void **state)
{
    (void)state;
    const struct authority *root = authority_of(catalog, "root");
    struct reply r = get("", "GET /ca/%s.cer", root->key_id_hex);
    assert_int_equal(r.status, 200);
    assert_string_equal(header(&r, "Content-Type"), "application/pkix-cert");
    assert_true(slice_eq(r.body, root->der));
    char conditional[200];
    snprintf(conditional, sizeof conditional, "If-None-Match: %s\r\n", header(&r, "ETag"));
    assert_int_equal(get(conditional, "GET /ca/%s.cer", root->key_id_hex).status, 304);
    assert_int_equal(get("", "GET /ca/%s", root->key_id_hex).status, 404);
    assert_int_equal(get("", "GET /ca/.cer").status, 404);
}

static void test_status_routes__register(void **state)
{
    (void)state;
    struct diag diag = {0};
    CHECK_OK(house_sequence(house, &diag), diag);
    struct reply r = get("", "GET /register/checkpoint");
    assert_int_equal(r.status, 200);
    unsigned long size;
    const char *line = memchr(r.body.p, '\n', r.body.n);
    assert_true(line && sscanf(line + 1, "%lu", &size) == 1 && size > 20);
    r = get("", "GET /register/tile/0/000.p/7");
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body.n, 7 * 32);
    assert_non_null(strstr(header(&r, "Cache-Control"), "immutable"));
    assert_int_equal(get("", "GET /register/t/house/checkpoint").status, 200);
    assert_int_equal(get("", "GET /register/t/default/tile/0/000.p/1").status, 200);
    assert_int_equal(get("", "GET /register/t/nobody/checkpoint").status, 404);
    assert_int_equal(get("", "GET /register/tile/0/x999/999").status, 404);
    assert_int_equal(get("", "GET /register/tile/entries/000").status, 404);
}

/* Revoked while no server ran: the first turn of the job finds it, later ones look at dates only. */
static void test_status_jobs__first_look(void **state)
{
    (void)state;
    struct diag diag = {0};
    const struct job *due = status_jobs[0];
    assert_string_equal(due->name, "crl.due");
    struct crl_row before, after;
    for (int turn = 0; turn < 2; turn++) {
        struct issue_request *r = issue_leaf(arena, house, "gone.example.org");
        CHECK_OK(crl_current(&before, arena, house, ca), diag);
        CHECK_OK(issue_revoke(house, TENANT_DEFAULT, r->serial, 1, "tester", "", NULL, &diag), diag);
        CHECK_OK(due->run(house, &diag), diag);
        CHECK_OK(crl_current(&after, arena, house, ca), diag);
        assert_int_equal(slice_eq(before.number, after.number), turn == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_routes__crl),
        cmocka_unit_test(test_status_routes__ca),
        cmocka_unit_test(test_status_routes__register),
        cmocka_unit_test(test_status_jobs__first_look),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
