#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    for (size_t i = 0; i < s->view->names.n; i++)
        for (size_t j = 0; j < i; j++)
            if (general_name_eq(&s->view->names.v[i], &s->view->names.v[j]))
                return lint_say(detail, "name %zu repeats name %zu", i + 1, j + 1);
    return false;
}

const struct lint_rule lint_rfc5280_san_no_repetition = {
    .id = "rfc5280.san-no-repetition",
    .source = "RFC 5280 4.2.1.6",
    .family = LINT_RFC5280,
    .severity = LINT_WARN,
    .title = "no alternative name stands twice",
    .broken = broken,
};
