/* Which notifications want an alert, and the deliveries that come of it. */
#include "alert/impl.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "issue/house.h"
#include <pthread.h>
#include <string.h>

enum {
    DOC_MAX = 1 << 20,
    STATE_MAX = 512 << 10,
    TEXT_MAX = 256 << 10,
    LISTED = 500,
    KEEP = 30 * 86400,
    HOUR = 3600,
    RECIPIENTS = 256
};

static tm_err bind_doc(struct notification_doc *ret, struct arena *a, struct slice json, struct diag *diag)
{
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, json, DOC_MAX, diag));
    *ret = (struct notification_doc){.kind = ""};
    tm_err e = json_bind(ret, notification_schema, doc, "", a, diag);
    json_decref(doc);
    return e;
}

tm_err notification_read(struct notification_doc *ret, struct arena *a, struct house *h, tenant_id tenant,
                         const char *name, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_RESOURCE, .tenant = tenant, .arena = a, .name = "Notification", .name2 = name};
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "name", "there is no Notification \"%.63s\"", name);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    return bind_doc(ret, a, q.resources[0].json, diag);
}

tm_err notifications_read(struct notifications *ret, struct arena *a, struct house *h, tenant_id tenant,
                          struct diag *diag)
{
    struct store_read q = {
        .kind = READ_RESOURCES, .tenant = tenant, .arena = a, .name = "Notification", .limit = 1000};
    tm_err e = store_read_now(h->store, &q);
    *ret = (struct notifications){.n = 0};
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    ret->v = arena_calloc(a, q.n + 1, sizeof *ret->v);
    if (!ret->v)
        return TM_ENOMEM;
    for (size_t i = 0; i < q.n; i++) {
        struct diag unwanted = {0};
        /* One that no longer binds stands in nobody's way. */
        if (bind_doc(&ret->v[ret->n], a, q.resources[i].json, &unwanted) == TM_OK && !ret->v[ret->n].disabled)
            ret->n++;
    }
    return TM_OK;
}

static bool named(const struct json_strings *v, const char *text)
{
    for (size_t i = 0; i < v->n; i++) {
        size_t n = strlen(v->v[i]);
        bool rest = n && v->v[i][n - 1] == '*';
        if (rest ? strncmp(v->v[i], text, n - 1) == 0 : strcmp(v->v[i], text) == 0)
            return true;
    }
    return v->n == 0;
}

bool notification_wants(const struct notification_doc *d, const struct alert *x)
{
    return (int)x->severity >= d->filter.severity && named(&d->filter.causes, x->cause) &&
           named(&d->filter.owners, x->owner);
}

int64_t notification_free_at(const struct notification_doc *d, int64_t now)
{
    const struct notify_window *w = d->maintenance.v;
    int64_t at = now;
    for (size_t k = 0; k <= d->maintenance.n; k++) /* windows may follow each other */
        for (size_t i = 0; i < d->maintenance.n; i++)
            if (w[i].from <= at && at < w[i].until)
                at = w[i].until;
    return at;
}

/* ---- messages ---- */

static void put_alert_json(struct buf *b, const struct alert *x)
{
    const struct {
        const char *key, *value;
    } texts[] = {{"cause", x->cause},    {"subject", x->subject},
                 {"owner", x->owner},    {"severity", finding_severity_names[x->severity]},
                 {"title", x->title},    {"text", x->text},
                 {"finding", x->finding}};
    buf_printf(b, "{\"id\":\"%s\"", x->id);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        buf_printf(b, ",\"%s\":", texts[i].key);
        buf_put_json_string(b, slice_str(texts[i].value));
    }
    char at[21];
    clock_format_rfc3339(at, x->opened_ms / 1000);
    buf_printf(b, ",\"opened_at\":\"%s\"}", at);
}

static void put_text(struct buf *b, const struct alert *v, size_t n, const char *owner)
{
    size_t i = 0;
    if (n > 1)
        buf_printf(b, "%zu alerts are open%s%s.\n\n", n, owner[0] ? " for " : "", owner);
    for (; i < n && i < LISTED && b->n < TEXT_MAX / 2; i++) {
        const struct alert *x = &v[i];
        buf_printf(b, "%s: %s\n%s\n", finding_severity_names[x->severity], x->title, x->text);
        buf_printf(b, "Owner: %s\nAlert: %s (touchmark alert show %s)\n", x->owner[0] ? x->owner : "nobody",
                   x->cause, x->id);
        if (x->finding[0])
            buf_printf(b, "Finding: touchmark finding show %s\n", x->finding);
        buf_puts(b, i + 1 < n ? "\n" : "");
    }
    if (i < n)
        buf_printf(b, "… and %zu more: touchmark alert list\n", n - i);
}

static const struct json_strings *recipients(const struct notification_doc *d, const char *owner)
{
    const struct notify_owner *v = d->owners.v;
    for (size_t i = 0; i < d->owners.n; i++)
        if (strcmp(v[i].owner, owner) == 0)
            return &v[i].to;
    return &d->mail.to;
}

static bool same_texts(const struct json_strings *x, const struct json_strings *y)
{
    if (x->n != y->n)
        return false;
    for (size_t i = 0; i < x->n; i++)
        if (strcmp(x->v[i], y->v[i]) != 0)
            return false;
    return true;
}

