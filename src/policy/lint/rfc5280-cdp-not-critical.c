#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->cdp && s->view->cdp->critical && lint_say(detail, "cRLDistributionPoints is critical");
}

const struct lint_rule lint_rfc5280_cdp_not_critical = {
    .id = "rfc5280.cdp-not-critical",
    .source = "RFC 5280 4.2.1.13",
    .family = LINT_RFC5280,
    .severity = LINT_WARN,
    .title = "cRLDistributionPoints is not critical",
    .broken = broken,
};
