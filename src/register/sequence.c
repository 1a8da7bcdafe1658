/* The sequencer: new durable events become leaves, full tiles and a signed checkpoint.
 *
 * Invariants. A checkpoint is signed only over events that are durable already, so that after a crash the tree of every size that
 * the signer has signed can be computed from the store. A checkpoint is stored before anyone sees it, and in one transaction with
 * the tiles that it completes and, for a tenant's log, with the event that anchors it in the house's log. The house's log is the
 * last of a pass. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "keys/signer.h"
#include "register/internal.h"
#include <inttypes.h>
#include <stdlib.h>

enum { TILES_PER_TXN = 64, NOTE_TEXT_MAX = 4096 };

/* ---- open and close ---- */

static tm_err public_key_find(struct reg *r, struct diag *diag)
{
    if (r->c.public_key) {
        memcpy(r->public_key, r->c.public_key, sizeof r->public_key);
        return TM_OK;
    }
    const struct signer_key *k = r->c.signer ? signer_key_find(r->c.signer, r->key_id) : NULL;
    if (!k)
        return diag_fail(diag, TM_ENOTFOUND, register_rule, "key",
                         "the signer has no key \"%s\" for the register", r->key_id);
    /* SubjectPublicKeyInfo of Ed25519 (RFC 8410 4): 12 octets of header, then the key. */
    if (k->alg != KEY_ALG_ED25519 || k->spki.n != 12 + sizeof r->public_key)
        return diag_fail(diag, TM_EUNSUPPORTED, register_rule, "key",
                         "the register's key \"%s\" is not Ed25519", r->key_id);
    memcpy(r->public_key, k->spki.p + 12, sizeof r->public_key);
    return TM_OK;
}

static tm_err epoch_read(uint64_t *ret, struct store *s)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct slice v;
    tm_err err = reg_read_meta(&v, a, s, "register/epoch");
    const char *text = err == TM_OK ? arena_strndup(a, (const char *)v.p, v.n) : NULL;
    if (text)
        *ret = strtoull(text, NULL, 10);
    else if (err == TM_OK)
        err = TM_ENOMEM;
    arena_free(a);
    return err == TM_ENOTFOUND ? TM_OK : err;
}

tm_err register_open(struct reg **ret, const struct register_config *c, struct diag *diag)
{
    struct reg *r = calloc(1, sizeof *r);
    if (!r)
        return TM_ENOMEM;
    r->c = *c;
    pthread_mutex_init(&r->sequencing, NULL);
    pthread_mutex_init(&r->lock, NULL);
    r->key_id = strdup(c->key_id ? c->key_id : "register");
    r->origin = strdup(c->origin);
    tm_err err = r->key_id && r->origin ? TM_OK : TM_ENOMEM;
    if (err == TM_OK)
        err = public_key_find(r, diag);
    if (err == TM_OK)
        err = epoch_read(&r->epoch, c->store);
    if (err != TM_OK) {
        register_close(r);
        return err;
    }
    r->c.key_id = r->key_id;
    r->c.origin = r->origin;
    r->c.public_key = NULL;
    *ret = r;
    return TM_OK;
}

void register_close(struct reg *r)
{
    if (!r)
        return;
    for (struct reg_log *log = r->logs, *next; log; log = next) {
        next = log->next;
        tree_done(&log->tree);
        free(log);
    }
    pthread_mutex_destroy(&r->sequencing);
    pthread_mutex_destroy(&r->lock);
    free(r->key_id);
    free(r->origin);
    free(r);
}

/* ---- one log's pass ---- */

struct advance {
    struct reg *r;
    tenant_id tenant;
    struct arena *arena;
    struct diag *diag;
    /* what the store's checkpoint has */
    uint64_t old_size, old_epoch;
    uint8_t old_root[MERKLE_HASH], old_epoch_root[MERKLE_HASH];
    bool had_checkpoint;
    /* what it will have */
    struct tree tree;
    struct checkpoint checkpoint;
    struct slice note;
    struct sign_op op;
    /* tiles to store, then the checkpoint and what goes with it */
    struct effect effects[TILES_PER_TXN + 4];
    size_t n;
};

