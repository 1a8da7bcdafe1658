#include "finding/finding.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "finding/pass.h"
#include "issue/house.h"
#include "register/register.h"
#include <inttypes.h>
#include <string.h>

enum {
    STATE_MAX = 16 << 10,
    LOOK_MAX = 4000,
    PAGE = 500,
    COUNT_PAGE = 2000,
    DUE_MAX = 200,
    REASON_MAX = 1000,
    TRIES = 8
};

const char *const finding_status_names[] = {"", "open", "accepted", "snoozed", "gone", NULL};
const char *const finding_severity_names[] = {"info", "low", "medium", "high", "critical", NULL};

enum finding_severity finding_severity_of(const char *word)
{
    unsigned i = 0;
    while (i < FINDING_SEVERITIES && strcmp(finding_severity_names[i], word) != 0)
        i++;
    return (enum finding_severity)i;
}

tm_err finding_id(char ret[FINDING_ID_LEN + 1], const char *rule, const char *subject)
{
    uint8_t hash[SHA256_LEN];
    const struct slice parts[] = {slice_str(rule), SLICE_LIT("\0"), slice_str(subject)};
    TM_TRY(sha256_many(hash, parts, 3));
    hex_encode(ret, slice_of(hash, FINDING_ID_LEN / 2));
    return TM_OK;
}

/* ---- rows ---- */

struct state {
    const char *rule, *name, *why, *reason, *by;
    int severity;
    int64_t opened, changed, closed, until, not_after;
    json_t *evidence;
};
static const struct json_field state_schema[] = {
    JSON_FIELD(struct state, rule, JSON_K_STRING, .required = true, .max = 64),
    JSON_FIELD(struct state, name, JSON_K_STRING, .max = 2 * FINDING_NAME_MAX, .def = ""),
    JSON_FIELD(struct state, why, JSON_K_STRING, .max = 2 * FINDING_WHY_MAX, .def = ""),
    JSON_FIELD(struct state, reason, JSON_K_STRING, .max = 4 * REASON_MAX, .def = ""),
    JSON_FIELD(struct state, by, JSON_K_STRING, .max = 256, .def = ""),
    JSON_FIELD(struct state, severity, JSON_K_ENUM, .names = finding_severity_names, .def = "medium"),
    JSON_FIELD(struct state, opened, JSON_K_INT),
    JSON_FIELD(struct state, changed, JSON_K_INT),
    JSON_FIELD(struct state, closed, JSON_K_INT),
    JSON_FIELD(struct state, until, JSON_K_INT),
    {.key = "not-after", .kind = JSON_K_INT, .offset = offsetof(struct state, not_after)},
    JSON_FIELD(struct state, evidence, JSON_K_ANY),
    {0},
};

tm_err finding_from_row(struct finding *ret, struct arena *a, const struct object_row *row, struct diag *diag)
{
    json_t *doc = NULL;
    struct state s = {0};
    struct buf evidence;
    struct slice text;
    buf_init(&evidence, STATE_MAX);
    tm_err e = json_parse(&doc, row->state, STATE_MAX, diag);
    if (e == TM_OK)
        e = json_bind(&s, state_schema, doc, "", a, diag);
    if (e == TM_OK && s.evidence)
        buf_put_json(&evidence, s.evidence, false);
    else
        buf_puts(&evidence, "{}");
    if (e == TM_OK)
        e = buf_err(&evidence);
    if (e == TM_OK)
        e = arena_copy(&text, a, buf_slice(&evidence));
    buf_done(&evidence);
    json_decref(doc);
    if (e != TM_OK)
        return tm_err_class(e) == TM_CLASS_CALLER ? TM_ECORRUPT : e;
    *ret = (struct finding){.tenant = row->tenant,
                            .id = row->id,
                            .rule = s.rule,
                            .subject = row->owner,
                            .owner = row->key,
                            .status = (enum finding_status)row->status,
                            .severity = (enum finding_severity)s.severity,
                            .name = s.name,
                            .why = s.why,
                            .evidence = text,
                            .opened_ms = s.opened,
                            .changed_ms = s.changed,
                            .closed_ms = s.closed,
                            .until = s.until,
                            .reason = s.reason,
                            .by = s.by,
                            .not_after = s.not_after,
                            .version = row->version};
    return TM_OK;
}

