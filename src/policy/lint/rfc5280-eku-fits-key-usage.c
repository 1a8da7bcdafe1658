#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    static const struct {
        uint64_t purpose;
        uint32_t usage;
        const char *name;
    } needs[] = {
        {PURPOSE_SERVER_AUTH, KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT, "serverAuth"},
        {PURPOSE_CLIENT_AUTH, KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT, "clientAuth"},
        {PURPOSE_CODE_SIGNING, KU_DIGITAL_SIGNATURE, "codeSigning"},
        {PURPOSE_EMAIL, KU_DIGITAL_SIGNATURE | KU_CONTENT_COMMITMENT | KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT,
         "emailProtection"},
        {PURPOSE_TIME_STAMPING, KU_DIGITAL_SIGNATURE | KU_CONTENT_COMMITMENT, "timeStamping"},
        {PURPOSE_OCSP_SIGNING, KU_DIGITAL_SIGNATURE | KU_CONTENT_COMMITMENT, "OCSPSigning"},
    };
    for (size_t i = 0; s->view->key_usage && i < sizeof needs / sizeof needs[0]; i++)
        if ((s->view->purpose_set & needs[i].purpose) && !(s->view->usage & needs[i].usage))
            return lint_say(detail, "no key usage serves %s", needs[i].name);
    return false;
}

const struct lint_rule lint_rfc5280_eku_fits_key_usage = {
    .id = "rfc5280.eku-fits-key-usage",
    .source = "RFC 5280 4.2.1.12",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "some key usage serves each extended key usage",
    .broken = broken,
};
