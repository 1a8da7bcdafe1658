#include "der/reader.h"
#include "policy/lint/rules.h"
#include "policy/names.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    for (size_t i = 0; i < s->view->subject.n; i++) {
        const struct name_attr *t = &s->view->subject.attrs[i];
        const char *why =
            t->tag == DER_BMP_STRING || t->tag == DER_UNIVERSAL_STRING || t->tag == DER_T61_STRING
                ? NULL
                : text_check(t->value);
        if (why)
            return lint_say(detail, "attribute %zu %s", i + 1, why);
    }
    return false;
}

const struct lint_rule lint_touchmark_visible_names = {
    .id = "touchmark.visible-names",
    .source = "UTS 36 3",
    .family = LINT_TOUCHMARK,
    .severity = LINT_FAIL,
    .title = "the subject has no control and no invisible characters",
    .broken = broken,
};
