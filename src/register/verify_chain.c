/* The signer's chain (keys/signer.h): h(n) = SHA-256(h(n-1) || kind || SHA-256(signed bytes)), computed again from every place that records
 * a signature, and compared with the "signer-chain" line of every checkpoint of the house.
 *
 * Sources are the events of every log that carry "chain", "kind" and "tbs", and the checkpoint rows of every log. Each is read forward
 * once; within one the numbers are nearly in order, so a ring of the next RING numbers joins them: a source that runs ahead of the
 * ring waits. When all wait or have ended and the next number is still open, it is searched for in everything, and only then
 * missing; unless a later epoch says from where the chain goes on after a restore. */
#include "base/arena.h"
#include "base/digest.h"
#include "keys/envelope.h"
#include "register/internal.h"
#include <inttypes.h>
#include <stdlib.h>

enum { RING = 1 << 18, SEARCHES_MAX = 64, RESTARTS_MAX = 256, SOURCES_MAX = 1 << 17 };

struct chain_entry {
    uint64_t seq;
    uint8_t kind;
    uint8_t tbs[32];
};

struct source {
    tenant_id tenant;
    bool checkpoints; /* else events */
    uint64_t from;    /* where the next page begins */
    bool end;
    struct chain_entry *v; /* READ_PAGE */
    size_t n, at;
    uint64_t last; /* highest number it has given */
};

/* What a restore left: the chain goes on behind (seq, hash). */
struct restart {
    uint64_t pos, seq;
    uint8_t hash[32];
};

struct chainer {
    struct reg *r;
    struct diag *diag;
    struct register_report *report;
    struct arena *page, *note;
    struct source *sources;
    size_t n_sources;
    struct chain_entry *ring; /* number s stands at s % RING; seq 0: open */
    uint64_t seq;             /* computed up to here */
    uint8_t hash[32];
    struct checkpoint_cursor lines;
    bool has_line;
    uint64_t line_size, line_seq;
    uint8_t line_hash[32];
    struct restart restarts[RESTARTS_MAX];
    size_t n_restarts;
    unsigned searches;
};

#define BROKEN(c, field, ...) diag_fail((c)->diag, TM_ECORRUPT, register_rule, field, __VA_ARGS__)

/* ---- entries out of rows ---- */

static bool entry_from_event(struct chain_entry *ret, const struct event_row *e)
{
    struct slice kind;
    if (!event_find_number(&ret->seq, e->body, "chain") || ret->seq == 0 ||
        !event_find_string(&kind, e->body, "kind") || !event_find_hash(ret->tbs, e->body, "tbs"))
        return false;
    for (unsigned k = 0; k < SIGN_KIND_COUNT; k++)
        if (slice_eq_str(kind, sign_kind_names[k])) {
            ret->kind = (uint8_t)k;
            return true;
        }
    return false;
}

static tm_err entry_from_checkpoint(struct chain_entry *ret, struct chainer *c,
                                    const struct checkpoint_row *row)
{
    struct checkpoint cp;
    arena_reset(c->note);
    tm_err err = checkpoint_parse(&cp, c->note, row->note, NULL);
    if (err != TM_OK)
        return BROKEN(c, "checkpoint", "the checkpoint of size %" PRIu64 " is unreadable", row->size);
    ret->seq = row->chain_seq;
    ret->kind = SIGN_CHECKPOINT;
    return sha256(ret->tbs, cp.body);
}

static tm_err restart_add(struct chainer *c, const struct event_row *e)
{
    struct restart s = {.pos = e->pos};
    if (strcmp(e->type, "register.epoch") != 0 || !event_find_number(&s.seq, e->body, "chain_from") ||
        !event_find_hash(s.hash, e->body, "chain_hash"))
        return TM_OK;
    if (c->n_restarts == RESTARTS_MAX)
        return BROKEN(c, "event", "more than %d restores", RESTARTS_MAX);
    c->restarts[c->n_restarts++] = s;
    return TM_OK;
}

/* ---- sources ---- */

static tm_err page_events(struct chainer *c, struct source *s, bool restarts)
{
    struct store_read r = {
        .arena = c->page, .kind = READ_EVENTS, .tenant = s->tenant, .pos_from = s->from, .limit = READ_PAGE};
    TM_TRY(store_read_now(c->r->c.store, &r));
    s->end = r.n == 0;
    for (size_t i = 0; i < r.n; i++) {
        s->from = r.events[i].pos + 1;
        if (entry_from_event(&s->v[s->n], &r.events[i]))
            s->n++;
        if (restarts && s->tenant == TENANT_HOUSE)
            TM_TRY(restart_add(c, &r.events[i]));
    }
    return TM_OK;
}

static tm_err page_checkpoints(struct chainer *c, struct source *s)
{
    struct store_read r = {.arena = c->page,
                           .kind = READ_CHECKPOINTS,
                           .tenant = s->tenant,
                           .pos_from = s->from,
                           .limit = CHECKPOINT_PAGE};
    TM_TRY(store_read_now(c->r->c.store, &r));
    s->end = r.n == 0;
    for (size_t i = 0; i < r.n; i++) {
        s->from = r.checkpoints[i].size + 1;
        if (r.checkpoints[i].chain_seq)
            TM_TRY(entry_from_checkpoint(&s->v[s->n++], c, &r.checkpoints[i]));
    }
    return TM_OK;
}

