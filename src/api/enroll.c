#include "api/enroll.h"
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/house.h"
#include "policy/profile.h"
#include "x509/cms/certs_only.h"
#include <stdio.h>
#include <string.h>

enum { REQUEST_MAX = 256 << 10, CHAIN_MAX = 16, IDEMPOTENCY_KEY_MAX = 200 };

const struct json_field enroll_schema[] = {
    JSON_FIELD(struct enroll_doc, csr, JSON_K_STRING, .required = true, .max = REQUEST_MAX,
               .doc = "PEM, or base64 of DER: PKCS#10, CRMF or SPKAC"),
    JSON_FIELD(struct enroll_doc, profile, JSON_K_STRING, .max = 63, .def = "",
               .doc = "the endpoint's first when left out"),
    JSON_FIELD(struct enroll_doc, endpoint, JSON_K_STRING, .max = 127, .def = "",
               .doc = "\"rest\" when left out"),
    JSON_FIELD(struct enroll_doc, device, JSON_K_STRING, .max = 200, .def = "", .doc = "device id it is for"),
    JSON_FIELD(struct enroll_doc, idempotency_key, JSON_K_STRING, .max = IDEMPOTENCY_KEY_MAX, .def = "",
               .doc = "the same key and request give the same certificate for a day"),
    JSON_FIELD(struct enroll_doc, renews, JSON_K_STRING, .max = 64, .def = "",
               .doc = "serial (hex) of the certificate that this one replaces"),
    JSON_FIELD(struct enroll_doc, id, JSON_K_STRING, .max = 200, .def = "",
               .doc = "the caller's own mark, given back in the result"),
    JSON_FIELD(struct enroll_doc, not_before, JSON_K_TIME, .doc = "asked for; the profile decides"),
    JSON_FIELD(struct enroll_doc, not_after, JSON_K_TIME, .doc = "asked for; the profile decides"),
    JSON_FIELD(struct enroll_doc, dry_run, JSON_K_BOOL, .doc = "decide and explain, issue nothing"),
    JSON_FIELD(struct enroll_doc, proposed, JSON_K_ANY,
               .doc =
                   "with dry_run: the document of a profile to decide by, which need not be kept anywhere"),
    {0},
};

/* May the caller ask for anything, within policy? Owners ask for their own devices only. */
static bool runs_enrollment(const struct api_call *c)
{
    return (c->roles & (ROLE_ADMIN | ROLE_OPERATOR | ROLE_HOUSE_ADMIN)) != 0;
}

/* A profile that is still being written: it decides, and no endpoint offers it yet. */
static tm_err take_proposed(struct issue_request *ret, struct arena *a, const struct api_call *c,
                            const struct enroll_doc *d, struct diag *diag)
{
    struct buf text;
    struct profile *p = NULL;
    if (!d->dry_run)
        return diag_fail(
            diag, TM_EINVAL, NULL, "/proposed",
            "a proposed profile goes with dry_run: what is issued is decided by one that is kept");
    if (!runs_enrollment(c))
        return diag_fail(diag, TM_EFORBIDDEN, "role", "/proposed",
                         "profiles are tried by who runs the tenant");
    buf_init(&text, REQUEST_MAX);
    buf_put_json(&text, d->proposed, false);
    tm_err e = buf_err(&text);
    if (e == TM_OK)
        e = profile_from_json(&p, buf_slice(&text), 0, diag);
    buf_done(&text);
    if (tm_err_class(e) == TM_CLASS_CALLER)
        return diag_fail(diag, e, diag->rule, arena_printf(a, "/proposed%s", diag->field), "%s",
                         diag->message);
    TM_TRY(e);
    ret->proposed = p;
    ret->e.profile = profile_name(p);
    return TM_OK;
}

