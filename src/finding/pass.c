#include "finding/pass.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "finding/census.h"
#include "finding/gather.h"
#include "finding/judge.h"
#include "finding/moduli.h"
#include "finding/progress.h"
#include "finding/rules/rules.h"
#include "finding/subjects.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE = 250, /* rows of a slice: some 30 ms */
    EVENT_PAGE = 500,
    BACKLOG = 200000, /* more arrivals than that are left to a full pass */
    FULL_EVERY_MS = 86400000,
    TIMED_EVERY_MS = 900000,
    TIMED_AHEAD = 62 * 86400,
    TIMED_BACK = 31 * 86400,
    SAVE_EVERY_NS = 3000000000,
    TRIES = 4,
    ID_HEX = 2 * CERT_SERIAL_LEN,
    DEVICE_CERTS = 50
};

struct passing {
    struct house *house;
    tenant_id tenant;
    const atomic_bool *stop;
    struct arena *a;    /* of one slice */
    struct arena *keep; /* of the progress's texts */
    struct gatherer *g;
    struct judge *j;
    struct finding_progress at;
    char rules[2 * SHA256_LEN + 1];
    uint64_t saved_ns;
    bool loaded, news;
    uint64_t changes; /* of the judge, when last asked */
    /* the full pass under way */
    struct census *census;
    struct subjects *subjects;
    struct moduli *moduli;
    bool whole; /* it began in this process: everything before the cursor has been seen by it */
    char after[ID_HEX + 1];
    /* the look at what time brings, under way */
    bool timed;
    uint16_t kind; /* 0, then 0x8000: issued here, then others' */
    uint8_t timed_after[CERT_SERIAL_LEN];
};

/* ---- making one ---- */

/* Other rules, or another list of bad keys, mean looking at everything again. */
static tm_err rules_hash(char ret[2 * SHA256_LEN + 1], const struct house *h)
{
    struct buf b;
    uint8_t hash[SHA256_LEN];
    buf_init(&b, 256 << 10);
    finding_reference(&b);
    buf_printf(&b, "%zu", h->blocklist ? key_blocklist_size(h->blocklist) : 0);
    tm_err e = buf_err(&b) == TM_OK ? sha256(hash, buf_slice(&b)) : buf_err(&b);
    buf_done(&b);
    TM_TRY(e);
    hex_encode(ret, SLICE_ARR(hash));
    return TM_OK;
}

tm_err passing_new(struct passing **ret, struct house *h, tenant_id tenant, const atomic_bool *stop)
{
    struct passing *p = calloc(1, sizeof *p);
    if (!p)
        return TM_ENOMEM;
    p->house = h;
    p->tenant = tenant;
    p->stop = stop;
    p->a = arena_new(64 << 20);
    p->keep = arena_new(1 << 20);
    if (!p->a || !p->keep || judge_new(&p->j, h, tenant) != TM_OK || rules_hash(p->rules, h) != TM_OK) {
        passing_free(p);
        return TM_ENOMEM;
    }
    *ret = p;
    return TM_OK;
}

static void full_done(struct passing *p)
{
    census_free(p->census);
    subjects_free(p->subjects);
    moduli_free(p->moduli);
    p->census = NULL;
    p->subjects = NULL;
    p->moduli = NULL;
}

void passing_free(struct passing *p)
{
    if (!p)
        return;
    full_done(p);
    gatherer_free(p->g);
    judge_free(p->j);
    arena_free(p->a);
    arena_free(p->keep);
    free(p);
}

void passing_rest(struct passing *p)
{
    gatherer_free(p->g);
    p->g = NULL;
    arena_reset(p->a);
}

bool passing_news(struct passing *p)
{
    struct judge_counts c = judge_counts(p->j);
    uint64_t now = c.opened + c.closed + c.changed;
    bool news = now != p->changes;
    p->changes = now;
    return news;
}

