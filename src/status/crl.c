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
#include "status/crl_file.h"
#include "status/crl_impl.h"
#include "status/crl_make.h"
#include "status/reach.h"
#include "status/scope.h"
#include "x509/crl.h"
#include <stdlib.h>
#include <string.h>

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
                                           .der = c->der,
                                           .file = c->file,
                                           .size = c->size,
                                           .entries = (int64_t)c->entries}}};
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
    reach_list(h, x, c->scope ? c->scope : "full", c->as_of_ms ? c->as_of_ms : c->this_update * 1000);
    log_info(NULL, "crl.published", LOG_S("authority", x->name), LOG_S("scope", c->scope ? c->scope : "full"),
             LOG_I("tenant", (int64_t)x->tenant), LOG_I("number", crl_number_value(c->number)),
             LOG_I("entries", (int64_t)c->entries), LOG_I("next_update", c->next_update));
    return TM_OK;
}

static tm_err sign_and_record(struct crl_making *m, struct sign_op *op, struct diag *diag)
{
    struct house *h = m->h;
    const struct authority *x = m->x;
    struct crl_out *o = &m->out;
    *op = (struct sign_op){.kind = SIGN_CRL,
                           .key_id = x->key_ref,
                           .alg = x->sig_alg,
                           .tbs = o->tbs,
                           .file = o->fd >= 0 ? &o->file : NULL};
    tm_err e = signer_sign(h->signer, op);
    if (e != TM_OK) {
        if (diag)
            *diag = op->diag;
        return e;
    }
    chain_signed(h->chain, op->chain_seq, op->chain_hash);
    struct buf der;
    char file[CRL_FILE_NAME];
    buf_init(&der, CRL_DER_MAX);
    e = crl_out_sign(o, op, sig_alg_info(x->sig_alg)->algid, &der, file, diag);
    struct crl_record c = {.scope = m->scope->name,
                           .number = SLICE_ARR(m->number_octets),
                           .this_update = m->this_update,
                           .as_of_ms = m->as_of_ms,
                           .next_update = m->next_update,
                           .der = buf_slice(&der),
                           .file = file,
                           .size = file[0] ? o->size : 0,
                           .entries = m->n,
                           .tbs_hash = op->tbs_hash,
                           .chain_seq = op->chain_seq};
    while (c.number.n > 1 && c.number.p[0] == 0)
        c.number = slice_sub(c.number, 1, c.number.n);
    if (e == TM_OK)
        e = crl_record(h, x, &c, m->a, diag);
    buf_done(&der);
    if (e != TM_OK)
        return e;
    crl_out_keep(o);
    chain_recorded(h->chain, op->chain_seq);
    if (m->last && m->last->file && strcmp(m->last->file, file) != 0)
        crl_file_remove(h, m->last->file);
    status_published(h, x, m->scope->name, m->number, clock_mono_ns() - m->begun_ns);
    return TM_OK;
}

/* ---- when ---- */

enum what {
    KEEP,   /* the list that there is says it all */
    MERGED, /* made from the one that there is */
    ANEW,   /* to be made from the inventory */
};

/* Whether a list is to be made, and how. Regular ones are read from the store anew; between them what was revoked or released since is put into the one
 * that there is, as long as this process knows what that was. */
static tm_err choose(enum what *ret, struct crl_making *m, enum crl_when when, struct diag *diag)
{
    const struct crl_row *last = m->last;
    const struct crl_scope *s = m->scope;
    bool differs;
    *ret = ANEW;
    if (when == CRL_NOW || !last || (crl_row_is_file(last) && !crl_row_there(m->h, last)))
        return TM_OK;
    int64_t due = last->this_update + s->every;
    if (due > last->next_update - 60)
        due = last->next_update - 60;
    if (clock_now() >= due)
        return TM_OK;
    *ret = KEEP;
    if (when == CRL_WHEN_DUE) {
        status_due_set(m->h, m->x, s->name, s->every, due);
        return TM_OK;
    }
    bool known = m->dirty && !m->dirty->all && !s->delta && !s->indirect &&
                 status_published_last(m->h, m->x, s->name) == crl_number_value(last->number);
    if (known) {
        tm_err e = crl_make_merged(&differs, m, diag);
        *ret = e == TM_OK && differs ? MERGED : KEEP;
        if (e != TM_EUNSUPPORTED)
            return e;
        crl_making_reset(m);
    }
    TM_TRY(crl_changed(&differs, m, diag));
    crl_making_reset(m);
    *ret = differs ? ANEW : KEEP;
    return TM_OK;
}

