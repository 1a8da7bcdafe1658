/* Lists that are too long for a row: a file that is whole, named by its hash, read again, put together with what has changed, handed out in
 * parts, and gone once another one is published. */
#include "http/server.h"
#include "status/crl_file.h"
#include "status/crl_impl.h"
#include "status/publish.h"
#include "unit/authority/home_test.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { DAY = 86400, N = 30000 }; /* some 1.5 MiB */

static struct house *house;
static struct arena *arena;
static struct catalog *catalog;
static const struct authority *ca;
static struct http_server *server;
static uint8_t ids[N][CERT_SERIAL_LEN];

static void fill(void)
{
    struct diag diag = {0};
    struct effect *v = calloc(N, sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < N; i++) {
        v[i] = (struct effect){.kind = EFFECT_CERT_ADD, .tenant = TENANT_DEFAULT};
        struct cert_row *row = &v[i].u.cert.row;
        row->source = CERT_ISSUED;
        serial_prefix(row->id, clock_now() + 300 * DAY, clock_now());
        memset(row->id + 6, 0, 10);
        row->id[13] = (uint8_t)(i >> 16);
        row->id[14] = (uint8_t)(i >> 8);
        row->id[15] = (uint8_t)i;
        memcpy(ids[i], row->id, sizeof ids[i]);
        row->serial = SLICE_ARR(row->id);
        row->authority = ca->name;
        row->profile = row->device = row->endpoint = "";
        row->subject = "CN=x";
        row->not_before = clock_now();
        row->not_after = clock_now() + 300 * DAY;
        row->keep_until = TM_TIME_NEVER;
        for (int k = 0; k < 3; k++)
            row->fingerprint[k] = row->spki_hash[k] = row->id[13 + k];
    }
    CHECK_OK(house_commit(house, v, N, &diag), diag);
    /* The first and every hundredth stay good. */
    size_t n = 0;
    for (size_t i = 0; i < N; i++) {
        if (i % 100 == 0)
            continue;
        v[n] = v[i];
        v[n].kind = EFFECT_CERT_REVOKE;
        v[n].u.cert.row.serial = SLICE_ARR(ids[i]);
        v[n].u.cert.row.revoked_at = clock_now();
        v[n].u.cert.row.reason = i % 7 ? CRL_SUPERSEDED : CRL_CERTIFICATE_HOLD;
        n++;
    }
    CHECK_OK(house_commit(house, v, n, &diag), diag);
    free(v);
}

