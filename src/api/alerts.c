/* Alerts over REST: what somebody was told, who looks after it, and testing how they are told. */
#include "alert/alert.h"
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include <openssl/crypto.h>
#include <string.h>

enum {
    SMALL = 8 << 10,
    READERS = API_READERS | ROLE_OWNER,
    DECIDERS = ROLE_ADMIN | ROLE_OPERATOR | ROLE_OWNER,
    PAGES = 20
};

static void put_alert(struct buf *out, const struct alert *x)
{
    buf_printf(out, "{\"id\":\"%s\"", x->id);
    api_put_text(out, "cause", x->cause);
    api_put_text(out, "severity", finding_severity_names[x->severity]);
    api_put_text(out, "status", x->status < ALERT_STATUSES ? alert_status_names[x->status] : "");
    api_put_text(out, "title", x->title);
    api_put_text(out, "text", x->text);
    api_put_text(out, "subject", x->subject);
    api_put_text(out, "owner", x->owner);
    api_put_text(out, "finding", x->finding);
    api_put_int(out, "stage", x->stage);
    api_put_time(out, "opened_at", x->opened_ms / 1000);
    api_put_time(out, "changed_at", x->changed_ms / 1000);
    api_put_time(out, "resolved_at", x->status == ALERT_RESOLVED ? x->resolved_ms / 1000 : 0);
    if (x->by[0]) {
        api_put_text(out, "by", x->by);
        api_put_text(out, "comment", x->comment);
    }
    buf_putc(out, '}');
}

static bool may_see(const struct api_call *c, const struct alert *x, unsigned roles)
{
    if (c->roles & (roles | ROLE_HOUSE_ADMIN))
        return true;
    return (c->roles & ROLE_OWNER) && c->owner_of && c->owner_of[0] && strcmp(c->owner_of, x->owner) == 0;
}

static tm_err find(struct alert *ret, struct api_call *c, unsigned roles, struct diag *diag)
{
    TM_TRY(alert_get(ret, c->arena, c->house, c->tenant->id, api_param(c, "id"), diag));
    return may_see(c, ret, roles)
               ? TM_OK
               : diag_fail(diag, TM_EFORBIDDEN, "role", NULL, "this is not about something of yours");
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    const char *word = api_query(c, "status"), *after = api_query(c, "after"), *next = after ? after : "";
    enum alert_status status = ALERT_OPEN;
    size_t limit, shown = 0;
    TM_TRY(api_limit(&limit, c, 100, 1000, diag));
    if (word) {
        unsigned i = 1;
        while (i < ALERT_STATUSES && strcmp(alert_status_names[i], word) != 0)
            i++;
        if (i == ALERT_STATUSES && strcmp(word, "any") != 0)
            return diag_fail(diag, TM_EINVAL, NULL, "status", "is open, acknowledged, resolved or any");
        status = i == ALERT_STATUSES ? 0 : (enum alert_status)i;
    }
    buf_puts(&c->out, "{\"items\":[");
    for (int page = 0; page < PAGES && shown < limit; page++) {
        struct alert *v;
        size_t n;
        TM_TRY(alert_list(&v, &n, &next, c->arena, c->house, c->tenant->id, status, next, limit, diag));
        size_t i = 0;
        for (; i < n && shown < limit; i++) {
            if (!may_see(c, &v[i], API_READERS))
                continue;
            buf_puts(&c->out, shown++ ? "," : "");
            put_alert(&c->out, &v[i]);
        }
        if (i < n)
            next = i ? v[i - 1].id : next;
        if (!next[0])
            break;
    }
    buf_putc(&c->out, ']');
    if (next[0])
        api_put_text(&c->out, "next", next);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    struct alert x;
    TM_TRY(find(&x, c, API_READERS, diag));
    put_alert(&c->out, &x);
    buf_putc(&c->out, '\n');
    return TM_OK;
}

static tm_err acknowledge(struct api_call *c, struct diag *diag)
{
    struct alert x;
    const char *comment;
    TM_TRY(find(&x, c, ROLE_ADMIN | ROLE_OPERATOR, diag));
    TM_TRY(api_comment(&comment, c, diag));
    TM_TRY(alert_acknowledge(c->house, c->tenant->id, x.id, comment, c->principal, diag));
    return get(c, diag);
}

static tm_err test(struct api_call *c, struct diag *diag)
{
    TM_TRY(alert_test(c->house, c->tenant->id, api_param(c, "name"), c->principal, diag));
    buf_puts(&c->out, "{\"sent\":true}\n");
    return TM_OK;
}

