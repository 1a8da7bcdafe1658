/* Requests that wait for a person: list, look at, talk about, approve, reject; and for who asked, what came of it. */
#include "api/groups.h"
#include "api/schemas.h"
#include "authority/ceremony.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/issue.h"
#include "policy/profile.h"
#include <string.h>

enum { STATE_MAX = 1 << 20, COMMENT_BODY = 8 << 10, CHAIN_MAX = 256 << 10 };
/* Who may look at all of them; others see what they asked for, what is for their devices, and what they may decide. */
enum { SEERS = API_READERS | ROLE_OWNER };

/* A row with its state, read once. */
struct request {
    const struct continuation_row *row;
    json_t *state;
    const char *profile, *asked_by, *device; /* borrowed from `state` */
    bool mine, decides;
};

static const char *text_of(const struct request *r, const char *key)
{
    const char *s = json_string_value(json_object_get(r->state, key));
    return s ? s : "";
}

/* The profile says whose word counts: a role's, or a group's. Of a profile that is gone, operators' and administrators'. */
static bool decides(const struct api_call *c, const struct request *r)
{
    const struct profile *p = r->profile[0] ? catalog_profile(c->catalog, c->tenant->id, r->profile) : NULL;
    if (c->roles & ROLE_HOUSE_ADMIN)
        return true;
    if (!p)
        return (c->roles & (ROLE_ADMIN | ROLE_OPERATOR)) != 0;
    const char *roles = api_roles_text(c->arena, c->roles);
    return roles && profile_may_approve(p, roles, c->groups, c->n_groups);
}

static tm_err request_open(struct request *ret, struct api_call *c, const struct continuation_row *row,
                           struct diag *diag)
{
    *ret = (struct request){.row = row};
    TM_TRY(json_parse(&ret->state, row->state, STATE_MAX, diag));
    ret->profile = text_of(ret, "profile");
    ret->device = text_of(ret, "device");
    ret->asked_by = text_of(ret, "caller");
    ret->mine = strcmp(text_of(ret, "caller_kind"), "principal") == 0 && c->principal &&
                strcmp(ret->asked_by, c->principal) == 0;
    ret->decides = decides(c, ret);
    return TM_OK;
}

static bool concerns(struct api_call *c, const struct request *r)
{
    struct diag ignored = {0};
    return r->mine || r->decides || (r->device[0] && api_may_device(c, 0, r->device, &ignored) == TM_OK);
}

static bool may_see(struct api_call *c, const struct request *r)
{
    return (c->roles & (API_READERS | ROLE_HOUSE_ADMIN)) || concerns(c, r);
}

static const char *status_of(const struct continuation_row *row)
{
    return strcmp(row->status, "pending") == 0 && row->expires_at < clock_now() ? "expired" : row->status;
}

