#include "status/scope.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "issue/house.h"
#include "register/register.h"
#include <stdio.h>
#include <string.h>

enum { CHANGES_MAX = 64, CHANGE_LEN = 12, NOTICE = 60 };

static bool had_before(const struct authority *x, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (x->shards[j].count == x->shards[i].count)
            return true;
    return false;
}

size_t crl_scopes(struct crl_scope *ret, size_t max, const struct authority *x)
{
    size_t n = 0;
    for (size_t i = x->n_shards; i-- > 0;)
        for (unsigned k = 0; k < x->shards[i].count && !had_before(x, i) && n + 3 < max; k++) {
            ret[n] = (struct crl_scope){.count = x->shards[i].count, .k = k};
            snprintf(ret[n].name, sizeof ret[n].name, "%u-%u", x->shards[i].count % 1000, k % 1000);
            n++;
        }
    if (x->n_crl_for)
        ret[n++] = (struct crl_scope){.name = "indirect", .indirect = true};
    ret[n++] = (struct crl_scope){.name = "full"};
    if (x->crl_delta)
        ret[n++] = (struct crl_scope){.name = "delta", .delta = true};
    return n;
}

tm_err crl_scope_parse(struct crl_scope *ret, const char *name)
{
    struct crl_scope s = {.delta = strcmp(name, "delta") == 0, .indirect = strcmp(name, "indirect") == 0};
    int end = 0;
    char again[16];
    if (!s.delta && !s.indirect && strcmp(name, "full") != 0) {
        if (sscanf(name, "%3u-%3u%n", &s.count, &s.k, &end) != 2 || name[end] || s.k >= s.count ||
            s.count > AUTHORITY_SHARDS_MAX)
            return TM_EINVAL;
        snprintf(again, sizeof again, "%u-%u", s.count, s.k);
        if (strcmp(again, name) != 0) /* one spelling a shard */
            return TM_EINVAL;
    }
    snprintf(s.name, sizeof s.name, "%s", name);
    *ret = s;
    return TM_OK;
}

bool crl_scope_has(const struct crl_scope *s, const struct authority *x, const uint8_t *serial)
{
    unsigned count, k;
    if (!s->count)
        return true;
    k = authority_shard(&count, x, crl_issued_at(serial));
    return count == s->count && k == s->k;
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
    size_t n = 2; /* full, delta */
    bool met = false;
    for (size_t i = 0; i < x->n_shards; i++) {
        n += had_before(x, i) ? 0 : x->shards[i].count;
        met = met || x->shards[i].count == wanted;
    }
    return n + (met ? 0 : wanted) <= CRL_SCOPES_MAX;
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
    tm_err e = TM_OK;
    for (size_t i = 0; i < n && e == TM_OK; i++) {
        if (v[i]->offline || follows(v[i]))
            continue;
        struct arena *a = arena_new(0);
        e = a ? follow(h, a, v[i], diag) : TM_ENOMEM;
        arena_free(a);
        changed++;
    }
    catalog_unref(cat);
    return e == TM_OK && changed ? house_reload(h, diag) : e;
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