static bool has_to_stop(const struct passing *p)
{
    return p->stop && atomic_load(p->stop);
}

static tm_err read(struct passing *p, struct store_read *q, struct diag *diag)
{
    q->tenant = p->tenant;
    q->arena = p->a;
    tm_err e = store_read_now(p->house->store, q);
    if (e != TM_OK)
        *diag = q->diag;
    return e;
}

static tm_err save(struct passing *p, struct diag *diag)
{
    struct finding_progress at = p->at;
    at.after = p->after;
    p->saved_ns = clock_mono_ns();
    return progress_write(p->a, p->house, p->tenant, &at, diag);
}

/* Every few seconds: what is looked at twice after a crash changes nothing. */
static tm_err save_sometimes(struct passing *p, struct diag *diag)
{
    return clock_mono_ns() - p->saved_ns < SAVE_EVERY_NS ? TM_OK : save(p, diag);
}

/* ---- one subject ---- */

static uint64_t rule_bit(const struct finding_rule *r)
{
    return UINT64_C(1) << finding_rule_index(r);
}

/* Those whose facts were gathered. What is live no longer breaks none of them, whoever looked. */
static uint64_t cert_rules(const struct finding_facts *f, bool deep, bool census, bool holders)
{
    unsigned without = f->live ? (deep ? 0 : FINDING_BY_BYTES) | (census ? 0 : FINDING_BY_CENSUS) : 0;
    uint64_t set = judge_rules(FINDING_OF_CERT, 0, without);
    if (f->live)
        set &= ~rule_bit(&finding_key_shared_factor); /* told of at the end */
    if (f->live && !holders)
        set &= ~rule_bit(&finding_key_reuse);
    return set;
}

/* One finding a key: it stands at the oldest certificate, which may have been looked at before the copy was known. */
static tm_err look_at_oldest(struct passing *p, const uint8_t id[CERT_SERIAL_LEN], struct diag *diag)
{
    struct finding_facts f;
    char subject[16 + ID_HEX] = "certificate/";
    struct store_read q = {.kind = READ_CERT, .with_der = true};
    memcpy(q.id, id, CERT_SERIAL_LEN);
    hex_encode(subject + strlen(subject), slice_of(id, CERT_SERIAL_LEN));
    TM_TRY(judge_flush(p->j, diag)); /* it may be among what is not written yet */
    tm_err e = read(p, &q, diag);
    if (e != TM_OK)
        return e == TM_ENOTFOUND ? TM_OK : e;
    TM_TRY(gather_cert(&f, p->g, &q.certs[0], false, true, diag));
    TM_TRY(judge_subject(p->j, &f, subject, rule_bit(&finding_key_reuse), true, diag));
    return judge_flush(p->j, diag); /* its own turn may come in this page */
}

static tm_err look_at_cert(struct passing *p, const struct cert_row *row, bool full, bool stored,
                           struct diag *diag)
{
    struct finding_facts f;
    char subject[16 + ID_HEX] = "certificate/";
    hex_encode(subject + strlen(subject), SLICE_ARR(row->id));
    bool deep = !full || p->at.deep, met = !full || !p->subjects || subjects_meet(p->subjects, subject);
    bool twice = (full && p->census && census_key(p->census, row->spki_hash)) || met;
    TM_TRY(gather_cert(&f, p->g, row, deep, twice, diag));
    if (full && p->moduli && f.live && f.cert)
        TM_TRY(moduli_take(p->moduli, row->id, &f.cert->spki));
    TM_TRY(
        judge_subject(p->j, &f, subject, cert_rules(&f, deep, full && p->whole, twice), stored || met, diag));
    return f.n_holders > 1 && !f.first_of_key ? look_at_oldest(p, f.oldest_of_key, diag) : TM_OK;
}

