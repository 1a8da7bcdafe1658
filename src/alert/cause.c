/* What alerts are about: findings, refused enrollments, and the ends of lists, responders and CAs. */
#include "alert/impl.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/house.h"
#include "register/register.h"
#include "status/crl.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    DAY = 86400,
    PAGE = 200,
    ARENA = 256 << 20,
    IDS_MAX = 1 << 20,
    REFUSAL_WINDOW = 3600, /* seconds that are looked back */
    REFUSALS = 20,         /* in that time, at one endpoint */
    EVENTS_PAGE = 1000,
    EVENTS_PAGES = 50,
    ENDPOINTS_MAX = 256,
    CA_WARN = 180 * DAY,
    RESPONDER_WARN = 3 * DAY,
};

struct look {
    struct house *h;
    tenant_id tenant;
    struct notifications to;
    struct arena *a; /* of the whole look */
    struct arena *page;
    char (*ids)[FINDING_ID_LEN + 1]; /* of what is true now, sorted at the end */
    size_t n, cap;
    size_t opened;
    struct diag *diag;
};

/* ---- one ---- */

static tm_err event(struct effect *ret, struct look *k, const struct alert *x, const char *type)
{
    struct slice body;
    const char *about = arena_printf(k->page, "alert/%s", x->id);
    struct event_field fields[] = {
        {.key = "about", .kind = EVENT_STR, .s = slice_str(x->subject)},
        {.key = "cause", .kind = EVENT_STR, .s = slice_str(x->cause)},
        {.key = "owner", .kind = EVENT_STR, .s = slice_str(x->owner)},
        {.key = "severity", .kind = EVENT_STR, .s = slice_str(finding_severity_names[x->severity])},
        {.key = "stage", .kind = EVENT_INT, .i = x->stage},
        {0},
    };
    TM_TRY(about ? register_event_body(&body, k->page, fields) : TM_ENOMEM);
    return register_event_effect(ret, k->page, k->tenant, type, about, body, x->changed_ms);
}

/* Its delivery, or in a flood of mail the one that says so, or none. */
static tm_err make(struct effect *effects, size_t *n, struct look *k, const struct notification_doc *d,
                   const struct alert *x, const char *key)
{
    struct alert many = *x;
    enum notify_room room = notification_room(k->tenant, d, x->owner, x->changed_ms / 1000);
    if (room == NOTIFY_HUSH)
        return TM_OK;
    many.title = arena_printf(k->page, "more than %d alerts in an hour", NOTIFY_HOURLY);
    many.text =
        "Further ones of this hour are not sent one by one: `touchmark alert list` shows what is open.";
    if (!many.title)
        return TM_ENOMEM;
    return delivery_make(&effects[(*n)++], k->page, k->tenant, d, room == NOTIFY_TELL ? x : &many, 1,
                         x->owner, key);
}

/* The alert, its deliveries and its event: all or nothing. A delivery that exists has been made by who was faster. */
static tm_err tell(struct look *k, struct alert *x, bool fresh)
{
    struct effect *effects = arena_calloc(k->page, k->to.n + 2, sizeof *effects);
    const char *key = arena_printf(k->page, "%s/%d/%" PRId64, x->id, x->stage, x->opened_ms);
    size_t n = 0;
    if (!effects || !key)
        return TM_ENOMEM;
    TM_TRY(alert_effect(&effects[n++], k->page, x));
    TM_TRY(event(&effects[n++], k, x, fresh ? "alert.opened" : "alert.worsened"));
    for (size_t i = 0; i < k->to.n; i++)
        if (k->to.v[i].when == NOTIFY_AT_ONCE && notification_wants(&k->to.v[i], x))
            TM_TRY(make(effects, &n, k, &k->to.v[i], x, key));
    tm_err e = house_commit(k->h, effects, n, k->diag);
    k->opened += e == TM_OK && fresh;
    return e;
}

/* It is somebody else's now: who was not told of it is. */
static tm_err give(struct look *k, struct alert *x, const char *owner)
{
    struct effect *effects = arena_calloc(k->page, k->to.n + 2, sizeof *effects);
    const char *before = x->owner;
    size_t n = 0;
    x->owner = owner;
    x->changed_ms = clock_now_ms();
    const char *key =
        arena_printf(k->page, "%s/%d/%" PRId64 "/%" PRId64, x->id, x->stage, x->opened_ms, x->changed_ms);
    if (!effects || !key)
        return TM_ENOMEM;
    TM_TRY(alert_effect(&effects[n++], k->page, x));
    TM_TRY(event(&effects[n++], k, x, "alert.reassigned"));
    for (size_t i = 0; i < k->to.n && x->status == ALERT_OPEN; i++)
        if (k->to.v[i].when == NOTIFY_AT_ONCE && notification_tells_others(&k->to.v[i], x, before))
            TM_TRY(make(effects, &n, k, &k->to.v[i], x, key));
    return house_commit(k->h, effects, n, k->diag);
}

