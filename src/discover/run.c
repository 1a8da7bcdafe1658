#include "discover/run.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "issue/house.h"
#include "register/register.h"
#include <inttypes.h>
#include <string.h>

const char *const run_status_names[RUN_STATUSES + 1] = {NULL,       "waiting", "running", "done",
                                                        "canceled", "failed",  NULL};

enum { ID_RANDOM = 5 };
/* Far beyond any clock, in 48 bits: ids count down to it. */
#define END_OF_TIME_MS ((UINT64_C(1) << 48) - 1)

#define TEXT(m)  JSON_FIELD(struct run, m, JSON_K_STRING, .def = "")
#define COUNT(m) JSON_FIELD(struct run, m, JSON_K_INT)
static const struct json_field members[] = {
    TEXT(via),       TEXT(name),   TEXT(by),       COUNT(created_ms), COUNT(begun_ms),
    COUNT(ended_ms), COUNT(total), COUNT(done),    COUNT(answered),   COUNT(failed),
    COUNT(added),    COUNT(known), COUNT(refused), COUNT(changed),    COUNT(same),
    COUNT(gone),     TEXT(why),    COUNT(seed),    COUNT(new_places)};
#undef TEXT
#undef COUNT

struct state {
    struct run run;
    const json_t *spec;
};

enum { MEMBERS = sizeof members / sizeof *members };

static void put_members(struct buf *out, const struct run *r)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        const void *at = (const char *)r + members[i].offset;
        buf_printf(out, "%s\"%s\":", i ? "," : "", members[i].key);
        if (members[i].kind == JSON_K_STRING)
            buf_put_json_string(out, slice_str(*(const char *const *)at));
        else
            buf_printf(out, "%" PRId64, *(const int64_t *)at);
    }
}

static void put_spec(struct buf *out, const struct run *r)
{
    if (r->spec.n)
        buf_put_slice(out, r->spec);
    else
        buf_puts(out, "{}");
}

bool run_has_ended(const struct run *r)
{
    return r->status >= RUN_DONE;
}

tm_err run_init(struct run *ret, struct arena *a, tenant_id tenant, const char *via, const char *name,
                const char *by)
{
    uint8_t id[6 + ID_RANDOM];
    int64_t now = clock_now_ms();
    uint64_t left = END_OF_TIME_MS - (uint64_t)now;
    for (int i = 0; i < 6; i++)
        id[i] = (uint8_t)(left >> (8 * (5 - i)));
    TM_TRY(random_bytes(id + 6, ID_RANDOM));
    char *text = arena_hex(a, SLICE_ARR(id));
    if (!text)
        return TM_ENOMEM;
    *ret = (struct run){.tenant = tenant,
                        .id = text,
                        .via = via,
                        .name = name,
                        .by = by,
                        .why = "",
                        .status = RUN_WAITING,
                        .created_ms = now};
    return TM_OK;
}

static tm_err event_effect(struct effect *ret, struct arena *a, const struct run *r, const char *type)
{
    struct slice body;
    struct event_field fields[] = {
        {.key = "added", .kind = EVENT_INT, .i = r->added},
        {.key = "answered", .kind = EVENT_INT, .i = r->answered},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(r->by)},
        {.key = "done", .kind = EVENT_INT, .i = r->done},
        {.key = "name", .kind = EVENT_STR, .s = slice_str(r->name)},
        {.key = "total", .kind = EVENT_INT, .i = r->total},
        {.key = "via", .kind = EVENT_STR, .s = slice_str(r->via)},
        {.key = "why", .kind = EVENT_STR, .s = slice_str(r->why)},
        {0},
    };
    char *about = arena_printf(a, "discovery/%s", r->id);
    TM_TRY(about ? register_event_body(&body, a, fields) : TM_ENOMEM);
    return register_event_effect(ret, a, r->tenant, type, about, body, clock_now_ms());
}

/* Scans are the house's to go on with. Others belong to who reports, and may never end: they would crowd the scans out. */
static bool goes_on_after_a_restart(const struct run *r)
{
    return !run_has_ended(r) && strcmp(r->via, "scan") == 0;
}

tm_err run_put(struct house *h, struct arena *a, struct run *r, const char *event, struct diag *diag)
{
    struct effect effects[2] = {0};
    struct slice state;
    struct buf b;
    buf_init(&b, RUN_STATE_MAX);
    buf_putc(&b, '{');
    put_members(&b, r);
    buf_puts(&b, ",\"spec\":");
    put_spec(&b, r);
    buf_putc(&b, '}');
    tm_err e = buf_err(&b) == TM_OK ? arena_copy(&state, a, buf_slice(&b)) : buf_err(&b);
    buf_done(&b);
    TM_TRY(e);
    effects[0] = (struct effect){.kind = EFFECT_OBJECT_PUT,
                                 .tenant = r->tenant,
                                 .expected_version = r->version,
                                 .u.object.row = {.kind = OBJECT_DISCOVERY_RUN,
                                                  .id = r->id,
                                                  .owner = r->name,
                                                  .key = "",
                                                  .ref = "",
                                                  .status = r->status,
                                                  .due_at = goes_on_after_a_restart(r),
                                                  .created_at = r->created_ms / 1000,
                                                  .keep_until = r->created_ms / 1000 + RUN_KEEP,
                                                  .state = state}};
    if (event)
        TM_TRY(event_effect(&effects[1], a, r, event));
    TM_TRY(house_commit(h, effects, event ? 2 : 1, diag));
    r->version++;
    return TM_OK;
}

