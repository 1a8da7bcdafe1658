#include "status/scope.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "issue/authority_lists.h"
#include "issue/house.h"
#include "register/register.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANGES_MAX = 64, CHANGE_LEN = 12, NOTICE = 60 };

static bool had_before(const struct authority_shards *v, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (v[j].count == v[i].count)
            return true;
    return false;
}

/* ---- which there are ---- */

struct scopes {
    struct crl_scope *v;
    size_t n, max;
};

static struct crl_scope *add(struct scopes *to, const struct crl_scope *s, const char *stem)
{
    if (to->n == to->max)
        return NULL;
    struct crl_scope *x = &to->v[to->n++];
    *x = *s;
    if (s->delta)
        snprintf(x->name, sizeof x->name, "%s%s", stem, stem[0] ? ".delta" : "delta");
    else if (s->count > 1 || (s->count && !s->list))
        snprintf(x->name, sizeof x->name, "%s%s%u-%u", stem, stem[0] ? "." : "", s->count % 1000,
                 s->k % 1000);
    else
        snprintf(x->name, sizeof x->name, "%s", stem[0] ? stem : s->indirect ? "indirect" : "full");
    return x;
}

/* One that is complete and, where it has one, its delta, which is due by its own period and holds for two of them. */
static void add_pair(struct scopes *to, struct crl_scope s, int64_t delta, const char *stem)
{
    s.has_delta = delta != 0;
    add(to, &s, stem);
    if (!delta)
        return;
    s.has_delta = false;
    s.delta = true;
    s.every = delta > 60 ? delta : 60;
    s.lifetime = 2 * s.every < s.lifetime ? 2 * s.every + 60 : s.lifetime;
    add(to, &s, stem);
}

static void add_own(struct scopes *to, const struct authority_list *l)
{
    char stem[CRL_LIST_NAME_MAX];
    struct crl_scope s = {
        .list = l, .every = l->every, .lifetime = l->lifetime, .on_revocation = l->on_revocation};
    snprintf(stem, sizeof stem, "profile-%.63s", l->profile);
    for (size_t i = l->n_shards; i-- > 0;) {
        s.count = l->shards[i].count;
        for (s.k = 0; s.k < s.count && !had_before(l->shards, i); s.k++)
            add_pair(to, s, s.count == 1 ? l->delta : 0, stem);
    }
}

size_t crl_scopes(struct crl_scope *ret, size_t max, const struct authority *x)
{
    struct scopes to = {.v = ret, .max = max < 3 ? 0 : max - 3};
    struct crl_scope s = {
        .every = x->crl_every, .lifetime = x->crl_lifetime, .on_revocation = x->crl_on_revocation};
    for (size_t i = x->n_shards; i-- > 0;) {
        s.count = x->shards[i].count;
        for (s.k = 0; s.k < s.count && !had_before(x->shards, i); s.k++)
            add(&to, &s, "");
    }
    for (size_t i = 0; i < x->n_lists; i++)
        add_own(&to, &x->lists[i]);
    to.max = max;
    s.count = s.k = 0;
    if (x->n_crl_for) {
        s.indirect = true;
        add(&to, &s, "");
        s.indirect = false;
    }
    add_pair(&to, s, x->crl_delta, "");
    return to.n;
}

