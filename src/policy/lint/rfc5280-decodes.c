#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->malformed && lint_say(detail, "%s does not decode", s->view->malformed);
}

const struct lint_rule lint_rfc5280_decodes = {
    .id = "rfc5280.decodes",
    .source = "RFC 5280 4.2",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "every known extension and both names decode",
    .broken = broken,
};
