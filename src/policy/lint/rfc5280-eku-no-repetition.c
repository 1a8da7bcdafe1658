#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    const struct eku *e = &s->view->purposes;
    for (size_t i = 0; i < e->n; i++)
        for (size_t j = 0; j < i; j++)
            if (slice_eq(e->oid[i], e->oid[j]))
                return lint_say(detail, "purpose %zu repeats purpose %zu", i + 1, j + 1);
    return false;
}

const struct lint_rule lint_rfc5280_eku_no_repetition = {
    .id = "rfc5280.eku-no-repetition",
    .source = "RFC 5280 4.2.1.12",
    .family = LINT_RFC5280,
    .severity = LINT_WARN,
    .title = "no extended key usage stands twice",
    .broken = broken,
};
