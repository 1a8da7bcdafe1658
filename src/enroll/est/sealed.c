/* Keys made here that the client wants encrypted beyond TLS (RFC 7030 4.4.1, 4.4.2): a key package (RFC 5958), signed by the RA of the
 * authority that issues its certificate, in an envelope for the key of the certificate that the client has shown. */
#include "base/arena.h"
#include "der/reader.h"
#include "enroll/endpoint.h"
#include "enroll/est/est.h"
#include "issue/key_package.h"
#include "issue/message.h"
#include "x509/cms/capabilities.h"
#include <string.h>

static tm_err refuse(struct diag *diag, const char *rule, const char *message)
{
    return diag_fail(diag, TM_EUNSUPPORTED, rule, "attributes", "%s", message);
}

/* The strongest cipher that both sides have; where the client does not say (RFC 7030 4.4.1), AES-256. */
static tm_err choose_cipher(struct est_exchange *x, struct diag *diag)
{
    const struct csr_attr *a = csr_attr_find(&x->csr, OID_EXT_SMIME_CAPABILITIES);
    struct smime_capabilities has = {.aes256_cbc = true};
    if (a)
        TM_TRY(smime_capabilities_parse(&has, a->values, diag));
    if (!has.aes128_cbc && !has.aes256_cbc)
        return refuse(
            diag, "RFC 7030 4.4.1",
            "none of the ciphers in smimeCapabilities is done here; AES-128-CBC and AES-256-CBC are");
    x->seal.cipher = has.aes256_cbc ? OID_AES256_CBC : OID_AES128_CBC;
    x->seal.oaep = has.rsa_oaep;
    return TM_OK;
}

/* AsymmetricDecryptKeyIdentifier ::= OCTET STRING: the certificate's subjectKeyIdentifier, or the hash that makes one. */
static tm_err check_identifier(const struct est_exchange *x, const struct csr_attr *a, struct diag *diag)
{
    struct der_reader values;
    struct slice id;
    uint8_t sha1_id[20], sha256_id[20];
    der_reader_init(&values, a->values, NULL);
    if (der_read(&values, DER_OCTET_STRING, &id) != TM_OK || der_end(&values) != TM_OK)
        return diag_fail(diag, TM_EMALFORMED, "RFC 7030 4.4.1.2", "attributes",
                         "asymmDecryptKeyID is not one OCTET STRING");
    TM_TRY(spki_key_id_sha1(sha1_id, &x->who.peer.spki));
    TM_TRY(spki_key_id(sha256_id, &x->who.peer.spki));
    bool ours = x->who.predecessor.n && id.n &&
                (slice_eq(id, cert_ski(&x->who.peer)) || slice_eq(id, SLICE_ARR(sha1_id)) ||
                 slice_eq(id, SLICE_ARR(sha256_id)));
    if (!ours)
        return refuse(diag, "RFC 7030 4.4.1.2",
                      "the key to encrypt to is not the one of the certificate that the client has shown");
    return TM_OK;
}

tm_err est_seal_prepare(struct est_exchange *x, struct diag *diag)
{
    /* RFC 7030 4.4.1.1: what can't be encrypted as it was asked to ends with an error. */
    if (csr_attr_find(&x->csr, OID_AA_DECRYPT_KEY_ID))
        return refuse(diag, "RFC 7030 4.4.1.1",
                      "no symmetric keys are shared with clients here; name the key of a certificate");
    const struct csr_attr *a = csr_attr_find(&x->csr, OID_AA_ASYMM_DECRYPT_KEY_ID);
    if (!a)
        return TM_OK;
    if (x->who.predecessor.n == 0)
        return refuse(diag, "RFC 7030 4.4.1.2", "a key is encrypted to the TLS client's certificate only");
    TM_TRY(check_identifier(x, a, diag));
    tm_err e = key_package_recipient(&x->who.peer, diag);
    if (e == TM_EUNSUPPORTED)
        return refuse(diag, "RFC 7030 4.4.1.2",
                      "the certificate's key is not for encryption: RSA with keyEncipherment or EC with "
                      "keyAgreement is wanted");
    TM_TRY(e);
    TM_TRY(choose_cipher(x, diag));
    x->seal.authority = endpoint_authority(x->catalog, x->endpoint, x->issue.e.profile);
    if (!x->seal.authority || !x->seal.authority->ra_key[0])
        return diag_fail(diag, TM_EUNAVAIL, "authority.ra", NULL,
                         "the authority has nobody who signs messages for it; touchmark ca ra makes that");
    x->seal.wanted = true;
    return TM_OK;
}

static tm_err seal(struct est_exchange *x, struct diag *diag)
{
    struct message m = {
        .tenant = x->endpoint->tenant,
        .authority = x->seal.authority,
        .request_id = x->request->id,
        .endpoint = x->endpoint->name,
    };
    const struct key_recipient to = {.cert = x->who.peer.der, .cipher = x->seal.cipher, .oaep = x->seal.oaep};
    return key_package_seal(&x->seal.message, x->request->arena, x->house, &m, x->key, &to, diag);
}

tm_err est_seal(struct issue_request *i, struct effect *ret, size_t *ret_n)
{
    struct est_exchange *x = TM_CONTAINER(i, struct est_exchange, issue);
    (void)ret;
    *ret_n = 0;
    return seal(x, &i->diag);
}
