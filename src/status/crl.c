#include "status/crl.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "issue/chain.h"
#include "issue/house.h"
#include "keys/signer.h"
#include "register/register.h"
#include "status/crl_impl.h"
#include "status/scope.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include <stdlib.h>
#include <string.h>

enum { PAGE = 2000 };

/* ---- what is published ---- */

tm_err crl_current_of(struct crl_row *ret, struct arena *a, struct house *h, const struct authority *x,
                      const char *scope)
{
    struct store_read r = {
        .kind = READ_CRL, .tenant = x->tenant, .arena = a, .name = x->name, .name2 = scope};
    TM_TRY(store_read_now(h->store, &r));
    *ret = r.crl;
    return TM_OK;
}

tm_err crl_current(struct crl_row *ret, struct arena *a, struct house *h, const struct authority *x)
{
    return crl_current_of(ret, a, h, x, "full");
}

int64_t crl_number_value(struct slice magnitude)
{
    int64_t v = 0;
    while (magnitude.n && magnitude.p[0] == 0)
        magnitude = slice_sub(magnitude, 1, magnitude.n);
    if (magnitude.n > 7)
        return INT64_MAX;
    for (size_t i = 0; i < magnitude.n; i++)
        v = v << 8 | magnitude.p[i];
    return v;
}

/* ---- the list of revoked certificates, page by page ---- */

struct revoked {
    struct house *h;
    const struct authority *x;
    int64_t ends_from; /* certificates that ended before this are left out */
    struct arena *page;
    uint8_t after[CERT_SERIAL_LEN];
    struct store_read r;
    size_t i;
    bool begun;
};

static tm_err revoked_page(struct revoked *it, struct diag *diag)
{
    struct slice after = {0};
    uint8_t next[64];
    if (it->begun) {
        struct slice from = it->r.page_next;
        if (from.n == 0 || from.n > sizeof next)
            return diag_fail(diag, TM_EINTERNAL, NULL, NULL,
                             "the store has more but does not say from where");
        memcpy(next, from.p, from.n);
        after = slice_of(next, from.n);
    }
    arena_reset(it->page);
    struct slice kept;
    TM_TRY(arena_copy(&kept, it->page, after));
    it->r = (struct store_read){
        .kind = READ_REVOKED,
        .tenant = it->x->tenant,
        .arena = it->page,
        .filter = {.authority = it->x->name, .not_after_from = it->ends_from, .revoked = 1, .source = -1},
        .after = kept,
        .limit = PAGE,
    };
    it->i = 0;
    it->begun = true;
    tm_err e = store_read_now(it->h->store, &it->r);
    if (e != TM_OK && diag)
        *diag = it->r.diag;
    return e;
}

/* TM_ENOTFOUND at the end. */
static tm_err revoked_next(struct revoked *it, const struct cert_row **ret, struct diag *diag)
{
    while (!it->begun || it->i == it->r.n) {
        if (it->begun && !it->r.more)
            return TM_ENOTFOUND;
        TM_TRY(revoked_page(it, diag));
    }
    *ret = &it->r.certs[it->i++];
    return TM_OK;
}

/* ---- building ---- */

struct making {
    struct house *h;
    const struct authority *x;
    const struct crl_scope *scope;
    struct crl_row base; /* of a delta: the complete one that it goes with */
    struct buf tbs;
    size_t n;
    int64_t number, this_update, next_update;
};

/* A row's serial as INTEGER contents. */
static struct slice integer_contents(uint8_t out[CERT_SERIAL_MAX + 1], struct slice magnitude)
{
    while (magnitude.n > 1 && magnitude.p[0] == 0)
        magnitude = slice_sub(magnitude, 1, magnitude.n);
    if (magnitude.n == 0 || magnitude.n > CERT_SERIAL_MAX)
        return (struct slice){0};
    size_t pad = magnitude.p[0] & 0x80 ? 1 : 0;
    out[0] = 0;
    memcpy(out + pad, magnitude.p, magnitude.n);
    return slice_of(out, magnitude.n + pad);
}

