/* An order whose approval has come is issued again from what was kept of it, without its client. */
#include "base/arena.h"
#include "enroll/acme/acme.h"
#include "enroll/acme/caa_order.h"
#include "enroll/acme/grounds.h"
#include "enroll/acme/validate.h"
#include "enroll/endpoint.h"
#include "policy/profile.h"

static tm_err resume_with(struct issue_request *r, struct acme_issuing *k, const struct catalog *c,
                          struct diag *diag)
{
    const struct profile *p = catalog_profile(c, r->tenant, r->e.profile);
    const struct endpoint *ep = endpoint_of_tenant(c, r->arena, r->tenant, DOOR_ACME, r->e.endpoint);
    struct acme_account account;
    const char *why;
    if (!ep)
        return diag_fail(diag, TM_EDENIED, "endpoint", NULL, "the endpoint %.80s is closed", r->e.endpoint);
    if (!endpoint_offers(ep, slice_str(k->order->profile)))
        return diag_fail(diag, TM_EDENIED, "endpoint.profiles", NULL,
                         "the profile of this order is not offered any more");
    TM_TRY(grounds_account(&account, &why, r->arena, r->house, r->tenant, k->order, diag));
    if (why)
        return diag_fail(diag, TM_EDENIED, "acme.account", NULL, "%s", why);
    if (!p)
        return TM_OK; /* the pipeline says so */
    k->retention = ep->acme->retention;
    k->keep = profile_retention(p) != RETAIN_FULL;
    r->also = acme_order_issued;
    r->priv_door = k;
    if (!profile_needs_caa(p))
        return TM_OK;
    struct caa_order names;
    TM_TRY(caa_order_begin(&names, r->arena, r->house, r->tenant, k->order, diag));
    return caa_order_look(&r->e.caa, &names, r->arena, validator_resolvers(r->house->acme->validator),
                          ep->acme, diag);
}

tm_err acme_resume(struct issue_request *r, struct diag *diag)
{
    struct acme_issuing *k = arena_calloc(r->arena, 1, sizeof *k);
    struct acme_order *o = arena_calloc(r->arena, 1, sizeof *o);
    if (!k || !o)
        return TM_ENOMEM;
    if (!r->order || !r->order[0])
        return TM_OK;
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = r->tenant,
                           .arena = r->arena,
                           .object_kind = OBJECT_ACME_ORDER,
                           .name = r->order};
    tm_err e = store_read_now(r->house->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e == TM_ENOTFOUND ? TM_OK : e;
    }
    TM_TRY(acme_order_read(o, r->arena, &q.objects[0]));
    if (o->row.status == ACME_VALID)
        return diag_fail(diag, TM_ECONFLICT, NULL, "id", "the order has its certificate already");
    k->order = o;
    struct catalog *c = house_catalog(r->house);
    e = resume_with(r, k, c, diag);
    catalog_unref(c);
    return e;
}
