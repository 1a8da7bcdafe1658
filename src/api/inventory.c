/* Questions about the whole inventory: lists by a query, exports, counts by group, and views: queries that were given a name. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "inventory/ask.h"
#include "inventory/csv.h"
#include "inventory/query.h"
#include "issue/issuer_now.h"
#include "x509/crl.h"
#include "x509/general_name.h"
#include <stdlib.h>
#include <string.h>

enum {
    LIST_DEFAULT = 100,
    LIST_MAX = 1000,
    EXPORT_PAGE = 500,
    EXPORT_ROW_MAX = 1 << 20,
    NAMES_SHOWN = 64, /* of a row; how many more there are is said */
    COUNTS_DEFAULT = 1000,
    COUNTS_MAX = 100000,
};

/* ---- the query ---- */

/* What is asked for, and of that what the caller may see. */
static tm_err where(struct cert_test *ret, struct api_call *c, struct diag *diag)
{
    const char *text = api_query(c, "query");
    TM_TRY(inventory_ask(ret, c->arena, c->house, c->tenant->id, slice_str(text ? text : ""), diag));
    if (c->roles & (API_READERS | ROLE_HOUSE_ADMIN))
        return TM_OK;
    if (!c->owner_of || !c->owner_of[0])
        return diag_fail(diag, TM_EFORBIDDEN, "role", NULL, "you own no devices here");
    struct cert_test *both = arena_calloc(c->arena, 2, sizeof *both);
    if (!both)
        return arena_err(c->arena);
    both[0] = *ret;
    TM_TRY(inventory_of_owner(&both[1], c->arena, c->house, c->tenant->id, c->owner_of, diag));
    *ret = (struct cert_test){.kind = CERT_TEST_ALL, .parts = both, .n = 2};
    return TM_OK;
}

/* A question that is too much for the store is still the asker's to change. */
static tm_err asked_too_much(tm_err e)
{
    return e == TM_ETOOBIG ? TM_EINVAL : e;
}

static tm_err order(enum cert_order *ret, const struct api_call *c, struct diag *diag)
{
    static const char *const names[] = {
        [CERT_NEWEST_FIRST] = "newest", [CERT_OLDEST_FIRST] = "oldest", [CERT_EXPIRY_FIRST] = "expires"};
    const char *sort = api_query(c, "sort");
    *ret = CERT_NEWEST_FIRST;
    for (size_t i = 0; sort && i < sizeof names / sizeof *names; i++) {
        if (strcmp(sort, names[i]) == 0) {
            *ret = (enum cert_order)i;
            return TM_OK;
        }
    }
    return sort ? diag_fail(diag, TM_EINVAL, NULL, "sort", "must be newest, oldest or expires") : TM_OK;
}

tm_err api_class_now(struct api_call *c, struct cert_row *rows, size_t n, struct diag *diag)
{
    struct issuer_memo memo = {0};
    struct arena *scratch = arena_new(0);
    tm_err e = scratch ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; i < n && e == TM_OK; i++) {
        enum issuer_class now;
        e = issuer_class_now(&now, scratch, c->house->store, c->catalog, c->tenant->id, &rows[i], &memo,
                             diag);
        if (e == TM_OK && rows[i].source != CERT_ISSUED)
            rows[i].door = (int)now;
        arena_reset(scratch);
    }
    arena_free(scratch);
    return e;
}

