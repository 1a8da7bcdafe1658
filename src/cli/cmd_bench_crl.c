/* touchmark bench crl: a list of so many revoked certificates against writing and hashing its octets, against `openssl ca -gencrl`, and how soon a revocation
 * stands in a published shard. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "issue/resources.h"
#include "status/crl.h"
#include "status/crl_file.h"
#include "status/scope.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PER_TXN = 2000,
    SHARDS = 64,
    REVOCATIONS = 41,
    CHUNK = 256 << 10,
    DAY = 86400,
    WAIT_MS = 600000,
    POLL_NS = 1000000
};
static const char authority_name[] = "issuing-ca";

struct bench_crl {
    struct cli *c;
    const char *dir, *home;
    uint64_t revoked, live;
    unsigned rounds, shards;
    bool with_openssl;
    int server_core, load_core;
    struct house *house;
    uint64_t octets;
    struct bench_sample floor, read, publish; /* seconds */
    double pss_growth_mib, openssl_s, fill_per_s;
    struct bench_sample shard_ms;
    double first_ms; /* with the first look at all lists that a server takes */
};

static void step(const struct bench_crl *b, const char *what)
{
    if (!b->c->quiet)
        fprintf(stderr, "bench: %s\n", what);
}

static double since(uint64_t begun)
{
    return (double)(clock_mono_ns() - begun) / 1e9;
}

/* ---- rows: what a minimal retention keeps, so that ten million are there in minutes ---- */

static tm_err add_rows(struct bench_crl *b, struct effect *v, size_t n, uint64_t *count, int64_t issued,
                       bool revoke, struct diag *diag)
{
    int64_t ends = issued + 300 * DAY;
    for (size_t i = 0; i < n; i++) {
        v[i] = (struct effect){.kind = EFFECT_CERT_ADD, .tenant = TENANT_DEFAULT};
        struct cert_row *row = &v[i].u.cert.row;
        /* Spread over an hour of issue, so over all shards. */
        serial_prefix(row->id, ends, issued + (int64_t)(*count)++ % 3600);
        TM_TRY(random_bytes(row->id + 6, CERT_SERIAL_LEN - 6));
        row->source = CERT_ISSUED;
        row->authority = authority_name;
        row->profile = "server-internal-1y";
        row->device = row->endpoint = row->subject = "";
        row->not_before = issued;
        row->not_after = ends;
        row->keep_until = ends;
        row->retention = 2;
    }
    for (size_t i = 0; i < n; i++)
        v[i].u.cert.row.serial = SLICE_ARR(v[i].u.cert.row.id);
    TM_TRY(house_commit(b->house, v, n, diag));
    if (!revoke)
        return TM_OK;
    for (size_t i = 0; i < n; i++) {
        v[i].kind = EFFECT_CERT_REVOKE;
        v[i].u.cert.row.revoked_at = clock_now();
        v[i].u.cert.row.reason = 4; /* superseded */
    }
    return house_commit(b->house, v, n, diag);
}

static tm_err fill(struct bench_crl *b, struct diag *diag)
{
    struct effect *v = calloc(PER_TXN, sizeof *v);
    struct store_read q = {.kind = READ_COUNTS, .tenant = TENANT_DEFAULT, .arena = b->c->arena};
    tm_err e = v ? store_read_now(b->house->store, &q) : TM_ENOMEM;
    uint64_t had = q.counts.revoked, live = q.counts.certs - q.counts.revoked, count = 0,
             begun = clock_mono_ns();
    int64_t issued = clock_now() + 120; /* after the shards hold */
    struct cli_progress bar;
    cli_progress_begin(&bar, b->c, "Filling the store", b->revoked + b->live);
    for (uint64_t n = had; n < b->revoked && e == TM_OK; n += PER_TXN) {
        e = add_rows(b, v, b->revoked - n < PER_TXN ? (size_t)(b->revoked - n) : PER_TXN, &count, issued,
                     true, diag);
        cli_progress_step(&bar, n);
    }
    for (uint64_t n = live; n < b->live && e == TM_OK; n += PER_TXN) {
        e = add_rows(b, v, b->live - n < PER_TXN ? (size_t)(b->live - n) : PER_TXN, &count, issued, false,
                     diag);
        cli_progress_step(&bar, b->revoked + n);
    }
    cli_progress_end(&bar);
    free(v);
    b->fill_per_s = count ? (double)count / since(begun) : 0;
    return e;
}

