#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->now != 0 && s->now - s->cert->not_before > INT64_C(370) * 86400 &&
           lint_say(detail, "notBefore is more than 370 days before now");
}

const struct lint_rule lint_touchmark_backdate = {
    .id = "touchmark.backdate",
    .source = "docs/profile-reference.md",
    .family = LINT_TOUCHMARK,
    .severity = LINT_FAIL,
    .title = "notBefore lies at most a year and a few days back",
    .broken = broken,
};
