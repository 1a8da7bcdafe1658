/* The OpenAPI 3.1 document, generated from the tables of routes and schemas that stand beside the handlers. */
#include "api/openapi.h"
#include "api/groups.h"
#include "api/problem.h"
#include "base/json.h"
#include "issue/resources.h"
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 512 };
static const char prefix[] = "/api/v1";

/* ---- operations ---- */

static json_t *one_of_kinds(void)
{
    json_t *list = json_array();
    for (const struct resource_kind *k = resource_kinds; k->kind; k++)
        json_array_append_new(list, json_string(k->plural));
    return json_pack("{s:s,s:o}", "type", "string", "enum", list);
}

static json_t *parameter(const char *name, const char *in, bool required, json_t *schema, const char *doc)
{
    return json_pack("{s:s,s:s,s:b,s:o,s:s*}", "name", name, "in", in, "required", required, "schema", schema,
                     "description", doc);
}

static void path_parameters(json_t *list, const char *pattern)
{
    static const struct api_field known[] = {
        {"serial", "hex", "a certificate's id in the inventory: its serial, where it was issued here", NULL},
        {"id", "string", NULL, NULL},
        {"kind", "kind", "a kind of resource", NULL},
        {"name", "string", NULL, NULL},
        {"authority", "string", "name of an authority", NULL},
        {"pos", "integer", "place in the register", NULL},
        {0},
    };
    for (const char *p = strchr(pattern, '{'); p; p = strchr(p, '{')) {
        size_t n = strcspn(++p, "}");
        char name[64] = "";
        strncat(name, p, n < sizeof name ? n : sizeof name - 1);
        const struct api_field *f = known;
        while (f->name && strcmp(f->name, name) != 0)
            f++;
        json_t *schema = f->name && strcmp(f->type, "kind") == 0 ? one_of_kinds()
                                                                 : openapi_type(f->name ? f->type : "string");
        json_array_append_new(list, parameter(name, "path", true, schema, f->doc));
    }
}

static void query_parameters(json_t *list, const struct api_route *r)
{
    for (const struct api_field *f = r->query; f && f->name; f++) {
        json_t *p = parameter(f->name, "query", false, openapi_type(f->type), f->doc);
        if (f->example)
            json_object_set_new(p, "example", openapi_example(f));
        json_array_append_new(list, p);
    }
    if (r->flags & API_PAGED) {
        json_array_append_new(list, json_pack("{s:s}", "$ref", "#/components/parameters/limit"));
        json_array_append_new(list, json_pack("{s:s}", "$ref", "#/components/parameters/after"));
    }
    if (r->flags & API_IF_MATCH)
        json_array_append_new(list, json_pack("{s:s}", "$ref", "#/components/parameters/ifMatch"));
    if (r->flags & API_IDEMPOTENT)
        json_array_append_new(list, json_pack("{s:s}", "$ref", "#/components/parameters/idempotencyKey"));
}

static json_t *media(const char *schema)
{
    if (!schema) /* 3.1: octets have no schema */
        return json_object();
    json_t *o = json_pack("{s:o}", "schema", openapi_reference(schema));
    json_t *example = openapi_schema_example(schema);
    if (example)
        json_object_set_new(o, "example", example);
    return o;
}

static json_t *request_body(const struct api_route *r)
{
    json_t *content = json_object();
    bool any = r->request_schema != NULL;
    if (r->request_schema)
        json_object_set_new(content, "application/json", media(r->request_schema));
    for (const struct api_content *x = r->takes; x && x->type; x++, any = true) {
        json_t *m = media(x->schema);
        if (x->schema && strcmp(x->type, "application/x-ndjson") == 0)
            json_object_set_new(m, "x-lines", json_true());
        if (x->doc)
            json_object_set_new(m, "x-form", json_string(x->doc));
        json_object_set_new(content, x->type, m);
    }
    if (!any) {
        json_decref(content);
        return NULL;
    }
    return json_pack("{s:b,s:o}", "required", !(r->flags & API_BODY_OPTIONAL), "content", content);
}

static void set_header(json_t *response, const char *name, const char *reference)
{
    json_t *headers = json_object_get(response, "headers");
    if (!headers) {
        json_object_set_new(response, "headers", json_object());
        headers = json_object_get(response, "headers");
    }
    json_object_set_new(headers, name, json_pack("{s:s}", "$ref", reference));
}