/* `x` has cause, subject, owner, severity, stage, title, text and finding. */
static tm_err is_true(struct look *k, struct alert *x)
{
    struct alert old;
    char id[FINDING_ID_LEN + 1];
    struct diag unknown = {0};
    TM_TRY(alert_id(id, x->cause, x->subject));
    if (k->n == k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 256;
        void *v = cap <= IDS_MAX ? realloc(k->ids, cap * sizeof *k->ids) : NULL;
        if (!v)
            return TM_ENOMEM;
        k->ids = v;
        k->cap = cap;
    }
    memcpy(k->ids[k->n++], id, sizeof id);
    tm_err e = alert_get(&old, k->page, k->h, k->tenant, id, &unknown);
    if (e != TM_OK && e != TM_ENOTFOUND)
        return *k->diag = unknown, e;
    bool fresh = e == TM_ENOTFOUND || old.status == ALERT_RESOLVED;
    if (!fresh && x->stage <= old.stage)
        return strcmp(old.owner, x->owner) == 0 ? TM_OK : give(k, &old, x->owner);
    x->tenant = k->tenant;
    x->id = arena_strdup(k->page, id);
    x->version = e == TM_OK ? old.version : 0;
    x->changed_ms = clock_now_ms();
    x->opened_ms = fresh ? x->changed_ms : old.opened_ms;
    x->by = x->comment = "";
    x->status = ALERT_OPEN;
    return x->id ? tell(k, x, fresh) : TM_ENOMEM;
}

/* ---- findings ---- */

static bool from_finding(struct alert *x, struct arena *a, const struct finding *f)
{
    *x = (struct alert){
        .subject = f->subject, .owner = f->owner, .severity = f->severity, .finding = f->id, .text = f->why};
    if (strcmp(f->rule, "expiring.unrenewed") == 0) {
        int64_t left = (f->not_after - clock_now()) / DAY;
        x->cause = "expiring";
        x->stage = left < 1 ? 4 : left < 7 ? 3 : left < 15 ? 2 : 1;
        x->severity = x->stage == 4 ? FINDING_CRITICAL : x->stage == 3 ? FINDING_HIGH : FINDING_MEDIUM;
        x->title = arena_printf(a, "%s ends %s, and nothing renews it", f->name,
                                left < 1 ? "within a day" : arena_printf(a, "in %" PRId64 " days", left));
    } else if (strcmp(f->rule, "renewal.overdue") == 0) {
        x->cause = "renewal-overdue";
        x->stage = (int)f->severity;
        x->title = arena_printf(a, "%s: its renewal is overdue", f->name);
    } else if (f->severity >= FINDING_HIGH) {
        const struct finding_rule *r = finding_rule_find(f->rule);
        x->cause = arena_printf(a, "finding:%s", f->rule);
        x->stage = (int)f->severity;
        x->title = arena_printf(a, "%s: %s", f->name, r ? r->title : f->rule);
    } else {
        return false;
    }
    return x->cause && x->title;
}

static tm_err look_at_findings(struct look *k)
{
    /* from_finding() makes none of what is less. */
    const struct finding_filter w = {.status = FINDING_OPEN, .least = FINDING_MEDIUM};
    char after[FINDING_ID_LEN + 1] = "";
    for (;;) {
        struct finding *v;
        const char *next;
        size_t n;
        arena_reset(k->page);
        TM_TRY(finding_list(&v, &n, &next, k->page, k->h, k->tenant, &w, after, PAGE, k->diag));
        for (size_t i = 0; i < n; i++) {
            struct alert x;
            if (from_finding(&x, k->page, &v[i]))
                TM_TRY(is_true(k, &x));
        }
        if (!next[0] || strlen(next) >= sizeof after)
            return TM_OK;
        memcpy(after, next, strlen(next) + 1);
    }
}

/* ---- enrollments ---- */

struct refused {
    char endpoint[64];
    int64_t n;
};