/* A word in quotes at the beginning of `s`, behind `lead`; what is behind it stays in `s`. */
static bool head_word(struct slice *ret, struct slice *s, const char *lead)
{
    size_t n = strlen(lead);
    const uint8_t *end = s->n > n && memcmp(s->p, lead, n) == 0 ? memchr(s->p + n, '"', s->n - n) : NULL;
    if (!end)
        return false;
    *ret = slice_of(s->p + n, (size_t)(end - s->p) - n);
    *s = slice_sub(*s, (size_t)(end - s->p), s->n);
    return true;
}

tm_err finding_head(const struct finding_rule **ret_rule, enum finding_severity *ret_severity,
                    const struct object_row *row)
{
    struct slice s = row->state, rule, severity;
    char text[2][64];
    if (head_word(&rule, &s, "{\"rule\":\"") && head_word(&severity, &s, "\",\"severity\":\"") &&
        rule.n < sizeof *text && severity.n < sizeof *text) {
        snprintf(text[0], sizeof *text, "%.*s", (int)rule.n, (const char *)rule.p);
        snprintf(text[1], sizeof *text, "%.*s", (int)severity.n, (const char *)severity.p);
        *ret_rule = finding_rule_find(text[0]);
        *ret_severity = finding_severity_of(text[1]);
        return *ret_severity < FINDING_SEVERITIES ? TM_OK : TM_ECORRUPT;
    }
    /* Written in another order. */
    struct finding f;
    struct diag none = {0};
    struct arena *a = arena_new(1 << 20);
    tm_err e = a ? finding_from_row(&f, a, row, &none) : TM_ENOMEM;
    if (e == TM_OK) {
        *ret_rule = finding_rule_find(f.rule);
        *ret_severity = f.severity;
    }
    arena_free(a);
    return e;
}

static void put_text(struct buf *b, const char *key, const char *text)
{
    buf_printf(b, ",\"%s\":", key);
    buf_put_json_string(b, slice_str(text));
}

static void put_int(struct buf *b, const char *key, int64_t v)
{
    if (v)
        buf_printf(b, ",\"%s\":%" PRId64, key, v);
}

tm_err finding_effect(struct effect *ret, struct arena *a, const struct finding *f)
{
    struct buf b;
    struct slice state;
    buf_init(&b, STATE_MAX);
    /* In this order: finding_head() reads the beginning. */
    buf_printf(&b, "{\"rule\":\"%s\"", f->rule);
    put_text(&b, "severity", finding_severity_names[f->severity]);
    buf_puts(&b, ",\"evidence\":");
    if (f->evidence.n)
        buf_put_slice(&b, f->evidence);
    else
        buf_puts(&b, "{}");
    put_text(&b, "name", f->name);
    put_text(&b, "why", f->why);
    if (f->reason && f->reason[0])
        put_text(&b, "reason", f->reason);
    if (f->by && f->by[0])
        put_text(&b, "by", f->by);
    put_int(&b, "opened", f->opened_ms);
    put_int(&b, "changed", f->changed_ms);
    put_int(&b, "closed", f->closed_ms);
    put_int(&b, "until", f->until);
    put_int(&b, "not-after", f->not_after);
    buf_putc(&b, '}');
    tm_err e = buf_err(&b) == TM_OK ? arena_copy(&state, a, buf_slice(&b)) : buf_err(&b);
    buf_done(&b);
    TM_TRY(e);
    bool aside = f->status == FINDING_ACCEPTED || f->status == FINDING_SNOOZED;
    *ret = (struct effect){.kind = EFFECT_OBJECT_PUT, .tenant = f->tenant, .expected_version = f->version};
    ret->u.object.row = (struct object_row){
        .kind = OBJECT_FINDING,
        .id = f->id,
        .owner = f->subject,
        .key = f->owner,
        .ref = "",
        .status = (int)f->status,
        .due_at = aside ? f->until * 1000 : 0,
        .created_at = f->opened_ms / 1000,
        .keep_until = f->status == FINDING_GONE ? f->closed_ms / 1000 + FINDING_KEEP_GONE : 0,
        .state = state};
    return TM_OK;
}

/* ---- reading ---- */

tm_err finding_get(struct finding *ret, struct arena *a, struct house *h, tenant_id tenant, const char *id,
                   struct diag *diag)
{
    struct store_read q = {
        .kind = READ_OBJECT, .tenant = tenant, .arena = a, .object_kind = OBJECT_FINDING, .name = id};
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_OK)
        return finding_from_row(ret, a, &q.objects[0], diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "id", "there is no such finding");
    *diag = q.diag;
    return e;
}

