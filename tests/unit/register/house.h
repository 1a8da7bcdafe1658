/* A register over a real embedded store in a directory of its own, and a signer that is played: it holds the log's key, the chain and the
 * last checkpoint of each log, as the real one does. */
#pragma once
#include "base/file.h"
#include "keys/signer.h"
#include "register_test.h"
#include "store/store.h"
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLAYED_MAX = 200000, LOGS_MAX = 16 };
#define HOUSE_NOW    ((int64_t)1795219200) /* 2026-11-21 */
#define HOUSE_ORIGIN "pki.example.org/touchmark"

struct played {
    EVP_PKEY *key;
    uint8_t public[32];
    struct {
        char origin[128];
        uint64_t size;
        uint8_t root[32];
    } logs[LOGS_MAX];
    size_t n_logs;
    uint64_t seq; /* hash[seq] is the chain's end */
    uint8_t (*hash)[32];
    bool *recorded;
    uint64_t watermark;
    int signed_checkpoints;
    bool lose_next; /* sign and remember, but fail as if the process had died before the store had it */
    bool refuse;
};

struct house {
    char dir[64];
    struct store *store;
    struct reg *reg;
    struct played signer;
    unsigned certs;
};

static void house_chain_add(struct played *p, enum sign_kind kind, const uint8_t tbs[32])
{
    uint8_t octet = (uint8_t)kind;
    struct slice parts[] = {SLICE_ARR(p->hash[p->seq]), slice_of(&octet, 1), slice_of(tbs, 32)};
    assert_true(p->seq + 1 < PLAYED_MAX);
    assert_ok(sha256_many(p->hash[p->seq + 1], parts, 3));
    p->seq++;
}

static void house_chain_record(struct played *p, uint64_t seq)
{
    p->recorded[seq] = true;
    while (p->watermark < p->seq && p->recorded[p->watermark + 1])
        p->watermark++;
}

static tm_err played_refuse(struct sign_op *op, const char *field, uint64_t size)
{
    op->diag.offset = size;
    return diag_fail(&op->diag, TM_EDENIED, "signer.checkpoint", field, "another log of %llu was signed last",
                     (unsigned long long)size);
}

static tm_err played_sign(void *ctx, struct sign_op *op)
{
    struct house *h = ctx;
    struct played *p = &h->signer;
    struct checkpoint c;
    if (p->refuse)
        return TM_EUNAVAIL;
    struct arena *a = arena_new(0);
    assert_int_equal(op->kind, SIGN_CHECKPOINT);
    assert_string_equal(op->key_id, "register");
    assert_ok(checkpoint_parse(&c, a, op->tbs, &op->diag));
    size_t i = 0;
    while (i < p->n_logs && strcmp(p->logs[i].origin, c.origin) != 0)
        i++;
    if (i == p->n_logs) {
        assert_true(p->n_logs++ < LOGS_MAX);
        snprintf(p->logs[i].origin, sizeof p->logs[i].origin, "%s", c.origin);
        assert_ok(merkle_empty_root(p->logs[i].root));
    }
    bool house_log = strchr(c.origin + sizeof HOUSE_ORIGIN - 1, '/') == NULL;
    assert_int_equal(c.has_chain, house_log);
    if (c.has_chain)
        assert_memory_equal(c.chain_hash, p->hash[c.chain_seq], 32);
    arena_free(a);
    uint64_t last = p->logs[i].size;
    if (c.size < last)
        return played_refuse(op, "size", last);
    if (merkle_verify_consistency(last, p->logs[i].root, c.size, c.root, op->proof) != TM_OK)
        return played_refuse(op, "root", last);
    p->logs[i].size = c.size;
    memcpy(p->logs[i].root, c.root, 32);

    EVP_MD_CTX *md = EVP_MD_CTX_new();
    op->signature_n = sizeof op->signature;
    assert_int_equal(EVP_DigestSignInit(md, NULL, NULL, NULL, p->key), 1);
    assert_int_equal(EVP_DigestSign(md, op->signature, &op->signature_n, op->tbs.p, op->tbs.n), 1);
    EVP_MD_CTX_free(md);
    assert_ok(sha256(op->tbs_hash, op->tbs));
    house_chain_add(p, SIGN_CHECKPOINT, op->tbs_hash);
    op->chain_seq = p->seq;
    memcpy(op->chain_hash, p->hash[p->seq], 32);
    p->signed_checkpoints++;
    if (p->lose_next) {
        p->lose_next = false;
        return TM_EUNAVAIL;
    }
    return TM_OK;
}