tm_err crl_scope_find(struct crl_scope *ret, const struct authority *x, const char *name)
{
    struct crl_scope *v = calloc(CRL_SCOPES_MAX, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    size_t n = crl_scopes(v, CRL_SCOPES_MAX, x), i = 0;
    while (i < n && strcmp(v[i].name, name) != 0)
        i++;
    if (i < n)
        *ret = v[i];
    free(v);
    return i < n ? TM_OK : TM_ENOTFOUND;
}

/* "16-3", spelt in one way. */
static bool shard_name_valid(const char *name)
{
    unsigned count, k;
    int end = 0;
    char again[16];
    if (sscanf(name, "%3u-%3u%n", &count, &k, &end) != 2 || name[end] || k >= count ||
        count > AUTHORITY_SHARDS_MAX)
        return false;
    snprintf(again, sizeof again, "%u-%u", count, k);
    return strcmp(again, name) == 0;
}

bool crl_scope_name_valid(const char *name)
{
    static const char own[] = "profile-";
    if (strcmp(name, "full") == 0 || strcmp(name, "delta") == 0 || strcmp(name, "indirect") == 0)
        return true;
    if (strncmp(name, own, sizeof own - 1) != 0)
        return shard_name_valid(name);
    const char *profile = name + sizeof own - 1, *dot = strchr(profile, '.');
    size_t n = dot ? (size_t)(dot - profile) : strlen(profile);
    return name_valid(slice_of(profile, n)) &&
           (!dot || strcmp(dot, ".delta") == 0 || (strcmp(dot, ".1-0") != 0 && shard_name_valid(dot + 1)));
}

struct crl_place crl_place_of(const struct authority *x, const uint8_t *serial, const char *list)
{
    struct crl_place p = {0};
    int64_t issued = crl_issued_at(serial);
    if (list[0])
        p.list = authority_own_list(&p.count, &p.k, x, list, issued);
    else
        p.k = authority_shard(&p.count, x, issued);
    return p;
}

int64_t crl_scope_since(const struct crl_scope *s, const struct authority *x)
{
    const struct authority_shards *v = s->list ? s->list->shards : x->shards;
    size_t n = s->list ? s->list->n_shards : x->n_shards;
    for (size_t i = 0; s->count && i < n; i++)
        if (v[i].count == s->count)
            return v[i].from;
    return 0;
}

void crl_scope_pair(char out[CRL_LIST_NAME_MAX], const struct crl_scope *s)
{
    if (s->list)
        snprintf(out, CRL_LIST_NAME_MAX, "profile-%.63s%s", s->list->profile, s->delta ? "" : ".delta");
    else
        snprintf(out, CRL_LIST_NAME_MAX, "%s", s->delta ? "full" : "delta");
}

void crl_scope_named(char out[CRL_LIST_NAME_MAX], const struct crl_scope *s)
{
    out[0] = '\0';
    if (s->delta && s->list)
        crl_scope_pair(out, s);
    else if (s->count || s->indirect)
        snprintf(out, CRL_LIST_NAME_MAX, "%s", s->name);
}

bool crl_list_follows(const struct authority *x, const char *name)
{
    static const char own[] = "profile-";
    size_t m = sizeof own - 1;
    for (size_t i = 0; i < x->n_lists && strncmp(name, own, m) == 0; i++) {
        const struct authority_list *l = &x->lists[i];
        size_t n = strlen(l->profile);
        if (strncmp(name + m, l->profile, n) == 0 && (name[m + n] == '\0' || name[m + n] == '.'))
            return l->on_revocation && (name[m + n] || !l->delta);
    }
    return x->crl_on_revocation && !(x->crl_delta && strcmp(name, "full") == 0);
}

/* ---- following the document ---- */

static bool follows(const struct authority *x)
{
    unsigned last = x->n_shards ? x->shards[x->n_shards - 1].count : 0;
    return last == x->shards_wanted;
}

static void put_change(uint8_t *p, int64_t from, unsigned count)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)((uint64_t)from >> (56 - 8 * i));
    for (int i = 0; i < 4; i++)
        p[8 + i] = (uint8_t)(count >> (24 - 8 * i));
}

/* With so many shards from now on, would all scopes that certificates name still have their list? */
static bool room_for(const struct authority *x, unsigned wanted)
{
    size_t n = 0;
    bool met = false;
    for (size_t i = 0; i < x->n_shards; i++) {
        n += had_before(x->shards, i) ? 0 : x->shards[i].count;
        met = met || x->shards[i].count == wanted;
    }
    return n + (met ? 0 : wanted) <= CRL_SHARDS_MAX;
}

static tm_err follow(struct house *h, struct arena *a, const struct authority *x, struct diag *diag)
{
    uint8_t all[(CHANGES_MAX + 1) * CHANGE_LEN];
    int64_t from = clock_now() + NOTICE, last = x->n_shards ? x->shards[x->n_shards - 1].from : 0;
    /* A clock that was set back does not move certificates to another shard than the one that they name. */
    from = from > last ? from : last + 1;
    const char *url = house_crl_list_url(a, h, x, "1-0");
    if (!url)
        return TM_ENOMEM;
    if (x->shards_wanted && !url[0])
        return diag_fail(diag, TM_EINVAL, NULL, "/crl/shards",
                         "urls.crl of \"%s\" does not end in full.crl: its shards would have no address",
                         x->name);
    if (!room_for(x, x->shards_wanted))
        return diag_fail(
            diag, TM_ETOOBIG, NULL, "/crl/shards",
            "certificates name so many shards of earlier numbers already that %u more are too many; "
            "go back to one of those",
            x->shards_wanted);
    if (x->n_shards >= CHANGES_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "/crl/shards", "changed more than %d times", CHANGES_MAX);
    for (size_t i = 0; i < x->n_shards; i++)
        put_change(all + i * CHANGE_LEN, x->shards[i].from, x->shards[i].count);
    put_change(all + x->n_shards * CHANGE_LEN, from, x->shards_wanted);
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(x->name)},
        {.key = "from", .kind = EVENT_INT, .i = from},
        {.key = "shards", .kind = EVENT_INT, .i = x->shards_wanted},
        {0},
    };
    struct effect v[2] = {{.kind = EFFECT_META_PUT,
                           .tenant = x->tenant,
                           .u.meta = {arena_printf(a, "crl-shards/%s", x->name),
                                      slice_of(all, (x->n_shards + 1) * CHANGE_LEN)}}};
    struct slice body;
    const char *about = arena_printf(a, "authority/%s", x->name);
    if (!v[0].u.meta.name || !about)
        return TM_ENOMEM;
    TM_TRY(register_event_body(&body, a, fields));
    TM_TRY(register_event_effect(&v[1], a, x->tenant, "authority.shards", about, body, clock_now_ms()));
    TM_TRY(house_commit(h, v, 2, diag));
    log_info(NULL, "crl.shards", LOG_S("authority", x->name), LOG_I("shards", x->shards_wanted),
             LOG_I("from", from));
    return TM_OK;
}

