#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->key_usage && !s->view->key_usage->critical &&
           lint_say(detail, "keyUsage is not critical");
}

const struct lint_rule lint_rfc5280_key_usage_critical = {
    .id = "rfc5280.key-usage-critical",
    .source = "RFC 5280 4.2.1.3",
    .family = LINT_RFC5280,
    .severity = LINT_WARN,
    .title = "keyUsage is critical",
    .broken = broken,
};