/* A complete list and its delta share one sequence of numbers (RFC 5280 5.2.4), which does not go back, also after a clock that was set back. */
static tm_err choose_number(struct crl_making *m)
{
    struct crl_row other = {0};
    char pair[CRL_LIST_NAME_MAX];
    m->number = clock_now_ms();
    m->as_of_ms = under_way_as_of(&m->h->under_way);
    if (m->last && crl_number_value(m->last->number) >= m->number)
        m->number = crl_number_value(m->last->number) + 1;
    if (m->scope->delta || m->scope->has_delta) {
        crl_scope_pair(pair, m->scope);
        tm_err e = crl_current_of(&other, m->a, m->h, m->x, pair);
        if (e != TM_OK && e != TM_ENOTFOUND)
            return e;
        if (e == TM_OK && crl_number_value(other.number) >= m->number)
            m->number = crl_number_value(other.number) + 1;
    }
    m->base = other;
    crl_making_date(m);
    return TM_OK;
}

static void note_clock(const struct crl_making *m)
{
    enum { NOTABLE = 300 };
    int64_t ahead = m->this_update - clock_now();
    if (ahead > NOTABLE)
        log_write(LOG_WARN, NULL, "crl.clock",
                  (const struct log_field[]){LOG_S("authority", m->x->name),
                                             LOG_I("seconds", ahead),
                                             LOG_S("why", "the clock is behind the last CRL's thisUpdate"),
                                             {.kind = LOG_FIELD_END}});
}

/* ---- one list ---- */

static tm_err prepare(enum what *ret, struct crl_making *m, enum crl_when when, struct diag *diag)
{
    struct crl_row *row = arena_calloc(m->a, 1, sizeof *row);
    tm_err e = row ? crl_current_of(row, m->a, m->h, m->x, m->scope->name) : TM_ENOMEM;
    *ret = KEEP;
    m->last = e == TM_OK ? row : NULL;
    if (e == TM_OK || e == TM_ENOTFOUND)
        e = choose_number(m);
    if (e != TM_OK)
        return diag_fail(diag, e, NULL, NULL, "the last CRL of %s can't be read", m->x->name);
    if (m->scope->delta && m->base.number.n == 0)
        return TM_OK; /* nothing yet that it could be a delta to */
    if (m->next_update <= m->this_update)
        return TM_OK; /* the CA has expired: nobody asks any more */
    return choose(ret, m, when, diag);
}

static tm_err finish(struct crl_making *m, struct diag *diag)
{
    note_clock(m);
    struct sign_op *op = arena_calloc(m->a, 1, sizeof *op);
    if (!op)
        return TM_ENOMEM;
    TM_TRY(house_signing_begin(m->h, diag));
    tm_err e = sign_and_record(m, op, diag);
    house_signing_end(m->h);
    return e;
}

static struct crl_making *making_new(struct house *h, const struct authority *x, const struct crl_scope *s,
                                     const struct crl_dirty *dirty)
{
    struct arena *a = arena_new(CRL_DER_MAX);
    struct crl_making *m = a ? arena_calloc(a, 1, sizeof *m) : NULL;
    if (!m) {
        arena_free(a);
        return NULL;
    }
    *m = (struct crl_making){
        .h = h, .x = x, .scope = s, .dirty = dirty, .a = a, .begun_ns = clock_mono_ns(), .out = {.fd = -1}};
    return m;
}

static void making_free(struct crl_making *m)
{
    if (!m)
        return;
    crl_out_done(&m->out);
    arena_free(m->a);
}

