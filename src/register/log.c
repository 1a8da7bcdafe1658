/* The state of each log, and the reads that it is made of. */
#include "base/arena.h"
#include "base/buf.h"
#include "register/internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const char register_rule[] = "register";

/* ---- reads ---- */

tm_err reg_read_checkpoint(struct checkpoint_row *ret, struct arena *a, struct store *s, tenant_id tenant,
                           uint64_t size)
{
    struct store_read r = {.arena = a, .kind = READ_CHECKPOINT, .tenant = tenant, .pos_from = size};
    TM_TRY(store_read_now(s, &r));
    if (r.n == 0)
        return TM_ENOTFOUND;
    *ret = r.checkpoints[0];
    return TM_OK;
}

tm_err reg_read_meta(struct slice *ret, struct arena *a, struct store *s, const char *name)
{
    struct store_read r = {.arena = a, .kind = READ_META, .tenant = TENANT_HOUSE, .name = name};
    TM_TRY(store_read_now(s, &r));
    *ret = r.value;
    return TM_OK;
}

tm_err reg_read_log_size(uint64_t *ret, struct store *s, tenant_id tenant)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct store_read r = {.arena = a, .kind = READ_LOG_SIZE, .tenant = tenant};
    tm_err err = store_read_now(s, &r);
    if (err == TM_OK)
        *ret = r.count;
    arena_free(a);
    return err;
}

char *reg_origin(struct arena *a, const char *base, tenant_id tenant, uint64_t epoch)
{
    char log[16] = "", suffix[32] = "";
    if (tenant != TENANT_HOUSE)
        snprintf(log, sizeof log, "/%" PRIu32, tenant);
    if (epoch)
        snprintf(suffix, sizeof suffix, "#epoch-%" PRIu64, epoch);
    return arena_printf(a, "%s%s%s", base, log, suffix);
}

/* ---- tiles ---- */

static tm_err leaves_read(void *ctx, uint64_t from, size_t n, uint8_t *out)
{
    struct reg_tiles *t = ctx;
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct store_read r = {
        .arena = a, .kind = READ_LEAVES, .tenant = t->tenant, .pos_from = from, .limit = n};
    tm_err err = store_read_now(t->store, &r);
    if (err == TM_OK && r.n != n)
        err = TM_ECORRUPT;
    if (err == TM_OK)
        memcpy(out, r.leaves, n * MERKLE_HASH);
    arena_free(a);
    return err;
}

static tm_err tile_read(void *ctx, unsigned level, uint64_t index, uint8_t out[TREE_TILE_OCTETS])
{
    struct reg_tiles *t = ctx;
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct store_read r = {
        .arena = a, .kind = READ_TILE, .tenant = t->tenant, .level = level, .pos_from = index};
    tm_err err = store_read_now(t->store, &r);
    if (err == TM_OK && r.value.n != TREE_TILE_OCTETS)
        err = TM_ECORRUPT;
    if (err == TM_OK)
        memcpy(out, r.value.p, TREE_TILE_OCTETS);
    arena_free(a);
    if (err != TM_ENOTFOUND)
        return err;

    /* Not stored yet: a tile of the pass under way, or one after a restore of the events alone. */
    if (level == 0)
        return leaves_read(t, index * MERKLE_TILE_WIDTH, MERKLE_TILE_WIDTH, out);
    uint8_t *below = malloc(TREE_TILE_OCTETS);
    if (!below)
        return TM_ENOMEM;
    err = TM_OK;
    for (unsigned i = 0; i < MERKLE_TILE_WIDTH && err == TM_OK; i++) {
        err = tile_read(t, level - 1, index * MERKLE_TILE_WIDTH + i, below);
        if (err == TM_OK)
            err = tree_fold(out + (size_t)i * MERKLE_HASH, below, MERKLE_TILE_HEIGHT);
    }
    free(below);
    return err;
}

void reg_tile_reader(struct tile_reader *ret, struct reg_tiles *t)
{
    *ret = (struct tile_reader){.tile = tile_read, .leaves = leaves_read, .ctx = t};
}

/* ---- logs ---- */

static tm_err log_load(struct reg_log *log, struct reg *r, struct arena *a, struct diag *diag)
{
    struct checkpoint_row row;
    tm_err err = reg_read_checkpoint(&row, a, r->c.store, log->tenant, 0);
    if (err == TM_ENOTFOUND)
        return merkle_empty_root(log->root);
    TM_TRY(err);

    struct checkpoint c;
    struct diag why = {0};
    if (checkpoint_parse(&c, a, row.note, &why) != TM_OK || c.size != row.size ||
        memcmp(c.root, row.root, sizeof c.root) != 0)
        return diag_fail(diag, TM_ECORRUPT, register_rule, "checkpoint",
                         "the newest checkpoint of log %" PRIu32
                         " is not what its row says; restore from a backup",
                         log->tenant);
    struct reg_tiles tiles = {.store = r->c.store, .tenant = log->tenant};
    struct tile_reader reader;
    reg_tile_reader(&reader, &tiles);
    err = tree_load(&log->tree, row.size, &reader);
    uint8_t root[MERKLE_HASH];
    if (err == TM_OK)
        err = tree_root(root, &log->tree);
    if (err == TM_ECORRUPT || (err == TM_OK && memcmp(root, row.root, sizeof root) != 0)) {
        tree_done(&log->tree);
        return diag_fail(diag, TM_ECORRUPT, register_rule, "tile",
                         "the stored leaves of log %" PRIu32
                         " do not give the root of its checkpoint of size %" PRIu64
                         "; run `touchmark register verify`",
                         log->tenant, row.size);
    }
    memcpy(log->root, row.root, sizeof log->root);
    log->has_checkpoint = true;
    log->epoch = c.epoch;
    memcpy(log->epoch_root, c.epoch_root, sizeof log->epoch_root);
    return err;
}

tm_err reg_log_get(struct reg_log **ret, struct reg *r, tenant_id tenant, struct diag *diag)
{
    for (struct reg_log *log = r->logs; log; log = log->next)
        if (log->tenant == tenant) {
            *ret = log;
            return TM_OK;
        }
    struct reg_log *log = calloc(1, sizeof *log);
    struct arena *a = arena_new(0);
    tm_err err = TM_ENOMEM;
    if (log && a) {
        log->tenant = tenant;
        err = log_load(log, r, a, diag);
    }
    arena_free(a);
    if (err != TM_OK) {
        free(log);
        return err;
    }
    log->next = r->logs;
    r->logs = log;
    *ret = log;
    return TM_OK;
}

tm_err reg_log_current(struct reg_log **ret, struct reg *r, tenant_id tenant, struct diag *diag)
{
    struct reg_log *log;
    TM_TRY(reg_log_get(&log, r, tenant, diag));
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct checkpoint_row row;
    tm_err err = reg_read_checkpoint(&row, a, r->c.store, tenant, 0);
    if (err == TM_OK && (!log->has_checkpoint || row.size != log->tree.size)) {
        tree_done(&log->tree);
        log->has_checkpoint = false;
        err = log_load(log, r, a, diag);
    }
    arena_free(a);
    if (err == TM_ENOTFOUND && !log->has_checkpoint)
        return diag_fail(diag, TM_ENOTFOUND, register_rule, "checkpoint",
                         "log %" PRIu32 " has no checkpoint yet", tenant);
    *ret = log;
    return err;
}
