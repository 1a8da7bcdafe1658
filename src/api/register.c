/* The register over REST: events, checkpoints, proofs, export and verification. */
#include "register/register.h"
#include "api/groups.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "issue/issue.h"
#include <stdlib.h>
#include <string.h>

enum { EVENTS_DEFAULT = 100, EVENTS_MAX = 1000 };

static tm_err checkpoint(struct api_call *c, struct diag *diag)
{
    struct slice note;
    tm_err e = register_checkpoint(&note, c->arena, c->house->reg, c->tenant->id);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, NULL, "this register has no checkpoint yet");
    TM_TRY(e);
    c->answer_type = "text/plain; charset=utf-8";
    buf_put_slice(&c->out, note);
    return TM_OK;
}

static tm_err key(struct api_call *c, struct diag *diag)
{
    (void)diag;
    struct buf text;
    buf_init(&text, 4096);
    tm_err e = register_vkey(&text, c->house->reg);
    struct slice vkey = slice_trim(buf_slice(&text));
    if (e == TM_OK && api_accepts(c, "text/plain")) {
        c->answer_type = "text/plain; charset=utf-8";
        buf_put_slice(&c->out, vkey);
        buf_putc(&c->out, '\n');
    } else if (e == TM_OK) {
        buf_puts(&c->out, "{\"key\":");
        buf_put_json_string(&c->out, vkey);
        api_put_text(&c->out, "origin", c->house->origin);
        buf_puts(&c->out, "}\n");
    }
    buf_done(&text);
    return e;
}

static void put_event(struct buf *out, const struct event_row *v)
{
    buf_printf(out, "{\"pos\":%llu", (unsigned long long)v->pos);
    char time[21];
    clock_format_rfc3339(time, v->time / 1000);
    api_put_text(out, "time", time);
    api_put_int(out, "time_ms", v->time);
    api_put_text(out, "type", v->type);
    api_put_text(out, "subject", v->subject);
    buf_puts(out, ",\"leaf\":\"");
    buf_put_hex(out, SLICE_ARR(v->leaf));
    buf_puts(out, "\",\"body\":");
    if (v->body.n)
        buf_put_slice(out, v->body);
    else
        buf_puts(out, "null");
    buf_putc(out, '}');
}

static tm_err events(struct api_call *c, struct diag *diag)
{
    int64_t from;
    struct store_read q = {
        .kind = READ_EVENTS, .name = api_query(c, "type"), .text = api_query(c, "subject")};
    TM_TRY(api_query_int(&from, c, "from", 0, INT64_MAX / 2, diag));
    TM_TRY(api_limit(&q.limit, c, EVENTS_DEFAULT, EVENTS_MAX, diag));
    q.pos_from = (uint64_t)from;
    TM_TRY(api_read(c, &q, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < q.n; i++) {
        buf_puts(&c->out, i ? "," : "");
        put_event(&c->out, &q.events[i]);
    }
    buf_puts(&c->out, "]");
    if (q.more)
        buf_printf(&c->out, ",\"next\":%llu", (unsigned long long)q.pos_next);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err write_line(void *arg, struct slice line)
{
    struct api_call *c = arg;
    if (c->write)
        return c->write(c, line);
    buf_put_slice(&c->out, line);
    return buf_err(&c->out);
}

static tm_err export(struct api_call *c, struct diag *diag)
{
    c->answer_type = "application/x-ndjson";
    return register_export(c->house->reg, c->tenant->id, write_line, c, diag);
}

/* What happened within the last second may stand under no checkpoint yet: then one is made. */
static tm_err prove(struct api_call *c, uint64_t pos, struct diag *diag)
{
    tm_err e = register_prove(&c->out, c->house->reg, c->tenant->id, pos, diag);
    if (e != TM_EPENDING)
        return e;
    TM_TRY(house_sequence(c->house, diag));
    return register_prove(&c->out, c->house->reg, c->tenant->id, pos, diag);
}

static tm_err position(uint64_t *ret, const struct api_call *c, struct diag *diag)
{
    const char *text = api_param(c, "pos");
    char *end = NULL;
    *ret = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || strlen(text) > 18)
        return diag_fail(diag, TM_EINVAL, NULL, "pos", "must be the number of an event");
    return TM_OK;
}

static tm_err proof(struct api_call *c, struct diag *diag)
{
    uint64_t pos;
    TM_TRY(position(&pos, c, diag));
    return prove(c, pos, diag);
}

struct erasure_doc {
    const char *reason;
};
static const struct json_field erasure_schema[] = {
    JSON_FIELD(struct erasure_doc, reason, JSON_K_STRING, .max = 1000, .required = true,
               .doc = "why; it stays in the register, so no personal data"),
    {0},
};

static tm_err erase(struct api_call *c, struct diag *diag)
{
    uint64_t pos;
    json_t *doc = NULL;
    struct erasure_doc d = {0};
    TM_TRY(position(&pos, c, diag));
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, erasure_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    TM_TRY(issue_erase(c->house, c->tenant->id, pos, d.reason, c->principal, diag));
    c->status = 204;
    return TM_OK;
}

/* The event that made a certificate known: issued here, or imported. */
static tm_err certificate_proof(struct api_call *c, struct diag *diag)
{
    uint8_t id[CERT_SERIAL_LEN];
    TM_TRY(api_cert_id(id, c, api_param(c, "serial"), diag));
    const char *hex = arena_hex(c->arena, SLICE_ARR(id));
    const char *about = hex ? arena_printf(c->arena, "certificate/%s", hex) : NULL;
    if (!about)
        return TM_ENOMEM;
    struct store_read q = {.kind = READ_EVENTS, .name = "certificate.", .text = about, .limit = 1};
    do {
        TM_TRY(api_read(c, &q, diag));
        q.pos_from = q.pos_next;
    } while (q.n == 0 && q.more);
    if (q.n == 0)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "serial", "the register has no event of this certificate");
    return prove(c, q.events[0].pos, diag);
}