static tm_err look_at_place(struct passing *p, const struct object_row *row, bool full, struct diag *diag)
{
    struct finding_facts f;
    char subject[48];
    if (strlen(row->id) > 32)
        return TM_OK;
    snprintf(subject, sizeof subject, "place/%s", row->id);
    bool met = !full || !p->subjects || subjects_meet(p->subjects, subject);
    TM_TRY(gather_place(&f, p->g, row, diag));
    if (!f.place)
        return TM_OK;
    if (full && p->census && f.place->met && f.row)
        census_seen(p->census, f.row->id, row->id, f.place->host, f.place->file);
    return judge_subject(p->j, &f, subject, judge_rules(FINDING_OF_PLACE, 0, 0), met, diag);
}

static tm_err look_at_place_id(struct passing *p, const char *id, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT, .object_kind = OBJECT_PLACE, .name = id};
    tm_err e = read(p, &q, diag);
    if (e == TM_ENOTFOUND) {
        char subject[48];
        snprintf(subject, sizeof subject, "place/%.32s", id);
        return judge_absent(p->j, subject, ~UINT64_C(0), diag);
    }
    TM_TRY(e);
    TM_TRY(look_at_place(p, &q.objects[0], false, diag));
    struct slice cert;
    struct store_read leaf = {.kind = READ_CERT, .with_der = true};
    if (hex_decode(&cert, p->a, slice_str(q.objects[0].ref)) != TM_OK || cert.n != CERT_SERIAL_LEN)
        return TM_OK;
    memcpy(leaf.id, cert.p, CERT_SERIAL_LEN);
    e = read(p, &leaf, diag);
    return e == TM_OK ? look_at_cert(p, &leaf.certs[0], false, true, diag) : e == TM_ENOTFOUND ? TM_OK : e;
}

/* A certificate, and the place where it was met, which says nothing of itself when both are new. */
static tm_err look_at_new(struct passing *p, const struct cert_row *row, struct diag *diag)
{
    TM_TRY(look_at_cert(p, row, false, false, diag));
    if (row->source == CERT_ISSUED)
        return TM_OK;
    struct store_read q = {.kind = READ_OBJECT,
                           .object_kind = OBJECT_PLACE,
                           .text = arena_hex(p->a, SLICE_ARR(row->id)),
                           .limit = 8};
    tm_err e = q.text ? read(p, &q, diag) : TM_ENOMEM;
    for (size_t i = 0; e == TM_OK && i < q.n; i++)
        e = look_at_place(p, &q.objects[i], false, diag);
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* ---- pages ---- */

/* A page is looked at and committed; when somebody decided meanwhile about one of its findings, once more. */
static tm_err page(struct passing *p,
                   tm_err (*look)(struct passing *p, const void *rows, size_t n, struct diag *diag),
                   const void *rows, size_t n, struct diag *diag)
{
    tm_err e = TM_ECONFLICT;
    for (int i = 0; i < TRIES && e == TM_ECONFLICT; i++) {
        diag_clear(diag);
        e = look(p, rows, n, diag);
        tm_err flushed = judge_flush(p->j, diag);
        e = e == TM_OK ? flushed : e;
        gatherer_reset(p->g);
    }
    return e;
}

static tm_err arrived_page(struct passing *p, const void *rows, size_t n, struct diag *diag)
{
    const struct cert_row *v = rows;
    for (size_t i = 0; i < n; i++) {
        TM_TRY(look_at_new(p, &v[i], diag));
        gatherer_reset(p->g);
    }
    return TM_OK;
}

static tm_err arrived(struct passing *p, bool *ret_more, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_CERTS_ARRIVED, .pos_from = p->at.arrived, .limit = PAGE, .with_der = true};
    TM_TRY(read(p, &q, diag));
    if (q.n)
        TM_TRY(page(p, arrived_page, q.certs, q.n, diag));
    *ret_more |= q.more || q.pos_next != p->at.arrived;
    p->at.arrived = q.pos_next;
    return TM_OK;
}

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