static int64_t number_of(struct slice body, const char *key)
{
    struct slice v;
    char text[24] = "";
    if (!register_event_find(&v, body, key) || v.n >= sizeof text)
        return 0;
    memcpy(text, v.p, v.n);
    return strtoll(text, NULL, 10);
}

static void count(struct refused *v, size_t *n, const struct event_row *e)
{
    struct slice name;
    int64_t times = number_of(e->body, "count");
    if (!register_event_find(&name, e->body, "endpoint") || name.n < 3 || name.n - 2 >= sizeof v->endpoint)
        return;
    size_t i = 0;
    while (i < *n &&
           !(strlen(v[i].endpoint) == name.n - 2 && memcmp(v[i].endpoint, name.p + 1, name.n - 2) == 0))
        i++;
    if (i == ENDPOINTS_MAX)
        return;
    if (i == *n) {
        memset(&v[(*n)++], 0, sizeof *v);
        memcpy(v[i].endpoint, name.p + 1, name.n - 2);
    }
    v[i].n += times > 0 ? times : 1;
}

/* The register from the newest event back to an hour ago, as far as one look may go. */
static tm_err look_at_refusals(struct look *k)
{
    struct refused *v = arena_calloc(k->a, ENDPOINTS_MAX, sizeof *v);
    struct store_read size = {.kind = READ_LOG_SIZE, .tenant = k->tenant, .arena = k->a};
    int64_t from = clock_now_ms() - REFUSAL_WINDOW * 1000ll;
    size_t n = 0;
    if (!v)
        return TM_ENOMEM;
    if (store_read_now(k->h->store, &size) != TM_OK)
        return *k->diag = size.diag, size.err != TM_OK ? size.err : TM_EIO;
    uint64_t end = size.count;
    for (int page = 0; page < EVENTS_PAGES && end; page++) {
        uint64_t begin = end > EVENTS_PAGE ? end - EVENTS_PAGE : 0;
        struct store_read q = {.kind = READ_EVENTS,
                               .tenant = k->tenant,
                               .arena = k->page,
                               .pos_from = begin,
                               .limit = (size_t)(end - begin)};
        bool older = false;
        arena_reset(k->page);
        if (store_read_now(k->h->store, &q) != TM_OK)
            break;
        for (size_t i = 0; i < q.n; i++) {
            const struct event_row *e = &q.events[i];
            older |= e->time < from;
            if (e->time >= from &&
                (strcmp(e->type, "enrollment.refused") == 0 || strcmp(e->type, "enrollment.denied") == 0))
                count(v, &n, e);
        }
        if (older)
            break;
        end = begin;
    }
    arena_reset(k->page);
    for (size_t i = 0; i < n; i++) {
        if (v[i].n < REFUSALS)
            continue;
        struct alert x = {
            .cause = "enrollment-failing", .owner = "", .severity = FINDING_HIGH, .stage = 1, .finding = ""};
        x.subject = arena_printf(k->page, "endpoint/%s", v[i].endpoint);
        x.title = arena_printf(k->page, "endpoint %s refuses its clients", v[i].endpoint);
        x.text = arena_printf(
            k->page,
            "%" PRId64
            " requests were refused in the last hour; `touchmark register show --type enrollment` has the rules that did",
            v[i].n);
        TM_TRY(x.subject && x.title && x.text ? is_true(k, &x) : TM_ENOMEM);
    }
    return TM_OK;
}

/* ---- ends ---- */

static const char *day_of(struct arena *a, int64_t t)
{
    char text[21];
    clock_format_rfc3339(text, t);
    return arena_strndup(a, text, 10);
}

static tm_err ends(struct look *k, const struct authority *x, const char *cause,
                   enum finding_severity severity, int stage, int64_t at, const char *what,
                   const char *remedy)
{
    struct alert v = {.cause = cause, .owner = "", .severity = severity, .stage = stage, .finding = ""};
    v.subject = arena_printf(k->page, "authority/%s", x->name);
    v.title = arena_printf(k->page, "%s of authority %s %s on %s", what, x->name,
                           at <= clock_now() ? "ended" : "ends", day_of(k->page, at));
    v.text = remedy;
    return v.subject && v.title ? is_true(k, &v) : TM_ENOMEM;
}

