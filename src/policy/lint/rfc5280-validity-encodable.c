#include "base/clock.h"
#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    /* 1950-01-01T00:00:00Z: the first that UTCTime can say */
    const int64_t first = -631152000;
    return (s->cert->not_before < first || s->cert->not_after > TM_TIME_NEVER) &&
           lint_say(detail, "a time that certificates cannot carry");
}

const struct lint_rule lint_rfc5280_validity_encodable = {
    .id = "rfc5280.validity-encodable",
    .source = "RFC 5280 4.1.2.5",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "both times lie between 1950 and 9999",
    .broken = broken,
};
