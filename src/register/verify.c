/* register_verify(): everything of a log computed again from the store, page by page.
 *
 * One walk over the events: places without gaps, the row's own fields against the text that is committed to, commitment, leaf. The leaves
 * grow a fresh tree, whose full tiles are compared with the stored ones and whose roots with the stored checkpoints, signatures
 * included. What was erased has its erasure (verify_erased.c). Then the certificates (verify_certs.c) and, for the house, the signer's chain (verify_chain.c). */
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "register/internal.h"
#include <inttypes.h>
#include <stdlib.h>

/* ---- stored checkpoints, ascending ---- */

tm_err checkpoint_cursor_next(struct checkpoint_row **ret, struct checkpoint_cursor *c, struct store *s)
{
    *ret = NULL;
    if (c->at == c->n && !c->end) {
        if (!c->arena && !(c->arena = arena_new(EVENT_PAGE_MEMORY)))
            return TM_ENOMEM;
        arena_reset(c->arena);
        struct store_read r = {.arena = c->arena,
                               .kind = READ_CHECKPOINTS,
                               .tenant = c->tenant,
                               .pos_from = c->from,
                               .limit = CHECKPOINT_PAGE};
        TM_TRY(store_read_now(s, &r));
        c->rows = r.checkpoints;
        c->n = r.n;
        c->at = 0;
        c->end = r.n == 0;
        if (r.n)
            c->from = r.checkpoints[r.n - 1].size + 1;
    }
    if (c->at < c->n)
        *ret = &c->rows[c->at++];
    return TM_OK;
}

void checkpoint_cursor_done(struct checkpoint_cursor *c)
{
    arena_free(c->arena);
    *c = (struct checkpoint_cursor){.tenant = c->tenant};
}

/* ---- the walk ---- */

struct walk {
    struct reg *r;
    tenant_id tenant;
    struct diag *diag;
    struct register_report *report;
    struct tree tree;
    struct buf head; /* scratch */
    struct arena *notes;
    struct checkpoint_cursor cursor;
    struct checkpoint_row *next; /* the next one to meet; NULL behind the last */
    uint64_t newest;             /* size of the newest checkpoint: its tiles must be stored */
    uint64_t good;               /* size of the last checkpoint that was right */
    struct erased_events erased;
    uint64_t epoch;
    uint8_t last_root[32], before_epoch[32];
};

#define BROKEN(w, field, ...) diag_fail((w)->diag, TM_ECORRUPT, register_rule, field, __VA_ARGS__)

static tm_err tile_compare(void *ctx, unsigned level, uint64_t index, const uint8_t *hashes)
{
    struct walk *w = ctx;
    uint64_t width = (uint64_t)1 << (MERKLE_TILE_HEIGHT * (level + 1));
    if ((index + 1) * width > w->newest)
        return TM_OK; /* not sequenced yet */
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct store_read r = {
        .arena = a, .kind = READ_TILE, .tenant = w->tenant, .level = level, .pos_from = index};
    tm_err err = store_read_now(w->r->c.store, &r);
    if (err == TM_ENOTFOUND || (err == TM_OK && r.value.n != TREE_TILE_OCTETS)) {
        err = BROKEN(w, "tile", "tile %u/%" PRIu64 " of log %" PRIu32 " is missing or cut short", level,
                     index, w->tenant);
    } else if (err == TM_OK && memcmp(r.value.p, hashes, TREE_TILE_OCTETS) != 0) {
        uint64_t i = 0;
        while (memcmp(r.value.p + i * MERKLE_HASH, hashes + i * MERKLE_HASH, MERKLE_HASH) == 0)
            i++;
        uint64_t covers = width / MERKLE_TILE_WIDTH, first = index * width + i * covers;
        err = BROKEN(w, "tile",
                     "tile %u/%" PRIu64 " of log %" PRIu32 " differs from the leaves at event %" PRIu64 "%s",
                     level, index, w->tenant, first, covers > 1 ? " or one behind it" : "");
    }
    arena_free(a);
    return err;
}

