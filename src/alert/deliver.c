/* Deliveries: sent with retries until they are through or given up; digests; a test. */
#include "alert/impl.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "http/metrics.h"
#include "issue/house.h"
#include "register/register.h"
#include <inttypes.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
    DUE = 20,
    TRIES_MAX = 12,
    BACK_OFF = 30,
    BACK_OFF_MAX = 3600,
    STATE_MAX = 1 << 20,
    DIGEST_MAX = 5000,
    HELD = 64,
    HELD_MAX = 300,
    SLOW_NS = 2000000000,
    HOUR = 3600,
    DAY = 86400
};
enum delivery_status { DELIVERY_WAITS = 1, DELIVERY_SENT, DELIVERY_FAILED };

static struct metric deliveries = {.name = "alert_deliveries_total",
                                   .help =
                                       "Messages about alerts by channel and outcome: sent, retried, failed.",
                                   .kind = METRIC_COUNTER,
                                   .labels = {"channel", "outcome"}};
struct metric *const delivery_metrics[] = {&deliveries, NULL};

struct state {
    const char *subject, *text, *json, *why;
    struct json_strings to;
    int severity;
    int64_t tries;
};
#define S(m, k, ...) JSON_FIELD(struct state, m, k, __VA_ARGS__)
static const struct json_field schema[] = {
    S(to, JSON_K_STRINGS),
    S(subject, JSON_K_STRING, .def = ""),
    S(text, JSON_K_STRING, .max = 512 << 10, .def = ""),
    S(json, JSON_K_STRING, .max = 512 << 10, .def = ""),
    S(why, JSON_K_STRING, .def = ""),
    S(severity, JSON_K_ENUM, .names = finding_severity_names, .def = "medium"),
    S(tries, JSON_K_INT),
    {0},
};

static tm_err send_by(struct arena *a, struct house *h, tenant_id tenant, const struct notification_doc *d,
                      const struct message *m, struct diag *diag)
{
    char *secret = NULL;
    tm_err e = d->channel == NOTIFY_SYSLOG ? TM_OK : secret_read(&secret, a, h, tenant, d, diag);
    if (e == TM_OK)
        e = d->channel == NOTIFY_MAIL      ? mail_send(a, d, m, secret, diag)
            : d->channel == NOTIFY_WEBHOOK ? webhook_send(a, d, m, secret, diag)
                                           : syslog_send(a, d, m, diag);
    if (secret)
        OPENSSL_cleanse(secret, strlen(secret));
    return e;
}

/* ---- a delivery ---- */

static tm_err state_put(struct slice *ret, struct arena *a, const struct state *s)
{
    struct buf b;
    const struct {
        const char *key, *value;
    } texts[] = {{"subject", s->subject},
                 {"text", s->text},
                 {"json", s->json},
                 {"why", s->why},
                 {"severity", finding_severity_names[s->severity]}};
    buf_init(&b, STATE_MAX);
    buf_printf(&b, "{\"tries\":%" PRId64 ",\"to\":[", s->tries);
    for (size_t i = 0; i < s->to.n; i++) {
        buf_puts(&b, i ? "," : "");
        buf_put_json_string(&b, slice_str(s->to.v[i]));
    }
    buf_putc(&b, ']');
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        buf_printf(&b, ",\"%s\":", texts[i].key);
        buf_put_json_string(&b, slice_str(texts[i].value));
    }
    buf_putc(&b, '}');
    tm_err e = buf_err(&b) == TM_OK ? arena_copy(ret, a, buf_slice(&b)) : buf_err(&b);
    buf_done(&b);
    return e;
}

static tm_err put(struct house *h, struct arena *a, const struct object_row *row, enum delivery_status status,
                  int64_t due_s, const struct state *s, struct diag *diag)
{
    struct effect e = {.kind = EFFECT_OBJECT_PUT, .tenant = row->tenant, .expected_version = row->version};
    e.u.object.row = *row;
    e.u.object.row.status = (int)status;
    e.u.object.row.due_at = due_s * 1000;
    TM_TRY(state_put(&e.u.object.row.state, a, s));
    return house_commit(h, &e, 1, diag);
}

static int64_t back_off(int64_t tries)
{
    int64_t wait = BACK_OFF;
    for (int64_t i = 1; i < tries && wait < BACK_OFF_MAX; i++)
        wait *= 2;
    return wait < BACK_OFF_MAX ? wait : BACK_OFF_MAX;
}

