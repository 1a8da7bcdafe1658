/* Asking holders to renew now: what they are told by renewal information (RFC 9773) for a set of certificates, whatever protocol they came by. */
#include "api/selection.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/renewal.h"
#include "register/register.h"
#include <inttypes.h>
#include <string.h>

enum { SERIALS_MAX = 1000, BODY_MAX = 256 << 10, WINDOW_LEAST = 60 };

struct renewal_doc {
    struct selection of;
    const char *explanation, *comment;
    int64_t start, spread;
    bool start_seen;
};
static const struct json_field renewal_schema[] = {
    SELECTION_SCHEMA(struct renewal_doc, of, SERIALS_MAX),
    JSON_FIELD(struct renewal_doc, start, JSON_K_TIME,
               .seen_offset = offsetof(struct renewal_doc, start_seen) + 1,
               .doc = "when the window opens; now when left out"),
    JSON_FIELD(struct renewal_doc, spread, JSON_K_DURATION, .min = WINDOW_LEAST, .max = 366 * 86400LL,
               .def = "1h", .doc = "how long it is: clients renew at a random time in it"),
    JSON_FIELD(struct renewal_doc, explanation, JSON_K_STRING, .max = 1000, .def = "",
               .doc = "address of a page for people, shown to clients"),
    JSON_FIELD(struct renewal_doc, comment, JSON_K_STRING, .max = 1000, .def = "", .doc = "for the register"),
    {0},
};

/* One page of certificates, with one event that lists them. */
static tm_err commit(struct api_call *c, const struct renewal_doc *d, const struct cert_row *const *rows,
                     size_t n, struct diag *diag)
{
    struct effect *effects = arena_calloc(c->arena, n + 1, sizeof *effects);
    const struct renewal_window w = {
        .start = d->start, .end = d->start + d->spread, .explanation = d->explanation};
    struct buf list;
    struct slice body;
    if (!effects)
        return TM_ENOMEM;
    buf_init(&list, 64 << 10);
    for (size_t i = 0; i < n; i++) {
        TM_TRY(renewal_window_put(&effects[i], c->arena, c->tenant->id, rows[i], "", &w));
        buf_printf(&list, "%s\"%s\"", i ? "," : "[", effects[i].u.object.row.id);
    }
    buf_putc(&list, ']');
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(c->principal)},
        {.key = "comment", .kind = EVENT_STR, .s = slice_str(d->comment)},
        {.key = "end", .kind = EVENT_INT, .i = d->start + d->spread},
        {.key = "explanation", .kind = EVENT_STR, .s = slice_str(d->explanation)},
        {.key = "serials", .kind = EVENT_RAW, .s = buf_slice(&list)},
        {.key = "start", .kind = EVENT_INT, .i = d->start},
        {0},
    };
    tm_err e = buf_err(&list) == TM_OK ? register_event_body(&body, c->arena, fields) : buf_err(&list);
    if (e == TM_OK)
        e = register_event_effect(&effects[n], c->arena, c->tenant->id, "certificate.renewal-asked",
                                  "certificates", body, clock_now_ms());
    if (e == TM_OK)
        e = house_commit(c->house, effects, n + 1, diag);
    buf_done(&list);
    return e;
}

/* ---- the set ---- */

struct asking {
    struct api_call *c;
    const struct renewal_doc *d;
    size_t n;
};

static tm_err page(void *arg, const struct cert_row *const *rows, size_t n, struct diag *diag)
{
    struct asking *k = arg;
    for (size_t i = 0; i < n; i++)
        if (!selection_concerns(rows[i]))
            return diag_fail(diag, TM_EINVAL, NULL, "/serials",
                             "%s was not issued here, is revoked or has ended",
                             arena_hex(k->c->arena, SLICE_ARR(rows[i]->id)));
    TM_TRY(commit(k->c, k->d, rows, n, diag));
    k->n += n;
    return TM_OK;
}

static tm_err ask(struct api_call *c, struct diag *diag)
{
    struct renewal_doc d = {0};
    struct asking k = {.c = c, .d = &d};
    json_t *doc = NULL;
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, renewal_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    if (!d.start_seen)
        d.start = clock_now();
    if (d.explanation[0] && strncmp(d.explanation, "https://", 8) != 0 &&
        strncmp(d.explanation, "http://", 7) != 0)
        return diag_fail(diag, TM_EINVAL, "RFC 9773 4.2", "/explanation", "must be an address of the web");
    TM_TRY(selection_check(&d.of, diag));
    TM_TRY(selection_each(c, &d.of, page, &k, diag));
    buf_printf(&c->out, "{\"certificates\":%zu", k.n);
    api_put_time(&c->out, "start", d.start);
    api_put_time(&c->out, "end", d.start + d.spread);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field renewal_fields[] = {
    {"certificates", "integer", "how many are concerned", "12"},
    {"start", "time", "when the window opens", NULL},
    {"end", "time", "when it closes", NULL},
    {0},
};
const struct api_schema renewal_api_schemas[] = {
    {"Renewal", "holders were asked to renew", renewal_fields, NULL, NULL},
    {"RenewalRequest", "which certificates, and when", NULL, renewal_schema,
     "{\"profile\":\"enterprise-tls-47d\",\"spread\":\"6h\",\"explanation\":\"https://status.example.org/4711\"}"},
    {0},
};

const struct api_route renewal_api_routes[] = {
    {HTTP_M_POST, "/api/v1/renewals", ROLE_ADMIN | ROLE_OPERATOR, ask, BODY_MAX, "askForRenewal",
     "Ask the holders of certificates to renew: the window that renewal information (RFC 9773) tells them is moved",
     "certificates", "RenewalRequest", "Renewal"},
    {0},
};
