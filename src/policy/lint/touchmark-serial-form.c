#include "policy/decide.h"
#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    uint8_t want[CERT_SERIAL_LEN];
    serial_prefix(want, s->cert->not_after, s->now);
    struct slice n = s->cert->serial;
    /* A month before 2021-05 has a zero octet in front, which the minimal INTEGER may leave out. */
    if (n.n != CERT_SERIAL_LEN && !(want[0] == 0 && n.n < CERT_SERIAL_LEN))
        return lint_say(detail, "the serial has %zu octets", n.n);
    return n.n == CERT_SERIAL_LEN && memcmp(n.p, want, 2) != 0 &&
           lint_say(detail, "the serial's month is %u, and notAfter's %u", (unsigned)(n.p[0] << 8 | n.p[1]),
                    (unsigned)(want[0] << 8 | want[1]));
}

const struct lint_rule lint_touchmark_serial_form = {
    .id = "touchmark.serial-form",
    .source = "docs/architecture.md",
    .family = LINT_TOUCHMARK,
    .severity = LINT_FAIL,
    .title = "the serial has 16 octets and begins with the month of expiry",
    .broken = broken,
};