static tm_err look_at_device(struct passing *p, const char *id, struct diag *diag)
{
    struct store_read q = {.kind = READ_CERTS_BY_KEY,
                           .key = {.kind = CERT_KEY_DEVICE, .value = slice_str(id)},
                           .limit = DEVICE_CERTS,
                           .with_der = true};
    tm_err e = read(p, &q, diag);
    for (size_t i = 0; e == TM_OK && i < q.n; i++)
        e = look_at_cert(p, &q.certs[i], false, true, diag);
    return e == TM_ENOTFOUND ? TM_OK : e;
}

static tm_err look_at_id(struct passing *p, const char *hex, struct diag *diag)
{
    struct slice id;
    struct store_read q = {.kind = READ_CERT, .with_der = true};
    if (hex_decode(&id, p->a, slice_str(hex)) != TM_OK || id.n != CERT_SERIAL_LEN)
        return TM_OK;
    memcpy(q.id, id.p, CERT_SERIAL_LEN);
    tm_err e = read(p, &q, diag);
    return e == TM_OK ? look_at_cert(p, &q.certs[0], false, true, diag) : e == TM_ENOTFOUND ? TM_OK : e;
}

static tm_err full_ask(struct passing *p, struct diag *diag);

/* Resources that say what is known, allowed and whose: everything is looked at anew. */
static bool changes_all(const struct event_row *v)
{
    static const char *const kinds[] = {"resource/TrustSet/", "resource/Authority/", "resource/Profile/",
                                        "resource/Ownership/"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (begins(v->type, "resource.") && begins(v->subject, kinds[i]))
            return true;
    return false;
}

/* What changed without a new certificate. */
static tm_err events_page(struct passing *p, const void *rows, size_t n, struct diag *diag)
{
    const struct event_row *v = rows;
    bool asked = false;
    for (size_t i = 0; i < n; i++) {
        const char *slash = strchr(v[i].subject, '/');
        bool repeated = false;
        if (!asked && changes_all(&v[i])) {
            TM_TRY(full_ask(p, diag));
            asked = true;
        }
        for (size_t k = 0; k < i && !repeated; k++)
            repeated = strcmp(v[k].subject, v[i].subject) == 0 && strcmp(v[k].type, v[i].type) == 0;
        if (!slash || repeated)
            continue;
        if (strcmp(v[i].type, "place.changed") == 0)
            TM_TRY(look_at_place_id(p, slash + 1, diag));
        else if (begins(v[i].type, "device.") && begins(v[i].subject, "device/"))
            TM_TRY(look_at_device(p, slash + 1, diag));
        else if ((begins(v[i].type, "certificate.revoked") || begins(v[i].type, "certificate.released") ||
                  begins(v[i].type, "certificate.owned") || begins(v[i].type, "certificate.noted")) &&
                 begins(v[i].subject, "certificate/"))
            TM_TRY(look_at_id(p, slash + 1, diag));
        else
            continue;
        /* The same subject may come again under another type. */
        TM_TRY(judge_flush(p->j, diag));
        gatherer_reset(p->g);
    }
    return TM_OK;
}

static tm_err events(struct passing *p, bool *ret_more, struct diag *diag)
{
    struct store_read q = {.kind = READ_EVENTS, .pos_from = p->at.events, .limit = EVENT_PAGE};
    tm_err e = read(p, &q, diag);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    TM_TRY(e);
    if (q.n) {
        TM_TRY(page(p, events_page, q.events, q.n, diag));
        p->at.events = q.pos_next > p->at.events ? q.pos_next : q.events[q.n - 1].pos + 1;
    }
    *ret_more |= q.more;
    return TM_OK;
}

/* ---- by time ---- */

static tm_err timed_page(struct passing *p, const void *rows, size_t n, struct diag *diag)
{
    const struct cert_row *v = rows;
    uint64_t set = judge_rules(FINDING_OF_CERT, FINDING_BY_TIME, 0);
    for (size_t i = 0; i < n; i++) {
        struct finding_facts f;
        char subject[16 + ID_HEX] = "certificate/";
        hex_encode(subject + strlen(subject), SLICE_ARR(v[i].id));
        TM_TRY(gather_cert(&f, p->g, &v[i], false, false, diag));
        /* With the end of its time go the findings of other rules. */
        TM_TRY(judge_subject(p->j, &f, subject, f.live ? set : cert_rules(&f, true, true, true), true, diag));
        gatherer_reset(p->g);
    }
    return TM_OK;
}

/* Ids begin with the month of their end: from last month's on, as far as something may be due. */
static tm_err timed(struct passing *p, bool *ret_more, struct diag *diag)
{
    int64_t now = clock_now();
    uint16_t last = (uint16_t)(cert_id_month(now + TIMED_AHEAD) | p->kind);
    struct store_read q = {.kind = READ_CERTS,
                           .filter = {.revoked = -1, .source = -1, .not_after_from = now - TIMED_BACK},
                           .after = SLICE_ARR(p->timed_after),
                           .limit = PAGE,
                           .with_der = true};
    TM_TRY(read(p, &q, diag));
    size_t n = 0;
    while (n < q.n && (uint16_t)(q.certs[n].id[0] << 8 | q.certs[n].id[1]) <= last)
        n++;
    if (n)
        TM_TRY(page(p, timed_page, q.certs, n, diag));
    bool over = !q.more || n < q.n || q.page_next.n != CERT_SERIAL_LEN ||
                (uint16_t)(q.page_next.p[0] << 8 | q.page_next.p[1]) > last;
    if (!over) {
        memcpy(p->timed_after, q.page_next.p, CERT_SERIAL_LEN);
    } else if (p->kind == 0) {
        p->kind = 0x8000;
        uint16_t first = (uint16_t)(cert_id_month(now - TIMED_BACK) | p->kind);
        memset(p->timed_after, 0, sizeof p->timed_after);
        p->timed_after[0] = (uint8_t)(first >> 8);
        p->timed_after[1] = (uint8_t)first;
    } else {
        p->timed = false;
    }
    *ret_more |= p->timed;
    return TM_OK;
}

static void timed_begin(struct passing *p)
{
    int64_t now = clock_now();
    uint16_t first = cert_id_month(now - TIMED_BACK);
    p->timed = true;
    p->kind = 0;
    p->at.timed_ms = now * 1000;
    memset(p->timed_after, 0, sizeof p->timed_after);
    p->timed_after[0] = (uint8_t)(first >> 8);
    p->timed_after[1] = (uint8_t)first;
}

/* ---- everything ---- */

static tm_err full_prepare(struct passing *p, bool whole, struct diag *diag)
{
    uint64_t open[64];
    struct store_read q = {.kind = READ_COUNTS};
    full_done(p);
    TM_TRY(read(p, &q, diag));
    TM_TRY(census_new(&p->census, q.counts.certs));
    TM_TRY(subjects_load(&p->subjects, open, p->house, p->tenant, diag));
    TM_TRY(moduli_new(&p->moduli));
    judge_limits(p->j, open);
    p->whole = whole;
    return TM_OK;
}

static tm_err full_begin(struct passing *p, bool deep, struct diag *diag)
{
    TM_TRY(full_prepare(p, true, diag));
    p->at.phase = PHASE_PLACES;
    p->at.deep = deep;
    p->at.full_begun_ms = clock_now_ms();
    p->at.looked = 0;
    p->after[0] = '\0';
    return save(p, diag);
}

static tm_err places_page(struct passing *p, const void *rows, size_t n, struct diag *diag)
{
    const struct object_row *v = rows;
    for (size_t i = 0; i < n; i++) {
        TM_TRY(look_at_place(p, &v[i], true, diag));
        gatherer_reset(p->g);
    }
    return TM_OK;
}

static void next_phase(struct passing *p, enum finding_phase phase)
{
    p->at.phase = phase;
    p->after[0] = '\0';
}

static tm_err full_places(struct passing *p, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_OBJECTS, .object_kind = OBJECT_PLACE, .after = slice_str(p->after), .limit = PAGE};
    TM_TRY(read(p, &q, diag));
    if (q.n)
        TM_TRY(page(p, places_page, q.objects, q.n, diag));
    p->at.looked += q.n;
    if (q.n && strlen(q.objects[q.n - 1].id) < sizeof p->after)
        memcpy(p->after, q.objects[q.n - 1].id, strlen(q.objects[q.n - 1].id) + 1);
    if (!q.more)
        next_phase(p, PHASE_CERTS);
    return TM_OK;
}

