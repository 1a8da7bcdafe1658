#include "policy/lint/rules.h"
#include <arpa/inet.h>

static bool broken(const struct lint_subject *s, char detail[160])
{
    const struct name_attr *cn = lint_subject_attr(s, OID_CN);
    if (!cn)
        return false;
    for (size_t i = 0; i < s->view->names.n; i++) {
        const struct general_name *gn = &s->view->names.v[i];
        char text[INET6_ADDRSTRLEN];
        if (gn->type == GN_DNS && slice_eq(gn->value, cn->value))
            return false;
        if (gn->type == GN_IP &&
            inet_ntop(gn->value.n == 4 ? AF_INET : AF_INET6, gn->value.p, text, sizeof text) &&
            slice_eq_str(cn->value, text))
            return false;
    }
    return lint_say(detail, "the common name is not among the alternative names");
}

const struct lint_rule lint_br_cn_in_san = {
    .id = "br.cn-in-san",
    .source = "BR 7.1.4.3",
    .family = LINT_BR,
    .severity = LINT_FAIL,
    .title = "the common name is one of the alternative names",
    .broken = broken,
};
