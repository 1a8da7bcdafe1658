#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    enum { POLICIES = 32 };
    struct slice v[POLICIES];
    size_t n = 0;
    if (s->view->policies && ext_decode_policies(v, POLICIES, &n, s->view->policies->value, NULL) == TM_OK)
        for (size_t i = 0; i < n && i < POLICIES; i++)
            switch (oid_find(v[i])) {
            case OID_POLICY_BR_DV:
            case OID_POLICY_BR_OV:
            case OID_POLICY_BR_IV:
            case OID_POLICY_BR_EV:
                return false;
            default:
                break;
            }
    return lint_say(detail, "none of 2.23.140.1.1 and 2.23.140.1.2.1 to .3");
}

const struct lint_rule lint_br_policy = {
    .id = "br.policy",
    .source = "BR 7.1.2.7.9",
    .family = LINT_BR,
    .severity = LINT_FAIL,
    .title = "certificatePolicies has one of the Forum's policies",
    .broken = broken,
};
