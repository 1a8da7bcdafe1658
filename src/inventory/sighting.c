#include "inventory/sighting.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "inventory/place.h"
#include "issue/foreign.h"
#include "issue/house.h"
#include "register/register.h"
#include "x509/cert.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_CERTS = 256,  /* new rows of a commit */
    BATCH_PLACES = 256, /* places of a commit */
    BATCH_EFFECTS = 2 * BATCH_CERTS + 2 * BATCH_PLACES,
    BATCH_OCTETS = 32 << 20,
    ARENA_OCTETS = 128 << 20,
    VIA_MAX = 32,
    RUN_MAX = 64
};

/* A certificate that is new in this batch: nobody else's look-up finds it yet. */
struct fresh {
    uint8_t fingerprint[SHA256_LEN], spki[SHA256_LEN], id[CERT_SERIAL_LEN];
};

/* What is under way until the next commit. */
struct batch {
    struct house *h;
    tenant_id tenant;
    const char *principal;
    struct catalog *catalog;
    struct arena *a;
    struct effect effects[BATCH_EFFECTS];
    size_t n;
    struct fresh certs[BATCH_CERTS];
    size_t n_certs;
    char places[BATCH_PLACES][PLACE_ID_LEN + 1];
    size_t n_places;
    struct sightings_taken counts;
    struct diag *diag;
};

/* ---- one certificate ---- */

static const struct fresh *fresh_find(const struct batch *b, const uint8_t fingerprint[SHA256_LEN])
{
    for (size_t i = 0; i < b->n_certs; i++)
        if (memcmp(b->certs[i].fingerprint, fingerprint, SHA256_LEN) == 0)
            return &b->certs[i];
    return NULL;
}

static void refuse(struct sighting_result *ret, const struct diag *why)
{
    *ret = (struct sighting_result){.outcome = SIGHTING_REFUSED};
    snprintf(ret->why, sizeof ret->why, "%s", why->message[0] ? why->message : "it is not a certificate");
}

static tm_err add(struct batch *b, struct sighting_result *ret, const struct cert *c,
                  const uint8_t fingerprint[SHA256_LEN], const struct sighting *s)
{
    enum cert_source source = strcmp(s->via, "import") == 0 ? CERT_IMPORTED : CERT_DISCOVERED;
    enum issuer_class issuer = issuer_class_of(b->catalog, b->tenant, c, s->chain, s->n_chain);
    struct effect *e = &b->effects[b->n];
    struct diag why = {0};
    tm_err err = foreign_add(e, b->a, b->h, b->tenant, c, source, issuer, &why);
    /* The certificate's fault, a name of 20,000 characters, say: nobody else's sightings wait for it. */
    if (tm_err_class(err) == TM_CLASS_CALLER && arena_err(b->a) == TM_OK) {
        if (!why.message[0])
            TM_IGNORE(diag_fail(&why, err, NULL, NULL,
                                err == TM_ETOOBIG ? "its names are too long to be kept"
                                                  : "it has parts that can't be read"));
        refuse(ret, &why);
        b->counts.refused++;
        return TM_OK;
    }
    if (err != TM_OK)
        *b->diag = why;
    TM_TRY(err);
    /* Callers reuse their octets before the commit. */
    TM_TRY(arena_copy(&e->u.cert.row.der, b->a, c->der));
    TM_TRY(arena_copy(&e->u.cert.row.serial, b->a, e->u.cert.row.serial));
    TM_TRY(foreign_event(e + 1, b->a, b->tenant, &e->u.cert.row, b->principal, s->place, s->run));
    b->n += 2;
    struct fresh *f = &b->certs[b->n_certs++];
    memcpy(f->fingerprint, fingerprint, sizeof f->fingerprint);
    memcpy(f->id, e->u.cert.row.id, sizeof f->id);
    memcpy(f->spki, e->u.cert.row.spki_hash, sizeof f->spki);
    ret->outcome = SIGHTING_ADDED;
    memcpy(ret->id, f->id, sizeof ret->id);
    b->counts.added++;
    return TM_OK;
}

/* Its row, which is made where there is none. */
static tm_err take_cert(struct batch *b, struct sighting_result *ret, struct slice der,
                        const uint8_t fingerprint[SHA256_LEN], const struct sighting *s)
{
    struct diag why = {0};
    struct cert c;
    *ret = (struct sighting_result){.outcome = SIGHTING_KNOWN};
    const struct fresh *f = fresh_find(b, fingerprint);
    tm_err e = TM_OK;
    if (f)
        memcpy(ret->id, f->id, sizeof ret->id);
    else
        e = foreign_find(ret->id, b->a, b->h, b->tenant, fingerprint, b->diag);
    if (e == TM_OK) {
        b->counts.known++;
        return TM_OK;
    }
    if (e != TM_ENOTFOUND)
        return e;
    e = cert_parse(&c, der, &why);
    if (e == TM_ENOMEM)
        return e;
    if (e != TM_OK) {
        refuse(ret, &why);
        b->counts.refused++;
        return TM_OK;
    }
    return add(b, ret, &c, fingerprint, s);
}