tm_err crl_shards_follow(struct house *h, struct diag *diag)
{
    struct catalog *cat = house_catalog(h);
    const struct authority *const *v;
    size_t n = catalog_authorities(cat, &v), changed = 0;
    tm_err first = TM_OK;
    for (size_t i = 0; i < n; i++) {
        if (v[i]->offline || follows(v[i]))
            continue;
        struct arena *a = arena_new(0);
        tm_err e = a ? follow(h, a, v[i], first == TM_OK ? diag : NULL) : TM_ENOMEM;
        arena_free(a);
        changed += e == TM_OK;
        first = first == TM_OK ? e : first;
    }
    catalog_unref(cat);
    tm_err e = changed ? house_reload(h, diag) : TM_OK;
    return first == TM_OK ? e : first;
}

/* ---- lists of profiles ---- */

static unsigned lists_now(const struct authority_list *l)
{
    return l->n_shards ? l->shards[l->n_shards - 1].count : 0;
}

/* So many lists, with the deltas, are there because certificates name them, or would. */
static bool room_for_own(const struct authority *x, const struct authority_list *wanted)
{
    size_t n = 0;
    for (size_t i = 0; i < x->n_lists; i++) {
        const struct authority_list *l = &x->lists[i];
        for (size_t k = 0; k < l->n_shards; k++)
            n += had_before(l->shards, k) ? 0 : l->shards[k].count + 1;
        n += l == wanted ? l->wanted + 1 : 0;
    }
    return n <= CRL_OWN_MAX;
}

static tm_err follow_list(struct house *h, struct arena *a, const struct authority *x,
                          const struct authority_list *l, struct diag *diag)
{
    int64_t from = clock_now() + NOTICE, last = l->n_shards ? l->shards[l->n_shards - 1].from : 0;
    from = from > last ? from : last + 1;
    const char *url = house_crl_list_url(a, h, x, "1-0");
    if (!url)
        return TM_ENOMEM;
    if (l->wanted && !url[0])
        return diag_fail(
            diag, TM_EINVAL, NULL, "/revocation/crl",
            "urls.crl of \"%s\" does not end in full.crl: a list of \"%s\" would have no address", x->name,
            l->profile);
    if (l->wanted && !room_for_own(x, l))
        return diag_fail(diag, TM_ETOOBIG, NULL, "/revocation/crl",
                         "certificates of \"%s\" name so many lists of profiles already that those of \"%s\" "
                         "are too many",
                         x->name, l->profile);
    struct buf lines;
    buf_init(&lines, 128 << 10);
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(x->name)},
        {.key = "from", .kind = EVENT_INT, .i = from},
        {.key = "profile", .kind = EVENT_STR, .s = slice_str(l->profile)},
        {.key = "shards", .kind = EVENT_INT, .i = l->wanted},
        {0},
    };
    struct effect v[2] = {{.kind = EFFECT_META_PUT, .tenant = x->tenant}};
    struct slice body;
    const char *about = arena_printf(a, "authority/%s", x->name);
    tm_err e = authority_lists_line(&lines, x, h->store, a, l, from, diag);
    v[0].u.meta.name = arena_printf(a, "crl-lists/%s", x->name);
    v[0].u.meta.value = buf_slice(&lines);
    if (e == TM_OK && !(about && v[0].u.meta.name))
        e = TM_ENOMEM;
    if (e == TM_OK)
        e = register_event_body(&body, a, fields);
    if (e == TM_OK)
        e = register_event_effect(&v[1], a, x->tenant, "authority.crl-list", about, body, clock_now_ms());
    if (e == TM_OK)
        e = house_commit(h, v, 2, diag);
    buf_done(&lines);
    if (e == TM_OK)
        log_info(NULL, "crl.list", LOG_S("authority", x->name), LOG_S("profile", l->profile),
                 LOG_I("shards", l->wanted), LOG_I("from", from));
    return e;
}