tm_err api_list_where(struct api_call *c, struct diag *diag)
{
    static const char *const others[] = {
        "subject",   "cn",      "san",    "serial", "fingerprint",    "spki",          "device", "revoked",
        "authority", "profile", "source", "q",      "expires_before", "expires_after", NULL};
    struct cert_test test;
    struct store_read q = {.kind = READ_CERTS_WHERE, .with_der = true, .where = &test};
    const char *after = api_query(c, "after");
    for (size_t i = 0; others[i]; i++)
        if (api_query(c, others[i]))
            return diag_fail(diag, TM_EINVAL, NULL, others[i],
                             "say it in the query instead, which stands alone");
    TM_TRY(api_limit(&q.limit, c, LIST_DEFAULT, LIST_MAX, diag));
    TM_TRY(order(&q.order, c, diag));
    TM_TRY(where(&test, c, diag));
    if (after && hex_decode(&q.after, c->arena, slice_str(after)) != TM_OK)
        return diag_fail(diag, TM_EINVAL, NULL, "after", "must be what \"next\" of the page before said");
    TM_TRY(asked_too_much(api_read(c, &q, diag)));
    TM_TRY(api_class_now(c, q.certs, q.n, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < q.n; i++) {
        buf_puts(&c->out, i ? "," : "");
        api_put_cert(&c->out, &q.certs[i], false);
    }
    api_put_next(&c->out, &q, true);
    return TM_OK;
}

/* ---- export ---- */

static const char *const export_columns[] = {
    "serial",      "status",      "source",     "subject",   "names", "authority", "profile",
    "device",      "issued_at",   "not_before", "not_after", "key",   "signature", "ca",
    "self_signed", "fingerprint", "revoked_at", "reason",    NULL};

static void put_time_cell(struct buf *out, int64_t t)
{
    char text[21] = "";
    if (t)
        clock_format_rfc3339(text, t);
    csv_put_cell(out, text, false);
}

static void put_names_cell(struct buf *out, struct arena *scratch, const struct cert_row *row)
{
    struct cert cert;
    struct general_names names = {0};
    struct buf text;
    arena_reset(scratch);
    buf_init(&text, EXPORT_ROW_MAX);
    if (row->der.n && cert_parse(&cert, row->der, NULL) == TM_OK &&
        cert_san(&names, scratch, &cert, NULL) != TM_OK)
        names.n = 0;
    for (size_t i = 0; i < names.n && i < NAMES_SHOWN; i++) {
        buf_puts(&text, i ? " " : "");
        general_name_print(&text, &names.v[i]);
    }
    if (names.n > NAMES_SHOWN)
        buf_printf(&text, " (and %zu more)", names.n - NAMES_SHOWN);
    csv_put_cell(out, buf_str(&text), false);
    buf_done(&text);
}

static void put_csv(struct buf *out, struct arena *scratch, const struct cert_row *row)
{
    static const char *const sources[] = {"issued", "imported", "discovered"};
    char id[2 * CERT_SERIAL_LEN + 1], fingerprint[2 * sizeof row->fingerprint + 1];
    hex_encode(id, SLICE_ARR(row->id));
    hex_encode(fingerprint, SLICE_ARR(row->fingerprint));
    csv_put_cell(out, id, true);
    csv_put_cell(out, api_cert_status(row), false);
    csv_put_cell(out, (unsigned)row->source < 3 ? sources[row->source] : "", false);
    csv_put_cell(out, row->subject, false);
    put_names_cell(out, scratch, row);
    csv_put_cell(out, row->authority, false);
    csv_put_cell(out, row->profile, false);
    csv_put_cell(out, row->device, false);
    put_time_cell(out, row->issued_at / 1000);
    put_time_cell(out, row->not_before);
    put_time_cell(out, row->not_after);
    csv_put_cell(out, row->key_alg, false);
    csv_put_cell(out, row->sig_alg, false);
    csv_put_cell(out, row->flags & CERT_FLAG_CA ? "true" : "false", false);
    csv_put_cell(out, row->flags & CERT_FLAG_SELF_SIGNED ? "true" : "false", false);
    csv_put_cell(out, fingerprint, false);
    put_time_cell(out, row->revoked_at);
    csv_put_cell(out, row->revoked_at && crl_reason_names[row->reason] ? crl_reason_names[row->reason] : "",
                 false);
    csv_end_row(out);
}

/* What has been written goes out. */
static tm_err hand_on(struct api_call *c, struct buf *row)
{
    tm_err e = buf_err(row);
    if (e == TM_OK && c->write)
        e = c->write(c, buf_slice(row));
    else if (e == TM_OK)
        buf_put_slice(&c->out, buf_slice(row));
    buf_reset(row);
    return e == TM_OK ? buf_err(&c->out) : e;
}

struct export
{
    uint8_t cursor[64]; /* where the next page goes on; it must outlive the page */
    struct arena *page, *scratch;
    struct buf row;
    bool csv;
};

static tm_err export_rows(struct export *x, struct api_call *c, struct store_read *q, struct diag *diag)
{
    if (x->csv) {
        for (size_t i = 0; export_columns[i]; i++)
            csv_put_cell(&x->row, export_columns[i], i == 0);
        csv_end_row(&x->row);
        TM_TRY(hand_on(c, &x->row));
    }
    for (q->more = true; q->more;) {
        q->tenant = c->tenant->id;
        q->arena = x->page;
        arena_reset(x->page);
        tm_err e = store_read_now(c->house->store, q);
        if (e != TM_OK) {
            *diag = q->diag;
            return asked_too_much(e);
        }
        for (size_t i = 0; i < q->n; i++) {
            if (x->csv)
                put_csv(&x->row, x->scratch, &q->certs[i]);
            else
                api_put_cert(&x->row, &q->certs[i], false);
            if (!x->csv)
                buf_putc(&x->row, '\n');
            TM_TRY(hand_on(c, &x->row));
        }
        if (q->more && q->page_next.n > sizeof x->cursor)
            return diag_fail(diag, TM_EINTERNAL, NULL, NULL, "a position of the inventory is too long");
        if (q->more)
            memcpy(x->cursor, q->page_next.p, q->page_next.n);
        q->after = slice_of(x->cursor, q->page_next.n);
    }
    return TM_OK;
}

static tm_err export(struct api_call *c, struct diag *diag)
{
    struct cert_test test;
    struct store_read q = {.kind = READ_CERTS_WHERE,
                           .with_der = true,
                           .where = &test,
                           .order = CERT_OLDEST_FIRST,
                           .limit = EXPORT_PAGE};
    const char *form = api_query(c, "form");
    struct export x = {.csv = form && strcmp(form, "csv") == 0};
    if (form && !x.csv && strcmp(form, "ndjson") != 0)
        return diag_fail(diag, TM_EINVAL, NULL, "form", "must be csv or ndjson");
    if (api_query(c, "sort"))
        TM_TRY(order(&q.order, c, diag));
    TM_TRY(where(&test, c, diag));
    c->answer_type = x.csv ? "text/csv; charset=utf-8; header=present" : "application/x-ndjson";
    x.page = arena_new(64 << 20);
    x.scratch = arena_new(0);
    buf_init(&x.row, EXPORT_ROW_MAX);
    tm_err e = x.page && x.scratch ? export_rows(&x, c, &q, diag) : TM_ENOMEM;
    buf_done(&x.row);
    arena_free(x.page);
    arena_free(x.scratch);
    return e;
}

/* ---- counts ---- */

static const char *const status_groups[] = {"valid", "expired", "revoked", "on-hold"};
static const char *const class_groups[] = {"own", "own-ca", "foreign", "foreign-ca", "self-signed"};
static const char *const source_groups[] = {"issued", "imported", "discovered", ""};

enum by_kind { BY_TEXT, BY_WORD, BY_DAY, BY_LIFETIME };
static const struct by {
    const char *name;
    enum cert_group group;
    enum by_kind kind;
    const char *const *words;
} bys[] = {
    {"status", CERT_GROUP_STATUS, BY_WORD, status_groups},
    {"authority", CERT_GROUP_AUTHORITY, BY_TEXT, NULL},
    {"issuer", CERT_GROUP_AUTHORITY, BY_TEXT, NULL},
    {"profile", CERT_GROUP_PROFILE, BY_TEXT, NULL},
    {"key", CERT_GROUP_KEY, BY_TEXT, NULL},
    {"signature", CERT_GROUP_SIGNATURE, BY_TEXT, NULL},
    {"source", CERT_GROUP_SOURCE, BY_WORD, source_groups},
    {"class", CERT_GROUP_CLASS, BY_WORD, class_groups},
    {"expires-day", CERT_GROUP_EXPIRY_DAY, BY_DAY, NULL},
    {"expires-week", CERT_GROUP_EXPIRY_WEEK, BY_DAY, NULL},
    {"expires-month", CERT_GROUP_EXPIRY_MONTH, BY_DAY, NULL},
    {"issued-day", CERT_GROUP_ISSUED_DAY, BY_DAY, NULL},
    {"lifetime", CERT_GROUP_LIFETIME, BY_LIFETIME, NULL},
};

static void put_lifetime(struct buf *out, int64_t least)
{
    size_t i = 0;
    while (cert_lifetime_classes[i] != least)
        i++;
    int64_t next = cert_lifetime_classes[i + 1];
    if (i == 0)
        buf_printf(out, "\"under %lldd\"", (long long)(next / 86400));
    else if (next < 0)
        buf_printf(out, "\"%lldd and more\"", (long long)(least / 86400));
    else
        buf_printf(out, "\"%lldd to %lldd\"", (long long)(least / 86400), (long long)(next / 86400));
}

static void put_count(struct buf *out, const struct by *by, const struct cert_count *one)
{
    char day[21];
    buf_puts(out, "{\"value\":");
    switch (by->kind) {
    case BY_TEXT:
        buf_put_json_string(out, slice_str(one->text));
        break;
    case BY_WORD:
        buf_put_json_string(out, slice_str(by->words[one->value]));
        break;
    case BY_DAY:
        clock_format_rfc3339(day, one->value);
        buf_printf(out, "\"%.10s\"", day);
        break;
    default:
        put_lifetime(out, one->value);
    }
    if (by->kind == BY_LIFETIME)
        api_put_int(out, "least_seconds", one->value);
    buf_printf(out, ",\"count\":%llu}", (unsigned long long)one->n);
}

static tm_err counts(struct api_call *c, struct diag *diag)
{
    struct cert_test test;
    struct store_read q = {.kind = READ_CERTS_COUNTED, .where = &test, .now = clock_now()};
    const char *name = api_query(c, "by");
    const struct by *by = NULL;
    size_t limit;
    for (size_t i = 0; name && i < sizeof bys / sizeof *bys; i++)
        if (strcmp(bys[i].name, name) == 0)
            by = &bys[i];
    if (name && !by)
        return diag_fail(diag, TM_EINVAL, NULL, "by",
                         "must be status, authority, profile, key, signature, source, class, lifetime, "
                         "expires-day, expires-week, expires-month or issued-day");
    TM_TRY(api_limit(&limit, c, COUNTS_DEFAULT, COUNTS_MAX, diag));
    TM_TRY(where(&test, c, diag));
    q.group = by ? by->group : CERT_GROUP_NONE;
    TM_TRY(asked_too_much(api_read(c, &q, diag)));
    buf_printf(&c->out, "{\"count\":%llu,\"complete\":%s,\"items\":[", (unsigned long long)q.count,
               q.more ? "false" : "true");
    for (size_t i = 0; by && i < q.n && i < limit; i++) {
        buf_puts(&c->out, i ? "," : "");
        put_count(&c->out, by, &q.counted[i]);
    }
    buf_puts(&c->out, "]}\n");
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field count_fields[] = {
    {"value", "string", "what these have in common; of days the first, 9999-12-31 what is beyond a century",
     "p256"},
    {"count", "integer", NULL, "1200"},
    {"least_seconds?", "integer", "of lifetimes: where the class begins", "691200"},
    {0},
};
static const struct api_field counts_fields[] = {
    {"count", "integer", "all of them", "1200"},
    {"complete", "boolean",
     "false: names with stars were asked for, and there are more certificates than one answer reads", "true"},
    {"items", "[]InventoryCount", "the largest first; days in their order; none without `by`", NULL},
    {0},
};
const struct api_schema inventory_api_schemas[] = {
    {"InventoryCount", NULL, count_fields, NULL, NULL},
    {"InventoryCounts", NULL, counts_fields, NULL, NULL},
    {0},
};

#define QUERY_FIELD                                                                                          \
    {"query", "string", "which ones, in the language of docs/inventory.md; all when it is left out",         \
     "issuer:issuing-ca expires<30d -status:revoked"}

static const struct api_field export_query[] = {
    QUERY_FIELD,
    {"sort", "oldest|newest|expires", "oldest first when it is left out", "expires"},
    {"form", "ndjson|csv", "an object or a row a certificate; ndjson when it is left out", "csv"},
    {0},
};
static const struct api_field counts_query[] = {
    QUERY_FIELD,
    {"by",
     "status|authority|issuer|profile|key|signature|source|class|lifetime|expires-day|expires-week|expires-month|issued-day",
     "how they are grouped; only their number when it is left out", "key"},
    {"limit", "integer", "groups, at most", "1000"},
    {0},
};
static const struct api_content export_forms[] = {
    {200, "application/x-ndjson", NULL, "an object Certificate a line"},
    {200, "text/csv", NULL, "a row each, safe to open in a spreadsheet"},
    {0},
};

enum { SELVES = API_READERS | ROLE_OWNER };

const struct api_route inventory_api_routes[] = {
    {HTTP_M_GET, "/api/v1/certificates/export", SELVES, export, 0, "exportCertificates",
     "All certificates that a query chooses, streamed", "certificates", NULL, NULL, .query = export_query,
     .gives = export_forms},
    {HTTP_M_GET, "/api/v1/inventory/counts", SELVES, counts, 0, "countCertificates",
     "How many certificates a query chooses, by what they have in common", "certificates", NULL,
     "InventoryCounts", .query = counts_query},
    {0},
};
