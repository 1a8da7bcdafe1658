#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    bool self_issued = slice_eq(s->cert->issuer, s->cert->subject);
    return !s->view->akid && !self_issued && lint_say(detail, "there is no authorityKeyIdentifier");
}

const struct lint_rule lint_rfc5280_akid_present = {
    .id = "rfc5280.akid-present",
    .source = "RFC 5280 4.2.1.1",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "authorityKeyIdentifier stands in all but self-signed certificates",
    .broken = broken,
};