bool notification_tells_others(const struct notification_doc *d, const struct alert *x, const char *before)
{
    struct alert old = *x;
    old.owner = before;
    return notification_wants(d, x) &&
           (!notification_wants(d, &old) ||
            (d->channel == NOTIFY_MAIL && !same_texts(recipients(d, before), recipients(d, x->owner))));
}

/* ---- floods ---- */

enum notify_room notification_room(tenant_id tenant, const struct notification_doc *d, const char *owner,
                                   int64_t now)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct {
        uint8_t key[SHA256_LEN];
        int64_t hour;
        unsigned n;
    } v[RECIPIENTS];
    uint8_t key[SHA256_LEN];
    size_t place = 0;
    const bool named = recipients(d, owner) != &d->mail.to;
    const struct slice parts[] = {slice_of(&tenant, sizeof tenant), slice_str(d->name), SLICE_LIT("\0"),
                                  slice_str(named ? owner : "")};
    if (d->channel != NOTIFY_MAIL || sha256_many(key, parts, 4) != TM_OK)
        return NOTIFY_TELL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < RECIPIENTS; i++) {
        if (memcmp(v[i].key, key, SHA256_LEN) == 0) {
            place = i;
            break;
        }
        if (v[i].hour < v[place].hour || (v[i].hour == v[place].hour && v[i].n < v[place].n))
            place = i;
    }
    if (memcmp(v[place].key, key, SHA256_LEN) != 0 || v[place].hour != now / HOUR) {
        memcpy(v[place].key, key, SHA256_LEN);
        v[place].hour = now / HOUR;
        v[place].n = 0;
    }
    unsigned n = v[place].n++;
    pthread_mutex_unlock(&lock);
    return n < NOTIFY_HOURLY ? NOTIFY_TELL : n == NOTIFY_HOURLY ? NOTIFY_TELL_MANY : NOTIFY_HUSH;
}

/* {"to":[…],"subject":…,"text":…,"json":…,"severity":…,"tries":0} */
static tm_err put_state(struct buf *b, const struct notification_doc *d, const struct alert *v, size_t n,
                        const char *owner)
{
    const struct json_strings *to = recipients(d, owner);
    struct buf part;
    enum finding_severity worst = FINDING_INFO;
    tm_err e;
    buf_puts(b, "{\"to\":[");
    for (size_t i = 0; d->channel == NOTIFY_MAIL && i < to->n; i++) {
        buf_puts(b, i ? "," : "");
        buf_put_json_string(b, slice_str(to->v[i]));
    }
    buf_puts(b, "],\"subject\":");
    for (size_t i = 0; i < n; i++)
        worst = v[i].severity > worst ? v[i].severity : worst;
    buf_init(&part, TEXT_MAX);
    if (n == 1)
        buf_printf(&part, "[Touchmark] %s: %s", finding_severity_names[worst], v[0].title);
    else
        buf_printf(&part, "[Touchmark] %zu alerts%s%s", n, owner[0] ? " for " : "", owner);
    buf_put_json_string(b, buf_slice(&part));
    buf_reset(&part);
    put_text(&part, v, n, owner);
    buf_puts(b, ",\"text\":");
    buf_put_json_string(b, buf_slice(&part));
    e = buf_err(&part);
    buf_reset(&part);
    buf_printf(&part, "{\"type\":\"%s\",\"notification\":\"%s\",\"alerts\":[", n == 1 ? "alert" : "digest",
               d->name);
    for (size_t i = 0; i < n && i < LISTED && part.n < TEXT_MAX / 2; i++) {
        buf_puts(&part, i ? "," : "");
        put_alert_json(&part, &v[i]);
    }
    buf_printf(&part, "],\"count\":%zu}", n);
    buf_puts(b, ",\"json\":");
    buf_put_json_string(b, buf_slice(&part));
    e = e == TM_OK ? buf_err(&part) : e;
    buf_done(&part);
    buf_printf(b, ",\"severity\":\"%s\",\"tries\":0,\"why\":\"\"}", finding_severity_names[worst]);
    return e == TM_OK ? buf_err(b) : e;
}

tm_err delivery_make(struct effect *ret, struct arena *a, tenant_id tenant, const struct notification_doc *d,
                     const struct alert *v, size_t n, const char *owner, const char *key)
{
    struct buf b;
    struct slice state;
    char *id = arena_alloc(a, FINDING_ID_LEN + 1);
    int64_t now = clock_now();
    if (!id)
        return TM_ENOMEM;
    TM_TRY(finding_id(id, d->name, key));
    buf_init(&b, STATE_MAX);
    tm_err e = put_state(&b, d, v, n, owner);
    if (e == TM_OK)
        e = arena_copy(&state, a, buf_slice(&b));
    buf_done(&b);
    TM_TRY(e);
    *ret = (struct effect){.kind = EFFECT_OBJECT_PUT, .tenant = tenant, .expected_version = 0};
    ret->u.object.row = (struct object_row){.kind = OBJECT_ALERT_DELIVERY,
                                            .id = id,
                                            .owner = arena_strdup(a, d->name),
                                            .key = "",
                                            .ref = "",
                                            .status = 1,
                                            .due_at = notification_free_at(d, now) * 1000,
                                            .created_at = now,
                                            .keep_until = now + KEEP,
                                            .state = state};
    return ret->u.object.row.owner ? TM_OK : TM_ENOMEM;
}