/* The authority's document with shards, which hold a minute later. */
static tm_err set_shards(struct bench_crl *b, struct diag *diag)
{
    struct store_read q = {.kind = READ_RESOURCE,
                           .tenant = TENANT_DEFAULT,
                           .arena = b->c->arena,
                           .name = "Authority",
                           .name2 = authority_name};
    json_t *doc = NULL;
    tm_err e = store_read_now(b->house->store, &q);
    if (e == TM_OK)
        e = json_parse(&doc, q.resources[0].json, 1 << 20, diag);
    if (e == TM_OK) {
        json_object_set_new(json_object_get(doc, "crl"), "shards", json_integer(b->shards));
        e = house_resource_put(b->house, TENANT_DEFAULT, "Authority", doc, -1, "bench", NULL, diag);
    }
    json_decref(doc);
    return e == TM_OK ? crl_shards_follow(b->house, diag) : e;
}

/* ---- the floor: the same octets written, flushed and hashed ---- */

static tm_err floor_once(struct bench_crl *b, struct diag *diag)
{
    char *path = arena_printf(b->c->arena, "%s/floor", b->dir);
    uint8_t *piece = malloc(CHUNK);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    tm_err e = piece && md && fd >= 0 ? random_bytes(piece, CHUNK) : TM_EIO;
    bool good = e == TM_OK && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    uint64_t begun = clock_mono_ns();
    for (uint64_t left = b->octets; good && left;) {
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        good = write(fd, piece, n) == (ssize_t)n && EVP_DigestUpdate(md, piece, n) == 1;
        left -= n;
    }
    good = good && fsync(fd) == 0;
    bench_add(&b->floor, since(begun));
    if (fd >= 0)
        close(fd);
    if (path)
        unlink(path);
    EVP_MD_CTX_free(md);
    free(piece);
    return good ? TM_OK : diag_fail(diag, TM_EIO, NULL, NULL, "the floor can't be written under %s", b->dir);
}

/* ---- reading the store alone ---- */

static tm_err read_once(struct bench_crl *b, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct store_read q = {0};
    uint8_t after[64];
    size_t after_n = 0;
    uint64_t n = 0, begun = clock_mono_ns();
    tm_err e = a ? TM_OK : TM_ENOMEM;
    for (bool more = true; e == TM_OK && more; more = q.more) {
        arena_reset(a);
        q = (struct store_read){.kind = READ_REVOKED,
                                .tenant = TENANT_DEFAULT,
                                .arena = a,
                                .filter = {.authority = authority_name,
                                           .not_after_from = clock_now(),
                                           .revoked = 1,
                                           .source = -1},
                                .after = slice_of(after, after_n),
                                .limit = 2000};
        e = store_read_now(b->house->store, &q);
        n += q.n;
        after_n = q.page_next.n <= sizeof after ? q.page_next.n : 0;
        if (after_n)
            memcpy(after, q.page_next.p, after_n);
    }
    bench_add(&b->read, since(begun));
    arena_free(a);
    if (e != TM_OK)
        *diag = q.diag;
    return e == TM_OK && n < b->revoked ? diag_fail(diag, TM_EINTERNAL, NULL, NULL, "rows are missing") : e;
}

/* ---- publishing ---- */

static atomic_bool sampling;
static long pss_most;

