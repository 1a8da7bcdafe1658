#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->aia && s->view->aia->critical && lint_say(detail, "authorityInfoAccess is critical");
}

const struct lint_rule lint_rfc5280_aia_not_critical = {
    .id = "rfc5280.aia-not-critical",
    .source = "RFC 5280 4.2.2.1",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "authorityInfoAccess is not critical",
    .broken = broken,
};
