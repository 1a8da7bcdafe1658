/* api/openapi.h - JSON Schemas and examples out of the tables. Layer 5, private to api/. New references throughout. */
#pragma once
#include "api/api.h"
#include <jansson.h>

/* The schema of a type as struct api_field has it. */
json_t *openapi_type(const char *type);
json_t *openapi_reference(const char *schema);
/* What a member looks like, for example. */
json_t *openapi_example(const struct api_field *f);
/* The example of a schema by its name; NULL when it has none. */
json_t *openapi_schema_example(const char *schema);
/* All of api_schemas, and the resources' own as "Tenant", "Profile" …, with "Resource" for any of them. */
json_t *openapi_schemas(void);
