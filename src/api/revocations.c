/* Revoking many certificates: looked at first, counted, then a job that is done page by page (status/revocation.h). */
#include "api/schemas.h"
#include "api/selection.h"
#include "base/arena.h"
#include "base/text.h"
#include "status/revocation.h"
#include "x509/crl.h"
#include <stdatomic.h>
#include <string.h>

enum { BODY_MAX = 8 << 20, COMMENT_BODY = 8 << 10, KEY_MAX = 200, WAIT_MAX = 60, WAITERS_MAX = 2 };

struct revocation_doc {
    struct selection of;
    struct revocation_set set; /* what is chosen besides */
    const char *reason, *comment, *explanation, *key;
    bool dry_run, expect_seen, replace_first;
    int64_t expect, after, wait;
};

#define MEMBER(name, at, k, ...)                                                                             \
    {.key = (name), .kind = (k), .offset = offsetof(struct revocation_doc, at), __VA_ARGS__}
static const struct json_field revocation_schema[] = {
    SELECTION_SCHEMA(struct revocation_doc, of, REVOCATION_SERIALS_MAX),
    MEMBER("owner", set.owner, JSON_K_STRING, .max = 200, .def = "", .doc = "of this owner's devices"),
    MEMBER("issued-after", set.issued_after, JSON_K_TIME, .doc = "issued then or later"),
    MEMBER("issued-before", set.issued_before, JSON_K_TIME, .doc = "issued earlier"),
    MEMBER("expires-after", set.expires_after, JSON_K_TIME, .doc = "ending then or later"),
    MEMBER("expires-before", set.expires_before, JSON_K_TIME, .doc = "ending earlier"),
    MEMBER("reason", reason, JSON_K_STRING, .max = 40, .def = "unspecified",
           .doc = "keyCompromise, superseded, cessationOfOperation, … (RFC 5280 5.3.1)"),
    MEMBER("comment", comment, JSON_K_STRING, .max = 1000, .def = "", .doc = "for the register"),
    MEMBER("dry-run", dry_run, JSON_K_BOOL, .doc = "only count them, and show the first and whom it touches"),
    MEMBER(
        "expect", expect, JSON_K_INT, .min = 0, .max = INT64_C(1000000000000),
        .seen_offset = offsetof(struct revocation_doc, expect_seen) + 1,
        .doc =
            "how many a dry run counted; nothing is revoked where there are others. Needed without serials"),
    MEMBER("after", after, JSON_K_DURATION, .min = REVOCATION_AFTER_MIN, .max = 366 * 86400LL,
           .doc = "ask the holders to renew (RFC 9773), and revoke after so long; at once when left out"),
    MEMBER("replace-first", replace_first, JSON_K_BOOL,
           .doc = "revoke each as superseded once its holder has renewed, the rest after `after` (7d)"),
    MEMBER("explanation", explanation, JSON_K_STRING, .max = 1000, .def = "",
           .doc = "address of a page for people, shown to clients that are asked to renew"),
    MEMBER("key", key, JSON_K_STRING, .max = KEY_MAX, .def = "",
           .doc = "asked twice with the same key it is one job; the header Idempotency-Key says the same"),
    MEMBER("wait", wait, JSON_K_DURATION, .min = 0, .max = WAIT_MAX, .def = "2s",
           .doc = "answer when all are revoked, or after so long"),
    {0},
};

/* ---- answers ---- */

/* Milliseconds as seconds. */
static void put_seconds(struct buf *out, int64_t ms)
{
    if (ms < 0)
        buf_puts(out, ",\"seconds\":null");
    else
        buf_printf(out, ",\"seconds\":%lld.%03lld", (long long)(ms / 1000), (long long)(ms % 1000));
}

static void put_effects(struct buf *out, const struct revocation *j)
{
    const struct revocation_effect *v = j->effects.v;
    bool any = false;
    buf_puts(out, ",\"effects\":[");
    for (size_t i = 0; i < j->effects.n; i++)
        for (unsigned m = 0; m < REACH_MODELS; m++) {
            if (!(v[i].models & 1u << m))
                continue;
            buf_printf(out, "%s{\"model\":\"%s\"", any ? "," : "", reach_model_names[m]);
            api_put_text(out, "authority", v[i].authority);
            api_put_int(out, "certificates", v[i].n);
            api_put_time(out, "revoked_at", v[i].last_ms / 1000);
            put_seconds(out, v[i].took[m]);
            buf_putc(out, '}');
            any = true;
        }
    buf_putc(out, ']');
}

static void put_who(struct buf *out, const char *key, const char *who)
{
    if (who[0])
        api_put_text(out, key, who);
}

