/* Accounts and past orders of ACME by the million, straight through the store. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/task.h"
#include "base/text.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "enroll/acme/rows.h"
#include "issue/house.h"
#include "keys/key.h"
#include "store/store.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IN_FLIGHT = 64, ACCOUNTS_EACH = 32, EFFECTS_MAX = 1024, ORDERS_MAX = 30, KEEP_S = 30 * 86400 };

struct batch;
struct fill {
    struct house *house;
    struct key *key;
    const char *endpoint;
    uint64_t accounts, orders; /* in all */
    struct waiter *waiter;
    struct batch *idle;
    bool any_idle;
    tm_err err;
    struct diag why;
};
struct batch {
    struct store_txn txn;
    struct effect effects[EFFECTS_MAX];
    struct fill *fill;
    struct arena *arena;
    struct batch *next;
};

static void batch_done(struct task *t)
{
    struct batch *b = TM_CONTAINER(t, struct batch, txn.done);
    struct fill *f = b->fill;
    if (b->txn.err != TM_OK && f->err == TM_OK) {
        f->err = b->txn.err;
        f->why = b->txn.diag;
    }
    b->next = f->idle;
    f->idle = b;
    f->any_idle = true;
}

static struct batch *batch_take(struct fill *f)
{
    waiter_run(f->waiter, &f->any_idle);
    struct batch *b = f->idle;
    f->idle = b->next;
    f->any_idle = f->idle != NULL;
    return b;
}

static void put(struct batch *b, const struct object_row *row)
{
    struct effect *e = &b->effects[b->txn.n++];
    *e = (struct effect){.kind = EFFECT_OBJECT_PUT, .tenant = TENANT_DEFAULT, .expected_version = 0};
    e->u.object.row = *row;
}

/* An order that ended well some time in the last month. */
static tm_err put_order(struct batch *b, const char *account, uint64_t n)
{
    uint8_t serial[CERT_SERIAL_LEN];
    const char *name = arena_printf(b->arena, "DNS:past-%" PRIu64 ".example.net", n), *authz;
    int64_t now = clock_now();
    struct acme_order o = {
        .profile = "server-internal-1y", .replaces = "", .error = "", .pending = "", .account_url = ""};
    TM_TRY(random_bytes(serial, sizeof serial));
    TM_TRY(acme_id_make(&o.id, b->arena));
    TM_TRY(acme_id_make(&authz, b->arena));
    o.serial = arena_hex(b->arena, SLICE_ARR(serial));
    if (!name || !o.serial)
        return TM_ENOMEM;
    o.names = (struct json_strings){&name, 1};
    o.authz = (struct json_strings){&authz, 1};
    o.expires = now + 7 * 86400;
    o.row = (struct object_row){
        .owner = account, .status = ACME_VALID, .created_at = now, .keep_until = now + KEEP_S};
    TM_TRY(acme_order_write(&o, b->arena));
    put(b, &o.row);
    return TM_OK;
}

static tm_err put_account(struct batch *b, const char **ret_id)
{
    uint8_t thumbprint[SHA256_LEN];
    struct buf text;
    struct acme_account a = {.external = "", .profile = ""};
    TM_TRY(random_bytes(thumbprint, sizeof thumbprint));
    TM_TRY(acme_id_make(&a.id, b->arena));
    buf_init(&text, 256);
    buf_put_base64(&text, SLICE_ARR(thumbprint), BASE64_URL, 0);
    a.thumbprint = arena_strdup(b->arena, buf_str(&text));
    buf_done(&text);
    a.spki = key_spki(b->fill->key);
    a.row = (struct object_row){.status = ACME_VALID, .ref = "", .created_at = clock_now()};
    a.row.key = a.thumbprint ? arena_printf(b->arena, "%s/%s", b->fill->endpoint, a.thumbprint) : NULL;
    if (!a.row.key)
        return TM_ENOMEM;
    TM_TRY(acme_account_write(&a, b->arena));
    put(b, &a.row);
    *ret_id = a.id;
    return TM_OK;
}

/* Accounts from number `from` on, each with its share of the orders. */
static tm_err batch_fill(struct batch *b, uint64_t from, uint64_t n)
{
    const struct fill *f = b->fill;
    arena_reset(b->arena);
    b->txn = (struct store_txn){
        .done = {.run = batch_done}, .reply_to = waiter_executor(b->fill->waiter), .effects = b->effects};
    for (uint64_t i = from; i < from + n; i++) {
        const char *id;
        TM_TRY(put_account(b, &id));
        for (uint64_t o = i * f->orders / f->accounts; o < (i + 1) * f->orders / f->accounts; o++)
            TM_TRY(put_order(b, id, o));
    }
    return TM_OK;
}

static tm_err fill_all(struct fill *f, struct cli *c)
{
    struct batch *v = calloc(IN_FLIGHT, sizeof *v);
    tm_err e = v ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; v && i < IN_FLIGHT; i++) {
        v[i].fill = f;
        v[i].arena = arena_new(0);
        e = v[i].arena ? e : TM_ENOMEM;
        batch_done(&v[i].txn.done);
    }
    struct cli_progress bar;
    cli_progress_begin(&bar, c, "Filling accounts and orders", f->accounts);
    for (uint64_t n = 0; n < f->accounts && e == TM_OK && f->err == TM_OK; n += ACCOUNTS_EACH) {
        struct batch *b = batch_take(f);
        e = batch_fill(b, n, f->accounts - n < ACCOUNTS_EACH ? f->accounts - n : ACCOUNTS_EACH);
        if (e == TM_OK)
            store_submit(f->house->store, &b->txn);
        else
            batch_done(&b->txn.done);
        cli_progress_step(&bar, n);
    }
    for (size_t i = 0; v && i < IN_FLIGHT; i++)
        batch_take(f);
    for (size_t i = 0; v && i < IN_FLIGHT; i++)
        arena_free(v[i].arena);
    cli_progress_end(&bar);
    free(v);
    return e != TM_OK ? e : f->err;
}

tm_err bench_acme_fill(struct cli *c, const char *home, const char *endpoint, uint64_t accounts,
                       uint64_t orders, struct diag *diag)
{
    struct fill f = {.endpoint = endpoint, .accounts = accounts, .orders = orders, .waiter = waiter_new()};
    if (orders / accounts >= ORDERS_MAX)
        return diag_fail(diag, TM_EINVAL, NULL, NULL, "at most %d orders an account", ORDERS_MAX);
    tm_err e = f.waiter ? key_generate(&f.key, KEY_ALG_EC_P256, 0, diag) : TM_ENOMEM;
    if (e == TM_OK)
        e = bench_house_open(&f.house, c, home, diag);
    if (e == TM_OK)
        e = fill_all(&f, c);
    if (e != TM_OK && f.err == e)
        *diag = f.why;
    house_close(f.house);
    key_free(f.key);
    waiter_free(f.waiter);
    return e;
}