/* ---- several that are made in one walk through the inventory ---- */

enum { GROUP_MAX = 16 };
struct group {
    struct crl_making *v[GROUP_MAX];
    size_t n;
    tm_err first; /* what went wrong first, and why */
    struct diag *diag;
    bool any;
};

static void note(struct group *g, tm_err e)
{
    if (e != TM_OK && g->first == TM_OK)
        g->first = e;
}

static struct diag *diag_of(const struct group *g)
{
    return g->first == TM_OK ? g->diag : NULL;
}

static void group_publish(struct group *g)
{
    tm_err e = g->n ? crl_make(g->v, g->n, diag_of(g)) : TM_OK;
    note(g, e);
    for (size_t i = 0; i < g->n; i++) {
        tm_err done = e == TM_OK ? finish(g->v[i], diag_of(g)) : e;
        note(g, done);
        g->any |= done == TM_OK;
        making_free(g->v[i]);
    }
    g->n = 0;
}

/* *ret_made: it is published. One that others can be made along with waits for them in the group, if it may. */
static void publish_scope(struct group *g, struct house *h, const struct authority *x,
                          const struct crl_scope *s, enum crl_when when, const struct crl_dirty *dirty,
                          bool may_wait, bool *ret_made)
{
    enum what what = KEEP;
    *ret_made = false;
    struct crl_making *m = making_new(h, x, s, dirty);
    tm_err e = m ? prepare(&what, m, when, diag_of(g)) : TM_ENOMEM;
    if (e == TM_OK && what == ANEW && may_wait && s->count && !s->delta && !s->has_delta) {
        if (g->n == GROUP_MAX)
            group_publish(g);
        g->v[g->n++] = m;
        return;
    }
    if (e == TM_OK && what == ANEW)
        e = crl_make(&m, 1, diag_of(g));
    if (e == TM_OK && what != KEEP)
        e = finish(m, diag_of(g));
    note(g, e);
    *ret_made = e == TM_OK && what != KEEP;
    g->any |= *ret_made;
    making_free(m);
}

/* ---- all of an authority ---- */

static bool of_scope(const struct crl_dirty_id *d, const struct authority *x, const struct crl_scope *s)
{
    if (d->tenant != x->tenant)
        return false;
    for (size_t i = 0; s->indirect && i < x->n_crl_for; i++)
        if (strcmp(d->authority, x->crl_for[i]->name) == 0)
            return true;
    return !s->indirect && strcmp(d->authority, x->name) == 0 && crl_scope_has(s, x, d->id, d->list);
}

static bool is_dirty(const struct crl_dirty *d, const struct authority *x, const struct crl_scope *s)
{
    for (size_t i = 0; d && !d->all && i < d->n; i++)
        if (of_scope(&d->v[i], x, s))
            return true;
    return !d || d->all;
}

/* What a revocation changes: its shard or its profile's list, and the complete one, or the deltas to them where there are such; and the list of several
 * issuers. Not those that are made by the clock alone. */
static enum crl_when when_of(struct house *h, const struct authority *x, const struct crl_scope *s,
                             enum crl_when when, const struct crl_dirty *dirty)
{
    if (when == CRL_WHEN_CHANGED) {
        bool dirty_here = is_dirty(dirty, x, s);
        if (dirty_here && !crl_scope_follows(s)) {
            status_outdated(h, x, s->name);
            when = CRL_WHEN_DUE;
        } else if (!dirty_here) {
            when = CRL_WHEN_DUE;
        } else if (!s->count && !s->delta && !s->indirect && x->n_shards && dirty && !dirty->all &&
                   status_put_off(h, x, s->name)) {
            when = CRL_WHEN_DUE; /* with shards nobody waits for the complete one */
        }
    }
    return when == CRL_WHEN_DUE && status_put_off_over(h, x, s->name) ? CRL_NOW : when;
}

