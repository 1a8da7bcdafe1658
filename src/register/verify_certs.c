/* Certificates against their events: every stored certificate that we issued has one "certificate.issued", and every such event its
 * certificate, unless that has expired and retention has taken it.
 *
 * Certificates come ordered by id and events by place, so the two are collected, sorted and merged; in as many rounds as it takes
 * to stay under a fixed memory, each round taking the ids of one residue class. An entry holds what identifies a certificate:
 * the month of expiry and 48 random bits of its id, and 64 bits of its fingerprint. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "register/internal.h"
#include <inttypes.h>
#include <stdlib.h>

enum {
    ENTRIES_MAX = 2 << 20, /* a round and side: 32 MiB */
    MISSING_MAX = 4096,    /* events without certificate looked at one by one */
};

struct cert_entry {
    uint64_t id, fingerprint; /* fingerprint 0: not known */
};
struct cert_entries {
    struct cert_entry *v;
    size_t n, cap;
};

struct matcher {
    struct reg *r;
    tenant_id tenant;
    struct diag *diag;
    uint64_t rounds, round;
    struct arena *page;
    struct cert_entries certs, events;
    uint64_t *missing;
    size_t n_missing;
};

static uint64_t load_be(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static uint64_t id_key(const uint8_t id[CERT_SERIAL_LEN])
{
    return load_be(id, 2) << 48 | load_be(id + CERT_SERIAL_LEN - 6, 6);
}

/* The first two octets of an id are the month of expiry since 2000 (DESIGN 5): has that month begun? */
static bool month_reached(uint64_t key)
{
    struct civil_time now = civil_from_unix(clock_now());
    uint64_t month = key >> 48 & 0x7fff;
    return month < 0x7fff && month <= (uint64_t)((now.year - 2000) * 12 + now.month - 1);
}

static tm_err entries_add(struct matcher *m, struct cert_entries *e, uint64_t id, uint64_t fingerprint)
{
    if (id % m->rounds != m->round)
        return TM_OK;
    if (e->n == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 4096;
        struct cert_entry *v = realloc(e->v, cap * sizeof *v);
        if (!v)
            return TM_ENOMEM;
        e->v = v;
        e->cap = cap;
    }
    e->v[e->n++] = (struct cert_entry){.id = id, .fingerprint = fingerprint};
    return TM_OK;
}

static int entry_order(const void *a, const void *b)
{
    const struct cert_entry *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->fingerprint < y->fingerprint ? -1 : x->fingerprint > y->fingerprint;
}

/* ---- the two sides ---- */

static tm_err cert_take(struct matcher *m, const struct cert_row *row)
{
    if (row->source != CERT_ISSUED)
        return TM_OK;
    if (row->der.n) {
        uint8_t fingerprint[SHA256_LEN];
        TM_TRY(sha256(fingerprint, row->der));
        if (memcmp(fingerprint, row->fingerprint, sizeof fingerprint) != 0) {
            const char *hex = arena_hex(m->page, SLICE_ARR(row->id));
            return diag_fail(m->diag, TM_ECORRUPT, register_rule, "certificate",
                             "certificate %s: the stored DER does not have its fingerprint", hex ? hex : "?");
        }
    }
    return entries_add(m, &m->certs, id_key(row->id), load_be(row->fingerprint, 8));
}

static tm_err certs_collect(struct matcher *m)
{
    uint8_t after[CERT_SERIAL_LEN];
    struct slice from = {0};
    for (bool more = true; more;) {
        arena_reset(m->page);
        struct store_read r = {.arena = m->page,
                               .kind = READ_CERTS,
                               .tenant = m->tenant,
                               .filter = {.revoked = -1, .source = CERT_ISSUED},
                               .after = from,
                               .limit = READ_PAGE,
                               .with_der = true};
        TM_TRY(store_read_now(m->r->c.store, &r));
        for (size_t i = 0; i < r.n; i++)
            TM_TRY(cert_take(m, &r.certs[i]));
        more = r.more && r.page_next.n == sizeof after;
        if (more) {
            memcpy(after, r.page_next.p, sizeof after);
            from = SLICE_ARR(after);
        }
    }
    return TM_OK;
}

/* The id out of "certificate/<32 hex digits>". */
static bool subject_id(uint8_t id[CERT_SERIAL_LEN], struct arena *a, const char *subject)
{
    static const char prefix[] = "certificate/";
    struct slice v;
    if (strncmp(subject, prefix, sizeof prefix - 1) != 0 ||
        hex_decode(&v, a, slice_str(subject + sizeof prefix - 1)) != TM_OK || v.n != CERT_SERIAL_LEN)
        return false;
    memcpy(id, v.p, CERT_SERIAL_LEN);
    return true;
}

static tm_err event_collect(struct matcher *m, const struct event_row *e)
{
    uint8_t id[CERT_SERIAL_LEN], fingerprint[SHA256_LEN];
    if (!subject_id(id, m->page, e->subject))
        return diag_fail(m->diag, TM_ECORRUPT, register_rule, "event",
                         "event %" PRIu64 " names no certificate: %s", e->pos, e->subject);
    bool known = event_find_hash(fingerprint, e->body, "fingerprint");
    return entries_add(m, &m->events, id_key(id), known ? load_be(fingerprint, 8) : 0);
}

static int key_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* An event whose certificate was not met: it may have been issued since the certificates were read, else it is gone. */
static tm_err event_missing(struct matcher *m, const struct event_row *e)
{
    struct store_read r = {.arena = m->page, .kind = READ_CERT, .tenant = m->tenant};
    if (!subject_id(r.id, m->page, e->subject))
        return TM_OK;
    uint64_t key = id_key(r.id);
    if (!bsearch(&key, m->missing, m->n_missing, sizeof key, key_order))
        return TM_OK;
    tm_err err = store_read_now(m->r->c.store, &r);
    if (err == TM_ENOTFOUND)
        return diag_fail(m->diag, TM_ECORRUPT, register_rule, "certificate",
                         "event %" PRIu64 " records %s, which the store has not", e->pos, e->subject);
    return err;
}

static tm_err events_each(struct matcher *m, tm_err (*take)(struct matcher *m, const struct event_row *e))
{
    uint64_t pos = 0;
    for (bool more = true; more;) {
        arena_reset(m->page);
        struct store_read r = {.arena = m->page,
                               .kind = READ_EVENTS,
                               .tenant = m->tenant,
                               .name = "certificate.issued",
                               .pos_from = pos,
                               .limit = READ_PAGE};
        TM_TRY(store_read_now(m->r->c.store, &r));
        for (size_t i = 0; i < r.n; i++)
            if (strcmp(r.events[i].type, "certificate.issued") == 0)
                TM_TRY(take(m, &r.events[i]));
        pos = r.pos_next;
        more = r.more;
    }
    return TM_OK;
}

/* ---- the comparison ---- */

static tm_err cert_unknown(struct matcher *m, const struct cert_entry *c, const char *what)
{
    /* The month and 48 bits are enough to find it by; ids are unique in them but for chance. */
    return diag_fail(m->diag, TM_ECORRUPT, register_rule, "certificate",
                     "the certificate whose id begins with %04x and ends in %012" PRIx64 " %s",
                     (unsigned)(c->id >> 48), c->id & 0xffffffffffff, what);
}

static tm_err round_compare(struct matcher *m)
{
    struct cert_entry *certs = m->certs.v;
    struct cert_entry *events = m->events.v;
    size_t n_certs = certs ? m->certs.n : 0, n_events = events ? m->events.n : 0;
    if (n_certs)
        qsort(certs, n_certs, sizeof *certs, entry_order);
    if (n_events)
        qsort(events, n_events, sizeof *events, entry_order);
    size_t i = 0, j = 0;
    while (i < n_certs || j < n_events) {
        bool no_cert = i == n_certs || (j < n_events && events[j].id < certs[i].id);
        bool no_event = j == n_events || (i < n_certs && certs[i].id < events[j].id);
        if (no_event)
            return cert_unknown(m, &certs[i], "has no certificate.issued event");
        const struct cert_entry *e = &events[j++];
        if (no_cert) {
            if (month_reached(e->id))
                continue;
            if (m->n_missing == MISSING_MAX)
                break; /* enough to name the first by */
            m->missing[m->n_missing++] = e->id;
            continue;
        }
        if (e->fingerprint && certs[i].fingerprint != e->fingerprint)
            return cert_unknown(m, &certs[i], "is not the one that its event records");
        i++;
    }
    /* In the order of events.v, which is that of the ids. */
    return m->n_missing ? events_each(m, event_missing) : TM_OK;
}

static tm_err round_run(struct matcher *m)
{
    m->certs.n = m->events.n = m->n_missing = 0;
    /* Certificates first: each commits together with its event, which is then there when the events are read. */
    TM_TRY(certs_collect(m));
    TM_TRY(events_each(m, event_collect));
    return round_compare(m);
}

tm_err verify_certificates(struct reg *r, tenant_id tenant, uint64_t issued, struct diag *diag)
{
    struct matcher m = {.r = r, .tenant = tenant, .diag = diag, .rounds = issued / ENTRIES_MAX + 1};
    m.page = arena_new(EVENT_PAGE_MEMORY);
    m.missing = calloc(MISSING_MAX, sizeof *m.missing);
    tm_err err = m.page && m.missing ? TM_OK : TM_ENOMEM;
    for (m.round = 0; err == TM_OK && m.round < m.rounds; m.round++)
        err = round_run(&m);
    free(m.certs.v);
    free(m.events.v);
    free(m.missing);
    arena_free(m.page);
    return err;
}
