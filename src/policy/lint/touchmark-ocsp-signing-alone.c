#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    return (s->view->purpose_set & PURPOSE_OCSP_SIGNING) && s->view->purpose_set != PURPOSE_OCSP_SIGNING &&
           lint_say(detail, "OCSPSigning beside other purposes");
}

const struct lint_rule lint_touchmark_ocsp_signing_alone = {
    .id = "touchmark.ocsp-signing-alone",
    .source = "RFC 6960 4.2.2.2",
    .family = LINT_TOUCHMARK,
    .severity = LINT_FAIL,
    .title = "OCSPSigning stands alone",
    .broken = broken,
};
