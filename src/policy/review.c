#include "policy/review.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "keys/pubkey.h"
#include "policy/lint.h"
#include "policy/profile_impl.h"
#include <stdarg.h>
#include <stdio.h>

struct review {
    struct profile_breach *v;
    size_t n, max;
};

[[gnu::format(printf, 3, 4)]] static void add(struct review *r, const char *rule, const char *fmt, ...)
{
    if (r->n == r->max)
        return;
    struct profile_breach *b = &r->v[r->n++];
    b->rule = rule;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(b->why, sizeof b->why, fmt, ap);
    va_end(ap);
}

static void review_key(struct review *r, const struct profile *p, const struct pubkey_info *key)
{
    const struct key_alg_info *info = key_alg_info(key->alg);
    if (!info || key->alg == KEY_ALG_NONE || profile_key_allowed(p, key->alg, key->bits))
        return;
    if (key->alg == KEY_ALG_RSA)
        add(r, "key.algorithm", "its key is rsa-%u, and the profile takes %s", key->bits, p->keys_text);
    else
        add(r, "key.algorithm", "its key is %s, and the profile takes %s", info->name, p->keys_text);
}

static void review_names(struct review *r, struct arena *a, const struct profile *p, const struct cert *c)
{
    struct general_names names = {0};
    /* Names that the profile writes itself are not for its rules about requests. */
    if (p->doc.san.from != SAN_FROM_REQUEST || cert_san(&names, a, c, NULL) != TM_OK)
        return;
    for (size_t i = 0; i < names.n; i++) {
        const struct general_name *gn = &names.v[i];
        struct diag why = {0};
        if (gn->type != GN_DNS && gn->type != GN_IP && gn->type != GN_URI && gn->type != GN_EMAIL)
            continue;
        if (profile_name_check(p, gn, &why) == TM_OK)
            continue;
        struct buf text;
        buf_init(&text, 1024);
        general_name_print(&text, gn);
        add(r, "names", "its name %.80s %s", buf_str(&text), why.message);
        buf_done(&text);
        return;
    }
}

static void review_lifetime(struct review *r, const struct profile *p, const struct cert *c, int64_t issued)
{
    if (p->fixed_end || c->not_after < c->not_before)
        return;
    int64_t life = c->not_after - c->not_before + 1;
    int64_t most =
        p->doc.lifetime.max > p->doc.lifetime.standard ? p->doc.lifetime.max : p->doc.lifetime.standard;
    char had[24], text[24];
    /* The beginning may be set back, and a clock may step while it is made. */
    if (most > 0 && most < TM_TIME_NEVER && life > most + p->doc.lifetime.backdate + 60) {
        duration_format(had, life / 3600 * 3600);
        duration_format(text, most);
        add(r, "lifetime.max", "it lives for %s, and the profile gives %s", had, text);
    } else if (p->doc.lifetime.calendar == CALENDAR_PUBLIC_TLS && life > calendar_public_tls(issued)) {
        duration_format(had, life / 3600 * 3600);
        duration_format(text, calendar_public_tls(issued));
        add(r, "calendar.public-tls", "it lives for %s, and on its day of issue %s was the most", had, text);
    }
}

static void review_lint(struct review *r, struct arena *a, const struct profile *p, const struct cert *c,
                        int64_t issued)
{
    struct lint_report report;
    const struct lint_subject s = {.cert = c, .arena = a, .now = issued};
    if (!profile_lint_fails(p))
        return;
    lint_run(&report, &s, profile_lint_families(p));
    for (size_t i = 0; i < report.n; i++)
        if (report.v[i].rule->severity == LINT_FAIL)
            add(r, report.v[i].rule->id, "%s: %s", report.v[i].rule->title, report.v[i].detail);
}

size_t profile_review(struct profile_breach *ret, size_t max, struct arena *a, const struct profile *p,
                      const struct cert *c, const struct pubkey_info *key, int64_t issued)
{
    struct review r = {.v = ret, .max = max};
    review_key(&r, p, key);
    review_names(&r, a, p, c);
    review_lifetime(&r, p, c, issued);
    review_lint(&r, a, p, c, issued);
    return r.n;
}
