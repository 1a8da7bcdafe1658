/* Scans: started, ended, and what they find while they run. They are discovery runs like others (discovery.c). */
#include "discover/scans.h"
#include "api/groups.h"
#include "base/arena.h"
#include "discover/run.h"
#include "issue/scan_settings.h"
#include <string.h>

enum { REQUEST_MAX = 1 << 20, PAGE_OCTETS = 1 << 20 };

static tm_err put_run(struct api_call *c, const char *id, struct diag *diag)
{
    struct run r;
    TM_TRY(run_get(&r, c->arena, c->house, c->tenant->id, id, diag));
    scans_look(c->house, &r);
    run_put_json(&c->out, &r);
    buf_putc(&c->out, '\n');
    return TM_OK;
}

static tm_err start(struct api_call *c, struct diag *diag)
{
    struct run r;
    json_t *request = NULL;
    TM_TRY(api_body_json(&request, c, diag));
    /* Whose networks those are is not for everybody to say who may start what was written down. */
    bool allows = json_array_size(json_object_get(request, "allow")) > 0;
    tm_err e =
        allows && !(c->roles & ROLE_ADMIN)
            ? diag_fail(
                  diag, TM_EFORBIDDEN, NULL, "/allow",
                  "only an administrator names networks that are not private: have a resource Scan made")
            : scans_begin(&r, c->arena, c->house, c->tenant->id, request, c->principal, diag);
    json_decref(request);
    TM_TRY(e);
    c->status = 201;
    c->location = arena_printf(c->arena, "/api/v1/discovery/runs/%s", r.id);
    run_put_json(&c->out, &r);
    buf_putc(&c->out, '\n');
    return c->location ? TM_OK : TM_ENOMEM;
}

static tm_err cancel(struct api_call *c, struct diag *diag)
{
    TM_TRY(scans_cancel(c->house, c->tenant->id, api_param(c, "id"), c->principal, diag));
    return put_run(c, api_param(c, "id"), diag);
}

static tm_err results(struct api_call *c, struct diag *diag)
{
    struct buf items;
    int64_t from;
    size_t next = 0;
    bool cut = false;
    TM_TRY(api_query_int(&from, c, "from", 0, SCANS_RESULTS_MAX, diag));
    buf_init(&items, 2 * (size_t)PAGE_OCTETS);
    tm_err e = scans_results(&items, &next, &cut, c->house, c->tenant->id, api_param(c, "id"), (size_t)from,
                             PAGE_OCTETS);
    if (e == TM_OK)
        e = buf_err(&items);
    if (e == TM_OK) {
        buf_puts(&c->out, "{\"items\":[");
        buf_put_slice(&c->out, buf_slice(&items));
        buf_putc(&c->out, ']');
        api_put_int(&c->out, "next", (int64_t)next);
        api_put_bool(&c->out, "cut", cut);
        buf_puts(&c->out, "}\n");
    } else if (e == TM_ENOTFOUND) {
        e = diag_fail(diag, e, NULL, "id",
                      "no results of such a run are kept: what it found is in the inventory");
    } else if (e == TM_EINVAL) {
        e = diag_fail(diag, e, NULL, "from", "must be 0 or what \"next\" was in an answer");
    }
    buf_done(&items);
    return e;
}

/* ---- what the document says ---- */

static const struct api_field result_fields[] = {
    {"items", "[]object", "place, status, and what was seen there (docs/howto-scan.md)", NULL},
    {"next", "integer", "\"from\" of the next look", "18731"},
    {"cut", "boolean", "there were more than are kept", NULL},
    {0},
};
static const struct api_field results_query[] = {{"from", "integer", "where to go on", "0"}, {0}};
static const struct api_content started[] = {
    {201, "application/json", "DiscoveryRun", "it has begun, or waits for its turn"}, {0}};

const struct api_schema scan_api_schemas[] = {
    {"ScanResultPage", "what a scan has found", result_fields, NULL, NULL},
    {"ScanRequest", "what to look at; or a resource that says it", NULL, scan_request_schema,
     "{\"targets\":[\"10.0.0.0/24\"],\"ports\":[\"443\",\"smtp:25\"]}"},
    {0},
};

const struct api_route scan_api_routes[] = {
    {HTTP_M_POST, "/api/v1/discovery/scans", ROLE_ADMIN | ROLE_OPERATOR, start, REQUEST_MAX, "startScan",
     "Look for TLS servers and their certificates", "discovery", "ScanRequest", NULL, API_LOCATION,
     .gives = started},
    {HTTP_M_POST, "/api/v1/discovery/runs/{id}/cancel", ROLE_ADMIN | ROLE_OPERATOR, cancel, 0, "cancelScan",
     "End a scan that is under way or waits; what it found stays", "discovery", NULL, "DiscoveryRun"},
    {HTTP_M_GET, "/api/v1/discovery/runs/{id}/results", API_READERS, results, 0, "getScanResults",
     "What a scan has found target by target, while it runs and for a while after", "discovery", NULL,
     "ScanResultPage", .query = results_query},
    {0},
};
