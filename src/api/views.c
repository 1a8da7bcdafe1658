/* Views: queries of the inventory that somebody gave a name, for all of the tenant to use. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "inventory/ask.h"
#include "inventory/query.h"
#include "issue/house.h"
#include <string.h>

enum { VIEW_BODY = 16 << 10, VIEWS_SHOWN = 1000, VIEWS_MAX = 1000, SELVES = API_READERS | ROLE_OWNER };

struct view_doc {
    const char *query, *title, *sort;
};
const struct json_field view_schema[] = {
    JSON_FIELD(struct view_doc, query, JSON_K_STRING, .max = QUERY_MAX, .required = true,
               .doc = "in the language of docs/inventory.md"),
    JSON_FIELD(struct view_doc, title, JSON_K_STRING, .max = 200, .def = "", .doc = "for people"),
    JSON_FIELD(struct view_doc, sort, JSON_K_STRING, .max = 16, .def = "newest",
               .doc = "newest, oldest or expires"),
    {0},
};

static tm_err view_read(struct object_row *ret, struct view_doc *doc, struct api_call *c, const char *name,
                        struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT, .object_kind = OBJECT_VIEW, .name = name};
    json_t *state = NULL;
    tm_err e = api_read(c, &q, diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "name", "there is no view \"%s\"", name);
    TM_TRY(e);
    *ret = q.objects[0];
    TM_TRY(json_parse(&state, ret->state, VIEW_BODY, diag));
    e = json_bind(doc, view_schema, state, "", c->arena, diag);
    json_decref(state);
    return e == TM_OK ? TM_OK : TM_ECORRUPT;
}

static void put_view(struct buf *out, const struct object_row *row, const struct view_doc *doc)
{
    buf_puts(out, "{\"name\":");
    buf_put_json_string(out, slice_str(row->id));
    api_put_text(out, "query", doc->query);
    api_put_text(out, "title", doc->title);
    api_put_text(out, "sort", doc->sort);
    api_put_text(out, "owner", row->owner);
    api_put_time(out, "created_at", row->created_at);
    api_put_int(out, "version", row->version);
    buf_putc(out, '}');
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    const char *after = api_query(c, "after");
    struct store_read q = {
        .kind = READ_OBJECTS, .object_kind = OBJECT_VIEW, .after = slice_str(after ? after : "")};
    TM_TRY(api_limit(&q.limit, c, 100, VIEWS_SHOWN, diag));
    TM_TRY(api_read(c, &q, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < q.n; i++) {
        struct view_doc doc = {0};
        json_t *state = NULL;
        tm_err e = json_parse(&state, q.objects[i].state, VIEW_BODY, diag);
        if (e == TM_OK)
            e = json_bind(&doc, view_schema, state, "", c->arena, diag);
        json_decref(state);
        TM_TRY(e);
        buf_puts(&c->out, i ? "," : "");
        put_view(&c->out, &q.objects[i], &doc);
    }
    api_put_next(&c->out, &q, false);
    return TM_OK;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    struct object_row row;
    struct view_doc doc = {0};
    TM_TRY(view_read(&row, &doc, c, api_param(c, "name"), diag));
    put_view(&c->out, &row, &doc);
    buf_putc(&c->out, '\n');
    c->etag = row.version;
    return TM_OK;
}

/* Whoever made it may change it, and who runs the tenant. */
static tm_err may_change(const struct api_call *c, const struct object_row *row, struct diag *diag)
{
    if (c->roles & (ROLE_ADMIN | ROLE_OPERATOR | ROLE_HOUSE_ADMIN) ||
        strcmp(row->owner, c->principal ? c->principal : "") == 0)
        return TM_OK;
    return diag_fail(diag, TM_EFORBIDDEN, "role", "name", "this view is somebody else's");
}

static tm_err put_check(struct api_call *c, const char *name, const struct view_doc *doc, struct diag *diag)
{
    struct cert_test unused;
    if (!name_valid(slice_str(name)))
        return diag_fail(diag, TM_EINVAL, NULL, "name",
                         "a name has 1 to 63 of a-z, 0-9 and -, and begins and ends with a letter or digit");
    if (strcmp(doc->sort, "newest") != 0 && strcmp(doc->sort, "oldest") != 0 &&
        strcmp(doc->sort, "expires") != 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/sort", "must be newest, oldest or expires");
    return inventory_ask(&unused, c->arena, c->house, c->tenant->id, slice_str(doc->query), diag);
}

/* Everybody may save views, and nobody fills the disk with them. */
static tm_err has_room(struct api_call *c, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECTS, .object_kind = OBJECT_VIEW, .limit = VIEWS_MAX};
    TM_TRY(api_read(c, &q, diag));
    return q.n < VIEWS_MAX ? TM_OK
                           : diag_fail(diag, TM_EQUOTA, NULL, "name",
                                       "there are %d views: delete some that nobody needs", VIEWS_MAX);
}

