/* touchmark bench inventory: how long questions about all certificates take, on a store of so many rows. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "inventory/query.h"
#include "policy/decide.h"
#include "store/store.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PER_TXN = 2000,
    DAY = 86400,
    QUESTION_ARENA = 64 << 20,
    READY_S = 600,
    POLL_NS = 20000000,
    GOAL_MS = 100
};

struct bench_inventory {
    struct cli *c;
    struct store *store;
    uint64_t rows, had;
    unsigned rounds;
    double fill_per_s, ready_s;
    bool met;
};

/* ---- rows: of twelve authorities, twenty profiles and eight kinds of keys, spread over two years of issuing ---- */

static uint64_t mixed(uint64_t n)
{
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9u;
    n = (n ^ n >> 27) * 0x94d049bb133111ebu;
    return n ^ n >> 31;
}

static tm_err row_make(struct effect *e, struct cert_key *keys, struct arena *a, uint64_t n, uint64_t of,
                       int64_t now)
{
    static const char *const key_names[] = {"p256",    "p256",    "p256",    "rsa2048",
                                            "rsa2048", "rsa4096", "ed25519", "ml-dsa-65"};
    static const int lifetimes[] = {7, 47, 47, 90, 90, 200, 365, 825};
    uint64_t r = mixed(n);
    *e = (struct effect){.kind = EFFECT_CERT_ADD, .tenant = TENANT_DEFAULT};
    struct cert_row *row = &e->u.cert.row;
    int64_t issued = now - 730 * DAY + (int64_t)(n * 730 / of * DAY + mixed(n + of) % DAY);
    row->not_before = issued - 3600;
    row->not_after = issued + (int64_t)lifetimes[r % 8] * DAY;
    row->issued_at = issued * 1000;
    serial_prefix(row->id, row->not_after, issued);
    TM_TRY(random_bytes(row->id + 6, CERT_SERIAL_LEN - 6));
    row->source = r >> 8 & 15 ? CERT_ISSUED : CERT_DISCOVERED;
    row->authority = arena_printf(a, "authority-%u", (unsigned)(r >> 16) % 12);
    row->profile = arena_printf(a, "profile-%u", (unsigned)(r >> 24) % 20);
    row->key_alg = key_names[r >> 32 & 7];
    row->sig_alg = r >> 40 & 3 ? "ecdsa-sha256" : "rsa-sha256";
    row->subject = arena_printf(a, "CN=host-%" PRIu64 ".example.net", n);
    row->device = r >> 48 & 1 ? arena_printf(a, "BENCH-%" PRIu64, n / 3) : "";
    row->endpoint = "";
    row->retention = 2;
    row->keep_until = TM_TIME_NEVER;
    const char *san = arena_printf(a, "dns:host-%" PRIu64 ".example.net", n);
    if (!row->authority || !row->profile || !row->subject || !row->device || !san)
        return arena_err(a);
    row->serial = SLICE_ARR(row->id);
    keys[0] = (struct cert_key){CERT_KEY_SUBJECT, slice_str(row->subject)};
    keys[1] = (struct cert_key){CERT_KEY_SAN, slice_str(san)};
    keys[2] = (struct cert_key){CERT_KEY_DEVICE, slice_str(row->device)};
    e->u.cert.keys = keys;
    e->u.cert.n_keys = row->device[0] ? 3 : 2;
    return TM_OK;
}

static tm_err commit(struct store *s, struct effect *v, size_t n, struct diag *diag)
{
    struct store_txn t = {.effects = v, .n = n};
    tm_err e = n ? store_commit(s, &t) : TM_OK;
    if (e != TM_OK)
        *diag = t.diag;
    return e;
}

static tm_err fill_some(struct bench_inventory *b, struct effect *v, struct cert_key (*keys)[3],
                        struct arena *a, uint64_t from, size_t n, struct diag *diag)
{
    int64_t now = clock_now();
    size_t revoked = 0;
    arena_reset(a);
    for (size_t i = 0; i < n; i++)
        TM_TRY(row_make(&v[i], keys[i], a, from + i, b->rows, now));
    TM_TRY(commit(b->store, v, n, diag));
    /* One in fifty. */
    for (size_t i = 0; i < n; i += 50) {
        v[revoked] = v[i];
        v[revoked].kind = EFFECT_CERT_REVOKE;
        v[revoked].u.cert.row.revoked_at = now * 1000;
        v[revoked++].u.cert.row.reason = i % 100 ? 4 : 1;
    }
    return commit(b->store, v, revoked, diag);
}

