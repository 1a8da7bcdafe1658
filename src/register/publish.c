/* What the register shows: checkpoints, tiles, its key, the events as NDJSON. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "register/internal.h"
#include <inttypes.h>

enum { EXPORT_LINE_MAX = 8 << 20 };

tm_err register_checkpoint(struct slice *ret_note, struct arena *a, struct reg *r, tenant_id tenant)
{
    struct checkpoint_row row;
    TM_TRY(reg_read_checkpoint(&row, a, r->c.store, tenant, 0));
    *ret_note = row.note;
    return TM_OK;
}

tm_err register_tile(struct slice *ret, struct arena *a, struct reg *r, tenant_id tenant, unsigned level,
                     uint64_t index, unsigned width)
{
    if (level >= TREE_ROWS || width > MERKLE_TILE_WIDTH || index > UINT64_MAX / MERKLE_TILE_WIDTH - 1)
        return TM_ENOTFOUND;
    size_t n = width ? width : MERKLE_TILE_WIDTH;
    uint8_t *out = arena_alloc(a, TREE_TILE_OCTETS);
    if (!out)
        return TM_ENOMEM;
    pthread_mutex_lock(&r->lock);
    struct reg_log *log;
    tm_err err = reg_log_current(&log, r, tenant, NULL);
    /* Only what a checkpoint covers is shown: index * 256 + n hashes of that level. */
    if (err == TM_OK && index * MERKLE_TILE_WIDTH + n > log->tree.size >> (MERKLE_TILE_HEIGHT * level))
        err = TM_ENOTFOUND;
    bool edge = err == TM_OK && index == log->tree.size >> (MERKLE_TILE_HEIGHT * (level + 1));
    if (edge)
        memcpy(out, log->tree.rows[level], n * MERKLE_HASH);
    pthread_mutex_unlock(&r->lock);
    TM_TRY(err);
    if (!edge) {
        struct reg_tiles tiles = {.store = r->c.store, .tenant = tenant};
        struct tile_reader reader;
        reg_tile_reader(&reader, &tiles);
        TM_TRY(reader.tile(reader.ctx, level, index, out));
    }
    *ret = slice_of(out, n * MERKLE_HASH);
    return TM_OK;
}

tm_err register_vkey(struct buf *out, struct reg *r)
{
    note_vkey_build(out, r->origin, r->public_key);
    return buf_err(out);
}

/* Keys sorted, as everywhere: body, erased, leaf, pos, salt, subject, time, type. The body is the exact text that the leaf commits
 * to, hence a string; of an erased event what is left. */
static void line_build(struct buf *b, const struct event_row *e)
{
    bool erased = event_is_erased(e);
    buf_puts(b, "{");
    if (e->body.n) {
        buf_puts(b, "\"body\":");
        buf_put_json_string(b, e->body);
        buf_puts(b, ",");
    }
    buf_printf(b, "\"erased\":%s,\"leaf\":\"", erased ? "true" : "false");
    buf_put_base64(b, SLICE_ARR(e->leaf), BASE64_STD, 0);
    buf_printf(b, "\",\"pos\":%" PRIu64, e->pos);
    if (!erased) {
        buf_puts(b, ",\"salt\":\"");
        buf_put_base64(b, e->salt, BASE64_STD, 0);
        buf_puts(b, "\"");
    }
    buf_puts(b, ",\"subject\":");
    buf_put_json_string(b, slice_str(e->subject));
    buf_printf(b, ",\"time\":%" PRId64 ",\"type\":", e->time);
    buf_put_json_string(b, slice_str(e->type));
    buf_puts(b, "}\n");
}

tm_err register_export(struct reg *r, tenant_id tenant, tm_err (*write)(void *arg, struct slice line),
                       void *arg, struct diag *diag)
{
    struct arena *a = arena_new(EVENT_PAGE_MEMORY);
    if (!a)
        return TM_ENOMEM;
    struct buf line;
    buf_init(&line, EXPORT_LINE_MAX);
    tm_err err = TM_OK;
    for (uint64_t pos = 0; err == TM_OK;) {
        arena_reset(a);
        struct store_read read = {
            .arena = a, .kind = READ_EVENTS, .tenant = tenant, .pos_from = pos, .limit = READ_PAGE};
        err = store_read_now(r->c.store, &read);
        if (err != TM_OK && diag)
            *diag = read.diag;
        if (err != TM_OK || read.n == 0)
            break;
        for (size_t i = 0; err == TM_OK && i < read.n; i++) {
            buf_reset(&line);
            line_build(&line, &read.events[i]);
            err = buf_err(&line);
            if (err == TM_OK)
                err = write(arg, buf_slice(&line));
        }
        pos = read.events[read.n - 1].pos + 1;
    }
    buf_done(&line);
    arena_free(a);
    return err;
}