/* ---- those that are slow to fail ---- */

/* One thread sends for everybody: a server that does not answer is left alone for a while, longer each time, instead of being waited for with every
 * message that it should get. */
static struct {
    pthread_mutex_t lock;
    struct {
        tenant_id tenant;
        char name[64];
        int64_t times, until; /* until 0: free */
    } v[HELD];
} held = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Its place; `make`: one of its own, that of the one that is free soonest. HELD: none. Under the lock. */
static size_t held_place(tenant_id tenant, const char *name, bool make)
{
    size_t soonest = 0;
    for (size_t i = 0; i < HELD; i++) {
        if (held.v[i].until && held.v[i].tenant == tenant && strcmp(held.v[i].name, name) == 0)
            return i;
        if (held.v[i].until < held.v[soonest].until)
            soonest = i;
    }
    if (!make)
        return HELD;
    memset(&held.v[soonest], 0, sizeof held.v[soonest]);
    held.v[soonest].tenant = tenant;
    snprintf(held.v[soonest].name, sizeof held.v[soonest].name, "%s", name);
    return soonest;
}

static int64_t held_until(tenant_id tenant, const char *name)
{
    pthread_mutex_lock(&held.lock);
    size_t i = held_place(tenant, name, false);
    int64_t until = i < HELD ? held.v[i].until : 0;
    pthread_mutex_unlock(&held.lock);
    return until;
}

static void held_note(tenant_id tenant, const char *name, bool hold)
{
    pthread_mutex_lock(&held.lock);
    size_t i = held_place(tenant, name, hold);
    if (i < HELD && hold) {
        int64_t wait = back_off(++held.v[i].times);
        held.v[i].until = clock_now() + (wait < HELD_MAX ? wait : HELD_MAX);
    } else if (i < HELD) {
        held.v[i].until = 0;
    }
    pthread_mutex_unlock(&held.lock);
}

/* It went, or it failed: was that slow? */
static tm_err send_and_note(struct arena *a, struct house *h, tenant_id tenant,
                            const struct notification_doc *d, const struct message *m, struct diag *diag)
{
    uint64_t begun = clock_mono_ns();
    tm_err e = send_by(a, h, tenant, d, m, diag);
    held_note(tenant, d->name, e != TM_OK && clock_mono_ns() - begun > SLOW_NS);
    return e;
}

/* One that can't be read any more is given up: it must not stand before all others for ever. */
static tm_err read_state(struct state *ret, struct arena *a, const struct object_row *row)
{
    json_t *doc = NULL;
    struct diag why = {0};
    tm_err e = json_parse(&doc, row->state, STATE_MAX, &why);
    if (e == TM_OK)
        e = json_bind(ret, schema, doc, "", a, &why);
    json_decref(doc);
    if (e == TM_OK || e == TM_ENOMEM)
        return e;
    *ret = (struct state){.subject = "", .text = "", .json = "", .why = "it can't be read"};
    return TM_ECORRUPT;
}

/* Its notification may be gone or off by now, and its maintenance may have begun. */
static tm_err deliver(struct house *h, struct arena *a, const struct object_row *row, struct diag *diag)
{
    struct notification_doc d;
    struct state s = {0};
    struct diag why = {0};
    int64_t now = clock_now();
    tm_err e = read_state(&s, a, row);
    if (e == TM_ECORRUPT)
        return put(h, a, row, DELIVERY_FAILED, 0, &s, diag);
    TM_TRY(e);
    e = notification_read(&d, a, h, row->tenant, row->owner, &why);
    if (tm_err_class(e) == TM_CLASS_CALLER || (e == TM_OK && d.disabled)) {
        s.why = "its Notification is gone, disabled, or of another version";
        return put(h, a, row, DELIVERY_FAILED, 0, &s, diag);
    }
    TM_TRY(e);
    int64_t free_at = notification_free_at(&d, now), answers_at = held_until(row->tenant, d.name);
    free_at = free_at > answers_at ? free_at : answers_at;
    if (free_at > now)
        return put(h, a, row, DELIVERY_WAITS, free_at, &s, diag);
    const char *channel = notify_channel_names[d.channel];
    struct message m = {.id = row->id,
                        .subject = s.subject,
                        .text = s.text,
                        .json = s.json,
                        .severity = (enum finding_severity)s.severity,
                        .to = s.to};
    e = send_and_note(a, h, row->tenant, &d, &m, &why);
    s.tries++;
    if (e == TM_OK) {
        s.why = "";
        metric_add(&deliveries, METRIC_LABELS(channel, "sent"), 1);
        return put(h, a, row, DELIVERY_SENT, 0, &s, diag);
    }
    bool over = s.tries >= TRIES_MAX;
    s.why = why.message[0] ? why.message : tm_err_name(e);
    metric_add(&deliveries, METRIC_LABELS(channel, over ? "failed" : "retried"), 1);
    log_error(NULL, over ? "alert.undelivered" : "alert.retry", LOG_S("notification", d.name),
              LOG_S("delivery", row->id), LOG_I("tries", s.tries), LOG_S("why", s.why));
    return put(h, a, row, over ? DELIVERY_FAILED : DELIVERY_WAITS, over ? 0 : now + back_off(s.tries), &s,
               diag);
}

