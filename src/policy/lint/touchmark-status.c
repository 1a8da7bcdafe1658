#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    bool says = s->view->cdp || s->view->n_ocsp > 0 || s->view->no_rev_avail || s->view->ocsp_nocheck;
    /* Matter publishes the addresses in its ledger; its certificates have VID and PID. */
    bool elsewhere = lint_subject_attr(s, OID_MATTER_VID);
    return !says && !elsewhere && s->cert->not_after - s->cert->not_before > INT64_C(8) * 86400 &&
           lint_say(detail, "no CRL, no OCSP, no noRevAvail");
}

const struct lint_rule lint_touchmark_status = {
    .id = "touchmark.status",
    .source = "RFC 5280 4.2.1.13, RFC 9608",
    .family = LINT_TOUCHMARK,
    .severity = LINT_WARN,
    .title = "what lives longer than a week says how to learn that it was revoked, or that nobody can",
    .broken = broken,
};
