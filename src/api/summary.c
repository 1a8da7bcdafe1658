/* What the console's first page needs: who is asking, what waits, what ends soon, what happened lately.
 *
 * All of it comes from reads that others use already and each of them is bounded, so that a page that many people leave open costs the
 * same at ten certificates and at ten million; where a bound cuts something off, the answer says so. */
#include "api/groups.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "policy/enrollment.h"
#include "register/register.h"
#include "status/reach.h"
#include <stdlib.h>
#include <string.h>

enum {
    PENDING_MAX = 1000,
    EXPIRING_MAX = 1000,
    EXPIRING_SHOWN = 8,
    EXPIRING_DAYS = 30,
    PAGES_MAX = 64,
    RECENT = 12,
    BUCKETS_MAX = 32,
    ACTIVITY_EVENTS = 10000,
    BODY_MAX = 64 << 10,
    DAY = 86400,
};

/* ---- who am I ---- */

static void put_tenant(struct buf *out, const struct tenant *t, bool first)
{
    buf_puts(out, first ? "{\"name\":" : ",{\"name\":");
    buf_put_json_string(out, slice_str(t->name));
    api_put_text(out, "title", t->title);
    buf_putc(out, '}');
}

static tm_err who_am_i(struct api_call *c, struct diag *diag)
{
    if (!c->principal)
        return diag_fail(diag, TM_EAUTH, "role", NULL, "authenticate with a token or a client certificate");
    buf_puts(&c->out, "{\"principal\":");
    buf_put_json_string(&c->out, slice_str(c->principal));
    buf_puts(&c->out, ",\"roles\":[");
    for (unsigned i = 0, n = 0; api_role_names[i]; i++)
        if (c->roles & (1u << i))
            buf_printf(&c->out, "%s\"%s\"", n++ ? "," : "", api_role_names[i]);
    buf_puts(&c->out, "]");
    api_put_text(&c->out, "owner_of", c->owner_of);
    api_put_text(&c->out, "tenant", c->tenant->name);
    api_put_text(&c->out, "version", TM_VERSION);
    buf_puts(&c->out, ",\"tenants\":[");
    const struct tenant *v;
    size_t n = catalog_tenants(c->catalog, &v), shown = 0;
    if (!api_sees_tenants(c)) {
        v = c->tenant;
        n = 1;
    }
    for (size_t i = 0; i < n; i++)
        if (!v[i].disabled)
            put_tenant(&c->out, &v[i], shown++ == 0);
    buf_puts(&c->out, "]}\n");
    return TM_OK;
}

/* ---- what waits ---- */

static tm_err put_pending(struct api_call *c, struct diag *diag)
{
    struct store_read q = {.kind = READ_CONTINUATIONS, .text = "pending", .limit = PENDING_MAX};
    TM_TRY(api_read(c, &q, diag));
    buf_printf(&c->out, "\"pending\":{\"count\":%zu", q.n);
    api_put_bool(&c->out, "more", q.more);
    buf_putc(&c->out, '}');
    return TM_OK;
}

/* ---- what ends soon ---- */

struct expiring {
    size_t count;
    bool more;
    struct buf items;
};

/* Ids begin with the month of expiry, those of foreign certificates with the top bit set: a page can begin where this month does, and
 * end when a month begins that is too late. */
static tm_err expiring_range(struct expiring *x, struct api_call *c, uint16_t kind, int64_t from, int64_t to,
                             struct diag *diag)
{
    uint16_t first = (uint16_t)(cert_id_month(from) | kind), last = (uint16_t)(cert_id_month(to) | kind);
    uint8_t after[CERT_SERIAL_LEN] = {(uint8_t)(first >> 8), (uint8_t)first};
    struct store_read q = {
        .kind = READ_CERTS,
        .filter = {.not_after_from = from, .not_after_to = to, .revoked = 0, .source = -1},
        .after = SLICE_ARR(after),
        .limit = 250,
    };
    for (unsigned pages = 0; pages < PAGES_MAX; pages++) {
        TM_TRY(api_read(c, &q, diag));
        for (size_t i = 0; i < q.n; i++) {
            if ((uint16_t)(q.certs[i].id[0] << 8 | q.certs[i].id[1]) > last)
                return TM_OK;
            if (x->count++ >= EXPIRING_SHOWN)
                continue;
            buf_puts(&x->items, x->count > 1 ? "," : "");
            api_put_cert(&x->items, &q.certs[i], false);
        }
        if (!q.more || q.page_next.n < 2 || (uint16_t)(q.page_next.p[0] << 8 | q.page_next.p[1]) > last)
            return TM_OK;
        if (x->count >= EXPIRING_MAX)
            break;
        q.after = q.page_next;
    }
    x->more = true;
    return TM_OK;
}

