#include "enroll/acme/caa_order.h"
#include "base/arena.h"
#include "base/clock.h"
#include "enroll/acme/grounds.h"

/* As an attempt to validate. */
#define LOOK_NS ((uint64_t)10000000000)

tm_err caa_order_begin(struct caa_order *ret, struct arena *a, struct house *h, tenant_id tenant,
                       const struct acme_order *o, struct diag *diag)
{
    *ret = (struct caa_order){.account_url = o->account_url,
                              .v = arena_calloc(a, o->names.n + 1, sizeof *ret->v)};
    if (!ret->v)
        return TM_ENOMEM;
    for (size_t i = 0; i < o->names.n; i++) {
        struct acme_identifier id;
        bool wildcard;
        TM_TRY(acme_identifier_from_text(&id, &wildcard, a, o->names.v[i]));
        /* RFC 8659 is about domain names. */
        if (id.ip)
            continue;
        struct caa_name *x = &ret->v[ret->n++];
        *x = (struct caa_name){.text = o->names.v[i], .domain = id.value, .wildcard = wildcard};
        TM_TRY(grounds_method(&x->method, a, h, tenant, o, i, diag));
    }
    return TM_OK;
}

tm_err caa_order_assume(struct caa_finding *ret, const struct caa_order *k, struct arena *a)
{
    const char **names = arena_calloc(a, k->n + 1, sizeof *names);
    if (!names)
        return TM_ENOMEM;
    size_t n = 0;
    *ret = (struct caa_finding){.at = clock_now(), .names = names};
    for (size_t i = 0; i < k->n; i++)
        if (k->v[i].problem == ACME_P_NONE)
            names[n++] = k->v[i].text;
    ret->n_names = n;
    return TM_OK;
}

tm_err caa_order_look(struct caa_finding *ret, struct caa_order *k, struct arena *a,
                      struct resolvers *resolvers, const struct acme_settings *s, struct diag *diag)
{
    struct resolver *r;
    TM_TRY(resolvers_take(&r, resolvers, s, diag));
    tm_err e = caa_look(k->v, k->n, &s->caa, k->account_url, r, a, clock_mono_ns() + LOOK_NS);
    resolvers_give(resolvers, r);
    TM_TRY(e);
    TM_TRY(caa_order_assume(ret, k, a));
    for (size_t i = 0; i < k->n && !ret->refused; i++)
        if (k->v[i].problem != ACME_P_NONE)
            ret->refused = arena_printf(a, "%.200s can't be issued: %s", k->v[i].text + 4, k->v[i].detail);
    return arena_err(a);
}