static tm_err put_entries(struct crl_builder *b, struct making *m, int64_t ends_from, struct diag *diag)
{
    struct revoked it = {.h = m->h, .x = m->x, .ends_from = ends_from, .page = arena_new(0)};
    if (!it.page)
        return TM_ENOMEM;
    const struct cert_row *row;
    tm_err e;
    while ((e = revoked_next(&it, &row, diag)) == TM_OK) {
        uint8_t octets[CERT_SERIAL_MAX + 1];
        struct crl_entry entry = {.serial = integer_contents(octets, row->serial),
                                  .revoked_at = row->revoked_at,
                                  .reason = row->reason};
        if (entry.serial.n == 0 || !crl_scope_has(m->scope, m->x, row->id))
            continue;
        crl_build_entry(b, &entry);
        m->n++;
    }
    arena_free(it.page);
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* What the complete one lists and the inventory does not: taken off hold since, or expired, which a delta need not say. */
static tm_err put_gone(struct crl_builder *b, struct making *m, const struct crl_entry *was, struct arena *a)
{
    if (was->reason != CRL_CERTIFICATE_HOLD || was->serial.n > CERT_SERIAL_LEN)
        return TM_OK;
    struct store_read r = {.kind = READ_CERT, .tenant = m->x->tenant, .arena = a};
    memcpy(r.id + CERT_SERIAL_LEN - was->serial.n, was->serial.p, was->serial.n);
    tm_err e = store_read_now(m->h->store, &r);
    if (e == TM_OK && r.n && !r.certs[0].revoked_at && r.certs[0].not_after >= m->base.this_update) {
        struct crl_entry released = {
            .serial = was->serial, .revoked_at = was->revoked_at, .reason = CRL_REMOVE_FROM_CRL};
        crl_build_entry(b, &released);
        m->n++;
    }
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* RFC 5280 5.2.4: what differs from the complete one. Both stand in the order of the inventory, that of serials as numbers of 16 octets. */
static tm_err put_changes(struct crl_builder *b, struct making *m, struct diag *diag)
{
    struct revoked it = {.h = m->h, .x = m->x, .ends_from = m->base.this_update, .page = arena_new(0)};
    struct arena *a = arena_new(0);
    struct crl then;
    struct crl_iter old;
    struct crl_entry was;
    tm_err e = it.page && a ? crl_parse(&then, m->base.der, diag) : TM_ENOMEM, eo = TM_ENOTFOUND;
    if (e == TM_OK) {
        crl_iter_init(&old, &then, diag);
        eo = crl_next(&old, &was);
    }
    const struct cert_row *row;
    while (e == TM_OK && (e = revoked_next(&it, &row, diag)) == TM_OK) {
        uint8_t octets[CERT_SERIAL_MAX + 1];
        struct crl_entry now = {.serial = integer_contents(octets, row->serial),
                                .revoked_at = row->revoked_at,
                                .reason = row->reason};
        while (e == TM_OK && eo == TM_OK && slice_cmp(was.serial, now.serial) < 0) {
            e = put_gone(b, m, &was, a);
            eo = crl_next(&old, &was);
        }
        bool listed = eo == TM_OK && slice_eq(was.serial, now.serial);
        if (now.serial.n && !(listed && was.reason == now.reason && was.revoked_at == now.revoked_at)) {
            crl_build_entry(b, &now);
            m->n++;
        }
        if (listed)
            eo = crl_next(&old, &was);
    }
    for (e = e == TM_ENOTFOUND ? TM_OK : e; e == TM_OK && eo == TM_OK; eo = crl_next(&old, &was))
        e = put_gone(b, m, &was, a);
    arena_free(it.page);
    arena_free(a);
    return e == TM_OK && eo != TM_ENOTFOUND ? eo : e;
}

/* An expired certificate has to be on one CRL after its end (RFC 5280 3.3): whatever ended before the last CRL was made has been. */
static tm_err build(struct making *m, const struct crl_row *last, struct diag *diag)
{
    const struct authority *x = m->x;
    const struct crl_scope *s = m->scope;
    struct arena *a = arena_new(0);
    uint8_t number[7];
    for (int i = 0; i < 7; i++)
        number[i] = (uint8_t)((uint64_t)m->number >> (8 * (6 - i)));
    struct tbs_crl t = {.sigalg = sig_alg_info(x->sig_alg)->algid,
                        .issuer = x->cert.subject,
                        .this_update = m->this_update,
                        .next_update = m->next_update,
                        .akid = x->key_id,
                        .number = SLICE_ARR(number)};
    const char *url = a ? house_crl_list_url(a, m->h, x, s->count ? s->name : "delta") : NULL;
    tm_err e = url ? TM_OK : TM_ENOMEM;
    if (e == TM_OK && s->count && !url[0])
        e = diag_fail(diag, TM_EINVAL, NULL, x->name, "the shards of \"%s\" have lost their address",
                      x->name);
    if (e == TM_OK) {
        struct crl_builder b;
        if (s->count)
            t.idp_url = url; /* the very name in its certificates (RFC 5280 6.3.3 b 2 i) */
        else if (s->delta)
            t.base = m->base.number;
        else if (x->crl_delta && url[0])
            t.freshest_url = url;
        crl_build_begin(&b, &m->tbs, &t);
        e = s->delta ? put_changes(&b, m, diag)
                     : put_entries(&b, m, last ? last->this_update : m->this_update, diag);
        if (e == TM_OK)
            e = crl_build_end(&b);
    }
    arena_free(a);
    return e;
}

/* ---- signing and recording ---- */

tm_err crl_record(struct house *h, const struct authority *x, const struct crl_record *c, struct arena *a,
                  struct diag *diag)
{
    struct effect effects[2] = {{.kind = EFFECT_CRL_PUT,
                                 .tenant = x->tenant,
                                 .u.crl = {.authority = x->name,
                                           .shard = c->scope ? c->scope : "full",
                                           .number = c->number,
                                           .this_update = c->this_update,
                                           .next_update = c->next_update,
                                           .der = c->der}}};
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(x->name)},
        {.key = "entries", .kind = EVENT_INT, .i = (int64_t)c->entries},
        {.key = "kind", .kind = EVENT_STR, .s = SLICE_LIT("crl")},
        {.key = "next_update", .kind = EVENT_INT, .i = c->next_update},
        {.key = "number", .kind = EVENT_INT, .i = crl_number_value(c->number)},
        {.key = "shard", .kind = EVENT_STR, .s = slice_str(c->scope ? c->scope : "full")},
        {.key = "tbs", .kind = EVENT_HEX, .s = slice_of(c->tbs_hash, 32)},
        {.key = "this_update", .kind = EVENT_INT, .i = c->this_update},
        /* A pre-signed CRL stands in the chain of the offline bundle. */
        {.key = c->chain_seq ? "chain" : NULL, .kind = EVENT_INT, .i = (int64_t)c->chain_seq},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    char *about = arena_printf(a, "authority/%s", x->name);
    if (!about)
        return TM_ENOMEM;
    TM_TRY(register_event_effect(&effects[1], a, x->tenant, "crl.published", about, body, clock_now_ms()));
    TM_TRY(house_commit(h, effects, 2, diag));
    status_forget(h, x);
    log_info(NULL, "crl.published", LOG_S("authority", x->name), LOG_S("scope", c->scope ? c->scope : "full"),
             LOG_I("tenant", (int64_t)x->tenant), LOG_I("number", crl_number_value(c->number)),
             LOG_I("entries", (int64_t)c->entries), LOG_I("next_update", c->next_update));
    return TM_OK;
}

static tm_err sign_and_record(struct making *m, struct sign_op *op, struct arena *a, struct diag *diag)
{
    struct house *h = m->h;
    const struct authority *x = m->x;
    *op = (struct sign_op){
        .kind = SIGN_CRL, .key_id = x->key_ref, .alg = x->sig_alg, .tbs = buf_slice(&m->tbs)};
    tm_err e = signer_sign(h->signer, op);
    if (e != TM_OK) {
        if (diag)
            *diag = op->diag;
        return e;
    }
    chain_signed(h->chain, op->chain_seq, op->chain_hash);
    uint8_t number[7];
    for (int i = 0; i < 7; i++)
        number[i] = (uint8_t)((uint64_t)m->number >> (8 * (6 - i)));
    struct buf der;
    buf_init(&der, CRL_DER_MAX);
    e = signed_assemble(&der, buf_slice(&m->tbs), sig_alg_info(x->sig_alg)->algid,
                        slice_of(op->signature, op->signature_n));
    struct crl_record c = {.scope = m->scope->name,
                           .number = SLICE_ARR(number),
                           .this_update = m->this_update,
                           .next_update = m->next_update,
                           .der = buf_slice(&der),
                           .entries = m->n,
                           .tbs_hash = op->tbs_hash,
                           .chain_seq = op->chain_seq};
    while (c.number.n > 1 && c.number.p[0] == 0)
        c.number = slice_sub(c.number, 1, c.number.n);
    if (e == TM_OK)
        e = crl_record(h, x, &c, a, diag);
    buf_done(&der);
    if (e == TM_OK)
        chain_recorded(h->chain, op->chain_seq);
    return e;
}

/* ---- when ---- */

/* Has anything been revoked or released since `last`? The entries a CRL made now would have are compared with those it has. */
static tm_err changed(bool *ret, struct making *m, const struct crl_row *last, struct diag *diag)
{
    struct crl now, then;
    TM_TRY(build(m, last, diag));
    TM_TRY(crl_parse_tbs(&now, buf_slice(&m->tbs), diag));
    TM_TRY(crl_parse(&then, last->der, diag));
    struct crl_iter a, b;
    struct crl_entry x, y = {0};
    if (m->scope->delta) {
        *ret = !slice_eq(now.entries, then.entries);
        return TM_OK;
    }
    crl_iter_init(&a, &now, diag);
    crl_iter_init(&b, &then, diag);
    tm_err ea, eb = TM_OK;
    *ret = false;
    /* Both stand in the order of the inventory. What only the old one has has expired in between, and may stay until the next regular
     * CRL, or was released, which released() finds. */
    while ((ea = crl_next(&a, &x)) == TM_OK) {
        while ((eb = crl_next(&b, &y)) == TM_OK && !slice_eq(x.serial, y.serial))
            ;
        if (eb != TM_OK || x.reason != y.reason || x.revoked_at != y.revoked_at) {
            *ret = true;
            return eb == TM_OK || eb == TM_ENOTFOUND ? TM_OK : eb;
        }
    }
    return ea == TM_ENOTFOUND ? TM_OK : ea;
}

static tm_err released(bool *ret, struct making *m, const struct crl_row *last, struct arena *a,
                       struct diag *diag)
{
    struct crl then;
    struct crl_iter it;
    struct crl_entry y;
    TM_TRY(crl_parse(&then, last->der, diag));
    crl_iter_init(&it, &then, diag);
    tm_err e;
    *ret = false;
    while ((e = crl_next(&it, &y)) == TM_OK) {
        if (y.reason != CRL_CERTIFICATE_HOLD || y.serial.n > CERT_SERIAL_LEN)
            continue;
        struct store_read r = {.kind = READ_CERT, .tenant = m->x->tenant, .arena = a};
        memcpy(r.id + CERT_SERIAL_LEN - y.serial.n, y.serial.p, y.serial.n);
        if (store_read_now(m->h->store, &r) == TM_OK && r.n && !r.certs[0].revoked_at) {
            *ret = true;
            return TM_OK;
        }
    }
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* A delta is due by its own period, and holds for two of them. */
static int64_t period_of(const struct making *m)
{
    return m->scope->delta ? m->x->crl_delta > 60 ? m->x->crl_delta : 60 : m->x->crl_every;
}

static tm_err is_time(bool *ret, struct making *m, enum crl_when when, const struct crl_row *last,
                      struct arena *a, struct diag *diag)
{
    *ret = true;
    if (when == CRL_NOW || !last)
        return TM_OK;
    int64_t due = last->this_update + period_of(m);
    if (due > last->next_update - 60)
        due = last->next_update - 60;
    if (m->this_update >= due)
        return TM_OK;
    *ret = false;
    if (when == CRL_WHEN_DUE) {
        status_due_set(m->h, m->x, m->scope->name, period_of(m), due);
        return TM_OK;
    }
    TM_TRY(changed(ret, m, last, diag));
    buf_reset(&m->tbs);
    m->n = 0;
    if (!*ret && !m->scope->delta)
        TM_TRY(released(ret, m, last, a, diag));
    return TM_OK;
}

/* Complete and delta share one sequence of numbers (RFC 5280 5.2.4), which grows also after a clock that was set back; thisUpdate follows
 * the clock. */
static tm_err choose_number(struct making *m, const struct crl_row *last, struct arena *a)
{
    struct crl_row other = {0};
    m->number = clock_now_ms();
    m->this_update = m->number / 1000;
    if (last && crl_number_value(last->number) >= m->number)
        m->number = crl_number_value(last->number) + 1;
    if (!m->x->crl_delta || m->scope->count)
        return TM_OK;
    tm_err e = crl_current_of(&other, a, m->h, m->x, m->scope->delta ? "full" : "delta");
    if (e != TM_OK && e != TM_ENOTFOUND)
        return e;
    if (e == TM_OK && crl_number_value(other.number) >= m->number)
        m->number = crl_number_value(other.number) + 1;
    m->base = other;
    return TM_OK;
}

static tm_err publish(struct making *m, enum crl_when when, bool *ret_published, struct arena *a,
                      struct diag *diag)
{
    struct crl_row row, *last = &row;
    tm_err e = crl_current_of(&row, a, m->h, m->x, m->scope->name);
    if (e == TM_ENOTFOUND)
        last = NULL;
    if (e == TM_OK || e == TM_ENOTFOUND)
        e = choose_number(m, last, a);
    if (e != TM_OK)
        return diag_fail(diag, e, NULL, NULL, "the last CRL of %s can't be read", m->x->name);
    if (m->scope->delta && m->base.der.n == 0)
        return TM_OK; /* nothing yet that it could be a delta to */
    int64_t life =
        m->scope->delta && 2 * period_of(m) < m->x->crl_lifetime ? 2 * period_of(m) + 60 : m->x->crl_lifetime;
    int64_t end = m->this_update + life;
    m->next_update = end < m->x->cert.not_after ? end : m->x->cert.not_after;
    if (m->next_update <= m->this_update)
        return TM_OK; /* the CA has expired: nobody asks any more */
    bool now;
    TM_TRY(is_time(&now, m, when, last, a, diag));
    if (!now)
        return TM_OK;
    TM_TRY(build(m, last, diag));
    struct sign_op *op = arena_calloc(a, 1, sizeof *op);
    if (!op)
        return TM_ENOMEM;
    TM_TRY(house_signing_begin(m->h, diag));
    e = sign_and_record(m, op, a, diag);
    house_signing_end(m->h);
    TM_TRY(e);
    *ret_published = true;
    return TM_OK;
}

static tm_err publish_scope(struct house *h, const struct authority *x, const struct crl_scope *s,
                            enum crl_when when, bool *ret_published, struct diag *diag)
{
    struct arena *a = arena_new(CRL_DER_MAX);
    if (!a)
        return TM_ENOMEM;
    struct making m = {.h = h, .x = x, .scope = s};
    buf_init(&m.tbs, CRL_DER_MAX);
    tm_err e = x->offline ? crl_series_publish(h, x, ret_published, a, diag)
                          : publish(&m, when, ret_published, a, diag);
    buf_done(&m.tbs);
    arena_free(a);
    return e;
}

static bool is_dirty(const struct crl_dirty *d, const struct authority *x, const struct crl_scope *s)
{
    for (size_t i = 0; d && i < d->n; i++)
        if (d->v[i].tenant == x->tenant && strcmp(d->v[i].authority, x->name) == 0 &&
            strcmp(d->v[i].scope, s->name) == 0)
            return true;
    return !d || d->all;
}

/* What a revocation changes: its shard, and the delta or, where there is none, the complete one. */
static enum crl_when when_of(enum crl_when when, const struct authority *x, const struct crl_scope *s,
                             const struct crl_dirty *dirty)
{
    bool complete = !s->count && !s->delta;
    if (when == CRL_WHEN_CHANGED && ((complete && x->crl_delta) || (s->count && !is_dirty(dirty, x, s))))
        return CRL_WHEN_DUE;
    return when;
}

static tm_err publish_authority(struct house *h, const struct authority *x, enum crl_when when,
                                const struct crl_dirty *dirty, bool *ret_published, struct diag *diag)
{
    struct crl_scope *v = calloc(CRL_SCOPES_MAX, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    size_t n = x->offline ? 1 : crl_scopes(v, CRL_SCOPES_MAX, x);
    if (x->offline)
        v[0] = (struct crl_scope){.name = "full"};
    tm_err first = TM_OK;
    bool any = false, complete = false;
    for (size_t i = 0; i < n; i++) {
        bool published = false;
        /* A complete one makes the delta to the one before it useless. */
        enum crl_when w = v[i].delta && complete ? CRL_NOW : when_of(when, x, &v[i], dirty);
        if (w == CRL_WHEN_DUE && !x->offline &&
            clock_now() < status_due_at(h, x, v[i].name, v[i].delta ? x->crl_delta : x->crl_every))
            continue;
        tm_err e = publish_scope(h, x, &v[i], w, &published, first == TM_OK ? diag : NULL);
        if (e != TM_OK && first == TM_OK)
            first = e;
        any |= published;
        complete |= published && !v[i].count && !v[i].delta;
    }
    free(v);
    *ret_published = any;
    return first;
}

tm_err crl_publish(struct house *h, const struct authority *x, enum crl_when when, bool *ret_published,
                   struct diag *diag)
{
    bool published = false;
    tm_err e = publish_authority(h, x, when, NULL, &published, diag);
    if (e == TM_OK && ret_published)
        *ret_published = published;
    return e;
}

static tm_err publish_all(struct house *h, enum crl_when when, const struct crl_dirty *dirty,
                          struct diag *diag)
{
    struct catalog *cat = house_catalog(h);
    const struct authority *const *v;
    size_t n = catalog_authorities(cat, &v);
    tm_err first = TM_OK;
    for (size_t i = 0; i < n; i++) {
        struct diag why = {0};
        bool published;
        tm_err e = publish_authority(h, v[i], when, dirty, &published, &why);
        if (e != TM_OK && first == TM_OK) {
            first = e;
            TM_IGNORE(diag_fail(diag, e, why.rule, v[i]->name, "CRL of %s: %s", v[i]->name,
                                why.message[0] ? why.message : tm_err_name(e)));
        }
    }
    catalog_unref(cat);
    return first;
}

tm_err crl_publish_all(struct house *h, enum crl_when when, struct diag *diag)
{
    return publish_all(h, when, NULL, diag);
}

/* ---- jobs ---- */

/* Only the shards that something was revoked in; what could not be published is looked at again. */
static tm_err publish_dirty(struct house *h, struct diag *diag)
{
    struct crl_dirty *dirty = calloc(1, sizeof *dirty);
    if (!dirty)
        return TM_ENOMEM;
    status_dirty_take(h, dirty);
    tm_err e = publish_all(h, CRL_WHEN_CHANGED, dirty, diag);
    if (e != TM_OK)
        status_dirty_all(h);
    free(dirty);
    return e;
}

static tm_err publish_due(struct house *h, struct diag *diag)
{
    TM_TRY(crl_shards_follow(h, diag));
    return status_first_look(h) ? publish_dirty(h, diag) : crl_publish_all(h, CRL_WHEN_DUE, diag);
}

static tm_err publish_changed(struct house *h, struct diag *diag)
{
    return publish_dirty(h, diag);
}

static const struct job due_job = {.name = "crl.due", .period_ms = 5000, .run = publish_due};
static const struct job publish_job = {
    .name = "crl.publish", .period_ms = 3600 * 1000, .run = publish_changed};
static const struct job series_job = {
    .name = "crl.series", .period_ms = 3600 * 1000, .run = crl_series_watch};
const struct job *const status_jobs[] = {&due_job, &publish_job, &series_job, NULL};
