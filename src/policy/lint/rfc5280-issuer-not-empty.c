#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->issuer.n == 0 && lint_say(detail, "the issuer is an empty name");
}

const struct lint_rule lint_rfc5280_issuer_not_empty = {
    .id = "rfc5280.issuer-not-empty",
    .source = "RFC 5280 4.1.2.4",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "the issuer has a name",
    .broken = broken,
};