static tm_err commit(struct advance *v)
{
    if (v->n == 0)
        return TM_OK;
    struct store_txn t = {.effects = v->effects, .n = v->n, .patient = true};
    tm_err err = store_commit(v->r->c.store, &t);
    if (err != TM_OK && v->diag)
        *v->diag = t.diag;
    v->n = 0;
    return err;
}

static void tiles_free(struct advance *v)
{
    for (size_t i = 0; i < TILES_PER_TXN; i++)
        if (v->effects[i].kind == EFFECT_TILE_PUT) {
            free((void *)(uintptr_t)v->effects[i].u.tile.hashes.p);
            v->effects[i] = (struct effect){0};
        }
}

/* A full tile goes into the transaction; where it has no more room, what stands there is committed first: tiles may always be stored
 * before the checkpoint that covers them. */
static tm_err tile_full(void *ctx, unsigned level, uint64_t index, const uint8_t *hashes)
{
    struct advance *v = ctx;
    if (v->n == TILES_PER_TXN) {
        TM_TRY(commit(v));
        tiles_free(v);
    }
    uint8_t *copy = malloc(TREE_TILE_OCTETS);
    if (!copy)
        return TM_ENOMEM;
    memcpy(copy, hashes, TREE_TILE_OCTETS);
    struct effect *e = &v->effects[v->n++];
    *e = (struct effect){.kind = EFFECT_TILE_PUT, .tenant = v->tenant};
    e->u.tile.level = level;
    e->u.tile.index = index;
    e->u.tile.hashes = slice_of(copy, TREE_TILE_OCTETS);
    return TM_OK;
}

static tm_err tree_extend(struct advance *v, uint64_t size)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    tm_err err = TM_OK;
    while (err == TM_OK && v->tree.size < size) {
        uint64_t left = size - v->tree.size;
        arena_reset(a);
        struct store_read read = {
            .arena = a,
            .kind = READ_LEAVES,
            .tenant = v->tenant,
            .pos_from = v->tree.size,
            .limit = left < LEAVES_PAGE ? (size_t)left : LEAVES_PAGE,
        };
        err = store_read_now(v->r->c.store, &read);
        if (err == TM_OK && (read.n == 0 || read.n > left))
            err = diag_fail(v->diag, TM_ECORRUPT, register_rule, "leaf",
                            "event %" PRIu64 " of log %" PRIu32 " is missing from the store", v->tree.size,
                            v->tenant);
        for (size_t i = 0; err == TM_OK && i < read.n; i++)
            err = tree_append(&v->tree, read.leaves + i * MERKLE_HASH, tile_full, v);
    }
    arena_free(a);
    return err;
}

/* The root that stood when the epoch began, which the checkpoints of this epoch name: the last one of the epoch before. */
static void epoch_line(struct advance *v)
{
    v->checkpoint.epoch = v->r->epoch;
    memcpy(v->checkpoint.epoch_root, v->old_epoch == v->r->epoch ? v->old_epoch_root : v->old_root,
           MERKLE_HASH);
}

static tm_err sign_once(struct advance *v, struct slice body, uint64_t from)
{
    struct reg_tiles tiles = {.store = v->r->c.store, .tenant = v->tenant};
    struct tile_reader reader;
    reg_tile_reader(&reader, &tiles);
    struct tree_source source = {.tree = &v->tree, .reader = &reader};
    struct merkle_source s = {.subtree = tree_subtree, .ctx = &source};
    struct slice proof;
    tm_err err = merkle_prove_consistency(&proof, v->arena, &s, from, v->tree.size);
    tree_source_done(&source);
    TM_TRY(err);

    v->op = (struct sign_op){
        .kind = SIGN_CHECKPOINT, .key_id = v->r->key_id, .alg = SIG_ED25519, .tbs = body, .proof = proof};
    return v->r->c.sign ? v->r->c.sign(v->r->c.ctx, &v->op) : signer_sign(v->r->c.signer, &v->op);
}