static tm_err certs_page(struct passing *p, const void *rows, size_t n, struct diag *diag)
{
    const struct cert_row *v = rows;
    for (size_t i = 0; i < n; i++) {
        TM_TRY(look_at_cert(p, &v[i], true, false, diag));
        gatherer_reset(p->g);
    }
    return TM_OK;
}

static tm_err full_certs(struct passing *p, struct diag *diag)
{
    struct slice after = {0};
    if (p->after[0])
        TM_TRY(hex_decode(&after, p->a, slice_str(p->after)));
    struct store_read q = {.kind = READ_CERTS,
                           .filter = {.revoked = -1, .source = -1},
                           .after = after,
                           .limit = PAGE,
                           .with_der = true};
    TM_TRY(read(p, &q, diag));
    p->g->census = p->census;
    p->g->places_counted = p->whole;
    tm_err e = q.n ? page(p, certs_page, q.certs, q.n, diag) : TM_OK;
    p->g->census = NULL;
    p->g->places_counted = false;
    TM_TRY(e);
    p->at.looked += q.n;
    if (q.more && q.page_next.n == CERT_SERIAL_LEN)
        hex_encode(p->after, q.page_next);
    else
        next_phase(p, PHASE_ABSENT);
    return TM_OK;
}

/* Findings of what no pass meets any more: retention has dropped it. */
static tm_err absent_page(struct passing *p, const void *rows, size_t n, struct diag *diag)
{
    const struct object_row *v = rows;
    const char *last = "";
    for (size_t i = 0; i < n; i++) {
        if (v[i].status == FINDING_GONE || strcmp(last, v[i].owner) == 0 ||
            subjects_seen(p->subjects, v[i].owner))
            continue;
        struct finding f;
        TM_TRY(finding_from_row(&f, p->a, &v[i], diag));
        if (f.opened_ms >= p->at.full_begun_ms)
            continue; /* it came since, and its subject with it */
        last = v[i].owner;
        TM_TRY(judge_absent(p->j, v[i].owner, ~UINT64_C(0), diag));
        TM_TRY(judge_flush(p->j, diag));
    }
    return TM_OK;
}

