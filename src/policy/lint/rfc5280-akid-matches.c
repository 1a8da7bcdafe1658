#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    if (!s->issuer || !s->view->akid || cert_ski(s->issuer).n == 0)
        return false;
    return !slice_eq(cert_akid(s->cert), cert_ski(s->issuer)) &&
           lint_say(detail, "authorityKeyIdentifier differs from the authority's key identifier");
}

const struct lint_rule lint_rfc5280_akid_matches = {
    .id = "rfc5280.akid-matches",
    .source = "RFC 5280 4.2.1.1",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "authorityKeyIdentifier is the authority's subjectKeyIdentifier",
    .broken = broken,
};
