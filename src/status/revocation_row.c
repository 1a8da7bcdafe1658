/* Jobs of mass revocation as rows of the store: their state is JSON, bound by a table. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "issue/house.h"
#include "register/register.h"
#include "status/revocation_impl.h"
#include <stdlib.h>
#include <string.h>

const char *const revocation_status_names[REVOCATION_STATUSES + 1] = {"waits-for-approval",
                                                                      "asks-for-renewal",
                                                                      "planned",
                                                                      "running",
                                                                      "taking-effect",
                                                                      "done",
                                                                      "canceled",
                                                                      NULL};

/* ---- the state's members, read and written by the same tables ---- */

#define SET(member, k, ...)    JSON_FIELD(struct revocation_set, member, k, __VA_ARGS__)
#define JOB(member, k, ...)    JSON_FIELD(struct revocation, member, k, __VA_ARGS__)
#define EFFECT(member, k, ...) JSON_FIELD(struct revocation_effect, member, k, __VA_ARGS__)
#define TEXT                   JSON_K_STRING, .def = ""

static const struct json_field set_schema[] = {
    SET(authority, TEXT),
    SET(profile, TEXT),
    SET(device, TEXT),
    SET(owner, TEXT),
    SET(issued_after, JSON_K_INT),
    SET(issued_before, JSON_K_INT),
    SET(expires_after, JSON_K_INT),
    SET(expires_before, JSON_K_INT),
    SET(listed, JSON_K_INT),
    {0},
};

#define TOOK(i, name)                                                                                        \
    {.key = (name),                                                                                          \
     .kind = JSON_K_INT,                                                                                     \
     .offset = offsetof(struct revocation_effect, took) + (i) * sizeof(int64_t),                             \
     .def = "-1",                                                                                            \
     .min = -1,                                                                                              \
     .max = INT64_MAX}
static const struct json_field effect_schema[] = {
    EFFECT(authority, TEXT),      EFFECT(n, JSON_K_INT),
    EFFECT(first_ms, JSON_K_INT), EFFECT(last_ms, JSON_K_INT),
    EFFECT(until, JSON_K_INT),    EFFECT(last, TEXT),
    EFFECT(models, JSON_K_INT),   TOOK(REACH_CRL, "crl"),
    TOOK(REACH_SHARD, "shard"),   TOOK(REACH_DELTA, "delta"),
    TOOK(REACH_OCSP, "ocsp"),     TOOK(REACH_FILTER, "filter"),
    TOOK(REACH_EXPIRY, "expiry"), {0},
};

static const struct json_field job_schema[] = {
    JOB(set, JSON_K_OBJECT, .sub = set_schema),
    JOB(reason, JSON_K_INT),
    JOB(comment, TEXT),
    JOB(by, TEXT),
    JOB(explanation, TEXT),
    JOB(request, TEXT),
    JOB(created_ms, JSON_K_INT),
    JOB(after, JSON_K_INT),
    JOB(deadline, JSON_K_INT),
    JOB(replace_first, JSON_K_BOOL),
    JOB(approval, JSON_K_BOOL),
    JOB(approved_by, TEXT),
    JOB(canceled_by, TEXT),
    JOB(approved_ms, JSON_K_INT),
    JOB(begun_ms, JSON_K_INT),
    JOB(revoked_ms, JSON_K_INT),
    JOB(ended_ms, JSON_K_INT),
    JOB(matched, JSON_K_INT),
    JOB(at, TEXT),
    JOB(looked, JSON_K_INT),
    JOB(revoked, JSON_K_INT),
    JOB(superseded, JSON_K_INT),
    JOB(before, JSON_K_INT),
    JOB(asked, JSON_K_INT),
    JOB(early, JSON_K_INT),
    JOB(why, TEXT),
    JOB(seen_by, JSON_K_INT),
    JOB(effects, JSON_K_OBJECTS, .sub = effect_schema, .size = sizeof(struct revocation_effect),
        .max = REVOCATION_EFFECTS_MAX),
    {0},
};

