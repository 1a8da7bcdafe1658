#include "enroll/acme/caa.h"
#include "base/arena.h"
#include "enroll/acme/issue_value.h"
#include "enroll/acme/resolve.h"
#include <string.h>

enum { FLAG_CRITICAL = 0x80 };

/* ---- one record ---- */

/* RFC 8659 4.1: flags, length of the tag, tag (letters and digits), value */
struct property {
    bool critical;
    struct slice tag, value;
};

static bool property_parse(struct property *ret, struct slice rdata)
{
    if (rdata.n < 3 || rdata.p[1] == 0 || rdata.p[1] > rdata.n - 2)
        return false;
    struct slice tag = slice_sub(rdata, 2, rdata.p[1]);
    for (size_t i = 0; i < tag.n; i++) {
        uint8_t c = tag.p[i] | 0x20;
        if (!(c >= 'a' && c <= 'z') && !(tag.p[i] >= '0' && tag.p[i] <= '9'))
            return false;
    }
    *ret = (struct property){
        .critical = rdata.p[0] & FLAG_CRITICAL, .tag = tag, .value = slice_sub(rdata, 2 + tag.n, rdata.n)};
    return true;
}

static bool tag_is(const struct property *p, const char *tag)
{
    return slice_caseeq(p->tag, slice_str(tag));
}

/* Understood, whether it is about us or not: mail (RFC 9495) is not what is issued here. */
static bool tag_known(const struct property *p)
{
    return tag_is(p, "issue") || tag_is(p, "issuewild") || tag_is(p, "iodef") || tag_is(p, "issuemail");
}

/* RFC 8657 4: a list of methods with commas in between */
static bool method_listed(struct slice list, const char *method)
{
    while (list.n > 0) {
        const uint8_t *comma = memchr(list.p, ',', list.n);
        size_t n = comma ? (size_t)(comma - list.p) : list.n;
        if (n > 0 && slice_eq_str(slice_sub(list, 0, n), method))
            return true;
        list = comma ? slice_sub(list, n + 1, list.n) : (struct slice){0};
    }
    return false;
}

/* How far a value is ours. Of several, the best one counts. */
enum match { MATCH_NOBODY, MATCH_OTHERS, MATCH_BROKEN, MATCH_ACCOUNT, MATCH_METHOD, MATCH_OURS };
static const char *const match_why[] = {
    [MATCH_NOBODY] = "let nobody issue",
    [MATCH_OTHERS] = "name other authorities",
    [MATCH_BROKEN] = "name this authority with parameters that can't be read",
    [MATCH_ACCOUNT] = "name this authority for another account",
    [MATCH_METHOD] = "name this authority for other challenges than the one that proved the name",
};

static enum match match_value(struct slice text, const struct caa_wanted *w)
{
    struct issue_value v;
    struct slice tag, value;
    bool account = false, methods = false, account_ok = true, method_ok = true;
    issue_value_begin(&v, text);
    if (!issue_value_is_for(&v, w->issuers))
        return v.issuer.n ? MATCH_OTHERS : MATCH_NOBODY;
    while (issue_value_next(&v, &tag, &value)) {
        bool is_account = slice_caseeq(tag, SLICE_LIT("accounturi"));
        bool is_methods = slice_caseeq(tag, SLICE_LIT("validationmethods"));
        /* RFC 8657 3, 4: not more than once */
        if ((is_account && account) || (is_methods && methods))
            return MATCH_BROKEN;
        if (is_account)
            account_ok = slice_eq_str(value, w->account_url);
        if (is_methods)
            method_ok = method_listed(value, w->method);
        account = account || is_account;
        methods = methods || is_methods;
    }
    if (v.bad)
        return MATCH_BROKEN;
    return !account_ok ? MATCH_ACCOUNT : !method_ok ? MATCH_METHOD : MATCH_OURS;
}

