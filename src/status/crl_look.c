/* Which lists say another thing than the inventory does: all of an authority's beside one walk through its revoked certificates. */
#include "base/arena.h"
#include "status/crl_file.h"
#include "status/crl_impl.h"
#include "status/crl_listing.h"
#include "status/status_impl.h"
#include <stdlib.h>
#include <string.h>

/* Lists that are rows are in memory while they are looked at. */
enum { SIDES_MAX = 128, SIDES_OCTETS_MAX = 32 << 20 };

/* A published list, read as the walk goes on. */
struct side {
    const struct crl_scope *scope;
    struct arena *a;
    struct crl_row row;
    struct crl_in in;
    bool open;
    struct crl_entry was;
    tm_err have; /* of `was` */
};

struct look {
    struct crl_dirty *found;
    struct house *h;
    const struct authority *x;
    struct side v[SIDES_MAX];
    size_t n;
    uint64_t octets;
    int64_t ends_from; /* the earliest of all */
    struct arena *a;   /* for look-ups of single certificates */
};

static void sides_close(struct look *k)
{
    for (size_t i = 0; i < k->n; i++) {
        if (k->v[i].open)
            crl_in_close(&k->v[i].in);
        arena_free(k->v[i].a);
    }
    k->n = 0;
    k->octets = 0;
    k->ends_from = INT64_MAX;
}

/* TM_ENOTFOUND where there is no such list, or its file is gone: it is made anew anyway. */
static tm_err side_open(struct look *k, const struct crl_scope *s, struct diag *diag)
{
    struct side *w = &k->v[k->n];
    *w = (struct side){.scope = s, .a = arena_new(0)};
    tm_err e = w->a ? crl_current_of(&w->row, w->a, k->h, k->x, s->name) : TM_ENOMEM;
    if (e == TM_OK)
        e = crl_in_open(&w->in, k->h, &w->row, diag);
    if (e != TM_OK) {
        arena_free(w->a);
        return e;
    }
    w->open = true;
    w->have = crl_stream_next(w->in.s, &w->was);
    k->octets += w->row.der.n;
    k->ends_from = w->row.this_update < k->ends_from ? w->row.this_update : k->ends_from;
    k->n++;
    return TM_OK;
}

/* Listed and not revoked any more: taken off hold, which has to be said, or expired, which need not. */
static tm_err gone(struct look *k, const struct side *w)
{
    const struct crl_entry *was = &w->was;
    struct store_read r = {.kind = READ_CERT, .tenant = k->x->tenant, .arena = k->a};
    if (was->reason != CRL_CERTIFICATE_HOLD || !serial_pad(r.id, sizeof r.id, was->serial))
        return TM_OK;
    tm_err e = store_read_now(k->h->store, &r);
    if (e == TM_OK && !r.certs[0].revoked_at && r.certs[0].not_after >= w->row.this_update)
        crl_dirty_add(k->found, k->x->tenant, k->x->name, w->scope->list ? w->scope->list->profile : "",
                      r.id);
    arena_reset(k->a);
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* The next of the walk, which this list should have; NULL: the walk is over. */
static tm_err feed(struct look *k, struct side *w, const struct crl_entry *now, const struct cert_row *row)
{
    int order = 1;
    while (w->have == TM_OK && (!now || (order = crl_serial_cmp(now->serial, w->was.serial)) > 0)) {
        TM_TRY(gone(k, w));
        w->have = crl_stream_next(w->in.s, &w->was);
    }
    if (w->have != TM_OK && w->have != TM_ENOTFOUND)
        return w->have;
    if (!now)
        return TM_OK;
    bool has = w->have == TM_OK && order == 0;
    if (!has || !crl_entry_same(now, &w->was))
        crl_dirty_add(k->found, k->x->tenant, k->x->name, row->list, row->id);
    if (has)
        w->have = crl_stream_next(w->in.s, &w->was);
    return TM_OK;
}

static tm_err walk(struct look *k, struct diag *diag)
{
    const struct crl_scope all = {.name = "full"};
    struct crl_listing l;
    struct crl_entry now;
    tm_err e = crl_listing_open(&l, k->h, k->x, &all, k->ends_from);
    while (e == TM_OK && !k->found->all && (e = crl_listing_next(&l, &now, diag)) == TM_OK) {
        const struct cert_row *row = crl_listing_row(&l);
        const struct crl_place place = crl_place_of(k->x, row->id, row->list);
        for (size_t i = 0; i < k->n && e == TM_OK; i++) {
            struct side *w = &k->v[i];
            if (row->not_after >= w->row.this_update && crl_scope_at(w->scope, &place))
                e = feed(k, w, &now, row);
        }
    }
    e = e == TM_ENOTFOUND ? TM_OK : e;
    for (size_t i = 0; i < k->n && e == TM_OK && !k->found->all; i++)
        e = feed(k, &k->v[i], NULL, NULL);
    crl_listing_close(&l);
    /* What it says is known now, and so is what it does not. */
    for (size_t i = 0; i < k->n && e == TM_OK && !k->found->all; i++)
        status_published(k->h, k->x, k->v[i].scope->name, crl_number_value(k->v[i].row.number), 0);
    sides_close(k);
    return e;
}

tm_err crl_look(struct crl_dirty *found, struct house *h, const struct authority *x,
                const struct crl_scope *scopes, size_t n, struct diag *diag)
{
    struct look *k = calloc(1, sizeof *k);
    if (!k)
        return TM_ENOMEM;
    *k = (struct look){.found = found, .h = h, .x = x, .ends_from = INT64_MAX, .a = arena_new(0)};
    tm_err e = k->a ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; i < n && e == TM_OK && !found->all; i++) {
        if (scopes[i].delta || scopes[i].indirect || !crl_scope_follows(&scopes[i]))
            continue;
        e = side_open(k, &scopes[i], diag);
        e = e == TM_ENOTFOUND ? TM_OK : e;
        if (e == TM_OK && (k->n == SIDES_MAX || k->octets > SIDES_OCTETS_MAX))
            e = walk(k, diag);
    }
    if (e == TM_OK && k->n && !found->all)
        e = walk(k, diag);
    sides_close(k);
    arena_free(k->a);
    free(k);
    return e;
}
