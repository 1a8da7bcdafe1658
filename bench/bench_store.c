/* bench_store - what the embedded store does at a given size.
 *
 *   bench_store DIR ROWS [STEP [RATE]]
 *
 * Fills DIR up to ROWS certificates (700 octets of DER, 8 look-up keys, one event of 300 octets each, many in flight), prints the rate and
 * each thread's CPU time at every STEP rows, then the latency of lone commits and of look-ups by every key. An existing DIR is gone on with.
 * With RATE, so many certificates a second are submitted, which shows the latency of commits under steady load. Latencies are printed as
 * they are and without the time for which the committer was ready to run and others had the processor: on a busy machine the second
 * figure is the store's. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/task.h"
#include "store/store.h"
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IN_FLIGHT = 512, KEYS = 8, DER = 700, BODY = 300 };

struct op {
    struct store_txn txn;
    struct effect effects[2];
    struct cert_key keys[KEYS];
    char subject[64], cn[32], san[3][48], device[24];
    uint8_t der[DER], body[BODY], salt[16], serial[16], fingerprint[32], spki[32];
    uint64_t submitted, finished, delay; /* delay: the committer's, when it was submitted */
    struct op *next;
};

/* Latencies of a step, in tenths of a millisecond; the same without what the committer waited for a processor. */
enum { HISTOGRAM = 10000 };
static uint32_t histogram[HISTOGRAM], running[HISTOGRAM];

/* How long the committer has been ready without running (the second number of its schedstat), as read at most every 0.2 ms. */
static _Atomic uint64_t committer_delay;

static struct waiter *waiter;
static struct op *idle;
static bool any_idle;
static uint64_t failures, state = 88172645463325252u;

