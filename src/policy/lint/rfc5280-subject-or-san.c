#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    if (s->view->subject.n > 0)
        return false;
    if (!s->view->san)
        return lint_say(detail, "the subject is empty and there is no subjectAltName");
    return !s->view->san->critical &&
           lint_say(detail, "the subject is empty and the subjectAltName is not critical");
}

const struct lint_rule lint_rfc5280_subject_or_san = {
    .id = "rfc5280.subject-or-san",
    .source = "RFC 5280 4.1.2.6",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "an empty subject has a critical subjectAltName beside it",
    .broken = broken,
};
