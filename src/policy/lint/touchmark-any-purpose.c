#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return (s->view->purpose_set & PURPOSE_ANY) && !s->view->constraints.ca &&
           lint_say(detail, "anyExtendedKeyUsage");
}

const struct lint_rule lint_touchmark_any_purpose = {
    .id = "touchmark.any-purpose",
    .source = "RFC 5280 4.2.1.12",
    .family = LINT_TOUCHMARK,
    .severity = LINT_WARN,
    .title = "a leaf is not good for any purpose",
    .broken = broken,
};
