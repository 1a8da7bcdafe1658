/* Certificates by the million, straight through the store: one is issued in earnest, the others are that one with serial, names and
 * key changed. Their events stand in the register as those of the pipeline do, but the signer never saw them. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/secret.h"
#include "base/task.h"
#include "base/text.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "register/register.h"
#include "store/store.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IN_FLIGHT = 1024, KEYS = 6, SEQUENCE_EACH = 200000, NAME_LEN = 28 };

/* "fill-0000000000.example.net" stands twice in the template: common name and SAN. */
#define FILL_NAME "fill-%010" PRIu64 ".example.net"

struct fill {
    struct house *house;
    struct cert_row row; /* the template */
    struct slice der;
    size_t name_at[2], serial_at;
    struct waiter *waiter;
    struct row *idle;
    bool any_idle;
    tm_err err;
    struct diag why;
};

struct row {
    struct store_txn txn;
    struct effect effects[2];
    struct cert_key keys[KEYS];
    struct fill *fill;
    struct arena *arena;
    struct row *next;
    char name[NAME_LEN], subject[NAME_LEN + 3], san[NAME_LEN + 4], device[24];
};

static void row_done(struct task *t)
{
    struct row *r = TM_CONTAINER(t, struct row, txn.done);
    struct fill *f = r->fill;
    if (r->txn.err != TM_OK && f->err == TM_OK) {
        f->err = r->txn.err;
        f->why = r->txn.diag;
    }
    r->next = f->idle;
    f->idle = r;
    f->any_idle = true;
}

static struct row *row_take(struct fill *f)
{
    waiter_run(f->waiter, &f->any_idle);
    struct row *r = f->idle;
    f->idle = r->next;
    f->any_idle = f->idle != NULL;
    return r;
}

/* ---- one row ---- */

static tm_err row_event(struct row *r, const struct cert_row *row)
{
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(row->authority)},
        {.key = "caller", .kind = EVENT_STR, .s = SLICE_LIT("bench")},
        {.key = "caller_kind", .kind = EVENT_STR, .s = SLICE_LIT("principal")},
        {.key = "device", .kind = EVENT_STR, .s = slice_str(row->device)},
        {.key = "door", .kind = EVENT_STR, .s = SLICE_LIT("rest")},
        {.key = "endpoint", .kind = EVENT_STR, .s = slice_str(row->endpoint)},
        {.key = "fingerprint", .kind = EVENT_HEX, .s = SLICE_ARR(row->fingerprint)},
        {.key = "not_after", .kind = EVENT_INT, .i = row->not_after},
        {.key = "not_before", .kind = EVENT_INT, .i = row->not_before},
        {.key = "profile", .kind = EVENT_STR, .s = slice_str(row->profile)},
        {.key = "profile_version", .kind = EVENT_INT, .i = row->profile_version},
        {.key = "renewal", .kind = EVENT_RAW, .s = SLICE_LIT("false")},
        {.key = "request", .kind = EVENT_STR, .s = SLICE_LIT("fill")},
        {.key = "serial", .kind = EVENT_HEX, .s = SLICE_ARR(row->id)},
        {.key = "subject", .kind = EVENT_STR, .s = slice_str(row->subject)},
        {0},
    };
    char hex[2 * CERT_SERIAL_LEN + 1];
    hex_encode(hex, SLICE_ARR(row->id));
    char *subject = arena_printf(r->arena, "certificate/%s", hex);
    struct slice body;
    TM_TRY(subject ? register_event_body(&body, r->arena, fields) : TM_ENOMEM);
    return register_event_effect(&r->effects[1], r->arena, TENANT_DEFAULT, "certificate.imported", subject,
                                 body, row->issued_at);
}