/* Did the signer refuse because this log does not extend the one that it remembers? That one's size is in the offset then. */
static bool signer_remembers(const struct sign_op *op, tm_err err)
{
    bool about_log = strcmp(op->diag.field, "size") == 0 || strcmp(op->diag.field, "root") == 0;
    return err == TM_EDENIED && strcmp(op->diag.rule, "signer.checkpoint") == 0 && about_log;
}

/* Sign over a proof from the checkpoint that the store has. The signer may remember a newer one, that a crash kept from being
 * stored: then the proof begins there. */
static tm_err sign(struct advance *v, struct slice body)
{
    uint64_t from = v->had_checkpoint && v->old_epoch == v->r->epoch ? v->old_size : 0;
    tm_err err = sign_once(v, body, from);
    uint64_t last = v->op.diag.offset;
    if (signer_remembers(&v->op, err) && last > from && last <= v->tree.size)
        err = sign_once(v, body, last);
    if (signer_remembers(&v->op, err))
        return diag_fail(v->diag, TM_ECORRUPT, register_rule, "checkpoint",
                         "the signer has signed %s with %" PRIu64 " events; the %" PRIu64
                         " of this store, %" PRIu64
                         " under a checkpoint, do not extend it: an older copy? use `touchmark restore`",
                         v->checkpoint.origin, last, v->tree.size, from);
    if (err != TM_OK && v->diag)
        *v->diag = v->op.diag;
    return err;
}

static tm_err note_make(struct advance *v)
{
    struct buf b;
    buf_init(&b, NOTE_TEXT_MAX);
    checkpoint_body_build(&b, &v->checkpoint);
    tm_err err = buf_err(&b);
    if (err == TM_OK)
        err = arena_copy(&v->checkpoint.body, v->arena, buf_slice(&b));
    if (err == TM_OK)
        err = sign(v, v->checkpoint.body);
    if (err == TM_OK) {
        buf_putc(&b, '\n');
        note_signature_build(&b, v->checkpoint.origin, v->r->public_key,
                             slice_of(v->op.signature, v->op.signature_n));
        err = buf_err(&b);
    }
    if (err == TM_OK)
        err = arena_copy(&v->note, v->arena, buf_slice(&b));
    buf_done(&b);
    TM_TRY(err);
    if (v->r->c.chain_signed)
        v->r->c.chain_signed(v->r->c.ctx, v->op.chain_seq, v->op.chain_hash);
    /* A signer with another key, or a broken one, must not get its note stored. */
    return note_verify(v->note, v->checkpoint.origin, v->r->public_key, v->diag);
}

/* Where the anchor of this checkpoint will stand: at or behind the present end of the house's log. */
static tm_err anchor_put(struct advance *v)
{
    const struct event_field fields[] = {
        {.key = "chain", .kind = EVENT_INT, .i = (int64_t)v->op.chain_seq},
        {.key = "kind", .kind = EVENT_STR, .s = SLICE_LIT("checkpoint")},
        {.key = "log", .kind = EVENT_STR, .s = slice_str(v->checkpoint.origin)},
        {.key = "root", .kind = EVENT_HEX, .s = SLICE_ARR(v->checkpoint.root)},
        {.key = "size", .kind = EVENT_INT, .i = (int64_t)v->checkpoint.size},
        {.key = "tbs", .kind = EVENT_HEX, .s = SLICE_ARR(v->op.tbs_hash)},
        {.key = "tenant", .kind = EVENT_INT, .i = v->tenant},
        {.key = NULL},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, v->arena, fields));
    const char *subject = arena_printf(v->arena, "log/%" PRIu32, v->tenant);
    const char *name = arena_printf(v->arena, "register/anchor/%" PRIu32, v->tenant);
    uint64_t end;
    TM_TRY(reg_read_log_size(&end, v->r->c.store, TENANT_HOUSE));
    const char *value = arena_printf(v->arena, "%" PRIu64 " %" PRIu64, v->checkpoint.size, end);
    if (!subject || !name || !value)
        return TM_ENOMEM;
    TM_TRY(register_event_effect(&v->effects[v->n++], v->arena, TENANT_HOUSE, "register.anchored", subject,
                                 body, clock_now_ms()));
    struct effect *e = &v->effects[v->n++];
    *e = (struct effect){.kind = EFFECT_META_PUT, .tenant = TENANT_HOUSE, .expected_version = -1};
    e->u.meta.name = name;
    e->u.meta.value = slice_str(value);
    return TM_OK;
}

