#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return s->cert->serial.n < 8 && lint_say(detail, "the serial has %zu octets", s->cert->serial.n);
}

const struct lint_rule lint_br_serial_entropy = {
    .id = "br.serial-entropy",
    .source = "BR 7.1",
    .family = LINT_BR,
    .severity = LINT_FAIL,
    .title = "the serial has room for 64 random bits",
    .broken = broken,
};