static void played_position(void *ctx, uint64_t *ret_seq, uint8_t ret_hash[32])
{
    struct played *p = &((struct house *)ctx)->signer;
    *ret_seq = p->watermark;
    memcpy(ret_hash, p->hash[p->watermark], 32);
}

static void played_recorded(void *ctx, uint64_t seq)
{
    house_chain_record(&((struct house *)ctx)->signer, seq);
}

/* ---- the house ---- */

[[maybe_unused]] static void house_up(struct house *h)
{
    struct diag diag = {0};
    struct store_config sc = {.driver = "sqlite", .path = h->dir, .create = true};
    if (store_open(&h->store, &sc, &diag) != TM_OK)
        fail_msg("store_open: %s", diag.message);
    struct register_config rc = {
        .store = h->store,
        .key_id = "register",
        .origin = HOUSE_ORIGIN,
        .chain_position = played_position,
        .chain_recorded = played_recorded,
        .ctx = h,
        .public_key = h->signer.public,
        .sign = played_sign,
    };
    assert_ok(register_open(&h->reg, &rc, &diag));
}

[[maybe_unused]] static void house_down(struct house *h)
{
    register_close(h->reg);
    store_close(h->store);
    h->reg = NULL;
    h->store = NULL;
}

[[maybe_unused]] static int house_setup(void **state)
{
    struct house *h = calloc(1, sizeof *h);
    size_t n = 32;
    if (!h || test_setup(NULL) != 0)
        return -1;
    clock_fix(HOUSE_NOW);
    snprintf(h->dir, sizeof h->dir, "/tmp/touchmark-register-XXXXXX");
    h->signer.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    h->signer.hash = calloc(PLAYED_MAX, 32);
    h->signer.recorded = calloc(PLAYED_MAX, sizeof(bool));
    if (!mkdtemp(h->dir) || !h->signer.key || !h->signer.hash || !h->signer.recorded ||
        EVP_PKEY_get_raw_public_key(h->signer.key, h->signer.public, &n) != 1)
        return -1;
    house_up(h);
    *state = h;
    return 0;
}

/* As if the disk had been lost: the directory stays, empty. */
[[maybe_unused]] static void house_wipe(const char *path)
{
    file_remove_tree(path, true);
    assert_int_equal(mkdir(path, 0700), 0);
}

[[maybe_unused]] static int house_teardown(void **state)
{
    struct house *h = *state;
    house_down(h);
    file_remove_tree(h->dir, true);
    EVP_PKEY_free(h->signer.key);
    free(h->signer.hash);
    free(h->signer.recorded);
    free(h);
    clock_fix(0);
    return test_teardown(state);
}

#define HOUSE_TEST(f) cmocka_unit_test_setup_teardown(f, house_setup, house_teardown)

[[maybe_unused]] static void house_commit(struct house *h, struct effect *effects, size_t n)
{
    struct store_txn t = {.effects = effects, .n = n};
    tm_err err = store_commit(h->store, &t);
    if (err != TM_OK)
        fail_msg("commit: %s", t.diag.message);
}

/* `n` plain events in one transaction. */
[[maybe_unused]] static void house_events(struct house *h, tenant_id tenant, size_t n)
{
    struct arena *a = arena_new(256 << 20);
    struct effect *e = arena_calloc(a, n, sizeof *e);
    for (size_t i = 0; i < n; i++) {
        struct event_field fields[] = {{.key = "n", .kind = EVENT_INT, .i = (int64_t)i}, {0}};
        struct slice body;
        assert_ok(register_event_body(&body, a, fields));
        assert_ok(register_event_effect(&e[i], a, tenant, "test.happened", "thing/1", body, clock_now_ms()));
    }
    house_commit(h, e, n);
    arena_free(a);
}

/* An event erased by right: with the event that says so. */
[[maybe_unused]] static void house_erase(struct house *h, tenant_id tenant, uint64_t pos)
{
    struct arena *a = arena_new(0);
    struct store_read r = {.kind = READ_EVENTS, .tenant = tenant, .arena = a, .pos_from = pos, .limit = 1};
    assert_ok(store_read_now(h->store, &r));
    assert_int_equal(r.n, 1);
    struct effect e[2] = {{.kind = EFFECT_EVENT_ERASE, .tenant = tenant, .u.event.pos = pos}};
    struct event_field fields[] = {{.key = "leaf", .kind = EVENT_HEX, .s = SLICE_ARR(r.events[0].leaf)},
                                   {.key = "pos", .kind = EVENT_INT, .i = (int64_t)pos},
                                   {.key = "what", .kind = EVENT_STR, .s = slice_str(r.events[0].type)},
                                   {0}};
    struct slice body;
    assert_ok(register_event_body(&body, a, fields));
    assert_ok(register_event_effect(&e[1], a, tenant, "register.erased", "event", body, clock_now_ms()));
    house_commit(h, e, 2);
    arena_free(a);
}

