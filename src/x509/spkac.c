/* SPKAC: the request that browsers' <keygen> made, still written by `openssl spkac`. */
#include "der/reader.h"
#include "x509/csr.h"
#include "x509/internal.h"
#include "x509/request.h"

/* SignedPublicKeyAndChallenge ::= SEQUENCE { publicKeyAndChallenge, signatureAlgorithm AlgorithmIdentifier, signature BIT STRING }
 * PublicKeyAndChallenge ::= SEQUENCE { spki SubjectPublicKeyInfo, challenge IA5String } */
tm_err csr_parse_spkac(struct csr *ret, struct slice der, struct diag *diag)
{
    struct der_reader r, seq, pkac;
    if (der.n > CSR_DER_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "request", "more than %d bytes", CSR_DER_MAX);
    csr_clear(ret, CSR_SPKAC, der);
    ret->pop = CSR_POP_SIGNATURE;
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    struct der_reader tlv = seq;
    TM_TRY(der_read_tlv(&tlv, DER_SEQUENCE, &ret->signed_part));
    TM_TRY(der_enter(&seq, DER_SEQUENCE, &pkac));
    TM_TRY(spki_read(&ret->spki, &pkac));
    TM_TRY(der_read(&pkac, DER_IA5_STRING, &ret->challenge_password));
    for (size_t i = 0; i < ret->challenge_password.n; i++)
        if (ret->challenge_password.p[i] == 0 || ret->challenge_password.p[i] > 0x7f)
            return der_reject(&pkac, TM_EMALFORMED, "X.680 41", "challenge",
                              "characters that IA5String does not have");
    TM_TRY(der_end(&pkac));
    TM_TRY(algid_read(&ret->sigalg, &seq));
    TM_TRY(der_read_bits(&seq, &ret->signature));
    TM_TRY(der_end(&seq));
    return der_end(&r);
}
