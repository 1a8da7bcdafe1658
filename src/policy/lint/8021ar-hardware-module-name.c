#include "der/reader.h"
#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    /* HardwareModuleName ::= SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING } */
    for (size_t i = 0; i < s->view->names.n; i++) {
        const struct general_name *gn = &s->view->names.v[i];
        struct der_reader r, seq;
        struct slice type, serial = {0};
        if (gn->type != GN_OTHER || gn->other != OID_HW_MODULE_NAME)
            continue;
        der_reader_init(&r, gn->value, NULL);
        if (der_enter(&r, DER_SEQUENCE, &seq) != TM_OK || der_read_oid(&seq, &type) != TM_OK ||
            der_read(&seq, DER_OCTET_STRING, &serial) != TM_OK || der_end(&seq) != TM_OK ||
            der_end(&r) != TM_OK)
            return lint_say(detail, "hardwareModuleName does not decode");
        if (serial.n == 0)
            return lint_say(detail, "hardwareModuleName has an empty serial number");
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
