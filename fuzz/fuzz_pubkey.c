/* A SubjectPublicKeyInfo, or two octets of lengths, an SPKI, an AlgorithmIdentifier, and a signature over a fixed message.
 * Dictionary: der
 * Parser: keys/pubkey.c keys/quality.c x509/spki.c:spki_read*,algid_read -thread_keys_free -ec_slot_done */
#include "keys/pubkey.h"
#include "keys/quality.h"
#include "x509/cert.h"
#include "x509/csr.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_key(struct slice der)
{
    struct spki spki;
    struct pubkey_info info;
    struct key_quality q;
    if (spki_parse(&spki, der, NULL) != TM_OK)
        return;
    if (pubkey_info(&info, &spki, NULL) != TM_OK) {
        if (pubkey_check(&spki, NULL) == TM_OK)
            abort();
        return;
    }
    TM_IGNORE(pubkey_check(&spki, NULL));
    TM_IGNORE(key_quality_check(&q, &info, &spki, NULL));
}

static void fuzz_signature(struct slice spki_der, struct slice algid_der, struct slice signature)
{
    struct spki spki;
    struct algid alg;
    if (spki_parse(&spki, spki_der, NULL) != TM_OK || algid_parse(&alg, algid_der, NULL) != TM_OK)
        return;
    tm_err err = pubkey_verify(&spki, &alg, SLICE_LIT("message"), signature, NULL);
    if (tm_err_class(err) == TM_CLASS_DENIED || tm_err_class(err) == TM_CLASS_UNAVAILABLE)
        abort();
}

/* What proves itself: a request, a certificate under its own key. */
static void fuzz_self_signed(struct slice der)
{
    static struct csr csr;
    static struct cert cert;
    if (csr_parse_pkcs10(&csr, der, NULL) == TM_OK)
        TM_IGNORE(csr_verify_pop(&csr, NULL));
    if (cert_parse(&cert, der, NULL) == TM_OK)
        TM_IGNORE(cert_verify_signature(&cert, &cert.spki, NULL));
    csr.pop = CSR_POP_NONE;
    if (csr_verify_pop(&csr, NULL) == TM_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of(data, size);
    fuzz_key(all);
    fuzz_self_signed(all);
    if (size < 4)
        return 0;
    size_t n_spki = (size_t)data[0] << 8 | data[1], n_alg = (size_t)data[2] << 8 | data[3];
    struct slice rest = slice_sub(all, 4, size);
    struct slice spki = slice_sub(rest, 0, n_spki);
    rest = slice_sub(rest, n_spki, rest.n);
    fuzz_key(spki);
    fuzz_signature(spki, slice_sub(rest, 0, n_alg), slice_sub(rest, n_alg, rest.n));
    return 0;
}
