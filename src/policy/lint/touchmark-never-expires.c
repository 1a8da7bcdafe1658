#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    if (!lint_is_never(s))
        return false;
    if (s->view->constraints.ca)
        return lint_say(detail, "a CA certificate among the leaves that never expires");
    return (s->view->purpose_set & PURPOSE_SERVER_AUTH) && !(s->view->purpose_set & PURPOSE_CLIENT_AUTH) &&
           lint_say(detail, "a TLS server certificate that never expires");
}

const struct lint_rule lint_touchmark_never_expires = {
    .id = "touchmark.never-expires",
    .source = "RFC 5280 4.1.2.5, RFC 9608 1",
    .family = LINT_TOUCHMARK,
    .severity = LINT_FAIL,
    .title = "what never expires is no TLS server's and no CA's",
    .broken = broken,
};
