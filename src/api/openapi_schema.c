#include "api/openapi.h"
#include "base/json.h"
#include "issue/resources.h"
#include "policy/profile_doc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 128, DEPTH_MAX = 6 };

static json_t *of_type(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

json_t *openapi_reference(const char *schema)
{
    char text[WORD_MAX + 32];
    snprintf(text, sizeof text, "#/components/schemas/%s", schema);
    return json_pack("{s:s}", "$ref", text);
}

/* ---- types of answers and parameters ---- */

static const struct {
    const char *name, *type, *key, *value, *example; /* one more keyword beside the type */
} types[] = {
    {"string", "string", NULL, NULL, "text"},
    {"integer", "integer", NULL, NULL, "1"},
    {"boolean", "boolean", NULL, NULL, "true"},
    {"number", "number", NULL, NULL, "0.5"},
    {"object", "object", NULL, NULL, "{}"},
    {"time", "string", "format", "date-time", "2026-11-21T08:00:00Z"},
    {"hex", "string", "pattern", "^([0-9a-f]{2})*$", "0a1b2c3d"},
    {"pem", "string", "contentMediaType", "application/x-pem-file",
     "-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n"},
    {"base64", "string", "contentEncoding", "base64", "MIIB"},
};
enum { TYPES = sizeof types / sizeof *types };

static size_t type_find(const char *name)
{
    size_t i = 0;
    while (i < TYPES && strcmp(types[i].name, name) != 0)
        i++;
    return i;
}

/* "a|b|c" */
static json_t *words(const char *list)
{
    json_t *v = json_array();
    while (*list) {
        size_t n = strcspn(list, "|");
        json_array_append_new(v, json_stringn(list, n));
        list += n + (list[n] == '|');
    }
    return v;
}

static json_t *plain_type(const char *name)
{
    size_t i = type_find(name);
    if (i == TYPES)
        return json_object(); /* "any" */
    json_t *s = of_type(types[i].type);
    if (types[i].key)
        json_object_set_new(s, types[i].key, json_string(types[i].value));
    return s;
}

static json_t *or_null(json_t *s)
{
    if (json_object_get(s, "type")) {
        json_t *both = json_pack("[O,s]", json_object_get(s, "type"), "null");
        json_object_set_new(s, "type", both);
        return s;
    }
    return json_pack("{s:[o,{s:s}]}", "anyOf", s, "type", "null");
}

json_t *openapi_type(const char *type)
{
    char name[WORD_MAX];
    size_t n = strlen(type);
    snprintf(name, sizeof name, "%s", type);
    if (n && n < sizeof name && type[n - 1] == '?') {
        name[n - 1] = '\0';
        return or_null(openapi_type(name));
    }
    if (strncmp(type, "[]", 2) == 0)
        return json_pack("{s:s,s:o}", "type", "array", "items", openapi_type(type + 2));
    if (strncmp(type, "{}", 2) == 0)
        return json_pack("{s:s,s:o}", "type", "object", "additionalProperties", openapi_type(type + 2));
    if (strchr(type, '|'))
        return json_pack("{s:s,s:o}", "type", "string", "enum", words(type));
    return type[0] >= 'A' && type[0] <= 'Z' ? openapi_reference(type) : plain_type(type);
}

static void put_member(json_t *properties, json_t *required, const struct api_field *f)
{
    char name[WORD_MAX];
    snprintf(name, sizeof name, "%s", f->name);
    size_t n = strlen(name);
    bool optional = n && name[n - 1] == '?';
    if (optional)
        name[n - 1] = '\0';
    else
        json_array_append_new(required, json_string(name));
    json_t *s = openapi_type(f->type);
    if (f->doc)
        json_object_set_new(s, "description", json_string(f->doc));
    json_object_set_new(properties, name, s);
}

static json_t *from_fields(const struct api_field *fields)
{
    json_t *properties = json_object(), *required = json_array();
    for (const struct api_field *f = fields; f->name; f++)
        put_member(properties, required, f);
    json_t *o = json_pack("{s:s,s:o}", "type", "object", "properties", properties);
    if (json_array_size(required))
        json_object_set(o, "required", required);
    json_decref(required);
    return o;
}

/* ---- examples ---- */

static json_t *schema_example(const char *name, int depth);

static json_t *text_or_json(const char *type, const char *text)
{
    size_t i = type_find(type);
    bool string = i < TYPES && strcmp(types[i].type, "string") == 0;
    json_t *v = string ? NULL : json_loads(text, JSON_DECODE_ANY, NULL);
    return v ? v : json_string(text);
}

static json_t *type_example(const char *type, const char *given, int depth)
{
    char name[WORD_MAX];
    snprintf(name, sizeof name, "%s", type);
    size_t n = strlen(name);
    if (n && name[n - 1] == '?')
        name[n - 1] = '\0';
    if (strncmp(name, "[]", 2) == 0) {
        json_t *list = json_array(), *one = type_example(name + 2, given, depth);
        if (one)
            json_array_append_new(list, one);
        return list;
    }
    if (strncmp(name, "{}", 2) == 0)
        return json_object();
    if (strchr(name, '|')) {
        size_t first = strcspn(name, "|");
        return given ? json_string(given) : json_stringn(name, first);
    }
    if (name[0] >= 'A' && name[0] <= 'Z')
        return schema_example(name, depth - 1);
    if (given)
        return text_or_json(name, given);
    size_t i = type_find(name);
    return i < TYPES ? text_or_json(name, types[i].example) : json_object();
}

json_t *openapi_example(const struct api_field *f)
{
    return type_example(f->type, f->example, DEPTH_MAX);
}

static const struct api_schema *schema_find(const char *name)
{
    for (const struct api_schema *const *group = api_schemas; *group; group++)
        for (const struct api_schema *s = *group; s->name; s++)
            if (strcmp(s->name, name) == 0)
                return s;
    return NULL;
}

/* Members that must be there, and those that have an example of their own. */
static json_t *schema_example(const char *name, int depth)
{
    const struct api_schema *s = schema_find(name);
    if (!s || depth == 0)
        return NULL;
    if (s->example)
        return json_loads(s->example, 0, NULL);
    json_t *o = json_object();
    for (const struct api_field *f = s->fields; f && f->name; f++) {
        char key[WORD_MAX];
        size_t n = strlen(f->name);
        bool optional = f->name[n - 1] == '?';
        snprintf(key, sizeof key, "%.*s", (int)(n - optional), f->name);
        json_t *v = optional ? NULL : type_example(f->type, f->example, depth);
        if (v)
            json_object_set_new(o, key, v);
    }
    return o;
}

json_t *openapi_schema_example(const char *schema)
{
    return schema_example(schema, DEPTH_MAX);
}

/* ---- bodies: what handlers bind them with ---- */

static json_t *from_bound(const struct json_field *fields);

static json_t *names_of(const char *const *names)
{
    json_t *list = json_array();
    for (size_t i = 0; names && names[i]; i++)
        json_array_append_new(list, json_string(names[i]));
    return json_pack("{s:s,s:o}", "type", "string", "enum", list);
}

static json_t *list_of(const struct json_field *f, json_t *items)
{
    json_t *s = json_pack("{s:s,s:o}", "type", "array", "items", items);
    if (f->max)
        json_object_set_new(s, "maxItems", json_integer(f->max));
    return s;
}

static json_t *bound_type(const struct json_field *f)
{
    json_t *s;
    switch (f->kind) {
    case JSON_K_STRING:
        s = of_type("string");
        if (f->max)
            json_object_set_new(s, "maxLength", json_integer(f->max));
        return s;
    case JSON_K_INT:
        s = of_type("integer");
        if (f->min || f->max) {
            json_object_set_new(s, "minimum", json_integer(f->min));
            json_object_set_new(s, "maximum", json_integer(f->max));
        }
        return s;
    case JSON_K_BOOL:
        return of_type("boolean");
    case JSON_K_ENUM:
        return names_of(f->names);
    case JSON_K_DURATION:
        return json_pack("{s:s,s:[s,s,s]}", "type", "string", "examples", "90m", "47d", "never");
    case JSON_K_TIME:
        return json_pack("{s:s,s:s}", "type", "string", "format", "date-time");
    case JSON_K_STRINGS:
        return list_of(f, of_type("string"));
    case JSON_K_ENUMS:
        return json_pack("{s:s,s:o}", "type", "array", "items", names_of(f->names));
    case JSON_K_OBJECT:
        return from_bound(f->sub);
    case JSON_K_OBJECTS:
        return list_of(f, from_bound(f->sub));
    case JSON_K_ANY:
        break;
    }
    return json_object();
}

/* The text form of a default, as JSON has it. */
static json_t *default_of(const struct json_field *f)
{
    switch (f->kind) {
    case JSON_K_BOOL:
        return json_boolean(strcmp(f->def, "true") == 0);
    case JSON_K_INT:
        return json_integer(strtoll(f->def, NULL, 10));
    case JSON_K_STRING:
    case JSON_K_ENUM:
    case JSON_K_DURATION:
    case JSON_K_TIME:
        return json_string(f->def);
    default:
        return NULL;
    }
}

static json_t *from_bound(const struct json_field *fields)
{
    json_t *properties = json_object(), *required = json_array();
    for (const struct json_field *f = fields; f && f->key; f++) {
        json_t *s = bound_type(f);
        json_t *otherwise = f->def ? default_of(f) : NULL;
        if (f->doc)
            json_object_set_new(s, "description", json_string(f->doc));
        if (otherwise)
            json_object_set_new(s, "default", otherwise);
        json_object_set_new(properties, f->key, s);
        if (f->required)
            json_array_append_new(required, json_string(f->key));
    }
    json_t *o =
        json_pack("{s:s,s:o,s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
    if (json_array_size(required))
        json_object_set(o, "required", required);
    json_decref(required);
    return o;
}

/* ---- all of them ---- */

static json_t *resource_schema(const struct resource_kind *k)
{
    json_t *o = from_bound(k->schema ? k->schema : profile_schema);
    json_t *properties = json_object_get(o, "properties");
    json_object_set_new(o, "description", json_string(k->title));
    json_object_set_new(properties, "kind", json_pack("{s:s}", "const", k->kind));
    /* On reading; a write takes it and passes it over. */
    json_object_set_new(properties, "metadata", openapi_reference("ResourceMetadata"));
    return o;
}

static void put_resources(json_t *schemas)
{
    json_t *any = json_array(), *mapping = json_object();
    for (const struct resource_kind *k = resource_kinds; k->kind; k++) {
        char reference[WORD_MAX];
        snprintf(reference, sizeof reference, "#/components/schemas/%s", k->kind);
        json_object_set_new(schemas, k->kind, resource_schema(k));
        json_array_append_new(any, openapi_reference(k->kind));
        json_object_set_new(mapping, k->kind, json_string(reference));
    }
    json_object_set_new(schemas, "Resource",
                        json_pack("{s:o,s:{s:s,s:o}}", "oneOf", any, "discriminator", "propertyName", "kind",
                                  "mapping", mapping));
}

json_t *openapi_schemas(void)
{
    json_t *o = json_object();
    for (const struct api_schema *const *group = api_schemas; *group; group++)
        for (const struct api_schema *s = *group; s->name; s++) {
            json_t *v = s->bound ? from_bound(s->bound) : from_fields(s->fields);
            if (s->doc)
                json_object_set_new(v, "description", json_string(s->doc));
            json_object_set_new(o, s->name, v);
        }
    put_resources(o);
    return o;
}
