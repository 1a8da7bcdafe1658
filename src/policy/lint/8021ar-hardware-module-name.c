#include "policy/lint/rules.h"
#include "policy/names.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    for (size_t i = 0; i < s->view->names.n; i++) {
        const struct general_name *gn = &s->view->names.v[i];
        const char *why = gn->type == GN_OTHER && gn->other == OID_HW_MODULE_NAME
                              ? hardware_module_name_check(gn->value)
                              : NULL;
        if (why)
            return lint_say(detail, "name %zu %s", i + 1, why);
    }
    return false;
}

const struct lint_rule lint_8021ar_hardware_module_name = {
    .id = "8021ar.hardware-module-name",
    .source = "RFC 4108 5, IEEE 802.1AR-2018 clause 8",
    .family = LINT_8021AR,
    .severity = LINT_FAIL,
    .title = "hardwareModuleName has a type and a serial number",
    .broken = broken,
};