static tm_err fill(struct bench_inventory *b, struct diag *diag)
{
    struct effect *v = calloc(PER_TXN, sizeof *v);
    struct cert_key(*keys)[3] = calloc(PER_TXN, sizeof *keys);
    struct arena *a = arena_new(QUESTION_ARENA);
    struct store_read q = {.kind = READ_COUNTS, .tenant = TENANT_DEFAULT, .arena = b->c->arena};
    tm_err e = v && keys && a ? store_read_now(b->store, &q) : TM_ENOMEM;
    uint64_t begun = clock_mono_ns();
    struct cli_progress bar;
    b->had = q.counts.certs;
    cli_progress_begin(&bar, b->c, "Filling the store", b->rows);
    for (uint64_t n = b->had; n < b->rows && e == TM_OK; n += PER_TXN) {
        e = fill_some(b, v, keys, a, n, b->rows - n < PER_TXN ? (size_t)(b->rows - n) : PER_TXN, diag);
        cli_progress_step(&bar, n);
    }
    cli_progress_end(&bar);
    b->fill_per_s =
        b->rows > b->had ? (double)(b->rows - b->had) * 1e9 / (double)(clock_mono_ns() - begun) : 0;
    arena_free(a);
    free(keys);
    free(v);
    return e;
}

/* ---- questions ---- */

static const struct question {
    const char *query;
    enum { LIST_NEWEST, LIST_EXPIRY, COUNT } kind;
    enum cert_group group;
    const char *by;
} questions[] = {
    {"dns:host-4711.example.net", LIST_NEWEST, 0, ""},
    {"status:valid", LIST_NEWEST, 0, ""},
    {"expires<30d -status:revoked", LIST_EXPIRY, 0, ""},
    {"issuer:authority-3 expires<30d key:rsa -status:revoked", LIST_EXPIRY, 0, ""},
    {"key:ml-dsa-65 profile:profile-7 source:discovered", LIST_NEWEST, 0, ""},
    {"lifetime>398d status:valid", LIST_EXPIRY, 0, ""},
    {"(key:rsa2048 OR signature:rsa-sha256) -device:* status:valid", LIST_NEWEST, 0, ""},
    {"issued<1d", LIST_NEWEST, 0, ""},
    {"issuer:nobody", LIST_NEWEST, 0, ""},
    {"", COUNT, CERT_GROUP_NONE, "number"},
    {"", COUNT, CERT_GROUP_STATUS, "by status"},
    {"status:valid", COUNT, CERT_GROUP_KEY, "by key"},
    {"status:valid", COUNT, CERT_GROUP_AUTHORITY, "by authority"},
    {"status:valid expires<90d", COUNT, CERT_GROUP_EXPIRY_WEEK, "by week of expiry"},
    {"status:valid", COUNT, CERT_GROUP_LIFETIME, "by lifetime"},
};

static tm_err ask(struct bench_inventory *b, const struct question *x, struct arena *a, uint64_t *ret,
                  struct diag *diag)
{
    struct cert_test where;
    const struct query_env env = {.now = clock_now()};
    arena_reset(a);
    TM_TRY(query_parse(&where, a, slice_str(x->query), &env, diag));
    struct store_read r = {.kind = x->kind == COUNT ? READ_CERTS_COUNTED : READ_CERTS_WHERE,
                           .tenant = TENANT_DEFAULT,
                           .arena = a,
                           .where = &where,
                           .order = x->kind == LIST_EXPIRY ? CERT_EXPIRY_FIRST : CERT_NEWEST_FIRST,
                           .group = x->group,
                           .now = env.now,
                           .limit = 100};
    tm_err e = store_read_now(b->store, &r);
    *ret = x->kind == COUNT ? r.count : r.n;
    if (e != TM_OK)
        *diag = r.diag;
    return e;
}

/* Until the columns have been built, and once more, so that each of them was read. */
static tm_err wait_ready(struct bench_inventory *b, struct arena *a, struct diag *diag)
{
    uint64_t begun = clock_mono_ns(), unused;
    const struct timespec pause = {.tv_nsec = POLL_NS};
    tm_err e;
    while ((e = ask(b, &questions[0], a, &unused, diag)) == TM_EUNAVAIL &&
           clock_mono_ns() - begun < (uint64_t)READY_S * 1000000000)
        nanosleep(&pause, NULL);
    b->ready_s = (double)(clock_mono_ns() - begun) / 1e9;
    return e;
}

