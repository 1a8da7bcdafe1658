#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->cert->exts.n > 0 && s->cert->version != 3 &&
           lint_say(detail, "version %u with extensions", s->cert->version);
}

const struct lint_rule lint_rfc5280_version = {
    .id = "rfc5280.version",
    .source = "RFC 5280 4.1.2.1",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "a certificate with extensions is of version 3",
    .broken = broken,
};