static tm_err put_expiring(struct api_call *c, int64_t now, struct diag *diag)
{
    struct expiring x = {0};
    int64_t to = now + (int64_t)EXPIRING_DAYS * DAY;
    buf_init(&x.items, 64 << 10);
    tm_err e = expiring_range(&x, c, 0, now, to, diag);
    if (e == TM_OK)
        e = expiring_range(&x, c, 0x8000, now, to, diag);
    buf_printf(&c->out, ",\"expiring\":{\"days\":%d", EXPIRING_DAYS);
    api_put_int(&c->out, "count", (int64_t)x.count);
    api_put_bool(&c->out, "more", x.more);
    buf_puts(&c->out, ",\"items\":[");
    buf_put_slice(&c->out, buf_slice(&x.items));
    buf_puts(&c->out, "]}");
    if (e == TM_OK)
        e = buf_err(&x.items);
    buf_done(&x.items);
    return e;
}

/* ---- what happened ---- */

static tm_err log_size(uint64_t *ret, struct api_call *c, struct diag *diag)
{
    struct store_read q = {.kind = READ_LOG_SIZE};
    TM_TRY(api_read(c, &q, diag));
    *ret = q.count;
    return TM_OK;
}

static tm_err put_recent(struct api_call *c, uint64_t size, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_EVENTS, .pos_from = size > RECENT ? size - RECENT : 0, .limit = RECENT};
    TM_TRY(api_read(c, &q, diag));
    buf_puts(&c->out, ",\"recent\":[");
    for (size_t i = q.n; i-- > 0;) {
        const struct event_row *v = &q.events[i];
        buf_printf(&c->out, "{\"pos\":%llu", (unsigned long long)v->pos);
        api_put_time(&c->out, "time", v->time / 1000);
        api_put_text(&c->out, "type", v->type);
        api_put_text(&c->out, "subject", v->subject);
        buf_puts(&c->out, ",\"body\":");
        if (v->body.n)
            buf_put_slice(&c->out, v->body);
        else
            buf_puts(&c->out, "null");
        buf_puts(&c->out, i ? "}," : "}");
    }
    buf_puts(&c->out, "]");
    return TM_OK;
}

struct activity {
    int64_t from, step;
    size_t n;
    uint64_t issued[BUCKETS_MAX], revoked[BUCKETS_MAX], refused[BUCKETS_MAX], renewed[BUCKETS_MAX];
    struct {
        uint64_t issued, renewed, denied;
    } doors[DOOR_COUNT];
};

static bool shape_of(struct activity *ret, int64_t days, int64_t now)
{
    static const struct {
        int64_t days, step;
    } shapes[] = {{1, 3600}, {7, 6 * 3600}, {30, DAY}, {90, 3 * DAY}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (shapes[i].days != days)
            continue;
        ret->step = shapes[i].step;
        ret->n = (size_t)(days * DAY / ret->step);
        ret->from = (now / ret->step + 1) * ret->step - (int64_t)ret->n * ret->step;
        return true;
    }
    return false;
}

/* The first event at or after `time` (milliseconds): positions are in order of time but for the jitter of one commit. */
static tm_err first_since(uint64_t *ret, struct api_call *c, uint64_t size, int64_t time, struct diag *diag)
{
    uint64_t low = 0, high = size;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct store_read q = {.kind = READ_EVENTS, .pos_from = middle, .limit = 1};
        TM_TRY(api_read(c, &q, diag));
        if (q.n == 0 || q.events[0].time >= time)
            high = middle;
        else
            low = middle + 1;
    }
    *ret = low;
    return TM_OK;
}

/* A window of refusals is one event that says how many there were. */
static uint64_t refusals(const struct event_row *v)
{
    json_t *doc = NULL;
    struct diag ignored = {0};
    if (!v->body.n || json_parse(&doc, v->body, BODY_MAX, &ignored) != TM_OK)
        return 1;
    json_int_t n = json_integer_value(json_object_get(doc, "count"));
    json_decref(doc);
    return n > 0 ? (uint64_t)n : 1;
}

/* Which door an event came through; DOOR_COUNT: it doesn't say. */
static size_t door_of(const struct event_row *v)
{
    struct slice s;
    if (!register_event_find(&s, v->body, "door") || s.n < 2)
        return DOOR_COUNT;
    size_t i = 0;
    while (i < DOOR_COUNT && !slice_eq(slice_sub(s, 1, s.n - 2), slice_str(door_names[i])))
        i++;
    return i;
}

static bool is_renewal(const struct event_row *v)
{
    struct slice s;
    return register_event_find(&s, v->body, "renewal") && slice_eq(s, SLICE_LIT("true"));
}

