#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    /* From 2026-03-15, 2027-03-15 and 2029-03-15 on. */
    int64_t begin = s->cert->not_before, days = 398;
    if (begin >= INT64_C(1868227200))
        days = 47;
    else if (begin >= INT64_C(1805068800))
        days = 100;
    else if (begin >= INT64_C(1773532800))
        days = 200;
    return s->cert->not_after - begin + 1 > days * 86400 &&
           lint_say(detail, "the period is longer than %d days", (int)days);
}

const struct lint_rule lint_br_lifetime = {
    .id = "br.lifetime",
    .source = "BR 6.3.2",
    .family = LINT_BR,
    .severity = LINT_FAIL,
    .title = "the period keeps to the calendar: 398, 200, 100, 47 days",
    .broken = broken,
};
