/* The device register over REST. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "base/text.h"
#include "device/device.h"
#include "device/import.h"
#include <stdlib.h>
#include <string.h>

enum {
    DEVICE_BODY = 256 << 10,
    IMPORT_MAX = 64 << 20,
    BATCH = 500,
    FAILED_SHOWN = 10000,
    BATCH_ARENA = 64 << 20
};

static void put_device(struct buf *out, const struct device_row *d)
{
    buf_puts(out, "{\"id\":");
    buf_put_json_string(out, slice_str(d->id));
    api_put_text(out, "serial", d->serial);
    api_put_text(out, "model", d->model);
    api_put_text(out, "vendor", d->vendor);
    api_put_text(out, "owner", d->owner);
    api_put_text(out, "place", d->place);
    api_put_text(out, "batch", d->batch);
    api_put_text(out, "state", (unsigned)d->state < DEVICE_STATE_COUNT ? device_state_names[d->state] : "");
    buf_printf(out, ",\"identifiers\":%s", d->identifiers && d->identifiers[0] ? d->identifiers : "{}");
    buf_printf(out, ",\"tags\":%s", d->tags && d->tags[0] ? d->tags : "{}");
    api_put_time(out, "created_at", d->created_at / 1000);
    api_put_time(out, "updated_at", d->updated_at / 1000);
    api_put_int(out, "version", d->version);
}

static int state_of(const char *name)
{
    for (int i = DEVICE_MADE; i < DEVICE_STATE_COUNT; i++)
        if (strcmp(device_state_names[i], name) == 0)
            return i;
    return DEVICE_NONE;
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    const char *state = api_query(c, "state"), *prefix = api_query(c, "prefix"),
               *after = api_query(c, "after");
    struct store_read q = {.kind = READ_DEVICES,
                           .text = prefix ? prefix : "",
                           .after = slice_str(after ? after : ""),
                           .device_state = state ? state_of(state) : 0};
    if (state && q.device_state == DEVICE_NONE)
        return diag_fail(diag, TM_EINVAL, NULL, "state",
                         "must be made, shipped, onboarded, operating, transferred or retired");
    TM_TRY(api_limit(&q.limit, c, 100, 1000, diag));
    if (!(c->roles & (API_READERS | ROLE_HOUSE_ADMIN)))
        q.device_owner = c->owner_of ? c->owner_of : ""; /* an owner sees what is theirs */
    TM_TRY(api_read(c, &q, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < q.n; i++) {
        buf_puts(&c->out, i ? "," : "");
        put_device(&c->out, &q.devices[i]);
        buf_putc(&c->out, '}');
    }
    api_put_next(&c->out, &q, false);
    return TM_OK;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    struct store_read q = {.kind = READ_DEVICE, .name = api_param(c, "id")};
    TM_TRY(api_may_device(c, API_READERS, q.name, diag));
    tm_err e = api_read(c, &q, diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "id", "there is no device \"%s\"", q.name);
    TM_TRY(e);
    struct store_read held = {.kind = READ_CERTS_BY_KEY,
                              .key = {.kind = CERT_KEY_DEVICE, .value = slice_str(q.devices[0].id)}};
    e = api_read(c, &held, diag);
    if (e != TM_OK && e != TM_ENOTFOUND)
        return e;
    c->etag = q.devices[0].version;
    put_device(&c->out, &q.devices[0]);
    buf_puts(&c->out, ",\"certificates\":[");
    for (size_t i = 0; i < held.n; i++) {
        buf_puts(&c->out, i ? "," : "");
        api_put_cert(&c->out, &held.certs[i], false);
    }
    buf_puts(&c->out, "]}\n");
    return TM_OK;
}

/* ---- write ---- */