static tm_err any_waits(bool *ret, struct house *h, struct arena *a, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECTS_DUE,
                           .arena = a,
                           .object_kind = OBJECT_ALERT_DELIVERY,
                           .window_start = INT64_MAX,
                           .limit = 1};
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK)
        *diag = q.diag;
    *ret = e == TM_OK && q.n;
    return e;
}

tm_err alert_send_due(struct house *h, bool *ret_more, bool *ret_wait, struct diag *diag)
{
    struct arena *a = arena_new(64 << 20);
    struct store_read q = {.kind = READ_OBJECTS_DUE,
                           .arena = a,
                           .object_kind = OBJECT_ALERT_DELIVERY,
                           .window_start = clock_now_ms(),
                           .limit = DUE};
    tm_err e = a ? store_read_now(h->store, &q) : TM_ENOMEM;
    if (e != TM_OK && a)
        *diag = q.diag;
    *ret_more = e == TM_OK && q.more && q.n;
    for (size_t i = 0; e == TM_OK && i < q.n; i++) {
        struct store_read one = {.kind = READ_OBJECT,
                                 .tenant = q.objects[i].tenant,
                                 .arena = a,
                                 .object_kind = OBJECT_ALERT_DELIVERY,
                                 .name = q.objects[i].id};
        e = store_read_now(h->store, &one);
        if (e == TM_OK && one.objects[0].status == DELIVERY_WAITS)
            e = deliver(h, a, &one.objects[0], diag);
        if (e == TM_ENOTFOUND || e == TM_ECONFLICT)
            e = TM_OK;
    }
    if (e == TM_OK)
        e = any_waits(ret_wait, h, a, diag);
    arena_free(a);
    return e;
}

/* ---- digests ---- */

/* The last time that a digest was due, unix seconds. */
static int64_t digest_due(const struct notification_doc *d, int64_t now)
{
    int64_t at = now / DAY * DAY + d->hour * HOUR;
    if (at > now)
        at -= DAY;
    if (d->when == NOTIFY_WEEKLY) /* 1970-01-01 was a Thursday */
        while ((at / DAY + 3) % 7 + 1 != d->weekday)
            at -= DAY;
    return at;
}

static tm_err last_digest(int64_t *ret, struct arena *a, struct house *h, tenant_id tenant, const char *name,
                          struct diag *diag)
{
    struct store_read q = {.kind = READ_META, .tenant = tenant, .arena = a, .name = name};
    tm_err e = store_read_now(h->store, &q);
    *ret = 0;
    if (e == TM_OK && q.value.n == sizeof *ret)
        memcpy(ret, q.value.p, sizeof *ret);
    else if (e != TM_OK && e != TM_ENOTFOUND)
        *diag = q.diag;
    return e == TM_ENOTFOUND ? TM_OK : e;
}

