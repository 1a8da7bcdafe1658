#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    struct slice n = s->cert->serial;
    if (n.n == 0 || (n.p[0] & 0x80))
        return lint_say(detail, "the serial is negative");
    if (n.n == 1 && n.p[0] == 0)
        return lint_say(detail, "the serial is zero");
    return n.n > CERT_SERIAL_MAX && lint_say(detail, "the serial has %zu octets", n.n);
}

const struct lint_rule lint_rfc5280_serial_positive = {
    .id = "rfc5280.serial-positive",
    .source = "RFC 5280 4.1.2.2",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "the serial is positive and has at most 20 octets",
    .broken = broken,
};