/* One that can't follow does not stand in the way of the others. */
static tm_err follow_lists_of(struct house *h, const struct authority *x, size_t *changed, struct diag *diag)
{
    tm_err first = TM_OK;
    for (size_t i = 0; i < x->n_lists; i++) {
        if (lists_now(&x->lists[i]) == x->lists[i].wanted)
            continue;
        struct arena *a = arena_new(0);
        tm_err e = a ? follow_list(h, a, x, &x->lists[i], first == TM_OK ? diag : NULL) : TM_ENOMEM;
        arena_free(a);
        *changed += e == TM_OK;
        first = first == TM_OK ? e : first;
    }
    return first;
}

tm_err crl_lists_follow(struct house *h, struct diag *diag)
{
    struct catalog *cat = house_catalog(h);
    const struct authority *const *v;
    size_t n = catalog_authorities(cat, &v), changed = 0;
    tm_err first = TM_OK;
    for (size_t i = 0; i < n; i++) {
        tm_err e = v[i]->offline ? TM_OK : follow_lists_of(h, v[i], &changed, first == TM_OK ? diag : NULL);
        first = first == TM_OK ? e : first;
    }
    catalog_unref(cat);
    tm_err e = changed ? house_reload(h, diag) : TM_OK;
    return first == TM_OK ? e : first;
}

/* ---- lists of several issuers ---- */

static tm_err follow_issuer(struct house *h, struct arena *a, const struct authority *x,
                            const struct authority *issuer, struct diag *diag)
{
    const char *url = house_crl_list_url(a, h, issuer, "indirect");
    if (!url)
        return TM_ENOMEM;
    if (issuer->offline || !url[0])
        return diag_fail(
            diag, TM_EINVAL, NULL, "/crl/issuer",
            "\"%s\" can't list the certificates of \"%s\": its key or the address of its CRLs is elsewhere",
            issuer->name, x->name);
    struct buf names;
    buf_init(&names, 64 << 10);
    for (size_t i = 1; i < issuer->n_crl_for; i++)
        buf_printf(&names, "%s\n", issuer->crl_for[i]->name);
    buf_printf(&names, "%s\n", x->name);
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(x->name)},
        {.key = "issuer", .kind = EVENT_STR, .s = slice_str(issuer->name)},
        {0},
    };
    struct effect v[2] = {{.kind = EFFECT_META_PUT,
                           .tenant = x->tenant,
                           .u.meta = {arena_printf(a, "crl-for/%s", issuer->name), buf_slice(&names)}}};
    struct slice body;
    const char *about = arena_printf(a, "authority/%s", x->name);
    tm_err e = v[0].u.meta.name && about ? buf_err(&names) : TM_ENOMEM;
    if (e == TM_OK)
        e = register_event_body(&body, a, fields);
    if (e == TM_OK)
        e = register_event_effect(&v[1], a, x->tenant, "authority.crl-issuer", about, body, clock_now_ms());
    if (e == TM_OK)
        e = house_commit(h, v, 2, diag);
    buf_done(&names);
    if (e == TM_OK)
        log_info(NULL, "crl.issuer", LOG_S("authority", x->name), LOG_S("issuer", issuer->name));
    return e;
}

tm_err crl_issuers_follow(struct house *h, struct diag *diag)
{
    tm_err e = TM_OK;
    /* One at a time: each adds to what the catalog says of its issuer. */
    for (bool again = true; again && e == TM_OK;) {
        struct catalog *cat = house_catalog(h);
        const struct authority *const *v;
        size_t n = catalog_authorities(cat, &v);
        again = false;
        for (size_t i = 0; i < n && e == TM_OK && !again; i++) {
            const struct authority *issuer = v[i]->crl_issuer[0] && !v[i]->crl_issuer_now
                                                 ? catalog_authority(cat, v[i]->tenant, v[i]->crl_issuer)
                                                 : NULL;
            if (!issuer)
                continue;
            struct arena *a = arena_new(0);
            e = a ? follow_issuer(h, a, v[i], issuer, diag) : TM_ENOMEM;
            arena_free(a);
            again = true;
        }
        catalog_unref(cat);
        if (e == TM_OK && again)
            e = house_reload(h, diag);
    }
    return e;
}
