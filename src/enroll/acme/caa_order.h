/* enroll/acme/caa_order.h - CAA for the names of an order, before each issue (profile: caa: required). Layer 5. */
#pragma once
#include "enroll/acme/caa.h"
#include "enroll/acme/resolvers.h"

struct caa_order {
    const char *account_url;
    struct caa_name *v; /* its DNS names */
    size_t n;
};
/* The names, and by which challenges they were proven; reads the store, blocking. */
tm_err caa_order_begin(struct caa_order *ret, struct arena *a, struct house *h, tenant_id tenant,
                       const struct acme_order *o, struct diag *diag);
/* Look them up, blocking: what policy is told, and a verdict in each name. TM_ENOMEM, TM_EUNAVAIL. */
tm_err caa_order_look(struct caa_finding *ret, struct caa_order *k, struct arena *a,
                      struct resolvers *resolvers, const struct acme_settings *s, struct diag *diag);
/* Nothing speaks against any name: for a decision that is only tried. */
tm_err caa_order_assume(struct caa_finding *ret, const struct caa_order *k, struct arena *a);
