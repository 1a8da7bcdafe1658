#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    const uint32_t encipher = KU_KEY_ENCIPHERMENT | KU_DATA_ENCIPHERMENT;
    const uint32_t agree = KU_KEY_AGREEMENT | KU_ENCIPHER_ONLY | KU_DECIPHER_ONLY;
    uint32_t cannot = 0;
    switch (s->cert->spki.alg.id) {
    case OID_EC_PUBLIC_KEY:
        cannot = encipher;
        break;
    case OID_RSA:
        cannot = agree;
        break;
    case OID_RSA_PSS:
    case OID_ED25519:
    case OID_ED448:
    case OID_ML_DSA_44:
    case OID_ML_DSA_65:
    case OID_ML_DSA_87:
        cannot = encipher | agree;
        break;
    default:
        break;
    }
    for (unsigned bit = 0; key_usage_names[bit]; bit++)
        if (s->view->usage & cannot & 1U << bit)
            return lint_say(detail, "the key cannot do %s", key_usage_names[bit]);
    return (s->view->usage & (KU_ENCIPHER_ONLY | KU_DECIPHER_ONLY)) && !(s->view->usage & KU_KEY_AGREEMENT) &&
           lint_say(detail, "encipherOnly or decipherOnly without keyAgreement");
}

const struct lint_rule lint_rfc5280_key_usage_fits_key = {
    .id = "rfc5280.key-usage-fits-key",
    .source = "RFC 5480 3, RFC 8410 5, RFC 9881 5",
    .family = LINT_RFC5280,
    .severity = LINT_FAIL,
    .title = "keyUsage asks of the key only what it can do",
    .broken = broken,
};
