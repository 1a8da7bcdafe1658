#include "enroll/ca_bundle.h"
#include "issue/catalog.h"
#include "policy/profile.h"

static void add_certificate(struct slice *v, size_t *n, struct slice der)
{
    for (size_t i = 0; i < *n; i++)
        if (slice_eq(v[i], der))
            return;
    if (*n < CA_BUNDLE_MAX)
        v[(*n)++] = der;
}

static void add_chain(struct slice *v, size_t *n, const struct catalog *c, tenant_id tenant, const char *name)
{
    const struct authority *x = catalog_authority(c, tenant, name);
    if (!x)
        return;
    add_certificate(v, n, x->der);
    for (size_t i = 0; i < x->n_chain; i++)
        add_certificate(v, n, x->chain[i]);
}

size_t ca_bundle(struct slice v[CA_BUNDLE_MAX], const struct catalog *c, const struct endpoint *e)
{
    size_t n = 0;
    if (e->ca_bundle_authority[0] || e->authority[0]) {
        add_chain(v, &n, c, e->tenant, e->ca_bundle_authority[0] ? e->ca_bundle_authority : e->authority);
        return n;
    }
    for (size_t i = 0; i < e->n_profiles; i++) {
        const struct profile *p = catalog_profile(c, e->tenant, e->profiles[i]);
        if (p)
            add_chain(v, &n, c, e->tenant, profile_authority(p));
    }
    return n;
}