static tm_err put_job(struct buf *out, struct arena *a, const struct revocation *j)
{
    const char *which;
    TM_TRY(revocation_set_text(&which, a, &j->set));
    buf_printf(out, "{\"id\":\"%s\",\"status\":\"%s\"", j->id, revocation_status_names[j->status]);
    api_put_text(out, "which", which);
    api_put_text(out, "reason", crl_reason_names[j->reason]);
    api_put_text(out, "comment", j->comment);
    api_put_text(out, "by", j->by);
    api_put_time(out, "created_at", j->created_ms / 1000);
    api_put_int(out, "matched", j->matched);
    api_put_int(out, "revoked", j->revoked);
    api_put_int(out, "superseded", j->superseded);
    api_put_int(out, "revoked_before", j->before);
    api_put_int(out, "asked_to_renew", j->asked);
    api_put_int(out, "looked_at", j->looked);
    api_put_bool(out, "needs_approval", j->approval);
    put_who(out, "approved_by", j->approved_by);
    put_who(out, "canceled_by", j->canceled_by);
    api_put_bool(out, "replace_first", j->replace_first);
    api_put_time(out, "begun_at", j->begun_ms / 1000);
    api_put_time(out, "deadline", j->deadline);
    api_put_time(out, "revoked_at", j->revoked_ms / 1000);
    api_put_time(out, "ended_at", j->ended_ms / 1000);
    put_who(out, "why", j->why);
    put_effects(out, j);
    buf_putc(out, '}');
    return TM_OK;
}

static void put_tallies(struct buf *out, const char *key, const struct revocation_tally *v, size_t n)
{
    buf_printf(out, ",\"%s\":[", key);
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s{\"name\":", i ? "," : "");
        buf_put_json_string(out, slice_str(v[i].name));
        api_put_int(out, "n", (int64_t)v[i].n);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static void put_touched(struct buf *out, const struct revocation_touched *t)
{
    buf_printf(out, ",\"touched\":{\"devices\":%llu", (unsigned long long)t->devices);
    api_put_bool(out, "more", t->more);
    put_tallies(out, "profiles", t->profiles, t->n_profiles);
    put_tallies(out, "owners", t->owners, t->n_owners);
    buf_puts(out, "},\"first\":[");
    for (size_t i = 0; i < t->n_sample; i++) {
        buf_puts(out, i ? "," : "");
        api_put_cert(out, &t->sample[i], false);
    }
    buf_putc(out, ']');
}

static void put_sums(struct buf *out, uint64_t matched, uint64_t revoked, uint64_t before, bool dry)
{
    buf_printf(out, "{\"matched\":%llu", (unsigned long long)matched);
    api_put_int(out, "revoked", (int64_t)revoked);
    api_put_int(out, "revoked_before", (int64_t)before);
    api_put_bool(out, "dry_run", dry);
}

/* ---- asked ---- */

static tm_err order_of(struct revocation_order *o, const struct api_call *c, const struct revocation_doc *d,
                       struct diag *diag)
{
    *o = (struct revocation_order){
        .tenant = c->tenant->id,
        .set = d->set,
        .serials = d->of.serials.v,
        .n_serials = d->of.serials.n,
        .reason = -1,
        .comment = d->comment,
        .by = c->principal,
        .explanation = d->explanation,
        .key = d->key[0] || !c->idempotency_key ? d->key : c->idempotency_key,
        .after = d->after || !d->replace_first ? d->after : REVOCATION_AFTER_DEFAULT,
        .replace_first = d->replace_first,
        .expects = d->expect_seen,
        .expect = d->expect,
    };
    o->set.authority = d->of.authority;
    o->set.profile = d->of.profile;
    o->set.device = d->of.device;
    for (int i = 0; i <= CRL_AA_COMPROMISE; i++)
        if (crl_reason_names[i] && strcmp(crl_reason_names[i], d->reason) == 0)
            o->reason = i;
    if (o->reason < 0 || o->reason == CRL_REMOVE_FROM_CRL)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 5.3.1", "/reason", "there is no reason \"%s\"",
                         d->reason);
    if (strlen(o->key) > KEY_MAX)
        return diag_fail(diag, TM_EINVAL, NULL, "key", "an idempotency key has at most %d characters",
                         KEY_MAX);
    if (d->explanation[0] && strncmp(d->explanation, "https://", 8) != 0 &&
        strncmp(d->explanation, "http://", 7) != 0)
        return diag_fail(diag, TM_EINVAL, "RFC 9773 4.2", "/explanation", "must be an address of the web");
    if (!d->of.serials.n && !d->dry_run && !d->expect_seen)
        return diag_fail(diag, TM_EINVAL, NULL, "/expect",
                         "say how many are expected; with dry-run they are counted");
    return TM_OK;
}

