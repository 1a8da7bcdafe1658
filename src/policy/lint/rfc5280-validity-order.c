#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->cert->not_after < s->cert->not_before && lint_say(detail, "the period ends before it begins");
}

const struct lint_rule lint_rfc5280_validity_order = {
    .id = "rfc5280.validity-order",
    .source = "RFC 5280 4.1.2.5",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "notAfter is not before notBefore",
    .broken = broken,
};
