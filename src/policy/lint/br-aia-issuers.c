#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->n_issuer == 0 && lint_say(detail, "there is no caIssuers address");
}

const struct lint_rule lint_br_aia_issuers = {
    .id = "br.aia-issuers",
    .source = "BR 7.1.2.7.7",
    .family = LINT_BR,
    .severity = LINT_WARN,
    .title = "authorityInfoAccess says where the authority's certificate is",
    .broken = broken,
};