struct device_doc {
    const char *id, *serial, *model, *vendor, *owner, *place, *batch;
    json_t *identifiers, *tags;
};
const struct json_field device_schema[] = {
    JSON_FIELD(struct device_doc, id, JSON_K_STRING, .max = DEVICE_ID_MAX,
               .doc = "that of the path, when given"),
    JSON_FIELD(struct device_doc, serial, JSON_K_STRING, .max = DEVICE_FIELD_MAX,
               .doc = "the id when left out"),
    JSON_FIELD(struct device_doc, model, JSON_K_STRING, .max = DEVICE_FIELD_MAX),
    JSON_FIELD(struct device_doc, vendor, JSON_K_STRING, .max = DEVICE_FIELD_MAX),
    JSON_FIELD(struct device_doc, owner, JSON_K_STRING, .max = DEVICE_FIELD_MAX),
    JSON_FIELD(struct device_doc, place, JSON_K_STRING, .max = DEVICE_FIELD_MAX),
    JSON_FIELD(struct device_doc, batch, JSON_K_STRING, .max = DEVICE_FIELD_MAX),
    JSON_FIELD(struct device_doc, identifiers, JSON_K_ANY,
               .doc = "texts by name: eui64, ueid, imei, mac, hw-type, …"),
    JSON_FIELD(struct device_doc, tags, JSON_K_ANY, .doc = "texts by name"),
    {0},
};

static tm_err fields_from(struct device_fields *ret, struct api_call *c, json_t *doc, struct diag *diag)
{
    struct device_doc d = {0};
    /* What GET shows beyond the fields. */
    static const char *const shown[] = {"state", "created_at", "updated_at", "version", "certificates"};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        json_object_del(doc, shown[i]);
    TM_TRY(json_bind(&d, device_schema, doc, "", c->arena, diag));
    const char *id = api_param(c, "id");
    if (d.id && strcmp(d.id, id) != 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/id", "must be the id in the path, \"%s\"", id);
    *ret = (struct device_fields){.id = id,
                                  .serial = d.serial,
                                  .model = d.model,
                                  .vendor = d.vendor,
                                  .owner = d.owner,
                                  .place = d.place,
                                  .batch = d.batch};
    TM_TRY(device_object(&ret->identifiers, c->arena, d.identifiers, "/identifiers", diag));
    return device_object(&ret->tags, c->arena, d.tags, "/tags", diag);
}

static tm_err put(struct api_call *c, struct diag *diag)
{
    int64_t expected;
    TM_TRY(api_expected_version(&expected, c, diag));
    struct device_fields f = {0};
    json_t *doc = NULL;
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = fields_from(&f, c, doc, diag);
    json_decref(doc);
    TM_TRY(e);
    enum device_put_result result;
    TM_TRY(device_put_many(&result, c->house, c->tenant->id, c->arena, &f, 1, expected, c->principal, diag));
    TM_TRY(get(c, diag));
    c->status = result == DEVICE_CREATED ? 201 : 200;
    return TM_OK;
}

struct state_doc {
    const char *state, *why;
};
const struct json_field device_state_schema[] = {
    JSON_FIELD(struct state_doc, state, JSON_K_STRING, .required = true, .max = 20,
               .doc = "made, shipped, onboarded, operating, transferred or retired"),
    JSON_FIELD(struct state_doc, why, JSON_K_STRING, .max = 1000, .def = "", .doc = "for the register"),
    {0},
};

static tm_err step(struct api_call *c, struct diag *diag)
{
    struct state_doc d = {0};
    json_t *doc = NULL;
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, device_state_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    int to = state_of(d.state);
    if (to == DEVICE_NONE)
        return diag_fail(diag, TM_EINVAL, NULL, "/state", "there is no state \"%s\"", d.state);
    size_t revoked = 0;
    TM_TRY(device_step(c->house, c->tenant->id, c->arena, api_param(c, "id"), (enum device_state)to,
                       c->principal, d.why, &revoked, diag));
    buf_puts(&c->out, "{\"id\":");
    buf_put_json_string(&c->out, slice_str(api_param(c, "id")));
    api_put_text(&c->out, "state", device_state_names[to]);
    buf_printf(&c->out, ",\"revoked\":%zu}\n", revoked);
    return TM_OK;
}

/* ---- import ---- */

struct import_run {
    struct api_call *c;
    struct arena *arena; /* of the batch */
    struct device_fields rows[BATCH];
    uint64_t lines[BATCH];
    size_t n;
    uint64_t created, updated, unchanged, failed;
    struct buf why; /* {"line", "why"} objects */
};

static void failed(struct import_run *run, uint64_t line, const struct diag *diag)
{
    if (run->failed++ >= FAILED_SHOWN)
        return;
    buf_printf(&run->why, "%s{\"line\":%llu", run->failed > 1 ? "," : "", (unsigned long long)line);
    api_put_text(&run->why, "why", diag->message);
    buf_putc(&run->why, '}');
}

