/* The certificates of an authority in the order of their serials. Those issued here come so from the store. Those that were imported have ids of
 * their own, so their serials are collected first and put between. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "issue/house.h"
#include "status/filter_impl.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PAGE = 10000,
    IMPORTED_MAX = 10000000,
    /* From the time in a serial to its row in the store some milliseconds pass, unless requests wait for the signer. */
    SETTLE_S = 5,
    SETTLE_BUSY_S = 120,
    POLLS = 200,
    POLL_NS = 10000000,
};

int64_t filter_settled(struct house *h, int64_t now)
{
    if (h->mode != HOUSE_SERVE)
        return now;
    for (int i = 0; i < POLLS; i++) {
        if (atomic_load(&h->in_flight) == 0)
            return now - SETTLE_S;
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    return now - SETTLE_BUSY_S;
}

tm_err filter_issuer_id(uint8_t ret[TMF_ISSUER_LEN], const struct authority *x)
{
    return sha256(ret, x->cert.spki.der);
}

struct imported {
    uint8_t serial[TMF_SERIAL_LEN];
    bool revoked;
};

struct walk {
    struct filter_writer *w;
    struct house *h;
    const struct authority *x;
    const struct tmf_filter *base;
    uint8_t issuer[TMF_ISSUER_LEN];
    int64_t now_ms, covered_until;
    struct imported *imported;
    size_t n_imported, cap, next;
    uint8_t last[TMF_SERIAL_LEN];
    bool any;
};

static bool padded(uint8_t out[TMF_SERIAL_LEN], struct slice serial)
{
    struct slice magnitude = serial_magnitude(serial);
    /* The reader calls zero and longer ones not covered. */
    return magnitude.n && magnitude.p[0] && serial_pad(out, TMF_SERIAL_LEN, magnitude);
}

static bool was_revoked(const struct walk *k, const struct cert_row *row)
{
    return row->revoked_at && row->revoked_at <= k->now_ms / 1000;
}

static tm_err give(struct walk *k, const uint8_t serial[TMF_SERIAL_LEN], bool revoked)
{
    uint32_t issued =
        (uint32_t)serial[2] << 24 | (uint32_t)serial[3] << 16 | (uint32_t)serial[4] << 8 | serial[5];
    if ((int64_t)issued >= k->covered_until)
        return TM_OK;
    if (k->any && memcmp(k->last, serial, TMF_SERIAL_LEN) == 0)
        return TM_OK; /* an imported copy of one of ours */
    memcpy(k->last, serial, TMF_SERIAL_LEN);
    k->any = true;
    if (!k->base)
        return filter_writer_add(k->w, FILTER_REVOKED, serial, revoked);
    enum tmf_answer before = tmf_query(k->base, NULL, k->issuer, serial, TMF_SERIAL_LEN);
    if (before == TMF_CORRUPT)
        return TM_ECORRUPT;
    return before == TMF_REVOKED ? filter_writer_add(k->w, FILTER_RELEASED, serial, !revoked)
                                 : filter_writer_add(k->w, FILTER_REVOKED, serial, revoked);
}

static tm_err take_imported(struct walk *k, const struct cert_row *row)
{
    struct imported m = {.revoked = was_revoked(k, row)};
    if (row->source != CERT_IMPORTED || !padded(m.serial, row->serial))
        return TM_OK;
    if (k->n_imported == k->cap) {
        size_t cap = k->cap ? k->cap * 2 : 256;
        if (cap > IMPORTED_MAX)
            return TM_ETOOBIG;
        struct imported *grown = realloc(k->imported, cap * sizeof *grown);
        if (!grown)
            return TM_ENOMEM;
        k->imported = grown;
        k->cap = cap;
    }
    k->imported[k->n_imported++] = m;
    return TM_OK;
}

static tm_err give_imported_below(struct walk *k, const uint8_t *serial)
{
    for (; k->next < k->n_imported; k->next++) {
        const struct imported *m = &k->imported[k->next];
        if (serial && memcmp(m->serial, serial, TMF_SERIAL_LEN) >= 0)
            break;
        TM_TRY(give(k, m->serial, m->revoked));
    }
    return TM_OK;
}

static tm_err take_issued(struct walk *k, const struct cert_row *row)
{
    uint8_t serial[TMF_SERIAL_LEN];
    if (row->source != CERT_ISSUED || !padded(serial, row->serial))
        return TM_OK;
    TM_TRY(give_imported_below(k, serial));
    return give(k, serial, was_revoked(k, row));
}

/* Every unexpired row after `after`, in the order of ids; those of imported ones have the top bit set and come last. */
static tm_err each_row(struct walk *k, struct slice after, bool issued_only,
                       tm_err (*take)(struct walk *k, const struct cert_row *row), struct diag *diag)
{
    struct arena *a = arena_new(0);
    uint8_t next[CERT_SERIAL_LEN];
    bool more = true;
    tm_err e = a ? TM_OK : TM_ENOMEM;
    while (e == TM_OK && more) {
        struct store_read r = {.kind = READ_CERTS,
                               .tenant = k->x->tenant,
                               .arena = a,
                               .filter = {.authority = k->x->name,
                                          .not_after_from = k->now_ms / 1000,
                                          .revoked = -1,
                                          .source = -1},
                               .after = after,
                               .limit = PAGE,
                               .states_only = true};
        e = filter_stopped() ? diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "the server is stopping")
                             : store_read_now(k->h->store, &r);
        if (e != TM_OK && r.diag.message[0])
            *diag = r.diag;
        more = r.more && r.page_next.n == sizeof next;
        for (size_t i = 0; i < r.n && e == TM_OK; i++) {
            if (issued_only && (r.certs[i].id[0] & 0x80)) {
                more = false;
                break;
            }
            e = take(k, &r.certs[i]);
        }
        if (more)
            memcpy(next, r.page_next.p, sizeof next);
        after = SLICE_ARR(next);
        if (more && issued_only && (next[0] & 0x80))
            more = false;
        arena_reset(a);
    }
    arena_free(a);
    return e;
}

static int imported_order(const void *a, const void *b)
{
    return memcmp(a, b, TMF_SERIAL_LEN);
}

tm_err filter_members(struct filter_writer *w, struct house *h, const struct authority *x,
                      const struct tmf_filter *base, int64_t covered_until, int64_t now_ms, struct diag *diag)
{
    static const uint8_t before_imported[CERT_SERIAL_LEN] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                             0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct walk k = {.w = w, .h = h, .x = x, .base = base, .now_ms = now_ms, .covered_until = covered_until};
    TM_TRY(filter_issuer_id(k.issuer, x));
    TM_TRY(filter_writer_issuer(w, k.issuer, covered_until));
    tm_err e = each_row(&k, SLICE_ARR(before_imported), false, take_imported, diag);
    if (e == TM_OK && k.n_imported)
        qsort(k.imported, k.n_imported, sizeof *k.imported, imported_order);
    if (e == TM_OK)
        e = each_row(&k, (struct slice){0}, true, take_issued, diag);
    if (e == TM_OK)
        e = give_imported_below(&k, NULL);
    free(k.imported);
    if (e != TM_OK && !diag->message[0])
        return diag_fail(diag, e, NULL, NULL, "the certificates of %s can't be read into a filter", x->name);
    return e;
}