/* ---- one place ---- */

static tm_err read_place(struct batch *b, struct place *ret, const char *id, const char *name)
{
    struct store_read q = {
        .kind = READ_OBJECT, .tenant = b->tenant, .arena = b->a, .object_kind = OBJECT_PLACE, .name = id};
    tm_err e = store_read_now(b->h->store, &q);
    if (e == TM_OK)
        return place_from_row(ret, b->a, &q.objects[0]);
    if (e != TM_ENOTFOUND) {
        *b->diag = q.diag;
        return e;
    }
    *ret = (struct place){.id = id, .name = arena_strdup(b->a, name), .cert = ""};
    return ret->name ? TM_OK : TM_ENOMEM;
}

/* "place.changed": what is there now, and what was. */
static tm_err place_event(struct batch *b, const struct place *p, const char *change)
{
    const char *was = p->n_before ? p->before[0].cert : "";
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(b->principal)},
        {.key = "change", .kind = EVENT_STR, .s = slice_str(change)},
        {.key = "certificate", .kind = EVENT_STR, .s = slice_str(p->cert)},
        {.key = "place", .kind = EVENT_STR, .s = slice_str(p->name)},
        {.key = "run", .kind = EVENT_STR, .s = slice_str(p->run)},
        {.key = "via", .kind = EVENT_STR, .s = slice_str(p->via)},
        {.key = "was", .kind = EVENT_STR, .s = slice_str(was)},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, b->a, fields));
    const char *about = arena_printf(b->a, "place/%s", p->id);
    if (!about)
        return TM_ENOMEM;
    return register_event_effect(&b->effects[b->n++], b->a, b->tenant, "place.changed", about, body,
                                 clock_now_ms());
}

static tm_err details_text(const char **ret, struct arena *a, const json_t *details)
{
    struct buf b;
    buf_init(&b, PLACE_DETAILS_MAX);
    if (json_is_object(details))
        buf_put_json(&b, details, false);
    const char *text = buf_err(&b) == TM_ETOOBIG ? "{\"error\":\"its details are too long to be kept\"}"
                       : b.n                     ? buf_str(&b)
                                                 : "{}";
    *ret = buf_err(&b) == TM_ENOMEM ? NULL : arena_strdup(a, text);
    buf_done(&b);
    return *ret ? TM_OK : TM_ENOMEM;
}

static const char *word_of(struct arena *a, const char *s, size_t max)
{
    return arena_strndup(a, s ? s : "", s ? strnlen(s, max) : 0);
}

/* `seen` has the chain; the new certificate's own event tells of a new place already. */
static tm_err take_place(struct batch *b, const struct sighting *s, struct place_seen *seen, const char *id,
                         bool fresh)
{
    static const char *const words[] = {
        [PLACE_NEW] = "new", [PLACE_CHANGED] = "changed", [PLACE_WENT] = "gone"};
    struct place p;
    int64_t now = clock_now_ms();
    TM_TRY(read_place(b, &p, id, s->place));
    seen->now = now;
    seen->at = s->at > 0 && s->at < now ? s->at : now;
    seen->via = word_of(b->a, s->via, VIA_MAX);
    seen->run = word_of(b->a, s->run, RUN_MAX);
    if (!seen->via || !seen->run)
        return TM_ENOMEM;
    TM_TRY(details_text(&seen->details, b->a, s->details));
    enum place_change change = place_meet(&p, seen, SIGHTING_TOUCH_MS);
    b->counts.new_places += change == PLACE_NEW;
    b->counts.changed += change == PLACE_CHANGED;
    b->counts.gone += change == PLACE_WENT;
    b->counts.same += change == PLACE_SAME || change == PLACE_TOUCHED;
    if (change == PLACE_SAME)
        return TM_OK;
    TM_TRY(place_effect(&b->effects[b->n++], b->a, b->tenant, &p));
    if (change == PLACE_TOUCHED || (change == PLACE_NEW && fresh))
        return TM_OK;
    return place_event(b, &p, words[change]);
}

/* ---- batches ---- */

static tm_err flush(struct batch *b, struct sightings_taken *ret)
{
    tm_err e = b->n ? house_commit(b->h, b->effects, b->n, b->diag) : TM_OK;
    if (e == TM_OK) {
        ret->added += b->counts.added;
        ret->known += b->counts.known;
        ret->refused += b->counts.refused;
        ret->new_places += b->counts.new_places;
        ret->changed += b->counts.changed;
        ret->same += b->counts.same;
        ret->gone += b->counts.gone;
    }
    b->n = b->n_certs = b->n_places = 0;
    b->counts = (struct sightings_taken){0};
    arena_reset(b->a);
    return e;
}

