/* Answers that are there before anyone asks: for the profiles that an authority names, with SHA-1 and SHA-256 CertIDs. The job walks their
 * live certificates in steps that leave room for other jobs, and begins anew when an eighth of an answer's life has gone. */
#include "base/arena.h"
#include "base/clock.h"
#include "issue/house.h"
#include "issue/jobs.h"
#include "status/ocsp_impl.h"
#include <stdio.h>
#include <string.h>

enum { PAGE = 200, STEP_MS = 250 };

static const struct authority *wanted_from(const struct catalog *cat, const struct ocsp *o)
{
    const struct authority *const *v;
    size_t n = catalog_authorities(cat, &v);
    for (size_t i = 0; i < n; i++) {
        const struct authority *x = v[i];
        /* The catalog has them by tenant and name: go on at the one that was left, or behind it. */
        int order = x->tenant != o->pass.tenant ? (x->tenant < o->pass.tenant ? -1 : 1)
                                                : strcmp(x->name, o->pass.authority);
        size_t from = order == 0 ? o->pass.profile : 0;
        if (order >= 0 && from < x->ocsp.n_presign && x->ocsp.key[0] && x->ocsp.cert.der.n)
            return x;
    }
    return NULL;
}

static void go_to(struct ocsp *o, const struct authority *x, size_t profile)
{
    o->pass.tenant = x->tenant;
    snprintf(o->pass.authority, sizeof o->pass.authority, "%s", x->name);
    o->pass.profile = profile;
    o->pass.after_n = 0;
}

static tm_err sign_both(struct house *h, const struct authority *x, const struct cert_row *row,
                        struct diag *diag)
{
    for (int sha1 = 0; sha1 < 2; sha1++) {
        struct ocsp_answer *a;
        TM_TRY(ocsp_answer_get(&a, h, x, row->id, sha1 == 1, OCSP_PRESIGNED, diag));
        ocsp_answer_unref(a);
    }
    return TM_OK;
}

/* What the cache throws out again need not be signed. */
static bool no_room(struct ocsp *o)
{
    struct ocsp_cache_stats st;
    ocsp_cache_stats(o->cache, &st);
    return st.entries && st.octets + 2 * (st.octets / st.entries) > st.octets_max;
}

static tm_err page(struct house *h, const struct authority *x, struct diag *diag)
{
    struct ocsp *o = h->ocsp;
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct store_read r = {.kind = READ_CERTS,
                           .tenant = x->tenant,
                           .arena = a,
                           .filter = {.authority = x->name,
                                      .profile = x->ocsp.presign[o->pass.profile],
                                      .not_after_from = clock_now(),
                                      .revoked = -1,
                                      .source = CERT_ISSUED},
                           .after = slice_of(o->pass.after, o->pass.after_n),
                           .limit = PAGE};
    tm_err e = store_read_now(h->store, &r);
    if (e != TM_OK && diag)
        *diag = r.diag;
    for (size_t i = 0; e == TM_OK && i < r.n; i++) {
        e = sign_both(h, x, &r.certs[i], diag);
        if (e == TM_OK && no_room(o))
            e = diag_fail(diag, TM_EFULL, NULL, x->name,
                          "limits.ocsp-cache has no room for the answers that ocsp.presign asks for");
    }
    if (e == TM_OK && r.more && r.page_next.n <= sizeof o->pass.after) {
        memcpy(o->pass.after, r.page_next.p, r.page_next.n);
        o->pass.after_n = r.page_next.n;
    } else {
        go_to(o, x, o->pass.profile + 1);
    }
    arena_free(a);
    return e;
}

/* An eighth of the shortest life of those that want it; never twice a minute. */
static int64_t pause_of(const struct catalog *cat)
{
    const struct authority *const *v;
    size_t n = catalog_authorities(cat, &v);
    int64_t least = INT64_C(8) * 3600;
    for (size_t i = 0; i < n; i++)
        if (v[i]->ocsp.n_presign && v[i]->ocsp.lifetime < least)
            least = v[i]->ocsp.lifetime;
    return least / 8 > 60 ? least / 8 : 60;
}

static tm_err step(struct house *h, struct ocsp *o, struct diag *diag)
{
    struct catalog *cat = house_catalog(h);
    uint64_t until = clock_mono_ns() + STEP_MS * 1000000ull;
    tm_err e = TM_OK;
    if (!o->pass.running)
        memset(&o->pass, 0, sizeof o->pass);
    const struct authority *x = NULL;
    while (e == TM_OK && clock_mono_ns() < until && (x = wanted_from(cat, o))) {
        if (x->tenant != o->pass.tenant || strcmp(x->name, o->pass.authority) != 0)
            go_to(o, x, 0);
        e = page(h, x, diag);
    }
    o->pass.running = e == TM_OK && x != NULL;
    if (!o->pass.running)
        o->pass.next = clock_now() + pause_of(cat);
    catalog_unref(cat);
    if (o->pass.running)
        jobs_kick(h->jobs, "ocsp.presign");
    return e;
}

static tm_err run(struct house *h, struct diag *diag)
{
    struct ocsp *o = h->ocsp;
    if (!o || (!o->pass.running && clock_now() < o->pass.next) || !ocsp_enter(o))
        return TM_OK;
    tm_err e = step(h, o, diag);
    ocsp_leave(o);
    return e;
}

const struct job ocsp_presign_job = {.name = "ocsp.presign", .period_ms = 30 * 1000, .run = run};
