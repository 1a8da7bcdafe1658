#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    enum { POLICIES = 32 };
    struct slice v[POLICIES];
    size_t n = 0;
    if (!s->view->policies)
        return false;
    if (ext_decode_policies(v, POLICIES, &n, s->view->policies->value, NULL) != TM_OK)
        return lint_say(detail, "certificatePolicies does not decode");
    for (size_t i = 0; i < n && i < POLICIES; i++)
        for (size_t j = 0; j < i; j++)
            if (slice_eq(v[i], v[j]))
                return lint_say(detail, "policy %zu repeats policy %zu", i + 1, j + 1);
    return false;
}

const struct lint_rule lint_rfc5280_policies_no_repetition = {
    .id = "rfc5280.policies-no-repetition",
    .source = "RFC 5280 4.2.1.4",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "no certificate policy stands twice",
    .broken = broken,
};