static tm_err row_fill(struct row *r, uint64_t n)
{
    const struct fill *f = r->fill;
    arena_reset(r->arena);
    r->effects[0] = (struct effect){.kind = EFFECT_CERT_ADD, .tenant = TENANT_DEFAULT};
    struct cert_row *row = &r->effects[0].u.cert.row;
    *row = f->row;
    row->issued_at = clock_now_ms();
    serial_prefix(row->id, row->not_after, row->issued_at / 1000);
    TM_TRY(random_bytes(row->id + 6, CERT_SERIAL_LEN - 6));
    TM_TRY(random_bytes(row->spki_hash, sizeof row->spki_hash));
    n %= UINT64_C(10000000000); /* ten digits */
    snprintf(r->name, sizeof r->name, FILL_NAME, n);
    snprintf(r->subject, sizeof r->subject, "CN=%s", r->name);
    snprintf(r->san, sizeof r->san, "dns:%s", r->name);
    snprintf(r->device, sizeof r->device, "FILL-%010" PRIu64, n);
    uint8_t *der = arena_alloc(r->arena, f->der.n);
    if (!der)
        return TM_ENOMEM;
    memcpy(der, f->der.p, f->der.n);
    for (int i = 0; i < 2; i++)
        memcpy(der + f->name_at[i], r->name, NAME_LEN - 1);
    memcpy(der + f->serial_at, row->id, CERT_SERIAL_LEN);
    row->der = slice_of(der, f->der.n);
    row->serial = SLICE_ARR(row->id);
    row->subject = r->subject;
    row->device = r->device;
    TM_TRY(sha256(row->fingerprint, row->der));
    const struct cert_key keys[KEYS] = {
        {CERT_KEY_SUBJECT, slice_str(r->subject)},  {CERT_KEY_CN, slice_str(r->name)},
        {CERT_KEY_SAN, slice_str(r->san)},          {CERT_KEY_FINGERPRINT, SLICE_ARR(row->fingerprint)},
        {CERT_KEY_SPKI, SLICE_ARR(row->spki_hash)}, {CERT_KEY_DEVICE, slice_str(r->device)},
    };
    memcpy(r->keys, keys, sizeof keys);
    r->effects[0].u.cert.keys = r->keys;
    r->effects[0].u.cert.n_keys = KEYS;
    TM_TRY(row_event(r, row));
    r->txn = (struct store_txn){
        .done = {.run = row_done}, .reply_to = waiter_executor(f->waiter), .effects = r->effects, .n = 2};
    return TM_OK;
}

/* ---- the template ---- */

static bool find(size_t *ret, struct slice in, struct slice what, size_t from)
{
    const uint8_t *p = from < in.n ? memmem(in.p + from, in.n - from, what.p, what.n) : NULL;
    *ret = p ? (size_t)(p - in.p) : 0;
    return p != NULL;
}

static tm_err template_make(struct fill *f, struct arena *a, struct diag *diag)
{
    struct bench_csrs one = {0};
    struct csr csr;
    struct issue_request r = {.house = f->house, .arena = a, .tenant = TENANT_DEFAULT};
    r.e = (struct enrollment){.tenant = "default",
                              .endpoint = "rest",
                              .profile = "server-internal-1y",
                              .request_id = "fill",
                              .door = DOOR_REST,
                              .caller = {.kind = CALLER_PRINCIPAL, .id = "bench", .roles = "operator"}};
    struct cert c;
    tm_err e = bench_csrs_named(&one, "fill-0000000000.example.net", diag);
    if (e == TM_OK)
        e = csr_parse_pkcs10(&csr, slice_of(one.v[0].der, one.v[0].n), diag);
    if (e == TM_OK)
        e = issue_from_csr(&r, &csr, diag);
    if (e == TM_OK) {
        issue_run(&r);
        e = r.outcome == ISSUE_ISSUED ? TM_OK : r.err;
        *diag = r.diag;
    }
    bench_csrs_done(&one);
    TM_TRY(e);
    TM_TRY(cert_parse(&c, r.cert, diag));
    TM_TRY(cert_row_from_cert(&f->row, a, &c));
    f->der = r.cert;
    f->row.authority = r.decision.plan.authority;
    f->row.profile = r.decision.plan.profile;
    f->row.profile_version = r.decision.plan.profile_version;
    f->row.endpoint = "rest";
    f->row.door = DOOR_REST;
    f->row.keep_until = f->row.not_after;
    struct slice name = SLICE_LIT("fill-0000000000.example.net");
    if (!find(&f->name_at[0], f->der, name, 0) || !find(&f->name_at[1], f->der, name, f->name_at[0] + 1) ||
        !find(&f->serial_at, f->der, SLICE_ARR(r.serial), 0))
        return diag_fail(diag, TM_EINTERNAL, NULL, NULL, "the template has other names than were asked for");
    return TM_OK;
}

