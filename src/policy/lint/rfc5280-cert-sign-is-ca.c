#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    bool signs = s->view->usage & KU_KEY_CERT_SIGN;
    if (signs && !s->view->constraints.ca)
        return lint_say(detail, "keyCertSign without CA:TRUE");
    return s->view->key_usage && s->view->constraints.ca && !signs &&
           lint_say(detail, "CA:TRUE without keyCertSign");
}

const struct lint_rule lint_rfc5280_cert_sign_is_ca = {
    .id = "rfc5280.cert-sign-is-ca",
    .source = "RFC 5280 4.2.1.3, 4.2.1.9",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "keyCertSign and CA:TRUE go together",
    .broken = broken,
};
