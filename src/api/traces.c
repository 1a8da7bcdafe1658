/* Recordings of what goes through an endpoint, for people who have to find out why a client gets no certificate. */
#include "api/groups.h"
#include "base/arena.h"
#include "base/clock.h"
#include "register/register.h"
#include "trace/record.h"
#include <string.h>

enum { BODY_MAX = 4096, PAGE_OCTETS = 1 << 20 };

struct recording_doc {
    const char *endpoint;
    int64_t seconds;
};
static const struct json_field recording_schema[] = {
    JSON_FIELD(struct recording_doc, endpoint, JSON_K_STRING, .required = true, .max = 63,
               .doc = "name of an endpoint"),
    {.key = "for",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct recording_doc, seconds),
     .min = 1,
     .max = TRACE_RECORDING_SECONDS,
     .def = "60s",
     .doc = "how long, an hour at most"},
    {0},
};

/* The endpoint of the call's tenant and how its protocol is told. */
static tm_err find_endpoint(const struct trace_protocol **ret, const char **ret_label, struct api_call *c,
                            const char *name, struct diag *diag)
{
    const char *label = catalog_endpoint_label(c->arena, c->tenant, name);
    if (!label)
        return TM_ENOMEM;
    for (size_t i = 0; trace_protocols[i]; i++) {
        if (!catalog_endpoint(c->catalog, trace_protocols[i]->door, label))
            continue;
        *ret = trace_protocols[i];
        *ret_label = label;
        return TM_OK;
    }
    return diag_fail(diag, TM_ENOTFOUND, NULL, "/endpoint",
                     "there is no ACME, CMP, EST or SCEP endpoint \"%s\", and no other is recorded", name);
}

static void put_state(struct api_call *c, const struct trace_recording *g)
{
    buf_puts(&c->out, "{\"id\":");
    buf_put_json_string(&c->out, slice_str(g->id));
    api_put_bool(&c->out, "running", g->running);
    api_put_text(&c->out, "ended_by", g->ended_by);
    api_put_int(&c->out, "exchanges", (int64_t)g->exchanges);
    api_put_int(&c->out, "next", (int64_t)g->next);
}

static tm_err start(struct api_call *c, struct diag *diag)
{
    struct recording_doc d = {0};
    struct trace_recording g = {.running = true, .ended_by = ""};
    const struct trace_protocol *p = NULL;
    const char *label = NULL;
    json_t *doc = NULL;
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, recording_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    TM_TRY(find_endpoint(&p, &label, c, d.endpoint, diag));
    TM_TRY(trace_record_start(g.id, c->tenant->id, p, label, d.seconds, diag));
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(c->principal)},
        {.key = "protocol", .kind = EVENT_STR, .s = slice_str(p->name)},
        {.key = "recording", .kind = EVENT_STR, .s = slice_str(g.id)},
        {.key = "seconds", .kind = EVENT_INT, .i = d.seconds},
        {0},
    };
    const char *subject = arena_printf(c->arena, "endpoint/%s", d.endpoint);
    e = subject ? house_event(c->house, c->tenant->id, "trace.started", subject, fields, diag) : TM_ENOMEM;
    if (e != TM_OK) {
        TM_IGNORE(trace_record_stop(&g, c->tenant->id, g.id)); /* nobody is listened to unnoticed */
        return e;
    }
    c->status = 201;
    put_state(c, &g);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err not_found(struct diag *diag)
{
    return diag_fail(diag, TM_ENOTFOUND, NULL, NULL,
                     "there is no such recording: it was stopped, or ended long ago");
}

static tm_err look(struct api_call *c, struct diag *diag)
{
    struct trace_recording g;
    struct buf items;
    int64_t after;
    TM_TRY(api_query_int(&after, c, "from", 0, TRACE_RECORDING_OCTETS, diag));
    buf_init(&items, 4 * (size_t)PAGE_OCTETS);
    tm_err e = trace_record_read(&g, &items, c->tenant->id, api_param(c, "id"), (size_t)after, PAGE_OCTETS);
    if (e == TM_OK) {
        put_state(c, &g);
        buf_puts(&c->out, ",\"items\":[");
        buf_put_slice(&c->out, buf_slice(&items));
        buf_puts(&c->out, "]}\n");
    } else if (e == TM_ENOTFOUND) {
        e = not_found(diag);
    } else if (e == TM_EINVAL) {
        e = diag_fail(diag, e, NULL, "from", "must be 0 or what \"next\" was in an answer");
    }
    buf_done(&items);
    return e;
}

static tm_err stop(struct api_call *c, struct diag *diag)
{
    struct trace_recording g;
    if (trace_record_stop(&g, c->tenant->id, api_param(c, "id")) != TM_OK)
        return not_found(diag);
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(c->principal)},
        {.key = "exchanges", .kind = EVENT_INT, .i = (int64_t)g.exchanges},
        {.key = "recording", .kind = EVENT_STR, .s = slice_str(g.id)},
        {0},
    };
    TM_TRY(house_event(c->house, c->tenant->id, "trace.stopped", "recordings", fields, diag));
    g.running = false;
    put_state(c, &g);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

/* ---- what the document says ---- */

#define STATE_FIELDS                                                                                         \
    {"id", "string", NULL, "5d0f8a13c2b94e67"}, {"running", "boolean", NULL, NULL},                          \
        {"ended_by", "string", "\"time\" or \"size\"; empty while it runs or when it was stopped", ""},      \
        {"exchanges", "integer", "how many it has", "12"},                                                   \
        {"next", "integer", "\"from\" of the next look", "18731"}

static const struct api_field state_fields[] = {STATE_FIELDS, {0}};
static const struct api_field page_fields[] = {
    STATE_FIELDS,
    {"items", "[]object", "exchanges, each as a line of a recording (docs/howto-trace.md)", NULL},
    {0},
};
static const struct api_field look_query[] = {
    {"from", "integer", "octet of the recording where to go on", "0"},
    {0},
};
const struct api_schema trace_api_schemas[] = {
    {"Recording", "what goes through an endpoint is being recorded", state_fields, NULL, NULL},
    {"RecordingPage", "a recording, or as much of it as fits into an answer", page_fields, NULL, NULL},
    {"RecordingRequest", "which endpoint, and how long", NULL, recording_schema,
     "{\"endpoint\":\"acme\",\"for\":\"60s\"}"},
    {0},
};
static const struct api_content created[] = {{201, "application/json", "Recording", "it has begun"}, {0}};

const struct api_route trace_api_routes[] = {
    {HTTP_M_POST, "/api/v1/recordings", ROLE_ADMIN, start, BODY_MAX, "startRecording",
     "Record what goes through an endpoint, in memory, for some time; credentials and private keys are left out",
     "endpoints", "RecordingRequest", NULL, .gives = created},
    {HTTP_M_GET, "/api/v1/recordings/{id}", ROLE_ADMIN, look, 0, "readRecording", "See what was recorded",
     "endpoints", NULL, "RecordingPage", .query = look_query},
    {HTTP_M_DELETE, "/api/v1/recordings/{id}", ROLE_ADMIN, stop, 0, "stopRecording",
     "End a recording and forget it", "endpoints", NULL, "Recording"},
    {0},
};
