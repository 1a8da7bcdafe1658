#include "x509/cms/capabilities.h"
#include "der/oid.h"
#include "der/reader.h"

/* SMIMECapabilities ::= SEQUENCE OF SEQUENCE { capabilityID OBJECT IDENTIFIER, parameters ANY DEFINED BY capabilityID OPTIONAL } */
tm_err smime_capabilities_parse(struct smime_capabilities *ret, struct slice der, struct diag *diag)
{
    struct der_reader r, list, one;
    struct smime_capabilities found = {0};
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &list));
    for (size_t n = 0; !der_at_end(&list); n++) {
        struct slice oid;
        if (n == SMIME_CAPABILITIES_MAX)
            return der_reject(&list, TM_ETOOBIG, "RFC 8551 2.5.2", "smimeCapabilities",
                              "too many capabilities");
        TM_TRY(der_enter(&list, DER_SEQUENCE, &one));
        TM_TRY(der_read_oid(&one, &oid));
        if (!der_at_end(&one))
            TM_TRY(der_read_any(&one, NULL, NULL, NULL));
        TM_TRY(der_end(&one));
        enum oid id = oid_find(oid);
        found.aes128_cbc |= id == OID_AES128_CBC;
        found.aes256_cbc |= id == OID_AES256_CBC;
        found.rsa_oaep |= id == OID_RSA_OAEP;
    }
    TM_TRY(der_end(&list));
    TM_TRY(der_end(&r));
    *ret = found;
    return TM_OK;
}