/* One more form of the answer with this status. */
static void add_answer(json_t *responses, const struct api_route *r, const struct api_content *x)
{
    char status[8];
    snprintf(status, sizeof status, "%d", x->status);
    json_t *o = json_object_get(responses, status);
    if (!o) {
        json_object_set_new(responses, status,
                            json_pack("{s:s}", "description", x->doc ? x->doc : r->summary));
        o = json_object_get(responses, status);
        set_header(o, "X-Request-Id", "#/components/headers/requestId");
        if (r->flags & (API_ETAG | API_IF_MATCH) && x->status < 204)
            set_header(o, "ETag", "#/components/headers/etag");
        if (r->flags & API_LOCATION)
            set_header(o, "Location", "#/components/headers/location");
    }
    if (!x->type)
        return;
    json_t *content = json_object_get(o, "content");
    if (!content) {
        json_object_set_new(o, "content", json_object());
        content = json_object_get(o, "content");
    }
    json_object_set_new(content, x->type, media(x->schema));
}

/* Which refusals an operation can give follows from what it is. */
static bool can_answer(const struct api_route *r, int status)
{
    switch (status) {
    case 409:
    case 507:
        return r->method != HTTP_M_GET;
    case 413:
        return r->body_max > 0;
    case 403: /* of those that are for everybody, the ones that browsers use */
        return r->roles != 0 || r->method != HTTP_M_GET;
    default:
        return status >= 400;
    }
}

static json_t *responses_of(const struct api_route *r)
{
    json_t *o = json_object();
    if (r->response_schema)
        add_answer(o, r, &(struct api_content){200, "application/json", r->response_schema, r->summary});
    for (const struct api_content *x = r->gives; x && x->status; x++)
        add_answer(o, r, x);
    int status;
    tm_err e;
    const char *title;
    for (size_t i = 0; api_problem_row(i, &e, &status, &title); i++) {
        char key[8], reference[64];
        snprintf(key, sizeof key, "%d", status);
        snprintf(reference, sizeof reference, "#/components/responses/%d", status);
        if (can_answer(r, status) && !json_object_get(o, key))
            json_object_set_new(o, key, json_pack("{s:s}", "$ref", reference));
    }
    return o;
}

static json_t *roles_of(unsigned roles)
{
    json_t *list = json_array();
    for (unsigned i = 0; api_role_names[i]; i++)
        if (roles & (1u << i))
            json_array_append_new(list, json_string(api_role_names[i]));
    return list;
}

static json_t *description(const struct api_route *r)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    for (unsigned i = 0; api_role_names[i]; i++)
        if (r->roles & (1u << i))
            buf_printf(&text, "%s%s", text.n ? ", " : "Roles: ", api_role_names[i]);
    if (!r->roles)
        buf_puts(&text, "For everybody.");
    else
        buf_puts(&text, r->roles & ROLE_OWNER ? "; an owner for devices of their own." : ".");
    if (r->flags & API_LOCAL)
        buf_puts(&text, " Only on the house's own machine, over its admin socket.");
    json_t *s = json_string(buf_str(&text));
    buf_done(&text);
    return s;
}

static json_t *operation(const struct api_route *r)
{
    json_t *parameters = json_array();
    path_parameters(parameters, r->pattern);
    query_parameters(parameters, r);
    json_t *o =
        json_pack("{s:s,s:s,s:o,s:[s],s:o,s:o}", "operationId", r->id, "summary", r->summary, "description",
                  description(r), "tags", r->tag, "parameters", parameters, "responses", responses_of(r));
    json_t *body = request_body(r);
    if (body)
        json_object_set_new(o, "requestBody", body);
    if (r->roles)
        json_object_set_new(o, "x-roles", roles_of(r->roles));
    else
        json_object_set_new(o, "security", json_array());
    return o;
}

static const char *method_name(enum http_method m)
{
    return m == HTTP_M_GET ? "get" : m == HTTP_M_POST ? "post" : m == HTTP_M_PUT ? "put" : "delete";
}

static json_t *paths(void)
{
    json_t *o = json_object();
    for (const struct api_route *const *group = api_routes; *group; group++)
        for (const struct api_route *r = *group; r->pattern; r++) {
            const char *name = r->pattern + sizeof prefix - 1;
            json_t *path = json_object_get(o, name);
            if (!path) {
                json_object_set_new(o, name, json_object());
                path = json_object_get(o, name);
            }
            json_object_set_new(path, method_name(r->method), operation(r));
        }
    return o;
}

/* ---- the rest ---- */