static tm_err look_at_authority(struct look *k, const struct authority *x, int64_t now)
{
    struct crl_row crl;
    struct crl_series series;
    struct diag none = {0};
    int64_t left = x->cert.not_after - now;
    if (x->disabled || x->revoked)
        return TM_OK;
    if (x->cert.not_after < TM_TIME_NEVER && left < CA_WARN && !x->successor[0])
        TM_TRY(ends(k, x, "ca-ending", left < 30 * DAY ? FINDING_CRITICAL : FINDING_HIGH,
                    left < 30 * DAY ? 2 : 1, x->cert.not_after, "the CA certificate",
                    "Make its successor: what it issues ends with it. See docs/howto-offline-root.md."));
    if (x->offline && crl_series_state(&series, k->h, x, &none) == TM_OK &&
        series.ends - now < CRL_SERIES_WARN) {
        bool over = series.ends - now < 7 * DAY;
        TM_TRY(ends(
            k, x, "crl-ending", over ? FINDING_CRITICAL : FINDING_HIGH, over ? 2 : 1, series.ends,
            "the pre-signed lists",
            "Sign further ones with the offline bundle: `touchmark ca offline crls`, then `touchmark ca import-crls`."));
    } else if (!x->offline && crl_current(&crl, k->page, k->h, x) == TM_OK) {
        int64_t life = crl.next_update - crl.this_update, rest = crl.next_update - now;
        if (life > 0 && rest < life / 10)
            TM_TRY(ends(
                k, x, "crl-ending", FINDING_CRITICAL, rest < 0 ? 2 : 1, crl.next_update,
                "the published revocation list",
                "A new one should have been published by itself: look at the jobs crl.due and crl.publish in `touchmark status`."));
    }
    if (x->ocsp.key[0] && x->ocsp.cert.der.n && x->ocsp.cert.not_after - now < RESPONDER_WARN)
        TM_TRY(ends(
            k, x, "ocsp-ending", FINDING_CRITICAL, 1, x->ocsp.cert.not_after,
            "the OCSP responder's certificate",
            "The house renews it by itself and could not: look at the job ocsp.responder in `touchmark status`."));
    return TM_OK;
}

static tm_err look_at_authorities(struct look *k)
{
    struct catalog *c = house_catalog(k->h);
    const struct authority *const *v;
    size_t n = catalog_authorities(c, &v);
    tm_err e = TM_OK;
    for (size_t i = 0; i < n && e == TM_OK; i++) {
        arena_reset(k->page);
        if (v[i]->tenant == k->tenant)
            e = look_at_authority(k, v[i], clock_now());
    }
    catalog_unref(c);
    return e;
}

/* ---- what is over ---- */

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, FINDING_ID_LEN);
}

static tm_err resolve_those_of(struct look *k, enum alert_status status)
{
    char after[FINDING_ID_LEN + 1] = "";
    for (;;) {
        struct alert *v;
        const char *next;
        size_t n;
        arena_reset(k->page);
        TM_TRY(alert_list(&v, &n, &next, k->page, k->h, k->tenant, status, after, PAGE, k->diag));
        for (size_t i = 0; i < n; i++) {
            struct effect effects[2];
            if (k->n && bsearch(v[i].id, k->ids, k->n, sizeof *k->ids, compare))
                continue;
            v[i].status = ALERT_RESOLVED;
            v[i].resolved_ms = v[i].changed_ms = clock_now_ms();
            TM_TRY(alert_effect(&effects[0], k->page, &v[i]));
            TM_TRY(event(&effects[1], k, &v[i], "alert.resolved"));
            TM_TRY(house_commit(k->h, effects, 2, k->diag));
        }
        if (!next[0] || strlen(next) >= sizeof after)
            return TM_OK;
        memcpy(after, next, strlen(next) + 1);
    }
}

tm_err alert_look(struct house *h, tenant_id tenant, size_t *ret_opened, struct diag *diag)
{
    struct look k = {.h = h, .tenant = tenant, .diag = diag};
    k.a = arena_new(0);
    k.page = arena_new(ARENA);
    tm_err e = k.a && k.page ? notifications_read(&k.to, k.a, h, tenant, diag) : TM_ENOMEM;
    if (e == TM_OK)
        e = look_at_findings(&k);
    if (e == TM_OK)
        e = look_at_refusals(&k);
    if (e == TM_OK)
        e = look_at_authorities(&k);
    if (k.n)
        qsort(k.ids, k.n, sizeof *k.ids, compare);
    if (e == TM_OK)
        e = resolve_those_of(&k, ALERT_OPEN);
    if (e == TM_OK)
        e = resolve_those_of(&k, ALERT_ACKED);
    free(k.ids);
    arena_free(k.page);
    arena_free(k.a);
    if (ret_opened)
        *ret_opened = k.opened;
    return e;
}