/* The row's place, type, subject and time are what the committed text says, and the text is what the leaf commits to. */
static tm_err event_check(struct walk *w, const struct event_row *e)
{
    uint64_t expected = w->tree.size;
    if (e->pos != expected)
        return BROKEN(w, "event",
                      "event %" PRIu64 " of log %" PRIu32 " is missing: event %" PRIu64
                      " stands in its place",
                      expected, w->tenant, e->pos);
    if (event_is_erased(e) && (e->body.n == 0 || event_is_stub(e->body))) {
        if (strncmp(e->type, "register.", 9) == 0)
            return BROKEN(w, "event",
                          "event %" PRIu64 " of log %" PRIu32 ": an event of the register itself is erased",
                          e->pos, w->tenant);
        w->report->erased++; /* the leaf stands for itself; tiles and checkpoints hold it */
        return erased_note(&w->erased, e);
    }
    uint8_t leaf[MERKLE_HASH];
    TM_TRY(event_leaf(leaf, e->salt, e->body));
    if (e->salt.n != 16 || memcmp(leaf, e->leaf, sizeof leaf) != 0)
        return BROKEN(w, "event", "event %" PRIu64 " of log %" PRIu32 ": salt and body do not give its leaf",
                      e->pos, w->tenant);
    buf_reset(&w->head);
    event_head_build(&w->head, e->type, e->subject, e->time);
    TM_TRY(buf_err(&w->head));
    size_t n = w->head.n;
    if (e->body.n <= n || memcmp(e->body.p, w->head.p, n) != 0 ||
        (e->body.p[n] != ',' && e->body.p[n] != '}'))
        return BROKEN(w, "event",
                      "event %" PRIu64 " of log %" PRIu32
                      ": type, subject or time differ from what was recorded",
                      e->pos, w->tenant);
    return TM_OK;
}

/* The house's log names a tenant's checkpoint: the store must have it with that root. */
static tm_err anchor_check(struct walk *w, const struct event_row *e)
{
    uint64_t tenant, size;
    uint8_t root[32];
    if (e->body.n == 0)
        return TM_OK;
    if (!event_find_number(&tenant, e->body, "tenant") || !event_find_number(&size, e->body, "size") ||
        tenant > UINT32_MAX || !event_find_hash(root, e->body, "root"))
        return BROKEN(w, "event", "event %" PRIu64 ": an anchor without tenant, size and root", e->pos);
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct checkpoint_row row;
    tm_err err = reg_read_checkpoint(&row, a, w->r->c.store, (tenant_id)tenant, size);
    if (err == TM_ENOTFOUND ||
        (err == TM_OK && (row.size != size || memcmp(row.root, root, sizeof root) != 0)))
        err = BROKEN(w, "checkpoint",
                     "event %" PRIu64 " anchors a checkpoint of size %" PRIu64 " of log %" PRIu64
                     " that the store has not, or with another root",
                     e->pos, size, tenant);
    arena_free(a);
    return err;
}

/* Origins may only move on to the next epochs, and each names the root that stood before it. */
static tm_err origin_check(struct walk *w, const struct checkpoint *c)
{
    const char *origin = reg_origin(w->notes, w->r->origin, w->tenant, c->epoch);
    if (!origin)
        return TM_ENOMEM;
    if (strcmp(origin, c->origin) != 0)
        return BROKEN(w, "checkpoint", "checkpoint of size %" PRIu64 ": origin %s, should be %s", c->size,
                      c->origin, origin);
    if (c->epoch < w->epoch || c->epoch > w->r->epoch)
        return BROKEN(w, "checkpoint",
                      "checkpoint of size %" PRIu64 ": epoch %" PRIu64 " after epoch %" PRIu64, c->size,
                      c->epoch, w->epoch);
    if (c->epoch > w->epoch) {
        w->epoch = c->epoch;
        memcpy(w->before_epoch, w->last_root, sizeof w->before_epoch);
    }
    if (c->epoch && memcmp(c->epoch_root, w->before_epoch, sizeof c->epoch_root) != 0)
        return BROKEN(w, "checkpoint",
                      "checkpoint of size %" PRIu64 ": names another root before epoch %" PRIu64, c->size,
                      c->epoch);
    return TM_OK;
}

static tm_err checkpoint_check(struct walk *w, const struct checkpoint_row *row)
{
    struct checkpoint c;
    struct diag why = {0};
    uint8_t root[MERKLE_HASH];
    arena_reset(w->notes);
    tm_err err = checkpoint_parse(&c, w->notes, row->note, &why);
    if (err != TM_OK)
        return BROKEN(w, "checkpoint", "checkpoint of size %" PRIu64 " of log %" PRIu32 ": %s", row->size,
                      w->tenant, why.message);
    if (c.size != row->size || memcmp(c.root, row->root, sizeof c.root) != 0)
        return BROKEN(w, "checkpoint",
                      "checkpoint of size %" PRIu64 " of log %" PRIu32 ": its row and its note differ",
                      row->size, w->tenant);
    TM_TRY(origin_check(w, &c));
    err = note_verify(row->note, c.origin, w->r->public_key, &why);
    if (err != TM_OK)
        return BROKEN(w, "checkpoint", "checkpoint of size %" PRIu64 " of log %" PRIu32 ": %s", row->size,
                      w->tenant, why.message);
    TM_TRY(tree_root(root, &w->tree));
    if (memcmp(root, row->root, sizeof root) != 0)
        return BROKEN(w, "checkpoint",
                      "checkpoint of size %" PRIu64 " of log %" PRIu32
                      ": the events give another root; look between event"
                      " %" PRIu64 " and event %" PRIu64,
                      row->size, w->tenant, w->good, row->size - 1);
    memcpy(w->last_root, root, sizeof root);
    w->good = row->size;
    w->report->checkpoints++;
    return TM_OK;
}

