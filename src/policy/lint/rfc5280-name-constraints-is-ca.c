#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->name_constraints && !s->view->constraints.ca &&
           lint_say(detail, "nameConstraints without CA:TRUE");
}

const struct lint_rule lint_rfc5280_name_constraints_is_ca = {
    .id = "rfc5280.name-constraints-is-ca",
    .source = "RFC 5280 4.2.1.10",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "nameConstraints stands in CA certificates alone",
    .broken = broken,
};