static void count_door(struct activity *a, const struct event_row *v, bool denied, bool renewal)
{
    size_t door = door_of(v);
    if (door == DOOR_COUNT)
        return;
    a->doors[door].denied += denied;
    a->doors[door].issued += !denied;
    a->doors[door].renewed += renewal;
}

/* The house's own, of listeners and responders, nobody asked for at a door. */
static void count_issued(struct activity *a, size_t i, const struct event_row *v)
{
    if (door_of(v) == DOOR_CEREMONY)
        return;
    bool renewal = is_renewal(v);
    a->issued[i]++;
    a->renewed[i] += renewal;
    count_door(a, v, false, renewal);
}

static void count_denied(struct activity *a, size_t i, const struct event_row *v)
{
    a->refused[i]++;
    count_door(a, v, true, false);
}

static void count_event(void *arg, const struct event_row *v)
{
    struct activity *a = arg;
    int64_t at = v->time / 1000 - a->from;
    size_t i = at < 0 ? 0 : (size_t)(at / a->step);
    if (i >= a->n)
        return;
    if (strcmp(v->type, "certificate.issued") == 0)
        count_issued(a, i, v);
    else if (strcmp(v->type, "certificate.revoked") == 0)
        a->revoked[i]++;
    else if (strcmp(v->type, "enrollment.denied") == 0)
        count_denied(a, i, v);
    else if (strcmp(v->type, "enrollment.refused") == 0)
        a->refused[i] += refusals(v);
}

static void put_counts(struct buf *out, const char *key, const uint64_t *v, size_t n)
{
    buf_printf(out, ",\"%s\":[", key);
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s%llu", i ? "," : "", (unsigned long long)v[i]);
    buf_puts(out, "]");
}

static void put_doors(struct buf *out, const struct activity *a)
{
    buf_puts(out, ",\"doors\":[");
    for (size_t i = 0, n = 0; i < DOOR_COUNT; i++) {
        if (a->doors[i].issued + a->doors[i].denied == 0)
            continue;
        buf_printf(out, "%s{\"door\":\"%s\"", n++ ? "," : "", door_names[i]);
        api_put_int(out, "issued", (int64_t)a->doors[i].issued);
        api_put_int(out, "renewed", (int64_t)a->doors[i].renewed);
        api_put_int(out, "denied", (int64_t)a->doors[i].denied);
        buf_putc(out, '}');
    }
    buf_puts(out, "]");
}

static tm_err put_activity(struct api_call *c, uint64_t size, int64_t days, int64_t now, struct diag *diag)
{
    struct activity a = {0};
    if (!shape_of(&a, days, now))
        return diag_fail(diag, TM_EINVAL, NULL, "days", "must be 1, 7, 30 or 90");
    uint64_t floor = size > ACTIVITY_EVENTS ? size - ACTIVITY_EVENTS : 0, from = 0;
    TM_TRY(first_since(&from, c, size, a.from * 1000, diag));
    bool whole = from >= floor;
    TM_TRY(api_each_event(c, c->tenant->id, NULL, whole ? from : floor, count_event, &a, diag));
    buf_puts(&c->out, ",\"activity\":{\"step\":");
    buf_printf(&c->out, "%lld", (long long)a.step);
    api_put_int(&c->out, "from", a.from);
    api_put_bool(&c->out, "whole", whole);
    put_counts(&c->out, "issued", a.issued, a.n);
    put_counts(&c->out, "revoked", a.revoked, a.n);
    put_counts(&c->out, "refused", a.refused, a.n);
    put_counts(&c->out, "renewed", a.renewed, a.n);
    buf_puts(&c->out, "}");
    put_doors(&c->out, &a);
    return TM_OK;
}

/* From a revocation until what is published says so, the last few times. */
static void put_latency(struct api_call *c)
{
    struct reach_latency took[REACH_MODELS];
    reach_latency(took, c->house, c->tenant->id);
    buf_puts(&c->out, ",\"latency\":[");
    for (int m = 0, n = 0; m < REACH_MODELS; m++) {
        if (took[m].n == 0)
            continue;
        buf_printf(&c->out, "%s{\"model\":\"%s\"", n++ ? "," : "", reach_model_names[m]);
        api_put_int(&c->out, "count", (int64_t)took[m].n);
        api_put_int(&c->out, "median_ms", took[m].median_ms);
        api_put_int(&c->out, "worst_ms", took[m].worst_ms);
        buf_putc(&c->out, '}');
    }
    buf_puts(&c->out, "]");
}

