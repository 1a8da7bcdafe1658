#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->constraints.ca && !s->view->basic_constraints->critical &&
           lint_say(detail, "basicConstraints with CA:TRUE is not critical");
}

const struct lint_rule lint_rfc5280_ca_constraints_critical = {
    .id = "rfc5280.ca-constraints-critical",
    .source = "RFC 5280 4.2.1.9",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "basicConstraints of a CA is critical",
    .broken = broken,
};
