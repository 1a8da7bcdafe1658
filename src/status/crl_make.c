#include "status/crl_make.h"
#include "base/arena.h"
#include "status/crl_listing.h"
#include "x509/cert.h"
#include <stdlib.h>
#include <string.h>

void crl_making_reset(struct crl_making *m)
{
    crl_out_done(&m->out);
    m->n = 0;
}

/* No later than what it covers; nor does it go back, also after a clock that was set back: then it stands still until the clock has come there again. */
void crl_making_date(struct crl_making *m)
{
    int64_t end = m->x->cert.not_after;
    m->this_update = m->as_of_ms / 1000;
    if (m->last && m->last->this_update > m->this_update)
        m->this_update = m->last->this_update;
    if (m->scope->delta && m->base.this_update > m->this_update)
        m->this_update = m->base.this_update;
    m->next_update = m->this_update + m->scope->lifetime;
    m->next_update = m->next_update < end ? m->next_update : end;
}

static tm_err put(struct crl_making *m, const struct crl_entry *e, struct diag *diag)
{
    m->n++;
    return crl_out_entry(&m->out, e, diag);
}

/* ---- what goes before the entries ---- */

static tm_err begin(struct crl_making *m, struct diag *diag)
{
    const struct authority *x = m->x;
    const struct crl_scope *s = m->scope;
    for (int i = 0; i < 7; i++)
        m->number_octets[i] = (uint8_t)((uint64_t)m->number >> (8 * (6 - i)));
    struct tbs_crl t = {.sigalg = sig_alg_info(x->sig_alg)->algid,
                        .issuer = x->cert.subject,
                        .this_update = m->this_update,
                        .next_update = m->next_update,
                        .akid = x->key_id,
                        .number = SLICE_ARR(m->number_octets),
                        .indirect = s->indirect};
    char named[CRL_LIST_NAME_MAX], delta[CRL_LIST_NAME_MAX];
    crl_scope_named(named, s);
    crl_scope_pair(delta, s);
    const char *url = house_crl_list_url(m->a, m->h, x, named[0] ? named : "full"),
               *delta_url = house_crl_list_url(m->a, m->h, x, delta);
    if (!url || !delta_url)
        return TM_ENOMEM;
    if (named[0] && !url[0])
        return diag_fail(diag, TM_EINVAL, NULL, x->name, "the CRL %s of \"%s\" has lost its address", s->name,
                         x->name);
    if (named[0])
        t.idp_url =
            url; /* the very name in its certificates (RFC 5280 6.3.3 b 2 i), of a delta too (5.2.4) */
    if (s->delta)
        t.base = m->base.number;
    else if (s->has_delta && delta_url[0])
        t.freshest_url = delta_url;
    crl_out_begin(&m->out, m->h->crl_dir, sign_alg_streams(x->sig_alg), &t);
    return TM_OK;
}

/* ---- all of them ---- */

/* An expired certificate has to be on one CRL after its end (RFC 5280 3.3): whatever ended before the last CRL was made has been. */
static int64_t ends_from(const struct crl_making *m)
{
    if (m->scope->delta)
        return m->base.this_update;
    return m->last ? m->last->this_update : m->this_update;
}

/* One walk for all of them. */
static tm_err put_each(struct crl_making *const *v, size_t n, struct diag *diag)
{
    const struct crl_scope all = {.name = "full"};
    struct crl_listing l;
    struct crl_entry entry;
    int64_t from = INT64_MAX;
    for (size_t i = 0; i < n; i++)
        from = ends_from(v[i]) < from ? ends_from(v[i]) : from;
    tm_err e = crl_listing_open(&l, v[0]->h, v[0]->x, &all, from);
    while (e == TM_OK && (e = crl_listing_next(&l, &entry, diag)) == TM_OK) {
        const struct cert_row *row = crl_listing_row(&l);
        const struct crl_place place = crl_place_of(v[0]->x, row->id, row->list);
        for (size_t i = 0; i < n && e == TM_OK; i++)
            if (row->not_after >= ends_from(v[i]) && crl_scope_at(v[i]->scope, &place))
                e = put(v[i], &entry, diag);
    }
    crl_listing_close(&l);
    return e == TM_ENOTFOUND ? TM_OK : e;
}