static int setup(void **state)
{
    (void)state;
    struct diag diag = {0};
    test_dir_make();
    make_home_with(&(struct init_config){.root_crls = 3});
    arena = arena_new(256 << 20);
    house = open_home();
    CHECK_OK(status_open(house), diag);
    catalog = house_catalog(house);
    ca = authority_of(catalog, "issuing-ca");
    fill();
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
    clock_fix(0);
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

static bool publish(enum crl_when when)
{
    bool published = false;
    struct diag diag = {0};
    CHECK_OK(crl_publish(house, ca, when, &published, &diag), diag);
    return published;
}

static struct crl_row current(void)
{
    struct crl_row row;
    assert_int_equal(crl_current(&row, arena, house, ca), TM_OK);
    return row;
}

/* What lies on the disk, whole. */
static struct slice octets_of(const struct crl_row *row)
{
    int fd = crl_row_open(house, row);
    assert_true(fd >= 0);
    uint8_t *p = arena_alloc(arena, row->size);
    assert_int_equal(read(fd, p, row->size), (ssize_t)row->size);
    close(fd);
    return slice_of(p, row->size);
}

static size_t files(void)
{
    size_t n = 0;
    DIR *d = opendir(house->crl_dir);
    for (const struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.' || strncmp(e->d_name, ".tmp", 4) == 0;
    if (d)
        closedir(d);
    return n;
}

static size_t check_list(const struct crl_row *row)
{
    struct crl c;
    struct crl_iter it;
    struct crl_entry e;
    struct diag diag = {0};
    size_t n = 0;
    tm_err err;
    CHECK_OK(crl_parse(&c, octets_of(row), &diag), diag);
    CHECK_OK(crl_series_check(&c, NULL, ca, 0, &diag), diag); /* issuer, key, signature */
    crl_iter_init(&it, &c, &diag);
    while ((err = crl_next(&it, &e)) == TM_OK)
        n++;
    assert_int_equal(err, TM_ENOTFOUND);
    assert_int_equal(n, row->entries);
    return n;
}

static void test_crl_file__published_whole(void **state)
{
    (void)state;
    assert_true(publish(CRL_NOW));
    struct crl_row row = current();
    assert_true(crl_row_is_file(&row));
    assert_int_equal(row.der.n, 0);
    assert_int_equal(files(), 1);
    assert_int_equal(check_list(&row), N - N / 100);
    assert_false(publish(CRL_WHEN_DUE));
    assert_false(publish(CRL_WHEN_CHANGED));
    if (have_tool("openssl")) {
        write_test_file("long.crl", octets_of(&row));
        write_pem("ca.pem", "CERTIFICATE", ca->der);
        RUN_OK("openssl crl -inform DER -in long.crl -CAfile ca.pem -noout 2>&1 | grep -q 'verify OK'");
    }
    /* Another one: the first is gone. */
    assert_true(publish(CRL_NOW));
    struct crl_row next = current();
    assert_string_not_equal(next.file, row.file);
    assert_int_equal(files(), 1);
}

/* One process that knows what has changed puts that into the list that there is. */
static void test_crl_file__merged(void **state)
{
    (void)state;
    struct diag diag = {0};
    assert_true(publish(CRL_NOW));
    struct crl_dirty all;
    status_dirty_take(house, &all);
    free(all.v);
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, ids[0], CRL_SUPERSEDED, "tester", "", NULL, &diag), diag);
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, ids[N - 100], CRL_SUPERSEDED, "tester", "", NULL, &diag),
             diag);
    CHECK_OK(issue_unrevoke(house, TENANT_DEFAULT, ids[7], "tester", &diag), diag);
    status_dirty_put(house, TENANT_DEFAULT, ca->name, "", ids[N - 100]);
    status_dirty_put(house, TENANT_DEFAULT, ca->name, "", ids[7]);
    status_dirty_put(house, TENANT_DEFAULT, ca->name, "", ids[0]);
    status_dirty_put(house, TENANT_DEFAULT, ca->name, "", ids[0]);
    const struct job *job = status_jobs[1];
    assert_string_equal(job->name, "crl.publish");
    struct crl_row before = current();
    CHECK_OK(job->run(house, &diag), diag);
    struct crl_row row = current();
    assert_string_not_equal(row.file, before.file);
    assert_int_equal(check_list(&row), N - N / 100 + 1);
    /* As one that is made anew would have it. */
    struct crl merged, anew;
    CHECK_OK(crl_parse(&merged, octets_of(&row), &diag), diag);
    assert_true(publish(CRL_NOW));
    struct crl_row again = current();
    CHECK_OK(crl_parse(&anew, octets_of(&again), &diag), diag);
    assert_true(slice_eq(merged.entries, anew.entries));
    /* Told of something that has not changed: nothing is published. */
    status_dirty_put(house, TENANT_DEFAULT, ca->name, "", ids[5]);
    CHECK_OK(job->run(house, &diag), diag);
    row = current();
    assert_string_equal(row.file, again.file);
}

/* ---- handed out ---- */

struct reply {
    int status;
    char head[2048];
    struct slice body;
};

