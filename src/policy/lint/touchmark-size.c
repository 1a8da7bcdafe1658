#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->cert->der.n > 16384 && lint_say(detail, "%zu octets", s->cert->der.n);
}

const struct lint_rule lint_touchmark_size = {
    .id = "touchmark.size",
    .source = "interoperability",
    .family = LINT_TOUCHMARK,
    .severity = LINT_WARN,
    .title = "the certificate fits into 16 KiB, which TLS stacks of devices take",
    .broken = broken,
};