static tm_err full_absent(struct passing *p, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_OBJECTS, .object_kind = OBJECT_FINDING, .after = slice_str(p->after), .limit = PAGE};
    if (!p->whole) {
        next_phase(p, PHASE_SHARED);
        return TM_OK;
    }
    TM_TRY(read(p, &q, diag));
    TM_TRY(page(p, absent_page, q.objects, q.n, diag));
    if (q.n && strlen(q.objects[q.n - 1].id) < sizeof p->after)
        memcpy(p->after, q.objects[q.n - 1].id, strlen(q.objects[q.n - 1].id) + 1);
    if (!q.more)
        next_phase(p, PHASE_SHARED);
    return TM_OK;
}

static tm_err shared_page(struct passing *p, const void *rows, size_t n, struct diag *diag)
{
    const struct moduli_pair *v = rows;
    uint64_t set = rule_bit(&finding_key_shared_factor);
    for (size_t i = 0; i < n; i++) {
        struct finding_facts f;
        char subject[16 + ID_HEX] = "certificate/";
        struct store_read q = {.kind = READ_CERT, .with_der = true};
        bool known = false;
        for (size_t k = 0; k < i && !known; k++)
            known = memcmp(v[k].one, v[i].one, CERT_SERIAL_LEN) == 0;
        if (known)
            continue;
        memcpy(q.id, v[i].one, CERT_SERIAL_LEN);
        tm_err e = read(p, &q, diag);
        if (e == TM_ENOTFOUND)
            continue;
        TM_TRY(e);
        hex_encode(subject + strlen(subject), SLICE_ARR(v[i].one));
        TM_TRY(gather_cert(&f, p->g, &q.certs[0], false, false, diag));
        f.shares_with = arena_hex(p->a, SLICE_ARR(v[i].other));
        if (!f.shares_with)
            return TM_ENOMEM;
        TM_TRY(judge_subject(p->j, &f, subject, set, true, diag));
        gatherer_reset(p->g);
    }
    return TM_OK;
}

