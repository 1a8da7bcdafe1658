#include "der/reader.h"
#include "policy/lint/rules.h"
#include "policy/names.h"
#include "policy/template.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    for (size_t i = 0; i < s->view->subject.n; i++) {
        const struct name_attr *t = &s->view->subject.attrs[i];
        const struct attr_info *known = t->type != OID_UNKNOWN ? attr_find_oid(t->type) : NULL;
        if (t->value.n == 0)
            return lint_say(detail, "attribute %zu is empty", i + 1);
        if (known && t->tag != DER_BMP_STRING && t->tag != DER_UNIVERSAL_STRING &&
            text_length(t->value) > known->max)
            return lint_say(detail, "%s has more than %u characters", known->name, known->max);
        if (t->type == OID_C && t->value.n != 2)
            return lint_say(detail, "C has not two letters");
    }
    return false;
}

const struct lint_rule lint_rfc5280_name_lengths = {
    .id = "rfc5280.name-lengths",
    .source = "RFC 5280 appendix A",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "attributes keep to their upper bounds",
    .broken = broken,
};
