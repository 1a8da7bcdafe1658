#include "enroll/endpoint.h"
#include "issue/catalog.h"
#include "policy/profile.h"

const struct endpoint *endpoint_open(const struct catalog *c, enum door protocol, const char *label)
{
    const struct endpoint *e = label ? catalog_endpoint(c, protocol, label) : NULL;
    const struct tenant *t = e ? catalog_tenant_by_id(c, e->tenant) : NULL;
    return t && !t->disabled && !e->disabled ? e : NULL;
}

const struct endpoint *endpoint_of_tenant(const struct catalog *c, struct arena *a, tenant_id t,
                                          enum door protocol, const char *name)
{
    const struct tenant *owner = catalog_tenant_by_id(c, t);
    return endpoint_open(c, protocol, owner ? catalog_endpoint_label(a, owner, name) : NULL);
}

const char *endpoint_offers(const struct endpoint *e, struct slice profile)
{
    for (size_t i = 0; i < e->n_profiles; i++)
        if (slice_eq_str(profile, e->profiles[i]))
            return e->profiles[i];
    return NULL;
}

const struct authority *endpoint_authority(const struct catalog *c, const struct endpoint *e,
                                           const char *profile)
{
    const char *name = profile ? profile : e->n_profiles ? e->profiles[0] : NULL;
    const struct profile *p = name ? catalog_profile(c, e->tenant, name) : NULL;
    return catalog_authority(c, e->tenant, e->authority[0] ? e->authority : p ? profile_authority(p) : "");
}