static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Everything of certificate `n` can be made up again: the look-ups ask for what was stored. */
static uint64_t mix(uint64_t n)
{
    n = (n + 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
    return n ^ (n >> 31);
}

static void hash_of(uint8_t out[32], uint64_t n, uint64_t salt)
{
    for (int i = 0; i < 4; i++) {
        uint64_t v = mix(n * 4 + (uint64_t)i + salt);
        memcpy(out + 8 * i, &v, 8);
    }
}

static void fill(struct op *o, uint64_t n)
{
    struct cert_row *row = &o->effects[0].u.cert.row;
    int64_t now = clock_now();
    uint16_t month = cert_id_month(now + 365 * 86400);
    uint8_t id[16] = {(uint8_t)(month >> 8), (uint8_t)month,      (uint8_t)(now >> 24),
                      (uint8_t)(now >> 16),  (uint8_t)(now >> 8), (uint8_t)now};
    for (int i = 6; i < 16; i++)
        id[i] = (uint8_t)(rnd() >> 32);
    memcpy(o->serial, id, 16);
    snprintf(o->subject, sizeof o->subject, "CN=device-%" PRIu64 ",OU=Line 4,O=Example Corp,C=DE", n);
    snprintf(o->cn, sizeof o->cn, "device-%" PRIu64, n);
    snprintf(o->device, sizeof o->device, "SN%" PRIu64, n);
    for (int i = 0; i < 3; i++)
        snprintf(o->san[i], sizeof o->san[i], "dns:d%" PRIu64 ".site%d.example.org", n, i);
    hash_of(o->fingerprint, n, 1);
    hash_of(o->spki, n, 2);
    o->effects[0] = (struct effect){.kind = EFFECT_CERT_ADD, .tenant = TENANT_DEFAULT};
    *row = (struct cert_row){.serial = SLICE_ARR(o->serial),
                             .authority = "device-issuing-ca",
                             .profile = "device-ldevid-1y",
                             .profile_version = 1,
                             .subject = o->subject,
                             .device = o->device,
                             .endpoint = "devices",
                             .door = 1,
                             .issued_at = clock_now_ms(),
                             .not_before = now,
                             .not_after = now + 365 * 86400,
                             .keep_until = now + 2 * 365 * 86400,
                             .der = SLICE_ARR(o->der)};
    memcpy(row->id, id, 16);
    memcpy(row->fingerprint, o->fingerprint, 32);
    memcpy(row->spki_hash, o->spki, 32);
    memcpy(o->der, &n, sizeof n);
    struct cert_key keys[KEYS] = {
        {CERT_KEY_SUBJECT, slice_str(o->subject)}, {CERT_KEY_CN, slice_str(o->cn)},
        {CERT_KEY_SAN, slice_str(o->san[0])},      {CERT_KEY_SAN, slice_str(o->san[1])},
        {CERT_KEY_SAN, slice_str(o->san[2])},      {CERT_KEY_FINGERPRINT, SLICE_ARR(o->fingerprint)},
        {CERT_KEY_SPKI, SLICE_ARR(o->spki)},       {CERT_KEY_DEVICE, slice_str(o->device)},
    };
    memcpy(o->keys, keys, sizeof keys);
    o->effects[0].u.cert.keys = o->keys;
    o->effects[0].u.cert.n_keys = KEYS;
    o->effects[1] = (struct effect){.kind = EFFECT_EVENT, .tenant = TENANT_DEFAULT};
    struct event_row *e = &o->effects[1].u.event;
    *e = (struct event_row){.time = row->issued_at,
                            .type = "certificate.issued",
                            .subject = "certificate/00112233445566778899aabbccddeeff",
                            .salt = SLICE_ARR(o->salt),
                            .body = SLICE_ARR(o->body)};
}

static void count(uint32_t *h, uint64_t ns)
{
    uint64_t tenths = ns / 100000;
    h[tenths < HISTOGRAM ? tenths : HISTOGRAM - 1]++;
}

static void op_done(struct task *t)
{
    struct op *o = TM_CONTAINER(t, struct op, txn.done);
    if (o->txn.err != TM_OK) {
        if (failures++ == 0)
            fprintf(stderr, "commit: %s\n", o->txn.diag.message);
    }
    if (o->submitted) {
        uint64_t ns = o->finished - o->submitted;
        count(histogram, ns);
        count(running, ns > o->delay ? ns - o->delay : 0);
    }
    o->next = idle;
    idle = o;
    any_idle = true;
}

/* On the committer's thread. */
static void delay_read(uint64_t now)
{
    static int fd = -1;
    static uint64_t last;
    char path[64], text[64];
    if (now - last < 200000)
        return;
    last = now;
    if (fd < 0) {
        snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", (int)gettid());
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return;
    text[n] = '\0';
    char *second = strchr(text, ' ');
    if (second)
        atomic_store(&committer_delay, strtoull(second, NULL, 10));
}

/* The end is the moment of the answer, not that of our looking at it. */
static void timed_post(struct executor *e, struct task *t)
{
    struct op *o = TM_CONTAINER(t, struct op, txn.done);
    o->finished = clock_mono_ns();
    delay_read(o->finished);
    o->delay = atomic_load(&committer_delay) - o->delay;
    executor_post(waiter_executor(waiter), t);
}

static struct executor timed = {.post = timed_post};

static struct op *op_take(void)
{
    waiter_run(waiter, &any_idle);
    struct op *o = idle;
    idle = o->next;
    any_idle = idle != NULL;
    return o;
}

/* CPU time of our threads by name. */
static void threads_print(void)
{
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char path[320], name[32] = "";
        uint64_t ns = 0;
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        FILE *f = fopen(path, "r");
        if (f && fgets(name, sizeof name, f))
            name[strcspn(name, "\n")] = '\0';
        if (f)
            fclose(f);
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", e->d_name);
        f = fopen(path, "r");
        if (f && fscanf(f, "%" SCNu64, &ns) == 1)
            printf("    %s %.2f s", name, (double)ns / 1e9);
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    printf("\n");
}

static long rss_kib(void)
{
    long kib = 0;
    char line[256];
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(line, sizeof line, f))
        sscanf(line, "Pss: %ld", &kib);
    if (f)
        fclose(f);
    return kib;
}

/* Median, 99th percentile and longest; emptied. */
static void histogram_print(const char *what, uint32_t *h)
{
    uint64_t n = 0, sum = 0;
    double median = 0, p99 = 0, longest = 0;
    for (int i = 0; i < HISTOGRAM; i++)
        n += h[i];
    for (int i = 0; i < HISTOGRAM; i++) {
        if (!h[i])
            continue;
        sum += h[i];
        longest = (i + 1) / 10.0;
        median = sum * 2 >= n && median == 0 ? longest : median;
        p99 = sum * 100 >= n * 99 && p99 == 0 ? longest : p99;
    }
    memset(h, 0, HISTOGRAM * sizeof *h);
    printf("    %s: median < %.1f ms, p99 < %.1f ms, longest < %.1f ms\n", what, median, p99, longest);
}

/* Submit no earlier than the rate wants it. */
static void keep_rate(uint64_t start, uint64_t n, uint64_t rate)
{
    uint64_t due = start + n * 1000000000u / rate, now = clock_mono_ns();
    if (due > now + 500000)
        usleep((useconds_t)((due - now) / 1000));
}

static void fill_up(struct store *s, uint64_t from, uint64_t to, uint64_t step, uint64_t rate)
{
    struct op *ops = calloc(IN_FLIGHT, sizeof *ops);
    for (int i = 0; i < IN_FLIGHT; i++)
        op_done(&ops[i].txn.done);
    uint64_t begin = clock_mono_ns(), start = begin, mark = from;
    struct store_stats before, now;
    s->driver->stats(s, &before);
    for (uint64_t n = from; n < to; n++) {
        if (rate)
            keep_rate(begin, n - from, rate);
        struct op *o = op_take();
        fill(o, n);
        o->txn =
            (struct store_txn){.done = {.run = op_done}, .reply_to = &timed, .effects = o->effects, .n = 2};
        o->submitted = clock_mono_ns();
        o->delay = atomic_load(&committer_delay);
        store_submit(s, &o->txn);
        if (n + 1 - mark != step && n + 1 != to)
            continue;
        uint64_t ns = clock_mono_ns() - start;
        s->driver->stats(s, &now);
        printf("%10" PRIu64 " rows: %7.0f/s, %" PRIu64 " commits, longest so far %.1f ms, %" PRIu64
               " segments, tail %" PRIu64 ", PSS %ld KiB\n",
               n + 1, (double)(n + 1 - mark) * 1e9 / (double)ns, now.commits - before.commits,
               (double)now.commit_us_max / 1000, now.index_segments, now.index_tail, rss_kib());
        histogram_print("latency", histogram);
        histogram_print("running", running);
        threads_print();
        fflush(stdout);
        before = now;
        mark = n + 1;
        start = clock_mono_ns();
    }
    for (int i = 0; i < IN_FLIGHT; i++)
        op_take();
    free(ops);
}

static int order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void times_print(const char *what, uint64_t *ns, size_t n)
{
    qsort(ns, n, sizeof *ns, order);
    size_t middle = n / 2, p99 = n * 99 / 100;
    printf("%-14s median %8.1f us, p99 %8.1f us, longest %8.1f us\n", what, (double)ns[middle] / 1e3,
           (double)ns[p99] / 1e3, (double)ns[n - 1] / 1e3);
}

static void lone_commits(struct store *s, uint64_t from)
{
    enum { N = 200 };
    static uint64_t ns[N];
    static struct op o;
    for (unsigned i = 0; i < N; i++) {
        fill(&o, from + i);
        struct store_txn t = {.effects = o.effects, .n = 2};
        uint64_t start = clock_mono_ns();
        if (store_commit(s, &t) != TM_OK)
            failures++;
        ns[i] = clock_mono_ns() - start;
    }
    times_print("lone commit", ns, N);
}

static void look_ups(struct store *s, uint64_t rows)
{
    enum { N = 1000 };
    static const char *const names[KEYS] = {"subject", "cn",          "san",  NULL,
                                            NULL,      "fingerprint", "spki", "device"};
    static uint64_t ns[N];
    static struct op o;
    struct arena *a = arena_new(0);
    for (int k = 0; k < KEYS; k++) {
        if (!names[k])
            continue;
        for (unsigned i = 0; i < N; i++) {
            fill(&o, rnd() % rows);
            arena_reset(a);
            struct store_read r = {.kind = READ_CERTS_BY_KEY,
                                   .tenant = TENANT_DEFAULT,
                                   .key = o.keys[k],
                                   .arena = a,
                                   .with_der = true};
            uint64_t start = clock_mono_ns();
            tm_err err = store_read_now(s, &r);
            ns[i] = clock_mono_ns() - start;
            failures += err != TM_OK || r.n == 0;
        }
        times_print(names[k], ns, N);
    }
    /* What every issuance asks; at first the filters have to be read. */
    for (unsigned round = 0; round < 30; round++) {
        for (unsigned i = 0; i < N; i++) {
            fill(&o, rows + rnd() % rows + 1000000);
            arena_reset(a);
            struct store_read r = {
                .kind = READ_CERTS_BY_KEY, .tenant = TENANT_DEFAULT, .key = o.keys[6], .arena = a};
            uint64_t start = clock_mono_ns();
            failures += store_read_now(s, &r) != TM_OK || r.n != 0;
            ns[i] = clock_mono_ns() - start;
        }
        if (round == 0)
            times_print("unknown, cold", ns, N);
    }
    times_print("unknown spki", ns, N);
    arena_free(a);
}

/* A lost index is built again first: until then look-ups are refused. */
static void wait_for_index(struct store *s, struct arena *a)
{
    uint64_t start = clock_mono_ns();
    struct store_stats stats;
    struct store_read r = {.kind = READ_CERTS_BY_KEY, .key = {CERT_KEY_CN, SLICE_LIT("any")}, .arena = a};
    while (store_read_now(s, &r) == TM_EUNAVAIL)
        usleep(10000);
    s->driver->stats(s, &stats);
    printf("index ready after %.1f s, %" PRIu64 " segments\n", (double)(clock_mono_ns() - start) / 1e9,
           stats.index_segments);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_store DIR ROWS [STEP [RATE]]\n");
        return 2;
    }
    uint64_t rows = strtoull(argv[2], NULL, 10), step = argc > 3 ? strtoull(argv[3], NULL, 10) : rows;
    struct store_config c = {.driver = "sqlite", .path = argv[1], .create = true};
    struct diag diag = {0};
    struct store *s;
    waiter = waiter_new();
    state ^= clock_mono_ns();
    uint64_t start = clock_mono_ns();
    if (!waiter || store_open(&s, &c, &diag) != TM_OK) {
        fprintf(stderr, "bench_store: %s\n", diag.message);
        return 1;
    }
    printf("opened in %.1f ms, PSS %ld KiB\n", (double)(clock_mono_ns() - start) / 1e6, rss_kib());
    struct arena *a = arena_new(0);
    struct store_read r = {.kind = READ_COUNTS, .tenant = TENANT_DEFAULT, .arena = a};
    failures += store_read_now(s, &r) != TM_OK;
    if (r.counts.certs < rows)
        fill_up(s, r.counts.certs, rows, step, argc > 4 ? strtoull(argv[4], NULL, 10) : 0);
    lone_commits(s, rows > r.counts.certs ? rows : r.counts.certs);
    wait_for_index(s, a);
    look_ups(s, rows);
    sleep(12); /* caches are given back after five to ten seconds without work */
    printf("idle PSS %ld KiB\n", rss_kib());
    arena_free(a);
    store_close(s);
    waiter_free(waiter);
    if (failures)
        fprintf(stderr, "bench_store: %" PRIu64 " failures\n", failures);
    return failures != 0;
}