static tm_err put(struct api_call *c, struct diag *diag)
{
    struct view_doc doc = {0}, old;
    struct object_row before = {0};
    json_t *body = NULL;
    const char *name = api_param(c, "name");
    TM_TRY(api_body_json(&body, c, diag));
    tm_err e = json_bind(&doc, view_schema, body, "", c->arena, diag);
    json_decref(body);
    TM_TRY(e);
    TM_TRY(put_check(c, name, &doc, diag));
    e = view_read(&before, &old, c, name, diag);
    if (e == TM_OK)
        e = may_change(c, &before, diag);
    else if (e == TM_ENOTFOUND)
        e = has_room(c, diag);
    TM_TRY(e);
    diag_clear(diag);
    struct buf state;
    buf_init(&state, VIEW_BODY);
    buf_puts(&state, "{\"query\":");
    buf_put_json_string(&state, slice_str(doc.query));
    api_put_text(&state, "title", doc.title);
    api_put_text(&state, "sort", doc.sort);
    buf_putc(&state, '}');
    struct effect effect = {.kind = EFFECT_OBJECT_PUT, .tenant = c->tenant->id};
    effect.u.object.row = (struct object_row){.kind = OBJECT_VIEW,
                                              .id = name,
                                              .owner = c->principal ? c->principal : "",
                                              .key = "",
                                              .ref = "",
                                              .created_at = clock_now(),
                                              .state = buf_slice(&state)};
    e = buf_err(&state);
    if (e == TM_OK)
        e = api_expected_version(&effect.expected_version, c, diag);
    if (effect.expected_version <
        0) /* the one that may be changed, not what somebody else has made meanwhile */
        effect.expected_version = before.version;
    if (e == TM_OK)
        e = house_commit(c->house, &effect, 1, diag);
    buf_done(&state);
    TM_TRY(e);
    c->status = before.id ? 200 : 201;
    return get(c, diag);
}

static tm_err delete(struct api_call *c, struct diag *diag)
{
    struct object_row row;
    struct view_doc doc = {0};
    TM_TRY(view_read(&row, &doc, c, api_param(c, "name"), diag));
    TM_TRY(may_change(c, &row, diag));
    struct effect effect = {.kind = EFFECT_OBJECT_DROP, .tenant = c->tenant->id, .expected_version = -1};
    effect.u.object.row = (struct object_row){.kind = OBJECT_VIEW, .id = row.id};
    TM_TRY(house_commit(c->house, &effect, 1, diag));
    c->status = 204;
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field view_fields[] = {
    {"name", "string", NULL, "ends-soon"},
    {"query", "string", NULL, "expires<30d -status:revoked"},
    {"title", "string", "for people", "What ends soon"},
    {"sort", "newest|oldest|expires", NULL, "expires"},
    {"owner", "string", "who saved it", "alice"},
    {"created_at", "time?", NULL, NULL},
    {"version", "integer", NULL, "1"},
    {0},
};
static const struct api_field view_list_fields[] = {
    {"items", "[]InventoryView", NULL, NULL},
    {"next?", "string", "what `after` is for the next page", "ends-soon"},
    {0},
};
const struct api_schema view_api_schemas[] = {
    {"InventoryView", "a query with a name", view_fields, NULL, NULL},
    {"InventoryViewList", NULL, view_list_fields, NULL, NULL},
    {"InventoryViewDocument", "what is saved", NULL, view_schema,
     "{\"query\":\"expires<30d -status:revoked\",\"title\":\"What ends soon\",\"sort\":\"expires\"}"},
    {0},
};
static const struct api_content made[] = {{201, "application/json", "InventoryView", "made"}, {0}};
static const struct api_content gone[] = {{204, NULL, NULL, "deleted"}, {0}};

const struct api_route view_api_routes[] = {
    {HTTP_M_GET, "/api/v1/inventory/views", SELVES, list, 0, "listInventoryViews",
     "The saved queries of a tenant", "certificates", NULL, "InventoryViewList", API_PAGED},
    {HTTP_M_GET, "/api/v1/inventory/views/{name}", SELVES, get, 0, "getInventoryView", "One saved query",
     "certificates", NULL, "InventoryView", API_ETAG},
    {HTTP_M_PUT, "/api/v1/inventory/views/{name}", SELVES, put, VIEW_BODY, "putInventoryView",
     "Save a query under a name; another's only operators change", "certificates", "InventoryViewDocument",
     "InventoryView", API_IF_MATCH, .gives = made},
    {HTTP_M_DELETE, "/api/v1/inventory/views/{name}", SELVES, delete, 0, "deleteInventoryView",
     "Forget a saved query", "certificates", NULL, NULL, .gives = gone},
    {0},
};
