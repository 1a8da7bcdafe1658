#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->cert->not_before >= INT64_C(1805068800) && (s->view->purpose_set & PURPOSE_CLIENT_AUTH) &&
           lint_say(detail, "clientAuth beside serverAuth");
}

const struct lint_rule lint_br_eku_server_auth_alone = {
    .id = "br.eku-server-auth-alone",
    .source = "public root programs",
    .family = LINT_BR,
    .severity = LINT_WARN,
    .title = "from 2027-03-15 on serverAuth stands alone",
    .broken = broken,
};