/* A certificate with its event and its place in the chain, as the pipeline records it. */
[[maybe_unused]] static struct effect *house_cert(struct house *h, struct arena *a, tenant_id tenant)
{
    unsigned number = ++h->certs;
    struct effect *e = arena_calloc(a, 2, sizeof *e);
    struct cert_row *row = &e[0].u.cert.row;
    uint8_t tbs[32];
    e[0].kind = EFFECT_CERT_ADD;
    e[0].tenant = tenant;
    row->not_before = HOUSE_NOW;
    row->not_after = HOUSE_NOW + 31536000;
    row->keep_until = row->not_after + 86400;
    row->id[0] = 1;
    row->id[1] = 0x4e; /* November 2027 */
    row->id[2] = 1;
    for (int i = 0; i < 4; i++)
        row->id[12 + i] = (uint8_t)(number >> (24 - 8 * i));
    row->source = CERT_ISSUED;
    row->serial = slice_of(arena_alloc(a, 16), 16);
    memcpy((uint8_t *)(uintptr_t)row->serial.p, row->id, 16);
    row->authority = row->profile = row->device = row->endpoint = "x";
    row->subject = arena_printf(a, "CN=%u", number);
    row->issued_at = clock_now_ms();
    row->der = slice_str(arena_printf(a, "the DER of %u", number));
    assert_ok(sha256(row->fingerprint, row->der));
    assert_ok(sha256(tbs, slice_str(row->subject)));
    house_chain_add(&h->signer, SIGN_LEAF, tbs);
    struct event_field fields[] = {
        {.key = "tbs", .kind = EVENT_HEX, .s = SLICE_ARR(tbs)},
        {.key = "chain", .kind = EVENT_INT, .i = (int64_t)h->signer.seq},
        {.key = "kind", .kind = EVENT_STR, .s = SLICE_LIT("leaf")},
        {.key = "fingerprint", .kind = EVENT_HEX, .s = SLICE_ARR(row->fingerprint)},
        {0},
    };
    struct slice body;
    assert_ok(register_event_body(&body, a, fields));
    const char *subject = arena_printf(a, "certificate/%s", arena_hex(a, SLICE_ARR(row->id)));
    assert_ok(register_event_effect(&e[1], a, tenant, "certificate.issued", subject, body, clock_now_ms()));
    return e;
}

[[maybe_unused]] static void house_issue(struct house *h, tenant_id tenant, unsigned n)
{
    struct arena *a = arena_new(256 << 20);
    for (unsigned i = 0; i < n; i++) {
        house_commit(h, house_cert(h, a, tenant), 2);
        house_chain_record(&h->signer, h->signer.seq);
        arena_reset(a);
    }
    arena_free(a);
}

[[maybe_unused]] static tm_err house_try_sequence(struct house *h, struct diag *diag)
{
    static const tenant_id tenants[] = {1, 2, 0};
    return register_sequence(h->reg, tenants, 3, diag);
}

[[maybe_unused]] static void house_sequence(struct house *h)
{
    struct diag diag = {0};
    if (house_try_sequence(h, &diag) != TM_OK)
        fail_msg("register_sequence: %s", diag.message);
}

[[maybe_unused]] static struct checkpoint house_checkpoint(struct house *h, tenant_id tenant)
{
    struct slice note;
    struct checkpoint c;
    assert_ok(register_checkpoint(&note, test_arena, h->reg, tenant));
    assert_ok(checkpoint_parse(&c, test_arena, note, NULL));
    assert_ok(note_verify(note, c.origin, h->signer.public, NULL));
    return c;
}

[[maybe_unused]] static struct register_report house_verify(struct house *h, tenant_id tenant)
{
    struct register_report report;
    struct diag diag = {0};
    if (register_verify(&report, h->reg, tenant, NULL, NULL, &diag) != TM_OK)
        fail_msg("register_verify %u: %s: %s", tenant, diag.field, diag.message);
    return report;
}

/* Change the database behind everyone's back. */
[[maybe_unused]] static void house_sql(struct house *h, const char *sql)
{
    house_down(h);
    sqlite3 *db;
    char *why = NULL;
    const char *path = arena_printf(test_arena, "%s/touchmark.db", h->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    if (sqlite3_changes(db) == 0)
        fail_msg("%s: changed nothing", sql);
    sqlite3_close(db);
    house_up(h);
}
