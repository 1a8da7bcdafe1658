/* When the certificate begins and ends. Everything counts from the moment of issue; limits by date bound the whole period. */
#include "base/clock.h"
#include "policy/deciding.h"
#include "policy/review.h"

enum { DAY = 86400 };

struct span {
    int64_t begin, end;
};

/* CA/Browser Forum ballot SC-081v3, BR 6.3.2: by the day of issue. */
static const struct limit_row public_tls[] = {
    {INT64_C(0), 398 * DAY},
    {INT64_C(1773532800), 200 * DAY}, /* 2026-03-15 */
    {INT64_C(1805068800), 100 * DAY}, /* 2027-03-15 */
    {INT64_C(1868227200), 47 * DAY},  /* 2029-03-15 */
};

/* The row that holds at `now`; NULL before the first. */
static const struct limit_row *limit_at(const struct limit_row *rows, size_t n, int64_t now)
{
    const struct limit_row *row = NULL;
    for (size_t i = 0; i < n && rows[i].from <= now; i++)
        row = &rows[i];
    return row;
}

int64_t calendar_public_tls(int64_t issued)
{
    const struct limit_row *row = limit_at(public_tls, sizeof public_tls / sizeof public_tls[0], issued);
    return row ? row->max : public_tls[0].max;
}

/* RFC 5280 4.1.2.5: the period includes both of its ends. */
static void limit_apply(struct deciding *s, struct span *v, const struct limit_row *row, const char *rule)
{
    if (!row)
        return;
    if (v->end - v->begin + 1 <= row->max) {
        PASS(s, rule, "the period is within ", say_span(s, row->max));
        return;
    }
    v->end = v->begin + row->max - 1;
    APPLIED(s, rule, "the whole period is cut to ", say_span(s, row->max), ", as issued on ",
            say_time(s, s->f->now));
}

static void begin_plan(struct deciding *s, struct span *v)
{
    int64_t now = s->f->now, earliest = now - s->p->doc.lifetime.backdate;
    v->begin = earliest;
    if (s->p->doc.lifetime.requested == REQUESTED_HONOUR && s->e->not_before) {
        int64_t latest = now + 90 * (int64_t)DAY;
        v->begin = s->e->not_before < earliest ? earliest
                   : s->e->not_before > latest ? latest
                                               : s->e->not_before;
        APPLIED(s, "lifetime.requested",
                v->begin == s->e->not_before ? "begins as requested, " : "begins as near as allowed, ",
                say_time(s, v->begin));
    }
    if (v->begin < s->f->authority.not_before) {
        v->begin = s->f->authority.not_before;
        APPLIED(s, "lifetime.authority", "begins no earlier than its authority, ", say_time(s, v->begin));
    }
}

static tm_err end_plan(struct deciding *s, struct span *v)
{
    int64_t from = v->begin > s->f->now ? v->begin : s->f->now;
    if (s->p->fixed_end) {
        v->end = s->p->fixed_end;
        if (v->end <= s->f->now)
            return REFUSE(s, TM_EDENIED, "lifetime.not-after",
                          "certificates of this profile are no longer issued", "the fixed end ",
                          say_time(s, v->end), " has passed");
        APPLIED(s, "lifetime.not-after",
                v->end == TM_TIME_NEVER ? "never expires (99991231235959Z)" : "the fixed end of the profile");
        return TM_OK;
    }
    int64_t length = s->p->doc.lifetime.standard;
    if (s->p->doc.lifetime.requested == REQUESTED_HONOUR && s->e->not_after) {
        int64_t max = s->p->doc.lifetime.max, min = s->p->doc.lifetime.min;
        /* Not end - from, which hostile times could overflow. */
        int64_t asked = s->e->not_after > from ? s->e->not_after - from + 1 : 0;
        if (asked < min)
            return REFUSE(s, TM_EDENIED, "lifetime.min", "the requested lifetime is too short",
                          "the request asks for ", say_span(s, asked), "; the least is ", say_span(s, min));
        length = asked > max ? max : asked;
        APPLIED(s, "lifetime.requested",
                asked > max ? "longer than allowed, cut to " : "ends as requested, after ",
                say_span(s, length));
    } else {
        PASS(s, "lifetime.default", say_span(s, length));
    }
    v->end = from + length - 1;
    return TM_OK;
}

static tm_err outlive(struct deciding *s, struct span *v)
{
    int64_t authority = s->f->authority.not_after;
    if (v->end <= authority)
        return TM_OK;
    if (s->p->doc.lifetime.on_outlive == OUTLIVE_REFUSE)
        return REFUSE(s, TM_EDENIED, "lifetime.on-outlive", "the certificate would outlive its authority",
                      "it would end at ", say_time(s, v->end), ", its authority ends at ",
                      say_time(s, authority));
    v->end = authority;
    APPLIED(s, "lifetime.on-outlive", "cut to the end of its authority, ", say_time(s, authority));
    return TM_OK;
}

tm_err rule_lifetime(struct deciding *s)
{
    struct span v = {0};
    begin_plan(s, &v);
    TM_TRY(end_plan(s, &v));
    if (s->refused)
        return TM_OK;
    if (s->p->doc.lifetime.calendar == CALENDAR_PUBLIC_TLS)
        limit_apply(s, &v, limit_at(public_tls, sizeof public_tls / sizeof public_tls[0], s->f->now),
                    "calendar.public-tls");
    limit_apply(s, &v, limit_at(s->p->doc.lifetime.limits.v, s->p->doc.lifetime.limits.n, s->f->now),
                "lifetime.limits");
    TM_TRY(outlive(s, &v));
    if (s->refused)
        return TM_OK;
    int64_t from = v.begin > s->f->now ? v.begin : s->f->now;
    if (v.end < from || v.end - from + 1 < s->p->doc.lifetime.min)
        return REFUSE(s, TM_EDENIED, "lifetime.min", "too little time is left for a certificate",
                      "it would end at ", say_time(s, v.end), "; the least lifetime is ",
                      say_span(s, s->p->doc.lifetime.min));
    s->d->plan.not_before = v.begin;
    s->d->plan.not_after = v.end;
    PASS(s, "lifetime.period", say_time(s, v.begin), " to ", say_time(s, v.end));
    return TM_OK;
}
