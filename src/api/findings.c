/* Findings over REST: what is wrong, deciding about it, and having everything looked at. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "base/clock.h"
#include "finding/finding.h"
#include "finding/pass.h"
#include <string.h>

enum {
    SMALL = 8 << 10,
    READERS = API_READERS | ROLE_OWNER,
    DECIDERS = ROLE_ADMIN | ROLE_OPERATOR | ROLE_OWNER
};

/* ---- answers ---- */

static void put_strings(struct buf *out, const char *key, const char *const *v)
{
    buf_printf(out, ",\"%s\":[", key);
    for (size_t i = 0; v[i]; i++) {
        buf_puts(out, i ? "," : "");
        buf_put_json_string(out, slice_str(v[i]));
    }
    buf_putc(out, ']');
}

static void put_finding(struct buf *out, const struct finding *f)
{
    static const char *const none[] = {NULL};
    const struct finding_rule *r = finding_rule_find(f->rule);
    buf_printf(out, "{\"id\":\"%s\"", f->id);
    api_put_text(out, "rule", f->rule);
    api_put_text(out, "title", r ? r->title : f->rule);
    api_put_text(out, "severity", finding_severity_names[f->severity]);
    api_put_text(out, "status", f->status < FINDING_STATUSES ? finding_status_names[f->status] : "");
    api_put_text(out, "subject", f->subject);
    api_put_text(out, "name", f->name);
    api_put_text(out, "owner", f->owner);
    api_put_text(out, "why", f->why);
    api_put_text(out, "remedy", r ? r->remedy : "");
    put_strings(out, "controls", r ? r->controls : none);
    buf_puts(out, ",\"evidence\":");
    buf_put_slice(out, f->evidence);
    api_put_time(out, "not_after", f->not_after);
    api_put_time(out, "opened_at", f->opened_ms / 1000);
    api_put_time(out, "changed_at", f->changed_ms / 1000);
    api_put_time(out, "closed_at", f->status == FINDING_GONE ? f->closed_ms / 1000 : 0);
    if (f->status == FINDING_ACCEPTED || f->status == FINDING_SNOOZED) {
        api_put_time(out, "until", f->until);
        api_put_text(out, "reason", f->reason);
        api_put_text(out, "by", f->by);
    }
    buf_putc(out, '}');
}

/* An owner sees what is theirs. */
static bool only_own(const struct api_call *c)
{
    return !(c->roles & (API_READERS | ROLE_HOUSE_ADMIN));
}

static tm_err find(struct finding *ret, struct api_call *c, unsigned roles, struct diag *diag)
{
    TM_TRY(finding_get(ret, c->arena, c->house, c->tenant->id, api_param(c, "id"), diag));
    if (c->roles & (roles | ROLE_HOUSE_ADMIN))
        return TM_OK;
    if ((c->roles & ROLE_OWNER) && c->owner_of && c->owner_of[0] && strcmp(c->owner_of, ret->owner) == 0)
        return TM_OK;
    return diag_fail(diag, TM_EFORBIDDEN, "role", NULL, "this is not about something of yours");
}