static tm_err digest(struct house *h, struct arena *a, tenant_id tenant, const struct notification_doc *d,
                     const struct alert *all, size_t n, struct diag *diag)
{
    const char *name = arena_printf(a, "alert.digest/%u/%s", (unsigned)tenant, d->name);
    int64_t due = digest_due(d, clock_now()), last;
    struct effect *effects = arena_calloc(a, n + 1, sizeof *effects);
    struct alert *mine = arena_calloc(a, n + 1, sizeof *mine);
    bool *taken = arena_calloc(a, n + 1, sizeof *taken);
    size_t k = 0;
    if (!name || !effects || !mine || !taken)
        return TM_ENOMEM;
    TM_TRY(last_digest(&last, a, h, tenant, name, diag));
    if (last >= due)
        return TM_OK;
    for (size_t i = 0; i < n && last; i++) {
        size_t m = 0;
        if (taken[i] || !notification_wants(d, &all[i]))
            continue;
        for (size_t j = i; j < n; j++)
            if (!taken[j] && notification_wants(d, &all[j]) && strcmp(all[j].owner, all[i].owner) == 0) {
                taken[j] = true;
                mine[m++] = all[j];
            }
        const char *key = arena_printf(a, "digest/%" PRId64 "/%s", due, all[i].owner);
        TM_TRY(key ? delivery_make(&effects[k++], a, tenant, d, mine, m, all[i].owner, key) : TM_ENOMEM);
    }
    /* One that is new begins with the next time. */
    effects[k] = (struct effect){.kind = EFFECT_META_PUT, .tenant = tenant};
    effects[k].u.meta.name = name;
    effects[k].u.meta.value = slice_of(&due, sizeof due);
    return house_commit(h, effects, k + 1, diag);
}

tm_err alert_digests(struct house *h, tenant_id tenant, struct diag *diag)
{
    struct arena *a = arena_new(128 << 20);
    struct notifications to;
    struct alert *v = NULL;
    const char *next;
    size_t n = 0;
    tm_err e = a ? notifications_read(&to, a, h, tenant, diag) : TM_ENOMEM;
    bool any = false;
    for (size_t i = 0; e == TM_OK && i < to.n; i++)
        any |= to.v[i].when != NOTIFY_AT_ONCE;
    if (e == TM_OK && any)
        e = alert_list(&v, &n, &next, a, h, tenant, ALERT_OPEN, "", DIGEST_MAX, diag);
    bool room = e == TM_OK && any;
    for (size_t i = 0; room && i < to.n; i++) { /* each, whatever the others do */
        struct diag why = {0};
        tm_err one = to.v[i].when == NOTIFY_AT_ONCE ? TM_OK : digest(h, a, tenant, &to.v[i], v, n, &why);
        if (one != TM_OK && e == TM_OK) {
            e = one;
            *diag = why;
        }
    }
    arena_free(a);
    return e;
}

/* ---- a test ---- */

tm_err alert_test(struct house *h, tenant_id tenant, const char *notification, const char *by,
                  struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct notification_doc d;
    char id[FINDING_ID_LEN + 1];
    tm_err e = a ? notification_read(&d, a, h, tenant, notification, diag) : TM_ENOMEM;
    if (e == TM_OK) {
        const char *salt = arena_printf(a, "%" PRId64, clock_now_ms());
        const struct notify_owner *owners = d.owners.v;
        struct message m = {
            .id = id,
            .subject = "[Touchmark] a test",
            .text = "This is a test of a Notification. When you read it, alerts will reach you.\n",
            .json = arena_printf(a, "{\"type\":\"test\",\"notification\":\"%s\",\"alerts\":[],\"count\":0}",
                                 d.name),
            .severity = FINDING_INFO,
            .to = d.mail.to.n || !d.owners.n ? d.mail.to : owners[0].to};
        e = salt && m.json ? finding_id(id, d.name, salt) : TM_ENOMEM;
        if (e == TM_OK)
            e = send_and_note(a, h, tenant, &d, &m, diag);
        metric_add(&deliveries,
                   METRIC_LABELS(notify_channel_names[d.channel], e == TM_OK ? "sent" : "failed"), 1);
        struct event_field fields[] = {
            {.key = "by", .kind = EVENT_STR, .s = slice_str(by)},
            {.key = "sent", .kind = EVENT_RAW, .s = e == TM_OK ? SLICE_LIT("true") : SLICE_LIT("false")},
            {0}};
        struct diag unwanted = {0};
        const char *about = arena_printf(a, "notification/%s", d.name);
        if (about)
            TM_IGNORE(house_event(h, tenant, "notification.tested", about, fields, &unwanted));
    }
    arena_free(a);
    return e;
}
