#include "der/reader.h"
#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    for (size_t i = 0; i < s->view->subject.n; i++) {
        const struct name_attr *t = &s->view->subject.attrs[i];
        bool printable = t->type == OID_C || t->type == OID_SERIAL_NUMBER || t->type == OID_DN_QUALIFIER;
        bool ia5 = t->type == OID_EMAIL || t->type == OID_DC;
        if ((printable && t->tag != DER_PRINTABLE_STRING) || (ia5 && t->tag != DER_IA5_STRING))
            return lint_say(detail, "%s is of the wrong string type", oid_name(t->type));
        if (!printable && !ia5 && t->tag != DER_UTF8_STRING && t->tag != DER_PRINTABLE_STRING)
            return lint_say(detail, "attribute %zu is neither UTF8String nor PrintableString", i + 1);
    }
    return false;
}

const struct lint_rule lint_rfc5280_name_string_types = {
    .id = "rfc5280.name-string-types",
    .source = "RFC 5280 4.1.2.4, appendix A",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "attributes use the string types that they must",
    .broken = broken,
};
