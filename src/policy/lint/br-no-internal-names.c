#include "policy/lint/rules.h"
#include "policy/names.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    for (size_t i = 0; i < s->view->names.n; i++) {
        const struct general_name *gn = &s->view->names.v[i];
        if (gn->type == GN_DNS && dns_name_is_internal(gn->value))
            return lint_say(detail, "%.*s is an internal name", (int)(gn->value.n < 80 ? gn->value.n : 80),
                            (const char *)gn->value.p);
    }
    return false;
}

const struct lint_rule lint_br_no_internal_names = {
    .id = "br.no-internal-names",
    .source = "BR 4.2.2",
    .family = LINT_BR,
    .severity = LINT_FAIL,
    .title = "no internal names",
    .broken = broken,
};