bool caa_judge(const struct slice *records, size_t n, const struct caa_wanted *w, const char **ret_why)
{
    bool has_issue = false, has_wild = false;
    enum match issue = MATCH_NOBODY, wild = MATCH_NOBODY;
    for (size_t i = 0; i < n; i++) {
        struct property p;
        if (!property_parse(&p, records[i])) {
            *ret_why = "can't be read";
            return false;
        }
        /* RFC 8659 4.1: what is critical and not understood stops everybody */
        if (p.critical && !tag_known(&p)) {
            *ret_why = "have a critical property that is not known here";
            return false;
        }
        if (!tag_is(&p, "issue") && !tag_is(&p, "issuewild"))
            continue;
        enum match m = match_value(p.value, w);
        bool is_wild = tag_is(&p, "issuewild");
        enum match *best = is_wild ? &wild : &issue;
        *best = m > *best ? m : *best;
        has_wild = has_wild || is_wild;
        has_issue = has_issue || !is_wild;
    }
    /* RFC 8659 4.3: for a wildcard, issue counts only where there is no issuewild */
    bool by_wild = w->wildcard && has_wild;
    enum match best = by_wild ? wild : issue;
    if ((!by_wild && !has_issue) || best == MATCH_OURS)
        return true;
    *ret_why = match_why[best];
    return false;
}

/* ---- the tree ---- */

struct nodes {
    struct resolver_question v[CAA_NODES_MAX];
    size_t n;
};

static const struct resolver_question *node_find(const struct nodes *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->v[i].name, name) == 0)
            return &t->v[i];
    return NULL;
}

/* The name's parent; NULL above the top level. */
static const char *parent(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot && dot[1] ? dot + 1 : NULL;
}

static tm_err refuse(struct caa_name *x, enum acme_problem p, struct arena *a, const char *node,
                     const char *why)
{
    x->problem = p;
    x->detail = p == ACME_P_CAA ? arena_printf(a, "the CAA records of %.200s %s", node, why)
                                : arena_printf(a, "CAA records can't be looked up: %s", why);
    return x->detail ? TM_OK : TM_ENOMEM;
}

/* One step of a name: its node has been looked up. *at becomes the next node, NULL when the name is decided. */
static tm_err step(struct caa_name *x, const char **at, const struct resolver_question *q,
                   const struct caa_wanted *w, struct arena *a)
{
    const char *why, *node = *at;
    *at = NULL;
    if (q->err != TM_OK)
        return refuse(x, ACME_P_DNS, a, node, q->why);
    if (q->n == 0) {
        *at = parent(node);
        return TM_OK;
    }
    return caa_judge(q->records, q->n, w, &why) ? TM_OK : refuse(x, ACME_P_CAA, a, node, why);
}

tm_err caa_look(struct caa_name *v, size_t n, const struct json_strings *issuers, const char *account_url,
                struct resolver *r, struct arena *a, uint64_t deadline_ns)
{
    struct nodes *t = arena_alloc(a, sizeof *t);
    const char **at = arena_calloc(a, n + 1, sizeof *at);
    if (!t || !at)
        return TM_ENOMEM;
    t->n = 0;
    for (size_t i = 0; i < n; i++) {
        v[i].problem = ACME_P_NONE;
        v[i].detail = "";
        at[i] = v[i].domain;
    }
    for (bool more = true; more;) {
        size_t asked = t->n;
        for (size_t i = 0; i < n; i++) {
            if (!at[i] || node_find(t, at[i]))
                continue;
            if (t->n == CAA_NODES_MAX) {
                TM_TRY(refuse(&v[i], ACME_P_DNS, a, at[i], "the names have too many labels together"));
                at[i] = NULL;
                continue;
            }
            t->v[t->n++] = (struct resolver_question){.name = at[i], .type = RESOLVE_CAA};
        }
        TM_TRY(resolver_ask(t->v + asked, t->n - asked, a, r, deadline_ns));
        more = false;
        for (size_t i = 0; i < n; i++) {
            const struct resolver_question *q = at[i] ? node_find(t, at[i]) : NULL;
            if (!q)
                continue;
            const struct caa_wanted w = {.issuers = issuers,
                                         .account_url = account_url,
                                         .method = v[i].method,
                                         .wildcard = v[i].wildcard};
            TM_TRY(step(&v[i], &at[i], q, &w, a));
            more = more || at[i];
        }
    }
    return TM_OK;
}