/* The next entry of a source, NULL at its end. It stays until it is taken (s->at++). */
static tm_err source_peek(struct chain_entry **ret, struct chainer *c, struct source *s, bool restarts)
{
    if (!s->v && !(s->v = calloc(READ_PAGE, sizeof *s->v)))
        return TM_ENOMEM;
    while (s->at == s->n && !s->end) {
        arena_reset(c->page);
        s->n = s->at = 0;
        if (s->checkpoints)
            TM_TRY(page_checkpoints(c, s));
        else
            TM_TRY(page_events(c, s, restarts));
    }
    *ret = s->at < s->n ? &s->v[s->at] : NULL;
    return TM_OK;
}

static tm_err source_add(struct chainer *c, tenant_id tenant)
{
    for (size_t i = 0; i < c->n_sources; i++)
        if (c->sources[i].tenant == tenant)
            return TM_OK;
    if (c->n_sources + 2 > SOURCES_MAX)
        return BROKEN(c, "event", "more than %d logs", SOURCES_MAX / 2);
    struct source *v = realloc(c->sources, (c->n_sources + 2) * sizeof *v);
    if (!v)
        return TM_ENOMEM;
    c->sources = v;
    v[c->n_sources++] = (struct source){.tenant = tenant};
    v[c->n_sources++] = (struct source){.tenant = tenant, .checkpoints = true};
    return TM_OK;
}

/* Whose logs there are, the anchors in the house's log say. */
static tm_err sources_find(struct chainer *c)
{
    TM_TRY(source_add(c, TENANT_HOUSE));
    uint64_t pos = 0;
    for (bool more = true; more;) {
        arena_reset(c->page);
        struct store_read r = {.arena = c->page,
                               .kind = READ_EVENTS,
                               .tenant = TENANT_HOUSE,
                               .name = "register.anchored",
                               .pos_from = pos,
                               .limit = READ_PAGE};
        TM_TRY(store_read_now(c->r->c.store, &r));
        for (size_t i = 0; i < r.n; i++) {
            uint64_t tenant;
            if (event_find_number(&tenant, r.events[i].body, "tenant") && tenant <= UINT32_MAX)
                TM_TRY(source_add(c, (tenant_id)tenant));
        }
        pos = r.pos_next;
        more = r.more;
    }
    return TM_OK;
}

/* ---- the chain ---- */

static tm_err line_next(struct chainer *c)
{
    struct checkpoint_row *row;
    struct checkpoint cp;
    c->has_line = false;
    TM_TRY(checkpoint_cursor_next(&row, &c->lines, c->r->c.store));
    if (!row)
        return TM_OK;
    arena_reset(c->note);
    if (checkpoint_parse(&cp, c->note, row->note, NULL) != TM_OK || !cp.has_chain)
        return BROKEN(c, "checkpoint", "the house's checkpoint of size %" PRIu64 " has no signer-chain line",
                      row->size);
    c->has_line = true;
    c->line_size = row->size;
    c->line_seq = cp.chain_seq;
    memcpy(c->line_hash, cp.chain_hash, sizeof c->line_hash);
    return TM_OK;
}

static tm_err lines_compare(struct chainer *c)
{
    while (c->has_line && c->line_seq <= c->seq) {
        if (c->line_seq < c->seq)
            return BROKEN(c, "checkpoint",
                          "the house's checkpoint of size %" PRIu64
                          " goes back in the signer's chain, to %" PRIu64,
                          c->line_size, c->line_seq);
        if (memcmp(c->line_hash, c->hash, sizeof c->hash) != 0)
            return BROKEN(c, "signer-chain",
                          "the signatures recorded between %" PRIu64 " and %" PRIu64
                          " do not give the chain that the house's checkpoint of size %" PRIu64 " names",
                          c->report->chain_seq + 1, c->line_seq, c->line_size);
        c->report->chain_seq = c->seq;
        TM_TRY(line_next(c));
    }
    return TM_OK;
}

static tm_err chain_step(struct chainer *c, const struct chain_entry *e)
{
    struct slice parts[] = {SLICE_ARR(c->hash), slice_of(&e->kind, 1), SLICE_ARR(e->tbs)};
    TM_TRY(sha256_many(c->hash, parts, 3));
    c->seq = e->seq;
    return lines_compare(c);
}

static tm_err ring_put(struct chainer *c, const struct chain_entry *e)
{
    if (e->seq <= c->seq)
        return TM_OK;
    struct chain_entry *slot = &c->ring[e->seq % RING];
    if (slot->seq == 0)
        *slot = *e;
    else if (slot->kind != e->kind || memcmp(slot->tbs, e->tbs, sizeof e->tbs) != 0)
        return BROKEN(c, "signer-chain", "signature %" PRIu64 " is recorded twice, as two different ones",
                      e->seq);
    return TM_OK;
}

