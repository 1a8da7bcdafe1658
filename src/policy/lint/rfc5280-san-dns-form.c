#include "policy/lint/rules.h"
#include "policy/names.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    for (size_t i = 0; i < s->view->names.n; i++) {
        const struct general_name *gn = &s->view->names.v[i];
        const char *why = gn->type == GN_DNS ? dns_name_check(gn->value, true) : NULL;
        if (why)
            return lint_say(detail, "%.*s %s", (int)(gn->value.n < 80 ? gn->value.n : 80),
                            (const char *)gn->value.p, why);
    }
    return false;
}

const struct lint_rule lint_rfc5280_san_dns_form = {
    .id = "rfc5280.san-dns-form",
    .source = "RFC 5280 4.2.1.6, RFC 1034 3.5",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "DNS names are host names, with a wildcard at most in front",
    .broken = broken,
};
