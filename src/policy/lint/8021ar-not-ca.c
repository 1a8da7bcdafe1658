#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->constraints.ca && lint_say(detail, "CA:TRUE");
}

const struct lint_rule lint_8021ar_not_ca = {
    .id = "8021ar.not-ca",
    .source = "IEEE 802.1AR-2018 clause 8",
    .family = LINT_8021AR,
    .severity = LINT_FAIL,
    .title = "a DevID is no CA",
    .broken = broken,
};