static tm_err put_all(struct crl_making *m, struct diag *diag)
{
    struct crl_listing l;
    struct crl_entry entry;
    tm_err e = crl_listing_open(&l, m->h, m->x, m->scope, ends_from(m));
    while (e == TM_OK && (e = crl_listing_next(&l, &entry, diag)) == TM_OK)
        e = put(m, &entry, diag);
    crl_listing_close(&l);
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* ---- what differs ---- */

/* One that the older list has and the inventory does not: taken off hold since, or expired, which need not be said. */
static tm_err was_released(bool *ret, struct crl_making *m, const struct crl_entry *was, struct arena *a)
{
    *ret = false;
    struct store_read r = {.kind = READ_CERT, .tenant = m->x->tenant, .arena = a};
    if (was->reason != CRL_CERTIFICATE_HOLD || !serial_pad(r.id, sizeof r.id, was->serial))
        return TM_OK;
    tm_err e = store_read_now(m->h->store, &r);
    if (e == TM_OK && r.n)
        *ret = !r.certs[0].revoked_at && r.certs[0].not_after >= ends_from(m);
    arena_reset(a);
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* Two lists of one issuer side by side, in the order of serials: `now` of the inventory, `was` of a published one; either is NULL where the other
 * alone has it. *ret_go false ends it. */
typedef tm_err compare_fn(bool *ret_go, struct crl_making *m, const struct crl_entry *now,
                          const struct crl_entry *was, struct arena *a, struct diag *diag);

static tm_err compare(struct crl_making *m, const struct crl_row *published, int64_t from, compare_fn *each,
                      struct diag *diag)
{
    struct crl_listing l = {0};
    struct crl_in in;
    struct crl_entry now, was;
    bool go = true;
    struct arena *a = arena_new(0);
    tm_err e = a ? crl_in_open(&in, m->h, published, diag) : TM_ENOMEM;
    if (e != TM_OK) {
        arena_free(a);
        return e;
    }
    e = crl_listing_open(&l, m->h, m->x, m->scope, from);
    tm_err en = e == TM_OK ? crl_listing_next(&l, &now, diag) : e, ew = crl_stream_next(in.s, &was);
    while (e == TM_OK && go && (en == TM_OK || ew == TM_OK)) {
        int order = en != TM_OK ? 1 : ew != TM_OK ? -1 : crl_serial_cmp(now.serial, was.serial);
        if ((en != TM_OK && en != TM_ENOTFOUND) || (ew != TM_OK && ew != TM_ENOTFOUND))
            break;
        e = each(&go, m, order <= 0 ? &now : NULL, order >= 0 ? &was : NULL, a, diag);
        if (e == TM_OK && order <= 0)
            en = crl_listing_next(&l, &now, diag);
        if (e == TM_OK && order >= 0)
            ew = crl_stream_next(in.s, &was);
    }
    crl_listing_close(&l);
    crl_in_close(&in);
    arena_free(a);
    if (e == TM_OK && en != TM_OK && en != TM_ENOTFOUND)
        return en;
    return e == TM_OK && ew != TM_OK && ew != TM_ENOTFOUND ? ew : e;
}

/* RFC 5280 5.2.4: what differs from the complete one. */
static tm_err put_change(bool *ret_go, struct crl_making *m, const struct crl_entry *now,
                         const struct crl_entry *was, struct arena *a, struct diag *diag)
{
    (void)ret_go;
    if (now && was)
        return crl_entry_same(now, was) ? TM_OK : put(m, now, diag);
    if (now)
        return put(m, now, diag);
    bool released;
    TM_TRY(was_released(&released, m, was, a));
    struct crl_entry gone = {
        .serial = was->serial, .revoked_at = was->revoked_at, .reason = CRL_REMOVE_FROM_CRL};
    return released ? put(m, &gone, diag) : TM_OK;
}

/* What only the old one has has expired in between, and may stay until the next regular CRL, or was released. */
static tm_err find_change(bool *ret_go, struct crl_making *m, const struct crl_entry *now,
                          const struct crl_entry *was, struct arena *a, struct diag *diag)
{
    bool differs = true;
    (void)diag;
    if (now && was)
        differs = !crl_entry_same(now, was);
    else if (!now)
        TM_TRY(was_released(&differs, m, was, a));
    *ret_go = !differs;
    m->n += differs; /* whoever asked looks there */
    return TM_OK;
}

static tm_err make_delta(struct crl_making *m, struct diag *diag)
{
    return compare(m, &m->base, ends_from(m), put_change, diag);
}

static tm_err make_one(struct crl_making *m, struct diag *diag)
{
    TM_TRY(begin(m, diag));
    TM_TRY(m->scope->delta ? make_delta(m, diag) : put_all(m, diag));
    return crl_out_end(&m->out, diag);
}

tm_err crl_make(struct crl_making *const *v, size_t n, struct diag *diag)
{
    if (n == 1)
        return make_one(v[0], diag);
    for (size_t i = 0; i < n; i++)
        TM_TRY(begin(v[i], diag));
    TM_TRY(put_each(v, n, diag));
    for (size_t i = 0; i < n; i++)
        TM_TRY(crl_out_end(&v[i]->out, diag));
    return TM_OK;
}

/* Several issuers: entry by entry. */
static tm_err sequence_changed(bool *ret, struct crl_making *m, struct diag *diag)
{
    struct crl_listing l;
    struct crl_in in;
    struct crl_entry now, was;
    TM_TRY(crl_in_open(&in, m->h, m->last, diag));
    tm_err e = crl_listing_open(&l, m->h, m->x, m->scope, ends_from(m)), en = e;
    *ret = false;
    while (e == TM_OK && en == TM_OK && !*ret) {
        en = crl_listing_next(&l, &now, diag);
        tm_err ew = crl_stream_next(in.s, &was);
        *ret = en != ew ||
               (en == TM_OK && (!crl_entry_same(&now, &was) || crl_serial_cmp(now.serial, was.serial) != 0 ||
                                !slice_eq(now.issuer, was.issuer)));
    }
    crl_listing_close(&l);
    crl_in_close(&in);
    return e == TM_OK && en != TM_OK && en != TM_ENOTFOUND ? en : e;
}

static tm_err delta_changed(bool *ret, struct crl_making *m, struct diag *diag)
{
    struct crl now, then;
    *ret = true;
    TM_TRY(make_one(m, diag));
    if (m->out.fd >= 0 || crl_row_is_file(m->last))
        return TM_OK;
    TM_TRY(crl_parse_tbs(&now, m->out.tbs, diag));
    TM_TRY(crl_parse(&then, m->last->der, diag));
    *ret = !slice_eq(now.entries, then.entries);
    return TM_OK;
}

tm_err crl_changed(bool *ret, struct crl_making *m, struct diag *diag)
{
    if (m->scope->delta)
        return delta_changed(ret, m, diag);
    if (m->scope->indirect)
        return sequence_changed(ret, m, diag);
    m->n = 0;
    tm_err e = compare(m, m->last, ends_from(m), find_change, diag);
    *ret = m->n > 0;
    return e;
}

/* ---- the list before, and what has changed since ---- */

struct change {
    bool listed; /* revoked now */
    struct crl_entry entry;
    uint8_t octets[CERT_SERIAL_MAX + 1];
};

static int change_order(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    /* By their octets: what borrows them does not follow them as they are sorted. */
    return crl_serial_cmp(slice_of(x->octets, x->entry.serial.n), slice_of(y->octets, y->entry.serial.n));
}

/* The state of each that is known to have changed, sorted, each once. */
static tm_err read_changes(struct change **ret, size_t *ret_n, struct crl_making *m)
{
    struct change *v = arena_calloc(m->a, m->dirty->n + 1, sizeof *v);
    struct arena *a = arena_new(0);
    size_t n = 0, kept = 0;
    tm_err e = v && a ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; i < m->dirty->n && e == TM_OK; i++) {
        const struct crl_dirty_id *d = &m->dirty->v[i];
        if (d->tenant != m->x->tenant || strcmp(d->authority, m->x->name) != 0 ||
            !crl_scope_has(m->scope, m->x, d->id, d->list))
            continue;
        struct store_read r = {.kind = READ_CERT, .tenant = d->tenant, .arena = a};
        memcpy(r.id, d->id, sizeof r.id);
        e = store_read_now(m->h->store, &r);
        /* A serial that is not the inventory's id stands in the list where nobody looks for it. */
        if (e == TM_OK && !(slice_eq(r.certs[0].serial, SLICE_ARR(r.certs[0].id)) &&
                            crl_entry_of_row(&v[n].entry, v[n].octets, &r.certs[0])))
            e = TM_EUNSUPPORTED;
        if (e == TM_OK)
            v[n++].listed = r.certs[0].revoked_at != 0;
        e = e == TM_ENOTFOUND ? TM_OK : e; /* retention was quicker */
        arena_reset(a);
    }
    arena_free(a);
    TM_TRY(e);
    qsort(v, n, sizeof *v, change_order);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || change_order(&v[kept - 1], &v[i]) != 0)
            v[kept++] = v[i];
    for (size_t i = 0; i < kept; i++) /* they have moved */
        v[i].entry.serial.p = v[i].octets;
    *ret = v;
    *ret_n = kept;
    return TM_OK;
}