/* Most rows are passed over by what stands at their beginning. */
static bool passes_head(const struct object_row *row, const struct finding_filter *w)
{
    const struct finding_rule *r;
    enum finding_severity severity;
    if ((!w->least && !w->rule) || finding_head(&r, &severity, row) != TM_OK)
        return true;
    return severity >= w->least && (!w->rule || !r || strcmp(w->rule, r->id) == 0);
}

static bool passes(const struct finding *f, const struct finding_filter *w)
{
    return f->severity >= w->least && (!w->rule || strcmp(w->rule, f->rule) == 0) &&
           (!w->owner || strcmp(w->owner, f->owner) == 0) &&
           (!w->subject || strcmp(w->subject, f->subject) == 0);
}

tm_err finding_list(struct finding **ret, size_t *ret_n, const char **ret_next, struct arena *a,
                    struct house *h, tenant_id tenant, const struct finding_filter *filter, const char *after,
                    size_t limit, struct diag *diag)
{
    struct finding *v = arena_calloc(a, limit + 1, sizeof *v);
    struct store_read q = {.kind = filter->subject ? READ_OBJECTS_OWNED : READ_OBJECTS,
                           .tenant = tenant,
                           .arena = a,
                           .object_kind = OBJECT_FINDING,
                           .object_status = filter->subject ? 0 : (int)filter->status,
                           .name = filter->subject,
                           .after = slice_str(after),
                           .limit = PAGE};
    size_t n = 0;
    const char *next = "";
    if (!v)
        return TM_ENOMEM;
    for (size_t looked = 0; looked < LOOK_MAX && n < limit;) {
        tm_err e = store_read_now(h->store, &q);
        if (e != TM_OK) {
            *diag = q.diag;
            return e;
        }
        size_t i = 0;
        for (; i < q.n && n < limit; i++) {
            if (!passes_head(&q.objects[i], filter))
                continue;
            TM_TRY(finding_from_row(&v[n], a, &q.objects[i], diag));
            bool fits = !filter->status || v[n].status == filter->status;
            n += fits && passes(&v[n], filter);
        }
        looked += i;
        next = i < q.n || q.more ? (i ? q.objects[i - 1].id : next) : "";
        if (i < q.n || !q.more)
            break;
        q.after = q.page_next;
    }
    *ret = v;
    *ret_n = n;
    *ret_next = next;
    return TM_OK;
}

tm_err finding_count(struct finding_counts *ret, struct house *h, tenant_id tenant, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct store_read q = {.kind = READ_OBJECTS,
                           .tenant = tenant,
                           .arena = a,
                           .object_kind = OBJECT_FINDING,
                           .limit = COUNT_PAGE};
    char after[FINDING_ID_LEN + 1] = "";
    tm_err e = a ? TM_OK : TM_ENOMEM;
    *ret = (struct finding_counts){0};
    do {
        if (e == TM_OK && (e = store_read_now(h->store, &q)) != TM_OK)
            *diag = q.diag;
        for (size_t i = 0; e == TM_OK && i < q.n; i++) {
            const struct finding_rule *r;
            enum finding_severity severity;
            int status = q.objects[i].status;
            e = finding_head(&r, &severity, &q.objects[i]);
            if (e != TM_OK || status < 0 || status >= FINDING_STATUSES)
                continue;
            ret->by_status[status]++;
            ret->open_by_severity[severity] += status == FINDING_OPEN;
            if (r)
                ret->by_rule[finding_rule_index(r)][status]++;
            if (r && status == FINDING_OPEN)
                ret->open[finding_rule_index(r)][severity]++;
        }
        if (e == TM_OK && q.n && strlen(q.objects[q.n - 1].id) < sizeof after)
            memcpy(after, q.objects[q.n - 1].id, strlen(q.objects[q.n - 1].id) + 1);
        if (a)
            arena_reset(a);
        q.after = slice_str(after);
    } while (e == TM_OK && q.more);
    arena_free(a);
    return e;
}

/* ---- deciding ---- */