/* The endpoint and, within what it offers, the profile. */
static tm_err choose_profile(struct issue_request *ret, struct arena *a, const struct api_call *c,
                             const struct enroll_doc *d, struct diag *diag)
{
    const char *in_query = api_query(c, "endpoint"), *profile_in_query = api_query(c, "profile");
    const char *name = d->endpoint[0] ? d->endpoint : in_query ? in_query : "rest";
    const char *profile = d->profile[0] ? d->profile : profile_in_query;
    const char *label = catalog_endpoint_label(a, c->tenant, name);
    if (!label)
        return TM_ENOMEM;
    const struct endpoint *e = catalog_endpoint(c->catalog, DOOR_REST, label);
    if (!e || e->disabled)
        return diag_fail(diag, TM_ENOTFOUND, "endpoint.unknown", "/endpoint",
                         "there is no open REST endpoint \"%s\"", name);
    ret->e.endpoint = arena_strdup(a, e->name);
    ret->authority = e->authority[0] ? arena_strdup(a, e->authority) : NULL;
    if (d->proposed)
        return ret->e.endpoint ? take_proposed(ret, a, c, d, diag) : TM_ENOMEM;
    ret->e.profile = arena_strdup(a, profile ? profile : e->profiles[0]);
    if (!ret->e.endpoint || !ret->e.profile)
        return TM_ENOMEM;
    for (size_t i = 0; i < e->n_profiles; i++)
        if (strcmp(e->profiles[i], ret->e.profile) == 0)
            return TM_OK;
    return diag_fail(diag, TM_EDENIED, "endpoint.profiles", "/profile",
                     catalog_profile(c->catalog, c->tenant->id, ret->e.profile)
                         ? "endpoint \"%s\" does not offer profile \"%s\""
                         : "endpoint \"%s\" does not offer profile \"%s\", and there is none of that name",
                     name, ret->e.profile);
}

static tm_err find_predecessor(struct issue_request *ret, struct arena *a, const struct api_call *c,
                               const char *serial, struct diag *diag)
{
    struct slice id;
    if (hex_decode(&id, a, slice_str(serial)) != TM_OK || id.n != CERT_SERIAL_LEN)
        return diag_fail(diag, TM_EINVAL, NULL, "/renews", "a serial has %d octets in hex", CERT_SERIAL_LEN);
    struct store_read q = {.kind = READ_CERT, .tenant = c->tenant->id, .arena = a, .with_der = true};
    memcpy(q.id, id.p, id.n);
    tm_err e = store_read_now(c->house->store, &q);
    if (e == TM_ENOTFOUND || (e == TM_OK && q.certs[0].der.n == 0))
        return diag_fail(diag, TM_ENOTFOUND, NULL, "/renews", "there is no such certificate to renew");
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    if (!runs_enrollment(c) && strcmp(q.certs[0].device, ret->device_id) != 0)
        return diag_fail(diag, TM_EFORBIDDEN, "role", "/renews",
                         "this certificate is not of the device that you name");
    ret->predecessor = q.certs[0].der;
    ret->e.kind = ENROLL_RENEW;
    return TM_OK;
}

tm_err enroll_fill(struct issue_request *ret, struct arena *a, const struct api_call *c, const json_t *doc,
                   const char *request_id, struct diag *diag)
{
    struct enroll_doc d = {0};
    TM_TRY(json_bind(&d, enroll_schema, doc, "", a, diag));
    return enroll_fill_from(ret, a, c, &d, request_id, diag);
}

tm_err enroll_fill_from(struct issue_request *ret, struct arena *a, const struct api_call *c,
                        const struct enroll_doc *d, const char *request_id, struct diag *diag)
{
    *ret =
        (struct issue_request){.house = c->house, .arena = a, .tenant = c->tenant->id, .dry_run = d->dry_run};
    ret->e = (struct enrollment){
        .request_id = request_id,
        .tenant = arena_strdup(a, c->tenant->name),
        .door = DOOR_REST,
        .idempotency_key = d->idempotency_key[0] ? d->idempotency_key : NULL,
        .caller =
            {
                .kind = CALLER_PRINCIPAL,
                .id = arena_strdup(a, c->principal ? c->principal : ""),
                .roles = api_roles_text(a, c->roles),
                .device_id = d->device,
                .peer = c->peer ? arena_strdup(a, c->peer) : "",
            },
    };
    ret->device_id = d->device;
    if (!ret->e.tenant || !ret->e.caller.id || !ret->e.caller.roles)
        return TM_ENOMEM;
    TM_TRY(choose_profile(ret, a, c, d, diag));
    struct csr *csr = arena_calloc(a, 1, sizeof *csr);
    if (!csr)
        return TM_ENOMEM;
    TM_TRY(csr_parse_any(csr, a, slice_str(d->csr), diag));
    TM_TRY(issue_from_csr(ret, csr, diag));
    if (d->not_before)
        ret->e.not_before = d->not_before;
    if (d->not_after)
        ret->e.not_after = d->not_after;
    return d->renews[0] ? find_predecessor(ret, a, c, d->renews, diag) : TM_OK;
}

/* ---- results ---- */

static void put_text(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, ",\"%s\":", key);
    buf_put_json_string(out, slice_str(value ? value : ""));
}