static void count(struct import_run *run, enum device_put_result result)
{
    if (result == DEVICE_CREATED)
        run->created++;
    else if (result == DEVICE_UPDATED)
        run->updated++;
    else
        run->unchanged++;
}

/* The same device twice in one transaction would contradict itself. */
static bool in_batch(const struct import_run *run, const char *id)
{
    for (size_t i = 0; i < run->n; i++)
        if (strcmp(run->rows[i].id, id) == 0)
            return true;
    return false;
}

/* One transaction; where it is refused, row by row, so that only the bad ones fail. */
static tm_err flush(struct import_run *run, struct diag *diag)
{
    struct api_call *c = run->c;
    enum device_put_result results[BATCH];
    tm_err e = device_put_many(results, c->house, c->tenant->id, run->arena, run->rows, run->n, -1,
                               c->principal, diag);
    for (size_t i = 0; i < run->n && e == TM_OK; i++)
        count(run, results[i]);
    if (e != TM_OK && tm_err_class(e) == TM_CLASS_CALLER) {
        e = TM_OK;
        for (size_t i = 0; i < run->n && e == TM_OK; i++) {
            struct diag why = {0};
            e = device_put_many(results, c->house, c->tenant->id, run->arena, &run->rows[i], 1, -1,
                                c->principal, &why);
            if (e == TM_OK) {
                count(run, results[0]);
            } else if (tm_err_class(e) == TM_CLASS_CALLER) {
                failed(run, run->lines[i], &why);
                e = TM_OK;
            } else {
                *diag = why;
            }
        }
    }
    run->n = 0;
    arena_reset(run->arena);
    return e;
}

static tm_err import_rows(struct import_run *run, bool csv, struct diag *diag)
{
    struct device_import im;
    TM_TRY(device_import_begin(&im, run->c->body, csv, diag));
    for (;;) {
        struct diag why = {0};
        struct device_fields row;
        tm_err e = device_import_next(&im, &row, run->arena, &why);
        if (e == TM_ENOTFOUND)
            break;
        if (e == TM_ENOMEM)
            return e;
        if (e != TM_OK) {
            failed(run, im.line, &why);
            continue;
        }
        if (in_batch(run, row.id)) {
            failed(run, im.line, &(struct diag){.message = "the same device stands a few lines above"});
            continue;
        }
        run->rows[run->n] = row;
        run->lines[run->n++] = im.line;
        if (run->n == BATCH)
            TM_TRY(flush(run, diag));
    }
    return run->n ? flush(run, diag) : TM_OK;
}

static tm_err import(struct api_call *c, struct diag *diag)
{
    struct slice text = slice_trim(c->body);
    bool csv = c->content_type && strstr(c->content_type, "csv");
    if (!csv && (!c->content_type || !strstr(c->content_type, "json")))
        csv = text.n && text.p[0] != '{';
    struct import_run *run = calloc(1, sizeof *run);
    if (!run)
        return TM_ENOMEM;
    run->c = c;
    run->arena = arena_new(BATCH_ARENA);
    buf_init(&run->why, 8 << 20);
    tm_err e = run->arena ? import_rows(run, csv, diag) : TM_ENOMEM;
    if (e == TM_OK) {
        buf_printf(&c->out,
                   "{\"created\":%llu,\"updated\":%llu,\"unchanged\":%llu,\"failures\":%llu,\"failed\":[",
                   (unsigned long long)run->created, (unsigned long long)run->updated,
                   (unsigned long long)run->unchanged, (unsigned long long)run->failed);
        buf_put_slice(&c->out, buf_slice(&run->why));
        buf_puts(&c->out, "]}\n");
    }
    buf_done(&run->why);
    arena_free(run->arena);
    free(run);
    return e;
}

/* ---- what the document says ---- */

