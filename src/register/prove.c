/* Proof documents made from the store; proof.c checks them. docs/register.md has the format. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "register/internal.h"
#include <inttypes.h>
#include <stdlib.h>

static tm_err event_read(struct event_row *ret, struct arena *a, struct reg *r, tenant_id tenant,
                         uint64_t pos, struct diag *diag)
{
    struct store_read read = {.arena = a, .kind = READ_EVENTS, .tenant = tenant, .pos_from = pos, .limit = 1};
    TM_TRY(store_read_now(r->c.store, &read));
    if (read.n == 0 || read.events[0].pos != pos)
        return diag_fail(diag, TM_ENOTFOUND, register_rule, "pos", "log %" PRIu32 " has no event %" PRIu64,
                         tenant, pos);
    *ret = read.events[0];
    return TM_OK;
}

static void put_base64_string(struct buf *b, struct slice s)
{
    buf_putc(b, '"');
    buf_put_base64(b, s, BASE64_STD, 0);
    buf_putc(b, '"');
}

/* One log's part, without its closing bracket; keys sorted: checkpoint, event|leaf, index, proof, salt. `anchor` goes in front. */
static tm_err part_build(struct buf *out, struct arena *a, struct reg *r, struct reg_log *log, uint64_t pos,
                         struct diag *diag)
{
    struct event_row event;
    struct checkpoint_row checkpoint;
    TM_TRY(event_read(&event, a, r, log->tenant, pos, diag));
    TM_TRY(reg_read_checkpoint(&checkpoint, a, r->c.store, log->tenant, log->tree.size));

    struct reg_tiles tiles = {.store = r->c.store, .tenant = log->tenant};
    struct tile_reader reader;
    reg_tile_reader(&reader, &tiles);
    struct tree_source source = {.tree = &log->tree, .reader = &reader};
    struct merkle_source s = {.subtree = tree_subtree, .ctx = &source};
    struct slice proof;
    tm_err err = merkle_prove_inclusion(&proof, a, &s, pos, log->tree.size);
    tree_source_done(&source);
    TM_TRY(err);

    bool erased = event_is_erased(&event);
    buf_puts(out, "\"checkpoint\":");
    buf_put_json_string(out, checkpoint.note);
    if (!erased) {
        buf_puts(out, ",\"event\":");
        buf_put_json_string(out, event.body);
    }
    buf_printf(out, ",\"index\":%" PRIu64, pos);
    if (erased) {
        buf_puts(out, ",\"leaf\":");
        put_base64_string(out, SLICE_ARR(event.leaf));
    }
    buf_puts(out, ",\"proof\":[");
    for (size_t i = 0; i < proof.n; i += MERKLE_HASH) {
        if (i)
            buf_putc(out, ',');
        put_base64_string(out, slice_of(proof.p + i, MERKLE_HASH));
    }
    buf_puts(out, "]");
    if (!erased) {
        buf_puts(out, ",\"salt\":");
        put_base64_string(out, event.salt);
    }
    return buf_err(out);
}

/* Where in the house's log the newest checkpoint of a tenant's log is anchored. META holds its size and a place not far before it. */
static tm_err anchor_find(uint64_t *ret_pos, struct arena *a, struct reg *r, const struct reg_log *log,
                          struct diag *diag)
{
    const char *name = arena_printf(a, "register/anchor/%" PRIu32, log->tenant);
    const char *subject = arena_printf(a, "log/%" PRIu32, log->tenant);
    struct slice value;
    if (!name || !subject)
        return TM_ENOMEM;
    tm_err err = reg_read_meta(&value, a, r->c.store, name);
    if (err != TM_OK)
        return diag_fail(diag, err == TM_ENOTFOUND ? TM_ECORRUPT : err, register_rule, "anchor",
                         "the checkpoint of log %" PRIu32 " has no anchor", log->tenant);
    const char *text = arena_strndup(a, (const char *)value.p, value.n);
    if (!text)
        return TM_ENOMEM;
    char *end;
    uint64_t size = strtoull(text, &end, 10), from = strtoull(end, NULL, 10);
    struct store_read read = {.arena = a,
                              .kind = READ_EVENTS,
                              .tenant = TENANT_HOUSE,
                              .name = "register.anchored",
                              .text = subject,
                              .pos_from = from,
                              .limit = 8};
    TM_TRY(store_read_now(r->c.store, &read));
    for (size_t i = 0; i < read.n; i++) {
        uint64_t anchored;
        if (size == log->tree.size && event_find_number(&anchored, read.events[i].body, "size") &&
            anchored == size) {
            *ret_pos = read.events[i].pos;
            return TM_OK;
        }
    }
    return diag_fail(diag, TM_EPENDING, register_rule, "anchor",
                     "log %" PRIu32 " is being sequenced; try again in a second", log->tenant);
}

static tm_err prove_locked(struct buf *out, struct arena *a, struct reg *r, tenant_id tenant, uint64_t pos,
                           struct diag *diag)
{
    struct reg_log *log;
    uint64_t durable;
    TM_TRY(reg_read_log_size(&durable, r->c.store, tenant));
    if (pos >= durable)
        return diag_fail(diag, TM_ENOTFOUND, register_rule, "pos", "log %" PRIu32 " has no event %" PRIu64,
                         tenant, pos);
    TM_TRY(reg_log_current(&log, r, tenant, diag));
    if (pos >= log->tree.size)
        return diag_fail(diag, TM_EPENDING, register_rule, "pos",
                         "event %" PRIu64 " is not under a checkpoint yet; try again in a second", pos);
    buf_putc(out, '{');
    if (tenant != TENANT_HOUSE) {
        uint64_t anchor;
        struct reg_log *house;
        TM_TRY(anchor_find(&anchor, a, r, log, diag));
        TM_TRY(reg_log_current(&house, r, TENANT_HOUSE, diag));
        if (anchor >= house->tree.size)
            return diag_fail(diag, TM_EPENDING, register_rule, "anchor",
                             "log %" PRIu32 " is being anchored; try again in a second", tenant);
        buf_puts(out, "\"anchor\":{");
        TM_TRY(part_build(out, a, r, house, anchor, diag));
        buf_puts(out, "},");
    }
    TM_TRY(part_build(out, a, r, log, pos, diag));
    buf_printf(out, ",\"format\":\"%s\"}\n", register_proof_format);
    return buf_err(out);
}

tm_err register_prove(struct buf *out, struct reg *r, tenant_id tenant, uint64_t pos, struct diag *diag)
{
    struct arena *a = arena_new(PROOF_MEMORY);
    if (!a)
        return TM_ENOMEM;
    struct buf b;
    buf_init(&b, PROOF_DOCUMENT_MAX);
    pthread_mutex_lock(&r->lock);
    tm_err err = prove_locked(&b, a, r, tenant, pos, diag);
    pthread_mutex_unlock(&r->lock);
    if (err == TM_OK) {
        buf_put_slice(out, buf_slice(&b));
        err = buf_err(out);
    }
    buf_done(&b);
    arena_free(a);
    return err;
}
