#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return !s->view->ski && lint_say(detail, "there is no subjectKeyIdentifier");
}

const struct lint_rule lint_rfc5280_ski_present = {
    .id = "rfc5280.ski-present",
    .source = "RFC 5280 4.2.1.2",
    .family = LINT_RFC5280,
    .severity = LINT_WARN,
    .title = "subjectKeyIdentifier is present",
    .broken = broken,
};