/* The next pass records it, or after a restart who reads the signer's journal; past the maximum only the latter. */
static void orphan_keep(struct advance *v)
{
    struct reg *r = v->r;
    if (r->n_orphans == REG_ORPHANS_MAX)
        return;
    struct reg_orphan *o = &r->orphans[r->n_orphans++];
    o->seq = v->op.chain_seq;
    memcpy(o->tbs, v->op.tbs_hash, sizeof o->tbs);
}

static tm_err checkpoint_store(struct advance *v)
{
    struct effect *e = &v->effects[v->n++];
    *e = (struct effect){.kind = EFFECT_CHECKPOINT_PUT, .tenant = v->tenant, .expected_version = -1};
    e->u.checkpoint = (struct checkpoint_row){
        .size = v->checkpoint.size, .note = v->note, .time = clock_now_ms(), .chain_seq = v->op.chain_seq};
    memcpy(e->u.checkpoint.root, v->checkpoint.root, sizeof e->u.checkpoint.root);
    tm_err err = v->tenant != TENANT_HOUSE ? anchor_put(v) : TM_OK;
    if (err == TM_OK)
        err = commit(v);
    if (err != TM_OK) {
        orphan_keep(v);
        return err;
    }
    if (v->r->c.chain_recorded)
        v->r->c.chain_recorded(v->r->c.ctx, v->op.chain_seq);
    return TM_OK;
}

static tm_err advance_begin(struct advance *v)
{
    pthread_mutex_lock(&v->r->lock);
    struct reg_log *log;
    tm_err err = reg_log_get(&log, v->r, v->tenant, v->diag);
    if (err == TM_OK)
        err = tree_clone(&v->tree, &log->tree);
    if (err == TM_OK) {
        v->old_size = log->tree.size;
        v->had_checkpoint = log->has_checkpoint;
        v->old_epoch = log->epoch;
        memcpy(v->old_root, log->root, sizeof v->old_root);
        memcpy(v->old_epoch_root, log->epoch_root, sizeof v->old_epoch_root);
    }
    pthread_mutex_unlock(&v->r->lock);
    return err;
}

static tm_err advance_end(struct advance *v)
{
    pthread_mutex_lock(&v->r->lock);
    struct reg_log *log;
    tm_err err = reg_log_get(&log, v->r, v->tenant, v->diag);
    if (err == TM_OK) {
        struct tree old = log->tree;
        log->tree = v->tree;
        v->tree = old;
        memcpy(log->root, v->checkpoint.root, sizeof log->root);
        log->has_checkpoint = true;
        log->epoch = v->checkpoint.epoch;
        memcpy(log->epoch_root, v->checkpoint.epoch_root, sizeof log->epoch_root);
    }
    pthread_mutex_unlock(&v->r->lock);
    return err;
}