/* A commit names each place once, and a new certificate's key must be found by those that come after it (issue/key_use.h). */
static tm_err flush_before(struct batch *b, const struct sighting *s, size_t n_chain, const char *id,
                           struct sightings_taken *ret)
{
    bool full =
        b->n_certs + n_chain > BATCH_CERTS || b->n_places == BATCH_PLACES || arena_used(b->a) > BATCH_OCTETS;
    for (size_t i = 0; i < b->n_places && id && !full; i++)
        full = memcmp(b->places[i], id, PLACE_ID_LEN) == 0;
    for (size_t k = 0; k < n_chain && b->n_certs && !full; k++) {
        struct cert c;
        uint8_t spki[SHA256_LEN];
        if (cert_parse(&c, s->chain[k], NULL) != TM_OK || sha256(spki, c.spki.der) != TM_OK)
            continue;
        for (size_t i = 0; i < b->n_certs && !full; i++)
            full = memcmp(b->certs[i].spki, spki, SHA256_LEN) == 0;
    }
    return full ? flush(b, ret) : TM_OK;
}

static tm_err take_one(struct batch *b, const struct sighting *s, struct sighting_result *results,
                       struct sightings_taken *ret)
{
    struct place_seen seen = {.refused = "", .cert = ""};
    struct sighting_result r;
    size_t n_chain = s->n_chain < SIGHTING_CHAIN_MAX ? s->n_chain : SIGHTING_CHAIN_MAX;
    bool somewhere = s->place && s->place[0], fresh = false;
    char id[PLACE_ID_LEN + 1];
    if (somewhere && !place_name_valid(s->place)) {
        struct diag why = {.message = "the place's name is too long or has characters that do not print"};
        for (size_t i = 0; i < n_chain && results; i++)
            refuse(&results[i], &why);
        b->counts.refused += n_chain ? n_chain : 1;
        return TM_OK;
    }
    if (somewhere)
        TM_TRY(place_id(id, s->place));
    TM_TRY(flush_before(b, s, n_chain, somewhere ? id : NULL, ret));
    for (size_t i = 0; i < n_chain; i++) {
        uint8_t fingerprint[SHA256_LEN];
        TM_TRY(sha256(fingerprint, s->chain[i]));
        TM_TRY(take_cert(b, &r, s->chain[i], fingerprint, s));
        if (results)
            results[i] = r;
        if (!somewhere)
            continue;
        if (r.outcome == SIGHTING_REFUSED && !seen.refused[0])
            seen.refused = arena_strdup(b->a, r.why);
        if (i == 0 && r.outcome != SIGHTING_REFUSED)
            seen.cert = arena_hex(b->a, SLICE_ARR(r.id));
        if (i == 0)
            fresh = r.outcome == SIGHTING_ADDED;
        seen.chain[seen.n_chain] = arena_hex(b->a, SLICE_ARR(fingerprint));
        if (!seen.chain[seen.n_chain++] || !seen.cert || !seen.refused)
            return TM_ENOMEM;
    }
    if (!somewhere)
        return TM_OK;
    memcpy(b->places[b->n_places++], id, sizeof id);
    return take_place(b, s, &seen, b->places[b->n_places - 1], fresh);
}

tm_err sightings_take_each(struct house *h, tenant_id tenant, const char *principal, const struct sighting *s,
                           size_t n, struct sighting_result *results, struct sightings_taken *ret,
                           struct diag *diag)
{
    struct diag unwanted = {0};
    struct batch *b = calloc(1, sizeof *b);
    struct arena *a = b ? arena_new(ARENA_OCTETS) : NULL;
    tm_err e = a ? TM_OK : TM_ENOMEM;
    *ret = (struct sightings_taken){0};
    if (a) {
        b->h = h;
        b->tenant = tenant;
        b->principal = principal ? principal : "";
        b->a = a;
        b->diag = diag ? diag : &unwanted;
        b->catalog = house_catalog(h);
    }
    /* Others get their turn between pieces. */
    for (size_t i = 0; i < n && e == TM_OK;) {
        foreign_lock();
        for (size_t end = i + BATCH_PLACES; i < n && i < end && e == TM_OK; i++) {
            e = take_one(b, &s[i], results, ret);
            if (results)
                results += s[i].n_chain < SIGHTING_CHAIN_MAX ? s[i].n_chain : SIGHTING_CHAIN_MAX;
        }
        if (e == TM_OK)
            e = flush(b, ret);
        foreign_unlock();
    }
    if (a)
        catalog_unref(b->catalog);
    arena_free(a);
    free(b);
    return e;
}

tm_err sightings_take(struct house *h, tenant_id tenant, const char *principal, const struct sighting *s,
                      size_t n, struct sightings_taken *ret, struct diag *diag)
{
    return sightings_take_each(h, tenant, principal, s, n, NULL, ret, diag);
}
