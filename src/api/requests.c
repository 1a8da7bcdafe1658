/* Requests that wait for a person: list, look at, approve, reject. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "issue/issue.h"
#include "policy/profile.h"
#include <string.h>

enum { STATE_MAX = 1 << 20, COMMENT_BODY = 8 << 10 };

static void put_request(struct buf *out, const struct continuation_row *r)
{
    buf_puts(out, "{\"id\":");
    buf_put_json_string(out, slice_str(r->id));
    api_put_text(out, "kind", r->kind);
    api_put_text(out, "status", r->status);
    api_put_time(out, "created_at", r->created_at);
    api_put_time(out, "expires_at", r->expires_at);
    buf_puts(out, ",\"request\":");
    if (r->state.n)
        buf_put_slice(out, r->state);
    else
        buf_puts(out, "{}");
    buf_putc(out, '}');
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    const char *after = api_query(c, "after"), *status = api_query(c, "status");
    struct store_read q = {
        .kind = READ_CONTINUATIONS, .text = status ? status : "", .after = slice_str(after ? after : "")};
    TM_TRY(api_limit(&q.limit, c, 100, 1000, diag));
    TM_TRY(api_read(c, &q, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0, n = 0; i < q.n; i++) {
        /* Transactions of protocols wait for their clients, not for a person. */
        if (strcmp(q.continuations[i].kind, "enrollment") != 0)
            continue;
        buf_puts(&c->out, n++ ? "," : "");
        put_request(&c->out, &q.continuations[i]);
    }
    api_put_next(&c->out, &q, false);
    return TM_OK;
}

static tm_err find(struct continuation_row *ret, struct api_call *c, struct diag *diag)
{
    struct store_read q = {.kind = READ_CONTINUATION, .name = api_param(c, "id")};
    tm_err e = api_read(c, &q, diag);
    if (e == TM_ENOTFOUND || (e == TM_OK && strcmp(q.continuations[0].kind, "enrollment") != 0))
        return diag_fail(diag, TM_ENOTFOUND, NULL, "id", "there is no such request");
    TM_TRY(e);
    *ret = q.continuations[0];
    return TM_OK;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    struct continuation_row row;
    TM_TRY(find(&row, c, diag));
    put_request(&c->out, &row);
    buf_putc(&c->out, '\n');
    return TM_OK;
}

/* The profile says whose word counts. */
static tm_err may_decide(struct api_call *c, const struct continuation_row *row, struct diag *diag)
{
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, row->state, STATE_MAX, diag));
    const char *name = json_string_value(json_object_get(doc, "profile"));
    const struct profile *p = name ? catalog_profile(c->catalog, c->tenant->id, name) : NULL;
    json_decref(doc);
    const char *roles = api_roles_text(c->arena, c->roles);
    if (!roles)
        return TM_ENOMEM;
    if (!p || (c->roles & ROLE_HOUSE_ADMIN) || profile_may_approve(p, roles))
        return TM_OK;
    return diag_fail(diag, TM_EFORBIDDEN, "profile.approval", NULL,
                     "the profile wants other roles to decide this");
}

static tm_err decide(struct api_call *c, bool approve, struct diag *diag)
{
    struct continuation_row row;
    const char *comment;
    TM_TRY(api_comment(&comment, c, diag));
    TM_TRY(find(&row, c, diag));
    TM_TRY(may_decide(c, &row, diag));
    TM_TRY(issue_approve(c->house, c->tenant->id, row.id, approve, c->principal, comment, diag));
    return get(c, diag);
}

static tm_err approve(struct api_call *c, struct diag *diag)
{
    return decide(c, true, diag);
}

static tm_err reject(struct api_call *c, struct diag *diag)
{
    return decide(c, false, diag);
}

/* ---- what the document says ---- */

static const struct api_field request_fields[] = {
    {"id", "string", NULL, "7b2e61c09a"},
    {"kind", "string", NULL, "enrollment"},
    {"status", "string", "pending, issued, rejected, …", "pending"},
    {"created_at", "time?", NULL, NULL},
    {"expires_at", "time?", "nobody waits longer", NULL},
    {"request", "object", "what was asked, by whom, through which door", NULL},
    {0},
};
static const struct api_field request_list_fields[] = {
    {"items", "[]Request", NULL, NULL},
    {"next?", "string", "what `after` is for the next page", "7b2e61c09a"},
    {0},
};
const struct api_schema request_api_schemas[] = {
    {"Request", "an enrollment that waits or waited for a person", request_fields, NULL, NULL},
    {"RequestList", NULL, request_list_fields, NULL, NULL},
    {"Comment", NULL, NULL, comment_schema, "{\"comment\":\"ticket 4711\"}"},
    {0},
};
static const struct api_field list_query[] = {
    {"status", "string", "only those: pending, issued, rejected, …", "pending"},
    {0},
};

enum { DECIDERS = ROLE_ADMIN | ROLE_OPERATOR };

const struct api_route request_api_routes[] = {
    {HTTP_M_GET, "/api/v1/requests", API_READERS, list, 0, "listRequests",
     "Requests that wait or waited for approval; ?status=pending", "requests", NULL, "RequestList", API_PAGED,
     list_query},
    {HTTP_M_GET, "/api/v1/requests/{id}", API_READERS, get, 0, "getRequest", "One request", "requests", NULL,
     "Request"},
    {HTTP_M_POST, "/api/v1/requests/{id}/approve", DECIDERS, approve, COMMENT_BODY, "approveRequest",
     "Approve: the certificate is issued at once", "requests", "Comment", "Request", API_BODY_OPTIONAL},
    {HTTP_M_POST, "/api/v1/requests/{id}/reject", DECIDERS, reject, COMMENT_BODY, "rejectRequest", "Reject",
     "requests", "Comment", "Request", API_BODY_OPTIONAL},
    {0},
};