static tm_err summary(struct api_call *c, struct diag *diag)
{
    int64_t days, now = clock_now();
    uint64_t size;
    TM_TRY(api_query_int(&days, c, "days", 7, 90, diag));
    TM_TRY(log_size(&size, c, diag));
    buf_puts(&c->out, "{");
    TM_TRY(put_pending(c, diag));
    TM_TRY(put_expiring(c, now, diag));
    TM_TRY(put_recent(c, size, diag));
    TM_TRY(put_activity(c, size, days, now, diag));
    put_latency(c);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field who_fields[] = {
    {"principal", "string", NULL, "admin"},
    {"roles", "[]auditor|operator|owner|admin|house-admin", "in this tenant", NULL},
    {"owner_of", "string", "role owner: whose devices", ""},
    {"tenant", "string", NULL, "default"},
    {"version", "string", "of the server", "0.1.0"},
    {"tenants", "[]TenantName", "those that it may look at", NULL},
    {0},
};
static const struct api_field tenant_name_fields[] = {
    {"name", "string", NULL, "default"},
    {"title", "string", NULL, ""},
    {0},
};
static const struct api_field summary_fields[] = {
    {"pending", "SummaryCount", "requests that wait for a person", NULL},
    {"expiring", "SummaryExpiring", NULL, NULL},
    {"recent", "[]RecentEvent", "newest first", NULL},
    {"activity", "SummaryActivity", NULL, NULL},
    {"doors", "[]SummaryDoor", "of the same span", NULL},
    {"latency", "[]SummaryLatency",
     "from a revocation until what is published says so, by model, since the server started", NULL},
    {0},
};
static const struct api_field count_fields[] = {
    {"count", "integer", NULL, "2"},
    {"more", "boolean", "the count stopped here", "false"},
    {0},
};
static const struct api_field expiring_fields[] = {
    {"days", "integer", "within so many", "30"},
    {"count", "integer", NULL, "1"},
    {"more", "boolean", "the count stopped here", "false"},
    {"items", "[]Certificate", "the first of them", NULL},
    {0},
};
static const struct api_field recent_fields[] = {
    {"pos", "integer", NULL, "42"},
    {"time", "time?", NULL, NULL},
    {"type", "string", NULL, "certificate.issued"},
    {"subject", "string", NULL, "certificate/" API_SERIAL_EXAMPLE},
    {"body", "object?", "null where it was erased", NULL},
    {0},
};
static const struct api_field activity_fields[] = {
    {"step", "integer", "seconds that one number stands for", "21600"},
    {"from", "integer", "seconds since 1970 at which the first begins", "1795000000"},
    {"whole", "boolean", "false: only the newest events were counted", "true"},
    {"issued", "[]integer", "without what the house made for itself", NULL},
    {"revoked", "[]integer", NULL, NULL},
    {"refused", "[]integer", NULL, NULL},
    {"renewed", "[]integer", "of those issued", NULL},
    {0},
};
static const struct api_field door_fields[] = {
    {"door", "string", "what the house makes for itself comes through none", "acme"},
    {"issued", "integer", NULL, "40"},
    {"renewed", "integer", "of those issued", "31"},
    {"denied", "integer", NULL, "2"},
    {0},
};
static const struct api_field latency_fields[] = {
    {"model", "crl|shard|delta|ocsp|filter|expiry", NULL, "crl"},
    {"count", "integer", "the last so many", "16"},
    {"median_ms", "integer", NULL, "40"},
    {"worst_ms", "integer", NULL, "210"},
    {0},
};
const struct api_schema summary_api_schemas[] = {
    {"WhoAmI", NULL, who_fields, NULL, NULL},
    {"TenantName", NULL, tenant_name_fields, NULL, NULL},
    {"Summary", NULL, summary_fields, NULL, NULL},
    {"SummaryCount", NULL, count_fields, NULL, NULL},
    {"SummaryExpiring", NULL, expiring_fields, NULL, NULL},
    {"RecentEvent", NULL, recent_fields, NULL, NULL},
    {"SummaryActivity", NULL, activity_fields, NULL, NULL},
    {"SummaryDoor", NULL, door_fields, NULL, NULL},
    {"SummaryLatency", NULL, latency_fields, NULL, NULL},
    {0},
};
static const struct api_field summary_query[] = {
    {"days", "integer", "of activity: 1, 7, 30 or 90; 7 when left out", "7"},
    {0},
};

const struct api_route summary_api_routes[] = {
    {HTTP_M_GET, "/api/v1/whoami", 0, who_am_i, 0, "whoAmI",
     "Who the caller is in this tenant, with which roles, and the tenants it may look at", "system", NULL,
     "WhoAmI"},
    {HTTP_M_GET, "/api/v1/summary", API_READERS, summary, 0, "getSummary",
     "What waits, what expires within 30 days, what happened lately; ?days=1, 7, 30 or 90 of activity",
     "system", NULL, "Summary", 0, summary_query},
    {0},
};
