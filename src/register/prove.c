/* Proof documents: made from the store, checked without it. docs/register.md has the format. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "register/internal.h"
#include <inttypes.h>
#include <stdlib.h>

static const char format_name[] = "touchmark-register-proof-v1";

enum {
    PROOF_DOCUMENT_MAX = 8 << 20,
    PROOF_PARSE_MEMORY = 64 << 20,
    SALT_MAX_BASE64 = 64,
};

/* ---- making ---- */

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

    bool erased = event.salt.n == 0 && event.body.n == 0;
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
    buf_printf(out, ",\"format\":\"%s\"}\n", format_name);
    return buf_err(out);
}

tm_err register_prove(struct buf *out, struct reg *r, tenant_id tenant, uint64_t pos, struct diag *diag)
{
    struct arena *a = arena_new(PROOF_PARSE_MEMORY);
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

/* ---- checking ---- */

struct part {
    const char *checkpoint, *event, *leaf, *salt;
    int64_t index;
    struct json_strings proof;
    /* found */
    struct checkpoint cp;
};

struct document {
    const char *format;
    struct part part;
    struct part anchor;
    bool has_anchor;
};

#define PART_FIELDS(type, base)                                                                              \
    {.key = "checkpoint",                                                                                    \
     .kind = JSON_K_STRING,                                                                                  \
     .offset = offsetof(type, base checkpoint),                                                              \
     .required = true,                                                                                       \
     .max = NOTE_MAX},                                                                                       \
        {.key = "event",                                                                                     \
         .kind = JSON_K_STRING,                                                                              \
         .offset = offsetof(type, base event),                                                               \
         .max = EVENT_BODY_MAX},                                                                             \
        {.key = "index",                                                                                     \
         .kind = JSON_K_INT,                                                                                 \
         .offset = offsetof(type, base index),                                                               \
         .required = true,                                                                                   \
         .max = INT64_MAX},                                                                                  \
        {.key = "leaf", .kind = JSON_K_STRING, .offset = offsetof(type, base leaf)},                         \
        {.key = "proof",                                                                                     \
         .kind = JSON_K_STRINGS,                                                                             \
         .offset = offsetof(type, base proof),                                                               \
         .required = true,                                                                                   \
         .max = MERKLE_PROOF_MAX},                                                                           \
    {                                                                                                        \
        .key = "salt", .kind = JSON_K_STRING, .offset = offsetof(type, base salt), .max = SALT_MAX_BASE64    \
    }

static const struct json_field anchor_schema[] = {
    PART_FIELDS(struct part, ),
    {.key = NULL},
};
static const struct json_field document_schema[] = {
    {.key = "format", .kind = JSON_K_STRING, .offset = offsetof(struct document, format), .required = true},
    {.key = "anchor",
     .kind = JSON_K_OBJECT,
     .offset = offsetof(struct document, anchor),
     .sub = anchor_schema,
     .seen_offset = offsetof(struct document, has_anchor) + 1},
    PART_FIELDS(struct document, part.),
    {.key = NULL},
};

/* The leaf: from salt and event, or as given where the event has been erased. */
static tm_err part_leaf(uint8_t out[32], struct arena *a, const struct part *p, struct diag *diag)
{
    struct slice v;
    if (p->event && p->salt && !p->leaf) {
        if (base64_decode(&v, a, slice_str(p->salt), BASE64_STD) != TM_OK || v.n != 16)
            return diag_fail(diag, TM_EMALFORMED, register_rule, "salt",
                             "the salt is not base64 of 16 octets");
        return event_leaf(out, v, slice_str(p->event));
    }
    if (!p->leaf || p->event || p->salt || base64_decode(&v, a, slice_str(p->leaf), BASE64_STD) != TM_OK ||
        v.n != MERKLE_HASH)
        return diag_fail(diag, TM_EMALFORMED, register_rule, "event",
                         "needs event and salt, or the leaf of an erased event");
    memcpy(out, v.p, MERKLE_HASH);
    return TM_OK;
}

static tm_err part_proof(struct slice *ret, struct arena *a, const struct part *p, struct diag *diag)
{
    uint8_t *hashes = arena_calloc(a, p->proof.n ? p->proof.n : 1, MERKLE_HASH);
    if (!hashes)
        return TM_ENOMEM;
    for (size_t i = 0; i < p->proof.n; i++) {
        struct slice v;
        if (base64_decode(&v, a, slice_str(p->proof.v[i]), BASE64_STD) != TM_OK || v.n != MERKLE_HASH)
            return diag_fail(diag, TM_EMALFORMED, register_rule, "proof",
                             "hash %zu is not base64 of 32 octets", i);
        memcpy(hashes + i * MERKLE_HASH, v.p, MERKLE_HASH);
    }
    *ret = slice_of(hashes, p->proof.n * MERKLE_HASH);
    return TM_OK;
}

/* Leaf, inclusion, signature of one log. */
static tm_err part_check(struct part *p, struct arena *a, const uint8_t public[32], struct diag *diag)
{
    struct slice note = slice_str(p->checkpoint), proof;
    uint8_t leaf[MERKLE_HASH];
    TM_TRY(checkpoint_parse(&p->cp, a, note, diag));
    TM_TRY(note_verify(note, p->cp.origin, public, diag));
    TM_TRY(part_leaf(leaf, a, p, diag));
    TM_TRY(part_proof(&proof, a, p, diag));
    tm_err err = merkle_verify_inclusion(leaf, (uint64_t)p->index, p->cp.size, proof, p->cp.root);
    if (err != TM_OK)
        return diag_fail(diag, err, register_rule, "proof",
                         "event %" PRId64 " is not in the log of this checkpoint", p->index);
    return TM_OK;
}

/* Does `origin` name a log of the house `base`? *ret_tenant: 0 for the house's own. */
static bool origin_match(uint64_t *ret_tenant, const char *base, const char *origin)
{
    size_t n = strlen(base);
    if (strncmp(origin, base, n) != 0)
        return false;
    const char *rest = origin + n;
    uint64_t tenant = 0;
    if (*rest == '/') {
        char *end;
        if (rest[1] < '1' || rest[1] > '9')
            return false;
        tenant = strtoull(rest + 1, &end, 10);
        if (tenant > UINT32_MAX)
            return false;
        rest = end;
    }
    if (strncmp(rest, "#epoch-", 7) == 0) {
        const char *digits = rest + 7;
        if (*digits < '1' || *digits > '9')
            return false;
        rest = digits + strspn(digits, "0123456789");
    }
    *ret_tenant = tenant;
    return *rest == '\0';
}

/* A tenant's checkpoint stands in the house's log: the anchor's event names it, its size, its root and the text that was signed. */
static tm_err anchor_check(const struct document *d, uint64_t tenant, const char *base, struct diag *diag)
{
    uint64_t house, named_tenant, size;
    uint8_t root[32];
    struct slice type, log;
    struct slice body = slice_str(d->anchor.event);
    if (!origin_match(&house, base, d->anchor.cp.origin) || house != TENANT_HOUSE)
        return diag_fail(diag, TM_EBADSIG, register_rule, "anchor",
                         "the anchor stands in %s, not in the house's log", d->anchor.cp.origin);
    if (!event_find_string(&type, body, "@type") || !slice_eq_str(type, "register.anchored") ||
        !event_find_number(&named_tenant, body, "tenant") || !event_find_number(&size, body, "size") ||
        !event_find_hash(root, body, "root") || !event_find_string(&log, body, "log"))
        return diag_fail(diag, TM_EBADSIG, register_rule, "anchor",
                         "the anchor is not a register.anchored event");
    if (named_tenant != tenant || size != d->part.cp.size ||
        memcmp(root, d->part.cp.root, sizeof root) != 0 || !slice_eq_str(log, d->part.cp.origin))
        return diag_fail(diag, TM_EBADSIG, register_rule, "anchor", "the anchor names another checkpoint");
    return TM_OK;
}

static void report_event(struct buf *b, const struct part *p)
{
    struct slice type, subject;
    uint64_t ms;
    struct slice body = slice_str(p->event);
    buf_printf(b, "event      %" PRId64 " of %s\n", p->index, p->cp.origin);
    if (!p->event) {
        buf_puts(b, "           erased: only its place and its leaf are proven\n");
        return;
    }
    if (event_find_string(&type, body, "@type") && event_find_string(&subject, body, "@subject") &&
        event_find_number(&ms, body, "@time")) {
        char when[21];
        clock_format_rfc3339(when, (int64_t)(ms / 1000));
        buf_printf(b, "           %.*s %.*s at %s\n", (int)type.n, (const char *)type.p, (int)subject.n,
                   (const char *)subject.p, when);
    }
}

static void report_build(struct buf *b, const struct document *d)
{
    report_event(b, &d->part);
    buf_printf(b, "included   in the signed checkpoint of %" PRIu64 " events\n", d->part.cp.size);
    if (d->has_anchor)
        buf_printf(b,
                   "anchored   by event %" PRId64 " of %s, in its signed checkpoint of %" PRIu64 " events\n",
                   d->anchor.index, d->anchor.cp.origin, d->anchor.cp.size);
}

static tm_err document_check(struct document *d, struct arena *a, struct slice vkey, struct diag *diag)
{
    char *base;
    uint8_t public[32];
    uint64_t tenant;
    if (strcmp(d->format, format_name) != 0)
        return diag_fail(diag, TM_EUNSUPPORTED, register_rule, "/format", "not \"%s\"", format_name);
    TM_TRY(note_vkey_parse(&base, public, a, vkey, diag));
    TM_TRY(part_check(&d->part, a, public, diag));
    if (!origin_match(&tenant, base, d->part.cp.origin))
        return diag_fail(diag, TM_EBADSIG, register_rule, "/checkpoint", "%s is not a log of %s",
                         d->part.cp.origin, base);
    if (d->has_anchor != (tenant != TENANT_HOUSE))
        return diag_fail(diag, TM_EMALFORMED, register_rule, "/anchor",
                         "a tenant's log needs an anchor, the house's has none");
    if (!d->has_anchor)
        return TM_OK;
    TM_TRY(part_check(&d->anchor, a, public, diag));
    return anchor_check(d, tenant, base, diag);
}

tm_err register_verify_proof(struct slice proof_json, struct slice vkey, struct buf *report,
                             struct diag *diag)
{
    json_t *json;
    TM_TRY(json_parse(&json, proof_json, PROOF_DOCUMENT_MAX, diag));
    struct arena *a = arena_new(PROOF_PARSE_MEMORY);
    if (!a) {
        json_decref(json);
        return TM_ENOMEM;
    }
    struct document d = {0};
    tm_err err = json_bind(&d, document_schema, json, "", a, diag);
    if (err == TM_OK)
        err = document_check(&d, a, vkey, diag);
    if (err == TM_OK && report) {
        report_build(report, &d);
        err = buf_err(report);
    }
    arena_free(a);
    json_decref(json);
    return err;
}
