/* The OpenAPI 3.1 document, generated from the tables of routes and the schemas that the handlers bind bodies with. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/json.h"
#include <string.h>

static const struct {
    const char *name;
    const struct json_field *fields;
} bound[] = {
    {"EnrollRequest", enroll_schema}, {"Revocation", revoke_schema},        {"TokenRequest", token_schema},
    {"Device", device_schema},        {"DeviceState", device_state_schema},
};

/* ---- schemas ---- */

static json_t *type_of(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

static json_t *schema_of(const struct json_field *fields, bool open);

static json_t *names_of(const char *const *names)
{
    json_t *list = json_array();
    for (size_t i = 0; names && names[i]; i++)
        json_array_append_new(list, json_string(names[i]));
    return json_pack("{s:s,s:o}", "type", "string", "enum", list);
}

static json_t *field_schema(const struct json_field *f)
{
    switch (f->kind) {
    case JSON_K_STRING: {
        json_t *s = type_of("string");
        if (f->max)
            json_object_set_new(s, "maxLength", json_integer(f->max));
        return s;
    }
    case JSON_K_INT: {
        json_t *s = type_of("integer");
        if (f->min || f->max) {
            json_object_set_new(s, "minimum", json_integer(f->min));
            json_object_set_new(s, "maximum", json_integer(f->max));
        }
        return s;
    }
    case JSON_K_BOOL:
        return type_of("boolean");
    case JSON_K_ENUM:
        return names_of(f->names);
    case JSON_K_DURATION:
        return json_pack("{s:s,s:s}", "type", "string", "format", "duration-text");
    case JSON_K_TIME:
        return json_pack("{s:s,s:s}", "type", "string", "format", "date-time");
    case JSON_K_STRINGS:
        return json_pack("{s:s,s:o}", "type", "array", "items", type_of("string"));
    case JSON_K_ENUMS:
        return json_pack("{s:s,s:o}", "type", "array", "items", names_of(f->names));
    case JSON_K_OBJECT:
        return schema_of(f->sub, false);
    case JSON_K_OBJECTS:
        return json_pack("{s:s,s:o}", "type", "array", "items", schema_of(f->sub, false));
    case JSON_K_ANY:
        break;
    }
    return json_object();
}

static json_t *schema_of(const struct json_field *fields, bool open)
{
    json_t *properties = json_object(), *required = json_array();
    for (const struct json_field *f = fields; f && f->key; f++) {
        json_t *s = field_schema(f);
        if (f->doc)
            json_object_set_new(s, "description", json_string(f->doc));
        if (f->def)
            json_object_set_new(s, "x-default", json_string(f->def));
        json_object_set_new(properties, f->key, s);
        if (f->required)
            json_array_append_new(required, json_string(f->key));
    }
    json_t *o =
        json_pack("{s:s,s:o,s:b}", "type", "object", "properties", properties, "additionalProperties", open);
    if (json_array_size(required))
        json_object_set(o, "required", required);
    json_decref(required);
    return o;
}

static void add_schema(json_t *schemas, const char *name)
{
    if (!name || json_object_get(schemas, name))
        return;
    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++) {
        if (strcmp(bound[i].name, name) == 0) {
            /* A device is shown with more than may be written. */
            json_object_set_new(schemas, name, schema_of(bound[i].fields, strcmp(name, "Device") == 0));
            return;
        }
    }
    size_t n = strlen(name);
    json_t *s = json_pack("{s:s,s:b}", "type", "object", "additionalProperties", 1);
    if (n > 4 && strcmp(name + n - 4, "List") == 0)
        json_object_set_new(s, "properties",
                            json_pack("{s:{s:s,s:{s:s}},s:{s:s}}", "items", "type", "array", "items", "type",
                                      "object", "next", "description",
                                      "what `after` (or `from`) is for the next page"));
    json_object_set_new(schemas, name, s);
}