static struct reply get(const char *method, const char *headers)
{
    char request[1024];
    int n = snprintf(request, sizeof request,
                     "%s /crl/%s/full.crl HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method,
                     ca->key_id_hex, headers);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_server_port(server, 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(write(fd, request, (size_t)n), n);
    struct buf b;
    buf_init(&b, 16 << 20);
    char chunk[8192];
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

static void test_crl_file__handed_out(void **state)
{
    (void)state;
    char headers[200], etag[64];
    assert_true(publish(CRL_NOW));
    struct crl_row row = current();
    struct slice der = octets_of(&row);
    struct reply r = get("GET", "");
    assert_int_equal(r.status, 200);
    assert_true(slice_eq(r.body, der));
    assert_non_null(strstr(r.head, "Accept-Ranges: bytes\r\n"));
    snprintf(headers, sizeof headers, "Content-Length: %zu\r\n", der.n);
    assert_non_null(strstr(r.head, headers));
    assert_int_equal(sscanf(strstr(r.head, "ETag: "), "ETag: %63s", etag), 1);

    r = get("HEAD", "");
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body.n, 0);
    assert_non_null(strstr(r.head, headers));
    snprintf(headers, sizeof headers, "If-None-Match: %s\r\n", etag);
    assert_int_equal(get("GET", headers).status, 304);

    r = get("GET", "Range: bytes=100-300099\r\n");
    assert_int_equal(r.status, 206);
    assert_true(slice_eq(r.body, slice_sub(der, 100, 300000)));
    snprintf(headers, sizeof headers, "Content-Range: bytes 100-300099/%zu\r\n", der.n);
    assert_non_null(strstr(r.head, headers));
    r = get("GET", "Range: bytes=-5\r\n");
    assert_true(r.status == 206 && slice_eq(r.body, slice_sub(der, der.n - 5, 5)));
    snprintf(headers, sizeof headers, "Range: bytes=10-\r\nIf-Range: %s\r\n", etag);
    r = get("GET", headers);
    assert_true(r.status == 206 && slice_eq(r.body, slice_sub(der, 10, der.n)));
    r = get("GET", "Range: bytes=10-\r\nIf-Range: \"another\"\r\n");
    assert_true(r.status == 200 && r.body.n == der.n);
    r = get("GET", "Range: bytes=99999999-\r\n");
    assert_int_equal(r.status, 416);
    assert_non_null(strstr(r.head, "Content-Range: bytes */"));
}

/* Its file is not in a backup: after a restore the list is made anew at once, with a greater number. */
static void test_crl_file__lost(void **state)
{
    (void)state;
    assert_true(publish(CRL_NOW));
    struct crl_row row = current();
    crl_file_remove(house, row.file);
    status_forget(house, ca);
    assert_int_equal(get("GET", "").status, 503);
    assert_true(publish(CRL_WHEN_DUE));
    struct crl_row next = current();
    assert_true(crl_number_value(next.number) > crl_number_value(row.number));
    assert_int_equal(get("GET", "").status, 200);
    /* What a power cut has left goes when the next one begins to serve. */
    int fd = open(in_test("home/store/crl/.tmp-1-1"), O_WRONLY | O_CREAT, 0600);
    close(fd);
    fd = open(in_test("home/store/crl/00112233445566778899aabbccddeeff.crl"), O_WRONLY | O_CREAT, 0600);
    close(fd);
    assert_int_equal(files(), 3);
    crl_files_sweep(house);
    assert_int_equal(files(), 1);
    assert_int_equal(get("GET", "").status, 200);
}

/* The clock steps back: neither number nor thisUpdate does, and the store would not take it. */
static void test_crl__clock_steps_back(void **state)
{
    (void)state;
    assert_true(publish(CRL_NOW));
    struct crl_row row = current();
    clock_fix(row.this_update - 3600);
    assert_true(publish(CRL_NOW));
    struct crl_row next = current();
    assert_int_equal(next.this_update, row.this_update);
    assert_int_equal(next.next_update, row.next_update);
    assert_true(crl_number_value(next.number) == crl_number_value(row.number) + 1);
    struct effect e = {.kind = EFFECT_CRL_PUT, .tenant = TENANT_DEFAULT, .u.crl = next};
    struct diag diag = {0};
    e.u.crl.number = SLICE_LIT("\x7f\xff\xff\xff\xff\xff\xff");
    e.u.crl.this_update--;
    assert_int_equal(house_commit(house, &e, 1, &diag), TM_ECONFLICT);
    clock_fix(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crl_file__published_whole), cmocka_unit_test(test_crl_file__merged),
        cmocka_unit_test(test_crl_file__handed_out),      cmocka_unit_test(test_crl_file__lost),
        cmocka_unit_test(test_crl__clock_steps_back),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
