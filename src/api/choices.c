/* What a person may ask for over the API: the profiles of the open REST endpoints that take callers of their roles. */
#include "api/groups.h"
#include "base/arena.h"
#include "base/clock.h"
#include "policy/profile.h"
#include <string.h>

enum { DOC_MAX = 256 << 10 };

static void put_list(struct buf *out, const char *key, const json_t *list)
{
    size_t i;
    const json_t *v;
    buf_printf(out, ",\"%s\":[", key);
    json_array_foreach(list, i, v)
    {
        buf_puts(out, i ? "," : "");
        buf_put_json_string(out, slice_str(json_is_string(v) ? json_string_value(v) : ""));
    }
    buf_putc(out, ']');
}

/* What a form has to know of the document beyond the compiled profile. */
static void put_form(struct buf *out, const struct profile *p)
{
    json_t *doc = NULL;
    struct diag ignored = {0};
    if (json_parse(&doc, profile_source(p), DOC_MAX, &ignored) != TM_OK)
        return;
    const json_t *lifetime = json_object_get(doc, "lifetime");
    const char *lives = json_string_value(json_object_get(lifetime, "default")),
               *end = json_string_value(json_object_get(lifetime, "not-after"));
    api_put_text(out, "lives", lives ? lives : end ? end : "");
    put_list(out, "key_algorithms", json_object_get(json_object_get(doc, "key"), "algorithms"));
    const json_t *san = json_object_get(json_object_get(doc, "san"), "allow");
    buf_puts(out, ",\"names\":[");
    const char *key;
    const json_t *v;
    size_t n = 0;
    json_object_foreach((json_t *)(uintptr_t)san, key, v)
    {
        buf_puts(out, n++ ? "," : "");
        buf_put_json_string(out, slice_str(key));
    }
    buf_putc(out, ']');
    /* A renewal: of certificates of which profiles, and need the request bring names? */
    const json_t *renewal = json_object_get(doc, "renewal");
    api_put_bool(out, "inherits", !json_is_false(json_object_get(renewal, "same-names")));
    put_list(out, "renews_also", json_object_get(renewal, "from"));
    json_decref(doc);
}

static void put_choice(struct buf *out, const struct endpoint *e, const struct profile *p, bool first)
{
    char deadline[24] = "";
    buf_puts(out, first ? "{\"endpoint\":" : ",{\"endpoint\":");
    buf_put_json_string(out, slice_str(e->name));
    api_put_text(out, "profile", profile_name(p));
    api_put_text(out, "description", profile_description(p));
    api_put_bool(out, "approval", profile_needs_approval(p));
    if (profile_needs_approval(p))
        duration_format(deadline, profile_approval_deadline(p));
    api_put_text(out, "deadline", deadline);
    api_put_bool(out, "device", profile_needs_device(p));
    put_form(out, p);
    buf_putc(out, '}');
}

static tm_err choices(struct api_call *c, struct diag *diag)
{
    struct store_read q = {.kind = READ_RESOURCES, .name = "Endpoint", .limit = 1000};
    const char *roles = api_roles_text(c->arena, c->roles);
    size_t n = 0;
    if (!roles)
        return TM_ENOMEM;
    TM_TRY(api_read(c, &q, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < q.n; i++) {
        const char *name = q.resources[i].name;
        const char *label =
            c->tenant->id == TENANT_DEFAULT ? name : arena_printf(c->arena, "%s.%s", c->tenant->name, name);
        const struct endpoint *e = label ? catalog_endpoint(c->catalog, DOOR_REST, label) : NULL;
        for (size_t k = 0; e && !e->disabled && k < e->n_profiles; k++) {
            const struct profile *p = catalog_profile(c->catalog, c->tenant->id, e->profiles[k]);
            if (!p || !profile_allows_door(p, DOOR_REST) || !profile_takes_principal(p, roles))
                continue;
            put_choice(&c->out, e, p, n++ == 0);
        }
    }
    buf_puts(&c->out, "]}\n");
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field choice_fields[] = {
    {"endpoint", "string", NULL, "rest"},
    {"profile", "string", NULL, "server-internal-1y"},
    {"description", "string", NULL, NULL},
    {"approval", "boolean", "somebody else has to approve", "false"},
    {"deadline", "string", "approval: how long a request waits at most", ""},
    {"device", "boolean", "it has to be for a device that is registered", "false"},
    {"lives", "string", "how long its certificates live, or until when", "1y"},
    {"key_algorithms", "[]string", "of the keys that it takes; empty: the usual ones", NULL},
    {"names", "[]string", "kinds of names that a request may bring: dns, ip, uri, email", NULL},
    {"inherits", "boolean", "a renewal that brings no names takes its predecessor's", "true"},
    {"renews_also", "[]string", "further profiles whose certificates it renews", NULL},
    {0},
};
static const struct api_field choice_list_fields[] = {{"items", "[]EnrollChoice", NULL, NULL}, {0}};
const struct api_schema choice_api_schemas[] = {
    {"EnrollChoice", "a profile that the caller may ask for", choice_fields, NULL, NULL},
    {"EnrollChoiceList", NULL, choice_list_fields, NULL, NULL},
    {0},
};
const struct api_route choice_api_routes[] = {
    {HTTP_M_GET, "/api/v1/enroll/choices", ROLE_ADMIN | ROLE_OPERATOR | ROLE_OWNER, choices, 0, "listChoices",
     "The profiles that the caller may ask for over the API, and what a request needs", "certificates", NULL,
     "EnrollChoiceList"},
    {0},
};