static tm_err from_row(struct run *ret, struct arena *a, const struct object_row *row, struct diag *diag)
{
    struct json_field schema[MEMBERS + 2] = {0};
    struct state s = {0};
    json_t *doc = NULL;
    memcpy(schema, members, sizeof members);
    schema[MEMBERS] = (struct json_field)JSON_FIELD(struct state, spec, JSON_K_ANY);
    _Static_assert(offsetof(struct state, run) == 0, "members are those of the run");
    TM_TRY(json_parse(&doc, row->state, RUN_STATE_MAX, diag));
    tm_err e = json_bind(&s, schema, doc, "", a, diag);
    if (e == TM_OK && s.spec) {
        struct buf b;
        buf_init(&b, RUN_STATE_MAX);
        buf_put_json(&b, s.spec, false);
        e = buf_err(&b) == TM_OK ? arena_copy(&s.run.spec, a, buf_slice(&b)) : buf_err(&b);
        buf_done(&b);
    }
    json_decref(doc);
    if (tm_err_class(e) == TM_CLASS_CALLER ||
        (e == TM_OK && (row->status < 1 || row->status >= RUN_STATUSES)))
        return diag_fail(diag, TM_ECORRUPT, NULL, NULL, "the row of discovery run %s can't be read", row->id);
    TM_TRY(e);
    s.run.tenant = row->tenant;
    s.run.id = row->id;
    s.run.status = row->status;
    s.run.version = row->version;
    *ret = s.run;
    return TM_OK;
}

tm_err run_get(struct run *ret, struct arena *a, struct house *h, tenant_id tenant, const char *id,
               struct diag *diag)
{
    struct store_read q = {
        .kind = READ_OBJECT, .tenant = tenant, .arena = a, .object_kind = OBJECT_DISCOVERY_RUN, .name = id};
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_OK)
        return from_row(ret, a, &q.objects[0], diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "id", "there is no such discovery run");
    *diag = q.diag;
    return e;
}

tm_err run_list(struct run **ret, size_t *ret_n, bool *ret_more, struct arena *a, struct house *h,
                tenant_id tenant, const char *name, int status, const char *after, size_t limit,
                struct diag *diag)
{
    struct store_read q = {.kind = name ? READ_OBJECTS_OWNED : READ_OBJECTS,
                           .tenant = tenant,
                           .arena = a,
                           .object_kind = OBJECT_DISCOVERY_RUN,
                           .object_status = name ? 0 : status,
                           .name = name,
                           .after = slice_str(after),
                           .limit = limit};
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    struct run *v = arena_calloc(a, q.n + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < q.n; i++)
        TM_TRY(from_row(&v[i], a, &q.objects[i], diag));
    *ret = v;
    *ret_n = q.n;
    *ret_more = q.more;
    return TM_OK;
}

static void put_time_ms(struct buf *out, const char *key, int64_t ms)
{
    char text[21];
    clock_format_rfc3339(text, ms / 1000);
    if (ms)
        buf_printf(out, ",\"%s\":\"%s\"", key, text);
    else
        buf_printf(out, ",\"%s\":null", key);
}

void run_put_json(struct buf *out, const struct run *r)
{
    buf_puts(out, "{\"id\":");
    buf_put_json_string(out, slice_str(r->id));
    buf_printf(out, ",\"status\":\"%s\"", run_status_names[r->status]);
    for (size_t i = 0; i < MEMBERS; i++) {
        const char *key = members[i].key;
        const void *at = (const char *)r + members[i].offset;
        if (strcmp(key, "created_ms") == 0 || strcmp(key, "seed") == 0)
            continue;
        if (strcmp(key, "begun_ms") == 0)
            put_time_ms(out, "begun", r->begun_ms);
        else if (strcmp(key, "ended_ms") == 0)
            put_time_ms(out, "ended", r->ended_ms);
        else if (members[i].kind == JSON_K_STRING) {
            buf_printf(out, ",\"%s\":", key);
            buf_put_json_string(out, slice_str(*(const char *const *)at));
        } else
            buf_printf(out, ",\"%s\":%" PRId64, key, *(const int64_t *)at);
    }
    put_time_ms(out, "created", r->created_ms);
    buf_puts(out, ",\"spec\":");
    put_spec(out, r);
    buf_putc(out, '}');
}