static tm_err commit(struct house *h, struct arena *a, const struct finding *f, const char *type,
                     const char *comment, const char *by, struct diag *diag)
{
    struct effect effects[2];
    struct slice body;
    const char *about = arena_printf(a, "finding/%s", f->id);
    struct event_field fields[] = {
        {.key = "about", .kind = EVENT_STR, .s = slice_str(f->subject)},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by)},
        {.key = "reason", .kind = EVENT_STR, .s = slice_str(comment)},
        {.key = "rule", .kind = EVENT_STR, .s = slice_str(f->rule)},
        {.key = "until", .kind = EVENT_INT, .i = f->until},
        {0},
    };
    if (!about)
        return TM_ENOMEM;
    TM_TRY(finding_effect(&effects[0], a, f));
    TM_TRY(register_event_body(&body, a, fields));
    TM_TRY(register_event_effect(&effects[1], a, f->tenant, type, about, body, clock_now_ms()));
    return house_commit(h, effects, 2, diag);
}

struct decision_wanted {
    enum finding_status as;
    const char *reason, *by, *type;
    int64_t until;
};

/* Read, change and put, until nobody was faster. */
static tm_err decide(struct house *h, tenant_id tenant, const char *id, const struct decision_wanted *w,
                     struct diag *diag)
{
    tm_err e = TM_ECONFLICT;
    for (int i = 0; i < TRIES && e == TM_ECONFLICT; i++) {
        struct arena *a = arena_new(0);
        struct finding f;
        diag_clear(diag);
        e = a ? finding_get(&f, a, h, tenant, id, diag) : TM_ENOMEM;
        if (e == TM_OK && f.status == FINDING_GONE) {
            arena_free(a);
            return diag_fail(diag, TM_ECONFLICT, "finding.status", "id",
                             "it is true no longer: there is nothing to decide");
        }
        if (e == TM_OK && w->as == FINDING_OPEN && f.status == FINDING_OPEN) {
            arena_free(a);
            return diag_fail(diag, TM_ECONFLICT, "finding.status", "id", "it is open");
        }
        if (e == TM_OK) {
            f.status = w->as;
            f.until = w->until;
            f.reason = w->as == FINDING_OPEN ? "" : w->reason;
            f.by = w->as == FINDING_OPEN ? "" : w->by;
            f.changed_ms = clock_now_ms();
            e = commit(h, a, &f, w->type, w->reason, w->by, diag);
        }
        arena_free(a);
    }
    if (e == TM_OK)
        finding_changed(h);
    return e;
}

tm_err finding_set_aside(struct house *h, tenant_id tenant, const char *id, enum finding_status as,
                         const char *reason, int64_t until, const char *by, struct diag *diag)
{
    enum { LONGEST = 3 * 366 * 86400, SNOOZE_LONGEST = 90 * 86400 };
    int64_t now = clock_now();
    bool accept = as == FINDING_ACCEPTED;
    if (!reason[0] || strlen(reason) > REASON_MAX)
        return diag_fail(diag, TM_EINVAL, NULL, "/reason",
                         "say why, in at most %d characters: whoever reads the register will ask",
                         REASON_MAX);
    if (until <= now)
        return diag_fail(diag, TM_EINVAL, NULL, "/until", "must be in the future");
    if (until - now > (accept ? LONGEST : SNOOZE_LONGEST))
        return diag_fail(diag, TM_EINVAL, NULL, "/until",
                         accept ? "at most three years: risks are looked at again"
                                : "at most 90 days; accept it if it is to stay longer");
    const struct decision_wanted w = {.as = as,
                                      .reason = reason,
                                      .by = by,
                                      .type = accept ? "finding.accepted" : "finding.snoozed",
                                      .until = until};
    return decide(h, tenant, id, &w, diag);
}

tm_err finding_reopen(struct house *h, tenant_id tenant, const char *id, const char *comment, const char *by,
                      struct diag *diag)
{
    const struct decision_wanted w = {
        .as = FINDING_OPEN, .reason = comment, .by = by, .type = "finding.reopened"};
    return decide(h, tenant, id, &w, diag);
}