/* One response a status: the titles of all errors that end in it, and an example of the first. */
static json_t *problems(void)
{
    json_t *o = json_object();
    int status;
    tm_err e;
    const char *title;
    for (size_t i = 0; api_problem_row(i, &e, &status, &title); i++) {
        char key[8], text[TEXT_MAX], type[128];
        snprintf(key, sizeof key, "%d", status);
        json_t *known = json_object_get(o, key);
        if (known) {
            const char *before = json_string_value(json_object_get(known, "description"));
            snprintf(text, sizeof text, "%s; %s", before, title);
            json_object_set_new(known, "description", json_string(text));
            continue;
        }
        snprintf(type, sizeof type, "urn:touchmark:error:%s", tm_err_name(e));
        json_object_set_new(o, key,
                            json_pack("{s:s,s:{s:{s:o,s:{s:s,s:s,s:i,s:s}}}}", "description", title,
                                      "content", "application/problem+json", "schema",
                                      openapi_reference("Problem"), "example", "type", type, "title", title,
                                      "status", status, "request_id", "6e1f9c04d2a7b358"));
    }
    return o;
}

static json_t *parameters(void)
{
    return json_pack(
        "{s:o,s:o,s:o,s:o}", "limit",
        parameter("limit", "query", false, json_pack("{s:s,s:i}", "type", "integer", "minimum", 0),
                  "at most so many; there is a default and an upper limit"),
        "after",
        parameter("after", "query", false, openapi_type("string"),
                  "what `next` of the page before said; a page without `next` is the last"),
        "ifMatch",
        parameter(
            "If-Match", "header", false, openapi_type("string"),
            "the version in quotes that an ETag gave: the write is refused with 409 when there is another by "
            "now; \"0\": only where there is none"),
        "idempotencyKey",
        parameter(
            "Idempotency-Key", "header", false, json_pack("{s:s,s:i}", "type", "string", "maxLength", 200),
            "the same key and request give the same certificate for a day; another request under the same key "
            "is refused with 409"));
}

static json_t *headers(void)
{
    return json_pack("{s:{s:s,s:o},s:{s:s,s:o},s:{s:s,s:o}}", "etag", "description", "the version, in quotes",
                     "schema", openapi_type("string"), "location", "description", "where it is found",
                     "schema", openapi_type("string"), "requestId", "description",
                     "what the server's log and the register call this request", "schema",
                     openapi_type("string"));
}

static json_t *security_schemes(void)
{
    return json_pack(
        "{s:{s:s,s:s,s:s},s:{s:s,s:s}}", "bearer", "type", "http", "scheme", "bearer", "description",
        "an API token; it may be limited to some of its principal's roles", "mutualTLS", "type", "mutualTLS",
        "description",
        "a client certificate whose SHA-256 fingerprint a principal names, on the enrollment listener");
}

static json_t *servers(void)
{
    return json_pack("[{s:s,s:s},{s:s,s:s,s:{s:{s:s,s:s}}}]", "url", prefix, "description",
                     "the default tenant", "url", "/api/v1/tenants/{tenant}", "description", "any tenant",
                     "variables", "tenant", "default", "default", "description",
                     "name of a tenant; \"house\" for the register that anchors the others");
}

static tm_err api_openapi(struct buf *out)
{
    json_t *doc = json_pack(
        "{s:s, s:{s:s,s:s,s:s,s:{s:s,s:s}}, s:o, s:[{s:[]},{s:[]}], s:o, s:{s:o,s:o,s:o,s:o,s:o}}", "openapi",
        "3.1.0", "info", "title", "Touchmark", "version", TM_VERSION, "description",
        "Certificates for devices and enterprises. Every answer carries X-Request-Id; every refusal is a problem "
        "document (RFC 9457). Query parameters that an operation does not have are refused. A streamed answer that "
        "can't be finished ends with the connection, without its last chunk.",
        "license", "name", "Apache-2.0", "identifier", "Apache-2.0", "servers", servers(), "security",
        "bearer", "mutualTLS", "paths", paths(), "components", "schemas", openapi_schemas(), "responses",
        problems(), "parameters", parameters(), "headers", headers(), "securitySchemes", security_schemes());
    if (!doc)
        return TM_ENOMEM;
    buf_put_json(out, doc, true);
    json_decref(doc);
    return buf_err(out);
}

static tm_err openapi(struct api_call *c, struct diag *diag)
{
    (void)diag;
    return api_openapi(&c->out);
}

static const struct api_content document[] = {{200, "application/json", NULL, "OpenAPI 3.1"}, {0}};

const struct api_route openapi_api_routes[] = {
    {HTTP_M_GET, "/api/v1/openapi.json", 0, openapi, 0, "getOpenApi", "This document", "system", NULL, NULL,
     .gives = document},
    {0},
};