static void put_comments(struct buf *out, const json_t *comments)
{
    size_t i;
    const json_t *one;
    buf_puts(out, ",\"comments\":[");
    json_array_foreach(comments, i, one)
    {
        const char *by = json_string_value(json_object_get(one, "by")),
                   *text = json_string_value(json_object_get(one, "text")),
                   *decision = json_string_value(json_object_get(one, "decision"));
        buf_puts(out, i ? ",{\"by\":" : "{\"by\":");
        buf_put_json_string(out, slice_str(by ? by : ""));
        api_put_time(out, "at", json_integer_value(json_object_get(one, "at")));
        api_put_text(out, "text", text);
        if (decision)
            api_put_text(out, "decision", decision);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

/* Without its end: the caller may have more to say. */
static void put_request(struct buf *out, const struct request *r)
{
    const struct continuation_row *row = r->row;
    buf_puts(out, "{\"id\":");
    buf_put_json_string(out, slice_str(row->id));
    api_put_text(out, "kind", row->kind);
    api_put_text(out, "status", status_of(row));
    api_put_time(out, "created_at", row->created_at);
    api_put_time(out, "expires_at", row->expires_at);
    api_put_text(out, "asked_by", r->asked_by);
    api_put_bool(out, "mine", r->mine);
    api_put_bool(out, "may_decide", r->decides && !r->mine && strcmp(status_of(row), "pending") == 0);
    put_comments(out, json_object_get(r->state, "comments"));
    json_object_del(r->state, "comments");
    buf_puts(out, ",\"request\":");
    buf_put_json(out, r->state, false);
}

static bool wanted(struct api_call *c, const struct request *r)
{
    const char *status = api_query(c, "status");
    if (!may_see(c, r) || (status && status[0] && strcmp(status_of(r->row), status) != 0))
        return false;
    if (api_query(c, "mine") && !r->mine)
        return false;
    return !api_query(c, "to_decide") ||
           (r->decides && !r->mine && strcmp(status_of(r->row), "pending") == 0);
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    const char *after = api_query(c, "after"), *status = api_query(c, "status");
    bool expired = status && strcmp(status, "expired") == 0;
    struct store_read q = {.kind = READ_CONTINUATIONS,
                           .text = expired || api_query(c, "to_decide") ? "pending"
                                   : status                             ? status
                                                                        : "",
                           .after = slice_str(after ? after : "")};
    TM_TRY(api_limit(&q.limit, c, 100, 1000, diag));
    TM_TRY(api_read(c, &q, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0, n = 0; i < q.n; i++) {
        /* Transactions of protocols wait for their clients, not for a person. */
        if (strcmp(q.continuations[i].kind, "enrollment") != 0)
            continue;
        struct request r;
        TM_TRY(request_open(&r, c, &q.continuations[i], diag));
        if (wanted(c, &r)) {
            buf_puts(&c->out, n++ ? "," : "");
            put_request(&c->out, &r);
            buf_putc(&c->out, '}');
        }
        json_decref(r.state);
    }
    api_put_next(&c->out, &q, false);
    return TM_OK;
}

/* json_decref(ret->state) it. What the caller may not see is not there. */
static tm_err find(struct request *ret, struct api_call *c, struct diag *diag)
{
    struct store_read q = {.kind = READ_CONTINUATION, .name = api_param(c, "id")};
    tm_err e = api_read(c, &q, diag);
    bool there = e == TM_OK && strcmp(q.continuations[0].kind, "enrollment") == 0;
    if (there) {
        TM_TRY(request_open(ret, c, &q.continuations[0], diag));
        if (may_see(c, ret))
            return TM_OK;
        json_decref(ret->state);
    }
    if (e != TM_OK && e != TM_ENOTFOUND)
        return e;
    return diag_fail(diag, TM_ENOTFOUND, NULL, "id", "there is no such request");
}

/* ---- what came of it ---- */

/* The certificate as the inventory has it, or, where its profile keeps none, as it was noted for who comes to fetch it. */
static tm_err issued(struct slice *ret_cert, const char **ret_authority, struct api_call *c,
                     const struct request *r, struct diag *diag)
{
    struct store_read q = {.kind = READ_CERT, .with_der = true};
    TM_TRY(api_cert_id(q.id, c, text_of(r, "serial"), diag));
    tm_err e = api_read(c, &q, diag);
    *ret_authority = e == TM_OK ? q.certs[0].authority : "";
    *ret_cert = e == TM_OK ? q.certs[0].der : (struct slice){0};
    if (ret_cert->n == 0 && (e == TM_OK || e == TM_ENOTFOUND))
        e = base64_decode(ret_cert, c->arena, slice_str(text_of(r, "certificate")), BASE64_STD);
    return e;
}

static tm_err put_pems(struct buf *cert, struct buf *chain, struct api_call *c, const struct request *r,
                       struct diag *diag)
{
    struct slice der;
    const char *authority;
    TM_TRY(issued(&der, &authority, c, r, diag));
    if (der.n)
        buf_put_pem(cert, "CERTIFICATE", der);
    const struct authority *x = catalog_authority(c->catalog, c->tenant->id, authority);
    return x ? authority_export(chain, x, CA_EXPORT_CHAIN) : TM_OK;
}

static tm_err put_whole(struct api_call *c, struct request *r, struct diag *diag)
{
    struct buf cert, chain;
    buf_init(&cert, CHAIN_MAX);
    buf_init(&chain, CHAIN_MAX);
    tm_err e = TM_OK;
    bool done = strcmp(r->row->status, "done") == 0,
         pem = api_accepts(c, "application/pem-certificate-chain");
    if (done)
        e = put_pems(&cert, &chain, c, r, diag);
    if (e == TM_OK && pem && !done) {
        e = diag_fail(diag, TM_ENOTFOUND, NULL, "id", "this request is %s: there is no certificate",
                      status_of(r->row));
    } else if (e == TM_OK && pem) {
        c->answer_type = "application/pem-certificate-chain";
        buf_put_slice(&c->out, buf_slice(&cert));
        buf_put_slice(&c->out, buf_slice(&chain));
    } else if (e == TM_OK) {
        const char *serial = arena_strdup(c->arena, text_of(r, "serial"));
        json_object_del(r->state, "certificate");
        put_request(&c->out, r);
        if (done) {
            api_put_text(&c->out, "serial", serial);
            api_put_text(&c->out, "certificate", buf_str(&cert));
            api_put_text(&c->out, "chain", buf_str(&chain));
        }
        buf_puts(&c->out, "}\n");
    }
    buf_done(&cert);
    buf_done(&chain);
    return e;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    struct request r;
    TM_TRY(find(&r, c, diag));
    tm_err e = put_whole(c, &r, diag);
    json_decref(r.state);
    return e;
}

/* ---- what is said and decided ---- */

static tm_err say(struct api_call *c, struct diag *diag)
{
    struct request r;
    const char *comment;
    TM_TRY(api_comment(&comment, c, diag));
    if (!comment[0])
        return diag_fail(diag, TM_EINVAL, NULL, "/comment", "say something");
    TM_TRY(find(&r, c, diag));
    bool may = (c->roles & (ROLE_ADMIN | ROLE_OPERATOR | ROLE_HOUSE_ADMIN)) || concerns(c, &r);
    json_decref(r.state);
    if (!may)
        return diag_fail(diag, TM_EFORBIDDEN, "role", NULL,
                         "your roles in this tenant let you read requests, not speak about them");
    TM_TRY(issue_comment(c->house, c->tenant->id, api_param(c, "id"), c->principal, comment, diag));
    return get(c, diag);
}

static tm_err decide(struct api_call *c, bool approve, struct diag *diag)
{
    struct request r;
    const char *comment;
    TM_TRY(api_comment(&comment, c, diag));
    TM_TRY(find(&r, c, diag));
    bool may = r.decides;
    json_decref(r.state);
    if (!may)
        return diag_fail(diag, TM_EFORBIDDEN, "profile.approval", NULL,
                         "the profile wants other roles or groups to decide this");
    TM_TRY(issue_approve(c->house, c->tenant->id, api_param(c, "id"), approve, c->principal, comment, diag));
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
    {"status", "pending|done|rejected|expired", "expired: nobody decided in time", "pending"},
    {"created_at", "time?", NULL, NULL},
    {"expires_at", "time?", "pending: until when it can be decided; else until when the answer can be had",
     NULL},
    {"asked_by", "string", "a principal's name, a device, a token", "anna"},
    {"mine", "boolean", "the caller asked for it", "false"},
    {"may_decide", "boolean", "it waits, and the caller's word counts", "true"},
    {"comments", "[]RequestComment", "in the order in which they were made", NULL},
    {"request", "object", "what was asked, by whom, through which door", NULL},
    {"serial?", "hex", "of one request that is done", API_SERIAL_EXAMPLE},
    {"certificate?", "pem", "the same; empty where it is no longer kept", NULL},
    {"chain?", "pem", "the same: its issuers up to the root", NULL},
    {0},
};
static const struct api_field comment_fields[] = {
    {"by", "string", NULL, "otto"},
    {"at", "time?", NULL, NULL},
    {"text", "string", NULL, "which pump is it?"},
    {"decision?", "approved|rejected", NULL, NULL},
    {0},
};
static const struct api_field request_list_fields[] = {
    {"items", "[]Request", NULL, NULL},
    {"next?", "string", "what `after` is for the next page", "7b2e61c09a"},
    {0},
};
const struct api_schema request_api_schemas[] = {
    {"Request", "an enrollment that waits or waited for a person", request_fields, NULL, NULL},
    {"RequestComment", "what somebody said about a request", comment_fields, NULL, NULL},
    {"RequestList", NULL, request_list_fields, NULL, NULL},
    {"Comment", NULL, NULL, comment_schema, "{\"comment\":\"ticket 4711\"}"},
    {0},
};
static const struct api_field list_query[] = {
    {"status", "string", "only those: pending, done, rejected, expired", "pending"},
    {"mine", "true|1", "only what the caller asked for", "1"},
    {"to_decide", "true|1", "only what waits for the caller's word", "1"},
    {0},
};
static const struct api_content request_forms[] = {
    {200, "application/json", "Request", "the request, and the certificate where it is done"},
    {200, "application/pem-certificate-chain", NULL, "the certificate and its issuers, where it is done"},
    {0},
};

const struct api_route request_api_routes[] = {
    {HTTP_M_GET, "/api/v1/requests", SEERS, list, 0, "listRequests",
     "Requests that wait or waited for approval; owners see theirs, and what they may decide", "requests",
     NULL, "RequestList", API_PAGED, list_query},
    {HTTP_M_GET, "/api/v1/requests/{id}", SEERS, get, 0, "getRequest", "One request, and what came of it",
     "requests", NULL, NULL, .gives = request_forms},
    {HTTP_M_POST, "/api/v1/requests/{id}/comments", SEERS, say, COMMENT_BODY, "commentRequest",
     "Say something about it, to those who decide and to who asked", "requests", "Comment", "Request"},
    {HTTP_M_POST, "/api/v1/requests/{id}/approve", SEERS, approve, COMMENT_BODY, "approveRequest",
     "Approve: the certificate is issued at once. For whom the profile lets decide", "requests", "Comment",
     "Request", API_BODY_OPTIONAL},
    {HTTP_M_POST, "/api/v1/requests/{id}/reject", SEERS, reject, COMMENT_BODY, "rejectRequest",
     "Reject. For whom the profile lets decide", "requests", "Comment", "Request", API_BODY_OPTIONAL},
    {0},
};
