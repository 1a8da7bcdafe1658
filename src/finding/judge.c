#include "finding/judge.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "finding/facts.h"
#include "finding/rules/rules.h"
#include "issue/house.h"
#include "register/register.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { EFFECTS = 64, STORED_MAX = 200, LISTED = 100, EVIDENCE_MAX = 8 << 10, ARENA = 64 << 20 };

struct judge {
    struct house *house;
    tenant_id tenant;
    struct arena *a; /* until the commit */
    struct effect effects[EFFECTS + 2];
    const struct finding *of[EFFECTS]; /* what the effect writes; NULL: neither opened nor closed */
    size_t n;
    uint64_t open[64];
    struct judge_counts counts, flushed;
};

tm_err judge_new(struct judge **ret, struct house *h, tenant_id tenant)
{
    struct judge *j = calloc(1, sizeof *j);
    if (!j)
        return TM_ENOMEM;
    j->house = h;
    j->tenant = tenant;
    j->a = arena_new(ARENA);
    if (!j->a) {
        free(j);
        return TM_ENOMEM;
    }
    *ret = j;
    return TM_OK;
}

void judge_free(struct judge *j)
{
    if (!j)
        return;
    arena_free(j->a);
    free(j);
}

struct judge_counts judge_counts(const struct judge *j)
{
    return j->flushed;
}

void judge_limits(struct judge *j, const uint64_t open[64])
{
    memcpy(j->open, open, sizeof j->open);
}

uint64_t judge_rules(enum finding_scope scope, unsigned only, unsigned without)
{
    uint64_t set = 0;
    for (unsigned i = 0; finding_rules[i]; i++)
        if (finding_rules[i]->scope == scope && (finding_rules[i]->flags & only) == only &&
            !(finding_rules[i]->flags & without))
            set |= UINT64_C(1) << i;
    return set;
}

/* ---- what the store has ---- */

struct stored {
    struct finding v[STORED_MAX];
    size_t n;
};

static tm_err stored_read(struct stored *ret, struct judge *j, const char *subject, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECTS_OWNED,
                           .tenant = j->tenant,
                           .arena = j->a,
                           .object_kind = OBJECT_FINDING,
                           .name = subject,
                           .limit = STORED_MAX};
    tm_err e = store_read_now(j->house->store, &q);
    ret->n = 0;
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    for (size_t i = 0; i < q.n; i++)
        TM_TRY(finding_from_row(&ret->v[ret->n++], j->a, &q.objects[i], diag));
    return TM_OK;
}

static struct finding *stored_find(struct stored *s, const char *rule)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i].rule, rule) == 0)
            return &s->v[i];
    return NULL;
}

/* ---- changes ---- */

static tm_err flush(struct judge *j, struct diag *diag);

/* `told`: it is opened or closed by this. */
static tm_err put(struct judge *j, const struct finding *f, bool told, struct diag *diag)
{
    if (j->n == EFFECTS)
        TM_TRY(flush(j, diag));
    struct finding *copy = told ? arena_alloc(j->a, sizeof *copy) : NULL;
    if (told && !copy)
        return TM_ENOMEM;
    TM_TRY(finding_effect(&j->effects[j->n], j->a, f));
    if (copy)
        *copy = *f;
    j->of[j->n++] = copy;
    return TM_OK;
}

static tm_err close_one(struct judge *j, struct finding *f, struct diag *diag)
{
    const struct finding_rule *r = finding_rule_find(f->rule);
    f->status = FINDING_GONE;
    f->closed_ms = f->changed_ms = clock_now_ms();
    f->until = 0;
    j->counts.closed++;
    if (r && j->open[finding_rule_index(r)])
        j->open[finding_rule_index(r)]--;
    return put(j, f, true, diag);
}

