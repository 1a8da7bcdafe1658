#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    for (size_t i = 0; i < s->view->n_ocsp && i < 4; i++)
        if (!lint_is_http(s->view->ocsp_uris[i]))
            return lint_say(detail, "the OCSP address is not http");
    for (size_t i = 0; i < s->view->n_issuer && i < 4; i++)
        if (!lint_is_http(s->view->issuer_uris[i]))
            return lint_say(detail, "the caIssuers address is not http");
    return false;
}

const struct lint_rule lint_touchmark_aia_form = {
    .id = "touchmark.aia-form",
    .source = "RFC 5280 4.2.2.1, RFC 6960 appendix A",
    .family = LINT_TOUCHMARK,
    .severity = LINT_FAIL,
    .title = "OCSP and caIssuers addresses are plain http URLs",
    .broken = broken,
};
