#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    if (!s->view->cdp)
        return false;
    if (s->view->n_cdp != 1)
        return lint_say(detail, "there are %zu CRL addresses", s->view->n_cdp);
    return !lint_is_http(s->view->cdp_uris[0]) && lint_say(detail, "the CRL address is not http");
}

const struct lint_rule lint_touchmark_cdp_form = {
    .id = "touchmark.cdp-form",
    .source = "RFC 5280 4.2.1.13",
    .family = LINT_TOUCHMARK,
    .severity = LINT_FAIL,
    .title = "the CRL address is one plain http URL, which needs no certificate to be fetched",
    .broken = broken,
};
