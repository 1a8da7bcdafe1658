#include "alert/alert.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "issue/house.h"
#include "register/register.h"
#include <inttypes.h>
#include <string.h>

enum { STATE_MAX = 16 << 10, KEEP_RESOLVED = 90 * 86400, TRIES = 8 };

const char *const alert_status_names[] = {"", "open", "acknowledged", "resolved", NULL};

struct state {
    const char *cause, *title, *text, *finding, *by, *comment;
    int severity;
    int64_t stage, opened, changed, resolved;
};
#define S(m, k, ...) JSON_FIELD(struct state, m, k, __VA_ARGS__)
static const struct json_field schema[] = {
    S(cause, JSON_K_STRING, .required = true),
    S(title, JSON_K_STRING, .def = ""),
    S(text, JSON_K_STRING, .max = 8192, .def = ""),
    S(finding, JSON_K_STRING, .def = ""),
    S(by, JSON_K_STRING, .def = ""),
    S(comment, JSON_K_STRING, .def = ""),
    S(severity, JSON_K_ENUM, .names = finding_severity_names, .def = "medium"),
    S(stage, JSON_K_INT),
    S(opened, JSON_K_INT),
    S(changed, JSON_K_INT),
    S(resolved, JSON_K_INT),
    {0},
};

tm_err alert_from_row(struct alert *ret, struct arena *a, const struct object_row *row, struct diag *diag)
{
    json_t *doc = NULL;
    struct state s = {0};
    tm_err e = json_parse(&doc, row->state, STATE_MAX, diag);
    if (e == TM_OK)
        e = json_bind(&s, schema, doc, "", a, diag);
    json_decref(doc);
    if (e != TM_OK)
        return tm_err_class(e) == TM_CLASS_CALLER ? TM_ECORRUPT : e;
    *ret = (struct alert){.tenant = row->tenant,
                          .id = row->id,
                          .cause = s.cause,
                          .subject = row->owner,
                          .owner = row->key,
                          .status = (enum alert_status)row->status,
                          .severity = (enum finding_severity)s.severity,
                          .stage = (int)s.stage,
                          .title = s.title,
                          .text = s.text,
                          .finding = s.finding,
                          .opened_ms = s.opened,
                          .changed_ms = s.changed,
                          .resolved_ms = s.resolved,
                          .by = s.by,
                          .comment = s.comment,
                          .version = row->version};
    return TM_OK;
}

static void put(struct buf *b, const char *key, const char *text)
{
    buf_printf(b, ",\"%s\":", key);
    buf_put_json_string(b, slice_str(text ? text : ""));
}

tm_err alert_effect(struct effect *ret, struct arena *a, const struct alert *x)
{
    struct buf b;
    struct slice state;
    buf_init(&b, STATE_MAX);
    buf_printf(&b, "{\"stage\":%d,\"opened\":%" PRId64 ",\"changed\":%" PRId64 ",\"resolved\":%" PRId64,
               x->stage, x->opened_ms, x->changed_ms, x->resolved_ms);
    put(&b, "severity", finding_severity_names[x->severity]);
    put(&b, "cause", x->cause);
    put(&b, "title", x->title);
    put(&b, "text", x->text);
    put(&b, "finding", x->finding);
    put(&b, "by", x->by);
    put(&b, "comment", x->comment);
    buf_putc(&b, '}');
    tm_err e = buf_err(&b) == TM_OK ? arena_copy(&state, a, buf_slice(&b)) : buf_err(&b);
    buf_done(&b);
    TM_TRY(e);
    *ret = (struct effect){.kind = EFFECT_OBJECT_PUT, .tenant = x->tenant, .expected_version = x->version};
    ret->u.object.row = (struct object_row){
        .kind = OBJECT_ALERT,
        .id = x->id,
        .owner = x->subject,
        .key = x->owner,
        .ref = "",
        .status = (int)x->status,
        .created_at = x->opened_ms / 1000,
        .keep_until = x->status == ALERT_RESOLVED ? x->resolved_ms / 1000 + KEEP_RESOLVED : 0,
        .state = state};
    return TM_OK;
}

tm_err alert_id(char ret[FINDING_ID_LEN + 1], const char *cause, const char *subject)
{
    return finding_id(ret, cause, subject);
}

tm_err alert_get(struct alert *ret, struct arena *a, struct house *h, tenant_id tenant, const char *id,
                 struct diag *diag)
{
    struct store_read q = {
        .kind = READ_OBJECT, .tenant = tenant, .arena = a, .object_kind = OBJECT_ALERT, .name = id};
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_OK)
        return alert_from_row(ret, a, &q.objects[0], diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "id", "there is no such alert");
    *diag = q.diag;
    return e;
}

tm_err alert_list(struct alert **ret, size_t *ret_n, const char **ret_next, struct arena *a, struct house *h,
                  tenant_id tenant, enum alert_status status, const char *after, size_t limit,
                  struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECTS,
                           .tenant = tenant,
                           .arena = a,
                           .object_kind = OBJECT_ALERT,
                           .object_status = (int)status,
                           .after = slice_str(after),
                           .limit = limit};
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    struct alert *v = arena_calloc(a, q.n + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < q.n; i++)
        TM_TRY(alert_from_row(&v[i], a, &q.objects[i], diag));
    *ret = v;
    *ret_n = q.n;
    *ret_next = q.more && q.n ? v[q.n - 1].id : "";
    return TM_OK;
}

static tm_err acknowledge(struct arena *a, struct house *h, tenant_id tenant, const char *id,
                          const char *comment, const char *by, struct diag *diag)
{
    struct alert x;
    struct effect effects[2];
    struct slice body;
    TM_TRY(alert_get(&x, a, h, tenant, id, diag));
    if (x.status == ALERT_RESOLVED)
        return diag_fail(diag, TM_EUSAGE, "alert.status", "id",
                         "it is resolved: there is nothing to look after");
    x.status = ALERT_ACKED;
    x.by = by;
    x.comment = comment;
    x.changed_ms = clock_now_ms();
    struct event_field fields[] = {
        {.key = "about", .kind = EVENT_STR, .s = slice_str(x.subject)},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by)},
        {.key = "cause", .kind = EVENT_STR, .s = slice_str(x.cause)},
        {.key = "comment", .kind = EVENT_STR, .s = slice_str(comment)},
        {0},
    };
    TM_TRY(alert_effect(&effects[0], a, &x));
    TM_TRY(register_event_body(&body, a, fields));
    const char *about = arena_printf(a, "alert/%s", x.id);
    TM_TRY(
        about ? register_event_effect(&effects[1], a, tenant, "alert.acknowledged", about, body, x.changed_ms)
              : TM_ENOMEM);
    return house_commit(h, effects, 2, diag);
}

tm_err alert_acknowledge(struct house *h, tenant_id tenant, const char *id, const char *comment,
                         const char *by, struct diag *diag)
{
    tm_err e = TM_ECONFLICT;
    for (int i = 0; i < TRIES && e == TM_ECONFLICT; i++) {
        struct arena *a = arena_new(0);
        diag_clear(diag);
        e = a ? acknowledge(a, h, tenant, id, comment, by, diag) : TM_ENOMEM;
        arena_free(a);
    }
    return e;
}
