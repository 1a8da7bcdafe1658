#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    if (s->view->akid && s->view->akid->critical)
        return lint_say(detail, "authorityKeyIdentifier is critical");
    return s->view->ski && s->view->ski->critical && lint_say(detail, "subjectKeyIdentifier is critical");
}

const struct lint_rule lint_rfc5280_key_ids_not_critical = {
    .id = "rfc5280.key-ids-not-critical",
    .source = "RFC 5280 4.2.1.1, 4.2.1.2",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "key identifiers are not critical",
    .broken = broken,
};
