#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    const struct ext *x = s->view->no_rev_avail;
    if (!x)
        return false;
    if (x->critical)
        return lint_say(detail, "noRevAvail is critical");
    if (s->view->constraints.ca)
        return lint_say(detail, "noRevAvail in a CA certificate");
    if (s->view->cdp || s->view->freshest_crl)
        return lint_say(detail, "noRevAvail beside a CRL address");
    if (s->view->n_ocsp > 0)
        return lint_say(detail, "noRevAvail beside an OCSP address");
    return !slice_eq(x->value, SLICE_LIT("\x05\x00")) && lint_say(detail, "noRevAvail is not NULL");
}

const struct lint_rule lint_touchmark_no_rev_avail = {
    .id = "touchmark.no-rev-avail",
    .source = "RFC 9608 3, 4",
    .family = LINT_TOUCHMARK,
    .severity = LINT_FAIL,
    .title = "noRevAvail is alone, not critical, and not in a CA certificate",
    .broken = broken,
};