static void *sample_pss(void *arg)
{
    (void)arg;
    while (atomic_load(&sampling)) {
        long now = bench_pss_kib(getpid());
        pss_most = now > pss_most ? now : pss_most;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return NULL;
}

static tm_err publish_once(struct bench_crl *b, bool measure_memory, struct diag *diag)
{
    struct catalog *cat = house_catalog(b->house);
    const struct authority *x = catalog_authority(cat, TENANT_DEFAULT, authority_name);
    pthread_t t;
    long before = bench_pss_kib(getpid());
    pss_most = before;
    atomic_store(&sampling, true);
    bool sampled = measure_memory && pthread_create(&t, NULL, sample_pss, NULL) == 0;
    /* The complete list alone: the shards' times are others. */
    uint64_t begun = clock_mono_ns();
    tm_err e = x ? crl_publish_list(b->house, x, "full", diag) : TM_ENOTFOUND;
    double s = since(begun);
    atomic_store(&sampling, false);
    if (sampled) {
        pthread_join(t, NULL);
        b->pss_growth_mib = (double)(pss_most - before) / 1024;
    } else {
        bench_add(&b->publish, s);
    }
    struct crl_row row;
    if (e == TM_OK)
        e = crl_current(&row, b->c->arena, b->house, x);
    if (e == TM_OK)
        b->octets = crl_row_size(&row);
    if (e == TM_OK && (uint64_t)row.entries < b->revoked)
        e = diag_fail(diag, TM_EINTERNAL, NULL, NULL, "the list has %lld entries", (long long)row.entries);
    catalog_unref(cat);
    return e;
}

/* ---- openssl ca -gencrl ---- */

static tm_err write_index(const struct bench_crl *b, const char *path, struct diag *diag)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return diag_fail(diag, TM_EIO, NULL, NULL, "%s: %s", path, strerror(errno));
    for (uint64_t i = 0; i < b->revoked; i++)
        fprintf(f,
                "R\t360101000000Z\t260101000000Z,superseded\t1A%030" PRIX64 "\tunknown\t/CN=bench %" PRIu64
                "\n",
                i, i);
    return fclose(f) == 0 ? TM_OK : diag_fail(diag, TM_EIO, NULL, NULL, "%s can't be written", path);
}

static tm_err openssl_once(struct bench_crl *b, struct diag *diag)
{
    struct arena *a = b->c->arena;
    const char *program = getenv("OPENSSL") ? getenv("OPENSSL") : "openssl";
    char *index = arena_printf(a, "%s/index.txt", b->dir), *config = arena_printf(a, "%s/ca.cnf", b->dir);
    char *make = arena_printf(
        a,
        "cd %s && %s req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key "
        "-subj /CN=bench -days 30 -out ca.pem 2>ca.log",
        b->dir, program);
    if (!index || !config || !make)
        return TM_ENOMEM;
    TM_TRY(write_index(b, index, diag));
    FILE *f = fopen(config, "w");
    if (f) {
        fprintf(f, "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\n"
                   "default_crl_days=7\ncertificate=ca.pem\nprivate_key=ca.key\nunique_subject=no\n");
        fclose(f);
    }
    char *number = arena_printf(a, "%s/number", b->dir), *log = arena_printf(a, "%s/openssl.log", b->dir);
    f = number && log && system(make) == 0 ? fopen(number, "w") : NULL;
    if (!f)
        return diag_fail(diag, TM_ENOTFOUND, NULL, NULL, "openssl can't make a CA in %s", b->dir);
    fputs("01\n", f);
    fclose(f);
    char *argv[] = {(char *)(uintptr_t)program, (char[]){"ca"},   (char[]){"-gencrl"}, (char[]){"-config"},
                    (char[]){"ca.cnf"},         (char[]){"-out"}, (char[]){"crl.pem"}, NULL};
    uint64_t begun = clock_mono_ns();
    pid_t pid = bench_spawn(argv, b->dir, log, b->load_core);
    int status = -1;
    if (pid > 0)
        waitpid(pid, &status, 0);
    b->openssl_s = since(begun);
    return status == 0 ? TM_OK
                       : diag_fail(diag, TM_EIO, NULL, NULL, "openssl ca -gencrl failed; see %s", log);
}

/* ---- from the revocation to the shard ---- */