static tm_err merge(bool *ret_changed, struct crl_making *m, struct crl_stream *s, const struct change *v,
                    size_t n, struct diag *diag)
{
    struct crl_entry was;
    uint8_t before[CERT_SERIAL_MAX + 1];
    size_t before_n = 0, i = 0;
    tm_err e;
    while ((e = crl_stream_next(s, &was)) == TM_OK) {
        if (was.serial.n > sizeof before ||
            (before_n && crl_serial_cmp(slice_of(before, before_n), was.serial) >= 0))
            return TM_EUNSUPPORTED;
        before_n = was.serial.n;
        memcpy(before, was.serial.p, before_n);
        for (; i < n && crl_serial_cmp(v[i].entry.serial, was.serial) < 0; i++) {
            *ret_changed |= v[i].listed;
            if (v[i].listed)
                TM_TRY(put(m, &v[i].entry, diag));
        }
        bool same = i < n && crl_serial_cmp(v[i].entry.serial, was.serial) == 0;
        const struct crl_entry *put_it = !same ? &was : v[i].listed ? &v[i].entry : NULL;
        *ret_changed |= same && (!put_it || !crl_entry_same(put_it, &was));
        i += same;
        if (put_it)
            TM_TRY(put(m, put_it, diag));
    }
    for (; e == TM_ENOTFOUND && i < n; i++) {
        *ret_changed |= v[i].listed;
        if (v[i].listed)
            TM_TRY(put(m, &v[i].entry, diag));
    }
    return e == TM_ENOTFOUND ? TM_OK : e;
}

tm_err crl_make_merged(bool *ret_changed, struct crl_making *m, struct diag *diag)
{
    struct change *v;
    size_t n;
    struct crl_in in;
    *ret_changed = false;
    /* It covers what the one before does, and what had been told when the changes were taken. */
    m->as_of_ms = m->dirty->taken_ms;
    crl_making_date(m);
    TM_TRY(read_changes(&v, &n, m));
    TM_TRY(begin(m, diag));
    TM_TRY(crl_in_open(&in, m->h, m->last, diag));
    tm_err e = merge(ret_changed, m, in.s, v, n, diag);
    crl_in_close(&in);
    return e == TM_OK && *ret_changed ? crl_out_end(&m->out, diag) : e;
}
