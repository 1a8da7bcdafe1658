/* Requests that wait for a person: what is said about them, and what is decided. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "issue/continuation.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "register/register.h"
#include <string.h>

enum { STATE_MAX = 256 << 10 };

/* Who asked, as the state has it. */
static const char *asked_by_of(struct arena *a, const struct continuation_row *row)
{
    json_t *doc = NULL;
    if (json_parse(&doc, row->state, STATE_MAX, NULL) != TM_OK)
        return "";
    const char *caller = json_string_value(json_object_get(doc, "caller"));
    const char *kept = arena_strdup(a, caller ? caller : "");
    json_decref(doc);
    return kept ? kept : "";
}

static tm_err event_make(struct effect *ret, struct arena *a, tenant_id tenant, const char *type,
                         const struct continuation_row *row, const char *by, const char *comment)
{
    const struct event_field fields[] = {
        {.key = "asked_by", .kind = EVENT_STR, .s = slice_str(asked_by_of(a, row))},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by ? by : "")},
        {.key = "comment", .kind = EVENT_STR, .s = slice_str(comment ? comment : "")},
        {.key = "id", .kind = EVENT_STR, .s = slice_str(row->id)},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    char *about = arena_printf(a, "request/%s", row->id);
    if (!about)
        return TM_ENOMEM;
    return register_event_effect(ret, a, tenant, type, about, body, clock_now_ms());
}

/* The row as it has become, with its event. */
static tm_err put(struct house *h, struct arena *a, tenant_id tenant, const char *type,
                  const struct continuation_row *row, const char *by, const char *comment, struct diag *diag)
{
    struct effect effects[2] = {{.kind = EFFECT_CONTINUATION_PUT,
                                 .tenant = tenant,
                                 .expected_version = row->version,
                                 .u.continuation = *row}};
    TM_TRY(event_make(&effects[1], a, tenant, type, row, by, comment));
    return house_commit(h, effects, 2, diag);
}

static tm_err reject(struct house *h, struct arena *a, tenant_id tenant, struct continuation_row *row,
                     const char *by, const char *comment, struct diag *diag)
{
    TM_TRY(continuation_comment(row, a, by, comment, "rejected", diag));
    TM_TRY(continuation_finish(row, a, NULL, (struct slice){0}, comment));
    return put(h, a, tenant, "enrollment.rejected", row, by, comment, diag);
}

static tm_err approve(struct house *h, struct arena *a, tenant_id tenant, struct continuation_row *row,
                      const char *by, const char *comment, struct diag *diag)
{
    struct issue_request *r = arena_calloc(a, 1, sizeof *r);
    struct effect approved;
    if (!r)
        return TM_ENOMEM;
    TM_TRY(continuation_restore(r, a, row, tenant, h, diag));
    if (r->e.caller.id && by && strcmp(r->e.caller.id, by) == 0)
        return diag_fail(diag, TM_EFORBIDDEN, "approval.four-eyes", "id",
                         "whoever asked for it can't approve it");
    if (h->resume[r->e.door])
        TM_TRY(h->resume[r->e.door](r, diag));
    else if (r->order && r->order[0])
        return diag_fail(
            diag, TM_EUNAVAIL, "approval.order", "id",
            "an order waits for this, which only a server that runs can look at and end: start it, then "
            "approve");
    TM_TRY(event_make(&approved, a, tenant, "enrollment.approved", row, by, comment));
    TM_TRY(house_commit(h, &approved, 1, diag));
    /* It stands in the row that the certificate's own transaction finishes. */
    TM_TRY(continuation_comment(row, a, by, comment, "approved", diag));
    r->approved = true;
    r->approved_by = by;
    r->continuation = row;
    issue_run(r);
    if (r->outcome == ISSUE_ISSUED)
        return TM_OK;
    *diag = r->diag;
    return r->err == TM_OK ? TM_EDENIED : r->err;
}

static tm_err still_waits(const struct continuation_row *row, struct diag *diag)
{
    if (strcmp(row->status, "pending") != 0)
        return diag_fail(diag, TM_ECONFLICT, NULL, "id", "this request is %s already", row->status);
    if (row->expires_at < clock_now())
        return diag_fail(diag, TM_EEXPIRED, NULL, "id",
                         "this request has waited too long; the caller has to ask again");
    return TM_OK;
}

static tm_err find(struct continuation_row **ret, struct house *h, struct arena *a, tenant_id tenant,
                   const char *id, struct diag *diag)
{
    struct store_read q = {.kind = READ_CONTINUATION, .tenant = tenant, .arena = a, .name = id};
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "id", "no request with this id waits");
    if (e == TM_OK)
        *ret = &q.continuations[0];
    else
        *diag = q.diag;
    return e;
}

tm_err issue_approve(struct house *h, tenant_id tenant, const char *continuation_id, bool approved,
                     const char *by, const char *comment, struct diag *diag)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct continuation_row *row = NULL;
    tm_err e = find(&row, h, a, tenant, continuation_id, diag);
    if (e == TM_OK)
        e = still_waits(row, diag);
    if (e == TM_OK)
        e = approved ? approve(h, a, tenant, row, by, comment, diag)
                     : reject(h, a, tenant, row, by, comment, diag);
    arena_free(a);
    return e;
}

tm_err issue_comment(struct house *h, tenant_id tenant, const char *continuation_id, const char *by,
                     const char *comment, struct diag *diag)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct continuation_row *row = NULL;
    tm_err e = find(&row, h, a, tenant, continuation_id, diag);
    if (e == TM_OK)
        e = continuation_comment(row, a, by, comment, NULL, diag);
    if (e == TM_OK)
        e = put(h, a, tenant, "enrollment.commented", row, by, comment, diag);
    arena_free(a);
    return e;
}