/* ---- all of them ---- */

static tm_err rows_add(struct fill *f, struct cli *c, uint64_t from, uint64_t to)
{
    struct row *rows = calloc(IN_FLIGHT, sizeof *rows);
    tm_err e = rows ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; rows && i < IN_FLIGHT; i++) {
        rows[i].fill = f;
        rows[i].arena = arena_new(0);
        e = rows[i].arena ? e : TM_ENOMEM;
        row_done(&rows[i].txn.done);
    }
    struct cli_progress bar;
    cli_progress_begin(&bar, c, "Filling the store", to);
    for (uint64_t n = from; n < to && e == TM_OK && f->err == TM_OK; n++) {
        struct row *r = row_take(f);
        e = row_fill(r, n);
        if (e == TM_OK)
            store_submit(f->house->store, &r->txn);
        else
            row_done(&r->txn.done);
        if (n % SEQUENCE_EACH == SEQUENCE_EACH - 1 && e == TM_OK)
            e = house_sequence(f->house, &f->why);
        cli_progress_step(&bar, n);
    }
    for (size_t i = 0; rows && i < IN_FLIGHT; i++)
        row_take(f);
    for (size_t i = 0; rows && i < IN_FLIGHT; i++)
        arena_free(rows[i].arena);
    cli_progress_end(&bar);
    free(rows);
    return e != TM_OK ? e : f->err;
}

static tm_err fill_up(struct fill *f, struct cli *c, struct arena *a, uint64_t *ret_had, uint64_t rows,
                      double *ret_per_s, struct diag *diag)
{
    struct store_read q = {.kind = READ_COUNTS, .tenant = TENANT_DEFAULT, .arena = a};
    TM_TRY(store_read_now(f->house->store, &q));
    *ret_had = q.counts.certs;
    *ret_per_s = 0;
    if (q.counts.certs >= rows)
        return TM_OK;
    TM_TRY(template_make(f, a, diag));
    uint64_t begun = clock_mono_ns();
    tm_err e = rows_add(f, c, q.counts.certs, rows);
    *diag = f->why;
    *ret_per_s = (double)(rows - q.counts.certs) * 1e9 / (double)(clock_mono_ns() - begun);
    return e;
}

tm_err bench_house_open(struct house **ret, struct cli *c, const char *home, struct diag *diag)
{
    struct secret pass = {0};
    struct slice text;
    char *file = arena_printf(c->arena, "%s/passphrase", home);
    if (!file || !cli_read_file(c, file, 4096, &text))
        return diag_fail(diag, TM_EIO, NULL, NULL, "%s/passphrase can't be read", home);
    struct house_config hc = {.home = home,
                              .mode = HOUSE_OFFLINE,
                              .passphrase = &pass,
                              .public_base = "http://pki.example.net",
                              .origin = "pki.example.net/touchmark"};
    tm_err e = secret_copy(&pass, slice_trim(text));
    if (e == TM_OK)
        e = house_open(ret, &hc, diag);
    secret_done(&pass);
    return e;
}

tm_err bench_fill(struct cli *c, const char *home, uint64_t rows, uint64_t *ret_had, double *ret_per_s,
                  struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct fill f = {.waiter = waiter_new()};
    tm_err e = a && f.waiter ? TM_OK : TM_ENOMEM;
    if (e == TM_OK)
        e = bench_house_open(&f.house, c, home, diag);
    if (e == TM_OK)
        e = fill_up(&f, c, a, ret_had, rows, ret_per_s, diag);
    house_close(f.house);
    waiter_free(f.waiter);
    arena_free(a);
    return e;
}