static void put_members(struct buf *out, const struct json_field *schema, const void *v)
{
    buf_putc(out, '{');
    for (const struct json_field *f = schema; f->key; f++) {
        const void *at = (const char *)v + f->offset;
        buf_printf(out, "%s\"%s\":", f == schema ? "" : ",", f->key);
        if (f->kind == JSON_K_STRING) {
            buf_put_json_string(out, slice_str(*(const char *const *)at));
        } else if (f->kind == JSON_K_INT) {
            buf_printf(out, "%lld", (long long)*(const int64_t *)at);
        } else if (f->kind == JSON_K_BOOL) {
            buf_puts(out, *(const bool *)at ? "true" : "false");
        } else if (f->kind == JSON_K_OBJECT) {
            put_members(out, f->sub, at);
        } else {
            const struct json_objects *list = at;
            for (size_t i = 0; i < list->n; i++) {
                buf_putc(out, i ? ',' : '[');
                put_members(out, f->sub, (const char *)list->v + i * f->size);
            }
            buf_puts(out, list->n ? "]" : "[]");
        }
    }
    buf_putc(out, '}');
}

/* ---- rows ---- */

tm_err revocation_from_row(struct revocation *ret, struct arena *a, const struct object_row *row,
                           struct diag *diag)
{
    json_t *doc = NULL;
    memset(ret, 0, sizeof *ret);
    tm_err e = json_parse(&doc, row->state, REVOCATION_STATE_MAX, diag);
    if (e == TM_OK)
        e = json_bind(ret, job_schema, doc, "", a, diag);
    json_decref(doc);
    if (e != TM_OK || row->status < 0 || row->status >= REVOCATION_STATUSES)
        return tm_err_class(e) == TM_CLASS_CALLER || e == TM_OK ? TM_ECORRUPT : e;
    ret->tenant = row->tenant;
    ret->id = row->id;
    ret->key = row->key;
    ret->version = row->version;
    ret->status = row->status;
    ret->next_ms = row->due_at;
    /* Room for those that are still to come. */
    struct revocation_effect *v = arena_calloc(a, REVOCATION_EFFECTS_MAX, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    if (ret->effects.n)
        memcpy(v, ret->effects.v, ret->effects.n * sizeof *v);
    ret->effects.v = v;
    return TM_OK;
}

static bool has_ended(const struct revocation *j)
{
    return j->status == REVOCATION_DONE || j->status == REVOCATION_CANCELED;
}

tm_err revocation_effect_put(struct effect *ret, struct arena *a, const struct revocation *j)
{
    struct buf b;
    *ret = (struct effect){.kind = EFFECT_OBJECT_PUT,
                           .tenant = j->tenant,
                           .expected_version = j->version,
                           .u.object.unique = false};
    struct object_row *row = &ret->u.object.row;
    *row = (struct object_row){
        .kind = OBJECT_REVOCATION,
        .id = j->id,
        .owner = REVOCATION_OWNER,
        .key = j->key ? j->key : "",
        .ref = "",
        .status = j->status,
        .due_at = j->next_ms,
        .created_at = j->created_ms / 1000,
        .keep_until = has_ended(j) ? clock_now() + REVOCATION_KEEP : 0,
    };
    buf_init(&b, REVOCATION_STATE_MAX);
    put_members(&b, job_schema, j);
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        e = arena_copy(&row->state, a, buf_slice(&b));
    buf_done(&b);
    return e;
}

const char *revocation_chunk_id(struct arena *a, const char *id, size_t chunk)
{
    return arena_printf(a, "%s-%06zu", id, chunk);
}

void revocation_put_effects(struct buf *out, const struct revocation *j)
{
    const struct revocation_effect *v = j->effects.v;
    for (size_t i = 0; i < j->effects.n; i++) {
        buf_putc(out, i ? ',' : '[');
        put_members(out, effect_schema, &v[i]);
    }
    buf_puts(out, j->effects.n ? "]" : "[]");
}

tm_err revocation_event(struct effect *ret, struct arena *a, const struct revocation *j, const char *type,
                        const struct event_field *fields)
{
    struct slice body;
    char *about = arena_printf(a, "revocation/%s", j->id);
    TM_TRY(about ? register_event_body(&body, a, fields) : TM_ENOMEM);
    return register_event_effect(ret, a, j->tenant, type, about, body, clock_now_ms());
}

tm_err revocation_save(struct house *h, struct arena *a, struct revocation *j, const char *type,
                       const struct event_field *fields, struct diag *diag)
{
    struct effect effects[2] = {0};
    TM_TRY(revocation_effect_put(&effects[0], a, j));
    if (type)
        TM_TRY(revocation_event(&effects[1], a, j, type, fields));
    TM_TRY(house_commit(h, effects, type ? 2 : 1, diag));
    j->version++;
    return TM_OK;
}
