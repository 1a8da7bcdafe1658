/* Proof documents checked with nothing but the verifier key. docs/register.md has the format. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "register/internal.h"
#include <inttypes.h>
#include <stdlib.h>

const char register_proof_format[] = "touchmark-register-proof-v1";

enum { SALT_MAX_BASE64 = 64 };

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
    if (strcmp(d->format, register_proof_format) != 0)
        return diag_fail(diag, TM_EUNSUPPORTED, register_rule, "/format", "not \"%s\"",
                         register_proof_format);
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
    struct arena *a = arena_new(PROOF_MEMORY);
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
