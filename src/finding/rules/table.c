/* The order is that of reports: what is worst first. */
#include "finding/rules/rules.h"
#include <string.h>

const struct finding_rule *const finding_rules[] = {
    &finding_key_roca,
    &finding_key_listed,
    &finding_key_factorable,
    &finding_key_shared_factor,
    &finding_key_test,
    &finding_key_reuse,
    &finding_key_weak,
    &finding_hash_weak,
    &finding_ca_shadow,
    &finding_expired,
    &finding_expiring_unrenewed,
    &finding_renewal_overdue,
    &finding_revoked_in_use,
    &finding_place_wrong,
    &finding_name_mismatch,
    &finding_chain_incomplete,
    &finding_self_signed,
    &finding_wildcard_sprawl,
    &finding_lifetime_too_long,
    &finding_lifetime_wrong,
    &finding_policy_breach,
    &finding_unowned,
    NULL,
};

const struct finding_rule *finding_rule_find(const char *id)
{
    for (const struct finding_rule *const *r = finding_rules; *r; r++)
        if (strcmp((*r)->id, id) == 0)
            return *r;
    return NULL;
}

unsigned finding_rule_index(const struct finding_rule *r)
{
    unsigned i = 0;
    while (finding_rules[i] != r)
        i++;
    return i;
}