static void put_pem_string(struct buf *out, const char *key, const struct slice *certs, size_t n)
{
    struct buf pem;
    buf_init(&pem, 1 << 20);
    for (size_t i = 0; i < n; i++)
        buf_put_pem(&pem, "CERTIFICATE", certs[i]);
    put_text(out, key, buf_str(&pem));
    buf_done(&pem);
}

static void put_issued(struct buf *out, const struct issue_request *r, bool compact)
{
    char time[21];
    buf_puts(out, ",\"status\":\"issued\",\"serial\":\"");
    buf_put_hex(out, SLICE_ARR(r->serial));
    buf_puts(out, "\"");
    if (compact) {
        buf_puts(out, ",\"certificate\":\"");
        buf_put_base64(out, r->cert, BASE64_STD, 0);
        buf_puts(out, "\"");
    } else {
        put_pem_string(out, "certificate", &r->cert, 1);
        put_pem_string(out, "chain", r->chain, r->n_chain);
        put_text(out, "profile", r->e.profile);
        clock_format_rfc3339(time, r->decision.plan.not_after);
        if (!r->replayed) {
            put_text(out, "authority", r->decision.plan.authority);
            put_text(out, "not_after", time);
        }
    }
    if (r->replayed)
        buf_puts(out, ",\"replayed\":true");
}

void enroll_result(struct buf *out, const struct issue_request *r, const char *id, bool compact)
{
    buf_puts(out, "{\"id\":");
    buf_put_json_string(out, slice_str(id ? id : ""));
    switch (r->outcome) {
    case ISSUE_ISSUED:
        if (!r->dry_run)
            put_issued(out, r, compact);
        break;
    case ISSUE_PENDING:
        put_text(out, "status", "pending");
        put_text(out, "request", r->pending_id);
        break;
    case ISSUE_DENIED:
        put_text(out, "status", "denied");
        put_text(out, "rule", r->decision.rule);
        put_text(out, "detail", r->decision.reason);
        break;
    case ISSUE_FAILED:
        put_text(out, "status", "failed");
        put_text(out, "error", tm_err_name(r->err));
        put_text(out, "detail", tm_err_class(r->err) == TM_CLASS_INTERNAL ? "see the log" : r->diag.message);
        break;
    }
    if (r->dry_run) {
        buf_puts(out, ",\"decision\":");
        decision_json(out, &r->decision);
    }
    buf_puts(out, "}");
}

/* ---- the single request ---- */

/* A body that is the request itself: application/pkcs10, PEM, …; profile and endpoint stand in the query. */
static tm_err doc_from_raw(json_t **ret, struct api_call *c)
{
    struct buf b;
    buf_init(&b, REQUEST_MAX);
    bool text = c->body.n > 0 && (c->body.p[0] == '-' || (c->body.p[0] != 0x30 && utf8_valid(c->body)));
    if (text)
        buf_put_slice(&b, c->body);
    else
        buf_put_base64(&b, c->body, BASE64_STD, 0);
    json_t *doc = buf_err(&b) == TM_OK ? json_object() : NULL;
    int bad = !doc || json_object_set_new(doc, "csr", json_string(buf_str(&b)));
    static const char *const keys[] = {"profile", "endpoint", "device", "renews"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !bad; i++)
        if (api_query(c, keys[i]))
            bad = json_object_set_new(doc, keys[i], json_string(api_query(c, keys[i])));
    if (!bad && api_query(c, "dry_run"))
        bad = json_object_set_new(doc, "dry_run", json_true());
    buf_done(&b);
    if (bad) {
        json_decref(doc);
        return TM_ENOMEM;
    }
    *ret = doc;
    return TM_OK;
}

/* The certificate in the form that Accept names (A15); JSON with PEM inside otherwise. */
static tm_err answer_issued(struct api_call *c, const struct issue_request *r, const char *id)
{
    c->status = r->replayed ? 200 : 201;
    if (api_accepts(c, "application/pkix-cert")) {
        c->answer_type = "application/pkix-cert";
        buf_put_slice(&c->out, r->cert);
    } else if (api_accepts(c, "application/pem-certificate-chain")) {
        c->answer_type = "application/pem-certificate-chain";
        buf_put_pem(&c->out, "CERTIFICATE", r->cert);
        for (size_t i = 0; i + 1 < r->n_chain; i++)
            buf_put_pem(&c->out, "CERTIFICATE", r->chain[i]);
    } else if (api_accepts(c, "application/pkcs7-mime")) {
        c->answer_type = "application/pkcs7-mime; smime-type=certs-only";
        struct slice all[CHAIN_MAX + 1] = {r->cert};
        size_t n = 1;
        for (size_t i = 0; i < r->n_chain && n <= CHAIN_MAX; i++)
            all[n++] = r->chain[i];
        TM_TRY(certs_only_build(&c->out, all, n, NULL, 0));
    } else {
        enroll_result(&c->out, r, id, false);
        buf_putc(&c->out, '\n');
    }
    return TM_OK;
}

