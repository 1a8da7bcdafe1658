/* issue/resources.h - the kinds of resources: their names, schemas and the check each one passes before it is stored.
 *
 * Layer 4. A resource document is {"kind": …, "name": …, "tenant": … (optional), then the kind's own fields}. To add a kind, add a row. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "policy/enrollment.h"
struct arena;
struct buf;

struct resource_kind {
    const char *kind;    /* "Profile" */
    const char *plural;  /* path segment and CLI noun: "profiles" */
    const char *title;
    const struct json_field *schema; /* NULL where check() binds it itself (Profile) */
    size_t size;         /* sizeof the struct that the schema binds */
    bool house_wide;     /* lives in tenant 0: Tenant, Principal with all tenants … */
    /* Parse and validate one document on its own; TM_EINVAL with a JSON pointer in diag->field. */
    tm_err (*check)(struct arena *a, const json_t *doc, struct diag *diag);
};
extern const struct resource_kind resource_kinds[]; /* ended by a NULL kind: Tenant, Authority, Profile, Endpoint, TrustSet, Principal */
const struct resource_kind *resource_kind_find(const char *kind_or_plural);
