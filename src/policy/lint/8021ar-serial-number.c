#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return !lint_subject_attr(s, OID_SERIAL_NUMBER) && lint_say(detail, "the subject has no serialNumber");
}

const struct lint_rule lint_8021ar_serial_number = {
    .id = "8021ar.serial-number",
    .source = "IEEE 802.1AR-2018 clause 8",
    .family = LINT_8021AR,
    .severity = LINT_WARN,
    .title = "the subject has the device's serialNumber",
    .broken = broken,
};
