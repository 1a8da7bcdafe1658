/* Asking holders to renew now: what ACME clients are told by renewal information (RFC 9773) for a set of certificates. */
#include "api/groups.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "register/register.h"
#include <inttypes.h>
#include <string.h>

enum { SERIALS_MAX = 1000, PAGE = 200, BODY_MAX = 256 << 10, WINDOW_LEAST = 60 };

struct renewal_doc {
    struct json_strings serials;
    const char *authority, *profile, *device, *explanation, *comment;
    int64_t start, spread;
    bool start_seen;
};
static const struct json_field renewal_schema[] = {
    JSON_FIELD(struct renewal_doc, serials, JSON_K_STRINGS, .max = SERIALS_MAX,
               .doc = "these certificates; or, without them, those that the other members choose"),
    JSON_FIELD(struct renewal_doc, authority, JSON_K_STRING, .max = 63, .def = "", .doc = "issued by it"),
    JSON_FIELD(struct renewal_doc, profile, JSON_K_STRING, .max = 63, .def = "", .doc = "of this profile"),
    JSON_FIELD(struct renewal_doc, device, JSON_K_STRING, .max = 200, .def = "", .doc = "of this device"),
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

/* ---- one certificate ---- */

static tm_err window_state(struct slice *ret, struct arena *a, const struct renewal_doc *d)
{
    struct buf b;
    buf_init(&b, 8192);
    buf_printf(&b, "{\"start\":%" PRId64 ",\"end\":%" PRId64, d->start, d->start + d->spread);
    if (d->explanation[0]) {
        buf_puts(&b, ",\"explanation\":");
        buf_put_json_string(&b, slice_str(d->explanation));
    }
    buf_putc(&b, '}');
    tm_err e = buf_err(&b) == TM_OK ? arena_copy(ret, a, buf_slice(&b)) : buf_err(&b);
    buf_done(&b);
    return e;
}

static bool concerned(const struct cert_row *row)
{
    return row->source == CERT_ISSUED && row->revoked_at == 0 && row->not_after > clock_now();
}

static tm_err window_effect(struct effect *ret, struct api_call *c, const struct renewal_doc *d,
                            const struct cert_row *row)
{
    *ret = (struct effect){.kind = EFFECT_ACME_PUT, .tenant = c->tenant->id, .expected_version = -1};
    struct acme_row *r = &ret->u.acme.row;
    r->kind = ACME_WINDOW;
    r->id = arena_hex(c->arena, SLICE_ARR(row->id));
    r->owner = r->key = r->ref = "";
    r->created_at = clock_now();
    r->keep_until = row->not_after < TM_TIME_NEVER ? row->not_after : 0;
    TM_TRY(r->id ? window_state(&r->state, c->arena, d) : TM_ENOMEM);
    return TM_OK;
}

/* One page of certificates, with one event that lists them. */
static tm_err commit(struct api_call *c, const struct renewal_doc *d, struct cert_row *const *rows, size_t n,
                     struct diag *diag)
{
    struct effect *effects = arena_calloc(c->arena, n + 1, sizeof *effects);
    struct buf list;
    struct slice body;
    if (!effects || n == 0)
        return n ? TM_ENOMEM : TM_OK;
    buf_init(&list, 64 << 10);
    for (size_t i = 0; i < n; i++) {
        TM_TRY(window_effect(&effects[i], c, d, rows[i]));
        buf_printf(&list, "%s\"%s\"", i ? "," : "[", effects[i].u.acme.row.id);
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

static tm_err by_serials(struct api_call *c, const struct renewal_doc *d, size_t *ret_n, struct diag *diag)
{
    struct cert_row *page[PAGE];
    size_t n = 0;
    for (size_t i = 0; i < d->serials.n; i++) {
        struct store_read q = {.kind = READ_CERT};
        tm_err e = api_cert_id(q.id, c, d->serials.v[i], diag);
        if (e == TM_OK)
            e = api_read(c, &q, diag);
        if (e == TM_ENOTFOUND)
            return diag_fail(diag, e, NULL, "/serials", "there is no certificate %.80s in the inventory",
                             d->serials.v[i]);
        TM_TRY(e);
        if (!concerned(&q.certs[0]))
            return diag_fail(diag, TM_EINVAL, NULL, "/serials",
                             "%.80s was not issued here, is revoked or has ended", d->serials.v[i]);
        page[n++] = &q.certs[0];
        if (n == PAGE || i + 1 == d->serials.n) {
            TM_TRY(commit(c, d, page, n, diag));
            *ret_n += n;
            n = 0;
        }
    }
    return TM_OK;
}

static tm_err by_filter(struct api_call *c, const struct renewal_doc *d, size_t *ret_n, struct diag *diag)
{
    struct cert_row *page[PAGE];
    struct store_read q = {.kind = READ_CERTS, .limit = PAGE};
    if (!d->authority[0] && !d->profile[0] && !d->device[0])
        return diag_fail(diag, TM_EINVAL, NULL, "", "needs serials, or an authority, a profile or a device");
    for (bool more = true; more;) {
        struct slice after = q.page_next;
        q = (struct store_read){.kind = READ_CERTS, .limit = PAGE, .after = after};
        q.filter = (struct cert_filter){.authority = d->authority[0] ? d->authority : NULL,
                                        .profile = d->profile[0] ? d->profile : NULL,
                                        .device = d->device[0] ? d->device : NULL,
                                        .not_after_from = clock_now(),
                                        .revoked = 0,
                                        .source = CERT_ISSUED};
        TM_TRY(api_read(c, &q, diag));
        size_t n = 0;
        for (size_t i = 0; i < q.n; i++)
            if (concerned(&q.certs[i]))
                page[n++] = &q.certs[i];
        TM_TRY(commit(c, d, page, n, diag));
        *ret_n += n;
        more = q.more;
    }
    return TM_OK;
}

static tm_err ask(struct api_call *c, struct diag *diag)
{
    struct renewal_doc d = {0};
    json_t *doc = NULL;
    size_t n = 0;
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, renewal_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    if (!d.start_seen)
        d.start = clock_now();
    if (d.explanation[0] && strncmp(d.explanation, "https://", 8) != 0 &&
        strncmp(d.explanation, "http://", 7) != 0)
        return diag_fail(diag, TM_EINVAL, "RFC 9773 4.2", "/explanation", "must be an address of the web");
    TM_TRY(d.serials.n ? by_serials(c, &d, &n, diag) : by_filter(c, &d, &n, diag));
    buf_printf(&c->out, "{\"certificates\":%zu", n);
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
     "Ask the holders of certificates to renew: the window that ACME clients are told (RFC 9773) is moved",
     "certificates", "RenewalRequest", "Renewal"},
    {0},
};