static tm_err evidence_text(struct slice *ret, struct arena *a, const struct finding_facts *f,
                            json_t *evidence)
{
    struct buf b;
    if (f->row) {
        char time[21];
        clock_format_rfc3339(time, f->row->not_after);
        json_object_set_new(evidence, "not_after", json_string(time));
        json_object_set_new(evidence, "issuer_class", json_string(issuer_class_names[f->issuer]));
        if (f->row->profile[0])
            json_object_set_new(evidence, "profile", json_string(f->row->profile));
        if (f->row->device[0])
            json_object_set_new(evidence, "device", json_string(f->row->device));
        found_text(&(struct found){.evidence = evidence}, "authority", f->row->authority);
    }
    buf_init(&b, EVIDENCE_MAX);
    buf_put_json(&b, evidence, false);
    tm_err e = buf_err(&b) == TM_ETOOBIG ? arena_copy(ret, a, SLICE_LIT("{}"))
               : buf_err(&b) == TM_OK    ? arena_copy(ret, a, buf_slice(&b))
                                         : buf_err(&b);
    buf_done(&b);
    return e;
}

/* Days go by without news: only what a reader acts on makes a new version. */
static bool news(const struct finding *old, const struct finding *now)
{
    return old->severity != now->severity || strcmp(old->owner, now->owner) != 0 ||
           old->not_after != now->not_after || strcmp(old->name, now->name) != 0;
}

static tm_err broken_one(struct judge *j, struct finding *old, const struct finding_facts *f,
                         const char *subject, const struct finding_rule *r, struct found *found,
                         struct diag *diag)
{
    unsigned index = finding_rule_index(r);
    struct finding now = old ? *old : (struct finding){.tenant = j->tenant, .reason = "", .by = ""};
    bool fresh = !old || old->status == FINDING_GONE;
    if (fresh && j->open[index] >= FINDING_RULE_MAX) {
        j->counts.held++;
        return TM_OK;
    }
    char *id = arena_alloc(j->a, FINDING_ID_LEN + 1);
    now.rule = r->id;
    now.subject = arena_strdup(j->a, subject);
    now.owner = arena_strdup(j->a, f->owner);
    now.name = arena_strdup(j->a, f->place ? f->place->text : f->name);
    now.why = arena_strdup(j->a, found->why);
    now.severity = found->severity;
    now.not_after = f->row ? f->row->not_after : 0;
    if (!id || !now.subject || !now.owner || !now.name || !now.why)
        return TM_ENOMEM;
    TM_TRY(finding_id(id, r->id, subject));
    now.id = id;
    TM_TRY(evidence_text(&now.evidence, j->a, f, found->evidence));
    if (!fresh && !news(old, &now))
        return TM_OK;
    now.changed_ms = clock_now_ms();
    if (!fresh) {
        j->counts.changed++;
        return put(j, &now, false, diag);
    }
    now.status = FINDING_OPEN;
    now.opened_ms = now.changed_ms;
    now.closed_ms = now.until = 0;
    now.reason = now.by = "";
    j->counts.opened++;
    j->open[index]++;
    return put(j, &now, true, diag);
}

/* Whose it is may change while what is wrong is not looked at anew. */
static tm_err give(struct judge *j, const struct finding *old, const char *owner, struct diag *diag)
{
    struct finding now = *old;
    now.owner = arena_strdup(j->a, owner);
    if (!now.owner)
        return TM_ENOMEM;
    now.changed_ms = clock_now_ms();
    j->counts.changed++;
    return put(j, &now, false, diag);
}

static enum finding_scope scope_of(const struct finding_facts *f)
{
    return f->place ? FINDING_OF_PLACE : FINDING_OF_CERT;
}

tm_err judge_subject(struct judge *j, const struct finding_facts *f, const char *subject, uint64_t set,
                     bool stored, struct diag *diag)
{
    struct stored s = {.n = 0};
    bool read = false;
    tm_err e = TM_OK;
    if (stored) {
        TM_TRY(stored_read(&s, j, subject, diag));
        read = true;
    }
    uint64_t broken = 0;
    for (unsigned i = 0; finding_rules[i] && e == TM_OK; i++) {
        const struct finding_rule *r = finding_rules[i];
        if (!(set >> i & 1) || r->scope != scope_of(f))
            continue;
        struct found found;
        found.severity = r->severity;
        found.why[0] = '\0';
        found.evidence = NULL;
        if (r->broken(f, &found)) {
            if (!found.evidence)
                found.evidence = json_object();
            broken |= UINT64_C(1) << i;
            e = found.evidence ? TM_OK : TM_ENOMEM;
            if (e == TM_OK && !read)
                e = stored_read(&s, j, subject, diag);
            read = true;
            if (e == TM_OK)
                e = broken_one(j, stored_find(&s, r->id), f, subject, r, &found, diag);
        }
        json_decref(found.evidence);
    }
    for (size_t i = 0; i < s.n && e == TM_OK; i++) {
        const struct finding_rule *r = finding_rule_find(s.v[i].rule);
        uint64_t bit = r ? UINT64_C(1) << finding_rule_index(r) : 0;
        if (s.v[i].status == FINDING_GONE)
            continue;
        if (!r || ((set & bit) && !(broken & bit)))
            e = close_one(j, &s.v[i], diag);
        else if (!(set & bit) && strcmp(s.v[i].owner, f->owner) != 0)
            e = give(j, &s.v[i], f->owner, diag);
    }
    return e;
}

