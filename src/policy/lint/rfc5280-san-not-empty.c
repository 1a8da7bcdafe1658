#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->san && s->view->names.n == 0 && lint_say(detail, "the subjectAltName is empty");
}

const struct lint_rule lint_rfc5280_san_not_empty = {
    .id = "rfc5280.san-not-empty",
    .source = "RFC 5280 4.2.1.6",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "a subjectAltName has at least one name",
    .broken = broken,
};