/* Certificates that are good. */
static tm_err good_ones(struct bench_crl *b, uint8_t ids[][CERT_SERIAL_LEN], size_t n, char paths[][128],
                        struct diag *diag)
{
    struct catalog *cat = house_catalog(b->house);
    const struct authority *x = catalog_authority(cat, TENANT_DEFAULT, authority_name);
    struct store_read q = {.kind = READ_CERTS,
                           .tenant = TENANT_DEFAULT,
                           .arena = arena_new(0),
                           .filter = {.authority = authority_name,
                                      .revoked = 0,
                                      .source = CERT_ISSUED,
                                      .not_after_from = clock_now() + 290 * DAY},
                           .states_only = true};
    size_t found = 0;
    tm_err e = q.arena && x ? TM_OK : TM_ENOMEM;
    while (e == TM_OK && found < n) {
        q.limit = n;
        q.n = 0;
        q.certs = NULL;
        e = store_read_now(b->house->store, &q);
        for (size_t i = 0; e == TM_OK && i < q.n && found < n; i++) {
            unsigned count, k = authority_shard(&count, x, crl_issued_at(q.certs[i].id));
            if (!count)
                continue;
            memcpy(ids[found], q.certs[i].id, CERT_SERIAL_LEN);
            snprintf(paths[found++], 128, "/crl/%s/%u-%u.crl", x->key_id_hex, count, k);
        }
        if (!q.more)
            break;
        q.after = q.page_next;
    }
    if (e == TM_OK && found < n)
        e = diag_fail(diag, TM_ENOTFOUND, NULL, NULL, "there are no certificates with a shard");
    arena_free(q.arena);
    catalog_unref(cat);
    return e;
}

static tm_err shard_once(struct bench_crl *b, const struct bench_server *s, struct bench_conn *api,
                         struct bench_conn *plain, const uint8_t *id, const char *path, struct diag *diag)
{
    char hex[2 * CERT_SERIAL_LEN + 1], target[128], headers[512];
    int status = 0;
    struct buf body;
    hex_encode(hex, slice_of(id, CERT_SERIAL_LEN));
    snprintf(target, sizeof target, "/api/v1/certificates/%s/revoke", hex);
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\nContent-Type: application/json\r\n",
             s->token);
    uint64_t begun = clock_mono_ns();
    TM_TRY(bench_exchange(api, "POST", target, headers, SLICE_LIT("{\"reason\":\"superseded\"}"), &status,
                          NULL, diag));
    if (status != 200)
        return diag_fail(diag, TM_EIO, NULL, NULL, "the revocation was answered with %d", status);
    buf_init(&body, 64 << 20);
    tm_err e = TM_OK;
    bool listed = false;
    while (e == TM_OK && !listed) {
        buf_reset(&body);
        e = bench_exchange(plain, "GET", path, "", (struct slice){0}, &status, &body, diag);
        listed = status == 200 && memmem(body.p, body.n, id, CERT_SERIAL_LEN);
        if (!listed && since(begun) * 1e3 > WAIT_MS)
            e = diag_fail(diag, TM_EIO, NULL, NULL, "%s never listed %s", path, hex);
        if (e == TM_OK && !listed)
            nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    if (e == TM_OK)
        bench_add(&b->shard_ms, since(begun) * 1e3);
    buf_done(&body);
    return e;
}

static tm_err shards_with(struct bench_crl *b, const struct bench_server *s, uint8_t ids[][CERT_SERIAL_LEN],
                          char paths[][128], size_t n, struct diag *diag)
{
    struct bench_conn *api = NULL, *plain = NULL;
    tm_err e = bench_connect(&api, s->enrollment, true, diag);
    if (e == TM_OK)
        e = bench_connect(&plain, s->plain, false, diag);
    for (size_t i = 0; i < n && e == TM_OK; i++)
        e = shard_once(b, s, api, plain, ids[i], paths[i], diag);
    bench_conn_free(api);
    bench_conn_free(plain);
    return e;
}