static void publish_scopes(struct group *g, struct house *h, const struct authority *x,
                           const struct crl_scope *v, size_t n, enum crl_when when,
                           const struct crl_dirty *dirty)
{
    struct crl_dirty found = {.taken_ms = dirty ? dirty->taken_ms : 0};
    bool looked = false, complete = false;
    if (when == CRL_WHEN_CHANGED && dirty && dirty->all && n > 1) {
        tm_err e = crl_look(&found, h, x, v, n, diag_of(g));
        note(g, e);
        looked = e == TM_OK && !found.all;
    }
    for (size_t i = 0; i < n; i++) {
        const struct crl_scope *s = &v[i];
        const struct crl_dirty *changes = looked && !s->delta && !s->indirect ? &found : dirty;
        /* A complete one makes the delta to the one before it useless. */
        enum crl_when w = s->delta && complete ? CRL_NOW : when_of(h, x, s, when, changes);
        complete = false;
        status_seen(h, x, s->name);
        if (w == CRL_WHEN_DUE && clock_now() < status_due_at(h, x, s->name, s->every))
            continue;
        publish_scope(g, h, x, s, w, changes, true, &complete);
    }
    group_publish(g);
    free(found.v);
}

static tm_err publish_authority(struct house *h, const struct authority *x, enum crl_when when,
                                const struct crl_dirty *dirty, bool *ret_published, struct diag *diag)
{
    struct crl_scope *v = calloc(CRL_SCOPES_MAX, sizeof *v);
    struct group g = {.diag = diag};
    if (!v)
        return TM_ENOMEM;
    status_make_begin(h);
    if (x->offline) {
        struct arena *a = arena_new(CRL_DER_MAX);
        g.first = a ? crl_series_publish(h, x, &g.any, a, diag) : TM_ENOMEM;
        arena_free(a);
    } else {
        publish_scopes(&g, h, x, v, crl_scopes(v, CRL_SCOPES_MAX, x), when, dirty);
    }
    status_make_end(h);
    free(v);
    *ret_published = g.any;
    return g.first;
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

tm_err crl_publish_list(struct house *h, const struct authority *x, const char *list, struct diag *diag)
{
    struct crl_scope s;
    struct group g = {.diag = diag};
    bool made;
    if (x->offline || crl_scope_find(&s, x, list) != TM_OK)
        return diag_fail(diag, TM_EINVAL, NULL, NULL, "\"%s\" has no CRL \"%s\"", x->name, list);
    status_make_begin(h);
    publish_scope(&g, h, x, &s, CRL_NOW, NULL, false, &made);
    status_make_end(h);
    return g.first;
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
    status_drop_unseen(h);
    return first;
}

tm_err crl_publish_all(struct house *h, enum crl_when when, struct diag *diag)
{
    return publish_all(h, when, NULL, diag);
}

/* ---- jobs ---- */

/* Only the lists that something was revoked in; what could not be published is tried again. */
static tm_err publish_dirty(struct house *h, struct diag *diag)
{
    struct crl_dirty dirty;
    status_dirty_take(h, &dirty);
    tm_err e = publish_all(h, CRL_WHEN_CHANGED, &dirty, diag);
    if (e == TM_OK) {
        status_dirty_done(h);
        reach_lists_looked(h, dirty.taken_ms);
    } else {
        status_dirty_back(h, &dirty);
    }
    free(dirty.v);
    return e;
}

/* What the documents ask for and can't have stands in nobody's way. */
static tm_err publish_due(struct house *h, struct diag *diag)
{
    struct diag why = {0};
    tm_err (*const follow[])(struct house *, struct diag *) = {crl_shards_follow, crl_lists_follow,
                                                               crl_issuers_follow};
    tm_err first = TM_OK;
    for (size_t i = 0; i < sizeof follow / sizeof *follow; i++) {
        tm_err e = follow[i](h, first == TM_OK ? diag : NULL);
        first = first == TM_OK ? e : first;
    }
    tm_err e = status_dirty_waits(h) ? publish_dirty(h, &why) : crl_publish_all(h, CRL_WHEN_DUE, &why);
    if (first == TM_OK && e != TM_OK)
        *diag = why;
    return first == TM_OK ? e : first;
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
