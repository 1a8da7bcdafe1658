#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    if (s->view->names.n == 0)
        return lint_say(detail, "there are no alternative names");
    for (size_t i = 0; i < s->view->names.n; i++)
        if (s->view->names.v[i].type != GN_DNS && s->view->names.v[i].type != GN_IP)
            return lint_say(detail, "name %zu is neither a DNS name nor an address", i + 1);
    return false;
}

const struct lint_rule lint_br_san_required = {
    .id = "br.san-required",
    .source = "BR 7.1.2.7.12",
    .family = LINT_BR,
    .severity = LINT_FAIL,
    .title = "there is a subjectAltName, of DNS names and addresses alone",
    .broken = broken,
};