struct secret_doc {
    const char *secret;
};
static const struct json_field secret_schema[] = {
    JSON_FIELD(
        struct secret_doc, secret, JSON_K_STRING, .required = true, .max = 512,
        .doc =
            "a mail server's password, or the key that a webhook's signature is made with; empty takes it away"),
    {0},
};

static tm_err secret(struct api_call *c, struct diag *diag)
{
    struct secret_doc d = {0};
    json_t *doc = NULL;
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, secret_schema, doc, "", c->arena, diag);
    json_decref(doc);
    if (e == TM_OK)
        e = alert_secret(c->house, c->tenant->id, api_param(c, "name"), d.secret, c->principal, diag);
    if (d.secret)
        OPENSSL_cleanse((char *)d.secret, strlen(d.secret));
    TM_TRY(e);
    buf_puts(&c->out, "{\"set\":true}\n");
    return TM_OK;
}

/* ---- what the document says ---- */

#define ALERT_EXAMPLE "5d1a7c9f0b3e4d2c8a6f1e0d9c8b7a65"
static const struct api_field alert_fields[] = {
    {"id", "hex", "of cause and subject", ALERT_EXAMPLE},
    {"cause", "string",
     "expiring, renewal-overdue, finding:<rule>, enrollment-failing, crl-ending, ocsp-ending, ca-ending",
     "expiring"},
    {"severity", "info|low|medium|high|critical", NULL, "high"},
    {"status", "open|acknowledged|resolved", NULL, "open"},
    {"title", "string", "one line", "server.example.org ends in 6 days, and nothing renews it"},
    {"text", "string", NULL, NULL},
    {"subject", "string", "certificate/<id>, place/<id>, endpoint/<name>, authority/<name>",
     "certificate/" API_SERIAL_EXAMPLE},
    {"owner", "string", "who is told", "facilities"},
    {"finding", "string", "that it is about; empty: none", "9b2f6d0f1c0c4f37a7f6f1c5e0a8d412"},
    {"stage", "integer", "grows as it gets worse; each is told of once", "3"},
    {"opened_at", "time?", NULL, NULL},
    {"changed_at", "time?", NULL, NULL},
    {"resolved_at", "time?", "when its cause was gone", NULL},
    {"by?", "string", "who looks after it", NULL},
    {"comment?", "string", NULL, NULL},
    {0},
};
static const struct api_field list_fields[] = {
    {"items", "[]Alert", NULL, NULL},
    {"next?", "string", "what `after` is for the next page; a page may be short while there is more",
     ALERT_EXAMPLE},
    {0},
};
static const struct api_field sent_fields[] = {{"sent", "boolean", "the other side has taken it", "true"},
                                               {0}};
static const struct api_field set_fields[] = {{"set", "boolean", NULL, "true"}, {0}};
const struct api_schema alert_api_schemas[] = {
    {"Alert", "what somebody was told", alert_fields, NULL, NULL},
    {"AlertList", NULL, list_fields, NULL, NULL},
    {"NotificationTest", NULL, sent_fields, NULL, NULL},
    {"NotificationSecretSet", NULL, set_fields, NULL, NULL},
    {"NotificationSecret", "kept sealed, shown to nobody", NULL, secret_schema,
     "{\"secret\":\"correct horse\"}"},
    {0},
};
static const struct api_field list_query[] = {
    {"status", "open|acknowledged|resolved|any", "open when left out", "open"},
    {0},
};

const struct api_route alert_api_routes[] = {
    {HTTP_M_GET, "/api/v1/alerts", READERS, list, 0, "listAlerts",
     "What somebody was told; an owner sees what is theirs", "alerts", NULL, "AlertList", API_PAGED,
     list_query},
    {HTTP_M_GET, "/api/v1/alerts/{id}", READERS, get, 0, "getAlert", "One alert", "alerts", NULL, "Alert"},
    {HTTP_M_POST, "/api/v1/alerts/{id}/acknowledge", DECIDERS, acknowledge, SMALL, "acknowledgeAlert",
     "Say that you look after it: nothing more is sent unless it gets worse", "alerts", "Comment", "Alert",
     API_BODY_OPTIONAL},
    {HTTP_M_POST, "/api/v1/notifications/{name}/test", ROLE_ADMIN | ROLE_OPERATOR, test, SMALL,
     "testNotification", "Send a test by this Notification now", "alerts", NULL, "NotificationTest"},
    {HTTP_M_PUT, "/api/v1/notifications/{name}/secret", ROLE_ADMIN, secret, SMALL, "setNotificationSecret",
     "Set the password or key of a Notification", "alerts", "NotificationSecret", "NotificationSecretSet"},
    {0},
};
