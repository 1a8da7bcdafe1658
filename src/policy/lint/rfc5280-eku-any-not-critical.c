#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->eku && s->view->eku->critical && (s->view->purpose_set & PURPOSE_ANY) &&
           lint_say(detail, "critical extKeyUsage with anyExtendedKeyUsage");
}

const struct lint_rule lint_rfc5280_eku_any_not_critical = {
    .id = "rfc5280.eku-any-not-critical",
    .source = "RFC 5280 4.2.1.12",
    .family = LINT_RFC5280,
    .severity = LINT_WARN,
    .title = "extKeyUsage with anyExtendedKeyUsage is not critical",
    .broken = broken,
};