static tm_err full_end(struct passing *p, struct diag *diag)
{
    int64_t now = clock_now_ms();
    if (p->at.deep && p->whole)
        p->at.rules = p->rules;
    p->at.last_begun_ms = p->at.full_begun_ms;
    p->at.last_ended_ms = now;
    p->at.last_looked = p->at.looked;
    p->at.deep = false;
    next_phase(p, PHASE_NONE);
    full_done(p);
    log_info(NULL, "finding.pass", LOG_I("tenant", (int64_t)p->tenant),
             LOG_I("looked", (int64_t)p->at.last_looked), LOG_I("ms", now - p->at.last_begun_ms));
    return save(p, diag);
}

/* Moduli that were not all gathered by this process are left to the next pass. */
static tm_err full_shared(struct passing *p, struct diag *diag)
{
    const struct moduli_pair *v;
    size_t n;
    if (p->whole) {
        TM_TRY(moduli_compare(p->moduli, &v, &n, p->house, p->tenant, p->stop, diag));
        if (n)
            TM_TRY(page(p, shared_page, v, n, diag));
        TM_TRY(moduli_remember(p->moduli, p->house, p->tenant, diag));
        moduli_counts(p->moduli, &p->at.moduli, &p->at.moduli_left);
    }
    return full_end(p, diag);
}

static tm_err full_step(struct passing *p, struct diag *diag)
{
    static tm_err (*const steps[])(struct passing *p, struct diag *diag) = {
        [PHASE_PLACES] = full_places,
        [PHASE_CERTS] = full_certs,
        [PHASE_ABSENT] = full_absent,
        [PHASE_SHARED] = full_shared,
    };
    if (!p->subjects)
        TM_TRY(full_prepare(p, false, diag)); /* it began before a restart */
    TM_TRY(steps[p->at.phase](p, diag));
    return save_sometimes(p, diag);
}

/* ---- what somebody asked for ---- */

static tm_err request_read(struct slice *ret, struct passing *p, struct diag *diag)
{
    struct store_read q = {.kind = READ_META, .name = progress_name(p->a, "request", p->tenant)};
    *ret = (struct slice){0};
    tm_err e = q.name ? read(p, &q, diag) : TM_ENOMEM;
    if (e == TM_OK)
        *ret = q.value;
    return e == TM_ENOTFOUND ? TM_OK : e;
}

static tm_err request_write(struct house *h, struct arena *a, tenant_id tenant, struct slice value,
                            struct diag *diag)
{
    struct effect e = {.kind = EFFECT_META_PUT, .tenant = tenant};
    e.u.meta.name = progress_name(a, "request", tenant);
    e.u.meta.value = value;
    return e.u.meta.name ? house_commit(h, &e, 1, diag) : TM_ENOMEM;
}

/* One that somebody asked for at all octets stays that. */
static tm_err full_ask(struct passing *p, struct diag *diag)
{
    struct slice request;
    TM_TRY(request_read(&request, p, diag));
    return slice_eq_str(request, "full") || slice_eq_str(request, "deep")
               ? TM_OK
               : request_write(p->house, p->a, p->tenant, SLICE_LIT("full"), diag);
}