static tm_err verify(struct api_call *c, struct diag *diag)
{
    struct register_report r = {0};
    TM_TRY(register_verify(&r, c->house->reg, c->tenant->id, NULL, NULL, diag));
    buf_puts(&c->out, "{\"ok\":true");
    api_put_int(&c->out, "events", (int64_t)r.events);
    api_put_int(&c->out, "certificates", (int64_t)r.certificates);
    api_put_int(&c->out, "erased", (int64_t)r.erased);
    api_put_int(&c->out, "checkpoints", (int64_t)r.checkpoints);
    api_put_int(&c->out, "chain_seq", (int64_t)r.chain_seq);
    api_put_int(&c->out, "chain_gaps", (int64_t)r.chain_gaps);
    api_put_int(&c->out, "waiting", (int64_t)r.waiting);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

/* Found tampering is the answer, not a fault of the server. */
static tm_err verify_report(struct api_call *c, struct diag *diag)
{
    struct diag found = {0};
    tm_err e = verify(c, &found);
    if (e != TM_ECORRUPT && e != TM_EBADSIG) {
        *diag = found;
        return e;
    }
    buf_reset(&c->out);
    buf_printf(&c->out, "{\"ok\":false,\"error\":\"%s\"", tm_err_name(e));
    api_put_text(&c->out, "rule", found.rule);
    api_put_text(&c->out, "field", found.field);
    api_put_text(&c->out, "detail", found.message);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field key_fields[] = {
    {"key", "string", "as C2SP signed notes have it (vkey)", "pki.example.org/touchmark+30b2…"},
    {"origin", "string", "the register's name", "pki.example.org/touchmark"},
    {0},
};
static const struct api_field event_fields[] = {
    {"pos", "integer", "its place in the register", "42"},
    {"time", "time", NULL, NULL},
    {"time_ms", "integer", "milliseconds since 1970", "1795246262804"},
    {"type", "string", NULL, "certificate.issued"},
    {"subject", "string", "what it is about", "certificate/" API_SERIAL_EXAMPLE},
    {"leaf", "hex", "the hash that stands in the tree", NULL},
    {"body", "object?", "null where it was erased, but for the numbers of a signature", NULL},
    {0},
};
static const struct api_field event_list_fields[] = {
    {"items", "[]Event", NULL, NULL},
    {"next?", "integer", "what `from` is for the next page", "142"},
    {0},
};
static const struct api_field exported_fields[] = {
    {"pos", "integer", NULL, "42"},
    {"time", "integer", "milliseconds since 1970", "1795246262804"},
    {"type", "string", NULL, "certificate.issued"},
    {"subject", "string", NULL, "certificate/" API_SERIAL_EXAMPLE},
    {"leaf", "base64", NULL, NULL},
    {"erased", "boolean", NULL, "false"},
    {"salt?", "base64", "missing where it was erased", NULL},
    {"body?", "string", "the event as its commitment covers it: JSON in a text", NULL},
    {0},
};
static const struct api_field proof_fields[] = {
    {"format?", "string", NULL, NULL},
    {"index", "integer", "the event's place", "42"},
    {"checkpoint", "string", "a signed note", NULL},
    {"event?", "string", "JSON in a text", NULL},
    {"leaf?", "base64", "of an event that was erased", NULL},
    {"salt?", "base64", NULL, NULL},
    {"proof", "[]base64", "hashes up to the root", NULL},
    {"anchor?", "Proof", "of the tenant's checkpoint in the house's register", NULL},
    {0},
};
static const struct api_field report_fields[] = {
    {"ok", "boolean", NULL, "true"},
    {"events?", "integer", NULL, "142"},
    {"certificates?", "integer", NULL, "17"},
    {"erased?", "integer", NULL, "0"},
    {"checkpoints?", "integer", NULL, "9"},
    {"chain_seq?", "integer", "the signer's last signature", "31"},
    {"chain_gaps?", "integer", NULL, "0"},
    {"waiting?", "integer", "signatures that are not recorded yet", "0"},
    {"error?", "string", "where it does not hold", NULL},
    {"rule?", "string", NULL, NULL},
    {"field?", "string", NULL, NULL},
    {"detail?", "string", NULL, NULL},
    {0},
};
const struct api_schema register_api_schemas[] = {
    {"RegisterKey", NULL, key_fields, NULL, NULL},
    {"Event", "what happened", event_fields, NULL, NULL},
    {"EventList", NULL, event_list_fields, NULL, NULL},
    {"ExportedEvent", "enough to compute the tree elsewhere", exported_fields, NULL, NULL},
    {"Erasure", "why an event is erased", NULL, erasure_schema,
     "{\"reason\":\"request of the person concerned, ticket 4711\"}"},
    {"Proof", "verifies offline: touchmark register verify-proof", proof_fields, NULL, NULL},
    {"VerifyReport", NULL, report_fields, NULL, NULL},
    {0},
};
static const struct api_field events_query[] = {
    {"from", "integer", "from this position on", "42"},
    {"type", "string", "only events whose type begins so", "certificate."},
    {"subject", "string", "only about this", "device/SN-0001"},
    {"limit", "integer", "at most so many; 100 when left out, 1000 at the most", "100"},
    {0},
};
static const struct api_content erased[] = {{204, NULL, NULL, "erased"}, {0}};
static const struct api_content note[] = {{200, "text/plain", NULL, "a signed note (C2SP)"}, {0}};
static const struct api_content key_text[] = {{200, "text/plain", NULL, "the key alone"}, {0}};
static const struct api_content lines[] = {{200, "application/x-ndjson", "ExportedEvent",
                                            "one event a line; an answer that ends early was cut short"},
                                           {0}};
static const struct api_content proofs[] = {
    {202, "application/problem+json", "Problem", "no checkpoint covers it yet: try again in a second"}, {0}};

const struct api_route register_api_routes[] = {
    {HTTP_M_GET, "/api/v1/register/checkpoint", 0, checkpoint, 0, "getCheckpoint",
     "The newest signed checkpoint", "register", NULL, NULL, .gives = note},
    {HTTP_M_GET, "/api/v1/register/key", 0, key, 0, "getRegisterKey",
     "The key that checkpoints verify with (vkey)", "register", NULL, "RegisterKey", .gives = key_text},
    {HTTP_M_GET, "/api/v1/register/events", API_READERS, events, 0, "listEvents",
     "Events from a position on, by type prefix and subject", "register", NULL, "EventList", 0, events_query},
    {HTTP_M_POST, "/api/v1/register/events/{pos}/erase", ROLE_ADMIN, erase, 4096, "eraseEvent",
     "Take an event's contents out for good; its leaf and every proof stay, and the erasure is an event",
     "register", "Erasure", NULL, .gives = erased},
    {HTTP_M_GET, "/api/v1/register/export", API_READERS, export, 0, "exportRegister",
     "The whole register, one event a line", "register", NULL, NULL, .gives = lines},
    {HTTP_M_GET, "/api/v1/register/proofs/{pos}", API_READERS, proof, 0, "proveEvent",
     "A proof that an event stands in the register; verifies offline", "register", NULL, "Proof",
     .gives = proofs},
    {HTTP_M_GET, "/api/v1/register/certificate-proofs/{serial}", API_READERS, certificate_proof, 0,
     "proveCertificate", "A proof of the event that made a certificate known", "register", NULL, "Proof",
     .gives = proofs},
    {HTTP_M_POST, "/api/v1/register/verify", API_READERS, verify_report, 4096, "verifyRegister",
     "Recompute everything from the store and say what does not hold", "register", NULL, "VerifyReport"},
    {0},
};
