#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    if (s->view->constraints.ca)
        return lint_say(detail, "CA:TRUE");
    return (s->view->usage & KU_KEY_CERT_SIGN) && lint_say(detail, "keyCertSign");
}

const struct lint_rule lint_touchmark_leaf = {
    .id = "touchmark.leaf",
    .source = "docs/architecture.md",
    .family = LINT_TOUCHMARK,
    .severity = LINT_FAIL,
    .title = "profiles make no CA certificates",
    .broken = broken,
};