static tm_err full_wanted(struct passing *p, bool *ret, struct diag *diag)
{
    struct slice request;
    int64_t now = clock_now_ms();
    bool stale = strcmp(p->at.rules, p->rules) != 0;
    TM_TRY(request_read(&request, p, diag));
    bool asked = slice_eq_str(request, "full") || slice_eq_str(request, "deep");
    *ret = asked || stale || now - p->at.last_begun_ms >= FULL_EVERY_MS;
    if (!*ret)
        return TM_OK;
    TM_TRY(full_begin(p, stale || slice_eq_str(request, "deep"), diag));
    return asked ? request_write(p->house, p->a, p->tenant, SLICE_LIT("none"), diag) : TM_OK;
}

/* ---- a slice ---- */

static tm_err load(struct passing *p, struct diag *diag)
{
    TM_TRY(finding_progress_read(&p->at, p->keep, p->house, p->tenant, diag));
    snprintf(p->after, sizeof p->after, "%s", p->at.after);
    struct store_read end = {.kind = READ_CERTS_ARRIVED, .pos_from = UINT64_MAX, .limit = 1},
                      log = {.kind = READ_LOG_SIZE};
    TM_TRY(read(p, &end, diag));
    if (!p->at.begun || end.pos_next > p->at.arrived + BACKLOG) {
        /* The full pass sees all that is there now. */
        TM_TRY(read(p, &log, diag));
        p->at.arrived = end.pos_next;
        p->at.events = log.count;
        p->at.begun = true;
        TM_TRY(full_begin(p, strcmp(p->at.rules, p->rules) != 0, diag));
    }
    p->loaded = true;
    return TM_OK;
}

static tm_err slice(struct passing *p, bool *ret_more, struct diag *diag)
{
    bool full = p->at.phase != PHASE_NONE;
    uint64_t cursors = p->at.arrived ^ p->at.events << 1;
    TM_TRY(arrived(p, ret_more, diag));
    TM_TRY(events(p, ret_more, diag));
    if (!p->timed && clock_now_ms() - p->at.timed_ms >= TIMED_EVERY_MS)
        timed_begin(p);
    if (p->timed)
        TM_TRY(timed(p, ret_more, diag));
    if (!full)
        TM_TRY(full_wanted(p, &full, diag));
    if (full)
        TM_TRY(full_step(p, diag));
    *ret_more |= full;
    return cursors != (p->at.arrived ^ p->at.events << 1) || p->timed ? save_sometimes(p, diag) : TM_OK;
}

tm_err passing_step(struct passing *p, bool *ret_more, struct diag *diag)
{
    *ret_more = false;
    arena_reset(p->a);
    gatherer_free(p->g); /* resources may have changed */
    p->g = NULL;
    tm_err e = gatherer_new(&p->g, p->house, p->tenant, diag);
    if (e == TM_OK && !p->loaded)
        e = load(p, diag);
    if (e == TM_OK && !has_to_stop(p))
        e = slice(p, ret_more, diag);
    if (e == TM_OK && !*ret_more && p->saved_ns)
        e = save(p, diag), p->saved_ns = 0;
    return e;
}

/* ---- from outside ---- */

tm_err finding_pass_request(struct house *h, tenant_id tenant, bool deep, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct passing *p = NULL;
    tm_err e =
        a ? request_write(h, a, tenant, deep ? SLICE_LIT("deep") : SLICE_LIT("full"), diag) : TM_ENOMEM;
    arena_free(a);
    if (e != TM_OK || h->findings) {
        finding_wake(h);
        return e;
    }
    TM_TRY(passing_new(&p, h, tenant, NULL));
    for (bool more = true; more && e == TM_OK;)
        e = passing_step(p, &more, diag);
    passing_free(p);
    return e;
}