static tm_err shards(struct bench_crl *b, struct diag *diag)
{
    static uint8_t ids[REVOCATIONS][CERT_SERIAL_LEN];
    static char paths[REVOCATIONS][128];
    struct bench_server s = {0};
    TM_TRY(good_ones(b, ids, REVOCATIONS, paths, diag));
    house_close(b->house);
    b->house = NULL;
    TM_TRY(bench_server_start(&s, b->c, b->home, b->server_core, diag));
    bench_pin(b->load_core);
    /* The first one waits for the first look at all lists, longer than an idle connection lives, and is not counted. */
    tm_err e = shards_with(b, &s, ids, paths, 1, diag);
    b->first_ms = e == TM_OK ? b->shard_ms.v[0] : 0;
    b->shard_ms.n = 0;
    if (e == TM_OK)
        e = shards_with(b, &s, ids + 1, paths + 1, REVOCATIONS - 1, diag);
    bench_server_stop(&s);
    return e;
}

/* ---- the command ---- */

static const char *verdict(bool met)
{
    return met ? "met" : "NOT MET";
}

static void show(struct bench_crl *b)
{
    double floor = bench_median(&b->floor), read = bench_median(&b->read),
           publish = bench_median(&b->publish);
    double made = (publish - read) / floor, reading = read / floor;
    double p50 = bench_median(&b->shard_ms), p95 = bench_quantile(b->shard_ms.v, b->shard_ms.n, 0.95);
    if (b->c->output == OUTPUT_JSON) {
        printf("{\"revoked\":%" PRIu64 ",\"octets\":%" PRIu64
               ",\"floor_s\":%.4f,\"read_s\":%.4f,\"publish_s\":%.4f,"
               "\"made_of_floor\":%.3f,\"read_of_floor\":%.3f,\"pss_growth_mib\":%.1f,\"openssl_s\":%.3f,"
               "\"shards\":%u,\"shard_ms\":%.2f,\"shard_p95_ms\":%.2f,\"first_ms\":%.2f}\n",
               b->revoked, b->octets, floor, read, publish, made, reading, b->pss_growth_mib, b->openssl_s,
               b->shards, p50, p95, b->first_ms);
        return;
    }
    printf("a list of %" PRIu64 " certificates, %.1f MiB; medians of %u rounds\n\n", b->revoked,
           (double)b->octets / (1 << 20), b->rounds);
    printf("  %-66s %10s  %-10s\n", "what", "measured", "goal");
    printf("  %-66s %8.0f ms\n", "the floor: its octets written, flushed and hashed", floor * 1e3);
    printf("  %-66s %8.0f ms\n", "read, encoded, hashed, signed, flushed, recorded", publish * 1e3);
    printf("  %-66s %9.2fx  <= 2x      %s\n", "all of that but reading the store, of the floor", made,
           verdict(made <= 2));
    printf("  %-66s %9.2fx  <= 5x      %s\n", "reading the store, of the floor", reading,
           verdict(reading <= 5));
    printf("  %-66s %7.1f MiB  <= 64 MiB  %s\n", "growth of PSS meanwhile, server and signer in one process",
           b->pss_growth_mib, verdict(b->pss_growth_mib <= 64));
    if (b->with_openssl)
        printf("  openssl ca -gencrl on as many, %7.1f s: times %-35s %9.0fx  >= 100x    %s\n", b->openssl_s,
               "the whole publication", b->openssl_s / publish, verdict(b->openssl_s / publish >= 100));
    if (b->shard_ms.n) {
        printf(
            "  from the request to revoke to a shard (of %u) that lists it, median   %7.1f ms  <= 50 ms   %s\n",
            b->shards, p50, verdict(p50 <= 50));
        printf("  %-66s %8.1f ms\n", "  95th percentile", p95);
        printf("  %-66s %8.0f ms\n", "  the first, which waits for a look at all lists, or their making",
               b->first_ms);
    }
}