static tm_err measure(struct bench_inventory *b, struct diag *diag)
{
    struct arena *a = arena_new(QUESTION_ARENA);
    tm_err e = a ? wait_ready(b, a, diag) : TM_ENOMEM;
    if (e == TM_OK && b->fill_per_s > 0)
        printf("%" PRIu64 " certificates, %.0f/s into the store; ready for questions %.1f s later\n\n",
               b->rows, b->fill_per_s, b->ready_s);
    else if (e == TM_OK)
        printf("%" PRIu64 " certificates; ready for questions %.1f s after the opening\n\n", b->rows,
               b->ready_s);
    if (e == TM_OK)
        printf("  %-64s %-20s %10s %10s %10s\n", "query", "", "found", "first ms", "median ms");
    b->met = true;
    for (size_t i = 0; i < sizeof questions / sizeof *questions && e == TM_OK; i++) {
        struct bench_sample ms = {0};
        uint64_t found = 0;
        double first = 0;
        for (unsigned k = 0; k <= b->rounds && e == TM_OK; k++) {
            uint64_t begun = clock_mono_ns();
            e = ask(b, &questions[i], a, &found, diag);
            double took = (double)(clock_mono_ns() - begun) / 1e6;
            if (k == 0)
                first = took;
            else
                bench_add(&ms, took);
        }
        if (e != TM_OK)
            break;
        b->met &= bench_median(&ms) <= GOAL_MS;
        printf("  %-64s %-20s %10" PRIu64 " %10.1f %10.2f\n",
               questions[i].query[0] ? questions[i].query : "(all)",
               questions[i].kind == COUNT         ? questions[i].by
               : questions[i].kind == LIST_EXPIRY ? "100, next to end"
                                                  : "100, newest",
               found, first, bench_median(&ms));
    }
    if (e == TM_OK)
        printf("\n  every median within %d ms: %s\n", GOAL_MS, b->met ? "met" : "NOT MET");
    arena_free(a);
    return e;
}

static int bench_inventory(struct cli *c)
{
    struct bench_inventory b = {.c = c};
    struct diag diag = {0};
    int64_t rows, rounds;
    if (!cli_get_number(c, "rows", 1000000, 1000, 1000000000, &rows) ||
        !cli_get_number(c, "rounds", 5, 1, BENCH_ROUNDS_MAX, &rounds))
        return 2;
    b.rows = (uint64_t)rows;
    b.rounds = (unsigned)rounds;
    const char *parent = cli_get(c, "dir"), *keep = cli_get(c, "keep");
    char *dir = arena_printf(c->arena, "%s/touchmark-bench-XXXXXX", parent ? parent : "/tmp");
    if (!keep && (!dir || !mkdtemp(dir)))
        return cli_fail(c, "can't make a directory under %s", parent ? parent : "/tmp");
    struct store_config config = {.driver = "sqlite", .path = keep ? keep : dir, .create = true};
    tm_err e = store_open(&b.store, &config, &diag);
    if (e == TM_OK)
        e = fill(&b, &diag);
    if (e == TM_OK)
        e = measure(&b, &diag);
    store_close(b.store);
    if (!keep)
        file_remove_tree(dir, true);
    return e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, NULL);
}

static const struct cli_option inventory_options[] = {
    {"rows", 0, "N", "certificates (1000000)", false},
    {"rounds", 'r', "N", "each question is asked so many times (5)", false},
    {"keep", 0, "DIR", "use the store in DIR, and leave it there: it is filled once", false},
    {"dir", 0, "DIR", "where a store is made and removed again without --keep (/tmp)", false},
    {0},
};

const struct command bench_inventory_commands[] = {
    {
        .noun = "bench",
        .verb = "inventory",
        .summary = "measure how long questions about all certificates take",
        .arguments = "",
        .description =
            "Fills a store of its own with rows of many kinds, one in fifty revoked, and asks what people ask: lists of a hundred, newest or\n"
            "next to end first, and counts. The first time a column is read it is verified; the medians are of the rounds after that.",
        .example = "touchmark bench inventory --rows 10000000 --keep var/bench-inventory",
        .options = inventory_options,
        .run = bench_inventory,
    },
    {0},
};