static tm_err advance_run(struct advance *v, uint64_t chain_seq, const uint8_t chain_hash[32])
{
    uint64_t size;
    TM_TRY(advance_begin(v));
    TM_TRY(reg_read_log_size(&size, v->r->c.store, v->tenant));
    if (size < v->old_size)
        return diag_fail(v->diag, TM_ECORRUPT, register_rule, "log",
                         "log %" PRIu32 " has %" PRIu64 " events, its newest checkpoint covers %" PRIu64
                         "; restore from a backup",
                         v->tenant, size, v->old_size);
    if (size == v->old_size)
        return TM_OK;

    TM_TRY(tree_extend(v, size));
    v->checkpoint = (struct checkpoint){.origin = reg_origin(v->arena, v->r->origin, v->tenant, v->r->epoch),
                                        .size = size};
    if (!v->checkpoint.origin)
        return TM_ENOMEM;
    TM_TRY(tree_root(v->checkpoint.root, &v->tree));
    if (v->tenant == TENANT_HOUSE) {
        v->checkpoint.has_chain = true;
        v->checkpoint.chain_seq = chain_seq;
        memcpy(v->checkpoint.chain_hash, chain_hash, sizeof v->checkpoint.chain_hash);
    }
    if (v->r->epoch)
        epoch_line(v);
    TM_TRY(note_make(v));
    TM_TRY(checkpoint_store(v));
    return advance_end(v);
}

static tm_err advance(struct reg *r, tenant_id tenant, uint64_t chain_seq, const uint8_t chain_hash[32],
                      struct diag *diag)
{
    struct advance *v = calloc(1, sizeof *v);
    struct arena *a = arena_new(0);
    tm_err err = TM_ENOMEM;
    if (v && a) {
        v->r = r;
        v->tenant = tenant;
        v->arena = a;
        v->diag = diag;
        err = advance_run(v, chain_seq, chain_hash);
        tiles_free(v);
        tree_done(&v->tree);
    }
    arena_free(a);
    free(v);
    return err;
}

static tm_err orphans_build(struct effect *effects, struct arena *a, const struct reg *r)
{
    const char *subject = arena_printf(a, "key/%s", r->key_id);
    if (!subject)
        return TM_ENOMEM;
    for (size_t i = 0; i < r->n_orphans; i++) {
        const struct event_field fields[] = {
            {.key = "chain", .kind = EVENT_INT, .i = (int64_t)r->orphans[i].seq},
            {.key = "key", .kind = EVENT_STR, .s = slice_str(r->key_id)},
            {.key = "kind", .kind = EVENT_STR, .s = SLICE_LIT("checkpoint")},
            {.key = "tbs", .kind = EVENT_HEX, .s = SLICE_ARR(r->orphans[i].tbs)},
            {.key = NULL},
        };
        struct slice body;
        TM_TRY(register_event_body(&body, a, fields));
        TM_TRY(register_event_effect(&effects[i], a, TENANT_HOUSE, "signature.orphaned", subject, body,
                                     clock_now_ms()));
    }
    return TM_OK;
}

/* Record the checkpoints that an earlier pass signed and could not store, so that the chain has no gap. */
static tm_err orphans_record(struct reg *r, struct diag *diag)
{
    struct effect effects[REG_ORPHANS_MAX];
    struct store_txn t = {.effects = effects, .n = r->n_orphans};
    struct arena *a = r->n_orphans ? arena_new(0) : NULL;
    if (r->n_orphans == 0)
        return TM_OK;
    tm_err err = a ? orphans_build(effects, a, r) : TM_ENOMEM;
    if (err == TM_OK && (err = store_commit(r->c.store, &t)) != TM_OK && diag)
        *diag = t.diag;
    arena_free(a);
    TM_TRY(err);
    for (size_t i = 0; i < r->n_orphans; i++)
        if (r->c.chain_recorded)
            r->c.chain_recorded(r->c.ctx, r->orphans[i].seq);
    r->n_orphans = 0;
    return TM_OK;
}

tm_err register_sequence(struct reg *r, const tenant_id *tenants, size_t n, struct diag *diag)
{
    /* Asked for before any log's size is read: what it counts as recorded is durable by now, hence under the checkpoints below. */
    uint64_t chain_seq = 0;
    uint8_t chain_hash[32] = {0};
    pthread_mutex_lock(&r->sequencing);
    tm_err err = orphans_record(r, diag);
    if (err == TM_OK && r->c.chain_position)
        r->c.chain_position(r->c.ctx, &chain_seq, chain_hash);
    for (size_t i = 0; err == TM_OK && i < n; i++)
        if (tenants[i] != TENANT_HOUSE)
            err = advance(r, tenants[i], chain_seq, chain_hash, diag);
    /* The house's log always, whoever is named: it holds the anchors. */
    if (err == TM_OK)
        err = advance(r, TENANT_HOUSE, chain_seq, chain_hash, diag);
    pthread_mutex_unlock(&r->sequencing);
    return err;
}