tm_err judge_absent(struct judge *j, const char *subject, uint64_t set, struct diag *diag)
{
    struct stored s;
    TM_TRY(stored_read(&s, j, subject, diag));
    for (size_t i = 0; i < s.n; i++) {
        const struct finding_rule *r = finding_rule_find(s.v[i].rule);
        if (s.v[i].status != FINDING_GONE && (!r || (set >> finding_rule_index(r) & 1)))
            TM_TRY(close_one(j, &s.v[i], diag));
    }
    return TM_OK;
}

/* ---- committing ---- */

/* One event for all that were opened, or closed: which, up to LISTED, and how many a rule. */
static tm_err event(struct judge *j, bool closed, struct effect *ret, bool *ret_any)
{
    uint64_t by_rule[64] = {0}, total = 0;
    const struct finding *one = NULL;
    struct buf ids, rules;
    struct slice body;
    buf_init(&ids, 64 << 10);
    buf_init(&rules, 16 << 10);
    buf_putc(&ids, '[');
    for (size_t i = 0; i < j->n; i++) {
        const struct finding *f = j->of[i];
        if (!f || (f->status == FINDING_GONE) != closed)
            continue;
        const struct finding_rule *r = finding_rule_find(f->rule);
        if (r)
            by_rule[finding_rule_index(r)]++;
        if (total++ < LISTED)
            buf_printf(&ids, "%s\"%s\"", total > 1 ? "," : "", f->id);
        one = f;
    }
    buf_putc(&ids, ']');
    buf_putc(&rules, '{');
    for (unsigned i = 0; finding_rules[i]; i++)
        if (by_rule[i])
            buf_printf(&rules, "%s\"%s\":%" PRIu64, rules.n > 1 ? "," : "", finding_rules[i]->id, by_rule[i]);
    buf_putc(&rules, '}');
    *ret_any = total > 0;
    struct event_field fields[] = {
        {.key = "about", .kind = EVENT_STR, .s = slice_str(one && total == 1 ? one->subject : "")},
        {.key = "count", .kind = EVENT_INT, .i = (int64_t)total},
        {.key = "findings", .kind = EVENT_RAW, .s = buf_slice(&ids)},
        {.key = "rules", .kind = EVENT_RAW, .s = buf_slice(&rules)},
        {0},
    };
    tm_err e = buf_err(&ids) != TM_OK ? buf_err(&ids) : buf_err(&rules);
    if (e == TM_OK && total)
        e = register_event_body(&body, j->a, fields);
    if (e == TM_OK && total)
        e = register_event_effect(ret, j->a, j->tenant, closed ? "finding.closed" : "finding.opened",
                                  total == 1 ? arena_printf(j->a, "finding/%s", one->id) : "findings", body,
                                  clock_now_ms());
    buf_done(&ids);
    buf_done(&rules);
    return e;
}

static tm_err flush(struct judge *j, struct diag *diag)
{
    tm_err e = TM_OK;
    size_t n = j->n;
    for (int closed = 0; closed < 2 && n && e == TM_OK; closed++) {
        bool any;
        e = event(j, closed, &j->effects[n], &any);
        n += e == TM_OK && any;
    }
    if (e == TM_OK && n)
        e = house_commit(j->house, j->effects, n, diag);
    if (e == TM_OK)
        j->flushed = j->counts;
    else
        j->counts = j->flushed;
    j->n = 0;
    return e;
}

tm_err judge_flush(struct judge *j, struct diag *diag)
{
    tm_err e = flush(j, diag);
    arena_reset(j->a);
    return e;
}