/* Take entries as far as they go without a gap. */
static tm_err ring_consume(struct chainer *c)
{
    for (;;) {
        struct chain_entry *slot = &c->ring[(c->seq + 1) % RING];
        if (slot->seq != c->seq + 1)
            return TM_OK;
        struct chain_entry e = *slot;
        slot->seq = 0;
        TM_TRY(chain_step(c, &e));
    }
}

/* Feed the ring from the source that is furthest behind. *ret_moved false: all have ended or run ahead of the ring. */
static tm_err ring_feed(struct chainer *c, bool *ret_moved)
{
    struct source *best = NULL;
    for (size_t i = 0; i < c->n_sources; i++) {
        struct source *s = &c->sources[i];
        struct chain_entry *e;
        if (best && s->last >= best->last)
            continue;
        TM_TRY(source_peek(&e, c, s, true));
        if (e && e->seq - c->seq <= RING) /* those already behind wrap around: they are let through below */
            best = s;
        else if (e && e->seq <= c->seq)
            best = s;
    }
    *ret_moved = best != NULL;
    /* A run of one page: to choose anew for each entry would look at every source for each. */
    while (best && best->at < best->n &&
           (best->v[best->at].seq <= c->seq || best->v[best->at].seq - c->seq <= RING)) {
        const struct chain_entry *e = &best->v[best->at++];
        if (e->seq > best->last)
            best->last = e->seq;
        TM_TRY(ring_put(c, e));
    }
    return TM_OK;
}

/* Look through everything for one number that is recorded much later than its neighbours. */
static tm_err chain_search(struct chainer *c, uint64_t seq, bool *ret_found)
{
    *ret_found = false;
    if (++c->searches > SEARCHES_MAX)
        return BROKEN(c, "signer-chain",
                      "signature %" PRIu64 " and many others are recorded far from their place", seq);
    for (size_t i = 0; i < c->n_sources && !*ret_found; i++) {
        struct source s = {.tenant = c->sources[i].tenant, .checkpoints = c->sources[i].checkpoints};
        struct chain_entry *e;
        tm_err err;
        while ((err = source_peek(&e, c, &s, false)) == TM_OK && e && !*ret_found) {
            s.at++;
            if (e->seq == seq) {
                *ret_found = true;
                err = ring_put(c, e);
                break;
            }
        }
        free(s.v);
        TM_TRY(err);
    }
    return TM_OK;
}

/* A restore lost records, and the epoch event behind it says where the chain stood: go on from there. Only for checkpoints behind that event. */
static tm_err chain_restart(struct chainer *c, bool *ret_done)
{
    *ret_done = false;
    for (size_t i = 0; i < c->n_restarts && !*ret_done; i++) {
        const struct restart *s = &c->restarts[i];
        if (s->seq <= c->seq || s->pos >= c->line_size)
            continue;
        for (size_t k = 0; k < RING; k++)
            if (c->ring[k].seq <= s->seq)
                c->ring[k].seq = 0;
        c->report->chain_gaps += s->seq - c->seq;
        c->seq = s->seq;
        memcpy(c->hash, s->hash, sizeof c->hash);
        *ret_done = true;
        TM_TRY(lines_compare(c));
    }
    return TM_OK;
}

static tm_err chain_run(struct chainer *c)
{
    TM_TRY(sources_find(c));
    TM_TRY(line_next(c));
    TM_TRY(lines_compare(c)); /* checkpoints from before the first signature */
    while (c->has_line) {
        bool moved, found;
        TM_TRY(ring_feed(c, &moved));
        uint64_t before = c->seq;
        TM_TRY(ring_consume(c));
        if (moved || c->seq > before)
            continue;
        TM_TRY(chain_search(c, c->seq + 1, &found));
        if (found)
            continue;
        TM_TRY(chain_restart(c, &found));
        if (!found)
            return BROKEN(c, "signer-chain",
                          "signature %" PRIu64 " of the signer is recorded nowhere; the house's checkpoint of"
                          " size %" PRIu64 " covers it",
                          c->seq + 1, c->line_size);
    }
    return TM_OK;
}

tm_err verify_chain(struct register_report *report, struct reg *r, struct diag *diag)
{
    struct chainer *c = calloc(1, sizeof *c);
    if (!c)
        return TM_ENOMEM;
    c->r = r;
    c->diag = diag;
    c->report = report;
    c->lines.tenant = TENANT_HOUSE;
    c->page = arena_new(EVENT_PAGE_MEMORY);
    c->note = arena_new(0);
    c->ring = calloc(RING, sizeof *c->ring);
    tm_err err = c->page && c->note && c->ring ? chain_run(c) : TM_ENOMEM;
    for (size_t i = 0; i < c->n_sources; i++)
        free(c->sources[i].v);
    free(c->sources);
    free(c->ring);
    checkpoint_cursor_done(&c->lines);
    arena_free(c->note);
    arena_free(c->page);
    free(c);
    return err;
}