/* ---- a new epoch ---- */

struct epoch_start {
    struct reg *r;
    struct arena *arena;
    struct diag *diag;
    uint64_t epoch, chain_seq;
    const uint8_t *chain_hash;
    struct effect *effects;
    size_t n;
};

static tm_err epoch_event(struct epoch_start *s, tenant_id tenant)
{
    struct reg_log *log;
    TM_TRY(reg_log_get(&log, s->r, tenant, s->diag));
    struct event_field fields[8] = {
        {.key = "epoch", .kind = EVENT_INT, .i = (int64_t)s->epoch},
        {.key = "root", .kind = EVENT_HEX, .s = SLICE_ARR(log->root)},
        {.key = "size", .kind = EVENT_INT, .i = (int64_t)log->tree.size},
    };
    if (tenant == TENANT_HOUSE) {
        fields[3] = (struct event_field){.key = "chain_from", .kind = EVENT_INT, .i = (int64_t)s->chain_seq};
        fields[4] =
            (struct event_field){.key = "chain_hash", .kind = EVENT_HEX, .s = slice_of(s->chain_hash, 32)};
    }
    struct slice body;
    TM_TRY(register_event_body(&body, s->arena, fields));
    const char *subject = arena_printf(s->arena, "log/%" PRIu32, tenant);
    if (!subject)
        return TM_ENOMEM;
    return register_event_effect(&s->effects[s->n++], s->arena, tenant, "register.epoch", subject, body,
                                 clock_now_ms());
}

static tm_err epoch_commit(struct epoch_start *s, const tenant_id *tenants, size_t n)
{
    s->effects = arena_calloc(s->arena, n + 2, sizeof *s->effects);
    if (!s->effects)
        return TM_ENOMEM;
    TM_TRY(epoch_event(s, TENANT_HOUSE));
    for (size_t i = 0; i < n; i++)
        if (tenants[i] != TENANT_HOUSE)
            TM_TRY(epoch_event(s, tenants[i]));
    const char *value = arena_printf(s->arena, "%" PRIu64, s->epoch);
    if (!value)
        return TM_ENOMEM;
    struct effect *e = &s->effects[s->n++];
    *e = (struct effect){.kind = EFFECT_META_PUT, .tenant = TENANT_HOUSE, .expected_version = -1};
    e->u.meta.name = "register/epoch";
    e->u.meta.value = slice_str(value);
    struct store_txn t = {.effects = s->effects, .n = s->n};
    tm_err err = store_commit(s->r->c.store, &t);
    if (err != TM_OK && s->diag)
        *s->diag = t.diag;
    return err;
}

tm_err register_new_epoch(struct reg *r, const tenant_id *tenants, size_t n, uint64_t chain_seq,
                          const uint8_t chain_hash[32], uint64_t *ret_epoch, struct diag *diag)
{
    struct arena *a = arena_new(64 << 20);
    if (!a)
        return TM_ENOMEM;
    pthread_mutex_lock(&r->sequencing);
    pthread_mutex_lock(&r->lock);
    struct epoch_start s = {.r = r,
                            .arena = a,
                            .diag = diag,
                            .epoch = r->epoch + 1,
                            .chain_seq = chain_seq,
                            .chain_hash = chain_hash};
    tm_err err = epoch_commit(&s, tenants, n);
    if (err == TM_OK) {
        r->epoch = s.epoch;
        if (ret_epoch)
            *ret_epoch = s.epoch;
    }
    pthread_mutex_unlock(&r->lock);
    pthread_mutex_unlock(&r->sequencing);
    arena_free(a);
    return err;
}