static tm_err answer_enroll(struct api_call *c, const struct issue_request *r, const char *id,
                            struct diag *diag)
{
    if (r->dry_run && r->outcome != ISSUE_FAILED) {
        enroll_result(&c->out, r, id, false);
        buf_putc(&c->out, '\n');
        return TM_OK;
    }
    switch (r->outcome) {
    case ISSUE_ISSUED:
        return answer_issued(c, r, id);
    case ISSUE_PENDING:
        c->status = 202;
        enroll_result(&c->out, r, id, false);
        buf_putc(&c->out, '\n');
        return TM_OK;
    default:
        *diag = r->diag;
        return r->err == TM_OK ? TM_EINTERNAL : r->err;
    }
}

/* What the caller may ask for beyond what policy says of it. */
static tm_err may_ask(struct api_call *c, const struct issue_request *r, struct diag *diag)
{
    if (!runs_enrollment(c) && !r->device_id[0])
        return diag_fail(diag, TM_EFORBIDDEN, "role", "/device",
                         "an owner names the device that the certificate is for");
    TM_TRY(api_may_device(c, ROLE_ADMIN | ROLE_OPERATOR, r->device_id, diag));
    if (c->idempotency_key && strlen(c->idempotency_key) > IDEMPOTENCY_KEY_MAX)
        return diag_fail(diag, TM_EINVAL, NULL, "Idempotency-Key", "at most %d characters",
                         IDEMPOTENCY_KEY_MAX);
    return TM_OK;
}

static tm_err post_enroll(struct api_call *c, struct diag *diag)
{
    json_t *doc = NULL;
    bool json = !c->content_type || strstr(c->content_type, "json");
    TM_TRY(json ? api_body_json(&doc, c, diag) : doc_from_raw(&doc, c));
    struct issue_request *r = arena_calloc(c->arena, 1, sizeof *r);
    tm_err e = r ? enroll_fill(r, c->arena, c, doc, c->request_id, diag) : TM_ENOMEM;
    const char *given = json_string_value(json_object_get(doc, "id"));
    const char *id = arena_strdup(c->arena, given ? given : "");
    json_decref(doc);
    if (e == TM_OK)
        e = id ? may_ask(c, r, diag) : TM_ENOMEM;
    if (e == TM_OK) {
        if (c->idempotency_key)
            r->e.idempotency_key = c->idempotency_key;
        issue_run(r);
        e = answer_enroll(c, r, id, diag);
    }
    if (r)
        profile_free((struct profile *)(uintptr_t)r->proposed);
    return e;
}

/* A stream needs a connection: over HTTP api/bulk.h serves this path before calls are made of it. */
static tm_err bulk_inside(struct api_call *c, struct diag *diag)
{
    (void)c;
    return diag_fail(diag, TM_EUNAVAIL, "bulk.http", NULL,
                     "bulk enrollment is a stream over HTTP: it needs a running server");
}

/* ---- what the document says ---- */

static const struct api_field result_fields[] = {
    {"id", "string", "the caller's own mark", "order-7"},
    {"status?", "issued|pending|denied|failed", "missing where nothing was asked but a decision", "issued"},
    {"serial?", "hex", NULL, API_SERIAL_EXAMPLE},
    {"certificate?", "pem", NULL, NULL},
    {"chain?", "pem", "its issuers, the root last", NULL},
    {"profile?", "string", NULL, "server-internal-1y"},
    {"authority?", "string", NULL, "issuing-ca"},
    {"not_after?", "time", NULL, NULL},
    {"replayed?", "boolean", "the answer that was given before", "false"},
    {"request?", "string", "pending: what GET /requests/{id} shows", "7b2e61c09a"},
    {"rule?", "string", "denied: by which rule", "key.strength"},
    {"detail?", "string", "why", NULL},
    {"error?", "string", "failed: the error's name", "unavailable"},
    {"decision?", "Decision", "with dry_run", NULL},
    {0},
};
static const struct api_field bulk_result_fields[] = {
    {"id", "string", "the line's own mark", "order-7"},
    {"line?", "integer", "of a line that could not be read, from 1", "3"},
    {"status", "issued|pending|denied|failed", NULL, "issued"},
    {"serial?", "hex", NULL, API_SERIAL_EXAMPLE},
    {"certificate?", "base64", "DER", NULL},
    {"replayed?", "boolean", NULL, "false"},
    {"request?", "string", "pending: what GET /requests/{id} shows", "7b2e61c09a"},
    {"rule?", "string", "denied: by which rule", "key.strength"},
    {"field?", "string", "of the line, as a JSON pointer", "/csr"},
    {"detail?", "string", "why", NULL},
    {"error?", "string", "failed: the error's name", "malformed"},
    {0},
};
static const struct api_field decision_fields[] = {
    {"verdict", "issue|pend|deny", NULL, "issue"},
    {"rule?", "string", "that said so", NULL},
    {"reason?", "string", NULL, NULL},
    {"error?", "string", "deny: the error's name", "denied"},
    {"trace", "[]DecisionStep", "every rule that was looked at", NULL},
    {"plan?", "object", "the certificate that would be made", NULL},
    {0},
};
static const struct api_field step_fields[] = {
    {"rule", "string", NULL, "key.strength"},
    {"result", "string", NULL, "passed"},
    {"detail", "string", NULL, "EC P-256"},
    {0},
};
#define REQUEST_EXAMPLE                                                                                      \
    "{\"csr\":\"-----BEGIN CERTIFICATE REQUEST-----\\nMIH3…\\n-----END CERTIFICATE REQUEST-----\\n\","       \
    "\"profile\":\"server-internal-1y\",\"id\":\"order-7\"}"
