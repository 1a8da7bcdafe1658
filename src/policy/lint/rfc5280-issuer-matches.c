#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->issuer && !slice_eq(s->cert->issuer, s->issuer->subject) &&
           lint_say(detail, "the issuer differs from the authority's subject");
}

const struct lint_rule lint_rfc5280_issuer_matches = {
    .id = "rfc5280.issuer-matches",
    .source = "RFC 5280 6.1.3",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "the issuer is the authority's subject, byte for byte",
    .broken = broken,
};