static tm_err measure(struct bench_crl *b, struct diag *diag)
{
    step(b, "a house");
    struct stat st;
    bool fresh = stat(b->home, &st) != 0;
    TM_TRY(bench_home(b->c, b->home, diag));
    if (fresh)
        TM_TRY(bench_unlimit(b->c, b->home, diag));
    TM_TRY(bench_house_open(&b->house, b->c, b->home, diag));
    TM_TRY(set_shards(b, diag));
    TM_TRY(fill(b, diag));
    step(b, "the complete list");
    TM_TRY(publish_once(b, true, diag));
    for (unsigned i = 0; i < b->rounds; i++) {
        TM_TRY(floor_once(b, diag));
        TM_TRY(read_once(b, diag));
        TM_TRY(publish_once(b, false, diag));
    }
    if (b->with_openssl) {
        step(b, "openssl ca -gencrl");
        TM_TRY(openssl_once(b, diag));
    }
    if (b->live == 0)
        return TM_OK;
    step(b, "revocations until they are published");
    return shards(b, diag);
}

static int bench_crl(struct cli *c)
{
    struct bench_crl b = {.c = c};
    struct diag diag = {0};
    int64_t revoked, live, shards_n, rounds;
    if (!cli_get_number(c, "revoked", 100000, 1, 50000000, &revoked) ||
        !cli_get_number(c, "live", 0, 0, 1000000000, &live) ||
        !cli_get_number(c, "shards", SHARDS, 1, AUTHORITY_SHARDS_MAX, &shards_n) ||
        !cli_get_number(c, "rounds", 5, 1, BENCH_ROUNDS_MAX, &rounds))
        return 2;
    b.revoked = (uint64_t)revoked;
    b.live = (uint64_t)live;
    b.rounds = (unsigned)rounds;
    b.shards = (unsigned)shards_n;
    b.with_openssl = cli_has(c, "peers");
    const char *parent = cli_get(c, "dir"), *keep = cli_get(c, "keep");
    char *dir = arena_printf(c->arena, "%s/touchmark-bench-XXXXXX", parent ? parent : "/tmp");
    if (!dir || !mkdtemp(dir))
        return cli_fail(c, "can't make a directory under %s", parent ? parent : "/tmp");
    b.dir = dir;
    b.home = keep ? keep : arena_printf(c->arena, "%s/house", dir);
    if (!b.home)
        return cli_fail(c, "out of memory");
    log_configure(LOG_ERROR, LOG_AUTO);
    bench_cores(&b.server_core, &b.load_core);
    tm_err e = measure(&b, &diag);
    house_close(b.house);
    if (e == TM_OK)
        show(&b);
    if (e == TM_OK || !b.with_openssl)
        file_remove_tree(dir, true);
    return e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, NULL);
}

static const struct cli_option crl_options[] = {
    {"revoked", 0, "N", "certificates on the list (100000)", false},
    {"live", 0, "N",
     "as many more that are good, of which some are revoked with a server running; 0: none, and no server (0)",
     false},
    {"shards", 0, "N", "shards that the certificates with a server running are spread over (64)", false},
    {"peers", 0, NULL, "also openssl ca -gencrl on as many", false},
    {"rounds", 'r', "N", "floor, reading and list take turns so many times (5)", false},
    {"keep", 0, "DIR", "use the house in DIR, and leave it there: it is filled once", false},
    {"dir", 0, "DIR", "where a house is made and removed again without --keep (/tmp)", false},
    {0},
};

const struct command bench_crl_commands[] = {
    {
        .noun = "bench",
        .verb = "crl",
        .summary = "measure revocation lists: making one, its memory, and how soon a revocation is published",
        .arguments = "",
        .description =
            "Fills a house of its own, publishes the complete list of so many revoked certificates in turns with the floor (the same octets\n"
            "written, flushed and hashed once) and with reading the store alone; with --live it then starts a server and times\n"
            "revocations until the certificate's shard lists them.",
        .example = "touchmark bench crl --revoked 1000000 --live 9000000 --peers",
        .options = crl_options,
        .run = bench_crl,
    },
    {0},
};
