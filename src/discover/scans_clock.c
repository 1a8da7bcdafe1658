/* Scans by the clock. The job only begins them: each is done on a thread of its own. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "discover/scans.h"
#include "issue/house.h"
#include "issue/scan_settings.h"

enum { TENANT_ARENA = 64 << 20, JOB_MS = 30000, PAGE = 1000 };

static tm_err begin(struct house *h, struct arena *a, tenant_id tenant, const char *name, struct diag *diag)
{
    struct run r;
    json_t *request = json_pack("{s:s}", "scan", name);
    tm_err e = request ? scans_begin(&r, a, h, tenant, request, "house", diag) : TM_ENOMEM;
    json_decref(request);
    return e;
}

/* The last one has ended, and was begun long enough ago. */
static tm_err due(bool *ret, struct house *h, struct arena *a, tenant_id tenant, const struct scan_doc *d,
                  struct diag *diag)
{
    struct run *v;
    size_t n;
    bool more;
    TM_TRY(run_list(&v, &n, &more, a, h, tenant, d->name, 0, "", 1, diag));
    *ret = n == 0 || (run_has_ended(&v[0]) && v[0].created_ms + d->every * 1000 <= clock_now_ms());
    return TM_OK;
}

static tm_err look_at_scan(struct house *h, struct arena *a, tenant_id tenant, struct slice json,
                           struct diag *diag)
{
    struct scan_doc d = {0};
    json_t *doc = NULL;
    bool is_due = false;
    TM_TRY(json_parse(&doc, json, RUN_STATE_MAX, diag));
    tm_err e = json_bind(&d, scan_schema, doc, "", a, diag);
    json_decref(doc);
    TM_TRY(e);
    if (d.every == 0 || d.disabled)
        return TM_OK;
    TM_TRY(due(&is_due, h, a, tenant, &d, diag));
    return is_due ? begin(h, a, tenant, d.name, diag) : TM_OK;
}

/* One that can't be begun keeps none of the others from it. */
static tm_err look_at_tenant(struct house *h, struct arena *a, tenant_id tenant, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_RESOURCES, .tenant = tenant, .arena = a, .name = "Scan", .limit = PAGE};
    tm_err first = TM_OK;
    do {
        tm_err e = store_read_now(h->store, &q);
        if (e != TM_OK) {
            *diag = q.diag;
            return e;
        }
        for (size_t i = 0; i < q.n; i++) {
            struct diag d = {0};
            e = look_at_scan(h, a, tenant, q.resources[i].json, &d);
            if (e != TM_OK && first == TM_OK)
                first = diag_fail(diag, e, NULL, NULL, "scan \"%s\": %s", q.resources[i].name,
                                  d.message[0] ? d.message : tm_err_name(e));
        }
        q.after = q.page_next;
    } while (q.more);
    return first;
}

static tm_err look(struct house *h, struct diag *diag)
{
    const struct tenant *tenants;
    struct catalog *cat = house_catalog(h);
    size_t n = catalog_tenants(cat, &tenants);
    tm_err first = TM_OK;
    for (size_t i = 0; i < n; i++) {
        struct arena *a = arena_new(TENANT_ARENA);
        struct diag d = {0};
        tm_err e = a ? look_at_tenant(h, a, tenants[i].id, &d) : TM_ENOMEM;
        arena_free(a);
        if (e != TM_OK && first == TM_OK) {
            first = e;
            *diag = d;
        }
    }
    catalog_unref(cat);
    return first;
}

const struct job scans_job = {.name = "discovery.scans", .period_ms = JOB_MS, .run = look};
