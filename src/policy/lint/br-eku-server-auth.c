#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    if (!(s->view->purpose_set & PURPOSE_SERVER_AUTH))
        return lint_say(detail, "serverAuth is missing");
    return (s->view->purpose_set & ~(uint64_t)(PURPOSE_SERVER_AUTH | PURPOSE_CLIENT_AUTH)) &&
           lint_say(detail, "a purpose besides serverAuth and clientAuth");
}

const struct lint_rule lint_br_eku_server_auth = {
    .id = "br.eku-server-auth",
    .source = "BR 7.1.2.7.10",
    .family = LINT_BR,
    .severity = LINT_FAIL,
    .title = "extKeyUsage has serverAuth and not anyExtendedKeyUsage",
    .broken = broken,
};