static tm_err look(struct api_call *c, const struct revocation_order *o, struct diag *diag)
{
    struct revocation_touched *t = arena_calloc(c->arena, 1, sizeof *t);
    TM_TRY(t ? revocation_look(t, c->arena, c->house, o, diag) : TM_ENOMEM);
    if (o->expects && (int64_t)t->matched != o->expect)
        return diag_fail(diag, TM_ECONFLICT, NULL, "/expect", "there are %llu, not %lld; nothing was revoked",
                         (unsigned long long)t->matched, (long long)o->expect);
    put_sums(&c->out, t->matched, 0, t->before, true);
    put_touched(&c->out, t);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

/* Few wait at a time: each takes a thread that others need. */
static tm_err await(struct revocation *j, struct api_call *c, int64_t seconds, struct diag *diag)
{
    static atomic_int waiters;
    tm_err e = TM_OK;
    if (atomic_fetch_add(&waiters, 1) < WAITERS_MAX)
        e = revocation_await(j, c->arena, c->house, c->tenant->id, j->id, seconds * 1000, diag);
    atomic_fetch_sub(&waiters, 1);
    return e;
}

static tm_err revoke_many(struct api_call *c, struct diag *diag)
{
    struct revocation_doc d = {0};
    struct revocation_order o;
    struct revocation j;
    json_t *doc = NULL;
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, revocation_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    TM_TRY(order_of(&o, c, &d, diag));
    if (d.dry_run)
        return look(c, &o, diag);
    TM_TRY(revocation_start(&j, c->arena, c->house, &o, diag));
    TM_TRY(await(&j, c, d.wait, diag));
    put_sums(&c->out, (uint64_t)j.matched, (uint64_t)j.revoked, (uint64_t)j.before, false);
    buf_puts(&c->out, ",\"job\":");
    TM_TRY(put_job(&c->out, c->arena, &j));
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

/* ---- jobs ---- */

static tm_err list(struct api_call *c, struct diag *diag)
{
    const char *after = api_query(c, "after"), *status = api_query(c, "status");
    struct revocation *v;
    size_t n, limit, shown = 0;
    bool more;
    TM_TRY(api_limit(&limit, c, 100, 1000, diag));
    TM_TRY(
        revocation_list(&v, &n, &more, c->arena, c->house, c->tenant->id, after ? after : "", limit, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < n; i++) {
        if (status && status[0] && strcmp(status, revocation_status_names[v[i].status]) != 0)
            continue;
        buf_puts(&c->out, shown++ ? "," : "");
        TM_TRY(put_job(&c->out, c->arena, &v[i]));
    }
    buf_putc(&c->out, ']');
    if (more && n)
        api_put_text(&c->out, "next", v[n - 1].id);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    struct revocation j;
    TM_TRY(revocation_get(&j, c->arena, c->house, c->tenant->id, api_param(c, "id"), diag));
    TM_TRY(put_job(&c->out, c->arena, &j));
    buf_putc(&c->out, '\n');
    return TM_OK;
}

static tm_err approve(struct api_call *c, struct diag *diag)
{
    const char *comment;
    TM_TRY(api_comment(&comment, c, diag));
    TM_TRY(revocation_approve(c->house, c->tenant->id, api_param(c, "id"), c->principal, comment, diag));
    return get(c, diag);
}

static tm_err cancel(struct api_call *c, struct diag *diag)
{
    const char *comment;
    TM_TRY(api_comment(&comment, c, diag));
    TM_TRY(revocation_cancel(c->house, c->tenant->id, api_param(c, "id"), c->principal, comment, diag));
    return get(c, diag);
}

/* ---- what the document says ---- */

static const struct api_field revocations_fields[] = {
    {"matched", "integer", "how many are concerned", "12"},
    {"revoked", "integer", "how many are revoked by now", "12"},
    {"revoked_before", "integer", "of the serials, how many were revoked already", "0"},
    {"dry_run", "boolean", NULL, "false"},
    {"touched?", "RevocationTouched", "dry runs: whom it would touch", NULL},
    {"first?", "[]Certificate", "dry runs: at most ten of them", NULL},
    {"job?", "RevocationJob", "what does it", NULL},
    {0},
};
static const struct api_field touched_fields[] = {
    {"devices", "integer", "how many devices", "7"},
    {"more", "boolean", "there are more than were told apart", "false"},
    {"profiles", "[]RevocationTally", "certificates by profile", NULL},
    {"owners", "[]RevocationTally", "devices by owner", NULL},
    {0},
};
static const struct api_field tally_fields[] = {
    {"name", "string", NULL, "server-internal-1y"}, {"n", "integer", NULL, "12"}, {0}};
static const struct api_field job_fields[] = {
    {"id", "string", NULL, "019a9fd1c0de5f3a09b1c2"},
    {"status", "waits-for-approval|asks-for-renewal|planned|running|taking-effect|done|canceled",
     "taking-effect: all are revoked, and not everything that is published says so", "done"},
    {"which", "string", "what was chosen by", "profile=server-internal-1y"},
    {"reason", "string", NULL, "superseded"},
    {"comment", "string", NULL, ""},
    {"by", "string", "who asked", "admin"},
    {"created_at", "time?", NULL, NULL},
    {"matched", "integer", "counted when it was asked for", "12"},
    {"revoked", "integer", NULL, "12"},
    {"superseded", "integer", "of these, whose holders had renewed", "0"},
    {"revoked_before", "integer", "of the serials, how many were revoked already", "0"},
    {"asked_to_renew", "integer", NULL, "0"},
    {"looked_at", "integer", "how far it is", "12"},
    {"needs_approval", "boolean", "of somebody else than who asked", "false"},
    {"approved_by?", "string", NULL, "operator-2"},
    {"canceled_by?", "string", NULL, "admin"},
    {"replace_first", "boolean", NULL, "false"},
    {"begun_at", "time?", NULL, NULL},
    {"deadline", "time?", "when those are revoked who were asked to renew", NULL},
    {"revoked_at", "time?", "when the last one was", NULL},
    {"ended_at", "time?", NULL, NULL},
    {"why?", "string", "why it does not go on", NULL},
    {"effects", "[]RevocationEffect", "until what is published says so", NULL},
    {0},
};
static const struct api_field effect_fields[] = {
    {"model", "crl|shard|delta|ocsp|filter|expiry", "expiry: nobody is told, their end is their revocation",
     "crl"},
    {"authority", "string", NULL, "issuing-ca"},
    {"certificates", "integer", "of this authority", "12"},
    {"revoked_at", "time?", "the last of them", NULL},
    {"seconds", "number?", "from then until it was said; null: not yet", "0.042"},
    {0},
};
static const struct api_field list_fields[] = {
    {"items", "[]RevocationJob", NULL, NULL},
    {"next?", "string", "what `after` is for the next page", "019a9fd1c0de5f3a09b1c2"},
    {0},
};
const struct api_schema revocation_api_schemas[] = {
    {"Revocations", "certificates are revoked, or would be", revocations_fields, NULL, NULL},
    {"RevocationTouched", NULL, touched_fields, NULL, NULL},
    {"RevocationTally", NULL, tally_fields, NULL, NULL},
    {"RevocationJob", "a mass revocation: what was asked, and how far it is", job_fields, NULL, NULL},
    {"RevocationEffect", "how long it took in one model", effect_fields, NULL, NULL},
    {"RevocationList", NULL, list_fields, NULL, NULL},
    {"RevocationsRequest", "which certificates, why and when", NULL, revocation_schema,
     "{\"profile\":\"enterprise-tls-47d\",\"reason\":\"superseded\",\"dry-run\":true}"},
    {0},
};
static const struct api_field list_query[] = {
    {"status", "string", "only those: waits-for-approval, running, …", "waits-for-approval"},
    {0},
};

enum { DECIDERS = ROLE_ADMIN | ROLE_OPERATOR };

const struct api_route revocation_api_routes[] = {
    {HTTP_M_POST, "/api/v1/revocations", DECIDERS, revoke_many, BODY_MAX, "revokeCertificates",
     "Revoke many certificates: counted by a dry run first, then a job", "certificates", "RevocationsRequest",
     "Revocations", API_IDEMPOTENT},
    {HTTP_M_GET, "/api/v1/revocations", API_READERS, list, 0, "listRevocations", "Mass revocations",
     "certificates", NULL, "RevocationList", API_PAGED, list_query},
    {HTTP_M_GET, "/api/v1/revocations/{id}", API_READERS, get, 0, "getRevocation",
     "One mass revocation: how far it is, and how long each model took to say so", "certificates", NULL,
     "RevocationJob"},
    {HTTP_M_POST, "/api/v1/revocations/{id}/approve", DECIDERS, approve, COMMENT_BODY, "approveRevocation",
     "Approve one that somebody else has asked for", "certificates", "Comment", "RevocationJob",
     API_BODY_OPTIONAL},
    {HTTP_M_POST, "/api/v1/revocations/{id}/cancel", DECIDERS, cancel, COMMENT_BODY, "cancelRevocation",
     "Stop one: what is revoked stays revoked", "certificates", "Comment", "RevocationJob",
     API_BODY_OPTIONAL},
    {0},
};
