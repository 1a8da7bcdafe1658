#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->key_usage && s->view->usage == 0 && lint_say(detail, "keyUsage has no bit set");
}

const struct lint_rule lint_rfc5280_key_usage_not_zero = {
    .id = "rfc5280.key-usage-not-zero",
    .source = "RFC 5280 4.2.1.3",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "keyUsage sets at least one bit",
    .broken = broken,
};