static tm_err event_take(struct walk *w, const struct event_row *e)
{
    TM_TRY(event_check(w, e));
    TM_TRY(tree_append(&w->tree, e->leaf, tile_compare, w));
    w->report->events++;
    if (strcmp(e->type, "certificate.issued") == 0)
        w->report->certificates++;
    if (w->tenant == TENANT_HOUSE && strcmp(e->type, "register.anchored") == 0)
        TM_TRY(anchor_check(w, e));
    if (strcmp(e->type, "register.erased") == 0)
        TM_TRY(erased_told(&w->erased, e->body));
    if (w->next && w->next->size == w->tree.size) {
        TM_TRY(checkpoint_check(w, w->next));
        TM_TRY(checkpoint_cursor_next(&w->next, &w->cursor, w->r->c.store));
    }
    return TM_OK;
}

static tm_err walk_page(struct walk *w, struct arena *page, uint64_t size)
{
    arena_reset(page);
    uint64_t left = size - w->tree.size;
    struct store_read r = {.arena = page,
                           .kind = READ_EVENTS,
                           .tenant = w->tenant,
                           .pos_from = w->tree.size,
                           .limit = left < READ_PAGE ? (size_t)left : READ_PAGE};
    tm_err err = store_read_now(w->r->c.store, &r);
    if (err != TM_OK && w->diag)
        *w->diag = r.diag;
    TM_TRY(err);
    if (r.n == 0)
        return BROKEN(w, "event", "event %" PRIu64 " of log %" PRIu32 " is missing", w->tree.size, w->tenant);
    for (size_t i = 0; i < r.n; i++)
        TM_TRY(event_take(w, &r.events[i]));
    return TM_OK;
}

static tm_err walk_run(struct walk *w, struct arena *page, void (*progress)(void *arg, int percent),
                       void *arg)
{
    uint64_t size;
    struct checkpoint_row row;
    /* The checkpoint before the size: what it covers is durable, so the size cannot honestly be smaller. */
    tm_err err = reg_read_checkpoint(&row, page, w->r->c.store, w->tenant, 0);
    if (err == TM_OK)
        w->newest = row.size;
    else if (err != TM_ENOTFOUND)
        return err;
    TM_TRY(reg_read_log_size(&size, w->r->c.store, w->tenant));
    if (size < w->newest)
        size = w->newest; /* so that the walk names the first event that is missing */
    TM_TRY(merkle_empty_root(w->last_root));
    TM_TRY(checkpoint_cursor_next(&w->next, &w->cursor, w->r->c.store));

    int said = -1;
    while (w->tree.size < size) {
        TM_TRY(walk_page(w, page, size));
        int percent = (int)(w->tree.size * 100 / size);
        if (progress && percent != said)
            progress(arg, said = percent);
    }
    if (w->next && w->next->size <= size)
        return BROKEN(w, "checkpoint",
                      "a checkpoint of size %" PRIu64 " of log %" PRIu32 " stands out of order",
                      w->next->size, w->tenant);
    uint64_t untold;
    if (erased_untold(&untold, &w->erased))
        return BROKEN(w, "event",
                      "event %" PRIu64 " of log %" PRIu32
                      " has no contents, and no later event says that it was erased",
                      untold, w->tenant);
    w->report->waiting = size - w->newest;
    return TM_OK;
}

static tm_err walk(struct register_report *report, struct reg *r, tenant_id tenant,
                   void (*progress)(void *arg, int percent), void *arg, struct diag *diag)
{
    struct walk *w = calloc(1, sizeof *w);
    struct arena *page = arena_new(EVENT_PAGE_MEMORY);
    tm_err err = TM_ENOMEM;
    if (w && page && (w->notes = arena_new(0))) {
        w->r = r;
        w->tenant = tenant;
        w->diag = diag;
        w->report = report;
        w->cursor.tenant = tenant;
        buf_init(&w->head, EVENT_BODY_MAX);
        err = walk_run(w, page, progress, arg);
        buf_done(&w->head);
        tree_done(&w->tree);
        erased_done(&w->erased);
        checkpoint_cursor_done(&w->cursor);
        arena_free(w->notes);
    }
    arena_free(page);
    free(w);
    return err;
}

tm_err register_verify(struct register_report *ret, struct reg *r, tenant_id tenant,
                       void (*progress)(void *arg, int percent), void *arg, struct diag *diag)
{
    struct register_report report = {0};
    TM_TRY(walk(&report, r, tenant, progress, arg, diag));
    TM_TRY(verify_certificates(r, tenant, report.certificates, diag));
    if (tenant == TENANT_HOUSE)
        TM_TRY(verify_chain(&report, r, diag));
    *ret = report;
    return TM_OK;
}
