#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->subject.n == 0 && lint_say(detail, "the subject is empty");
}

const struct lint_rule lint_8021ar_subject = {
    .id = "8021ar.subject",
    .source = "IEEE 802.1AR-2018 clause 8",
    .family = LINT_8021AR,
    .severity = LINT_FAIL,
    .title = "the subject is not empty",
    .broken = broken,
};
