/* Revoking many certificates: a list of serials, or all of an authority, a profile, a device. Looked at first, counted, then done. */
#include "api/selection.h"
#include "base/text.h"
#include "issue/issue.h"
#include "x509/crl.h"
#include <string.h>

enum { SERIALS_MAX = 10000, BODY_MAX = 1 << 20, SAMPLE_MAX = 10 };

struct revocation_doc {
    struct selection of;
    const char *reason, *comment;
    bool dry_run, expect_seen;
    int64_t expect;
};
static const struct json_field revocation_schema[] = {
    SELECTION_SCHEMA(struct revocation_doc, of, SERIALS_MAX),
    JSON_FIELD(struct revocation_doc, reason, JSON_K_STRING, .max = 40, .def = "unspecified",
               .doc = "keyCompromise, superseded, cessationOfOperation, … (RFC 5280 5.3.1)"),
    JSON_FIELD(struct revocation_doc, comment, JSON_K_STRING, .max = 1000, .def = "",
               .doc = "for the register"),
    {.key = "dry-run",
     .kind = JSON_K_BOOL,
     .offset = offsetof(struct revocation_doc, dry_run),
     .doc = "only count them, and show the first"},
    {.key = "expect",
     .kind = JSON_K_INT,
     .offset = offsetof(struct revocation_doc, expect),
     .min = 0,
     .max = INT64_C(1000000000000),
     .seen_offset = offsetof(struct revocation_doc, expect_seen) + 1,
     .doc = "how many a dry run counted; nothing is revoked where there are others. Needed without serials"},
    {0},
};

/* What has come together so far. */
struct going {
    struct api_call *c;
    const struct revocation_doc *d;
    int reason;
    bool act;
    size_t matched, revoked, before; /* before: revoked already, by serial */
    struct buf sample;
};

static void show_first(struct going *g, const struct cert_row *const *rows, size_t n)
{
    for (size_t i = 0; i < n && g->matched + i < SAMPLE_MAX; i++) {
        if (g->sample.n)
            buf_putc(&g->sample, ',');
        api_put_cert(&g->sample, rows[i], false);
    }
    g->matched += n;
}

static tm_err page(void *arg, const struct cert_row *const *rows, size_t n, struct diag *diag)
{
    struct going *g = arg;
    show_first(g, rows, n);
    return g->act ? issue_revoke_page(g->c->house, g->c->tenant->id, rows, n, g->reason, g->c->principal,
                                      g->d->comment, &g->revoked, diag)
                  : TM_OK;
}

/* By serial one by one: a CA of the house may be among them, and each may be there already. */
static tm_err by_serial(struct going *g, const struct cert_row *row, struct diag *diag)
{
    if (row->source != CERT_ISSUED)
        return diag_fail(diag, TM_EFORBIDDEN, NULL, "/serials", "%s was not issued here",
                         arena_hex(g->c->arena, SLICE_ARR(row->id)));
    if (row->revoked_at && row->reason != CRL_CERTIFICATE_HOLD) {
        g->before++;
        return TM_OK;
    }
    show_first(g, &row, 1);
    if (!g->act)
        return TM_OK;
    tm_err e = issue_revoke(g->c->house, g->c->tenant->id, row->id, g->reason, g->c->principal, g->d->comment,
                            NULL, diag);
    g->revoked += e == TM_OK;
    if (e != TM_ECONFLICT)
        return e;
    g->matched--; /* the same serial twice, or somebody was quicker */
    g->before++;
    return TM_OK;
}

static tm_err serials(void *arg, const struct cert_row *const *rows, size_t n, struct diag *diag)
{
    for (size_t i = 0; i < n; i++)
        TM_TRY(by_serial(arg, rows[i], diag));
    return TM_OK;
}

static tm_err run(struct going *g, struct diag *diag)
{
    g->matched = g->revoked = g->before = 0;
    buf_reset(&g->sample);
    return selection_each(g->c, &g->d->of, g->d->of.serials.n ? serials : page, g, diag);
}

static tm_err check(struct going *g, struct diag *diag)
{
    const struct revocation_doc *d = g->d;
    g->reason = -1;
    for (int i = 0; i <= CRL_AA_COMPROMISE; i++)
        if (crl_reason_names[i] && strcmp(crl_reason_names[i], d->reason) == 0 && i != CRL_REMOVE_FROM_CRL)
            g->reason = i;
    if (g->reason < 0)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 5.3.1", "/reason", "there is no reason \"%s\"",
                         d->reason);
    TM_TRY(selection_check(&d->of, diag));
    if (d->of.serials.n == 0 && !d->dry_run && !d->expect_seen)
        return diag_fail(diag, TM_EINVAL, NULL, "/expect",
                         "say how many are expected; with dry-run they are counted");
    return TM_OK;
}

static tm_err act(struct going *g, struct diag *diag)
{
    TM_TRY(check(g, diag));
    TM_TRY(run(g, diag));
    if (g->d->expect_seen && (int64_t)g->matched != g->d->expect)
        return diag_fail(diag, TM_ECONFLICT, NULL, "/expect", "there are %zu, not %lld; nothing was revoked",
                         g->matched, (long long)g->d->expect);
    if (g->d->dry_run)
        return TM_OK;
    g->act = true;
    return run(g, diag);
}

static tm_err revoke_many(struct api_call *c, struct diag *diag)
{
    struct revocation_doc d = {0};
    struct going g = {.c = c, .d = &d};
    json_t *doc = NULL;
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, revocation_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    buf_init(&g.sample, 1 << 20);
    e = act(&g, diag);
    if (e == TM_OK) {
        buf_printf(&c->out, "{\"matched\":%zu", g.matched);
        api_put_int(&c->out, "revoked", (int64_t)g.revoked);
        api_put_int(&c->out, "revoked_before", (int64_t)g.before);
        api_put_bool(&c->out, "dry_run", d.dry_run);
        buf_puts(&c->out, ",\"first\":[");
        buf_put_slice(&c->out, buf_slice(&g.sample));
        buf_puts(&c->out, "]}\n");
    }
    buf_done(&g.sample);
    return e;
}

/* ---- what the document says ---- */

static const struct api_field revocations_fields[] = {
    {"matched", "integer", "how many are concerned", "12"},
    {"revoked", "integer", "how many were revoked by this call", "12"},
    {"revoked_before", "integer", "of the serials, how many were revoked already", "0"},
    {"dry_run", "boolean", NULL, "false"},
    {"first", "[]Certificate", "at most ten of them, as they were", NULL},
    {0},
};
const struct api_schema revocation_api_schemas[] = {
    {"Revocations", "certificates were revoked, or would be", revocations_fields, NULL, NULL},
    {"RevocationsRequest", "which certificates, and why", NULL, revocation_schema,
     "{\"profile\":\"enterprise-tls-47d\",\"reason\":\"superseded\",\"dry-run\":true}"},
    {0},
};
const struct api_route revocation_api_routes[] = {
    {HTTP_M_POST, "/api/v1/revocations", ROLE_ADMIN | ROLE_OPERATOR, revoke_many, BODY_MAX,
     "revokeCertificates", "Revoke many certificates: counted by a dry run first, then done", "certificates",
     "RevocationsRequest", "Revocations"},
    {0},
};