const struct api_schema enroll_api_schemas[] = {
    {"EnrollRequest", "what is asked for; policy decides", NULL, enroll_schema, REQUEST_EXAMPLE},
    {"EnrollResult", NULL, result_fields, NULL, NULL},
    {"BulkResult", "one line of the answer to a bulk enrollment", bulk_result_fields, NULL, NULL},
    {"Decision", "what policy says, and why", decision_fields, NULL, NULL},
    {"DecisionStep", NULL, step_fields, NULL, NULL},
    {0},
};

static const struct api_field enroll_query[] = {
    {"profile", "string", "where the body does not say it; the endpoint's first when left out",
     "server-internal-1y"},
    {"endpoint", "string", "where the body does not say it; \"rest\" when left out", "rest"},
    {"device", "string", "of a body that is the request itself: the device it is for", "SN-0001"},
    {"renews", "hex", "of a body that is the request itself: the certificate that it replaces",
     API_SERIAL_EXAMPLE},
    {"dry_run", "true|1", "of a body that is the request itself: decide and explain, issue nothing", "1"},
    {0},
};
static const struct api_field bulk_query[] = {
    {"profile", "string", "of lines that name none", "server-internal-1y"},
    {"endpoint", "string", "of lines that name none; \"rest\" when left out", "rest"},
    {0},
};
static const struct api_content enroll_bodies[] = {
    {0, "application/pkcs10", NULL, "the request itself, DER"},
    {0, "application/x-pem-file", NULL, "the request itself, PEM or base64: PKCS#10, CRMF or SPKAC"},
    {0},
};
static const struct api_content enroll_answers[] = {
    {200, "application/json", "EnrollResult", "a decision (dry_run), or the same certificate again"},
    {201, "application/json", "EnrollResult", "issued"},
    {201, "application/pkix-cert", NULL, "DER"},
    {201, "application/pem-certificate-chain", NULL, "PEM, its issuers behind it"},
    {201, "application/pkcs7-mime", NULL, "certs-only PKCS#7"},
    {202, "application/json", "EnrollResult", "it waits for approval"},
    {0},
};
static const struct api_content bulk_bodies[] = {
    {0, "application/x-ndjson", "EnrollRequest", "one request a line"},
    {0},
};
static const struct api_content bulk_answers[] = {
    {200, "application/x-ndjson", "BulkResult",
     "one result a line, in the order in which they become durable"},
    {0},
};

const struct api_route enroll_api_routes[] = {
    {HTTP_M_POST, "/api/v1/enroll", ROLE_ADMIN | ROLE_OPERATOR | ROLE_OWNER, post_enroll, REQUEST_MAX * 2,
     "enroll", "Ask for a certificate: JSON, or the request itself (PKCS#10, CRMF, SPKAC)", "certificates",
     "EnrollRequest", NULL, API_IDEMPOTENT, enroll_query, enroll_bodies, enroll_answers},
    {HTTP_M_POST, "/api/v1/enroll/bulk", ROLE_ADMIN | ROLE_OPERATOR, bulk_inside, SIZE_MAX, "enrollBulk",
     "Many requests as a stream, one a line; results as they become durable", "certificates", NULL, NULL, 0,
     bulk_query, bulk_bodies, bulk_answers},
    {0},
};