static tm_err filter_of(struct finding_filter *w, const struct api_call *c, struct diag *diag)
{
    const char *status = api_query(c, "status"), *severity = api_query(c, "severity");
    *w = (struct finding_filter){.status = FINDING_OPEN,
                                 .rule = api_query(c, "rule"),
                                 .owner = api_query(c, "owner"),
                                 .subject = api_query(c, "subject"),
                                 .least = FINDING_INFO};
    if (status) {
        unsigned i = 1;
        while (i < FINDING_STATUSES && strcmp(finding_status_names[i], status) != 0)
            i++;
        if (i == FINDING_STATUSES && strcmp(status, "any") != 0)
            return diag_fail(diag, TM_EINVAL, NULL, "status", "is open, accepted, snoozed, gone or any");
        w->status = i == FINDING_STATUSES ? 0 : (enum finding_status)i;
    }
    if (severity && (w->least = finding_severity_of(severity)) == FINDING_SEVERITIES)
        return diag_fail(diag, TM_EINVAL, NULL, "severity", "is info, low, medium, high or critical");
    if (w->rule && !finding_rule_find(w->rule))
        return diag_fail(diag, TM_EINVAL, NULL, "rule",
                         "there is no such rule; GET /api/v1/finding-rules lists them");
    if (only_own(c))
        w->owner = c->owner_of && c->owner_of[0] ? c->owner_of : "\x01nobody";
    return TM_OK;
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    struct finding_filter w;
    struct finding *v;
    size_t n, limit;
    const char *next, *after = api_query(c, "after");
    TM_TRY(api_limit(&limit, c, 100, 1000, diag));
    TM_TRY(filter_of(&w, c, diag));
    TM_TRY(
        finding_list(&v, &n, &next, c->arena, c->house, c->tenant->id, &w, after ? after : "", limit, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < n; i++) {
        buf_puts(&c->out, i ? "," : "");
        put_finding(&c->out, &v[i]);
    }
    buf_putc(&c->out, ']');
    if (next[0])
        api_put_text(&c->out, "next", next);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    struct finding f;
    TM_TRY(find(&f, c, API_READERS, diag));
    put_finding(&c->out, &f);
    buf_putc(&c->out, '\n');
    return TM_OK;
}

/* ---- deciding ---- */

struct aside_doc {
    const char *reason;
    int64_t until, period;
};
static const struct json_field aside_schema[] = {
    JSON_FIELD(struct aside_doc, reason, JSON_K_STRING, .required = true, .max = 1000,
               .doc = "why, for the register"),
    JSON_FIELD(struct aside_doc, until, JSON_K_TIME, .doc = "it is open again then"),
    {.key = "for",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct aside_doc, period),
     .min = 60,
     .max = 3 * 366 * 86400LL,
     .doc = "or after so long"},
    {0},
};

static tm_err set_aside(struct api_call *c, enum finding_status as, struct diag *diag)
{
    struct aside_doc d = {0};
    struct finding f;
    json_t *doc = NULL;
    TM_TRY(find(&f, c, ROLE_ADMIN | ROLE_OPERATOR, diag));
    /* Owners may put off what is theirs; whether a risk is taken is not theirs alone to say. */
    if (as == FINDING_ACCEPTED && !(c->roles & (ROLE_ADMIN | ROLE_OPERATOR | ROLE_HOUSE_ADMIN)))
        return diag_fail(diag, TM_EFORBIDDEN, "role", NULL,
                         "an operator or administrator accepts; you may snooze it");
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, aside_schema, doc, "", c->arena, diag);
    json_decref(doc);
    TM_TRY(e);
    if ((d.until != 0) == (d.period != 0))
        return diag_fail(diag, TM_EINVAL, NULL, "/until", "say until when, or for how long");
    TM_TRY(finding_set_aside(c->house, c->tenant->id, f.id, as, d.reason,
                             d.until ? d.until : clock_now() + d.period, c->principal, diag));
    return get(c, diag);
}

static tm_err accept(struct api_call *c, struct diag *diag)
{
    return set_aside(c, FINDING_ACCEPTED, diag);
}

static tm_err snooze(struct api_call *c, struct diag *diag)
{
    return set_aside(c, FINDING_SNOOZED, diag);
}

static tm_err reopen(struct api_call *c, struct diag *diag)
{
    struct finding f;
    const char *comment;
    TM_TRY(find(&f, c, ROLE_ADMIN | ROLE_OPERATOR, diag));
    TM_TRY(api_comment(&comment, c, diag));
    TM_TRY(finding_reopen(c->house, c->tenant->id, f.id, comment, c->principal, diag));
    return get(c, diag);
}

/* ---- rules and numbers ---- */