tm_err finding_wake_due(struct house *h, size_t *ret_n, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct store_read q = {.kind = READ_OBJECTS_DUE,
                           .arena = a,
                           .object_kind = OBJECT_FINDING,
                           .window_start = clock_now_ms(),
                           .limit = DUE_MAX};
    tm_err e = a ? store_read_now(h->store, &q) : TM_ENOMEM;
    size_t n = 0;
    if (e != TM_OK && a)
        *diag = q.diag;
    for (size_t i = 0; e == TM_OK && i < q.n; i++) {
        e = finding_reopen(h, q.objects[i].tenant, q.objects[i].id, "its time is over", "house", diag);
        n += e == TM_OK;
        if (e == TM_ECONFLICT || e == TM_ENOTFOUND)
            e = TM_OK;
    }
    arena_free(a);
    if (ret_n)
        *ret_n = n;
    return e;
}

/* ---- the reference ---- */

static const char head[] =
    "# Findings\n\n"
    "A finding is one rule that one certificate, or one place where a certificate was met, breaks. It opens by itself and closes by itself, when\n"
    "it is true no longer; nobody has to tick it off. Each says why it is true, shows the facts, and what to do. This page is generated from\n"
    "the rules' table; each rule is a file in `src/finding/rules/`.\n\n"
    "```sh\n"
    "touchmark finding list --severity high        # what is open\n"
    "touchmark finding show ID                     # why, evidence, remedy, controls\n"
    "touchmark finding accept ID --reason \"lab network\" --until 2027-06-30\n"
    "touchmark finding snooze ID --reason \"change window\" --for 14d\n"
    "touchmark finding reopen ID\n"
    "touchmark finding rules key.reuse             # one rule of this page\n"
    "touchmark finding run --wait                  # look at everything now\n"
    "```\n\n"
    "**When it looks.** A server looks at a certificate within seconds after it arrived, at places, devices and revocations when they change, and\n"
    "every quarter of an hour at what time brings about. Once a day, when somebody asks, when a trust set, an authority, a profile or a rule of\n"
    "ownership changes, and after an update that changed the rules, it looks at everything: only then at rules that need to know of all others\n"
    "(wildcards on many machines, primes in common). It takes what others leave of the processors: behind a hundred thousand certificates issued\n"
    "at once it comes some minutes later. Where it is stands in the store, so a restart goes on. Without a server `finding run` looks here and now.\n\n"
    "**Whose it is.** The owner of a finding is the certificate's. Owners see theirs over the API, and alerts go to them.\n\n"
    "**Accepting and putting off.** `accept` is for a risk that is taken: with a reason, at most three years, by operators and administrators.\n"
    "`snooze` is for what will be done later: at most 90 days, by owners as well. Then it is open again, unless it is true no longer. The\n"
    "register records who decided and why (`finding.accepted`, `finding.snoozed`, `finding.reopened`), and what opened and closed\n"
    "(`finding.opened`, `finding.closed`; many at once are one event with their number by rule).\n\n"
    "**What it can't see.** Profiles whose retention keeps no certificates (`metadata`, `minimal`) leave rules that read the certificate itself\n"
    "nothing to read: keys, hashes and names of these are not looked at again after they were issued. Who is a public CA is told by trust sets with\n"
    "`issuers: public` and by this machine's list of roots (`SSL_CERT_FILE`, else `/etc/ssl/certs/ca-certificates.crt`).\n\n"
    "**RSA moduli with a prime in common** are found by batch GCD: new keys are compared with each other and with all others, each pair once. The\n"
    "first pass over very many keys takes long at its end, and what arrives meanwhile is looked at after it; later ones compare only what is new.\n\n"
    "## Rules\n\n";

void finding_reference(struct buf *out)
{
    buf_puts(out, head);
    buf_puts(out, "| rule | severity | says | looks at |\n|---|---|---|---|\n");
    for (const struct finding_rule *const *r = finding_rules; *r; r++)
        buf_printf(out, "| [`%s`](#%s) | %s | %s | %s |\n", (*r)->id, (*r)->id,
                   finding_severity_names[(*r)->severity], (*r)->title,
                   (*r)->scope == FINDING_OF_CERT ? "certificates" : "places");
    for (const struct finding_rule *const *r = finding_rules; *r; r++) {
        buf_printf(
            out,
            "\n<a id=\"%s\"></a>\n### %s: %s\n\n**True when:** %s\n\n**What to do:** %s\n\n**Touches:** ",
            (*r)->id, (*r)->id, (*r)->title, (*r)->true_when, (*r)->remedy);
        for (const char *const *c = (*r)->controls; *c; c++)
            buf_printf(out, "%s%s", c == (*r)->controls ? "" : " · ", *c);
        buf_puts(out, "\n");
    }
}