static json_t *problem_schema(void)
{
    static const char *const names[] = {"type", "title", "detail", "rule", "field", "request_id"};
    json_t *properties = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        json_object_set_new(properties, names[i], type_of("string"));
    json_object_set_new(properties, "status", type_of("integer"));
    return json_pack("{s:s,s:s,s:o}", "type", "object", "description", "RFC 9457", "properties", properties);
}

/* ---- operations ---- */

static json_t *reference(const char *name)
{
    char text[128] = "#/components/schemas/";
    strncat(text, name, sizeof text - strlen(text) - 1);
    return json_pack("{s:s}", "$ref", text);
}

static json_t *parameters_of(const char *pattern)
{
    json_t *list = json_array();
    for (const char *p = strchr(pattern, '{'); p; p = strchr(p, '{')) {
        size_t n = strcspn(++p, "}");
        json_array_append_new(list, json_pack("{s:s%,s:s,s:b,s:{s:s}}", "name", p, n, "in", "path",
                                              "required", 1, "schema", "type", "string"));
    }
    return list;
}

static json_t *roles_of(unsigned roles)
{
    json_t *list = json_array();
    for (unsigned i = 0; api_role_names[i]; i++)
        if (roles & (1u << i))
            json_array_append_new(list, json_string(api_role_names[i]));
    return list;
}

static json_t *operation(const struct api_route *r)
{
    json_t *ok = json_pack("{s:s}", "description", r->summary);
    if (r->response_schema)
        json_object_set_new(
            ok, "content",
            json_pack("{s:{s:o}}", "application/json", "schema", reference(r->response_schema)));
    json_t *o = json_pack("{s:s,s:s,s:[s],s:o,s:{s:o,s:{s:s}}}", "operationId", r->id, "summary", r->summary,
                          "tags", r->tag, "parameters", parameters_of(r->pattern), "responses", "2XX", ok,
                          "default", "$ref", "#/components/responses/Problem");
    if (r->body_max) {
        json_t *content = r->request_schema ? json_pack("{s:{s:o}}", "application/json", "schema",
                                                        reference(r->request_schema))
                                            : json_pack("{s:{}}", "*/*");
        json_object_set_new(o, "requestBody", json_pack("{s:o}", "content", content));
    }
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

tm_err api_openapi(struct buf *out)
{
    json_t *paths = json_object(), *schemas = json_object();
    json_object_set_new(schemas, "Problem", problem_schema());
    for (const struct api_route *const *group = api_routes; *group; group++) {
        for (const struct api_route *r = *group; r->pattern; r++) {
            json_t *path = json_object_get(paths, r->pattern);
            if (!path) {
                json_object_set_new(paths, r->pattern, json_object());
                path = json_object_get(paths, r->pattern);
            }
            json_object_set_new(path, method_name(r->method), operation(r));
            add_schema(schemas, r->request_schema);
            add_schema(schemas, r->response_schema);
        }
    }
    json_t *doc = json_pack(
        "{s:s, s:{s:s,s:s,s:s}, s:[{s:s}], s:[{s:[]}], s:o,"
        " s:{s:o, s:{s:{s:s,s:s}}, s:{s:{s:s, s:{s:{s:{s:s}}}}}}}",
        "openapi", "3.1.0", "info", "title", "Touchmark", "version", TM_VERSION, "description",
        "Certificates for devices and enterprises. In other tenants than the default one, paths begin with "
        "/api/v1/tenants/{tenant}/ instead of /api/v1/.",
        "servers", "url", "/", "security", "bearer", "paths", paths, "components", "schemas", schemas,
        "securitySchemes", "bearer", "type", "http", "scheme", "bearer", "responses", "Problem",
        "description", "A problem document", "content", "application/problem+json", "schema", "$ref",
        "#/components/schemas/Problem");
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

const struct api_route openapi_api_routes[] = {
    {HTTP_M_GET, "/api/v1/openapi.json", 0, openapi, 0, "getOpenApi", "This document", "system", NULL, NULL},
    {0},
};
