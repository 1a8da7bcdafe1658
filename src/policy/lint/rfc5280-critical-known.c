#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    for (size_t i = 0; i < s->cert->exts.n; i++)
        if (s->cert->exts.v[i].critical && s->cert->exts.v[i].id == OID_UNKNOWN)
            return lint_say(detail, "extension %zu is critical and not known", i + 1);
    return false;
}

const struct lint_rule lint_rfc5280_critical_known = {
    .id = "rfc5280.critical-known",
    .source = "RFC 5280 4.2",
    .family = LINT_RFC5280,
    .severity = LINT_WARN,
    .title = "critical extensions are ones that software knows",
    .broken = broken,
};
