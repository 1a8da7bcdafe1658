#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->view->key_usage && !(s->view->usage & KU_DIGITAL_SIGNATURE) &&
           lint_say(detail, "digitalSignature is missing");
}

const struct lint_rule lint_8021ar_key_usage = {
    .id = "8021ar.key-usage",
    .source = "IEEE 802.1AR-2018 clause 8",
    .family = LINT_8021AR,
    .severity = LINT_FAIL,
    .title = "keyUsage, if present, has digitalSignature",
    .broken = broken,
};