static tm_err rules(struct api_call *c, struct diag *diag)
{
    (void)diag;
    buf_puts(&c->out, "{\"items\":[");
    for (const struct finding_rule *const *r = finding_rules; *r; r++) {
        buf_printf(&c->out, "%s{\"id\":\"%s\"", r == finding_rules ? "" : ",", (*r)->id);
        api_put_text(&c->out, "title", (*r)->title);
        api_put_text(&c->out, "severity", finding_severity_names[(*r)->severity]);
        api_put_text(&c->out, "scope", (*r)->scope == FINDING_OF_CERT ? "certificate" : "place");
        api_put_text(&c->out, "true_when", (*r)->true_when);
        api_put_text(&c->out, "remedy", (*r)->remedy);
        put_strings(&c->out, "controls", (*r)->controls);
        buf_putc(&c->out, '}');
    }
    buf_puts(&c->out, "]}\n");
    return TM_OK;
}

static tm_err counts(struct api_call *c, struct diag *diag)
{
    struct finding_counts *n = arena_calloc(c->arena, 1, sizeof *n);
    if (!n)
        return TM_ENOMEM;
    TM_TRY(finding_count(n, c->house, c->tenant->id, diag));
    buf_puts(&c->out, "{\"by_status\":{");
    for (unsigned i = FINDING_OPEN; i < FINDING_STATUSES; i++)
        buf_printf(&c->out, "%s\"%s\":%llu", i > FINDING_OPEN ? "," : "", finding_status_names[i],
                   (unsigned long long)n->by_status[i]);
    buf_puts(&c->out, "},\"open_by_severity\":{");
    for (unsigned i = 0; i < FINDING_SEVERITIES; i++)
        buf_printf(&c->out, "%s\"%s\":%llu", i ? "," : "", finding_severity_names[i],
                   (unsigned long long)n->open_by_severity[i]);
    buf_puts(&c->out, "},\"by_rule\":[");
    bool any = false;
    for (unsigned i = 0; finding_rules[i]; i++) {
        const uint64_t *v = n->by_rule[i];
        if (!v[FINDING_OPEN] && !v[FINDING_ACCEPTED] && !v[FINDING_SNOOZED])
            continue;
        buf_printf(&c->out, "%s{\"rule\":\"%s\"", any ? "," : "", finding_rules[i]->id);
        api_put_text(&c->out, "title", finding_rules[i]->title);
        api_put_text(&c->out, "severity", finding_severity_names[finding_rules[i]->severity]);
        api_put_int(&c->out, "open", (int64_t)v[FINDING_OPEN]);
        api_put_int(&c->out, "accepted", (int64_t)v[FINDING_ACCEPTED]);
        api_put_int(&c->out, "snoozed", (int64_t)v[FINDING_SNOOZED]);
        buf_putc(&c->out, '}');
        any = true;
    }
    buf_puts(&c->out, "]}\n");
    return TM_OK;
}

/* ---- the pass ---- */