static const struct api_field device_fields[] = {
    {"id", "string", "what its certificates name", "SN-0001"},
    {"serial", "string", NULL, "SN-0001"},
    {"model", "string", NULL, "TX-9"},
    {"vendor", "string", NULL, "Example"},
    {"owner", "string", "whose it is: role owner goes by this", "plant-2"},
    {"place", "string", NULL, "Hall 4"},
    {"batch", "string", NULL, "2026-47"},
    {"state", "made|shipped|onboarded|operating|transferred|retired", NULL, "operating"},
    {"identifiers", "{}string", "eui64, ueid, imei, mac, hw-type, …", NULL},
    {"tags", "{}string", NULL, NULL},
    {"created_at", "time?", NULL, NULL},
    {"updated_at", "time?", NULL, NULL},
    {"version", "integer", "as the ETag has it", "1"},
    {"certificates?", "[]Certificate", "that it holds; not in lists", NULL},
    {0},
};
static const struct api_field device_list_fields[] = {
    {"items", "[]Device", NULL, NULL},
    {"next?", "string", "what `after` is for the next page", "SN-0001"},
    {0},
};
static const struct api_field step_fields[] = {
    {"id", "string", NULL, "SN-0001"},
    {"state", "made|shipped|onboarded|operating|transferred|retired", NULL, "retired"},
    {"revoked", "integer", "certificates that were revoked with it", "1"},
    {0},
};
static const struct api_field import_fields[] = {
    {"created", "integer", NULL, "2"},
    {"updated", "integer", NULL, "0"},
    {"unchanged", "integer", NULL, "0"},
    {"failures", "integer", NULL, "1"},
    {"failed", "[]DeviceImportFailure", "the first 10000 of them", NULL},
    {0},
};
static const struct api_field failure_fields[] = {
    {"line", "integer", "from 1, a heading counted", "3"},
    {"why", "string", NULL, "/id: is empty"},
    {0},
};
const struct api_schema device_api_schemas[] = {
    {"Device", NULL, device_fields, NULL, NULL},
    {"DeviceList", NULL, device_list_fields, NULL, NULL},
    {"DeviceFields", "what may be written of a device; what is left out stays", NULL, device_schema,
     "{\"model\":\"TX-9\",\"owner\":\"plant-2\",\"tags\":{\"line\":\"3\"}}"},
    {"DeviceState", NULL, NULL, device_state_schema, "{\"state\":\"operating\",\"why\":\"commissioned\"}"},
    {"DeviceStateResult", NULL, step_fields, NULL, NULL},
    {"DeviceImportResult", NULL, import_fields, NULL, NULL},
    {"DeviceImportFailure", NULL, failure_fields, NULL, NULL},
    {0},
};
static const struct api_field list_query[] = {
    {"state", "made|shipped|onboarded|operating|transferred|retired", "only these", "operating"},
    {"prefix", "string", "only ids that begin so", "SN-"},
    {0},
};
static const struct api_content import_bodies[] = {
    {0, "application/x-ndjson", "DeviceFields", "one device a line, with its id"},
    {0, "text/csv", NULL, "a heading, then one device a line"},
    {0},
};
static const struct api_content put_answers[] = {
    {200, "application/json", "Device", "changed, or as it was"},
    {201, "application/json", "Device", "registered"},
    {0},
};

enum { SEERS = API_READERS | ROLE_OWNER, KEEPERS = ROLE_ADMIN | ROLE_OPERATOR };

const struct api_route device_api_routes[] = {
    {HTTP_M_GET, "/api/v1/devices", SEERS, list, 0, "listDevices",
     "Page through the devices, by state or by the beginning of their ids", "devices", NULL, "DeviceList",
     API_PAGED, list_query},
    {HTTP_M_POST, "/api/v1/devices/import", KEEPERS, import, IMPORT_MAX, "importDevices",
     "Register many devices from NDJSON or CSV; run it again to go on after an interruption", "devices", NULL,
     "DeviceImportResult", .takes = import_bodies},
    {HTTP_M_GET, "/api/v1/devices/{id}", SEERS, get, 0, "getDevice",
     "One device and the certificates it holds", "devices", NULL, "Device", API_ETAG},
    {HTTP_M_PUT, "/api/v1/devices/{id}", KEEPERS, put, DEVICE_BODY, "putDevice",
     "Register a device or change its fields; those left out stay", "devices", "DeviceFields", NULL,
     API_IF_MATCH, .gives = put_answers},
    {HTTP_M_POST, "/api/v1/devices/{id}/state", KEEPERS, step, 16 << 10, "stepDevice",
     "Take a step of the device's life; retiring revokes its certificates", "devices", "DeviceState",
     "DeviceStateResult"},
    {0},
};