static tm_err pass(struct api_call *c, struct diag *diag)
{
    struct finding_progress p;
    TM_TRY(finding_progress_read(&p, c->arena, c->house, c->tenant->id, diag));
    buf_printf(&c->out, "{\"phase\":\"%s\"", finding_phase_names[p.phase]);
    api_put_bool(&c->out, "running", p.phase != PHASE_NONE);
    api_put_int(&c->out, "looked", (int64_t)(p.phase == PHASE_NONE ? p.last_looked : p.looked));
    api_put_time(&c->out, "begun_at", (p.phase == PHASE_NONE ? p.last_begun_ms : p.full_begun_ms) / 1000);
    api_put_time(&c->out, "last_ended_at", p.last_ended_ms / 1000);
    api_put_int(&c->out, "last_ms", p.last_ended_ms - p.last_begun_ms);
    api_put_int(&c->out, "last_ended_ms", p.last_ended_ms);
    api_put_int(&c->out, "moduli", (int64_t)p.moduli);
    api_put_int(&c->out, "moduli_left_out", (int64_t)p.moduli_left);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

struct pass_doc {
    bool deep;
};
static const struct json_field pass_schema[] = {
    JSON_FIELD(struct pass_doc, deep, JSON_K_BOOL,
               .doc = "look at the octets of keys again as well, which the pass of every day leaves out"),
    {0},
};

static tm_err start(struct api_call *c, struct diag *diag)
{
    struct pass_doc d = {0};
    if (c->body.n) {
        json_t *doc = NULL;
        TM_TRY(api_body_json(&doc, c, diag));
        tm_err e = json_bind(&d, pass_schema, doc, "", c->arena, diag);
        json_decref(doc);
        TM_TRY(e);
    }
    TM_TRY(finding_pass_request(c->house, c->tenant->id, d.deep, diag));
    return pass(c, diag);
}

/* ---- what the document says ---- */

#define FINDING_EXAMPLE "9b2f6d0f1c0c4f37a7f6f1c5e0a8d412"
static const struct api_field finding_fields[] = {
    {"id", "hex", "of rule and subject: what is found again has the same", FINDING_EXAMPLE},
    {"rule", "string", NULL, "expiring.unrenewed"},
    {"title", "string", NULL, "it ends soon and nothing renews it"},
    {"severity", "info|low|medium|high|critical", NULL, "high"},
    {"status", "open|accepted|snoozed|gone", NULL, "open"},
    {"subject", "string", "certificate/<id> or place/<id>", "certificate/" API_SERIAL_EXAMPLE},
    {"name", "string", "the subject for people", "server.example.org"},
    {"owner", "string", "whose it is; empty: nobody's", "facilities"},
    {"why", "string", "why it is true, one sentence",
     "it ends in 6 days, 2026-11-27, and nothing renews it by itself"},
    {"remedy", "string", "what to do", NULL},
    {"controls", "[]string", "which controls of standards it touches", "[\"NIST CSF 2.0 ID.AM-08\"]"},
    {"evidence", "object", "the facts, by name", NULL},
    {"not_after", "time?", "end of the certificate", NULL},
    {"opened_at", "time?", NULL, NULL},
    {"changed_at", "time?", NULL, NULL},
    {"closed_at", "time?", "when it was true no longer", NULL},
    {"until?", "time?", "accepted or snoozed so long", NULL},
    {"reason?", "string", "why it is accepted or snoozed", NULL},
    {"by?", "string", "who decided", NULL},
    {0},
};
static const struct api_field list_fields[] = {
    {"items", "[]Finding", NULL, NULL},
    {"next?", "string", "what `after` is for the next page; a page may be short while there is more",
     FINDING_EXAMPLE},
    {0},
};
static const struct api_field rule_fields[] = {
    {"id", "string", NULL, "key.weak"},
    {"title", "string", NULL, "the key is too weak"},
    {"severity", "info|low|medium|high|critical", "the usual one", "high"},
    {"scope", "certificate|place", "what it looks at", "certificate"},
    {"true_when", "string", NULL, NULL},
    {"remedy", "string", NULL, NULL},
    {"controls", "[]string", NULL, NULL},
    {0},
};
static const struct api_field rule_list_fields[] = {{"items", "[]FindingRule", NULL, NULL}, {0}};
static const struct api_field count_fields[] = {
    {"by_status", "{}integer", NULL, "{\"open\":3,\"accepted\":1,\"snoozed\":0,\"gone\":12}"},
    {"open_by_severity", "{}integer", NULL, "{\"info\":0,\"low\":1,\"medium\":1,\"high\":1,\"critical\":0}"},
    {"by_rule", "[]FindingRuleCount", "rules that have any", NULL},
    {0},
};
static const struct api_field rule_count_fields[] = {
    {"rule", "string", NULL, "key.weak"},
    {"title", "string", NULL, NULL},
    {"severity", "string", NULL, "high"},
    {"open", "integer", NULL, "1"},
    {"accepted", "integer", NULL, "0"},
    {"snoozed", "integer", NULL, "0"},
    {0},
};
static const struct api_field pass_fields[] = {
    {"phase", "none|places|certificates|gone|moduli", "what the full pass is at", "none"},
    {"running", "boolean", NULL, "false"},
    {"looked", "integer", "certificates and places by it, or by the last one", "1200"},
    {"begun_at", "time?", NULL, NULL},
    {"last_ended_at", "time?", NULL, NULL},
    {"last_ms", "integer", "how long the last one took", "840"},
    {"last_ended_ms", "integer", "when it ended, unix milliseconds: another number means another pass", NULL},
    {"moduli", "integer", "RSA moduli that were compared for primes in common", "311"},
    {"moduli_left_out", "integer", "those beyond the limit", "0"},
    {0},
};
const struct api_schema finding_api_schemas[] = {
    {"Finding", "something wrong that was found", finding_fields, NULL, NULL},
    {"FindingList", NULL, list_fields, NULL, NULL},
    {"FindingRule", "when something is a finding", rule_fields, NULL, NULL},
    {"FindingRuleList", NULL, rule_list_fields, NULL, NULL},
    {"FindingCounts", NULL, count_fields, NULL, NULL},
    {"FindingRuleCount", NULL, rule_count_fields, NULL, NULL},
    {"FindingPass", "the look at everything", pass_fields, NULL, NULL},
    {"FindingAside", "why, and until when", NULL, aside_schema,
     "{\"reason\":\"replaced with the building in March\",\"for\":\"60d\"}"},
    {"FindingPassRequest", NULL, NULL, pass_schema, "{\"deep\":true}"},
    {0},
};
static const struct api_field list_query[] = {
    {"status", "open|accepted|snoozed|gone|any", "open when left out", "open"},
    {"rule", "string", "of this rule", "key.weak"},
    {"severity", "info|low|medium|high|critical", "this severe or more", "high"},
    {"owner", "string", "of this owner", "facilities"},
    {"subject", "string", "about this subject", "certificate/" API_SERIAL_EXAMPLE},
    {0},
};

const struct api_route finding_api_routes[] = {
    {HTTP_M_GET, "/api/v1/findings", READERS, list, 0, "listFindings",
     "What is wrong; an owner sees what is theirs", "findings", NULL, "FindingList", API_PAGED, list_query},
    {HTTP_M_GET, "/api/v1/findings/{id}", READERS, get, 0, "getFinding", "One finding", "findings", NULL,
     "Finding"},
    {HTTP_M_POST, "/api/v1/findings/{id}/accept", DECIDERS, accept, SMALL, "acceptFinding",
     "Accept it until a time, at most three years", "findings", "FindingAside", "Finding"},
    {HTTP_M_POST, "/api/v1/findings/{id}/snooze", DECIDERS, snooze, SMALL, "snoozeFinding",
     "Put it off, at most 90 days; an owner may what is theirs", "findings", "FindingAside", "Finding"},
    {HTTP_M_POST, "/api/v1/findings/{id}/reopen", DECIDERS, reopen, SMALL, "reopenFinding",
     "Take back that it was accepted or snoozed", "findings", "Comment", "Finding", API_BODY_OPTIONAL},
    {HTTP_M_GET, "/api/v1/finding-rules", READERS, rules, 0, "listFindingRules",
     "The rules, and when each is true", "findings", NULL, "FindingRuleList"},
    {HTTP_M_GET, "/api/v1/finding-counts", API_READERS, counts, 0, "countFindings",
     "Numbers of findings by rule, status and severity", "findings", NULL, "FindingCounts"},
    {HTTP_M_GET, "/api/v1/finding-pass", API_READERS, pass, 0, "getFindingPass", "How far the full pass is",
     "findings", NULL, "FindingPass"},
    {HTTP_M_POST, "/api/v1/finding-pass", ROLE_ADMIN | ROLE_OPERATOR, start, SMALL, "startFindingPass",
     "Look at everything now; the server goes on by itself", "findings", "FindingPassRequest", "FindingPass",
     API_BODY_OPTIONAL},
    {0},
};
